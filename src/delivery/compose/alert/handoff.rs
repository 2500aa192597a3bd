//! The letters about systems that numbers are handed to: one takes nothing, one wants nothing any more,
//! and one takes numbers again.

use jiff::Timestamp;

use super::super::{super::Language, table::facts};
use crate::{clock::taipei_minute, stranger::one_line};

pub(super) fn failing_subject(target: &str, language: Language) -> String {
    let target = name(target);
    language.pick(
        format!("需要處理：字軌交不到 {target}"),
        format!("Action needed: {target} takes no numbers"),
    )
}

pub(super) fn stopped_subject(target: &str, language: Language) -> String {
    let target = name(target);
    language.pick(
        format!("需要處理：{target} 拒收字軌"),
        format!("Action needed: {target} wants no more numbers"),
    )
}

pub(super) fn back_subject(target: &str, language: Language) -> String {
    let target = name(target);
    language.pick(
        format!("已恢復：{target} 收得到字軌了"),
        format!("Resolved: {target} takes numbers again"),
    )
}

fn name(target: &str) -> String {
    one_line(target, 60)
}

/// A system that takes nothing.
pub(super) struct Failing<'a> {
    pub(super) target: &'a str,
    pub(super) waiting: u64,
    pub(super) since: Timestamp,
    pub(super) words: &'a str,
}

impl Failing<'_> {
    pub(super) fn text(&self, at: Timestamp, language: Language) -> String {
        let Self {
            target,
            waiting,
            since,
            words,
        } = *self;
        let mut text = language
            .pick(
                "有字軌交不到開立發票的系統，程式會一直重試。\n\n",
                "Numbers do not reach a system that issues invoices. It is tried again and again.\n\n",
            )
            .to_owned();
        text.push_str(&facts(&[
            (language.pick("系統", "System"), name(target)),
            (language.pick("等候交付", "Waiting"), waiting.to_string()),
            (
                language.pick("最早開始", "Since (UTC+8)"),
                taipei_minute(since),
            ),
            (
                language.pick("發現時間", "Noticed (UTC+8)"),
                taipei_minute(at),
            ),
            (language.pick("錯誤訊息", "Error"), one_line(words, 300)),
        ]));
        text.push_str(language.pick(
            "\n影響\n\
             \x20 * 號碼都已經記入帳本，但這個系統還沒有拿到，無法用來開立發票。\n\
             \x20 * 號碼不會遺失：系統恢復後會自動補交，並寄信通知已恢復。\n\
             \x20 * 其他的系統和信不受影響。\n\
             \n接下來\n\
             \x20 1. 看上面的錯誤訊息，或請系統的管理員處理。\n\
             \x20    `invoice-trackd outbox list` 列出等候交付的項目。\n\
             \x20 2. 若是設定檔 [[handoff]] 寫錯：改正後執行 `systemctl reload invoice-trackd`，\n\
             \x20    等候的項目會照新的設定交付。\n\
             \x20 3. 若急著用號碼，可以手動匯入：`invoice-trackd export` 匯出字軌檔。\n\
             \x20    匯入之後，用 `invoice-trackd outbox drop 編號` 取消那一項，\n\
             \x20    以免同一段號碼載入兩次。\n",
            "\nWhat it means\n\
             \x20 * The numbers are recorded, but this system does not have them and cannot issue with them.\n\
             \x20 * Nothing is lost: what waits is handed over once the system takes it, and a mail says that\n\
             \x20   it does.\n\
             \x20 * Other systems and mails do not wait for it.\n\
             \nWhat to do next\n\
             \x20 1. Do what the error says, or show it to whoever runs the system.\n\
             \x20    `invoice-trackd outbox list` shows what waits.\n\
             \x20 2. If its [[handoff]] in the configuration is wrong, correct it and run\n\
             \x20    `systemctl reload invoice-trackd`: what waits follows the new settings.\n\
             \x20 3. If the numbers are needed now, load them by hand: `invoice-trackd export` writes the\n\
             \x20    platform's file. Then put an end to the hand-off with `invoice-trackd outbox drop ID`,\n\
             \x20    or the same range is loaded twice.\n",
        ));
        text
    }
}

pub(super) fn stopped(target: &str, waiting: u64, at: Timestamp, language: Language) -> String {
    let mut text = language
        .pick(
            "一個開立發票的系統說，它不再接收字軌（HTTP 410）。程式已經停止交付。\n\n",
            "A system that issues invoices says that it wants no more numbers (HTTP 410). Nothing is\n\
             handed to it any more.\n\n",
        )
        .to_owned();
    text.push_str(&facts(&[
        (language.pick("系統", "System"), name(target)),
        (language.pick("等候交付", "Waiting"), waiting.to_string()),
        (
            language.pick("停止時間", "Stopped (UTC+8)"),
            taipei_minute(at),
        ),
    ]));
    text.push_str(language.pick(
        "\n影響\n\
         \x20 * 號碼都已經記入帳本，但這個系統沒有拿到；之後的號碼也會留在這裡等。\n\
         \x20 * 其他的系統和信不受影響。\n\
         \n接下來\n\
         \x20 1. 問系統的管理員：接收的網址是不是換了，或已經停用。\n\
         \x20 2. 換了網址：改設定檔 [[handoff]] 的 url，執行 `systemctl reload invoice-trackd`，\n\
         \x20    再用 `invoice-trackd outbox list` 找出等候的任一項，執行\n\
         \x20    `invoice-trackd outbox retry 編號`；等候的項目都會補交。\n\
         \x20 3. 不再使用：刪掉設定檔裡的這個 [[handoff]]，\n\
         \x20    等候的項目用 `invoice-trackd outbox drop 編號` 取消。\n",
        "\nWhat it means\n\
         \x20 * The numbers are recorded, but this system does not have them. Later ones will wait as well.\n\
         \x20 * Other systems and mails do not wait for it.\n\
         \nWhat to do next\n\
         \x20 1. Ask whoever runs the system whether its address has changed, or is out of use.\n\
         \x20 2. If it has changed, write the new one as url of its [[handoff]] and run\n\
         \x20    `systemctl reload invoice-trackd`. Then `invoice-trackd outbox list` shows what waits, and\n\
         \x20    `invoice-trackd outbox retry ID` of any of it hands over all of it.\n\
         \x20 3. If it is out of use, take its [[handoff]] out of the configuration, and put an end to what\n\
         \x20    waits with `invoice-trackd outbox drop ID`.\n",
    ));
    text
}

pub(super) fn back(
    target: &str,
    alarmed_at: Timestamp,
    at: Timestamp,
    language: Language,
) -> String {
    let mut text = language
        .pick(
            "系統收得到字軌了。\n\n",
            "A system that issues invoices takes numbers again.\n\n",
        )
        .to_owned();
    text.push_str(&facts(&[
        (language.pick("系統", "System"), name(target)),
        (
            language.pick("警示時間", "Alert raised (UTC+8)"),
            taipei_minute(alarmed_at),
        ),
        (language.pick("恢復時間", "Back (UTC+8)"), taipei_minute(at)),
    ]));
    text.push_str(language.pick(
        "\n等候的項目都交付了；不需要做任何事。\n",
        "\nNothing waits for it any more. There is nothing to do.\n",
    ));
    text
}
