//! From the connection to the open folder: greeting, STARTTLS, LOGIN, capabilities, EXAMINE.

use std::sync::Arc;

use invoice_trackd::{
    mailbox::{Bounds, Imap, MailboxError, Source},
    tls::TlsMode,
};
use tokio_rustls::rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

use super::{PATIENT, SHORT, open, refusal};
use crate::support::{
    daemon::unwatched,
    scripted_imap::{Peer, ScriptedImap},
};

/// Runs `script` against an attempt to open, which must fail.
async fn opening_against<F>(bounds: Bounds, script: fn(Peer) -> F) -> MailboxError
where
    F: Future<Output = ()> + Send + 'static,
{
    let server = ScriptedImap::start(script).await;
    let error = open(&server, bounds).await.unwrap_err();
    server.finish().await;
    error
}

#[tokio::test]
async fn capabilities_that_are_refused_are_not_an_empty_list() {
    for answer in ["NO not now", "BAD what"] {
        let server = ScriptedImap::start(move |mut peer: Peer| async move {
            peer.log_in().await;
            let text = format!("TAG {answer}\r\n");
            peer.expect("CAPABILITY").await.answer(&text).await;
            peer.must_leave().await;
        })
        .await;
        assert_eq!(refusal(&open(&server, PATIENT).await.unwrap_err()), answer);
        server.finish().await;
    }
}

#[tokio::test]
async fn capabilities_that_are_cut_off_are_not_an_empty_list() {
    let error = opening_against(PATIENT, |mut peer| async move {
        peer.log_in().await;
        peer.expect("CAPABILITY").await.answer("* BYE\r\n").await;
    });
    assert_eq!(refusal(&error.await), "BYE");
    let error = opening_against(PATIENT, |mut peer| async move {
        peer.log_in().await;
        peer.expect("CAPABILITY").await.ok("").await;
        peer.must_leave().await;
    });
    assert!(
        error
            .await
            .to_string()
            .contains("expected a CAPABILITY response")
    );
}

#[tokio::test]
async fn a_folder_cut_off_while_opening_is_not_open() {
    let error = opening_against(PATIENT, |mut peer| async move {
        peer.log_in().await;
        peer.expect("CAPABILITY")
            .await
            .ok("* CAPABILITY IMAP4rev1\r\n")
            .await;
        let examine = peer.expect("EXAMINE \"INBOX\"").await;
        examine
            .answer("* 3 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n")
            .await;
    });
    let error = error.await;
    assert!(matches!(error, MailboxError::Closed { .. }), "{error:?}");
}

#[tokio::test]
async fn a_folder_without_uidvalidity_is_not_opened() {
    let error = opening_against(PATIENT, |mut peer| async move {
        peer.log_in().await;
        peer.expect("CAPABILITY")
            .await
            .ok("* CAPABILITY IMAP4rev1\r\n")
            .await;
        peer.expect("EXAMINE").await.ok("* 3 EXISTS\r\n").await;
        peer.must_leave().await;
    });
    let error = error.await.to_string();
    assert_eq!(
        error,
        "open the folder INBOX: expected a UIDVALIDITY, found none"
    );
}

