//! What the server tells without being asked, and waiting for it.
//!
//! Left out on purpose: what the news is about. A message that is new is found by listing the
//! folder, whatever a server says of it.
//!
//! Guarantees: every wait is bounded; news once heard is kept until a listing settles it; no
//! session outlives the UIDVALIDITY under which its folder was opened.

use std::time::Duration;

use async_imap::imap_proto::{MailboxDatum, Response, ResponseCode};
use tokio::time::{Instant, timeout};

use super::{
    Session,
    line::{Heard, SMALL, missing},
};
use crate::mailbox::MailboxError;

/// What the server has let drop about the folder.
#[derive(Debug, Default)]
pub(super) struct News {
    /// How many messages there are, as far as we were told.
    pub(super) exists: u32,
    /// Whether that number has grown in a way that no listing has settled.
    pub(super) fresh: bool,
    /// The folder's UIDVALIDITY, the first that was told since it was opened.
    pub(super) uidvalidity: Option<u32>,
    /// Another one that was told after it.
    replaced_by: Option<u32>,
}

impl News {
    /// Forgets the folder that was open before.
    pub(super) fn reopen(&mut self) {
        *self = Self::default();
    }

    /// RFC 9051 §2.3.1.1: under another UIDVALIDITY the UIDs of this session mean nothing any more,
    /// and none of them may be recorded.
    pub(super) fn same_folder(&self, operation: &str) -> Result<(), MailboxError> {
        match (self.uidvalidity, self.replaced_by) {
            (Some(was), Some(is)) => Err(MailboxError::Protocol {
                operation: operation.to_owned(),
                found: format!("expected the folder with UIDVALIDITY {was}, found one with {is}"),
            }),
            _ => Ok(()),
        }
    }

    /// Whether `response` tells of what may be a new message. That always changes EXISTS (RFC 9051
    /// §7.4.1); what repeats a count, comes with every IDLE on some servers (RECENT, FLAGS), or with
    /// every mail that a person reads or deletes, would have the wait run in circles.
    pub(super) fn note(&mut self, response: &Response<'_>) -> bool {
        match response {
            Response::MailboxData(MailboxDatum::Exists(count)) => {
                let changed = *count != self.exists;
                self.exists = *count;
                self.fresh |= changed;
                changed
            }
            Response::Expunge(_) => {
                self.exists = self.exists.saturating_sub(1);
                false
            }
            Response::Data { outcome, .. } => {
                if let Some(ResponseCode::UidValidity(told)) = outcome.code
                    && *self.uidvalidity.get_or_insert(told) != told
                {
                    self.replaced_by = Some(told);
                }
                false
            }
            Response::Continue(_)
            | Response::Capabilities(_)
            | Response::Fetch(..)
            | Response::MailboxData(MailboxDatum::Recent(_) | MailboxDatum::Flags(_)) => false,
            _ => true,
        }
    }
}

impl Session {
    /// Waits without a command, where the server cannot be waited for.
    pub(in crate::mailbox) async fn rest(&mut self, time: Duration) {
        self.pulse.within(time);
        tokio::time::sleep(time).await;
    }

    /// Lets the server tell what has changed, and proves that it is alive.
    pub(in crate::mailbox) async fn noop(&mut self) -> Result<(), MailboxError> {
        self.command("ask for news", "NOOP", SMALL, |_| ()).await
    }

    /// Whether a message may have arrived since [`Session::all`] was last asked.
    pub(in crate::mailbox) fn has_news(&self) -> bool {
        self.news.fresh
    }

    /// RFC 2177: returns when the server tells of anything new, or after `within`; whether it told.
    pub(in crate::mailbox) async fn idle(
        &mut self,
        within: Duration,
        done: Duration,
    ) -> Result<bool, MailboxError> {
        const OPERATION: &str = "wait for news";
        let mut line = self.take(OPERATION)?;
        let news = &mut self.news;
        self.pulse.within(line.patience + within + done);
        line.send(OPERATION, "IDLE", SMALL).await?;
        let mut stirred = false;
        loop {
            let heard = line
                .hear(OPERATION, line.patience, |response| {
                    stirred |= news.note(response)
                })
                .await?;
            news.same_folder(OPERATION)?;
            match heard {
                Heard::Data => (),
                Heard::Continue => break,
                Heard::Done => return Err(missing(OPERATION, "a continuation")),
            }
        }
        let until = Instant::now() + within;
        while !stirred {
            let left = until.saturating_duration_since(Instant::now());
            match line
                .hear(OPERATION, left, |response| stirred = news.note(response))
                .await
            {
                Err(MailboxError::Timeout { .. }) => break,
                Ok(Heard::Data | Heard::Continue) => news.same_folder(OPERATION)?,
                Ok(Heard::Done) => return Err(missing(OPERATION, "a wait that only DONE ends")),
                Err(error) => return Err(error),
            }
        }
        // A half-open connection takes DONE and never answers.
        let operation = "end the wait for news";
        timeout(done, async {
            line.write(operation, "DONE\r\n").await?;
            while line
                .hear(operation, done, |response| _ = news.note(response))
                .await?
                != Heard::Done
            {}
            news.same_folder(operation)
        })
        .await
        .unwrap_or_else(|_| {
            Err(MailboxError::Timeout {
                operation: operation.to_owned(),
                within: done,
            })
        })?;
        self.pulse.within(Duration::ZERO);
        self.line = Some(line);
        Ok(stirred)
    }
}
