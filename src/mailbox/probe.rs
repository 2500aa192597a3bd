//! Whether a mailbox could be watched, for a person who asks before the daemon does.
//!
//! Left out on purpose: what to do about it, which is for whoever speaks with the person.

use std::time::Duration;

use tokio::time::timeout;

use super::{MailboxError, Source};

/// A person's patience with all of it, however steadily a server drips.
const PATIENCE: Duration = Duration::from_secs(60);

/// A mailbox that could be watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// How many messages are in it.
    pub messages: u64,
    /// How we would learn of new mail.
    pub news: News,
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
    /// Goes once through all that watching needs; changes nothing, and takes a minute at most.
    ///
    /// # Errors
    /// The first [`ProbeError`].
    pub async fn probe(&self) -> Result<Probe, ProbeError> {
        let probing = async {
            match self {
                Self::Imap(imap) => imap.probe().await,
                Self::Maildir(maildir) => Ok(maildir.probe().await?),
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
