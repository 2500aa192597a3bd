//! `explain`: one message, judged as `run` would, and why, rule by rule. Writes nothing.

use std::{
    fmt::{self, Write as _},
    path::Path,
};

use serde_json::{Value, json};

use super::{
    Exit, company_of, files, json, print, print_json,
    table::{pad, table},
};
use crate::{
    clock::Clock,
    config::Config,
    intake::{self, Examined},
    ledger::Ledger,
    notice::{Authenticity, DefectCode, Disposition, Judgement},
};

pub(super) async fn explain(
    config: &Config,
    mailbox: Option<&str>,
    file: &Path,
    as_json: bool,
) -> anyhow::Result<Exit> {
    let company = company_of(config, mailbox)?;
    let max_bytes = config.rules.max_message_bytes;
    let message = if file == Path::new("-") {
        files::message_from_stdin(max_bytes)?
    } else {
        files::message(file, max_bytes)?
    };
    let examined = intake::examine(&message, &config.rules, config.require);
    let neighbours = match Ledger::open_for_reading(&config.ledger).await? {
        Some(ledger) => ledger.neighbours(&examined.reading.blocks).await?,
        None => Vec::new(),
    };
    let now = Clock::System.now();
    let judgement = intake::judge(&examined, &config.rules, company, &neighbours, now);
    if as_json {
        print_json(&object(&examined, &judgement))?;
    } else {
        print(&checklist(&examined, &judgement)?)?;
    }
    Ok(match judgement.disposition {
        Disposition::Quarantined => Exit::Quarantined,
        Disposition::Waiting => Exit::TryAgain,
        Disposition::Imported | Disposition::Duplicate | Disposition::Unrelated => Exit::Done,
    })
}

fn object(examined: &Examined, judgement: &Judgement) -> Value {
    let Examined {
        sha256,
        reading,
        evidence,
    } = examined;
    json!({
        "disposition": judgement.disposition.as_str(),
        "defects": json::findings(&judgement.defects),
        "warnings": json::findings(&judgement.warnings),
        "from": reading.from.as_ref().map(ToString::to_string),
        "subject": reading.subject,
        "sha256": sha256,
        "authenticity": {
            "result": evidence.result(),
            "method": evidence.method,
            "domain": evidence.domain,
            "selector": evidence.selector,
        },
        "company": judgement.company.map(|(ban, source)| json!({
            "ban": ban.as_str(),
            "source": source.as_str(),
        })),
        "allocations": judgement
            .allocations
            .iter()
            .map(|judged| json::allocation(&judged.allocation))
            .collect::<Vec<_>>(),
    })
}

/// One line of the checklist: a rule, the defects that break it, and what is said when none does.
struct Rule {
    name: &'static str,
    broken_by: &'static [DefectCode],
    kept: String,
}

