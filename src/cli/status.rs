//! `status`: mailboxes, messages, mails and hand-offs, what waits for a person and what is due.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    Exit,
    due::Dues,
    handoffs::Systems,
    json, print, print_json,
    table::{Cell, Column, ROWS, Screen, Table, more, tally},
};
use crate::{
    clock::{Clock, taipei_date, taipei_minute},
    config::Config,
    http::MAILBOX_SILENCE,
    ledger::{
        Counts, Daemon, Ledger, LinkState, MailboxRow, OutboxCounts, OutboxState, PutOff,
        QuarantineRow, Waiting,
    },
    stranger::one_line,
};

/// So much of a stranger's words is shown, characters.
const WORDS: usize = 200;
/// A ledger that is held for longer is being written to, and so can be.
const TRYING: Duration = Duration::from_secs(5);

/// Everything that is shown, gathered once.
struct Overview<'a> {
    ledger: Standing,
    mailboxes: Vec<MailboxRow>,
    messages: Counts,
    outbox: OutboxCounts,
    put_off: Option<PutOff>,
    waiting: Option<Waiting>,
    quarantine: Vec<QuarantineRow>,
    systems: Systems,
    due: Dues<'a>,
}

/// Whether the ledger can be written to, and who would.
#[derive(Debug, Default)]
struct Standing {
    daemon: Option<Daemon>,
    /// Why it cannot, in one sentence.
    trouble: Option<String>,
}

impl Standing {
    /// A daemon that runs is asked: it is the one that must write, as its own user. On a disk that
    /// is full there is room left for root, and for a write as small as a trial.
    async fn of(config: &Config, now: Timestamp) -> Self {
        let daemon = Ledger::daemon(&config.ledger);
        let trouble = match &daemon {
            Some(daemon) => daemon.trouble.clone(),
            None => {
                let trial = Ledger::condition(&config.ledger, now);
                let tried = tokio::time::timeout(TRYING, trial).await;
                let error = tried.ok().and_then(Result::err);
                error.map(|error| format!("the ledger cannot be written to: {}", error.in_short()))
            }
        };
        Self { daemon, trouble }
    }

    /// Why nothing was heard of a mailbox for so long.
    fn silence(&self) -> String {
        match &self.daemon {
            None => "no daemon runs on this ledger".to_owned(),
            Some(Daemon { process, trouble }) => {
                let but = trouble.as_ref().map_or("", |_| ", and cannot write");
                format!("the daemon runs (process {process}){but}")
            }
        }
    }
}

impl Overview<'_> {
    /// How many letters stand there.
    fn letters(&self, state: OutboxState) -> u64 {
        self.outbox.get(state.as_str()).copied().unwrap_or_default()
    }
}

pub(super) async fn status(config: &Config, as_json: bool) -> anyhow::Result<Exit> {
    let now = Clock::System.now();
    let overview = gather(config, now).await?;
    if as_json {
        print_json(&object(&overview))?;
    } else {
        print(&page(&overview, now, Screen::stdout()))?;
    }
    Ok(Exit::Done)
}

