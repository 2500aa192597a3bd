//! Why a mailbox could not be used just now.
//!
//! Left out on purpose: what to do about it; whoever holds the mailbox tries again, and whoever is
//! asked explains. Guarantee: no secret is in any of the words.

use std::time::Duration;

use crate::{
    oauth::TokenError,
    tls::{TlsError, TlsMode},
};

/// Why a mailbox could not be used just now. All of it may pass, so all of it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum MailboxError {
    /// The connection could not be made or broke.
    #[error("{operation}: {source}")]
    Io {
        /// What was being done, e.g. `connect to imap.example.com:993`.
        operation: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Nothing came within the bound.
    #[error("{operation}: no answer within {}s", within.as_secs())]
    Timeout {
        /// What was being done.
        operation: String,
        /// The bound.
        within: Duration,
    },
    /// The server closed the connection.
    #[error("{operation}: the server closed the connection")]
    Closed {
        /// What was being done.
        operation: String,
    },
    /// The server answered NO, BAD or BYE, in its own words.
    #[error("{operation}: the server answered {answer}")]
    Refused {
        /// What was being done.
        operation: String,
        /// `NO …`, `BAD …` or `BYE …`, as the server wrote it.
        answer: String,
    },
    /// Name and password, or the access token, were refused: trying faster would lock the account.
    #[error("log in as {username}: the server answered {answer}")]
    Login {
        /// The configured user name.
        username: String,
        /// As the server wrote it.
        answer: String,
    },
    /// The server takes no LOGIN, so that no password was sent.
    #[error(
        "log in as {username}: expected a server that takes LOGIN, found LOGINDISABLED \
         (tls = \"{tls}\")"
    )]
    LoginDisabled {
        /// The configured user name.
        username: String,
        /// How the connection was protected.
        tls: TlsMode,
    },
    /// The server does not take access tokens, so that none was sent.
    #[error(
        "log in as {username}: expected a server that offers AUTH=XOAUTH2, found none \
         (tls = \"{tls}\")"
    )]
    NoXoauth2 {
        /// The configured user name.
        username: String,
        /// How the connection was protected.
        tls: TlsMode,
    },
    /// There is no access token to log in with; the server was not asked.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The server said something that makes no sense.
    #[error("{operation}: {found}")]
    Protocol {
        /// What was being done.
        operation: String,
        /// What was expected and what was found.
        found: String,
    },
    /// TLS could not be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl MailboxError {
    /// Whether somebody said no to the login itself: a person must act, and asking often may lock the
    /// account.
    pub fn is_refused_login(&self) -> bool {
        match self {
            Self::Login { .. } => true,
            Self::Token(error) => error.is_refusal(),
            _ => false,
        }
    }
}
