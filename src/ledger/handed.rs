//! What systems were handed: how each hand-off of a range stands, those of several messages, and each
//! system.
//!
//! Left out on purpose: handing over, and which systems are configured; one that is no more keeps what
//! was written of it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use sqlx::FromRow;

use super::{
    Import, Ledger, LedgerError, OutboxState, Transaction,
    columns::{expected, parsed},
};

/// What [`Transaction::handed_over`] asks.
pub(super) const HANDED_OVER: &str = "SELECT target, sum(state = 'sent') AS sent,
         sum(state IN ('pending', 'sending')) AS waiting,
         sum(state = 'failed') AS failed, sum(state = 'dropped') AS dropped,
         max(stopped_at IS NOT NULL) AS stopped
     FROM outbox LEFT JOIN handoff_target ON handoff_target.name = target
     WHERE kind = 'handoff'
         AND about IN (SELECT value ->> 0 FROM json_each(?1))
         AND (about, CAST(eml AS TEXT) ->> '$.data.company.ban')
             IN (SELECT value ->> 0, value ->> 1 FROM json_each(?1))
         AND CAST(eml AS TEXT) ->> '$.type' = 'allocation.imported'
     GROUP BY target ORDER BY target";

/// How one hand-off stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandedState {
    /// As the outbox has it.
    As(OutboxState),
    /// It waits, and its system wants nothing any more.
    Stopped,
}

impl HandedState {
    /// The stable word; what is being attempted waits.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::As(OutboxState::Pending | OutboxState::Sending) => OutboxState::Pending.as_str(),
            Self::As(state) => state.as_str(),
            Self::Stopped => "stopped",
        }
    }
}

/// What became of telling one system of one range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handed {
    /// The system's configured name.
    pub target: String,
    /// Whether it is told that the range was withdrawn, and not that it was recorded.
    pub withdrawal: bool,
    /// How that stands.
    pub state: HandedState,
    /// When it was taken, or else last tried; `None` before.
    pub at: Option<Timestamp>,
}

/// The hand-offs of several messages to one system, counted.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct HandedOver {
    /// The system's configured name.
    pub target: String,
    /// Taken.
    pub sent: u64,
    /// Waiting.
    pub waiting: u64,
    /// Given up.
    pub failed: u64,
    /// Called off by a person.
    pub dropped: u64,
    /// Whether the system wants nothing any more.
    pub stopped: bool,
}

/// How a system stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// The configured name.
    pub target: String,
    /// When it last took something; `None` where it never did.
    pub last_sent_at: Option<Timestamp>,
    /// How many hand-offs wait for it.
    pub waiting: u64,
    /// How many were given up.
    pub failed: u64,
    /// Since when one has waited that was tried and not taken; `None` where there is none.
    pub failing_since: Option<Timestamp>,
    /// The last words spoken against one that waits or was given up; `None` where there are none.
    pub words: Option<String>,
    /// When it said that it wants nothing any more (HTTP 410); `None` while it takes what comes.
    pub stopped_at: Option<Timestamp>,
}

