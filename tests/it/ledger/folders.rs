//! What is accounted for in a folder: rows and runs, and whether the folder answers.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU32, Ordering},
};

use jiff::civil::{Date, date};
use proptest::prelude::*;

use super::*;

async fn unrelated(ledger: &Ledger, mailbox: &str, uidvalidity: u32, set: &UidSet) {
    let mut transaction = ledger.begin().await.unwrap();
    transaction
        .record_unrelated(mailbox, uidvalidity, set)
        .await
        .unwrap();
    transaction.commit().await.unwrap();
}

async fn known(ledger: &Ledger, uidvalidity: u32) -> UidSet {
    let known = ledger.known("einvoice", Some(uidvalidity)).await.unwrap();
    assert!(known.files.is_empty());
    known.uids
}

#[tokio::test]
async fn known_is_rows_and_runs_of_this_folder_only() {
    let scratch = Scratch::new();
    let ledger = scratch.open().await;
    unrelated(&ledger, "einvoice", 7, &uids(&[(1, 4), (6, 9)])).await;
    record(&ledger, &Mail::granting(imap(5), &[specimen()])).await;
    record(&ledger, &Mail::new(imap(12), Disposition::Unrelated)).await;
    unrelated(&ledger, "einvoice", 8, &uids(&[(40, 50)])).await;
    unrelated(&ledger, "other", 7, &uids(&[(60, 70)])).await;
    assert_eq!(known(&ledger, 7).await, uids(&[(1, 9), (12, 12)]));
    assert_eq!(known(&ledger, 8).await, uids(&[(40, 50)]));
    assert!(known(&ledger, 9).await.is_empty());
}

#[tokio::test]
async fn a_maildirs_files_are_known_by_name() {
    let scratch = Scratch::new();
    let ledger = scratch.open().await;
    for (mailbox, file) in [("local", "a"), ("local", "b"), ("other", "c")] {
        let origin = Origin::Maildir {
            mailbox: mailbox.to_owned(),
            file: file.to_owned(),
        };
        record(&ledger, &Mail::new(origin, Disposition::Unrelated)).await;
    }
    let known = ledger.known("local", None).await.unwrap();
    assert_eq!(known.files, ["a", "b"].map(str::to_owned).into());
    assert!(known.uids.is_empty());
}

#[tokio::test]
async fn a_message_row_between_two_runs_is_never_swallowed() {
    let scratch = Scratch::new();
    let ledger = scratch.open().await;
    record(&ledger, &Mail::granting(imap(5), &[specimen()])).await;
    unrelated(&ledger, "einvoice", 7, &uids(&[(1, 4), (6, 9)])).await;
    let mut sql = scratch.sql().await;
    let stored: Vec<(u32, u32)> =
        sqlx::query_as("SELECT first_uid, last_uid FROM uid_run ORDER BY 1")
            .fetch_all(&mut sql)
            .await
            .unwrap();
    assert_eq!(stored, [(1, 4), (6, 9)]);
    assert_eq!(ledger.counts().await.unwrap()["unrelated"], 8);
}

#[test]
fn runs_stay_apart_whatever_is_added() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let scratch = Scratch::new();
    let ledger = runtime.block_on(scratch.open());
    let folder = AtomicU32::new(0);
    let uid = prop_oneof![8 => 1..60_u32, 1 => u32::MAX - 3..=u32::MAX];
    let run = (uid, 0..6_u32).prop_map(|(first, more)| (first, first.saturating_add(more)));
    let additions = prop::collection::vec(prop::collection::vec(run, 1..4), 1..8);
    proptest!(ProptestConfig::with_cases(48), |(additions in additions)| {
        let uidvalidity = 1 + folder.fetch_add(1, Ordering::Relaxed);
        let mut model = BTreeSet::new();
        for runs in &additions {
            model.extend(runs.iter().flat_map(|&(first, last)| first..=last));
        }
        let stored: Vec<(u32, u32)> = runtime.block_on(async {
            for runs in &additions {
                unrelated(&ledger, "einvoice", uidvalidity, &uids(runs)).await;
            }
            sqlx::query_as(
                "SELECT first_uid, last_uid FROM uid_run WHERE uidvalidity = ? ORDER BY first_uid",
            )
            .bind(uidvalidity)
            .fetch_all(&mut scratch.sql().await)
            .await
            .unwrap()
        });
        let expected: UidSet = model.into_iter().collect();
        prop_assert_eq!(&stored[..], expected.runs());
    });
}

