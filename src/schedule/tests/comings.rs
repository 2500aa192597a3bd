//! What comes early, late, in part, is withdrawn, or is awaited differently from now on.

use super::*;

#[test]
fn a_notice_that_comes_early_is_not_reminded_of() {
    let recorded = ["11512", "11602"];
    let heard = heard(
        terms(Assignment::Period),
        &recorded,
        date(2026, 12, 1),
        date(2027, 2, 14),
    );
    assert_eq!(heard, [""; 0]);
}

#[test]
fn a_notice_that_comes_between_two_stages_ends_them() {
    let mut daemon = Daemon::new(terms(Assignment::Period));
    let mut recorded = booklets(&["11512"]);
    daemon.runs(&recorded, date(2026, 12, 1), date(2026, 12, 27));
    recorded.extend(booklets(&["11602"]));
    daemon.runs(&recorded, date(2026, 12, 28), date(2027, 2, 1));
    let expected = ["12-15 09:00 11602 reminder", "12-26 09:00 11602 overdue"];
    assert_eq!(daemon.heard, expected);
}

#[test]
fn a_range_that_is_withdrawn_is_missed_from_the_stage_of_the_moment_on() {
    let whole = booklets(&["11512", "11602"]);
    let less = booklets(&["11512"]);
    // Before all stages: as if it had never come.
    let mut daemon = Daemon::new(terms(Assignment::Period));
    daemon.runs(&whole, date(2026, 12, 1), date(2026, 12, 22));
    daemon.runs(&less, date(2026, 12, 23), date(2027, 1, 31));
    let expected = [
        "12-26 09:00 11602 overdue",
        "12-31 09:00 11602 last_day",
        "01-01 09:00 11602 first_day",
    ];
    assert_eq!(daemon.heard, expected);
    // In the middle of the period, before anybody was told.
    let mut daemon = Daemon::new(terms(Assignment::Period));
    daemon.runs(&whole, date(2026, 12, 1), date(2027, 1, 9));
    daemon.runs(&less, date(2027, 1, 10), date(2027, 1, 31));
    assert_eq!(daemon.heard, ["01-10 00:00 11602 first_day"]);
    // After it was missed and came: what was said is not said again.
    let mut daemon = Daemon::new(terms(Assignment::Period));
    daemon.runs(&less, date(2026, 12, 20), date(2027, 1, 2));
    daemon.runs(&whole, date(2027, 1, 3), date(2027, 1, 4));
    daemon.runs(&less, date(2027, 1, 5), date(2027, 1, 31));
    assert_eq!(daemon.heard, expected);
}

#[test]
fn an_assignment_that_changes_is_another_thing_to_wait_for() {
    let recorded = booklets(&["11510", "11512"]);
    // Changed for the next year after this one's last numbers have come.
    let mut daemon = Daemon::new(terms(Assignment::Period));
    daemon.runs(&recorded, date(2026, 9, 1), date(2026, 11, 30));
    daemon.terms = terms(Assignment::Year);
    daemon.runs(&recorded, date(2026, 12, 1), date(2026, 12, 30));
    let expected = ["12-26 09:00 116 overdue 11602,11604,11606,11608,11610,11612"];
    assert_eq!(daemon.heard, expected);
    // Back again, after 年配 did not work out: the period's own stages are not over.
    daemon.terms = terms(Assignment::Period);
    daemon.runs(&recorded, date(2026, 12, 31), date(2027, 1, 31));
    let rest = [
        "12-31 00:00 11602 overdue",
        "12-31 09:00 11602 last_day",
        "01-01 09:00 11602 first_day",
    ];
    assert_eq!(daemon.heard[1..], rest);
    // 停止使用 ends everything.
    daemon.terms = terms(Assignment::None);
    daemon.runs(&recorded, date(2027, 2, 1), date(2027, 6, 30));
    assert_eq!(daemon.heard.len(), 4);
}

#[test]
fn what_people_were_told_of_is_ours_whenever_the_ledger_says_it_was_created() {
    // A ledger that a clock that was ahead has dated counts as created today, every day anew.
    let mut daemon = Daemon::new(terms(Assignment::Period));
    let mut day = date(2026, 12, 10);
    while day < date(2027, 1, 10) {
        daemon.terms.watched_since = day;
        daemon.runs(&booklets(&["11512"]), day, day);
        day = day.tomorrow().unwrap();
    }
    let expected = [
        "12-15 09:00 11602 reminder",
        "12-26 09:00 11602 overdue",
        "12-31 09:00 11602 last_day",
        "01-01 09:00 11602 first_day",
    ];
    assert_eq!(daemon.heard, expected);
}

