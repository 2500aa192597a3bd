//! The one mail about everything that lay in the mailboxes long before the ledger was created.
//!
//! Left out on purpose: a file to load. What is old has been loaded, or nobody needs it any more;
//! what may still be needed is to be compared first.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    super::{Language, Style},
    alert::{codes, count_codes, place, tallied},
    extent::Extent,
    granted::{Granted, by_period, count, warnings},
    letter::Draft,
    systems,
    table::{columns, grouped},
};
use crate::{
    clock::taipei_date,
    ledger::{AllocationRow, HandedOver, Import, Kind, Letter, Past, Pending, Quarantined},
    notice::{Address, Allocation, Period, WarningCode},
    stranger::one_line,
};

/// So many quarantined mails stand here by themselves; the rest are counted.
const ROWS: usize = 50;

pub(super) fn compose(
    past: &[Pending<Past>],
    rows: &[AllocationRow],
    handed: &[HandedOver],
    style: &Style,
    now: Timestamp,
) -> Option<Letter> {
    if past.is_empty() {
        return None;
    }
    let (mut imports, mut quarantined) = (Vec::new(), Vec::new());
    for piece in past {
        match &piece.cause {
            Past::Imported(import) => imports.push(import),
            Past::Quarantined(mail) => quarantined.push(mail),
        }
    }
    let language = style.language;
    let draft = Draft {
        kind: Kind::Summary,
        about: past.iter().map(|piece| piece.key.clone()).collect(),
        subject: subject(imports.len(), quarantined.len(), language),
        text: text(&imports, &quarantined, rows, handed, language, now),
        attachment: None,
    };
    let mut readers: Vec<Address> = Vec::new();
    for reader in style.confirm_to.iter().chain(&style.alert_to) {
        if !readers.contains(reader) {
            readers.push(reader.clone());
        }
    }
    draft.address(&style.from, &readers, now)
}

fn subject(imported: usize, quarantined: usize, language: Language) -> String {
    let [imported, quarantined] = [imported, quarantined].map(|n| grouped(count(n)));
    language.pick(
        format!("首次掃描：舊通知已記錄 {imported} 封，隔離 {quarantined} 封"),
        format!("First scan: {imported} old notices recorded, {quarantined} in quarantine"),
    )
}

fn text(
    imports: &[&Import],
    quarantined: &[&Quarantined],
    rows: &[AllocationRow],
    handed: &[HandedOver],
    language: Language,
    now: Timestamp,
) -> String {
    let [recorded, waiting] = [imports.len(), quarantined.len()].map(|n| grouped(count(n)));
    let mut text = language.pick(
        format!(
            "第一次掃描信箱，讀了先前就在裡面的舊通知：\n\n  已記錄  {recorded} 封\n  \
             已隔離  {waiting} 封\n\n這些舊通知只寄這一封，不會再逐封通知。\n"
        ),
        format!(
            "The first scan has read the old notices that lay in the mailboxes already:\n\n  \
             Recorded       {recorded}\n  In quarantine  {waiting}\n\n\
             This is the only mail about them.\n"
        ),
    );
    let granted = Granted::of(imports, rows);
    let running = Period::containing(taipei_date(now));
    let (needed, over): (Vec<Allocation>, Vec<Allocation>) = granted
        .ranges
        .iter()
        .partition(|range| range.block.period >= running);
    if !imports.is_empty() {
        text.push_str(&still_needed(&granted, &needed, language));
    }
    if !over.is_empty() {
        text.push_str(language.pick(
            "\n已經過期的字軌（只作紀錄，不必處理）\n",
            "\nRanges of periods that are over (on record, nothing to do)\n",
        ));
        text.push_str(&by_period(&over, language));
    }
    if !handed.is_empty() {
        text.push_str(language.pick(
            "\n已自動交付的系統（設定了 past = true；這些系統不要再載入一次）\n",
            "\nHanded over to (those with past = true; do not load them there again)\n",
        ));
        for one in handed {
            text.push_str(&format!("  {}\n", systems::standing(one, language)));
        }
    }
    text.push_str(&granted.withdrawn(language));
    // Of what is old it goes without saying that it is over.
    let mut noted: Vec<Import> = imports.iter().map(|import| (*import).clone()).collect();
    for import in &mut noted {
        let over = WarningCode::PeriodPast.as_str();
        import.warnings.retain(|warning| warning.code != over);
    }
    text.push_str(&warnings(noted.iter(), &[], language));
    if !quarantined.is_empty() {
        text.push_str(&listed(quarantined, language));
    }
    text
}

