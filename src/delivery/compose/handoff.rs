//! What a system is told of an import or a withdrawal: the JSON of a webhook.

use jiff::Timestamp;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::Handed;
use crate::{
    ledger::{Kind, Letter, Recipient},
    stranger::one_line,
};

pub(super) fn compose(handed: &Handed<'_>, system: &str, now: Timestamp) -> Letter {
    let kind = handed.event.as_str();
    let body = json!({
        "type": kind,
        "timestamp": now.to_string(),
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
