//! Messages whose origin no resolver has told yet.
//!
//! Each has a row that says when it is asked about again. Guarantee: a message waits if and only if
//! it has a row here, in every moment that anybody can see; what becomes of it is written in one
//! transaction, and only where nobody else has asked meanwhile. Left out on purpose: the asking.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sqlx::{FromRow, sqlite::SqliteConnection};

use super::{
    Earlier, Entry, Ledger, LedgerError, Transaction,
    columns::{moment, parsed},
    messages::{self, Place},
    quarantine::origin,
};
use crate::{
    authenticity::Evidence,
    backoff::Backoff,
    mailbox::Origin,
    notice::{Authenticity, Disposition},
};

/// How long after an attempt in vain a message is asked about again.
const PACE: Backoff = Backoff {
    first: Duration::from_secs(5),
    most: Duration::from_secs(300),
};

/// What is asked about side by side holds about so many bytes.
const BYTES: i64 = 16 << 20;

/// How a message waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// When it began to.
    pub since: Timestamp,
    /// How often it was asked about, in vain.
    pub asked: u32,
    /// When it was asked about last.
    pub asked_at: Timestamp,
    /// When it is asked about again.
    pub next_ask_at: Timestamp,
    /// Why there was no answer, in the words of the last attempt.
    pub words: String,
}

/// All that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// How many messages.
    pub mails: u64,
    /// When the first of them began to.
    pub since: Timestamp,
    /// When the next of them is asked about.
    pub next_ask_at: Timestamp,
    /// The words of the last attempt in vain.
    pub words: String,
}

/// A message that is to be asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unanswered {
    /// What to come back with.
    pub ticket: Ticket,
    /// Where it was found.
    pub origin: Origin,
    /// INTERNALDATE, or the file's modification time.
    pub internal_date: Option<Timestamp>,
    /// All of it.
    pub raw: Vec<u8>,
}

/// Stands for a waiting message in the state in which somebody asked about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// `message.id`
    pub id: i64,
    /// How often it had been asked about by then.
    pub asked: u32,
    /// Whether nobody is to be told what becomes of it.
    pub quietly: bool,
}

impl Ledger {
    /// What is to be asked about at `now`, what has been due for longest first: so many messages,
    /// and about so many bytes, as are asked about side by side.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn unanswered(
        &self,
        now: Timestamp,
        at_most: u32,
    ) -> Result<Vec<Unanswered>, LedgerError> {
        // What is due later than any pause is long was written by a clock that was ahead.
        let latest = now.checked_add(SignedDuration::try_from(PACE.most).unwrap_or_default());
        let rows: Vec<Columns> = sqlx::query_as(
            "SELECT message_id, asked, quietly, mailbox, uidvalidity, uid, file, internal_date, raw
             FROM (
                 SELECT message_id, asked, quietly, next_ask_at, length(raw) AS own,
                     sum(length(raw)) OVER (ORDER BY next_ask_at, message_id) AS so_far
                 FROM waiting JOIN message ON message.id = message_id
                 WHERE next_ask_at <= ?1 OR next_ask_at > ?2
                 ORDER BY next_ask_at, message_id LIMIT ?4
             ) JOIN message ON message.id = message_id
             WHERE so_far - own < ?3 ORDER BY next_ask_at, message_id",
        )
        .bind(moment(now))
        .bind(moment(latest.unwrap_or(Timestamp::MAX)))
        .bind(BYTES)
        .bind(at_most)
        .fetch_all(&self.pool)
        .await
        .map_err(LedgerError::during("read what is to be asked about"))?;
        rows.into_iter().map(Columns::unanswered).collect()
    }

    /// When the next message is to be asked about; `None` while none waits.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn next_ask_at(&self) -> Result<Option<Timestamp>, LedgerError> {
        let at: Option<String> = sqlx::query_scalar("SELECT min(next_ask_at) FROM waiting")
            .fetch_one(&self.pool)
            .await
            .map_err(LedgerError::during("look for what is asked about next"))?;
        at.map(|at| parsed("waiting.next_ask_at", &at)).transpose()
    }

    /// All that waits; `None` while nothing does.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn waiting(&self) -> Result<Option<Waiting>, LedgerError> {
        let row: Option<(u64, String, String, String)> = sqlx::query_as(
            "SELECT (SELECT count(*) FROM waiting), (SELECT min(since) FROM waiting),
                 (SELECT min(next_ask_at) FROM waiting), words
             FROM waiting ORDER BY asked_at DESC, message_id LIMIT 1",
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(LedgerError::during("read what waits for a resolver"))?;
        row.map(|(mails, since, next_ask_at, words)| {
            Ok(Waiting {
                mails,
                since: parsed("waiting.since", &since)?,
                next_ask_at: parsed("waiting.next_ask_at", &next_ask_at)?,
                words,
            })
        })
        .transpose()
    }

    /// Everything that waits is due at `now`: what kept a resolver from answering may have changed.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn ask_all_at(&self, now: Timestamp) -> Result<(), LedgerError> {
        let mut transaction = self.begin().await?;
        sqlx::query("UPDATE waiting SET next_ask_at = ?1 WHERE next_ask_at > ?1")
            .bind(moment(now))
            .execute(&mut *transaction.inner)
            .await
            .map_err(LedgerError::during("have all that waits asked about"))?;
        transaction.commit().await
    }

    /// When people were told that mail waits for a resolver; `None` when they were not, or were
    /// told since that it does no more.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn resolver_alarmed(&self) -> Result<Option<Timestamp>, LedgerError> {
        let at: Option<String> = sqlx::query_scalar("SELECT alarmed_at FROM resolver_alarm")
            .fetch_optional(&self.pool)
            .await
            .map_err(LedgerError::during("read whether a resolver is missed"))?;
        at.map(|at| parsed("resolver_alarm.alarmed_at", &at))
            .transpose()
    }
}

