//! What cannot be seen from outside the room: how its connections are set, and what becomes of one
//! whose transaction SQLite has ended.

use super::*;

#[tokio::test]
async fn every_connection_waits_syncs_fully_and_checks_references() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    let ledger = Ledger::open(&path, Timestamp::UNIX_EPOCH).await.unwrap();
    let mut connections = Vec::new();
    while connections.len() < 4 {
        connections.push(ledger.pool.acquire().await.unwrap());
    }
    for connection in &mut connections {
        let pragma = async |name: &'static str, connection: &mut _| -> String {
            sqlx::query_scalar(name)
                .fetch_one(connection)
                .await
                .unwrap()
        };
        for (statement, value) in [
            ("SELECT journal_mode FROM pragma_journal_mode", "wal"),
            // 2 is FULL. https://sqlite.org/pragma.html#pragma_synchronous
            (
                "SELECT CAST(synchronous AS TEXT) FROM pragma_synchronous",
                "2",
            ),
            (
                "SELECT CAST(foreign_keys AS TEXT) FROM pragma_foreign_keys",
                "1",
            ),
            (
                "SELECT CAST(timeout AS TEXT) FROM pragma_busy_timeout",
                "30000",
            ),
        ] {
            assert_eq!(
                pragma(statement, &mut **connection).await,
                value,
                "{statement}"
            );
        }
    }
}

#[tokio::test]
async fn a_connection_that_sqlite_has_rolled_back_is_not_used_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    let ledger = Ledger::open(&path, Timestamp::UNIX_EPOCH).await.unwrap();
    // Each connection of the pool could be the one that is left behind.
    for _ in 0..8 {
        let mut transaction = ledger.begin().await.unwrap();
        // As SQLite does of itself when the disk is full.
        sqlx::raw_sql("ROLLBACK")
            .execute(&mut *transaction.inner)
            .await
            .unwrap();
        assert!(transaction.commit().await.is_err());
    }
    for _ in 0..8 {
        ledger.prove_writable().await.unwrap();
    }
    ledger.close().await;
}

#[tokio::test]
async fn deciding_about_one_message_does_not_look_at_all_that_wait() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    let ledger = Ledger::open(&path, Timestamp::UNIX_EPOCH).await.unwrap();
    for statement in [
        decisions::RELEASE_COPIES,
        decisions::DISMISS,
        decisions::NEEDS_NOBODY,
    ] {
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
        let plan: Vec<(i64, i64, i64, String)> = sqlx::query_as(explain)
            .fetch_all(&ledger.pool)
            .await
            .unwrap();
        for (.., step) in plan {
            let looks_at_all = step.starts_with("SCAN") || step.contains("message_disposition");
            assert!(!looks_at_all, "{step}: {statement}");
        }
    }
}

#[tokio::test]
async fn what_is_read_every_minute_is_found_by_its_period() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    let ledger = Ledger::open(&path, Timestamp::UNIX_EPOCH).await.unwrap();
    for (statement, found) in [
        (
            alarms::BOOKLETS,
            "SEARCH allocation USING COVERING INDEX allocation_booklets (year_month>?)",
        ),
        (alarms::ALARMS, "SEARCH alarm USING PRIMARY KEY (awaited>?)"),
    ] {
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
        let plan: Vec<(i64, i64, i64, String)> = sqlx::query_as(explain)
            .fetch_all(&ledger.pool)
            .await
            .unwrap();
        let steps: Vec<&str> = plan.iter().map(|(.., step)| step.as_str()).collect();
        assert_eq!(steps, [found]);
    }
}

#[tokio::test]
async fn neither_what_waits_for_a_system_nor_where_numbers_went_is_looked_for_among_all_letters() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    let ledger = Ledger::open(&path, Timestamp::UNIX_EPOCH).await.unwrap();
    for (statement, found) in [
        (
            outbox::PUT_OFF,
            &[
                "SEARCH outbox USING INDEX outbox_due (target=? AND next_attempt_at>?)",
                "SEARCH outbox USING INDEX outbox_attempted (target=? AND attempted_at>?)",
            ][..],
        ),
        (
            handed::HANDED_OVER,
            &["SEARCH outbox USING INDEX outbox_about (about=?)"],
        ),
    ] {
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
        let plan: Vec<(i64, i64, i64, String)> = sqlx::query_as(explain)
            .fetch_all(&ledger.pool)
            .await
            .unwrap();
        let mut steps: Vec<&str> = plan.iter().map(|(.., step)| step.as_str()).collect();
        steps.retain(|step| step.contains(" outbox"));
        assert_eq!(steps, found);
    }
}

#[test]
fn a_ledger_that_one_may_not_see_is_not_a_ledger_that_is_not_there() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(!Ledger::exists(&directory.path().join("ledger.db")).unwrap());
    let unseen = Ledger::exists(&file.join("ledger.db")).unwrap_err();
    assert!(matches!(unseen, LedgerError::Io { .. }), "{unseen}");

    let denied = LedgerError::Io {
        path: "/l.db".into(),
        source: std::io::ErrorKind::PermissionDenied.into(),
    };
    assert_eq!(
        denied.to_string(),
        "open the ledger /l.db (root may, and the service's user): permission denied"
    );
}

#[tokio::test]
async fn a_ledger_that_is_gone_is_said_to_be_by_a_new_connection_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    let ledger = Ledger::open(&path, Timestamp::UNIX_EPOCH).await.unwrap();
    let mut held = Vec::new();
    while let Some(idle) = ledger.pool.try_acquire() {
        held.push(idle);
    }
    std::fs::remove_file(&path).unwrap();
    let Err(error) = ledger.begin().await else {
        panic!("it was begun");
    };
    assert!(matches!(error, LedgerError::Replaced { .. }), "{error}");
}
