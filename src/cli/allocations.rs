//! `allocations`: what is recorded.

use serde_json::Value;

use super::{
    Exit, json, print, print_json,
    table::{Column, Screen, Table},
};
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
        print(&render(&rows, today, Screen::stdout()))?;
    }
    Ok(Exit::Done)
}

pub(super) async fn withdraw(_config: &Config, _id: i64, _reason: &str) -> anyhow::Result<Exit> {
    anyhow::bail!("not built yet")
}

fn render(rows: &[AllocationRow], today: Period, screen: Screen) -> String {
    let mut table = Table::new(
        0,
        &[
            Column::number("id"),
            Column::whole("統編 ban"),
            Column::whole("期別 period"),
            Column::whole("類"),
            Column::whole("字軌"),
            Column::whole("起迄號 range"),
            Column::number("本"),
            Column::whole("state"),
            Column::spare("recorded (UTC+8)"),
        ],
    );
    for row in rows {
        let block = &row.allocation.block;
        table.row([
            row.id.to_string().into(),
            row.allocation.ban.to_string().into(),
            block.period.to_string().into(),
            block.invoice_type.code().into(),
            block.track.to_string().into(),
            block.range.to_string().into(),
            block.range.booklets().to_string().into(),
            state(row, today).into(),
            taipei_minute(row.imported_at).into(),
        ]);
    }
    table.on(screen)
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
