//! What people decide: to release or dismiss a message, to withdraw a range.
//!
//! Guarantee: a decision and what follows from it are written in one transaction, and a decision
//! once written is never changed. Left out on purpose: whether it may be made.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sqlx::{FromRow, sqlite::SqliteConnection};

use super::{
    Ledger, LedgerError, Transaction, allocations,
    columns::{moment, parsed},
    messages,
};
use crate::notice::{Defect, Disposition, Judgement, Reading};

/// Who decides, why and when.
#[derive(Debug, Clone, Copy)]
pub struct Decision<'a> {
    /// The person's login name.
    pub who: &'a str,
    /// Why, in the person's words; not empty.
    pub reason: &'a str,
    /// The moment of the decision.
    pub at: Timestamp,
}

/// A decision as it was written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionRow {
    /// `release`, `dismiss` or `withdraw`.
    pub action: String,
    /// The person's login name.
    pub who: String,
    /// Why, in the person's words.
    pub reason: String,
    /// The codes of the defects that were overruled.
    pub overruled: Vec<String>,
    /// When.
    pub at: Timestamp,
}

// Of the ten thousand that may wait each is decided by itself, so none of these may look at all that
// wait: `+` keeps SQLite from the index on `disposition`. https://sqlite.org/optoverview.html
pub(super) const RELEASE_COPIES: &str =
    "UPDATE message SET disposition = 'duplicate', dismissed_at = NULL
     WHERE copy_of = ? AND +disposition = 'quarantined'";
pub(super) const DISMISS: &str =
    "UPDATE message SET disposition = 'quarantined', dismissed_at = ?1,
         raw = CASE disposition WHEN 'waiting' THEN substr(raw, 1, ?3) ELSE raw END
     WHERE (id = ?2 OR copy_of = ?2) AND +disposition IN ('quarantined', 'waiting')";
pub(super) const NEEDS_NOBODY: &str = "DELETE FROM news WHERE outbox_id IS NULL
     AND json_extract(cause, '$.message_id') = ? AND cause ->> '$.cause' = 'quarantined'";

impl Transaction {
    /// Makes a quarantined message what its new `judgement` says, imported or duplicate, and its
    /// copies duplicates. `reading` is what it says by today's rules.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn release(
        &mut self,
        id: i64,
        reading: &Reading,
        judgement: &Judgement,
        decision: &Decision<'_>,
    ) -> Result<(), LedgerError> {
        self.settle_quarantined(id, reading, judgement, decision.at)
            .await?;
        let about = About::Message("release", id);
        insert(&mut self.inner, about, decision, &judgement.overruled).await
    }

    /// As [`Transaction::release`], where nobody had to decide: a file of the platform's has told
    /// whose numbers they are.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn settle_quarantined(
        &mut self,
        id: i64,
        reading: &Reading,
        judgement: &Judgement,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        let failed = LedgerError::during("settle a quarantined message");
        let company = judgement.company;
        sqlx::query(
            "UPDATE message SET disposition = ?, dismissed_at = NULL, from_address = ?,
                 subject = ?, company_ban = ?, company_source = ?
             WHERE id = ?",
        )
        .bind(judgement.disposition.as_str())
        .bind(reading.from.as_ref().map(|from| from.as_str()))
        .bind(&reading.subject)
        .bind(company.map(|(ban, _)| ban.to_string()))
        .bind(company.map(|(_, source)| source.as_str()))
        .bind(id)
        .execute(&mut *self.inner)
        .await
        .map_err(failed)?;
        sqlx::query(RELEASE_COPIES)
            .bind(id)
            .execute(&mut *self.inner)
            .await
            .map_err(failed)?;
        // Its defects stay, as the reason why it waited.
        sqlx::query("DELETE FROM finding WHERE message_id = ? AND severity = 'warning'")
            .bind(id)
            .execute(&mut *self.inner)
            .await
            .map_err(failed)?;
        let warnings = judgement.warnings.iter();
        let warnings = warnings.map(|warning| (warning.code.as_str(), &warning.detail));
        messages::insert_findings(&mut self.inner, id, "warning", warnings).await?;
        if judgement.disposition == Disposition::Imported {
            for allocation in judgement.fresh() {
                allocations::insert(&mut self.inner, allocation, id, reading.file, now).await?;
            }
        }
        self.needs_nobody(id).await
    }

    /// Puts a message that is quarantined, or waits for a resolver, and its copies aside. Of one that
    /// waits nothing was proven, so that no more is kept than of any other like that.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn dismiss(&mut self, id: i64, decision: &Decision<'_>) -> Result<(), LedgerError> {
        sqlx::query(DISMISS)
            .bind(moment(decision.at))
            .bind(id)
            .bind(messages::UNPROVEN_BYTES as i64)
            .execute(&mut *self.inner)
            .await
            .map_err(LedgerError::during("dismiss a message"))?;
        self.needs_nobody(id).await?;
        insert(
            &mut self.inner,
            About::Message("dismiss", id),
            decision,
            &[],
        )
        .await
    }

    /// Takes a range out of use.
    ///
    /// # Errors
    /// SQLite's; a range that is withdrawn already is refused by the ledger itself.
    pub async fn withdraw(&mut self, id: i64, decision: &Decision<'_>) -> Result<(), LedgerError> {
        sqlx::query("UPDATE allocation SET withdrawn_at = ? WHERE id = ?")
            .bind(moment(decision.at))
            .bind(id)
            .execute(&mut *self.inner)
            .await
            .map_err(LedgerError::during("withdraw an allocation"))?;
        insert(&mut self.inner, About::Allocation(id), decision, &[]).await
    }

    /// Who took a range out of use; `None` where nobody did.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn withdrawal(&mut self, id: i64) -> Result<Option<DecisionRow>, LedgerError> {
        let row: Option<Columns> = sqlx::query_as(
            "SELECT allocation_id AS about, action, who, reason, overruled, decided_at
             FROM decision WHERE allocation_id = ?",
        )
        .bind(id)
        .fetch_optional(&mut *self.inner)
        .await
        .map_err(LedgerError::during("read a withdrawal"))?;
        row.map(Columns::decision).transpose()
    }

    /// Takes back what was to be told of a message in quarantine and is in no letter yet.
    async fn needs_nobody(&mut self, id: i64) -> Result<(), LedgerError> {
        sqlx::query(NEEDS_NOBODY)
            .bind(id)
            .execute(&mut *self.inner)
            .await
            .map_err(LedgerError::during("take back what was to be told"))?;
        Ok(())
    }
}

