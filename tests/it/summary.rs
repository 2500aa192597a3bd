//! A first run over an old mailbox: one mail for all of it, and only for what is old.

use invoice_trackd::{
    delivery::{Dispatcher, Transport, gather_past},
    intake::{Intake, Place},
    ledger::Past,
    mailbox::{Content, Origin, RawMessage},
    notice::Disposition,
};
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;

use crate::support::{
    daemon::Notice,
    intake::intake,
    outbox::{after, did, dispatcher, pass, start, subjects},
};

async fn first_run() -> (Intake, Dispatcher, TempDir, TempDir) {
    let sent = tempfile::tempdir().unwrap();
    let (dispatcher, home) = dispatcher(Transport::Directory(sent.path().to_owned())).await;
    let intake = intake(dispatcher.ledger.clone(), dispatcher.style.clone());
    (intake, dispatcher, home, sent)
}

fn in_mailbox(uid: u32) -> Origin {
    Origin::Imap {
        mailbox: "einvoice".to_owned(),
        uidvalidity: 7,
        uid,
    }
}

fn message(origin: Origin, internal_date: Timestamp, raw: Vec<u8>) -> RawMessage {
    RawMessage {
        origin,
        internal_date: Some(internal_date),
        size: raw.len() as u64,
        content: Content::Whole(raw),
    }
}

fn notice(track: &str, period: &str) -> Vec<u8> {
    Notice {
        track,
        period,
        ..Notice::default()
    }
    .eml()
}

fn forged() -> Vec<u8> {
    Notice {
        from: "einvoice@nat-gov.example",
        ..Notice::default()
    }
    .eml()
}

/// More than seven days before the ledger was created.
fn old() -> Timestamp {
    start() - SignedDuration::from_hours(7 * 24) - SignedDuration::from_secs(1)
}

#[tokio::test]
async fn all_old_mail_of_a_first_run_is_told_in_one_mail_when_all_has_been_seen() {
    let (intake, dispatcher, _home, sent) = first_run().await;
    let batch = [
        message(in_mailbox(1), old(), notice("EA", "107/01 - 107/02")),
        message(in_mailbox(2), old(), notice("EC", "107/05 - 107/06")),
        message(in_mailbox(3), old(), forged()),
        // The same bytes again are nobody's news.
        message(in_mailbox(4), old(), notice("EC", "107/05 - 107/06")),
    ];
    intake
        .take(&batch, Place::default(), after(0))
        .await
        .unwrap();
    assert_eq!(
        dispatcher.ledger.newest::<Past>().await.unwrap(),
        Some(after(0))
    );
    // It is not for a pass to say that all has been seen.
    let nothing = dispatcher.run_once(after(24 * 3600)).await.unwrap();
    assert_eq!((did(&nothing), nothing.next), (pass(0, 0, 0), None));

    assert!(
        gather_past(&dispatcher.ledger, &dispatcher.style, after(10))
            .await
            .unwrap()
    );
    assert_eq!(dispatcher.ledger.newest::<Past>().await.unwrap(), None);
    assert_eq!(
        did(&dispatcher.run_once(after(10)).await.unwrap()),
        pass(1, 0, 0)
    );
    assert_eq!(
        subjects(sent.path()),
        ["首次掃描：舊通知已記錄 2 封，隔離 1 封"]
    );
    assert!(
        !gather_past(&dispatcher.ledger, &dispatcher.style, after(11))
            .await
            .unwrap()
    );

    // A mailbox that was away at first brings a letter of its own later.
    let late = message(in_mailbox(5), old(), notice("ED", "107/05 - 107/06"));
    intake
        .take(&[late], Place::default(), after(20))
        .await
        .unwrap();
    assert!(
        gather_past(&dispatcher.ledger, &dispatcher.style, after(30))
            .await
            .unwrap()
    );
    dispatcher.run_once(after(30)).await.unwrap();
    assert_eq!(subjects(sent.path()).len(), 2);
}

