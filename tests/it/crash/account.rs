//! What a ledger says after its writer was killed, read from a copy, so that the next start finds
//! the files as the dead left them.
//!
//! Guarantee: every look also shows that nothing in it is half recorded.

use std::{collections::BTreeSet, fs};

use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _, SqliteConnection,
    sqlite::SqliteConnectOptions,
};
use tempfile::TempDir;

use super::mails::{Letter, Letters, in_state};
use crate::support::daemon::House;

/// What is recorded.
#[derive(Debug, Default)]
pub struct Account {
    /// Whether there is a ledger: its first transaction makes all of it.
    pub exists: bool,
    /// UIDs of imported messages.
    pub imported: BTreeSet<u32>,
    /// Track and first number of each range.
    pub ranges: BTreeSet<(String, String)>,
    /// By Message-ID.
    pub letters: Letters,
    /// When the mailbox last answered.
    pub last_ok: Option<String>,
}

impl Account {
    /// Message-IDs of the letters in this state.
    pub fn in_state(&self, state: &str) -> BTreeSet<&str> {
        in_state(&self.letters, state)
    }

    pub fn sent(&self) -> BTreeSet<&str> {
        self.in_state("sent")
    }
}

/// Reads a copy of what the dead left, and checks every part of it against every other.
pub async fn look(house: &House) -> Account {
    let Some((_copies, mut ledger)) = copy(house).await else {
        return Account::default();
    };
    let account = read(&mut ledger).await;
    ledger.close().await.unwrap();
    account
}

/// A copy of the ledger as the dead left it, intact, in a directory that goes with it.
pub async fn copy(house: &House) -> Option<(TempDir, SqliteConnection)> {
    let copies = tempfile::tempdir_in("/tmp").unwrap();
    for suffix in ["", "-wal", "-journal"] {
        let name = format!("ledger.db{suffix}");
        if house.path(&name).exists() {
            fs::copy(house.path(&name), copies.path().join(&name)).unwrap();
        }
    }
    let path = copies.path().join("ledger.db");
    if !path.exists() {
        return None;
    }
    let options = SqliteConnectOptions::new().filename(path);
    let mut ledger = options.connect().await.unwrap();
    for (pragma, well) in [("integrity_check", Some("ok")), ("foreign_key_check", None)] {
        let query = AssertSqlSafe(format!("SELECT * FROM pragma_{pragma}"));
        let rows = sqlx::query(query).fetch_all(&mut ledger).await.unwrap();
        let words: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        assert!(
            words.iter().map(String::as_str).eq(well),
            "{pragma}: {words:?}"
        );
    }
    Some((copies, ledger))
}

/// The whole outbox.
pub async fn letters(ledger: &mut SqliteConnection) -> Letters {
    let rows: Vec<(String, String, Vec<u8>)> =
        sqlx::query_as("SELECT rfc_message_id, state, eml FROM outbox")
            .fetch_all(ledger)
            .await
            .unwrap();
    let letters = rows.into_iter();
    letters
        .map(|(id, state, eml)| (id, Letter { state, eml }))
        .collect()
}

/// That every one of these queries counts nothing.
pub async fn assert_none(ledger: &mut SqliteConnection, halves: &[(&str, &'static str)]) {
    for (what, broken) in halves {
        let rows: i64 = sqlx::query_scalar(*broken)
            .fetch_one(&mut *ledger)
            .await
            .unwrap();
        assert_eq!(rows, 0, "{what}");
    }
}

async fn read(ledger: &mut SqliteConnection) -> Account {
    let objects: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema")
        .fetch_one(&mut *ledger)
        .await
        .unwrap();
    if objects == 0 {
        return Account::default();
    }
    let migrations: (i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM _sqlx_migrations WHERE success),
             (SELECT count(*) FROM ledger)",
    )
    .fetch_one(&mut *ledger)
    .await
    .unwrap();
    let every = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations"));
    let every = i64::try_from(every.unwrap().count()).unwrap();
    assert_eq!(migrations, (every, 1), "the ledger is half made");
    assert_none(ledger, HALVES).await;

    let messages: Vec<(u32, String, String)> = sqlx::query_as(
        "SELECT uid, invoice_track, invoice_begin_no
         FROM message JOIN allocation ON message_id = message.id",
    )
    .fetch_all(&mut *ledger)
    .await
    .unwrap();
    let account = Account {
        exists: true,
        imported: messages.iter().map(|(uid, ..)| *uid).collect(),
        ranges: messages
            .iter()
            .map(|(_, track, begin)| (track.clone(), begin.clone()))
            .collect(),
        letters: letters(ledger).await,
        last_ok: sqlx::query_scalar("SELECT last_ok_at FROM mailbox")
            .fetch_optional(&mut *ledger)
            .await
            .unwrap()
            .flatten(),
    };
    assert_eq!(account.imported.len(), messages.len(), "a UID twice");
    assert_eq!(account.ranges.len(), messages.len(), "a range twice");
    assert_eq!(account.letters.len(), messages.len(), "letters");
    account
}

/// What must not be, each with the query that counts it.
const HALVES: &[(&str, &str)] = &[
    (
        "messages that were not imported",
        "SELECT count(*) FROM message WHERE disposition <> 'imported' OR copy_of IS NOT NULL",
    ),
    (
        "UIDs accounted for in another way",
        "SELECT (SELECT count(*) FROM uid_run) + (SELECT count(*) FROM suspect)",
    ),
    ("alerts and other news", "SELECT count(*) FROM news"),
    (
        "messages without the one allocation",
        "SELECT count(*) FROM message
         WHERE (SELECT count(*) FROM allocation WHERE message_id = message.id) <> 1",
    ),
    (
        "messages without the one piece of evidence",
        "SELECT count(*) FROM message
         WHERE (SELECT count(*) FROM evidence WHERE message_id = message.id) <> 1",
    ),
    (
        "messages without the one confirmation",
        "SELECT count(*) FROM message
         WHERE (SELECT count(*) FROM outbox WHERE about = message.id) <> 1",
    ),
    (
        "letters that confirm nothing",
        "SELECT count(*) FROM outbox WHERE kind <> 'confirmation' OR about IS NULL",
    ),
    (
        "letters without the one recipient, or whose recipient is not where the letter is",
        "SELECT count(*) FROM outbox
         WHERE (SELECT group_concat(state) FROM outbox_recipient WHERE outbox_id = outbox.id)
             IS NOT iif(state = 'sent', 'sent', 'due')",
    ),
    (
        "letters that failed, or were sent without an attempt",
        "SELECT count(*) FROM outbox
         WHERE state IN ('failed', 'dropped') OR (state <> 'pending' AND attempts = 0)",
    ),
    (
        "more than one attempt at once",
        "SELECT max(count(*) - 1, 0) FROM outbox WHERE state = 'sending'",
    ),
];

/// How far a ledger in use has got: ranges, letters sent, when the mailbox last answered. `None`
/// while there is no ledger.
pub async fn progress(house: &House) -> Option<(usize, usize, Option<String>)> {
    let options = SqliteConnectOptions::new().filename(house.path("ledger.db"));
    let mut ledger = options.read_only(true).connect().await.ok()?;
    let progress: Result<(i64, i64, Option<String>), _> = sqlx::query_as(
        "SELECT (SELECT count(*) FROM allocation),
             (SELECT count(*) FROM outbox WHERE state = 'sent'),
             (SELECT last_ok_at FROM mailbox)",
    )
    .fetch_one(&mut ledger)
    .await;
    ledger.close().await.ok();
    let (ranges, sent, last_ok) = progress.ok()?;
    Some((ranges as usize, sent as usize, last_ok))
}
