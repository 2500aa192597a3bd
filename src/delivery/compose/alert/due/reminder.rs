//! For a few more days the number of booklets for the next period can be changed.

use jiff::ToSpan as _;

use super::{company, day, in_companies, numbered, table, who};
use crate::{
    delivery::{
        Language,
        compose::{
            extent::booklets,
            table::{facts, grouped},
        },
    },
    ledger::{Reminded, Reminder},
    notice::Period,
    stranger::one_line,
};

pub(super) fn subject(reminder: &Reminder, language: Language) -> String {
    let companies = reminder.companies.iter();
    let who = who(companies.map(|one| (&*one.ban, &*one.name)), language);
    let (next, until) = (next(reminder), day(reminder.until, language));
    language.pick(
        format!("提醒：{until}為止可以改 {next} 的本數（{who}）"),
        format!("Reminder: booklets for {next} can be changed until {until} ({who})"),
    )
}

pub(super) fn text(reminder: &Reminder, language: Language) -> String {
    let (next, until) = (next(reminder), day(reminder.until, language));
    let allotted = day(reminder.until.saturating_add(1.day()), language);
    let mut text = language.pick(
        format!(
            "{next} 的號碼 {allotted}開始配發。\n\
             本數要改的話，最晚 {until}在平台送出；不改就不用做任何事。\n"
        ),
        format!(
            "The numbers for {next} are allocated from {allotted} on.\n\
             To change the number of booklets, say so on the platform by {until}; if it is right,\n\
             there is nothing to do.\n"
        ),
    );
    text.push('\n');
    text.push_str(&match reminder.companies.as_slice() {
        [one] => single(one, reminder, language),
        many => listed(many, reminder, language),
    });
    text.push_str(&steps(reminder, language));
    text
}

fn single(one: &Reminded, reminder: &Reminder, language: Language) -> String {
    let (running, before) = periods(reminder);
    let count = |count| match count {
        0 => language.pick("沒有紀錄", "none recorded").to_owned(),
        count => booklets(count, language),
    };
    let rows = [
        (
            language.pick("營業人", "Company").to_owned(),
            company(&one.ban, &one.name, language),
        ),
        (
            language.pick(format!("本期 {running}"), format!("Now {running}")),
            count(one.booklets),
        ),
        (
            language.pick(format!("上期 {before}"), format!("Last {before}")),
            count(one.booklets_before),
        ),
        (
            language.pick("最後一天", "Last day").to_owned(),
            reminder.until.to_string(),
        ),
        (
            language.pick("代碼", "Code").to_owned(),
            super::super::REMINDER.to_owned(),
        ),
    ];
    let rows: Vec<(&str, String)> = rows
        .iter()
        .map(|(label, value)| (label.as_str(), value.clone()))
        .collect();
    let mut text = facts(&rows);
    if is_unknown(one) {
        text.push_str(language.pick(
            "\n帳本裡，這兩期都沒有這家公司的配號，無從比較：請到平台看目前的本數。\n",
            "\nNothing is recorded of either period, so there is nothing to compare with: see on the\n\
             platform what the number is now.\n",
        ));
    }
    text
}

fn listed(many: &[Reminded], reminder: &Reminder, language: Language) -> String {
    let (running, before) = periods(reminder);
    let companies = in_companies(many.len(), language);
    let mut text = facts(&[
        (language.pick("對象", "Whose"), companies),
        (language.pick("本期", "Now"), running),
        (language.pick("上期", "Last"), before),
        (
            language.pick("最後一天", "Last day"),
            reminder.until.to_string(),
        ),
        (
            language.pick("代碼", "Code"),
            super::super::REMINDER.to_owned(),
        ),
    ]);
    text.push('\n');
    let head = language.pick(
        ["統編", "公司", "本期本數", "上期本數"],
        ["BAN", "Company", "Booklets now", "Last"],
    );
    let count = |count| match count {
        0 => "-".to_owned(),
        count => grouped(count),
    };
    let rows = many.iter().map(|one| {
        vec![
            one.ban.clone(),
            one.name.clone(),
            count(one.booklets),
            count(one.booklets_before),
        ]
    });
    text.push_str(&table(&head, rows, &[2, 3], language));
    let unknown = many.iter().filter(|one| is_unknown(one)).count();
    if unknown > 0 {
        text.push_str(&language.pick(
            format!("\n「-」是帳本裡沒有配號；其中 {unknown} 家兩期都沒有，請到平台看目前的本數。\n"),
            format!(
                "\nA \"-\" means that nothing is recorded. Of {} that is so in both periods: see on the\n\
                 platform what the number is now.\n",
                in_companies(unknown, language)
            ),
        ));
    }
    text
}

fn steps(reminder: &Reminder, language: Language) -> String {
    let until = day(reminder.until, language);
    let mut text = numbered(
        language.pick("要改本數的話", "To change the number"),
        &[
            language
                .pick(
                    "登入財政部電子發票整合服務平台，到「電子發票專用字軌號碼取號」。",
                    "Log in to the platform (財政部電子發票整合服務平台) and open\n     電子發票專用字軌號碼取號.",
                )
                .to_owned(),
            language.pick(
                format!("修改取用本數或增加本數，最晚 {until}送出；之後平台就照原來的本數配號。"),
                format!(
                    "Change 取用本數 or 增加本數 by {until}. After that the platform allocates as many\n     as before."
                ),
            ),
            language
                .pick(
                    "可取用本數不夠的話，要先向國稅局申請字軌增減，最多要 5 個工作天，請儘早申請。",
                    "Where 可取用本數 is too low, the tax office must approve of more first (字軌增減), which\n     takes up to 5 working days.",
                )
                .to_owned(),
        ],
    );
    text.push_str(language.pick(
        "\n號碼配好後，通知一到就自動匯入，並寄確認信。\n",
        "\nThe numbers come by themselves. Once the notice is here they are recorded and confirmed.\n",
    ));
    text
}

fn is_unknown(one: &Reminded) -> bool {
    one.booklets == 0 && one.booklets_before == 0
}

fn next(reminder: &Reminder) -> String {
    shown(reminder, |next| next)
}

/// The running period, and the one before.
fn periods(reminder: &Reminder) -> (String, String) {
    (
        shown(reminder, Period::previous),
        shown(reminder, |next| next.previous().previous()),
    )
}

fn shown(reminder: &Reminder, which: impl Fn(Period) -> Period) -> String {
    match reminder.year_month.parse::<Period>() {
        Ok(next) => which(next).to_string(),
        Err(_) => one_line(&reminder.year_month, 20),
    }
}
