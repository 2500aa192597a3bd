//! The outbox as a person sees it and steers it: the list, another try, no more tries.
//!
//! Guarantee: what a person decides is written down with the decision itself, in one transaction,
//! so that it is safe beside a daemon at work; a letter is never taken out of an attempt that is
//! being made. Left out on purpose: sending.

use jiff::Timestamp;
use serde::{Deserialize, de::DeserializeOwned};
use sqlx::sqlite::SqliteConnection;

use super::{
    super::{
        Ledger, LedgerError, Transaction,
        columns::{expected, moment, parsed},
        targets,
    },
    Kind, OutboxState,
};
use crate::notice::Ban;

/// One letter with everything that a person may ask about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// `outbox.id`
    pub id: i64,
    /// What it is for.
    pub kind: Kind,
    /// Where it stands.
    pub state: OutboxState,
    /// Attempts so far.
    pub attempts: u32,
    /// When it was posted.
    pub posted_at: Timestamp,
    /// The next attempt; `None` when there will be none.
    pub next_attempt_at: Option<Timestamp>,
    /// When everybody who could get it had it; `None` before.
    pub sent_at: Option<Timestamp>,
    /// To whom, in the order of the configuration.
    pub recipients: Vec<OutboxRecipient>,
    /// The Subject in plain text.
    pub subject: String,
    /// The Message-ID with its angle brackets.
    pub message_id: String,
    /// The last words spoken against it, the server's or ours; `None` while there were none.
    pub last_answer: Option<String>,
    /// What people decided about it, oldest first.
    pub decisions: Vec<OutboxDecision>,
}

impl OutboxRow {
    /// The system that it is handed to; `None` for a mail.
    pub fn target(&self) -> Option<&str> {
        let first = self
            .recipients
            .first()
            .filter(|_| self.kind == Kind::Handoff);
        first.map(|system| system.address.as_str())
    }
}

/// One recipient's fate.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct OutboxRecipient {
    /// The envelope address.
    pub address: String,
    /// Where it stands for this recipient.
    pub state: RecipientState,
    /// The server's words of refusal; `None` where it did not refuse.
    pub answer: Option<String>,
}

/// Where a letter stands for one recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecipientState {
    /// Has not got it.
    Due,
    /// Has it.
    Sent,
    /// Refused for good.
    Refused,
}

impl RecipientState {
    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::Sent => "sent",
            Self::Refused => "refused",
        }
    }
}

/// What a person decided about a letter.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct OutboxDecision {
    /// `retry` or `drop`.
    pub action: String,
    /// The person's login name.
    pub who: String,
    /// When.
    pub decided_at: Timestamp,
}

/// Why a person's wish cannot be met.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Declined {
    /// There is no such letter.
    #[error(
        "expected the id of a mail or a hand-off in the outbox, found {0}; `outbox list --all` shows them"
    )]
    Unknown(i64),
    /// A daemon, or a command that sends, has it in hand.
    #[error("{0} is being attempted at this moment; see `outbox list` how that ends")]
    BeingAttempted(i64),
    /// Nobody is left who has not got it.
    #[error("{0} was sent and everybody has it: there is nobody to send it to again")]
    EverybodyHasIt(i64),
    /// Ranges that it tells of were withdrawn since: whoever is told now would load them after all.
    #[error("{id} imports {}", taken_back(*.id, *.state, *.withdrawn, *.ranges))]
    Withdrawn {
        /// `outbox.id`
        id: i64,
        /// Where it stands.
        state: OutboxState,
        /// How many of its ranges were.
        withdrawn: u64,
        /// How many it tells of.
        ranges: u64,
    },
    /// It cannot be called off.
    #[error("{0} is already {word}: there is nothing to call off", word = .1.as_str())]
    Over(i64, OutboxState),
}

/// What of a hand-off was withdrawn, and what to do about it.
fn taken_back(id: i64, state: OutboxState, withdrawn: u64, ranges: u64) -> String {
    let mut text = match withdrawn == ranges {
        true => "only what was withdrawn since: there is nothing to hand over".to_owned(),
        false => format!(
            "{withdrawn} of its {ranges} ranges although withdrawn since: load the others by hand, from what `export` writes"
        ),
    };
    if state != OutboxState::Dropped {
        text.push_str(&format!("; `outbox drop {id}` ends it"));
    }
    text
}

/// The query for [`Columns`], ending as given.
macro_rules! letters {
    ($which:literal) => {
        concat!(
            "SELECT id, kind, state, attempts, posted_at, next_attempt_at, sent_at, subject,
                 rfc_message_id, last_answer,
                 (SELECT json_group_array(json_object(
                      'address', address, 'state', state, 'answer', answer) ORDER BY position)
                  FROM outbox_recipient WHERE outbox_id = outbox.id) AS recipients,
                 (SELECT json_group_array(json_object(
                      'action', action, 'who', who, 'decided_at', decided_at) ORDER BY id)
                  FROM decision WHERE outbox_id = outbox.id) AS decisions
             FROM outbox ",
            $which
        )
    };
}

