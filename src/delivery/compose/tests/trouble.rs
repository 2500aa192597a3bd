//! The letters about our own trouble, by themselves and together.

use super::*;

fn pending(id: i64, raised_at: &str, cause: Cause) -> Pending<Cause> {
    Pending {
        id,
        key: format!("trouble:{id}"),
        raised_at: at(raised_at),
        cause,
    }
}

fn not_delivered(kind: Kind, subject: &str) -> Pending<Cause> {
    let Pending { cause, .. } = undelivered(1);
    let Cause::DeliveryFailed {
        outbox_id,
        recipients,
        answer,
        ..
    } = cause
    else {
        unreachable!()
    };
    let cause = Cause::DeliveryFailed {
        outbox_id,
        kind,
        subject: subject.to_owned(),
        recipients,
        answer,
    };
    pending(1, "2018-04-20T02:15:00Z", cause)
}

fn silent(id: i64, mailbox: &str, trouble: Option<&str>) -> Pending<Cause> {
    let cause = Cause::MailboxUnreachable {
        mailbox: mailbox.to_owned(),
        last_ok_at: trouble.map(|_| at("2018-04-20T02:00:00Z")),
        trouble: trouble.map(str::to_owned),
    };
    pending(id, "2018-04-20T02:15:00Z", cause)
}

fn back(id: i64, mailbox: &str) -> Pending<Cause> {
    let cause = Cause::MailboxBack {
        mailbox: mailbox.to_owned(),
        alarmed_at: at("2018-04-20T02:15:00Z"),
    };
    pending(id, "2018-04-20T05:40:00Z", cause)
}

fn unanswered(id: i64, resolvers: &[&str]) -> Pending<Cause> {
    let cause = Cause::ResolverUnreachable {
        mails: 12,
        since: at("2018-04-20T01:15:00Z"),
        words: "look up s2026._domainkey.einvoice.nat.gov.tw.: no answer within 5 s".to_owned(),
        resolvers: resolvers.iter().map(|name| (*name).to_owned()).collect(),
    };
    pending(id, "2018-04-20T02:15:00Z", cause)
}

fn answered(id: i64) -> Pending<Cause> {
    let cause = Cause::ResolverBack {
        alarmed_at: at("2018-04-20T02:15:00Z"),
    };
    pending(id, "2018-04-20T05:40:00Z", cause)
}

const REFUSED: &str = "log in to imap.example.com:993 as einvoice@example.com: NO [AUTHENTICATIONFAILED] Invalid credentials";

fn told(alerts: &[Pending<Cause>], language: Language) -> String {
    shown(super::super::alert(
        alerts,
        &style(language),
        the_twentieth(),
    ))
}

fn both_of(name: &str, alerts: &[Pending<Cause>]) {
    both(name, |style| {
        super::super::alert(alerts, style, the_twentieth())
    });
}

#[test]
fn a_mail_that_was_not_delivered() {
    both_of("undelivered", &[undelivered(1)]);
}

#[test]
fn a_withdrawal_that_nobody_heard_of_is_worse_than_a_confirmation() {
    let subject = "撤回：EC 22628000-22634399（107/05 - 107/06）";
    let alert = not_delivered(Kind::Withdrawal, subject);
    both_of("undelivered_withdrawal", &[alert]);
}

#[test]
fn a_digest_or_a_summary_that_was_not_delivered_is_called_what_it_is() {
    for (kind, name) in [
        (Kind::Confirmation, "確認信"),
        (Kind::Summary, "首次掃描的總結信"),
    ] {
        let text = told(&[not_delivered(kind, "x")], Language::ZhTw);
        assert!(
            text.starts_with(&format!(
                "需要處理：{name}未送達「x」\n\n一封{name}沒有送達"
            )),
            "{text}"
        );
    }
}

#[test]
fn a_failed_delivery_of_an_earlier_version_was_a_confirmation() {
    let stored =
        r#"{"cause":"delivery_failed","outbox_id":7,"subject":"s","recipients":[],"answer":"a"}"#;
    let cause: Cause = serde_json::from_str(stored).unwrap();
    assert!(matches!(
        cause,
        Cause::DeliveryFailed {
            kind: Kind::Confirmation,
            ..
        }
    ));
}

#[test]
fn a_mailbox_that_does_not_answer() {
    both_of("unreachable", &[silent(1, "einvoice", Some(REFUSED))]);
}

#[test]
fn a_mailbox_that_never_answered_and_says_nothing() {
    both_of("silent", &[silent(1, "einvoice", None)]);
}

#[test]
fn a_mailbox_that_is_back() {
    both_of("back", &[back(1, "einvoice")]);
}

#[test]
fn trouble_of_every_kind_in_one_letter() {
    let overlap = [reason("range_overlap", "shares numbers", "號碼重疊")];
    let alerts = [
        silent(1, "einvoice", Some(REFUSED)),
        quarantined(17, "電子發票配號結果通知", &overlap),
        silent(2, "branch", None),
        undelivered(3),
        back(4, "einvoice"),
    ];
    both_of("trouble", &alerts);
}

#[test]
fn good_news_alone_asks_for_nothing() {
    let answered = [
        silent(1, "einvoice", Some(REFUSED)),
        back(2, "einvoice"),
        back(3, "branch"),
    ];
    both_of("good_news", &answered);
    for language in [Language::ZhTw, Language::En] {
        for alerts in [&answered[1..2], &answered[1..], &answered] {
            let text = told(alerts, language);
            assert!(
                !text.contains("需要處理") && !text.contains("Action needed"),
                "{text}"
            );
        }
        // Gone again after it was back: somebody has to look.
        let gone_again = [back(1, "einvoice"), silent(2, "einvoice", None)];
        let text = told(&gone_again, language);
        assert!(
            text.starts_with("需要處理") || text.starts_with("Action needed"),
            "{text}"
        );
    }
}

#[test]
fn a_resolver_that_does_not_answer() {
    both_of(
        "unanswered",
        &[unanswered(1, &["127.0.0.1:5300", "[::1]:53"])],
    );
    for (language, named) in [
        (Language::ZhTw, "系統的（/etc/resolv.conf）"),
        (Language::En, "the system's (/etc/resolv.conf)"),
    ] {
        let text = told(&[unanswered(1, &[])], language);
        assert!(text.contains(named), "{text}");
    }
}

#[test]
fn a_resolver_that_is_back() {
    both_of("answered", &[answered(1)]);
}

#[test]
fn a_resolver_among_other_trouble() {
    let alerts = [
        unanswered(1, &[]),
        silent(2, "branch", None),
        undelivered(3),
    ];
    both_of("trouble_with_dns", &alerts);
}

#[test]
fn a_resolver_that_is_back_is_good_news_by_itself_and_with_a_mailbox() {
    let alerts = [unanswered(1, &[]), answered(2), back(3, "branch")];
    both_of("good_news_of_dns", &alerts);
    for language in [Language::ZhTw, Language::En] {
        let text = told(&alerts[..2], language);
        let asks = text.contains("需要處理") || text.contains("Action needed");
        assert!(text.contains("DNS") && !asks, "{text}");
        let text = told(&[answered(1), unanswered(2, &[])], language);
        let asks = text.starts_with("需要處理") || text.starts_with("Action needed");
        assert!(asks, "{text}");
    }
}
