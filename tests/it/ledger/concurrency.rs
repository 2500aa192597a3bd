//! Many writers in two processes' worth of connections, and no number granted twice.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Barrier, task::JoinSet};

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_first_opening_may_happen_several_times_at_once() {
    for _ in 0..5 {
        let scratch = Scratch::new();
        let start = Arc::new(Barrier::new(6));
        let mut openings = JoinSet::new();
        for second in 0..6 {
            let (path, start) = (scratch.path(), Arc::clone(&start));
            openings.spawn(async move {
                start.wait().await;
                Ledger::open(&path, noon() + second.seconds()).await
            });
        }
        let opened = openings.join_all().await;
        let opened: Vec<_> = opened.into_iter().map(Result::unwrap).collect();
        for ledger in &opened {
            assert_eq!(ledger.created_at(), opened[0].created_at());
        }
    }
}

#[tokio::test]
async fn opening_a_new_file_waits_for_another_process_that_is_filling_it() {
    let scratch = Scratch::new();
    let mut other = scratch.sql().await;
    let theirs = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let path = scratch.path();
    let mut opening = Box::pin(Ledger::open(&path, noon()));
    // Refused at once, this would be over long before.
    let too_soon = tokio::time::timeout(Duration::from_millis(300), &mut opening).await;
    assert!(too_soon.is_err(), "{too_soon:?}");
    theirs.rollback().await.unwrap();
    assert_eq!(opening.await.unwrap().created_at(), noon());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_that_race_for_the_same_ranges_record_each_once() {
    let scratch = Scratch::new();
    let ranges: Vec<_> = ["AA", "AB", "AC", "AD", "AE", "AF"]
        .map(|track| allocation(BAN, "10706", track, "00000000", "00000049"))
        .into();
    let mut writers = JoinSet::new();
    // Each `open` has a pool and a queue of its own, as a process beside the daemon has.
    for (process, ledger) in [scratch.open().await, scratch.open().await]
        .iter()
        .enumerate()
    {
        for writer in 0..5 {
            let (ledger, ranges) = (ledger.clone(), ranges.clone());
            let mailbox = format!("{writer} of {process}");
            writers.spawn(async move {
                for (uid, range) in (1..).zip(ranges) {
                    let mut transaction = ledger.begin().await.unwrap();
                    let held = transaction.neighbours(&[range.block]).await.unwrap();
                    tokio::task::yield_now().await;
                    let mut mail = Mail::granting(imap(uid), &[range]);
                    mail.message.origin = Origin::Imap {
                        mailbox: mailbox.clone(),
                        uidvalidity: 7,
                        uid,
                    };
                    if let [holder] = &held[..] {
                        mail.judgement.disposition = Disposition::Duplicate;
                        mail.judgement.allocations[0].known = Some(holder.id);
                    }
                    mail.record(&mut transaction).await.unwrap();
                    transaction.commit().await.unwrap();
                }
            });
        }
    }
    while let Some(done) = writers.join_next().await {
        done.unwrap();
    }
    let ledger = scratch.open().await;
    let rows = ledger
        .allocations(AllocationFilter::default())
        .await
        .unwrap();
    let recorded: Vec<_> = rows.iter().map(|row| row.allocation).collect();
    assert_eq!(recorded, ranges);
    let counts = ledger.counts().await.unwrap();
    assert_eq!((counts["imported"], counts["duplicate"]), (6, 54));
}

#[tokio::test]
async fn a_reader_is_not_held_up_by_a_writer() {
    let scratch = Scratch::new();
    let ledger = scratch.open().await;
    let mut transaction = ledger.begin().await.unwrap();
    Mail::granting(imap(1), &[specimen()])
        .record(&mut transaction)
        .await;
    let seen = ledger.neighbours(&[specimen().block]).await.unwrap();
    assert!(seen.is_empty(), "not before it is committed");
    transaction.commit().await.unwrap();
    assert_eq!(
        ledger.neighbours(&[specimen().block]).await.unwrap().len(),
        1
    );
}
