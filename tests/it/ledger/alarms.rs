//! What people were told is due, and how many booklets a company has.

use std::collections::BTreeMap;

use invoice_trackd::{
    notice::{Ban, Period},
    schedule::Booklets,
};

use super::*;

fn ban() -> Ban {
    BAN.parse().unwrap()
}

fn period(text: &str) -> Period {
    text.parse().unwrap()
}

fn call(awaited: &str, stage: Stage, missing: &[&str]) -> Call {
    Call {
        awaited: awaited.parse().unwrap(),
        stage,
        missing: missing.iter().map(|one| period(one)).collect(),
        due_by: "2026-12-25".parse().unwrap(),
    }
}

async fn tell(ledger: &Ledger, ban: Ban, call: &Call, now: Timestamp) {
    let mut transaction = ledger.begin().await.unwrap();
    transaction.set_told(ban, call, now).await.unwrap();
    transaction.commit().await.unwrap();
}

/// What the only company is told of, as a look in `running` sees it.
async fn alarms(ledger: &Ledger, running: &str) -> BTreeMap<Awaited, Alarm> {
    let mut transaction = ledger.begin().await.unwrap();
    let mut alarms = transaction.alarms(period(running)).await.unwrap();
    let of_one = alarms.remove(&ban()).unwrap_or_default();
    assert!(alarms.is_empty(), "{alarms:?}");
    of_one
}

async fn names(ledger: &Ledger, running: &str) -> Vec<String> {
    let alarms = alarms(ledger, running).await;
    alarms.keys().map(ToString::to_string).collect()
}

#[tokio::test]
async fn what_was_told_is_kept_with_its_latest_stage_and_what_was_missing() {
    let scratch = Scratch::new();
    let ledger = scratch.open().await;
    let mut expected = Alarm {
        stage: Stage::Reminder,
        missing: vec![period("11602")],
        told_at: noon(),
        came_at: None,
    };
    let reminder = call("11602", Stage::Reminder, &["11602"]);
    tell(&ledger, ban(), &reminder, noon()).await;
    let awaited = reminder.awaited;
    let now = noon() + 1.hour();
    assert_eq!(alarms(&ledger, "11512").await[&awaited], expected);
    assert!(!expected.is_open(), "nothing has been missed");

    // Told on, over a restart.
    ledger.close().await;
    let ledger = scratch.open().await;
    let overdue = call("11602", Stage::Overdue, &["11602"]);
    tell(&ledger, ban(), &overdue, now).await;
    (expected.stage, expected.told_at) = (Stage::Overdue, now);
    assert!(expected.is_open());
    assert_eq!(
        alarms(&ledger, "11512").await,
        [(awaited, expected.clone())].into()
    );

    // It has come, and is withdrawn and missed again.
    let mut transaction = ledger.begin().await.unwrap();
    transaction.set_come(ban(), awaited, now).await.unwrap();
    transaction.commit().await.unwrap();
    expected.came_at = Some(now);
    assert!(!expected.is_open());
    assert_eq!(alarms(&ledger, "11512").await[&awaited], expected);
    tell(
        &ledger,
        ban(),
        &call("11602", Stage::LastDay, &["11602"]),
        now,
    )
    .await;
    (expected.stage, expected.came_at) = (Stage::LastDay, None);
    assert_eq!(alarms(&ledger, "11512").await[&awaited], expected);

    // A clock was wrong.
    let mut transaction = ledger.begin().await.unwrap();
    transaction.forget_told(ban(), awaited).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(alarms(&ledger, "11512").await, BTreeMap::new());
}

#[tokio::test]
async fn what_is_still_missing_of_a_year_is_written_down_without_telling() {
    let scratch = Scratch::new();
    let ledger = scratch.open().await;
    let missing = ["11602", "11610", "11612"];
    tell(
        &ledger,
        ban(),
        &call("116", Stage::Overdue, &missing),
        noon(),
    )
    .await;
    let mut transaction = ledger.begin().await.unwrap();
    let rest = [period("11610"), period("11612")];
    let year = Awaited::Year(116);
    transaction.set_missing(ban(), year, &rest).await.unwrap();
    transaction.commit().await.unwrap();
    let alarm = &alarms(&ledger, "11512").await[&year];
    assert_eq!(alarm.missing, rest);
    assert_eq!((alarm.stage, alarm.told_at), (Stage::Overdue, noon()));
}