fn rules(examined: &Examined, judgement: &Judgement) -> Vec<Rule> {
    use DefectCode as D;
    let reading = &examined.reading;
    let blocks = &reading.blocks;
    let join = |values: Vec<String>| {
        let mut unique = values;
        unique.dedup();
        unique.join(", ")
    };
    let rule = |name, broken_by, kept| Rule {
        name,
        broken_by,
        kept,
    };
    vec![
        rule(
            "寄件人 sender",
            &[D::AmbiguousHeader, D::SenderNotAllowed],
            reading
                .from
                .as_ref()
                .map_or_else(String::new, |from| format!("{from} is on the list")),
        ),
        rule(
            "主旨 subject",
            &[D::SubjectUnexpected],
            "says 配號結果".to_owned(),
        ),
        rule(
            "真偽 genuine",
            &[D::NotAuthenticated],
            match &examined.evidence.verdict {
                Authenticity::NotRequired => {
                    "no proof is asked for (authenticity.require = \"none\")".to_owned()
                }
                Authenticity::Proven { .. } => "proven".to_owned(),
                Authenticity::Unproven(found) | Authenticity::Unknown(found) => found.clone(),
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
            "complete and decoded".to_owned(),
        ),
        rule(
            "欄位 fields",
            &[D::FieldMissing, D::FieldMalformed, D::FieldConflict],
            format!("all there, {} range(s)", blocks.len()),
        ),
        rule(
            "期別 period",
            &[D::PeriodNotAPair, D::PeriodTooFar],
            join(
                blocks
                    .iter()
                    .map(|block| block.period.to_string())
                    .collect(),
            ),
        ),
        rule(
            "號碼 numbers",
            &[D::RangeMisaligned, D::RangeReversed],
            join(
                blocks
                    .iter()
                    .map(|b| format!("{} {}", b.track, b.range))
                    .collect(),
            ),
        ),
        rule(
            "本數 booklets",
            &[D::BookletsDisagree],
            join(
                blocks
                    .iter()
                    .map(|block| {
                        let count = |n: Option<u32>| n.map_or("?".to_owned(), |n| n.to_string());
                        let (requested, added) =
                            (count(block.requested_booklets), count(block.added_booklets));
                        format!("{requested} + {added} = {}", block.range.booklets())
                    })
                    .collect(),
            ),
        ),
        rule(
            "營業人 company",
            &[D::BanInvalid, D::UnknownCompany],
            judgement.company.map_or_else(String::new, |(ban, source)| {
                format!("{ban}, told by the {}", source.as_str())
            }),
        ),
        rule(
            "帳本 ledger",
            &[D::RangeOverlap, D::TrackPeriodConflict],
            match judgement.disposition {
                _ if blocks.is_empty() => String::new(),
                Disposition::Duplicate => "every range is recorded already, identically".to_owned(),
                _ => "no number is taken, no track stands for another period".to_owned(),
            },
        ),
    ]
}

fn checklist(examined: &Examined, judgement: &Judgement) -> Result<String, fmt::Error> {
    let Examined {
        sha256, reading, ..
    } = examined;
    let mut text = String::new();
    writeln!(text, "{}", headline(judgement.disposition))?;
    writeln!(text)?;
    let from = reading
        .from
        .as_ref()
        .map_or("(none, or more than one)", |from| from.as_str());
    writeln!(text, "  from     {from}")?;
    writeln!(text, "  subject  {}", reading.subject)?;
    writeln!(text, "  sha256   {sha256}")?;
    if judgement.disposition == Disposition::Unrelated {
        return Ok(text);
    }
    writeln!(text)?;
    for Rule {
        name,
        broken_by,
        kept,
    } in rules(examined, judgement)
    {
        let name = pad(name, 16);
        let broken: Vec<_> = judgement
            .defects
            .iter()
            .filter(|defect| broken_by.contains(&defect.code))
            .collect();
        if broken.is_empty() {
            // A rule that could not be looked at for want of the facts says so.
            let (mark, kept) = if kept.is_empty() {
                ("·", "not known")
            } else {
                ("✓", &*kept)
            };
            writeln!(text, "  {mark} {name}  {kept}")?;
        }
        for defect in broken {
            writeln!(text, "  ✗ {name}  {}: {}", defect.code, defect.detail)?;
        }
    }
    for warning in &judgement.warnings {
        writeln!(
            text,
            "  ! {}  {}: {}",
            pad("注意 warning", 16),
            warning.code,
            warning.detail
        )?;
    }
    if !judgement.allocations.is_empty() {
        writeln!(text)?;
        let rows: Vec<Vec<String>> = judgement
            .allocations
            .iter()
            .map(|judged| {
                let block = &judged.allocation.block;
                vec![
                    format!("  {}", judged.allocation.ban),
                    block.period.to_string(),
                    format!(
                        "{} {}",
                        block.invoice_type.code(),
                        block.invoice_type.name()
                    ),
                    block.track.to_string(),
                    block.range.to_string(),
                    block.range.booklets().to_string(),
                    judged
                        .known
                        .map_or("new".to_owned(), |id| format!("recorded as {id}")),
                ]
            })
            .collect();
        let header = [
            "  統編 ban",
            "期別 period",
            "類別 type",
            "字軌",
            "起迄號 range",
            "本",
            "",
        ];
        text.push_str(&table(&header, &rows));
    }
    Ok(text)
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
            "unrelated 無關: it neither claims to be an allocation notice nor reads like one"
        }
        Disposition::Waiting => {
            "waiting 等候: whether it is genuine cannot be told just now; `run` would ask again"
        }
    }
}
