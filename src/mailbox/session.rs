//! The strict layer over async-imap.
//!
//! async-imap 0.12.0 decodes well, but its commands report success for refused and cut-off ones
//! (SEARCH, FETCH, STORE, NOOP, CAPABILITY, IDLE), and its channel for unsolicited responses drops
//! what does not fit. So only its decoder is used: the commands are written here, which also keeps
//! LOGIN out of the crate's trace log, and every answer is read here.
//!
//! Left out on purpose: EXPUNGE without UIDs, CLOSE, and every other command that could remove what
//! others have marked.
//!
//! Guarantees: `Ok` means that the server's tagged OK was read; the end of the stream is
//! [`MailboxError::Closed`]; every wait is bounded; a session that met an error, a timeout or a
//! cancel has already dropped its connection and answers nothing but errors. A tagged NO or BAD is
//! such an error, except to those few commands (`filing`, `folder`) whose callers can go on without
//! what they asked for: it is a complete answer, so that the session is still in step.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_imap::imap_proto::{AttributeValue, MailboxDatum, MessageSection, Response, SectionPath};
use jiff::{Timestamp, civil::Date};
use tokio::time::timeout;

pub(super) use self::folder::{Access, Capabilities, Opened, opening};
use self::{
    line::{Heard, Line, SMALL, missing},
    login::Proof,
    news::News,
};
use super::{MAX_HEADER, MailboxError, UidSet, imap::ImapSettings};
use crate::{
    pulse::Pulse,
    tls::{self, TlsMode},
};

mod filing;
mod folder;
mod line;
mod literals;
mod login;
mod news;
mod syntax;
#[cfg(test)]
mod tests;
mod wire;

/// What a SEARCH answer may weigh: more than five million UIDs.
const SEARCH: u64 = 64 << 20;

/// So many messages are searched at once. async-imap 0.12.0 decodes an answer from its beginning
/// again for every 4 KiB that come: one for half a million messages takes ten seconds of work.
const SEARCHED_AT_ONCE: u32 = 20_000;

/// A logged-in session, for as long as nothing goes wrong.
#[derive(Debug)]
pub(super) struct Session {
    /// Taken out while a command runs and put back only after its tagged answer.
    line: Option<Line>,
    news: News,
    /// Shown a sign of life with each tagged OK.
    pulse: Arc<Pulse>,
}

/// What decides whether the rest of a message is fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) size: u64,
    pub(super) internal_date: Option<Timestamp>,
    pub(super) header: Vec<u8>,
}

/// How much of a message to fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// At most [`MAX_HEADER`] bytes of its header.
    Header,
    /// At most [`MAX_HEADER`] bytes from its beginning.
    Beginning,
}

impl Session {
    /// Connects, protects the connection as configured, and logs in. An access token that is refused
    /// is dropped, and one that was not fetched for this is followed by a fresh one, once.
    pub(super) async fn open(
        settings: &ImapSettings,
        pulse: &Arc<Pulse>,
    ) -> Result<Self, MailboxError> {
        let proof = Proof::of(settings, pulse).await?;
        match Self::open_with(settings, &proof, pulse).await {
            Err(MailboxError::Login { .. }) if proof.is_stale().await => {
                let proof = Proof::of(settings, pulse).await?;
                let opened = Self::open_with(settings, &proof, pulse).await;
                if let Err(MailboxError::Login { .. }) = opened {
                    proof.is_stale().await;
                }
                opened
            }
            opened => opened,
        }
    }

    async fn open_with(
        settings: &ImapSettings,
        proof: &Proof,
        pulse: &Arc<Pulse>,
    ) -> Result<Self, MailboxError> {
        let ImapSettings { host, port, .. } = settings;
        let tls = match settings.tls {
            TlsMode::None => None,
            TlsMode::Implicit | TlsMode::StartTls => {
                Some(tls::client_config(settings.ca_file.as_deref())?)
            }
        };
        let operation = format!("connect to {host}:{port}");
        let within = settings.bounds.connect;
        pulse.within(within);
        let line = timeout(within, Line::open(settings, tls, &operation))
            .await
            .map_err(|_| MailboxError::Timeout { operation, within })??;
        let mut session = Self::new(line, Arc::clone(pulse));
        session.log_in(settings, proof).await?;
        Ok(session)
    }

