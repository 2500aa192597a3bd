//! The ledger: a SQLite file that says, for ever, which numbers were allocated to whom.
//!
//! All SQL of the program lives in this room. WAL, `synchronous=FULL`, STRICT tables, forward-only
//! migrations; it refuses a database newer than itself and one that is not its own. Writers use
//! `BEGIN IMMEDIATE`: a deferred transaction that reads and then writes gets SQLITE_BUSY at once,
//! whatever the busy timeout.
//!
//! Guarantees: a message, its evidence, its findings, its allocations and the mails about it are
//! recorded together or not at all; a recorded allocation is never changed or deleted (triggers
//! say so to every program); the message row is the cursor, there is no other.
//!
//! Left out on purpose: any opinion on what a mail means.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use sqlx::SqlitePool;
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::{
    mailbox::RawMessage,
    notice::{Block, Recorded},
};

mod alarms;
mod allocations;
mod columns;
mod condition;
mod decisions;
mod filing;
mod handed;
mod lock;
mod mailboxes;
mod messages;
mod news;
mod open;
mod outbox;
mod pace;
mod platform_files;
mod quarantine;
mod suspects;
mod targets;
mod uid_runs;
mod waiting;

#[cfg(test)]
mod tests;

pub use self::{
    alarms::{Alarm, Alarms},
    allocations::{AllocationFilter, AllocationRow, Handing},
    condition::{Condition, Stage},
    decisions::{Decision, DecisionRow},
    handed::{Handed, HandedOver, HandedState, Standing},
    lock::{Daemon, DaemonLock},
    mailboxes::{LinkState, MailboxRow},
    messages::{Counts, Earlier, Entry},
    news::{
        AlertWindow, Arrived, Cause, Come, Fallen, FoundIn, Import, Missing, News, Overdue, Past,
        Pending, Quarantined, Reason, Reminded, Reminder, Watched,
    },
    outbox::{
        Declined, Kind, Lease, Letter, OutboxCounts, OutboxDecision, OutboxRecipient, OutboxRow,
        OutboxState, PutOff, Recipient, RecipientState, Settled,
    },
    platform_files::Unclaimed,
    quarantine::{QuarantineRow, StoredEvidence, StoredMessage},
    targets::Target,
    waiting::{Ticket, Unanswered, Wait, Waiting},
};

/// How long a writer waits for another process, such as `ingest` beside the daemon.
const BUSY: Duration = Duration::from_secs(30);

/// How long a writer waits for those before it in this process; longer than [`BUSY`], for which
/// the first of them may be waiting.
const TURN: Duration = Duration::from_secs(60);

/// An open ledger; cheap to clone, all clones share one pool.
#[derive(Debug, Clone)]
pub struct Ledger {
    pool: SqlitePool,
    /// What was opened, to be told from what may stand in its place later.
    file: Arc<open::Opened>,
    created_at: Timestamp,
    /// Writers of this process queue here, first come first served, and only the first of them
    /// asks SQLite. Its own waiting is a poll without order: under load somebody always loses,
    /// and each loser would hold a connection that a reader could use.
    turn: Arc<Mutex<()>>,
}

/// One write transaction, `BEGIN IMMEDIATE`. Dropped without [`Transaction::commit`], nothing of
/// it ever happened.
///
/// One task must not begin a second one while it holds the first: it would wait for itself until
/// the bound.
#[derive(Debug)]
pub struct Transaction {
    inner: sqlx::Transaction<'static, sqlx::Sqlite>,
    /// Held to the end. After a drop the next writer may come a moment before SQLite has rolled
    /// back; it then waits as it would for another process.
    _turn: OwnedMutexGuard<()>,
}

