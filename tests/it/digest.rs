//! `confirm = "digest"`: what a window brings is confirmed in one mail.

use std::{fs, path::Path};

use invoice_trackd::{
    delivery::{Confirm, Dispatcher, Transport},
    intake::{Intake, Place},
    ledger::Import,
    mailbox::{Content, Origin, RawMessage},
};
use jiff::Timestamp;
use sqlx::{Connection, SqliteConnection};
use tempfile::TempDir;

use crate::support::{
    daemon::{COMPANY, House, MAIL, Notice},
    intake::intake,
    outbox::{after, did, dispatcher, pass},
};

const MINUTE: i64 = 60;
const HOUR: i64 = 3600;

/// An intake and a dispatcher on one ledger, whose letters become files in the second directory.
async fn digests() -> (Intake, Dispatcher, TempDir, TempDir) {
    let sent = tempfile::tempdir().unwrap();
    let (mut dispatcher, home) = dispatcher(Transport::Directory(sent.path().to_owned())).await;
    dispatcher.style.confirm = Confirm::Digest;
    let intake = intake(dispatcher.ledger.clone(), dispatcher.style.clone());
    (intake, dispatcher, home, sent)
}

async fn arrives(intake: &Intake, uid: u32, track: &str, now: Timestamp) {
    let raw = Notice {
        track,
        ..Notice::default()
    }
    .eml();
    let message = RawMessage {
        origin: Origin::Imap {
            mailbox: "einvoice".to_owned(),
            uidvalidity: 7,
            uid,
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

/// Subject, text and attached file of each mail, in the order of their subjects.
fn mails(directory: &Path) -> Vec<(String, String, String)> {
    let mut mails: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| {
            let eml = fs::read(entry.unwrap().path()).unwrap();
            let mail = mail_parser::MessageParser::default().parse(&eml).unwrap();
            let file = mail.attachment(0).map(|file| file.contents().to_vec());
            (
                mail.subject().unwrap().to_owned(),
                mail.body_text(0).unwrap().into_owned(),
                String::from_utf8(file.unwrap_or_default()).unwrap(),
            )
        })
        .collect();
    mails.sort();
    mails
}

async fn waiting(dispatcher: &Dispatcher) -> usize {
    let mut transaction = dispatcher.ledger.begin().await.unwrap();
    transaction.pending::<Import>().await.unwrap().len()
}

#[tokio::test]
async fn what_an_hour_brings_is_one_mail_and_what_comes_later_another() {
    let (intake, dispatcher, _home, sent) = digests().await;
    arrives(&intake, 1, "EC", after(0)).await;
    arrives(&intake, 2, "ED", after(10 * MINUTE)).await;
    let early = dispatcher.run_once(after(HOUR - 1)).await.unwrap();
    assert_eq!(
        (did(&early), early.next),
        (pass(0, 0, 0), Some(after(HOUR)))
    );
    let due = dispatcher.run_once(after(HOUR)).await.unwrap();
    assert_eq!((did(&due), due.next), (pass(1, 0, 0), None));
    let [(subject, text, file)] = &mails(sent.path())[..] else {
        panic!("expected one mail");
    };
    assert!(subject.starts_with("已匯入 2 段字軌"), "{subject}");
    for track in ["EC  22628000-22634399", "ED  22628000-22634399"] {
        assert!(text.contains(track), "{text}");
    }
    assert_eq!(file.lines().count(), 3, "{file}");

    // The next window begins with the next notice: an hour lies between two mails at least.
    arrives(&intake, 3, "EE", after(HOUR + 1)).await;
    let waits = dispatcher.run_once(after(HOUR + 1)).await.unwrap();
    assert_eq!(
        (did(&waits), waits.next),
        (pass(0, 0, 0), Some(after(2 * HOUR + 1)))
    );
    let due = dispatcher.run_once(after(2 * HOUR + 1)).await.unwrap();
    assert_eq!(did(&due), pass(1, 0, 0));
    assert_eq!(mails(sent.path()).len(), 2);
}

#[tokio::test]
async fn what_was_withdrawn_meanwhile_is_left_out_and_said() {
    let (intake, dispatcher, home, sent) = digests().await;
    arrives(&intake, 1, "EC", after(0)).await;
    arrives(&intake, 2, "ED", after(1)).await;
    let url = format!("sqlite://{}", home.path().join("ledger.db").display());
    let mut sql = SqliteConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("UPDATE allocation SET withdrawn_at = imported_at WHERE invoice_track = 'ED'")
        .execute(&mut sql)
        .await
        .unwrap();
    sql.close().await.unwrap();
    dispatcher.run_once(after(HOUR)).await.unwrap();
    let (subject, text, file) = mails(sent.path()).remove(0);
    assert!(subject.starts_with("已匯入 1 段字軌"), "{subject}");
    let (above, below) = text.split_once("已撤回 1 段").unwrap();
    assert!(!above.contains("ED") && below.contains("ED"), "{text}");
    assert!(!file.contains("ED"), "{file}");
}

#[tokio::test]
async fn a_notice_that_comes_while_a_pass_begins_waits_for_its_window() {
    let (intake, dispatcher, _home, _sent) = digests().await;
    arrives(&intake, 1, "EC", after(10)).await;
    let pass = dispatcher.run_once(after(9)).await.unwrap();
    assert_eq!((did(&pass), pass.next), ((0, 0, 0), Some(after(HOUR + 10))));
}

#[tokio::test]
async fn a_clock_set_back_does_not_hold_a_digest() {
    let (intake, dispatcher, _home, _sent) = digests().await;
    arrives(&intake, 1, "EC", after(1000 * HOUR)).await;
    let back = dispatcher.run_once(after(0)).await.unwrap();
    assert_eq!((did(&back), back.next), (pass(1, 0, 0), None));
}

#[tokio::test]
async fn a_digest_goes_out_although_digests_are_no_longer_wanted() {
    let (intake, mut dispatcher, _home, _sent) = digests().await;
    arrives(&intake, 1, "EC", after(0)).await;
    dispatcher.style.confirm = Confirm::Each;
    let due = dispatcher.run_once(after(HOUR)).await.unwrap();
    assert_eq!(did(&due), pass(1, 0, 0));
}

#[tokio::test]
async fn with_nobody_to_confirm_to_nothing_waits() {
    let (mut intake, dispatcher, _home, _sent) = digests().await;
    intake.style.as_mut().unwrap().confirm_to.clear();
    arrives(&intake, 1, "EC", after(0)).await;
    assert_eq!(waiting(&dispatcher).await, 0);
}

#[test]
fn a_command_without_a_daemon_does_not_leave_its_digest_behind() {
    let house = House::with_mail(COMPANY);
    house.configure(&format!("{COMPANY}{MAIL}confirm = \"digest\"\n"));
    for track in ["EC", "ED", "EE"] {
        let notice = Notice {
            track,
            ..Notice::default()
        };
        house.write(&format!("in/{track}.eml"), notice.eml());
    }
    let output = house.command(&["ingest", house.path("in").to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    let [(subject, _, file)] = &mails(&house.path("sent"))[..] else {
        panic!("expected one mail");
    };
    assert!(subject.starts_with("已匯入 3 段字軌"), "{subject}");
    assert_eq!(file.lines().count(), 4, "{file}");
}
