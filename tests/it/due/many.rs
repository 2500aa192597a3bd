//! A value-added centre's five thousand companies: one letter, and looks that cost little.

use std::time::{Duration, Instant};

use super::*;

/// So many numbers that pass the checksum.
fn bans(count: usize) -> Vec<Ban> {
    let numbers = (10_000_000_u32..).map(|number| number.to_string().parse::<Ban>());
    numbers.filter_map(Result::ok).take(count).collect()
}

#[tokio::test]
async fn five_thousand_companies_are_one_letter_and_a_look_at_them_is_short() {
    let bans = bans(5_000);
    let companies = bans
        .iter()
        .map(|ban| company(ban.as_str(), Assignment::Period));
    let mut office = Office::new(companies.collect(), "2026-09-05T12:00").await;
    for year_month in ["11510", "11512"] {
        let granted: Vec<(Ban, &str)> = bans.iter().map(|ban| (*ban, year_month)).collect();
        grant(&office.ledger, &granted).await;
    }
    let mut lengths = Vec::new();
    let mut look = async |office: &mut Office, what: &str, now: &str| {
        let begun = Instant::now();
        office.look_at(now).await;
        lengths.push(format!("{what} {:?}", begun.elapsed()));
        // In this build, on a machine that has other work; a release takes a twentieth.
        assert!(begun.elapsed() < Duration::from_secs(30), "{lengths:?}");
    };
    look(&mut office, "nothing due", "2026-12-10T09:00").await;
    look(&mut office, "all reminded", "2026-12-15T09:00").await;
    look(&mut office, "nothing new", "2026-12-15T09:01").await;
    look(&mut office, "all missed", "2026-12-26T09:00").await;
    look(&mut office, "nothing new", "2026-12-26T09:01").await;
    assert_eq!(office.vitals.borrow().overdue, 5_000);
    office.posts().await;
    let granted: Vec<(Ban, &str)> = bans.iter().map(|ban| (*ban, "11602")).collect();
    grant(&office.ledger, &granted[1..]).await;
    look(&mut office, "all but one come", "2026-12-26T09:02").await;
    look(&mut office, "nothing new", "2026-12-26T09:03").await;
    assert_eq!(office.vitals.borrow().overdue, 1);
    let told: Vec<usize> = office
        .causes()
        .await
        .iter()
        .map(|one| lines(one).len())
        .collect();
    assert_eq!(told, [5_000, 5_000, 4_999]);
    println!("{lengths:#?}");
}
