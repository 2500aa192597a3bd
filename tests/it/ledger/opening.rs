//! From a path to a ledger: created, recognised, locked, or refused and left alone.

use std::{fs, os::unix::fs::PermissionsExt};

use invoice_trackd::ledger::{AllocationFilter, LedgerError};

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Both ways to open `path` refuse it in the same way and leave the file as it is.
async fn assert_refused(path: &Path, expected: &str) {
    let before = fs::read(path).unwrap();
    for error in [
        Ledger::open(path, noon()).await.unwrap_err(),
        Ledger::open_for_reading(path).await.unwrap_err(),
    ] {
        let sentence = error.to_string();
        assert!(sentence.contains(expected), "{sentence}");
        assert!(sentence.contains(path.to_str().unwrap()), "{sentence}");
        assert!(!error.is_temporary(), "{sentence}");
    }
    assert!(
        fs::read(path).unwrap() == before,
        "{expected}: the file changed"
    );
}

#[tokio::test]
async fn a_new_ledger_is_its_owners_alone_and_remembers_when_it_was_created() {
    let scratch = Scratch::new();
    let ledger = scratch.open().await;
    assert_eq!(ledger.created_at(), noon());
    for suffix in ["", "-wal", "-shm"] {
        let mut file = scratch.path().into_os_string();
        file.push(suffix);
        assert_eq!(mode(Path::new(&file)), 0o600, "{suffix}");
    }
    ledger.close().await;
    let later = at("2027-01-01T00:00:00Z");
    let ledger = Ledger::open(&scratch.path(), later).await.unwrap();
    assert_eq!(ledger.created_at(), noon());
}

#[tokio::test]
async fn everything_is_still_there_when_it_is_opened_again() {
    let scratch = Scratch::new();
    let ledger = scratch.open().await;
    tell_the_story(&ledger).await;
    ledger.close().await;
    assert_the_story(&scratch.open().await).await;
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_named_and_not_created() {
    let scratch = Scratch::new();
    let path = scratch.directory.path().join("nowhere/ledger.db");
    let error = Ledger::open(&path, noon()).await.unwrap_err().to_string();
    assert!(
        error.contains("nowhere/ledger.db: the directory"),
        "{error}"
    );
    assert!(!path.parent().unwrap().exists());
    let error = Ledger::open(scratch.directory.path(), noon()).await;
    assert!(matches!(error, Err(LedgerError::NotALedger { .. })));
}

#[tokio::test]
async fn what_is_not_sqlite_is_refused_and_left_alone() {
    let scratch = Scratch::new();
    for bytes in [
        b"hello".to_vec(),
        b"From einvoice@einvoice.nat.gov.tw\n".repeat(400),
        vec![0; 8192],
    ] {
        fs::write(scratch.path(), bytes).unwrap();
        assert_refused(&scratch.path(), "is not a ledger that can be used").await;
    }
}

#[tokio::test]
async fn another_programs_database_is_refused_and_left_alone() {
    let scratch = Scratch::new();
    for journal in ["PRAGMA journal_mode = DELETE", "PRAGMA journal_mode = WAL"] {
        let path = scratch.directory.path().join(&journal[22..]);
        let mut theirs = sql(&path).await;
        for statement in [
            journal,
            "CREATE TABLE allocation (id INTEGER)",
            "INSERT INTO allocation VALUES (1)",
        ] {
            sqlx::raw_sql(statement).execute(&mut theirs).await.unwrap();
        }
        // Once beside its open connection, whose last pages may be in the WAL, and once alone.
        assert_refused(&path, "another program").await;
        theirs.close().await.unwrap();
        assert_refused(&path, "another program").await;
    }
}

#[tokio::test]
async fn a_damaged_ledger_is_refused_and_left_alone() {
    let scratch = Scratch::new();
    let ledger = scratch.open().await;
    tell_the_story(&ledger).await;
    ledger.close().await;
    let mut bytes = fs::read(scratch.path()).unwrap();
    let mut sql = scratch.sql().await;
    let root = count(
        &mut sql,
        "SELECT rootpage FROM sqlite_schema WHERE name = 'allocation'",
    )
    .await as usize;
    sql.close().await.unwrap();
    bytes[(root - 1) * 4096..root * 4096].fill(0xA5);
    fs::write(scratch.path(), bytes).unwrap();
    assert_refused(&scratch.path(), "damaged").await;

    // Cut off in the middle, as a copy that ran out of space.
    let bytes = fs::read(scratch.path()).unwrap();
    fs::write(scratch.path(), &bytes[..bytes.len() / 2]).unwrap();
    assert_refused(&scratch.path(), "is not a ledger that can be used").await;
}

/// What a power cut leaves while the file is being written: its last page is whole in the log of
/// changes beside it, and only there.
#[tokio::test]
async fn a_page_that_was_cut_off_is_taken_from_the_log_of_changes() {
    let scratch = Scratch::new();
    let ledger = scratch.open().await;
    tell_the_story(&ledger).await;
    let left = Scratch::new();
    let beside = |scratch: &Scratch| scratch.path().with_extension("db-wal");
    fs::copy(beside(&scratch), beside(&left)).unwrap();
    let bytes = fs::read(scratch.path()).unwrap();
    fs::write(left.path(), &bytes[..bytes.len() - 2048]).unwrap();
    let again = left.open().await;
    let all = AllocationFilter::default();
    let expected = ledger.allocations(all).await.unwrap();
    assert_eq!(again.allocations(all).await.unwrap(), expected);
    assert!(!expected.is_empty());
}

#[tokio::test]
async fn a_ledger_of_a_later_version_is_refused_and_left_alone() {
    let scratch = Scratch::new();
    scratch.open().await.close().await;
    scratch
        .allow(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9000, 'later', TRUE, x'00', 0)",
        )
        .await;
    assert_refused(&scratch.path(), "is at schema 9000, this program knows").await;
}

