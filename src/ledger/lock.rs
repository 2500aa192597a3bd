//! The lock that makes a daemon the only one on a ledger, and what it writes down there for whoever
//! asks from outside.
//!
//! Left out on purpose: the ledger itself, which others read and write beside a daemon. Guarantees:
//! the lock ends with its process; looking for a daemon creates nothing, and the ledger, which may
//! be what fails, is not needed for it.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read as _},
    os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    thread::sleep,
    time::Duration,
};

use super::{
    LedgerError,
    open::{beside, give_to_owner, not_created},
};

/// How long the lock file is from the first moment: what is written over it later needs no room on
/// a disk that is full.
const LOCK_FILE: usize = 1024;

/// Whoever looks for a daemon shares the lock for less than this.
const A_LOOK: Duration = Duration::from_millis(10);

/// So many of them are waited for.
const LOOKS: u32 = 100;

/// The right to be the one daemon on a ledger; given back when dropped, or when the process dies.
#[derive(Debug)]
pub struct DaemonLock {
    file: File,
    path: PathBuf,
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

    /// Whether the file that is locked is the one that a second daemon would try to lock.
    ///
    /// # Errors
    /// [`LedgerError::Unlocked`] when it is not.
    pub fn is_in_its_place(&self) -> Result<(), LedgerError> {
        let path = self.path.clone();
        let held = self.file.metadata();
        match (held, std::fs::metadata(&path)) {
            (Ok(held), Ok(found)) if (held.dev(), held.ino()) == (found.dev(), found.ino()) => {
                Ok(())
            }
            (Ok(_), Ok(_)) => Err(LedgerError::Unlocked { path }),
            (_, Err(error)) if error.kind() == io::ErrorKind::NotFound => {
                Err(LedgerError::Unlocked { path })
            }
            (Err(source), _) | (_, Err(source)) => Err(LedgerError::Io { path, source }),
        }
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
    let locked = lock_file(path);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&locked)
        .map_err(|error| not_created(path, error))?;
    give_to_owner(&file, path);
    let mut looks = LOOKS;
    while let Err(error) = file.try_lock() {
        match error {
            TryLockError::Error(source) => return Err(io(source)),
            TryLockError::WouldBlock if looks > 0 && is_only_looked_at(&file) => {
                looks -= 1;
                sleep(A_LOOK);
            }
            TryLockError::WouldBlock => {
                let pid = noted(&mut file).process;
                return Err(LedgerError::Locked {
                    path: path.to_owned(),
                    pid,
                });
            }
        }
    }
    let lock = DaemonLock { file, path: locked };
    lock.note(None).map_err(io)?;
    Ok(lock)
}

/// Whether the lock is taken by none but those who look for a daemon, as [`daemon`] does.
fn is_only_looked_at(file: &File) -> bool {
    let is_shared = file.try_lock_shared().is_ok();
    is_shared && file.unlock().is_ok()
}

/// See [`Ledger::daemon`](super::Ledger::daemon).
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
