//! An SMTP server that takes everything, remembers it, and can be stopped in the middle of a word.
//!
//! A message counts as taken from its final dot on, whether or not its client lived to read the
//! 250: RFC 5321 §4.2.5. Left out on purpose: TLS, logins, refusals (see `scripted_smtp`).

use std::{
    collections::BTreeSet,
    io::{self, BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Duration,
};

/// A server is not waited for any longer than this.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the server stops until [`SmtpSink::let_go`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Before its 354: nothing of the message has been sent.
    Data,
    /// After the message's first line; the rest is never read.
    Body,
    /// Before the 250 to the final dot: the message is taken, and the client does not know.
    Dot,
    /// Before the 221 to QUIT: the client has read the 250.
    Quit,
}

/// A message that was taken.
#[derive(Debug, Clone)]
pub struct Taken {
    /// With its angle brackets.
    pub message_id: String,
    /// As it was before dots were doubled.
    pub bytes: Vec<u8>,
    /// Whether its 250 was written.
    pub answered: bool,
}

/// A running server; it ends when dropped.
pub struct SmtpSink {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    taken: Vec<Taken>,
    connections: usize,
    open: BTreeSet<usize>,
    /// Where to stop, and how many times to pass there before that.
    hold: Option<(Hold, u32)>,
    holding: bool,
    over: bool,
}

impl SmtpSink {
    pub fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::<Shared>::default();
        let server = Arc::clone(&shared);
        thread::spawn(move || {
            for socket in listener.incoming() {
                let mut state = server.state.lock().unwrap();
                if state.over {
                    return;
                }
                state.connections += 1;
                let number = state.connections;
                state.open.insert(number);
                let shared = Arc::clone(&server);
                thread::spawn(move || {
                    // A client that goes away ends its connection and nothing else.
                    socket.and_then(|socket| serve(socket, &shared)).ok();
                    shared.state.lock().unwrap().open.remove(&number);
                    shared.changed.notify_all();
                });
            }
        });
        Self { port, shared }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.shared.state.lock().unwrap().connections
    }

    /// Messages taken, in order, but for the first `known`.
    pub fn taken_since(&self, known: usize) -> Vec<Taken> {
        self.shared.state.lock().unwrap().taken[known..].to_vec()
    }

    /// Stops the nth time from now that it comes to `hold`.
    pub fn hold_at(&self, hold: Hold, nth: u32) {
        self.shared.state.lock().unwrap().hold = Some((hold, nth - 1));
    }

    /// Waits until it has stopped where it was told to.
    pub fn until_held(&self) {
        self.until("it holds an answer back", |state| state.holding);
    }

    /// It answers again.
    pub fn let_go(&self) {
        let mut state = self.shared.state.lock().unwrap();
        (state.hold, state.holding) = (None, false);
        self.shared.changed.notify_all();
    }

    /// Waits until every client that is gone has been read to its end.
    pub fn until_quiet(&self) {
        self.until("no connection is open", |state| state.open.is_empty());
    }

    fn until(&self, what: &str, is: impl Fn(&State) -> bool) {
        let state = self.shared.state.lock().unwrap();
        let waiting = |state: &mut State| !is(state);
        let waited = self
            .shared
            .changed
            .wait_timeout_while(state, PATIENCE, waiting);
        let timed_out = waited.unwrap().1.timed_out();
        assert!(
            !timed_out,
            "waited {PATIENCE:?} for the mail server: {what}"
        );
    }
}

impl Drop for SmtpSink {
    fn drop(&mut self) {
        self.let_go();
        self.shared.state.lock().unwrap().over = true;
        // The thread that accepts looks only when somebody comes.
        TcpStream::connect(("127.0.0.1", self.port)).ok();
    }
}

impl Shared {
    /// Stops here, if that was asked for; says whether it was.
    fn pass(&self, hold: Hold) -> bool {
        let mut state = self.state.lock().unwrap();
        match &mut state.hold {
            Some((meant, 0)) if *meant == hold => {}
            Some((meant, more)) if *meant == hold => {
                *more -= 1;
                return false;
            }
            _ => return false,
        }
        state.holding = true;
        self.changed.notify_all();
        let waiting = |state: &mut State| state.holding;
        let waited = self.changed.wait_timeout_while(state, PATIENCE, waiting);
        drop(waited.unwrap());
        true
    }
}

fn serve(socket: TcpStream, shared: &Shared) -> io::Result<()> {
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_nodelay(true)?;
    let mut answers = socket.try_clone()?;
    let mut lines = BufReader::new(socket);
    answers.write_all(b"220 sink ESMTP\r\n")?;
    let mut line = String::new();
    loop {
        line.clear();
        if lines.read_line(&mut line)? == 0 {
            return Ok(());
        }
        match line.split([' ', ':']).next().unwrap().trim_end() {
            "EHLO" => answers.write_all(b"250 sink\r\n")?,
            "DATA" => {
                shared.pass(Hold::Data);
                answers.write_all(b"354 go ahead\r\n")?;
                let Some(bytes) = message(&mut lines, shared)? else {
                    return Ok(());
                };
                let number = shared.take(bytes);
                shared.pass(Hold::Dot);
                answers.write_all(b"250 2.0.0 OK\r\n")?;
                shared.state.lock().unwrap().taken[number].answered = true;
            }
            "QUIT" => {
                shared.pass(Hold::Quit);
                return answers.write_all(b"221 2.0.0 bye\r\n");
            }
            _ => answers.write_all(b"250 2.0.0 OK\r\n")?,
        }
    }
}

impl Shared {
    fn take(&self, bytes: Vec<u8>) -> usize {
        let text = String::from_utf8_lossy(&bytes);
        let mut lines = text.lines();
        let id = lines.find_map(|line| line.strip_prefix("Message-ID:"));
        let message_id = id.expect("no Message-ID in the mail").trim().to_owned();
        let mut state = self.state.lock().unwrap();
        state.taken.push(Taken {
            message_id,
            bytes,
            answered: false,
        });
        state.taken.len() - 1
    }
}

/// Reads up to the final dot; `None` where it was told to stop before. RFC 5321 §4.5.2.
fn message(lines: &mut BufReader<TcpStream>, shared: &Shared) -> io::Result<Option<Vec<u8>>> {
    let mut message = Vec::new();
    loop {
        let start = message.len();
        lines.read_until(b'\n', &mut message)?;
        if !message.ends_with(b"\r\n") {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if start == 0 && shared.pass(Hold::Body) {
            return Ok(None);
        }
        if &message[start..] == b".\r\n" {
            message.truncate(start);
            return Ok(Some(message));
        }
        if message[start] == b'.' {
            message.remove(start);
        }
    }
}
