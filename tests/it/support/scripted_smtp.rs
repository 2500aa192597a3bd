//! An SMTP server that does what the test says, for what real servers will not do on request.
//!
//! It answers each line as a willing server would, except where the script has another answer.
//! Left out on purpose: TLS and the meaning of anything.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// What the server does instead of the usual.
#[derive(Clone, Copy)]
pub enum Does {
    /// Writes this line.
    Says(&'static str),
    /// Writes this line after half a second.
    Ponders(&'static str),
    /// Never answers again, and keeps the connection.
    FallsSilent,
    /// Closes the connection without a word.
    HangsUp,
}

/// The first entry whose words begin the client's line decides. `CONNECT` stands for the banner,
/// `EMPTY` for an empty line and `.` for the end of the message.
pub type Script = &'static [(&'static str, Does)];

/// A running server; it ends when dropped.
pub struct ScriptedSmtp {
    port: u16,
    log: Arc<Mutex<Log>>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct Log {
    commands: Vec<String>,
    messages: Vec<String>,
}

impl ScriptedSmtp {
    pub async fn start(script: Script) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let log = Arc::<Mutex<Log>>::default();
        let shared = log.clone();
        let serving = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let log = shared.clone();
                // A client that goes away ends its connection and nothing else.
                open.spawn(async move { serve(socket, script, &log).await.ok() });
            }
        });
        Self { port, log, serving }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Every line the client sent outside messages.
    pub fn commands(&self) -> Vec<String> {
        self.log.lock().unwrap().commands.clone()
    }

    /// Every message that came as far as its final dot.
    pub fn messages(&self) -> Vec<String> {
        self.log.lock().unwrap().messages.clone()
    }
}

impl Drop for ScriptedSmtp {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(socket: TcpStream, script: Script, log: &Mutex<Log>) -> std::io::Result<()> {
    let mut stream = BufReader::new(socket);
    let mut line = "CONNECT".to_owned();
    loop {
        let scripted = script.iter().find(|(words, _)| line.starts_with(words));
        let usual = match line.split([' ', ':']).next().unwrap() {
            "CONNECT" => "220 scripted ESMTP",
            "EHLO" => "250-scripted\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME",
            "AUTH" => "235 2.7.0 welcome",
            "DATA" => "354 go ahead",
            "QUIT" => "221 2.0.0 bye",
            _ => "250 2.0.0 OK",
        };
        let answer = match scripted.map(|(_, does)| *does) {
            Some(Does::HangsUp) => return Ok(()),
            Some(Does::FallsSilent) => std::future::pending().await,
            Some(Does::Ponders(answer)) => {
                tokio::time::sleep(std::time::Duration::from_millis(500)).await;
                answer
            }
            Some(Does::Says(answer)) => answer,
            None => usual,
        };
        stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
        if line == "DATA" && answer.starts_with("354") {
            line = ".".to_owned();
            let message = message(&mut stream).await?;
            log.lock().unwrap().messages.push(message);
            continue;
        }
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        line.truncate(line.trim_end().len());
        if line.is_empty() {
            line.push_str("EMPTY");
        }
        log.lock().unwrap().commands.push(line.clone());
    }
}

/// Reads up to the final dot. RFC 5321 §4.5.2.
async fn message(stream: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let mut message = String::new();
    loop {
        let start = message.len();
        if stream.read_line(&mut message).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if &message[start..] == ".\r\n" {
            message.truncate(start);
            return Ok(message);
        }
        if message[start..].starts_with('.') {
            message.remove(start);
        }
    }
}
