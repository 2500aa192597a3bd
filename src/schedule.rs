//! What is due when. Pure: no clock, no ledger.
//!
//! Left out on purpose: raising alarms. [`outlook`] only says how things stand on a given day.

use std::collections::BTreeSet;

use jiff::{ToSpan as _, civil::Date};

use crate::notice::{Assignment, Period};

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

/// One period whose numbers a company should have, or should have soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The period that the numbers are for.
    pub period: Period,
    /// The notice is not expected before this day.
    pub expected_on: Date,
    /// A notice that has not come by the end of this day is overdue.
    pub due_by: Date,
    /// How it stands.
    pub state: State,
}

/// Whether the numbers are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// They are recorded.
    Recorded,
    /// They are not, and it is not too late.
    Expected,
    /// They are not, and they should be.
    Overdue,
}

impl State {
    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::Expected => "expected",
            Self::Overdue => "overdue",
        }
    }
}

/// What matters on `today` (Asia/Taipei) for a company whose `recorded` periods have numbers in
/// force, in the order of time.
///
/// 期配: the running period and the next. 年配: what is left of this year, and from December on
/// all of the next. 停止使用: nothing. A period that had begun when the ledger was created, on
/// `watched_since`, is not missed: its notice came to somebody else.
pub fn outlook(
    assignment: Assignment,
    settings: Settings,
    watched_since: Date,
    today: Date,
    recorded: &BTreeSet<Period>,
) -> Vec<Due> {
    let current = Period::containing(today);
    let ahead = std::iter::successors(Some(current), |period| Some(period.next()));
    let begun = Period::containing(watched_since);
    let ours = |period: &Period| *period > begun || recorded.contains(period);
    let due = |period| due(assignment, settings, today, recorded, period);
    match assignment {
        Assignment::Period => ahead.take(2).filter(ours).map(due).collect(),
        Assignment::Year => {
            let last_year = current.roc_year() + u16::from(today.month() == 12);
            let years = ahead.take_while(|period| period.roc_year() <= last_year);
            years.filter(ours).map(due).collect()
        }
        Assignment::None => Vec::new(),
    }
}

fn due(
    assignment: Assignment,
    settings: Settings,
    today: Date,
    recorded: &BTreeSet<Period>,
    period: Period,
) -> Due {
    // The platform allots the next period on the 20th of each even month (期配), and the whole of
    // next year in December (年配).
    let (month, first_day) = match assignment {
        Assignment::Year => (december_before(period), 1),
        Assignment::Period | Assignment::None => (month_before(period), 20),
    };
    let day = |day: i8| month.saturating_add((day - 1).days());
    let due_by = day(settings.due_day);
    let state = if recorded.contains(&period) {
        State::Recorded
    } else if today > due_by {
        State::Overdue
    } else {
        State::Expected
    };
    Due {
        period,
        expected_on: day(first_day),
        due_by,
        state,
    }
}

/// The first day of the even month before the period begins.
fn month_before(period: Period) -> Date {
    let before = period.previous();
    first_day(before.roc_year(), before.even_month())
}

/// The first day of the December before the period's year.
fn december_before(period: Period) -> Date {
    first_day(period.roc_year() - 1, 12)
}

