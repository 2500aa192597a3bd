//! Messages and what was found in them.
//!
//! The message row is the cursor: what has one, or stands in a run of UIDs, is never fetched
//! again, except for one that stands in for what could not be fetched. Guarantee: no more bytes are
//! kept than are needed; of what nothing proved genuine the first 64 KiB, of what is nothing of
//! ours none.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sqlx::sqlite::SqliteConnection;

use super::{
    Ledger, LedgerError, Transaction, allocations,
    columns::{expected, moment},
    suspects,
    uid_runs::{self, Reason},
    waiting,
};
use crate::{
    authenticity::Evidence,
    mailbox::{Content, Known, Origin, RawMessage, UidSet},
    notice::{Authenticity, Disposition, Judgement, Reading, Sentence},
};

/// How much is kept of a message that nothing proved genuine, bytes.
pub(super) const UNPROVEN_BYTES: usize = 64 * 1024;

/// Everything that is recorded of one message, in one go.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// The message as it was found.
    pub message: &'a RawMessage,
    /// SHA-256 of what was fetched, lower-case hexadecimal.
    pub sha256: &'a str,
    /// What it says.
    pub reading: &'a Reading,
    /// What is known of its origin.
    pub evidence: &'a Evidence,
    /// What follows.
    pub judgement: &'a Judgement,
    /// The moment of recording.
    pub now: Timestamp,
}

/// A message with the same bytes that was judged before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Earlier {
    /// Its `message.id`.
    pub id: i64,
    /// What became of it.
    pub disposition: Disposition,
}

impl Earlier {
    /// What becomes of one more message with these bytes: of an imported one it is a duplicate.
    pub(super) fn for_a_copy(self) -> Disposition {
        match self.disposition {
            Disposition::Imported => Disposition::Duplicate,
            other => other,
        }
    }
}

/// How many messages ended in which disposition, all five present.
pub type Counts = BTreeMap<String, u64>;

/// See [`Transaction::judged_before`].
pub(super) async fn judged_before(
    connection: &mut SqliteConnection,
    message: &RawMessage,
    sha256: &str,
) -> Result<Option<Earlier>, LedgerError> {
    // Otherwise size is what the server said, which another server may say differently.
    let size = match message.content {
        Content::Oversized(_) => Some(bytes(message.size)),
        Content::Whole(_) | Content::Unwanted | Content::Unfetchable(_) => None,
    };
    let row: Option<(i64, String)> = sqlx::query_as(
        "SELECT id, disposition FROM message
         WHERE sha256 = ?1 AND (?2 IS NULL OR size = ?2)
             AND copy_of IS NULL AND disposition NOT IN ('waiting', 'unrelated')
         ORDER BY id LIMIT 1",
    )
    .bind(sha256)
    .bind(size)
    .fetch_optional(connection)
    .await
    .map_err(LedgerError::during("look for the same bytes"))?;
    row.map(|(id, word)| {
        let disposition = disposition(&word)?;
        Ok(Earlier { id, disposition })
    })
    .transpose()
}

/// Reads `message.disposition`.
pub(super) fn disposition(word: &str) -> Result<Disposition, LedgerError> {
    let mut known = Disposition::ALL.into_iter();
    expected(
        known.find(|known| known.as_str() == word),
        "message.disposition",
        "a disposition",
        word,
    )
}

