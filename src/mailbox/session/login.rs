//! Logging in: LOGIN with a password, AUTHENTICATE XOAUTH2 with an access token.
//!
//! Left out on purpose: other mechanisms; where TLS is, none of them protects a password better.
//!
//! Guarantees: nothing secret is sent to a server that does not announce that it takes it, and nothing
//! secret is in an error, even where the server repeats it.

use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};

use super::{Session, line::SMALL, syntax};
use crate::{
    mailbox::{MailboxError, imap::ImapSettings},
    oauth::{self, AccessToken, Credential, xoauth2},
    pulse::Pulse,
    stranger,
};

/// What is shown to the server.
pub(super) enum Proof {
    /// `LOGIN name password`
    Login {
        /// The whole command.
        command: SecretString,
        /// What is taken out of answers.
        password: SecretString,
    },
    /// Where it came from stays with it, for it may have to be dropped.
    Token(AccessToken, Arc<oauth::Tokens>),
}

impl Proof {
    /// Gets ready what can be got ready before there is a connection.
    pub(super) async fn of(settings: &ImapSettings, pulse: &Pulse) -> Result<Self, MailboxError> {
        match &settings.credential {
            Credential::Password(password) => Ok(Self::Login {
                command: login_command(settings, password)?,
                password: password.clone(),
            }),
            Credential::Token(tokens) => {
                pulse.within(oauth::WITHIN);
                Ok(Self::Token(tokens.token().await?, Arc::clone(tokens)))
            }
        }
    }

    /// Drops what the server has refused. Whether another might do: one that was good when it was
    /// fetched may have been revoked since.
    pub(super) async fn is_stale(&self) -> bool {
        match self {
            Self::Login { .. } => false,
            Self::Token(token, tokens) => {
                tokens.forget(token).await;
                token.is_cached()
            }
        }
    }
}

impl Session {
    /// Logs in over a connection on which nothing but the greeting, and STARTTLS, was said.
    pub(super) async fn log_in(
        &mut self,
        settings: &ImapSettings,
        proof: &Proof,
    ) -> Result<(), MailboxError> {
        let (username, tls) = (settings.username.clone(), settings.tls);
        let operation = format!("log in as {username}");
        let capabilities = self.capabilities().await?;
        let answered = match proof {
            Proof::Login { command, password } => {
                // RFC 9051 §6.2.3: LOGIN must not be sent where LOGINDISABLED is announced.
                if capabilities.has("LOGINDISABLED") {
                    return Err(MailboxError::LoginDisabled { username, tls });
                }
                let command = command.expose_secret();
                let answered = self.ask(&operation, command, SMALL, |_| ()).await?;
                // A server may repeat what it was told.
                answered.map_err(|answer| {
                    let password = password.expose_secret();
                    let quoted = syntax::quoted(password).unwrap_or_default();
                    stranger::without(&[&quoted, password], &answer)
                })
            }
            Proof::Token(token, _) => {
                if !capabilities.has("AUTH=XOAUTH2") {
                    return Err(MailboxError::NoXoauth2 { username, tls });
                }
                let at_once = capabilities.has("SASL-IR");
                self.show_token(&operation, &username, token.secret(), at_once)
                    .await?
            }
        };
        match answered {
            Ok(()) => Ok(()),
            Err(answer) if is_for_now(&answer) => Err(MailboxError::Refused { operation, answer }),
            Err(answer) => Err(MailboxError::Login { username, answer }),
        }
    }

    /// RFC 9051 §6.2.2: `at_once` in the command itself where the server has SASL-IR, otherwise when it
    /// says to go on. A refusal is explained first, and comes only after an empty line.
    async fn show_token(
        &mut self,
        operation: &str,
        username: &str,
        token: &SecretString,
        at_once: bool,
    ) -> Result<Result<(), String>, MailboxError> {
        let response = xoauth2::initial_response(username, token);
        let response = response.expose_secret();
        let (command, mut later) = match at_once {
            true => (format!("AUTHENTICATE XOAUTH2 {response}"), None),
            false => (
                "AUTHENTICATE XOAUTH2".to_owned(),
                Some(format!("{response}\r\n")),
            ),
        };
        let mut is_explained = false;
        let mut status = None;
        let go_on = |challenge: &str| {
            if later.is_some() {
                return later.take();
            }
            if is_explained {
                return None;
            }
            is_explained = true;
            status = xoauth2::status(challenge);
            Some("\r\n".to_owned())
        };
        let answered = self
            .converse(operation, &command, SMALL, |_| (), go_on)
            .await?;
        Ok(answered.map_err(|answer| {
            let answer = xoauth2::without_token(&answer, username, token);
            match status {
                Some(status) => format!("{answer} (status {status})"),
                None => answer,
            }
        }))
    }
}

/// RFC 5530 §3: a refusal that says nothing about name and password, whatever its text.
fn is_for_now(answer: &str) -> bool {
    let code = answer.split_once('[').and_then(|(_, rest)| {
        let (code, _) = rest.split_once(']')?;
        code.split(' ').next()
    });
    let codes = ["UNAVAILABLE", "INUSE", "LIMIT", "SERVERBUG"];
    answer.starts_with("NO [")
        && code.is_some_and(|code| codes.iter().any(|known| code.eq_ignore_ascii_case(known)))
}

/// `LOGIN name password`. RFC 9051 §4.3: line ends and NUL have no place in a quoted string.
fn login_command(
    settings: &ImapSettings,
    password: &SecretString,
) -> Result<SecretString, MailboxError> {
    let quoted = |what: &str, text: &str| {
        syntax::quoted(text).ok_or_else(|| MailboxError::Protocol {
            operation: format!("log in as {}", settings.username.escape_debug()),
            found: format!("expected a {what} without CR, LF and NUL, found one of them in it"),
        })
    };
    let username = quoted("user name", &settings.username)?;
    let password = quoted("password", password.expose_secret())?;
    Ok(format!("LOGIN {username} {password}").into())
}
