//! What is due, as `status` and `allocations` show it beside a ledger that was created long ago.

use std::fs;

use invoice_trackd::{
    clock::{Clock, taipei_date},
    ledger::Ledger,
    notice::Period,
    schedule::{Awaited, Call, Stage},
};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::daemon::{House, Notice};

/// The company's numbers are awaited.
fn house() -> House {
    let house = super::house();
    let config = fs::read_to_string(house.path("config.toml")).unwrap();
    let awaited = config.replace("assignment = \"none\"", "assignment = \"period\"");
    assert_ne!(awaited, config);
    house.write("config.toml", awaited);
    house
}

/// A year ago the ledger was created, so that the running period's numbers are overdue whatever day
/// it is.
async fn old_ledger(house: &House) -> Ledger {
    let then = Clock::System.now() - SignedDuration::from_hours(24 * 365);
    Ledger::open(&house.path("ledger.db"), then).await.unwrap()
}

fn running() -> Period {
    Period::containing(taipei_date(Clock::System.now()))
}

fn page(house: &House, arguments: &[&str]) -> String {
    String::from_utf8(house.command(arguments).stdout).unwrap()
}

fn records_the_running_period(house: &House) {
    let period = running().to_string();
    let notice = Notice {
        period: &period,
        ..Notice::default()
    };
    let file = house.write("notice.eml", notice.eml());
    house.command(&["ingest", "--no-mail", file.to_str().unwrap()]);
}

/// What stands above the first list, in one line.
fn headline(status: &str) -> String {
    let (words, _) = status.split_once("\n\n").unwrap();
    words.replace('\n', " ")
}

const OVERDUE: &str = "1 company without the numbers that are due";

#[tokio::test]
async fn numbers_that_are_overdue_are_in_the_headline_until_they_come() {
    let house = house();
    old_ledger(&house).await.close().await;
    let status = page(&house, &["status"]);
    assert!(status.starts_with("needs attention"), "{status}");
    assert!(headline(&status).contains(OVERDUE), "{status}");
    assert_eq!(
        status.matches("OVERDUE").count(),
        overdue(&house),
        "{status}"
    );

    records_the_running_period(&house);
    let status = page(&house, &["status"]);
    let title = format!("本期 {}", running().year_month());
    assert!(status.contains(&title), "{status}");
    let row = status
        .lines()
        .find(|line| line.contains("53567686"))
        .unwrap();
    assert!(row.contains(" 128 "), "{status}");
    let is_said = headline(&status).contains(OVERDUE);
    assert_eq!(is_said, overdue(&house) > 0, "{status}");
}

/// In the days between the due day and the end of a period, the next one's numbers are overdue too.
fn overdue(house: &House) -> usize {
    let (_, status) = house.json(&["status", "--json"]);
    let due = status["due"].as_array().unwrap().iter();
    due.filter(|due| due["state"] == "overdue").count()
}

#[tokio::test]
async fn machines_read_what_is_due_and_what_people_were_told_of_it() {
    let house = house();
    let ledger = old_ledger(&house).await;
    let told_at = "2026-01-02T03:04:05.678Z".parse().unwrap();
    let came_at = "2026-01-03T03:04:05Z".parse().unwrap();
    let ban = "53567686".parse().unwrap();
    for (period, stage) in [
        (running().previous(), Stage::FirstDay),
        (running(), Stage::LastDay),
    ] {
        let mut transaction = ledger.begin().await.unwrap();
        let awaited = Awaited::Period(period);
        let call = Call {
            awaited,
            stage,
            missing: vec![period],
            due_by: "2026-01-01".parse().unwrap(),
        };
        let told = transaction.set_told(ban, &call, told_at);
        told.await.unwrap();
        if stage == Stage::FirstDay {
            let come = transaction.set_come(ban, awaited, came_at);
            come.await.unwrap();
        }
        transaction.commit().await.unwrap();
    }
    ledger.close().await;
    let (code, status) = house.json(&["status", "--json"]);
    assert_eq!(code, 0);
    let due = status["due"].as_array().unwrap();
    let facts = |key: &str| {
        due.iter()
            .map(|due| due[key].clone())
            .collect::<Vec<Value>>()
    };
    assert_eq!(
        facts("ban"),
        [json!("53567686"), json!("53567686"), json!("53567686")]
    );
    assert_eq!(facts("assignment"), ["period", "period", "period"]);
    assert_eq!(facts("when"), ["past", "current", "next"]);
    assert_eq!(facts("booklets"), [json!(0), json!(0), json!(0)]);
    let periods = [running().previous(), running(), running().next()];
    assert_eq!(facts("year_month"), periods.map(Period::year_month));
    assert_eq!(facts("state")[..2], ["missed", "overdue"]);
    for date in [facts("expected_on"), facts("due_by")].concat() {
        date.as_str().unwrap().parse::<jiff::civil::Date>().unwrap();
    }
    let told_at = "2026-01-02T03:04:05.678Z";
    assert_eq!(
        facts("told"),
        [
            json!({ "stage": "first_day", "told_at": told_at, "came_at": "2026-01-03T03:04:05Z" }),
            json!({ "stage": "last_day", "told_at": told_at, "came_at": null }),
            Value::Null,
        ]
    );
}

#[tokio::test]
async fn allocations_say_below_the_ranges_what_is_due() {
    let house = house();
    let of_all = page(&house, &["allocations"]);
    assert!(of_all.starts_with("nothing is recorded yet"), "{of_all}");
    assert!(of_all.contains("\nDue 應收到的配號"), "{of_all}");
    old_ledger(&house).await.close().await;
    assert!(page(&house, &["allocations"]).contains("OVERDUE"));

    records_the_running_period(&house);
    let of_all = page(&house, &["allocations"]);
    let (ranges, due) = of_all.split_once("\n\nDue 應收到的配號").unwrap();
    assert!(ranges.contains("22628000-22634399"), "{of_all}");
    assert!(
        due.contains("53567686") && due.contains(" 128 "),
        "{of_all}"
    );
    assert_eq!(page(&house, &["allocations", "--ban", "53567686"]), of_all);
    let year_month = running().year_month();
    let of_one = page(&house, &["allocations", "--year-month", &year_month]);
    assert_eq!(of_one, format!("{ranges}\n"));
    let unknown = page(&house, &["allocations", "--ban", "24634102"]);
    assert!(unknown.starts_with("nothing is recorded for"), "{unknown}");
    assert_eq!(unknown.lines().count(), 1, "{unknown}");
}
