//! Messages that a server has failed to hand over.
//!
//! A suspect is not accounted for, and so is asked for again, until it has a message row or stands
//! in a run of UIDs. One that is unfetchable gets a row without bytes that stands in for it, and is
//! asked for all the same; when it comes at last, that very row says what became of it.
//!
//! Left out on purpose: how often is too often, which is [`Suspicion`]'s.
//!
//! Guarantee: what has been recorded is no suspect any more, in the same transaction.

use jiff::Timestamp;
use sqlx::sqlite::SqliteConnection;

use super::{
    Ledger, LedgerError, Transaction,
    columns::{moment, parsed},
};
use crate::mailbox::{Origin, Suspicion, UidSet};

impl Ledger {
    /// A folder's suspects: those that are due at `now`, in the order in which to ask for them,
    /// and those that are left alone for now.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn suspects(
        &self,
        mailbox: &str,
        uidvalidity: u32,
        now: Timestamp,
    ) -> Result<(Vec<u32>, UidSet), LedgerError> {
        // What failed in the future was written by a clock that has since been set back.
        let rows: Vec<(u32, bool)> = sqlx::query_as(
            "SELECT uid, next_try_at <= ?3 OR coalesce(last_failed_at > ?3, FALSE) FROM suspect
             WHERE mailbox = ?1 AND uidvalidity = ?2
             ORDER BY next_try_at, uid",
        )
        .bind(mailbox)
        .bind(uidvalidity)
        .bind(moment(now))
        .fetch_all(&self.pool)
        .await
        .map_err(LedgerError::during("read suspects"))?;
        let of = |wanted| {
            let rows = rows.iter().filter(move |(_, is_due)| *is_due == wanted);
            rows.map(|(uid, _)| *uid)
        };
        Ok((of(true).collect(), of(false).collect()))
    }

    /// When the next of a folder's suspects is to be asked for; `None` where there is none.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn next_suspect_at(
        &self,
        mailbox: &str,
        uidvalidity: u32,
    ) -> Result<Option<Timestamp>, LedgerError> {
        let at: Option<String> = sqlx::query_scalar(
            "SELECT min(next_try_at) FROM suspect WHERE mailbox = ? AND uidvalidity = ?",
        )
        .bind(mailbox)
        .bind(uidvalidity)
        .fetch_one(&self.pool)
        .await
        .map_err(LedgerError::during("look for the next suspect"))?;
        at.map(|at| parsed("suspect.next_try_at", &at)).transpose()
    }
}

impl Transaction {
    /// Suspects all of `uids`: they were asked for together, and that failed. They are due at
    /// once; one that is suspected already stays as it is.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn suspect(
        &mut self,
        mailbox: &str,
        uidvalidity: u32,
        uids: &UidSet,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        for uid in uids.runs().iter().flat_map(|&(first, last)| first..=last) {
            sqlx::query(
                "INSERT INTO suspect (mailbox, uidvalidity, uid, next_try_at) VALUES (?, ?, ?, ?)
                 ON CONFLICT DO NOTHING",
            )
            .bind(mailbox)
            .bind(uidvalidity)
            .bind(uid)
            .bind(moment(now))
            .execute(&mut *self.inner)
            .await
            .map_err(LedgerError::during("suspect a message"))?;
        }
        Ok(())
    }

    /// Writes down that `uid` alone could not be fetched, in the words of the error; whether that
    /// `counts` against it is the caller's to know. Returns all that is held against it.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn failed_alone(
        &mut self,
        mailbox: &str,
        uidvalidity: u32,
        uid: u32,
        counts: bool,
        words: &str,
        now: Timestamp,
    ) -> Result<Suspicion, LedgerError> {
        let failed = LedgerError::during("write down a message that could not be fetched");
        type Columns = (u32, String, String, String, bool);
        let before: Option<Columns> = sqlx::query_as(
            "SELECT failures, first_failed_at, last_failed_at, words, message_id IS NOT NULL
             FROM suspect
             WHERE mailbox = ? AND uidvalidity = ? AND uid = ? AND last_failed_at IS NOT NULL",
        )
        .bind(mailbox)
        .bind(uidvalidity)
        .bind(uid)
        .fetch_optional(&mut *self.inner)
        .await
        .map_err(failed)?;
        let suspicion = match before {
            None => Suspicion::new(uid, counts, words, now),
            Some((failures, first, last, last_words, quarantined)) => Suspicion {
                uid,
                failures,
                first_failed_at: parsed("suspect.first_failed_at", &first)?,
                last_failed_at: parsed("suspect.last_failed_at", &last)?,
                words: last_words,
                quarantined,
            }
            .again(counts, words, now),
        };
        sqlx::query(
            "INSERT INTO suspect (mailbox, uidvalidity, uid, failures, first_failed_at,
                 last_failed_at, words, next_try_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT DO UPDATE SET failures = excluded.failures,
                 first_failed_at = excluded.first_failed_at,
                 last_failed_at = excluded.last_failed_at, words = excluded.words,
                 next_try_at = excluded.next_try_at",
        )
        .bind(mailbox)
        .bind(uidvalidity)
        .bind(uid)
        .bind(suspicion.failures)
        .bind(moment(suspicion.first_failed_at))
        .bind(moment(suspicion.last_failed_at))
        .bind(&suspicion.words)
        .bind(moment(suspicion.next_try_at()))
        .execute(&mut *self.inner)
        .await
        .map_err(failed)?;
        Ok(suspicion)
    }

    /// Suspects none of `uids` any more: they have left the folder. A row that stands in for one
    /// of them stays as it is, for a person has been told of it.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn acquit(
        &mut self,
        mailbox: &str,
        uidvalidity: u32,
        uids: &UidSet,
    ) -> Result<(), LedgerError> {
        acquit(&mut self.inner, mailbox, uidvalidity, uids).await?;
        Ok(())
    }
}

