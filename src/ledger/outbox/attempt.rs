//! One attempt at a letter: written down before it is made, and how it ended.
//!
//! No transaction is open while an attempt is being made. Left out on purpose: making it.
//!
//! Guarantee: who did not get a letter is written down, and told unless the letter was itself an
//! alert.

use jiff::{SignedDuration, Timestamp};
use sqlx::sqlite::SqliteConnection;

use super::{
    super::{
        Cause, Ledger, LedgerError,
        columns::{moment, parsed},
        news, targets,
    },
    Kind, Letter, OutboxState, Recipient,
};

/// Nothing is put off for so long. What is due later than this was put off under a clock that has
/// been set back since, and would wait until that moment comes again.
const FARTHEST: SignedDuration = SignedDuration::from_hours(1);

/// A letter taken for one attempt, which is already written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// `outbox.id`
    pub id: i64,
    /// The letter; its recipients are those who have not got it yet.
    pub letter: Letter,
    /// Attempts including this one.
    pub attempts: u32,
    /// Since when patience is counted: when it was posted, or when a person asked for a retry.
    pub patient_since: Timestamp,
}

/// How an attempt ended, for the recipients of its [`Lease`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// The server took it for everybody it was still due to, but for `refused`.
    Sent {
        /// Recipients refused for good, each with the server's words.
        refused: Vec<(Recipient, String)>,
    },
    /// Try again at `next` for `recipients`; those who stand neither there nor under `refused`
    /// have it by now.
    Deferred {
        /// The next attempt.
        next: Timestamp,
        /// Who is still due to get it; at least one.
        recipients: Vec<Recipient>,
        /// Recipients refused for good meanwhile, each with the server's words.
        refused: Vec<(Recipient, String)>,
        /// The server's words, or ours.
        answer: String,
    },
    /// Given up or refused for good.
    Failed {
        /// The server's words, or ours.
        answer: String,
    },
    /// The system wants nothing any more: this and all else that is for it waits for a person.
    Stopped {
        /// Its words.
        answer: String,
    },
}

impl Ledger {
    /// Makes attempts that a dead process left open due at once, those at `target`, or at mails
    /// where that is `None`; returns how many there were. Only the one daemon calls this, before
    /// its first attempt.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn reopen_attempts(
        &self,
        target: Option<&str>,
        now: Timestamp,
    ) -> Result<u64, LedgerError> {
        let mut transaction = self.begin().await?;
        let reopened = sqlx::query(
            "UPDATE outbox SET state = 'pending', next_attempt_at = ?
             WHERE state = 'sending' AND target IS ?",
        )
        .bind(moment(now))
        .bind(target)
        .execute(&mut *transaction.inner)
        .await
        .map_err(LedgerError::during("reopen attempts"))?;
        transaction.commit().await?;
        Ok(reopened.rows_affected())
    }

    /// Takes the letter to `target`, the mail where that is `None`, that was due longest at the
    /// moment `due` and writes the attempt down as made `now`, committed. Should the process die, the
    /// letter is due again at `retry_at`, or at the next start. A clock that was set back holds no
    /// letter; nothing is taken for a system that wants nothing any more.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn lease(
        &self,
        target: Option<&str>,
        due: Timestamp,
        now: Timestamp,
        retry_at: Timestamp,
    ) -> Result<Option<Lease>, LedgerError> {
        let mut transaction = self.begin().await?;
        let lease = take(&mut transaction.inner, target, due, now, retry_at).await?;
        transaction.commit().await?;
        Ok(lease)
    }

    /// Writes down how an attempt ended. A letter that failed, or that somebody did not get,
    /// raises [`Cause::DeliveryFailed`] in the same transaction unless it was itself an alert. A
    /// letter that nobody got is [`OutboxState::Failed`], however it ended.
    ///
    /// An attempt that was reopened or overtaken by a later one changes nothing: the later one
    /// will tell.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn settle(
        &self,
        lease: &Lease,
        settled: &Settled,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        let mut transaction = self.begin().await?;
        let connection = &mut *transaction.inner;
        if is_open(connection, lease).await? {
            write_down(connection, lease, settled, now).await?;
            if let Some(cause) = undelivered(lease, settled) {
                let (letter, attempts) = (&lease.letter.message_id, lease.attempts);
                let key = format!("delivery-failed:{letter}:{attempts}");
                news::tell(connection, &key, &cause, now).await?;
            }
            if let Settled::Stopped { .. } = settled {
                targets::stop(connection, lease, now).await?;
            }
        }
        transaction.commit().await
    }
}

