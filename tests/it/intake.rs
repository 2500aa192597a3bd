//! What becomes of messages as a batch on a real ledger, where bytes alone would mislead.

use invoice_trackd::{
    authenticity::Require,
    delivery::{Language, Style},
    intake::Intake,
    ledger::Ledger,
    mailbox::{Content, Origin, RawMessage},
    notice::{Disposition, Rules},
};
use jiff::Timestamp;

const HEADER: &str = "From: einvoice@einvoice.nat.gov.tw\r\n\
                      Subject: 電子發票配號結果通知\r\n\r\n";

fn now() -> Timestamp {
    "2026-01-20T04:00:00Z".parse().unwrap()
}

fn oversized(uidvalidity: u32, uid: u32, size: u64) -> RawMessage {
    RawMessage {
        origin: Origin::Imap {
            mailbox: "einvoice".to_owned(),
            uidvalidity,
            uid,
        },
        internal_date: Some(now()),
        size,
        content: Content::Oversized(HEADER.into()),
    }
}

#[tokio::test]
async fn two_large_mails_are_not_one_because_their_headers_are() {
    let home = tempfile::tempdir().unwrap();
    let intake = Intake {
        ledger: Ledger::open(&home.path().join("ledger.db"), now())
            .await
            .unwrap(),
        rules: Rules::default(),
        require: Require::None,
        style: Some(Style {
            language: Language::En,
            from: "invoice-trackd <einvoice@example.com>".parse().unwrap(),
            confirm_to: Vec::new(),
            alert_to: vec!["oncall@example.com".parse().unwrap()],
        }),
    };
    let batch = [
        oversized(7, 1, 2_000_000),
        oversized(7, 2, 3_000_000),
        // The same mail under a new UIDVALIDITY is nothing new.
        oversized(8, 1, 2_000_000),
    ];
    let outcomes = intake.take(&batch, None, now()).await.unwrap();
    for outcome in outcomes {
        assert_eq!(outcome.disposition, Disposition::Quarantined);
    }
    let waiting = intake.ledger.quarantine().await.unwrap();
    assert_eq!(waiting.len(), 2);
    let mut transaction = intake.ledger.begin().await.unwrap();
    assert_eq!(transaction.pending_alerts().await.unwrap().len(), 2);
}
