//! One connection, and the one command that is running on it.
//!
//! Left out on purpose: what commands mean.
//!
//! Guarantees: only the tagged OK of the command just sent is [`Heard::Done`]; NO, BAD, BYE, an
//! unknown tag, silence and the end of the stream are errors; no error quotes a mail. Whoever can
//! go on after a refusal asks with [`Line::hear_out`], which tells that one apart.

use std::{io, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use async_imap::{
    Client,
    imap_proto::{Outcome, Response, ResponseCode, Status},
};
use futures_util::FutureExt;
use rustls::ClientConfig;
use tokio::{io::AsyncWriteExt, time::timeout};

use super::wire::Wire;
use crate::{
    mailbox::{Bounds, MailboxError, imap::ImapSettings},
    tls::TlsMode,
};

/// What an answer may weigh where nothing was asked for that weighs more.
pub(super) const SMALL: u64 = 1 << 20;

/// What [`Line::hear`] heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// An untagged response.
    Data,
    /// `+`
    Continue,
    /// The tagged OK.
    Done,
}

/// A connection and the one command that is running on it.
#[derive(Debug)]
pub(super) struct Line {
    client: Client<Wire>,
    /// How long the server may be silent.
    pub(super) patience: Duration,
    /// How long it may take to answer one command, silent or not.
    pub(super) most_patience: Duration,
    commands: u64,
    tag: String,
}

impl Line {
    /// Connects, up to the greeting and TLS; without `tls` all is said in plaintext.
    pub(super) async fn open(
        settings: &ImapSettings,
        tls: Option<Arc<ClientConfig>>,
        operation: &str,
    ) -> Result<Self, MailboxError> {
        let ImapSettings { host, port, .. } = settings;
        let failed = |source| MailboxError::Io {
            operation: operation.to_owned(),
            source,
        };
        let wire = Wire::tcp(host, *port, settings.tls).await.map_err(failed)?;
        let bounds = &settings.bounds;
        let Some(config) = tls else {
            return Self::greeted(wire, bounds, operation).await;
        };
        match settings.tls {
            TlsMode::Implicit => {
                let wire = wire.encrypt(host, config).await.map_err(failed)?;
                Self::greeted(wire, bounds, operation).await
            }
            TlsMode::StartTls | TlsMode::None => {
                let mut line = Self::greeted(wire, bounds, operation).await?;
                let operation = format!("start TLS with {host}:{port}");
                line.send(&operation, "STARTTLS", SMALL).await?;
                let patience = line.patience;
                while line.hear(&operation, patience, |_| ()).await? != Heard::Done {}
                // RFC 9051 §6.2.1: what was said before the handshake is forgotten. The decoder's
                // buffer goes with the client, so nothing injected in plaintext is read later.
                let wire = line.client.into_inner().encrypt(host, config).await;
                let wire = wire.map_err(|source| MailboxError::Io { operation, source })?;
                Ok(Self::new(wire, bounds))
            }
        }
    }

    pub(super) fn new(wire: Wire, bounds: &Bounds) -> Self {
        Self {
            client: Client::new(wire),
            patience: bounds.command,
            most_patience: bounds.answer,
            commands: 0,
            tag: String::new(),
        }
    }

    /// Waits for the greeting. PREAUTH is not one: it would step over STARTTLS and LOGIN.
    pub(super) async fn greeted(
        wire: Wire,
        bounds: &Bounds,
        operation: &str,
    ) -> Result<Self, MailboxError> {
        let mut line = Self::new(wire, bounds);
        line.client.get_mut().allow(SMALL);
        let mut welcome = false;
        line.hear(operation, bounds.command, |response| {
            welcome = matches!(
                response,
                Response::Data {
                    status: Status::Ok,
                    ..
                }
            );
        })
        .await?;
        welcome
            .then_some(line)
            .ok_or_else(|| missing(operation, "the greeting `* OK`"))
    }

    /// Sends a command under a tag of its own; its answer may weigh `most` bytes.
    pub(super) async fn send(
        &mut self,
        operation: &str,
        command: &str,
        most: u64,
    ) -> Result<(), MailboxError> {
        self.commands += 1;
        self.tag = format!("a{}", self.commands);
        self.client.get_mut().allow(most);
        let line = format!("{} {command}\r\n", self.tag);
        self.write(operation, &line).await
    }

    pub(super) async fn write(&mut self, operation: &str, text: &str) -> Result<(), MailboxError> {
        let wire = self.client.get_mut();
        let writing = async {
            wire.write_all(text.as_bytes()).await?;
            wire.flush().await
        };
        match timeout(self.patience, writing).await {
            Ok(written) => written.map_err(|error| broken(operation, error)),
            Err(_) => Err(MailboxError::Timeout {
                operation: operation.to_owned(),
                within: self.patience,
            }),
        }
    }

