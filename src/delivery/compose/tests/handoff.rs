//! Systems that numbers are handed to: in the mails about numbers, and in those about trouble.

use super::*;
use crate::{delivery::Handoff, ledger::HandedOver};

fn with_systems(style: &Style, names: &[&str]) -> Style {
    let handoffs = names.iter().map(|name| Handoff {
        name: (*name).to_owned(),
        past: false,
    });
    Style {
        handoffs: handoffs.collect(),
        ..style.clone()
    }
}

fn pending(id: i64, cause: Cause) -> Pending<Cause> {
    Pending {
        id,
        key: format!("handoff:{id}"),
        raised_at: at("2018-04-20T03:20:00Z"),
        cause,
    }
}

fn failing(id: i64, target: &str) -> Pending<Cause> {
    let cause = Cause::HandoffFailing {
        target: target.to_owned(),
        waiting: 3,
        since: the_twentieth(),
        words: "post to erp.example.com: expected 2xx, found 500: out of order".to_owned(),
    };
    pending(id, cause)
}

fn stopped(id: i64, target: &str) -> Pending<Cause> {
    let cause = Cause::HandoffStopped {
        target: target.to_owned(),
        waiting: 3,
        at: the_twentieth(),
    };
    pending(id, cause)
}

fn back(id: i64, target: &str) -> Pending<Cause> {
    let cause = Cause::HandoffBack {
        target: target.to_owned(),
        alarmed_at: the_twentieth(),
    };
    pending(id, cause)
}

fn given_up(id: i64, event: &str) -> Pending<Cause> {
    let cause = Cause::DeliveryFailed {
        outbox_id: 12,
        kind: Kind::Handoff,
        subject: format!("{event} 53567686 EC 22628000-22634399"),
        recipients: vec!["erp".to_owned()],
        answer: "post to erp.example.com: expected 2xx, found 422: unknown company".to_owned(),
    };
    pending(id, cause)
}

fn told(alerts: &[Pending<Cause>], language: Language) -> String {
    let letter = super::super::alert(alerts, &style(language), the_twentieth());
    shown(letter)
}

fn both_of(name: &str, alerts: &[Pending<Cause>]) {
    both(name, |style| {
        super::super::alert(alerts, style, the_twentieth())
    });
}

#[test]
fn a_confirmation_says_where_the_numbers_go_and_that_nobody_has_to_load_them_there() {
    let ranges = specimen();
    both("handed", |style| {
        let style = with_systems(style, &["erp", "pos"]);
        confirmation(&imported(&ranges), &style, the_twentieth())
    });
    both("handed_period_has_begun", |style| {
        let style = with_systems(style, &["erp"]);
        confirmation(&imported(&ranges), &style, at("2018-04-30T16:00:00Z"))
    });
}

#[test]
fn a_withdrawal_says_which_systems_are_told() {
    let [range] = specimen();
    let facts = Withdrawn {
        id: 3,
        allocation: &range,
        company_name: Some("雲端行動科技股份有限公司"),
        imported_at: the_twentieth(),
        who: "amy",
        reason: "平台通知這一段配錯了",
    };
    both("withdrawal_handed", |style| {
        let style = with_systems(style, &["erp", "pos"]);
        withdrawal(&facts, &style, at("2018-04-21T03:00:00Z"))
    });
}

#[test]
fn how_a_system_stands_is_said_in_words_for_each_state_and_for_none_that_is_not() {
    let handed = HandedOver {
        target: "erp".to_owned(),
        sent: 1_200,
        waiting: 2,
        failed: 3,
        dropped: 4,
        stopped: false,
    };
    let said = |handed: &HandedOver| {
        [Language::ZhTw, Language::En].map(|language| systems::standing(handed, language))
    };
    assert_eq!(
        said(&handed),
        [
            "erp：已送達 1,200 批，等候交付 2 批，沒有送達 3 批，已取消 4 批",
            "erp: 1,200 delivered, 2 waiting, 3 not delivered, 4 called off",
        ]
    );
    let stopped = HandedOver {
        stopped: true,
        sent: 0,
        failed: 0,
        dropped: 0,
        ..handed
    };
    assert_eq!(
        said(&stopped),
        [
            "erp：不再收，等候 2 批",
            "erp: 2 waiting, for it wants no more",
        ]
    );
}

#[test]
fn a_system_that_takes_nothing() {
    both_of("handoff_failing", &[failing(1, "erp")]);
}

#[test]
fn a_system_that_wants_nothing_any_more() {
    both_of("handoff_stopped", &[stopped(1, "erp")]);
}

#[test]
fn a_system_that_takes_numbers_again() {
    both_of("handoff_back", &[back(1, "erp")]);
}

#[test]
fn a_hand_off_that_was_given_up_names_its_system_and_of_a_withdrawal_what_is_at_stake() {
    both_of("handoff_given_up", &[given_up(1, Event::Imported.as_str())]);
    let withdrawal = given_up(1, Event::Withdrawn.as_str());
    both_of("handoff_given_up_withdrawal", &[withdrawal]);
}

#[test]
fn systems_of_every_kind_in_one_letter() {
    let alerts = [
        failing(1, "erp"),
        stopped(2, "pos"),
        back(3, "books"),
        given_up(4, Event::Imported.as_str()),
        undelivered(5),
    ];
    both_of("handoffs", &alerts);
}

#[test]
fn of_several_words_about_one_system_the_last_counts() {
    for language in [Language::ZhTw, Language::En] {
        let asks = |alerts: &[Pending<Cause>]| {
            let text = told(alerts, language);
            text.starts_with("需要處理") || text.starts_with("Action needed")
        };
        assert!(!asks(&[failing(1, "erp"), back(2, "erp")]));
        assert!(!asks(&[failing(1, "erp"), back(2, "erp"), back(3, "pos")]));
        assert!(asks(&[back(1, "erp"), failing(2, "erp")]));
        assert!(asks(&[failing(1, "erp"), back(2, "pos")]));
    }
    let good = [failing(1, "erp"), back(2, "erp"), back(3, "pos")];
    assert!(told(&good, Language::ZhTw).starts_with("已恢復：erp、pos 收得到字軌了\n"));
    assert!(told(&good, Language::En).starts_with("Resolved: taking numbers again: erp, pos\n"));
}
