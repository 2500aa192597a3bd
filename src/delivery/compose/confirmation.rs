//! The mail about an imported notice: what there is now, and what to do with it.

use jiff::{Timestamp, civil::Date};

use super::{
    super::{Language, Style, platform_csv, stranger::one_line},
    Imported,
    letter::Draft,
    meaning,
    table::{columns, facts, grouped},
};
use crate::{
    clock::taipei_date,
    ledger::{Kind, Letter},
    notice::{Allocation, BOOKLET, Period, Warning},
};

pub(super) fn compose(imported: &Imported<'_>, style: &Style, now: Timestamp) -> Option<Letter> {
    if imported.allocations.is_empty() {
        return None;
    }
    let summary = Summary::of(imported.allocations);
    let language = style.language;
    let draft = Draft {
        kind: Kind::Confirmation,
        about: vec![imported.sha256.to_owned()],
        subject: subject(imported, &summary, language),
        text: text(imported, &summary, language, taipei_date(now)),
        attachment: Some(platform_csv::write(imported.ban, imported.allocations)),
    };
    draft.address(&style.from, &style.confirm_to, now)
}

/// What several ranges come to.
struct Summary {
    /// The periods, in time, each once.
    periods: Vec<Period>,
    booklets: u64,
}

impl Summary {
    fn of(allocations: &[Allocation]) -> Self {
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
    fn span(&self) -> String {
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

fn subject(imported: &Imported<'_>, summary: &Summary, language: Language) -> String {
    let (span, booklets) = (summary.span(), booklets(summary.booklets, language));
    let company = match imported.company_name {
        Some(name) => one_line(name, 60),
        None => language.pick(
            format!("統編 {}", imported.ban),
            format!("company {}", imported.ban),
        ),
    };
    match imported.allocations {
        [Allocation { block, .. }] => language.pick(
            format!(
                "已匯入 {} {}（{span}，{booklets}）{company}",
                block.track, block.range
            ),
            format!(
                "Imported {} {} ({span}, {booklets}) {company}",
                block.track, block.range
            ),
        ),
        several => language.pick(
            format!(
                "已匯入 {} 段字軌（{span}，共 {booklets}）{company}",
                several.len()
            ),
            format!(
                "Imported {} ranges ({span}, {booklets}) {company}",
                several.len()
            ),
        ),
    }
}

fn text(imported: &Imported<'_>, summary: &Summary, language: Language, today: Date) -> String {
    let mut text = language
        .pick(
            "配號通知已匯入，號碼如下。\n\n",
            "The allocation notice has been imported. These are the numbers.\n\n",
        )
        .to_owned();
    text.push_str(&ranges(imported.allocations, language));
    text.push('\n');
    text.push_str(&overview(imported, summary, language));
    if !imported.warnings.is_empty() {
        text.push_str(language.pick("\n請留意\n", "\nPlease note\n"));
        for same in imported.warnings.chunk_by(|a, b| a.code == b.code) {
            for Warning { detail, .. } in same {
                text.push_str(&language.pick(
                    format!("  * {}。\n", one_line(&detail.zh, 300)),
                    format!("  * {}\n", one_line(&detail.en, 300)),
                ));
            }
            let follows = same.first().map(|w| meaning::warning(w.code, language));
            text.push_str(&format!("    {}\n", follows.unwrap_or_default()));
        }
    }
    if !imported.known.is_empty() {
        text.push_str(language.pick(
            "\n同一封通知裡，以下號碼先前已經匯入，沒有變動，也不在附件內\n",
            "\nRecorded before, unchanged, and not in the attached file\n",
        ));
        text.push_str(&ranges(imported.known, language));
    }
    text.push_str(&next_steps(summary, language, today));
    text.push_str(language.pick(
        "\n同一段號碼只能載入一套系統。載入兩套，兩邊會開出號碼相同的發票。\n",
        "\nLoad a range into one system only. Loaded into two, both issue invoices with the same numbers.\n",
    ));
    text
}

/// The ranges as a table.
fn ranges(allocations: &[Allocation], language: Language) -> String {
    let head = language.pick(
        [
            "字軌",
            "發票起號",
            "發票迄號",
            "本數",
            "發票期別",
            "發票類別",
        ],
        ["Track", "First", "Last", "Booklets", "Period", "Type"],
    );
    let rows = allocations.iter().map(|Allocation { block, .. }| {
        vec![
            block.track.to_string(),
            block.range.begin().to_string(),
            block.range.end().to_string(),
            grouped(block.range.booklets().into()),
            block.period.to_string(),
            format!(
                "{} {}",
                block.invoice_type.code(),
                block.invoice_type.name()
            ),
        ]
    });
    let head = head.map(str::to_owned).to_vec();
    columns(&Vec::from_iter(std::iter::once(head).chain(rows)), &[3])
}

fn overview(imported: &Imported<'_>, summary: &Summary, language: Language) -> String {
    let company = match imported.company_name {
        Some(name) => language.pick(
            format!("{}（統編 {}）", one_line(name, 60), imported.ban),
            format!("{} ({})", one_line(name, 60), imported.ban),
        ),
        None => imported.ban.to_string(),
    };
    let booklets = booklets(summary.booklets, language);
    let numbers = grouped(summary.booklets * u64::from(BOOKLET));
    let digest: String = imported.sha256.chars().take(12).collect();
    facts(&[
        (language.pick("營業人", "Company"), company),
        (
            language.pick("共計", "In all"),
            language.pick(
                format!("{booklets}，{numbers} 張"),
                format!("{booklets}, {numbers} numbers"),
            ),
        ),
        (
            language.pick("通知來源", "Found in"),
            one_line(imported.found_in, 200),
        ),
        ("SHA-256", format!("{digest}…")),
    ])
}

fn booklets(count: u64, language: Language) -> String {
    let en = if count == 1 { "booklet" } else { "booklets" };
    format!("{} {}", grouped(count), language.pick("本", en))
}

/// What to do with the first period that is not over, seen from `today`; all periods over, there
/// is nothing to do.
fn next_steps(summary: &Summary, language: Language, today: Date) -> String {
    let running = Period::containing(today);
    let Some(period) = summary.periods.iter().find(|period| **period >= running) else {
        return language
            .pick(
                "\n接下來\n  期別已經過了，不需要載入；請核對當時使用的號碼是否就是這一段。\n",
                "\nWhat to do next\n  The period is over, so there is nothing to load. Check that these are the numbers that\n  were used in it.\n",
            )
            .to_owned();
    };
    let (year, month) = (period.roc_year(), period.even_month() - 1);
    let gregorian = year + 1911;
    let load = if *period > running {
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
    let validity = if summary.periods.len() == 1 {
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
    let check = if summary.periods.len() == 1 && *period > running {
        language.pick(
            format!("{month} 月 1 日開出第一張發票後，確認它的號碼在上列範圍內。"),
            format!("On {gregorian}-{month:02}-01, check that the first invoice bears a number from the ranges above."),
        )
    } else if summary.periods.len() == 1 {
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
