//! `check --online`: whether what the configuration names can be reached and used.
//!
//! Everything is tried, side by side and in bounded time, whatever else fails; then there is one
//! report. Left out on purpose: what `require` other than "none" will need (DNS, and what the latest
//! mail proves of itself); each of these will be one more [`Row`].
//!
//! Guarantee: nothing is sent, moved, marked or recorded, and no line is wider than a terminal.

use std::time::Duration;

use tokio::task::JoinSet;

use super::{
    super::{Exit, Misconfigured, NotNow, print, table::Screen},
    advice::{self, Failure},
    place, reached,
};
use crate::{
    clock::Clock,
    columns::{pad, width},
    config::{Config, Mailbox, Outgoing},
    delivery::{Transport, one_line},
    ledger::{Ledger, Stage},
    mailbox::News,
};

/// Longer than a mail server that works takes, greeting delay included.
const MAIL: Duration = Duration::from_secs(15);

/// One thing that was tried.
struct Row {
    what: String,
    place: String,
    outcome: Result<String, Failure>,
}

pub(super) async fn check(config: &Config, clock: &Clock) -> anyhow::Result<Exit> {
    let mut trying = JoinSet::new();
    for (at, mailbox) in config.mailboxes.iter().cloned().enumerate() {
        trying.spawn(async move { (at, self::mailbox(&mailbox).await) });
    }
    let (ledger, mail) = tokio::join!(ledger(config, clock), mail(config));
    let mut mailboxes = trying.join_all().await;
    mailboxes.sort_by_key(|(at, _)| *at);
    let mailboxes = mailboxes.into_iter().map(|(_, row)| row);
    let rows: Vec<Row> = std::iter::once(ledger)
        .chain(mailboxes)
        .chain(mail)
        .collect();

    let file = format!(
        "{}: the configuration holds together",
        config.file.display()
    );
    let screen = Screen::stdout();
    let report = report(&rows, screen);
    print(&format!("{}\n{report}", screen.paragraph(&file)))?;
    let failures = || rows.iter().filter_map(|row| row.outcome.as_ref().err());
    let (failed, of) = (failures().count(), rows.len());
    if failed == 0 {
        Ok(Exit::Done)
    } else if failures().all(|failure| failure.passing) {
        let found = format!("{failed} of {of} checks failed for now, see above; try again later");
        Err(NotNow(found).into())
    } else {
        Err(Misconfigured(format!("{failed} of {of} checks failed, see above")).into())
    }
}

async fn ledger(config: &Config, clock: &Clock) -> Row {
    let condition = Ledger::condition(&config.ledger, clock.now()).await;
    let outcome = condition.map_err(|error| advice::ledger(&error));
    Row {
        what: "ledger".to_owned(),
        place: config.ledger.display().to_string(),
        outcome: outcome.map(|condition| {
            let stage = match condition.stage {
                Stage::ToBeCreated => "will be created",
                Stage::ToBeMigrated => "will be brought up to date by the daemon",
                Stage::Ready => "can be read and written",
            };
            match condition.daemon {
                None => format!("{stage}; no daemon runs on it"),
                Some(daemon) => {
                    format!("{stage}; a daemon runs on it (process {})", daemon.process)
                }
            }
        }),
    }
}

async fn mailbox(mailbox: &Mailbox) -> Row {
    let outcome = match mailbox.source() {
        Err(error) => Err(advice::setting(&error)),
        Ok(source) => source
            .probe()
            .await
            .map_err(|error| advice::mailbox(&error, &mailbox.kind)),
    };
    Row {
        what: format!("mailbox {}", mailbox.name),
        place: place(&mailbox.kind),
        outcome: outcome.map(|probe| {
            let news = match probe.news {
                News::Pushed => "new mail is announced (IDLE)".to_owned(),
                News::Polled(every) => format!("new mail is looked for every {every:?}"),
            };
            match probe.messages {
                1 => format!("1 message; {news}"),
                n => format!("{n} messages; {news}"),
            }
        }),
    }
}

/// `None` where nobody is told anything.
async fn mail(config: &Config) -> Option<Row> {
    let (place, tls) = match &config.outgoing {
        Outgoing::Nowhere => return None,
        Outgoing::Directory(path) => (format!("files in {}", path.display()), None),
        Outgoing::Smtp(server) => (reached(server), Some(server)),
    };
    let outcome = match config.transport() {
        Err(error) => Err(advice::setting(&error)),
        Ok(None) => return None,
        Ok(Some(transport)) => transport
            .probe(&config.style.from.address, MAIL)
            .await
            .map(|()| match &transport {
                Transport::Smtp(settings) if settings.login.is_some() => {
                    "would take mail after AUTH"
                }
                Transport::Smtp(_) => "would take mail without AUTH",
                Transport::Directory(_) => "can be written to",
            })
            .map_err(|obstacle| advice::mail(&obstacle, tls)),
    };
    Some(Row {
        what: "mail".to_owned(),
        place,
        outcome: outcome.map(str::to_owned),
    })
}

fn report(rows: &[Row], screen: Screen) -> String {
    // A name of any length must leave room for what is said about it.
    let named = rows.iter().map(|row| width(&row.what)).max().unwrap_or(0);
    let named = named.min(24);
    let mut text = String::new();
    for row in rows {
        let (verdict, said) = match &row.outcome {
            Ok(said) => (pad("ok", 6), format!("{}: {said}", row.place)),
            Err(_) => (screen.alarm("FAILED"), row.place.clone()),
        };
        let what = one_line(&row.what, 200);
        text.push_str(&verdict);
        text.push_str(&screen.hanging(&format!("  {}  ", pad(&what, named)), 6, named + 10, &said));
        let Err(failure) = &row.outcome else {
            continue;
        };
        for (label, said) in [
            ("found     ", &failure.found),
            ("expected  ", &failure.expected),
            ("to do     ", &failure.to_do),
        ] {
            text.push_str(&screen.hanging(&format!("        {label}"), 0, 18, said));
        }
    }
    text
}
