//! Killed while a new version brings an older ledger up to date: the ledger stays what it was, or
//! becomes what it is to be, and the next start finishes the work.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _,
    sqlite::{SqliteConnectOptions, SqliteJournalMode},
};

use crate::support::{
    daemon::{House, Running, maildir},
    fault::{Faults, Moment},
};

const MAILDIR: &str = r#"
[[mailbox]]
name = "spool"
kind = "maildir"
path = "@ROOT@/mail"
"#;

/// A ledger as the first release left it, with a daemon's house around it.
async fn old() -> House {
    let house = House::with_mail(MAILDIR);
    maildir(&house.path("mail"));
    let frozen = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures-ledger/0001.sql"
    );
    let options = SqliteConnectOptions::new()
        .filename(house.path("ledger.db"))
        .foreign_keys(false)
        .journal_mode(SqliteJournalMode::Wal)
        .create_if_missing(true);
    let mut ledger = options.connect().await.unwrap();
    let statements = AssertSqlSafe(fs::read_to_string(frozen).unwrap());
    sqlx::raw_sql(statements)
        .execute(&mut ledger)
        .await
        .unwrap();
    ledger.close().await.unwrap();
    house
}

/// The schema, and all that an upgrade must not change, read from a copy.
async fn content(house: &House) -> (i64, Vec<String>) {
    let copies = tempfile::tempdir_in("/tmp").unwrap();
    for name in ["ledger.db", "ledger.db-wal"] {
        if house.path(name).exists() {
            fs::copy(house.path(name), copies.path().join(name)).unwrap();
        }
    }
    read(&copies.path().join("ledger.db")).await
}

async fn read(path: &Path) -> (i64, Vec<String>) {
    let options = SqliteConnectOptions::new().filename(path);
    let mut ledger = options.connect().await.unwrap();
    let verdict: String = sqlx::query_scalar(
        "SELECT group_concat(integrity_check) || (SELECT count(*) FROM pragma_foreign_key_check)
         FROM pragma_integrity_check",
    )
    .fetch_one(&mut ledger)
    .await
    .unwrap();
    assert_eq!(verdict, "ok0");
    let schema = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations")
        .fetch_one(&mut ledger)
        .await
        .unwrap();
    let rows = sqlx::query_scalar(
        "SELECT concat_ws('|', 'message', id, mailbox, uid, sha256, disposition, length(raw))
         FROM message
         UNION ALL
         SELECT concat_ws('|', 'allocation', id, ban, year_month, invoice_track, invoice_begin_no,
             invoice_end_no, message_id, imported_at, withdrawn_at) FROM allocation
         UNION ALL
         SELECT concat_ws('|', 'letter', id, rfc_message_id, about, hex(eml), posted_at)
         FROM outbox
         ORDER BY 1",
    )
    .fetch_all(&mut ledger)
    .await
    .unwrap();
    ledger.close().await.unwrap();
    (schema, rows)
}

/// Waits until the daemon has opened its ledger, or, with `false`, has died before.
async fn opens(house: &House, daemon: &mut Running) -> bool {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let ended = daemon.has_ended();
        if house.log().contains(" started") {
            return true;
        }
        if ended {
            return false;
        }
        assert!(Instant::now() < deadline, "it hangs:\n{}", house.log());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_during_an_upgrade_the_ledger_is_the_old_one_or_the_new_one() {
    type Kind = fn(u32) -> Moment;
    let (mut olds, mut news) = (0, 0);
    let migrations = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
    let newest = i64::try_from(fs::read_dir(migrations).unwrap().count()).unwrap();
    let kinds: [(Kind, usize); 4] = [
        (Moment::Write, 23),
        (Moment::Torn, 27),
        (Moment::Sync, 1),
        (Moment::Synced, 1),
    ];
    for (kind, step) in kinds {
        for n in (1..).step_by(step) {
            let house = old().await;
            let (_, before) = content(&house).await;
            let faults = Faults::under(&house).kill_at(kind(n));
            if opens(&house, &mut house.run(&faults.environment())).await {
                break;
            }
            let (schema, after) = content(&house).await;
            assert_eq!(after, before, "{:?}", kind(n));
            match schema {
                1 => olds += 1,
                new if new == newest => news += 1,
                half => panic!("{:?}: schema {half}", kind(n)),
            }
            let mut daemon = house.run(&[]);
            assert!(opens(&house, &mut daemon).await, "{}", house.log());
            assert_eq!(daemon.terminate(Duration::from_secs(30)), Some(0));
            let (schema, after) = content(&house).await;
            assert_eq!(schema, newest);
            let missing: Vec<_> = before.iter().filter(|row| !after.contains(row)).collect();
            assert!(missing.is_empty(), "{missing:?}");
        }
    }
    assert!(
        olds >= 8 && news >= 1,
        "{olds} before the commit, {news} after"
    );
}
