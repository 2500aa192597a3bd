//! Health over HTTP, for probes on this machine: `/healthz` (alive) and `/readyz` (doing its job).
//!
//! Left out on purpose: TLS and access control; the listener stays on loopback. Guarantees: it
//! only reads; silence itself turns `/readyz` red, so no wedged task can keep it green; while people
//! cannot be told by mail, it tells; a client that never hangs up keeps nothing for long; a web page elsewhere cannot read it by pointing its own name at
//! this machine.

use std::{
    collections::BTreeMap,
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::get,
    serve::Listener,
};
use futures_util::FutureExt as _;
use jiff::{SignedDuration, Timestamp};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Sleep, sleep},
};

use crate::clock::Clock;

/// A mailbox that has been silent for longer is a trouble; three times the renewal of IDLE.
pub(crate) const MAILBOX_SILENCE: SignedDuration = SignedDuration::from_mins(15);

/// The ledger is tried every minute; a few lost tries are not yet a trouble.
const LEDGER_SILENCE: SignedDuration = SignedDuration::from_mins(5);

/// When no mail has gone out for longer although some waits, nobody but an outside watcher can tell
/// people of it. Most mail servers are back within that.
const MAIL_SILENCE: SignedDuration = SignedDuration::from_hours(1);

/// How long answers under way may take once the daemon stops; well within its 10 s.
const GRACE: Duration = Duration::from_secs(2);

/// How many clients are served at once. Those who never hang up must not take the descriptors that
/// mailboxes and ledger need.
const CLIENTS: usize = 32;

/// How long any of them may stay.
const VISIT: Duration = Duration::from_secs(10);

/// Where to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// A loopback address and a port.
    pub listen: SocketAddr,
}

/// The latest signs of life. Whoever sees one writes it down; the verdict is made when asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vitals {
    /// When the ledger last proved writable.
    pub ledger: Option<Timestamp>,
    /// What keeps parts of the daemon from the ledger. Whoever met a trouble takes it away, once it
    /// has written what it then could not: where a large write fails, a small one may succeed.
    pub ledger_troubles: BTreeMap<Part, LedgerTrouble>,
    /// What does not reach people.
    pub mail: Mail,
    /// Mail whose origin no resolver has told yet.
    pub waiting: Option<WaitingMail>,
    /// How many companies lack numbers that they should have.
    pub overdue: u64,
    /// Each configured mailbox.
    pub mailboxes: BTreeMap<String, Signs>,
}

/// Who writes to the ledger.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Who looks after everything that is nobody else's.
    Keeper,
    /// Who sends mail.
    Dispatcher,
    /// Who asks again about mail that waits for a resolver.
    Asker,
    /// Who watches the mailbox of this name.
    Mailbox(String),
}

/// What keeps a part of the daemon from the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerTrouble {
    /// Since when.
    pub since: Timestamp,
    /// The ledger's words.
    pub words: String,
}

/// What does not reach people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mail {
    /// Mails that still wait after an attempt that failed.
    pub put_off: Option<PutOffMail>,
    /// How many mails were given up.
    pub failed: u64,
}

/// Mails that still wait after an attempt that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutOffMail {
    /// How many.
    pub mails: u64,
    /// Since when the first of them has waited.
    pub since: Timestamp,
    /// Since when none has gone out at all.
    pub none_sent_since: Timestamp,
    /// The server's words, fit to be shown.
    pub words: String,
}

/// Mail whose origin no resolver has told yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingMail {
    /// How many.
    pub mails: u64,
    /// Since when the first of them has waited.
    pub since: Timestamp,
    /// Why there was no answer, fit to be shown.
    pub words: String,
}

/// What is to be said of the daemon.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// One plain sentence for each thing that is not as it should be; without any, it is doing its
    /// job.
    pub troubles: Vec<String>,
    /// What a person should know all the same.
    pub remarks: Vec<String>,
}

