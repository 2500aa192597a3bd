//! What each code means to the person who reads the mail, and what that person does about it.
//!
//! The finding's own sentence says what was found in this mail; the words here are the same for
//! every mail and do not say it again. Matches are exhaustive, so that a new code cannot go out
//! unexplained.

use super::super::Language;
use crate::notice::{DefectCode, WarningCode};

/// One code in words.
pub(super) struct Meaning {
    /// What is wrong, in a clause without a full stop: for where there is no room for the finding.
    pub(super) what: &'static str,
    /// What to do about it.
    pub(super) remedy: &'static str,
}

/// Why a mail was not imported.
pub(super) fn defect(code: DefectCode, language: Language) -> Meaning {
    let pick = |zh: (&'static str, &'static str), en: (&'static str, &'static str)| {
        let (what, remedy) = language.pick(zh, en);
        Meaning { what, remedy }
    };
    match code {
        DefectCode::SenderNotAllowed => pick(
            (
                "寄件人不在名單上",
                "若不是轉寄，可能是冒名信，也可能是平台換了寄件地址：先向平台（0800-521-988）查證。屬實才把地址加進設定檔的 senders（再執行 `systemctl reload invoice-trackd`），這一封用 `invoice-trackd quarantine release` 放行。",
            ),
            (
                "its sender is not on the list",
                "If nobody passed it on, either somebody imitates the platform or the platform has a new address: ask it (0800-521-988). Only when the address is theirs, add it to senders (then `systemctl reload invoice-trackd`), and release this mail with `invoice-trackd quarantine release`.",
            ),
        ),
        DefectCode::SubjectUnexpected => pick(
            (
                "主旨沒有「配號結果」",
                "登入平台核對字軌；號碼相符，就用 `invoice-trackd quarantine release` 放行。",
            ),
            (
                "its subject does not say 配號結果",
                "Log in to the platform and compare the ranges; when they are the same, `invoice-trackd quarantine release` records them.",
            ),
        ),
        DefectCode::NotAuthenticated => pick(
            (
                "無法證明由平台寄出",
                "不要點信裡的連結。登入平台核對字軌；號碼確實相符，才用 `invoice-trackd quarantine release` 放行。",
            ),
            (
                "nothing proves that the platform sent it",
                "Do not follow its links. Log in to the platform and compare; only when the ranges are the same, `invoice-trackd quarantine release` records them.",
            ),
        ),
        DefectCode::AmbiguousHeader => pick(
            (
                "寄件人或標頭欄位重複",
                "真的通知不該這樣：請視為可疑信件，並登入平台核對。",
            ),
            (
                "its sender or a header field stands there twice",
                "A genuine notice should not look like this: treat it as suspicious, and compare with the platform.",
            ),
        ),
        DefectCode::UndecodableText => pick(
            (
                "內文無法完整解讀",
                "登入平台下載字軌檔；請保留原信，並回報給開發者。",
            ),
            (
                "its text cannot be read in full",
                "Download the ranges from the platform; keep the mail and report it to the developers.",
            ),
        ),
        DefectCode::Oversized => pick(
            (
                "信件太大，沒有讀取",
                "配號通知通常只有幾 KB。請看原信；若確實是平台寄的，先調高 max_message_bytes，再把信另存成檔案，用 `invoice-trackd ingest` 匯入。",
            ),
            (
                "it is too large to be read",
                "Notices are a few kilobytes: look at it yourself. If it is genuine all the same, raise max_message_bytes, save it as a file and `invoice-trackd ingest` it.",
            ),
        ),
        DefectCode::Unfetchable => pick(
            (
                "郵件伺服器交不出這封信",
                "請用郵件軟體開啟查看，並洽郵件管理員；每天會自動再試一次。",
            ),
            (
                "the mail server cannot hand it over",
                "Open it with a mail program and ask whoever runs the mail server; it is tried again every day.",
            ),
        ),
        DefectCode::FieldMissing => pick(
            (
                "缺少必要的欄位",
                "對照原信，號碼以平台的為準：登入平台下載字軌檔。版面若已變更，請回報給開發者。",
            ),
            (
                "a field is missing",
                "Look at the mail, and take the ranges from the platform. If the layout has changed, report it to the developers.",
            ),
        ),
        DefectCode::FieldMalformed => pick(
            (
                "有欄位無法辨識",
                "對照原信，號碼以平台的為準：登入平台下載字軌檔。版面若已變更，請回報給開發者。",
            ),
            (
                "a field cannot be read",
                "Look at the mail, and take the ranges from the platform. If the layout has changed, report it to the developers.",
            ),
        ),
        DefectCode::FieldConflict => pick(
            ("同一個欄位有不同的內容", "登入平台核對哪一個才對。"),
            (
                "a field has two different values",
                "See on the platform which of them is right.",
            ),
        ),
        DefectCode::PeriodNotAPair => pick(
            ("發票期別不是單月加雙月", "登入平台核對期別。"),
            (
                "its period is not an odd month and the even month after it",
                "See on the platform which period it is.",
            ),
        ),
        DefectCode::RangeMisaligned => pick(
            (
                "起迄號不是整本的號碼",
                "號碼以 50 張為一本，請登入平台核對起迄號。",
            ),
            (
                "its range is not in whole booklets",
                "Numbers come in booklets of 50: see on the platform where the range begins and ends.",
            ),
        ),
        DefectCode::RangeReversed => pick(
            ("迄號比起號小", "登入平台核對起迄號。"),
            (
                "its range ends before it begins",
                "See on the platform where the range begins and ends.",
            ),
        ),
        DefectCode::BookletsDisagree => pick(
            (
                "起迄號的張數與本數不合",
                "登入平台核對本數與起迄號；起迄號正確，就用 `invoice-trackd quarantine release` 放行。",
            ),
            (
                "its range and its number of booklets do not fit together",
                "See on the platform how many booklets were allocated; when the range is right, `invoice-trackd quarantine release` records it.",
            ),
        ),
        DefectCode::BanInvalid => pick(
            ("統一編號的檢查碼不正確", "請視為可疑信件，並登入平台核對。"),
            (
                "its company number fails the checksum",
                "Treat it as suspicious, and compare with the platform.",
            ),
        ),
        DefectCode::UnknownCompany => pick(
            (
                "無法確定是哪一家公司的號碼",
                "查明是真的通知之後，用 `invoice-trackd quarantine release` 加上 --ban 指明統一編號；或是改好設定、執行 `systemctl reload invoice-trackd` 之後再放行。",
            ),
            (
                "it cannot be told whose numbers these are",
                "Once the notice is known to be genuine, `invoice-trackd quarantine release` with --ban says whose they are; or mend the configuration, `systemctl reload invoice-trackd`, and release it then.",
            ),
        ),
        DefectCode::RangeOverlap => pick(
            (
                "號碼與另一段號碼重疊",
                "用 `invoice-trackd allocations` 對照已匯入的號碼，再向平台確認這些號碼是誰的；確認之前不要使用。已匯入的那一段若是錯的，用 `invoice-trackd allocations withdraw` 撤回後再放行。",
            ),
            (
                "its numbers overlap another range",
                "Compare with `invoice-trackd allocations`, then ask the platform whose they are; do not use them before. When the recorded range is the wrong one, `invoice-trackd allocations withdraw` it, then release this mail.",
            ),
        ),
        DefectCode::TrackPeriodConflict => pick(
            (
                "字軌在同一年已屬於另一期",
                "用 `invoice-trackd allocations` 對照已匯入的期別，並登入平台核對；這一封才對，就用 `invoice-trackd quarantine release` 放行。",
            ),
            (
                "its track belongs to another period of the same year",
                "Compare with `invoice-trackd allocations` and with the platform; when this one is right, `invoice-trackd quarantine release` records it.",
            ),
        ),
        DefectCode::PeriodTooFar => pick(
            (
                "期別太遠，這家公司還配不到",
                "登入平台核對期別；若已改為年配，請調整設定檔的 assignment（再執行 `systemctl reload invoice-trackd`）。期別正確，就用 `invoice-trackd quarantine release` 放行。",
            ),
            (
                "its period lies further ahead than this company is given numbers for",
                "See on the platform which period it is; if the company is now 年配, set assignment = \"year\" (then `systemctl reload invoice-trackd`). When the period is right, `invoice-trackd quarantine release` records it.",
            ),
        ),
        DefectCode::ReaderPanicked => pick(
            (
                "程式讀取時發生錯誤",
                "信已保留，程式繼續運作。這是程式的錯誤，請回報給開發者；同時登入平台核對字軌。更新程式之後，`invoice-trackd quarantine release` 會重新判讀。",
            ),
            (
                "the program failed to read it",
                "The mail is kept and the program runs on. This is a bug: report it to the developers, and meanwhile compare with the platform. Once the program is updated, `invoice-trackd quarantine release` reads the mail again.",
            ),
        ),
    }
}

