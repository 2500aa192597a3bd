//! The mail about an imported notice: what there is now, and what to do with it.

use jiff::{Timestamp, civil::Date};

use super::{
    super::{Language, Style},
    Imported,
    extent::{Extent, booklets, next_steps},
    fallen,
    letter::{Attached, Draft},
    meaning, systems,
    table::{columns, facts, grouped},
};
use crate::{
    clock::taipei_date,
    ledger::{Kind, Letter},
    notice::{Allocation, BOOKLET, Warning},
    stranger::one_line,
};

pub(super) fn compose(imported: &Imported<'_>, style: &Style, now: Timestamp) -> Option<Letter> {
    if imported.allocations.is_empty() {
        return None;
    }
    let extent = Extent::of(imported.allocations);
    let language = style.language;
    let draft = Draft {
        kind: Kind::Confirmation,
        about: vec![imported.sha256.to_owned()],
        subject: subject(imported, &extent, language),
        text: text(imported, &extent, style, taipei_date(now)),
        attachment: Some(Attached::csv(imported.allocations)),
    };
    draft.address(&style.from, &style.confirm_to, now)
}

fn subject(imported: &Imported<'_>, extent: &Extent, language: Language) -> String {
    let (span, booklets) = (extent.span(), booklets(extent.booklets, language));
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

fn text(imported: &Imported<'_>, extent: &Extent, style: &Style, today: Date) -> String {
    let language = style.language;
    let handed = systems::named(style);
    let mut text = match imported.is_file {
        false => language
            .pick(
                "配號通知已匯入，號碼如下。\n\n",
                "The allocation notice has been imported. These are the numbers.\n\n",
            )
            .to_owned(),
        true => {
            let name = imported.found_in.rsplit('/').next().unwrap_or_default();
            let name = one_line(name, 60);
            language.pick(
                format!("已從平台的檔案 {name} 匯入，號碼如下。\n\n"),
                format!("Imported from the platform's file {name}. These are the numbers.\n\n"),
            )
        }
    };
    text.push_str(&ranges(imported.allocations, language));
    text.push('\n');
    text.push_str(&overview(imported, extent, &handed, language));
    if !imported.warnings.is_empty() || !imported.fallen.is_empty() {
        text.push_str(language.pick("\n請留意\n", "\nPlease note\n"));
        for one in imported.fallen {
            text.push_str(&format!("  * {}\n", fallen::sentence(one, language)));
        }
        if !imported.fallen.is_empty() {
            text.push_str(&format!("    {}\n", fallen::follows(language)));
        }
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
        let zh = match imported.is_file {
            false => "\n同一封通知裡，以下號碼先前已經匯入，沒有變動，也不在附件內\n",
            true => "\n同一個檔案裡，以下號碼先前已經匯入，沒有變動，也不在附件內\n",
        };
        text.push_str(language.pick(
            zh,
            "\nRecorded before, unchanged, and not in the attached file\n",
        ));
        text.push_str(&ranges(imported.known, language));
    }
    text.push_str(&next_steps(extent, &handed, language, today));
    text.push_str(&systems::only_one(&handed, language));
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

fn overview(
    imported: &Imported<'_>,
    extent: &Extent,
    handed: &[&str],
    language: Language,
) -> String {
    let company = match imported.company_name {
        Some(name) => language.pick(
            format!("{}（統編 {}）", one_line(name, 60), imported.ban),
            format!("{} ({})", one_line(name, 60), imported.ban),
        ),
        None => imported.ban.to_string(),
    };
    let booklets = booklets(extent.booklets, language);
    let numbers = grouped(extent.booklets * u64::from(BOOKLET));
    let digest: String = imported.sha256.chars().take(12).collect();
    let mut rows = vec![
        (language.pick("營業人", "Company"), company),
        (
            language.pick("共計", "In all"),
            language.pick(
                format!("{booklets}，{numbers} 張"),
                format!("{booklets}, {numbers} numbers"),
            ),
        ),
        (
            match imported.is_file {
                false => language.pick("通知來源", "Found in"),
                true => language.pick("檔案", "File"),
            },
            one_line(imported.found_in, 200),
        ),
        (
            language.pick("證明方式", "Proven by"),
            language.pick(
                one_line(&imported.proven_by.zh, 200),
                one_line(&imported.proven_by.en, 200),
            ),
        ),
        ("SHA-256", format!("{digest}…")),
    ];
    if !handed.is_empty() {
        // None can have been taken yet: they are posted together with this.
        let names = systems::list(handed, language);
        let words = language.pick(
            format!("{names}（交付中）"),
            format!("{names} (on the way)"),
        );
        rows.push((language.pick("交付系統", "Handed to"), words));
    }
    facts(&rows)
}