impl Transaction {
    /// Whether the message still waits as it did when somebody took the `ticket` to ask about it.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn still_waits(&mut self, ticket: Ticket) -> Result<bool, LedgerError> {
        sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM waiting WHERE message_id = ? AND asked = ?)",
        )
        .bind(ticket.id)
        .bind(ticket.asked)
        .fetch_one(&mut *self.inner)
        .await
        .map_err(LedgerError::during("look whether a message still waits"))
    }

    /// The message that waits at this very place and with this content; `None` where none does.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn waits_at(
        &mut self,
        origin: &Origin,
        sha256: &str,
    ) -> Result<Option<Ticket>, LedgerError> {
        let place = Place::of(origin);
        let row: Option<(i64, u32, bool)> = sqlx::query_as(
            "SELECT message_id, asked, quietly FROM waiting JOIN message ON message.id = message_id
             WHERE sha256 = ? AND mailbox IS ? AND uidvalidity IS ? AND uid IS ? AND file IS ?",
        )
        .bind(sha256)
        .bind(place.mailbox)
        .bind(place.uidvalidity)
        .bind(place.uid)
        .bind(place.file)
        .fetch_optional(&mut *self.inner)
        .await
        .map_err(LedgerError::during("look whether a message waits"))?;
        Ok(row.map(|(id, asked, quietly)| Ticket { id, asked, quietly }))
    }

    /// Nobody is to be told what becomes of this message.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn wait_quietly(&mut self, id: i64) -> Result<(), LedgerError> {
        sqlx::query("UPDATE waiting SET quietly = 1 WHERE message_id = ?")
            .bind(id)
            .execute(&mut *self.inner)
            .await
            .map_err(LedgerError::during("let a message wait quietly"))?;
        Ok(())
    }

    /// It was asked about once more in vain, for the reason `words`.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn asked_in_vain(
        &mut self,
        ticket: Ticket,
        words: &str,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        let asked = ticket.asked.saturating_add(1);
        // A clock that was ahead must not hide since when it waits.
        sqlx::query(
            "UPDATE waiting SET since = min(since, ?1), asked = ?2, asked_at = ?1,
                 next_ask_at = ?3, words = ?4
             WHERE message_id = ?5",
        )
        .bind(moment(now))
        .bind(asked)
        .bind(moment(next(asked, now)))
        .bind(words)
        .bind(ticket.id)
        .execute(&mut *self.inner)
        .await
        .map_err(LedgerError::during("write down that nobody answered"))?;
        Ok(())
    }

    /// Makes a waiting message what its judgement says, with the evidence beside the earlier one.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn settle_waiting(&mut self, id: i64, entry: &Entry<'_>) -> Result<(), LedgerError> {
        let failed = LedgerError::during("record what became of a message that waited");
        let company = entry.judgement.company;
        sqlx::query(
            "UPDATE message SET disposition = ?, from_address = ?, subject = ?, company_ban = ?,
                 company_source = ?, raw = ?
             WHERE id = ?",
        )
        .bind(entry.judgement.disposition.as_str())
        .bind(entry.reading.from.as_ref().map(|from| from.as_str()))
        .bind(&entry.reading.subject)
        .bind(company.map(|(ban, _)| ban.to_string()))
        .bind(company.map(|(_, source)| source.as_str()))
        .bind(messages::kept(entry))
        .bind(id)
        .execute(&mut *self.inner)
        .await
        .map_err(failed)?;
        forget_findings(&mut self.inner, id).await?;
        messages::insert_conclusions(&mut self.inner, id, entry).await
    }

    /// Makes a waiting message one more copy of bytes that were judged meanwhile; returns its
    /// disposition.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn settle_as_copy(
        &mut self,
        id: i64,
        earlier: Earlier,
    ) -> Result<Disposition, LedgerError> {
        let disposition = earlier.for_a_copy();
        sqlx::query(
            "UPDATE message SET disposition = ?1, copy_of = ?2, company_ban = NULL,
                 company_source = NULL, raw = NULL,
                 dismissed_at = (SELECT dismissed_at FROM message WHERE id = ?2)
             WHERE id = ?3",
        )
        .bind(disposition.as_str())
        .bind(earlier.id)
        .bind(id)
        .execute(&mut *self.inner)
        .await
        .map_err(LedgerError::during("make a message that waited a copy"))?;
        forget_findings(&mut self.inner, id).await?;
        Ok(disposition)
    }

    /// Writes down that people are told that mail waits for a resolver, or (`None`) that it does
    /// no more.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn set_resolver_alarmed(&mut self, at: Option<Timestamp>) -> Result<(), LedgerError> {
        let failed = LedgerError::during("write down that a resolver is missed");
        let statement = match at {
            Some(_) => "INSERT OR REPLACE INTO resolver_alarm (one, alarmed_at) VALUES (1, ?)",
            None => "DELETE FROM resolver_alarm",
        };
        let mut query = sqlx::query(statement);
        if let Some(at) = at {
            query = query.bind(moment(at));
        }
        query.execute(&mut *self.inner).await.map_err(failed)?;
        Ok(())
    }
}

