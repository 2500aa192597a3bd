//! What becomes of messages as a batch on a real ledger: as a whole or not at all, told of once,
//! and by more than their bytes where bytes alone would mislead.

use invoice_trackd::{
    intake::{Intake, Place},
    ledger::{AllocationFilter, Cause, Ledger},
    mailbox::{Content, Origin, RawMessage, Want},
    notice::Disposition,
};
use jiff::Timestamp;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use tempfile::TempDir;

use crate::support::{daemon::Notice, intake, outbox::style};

const HEADER: &str = "From: einvoice@einvoice.nat.gov.tw\r\n\
                      Subject: 電子發票配號結果通知\r\n\r\n";

fn now() -> Timestamp {
    "2026-01-20T04:00:00Z".parse().unwrap()
}

fn imap(uidvalidity: u32, uid: u32) -> Origin {
    Origin::Imap {
        mailbox: "einvoice".to_owned(),
        uidvalidity,
        uid,
    }
}

fn oversized(uidvalidity: u32, uid: u32, size: u64) -> RawMessage {
    RawMessage {
        origin: imap(uidvalidity, uid),
        internal_date: Some(now()),
        size,
        content: Content::Oversized(HEADER.into()),
    }
}

fn whole(uid: u32, raw: Vec<u8>) -> RawMessage {
    RawMessage {
        origin: imap(7, uid),
        internal_date: Some(now()),
        size: raw.len() as u64,
        content: Content::Whole(raw),
    }
}

fn forged() -> Vec<u8> {
    let from = "einvoice@nat-gov.example";
    Notice {
        from,
        ..Notice::default()
    }
    .eml()
}

/// An intake on a new ledger, for the company that [`Notice`] names.
async fn intake() -> (Intake, TempDir) {
    let home = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&home.path().join("ledger.db"), now())
        .await
        .unwrap();
    (intake::intake(ledger, style()), home)
}

/// Another program makes the next row of `table` fail, or ends that.
async fn break_table(home: &TempDir, statement: &str) {
    let url = format!("sqlite://{}", home.path().join("ledger.db").display());
    let mut sql = SqliteConnection::connect(&url).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
        .execute(&mut sql)
        .await
        .unwrap();
    sql.close().await.unwrap();
}

/// The letter that is due, read as its recipient reads it: subject and text.
async fn letter(ledger: &Ledger) -> (String, String) {
    let lease = ledger
        .lease(None, now(), now(), Timestamp::MAX)
        .await
        .unwrap();
    let eml = lease.expect("no letter is due").letter.eml;
    let mail = mail_parser::MessageParser::default().parse(&eml).unwrap();
    let text = mail.body_text(0).unwrap().into_owned();
    (mail.subject().unwrap().to_owned(), text)
}

#[tokio::test]
async fn a_batch_that_fails_at_its_last_mail_has_recorded_and_told_nothing() {
    let ed = Notice {
        track: "ED",
        ..Notice::default()
    };
    let batch = [
        whole(1, Notice::default().eml()),
        whole(2, ed.eml()),
        whole(3, forged()),
    ];
    // The alert is the last thing written for the last mail, the second letter that for the second.
    for fails in [
        "AFTER INSERT ON news",
        "AFTER INSERT ON outbox WHEN NEW.id > 1",
    ] {
        let (intake, home) = intake().await;
        let trigger =
            format!("CREATE TRIGGER broken {fails} BEGIN SELECT RAISE(ABORT, 'broken'); END");
        break_table(&home, &trigger).await;
        intake
            .take(&batch, Place::default(), now())
            .await
            .unwrap_err();
        let ledger = &intake.ledger;
        let all = ledger.allocations(AllocationFilter::default());
        assert_eq!(all.await.unwrap(), [], "{fails}");
        assert!(ledger.counts().await.unwrap().values().all(|n| *n == 0));
        let outbox = ledger.outbox_counts().await.unwrap();
        assert!(outbox.values().all(|n| *n == 0), "{fails}: {outbox:?}");

        break_table(&home, "DROP TRIGGER broken").await;
        assert_eq!(
            intake
                .take(&batch, Place::default(), now())
                .await
                .unwrap()
                .len(),
            3
        );
        assert_eq!(ledger.outbox_counts().await.unwrap()["pending"], 2);
    }
}

#[tokio::test]
async fn a_confirmation_says_whose_what_was_known_and_what_to_heed() {
    let (intake, _home) = intake().await;
    let first = whole(1, Notice::default().eml());
    intake
        .take(&[first], Place::default(), now())
        .await
        .unwrap();
    let (subject, text) = letter(&intake.ledger).await;
    assert!(subject.contains("EC 22628000-22634399"), "{subject}");
    assert!(text.contains("雲端行動科技股份有限公司"), "{text}");
    assert!(text.contains("已經過期"), "{text}");

    // The same range and one more: only that one is new, and both are told of.
    let more = String::from_utf8(Notice::default().eml()).unwrap()
        + "字軌名稱：ED\r\n發票期別：107/05 - 107/06\r\n發票類別：一般稅額計算\r\n\
           申請本數：0\r\n增加本數：1\r\n發票起號：00000000\r\n發票迄號：00000049\r\n";
    let more = whole(2, more.into_bytes());
    let outcomes = intake.take(&[more], Place::default(), now()).await.unwrap();
    assert_eq!(outcomes[0].disposition, Disposition::Imported);
    assert_eq!(outcomes[0].recorded.len(), 1);
    // The first letter is being sent.
    let (subject, text) = letter(&intake.ledger).await;
    assert!(subject.contains("ED 00000000-00000049"), "{subject}");
    assert!(text.contains("22628000"), "{text}");
}

#[tokio::test]
async fn an_alert_is_known_by_the_mail_and_not_by_its_row() {
    let mut keys = Vec::new();
    for before in [vec![], vec![whole(1, Notice::default().eml())]] {
        let (intake, _home) = intake().await;
        intake.take(&before, Place::default(), now()).await.unwrap();
        intake
            .take(&[whole(2, forged())], Place::default(), now())
            .await
            .unwrap();
        let mut transaction = intake.ledger.begin().await.unwrap();
        let alerts = transaction.pending::<Cause>().await.unwrap();
        keys.extend(alerts.into_iter().map(|alert| alert.key));
    }
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[0], keys[1]);
}

#[tokio::test]
async fn the_header_and_the_size_decide_what_is_fetched() {
    let (intake, _home) = intake().await;
    let limit = intake.rules.max_message_bytes;
    assert_eq!(intake.gate(HEADER.as_bytes(), limit), Want::Whole);
    assert_eq!(intake.gate(HEADER.as_bytes(), limit + 1), Want::TooLarge);
    let lunch = b"From: a@b.example\r\nSubject: lunch\r\n\r\n";
    assert_eq!(intake.gate(lunch, limit + 1), Want::Nothing);
}

#[tokio::test]
async fn two_large_mails_are_not_one_because_their_headers_are() {
    let (intake, _home) = intake().await;
    let batch = [
        oversized(7, 1, 2_000_000),
        oversized(7, 2, 3_000_000),
        // The same mail under a new UIDVALIDITY is nothing new.
        oversized(8, 1, 2_000_000),
    ];
    let outcomes = intake.take(&batch, Place::default(), now()).await.unwrap();
    for outcome in outcomes {
        assert_eq!(outcome.disposition, Disposition::Quarantined);
    }
    let waiting = intake.ledger.quarantine().await.unwrap();
    assert_eq!(waiting.len(), 2);
    let mut transaction = intake.ledger.begin().await.unwrap();
    assert_eq!(transaction.pending::<Cause>().await.unwrap().len(), 2);
}
