//! Every schema that was ever released, with data in it, brought up to date.
//!
//! `tests/fixtures-ledger/NNNN.sql` is a whole ledger as migration NNNN left it, frozen on the day
//! of its release. A new migration needs such a file: run this test, look at the `.sql.new` that
//! it writes, and take the `.new` away.

use std::{collections::BTreeSet, fs};

use sqlx::AssertSqlSafe;

use super::*;

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The numbers before the first `_` or `.` of a directory's file names.
fn versions(directory: &Path) -> BTreeSet<String> {
    fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".sql"))
        .map(|name| name.split(['_', '.']).next().unwrap().to_owned())
        .collect()
}

/// The whole file as statements, data before triggers.
async fn dump(sql: &mut SqliteConnection) -> String {
    let mut statements = vec!["PRAGMA application_id = 0x696E7674;".to_owned()];
    let tables: Vec<(String, String)> = sqlx::query_as(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
         ORDER BY rowid",
    )
    .fetch_all(&mut *sql)
    .await
    .unwrap();
    for (name, definition) in &tables {
        statements.push(format!("{definition};"));
        let columns: Vec<String> =
            sqlx::query_scalar("SELECT name FROM pragma_table_info(?) ORDER BY cid")
                .bind(name)
                .fetch_all(&mut *sql)
                .await
                .unwrap();
        let values: Vec<_> = columns.iter().map(|c| format!("quote(\"{c}\")")).collect();
        let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(format!(
            "SELECT {} FROM \"{name}\"",
            values.join(" || ', ' || ")
        )))
        .fetch_all(&mut *sql)
        .await
        .unwrap();
        let columns = columns.join(", ");
        for row in rows {
            statements.push(format!(
                "INSERT INTO {name} ({columns})\n    VALUES ({row});"
            ));
        }
    }
    let rest: Vec<String> = sqlx::query_scalar(
        "SELECT sql || ';' FROM sqlite_schema
         WHERE type IN ('index', 'trigger') AND sql IS NOT NULL ORDER BY rowid",
    )
    .fetch_all(&mut *sql)
    .await
    .unwrap();
    statements.extend(rest);
    statements.push(String::new());
    statements.join("\n")
}

#[tokio::test]
async fn every_schema_ever_released_is_brought_up_to_date_with_its_data() {
    let migrations = versions(&project("migrations"));
    let fixtures = project("tests/fixtures-ledger");
    let missing: Vec<_> = migrations
        .difference(&versions(&fixtures))
        .cloned()
        .collect();
    if let Some(version) = missing.last() {
        let scratch = Scratch::new();
        let ledger = scratch.open().await;
        tell_the_story(&ledger).await;
        ledger.close().await;
        let proposal = fixtures.join(format!("{version}.sql.new"));
        fs::write(&proposal, dump(&mut scratch.sql().await).await).unwrap();
        panic!(
            "migration {version} has no ledger to start from: look at {} and take the .new away",
            proposal.display()
        );
    }

    for version in &migrations {
        let scratch = Scratch::new();
        let mut old = scratch.sql().await;
        let statements = fs::read_to_string(fixtures.join(format!("{version}.sql"))).unwrap();
        sqlx::raw_sql(AssertSqlSafe(statements))
            .execute(&mut old)
            .await
            .unwrap();
        old.close().await.unwrap();

        let ledger = scratch.open().await;
        assert_the_story(&ledger).await;
        let mut sql = scratch.sql().await;
        let applied: Vec<i64> =
            sqlx::query_scalar("SELECT version FROM _sqlx_migrations ORDER BY version")
                .fetch_all(&mut sql)
                .await
                .unwrap();
        let every: Vec<i64> = migrations.iter().map(|v| v.parse().unwrap()).collect();
        assert_eq!(applied, every, "a stale build knows fewer migrations");
        let verdict: String = sqlx::query_scalar("PRAGMA integrity_check")
            .fetch_one(&mut sql)
            .await
            .unwrap();
        assert_eq!(verdict, "ok");
        assert_eq!(
            count(&mut sql, "SELECT count(*) FROM pragma_foreign_key_check").await,
            0
        );
    }
}
