//! A local Maildir, watched like a folder on a server.
//!
//! Left out on purpose: subfolders, flags, and delivering anything. What stands in `tmp` is not
//! delivered yet and is never looked at.
//!
//! Guarantee: a file is known by its name up to `:2,`, which neither a move from `new` to `cur`
//! nor a change of flags alters, so each message is handed over once. A file that cannot be read
//! holds up no other: it is said when all others have been handed over.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    fs::Metadata,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::{Timestamp, civil::Date};
use tokio::{
    fs::{self, File},
    io::AsyncReadExt,
    time::{Instant, sleep},
};

use super::{
    BATCH_BYTES, Content, Gate, Known, LATEST, MAX_HEADER, MAX_LONG_HEADER, MailboxError, News,
    Origin, Probe, RawMessage, Want, header_within, probe,
};
use crate::{clock::taipei_date, pulse::Pulse};

/// A look is taken after this long in any case, as IDLE is renewed.
const LOOK_ANYWAY: Duration = Duration::from_secs(60);

/// How many files one batch may hold.
const FILES_AT_ONCE: usize = 100;

/// A Maildir, not being looked at.
#[derive(Debug, PartialEq, Eq)]
pub struct Maildir {
    name: String,
    path: PathBuf,
    poll: Duration,
    since: Option<Date>,
}

/// A Maildir being looked at.
#[derive(Debug)]
pub struct MaildirLink {
    mailbox: String,
    path: PathBuf,
    poll: Duration,
    since: Option<Date>,
    /// What the last survey saw.
    seen: Files,
    /// What of it is missing.
    missing: Files,
    /// The first of the missing that could not be read.
    unreadable: Option<MailboxError>,
    pulse: Arc<Pulse>,
}

/// Unique names and where the files stand.
type Files = BTreeMap<String, PathBuf>;

impl Maildir {
    /// `path` holds `new` and `cur`; it is looked at every `poll`. Files last changed before
    /// `since` (a day in Taipei) are not looked into.
    pub fn new(name: String, path: PathBuf, poll: Duration, since: Option<Date>) -> Self {
        Self {
            name,
            path,
            poll,
            since,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) async fn probe(&self, gate: Gate<'_>) -> Result<Probe, MailboxError> {
        // Nobody watches over this but the person who asked for it.
        let link = self.open(&Arc::new(Pulse::new(Duration::ZERO))).await?;
        let files = list(&self.path).await?;
        Ok(Probe {
            messages: files.len() as u64,
            news: News::Polled(self.poll),
            latest: probe::latest(async |found| link.latest(files, gate, found).await).await,
        })
    }

    pub(super) async fn open(&self, pulse: &Arc<Pulse>) -> Result<MaildirLink, MailboxError> {
        list(&self.path).await?;
        Ok(MaildirLink {
            mailbox: self.name.clone(),
            path: self.path.clone(),
            poll: self.poll,
            since: self.since,
            seen: Files::new(),
            missing: Files::new(),
            unreadable: None,
            pulse: Arc::clone(pulse),
        })
    }
}

impl MaildirLink {
    pub(super) async fn survey(&mut self, known: &Known) -> Result<usize, MailboxError> {
        self.pulse.within(Duration::ZERO);
        self.seen = list(&self.path).await?;
        self.unreadable = None;
        self.missing.clear();
        for (file, path) in &self.seen {
            if !known.files.contains(file) && !self.is_too_old(path).await {
                self.missing.insert(file.clone(), path.clone());
            }
        }
        Ok(self.missing.len())
    }

    pub(super) async fn next_batch(
        &mut self,
        gate: Gate<'_>,
    ) -> Result<Option<Vec<RawMessage>>, MailboxError> {
        self.pulse.within(Duration::ZERO);
        if self.missing.is_empty() {
            return self.unreadable.take().map_or(Ok(None), Err);
        }
        let mut batch = Vec::new();
        let mut bytes = 0;
        while batch.len() < FILES_AT_ONCE && bytes < BATCH_BYTES {
            let Some((file, path)) = self.missing.pop_first() else {
                break;
            };
            match self.read(file, path, gate).await {
                Ok(Some(message)) => {
                    if let Content::Whole(body) | Content::Oversized(body) = &message.content {
                        bytes += body.len() as u64;
                    }
                    batch.push(message);
                }
                Ok(None) => {}
                Err(error) => _ = self.unreadable.get_or_insert(error),
            }
        }
        Ok(Some(batch))
    }

    /// Returns when files have come or gone since the last survey; a moved file has done neither.
    pub(super) async fn wait(&mut self, within: Duration) -> Result<(), MailboxError> {
        let until = Instant::now() + LOOK_ANYWAY.min(within);
        while list(&self.path).await?.keys().eq(self.seen.keys()) && Instant::now() < until {
            self.pulse.within(self.poll);
            sleep(self.poll).await;
        }
        Ok(())
    }

