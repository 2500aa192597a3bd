//! What the operator names: messages in files, directories, Maildirs, mbox files and on standard
//! input, and the platform's own files.
//!
//! Guarantee: neither a long list of files nor a large file is ever held in memory as a whole, but
//! for a file of the platform's, which is refused above 32 MiB.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressBarIter};
use jiff::Timestamp;

use self::mbox::Mbox;
use crate::{
    mailbox::{Content, Origin, RawMessage, header_of},
    platform,
};

mod mbox;

/// How an mbox file begins.
const MBOX: &[u8] = b"From ";

/// So many mistakes of one file are named; the rest are counted.
const MISTAKES: usize = 20;

/// How much of a file of the platform's is read, bytes: some 400,000 rows.
const MOST_BYTES: u64 = 32 * 1024 * 1024;

/// The files at a path, in a stable order: the file itself, a Maildir's messages, or all `.eml`
/// files, mbox files, Maildirs and files of the platform's below a directory.
#[derive(Debug)]
pub(super) struct Files {
    root: PathBuf,
    /// What is still to be looked at, the next one last; the files of a Maildir as such.
    ahead: Vec<(PathBuf, Place)>,
    found: bool,
}

/// Where a file stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Named,
    Directory,
    Maildir,
}

impl Files {
    /// # Errors
    /// When there is nothing at `path`.
    pub(super) fn at(path: &Path) -> anyhow::Result<Self> {
        fs::metadata(path).with_context(|| format!("read {}", path.display()))?;
        Ok(Self {
            root: path.to_owned(),
            ahead: vec![(path.to_owned(), Place::Named)],
            found: false,
        })
    }

    /// Puts what stands in a directory ahead.
    fn descend(&mut self, directory: &Path) -> anyhow::Result<()> {
        let is_maildir = directory.join("new").is_dir() && directory.join("cur").is_dir();
        let (parts, place) = if is_maildir {
            let parts = ["new", "cur"].map(|part| directory.join(part)).to_vec();
            (parts, Place::Maildir)
        } else {
            (vec![directory.to_owned()], Place::Directory)
        };
        let mut all = Vec::new();
        for part in parts {
            let listing = || format!("list {}", part.display());
            let mut entries = Vec::new();
            for entry in fs::read_dir(&part).with_context(listing)? {
                entries.push((entry.with_context(listing)?.path(), place));
            }
            entries.sort_by(|(one, _), (other, _)| one.cmp(other));
            all.extend(entries);
        }
        self.ahead.extend(all.into_iter().rev());
        Ok(())
    }
}

impl Iterator for Files {
    /// A file, or a directory that cannot be listed; the others come all the same.
    type Item = anyhow::Result<PathBuf>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some((path, place)) = self.ahead.pop() {
            // A link to a directory is not followed: it may lead back up. A pipe is not opened:
            // its writer may never come. A link that leads nowhere is somebody's missing mail.
            if path.is_dir() {
                let is_ours = match place {
                    Place::Named => true,
                    Place::Directory => !path.is_symlink(),
                    Place::Maildir => false,
                };
                if is_ours && let Err(error) = self.descend(&path) {
                    self.found = true;
                    return Some(Err(error));
                }
            } else if place == Place::Named
                || (path.is_file() || !path.exists())
                    && (place == Place::Maildir || is_mail(&path) || is_platform_s(&path))
            {
                self.found = true;
                return Some(Ok(path));
            }
        }
        if self.found {
            return None;
        }
        self.found = true;
        let root = self.root.display();
        Some(Err(anyhow::anyhow!(
            "{root}: expected .eml files, mbox files, a Maildir, invnoapply*.csv or E0501 .xml files in it, found none"
        )))
    }
}

/// Whether a file that nobody named is mail, by its name or, where that says nothing, as an mbox
/// by its content.
fn is_mail(path: &Path) -> bool {
    match path.extension() {
        Some(_) => is_called_mail(path),
        None => File::open(path)
            .and_then(|file| beginning(file).map(|(start, _)| start == MBOX))
            .unwrap_or(false),
    }
}

/// Whether a file that nobody named is one of the platform's: its CSV by the name that the platform
/// gives it, E0501 by its content, for Turnkey leaves other messages of MIG as `.xml` too.
fn is_platform_s(path: &Path) -> bool {
    const LOOKED_AT: u64 = 4096;
    let starts = |name: &str| name.to_ascii_lowercase().starts_with("invnoapply");
    if has_extension(path, "csv") {
        path.file_name()
            .is_some_and(|name| starts(&name.to_string_lossy()))
    } else {
        has_extension(path, "xml")
            && File::open(path).is_ok_and(|file| {
                let mut start = Vec::new();
                let read = file.take(LOOKED_AT).read_to_end(&mut start);
                read.is_ok() && platform::kind(&start).is_some()
            })
    }
}