#[tokio::test]
async fn what_is_not_old_or_was_named_by_the_operator_is_told_as_ever() {
    let (intake, dispatcher, _home, sent) = first_run().await;
    let week = start() - SignedDuration::from_hours(7 * 24);
    let file = Origin::File {
        path: "/srv/old.eml".to_owned(),
    };
    let mut unknown = message(in_mailbox(3), old(), notice("EE", "107/05 - 107/06"));
    unknown.internal_date = None;
    let batch = [
        message(in_mailbox(1), week, notice("EC", "107/05 - 107/06")),
        message(file, old(), notice("ED", "107/05 - 107/06")),
        unknown,
        message(in_mailbox(2), week, forged()),
    ];
    let outcomes = intake
        .take(&batch, Place::default(), after(0))
        .await
        .unwrap();
    assert_eq!(outcomes[3].disposition, Disposition::Quarantined);
    assert!(
        !gather_past(&dispatcher.ledger, &dispatcher.style, after(1))
            .await
            .unwrap()
    );
    let made = dispatcher.run_once(after(1)).await.unwrap();
    assert_eq!(did(&made), pass(4, 0, 0));
    let subjects = subjects(sent.path());
    assert!(
        subjects.iter().all(|subject| !subject.contains("首次掃描")),
        "{subjects:?}"
    );
}

#[tokio::test]
async fn a_maildir_has_a_past_as_well() {
    let (intake, dispatcher, _home, _sent) = first_run().await;
    let origin = Origin::Maildir {
        mailbox: "einvoice".to_owned(),
        file: "1.host".to_owned(),
    };
    let batch = [message(origin, old(), notice("EC", "107/05 - 107/06"))];
    intake
        .take(&batch, Place::default(), after(0))
        .await
        .unwrap();
    assert!(
        gather_past(&dispatcher.ledger, &dispatcher.style, after(1))
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn a_summary_waits_for_somebody_to_be_told() {
    let (intake, mut dispatcher, _home, _sent) = first_run().await;
    let batch = [message(in_mailbox(1), old(), forged())];
    intake
        .take(&batch, Place::default(), after(0))
        .await
        .unwrap();
    let style = dispatcher.style.clone();
    dispatcher.style.confirm_to.clear();
    dispatcher.style.alert_to.clear();
    assert!(
        !gather_past(&dispatcher.ledger, &dispatcher.style, after(1))
            .await
            .unwrap()
    );
    dispatcher.style = style;
    assert!(
        gather_past(&dispatcher.ledger, &dispatcher.style, after(2))
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn a_ledger_that_a_clock_ahead_has_dated_makes_no_new_mail_old() {
    let (intake, dispatcher, _home, _sent) = first_run().await;
    let day = |days: i64| SignedDuration::from_hours(24 * days);
    // The clock was ten years ahead when the ledger was created, and is right now.
    let now = start() - day(3_650);
    let table = [
        ("EA", now),
        ("EB", now - day(7)),
        ("EC", now - day(8)),
        // A server's clock that is a little ahead proves nothing.
        ("ED", now + day(1)),
    ];
    assert_eq!(old_ones(&intake, &dispatcher, &table, now).await, ["EC"]);
}

#[tokio::test]
async fn a_clock_that_is_behind_makes_no_old_mail_new() {
    let (intake, dispatcher, _home, _sent) = first_run().await;
    let day = |days: i64| SignedDuration::from_hours(24 * days);
    // Mail from the future: it is the clock that is wrong, not the ledger's date.
    let now = Timestamp::UNIX_EPOCH;
    let table = [
        ("EA", start()),
        ("EB", start() - day(7)),
        ("EC", start() - day(8)),
        ("ED", start() - day(800)),
    ];
    let old = old_ones(&intake, &dispatcher, &table, now).await;
    assert_eq!(old, ["EC", "ED"]);
}

/// Takes a notice in for each track, and returns those that are told as old mail.
async fn old_ones(
    intake: &Intake,
    dispatcher: &Dispatcher,
    table: &[(&'static str, Timestamp)],
    now: Timestamp,
) -> Vec<&'static str> {
    let mut old = Vec::new();
    for (uid, (track, date)) in (1..).zip(table) {
        let before = past(dispatcher).await;
        let mail = message(in_mailbox(uid), *date, notice(track, "107/05 - 107/06"));
        intake.take(&[mail], Place::default(), now).await.unwrap();
        old.extend((past(dispatcher).await > before).then_some(*track));
    }
    old
}

async fn past(dispatcher: &Dispatcher) -> usize {
    let mut transaction = dispatcher.ledger.begin().await.unwrap();
    transaction.pending::<Past>().await.unwrap().len()
}
