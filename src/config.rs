//! The configuration file: TOML in, [`Config`] out, or every mistake with line and column.
//!
//! Each room declares its own settings; this one composes them and knows the file's keys. Secrets
//! never stand in the file: a [`SecretSource`] says where one is, and nothing here reads it until
//! [`Mailbox::source`] or [`Config::transport`] is called.
//!
//! Guarantee: what is not understood is refused, never ignored, and one reading names every
//! mistake that can be told apart.

mod access;
mod companies;
mod document;
mod handoff;
mod mail;
mod mailboxes;
mod notice;
mod oauth;
mod report;
mod schema;
mod secret;
mod server;

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use jiff::civil::Date;
use toml::de::DeTable;

pub use self::{
    access::TooOpen,
    handoff::{Handoff, HandoffWay},
    oauth::{CredentialSource, OAuth, Provider},
    schema::reference,
};
use self::{document::Table, report::Report};
use crate::{
    authenticity,
    delivery::{Patience, SmtpSettings, Style, System, Transport},
    http,
    intake::Place,
    mailbox::{self, AfterImport, Bounds, ImapSettings},
    notice::{Ban, Rules},
    oauth::Credential,
    schedule,
    tls::{self, TlsMode},
};

/// Where the file stands unless `--config` says otherwise.
pub const DEFAULT_PATH: &str = "/etc/invoice-trackd/config.toml";

/// The ledger's file unless `[ledger]` says otherwise.
const DEFAULT_LEDGER: &str = "/var/lib/invoice-trackd/ledger.db";

/// The listener's address unless `[http]` says otherwise.
const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8970);

/// Looking at a local directory costs nothing, and a trial should not have to wait.
const MAILDIR_POLL: Duration = Duration::from_secs(1);

/// Shorter than the 5 minutes of RFC 5321 §4.5.3.2: a letter that waits in the outbox costs less
/// than a dispatcher that waits for a server.
const SMTP_COMMAND: Duration = Duration::from_secs(60);

/// A configuration that holds together.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The file it was read from.
    pub file: PathBuf,
    /// The ledger's file.
    pub ledger: PathBuf,
    /// What is said about notices and companies.
    pub rules: Rules,
    /// Where companies are listed besides; they are among those of `rules`.
    pub companies_file: Option<CompaniesFile>,
    /// What proves that a mail is genuine.
    pub authenticity: authenticity::Settings,
    /// The watched mailboxes, in the file's order.
    pub mailboxes: Vec<Mailbox>,
    /// Who is told what, in which language.
    pub style: Style,
    /// When to try again and when to give up.
    pub patience: Patience,
    /// Where mails go.
    pub outgoing: Outgoing,
    /// The systems that numbers are handed to, in the file's order.
    pub handoffs: Vec<Handoff>,
    /// What is due when.
    pub schedule: schedule::Settings,
    /// The listener; `None` without `[http]`.
    pub http: Option<http::Settings>,
}

/// The `companies_file`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompaniesFile {
    /// Its path.
    pub path: PathBuf,
    /// How many companies it lists.
    pub companies: usize,
}

/// One `[[mailbox]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Mailbox {
    /// Its name, unique.
    pub name: String,
    /// Whose notices are found there when the mail itself does not say.
    pub company: Option<Ban>,
    /// Which Authentication-Results field of its mail is believed.
    pub results: authenticity::Results,
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
        /// What is done on the server with mail whose ranges are recorded; `None`: nothing.
        after_import: Option<AfterImport>,
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
    /// User name and what proves it; always there for IMAP.
    pub login: Option<(String, CredentialSource)>,
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

/// A mistake in the configuration, or in the `companies_file`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file it stands in.
    pub file: Arc<Path>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What was expected, what was found, what to do.
    pub message: String,
}

/// Why there is no [`Config`].
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("read the configuration {}: {source}", file.display())]
    Unreadable {
        /// Its path.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Anybody on the machine may make the file say something else: where mails go, whom to
    /// believe.
    #[error("the configuration {}: {open}", file.display())]
    Open {
        /// Its path.
        file: PathBuf,
        /// What others may do.
        open: TooOpen,
    },
    /// It says what cannot be carried out; at least one problem, each on its own line as
    /// `FILE:LINE:COLUMN: sentence`.
    #[error("{}", lines(_0))]
    Wrong(
        /// In the order of the file, then those of the `companies_file` in its order.
        Vec<Problem>,
    ),
}

/// `FILE:LINE:COLUMN: sentence`
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            column,
            message,
        } = self;
        write!(f, "{}:{line}:{column}: {message}", file.display())
    }
}

