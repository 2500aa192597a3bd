//! What people were told of numbers that are due, and how many booklets each company has.
//!
//! Left out on purpose: what is due when, and whether it must be said. Guarantees: a stage that was
//! told is never forgotten by itself; what is read stays small, however old the ledger is.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use sqlx::sqlite::SqliteConnection;

use super::{
    Ledger, LedgerError, Transaction,
    columns::{expected, moment, parsed},
};
use crate::{
    notice::{Ban, Period},
    schedule::{Awaited, Booklets, Call, Stage},
};

/// What people were told of one thing that is awaited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// The latest stage of which they were.
    pub stage: Stage,
    /// The periods that they were told have no numbers, and that have had none since, in time.
    pub missing: Vec<Period>,
    /// When they were told.
    pub told_at: Timestamp,
    /// When it was seen to have come after all.
    pub came_at: Option<Timestamp>,
}

impl Alarm {
    /// Whether people were told that it has not come, and not that it has.
    pub fn is_open(&self) -> bool {
        self.stage != Stage::Reminder && self.came_at.is_none()
    }
}

/// What is read at every look.
pub(super) const ALARMS: &str = "SELECT ban, awaited, stage, missing, told_at, came_at FROM alarm
     WHERE awaited >= ?1 AND (
         awaited >= iif(length(awaited) = 3, ?2, ?3)
         OR (came_at IS NULL AND stage <> 'reminder'))";

/// As [`ALARMS`].
pub(super) const BOOKLETS: &str = "SELECT year_month, ban, sum(invoice_booklet) FROM allocation
     WHERE withdrawn_at IS NULL AND year_month >= ? GROUP BY year_month, ban";

/// Alarms by company and by what it awaits.
pub type Alarms = HashMap<Ban, BTreeMap<Awaited, Alarm>>;

impl Ledger {
    /// What people were told of the `running` period and later ones, and of years that are not
    /// over; what is still open, of the ROC year before as well. Of what is older nobody waits for
    /// the end.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn alarms(&self, running: Period) -> Result<Alarms, LedgerError> {
        let failed = LedgerError::during("read what people were told is due");
        let mut connection = self.pool.acquire().await.map_err(failed)?;
        alarms(&mut connection, running).await
    }

    /// Booklets in force by company, of `first` and later periods.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn booklets(&self, first: Period) -> Result<HashMap<Ban, Booklets>, LedgerError> {
        let failed = LedgerError::during("count booklets");
        let mut connection = self.pool.acquire().await.map_err(failed)?;
        booklets(&mut connection, first).await
    }
}

