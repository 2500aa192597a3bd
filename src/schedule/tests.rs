//! What is due, reminded, overdue and come, day by day.

use jiff::civil::{date, datetime};
use proptest::{collection::vec, prelude::*};

use super::*;

mod comings;
mod outlook;
mod walks;

const LONG_AGO: Date = Date::constant(2020, 1, 1);

/// Nothing but the assignment is said.
fn terms(assignment: Assignment) -> Terms {
    Terms {
        assignment,
        days: Settings::default(),
        watched_since: LONG_AGO,
    }
}

fn days(due_day: i8, reminder_day: i8) -> Terms {
    Terms {
        days: Settings {
            due_day,
            reminder_day,
        },
        ..terms(Assignment::Period)
    }
}

fn since(assignment: Assignment, watched_since: Date) -> Terms {
    Terms {
        watched_since,
        ..terms(assignment)
    }
}

fn period(text: &str) -> Period {
    text.parse().unwrap()
}

/// Eight booklets for each.
fn booklets(periods: &[&str]) -> Booklets {
    periods.iter().map(|one| (period(one), 8)).collect()
}

/// A daemon that looks every half hour.
struct Daemon {
    terms: Terms,
    told: BTreeMap<Awaited, Stage>,
    heard: Vec<String>,
}

impl Daemon {
    fn new(terms: Terms) -> Self {
        Self {
            terms,
            told: BTreeMap::new(),
            heard: Vec::new(),
        }
    }

    fn look(&mut self, recorded: &Booklets, now: DateTime) {
        for call in self.terms.calls(recorded, &self.told, now) {
            let missing: Vec<String> = call.missing.iter().map(|one| one.year_month()).collect();
            let missing = match call.awaited {
                Awaited::Period(_) => String::new(),
                Awaited::Year(_) => format!(" {}", missing.join(",")),
            };
            let (awaited, stage) = (call.awaited, call.stage.as_str());
            let at = now.strftime("%m-%d %H:%M");
            self.heard.push(format!("{at} {awaited} {stage}{missing}"));
            self.told.insert(call.awaited, call.stage);
        }
    }

    /// Looks from the beginning of one day to the end of another.
    fn runs(&mut self, recorded: &Booklets, first: Date, last: Date) -> &mut Self {
        let mut now = first.to_datetime(Time::midnight());
        while now.date() <= last {
            self.look(recorded, now);
            now = now.saturating_add(30.minutes());
        }
        self
    }
}

/// What people hear of one who has `recorded` all along.
fn heard(terms: Terms, recorded: &[&str], first: Date, last: Date) -> Vec<String> {
    let mut daemon = Daemon::new(terms);
    daemon.runs(&booklets(recorded), first, last);
    daemon.heard
}

/// What people hear of one who has `recorded` when the daemon looks at these moments only.
fn heard_at(terms: Terms, recorded: &[&str], moments: &[DateTime]) -> Vec<String> {
    let mut daemon = Daemon::new(terms);
    for now in moments {
        daemon.look(&booklets(recorded), *now);
    }
    daemon.heard
}

#[test]
fn a_whole_silent_year_of_a_period_company() {
    let heard = heard(
        since(Assignment::Period, date(2025, 12, 31)),
        &["11502"],
        date(2026, 1, 1),
        date(2027, 1, 1),
    );
    let expected = [
        "02-15 09:00 11504 reminder",
        "02-26 09:00 11504 overdue",
        "02-28 09:00 11504 last_day",
        "03-01 09:00 11504 first_day",
        "04-15 09:00 11506 reminder",
        "04-26 09:00 11506 overdue",
        "04-30 09:00 11506 last_day",
        "05-01 09:00 11506 first_day",
        "06-15 09:00 11508 reminder",
        "06-26 09:00 11508 overdue",
        "06-30 09:00 11508 last_day",
        "07-01 09:00 11508 first_day",
        "08-15 09:00 11510 reminder",
        "08-26 09:00 11510 overdue",
        "08-31 09:00 11510 last_day",
        "09-01 09:00 11510 first_day",
        "10-15 09:00 11512 reminder",
        "10-26 09:00 11512 overdue",
        "10-31 09:00 11512 last_day",
        "11-01 09:00 11512 first_day",
        "12-15 09:00 11602 reminder",
        "12-26 09:00 11602 overdue",
        "12-31 09:00 11602 last_day",
        "01-01 09:00 11602 first_day",
    ];
    assert_eq!(heard, expected);
}

#[test]
fn a_whole_silent_year_of_a_year_company() {
    let terms = since(Assignment::Year, date(2025, 12, 31));
    let this = ["11502", "11504", "11506", "11508", "11510", "11512"];
    let heard = heard(terms, &this, date(2026, 1, 1), date(2027, 12, 24));
    let next = "11602,11604,11606,11608,11610,11612";
    let expected = [
        format!("12-26 09:00 116 overdue {next}"),
        format!("12-31 09:00 116 last_day {next}"),
        format!("01-01 09:00 116 first_day {next}"),
    ];
    assert_eq!(heard, expected);
}

