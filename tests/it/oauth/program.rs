//! The whole program with access tokens: from the first notice to a revoked grant, and what it lets nobody
//! see on the way.

use std::{fs, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};

use crate::support::{
    daemon::{COMPANY, House, notice},
    dovecot::Dovecot,
    scripted_imap::{Peer, ScriptedImap},
    scripted_smtp::{Does, ScriptedSmtp},
    token_endpoint::{TokenEndpoint, refusal, rotated},
};

const CLIENT_SECRET: &str = "Client-Secret-8271";
const REFRESH_TOKEN: &str = "Refresh-Token-8272";
const REPLACED: &str = "Replaced-Token-8273";
const ACCESS_TOKEN: &str = "Access-Token-8274";

/// `oauth` for a person who has signed in at this endpoint.
fn oauth(endpoint: &TokenEndpoint, provider: &str) -> String {
    format!(
        "oauth = {{ provider = \"{provider}\", token_endpoint = \"{}\", client_id = \"the-client\", \
         client_secret = {{ file = \"@ROOT@/client\" }}, \
         refresh_token = {{ file = \"@ROOT@/refresh\" }} }}\n",
        endpoint.url()
    )
}

fn house(configuration: &str) -> House {
    let house = House::new(&format!("{COMPANY}{configuration}"));
    house.secret("client", CLIENT_SECRET);
    house.secret("refresh", REFRESH_TOKEN);
    house
}

fn mailbox(dovecot: &Dovecot, oauth: &str) -> String {
    let text = dovecot.mailbox("einvoice", "ann@example.com");
    let password = "password = { env = \"TEST_IMAP_PASSWORD\" }\n";
    assert!(text.contains(password));
    text.replace(password, oauth)
}

