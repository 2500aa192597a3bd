//! An IMAP server that says exactly what a test tells it to, on a real socket.
//!
//! The script is plain code over a [`Peer`]: expect a command, answer it, cut, or fall silent. A
//! command that the script does not expect ends the test.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use invoice_trackd::{
    mailbox::{Bounds, ImapSettings},
    tls::TlsMode,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpListener,
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

/// Longer than any bound a test gives the client, so that a hanging script is a failed test.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server for one connection, or for one after another.
pub struct ScriptedImap {
    pub address: SocketAddr,
    script: JoinHandle<()>,
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// The server's end of the connection.
pub struct Peer {
    stream: BufReader<Box<dyn Duplex>>,
}

/// A command that waits for its answer.
pub struct Asked<'a> {
    peer: &'a mut Peer,
    tag: String,
    /// The command as it came, without its tag.
    pub line: String,
}

impl ScriptedImap {
    /// The INBOX of whoever asks.
    pub fn settings(&self, bounds: Bounds) -> ImapSettings {
        ImapSettings {
            name: "einvoice".to_owned(),
            host: self.address.ip().to_string(),
            port: self.address.port(),
            tls: TlsMode::None,
            ca_file: None,
            username: "user".to_owned(),
            credential: "secret".into(),
            folder: "INBOX".to_owned(),
            after_import: None,
            bounds,
        }
    }

    /// Listens, and runs `script` on the first connection.
    pub async fn start<F>(script: impl FnOnce(Peer) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let script = tokio::spawn(async move {
            let (socket, _) = listener.accept().await.unwrap();
            socket.set_nodelay(true).unwrap();
            script(Peer {
                stream: BufReader::new(Box::new(socket)),
            })
            .await;
        });
        Self { address, script }
    }

    /// Listens, and runs `script` on every connection, one after another, until it is dropped.
    pub async fn start_for_all<F>(script: impl Fn(Peer) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let script = tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                socket.set_nodelay(true).unwrap();
                script(Peer {
                    stream: BufReader::new(Box::new(socket)),
                })
                .await;
            }
        });
        Self { address, script }
    }

    /// Waits until the script has come to its end, and fails where it failed.
    pub async fn finish(self) {
        timeout(PATIENCE, self.script)
            .await
            .expect("the script did not come to its end")
            .expect("the script failed");
    }
}

impl Peer {
    /// Says `text` as it stands.
    pub async fn say(&mut self, text: &str) {
        self.stream
            .get_mut()
            .write_all(text.as_bytes())
            .await
            .unwrap();
        self.stream.get_mut().flush().await.unwrap();
    }

    /// As [`Peer::say`]; `false` when the client is gone, where that is no failure.
    pub async fn try_say(&mut self, text: &str) -> bool {
        let stream = self.stream.get_mut();
        stream.write_all(text.as_bytes()).await.is_ok() && stream.flush().await.is_ok()
    }

    /// Returns when the client says something or is gone; reads nothing, so that it may be given
    /// up at any moment.
    pub async fn stirs(&mut self) {
        self.stream.fill_buf().await.ok();
    }

