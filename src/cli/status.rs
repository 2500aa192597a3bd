//! `status`: mailboxes, messages, mails to be sent, what waits for a person and what is due.

use std::{collections::BTreeSet, fmt::Write as _};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    Exit, json, print, print_json,
    table::{table, tally},
};
use crate::{
    clock::{Clock, taipei_date, taipei_minute},
    config::Config,
    delivery::one_line,
    http::MAILBOX_SILENCE,
    ledger::{
        AllocationFilter, Counts, Ledger, LinkState, MailboxRow, OutboxCounts, OutboxState,
        QuarantineRow,
    },
    notice::{Company, Period},
    schedule::{self, Due},
};

/// So much of a stranger's words is shown, characters.
const WORDS: usize = 200;

/// Everything that is shown, gathered once.
struct Overview<'a> {
    mailboxes: Vec<MailboxRow>,
    messages: Counts,
    outbox: OutboxCounts,
    put_off: Option<(u64, String)>,
    quarantine: Vec<QuarantineRow>,
    due: Vec<(&'a Company, Vec<Due>)>,
}

pub(super) async fn status(config: &Config, as_json: bool) -> anyhow::Result<Exit> {
    let now = Clock::System.now();
    let overview = gather(config, now).await?;
    if as_json {
        print_json(&object(&overview))?;
    } else {
        print(&page(&overview, now)?)?;
    }
    Ok(Exit::Done)
}

async fn gather(config: &Config, now: Timestamp) -> anyhow::Result<Overview<'_>> {
    let ledger = Ledger::open_for_reading(&config.ledger).await?;
    let mut seen = Vec::new();
    let mut overview = Overview {
        mailboxes: Vec::new(),
        messages: Counts::new(),
        outbox: OutboxCounts::new(),
        put_off: None,
        quarantine: Vec::new(),
        due: Vec::new(),
    };
    let mut recorded = Vec::new();
    let today = taipei_date(now);
    let mut watched_since = today;
    if let Some(ledger) = ledger {
        watched_since = taipei_date(ledger.created_at());
        seen = ledger.mailboxes().await?;
        overview.messages = ledger.counts().await?;
        overview.outbox = ledger.outbox_counts().await?;
        overview.put_off = ledger.put_off().await?;
        overview.quarantine = ledger.quarantine().await?;
        recorded = ledger.allocations(AllocationFilter::default()).await?;
        ledger.close().await;
    }
    // Every configured mailbox is listed: one that was never seen is the most important of all.
    for mailbox in &config.mailboxes {
        let row = seen.iter().find(|row| row.name == mailbox.name).cloned();
        let mut row = row.unwrap_or_else(|| MailboxRow {
            name: mailbox.name.clone(),
            last_ok_at: None,
            state: LinkState::Down("not seen yet: has `run` been started?".to_owned()),
        });
        // A daemon that has died cannot write down that nobody watches any more.
        let is_silent = |at| now.duration_since(at) > MAILBOX_SILENCE;
        if row.state == LinkState::Up && row.last_ok_at.is_none_or(is_silent) {
            row.state = LinkState::Down("silent for too long: is `run` running?".to_owned());
        }
        overview.mailboxes.push(row);
    }
    for company in config.rules.companies.iter() {
        let periods: BTreeSet<Period> = recorded
            .iter()
            .filter(|row| row.allocation.ban == company.ban && row.withdrawn_at.is_none())
            .map(|row| row.allocation.block.period)
            .collect();
        let due = schedule::outlook(
            company.assignment,
            config.schedule,
            watched_since,
            today,
            &periods,
        );
        overview.due.push((company, due));
    }
    Ok(overview)
}

fn object(overview: &Overview<'_>) -> Value {
    let mailboxes: Vec<Value> = overview
        .mailboxes
        .iter()
        .map(|row| {
            let (state, error) = match &row.state {
                LinkState::Up => ("up", None),
                LinkState::Down(error) => ("down", Some(error)),
            };
            let last_ok_at = row.last_ok_at.map(|at| at.to_string());
            json!({ "name": row.name, "state": state, "last_ok_at": last_ok_at, "error": error })
        })
        .collect();
    let quarantine: Vec<Value> = overview.quarantine.iter().map(json::quarantined).collect();
    let due: Vec<Value> = overview
        .due
        .iter()
        .flat_map(|(company, list)| list.iter().map(move |due| (company, due)))
        .map(|(company, due)| {
            json!({
                "ban": company.ban.as_str(),
                "year_month": due.period.year_month(),
                "expected_on": due.expected_on.to_string(),
                "due_by": due.due_by.to_string(),
                "state": due.state.as_str(),
            })
        })
        .collect();
    json!({
        "mailboxes": mailboxes,
        "messages": overview.messages,
        "outbox": overview.outbox,
        "quarantine": quarantine,
        "due": due,
    })
}