    /// As [`Session::open`], over bytes that come from the fuzzer.
    #[cfg(fuzzing)]
    pub(super) async fn open_over(
        stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
        settings: &ImapSettings,
        pulse: &Arc<Pulse>,
    ) -> Result<Self, MailboxError> {
        let proof = Proof::of(settings, pulse).await?;
        let wire = wire::Wire::new(Box::new(stream));
        let line = Line::greeted(wire, &settings.bounds, "connect").await?;
        let mut session = Self::new(line, Arc::clone(pulse));
        session.log_in(settings, &proof).await?;
        Ok(session)
    }

    fn new(line: Line, pulse: Arc<Pulse>) -> Self {
        Self {
            line: Some(line),
            news: News::default(),
            pulse,
        }
    }

    /// Every UID in the folder. News that came before this is settled by it.
    pub(super) async fn all(&mut self) -> Result<UidSet, MailboxError> {
        self.news.fresh = false;
        let (found, answered) = self.search("list the folder", "ALL").await?;
        // RFC 9051 §6.4.4 demands a SEARCH response; servers leave it out where it would be empty.
        if !answered && self.news.exists > 0 {
            return Err(self.end("list the folder", "a SEARCH response"));
        }
        // What was listed is there. Were a count that a server made up believed any longer, the
        // mail that makes it true would be no news.
        self.news.exists = u32::try_from(found.len()).unwrap_or(u32::MAX);
        Ok(found)
    }

    /// RFC 9051 §6.4.4: UIDs whose INTERNALDATE, time and zone disregarded, is earlier than `day`.
    pub(super) async fn before(&mut self, day: Date) -> Result<UidSet, MailboxError> {
        let criteria = format!("BEFORE {}", syntax::date(day));
        let (found, _) = self.search("search for older mail", &criteria).await?;
        Ok(found)
    }

    /// RFC 9051 §6.4.4: UIDs of messages whose From holds `address`, in a display name or elsewhere.
    pub(super) async fn from(&mut self, address: &str) -> Result<UidSet, MailboxError> {
        const OPERATION: &str = "search for mail of a sender";
        let quoted = syntax::quoted(address).ok_or_else(|| MailboxError::Protocol {
            operation: OPERATION.to_owned(),
            found: "expected an address without CR, LF and NUL, found one of them in it".to_owned(),
        })?;
        let (found, _) = self.search(OPERATION, &format!("FROM {quoted}")).await?;
        Ok(found)
    }

    /// The UIDs that meet `criteria`, and whether every question had its SEARCH response. A large
    /// folder is asked about from its end: what is expunged meanwhile moves others down, into what
    /// is yet to be searched, and what arrives is news.
    async fn search(
        &mut self,
        operation: &str,
        criteria: &str,
    ) -> Result<(UidSet, bool), MailboxError> {
        let mut found = Vec::new();
        let mut all_answered = true;
        let (mut last, mut until) = (self.news.exists, "*".to_owned());
        loop {
            let first = last.saturating_sub(SEARCHED_AT_ONCE - 1).max(1);
            let command = match (first, &*until) {
                (1, "*") => format!("UID SEARCH {criteria}"),
                _ => format!("UID SEARCH {first}:{until} {criteria}"),
            };
            let mut answered = false;
            self.command(operation, &command, SEARCH, |response| {
                if let Response::MailboxData(MailboxDatum::Search(uids)) = response {
                    answered = true;
                    found.extend(uids);
                }
            })
            .await?;
            all_answered &= answered;
            last = self.news.exists.min(first - 1);
            if last == 0 {
                return Ok((UidSet::from_iter(found), all_answered));
            }
            until = last.to_string();
        }
    }

