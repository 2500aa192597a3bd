//! It comes after all: people hear of it once, if they had heard that it was missing.

use super::*;

/// A ledger on the morning of the first alarm, which is in a letter.
async fn alarmed(companies: Vec<Company>) -> Office {
    let mut office = Office::new(companies, "2026-11-05T12:00").await;
    let companies = office.expected.borrow().companies.clone();
    for company in companies.iter() {
        office.grants(company.ban.as_str(), "11512").await;
    }
    office.look_at("2026-12-26T09:00").await;
    assert_eq!(office.told().await.len(), companies.iter().count());
    office.posts().await;
    office
}

#[tokio::test]
async fn what_was_missed_and_comes_is_told_once() {
    let mut office = alarmed(period_company()).await;
    office.grants(ONE, "11602").await;
    office.look_at("2026-12-27T15:00").await;
    let [_, Cause::NoticeArrived(arrived)] = &office.causes().await[..] else {
        panic!("expected an alarm and its end");
    };
    let come = &arrived.companies[0];
    assert_eq!((come.awaited.as_str(), come.booklets), ("11602", 1));
    assert_eq!(come.told_at, at("2026-12-26T09:00"));
    let mut office = office.restart(at("2026-12-27T15:01")).await;
    office.grants(ONE, "11602").await;
    for now in ["2026-12-27T15:01", "2026-12-31T09:00", "2027-01-01T09:00"] {
        office.look_at(now).await;
    }
    assert_eq!(office.told().await.len(), 2);
    assert_eq!(office.vitals.borrow().overdue, 0);
}

#[tokio::test]
async fn it_is_told_even_when_the_period_is_over() {
    let mut office = alarmed(period_company()).await;
    office.look_at("2027-01-01T09:00").await;
    office.posts().await;
    // A reminder of the next one comes in between.
    office.look_at("2027-02-16T09:00").await;
    let mut office = office.restart(at("2027-11-20T09:00")).await;
    office.expects(Vec::new());
    office.look_at("2027-11-20T09:00").await;
    office.expects(period_company());
    office.grants(ONE, "11612").await;
    office.grants(ONE, "11702").await;
    office.grants(ONE, "11602").await;
    office.look_at("2027-11-20T09:01").await;
    let told = office.told().await;
    assert_eq!(told[3..], [format!("{ONE} 11602 has come")]);
    office.look_at("2027-11-20T09:02").await;
    assert_eq!(office.told().await.len(), 4);
}

#[tokio::test]
async fn a_reminder_needs_no_end() {
    let mut office = Office::new(period_company(), "2026-11-05T12:00").await;
    office.grants(ONE, "11512").await;
    office.look_at("2026-12-15T09:00").await;
    office.posts().await;
    office.grants(ONE, "11602").await;
    office.look_at("2026-12-20T11:00").await;
    assert_eq!(office.told().await, [format!("{ONE} 11602 reminder")]);
}

#[tokio::test]
async fn an_alarm_that_is_in_no_letter_yet_is_taken_back() {
    let companies = vec![
        company(ONE, Assignment::Period),
        company(TWO, Assignment::Period),
    ];
    let mut office = Office::new(companies, "2026-11-05T12:00").await;
    office.grants(ONE, "11512").await;
    office.grants(TWO, "11512").await;
    office.look_at("2026-12-26T09:00").await;
    office.grants(ONE, "11602").await;
    office.look_at("2026-12-26T09:01").await;
    assert_eq!(office.told().await, [format!("{TWO} 11602 overdue")]);
    office.grants(TWO, "11602").await;
    office.look_at("2026-12-26T09:02").await;
    assert_eq!(office.told().await, [""; 0]);
    office.look_at("2026-12-31T09:00").await;
    assert_eq!(office.told().await, [""; 0]);
}