#[tokio::test]
async fn what_is_long_over_is_not_read_and_what_is_ahead_is() {
    let scratch = Scratch::new();
    let ledger = scratch.open().await;
    for (awaited, stage) in [
        ("11410", Stage::FirstDay),
        ("115", Stage::FirstDay),
        ("11510", Stage::Reminder),
        ("11512", Stage::Reminder),
        ("11602", Stage::Reminder),
        ("116", Stage::Overdue),
        ("11604", Stage::FirstDay),
        ("126", Stage::FirstDay),
        ("12602", Stage::Reminder),
    ] {
        tell(&ledger, ban(), &call(awaited, stage, &["11512"]), noon()).await;
    }
    let ahead = ["11602", "11604", "12602", "116", "126"];
    // Open alarms of the ROC year before, reminders of none that is over.
    let expected = [&["11410", "11512"], &ahead[..3], &["115"], &ahead[3..]].concat();
    assert_eq!(names(&ledger, "11512").await, expected);
    let expected = [&ahead[..3], &["115"], &ahead[3..]].concat();
    assert_eq!(names(&ledger, "11602").await, expected);
    assert_eq!(
        names(&ledger, "11604").await,
        ["11604", "12602", "115", "116", "126"]
    );
    assert_eq!(
        names(&ledger, "11702").await,
        ["11604", "12602", "116", "126"]
    );
    assert_eq!(names(&ledger, "11802").await, ["12602", "126"]);
    assert_eq!(
        names(&ledger, "05912").await.len(),
        9,
        "in 1970 all lie ahead"
    );
}

#[tokio::test]
async fn booklets_are_those_in_force_of_all_types_and_tracks() {
    let scratch = Scratch::new();
    let ledger = scratch.open().await;
    let other: Ban = "24634102".parse().unwrap();
    let general = |ban: Ban, year_month, track, begin, end| {
        allocation(ban.as_str(), year_month, track, begin, end)
    };
    let mut special = general(ban(), "11512", "EC", "00000100", "00000149");
    special.block.invoice_type = InvoiceType::Special;
    let granted = [
        general(ban(), "11512", "EA", "00000000", "00000499"),
        general(ban(), "11512", "EB", "00000000", "00000049"),
        special,
        general(ban(), "11602", "ED", "00000000", "00000049"),
        general(other, "11512", "EA", "00000500", "00000549"),
        general(other, "11510", "EE", "00000000", "00000049"),
    ];
    record(&ledger, &Mail::granting(imap(1), &granted)).await;
    let of_both = async |first: &str| {
        let first = period(first);
        let seen = ledger.booklets(first).await.unwrap();
        let mut transaction = ledger.begin().await.unwrap();
        assert_eq!(transaction.booklets(first).await.unwrap(), seen);
        let of_one = |ban: &Ban| -> Booklets { seen.get(ban).cloned().unwrap_or_default() };
        (of_one(&ban()), of_one(&other))
    };
    let (one, two) = of_both("11512").await;
    assert_eq!(one, [(period("11512"), 12), (period("11602"), 1)].into());
    assert_eq!(two, [(period("11512"), 1)].into());
    assert_eq!(of_both("11510").await.1.len(), 2);

    // What is withdrawn is not in force, and who has nothing has no entry.
    for id in [1, 2, 3, 5] {
        let withdrawal = format!(
            "UPDATE allocation SET withdrawn_at = '2026-01-20T05:00:00.000Z' WHERE id = {id}"
        );
        scratch.allow(&withdrawal).await;
    }
    let (one, two) = of_both("11512").await;
    assert_eq!(one, [(period("11602"), 1)].into());
    assert_eq!(two, Booklets::new());
}

#[tokio::test]
async fn news_that_is_in_no_letter_yet_can_be_corrected_and_taken_back() {
    let scratch = Scratch::new();
    let ledger = scratch.open().await;
    let mut transaction = ledger.begin().await.unwrap();
    for id in 1..=3 {
        let key = format!("quarantined:{id}");
        let cause = quarantine_alert(id);
        transaction.tell(&key, &cause, noon()).await.unwrap();
    }
    let told = transaction.pending::<Cause>().await.unwrap();
    let alert = letter(Kind::Alert, "alert");
    transaction
        .gather(&told[..1], &alert, noon())
        .await
        .unwrap();
    for news in &told {
        transaction
            .correct(news.id, &quarantine_alert(9))
            .await
            .unwrap();
    }
    transaction.take_back(told[0].id).await.unwrap();
    transaction.take_back(told[1].id).await.unwrap();
    transaction.commit().await.unwrap();

    let mut transaction = ledger.begin().await.unwrap();
    let left = transaction.pending::<Cause>().await.unwrap();
    let left: Vec<_> = left.iter().map(|one| (&*one.key, &one.cause)).collect();
    assert_eq!(left, [("quarantined:3", &quarantine_alert(9))]);
    drop(transaction);
    // What is in a letter says what the letter says.
    let mut sql = scratch.sql().await;
    let kept = "SELECT count(*) FROM news WHERE outbox_id IS NOT NULL
                AND json_extract(cause, '$.message_id') = 1";
    assert_eq!(count(&mut sql, kept).await, 1);
}