    /// Size, date and the header fields that decide, of those of `uids` that still exist.
    pub(super) async fn heads(
        &mut self,
        uids: &UidSet,
    ) -> Result<BTreeMap<u32, Head>, MailboxError> {
        const OPERATION: &str = "fetch headers";
        // Neither ENVELOPE nor BODYSTRUCTURE: a mail can make a server write those unreadably.
        let items = format!(
            "(UID RFC822.SIZE INTERNALDATE \
             BODY.PEEK[HEADER.FIELDS (FROM SENDER SUBJECT AUTO-SUBMITTED)]<0.{MAX_HEADER}>)"
        );
        let most = SMALL + uids.len() as u64 * MAX_HEADER as u64;
        let mut found: BTreeMap<u32, Found> = BTreeMap::new();
        self.fetch(OPERATION, uids, &items, most, |uid, attribute| {
            let message = found.entry(uid).or_default();
            match attribute {
                AttributeValue::Rfc822Size(size) => message.size = Some(u64::from(*size)),
                AttributeValue::InternalDate(date) => {
                    message.internal_date = syntax::internal_date(date);
                }
                AttributeValue::BodySection {
                    section: Some(SectionPath::Full(MessageSection::Header)),
                    data,
                    ..
                } => message.header = Some(data.as_deref().map(<[u8]>::to_vec)),
                _ => (),
            }
        })
        .await?;
        let mut heads = BTreeMap::new();
        for (uid, message) in found {
            match (message.size, message.header) {
                (Some(size), Some(Some(header))) => {
                    let internal_date = message.internal_date;
                    heads.insert(
                        uid,
                        Head {
                            size,
                            internal_date,
                            header,
                        },
                    );
                }
                // NIL: the server has the message and cannot read it now. Left out, it is asked for
                // again; an empty header would pass for somebody else's.
                (_, Some(None)) => (),
                // Somebody else's change of flags, with the UID in it.
                (None, None) => (),
                _ => return Err(self.end(OPERATION, &format!("size and header of UID {uid}"))),
            }
        }
        Ok(heads)
    }

    /// `part` of those of `uids` that still exist. `size` is what the server said they weigh
    /// together; much more than that ends the session.
    pub(super) async fn bodies(
        &mut self,
        uids: &UidSet,
        part: Part,
        size: u64,
    ) -> Result<BTreeMap<u32, Vec<u8>>, MailboxError> {
        let items = match part {
            Part::Whole => "(UID BODY.PEEK[])".to_owned(),
            Part::Header => format!("(UID BODY.PEEK[HEADER]<0.{MAX_HEADER}>)"),
            Part::Beginning => format!("(UID BODY.PEEK[]<0.{MAX_HEADER}>)"),
        };
        // Twice: Exchange estimates RFC822.SIZE unless told otherwise (EnableExactRFC822Size).
        let most = SMALL + size.saturating_mul(2);
        let mut bodies = BTreeMap::new();
        self.fetch("fetch messages", uids, &items, most, |uid, attribute| {
            let came = match attribute {
                AttributeValue::BodySection {
                    section: None,
                    index,
                    data: Some(data),
                } => match index {
                    None => Some((Part::Whole, data)),
                    Some(_) => Some((Part::Beginning, data)),
                },
                AttributeValue::BodySection {
                    section: Some(SectionPath::Full(MessageSection::Header)),
                    data: Some(data),
                    ..
                } => Some((Part::Header, data)),
                _ => None,
            };
            if let Some((came, data)) = came
                && came == part
            {
                bodies.insert(uid, data.to_vec());
            }
        })
        .await?;
        Ok(bodies)
    }

