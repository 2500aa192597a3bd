//! From a [`Reading`] and its circumstances to a [`Judgement`].
//!
//! Left out on purpose: finding the neighbours and proving the sender; both are given.
//!
//! Guarantee: a mail is imported only when nothing at all is wrong with it, or nothing but what
//! a person overruled and may overrule. A range that is already recorded identically is held
//! against nobody, so that a notice that comes again, or comes again after a person released it,
//! changes nothing.

mod company;

use std::{collections::BTreeSet, fmt};

use jiff::civil::Date;

use super::{
    Allocation, Assignment, Ban, Block, Defect, DefectCode, Period, Reading, Rules, Sentence,
    Warning, WarningCode,
};

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
        /// Header fields under the signature, lower case; `None` when the method says nothing
        /// of fields (Authentication-Results).
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
    /// Whether it came from a file of the platform's (CSV or E0501) and not from a mail.
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
    // Of a mail that could not be read there is nothing else to be said.
    let unread = |defect: &Defect| {
        matches!(
            defect.code,
            DefectCode::Oversized | DefectCode::Unfetchable | DefectCode::ReaderPanicked
        )
    };
    if reading.defects.iter().any(unread) {
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
    blocks(reading, given, &mut judgement);

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

/// Checks every range against the ledger, the rest of the mail and the day.
fn blocks(reading: &Reading, given: &Circumstances<'_>, judgement: &mut Judgement) {
    let ban = judgement.company.map(|(ban, _)| ban);
    let mut others: Vec<&Block> = Vec::new();
    for block in &reading.blocks {
        // Stated twice, with other counts perhaps, it is still one range.
        if others.iter().any(|other| same_numbers(other, block)) {
            continue;
        }
        let known = given.neighbours.iter().find(|neighbour| {
            ban == Some(neighbour.allocation.ban)
                && same_numbers(&neighbour.allocation.block, block)
        });
        match known {
            Some(known) => judgement.warnings.extend(counts_differ(block, known)),
            None => {
                let neighbours = given.neighbours.iter().map(Holder::Recorded);
                let holders = neighbours.chain(others.iter().copied().map(Holder::Mail));
                judgement.defects.extend(conflicts(block, ban, holders));
                judgement.defects.extend(too_far(block.period, ban, given));
            }
        }
        if let Some(ban) = ban {
            judgement.allocations.push(Judged {
                allocation: Allocation { ban, block: *block },
                known: known.map(|known| known.id),
            });
        }
        others.push(block);
    }
    judgement.warnings.extend(past(&others, given.today));
}

/// Whether both are the same numbers, whatever counts they state.
fn same_numbers(a: &Block, b: &Block) -> bool {
    (a.invoice_type, a.period, a.track, a.range) == (b.invoice_type, b.period, b.track, b.range)
}

/// What another range belongs to.
enum Holder<'a> {
    Recorded(&'a Recorded),
    Mail(&'a Block),
}

impl Holder<'_> {
    fn block(&self) -> &Block {
        match self {
            Self::Recorded(recorded) => &recorded.allocation.block,
            Self::Mail(block) => block,
        }
    }

    /// The range, and where it is found.
    fn named(&self) -> Sentence {
        let place = match self {
            Self::Recorded(Recorded { id, allocation, .. }) => {
                let ban = allocation.ban;
                Sentence::new(
                    format!("recorded for {ban} as allocation {id}"),
                    format!("已記在統一編號 {ban} 名下，配號編號 {id}"),
                )
            }
            Self::Mail(_) => Sentence::new("in this mail", "也在這封信裡"),
        };
        let Block {
            track,
            range,
            period,
            invoice_type,
            ..
        } = self.block();
        let kind = invoice_type.name();
        Sentence::new(
            format!("{track} {range} {period} of {kind}, {}", place.en),
            format!("{track} {range}（{period}，{kind}，{}）", place.zh),
        )
    }
}

fn named(block: &Block) -> Sentence {
    let (track, range, period) = (block.track, block.range, block.period);
    Sentence::new(
        format!("{track} {range} {period}"),
        format!("{track} {range}（{period}）"),
    )
}

/// What keeps a range that is not recorded yet from being so: the first overlap, and the first
/// other period of its track. Without a company, the same numbers recorded for somebody are no
/// overlap: they may be this company's.
fn conflicts<'a>(
    block: &Block,
    ban: Option<Ban>,
    holders: impl Iterator<Item = Holder<'a>>,
) -> impl Iterator<Item = Defect> {
    let mut overlap = None;
    let mut other_period = None;
    for holder in holders.filter(|holder| holder.block().track == block.track) {
        let other = holder.block();
        if other.period == block.period {
            let may_be_it = ban.is_none() && same_numbers(other, block);
            if other.range.overlaps(block.range) && !may_be_it {
                overlap.get_or_insert(holder);
            }
        } else if other.period.roc_year() == block.period.roc_year() {
            other_period.get_or_insert(holder);
        }
    }
    let block = named(block);
    let overlap = overlap.map(|holder| {
        let holder = holder.named();
        Defect::new(
            DefectCode::RangeOverlap,
            Sentence::new(
                format!("{} shares numbers with {}", block.en, holder.en),
                format!("{}與另一段號碼重疊：{}", block.zh, holder.zh),
            ),
        )
    });
    let other_period = other_period.map(|holder| {
        let holder = holder.named();
        Defect::new(
            DefectCode::TrackPeriodConflict,
            Sentence::new(
                format!(
                    "the track of {} belongs to another period of that year: {}",
                    block.en, holder.en
                ),
                format!("{}的字軌，在同一年已屬於另一期：{}", block.zh, holder.zh),
            ),
        )
    });
    overlap.into_iter().chain(other_period)
}