/// Suspects a message no more, now that it has come. A row that stood in for it has nothing held
/// against it any more; returns its `message.id`.
pub(super) async fn came(
    connection: &mut SqliteConnection,
    origin: &Origin,
) -> Result<Option<i64>, LedgerError> {
    let Origin::Imap {
        mailbox,
        uidvalidity,
        uid,
    } = origin
    else {
        return Ok(None);
    };
    let uids = UidSet::from_iter([*uid]);
    let stood_in = acquit(connection, mailbox, *uidvalidity, &uids).await?;
    let Some(&(_, id)) = stood_in.first() else {
        return Ok(None);
    };
    sqlx::query("DELETE FROM finding WHERE message_id = ?")
        .bind(id)
        .execute(connection)
        .await
        .map_err(LedgerError::during("take back what was found"))?;
    Ok(Some(id))
}

/// Lets the message row `id` stand in for a message that is unfetchable.
pub(super) async fn stand_in(
    connection: &mut SqliteConnection,
    origin: &Origin,
    id: i64,
) -> Result<(), LedgerError> {
    if let Origin::Imap {
        mailbox,
        uidvalidity,
        uid,
    } = origin
    {
        sqlx::query(
            "UPDATE suspect SET message_id = ? WHERE mailbox = ? AND uidvalidity = ? AND uid = ?",
        )
        .bind(id)
        .bind(mailbox)
        .bind(uidvalidity)
        .bind(uid)
        .execute(connection)
        .await
        .map_err(LedgerError::during("let a row stand in for a message"))?;
    }
    Ok(())
}

/// Suspects none of `uids` any more, whose headers said that they are nothing of ours; returns
/// those of them that have a row, because one stood in for them.
pub(super) async fn unrelated(
    connection: &mut SqliteConnection,
    mailbox: &str,
    uidvalidity: u32,
    uids: &UidSet,
) -> Result<UidSet, LedgerError> {
    let stood_in = acquit(connection, mailbox, uidvalidity, uids).await?;
    for (_, id) in &stood_in {
        for statement in [
            "DELETE FROM finding WHERE message_id = ?",
            "UPDATE message SET disposition = 'unrelated', dismissed_at = NULL WHERE id = ?",
        ] {
            sqlx::query(statement)
                .bind(id)
                .execute(&mut *connection)
                .await
                .map_err(LedgerError::during("pass over a message that has come"))?;
        }
    }
    Ok(stood_in.into_iter().map(|(uid, _)| uid).collect())
}

/// Suspects none of `uids` any more; returns those of them for which a message row stands in,
/// with its `message.id`.
async fn acquit(
    connection: &mut SqliteConnection,
    mailbox: &str,
    uidvalidity: u32,
    uids: &UidSet,
) -> Result<Vec<(u32, i64)>, LedgerError> {
    let mut stand_ins = Vec::new();
    for &(first, last) in uids.runs() {
        let rows: Vec<(u32, Option<i64>)> = sqlx::query_as(
            "DELETE FROM suspect
             WHERE mailbox = ? AND uidvalidity = ? AND uid BETWEEN ? AND ?
             RETURNING uid, message_id",
        )
        .bind(mailbox)
        .bind(uidvalidity)
        .bind(first)
        .bind(last)
        .fetch_all(&mut *connection)
        .await
        .map_err(LedgerError::during("suspect messages no more"))?;
        stand_ins.extend(rows.into_iter().filter_map(|(uid, id)| Some((uid, id?))));
    }
    Ok(stand_ins)
}