impl Transaction {
    /// A message with the same bytes as `message` that was judged before, the first of them. Of
    /// one that is too large only the header is known, so that its size must be the same too. One
    /// that still waits for a resolver has not been judged, and one that was passed over as
    /// unrelated is judged by today's rules: they may know it by now.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn judged_before(
        &mut self,
        message: &RawMessage,
        sha256: &str,
    ) -> Result<Option<Earlier>, LedgerError> {
        judged_before(&mut self.inner, message, sha256).await
    }

    /// Records a message with its evidence, its findings and, when it is imported, its fresh
    /// allocations; returns `message.id`. A UID or file that is recorded already is left as it is
    /// and `None` returned; so is an operator's file that is recorded with the same bytes. Only a
    /// row that stands in for a message that could not be fetched is this message's own, and takes
    /// what has become of it.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn record(&mut self, entry: &Entry<'_>) -> Result<Option<i64>, LedgerError> {
        let origin = &entry.message.origin;
        let is_unfetchable = matches!(entry.message.content, Content::Unfetchable(_));
        let stood_in = match is_unfetchable {
            true => None,
            false => suspects::came(&mut self.inner, origin).await?,
        };
        let Some(id) = insert_message(&mut self.inner, entry, stood_in).await? else {
            return Ok(None);
        };
        if is_unfetchable {
            suspects::stand_in(&mut self.inner, origin, id).await?;
        }
        insert_conclusions(&mut self.inner, id, entry).await?;
        if entry.judgement.disposition == Disposition::Waiting {
            waiting::begin(&mut self.inner, id, entry.evidence, entry.now).await?;
        }
        Ok(Some(id))
    }

    /// Records that these bytes stand at one more place: the earlier decision holds, an imported
    /// one counts as a duplicate here, and a dismissed one is dismissed. Returns the disposition at this place. A place that is
    /// recorded already is left as it is.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn record_copy(
        &mut self,
        message: &RawMessage,
        sha256: &str,
        earlier: Earlier,
        now: Timestamp,
    ) -> Result<Disposition, LedgerError> {
        let disposition = earlier.for_a_copy();
        let stood_in = suspects::came(&mut self.inner, &message.origin).await?;
        let place = Place::of(&message.origin);
        sqlx::query(
            "INSERT INTO message (mailbox, uidvalidity, uid, file, internal_date, size, sha256,
                 disposition, received_at, copy_of, from_address, subject, dismissed_at,
                 source)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, id, from_address, subject, dismissed_at,
                 source
             FROM message WHERE id = ?10
             ON CONFLICT (mailbox, uidvalidity, uid) DO UPDATE SET
                 internal_date = excluded.internal_date, size = excluded.size,
                 sha256 = excluded.sha256, disposition = excluded.disposition,
                 copy_of = excluded.copy_of, from_address = excluded.from_address,
                 subject = excluded.subject, dismissed_at = excluded.dismissed_at
             WHERE id = ?11
             ON CONFLICT DO NOTHING",
        )
        .bind(place.mailbox)
        .bind(place.uidvalidity)
        .bind(place.uid)
        .bind(place.file)
        .bind(message.internal_date.map(moment))
        .bind(bytes(message.size))
        .bind(sha256)
        .bind(disposition.as_str())
        .bind(moment(now))
        .bind(earlier.id)
        .bind(stood_in)
        .execute(&mut *self.inner)
        .await
        .map_err(LedgerError::during("record a copy"))?;
        Ok(disposition)
    }

    /// Accounts for UIDs whose header said that they are nothing of ours.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn record_unrelated(
        &mut self,
        mailbox: &str,
        uidvalidity: u32,
        uids: &UidSet,
    ) -> Result<(), LedgerError> {
        let have_rows = suspects::unrelated(&mut self.inner, mailbox, uidvalidity, uids).await?;
        uid_runs::add(
            &mut self.inner,
            mailbox,
            uidvalidity,
            Reason::Unrelated,
            &uids.difference(&have_rows),
        )
        .await
    }
}

