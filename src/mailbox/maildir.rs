//! A local Maildir, watched like a folder on a server.

use std::{path::PathBuf, time::Duration};

use super::{Gate, Known, MailboxError, RawMessage};

/// A Maildir, not being looked at.
#[derive(Debug)]
pub struct Maildir {
    name: String,
    path: PathBuf,
    poll: Duration,
}

/// A Maildir being looked at.
#[derive(Debug)]
pub struct MaildirLink {}

impl Maildir {
    /// `path` holds `new` and `cur`; it is looked at every `poll`.
    pub fn new(name: String, path: PathBuf, poll: Duration) -> Self {
        Self { name, path, poll }
    }
    pub(super) fn name(&self) -> &str {
        &self.name
    }
    pub(super) fn open(&self) -> Result<MaildirLink, MailboxError> {
        let _ = (&self.path, self.poll);
        todo!()
    }
}

impl MaildirLink {
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
