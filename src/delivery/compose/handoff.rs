//! What a system is told of an import or a withdrawal: the JSON of a webhook, written and read back.
//!
//! Guarantee: what is written is read back as the same ranges.

use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Event, Handed};
use crate::{
    ledger::{Kind, Letter, Recipient},
    notice::{Allocation, Block, InvoiceNo, InvoiceType, Range},
    stranger::one_line,
};

pub(super) fn compose(handed: &Handed<'_>, system: &str, now: Timestamp) -> Letter {
    let kind = handed.event.as_str();
    let body = json!({
        "type": kind,
        // Milliseconds, as in every column: not every reader takes nine digits.
        "timestamp": format!("{now:.3}"),
        "data": {
            "message_id": handed.message_id,
            "company": { "ban": handed.ban.as_str(), "name": handed.company_name },
            "allocations": handed.rows.iter().map(|row| row.columns()).collect::<Vec<_>>(),
        },
    });
    let ranges: Vec<String> = handed
        .rows
        .iter()
        .map(|row| {
            format!(
                "{} {}",
                row.allocation.block.track, row.allocation.block.range
            )
        })
        .collect();
    Letter {
        kind: Kind::Handoff,
        message_id: id(handed, system),
        recipients: vec![Recipient::system(system)],
        subject: one_line(&format!("{kind} {} {}", handed.ban, ranges.join(", ")), 120),
        eml: body.to_string().into_bytes(),
    }
}

/// The webhook-id: of the system and of what is told, so that it is the same from a ledger restored
/// from a backup.
fn id(handed: &Handed<'_>, system: &str) -> String {
    let mut hash = Sha256::new();
    let mut add = |part: &str| {
        hash.update(part);
        hash.update("\n");
    };
    add(system);
    add(handed.event.as_str());
    add(handed.about);
    for row in handed.rows {
        let block = &row.allocation.block;
        for part in [
            row.allocation.ban.as_str(),
            block.invoice_type.code(),
            &block.period.year_month(),
            block.track.as_str(),
            &block.range.to_string(),
        ] {
            add(part);
        }
    }
    let hex: String = hash
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("msg_{}", hex.chars().take(32).collect::<String>())
}

/// A hand-off's JSON, read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::delivery) struct Told {
    /// What happened.
    pub(in crate::delivery) event: Event,
    /// To which ranges.
    pub(in crate::delivery) allocations: Vec<Allocation>,
}

impl Told {
    /// Reads what was written down when it was posted.
    ///
    /// # Errors
    /// What it is not.
    pub(in crate::delivery) fn read(json: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(json)
            .map_err(|error| format!("expected the JSON of a hand-off: {error}"))?;
        let event = value.get("type").and_then(Value::as_str);
        let event = [Event::Imported, Event::Withdrawn]
            .into_iter()
            .find(|known| Some(known.as_str()) == event)
            .ok_or("expected the JSON of a hand-off, found no type that is known")?;
        let rows = value.pointer("/data/allocations").and_then(Value::as_array);
        let rows = rows.ok_or("expected the JSON of a hand-off, found no allocations")?;
        let allocations = rows.iter().map(|row| {
            allocation(row).ok_or_else(|| "expected a range of a hand-off, found another".into())
        });
        Ok(Self {
            event,
            allocations: allocations.collect::<Result<_, String>>()?,
        })
    }
}

fn allocation(row: &Value) -> Option<Allocation> {
    let text = |column: &str| row.get(column)?.as_str();
    let count = |column: &str| {
        let count = row.get(column)?.as_u64()?;
        u32::try_from(count).ok()
    };
    Some(Allocation {
        ban: text("ban")?.parse().ok()?,
        block: Block {
            invoice_type: InvoiceType::from_code(text("invoice_type")?)?,
            period: text("year_month")?.parse().ok()?,
            track: text("invoice_track")?.parse().ok()?,
            range: Range::new(
                InvoiceNo::parse(text("invoice_begin_no")?)?,
                InvoiceNo::parse(text("invoice_end_no")?)?,
            )
            .ok()?,
            requested_booklets: count("requested_booklets"),
            added_booklets: count("added_booklets"),
        },
    })
}
