//! The letters about systems that take nothing, and that do again.

use jiff::Timestamp;

use super::super::super::Language;

pub(super) fn failing_subject(target: &str, language: Language) -> String {
    language.pick(
        format!("需要處理：字軌交不到 {target}"),
        format!("Action needed: {target} takes no numbers"),
    )
}

pub(super) fn stopped_subject(target: &str, language: Language) -> String {
    language.pick(
        format!("需要處理：{target} 拒收字軌"),
        format!("Action needed: {target} wants no more numbers"),
    )
}

pub(super) fn back_subject(target: &str, language: Language) -> String {
    language.pick(
        format!("已恢復：{target} 收得到字軌了"),
        format!("Resolved: {target} takes numbers again"),
    )
}

pub(super) fn failing(target: &str, _at: Timestamp, language: Language) -> String {
    failing_subject(target, language)
}

pub(super) fn stopped(target: &str, _at: Timestamp, language: Language) -> String {
    stopped_subject(target, language)
}

pub(super) fn back(target: &str, _at: Timestamp, language: Language) -> String {
    back_subject(target, language)
}
