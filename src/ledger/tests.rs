//! What cannot be seen from outside the room: how its connections are set.

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
