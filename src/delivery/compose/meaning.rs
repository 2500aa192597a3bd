//! What each code means to the person who reads the mail, and what that person does about it.
//!
//! The finding's own sentence says what was found in this mail; the words here are the same for
//! every mail. Matches are exhaustive, so that a new code cannot go out unexplained.

use super::super::Language;
use crate::notice::{DefectCode, WarningCode};

/// One code in words.
pub(super) struct Meaning {
    /// What is wrong.
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
                "內容像配號通知，但寄件人不在允許名單內。",
                "若是同仁轉寄，請改用「以附件轉寄」。否則可能是冒名信，也可能是平台換了寄件地址：先向平台（0800-521-988）查證，屬實才把地址加進 senders。",
            ),
            (
                "It reads like an allocation notice, but its sender is not on the list.",
                "If a colleague passed it on, have it forwarded as an attachment. Otherwise somebody imitates the platform, or it has a new address: ask the platform (0800-521-988), and add the address to senders only when it is theirs.",
            ),
        ),
        DefectCode::SubjectUnexpected => pick(
            (
                "寄件人和內容像配號通知，主旨卻沒有「配號結果」。",
                "登入平台核對字軌；這一封請先照平台上的字軌處理。",
            ),
            (
                "Sender and text are those of a notice, but the subject does not say 配號結果.",
                "Log in to the platform and take the ranges from there.",
            ),
        ),
        DefectCode::NotAuthenticated => pick(
            (
                "無法證明這封信真的由平台寄出。",
                "不要點信裡的連結。登入平台核對字軌。",
            ),
            (
                "Nothing proves that the platform sent this mail.",
                "Do not follow its links. Compare with what the platform shows after logging in.",
            ),
        ),
        DefectCode::AmbiguousHeader => pick(
            (
                "信件標頭有兩個寄件人或重複的欄位，無法確定是誰寄的。",
                "真的通知不會這樣，請視為可疑信件。",
            ),
            (
                "Its header names two senders or repeats a field, so nobody can say who sent it.",
                "Genuine notices do not look like this: treat it as suspicious.",
            ),
        ),
        DefectCode::UndecodableText => pick(
            (
                "內文無法完整解碼。",
                "登入平台下載字軌檔；請保留原信並回報。",
            ),
            (
                "The encoding of its text cannot be read without losses.",
                "Download the ranges from the platform, keep the mail and report it.",
            ),
        ),
        DefectCode::Oversized => pick(
            (
                "信件太大，沒有下載。",
                "配號通知通常只有幾 KB。請到信箱查看；若確實是平台寄的，再調高 max_message_bytes。",
            ),
            (
                "It is too large and was not downloaded.",
                "Notices are a few kilobytes: look at it in the mailbox. If it is genuine all the same, raise max_message_bytes.",
            ),
        ),
        DefectCode::Unfetchable => pick(
            (
                "郵件伺服器一再無法交出這封信。",
                "請用郵件軟體開啟查看，並洽郵件管理員；每天會自動再試一次。",
            ),
            (
                "The mail server failed to hand it over, again and again.",
                "Open it with a mail program and ask whoever runs the mail server; it is tried again every day.",
            ),
        ),
        DefectCode::FieldMissing => pick(
            (
                "缺少必要的欄位。",
                "對照原信；版面若已變更，請登入平台下載字軌檔並回報。",
            ),
            (
                "A field that every notice has is missing.",
                "Look at the mail; if the layout has changed, take the ranges from the platform and report it.",
            ),
        ),
        DefectCode::FieldMalformed => pick(
            (
                "有欄位的內容無法辨識。",
                "對照原信；版面若已變更，請登入平台下載字軌檔並回報。",
            ),
            (
                "A field cannot be read.",
                "Look at the mail; if the layout has changed, take the ranges from the platform and report it.",
            ),
        ),
        DefectCode::FieldConflict => pick(
            ("同一個欄位出現兩次，內容不同。", "登入平台核對哪一個才對。"),
            (
                "One field stands there twice with different values.",
                "See on the platform which of them is right.",
            ),
        ),
        DefectCode::PeriodNotAPair => pick(
            ("發票期別不是同一年的單月加雙月。", "登入平台核對期別。"),
            (
                "The period is not an odd month and the even month after it.",
                "See on the platform which period it is.",
            ),
        ),
        DefectCode::RangeMisaligned => pick(
            (
                "起號不是 00/50 結尾，或迄號不是 49/99 結尾。",
                "號碼以 50 張為一本，請登入平台核對起迄號。",
            ),
            (
                "The range does not begin with 00/50 or does not end with 49/99.",
                "Numbers come in booklets of 50: see on the platform where the range begins and ends.",
            ),
        ),
        DefectCode::RangeReversed => pick(
            ("迄號比起號小。", "登入平台核對起迄號。"),
            (
                "The range ends before it begins.",
                "See on the platform where the range begins and ends.",
            ),
        ),
        DefectCode::BookletsDisagree => pick(
            ("起迄號的張數和本數不合。", "登入平台核對本數與起迄號。"),
            (
                "The range and the number of booklets do not fit together.",
                "See on the platform how many booklets were allocated.",
            ),
        ),
        DefectCode::BanInvalid => pick(
            (
                "統一編號的檢查碼不正確。",
                "請視為可疑信件，並登入平台核對。",
            ),
            (
                "The company number fails its checksum.",
                "Treat it as suspicious, and compare with the platform.",
            ),
        ),
        DefectCode::UnknownCompany => pick(
            (
                "無法確定這些號碼屬於哪一家公司。",
                "把該公司（統編、名稱、收件地址）加進設定檔的 [[company]]；查明是真的通知後，再把這封信以附件轉寄到監看的信箱，就會重新判斷。",
            ),
            (
                "It cannot be told whose numbers these are.",
                "Add the company (number, name, recipients) to the configuration as [[company]]; then, if the notice is genuine, forward it to the watched mailbox as an attachment to have it judged again.",
            ),
        ),
        DefectCode::RangeOverlap => pick(
            (
                "號碼與另一段號碼重疊。",
                "用 `invoice-trackd allocations` 對照已匯入的號碼，再向平台確認這些號碼是誰的；確認之前不要使用。",
            ),
            (
                "Its numbers overlap another range.",
                "Compare with `invoice-trackd allocations`, then ask the platform whose they are; do not use them before.",
            ),
        ),
        DefectCode::TrackPeriodConflict => pick(
            (
                "同一年裡，這個字軌已經屬於另一期。",
                "用 `invoice-trackd allocations` 對照已匯入的期別，並登入平台核對。",
            ),
            (
                "In the same year, this track already belongs to another period.",
                "Compare with `invoice-trackd allocations` and with the platform.",
            ),
        ),
        DefectCode::PeriodTooFar => pick(
            (
                "期別太遠，這家公司還不會配到這一期。",
                "登入平台核對期別；若改為年配，請調整設定檔的 assignment。",
            ),
            (
                "The period lies further ahead than this company is given numbers for.",
                "See on the platform which period it is; if the company is now 年配, set assignment = \"year\".",
            ),
        ),
        DefectCode::ReaderPanicked => pick(
            (
                "程式讀取這封信時發生錯誤；信已保留，程式繼續運作。",
                "這是程式的錯誤，請回報；同時登入平台核對字軌。",
            ),
            (
                "The program failed on this mail; the mail is kept and the program runs on.",
                "This is a bug: report it, and meanwhile compare with the platform.",
            ),
        ),
    }
}

