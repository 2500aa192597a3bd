//! Each stage is told once: over restarts, after days off, and when the power fails in between.

use super::*;

#[tokio::test]
async fn a_silent_period_is_told_of_four_times_whatever_is_restarted() {
    let mut office = Office::new(period_company(), "2026-11-05T12:00").await;
    office.grants(ONE, "11512").await;
    let mut expected = Vec::new();
    for (before, moment, told) in [
        ("2026-12-15T08:59", "2026-12-15T09:00", "reminder"),
        ("2026-12-26T08:59", "2026-12-26T09:00", "overdue"),
        ("2026-12-31T08:59", "2026-12-31T09:00", "last_day"),
        ("2027-01-01T08:59", "2027-01-01T09:00", "first_day"),
    ] {
        office.look_at(before).await;
        assert_eq!(office.told().await, expected);
        office.look_at(moment).await;
        expected.push(format!("{ONE} 11602 {told}"));
        assert_eq!(office.told().await, expected);
        for minute in [0, 1, 2, 60, 900] {
            let now = at(moment) + minutes(minute);
            office.look(now).await;
            office = office.restart(now).await;
            office.look(now).await;
        }
        assert_eq!(office.told().await, expected);
    }
    // And then no more.
    for day in ["2027-01-02T09:00", "2027-01-31T23:59", "2027-02-14T12:00"] {
        office.look_at(day).await;
    }
    assert_eq!(office.told().await, expected);
    assert_eq!(office.vitals.borrow().overdue, 1);
}

#[tokio::test]
async fn a_daemon_that_was_off_over_several_stages_tells_of_the_latest() {
    let mut office = Office::new(period_company(), "2026-11-05T12:00").await;
    office.grants(ONE, "11512").await;
    office.look_at("2026-12-01T12:00").await;
    let mut office = office.restart(at("2027-01-20T02:00")).await;
    office.look_at("2027-01-20T02:00").await;
    office.look_at("2027-01-20T09:00").await;
    assert_eq!(office.told().await, [format!("{ONE} 11602 first_day")]);
}

#[tokio::test]
async fn an_alarm_says_what_may_stand_in_the_way() {
    let mut office = Office::new(period_company(), "2026-11-05T12:00").await;
    office.grants(ONE, "11512").await;
    office.look_at("2026-12-26T09:00").await;
    let [Cause::NoticeOverdue(overdue)] = &office.causes().await[..] else {
        panic!("expected one alarm");
    };
    assert_eq!((overdue.nobodys, overdue.waiting), (0, 0));
    let missing = &overdue.companies[0];
    assert_eq!(missing.year_months, ["11602"]);
    assert_eq!(missing.due_by.to_string(), "2026-12-25");
    assert_eq!(missing.quarantined, [0_i64; 0]);
}

#[tokio::test]
async fn a_reminder_says_how_many_booklets_there_are() {
    let mut office = Office::new(period_company(), "2026-09-05T12:00").await;
    for year_month in ["11510", "11512", "11512", "11508"] {
        office.grants(ONE, year_month).await;
    }
    office.look_at("2026-12-15T09:00").await;
    let [Cause::NoticeReminder(reminder)] = &office.causes().await[..] else {
        panic!("expected one reminder");
    };
    assert_eq!(reminder.year_month, "11602");
    assert_eq!(reminder.until.to_string(), "2026-12-19");
    let company = &reminder.companies[0];
    assert_eq!((company.booklets, company.booklets_before), (2, 1));
}

