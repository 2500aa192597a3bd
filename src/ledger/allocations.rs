//! Table `allocation`, which other programs read: its columns are a contract.
//!
//! Left out on purpose: whether a range may be recorded. The rows that it could collide with are
//! found here ([`Ledger::neighbours`]); what follows from them is decided by `notice`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::{FromRow, sqlite::SqliteConnection};

use super::{
    Ledger, LedgerError, Transaction,
    columns::{expected, moment, parsed},
};
use crate::notice::{
    Allocation, Ban, Block, FileKind, InvoiceNo, InvoiceType, Period, Range, Recorded,
};

/// One recorded range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllocationRow {
    /// `allocation.id`
    pub id: i64,
    /// The range and its company.
    pub allocation: Allocation,
    /// The message that granted it.
    pub message_id: i64,
    /// When it was recorded.
    pub imported_at: Timestamp,
    /// When a person took it out of use.
    pub withdrawn_at: Option<Timestamp>,
}

impl AllocationRow {
    /// The stable columns, by their names.
    pub fn columns(&self) -> Value {
        let Allocation { ban, block } = &self.allocation;
        json!({
            "id": self.id,
            "ban": ban.as_str(),
            "invoice_type": block.invoice_type.code(),
            "year_month": block.period.year_month(),
            "invoice_track": block.track.as_str(),
            "invoice_begin_no": block.range.begin().to_string(),
            "invoice_end_no": block.range.end().to_string(),
            "invoice_booklet": block.range.booklets(),
            "requested_booklets": block.requested_booklets,
            "added_booklets": block.added_booklets,
            "message_id": self.message_id,
            "imported_at": self.imported_at.to_string(),
            "withdrawn_at": self.withdrawn_at.map(|at| at.to_string()),
        })
    }
}

/// Which rows are asked for; the default asks for all.
#[derive(Debug, Clone, Copy, Default)]
pub struct AllocationFilter {
    /// Only this company's.
    pub ban: Option<Ban>,
    /// Only this period's.
    pub period: Option<Period>,
}

impl Ledger {
    /// Recorded ranges in the order of company, period, track and number, withdrawn ones too.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn allocations(
        &self,
        filter: AllocationFilter,
    ) -> Result<Vec<AllocationRow>, LedgerError> {
        let rows: Vec<Columns> = sqlx::query_as(
            "SELECT id, ban, invoice_type, year_month, invoice_track, invoice_begin_no,
                 invoice_end_no, requested_booklets, added_booklets, message_id, imported_at,
                 withdrawn_at, source
             FROM allocation
             WHERE (?1 IS NULL OR ban = ?1) AND (?2 IS NULL OR year_month = ?2)
             ORDER BY ban, year_month, invoice_track, invoice_begin_no, id",
        )
        .bind(filter.ban.map(|ban| ban.to_string()))
        .bind(filter.period.map(Period::year_month))
        .fetch_all(&self.pool)
        .await
        .map_err(LedgerError::during("read allocations"))?;
        rows.iter().map(Columns::row).collect()
    }
}

/// Which ranges in force are handed out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Handing {
    /// Only this company's.
    pub ban: Option<Ban>,
    /// Only this period's.
    pub period: Option<Period>,
    /// Only what was recorded at that moment or later.
    pub since: Option<Timestamp>,
}

impl Ledger {
    /// Ranges in force in the order of company, type, period, track and number. They are read piece
    /// by piece, so that nobody who writes waits for a large ledger to be read.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn in_force(&self, which: Handing) -> Result<Vec<AllocationRow>, LedgerError> {
        let mut rows: Vec<AllocationRow> = Vec::new();
        loop {
            let last = rows.last().map(|row| row.allocation);
            let piece = self.in_force_after(which, last).await?;
            if piece.is_empty() {
                return Ok(rows);
            }
            rows.extend(piece);
        }
    }

    async fn in_force_after(
        &self,
        which: Handing,
        last: Option<Allocation>,
    ) -> Result<Vec<AllocationRow>, LedgerError> {
        const PIECE: u32 = 10_000;
        let after = |part: fn(&Allocation) -> String| last.as_ref().map(part).unwrap_or_default();
        let rows: Vec<Columns> = sqlx::query_as(
            "SELECT id, ban, invoice_type, year_month, invoice_track, invoice_begin_no,
                 invoice_end_no, requested_booklets, added_booklets, message_id, imported_at,
                 withdrawn_at, source
             FROM allocation
             WHERE withdrawn_at IS NULL
                 AND (ban, invoice_type, year_month, invoice_track, invoice_begin_no, invoice_end_no)
                     > (?1, ?2, ?3, ?4, ?5, ?6)
                 AND (?7 IS NULL OR ban = ?7) AND (?8 IS NULL OR year_month = ?8)
                 AND (?9 IS NULL OR imported_at >= ?9)
             ORDER BY ban, invoice_type, year_month, invoice_track, invoice_begin_no, invoice_end_no
             LIMIT ?10",
        )
        .bind(after(|one| one.ban.to_string()))
        .bind(after(|one| one.block.invoice_type.code().to_owned()))
        .bind(after(|one| one.block.period.year_month()))
        .bind(after(|one| one.block.track.to_string()))
        .bind(after(|one| one.block.range.begin().to_string()))
        .bind(after(|one| one.block.range.end().to_string()))
        .bind(which.ban.map(|ban| ban.to_string()))
        .bind(which.period.map(Period::year_month))
        .bind(which.since.map(moment))
        .bind(PIECE)
        .fetch_all(&self.pool)
        .await
        .map_err(LedgerError::during("read what is in force"))?;
        rows.iter().map(Columns::row).collect()
    }
}

