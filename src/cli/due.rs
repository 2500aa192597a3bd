//! What is due for every company: the overview that `status` and `allocations` share.
//!
//! Left out on purpose: the rules, which are `schedule`'s. Guarantee: a company takes one row, and
//! what is overdue stands first, so that it is seen however many companies there are.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
};

use jiff::civil::Date;
use serde_json::Value;

use super::{
    json,
    table::{Cell, Column, ROWS, Screen, Table, more},
};
use crate::{
    clock::taipei_date,
    config::Config,
    ledger::{Alarm, Alarms, Ledger, LedgerError},
    notice::{Assignment, Ban, Company, Period},
    schedule::{self, Awaited, Booklets, Due, Expected, State, Terms},
};

/// How all companies stand on one day.
#[derive(Debug)]
pub(super) struct Dues<'a> {
    today: Date,
    companies: Vec<Entry<'a>>,
}

/// How one company stands.
#[derive(Debug)]
struct Entry<'a> {
    company: &'a Company,
    /// Period by period, in time.
    outlook: Vec<Due>,
    told: BTreeMap<Awaited, Alarm>,
}

/// What a ledger knows of it.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The day on which the ledger was created.
    pub(super) since: Date,
    pub(super) booklets: HashMap<Ban, Booklets>,
    pub(super) alarms: Alarms,
}

/// Where a period lies, seen from the `running` one.
pub(super) fn when(period: Period, running: Period) -> &'static str {
    if period < running {
        "past"
    } else if period == running {
        "current"
    } else if period == running.next() {
        "next"
    } else {
        "later"
    }
}

impl<'a> Dues<'a> {
    /// How the configured companies stand `today` (Asia/Taipei), or the one with this `ban`. No
    /// ledger counts as one that is created today.
    ///
    /// # Errors
    /// The ledger's.
    pub(super) async fn gather(
        config: &'a Config,
        ban: Option<Ban>,
        ledger: Option<&Ledger>,
        today: Date,
    ) -> Result<Self, LedgerError> {
        let last = Period::containing(today).previous();
        let known = match ledger {
            None => Known {
                since: today,
                ..Known::default()
            },
            Some(ledger) => Known {
                since: taipei_date(ledger.created_at()),
                booklets: ledger.booklets(last).await?,
                alarms: ledger.alarms(last).await?,
            },
        };
        let companies = config.rules.companies.iter();
        let asked = companies.filter(|company| ban.is_none_or(|ban| company.ban == ban));
        Ok(Self::reckon(asked, config.schedule, known, today))
    }

    /// How these companies stand `today` (Asia/Taipei), where `days` are everybody's.
    pub(super) fn reckon(
        companies: impl Iterator<Item = &'a Company>,
        days: schedule::Settings,
        mut known: Known,
        today: Date,
    ) -> Self {
        // A ledger that a clock that was ahead created is watched from today on.
        let since = known.since.min(today);
        let companies = companies.map(|company| {
            let recorded = known.booklets.remove(&company.ban).unwrap_or_default();
            Entry {
                company,
                outlook: Terms::of(company, days, since).outlook(&recorded, today),
                told: known.alarms.remove(&company.ban).unwrap_or_default(),
            }
        });
        Self {
            today,
            companies: companies.collect(),
        }
    }

    /// Whether nobody's numbers are awaited.
    pub(super) fn is_empty(&self) -> bool {
        self.companies.is_empty()
    }

    /// How many companies lack numbers that they should have.
    pub(super) fn overdue(&self) -> u64 {
        let entries = self.companies.iter();
        entries.filter(|entry| entry.has(State::Overdue)).count() as u64
    }

