//! What is due, reminded, overdue and come, day by day.

use super::*;

const LONG_AGO: Date = Date::constant(2020, 1, 1);

fn terms(assignment: Assignment) -> Terms {
    Terms {
        assignment,
        days: Settings::default(),
        watched_since: LONG_AGO,
    }
}

fn booklets(periods: &[&str]) -> Booklets {
    let periods = periods.iter().map(|period| period.parse().unwrap());
    periods.map(|period| (period, 8)).collect()
}

#[test]
fn the_stages_of_a_period_that_never_comes() {
    let terms = terms(Assignment::Period);
    let mut told = BTreeMap::new();
    let mut calls = Vec::new();
    let mut now = Date::constant(2026, 12, 1).to_datetime(Time::midnight());
    while now.date() < Date::constant(2027, 2, 1) {
        for call in terms.calls(&booklets(&["11512"]), &told, now) {
            calls.push(format!("{now} {} {}", call.awaited, call.stage.as_str()));
            told.insert(call.awaited, call.stage);
        }
        now = now.saturating_add(1.hour());
    }
    let expected = [
        "2026-12-15T09:00:00 11602 reminder",
        "2026-12-26T09:00:00 11602 overdue",
        "2026-12-31T09:00:00 11602 last_day",
        "2027-01-01T09:00:00 11602 first_day",
    ];
    assert_eq!(calls, expected);
}