/// Why the ledger could not do something.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// SQLite said no: busy, full, unreadable. Tried again.
    #[error("{operation}: {source}")]
    Sqlite {
        /// What was being done, e.g. `record message`.
        operation: &'static str,
        /// What SQLite said.
        source: sqlx::Error,
    },
    /// SQLite met what it cannot have written. Opening the ledger anew looks at all of it, and
    /// refuses it.
    #[error("{operation}: the ledger is damaged: {source}")]
    Damaged {
        /// What was being done.
        operation: &'static str,
        /// What SQLite said.
        source: sqlx::Error,
    },
    /// The file was deleted, or another one put in its place, under whoever had it open: what was
    /// written now nobody would ever see.
    #[error(
        "the ledger {path} was deleted or replaced while it was in use; nothing more is written to the old one, and what is there now is used from the next start on"
    )]
    Replaced {
        /// The file.
        path: PathBuf,
    },
    /// The lock file was deleted or replaced under the daemon that holds it.
    #[error(
        "the lock file {path} was deleted or replaced while it was in use: another daemon may run on the ledger by now, so this one ends"
    )]
    Unlocked {
        /// The lock file.
        path: PathBuf,
    },
    /// The file was written by a later version of this program.
    #[error(
        "the ledger {path} is at schema {found}, this program knows {known}: install the version that wrote it, or a later one"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema version.
        found: i64,
        /// The newest version known here.
        known: i64,
    },
    /// Opened for reading only, but its schema is from before this version.
    #[error(
        "the ledger {path} is at schema {found}, this program needs {known}: start the daemon once, it brings the ledger up to date"
    )]
    Older {
        /// The file.
        path: PathBuf,
        /// Its schema version.
        found: i64,
        /// The version needed.
        known: i64,
    },
    /// The file is something else, or damaged.
    #[error("{path} is not a ledger that can be used ({reason}); it was left as it is")]
    NotALedger {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// Another daemon has it.
    #[error(
        "another invoice-trackd runs on the ledger {path} (process {pid}); stop that one first"
    )]
    Locked {
        /// The file.
        path: PathBuf,
        /// The other process, as it wrote itself down.
        pid: String,
    },
    /// The directory or the lock file cannot be used.
    #[error("open the ledger {path}{}: {source}", hint(.source))]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A mailbox's name stands for another place than before.
    #[error(
        "the mailbox `{name}` was {was} when its messages were accounted for, and is {is} now: give it a new name, so that all of its mail is looked at (nothing is recorded twice)"
    )]
    Moved {
        /// The configured name.
        name: String,
        /// Where it was.
        was: String,
        /// Where it is said to be now.
        is: String,
    },
    /// A row holds what this program would never have written.
    #[error("the ledger holds a row that cannot be read: {0}")]
    BadRow(String),
}

/// The ledger belongs to the service, and people forget who they are.
fn hint(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => " (root may, and the service's user)",
        _ => "",
    }
}

impl LedgerError {
    /// Whether trying again may help. Unknown trouble is temporary; a foreign or newer file,
    /// another daemon, a mailbox that moved and an unreadable row are not.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Sqlite { .. } | Self::Io { .. }) || self.needs_a_new_start()
    }

    /// Whether nothing may be written any more by whoever has the ledger open, and only opening it
    /// anew can tell how it stands.
    pub fn needs_a_new_start(&self) -> bool {
        matches!(
            self,
            Self::Damaged { .. } | Self::Replaced { .. } | Self::Unlocked { .. }
        )
    }

    /// What is wrong, without what was being done: `database or disk is full`.
    pub fn in_short(&self) -> String {
        match self {
            Self::Sqlite {
                source: sqlx::Error::Database(said),
                ..
            } => said.message().to_owned(),
            other => other.to_string(),
        }
    }
}

impl LedgerError {
    /// Puts the name of the operation to what SQLite said; for `map_err`.
    fn during(operation: &'static str) -> impl Fn(sqlx::Error) -> Self + Copy {
        move |source| match source {
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
                Self::BadRow(source.to_string())
            }
            source if open::is_damage(&source) => Self::Damaged { operation, source },
            source => Self::Sqlite { operation, source },
        }
    }
}

impl Ledger {
    /// Opens the ledger, creating and migrating it as needed. `now` becomes the moment of
    /// creation of a new one. The directory must exist.
    ///
    /// # Errors
    /// See [`LedgerError`]; an existing file that is not ours is never written to.
    pub async fn open(path: &Path, now: Timestamp) -> Result<Self, LedgerError> {
        open::for_writing(path, now).await
    }

