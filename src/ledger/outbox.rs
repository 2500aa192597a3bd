//! The outbox: mails that must go out.
//!
//! A [`Letter`] is complete when it is posted: the bytes that are retried are the bytes that were
//! written down. Left out on purpose: when to try again and when to give up.
//!
//! Guarantee: a letter once posted is sent, failed or dropped in the end, never gone.

use std::{collections::BTreeMap, fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteConnection;

use super::{
    Ledger, LedgerError, Transaction,
    columns::{expected, moment, parsed},
};
use crate::notice::{Address, AddressError};

/// Whether the letter may go now, as far as others are concerned: a withdrawal waits for the numbers
/// that it takes back while these wait, or they would be loaded after it.
macro_rules! in_turn {
    () => {
        "CASE WHEN outbox.target IS NOT NULL
                  AND CAST(outbox.eml AS TEXT) ->> '$.type' = 'allocation.withdrawn'
              THEN NOT EXISTS (SELECT 1 FROM outbox AS earlier
                  WHERE earlier.target = outbox.target AND earlier.next_attempt_at IS NOT NULL
                      AND earlier.id < outbox.id
                      AND CAST(earlier.eml AS TEXT) ->> '$.data.message_id'
                          = CAST(outbox.eml AS TEXT) ->> '$.data.message_id'
                      AND CAST(earlier.eml AS TEXT) ->> '$.data.company.ban'
                          = CAST(outbox.eml AS TEXT) ->> '$.data.company.ban')
              ELSE 1 END"
    };
}

/// What [`Ledger::put_off`] asks. What waits is what is due at some time, which has an index: of a system
/// that is down for days nobody else's look need go through thousands. So has the last attempt.
pub(super) const PUT_OFF: &str = "SELECT count(*) OVER (), last_answer, min(patient_since) OVER (),
         (SELECT sent_at FROM outbox
          WHERE target IS ?1 AND attempted_at IS NOT NULL AND state = 'sent'
          ORDER BY attempted_at DESC LIMIT 1)
     FROM outbox
     WHERE target IS ?1 AND next_attempt_at IS NOT NULL AND last_answer IS NOT NULL
     ORDER BY next_attempt_at DESC LIMIT 1";

mod attempt;
mod desk;

pub use self::{
    attempt::{Lease, Settled},
    desk::{Declined, OutboxDecision, OutboxRecipient, OutboxRow, RecipientState},
};

/// What a letter is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A notice was recorded, or several in a digest.
    Confirmation,
    /// What a mailbox held before the ledger was created.
    Summary,
    /// A recorded range was taken out of use.
    Withdrawal,
    /// A person must act.
    Alert,
    /// A system is handed what was recorded or withdrawn.
    Handoff,
}

impl Kind {
    /// Every kind there is.
    pub const ALL: [Self; 5] = [
        Self::Confirmation,
        Self::Summary,
        Self::Withdrawal,
        Self::Alert,
        Self::Handoff,
    ];

    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Confirmation => "confirmation",
            Self::Summary => "summary",
            Self::Withdrawal => "withdrawal",
            Self::Alert => "alert",
            Self::Handoff => "handoff",
        }
    }
}

/// Whom something goes to: a mail address, or a system by its configured name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Recipient(String);

impl Recipient {
    /// The system of this name.
    pub fn system(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// The address, or the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Address> for Recipient {
    fn from(address: Address) -> Self {
        Self(address.to_string())
    }
}

impl FromStr for Recipient {
    type Err = AddressError;

    /// Reads a mail address.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        text.parse::<Address>().map(Self::from)
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A complete mail, ready to be handed to a server; or what a system is handed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// What it is for.
    pub kind: Kind,
    /// The Message-ID with its angle brackets, or the webhook-id: derived from target and content,
    /// so that the same letter is recognised wherever it turns up twice.
    pub message_id: String,
    /// Envelope recipients; of a [`Kind::Handoff`] the one system.
    pub recipients: Vec<Recipient>,
    /// The Subject in plain text, for lists; of a hand-off what it says in short.
    pub subject: String,
    /// The whole message (RFC 5322), CRLF; of a hand-off the JSON.
    pub eml: Vec<u8>,
}

impl Letter {
    /// The system that it is handed to; `None` for a mail.
    pub(super) fn target(&self) -> Option<&str> {
        let first = self.recipients.first().map(Recipient::as_str);
        first.filter(|_| self.kind == Kind::Handoff)
    }
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
    /// Called off by a person.
    Dropped,
}

impl OutboxState {
    /// Every state there is.
    pub const ALL: [Self; 5] = [
        Self::Pending,
        Self::Sending,
        Self::Sent,
        Self::Failed,
        Self::Dropped,
    ];

    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
    }
}

/// Letters that still wait after an attempt that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutOff {
    /// How many.
    pub letters: u64,
    /// Since when the first of them has waited.
    pub since: Timestamp,
    /// Since when none has gone out, of these or of any others.
    pub none_sent_since: Timestamp,
    /// The last words spoken against one of them.
    pub answer: String,
}