    /// Reads one response, patient for as long as bytes of it keep coming. A refusal, BYE and a
    /// tag that is not ours are errors; `untagged` sees everything else that is not tagged.
    pub(super) async fn hear(
        &mut self,
        operation: &str,
        patience: Duration,
        untagged: impl FnOnce(&Response<'_>) + Send,
    ) -> Result<Heard, MailboxError> {
        let heard = self.hear_out(operation, patience, untagged).await?;
        heard.map_err(|answer| MailboxError::Refused {
            operation: operation.to_owned(),
            answer,
        })
    }

    /// As [`Line::hear`], but the tagged NO or BAD is the inner error, in the server's words. It
    /// is the whole answer (RFC 9051 §7.1), after which the next one is the next command's.
    pub(super) async fn hear_out(
        &mut self,
        operation: &str,
        patience: Duration,
        untagged: impl FnOnce(&Response<'_>) + Send,
    ) -> Result<Result<Heard, String>, MailboxError> {
        let mut taken = self.client.get_ref().taken();
        let decoded = loop {
            // imap-proto 0.17.0 panics on some malformed responses (`INTERNALDATE NIL`).
            let reading = AssertUnwindSafe(self.client.read_response()).catch_unwind();
            match timeout(patience, reading).await {
                Ok(decoded) => break decoded,
                Err(_) if self.client.get_ref().taken() > taken => {
                    taken = self.client.get_ref().taken();
                }
                Err(_) => {
                    return Err(MailboxError::Timeout {
                        operation: operation.to_owned(),
                        within: patience,
                    });
                }
            }
        };
        let response = decoded
            .unwrap_or_else(|_| Err(io::Error::other("the decoder panicked")))
            .map_err(|error| broken(operation, error))?
            .ok_or_else(|| MailboxError::Closed {
                operation: operation.to_owned(),
            })?;
        match response.parsed() {
            Response::Done { tag, .. } if tag.0 != self.tag => Err(MailboxError::Protocol {
                operation: operation.to_owned(),
                found: format!("expected an answer tagged {}, found {}", self.tag, tag.0),
            }),
            Response::Done {
                status: Status::Ok, ..
            } => Ok(Ok(Heard::Done)),
            Response::Done {
                status, outcome, ..
            } => Ok(Err(answer(status, outcome))),
            Response::Data {
                status: status @ Status::Bye,
                outcome,
            } => Err(MailboxError::Refused {
                operation: operation.to_owned(),
                answer: answer(status, outcome),
            }),
            response @ Response::Continue(_) => {
                untagged(response);
                Ok(Ok(Heard::Continue))
            }
            response => {
                untagged(response);
                Ok(Ok(Heard::Data))
            }
        }
    }
}

/// What a failure to read or write means. Never the decoder's own text, which quotes the mail.
fn broken(operation: &str, source: io::Error) -> MailboxError {
    let operation = operation.to_owned();
    let protocol = |found: &str| MailboxError::Protocol {
        operation: operation.clone(),
        found: found.to_owned(),
    };
    match source.kind() {
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe => MailboxError::Closed { operation },
        io::ErrorKind::FileTooLarge => {
            protocol("expected an answer in proportion to the question, found too long a one")
        }
        // The decoder's only kind: it could not make sense of what came.
        io::ErrorKind::Other => protocol("expected an IMAP response, found something unreadable"),
        _ => MailboxError::Io { operation, source },
    }
}

/// The answer lacked what it must hold.
pub(super) fn missing(operation: &str, expected: &str) -> MailboxError {
    MailboxError::Protocol {
        operation: operation.to_owned(),
        found: format!("expected {expected}, found none"),
    }
}

/// A refusal in the server's own words. The decoder keeps response codes that it does not know,
/// AUTHENTICATIONFAILED among them, in the text; of those it knows, these come with refusals.
fn answer(status: &Status, outcome: &Outcome<'_>) -> String {
    let status = match status {
        Status::Ok => "OK",
        Status::No => "NO",
        Status::Bad => "BAD",
        Status::PreAuth => "PREAUTH",
        Status::Bye => "BYE",
    };
    let code = match &outcome.code {
        Some(ResponseCode::Alert) => "[ALERT] ",
        Some(ResponseCode::ReadOnly) => "[READ-ONLY] ",
        Some(ResponseCode::TryCreate) => "[TRYCREATE] ",
        _ => "",
    };
    let text = outcome.information.as_deref().unwrap_or_default();
    format!("{status} {code}{text}").trim_end().to_owned()
}
