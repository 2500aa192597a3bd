//! Alerts on their way into a letter.
//!
//! An alert waits as a [`Cause`] until its window opens and is then gathered with its neighbours
//! into one letter. Left out on purpose: when a window opens. Guarantee: an alert is in exactly
//! one letter, or waits.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteConnection;

use super::{
    LedgerError, Letter, Transaction,
    columns::{moment, parsed},
    outbox,
};

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
        /// Where it was found.
        found_in: FoundIn,
        /// From, when there was exactly one.
        from: Option<String>,
        /// The decoded Subject.
        subject: String,
        /// What is wrong with it, in the order of the codes.
        defects: Vec<Reason>,
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

/// Where a quarantined mail was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FoundIn {
    /// The configured mailbox of this name.
    Mailbox(String),
    /// A file that the operator named, by its path as given.
    File(String),
}

/// One defect of a quarantined mail, in both languages: which of them the letter is in shows only
/// when it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The stable code.
    pub code: String,
    /// What was found, in English.
    pub detail: String,
    /// The same in 繁體中文.
    pub detail_zh: String,
}

/// An alert that has not been gathered into a letter yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingAlert {
    /// `alert.id`
    pub id: i64,
    /// What it is about, from its content alone: the same in a ledger restored from a backup.
    pub key: String,
    /// When it was raised.
    pub raised_at: Timestamp,
    /// Why.
    pub cause: Cause,
}

impl Transaction {
    /// Raises an alert. The same `key` raised twice is one alert.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn alert(
        &mut self,
        key: &str,
        cause: &Cause,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        raise(&mut self.inner, key, cause, now).await
    }

    /// Posts the letter into which these alerts were gathered.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn gather(
        &mut self,
        alerts: &[PendingAlert],
        letter: &Letter,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        let outbox_id = outbox::post(&mut self.inner, letter, None, now).await?;
        for alert in alerts {
            sqlx::query(
                "UPDATE alert SET outbox_id = ?, gathered_at = ?
                 WHERE id = ? AND outbox_id IS NULL",
            )
            .bind(outbox_id)
            .bind(moment(now))
            .bind(alert.id)
            .execute(&mut *self.inner)
            .await
            .map_err(LedgerError::during("gather alerts"))?;
        }
        Ok(())
    }

    /// Alerts that are in no letter yet, oldest first.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn pending_alerts(&mut self) -> Result<Vec<PendingAlert>, LedgerError> {
        let rows: Vec<(i64, String, String, String)> = sqlx::query_as(
            "SELECT id, key, raised_at, cause FROM alert WHERE outbox_id IS NULL ORDER BY id",
        )
        .fetch_all(&mut *self.inner)
        .await
        .map_err(LedgerError::during("read alerts"))?;
        rows.into_iter()
            .map(|(id, key, raised_at, cause)| {
                Ok(PendingAlert {
                    id,
                    key,
                    raised_at: parsed("alert.raised_at", &raised_at)?,
                    cause: serde_json::from_str(&cause)
                        .map_err(|error| LedgerError::BadRow(format!("alert.cause: {error}")))?,
                })
            })
            .collect()
    }

    /// When the last letter of alerts was gathered.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn last_gathered_at(&mut self) -> Result<Option<Timestamp>, LedgerError> {
        // The last in the order of letters: the latest moment may be one of a clock that was ahead.
        let last: Option<String> = sqlx::query_scalar(
            "SELECT gathered_at FROM alert WHERE outbox_id IS NOT NULL
             ORDER BY outbox_id DESC LIMIT 1",
        )
        .fetch_optional(&mut *self.inner)
        .await
        .map_err(LedgerError::during("read when alerts were gathered"))?;
        last.map(|at| parsed("alert.gathered_at", &at)).transpose()
    }
}

/// See [`Transaction::alert`].
pub(super) async fn raise(
    connection: &mut SqliteConnection,
    key: &str,
    cause: &Cause,
    now: Timestamp,
) -> Result<(), LedgerError> {
    let failed = LedgerError::during("raise an alert");
    let cause =
        serde_json::to_string(cause).map_err(|error| failed(sqlx::Error::Encode(error.into())))?;
    sqlx::query(
        "INSERT INTO alert (key, cause, raised_at) VALUES (?, ?, ?)
         ON CONFLICT (key) DO NOTHING",
    )
    .bind(key)
    .bind(cause)
    .bind(moment(now))
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(())
}
