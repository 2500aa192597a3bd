//! The outbox: mails that must go out, and alerts on their way to becoming one.
//!
//! A [`Letter`] is complete when it is posted: the bytes that are retried are the bytes that were
//! written down. An alert waits as a [`Cause`] until its window opens and is then gathered with
//! its neighbours into one letter. Attempts are recorded before they are made ([`Ledger::lease`]).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Ledger, LedgerError, Transaction};
use crate::notice::Address;

/// What a letter is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A notice was recorded.
    Confirmation,
    /// A person must act.
    Alert,
}

/// A complete mail, ready to be handed to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// What it is for.
    pub kind: Kind,
    /// The Message-ID with its angle brackets: derived from target and content, so that the same
    /// letter is recognised wherever it turns up twice.
    pub message_id: String,
    /// Envelope recipients.
    pub recipients: Vec<Address>,
    /// The Subject in plain text, for lists.
    pub subject: String,
    /// The whole message (RFC 5322), CRLF.
    pub eml: Vec<u8>,
}

/// Why a person is alerted: all that the mail will say, as it was at that moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum Cause {
    /// A mail was quarantined.
    Quarantined {
        /// `message.id`, the handle for the quarantine commands.
        message_id: i64,
        /// SHA-256 of the message.
        sha256: String,
        /// The mailbox; `None` for a file.
        mailbox: Option<String>,
        /// From, when there was exactly one.
        from: Option<String>,
        /// The decoded Subject.
        subject: String,
        /// Codes and sentences.
        defects: Vec<(String, String)>,
    },
    /// A mail of ours could not be delivered.
    DeliveryFailed {
        /// `outbox.id`
        outbox_id: i64,
        /// The failed letter's Subject.
        subject: String,
        /// Those who did not get it.
        recipients: Vec<String>,
        /// The server's words.
        answer: String,
    },
}

/// An alert that has not been gathered into a letter yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingAlert {
    /// `alert.id`
    pub id: i64,
    /// When it was raised.
    pub raised_at: Timestamp,
    /// Why.
    pub cause: Cause,
}

/// A letter taken for one attempt, which is already written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// `outbox.id`
    pub id: i64,
    /// The letter; its recipients are those who have not got it yet.
    pub letter: Letter,
    /// Attempts including this one.
    pub attempts: u32,
    /// When the letter was posted.
    pub posted_at: Timestamp,
}

/// Where a letter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OutboxState {
    /// Waits for its (next) attempt.
    Pending,
    /// An attempt is being made.
    Sending,
    /// Everybody who could get it has it.
    Sent,
    /// Given up or refused for good.
    Failed,
}

impl OutboxState {
    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Failed => "failed",
        }
    }
}

/// How many letters stand where.
pub type OutboxCounts = BTreeMap<String, u64>;

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// The server took it for everybody it was still due to, but for `refused`.
    Sent {
        /// Recipients refused for good, each with the server's words.
        refused: Vec<(Address, String)>,
    },
    /// Try again at `next` for `recipients` (those who have it by now are left out).
    Deferred {
        /// The next attempt.
        next: Timestamp,
        /// Who is still due to get it.
        recipients: Vec<Address>,
        /// The server's words, or ours.
        answer: String,
    },
    /// Given up or refused for good.
    Failed {
        /// The server's words, or ours.
        answer: String,
    },
}

impl Transaction {
    /// Posts a letter. The same Message-ID posted twice is one letter.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn post(
        &mut self,
        _letter: &Letter,
        _about: Option<i64>,
        _now: Timestamp,
    ) -> Result<(), LedgerError> {
        todo!()
    }

    /// Raises an alert. The same `key` raised twice is one alert.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn alert(
        &mut self,
        _key: &str,
        _cause: &Cause,
        _now: Timestamp,
    ) -> Result<(), LedgerError> {
        todo!()
    }

    /// Posts the letter into which these alerts were gathered.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn gather(
        &mut self,
        _alerts: &[PendingAlert],
        _letter: &Letter,
        _now: Timestamp,
    ) -> Result<(), LedgerError> {
        todo!()
    }

    /// Alerts that are in no letter yet, oldest first.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn pending_alerts(&mut self) -> Result<Vec<PendingAlert>, LedgerError> {
        todo!()
    }

    /// When the last letter of alerts was gathered.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn last_gathered_at(&mut self) -> Result<Option<Timestamp>, LedgerError> {
        todo!()
    }
}

impl Ledger {
    /// Makes attempts that a dead process left open due at once. Only the one daemon calls this.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn reopen_attempts(&self, _now: Timestamp) -> Result<u64, LedgerError> {
        todo!()
    }

    /// Takes the letter that has been due longest and writes the attempt down, committed. Should
    /// the process die, the letter is due again at `retry_at`, or at the next start.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn lease(
        &self,
        _now: Timestamp,
        _retry_at: Timestamp,
    ) -> Result<Option<Lease>, LedgerError> {
        todo!()
    }

    /// Writes down how an attempt ended. A letter that failed, or that somebody did not get,
    /// raises [`Cause::DeliveryFailed`] in the same transaction unless it was itself an alert.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn settle(
        &self,
        _lease: &Lease,
        _settled: &Settled,
        _now: Timestamp,
    ) -> Result<(), LedgerError> {
        todo!()
    }

    /// When the next letter is due; `None` when none waits.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn next_due(&self) -> Result<Option<Timestamp>, LedgerError> {
        todo!()
    }

    /// Letters by state, all four present.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn outbox_counts(&self) -> Result<OutboxCounts, LedgerError> {
        todo!()
    }
}