impl Ledger {
    /// Everything accounted for in a folder; `uidvalidity` is `None` for a Maildir.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn known(
        &self,
        mailbox: &str,
        uidvalidity: Option<u32>,
    ) -> Result<Known, LedgerError> {
        let failed = LedgerError::during("read what is accounted for");
        let Some(uidvalidity) = uidvalidity else {
            let files: Vec<String> = sqlx::query_scalar(
                "SELECT file FROM message WHERE mailbox = ? AND file IS NOT NULL",
            )
            .bind(mailbox)
            .fetch_all(&self.pool)
            .await
            .map_err(failed)?;
            return Ok(Known {
                files: files.into_iter().collect(),
                ..Known::default()
            });
        };
        let runs: Vec<(u32, u32)> = sqlx::query_as(
            "SELECT uid, uid FROM message WHERE mailbox = ?1 AND uidvalidity = ?2
             UNION ALL
             SELECT first_uid, last_uid FROM uid_run WHERE mailbox = ?1 AND uidvalidity = ?2",
        )
        .bind(mailbox)
        .bind(uidvalidity)
        .fetch_all(&self.pool)
        .await
        .map_err(failed)?;
        Ok(Known {
            uids: UidSet::from_runs(runs),
            ..Known::default()
        })
    }

    /// Messages by disposition; unrelated ones include the runs of UIDs whose header said so, but
    /// not what was left out of a scan.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn counts(&self) -> Result<Counts, LedgerError> {
        let rows: Vec<(String, u64)> = sqlx::query_as(
            "SELECT disposition, count(*) FROM message GROUP BY disposition
             UNION ALL
             SELECT 'unrelated', coalesce(sum(last_uid - first_uid + 1), 0)
             FROM uid_run WHERE reason = 'unrelated'",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(LedgerError::during("count messages"))?;
        let mut counts: Counts = Disposition::ALL
            .map(|disposition| (disposition.as_str().to_owned(), 0))
            .into();
        for (disposition, count) in rows {
            *counts.entry(disposition).or_default() += count;
        }
        Ok(counts)
    }
}

/// An [`Origin`] as four columns.
pub(super) struct Place<'a> {
    pub(super) mailbox: Option<&'a str>,
    pub(super) uidvalidity: Option<u32>,
    pub(super) uid: Option<u32>,
    pub(super) file: Option<&'a str>,
}

impl<'a> Place<'a> {
    pub(super) fn of(origin: &'a Origin) -> Self {
        let (uidvalidity, uid, file) = match origin {
            Origin::Imap {
                uidvalidity, uid, ..
            } => (Some(*uidvalidity), Some(*uid), None),
            Origin::Maildir { file, .. } => (None, None, Some(file.as_str())),
            Origin::File { path } => (None, None, Some(path.as_str())),
        };
        Self {
            mailbox: origin.mailbox(),
            uidvalidity,
            uid,
            file,
        }
    }
}

/// A size as SQLite can hold it.
fn bytes(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// The bytes that are kept of a message. One whose proof is still awaited is kept whole: it must
/// be judged again.
pub(super) fn kept<'a>(entry: &Entry<'a>) -> Option<&'a [u8]> {
    let fetched: &[u8] = match &entry.message.content {
        Content::Whole(raw) if entry.judgement.disposition != Disposition::Unrelated => raw,
        Content::Oversized(header) => header,
        Content::Whole(_) | Content::Unwanted | Content::Unfetchable(_) => return None,
    };
    match entry.evidence.verdict {
        Authenticity::Unproven(_) => Some(fetched.get(..UNPROVEN_BYTES).unwrap_or(fetched)),
        Authenticity::Proven { .. } | Authenticity::NotRequired | Authenticity::Unknown(_) => {
            Some(fetched)
        }
    }
}