/// The message has just been recorded, and waits.
pub(super) async fn begin(
    connection: &mut SqliteConnection,
    id: i64,
    evidence: &Evidence,
    now: Timestamp,
) -> Result<(), LedgerError> {
    let words = match &evidence.verdict {
        Authenticity::Unknown(words) => words.as_str(),
        Authenticity::NotRequired | Authenticity::Proven { .. } | Authenticity::Unproven(_) => "",
    };
    sqlx::query(
        "INSERT INTO waiting (message_id, since, asked, asked_at, next_ask_at, words)
         VALUES (?1, ?2, 1, ?2, ?3, ?4)",
    )
    .bind(id)
    .bind(moment(now))
    .bind(moment(next(1, now)))
    .bind(words)
    .execute(connection)
    .await
    .map_err(LedgerError::during("let a message wait"))?;
    Ok(())
}

/// How a message waits; `None` for one that does not.
pub(super) async fn of(
    connection: &mut SqliteConnection,
    id: i64,
) -> Result<Option<Wait>, LedgerError> {
    let row: Option<(String, u32, String, String, String)> = sqlx::query_as(
        "SELECT since, asked, asked_at, next_ask_at, words FROM waiting WHERE message_id = ?",
    )
    .bind(id)
    .fetch_optional(connection)
    .await
    .map_err(LedgerError::during("read how a message waits"))?;
    row.map(|(since, asked, asked_at, next_ask_at, words)| {
        Ok(Wait {
            since: parsed("waiting.since", &since)?,
            asked,
            asked_at: parsed("waiting.asked_at", &asked_at)?,
            next_ask_at: parsed("waiting.next_ask_at", &next_ask_at)?,
            words,
        })
    })
    .transpose()
}

/// After attempt number `asked`, made at `now`. Without jitter: all of it is asked by one daemon,
/// and in batches.
fn next(asked: u32, now: Timestamp) -> Timestamp {
    let pause = SignedDuration::try_from(PACE.after(asked, 1.0)).unwrap_or_default();
    now.checked_add(pause).unwrap_or(Timestamp::MAX)
}

async fn forget_findings(connection: &mut SqliteConnection, id: i64) -> Result<(), LedgerError> {
    sqlx::query("DELETE FROM finding WHERE message_id = ?")
        .bind(id)
        .execute(connection)
        .await
        .map_err(LedgerError::during("take back what was found"))?;
    Ok(())
}

#[derive(FromRow)]
struct Columns {
    message_id: i64,
    asked: u32,
    quietly: bool,
    mailbox: Option<String>,
    uidvalidity: Option<u32>,
    uid: Option<u32>,
    file: Option<String>,
    internal_date: Option<String>,
    raw: Vec<u8>,
}

impl Columns {
    fn unanswered(self) -> Result<Unanswered, LedgerError> {
        let date = self.internal_date.as_deref();
        let date = date.map(|date| parsed("message.internal_date", date));
        Ok(Unanswered {
            ticket: Ticket {
                id: self.message_id,
                asked: self.asked,
                quietly: self.quietly,
            },
            origin: origin((self.mailbox, self.uidvalidity, self.uid, self.file))?,
            internal_date: date.transpose()?,
            raw: self.raw,
        })
    }
}
