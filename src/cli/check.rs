//! `check`: what the configuration amounts to. Mistakes never get this far; they end the command.
//!
//! Guarantee: without `--online` no secret is read and nothing is connected to.

use super::{
    Exit, print,
    table::{Column, Screen, Table},
};
use crate::{
    authenticity::{Require, Results},
    clock::Clock,
    columns::grouped,
    config::{Config, Handoff, HandoffWay, MailboxKind, Outgoing, Server},
    delivery::handoff::Format,
    notice::{Address, Assignment, Company},
};

mod advice;
mod carried;
mod online;

/// So many companies are read at a glance; of more, so many show that they are the right ones.
const FEW: usize = 10;

pub(super) async fn check(config: &Config, online: bool) -> anyhow::Result<Exit> {
    if online {
        return online::check(config, &Clock::System).await;
    }
    print(&summary(config, Screen::stdout()))?;
    Ok(Exit::Done)
}

/// Where a mailbox is.
fn place(kind: &MailboxKind) -> String {
    match kind {
        MailboxKind::Imap { server, folder, .. } => format!("{folder} on {}", reached(server)),
        MailboxKind::Maildir { path } => format!("Maildir {}", path.display()),
    }
}

/// How a server is reached.
fn reached(server: &Server) -> String {
    format!("{}:{} (TLS {})", server.host, server.port, server.tls)
}

/// How a system is handed the numbers.
fn handed(handoff: &Handoff) -> String {
    match &handoff.way {
        HandoffWay::Webhook { url, .. } => format!("webhook at {url}"),
        HandoffWay::Directory { path, formats } => {
            let formats: Vec<&str> = formats.iter().map(|one| Format::as_str(*one)).collect();
            format!("{} files in {}", formats.join(", "), path.display())
        }
    }
}

fn summary(config: &Config, screen: Screen) -> String {
    let mut facts = Table::new(2, &[Column::whole(""), Column::wrapped("")]);
    facts.row(["ledger".into(), config.ledger.display().to_string().into()]);
    companies(config, &mut facts);
    for mailbox in &config.mailboxes {
        facts.row([
            "mailbox".into(),
            format!("{}: {}", mailbox.name, place(&mailbox.kind)).into(),
        ]);
    }
    let way = match &config.outgoing {
        Outgoing::Smtp(server) => reached(server),
        Outgoing::Directory(path) => format!("files in {}", path.display()),
        Outgoing::Nowhere => "nowhere: there is no [mail], so nobody is told anything".to_owned(),
    };
    facts.row(["mail".into(), way.into()]);
    if config.outgoing != Outgoing::Nowhere {
        facts.row(["confirm".into(), addresses(&config.style.confirm_to).into()]);
        facts.row(["alert".into(), addresses(&config.style.alert_to).into()]);
    }
    for handoff in &config.handoffs {
        let past = if handoff.past { "; past" } else { "" };
        let text = format!("{}: {}{past}", handoff.name, handed(handoff));
        facts.row(["hand-off".into(), text.into()]);
    }
    let require = config.authenticity.require;
    let means = match require {
        Require::Dkim => "a DKIM signature, verified here",
        Require::AuthenticationResults => "the receiving server's Authentication-Results",
        Require::Either => "a DKIM signature, or the receiving server's Authentication-Results",
        Require::None => "From is believed",
    };
    let require = require.as_str();
    facts.row([
        "proof".into(),
        format!("require = \"{require}\": {means}").into(),
    ]);

    let file = config.file.display();
    let mut text = screen.paragraph(&format!("{file}: the configuration holds together"));
    text.push('\n');
    text.push_str(&facts.on(screen));
    let mut lacking = |words: &str| {
        text.push('\n');
        text.push_str(&screen.paragraph(words));
    };
    if config.mailboxes.is_empty() {
        lacking("`run` would have nothing to watch: there is no [[mailbox]]");
    }
    let rules = &config.rules;
    if rules.companies.iter().len() == 0 && !rules.accept_unlisted_companies {
        lacking("every notice would be quarantined as `unknown_company`: there is no [[company]]");
    }
    for words in unprovable(config) {
        lacking(&words);
    }
    text
}

/// Each company where there are few; the first of many, and how many there are.
fn companies(config: &Config, facts: &mut Table) {
    let all = config.rules.companies.iter();
    let count = all.len();
    let shown = count.min(FEW);
    for company in all.clone().take(shown) {
        facts.row(["company".into(), described(company).into()]);
    }
    if count > shown {
        let more = grouped((count - shown) as u64);
        facts.row(["".into(), format!("and {more} more").into()]);
        let assignments = [Assignment::Period, Assignment::Year, Assignment::None];
        let counts = assignments.map(|one| {
            let count = all
                .clone()
                .filter(|company| company.assignment == one)
                .count();
            format!("{} {}", grouped(count as u64), one.as_str())
        });
        let words = format!("{}: {}", grouped(count as u64), counts.join(", "));
        facts.row(["companies".into(), words.into()]);
    }
    if let Some(file) = &config.companies_file {
        let (listed, path) = (grouped(file.companies as u64), file.path.display());
        facts.row(["from file".into(), format!("{listed} in {path}").into()]);
    }
}

/// A company in a line, with what is its own.
fn described(company: &Company) -> String {
    let Company {
        ban,
        name,
        assignment,
        recipients: _,
        due_day,
        reminder_day,
        confirm_to,
        alert_to,
    } = company;
    let mut text = format!("{ban} {name} ({})", assignment.as_str());
    if let Some(day) = reminder_day {
        text.push_str(&format!("; reminder_day {day}"));
    }
    if let Some(day) = due_day {
        text.push_str(&format!("; due_day {day}"));
    }
    for (word, readers) in [("confirm", confirm_to), ("alert", alert_to)] {
        if !readers.is_empty() {
            text.push_str(&format!("; {word} {}", addresses(readers)));
        }
    }
    text
}

/// What could never be proven as it is configured: legal, and hardly meant.
fn unprovable(config: &Config) -> Vec<String> {
    let settings = &config.authenticity;
    let mut found = Vec::new();
    if settings.require == Require::None {
        return found;
    }
    let senders = config.rules.senders.iter();
    let unspoken: Vec<_> = senders
        .filter(|sender| !settings.speaks_for(sender))
        .map(Address::as_str)
        .collect();
    if !unspoken.is_empty() {
        found.push(format!(
            "every notice from {} would be quarantined as `not_authenticated`: `domains` names no \
             domain that speaks for it",
            unspoken.join(", ")
        ));
    }
    let nameless = |results| results == Results::Microsoft;
    let deaf = config.mailboxes.iter().filter(|m| !nameless(m.results));
    let deaf: Vec<_> = deaf.map(|mailbox| mailbox.name.as_str()).collect();
    let is_by_name = settings.require == Require::AuthenticationResults;
    if is_by_name && settings.trusted_authserv_ids.is_empty() && !deaf.is_empty() {
        found.push(format!(
            "every notice in {} would be quarantined as `not_authenticated`: \
             `trusted_authserv_ids` names no server whose Authentication-Results are believed",
            deaf.join(", ")
        ));
    }
    found
}

fn addresses(list: &[Address]) -> String {
    if list.is_empty() {
        return "nobody".to_owned();
    }
    list.iter()
        .map(Address::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}