    /// The next line without its end; `None` when the client is gone.
    pub async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = timeout(PATIENCE, self.stream.read_line(&mut line));
        match read.await.expect("the client said nothing for too long") {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(line.trim_end().to_owned()),
        }
    }

    /// The next command, which must begin with `command`.
    pub async fn expect(&mut self, command: &str) -> Asked<'_> {
        let line = self.line().await;
        let line = line.unwrap_or_else(|| panic!("expected {command}, but the client left"));
        let (tag, rest) = line.split_once(' ').expect("a tag and a command");
        assert!(
            rest.starts_with(command),
            "expected {command}, found {rest}"
        );
        Asked {
            tag: tag.to_owned(),
            line: rest.to_owned(),
            peer: self,
        }
    }

    /// Greets, and answers everything up to LOGIN; the client may then ask for capabilities.
    pub async fn log_in(&mut self) {
        self.say("* OK ready\r\n").await;
        self.expect("CAPABILITY")
            .await
            .ok("* CAPABILITY IMAP4rev1\r\n")
            .await;
        self.expect("LOGIN").await.ok("").await;
    }

    /// Greets, takes LOGIN, and opens the folder: UIDVALIDITY 7, `exists` messages.
    pub async fn open(&mut self, capabilities: &str, exists: u32) {
        self.log_in().await;
        self.expect("CAPABILITY")
            .await
            .ok(&format!("* CAPABILITY IMAP4rev1 {capabilities}\r\n"))
            .await;
        self.expect("EXAMINE")
            .await
            .ok(&format!("* {exists} EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n"))
            .await;
    }

    /// As [`Peer::open`], for a client that means to change the folder.
    pub async fn select(&mut self, capabilities: &str, exists: u32) {
        self.log_in().await;
        self.expect("CAPABILITY")
            .await
            .ok(&format!("* CAPABILITY IMAP4rev1 {capabilities}\r\n"))
            .await;
        self.expect("SELECT \"INBOX\"")
            .await
            .ok(&format!("* {exists} EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n"))
            .await;
    }

    /// Says nothing more until the client leaves.
    pub async fn fall_silent(&mut self) {
        while self.line().await.is_some() {}
    }

    /// Waits for the client to leave, and fails if it says anything more.
    pub async fn must_leave(&mut self) {
        assert_eq!(self.line().await, None, "the client used a dead session");
    }

    /// Speaks TLS from here on.
    pub async fn encrypt(self, config: Arc<ServerConfig>) -> Self {
        let plain = self.stream.into_inner();
        let tls = TlsAcceptor::from(config).accept(plain).await.unwrap();
        Self {
            stream: BufReader::new(Box::new(tls)),
        }
    }
}

impl Asked<'_> {
    /// Says `untagged`, then the tagged `OK`.
    pub async fn ok(self, untagged: &str) {
        self.answer(&format!("{untagged}TAG OK done\r\n")).await;
    }

    /// Says `text` and leaves the command open.
    pub async fn go_on(&mut self, text: &str) {
        self.peer.say(text).await;
    }

    /// What the answer that ends the command begins with.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// Waits for the client's DONE.
    pub async fn done(&mut self) {
        assert_eq!(self.peer.line().await.as_deref(), Some("DONE"));
    }

    /// Whether the client says nothing for `time`; used where saying something is the failure.
    pub async fn is_quiet_for(&mut self, time: Duration) -> bool {
        timeout(time, self.peer.stream.fill_buf()).await.is_err()
    }

    /// Whether the client hangs up instead of waiting for an answer or saying anything more.
    pub async fn hangs_up(self) -> bool {
        self.peer.line().await.is_none()
    }

    /// Says `text`, in which TAG stands for the command's tag.
    pub async fn answer(self, text: &str) {
        let text = text.replace("TAG", &self.tag);
        self.peer.say(&text).await;
    }
}

/// A FETCH response with what a header question asks for.
pub fn head(sequence: u32, uid: u32, size: usize, header: &str) -> String {
    format!(
        "* {sequence} FETCH (UID {uid} RFC822.SIZE {size} \
         INTERNALDATE \"17-Jul-2026 02:44:25 +0800\" \
         BODY[HEADER.FIELDS (FROM SENDER SUBJECT AUTO-SUBMITTED)]<0> {{{}}}\r\n{header})\r\n",
        header.len()
    )
}

/// A FETCH response with a whole message.
pub fn body(sequence: u32, uid: u32, message: &str) -> String {
    format!(
        "* {sequence} FETCH (UID {uid} BODY[] {{{}}}\r\n{message})\r\n",
        message.len()
    )
}

/// What is answered to FETCH of these `items`: a header question, or one for the whole message or
/// its beginning.
pub fn fetched(items: &str, sequence: u32, uid: u32, message: &str) -> String {
    if !items.contains("BODY.PEEK[]") {
        let end = message.find("\r\n\r\n").unwrap() + 4;
        return head(sequence, uid, message.len(), &message[..end]);
    }
    let whole = body(sequence, uid, message);
    match items.contains("BODY.PEEK[]<0.") {
        true => whole.replace("BODY[]", "BODY[]<0>"),
        false => whole,
    }
}

/// Whether `uid` is in the set that a client asks for.
pub fn in_set(set: &str, uid: u32) -> bool {
    set.split(',').any(|run| {
        let (first, last) = run.split_once(':').unwrap_or((run, run));
        (first.parse().unwrap()..=last.parse().unwrap()).contains(&uid)
    })
}