impl Config {
    /// What is known of the place where a message was found: in the mailbox of this name, `None`
    /// where there is none; or in a file, which is taken to have been found in the only mailbox.
    pub fn place(&self, mailbox: Option<&str>) -> Option<Place> {
        match (mailbox, self.mailboxes.as_slice()) {
            (None, [only]) => Some(only.place()),
            (None, _) => Some(Place::default()),
            (Some(name), mailboxes) => {
                let mut mailboxes = mailboxes.iter();
                let named = mailboxes.find(|mailbox| mailbox.name == name);
                named.map(Mailbox::place)
            }
        }
    }

    /// Reads and checks the file; touches no secret and no network.
    ///
    /// # Errors
    /// [`ConfigError`], with every mistake that can be told apart.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let bytes = std::fs::read(file).map_err(|source| ConfigError::Unreadable {
            file: file.to_owned(),
            source,
        })?;
        if let Some(open) = access::open_to_others(file) {
            let file = file.to_owned();
            return Err(ConfigError::Open { file, open });
        }
        match str::from_utf8(&bytes) {
            Ok(text) => Self::parse(text, file),
            Err(error) => {
                // Editors in Taiwan may still save Big5.
                let message = "expected text in UTF-8, found other bytes; save the file as UTF-8";
                let problem = report::undecodable(&bytes, &error, file, message.to_owned());
                Err(ConfigError::Wrong(vec![problem]))
            }
        }
    }

    /// As [`Config::load`], from text; `file` is for messages, and the `companies_file` is looked
    /// for beside it.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        let report = Report::new(text);
        let mut elsewhere = Vec::new();
        let config = match DeTable::parse(text) {
            Ok(root) => {
                let root = Table::new(&schema::ROOT, 0, root.get_ref(), &report);
                read(&root, file, &mut elsewhere)
            }
            Err(error) => {
                let (at, sentence) = report::syntax(text, &error);
                report.add(at, sentence);
                None
            }
        };
        let mut problems = report.into_problems(file);
        problems.append(&mut elsewhere);
        match config {
            Some(config) if problems.is_empty() => Ok(config),
            _ => Err(ConfigError::Wrong(problems)),
        }
    }

    /// The systems that numbers are handed to, their secrets read now.
    ///
    /// # Errors
    /// A secret or a CA file cannot be read, or the secret is none for a webhook.
    pub fn systems(&self) -> anyhow::Result<Vec<System>> {
        self.handoffs.iter().map(Handoff::system).collect()
    }

    /// The way out for mails, its secret read now; `None` without `[mail]`.
    ///
    /// # Errors
    /// The secret or the CA file cannot be read.
    pub fn transport(&self) -> anyhow::Result<Option<Transport>> {
        Ok(match &self.outgoing {
            Outgoing::Nowhere => None,
            Outgoing::Directory(path) => Some(Transport::Directory(path.clone())),
            Outgoing::Smtp(server) => Some(Transport::Smtp(SmtpSettings {
                host: server.host.clone(),
                port: server.port,
                tls: server.tls,
                ca_file: server.ca_file().context("[mail.smtp]")?,
                login: server.login().context("[mail.smtp]")?,
                command: SMTP_COMMAND,
            })),
        })
    }
}

/// Reads the whole tree; `None` only beside a reported mistake. Those in another file go `elsewhere`.
fn read(root: &Table<'_>, file: &Path, elsewhere: &mut Vec<Problem>) -> Option<Config> {
    let ledger = ledger(root);
    let mut rules = notice::rules(root);
    let roll = companies::read(root, file);
    *elsewhere = roll.problems;
    rules.companies = roll.companies;
    let authenticity = notice::authenticity(root);
    let beside = ledger
        .as_deref()
        .and_then(Path::parent)
        .unwrap_or(Path::new("/"));
    let is_known = |ban| {
        !roll.is_whole || rules.accept_unlisted_companies || rules.companies.get(ban).is_some()
    };
    let mailboxes = mailboxes::read(root, &is_known, beside);
    let telling = mail::telling(root, beside);
    let handoffs = handoff::read(root);
    let schedule = schedule(root);
    let http = http(root);
    let mut telling = telling?;
    telling.style.handoffs = handoffs.iter().map(Handoff::as_told).collect();
    if telling.outgoing != Outgoing::Nowhere {
        rules.own_address = Some(telling.style.from.address.clone());
    }
    Some(Config {
        file: file.to_owned(),
        ledger: ledger?,
        rules,
        companies_file: roll.file,
        authenticity,
        mailboxes,
        style: telling.style,
        patience: telling.patience,
        outgoing: telling.outgoing,
        handoffs,
        schedule,
        http,
    })
}