#[test]
fn of_a_company_that_is_given_no_numbers_nothing_is_heard() {
    let terms = terms(Assignment::None);
    let heard = heard(terms, &[], date(2026, 1, 1), date(2027, 2, 1));
    assert_eq!(heard, [""; 0]);
}

#[test]
fn whoever_has_numbers_hears_nothing() {
    let every = [
        "11512", "11602", "11604", "11606", "11608", "11610", "11612", "11702", "11704", "11706",
        "11708", "11710", "11712",
    ];
    for assignment in [Assignment::Period, Assignment::Year] {
        let heard = heard(
            terms(assignment),
            &every,
            date(2026, 12, 1),
            date(2027, 12, 31),
        );
        assert_eq!(heard, [""; 0], "{assignment:?}");
    }
}

#[test]
fn nothing_is_overdue_before_the_due_day_is_over_and_stages_of_one_day_are_one() {
    let table: [(i8, i16, &[&str]); 9] = [
        (
            20,
            2027,
            &["02-21 overdue", "02-28 last_day", "03-01 first_day"],
        ),
        (
            26,
            2027,
            &["02-27 overdue", "02-28 last_day", "03-01 first_day"],
        ),
        (27, 2027, &["02-28 last_day", "03-01 first_day"]),
        (28, 2027, &["03-01 first_day"]),
        (
            26,
            2028,
            &["02-27 overdue", "02-29 last_day", "03-01 first_day"],
        ),
        (
            27,
            2028,
            &["02-28 overdue", "02-29 last_day", "03-01 first_day"],
        ),
        (28, 2028, &["02-29 last_day", "03-01 first_day"]),
        // No leap year, for it ends a century.
        (28, 2100, &["03-01 first_day"]),
        (
            25,
            2100,
            &["02-26 overdue", "02-28 last_day", "03-01 first_day"],
        ),
    ];
    for (due_day, year, expected) in table {
        let heard = heard(
            days(due_day, 15),
            &[&Period::containing(date(year, 2, 1)).year_month()],
            date(year, 2, 20),
            date(year, 4, 14),
        );
        let next = Period::containing(date(year, 3, 1)).year_month();
        let expected: Vec<String> = expected
            .iter()
            .map(|one| one.replace(' ', &format!(" 09:00 {next} ")))
            .collect();
        assert_eq!(heard, expected, "due on {due_day} February {year}");
    }
}

#[test]
fn a_due_day_of_28_leaves_all_stages_to_the_longer_months() {
    for (first, last, expected) in [
        (
            date(2027, 4, 20),
            date(2027, 6, 1),
            ["04-29", "04-30", "05-01"],
        ),
        (
            date(2027, 8, 20),
            date(2027, 10, 1),
            ["08-29", "08-31", "09-01"],
        ),
        (
            date(2026, 12, 20),
            date(2027, 2, 1),
            ["12-29", "12-31", "01-01"],
        ),
    ] {
        let running = Period::containing(first).year_month();
        let heard = heard(days(28, 15), &[&running], first, last);
        let days: Vec<&str> = heard.iter().map(|one| one.split_at(5).0).collect();
        assert_eq!(days, expected);
    }
}

#[test]
fn the_due_day_itself_is_not_too_late_to_come() {
    let terms = terms(Assignment::Period);
    let last = datetime(2026, 12, 26, 8, 59, 59, 999_999_999);
    assert_eq!(heard_at(terms, &["11512"], &[last]), [""; 0]);
    let first = datetime(2026, 12, 26, 9, 0, 0, 0);
    assert_eq!(
        heard_at(terms, &["11512"], &[first]),
        ["12-26 09:00 11602 overdue"]
    );
}

#[test]
fn a_reminder_comes_on_any_day_from_the_1st_to_the_19th_and_not_later() {
    for reminder_day in 1..=19 {
        let heard = heard(
            days(25, reminder_day),
            &["11512"],
            date(2026, 11, 20),
            date(2026, 12, 24),
        );
        let expected = format!("12-{reminder_day:02} 09:00 11602 reminder");
        assert_eq!(heard, [expected]);
    }
}

#[test]
fn a_reminder_that_was_slept_through_is_sent_late_but_never_on_the_20th() {
    let terms = days(25, 3);
    for (now, expected) in [
        (datetime(2026, 12, 3, 8, 59, 0, 0), None),
        (datetime(2026, 12, 3, 9, 0, 0, 0), Some("12-03 09:00")),
        (datetime(2026, 12, 11, 2, 30, 0, 0), Some("12-11 02:30")),
        (datetime(2026, 12, 19, 23, 59, 0, 0), Some("12-19 23:59")),
        (datetime(2026, 12, 20, 0, 0, 0, 0), None),
        (datetime(2026, 12, 20, 9, 0, 0, 0), None),
        (datetime(2026, 12, 25, 9, 0, 0, 0), None),
        // Of the running period nobody is reminded, nor of the one after the next.
        (datetime(2026, 11, 19, 9, 0, 0, 0), None),
        (datetime(2027, 1, 15, 9, 0, 0, 0), None),
    ] {
        let expected = expected.map(|at| format!("{at} 11602 reminder"));
        let running = Period::containing(now.date()).year_month();
        let heard = heard_at(terms, &[&running], &[now]);
        assert_eq!(heard, Vec::from_iter(expected), "{now}");
    }
}

