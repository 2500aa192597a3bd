//! Mail servers that are away for days, mute, not to be trusted, or take mail only at the second
//! try: in the end everything has arrived once, and nothing was given up too early. The time is the
//! test's; the servers are real where there is one that can do it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use invoice_trackd::{
    clock::Clock,
    delivery::{Confirm, Dispatcher, SmtpSettings, Transport, Wake},
    intake::{Intake, Place},
    mailbox::{Content, Origin, RawMessage},
    pulse::Pulse,
};
use jiff::{SignedDuration, Timestamp};

use sqlx::{Connection as _, SqliteConnection};
use tokio::sync::watch;

use crate::support::{
    daemon::{COMPANY, House, Notice, Systemd, maildir},
    exim::Exim,
    health::Health,
    intake::intake,
    outbox::{
        after, confirmation, did, dispatcher, pass, post, raise_about, state_of_the_outbox,
        to_exim, to_scripted,
    },
    scripted_smtp::{Does, ScriptedSmtp},
};

const DAY: i64 = 24 * 3600;

/// Pass after pass until `until`, each when the one before said that the next is due.
async fn work(dispatcher: &Dispatcher, from: Timestamp, until: Timestamp) -> Timestamp {
    let mut now = from;
    while now < until {
        let pass = dispatcher.run_once(now).await.unwrap();
        let soonest = now + SignedDuration::from_secs(1);
        let latest = now + SignedDuration::from_mins(30);
        now = pass.next.unwrap_or(latest).clamp(soonest, latest);
    }
    now
}

/// How often each Message-ID arrived.
fn arrivals(mails: &[String]) -> BTreeMap<String, usize> {
    let mut arrivals = BTreeMap::new();
    for mail in mails {
        let parsed = mail_parser::MessageParser::default()
            .parse(mail.as_bytes())
            .unwrap();
        let id = parsed.message_id().unwrap().to_owned();
        *arrivals.entry(id).or_default() += 1;
    }
    arrivals
}

/// A notice is taken in and recorded.
async fn arrives(intake: &Intake, track: &str, now: Timestamp) {
    let raw = Notice {
        track,
        ..Notice::default()
    }
    .eml();
    let message = RawMessage {
        origin: Origin::Maildir {
            mailbox: "einvoice".to_owned(),
            file: track.to_owned(),
        },
        internal_date: Some(now),
        size: raw.len() as u64,
        content: Content::Whole(raw),
    };
    let outcomes = intake
        .take(&[message], Place::default(), now)
        .await
        .unwrap();
    assert_eq!(outcomes[0].disposition.as_str(), "imported");
}

#[tokio::test]
async fn after_a_server_was_away_for_three_days_everything_arrives_once() {
    let mut exim = Exim::start();
    let (mut dispatcher, _home) = dispatcher(to_exim(&exim)).await;
    dispatcher.style.confirm = Confirm::Each;
    let ledger = dispatcher.ledger.clone();
    exim.stop();
    let mut now = after(0);
    for turn in 0..9 {
        let letter = confirmation(&format!("letter-{turn}"), &["ops@example.com"]);
        let mut transaction = ledger.begin().await.unwrap();
        transaction.post(&letter, None, now).await.unwrap();
        transaction.commit().await.unwrap();
        if turn % 3 == 0 {
            raise_about(&ledger, turn + 1, "range_overlap", now).await;
        }
        now = work(&dispatcher, now, after((turn + 1) * DAY / 3 - 600)).await;
    }
    // Nothing of it is as old as three days.
    assert!(now < after(3 * DAY));
    assert!(exim.delivered().is_empty());
    let put_off = ledger.put_off(None).await.unwrap().unwrap();
    assert_eq!(
        (put_off.since, put_off.none_sent_since),
        (after(0), after(0))
    );
    assert!(put_off.letters > 9, "{put_off:?}");

    exim.resume();
    work(&dispatcher, now, now + SignedDuration::from_hours(1)).await;
    let counts = ledger.outbox_counts().await.unwrap();
    assert_eq!((counts["failed"], counts["pending"]), (0, 0), "{counts:?}");
    let sent = counts["sent"] as usize;
    let arrived = arrivals(&exim.mails(sent).await);
    assert_eq!(arrived.len(), sent);
    assert!(arrived.values().all(|times| *times == 1), "{arrived:?}");
    assert_eq!(ledger.put_off(None).await.unwrap(), None);
}

