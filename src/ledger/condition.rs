//! Whether a ledger could be used, for a person who asks before the daemon does.
//!
//! Guarantee: nothing is left behind that was not there before, for it would belong to whoever asks
//! (root, as a rule) and keep the daemon out; no schema is brought up to date. Left out on purpose:
//! how much room the disk has.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use jiff::Timestamp;

use super::{Ledger, LedgerError, lock::Daemon};

/// A ledger that could be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// How far it has got.
    pub stage: Stage,
    /// The daemon that runs on it.
    pub daemon: Option<Daemon>,
}

/// How far a ledger has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// There is none; the daemon will create it.
    ToBeCreated,
    /// It is from before this version; the daemon will bring it up to date.
    ToBeMigrated,
    /// It was read and written to.
    Ready,
}

impl Ledger {
    /// Tries all that the daemon will need of the ledger at `path`. `now` is written nowhere.
    ///
    /// # Errors
    /// As [`Ledger::open`].
    pub async fn condition(path: &Path, now: Timestamp) -> Result<Condition, LedgerError> {
        let stage = match Self::open_for_reading(path).await {
            Ok(None) => {
                may_create_in(path)?;
                Stage::ToBeCreated
            }
            Err(LedgerError::Older { .. }) => {
                may_create_in(path)?;
                Stage::ToBeMigrated
            }
            Ok(Some(ledger)) => {
                ledger.close().await;
                let ledger = Self::open(path, now).await?;
                let proof = ledger.prove_writable().await;
                ledger.close().await;
                proof?;
                Stage::Ready
            }
            Err(error) => return Err(error),
        };
        Ok(Condition {
            stage,
            daemon: Self::daemon(path),
        })
    }
}

/// SQLite writes beside the file (`-wal`, `-shm`), so the directory must let it in any case.
fn may_create_in(path: &Path) -> Result<(), LedgerError> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let file = directory.join(format!(".invoice-trackd-check.{}", std::process::id()));
    File::create_new(&file)
        .and_then(|_| fs::remove_file(&file))
        .map_err(|error| LedgerError::Io {
            path: path.to_owned(),
            source: match error.kind() {
                io::ErrorKind::NotFound => {
                    io::Error::new(error.kind(), "its directory does not exist")
                }
                _ => error,
            },
        })
}
