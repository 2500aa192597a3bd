//! What is known of each watched mailbox: whether it answers, and whether it was scanned before.

use jiff::{Timestamp, civil::Date};

use super::{Ledger, LedgerError};
use crate::mailbox::UidSet;

/// Whether a mailbox answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkState {
    /// The last thing it did was to answer.
    Up,
    /// The last attempt failed; in the words of the error.
    Down(String),
}

/// A mailbox as the daemon last saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxRow {
    /// The configured name.
    pub name: String,
    /// The last tagged OK (for a Maildir: the last complete look).
    pub last_ok_at: Option<Timestamp>,
    /// Whether it answers.
    pub state: LinkState,
}

impl Ledger {
    /// Whether this folder, under this UIDVALIDITY, has been scanned before.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn is_scanned(&self, _mailbox: &str, _uidvalidity: u32) -> Result<bool, LedgerError> {
        todo!()
    }

    /// Begins the account of a folder: `older` lies before `since` and is left out.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn begin_scan(
        &self,
        _mailbox: &str,
        _uidvalidity: u32,
        _since: Date,
        _older: &UidSet,
    ) -> Result<(), LedgerError> {
        todo!()
    }

    /// Writes down that a mailbox answered, or why it did not.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn saw_mailbox(
        &self,
        _name: &str,
        _state: &LinkState,
        _now: Timestamp,
    ) -> Result<(), LedgerError> {
        todo!()
    }

    /// All mailboxes ever seen, by name.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn mailboxes(&self) -> Result<Vec<MailboxRow>, LedgerError> {
        todo!()
    }
}
