//! The letters about systems that take nothing, and that do again; and about one hand-off that was given
//! up.

use jiff::Timestamp;

use super::super::{super::Language, Event, table::facts};
use crate::{clock::taipei_minute, stranger::one_line};

/// A system that has not taken anything for too long.
pub(super) struct Failing<'a> {
    pub(super) target: &'a str,
    pub(super) waiting: u64,
    pub(super) since: Timestamp,
    pub(super) words: &'a str,
}

impl Failing<'_> {
    pub(super) fn subject(&self, language: Language) -> String {
        let (target, waiting) = (name(self.target), self.waiting);
        language.pick(
            format!("需要處理：字軌交付不到 {target}，{waiting} 批等候中"),
            format!("Action needed: {target} takes no numbers, hand-offs waiting: {waiting}"),
        )
    }

    pub(super) fn text(&self, at: Timestamp, language: Language) -> String {
        let target = name(self.target);
        let mut text = language.pick(
            format!("{target} 收不到字軌，程式會一直重試。\n\n"),
            format!(
                "{target} does not take the numbers. They are handed to it again and again.\n\n"
            ),
        );
        text.push_str(&facts(&[
            (language.pick("系統", "System"), target.clone()),
            (
                language.pick("等候", "Waiting"),
                language.pick(format!("{} 批", self.waiting), self.waiting.to_string()),
            ),
            (
                language.pick("最早開始", "Since (UTC+8)"),
                taipei_minute(self.since),
            ),
            (
                language.pick("發現時間", "Noticed (UTC+8)"),
                taipei_minute(at),
            ),
            (
                language.pick("錯誤訊息", "Error"),
                one_line(self.words, 300),
            ),
        ]));
        text.push_str(&language.pick(
            format!(
                "\n影響\n\
                 \x20 * 號碼已經記錄，但 {target} 還沒有；撤回的號碼，它可能還在用。\n\
                 \x20 * 恢復後會自動補上，並寄信通知已恢復；超過 give_up_after 還交付不到的，會另外寄信。\n\
                 \x20 * 其他系統和信件不受影響。\n\
                 \n接下來\n\
                 \x20 1. 執行 `invoice-trackd check --online`，看卡在哪一步、該怎麼處理。\n\
                 \x20 2. 把上面的錯誤訊息交給負責 {target} 的人。\n\
                 \x20 3. 若急著用號碼：先用 `invoice-trackd outbox list` 找出編號，用\n\
                 \x20    `invoice-trackd outbox drop 編號` 取消那一批，再自己載入，以免載入兩次。\n"
            ),
            format!(
                "\nWhat it means\n\
                 \x20 * The numbers are recorded, but {target} does not have them; of what was withdrawn it may\n\
                 \x20   still issue.\n\
                 \x20 * Once it is back it gets everything by itself, and a mail says so. What is not taken within\n\
                 \x20   give_up_after is told of in a mail of its own.\n\
                 \x20 * No other system and no mail waits for it.\n\
                 \nWhat to do next\n\
                 \x20 1. `invoice-trackd check --online` shows which step fails and what to do about it.\n\
                 \x20 2. Show the error above to whoever runs {target}.\n\
                 \x20 3. If the numbers are needed now: find the id with `invoice-trackd outbox list`, call that\n\
                 \x20    hand-off off with `invoice-trackd outbox drop ID`, then load them yourself, so that they\n\
                 \x20    are not loaded twice.\n"
            ),
        ));
        text
    }
}

pub(super) fn stopped_subject(target: &str, language: Language) -> String {
    let target = name(target);
    language.pick(
        format!("需要處理：{target} 不再收字軌，交付已停止"),
        format!("Action needed: {target} wants no more numbers"),
    )
}

pub(super) fn stopped(target: &str, waiting: u64, at: Timestamp, language: Language) -> String {
    let target = name(target);
    let mut text = language.pick(
        format!("{target} 回覆不再接收（HTTP 410），所以停止交付字軌給它。\n\n"),
        format!("{target} has answered that it wants nothing any more (HTTP 410). It is handed no numbers.\n\n"),
    );
    text.push_str(&facts(&[
        (language.pick("系統", "System"), target.clone()),
        (
            language.pick("等候", "Waiting"),
            language.pick(format!("{waiting} 批"), waiting.to_string()),
        ),
        (
            language.pick("回覆時間", "Said so (UTC+8)"),
            taipei_minute(at),
        ),
    ]));
    text.push_str(&language.pick(
        format!(
            "\n影響\n\
             \x20 * 等候的和之後匯入的號碼都會留著，但不會交付給 {target}，直到有人恢復。\n\
             \x20 * 其他系統和信件不受影響。\n\
             \n接下來\n\
             \x20 1. 問負責 {target} 的人：是換了網址，還是不再用這種方式收字軌。\n\
             \x20 2. 換了網址：改設定檔裡它的 url，執行 `systemctl reload invoice-trackd`，再用\n\
             \x20    `invoice-trackd outbox list` 找出它的任一批，用 `invoice-trackd outbox retry 編號` 恢復，\n\
             \x20    其餘會跟著交付。\n\
             \x20 3. 不再用：從設定檔拿掉這個 [[handoff]] 再 reload；等候的用\n\
             \x20    `invoice-trackd outbox drop 編號` 取消。\n"
        ),
        format!(
            "\nWhat it means\n\
             \x20 * What waits and what is imported from now on is kept, and not handed to {target} until\n\
             \x20   somebody says so.\n\
             \x20 * No other system and no mail waits for it.\n\
             \nWhat to do next\n\
             \x20 1. Ask whoever runs {target} whether the address has changed, or whether it is not used any\n\
             \x20    more.\n\
             \x20 2. If it has changed: correct its url in the configuration, run\n\
             \x20    `systemctl reload invoice-trackd`, find any of its hand-offs with\n\
             \x20    `invoice-trackd outbox list`, and go on with `invoice-trackd outbox retry ID`. The others\n\
             \x20    follow.\n\
             \x20 3. If it is not used any more: take this [[handoff]] out of the configuration and reload;\n\
             \x20    call off what waits with `invoice-trackd outbox drop ID`.\n"
        ),
    ));
    text
}