fn mail(port: u16, oauth: &str) -> String {
    format!(
        "[mail]\nfrom = \"invoice-trackd <einvoice@example.com>\"\nconfirm_to = [\"ops@example.com\"]\n\
         alert_to = [\"oncall@example.com\"]\n[mail.smtp]\nhost = \"127.0.0.1\"\nport = {port}\n\
         tls = \"none\"\nusername = \"me@example.com\"\n{oauth}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_is_fetched_and_confirmed_with_tokens_and_no_secret_is_seen_anywhere() {
    let endpoint = TokenEndpoint::start(|n, form| match &*form["refresh_token"] {
        REFRESH_TOKEN | REPLACED => {
            let answer = serde_json::json!({
                "access_token": format!("{ACCESS_TOKEN}-{n}"), "token_type": "Bearer",
                "expires_in": 3600, "refresh_token": REPLACED,
            });
            crate::support::token_endpoint::json(200, &answer)
        }
        other => refusal(400, "invalid_grant", &format!("{other} is none of ours")),
    })
    .await;
    let dovecot = Dovecot::with_tokens(endpoint.introspection());
    for n in 0..10 {
        endpoint.know(&format!("{ACCESS_TOKEN}-{n}"), "ann@example.com");
    }
    let smtp = ScriptedSmtp::start(&[(
        "EHLO",
        Does::Says("250-scripted\r\n250-AUTH XOAUTH2\r\n250 8BITMIME"),
    )])
    .await;
    let google = oauth(&endpoint, "google");
    let house = house(&format!(
        "{}{}",
        mailbox(&dovecot, &google),
        mail(smtp.port(), &google)
    ));
    dovecot.deliver("ann@example.com", "INBOX", &notice("EC"));
    let daemon = house.run(&[("RUST_LOG", "trace")]);
    house
        .until("the notice is recorded and confirmed", || async {
            !house.allocations().await.is_empty() && !smtp.messages().is_empty()
        })
        .await;
    // The mailbox and the mail server have the same grant, and so the same token.
    assert_eq!(endpoint.asked().len(), 1);

    let process = daemon.process();
    let arguments = fs::read(format!("/proc/{process}/cmdline")).unwrap();
    let mut seen = String::from_utf8_lossy(&arguments).into_owned();
    let check = house.command(&["check", "--online"]);
    assert_eq!(check.status.code(), Some(0), "{check:?}");
    // Beside the daemon, with the refresh token that has replaced the configured one.
    assert_eq!(endpoint.asked().last().unwrap()["refresh_token"], REPLACED);
    for output in [check, house.command(&["check"]), house.command(&["status"])] {
        seen.push_str(&String::from_utf8(output.stdout).unwrap());
        seen.push_str(&String::from_utf8(output.stderr).unwrap());
    }

    // The grant is revoked: the file says another one, and it is refused.
    house.secret("refresh", "Refused-Token-8275");
    daemon.reload();
    for n in 0..10 {
        endpoint.forget(&format!("{ACCESS_TOKEN}-{n}"));
    }
    dovecot.kick("ann@example.com");
    house
        .until("status says that a person must act", || async {
            let status = house.command(&["status"]);
            let status = String::from_utf8(status.stdout).unwrap();
            status.contains("invalid_grant")
        })
        .await;
    let status = house.command(&["status"]);
    seen.push_str(&String::from_utf8(status.stdout).unwrap());
    assert_eq!(daemon.terminate(Duration::from_secs(20)), Some(0));
    let log = house.log();
    let told = log
        .lines()
        .find(|line| line.contains("mailbox not watched: get an access token from 127.0.0.1"));
    let told = told.unwrap_or_else(|| panic!("{log}"));
    assert!(told.contains("ERROR"), "{told}");
    assert!(told.contains("retry.seconds=60"), "{told}");
    assert!(
        log.contains("TRACE") || log.contains("DEBUG"),
        "the log is not as full as it gets"
    );
    seen.push_str(&log);

    let ledger = fs::read(house.path("ledger.db")).unwrap();
    seen.push_str(&String::from_utf8_lossy(&ledger));
    for secret in [
        CLIENT_SECRET,
        REFRESH_TOKEN,
        REPLACED,
        ACCESS_TOKEN,
        "Refused-Token-8275",
        // `auth=Bearer Access-Token` in base64, at each of its three offsets.
        "YXV0aD1CZWFyZXIg",
        "F1dGg9QmVhcmVyI",
        "hdXRoPUJlYXJlci",
    ] {
        if let Some(at) = seen.find(secret) {
            let around = seen
                .get(at.saturating_sub(200)..at + 40)
                .unwrap_or_default();
            panic!("{secret} is seen: {around}");
        }
    }
    // The pieces above are what is sent.
    let sent = BASE64_STANDARD.encode(format!("user=me@example.com\x01auth=Bearer {ACCESS_TOKEN}"));
    let pieces = ["YXV0aD1CZWFyZXIg", "F1dGg9QmVhcmVyI", "hdXRoPUJlYXJlci"];
    assert!(pieces.iter().any(|piece| sent.contains(piece)), "{sent}");
}

/// A report with each statement on one line, and without what differs from run to run.
fn settled(report: &str, house: &House, ports: &[(u16, &str)]) -> String {
    let mut text = String::new();
    for line in report.lines() {
        match line.strip_prefix("            ") {
            Some(rest) => text = format!("{} {}", text.trim_end(), rest.trim_start()),
            None => text.push_str(line),
        }
        text.push('\n');
    }
    for (port, name) in ports {
        text = text.replace(&port.to_string(), name);
    }
    text.replace(house.root.path().to_str().unwrap(), "ROOT")
}

/// An IMAP server that takes tokens, and answers so.
async fn imap(login: &'static str, later: &'static str) -> ScriptedImap {
    ScriptedImap::start_for_all(move |mut peer: Peer| async move {
        peer.say("* OK ready\r\n").await;
        while let Some(line) = peer.line().await {
            let (tag, command) = line.split_once(' ').unwrap();
            let capabilities = "* CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2\r\nTAG OK done\r\n";
            let answer = match command.split(' ').next().unwrap() {
                "CAPABILITY" => capabilities,
                "AUTHENTICATE" => login,
                _ => later,
            };
            peer.say(&answer.replace("TAG", tag)).await;
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn check_says_whether_it_is_the_token_the_mailbox_or_the_mail_server() {
    let granting = TokenEndpoint::granting("at").await;
    let revoked = TokenEndpoint::start(|_, _| {
        refusal(
            400,
            "invalid_grant",
            "AADSTS700082: The refresh token has expired due to inactivity.",
        )
    })
    .await;
    let busy = TokenEndpoint::start(|_, _| refusal(503, "temporarily_unavailable", "later")).await;
    let good = imap("TAG NO AUTHENTICATE failed.\r\n", "").await;
    let outside = imap(
        "TAG OK done\r\n",
        "TAG BAD User is authenticated but not connected.\r\n",
    )
    .await;
    let smtp = ScriptedSmtp::start(&[
        ("EHLO", Does::Says("250-scripted\r\n250 AUTH XOAUTH2")),
        ("AUTH", Does::Says("535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox.")),
    ])
    .await;
    let plain = ScriptedSmtp::start(&[]).await;
    let app = |endpoint: &TokenEndpoint| {
        format!(
            "oauth = {{ provider = \"microsoft\", token_endpoint = \"{}\", client_id = \"the-client\", \
             client_secret = {{ file = \"@ROOT@/client\" }} }}\n",
            endpoint.url()
        )
    };
    let mailbox = |port: u16, oauth: &str| {
        format!(
            "[[mailbox]]\nname = \"m\"\nkind = \"imap\"\nhost = \"127.0.0.1\"\nport = {port}\n\
             tls = \"none\"\nusername = \"ann@example.com\"\n{oauth}"
        )
    };
    let (good, outside) = (good.address.port(), outside.address.port());
    let mut reports = String::new();
    for (configuration, expected) in [
        (mailbox(good, &oauth(&revoked, "microsoft")), 78),
        (mailbox(good, &oauth(&revoked, "google")), 78),
        (mailbox(good, &oauth(&busy, "microsoft")), 75),
        (mailbox(good, &app(&granting)), 78),
        (mailbox(good, &oauth(&granting, "google")), 78),
        (mailbox(outside, &app(&granting)), 78),
        (mail(smtp.port(), &app(&granting)), 78),
        (mail(smtp.port(), &oauth(&revoked, "google")), 78),
        (mail(plain.port(), &oauth(&granting, "google")), 78),
    ] {
        let house = house(&configuration);
        let output = house.command(&["check", "--online"]);
        let report = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(expected), "{report}");
        let ports = [
            (good, "IMAP"),
            (outside, "IMAP"),
            (smtp.port(), "SMTP"),
            (plain.port(), "SMTP"),
            (granting.port(), "TOKEN"),
            (revoked.port(), "TOKEN"),
            (busy.port(), "TOKEN"),
        ];
        let report = settled(&report, &house, &ports);
        reports.push_str(report.split_once("FAILED").unwrap().1.trim_start());
        reports.push('\n');
    }
    insta::assert_snapshot!(reports);
}

#[test]
fn a_secret_that_cannot_be_read_is_named_by_its_key() {
    let house = House::new(
        "[[mailbox]]\nname = \"m\"\nkind = \"imap\"\nhost = \"127.0.0.1\"\nport = 1\ntls = \"none\"\n\
         username = \"ann\"\noauth = { provider = \"google\", client_id = \"c\", \
         refresh_token = { file = \"@ROOT@/nosuch\" } }\n",
    );
    let output = house.command(&["check", "--online"]);
    let report = settled(&String::from_utf8(output.stdout).unwrap(), &house, &[]);
    assert_eq!(output.status.code(), Some(78));
    let said = "oauth: refresh_token: read the secret file ROOT/nosuch: No such file";
    assert!(report.contains(said), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_token_is_fetched_anew_with_the_refresh_token_that_systemds_directory_keeps() {
    let endpoint =
        TokenEndpoint::start(|n, _| rotated(&format!("at-{n}"), &format!("rt-{n}"))).await;
    let dovecot = Dovecot::with_tokens(endpoint.introspection());
    for n in 0..50 {
        endpoint.know(&format!("at-{n}"), "ann@example.com");
    }
    let house = house(&mailbox(&dovecot, &oauth(&endpoint, "microsoft")));
    let state = house.path("state");
    fs::create_dir(&state).unwrap();
    let directories = format!("{}:/nonexistent", state.display());
    let _daemon = house.run(&[("STATE_DIRECTORY", &directories)]);
    dovecot.deliver("ann@example.com", "INBOX", &notice("EC"));
    house
        .until("the first", || async {
            house.allocations().await.len() == 1
        })
        .await;
    let asked = endpoint.asked().len();
    dovecot.kick("ann@example.com");
    dovecot.deliver("ann@example.com", "INBOX", &notice("ED"));
    house
        .until("the next connection", || async {
            endpoint.asked().len() > asked
        })
        .await;
    let used = &endpoint.asked()[asked]["refresh_token"];
    assert_eq!(*used, format!("rt-{}", asked - 1));
    let kept = fs::read_dir(&state).unwrap();
    let mut names = kept.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(names.any(|name| name.starts_with("oauth-")));
}
