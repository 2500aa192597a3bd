//! Where mail is collected: one [`Source`] per watched folder, one [`Link`] while it is open.
//!
//! A link is pulled, never pushes: [`Link::survey`] compares the server's full set of messages
//! with what the ledger knows, [`Link::next_batch`] hands over what is missing,
//! [`Link::next_suspect`] what has made trouble before, [`Link::wait`] returns when there may be
//! something new. Whoever pulls decides what a mail means; this room does not know what a notice
//! is.
//!
//! Guarantees: every wait is bounded; an error ends the link, and what is open is never reused
//! after one. Without `after_import` nothing is marked, moved or deleted (EXAMINE, `BODY.PEEK`);
//! with it only what [`Link::file`] is given, and a refusal to do so is no error.

use std::{collections::HashSet, sync::Arc, time::Duration};

use jiff::Timestamp;

use crate::pulse::Pulse;

mod error;
mod imap;
mod maildir;
mod probe;
mod session;
mod suspicion;
mod sync;

pub use self::{
    error::MailboxError,
    imap::{Imap, ImapSettings},
    maildir::Maildir,
    probe::{News, Probe, ProbeError},
    suspicion::Suspicion,
    sync::UidSet,
};

/// Where one message was found.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Origin {
    /// A message on a server. RFC 9051 §2.3.1.1: the three together name it for ever.
    Imap {
        /// The configured mailbox's name.
        mailbox: String,
        /// The folder's UIDVALIDITY.
        uidvalidity: u32,
        /// The message's UID.
        uid: u32,
    },
    /// A file in a watched Maildir.
    Maildir {
        /// The configured mailbox's name.
        mailbox: String,
        /// The unique part of the file's name, without flags.
        file: String,
    },
    /// A file that the operator named.
    File {
        /// Its path as given.
        path: String,
    },
}

impl Origin {
    /// The configured mailbox's name; `None` for a file.
    pub fn mailbox(&self) -> Option<&str> {
        match self {
            Self::Imap { mailbox, .. } | Self::Maildir { mailbox, .. } => Some(mailbox),
            Self::File { .. } => None,
        }
    }

    /// What a person is told about the place: the mailbox's name, or the file's path.
    pub fn place(&self) -> &str {
        match self {
            Self::Imap { mailbox, .. } | Self::Maildir { mailbox, .. } => mailbox,
            Self::File { path } => path,
        }
    }
}

/// How much of a message was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// All of it, byte for byte.
    Whole(Vec<u8>),
    /// Too large: its header only (at most 64 KiB of it; where what decides stands further down,
    /// at most 1 MiB of it, or only the fields that decide).
    Oversized(Vec<u8>),
    /// The header said that it is nothing of ours.
    Unwanted,
    /// The server failed to hand it over too often.
    Unfetchable(Suspicion),
}

/// One message as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawMessage {
    /// Where.
    pub origin: Origin,
    /// INTERNALDATE, or the file's modification time.
    pub internal_date: Option<Timestamp>,
    /// RFC822.SIZE, bytes.
    pub size: u64,
    /// What was fetched.
    pub content: Content,
}

/// What is done on the server with a message whose ranges are recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AfterImport {
    /// It is moved to this folder.
    MoveTo(String),
    /// It is marked as seen.
    MarkSeen,
}

/// What came of asking the server to mark or move messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filing {
    /// Those that need not be asked for again: the server's tagged OK was read, or they had left
    /// the folder.
    pub done: UidSet,
    /// Why the others are as they were, in the server's words, and what to do about it. Nothing is
    /// filed for [`Bounds::refile`] then.
    pub refusal: Option<String>,
}

/// What to do with a message whose header has been seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// Fetch all of it.
    Whole,
    /// It would be wanted, but it is too large.
    TooLarge,
    /// Leave it.
    Nothing,
}

/// Decides from a header's bytes and the message's size (bytes) what to fetch.
pub type Gate<'a> = &'a (dyn Fn(&[u8], u64) -> Want + Send + Sync);

/// What the ledger has already accounted for in one folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// UIDs under the folder's present UIDVALIDITY.
    pub uids: UidSet,
    /// Unique names of Maildir files.
    pub files: HashSet<String>,
    /// UIDs that have made trouble and are due to be asked for again, in this order.
    pub suspects: Vec<u32>,
    /// UIDs that have made trouble and are left alone for now.
    pub resting: UidSet,
}

