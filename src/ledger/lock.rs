//! The lock that makes a daemon the only one on a ledger, and what it writes down there for whoever
//! asks from outside.
//!
//! Left out on purpose: the ledger itself, which others read and write beside a daemon. Guarantees:
//! the lock ends with its process; looking for a daemon creates nothing, and the ledger, which may
//! be what fails, is not needed for it.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read as _},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use super::{
    LedgerError,
    open::{beside, give_to_owner, not_created},
};

/// How long the lock file is from the first moment: what is written over it later needs no room on
/// a disk that is full.
const LOCK_FILE: usize = 1024;

/// The right to be the one daemon on a ledger; given back when dropped, or when the process dies.
#[derive(Debug)]
pub struct DaemonLock {
    file: File,
}

impl DaemonLock {
    /// Writes down, for whoever asks from outside, what keeps the daemon from writing to the
    /// ledger; nothing when it can.
    ///
    /// # Errors
    /// The system's.
    pub fn note(&self, trouble: Option<&str>) -> io::Result<()> {
        let mut text = format!("{}\n", std::process::id());
        for word in trouble.unwrap_or_default().split_whitespace() {
            if text.len() + word.len() + 1 >= LOCK_FILE {
                break;
            }
            text.push_str(word);
            text.push(' ');
        }
        let mut block = text.into_bytes();
        block.resize(LOCK_FILE, b'\n');
        self.file.write_all_at(&block, 0)
    }
}

/// A daemon, as it wrote itself down in the lock file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Daemon {
    /// The number of its process.
    pub process: String,
    /// What keeps it from writing to the ledger, since when and in whose words.
    pub trouble: Option<String>,
}

/// See [`Ledger::lock`](super::Ledger::lock).
pub(super) fn lock(path: &Path) -> Result<DaemonLock, LedgerError> {
    let io = |source| LedgerError::Io {
        path: path.to_owned(),
        source,
    };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(lock_file(path))
        .map_err(|error| not_created(path, error))?;
    give_to_owner(&file, path);
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let pid = noted(&mut file).process;
            return Err(LedgerError::Locked {
                path: path.to_owned(),
                pid,
            });
        }
        Err(TryLockError::Error(source)) => return Err(io(source)),
    }
    let lock = DaemonLock { file };
    lock.note(None).map_err(io)?;
    Ok(lock)
}

/// See [`Ledger::daemon`](super::Ledger::daemon). A daemon that starts in the moment of this look
/// could find the lock taken, and is started again by systemd.
pub(super) fn daemon(path: &Path) -> Option<Daemon> {
    let mut file = File::open(lock_file(path)).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Some(noted(&mut file)),
        Ok(()) | Err(TryLockError::Error(_)) => None,
    }
}

/// What the daemon that has the lock wrote down; it only helps a person, and so may be missing.
fn noted(file: &mut File) -> Daemon {
    let mut text = String::new();
    let _ = file.read_to_string(&mut text);
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    Daemon {
        process: lines.next().unwrap_or("unknown").to_owned(),
        trouble: lines.next().map(str::to_owned),
    }
}

/// The file that a daemon locks, beside the ledger.
fn lock_file(path: &Path) -> PathBuf {
    beside(path, ".lock")
}
