//! Messages, what was found in them, and the runs of UIDs that were nothing of ours.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Ledger, LedgerError, Transaction};
use crate::{
    authenticity::Evidence,
    mailbox::{Known, RawMessage, UidSet},
    notice::{Disposition, Judgement, Reading},
};

/// Everything that is recorded of one message, in one go.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// The message as it was found.
    pub message: &'a RawMessage,
    /// SHA-256 of what was fetched, lower-case hexadecimal.
    pub sha256: &'a str,
    /// What it says.
    pub reading: &'a Reading,
    /// What is known of its origin.
    pub evidence: &'a Evidence,
    /// What follows.
    pub judgement: &'a Judgement,
    /// The moment of recording.
    pub now: Timestamp,
}

/// A message with the same bytes that was judged before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Earlier {
    /// Its `message.id`.
    pub id: i64,
    /// What became of it.
    pub disposition: Disposition,
}

/// How many messages ended in which disposition.
pub type Counts = BTreeMap<String, u64>;

/// A message that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantineRow {
    /// `message.id`
    pub id: i64,
    /// The mailbox it came from; `None` for a file.
    pub mailbox: Option<String>,
    /// When it was recorded.
    pub received_at: Timestamp,
    /// From, when there was exactly one.
    pub from: Option<String>,
    /// The decoded Subject.
    pub subject: String,
    /// Codes and sentences, in order.
    pub defects: Vec<(String, String)>,
}

impl Transaction {
    /// A message with these bytes that was judged before, the first of them.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn judged_before(&mut self, _sha256: &str) -> Result<Option<Earlier>, LedgerError> {
        todo!()
    }

    /// Records a message with its evidence, findings and fresh allocations; returns `message.id`.
    /// A UID or file that is recorded already is left as it is and `None` returned.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn record(&mut self, _entry: &Entry<'_>) -> Result<Option<i64>, LedgerError> {
        todo!()
    }

    /// Records that these bytes stand at one more place: the earlier decision holds, an imported
    /// one counts as a duplicate here. Returns the new row's disposition.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn record_copy(
        &mut self,
        _message: &RawMessage,
        _sha256: &str,
        _earlier: Earlier,
        _now: Timestamp,
    ) -> Result<Disposition, LedgerError> {
        todo!()
    }

    /// Accounts for UIDs whose header said that they are nothing of ours.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn record_unrelated(
        &mut self,
        _mailbox: &str,
        _uidvalidity: u32,
        _uids: &UidSet,
    ) -> Result<(), LedgerError> {
        todo!()
    }
}

impl Ledger {
    /// Everything accounted for in a folder; `uidvalidity` is `None` for a Maildir.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn known(
        &self,
        _mailbox: &str,
        _uidvalidity: Option<u32>,
    ) -> Result<Known, LedgerError> {
        todo!()
    }

    /// Messages by disposition; unrelated ones include the runs of UIDs.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn counts(&self) -> Result<Counts, LedgerError> {
        todo!()
    }

    /// What waits for a person, oldest first; copies of the same bytes are listed once.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn quarantine(&self) -> Result<Vec<QuarantineRow>, LedgerError> {
        todo!()
    }
}
