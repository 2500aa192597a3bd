//! The ranges of many notices in one letter: what they come to, and whose they are.
//!
//! Narrow on purpose: these letters are read on telephones. Left out: what the ranges mean for
//! the reader, which differs from letter to letter.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::Language,
    extent::booklets,
    fallen, meaning,
    table::{columns, grouped},
};
use crate::{
    ledger::{AllocationRow, Fallen, Import, Reason},
    notice::{Allocation, InvoiceType, Period, WarningCode},
    stranger::one_line,
};

/// So many ranges stand in a letter by themselves; the rest are counted.
const ROWS: usize = 300;

/// So many warnings of one kind are told in full; the rest are counted.
const WARNINGS: usize = 20;

/// What notices granted, in the order of company, period, track and number.
pub(super) struct Granted<'a> {
    /// What is in force.
    pub(super) ranges: Vec<Allocation>,
    /// What was withdrawn since.
    pub(super) withdrawn: Vec<Allocation>,
    /// Configured names by company number.
    names: BTreeMap<&'a str, &'a str>,
}

impl<'a> Granted<'a> {
    pub(super) fn of(imports: &[&'a Import], rows: &[AllocationRow]) -> Self {
        let (in_force, withdrawn): (Vec<_>, Vec<_>) =
            rows.iter().partition(|row| row.withdrawn_at.is_none());
        let ranges = |rows: Vec<&AllocationRow>| rows.iter().map(|row| row.allocation).collect();
        let names = imports
            .iter()
            .filter_map(|import| Some((import.ban.as_str(), import.company_name.as_deref()?)));
        Self {
            ranges: ranges(in_force),
            withdrawn: ranges(withdrawn),
            names: names.collect(),
        }
    }

    /// The company as a line begins with it.
    pub(super) fn company(&self, ban: &str, language: Language) -> String {
        match self.names.get(ban) {
            Some(name) => language.pick(
                format!("{}（統編 {ban}）", one_line(name, 60)),
                format!("{} ({ban})", one_line(name, 60)),
            ),
            None => language.pick(format!("統編 {ban}"), format!("company {ban}")),
        }
    }

    /// These ranges under their companies' names, and how many there was no room for; ranges of
    /// one company stand next to each other.
    pub(super) fn by_company(&self, ranges: &[Allocation], language: Language) -> String {
        let mut text = String::new();
        let shown = ranges.get(..ROWS).unwrap_or(ranges);
        for of_one in shown.chunk_by(|a, b| a.ban == b.ban) {
            let ban = of_one.first().map_or("", |first| first.ban.as_str());
            text.push_str(&format!("  {}\n", self.company(ban, language)));
            let rows: Vec<Vec<String>> = of_one.iter().map(|range| row(range, language)).collect();
            for line in columns(&rows, &[2]).lines() {
                text.push_str(&format!("  {line}\n"));
            }
        }
        let rest = ranges.get(ROWS..).unwrap_or_default();
        if !rest.is_empty() {
            let (ranges, companies) = (grouped(count(rest.len())), grouped(companies(rest)));
            text.push_str(&language.pick(
                format!("  另有 {ranges} 段（{companies} 家公司）沒有列在這裡。\n"),
                format!("  and {ranges} more ranges of {companies} companies, not listed here.\n"),
            ));
        }
        text
    }

    /// What was withdrawn since the notices came; nothing when nothing was.
    pub(super) fn withdrawn(&self, language: Language) -> String {
        if self.withdrawn.is_empty() {
            return String::new();
        }
        let ranges = grouped(count(self.withdrawn.len()));
        let head = language.pick(
            format!("\n已撤回 {ranges} 段，不在上列號碼內，請不要使用\n"),
            format!("\nWithdrawn since, not among the above and not to be used: {ranges}\n"),
        );
        head + &self.by_company(&self.withdrawn, language)
    }
}

/// The ranges summed up by period.
pub(super) fn by_period(ranges: &[Allocation], language: Language) -> String {
    let mut periods = BTreeMap::<Period, Vec<Allocation>>::new();
    for range in ranges {
        periods.entry(range.block.period).or_default().push(*range);
    }
    let head = language.pick(
        ["發票期別", "公司", "段", "本數"],
        ["Period", "Companies", "Ranges", "Booklets"],
    );
    let rows = periods.into_iter().map(|(period, ranges)| {
        let booklets: u64 = ranges
            .iter()
            .map(|range| u64::from(range.block.range.booklets()))
            .sum();
        vec![
            period.to_string(),
            grouped(companies(&ranges)),
            grouped(count(ranges.len())),
            grouped(booklets),
        ]
    });
    let head = head.map(str::to_owned).to_vec();
    let rows = Vec::from_iter(std::iter::once(head).chain(rows));
    columns(&rows, &[1, 2, 3])
}

/// What a person should know of these imports, by kind, and of which companies' periods have
/// fallen; nothing when there is nothing.
pub(super) fn warnings<'a>(
    imports: impl Iterator<Item = &'a Import>,
    fallen: &[(&str, &Fallen)],
    language: Language,
) -> String {
    let mut kinds = BTreeMap::<&str, Vec<(&str, &Reason)>>::new();
    for import in imports {
        for warning in &import.warnings {
            let kind = kinds.entry(&warning.code).or_default();
            kind.push((&import.ban, warning));
        }
    }
    if kinds.is_empty() && fallen.is_empty() {
        return String::new();
    }
    let mut text = language.pick("\n請留意\n", "\nPlease note\n").to_owned();
    for (ban, one) in fallen.iter().take(WARNINGS) {
        let sentence = fallen::sentence(one, language);
        text.push_str(&language.pick(
            format!("  * 統編 {ban}：{sentence}\n"),
            format!("  * {ban}: {sentence}\n"),
        ));
    }
    let more = fallen.len().saturating_sub(WARNINGS);
    if more > 0 {
        text.push_str(&language.pick(
            format!("  * 另有 {more} 筆有同樣的情形。\n"),
            format!("  * and {more} more of which the same is true\n"),
        ));
    }
    if !fallen.is_empty() {
        text.push_str(&format!("    {}\n", fallen::follows(language)));
    }
    for (code, warnings) in kinds {
        for (
            ban,
            Reason {
                detail, detail_zh, ..
            },
        ) in warnings.iter().take(WARNINGS)
        {
            text.push_str(&language.pick(
                format!("  * 統編 {ban}：{}。\n", one_line(detail_zh, 300)),
                format!("  * {ban}: {}\n", one_line(detail, 300)),
            ));
        }
        let more = warnings.len().saturating_sub(WARNINGS);
        if more > 0 {
            text.push_str(&language.pick(
                format!("  * 另有 {more} 件有同樣的情形。\n"),
                format!("  * and {more} more of which the same is true\n"),
            ));
        }
        // A ledger may hold a code of a later version.
        if let Ok(code) = code.parse::<WarningCode>() {
            text.push_str(&format!("    {}\n", meaning::warning(code, language)));
        }
    }
    text
}