#[tokio::test]
async fn the_end_is_told_where_an_earlier_alarm_has_gone_out_although_the_last_has_not() {
    let mut office = alarmed(period_company()).await;
    office.look_at("2026-12-31T09:00").await;
    office.grants(ONE, "11602").await;
    office.look_at("2026-12-31T09:01").await;
    let expected = ["11602 overdue", "11602 last_day", "11602 has come"];
    assert_eq!(
        office.told().await,
        expected.map(|one| format!("{ONE} {one}"))
    );
}

#[tokio::test]
async fn what_is_withdrawn_after_it_came_is_missed_at_the_next_stage() {
    let mut office = alarmed(period_company()).await;
    let granted = office.grants(ONE, "11602").await;
    office.look_at("2026-12-27T09:00").await;
    office.posts().await;
    office.withdraws(granted).await;
    office.looks("2026-12-27T09:10", "2026-12-27T12:00").await;
    assert_eq!(office.told().await.len(), 2, "the person who did it knows");
    office.look_at("2026-12-31T09:00").await;
    office.posts().await;
    office.grants(ONE, "11602").await;
    office.look_at("2026-12-31T15:00").await;
    let expected = ["overdue", "has come", "last_day", "has come"];
    assert_eq!(
        office.told().await,
        expected.map(|one| format!("{ONE} 11602 {one}"))
    );
}

#[tokio::test]
async fn a_year_has_come_when_all_of_it_has_that_is_not_over() {
    let mut office = alarmed(vec![company(ONE, Assignment::Year)]).await;
    for year_month in ["11602", "11604", "11606", "11608", "11610"] {
        office.grants(ONE, year_month).await;
        office.look_at("2026-12-28T09:00").await;
    }
    let all = "11602,11604,11606,11608,11610,11612";
    let mut expected = vec![format!("{ONE} 116 overdue {all}")];
    assert_eq!(office.told().await, expected);
    office.look_at("2027-01-01T09:00").await;
    office.posts().await;
    office.grants(ONE, "11612").await;
    office.look_at("2027-01-03T09:00").await;
    expected.push(format!("{ONE} 116 first_day 11612"));
    expected.push(format!("{ONE} 116 has come"));
    assert_eq!(office.told().await, expected);
    let causes = office.causes().await;
    let Some(Cause::NoticeArrived(arrived)) = causes.last() else {
        panic!("expected the end");
    };
    assert_eq!(arrived.companies[0].booklets, 6);
}

#[tokio::test]
async fn a_year_that_comes_in_march_has_come_and_one_that_is_over_has_not() {
    let mut office = alarmed(vec![
        company(ONE, Assignment::Year),
        company(TWO, Assignment::Year),
    ])
    .await;
    // The one applied too late for January and February, the other lacks only those.
    for year_month in ["11604", "11606", "11608", "11610", "11612"] {
        office.grants(TWO, year_month).await;
    }
    office.look_at("2027-01-01T09:00").await;
    office.posts().await;
    let so_far = office.told().await.len();
    office.looks("2027-02-28T23:00", "2027-03-01T10:00").await;
    assert_eq!(
        office.told().await.len(),
        so_far,
        "that it is over is no news"
    );
    for year_month in ["11604", "11606", "11608", "11610", "11612"] {
        office.grants(ONE, year_month).await;
    }
    office.looks("2027-03-15T09:00", "2027-03-15T09:30").await;
    office.looks("2027-12-31T23:30", "2028-01-01T10:00").await;
    let told = office.told().await;
    let ends: Vec<&String> = told.iter().filter(|one| one.contains("has come")).collect();
    assert_eq!(ends, [&format!("{ONE} 116 has come")]);
}

#[tokio::test]
async fn what_came_to_whoever_is_awaited_no_more_is_told_all_the_same() {
    let mut office = alarmed(period_company()).await;
    office.expects(vec![company(ONE, Assignment::None)]);
    office.grants(ONE, "11602").await;
    office.look_at("2026-12-28T09:00").await;
    assert_eq!(office.told().await[1..], [format!("{ONE} 11602 has come")]);
}
