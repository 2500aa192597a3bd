//! `check --online`: whether what the configuration names can be reached and used.
//!
//! Everything is tried, side by side and in bounded time, whatever else fails; then there is one
//! report. Left out on purpose: what `require` other than "none" will need (DNS, and what the latest
//! mail proves of itself); each of these will be one more [`Row`].
//!
//! Guarantee: nothing is sent, moved, marked or recorded, and no line is wider than a terminal.

use std::time::Duration;

use tokio::task::JoinSet;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::{
    super::{Exit, Misconfigured, print, table::pad},
    advice::{self, Failure},
};
use crate::{
    clock::Clock,
    config::{Config, Mailbox, MailboxKind, Outgoing},
    delivery::{Transport, one_line},
    ledger::{Ledger, Stage},
    mailbox::News,
};

/// How wide a terminal is at least.
const COLUMNS: usize = 80;

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
    print(&format!("{}\n{}", hanging("", 0, &file), report(&rows)))?;
    let failures = || rows.iter().filter_map(|row| row.outcome.as_ref().err());
    if failures().all(|failure| failure.passing) {
        return Ok(match failures().next() {
            None => Exit::Done,
            Some(_) => Exit::TryAgain,
        });
    }
    let (failed, of) = (failures().count(), rows.len());
    Err(Misconfigured(format!("{failed} of {of} checks failed, see above")).into())
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
                Some(pid) => format!("{stage}; a daemon runs on it (process {pid})"),
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
    let place = match &mailbox.kind {
        MailboxKind::Imap { server, folder, .. } => {
            format!(
                "{folder} on {}:{} (TLS {})",
                server.host, server.port, server.tls
            )
        }
        MailboxKind::Maildir { path } => format!("Maildir {}", path.display()),
    };
    Row {
        what: format!("mailbox {}", mailbox.name),
        place,
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
        Outgoing::Smtp(server) => (
            format!("{}:{} (TLS {})", server.host, server.port, server.tls),
            Some(server),
        ),
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

fn report(rows: &[Row]) -> String {
    // A name of any length must leave room for what is said about it.
    let named = rows.iter().map(|row| row.what.width()).max().unwrap_or(0);
    let named = named.min(24);
    let mut text = String::new();
    for row in rows {
        let (verdict, said) = match &row.outcome {
            Ok(said) => ("ok", format!("{}: {said}", row.place)),
            Err(_) => ("FAILED", row.place.clone()),
        };
        let what = one_line(&row.what, 200);
        let head = format!("{}  {}  ", pad(verdict, 6), pad(&what, named));
        text.push_str(&hanging(&head, named + 10, &said));
        let Err(failure) = &row.outcome else {
            continue;
        };
        for (label, said) in [
            ("found     ", &failure.found),
            ("expected  ", &failure.expected),
            ("to do     ", &failure.to_do),
        ] {
            text.push_str(&hanging(&format!("        {label}"), 18, said));
        }
    }
    text
}

/// `text` behind `head`, in as many lines as it takes, the further ones `indent` columns in. A
/// word that is longer than a line is cut.
fn hanging(head: &str, indent: usize, text: &str) -> String {
    let mut lines = String::from(head);
    let mut column = head.width();
    let mut fresh = true;
    let turn = |lines: &mut String, column: &mut usize| {
        let kept = lines.trim_end().len();
        lines.truncate(kept);
        lines.push('\n');
        lines.push_str(&" ".repeat(indent));
        *column = indent;
    };
    if column > indent {
        turn(&mut lines, &mut column);
    }
    for word in text.split_whitespace() {
        let blank = usize::from(!fresh);
        if !fresh && column + blank + word.width() > COLUMNS {
            turn(&mut lines, &mut column);
        } else if !fresh {
            lines.push(' ');
            column += 1;
        }
        for c in word.chars() {
            let width = c.width().unwrap_or(0);
            if column + width > COLUMNS {
                turn(&mut lines, &mut column);
            }
            lines.push(c);
            column += width;
        }
        fresh = false;
    }
    lines.push('\n');
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_wider_than_a_terminal_whatever_stands_in_it() {
        for text in [
            "short".to_owned(),
            "several words that together are longer than what one line of a terminal can hold"
                .to_owned(),
            "x".repeat(300),
            format!("then {} and on", "字".repeat(90)),
            String::new(),
        ] {
            for head in [
                "ok      ledger  ",
                &format!("FAILED  mailbox {}  ", "n".repeat(60)),
            ] {
                let lines = hanging(head, 20, &text);
                for line in lines.lines() {
                    assert!(line.width() <= COLUMNS, "{lines}");
                }
                let said: String = lines.split_whitespace().collect();
                let expected = format!("{head}{text}");
                assert_eq!(said, expected.split_whitespace().collect::<String>());
            }
        }
    }

    #[test]
    fn lines_break_between_words_and_hang() {
        let lines = hanging("ok  ", 4, &["word"; 17].join(" "));
        let first = ["word"; 15].join(" ");
        assert_eq!(lines, format!("ok  {first}\n    word word\n"));
    }
}
