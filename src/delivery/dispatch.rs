//! The dispatcher: takes letters from the outbox and sees each to its end.

use jiff::Timestamp;

use super::{Patience, Style, Transport};
use crate::ledger::{Ledger, LedgerError};

/// Sends what is due.
#[derive(Debug)]
pub struct Dispatcher {
    /// The outbox.
    pub ledger: Ledger,
    /// Where letters go.
    pub transport: Transport,
    /// Who is told what.
    pub style: Style,
    /// When to try again.
    pub patience: Patience,
}

/// What one pass did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pass {
    /// Letters sent.
    pub sent: u32,
    /// Letters put off.
    pub deferred: u32,
    /// Letters given up or refused.
    pub failed: u32,
    /// When the next pass is due at the latest; `None` when nothing waits.
    pub next: Option<Timestamp>,
}

impl Dispatcher {
    /// One pass: gathers alerts whose window is open, then attempts each letter that is due, once.
    ///
    /// # Errors
    /// The ledger's only: a server's refusal is a result, not an error.
    pub async fn run_once(&self, _now: Timestamp) -> Result<Pass, LedgerError> {
        todo!()
    }
}
