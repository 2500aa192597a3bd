//! Telling people: letters are composed here and sent from the outbox, at least once each.
//!
//! Left out on purpose: what deserves a letter, which `intake` decides, and where letters are
//! kept, which is the ledger's.

use std::{borrow::Cow, collections::HashSet, fmt, path::PathBuf, str::FromStr, time::Duration};

use jiff::Timestamp;

use crate::{
    ledger::{Letter, Recipient},
    notice::{Address, AddressError, Company},
    oauth::{Cause, Credential},
    tls::{Distrust, TlsMode},
};

pub mod compose;
mod directory;
pub mod dispatch;
mod gather;
pub mod handoff;
mod smtp;
mod wake;

pub use self::{
    dispatch::{Dispatcher, Pass},
    gather::gather_past,
    handoff::{Handoff, System},
    wake::{Listener, Wake},
};

/// The language of mails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    /// 繁體中文
    #[default]
    ZhTw,
    /// English, with the Chinese terms beside it.
    En,
}

impl Language {
    /// The one of two that is in this language, so that both stand side by side in the source.
    fn pick<T>(self, zh_tw: T, en: T) -> T {
        match self {
            Self::ZhTw => zh_tw,
            Self::En => en,
        }
    }
}

/// Name and address of our own mail's From, as `invoice-trackd <einvoice@example.com>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The display name; may be empty.
    pub name: String,
    /// The address.
    pub address: Address,
}

impl FromStr for Identity {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (name, address) = match text
            .trim()
            .strip_suffix('>')
            .and_then(|t| t.rsplit_once('<'))
        {
            Some((name, address)) => (name.trim().trim_matches('"'), address),
            None => ("", text.trim()),
        };
        if name.chars().any(char::is_control) {
            return Err(AddressError(text.to_owned()));
        }
        Ok(Self {
            name: name.to_owned(),
            address: address.parse()?,
        })
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.is_empty() {
            write!(f, "{}", self.address)
        } else {
            write!(f, "{} <{}>", self.name, self.address)
        }
    }
}

/// How recorded notices are confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Confirm {
    /// One mail for each.
    #[default]
    Each,
    /// One mail for all of a window.
    Digest,
}

impl Confirm {
    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Each => "each",
            Self::Digest => "digest",
        }
    }
}

/// Who is told what, in which language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Style {
    /// The language of all mails.
    pub language: Language,
    /// Our From.
    pub from: Identity,
    /// Who gets confirmations.
    pub confirm_to: Vec<Address>,
    /// Who gets alerts.
    pub alert_to: Vec<Address>,
    /// Whether each recorded notice gets a mail of its own.
    pub confirm: Confirm,
    /// The systems that numbers are handed to.
    pub handoffs: Vec<Handoff>,
}

impl Style {
    /// As it is for `company`: its own readers of confirmations stand in everybody's place. Its own
    /// readers of alerts stand beside the others, who may have been told of its mail in quarantine.
    pub fn of(&self, company: Option<&Company>) -> Cow<'_, Self> {
        let Some(company) = company else {
            return Cow::Borrowed(self);
        };
        let alert_to = [&*self.alert_to, &*company.alert_to].concat();
        self.with_readers(&company.confirm_to, &alert_to)
    }

    /// As it is where these are told, each list unless it is empty.
    fn with_readers(&self, confirm_to: &[Address], alert_to: &[Address]) -> Cow<'_, Self> {
        let mut style = Cow::Borrowed(self);
        if !confirm_to.is_empty() {
            style.to_mut().confirm_to = confirm_to.to_vec();
        }
        if !alert_to.is_empty() {
            style.to_mut().alert_to = alert_to.to_vec();
        }
        style
    }
}

/// When to try again, when to give up, when to gather.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// A letter that is not an alert is given up after this, and at least ten attempts.
    pub give_up_after: Duration,
    /// Alerts that follow the first within this are gathered into one letter.
    pub alert_window: Duration,
    /// Confirmations that come within this are gathered into one letter, where digests are wanted.
    pub confirm_window: Duration,
    /// No more letters than this are attempted in any minute; 0 means no limit.
    pub max_per_minute: u32,
    /// No attempt takes longer than this; longer than the 10 minutes a server may take over the
    /// final dot (RFC 5321 §4.5.3.2.6), so that a slow one does not make us send twice.
    pub attempt: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            give_up_after: Duration::from_secs(3 * 24 * 3600),
            alert_window: Duration::from_secs(300),
            confirm_window: Duration::from_secs(3600),
            max_per_minute: 0,
            attempt: Duration::from_secs(660),
        }
    }
}