async fn gather(config: &Config, now: Timestamp) -> anyhow::Result<Overview<'_>> {
    let ledger = Ledger::open_for_reading(&config.ledger).await?;
    let standing = Standing::of(config, now).await;
    let mut seen = Vec::new();
    let mut overview = Overview {
        ledger: standing,
        mailboxes: Vec::new(),
        messages: Counts::new(),
        outbox: OutboxCounts::new(),
        put_off: None,
        waiting: None,
        quarantine: Vec::new(),
        systems: Systems::gather(config, ledger.as_ref()).await?,
        due: Dues::gather(config, None, ledger.as_ref(), taipei_date(now)).await?,
    };
    if let Some(ledger) = ledger {
        seen = ledger.mailboxes().await?;
        overview.messages = ledger.counts().await?;
        overview.outbox = ledger.outbox_counts().await?;
        overview.put_off = ledger.put_off(None).await?;
        overview.waiting = ledger.waiting().await?;
        overview.quarantine = ledger.quarantine().await?;
        ledger.close().await;
    }
    // Every configured mailbox is listed: one that was never seen is the most important of all.
    for mailbox in &config.mailboxes {
        let row = seen.iter().find(|row| row.name == mailbox.name).cloned();
        let mut row = row.unwrap_or_else(|| MailboxRow {
            name: mailbox.name.clone(),
            last_ok_at: None,
            state: LinkState::Down(format!("not seen yet: {}", overview.ledger.silence())),
        });
        // A daemon that has died cannot write down that nobody watches any more, and one that
        // cannot write down that it does is no sign of a mailbox that is down.
        let is_silent = |at| now.duration_since(at) > MAILBOX_SILENCE;
        let is_told = overview.ledger.daemon.is_none() || overview.ledger.trouble.is_none();
        if is_told && row.state == LinkState::Up && row.last_ok_at.is_none_or(is_silent) {
            let silence = overview.ledger.silence();
            row.state = LinkState::Down(format!("silent for too long: {silence}"));
        }
        overview.mailboxes.push(row);
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
    let Standing { daemon, trouble } = &overview.ledger;
    let put_off = overview.put_off.as_ref().map(|put_off| {
        json!({
            "mails": put_off.letters,
            "since": put_off.since.to_string(),
            "none_sent_since": put_off.none_sent_since.to_string(),
            "answer": put_off.answer,
        })
    });
    let waiting = overview.waiting.as_ref().map(|waiting| {
        json!({
            "mails": waiting.mails,
            "since": waiting.since.to_string(),
            "next": waiting.next_ask_at.to_string(),
            "words": waiting.words,
        })
    });
    json!({
        "ledger": {
            "writable": trouble.is_none(),
            "error": trouble,
            "daemon": daemon.as_ref().map(|daemon| &daemon.process),
        },
        "mailboxes": mailboxes,
        "messages": overview.messages,
        "outbox": overview.outbox,
        "put_off": put_off,
        "waiting": waiting,
        "quarantine": quarantine,
        "handoffs": overview.systems.objects(),
        "due": overview.due.objects(),
    })
}

fn page(overview: &Overview<'_>, now: Timestamp, screen: Screen) -> String {
    let mut text = headline(overview, screen);

    text.push_str("\nMailboxes 信箱\n");
    let mut table = Table::new(
        2,
        &[
            Column::cut("name", 12),
            Column::whole("last heard"),
            Column::whole("state"),
            Column::wrapped(""),
        ],
    );
    for row in &overview.mailboxes {
        let heard = row.last_ok_at.map_or("never".to_owned(), |at| ago(now, at));
        let (state, words) = match &row.state {
            LinkState::Up => ("up".into(), String::new()),
            LinkState::Down(error) => (Cell::alarm("DOWN"), one_line(error, WORDS)),
        };
        table.row([row.name.as_str().into(), heard.into(), state, words.into()]);
    }
    text.push_str(&table.on(screen));

    text.push('\n');
    let mut table = Table::new(0, &[Column::whole(""), Column::wrapped("")]);
    table.row(["Messages 歷來郵件".into(), tally(&overview.messages).into()]);
    let failed = overview.letters(OutboxState::Failed) > 0;
    let outbox = tally(&overview.outbox);
    table.row([
        "Outbox 寄件匣".into(),
        if failed {
            Cell::alarm(outbox)
        } else {
            outbox.into()
        },
    ]);
    if let Some(put_off) = &overview.put_off {
        let answer = one_line(&put_off.answer, WORDS);
        let since = ago(now, put_off.since);
        table.row([
            "".into(),
            format!("put off: {answer} (first {since})").into(),
        ]);
    }
    if let Some(waiting) = &overview.waiting {
        let (mails, words) = (waiting.mails, one_line(&waiting.words, WORDS));
        let since = ago(now, waiting.since);
        table.row([
            "Waiting 等候 DNS".into(),
            Cell::alarm(format!("{mails} (first {since}): {words}")),
        ]);
    }
    let quarantined = overview.quarantine.len().to_string();
    table.row([
        "Quarantine 隔離".into(),
        if overview.quarantine.is_empty() {
            quarantined.into()
        } else {
            Cell::alarm(quarantined)
        },
    ]);
    text.push_str(&table.on(screen));
    let rows = &overview.quarantine;
    if !rows.is_empty() {
        text.push_str(&quarantined_mails(rows.iter().take(ROWS), 2, screen));
        let list = "`invoice-trackd quarantine list` shows all";
        text.push_str(&more(rows.len(), list));
    }

    let systems = overview.systems.page(screen, |at| ago(now, at));
    if !systems.is_empty() {
        text.push('\n');
        text.push_str(&systems);
    }

    text.push('\n');
    text.push_str(&overview.due.page(screen, "`--json` has all"));
    text
}

