//! One folder on an IMAP server.

use std::path::PathBuf;

use jiff::civil::Date;
use secrecy::SecretString;

use super::{Bounds, Gate, Known, MailboxError, RawMessage, UidSet};
use crate::tls::TlsMode;

/// How to reach a folder.
#[derive(Debug)]
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
    /// LOGIN name.
    pub username: String,
    /// LOGIN password.
    pub password: SecretString,
    /// The folder to watch, as the operator writes it (UTF-8).
    pub folder: String,
    /// How long anything may take.
    pub bounds: Bounds,
}

/// A folder on a server, not connected.
#[derive(Debug)]
pub struct Imap {
    settings: ImapSettings,
}

/// A folder on a server, open.
#[derive(Debug)]
pub struct ImapLink {}

impl Imap {
    /// Nothing is connected yet.
    pub fn new(settings: ImapSettings) -> Self {
        Self { settings }
    }
    pub(super) fn name(&self) -> &str {
        &self.settings.name
    }
    pub(super) async fn open(&self) -> Result<ImapLink, MailboxError> {
        todo!()
    }
}

impl ImapLink {
    pub(super) fn uidvalidity(&self) -> u32 {
        todo!()
    }
    pub(super) async fn older_than(&mut self, _day: Date) -> Result<UidSet, MailboxError> {
        todo!()
    }
    pub(super) async fn survey(&mut self, _known: &Known) -> Result<usize, MailboxError> {
        todo!()
    }
    pub(super) async fn next_batch(
        &mut self,
        _gate: Gate<'_>,
    ) -> Result<Option<Vec<RawMessage>>, MailboxError> {
        todo!()
    }
    pub(super) async fn wait(&mut self) -> Result<(), MailboxError> {
        todo!()
    }
}
