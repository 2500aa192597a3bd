//! `demo`: the whole product on a scratch directory, three mails and no network but loopback.
//!
//! The genuine notice and its duplicate are signed with a key of the demo's own, for which the demo
//! itself answers; the forged one is as good as they are but for that. Guarantee: it ends by itself.

use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use tokio::{sync::mpsc, time::Instant};

use self::dns::Dns;
use super::{
    Exit, print, proof,
    table::{Column, Screen, Table, tally},
};
use crate::{
    clock::Clock,
    config::Config,
    daemon::{self, Word},
    ledger::{AllocationFilter, Ledger, OutboxState},
};

mod dns;

/// The mails that are dropped into the mailbox, by file name, in the order of arrival.
const MAILS: [(&str, &str); 3] = [
    ("1-genuine", include_str!("demo/genuine.eml")),
    ("2-forged", include_str!("demo/forged.eml")),
    ("3-duplicate", include_str!("demo/duplicate.eml")),
];
/// One confirmation and one alert.
const LETTERS: u64 = 2;
/// Far more than the second or two it takes.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) async fn demo() -> anyhow::Result<Exit> {
    let root = scratch()?;
    let dns = Dns::bind().await.context("answer DNS on loopback")?;
    let config = set_up(&root, dns.address()?)?;
    print(&format!(
        "invoice-trackd demo, in {}\n\n  1. a mailbox with three mails: a genuine notice that is signed, a forged\n     one, and the genuine one sent again\n  2. the real daemon runs on them …\n",
        root.display()
    ))?;
    let (say, words) = mpsc::channel(1);
    let stopping = async {
        settled(&config).await;
        // A daemon that has ended before says why by itself.
        say.send(Word::Stop).await.ok();
    };
    let running =
        async { tokio::join!(daemon::run(config.clone(), Clock::System, words), stopping) };
    tokio::select! {
        (outcome, ()) = running => outcome?,
        failed = dns.serve() => {
            failed.context("answer DNS on loopback")?;
        }
    }
    print(&shown(&config, &root).await?)?;
    Ok(Exit::Done)
}

/// A new directory of our own below the system's temporary one; it stays for looking at.
fn scratch() -> anyhow::Result<PathBuf> {
    let base = std::env::temp_dir();
    for attempt in 0..1000 {
        let root = base.join(format!(
            "invoice-trackd-demo-{}-{attempt}",
            std::process::id()
        ));
        match fs::create_dir(&root) {
            Ok(()) => return Ok(root),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(error).with_context(|| format!("create {}", root.display()));
            }
        }
    }
    bail!(
        "create a scratch directory in {}: every name is taken",
        base.display()
    )
}

fn set_up(root: &Path, dns: SocketAddr) -> anyhow::Result<Config> {
    for directory in ["mailbox/tmp", "mailbox/new", "mailbox/cur", "sent"] {
        fs::create_dir_all(root.join(directory))?;
    }
    for (name, mail) in MAILS {
        fs::write(root.join("mailbox/new").join(name), mail)?;
    }
    let file = root.join("config.toml");
    fs::write(&file, configuration(root, dns))?;
    Ok(Config::load(&file)?)
}

fn configuration(root: &Path, dns: SocketAddr) -> String {
    // A TOML literal string takes any path but one with an apostrophe, which temp_dir has not.
    let root = root.display();
    format!(
        r#"# The demo's configuration: a Maildir in, files out, no network but loopback.
language = "zh-TW"

[ledger]
url = 'sqlite://{root}/ledger.db'

[authenticity]
require = "dkim"
# The demo itself, which knows one key: nobody answers there once it has ended.
dns_servers = ["{dns}"]

[[company]]
ban = "53567686"
name = "雲端行動科技股份有限公司"
# 停止使用: nothing is due. With "period" the demo would tell, on some days, that the next period's
# numbers have not come.
assignment = "none"
recipients = ["einvoice@example.com"]

[[mailbox]]
name = "demo"
kind = "maildir"
path = '{root}/mailbox'

[mail]
from = "invoice-trackd <invoice-trackd@example.com>"
confirm_to = ["ops@example.com"]
alert_to = ["oncall@example.com"]
transport = "directory"
directory = '{root}/sent'
"#
    )
}

