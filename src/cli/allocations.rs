//! `allocations`: what is recorded.

use serde_json::Value;

use super::{Exit, json, print, print_json, table::table};
use crate::{
    clock::{Clock, taipei_date, taipei_minute},
    config::Config,
    ledger::{AllocationFilter, AllocationRow, Ledger},
    notice::{Ban, Period},
};

pub(super) async fn allocations(
    config: &Config,
    ban: Option<Ban>,
    period: Option<Period>,
    as_json: bool,
) -> anyhow::Result<Exit> {
    let rows = match Ledger::open_for_reading(&config.ledger).await? {
        Some(ledger) => ledger.allocations(AllocationFilter { ban, period }).await?,
        None => Vec::new(),
    };
    if as_json {
        print_json(&Value::Array(
            rows.iter().map(json::allocation_row).collect(),
        ))?;
    } else if rows.is_empty() {
        print(if ban.is_none() && period.is_none() {
            "nothing is recorded yet\n"
        } else {
            "nothing is recorded for that company or period\n"
        })?;
    } else {
        let today = Period::containing(taipei_date(Clock::System.now()));
        print(&render(&rows, today))?;
    }
    Ok(Exit::Done)
}

pub(super) async fn withdraw(_config: &Config, _id: i64, _reason: &str) -> anyhow::Result<Exit> {
    anyhow::bail!("not built yet")
}

fn render(rows: &[AllocationRow], today: Period) -> String {
    let lines: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let block = &row.allocation.block;
            vec![
                row.id.to_string(),
                row.allocation.ban.to_string(),
                block.period.to_string(),
                block.invoice_type.code().to_owned(),
                block.track.to_string(),
                block.range.to_string(),
                block.range.booklets().to_string(),
                state(row, today).to_owned(),
                taipei_minute(row.imported_at),
            ]
        })
        .collect();
    let header = [
        "id",
        "統編 ban",
        "期別 period",
        "類別",
        "字軌",
        "起迄號 range",
        "本",
        "state",
        "recorded (UTC+8)",
    ];
    table(&header, &lines)
}

fn state(row: &AllocationRow, today: Period) -> &'static str {
    let period = row.allocation.block.period;
    if row.withdrawn_at.is_some() {
        "withdrawn"
    } else if period < today {
        "past"
    } else if period == today {
        "current"
    } else if period == today.next() {
        "next"
    } else {
        "later"
    }
}