/// As [`defect`], of one row of a file of the platform's: it says whose it is, and nobody forges it.
pub(super) fn of_row(code: DefectCode, language: Language) -> Meaning {
    let meaning = defect(code, language);
    let remedy = match code {
        DefectCode::UnknownCompany => language.pick(
            "這家公司若是您的，先加進設定檔（[[company]] 或 companies_file，再執行 `systemctl reload invoice-trackd`），再用 `invoice-trackd quarantine release` 放行。",
            "If the company is yours, add it to the configuration (a [[company]], or a line to companies_file; then `systemctl reload invoice-trackd`), and `invoice-trackd quarantine release` the line then.",
        ),
        DefectCode::RangeOverlap => language.pick(
            "登入平台核對哪一段才對；確認之前不要使用。已匯入的那一段若是錯的，用 `invoice-trackd allocations withdraw` 撤回後再放行這一列；若是同一個檔案的兩列重疊，用 `invoice-trackd quarantine release` 放行對的，捨棄錯的。",
            "See on the platform which range is right; do not use them before. When a recorded range is the wrong one, `invoice-trackd allocations withdraw` it, then release this line; of two lines of one file, `invoice-trackd quarantine release` the right one and dismiss the other.",
        ),
        DefectCode::TrackPeriodConflict => language.pick(
            "用 `invoice-trackd allocations` 對照已匯入的期別，並登入平台核對；這一列才對，就用 `invoice-trackd quarantine release` 放行。",
            "Compare with `invoice-trackd allocations` and with the platform; when this line is right, `invoice-trackd quarantine release` records it.",
        ),
        _ => meaning.remedy,
    };
    Meaning { remedy, ..meaning }
}

