//! Showing tokens: to a real Dovecot, and to scripted IMAP and SMTP servers for what it would not do.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use invoice_trackd::{
    delivery::{Attempt, ObstacleKind, SmtpSettings, Transport, Unreachable},
    ledger::{Kind, Letter},
    mailbox::{Bounds, Imap, ImapSettings, Link, MailboxError, Source},
    oauth::{Credential, Tokens},
    tls::TlsMode,
};
use jiff::Timestamp;

use super::for_itself;
use crate::support::{
    daemon::unwatched,
    dovecot::Dovecot,
    scripted_imap::{Peer, ScriptedImap},
    scripted_smtp::{Does, Script, ScriptedSmtp},
    token_endpoint::{TokenEndpoint, refusal, token},
};

const WITHIN: Duration = Duration::from_secs(60);

fn tokens(endpoint: &TokenEndpoint) -> Arc<Tokens> {
    Tokens::of(for_itself(endpoint))
}

async fn open(settings: ImapSettings) -> Result<Link, MailboxError> {
    Source::Imap(Imap::new(settings)).open(&unwatched()).await
}

fn at(dovecot: &Dovecot, tokens: &Arc<Tokens>) -> ImapSettings {
    ImapSettings {
        name: "einvoice".to_owned(),
        host: "localhost".to_owned(),
        port: dovecot.imaps_port,
        tls: TlsMode::Implicit,
        ca_file: Some(dovecot.ca_file()),
        username: "ann@example.com".to_owned(),
        credential: Credential::Token(Arc::clone(tokens)),
        folder: "INBOX".to_owned(),
        after_import: None,
        bounds: Bounds::default(),
    }
}

