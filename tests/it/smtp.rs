//! Handing letters over: to a real server, and to scripted ones for every way of saying no.

use std::{path::PathBuf, time::Duration};

use invoice_trackd::{
    delivery::{Attempt, SmtpSettings, Transport, Unreachable},
    ledger::{Kind, Letter},
    tls::TlsMode,
};
use jiff::Timestamp;

use crate::support::{
    exim::{self, Exim},
    scripted_smtp::{Does, Script, ScriptedSmtp},
};

const WITHIN: Duration = Duration::from_secs(60);

fn address<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

fn letter(recipients: &[&str]) -> Letter {
    Letter {
        kind: Kind::Confirmation,
        message_id: "<0123456789abcdef0123456789abcdef.confirmation@example.com>".to_owned(),
        recipients: recipients.iter().map(|r| address(r)).collect(),
        subject: "a letter".to_owned(),
        eml: b"Message-ID: <0123456789abcdef0123456789abcdef.confirmation@example.com>\r\n\
               Subject: a letter\r\n\r\nfirst\r\n.\r\n.hidden\r\nlast\r\n"
            .to_vec(),
    }
}

fn to_scripted(server: &ScriptedSmtp) -> SmtpSettings {
    SmtpSettings {
        host: "127.0.0.1".to_owned(),
        port: server.port(),
        tls: TlsMode::None,
        ca_file: None,
        login: None,
        command: Duration::from_secs(30),
    }
}

fn to_exim(port: u16, tls: TlsMode, ca_file: Option<PathBuf>, password: &str) -> SmtpSettings {
    SmtpSettings {
        host: "localhost".to_owned(),
        port,
        tls,
        ca_file,
        login: Some((exim::USERNAME.to_owned(), password.into())),
        command: Duration::from_secs(30),
    }
}

async fn send(settings: SmtpSettings, recipients: &[&str]) -> Result<Attempt, Unreachable> {
    let from = address("einvoice@example.com");
    let transport = Transport::Smtp(settings);
    transport
        .send(&from, &letter(recipients), Timestamp::UNIX_EPOCH, WITHIN)
        .await
}

/// Plays `script` to one letter for one recipient, or for two.
async fn meet(script: Script, recipients: &[&str]) -> (Result<Attempt, Unreachable>, ScriptedSmtp) {
    let server = ScriptedSmtp::start(script).await;
    (send(to_scripted(&server), recipients).await, server)
}

fn accepted(recipients: &[&str]) -> Attempt {
    Attempt {
        accepted: recipients.iter().map(|r| address(r)).collect(),
        ..Attempt::default()
    }
}

fn refused(recipient: &str, words: &str) -> Attempt {
    Attempt {
        refused: vec![(address(recipient), words.to_owned())],
        ..Attempt::default()
    }
}

fn deferred(recipient: &str, words: &str) -> Attempt {
    Attempt {
        deferred: vec![(address(recipient), words.to_owned())],
        ..Attempt::default()
    }
}

#[tokio::test]
async fn a_real_server_takes_a_letter_over_starttls_and_over_implicit_tls() {
    let exim = Exim::start();
    for (port, tls) in [
        (exim.port(), TlsMode::StartTls),
        (exim.implicit_port(), TlsMode::Implicit),
    ] {
        let settings = to_exim(port, tls, Some(exim.ca_file()), exim::PASSWORD);
        let attempt = send(settings, &["ops@example.com", "books@example.com"]).await;
        assert_eq!(
            attempt,
            Ok(accepted(&["ops@example.com", "books@example.com"]))
        );
    }
    for mail in exim.mails(4).await {
        assert!(
            mail.contains("Return-path: <einvoice@example.com>"),
            "{mail}"
        );
        assert!(mail.contains("\nSubject: a letter\n"), "{mail}");
        assert!(mail.ends_with("\n\nfirst\n.\n.hidden\nlast\n"), "{mail}");
    }
}

#[tokio::test]
async fn a_real_server_refuses_one_recipient_and_takes_the_letter_for_the_other() {
    let exim = Exim::start();
    let settings = to_exim(
        exim.port(),
        TlsMode::StartTls,
        Some(exim.ca_file()),
        exim::PASSWORD,
    );
    let attempt = send(settings, &["nobody@example.com", "ops@example.com"])
        .await
        .unwrap();
    assert_eq!(attempt.accepted, accepted(&["ops@example.com"]).accepted);
    assert_eq!(
        attempt.refused,
        refused("nobody@example.com", "RCPT TO: 550 5.1.1 no such user").refused
    );
    let mails = exim.mails(1).await;
    assert!(
        mails[0].contains("Envelope-to: ops@example.com\n"),
        "{}",
        mails[0]
    );
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_not_trusted() {
    let exim = Exim::start();
    for (port, tls) in [
        (exim.port(), TlsMode::StartTls),
        (exim.implicit_port(), TlsMode::Implicit),
    ] {
        let error = send(
            to_exim(port, tls, None, exim::PASSWORD),
            &["ops@example.com"],
        )
        .await
        .unwrap_err()
        .to_string();
        assert!(error.contains("certificate"), "{error}");
    }
    assert_eq!(exim.delivered(), Vec::<String>::new());
}

#[tokio::test]
async fn a_wrong_password_is_temporary_and_never_repeated_in_words() {
    let exim = Exim::start();
    let ca_file = Some(exim.ca_file());
    let settings = to_exim(exim.port(), TlsMode::StartTls, ca_file, "hunter2");
    let error = send(settings, &["ops@example.com"])
        .await
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("log in to localhost:"), "{error}");
    assert!(
        error.contains("535") && !error.contains("hunter2"),
        "{error}"
    );
}