/// `[ledger]`: a URL, so that another kind of ledger could be named one day.
fn ledger(root: &Table<'_>) -> Option<PathBuf> {
    let Some(value) = root.table(&schema::LEDGER).get("url") else {
        return Some(DEFAULT_LEDGER.into());
    };
    let path = |url: &str| {
        url.strip_prefix("sqlite://")
            .filter(|path| path.starts_with('/') && !path.ends_with('/'))
            // In a URL these would mean something else than they say.
            .filter(|path| !path.contains(['?', '#', '%']))
            .map(PathBuf::from)
    };
    let expected = "\"sqlite://\" and the file's absolute path (without ?, # or %), such as \
                    \"sqlite:///var/lib/invoice-trackd/ledger.db\"";
    value
        .text_that(expected, |url| path(url).is_some())
        .and_then(path)
}

/// `[schedule]`
fn schedule(root: &Table<'_>) -> schedule::Settings {
    let table = root.table(&schema::SCHEDULE);
    let defaults = schedule::Settings::default();
    let day = |key, bounds| table.get(key).and_then(|value| value.whole(bounds));
    schedule::Settings {
        due_day: day("due_day", 20..=28).unwrap_or(defaults.due_day),
        reminder_day: day("reminder_day", 1..=19).unwrap_or(defaults.reminder_day),
    }
}

/// `[http]`: the page shows whose numbers are whose, so without a token it stays on this machine.
fn http(root: &Table<'_>) -> Option<http::Settings> {
    let table = root.table(&schema::HTTP);
    let Some(value) = table.get("listen") else {
        return table.is_present().then_some(http::Settings {
            listen: DEFAULT_LISTEN,
        });
    };
    let text = value.text_that("an address and a port such as \"127.0.0.1:8970\"", |text| {
        text.parse::<SocketAddr>().is_ok()
    })?;
    let listen: SocketAddr = text.parse().ok()?;
    if !listen.ip().is_loopback() {
        value.refuse(format_args!(
            "this version listens on this machine only (127.0.0.1 or [::1]), found \"{text}\"; \
             other addresses need a token, which it does not know yet"
        ));
    }
    Some(http::Settings { listen })
}

impl ConfigError {
    /// As it reads in a journal: of very many problems the first, and how many there are.
    pub fn in_short(&self) -> String {
        const FEW: usize = 20;
        match self {
            Self::Wrong(problems) if problems.len() > FEW => {
                let first = lines(problems.get(..FEW).unwrap_or_default());
                let more = problems.len() - FEW;
                format!("{first}\nand {more} more mistakes; `invoice-trackd check` names them all")
            }
            other => other.to_string(),
        }
    }
}

fn lines(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

impl Mailbox {
    /// What judging its mail takes into account.
    pub fn place(&self) -> Place {
        Place {
            company: self.company,
            results: self.results,
        }
    }

    /// Where it is, in words. Port and TLS do not matter: they lead to the same folder.
    pub fn whereabouts(&self) -> String {
        match &self.kind {
            MailboxKind::Maildir { path } => format!("the Maildir {}", path.display()),
            MailboxKind::Imap { server, folder, .. } => {
                let username = server.login.as_ref().map_or("", |(username, _)| username);
                format!("{folder} of {username} on {}", server.host)
            }
        }
    }

    /// The mailbox ready to be opened, its secret read now.
    ///
    /// # Errors
    /// The secret or the CA file cannot be read.
    pub fn source(&self) -> anyhow::Result<mailbox::Source> {
        match &self.kind {
            MailboxKind::Maildir { path } => Ok(mailbox::Source::Maildir(mailbox::Maildir::new(
                self.name.clone(),
                path.clone(),
                MAILDIR_POLL,
                self.since,
            ))),
            MailboxKind::Imap {
                server,
                folder,
                after_import,
            } => {
                let of_mailbox = || format!("mailbox {}", self.name);
                let (username, credential) = server
                    .login()
                    .with_context(of_mailbox)?
                    .with_context(|| format!("mailbox {}: no username", self.name))?;
                Ok(mailbox::Source::Imap(mailbox::Imap::new(ImapSettings {
                    name: self.name.clone(),
                    host: server.host.clone(),
                    port: server.port,
                    tls: server.tls,
                    ca_file: server.ca_file().with_context(of_mailbox)?,
                    username,
                    credential,
                    folder: folder.clone(),
                    after_import: after_import.clone(),
                    bounds: Bounds::default(),
                })))
            }
        }
    }
}

impl Server {
    /// User name and what proves it, secrets read now.
    fn login(&self) -> anyhow::Result<Option<(String, Credential)>> {
        self.login
            .as_ref()
            .map(|(username, source)| Ok((username.clone(), source.read()?)))
            .transpose()
    }

    /// The CA file, tried now: a wrong one would otherwise show only once the server answers.
    fn ca_file(&self) -> anyhow::Result<Option<PathBuf>> {
        if let Some(file) = &self.ca_file {
            tls::client_config(Some(file))?;
        }
        Ok(self.ca_file.clone())
    }
}