#[tokio::test]
async fn an_earlier_since_opens_again_what_was_left_out() {
    let scratch = Scratch::new();
    let ledger = scratch.open().await;
    let (january, december): (Date, Date) = (date(2026, 1, 1), date(2025, 12, 1));
    let is_scanned = async |since| ledger.is_scanned("einvoice", 7, since).await.unwrap();
    assert!(!is_scanned(january).await);

    ledger
        .begin_scan("einvoice", 7, january, &uids(&[(1, 100)]))
        .await
        .unwrap();
    unrelated(&ledger, "einvoice", 7, &uids(&[(101, 110)])).await;
    assert!(is_scanned(january).await);
    assert!(is_scanned(date(2026, 2, 1)).await, "all of it and more");
    assert!(!is_scanned(december).await);
    assert!(!ledger.is_scanned("einvoice", 8, january).await.unwrap());
    assert_eq!(known(&ledger, 7).await, uids(&[(1, 110)]));
    assert_eq!(
        ledger.counts().await.unwrap()["unrelated"],
        10,
        "what was left out was not judged"
    );

    ledger
        .begin_scan("einvoice", 7, december, &uids(&[(1, 60)]))
        .await
        .unwrap();
    assert!(is_scanned(december).await);
    assert_eq!(known(&ledger, 7).await, uids(&[(1, 60), (101, 110)]));
}

#[tokio::test]
async fn a_mailbox_that_fails_keeps_the_moment_of_its_last_answer() {
    let scratch = Scratch::new();
    let ledger = scratch.open().await;
    let down = LinkState::Down("log in: refused".to_owned());
    let later = noon() + 1.minute();
    ledger.saw_mailbox("b", &down, noon()).await.unwrap();
    ledger
        .saw_mailbox("a", &LinkState::Up, noon())
        .await
        .unwrap();
    ledger.saw_mailbox("a", &down, later).await.unwrap();
    let rows = ledger.mailboxes().await.unwrap();
    let rows: Vec<_> = rows
        .iter()
        .map(|row| (row.name.as_str(), row.last_ok_at, &row.state))
        .collect();
    assert_eq!(rows, [("a", Some(noon()), &down), ("b", None, &down)]);

    ledger
        .saw_mailbox("a", &LinkState::Up, later)
        .await
        .unwrap();
    let row = &ledger.mailboxes().await.unwrap()[0];
    assert_eq!((row.last_ok_at, &row.state), (Some(later), &LinkState::Up));
}

#[tokio::test]
async fn a_mailbox_s_place_can_be_mended_until_something_is_accounted_for() {
    let scratch = Scratch::new();
    let ledger = scratch.open().await;
    let hold = async |place: &str| {
        let places = [
            ("einvoice", place.to_owned()),
            ("other", "there".to_owned()),
        ];
        ledger.hold_to_places(&places).await
    };
    hold("INBX of ann").await.unwrap();
    let day = "2026-01-01".parse().unwrap();
    let none = UidSet::default();
    ledger.begin_scan("einvoice", 7, day, &none).await.unwrap();
    hold("INBOX of ann").await.unwrap();
    assert!(
        !ledger.is_scanned("einvoice", 7, day).await.unwrap(),
        "that was another folder"
    );

    let mut transaction = ledger.begin().await.unwrap();
    let uids = UidSet::from_iter([1]);
    transaction
        .record_unrelated("einvoice", 7, &uids)
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    let error = hold("Archive of ann").await.unwrap_err();
    let expected = "the mailbox `einvoice` was INBOX of ann when its messages were accounted for, \
                    and is Archive of ann now: give it a new name";
    assert!(error.to_string().starts_with(expected), "{error}");
    assert!(!error.is_temporary());
    hold("INBOX of ann").await.unwrap();
}

#[tokio::test]
async fn all_mailboxes_are_held_to_their_places_or_none() {
    let scratch = Scratch::new();
    let ledger = scratch.open().await;
    let places = |one: &str, two: &str| [("one", one.to_owned()), ("two", two.to_owned())];
    ledger.hold_to_places(&places("a", "b")).await.unwrap();
    for name in ["one", "two"] {
        let mut transaction = ledger.begin().await.unwrap();
        let uids = UidSet::from_iter([1]);
        transaction.record_unrelated(name, 7, &uids).await.unwrap();
        transaction.commit().await.unwrap();
    }
    let third = ("three", "c".to_owned());
    let [one, _] = places("a", "b");
    let refused = ledger
        .hold_to_places(&[third, one, ("two", "elsewhere".to_owned())])
        .await;
    assert!(refused.is_err());
    // Nothing of the refused ones was kept: the third is free.
    let names: Vec<String> = ledger
        .mailboxes()
        .await
        .unwrap()
        .into_iter()
        .map(|row| row.name)
        .collect();
    assert_eq!(names, ["one", "two"]);
}

#[tokio::test]
async fn mailboxes_that_stay_where_they_are_wait_for_no_writer() {
    let scratch = Scratch::new();
    let ledger = scratch.open().await;
    let places = [("einvoice", "INBOX of ann".to_owned())];
    ledger.hold_to_places(&places).await.unwrap();
    let transaction = ledger.begin().await.unwrap();
    ledger.hold_to_places(&places).await.unwrap();
    drop(transaction);
}
