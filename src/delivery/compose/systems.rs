//! Where numbers went, in words: the systems that they are handed to.

use super::super::{Language, Style};
use crate::{columns::grouped, ledger::HandedOver, stranger::one_line};

/// The systems that everything is handed to.
pub(super) fn named(style: &Style) -> Vec<&str> {
    style
        .handoffs
        .iter()
        .map(|handoff| handoff.name.as_str())
        .collect()
}

/// Their names within a sentence.
pub(super) fn list(systems: &[&str], language: Language) -> String {
    one_line(&systems.join(language.pick("、", ", ")), 120)
}

/// How much one of them has taken: `erp：已送達 3 批，等候 1 批`.
pub(super) fn standing(handed: &HandedOver, language: Language) -> String {
    let HandedOver {
        target,
        sent,
        waiting,
        failed,
        dropped,
        stopped,
    } = handed;
    let waits = match stopped {
        true => language.pick("不再收，等候", "waiting, for it wants no more"),
        false => language.pick("等候交付", "waiting"),
    };
    let parts: Vec<String> = [
        (sent, language.pick("已送達", "delivered")),
        (waiting, waits),
        (failed, language.pick("沒有送達", "not delivered")),
        (dropped, language.pick("已取消", "called off")),
    ]
    .into_iter()
    .filter(|(count, _)| **count > 0)
    .map(|(count, what)| {
        let count = grouped(*count);
        language.pick(format!("{what} {count} 批"), format!("{count} {what}"))
    })
    .collect();
    let (name, parts) = (one_line(target, 60), parts.join(language.pick("，", ", ")));
    language.pick(format!("{name}：{parts}"), format!("{name}: {parts}"))
}

/// The standing warning, which weighs more where several systems are handed the same numbers.
pub(super) fn only_one(systems: &[&str], language: Language) -> String {
    let mut text = language
        .pick(
            "\n同一段號碼只能載入一套系統。載入兩套，兩邊會開出號碼相同的發票。\n",
            "\nLoad a range into one system only. Loaded into two, both issue invoices with the same numbers.\n",
        )
        .to_owned();
    if systems.len() > 1 {
        let count = systems.len();
        text.push_str(&language.pick(
            format!("這些號碼交付給 {count} 套系統：請確認只有其中一套用它們開立發票。\n"),
            format!("These are handed to {count} systems: see to it that only one of them issues invoices.\n"),
        ));
    }
    text
}
