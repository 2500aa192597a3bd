//! The letters about what is due: the reminder, the alarm that it has not come, and that it has.

use jiff::Timestamp;

use super::super::super::Language;
use crate::ledger::{Arrived, Overdue, Reminder};

pub(super) fn reminder_subject(reminder: &Reminder, language: Language) -> String {
    let companies = reminder.companies.len();
    language.pick(
        format!("提醒：下期本數（{companies} 家公司）"),
        format!("Reminder: booklets of the next period ({companies})"),
    )
}

pub(super) fn overdue_subject(overdue: &Overdue, language: Language) -> String {
    let companies = overdue.companies.len();
    language.pick(
        format!("需要處理：配號通知逾期未到（{companies} 家公司）"),
        format!("Action needed: allocation notice overdue ({companies})"),
    )
}

pub(super) fn arrived_subject(arrived: &Arrived, language: Language) -> String {
    let companies = arrived.companies.len();
    language.pick(
        format!("已恢復：配號已到（{companies} 家公司）"),
        format!("Resolved: numbers have come ({companies})"),
    )
}

pub(super) fn reminder(reminder: &Reminder, language: Language) -> String {
    reminder_subject(reminder, language)
}

pub(super) fn overdue(overdue: &Overdue, _at: Timestamp, language: Language) -> String {
    overdue_subject(overdue, language)
}

pub(super) fn arrived(arrived: &Arrived, language: Language) -> String {
    arrived_subject(arrived, language)
}
