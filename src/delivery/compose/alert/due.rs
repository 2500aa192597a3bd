//! The letters about what is due: the reminder, the alarm that it has not come, and that it has.
//!
//! Guarantee: of several pieces of news about one company's numbers the last is what a letter says.
//! Left out on purpose: how each of the three reads, which is said in a file of its own.

use std::collections::BTreeSet;

use jiff::{Timestamp, ToSpan as _, civil::Date};

use crate::{
    columns::{cut, width, wrap},
    delivery::{Language, compose::table::columns},
    ledger::{Arrived, Cause, Come, Overdue, Pending, Reminder},
    notice::Period,
    stranger::one_line,
};

mod arrived;
mod overdue;
mod reminder;

/// So many companies stand in a letter by themselves; the rest are counted.
const ROWS: usize = 50;

/// Mail readers and terminals show lines of this width whole.
const WIDE: usize = 98;

/// Stands between letters that go as one.
const DIVIDER: &str = "\n----------------------------------------\n\n";

/// What a letter's news of what is due comes to.
#[derive(Debug, Default)]
pub(super) struct Dues {
    /// One for each period.
    reminders: Vec<Reminder>,
    /// Without companies where nothing is overdue.
    overdue: Option<(Overdue, Timestamp)>,
    /// What has come, and when that was seen.
    arrived: Vec<(Come, Timestamp)>,
}

impl Dues {
    pub(super) fn of(alerts: &[Pending<Cause>]) -> Self {
        let mut dues = Self::default();
        for alert in alerts {
            match &alert.cause {
                Cause::NoticeReminder(reminder) => dues.remind(reminder),
                Cause::NoticeOverdue(overdue) => dues.miss(overdue, alert.raised_at),
                Cause::NoticeArrived(arrived) => dues.welcome(arrived, alert.raised_at),
                Cause::Quarantined(_)
                | Cause::DeliveryFailed { .. }
                | Cause::MailboxUnreachable { .. }
                | Cause::MailboxBack { .. }
                | Cause::ResolverUnreachable { .. }
                | Cause::ResolverBack { .. } => {}
            }
        }
        dues
    }

    fn remind(&mut self, reminder: &Reminder) {
        let same = |one: &&mut Reminder| one.year_month == reminder.year_month;
        let Some(known) = self.reminders.iter_mut().find(same) else {
            return self.reminders.push(reminder.clone());
        };
        let again = |ban: &str| reminder.companies.iter().any(|one| one.ban == ban);
        known.companies.retain(|one| !again(&one.ban));
        known.companies.extend_from_slice(&reminder.companies);
    }

    fn miss(&mut self, overdue: &Overdue, at: Timestamp) {
        let missing = |ban: &str, awaited: &str| {
            let mut companies = overdue.companies.iter();
            companies.any(|one| one.ban == ban && one.awaited == awaited)
        };
        self.arrived
            .retain(|(come, _)| !missing(&come.ban, &come.awaited));
        let earlier = self.overdue.take().map(|(earlier, _)| earlier.companies);
        let mut companies = earlier.unwrap_or_default();
        companies.retain(|one| !missing(&one.ban, &one.awaited));
        companies.extend_from_slice(&overdue.companies);
        let merged = Overdue {
            companies,
            ..overdue.clone()
        };
        self.overdue = Some((merged, at));
    }

    fn welcome(&mut self, arrived: &Arrived, at: Timestamp) {
        for come in &arrived.companies {
            let is_it = |ban: &str, awaited: &str| ban == come.ban && awaited == come.awaited;
            if let Some((overdue, _)) = &mut self.overdue {
                overdue
                    .companies
                    .retain(|one| !is_it(&one.ban, &one.awaited));
            }
            self.arrived
                .retain(|(one, _)| !is_it(&one.ban, &one.awaited));
            self.arrived.push((come.clone(), at));
        }
    }

    fn missed(&self) -> Option<(&Overdue, Timestamp)> {
        let (overdue, at) = self.overdue.as_ref()?;
        (!overdue.companies.is_empty()).then_some((overdue, *at))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.reminders.is_empty() && self.missed().is_none() && self.arrived.is_empty()
    }

