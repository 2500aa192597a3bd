//! How the periods stand, as a table shows them.

use super::*;

/// `11602 recorded`, and from when to when its notice comes.
fn outlook(terms: Terms, recorded: &[&str], today: Date) -> Vec<String> {
    let outlook = terms.outlook(&booklets(recorded), today);
    let shown = outlook.iter().map(|due| {
        let Due { period, state, .. } = due;
        assert_eq!(due.booklets > 0, *state == State::Recorded);
        let expected = due.expected.map(|Expected { on, by }| {
            let [on, by] = [on, by].map(|day| day.strftime("%m-%d").to_string());
            format!(" {on} {by}")
        });
        let expected = expected.unwrap_or_default();
        format!("{} {}{expected}", period.year_month(), state.as_str())
    });
    shown.collect()
}

#[test]
fn a_period_company_sees_the_last_period_the_running_one_and_the_next() {
    let terms = terms(Assignment::Period);
    for (today, recorded, expected) in [
        (
            date(2026, 12, 19),
            &["11510", "11512"][..],
            [
                "11510 recorded 08-20 08-25",
                "11512 recorded 10-20 10-25",
                "11602 expected 12-20 12-25",
            ],
        ),
        (
            date(2026, 12, 25),
            &["11512"],
            [
                "11510 missed 08-20 08-25",
                "11512 recorded 10-20 10-25",
                "11602 expected 12-20 12-25",
            ],
        ),
        (
            date(2026, 12, 26),
            &["11512"],
            [
                "11510 missed 08-20 08-25",
                "11512 recorded 10-20 10-25",
                "11602 overdue 12-20 12-25",
            ],
        ),
        (
            date(2027, 1, 1),
            &["11512"],
            [
                "11512 recorded 10-20 10-25",
                "11602 overdue 12-20 12-25",
                "11604 expected 02-20 02-25",
            ],
        ),
        (
            date(2027, 2, 28),
            &[],
            [
                "11512 missed 10-20 10-25",
                "11602 overdue 12-20 12-25",
                "11604 overdue 02-20 02-25",
            ],
        ),
        (
            date(2027, 3, 1),
            &["11604"],
            [
                "11602 missed 12-20 12-25",
                "11604 recorded 02-20 02-25",
                "11606 expected 04-20 04-25",
            ],
        ),
    ] {
        assert_eq!(outlook(terms, recorded, today), expected, "{today}");
    }
}

#[test]
fn a_year_company_sees_all_of_the_next_year_in_december() {
    let terms = terms(Assignment::Year);
    let november = outlook(terms, &["11510"], date(2026, 11, 30));
    let expected = [
        "11510 recorded 12-01 12-25",
        "11512 overdue 12-01 12-25",
        "11602 expected 12-01 12-25",
    ];
    assert_eq!(november, expected);
    let december = outlook(terms, &["11512", "11602", "11606"], date(2026, 12, 26));
    let expected = [
        "11510 missed 12-01 12-25",
        "11512 recorded 12-01 12-25",
        "11602 recorded 12-01 12-25",
        "11604 overdue 12-01 12-25",
        "11606 recorded 12-01 12-25",
        "11608 overdue 12-01 12-25",
        "11610 overdue 12-01 12-25",
        "11612 overdue 12-01 12-25",
    ];
    assert_eq!(december, expected);
    let january = outlook(terms, &["11512"], date(2027, 1, 1));
    let expected = [
        "11512 recorded 12-01 12-25",
        "11602 overdue 12-01 12-25",
        "11604 overdue 12-01 12-25",
    ];
    assert_eq!(january, expected);
}

#[test]
fn what_is_nobodys_to_wait_for_is_not_due() {
    let today = date(2026, 12, 26);
    let none = outlook(terms(Assignment::None), &["11512"], today);
    assert_eq!(none, ["11510 not_due", "11512 recorded", "11602 not_due"]);
    // Created in the middle of a period: that one is not, the next one is.
    let new = since(Assignment::Period, date(2026, 12, 26));
    assert_eq!(
        outlook(new, &[], today),
        [
            "11510 not_due",
            "11512 not_due",
            "11602 overdue 12-20 12-25"
        ]
    );
    let new = since(Assignment::Year, date(2026, 7, 1));
    assert_eq!(
        outlook(new, &[], date(2026, 8, 1)),
        ["11506 not_due", "11508 not_due", "11510 not_due"]
    );
    let later = outlook(new, &[], date(2027, 1, 15));
    let expected = [
        "11512 not_due",
        "11602 overdue 12-01 12-25",
        "11604 overdue 12-01 12-25",
    ];
    assert_eq!(later, expected);
}

#[test]
fn booklets_of_several_ranges_are_one_number() {
    let recorded = Booklets::from([(period("11602"), 1_728)]);
    let outlook = terms(Assignment::Period).outlook(&recorded, date(2027, 1, 5));
    let counts: Vec<u64> = outlook.iter().map(|due| due.booklets).collect();
    assert_eq!(counts, [0, 1_728, 0]);
    assert_eq!(Awaited::Period(period("11602")).booklets(&recorded), 1_728);
    let year = Booklets::from([
        (period("11512"), 1),
        (period("11602"), 2),
        (period("11612"), 4),
        (period("11702"), 8),
    ]);
    assert_eq!(Awaited::Year(116).booklets(&year), 6);
}
