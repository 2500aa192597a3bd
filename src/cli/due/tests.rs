//! The overview of what is due: as it is shown, and as machines read it.

use proptest::prelude::*;
use serde_json::json;

use super::{super::table::trial::*, *};
use crate::schedule::Stage;

fn day(text: &str) -> Date {
    text.parse().unwrap()
}

fn company(ban: &str, name: &str, assignment: Assignment) -> Company {
    Company {
        assignment,
        ..Company::new(ban.parse().unwrap(), name)
    }
}

/// Three merchants: 期配, 年配, 停止使用.
fn merchants() -> Vec<Company> {
    vec![
        company("53567686", "雲端行動科技股份有限公司", Assignment::Period),
        company(
            "24634102",
            "年年有餘百貨股份有限公司台北分公司",
            Assignment::Year,
        ),
        company("04595257", "停用商行", Assignment::None),
    ]
}

/// A ledger of 2025 in which these companies have so many booklets.
fn known(booklets: &[(&str, &str, u64)]) -> Known {
    let mut known = Known {
        since: day("2025-01-01"),
        ..Known::default()
    };
    for (ban, period, count) in booklets {
        let periods = known.booklets.entry(ban.parse().unwrap()).or_default();
        periods.insert(period.parse().unwrap(), *count);
    }
    known
}

fn dues<'a>(companies: &'a [Company], known: Known, today: &str) -> Dues<'a> {
    Dues::reckon(
        companies.iter(),
        schedule::Settings::default(),
        known,
        day(today),
    )
}

fn assert_page(dues: &Dues<'_>, screen: Screen, expected: &str) {
    let page = dues.page(screen, "`--json` has all");
    assert_eq!(page.trim_end(), expected.trim(), "found:\n{page}");
}

#[test]
fn each_company_has_a_row_with_three_periods_and_what_is_due_when() {
    let merchants = merchants();
    let known = known(&[
        ("53567686", "11510", 128),
        ("53567686", "11512", 1128),
        ("24634102", "11510", 6),
        ("24634102", "11512", 6),
        ("04595257", "11510", 1),
    ]);
    let dues = dues(&merchants, known, "2026-11-23");
    assert_eq!(dues.overdue(), 0);
    assert_page(
        &dues,
        PLAIN,
        "
Due 應收到的配號 (booklets 本)
  統編 ban  名稱 name         上期 11510  本期 11512  下期 11602  應收 due
  53567686  雲端行動科技股…          128        1128           —  11602 by 12-25
  24634102  年年有餘百貨股…            6           6           —  116 by 12-25
  04595257  停用商行                   1           —           —  —
",
    );
    assert_page(
        &dues,
        wide(120),
        "
Due 應收到的配號 (booklets 本)
  統編 ban  名稱 name                           上期 11510  本期 11512  下期 11602  應收 due
  53567686  雲端行動科技股份有限公司                   128        1128           —  11602 by 12-25
  24634102  年年有餘百貨股份有限公司台北分公司           6           6           —  116 by 12-25
  04595257  停用商行                                     1           —           —  —
",
    );
}

#[test]
fn in_december_a_company_with_numbers_by_the_year_has_all_six_periods_counted() {
    let companies = [company("24634102", "年年有餘", Assignment::Year)];
    let this_year = [("24634102", "11510", 6), ("24634102", "11512", 6)];
    let next_year = ["11602", "11604", "11606", "11608", "11610", "11612"];
    let row = |of_next_year: usize, today| {
        let recorded = next_year.map(|period| ("24634102", period, 6));
        let booklets = [&this_year[..], &recorded[..of_next_year]].concat();
        let dues = dues(&companies, known(&booklets), today);
        let page = dues.page(PLAIN, "");
        let (_, row) = page.split_once("年年有餘").unwrap();
        (
            row.split_whitespace().collect::<Vec<_>>().join(" "),
            dues.overdue(),
        )
    };
    for (of_next_year, today, expected, overdue) in [
        (0, "2026-11-30", "6 6 — 116 by 12-25", 0),
        (0, "2026-12-01", "6 6 — 116: 0/6 by 12-25", 0),
        (4, "2026-12-25", "6 6 6 116: 4/6 by 12-25", 0),
        (4, "2026-12-26", "6 6 6 116: 4/6 by 12-25", 1),
        (0, "2026-12-26", "6 6 OVERDUE 116: 0/6 by 12-25", 1),
        (6, "2026-12-26", "6 6 6 116: 6/6", 0),
        // Four of them are out of view again.
        (1, "2027-01-02", "6 6 OVERDUE 116 by 2026-12-25", 1),
        (0, "2027-01-02", "6 OVERDUE OVERDUE 116 by 2026-12-25", 1),
    ] {
        let found = row(of_next_year, today);
        assert_eq!(found, (expected.to_owned(), overdue), "{today}");
    }
}

