//! What ranges come to, and what a person does with them.

use jiff::civil::Date;

use super::{super::Language, systems, table::grouped};
use crate::notice::{Allocation, Period};

/// What several ranges come to.
pub(super) struct Extent {
    /// The periods, in time, each once.
    pub(super) periods: Vec<Period>,
    /// 本
    pub(super) booklets: u64,
}

impl Extent {
    pub(super) fn of(allocations: &[Allocation]) -> Self {
        let mut periods: Vec<Period> = allocations.iter().map(|a| a.block.period).collect();
        periods.sort_unstable();
        periods.dedup();
        let booklets = allocations
            .iter()
            .map(|a| u64::from(a.block.range.booklets()))
            .sum();
        Self { periods, booklets }
    }

    /// `107/05 - 107/06`, or from the first month of several periods to the last.
    pub(super) fn span(&self) -> String {
        let months = |period: &Period| {
            let (year, even) = (period.roc_year(), period.even_month());
            (
                format!("{year:03}/{:02}", even - 1),
                format!("{year:03}/{even:02}"),
            )
        };
        let first = self.periods.first().map(months).unwrap_or_default();
        let last = self.periods.last().map(months).unwrap_or_default();
        format!("{} - {}", first.0, last.1)
    }
}

/// `128 本`
pub(super) fn booklets(count: u64, language: Language) -> String {
    let en = if count == 1 { "booklet" } else { "booklets" };
    format!("{} {}", grouped(count), language.pick("本", en))
}

/// What to do with the first period that is not over, seen from `today`; all periods over, there
/// is nothing to do. What systems are handed nobody has to load.
pub(super) fn next_steps(
    extent: &Extent,
    handed: &[&str],
    language: Language,
    today: Date,
) -> String {
    let running = Period::containing(today);
    let Some(period) = extent.periods.iter().find(|period| **period >= running) else {
        return language
            .pick(
                "\n接下來\n  期別已經過了，不需要載入；請核對當時使用的號碼是否就是這一段。\n",
                "\nWhat to do next\n  The period is over, so there is nothing to load. Check that these are the numbers that\n  were used in it.\n",
            )
            .to_owned();
    };
    let (year, month) = (period.roc_year(), period.even_month() - 1);
    let gregorian = year + 1911;
    let load = if !handed.is_empty() {
        let names = systems::list(handed, language);
        let check = if *period > running {
            language.pick(
                format!("在 {year} 年 {month} 月 1 日之前，確認開立發票的系統裡已有這些號碼。"),
                format!("Before {gregorian}-{month:02}-01, see that your issuing system has them."),
            )
        } else {
            language.pick(
                "這一期已經開始：請現在就確認開立發票的系統裡已有這些號碼。".to_owned(),
                "The period has begun: see now that your issuing system has them.".to_owned(),
            )
        };
        language.pick(
            format!(
                "號碼會自動交付給 {names}，不要再用附件載入；是否送達，看 `invoice-trackd status`。\n\
                 \x20    {check}"
            ),
            format!(
                "The numbers reach {names} by themselves: do not load the attached file there as well.\n\
                 \x20    `invoice-trackd status` shows whether they have arrived.\n\
                 \x20    {check}"
            ),
        )
    } else if *period > running {
        language.pick(
            format!("在 {year} 年 {month} 月 1 日之前，把附件的字軌檔載入開立發票的系統。"),
            format!(
                "Load the attached file into your issuing system before {gregorian}-{month:02}-01."
            ),
        )
    } else {
        language.pick(
            "這一期已經開始：請現在就把附件的字軌檔載入開立發票的系統。".to_owned(),
            "The period has begun: load the attached file into your issuing system now.".to_owned(),
        )
    };
    let validity = if extent.periods.len() == 1 {
        language.pick(
            format!("這些號碼只能在 {period} 使用，提早或逾期都不行。"),
            format!("The numbers are valid in {period} only, neither earlier nor later."),
        )
    } else {
        language.pick(
            "每一段號碼只能在它自己的期別使用，提早或逾期都不行。".to_owned(),
            "Each range is valid in its own period only, neither earlier nor later.".to_owned(),
        )
    };
    let check = if extent.periods.len() == 1 && *period > running {
        language.pick(
            format!("{month} 月 1 日開出第一張發票後，確認它的號碼在上列範圍內。"),
            format!("On {gregorian}-{month:02}-01, check that the first invoice bears a number from the ranges above."),
        )
    } else if extent.periods.len() == 1 {
        // Numbers that are added to a running period come after those in use.
        language.pick(
            "載入後，在系統裡確認起號、迄號與上表相同。".to_owned(),
            "After loading, check that your system shows the first and last number as above."
                .to_owned(),
        )
    } else {
        language.pick(
            "每期第一天開出第一張發票後，確認它的號碼在該期的範圍內。".to_owned(),
            "On the first day of a period, check that the first invoice bears a number from its ranges.".to_owned(),
        )
    };
    let head = language.pick("接下來", "What to do next");
    format!("\n{head}\n  1. {load}\n  2. {validity}\n  3. {check}\n")
}