    /// Adds the newest [`LATEST`] of `files` that the gate wants whole.
    async fn latest(
        &self,
        files: Files,
        gate: Gate<'_>,
        found: &mut Vec<RawMessage>,
    ) -> Result<(), MailboxError> {
        let mut newest_first = Vec::new();
        for (file, path) in files {
            // One that cannot be asked is read last, which says why.
            let metadata = fs::metadata(&path).await.ok();
            let changed = metadata.and_then(|metadata| changed(&metadata));
            newest_first.push((Reverse(changed), file, path));
        }
        newest_first.sort();
        let mut unreadable = Ok(());
        for (_, file, path) in newest_first {
            match self.read(file, path, gate).await {
                Ok(message) => {
                    let whole = |message: &RawMessage| matches!(message.content, Content::Whole(_));
                    found.extend(message.filter(whole));
                }
                Err(error) => unreadable = unreadable.and(Err(error)),
            }
            if found.len() == LATEST {
                break;
            }
        }
        // One that cannot be read says nothing of the others.
        if found.is_empty() { unreadable } else { Ok(()) }
    }

    /// Whether a file was last changed before `since`; one that cannot be asked is not.
    async fn is_too_old(&self, path: &Path) -> bool {
        let Some(since) = self.since else {
            return false;
        };
        let metadata = fs::metadata(path).await.ok();
        let changed = metadata.and_then(|metadata| changed(&metadata));
        changed.is_some_and(|changed| taipei_date(changed) < since)
    }

    /// `None` where the file is gone, or not written yet.
    async fn read(
        &self,
        file: String,
        path: PathBuf,
        gate: Gate<'_>,
    ) -> Result<Option<RawMessage>, MailboxError> {
        let failed = |source| MailboxError::Io {
            operation: format!("read {}", path.display()),
            source,
        };
        let mut opened = match File::open(&path).await {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Another program has moved it, or given it a flag, since it was listed.
                let now = list(&self.path).await?.remove(&file);
                match now.filter(|now| *now != path) {
                    None => return Ok(None),
                    Some(now) => File::open(&now).await.map_err(failed)?,
                }
            }
            Err(error) => return Err(failed(error)),
        };
        let metadata = opened.metadata().await.map_err(failed)?;
        let size = metadata.len();
        if size == 0 {
            // Put here by what does not know `tmp`, such as scp; the next survey finds it again.
            return Ok(None);
        }
        let internal_date = changed(&metadata);

        let mut bytes = Vec::new();
        let mut head = (&mut opened).take(MAX_HEADER as u64);
        head.read_to_end(&mut bytes).await.map_err(failed)?;
        let mut most = MAX_HEADER;
        let mut want = gate(header_within(&bytes, most), size);
        // Where this is all of the header, or of the file, there is nothing more to be seen.
        if want == Want::Nothing && header_within(&bytes, most).len() == most {
            most = MAX_LONG_HEADER;
            let mut more = (&mut opened).take((MAX_LONG_HEADER - MAX_HEADER) as u64);
            more.read_to_end(&mut bytes).await.map_err(failed)?;
            want = gate(header_within(&bytes, most), size);
        }
        let content = match want {
            Want::Nothing => Content::Unwanted,
            Want::TooLarge => Content::Oversized(header_within(&bytes, most).to_vec()),
            Want::Whole => {
                let rest = size.saturating_sub(bytes.len() as u64);
                let mut rest = (&mut opened).take(rest);
                rest.read_to_end(&mut bytes).await.map_err(failed)?;
                Content::Whole(bytes)
            }
        };
        Ok(Some(RawMessage {
            origin: Origin::Maildir {
                mailbox: self.mailbox.clone(),
                file,
            },
            internal_date,
            size,
            content,
        }))
    }
}

fn changed(metadata: &Metadata) -> Option<Timestamp> {
    Timestamp::try_from(metadata.modified().ok()?).ok()
}

/// Every message's file. `cur` is read last, so that one moved there meanwhile is not overlooked.
async fn list(maildir: &Path) -> Result<Files, MailboxError> {
    let mut files = Files::new();
    for folder in ["new", "cur"] {
        let folder = maildir.join(folder);
        let failed = |source| MailboxError::Io {
            operation: format!("list {}", folder.display()),
            source,
        };
        let mut entries = fs::read_dir(&folder).await.map_err(failed)?;
        while let Some(entry) = entries.next_entry().await.map_err(failed)? {
            let name = entry.file_name().to_string_lossy().into_owned();
            let kind = entry.file_type().await;
            // To open a pipe is to wait for its writer, who may never come.
            let is_mail = match kind {
                Ok(kind) if kind.is_symlink() => {
                    let target = fs::metadata(entry.path()).await;
                    target.is_ok_and(|target| target.is_file())
                }
                kind => kind.is_ok_and(|kind| kind.is_file()),
            };
            // maildir(5): readers skip names that begin with a dot.
            if name.starts_with('.') || !is_mail {
                continue;
            }
            let unique = name.split_once(":2,").map_or(&*name, |(unique, _)| unique);
            files.insert(unique.to_owned(), entry.path());
        }
    }
    Ok(files)
}
