//! The checklist a person reads: each rule, what was found, the verdict.
//!
//! Guarantee: a rule is ticked only when it was looked at and is kept; what could not be told, or
//! not of everything, says so.

use std::fmt::{self, Write as _};

use super::super::{
    proof::{self, Facts},
    table::{Column, Screen, Table},
};
use crate::{
    authenticity::{Proof, key_name},
    columns::pad,
    intake::Examined,
    ledger::Earlier,
    mailbox::{Content, RawMessage},
    notice::{self, Authenticity, Block, DefectCode, Disposition, Judged, Judgement, Reading},
    stranger::{self, one_line},
};

pub(super) fn checklist(
    examined: &Examined,
    judgement: &Judgement,
    known: &notice::Rules,
    earlier: Option<Earlier>,
    unrelated: &str,
    screen: Screen,
) -> Result<String, fmt::Error> {
    let Examined {
        sha256, reading, ..
    } = examined;
    let mut text = String::new();
    writeln!(text, "{}", headline(judgement.disposition))?;
    // A duplicate of what was recorded then has said so already.
    let is_news = |e: &Earlier| {
        reading.is_notice
            && e.disposition != Disposition::Unrelated
            && judgement.disposition != Disposition::Duplicate
    };
    if let Some(Earlier { id, disposition }) = earlier.filter(is_news) {
        writeln!(
            text,
            "these very bytes were judged before, as {disposition} (message {id}); `run` leaves it at that"
        )?;
        if judgement.disposition == Disposition::Imported {
            writeln!(
                text,
                "to have it judged again: `invoice-trackd quarantine release {id} --reason TEXT`, or forward it to the mailbox as an attachment"
            )?;
        }
    }
    writeln!(text)?;
    let from = reading
        .from
        .as_ref()
        .map_or("(not exactly one address)", |from| from.as_str());
    writeln!(text, "  from     {from}")?;
    writeln!(text, "  subject  {}", one_line(&reading.subject, 200))?;
    writeln!(text, "  sha256   {sha256}")?;
    if judgement.disposition == Disposition::Unrelated {
        writeln!(text, "  why      {unrelated}")?;
        return Ok(text);
    }
    writeln!(text)?;
    for Rule {
        name,
        broken_by,
        otherwise,
    } in rules(examined, judgement, known)
    {
        let name = pad(name, 16);
        let broken: Vec<_> = judgement
            .defects
            .iter()
            .filter(|defect| broken_by.contains(&defect.code))
            .collect();
        if broken.is_empty() {
            let (mark, what) = match otherwise {
                Finding::Kept(what) => ("✓", what),
                Finding::Open(what) => ("·", what),
            };
            writeln!(text, "  {mark} {name}  {what}")?;
        }
        for defect in broken {
            let detail = stranger::visible(&defect.detail.en);
            writeln!(text, "  ✗ {name}  {}: {detail}", defect.code)?;
        }
    }
    for warning in &judgement.warnings {
        writeln!(
            text,
            "  ! {}  {}: {}",
            pad("注意 warning", 16),
            warning.code,
            stranger::visible(&warning.detail.en)
        )?;
    }
    if !judgement.allocations.is_empty() {
        writeln!(text)?;
        let mut table = Table::new(
            2,
            &[
                Column::whole("統編 ban"),
                Column::whole("期別 period"),
                Column::whole("類"),
                Column::whole("字軌"),
                Column::whole("起迄號 range"),
                Column::number("本"),
                Column::whole(""),
            ],
        );
        for judged in &judgement.allocations {
            let block = &judged.allocation.block;
            let known = judged.known.map(|id| format!("recorded as {id}"));
            table.row([
                judged.allocation.ban.to_string().into(),
                block.period.to_string().into(),
                block.invoice_type.code().into(),
                block.track.to_string().into(),
                block.range.to_string().into(),
                block.range.booklets().to_string().into(),
                known.unwrap_or_else(|| "not recorded".to_owned()).into(),
            ]);
        }
        text.push_str(&table.on(screen));
    }
    if let Some(Proof {
        domain, selector, ..
    }) = &examined.evidence.proof
    {
        writeln!(text, "\n來源證明 proof of origin")?;
        let signed = proof::signed(&examined.evidence.verdict);
        let whole = match (selector, domain) {
            (Some(selector), Some(domain)) => {
                format!("all of it: TXT at {}", key_name(selector, domain))
            }
            _ => "shortened".to_owned(),
        };
        Facts::found(&examined.evidence, signed.as_deref()).write(&mut text, &whole)?;
    }
    Ok(text)
}

