//! `outbox`: mails and hand-offs that must go out, as a person sees and steers them.
//!
//! Guarantee: safe beside the daemon, which goes by the ledger; where there is none, what is
//! retried goes out at once.

use anyhow::Context as _;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    Exit,
    arguments::OutboxAction,
    dispatch::{daemon_lock, send},
    person::login_name,
    print, print_json,
    table::{Cell, Column, Screen, Table},
};
use crate::{
    clock::{Clock, taipei_minute},
    config::{Config, Outgoing},
    ledger::{Declined, Kind, Ledger, OutboxRow, OutboxState, RecipientState},
    stranger::one_line,
};

/// So many finished ones are listed where not all are asked for.
const FINISHED: u32 = 20;
/// So much of a server's words is shown, characters.
const WORDS: usize = 300;

pub(super) async fn outbox(config: &Config, action: OutboxAction) -> anyhow::Result<Exit> {
    match action {
        OutboxAction::List { all, json } => list(config, all, json).await,
        OutboxAction::Retry { id } => retry(config, id).await,
        OutboxAction::Drop { id } => call_off(config, id).await,
    }
}

async fn list(config: &Config, all: bool, as_json: bool) -> anyhow::Result<Exit> {
    let most = (!all && !as_json).then_some(FINISHED);
    let (rows, finished) = match Ledger::open_for_reading(&config.ledger).await? {
        Some(ledger) => {
            let rows = ledger.outbox(most).await?;
            let counts = ledger.outbox_counts().await?;
            let of = |state: OutboxState| counts.get(state.as_str()).copied().unwrap_or_default();
            ledger.close().await;
            (rows, of(OutboxState::Sent) + of(OutboxState::Dropped))
        }
        None => (Vec::new(), 0),
    };
    if as_json {
        print_json(&Value::Array(rows.iter().map(object).collect()))?;
    } else {
        let listed = rows.iter().filter(|row| is_finished(row)).count() as u64;
        print(&page(
            &rows,
            finished.saturating_sub(listed),
            Screen::stdout(),
        ))?;
    }
    Ok(Exit::Done)
}

/// The ledger in which `id` stands; none is made.
async fn open(config: &Config, id: i64) -> anyhow::Result<Ledger> {
    if !Ledger::exists(&config.ledger)? {
        return Err(Declined::Unknown(id).into());
    }
    Ok(Ledger::open(&config.ledger, Clock::System.now()).await?)
}

async fn retry(config: &Config, id: i64) -> anyhow::Result<Exit> {
    let ledger = open(config, id).await?;
    let alone = daemon_lock(config)?;
    let now = Clock::System.now();
    ledger
        .retry(id, &login_name(), alone.is_some(), now)
        .await??;
    if let Some(lock) = &alone {
        send(config, &ledger, lock).await?;
    }
    let row = ledger.letter(id).await?;
    ledger.close().await;
    let row = row.with_context(|| format!("{id} is gone from the ledger"))?;
    let text = match (alone, row.target()) {
        (Some(_), _) => tried(&row, way_out(config, &row).as_deref()),
        (None, None) => {
            format!("mail {id} is due now 已排入寄送; the daemon sends it within 30 s")
        }
        (None, Some(_)) => {
            format!("hand-off {id} is due now 已排入交付; the daemon makes it within 30 s")
        }
    };
    print(&Screen::stdout().paragraph(&text))?;
    Ok(Exit::Done)
}

/// What the configuration lacks for it to go out; `None` where it lacks nothing.
fn way_out(config: &Config, row: &OutboxRow) -> Option<String> {
    match row.target() {
        None if config.outgoing == Outgoing::Nowhere => Some("[mail]".to_owned()),
        Some(target) if config.handoffs.iter().all(|one| one.name != target) => {
            Some(format!("[[handoff]] with the name {target}"))
        }
        _ => None,
    }
}

/// What it is, by its id.
fn named(row: &OutboxRow) -> String {
    match row.target() {
        None => format!("mail {}", row.id),
        Some(_) => format!("hand-off {}", row.id),
    }
}

/// How it stands after another try; `lacks` is what the configuration lacks for one.
fn tried(row: &OutboxRow, lacks: Option<&str>) -> String {
    let named = named(row);
    let answer = one_line(row.last_answer.as_deref().unwrap_or_default(), WORDS);
    if let Some(lacks) = lacks {
        return format!(
            "{named} is due, and waits: there is no {lacks} in the configuration, so there is no way out"
        );
    }
    match (row.state, row.target()) {
        (OutboxState::Sent, Some(target)) => format!("{named} is delivered to {target} 已交付"),
        (OutboxState::Sent, None) if missed(row).is_empty() => format!("{named} is sent 已寄出"),
        (OutboxState::Sent, None) => format!(
            "{named} is sent 已寄出, but not to {}: {answer}",
            missed(row).join(", ")
        ),
        (OutboxState::Failed, _) => format!("{named} failed again 仍無法送達: {answer}"),
        (OutboxState::Pending | OutboxState::Sending | OutboxState::Dropped, _) => {
            let next = row
                .next_attempt_at
                .map_or("later".to_owned(), |at| taipei_minute(at) + " (UTC+8)");
            format!("{named} is put off 暫緩; the next try is due {next}: {answer}")
        }
    }
}

