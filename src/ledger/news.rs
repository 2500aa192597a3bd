//! What people must be told, on its way into a letter.
//!
//! News waits until its kind's time has come and is then gathered with its
//! neighbours into one letter. Left out on purpose: when that time has come. Guarantee: each piece
//! of news is in exactly one letter, or waits.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sqlx::sqlite::SqliteConnection;

use super::{
    Kind, Ledger, LedgerError, Letter, Transaction,
    columns::{moment, parsed},
    outbox,
};

mod due;

pub use self::due::{Arrived, Come, Missing, Overdue, Reminded, Reminder, Watched};

/// What can be news: each kind is gathered into letters of its own.
pub trait News: Serialize + DeserializeOwned {
    /// The stable word for those letters.
    const CHANNEL: &'static str;

    /// For whom it is, where it is not for those whom everything is for.
    fn audience(&self) -> &[String] {
        &[]
    }
}

/// Why a person is alerted: all that the mail will say, as it was at that moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum Cause {
    /// A mail was quarantined.
    Quarantined(Quarantined),
    /// A mail of ours could not be delivered.
    DeliveryFailed {
        /// `outbox.id`
        outbox_id: i64,
        /// What the letter was for.
        #[serde(default = "confirmation")]
        kind: Kind,
        /// The failed letter's Subject.
        subject: String,
        /// Those who did not get it.
        recipients: Vec<String>,
        /// The server's words.
        answer: String,
    },
    /// A mailbox has not answered for too long.
    MailboxUnreachable {
        /// The configured name.
        mailbox: String,
        /// Its last sign of life; `None` when it never gave one.
        last_ok_at: Option<Timestamp>,
        /// The last error's words; `None` when it is only silent.
        trouble: Option<String>,
    },
    /// A mailbox of which people were told that it does not answer, does again.
    MailboxBack {
        /// The configured name.
        mailbox: String,
        /// When people were told that it does not.
        alarmed_at: Timestamp,
    },
    /// Mail has waited for a resolver for too long.
    ResolverUnreachable {
        /// How many mails wait.
        mails: u64,
        /// When the first of them began to.
        since: Timestamp,
        /// Why there was no answer, in the words of the last attempt.
        words: String,
        /// The resolvers that the operator names; none: the system's.
        resolvers: Vec<String>,
    },
    /// No mail waits any more for the resolver of which people were told.
    ResolverBack {
        /// When people were told that it does not answer.
        alarmed_at: Timestamp,
    },
    /// A system has not taken what it is handed for too long.
    HandoffFailing {
        /// The configured name.
        target: String,
        /// How many hand-offs wait.
        waiting: u64,
        /// Since when the first of them has waited.
        since: Timestamp,
        /// The last words spoken against one of them, its own or ours.
        words: String,
    },
    /// A system has said that it wants nothing any more (HTTP 410).
    HandoffStopped {
        /// The configured name.
        target: String,
        /// How many hand-offs wait.
        waiting: u64,
        /// When it said so.
        at: Timestamp,
    },
    /// A system of which people were told that it takes nothing does again.
    HandoffBack {
        /// The configured name.
        target: String,
        /// When people were told that it does not.
        alarmed_at: Timestamp,
    },
    /// The number of booklets for the next period can be changed for a few more days.
    NoticeReminder(Reminder),
    /// Numbers that are due have not come.
    NoticeOverdue(Overdue),
    /// Numbers of which people were told that they have not come have.
    NoticeArrived(Arrived),
}

/// A notice was recorded; its ranges are the allocations of that message. Told in a digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// `message.id`
    pub message_id: i64,
    /// SHA-256 of the message.
    pub sha256: String,
    /// Whose numbers they are.
    pub ban: String,
    /// The company's configured name; `None` for one that is not configured.
    pub company_name: Option<String>,
    /// Where it was found.
    pub found_in: FoundIn,
    /// What a person should know.
    pub warnings: Vec<Reason>,
    /// Periods for which the company has less than half of what it had for the one before.
    #[serde(default)]
    pub fallen: Vec<Fallen>,
    /// For whom it is; empty: for those who get all confirmations.
    #[serde(default)]
    pub to: Vec<String>,
    /// Whether a file of the platform's brought them, and no notice.
    #[serde(default)]
    pub is_file: bool,
}