#[tokio::test]
async fn a_schema_that_was_edited_after_its_release_is_refused() {
    let scratch = Scratch::new();
    scratch.open().await.close().await;
    scratch
        .allow("UPDATE _sqlx_migrations SET checksum = x'00' WHERE version = 1")
        .await;
    assert_refused(&scratch.path(), "its schema 1 is not the one").await;
}

#[tokio::test]
async fn an_empty_file_left_by_a_crash_becomes_a_ledger() {
    let scratch = Scratch::new();
    fs::write(scratch.path(), b"").unwrap();
    assert!(
        Ledger::open_for_reading(&scratch.path())
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(scratch.open().await.created_at(), noon());
}

#[tokio::test]
async fn opening_for_reading_writes_nothing() {
    let scratch = Scratch::new();
    assert!(
        Ledger::open_for_reading(&scratch.path())
            .await
            .unwrap()
            .is_none()
    );
    assert!(!scratch.path().exists());

    let ledger = scratch.open().await;
    record(&ledger, &Mail::granting(imap(1), &[specimen()])).await;
    ledger.close().await;
    let before = fs::read(scratch.path()).unwrap();
    let reader = Ledger::open_for_reading(&scratch.path())
        .await
        .unwrap()
        .unwrap();
    let found = reader.neighbours(&[specimen().block]).await.unwrap();
    assert_eq!(found[0].allocation, specimen());
    post_fails(&reader).await;
    reader.close().await;
    assert!(fs::read(scratch.path()).unwrap() == before);
}

async fn post_fails(reader: &Ledger) {
    let mut transaction = reader.begin().await.unwrap();
    let posted = transaction
        .post(&letter(Kind::Alert, "never"), None, noon())
        .await;
    let error = posted.unwrap_err().to_string();
    assert!(error.contains("readonly"), "{error}");
}

#[tokio::test]
async fn a_reader_asks_for_the_daemon_when_migrations_are_missing() {
    let scratch = Scratch::new();
    scratch.open().await.close().await;
    scratch.allow("DELETE FROM _sqlx_migrations").await;
    let error = Ledger::open_for_reading(&scratch.path()).await.unwrap_err();
    assert!(
        matches!(error, LedgerError::Older { found: 0, .. }),
        "{error}"
    );
}

#[test]
fn a_second_daemon_is_refused_and_told_which_the_first_is() {
    let scratch = Scratch::new();
    let first = Ledger::lock(&scratch.path()).unwrap();
    let error = Ledger::lock(&scratch.path()).unwrap_err();
    assert!(!error.is_temporary());
    let pid = std::process::id().to_string();
    assert!(
        matches!(&error, LedgerError::Locked { pid: found, .. } if *found == pid),
        "{error}"
    );
    // util-linux's flock(1) is another process that asks for the same lock.
    let mut lock_file = scratch.path().into_os_string();
    lock_file.push(".lock");
    let elsewhere = || {
        std::process::Command::new("flock")
            .arg("--nonblock")
            .arg(&lock_file)
            .arg("true")
            .status()
            .expect("this test needs flock(1) from util-linux")
    };
    assert!(!elsewhere().success());
    drop(first);
    assert!(elsewhere().success());
    Ledger::lock(&scratch.path()).unwrap();
}

#[test]
fn what_a_daemon_notes_is_read_whole_and_taken_back_and_needs_no_more_room() {
    let scratch = Scratch::new();
    let lock = Ledger::lock(&scratch.path()).unwrap();
    let room = || {
        let file = scratch.path().with_extension("db.lock");
        fs::metadata(file).unwrap().len()
    };
    let from_the_start = room();
    let process = std::process::id().to_string();
    // Longer than there is room for, whose end is never the middle of a letter.
    let novel = "a ".to_owned() + &"號碼 ".repeat(2000);
    for (trouble, read) in [
        (Some("disk is full"), Some("disk is full")),
        (None, None),
        (Some(&*novel), Some("a 號碼 號碼")),
        (Some("two\nlines"), Some("two lines")),
        (None, None),
    ] {
        lock.note(trouble).unwrap();
        let daemon = Ledger::daemon(&scratch.path()).unwrap();
        assert_eq!(daemon.process, process, "{trouble:?}");
        match (trouble, read, daemon.trouble) {
            (Some(trouble), Some(read), Some(found)) => {
                assert!(found.starts_with(read), "{found}");
                assert!(trouble.len() > 1000 || found == read, "{found}");
            }
            (_, read, found) => assert_eq!(found.as_deref(), read, "{trouble:?}"),
        }
        assert_eq!(room(), from_the_start, "{trouble:?}");
    }
}

#[tokio::test]
async fn a_ledger_under_two_names_is_one_ledger() {
    let scratch = Scratch::new();
    scratch.open().await.close().await;
    let link = scratch.path().with_extension("link");
    std::os::unix::fs::symlink(scratch.path(), &link).unwrap();
    let _first = Ledger::lock(&scratch.path()).unwrap();
    let error = Ledger::lock(&link).unwrap_err();
    assert!(matches!(&error, LedgerError::Locked { .. }), "{error}");
    assert!(Ledger::daemon(&link).is_some());
}

#[tokio::test]
async fn what_is_made_beside_the_service_belongs_to_the_service() {
    use std::os::unix::fs::{MetadataExt as _, chown};
    let scratch = Scratch::new();
    let directory = scratch.path().parent().unwrap().to_owned();
    // Whoever may not give it away owns it already.
    chown(&directory, Some(65_534), Some(65_534)).ok();
    let owner = |path: &Path| {
        let metadata = fs::metadata(path).unwrap();
        (metadata.uid(), metadata.gid())
    };
    let _lock = Ledger::lock(&scratch.path()).unwrap();
    scratch.open().await.close().await;
    for entry in fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(owner(&path), owner(&directory), "{}", path.display());
    }
}