/// The signs of life of one mailbox since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Signs {
    /// When it last answered with a tagged OK (a Maildir: was last read).
    pub last_ok: Option<Timestamp>,
    /// Whether all that was in it has been taken in once.
    pub scanned: bool,
    /// Since when it has failed, whatever was tried; `None` while it answers.
    pub failing_since: Option<Timestamp>,
}

impl Vitals {
    /// Whether every mailbox has been scanned since the start.
    pub fn is_scanned(&self) -> bool {
        self.mailboxes.values().all(|signs| signs.scanned)
    }

    /// Whether every mailbox has been scanned since the start, but for those that have failed for
    /// `patience` at `now`.
    pub fn is_surveyed(&self, now: Timestamp, patience: SignedDuration) -> bool {
        // A trouble that lies ahead began under a clock that was, and must not hold anything up.
        let given_up = |since| now.duration_since(since).abs() >= patience;
        self.mailboxes
            .values()
            .all(|signs| signs.scanned || signs.failing_since.is_some_and(given_up))
    }

    /// Writes down that `part` cannot write to the ledger; a trouble that is known goes on since
    /// when it began.
    pub fn misses_ledger(&mut self, part: Part, words: String, now: Timestamp) {
        let trouble = self.ledger_troubles.entry(part);
        let trouble = trouble.or_insert(LedgerTrouble {
            since: now,
            words: String::new(),
        });
        trouble.words = words;
    }

    /// Writes down that `part` has written to the ledger; returns whether it could not before.
    pub fn has_ledger(&mut self, part: &Part) -> bool {
        self.ledger_troubles.remove(part).is_some()
    }

    /// What keeps the daemon from the ledger, in one sentence: the trouble that has lasted longest.
    pub fn ledger_trouble(&self) -> Option<String> {
        let oldest = self.ledger_troubles.values().min_by_key(|one| one.since)?;
        let LedgerTrouble { since, words } = oldest;
        Some(format!(
            "the ledger cannot be written to since {since:.0}: {words}"
        ))
    }

    /// What is to be said of the daemon at `now`.
    pub fn verdict(&self, now: Timestamp) -> Verdict {
        let Verdict {
            mut troubles,
            mut remarks,
        } = Verdict::default();
        if let Some(trouble) = self.ledger_trouble() {
            troubles.push(trouble);
        } else if let Some(since) = silent(self.ledger, now, LEDGER_SILENCE) {
            troubles.push(format!("the ledger has not been writable {since}"));
        }
        for (name, signs) in &self.mailboxes {
            if let Some(since) = silent(signs.last_ok, now, MAILBOX_SILENCE) {
                troubles.push(format!("the mailbox {name} has been silent {since}"));
            }
        }
        // The daemon does its job: that numbers have not come is for a person to see to.
        if self.overdue > 0 {
            remarks.push(format!(
                "companies without the numbers that are due: {}; `invoice-trackd status` shows them",
                self.overdue
            ));
        }
        if let Some(put_off) = &self.mail.put_off {
            let PutOffMail { mails, words, .. } = put_off;
            let (silence, since) = (put_off.none_sent_since, put_off.since);
            if now.duration_since(silence) > MAIL_SILENCE {
                troubles.push(format!(
                    "no mail has gone out since {silence:.0}, waiting: {mails}; the last answer: {words}"
                ));
            } else {
                remarks.push(format!(
                    "mails put off: {mails}, since {since:.0}; the last answer: {words}"
                ));
            }
        }
        if let Some(WaitingMail {
            mails,
            since,
            words,
        }) = &self.waiting
        {
            remarks.push(format!(
                "mails waiting for a resolver (DNS): {mails}, since {since:.0}; the last words: {words}"
            ));
        }
        if self.mail.failed > 0 {
            remarks.push(format!(
                "mails given up: {}; `invoice-trackd outbox list` shows them",
                self.mail.failed
            ));
        }
        Verdict { troubles, remarks }
    }
}

/// Since when there has been no sign of life, where that is too long ago.
fn silent(last: Option<Timestamp>, now: Timestamp, most: SignedDuration) -> Option<String> {
    match last {
        None => Some("since the start".to_owned()),
        Some(last) if now.duration_since(last) > most => Some(format!("since {last:.0}")),
        Some(_) => None,
    }
}

