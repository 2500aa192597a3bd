//! The ranges of a mail, each beside the ledger, the rest of the mail and the day.
//!
//! Left out on purpose: whose they are. Guarantee: of what is wrong with a range all is said, and of
//! each kind once.

use std::collections::BTreeSet;

use jiff::civil::Date;

use super::{
    super::{
        Allocation, Assignment, Ban, Block, Defect, DefectCode, OtherRow, Period, Reading,
        Sentence, Warning, WarningCode,
    },
    Circumstances, Judged, Judgement, Recorded,
};

/// Checks every range against the ledger, the rest of the mail and the day.
pub(super) fn check(reading: &Reading, given: &Circumstances<'_>, judgement: &mut Judgement) {
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
                let holders = neighbours
                    .chain(others.iter().copied().map(Holder::Mail))
                    .chain(reading.other_row.iter().map(Holder::Row));
                judgement.defects.extend(conflicts(block, ban, holders));
                judgement
                    .defects
                    .extend(too_far(block.period, ban, reading, given));
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
pub(super) fn same_numbers(a: &Block, b: &Block) -> bool {
    (a.invoice_type, a.period, a.track, a.range) == (b.invoice_type, b.period, b.track, b.range)
}

/// What another range belongs to.
enum Holder<'a> {
    Recorded(&'a Recorded),
    Mail(&'a Block),
    Row(&'a OtherRow),
}

impl Holder<'_> {
    fn block(&self) -> &Block {
        match self {
            Self::Recorded(recorded) => &recorded.allocation.block,
            Self::Mail(block) => block,
            Self::Row(row) => &row.allocation.block,
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
            Self::Row(OtherRow { allocation, line }) => {
                let ban = allocation.ban;
                Sentence::new(
                    format!("on line {line} of the same file, for {ban}"),
                    format!("在同一個檔案的第 {line} 列，統一編號 {ban}"),
                )
            }
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
fn too_far(
    period: Period,
    ban: Option<Ban>,
    reading: &Reading,
    given: &Circumstances<'_>,
) -> Option<Defect> {
    let zh = match reading.file {
        None => "信中是",
        Some(_) => "檔案寫的是",
    };
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
                format!("期別不應晚於{}，{zh} {period}", limit.zh),
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