/// The ranges of the running and the later periods.
fn still_needed(granted: &Granted<'_>, needed: &[Allocation], language: Language) -> String {
    if needed.is_empty() {
        return language
            .pick(
                "\n本期與之後的字軌：舊通知裡沒有。\n",
                "\nNone of them is for the current period or a later one.\n",
            )
            .to_owned();
    }
    let span = Extent::of(needed).span();
    let mut text = language.pick(
        format!("\n還用得到的字軌（{span}）\n"),
        format!("\nRanges that may still be needed ({span})\n"),
    );
    text.push_str(&granted.by_company(needed, language));
    text.push_str(language.pick(
        "\n  請與開立發票的系統裡現有的字軌核對：已經有的不要再載入；沒有的，用\n\
         \x20 `invoice-trackd allocations` 查看後載入，只載入一套系統。\n",
        "\n  Compare them with what your issuing system holds. Do not load again what is there;\n\
         \x20 what is missing is listed by `invoice-trackd allocations`: load it, into one system only.\n",
    ));
    text
}

fn listed(quarantined: &[&Quarantined], language: Language) -> String {
    let mut text = language
        .pick(
            "\n隔離中的舊信（裡面的號碼都沒有記錄）\n",
            "\nOld mails in quarantine (none of their numbers is recorded)\n",
        )
        .to_owned();
    let head = language.pick(
        ["編號", "來源", "原因", "主旨"],
        ["Id", "Where", "Why", "Subject"],
    );
    let rows = quarantined.iter().take(ROWS).map(|mail| {
        vec![
            mail.message_id.to_string(),
            place(&mail.found_in),
            codes(&mail.defects, language),
            one_line(&mail.subject, 24),
        ]
    });
    let head = head.map(str::to_owned).to_vec();
    let rows = Vec::from_iter(std::iter::once(head).chain(rows));
    text.push_str(&columns(&rows, &[0]));
    if let Some(more) = quarantined.len().checked_sub(ROWS).filter(|more| *more > 0) {
        text.push_str(&language.pick(
            format!("\n  另有 {more} 封沒有列出，已計入下面的統計。\n"),
            format!("\n  and {more} more, which are counted below.\n"),
        ));
    }
    text.push_str(language.pick("\n統計\n", "\nIn all\n"));
    let mut tally = BTreeMap::new();
    for mail in quarantined {
        count_codes(&mail.defects, &mut tally);
    }
    text.push_str(&tallied(tally, language));
    text.push_str(language.pick(
        "\n接下來\n\
         \x20 1. `invoice-trackd quarantine list` 列出等待處理的信；\n\
         \x20    `invoice-trackd quarantine show 編號` 看其中一封判斷的理由和處理方式。\n\
         \x20 2. 登入平台核對字軌；查明之前不要載入這些號碼，也不要點信裡的連結。\n\
         \x20 3. 不需要的舊信可以一次捨棄；以下是試跑，去掉 `--dry-run` 才會執行：\n\
         \x20    `invoice-trackd quarantine dismiss --all --code 代碼 --reason 原因 --dry-run`\n",
        "\nWhat to do next\n\
         \x20 1. `invoice-trackd quarantine list` lists what waits;\n\
         \x20    `invoice-trackd quarantine show ID` shows why one of them does, and what to do.\n\
         \x20 2. Log in to the platform and compare. Until then load none of these numbers, and do\n\
         \x20    not follow links in those mails.\n\
         \x20 3. Old mail that nobody needs can be dismissed in one go; this tries it out, and without\n\
         \x20    `--dry-run` it is done:\n\
         \x20    `invoice-trackd quarantine dismiss --all --code CODE --reason TEXT --dry-run`\n",
    ));
    text
}
