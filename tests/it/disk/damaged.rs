//! A ledger that is damaged is refused and left as it is, by the daemon and by every command.

use std::{os::unix::fs::FileExt as _, path::Path, process::Command};

use super::*;

/// What is done to a ledger, and what the refusal says.
struct Damage {
    name: &'static str,
    status: i32,
    says: &'static str,
    done: fn(&Path),
}

const PAGE: u64 = 4096;

fn fill(path: &Path, from: u64, bytes: u64, with: u8) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.write_all_at(&vec![with; bytes as usize], from)
        .unwrap();
}

fn cut(path: &Path, by: u64) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_len(file.metadata().unwrap().len() - by).unwrap();
}

fn replace(path: &Path, by: impl FnOnce(&Path)) {
    fs::remove_file(path).unwrap();
    by(path);
}

/// The page on which a table begins.
fn page_of(path: &Path, table: &str) -> u64 {
    let output = sqlite(
        path,
        &format!("SELECT rootpage FROM sqlite_schema WHERE name = '{table}'"),
    );
    output.trim().parse().unwrap()
}

/// Another process, so that it leaves nothing open here.
fn sqlite(path: &Path, statements: &str) -> String {
    let url = format!("sqlite://{}", path.display());
    let statements = statements.to_owned();
    let work = move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let mut connection = SqliteConnection::connect(&url).await.unwrap();
            let rows = sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(statements));
            let found = rows.fetch_optional(&mut connection).await.unwrap();
            connection.close().await.unwrap();
            found.map_or(String::new(), |found| found.to_string())
        })
    };
    std::thread::spawn(work).join().unwrap()
}

const NOT_USABLE: &str = "is not a ledger that can be used";

const DAMAGES: &[Damage] = &[
    Damage {
        name: "its header is zeros",
        status: 78,
        says: NOT_USABLE,
        done: |path| fill(path, 0, 100, 0),
    },
    Damage {
        name: "its first page is garbage",
        status: 78,
        says: NOT_USABLE,
        done: |path| fill(path, 0, PAGE, 0xA5),
    },
    Damage {
        name: "the schema is garbage",
        status: 78,
        says: NOT_USABLE,
        done: |path| fill(path, 100, PAGE - 100, 0xA5),
    },
    Damage {
        name: "a page in the middle is zeros",
        status: 78,
        says: NOT_USABLE,
        done: |path| fill(path, (page_of(path, "allocation") - 1) * PAGE, PAGE, 0),
    },
    Damage {
        name: "half a page is missing",
        status: 78,
        says: NOT_USABLE,
        done: |path| cut(path, PAGE / 2),
    },
    Damage {
        name: "a page is missing",
        status: 78,
        says: NOT_USABLE,
        done: |path| cut(path, PAGE),
    },
    Damage {
        name: "one byte is left",
        status: 78,
        says: NOT_USABLE,
        done: |path| fs::write(path, b"S").unwrap(),
    },
    Damage {
        name: "a directory stands there",
        status: 78,
        says: "expected a file, found a directory or a device",
        done: |path| replace(path, |path| fs::create_dir(path).unwrap()),
    },
    Damage {
        name: "a pipe stands there",
        status: 78,
        says: "expected a file, found a directory or a device",
        done: |path| {
            replace(path, |path| {
                let made = Command::new("mkfifo").arg(path).status().unwrap();
                assert!(made.success());
            });
        },
    },
    Damage {
        name: "a link to nowhere stands there",
        status: 75,
        says: "a link that leads nowhere",
        done: |path| {
            replace(path, |path| {
                std::os::unix::fs::symlink(path.with_extension("elsewhere"), path).unwrap();
            });
        },
    },
];

#[test]
fn a_damaged_ledger_is_refused_by_every_command_and_left_as_it_is() {
    let whole = house();
    let file = whole.write("notice.eml", notice("EC"));
    let file = file.to_str().unwrap();
    let output = whole.command(&["ingest", "--no-mail", file]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let house = house();
    let path = house.path("ledger.db");
    for Damage {
        name,
        status,
        says,
        done,
    } in DAMAGES
    {
        fs::copy(whole.path("ledger.db"), &path).unwrap();
        done(&path);
        let is_file = fs::symlink_metadata(&path).unwrap().is_file();
        let before = is_file.then(|| fs::read(&path).unwrap());
        let commands: [&[&str]; 8] = [
            &["run"],
            &["status"],
            &["allocations"],
            &["ingest", file],
            &["quarantine", "list"],
            &["quarantine", "release", "1", "--reason", "x"],
            &["allocations", "withdraw", "1", "--reason", "x"],
            &["outbox", "list"],
        ];
        for command in commands {
            let output = house.command(command);
            let words = said(&output);
            let code = output.status.code();
            assert_eq!(code, Some(*status), "{name}: {command:?}: {words}");
            assert_eq!(words.lines().count(), 1, "{name}: {command:?}: {words}");
            assert!(words.contains(says), "{name}: {command:?}: {words}");
            let path = path.to_str().unwrap();
            assert!(words.contains(path), "{name}: {command:?}: {words}");
            if let Some(before) = &before {
                let after = fs::read(path).unwrap();
                assert!(after == *before, "{name}: {command:?} changed it");
            }
        }
        assert!(!house.path("ledger.elsewhere").exists(), "{name}");
        for suffix in ["", "-wal", "-shm"] {
            let path = house.path(&format!("ledger.db{suffix}"));
            fs::remove_file(&path)
                .or_else(|_| fs::remove_dir(&path))
                .ok();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_damaged_while_the_daemon_runs_ends_it_and_the_next_start_refuses() {
    let health = Health::new();
    let house = house_with(&health);
    house.write("mail/new/1", notice("EC"));
    let mut daemon = house.run(&[]);
    house
        .until("it is recorded and confirmed", || async {
            house.outbox().await.get("sent") == Some(&1)
        })
        .await;
    // What stands in the file and in no cache: everything, once the log of changes is in it.
    let path = house.path("ledger.db");
    let mut connection = sql(&house).await;
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
        .execute(&mut connection)
        .await
        .unwrap();
    let length = fs::metadata(&path).unwrap().len();
    fill(&path, PAGE, length - PAGE, 0xA5);
    // So that the daemon's caches are not asked: somebody else has written.
    sqlx::query("PRAGMA user_version = 7")
        .execute(&mut connection)
        .await
        .unwrap();
    drop(connection);
    house.write("mail/new/2", notice("ED"));
    assert_eq!(daemon.ended(Duration::from_secs(90)), Some(75));
    let log = house.log();
    assert!(log.contains("the ledger is damaged"), "{log}");
    let before = fs::read(&path).unwrap();
    let mut daemon = house.run(&[]);
    assert_eq!(daemon.ended(A_MINUTE), Some(78), "{}", house.log());
    assert!(house.log().contains(NOT_USABLE), "{}", house.log());
    assert!(fs::read(&path).unwrap() == before);
}