/// One line of the checklist: a rule, the defects that break it, and what is said when none does.
struct Rule {
    name: &'static str,
    broken_by: &'static [DefectCode],
    otherwise: Finding,
}

/// What is said of a rule that no defect breaks.
enum Finding {
    /// It was looked at and is kept.
    Kept(String),
    /// It cannot be told, or not of everything.
    Open(String),
}

impl Finding {
    fn unknown() -> Self {
        Self::Open("not known".to_owned())
    }
}

const FIELDS: &[DefectCode] = &[
    DefectCode::FieldMissing,
    DefectCode::FieldMalformed,
    DefectCode::FieldConflict,
];

/// Defects that keep a range from being among the blocks of a reading.
const NO_BLOCK: &[DefectCode] = &[
    DefectCode::PeriodNotAPair,
    DefectCode::RangeMisaligned,
    DefectCode::RangeReversed,
];

fn rules(examined: &Examined, judgement: &Judgement, known: &notice::Rules) -> Vec<Rule> {
    use DefectCode as D;
    use Finding::{Kept, Open};
    let reading = &examined.reading;
    let blocks = &reading.blocks;
    let found = |codes: &[D]| judgement.defects.iter().any(|d| codes.contains(&d.code));
    let partly = found(FIELDS) || found(NO_BLOCK) || found(&[D::UndecodableText]);
    let looked_into = !reading.is_unread() && (partly || !blocks.is_empty());
    // What is said of the ranges, where some of them may not be among those that were read.
    let of_ranges = |text: String| match (blocks.is_empty(), partly) {
        (true, _) => Finding::unknown(),
        (false, true) => Open(format!("{text} (of what could be read)")),
        (false, false) => Kept(text),
    };
    let join = |mut values: Vec<String>| {
        values.dedup();
        values.join(", ")
    };
    let is_sender = |from| known.senders.contains(from);
    let rule = |name, broken_by, otherwise| Rule {
        name,
        broken_by,
        otherwise,
    };
    vec![
        rule(
            "寄件人 sender",
            &[D::AmbiguousHeader, D::SenderNotAllowed],
            match &reading.from {
                Some(from) if is_sender(from) => Kept(format!("{from} is on the list")),
                Some(from) => Open(format!("{from} is not on the list")),
                None => Finding::unknown(),
            },
        ),
        rule(
            "主旨 subject",
            &[D::SubjectUnexpected],
            // The reader has looked at an allowed sender's; of another's it has no opinion.
            if looked_into && reading.from.as_ref().is_some_and(is_sender)
                || reading.subject.contains("配號結果")
            {
                Kept("says 配號結果".to_owned())
            } else {
                Open("does not say 配號結果".to_owned())
            },
        ),
        rule(
            "真偽 genuine",
            &[D::NotAuthenticated],
            match &examined.evidence.verdict {
                Authenticity::NotRequired => {
                    Kept("no proof is asked for (authenticity.require = \"none\")".to_owned())
                }
                Authenticity::Proven { .. } => match &examined.evidence.proof {
                    Some(proof) => Kept(format!("proven by {}", proof::in_short(proof))),
                    None => Kept("proven".to_owned()),
                },
                Authenticity::Unproven(found) => Open(stranger::visible(&found.en)),
                Authenticity::Unknown(found) => Open(stranger::visible(found)),
            },
        ),
        rule(
            "內文 text",
            &[
                D::UndecodableText,
                D::Oversized,
                D::Unfetchable,
                D::ReaderPanicked,
            ],
            if looked_into {
                Kept("complete and decoded".to_owned())
            } else {
                Finding::unknown()
            },
        ),
        rule(
            "欄位 fields",
            FIELDS,
            match blocks.len() {
                _ if !looked_into => Finding::unknown(),
                _ if found(&[D::UndecodableText]) => {
                    Open("all there, as far as can be read".into())
                }
                1 if !partly => Kept("all there, 1 range".to_owned()),
                n if !partly => Kept(format!("all there, {n} ranges")),
                _ => Kept("all there".to_owned()),
            },
        ),
        rule(
            "期別 period",
            &[D::PeriodNotAPair, D::PeriodTooFar],
            of_ranges(join(blocks.iter().map(|b| b.period.to_string()).collect())),
        ),
        rule(
            "號碼 numbers",
            &[D::RangeMisaligned, D::RangeReversed],
            of_ranges(join(
                blocks
                    .iter()
                    .map(|b| format!("{} {}", b.track, b.range))
                    .collect(),
            )),
        ),
        rule(
            "本數 booklets",
            &[D::BookletsDisagree],
            of_ranges(join(booklets(blocks))),
        ),
        rule(
            "營業人 company",
            &[D::BanInvalid, D::UnknownCompany],
            judgement
                .company
                .map_or_else(Finding::unknown, |(ban, source)| {
                    Kept(format!("{ban}, told by the {}", source.as_str()))
                }),
        ),
        rule(
            "帳本 ledger",
            &[D::RangeOverlap, D::TrackPeriodConflict],
            match judgement.company {
                _ if blocks.is_empty() => Finding::unknown(),
                // The same numbers may be recorded for whoever it is.
                None => Open("no conflict, as far as can be told without the company".to_owned()),
                Some(_) => of_ranges(recorded(&judgement.allocations)),
            },
        ),
    ]
}