/// What a person should know about an import.
pub(super) fn warning(code: WarningCode, language: Language) -> &'static str {
    match code {
        WarningCode::PeriodPast => language.pick(
            "期別已經過了：號碼只作紀錄，不能再開立發票。",
            "The period is over: the numbers are recorded, but no invoice may be issued with them.",
        ),
        WarningCode::CompanyAssumed => language.pick(
            "通知沒有寫明公司，依信箱設定認定；請核對。",
            "The notice does not name the company; it was taken from the mailbox's setting. Please check.",
        ),
        WarningCode::SenderDiffers => language.pick(
            "信件的 Sender 欄位與寄件人不同。",
            "The mail's Sender field differs from its From.",
        ),
        WarningCode::CountsDiffer => language.pick(
            "其中有先前匯入過的號碼，但這次寫的本數不同；原紀錄不變。",
            "It repeats a recorded range with other booklet counts; the record stays as it was.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_commands_that_exist_are_recommended() {
        for code in DefectCode::ALL {
            for language in [Language::ZhTw, Language::En] {
                let Meaning { what, remedy } = defect(*code, language);
                assert!(
                    what.ends_with(['。', '.']) && remedy.ends_with(['。', '.']),
                    "{code}"
                );
                for command in remedy.split("`invoice-trackd ").skip(1) {
                    let known = ["status`", "explain", "ingest", "allocations`"];
                    assert!(
                        known.iter().any(|k| command.starts_with(k)),
                        "{code}: {command}"
                    );
                }
            }
        }
    }
}
