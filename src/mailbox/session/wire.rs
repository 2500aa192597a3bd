//! The connection under a session: TCP, with TLS over it or not.
//!
//! Left out on purpose: timeouts, which belong to whoever knows what is being waited for.
//!
//! Guarantees: certificates are verified; where STARTTLS is asked for, nothing but STARTTLS
//! itself is ever said in plaintext; a reader gets no more bytes than were allowed to come.

use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

/// Bytes both ways: a socket, TLS over a socket, or a test's pipe.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A stream that counts what it reads and stops at an allowance, because the decoder above it
/// buffers a response of any size. What the decoder reserves for an announced literal cannot be
/// bounded from here; async-imap 0.12.0 stops at 512 MiB.
pub(super) struct Wire {
    stream: Box<dyn Duplex>,
    taken: u64,
    most: u64,
}

impl Wire {
    pub(super) fn new(stream: Box<dyn Duplex>) -> Self {
        Self {
            stream,
            taken: 0,
            most: 0,
        }
    }

    /// A TCP connection, nothing said on it yet.
    pub(super) async fn tcp(host: &str, port: u16) -> io::Result<Self> {
        let tcp = TcpStream::connect((host, port)).await?;
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
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.taken += (buf.filled().len() - before) as u64;
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
