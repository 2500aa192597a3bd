//! Killed while what is to be told is gathered into letters: a Maildir, confirmations in digests,
//! alerts, and the same mail server. Each piece of news is in exactly one letter, whatever happens.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use invoice_trackd::backoff::random;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{
    account::{assert_none, copy, letters},
    mails::{Letters, Mails},
};
use crate::support::{
    daemon::{COMPANY, House, Notice, Running, maildir},
    fault::{Faults, Moment},
    is_long,
    smtp_sink::SmtpSink,
};

/// What one kill left.
#[derive(Default)]
struct News {
    /// Into which letter each piece went, by its key; `None` while it waits.
    gathered: BTreeMap<String, Option<String>>,
    letters: Letters,
}

/// What must not be, each with the query that counts it.
const HALVES: &[(&str, &str)] = &[
    (
        "messages of another disposition",
        "SELECT count(*) FROM message WHERE disposition NOT IN ('imported', 'quarantined')",
    ),
    (
        "messages without the one piece of news, in its channel",
        "SELECT count(*) FROM message
         WHERE (SELECT group_concat(channel) FROM news
                WHERE json_extract(cause, '$.message_id') = message.id)
             IS NOT iif(disposition = 'imported', 'confirmation', 'alert')",
    ),
    (
        "news of no message",
        "SELECT count(*) FROM news
         WHERE json_extract(cause, '$.message_id') NOT IN (SELECT id FROM message)",
    ),
    (
        "messages with the wrong number of allocations",
        "SELECT count(*) FROM message
         WHERE (SELECT count(*) FROM allocation WHERE message_id = message.id)
             <> (disposition = 'imported')",
    ),
    (
        "letters that tell of nothing",
        "SELECT count(*) FROM outbox WHERE id NOT IN
             (SELECT outbox_id FROM news WHERE outbox_id IS NOT NULL)",
    ),
];

async fn look(house: &House) -> News {
    let Some((_copies, mut ledger)) = copy(house).await else {
        return News::default();
    };
    let news = read(&mut ledger).await;
    ledger.close().await.unwrap();
    news
}

async fn read(ledger: &mut SqliteConnection) -> News {
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema")
        .fetch_one(&mut *ledger)
        .await
        .unwrap();
    if tables == 0 {
        return News::default();
    }
    assert_none(ledger, HALVES).await;
    let gathered: Vec<(String, Option<String>)> = sqlx::query_as(
        "SELECT key, rfc_message_id FROM news LEFT JOIN outbox ON outbox.id = outbox_id",
    )
    .fetch_all(&mut *ledger)
    .await
    .unwrap();
    News {
        gathered: gathered.into_iter().collect(),
        letters: letters(ledger).await,
    }
}

/// How many pieces of news have gone out, once none waits; `None` before.
async fn told(house: &House) -> Option<usize> {
    let options = SqliteConnectOptions::new().filename(house.path("ledger.db"));
    let mut ledger = options.read_only(true).connect().await.ok()?;
    let counted: Result<(i64, i64), _> = sqlx::query_as(
        "SELECT count(*), count(*) FILTER (WHERE state IS NOT 'sent')
         FROM news LEFT JOIN outbox ON outbox.id = outbox_id",
    )
    .fetch_one(&mut ledger)
    .await;
    ledger.close().await.ok();
    let (all, waiting) = counted.ok()?;
    (waiting == 0).then(|| usize::try_from(all).unwrap())
}

/// Waits until the daemon has died, or, with `true`, has told all of the `delivered`.
async fn is_through(house: &House, daemon: &mut Running, delivered: usize) -> bool {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if daemon.has_ended() {
            return false;
        }
        // A ledger in use is read where it is; only the dead one's files can be copied.
        if told(house).await == Some(delivered) {
            return true;
        }
        assert!(Instant::now() < deadline, "it hangs:\n{}", house.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_news_is_gathered_each_piece_is_told_in_exactly_one_letter() {
    let sink = SmtpSink::start();
    let house = House::new(&format!(
        r#"{COMPANY}
[[mailbox]]
name = "spool"
kind = "maildir"
path = "@ROOT@/mail"
[mail]
from = "invoice-trackd <einvoice@example.com>"
confirm_to = ["ops@example.com"]
alert_to = ["oncall@example.com"]
confirm = "digest"
confirm_window = "0s"
alert_window = "0s"
[mail.smtp]
host = "127.0.0.1"
port = {}
tls = "none"
"#,
        sink.port()
    ));
    maildir(&house.path("mail"));
    let mut before = News::default();
    let mut mails = Mails::default();
    let mut begins = BTreeSet::new();
    let mut delivered = 0;
    let mut kills = 0;
    while kills < if is_long() { 400 } else { 40 } {
        for n in 0..4 {
            let begin = 50 * u32::try_from(delivered + 1).unwrap();
            let message_id = format!("{delivered}@einvoice.nat.gov.tw");
            let mut notice = Notice {
                message_id: &message_id,
                begin,
                booklets: 1,
                ..Notice::default()
            };
            if n == 3 {
                notice.from = "einvoice@nat-gov.example";
            } else {
                begins.insert(format!("{begin:08}"));
            }
            house.write(&format!("mail/new/{delivered}"), notice.eml());
            delivered += 1;
        }
        let n = 1 + (random() * 120.0) as u32;
        let moment = match kills % 3 {
            0 => Moment::Torn(n),
            1 => Moment::Synced(n.div_ceil(10)),
            _ => Moment::Wrote(n),
        };
        let faults = Faults::under(&house).kill_at(moment);
        let mut daemon = house.run(&faults.environment());
        let through = is_through(&house, &mut daemon, delivered).await;
        drop(daemon);
        if !through {
            kills += 1;
        }
        before = reckon(&house, &sink, before, &mut mails).await;
    }
    let mut daemon = house.run(&[]);
    assert!(is_through(&house, &mut daemon, delivered).await);
    assert_eq!(daemon.terminate(Duration::from_secs(30)), Some(0));
    let end = reckon(&house, &sink, before, &mut mails).await;
    assert_eq!(end.gathered.len(), delivered);
    mails.are_complete(&end.letters);
    // A digest names its ranges, and no other does.
    let texts: Vec<String> = mails
        .mails
        .values()
        .filter_map(|mail| {
            let mail = mail_parser::MessageParser::default().parse(mail).unwrap();
            let is_digest = format!("{:?}", mail.to()).contains("ops@");
            is_digest.then(|| mail.body_text(0).unwrap().into_owned())
        })
        .collect();
    for begin in begins {
        let naming = texts.iter().filter(|text| text.contains(&begin));
        assert_eq!(naming.count(), 1, "{begin}");
    }
}

/// After a kill, before the next start.
async fn reckon(house: &House, sink: &SmtpSink, before: News, mails: &mut Mails) -> News {
    sink.until_quiet();
    let now = look(house).await;
    for (key, letter) in &before.gathered {
        let still = &now.gathered[key];
        assert!(letter.is_none() || still == letter, "{key} in two letters");
    }
    mails.reckon(sink, &before.letters, &now.letters);
    now
}