#[test]
fn what_is_overdue_stands_first_and_in_alarm_and_then_what_never_came() {
    let companies = [
        company("53567686", "甲", Assignment::Period),
        company("24634102", "乙", Assignment::Period),
        company("04595257", "丙", Assignment::Period),
        company("22099131", "丁", Assignment::Year),
    ];
    let known = || {
        known(&[
            ("53567686", "11510", 1),
            ("53567686", "11512", 2),
            ("53567686", "11602", 3),
            ("24634102", "11512", 1),
            ("24634102", "11602", 1),
            ("04595257", "11510", 1),
            ("04595257", "11602", 1),
            ("22099131", "11510", 1),
        ])
    };
    let overdue = dues(&companies, known(), "2026-12-26");
    assert_eq!(overdue.overdue(), 2);
    assert_page(
        &overdue,
        PLAIN,
        "
Due 應收到的配號 (booklets 本)
  統編 ban  名稱 name  上期 11510  本期 11512  下期 11602  應收 due
  04595257  丙                  1     OVERDUE           1  11512 by 10-25
  22099131  丁                  1     OVERDUE     OVERDUE  115 by 2025-12-25,
                                                           116: 0/6 by 12-25
  24634102  乙             missed           1           1  —
  53567686  甲                  1           2           3  —
",
    );
    let coloured = overdue.page(COLOURED, "");
    let alarms = |line: &str| line.matches("\u{1b}[31m").count();
    let alarms: Vec<usize> = coloured.lines().map(alarms).collect();
    assert_eq!(alarms, [0, 0, 2, 3, 0, 0, 0], "{coloured}");
    // Nobody is without numbers while there is time.
    let on_time = dues(&companies[..1], known(), "2026-12-25").page(COLOURED, "");
    assert!(!on_time.contains('\u{1b}'), "{on_time}");
}

/// On the first day of a year, what was due in the year before, and what is due in this one.
#[test]
fn a_date_of_another_year_says_so_and_nothing_is_cut_in_two() {
    let companies = &merchants()[..1];
    assert_page(
        &dues(companies, known(&[]), "2027-01-01"),
        PLAIN,
        "
Due 應收到的配號 (booklets 本)
  統編 ban  名稱 name   上期 11512  本期 11602  下期 11604  應收 due
  53567686  雲端行動…       missed     OVERDUE           —  11602 by 2026-12-25,
                                                            11604 by 02-25
",
    );
}

#[test]
fn of_thousands_of_companies_those_that_need_attention_are_shown() {
    let bans = (10_000_000..).filter_map(|number: u32| number.to_string().parse().ok());
    let companies: Vec<Company> = bans
        .take(5000)
        .map(|ban| Company::new(ban, "行號"))
        .collect();
    let mut ledger = known(&[]);
    let recorded = |period: &str| (period.parse().unwrap(), 1);
    for company in &companies[..4990] {
        let periods = ["11510", "11512", "11602"].map(recorded).into();
        ledger.booklets.insert(company.ban, periods);
    }
    let dues = dues(&companies, ledger, "2026-12-26");
    let page = dues.page(PLAIN, "`--json` has all");
    // Those that lack two periods' numbers go on below.
    let rows: Vec<&str> = page.lines().skip(2).collect();
    let rows: Vec<&str> = rows
        .into_iter()
        .filter(|row| !row.starts_with("   "))
        .collect();
    assert_eq!(rows.len(), 51);
    let is_overdue: Vec<bool> = rows.iter().map(|row| row.contains("OVERDUE")).collect();
    assert_eq!(is_overdue[..11], [[true; 10].as_slice(), &[false]].concat());
    let first = &companies[0];
    assert!(rows[10].contains(first.ban.as_str()), "{}", rows[10]);
    assert_eq!(rows[50], "  … and 4950 more; `--json` has all");
    assert_eq!((dues.overdue(), dues.objects().len()), (10, 15_000));
}