/// What the client says first, in base64.
fn response(username: &str, token: &str) -> String {
    BASE64_STANDARD.encode(format!("user={username}\x01auth=Bearer {token}\x01\x01"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_server_takes_the_token_and_a_revoked_one_is_replaced_once() {
    let endpoint = TokenEndpoint::granting("at").await;
    let dovecot = Dovecot::with_tokens(endpoint.introspection());
    let tokens = tokens(&endpoint);
    endpoint.know("at-0", "ann@example.com");
    drop(open(at(&dovecot, &tokens)).await.unwrap());
    drop(open(at(&dovecot, &tokens)).await.unwrap());
    assert_eq!(
        endpoint.asked().len(),
        1,
        "the second login takes the held token"
    );

    // Revoked before its time.
    endpoint.forget("at-0");
    endpoint.know("at-1", "ann@example.com");
    drop(open(at(&dovecot, &tokens)).await.unwrap());
    assert_eq!(endpoint.asked().len(), 2);

    // One that was just fetched and is refused all the same is not followed by another.
    endpoint.forget("at-1");
    let error = open(at(&dovecot, &tokens)).await.unwrap_err();
    assert!(error.is_refused_login(), "{error:?}");
    assert_eq!(endpoint.asked().len(), 3);
    let error = error.to_string();
    assert!(error.contains("AUTHENTICATIONFAILED"), "{error}");
    assert!(
        error.ends_with("(status invalid_token)") || error.ends_with("(status 401)"),
        "{error}"
    );
    open(at(&dovecot, &tokens)).await.unwrap_err();
    assert_eq!(
        endpoint.asked().len(),
        4,
        "a refused token is not shown again"
    );

    // Somebody else's.
    endpoint.know("at-4", "bob@example.com");
    let error = open(at(&dovecot, &tokens)).await.unwrap_err();
    assert!(matches!(error, MailboxError::Login { .. }), "{error:?}");
}

#[tokio::test]
async fn without_a_token_no_server_is_asked() {
    let endpoint = TokenEndpoint::start(|_, _| refusal(400, "invalid_grant", "revoked")).await;
    let settings = ImapSettings {
        // Nobody listens there; were it asked, that would be the error.
        port: 1,
        ..at(&Dovecot::start(), &tokens(&endpoint))
    };
    let error = open(settings).await.unwrap_err();
    assert!(matches!(error, MailboxError::Token(_)), "{error:?}");
    assert!(error.is_refused_login());
}

/// Greets with these capabilities; what comes next is the script's.
async fn greet(peer: &mut Peer, capabilities: &str) {
    peer.say("* OK ready\r\n").await;
    let capabilities = format!("* CAPABILITY IMAP4rev1 {capabilities}\r\n");
    peer.expect("CAPABILITY").await.ok(&capabilities).await;
}

fn scripted(server: &ScriptedImap, tokens: &Arc<Tokens>) -> ImapSettings {
    ImapSettings {
        credential: Credential::Token(Arc::clone(tokens)),
        ..server.settings(Bounds {
            command: Duration::from_secs(2),
            ..Bounds::default()
        })
    }
}

#[tokio::test]
async fn where_there_is_no_sasl_ir_the_token_waits_for_the_servers_word() {
    let endpoint = TokenEndpoint::granting("at").await;
    let server = ScriptedImap::start(|mut peer: Peer| async move {
        greet(&mut peer, "AUTH=XOAUTH2").await;
        let mut asked = peer.expect("AUTHENTICATE XOAUTH2").await;
        assert_eq!(asked.line, "AUTHENTICATE XOAUTH2");
        asked.go_on("+ \r\n").await;
        let tag = asked.tag().to_owned();
        assert_eq!(peer.line().await.unwrap(), response("user", "at-0"));
        peer.say(&format!("{tag} OK welcome\r\n")).await;
        let capabilities = "* CAPABILITY IMAP4rev1 IDLE\r\n";
        peer.expect("CAPABILITY").await.ok(capabilities).await;
        let opened = "* 0 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n";
        peer.expect("EXAMINE").await.ok(opened).await;
    })
    .await;
    open(scripted(&server, &tokens(&endpoint))).await.unwrap();
    server.finish().await;
}

#[tokio::test]
async fn a_refusal_is_explained_first_and_repeats_no_token() {
    let endpoint = TokenEndpoint::granting("at").await;
    let server = ScriptedImap::start(|mut peer: Peer| async move {
        greet(&mut peer, "SASL-IR AUTH=XOAUTH2").await;
        let mut asked = peer.expect("AUTHENTICATE XOAUTH2 ").await;
        let sent = response("user", "at-0");
        assert_eq!(asked.line, format!("AUTHENTICATE XOAUTH2 {sent}"));
        let why = BASE64_STANDARD.encode(r#"{"status":"400","token":"at-0"}"#);
        asked.go_on(&format!("+ {why}\r\n")).await;
        let tag = asked.tag().to_owned();
        assert_eq!(peer.line().await.unwrap(), "");
        peer.say(&format!(
            "{tag} NO [AUTHENTICATIONFAILED] bad at-0, {sent}\r\n"
        ))
        .await;
        peer.must_leave().await;
    })
    .await;
    let error = open(scripted(&server, &tokens(&endpoint)))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "log in as user: the server answered NO [AUTHENTICATIONFAILED] bad ***, *** \
         (status 400)"
    );
    server.finish().await;
}

#[tokio::test]
async fn a_server_that_never_stops_explaining_or_says_nothing_is_left() {
    for silent in [false, true] {
        let endpoint = TokenEndpoint::granting("at").await;
        let server = ScriptedImap::start(move |mut peer: Peer| async move {
            greet(&mut peer, "SASL-IR AUTH=XOAUTH2").await;
            peer.expect("AUTHENTICATE").await.go_on("+ e30=\r\n").await;
            assert_eq!(peer.line().await.unwrap(), "");
            if !silent {
                peer.say("+ e30=\r\n").await;
            }
            peer.must_leave().await;
        })
        .await;
        let error = open(scripted(&server, &tokens(&endpoint)))
            .await
            .unwrap_err();
        match silent {
            false => assert!(matches!(error, MailboxError::Protocol { .. }), "{error:?}"),
            true => assert!(matches!(error, MailboxError::Timeout { .. }), "{error:?}"),
        }
        server.finish().await;
    }
}

#[tokio::test]
async fn a_server_that_does_not_say_that_it_takes_tokens_gets_none() {
    let endpoint = TokenEndpoint::granting("at").await;
    let server = ScriptedImap::start(|mut peer: Peer| async move {
        greet(&mut peer, "SASL-IR AUTH=PLAIN").await;
        peer.must_leave().await;
    })
    .await;
    let error = open(scripted(&server, &tokens(&endpoint)))
        .await
        .unwrap_err();
    assert!(matches!(error, MailboxError::NoXoauth2 { .. }), "{error:?}");
    server.finish().await;
}

fn smtp(server: &ScriptedSmtp, tokens: &Arc<Tokens>) -> Transport {
    Transport::Smtp(SmtpSettings {
        host: "127.0.0.1".to_owned(),
        port: server.port(),
        tls: TlsMode::None,
        ca_file: None,
        login: Some(("me".to_owned(), Credential::Token(Arc::clone(tokens)))),
        command: Duration::from_secs(30),
    })
}

async fn send(transport: &Transport) -> Result<Attempt, Unreachable> {
    let letter = Letter {
        kind: Kind::Confirmation,
        message_id: "<1@example.com>".to_owned(),
        recipients: ["ops@example.com".parse().unwrap()].into(),
        subject: "a letter".to_owned(),
        eml: b"Subject: a letter\r\n\r\nGood day.\r\n".to_vec(),
    };
    let from = "einvoice@example.com".parse().unwrap();
    transport
        .send(&from, &letter, Timestamp::UNIX_EPOCH, WITHIN)
        .await
}

/// The server offers XOAUTH2; `more` are its other answers.
fn script(more: &[(String, Does)]) -> Script {
    let offer = ("EHLO", Does::Says("250-scripted\r\n250 AUTH LOGIN XOAUTH2"));
    let leaked = more.iter().map(|(words, does)| {
        let words: &'static str = Box::leak(words.clone().into_boxed_str());
        (words, *does)
    });
    Box::leak(std::iter::once(offer).chain(leaked).collect())
}

const OFFERED: &str = "AUTH XOAUTH2 ";

#[tokio::test]
async fn a_letter_goes_out_with_a_token() {
    let endpoint = TokenEndpoint::granting("at").await;
    let server = ScriptedSmtp::start(script(&[])).await;
    let transport = smtp(&server, &tokens(&endpoint));
    for _ in 0..2 {
        assert_eq!(send(&transport).await.unwrap().accepted.len(), 1);
    }
    let shown = format!("{OFFERED}{}", response("me", "at-0"));
    let commands = server.commands();
    assert_eq!(
        commands.iter().filter(|command| **command == shown).count(),
        2
    );
    assert_eq!(endpoint.asked().len(), 1);
}

#[tokio::test]
async fn a_token_too_long_for_the_command_has_a_line_of_its_own() {
    let long: &'static str = Box::leak("t".repeat(2000).into_boxed_str());
    let endpoint = TokenEndpoint::start(|_, _| token(long, 3600)).await;
    let server = ScriptedSmtp::start(script(&[
        ("AUTH XOAUTH2".to_owned(), Does::Says("334 ")),
        (response("me", long), Does::Says("235 2.7.0 welcome")),
    ]))
    .await;
    let sent = send(&smtp(&server, &tokens(&endpoint))).await;
    assert_eq!(sent.unwrap().accepted.len(), 1);
    let commands = server.commands();
    assert!(
        commands.contains(&"AUTH XOAUTH2".to_owned()),
        "{commands:?}"
    );
    assert!(commands.contains(&response("me", long)), "{commands:?}");
}

#[tokio::test]
async fn a_refused_token_is_replaced_once_over_smtp_as_well() {
    let endpoint = TokenEndpoint::granting("at").await;
    // {"status":"401"}
    let explained = Does::Says("334 eyJzdGF0dXMiOiI0MDEifQ==");
    let refused = Does::Says("535 5.7.3 Authentication unsuccessful for at-0 at-1 at-2");
    let offer = |token: &str| format!("{OFFERED}{}", response("me", token));
    let server = ScriptedSmtp::start(script(&[
        (offer("at-0"), explained),
        (offer("at-2"), explained),
        ("EMPTY".to_owned(), refused),
    ]))
    .await;
    let tokens = tokens(&endpoint);
    // Held from before.
    tokens.token().await.unwrap();
    let transport = smtp(&server, &tokens);
    assert_eq!(send(&transport).await.unwrap().accepted.len(), 1);
    assert_eq!(endpoint.asked().len(), 2);

    let held = tokens.token().await.unwrap();
    tokens.forget(&held).await;
    let from = "einvoice@example.com".parse().unwrap();
    let obstacle = transport.probe(&from, WITHIN).await.unwrap_err();
    assert_eq!(obstacle.kind, ObstacleKind::TokenRefused);
    assert_eq!(
        endpoint.asked().len(),
        3,
        "a fresh one that is refused is the end"
    );
    let words = format!(
        "log in to 127.0.0.1:{} as me: 535 5.7.3 Authentication",
        server.port()
    );
    assert!(obstacle.words.starts_with(&words), "{obstacle}");
    assert!(!obstacle.words.contains("at-2"), "{obstacle}");
    assert!(server.commands().contains(&"EMPTY".to_owned()));
    assert!(server.messages().len() == 1);
}

#[tokio::test]
async fn an_smtp_server_that_takes_no_tokens_gets_none_and_without_one_is_not_asked() {
    let endpoint = TokenEndpoint::granting("at").await;
    let server = ScriptedSmtp::start(&[]).await;
    let words = send(&smtp(&server, &tokens(&endpoint)))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        words.contains("expected a server that offers AUTH XOAUTH2"),
        "{words}"
    );
    assert!(
        !server
            .commands()
            .iter()
            .any(|command| command.starts_with("AUTH"))
    );

    let endpoint = TokenEndpoint::start(|_, _| refusal(400, "invalid_grant", "revoked")).await;
    let server = ScriptedSmtp::start(script(&[])).await;
    let words = send(&smtp(&server, &tokens(&endpoint)))
        .await
        .unwrap_err()
        .to_string();
    assert!(words.contains("400 invalid_grant: revoked"), "{words}");
    assert!(server.commands().is_empty());
}
