//! What a mail says. Pure: facts in, a complete letter out.

use jiff::Timestamp;

use super::Style;
use crate::{
    ledger::{Letter, PendingAlert},
    notice::{Allocation, Ban, Warning},
};

/// The facts of one imported notice.
#[derive(Debug, Clone, Copy)]
pub struct Imported<'a> {
    /// SHA-256 of the notice: the Message-ID is derived from it.
    pub sha256: &'a str,
    /// Whose numbers they are.
    pub ban: Ban,
    /// The company's configured name; `None` for one that is not configured.
    pub company_name: Option<&'a str>,
    /// The mailbox or file in which the notice was found.
    pub found_in: &'a str,
    /// The ranges recorded just now.
    pub allocations: &'a [Allocation],
    /// Ranges in the same notice that were recorded before.
    pub known: &'a [Allocation],
    /// What a person should know.
    pub warnings: &'a [Warning],
}

/// The confirmation of one imported notice; `None` when nobody is to be told.
pub fn confirmation(_facts: &Imported<'_>, _style: &Style, _now: Timestamp) -> Option<Letter> {
    todo!()
}

/// One letter for one alert or for many; `None` when there are no alerts or nobody is to be told.
pub fn alert(_alerts: &[PendingAlert], _style: &Style, _now: Timestamp) -> Option<Letter> {
    todo!()
}
