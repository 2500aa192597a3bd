//! Whether a mailbox could be watched, for a person who asks before the daemon does.
//!
//! Left out on purpose: what to do about it, which is for whoever speaks with the person.

use std::time::Duration;

use tokio::time::timeout;

use super::{Gate, LATEST, MailboxError, RawMessage, Source};

/// A person's patience with all of it, however steadily a server drips.
const PATIENCE: Duration = Duration::from_secs(60);

/// Of it, what is spent on the latest mail.
pub(super) const LOOKING: Duration = Duration::from_secs(30);

/// A mailbox that could be watched.
#[derive(Debug)]
pub struct Probe {
    /// How many messages are in it.
    pub messages: u64,
    /// How we would learn of new mail.
    pub news: News,
    /// The latest mails that were asked for, newest first; the error is what kept them from being
    /// looked at, though the mailbox could be watched.
    pub latest: Result<Vec<RawMessage>, MailboxError>,
}

/// How we learn of new mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// The server says so (IDLE).
    Pushed,
    /// We look every so often.
    Polled(Duration),
}

/// What keeps a mailbox from being watched, or its mail from being filed.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// It cannot be reached or used.
    #[error(transparent)]
    Mailbox(#[from] MailboxError),
    /// The port is one for implicit TLS, and the settings say that it is not.
    #[error(
        "connect to {host}:{port}: expected a greeting, found a server that waits for TLS to begin"
    )]
    TlsFirst {
        /// The configured host.
        host: String,
        /// The configured port.
        port: u16,
    },
    /// The folder cannot be opened.
    #[error("open the folder {folder}: the server answered {answer}")]
    Folder {
        /// The configured name.
        folder: String,
        /// As the server wrote it.
        answer: String,
        /// The folders that can be opened.
        folders: Vec<String>,
    },
    /// The folder to which recorded mail is to be moved is not there.
    #[error("look for the folder {folder}: the server's list does not name it")]
    Target {
        /// The configured name.
        folder: String,
        /// The folders that there are.
        folders: Vec<String>,
    },
    /// The server can move nothing without touching other mail.
    #[error("look for a way to move mail: the server announces neither MOVE nor UIDPLUS")]
    CannotMove,
    /// A flag would not stay.
    #[error("open the folder for writing: the server does not let {flag} be set for good")]
    ReadOnly {
        /// The flag that `after_import` needs.
        flag: &'static str,
    },
}

impl Source {
    /// Goes once through all that watching needs, and fetches the latest 20 mails that `gate` wants
    /// whole, among those whose From holds one of `senders`. Changes nothing, and takes a minute at
    /// most; where half of it did not do for the mails, there are fewer.
    ///
    /// # Errors
    /// The first [`ProbeError`].
    pub async fn probe(&self, senders: &[String], gate: Gate<'_>) -> Result<Probe, ProbeError> {
        let probing = async {
            match self {
                Self::Imap(imap) => imap.probe(senders, gate).await,
                // All headers are looked at: there is nobody to search.
                Self::Maildir(maildir) => Ok(maildir.probe(gate).await?),
            }
        };
        timeout(PATIENCE, probing).await.unwrap_or_else(|_| {
            Err(ProbeError::Mailbox(MailboxError::Timeout {
                operation: format!("try the mailbox {}", self.name()),
                within: PATIENCE,
            }))
        })
    }
}

/// The latest of what `looking` added to `found`, newest first; what was found within the bound
/// counts.
pub(super) async fn latest(
    looking: impl AsyncFnOnce(&mut Vec<RawMessage>) -> Result<(), MailboxError>,
) -> Result<Vec<RawMessage>, MailboxError> {
    let mut found = Vec::new();
    let looked = timeout(LOOKING, looking(&mut found)).await;
    match looked {
        Ok(looked) => looked?,
        Err(_) if found.is_empty() => {
            return Err(MailboxError::Timeout {
                operation: "look at the latest mail".to_owned(),
                within: LOOKING,
            });
        }
        Err(_) => {}
    }
    found.sort_by_key(|message| std::cmp::Reverse(message.internal_date));
    found.truncate(LATEST);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;
    use crate::mailbox::{Content, Origin};

    #[tokio::test(start_paused = true)]
    async fn what_was_found_when_the_time_is_up_counts() {
        let message = RawMessage {
            origin: Origin::File {
                path: "a.eml".to_owned(),
            },
            internal_date: None,
            size: 1,
            content: Content::Whole(b"a".to_vec()),
        };
        let found = latest(async |found| {
            found.push(message.clone());
            pending().await
        });
        assert_eq!(found.await.unwrap(), [message]);
        let error = latest(async |_| pending().await).await.unwrap_err();
        assert!(
            matches!(
                error,
                MailboxError::Timeout {
                    within: LOOKING,
                    ..
                }
            ),
            "{error}"
        );
    }
}
