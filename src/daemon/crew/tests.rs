//! Whose end is told of, and whose is not.

use super::*;
use crate::http::Signs;

async fn crew() -> (Crew, tempfile::TempDir) {
    let home = tempfile::tempdir().unwrap();
    let clock = Clock::System;
    let path = home.path().join("ledger.db");
    let lock = Ledger::lock(&path).unwrap();
    let ledger = Ledger::open(&path, clock.now()).await.unwrap();
    (Crew::new(ledger, lock, clock), home)
}

#[tokio::test]
async fn a_task_that_ends_by_itself_is_named_and_one_that_was_told_to_is_not() {
    let (mut crew, _home) = crew().await;
    let told = crew.hire("the first".to_owned(), (), |_, _, stopped| async {
        until(stopped).await;
        Ok(())
    });
    drop(told);
    let _post = crew.hire("the second".to_owned(), (), |_, _, _| async { Ok(()) });
    let ended = crew.ended().await;
    assert!(matches!(&ended, DaemonError::Ended(part) if part == "the second"));
}

#[tokio::test]
async fn the_word_to_stop_can_be_looked_at_as_well_as_waited_for() {
    let (mut crew, _home) = crew().await;
    let post = crew.hire("the first".to_owned(), (), |_, _, stopped| async move {
        while !*stopped.borrow() {
            tokio::task::yield_now().await;
        }
        Ok(())
    });
    drop(post);
    let ended = async { while crew.tasks.join_next().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(5), ended)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_task_that_fails_or_panics_ends_the_daemon() {
    let (mut crew, _home) = crew().await;
    let _failing = crew.hire("the listener".to_owned(), (), |_, _, _| async {
        Err(DaemonError::Http(io::Error::other("gone")))
    });
    assert!(matches!(crew.ended().await, DaemonError::Http(_)));
    let _panicking = crew.hire("a".to_owned(), (), |_, _, stopped| async move {
        assert!(*stopped.borrow(), "at once");
        Ok(())
    });
    assert!(matches!(crew.ended().await, DaemonError::Ended(_)));
}

#[tokio::test]
async fn what_failed_for_somebody_who_is_dismissed_is_no_trouble_any_more() {
    let (mut crew, _home) = crew().await;
    let now = crew.clock.now();
    crew.vitals.send_modify(|vitals| {
        vitals.mailboxes.insert("gone".to_owned(), Signs::default());
        let gone = Part::Mailbox("gone".to_owned());
        for part in [gone, Part::Dispatcher(None), Part::Keeper] {
            vitals.misses_ledger(part, "database or disk is full".to_owned(), now);
        }
    });
    crew.watch(BTreeMap::new());
    crew.dispatch(BTreeMap::new());
    let vitals = crew.vitals.borrow().clone();
    let left: Vec<_> = vitals.ledger_troubles.keys().collect();
    assert_eq!(left, [&Part::Keeper]);
    assert!(vitals.mailboxes.is_empty());
}