fn has_extension(path: &Path, expected: &str) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case(expected))
}

/// A file of the platform's, told by its content; `None` for anything that may be mail. What is
/// called `.eml` is mail however it begins, for its sender has written that.
///
/// # Errors
/// When it cannot be read or holds anything that is not understood: each mistake on a line of its
/// own, with the file, line and column.
pub(super) fn platform_file(
    path: &Path,
    bar: &ProgressBar,
) -> anyhow::Result<Option<(RawMessage, platform::File)>> {
    let in_maildir = path
        .parent()
        .is_some_and(|parent| parent.ends_with("new") || parent.ends_with("cur"));
    if is_called_mail(path) || in_maildir {
        return Ok(None);
    }
    let reading = || format!("read {}", path.display());
    // What is read from a pipe here would be missing from the mail in it.
    if !fs::metadata(path).with_context(reading)?.is_file() {
        return Ok(None);
    }
    let (file, size, modified) = open(path)?;
    let is_called_so = has_extension(path, "csv") || has_extension(path, "xml");
    let mut bytes = Vec::new();
    let mut start = (&file).take(4096);
    start.read_to_end(&mut bytes).with_context(reading)?;
    let Some(kind) = platform::kind(&bytes) else {
        if is_called_so {
            bail!(
                "{}: expected the platform's CSV (its first line names 營業人統編) or MIG E0501 XML, found something else; download the file again",
                path.display()
            );
        }
        return Ok(None);
    };
    if size > MOST_BYTES {
        bail!(
            "{}: expected at most {MOST_BYTES} bytes, found {size}; split the file",
            path.display()
        );
    }
    (&file)
        .take(MOST_BYTES)
        .read_to_end(&mut bytes)
        .with_context(reading)?;
    bar.inc(bytes.len() as u64);
    let read = platform::read(kind, &bytes).map_err(|mistakes| {
        let lines = mistakes.iter().take(MISTAKES);
        let mut lines: Vec<String> = lines
            .map(|mistake| format!("{}:{mistake}", path.display()))
            .collect();
        if let more @ 1.. = mistakes.len().saturating_sub(MISTAKES) {
            lines.push(format!("{}: and {more} more mistakes", path.display()));
        }
        anyhow::anyhow!("{}", lines.join("\n"))
    })?;
    let found = RawMessage {
        origin: Origin::File {
            path: path.display().to_string(),
        },
        internal_date: modified,
        size: bytes.len() as u64,
        content: Content::Whole(bytes),
    };
    Ok(Some((found, read)))
}

fn is_called_mail(path: &Path) -> bool {
    has_extension(path, "eml") || has_extension(path, "mbox")
}

/// The first bytes, and what reads on behind them.
fn beginning<R: Read>(mut from: R) -> io::Result<(Vec<u8>, R)> {
    let mut start = Vec::new();
    from.by_ref()
        .take(MBOX.len() as u64)
        .read_to_end(&mut start)?;
    Ok((start, from))
}

/// The messages of one file.
#[derive(Debug)]
pub(super) struct Messages {
    path: PathBuf,
    max_bytes: u64,
    kind: Kind,
}

type Progressing = io::Chain<io::Cursor<Vec<u8>>, BufReader<ProgressBarIter<File>>>;

#[derive(Debug)]
enum Kind {
    One(Option<RawMessage>),
    Many(Box<Mbox<Progressing>>, u64),
    Over,
}

impl Messages {
    /// The messages in the file at `path`; an mbox is told by how it begins. Of each message no
    /// more than `max_bytes` is read into memory. `bar` is told of every byte.
    ///
    /// # Errors
    /// When it cannot be read, or is nothing that is read here.
    pub(super) fn of(path: &Path, max_bytes: u64, bar: &ProgressBar) -> anyhow::Result<Self> {
        let reading = || format!("read {}", path.display());
        let (file, size, modified) = open(path)?;
        let (start, file) = beginning(bar.wrap_read(file)).with_context(reading)?;
        let is_called_mbox = has_extension(path, "mbox");
        let is_mbox = start == MBOX;
        let nothing = start.is_empty();
        let from = io::Cursor::new(start).chain(BufReader::new(file));
        let kind = if is_mbox {
            Kind::Many(Box::new(Mbox::new(from, max_bytes)), 0)
        } else if is_called_mbox && nothing {
            Kind::Over
        } else if is_called_mbox {
            bail!(
                "{}: expected an mbox file, which begins with `From `, found something else",
                path.display()
            );
        } else {
            let mut message = from_reader(from, size, max_bytes).with_context(reading)?;
            if !path.is_file() {
                refuse_in_a_pipe(path, &message)?;
            }
            message.origin = Origin::File {
                path: path.display().to_string(),
            };
            message.internal_date = modified;
            Kind::One(Some(message))
        };
        Ok(Self {
            path: path.to_owned(),
            max_bytes,
            kind,
        })
    }
}

