//! What the keeper says of how things stand, and when.

use super::*;
use crate::{
    delivery::{Confirm, Language},
    ledger::{Kind, Letter, Settled},
    notice::{Companies, Company},
};

#[test]
fn all_is_well_only_where_nobody_has_to_look() {
    let now = Clock::System.now();
    let mut vitals = Vitals::default();
    vitals.mailboxes.insert("one".to_owned(), Signs::default());
    vitals.mailboxes.insert("two".to_owned(), Signs::default());
    let mut found = Found {
        quarantined: 0,
        waiting: None,
        mail: Mail::default(),
    };
    let well = "all is well, 2 mailboxes watched";
    assert_eq!(status(&vitals, &[], Some(&found), now), well);
    found.mail.failed = 3;
    assert_eq!(
        status(&vitals, &[], Some(&found), now),
        "needs attention; mails undeliverable: 3"
    );
    found.mail.failed = 0;
    found.waiting = Some(WaitingMail {
        mails: 2,
        since: now,
        words: "no answer".to_owned(),
    });
    assert_eq!(
        status(&vitals, &[], Some(&found), now),
        format!("needs attention; mails waiting for DNS: 2, since {now:.0}: no answer")
    );
    found.waiting = None;
    found.quarantined = 2;
    vitals.overdue = 5;
    assert_eq!(
        status(&vitals, &[], Some(&found), now),
        "needs attention; notices overdue: 5; in quarantine: 2"
    );
    vitals.overdue = 0;
    // Where the ledger fails, it may not even say what it holds.
    vitals.misses_ledger(Part::Dispatcher(None), "disk I/O error".to_owned(), now);
    assert_eq!(
        status(&vitals, &[], None, now),
        format!("needs attention; the ledger cannot be written to since {now:.0}: disk I/O error")
    );
}

#[tokio::test]
async fn the_line_for_systemctl_names_what_needs_a_person() {
    let home = tempfile::tempdir().unwrap();
    let clock = Clock::System;
    let now = clock.now();
    let ledger = Ledger::open(&home.path().join("ledger.db"), now)
        .await
        .unwrap();
    let vitals = watch::Sender::new(Vitals::default());
    let keeper = Keeper::new(ledger.clone(), clock, Wake::default(), vitals.clone());
    let line = async |now| {
        let found = keeper.find().await.unwrap();
        status(&vitals.borrow().clone(), &[], Some(&found), now)
    };
    let hears = |signs: Signs| {
        vitals.send_modify(|vitals| _ = vitals.mailboxes.insert("einvoice".to_owned(), signs));
    };
    let alive = Signs {
        last_ok: Some(now),
        ..Signs::default()
    };
    hears(alive);
    let well = "all is well, 1 mailbox watched";
    assert_eq!(line(now).await, well);

    let letter = Letter {
        kind: Kind::Confirmation,
        message_id: "<1@example.com>".to_owned(),
        recipients: vec!["ops@example.com".parse().unwrap()],
        subject: String::new(),
        eml: Vec::new(),
    };
    let mut transaction = ledger.begin().await.unwrap();
    transaction.post(&letter, None, now).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(line(now).await, well);
    for (settled, expected) in [
        (
            Settled::Deferred {
                next: now,
                recipients: letter.recipients.clone(),
                refused: Vec::new(),
                answer: "451 later".to_owned(),
            },
            format!("needs attention; mails put off: 1, since {now:.0}: 451 later"),
        ),
        (
            Settled::Failed {
                answer: "550 no".to_owned(),
            },
            "needs attention; mails undeliverable: 1".to_owned(),
        ),
    ] {
        let lease = ledger.lease(None, now, now, now).await.unwrap().unwrap();
        ledger.settle(&lease, &settled, now).await.unwrap();
        assert_eq!(line(now).await, expected);
    }

    hears(Signs {
        failing_since: Some(now),
        ..alive
    });
    let failing = line(now).await;
    assert!(
        failing.starts_with("needs attention; mailbox down: einvoice; "),
        "{failing}"
    );
    hears(alive);
    let later = now + MAILBOX_SILENCE + SignedDuration::from_secs(1);
    let silent = line(later).await;
    assert!(silent.contains("mailbox down: einvoice"), "{silent}");
}

#[tokio::test]
async fn a_trouble_is_written_down_before_the_minute_is_over() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("ledger.db");
    let clock = Clock::System;
    let now = clock.now();
    let lock = Arc::new(Ledger::lock(&path).unwrap());
    let ledger = Ledger::open(&path, now).await.unwrap();
    let vitals = watch::Sender::new(Vitals::default());
    let mut keeper = Keeper::new(ledger, clock, Wake::default(), vitals.clone());
    keeper.writes_notes(lock);
    let style = Style {
        language: Language::En,
        from: "a@example.com".parse().unwrap(),
        confirm_to: Vec::new(),
        alert_to: Vec::new(),
        confirm: Confirm::default(),
        handoffs: Vec::new(),
    };
    let (_style, style) = watch::channel(Arc::new(style));
    let (_stop, stopped) = watch::channel(false);
    let (look, pulse) = (Notify::new(), Pulse::new(Duration::ZERO));
    let until = async |is_noted: bool| {
        let trouble = || Ledger::daemon(&path).unwrap().trouble;
        while trouble().is_some() != is_noted {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let noted = async {
        let mut looked = vitals.subscribe();
        looked.wait_for(|v| v.ledger.is_some()).await.unwrap();
        // So that the looks at the start, which something may have called for, are over.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let two = || Part::Mailbox("two".to_owned());
        vitals.send_modify(|v| v.misses_ledger(two(), "disk I/O error".to_owned(), now));
        until(true).await;
        vitals.send_modify(|v| _ = v.ledger_troubles.remove(&two()));
        until(false).await;
    };
    tokio::select! {
        _ = keeper.run(style, &look, &pulse, stopped) => panic!("it has ended"),
        noted = tokio::time::timeout(MINUTE / 2, noted) => noted.unwrap(),
    }
}

#[tokio::test]
async fn a_look_at_which_nothing_is_told_waits_for_nobody_who_writes() {
    let home = tempfile::tempdir().unwrap();
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let ledger = Ledger::open(&home.path().join("ledger.db"), at("2026-05-05T01:00:00Z"))
        .await
        .unwrap();
    let company = Company::new("53567686".parse().unwrap(), "one");
    let expected = Expectations {
        companies: Companies::new(vec![company]).unwrap(),
        ..Expectations::default()
    };
    let vitals = Vitals::default();
    let told = due::look(&ledger, &expected, &vitals, at("2026-06-26T02:00:00Z"));
    assert!(told.await.unwrap().has_told);
    let writing = ledger.begin().await.unwrap();
    let silent = due::look(&ledger, &expected, &vitals, at("2026-06-26T02:01:00Z"));
    // Far less than a writer waits for another.
    let silent = tokio::time::timeout(Duration::from_secs(20), silent).await;
    let look = silent.unwrap().unwrap();
    assert_eq!((look.overdue, look.has_told), (1, false));
    drop(writing);
}
