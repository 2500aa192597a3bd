//! Who is told: companies with the same readers in one piece of news, others by themselves.

use super::*;

fn read_by(ban: &str, alert_to: &[&str]) -> Company {
    Company {
        alert_to: alert_to.iter().map(|to| to.parse().unwrap()).collect(),
        ..company(ban, Assignment::Period)
    }
}

#[tokio::test]
async fn companies_with_the_same_readers_go_together_and_others_apart() {
    let companies = vec![
        read_by(ONE, &["a@example.com", "b@example.com"]),
        company(TWO, Assignment::Period),
        read_by(THREE, &["b@example.com", "a@example.com"]),
        company("04595257", Assignment::Period),
        read_by("10458575", &["b@example.com"]),
        company("62198132", Assignment::None),
    ];
    let mut office = Office::new(companies, "2026-11-05T12:00").await;
    office.look_at("2026-12-15T09:00").await;
    let both = "to a@example.com to b@example.com";
    let groups = |stage: &str| {
        let group = |lines: &[(&str, &str)]| -> Vec<String> {
            let line = |(ban, to): &(&str, &str)| format!("{ban} 11602 {stage} {to}");
            let lines = lines.iter().map(line);
            lines.map(|line| line.trim_end().to_owned()).collect()
        };
        vec![
            group(&[(TWO, ""), ("04595257", "")]),
            group(&[(ONE, both), (THREE, both)]),
            group(&[("10458575", "to b@example.com")]),
        ]
    };
    let told = async |office: &Office| -> Vec<Vec<String>> {
        office.causes().await.iter().map(lines).collect()
    };
    assert_eq!(told(&office).await, groups("reminder"));
    office.look_at("2026-12-26T09:00").await;
    assert_eq!(told(&office).await[3..], groups("overdue"));
    office.posts().await;
    for ban in [ONE, TWO, THREE, "04595257", "10458575"] {
        office.grants(ban, "11602").await;
    }
    office.look_at("2026-12-26T10:00").await;
    assert_eq!(told(&office).await[6..], groups("has come"));
}
