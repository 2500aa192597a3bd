//! The connection under an SMTP session, up to where lettre takes over: TCP, and TLS over it.
//!
//! lettre 0.11.23 could do both, but what came behind the answer to STARTTLS in one piece stays in
//! its buffer across the handshake: somebody on the way, who cannot read the mail, could write the
//! answers to all that is said over TLS (CVE-2011-0411 is the same), and we would believe a letter
//! accepted that no server ever saw. So STARTTLS is spoken here.
//!
//! Left out on purpose: how long anything may take, which the session knows.
//!
//! Guarantees: certificates are verified; where STARTTLS is asked for, nothing but EHLO and
//! STARTTLS is ever said in plaintext and nothing that came before the handshake is read after it;
//! without TLS only this machine is spoken to.

use std::{
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use lettre::transport::smtp::client::AsyncTokioStream;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{
        AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _,
        BufReader, ReadBuf,
    },
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::tls::{self, TlsMode};

/// RFC 5321 §4.5.3.1.5 allows 512 bytes.
const LONGEST_LINE: u64 = 4096;
/// Nobody's answer to EHLO has more.
const MOST_LINES: usize = 200;

/// Bytes both ways, as lettre takes them.
pub(super) type Stream = Box<dyn AsyncTokioStream>;

/// Why there is no connection.
pub(super) enum Fault {
    /// The network's, or TLS's.
    Io(io::Error),
    /// The server's own words against it.
    Answer(u16, String),
    /// It hung up.
    Gone,
    /// What it says is not SMTP.
    NotSmtp(String),
    /// Something was said behind the answer to STARTTLS, before TLS began.
    Injected,
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A TCP connection; each of the host's addresses is given `patience`.
pub(super) async fn reach(
    host: &str,
    port: u16,
    mode: TlsMode,
    patience: Duration,
) -> Result<TcpStream, Fault> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in tls::addresses(host, port, mode).await? {
        match timeout(patience, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => {
                tcp.set_nodelay(true)?;
                return Ok(tcp);
            }
            Ok(Err(error)) => failed = error,
            Err(_) => failed = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(failed.into())
}

/// TLS over a connection on which nothing is said before it.
pub(super) async fn encrypt(
    tcp: TcpStream,
    host: &str,
    config: Arc<ClientConfig>,
) -> Result<Stream, Fault> {
    let tls = handshake(tcp, host, config).await?;
    Ok(Box::new(Secured { greeting: b"", tls }))
}

/// A greeted connection on which nothing but EHLO has been said.
pub(super) struct Plain {
    lines: BufReader<TcpStream>,
}

impl Plain {
    /// Hears the greeting and says EHLO; whoever does not offer STARTTLS hears no more.
    pub(super) async fn greet(tcp: TcpStream, hello: &str) -> Result<Option<Self>, Fault> {
        let mut plain = Self {
            lines: BufReader::new(tcp),
        };
        plain.answer(220).await?;
        let offered = plain.ask(&format!("EHLO {hello}"), 250).await?;
        // RFC 3207 §4: the keyword has no parameters.
        let mut offered = offered.iter().skip(1);
        let is_offered = offered.any(|word| word.trim().eq_ignore_ascii_case("STARTTLS"));
        Ok(is_offered.then_some(plain))
    }

    /// STARTTLS and the handshake.
    pub(super) async fn secure(
        mut self,
        host: &str,
        config: Arc<ClientConfig>,
    ) -> Result<Stream, Fault> {
        self.ask("STARTTLS", 220).await?;
        // RFC 3207 §6: what was heard before the handshake is not to be relied upon. A server has
        // nothing to say here, so whatever it is, somebody put it in.
        if !self.lines.buffer().is_empty() {
            return Err(Fault::Injected);
        }
        let tls = handshake(self.lines.into_inner(), host, config).await?;
        // There is no second greeting (RFC 3207 §4.2), and lettre waits for one.
        Ok(Box::new(Secured {
            greeting: b"220 over TLS\r\n",
            tls,
        }))
    }

    async fn ask(&mut self, command: &str, wanted: u16) -> Result<Vec<String>, Fault> {
        let line = format!("{command}\r\n");
        self.lines.get_mut().write_all(line.as_bytes()).await?;
        self.answer(wanted).await
    }

    /// The lines of one answer without their code. RFC 5321 §4.2.1.
    async fn answer(&mut self, wanted: u16) -> Result<Vec<String>, Fault> {
        let mut words = Vec::new();
        while words.len() < MOST_LINES {
            let mut line = Vec::new();
            let mut limited = (&mut self.lines).take(LONGEST_LINE);
            limited.read_until(b'\n', &mut line).await?;
            if line.is_empty() {
                return Err(Fault::Gone);
            }
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end();
            let parts = line.split_at_checked(3);
            let code = parts.and_then(|(code, rest)| Some((code.parse().ok()?, rest)));
            let Some((code, rest)) = code else {
                return Err(Fault::NotSmtp(line.to_owned()));
            };
            let (is_last, text) = match rest.strip_prefix('-') {
                Some(text) => (false, text),
                None => (true, rest.strip_prefix(' ').unwrap_or(rest)),
            };
            words.push(text.to_owned());
            if is_last {
                return match code {
                    code if code == wanted => Ok(words),
                    code => Err(Fault::Answer(code, words.join(" "))),
                };
            }
        }
        Err(Fault::NotSmtp("an answer without end".to_owned()))
    }
}

async fn handshake(
    tcp: TcpStream,
    host: &str,
    config: Arc<ClientConfig>,
) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    TlsConnector::from(config).connect(name, tcp).await
}

/// TLS over TCP, before which a greeting may be read that no server wrote.
struct Secured {
    greeting: &'static [u8],
    tls: TlsStream<TcpStream>,
}

impl fmt::Debug for Secured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secured").finish_non_exhaustive()
    }
}

impl AsyncTokioStream for Secured {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.tls.get_ref().0.peer_addr()
    }
}

impl AsyncRead for Secured {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.greeting.is_empty() {
            return Pin::new(&mut self.tls).poll_read(cx, buf);
        }
        let fitting = self.greeting.len().min(buf.remaining());
        let (now, later) = self.greeting.split_at(fitting);
        buf.put_slice(now);
        self.greeting = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Secured {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tls).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_shutdown(cx)
    }
}