/// Messages that were asked for and did not come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trouble {
    /// The messages.
    pub uids: UidSet,
    /// Whether each of them is at fault by itself; if not, one of them is, or nobody knows what.
    pub named: bool,
    /// Whether the whole of another message came over the same connection, since the last survey.
    pub another_came: bool,
}

/// How long anything may take. No wait in this room is unbounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// TCP, TLS and greeting together.
    pub connect: Duration,
    /// One command, between two pieces of its answer; longer than a busy server's SEARCH pause.
    pub command: Duration,
    /// One command's whole answer, however steadily it drips; longer than a batch of 4 MiB takes
    /// on a line of 8 KiB/s, shorter than the 15 minutes after which a mailbox counts as dead.
    pub answer: Duration,
    /// IDLE is renewed after this; shorter than the 10 minutes after which some servers hang up.
    pub idle: Duration,
    /// How long the server may take to answer DONE.
    pub done: Duration,
    /// The pause between two looks where IDLE is missing.
    pub poll: Duration,
    /// How long nothing is marked or moved after the server refused to, over reconnects as well;
    /// long enough that a folder that is full or missing does not fill the log.
    pub refile: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(30),
            command: Duration::from_secs(60),
            answer: Duration::from_secs(600),
            idle: Duration::from_secs(300),
            done: Duration::from_secs(15),
            poll: Duration::from_secs(60),
            refile: Duration::from_secs(3600),
        }
    }
}

/// How much of a header is looked at, and kept of a message too large: 64 KiB.
const MAX_HEADER: usize = 64 << 10;

/// How many bytes of messages a batch is filled up to; one message may go past it.
const BATCH_BYTES: u64 = 4 << 20;

/// How many of the latest mails a person is shown.
const LATEST: usize = 20;

/// How much of a header is looked at where its first [`MAX_HEADER`] bytes do not end it and show
/// nothing of ours: a long chain of relays may have written above From and Subject.
const MAX_LONG_HEADER: usize = 1 << 20;

/// A message's header, up to and with the empty line, or 64 KiB of it.
pub fn header_of(message: &[u8]) -> &[u8] {
    header_within(message, MAX_HEADER)
}

/// A message's header, up to and with the empty line, or `most` bytes of it.
fn header_within(message: &[u8], most: usize) -> &[u8] {
    let ends_at = |line: &[u8]| {
        message
            .windows(line.len())
            .take(most)
            .position(|window| window == line)
            .map(|at| at + line.len())
    };
    let end = [ends_at(b"\n\r\n"), ends_at(b"\n\n")]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(message.len());
    message.get(..end.min(most)).unwrap_or(message)
}

/// A folder that can be watched.
#[derive(Debug)]
pub enum Source {
    /// On an IMAP server.
    Imap(Imap),
    /// A local Maildir.
    Maildir(Maildir),
}

impl Source {
    /// The configured name.
    pub fn name(&self) -> &str {
        match self {
            Self::Imap(imap) => imap.name(),
            Self::Maildir(maildir) => maildir.name(),
        }
    }

    /// Whether `other` is the same folder, reached in the same way: what is open under one of them
    /// may stay open under the other.
    pub fn is_same_place(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Imap(one), Self::Imap(other)) => one.is_same_place(other),
            (Self::Maildir(one), Self::Maildir(other)) => one == other,
            _ => false,
        }
    }

    /// Whether `other` would be logged in to with the same password or grant.
    pub fn has_same_login(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Imap(one), Self::Imap(other)) => one.has_same_login(other),
            _ => true,
        }
    }

    /// Connects, logs in and opens the folder: read-only, unless mail is to be filed in it. The link
    /// shows its signs of life to `pulse`.
    ///
    /// # Errors
    /// Any [`MailboxError`]; trying again later may help.
    pub async fn open(&self, pulse: &Arc<Pulse>) -> Result<Link, MailboxError> {
        match self {
            Self::Imap(imap) => {
                let link = imap.open(pulse).await?;
                Ok(Link::Imap(Box::new(link)))
            }
            Self::Maildir(maildir) => maildir.open(pulse).await.map(Link::Maildir),
        }
    }
}

/// An open folder. Dropped after its first error.
#[derive(Debug)]
pub enum Link {
    /// A session with an IMAP server.
    Imap(Box<imap::ImapLink>),
    /// A Maildir being looked at.
    Maildir(maildir::MaildirLink),
}

impl Link {
    /// The folder's UIDVALIDITY; a Maildir has none.
    pub fn uidvalidity(&self) -> Option<u32> {
        match self {
            Self::Imap(link) => Some(link.uidvalidity()),
            Self::Maildir(_) => None,
        }
    }