async fn call_off(config: &Config, id: i64) -> anyhow::Result<Exit> {
    let ledger = open(config, id).await?;
    let alone = daemon_lock(config)?;
    let now = Clock::System.now();
    ledger
        .call_off(id, &login_name(), alone.is_some(), now)
        .await??;
    let row = ledger.letter(id).await?;
    let tells = ledger.gathered_in(id).await?;
    ledger.close().await;
    let row = row.with_context(|| format!("{id} is gone from the ledger"))?;
    print(&called_off(&row, tells, Screen::stdout()))?;
    Ok(Exit::Done)
}

/// Who will not be told what.
fn called_off(row: &OutboxRow, tells: u64, screen: Screen) -> String {
    let named = named(row);
    let (fate, label) = match row.target() {
        None => ("已取消寄送 and will not be sent", "untold"),
        Some(_) => ("已取消交付 and will not be made", "not handed"),
    };
    let mut text = screen.paragraph(&format!("{named} is dropped {fate}"));
    let mut facts = Table::new(2, &[Column::whole(""), Column::wrapped("")]);
    facts.row([label.into(), one_line(&row.subject, WORDS).into()]);
    if tells > 1 {
        facts.row([
            "".into(),
            format!("{tells} things, all in this one mail").into(),
        ]);
    }
    facts.row(["to".into(), missed(row).join(", ").into()]);
    let has_it: Vec<&str> = row
        .recipients
        .iter()
        .filter(|recipient| recipient.state == RecipientState::Sent)
        .map(|recipient| recipient.address.as_str())
        .collect();
    if !has_it.is_empty() {
        facts.row(["has it".into(), has_it.join(", ").into()]);
    }
    text.push_str(&facts.on(screen));
    if row.kind == Kind::Alert {
        text.push_str(&screen.paragraph(
            "This was an alert: what it is about may still need somebody; see `invoice-trackd status`.",
        ));
    }
    let (id, does) = match row.target() {
        None => (row.id, "sends it"),
        Some(_) => (row.id, "hands it over"),
    };
    text.push_str(&screen.paragraph(&format!(
        "`invoice-trackd outbox retry {id}` {does} after all."
    )));
    text
}

/// Who has not got it.
fn missed(row: &OutboxRow) -> Vec<&str> {
    row.recipients
        .iter()
        .filter(|recipient| recipient.state != RecipientState::Sent)
        .map(|recipient| recipient.address.as_str())
        .collect()
}

fn is_finished(row: &OutboxRow) -> bool {
    matches!(row.state, OutboxState::Sent | OutboxState::Dropped)
}

fn page(rows: &[OutboxRow], unlisted: u64, screen: Screen) -> String {
    if rows.is_empty() {
        return "nothing was ever to be sent 沒有寄件紀錄\n".to_owned();
    }
    let mut table = Table::new(
        0,
        &[
            Column::number("id"),
            Column::whole("種類 kind"),
            Column::whole("狀態 state"),
            Column::number("次數"),
            Column::whole("posted (UTC+8)"),
            Column::whole("due or sent"),
        ],
    );
    for row in rows {
        let at = row.next_attempt_at.or(row.sent_at);
        let state = row.state.as_str();
        table.row([
            row.id.to_string().into(),
            row.kind.as_str().into(),
            match row.state {
                OutboxState::Failed => Cell::alarm(state),
                _ => state.into(),
            },
            row.attempts.to_string().into(),
            taipei_minute(row.posted_at).into(),
            at.map(taipei_minute).unwrap_or_default().into(),
        ]);
        let subject = one_line(&row.subject, WORDS);
        table.below_cut(format!("to {}: {subject}", addressees(row)));
        // Words that were spoken before everybody had it are of no use any more.
        if let Some(answer) = &row.last_answer
            && !(row.state == OutboxState::Sent && missed(row).is_empty())
        {
            table.below(format!("answer: {}", one_line(answer, WORDS)));
        }
    }
    let mut text = table.on(screen);
    if unlisted > 0 {
        text.push_str(&format!(
            "… and {unlisted} more that are finished; `--all` lists them\n"
        ));
    }
    text
}

/// The first of them, and how many more there are.
fn addressees(row: &OutboxRow) -> String {
    match row.recipients.as_slice() {
        [] => String::new(),
        [only] => only.address.clone(),
        [first, others @ ..] => format!("{} +{}", first.address, others.len()),
    }
}