#[tokio::test]
async fn a_ca_file_that_is_missing_or_empty_is_named() {
    let settings = |file: PathBuf| SmtpSettings {
        ca_file: Some(file),
        ..to_exim(1, TlsMode::Implicit, None, "")
    };
    let missing = PathBuf::from("/nonexistent/ca.pem");
    let error = send(settings(missing), &["ops@example.com"])
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("read the CA file /nonexistent/ca.pem: "),
        "{error}"
    );

    let empty = tempfile::NamedTempFile::new().unwrap();
    let error = send(settings(empty.path().to_owned()), &["ops@example.com"])
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("found none that can be used"), "{error}");
}

#[tokio::test]
async fn nobody_listening_is_temporary() {
    let server = ScriptedSmtp::start(&[]).await;
    let settings = to_scripted(&server);
    let expected = format!("connect to 127.0.0.1:{}: ", server.port());
    drop(server);
    tokio::task::yield_now().await;
    let error = send(settings, &["ops@example.com"])
        .await
        .unwrap_err()
        .to_string();
    assert!(error.starts_with(&expected), "{error}");
}

#[tokio::test]
async fn a_5xx_in_the_banner_is_temporary() {
    let (attempt, server) = meet(
        &[("CONNECT", Does::Says("554 5.7.1 not from here"))],
        &["ops@example.com"],
    )
    .await;
    let error = attempt.unwrap_err().to_string();
    assert!(error.ends_with(": 554 5.7.1 not from here"), "{error}");
    assert_eq!(server.commands(), Vec::<String>::new());
}

#[tokio::test]
async fn a_5xx_to_auth_is_temporary() {
    let server = ScriptedSmtp::start(&[("AUTH", Does::Says("535 5.7.8 wrong password"))]).await;
    let settings = SmtpSettings {
        login: Some(("me".to_owned(), "secret".into())),
        ..to_scripted(&server)
    };
    let error = send(settings, &["ops@example.com"])
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with("as me: 535 5.7.8 wrong password"),
        "{error}"
    );
    assert!(
        !server
            .commands()
            .iter()
            .any(|line| line.starts_with("MAIL"))
    );
}

#[tokio::test]
async fn starttls_that_is_not_offered_stops_everything() {
    let server = ScriptedSmtp::start(&[]).await;
    let settings = SmtpSettings {
        tls: TlsMode::StartTls,
        login: Some(("me".to_owned(), "secret".into())),
        ..to_scripted(&server)
    };
    let error = send(settings, &["ops@example.com"])
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("does not offer STARTTLS"), "{error}");
    assert_eq!(server.commands(), ["EHLO example.com"]);
}

#[tokio::test]
async fn a_5xx_to_mail_from_is_about_us_and_temporary() {
    let (attempt, _server) = meet(
        &[("MAIL", Does::Says("553 5.7.1 sender not owned"))],
        &["ops@example.com"],
    )
    .await;
    let expected = deferred("ops@example.com", "MAIL FROM: 553 5.7.1 sender not owned");
    assert_eq!(attempt, Ok(expected));
}

#[tokio::test]
async fn a_5xx_to_rcpt_refuses_that_recipient_alone() {
    let script: Script = &[(
        "RCPT TO:<gone@",
        Does::Says("550-5.1.1 The account does not exist.\r\n550 5.1.1 Learn more somewhere"),
    )];
    let (attempt, server) = meet(script, &["gone@example.com", "ops@example.com"]).await;
    let words = "RCPT TO: 550 5.1.1 The account does not exist. Learn more somewhere";
    assert_eq!(
        attempt,
        Ok(Attempt {
            accepted: accepted(&["ops@example.com"]).accepted,
            ..refused("gone@example.com", words)
        })
    );
    assert_eq!(server.messages().len(), 1);
}

#[tokio::test]
async fn a_used_up_quota_defers_although_it_is_a_5xx() {
    for (script, words) in [
        (
            &[("RCPT", Does::Says("550 5.4.5 Daily sending quota exceeded"))] as Script,
            "RCPT TO: 550 5.4.5 Daily sending quota exceeded",
        ),
        (
            &[(
                ".",
                Does::Says("550 5.7.30 Basic authentication is not supported"),
            )],
            "the final dot: 550 5.7.30 Basic authentication is not supported",
        ),
    ] {
        let (attempt, _server) = meet(script, &["ops@example.com"]).await;
        assert_eq!(attempt, Ok(deferred("ops@example.com", words)));
    }
}