/// How many companies these are.
pub(super) fn companies(ranges: &[Allocation]) -> u64 {
    let companies: BTreeSet<&str> = ranges.iter().map(|range| range.ban.as_str()).collect();
    count(companies.len())
}

/// `3 家公司`
pub(super) fn in_companies(ranges: &[Allocation], language: Language) -> String {
    let companies = companies(ranges);
    let en = if companies == 1 {
        "company"
    } else {
        "companies"
    };
    format!("{} {}", grouped(companies), language.pick("家公司", en))
}

/// `3 段字軌`
pub(super) fn in_ranges(ranges: usize, language: Language) -> String {
    let en = if ranges == 1 { "range" } else { "ranges" };
    format!("{} {}", grouped(count(ranges)), language.pick("段字軌", en))
}

pub(super) fn count(of: usize) -> u64 {
    u64::try_from(of).unwrap_or(u64::MAX)
}

fn row(range: &Allocation, language: Language) -> Vec<String> {
    let block = &range.block;
    vec![
        block.track.to_string(),
        block.range.to_string(),
        booklets(block.range.booklets().into(), language),
        block.period.to_string(),
        // The usual type goes without saying; the attached file says it.
        match block.invoice_type {
            InvoiceType::General => String::new(),
            special => special.name().to_owned(),
        },
    ]
}
