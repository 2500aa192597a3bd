//! From a [`Reading`] and its circumstances to a [`Judgement`].
//!
//! Left out on purpose: finding the neighbours and proving the sender; both are given.
//!
//! Guarantee: a mail is imported only when nothing at all is wrong with it, or nothing but what
//! a person overruled and may overrule. A range that is already recorded identically is held
//! against nobody, so that a notice that comes again, or comes again after a person released it,
//! changes nothing.

mod company;
mod ranges;

use std::fmt;

use jiff::civil::Date;

use super::{Allocation, Ban, Defect, DefectCode, Reading, Rules, Sentence, Warning, WarningCode};

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
    /// Every disposition there is.
    pub const ALL: [Self; 5] = [
        Self::Imported,
        Self::Duplicate,
        Self::Quarantined,
        Self::Unrelated,
        Self::Waiting,
    ];

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
        /// Header fields under the signature, lower case; `None` when nothing is known of fields
        /// (Authentication-Results, of a mail without a signature by From's organization).
        signed: Option<Vec<String>>,
    },
    /// The required proof is not there; the sentence says what was found.
    Unproven(Sentence),
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
    /// Whether a file of the platform's (CSV or E0501) says it, first or after a mail.
    pub from_file: bool,
}

/// A person's word that a mail is to be recorded in spite of what may be overruled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Release {
    /// Whose numbers they are, where the person says so.
    pub ban: Option<Ban>,
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
    /// The ranges in force with which a block of the mail can collide: those near it in its track
    /// and period, and any one of its track in each of the other periods of that ROC year.
    pub neighbours: &'a [Recorded],
    /// The day in Taipei.
    pub today: Date,
    /// What a person has decided about this mail; `None` until somebody does.
    pub release: Option<Release>,
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
    /// The person who released the mail.
    Person,
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
            Self::Person => "person",
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
    /// Everything that is wrong with it and stands in the way.
    pub defects: Vec<Defect>,
    /// What is wrong with it and was overruled; empty unless a person releases it.
    pub overruled: Vec<Defect>,
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
pub fn settle(reading: &Reading, given: &Circumstances<'_>) -> Judgement {
    let mut judgement = Judgement {
        disposition: Disposition::Unrelated,
        defects: reading.defects.clone(),
        overruled: Vec::new(),
        warnings: reading.warnings.clone(),
        company: None,
        allocations: Vec::new(),
    };
    if !reading.is_notice {
        return judgement;
    }
    if reading.is_unread() {
        judgement.disposition = Disposition::Quarantined;
        return judgement;
    }

    if let Authenticity::Unproven(found) = given.authenticity {
        let defect = Defect::new(DefectCode::NotAuthenticated, found.clone());
        judgement.defects.push(defect);
    }
    let (company, defects) = company::of(reading, given);
    judgement.company = company;
    judgement.defects.extend(defects);
    if let Some(ban) = given.release.and_then(|release| release.ban) {
        company::by_person(ban, reading, given, &mut judgement);
    }
    let company = judgement.company;
    if let Some((ban, CompanySource::Mailbox)) = company {
        judgement.warnings.push(Warning::new(
            WarningCode::CompanyAssumed,
            Sentence::new(
                format!("nothing in the mail names a company; {ban} is the mailbox's"),
                format!("信中看不出是哪一家公司，依信箱的設定當作統一編號 {ban}"),
            ),
        ));
    }
    ranges::check(reading, given, &mut judgement);

    if given.release.is_some() {
        let overruled = judgement
            .defects
            .extract_if(.., |defect| defect.code.is_overrulable());
        judgement.overruled.extend(overruled);
    }
    for defects in [&mut judgement.defects, &mut judgement.overruled] {
        defects.sort_by_key(|defect| defect.code);
        // Blocks share their period more often than not.
        defects.dedup();
        *defects = bounded(std::mem::take(defects));
    }
    judgement.warnings.sort_by_key(|warning| warning.code);
    let all_known = judgement.allocations.iter().all(|j| j.known.is_some());
    judgement.disposition = if matches!(given.authenticity, Authenticity::Unknown(_)) {
        Disposition::Waiting
    } else if !judgement.defects.is_empty() {
        Disposition::Quarantined
    } else if all_known {
        Disposition::Duplicate
    } else {
        Disposition::Imported
    };
    judgement
}

/// Sorted defects with the first of each code in full and the rest counted: a mail of a thousand
/// broken ranges is one mail to look at.
fn bounded(defects: Vec<Defect>) -> Vec<Defect> {
    const SHOWN: usize = 20;
    let mut listed = Vec::new();
    for same in defects.chunk_by(|a, b| a.code == b.code) {
        listed.extend(same.iter().take(SHOWN).cloned());
        if let (Some(first), more @ 1..) = (same.first(), same.len().saturating_sub(SHOWN)) {
            listed.push(Defect::new(
                first.code,
                Sentence::new(
                    format!("and {more} more of this kind"),
                    format!("另有 {more} 項同類問題"),
                ),
            ));
        }
    }
    listed
}

#[cfg(test)]
mod tests;
