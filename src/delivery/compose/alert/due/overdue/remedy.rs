//! What to do about numbers that have not come, and when the alarm comes again.

use super::super::{begins, day, day_before, paragraph};
use crate::{
    delivery::Language,
    ledger::{Missing, Overdue},
};

/// In the order of what is likely and soon looked at.
pub(super) fn steps(
    overdue: &Overdue,
    companies: &[&Missing],
    is_deaf: bool,
    language: Language,
) -> Vec<String> {
    let mut steps = Vec::new();
    let mut step = |zh: String, en: String| steps.push(language.pick(zh, en));
    if is_deaf {
        step(
            "沒有回應的信箱：執行 `invoice-trackd check --online`，看卡在哪一步、該怎麼處理。"
                .to_owned(),
            "The mailbox that does not answer: `invoice-trackd check --online` shows which step fails\n     and what to do about it.".to_owned(),
        );
    }
    let theirs = companies.iter().flat_map(|one| &one.quarantined);
    let theirs: Vec<&i64> = theirs.collect();
    match (theirs.as_slice(), overdue.nobodys) {
        ([], 0) => {}
        ([id], 0) => step(
            format!("隔離的信：`invoice-trackd quarantine show {id}` 說明為什麼沒有匯入、該怎麼處理。"),
            format!(
                "The mail in quarantine: `invoice-trackd quarantine show {id}` says why it was not\n     recorded, and what to do."
            ),
        ),
        _ => step(
            "隔離的信：`invoice-trackd quarantine list` 列出編號，\n     `invoice-trackd quarantine show 編號` 說明為什麼沒有匯入、該怎麼處理。".to_owned(),
            "The mails in quarantine: `invoice-trackd quarantine list` lists them, and\n     `invoice-trackd quarantine show ID` says why one was not recorded, and what to do.".to_owned(),
        ),
    }
    if overdue.waiting > 0 {
        step(
            "等 DNS 的信：執行 `invoice-trackd check --online`，看 DNS 卡在哪裡；恢復後會自動判斷。"
                .to_owned(),
            "The mails that wait for DNS: `invoice-trackd check --online` shows what fails. Once DNS\n     answers they are judged by themselves.".to_owned(),
        );
    }
    step(
        "登入財政部電子發票整合服務平台，到「電子發票專用字軌號碼取號」查詢配號了沒有。\n     \
         已經配號：下載字軌檔，先載入開立發票的系統。還沒配號：在同一頁取號。"
            .to_owned(),
        "Log in to the platform (財政部電子發票整合服務平台) and see under 電子發票專用字軌號碼取號\n     \
         whether numbers were allocated. If so, download the file (字軌檔) and load it into your\n     \
         issuing system; if not, apply for them there (取號)."
            .to_owned(),
    );
    let (mark_zh, mark_en) = match companies {
        [one] if one.awaited.len() == 3 => (
            "年配（assignment = \"year\"）",
            "年配 (assignment = \"year\")",
        ),
        [_] => (
            "期配（assignment = \"period\"）",
            "期配 (assignment = \"period\")",
        ),
        _ => (
            "設定的期配或年配（assignment）",
            "期配 or 年配 as configured (assignment)",
        ),
    };
    step(
        format!(
            "在同一頁核對：配號註記是不是{mark_zh}，有沒有勾選「停止使用」。\n     \
             不再配號的公司，把設定改成 assignment = \"none\"，就不再警示。"
        ),
        format!(
            "On the same page, see that 配號註記 is {mark_en},\n     \
             and that 停止使用 is not set. For a company that takes no more numbers, write\n     \
             assignment = \"none\", and nothing is awaited."
        ),
    );
    step(
        "到「取號Email維護」核對登記的地址：通知要寄到上面監看的信箱。".to_owned(),
        "See under 取號Email維護 that the notices go to a mailbox that is watched, see above."
            .to_owned(),
    );
    step(
        "還是查不出原因：打平台客服電話 0800-521-988。".to_owned(),
        "If that explains nothing, call the platform: 0800-521-988.".to_owned(),
    );
    steps
}

/// When the alarm comes again.
pub(super) fn again(companies: &[&Missing], language: Language) -> String {
    let first = companies.first();
    let same = |one: &&Missing| {
        first.is_some_and(|first| {
            (&first.stage, begins(&first.awaited)) == (&one.stage, begins(&one.awaited))
        })
    };
    let stage = first.filter(|_| companies.iter().all(same));
    let begins = stage.and_then(|one| begins(&one.awaited));
    let resolved = language.pick(
        "號碼匯入就停止，並寄信告知。",
        "Once the numbers are recorded it stops, and a mail says so.",
    );
    let text = match (stage.map(|one| one.stage.as_str()), begins) {
        (Some("overdue"), Some(begins)) => {
            let (last, first) = (day(day_before(begins), language), day(begins, language));
            language.pick(
                format!("{last}和 {first}上午 9 點還會各警示一次；{resolved}"),
                format!("The alarm comes again on {last} and on {first} at 09:00, then no more. {resolved}"),
            )
        }
        (Some("last_day"), Some(begins)) => {
            let first = day(begins, language);
            language.pick(
                format!("{first}上午 9 點還會警示最後一次；{resolved}"),
                format!("The alarm comes again on {first} at 09:00, then no more. {resolved}"),
            )
        }
        (Some("first_day"), _) => language
            .pick(
                "這是最後一次警示；號碼匯入後會寄信告知。",
                "This is the last alarm. Once the numbers are recorded, a mail says so.",
            )
            .to_owned(),
        _ => language.pick(
            format!("期別開始的前一天和第一天，上午 9 點會再各警示一次；{resolved}"),
            format!(
                "The alarm comes again on the day before a period begins and on its first day at 09:00, \
                 then no more. {resolved}"
            ),
        ),
    };
    format!("\n{}", paragraph(&text))
}
