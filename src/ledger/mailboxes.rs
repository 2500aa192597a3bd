//! What is known of each watched mailbox: whether it answers, and whether it was scanned before.
//!
//! Left out on purpose: a position in the folder. What is accounted for is a set
//! ([`Ledger::known`]), and only a set can be compared with the server's.

use std::collections::BTreeMap;

use jiff::{Timestamp, civil::Date};
use sqlx::sqlite::SqliteConnection;

use super::{
    Ledger, LedgerError, Transaction,
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

    /// Holds mailboxes, each given as name and place, to their places, all of them or none: a name
    /// means one folder for ever, because the UIDs that are accounted for under it mean nothing in
    /// another, and mail there would pass for known. While nothing is accounted for, the place is
    /// the operator's to mend.
    ///
    /// # Errors
    /// [`LedgerError::Moved`] when a name stood for another place before; SQLite's.
    pub async fn hold_to_places(&self, places: &[(&str, String)]) -> Result<(), LedgerError> {
        // A reload that moves nothing waits for no writer: on a busy ledger it would be refused.
        if self.are_held(places).await? {
            return Ok(());
        }
        let mut transaction = self.begin().await?;
        for (name, place) in places {
            hold_to_place(&mut transaction.inner, name, place).await?;
        }
        transaction.commit().await
    }

    /// Whether all of these are written down as they are.
    async fn are_held(&self, places: &[(&str, String)]) -> Result<bool, LedgerError> {
        for (name, place) in places {
            let is_held: bool = sqlx::query_scalar(
                "SELECT EXISTS (SELECT 1 FROM mailbox WHERE name = ? AND place = ?)",
            )
            .bind(name)
            .bind(place)
            .fetch_one(&self.pool)
            .await
            .map_err(LedgerError::during("read where a mailbox is"))?;
            if !is_held {
                return Ok(false);
            }
        }
        Ok(true)
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

    /// The mailboxes of which people have been told that they do not answer, and when they were.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn alarmed(&self) -> Result<BTreeMap<String, Timestamp>, LedgerError> {
        let rows: Vec<(String, String)> =
            sqlx::query_as("SELECT name, alarmed_at FROM mailbox WHERE alarmed_at IS NOT NULL")
                .fetch_all(&self.pool)
                .await
                .map_err(LedgerError::during("read which mailboxes are missed"))?;
        rows.into_iter()
            .map(|(name, at)| Ok((name, parsed("mailbox.alarmed_at", &at)?)))
            .collect()
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

impl Transaction {
    /// Writes down that people are told that a mailbox does not answer, or (`None`) that it does
    /// again.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn set_alarmed(
        &mut self,
        mailbox: &str,
        at: Option<Timestamp>,
    ) -> Result<(), LedgerError> {
        sqlx::query("UPDATE mailbox SET alarmed_at = ? WHERE name = ?")
            .bind(at.map(moment))
            .bind(mailbox)
            .execute(&mut *self.inner)
            .await
            .map_err(LedgerError::during("write down that a mailbox is missed"))?;
        Ok(())
    }
}

async fn hold_to_place(
    connection: &mut SqliteConnection,
    name: &str,
    place: &str,
) -> Result<(), LedgerError> {
    let failed = LedgerError::during("write down where a mailbox is");
    let held: Option<String> = sqlx::query_scalar(
        "INSERT INTO mailbox (name, place) VALUES (?, ?)
         ON CONFLICT (name) DO UPDATE SET place = coalesce(place, excluded.place)
         RETURNING place",
    )
    .bind(name)
    .bind(place)
    .fetch_optional(&mut *connection)
    .await
    .map_err(failed)?;
    let Some(was) = held.filter(|held| held != place) else {
        return Ok(());
    };
    let is_accounted_for: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM message WHERE mailbox = ?1)
             OR EXISTS (SELECT 1 FROM uid_run WHERE mailbox = ?1)",
    )
    .bind(name)
    .fetch_one(&mut *connection)
    .await
    .map_err(failed)?;
    if is_accounted_for {
        return Err(LedgerError::Moved {
            name: name.to_owned(),
            was,
            is: place.to_owned(),
        });
    }
    for statement in [
        "UPDATE mailbox SET place = ?2, last_ok_at = NULL, trouble = NULL WHERE name = ?1",
        "DELETE FROM scan WHERE mailbox = ?1",
        "DELETE FROM suspect WHERE mailbox = ?1",
    ] {
        sqlx::query(statement)
            .bind(name)
            .bind(place)
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
    }
    Ok(())
}
