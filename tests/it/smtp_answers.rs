//! Every way of saying no at every step of a session, and what follows for whom: what is about the
//! way out is temporary, what is about a recipient or this letter may be for good.

use std::time::Duration;

use invoice_trackd::{
    delivery::{Attempt, SmtpSettings, Transport, Unreachable},
    ledger::Letter,
    ledger::Recipient,
    notice::Address,
    tls::TlsMode,
};
use jiff::Timestamp;

use crate::support::{
    outbox::confirmation,
    scripted_smtp::{Does, ScriptedSmtp},
};

/// What follows from an answer.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    /// It did not come to speaking about the letter.
    Unreachable,
    /// Everybody may get it later.
    Deferred,
    /// Nobody will ever get it.
    Refused,
}
use Fate::{Deferred, Refused, Unreachable as Closed};

const STEPS: [&str; 7] = ["CONNECT", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "."];

/// Refusals, and their fates at each of [`STEPS`].
const ANSWERS: [(&str, [Fate; 7]); 13] = [
    ("421 4.3.2 going down", TEMPORARY),
    ("450 4.2.0 greylisted", TEMPORARY),
    ("451 4.3.0 local error", TEMPORARY),
    ("452 4.3.1 no space", TEMPORARY),
    ("454 4.7.0 not now", TEMPORARY),
    // Google's daily quota, on one line and on several.
    ("550 5.4.5 Daily user sending limit exceeded", TEMPORARY),
    (
        "550-5.4.5 Daily user sending limit exceeded.\r\n550 5.4.5 See the manual",
        TEMPORARY,
    ),
    // Microsoft 365 with SMTP AUTH switched off.
    (
        "550 5.7.30 Basic authentication is not supported",
        TEMPORARY,
    ),
    ("530 5.7.0 Authentication required", FINAL),
    ("535 5.7.8 Authentication credentials invalid", FINAL),
    ("550 5.1.1 no such user", FINAL),
    ("552 5.3.4 too big", FINAL),
    ("554 5.7.1 not from here", FINAL),
];

const TEMPORARY: [Fate; 7] = [
    Closed, Closed, Closed, Deferred, Deferred, Deferred, Deferred,
];
const FINAL: [Fate; 7] = [Closed, Closed, Closed, Deferred, Refused, Refused, Refused];

fn settings(server: &ScriptedSmtp) -> SmtpSettings {
    SmtpSettings {
        host: "127.0.0.1".to_owned(),
        port: server.port(),
        tls: TlsMode::None,
        ca_file: None,
        login: Some(("me".to_owned(), "secret".into())),
        command: Duration::from_secs(30),
    }
}

fn to_two() -> Letter {
    confirmation("one", &["books@example.com", "ops@example.com"])
}

async fn send(settings: SmtpSettings, within: Duration) -> Result<Attempt, Unreachable> {
    let from: Address = "einvoice@example.com".parse().unwrap();
    let transport = Transport::Smtp(settings);
    let letter = to_two();
    let sending = transport.send(&from, &letter, Timestamp::UNIX_EPOCH, within);
    // The bound of the code under test, and not of a busy machine.
    let bound = within + Duration::from_secs(60);
    tokio::time::timeout(bound, sending).await.unwrap()
}

/// A server that does this at one step and is willing otherwise.
async fn meet(step: &'static str, does: Does) -> Result<Attempt, Unreachable> {
    let server = ScriptedSmtp::start(Box::leak(Box::new([(step, does)]))).await;
    send(settings(&server), Duration::from_secs(60)).await
}

/// The one fate of both recipients, and the words that go with it.
fn fate(outcome: Result<Attempt, Unreachable>) -> (Fate, String) {
    match outcome {
        Err(unreachable) => (Closed, unreachable.to_string()),
        Ok(Attempt {
            accepted,
            refused,
            deferred,
            ..
        }) => {
            assert!(accepted.is_empty(), "{accepted:?}");
            let (fate, whom) = match (&refused[..], &deferred[..]) {
                (all, []) => (Refused, all),
                ([], all) => (Deferred, all),
                both => panic!("two fates: {both:?}"),
            };
            assert_eq!(whom.len(), 2, "{whom:?}");
            assert_eq!(whom[0].1, whom[1].1);
            (fate, whom[0].1.clone())
        }
    }
}

#[tokio::test]
async fn each_answer_at_each_step_means_what_it_says_and_its_words_are_kept() {
    for (answer, fates) in ANSWERS {
        for (step, expected) in STEPS.into_iter().zip(fates) {
            let (found, words) = fate(meet(step, Does::Says(answer)).await);
            assert_eq!(found, expected, "{answer} at {step}: {words}");
            // Several lines are told as one, the code once.
            let (code, rest) = answer.split_at(4);
            let first = rest.lines().next().unwrap();
            assert!(
                words.contains(&code[..3]) && words.contains(first),
                "{answer} at {step}: {words}"
            );
            assert!(!words.contains(['\r', '\n']), "{words:?}");
        }
    }
}