#[test]
fn whoever_was_off_over_several_stages_hears_of_the_latest_only() {
    let terms = terms(Assignment::Period);
    for (now, expected) in [
        (
            datetime(2026, 12, 27, 3, 0, 0, 0),
            "12-27 03:00 11602 overdue",
        ),
        (
            datetime(2026, 12, 31, 8, 59, 0, 0),
            "12-31 08:59 11602 overdue",
        ),
        (
            datetime(2026, 12, 31, 9, 0, 0, 0),
            "12-31 09:00 11602 last_day",
        ),
        (
            datetime(2027, 1, 1, 8, 59, 0, 0),
            "01-01 08:59 11602 last_day",
        ),
        (
            datetime(2027, 1, 1, 9, 0, 0, 0),
            "01-01 09:00 11602 first_day",
        ),
        (
            datetime(2027, 2, 14, 23, 0, 0, 0),
            "02-14 23:00 11602 first_day",
        ),
    ] {
        assert_eq!(heard_at(terms, &["11512"], &[now, now]), [expected]);
    }
    // Off for long, both the running period and the next are missing.
    let late = datetime(2027, 2, 26, 10, 0, 0, 0);
    let expected = ["02-26 10:00 11602 first_day", "02-26 10:00 11604 overdue"];
    assert_eq!(heard_at(terms, &[], &[late, late]), expected);
    // Of what is over nobody is told any more.
    let later = datetime(2027, 3, 1, 9, 0, 0, 0);
    let expected = ["03-01 09:00 11604 first_day"];
    assert_eq!(heard_at(terms, &[], &[later]), expected);
}

#[test]
fn what_had_begun_when_the_ledger_was_created_is_not_missed() {
    let until = date(2027, 2, 14);
    // On any day of the period before, its last included, the next one is ours.
    for created in [date(2026, 11, 1), date(2026, 12, 20), date(2026, 12, 31)] {
        let terms = since(Assignment::Period, created);
        let heard = heard(terms, &[], created, until);
        assert_eq!(heard.last().unwrap(), "01-01 09:00 11602 first_day");
        assert!(heard.iter().all(|one| one.contains("11602")), "{heard:?}");
    }
    // From its own first day on it is not.
    for created in [date(2027, 1, 1), date(2027, 1, 20), date(2027, 2, 10)] {
        let terms = since(Assignment::Period, created);
        assert_eq!(heard(terms, &[], created, until), [""; 0], "{created}");
    }
    // The next one is, of course.
    let terms = since(Assignment::Period, date(2027, 2, 28));
    let heard = heard(terms, &[], date(2027, 2, 28), date(2027, 3, 31));
    let expected = ["02-28 00:00 11604 overdue", "02-28 09:00 11604 last_day"];
    assert_eq!(heard[..2], expected);
}

#[test]
fn a_year_company_is_missed_from_the_year_after_the_ledger_was_created() {
    let year = |created| {
        let terms = since(Assignment::Year, created);
        let heard = heard(terms, &[], created, date(2028, 1, 31));
        let first = heard.first().unwrap();
        first.split(' ').nth(2).unwrap().to_owned()
    };
    assert_eq!(year(date(2026, 1, 1)), "116");
    assert_eq!(year(date(2026, 7, 20)), "116");
    assert_eq!(year(date(2026, 12, 1)), "116");
    assert_eq!(year(date(2026, 12, 31)), "116");
    assert_eq!(year(date(2027, 1, 1)), "117");
    // Created in the last days, it says so at once.
    let terms = since(Assignment::Year, date(2026, 12, 29));
    let now = datetime(2026, 12, 29, 15, 0, 0, 0);
    let heard = heard_at(terms, &["11512", "11602"], &[now]);
    let expected = ["12-29 15:00 116 overdue 11604,11606,11608,11610,11612"];
    assert_eq!(heard, expected);
}

#[test]
fn a_year_that_has_come_in_part_names_the_rest() {
    let mut daemon = Daemon::new(terms(Assignment::Year));
    let mut recorded = booklets(&["11512", "11602", "11604", "11608"]);
    daemon.runs(&recorded, date(2026, 12, 1), date(2026, 12, 30));
    recorded.extend(booklets(&["11606"]));
    daemon.runs(&recorded, date(2026, 12, 31), date(2026, 12, 31));
    recorded.extend(booklets(&["11610", "11612"]));
    daemon.runs(&recorded, date(2027, 1, 1), date(2027, 12, 1));
    let expected = [
        "12-26 09:00 116 overdue 11606,11610,11612",
        "12-31 09:00 116 last_day 11610,11612",
    ];
    assert_eq!(daemon.heard, expected);
}

#[test]
fn a_year_company_that_was_off_hears_of_what_is_not_over() {
    let now = datetime(2027, 5, 3, 7, 0, 0, 0);
    let heard = heard_at(terms(Assignment::Year), &["11608"], &[now, now]);
    assert_eq!(heard, ["05-03 07:00 116 first_day 11606,11610,11612"]);
}