#[tokio::test]
async fn a_ledger_whose_first_writer_was_killed_is_begun_anew() {
    let scratch = Scratch::new();
    let [written, left] = ["written.db", "left.db"].map(|name| scratch.directory.path().join(name));
    // SQLite writes to a new file through a rollback journal until it is turned to WAL.
    let url = format!("sqlite://{}?mode=rwc", written.display());
    let mut sql = SqliteConnection::connect(&url).await.unwrap();
    sqlx::raw_sql(
        "PRAGMA cache_size = 1; BEGIN; CREATE TABLE half (done); \
         INSERT INTO half VALUES (zeroblob(1000000)); INSERT INTO half VALUES (zeroblob(1000000))",
    )
    .execute(&mut sql)
    .await
    .unwrap();
    // What a power cut at this moment leaves behind.
    let cut_off = || {
        for extension in ["db", "db-journal"] {
            let file = written.with_extension(extension);
            fs::copy(file, left.with_extension(extension)).unwrap();
        }
        assert!(fs::metadata(&left).unwrap().len() > 0);
    };

    cut_off();
    assert!(Ledger::open_for_reading(&left).await.unwrap().is_none());
    cut_off();
    let ledger = Ledger::open(&left, noon()).await.unwrap();
    assert_eq!(ledger.created_at(), noon());
}