fn page(overview: &Overview<'_>, now: Timestamp) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    writeln!(text, "{}", headline(overview))?;

    writeln!(text, "\nMailboxes 信箱")?;
    let rows: Vec<Vec<String>> = overview
        .mailboxes
        .iter()
        .map(|row| {
            let state = match &row.state {
                LinkState::Up => "up".to_owned(),
                LinkState::Down(error) => format!("DOWN  {}", one_line(error, WORDS)),
            };
            let heard = row.last_ok_at.map_or("never".to_owned(), |at| ago(now, at));
            vec![format!("  {}", row.name), heard, state]
        })
        .collect();
    text.push_str(&table(&["  name", "last heard", "state"], &rows));

    writeln!(text, "\nMessages 郵件     {}", tally(&overview.messages))?;
    writeln!(text, "Outbox 寄件匣     {}", tally(&overview.outbox))?;
    if let Some((_, answer)) = &overview.put_off {
        writeln!(text, "  put off  {}", one_line(answer, WORDS))?;
    }

    writeln!(text, "\nQuarantine 隔離   {}", overview.quarantine.len())?;
    let rows: Vec<Vec<String>> = overview
        .quarantine
        .iter()
        .map(|row| {
            let mut codes: Vec<&str> = row.defects.iter().map(|(code, _)| code.as_str()).collect();
            // They are sorted; one mail may have many of a kind.
            codes.dedup();
            vec![
                format!("  {}", row.id),
                taipei_minute(row.received_at),
                codes.join(", "),
                row.from.as_deref().unwrap_or("(not one)").to_owned(),
                one_line(&row.subject, WORDS),
            ]
        })
        .collect();
    if !rows.is_empty() {
        let header = ["  id", "received (UTC+8)", "why", "from", "subject"];
        text.push_str(&table(&header, &rows));
    }

    writeln!(text, "\nDue 應收到的配號")?;
    let rows: Vec<Vec<String>> = overview
        .due
        .iter()
        .flat_map(|(company, list)| list.iter().map(move |due| (company, due)))
        .map(|(company, due)| {
            vec![
                format!("  {}", company.ban),
                company.name.clone(),
                due.period.to_string(),
                due.state.as_str().to_owned(),
                due.expected_on.to_string(),
                due.due_by.to_string(),
            ]
        })
        .collect();
    let header = [
        "  統編 ban",
        "營業人 company",
        "期別 period",
        "state",
        "comes from",
        "late after",
    ];
    if rows.is_empty() {
        writeln!(text, "  nothing")?;
    } else {
        text.push_str(&table(&header, &rows));
    }
    Ok(text)
}

/// The important fact first.
fn headline(overview: &Overview<'_>) -> String {
    let down = overview
        .mailboxes
        .iter()
        .filter(|row| row.state != LinkState::Up);
    let dues = overview.due.iter().flat_map(|(_, list)| list);
    let overdue = dues.filter(|due| due.state == schedule::State::Overdue);
    let put_off = overview.put_off.as_ref().map_or(0, |(waiting, _)| *waiting);
    let failed = overview
        .outbox
        .get(OutboxState::Failed.as_str())
        .copied()
        .unwrap_or_default();
    let trouble: Vec<String> = [
        (
            down.count() as u64,
            "mailbox not heard",
            "mailboxes not heard",
        ),
        (
            overview.quarantine.len() as u64,
            "in quarantine",
            "in quarantine",
        ),
        (overdue.count() as u64, "notice overdue", "notices overdue"),
        (put_off, "mail put off", "mails put off"),
        (failed, "mail undeliverable", "mails undeliverable"),
    ]
    .into_iter()
    .filter(|(count, ..)| *count > 0)
    .map(|(count, one, several)| format!("{count} {}", if count == 1 { one } else { several }))
    .collect();
    if trouble.is_empty() {
        "all is well 一切正常".to_owned()
    } else {
        format!("needs attention 需要處理: {}", trouble.join(", "))
    }
}

fn ago(now: Timestamp, then: Timestamp) -> String {
    match now.duration_since(then).as_secs() {
        seconds @ ..60 => format!("{}s ago", seconds.max(0)),
        seconds @ ..3600 => format!("{}min ago", seconds / 60),
        seconds @ ..172_800 => format!("{}h ago", seconds / 3600),
        seconds => format!("{}d ago", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_s_words_cannot_write_on_the_terminal() {
        let overview = Overview {
            mailboxes: vec![MailboxRow {
                name: "one".to_owned(),
                last_ok_at: None,
                state: LinkState::Down("NO \u{1b}[2Jall is well\nup".to_owned()),
            }],
            messages: Counts::new(),
            outbox: OutboxCounts::new(),
            put_off: Some((1, "451 \u{202e}later\r".to_owned())),
            quarantine: Vec::new(),
            due: Vec::new(),
        };
        let page = page(&overview, Timestamp::UNIX_EPOCH).unwrap();
        assert!(
            page.contains("DOWN  NO <U+001B>[2Jall is well up"),
            "{page}"
        );
        assert!(page.contains("put off  451 <U+202E>later"), "{page}");
        assert!(!page.contains(['\u{1b}', '\r', '\u{202e}']), "{page}");
    }
}