impl Iterator for Messages {
    /// A message, or why the rest of the file cannot be read; nothing comes after that.
    type Item = anyhow::Result<RawMessage>;

    fn next(&mut self) -> Option<Self::Item> {
        let (mbox, number) = match &mut self.kind {
            Kind::One(message) => return message.take().map(Ok),
            Kind::Many(mbox, number) => (mbox, number),
            Kind::Over => return None,
        };
        let path = self.path.display();
        match mbox.next()? {
            Ok(message) => {
                *number += 1;
                Some(Ok(RawMessage {
                    origin: Origin::File {
                        path: format!("{path}:{number}"),
                    },
                    internal_date: None,
                    size: message.size,
                    content: content(message.bytes, message.size, self.max_bytes),
                }))
            }
            Err(error) => {
                let what = format!("read {path} behind message {number}");
                self.kind = Kind::Over;
                Some(Err(anyhow::Error::from(error).context(what)))
            }
        }
    }
}

/// One message from a file; more than `max_bytes` of it are not read.
pub(super) fn message(path: &Path, max_bytes: u64) -> anyhow::Result<RawMessage> {
    let reading = || format!("read {}", path.display());
    let (file, size, modified) = open(path)?;
    let (start, file) = beginning(file).with_context(reading)?;
    if start == MBOX {
        bail!(
            "{}: expected one message (RFC 5322), found an mbox file; `ingest` reads those",
            path.display()
        );
    }
    let from = start.as_slice().chain(file);
    let mut message = from_reader(from, size, max_bytes).with_context(reading)?;
    if !is_called_mail(path) {
        refuse_platform_s(&path.display().to_string(), &message)?;
    }
    message.origin = Origin::File {
        path: path.display().to_string(),
    };
    message.internal_date = modified;
    Ok(message)
}

/// Says of a file of the platform's that came through a pipe how it is read.
fn refuse_in_a_pipe(path: &Path, message: &RawMessage) -> anyhow::Result<()> {
    match &message.content {
        Content::Whole(bytes) | Content::Oversized(bytes) if platform::kind(bytes).is_some() => {
            bail!(
                "{}: expected mail, found a file of the platform's in a pipe; name the file itself",
                path.display()
            )
        }
        _ => Ok(()),
    }
}

/// Says of a file of the platform's where it is read.
fn refuse_platform_s(name: &str, message: &RawMessage) -> anyhow::Result<()> {
    let (Content::Whole(bytes) | Content::Oversized(bytes)) = &message.content else {
        return Ok(());
    };
    match platform::kind(bytes) {
        None => Ok(()),
        Some(kind) => {
            let what = match kind {
                platform::Source::Csv => "the platform's CSV",
                platform::Source::E0501 => "MIG E0501 XML",
            };
            bail!(
                "{name}: expected one message (RFC 5322), found {what}; `ingest` reads that, and says what became of each row"
            )
        }
    }
}

/// A file with its size in bytes and the time of its last change.
fn open(path: &Path) -> anyhow::Result<(File, u64, Option<Timestamp>)> {
    let reading = || format!("read {}", path.display());
    let file = File::open(path).with_context(reading)?;
    let metadata = file.metadata().with_context(reading)?;
    if metadata.is_dir() {
        bail!(
            "{}: expected a file with one message, found a directory; `ingest` reads those",
            path.display()
        );
    }
    let modified = metadata
        .modified()
        .ok()
        .and_then(|at| Timestamp::try_from(at).ok());
    Ok((file, metadata.len(), modified))
}

/// One message from standard input.
pub(super) fn message_from_stdin(max_bytes: u64) -> anyhow::Result<RawMessage> {
    let (start, stdin) = beginning(io::stdin().lock()).context("read standard input")?;
    if start == MBOX {
        bail!(
            "standard input: expected one message (RFC 5322), found an mbox file; `ingest` reads those"
        );
    }
    let message =
        from_reader(start.as_slice().chain(stdin), 0, max_bytes).context("read standard input")?;
    refuse_platform_s("standard input", &message)?;
    Ok(message)
}

