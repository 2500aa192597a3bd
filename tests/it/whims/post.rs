//! One mailbox as the daemon watches it, the real loop, on a ledger of its own: what is recorded,
//! what people were told, and what was logged.

use std::{
    fmt::Debug,
    future::Future,
    io,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use invoice_trackd::{
    clock::Clock,
    daemon::{Orders, Watch},
    delivery::{Language, Style},
    intake::Place,
    ledger::{AllocationFilter, Cause, Ledger, LinkState},
    mailbox::{Bounds, Imap, ImapSettings, Source},
    tls::TlsMode,
};
use jiff::{SignedDuration, Timestamp, civil::Date};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};
use tempfile::TempDir;
use tokio::{sync::watch, task::JoinHandle};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use crate::support::{
    self, daemon,
    dovecot::{Dovecot, PASSWORD},
    intake::{company, intake},
    outbox::style,
    watch::hurried,
};

/// For what takes milliseconds, on a machine that is busy with other tests.
const DEADLINE: Duration = Duration::from_secs(60);

/// Nothing but IDLE itself brings news in time, and no bound but the one that a test shortens is met.
pub const PATIENT: Bounds = Bounds {
    connect: Duration::from_secs(30),
    command: Duration::from_secs(30),
    answer: Duration::from_secs(60),
    idle: Duration::from_secs(600),
    done: Duration::from_secs(30),
    poll: Duration::from_millis(200),
    refile: Duration::ZERO,
};

/// The daemon's task for one mailbox; it ends with this value.
pub struct Post {
    pub ledger: Ledger,
    pub clock: Clock,
    /// For the next start.
    pub since: Option<Date>,
    home: TempDir,
    stop: watch::Sender<bool>,
    settings: ImapSettings,
    running: Option<JoinHandle<()>>,
}

fn noon() -> Timestamp {
    "2026-01-20T04:00:00Z".parse().unwrap()
}

