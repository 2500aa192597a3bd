//! From a path to an open ledger: created, recognised, migrated, or refused.
//!
//! A file that is there is first looked at through a read-only connection, so that whatever it
//! turns out to be, looking has not changed it. Left out on purpose: repair, and any way back to
//! an older schema.
//!
//! Guarantee: a ledger has its whole schema or none of it; all migrations of one start and the
//! moment of creation are one transaction. The file itself is never opened but by SQLite: closing
//! any other descriptor would drop SQLite's locks on it (<https://sqlite.org/howtocorrupt.html>
//! §2.2).

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt, fchown},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use sqlx::{
    ConnectOptions, Connection, SqlitePool,
    migrate::{Migrate, MigrateError, Migrator},
    sqlite::{
        SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions,
        SqliteSynchronous,
    },
};
use tokio::{sync::Mutex, time::Instant};

use super::{BUSY, Ledger, LedgerError, columns};

static MIGRATIONS: Migrator = sqlx::migrate!();

/// Where sqlx keeps its own account of what was applied.
const MIGRATIONS_TABLE: &str = "_sqlx_migrations";

/// `PRAGMA application_id` of every ledger, "invt"; the first migration sets it.
const APPLICATION_ID: i64 = 0x696E_7674;

/// One writer and a few readers.
const CONNECTIONS: u32 = 4;

/// Which file a ledger is.
#[derive(Debug)]
pub(super) struct Opened {
    path: PathBuf,
    device: u64,
    inode: u64,
    /// The device of its directory.
    disk: u64,
}

impl Opened {
    fn at(path: &Path) -> Result<Self, LedgerError> {
        let failed = |source| LedgerError::Io {
            path: path.to_owned(),
            source,
        };
        let found = std::fs::metadata(path).map_err(failed)?;
        let directory = std::fs::metadata(directory(path)).map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            device: found.dev(),
            inode: found.ino(),
            disk: directory.dev(),
        })
    }

    /// Whether it is still the one that stands under its name: SQLite itself would go on in a file
    /// that was deleted (<https://sqlite.org/howtocorrupt.html> §4).
    ///
    /// # Errors
    /// [`LedgerError::Replaced`] when it is not; where its whole disk has gone, an error that is
    /// waited out, for a new start would create an empty ledger in the place of that disk.
    pub(super) fn is_in_its_place(&self) -> Result<(), LedgerError> {
        let path = self.path.clone();
        match std::fs::metadata(&path) {
            Ok(found) if (found.dev(), found.ino()) == (self.device, self.inode) => Ok(()),
            Ok(_) => Err(LedgerError::Replaced { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match std::fs::metadata(directory(&path)) {
                    Ok(directory) if directory.dev() != self.disk => Err(LedgerError::Io {
                        path,
                        source: io::Error::new(error.kind(), "the disk that held it has gone"),
                    }),
                    _ => Err(LedgerError::Replaced { path }),
                }
            }
            Err(source) => Err(LedgerError::Io { path, source }),
        }
    }
}

fn directory(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

/// How far an acceptable file has got.
enum Schema {
    /// Nothing is in it yet.
    Empty,
    /// This version of an earlier program.
    Behind(i64),
    /// Ours.
    Current,
}

pub(super) async fn for_writing(path: &Path, now: Timestamp) -> Result<Ledger, LedgerError> {
    if !exists(path)? {
        create(path)?;
    }
    let opened = Opened::at(path)?;
    let schema = inspect(path).await?;
    let pool = connect(path).await?;
    if !matches!(schema, Schema::Current) {
        migrate(&pool, now).await?;
    }
    ledger(pool, opened).await
}

pub(super) async fn for_reading(path: &Path) -> Result<Option<Ledger>, LedgerError> {
    if !exists(path)? {
        return Ok(None);
    }
    let opened = Opened::at(path)?;
    match inspect(path).await? {
        Schema::Empty => return Ok(None),
        Schema::Behind(found) => {
            return Err(LedgerError::Older {
                path: path.to_owned(),
                found,
                known: newest(),
            });
        }
        Schema::Current => {}
    }
    let pool = SqlitePoolOptions::new()
        .max_connections(CONNECTIONS)
        .connect_with(options(path).read_only(true))
        .await
        .map_err(unusable(path))?;
    ledger(pool, opened).await.map(Some)
}

/// A file of that ending beside the ledger: where it is a link, beside that to which it leads, which
/// is where SQLite puts its own. One ledger under two names is one ledger.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut name = path.into_os_string();
    name.push(ending);
    name.into()
}

