//! What keeps the asking within bounds: how much at once, by whichever clock, whatever fails, and
//! whoever else writes to the ledger.

use invoice_trackd::{
    intake::{Action, Place, Refusal},
    ledger::{Decision, Ledger},
    notice::{Disposition, Release},
};
use jiff::Timestamp;
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{Desk, after, answers, mail, signed, start};
use crate::support::{
    daemon::{Notice, notice},
    intake::intake,
    outbox::style,
    signer,
};

#[tokio::test]
async fn a_step_asks_about_fifty_at_most_and_the_longest_due_first() {
    let desk = Desk::new().await;
    let track = |n: u32| {
        let letter = |n: u32| char::from(b'A' + u8::try_from(n % 26).unwrap());
        format!("{}{}", letter(n / 26), letter(n))
    };
    let mails = (1..=120).map(|uid| mail(uid, signer::sign(&notice(&track(uid)))));
    let outcomes = desk.takes_all(mails.collect()).await;
    assert_eq!(outcomes.len(), 120);
    assert_eq!(desk.ledger().waiting().await.unwrap().unwrap().mails, 120);
    let uids = |from: u32, to: u32| (from..=to).map(|uid| (uid, Disposition::Waiting));
    assert_eq!(desk.asks(5).await, uids(1, 50).collect::<Vec<_>>());
    assert_eq!(desk.asks(5).await, uids(51, 100).collect::<Vec<_>>());
    assert_eq!(desk.asks(5).await, uids(101, 120).collect::<Vec<_>>());
    assert_eq!(desk.asks(5).await, []);
    // All of it is due at once where that is asked for.
    desk.ledger().ask_all_at(after(6)).await.unwrap();
    assert_eq!(desk.asks(6).await.len(), 50);
}

#[tokio::test]
async fn a_step_holds_no_more_than_about_16_mib_of_mail() {
    let mut desk = Desk::new().await;
    desk.intake.rules.max_message_bytes = 32 << 20;
    let padding = format!("{}\r\n", "x".repeat(998)).repeat(7_000);
    let mails = ["AA", "AB", "AC", "AD"].into_iter().zip(1..);
    for (track, uid) in mails {
        let eml = [notice(track), padding.clone().into_bytes()].concat();
        desk.takes(uid, signer::sign(&eml)).await;
    }
    // The third goes over it, and is not kept out by that.
    assert_eq!(desk.asks(5).await.len(), 3);
    assert_eq!(desk.asks(5).await.len(), 1);
}

#[tokio::test]
async fn a_clock_that_was_ahead_holds_nothing_up() {
    let desk = Desk::new().await;
    let day = 86_400;
    let ahead = [mail(1, signed())];
    let taken = desk.intake.take(&ahead, Place::default(), after(day)).await;
    assert_eq!(taken.unwrap()[0].disposition, Disposition::Waiting);
    assert_eq!(desk.asks(1).await, [(1, Disposition::Waiting)]);
    let wait = desk.message(1).await.wait.unwrap();
    assert_eq!((wait.since, wait.next_ask_at), (after(1), after(11)));
}

#[tokio::test]
async fn one_that_cannot_be_recorded_holds_up_no_other() {
    let desk = Desk::new().await;
    desk.takes(1, signer::sign(&notice("AA"))).await;
    desk.takes(2, signer::sign(&notice("AB"))).await;
    let refuses = "CREATE TRIGGER refuses BEFORE INSERT ON allocation
                   WHEN NEW.invoice_track = 'AA' BEGIN SELECT RAISE(ABORT, 'not this one'); END";
    desk.attempt(refuses).await.unwrap();
    answers(&desk.dns);
    assert_eq!(desk.asks(5).await, [(2, Disposition::Imported)]);
    let wait = desk.message(1).await.wait.unwrap();
    assert!(wait.words.contains("not this one"), "{wait:?}");
    assert_eq!((wait.asked, wait.next_ask_at), (2, after(15)));
    assert_eq!(desk.count("SELECT count(*) FROM evidence").await, 3);
    desk.attempt("DROP TRIGGER refuses").await.unwrap();
    assert_eq!(desk.asks(15).await, [(1, Disposition::Imported)]);
}