#[test]
fn a_call_says_by_when_it_was_due() {
    let call = |terms: Terms, now| {
        let calls = terms.calls(&booklets(&["11512"]), &BTreeMap::new(), now);
        calls.into_iter().next().unwrap().due_by
    };
    let now = datetime(2026, 12, 30, 9, 0, 0, 0);
    assert_eq!(call(days(27, 15), now), date(2026, 12, 27));
    assert_eq!(call(terms(Assignment::Year), now), date(2026, 12, 25));
    let reminded = datetime(2026, 12, 16, 9, 0, 0, 0);
    assert_eq!(
        call(terms(Assignment::Period), reminded),
        date(2026, 12, 25)
    );
    assert_eq!(last_day_to_change(period("11602")), date(2026, 12, 19));
}

#[test]
fn a_company_has_days_of_its_own() {
    let ban = "53567686".parse().unwrap();
    let mut company = Company::new(ban, "甲");
    company.due_day = Some(28);
    let of = Terms::of(&company, Settings::default(), LONG_AGO);
    assert_eq!(of.days, days(28, 15).days);
    company.reminder_day = Some(2);
    let of = Terms::of(&company, Settings::default(), LONG_AGO);
    assert_eq!(of.days, days(28, 2).days);
}

#[test]
fn numbers_that_were_missing_have_come_when_none_is_missing_that_is_not_over() {
    let year = ["11602", "11604", "11606"].map(period);
    let table: [(&[&str], Date, Progress); 8] = [
        (&[], date(2026, 12, 27), Progress::None),
        // That they are over is no progress.
        (&[], date(2028, 1, 1), Progress::None),
        (&["11512"], date(2027, 1, 1), Progress::None),
        (
            &["11604"],
            date(2027, 1, 1),
            Progress::Part(vec![period("11602"), period("11606")]),
        ),
        (
            &["11602", "11604"],
            date(2027, 6, 30),
            Progress::Part(vec![period("11606")]),
        ),
        (&["11604", "11606"], date(2027, 3, 1), Progress::Done),
        (
            &["11602", "11604", "11606"],
            date(2026, 12, 27),
            Progress::Done,
        ),
        (
            &["11602", "11604", "11606"],
            date(2028, 1, 1),
            Progress::Done,
        ),
    ];
    for (recorded, today, expected) in table {
        let progress = Progress::of(&year, &booklets(recorded), today);
        assert_eq!(progress, expected, "{recorded:?} on {today}");
    }
}

#[test]
fn awaited_reads_as_it_is_written() {
    for text in ["11602", "116", "09912", "099", "99912", "999", "001"] {
        assert_eq!(text.parse::<Awaited>().unwrap().to_string(), text);
    }
    for text in [
        "",
        "000",
        "11",
        "1160",
        "11601",
        "11614",
        "116021",
        "1l6",
        "１１６",
        "-16",
    ] {
        let error = text.parse::<Awaited>().unwrap_err().to_string();
        assert!(error.contains(&format!("found `{text}`")), "{error}");
    }
}

#[test]
fn nobody_can_be_told_of_a_stage_before_its_earliest_moment() {
    let (next, year) = (Awaited::Period(period("11602")), Awaited::Year(116));
    for (awaited, stage, earliest) in [
        (next, Stage::Reminder, date(2026, 12, 1)),
        (next, Stage::Overdue, date(2026, 12, 21)),
        (next, Stage::LastDay, date(2026, 12, 31)),
        (next, Stage::FirstDay, date(2027, 1, 1)),
        (year, Stage::Overdue, date(2026, 12, 21)),
        (year, Stage::FirstDay, date(2027, 1, 1)),
    ] {
        assert_eq!(awaited.earliest(stage), earliest.to_datetime(HOUR));
    }
    // Whatever the days are, the first call is not before that.
    for (due_day, reminder_day) in [(20, 1), (25, 15), (28, 19)] {
        let mut daemon = Daemon::new(days(due_day, reminder_day));
        let mut now = datetime(2026, 11, 1, 0, 0, 0, 0);
        while now.date() < date(2028, 1, 1) {
            let calls = daemon.terms.calls(&booklets(&["11512"]), &daemon.told, now);
            for call in calls {
                assert!(call.awaited.earliest(call.stage) <= now);
                daemon.told.insert(call.awaited, call.stage);
            }
            now = now.saturating_add(30.minutes());
        }
    }
}