    /// An object for each company and period, in the order of the configuration and of time.
    pub(super) fn objects(&self) -> Vec<Value> {
        let running = Period::containing(self.today);
        let of = |entry: &Entry<'a>| -> Vec<Value> {
            let dues = entry.outlook.iter();
            dues.map(|due| {
                let told = entry.told(due.period);
                json::due(entry.company, due, when(due.period, running), told)
            })
            .collect()
        };
        self.companies.iter().flat_map(of).collect()
    }

    /// A row for each company, those that need attention first, then in the order of the
    /// configuration; where there are too many to show, `all` says what has all of them.
    pub(super) fn page(&self, screen: Screen, all: &str) -> String {
        let heading = "Due 應收到的配號 (booklets 本)\n";
        if self.is_empty() {
            return format!("{heading}  nothing 無\n");
        }
        let mut entries: Vec<&Entry<'_>> = self.companies.iter().collect();
        entries.sort_by_key(|entry| (!entry.has(State::Overdue), !entry.has(State::Missed)));
        let running = Period::containing(self.today);
        let periods = [running.previous(), running, running.next()];
        let title = |(word, period): (&str, Period)| format!("{word} {}", period.year_month());
        let [last, current, next] = periods;
        let [last, current, next] = [("上期", last), ("本期", current), ("下期", next)].map(title);
        let mut table = Table::new(
            2,
            &[
                Column::whole("統編 ban"),
                Column::cut("名稱 name", 10),
                Column::number(&last),
                Column::number(&current),
                Column::number(&next),
                // `11602 by 2026-12-25,`
                Column::wrapped_at("應收 due", 20),
            ],
        );
        for entry in entries.iter().take(ROWS) {
            let [last, current, next] = periods.map(|period| entry.numbers(period));
            table.row([
                entry.company.ban.to_string().into(),
                entry.company.name.as_str().into(),
                last,
                current,
                next,
                entry.awaited(self.today),
            ]);
        }
        format!("{heading}{}{}", table.on(screen), more(entries.len(), all))
    }
}

/// What stands where there is nothing.
const NOTHING: &str = "—";

impl Entry<'_> {
    fn has(&self, state: State) -> bool {
        self.outlook.iter().any(|due| due.state == state)
    }

    /// What people were last told of the numbers of `period`, by whichever name these were awaited.
    fn told(&self, period: Period) -> Option<&Alarm> {
        let names = [Awaited::Period(period), Awaited::Year(period.roc_year())];
        let alarms = names.iter().filter_map(|name| self.told.get(name));
        alarms.max_by_key(|alarm| alarm.told_at)
    }

    /// The booklets of `period`, or that they should be there.
    fn numbers(&self, period: Period) -> Cell {
        let due = self.outlook.iter().find(|due| due.period == period);
        match due.map(|due| (due.state, due.booklets)) {
            Some((State::Recorded, booklets)) => booklets.to_string().into(),
            Some((State::Overdue, _)) => Cell::alarm("OVERDUE"),
            Some((State::Missed, _)) => "missed".into(),
            Some((State::Expected | State::NotDue, _)) | None => NOTHING.into(),
        }
    }

    /// What has not come and when it is due, in time: `11602 by 12-25`; of a 年配 of which all
    /// periods are in view, how many are there: `116: 4/6 by 12-25`.
    fn awaited(&self, today: Date) -> Cell {
        let name = |due: &Due| match self.company.assignment {
            Assignment::Year => Awaited::Year(due.period.roc_year()),
            Assignment::Period | Assignment::None => Awaited::Period(due.period),
        };
        let together = self.outlook.chunk_by(|one, other| name(one) == name(other));
        let words: Vec<String> = together
            .filter_map(|dues| {
                let mut name = name(dues.first()?).to_string();
                let is_whole_year = dues.len() == 6;
                if is_whole_year {
                    let there = dues.iter().filter(|due| due.state == State::Recorded);
                    write!(name, ": {}/6", there.count()).ok()?;
                }
                let is_awaited = |due: &&Due| matches!(due.state, State::Expected | State::Overdue);
                let missing = dues.iter().find(is_awaited);
                let Some(Expected { by, .. }) = missing.and_then(|due| due.expected) else {
                    return is_whole_year.then_some(name);
                };
                let is_this_year = by.year() == today.year();
                let by = by.strftime(if is_this_year { "%m-%d" } else { "%Y-%m-%d" });
                Some(format!("{name} by {by}"))
            })
            .collect();
        if words.is_empty() {
            NOTHING.into()
        } else if self.has(State::Overdue) {
            Cell::alarm(words.join(", "))
        } else {
            words.join(", ").into()
        }
    }
}

#[cfg(test)]
mod tests;