#[tokio::test]
async fn that_people_are_told_and_that_they_were_is_written_down_together_or_not_at_all() {
    for table in ["news", "alarm"] {
        let mut office = Office::new(period_company(), "2026-11-05T12:00").await;
        office.grants(ONE, "11512").await;
        // The power fails at that row.
        let fails = format!(
            "CREATE TRIGGER fails BEFORE INSERT ON {table} BEGIN SELECT raise(ABORT, 'gone'); END"
        );
        office.sql(&fails).await;
        for now in ["2026-12-26T09:00", "2026-12-26T09:01"] {
            let looked = office.tries_to_look(at(now)).await;
            assert!(looked.is_err(), "{table}");
        }
        assert_eq!(office.told().await, [""; 0], "{table}");
        assert_eq!(office.alarms().await, 0, "{table}");
        office.sql("DROP TRIGGER fails").await;
        let mut office = office.restart(at("2026-12-26T09:02")).await;
        office.look_at("2026-12-26T09:02").await;
        office.look_at("2026-12-26T09:03").await;
        assert_eq!(office.told().await, [format!("{ONE} 11602 overdue")]);
    }
}

#[tokio::test]
async fn nothing_is_missed_before_every_mailbox_has_been_scanned() {
    let mut office = Office::new(period_company(), "2026-11-05T12:00").await;
    office.grants(ONE, "11512").await;
    office.scans("second", false);
    office.looks("2026-12-26T09:00", "2026-12-26T12:00").await;
    assert_eq!(office.told().await, [""; 0], "it may be in the second");
    // One that does not answer is not waited for longer than five minutes.
    let fails = |office: &Office, since: &str| {
        let since = Some(at(since));
        office.vitals.send_modify(|vitals| {
            vitals.mailboxes.get_mut("second").unwrap().failing_since = since;
        });
    };
    fails(&office, "2026-12-26T12:01");
    office.look_at("2026-12-26T12:05").await;
    assert_eq!(office.told().await, [""; 0]);
    office.look_at("2026-12-26T12:06").await;
    assert_eq!(office.told().await, [format!("{ONE} 11602 overdue")]);

    // Nor for ever where it began to fail under a clock that was ahead.
    let mut office = office.restart(at("2026-12-31T09:00")).await;
    office.scans("second", false);
    fails(&office, "2036-12-31T08:59");
    office.look_at("2026-12-31T09:00").await;
    assert_eq!(office.told().await.len(), 2);
}

#[tokio::test]
async fn a_notice_that_comes_between_two_looks_is_not_missed() {
    let mut office = Office::new(period_company(), "2026-11-05T12:00").await;
    office.grants(ONE, "11512").await;
    office.look_at("2026-12-26T08:59").await;
    office.grants(ONE, "11602").await;
    office.looks("2026-12-26T09:00", "2026-12-26T10:00").await;
    office.look_at("2027-01-01T09:00").await;
    assert_eq!(office.told().await, [""; 0]);
    assert_eq!(office.vitals.borrow().overdue, 0);
}

#[tokio::test]
async fn a_company_that_is_removed_or_stopped_is_not_missed_and_is_not_told_twice_when_it_is_back()
{
    let mut office = Office::new(period_company(), "2026-11-05T12:00").await;
    office.grants(ONE, "11512").await;
    office.look_at("2026-12-26T09:00").await;
    let overdue = format!("{ONE} 11602 overdue");
    assert_eq!(office.told().await, std::slice::from_ref(&overdue));
    office.expects(Vec::new());
    office.look_at("2026-12-31T09:00").await;
    office.expects(vec![company(ONE, Assignment::None)]);
    office.look_at("2026-12-31T10:00").await;
    assert_eq!(office.told().await, std::slice::from_ref(&overdue));
    assert_eq!(office.vitals.borrow().overdue, 0);
    office.expects(period_company());
    office.look_at("2026-12-31T11:00").await;
    office.look_at("2026-12-31T12:00").await;
    let last_day = format!("{ONE} 11602 last_day");
    assert_eq!(office.told().await, [overdue, last_day]);
}

#[tokio::test]
async fn a_ledger_that_was_created_in_the_middle_of_a_period_misses_only_the_next() {
    let mut office = Office::new(period_company(), "2027-01-01T00:30").await;
    office.looks("2027-01-01T00:30", "2027-01-01T12:00").await;
    office.look_at("2027-02-26T09:00").await;
    assert_eq!(office.told().await, [format!("{ONE} 11604 overdue")]);
}
