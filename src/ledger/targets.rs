//! How the systems stand that numbers are handed to: whether one wants nothing any more, and what
//! people were told of it.
//!
//! Guarantee: that a system wants nothing any more is written down with the attempt in which it said
//! so, and told once. Left out on purpose: which systems are configured; one that is no more keeps
//! what was written of it.

use jiff::Timestamp;
use sqlx::sqlite::SqliteConnection;

use super::{
    Cause, Lease, Ledger, LedgerError, Transaction,
    columns::{moment, parsed},
    news,
};

/// How a system stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// When it said that it wants nothing any more (HTTP 410); `None` while it takes what comes.
    pub stopped_at: Option<Timestamp>,
    /// When people were told that it takes nothing; `None` while it does, or they were not.
    pub alarmed_at: Option<Timestamp>,
    /// When it last took something; `None` where it never did.
    pub taken_at: Option<Timestamp>,
    /// How many hand-offs wait for it.
    pub waiting: u64,
}

impl Ledger {
    /// How the system of this name stands.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn target(&self, name: &str) -> Result<Target, LedgerError> {
        type Columns = (Option<String>, Option<String>, Option<String>, u64);
        // The last one that was taken is looked for by its attempt, which has an index.
        let (stopped_at, alarmed_at, taken_at, waiting): Columns = sqlx::query_as(
            "SELECT (SELECT stopped_at FROM handoff_target WHERE name = ?1),
                 (SELECT alarmed_at FROM handoff_target WHERE name = ?1),
                 (SELECT sent_at FROM outbox
                  WHERE target = ?1 AND attempted_at IS NOT NULL AND state = 'sent'
                  ORDER BY attempted_at DESC LIMIT 1),
                 (SELECT count(*) FROM outbox
                  WHERE target = ?1 AND next_attempt_at IS NOT NULL)",
        )
        .bind(name)
        .fetch_one(&self.pool)
        .await
        .map_err(LedgerError::during("read how a system stands"))?;
        let at =
            |column: &str, text: Option<String>| text.map(|text| parsed(column, &text)).transpose();
        Ok(Target {
            stopped_at: at("handoff_target.stopped_at", stopped_at)?,
            alarmed_at: at("handoff_target.alarmed_at", alarmed_at)?,
            taken_at: at("outbox.sent_at", taken_at)?,
            waiting,
        })
    }
}

impl Transaction {
    /// Writes down since when people know that the system of this name takes nothing, or that it
    /// does again.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn set_target_alarmed(
        &mut self,
        name: &str,
        at: Option<Timestamp>,
    ) -> Result<(), LedgerError> {
        sqlx::query(
            "INSERT INTO handoff_target (name, alarmed_at) VALUES (?, ?)
             ON CONFLICT (name) DO UPDATE SET alarmed_at = excluded.alarmed_at",
        )
        .bind(name)
        .bind(at.map(moment))
        .execute(&mut *self.inner)
        .await
        .map_err(LedgerError::during("write down an alarm"))?;
        Ok(())
    }
}

/// Writes down that the system of this attempt wants nothing any more, and that people are told.
pub(super) async fn stop(
    connection: &mut SqliteConnection,
    lease: &Lease,
    now: Timestamp,
) -> Result<(), LedgerError> {
    let failed = LedgerError::during("write down that a system wants nothing any more");
    let Some(target) = lease.letter.target() else {
        return Ok(());
    };
    // The alarm is over when it takes something again, and not before.
    let stopped = sqlx::query(
        "INSERT INTO handoff_target (name, stopped_at, alarmed_at) VALUES (?1, ?2, ?2)
         ON CONFLICT (name) DO UPDATE SET stopped_at = excluded.stopped_at,
             alarmed_at = coalesce(alarmed_at, excluded.alarmed_at)
         WHERE stopped_at IS NULL",
    )
    .bind(target)
    .bind(moment(now))
    .execute(&mut *connection)
    .await
    .map_err(failed)?;
    if stopped.rows_affected() == 0 {
        return Ok(());
    }
    let waiting: u64 = sqlx::query_scalar(
        "SELECT count(*) FROM outbox WHERE target = ? AND next_attempt_at IS NOT NULL",
    )
    .bind(target)
    .fetch_one(&mut *connection)
    .await
    .map_err(failed)?;
    let cause = Cause::HandoffStopped {
        target: target.to_owned(),
        waiting,
        at: now,
    };
    let (letter, attempts) = (&lease.letter.message_id, lease.attempts);
    let key = format!("handoff-stopped:{target}:{letter}:{attempts}");
    news::tell(connection, &key, &cause, now).await
}

/// Hands a system that wanted nothing any more, and for which the letter `id` is, what waits for it:
/// at once, and with new patience, for nobody could have taken it meanwhile.
pub(super) async fn resume(
    connection: &mut SqliteConnection,
    id: i64,
    now: Timestamp,
) -> Result<(), LedgerError> {
    let failed = LedgerError::during("hand a system what waits for it");
    let target: Option<String> = sqlx::query_scalar(
        "UPDATE handoff_target SET stopped_at = NULL
         WHERE stopped_at IS NOT NULL AND name = (SELECT target FROM outbox WHERE id = ?)
         RETURNING name",
    )
    .bind(id)
    .fetch_optional(&mut *connection)
    .await
    .map_err(failed)?;
    if let Some(target) = target {
        sqlx::query(
            "UPDATE outbox SET next_attempt_at = ?1, patient_since = ?1
             WHERE target = ?2 AND state = 'pending'",
        )
        .bind(moment(now))
        .bind(target)
        .execute(connection)
        .await
        .map_err(failed)?;
    }
    Ok(())
}