#[tokio::test]
async fn a_server_that_does_not_greet_is_given_up() {
    let bounds = Bounds {
        connect: SHORT,
        ..PATIENT
    };
    let error = opening_against(bounds, |mut peer| async move { peer.must_leave().await }).await;
    assert!(
        matches!(error, MailboxError::Timeout { within: SHORT, .. }),
        "{error:?}"
    );
    assert!(
        error.to_string().starts_with("connect to 127.0.0.1:"),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_that_greets_with_bye_says_why() {
    let error = opening_against(PATIENT, |mut peer| async move {
        peer.say("* BYE Too many connections\r\n").await;
    });
    assert_eq!(refusal(&error.await), "BYE Too many connections");
}

#[tokio::test]
async fn a_server_that_takes_us_for_logged_in_is_refused() {
    let error = opening_against(PATIENT, |mut peer| async move {
        peer.say("* PREAUTH welcome\r\n").await;
        peer.must_leave().await;
    });
    assert!(error.await.to_string().contains("greeting"));
}

#[tokio::test]
async fn no_password_is_sent_where_login_is_disabled() {
    let error = opening_against(PATIENT, |mut peer| async move {
        peer.say("* OK ready\r\n").await;
        let asked = peer.expect("CAPABILITY").await;
        asked
            .ok("* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\r\n")
            .await;
        peer.must_leave().await;
    });
    let error = error.await.to_string();
    assert!(error.contains("LOGINDISABLED (tls = \"none\")"), "{error}");
}

#[tokio::test]
async fn a_refused_login_is_told_apart_and_does_not_show_the_password() {
    let error = opening_against(PATIENT, |mut peer| async move {
        peer.say("* OK ready\r\n").await;
        peer.expect("CAPABILITY")
            .await
            .ok("* CAPABILITY IMAP4rev1\r\n")
            .await;
        let login = peer.expect("LOGIN \"user\" \"secret\"").await;
        login
            .answer("TAG NO [AUTHENTICATIONFAILED] Authentication failed.\r\n")
            .await;
        peer.must_leave().await;
    });
    let error = error.await;
    assert!(matches!(error, MailboxError::Login { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        "log in as user: the server answered NO [AUTHENTICATIONFAILED] Authentication failed."
    );
    assert!(!format!("{error:?}").contains("secret"));
}

#[tokio::test]
async fn a_login_that_is_put_off_is_not_a_refused_one() {
    for (answer, refused) in [
        ("NO [UNAVAILABLE] backend down", false),
        ("NO [INUSE] another session", false),
        ("NO [LIMIT] too many connections", false),
        ("NO [serverbug] oops", false),
        ("BYE [UNAVAILABLE] going down", false),
        ("NO [AUTHENTICATIONFAILED] no", true),
        ("NO [EXPIRED] password too old", true),
        ("NO [CONTACTADMIN] ask us", true),
        ("NO [ALERT] [UNAVAILABLE] see the web page", true),
        ("NO Login failed. [UNAVAILABLE]", true),
        ("NO LIMIT", true),
        ("BAD [LIMIT] what", true),
    ] {
        let server = ScriptedImap::start(move |mut peer: Peer| async move {
            peer.say("* OK ready\r\n").await;
            let asked = peer.expect("CAPABILITY").await;
            asked.ok("* CAPABILITY IMAP4rev1\r\n").await;
            let tag = if answer.starts_with("BYE") {
                "*"
            } else {
                "TAG"
            };
            let text = format!("{tag} {answer}\r\n");
            peer.expect("LOGIN").await.answer(&text).await;
            peer.must_leave().await;
        })
        .await;
        let error = open(&server, PATIENT).await.unwrap_err();
        let found = matches!(error, MailboxError::Login { .. });
        assert_eq!(found, refused, "{answer}: {error:?}");
        assert!(error.to_string().ends_with(answer), "{error}");
        server.finish().await;
    }
}

#[tokio::test]
async fn a_password_is_quoted_and_one_with_a_line_end_is_never_sent() {
    let server = ScriptedImap::start(|mut peer: Peer| async move {
        peer.say("* OK ready\r\n").await;
        peer.expect("CAPABILITY")
            .await
            .ok("* CAPABILITY IMAP4rev1\r\n")
            .await;
        let login = peer.expect("LOGIN").await;
        assert_eq!(login.line, r#"LOGIN "us er" "p\"a\\s""#);
        login.answer("TAG NO no\r\n").await;
    })
    .await;
    let mut quoting = server.settings(PATIENT);
    quoting.username = "us er".to_owned();
    quoting.credential = r#"p"a\s"#.into();
    Source::Imap(Imap::new(quoting))
        .open(&unwatched())
        .await
        .unwrap_err();

    for bad in ["a\r\nb LOGOUT", "a\nb", "a\0b"] {
        let mut splitting = server.settings(PATIENT);
        splitting.credential = bad.into();
        let error = Source::Imap(Imap::new(splitting))
            .open(&unwatched())
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "log in as user: expected a password without CR, LF and NUL, found one of them in it"
        );
    }
    server.finish().await;
}

/// A certificate for 127.0.0.1, and a file that holds its CA.
fn certificate() -> (Arc<ServerConfig>, tempfile::NamedTempFile) {
    let own = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let ca = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(ca.path(), own.cert.pem()).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    (Arc::new(config), ca)
}

#[tokio::test]
async fn what_is_slipped_in_before_starttls_is_forgotten() {
    let (config, ca) = certificate();
    let server = ScriptedImap::start(move |mut peer: Peer| async move {
        peer.say("* OK [CAPABILITY IMAP4rev1 IDLE STARTTLS] ready\r\n")
            .await;
        // The injected OK bears the tag that the client's next command would have.
        let injected = "TAG OK go\r\n* CAPABILITY IMAP4rev1 LOGINDISABLED\r\na1 OK\r\na2 OK\r\n";
        peer.expect("STARTTLS").await.answer(injected).await;
        let mut peer = peer.encrypt(config).await;
        peer.expect("CAPABILITY")
            .await
            .ok("* CAPABILITY IMAP4rev1\r\n")
            .await;
        peer.expect("LOGIN")
            .await
            .answer("TAG NO that is far enough\r\n")
            .await;
    })
    .await;
    let mut secured = server.settings(PATIENT);
    secured.tls = TlsMode::StartTls;
    secured.ca_file = Some(ca.path().to_owned());
    let error = Source::Imap(Imap::new(secured))
        .open(&unwatched())
        .await
        .unwrap_err();
    assert!(matches!(error, MailboxError::Login { .. }), "{error:?}");
    server.finish().await;
}

#[tokio::test]
async fn nothing_is_said_in_plaintext_where_starttls_is_refused() {
    for answer in ["NO not today", "BAD unknown command"] {
        let (_, ca) = certificate();
        let server = ScriptedImap::start(move |mut peer: Peer| async move {
            peer.say("* OK ready\r\n").await;
            let text = format!("TAG {answer}\r\n");
            peer.expect("STARTTLS").await.answer(&text).await;
            peer.must_leave().await;
        })
        .await;
        let mut secured = server.settings(PATIENT);
        secured.tls = TlsMode::StartTls;
        secured.ca_file = Some(ca.path().to_owned());
        let error = Source::Imap(Imap::new(secured))
            .open(&unwatched())
            .await
            .unwrap_err();
        assert_eq!(refusal(&error), answer);
        server.finish().await;
    }
}
