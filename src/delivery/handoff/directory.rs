//! Numbers as files in a directory that another program empties.
//!
//! Guarantees: a file appears under its final name only when it is complete, and once: what was
//! taken away does not come back, whatever was killed in between, and not from a ledger restored from
//! a backup. Who may enter the directory may read the files. Left out on purpose: making the
//! directory, for whom it is for must be able to enter it.
//!
//! Nor can whoever may write there have anything written elsewhere: both directories are held open, no link
//! inside is followed, and what is written has just been made.
//!
//! All of it goes through a hidden directory inside, [`HIDDEN`]. There the files are written, then an
//! empty file named for the webhook-id says that they are complete, and from then on they are only moved
//! out. Whoever finds that file writes nothing any more and moves what is still there; so it stays for
//! good, an empty file an import.

use std::{
    fs::{File, Permissions, TryLockError},
    io::{self, ErrorKind, Write as _},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown},
    path::Path,
    time::Duration,
};

use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags, mkdirat, open, openat, renameat, statat, unlinkat},
    io::Errno,
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
    fn appear_in(&self, path: &Path) -> io::Result<()> {
        let place = Place::open(path)?;
        // Held to the end, also by a thread that nobody waits for any more.
        let lock = place.lock()?;
        let appeared = self.appear_locked(&place);
        // Said, and not left to the closing: a process that is just being made may share it.
        lock.unlock()?;
        appeared
    }

    fn appear_locked(&self, place: &Place) -> io::Result<()> {
        let Place { visible, hidden } = place;
        if !is_file(hidden, &self.id)? {
            // An attempt that was broken off wrote other formats, perhaps, and none to its end.
            for format in Format::ALL {
                let name = self.name(format);
                absent(unlinkat(hidden, &name, AtFlags::empty()))
                    .map_err(|errno| inside(&name, errno))?;
            }
            for (format, bytes) in &self.files {
                let mut file = create(hidden, &self.name(*format))?;
                file.set_permissions(Permissions::from_mode(MODE))?;
                file.write_all(bytes)?;
                file.sync_all()?;
            }
            // In this order on the disk as well, or the power fails and leaves a promise of nothing.
            hidden.sync_all()?;
            create(hidden, &self.id)?.sync_all()?;
            hidden.sync_all()?;
        }
        // Those that were written then, whatever is configured now. A link of that name is replaced.
        for format in Format::ALL {
            let name = self.name(format);
            absent(renameat(hidden, &name, visible, &name)).map_err(|errno| {
                let errno = io::Error::from(errno);
                io::Error::new(errno.kind(), format!("{name}: {errno}"))
            })?;
        }
        // A name is durable only with its directory.
        visible.sync_all()?;
        hidden.sync_all()
    }

    /// Of one of its files, while it is written and when it appears.
    fn name(&self, format: Format) -> String {
        format!("{}.{}", self.id, format.extension())
    }
}

/// The directory and the hidden one inside.
struct Place {
    visible: File,
    hidden: File,
}

impl Place {
    /// Makes the hidden one where there is none.
    fn open(path: &Path) -> io::Result<Self> {
        let visible = visible(path)?;
        let made = match mkdirat(&visible, HIDDEN, Mode::RWXU) {
            Err(Errno::EXIST) => false,
            made => made.map(|()| true)?,
        };
        let hidden = hidden(&visible)?;
        if made {
            as_the_directory(&hidden, &visible)?;
        }
        Ok(Self { visible, hidden })
    }

    /// Nobody else writes while it is held: not a command beside a daemon that starts, and not an
    /// attempt that hung and was given up.
    fn lock(&self) -> io::Result<File> {
        let file = if is_file(&self.hidden, LOCK)? {
            // Nor is anybody waited for who would have to read what is put in its place just now.
            let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            openat(&self.hidden, LOCK, flags, Mode::empty())
                .map(File::from)
                .map_err(|errno| inside(LOCK, errno))?
        } else {
            let made = create(&self.hidden, LOCK)?;
            as_the_directory(&made, &self.visible)?;
            made
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
}

/// Tries whether files could appear in the directory; leaves none behind.
pub(super) fn probe(path: &Path) -> io::Result<()> {
    let name = format!(".invoice-trackd-check.{}", std::process::id());
    let try_in = |directory: &File| {
        create(directory, &name)?;
        unlinkat(directory, &name, AtFlags::empty()).map_err(io::Error::from)
    };
    let visible = visible(path)?;
    try_in(&visible)?;
    match hidden(&visible) {
        // It is made when the first files appear.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        hidden => try_in(&hidden?),
    }
}

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

/// The path is the operator's, links and all.
fn visible(path: &Path) -> io::Result<File> {
    match open(path, DIRECTORY, Mode::empty()) {
        Err(Errno::NOENT | Errno::NOTDIR) => Err(io::Error::new(
            ErrorKind::NotFound,
            "expected a directory that exists, found none; make it, and let the service write there",
        )),
        opened => Ok(opened?.into()),
    }
}

fn hidden(visible: &File) -> io::Result<File> {
    openat(
        visible,
        HIDDEN,
        DIRECTORY.union(OFlags::NOFOLLOW),
        Mode::empty(),
    )
    .map(File::from)
    .map_err(|errno| match errno {
        // Which of the two a link is depends on the file system. open(2)
        Errno::LOOP | Errno::NOTDIR => io::Error::new(
            ErrorKind::NotADirectory,
            format!(
                "expected {HIDDEN} in it to be a directory, found a link or a file, which is not \
                 followed; see who put it there, and take it away"
            ),
        ),
        errno => {
            let error = io::Error::from(errno);
            io::Error::new(error.kind(), format!("{HIDDEN} in it: {error}"))
        }
    })
}

/// Whether there is such a file in the hidden directory.
fn is_file(hidden: &File, name: &str) -> io::Result<bool> {
    match statat(hidden, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(inside(name, errno)),
        Ok(found) if FileType::from_raw_mode(found.st_mode).is_file() => Ok(true),
        Ok(_) => Err(inside(name, Errno::LOOP)),
    }
}

/// A file that was not there.
fn create(directory: &File, name: &str) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR;
    Ok(openat(directory, name, flags, mode)?.into())
}

/// What stands in the way in the hidden directory.
fn inside(name: &str, errno: Errno) -> io::Error {
    let error = io::Error::from(errno);
    let words = match errno {
        Errno::LOOP | Errno::ISDIR | Errno::NXIO => format!(
            "expected {HIDDEN}/{name} in it to be a file, found a link or something else, which is \
             not followed; see who put it there, and take it away"
        ),
        _ => format!("{HIDDEN}/{name} in it: {error}"),
    };
    io::Error::new(error.kind(), words)
}

/// Lets those who may write in the directory write in what root has made inside: root may run a command
/// before the service, which is somebody else, has handed anything over. `made` was made just now.
fn as_the_directory(made: &File, visible: &File) -> io::Result<()> {
    if made.metadata()?.uid() != 0 {
        return Ok(());
    }
    let visible = visible.metadata()?;
    fchown(made, Some(visible.uid()), Some(visible.gid()))?;
    made.set_permissions(Permissions::from_mode(visible.mode() & 0o777))
}

/// What is not there need not be touched.
fn absent(done: rustix::io::Result<()>) -> rustix::io::Result<()> {
    match done {
        Err(Errno::NOENT) => Ok(()),
        done => done,
    }
}