/// How to reach the server that takes our mail.
#[derive(Debug)]
pub struct SmtpSettings {
    /// Host name; certificates are checked against it.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Protection.
    pub tls: TlsMode,
    /// A private CA instead of the system's authorities.
    pub ca_file: Option<PathBuf>,
    /// AUTH name, and a password or access tokens; without them no AUTH.
    pub login: Option<(String, Credential)>,
    /// How long connecting, TLS and each answer before DATA may take.
    pub command: Duration,
}

/// Where letters go.
#[derive(Debug)]
pub enum Transport {
    /// An SMTP server.
    Smtp(SmtpSettings),
    /// A directory: one .eml file a mail, for trials.
    Directory(PathBuf),
    /// A system that numbers are handed to.
    System(System),
}

/// Each recipient's fate in one attempt. Every recipient of the letter stands in exactly one of
/// the first three.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attempt {
    /// Who has it now.
    pub accepted: HashSet<Recipient>,
    /// Who will never get it, with the server's words.
    pub refused: Vec<(Recipient, String)>,
    /// Who may get it later, with the server's words or ours.
    pub deferred: Vec<(Recipient, String)>,
    /// A system said, in these words, that it wants this and anything else no more: then nobody
    /// stands above.
    pub stopped: Option<String>,
}

/// The way out is closed for now, whatever the letter: nobody was asked about a recipient.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreachable(String);

/// Why letters would not go out, for a person who asks before there is one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{words}")]
pub struct Obstacle {
    /// The server's words or ours.
    pub words: String,
    /// What it comes from.
    pub kind: ObstacleKind,
}

/// What an [`Obstacle`] comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObstacleKind {
    /// The network, silence: it may pass by itself. Where the cause is unknown as well.
    Passing,
    /// The server says that it will not take mail just now.
    PutOff,
    /// TLS or the certificate.
    Tls(Distrust),
    /// The CA file cannot be used.
    CaFile,
    /// The port is one for implicit TLS, and the settings say that it is not.
    TlsFirst,
    /// STARTTLS is asked for and not offered.
    NoStartTls,
    /// What answers does not speak SMTP.
    NotSmtp,
    /// The server takes mail only after AUTH, and there is no login.
    LoginWanted,
    /// The server offers no AUTH that we can speak.
    NoAuth,
    /// Name and password were refused.
    LoginRefused,
    /// There is no access token to log in with; the mail server was not asked.
    Token(Cause),
    /// The server does not take access tokens.
    NoXoauth2,
    /// The access token was refused.
    TokenRefused,
    /// Some other 5xx.
    Refused,
    /// The directory cannot be written to.
    Directory,
}

impl Transport {
    /// The system that letters by this way are for; `None` for mails.
    pub fn target(&self) -> Option<&str> {
        match self {
            Self::Smtp(_) | Self::Directory(_) => None,
            Self::System(system) => Some(&system.name),
        }
    }

    /// Goes as far as a letter would, up to and with its sender, and takes it back; takes no longer
    /// than `within`, twice that where the server is silent. Nothing is sent.
    ///
    /// # Errors
    /// The first [`Obstacle`].
    pub async fn probe(&self, from: &Address, within: Duration) -> Result<(), Obstacle> {
        match self {
            Self::Smtp(settings) => smtp::probe(settings, from, within).await,
            Self::Directory(directory) => directory::probe(directory, within).await,
            Self::System(system) => system.probe(within).await,
        }
    }

    /// Tries to hand `letter` over, once, and takes no longer than `within` for it. It is `now`.
    ///
    /// # Errors
    /// [`Unreachable`] when it did not come to speaking about this letter; always temporary. What
    /// a server says about the letter or its recipients is an [`Attempt`].
    pub async fn send(
        &self,
        from: &Address,
        letter: &Letter,
        now: Timestamp,
        within: Duration,
    ) -> Result<Attempt, Unreachable> {
        match self {
            Self::Smtp(settings) => smtp::send(settings, from, letter, within).await,
            Self::Directory(directory) => directory::send(directory, letter, within).await,
            Self::System(system) => system.send(letter, now, within).await,
        }
    }
}