#[test]
fn machines_read_each_period_of_each_company_and_what_people_were_told() {
    let merchants = merchants();
    let mut known = known(&[("53567686", "11512", 128), ("24634102", "11604", 6)]);
    let at = |text: &str| text.parse().unwrap();
    let alarm = |stage, told_at, came_at: Option<&str>| Alarm {
        stage,
        missing: Vec::new(),
        told_at: at(told_at),
        came_at: came_at.map(at),
    };
    let late = alarm(
        Stage::Overdue,
        "2026-10-26T01:00:00Z",
        Some("2026-10-27T02:03:04Z"),
    );
    let reminded = alarm(Stage::Reminder, "2026-12-15T01:00:00Z", None);
    let period = |text: &str| Awaited::Period(text.parse().unwrap());
    let told = BTreeMap::from([(period("11512"), late), (period("11602"), reminded)]);
    known.alarms.insert(merchants[0].ban, told);
    let open = alarm(Stage::Overdue, "2026-12-26T01:00:00Z", None);
    let told = BTreeMap::from([(Awaited::Year(116), open)]);
    known.alarms.insert(merchants[1].ban, told);
    let objects = dues(&merchants, known, "2026-12-27").objects();
    assert_eq!(
        objects[..3],
        [
            json!({
                "ban": "53567686", "name": "雲端行動科技股份有限公司", "assignment": "period",
                "year_month": "11510", "when": "past", "booklets": 0,
                "expected_on": "2026-08-20", "due_by": "2026-08-25", "state": "missed",
                "told": null,
            }),
            json!({
                "ban": "53567686", "name": "雲端行動科技股份有限公司", "assignment": "period",
                "year_month": "11512", "when": "current", "booklets": 128,
                "expected_on": "2026-10-20", "due_by": "2026-10-25", "state": "recorded",
                "told": {
                    "stage": "overdue",
                    "told_at": "2026-10-26T01:00:00Z",
                    "came_at": "2026-10-27T02:03:04Z",
                },
            }),
            json!({
                "ban": "53567686", "name": "雲端行動科技股份有限公司", "assignment": "period",
                "year_month": "11602", "when": "next", "booklets": 0,
                "expected_on": "2026-12-20", "due_by": "2026-12-25", "state": "overdue",
                "told": {
                    "stage": "reminder",
                    "told_at": "2026-12-15T01:00:00Z",
                    "came_at": null,
                },
            }),
        ]
    );
    let year: Vec<[&Value; 5]> = objects[3..11]
        .iter()
        .map(|due| ["year_month", "when", "booklets", "due_by", "state"].map(|key| &due[key]))
        .collect();
    let expected = [
        json!(["11510", "past", 0, "2025-12-25", "missed"]),
        json!(["11512", "current", 0, "2025-12-25", "overdue"]),
        json!(["11602", "next", 0, "2026-12-25", "overdue"]),
        json!(["11604", "later", 6, "2026-12-25", "recorded"]),
        json!(["11606", "later", 0, "2026-12-25", "overdue"]),
        json!(["11608", "later", 0, "2026-12-25", "overdue"]),
        json!(["11610", "later", 0, "2026-12-25", "overdue"]),
        json!(["11612", "later", 0, "2026-12-25", "overdue"]),
    ];
    assert_eq!(json!(year), json!(expected));
    let is_told = |due: &Value| due["told"]["stage"] == "overdue";
    let told: Vec<bool> = objects[3..11].iter().map(is_told).collect();
    assert_eq!(told, [false, false, true, true, true, true, true, true]);
    let none = &objects[11];
    assert_eq!(
        (&none["assignment"], &none["state"]),
        (&json!("none"), &json!("not_due"))
    );
    assert_eq!(
        (&none["expected_on"], &none["due_by"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(objects.len(), 14);
}

#[test]
fn a_ledger_of_the_future_is_watched_from_today() {
    let companies = [company("53567686", "甲", Assignment::Period)];
    let known = Known {
        since: day("2999-01-01"),
        ..Known::default()
    };
    let dues = dues(&companies, known, "2026-12-26");
    let states: Vec<Value> = dues
        .objects()
        .iter()
        .map(|due| due["state"].clone())
        .collect();
    assert_eq!(states, ["not_due", "not_due", "overdue"]);
}

#[test]
fn without_companies_nothing_is_due() {
    assert_page(
        &dues(&[], known(&[]), "2026-11-23"),
        PLAIN,
        "Due 應收到的配號 (booklets 本)\n  nothing 無",
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_row_fits_whatever_a_company_is_called(
        name in hostile(),
        booklets in prop_oneof![Just(0_u64), 1..100_000_u64],
        year in any::<bool>(),
        today in (0..800_i32).prop_map(|days| day("2026-01-01") + jiff::ToSpan::days(days)),
    ) {
        let assignment = if year { Assignment::Year } else { Assignment::Period };
        let companies = [company("53567686", &name, assignment)];
        let mut known = known(&[]);
        if booklets > 0 {
            let running = Period::containing(today);
            let periods = Booklets::from([(running, booklets), (running.previous(), booklets)]);
            known.booklets.insert(companies[0].ban, periods);
        }
        let dues = Dues::reckon(companies.iter(), schedule::Settings::default(), known, today);
        assert_fits(&dues.page(PLAIN, ""));
    }
}
