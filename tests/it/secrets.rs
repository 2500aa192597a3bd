//! A secret is nowhere but where the operator put it and where it is needed: the real daemon and
//! `check --online` against real servers, everything logged that can be, everything searched.
//!
//! Left out on purpose: memory and core dumps, which `surface` looks at.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use invoice_trackd::{
    config::Config,
    delivery::{SmtpSettings, Transport},
    mailbox::{Bounds, Imap, ImapSettings, Source},
    tls::TlsMode,
};

use crate::support::{
    daemon::{COMPANY, House, Notice, PROGRAM, unwatched},
    dovecot::{self, Dovecot},
    exim::{self, Exim},
    scripted_imap::{Peer, ScriptedImap},
    scripted_smtp::{Does, ScriptedSmtp},
};

/// Accepted by nobody.
const WRONG_IMAP: &str = "wrong-Imap-0815";
const WRONG_SMTP: &str = "wrong-Smtp-2342";

/// Every secret here, as it is and as AUTH says it.
fn secrets() -> Vec<String> {
    let all = [dovecot::PASSWORD, exim::PASSWORD, WRONG_IMAP, WRONG_SMTP];
    let plain = |secret| STANDARD.encode(format!("\0{}\0{secret}", exim::USERNAME));
    let encoded = all
        .iter()
        .flat_map(|secret| [STANDARD.encode(secret), plain(secret)]);
    encoded.chain(all.map(str::to_owned)).collect()
}

fn assert_holds_none(what: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for secret in secrets() {
        assert!(!text.contains(&secret), "{what} holds {secret}:\n{text}");
    }
}

/// Every file below `place` but the secrets' own.
fn assert_files_hold_none(place: &Path) {
    for entry in fs::read_dir(place).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            assert_files_hold_none(&path);
        } else if path.extension().is_none_or(|ending| ending != "secret") {
            assert_holds_none(&path.display().to_string(), &fs::read(&path).unwrap());
        }
    }
}

fn configured(dovecot: &Dovecot, exim: &Exim, imap: &str, smtp: &str) -> House {
    let house = House::new(&format!(
        r#"{COMPANY}
[[mailbox]]
name = "m"
kind = "imap"
host = "localhost"
port = {}
ca_file = "{}"
username = "ann"
password = {{ file = "@ROOT@/imap.secret" }}
company = "53567686"
[mail]
from = "invoice-trackd <einvoice@example.com>"
confirm_to = ["ops@example.com"]
alert_to = ["oncall@example.com"]
[mail.smtp]
host = "localhost"
port = {}
tls = "starttls"
ca_file = "{}"
username = "{}"
password = {{ file = "@ROOT@/smtp.secret" }}
"#,
        dovecot.imaps_port,
        dovecot.ca_file().display(),
        exim.port(),
        exim.ca_file().display(),
        exim::USERNAME,
    ));
    house.secret("imap.secret", imap);
    house.secret("smtp.secret", smtp);
    house
}

/// A command that logs all that it can be asked to.
fn talkative(house: &House, arguments: &[&str]) -> Output {
    Command::new(PROGRAM)
        .arg("--config")
        .arg(house.path("config.toml"))
        .args(arguments)
        .env("RUST_LOG", "trace")
        .output()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_logged_kept_sent_or_handed_on() {
    let (dovecot, exim) = (Dovecot::start(), Exim::start());
    dovecot.deliver("ann", "INBOX", &Notice::default().eml());

    let refused = configured(&dovecot, &exim, WRONG_IMAP, WRONG_SMTP);
    let forged = Notice {
        from: "a@example.net",
        ..Notice::default()
    };
    refused.write("forged.eml", forged.eml());
    let file = refused.path("forged.eml");
    let taken = talkative(&refused, &["ingest", file.to_str().unwrap()]);
    assert_holds_none("ingest", &[taken.stdout, taken.stderr].concat());
    let daemon = refused.run(&[("RUST_LOG", "trace")]);
    refused
        .until("both servers have refused", || async {
            let log = refused.log();
            log.contains("mailbox not watched") && log.contains("mail put off")
        })
        .await;
    drop(daemon);

    let house = configured(&dovecot, &exim, dovecot::PASSWORD, exim::PASSWORD);
    let daemon = house.run(&[("RUST_LOG", "trace")]);
    let mails = exim.mails(1).await;
    let process = format!("/proc/{}", daemon.process());
    for file in ["cmdline", "environ"] {
        let path = format!("{process}/{file}");
        match fs::read(&path) {
            Ok(bytes) => assert_holds_none(&path, &bytes),
            // Nobody but root may look.
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied),
        }
    }
    let children = fs::read_dir(format!("{process}/task"))
        .unwrap()
        .flat_map(|task| fs::read_to_string(task.unwrap().path().join("children")).ok());
    assert_eq!(children.collect::<String>(), "", "it has children");

    for (house, status) in [(&house, 0), (&refused, 78)] {
        let checked = talkative(house, &["check", "--online"]);
        assert_eq!(checked.status.code(), Some(status), "{checked:?}");
        assert_holds_none("check --online", &[checked.stdout, checked.stderr].concat());
        for command in [
            &["status"][..],
            &["status", "--json"],
            &["outbox", "list", "--json"],
        ] {
            let told = talkative(house, command);
            assert!(told.status.success(), "{told:?}");
            assert_holds_none("a command", &[told.stdout, told.stderr].concat());
        }
    }
    drop(daemon);
    assert_holds_none("a mail", mails.concat().as_bytes());
    for house in [&house, &refused] {
        assert_files_hold_none(house.root.path());
    }
}

