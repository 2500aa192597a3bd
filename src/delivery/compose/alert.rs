//! The mail that asks a person to act: about one thing in full, or about many in a table.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{
    super::{Language, Style, stranger::one_line},
    letter::Draft,
    meaning,
    table::{columns, facts},
};
use crate::{
    clock::taipei_minute,
    ledger::{Cause, FoundIn, Kind, Letter, Pending, Quarantined, Reason},
    notice::DefectCode,
};

/// So many alerts stand in a digest by themselves; the rest are counted.
const ROWS: usize = 50;

/// So many defects of one mail are explained; the rest are counted.
const DEFECTS: usize = 12;

/// Stands where a quarantined mail has its codes.
const UNDELIVERED: &str = "delivery_failed";

pub(super) fn compose(alerts: &[Pending<Cause>], style: &Style, now: Timestamp) -> Option<Letter> {
    let language = style.language;
    let (subject, text) = match alerts {
        [] => return None,
        [alert] => (subject(&alert.cause, language), single(alert, language)),
        several => (digest_subject(several, language), digest(several, language)),
    };
    let draft = Draft {
        kind: Kind::Alert,
        about: alerts.iter().map(|alert| alert.key.clone()).collect(),
        subject,
        text,
        attachment: None,
    };
    draft.address(&style.from, &style.alert_to, now)
}

fn subject(cause: &Cause, language: Language) -> String {
    match cause {
        Cause::Quarantined(Quarantined {
            found_in, defects, ..
        }) => {
            let what = what(defects, language);
            let place = place(found_in);
            let subject = if is_only_claimed(defects) {
                language.pick(
                    "一封自稱配號通知的信",
                    "a mail that claims to be an allocation notice",
                )
            } else {
                language.pick("配號通知未匯入", "allocation notice not imported")
            };
            language.pick(
                format!("需要處理：{subject}，{what}（{place}）"),
                format!("Action needed: {subject}: {what} ({place})"),
            )
        }
        Cause::DeliveryFailed { subject, .. } => {
            let subject = one_line(subject, 80);
            language.pick(
                format!("需要處理：確認信未送達「{subject}」"),
                format!("Action needed: confirmation not delivered: {subject}"),
            )
        }
        Cause::MailboxUnreachable { mailbox, .. } => {
            let mailbox = one_line(mailbox, 60);
            language.pick(
                format!("需要處理：信箱沒有回應（{mailbox}）"),
                format!("Action needed: mailbox does not answer ({mailbox})"),
            )
        }
        Cause::MailboxBack { mailbox, .. } => {
            let mailbox = one_line(mailbox, 60);
            language.pick(
                format!("已恢復：信箱有回應了（{mailbox}）"),
                format!("Resolved: mailbox answers again ({mailbox})"),
            )
        }
    }
}