impl Transaction {
    /// SHA-256 of the message or file with this id.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn sha256_of(&mut self, message: i64) -> Result<String, LedgerError> {
        sqlx::query_scalar("SELECT sha256 FROM message WHERE id = ?")
            .bind(message)
            .fetch_one(&mut *self.inner)
            .await
            .map_err(LedgerError::during("read what granted a range"))
    }

    /// One recorded range; `None` where no allocation has this id.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn allocation(&mut self, id: i64) -> Result<Option<AllocationRow>, LedgerError> {
        let row: Option<Columns> = sqlx::query_as(
            "SELECT id, ban, invoice_type, year_month, invoice_track, invoice_begin_no,
                 invoice_end_no, requested_booklets, added_booklets, message_id, imported_at,
                 withdrawn_at, source
             FROM allocation WHERE id = ?",
        )
        .bind(id)
        .fetch_optional(&mut *self.inner)
        .await
        .map_err(LedgerError::during("read an allocation"))?;
        row.as_ref().map(Columns::row).transpose()
    }

    /// What these messages granted, in the order of company, period, track and number; withdrawn
    /// ranges too.
    ///
    /// # Errors
    /// SQLite's.
    pub async fn granted_by(
        &mut self,
        messages: &[i64],
    ) -> Result<Vec<AllocationRow>, LedgerError> {
        let failed = LedgerError::during("read what messages granted");
        let messages = serde_json::to_string(messages)
            .map_err(|error| failed(sqlx::Error::Encode(error.into())))?;
        let rows: Vec<Columns> = sqlx::query_as(
            "SELECT id, ban, invoice_type, year_month, invoice_track, invoice_begin_no,
                 invoice_end_no, requested_booklets, added_booklets, message_id, imported_at,
                 withdrawn_at, source
             FROM allocation WHERE message_id IN (SELECT value FROM json_each(?))
             ORDER BY ban, year_month, invoice_track, invoice_begin_no, id",
        )
        .bind(messages)
        .fetch_all(&mut *self.inner)
        .await
        .map_err(failed)?;
        rows.iter().map(Columns::row).collect()
    }
}

/// What grants ranges, as `allocation.source` and `message.source` have it.
pub(super) fn source(file: Option<FileKind>) -> &'static str {
    file.map_or("mail", FileKind::as_str)
}

/// The row as it stands.
#[derive(FromRow)]
struct Columns {
    id: i64,
    ban: String,
    invoice_type: String,
    year_month: String,
    invoice_track: String,
    invoice_begin_no: String,
    invoice_end_no: String,
    requested_booklets: Option<u32>,
    added_booklets: Option<u32>,
    message_id: i64,
    imported_at: String,
    withdrawn_at: Option<String>,
    source: String,
    /// Whether a file of the platform's says it again; asked for where it matters.
    #[sqlx(default)]
    is_confirmed: bool,
}

impl Columns {
    fn allocation(&self) -> Result<Allocation, LedgerError> {
        let number =
            |column, text: &str| expected(InvoiceNo::parse(text), column, "8 digits", text);
        let begin = number("allocation.invoice_begin_no", &self.invoice_begin_no)?;
        let end = number("allocation.invoice_end_no", &self.invoice_end_no)?;
        Ok(Allocation {
            ban: parsed("allocation.ban", &self.ban)?,
            block: Block {
                invoice_type: expected(
                    InvoiceType::from_code(&self.invoice_type),
                    "allocation.invoice_type",
                    "07 or 08",
                    &self.invoice_type,
                )?,
                period: parsed("allocation.year_month", &self.year_month)?,
                track: parsed("allocation.invoice_track", &self.invoice_track)?,
                range: expected(
                    Range::new(begin, end).ok(),
                    "allocation.invoice_end_no",
                    "whole booklets",
                    format_args!("{begin}-{end}"),
                )?,
                requested_booklets: self.requested_booklets,
                added_booklets: self.added_booklets,
            },
        })
    }

