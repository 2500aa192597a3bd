//! Systems that numbers are handed to: each import and each withdrawal, by a webhook or as files.
//!
//! Left out on purpose: when to try again, which the dispatcher says as for mails, and what is handed
//! over, which `compose` writes. Guarantee: what is handed over twice bears the same id.

use std::{path::PathBuf, time::Duration};

use jiff::Timestamp;
use secrecy::SecretSlice;

use super::{Attempt, Obstacle, Unreachable};
use crate::ledger::Letter;

/// What Standard Webhooks has a sender wait, at the upper end of 15 to 30 s; a disk answers sooner.
const WITHIN: Duration = Duration::from_secs(30);

mod address;
mod directory;
mod probe;
mod webhook;

pub use self::address::{Address, AddressError};

/// A system as an import needs to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handoff {
    /// Its configured name.
    pub name: String,
    /// Whether it gets what was old when the ledger was created as well.
    pub past: bool,
}

/// A system and how it is reached.
#[derive(Debug)]
pub struct System {
    /// Its configured name.
    pub name: String,
    /// How it is reached.
    pub way: Way,
}

/// How a system is reached.
#[derive(Debug)]
pub enum Way {
    /// A POST of JSON, signed as Standard Webhooks has it.
    Webhook(Webhook),
    /// Files that appear complete.
    Directory(Drop),
}

/// Where a webhook is posted to.
#[derive(Debug)]
pub struct Webhook {
    /// Where.
    pub url: Address,
    /// The key behind `whsec_`, decoded.
    pub secret: SecretSlice<u8>,
    /// A private CA instead of the system's authorities.
    pub ca_file: Option<PathBuf>,
}

/// Where files appear.
#[derive(Debug)]
pub struct Drop {
    /// The directory; it must exist.
    pub path: PathBuf,
    /// In which forms; at least one.
    pub formats: Vec<Format>,
}

/// A form in which numbers are handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The platform's own 7 columns, UTF-8 with BOM.
    Csv,
    /// MIG 4.0 E0501 in its envelope.
    E0501,
    /// The body of a webhook.
    Json,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Csv, Self::E0501, Self::Json];

    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::E0501 => "e0501",
            Self::Json => "json",
        }
    }
}

impl System {
    /// Whether it could be handed anything; takes no longer than `within`. Nothing is handed over.
    ///
    /// # Errors
    /// The first [`Obstacle`].
    pub async fn probe(&self, within: Duration) -> Result<(), Obstacle> {
        match &self.way {
            Way::Webhook(webhook) => probe::webhook(webhook, within).await,
            Way::Directory(drop) => probe::directory(&drop.path, within).await,
        }
    }

    /// Tries to hand `letter` over, once, and takes no longer than `within` for it, nor than 30 s.
    /// It is `now`.
    ///
    /// # Errors
    /// As [`Transport::send`](super::Transport::send).
    pub(super) async fn send(
        &self,
        letter: &Letter,
        now: Timestamp,
        within: Duration,
    ) -> Result<Attempt, Unreachable> {
        let within = within.min(WITHIN);
        match &self.way {
            Way::Webhook(webhook) => webhook::send(webhook, letter, now, within).await,
            Way::Directory(drop) => directory::send(drop, letter, within).await,
        }
    }
}
