//! Messages that the operator names: files, directories of them, Maildirs, standard input.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use jiff::Timestamp;

use crate::mailbox::{Content, Origin, RawMessage, header_of};

/// The message files at `path`, in a stable order: the file itself, a Maildir's messages, or all
/// `.eml` files and Maildirs below a directory.
pub(super) fn expand(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let metadata = fs::metadata(path).with_context(|| format!("read {}", path.display()))?;
    if !metadata.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    descend(path, &mut files)?;
    if files.is_empty() {
        bail!(
            "{}: expected .eml files or a Maildir in it, found none",
            path.display()
        );
    }
    Ok(files)
}

fn descend(directory: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let is_maildir = directory.join("new").is_dir() && directory.join("cur").is_dir();
    let parts = if is_maildir {
        vec![directory.join("new"), directory.join("cur")]
    } else {
        vec![directory.to_owned()]
    };
    for part in parts {
        let mut entries = Vec::new();
        for entry in fs::read_dir(&part).with_context(|| format!("list {}", part.display()))? {
            entries.push(
                entry
                    .with_context(|| format!("list {}", part.display()))?
                    .path(),
            );
        }
        entries.sort();
        for entry in entries {
            let is_eml = entry
                .extension()
                .is_some_and(|extension| extension.eq_ignore_ascii_case("eml"));
            // A link to a directory is not followed: it may lead back up. A pipe is not opened:
            // its writer may never come. A link that leads nowhere is somebody's missing mail.
            if entry.is_dir() {
                if !is_maildir && !entry.is_symlink() {
                    descend(&entry, files)?;
                }
            } else if (is_eml || is_maildir) && (entry.is_file() || !entry.exists()) {
                files.push(entry);
            }
        }
    }
    Ok(())
}

/// One message from a file; more than `max_bytes` of it are not read.
pub(super) fn message(path: &Path, max_bytes: u64) -> anyhow::Result<RawMessage> {
    let reading = || format!("read {}", path.display());
    refuse_other_kinds(path)?;
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
    let mut message = from_reader(file, metadata.len(), max_bytes).with_context(reading)?;
    message.origin = Origin::File {
        path: path.display().to_string(),
    };
    message.internal_date = modified;
    Ok(message)
}

/// One message from standard input.
pub(super) fn message_from_stdin(max_bytes: u64) -> anyhow::Result<RawMessage> {
    from_reader(io::stdin().lock(), 0, max_bytes).context("read standard input")
}

fn from_reader(mut from: impl Read, size: u64, max_bytes: u64) -> anyhow::Result<RawMessage> {
    let mut bytes = Vec::new();
    from.by_ref()
        .take(max_bytes.saturating_add(1))
        .read_to_end(&mut bytes)?;
    let size = size.max(u64::try_from(bytes.len())?);
    if let Some(line) = bytes.split(|byte| *byte == b'\n').next()
        && line.starts_with(b"From ")
    {
        bail!(
            "expected one message (RFC 5322), found an mbox file; this version reads one message a file, directories of them, and Maildirs"
        );
    }
    let content = if size > max_bytes {
        Content::Oversized(header_of(&bytes).to_vec())
    } else {
        Content::Whole(bytes)
    };
    let origin = Origin::File {
        path: "-".to_owned(),
    };
    Ok(RawMessage {
        origin,
        internal_date: None,
        size,
        content,
    })
}

fn refuse_other_kinds(path: &Path) -> anyhow::Result<()> {
    let extension = path
        .extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or_default();
    if extension.eq_ignore_ascii_case("csv") || extension.eq_ignore_ascii_case("xml") {
        bail!(
            "{}: expected a message (RFC 5322), found a .{extension} file; this version does not read the platform's CSV and E0501 files yet",
            path.display()
        );
    }
    Ok(())
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
        let found: Vec<String> = expand(root.path())
            .unwrap()
            .iter()
            .map(|path| {
                path.strip_prefix(root.path())
                    .unwrap()
                    .display()
                    .to_string()
            })
            .collect();
        assert_eq!(
            found,
            ["a/1.eml", "a/2.eml", "box/new/1.host", "box/cur/2.host:2,S"]
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
        assert_eq!(expand(root.path()).unwrap(), [root.path().join("a/1.eml")]);
    }

    #[test]
    fn other_kinds_of_files_are_refused_with_their_name() {
        let error = message(Path::new("/x/invnoapply.csv"), 10)
            .unwrap_err()
            .to_string();
        assert!(error.contains("invnoapply.csv"), "{error}");
        let directory = tempfile::tempdir().unwrap();
        let error = message(directory.path(), 10).unwrap_err().to_string();
        assert!(error.contains("found a directory"), "{error}");
        let error = from_reader(&b"From a@b Mon\nSubject: x\n\n"[..], 0, 100).unwrap_err();
        assert!(error.to_string().contains("mbox"), "{error}");
    }
}