impl Ledger {
    /// The hand-offs of what these messages granted, by `allocation.id`, each range's in the order of
    /// the systems' names, an import before a withdrawal.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn handed(
        &self,
        messages: &[i64],
    ) -> Result<BTreeMap<i64, Vec<Handed>>, LedgerError> {
        type Columns = (i64, String, bool, String, Option<String>, bool);
        let rows: Vec<Columns> = sqlx::query_as(
            "SELECT handed.value ->> 'id', target,
                 CAST(eml AS TEXT) ->> '$.type' = 'allocation.withdrawn', state,
                 coalesce(sent_at, attempted_at), stopped_at IS NOT NULL
             FROM outbox, json_each(CAST(eml AS TEXT), '$.data.allocations') AS handed
                 LEFT JOIN handoff_target ON handoff_target.name = target
             WHERE kind = 'handoff' AND about IN (SELECT value FROM json_each(?))
             ORDER BY target, outbox.id",
        )
        .bind(list(messages)?)
        .fetch_all(&self.pool)
        .await
        .map_err(LedgerError::during("read what systems were handed"))?;
        let mut handed = BTreeMap::<i64, Vec<Handed>>::new();
        for (allocation, target, withdrawal, state, at, stopped) in rows {
            let known = OutboxState::ALL
                .into_iter()
                .find(|known| known.as_str() == state);
            let state = expected(known, "outbox.state", "the state of a hand-off", &state)?;
            let waits = matches!(state, OutboxState::Pending | OutboxState::Sending);
            handed.entry(allocation).or_default().push(Handed {
                target,
                withdrawal,
                state: match stopped && waits {
                    true => HandedState::Stopped,
                    false => HandedState::As(state),
                },
                at: at.map(|at| parsed("outbox.sent_at", &at)).transpose()?,
            });
        }
        Ok(handed)
    }

    /// How each system stands that was ever handed anything, in the order of their names.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn standings(&self) -> Result<Vec<Standing>, LedgerError> {
        type Columns = (
            String,
            Option<String>,
            u64,
            u64,
            Option<String>,
            Option<String>,
            Option<String>,
        );
        // The last one that was taken is looked for by its attempt, which has an index.
        let rows: Vec<Columns> = sqlx::query_as(
            "WITH system(name) AS (
                 SELECT target FROM outbox WHERE target IS NOT NULL
                 UNION SELECT name FROM handoff_target)
             SELECT name,
                 (SELECT sent_at FROM outbox
                  WHERE target = name AND attempted_at IS NOT NULL AND state = 'sent'
                  ORDER BY attempted_at DESC LIMIT 1),
                 (SELECT count(*) FROM outbox
                  WHERE target = name AND next_attempt_at IS NOT NULL),
                 (SELECT count(*) FROM outbox WHERE target = name AND state = 'failed'),
                 (SELECT min(patient_since) FROM outbox
                  WHERE target = name AND next_attempt_at IS NOT NULL AND last_answer IS NOT NULL),
                 (SELECT last_answer FROM outbox
                  WHERE target = name AND attempted_at IS NOT NULL
                      AND state IN ('pending', 'sending', 'failed') AND last_answer IS NOT NULL
                  ORDER BY attempted_at DESC LIMIT 1),
                 (SELECT stopped_at FROM handoff_target WHERE handoff_target.name = system.name)
             FROM system ORDER BY name",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(LedgerError::during("read how systems stand"))?;
        let at =
            |column: &str, text: Option<String>| text.map(|text| parsed(column, &text)).transpose();
        rows.into_iter()
            .map(
                |(target, sent_at, waiting, failed, since, words, stopped_at)| {
                    Ok(Standing {
                        target,
                        last_sent_at: at("outbox.sent_at", sent_at)?,
                        waiting,
                        failed,
                        failing_since: at("outbox.patient_since", since)?,
                        words,
                        stopped_at: at("handoff_target.stopped_at", stopped_at)?,
                    })
                },
            )
            .collect()
    }
}

impl Transaction {
    /// How the hand-offs of these imports stand, system by system; withdrawals do not count, nor what a
    /// file of the platform's granted to companies other than these.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn handed_over(
        &mut self,
        imports: &[&Import],
    ) -> Result<Vec<HandedOver>, LedgerError> {
        let imports: Vec<(i64, &str)> = imports
            .iter()
            .map(|import| (import.message_id, import.ban.as_str()))
            .collect();
        sqlx::query_as(HANDED_OVER)
            .bind(list(&imports)?)
            .fetch_all(&mut *self.inner)
            .await
            .map_err(LedgerError::during("count what systems were handed"))
    }
}

/// As SQLite reads a list.
fn list<T: Serialize>(of: &[T]) -> Result<String, LedgerError> {
    let failed = LedgerError::during("write a list");
    serde_json::to_string(of).map_err(|error| failed(sqlx::Error::Encode(error.into())))
}