pub(super) fn back_subject(target: &str, language: Language) -> String {
    let target = name(target);
    language.pick(
        format!("已恢復：{target} 收得到字軌了"),
        format!("Resolved: {target} takes numbers again"),
    )
}

pub(super) fn back(
    target: &str,
    alarmed_at: Timestamp,
    at: Timestamp,
    language: Language,
) -> String {
    let target = name(target);
    let mut text = language.pick(
        format!("{target} 又收得到字軌了。\n\n"),
        format!("{target} takes the numbers again.\n\n"),
    );
    text.push_str(&facts(&[
        (language.pick("系統", "System"), target),
        (
            language.pick("警示時間", "Alert raised (UTC+8)"),
            taipei_minute(alarmed_at),
        ),
        (language.pick("恢復時間", "Back (UTC+8)"), taipei_minute(at)),
    ]));
    text.push_str(language.pick(
        "\n等候的會自動交付；不需要做任何事。\n",
        "\nWhat waited for it is handed over by itself. There is nothing to do.\n",
    ));
    text
}

/// A hand-off that was given up.
pub(super) struct Undelivered<'a> {
    pub(super) outbox_id: i64,
    pub(super) target: &'a str,
    /// What it says in short, which begins with the event.
    pub(super) subject: &'a str,
    pub(super) answer: &'a str,
}

impl Undelivered<'_> {
    fn is_withdrawal(&self) -> bool {
        self.subject.starts_with(Event::Withdrawn.as_str())
    }

    /// What it says, without the event's word.
    fn numbers(&self) -> String {
        let numbers = self
            .subject
            .split_once(' ')
            .map_or("", |(_, numbers)| numbers);
        one_line(numbers, 80)
    }

    pub(super) fn subject(&self, language: Language) -> String {
        let (target, numbers) = (name(self.target), self.numbers());
        match self.is_withdrawal() {
            true => language.pick(
                format!("需要處理：{target} 不知道號碼已撤回（{numbers}）"),
                format!("Action needed: {target} does not know of a withdrawal ({numbers})"),
            ),
            false => language.pick(
                format!("需要處理：字軌沒有交付給 {target}（{numbers}）"),
                format!("Action needed: numbers not handed to {target} ({numbers})"),
            ),
        }
    }

    pub(super) fn text(&self, at: Timestamp, language: Language) -> String {
        let (target, id) = (name(self.target), self.outbox_id);
        let mut text = match self.is_withdrawal() {
            true => language.pick(
                format!("一段號碼已經撤回，但通知不到 {target}，已不再重試：它可能還在用這段號碼開發票。\n\n"),
                format!("A range was withdrawn, and {target} could not be told. It is no longer tried: {target} may\nstill issue with it.\n\n"),
            ),
            false => language.pick(
                format!("一批字軌沒有交付給 {target}，已不再重試。號碼已經記錄，但 {target} 沒有。\n\n"),
                format!("Numbers were not handed to {target}, and it is no longer tried. They are recorded, but\n{target} does not have them.\n\n"),
            ),
        };
        text.push_str(&facts(&[
            (language.pick("系統", "System"), target.clone()),
            (language.pick("字軌號碼", "Numbers"), self.numbers()),
            (
                language.pick("錯誤訊息", "Error"),
                one_line(self.answer, 300),
            ),
            (
                language.pick("放棄時間", "Given up (UTC+8)"),
                taipei_minute(at),
            ),
            (language.pick("寄件編號", "Outbox id"), id.to_string()),
        ]));
        text.push_str(language.pick("\n接下來\n", "\nWhat to do next\n"));
        text.push_str(&match self.is_withdrawal() {
            true => language.pick(
                format!("\x20 1. 立刻請負責 {target} 的人停用這段號碼。\n"),
                format!("\x20 1. Have whoever runs {target} take the range out of use, now.\n"),
            ),
            false => language.pick(
                "\x20 1. 執行 `invoice-trackd check --online`，看卡在哪一步、該怎麼處理。\n".to_owned(),
                "\x20 1. `invoice-trackd check --online` shows which step fails and what to do about it.\n"
                    .to_owned(),
            ),
        });
        text.push_str(&language.pick(
            format!(
                "\x20 2. {target} 收得到之後，用 `invoice-trackd outbox retry {id}` 再交付一次。\n\
                 \x20 3. 若已自己處理：用 `invoice-trackd outbox drop {id}` 取消，以免再交付一次。\n"
            ),
            format!(
                "\x20 2. Once {target} can be reached, `invoice-trackd outbox retry {id}` hands it over again.\n\
                 \x20 3. If you have seen to it yourself, `invoice-trackd outbox drop {id}` puts an end to it, so that\n\
                 \x20    it is not handed over as well.\n"
            ),
        ));
        text
    }
}

fn name(target: &str) -> String {
    one_line(target, 60)
}
