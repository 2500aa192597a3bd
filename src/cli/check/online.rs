//! `check --online`: whether what the configuration names can be reached and used.
//!
//! Everything is tried, side by side and in bounded time, whatever else fails; then there is one
//! report. What the latest mail proves of itself, and what to set because of it, is `carried`'s.
//!
//! Guarantee: nothing is sent, moved, marked or recorded, and no line is wider than a terminal.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::task::JoinSet;

use super::{
    super::{Exit, Misconfigured, NotNow, print, table::Screen},
    advice::{self, Failure},
    carried::{self, Judged},
    handed, place, reached,
};
use crate::{
    authenticity::{Require, Verifier},
    clock::Clock,
    columns::{pad, width},
    config::{Config, Handoff, HandoffWay, Mailbox, Outgoing},
    delivery::Transport,
    ledger::{Ledger, Stage},
    mailbox::{News, RawMessage},
    notice::Rules,
    stranger::one_line,
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
        let rules = config.rules.clone();
        trying.spawn(async move { (at, self::mailbox(&mailbox, &rules).await) });
    }
    let systems = join_all(config.handoffs.iter().map(handoff));
    let (ledger, mail, systems) = tokio::join!(ledger(config, clock), mail(config), systems);
    let mut tried = trying.join_all().await;
    tried.sort_by_key(|(at, _)| *at);

    let verifier = Verifier::new(config.authenticity.clone());
    let (mut rows, mut judging) = (vec![ledger], Vec::new());
    for (mailbox, (_, (tried, latest))) in config.mailboxes.iter().zip(tried) {
        rows.extend(tried);
        // One that could not be looked into says nothing.
        judging.extend(latest.map(|latest| carried::judge(mailbox, latest, &verifier)));
    }
    let judged = join_all(judging).await;
    rows.extend(dns(config, &verifier, &judged).await);
    rows.extend(mail);
    rows.extend(systems);

    let file = format!(
        "{}: the configuration holds together",
        config.file.display()
    );
    let screen = Screen::stdout();
    let report = report(&rows, screen);
    print(&format!("{}\n{report}", screen.paragraph(&file)))?;
    print(&carried::page(config, &judged, screen).await)?;
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

/// What became of trying one mailbox, and its latest mail from the senders.
async fn mailbox(mailbox: &Mailbox, rules: &Rules) -> (Vec<Row>, Option<Vec<RawMessage>>) {
    let row = |what: &str, outcome| Row {
        what: format!("{what} {}", mailbox.name),
        place: place(&mailbox.kind),
        outcome,
    };
    let source = match mailbox.source() {
        Err(error) => return (vec![row("mailbox", Err(advice::setting(&error)))], None),
        Ok(source) => source,
    };
    let senders = rules.senders.iter().map(ToString::to_string);
    let senders: Vec<String> = senders.collect();
    let gate = |header: &[u8], size| carried::gate(header, size, rules);
    let probe = match source.probe(&senders, &gate).await {
        Err(error) => {
            let failure = advice::mailbox(&error, &mailbox.kind);
            return (vec![row("mailbox", Err(failure))], None);
        }
        Ok(probe) => probe,
    };
    let news = match probe.news {
        News::Pushed => "new mail is announced (IDLE)".to_owned(),
        News::Polled(every) => format!("new mail is looked for every {every:?}"),
    };
    let said = match probe.messages {
        1 => format!("1 message; {news}"),
        n => format!("{n} messages; {news}"),
    };
    let mut rows = vec![row("mailbox", Ok(said))];
    match probe.latest {
        Ok(latest) => (rows, Some(latest)),
        Err(error) => {
            rows.push(row("latest mail", Err(advice::latest(&error))));
            (rows, None)
        }
    }
}

/// `None` where nothing that is demanded needs it.
async fn dns(config: &Config, verifier: &Verifier, judged: &[Judged<'_>]) -> Option<Row> {
    match verifier.require() {
        Require::Dkim | Require::Either => {}
        Require::AuthenticationResults | Require::None => return None,
    }
    let servers = verifier.dns_servers();
    let place = match &servers {
        Ok(servers) => {
            let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
            servers.join(", ")
        }
        Err(_) => "the system's resolver".to_owned(),
    };
    // A key that will be asked for, where one is known by now.
    let name = carried::key_name(judged)
        .or_else(|| config.authenticity.domains.first().cloned())
        .or_else(|| Some(config.rules.senders.first()?.domain().to_owned()))?;
    let answered = verifier.ask_dns(&name).await;
    // A selector is a stranger's word.
    let name = one_line(&name, 200);
    Some(Row {
        what: "dns".to_owned(),
        place,
        outcome: match answered {
            // Which is an answer, and all that is asked for here.
            Ok(0) => Ok(format!("answered; no TXT record at {name}")),
            Ok(1) => Ok(format!("answered; 1 TXT record at {name}")),
            Ok(n) => Ok(format!("answered; {n} TXT records at {name}")),
            Err(trouble) => Err(advice::dns(&name, &trouble, &config.authenticity)),
        },
    })
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
                Transport::Directory(_) | Transport::System(_) => "can be written to",
            })
            .map_err(|obstacle| advice::mail(&obstacle, tls)),
    };
    Some(Row {
        what: "mail".to_owned(),
        place,
        outcome: outcome.map(str::to_owned),
    })
}

/// Nothing is handed over.
async fn handoff(handoff: &Handoff) -> Row {
    let outcome = match handoff.system() {
        Err(error) => Err(advice::setting(&error)),
        Ok(system) => match system.probe(MAIL).await {
            Err(obstacle) => Err(advice::handoff(&obstacle, handoff)),
            Ok(()) => Ok(match handoff.way {
                HandoffWay::Webhook { .. } => "can be connected to; nothing was posted",
                HandoffWay::Directory { .. } => "can be written to",
            }),
        },
    };
    Row {
        what: format!("hand-off {}", handoff.name),
        place: handed(handoff),
        outcome: outcome.map(str::to_owned),
    }
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
