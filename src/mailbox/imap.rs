//! One folder on an IMAP server.
//!
//! Comparing, batching and waiting; how the server is spoken to is `session`'s. Left out on
//! purpose: reconnecting, which belongs to whoever holds the [`Imap`].
//!
//! Guarantees: a UID leaves the list of missing ones only in the batch that accounts for it, or as
//! [`Trouble`]; a suspect is asked for alone, and after another message came over the same
//! connection wherever the folder holds one, so that a failure is the suspect's own.

use std::{
    collections::{BTreeMap, VecDeque},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use jiff::civil::Date;

use self::filing::Rest;
use super::{
    AfterImport, BATCH_BYTES, Bounds, Content, Gate, Known, MAX_HEADER, MailboxError, Origin,
    RawMessage, Trouble, UidSet, Want, header_of,
    session::{Access, Capabilities, Head, Opened, Part, Session, opening},
};
use crate::{
    backoff::{self, Backoff},
    oauth::Credential,
    pulse::Pulse,
    tls::TlsMode,
};

mod filing;
mod latest;
mod probe;

/// RFC 2683 §3.2.1.5: a command line stays below 1000 bytes. A UID and its comma take up to 11,
/// the question itself some 110.
const HEADERS_AT_ONCE: u32 = 75;

/// How many bodies one batch may hold.
const BODIES_AT_ONCE: usize = 50;

/// The pause after a look that the server's news had brought about and that found nothing. It
/// doubles, up to the pause where there is no IDLE: a server that makes news up must not keep us
/// listing its folder.
const IN_VAIN: Duration = Duration::from_secs(1);

/// How to reach a folder.
#[derive(Debug, Clone)]
pub struct ImapSettings {
    /// The configured mailbox's name.
    pub name: String,
    /// Host name; certificates are checked against it.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Protection.
    pub tls: TlsMode,
    /// A private CA instead of the system's authorities.
    pub ca_file: Option<PathBuf>,
    /// The name to log in with.
    pub username: String,
    /// What proves it: a password (LOGIN) or an access token (XOAUTH2).
    pub credential: Credential,
    /// The folder to watch, as the operator writes it (UTF-8).
    pub folder: String,
    /// What is done with mail whose ranges are recorded; `None`: nothing, and the folder is opened
    /// read-only.
    pub after_import: Option<AfterImport>,
    /// How long anything may take.
    pub bounds: Bounds,
}

/// A folder on a server, not connected.
#[derive(Debug)]
pub struct Imap {
    settings: Box<ImapSettings>,
    /// Outlives each session: a server that refuses must not be asked again at every reconnect.
    rest: Arc<Rest>,
}

/// A folder on a server, open.
#[derive(Debug)]
pub struct ImapLink {
    mailbox: String,
    bounds: Bounds,
    after_import: Option<AfterImport>,
    rest: Arc<Rest>,
    session: Session,
    capabilities: Capabilities,
    folder: Opened,
    /// What the last survey found, without what has been moved away since.
    listed: UidSet,
    /// Copied to the other folder and not yet removed from this one.
    copied: UidSet,
    missing: UidSet,
    /// Nothing was missing any more, once, over this connection.
    caught_up: bool,
    holes: UidSet,
    /// Due, in this order.
    suspects: VecDeque<u32>,
    /// What is in the folder and no suspect.
    others: UidSet,
    gone: UidSet,
    /// What has been asked for and has not come.
    lacking: UidSet,
    /// Whether each of `lacking` is at fault by itself.
    named: bool,
    another_came: bool,
    /// Whether the server's news ended the last wait.
    called: bool,
    /// Looks in a row to which the server called for nothing.
    in_vain: u32,
}

impl ImapSettings {
    /// For what the folder is opened: no further than what is asked for.
    fn access(&self) -> Access {
        match self.after_import {
            None => Access::Read,
            Some(AfterImport::MoveTo(_) | AfterImport::MarkSeen) => Access::Write,
        }
    }
}

impl Imap {
    /// Nothing is connected yet.
    pub fn new(settings: ImapSettings) -> Self {
        Self {
            settings: Box::new(settings),
            rest: Arc::default(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.settings.name
    }

    pub(super) fn is_same_place(&self, other: &Self) -> bool {
        // Taken apart, so that a new setting is not forgotten here.
        let ImapSettings {
            name,
            host,
            port,
            tls,
            ca_file,
            username,
            credential: _,
            folder,
            after_import,
            bounds,
        } = &*self.settings;
        let other = &other.settings;
        *name == other.name
            && (host, port, tls) == (&other.host, &other.port, &other.tls)
            && *ca_file == other.ca_file
            && (username, folder) == (&other.username, &other.folder)
            && *after_import == other.after_import
            && *bounds == other.bounds
    }

    pub(super) fn has_same_login(&self, other: &Self) -> bool {
        (self.settings.credential).is_same(&other.settings.credential)
    }

    pub(super) async fn open(&self, pulse: &Arc<Pulse>) -> Result<ImapLink, MailboxError> {
        let session = Session::open(&self.settings, pulse).await?;
        self.link(session).await
    }

    /// As [`super::Source::open`], over a connection that the fuzzer plays the server on.
    ///
    /// # Errors
    /// Any [`MailboxError`].
    #[cfg(fuzzing)]
    pub async fn open_over(
        &self,
        stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
        pulse: &Arc<Pulse>,
    ) -> Result<super::Link, MailboxError> {
        let session = Session::open_over(stream, &self.settings, pulse).await?;
        let link = self.link(session).await?;
        Ok(super::Link::Imap(Box::new(link)))
    }

    /// Opens the folder over a session that is logged in.
    async fn link(&self, mut session: Session) -> Result<ImapLink, MailboxError> {
        let settings = &*self.settings;
        let capabilities = session.capabilities().await?;
        let folder = session
            .open_folder(&settings.folder, settings.access())
            .await?
            .map_err(|answer| MailboxError::Refused {
                operation: opening(&settings.folder),
                answer,
            })?;
        Ok(ImapLink {
            mailbox: settings.name.clone(),
            bounds: settings.bounds,
            after_import: settings.after_import.clone(),
            rest: Arc::clone(&self.rest),
            session,
            capabilities,
            folder,
            listed: UidSet::default(),
            copied: UidSet::default(),
            missing: UidSet::default(),
            caught_up: false,
            holes: UidSet::default(),
            suspects: VecDeque::new(),
            others: UidSet::default(),
            gone: UidSet::default(),
            lacking: UidSet::default(),
            named: false,
            another_came: false,
            called: false,
            in_vain: 0,
        })
    }
}

impl ImapLink {
    pub(super) fn uidvalidity(&self) -> u32 {
        self.folder.uidvalidity
    }

    pub(super) async fn older_than(&mut self, day: Date) -> Result<UidSet, MailboxError> {
        self.session.before(day).await
    }

    pub(super) async fn survey(&mut self, known: &Known) -> Result<usize, MailboxError> {
        self.another_came = false;
        let all = self.session.all().await?;
        let suspects = UidSet::from_runs(
            (known.suspects.iter().map(|&uid| (uid, uid)))
                .chain(known.resting.runs().iter().copied()),
        );
        self.gone = suspects.difference(&all);
        self.others = all.difference(&suspects);
        self.missing = self.others.difference(&known.uids);
        self.holes = match known.uids.highest() {
            Some(highest) if self.caught_up => self.missing.below(highest),
            _ => UidSet::default(),
        };
        self.listed = all.clone();
        let due = known.suspects.iter().copied();
        self.suspects = due.filter(|&uid| all.contains(uid)).collect();
        let found = self.missing.len() + self.suspects.len();
        self.in_vain = match self.called && found == 0 {
            true => self.in_vain.saturating_add(1),
            false => 0,
        };
        Ok(found)
    }

    pub(super) fn holes(&self) -> UidSet {
        self.holes.clone()
    }

    pub(super) fn gone(&self) -> UidSet {
        self.gone.clone()
    }

    pub(super) fn trouble(&self) -> Trouble {
        Trouble {
            uids: self.lacking.clone(),
            named: self.named || self.lacking.len() == 1,
            another_came: self.another_came,
        }
    }

    pub(super) async fn next_batch(
        &mut self,
        gate: Gate<'_>,
    ) -> Result<Option<Vec<RawMessage>>, MailboxError> {
        let asked = self.missing.first(HEADERS_AT_ONCE);
        if asked.is_empty() {
            self.lacking = asked;
            self.caught_up = true;
            return Ok(None);
        }
        let (batch, accounted) = self.fetch(asked, gate).await?;
        self.missing = self.missing.difference(&accounted);
        Ok(Some(batch))
    }

    pub(super) async fn next_suspect(
        &mut self,
        gate: Gate<'_>,
    ) -> Result<Option<Vec<RawMessage>>, MailboxError> {
        self.lacking = UidSet::default();
        if self.suspects.is_empty() {
            return Ok(None);
        }
        if !self.another_came {
            self.fetch_another().await?;
        }
        let Some(uid) = self.suspects.pop_front() else {
            return Ok(None);
        };
        let (batch, _) = self.fetch(UidSet::from_iter([uid]), gate).await?;
        Ok(Some(batch))
    }

    /// Fetches some message that nobody suspects and throws it away: when the server hands over
    /// that one, it is not the server that fails. Which one is left to chance, for it may be one
    /// that nobody has ever asked for and that is no better than the suspects.
    async fn fetch_another(&mut self) -> Result<(), MailboxError> {
        let at = (backoff::random() * self.others.len() as f64) as usize;
        let another: UidSet = self.others.nth(at).into_iter().collect();
        self.session.heads(&another).await?;
        let beginning = self.session.bodies(&another, Part::Beginning, 0).await?;
        self.another_came = beginning.values().any(|body| !body.is_empty());
        Ok(())
    }

    /// Fetches those of `asked` that go into one batch; returns which of them it accounts for.
    async fn fetch(
        &mut self,
        asked: UidSet,
        gate: Gate<'_>,
    ) -> Result<(Vec<RawMessage>, UidSet), MailboxError> {
        self.named = false;
        self.lacking = asked.clone();
        let heads = self.session.heads(&asked).await?;
        let plan = Plan::new(&heads, gate);
        self.lacking = plan.whole.clone();
        let mut whole = self
            .session
            .bodies(&plan.whole, Part::Whole, plan.bytes)
            .await?;
        self.another_came |= whole.values().any(|body| !body.is_empty());
        self.lacking = plan.oversized.clone();
        let header_bytes = plan.oversized.len() as u64 * MAX_HEADER as u64;
        let mut oversized = self
            .session
            .bodies(&plan.oversized, Part::Header, header_bytes)
            .await?;

        let accounted = match plan.next {
            Some(next) => asked.difference(&UidSet::from_runs([(next, u32::MAX)])),
            None => asked,
        };
        let mut batch = Vec::new();
        let mut came = Vec::new();
        for (uid, head) in heads {
            if !accounted.contains(uid) {
                break;
            }
            let mut size = head.size;
            let content = if plan.whole.contains(uid) {
                // What has a header is not empty: the server could not read it.
                let Some(body) = whole.remove(&uid).filter(|body| !body.is_empty()) else {
                    continue;
                };
                // RFC822.SIZE may lie; what came does not.
                match gate(&head.header, body.len() as u64) {
                    Want::TooLarge => {
                        size = body.len() as u64;
                        Content::Oversized(deciding(&body, &head, size, gate))
                    }
                    Want::Whole | Want::Nothing => Content::Whole(body),
                }
            } else if plan.oversized.contains(uid) {
                let Some(header) = oversized.remove(&uid) else {
                    continue;
                };
                Content::Oversized(deciding(&header, &head, size, gate))
            } else {
                Content::Unwanted
            };
            came.push(uid);
            batch.push(RawMessage {
                origin: Origin::Imap {
                    mailbox: self.mailbox.clone(),
                    uidvalidity: self.folder.uidvalidity,
                    uid,
                },
                internal_date: head.internal_date,
                size,
                content,
            });
        }
        // Expunged by now, or the server has it and cannot give it: the next survey will tell.
        self.lacking = accounted.difference(&came.into_iter().collect());
        self.named = true;
        Ok((batch, accounted))
    }

    /// A message that came after the survey's listing is told of by the server at the latest when
    /// IDLE begins (RFC 9051 §5.2); NOOP asks servers that tell only of what happens during IDLE.
    pub(super) async fn wait(&mut self, within: Duration) -> Result<(), MailboxError> {
        if self.in_vain > 0 {
            let pauses = Backoff {
                first: IN_VAIN,
                most: self.bounds.poll,
            };
            let pause = pauses.after(self.in_vain, backoff::random());
            self.session.rest(pause).await;
        }
        self.called = self.is_called(within).await?;
        Ok(())
    }

    /// Waits; whether the server's news ended that.
    async fn is_called(&mut self, within: Duration) -> Result<bool, MailboxError> {
        if self.session.has_news() {
            return Ok(true);
        }
        if !self.capabilities.has("IDLE") {
            self.session.rest(self.bounds.poll.min(within)).await;
            return Ok(false);
        }
        self.session.noop().await?;
        if self.session.has_news() {
            return Ok(true);
        }
        let idle = self.bounds.idle.min(within);
        self.session.idle(idle, self.bounds.done).await
    }
}

/// The header of a message that is too large. Where it was cut off before what the gate had seen,
/// just that: without it nobody could tell any more that the message is wanted.
fn deciding(message: &[u8], head: &Head, size: u64, gate: Gate<'_>) -> Vec<u8> {
    let header = header_of(message);
    match gate(header, size) {
        Want::Nothing => head.header.clone(),
        Want::Whole | Want::TooLarge => header.to_vec(),
    }
}

/// What to fetch of the messages whose headers have been seen.
#[derive(Debug, Default)]
struct Plan {
    whole: UidSet,
    /// What `whole` weighs by the server's word.
    bytes: u64,
    oversized: UidSet,
    /// The first UID that must wait for another batch.
    next: Option<u32>,
}

impl Plan {
    fn new(heads: &BTreeMap<u32, Head>, gate: Gate<'_>) -> Self {
        let mut plan = Self::default();
        let (mut whole, mut oversized) = (Vec::new(), Vec::new());
        for (&uid, head) in heads {
            match gate(&head.header, head.size) {
                Want::Nothing => (),
                Want::TooLarge => oversized.push(uid),
                Want::Whole => {
                    let bytes = plan.bytes.saturating_add(head.size);
                    let full = bytes > BATCH_BYTES || whole.len() == BODIES_AT_ONCE;
                    if full && !whole.is_empty() {
                        plan.next = Some(uid);
                        break;
                    }
                    plan.bytes = bytes;
                    whole.push(uid);
                }
            }
        }
        plan.whole = whole.into_iter().collect();
        plan.oversized = oversized.into_iter().collect();
        plan
    }
}
