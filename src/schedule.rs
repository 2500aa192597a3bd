//! What is due when, and what must be said of it. Pure: no clock, no ledger.
//!
//! 期配: the next period's notice comes on the 20th of each even month, and the number of booklets
//! can be changed before that day. 年配: all six periods of the next year come in December. All
//! moments are Asia/Taipei, at nine in the morning.
//!
//! Guarantees: of what is awaited as one, each [`Stage`] is called at most once and none after a
//! later one, whatever the clock does; of several that have begun only the latest is; what has come
//! is never called. Left out on purpose: who is told, in which words, and what is done about a clock
//! that was wrong.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use jiff::{
    ToSpan as _,
    civil::{Date, DateTime, Time},
};

use crate::notice::{Assignment, Company, Period};

/// The time of day at which people are told.
const HOUR: Time = Time::constant(9, 0, 0, 0);

/// The platform allots the next period's numbers on this day of an even month; before it, the
/// number of booklets can be changed.
const ALLOTTED_ON: i8 = 20;

/// On which days of an even month things happen, Asia/Taipei.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// A notice that has not come by the end of this day is overdue; 20 to 28.
    pub due_day: i8,
    /// The reminder to change the number of booklets goes out on this day; 1 to 19.
    pub reminder_day: i8,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            due_day: 25,
            reminder_day: 15,
        }
    }
}

/// What a company is held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// How it is given numbers.
    pub assignment: Assignment,
    /// Its days.
    pub days: Settings,
    /// The day on which the ledger was created. What had begun by then is not missed: its notice
    /// came to somebody else.
    pub watched_since: Date,
}

/// Booklets in force, by period; without an entry there are none.
pub type Booklets = BTreeMap<Period, u64>;

/// What comes as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Awaited {
    /// 期配: one period's numbers.
    Period(Period),
    /// 年配: the numbers of a year of the Republic of China.
    Year(u16),
}

/// How far the waiting has come, in the order of time. Each is called once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The number of booklets can be changed for a few more days.
    Reminder,
    /// The morning after the due day.
    Overdue,
    /// The last day before the numbers are needed.
    LastDay,
    /// The first day on which they are needed.
    FirstDay,
}

/// What has become of periods of which people were told that they have no numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// None of them has any yet.
    None,
    /// Some have; these have not, and some of these are not over.
    Part(Vec<Period>),
    /// All have that are not over.
    Done,
}

/// Something that people must be told now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// What is awaited.
    pub awaited: Awaited,
    /// How far it has come.
    pub stage: Stage,
    /// The periods without numbers, in time, that are not over.
    pub missing: Vec<Period>,
    /// The day by whose end it was, or is, due.
    pub due_by: Date,
}

/// How one period stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The period that the numbers are for.
    pub period: Period,
    /// Booklets in force.
    pub booklets: u64,
    /// From when to when its notice comes; `None` where nobody waits for it.
    pub expected: Option<Expected>,
    /// How it stands.
    pub state: State,
}

/// When a notice comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// Not before this day.
    pub on: Date,
    /// A notice that has not come by the end of this day is overdue.
    pub by: Date,
}

/// Whether the numbers are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// They are recorded.
    Recorded,
    /// They are not, and it is not too late.
    Expected,
    /// They are not, they should be, and the period is not over.
    Overdue,
    /// They never came, and the period is over.
    Missed,
    /// They are not, and nobody waits for them: 停止使用, or the ledger was created too late.
    NotDue,
}

impl Awaited {
    /// The periods that come with it, in time.
    fn periods(self) -> Vec<Period> {
        match self {
            Self::Period(period) => vec![period],
            Self::Year(year) => (1..=11)
                .step_by(2)
                .filter_map(|odd| Period::from_months((year, odd), (year, odd + 1)).ok())
                .collect(),
        }
    }

    /// Its first period.
    pub fn first(self) -> Period {
        match self {
            Self::Period(period) => period,
            Self::Year(year) => Period::containing(new_year(year)),
        }
    }

    /// Its booklets in force.
    pub fn booklets(self, recorded: &Booklets) -> u64 {
        let periods = self.periods().into_iter();
        periods.filter_map(|period| recorded.get(&period)).sum()
    }

