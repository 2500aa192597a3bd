//! From a [`Reading`] and its circumstances to a [`Judgement`].

use std::fmt;

use jiff::civil::Date;

use super::{Allocation, Ban, Defect, Reading, Rules, Warning};

/// What became of a message; exactly one for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Disposition {
    /// Its ranges are recorded.
    Imported,
    /// Every range in it was recorded before, identically.
    Duplicate,
    /// It waits for a person.
    Quarantined,
    /// Nothing of ours.
    Unrelated,
    /// A resolver has yet to answer.
    Waiting,
}

impl Disposition {
    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Imported => "imported",
            Self::Duplicate => "duplicate",
            Self::Quarantined => "quarantined",
            Self::Unrelated => "unrelated",
            Self::Waiting => "waiting",
        }
    }
}

impl fmt::Display for Disposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is known of where the mail came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authenticity {
    /// The operator asked for no proof.
    NotRequired,
    /// The required proof is there; `signed` names the header fields it covers, lower case.
    Proven {
        /// Header fields under the signature, lower case; `None` when the method says nothing
        /// of fields (Authentication-Results).
        signed: Option<Vec<String>>,
    },
    /// The required proof is not there; the sentence says what was found.
    Unproven(String),
    /// A resolver failed for now: no verdict yet.
    Unknown(String),
}

/// A range that the ledger already holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    /// The ledger's `allocation.id`.
    pub id: i64,
    /// The range.
    pub allocation: Allocation,
    /// Whether it came from a file of the platform's (CSV or E0501) and not from a mail.
    pub from_file: bool,
}

/// Everything a judgement depends on besides the mail.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// What the operator has said.
    pub rules: &'a Rules,
    /// The company of the mailbox in which the mail was found.
    pub mailbox_company: Option<Ban>,
    /// Whether it is genuine.
    pub authenticity: &'a Authenticity,
    /// Ranges in force that share a track and a ROC year with any block of the mail.
    pub neighbours: &'a [Recorded],
    /// The day in Taipei.
    pub today: Date,
}

/// How the company was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompanySource {
    /// A BAN in the parentheses.
    Body,
    /// A configured name in the parentheses.
    Name,
    /// The recipient.
    Recipient,
    /// The mailbox.
    Mailbox,
    /// An identical range from a file of the platform's.
    File,
}

impl CompanySource {
    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Body => "body",
            Self::Name => "name",
            Self::Recipient => "recipient",
            Self::Mailbox => "mailbox",
            Self::File => "file",
        }
    }
}

/// One range of a judged mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judged {
    /// The range and its company.
    pub allocation: Allocation,
    /// The recorded row that is identical to it, when there is one.
    pub known: Option<i64>,
}

/// What follows from a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// What becomes of it.
    pub disposition: Disposition,
    /// Everything that is wrong with it.
    pub defects: Vec<Defect>,
    /// What a person should know.
    pub warnings: Vec<Warning>,
    /// Whose it is and how that was told.
    pub company: Option<(Ban, CompanySource)>,
    /// Its ranges, each once; empty where the company is not known.
    pub allocations: Vec<Judged>,
}

impl Judgement {
    /// The ranges that the ledger does not hold yet.
    pub fn fresh(&self) -> impl Iterator<Item = &Allocation> {
        self.allocations
            .iter()
            .filter(|judged| judged.known.is_none())
            .map(|j| &j.allocation)
    }
}

/// Judges one reading under its circumstances.
pub fn settle(_reading: &Reading, _given: &Circumstances<'_>) -> Judgement {
    todo!()
}