#[test]
fn no_settings_show_a_secret() {
    let house = House::new(
        r#"
[[mailbox]]
name = "m"
kind = "imap"
host = "localhost"
username = "ann"
password = { file = "@ROOT@/imap.secret" }
[mail]
from = "einvoice@example.com"
alert_to = ["oncall@example.com"]
[mail.smtp]
host = "localhost"
username = "ann"
password = { file = "@ROOT@/smtp.secret" }
"#,
    );
    house.secret("imap.secret", dovecot::PASSWORD);
    house.secret("smtp.secret", exim::PASSWORD);
    let config = Config::load(&house.path("config.toml")).unwrap();
    let source = config.mailboxes[0].source().unwrap();
    let transport = config.transport().unwrap();
    // Here they are: what is shown below was not without them.
    assert!(matches!(source, Source::Imap(_)));
    assert!(matches!(&transport, Some(Transport::Smtp(settings)) if settings.login.is_some()));
    for shown in [
        format!("{config:?} {config:#?}"),
        format!("{source:?} {source:#?}"),
        format!("{transport:?} {transport:#?}"),
    ] {
        assert!(shown.len() > 200, "{shown}");
        assert_holds_none("Debug", shown.as_bytes());
    }
}

#[tokio::test]
async fn a_server_that_repeats_the_password_is_not_quoted_with_it() {
    const PASSWORD: &str = r#"imap-"Secret"\4711"#;
    let server = ScriptedImap::start(|mut peer: Peer| async move {
        peer.say("* OK ready\r\n").await;
        let asked = peer.expect("CAPABILITY").await;
        asked.ok("* CAPABILITY IMAP4rev1\r\n").await;
        let asked = peer.expect("LOGIN").await;
        // As it was said, and as it is.
        let line = &asked.line;
        let echo = format!("TAG NO what do you mean by {line}, by {PASSWORD}?\r\n");
        asked.answer(&echo).await;
    })
    .await;
    for password in [PASSWORD] {
        let settings = ImapSettings {
            credential: invoice_trackd::oauth::Credential::Password(password.into()),
            ..server.settings(Bounds::default())
        };
        let error = Source::Imap(Imap::new(settings)).open(&unwatched()).await;
        let error = format!("{0} {0:?}", error.unwrap_err());
        assert!(error.contains("what do you mean by LOGIN"), "{error}");
        assert!(!error.contains("4711"), "{error}");
    }
    server.finish().await;

    // `\0ann\0smtp-Secret-4711` as AUTH PLAIN says it, and the password alone as AUTH LOGIN does.
    for answer in [
        "535 5.7.8 AGFubgBzbXRwLVNlY3JldC00NzEx is wrong",
        "535 5.7.8 c210cC1TZWNyZXQtNDcxMQ== is wrong",
        "535 5.7.8 smtp-Secret-4711 is wrong",
        "250 smtp-Secret-4711 is not what you should say",
    ] {
        let script = vec![("AUTH", Does::Says(answer))].leak();
        let server = ScriptedSmtp::start(script).await;
        let transport = Transport::Smtp(SmtpSettings {
            host: "127.0.0.1".to_owned(),
            port: server.port(),
            tls: TlsMode::None,
            ca_file: None,
            login: Some(("ann".to_owned(), "smtp-Secret-4711".into())),
            command: std::time::Duration::from_secs(30),
        });
        let from = "einvoice@example.com".parse().unwrap();
        let error = transport
            .probe(&from, std::time::Duration::from_secs(60))
            .await;
        let error = format!("{0} {0:?}", error.unwrap_err());
        assert!(error.contains("***") && error.contains(" is "), "{error}");
        for part in ["Secret", "TZWNyZX", "NlY3Jld", "NDcx", "DQ3MT", "0NzE"] {
            assert!(!error.contains(part), "{answer}: {error}");
        }
    }
}