/// What follows from a warning about an import.
pub(super) fn warning(code: WarningCode, language: Language) -> &'static str {
    match code {
        WarningCode::PeriodPast => language.pick(
            "過期的號碼只作紀錄，不能再開立發票。",
            "What is over is recorded, but no invoice may be issued with it.",
        ),
        WarningCode::CompanyAssumed => language.pick(
            "請核對這些號碼是不是這家公司的。",
            "Please check that the numbers are this company's.",
        ),
        WarningCode::SenderDiffers => language.pick(
            "Sender 是實際寄出這封信的人；若不認得，請先查證再使用號碼。",
            "Sender is who really sent the mail: if you do not know it, make sure before you use the numbers.",
        ),
        WarningCode::CountsDiffer => language.pick(
            "原紀錄不變；請登入平台核對本數。",
            "The record stays as it was; see on the platform how many booklets were allocated.",
        ),
    }
}

/// What to do with a mail in quarantine: `id` is the handle, `codes` are its defects. What cannot be
/// overruled is not offered to be.
pub(super) fn next_steps<'a>(
    id: i64,
    codes: impl Iterator<Item = &'a str>,
    language: Language,
) -> String {
    let codes: Vec<Option<DefectCode>> = codes.map(|code| code.parse().ok()).collect();
    let names_nobody = |code: &Option<DefectCode>| *code == Some(DefectCode::UnknownCompany);
    let may_pass = |code: &Option<DefectCode>| {
        names_nobody(code) || code.is_some_and(DefectCode::is_overrulable)
    };
    let (ban_zh, ban_en) = match codes.iter().any(names_nobody) {
        true => (" --ban 統編", " --ban BAN"),
        false => ("", ""),
    };
    let release = if codes.iter().all(may_pass) {
        language.pick(
            format!(
                "確實是平台配的號碼，就放行，號碼會記入帳本：\n\
                 \x20      invoice-trackd quarantine release {id}{ban_zh} --reason 原因\n"
            ),
            format!(
                "If the platform did allocate these numbers, release the mail to record them:\n\
                 \x20      invoice-trackd quarantine release {id}{ban_en} --reason TEXT\n"
            ),
        )
    } else {
        language.pick(
            "這封信目前不能放行：請先照上面「處理」的說明辦理。\n".to_owned(),
            "As things stand it cannot be released: first do what \"Do\" above says.\n".to_owned(),
        )
    };
    language.pick(
        format!(
            "\n接下來\n\
             \x20 1. 用 `invoice-trackd quarantine show {id}` 看這封信、判斷的理由和處理方式；\n\
             \x20    寄件人和主旨可以偽造，不要點信裡的連結。\n\
             \x20 2. 登入平台核對字軌；查明之前，不要把這些號碼載入開立發票的系統。\n\
             \x20 3. {release}\
             \x20 4. 不是平台寄的，或已另行處理，就捨棄，之後不再列入：\n\
             \x20      invoice-trackd quarantine dismiss {id} --reason 原因\n\
             \n原信沒有變動。`invoice-trackd quarantine list` 可看還有哪些信等待處理。\n"
        ),
        format!(
            "\nWhat to do next\n\
             \x20 1. `invoice-trackd quarantine show {id}` shows the mail, why it waits and what to do. Sender\n\
             \x20    and subject can be forged, so do not follow its links.\n\
             \x20 2. Log in to the platform and compare. Load none of these numbers before that.\n\
             \x20 3. {release}\
             \x20 4. If it is not the platform's, or dealt with otherwise, dismiss it; it waits no more:\n\
             \x20      invoice-trackd quarantine dismiss {id} --reason TEXT\n\
             \nThe mail itself was left as it is. `invoice-trackd quarantine list` shows what else waits.\n"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_commands_that_exist_are_recommended() {
        for code in DefectCode::ALL {
            for language in [Language::ZhTw, Language::En] {
                for Meaning { what, remedy } in [defect(*code, language), of_row(*code, language)] {
                    assert!(
                        !what.ends_with(['。', '.']) && remedy.ends_with(['。', '.']),
                        "{code}"
                    );
                    for command in remedy.split("`invoice-trackd ").skip(1) {
                        let known = [
                            "ingest`",
                            "allocations`",
                            "allocations withdraw`",
                            "quarantine release`",
                        ];
                        assert!(
                            known.iter().any(|k| command.starts_with(k)),
                            "{code}: {command}"
                        );
                    }
                    // An overruling is recommended where it is allowed; `release` may be named besides
                    // where it only judges again.
                    let may = code.is_overrulable() || *code == DefectCode::UnknownCompany;
                    let is_said = remedy.contains("`invoice-trackd quarantine release`");
                    assert!(is_said || !may, "{code} may be overruled: {remedy}");
                }
            }
        }
    }

    #[test]
    fn a_release_is_offered_only_where_it_can_succeed() {
        for language in [Language::ZhTw, Language::En] {
            let steps = |codes: &[&str]| next_steps(7, codes.iter().copied(), language);
            let forged = steps(&["sender_not_allowed", "period_too_far"]);
            assert!(
                forged.contains("quarantine release 7 --reason "),
                "{forged}"
            );
            let nobody_s = steps(&["unknown_company"]);
            assert!(
                nobody_s.contains("quarantine release 7 --ban "),
                "{nobody_s}"
            );
            for codes in [
                &["sender_not_allowed", "range_overlap"][..],
                &["of_a_later_version"],
            ] {
                let broken = steps(codes);
                assert!(!broken.contains("release 7"), "{broken}");
                assert!(broken.contains("quarantine dismiss 7"), "{broken}");
            }
        }
    }
}