/// See [`Ledger::exists`].
pub(super) fn exists(path: &Path) -> Result<bool, LedgerError> {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(true),
        Ok(_) => Err(LedgerError::NotALedger {
            path: path.to_owned(),
            reason: "expected a file, found a directory or a device".to_owned(),
        }),
        // The disk to which it leads may not be there yet; nothing is created in its place.
        Err(error) if error.kind() == io::ErrorKind::NotFound && path.is_symlink() => {
            Err(LedgerError::Io {
                path: path.to_owned(),
                source: io::Error::new(error.kind(), "it is a link that leads nowhere"),
            })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(LedgerError::Io {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Creates an empty file for the owner alone; SQLite gives its companions (`-wal`, `-shm`) the
/// same mode.
fn create(path: &Path) -> Result<(), LedgerError> {
    let created = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match created {
        Ok(file) => {
            give_to_owner(&file, path);
            Ok(())
        }
        // Another process was faster, and the file is its to fill as much as ours.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(not_created(path, error)),
    }
}

/// Gives a file beside the ledger to whom the directory belongs. Root may run a command before the
/// service, which is somebody else, has made the file; for anybody but root it belongs to the right
/// one already, or cannot be given away. SQLite does the same for its companions.
pub(super) fn give_to_owner(file: &File, path: &Path) {
    let directory = path.parent().map(std::fs::metadata);
    if let Some(Ok(owner)) = directory {
        let _ = fchown(file, Some(owner.uid()), Some(owner.gid()));
    }
}

/// What a missing directory means is clearer than what the system calls it.
pub(super) fn not_created(path: &Path, error: io::Error) -> LedgerError {
    let source = match error.kind() {
        io::ErrorKind::NotFound => io::Error::new(
            io::ErrorKind::NotFound,
            "the directory in which it should be created does not exist",
        ),
        _ => error,
    };
    LedgerError::Io {
        path: path.to_owned(),
        source,
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY)
        .foreign_keys(true)
        .disable_statement_logging()
}

/// Recognises a file without changing it, except for one that its last writer, killed while a new
/// file was turned to WAL, left half written: to roll that back takes a connection that may write,
/// and until then nobody can read it (<https://sqlite.org/lockingv3.html#hot_journals>).
async fn inspect(path: &Path) -> Result<Schema, LedgerError> {
    match look(path, true).await {
        Err(LedgerError::Sqlite { source, .. }) if needs_rollback(&source) => {
            look(path, false).await
        }
        seen => seen,
    }
}

async fn look(path: &Path, read_only: bool) -> Result<Schema, LedgerError> {
    let mut file = options(path)
        .read_only(read_only)
        .connect()
        .await
        .map_err(unusable(path))?;
    let schema = {
        // One transaction, one snapshot: between two looks at a new file, another process may
        // have filled it.
        let mut snapshot = file.begin().await.map_err(unusable(path))?;
        recognise(&mut snapshot, path).await
    };
    // Nothing was written, so nothing can be lost in closing.
    let _ = file.close().await;
    schema
}

async fn recognise(file: &mut SqliteConnection, path: &Path) -> Result<Schema, LedgerError> {
    let failed = unusable(path);
    let refused = |reason| LedgerError::NotALedger {
        path: path.to_owned(),
        reason,
    };

    let id: i64 = sqlx::query_scalar("PRAGMA application_id")
        .fetch_one(&mut *file)
        .await
        .map_err(failed)?;
    let page: u64 = sqlx::query_scalar("PRAGMA page_size")
        .fetch_one(&mut *file)
        .await
        .map_err(failed)?;
    if ends_within_a_page(path, page) {
        return Err(refused(
            "it is damaged: it ends in the middle of a page".to_owned(),
        ));
    }
    let (objects, migrations): (i64, i64) = sqlx::query_as(
        "SELECT count(*), count(*) FILTER (WHERE name = '_sqlx_migrations') FROM sqlite_schema",
    )
    .fetch_one(&mut *file)
    .await
    .map_err(failed)?;
    match (id, objects, migrations) {
        (0, 0, _) => return Ok(Schema::Empty),
        (APPLICATION_ID, _, 1) => {}
        (APPLICATION_ID, ..) => {
            return Err(refused("its list of migrations is missing".to_owned()));
        }
        _ => {
            return Err(refused(format!(
                "a database of another program: expected application_id {APPLICATION_ID:#x}, \
                 found {id:#x}"
            )));
        }
    }

    let applied: Vec<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT version, checksum FROM _sqlx_migrations ORDER BY version")
            .fetch_all(&mut *file)
            .await
            .map_err(failed)?;
    for (version, checksum) in &applied {
        match MIGRATIONS.iter().find(|known| known.version == *version) {
            Some(known) if *known.checksum == **checksum => {}
            Some(_) => {
                return Err(refused(format!(
                    "its schema {version} is not the one that this program knows by that number"
                )));
            }
            None => {
                return Err(LedgerError::Newer {
                    path: path.to_owned(),
                    found: applied.last().map_or(*version, |(last, _)| *last),
                    known: newest(),
                });
            }
        }
    }

    let verdict: String = sqlx::query_scalar("PRAGMA quick_check(1)")
        .fetch_one(&mut *file)
        .await
        .map_err(failed)?;
    if verdict != "ok" {
        let verdict: Vec<&str> = verdict.split_whitespace().collect();
        return Err(refused(format!("it is damaged: {}", verdict.join(" "))));
    }
    match applied.last() {
        Some((version, _)) if *version == newest() => Ok(Schema::Current),
        Some((version, _)) => Ok(Schema::Behind(*version)),
        None => Ok(Schema::Behind(0)),
    }
}

/// Whether the file has lost part of its last page, for which SQLite then reads zeros and finds no
/// fault; of a few bytes it makes an empty database. A log of changes beside it may hold that page,
/// as a power cut while it was written leaves it.
fn ends_within_a_page(path: &Path, page: u64) -> bool {
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |found| found.len());
    size(&beside(path, "-wal")) == 0 && !size(path).is_multiple_of(page)
}

/// Opens the file for reading and writing.
async fn connect(path: &Path) -> Result<SqlitePool, LedgerError> {
    let options = options(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let deadline = Instant::now() + BUSY;
    loop {
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS)
            // When SQLite rolls back by itself (a full disk: <https://sqlite.org/lang_transaction.html>
            // §3.1), sqlx's own ROLLBACK fails and it counts the transaction as open for ever
            // (0.9.0): such a connection could never begin another one.
            .before_acquire(|connection, _| {
                Box::pin(async move { Ok(!connection.is_in_transaction()) })
            })
            .connect_with(options.clone())
            .await;
        match pool {
            // Turning a new file to WAL needs a lock for which SQLite does not wait by itself,
            // and two processes may open the file for the first time at once.
            Err(error)
                if primary_code(&error) == Some(SQLITE_BUSY) && Instant::now() < deadline =>
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            done => return done.map_err(unusable(path)),
        }
    }
}

/// Brings the schema up to date, all of it in one transaction: two processes that start at once
/// take turns, and the second finds nothing left to do. (`Migrator::run` would begin a
/// transaction for each migration.)
async fn migrate(pool: &SqlitePool, now: Timestamp) -> Result<(), LedgerError> {
    let failed = LedgerError::during("migrate the ledger");
    let refused = |error: MigrateError| failed(error.into());
    let mut connection = pool.acquire().await.map_err(failed)?;
    // A table that is built anew is gone for a moment (<https://sqlite.org/lang_altertable.html>
    // §7); the pragma does nothing inside a transaction.
    sqlx::query("PRAGMA foreign_keys = OFF")
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    let mut transaction = connection
        .begin_with("BEGIN IMMEDIATE")
        .await
        .map_err(failed)?;
    transaction
        .ensure_migrations_table(MIGRATIONS_TABLE)
        .await
        .map_err(refused)?;
    let applied = transaction
        .list_applied_migrations(MIGRATIONS_TABLE)
        .await
        .map_err(refused)?;
    for migration in MIGRATIONS.iter() {
        if applied.iter().all(|done| done.version != migration.version) {
            transaction
                .apply(MIGRATIONS_TABLE, migration)
                .await
                .map_err(refused)?;
        }
    }
    sqlx::query("INSERT INTO ledger (one, created_at) VALUES (1, ?) ON CONFLICT DO NOTHING")
        .bind(columns::moment(now))
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
    let broken: Vec<(String, Option<i64>)> =
        sqlx::query_as("SELECT \"table\", rowid FROM pragma_foreign_key_check")
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed)?;
    if let Some((table, row)) = broken.first() {
        return Err(LedgerError::BadRow(format!(
            "row {row:?} of {table} refers to a row that does not exist"
        )));
    }
    transaction.commit().await.map_err(failed)?;
    sqlx::query("PRAGMA foreign_keys = ON")
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    Ok(())
}

async fn ledger(pool: SqlitePool, opened: Opened) -> Result<Ledger, LedgerError> {
    let created_at: String = sqlx::query_scalar("SELECT created_at FROM ledger")
        .fetch_one(&pool)
        .await
        .map_err(LedgerError::during("read when the ledger was created"))?;
    Ok(Ledger {
        pool,
        file: Arc::new(opened),
        created_at: columns::parsed("ledger.created_at", &created_at)?,
        turn: Arc::new(Mutex::new(())),
    })
}

/// The newest schema known here.
fn newest() -> i64 {
    MIGRATIONS
        .iter()
        .map(|known| known.version)
        .max()
        .unwrap_or(0)
}

// https://sqlite.org/rescode.html
const SQLITE_BUSY: i32 = 5;
const SQLITE_IOERR: i32 = 10;
const SQLITE_CORRUPT: i32 = 11;
const SQLITE_CANTOPEN: i32 = 14;
const SQLITE_NOTADB: i32 = 26;
const SQLITE_READONLY_ROLLBACK: i32 = 776;
const SQLITE_READONLY_DIRECTORY: i32 = 1544;
const SQLITE_IOERR_SHMOPEN: i32 = 4618;
const SQLITE_IOERR_SHMSIZE: i32 = 4874;

/// What SQLite says of a file, in the words of [`LedgerError`]; for `map_err`.
fn unusable(path: &Path) -> impl Fn(sqlx::Error) -> LedgerError + Copy + '_ {
    move |source| match primary_code(&source) {
        Some(SQLITE_CORRUPT | SQLITE_NOTADB) => LedgerError::NotALedger {
            path: path.to_owned(),
            reason: source.to_string(),
        },
        Some(SQLITE_CANTOPEN) => LedgerError::Io {
            path: path.to_owned(),
            // SQLite does not say why; the system does.
            source: match File::open(path) {
                Ok(_) => io::Error::other(source),
                Err(error) => error,
            },
        },
        // Even a reader leaves files beside the ledger.
        _ if extended_code(&source) == Some(SQLITE_READONLY_DIRECTORY) => LedgerError::Io {
            path: path.to_owned(),
            source: io::Error::new(io::ErrorKind::PermissionDenied, source),
        },
        // The first that SQLite wants is room for the file by which its processes know each other.
        Some(SQLITE_IOERR)
            if matches!(
                extended_code(&source),
                Some(SQLITE_IOERR_SHMOPEN | SQLITE_IOERR_SHMSIZE)
            ) =>
        {
            LedgerError::Io {
                path: path.to_owned(),
                source: io::Error::other(format!("{source}; is the disk full?")),
            }
        }
        _ => LedgerError::during("open the ledger")(source),
    }
}

/// Whether SQLite says that the file is not what it has written.
pub(super) fn is_damage(error: &sqlx::Error) -> bool {
    matches!(primary_code(error), Some(SQLITE_CORRUPT | SQLITE_NOTADB))
}

/// SQLite's result code without its extension in the higher bits.
fn primary_code(error: &sqlx::Error) -> Option<i32> {
    extended_code(error).map(|code| code & 0xff)
}

fn extended_code(error: &sqlx::Error) -> Option<i32> {
    error.as_database_error()?.code()?.parse().ok()
}

fn needs_rollback(error: &sqlx::Error) -> bool {
    extended_code(error) == Some(SQLITE_READONLY_ROLLBACK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_whose_disk_has_gone_was_not_deleted() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("ledger.db");
        std::fs::write(&path, "").unwrap();
        let mut opened = Opened::at(&path).unwrap();
        opened.is_in_its_place().unwrap();
        std::fs::remove_file(&path).unwrap();
        let deleted = opened.is_in_its_place().unwrap_err();
        assert!(deleted.needs_a_new_start(), "{deleted}");
        // What is seen where the disk was mounted.
        opened.disk += 1;
        let gone = opened.is_in_its_place().unwrap_err();
        assert!(!gone.needs_a_new_start() && gone.is_temporary(), "{gone}");
    }
}
