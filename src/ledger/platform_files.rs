//! What the platform's own files say: their ranges one by one, what they say again of ranges that
//! were recorded before, and the mails that they may explain.
//!
//! Left out on purpose: whether a range may be recorded, and whether a file explains a mail.

use jiff::Timestamp;
use sqlx::sqlite::SqliteConnection;

use super::{
    AllocationRow, Earlier, Ledger, LedgerError, Transaction, allocations, columns::moment,
};
use crate::notice::{Allocation, Ban, Disposition, FileKind};

/// A mail of which nothing is wrong but that nobody knows whose numbers it brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unclaimed {
    /// `message.id`
    pub id: i64,
    /// What is kept of it.
    pub raw: Vec<u8>,
}

impl Ledger {
    /// Up to `most` mails in quarantine whose only defect is `unknown_company` and whose id is
    /// above `after`, in the order of their ids.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn unclaimed(&self, after: i64, most: u32) -> Result<Vec<Unclaimed>, LedgerError> {
        let failed = LedgerError::during("read whose company is not known");
        let mut connection = self.pool.acquire().await.map_err(failed)?;
        unclaimed(&mut connection, after, most).await
    }
}

impl Transaction {
    /// As [`Ledger::unclaimed`], seen from inside the transaction.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn unclaimed(
        &mut self,
        after: i64,
        most: u32,
    ) -> Result<Vec<Unclaimed>, LedgerError> {
        unclaimed(&mut self.inner, after, most).await
    }

    /// Records one range of the file with this `message.id`; returns `allocation.id`.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn record_row(
        &mut self,
        allocation: &Allocation,
        file: i64,
        kind: FileKind,
        now: Timestamp,
    ) -> Result<i64, LedgerError> {
        allocations::insert(&mut self.inner, allocation, file, Some(kind), now).await
    }

    /// Writes down that a file says again what a mail brought; once for each file. Returns whether
    /// that was new: what a file brought needs no other.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn confirm(
        &mut self,
        allocation: i64,
        file: i64,
        kind: FileKind,
        now: Timestamp,
    ) -> Result<bool, LedgerError> {
        let confirmed = sqlx::query(
            "INSERT INTO confirmed (allocation_id, message_id, source, confirmed_at)
             SELECT id, ?, ?, ? FROM allocation WHERE id = ? AND source = 'mail'
             ON CONFLICT DO NOTHING",
        )
        .bind(file)
        .bind(kind.as_str())
        .bind(moment(now))
        .bind(allocation)
        .execute(&mut *self.inner)
        .await
        .map_err(LedgerError::during("write down what a file confirms"))?;
        Ok(confirmed.rows_affected() > 0)
    }

    /// Makes a file that was recorded as a duplicate one that has brought something.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn brought(&mut self, file: i64) -> Result<(), LedgerError> {
        sqlx::query("UPDATE message SET disposition = 'imported' WHERE id = ?")
            .bind(file)
            .execute(&mut *self.inner)
            .await
            .map_err(LedgerError::during("record a file"))?;
        Ok(())
    }

    /// The row of a file with these bytes that was put into quarantine by itself, dismissed or not.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn row_in_quarantine(
        &mut self,
        sha256: &str,
    ) -> Result<Option<Earlier>, LedgerError> {
        let id: Option<i64> = sqlx::query_scalar(
            "SELECT id FROM message
             WHERE sha256 = ? AND copy_of IS NULL AND source <> 'mail'
                 AND +disposition = 'quarantined'
             ORDER BY id LIMIT 1",
        )
        .bind(sha256)
        .fetch_optional(&mut *self.inner)
        .await
        .map_err(LedgerError::during("look for the same row"))?;
        Ok(id.map(|id| Earlier {
            id,
            disposition: Disposition::Quarantined,
        }))
    }

    /// What a message granted to one company and is in force, in the order of period, track and
    /// number. A file may grant to thousands, and each is told: so the company is what it is found by.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn granted_to(
        &mut self,
        ban: Ban,
        message: i64,
    ) -> Result<Vec<AllocationRow>, LedgerError> {
        allocations::granted_to(&mut self.inner, ban, message).await
    }
}

async fn unclaimed(
    connection: &mut SqliteConnection,
    after: i64,
    most: u32,
) -> Result<Vec<Unclaimed>, LedgerError> {
    let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(
        "SELECT id, raw FROM message
         WHERE disposition = 'quarantined' AND id > ? AND copy_of IS NULL
             AND dismissed_at IS NULL AND source = 'mail' AND raw IS NOT NULL
             AND (SELECT group_concat(DISTINCT code) FROM finding
                  WHERE message_id = message.id AND severity = 'defect') = 'unknown_company'
         ORDER BY id LIMIT ?",
    )
    .bind(after)
    .bind(most)
    .fetch_all(connection)
    .await
    .map_err(LedgerError::during("read whose company is not known"))?;
    let rows = rows.into_iter();
    Ok(rows.map(|(id, raw)| Unclaimed { id, raw }).collect())
}
