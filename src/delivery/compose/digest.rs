//! The mail about all notices that were imported within a window: totals first, then company by
//! company, and one file with everything.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{
    super::{Language, Style},
    extent::{Extent, booklets, next_steps},
    fallen,
    granted::{Granted, by_period, companies, count, in_companies, in_ranges, warnings},
    letter::{Attached, Draft},
    systems,
    table::{facts, grouped},
};
use crate::{
    clock::{taipei_date, taipei_minute},
    ledger::{AllocationRow, Fallen, FoundIn, HandedOver, Import, Kind, Letter, Pending},
    notice::BOOKLET,
    stranger::one_line,
};

pub(super) fn compose(
    news: &[Pending<Import>],
    rows: &[AllocationRow],
    handed: &[HandedOver],
    style: &Style,
    now: Timestamp,
) -> Option<Letter> {
    if news.is_empty() {
        return None;
    }
    let imports: Vec<&Import> = news.iter().map(|piece| &piece.cause).collect();
    let granted = Granted::of(&imports, rows);
    let extent = Extent::of(&granted.ranges);
    let language = style.language;
    let attachment = (!granted.ranges.is_empty()).then(|| Attached::csv(&granted.ranges));
    let draft = Draft {
        kind: Kind::Confirmation,
        about: news.iter().map(|piece| piece.key.clone()).collect(),
        subject: subject(&granted, &extent, language),
        text: text(
            news,
            &granted,
            &fallen::standing(&imports, rows),
            handed,
            language,
            now,
        ),
        attachment,
    };
    draft.address(&style.from, &style.confirm_to, now)
}

fn subject(granted: &Granted<'_>, extent: &Extent, language: Language) -> String {
    if granted.ranges.is_empty() {
        let ranges = in_ranges(granted.withdrawn.len(), language);
        return language.pick(
            format!("匯入的 {ranges}已全部撤回"),
            format!("All that was imported has been withdrawn: {ranges}"),
        );
    }
    let ranges = in_ranges(granted.ranges.len(), language);
    let (span, booklets) = (extent.span(), booklets(extent.booklets, language));
    let company = match granted.ranges.first() {
        Some(range) if companies(&granted.ranges) == 1 => {
            granted.company(range.ban.as_str(), language)
        }
        _ => in_companies(&granted.ranges, language),
    };
    language.pick(
        format!("已匯入 {ranges}（{span}，共 {booklets}）{company}"),
        format!("Imported {ranges} ({span}, {booklets}) {company}"),
    )
}

fn text(
    news: &[Pending<Import>],
    granted: &Granted<'_>,
    fallen: &[(&str, &Fallen)],
    handed: &[HandedOver],
    language: Language,
    now: Timestamp,
) -> String {
    let extent = &Extent::of(&granted.ranges);
    let (notices, one) = brought(news, language);
    if granted.ranges.is_empty() {
        let text = language.pick(
            format!("{notices}已匯入，但其中的號碼後來都撤回了：沒有號碼可用。\n"),
            format!("All numbers that were imported in this time have been withdrawn since: there is nothing\nto use. They came by {notices}.\n"),
        );
        return text + &granted.withdrawn(language);
    }
    let mut text = language.pick(
        format!("{notices}已匯入，號碼如下。\n\n"),
        match one {
            true => format!("{notices} has been imported. These are the numbers.\n\n"),
            false => format!("{notices} have been imported. These are the numbers.\n\n"),
        },
    );
    text.push_str(&overview(news, granted, extent, handed, language));
    text.push('\n');
    text.push_str(&by_period(&granted.ranges, language));
    text.push_str(language.pick("\n各公司\n", "\nBy company\n"));
    text.push_str(&granted.by_company(&granted.ranges, language));
    text.push_str(language.pick(
        "\n附件是平台格式的字軌檔，上列號碼都在裡面。\n",
        "\nThe attached file is in the platform's format and holds all of them.\n",
    ));
    if companies(&granted.ranges) > 1 {
        text.push_str(language.pick(
            "裡面有多家公司；若系統一次只收一家，請先依營業人統編分開。\n",
            "It holds several companies: split it by 營業人統編 if your system takes one at a time.\n",
        ));
    }
    text.push_str(&granted.withdrawn(language));
    text.push_str(&warnings(
        news.iter().map(|piece| &piece.cause),
        fallen,
        language,
    ));
    let names: Vec<&str> = handed.iter().map(|one| one.target.as_str()).collect();
    text.push_str(&next_steps(extent, &names, language, taipei_date(now)));
    text.push_str(&systems::only_one(&names, language));
    text
}

/// What brought the numbers, and whether that is one thing. A file may bring those of several companies.
fn brought(news: &[Pending<Import>], language: Language) -> (String, bool) {
    let (files, notices): (Vec<&Import>, Vec<&Import>) = news
        .iter()
        .map(|piece| &piece.cause)
        .partition(|import| import.is_file);
    let files: BTreeSet<i64> = files.iter().map(|import| import.message_id).collect();
    let mut parts = Vec::new();
    for (number, zh, one, many) in [
        (
            notices.len(),
            "封配號通知",
            "allocation notice",
            "allocation notices",
        ),
        (
            files.len(),
            "個平台檔案",
            "file of the platform's",
            "files of the platform's",
        ),
    ] {
        let n = grouped(count(number));
        match number {
            0 => {}
            1 => parts.push(language.pick(format!("{n} {zh}"), format!("{n} {one}"))),
            _ => parts.push(language.pick(format!("{n} {zh}"), format!("{n} {many}"))),
        }
    }
    let is_one = notices.len() + files.len() == 1;
    (parts.join(language.pick("、", " and ")), is_one)
}

fn overview(
    news: &[Pending<Import>],
    granted: &Granted<'_>,
    extent: &Extent,
    handed: &[HandedOver],
    language: Language,
) -> String {
    let numbers = grouped(extent.booklets * u64::from(BOOKLET));
    let ranges = in_ranges(granted.ranges.len(), language);
    let companies = in_companies(&granted.ranges, language);
    let booklets = booklets(extent.booklets, language);
    let mut places: Vec<String> = news
        .iter()
        .map(|piece| match &piece.cause.found_in {
            FoundIn::Mailbox(name) => one_line(name, 60),
            // Files are many, and each stands in the ledger.
            FoundIn::File(_) => language.pick("檔案", "files").to_owned(),
        })
        .collect();
    places.sort_unstable();
    places.dedup();
    let (first, last) = (
        news.iter().map(|piece| piece.raised_at).min(),
        news.iter().map(|piece| piece.raised_at).max(),
    );
    let [first, last] = [first, last].map(|at| at.map(taipei_minute).unwrap_or_default());
    let mut rows = vec![
        (
            language.pick("共計", "In all"),
            language.pick(
                format!("{companies}，{ranges}，{booklets}，{numbers} 張"),
                format!("{companies}, {ranges}, {booklets}, {numbers} numbers"),
            ),
        ),
        (
            language.pick("匯入時間", "Imported (UTC+8)"),
            if first == last {
                first
            } else {
                language.pick(format!("{first} 到 {last}"), format!("{first} to {last}"))
            },
        ),
        (
            language.pick("通知來源", "Found in"),
            one_line(&places.join(language.pick("、", ", ")), 200),
        ),
    ];
    for (number, one) in handed.iter().enumerate() {
        let label = match number {
            0 => language.pick("交付系統", "Handed to"),
            _ => "",
        };
        rows.push((label, systems::standing(one, language)));
    }
    facts(&rows)
}
