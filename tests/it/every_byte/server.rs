//! An IMAP server of few words, whose every session is the same to the byte.
//!
//! Three notices are there from the beginning. A fourth arrives during the first IDLE, a fifth
//! during an IDLE once a test asks for it.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

use super::watched::period;
use crate::support::scripted_imap::{fetched, in_set};

/// The tracks of the notices in the order in which they arrive: UID 1 and so on.
pub(super) const TRACKS: [&str; 5] = ["EA", "EB", "EC", "ED", "EE"];

/// A running server; it ends when dropped, with every connection.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    folder: Arc<Folder>,
    serving: JoinHandle<()>,
}

struct Folder {
    turn: u32,
    /// How many of the notices have arrived.
    arrived: Mutex<usize>,
    wanted: watch::Sender<bool>,
    /// The last connection, counted from 1, that waits and has been told of four.
    settled: watch::Sender<u32>,
    spoken: AtomicU64,
}

impl Server {
    /// With the notices of that turn.
    pub(super) async fn start(turn: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let folder = Arc::new(Folder {
            turn,
            arrived: Mutex::new(3),
            wanted: watch::Sender::new(false),
            settled: watch::Sender::new(0),
            spoken: AtomicU64::new(0),
        });
        let shared = Arc::clone(&folder);
        let serving = tokio::spawn(async move {
            let mut open = JoinSet::new();
            for connection in 1.. {
                let Ok((socket, _)) = listener.accept().await else {
                    return;
                };
                let folder = Arc::clone(&shared);
                // A client that goes away ends its connection and nothing else.
                open.spawn(async move { folder.serve(connection, socket).await.ok() });
            }
        });
        Self {
            address,
            folder,
            serving,
        }
    }

    /// Waits until the `at_least`th connection or a later one has nothing left to do but wait.
    pub(super) async fn settled(&self, at_least: u32) {
        let mut settled = self.folder.settled.subscribe();
        settled.wait_for(|at| *at >= at_least).await.unwrap();
    }

    /// One more notice arrives during an IDLE.
    pub(super) fn one_more(&self) {
        self.folder.wanted.send_replace(true);
    }

    /// How many bytes have been read and written.
    pub(super) fn spoken(&self) -> u64 {
        self.folder.spoken.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

type Stream = BufReader<TcpStream>;

impl Folder {
    async fn serve(&self, connection: u32, socket: TcpStream) -> std::io::Result<()> {
        socket.set_nodelay(true)?;
        let mut stream = BufReader::new(socket);
        self.say(&mut stream, "* OK hi\r\n").await?;
        while let Some(line) = self.line(&mut stream).await? {
            let Some((tag, command)) = line.split_once(' ') else {
                return Ok(());
            };
            let arrived = *self.arrived.lock().unwrap();
            let answer = match command {
                "CAPABILITY" => "* CAPABILITY IMAP4rev1 IDLE\r\n".to_owned(),
                "IDLE" => {
                    self.idle(connection, &mut stream).await?;
                    String::new()
                }
                _ if command.starts_with("EXAMINE") => {
                    format!("* {arrived} EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n")
                }
                _ if command.starts_with("UID SEARCH BEFORE") => "* SEARCH\r\n".to_owned(),
                _ if command.starts_with("UID SEARCH") => {
                    let uids: String = (1..=arrived).map(|uid| format!(" {uid}")).collect();
                    format!("* SEARCH{uids}\r\n")
                }
                _ => match command.strip_prefix("UID FETCH ") {
                    Some(fetch) => self.fetched(fetch, arrived),
                    None => String::new(),
                },
            };
            self.say(&mut stream, &format!("{answer}{tag} OK x\r\n"))
                .await?;
        }
        Ok(())
    }

    /// Up to DONE.
    async fn idle(&self, connection: u32, stream: &mut Stream) -> std::io::Result<()> {
        let mut wanted = self.wanted.subscribe();
        let fourth = self.arrives(4);
        self.say(stream, "+ x\r\n").await?;
        if fourth {
            self.say(stream, "* 4 EXISTS\r\n").await?;
        } else {
            self.settled.send_replace(connection);
            let asked = tokio::select! {
                _ = stream.fill_buf() => false,
                _ = wanted.wait_for(|wanted| *wanted) => true,
            };
            if asked && self.arrives(5) {
                self.say(stream, "* 5 EXISTS\r\n").await?;
            }
        }
        self.line(stream).await?;
        Ok(())
    }

    /// Whether this is the moment at which the `nth` notice arrives.
    fn arrives(&self, nth: usize) -> bool {
        let mut arrived = self.arrived.lock().unwrap();
        let new = *arrived + 1 == nth;
        *arrived = (*arrived).max(nth);
        new
    }

    async fn say(&self, stream: &mut Stream, text: &str) -> std::io::Result<()> {
        self.spoken.fetch_add(text.len() as u64, Ordering::SeqCst);
        stream.get_mut().write_all(text.as_bytes()).await
    }

    /// The next line without its end; `None` when the client is gone, in the middle of one or not.
    async fn line(&self, stream: &mut Stream) -> std::io::Result<Option<String>> {
        let mut line = String::new();
        let read = stream.read_line(&mut line).await?;
        self.spoken.fetch_add(read as u64, Ordering::SeqCst);
        let whole = line.strip_suffix("\r\n").map(ToOwned::to_owned);
        Ok(whole)
    }

    fn fetched(&self, fetch: &str, arrived: usize) -> String {
        let (set, items) = fetch.split_once(' ').unwrap();
        let mut answer = String::new();
        for uid in 1..=arrived as u32 {
            if in_set(set, uid) {
                let message = notice(TRACKS[uid as usize - 1], self.turn);
                answer.push_str(&fetched(items, uid, uid, &message));
            }
        }
        answer
    }
}

/// A notice with nothing in it that need not be: each byte of it is cut behind.
pub(super) fn notice(track: &str, turn: u32) -> String {
    let period = period(turn);
    format!(
        "From: einvoice@einvoice.nat.gov.tw\r\n\
         Subject: =?UTF-8?B?6YWN6Jmf57WQ5p6c?=\r\n\
         Content-Type: text/plain; charset=UTF-8\r\n\r\n\
         字軌名稱：{track}\r\n發票期別：{period}\r\n發票類別：一般稅額計算\r\n\
         申請本數：0\r\n增加本數：1\r\n發票起號：22628000\r\n發票迄號：22628049\r\n"
    )
}