/// A period with less than half the booklets of the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fallen {
    /// The period, as MIG writes it.
    pub year_month: String,
    /// Its booklets in force, those recorded just now among them.
    pub booklets: u64,
    /// Those of the period before.
    pub before: u64,
}

/// What became of a mail that was old when the ledger was created. Told in one summary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum Past {
    /// It was recorded.
    Imported(Import),
    /// It was quarantined.
    Quarantined(Quarantined),
}

/// A mail that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// `message.id`, the handle for the quarantine commands.
    pub message_id: i64,
    /// SHA-256 of the message.
    pub sha256: String,
    /// Where it was found.
    pub found_in: FoundIn,
    /// From, when there was exactly one.
    pub from: Option<String>,
    /// The decoded Subject.
    pub subject: String,
    /// What is wrong with it, in the order of the codes.
    pub defects: Vec<Reason>,
    /// Whether it is one row of a file of the platform's, and no mail: `found_in` names its line.
    #[serde(default)]
    pub is_row: bool,
}

impl News for Cause {
    const CHANNEL: &'static str = "alert";

    fn audience(&self) -> &[String] {
        match self {
            Self::NoticeReminder(Reminder { to, .. })
            | Self::NoticeOverdue(Overdue { to, .. })
            | Self::NoticeArrived(Arrived { to, .. }) => to,
            Self::Quarantined(_)
            | Self::DeliveryFailed { .. }
            | Self::MailboxUnreachable { .. }
            | Self::MailboxBack { .. }
            | Self::ResolverUnreachable { .. }
            | Self::ResolverBack { .. }
            | Self::HandoffFailing { .. }
            | Self::HandoffStopped { .. }
            | Self::HandoffBack { .. } => &[],
        }
    }
}

impl News for Import {
    const CHANNEL: &'static str = "confirmation";

    fn audience(&self) -> &[String] {
        &self.to
    }
}

impl News for Past {
    const CHANNEL: &'static str = "summary";
}

/// Of what the failure of a letter was told before its kind was written down.
fn confirmation() -> Kind {
    Kind::Confirmation
}

impl Cause {
    /// What alerts that go on for the same reason have in common.
    pub fn theme(&self) -> &str {
        match self {
            Self::Quarantined(Quarantined { defects, .. }) => {
                defects.first().map_or("quarantined", |first| &first.code)
            }
            Self::DeliveryFailed { .. } => "delivery_failed",
            Self::MailboxUnreachable { .. } | Self::MailboxBack { .. } => "mailbox_unreachable",
            Self::ResolverUnreachable { .. } | Self::ResolverBack { .. } => "resolver_unreachable",
            Self::HandoffFailing { .. } | Self::HandoffBack { .. } => "handoff_failing",
            Self::HandoffStopped { .. } => "handoff_stopped",
            Self::NoticeReminder(_) => "notice_reminder",
            Self::NoticeOverdue(_) => "notice_overdue",
            Self::NoticeArrived(_) => "notice_arrived",
        }
    }
}

/// Where a mail was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FoundIn {
    /// The configured mailbox of this name.
    Mailbox(String),
    /// A file that the operator named, by its path as given.
    File(String),
}

/// One defect or warning of a mail, in both languages: which of them the letter is in shows only
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

/// A piece of news that has not been gathered into a letter yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending<T> {
    /// `news.id`
    pub id: i64,
    /// What it is about, from its content alone: the same in a ledger restored from a backup.
    pub key: String,
    /// When it was raised.
    pub raised_at: Timestamp,
    /// What it says.
    pub cause: T,
}

/// How long alerts of one theme wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlertWindow {
    /// When the last letter about it was gathered.
    pub gathered_at: Timestamp,
    /// How long those that follow wait from then on.
    pub width: Duration,
}