/// Saturates at the end of jiff's calendar, the year 9999.
fn first_day(roc_year: u16, month: u8) -> Date {
    let year = i16::try_from(roc_year + 1911).unwrap_or(i16::MAX);
    let month = i8::try_from(month).unwrap_or(12);
    Date::new(year, month, 1).unwrap_or(Date::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG_AGO: Date = Date::constant(2020, 1, 1);

    /// `today`, what is recorded, and what [`outlook`] says in one line each.
    fn table(assignment: Assignment, rows: &[(&str, &[&str], &[&str])]) {
        for (today, recorded, expected) in rows {
            let recorded = recorded.iter().map(|p| p.parse().unwrap()).collect();
            let day = today.parse().unwrap();
            let found: Vec<String> =
                outlook(assignment, Settings::default(), LONG_AGO, day, &recorded)
                    .iter()
                    .map(|due| {
                        format!(
                            "{} {}..{} {}",
                            due.period.year_month(),
                            due.expected_on,
                            due.due_by,
                            due.state.as_str()
                        )
                    })
                    .collect();
            assert_eq!(found, *expected, "on {today}");
        }
    }

    #[test]
    fn a_period_company_sees_the_running_period_and_the_next() {
        table(
            Assignment::Period,
            &[
                (
                    "2026-11-01",
                    &["11512"],
                    &[
                        "11512 2026-10-20..2026-10-25 recorded",
                        "11602 2026-12-20..2026-12-25 expected",
                    ],
                ),
                (
                    "2026-12-25",
                    &["11512"],
                    &[
                        "11512 2026-10-20..2026-10-25 recorded",
                        "11602 2026-12-20..2026-12-25 expected",
                    ],
                ),
                (
                    "2026-12-26",
                    &["11512"],
                    &[
                        "11512 2026-10-20..2026-10-25 recorded",
                        "11602 2026-12-20..2026-12-25 overdue",
                    ],
                ),
                (
                    "2026-12-31",
                    &["11512", "11602"],
                    &[
                        "11512 2026-10-20..2026-10-25 recorded",
                        "11602 2026-12-20..2026-12-25 recorded",
                    ],
                ),
                (
                    "2027-01-01",
                    &["11512"],
                    &[
                        "11602 2026-12-20..2026-12-25 overdue",
                        "11604 2027-02-20..2027-02-25 expected",
                    ],
                ),
                (
                    "2028-02-29",
                    &[],
                    &[
                        "11702 2027-12-20..2027-12-25 overdue",
                        "11704 2028-02-20..2028-02-25 overdue",
                    ],
                ),
            ],
        );
    }

    #[test]
    fn a_year_company_sees_the_rest_of_this_year_and_in_december_the_next() {
        table(
            Assignment::Year,
            &[
                (
                    "2026-11-30",
                    &["11512"],
                    &["11512 2025-12-01..2025-12-25 recorded"],
                ),
                (
                    "2026-12-26",
                    &["11512", "11602", "11606"],
                    &[
                        "11512 2025-12-01..2025-12-25 recorded",
                        "11602 2026-12-01..2026-12-25 recorded",
                        "11604 2026-12-01..2026-12-25 overdue",
                        "11606 2026-12-01..2026-12-25 recorded",
                        "11608 2026-12-01..2026-12-25 overdue",
                        "11610 2026-12-01..2026-12-25 overdue",
                        "11612 2026-12-01..2026-12-25 overdue",
                    ],
                ),
                (
                    "2027-09-01",
                    &["11610"],
                    &[
                        "11610 2026-12-01..2026-12-25 recorded",
                        "11612 2026-12-01..2026-12-25 overdue",
                    ],
                ),
            ],
        );
        let december = outlook(
            Assignment::Year,
            Settings::default(),
            LONG_AGO,
            "2026-12-01".parse().unwrap(),
            &BTreeSet::new(),
        );
        let next_year: Vec<State> = december.iter().skip(1).map(|due| due.state).collect();
        assert_eq!(next_year, [State::Expected; 6]);
    }

    #[test]
    fn a_period_that_ran_when_the_ledger_was_created_is_not_missed() {
        let settings = Settings::default();
        let seen = |created: &str, today: &str, recorded: &[&str]| -> Vec<String> {
            let recorded = recorded
                .iter()
                .map(|period| period.parse().unwrap())
                .collect();
            let (created, today) = (created.parse().unwrap(), today.parse().unwrap());
            outlook(Assignment::Period, settings, created, today, &recorded)
                .iter()
                .map(|due| due.period.year_month() + " " + due.state.as_str())
                .collect()
        };
        assert_eq!(seen("2026-11-22", "2026-11-22", &[]), ["11602 expected"]);
        assert_eq!(
            seen("2026-11-22", "2026-11-22", &["11512"]),
            ["11512 recorded", "11602 expected"]
        );
        assert_eq!(
            seen("2026-11-22", "2027-01-01", &[]),
            ["11602 overdue", "11604 expected"]
        );
    }

    #[test]
    fn nothing_is_due_for_a_company_that_has_stopped() {
        table(Assignment::None, &[("2026-12-31", &[], &[])]);
    }

    #[test]
    fn the_due_day_is_the_operators() {
        let settings = Settings {
            due_day: 28,
            ..Settings::default()
        };
        let february = "2027-02-28".parse().unwrap();
        let due = outlook(
            Assignment::Period,
            settings,
            LONG_AGO,
            february,
            &BTreeSet::new(),
        );
        assert_eq!(due[1].due_by, february);
        assert_eq!(due[1].state, State::Expected);
    }
}