    /// Hands over every attribute that came for one of `uids`, and none that came for another.
    async fn fetch(
        &mut self,
        operation: &str,
        uids: &UidSet,
        items: &str,
        most: u64,
        mut each: impl FnMut(u32, &AttributeValue<'_>) + Send,
    ) -> Result<(), MailboxError> {
        if uids.is_empty() {
            return Ok(());
        }
        let command = format!("UID FETCH {uids} {items}");
        self.command(operation, &command, most, |response| {
            let Response::Fetch(_, attributes) = response else {
                return;
            };
            // A FETCH response without a UID is news of somebody else's change, not an answer.
            let uid = attributes.iter().find_map(|attribute| match attribute {
                AttributeValue::Uid(uid) if uids.contains(*uid) => Some(*uid),
                _ => None,
            });
            if let Some(uid) = uid {
                attributes.iter().for_each(|attribute| each(uid, attribute));
            }
        })
        .await
    }

    /// Runs one command and hands over each untagged response; `Ok` is the server's tagged OK.
    ///
    /// `operation` names it in errors, so that `command` (LOGIN!) need not stand in one; `most` is
    /// what the answer may weigh in bytes.
    async fn command(
        &mut self,
        operation: &str,
        command: &str,
        most: u64,
        untagged: impl FnMut(&Response<'_>) + Send,
    ) -> Result<(), MailboxError> {
        let answered = self.ask(operation, command, most, untagged).await?;
        answered.map_err(|answer| {
            self.line = None;
            MailboxError::Refused {
                operation: operation.to_owned(),
                answer,
            }
        })
    }

    /// As [`Session::command`], but a tagged NO or BAD is the inner error, in the server's words,
    /// and the session goes on.
    async fn ask(
        &mut self,
        operation: &str,
        command: &str,
        most: u64,
        untagged: impl FnMut(&Response<'_>) + Send,
    ) -> Result<Result<(), String>, MailboxError> {
        self.converse(operation, command, most, untagged, |_| None)
            .await
    }

    /// As [`Session::ask`], with what is said when the server asks to go on; `None` where it must not.
    async fn converse(
        &mut self,
        operation: &str,
        command: &str,
        most: u64,
        mut untagged: impl FnMut(&Response<'_>) + Send,
        mut go_on: impl FnMut(&str) -> Option<String> + Send,
    ) -> Result<Result<(), String>, MailboxError> {
        let mut line = self.take(operation)?;
        let within = line.most_patience;
        self.pulse.within(within);
        let news = &mut self.news;
        let answered = async {
            line.send(operation, command, most).await?;
            loop {
                let mut challenge = String::new();
                let heard = line
                    .hear_out(operation, line.patience, |response| {
                        if let Response::Continue(outcome) = response {
                            challenge = outcome.information.as_deref().unwrap_or_default().into();
                        }
                        news.note(response);
                        untagged(response);
                    })
                    .await?;
                news.same_folder(operation)?;
                match heard {
                    Ok(Heard::Data) => (),
                    Ok(Heard::Continue) => match go_on(&challenge) {
                        Some(words) => line.write(operation, &words).await?,
                        None => {
                            return Err(MailboxError::Protocol {
                                operation: operation.to_owned(),
                                found: "expected an answer, found a request to go on".to_owned(),
                            });
                        }
                    },
                    Ok(Heard::Done) => return Ok((line, Ok(()))),
                    Err(answer) => return Ok((line, Err(answer))),
                }
            }
        };
        let (line, outcome) =
            timeout(within, answered)
                .await
                .map_err(|_| MailboxError::Timeout {
                    operation: operation.to_owned(),
                    within,
                })??;
        self.pulse.within(Duration::ZERO);
        self.line = Some(line);
        Ok(outcome)
    }

    /// Ends the session over an answer that was complete and yet lacked what it must hold.
    fn end(&mut self, operation: &str, expected: &str) -> MailboxError {
        self.line = None;
        missing(operation, expected)
    }

    /// The connection, to be put back after a tagged answer. Whoever gives up before, or is cancelled,
    /// drops it, so that no later command can read an earlier one's answer.
    fn take(&mut self, operation: &str) -> Result<Line, MailboxError> {
        self.line.take().ok_or_else(|| MailboxError::Protocol {
            operation: operation.to_owned(),
            found: "expected an open session, found one that an error or a cancel has ended"
                .to_owned(),
        })
    }
}

/// What one message's FETCH responses have brought so far; a server may spread them.
#[derive(Debug, Default)]
struct Found {
    size: Option<u64>,
    internal_date: Option<Timestamp>,
    /// `Some(None)` is NIL.
    header: Option<Option<Vec<u8>>>,
}
