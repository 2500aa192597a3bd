//! The few commands that change a folder: marking messages, and moving them to another one.
//!
//! Left out on purpose: EXPUNGE without UIDs, which would also remove what others have marked.
//!
//! Guarantees: the inner error is the server's tagged NO or BAD in its own words, after which the
//! session goes on; a UID that is gone is no error (RFC 9051 §6.4.9).

use super::{Session, line::SMALL, syntax};
use crate::mailbox::{MailboxError, UidSet};

impl Session {
    /// RFC 6851 §3.2: all at once, as far as the server can.
    pub(in crate::mailbox) async fn move_to(
        &mut self,
        uids: &UidSet,
        folder: &str,
    ) -> Result<Result<(), String>, MailboxError> {
        let name = syntax::folder_name(folder);
        self.change("move mail", &format!("UID MOVE {uids} {name}"))
            .await
    }

    /// RFC 9051 §6.4.7.
    pub(in crate::mailbox) async fn copy_to(
        &mut self,
        uids: &UidSet,
        folder: &str,
    ) -> Result<Result<(), String>, MailboxError> {
        let name = syntax::folder_name(folder);
        self.change("copy mail", &format!("UID COPY {uids} {name}"))
            .await
    }

    /// Sets a flag. `.SILENT`: the flags as they are then are not asked for (RFC 9051 §6.4.6).
    pub(in crate::mailbox) async fn flag(
        &mut self,
        uids: &UidSet,
        flag: &str,
    ) -> Result<Result<(), String>, MailboxError> {
        let command = format!("UID STORE {uids} +FLAGS.SILENT ({flag})");
        self.change("mark mail", &command).await
    }

    /// RFC 4315 §2.1: removes those of `uids` that are marked as deleted, and no others.
    pub(in crate::mailbox) async fn expunge(
        &mut self,
        uids: &UidSet,
    ) -> Result<Result<(), String>, MailboxError> {
        self.change("remove copied mail", &format!("UID EXPUNGE {uids}"))
            .await
    }

    async fn change(
        &mut self,
        operation: &str,
        command: &str,
    ) -> Result<Result<(), String>, MailboxError> {
        self.ask(operation, command, SMALL, |_| ()).await
    }
}