/// Mails that wait for a person, a row each.
pub(super) fn quarantined_mails<'a>(
    rows: impl Iterator<Item = &'a QuarantineRow>,
    indent: usize,
    screen: Screen,
) -> String {
    let mut table = Table::new(
        indent,
        &[
            Column::number("id"),
            Column::whole("received (UTC+8)"),
            Column::cut("why", 21),
            Column::cut("from", 10),
            Column::cut("subject", 10),
            Column::spare("mailbox"),
        ],
    );
    for row in rows {
        let mut codes: Vec<&str> = row.defects.iter().map(|(code, _)| code.as_str()).collect();
        // They are sorted; one mail may have many of a kind.
        codes.dedup();
        table.row([
            row.id.to_string().into(),
            taipei_minute(row.received_at).into(),
            codes.join(", ").into(),
            row.from.as_deref().unwrap_or("(not one)").into(),
            row.subject.as_str().into(),
            row.mailbox.as_deref().unwrap_or("(file)").into(),
        ]);
    }
    table.on(screen)
}

/// The important fact first.
fn headline(overview: &Overview<'_>, screen: Screen) -> String {
    let down = overview
        .mailboxes
        .iter()
        .filter(|row| row.state != LinkState::Up);
    let put_off = overview
        .put_off
        .as_ref()
        .map_or(0, |put_off| put_off.letters);
    let ledger = overview.ledger.trouble.as_ref();
    let ledger = ledger.map(|trouble| one_line(trouble, WORDS));
    let counts = [
        (
            down.count() as u64,
            "mailbox not heard",
            "mailboxes not heard",
        ),
        (
            overview.due.overdue(),
            "company without the numbers that are due",
            "companies without the numbers that are due",
        ),
        (
            overview.quarantine.len() as u64,
            "in quarantine",
            "in quarantine",
        ),
        (put_off, "mail put off", "mails put off"),
        (
            overview.waiting.as_ref().map_or(0, |waiting| waiting.mails),
            "mail waiting for DNS",
            "mails waiting for DNS",
        ),
        (
            overview
                .letters(OutboxState::Failed)
                .saturating_sub(overview.systems.failed()),
            "mail undeliverable",
            "mails undeliverable",
        ),
        (
            overview.systems.troubled(),
            "system without its hand-offs",
            "systems without their hand-offs",
        ),
        (
            overview.systems.failed(),
            "hand-off given up",
            "hand-offs given up",
        ),
    ]
    .into_iter()
    .filter(|(count, ..)| *count > 0)
    .map(|(count, one, several)| format!("{count} {}", if count == 1 { one } else { several }));
    let trouble: Vec<String> = ledger.into_iter().chain(counts).collect();
    let words = if trouble.is_empty() {
        "all is well 一切正常".to_owned()
    } else {
        format!("needs attention 需要處理: {}", trouble.join(", "))
    };
    let lines = screen.paragraph(&words);
    let painted = lines.lines().map(|line| {
        if trouble.is_empty() {
            screen.calm(line)
        } else {
            screen.alarm(line)
        }
    });
    painted.map(|line| line + "\n").collect()
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
mod tests;
