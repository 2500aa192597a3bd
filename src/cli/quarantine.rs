//! `quarantine`: a person looks at mails that wait, and decides about them.

use std::{
    collections::BTreeMap,
    io::{IsTerminal as _, Write as _},
};

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::{
    Exit,
    arguments::{QuarantineAction, Which},
    dispatch::send_unless_daemon,
    intake, json, person, place_of, print, print_json,
    status::quarantined_mails,
    table::{Column, Screen, Table},
};
use crate::{
    clock::Clock,
    config::Config,
    intake::{Action, Decided, Refusal},
    ledger::{Decision, Ledger, QuarantineRow, StoredMessage},
    notice::{Defect, DefectCode, Judgement, Release},
    stranger::{self, one_line},
};

mod show;

/// So much of a stranger's words is shown, characters.
const WORDS: usize = 200;

pub(super) async fn quarantine(config: &Config, action: QuarantineAction) -> anyhow::Result<Exit> {
    match action {
        QuarantineAction::List { json } => list(config, json).await?,
        QuarantineAction::Show { id, json, raw } => {
            let message = message(config, id).await?;
            if raw {
                write_raw(&message)?;
            } else if json {
                print_json(&show::object(&message))?;
            } else {
                let page = show::page(&message, config.style.language)?;
                print(&Screen::stdout().prose(&page))?;
            }
        }
        QuarantineAction::Release { which, ban, reason } => {
            let release = Release { ban };
            let action = match which.id {
                Some(_) => Action::Release(release),
                None => Action::ReleaseWaiting(release),
            };
            decide(config, &which, action, reason.as_deref()).await?;
        }
        QuarantineAction::Dismiss { which, reason } => {
            decide(config, &which, Action::Dismiss, reason.as_deref()).await?;
        }
    }
    Ok(Exit::Done)
}

async fn waiting(config: &Config) -> anyhow::Result<Vec<QuarantineRow>> {
    let Some(ledger) = Ledger::open_for_reading(&config.ledger).await? else {
        return Ok(Vec::new());
    };
    let rows = ledger.quarantine().await?;
    ledger.close().await;
    Ok(rows)
}

async fn list(config: &Config, as_json: bool) -> anyhow::Result<()> {
    let rows = waiting(config).await?;
    if as_json {
        return print_json(&Value::Array(rows.iter().map(json::quarantined).collect()));
    }
    if rows.is_empty() {
        return print("nothing waits for a decision 沒有等待處理的信\n");
    }
    print(&quarantined_mails(rows.iter(), 0, Screen::stdout()))
}

async fn message(config: &Config, id: i64) -> anyhow::Result<StoredMessage> {
    let Some(ledger) = Ledger::open_for_reading(&config.ledger).await? else {
        return Err(Refusal::NoMessage(id).into());
    };
    let message = ledger.message(id).await?;
    ledger.close().await;
    Ok(message.ok_or(Refusal::NoMessage(id))?)
}

fn write_raw(message: &StoredMessage) -> anyhow::Result<()> {
    let id = message.id;
    let raw = message.raw.as_deref();
    let raw = raw.with_context(|| format!("no bytes are kept of message {id}"))?;
    let mut out = std::io::stdout().lock();
    if out.is_terminal() {
        // A mail could command the terminal; what reads a pipe gets the bytes.
        let text = String::from_utf8_lossy(raw).replace("\r\n", "\n");
        out.write_all(stranger::lines(&text).as_bytes())?;
    } else {
        out.write_all(raw)?;
    }
    out.flush()?;
    Ok(())
}

async fn decide(
    config: &Config,
    which: &Which,
    action: Action,
    reason: Option<&str>,
) -> anyhow::Result<()> {
    let who = person::login_name();
    let decision = Decision {
        who: &who,
        // A rehearsal, which may go without, writes down none.
        reason: person::reason(reason.unwrap_or("dry run"))?,
        at: Clock::System.now(),
    };
    let ids = match which.id {
        Some(id) if !Ledger::exists(&config.ledger)? => return Err(Refusal::NoMessage(id).into()),
        Some(id) => vec![id],
        None => {
            let has = |row: &QuarantineRow| {
                let mut codes = row.defects.iter().map(|(code, _)| code.as_str());
                which
                    .code
                    .is_some_and(|wanted| codes.any(|code| code == wanted.as_str()))
            };
            let rows = waiting(config).await?;
            rows.iter()
                .filter(|row| has(row))
                .map(|row| row.id)
                .collect()
        }
    };
    if ids.is_empty() {
        let code = which.code.map_or("", DefectCode::as_str);
        return print(&format!(
            "nothing waits because of {code} 沒有因此等待處理的信\n"
        ));
    }

    let ledger = Ledger::open(&config.ledger, decision.at).await?;
    let intake = intake(config, &ledger);
    let company = |mailbox: Option<&str>| place_of(config, mailbox).ok()?.company;
    let outcomes = intake
        .decide(&ids, action, &decision, company, which.dry_run)
        .await?;
    let screen = Screen::stdout();
    let report = match (which.id, outcomes.as_slice()) {
        (Some(_), [Ok(decided)]) => screen.prose(&one(decided, config, which.dry_run)),
        (Some(_), [Err(refusal)]) => return Err(refusal.clone().into()),
        _ => many(&ids, &outcomes, which.dry_run, screen),
    };
    // A reader of the report that has gone keeps no mail from going out.
    let printed = print(&report);
    if !which.dry_run {
        send_unless_daemon(config, &ledger).await?;
    }
    ledger.close().await;
    printed?;
    let refused = outcomes.iter().filter(|outcome| outcome.is_err()).count();
    if refused > 0 {
        let (count, still) = (
            outcomes.len(),
            if which.dry_run { "would" } else { "still" },
        );
        bail!(
            "{refused} of {count} were refused and {still} wait: `invoice-trackd quarantine show ID` says what to do about each"
        );
    }
    Ok(())
}