fn from_reader(mut from: impl Read, size: u64, max_bytes: u64) -> anyhow::Result<RawMessage> {
    let mut bytes = Vec::new();
    from.by_ref()
        .take(max_bytes.saturating_add(1))
        .read_to_end(&mut bytes)?;
    let size = size.max(u64::try_from(bytes.len())?);
    let origin = Origin::File {
        path: "-".to_owned(),
    };
    Ok(RawMessage {
        origin,
        internal_date: None,
        size,
        content: content(bytes, size, max_bytes),
    })
}

fn content(bytes: Vec<u8>, size: u64, max_bytes: u64) -> Content {
    if size > max_bytes {
        Content::Oversized(header_of(&bytes).to_vec())
    } else {
        Content::Whole(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_oversized_message_keeps_its_header_only() {
        let mail = [b"Subject: x\r\n\r\n".as_slice(), &[b'a'; 5000]].concat();
        let message = from_reader(mail.as_slice(), 0, 1000).unwrap();
        assert_eq!(
            message.content,
            Content::Oversized(b"Subject: x\r\n\r\n".to_vec())
        );
        let message = from_reader(mail.as_slice(), 5014, 5014).unwrap();
        assert_eq!(message.content, Content::Whole(mail));
    }

    /// Paths of files below `root`.
    fn found(root: &Path) -> Vec<String> {
        let files = Files::at(root).unwrap().map(Result::unwrap);
        let names = files.map(|file| file.strip_prefix(root).unwrap().display().to_string());
        names.collect()
    }

    #[test]
    fn a_directory_without_mail_is_said_once() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("note.txt"), "x").unwrap();
        let mut files = Files::at(root.path()).unwrap();
        let error = files.next().unwrap().unwrap_err().to_string();
        assert!(error.contains("found none"), "{error}");
        assert!(files.next().is_none());
        assert!(Files::at(&root.path().join("nosuch")).is_err());
    }

    #[test]
    fn a_file_that_is_only_called_mbox_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a.mbox");
        let bar = ProgressBar::hidden();
        fs::write(&path, "Subject: x\n\n").unwrap();
        let error = Messages::of(&path, 10, &bar).unwrap_err().to_string();
        assert!(error.contains("a.mbox: expected an mbox file"), "{error}");
        fs::write(&path, "").unwrap();
        assert_eq!(Messages::of(&path, 10, &bar).unwrap().count(), 0);
    }

    #[test]
    fn a_directory_gives_its_messages_and_those_of_maildirs_below() {
        let root = tempfile::tempdir().unwrap();
        for directory in ["a", "box/new", "box/cur", "box/tmp"] {
            fs::create_dir_all(root.path().join(directory)).unwrap();
        }
        for file in [
            "a/2.eml",
            "a/1.eml",
            "a/note.txt",
            "box/new/1.host",
            "box/cur/2.host:2,S",
        ] {
            fs::write(root.path().join(file), "x").unwrap();
        }
        fs::write(root.path().join("box/tmp/3.host"), "x").unwrap();
        for (file, start) in [("a/INBOX", "From a@b"), ("a/README", "Fro"), ("b.MBOX", "")] {
            fs::write(root.path().join(file), start).unwrap();
        }
        assert_eq!(
            found(root.path()),
            [
                "a/1.eml",
                "a/2.eml",
                "a/INBOX",
                "b.MBOX",
                "box/new/1.host",
                "box/cur/2.host:2,S"
            ]
        );
    }

    #[test]
    fn a_link_that_leads_back_and_a_pipe_hold_nothing_up() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("a")).unwrap();
        fs::write(root.path().join("a/1.eml"), "x").unwrap();
        for link in ["x", "y"] {
            std::os::unix::fs::symlink("..", root.path().join("a").join(link)).unwrap();
        }
        let pipe = root.path().join("a/2.eml");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let silent = root.path().join("a/pipe");
        let made = std::process::Command::new("mkfifo").arg(&silent).status();
        assert!(made.unwrap().success());
        assert_eq!(found(root.path()), ["a/1.eml"]);
    }

    #[test]
    fn other_kinds_of_files_are_refused_with_their_name() {
        let directory = tempfile::tempdir().unwrap();
        let csv = directory.path().join("invnoapply.csv");
        fs::write(&csv, "營業人統編,發票期別\n").unwrap();
        let error = message(&csv, 1000).unwrap_err().to_string();
        assert!(
            error.contains("invnoapply.csv: expected one message"),
            "{error}"
        );
        assert!(error.contains("`ingest` reads that"), "{error}");
        let error = message(directory.path(), 10).unwrap_err().to_string();
        assert!(error.contains("found a directory"), "{error}");
        let mbox = directory.path().join("mbox");
        fs::write(&mbox, "From a@b Mon\nSubject: x\n\n").unwrap();
        let error = message(&mbox, 10).unwrap_err().to_string();
        assert!(error.contains("`ingest` reads those"), "{error}");
    }
}