    /// UIDs whose INTERNALDATE lies before `day`: what a first scan leaves out.
    ///
    /// # Errors
    /// Any [`MailboxError`]; the link is then at its end.
    pub async fn older_than(&mut self, day: jiff::civil::Date) -> Result<UidSet, MailboxError> {
        match self {
            Self::Imap(link) => link.older_than(day).await,
            // A Maildir has no UIDs, and knows its files' age by itself.
            Self::Maildir(_) => Ok(UidSet::default()),
        }
    }

    /// Compares the folder's full set of messages with `known`; returns how many are missing.
    ///
    /// # Errors
    /// Any [`MailboxError`]; the link is then at its end.
    pub async fn survey(&mut self, known: &Known) -> Result<usize, MailboxError> {
        match self {
            Self::Imap(link) => link.survey(known).await,
            Self::Maildir(link) => link.survey(known).await,
        }
    }

    /// Fetches the next few of what the last survey found missing, suspects not among them; `None`
    /// when that is done. Afterwards [`Link::trouble`] says what did not come.
    ///
    /// # Errors
    /// Any [`MailboxError`]; the link is then at its end.
    pub async fn next_batch(
        &mut self,
        gate: Gate<'_>,
    ) -> Result<Option<Vec<RawMessage>>, MailboxError> {
        match self {
            Self::Imap(link) => link.next_batch(gate).await,
            Self::Maildir(link) => link.next_batch(gate).await,
        }
    }

    /// Fetches the next suspect, by itself, once another message has been fetched; `None` when none
    /// is left. Afterwards [`Link::trouble`] says whether it came.
    ///
    /// # Errors
    /// Any [`MailboxError`]; the link is then at its end.
    pub async fn next_suspect(
        &mut self,
        gate: Gate<'_>,
    ) -> Result<Option<Vec<RawMessage>>, MailboxError> {
        match self {
            Self::Imap(link) => link.next_suspect(gate).await,
            // A file that cannot be read holds up no other to begin with.
            Self::Maildir(_) => Ok(None),
        }
    }

    /// What the last fetch asked for and did not get; after an error, what was in hand.
    pub fn trouble(&self) -> Trouble {
        match self {
            Self::Imap(link) => link.trouble(),
            Self::Maildir(_) => Trouble::default(),
        }
    }

    /// What the last survey found missing below the highest UID that is known, although nothing had
    /// been missing over this connection before: what was accounted for is not any more, or the
    /// server numbers its mail out of order.
    pub fn holes(&self) -> UidSet {
        match self {
            Self::Imap(link) => link.holes(),
            Self::Maildir(_) => UidSet::default(),
        }
    }

    /// Suspects, due or resting, that the last survey did not find: they have left the folder.
    pub fn gone(&self) -> UidSet {
        match self {
            Self::Imap(link) => link.gone(),
            Self::Maildir(_) => UidSet::default(),
        }
    }

    /// Whether mail whose ranges are recorded is to be given to [`Link::file`] just now.
    pub fn files(&self) -> bool {
        match self {
            Self::Imap(link) => link.files(),
            Self::Maildir(_) => false,
        }
    }

    /// Marks or moves some of `uids`, as many as one command holds, as `after_import` asks. Asking
    /// again for what was filed before is harmless. A survey comes first.
    ///
    /// # Errors
    /// Any [`MailboxError`]; the link is then at its end, and some of them may have been filed.
    pub async fn file(&mut self, uids: &UidSet) -> Result<Filing, MailboxError> {
        match self {
            Self::Imap(link) => link.file(uids).await,
            Self::Maildir(_) => Ok(Filing::default()),
        }
    }

    /// Returns when there may be something new, or when it is time to look in any case: after
    /// `within` at the latest, which is no reason to end the link.
    ///
    /// # Errors
    /// Any [`MailboxError`]; the link is then at its end.
    pub async fn wait(&mut self, within: Duration) -> Result<(), MailboxError> {
        match self {
            Self::Imap(link) => link.wait(within).await,
            Self::Maildir(link) => link.wait(within).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_ends_with_its_empty_line_whatever_the_line_ends() {
        assert_eq!(header_of(b"A: b\r\n\r\nbody\n\nmore"), b"A: b\r\n\r\n");
        assert_eq!(header_of(b"A: b\n\nbody\r\n\r\nmore"), b"A: b\n\n");
        assert_eq!(header_of(b"A: b"), b"A: b");
        assert_eq!(header_of(&vec![b'x'; MAX_HEADER + 1]).len(), MAX_HEADER);
    }
}