    /// How many companies lack numbers.
    pub(super) fn overdue(&self) -> usize {
        let companies = self.missed().map(|(overdue, _)| overdue.companies.iter());
        distinct(companies.into_iter().flatten().map(|one| one.ban.as_str()))
    }

    /// How many companies' numbers have come.
    pub(super) fn arrived(&self) -> usize {
        distinct(self.arrived.iter().map(|(come, _)| come.ban.as_str()))
    }

    /// Whether somebody is reminded.
    pub(super) fn reminds(&self) -> bool {
        !self.reminders.is_empty()
    }

    /// The Subject of a letter that is about this alone: what is missing goes before what can be
    /// done, and that before what has been settled.
    pub(super) fn subject(&self, language: Language) -> String {
        if let Some((overdue, at)) = self.missed() {
            return overdue::subject(overdue, at, language);
        }
        match self.reminders.first() {
            Some(reminder) => reminder::subject(reminder, language),
            None => arrived::subject(&self.arrived, language),
        }
    }

    /// All of it, each kind in full, in the order of [`Self::subject`].
    pub(super) fn text(&self, language: Language) -> String {
        let missed = self.missed().into_iter();
        let missed = missed.map(|(overdue, at)| overdue::text(overdue, at, language));
        let reminders = self.reminders.iter();
        let reminders = reminders.map(|reminder| reminder::text(reminder, language));
        let come = (!self.arrived.is_empty()).then(|| arrived::text(&self.arrived, language));
        let parts: Vec<String> = missed.chain(reminders).chain(come).collect();
        parts.join(DIVIDER)
    }

    /// As [`Self::text`], below what else a letter says.
    pub(super) fn below(&self, language: Language) -> String {
        if self.is_empty() {
            return String::new();
        }
        format!("{DIVIDER}{}", self.text(language))
    }
}

/// Whether it is told of here.
pub(super) fn is_due(cause: &Cause) -> bool {
    matches!(
        cause,
        Cause::NoticeReminder(_) | Cause::NoticeOverdue(_) | Cause::NoticeArrived(_)
    )
}

/// Where there is little room: whose it is, what it is about, and how many companies these are.
pub(super) fn in_short(cause: &Cause, language: Language) -> Option<(String, String, usize)> {
    let (companies, awaited): (Vec<(&str, &str)>, Vec<&str>) = match cause {
        Cause::NoticeReminder(Reminder {
            companies,
            year_month,
            ..
        }) => (
            companies
                .iter()
                .map(|one| (&*one.ban, &*one.name))
                .collect(),
            vec![year_month],
        ),
        Cause::NoticeOverdue(Overdue { companies, .. }) => companies
            .iter()
            .map(|one| ((&*one.ban, &*one.name), &*one.awaited))
            .unzip(),
        Cause::NoticeArrived(Arrived { companies, .. }) => companies
            .iter()
            .map(|one| ((&*one.ban, &*one.name), &*one.awaited))
            .unzip(),
        _ => return None,
    };
    let count = distinct(companies.iter().map(|(ban, _)| *ban));
    let who = who(companies.into_iter(), language);
    Some((cut(&who, 24), several(awaited.into_iter(), language), count))
}

fn distinct<'a>(bans: impl Iterator<Item = &'a str>) -> usize {
    bans.collect::<BTreeSet<_>>().len()
}

/// The one company by its name, or how many they are.
fn who<'a>(mut companies: impl Iterator<Item = (&'a str, &'a str)>, language: Language) -> String {
    let Some((first, name)) = companies.next() else {
        return String::new();
    };
    let count = distinct(companies.map(|(ban, _)| ban).chain([first]));
    match count {
        1 => cut(&one_line(name, 60), 60),
        _ => in_companies(count, language),
    }
}

/// `3 家公司`
fn in_companies(count: usize, language: Language) -> String {
    let en = if count == 1 { "company" } else { "companies" };
    format!("{count} {}", language.pick("家公司", en))
}

/// The company as a fact says it.
fn company(ban: &str, name: &str, language: Language) -> String {
    let name = cut(&one_line(name, 60), 56);
    language.pick(format!("{name}（統編 {ban}）"), format!("{name} ({ban})"))
}