#[tokio::test]
async fn with_every_recipient_refused_no_data_is_sent() {
    let (attempt, server) = meet(
        &[("RCPT", Does::Says("550 5.1.1 no"))],
        &["ops@example.com"],
    )
    .await;
    assert_eq!(
        attempt,
        Ok(refused("ops@example.com", "RCPT TO: 550 5.1.1 no"))
    );
    assert!(!server.commands().contains(&"DATA".to_owned()));
}

#[tokio::test]
async fn a_5xx_to_the_message_refuses_and_a_4xx_defers() {
    for step in [("DATA", "DATA"), (".", "the final dot")] {
        let script: Script = match step.0 {
            "DATA" => &[("DATA", Does::Says("552 5.3.4 too big"))],
            _ => &[(".", Does::Says("552 5.3.4 too big"))],
        };
        let (attempt, _server) = meet(script, &["ops@example.com"]).await;
        let words = format!("{}: 552 5.3.4 too big", step.1);
        assert_eq!(attempt, Ok(refused("ops@example.com", &words)));

        let script: Script = match step.0 {
            "DATA" => &[("DATA", Does::Says("451 4.3.0 later"))],
            _ => &[(".", Does::Says("451 4.3.0 later"))],
        };
        let (attempt, _server) = meet(script, &["ops@example.com"]).await;
        let words = format!("{}: 451 4.3.0 later", step.1);
        assert_eq!(attempt, Ok(deferred("ops@example.com", &words)));
    }
}

#[tokio::test]
async fn a_connection_cut_after_the_final_dot_defers() {
    let (attempt, server) = meet(&[(".", Does::HangsUp)], &["ops@example.com"]).await;
    let Attempt {
        accepted,
        refused,
        deferred,
        ..
    } = attempt.unwrap();
    assert!(accepted.is_empty() && refused.is_empty());
    assert!(
        deferred[0]
            .1
            .starts_with("the final dot: the server hung up"),
        "{deferred:?}"
    );
    assert_eq!(server.messages().len(), 1);
}

#[tokio::test]
async fn a_server_that_falls_silent_is_left_in_bounded_time() {
    let from = address("einvoice@example.com");
    let within = Duration::from_millis(300);
    for (script, words) in [
        (&[("CONNECT", Does::FallsSilent)] as Script, "connect to "),
        (&[("RCPT", Does::FallsSilent)], "RCPT TO: no answer within "),
        (
            &[(".", Does::FallsSilent)],
            "the final dot: no answer within ",
        ),
    ] {
        let server = ScriptedSmtp::start(script).await;
        let transport = Transport::Smtp(to_scripted(&server));
        let letter = letter(&["ops@example.com"]);
        let sending = transport.send(&from, &letter, Timestamp::UNIX_EPOCH, within);
        let attempt = tokio::time::timeout(Duration::from_secs(20), sending)
            .await
            .unwrap();
        let said = match attempt {
            Ok(attempt) => attempt.deferred[0].1.clone(),
            Err(unreachable) => unreachable.to_string(),
        };
        assert!(
            said.starts_with(words) && said.contains("no answer within"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn an_answer_out_of_turn_is_not_taken_for_success() {
    let (attempt, _server) = meet(
        &[("DATA", Does::Says("250 2.0.0 OK"))],
        &["ops@example.com"],
    )
    .await;
    let words = "DATA: expected 354, found 250 2.0.0 OK";
    assert_eq!(attempt, Ok(deferred("ops@example.com", words)));
}

#[tokio::test]
async fn a_letter_becomes_one_file_however_often_it_is_sent() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("mail");
    let transport = Transport::Directory(directory.clone());
    let letter = letter(&["ops@example.com"]);
    for _ in 0..2 {
        let attempt = transport
            .send(
                &address("a@example.com"),
                &letter,
                Timestamp::UNIX_EPOCH,
                WITHIN,
            )
            .await;
        assert_eq!(attempt, Ok(accepted(&["ops@example.com"])));
    }
    let files: Vec<_> = std::fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(files, ["0123456789abcdef0123456789abcdef.confirmation.eml"]);
    assert_eq!(
        std::fs::read(directory.join(&files[0])).unwrap(),
        letter.eml
    );
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_is_temporary() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let transport = Transport::Directory(file.path().join("below"));
    let letter = letter(&["ops@example.com"]);
    let error = transport
        .send(
            &address("a@example.com"),
            &letter,
            Timestamp::UNIX_EPOCH,
            WITHIN,
        )
        .await
        .unwrap_err();
    assert!(error.to_string().starts_with("write mail to "), "{error}");
}

#[tokio::test]
async fn a_message_id_cannot_lead_out_of_the_directory() {
    let home = tempfile::tempdir().unwrap();
    let transport = Transport::Directory(home.path().join("mail"));
    let letter = Letter {
        message_id: "<../../escaped@example.com>".to_owned(),
        ..letter(&["ops@example.com"])
    };
    let attempt = transport
        .send(
            &address("a@example.com"),
            &letter,
            Timestamp::UNIX_EPOCH,
            WITHIN,
        )
        .await;
    assert!(attempt.is_err());
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
}