/// `0 + 128 = 128`; of ranges that share their counts, `100 + 28 = 50 + 78`.
fn booklets(blocks: &[Block]) -> Vec<String> {
    // As the notice states them, and those of the ranges that say so.
    let mut lines: Vec<(&Block, u64, Vec<u64>)> = Vec::new();
    for block in blocks {
        let counts = [block.requested_booklets, block.added_booklets];
        let stated = counts.into_iter().flatten().map(u64::from).sum();
        let found = u64::from(block.range.booklets());
        let fellow = lines.iter_mut().find(|(first, stated, together)| {
            found != *stated
                && !together.contains(stated)
                && (first.period, first.invoice_type) == (block.period, block.invoice_type)
                && [first.requested_booklets, first.added_booklets] == counts
        });
        match fellow {
            Some((.., together)) => together.push(found),
            None => lines.push((block, stated, vec![found])),
        }
    }
    let line = |(block, stated, together): (&Block, u64, Vec<u64>)| {
        let count = |n: Option<u32>| n.map_or("?".to_owned(), |n| n.to_string());
        let (requested, added) = (block.requested_booklets, block.added_booklets);
        let agree = if together.iter().sum::<u64>() == stated {
            " ="
        } else {
            ", found"
        };
        let together: Vec<String> = together.iter().map(u64::to_string).collect();
        let (requested, added) = (count(requested), count(added));
        format!("{requested} + {added}{agree} {}", together.join(" + "))
    };
    lines.into_iter().map(line).collect()
}

fn recorded(allocations: &[Judged]) -> String {
    let known = allocations.iter().filter(|j| j.known.is_some()).count();
    match allocations.len() {
        _ if known == 0 => "no number is taken, no track stands for another period".to_owned(),
        all if known == all => "every range is recorded already, identically".to_owned(),
        all => {
            format!("{known} of {all} ranges recorded already, identically; the others are free")
        }
    }
}

/// Why a message that is nothing of ours is not.
pub(super) fn unrelated(
    message: &RawMessage,
    reading: &Reading,
    rules: &notice::Rules,
) -> &'static str {
    let head = match &message.content {
        Content::Whole(bytes) | Content::Oversized(bytes) => bytes.as_slice(),
        Content::Unwanted | Content::Unfetchable(_) => &[],
    };
    if reading.from.is_some() && reading.from == rules.own_address {
        "it is our own mail, or somebody's who writes as [mail] from"
    } else if notice::gate(head, rules) == notice::Gate::Unrelated {
        "From is neither in senders nor under nat.gov.tw, and the subject holds neither 配號 nor 字軌; \
         the text was not looked at"
    } else if matches!(message.content, Content::Oversized(_)) {
        "it is too large to be looked into, and the subject holds neither 配號 nor 字軌"
    } else {
        "the text lacks 字軌名稱, 發票起號 or 發票迄號 with a value, and it is no mail of an allowed \
         sender whose subject says 配號結果; a notice that is passed on must be attached to the mail \
         as a message (.eml), for only then can it be proven"
    }
}

fn headline(disposition: Disposition) -> &'static str {
    match disposition {
        Disposition::Imported => "imported 匯入: every rule is kept; `run` would record it",
        Disposition::Duplicate => {
            "duplicate 重複: every range is recorded already; `run` would change nothing"
        }
        Disposition::Quarantined => {
            "quarantined 隔離: `run` would record no number of it and alert a person"
        }
        Disposition::Unrelated => {
            "unrelated 無關: no allocation notice for us; `run` would leave it alone"
        }
        Disposition::Waiting => {
            "waiting 等候: whether it is genuine cannot be told just now; `run` would ask again"
        }
    }
}
