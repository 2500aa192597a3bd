//! The letter about one mail in quarantine: why, which, and what to do.

use jiff::Timestamp;

use super::{
    super::{super::Language, meaning, table::facts},
    is_only_claimed,
};
use crate::{
    clock::taipei_minute,
    ledger::{FoundIn, Quarantined, Reason},
    stranger::one_line,
};

/// So many defects of one mail are explained; the rest are counted.
const DEFECTS: usize = 12;

pub(super) fn text(mail: &Quarantined, at: Timestamp, language: Language) -> String {
    let Quarantined {
        message_id,
        sha256,
        found_in,
        from,
        subject,
        defects,
        is_row: _,
    } = mail;
    let mut text = opening(is_only_claimed(defects), language).to_owned();
    let told = defects.get(..DEFECTS).unwrap_or(defects);
    for same in told.chunk_by(|a, b| a.code == b.code) {
        // A ledger may hold a code of a later version.
        let code = same.first().and_then(|reason| reason.code.parse().ok());
        let remedy = code.map(|code| meaning::defect(code, language).remedy);
        text.push_str(&reasons(same, remedy, language));
    }
    if let Some(more) = defects.len().checked_sub(DEFECTS).filter(|more| *more > 0) {
        text.push_str(&language.pick(
            format!(
                "  另有 {more} 項，用 `invoice-trackd quarantine show {message_id}` 可全部列出。\n"
            ),
            format!(
                "  and {more} more, which `invoice-trackd quarantine show {message_id}` lists.\n"
            ),
        ));
    }
    text.push_str(language.pick("\n這封信\n", "\nThe mail\n"));
    let digest: String = sha256.chars().take(12).collect();
    text.push_str(&facts(&[
        match found_in {
            FoundIn::Mailbox(name) => (language.pick("信箱", "Mailbox"), one_line(name, 200)),
            FoundIn::File(path) => (language.pick("檔案", "File"), one_line(path, 200)),
        },
        (
            language.pick("寄件人", "From"),
            sender(from.as_deref(), language),
        ),
        (language.pick("主旨", "Subject"), one_line(subject, 120)),
        (
            language.pick("發現時間", "Found (UTC+8)"),
            taipei_minute(at),
        ),
        (
            language.pick("隔離編號", "Quarantine id"),
            message_id.to_string(),
        ),
        ("SHA-256", format!("{digest}…")),
    ]));
    let codes = defects.iter().map(|reason| reason.code.as_str());
    text.push_str(&meaning::next_steps(*message_id, codes, language));
    text
}

/// Up to the reasons. Whoever reads it may have that mail open beside this one, and the platform is
/// imitated by those who want to be clicked at.
fn opening(is_only_claimed: bool, language: Language) -> &'static str {
    if is_only_claimed {
        language.pick(
            "一封自稱配號通知的信被隔離：裡面的號碼一個都沒有記入帳本，這封信等待處理。\n\n\
             這可能是釣魚信：不要點信裡的連結、不要開附件，也不要回信。要查證，請自行開啟平台網站。\n\n\
             原因\n",
            "A mail that claims to be an allocation notice is in quarantine: none of its numbers is\n\
             recorded, and the mail waits for a decision.\n\n\
             It may be phishing: follow no link in it, open no attachment, and do not answer it. To\n\
             make sure, open the platform's site by yourself.\n\n\
             Why\n",
        )
    } else {
        language.pick(
            "一封配號通知沒有匯入：裡面的號碼一個都沒有記入帳本，這封信等待處理。\n\n原因\n",
            "An allocation notice was NOT imported: none of its numbers is recorded, and the mail\n\
             waits for a decision.\n\nWhy\n",
        )
    }
}

/// The defects of one code: the code, what was found, and once for all of them what to do.
pub(super) fn reasons(same: &[Reason], remedy: Option<&'static str>, language: Language) -> String {
    let code = same.first().map_or("", |reason| reason.code.as_str());
    let mut text = format!("  {}\n", one_line(code, 40));
    for Reason {
        detail, detail_zh, ..
    } in same
    {
        text.push_str(&language.pick(
            format!("    發現：{}。\n", one_line(detail_zh, 300)),
            format!("    Found: {}.\n", one_line(detail, 300)),
        ));
    }
    if let Some(remedy) = remedy {
        text.push_str(&language.pick(
            format!("    處理：{remedy}\n"),
            format!("    Do: {remedy}\n"),
        ));
    }
    text
}

fn sender(from: Option<&str>, language: Language) -> String {
    from.map_or_else(
        || language.pick("無法確定", "cannot be told").to_owned(),
        |from| one_line(from, 120),
    )
}
