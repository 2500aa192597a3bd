//! `allocations`: what is recorded and what is due; taking one of the ranges out of use.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    Exit,
    dispatch::send_unless_daemon,
    due::{Dues, when},
    handoffs, intake, person, print, print_json,
    table::{Column, Screen, Table},
};
use crate::{
    clock::{Clock, taipei_date, taipei_minute},
    config::Config,
    intake::Refusal,
    ledger::{AllocationFilter, AllocationRow, Decision, DecisionRow, Handed, Ledger},
    notice::{Ban, Period},
    stranger::one_line,
};

/// So much of a person's reason is shown, characters.
const WORDS: usize = 200;

pub(super) async fn allocations(
    config: &Config,
    ban: Option<Ban>,
    period: Option<Period>,
    as_json: bool,
) -> anyhow::Result<Exit> {
    let ledger = Ledger::open_for_reading(&config.ledger).await?;
    let (rows, withdrawals, handed) = match &ledger {
        Some(ledger) => {
            let rows = ledger.allocations(AllocationFilter { ban, period }).await?;
            let messages = BTreeSet::from_iter(rows.iter().map(|row| row.message_id));
            let messages: Vec<i64> = messages.into_iter().collect();
            let handed = ledger.handed(&messages).await?;
            (rows, ledger.withdrawals().await?, handed)
        }
        None => Default::default(),
    };
    if as_json {
        let object = |row| object(row, of(&handed, row));
        print_json(&Value::Array(rows.iter().map(object).collect()))?;
        return Ok(Exit::Done);
    }
    let (today, screen) = (taipei_date(Clock::System.now()), Screen::stdout());
    let mut page = if !rows.is_empty() {
        render(&rows, &handed, Period::containing(today), screen)
            + &screen.prose(&withdrawn(&rows, &withdrawals))
    } else if ban.is_none() && period.is_none() {
        "nothing is recorded yet 還沒有配號紀錄\n".to_owned()
    } else {
        "nothing is recorded for that company or period 查無符合的配號\n".to_owned()
    };
    // Whoever asks for one period has its ranges, and was not asking how the others stand.
    if period.is_none() {
        let dues = Dues::gather(config, ban, ledger.as_ref(), today).await?;
        if !dues.is_empty() {
            let list = "`invoice-trackd status --json` has all";
            page = page + "\n" + &dues.page(screen, list);
        }
    }
    print(&page)?;
    Ok(Exit::Done)
}

pub(super) async fn withdraw(config: &Config, id: i64, reason: &str) -> anyhow::Result<Exit> {
    let who = person::login_name();
    let decision = Decision {
        who: &who,
        reason: person::reason(reason)?,
        at: Clock::System.now(),
    };
    if !Ledger::exists(&config.ledger)? {
        return Err(Refusal::NoAllocation(id).into());
    }
    let ledger = Ledger::open(&config.ledger, decision.at).await?;
    let intake = intake(config, &ledger);
    let AllocationRow { allocation, .. } = intake.withdraw(id, &decision).await??;
    let block = &allocation.block;
    let printed = print(&format!(
        "withdrawn 已撤回: {} {}, {}, of {}\ntake it out of the issuing system 請從開立發票的系統移除\n",
        block.track, block.range, block.period, allocation.ban
    ));
    // A reader of the report that has gone keeps no mail from going out.
    send_unless_daemon(config, &ledger).await?;
    ledger.close().await;
    printed?;
    Ok(Exit::Done)
}

/// Who withdrew which of these, when and why.
fn withdrawn(rows: &[AllocationRow], withdrawals: &BTreeMap<i64, DecisionRow>) -> String {
    let lines: Vec<String> = rows
        .iter()
        .filter_map(|row| withdrawals.get(&row.id).map(|decision| (row, decision)))
        .map(|(row, decision)| {
            let at = taipei_minute(decision.at);
            let (who, why) = (
                one_line(&decision.who, 60),
                one_line(&decision.reason, WORDS),
            );
            format!("  {}  {at}  {who}: {why}\n", row.id)
        })
        .collect();
    if lines.is_empty() {
        return String::new();
    }
    format!(
        "\nwithdrawn 已撤回 (id, UTC+8, by whom and why)\n{}",
        lines.concat()
    )
}

/// The hand-offs of one range.
fn of<'a>(handed: &'a BTreeMap<i64, Vec<Handed>>, row: &AllocationRow) -> &'a [Handed] {
    handed.get(&row.id).map_or(&[], Vec::as_slice)
}

/// The stable columns, and the hand-offs beside them where there are any.
fn object(row: &AllocationRow, handed: &[Handed]) -> Value {
    let mut object = row.columns();
    if let Some(columns) = object.as_object_mut()
        && !handed.is_empty()
    {
        columns.insert("handoffs".to_owned(), handoffs::objects(handed));
    }
    object
}

fn render(
    rows: &[AllocationRow],
    handed: &BTreeMap<i64, Vec<Handed>>,
    running: Period,
    screen: Screen,
) -> String {
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
            state(row, running).into(),
            taipei_minute(row.imported_at).into(),
        ]);
        table.below(handoffs::line(of(handed, row)));
    }
    table.on(screen)
}

fn state(row: &AllocationRow, running: Period) -> &'static str {
    match row.withdrawn_at {
        Some(_) => "withdrawn",
        None => when(row.allocation.block.period, running),
    }
}