impl Transaction {
    /// Writes down what people must be told. The same `key` twice is one piece of news.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn tell<T: News + Sync>(
        &mut self,
        key: &str,
        cause: &T,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        tell(&mut self.inner, key, cause, now).await
    }

    /// Posts the letter into which this news was gathered.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn gather<T>(
        &mut self,
        news: &[Pending<T>],
        letter: &Letter,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        let outbox_id = outbox::post(&mut self.inner, letter, None, now).await?;
        for piece in news {
            sqlx::query(
                "UPDATE news SET outbox_id = ?, gathered_at = ?
                 WHERE id = ? AND outbox_id IS NULL",
            )
            .bind(outbox_id)
            .bind(moment(now))
            .bind(piece.id)
            .execute(&mut *self.inner)
            .await
            .map_err(LedgerError::during("gather news"))?;
        }
        Ok(())
    }

    /// Whether there is news under this key, in a letter or not.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn is_told(&mut self, key: &str) -> Result<bool, LedgerError> {
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM news WHERE key = ?)")
            .bind(key)
            .fetch_one(&mut *self.inner)
            .await
            .map_err(LedgerError::during("look for news"))
    }

    /// Changes what a piece of news says; what is in a letter stays.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn correct<T: News + Sync>(&mut self, id: i64, cause: &T) -> Result<(), LedgerError> {
        let failed = LedgerError::during("correct news");
        let cause = serde_json::to_string(cause)
            .map_err(|error| failed(sqlx::Error::Encode(error.into())))?;
        sqlx::query("UPDATE news SET cause = ? WHERE id = ? AND outbox_id IS NULL")
            .bind(cause)
            .bind(id)
            .execute(&mut *self.inner)
            .await
            .map_err(failed)?;
        Ok(())
    }

    /// Takes a piece of news back that nobody need hear any more; what is in a letter stays.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn take_back(&mut self, id: i64) -> Result<(), LedgerError> {
        sqlx::query("DELETE FROM news WHERE id = ? AND outbox_id IS NULL")
            .bind(id)
            .execute(&mut *self.inner)
            .await
            .map_err(LedgerError::during("take news back"))?;
        Ok(())
    }

    /// News that is in no letter yet, oldest first.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn pending<T: News>(&mut self) -> Result<Vec<Pending<T>>, LedgerError> {
        let rows: Vec<(i64, String, String, String)> = sqlx::query_as(
            "SELECT id, key, raised_at, cause FROM news
             WHERE channel = ? AND outbox_id IS NULL ORDER BY id",
        )
        .bind(T::CHANNEL)
        .fetch_all(&mut *self.inner)
        .await
        .map_err(LedgerError::during("read news"))?;
        rows.into_iter()
            .map(|(id, key, raised_at, cause)| {
                Ok(Pending {
                    id,
                    key,
                    raised_at: parsed("news.raised_at", &raised_at)?,
                    cause: serde_json::from_str(&cause)
                        .map_err(|error| LedgerError::BadRow(format!("news.cause: {error}")))?,
                })
            })
            .collect()
    }

    /// When the oldest news of this kind that is in no letter yet was raised.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn waits_since<T: News>(&mut self) -> Result<Option<Timestamp>, LedgerError> {
        let oldest: Option<String> = sqlx::query_scalar(
            "SELECT raised_at FROM news WHERE channel = ? AND outbox_id IS NULL
             ORDER BY id LIMIT 1",
        )
        .bind(T::CHANNEL)
        .fetch_optional(&mut *self.inner)
        .await
        .map_err(LedgerError::during("read since when news waits"))?;
        oldest.map(|at| parsed("news.raised_at", &at)).transpose()
    }

    /// When the last letter of alerts to `audience` was gathered.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn last_alerted_at(
        &mut self,
        audience: &[String],
    ) -> Result<Option<Timestamp>, LedgerError> {
        // The last in the order of letters: the latest moment may be one of a clock that was ahead.
        let last: Option<String> = sqlx::query_scalar(
            "SELECT gathered_at FROM news WHERE outbox_id IS NOT NULL AND channel = 'alert'
                 AND audience IS ?
             ORDER BY outbox_id DESC LIMIT 1",
        )
        .bind(column(audience))
        .fetch_optional(&mut *self.inner)
        .await
        .map_err(LedgerError::during("read when alerts were gathered"))?;
        last.map(|at| parsed("news.gathered_at", &at)).transpose()
    }

    /// The window of every theme there was an alert to `audience` about.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn alert_windows(
        &mut self,
        audience: &[String],
    ) -> Result<BTreeMap<String, AlertWindow>, LedgerError> {
        let rows: Vec<(String, String, u32)> = sqlx::query_as(
            "SELECT theme, gathered_at, seconds FROM alert_window WHERE audience = ?",
        )
        .bind(column(audience).unwrap_or_default())
        .fetch_all(&mut *self.inner)
        .await
        .map_err(LedgerError::during("read the windows of alerts"))?;
        rows.into_iter()
            .map(|(theme, gathered_at, seconds)| {
                let window = AlertWindow {
                    gathered_at: parsed("alert_window.gathered_at", &gathered_at)?,
                    width: Duration::from_secs(seconds.into()),
                };
                Ok((theme, window))
            })
            .collect()
    }

    /// Begins a theme's next window.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn open_window(
        &mut self,
        audience: &[String],
        theme: &str,
        window: AlertWindow,
    ) -> Result<(), LedgerError> {
        sqlx::query(
            "INSERT INTO alert_window (audience, theme, gathered_at, seconds) VALUES (?, ?, ?, ?)
             ON CONFLICT (audience, theme) DO UPDATE SET
                 gathered_at = excluded.gathered_at, seconds = excluded.seconds",
        )
        .bind(column(audience).unwrap_or_default())
        .bind(theme)
        .bind(moment(window.gathered_at))
        .bind(i64::try_from(window.width.as_secs()).unwrap_or(i64::MAX))
        .execute(&mut *self.inner)
        .await
        .map_err(LedgerError::during("begin a window of alerts"))?;
        Ok(())
    }
}

