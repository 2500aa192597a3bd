//! Logging in to an SMTP server (RFC 4954): with a password as lettre does it, or with an access token.
//!
//! XOAUTH2 is spoken here, because lettre 0.11.23 takes the explanation that precedes a refusal (334) for a
//! mistake of its own, and then knows nothing of the refusal; and because it sends a token of any length in
//! the command, which may have 512 bytes. Guarantee: no secret is in a message, even where the server
//! repeats it.

use lettre::transport::smtp::{
    authentication::{Credentials, DEFAULT_MECHANISMS, Mechanism},
    response::Response,
};
use secrecy::{ExposeSecret as _, SecretString};

use super::{ObstacleKind, Session, Trouble, bounded, expect};
use crate::oauth::{TokenError, xoauth2};

/// RFC 5321 §4.5.3.1.4: what a command may have, with its line end.
const COMMAND: usize = 512;

impl Session {
    pub(super) async fn show_password(
        &mut self,
        server: &str,
        username: &str,
        password: &SecretString,
    ) -> Result<(), Trouble> {
        let credentials =
            Credentials::new(username.to_owned(), password.expose_secret().to_owned());
        let until = self.until();
        let logging_in = self.connection.auth(DEFAULT_MECHANISMS, &credentials);
        let step = format!("log in to {server} as {username}");
        let answer = bounded(&step, until, async { Ok(logging_in.await) }).await?;
        let answer = answer.map_err(|error| {
            let trouble = Trouble::of(&step, &error).without(password);
            let kind = match trouble.kind {
                // lettre found no mechanism that both sides know.
                ObstacleKind::Passing if error.is_client() => ObstacleKind::NoAuth,
                ObstacleKind::Refused => ObstacleKind::LoginRefused,
                kind => kind,
            };
            Trouble { kind, ..trouble }
        })?;
        // RFC 4954 §6
        expect(&step, answer, &[235]).map_err(|trouble| trouble.without(password))
    }

    pub(super) async fn show_token(
        &mut self,
        server: &str,
        username: &str,
        token: &SecretString,
    ) -> Result<(), Trouble> {
        let step = format!("log in to {server} as {username}");
        let offered = self.connection.server_info();
        if !offered.supports_auth_mechanism(Mechanism::Xoauth2) {
            return Err(Trouble {
                kind: ObstacleKind::NoXoauth2,
                ..Trouble::ours(format!(
                    "{step}: expected a server that offers AUTH XOAUTH2, found none"
                ))
            });
        }
        let told = self.tell(&step, username, token).await;
        told.map_err(|trouble| Trouble {
            words: xoauth2::without_token(&trouble.words, username, token),
            kind: match trouble.kind {
                ObstacleKind::Refused | ObstacleKind::LoginWanted => ObstacleKind::TokenRefused,
                kind => kind,
            },
            ..trouble
        })
    }

    async fn tell(
        &mut self,
        step: &str,
        username: &str,
        token: &SecretString,
    ) -> Result<(), Trouble> {
        let response = xoauth2::initial_response(username, token);
        let response = response.expose_secret();
        let at_once = format!("AUTH XOAUTH2 {response}\r\n");
        // RFC 4954 §4: what is too long for the command has a line of its own.
        let answer = match at_once.len() <= COMMAND {
            true => self.say(step, &at_once).await?,
            false => {
                let go_on = self.say(step, "AUTH XOAUTH2\r\n").await?;
                expect(step, go_on, &[334])?;
                self.say(step, &format!("{response}\r\n")).await?
            }
        };
        // A refusal is explained first, and comes only after an empty line.
        let answer = match answer.has_code(334) {
            true => self.say(step, "\r\n").await?,
            false => answer,
        };
        expect(step, answer, &[235])
    }

    async fn say(&mut self, step: &str, line: &str) -> Result<Response, Trouble> {
        let until = self.until();
        bounded(step, until, self.connection.command(line)).await
    }
}

impl From<TokenError> for Trouble {
    fn from(error: TokenError) -> Self {
        Self {
            kind: ObstacleKind::Token(error.cause),
            ..Self::ours(error.words)
        }
    }
}