fn single(alert: &Pending<Cause>, language: Language) -> String {
    match &alert.cause {
        Cause::Quarantined(Quarantined {
            message_id,
            sha256,
            found_in,
            from,
            subject,
            defects,
        }) => {
            let mut text = if is_only_claimed(defects) {
                language.pick(
                    "一封自稱配號通知的信被隔離：裡面的號碼一個都沒有記入帳本，這封信等待處理。\n\n原因\n",
                    "A mail that claims to be an allocation notice is in quarantine: none of its numbers is\nrecorded, and the mail waits for a decision.\n\nWhy\n",
                )
            } else {
                language.pick(
                    "一封配號通知沒有匯入：裡面的號碼一個都沒有記入帳本，這封信等待處理。\n\n原因\n",
                    "An allocation notice was NOT imported: none of its numbers is recorded, and the mail\nwaits for a decision.\n\nWhy\n",
                )
            }
            .to_owned();
            let told = defects.get(..DEFECTS).unwrap_or(defects);
            for same in told.chunk_by(|a, b| a.code == b.code) {
                text.push_str(&reasons(same, language));
            }
            if let Some(more) = defects.len().checked_sub(DEFECTS).filter(|more| *more > 0) {
                text.push_str(&language.pick(
                    format!("  另有 {more} 項，用 `invoice-trackd quarantine show {message_id}` 可全部列出。\n"),
                    format!("  and {more} more, which `invoice-trackd quarantine show {message_id}` lists.\n"),
                ));
            }
            text.push_str(language.pick("\n這封信\n", "\nThe mail\n"));
            let digest: String = sha256.chars().take(12).collect();
            text.push_str(&facts(&[
                match found_in {
                    FoundIn::Mailbox(name) => {
                        (language.pick("信箱", "Mailbox"), one_line(name, 200))
                    }
                    FoundIn::File(path) => (language.pick("檔案", "File"), one_line(path, 200)),
                },
                (
                    language.pick("寄件人", "From"),
                    sender(from.as_deref(), language),
                ),
                (language.pick("主旨", "Subject"), one_line(subject, 120)),
                (
                    language.pick("發現時間", "Found (UTC+8)"),
                    taipei_minute(alert.raised_at),
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
        Cause::DeliveryFailed {
            outbox_id,
            subject,
            recipients,
            answer,
        } => {
            let mut text = language
                .pick(
                    "一封確認信沒有送達，已不再重試。號碼已經匯入，不受影響。\n\n",
                    "A confirmation was not delivered and is no longer tried. The numbers are recorded all the same.\n\n",
                )
                .to_owned();
            text.push_str(&facts(&[
                (
                    language.pick("未收到", "Not reached"),
                    one_line(&recipients.join(", "), 300),
                ),
                (language.pick("主旨", "Subject"), one_line(subject, 120)),
                (language.pick("伺服器說", "Answer"), one_line(answer, 300)),
                (
                    language.pick("放棄時間", "Given up (UTC+8)"),
                    taipei_minute(alert.raised_at),
                ),
                (
                    language.pick("寄件編號", "Outbox id"),
                    outbox_id.to_string(),
                ),
            ]));
            text.push_str(language.pick(
                "\n接下來\n\
                 \x20 1. 用其他方式告知收件人；號碼可用 `invoice-trackd allocations` 查看。\n\
                 \x20 2. 核對設定檔 [mail] 的收件地址，或把伺服器的回答轉給郵件管理員。\n",
                "\nWhat to do next\n\
                 \x20 1. Tell them in another way; `invoice-trackd allocations` lists the numbers.\n\
                 \x20 2. Check the addresses under [mail] in the configuration, or show the server's answer\n\
                 \x20    to whoever runs the mail server.\n",
            ));
            text
        }
        Cause::MailboxUnreachable { mailbox, .. } | Cause::MailboxBack { mailbox, .. } => {
            one_line(mailbox, 60)
        }
    }
}

/// The defects of one code: the code, what was found, and once for all of them what to do.
fn reasons(same: &[Reason], language: Language) -> String {
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
    // A ledger may hold a code of a later version.
    if let Ok(code) = code.parse() {
        let remedy = meaning::defect(code, language).remedy;
        text.push_str(&language.pick(
            format!("    處理：{remedy}\n"),
            format!("    Do: {remedy}\n"),
        ));
    }
    text
}

fn digest_subject(alerts: &[Pending<Cause>], language: Language) -> String {
    let (mut claimed, mut quarantined, mut undelivered) = (0, 0, 0);
    for alert in alerts {
        match &alert.cause {
            Cause::Quarantined(Quarantined { defects, .. }) if is_only_claimed(defects) => {
                claimed += 1
            }
            Cause::Quarantined(Quarantined { .. }) => quarantined += 1,
            Cause::DeliveryFailed { .. } => undelivered += 1,
            Cause::MailboxUnreachable { .. } | Cause::MailboxBack { .. } => {}
        }
    }
    let parts: Vec<String> = [
        (
            claimed,
            language.pick(
                "自稱配號通知的信",
                "mails that claim to be allocation notices",
            ),
        ),
        (
            quarantined,
            language.pick("配號通知未匯入", "allocation notices not imported"),
        ),
        (
            undelivered,
            language.pick("確認信未送達", "confirmations not delivered"),
        ),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| language.pick(format!("{what} {count} 封"), format!("{what}: {count}")))
    .collect();
    language.pick(
        format!("需要處理：{}", parts.join("，")),
        format!("Action needed: {}", parts.join(", ")),
    )
}

fn digest(alerts: &[Pending<Cause>], language: Language) -> String {
    let mut text = language.pick(
        format!(
            "{} 件事需要處理。被隔離的信，裡面的號碼一個都沒有記入帳本。\n\n",
            alerts.len()
        ),
        format!(
            "{} things need a person. Of a mail in quarantine, no number is recorded.\n\n",
            alerts.len()
        ),
    );
    let head = language.pick(
        ["編號", "時間", "來源", "原因", "主旨"],
        ["Id", "Time (UTC+8)", "Where", "Why", "Subject"],
    );
    let rows = alerts.iter().take(ROWS).map(|alert| row(alert, language));
    let head = head.map(str::to_owned).to_vec();
    text.push_str(&columns(
        &Vec::from_iter(std::iter::once(head).chain(rows)),
        &[0],
    ));
    if let Some(more) = alerts.len().checked_sub(ROWS).filter(|more| *more > 0) {
        text.push_str(&language.pick(
            format!("\n  另有 {more} 件沒有列出，已計入下面的統計。\n"),
            format!("\n  and {more} more, which are counted below.\n"),
        ));
    }
    text.push_str(language.pick("\n統計\n", "\nIn all\n"));
    let tally = tally(alerts);
    let rows: Vec<Vec<String>> = tally
        .into_iter()
        .map(|(why, count)| {
            let what = in_words(&why, language).to_owned();
            vec![count.to_string(), why, what]
        })
        .collect();
    text.push_str(&columns(&rows, &[0]));
    text.push_str(language.pick(
        "\n接下來\n\
         \x20 1. `invoice-trackd quarantine list` 列出等待處理的信；`invoice-trackd quarantine show 編號`\n\
         \x20    看其中一封判斷的理由和處理方式。\n\
         \x20 2. 登入平台核對字軌；查明之前不要載入這些號碼，也不要點信裡的連結。\n\
         \x20 3. 逐封放行或捨棄：`invoice-trackd quarantine release 編號 --reason 原因`、\n\
         \x20    `invoice-trackd quarantine dismiss 編號 --reason 原因`；\n\
         \x20    同一種原因可用 `--all --code 代碼` 一次處理，先加 `--dry-run` 試跑。\n",
        "\nWhat to do next\n\
         \x20 1. `invoice-trackd quarantine list` shows what waits; `invoice-trackd quarantine show ID`\n\
         \x20    shows why one of them does, and what to do.\n\
         \x20 2. Log in to the platform and compare. Until then load none of these numbers, and do\n\
         \x20    not follow links in those mails.\n\
         \x20 3. Decide about each: `invoice-trackd quarantine release ID --reason TEXT` or\n\
         \x20    `invoice-trackd quarantine dismiss ID --reason TEXT`; `--all --code CODE` is for all with\n\
         \x20    one cause, and `--dry-run` tries it out.\n",
    ));
    text
}

fn row(alert: &Pending<Cause>, language: Language) -> Vec<String> {
    let time = taipei_minute(alert.raised_at);
    match &alert.cause {
        Cause::Quarantined(Quarantined {
            message_id,
            found_in,
            subject,
            defects,
            ..
        }) => vec![
            message_id.to_string(),
            time,
            place(found_in),
            codes(defects, language),
            one_line(subject, 24),
        ],
        Cause::DeliveryFailed {
            outbox_id, subject, ..
        } => vec![
            outbox_id.to_string(),
            time,
            language.pick("寄件", "outbox").to_owned(),
            UNDELIVERED.to_owned(),
            one_line(subject, 24),
        ],
        Cause::MailboxUnreachable { mailbox, .. } | Cause::MailboxBack { mailbox, .. } => vec![
            String::new(),
            time,
            one_line(mailbox, 40),
            alert.cause.theme().to_owned(),
            String::new(),
        ],
    }
}

/// How often each code stands in these alerts.
fn tally(alerts: &[Pending<Cause>]) -> BTreeMap<String, usize> {
    let mut tally = BTreeMap::new();
    for alert in alerts {
        let codes = match &alert.cause {
            Cause::Quarantined(Quarantined { defects, .. }) => {
                defects.iter().map(|reason| reason.code.as_str()).collect()
            }
            Cause::DeliveryFailed { .. } => vec![UNDELIVERED],
            Cause::MailboxUnreachable { .. } | Cause::MailboxBack { .. } => {
                vec![alert.cause.theme()]
            }
        };
        for code in BTreeSet::from_iter(codes) {
            *tally.entry(one_line(code, 40)).or_default() += 1;
        }
    }
    tally
}

/// What a line of the tally is about.
fn in_words(why: &str, language: Language) -> &'static str {
    if why == UNDELIVERED {
        return language.pick("確認信沒有送達", "a confirmation was not delivered");
    }
    let code = why.parse::<DefectCode>();
    code.map_or("", |code| meaning::defect(code, language).what)
}

/// Whether a mail is a notice by its own word alone: what is wrong with it is what forgeries have.
fn is_only_claimed(defects: &[Reason]) -> bool {
    defects.iter().any(|reason| {
        matches!(
            reason.code.parse(),
            Ok(DefectCode::SenderNotAllowed
                | DefectCode::NotAuthenticated
                | DefectCode::AmbiguousHeader)
        )
    })
}

/// The first defect in words, and how many there are.
fn what(defects: &[Reason], language: Language) -> String {
    let Some(Reason { code, .. }) = defects.first() else {
        return language.pick("原因不明", "no reason given").to_owned();
    };
    let first = code.parse().map_or_else(
        |_| one_line(code, 40),
        |code| meaning::defect(code, language).what.to_owned(),
    );
    match defects.len() {
        1 => first,
        count => language.pick(
            format!("{first}等 {count} 項"),
            format!("{first}, and {} more", count - 1),
        ),
    }
}

/// The first code, and how many there are.
fn codes(defects: &[Reason], language: Language) -> String {
    let first = defects.first().map(|reason| one_line(&reason.code, 40));
    match (first, defects.len()) {
        (None, _) => language.pick("原因不明", "no reason given").to_owned(),
        (Some(code), 1) => code,
        (Some(code), count) => language.pick(
            format!("{code} 等 {count} 項"),
            format!("{code} and {} more", count - 1),
        ),
    }
}

/// Where there is little room: the mailbox, or the file without its directories.
fn place(found_in: &FoundIn) -> String {
    let name = match found_in {
        FoundIn::Mailbox(name) => name,
        FoundIn::File(path) => path.rsplit('/').next().unwrap_or(path),
    };
    one_line(name, 60)
}

fn sender(from: Option<&str>, language: Language) -> String {
    from.map_or_else(
        || language.pick("無法確定", "cannot be told").to_owned(),
        |from| one_line(from, 120),
    )
}