impl Ledger {
    /// Letters that are not finished (failed, pending, sending, in this order and each oldest
    /// first), then those that are (sent, dropped), latest first, at most `finished` of these.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn outbox(&self, finished: Option<u32>) -> Result<Vec<OutboxRow>, LedgerError> {
        let rows: Vec<Columns> = sqlx::query_as(letters!(
            "WHERE state IN ('failed', 'pending', 'sending') OR id IN (
                 SELECT id FROM outbox WHERE state IN ('sent', 'dropped')
                 ORDER BY id DESC LIMIT ?)
             ORDER BY CASE state WHEN 'failed' THEN 1 WHEN 'pending' THEN 2
                          WHEN 'sending' THEN 3 ELSE 4 END,
                 CASE WHEN state IN ('sent', 'dropped') THEN -id ELSE id END"
        ))
        // SQLite: a negative limit is none.
        .bind(finished.map_or(-1, i64::from))
        .fetch_all(&self.pool)
        .await
        .map_err(LedgerError::during("list the outbox"))?;
        rows.into_iter().map(read).collect()
    }

    /// One letter; `None` where there is none.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn letter(&self, id: i64) -> Result<Option<OutboxRow>, LedgerError> {
        let failed = LedgerError::during("read a letter");
        let mut connection = self.pool.acquire().await.map_err(failed)?;
        row(&mut connection, id).await
    }

    /// How many things the letter tells that were gathered for it; 0 where it is about one
    /// message only.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn gathered_in(&self, id: i64) -> Result<u64, LedgerError> {
        sqlx::query_scalar("SELECT count(*) FROM news WHERE outbox_id = ?")
            .bind(id)
            .fetch_one(&self.pool)
            .await
            .map_err(LedgerError::during("count what a letter tells"))
    }

    /// Makes a letter due now for everybody who has not got it, with new patience: `who` wants it. A
    /// system that wanted nothing any more is handed this one, and all that waits for it, as before.
    /// `alone` says that no other process can be at an attempt: then one that stands open was
    /// left so by a process that died.
    ///
    /// # Errors
    /// SQLite's; inside, why it cannot be.
    pub async fn retry(
        &self,
        id: i64,
        who: &str,
        alone: bool,
        now: Timestamp,
    ) -> Result<Result<(), Declined>, LedgerError> {
        let failed = LedgerError::during("make a letter due again");
        let mut transaction = self.begin().await?;
        let connection = &mut *transaction.inner;
        let Some(row) = row(connection, id).await? else {
            return Ok(Err(Declined::Unknown(id)));
        };
        let has_it = |recipient: &OutboxRecipient| recipient.state == RecipientState::Sent;
        match row.state {
            OutboxState::Sending if !alone => return Ok(Err(Declined::BeingAttempted(id))),
            OutboxState::Sent if row.recipients.iter().all(has_it) => {
                return Ok(Err(Declined::EverybodyHasIt(id)));
            }
            // What waits has its withdrawal behind it. Of the others the system has been told that by
            // now, or by a person, and would not hear it again.
            OutboxState::Failed | OutboxState::Dropped => {
                if let Some(declined) = withdrawn(connection, id, row.state).await? {
                    return Ok(Err(declined));
                }
            }
            OutboxState::Pending | OutboxState::Sending | OutboxState::Sent => {}
        }
        sqlx::query(
            "UPDATE outbox_recipient SET state = 'due', answer = NULL
             WHERE outbox_id = ? AND state = 'refused'",
        )
        .bind(id)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
        sqlx::query(
            "UPDATE outbox
             SET state = 'pending', next_attempt_at = ?1, patient_since = ?1, sent_at = NULL
             WHERE id = ?2",
        )
        .bind(moment(now))
        .bind(id)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
        targets::resume(connection, id, now).await?;
        decide(connection, "retry", id, who, now).await?;
        transaction.commit().await?;
        Ok(Ok(()))
    }

    /// Calls a letter off: `who` wants it. `alone` as for [`Ledger::retry`].
    ///
    /// # Errors
    /// SQLite's; inside, why it cannot be.
    pub async fn call_off(
        &self,
        id: i64,
        who: &str,
        alone: bool,
        now: Timestamp,
    ) -> Result<Result<(), Declined>, LedgerError> {
        let mut transaction = self.begin().await?;
        let connection = &mut *transaction.inner;
        let Some(row) = row(connection, id).await? else {
            return Ok(Err(Declined::Unknown(id)));
        };
        match row.state {
            OutboxState::Sending if !alone => return Ok(Err(Declined::BeingAttempted(id))),
            over @ (OutboxState::Sent | OutboxState::Dropped) => {
                return Ok(Err(Declined::Over(id, over)));
            }
            OutboxState::Pending | OutboxState::Sending | OutboxState::Failed => {}
        }
        sqlx::query("UPDATE outbox SET state = 'dropped', next_attempt_at = NULL WHERE id = ?")
            .bind(id)
            .execute(&mut *connection)
            .await
            .map_err(LedgerError::during("call a letter off"))?;
        decide(connection, "drop", id, who, now).await?;
        transaction.commit().await?;
        Ok(Ok(()))
    }
}