impl Ledger {
    /// When the newest news of this kind that is in no letter yet was raised; `None` when none
    /// waits.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn newest<T: News>(&self) -> Result<Option<Timestamp>, LedgerError> {
        let newest: Option<String> = sqlx::query_scalar(
            "SELECT raised_at FROM news WHERE channel = ? AND outbox_id IS NULL
             ORDER BY id DESC LIMIT 1",
        )
        .bind(T::CHANNEL)
        .fetch_optional(&self.pool)
        .await
        .map_err(LedgerError::during("look for news"))?;
        newest.map(|at| parsed("news.raised_at", &at)).transpose()
    }
}

/// See [`Transaction::tell`].
pub(super) async fn tell<T: News>(
    connection: &mut SqliteConnection,
    key: &str,
    cause: &T,
    now: Timestamp,
) -> Result<(), LedgerError> {
    let failed = LedgerError::during("write down news");
    let audience = column(cause.audience());
    let cause =
        serde_json::to_string(cause).map_err(|error| failed(sqlx::Error::Encode(error.into())))?;
    sqlx::query(
        "INSERT INTO news (channel, key, cause, raised_at, audience) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (key) DO NOTHING",
    )
    .bind(T::CHANNEL)
    .bind(key)
    .bind(cause)
    .bind(moment(now))
    .bind(audience)
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(())
}

/// Addresses as they stand in a column; `None` for those whom everything is for.
fn column(audience: &[String]) -> Option<String> {
    (!audience.is_empty()).then(|| audience.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_for_different_reasons_has_windows_of_its_own() {
        let defect = |code: &str| Reason {
            code: code.to_owned(),
            detail: String::new(),
            detail_zh: String::new(),
        };
        let quarantined = Cause::Quarantined(Quarantined {
            is_row: false,
            message_id: 1,
            sha256: String::new(),
            found_in: FoundIn::File(String::new()),
            from: None,
            subject: String::new(),
            defects: vec![defect("sender_not_allowed"), defect("unknown_company")],
        });
        let failed = Cause::DeliveryFailed {
            outbox_id: 1,
            kind: Kind::Confirmation,
            subject: String::new(),
            recipients: Vec::new(),
            answer: String::new(),
        };
        let unreachable = Cause::MailboxUnreachable {
            mailbox: String::new(),
            last_ok_at: None,
            trouble: None,
        };
        let back = Cause::MailboxBack {
            mailbox: String::new(),
            alarmed_at: Timestamp::UNIX_EPOCH,
        };
        assert_eq!(quarantined.theme(), "sender_not_allowed");
        assert_eq!(failed.theme(), "delivery_failed");
        assert_eq!(unreachable.theme(), "mailbox_unreachable");
        assert_eq!(back.theme(), "mailbox_unreachable");
        let unanswered = Cause::ResolverUnreachable {
            mails: 1,
            since: Timestamp::UNIX_EPOCH,
            words: String::new(),
            resolvers: Vec::new(),
        };
        let answered = Cause::ResolverBack {
            alarmed_at: Timestamp::UNIX_EPOCH,
        };
        assert_eq!(unanswered.theme(), "resolver_unreachable");
        assert_eq!(answered.theme(), "resolver_unreachable");
    }
}
