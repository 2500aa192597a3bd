//! What a mail says. Pure: facts in, a complete letter out.
//!
//! Guarantees: the same facts at the same moment give the same bytes; the Message-ID depends on
//! what is told to whom and on nothing else, so that a letter composed again is recognised as the
//! same one; text taken from strangers' mail is made harmless before it is shown. Left out on
//! purpose: HTML, which the readers of these mails do not need.

use jiff::Timestamp;

use super::Style;
use crate::{
    ledger::{AllocationRow, Cause, Fallen, HandedOver, Import, Letter, Past, Pending},
    notice::{Allocation, Ban, Sentence, Warning},
};

mod alert;
mod confirmation;
mod digest;
mod extent;
mod fallen;
mod granted;
mod handoff;
mod letter;
mod meaning;
mod summary;
mod systems;
mod table;
#[cfg(test)]
pub(super) mod tests;
mod withdrawal;

pub(super) use self::{handoff::Told, letter::lettre_address};

/// What a code means to the reader of an alert, and what that person does about it; the
/// documentation shows the same words.
pub fn explained(
    code: crate::notice::DefectCode,
    language: super::Language,
) -> (&'static str, &'static str) {
    let meaning = meaning::defect(code, language);
    (meaning.what, meaning.remedy)
}

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
    /// Whether that is a file of the platform's, and no notice.
    pub is_file: bool,
    /// What showed that the platform sent it.
    pub proven_by: &'a Sentence,
    /// The ranges recorded just now.
    pub allocations: &'a [Allocation],
    /// Ranges in the same notice that were recorded before.
    pub known: &'a [Allocation],
    /// What a person should know.
    pub warnings: &'a [Warning],
    /// Periods for which the company has less than half of what it had for the one before.
    pub fallen: &'a [Fallen],
}

/// The facts of one range that was taken out of use.
#[derive(Debug, Clone, Copy)]
pub struct Withdrawn<'a> {
    /// `allocation.id`
    pub id: i64,
    /// The range and whose it is.
    pub allocation: &'a Allocation,
    /// The company's configured name; `None` for one that is not configured.
    pub company_name: Option<&'a str>,
    /// When it was recorded.
    pub imported_at: Timestamp,
    /// Who took it out of use.
    pub who: &'a str,
    /// Why, in that person's words.
    pub reason: &'a str,
}

/// What a system is handed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Handed<'a> {
    /// What happened.
    pub event: Event,
    /// `message.id` of what granted the numbers.
    pub message_id: i64,
    /// What tells this event from another about the same ranges: SHA-256 of the message or
    /// file that granted them; while a file is taken in, with the company.
    pub about: &'a str,
    /// Whose numbers they are.
    pub ban: Ban,
    /// The company's configured name; `None` for one that is not configured.
    pub company_name: Option<&'a str>,
    /// The ranges, at least one.
    pub rows: &'a [AllocationRow],
}

/// What a system is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Ranges were recorded.
    Imported,
    /// A range was taken out of use.
    Withdrawn,
}

impl Event {
    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Imported => "allocation.imported",
            Self::Withdrawn => "allocation.withdrawn",
        }
    }
}

/// What the system of this name is handed.
pub fn handoff(handed: &Handed<'_>, system: &str, now: Timestamp) -> Letter {
    handoff::compose(handed, system, now)
}

/// The confirmation of one imported notice; `None` when nothing was recorded or nobody is to be
/// told.
pub fn confirmation(facts: &Imported<'_>, style: &Style, now: Timestamp) -> Option<Letter> {
    confirmation::compose(facts, style, now)
}

/// One letter for one alert or for many; `None` when there are no alerts or nobody is to be told.
pub fn alert(alerts: &[Pending<Cause>], style: &Style, now: Timestamp) -> Option<Letter> {
    alert::compose(alerts, style, now)
}

/// The letter about one range taken out of use, to all who may have been told of it, each once;
/// `None` when nobody is to be told. `now` is the moment of the withdrawal.
pub fn withdrawal(facts: &Withdrawn<'_>, style: &Style, now: Timestamp) -> Option<Letter> {
    withdrawal::compose(facts, style, now)
}

/// One letter for all notices imported within a window; `rows` is what they granted, withdrawn
/// ranges too, in the order of company, period and number, and `handed` what became of it. `None`
/// when there are none or nobody is to be told.
pub fn digest(
    imports: &[Pending<Import>],
    rows: &[AllocationRow],
    handed: &[HandedOver],
    style: &Style,
    now: Timestamp,
) -> Option<Letter> {
    digest::compose(imports, rows, handed, style, now)
}

/// One letter for all mail that was old when the ledger was created, to those who get confirmations
/// and those who get alerts; `rows` and `handed` as for [`digest()`]. `None` when there is none or
/// nobody is to be told.
pub fn summary(
    past: &[Pending<Past>],
    rows: &[AllocationRow],
    handed: &[HandedOver],
    style: &Style,
    now: Timestamp,
) -> Option<Letter> {
    summary::compose(past, rows, handed, style, now)
}