async fn insert_message(
    connection: &mut SqliteConnection,
    entry: &Entry<'_>,
    stood_in: Option<i64>,
) -> Result<Option<i64>, LedgerError> {
    let Entry {
        message,
        reading,
        judgement,
        ..
    } = entry;
    let place = Place::of(&message.origin);
    let company = judgement.company;
    sqlx::query_scalar(
        "INSERT INTO message (mailbox, uidvalidity, uid, file, internal_date, size, sha256,
             disposition, received_at, from_address, subject, company_ban, company_source, raw,
             source)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (mailbox, uidvalidity, uid) DO UPDATE SET
             internal_date = excluded.internal_date, size = excluded.size,
             sha256 = excluded.sha256, disposition = excluded.disposition,
             from_address = excluded.from_address, subject = excluded.subject,
             company_ban = excluded.company_ban, company_source = excluded.company_source,
             raw = excluded.raw, dismissed_at = NULL
         WHERE id = ?
         ON CONFLICT DO NOTHING
         RETURNING id",
    )
    .bind(place.mailbox)
    .bind(place.uidvalidity)
    .bind(place.uid)
    .bind(place.file)
    .bind(message.internal_date.map(moment))
    .bind(bytes(message.size))
    .bind(entry.sha256)
    .bind(judgement.disposition.as_str())
    .bind(moment(entry.now))
    .bind(reading.from.as_ref().map(|from| from.as_str()))
    .bind(&reading.subject)
    .bind(company.map(|(ban, _)| ban.to_string()))
    .bind(company.map(|(_, source)| source.as_str()))
    .bind(kept(entry))
    .bind(allocations::source(reading.file))
    .bind(stood_in)
    .fetch_optional(connection)
    .await
    .map_err(LedgerError::during("record a message"))
}

/// Evidence, findings and, when it is imported, fresh allocations.
pub(super) async fn insert_conclusions(
    connection: &mut SqliteConnection,
    id: i64,
    entry: &Entry<'_>,
) -> Result<(), LedgerError> {
    insert_evidence(connection, id, entry.evidence, entry.now).await?;
    let Judgement {
        defects, warnings, ..
    } = entry.judgement;
    let defects = defects
        .iter()
        .map(|defect| (defect.code.as_str(), &defect.detail));
    insert_findings(connection, id, "defect", defects).await?;
    let warnings = warnings
        .iter()
        .map(|warning| (warning.code.as_str(), &warning.detail));
    insert_findings(connection, id, "warning", warnings).await?;
    if entry.judgement.disposition == Disposition::Imported {
        for allocation in entry.judgement.fresh() {
            allocations::insert(connection, allocation, id, entry.reading.file, entry.now).await?;
        }
    }
    Ok(())
}

async fn insert_evidence(
    connection: &mut SqliteConnection,
    message_id: i64,
    evidence: &Evidence,
    now: Timestamp,
) -> Result<(), LedgerError> {
    let proof = evidence.proof.as_ref();
    let (detail, signed) = match &evidence.verdict {
        Authenticity::NotRequired => (None, None),
        Authenticity::Proven { signed } => (None, signed.as_ref().map(|names| names.join(":"))),
        Authenticity::Unproven(why) => (Some(&why.en), None),
        Authenticity::Unknown(why) => (Some(why), None),
    };
    sqlx::query(
        "INSERT INTO evidence (message_id, result, detail, method, domain, selector, algorithm,
             key, signed_fields, judged_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(message_id)
    .bind(evidence.result())
    .bind(detail)
    .bind(proof.map(|proof| proof.method.as_str()))
    .bind(proof.and_then(|proof| proof.domain.as_ref()))
    .bind(proof.and_then(|proof| proof.selector.as_ref()))
    .bind(proof.and_then(|proof| proof.algorithm.as_ref()))
    .bind(proof.and_then(|proof| proof.key.as_ref()))
    .bind(signed)
    .bind(moment(now))
    .execute(connection)
    .await
    .map_err(LedgerError::during("record evidence"))?;
    Ok(())
}

pub(super) async fn insert_findings<'a>(
    connection: &mut SqliteConnection,
    message_id: i64,
    severity: &str,
    findings: impl Iterator<Item = (&'a str, &'a Sentence)>,
) -> Result<(), LedgerError> {
    for (position, (code, detail)) in (0_i64..).zip(findings) {
        sqlx::query(
            "INSERT INTO finding (message_id, severity, position, code, detail, detail_zh)
             VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(message_id)
        .bind(severity)
        .bind(position)
        .bind(code)
        .bind(&detail.en)
        .bind(&detail.zh)
        .execute(&mut *connection)
        .await
        .map_err(LedgerError::during("record a finding"))?;
    }
    Ok(())
}