/// Completes when every mail has been judged and every letter sent, or patience is at its end.
async fn settled(config: &Config) {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline && !is_settled(config).await.unwrap_or(false) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn is_settled(config: &Config) -> anyhow::Result<bool> {
    let Some(ledger) = Ledger::open_for_reading(&config.ledger).await? else {
        return Ok(false);
    };
    let judged: u64 = ledger.counts().await?.values().sum();
    let sent = ledger
        .outbox_counts()
        .await?
        .get(OutboxState::Sent.as_str())
        .copied();
    ledger.close().await;
    Ok(judged == u64::try_from(MAILS.len())? && sent == Some(LETTERS))
}

async fn shown(config: &Config, root: &Path) -> anyhow::Result<String> {
    let ledger = Ledger::open_for_reading(&config.ledger)
        .await?
        .context("the daemon has left no ledger behind")?;
    let screen = Screen::stdout();
    let mut text = String::new();

    writeln!(text, "\nRecorded 已匯入")?;
    let mut recorded = Table::new(
        2,
        &[
            Column::whole("統編 ban"),
            Column::whole("期別 period"),
            Column::whole("字軌"),
            Column::whole("起迄號 range"),
            Column::number("本"),
        ],
    );
    let mut proofs = Vec::new();
    for row in ledger.allocations(AllocationFilter::default()).await? {
        if let Some(message) = ledger.message(row.message_id).await?
            && let Some(proof) = message.evidence.proof()
        {
            proofs.push(proof::in_short(&proof));
        }
        let block = row.allocation.block;
        recorded.row([
            row.allocation.ban.to_string().into(),
            block.period.to_string().into(),
            block.track.to_string().into(),
            block.range.to_string().into(),
            block.range.booklets().to_string().into(),
        ]);
    }
    text.push_str(&recorded.on(screen));
    for proof in proofs {
        writeln!(text, "  證明 proven by {proof}")?;
    }

    writeln!(text, "\nQuarantined 隔離")?;
    let mut quarantined = Table::new(2, &[Column::wrapped("")]);
    for row in ledger.quarantine().await? {
        let from = row.from.as_deref().unwrap_or("(nobody)");
        quarantined.row([format!("from {from}").into()]);
        for (code, detail) in row.defects {
            quarantined.row([format!("{code}: {detail}").into()]);
        }
    }
    text.push_str(&quarantined.on(screen));

    writeln!(text, "\nJudged    {}", tally(&ledger.counts().await?))?;

    writeln!(text, "\nSent 已寄出")?;
    let mut sent: Vec<PathBuf> = fs::read_dir(root.join("sent"))?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    sent.sort();
    for path in sent {
        writeln!(text, "  {}", path.display())?;
    }

    let program = std::env::current_exe()?;
    let program = program.display();
    let root = root.display();
    writeln!(text, "\nLook around")?;
    writeln!(text, "  {program} --config {root}/config.toml status")?;
    writeln!(text, "  {program} --config {root}/config.toml allocations")?;
    writeln!(
        text,
        "  {program} --config {root}/config.toml explain {root}/mailbox/new/2-forged"
    )?;
    writeln!(
        text,
        "  {program} --config {root}/config.toml quarantine list"
    )?;
    writeln!(text, "  {root}/ledger.db  (SQLite, table `allocation`)")?;
    ledger.close().await;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::{ToSpan as _, civil::Date};

    use super::*;
    use crate::{
        authenticity::{Evidence, Verifier},
        intake,
        mailbox::{Content, Origin, RawMessage},
        schedule::{Booklets, Terms},
    };

    #[test]
    fn whatever_day_it_is_the_demo_tells_of_its_mails_and_of_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let config = set_up(root.path(), "127.0.0.1:53".parse().unwrap()).unwrap();
        let told = BTreeMap::new();
        for day in Date::constant(2026, 11, 1).series(1.day()).take(800) {
            for company in config.rules.companies.iter() {
                let terms = Terms::of(company, config.schedule, day);
                let calls = terms.calls(&Booklets::new(), &told, day.at(23, 59, 0, 0));
                assert_eq!(calls, [], "{day}");
            }
        }
    }

    /// What the demo's own configuration makes of a mail's origin.
    async fn origin(raw: &[u8]) -> Evidence {
        let dns = Dns::bind().await.unwrap();
        let root = tempfile::tempdir().unwrap();
        let config = set_up(root.path(), dns.address().unwrap()).unwrap();
        let verifier = Verifier::new(config.authenticity);
        let message = RawMessage {
            origin: Origin::File {
                path: "mail".to_owned(),
            },
            internal_date: None,
            size: raw.len() as u64,
            content: Content::Whole(raw.to_vec()),
        };
        let results = crate::authenticity::Results::Top;
        tokio::select! {
            examined = intake::examine(&message, &config.rules, &verifier, results) => examined.evidence,
            failed = dns.serve() => panic!("{failed:?}"),
        }
    }

    #[tokio::test]
    async fn the_signed_mails_still_verify_and_one_other_byte_is_refused() {
        let [(_, genuine), (_, forged), (_, duplicate)] = MAILS;
        for signed in [genuine, duplicate] {
            for signed in [signed.to_owned(), signed.replace('\n', "\r\n")] {
                let evidence = origin(signed.as_bytes()).await;
                assert_eq!(evidence.result(), "pass", "{evidence:?}");
                let changed = signed.replace("22634399", "22634499");
                assert_ne!(changed, signed);
                let evidence = origin(changed.as_bytes()).await;
                assert_eq!(evidence.result(), "fail", "{evidence:?}");
            }
        }
        assert_eq!(origin(forged.as_bytes()).await.result(), "none");
    }
}
