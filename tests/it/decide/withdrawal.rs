//! A range is taken out of use: it counts no more, people are told, and the record stays.

use invoice_trackd::{delivery::Handoff, ledger::OutboxState};

use super::*;

#[tokio::test]
async fn a_withdrawn_range_counts_no_more_and_people_are_told() {
    let desk = Desk::new().await;
    desk.take(whole(1, notice().eml())).await;
    let decision = because(now());
    let row = desk.intake.withdraw(1, &decision).await.unwrap().unwrap();
    assert_eq!(row.allocation.ban, ban());
    let rows = desk.ledger().allocations(AllocationFilter::default());
    assert_eq!(rows.await.unwrap()[0].withdrawn_at, Some(now()));
    let withdrawals = desk.ledger().withdrawals().await.unwrap();
    assert_eq!(withdrawals[&1].who, "amy");

    let lease = loop {
        let lease = desk
            .ledger()
            .lease(None, now(), now(), Timestamp::MAX)
            .await
            .unwrap()
            .unwrap();
        if lease.letter.message_id.contains(".withdrawal@") {
            break lease;
        }
    };
    let everybody: Vec<&str> = lease
        .letter
        .recipients
        .iter()
        .map(|to| to.as_str())
        .collect();
    assert_eq!(everybody, ["ops@example.com", "oncall@example.com"]);
    let mail = mail_parser::MessageParser::default()
        .parse(&lease.letter.eml)
        .unwrap();
    let text = mail.body_text(0).unwrap().into_owned();
    for told in ["EC 22628000-22634399", "amy", "compared with the platform"] {
        assert!(text.contains(told), "{text}");
    }

    let about = desk
        .sql("SELECT about FROM outbox WHERE kind = 'withdrawal'")
        .await;
    assert_eq!(about[0].get::<i64, _>(0), row.message_id);

    // What it stood in the way of is free, and so is the range itself.
    let overlapping = Notice {
        begin: 22_634_350,
        ..notice()
    };
    let taken = desk.take(whole(2, overlapping.eml())).await;
    assert_eq!(taken, Disposition::Imported);
}

#[tokio::test]
async fn a_system_is_told_of_a_withdrawal_what_the_table_says() {
    let mut desk = Desk::new().await;
    desk.take(whole(1, notice().eml())).await;
    desk.intake.style.as_mut().unwrap().handoffs = vec![Handoff {
        name: "erp".to_owned(),
        past: false,
    }];
    let at: Timestamp = "2026-01-20T04:00:00.123456789Z".parse().unwrap();
    desk.intake
        .withdraw(1, &because(at))
        .await
        .unwrap()
        .unwrap();
    let told = desk
        .sql(
            "SELECT eml ->> '$.timestamp', eml ->> '$.data.allocations[0].withdrawn_at' FROM
             (SELECT CAST(eml AS TEXT) AS eml FROM outbox WHERE kind = 'handoff')",
        )
        .await;
    for column in 0..2 {
        assert_eq!(told[0].get::<String, _>(column), "2026-01-20T04:00:00.123Z");
    }
}

#[tokio::test]
async fn a_withdrawn_range_can_be_granted_again() {
    let desk = Desk::new().await;
    desk.take(whole(1, notice().eml())).await;
    let withdrawn = desk.intake.withdraw(1, &because(now())).await;
    withdrawn.unwrap().unwrap();
    let again = Notice {
        message_id: "2@einvoice.nat.gov.tw",
        ..notice()
    };
    let taken = desk.take(whole(2, again.eml())).await;
    assert_eq!(taken, Disposition::Imported);
    assert_eq!(desk.tracks().await, ["EC", "EC"]);
}

#[tokio::test]
async fn a_range_is_withdrawn_once() {
    let desk = Desk::new().await;
    desk.take(whole(1, notice().eml())).await;
    let decision = because(now());
    let refusal = desk.intake.withdraw(2, &decision).await.unwrap();
    assert_eq!(refusal.unwrap_err(), Refusal::NoAllocation(2));
    desk.intake.withdraw(1, &decision).await.unwrap().unwrap();
    let before = desk.everything().await;
    let refusal = desk.intake.withdraw(1, &decision).await.unwrap();
    let sentence = refusal.unwrap_err().to_string();
    assert!(
        sentence.contains("withdrawn at 2026-01-20 12:00 (UTC+8)") && sentence.contains("amy"),
        "{sentence}"
    );
    assert_eq!(desk.everything().await, before);
}

#[tokio::test]
async fn a_withdrawal_without_its_letter_does_not_happen() {
    let desk = Desk::new().await;
    desk.take(whole(1, notice().eml())).await;
    desk.sql(
        "CREATE TRIGGER broken AFTER INSERT ON outbox BEGIN SELECT RAISE(ABORT, 'broken'); END",
    )
    .await;
    let before = desk.everything().await;
    let failed = desk.intake.withdraw(1, &because(now())).await;
    failed.unwrap_err();
    assert_eq!(desk.everything().await, before);
    let outbox = desk.ledger().outbox_counts().await.unwrap();
    assert_eq!(outbox[OutboxState::Pending.as_str()], 1);
}