fn object(row: &OutboxRow) -> Value {
    let at = |at: Option<Timestamp>| at.map(|at| at.to_string());
    let recipients: Vec<Value> = row
        .recipients
        .iter()
        .map(|recipient| {
            json!({
                "address": recipient.address,
                "state": recipient.state.as_str(),
                "answer": recipient.answer,
            })
        })
        .collect();
    let decisions: Vec<Value> = row
        .decisions
        .iter()
        .map(|decision| {
            json!({
                "action": decision.action,
                "who": decision.who,
                "decided_at": decision.decided_at.to_string(),
            })
        })
        .collect();
    json!({
        "id": row.id,
        "kind": row.kind.as_str(),
        "target": row.target(),
        "state": row.state.as_str(),
        "attempts": row.attempts,
        "posted_at": row.posted_at.to_string(),
        "next_attempt_at": at(row.next_attempt_at),
        "sent_at": at(row.sent_at),
        "recipients": recipients,
        "subject": row.subject,
        "message_id": row.message_id,
        "last_answer": row.last_answer,
        "decisions": decisions,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::table::trial::*, *};
    use crate::ledger::OutboxRecipient;

    fn letter(id: i64, state: OutboxState, words: &str) -> OutboxRow {
        let fate = |state| OutboxRecipient {
            address: words.to_owned(),
            state,
            answer: Some(words.to_owned()),
        };
        OutboxRow {
            id,
            kind: Kind::Confirmation,
            state,
            attempts: 4_000,
            posted_at: Timestamp::UNIX_EPOCH,
            next_attempt_at: (state == OutboxState::Pending).then_some(Timestamp::UNIX_EPOCH),
            sent_at: (state == OutboxState::Sent).then_some(Timestamp::UNIX_EPOCH),
            recipients: vec![fate(RecipientState::Refused), fate(RecipientState::Sent)],
            subject: words.to_owned(),
            message_id: words.to_owned(),
            last_answer: Some(words.to_owned()),
            decisions: Vec::new(),
        }
    }

    #[test]
    fn what_failed_is_in_alarm_and_a_stranger_cannot_write_on_the_terminal() {
        let rows = [letter(
            7,
            OutboxState::Failed,
            "550 \u{1b}[2J\u{202e}no\r\nx",
        )];
        let page = page(&rows, 0, COLOURED);
        assert!(page.contains("mfailed\u{1b}"), "{page:?}");
        assert!(
            page.contains("answer: 550 <U+001B>[2J<U+202E>no x"),
            "{page:?}"
        );
    }

    #[test]
    fn words_against_a_letter_that_everybody_has_are_not_shown() {
        let mut row = letter(7, OutboxState::Sent, "451 later");
        assert!(page(&[row.clone()], 0, PLAIN).contains("answer"));
        row.recipients.remove(0);
        assert!(!page(&[row], 0, PLAIN).contains("answer"));
    }

    #[test]
    fn a_hand_off_is_called_one_and_names_its_system() {
        let mut row = letter(7, OutboxState::Sent, "erp");
        row.kind = Kind::Handoff;
        row.recipients.truncate(1);
        assert_eq!(object(&row)["target"], "erp");
        assert_eq!(tried(&row, None), "hand-off 7 is delivered to erp 已交付");
        assert_eq!(
            tried(&row, Some("[[handoff]] with the name erp")),
            "hand-off 7 is due, and waits: there is no [[handoff]] with the name erp in the \
             configuration, so there is no way out"
        );
        let text = called_off(&row, 0, PLAIN);
        assert!(
            text.starts_with("hand-off 7 is dropped 已取消交付"),
            "{text}"
        );
        assert!(!text.contains("mail"), "{text}");
        assert!(page(&[row.clone()], 0, PLAIN).contains("to erp: erp"));
        row.kind = Kind::Confirmation;
        assert_eq!(object(&row)["target"], Value::Null);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_page_fits_whatever_stands_in_it(
            words in prop::collection::vec((0..10_000_000_000_i64, hostile()), 1..4),
        ) {
            for state in OutboxState::ALL {
                let rows: Vec<OutboxRow> =
                    words.iter().map(|(id, words)| letter(*id, state, words)).collect();
                assert_fits(&page(&rows, 1_000_000, PLAIN));
                assert_fits(&called_off(&rows[0], 12, PLAIN));
                assert_fits(&PLAIN.paragraph(&tried(&rows[0], None)));
                let handoff = OutboxRow { kind: Kind::Handoff, ..rows[0].clone() };
                assert_fits(&called_off(&handoff, 0, PLAIN));
                assert_fits(&PLAIN.paragraph(&tried(&handoff, None)));
            }
        }
    }
}