#[tokio::test]
async fn a_server_that_hangs_up_is_temporary_at_every_step() {
    for (step, expected) in STEPS.into_iter().zip(TEMPORARY) {
        let (found, words) = fate(meet(step, Does::HangsUp).await);
        assert_eq!(found, expected, "{step}: {words}");
    }
}

#[tokio::test]
async fn a_server_that_falls_silent_is_temporary_at_every_step() {
    for (step, expected) in STEPS.into_iter().zip(TEMPORARY) {
        let server = ScriptedSmtp::start(Box::leak(Box::new([(step, Does::FallsSilent)]))).await;
        let settings = SmtpSettings {
            command: Duration::from_millis(300),
            ..settings(&server)
        };
        let (found, words) = fate(send(settings, Duration::from_secs(2)).await);
        assert_eq!(found, expected, "{step}: {words}");
        assert!(words.contains("no answer within"), "{step}: {words}");
    }
}

#[tokio::test]
async fn recipients_are_judged_each_by_itself() {
    let server = ScriptedSmtp::start(&[
        ("RCPT TO:<gone@", Does::Says("550 5.1.1 no such user")),
        ("RCPT TO:<full@", Does::Says("452 4.2.2 mailbox full")),
        ("RCPT TO:<quota@", Does::Says("550 5.4.5 limit exceeded")),
    ])
    .await;
    let letter = confirmation(
        "one",
        &[
            "gone@example.com",
            "full@example.com",
            "quota@example.com",
            "ops@example.com",
        ],
    );
    let from: Address = "einvoice@example.com".parse().unwrap();
    let transport = Transport::Smtp(settings(&server));
    let within = Duration::from_secs(60);
    let attempt = transport
        .send(&from, &letter, Timestamp::UNIX_EPOCH, within)
        .await
        .unwrap();
    let address = |text: &str| text.parse::<Recipient>().unwrap();
    assert_eq!(
        attempt,
        Attempt {
            accepted: [address("ops@example.com")].into(),
            refused: vec![(
                address("gone@example.com"),
                "RCPT TO: 550 5.1.1 no such user".to_owned()
            )],
            deferred: vec![
                (
                    address("full@example.com"),
                    "RCPT TO: 452 4.2.2 mailbox full".to_owned()
                ),
                (
                    address("quota@example.com"),
                    "RCPT TO: 550 5.4.5 limit exceeded".to_owned()
                ),
            ],
            stopped: None,
        }
    );
    assert_eq!(server.messages().len(), 1);
}

#[tokio::test]
async fn tls_that_fails_is_temporary_and_nothing_is_sent_without_it() {
    const OFFERS: &str = "250-scripted\r\n250 STARTTLS";
    let refuses: &[_] = &[
        ("EHLO", Does::Says(OFFERS)),
        ("STARTTLS", Does::Says("454 4.7.0 TLS not available")),
    ];
    let speaks_on: &[_] = &[
        ("EHLO", Does::Says(OFFERS)),
        ("STARTTLS", Does::Says("220 2.0.0 go ahead")),
    ];
    let hangs_up: &[_] = &[("EHLO", Does::Says(OFFERS)), ("STARTTLS", Does::HangsUp)];
    for (script, tls, words) in [
        (refuses, TlsMode::StartTls, "454 4.7.0 TLS not available"),
        (speaks_on, TlsMode::StartTls, "STARTTLS with "),
        (hangs_up, TlsMode::StartTls, "STARTTLS with "),
        (&[], TlsMode::Implicit, "connect to "),
    ] {
        let server = ScriptedSmtp::start(script).await;
        let settings = SmtpSettings {
            tls,
            ..settings(&server)
        };
        let (found, said) = fate(send(settings, Duration::from_secs(10)).await);
        assert_eq!(found, Closed, "{words}: {said}");
        assert!(said.contains(words), "{said}");
        let said_by_us = server.commands();
        assert!(
            !said_by_us
                .iter()
                .any(|line| line.starts_with("AUTH") || line.starts_with("MAIL")),
            "{said_by_us:?}"
        );
    }
}

#[tokio::test]
async fn a_server_that_offers_no_login_is_temporary() {
    let server = ScriptedSmtp::start(&[("EHLO", Does::Says("250 scripted"))]).await;
    let (found, words) = fate(send(settings(&server), Duration::from_secs(60)).await);
    assert_eq!(found, Closed);
    assert!(words.starts_with("log in to 127.0.0.1:"), "{words}");
    assert!(!words.contains("secret"), "{words}");
}