/// See [`Ledger::lease`].
async fn take(
    connection: &mut SqliteConnection,
    target: Option<&str>,
    due: Timestamp,
    now: Timestamp,
    retry_at: Timestamp,
) -> Result<Option<Lease>, LedgerError> {
    type Columns = (i64, String, String, String, Vec<u8>, u32, String);
    let failed = LedgerError::during("take a letter from the outbox");
    let farthest = due.checked_add(FARTHEST).unwrap_or(Timestamp::MAX);
    let row: Option<Columns> = sqlx::query_as(concat!(
        "UPDATE outbox
         SET state = 'sending', attempts = attempts + 1, attempted_at = ?4, next_attempt_at = ?2
         WHERE id = (SELECT id FROM outbox
             WHERE target IS ?5 AND (next_attempt_at <= ?1 OR next_attempt_at > ?3)
                 AND NOT EXISTS (SELECT 1 FROM handoff_target
                     WHERE name = ?5 AND stopped_at IS NOT NULL)
                 AND ",
        in_turn!(),
        " ORDER BY kind = 'alert' DESC, next_attempt_at, id LIMIT 1)
         RETURNING id, kind, rfc_message_id, subject, eml, attempts, patient_since"
    ))
    .bind(moment(due))
    .bind(moment(retry_at))
    .bind(moment(farthest.max(retry_at)))
    .bind(moment(now))
    .bind(target)
    .fetch_optional(&mut *connection)
    .await
    .map_err(failed)?;
    let Some((id, kind, message_id, subject, eml, attempts, patient_since)) = row else {
        return Ok(None);
    };
    let recipients: Vec<String> = sqlx::query_scalar(
        "SELECT address FROM outbox_recipient WHERE outbox_id = ? AND state = 'due'
         ORDER BY position",
    )
    .bind(id)
    .fetch_all(&mut *connection)
    .await
    .map_err(failed)?;
    Ok(Some(Lease {
        id,
        letter: Letter {
            kind: super::kind(&kind)?,
            message_id,
            recipients: recipients
                .iter()
                .map(|name| match target {
                    Some(_) => Ok(Recipient::system(name)),
                    None => parsed("outbox_recipient.address", name),
                })
                .collect::<Result<_, _>>()?,
            subject,
            eml,
        },
        attempts,
        patient_since: parsed("outbox.patient_since", &patient_since)?,
    }))
}

/// Whether this very attempt is the one that is being made.
async fn is_open(connection: &mut SqliteConnection, lease: &Lease) -> Result<bool, LedgerError> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM outbox WHERE id = ? AND attempts = ? AND state = 'sending')",
    )
    .bind(lease.id)
    .bind(lease.attempts)
    .fetch_one(connection)
    .await
    .map_err(LedgerError::during("look for an attempt"))
}

async fn write_down(
    connection: &mut SqliteConnection,
    lease: &Lease,
    settled: &Settled,
    now: Timestamp,
) -> Result<(), LedgerError> {
    let failed = LedgerError::during("write down how an attempt ended");
    let (refused, still_due): (&[_], &[_]) = match settled {
        Settled::Sent { refused } => (refused, &[]),
        Settled::Deferred {
            recipients,
            refused,
            ..
        } => (refused, recipients),
        Settled::Failed { .. } | Settled::Stopped { .. } => (&[], &lease.letter.recipients),
    };
    for recipient in &lease.letter.recipients {
        let refusal = refused
            .iter()
            .find_map(|(address, words)| (address == recipient).then_some(words));
        let state = match refusal {
            Some(_) => "refused",
            None if still_due.contains(recipient) => "due",
            None => "sent",
        };
        sqlx::query(
            "UPDATE outbox_recipient SET state = ?, answer = ?
             WHERE outbox_id = ? AND address = ?",
        )
        .bind(state)
        .bind(refusal)
        .bind(lease.id)
        .bind(recipient.as_str())
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    }

    let anybody_has_it: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM outbox_recipient WHERE outbox_id = ? AND state = 'sent')",
    )
    .bind(lease.id)
    .fetch_one(&mut *connection)
    .await
    .map_err(failed)?;
    let (state, next, answer) = match settled {
        Settled::Sent { refused } if anybody_has_it => (OutboxState::Sent, None, words(refused)),
        Settled::Sent { refused } => (OutboxState::Failed, None, words(refused)),
        Settled::Deferred { next, answer, .. } => {
            (OutboxState::Pending, Some(*next), Some(answer.clone()))
        }
        Settled::Failed { answer } => (OutboxState::Failed, None, Some(answer.clone())),
        Settled::Stopped { answer } => (OutboxState::Pending, Some(now), Some(answer.clone())),
    };
    sqlx::query(
        "UPDATE outbox SET state = ?, next_attempt_at = ?, sent_at = ?,
             last_answer = coalesce(?, last_answer)
         WHERE id = ?",
    )
    .bind(state.as_str())
    .bind(next.map(moment))
    .bind((state == OutboxState::Sent).then(|| moment(now)))
    .bind(answer)
    .bind(lease.id)
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(())
}

/// What people must be told of an attempt; `None` when nobody is left out for good, and about
/// alerts, which would only breed more of themselves.
fn undelivered(lease: &Lease, settled: &Settled) -> Option<Cause> {
    let (recipients, answer): (Vec<&Recipient>, String) = match settled {
        Settled::Sent { refused } | Settled::Deferred { refused, .. } => (
            refused.iter().map(|(address, _)| address).collect(),
            words(refused)?,
        ),
        Settled::Failed { answer } => (lease.letter.recipients.iter().collect(), answer.clone()),
        // Told as what it is.
        Settled::Stopped { .. } => return None,
    };
    (lease.letter.kind != Kind::Alert).then(|| Cause::DeliveryFailed {
        outbox_id: lease.id,
        kind: lease.letter.kind,
        subject: lease.letter.subject.clone(),
        recipients: recipients.iter().map(ToString::to_string).collect(),
        answer,
    })
}

/// The words of refusal, each once; `None` when nobody was refused.
fn words(refused: &[(Recipient, String)]) -> Option<String> {
    let mut distinct: Vec<&str> = Vec::new();
    for (_, words) in refused {
        if !distinct.contains(&words.as_str()) {
            distinct.push(words);
        }
    }
    (!distinct.is_empty()).then(|| distinct.join("; "))
}
