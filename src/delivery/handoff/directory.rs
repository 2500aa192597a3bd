//! Numbers as files in a directory that another program empties.
//!
//! Guarantees: a file appears under its final name only when it is complete, and once: what was
//! taken away does not come back, whatever was killed in between, and not from a ledger restored from
//! a backup. Who may enter the directory may read the files. Left out on purpose: making the
//! directory, for whom it is for must be able to enter it.
//!
//! All of it goes through a hidden directory inside, [`HIDDEN`]. There the files are written, then an
//! empty file named for the webhook-id says that they are complete, and from then on they are only moved
//! out. Whoever finds that file writes nothing any more and moves what is still there; so it stays for
//! good, an empty file an import.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io::{self, ErrorKind, Write as _},
    os::unix::fs::{
        DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown,
    },
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::timeout;

use super::{
    super::{
        Attempt, Unreachable,
        compose::{Event, Told},
    },
    Drop, Format,
};
use crate::{
    ledger::Letter,
    platform::{self, Encoding},
};

/// Where files are written before they appear; on the same file system as these, being inside.
const HIDDEN: &str = ".invoice-trackd";

/// In [`HIDDEN`]; whoever writes has it locked.
const LOCK: &str = "lock";

/// Whatever the umask: the directory says who may read.
const MODE: u32 = 0o644;

pub(super) async fn send(
    drop: &Drop,
    letter: &Letter,
    within: Duration,
) -> Result<Attempt, Unreachable> {
    let step = format!("write to {}", drop.path.display());
    let unreachable = |words: &str| Unreachable(format!("{step}: {words}"));
    let set = Set::of(letter, &drop.formats).map_err(|words| unreachable(&words))?;
    let place = drop.path.clone();
    let writing = tokio::task::spawn_blocking(move || set.appear_in(&place));
    // A file system that hangs keeps its thread, and the lock, but not the dispatcher.
    let written = timeout(within, writing).await.map_err(io::Error::from);
    let written = written.and_then(|finished| finished.map_err(io::Error::from));
    match written.flatten() {
        Ok(()) => Ok(Attempt {
            accepted: letter.recipients.iter().cloned().collect(),
            ..Attempt::default()
        }),
        Err(error) => Err(unreachable(&error.to_string())),
    }
}

impl Format {
    fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::E0501 => "xml",
            Self::Json => "json",
        }
    }
}

/// The files of one hand-off.
#[derive(Debug, PartialEq, Eq)]
struct Set {
    /// The webhook-id, fit for a file's name.
    id: String,
    /// Each with its bytes, at least one.
    files: Vec<(Format, Vec<u8>)>,
}

impl Set {
    /// A withdrawal is told as JSON only, whatever the formats: files of numbers are there to be
    /// loaded.
    fn of(letter: &Letter, formats: &[Format]) -> Result<Self, String> {
        let id = &letter.message_id;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if id.is_empty() || !id.bytes().all(is_plain) {
            return Err(format!(
                "expected a webhook-id of ours to name the files, found {id}"
            ));
        }
        let told = Told::read(&letter.eml)?;
        let formats = match told.event {
            Event::Imported => formats,
            Event::Withdrawn => &[Format::Json],
        };
        let files = formats.iter().map(|format| {
            let bytes = match format {
                Format::Csv => platform::csv(&told.allocations, Encoding::Utf8),
                Format::E0501 => platform::e0501(&told.allocations),
                Format::Json => letter.eml.clone(),
            };
            (*format, bytes)
        });
        Ok(Self {
            id: id.clone(),
            files: files.collect(),
        })
    }

    /// Lets the files appear, unless they have before.
    fn appear_in(&self, place: &Path) -> io::Result<()> {
        if !place.is_dir() {
            return Err(io::Error::new(
                ErrorKind::NotFound,
                "expected a directory that exists, found none; make it, and let the service write there",
            ));
        }
        let hidden = place.join(HIDDEN);
        match DirBuilder::new().mode(0o700).create(&hidden) {
            Ok(()) => as_the_directory(&File::open(&hidden)?, place)?,
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            Err(_) => {}
        }
        // Held to the end, also by a thread that nobody waits for any more.
        let lock = lock(&hidden.join(LOCK), place)?;
        let appeared = self.appear_locked(place, &hidden);
        // Said, and not left to the closing: a process that is just being made may share it.
        lock.unlock()?;
        appeared
    }

    fn appear_locked(&self, place: &Path, hidden: &Path) -> io::Result<()> {
        let complete = hidden.join(&self.id);
        if !complete.try_exists()? {
            // An attempt that was broken off wrote other formats, perhaps, and none to its end.
            for format in Format::ALL {
                absent(fs::remove_file(self.unfinished(hidden, format)))?;
            }
            for (format, bytes) in &self.files {
                write(&self.unfinished(hidden, *format), bytes)?;
            }
            // In this order on the disk as well, or the power fails and leaves a promise of nothing.
            sync(hidden)?;
            File::create_new(&complete)?.sync_all()?;
            sync(hidden)?;
        }
        // Those that were written then, whatever is configured now.
        for format in Format::ALL {
            let appears = place.join(format!("{}.{}", self.id, format.extension()));
            absent(fs::rename(self.unfinished(hidden, format), appears))?;
        }
        sync(place)?;
        sync(hidden)
    }

    fn unfinished(&self, hidden: &Path, format: Format) -> PathBuf {
        hidden.join(format!("{}.{}", self.id, format.extension()))
    }
}

/// Lets those who may write in the directory write in what root has made inside: root may run a command
/// before the service, which is somebody else, has handed anything over. `made` was made just now.
fn as_the_directory(made: &File, place: &Path) -> io::Result<()> {
    if made.metadata()?.uid() != 0 {
        return Ok(());
    }
    let place = fs::metadata(place)?;
    fchown(made, Some(place.uid()), Some(place.gid()))?;
    made.set_permissions(Permissions::from_mode(place.mode() & 0o777))
}

/// What is not there need not be touched.
fn absent(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Nobody else writes while it is held: not a command beside a daemon that starts, and not an attempt
/// that hung and was given up.
fn lock(path: &Path, place: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let made = options.write(true).mode(0o600).create_new(true).open(path);
    let file = match made {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            OpenOptions::new().write(true).open(path)?
        }
        made => {
            let made = made?;
            as_the_directory(&made, place)?;
            made
        }
    };
    file.try_lock().map_err(|error| match error {
        TryLockError::Error(error) => error,
        TryLockError::WouldBlock => io::Error::new(
            ErrorKind::WouldBlock,
            "an earlier attempt is still being made",
        ),
    })?;
    Ok(file)
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.set_permissions(Permissions::from_mode(MODE))?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A name is durable only with its directory.
fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
