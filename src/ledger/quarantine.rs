//! Messages that wait for a person, and each message with everything that is known of it.
//!
//! What is dismissed waits no more; its bytes are kept for a while, for people err. Left out on
//! purpose: what a person decides, which is next door.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use sqlx::{FromRow, sqlite::SqliteConnection};

use super::{
    Ledger, LedgerError, Reason, Transaction,
    columns::{expected, moment, parsed},
    decisions::{self, DecisionRow},
    messages,
    waiting::{self, Wait},
};
use crate::{
    authenticity::{Method, Proof},
    mailbox::Origin,
    notice::{Authenticity, Ban, DefectCode, Disposition, FileKind, Sentence},
};

/// How long the bytes of a dismissed message are kept.
const FORGOTTEN_AFTER: SignedDuration = SignedDuration::from_hours(90 * 24);

/// A message that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantineRow {
    /// `message.id`
    pub id: i64,
    /// The mailbox it came from; `None` for a file.
    pub mailbox: Option<String>,
    /// When it was recorded.
    pub received_at: Timestamp,
    /// From, when there was exactly one.
    pub from: Option<String>,
    /// The decoded Subject.
    pub subject: String,
    /// Codes and English sentences, in order.
    pub defects: Vec<(String, String)>,
}

/// One message with everything that is recorded of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMessage {
    /// `message.id`
    pub id: i64,
    /// Where it was found first.
    pub origin: Origin,
    /// Where else the same bytes were found.
    pub copies: Vec<Origin>,
    /// INTERNALDATE, or the file's modification time.
    pub internal_date: Option<Timestamp>,
    /// When it was recorded.
    pub received_at: Timestamp,
    /// The size of the whole message in bytes, however much of it was fetched.
    pub size: u64,
    /// SHA-256 of what was fetched, lower-case hexadecimal.
    pub sha256: String,
    /// What became of it.
    pub disposition: Disposition,
    /// When a person put it aside.
    pub dismissed_at: Option<Timestamp>,
    /// From, when there was exactly one.
    pub from: Option<String>,
    /// The decoded Subject.
    pub subject: String,
    /// Whose it is and how that was told, in the stable word.
    pub company: Option<(Ban, String)>,
    /// Which of the platform's files it is, or is a row of; `None` for a mail.
    pub file: Option<FileKind>,
    /// What is kept of what was fetched.
    pub raw: Option<Vec<u8>>,
    /// How it waits for a resolver; `None` once it is judged.
    pub wait: Option<Wait>,
    /// What was found of its origin when it came, or when a resolver answered at last.
    pub evidence: StoredEvidence,
    /// What was wrong with it when it was judged by itself.
    pub defects: Vec<Reason>,
    /// What a person should know.
    pub warnings: Vec<Reason>,
    /// What people decided about it, in that order.
    pub decisions: Vec<DecisionRow>,
}

/// What was found of a message's origin when it came.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct StoredEvidence {
    /// `pass`, `fail`, `none`, `temperror` or `not_required`.
    pub result: String,
    /// Why not, in one English sentence.
    pub detail: Option<String>,
    /// `dkim` or `authentication-results`.
    pub method: Option<String>,
    /// The signing domain.
    pub domain: Option<String>,
    /// The DKIM selector.
    pub selector: Option<String>,
    /// How it was signed: DKIM's `a=`.
    pub algorithm: Option<String>,
    /// The key record's text.
    pub key: Option<String>,
    /// The header fields under the signature, with colons between them.
    pub signed_fields: Option<String>,
    /// When it was found, RFC 3339.
    pub judged_at: String,
}

impl StoredEvidence {
    /// The signature, or the server's word, that was judged.
    pub fn proof(&self) -> Option<Proof> {
        let methods = [Method::Dkim, Method::AuthenticationResults];
        let named = |method: &Method| self.method.as_deref() == Some(method.as_str());
        Some(Proof {
            method: methods.into_iter().find(named)?,
            domain: self.domain.clone(),
            selector: self.selector.clone(),
            algorithm: self.algorithm.clone(),
            key: self.key.clone(),
        })
    }
}

impl StoredMessage {
    /// Whether something was wrong with it when it was judged by itself.
    pub fn had(&self, code: DefectCode) -> bool {
        let code = code.as_str();
        self.defects.iter().any(|defect| defect.code == code)
    }

