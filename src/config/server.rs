//! What IMAP and SMTP servers have in common: host, port, TLS and login.
//!
//! Guarantee: nothing is sent in plaintext beyond this machine, and no password stands in the file.

use std::path::Path;

use super::{
    CredentialSource, SecretSource, Server,
    document::{Table, Value},
    oauth,
    schema::{self, Schema},
};
use crate::tls::{self, TlsMode};

/// What differs between one protocol and another.
#[derive(Debug)]
pub(super) struct Protocol {
    implicit: u16,
    starttls: u16,
    plaintext: u16,
    login_required: bool,
    oauth: &'static Schema,
    /// What a person must allow at Microsoft for this protocol.
    pub(super) microsoft_scope: &'static str,
}

/// RFC 9051 §2.1, RFC 8314 §3.2.
pub(super) const IMAP: Protocol = Protocol {
    implicit: 993,
    starttls: 143,
    plaintext: 143,
    login_required: true,
    oauth: &schema::MAILBOX_OAUTH,
    microsoft_scope: "https://outlook.office.com/IMAP.AccessAsUser.All",
};

/// RFC 8314 §3.3 for 465, RFC 6409 §3.1 for 587; 25 is what a local relay listens on.
pub(super) const SMTP: Protocol = Protocol {
    implicit: 465,
    starttls: 587,
    plaintext: 25,
    login_required: false,
    oauth: &schema::SMTP_OAUTH,
    microsoft_scope: "https://outlook.office.com/SMTP.Send",
};

impl Protocol {
    /// Reads the keys that describe a server.
    pub(super) fn server(&self, table: &Table<'_>, beside_the_ledger: &Path) -> Option<Server> {
        let host = table
            .require("host", "the server's name")
            .and_then(|value| value.host());
        let tls = table.get("tls");
        let mode = match &tls {
            None => Some(TlsMode::Implicit),
            Some(value) => value.choice(
                &[TlsMode::Implicit, TlsMode::StartTls, TlsMode::None],
                TlsMode::as_str,
            ),
        };
        let port = match table.get("port") {
            None => mode.map(|mode| self.port(mode)),
            Some(value) => value.whole(1..=u16::MAX),
        };
        let ca_file = table.get("ca_file");
        if let (Some(value), Some(TlsMode::None)) = (&tls, mode) {
            if host
                .as_deref()
                .is_some_and(|host| !tls::names_this_machine(host))
            {
                value.refuse(
                    "without TLS only this machine may be spoken to (localhost, 127.0.0.1, ::1); \
                     write \"implicit\" or \"starttls\"",
                );
            }
            if let Some(ca_file) = &ca_file {
                ca_file.refuse("has no use with tls = \"none\"; take one of the two out");
            }
        }
        Some(Server {
            login: self.login(table, beside_the_ledger),
            ca_file: ca_file.and_then(|value| value.path()),
            host: host?,
            port: port?,
            tls: mode?,
        })
    }

    fn port(&self, mode: TlsMode) -> u16 {
        match mode {
            TlsMode::Implicit => self.implicit,
            TlsMode::StartTls => self.starttls,
            TlsMode::None => self.plaintext,
        }
    }

    fn login(
        &self,
        table: &Table<'_>,
        beside_the_ledger: &Path,
    ) -> Option<(String, CredentialSource)> {
        let given = |key| table.get(key).is_some();
        let begun = given("username") || given("password") || given("oauth");
        if !self.login_required && !begun {
            return None;
        }
        let username = table
            .require("username", "the name to log in with")
            .and_then(|value| value.text());
        let oauth = table.table(self.oauth);
        let credential = match (table.get("password"), oauth.is_present()) {
            (password, true) => {
                if let Some(password) = password {
                    password
                        .refuse("stands beside `oauth`; a login has one of the two, take one out");
                }
                oauth::read(&oauth, self, beside_the_ledger)
                    .map(|oauth| CredentialSource::OAuth(Box::new(oauth)))
            }
            (Some(password), false) => {
                SecretSource::from_value(&password).map(CredentialSource::Password)
            }
            // What `oauth` is instead of a table has been said.
            (None, false) if given("oauth") => None,
            (None, false) => {
                table.refuse(format_args!(
                    "`password` is missing, and so is `oauth`; expected password = {}, or oauth = \
                     {{ … }} where the server takes no passwords",
                    SecretSource::FORM
                ));
                None
            }
        };
        username.map(str::to_owned).zip(credential)
    }
}

impl SecretSource {
    /// What a secret looks like in the file.
    pub(super) const FORM: &str =
        "{ credential = \"NAME\" }, { file = \"/PATH\" } or { env = \"VARIABLE\" }";

    /// Reads where a secret is.
    pub(super) fn from_value(value: &Value<'_>) -> Option<Self> {
        let Some(entries) = value.secret_entries() else {
            value.refuse(format_args!(
                "a secret never stands in this file; write where it is: {}",
                Self::FORM
            ));
            return None;
        };
        match &entries[..] {
            // systemd.exec(5): a credential's name is a file's name.
            [("credential", entry)] => entry
                .text_that("a credential's name, without slashes", |name| {
                    !name.contains('/') && name != "." && name != ".."
                })
                .map(|name| Self::Credential(name.to_owned())),
            [("file", entry)] => entry.path().map(Self::File),
            [("env", entry)] => entry
                .text_that("an environment variable's name", |name| !name.contains('='))
                .map(|name| Self::Env(name.to_owned())),
            _ => {
                value.refuse(format_args!(
                    "expected {}, found something else",
                    Self::FORM
                ));
                None
            }
        }
    }
}