    fn row(&self) -> Result<AllocationRow, LedgerError> {
        Ok(AllocationRow {
            id: self.id,
            allocation: self.allocation()?,
            message_id: self.message_id,
            imported_at: parsed("allocation.imported_at", &self.imported_at)?,
            withdrawn_at: self
                .withdrawn_at
                .as_deref()
                .map(|at| parsed("allocation.withdrawn_at", at))
                .transpose()?,
        })
    }

    fn recorded(&self) -> Result<Recorded, LedgerError> {
        Ok(Recorded {
            id: self.id,
            allocation: self.allocation()?,
            from_file: self.is_confirmed || self.source != "mail",
        })
    }
}

/// See [`Ledger::neighbours`]; each row once, however many blocks it neighbours.
///
/// A track can hold thousands of ranges, so only those are read that can matter. Ranges in force
/// within one track and period share no number, so of those that begin before a block only the
/// nearest can reach into it.
pub(super) async fn neighbours(
    connection: &mut SqliteConnection,
    blocks: &[Block],
) -> Result<Vec<Recorded>, LedgerError> {
    let mut found = BTreeMap::new();
    for block in blocks {
        let roc_year = block.period.roc_year();
        let rows: Vec<Columns> = sqlx::query_as(
            "WITH in_force AS NOT MATERIALIZED (
                 SELECT * FROM allocation WHERE invoice_track = ?1 AND withdrawn_at IS NULL
             )
             SELECT id, ban, invoice_type, year_month, invoice_track, invoice_begin_no,
                 invoice_end_no, requested_booklets, added_booklets, message_id, imported_at,
                 withdrawn_at, source,
                 EXISTS (SELECT 1 FROM confirmed WHERE allocation_id = allocation.id)
                     AS is_confirmed
             FROM allocation WHERE id IN (
                 SELECT id FROM in_force
                 WHERE year_month = ?2 AND invoice_begin_no BETWEEN ?3 AND ?4
                 UNION ALL
                 SELECT id FROM (SELECT id FROM in_force
                     WHERE year_month = ?2 AND invoice_begin_no < ?3
                     ORDER BY invoice_begin_no DESC LIMIT 1)
                 UNION ALL
                 -- One of another period is enough to know that the track is taken.
                 SELECT id FROM (SELECT id FROM in_force
                     WHERE year_month >= ?5 AND year_month < ?2 LIMIT 1)
                 UNION ALL
                 SELECT id FROM (SELECT id FROM in_force
                     WHERE year_month > ?2 AND year_month <= ?6 LIMIT 1)
             )",
        )
        .bind(block.track.as_str())
        .bind(block.period.year_month())
        .bind(block.range.begin().to_string())
        .bind(block.range.end().to_string())
        .bind(format!("{roc_year:03}02"))
        .bind(format!("{roc_year:03}12"))
        .fetch_all(&mut *connection)
        .await
        .map_err(LedgerError::during("look for neighbouring ranges"))?;
        for row in &rows {
            let recorded = row.recorded()?;
            found.insert(recorded.id, recorded);
        }
    }
    Ok(found.into_values().collect())
}

/// See [`Transaction::granted_to`].
pub(super) async fn granted_to(
    connection: &mut SqliteConnection,
    ban: Ban,
    message: i64,
) -> Result<Vec<AllocationRow>, LedgerError> {
    // `+` keeps SQLite from looking at all that the message granted.
    let rows: Vec<Columns> = sqlx::query_as(
        "SELECT id, ban, invoice_type, year_month, invoice_track, invoice_begin_no,
             invoice_end_no, requested_booklets, added_booklets, message_id, imported_at,
             withdrawn_at, source
         FROM allocation WHERE ban = ? AND +message_id = ? AND withdrawn_at IS NULL
         ORDER BY year_month, invoice_track, invoice_begin_no, id",
    )
    .bind(ban.as_str())
    .bind(message)
    .fetch_all(connection)
    .await
    .map_err(LedgerError::during("read what messages granted"))?;
    rows.iter().map(Columns::row).collect()
}

/// Records one range that a message granted, a mail or a file of the platform's; returns its id.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    allocation: &Allocation,
    message_id: i64,
    file: Option<FileKind>,
    now: Timestamp,
) -> Result<i64, LedgerError> {
    let Allocation { ban, block } = allocation;
    let recorded = sqlx::query(
        "INSERT INTO allocation (ban, invoice_type, year_month, invoice_track, invoice_begin_no,
             invoice_end_no, invoice_booklet, requested_booklets, added_booklets, message_id,
             imported_at, source)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(ban.as_str())
    .bind(block.invoice_type.code())
    .bind(block.period.year_month())
    .bind(block.track.as_str())
    .bind(block.range.begin().to_string())
    .bind(block.range.end().to_string())
    .bind(block.range.booklets())
    .bind(block.requested_booklets)
    .bind(block.added_booklets)
    .bind(message_id)
    .bind(moment(now))
    .bind(source(file))
    .execute(connection)
    .await
    .map_err(LedgerError::during("record an allocation"))?;
    Ok(recorded.last_insert_rowid())
}