impl Transaction {
    /// As [`Ledger::alarms`], seen from inside the transaction.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn alarms(&mut self, running: Period) -> Result<Alarms, LedgerError> {
        alarms(&mut self.inner, running).await
    }

    /// As [`Ledger::booklets`], seen from inside the transaction.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn booklets(&mut self, first: Period) -> Result<HashMap<Ban, Booklets>, LedgerError> {
        booklets(&mut self.inner, first).await
    }

    /// How many booklets a company has in force for a period.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn booklets_of(&mut self, ban: Ban, period: Period) -> Result<u64, LedgerError> {
        let sum: i64 = sqlx::query_scalar(
            "SELECT coalesce(sum(invoice_booklet), 0) FROM allocation
             WHERE year_month = ? AND ban = ? AND withdrawn_at IS NULL",
        )
        .bind(period.year_month())
        .bind(ban.as_str())
        .fetch_one(&mut *self.inner)
        .await
        .map_err(LedgerError::during("count booklets"))?;
        Ok(sum.unsigned_abs())
    }

    /// Writes down that people are told of `call`.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn set_told(
        &mut self,
        ban: Ban,
        call: &Call,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        sqlx::query(
            "INSERT INTO alarm (ban, awaited, stage, missing, told_at) VALUES (?, ?, ?, ?, ?)
             ON CONFLICT (awaited, ban) DO UPDATE SET stage = excluded.stage,
                 missing = excluded.missing, told_at = excluded.told_at, came_at = NULL",
        )
        .bind(ban.as_str())
        .bind(call.awaited.to_string())
        .bind(call.stage.as_str())
        .bind(column(&call.missing))
        .bind(moment(now))
        .execute(&mut *self.inner)
        .await
        .map_err(LedgerError::during(
            "write down what people are told is due",
        ))?;
        Ok(())
    }

    /// Writes down that of what people were told is overdue no more than this is `missing`.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn set_missing(
        &mut self,
        ban: Ban,
        awaited: Awaited,
        missing: &[Period],
    ) -> Result<(), LedgerError> {
        sqlx::query("UPDATE alarm SET missing = ? WHERE awaited = ? AND ban = ?")
            .bind(column(missing))
            .bind(awaited.to_string())
            .bind(ban.as_str())
            .execute(&mut *self.inner)
            .await
            .map_err(LedgerError::during("write down what is still missing"))?;
        Ok(())
    }

    /// Writes down that what people were told is overdue has come.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn set_come(
        &mut self,
        ban: Ban,
        awaited: Awaited,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        sqlx::query("UPDATE alarm SET came_at = ? WHERE ban = ? AND awaited = ?")
            .bind(moment(now))
            .bind(ban.as_str())
            .bind(awaited.to_string())
            .execute(&mut *self.inner)
            .await
            .map_err(LedgerError::during("write down that numbers have come"))?;
        Ok(())
    }

    /// Forgets that people were told: a clock that was far ahead said so, and its time is to come.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn forget_told(&mut self, ban: Ban, awaited: Awaited) -> Result<(), LedgerError> {
        sqlx::query("DELETE FROM alarm WHERE ban = ? AND awaited = ?")
            .bind(ban.as_str())
            .bind(awaited.to_string())
            .execute(&mut *self.inner)
            .await
            .map_err(LedgerError::during("forget what a wrong clock said"))?;
        Ok(())
    }
}

/// Periods as they stand in a column.
fn column(periods: &[Period]) -> String {
    let periods: Vec<String> = periods.iter().map(|one| one.year_month()).collect();
    periods.join(",")
}

/// A ROC year as [`Awaited`] writes it: in the order of texts before its own periods.
fn year(roc_year: u16) -> String {
    Awaited::Year(roc_year).to_string()
}

async fn alarms(connection: &mut SqliteConnection, running: Period) -> Result<Alarms, LedgerError> {
    let rows: Vec<(String, String, String, String, String, Option<String>)> =
        sqlx::query_as(ALARMS)
            .bind(year(running.roc_year().saturating_sub(1)))
            .bind(year(running.roc_year()))
            .bind(running.year_month())
            .fetch_all(connection)
            .await
            .map_err(LedgerError::during("read what people were told is due"))?;
    let mut alarms = Alarms::new();
    for (ban, awaited, stage, missing, told_at, came_at) in rows {
        let known = Stage::ALL.into_iter().find(|one| one.as_str() == stage);
        let missing = missing.split(',');
        let alarm = Alarm {
            stage: expected(known, "alarm.stage", "a stage", &stage)?,
            missing: missing
                .map(|period| parsed("alarm.missing", period))
                .collect::<Result<_, _>>()?,
            told_at: parsed("alarm.told_at", &told_at)?,
            came_at: came_at.map(|at| parsed("alarm.came_at", &at)).transpose()?,
        };
        let ban = parsed("alarm.ban", &ban)?;
        let awaited = parsed("alarm.awaited", &awaited)?;
        alarms.entry(ban).or_default().insert(awaited, alarm);
    }
    Ok(alarms)
}

async fn booklets(
    connection: &mut SqliteConnection,
    first: Period,
) -> Result<HashMap<Ban, Booklets>, LedgerError> {
    let rows: Vec<(String, String, i64)> = sqlx::query_as(BOOKLETS)
        .bind(first.year_month())
        .fetch_all(connection)
        .await
        .map_err(LedgerError::during("count booklets"))?;
    let mut booklets = HashMap::<Ban, Booklets>::new();
    for (period, ban, sum) in rows {
        let ban = parsed("allocation.ban", &ban)?;
        let period = parsed("allocation.year_month", &period)?;
        booklets
            .entry(ban)
            .or_default()
            .insert(period, sum.unsigned_abs());
    }
    Ok(booklets)
}
