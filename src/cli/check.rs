//! `check`: what the configuration amounts to. Mistakes never get this far; they end the command.
//!
//! Guarantee: without `--online` no secret is read and nothing is connected to.

use std::fmt::Write as _;

use super::{Exit, print};
use crate::{
    clock::Clock,
    config::{Config, MailboxKind, Outgoing},
    notice::Address,
};

mod advice;
mod online;

pub(super) async fn check(config: &Config, online: bool) -> anyhow::Result<Exit> {
    if online {
        return online::check(config, &Clock::System).await;
    }
    print(&summary(config)?)?;
    Ok(Exit::Done)
}

fn summary(config: &Config) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    writeln!(
        text,
        "{}: the configuration holds together",
        config.file.display()
    )?;
    writeln!(text)?;
    writeln!(text, "  ledger     {}", config.ledger.display())?;
    for company in config.rules.companies.iter() {
        let (ban, name) = (company.ban, &company.name);
        writeln!(
            text,
            "  company    {ban}  {name}  ({})",
            company.assignment.as_str()
        )?;
    }
    for mailbox in &config.mailboxes {
        let place = match &mailbox.kind {
            MailboxKind::Imap { server, folder, .. } => {
                format!(
                    "{folder} on {}:{} (TLS {})",
                    server.host, server.port, server.tls
                )
            }
            MailboxKind::Maildir { path } => format!("Maildir {}", path.display()),
        };
        writeln!(text, "  mailbox    {}  {place}", mailbox.name)?;
    }
    let way = match &config.outgoing {
        Outgoing::Smtp(server) => {
            format!("{}:{} (TLS {})", server.host, server.port, server.tls)
        }
        Outgoing::Directory(path) => format!("files in {}", path.display()),
        Outgoing::Nowhere => "nowhere: there is no [mail], so nobody is told anything".to_owned(),
    };
    writeln!(text, "  mail       {way}")?;
    if config.outgoing != Outgoing::Nowhere {
        writeln!(text, "  confirm    {}", addresses(&config.style.confirm_to))?;
        writeln!(text, "  alert      {}", addresses(&config.style.alert_to))?;
    }
    writeln!(
        text,
        "  proof      require = \"{}\": From is believed",
        config.require.as_str()
    )?;
    if config.mailboxes.is_empty() {
        writeln!(
            text,
            "\n`run` would have nothing to watch: there is no [[mailbox]]"
        )?;
    }
    let rules = &config.rules;
    if rules.companies.iter().next().is_none() && !rules.accept_unlisted_companies {
        writeln!(
            text,
            "\nevery notice would be quarantined as `unknown_company`: there is no [[company]]"
        )?;
    }
    Ok(text)
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