/// How many letters stand where, all states present.
pub type OutboxCounts = BTreeMap<String, u64>;

impl Transaction {
    /// Posts a letter, due at once. The same Message-ID posted twice is one letter. `about` is
    /// the `message.id` it is about.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn post(
        &mut self,
        letter: &Letter,
        about: Option<i64>,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        post(&mut self.inner, letter, about, now).await.map(drop)
    }
}

impl Ledger {
    /// When the next letter to `target` is due, the next mail where that is `None`; `None` when
    /// none waits, or the system wants nothing any more.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn next_due(&self, target: Option<&str>) -> Result<Option<Timestamp>, LedgerError> {
        let next: Option<String> = sqlx::query_scalar(concat!(
            "SELECT min(next_attempt_at) FROM outbox
             WHERE target IS ?1 AND next_attempt_at IS NOT NULL
                 AND NOT EXISTS (SELECT 1 FROM handoff_target
                     WHERE name = ?1 AND stopped_at IS NOT NULL) AND ",
            in_turn!()
        ))
        .bind(target)
        .fetch_one(&self.pool)
        .await
        .map_err(LedgerError::during("read when the next letter is due"))?;
        next.map(|at| parsed("outbox.next_attempt_at", &at))
            .transpose()
    }

    /// Letters by state.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn outbox_counts(&self) -> Result<OutboxCounts, LedgerError> {
        let rows: Vec<(String, u64)> =
            sqlx::query_as("SELECT state, count(*) FROM outbox GROUP BY state")
                .fetch_all(&self.pool)
                .await
                .map_err(LedgerError::during("count letters"))?;
        let mut counts: OutboxCounts = OutboxState::ALL
            .map(|state| (state.as_str().to_owned(), 0))
            .into();
        counts.extend(rows);
        Ok(counts)
    }

    /// How many mails were given up or refused for good. What was sent is not counted for it, as
    /// [`Ledger::outbox_counts`] would, which takes longer every year.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn failed_letters(&self) -> Result<u64, LedgerError> {
        sqlx::query_scalar("SELECT count(*) FROM outbox WHERE state = 'failed' AND target IS NULL")
            .fetch_one(&self.pool)
            .await
            .map_err(LedgerError::during("count letters that failed"))
    }

    /// The letters to `target`, mails where that is `None`, that still wait after an attempt that
    /// failed; `None` where there is none.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn put_off(&self, target: Option<&str>) -> Result<Option<PutOff>, LedgerError> {
        let row: Option<(u64, String, String, Option<String>)> = sqlx::query_as(PUT_OFF)
            .bind(target)
            .fetch_optional(&self.pool)
            .await
            .map_err(LedgerError::during("look for letters put off"))?;
        let Some((letters, answer, since, sent_at)) = row else {
            return Ok(None);
        };
        let since: Timestamp = parsed("outbox.patient_since", &since)?;
        let sent_at = sent_at
            .map(|at| parsed("outbox.sent_at", &at))
            .transpose()?;
        Ok(Some(PutOff {
            letters,
            since,
            none_sent_since: sent_at.map_or(since, |at: Timestamp| at.max(since)),
            answer,
        }))
    }
}

/// See [`Transaction::post`]; returns `outbox.id`.
pub(super) async fn post(
    connection: &mut SqliteConnection,
    letter: &Letter,
    about: Option<i64>,
    now: Timestamp,
) -> Result<i64, LedgerError> {
    let failed = LedgerError::during("post a letter");
    let earlier: Option<i64> = sqlx::query_scalar("SELECT id FROM outbox WHERE rfc_message_id = ?")
        .bind(&letter.message_id)
        .fetch_optional(&mut *connection)
        .await
        .map_err(failed)?;
    if let Some(id) = earlier {
        return Ok(id);
    }
    let id: i64 = sqlx::query_scalar(
        "INSERT INTO outbox (kind, rfc_message_id, about, subject, eml, state, posted_at,
             patient_since, next_attempt_at, target)
         VALUES (?1, ?2, ?3, ?4, ?5, 'pending', ?6, ?6, ?6, ?7)
         RETURNING id",
    )
    .bind(letter.kind.as_str())
    .bind(&letter.message_id)
    .bind(about)
    .bind(&letter.subject)
    .bind(&letter.eml)
    .bind(moment(now))
    .bind(letter.target())
    .fetch_one(&mut *connection)
    .await
    .map_err(failed)?;
    for (position, recipient) in (0_i64..).zip(&letter.recipients) {
        // One mailbox gets one copy, however often the configuration names it.
        sqlx::query(
            "INSERT INTO outbox_recipient (outbox_id, position, address, state)
             VALUES (?, ?, ?, 'due') ON CONFLICT (outbox_id, address) DO NOTHING",
        )
        .bind(id)
        .bind(position)
        .bind(recipient.as_str())
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    }
    Ok(id)
}

/// `outbox.kind`, read.
fn kind(word: &str) -> Result<Kind, LedgerError> {
    let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == word);
    expected(kind, "outbox.kind", "the kind of a mail", word)
}