    /// The first moment (Asia/Taipei) at which anybody, whatever his days, can be told that it has
    /// reached `stage`. Who was told before was told by a clock that was ahead.
    pub fn earliest(self, stage: Stage) -> DateTime {
        let first_day = first_day(self.first());
        let month = month_before(self.first());
        let earliest = match stage {
            Stage::Reminder => month,
            Stage::Overdue => day(month, ALLOTTED_ON + 1),
            Stage::LastDay => first_day.saturating_sub(1.day()),
            Stage::FirstDay => first_day,
        };
        earliest.to_datetime(HOUR)
    }
}

/// As the ledger keeps it: `11602`, or `116` for a year.
impl fmt::Display for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Period(period) => f.write_str(&period.year_month()),
            Self::Year(year) => write!(f, "{year:03}"),
        }
    }
}

/// A text that names neither a period nor a year.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a period such as `11602` or a year such as `116`, found `{0}`")]
pub struct AwaitedError(String);

impl FromStr for Awaited {
    type Err = AwaitedError;

    fn from_str(text: &str) -> Result<Self, AwaitedError> {
        let error = || AwaitedError(text.to_owned());
        if text.len() != 3 {
            return text.parse().map(Self::Period).map_err(|_| error());
        }
        // A year is what has a first period.
        let first: Period = format!("{text}02").parse().map_err(|_| error())?;
        Ok(Self::Year(first.roc_year()))
    }
}

impl Progress {
    /// That of the `missing` on `today`. That a period is over is no progress: its numbers never
    /// came.
    pub fn of(missing: &[Period], recorded: &Booklets, today: Date) -> Self {
        let lacking = missing.iter().filter(|one| !recorded.contains_key(*one));
        let lacking: Vec<Period> = lacking.copied().collect();
        let running = Period::containing(today);
        if lacking.len() == missing.len() {
            Self::None
        } else if lacking.iter().all(|period| *period < running) {
            Self::Done
        } else {
            Self::Part(lacking)
        }
    }
}

impl Stage {
    /// All of them, in the order of time.
    pub const ALL: [Self; 4] = [Self::Reminder, Self::Overdue, Self::LastDay, Self::FirstDay];

    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reminder => "reminder",
            Self::Overdue => "overdue",
            Self::LastDay => "last_day",
            Self::FirstDay => "first_day",
        }
    }
}

impl State {
    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::Expected => "expected",
            Self::Overdue => "overdue",
            Self::Missed => "missed",
            Self::NotDue => "not_due",
        }
    }
}

impl Terms {
    /// Those of `company`, where `days` are everybody's.
    pub fn of(company: &Company, days: Settings, watched_since: Date) -> Self {
        Self {
            assignment: company.assignment,
            days: Settings {
                due_day: company.due_day.unwrap_or(days.due_day),
                reminder_day: company.reminder_day.unwrap_or(days.reminder_day),
            },
            watched_since,
        }
    }

    /// What must be said at `now` (Asia/Taipei), in the order of time, where `told` is the last
    /// stage at which people were told of each.
    pub fn calls(
        &self,
        recorded: &Booklets,
        told: &BTreeMap<Awaited, Stage>,
        now: DateTime,
    ) -> Vec<Call> {
        let running = Period::containing(now.date());
        let awaited = match self.assignment {
            Assignment::Period => [running, running.next()].map(Awaited::Period).to_vec(),
            Assignment::Year => {
                let year = running.roc_year();
                vec![Awaited::Year(year), Awaited::Year(year + 1)]
            }
            Assignment::None => Vec::new(),
        };
        // What people were told of is ours, even if a clock that was ahead has dated the ledger.
        let due = awaited
            .into_iter()
            .filter(|one| self.is_ours(*one) || told.contains_key(one));
        due.filter_map(|awaited| {
            let stage = self.stage(awaited, now)?;
            let is_news = told.get(&awaited).is_none_or(|told| *told < stage);
            let periods = awaited.periods().into_iter();
            let missing: Vec<Period> = periods
                .filter(|period| *period >= running && !recorded.contains_key(period))
                .collect();
            (is_news && !missing.is_empty()).then(|| Call {
                awaited,
                stage,
                missing,
                due_by: self.expected(awaited).by,
            })
        })
        .collect()
    }

