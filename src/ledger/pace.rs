//! How fast letters have been attempted.
//!
//! Left out on purpose: how fast they may be. Guarantee: what another process attempted counts as
//! well; of one letter only its last attempt is known.

use std::ops::Range;

use jiff::Timestamp;

use super::{
    Ledger, LedgerError,
    columns::{moment, parsed},
};

impl Ledger {
    /// When the `count`-th mail, counted back from the last one, was attempted, of those that
    /// were `within`; `None` when there were fewer. `count` is at least 1.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn attempted_back(
        &self,
        count: u32,
        within: Range<Timestamp>,
    ) -> Result<Option<Timestamp>, LedgerError> {
        let at: Option<String> = sqlx::query_scalar(
            "SELECT attempted_at FROM outbox
             WHERE target IS NULL AND attempted_at >= ? AND attempted_at < ?
             ORDER BY attempted_at DESC LIMIT 1 OFFSET ?",
        )
        .bind(moment(within.start))
        .bind(moment(within.end))
        .bind(count.saturating_sub(1))
        .fetch_optional(&self.pool)
        .await
        .map_err(LedgerError::during("count attempts"))?;
        at.map(|at| parsed("outbox.attempted_at", &at)).transpose()
    }
}
