//! What is known of each watched mailbox: whether it answers, and whether it was scanned before.
//!
//! Left out on purpose: a position in the folder. What is accounted for is a set
//! ([`Ledger::known`]), and only a set can be compared with the server's.

use jiff::{Timestamp, civil::Date};

use super::{
    Ledger, LedgerError,
    columns::{moment, parsed},
    uid_runs::{self, Reason},
};
use crate::mailbox::UidSet;

/// Whether a mailbox answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkState {
    /// The last thing it did was to answer.
    Up,
    /// The last attempt failed; in the words of the error.
    Down(String),
}

/// A mailbox as the daemon last saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxRow {
    /// The configured name.
    pub name: String,
    /// The last tagged OK (for a Maildir: the last complete look).
    pub last_ok_at: Option<Timestamp>,
    /// Whether it answers.
    pub state: LinkState,
}

impl Ledger {
    /// Whether this folder, under this UIDVALIDITY, has been scanned from `since` on or from an
    /// earlier day. If not, [`Ledger::begin_scan`] comes first: an earlier `since` than the one
    /// before opens again what that one left out.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn is_scanned(
        &self,
        mailbox: &str,
        uidvalidity: u32,
        since: Date,
    ) -> Result<bool, LedgerError> {
        sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM scan
             WHERE mailbox = ? AND uidvalidity = ? AND since <= ?)",
        )
        .bind(mailbox)
        .bind(uidvalidity)
        .bind(since.to_string())
        .fetch_one(&self.pool)
        .await
        .map_err(LedgerError::during("read what was scanned"))
    }

    /// Begins the account of a folder, or begins it anew from another day: `older` lies before
    /// `since` and is left out, and what an earlier call left out is not any more.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn begin_scan(
        &self,
        mailbox: &str,
        uidvalidity: u32,
        since: Date,
        older: &UidSet,
    ) -> Result<(), LedgerError> {
        let mut transaction = self.begin().await?;
        sqlx::query(
            "INSERT INTO scan (mailbox, uidvalidity, since) VALUES (?, ?, ?)
             ON CONFLICT (mailbox, uidvalidity) DO UPDATE SET since = excluded.since",
        )
        .bind(mailbox)
        .bind(uidvalidity)
        .bind(since.to_string())
        .execute(&mut *transaction.inner)
        .await
        .map_err(LedgerError::during("begin a scan"))?;
        uid_runs::forget(&mut transaction.inner, mailbox, uidvalidity, Reason::Older).await?;
        uid_runs::add(
            &mut transaction.inner,
            mailbox,
            uidvalidity,
            Reason::Older,
            older,
        )
        .await?;
        transaction.commit().await
    }

    /// Holds a mailbox to its place: a name means one folder for ever, because the UIDs that are
    /// accounted for under it mean nothing in another, and mail there would pass for known.
    ///
    /// # Errors
    /// [`LedgerError::Moved`] when the name stood for another place before; SQLite's.
    pub async fn hold_to_place(&self, name: &str, place: &str) -> Result<(), LedgerError> {
        let failed = LedgerError::during("write down where a mailbox is");
        let mut transaction = self.begin().await?;
        let held: String = sqlx::query_scalar(
            "INSERT INTO mailbox (name, place) VALUES (?, ?)
             ON CONFLICT (name) DO UPDATE SET place = coalesce(place, excluded.place)
             RETURNING place",
        )
        .bind(name)
        .bind(place)
        .fetch_one(&mut *transaction.inner)
        .await
        .map_err(failed)?;
        if held != place {
            return Err(LedgerError::Moved {
                name: name.to_owned(),
                was: held,
                is: place.to_owned(),
            });
        }
        transaction.commit().await
    }

    /// Writes down that a mailbox answered, or why it did not.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn saw_mailbox(
        &self,
        name: &str,
        state: &LinkState,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        let (last_ok_at, trouble) = match state {
            LinkState::Up => (Some(moment(now)), None),
            LinkState::Down(trouble) => (None, Some(trouble)),
        };
        let mut transaction = self.begin().await?;
        sqlx::query(
            "INSERT INTO mailbox (name, last_ok_at, trouble) VALUES (?, ?, ?)
             ON CONFLICT (name) DO UPDATE SET
                 last_ok_at = coalesce(excluded.last_ok_at, last_ok_at),
                 trouble = excluded.trouble",
        )
        .bind(name)
        .bind(last_ok_at)
        .bind(trouble)
        .execute(&mut *transaction.inner)
        .await
        .map_err(LedgerError::during("write down how a mailbox is"))?;
        transaction.commit().await
    }

    /// All mailboxes ever seen, by name.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn mailboxes(&self) -> Result<Vec<MailboxRow>, LedgerError> {
        let rows: Vec<(String, Option<String>, Option<String>)> =
            sqlx::query_as("SELECT name, last_ok_at, trouble FROM mailbox ORDER BY name")
                .fetch_all(&self.pool)
                .await
                .map_err(LedgerError::during("read mailboxes"))?;
        rows.into_iter()
            .map(|(name, last_ok_at, trouble)| {
                let last_ok_at = last_ok_at
                    .map(|at| parsed("mailbox.last_ok_at", &at))
                    .transpose()?;
                let state = trouble.map_or(LinkState::Up, LinkState::Down);
                Ok(MailboxRow {
                    name,
                    last_ok_at,
                    state,
                })
            })
            .collect()
    }
}
