//! Clocks that are wrong: set back or ahead, nobody hears anything twice, and nothing that a wrong
//! clock has told keeps the real alarm from coming.

use super::*;

#[tokio::test]
async fn a_clock_that_is_set_back_and_forward_again_tells_nothing_twice() {
    let mut office = Office::new(period_company(), "2026-09-05T12:00").await;
    for year_month in ["11510", "11512"] {
        office.grants(ONE, year_month).await;
    }
    office.look_at("2026-12-15T09:00").await;
    office.look_at("2026-12-26T09:05").await;
    let told = office.told().await;
    assert_eq!(told.len(), 2);
    for back in [
        "2026-12-26T08:05",
        "2026-12-25T09:05",
        "2026-12-16T12:00",
        "2026-10-26T09:05",
        "1970-01-01T08:00",
    ] {
        // An evening, with a restart in the middle.
        for round in 0..3 {
            let first = at(back) + minutes(round * 60);
            for look in 0..6 {
                office.look(first + minutes(look * 10)).await;
            }
            office = office.restart(first + minutes(60)).await;
        }
        assert_eq!(office.told().await, told, "{back}");
        for now in ["2026-12-26T09:06", "2026-12-26T11:00"] {
            office.look_at(now).await;
        }
        assert_eq!(office.told().await, told, "and forward from {back}");
    }
}

#[tokio::test]
async fn a_clock_that_lags_a_whole_day_behind_tells_nothing_twice() {
    let mut office = Office::new(period_company(), "2026-11-05T12:00").await;
    office.grants(ONE, "11512").await;
    office.look_at("2026-12-31T09:00").await;
    // What was told lies ahead for a day, to the minute.
    office.looks("2026-12-30T09:00", "2026-12-31T12:00").await;
    let expected = [format!("{ONE} 11602 last_day")];
    assert_eq!(office.told().await, expected);
    assert_eq!(office.alarms().await, 1);
}

#[tokio::test]
async fn what_a_clock_ten_years_ahead_told_is_forgotten_after_a_day_of_a_clock_that_is_right() {
    let mut office = Office::new(period_company(), "2026-11-05T12:00").await;
    office.grants(ONE, "11512").await;
    office.look_at("2026-12-10T12:00").await;
    for minute in 0..30 {
        office.look(at("2036-12-16T10:00") + minutes(minute)).await;
    }
    let ahead = [
        format!("{ONE} 12602 reminder"),
        format!("{ONE} 12512 first_day"),
    ];
    assert_eq!(office.told().await, ahead, "one of each");
    assert_eq!(office.alarms().await, 2);

    // Right again, but not yet for long enough, and not after a restart or a further jump.
    office.looks("2026-12-10T12:10", "2026-12-11T12:10").await;
    assert_eq!(office.alarms().await, 2);
    let mut office = office.restart(at("2026-12-11T12:20")).await;
    office.looks("2026-12-11T12:20", "2026-12-12T12:20").await;
    office.looks("2026-12-12T22:20", "2026-12-13T22:20").await;
    assert_eq!(office.alarms().await, 2);
    office.look_at("2026-12-13T22:21").await;
    assert_eq!(office.alarms().await, 0);
    assert_eq!(office.told().await, ahead);

    // In its own time all of it is told, even at the minute at which the wrong clock told it.
    office.look_at("2026-12-15T09:00").await;
    office.look_at("2026-12-26T09:00").await;
    office.look_at("2036-12-16T10:05").await;
    let told = office.told().await;
    let real = [
        format!("{ONE} 11602 reminder"),
        format!("{ONE} 11602 overdue"),
    ];
    assert_eq!(told[2..4], real);
    assert_eq!(told[4..], ahead);
}

#[tokio::test]
async fn a_clock_that_was_some_days_ahead_does_not_keep_the_real_alarm_from_coming() {
    let mut office = Office::new(period_company(), "2026-11-05T12:00").await;
    office.grants(ONE, "11512").await;
    // It is the 16th, and the clock says New Year.
    office.look_at("2027-01-01T09:05").await;
    office.looks("2026-12-16T12:00", "2026-12-17T12:10").await;
    for now in ["2026-12-26T09:00", "2026-12-31T09:00", "2027-01-01T09:05"] {
        office.look_at(now).await;
    }
    let expected = ["first_day", "reminder", "overdue", "last_day", "first_day"];
    assert_eq!(
        office.told().await,
        expected.map(|one| format!("{ONE} 11602 {one}"))
    );
}

#[tokio::test]
async fn a_clock_that_stays_ahead_is_believed() {
    let mut office = Office::new(period_company(), "2026-11-05T12:00").await;
    office.grants(ONE, "11512").await;
    office.look_at("2026-12-26T09:00").await;
    office.looks("2027-01-10T09:00", "2027-01-11T12:00").await;
    let expected = ["overdue", "first_day"];
    assert_eq!(
        office.told().await,
        expected.map(|one| format!("{ONE} 11602 {one}"))
    );
}

#[tokio::test]
async fn a_ledger_that_a_clock_ahead_has_dated_is_watched_from_the_real_day_on() {
    let mut office = Office::new(period_company(), "2036-07-01T12:00").await;
    office.looks("2036-07-01T12:00", "2036-07-01T12:30").await;
    assert_eq!(office.told().await, [""; 0]);
    for now in [
        "2026-12-15T09:00",
        "2026-12-26T09:00",
        "2026-12-31T09:00",
        "2027-01-01T09:00",
    ] {
        office.look_at(now).await;
    }
    let expected = ["reminder", "overdue", "last_day", "first_day"];
    assert_eq!(
        office.told().await,
        expected.map(|one| format!("{ONE} 11602 {one}"))
    );
}