    /// Whether it was genuine by what was found when it came: what proved it then may be gone by
    /// now. Where a resolver never answered, nothing is proven.
    pub fn authenticity(&self) -> Authenticity {
        match self.evidence.result.as_str() {
            "pass" => Authenticity::Proven {
                signed: self.evidence.signed_fields.as_ref().map(|fields| {
                    let names = fields.split(':').filter(|name| !name.is_empty());
                    names.map(str::to_owned).collect()
                }),
            },
            "not_required" => Authenticity::NotRequired,
            _ => {
                let code = DefectCode::NotAuthenticated.as_str();
                let told = self.defects.iter().find(|defect| defect.code == code);
                let detail = self.evidence.detail.clone().unwrap_or_default();
                Authenticity::Unproven(match told {
                    Some(told) => Sentence::new(&told.detail, &told.detail_zh),
                    None => Sentence::new(&detail, &detail),
                })
            }
        }
    }
}

impl Transaction {
    /// The mails that wait for a person, by company; by none where it cannot be told whose they are.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn quarantined_by_company(
        &mut self,
    ) -> Result<HashMap<Option<Ban>, Vec<i64>>, LedgerError> {
        let rows: Vec<(i64, Option<String>)> = sqlx::query_as(
            "SELECT id, company_ban FROM message
             WHERE disposition = 'quarantined' AND dismissed_at IS NULL AND copy_of IS NULL
             ORDER BY id",
        )
        .fetch_all(&mut *self.inner)
        .await
        .map_err(LedgerError::during(
            "read whose the mails in quarantine are",
        ))?;
        let mut mails = HashMap::<_, Vec<i64>>::new();
        for (id, ban) in rows {
            let ban = ban
                .map(|ban| parsed("message.company_ban", &ban))
                .transpose()?;
            mails.entry(ban).or_default().push(id);
        }
        Ok(mails)
    }
}

impl Ledger {
    /// What waits for a person, oldest first; copies of the same bytes are listed once.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn quarantine(&self) -> Result<Vec<QuarantineRow>, LedgerError> {
        type Columns = (
            i64,
            Option<String>,
            String,
            Option<String>,
            String,
            Option<String>,
            Option<String>,
        );
        let rows: Vec<Columns> = sqlx::query_as(
            "SELECT message.id, mailbox, received_at, from_address, subject, code, detail
             FROM message
             LEFT JOIN finding ON message_id = message.id AND severity = 'defect'
             WHERE disposition = 'quarantined' AND copy_of IS NULL AND dismissed_at IS NULL
             ORDER BY message.id, position",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(LedgerError::during("read the quarantine"))?;
        let mut waiting: Vec<QuarantineRow> = Vec::new();
        for (id, mailbox, received_at, from, subject, code, detail) in rows {
            let defect = code.zip(detail);
            match waiting.last_mut() {
                Some(row) if row.id == id => row.defects.extend(defect),
                _ => waiting.push(QuarantineRow {
                    id,
                    mailbox,
                    received_at: parsed("message.received_at", &received_at)?,
                    from,
                    subject,
                    defects: defect.into_iter().collect(),
                }),
            }
        }
        Ok(waiting)
    }

    /// One message, or the one whose bytes it holds too; `None` where no message has this id.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn message(&self, id: i64) -> Result<Option<StoredMessage>, LedgerError> {
        // All of it from one moment.
        let failed = LedgerError::during("read a message");
        let mut transaction = self.pool.begin().await.map_err(failed)?;
        stored(&mut transaction, id).await
    }

    /// How many mails wait for a person, as [`Ledger::quarantine`] lists them.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn quarantined(&self) -> Result<u64, LedgerError> {
        sqlx::query_scalar(
            "SELECT count(*) FROM message
             WHERE disposition = 'quarantined' AND copy_of IS NULL AND dismissed_at IS NULL",
        )
        .fetch_one(&self.pool)
        .await
        .map_err(LedgerError::during("count the quarantine"))
    }

    /// Lets the bytes go of what was dismissed 90 days ago or earlier; returns of how many
    /// messages.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn forget_dismissed(&self, now: Timestamp) -> Result<u64, LedgerError> {
        let latest = now.checked_sub(FORGOTTEN_AFTER).unwrap_or(Timestamp::MIN);
        let mut transaction = self.begin().await?;
        let forgotten = sqlx::query(
            "UPDATE message SET raw = NULL WHERE dismissed_at <= ? AND raw IS NOT NULL",
        )
        .bind(moment(latest))
        .execute(&mut *transaction.inner)
        .await
        .map_err(LedgerError::during("let bytes of dismissed messages go"))?;
        transaction.commit().await?;
        Ok(forgotten.rows_affected())
    }
}

impl Transaction {
    /// As [`Ledger::message`], seen from inside the transaction.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn message(&mut self, id: i64) -> Result<Option<StoredMessage>, LedgerError> {
        stored(&mut self.inner, id).await
    }
}