/// What is awaited as one: `115/11 - 115/12`, or `116 年`.
fn awaited(text: &str, language: Language) -> String {
    if let Ok(period) = text.parse::<Period>() {
        return period.to_string();
    }
    match text.parse::<u16>() {
        Ok(year) => language.pick(
            format!("{year} 年"),
            format!("year {year} ({})", year.saturating_add(1911)),
        ),
        Err(_) => one_line(text, 20),
    }
}

/// Each once; of many the first, and how many they are.
fn several<'a>(all: impl Iterator<Item = &'a str>, language: Language) -> String {
    let all: BTreeSet<&str> = all.collect();
    let mut shown = all.iter().map(|one| awaited(one, language));
    match (shown.next(), shown.next(), all.len()) {
        (Some(first), Some(second), 2) => language.pick(
            format!("{first}、{second}"),
            format!("{first} and {second}"),
        ),
        (Some(first), Some(_), count) => language.pick(
            format!("{first} 等 {count} 期"),
            format!("{first} and {} more", count - 1),
        ),
        (first, ..) => first.unwrap_or_default(),
    }
}

/// Periods with their year said once: `116/01-02 03-04`.
fn months(year_months: &[String]) -> String {
    let mut out = String::new();
    let mut said = None;
    for text in year_months {
        let blank = if out.is_empty() { "" } else { " " };
        let Ok(period) = text.parse::<Period>() else {
            out.push_str(&format!("{blank}{}", one_line(text, 20)));
            continue;
        };
        let (year, even) = (period.roc_year(), period.even_month());
        let year = said.replace(year) != Some(year);
        let year = if year {
            format!("{:03}/", period.roc_year())
        } else {
            String::new()
        };
        out.push_str(&format!("{blank}{year}{:02}-{even:02}", even - 1));
    }
    out
}

/// The day from which numbers of the period are needed.
fn first_day(period: Period) -> Option<Date> {
    let year = i16::try_from(period.roc_year()).ok()?.checked_add(1911)?;
    let odd = i8::try_from(period.even_month()).ok()? - 1;
    Date::new(year, odd, 1).ok()
}

/// The first day of what is awaited as one.
fn begins(awaited: &str) -> Option<Date> {
    match awaited.parse::<Period>() {
        Ok(period) => first_day(period),
        Err(_) => {
            let year: i16 = awaited.parse().ok()?;
            Date::new(year.checked_add(1911)?, 1, 1).ok()
        }
    }
}

/// A day within a sentence.
fn day(date: Date, language: Language) -> String {
    language.pick(
        format!("{} 月 {} 日", date.month(), date.day()),
        date.to_string(),
    )
}

fn day_before(date: Date) -> Date {
    date.saturating_sub(1.day())
}

/// Sentences on lines that are shown whole.
fn paragraph(text: &str) -> String {
    wrap(text, WIDE).join("\n") + "\n"
}

/// Companies below each other, their names in the second column and as long as there is room; the
/// rest counted.
fn table(
    head: &[&str],
    rows: impl ExactSizeIterator<Item = Vec<String>>,
    right: &[usize],
    language: Language,
) -> String {
    let rest = rows.len().saturating_sub(ROWS);
    let head: Vec<String> = head.iter().map(|word| (*word).to_owned()).collect();
    let mut rows: Vec<Vec<String>> = std::iter::once(head).chain(rows.take(ROWS)).collect();
    let count = rows.first().map_or(0, Vec::len);
    let others: usize = (0..count)
        .filter(|column| *column != 1)
        .filter_map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| width(cell)).max()
        })
        .sum();
    let room = WIDE.saturating_sub(others + 2 * count).clamp(16, 48);
    for name in rows.iter_mut().filter_map(|row| row.get_mut(1)) {
        *name = cut(&one_line(name, 60), room);
    }
    let mut text = columns(&rows, right);
    if rest > 0 {
        text.push_str(&language.pick(
            format!("\n  另有 {rest} 筆沒有列出；`invoice-trackd status --json` 有全部。\n"),
            format!("\n  and {rest} more; `invoice-trackd status --json` has all of them.\n"),
        ));
    }
    text
}

/// What to do, in the order in which to do it.
fn numbered(head: &str, steps: &[String]) -> String {
    let mut text = format!("\n{head}\n");
    for (number, step) in (1..).zip(steps) {
        text.push_str(&format!("  {number}. {step}\n"));
    }
    text
}
