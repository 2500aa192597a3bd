//! Who may change what the configuration says, and what it leads to.
//!
//! Left out on purpose: the group. Whoever gives a group the right to write names people who may;
//! a umask of 0002 gives it to a group of one.
//!
//! Guarantee: only looks, and waits for nobody.

use std::{
    fmt,
    fs::{self, File},
    io,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;

/// "Others may write": neither the owner nor the group.
const OTHERS_WRITE: u32 = 0o002;
/// Files in the directory may be taken away by their owner alone (inode(7)).
const STICKY: u32 = 0o1000;

/// What others may do and should not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooOpen {
    path: PathBuf,
    mode: u32,
    is_directory: bool,
}

impl fmt::Display for TooOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, mode) = (self.path.display(), self.mode);
        let (expected, at) = match self.is_directory {
            true => (
                "a directory in which others may not put another file in its place",
                format!("{path} with "),
            ),
            false => ("a file that others may not write", String::new()),
        };
        write!(
            f,
            "expected {expected}, found {at}mode {mode:04o}; run `chmod o-w {path}`"
        )
    }
}

/// Opens a file, and nothing that would keep us waiting for somebody to write into it.
pub(super) fn regular(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let file = options.read(true).custom_flags(nonblocking).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other(
            "expected a file, found a directory, a device or a pipe",
        ));
    }
    Ok(file)
}

/// What is wrong with the file at `path`, or with the directory in which it is.
pub(super) fn open_to_others(path: &Path) -> Option<TooOpen> {
    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o7777;
    let file = (mode & OTHERS_WRITE != 0).then(|| TooOpen {
        path: path.to_owned(),
        mode,
        is_directory: false,
    });
    file.or_else(|| open_directory(path))
}

/// What is wrong with the directory in which the file at `path` is, links followed.
pub(super) fn open_directory(path: &Path) -> Option<TooOpen> {
    let path = path.canonicalize().ok()?.parent()?.to_owned();
    let mode = fs::metadata(&path).ok()?.permissions().mode() & 0o7777;
    (mode & OTHERS_WRITE != 0 && mode & STICKY == 0).then_some(TooOpen {
        path,
        mode,
        is_directory: true,
    })
}