#[tokio::test]
async fn mail_of_which_nobody_knows_what_it_is_can_only_be_put_aside() {
    let desk = Desk::new().await;
    desk.takes(1, signed()).await;
    let decision = Decision {
        who: "ann",
        reason: "looks right",
        at: after(1),
    };
    let decide = async |action| {
        let decided = desk.intake.decide(&[1], action, &decision, |_| None, false);
        decided.await.unwrap().remove(0)
    };
    let release = Action::Release(Release::default());
    assert_eq!(decide(release).await, Err(Refusal::WaitsForResolver(1)));
    assert!(desk.message(1).await.wait.is_some());

    decide(Action::Dismiss).await.unwrap();
    let message = desk.message(1).await;
    assert_eq!((message.wait, message.dismissed_at), (None, Some(after(1))));
    assert_eq!(desk.ledger().waiting().await.unwrap(), None);
    answers(&desk.dns);
    assert_eq!(desk.asks(100).await, []);
    // The same bytes again are as this person has decided.
    assert_eq!(
        desk.takes(2, signed()).await.disposition,
        Disposition::Quarantined
    );
    assert_eq!(desk.ledger().quarantined().await.unwrap(), 0);

    // People err: nothing was proven, and that is what is overruled.
    decide(release).await.unwrap();
    let message = desk.message(1).await;
    assert_eq!(message.disposition, Disposition::Imported);
    assert_eq!(message.decisions[1].overruled, ["not_authenticated"]);
}

#[tokio::test]
async fn of_what_is_put_aside_unproven_no_more_is_kept_than_of_any_other() {
    let desk = Desk::new().await;
    let padding = "x\r\n".repeat(64 * 1024 / 3);
    let eml = signer::sign(&[Notice::default().eml(), padding.into_bytes()].concat());
    desk.takes(1, eml.clone()).await;
    assert_eq!(desk.message(1).await.raw.unwrap(), eml);
    let decision = Decision {
        who: "ann",
        reason: "no answer for a week",
        at: after(1),
    };
    let dismissing = desk
        .intake
        .decide(&[1], Action::Dismiss, &decision, |_| None, false);
    dismissing.await.unwrap().remove(0).unwrap();
    assert_eq!(desk.message(1).await.raw.unwrap(), eml[..64 * 1024]);
}

#[tokio::test]
async fn nothing_is_asked_about_that_does_not_wait_whoever_writes_to_the_ledger() {
    let desk = Desk::new().await;
    desk.takes(1, signed()).await;
    let dismissed = "UPDATE message SET disposition = 'quarantined' WHERE id = 1";
    desk.attempt(dismissed).await.unwrap();
    assert_eq!(desk.ledger().waiting().await.unwrap(), None);
    assert_eq!(desk.asks(100).await, []);
    let row = "INSERT INTO waiting (message_id, since, asked, asked_at, next_ask_at, words)
               SELECT id, received_at, 1, received_at, received_at, '' FROM message";
    let refusal = desk.attempt(row).await.unwrap_err();
    assert!(refusal.contains("only a message that waits"), "{refusal}");
    let without = "UPDATE message SET disposition = 'waiting', raw = NULL";
    desk.attempt(without).await.unwrap();
    assert!(desk.attempt(row).await.is_err());
    let whole = "UPDATE message SET raw = x'00'";
    desk.attempt(whole).await.unwrap();
    desk.attempt(row).await.unwrap();
}

#[tokio::test]
async fn what_waited_before_there_was_somebody_to_ask_is_asked_about() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("ledger.db");
    let frozen = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures-ledger/0003.sql"
    );
    let statements = std::fs::read_to_string(frozen).unwrap();
    let waits = "UPDATE message SET disposition = 'waiting' WHERE raw IS NOT NULL AND id = 2";
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .foreign_keys(false)
        .create_if_missing(true);
    let mut sql = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(statements + waits))
        .execute(&mut sql)
        .await
        .unwrap();
    sql.close().await.unwrap();
    let ledger = Ledger::open(&path, start()).await.unwrap();
    let waiting = ledger.waiting().await.unwrap().unwrap();
    assert_eq!((waiting.mails, waiting.since), (1, waiting.next_ask_at));
    let intake = intake(ledger, style());
    let outcomes = intake.ask_again(|_| Place::default(), Timestamp::MAX).await;
    let [outcome] = &outcomes.unwrap()[..] else {
        panic!("expected one message");
    };
    assert_ne!(outcome.disposition, Disposition::Waiting);
    assert_eq!(intake.ledger.waiting().await.unwrap(), None);
}
