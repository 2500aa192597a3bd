//! The letter about one row of a file of the platform's that was not recorded: why, which, and what
//! to do.

use jiff::Timestamp;

use super::{
    super::{super::Language, meaning, table::facts},
    place, what,
};
use crate::{
    clock::taipei_minute,
    ledger::{FoundIn, Quarantined},
    stranger::one_line,
};

pub(super) fn subject(row: &Quarantined, language: Language) -> String {
    let what = what(&row.defects, language);
    let (file, line) = named(row);
    language.pick(
        format!("需要處理：檔案 {file} 第 {line} 列未匯入，{what}"),
        format!("Action needed: line {line} of {file} not imported: {what}"),
    )
}

pub(super) fn text(row: &Quarantined, at: Timestamp, language: Language) -> String {
    let Quarantined {
        message_id: id,
        subject,
        defects,
        ..
    } = row;
    let (file, line) = named(row);
    let mut text = language.pick(
        format!(
            "平台的檔案 {file}，第 {line} 列的號碼沒有記入帳本，等待處理。檔案的其他列不受影響。\n\n原因\n"
        ),
        format!(
            "Line {line} of the platform's file {file} was NOT imported: its range waits for a\n\
             decision. The other lines of the file are not affected.\n\nWhy\n"
        ),
    );
    for same in defects.chunk_by(|a, b| a.code == b.code) {
        let remedy = same
            .first()
            .and_then(|reason| reason.code.parse().ok())
            .map(|code| meaning::of_row(code, language).remedy);
        text.push_str(&super::quarantined::reasons(same, remedy, language));
    }
    text.push_str(language.pick("\n這一列\n", "\nThe line\n"));
    text.push_str(&facts(&[
        (
            language.pick("檔案", "File"),
            one_line(path_and_line(row).0, 200),
        ),
        (language.pick("列", "Line"), line),
        (language.pick("內容", "Says"), one_line(subject, 120)),
        (
            language.pick("發現時間", "Found (UTC+8)"),
            taipei_minute(at),
        ),
        (language.pick("隔離編號", "Quarantine id"), id.to_string()),
    ]));
    text + &language.pick(
        format!(
            "\n接下來\n\
             \x20 1. 用 `invoice-trackd quarantine show {id}` 看這一列、判斷的理由和處理方式。\n\
             \x20 2. 登入平台核對字軌；查明之前，不要把這段號碼載入開立發票的系統。\n\
             \x20 3. 照上面「處理」辦好，確認這一列正確，就放行，號碼會記入帳本：\n\
             \x20      invoice-trackd quarantine release {id} --reason 原因\n\
             \x20 4. 這一列不對，或已另行處理，就捨棄，之後不再列入：\n\
             \x20      invoice-trackd quarantine dismiss {id} --reason 原因\n\
             \n`invoice-trackd quarantine list` 可看還有哪些等待處理。\n"
        ),
        format!(
            "\nWhat to do next\n\
             \x20 1. `invoice-trackd quarantine show {id}` shows the line, why it waits and what to do.\n\
             \x20 2. Log in to the platform and compare. Do not load this range before that.\n\
             \x20 3. Once \"Do\" above is done and the line is right, release it to record its range:\n\
             \x20      invoice-trackd quarantine release {id} --reason TEXT\n\
             \x20 4. If it is wrong, or dealt with otherwise, dismiss it; it waits no more:\n\
             \x20      invoice-trackd quarantine dismiss {id} --reason TEXT\n\
             \n`invoice-trackd quarantine list` shows what else waits.\n"
        ),
    )
}

/// The file's name and the line, fit to be shown.
fn named(row: &Quarantined) -> (String, String) {
    let (path, line) = path_and_line(row);
    (
        place(&FoundIn::File(path.to_owned())),
        line.map_or_else(|| "?".to_owned(), |line| one_line(line, 10)),
    )
}

/// Where it was found, taken apart.
fn path_and_line(row: &Quarantined) -> (&str, Option<&str>) {
    let (FoundIn::File(place) | FoundIn::Mailbox(place)) = &row.found_in;
    match place.rsplit_once(':') {
        Some((path, line)) => (path, Some(line)),
        None => (place, None),
    }
}
