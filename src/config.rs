//! The configuration file: TOML in, [`Config`] out, or every mistake with line and column.
//!
//! Each room declares its own settings; this one composes them and knows the file's keys. Secrets
//! never stand in the file: a [`SecretSource`] says where one is, and nothing here reads it until
//! [`Mailbox::source`] or [`Config::transport`] is called.

use std::path::{Path, PathBuf};

use jiff::civil::Date;
use secrecy::SecretString;

use crate::{
    authenticity::Require,
    delivery::{Language, Patience, Style, Transport},
    http, mailbox,
    notice::{Ban, Rules},
    schedule,
    tls::TlsMode,
};

/// Where the file stands unless `--config` says otherwise.
pub const DEFAULT_PATH: &str = "/etc/invoice-trackd/config.toml";

/// A configuration that holds together.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The file it was read from.
    pub file: PathBuf,
    /// The ledger's file.
    pub ledger: PathBuf,
    /// What is said about notices and companies.
    pub rules: Rules,
    /// The proof demanded; only [`Require::None`] gets this far in this version.
    pub require: Require,
    /// The watched mailboxes, in the file's order.
    pub mailboxes: Vec<Mailbox>,
    /// Who is told what, in which language.
    pub style: Style,
    /// When to try again and when to give up.
    pub patience: Patience,
    /// Where mails go.
    pub outgoing: Outgoing,
    /// What is due when.
    pub schedule: schedule::Settings,
    /// The listener; `None` without `[http]`.
    pub http: Option<http::Settings>,
}

/// One `[[mailbox]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Mailbox {
    /// Its name, unique.
    pub name: String,
    /// Whose notices are found there when the mail itself does not say.
    pub company: Option<Ban>,
    /// The first scan looks no further back than this.
    pub since: Option<Date>,
    /// What it is.
    pub kind: MailboxKind,
}

/// The two kinds of mailbox.
#[derive(Debug, Clone, PartialEq)]
pub enum MailboxKind {
    /// A folder on an IMAP server.
    Imap {
        /// Server and login.
        server: Server,
        /// The folder.
        folder: String,
    },
    /// A local Maildir.
    Maildir {
        /// The directory that holds `new` and `cur`.
        path: PathBuf,
    },
}

/// A server to log in to.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// Host name.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Protection.
    pub tls: TlsMode,
    /// A private CA.
    pub ca_file: Option<PathBuf>,
    /// User name and where the password is; always there for IMAP.
    pub login: Option<(String, SecretSource)>,
}

/// Where mails go.
#[derive(Debug, Clone, PartialEq)]
pub enum Outgoing {
    /// An SMTP server.
    Smtp(Server),
    /// A directory of .eml files.
    Directory(PathBuf),
    /// Nowhere: the file has no `[mail]`, and nobody is told anything.
    Nowhere,
}

/// Where a secret is; never the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A name under `$CREDENTIALS_DIRECTORY`.
    Credential(String),
    /// A file that only its owner may read.
    File(PathBuf),
    /// An environment variable.
    Env(String),
}

/// A mistake in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What was expected, what was found, what to do.
    pub message: String,
}

/// Why there is no [`Config`].
#[derive(Debug)]
pub enum ConfigError {
    /// The file cannot be read.
    Unreadable {
        /// Its path.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file says what cannot be carried out; at least one problem.
    Wrong {
        /// Its path.
        file: PathBuf,
        /// In the order of the file.
        problems: Vec<Problem>,
    },
}

impl Config {
    /// Reads and checks the file; touches no secret and no network.
    ///
    /// # Errors
    /// [`ConfigError`], with every mistake that can be told apart.
    pub fn load(_file: &Path) -> Result<Self, ConfigError> {
        todo!()
    }

    /// As [`Config::load`], from text; `file` is for messages.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(_text: &str, _file: &Path) -> Result<Self, ConfigError> {
        todo!()
    }

    /// The way out for mails, its secret read now; `None` without `[mail]`.
    ///
    /// # Errors
    /// The secret cannot be read.
    pub fn transport(&self) -> anyhow::Result<Option<Transport>> {
        todo!()
    }
}

impl Mailbox {
    /// The mailbox ready to be opened, its secret read now.
    ///
    /// # Errors
    /// The secret cannot be read.
    pub fn source(&self) -> anyhow::Result<mailbox::Source> {
        todo!()
    }
}

impl SecretSource {
    /// Reads the secret, without the line end that editors leave behind.
    ///
    /// # Errors
    /// It is not there, is empty, or may be read by others; the message says where it was looked
    /// for and never what was found.
    pub fn read(&self) -> anyhow::Result<SecretString> {
        todo!()
    }
}

#[expect(unused, reason = "scaffold")]
fn scaffold(_: Language) {}