/// Answers until `shutdown` completes, and a moment longer for answers under way.
///
/// # Errors
/// The listener has no address.
pub async fn serve(
    listener: TcpListener,
    vitals: watch::Receiver<Vitals>,
    clock: Clock,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let names = own_names(listener.local_addr()?);
    let routes = Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .with_state((vitals, clock))
        .layer(middleware::from_fn_with_state(names, refuse_foreign_names));
    let stopping = shutdown.shared();
    let door = Door {
        listener,
        places: Arc::new(Semaphore::new(CLIENTS)),
    };
    let served = axum::serve(door, routes).with_graceful_shutdown(stopping.clone());
    tokio::select! {
        served = served.into_future() => served,
        // A client that never finishes its request must not hold up the daemon.
        () = async { stopping.await; tokio::time::sleep(GRACE).await } => Ok(()),
    }
}

/// Lets in as many at once as there are places.
#[derive(Debug)]
struct Door {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

/// A client who must be gone by the end of his [`VISIT`].
#[derive(Debug)]
struct Visitor {
    stream: TcpStream,
    end: Pin<Box<Sleep>>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Listener for Door {
    type Io = Visitor;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Visitor, SocketAddr) {
        // Closed by nobody.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        let (stream, address) = Listener::accept(&mut self.listener).await;
        let visitor = Visitor {
            stream,
            end: Box::pin(sleep(VISIT)),
            _place: place,
        };
        (visitor, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Visitor {
    /// What `done` says, unless the visit is over.
    fn within<T>(
        &mut self,
        cx: &mut Context<'_>,
        done: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match self.end.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => done(Pin::new(&mut self.stream), cx),
        }
    }
}

impl AsyncRead for Visitor {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.within(cx, |stream, cx| stream.poll_read(cx, buf))
    }
}

impl AsyncWrite for Visitor {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.within(cx, |stream, cx| stream.poll_write(cx, bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.within(cx, AsyncWrite::poll_flush)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.within(cx, AsyncWrite::poll_shutdown)
    }
}

async fn ready(State((vitals, clock)): State<(watch::Receiver<Vitals>, Clock)>) -> Response {
    let verdict = vitals.borrow().verdict(clock.now());
    let (status, first) = if verdict.troubles.is_empty() {
        (StatusCode::OK, vec!["ready".to_owned()])
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, verdict.troubles)
    };
    let body = [first, verdict.remarks].concat().join("\n") + "\n";
    (status, body).into_response()
}

/// What a request from this machine may call us.
fn own_names(local: SocketAddr) -> Vec<String> {
    let port = local.port();
    let mut names = vec![local.to_string()];
    names.extend(["localhost", "127.0.0.1", "[::1]"].map(|host| format!("{host}:{port}")));
    names
}

/// A foreign name that leads here is DNS rebinding: RFC 9110 §7.4, §15.5.20.
async fn refuse_foreign_names(
    State(names): State<Vec<String>>,
    request: Request,
    next: Next,
) -> Response {
    // RFC 9112 §3.2.2: a name in the request line counts, and Host then does not.
    let named = match request.uri().authority() {
        Some(authority) => Some(authority.as_str()),
        None => {
            let mut hosts = request.headers().get_all(header::HOST).iter();
            match (hosts.next(), hosts.next()) {
                (Some(host), None) => host.to_str().ok(),
                // RFC 9112 §3.2: exactly one.
                _ => return (StatusCode::BAD_REQUEST, "one Host, please\n").into_response(),
            }
        }
    };
    let ours = named.is_some_and(|named| names.iter().any(|own| own.eq_ignore_ascii_case(named)));
    if ours {
        next.run(request).await
    } else {
        let body = "this is not the server of that name\n";
        (StatusCode::MISDIRECTED_REQUEST, body).into_response()
    }
}

#[cfg(test)]
mod tests;