/// What became of a mail, in a word.
fn word(decided: &Decided) -> &'static str {
    match &decided.judgement {
        Some(judgement) => judgement.disposition.as_str(),
        None => "dismissed",
    }
}

/// Codes, each once; they are sorted, and one mail may have many of a kind.
fn codes(defects: &[Defect]) -> String {
    let mut codes: Vec<&str> = defects.iter().map(|defect| defect.code.as_str()).collect();
    codes.dedup();
    codes.join(", ")
}

/// One decision in full.
fn one(decided: &Decided, config: &Config, dry_run: bool) -> String {
    let from = decided.from.as_deref().unwrap_or("(not one)");
    let [from, subject] = [from, &decided.subject].map(|text| one_line(text, WORDS));
    let mut lines = Vec::new();
    if dry_run {
        lines.push("dry run, nothing was changed 試跑，沒有任何變更".to_owned());
    }
    lines.push(format!("{}: message {}", word(decided), decided.id));
    lines.push(format!("  from {from}"));
    lines.push(format!("  subject {subject}"));
    if let Some(judgement) = &decided.judgement {
        lines.extend(granted(judgement, config));
    }
    lines.push(String::new());
    lines.join("\n")
}

/// What a released mail grants to whom, and what was overruled for it.
fn granted(judgement: &Judgement, config: &Config) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some((ban, _)) = judgement.company {
        lines.push(match config.rules.companies.get(ban) {
            Some(company) => format!("  company {ban} {}", company.name),
            None => format!(
                "  company {ban}, which is not configured: its notices are not expected, add a [[company]] or a line to companies_file"
            ),
        });
    }
    for judged in &judgement.allocations {
        let block = &judged.allocation.block;
        let known = match judged.known {
            Some(id) => format!("  (recorded before as allocation {id})"),
            None => String::new(),
        };
        lines.push(format!(
            "  {}  {} {}  {} 本{known}",
            block.period,
            block.track,
            block.range,
            block.range.booklets()
        ));
    }
    if !judgement.overruled.is_empty() {
        lines.push(format!("  overruled {}", codes(&judgement.overruled)));
    }
    for warning in &judgement.warnings {
        let detail = one_line(&warning.detail.en, WORDS);
        lines.push(format!("  {}: {detail}", warning.code));
    }
    lines
}

/// One line a mail, and how many ended how.
fn many(
    ids: &[i64],
    outcomes: &[Result<Decided, Refusal>],
    dry_run: bool,
    screen: Screen,
) -> String {
    let mut counts = BTreeMap::<&str, usize>::new();
    let mut table = Table::new(
        0,
        &[
            Column::number("id"),
            Column::whole("became"),
            Column::wrapped("subject, or what stands in the way"),
        ],
    );
    for (id, outcome) in ids.iter().zip(outcomes) {
        let (word, what) = match outcome {
            Ok(decided) => (word(decided), one_line(&decided.subject, WORDS)),
            Err(Refusal::Defects { defects, .. }) => ("refused", codes(defects)),
            Err(Refusal::Incomplete { .. }) => ("refused", "not kept in full".to_owned()),
            Err(Refusal::NoNotice(_)) => ("refused", "no notice by today's rules".to_owned()),
            Err(refusal) => ("refused", refusal.to_string()),
        };
        *counts.entry(word).or_default() += 1;
        table.row([id.to_string().into(), word.into(), what.into()]);
    }
    let counts: Vec<String> = counts
        .iter()
        .map(|(word, n)| format!("{n} {word}"))
        .collect();
    let dry = if dry_run {
        " (dry run, nothing was changed 試跑，沒有任何變更)"
    } else {
        ""
    };
    let table = table.on(screen);
    format!("{table}{}{dry}\n", counts.join(", "))
}