    /// How the last period, the running one and the next stand on `today` (Asia/Taipei), and for
    /// 年配 in December all of the next year.
    pub fn outlook(&self, recorded: &Booklets, today: Date) -> Vec<Due> {
        let running = Period::containing(today);
        let mut periods = BTreeSet::from([running.previous(), running, running.next()]);
        if self.assignment == Assignment::Year && today.month() == 12 {
            periods.extend(Awaited::Year(running.roc_year() + 1).periods());
        }
        let due = periods.into_iter();
        due.map(|period| self.due(period, recorded, today))
            .collect()
    }

    fn due(&self, period: Period, recorded: &Booklets, today: Date) -> Due {
        let awaited = match self.assignment {
            Assignment::Period => Some(Awaited::Period(period)),
            Assignment::Year => Some(Awaited::Year(period.roc_year())),
            Assignment::None => None,
        };
        let awaited = awaited.filter(|one| self.is_ours(*one));
        let expected = awaited.map(|one| self.expected(one));
        let booklets = recorded.get(&period).copied();
        let state = match expected {
            _ if booklets.is_some() => State::Recorded,
            None => State::NotDue,
            Some(_) if period < Period::containing(today) => State::Missed,
            Some(expected) if today > expected.by => State::Overdue,
            Some(_) => State::Expected,
        };
        Due {
            period,
            booklets: booklets.unwrap_or_default(),
            expected,
            state,
        }
    }

    /// Whether it had not begun when the ledger was created.
    fn is_ours(&self, awaited: Awaited) -> bool {
        awaited.first() > Period::containing(self.watched_since)
    }

    fn expected(&self, awaited: Awaited) -> Expected {
        let (month, from) = match awaited {
            Awaited::Period(period) => (month_before(period), ALLOTTED_ON),
            Awaited::Year(_) => (month_before(awaited.first()), 1),
        };
        Expected {
            on: day(month, from),
            by: day(month, self.days.due_day),
        }
    }

    /// The latest stage whose moment has come; `None` while there is none, and again once it is too
    /// late to change the number of booklets.
    fn stage(&self, awaited: Awaited, now: DateTime) -> Option<Stage> {
        let first_day = first_day(awaited.first());
        let due_by = self.expected(awaited).by;
        let overdue = [
            (Stage::FirstDay, first_day),
            (Stage::LastDay, first_day.saturating_sub(1.day())),
            (Stage::Overdue, due_by.saturating_add(1.day())),
        ];
        // Where February ends with the due day, the last day comes too early to be overdue.
        let mut begun = overdue
            .into_iter()
            .filter(|(_, day)| *day > due_by && day.to_datetime(HOUR) <= now);
        if let Some((stage, _)) = begun.next() {
            return Some(stage);
        }
        let month = month_before(awaited.first());
        let reminded = day(month, self.days.reminder_day).to_datetime(HOUR) <= now;
        let can_be_changed = now.date() < day(month, ALLOTTED_ON);
        let is_period = matches!(awaited, Awaited::Period(_));
        (is_period && reminded && can_be_changed).then_some(Stage::Reminder)
    }
}

/// The last day on which the number of booklets of `next` can be changed.
pub fn last_day_to_change(next: Period) -> Date {
    day(month_before(next), ALLOTTED_ON - 1)
}

/// The first day of the even month before the period begins.
fn month_before(period: Period) -> Date {
    first_day(period).saturating_sub(1.month())
}

/// The day of the month that begins with `first`.
fn day(first: Date, day: i8) -> Date {
    first.saturating_add((day - 1).days())
}

/// Saturates at the end of jiff's calendar, the year 9999.
fn first_day(period: Period) -> Date {
    let year = i16::try_from(period.roc_year() + 1911).unwrap_or(i16::MAX);
    let odd = i8::try_from(period.even_month() - 1).unwrap_or(1);
    Date::new(year, odd, 1).unwrap_or(Date::MAX)
}

/// As [`first_day`].
fn new_year(roc_year: u16) -> Date {
    let year = i16::try_from(roc_year.saturating_add(1911)).unwrap_or(i16::MAX);
    Date::new(year, 1, 1).unwrap_or(Date::MAX)
}

#[cfg(test)]
mod tests;