#[derive(FromRow)]
struct Columns {
    id: i64,
    mailbox: Option<String>,
    uidvalidity: Option<u32>,
    uid: Option<u32>,
    file: Option<String>,
    internal_date: Option<String>,
    received_at: String,
    size: i64,
    sha256: String,
    disposition: String,
    dismissed_at: Option<String>,
    from_address: Option<String>,
    subject: String,
    company_ban: Option<String>,
    company_source: Option<String>,
    source: String,
    raw: Option<Vec<u8>>,
}

pub(super) type Place = (Option<String>, Option<u32>, Option<u32>, Option<String>);

pub(super) fn origin(place: Place) -> Result<Origin, LedgerError> {
    let origin = match place {
        (Some(mailbox), Some(uidvalidity), Some(uid), None) => Some(Origin::Imap {
            mailbox,
            uidvalidity,
            uid,
        }),
        (Some(mailbox), None, None, Some(file)) => Some(Origin::Maildir { mailbox, file }),
        (None, None, None, Some(path)) => Some(Origin::File { path }),
        _ => None,
    };
    expected(origin, "message.mailbox", "a place", "another combination")
}

/// See [`Ledger::message`].
async fn stored(
    connection: &mut SqliteConnection,
    id: i64,
) -> Result<Option<StoredMessage>, LedgerError> {
    let failed = LedgerError::during("read a message");
    let row: Option<Columns> = sqlx::query_as(
        "SELECT id, mailbox, uidvalidity, uid, file, internal_date, received_at, size, sha256,
             disposition, dismissed_at, from_address, subject, company_ban, company_source, raw,
             source
         FROM message WHERE id = (SELECT coalesce(copy_of, id) FROM message WHERE id = ?)",
    )
    .bind(id)
    .fetch_optional(&mut *connection)
    .await
    .map_err(failed)?;
    let Some(row) = row else {
        return Ok(None);
    };
    let copies: Vec<Place> = sqlx::query_as(
        "SELECT mailbox, uidvalidity, uid, file FROM message WHERE copy_of = ? ORDER BY id",
    )
    .bind(row.id)
    .fetch_all(&mut *connection)
    .await
    .map_err(failed)?;
    // One that stood in for what could not be fetched was judged again when it came, and one that
    // waited for a resolver when that answered.
    let evidence: StoredEvidence = sqlx::query_as(
        "SELECT result, detail, method, domain, selector, algorithm, key, signed_fields, judged_at
         FROM evidence WHERE message_id = ? ORDER BY id DESC LIMIT 1",
    )
    .bind(row.id)
    .fetch_one(&mut *connection)
    .await
    .map_err(failed)?;
    let findings: Vec<(String, String, String, String)> = sqlx::query_as(
        "SELECT severity, code, detail, detail_zh FROM finding WHERE message_id = ?
         ORDER BY position",
    )
    .bind(row.id)
    .fetch_all(&mut *connection)
    .await
    .map_err(failed)?;
    let (defects, warnings): (Vec<_>, Vec<_>) = findings
        .into_iter()
        .partition(|(severity, ..)| severity == "defect");
    let reasons = |findings: Vec<(String, String, String, String)>| {
        let reason = |(_, code, detail, detail_zh)| Reason {
            code,
            detail,
            detail_zh,
        };
        findings.into_iter().map(reason).collect()
    };
    let at = |column, text: Option<String>| text.map(|text| parsed(column, &text)).transpose();
    Ok(Some(StoredMessage {
        id: row.id,
        origin: origin((row.mailbox, row.uidvalidity, row.uid, row.file))?,
        copies: copies.into_iter().map(origin).collect::<Result<_, _>>()?,
        internal_date: at("message.internal_date", row.internal_date)?,
        received_at: parsed("message.received_at", &row.received_at)?,
        size: row.size.unsigned_abs(),
        sha256: row.sha256,
        disposition: messages::disposition(&row.disposition)?,
        dismissed_at: at("message.dismissed_at", row.dismissed_at)?,
        from: row.from_address,
        subject: row.subject,
        company: match row.company_ban.zip(row.company_source) {
            Some((ban, source)) => Some((parsed("message.company_ban", &ban)?, source)),
            None => None,
        },
        file: match row.source.as_str() {
            "mail" => None,
            word => Some(expected(
                [FileKind::Csv, FileKind::E0501]
                    .into_iter()
                    .find(|kind| kind.as_str() == word),
                "message.source",
                "mail, csv or e0501",
                word,
            )?),
        },
        raw: row.raw,
        wait: waiting::of(connection, row.id).await?,
        evidence,
        defects: reasons(defects),
        warnings: reasons(warnings),
        decisions: decisions::about_message(connection, row.id).await?,
    }))
}
