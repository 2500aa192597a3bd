//! Resolvers that fail: when that is no verdict, and when it is nobody's business.

use std::time::{Duration, Instant};

use invoice_trackd::{
    authenticity::{Evidence, Mail, Require, Results, Settings, Verifier},
    notice::{self, Authenticity, Rules},
};
use mail_auth::hickory_resolver::proto::op::ResponseCode;

use super::{at_a_glance, judged, judged_by, settings, why};
use crate::{
    genuine::{demanding, explain},
    support::{
        daemon::Notice,
        dns::{Answer, Dns},
        signer::{self, DOMAIN, SELECTOR, TAGS, by_hand},
    },
};

/// The 5 s that all lookups together may take, and what a busy machine adds.
const BOUND: Duration = Duration::from_secs(9);

fn trouble(evidence: &Evidence) -> &str {
    match &evidence.verdict {
        Authenticity::Unknown(trouble) => trouble,
        other => panic!("expected trouble, found {other:?}"),
    }
}

#[tokio::test]
async fn trouble_about_a_signature_that_could_count_is_no_verdict() {
    let dns = signer::dns();
    let eml = by_hand(&Notice::default().eml(), TAGS);
    let name = "look up s2026._domainkey.einvoice.nat.gov.tw";
    for (answer, words) in [
        (
            Answer::Code(ResponseCode::ServFail),
            "the DNS servers answer SERVFAIL",
        ),
        (
            Answer::Code(ResponseCode::Refused),
            "the DNS servers answer REFUSED",
        ),
        (
            Answer::Code(ResponseCode::NotImp),
            "the DNS servers answer with code 4",
        ),
        (Answer::Silence, "the DNS servers do not answer"),
    ] {
        dns.override_all(Some(answer));
        let verifier = Verifier::new(settings(&dns));
        let started = Instant::now();
        let evidence = judged_by(&verifier, &eml).await;
        assert!(started.elapsed() < BOUND, "{:?}", started.elapsed());
        assert_eq!(trouble(&evidence), format!("{name}: {words}"));
        assert_eq!(
            at_a_glance(&evidence),
            ("temperror", Some(DOMAIN), Some(SELECTOR))
        );
        // Nothing of it is kept: it passes as soon as they answer.
        dns.override_all(None);
        assert_eq!(judged_by(&verifier, &eml).await.result(), "pass");
    }
    // No server at all.
    let gone = Settings {
        dns_servers: vec![Dns::start().address()],
        ..settings(&dns)
    };
    let evidence = judged(&eml, &gone).await;
    assert_eq!(evidence.result(), "temperror");
    assert!(!trouble(&evidence).contains('{'), "{evidence:?}");
}

#[tokio::test]
async fn no_record_and_no_name_are_verdicts() {
    let dns = signer::dns();
    let eml = by_hand(&Notice::default().eml(), TAGS);
    for code in [ResponseCode::NXDomain, ResponseCode::NoError] {
        dns.override_all(Some(Answer::Code(code)));
        let evidence = judged(&eml, &settings(&dns)).await;
        let expected = "the key `s2026._domainkey.einvoice.nat.gov.tw` is not in DNS";
        assert!(why(&evidence).starts_with(expected), "{evidence:?}");
    }
    dns.override_all(Some(Answer::Code(ResponseCode::ServFail)));
    let asked = dns.asked().len();
    let long = vec!["x".repeat(60); 5].join(".");
    for selector in ["a..b", ".", "\u{3042}", "a b", &"x".repeat(64), &long] {
        let eml = by_hand(
            &Notice::default().eml(),
            &TAGS.replace("s=s2026", &format!("s={selector}")),
        );
        let evidence = judged(&eml, &settings(&dns)).await;
        assert_eq!(evidence.result(), "fail", "{selector}: {evidence:?}");
    }
    // Each part is a name, and both together are too long for one.
    let long = vec!["x".repeat(60); 4].join(".");
    let eml = by_hand(
        &Notice::default().eml(),
        &TAGS.replace("s=s2026", &format!("s={long}")),
    );
    let evidence = judged(&eml, &settings(&dns)).await;
    assert!(why(&evidence).contains("is not in DNS"), "{evidence:?}");
    assert_eq!(dns.asked().len(), asked);
}

