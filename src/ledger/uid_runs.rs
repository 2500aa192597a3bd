//! UIDs that are accounted for without a row of their own, as runs.
//!
//! Guarantee: within one folder and reason, runs neither touch nor overlap. A UID between two
//! runs that has a message row of its own keeps them apart, and so is never swallowed.

use sqlx::sqlite::SqliteConnection;

use super::LedgerError;
use crate::mailbox::UidSet;

/// Why nobody looked further.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reason {
    /// The header said that it is nothing of ours.
    Unrelated,
    /// It lies before the scan's `since`.
    Older,
}

impl Reason {
    fn as_str(self) -> &'static str {
        match self {
            Self::Unrelated => "unrelated",
            Self::Older => "older",
        }
    }
}

/// Adds `uids`, joining them with the runs that they touch.
pub(super) async fn add(
    connection: &mut SqliteConnection,
    mailbox: &str,
    uidvalidity: u32,
    reason: Reason,
    uids: &UidSet,
) -> Result<(), LedgerError> {
    let failed = LedgerError::during("account for UIDs");
    for &(first, last) in uids.runs() {
        let (mut first, mut last) = (i64::from(first), i64::from(last));
        let touched: Vec<(i64, i64)> = sqlx::query_as(
            "DELETE FROM uid_run
             WHERE mailbox = ?1 AND uidvalidity = ?2 AND reason = ?3
                 AND first_uid <= ?5 + 1 AND last_uid >= ?4 - 1
                 -- The runs are apart, so none but the last one that begins before ours can
                 -- reach it; without this bound every earlier run would be read.
                 AND first_uid >= coalesce((SELECT max(first_uid) FROM uid_run
                     WHERE mailbox = ?1 AND uidvalidity = ?2 AND reason = ?3
                         AND first_uid <= ?4), 0)
             RETURNING first_uid, last_uid",
        )
        .bind(mailbox)
        .bind(uidvalidity)
        .bind(reason.as_str())
        .bind(first)
        .bind(last)
        .fetch_all(&mut *connection)
        .await
        .map_err(failed)?;
        for (touched_first, touched_last) in touched {
            first = first.min(touched_first);
            last = last.max(touched_last);
        }
        sqlx::query(
            "INSERT INTO uid_run (mailbox, uidvalidity, reason, first_uid, last_uid)
             VALUES (?, ?, ?, ?, ?)",
        )
        .bind(mailbox)
        .bind(uidvalidity)
        .bind(reason.as_str())
        .bind(first)
        .bind(last)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    }
    Ok(())
}

/// Forgets all runs of this reason, so that what was in them is unknown again.
pub(super) async fn forget(
    connection: &mut SqliteConnection,
    mailbox: &str,
    uidvalidity: u32,
    reason: Reason,
) -> Result<(), LedgerError> {
    sqlx::query("DELETE FROM uid_run WHERE mailbox = ? AND uidvalidity = ? AND reason = ?")
        .bind(mailbox)
        .bind(uidvalidity)
        .bind(reason.as_str())
        .execute(connection)
        .await
        .map_err(LedgerError::during("forget UIDs"))?;
    Ok(())
}
