//! The mail about a range taken out of use.

use super::*;

fn withdrawn<'a>(allocation: &'a Allocation, reason: &'a str) -> Withdrawn<'a> {
    Withdrawn {
        id: 3,
        allocation,
        company_name: Some("雲端行動科技股份有限公司"),
        imported_at: the_twentieth(),
        who: "amy",
        reason,
    }
}

#[test]
fn a_range_that_must_not_be_used_any_more() {
    let [range] = specimen();
    both("withdrawal", |style| {
        let facts = withdrawn(&range, "平台通知這一段配錯了\r\nBcc: x@example.net");
        withdrawal(&facts, style, at("2018-04-21T03:00:00Z"))
    });
}

#[test]
fn everybody_is_told_once_and_each_withdrawal_is_a_letter_of_its_own() {
    let [range] = specimen();
    let facts = withdrawn(&range, "wrong");
    let mut style = style(Language::En);
    style.alert_to.push(address("ops@example.com"));
    let letter = |style: &Style, moment| withdrawal(&facts, style, at(moment));
    let first = letter(&style, "2018-04-21T03:00:00Z").unwrap();
    let everybody = ["ops@example.com", "books@example.com", "oncall@example.com"];
    assert_eq!(first.recipients, everybody.map(|one| one.parse().unwrap()));
    assert_eq!(first, letter(&style, "2018-04-21T03:00:00Z").unwrap());
    let again = letter(&style, "2018-04-22T03:00:00Z").unwrap();
    assert_ne!(first.message_id, again.message_id);

    style.confirm_to.clear();
    style.alert_to.clear();
    assert_eq!(letter(&style, "2018-04-21T03:00:00Z"), None);
}
