//! Numbers that were overdue have come.

use jiff::Timestamp;

use super::{awaited, company, in_companies, paragraph, several, table, who};
use crate::{
    clock::taipei_minute,
    delivery::{
        Language,
        compose::{
            extent::booklets,
            table::{facts, grouped},
        },
    },
    ledger::Come,
};

pub(super) fn subject(arrived: &[(Come, Timestamp)], language: Language) -> String {
    let companies = arrived.iter().map(|(one, _)| (&*one.ban, &*one.name));
    let who = who(companies, language);
    let what = several(arrived.iter().map(|(one, _)| &*one.awaited), language);
    let booklets = booklets(sum(arrived), language);
    language.pick(
        format!("已恢復：逾期的配號到了，{what}，{booklets}（{who}）"),
        format!("Resolved: overdue numbers have come, {what}, {booklets} ({who})"),
    )
}

pub(super) fn text(arrived: &[(Come, Timestamp)], language: Language) -> String {
    let mut text = match arrived {
        [(one, at)] => single(one, *at, language),
        many => listed(many, language),
    };
    text.push_str(language.pick(
        "\n接下來\n\
         \x20 照確認信把號碼載入開立發票的系統就好，字軌檔附在確認信裡；其他不需要做任何事。\n\
         \x20 已經自行從平台下載並載入的，不要再載入一次。\n",
        "\nWhat to do next\n\
         \x20 Nothing but load them as the confirmation says, which has the file. What you have\n\
         \x20 downloaded from the platform and loaded meanwhile must not be loaded again.\n",
    ));
    text
}

fn single(one: &Come, at: Timestamp, language: Language) -> String {
    let what = awaited(&one.awaited, language);
    let booklets = booklets(one.booklets, language);
    let mut text = paragraph(&language.pick(
        format!("逾期的配號到了：{what}，{booklets}，已經記入帳本。"),
        format!("The overdue numbers have come and are recorded: {what}, {booklets}."),
    ));
    text.push('\n');
    text.push_str(&facts(&[
        (
            language.pick("營業人", "Company"),
            company(&one.ban, &one.name, language),
        ),
        (language.pick("期別", "Period"), what),
        (language.pick("本數", "Booklets"), grouped(one.booklets)),
        (
            language.pick("警示時間", "Alert raised (UTC+8)"),
            taipei_minute(one.told_at),
        ),
        (language.pick("確認到達", "Seen (UTC+8)"), taipei_minute(at)),
        (
            language.pick("代碼", "Code"),
            super::super::ARRIVED.to_owned(),
        ),
    ]));
    text
}

fn listed(many: &[(Come, Timestamp)], language: Language) -> String {
    let count = super::distinct(many.iter().map(|(one, _)| &*one.ban));
    let (companies, booklets) = (in_companies(count, language), booklets(sum(many), language));
    let mut text = language.pick(
        format!("{companies}逾期的配號到了，共 {booklets}，都已經記入帳本（notice_arrived）。\n\n"),
        format!(
            "Overdue numbers of {companies} have come and are recorded: {booklets} (notice_arrived).\n\n"
        ),
    );
    let head = language.pick(
        ["統編", "公司", "期別", "本數", "警示時間"],
        [
            "BAN",
            "Company",
            "Period",
            "Booklets",
            "Alert raised (UTC+8)",
        ],
    );
    let rows = many.iter().map(|(one, _)| {
        vec![
            one.ban.clone(),
            one.name.clone(),
            awaited(&one.awaited, language),
            grouped(one.booklets),
            taipei_minute(one.told_at),
        ]
    });
    text.push_str(&table(&head, rows, &[3], language));
    text
}

fn sum(arrived: &[(Come, Timestamp)]) -> u64 {
    arrived.iter().map(|(one, _)| one.booklets).sum()
}
