//! Which recorded mail has been put away on its server, as `after_import` asks.
//!
//! Left out on purpose: how, which is the mailbox's. Guarantee: what is quarantined is never named
//! here, so it stays where people find it until one of them releases it.

use jiff::Timestamp;

use super::{Ledger, LedgerError, columns::moment};
use crate::mailbox::UidSet;

impl Ledger {
    /// Mail of this folder that is recorded, or repeats what is, and was not put away yet. Mail
    /// from before `after_import` was switched on is among it.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn unfiled(&self, mailbox: &str, uidvalidity: u32) -> Result<UidSet, LedgerError> {
        let uids: Vec<u32> = sqlx::query_scalar(
            "SELECT uid FROM message
             WHERE mailbox = ? AND uidvalidity = ? AND filed_at IS NULL
                 AND disposition IN ('imported', 'duplicate')",
        )
        .bind(mailbox)
        .bind(uidvalidity)
        .fetch_all(&self.pool)
        .await
        .map_err(LedgerError::during("read what is to be filed"))?;
        Ok(uids.into_iter().collect())
    }

    /// Writes down that `uids` have been put away.
    ///
    /// # Errors
    /// SQLite's; then they are filed again, which is harmless.
    pub async fn filed(
        &self,
        mailbox: &str,
        uidvalidity: u32,
        uids: &UidSet,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        let mut transaction = self.begin().await?;
        for &(first, last) in uids.runs() {
            sqlx::query(
                "UPDATE message SET filed_at = ?
                 WHERE mailbox = ? AND uidvalidity = ? AND uid BETWEEN ? AND ?
                     AND filed_at IS NULL AND disposition IN ('imported', 'duplicate')",
            )
            .bind(moment(now))
            .bind(mailbox)
            .bind(uidvalidity)
            .bind(first)
            .bind(last)
            .execute(&mut *transaction.inner)
            .await
            .map_err(LedgerError::during("write down what was filed"))?;
        }
        transaction.commit().await
    }
}