impl Transaction {
    /// Calls off what systems would be told of the ranges that the message granted to the company, once
    /// all of them are withdrawn: an import of which no attempt was made, and the withdrawals that wait
    /// for it. `who` withdrew the last of them. Where an attempt was made nobody knows who has it, and
    /// the withdrawal follows.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn call_off_untold(
        &mut self,
        ban: Ban,
        message: i64,
        who: &str,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        let called_off: Vec<i64> = sqlx::query_scalar(
            "UPDATE outbox SET state = 'dropped', next_attempt_at = NULL
             WHERE kind = 'handoff' AND about = ?1 AND state = 'pending' AND attempts = 0
                 AND CAST(eml AS TEXT) ->> '$.data.company.ban' = ?2
                 AND EXISTS (SELECT 1 FROM outbox AS import
                     WHERE import.target = outbox.target AND import.about = ?1
                         AND import.state = 'pending' AND import.attempts = 0
                         AND CAST(import.eml AS TEXT) ->> '$.type' = 'allocation.imported'
                         AND CAST(import.eml AS TEXT) ->> '$.data.company.ban' = ?2)
                 AND NOT EXISTS (SELECT 1 FROM allocation
                     WHERE message_id = ?1 AND ban = ?2 AND withdrawn_at IS NULL)
             RETURNING id",
        )
        .bind(message)
        .bind(ban.as_str())
        .fetch_all(&mut *self.inner)
        .await
        .map_err(LedgerError::during("call off what was withdrawn"))?;
        for id in called_off {
            decide(&mut self.inner, "drop", id, who, now).await?;
        }
        Ok(())
    }
}

/// Why a hand-off is not for handing over any more: ranges that it imports were withdrawn.
async fn withdrawn(
    connection: &mut SqliteConnection,
    id: i64,
    state: OutboxState,
) -> Result<Option<Declined>, LedgerError> {
    let (withdrawn, ranges): (u64, u64) = sqlx::query_as(
        "SELECT count(allocation.withdrawn_at), count(*)
         FROM outbox, json_each(CAST(eml AS TEXT), '$.data.allocations') AS told
             JOIN allocation ON allocation.id = told.value ->> 'id'
         WHERE outbox.id = ? AND target IS NOT NULL
             AND CAST(eml AS TEXT) ->> '$.type' = 'allocation.imported'",
    )
    .bind(id)
    .fetch_one(connection)
    .await
    .map_err(LedgerError::during("look for what was withdrawn"))?;
    Ok((withdrawn > 0).then_some(Declined::Withdrawn {
        id,
        state,
        withdrawn,
        ranges,
    }))
}

async fn decide(
    connection: &mut SqliteConnection,
    action: &str,
    id: i64,
    who: &str,
    now: Timestamp,
) -> Result<(), LedgerError> {
    sqlx::query("INSERT INTO decision (action, outbox_id, who, decided_at) VALUES (?, ?, ?, ?)")
        .bind(action)
        .bind(id)
        .bind(who)
        .bind(moment(now))
        .execute(connection)
        .await
        .map_err(LedgerError::during("write down a decision"))?;
    Ok(())
}

/// `outbox` without the mail itself, and what stands in other tables as JSON.
#[derive(sqlx::FromRow)]
struct Columns {
    id: i64,
    kind: String,
    state: String,
    attempts: u32,
    posted_at: String,
    next_attempt_at: Option<String>,
    sent_at: Option<String>,
    subject: String,
    rfc_message_id: String,
    last_answer: Option<String>,
    recipients: String,
    decisions: String,
}

async fn row(connection: &mut SqliteConnection, id: i64) -> Result<Option<OutboxRow>, LedgerError> {
    let row: Option<Columns> = sqlx::query_as(letters!("WHERE id = ?"))
        .bind(id)
        .fetch_optional(connection)
        .await
        .map_err(LedgerError::during("read a letter"))?;
    row.map(read).transpose()
}

fn read(columns: Columns) -> Result<OutboxRow, LedgerError> {
    let Columns { kind, state, .. } = &columns;
    let at =
        |column: &str, text: Option<&String>| text.map(|text| parsed(column, text)).transpose();
    Ok(OutboxRow {
        id: columns.id,
        kind: super::kind(kind)?,
        state: expected(
            OutboxState::ALL
                .into_iter()
                .find(|known| known.as_str() == state),
            "outbox.state",
            "the state of a mail",
            state,
        )?,
        attempts: columns.attempts,
        posted_at: parsed("outbox.posted_at", &columns.posted_at)?,
        next_attempt_at: at("outbox.next_attempt_at", columns.next_attempt_at.as_ref())?,
        sent_at: at("outbox.sent_at", columns.sent_at.as_ref())?,
        recipients: listed("outbox_recipient", &columns.recipients)?,
        subject: columns.subject,
        message_id: columns.rfc_message_id,
        last_answer: columns.last_answer,
        decisions: listed("decision", &columns.decisions)?,
    })
}

fn listed<T: DeserializeOwned>(table: &str, json: &str) -> Result<Vec<T>, LedgerError> {
    serde_json::from_str(json).map_err(|error| LedgerError::BadRow(format!("{table}: {error}")))
}