impl Ledger {
    /// Who took which range out of use, by `allocation.id`.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn withdrawals(&self) -> Result<BTreeMap<i64, DecisionRow>, LedgerError> {
        let rows: Vec<Columns> = sqlx::query_as(
            "SELECT allocation_id AS about, action, who, reason, overruled, decided_at
             FROM decision WHERE allocation_id IS NOT NULL ORDER BY id",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(LedgerError::during("read withdrawals"))?;
        rows.into_iter()
            .map(|row| Ok((row.about, row.decision()?)))
            .collect()
    }
}

/// What was decided about a message, in order.
pub(super) async fn about_message(
    connection: &mut SqliteConnection,
    id: i64,
) -> Result<Vec<DecisionRow>, LedgerError> {
    let rows: Vec<Columns> = sqlx::query_as(
        "SELECT message_id AS about, action, who, reason, overruled, decided_at
         FROM decision WHERE message_id = ? ORDER BY id",
    )
    .bind(id)
    .fetch_all(connection)
    .await
    .map_err(LedgerError::during("read decisions"))?;
    rows.into_iter().map(Columns::decision).collect()
}

#[derive(FromRow)]
struct Columns {
    about: i64,
    action: String,
    who: String,
    reason: Option<String>,
    overruled: Option<String>,
    decided_at: String,
}

impl Columns {
    fn decision(self) -> Result<DecisionRow, LedgerError> {
        let codes = self.overruled.as_deref().unwrap_or_default().split(',');
        Ok(DecisionRow {
            action: self.action,
            who: self.who,
            reason: self.reason.unwrap_or_default(),
            overruled: codes
                .filter(|code| !code.is_empty())
                .map(str::to_owned)
                .collect(),
            at: parsed("decision.decided_at", &self.decided_at)?,
        })
    }
}

/// What is decided about what.
enum About {
    Message(&'static str, i64),
    Allocation(i64),
}

async fn insert(
    connection: &mut SqliteConnection,
    about: About,
    decision: &Decision<'_>,
    overruled: &[Defect],
) -> Result<(), LedgerError> {
    let (action, message_id, allocation_id) = match about {
        About::Message(action, id) => (action, Some(id), None),
        About::Allocation(id) => ("withdraw", None, Some(id)),
    };
    let mut codes: Vec<&str> = overruled.iter().map(|d| d.code.as_str()).collect();
    // Sorted by code; one mail may have many of a kind.
    codes.dedup();
    sqlx::query(
        "INSERT INTO decision (action, message_id, allocation_id, who, reason, overruled,
             decided_at)
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(action)
    .bind(message_id)
    .bind(allocation_id)
    .bind(decision.who)
    .bind(decision.reason)
    .bind((!codes.is_empty()).then(|| codes.join(",")))
    .bind(moment(decision.at))
    .execute(connection)
    .await
    .map_err(LedgerError::during("write down a decision"))?;
    Ok(())
}
