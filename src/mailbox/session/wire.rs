//! The connection under a session: TCP, with TLS over it or not.
//!
//! Left out on purpose: timeouts, which belong to whoever knows what is being waited for.
//!
//! Guarantees: certificates are verified; without TLS only this machine is spoken to; where STARTTLS is asked for, nothing but STARTTLS
//! itself is ever said in plaintext; a reader gets no more bytes than were allowed to come, and no
//! announcement of more; an address that swallows everything does not hide a host's other addresses.

use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};

use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::sleep,
};
use tokio_rustls::TlsConnector;

use super::literals::Literals;
use crate::tls::{self, TlsMode};

/// Bytes both ways: a socket, TLS over a socket, or a test's pipe.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A stream that counts what it reads and stops at an allowance, because the decoder above it
/// buffers a response of any size, and reserves what a literal's announcement asks for.
pub(super) struct Wire {
    stream: Box<dyn Duplex>,
    taken: u64,
    most: u64,
    literals: Literals,
}

impl Wire {
    pub(super) fn new(stream: Box<dyn Duplex>) -> Self {
        Self {
            stream,
            taken: 0,
            most: 0,
            literals: Literals::default(),
        }
    }

    /// A TCP connection, nothing said on it yet.
    pub(super) async fn tcp(host: &str, port: u16, mode: TlsMode) -> io::Result<Self> {
        let addresses = tls::addresses(host, port, mode).await?;
        let tcp = first_of(addresses.into_iter().map(TcpStream::connect)).await?;
        tcp.set_nodelay(true)?;
        Ok(Self::new(Box::new(tcp)))
    }

    /// TLS over this connection, the certificate checked against `host`.
    pub(super) async fn encrypt(self, host: &str, config: Arc<ClientConfig>) -> io::Result<Self> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let tls = TlsConnector::from(config)
            .connect(name, self.stream)
            .await?;
        Ok(Self::new(Box::new(tls)))
    }

    /// From now on `bytes` more may come.
    pub(super) fn allow(&mut self, bytes: u64) {
        self.most = self.taken.saturating_add(bytes);
    }

    /// How many bytes have come so far.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }
}

/// RFC 8305 §5: an attempt that has not succeeded within this time is joined by the next one.
const HEAD_START: Duration = Duration::from_millis(250);

/// The first of the attempts to succeed, begun in their order; the last error when none does.
async fn first_of<T, F>(attempts: impl IntoIterator<Item = F>) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    let mut waiting = attempts.into_iter();
    let mut begun = FuturesUnordered::new();
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    loop {
        let all_begun = match waiting.next() {
            Some(attempt) => {
                begun.push(attempt);
                false
            }
            None if begun.is_empty() => return Err(failed),
            None => true,
        };
        tokio::select! {
            Some(done) = begun.next() => match done {
                Ok(first) => return Ok(first),
                Err(error) => failed = error,
            },
            () = sleep(HEAD_START), if !all_begun => {}
        }
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire")
            .field("taken", &self.taken)
            .field("most", &self.most)
            .finish_non_exhaustive()
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.taken >= self.most {
            return Poll::Ready(Err(io::ErrorKind::FileTooLarge.into()));
        }
        let left = self.most - self.taken;
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let came = buf.filled().get(before..).unwrap_or_default();
        self.taken += came.len() as u64;
        if self.literals.longest_in(came) > left {
            return Poll::Ready(Err(io::ErrorKind::FileTooLarge.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use futures_util::FutureExt;

    use super::*;

    fn refused() -> io::Result<u8> {
        Err(io::ErrorKind::ConnectionRefused.into())
    }

    #[tokio::test]
    async fn an_address_that_swallows_everything_does_not_hide_the_next() {
        let attempts = [
            pending().boxed(),
            ready(refused()).boxed(),
            ready(Ok(3)).boxed(),
        ];
        let first = tokio::time::timeout(Duration::from_secs(15), first_of(attempts)).await;
        assert_eq!(first.unwrap().unwrap(), 3);
    }

    #[tokio::test]
    async fn an_attempt_that_succeeds_is_not_raced() {
        let attempts = [ready(Ok(1)).boxed(), async { panic!("begun") }.boxed()];
        assert_eq!(first_of::<u8, _>(attempts).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn where_none_succeeds_the_last_error_is_said() {
        let error = first_of([ready(refused()), ready(refused())]).await;
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        let none: [std::future::Ready<io::Result<u8>>; 0] = [];
        let error = first_of(none).await.unwrap_err();
        assert_eq!(error.to_string(), "the host has no address");
    }
}