/// Whether the period is later than the company can be given numbers for. A company that is not
/// known, or not configured, is held to the wider limit.
fn too_far(period: Period, ban: Option<Ban>, given: &Circumstances<'_>) -> Option<Defect> {
    let current = Period::containing(given.today);
    let company = ban.and_then(|ban| given.rules.companies.get(ban));
    let (far, limit) = match company.map_or(Assignment::Year, |company| company.assignment) {
        Assignment::Period | Assignment::None => {
            let next = current.next();
            let limit = Sentence::new(
                format!("the next period, {next}"),
                format!("下一期（{next}）"),
            );
            (period > next, limit)
        }
        Assignment::Year => {
            let year = current.roc_year() + 1;
            let limit = Sentence::new(format!("the year {year}"), format!("民國 {year} 年"));
            (period.roc_year() > year, limit)
        }
    };
    far.then(|| {
        Defect::new(
            DefectCode::PeriodTooFar,
            Sentence::new(
                format!(
                    "expected a period no later than {}, found {period}",
                    limit.en
                ),
                format!("期別不應晚於{}，信中是 {period}", limit.zh),
            ),
        )
    })
}

/// One warning for all periods that are over: the six of a year are one thing to know.
fn past(blocks: &[&Block], today: Date) -> Option<Warning> {
    const MAX_LISTED: usize = 6;
    let current = Period::containing(today);
    let periods = blocks.iter().map(|block| block.period);
    let over: BTreeSet<Period> = periods.filter(|period| *period < current).collect();
    let (mut en, mut zh): (Vec<String>, Vec<String>) = over
        .iter()
        .take(MAX_LISTED)
        .map(|period| (period.to_string(), period.to_string()))
        .unzip();
    if let more @ 1.. = over.len().saturating_sub(MAX_LISTED) {
        en.push(format!("and {more} more"));
        zh.push(format!("另外 {more} 期"));
    }
    let are = if over.len() == 1 { "is" } else { "are" };
    (!over.is_empty()).then(|| {
        Warning::new(
            WarningCode::PeriodPast,
            Sentence::new(
                format!(
                    "{} {are} over; the current period is {current}",
                    en.join(", ")
                ),
                format!("已經過期：{}；現在是 {current}", zh.join("、")),
            ),
        )
    })
}

/// Whether a recorded range was stated with other counts; a count not stated differs from none.
fn counts_differ(block: &Block, known: &Recorded) -> Option<Warning> {
    let recorded = &known.allocation.block;
    let differ = |a: Option<u32>, b: Option<u32>| a.zip(b).is_some_and(|(a, b)| a != b);
    let differs = differ(block.requested_booklets, recorded.requested_booklets)
        || differ(block.added_booklets, recorded.added_booklets);
    let counts = |block: &Block| {
        let count = |n: Option<u32>| n.map_or("?".to_owned(), |n| n.to_string());
        let (requested, added) = (block.requested_booklets, block.added_booklets);
        format!("{} + {}", count(requested), count(added))
    };
    differs.then(|| {
        let (name, id) = (named(block), known.id);
        let (then, now) = (counts(recorded), counts(block));
        Warning::new(
            WarningCode::CountsDiffer,
            Sentence::new(
                format!(
                    "{} is recorded as allocation {id} with {then} booklets, this mail says {now}",
                    name.en
                ),
                format!(
                    "{}先前已匯入（配號編號 {id}），當時的申請本數加增加本數是 {then}，這封信寫 {now}",
                    name.zh
                ),
            ),
        )
    })
}

#[cfg(test)]
mod tests;
