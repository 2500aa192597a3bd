//! Table `allocation`, which other programs read: its columns are a contract.

use jiff::Timestamp;

use super::{Ledger, LedgerError};
use crate::notice::{Allocation, Ban, Period};

/// One recorded range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllocationRow {
    /// `allocation.id`
    pub id: i64,
    /// The range and its company.
    pub allocation: Allocation,
    /// The message that granted it.
    pub message_id: i64,
    /// When it was recorded.
    pub imported_at: Timestamp,
    /// When a person took it out of use.
    pub withdrawn_at: Option<Timestamp>,
}

/// Which rows are asked for; the default asks for all.
#[derive(Debug, Clone, Copy, Default)]
pub struct AllocationFilter {
    /// Only this company's.
    pub ban: Option<Ban>,
    /// Only this period's.
    pub period: Option<Period>,
}

impl Ledger {
    /// Recorded ranges in the order of company, period, track and number.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn allocations(
        &self,
        _filter: AllocationFilter,
    ) -> Result<Vec<AllocationRow>, LedgerError> {
        todo!()
    }
}