    /// Whether there is a file at all.
    ///
    /// # Errors
    /// [`LedgerError::Io`] where that cannot be seen, and [`LedgerError::NotALedger`] for what is no
    /// file.
    pub fn exists(path: &Path) -> Result<bool, LedgerError> {
        open::exists(path)
    }

    /// Opens an existing ledger for reading; `None` where there is no file.
    ///
    /// # Errors
    /// As [`Ledger::open`], and [`LedgerError::Older`].
    pub async fn open_for_reading(path: &Path) -> Result<Option<Self>, LedgerError> {
        open::for_reading(path).await
    }

    /// Takes the right to be the one daemon on this ledger, for as long as the lock lives.
    ///
    /// # Errors
    /// [`LedgerError::Locked`] when another process has it.
    pub fn lock(path: &Path) -> Result<DaemonLock, LedgerError> {
        lock::lock(path)
    }

    /// The daemon that runs on the ledger at `path`; `None` when none does.
    pub fn daemon(path: &Path) -> Option<Daemon> {
        lock::daemon(path)
    }

    /// When the ledger was created.
    pub fn created_at(&self) -> Timestamp {
        self.created_at
    }

    /// Begins a write transaction.
    ///
    /// # Errors
    /// SQLite's, e.g. busy beyond the bound of 30 s; [`LedgerError::Replaced`].
    pub async fn begin(&self) -> Result<Transaction, LedgerError> {
        let failed = LedgerError::during("begin a transaction");
        let turn = tokio::time::timeout(TURN, Arc::clone(&self.turn).lock_owned())
            .await
            .map_err(|_| failed(sqlx::Error::PoolTimedOut))?;
        let begun = self.pool.begin_with("BEGIN IMMEDIATE").await;
        // First: where the pool needs a new connection to a file that is gone, SQLite says no more
        // than that it cannot be opened, as of trouble that passes.
        self.file.is_in_its_place()?;
        let inner = begun.map_err(failed)?;
        Ok(Transaction { inner, _turn: turn })
    }

    /// The ranges in force with which any of `blocks` can collide, for `explain`: in its track and
    /// period every one that shares a number with it, and of its track in another period of that
    /// ROC year at least one, where there is one.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn neighbours(&self, blocks: &[Block]) -> Result<Vec<Recorded>, LedgerError> {
        let failed = LedgerError::during("look for neighbouring ranges");
        let mut connection = self.pool.acquire().await.map_err(failed)?;
        allocations::neighbours(&mut connection, blocks).await
    }

    /// As [`Transaction::judged_before`], for `explain`.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn judged_before(
        &self,
        message: &RawMessage,
        sha256: &str,
    ) -> Result<Option<Earlier>, LedgerError> {
        let failed = LedgerError::during("look for the same bytes");
        let mut connection = self.pool.acquire().await.map_err(failed)?;
        messages::judged_before(&mut connection, message, sha256).await
    }

    /// Proves that the ledger can be written to, by writing durably what stands there already.
    ///
    /// # Errors
    /// SQLite's, e.g. a full disk.
    pub async fn prove_writable(&self) -> Result<(), LedgerError> {
        let mut transaction = self.begin().await?;
        sqlx::query("UPDATE ledger SET created_at = created_at")
            .execute(&mut *transaction.inner)
            .await
            .map_err(LedgerError::during("write to the ledger"))?;
        transaction.commit().await
    }

    /// Closes the pool; what was begun and not committed is gone.
    pub async fn close(self) {
        self.pool.close().await;
    }
}

impl Transaction {
    /// Makes everything since [`Ledger::begin`] true, durably.
    ///
    /// # Errors
    /// SQLite's; then none of it happened.
    pub async fn commit(self) -> Result<(), LedgerError> {
        let Self { inner, _turn } = self;
        inner.commit().await.map_err(LedgerError::during("commit"))
    }

    /// As [`Ledger::neighbours`], seen from inside the transaction.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn neighbours(&mut self, blocks: &[Block]) -> Result<Vec<Recorded>, LedgerError> {
        allocations::neighbours(&mut self.inner, blocks).await
    }
}