impl Post {
    /// The daemon watches what `settings` name, with a ledger that knows nothing yet.
    pub async fn on(settings: ImapSettings) -> Self {
        let home = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&home.path().join("ledger.db"), noon())
            .await
            .unwrap();
        let mut post = Self {
            ledger,
            clock: Clock::manual(noon()),
            since: None,
            home,
            stop: watch::Sender::new(false),
            settings,
            running: None,
        };
        post.start();
        post
    }

    /// The daemon starts.
    pub fn start(&mut self) {
        let style = Style {
            language: Language::En,
            ..style()
        };
        let orders = Orders {
            source: Source::Imap(Imap::new(self.settings.clone())),
            place: Place {
                company: Some(company().ban),
                ..Place::default()
            },
            since: self.since,
            intake: intake(self.ledger.clone(), style),
        };
        self.stop = watch::Sender::new(false);
        let orders = watch::channel(Arc::new(orders)).1;
        let watch = Watch {
            pauses: hurried(),
            ..support::watch::watch(orders, self.clock.clone(), self.stop.subscribe())
        };
        self.running = Some(tokio::spawn(async move { watch.run().await.unwrap() }));
    }

    /// The daemon stops; what was in hand is written down.
    pub async fn stop(&mut self) {
        self.stop.send_replace(true);
        if let Some(running) = self.running.take() {
            running.await.unwrap();
        }
    }

    /// The power fails.
    pub async fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            running.abort();
            running.await.ok();
        }
    }

    /// What rests after a failure is due.
    pub fn later(&self) {
        self.clock
            .set(self.clock.now() + SignedDuration::from_mins(5));
    }

    pub async fn known(&self, uidvalidity: u32) -> String {
        let known = self.ledger.known("einvoice", Some(uidvalidity)).await;
        known.unwrap().uids.to_string()
    }

    pub async fn count(&self, disposition: &str) -> u64 {
        self.ledger.counts().await.unwrap()[disposition]
    }

    /// The tracks of the recorded ranges, one for each.
    pub async fn tracks(&self) -> Vec<String> {
        let rows = self.ledger.allocations(AllocationFilter::default()).await;
        let rows = rows.unwrap().into_iter();
        let mut tracks: Vec<String> = rows
            .map(|row| row.allocation.block.track.to_string())
            .collect();
        tracks.sort();
        tracks
    }

    /// Letters that wait in the outbox: confirmations, for nobody gathers alerts here.
    pub async fn confirmations(&self) -> u64 {
        self.ledger.outbox_counts().await.unwrap()["pending"]
    }

    /// What alerts are to be written about.
    pub async fn alerts(&self) -> Vec<String> {
        let mut transaction = self.ledger.begin().await.unwrap();
        let pending = transaction.pending::<Cause>().await.unwrap();
        pending.into_iter().map(|piece| piece.key).collect()
    }

    pub async fn state(&self) -> Option<LinkState> {
        let rows = self.ledger.mailboxes().await.unwrap();
        rows.into_iter().next().map(|row| row.state)
    }

    /// What is said against the mailbox while it is down.
    pub async fn trouble(&self) -> String {
        match self.state().await {
            Some(LinkState::Down(words)) => words,
            _ => String::new(),
        }
    }

    /// Waits until `look` finds `expected`.
    pub async fn until<T: PartialEq + Debug, F: Future<Output = T>>(
        &self,
        what: &str,
        expected: T,
        look: impl Fn() -> F,
    ) {
        let until = Instant::now() + DEADLINE;
        loop {
            let found = look().await;
            if found == expected {
                return;
            }
            assert!(
                Instant::now() < until,
                "{what}: expected {expected:?}, found {found:?}; the mailbox: {:?}",
                self.state().await
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn until_known(&self, what: &str, uidvalidity: u32, uids: &str) {
        self.until(what, uids.to_owned(), || self.known(uidvalidity))
            .await;
    }

    /// Changes the ledger's file behind the daemon's back, as no program of ours would.
    pub async fn by_hand(&self, statements: &str) {
        let mut file = SqliteConnectOptions::new()
            .filename(self.home.path().join("ledger.db"))
            .foreign_keys(false)
            .busy_timeout(Duration::from_secs(30))
            .connect()
            .await
            .unwrap();
        let statements = AssertSqlSafe(statements.to_owned());
        sqlx::raw_sql(statements).execute(&mut file).await.unwrap();
        file.close().await.unwrap();
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.abort();
        }
    }
}

pub fn notice(track: &str) -> String {
    String::from_utf8(daemon::notice(track)).unwrap()
}

pub fn forged(track: &str) -> String {
    notice(track).replace("einvoice@einvoice.nat.gov.tw\r", "x@example.com\r")
}

pub fn lunch() -> String {
    "From: a@example.com\r\nSubject: lunch\r\n\r\nat noon?\r\n".to_owned()
}

/// `folder` of the user ann.
pub fn at_dovecot(dovecot: &Dovecot, folder: &str, bounds: Bounds) -> ImapSettings {
    ImapSettings {
        name: "einvoice".to_owned(),
        host: "127.0.0.1".to_owned(),
        port: dovecot.imap_port,
        tls: TlsMode::None,
        ca_file: None,
        username: "ann".to_owned(),
        credential: PASSWORD.into(),
        folder: folder.to_owned(),
        after_import: None,
        bounds,
    }
}

/// What this program logs on this thread while this value lives; a test has one thread, unless it
/// asks for more.
pub struct Log {
    written: Written,
    _guard: DefaultGuard,
}

#[derive(Debug, Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Written {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Log {
    pub fn new() -> Self {
        let written = Written::default();
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new("invoice_trackd=info"))
            .with_ansi(false)
            .with_writer(written.clone())
            .finish();
        Self {
            written,
            _guard: tracing::subscriber::set_default(subscriber),
        }
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.written.0.lock().unwrap().clone()).unwrap()
    }
}