#[tokio::test]
async fn trouble_about_a_signature_that_cannot_count_is_nobodys() {
    let dns = signer::dns();
    let plain = Notice::default().eml();
    let foreign = format!("{SELECTOR}._domainkey.esp.example");
    dns.answer(&foreign, Answer::Silence);
    let field = |tags: &str| {
        let eml = String::from_utf8(by_hand(&plain, tags)).unwrap();
        eml.lines().next().unwrap().to_owned()
    };
    let (esp, own) = (field(&TAGS.replace(DOMAIN, "esp.example")), field(TAGS));
    let rest = str::from_utf8(&plain).unwrap();
    // Beside one that passes: nobody waits for it.
    let started = Instant::now();
    let both = format!("{esp}\r\n{own}\r\n{rest}");
    let evidence = judged(both.as_bytes(), &settings(&dns)).await;
    assert_eq!(
        at_a_glance(&evidence),
        ("pass", Some(DOMAIN), Some(SELECTOR))
    );
    assert!(!dns.asked().contains(&foreign));
    // Alone: a verdict, in bounded time.
    let evidence = judged(format!("{esp}\r\n{rest}").as_bytes(), &settings(&dns)).await;
    assert!(started.elapsed() < BOUND, "{:?}", started.elapsed());
    assert!(
        why(&evidence).starts_with("signed only by `esp.example`"),
        "{evidence:?}"
    );
    assert!(dns.asked().contains(&foreign));
    // Ours, and it does not cover Subject.
    dns.override_all(Some(Answer::Code(ResponseCode::ServFail)));
    let (before, _) = TAGS.split_once("h=").unwrap();
    let evidence = judged(
        &by_hand(&plain, &format!("{before}h=From")),
        &settings(&dns),
    )
    .await;
    assert!(
        why(&evidence).contains("does not cover Subject"),
        "{evidence:?}"
    );
    // Ours, and the body was changed.
    let tampered = format!("{own}\r\n{rest}more\r\n");
    let evidence = judged(tampered.as_bytes(), &settings(&dns)).await;
    assert!(
        why(&evidence).starts_with("the body was changed"),
        "{evidence:?}"
    );
}

#[tokio::test]
async fn lookups_run_side_by_side_and_one_that_passes_is_enough() {
    let dns = signer::dns();
    let plain = Notice::default().eml();
    let field = |selector: &str| {
        let tags = TAGS.replace("s=s2026", &format!("s={selector}"));
        let eml = String::from_utf8(by_hand(&plain, &tags)).unwrap();
        eml.lines().next().unwrap().to_owned()
    };
    let mute: Vec<String> = (0..9).map(|n| format!("mute{n}")).collect();
    for selector in &mute {
        dns.answer(&format!("{selector}._domainkey.{DOMAIN}"), Answer::Silence);
    }
    let fields: Vec<String> = mute.iter().map(|selector| field(selector)).collect();
    let rest = str::from_utf8(&plain).unwrap();
    let started = Instant::now();
    let eml = format!("{}\r\n{}\r\n{rest}", fields.join("\r\n"), field(SELECTOR));
    let evidence = judged(eml.as_bytes(), &settings(&dns)).await;
    assert_eq!(evidence.result(), "pass", "{evidence:?}");
    let eml = format!("{}\r\n{rest}", fields.join("\r\n"));
    let evidence = judged(eml.as_bytes(), &settings(&dns)).await;
    assert_eq!(evidence.result(), "temperror", "{evidence:?}");
    // One after another they would take 9 times 5 s, each time.
    assert!(started.elapsed() < 2 * BOUND, "{:?}", started.elapsed());
}

#[tokio::test]
async fn long_answers_come_over_tcp_and_a_second_server_helps_out() {
    let dns = signer::dns();
    let eml = by_hand(&Notice::default().eml(), TAGS);
    dns.answer(
        &signer::record_name(),
        Answer::OnlyTcp(vec![signer::record()]),
    );
    let evidence = judged(&eml, &settings(&dns)).await;
    assert_eq!(evidence.result(), "pass", "{evidence:?}");

    for answer in [Answer::Silence, Answer::Code(ResponseCode::Refused)] {
        let useless = Dns::start();
        useless.override_all(Some(answer));
        let two = Settings {
            dns_servers: vec![useless.address(), dns.address()],
            ..settings(&dns)
        };
        let evidence = judged(&eml, &two).await;
        assert_eq!(evidence.result(), "pass", "{evidence:?}");
        assert!(!useless.asked().is_empty());
    }
}

#[tokio::test]
async fn either_waits_for_the_resolver_when_the_servers_word_is_not_enough() {
    let dns = signer::dns();
    dns.override_all(Some(Answer::Code(ResponseCode::ServFail)));
    let eml = by_hand(&Notice::default().eml(), TAGS);
    let reading = notice::read(&eml, &Rules::default());
    for results in Results::ALL {
        for trusted in [vec![], vec!["mx.example.com".to_owned()]] {
            let verifier = Verifier::new(Settings {
                require: Require::Either,
                trusted_authserv_ids: trusted,
                ..settings(&dns)
            });
            let mail = Mail {
                raw: &eml,
                forwarded: None,
                from: reading.from.as_ref(),
                results,
            };
            assert_eq!(verifier.verify(&mail).await.result(), "temperror");
            dns.override_all(None);
            assert_eq!(verifier.verify(&mail).await.result(), "pass");
            dns.override_all(Some(Answer::Code(ResponseCode::ServFail)));
        }
    }
}

#[test]
fn what_servers_answer_does_not_fill_the_log() {
    let dns = signer::dns();
    for answer in [Answer::Silence, Answer::Code(ResponseCode::ServFail)] {
        dns.override_all(Some(answer));
        let house = demanding(&dns);
        let (said, status) = explain(&house, &by_hand(&Notice::default().eml(), TAGS));
        assert_eq!((status, &said["disposition"]), (75, &"waiting".into()));
        let file = house.path("mail.eml");
        let output = house.command(&["explain", file.to_str().unwrap()]);
        let log = String::from_utf8(output.stderr).unwrap();
        assert!(log.is_empty(), "{log}");
    }
}