#[tokio::test]
async fn a_digest_that_was_gathered_in_an_outage_arrives_once() {
    let mut exim = Exim::start();
    let (mut dispatcher, _home) = dispatcher(to_exim(&exim)).await;
    dispatcher.style.confirm = Confirm::Digest;
    let ledger = dispatcher.ledger.clone();
    exim.stop();
    let intake = intake(ledger.clone(), dispatcher.style.clone());
    for (minute, track) in [(1, "EA"), (2, "EB"), (3, "EC")] {
        arrives(&intake, track, after(minute * 60)).await;
    }
    let now = work(&dispatcher, after(300), after(2 * DAY)).await;
    assert_eq!(state_of_the_outbox(&ledger).await, "1 pending");
    exim.resume();
    work(&dispatcher, now, now + SignedDuration::from_hours(1)).await;
    assert_eq!(state_of_the_outbox(&ledger).await, "1 sent");
    assert_eq!(arrivals(&exim.mails(1).await).len(), 1);
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_yet_keeps_mail_back_and_loses_none() {
    let exim = Exim::start();
    // The wrong CA, until somebody mends the configuration.
    let other = Exim::start();
    let Transport::Smtp(settings) = to_exim(&exim) else {
        unreachable!()
    };
    let doubtful = Transport::Smtp(SmtpSettings {
        ca_file: Some(other.ca_file()),
        ..settings
    });
    let (mut dispatcher, _home) = dispatcher(doubtful).await;
    let ledger = dispatcher.ledger.clone();
    post(&ledger, &confirmation("one", &["ops@example.com"])).await;
    let now = work(&dispatcher, after(0), after(DAY)).await;
    let put_off = ledger.put_off(None).await.unwrap().unwrap();
    assert!(put_off.answer.contains("certificate"), "{put_off:?}");
    assert!(exim.delivered().is_empty());
    dispatcher.transport = to_exim(&exim);
    work(&dispatcher, now, now + SignedDuration::from_hours(1)).await;
    assert_eq!(state_of_the_outbox(&ledger).await, "1 sent");
    assert_eq!(exim.mails(1).await.len(), 1);
}

#[tokio::test]
async fn greylisting_makes_nobody_get_it_twice() {
    let first = ScriptedSmtp::start(&[(
        "RCPT TO:<new@",
        Does::Says("451 4.7.1 greylisted, come again"),
    )])
    .await;
    let then = ScriptedSmtp::start(&[]).await;
    let (mut dispatcher, _home) = dispatcher(to_scripted(&first)).await;
    let recipients = ["known@example.com", "new@example.com"];
    post(&dispatcher.ledger, &confirmation("one", &recipients)).await;
    assert_eq!(
        did(&dispatcher.run_once(after(0)).await.unwrap()),
        pass(0, 1, 0)
    );
    dispatcher.transport = to_scripted(&then);
    work(&dispatcher, after(5), after(3600)).await;
    assert_eq!(state_of_the_outbox(&dispatcher.ledger).await, "1 sent");
    assert_eq!((first.messages().len(), then.messages().len()), (1, 1));
    let again: Vec<String> = then.commands();
    let asked = |line: &&String| line.starts_with("RCPT");
    assert_eq!(
        again.iter().filter(asked).collect::<Vec<_>>(),
        ["RCPT TO:<new@example.com>"]
    );
}

#[tokio::test]
async fn a_mute_server_holds_a_pass_up_once_and_gives_nothing_up() {
    let mute = ScriptedSmtp::start(&[("CONNECT", Does::FallsSilent)]).await;
    let well = ScriptedSmtp::start(&[]).await;
    let (mut dispatcher, _home) = dispatcher(to_scripted(&mute)).await;
    dispatcher.patience.attempt = Duration::from_millis(300);
    for name in ["one", "two", "three"] {
        post(
            &dispatcher.ledger,
            &confirmation(name, &["ops@example.com"]),
        )
        .await;
    }
    let first = dispatcher.run_once(after(0)).await.unwrap();
    assert_eq!(did(&first), pass(0, 3, 0));
    assert_eq!(mute.commands(), Vec::<String>::new());
    dispatcher.patience.attempt = Duration::from_secs(60);
    dispatcher.transport = to_scripted(&well);
    work(&dispatcher, after(5), after(3600)).await;
    assert_eq!(state_of_the_outbox(&dispatcher.ledger).await, "3 sent");
    assert_eq!(well.messages().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_was_sent_and_cannot_be_written_down_as_sent_is_not_sent_again() {
    let server = ScriptedSmtp::start(&[]).await;
    let (dispatcher, home) = dispatcher(to_scripted(&server)).await;
    let ledger = dispatcher.ledger.clone();
    post(&ledger, &confirmation("one", &["ops@example.com"])).await;
    // The disk is full just then: an attempt can be written down, its end cannot.
    let url = format!("sqlite://{}", home.path().join("ledger.db").display());
    let mut sql = SqliteConnection::connect(&url).await.unwrap();
    let full = "CREATE TRIGGER full BEFORE UPDATE ON outbox WHEN new.state = 'sent'
                BEGIN SELECT raise(ABORT, 'database or disk is full'); END";
    sqlx::raw_sql(full).execute(&mut sql).await.unwrap();

    let (_orders, current) = watch::channel(Arc::new(dispatcher));
    let (stop, stopped) = watch::channel(false);
    let (failed, mut fails) = watch::channel(0);
    let running = tokio::spawn(async move {
        let pulse = Pulse::new(Duration::ZERO);
        let passed = |pass: &Result<_, _>| {
            failed.send_modify(|failures| *failures += u32::from(pass.is_err()));
        };
        let clock = Clock::manual(after(0));
        Dispatcher::run(current, &clock, &Wake::default(), &pulse, stopped, passed).await
    });
    let often = fails.wait_for(|failures| *failures >= 3);
    tokio::time::timeout(Duration::from_secs(60), often)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(server.messages().len(), 1);
    sqlx::raw_sql("DROP TRIGGER full")
        .execute(&mut sql)
        .await
        .unwrap();
    let settled = async {
        while state_of_the_outbox(&ledger).await != "1 sent" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), settled)
        .await
        .unwrap();
    assert_eq!(server.messages().len(), 1);
    stop.send_replace(true);
    running.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_that_does_not_go_out_is_told_where_no_mail_is_needed() {
    let health = Health::new();
    let refusing: &[_] = &[("MAIL", Does::Says("451 4.7.1 come back \u{1b}[2Jlater"))];
    let server = ScriptedSmtp::start(refusing).await;
    let house = House::new(&format!(
        r#"{}{COMPANY}
[[mailbox]]
name = "einvoice"
kind = "maildir"
path = "@ROOT@/mail"
[mail]
from = "invoice-trackd <einvoice@example.com>"
confirm_to = ["ops@example.com"]
alert_to = ["oncall@example.com"]
[mail.smtp]
host = "127.0.0.1"
port = {}
tls = "none"
"#,
        health.configuration(),
        server.port(),
    ));
    maildir(&house.path("mail"));
    house.write("mail/new/1", Notice::default().eml());
    let systemd = Systemd::new(&house);
    let daemon = house.run(&[systemd.environment()]);
    house
        .until("health says so", || async {
            let (status, body) = health.ready();
            status == 200 && body.contains("mails put off: 1, since ")
        })
        .await;
    let (_, body) = health.ready();
    assert!(body.contains("451 4.7.1 come back"), "{body}");
    assert!(!body.contains('\u{1b}'), "{body:?}");
    systemd.until(|word| word.contains("needs attention; mails put off: 1, since "));
    let page = house.command(&["status"]);
    let page = String::from_utf8(page.stdout).unwrap();
    let first = page.lines().next().unwrap();
    assert!(first.contains("1 mail put off"), "{page}");
    assert!(page.contains("451 4.7.1 come back"), "{page}");
    assert!(
        house.log().contains("mail put off until"),
        "{}",
        house.log()
    );
    assert_eq!(daemon.terminate(Duration::from_secs(10)), Some(0));
}
