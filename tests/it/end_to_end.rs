//! The main job on real parts: a notice in a folder of a real Dovecot, over TLS with IDLE, becomes
//! a record in the ledger and a mail that a real SMTP server has taken.

use std::{
    collections::BTreeSet,
    io::Write as _,
    time::{Duration, Instant},
};

use crate::support::{
    daemon::{COMPANY, House, Notice},
    dovecot::{self, Dovecot},
    exim::{self, Exim},
    free_address,
};

pub fn imap_mailbox(name: &str, user: &str, dovecot: &Dovecot) -> String {
    dovecot.mailbox(name, user) + "tls = \"implicit\"\ncompany = \"53567686\"\n"
}

pub fn mail(exim: &Exim) -> String {
    format!(
        r#"
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
password = {{ env = "TEST_SMTP_PASSWORD" }}
"#,
        exim.port(),
        exim.ca_file().display(),
        exim::USERNAME,
    )
}

pub const SECRETS: &[(&str, &str)] = &[
    ("TEST_IMAP_PASSWORD", dovecot::PASSWORD),
    ("TEST_SMTP_PASSWORD", exim::PASSWORD),
];

/// A header field of a mail that arrived, by its name in lower case.
fn field(mail: &str, name: &str) -> String {
    let message = mail_parser::MessageParser::default().parse(mail).unwrap();
    let found = message
        .headers()
        .iter()
        .find(|header| header.name().eq_ignore_ascii_case(name))
        .unwrap_or_else(|| panic!("no {name} in the mail"));
    match name {
        "subject" => message.subject().unwrap().to_owned(),
        _ => String::from_utf8_lossy(
            &mail.as_bytes()[usize::try_from(found.offset_start()).unwrap()
                ..usize::try_from(found.offset_end()).unwrap()],
        )
        .trim()
        .to_owned(),
    }
}

/// The text of a mail that arrived.
fn text(mail: &str) -> String {
    let message = mail_parser::MessageParser::default().parse(mail).unwrap();
    message.body_text(0).unwrap().into_owned()
}

pub fn message_ids(mails: &[String]) -> BTreeSet<String> {
    mails.iter().map(|mail| field(mail, "message-id")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_in_the_inbox_becomes_a_record_and_a_mail() {
    let dovecot = Dovecot::start();
    let exim = Exim::start();
    let house = House::new(&format!(
        "{COMPANY}{}{}",
        imap_mailbox("einvoice", "user1", &dovecot),
        mail(&exim)
    ));
    let daemon = house.run(SECRETS);
    house
        .until("the empty mailbox has been scanned", || async {
            house.json(&["status", "--json"]).1["mailboxes"][0]["state"] == "up"
        })
        .await;

    // A notice arrives while the daemon idles.
    let notice = Notice::default().eml();
    let delivered = Instant::now();
    dovecot.deliver("user1", "INBOX", &notice);
    house
        .until("it is in the ledger", || async {
            house.allocations().await.len() == 1
        })
        .await;
    let recorded = delivered.elapsed();
    house
        .until("its confirmation has been taken", || async {
            exim.delivered().len() == 1
        })
        .await;
    // Past the harness, which shows what a test prints only when it fails.
    writeln!(
        std::io::stderr(),
        "from delivery to the committed row {recorded:?}, to the delivered confirmation {:?}",
        delivered.elapsed()
    )
    .unwrap();
    let row = &house.allocations().await[0];
    assert_eq!(row.allocation.ban.as_str(), "53567686");
    assert_eq!(row.allocation.block.range.to_string(), "22628000-22634399");
    let confirmation = &exim.delivered()[0];
    assert!(field(confirmation, "subject").contains("EC 22628000-22634399"));
    assert_eq!(field(confirmation, "auto-submitted"), "auto-generated");

    // The same notice again, byte for byte and sent anew, changes nothing and tells nobody.
    dovecot.deliver("user1", "INBOX", &notice);
    let anew = Notice {
        message_id: "again@einvoice.nat.gov.tw",
        ..Notice::default()
    }
    .eml();
    dovecot.deliver("user1", "INBOX", &anew);
    house
        .until("both are duplicates", || async {
            house.messages("duplicate").await == 2
        })
        .await;
    assert_eq!(house.allocations().await.len(), 1);

    // A look-alike is quarantined, and a person hears of it.
    let forged = Notice {
        from: "einvoice@einvoice.nat.gov.tw.example",
        track: "ED",
        message_id: "forged@example",
        ..Notice::default()
    };
    dovecot.deliver("user1", "INBOX", &forged.eml());
    house
        .until("it is quarantined", || async {
            house.messages("quarantined").await == 1
        })
        .await;
    house
        .until("the alert has been taken", || async {
            exim.delivered().len() == 2
        })
        .await;
    assert_eq!(house.allocations().await.len(), 1);
    let alert = exim
        .delivered()
        .into_iter()
        .find(|mail| field(mail, "to").contains("oncall@example.com"))
        .expect("an alert to oncall");
    assert!(text(&alert).contains("sender_not_allowed"));

    // What is nothing of ours is accounted for and left alone.
    dovecot.deliver(
        "user1",
        "INBOX",
        b"From: a@b.example\r\nSubject: lunch\r\n\r\nat noon?\r\n",
    );
    house
        .until("it is unrelated", || async {
            house.messages("unrelated").await == 1
        })
        .await;

    // Nothing was marked: every mail is still unseen, as delivered.
    assert_eq!(dovecot.flags("user1", "INBOX").len(), 5);
    for (_, flags) in dovecot.flags("user1", "INBOX") {
        assert!(!flags.contains("\\Seen"), "flags were touched: {flags}");
    }

    // A restart repeats nothing.
    assert_eq!(daemon.terminate(Duration::from_secs(10)), Some(0));
    let before = (house.counts().await, house.outbox().await);
    let daemon = house.run(SECRETS);
    dovecot.deliver(
        "user1",
        "INBOX",
        &Notice {
            track: "EF",
            message_id: "3@x",
            ..Notice::default()
        }
        .eml(),
    );
    house
        .until("the next one is recorded", || async {
            house.allocations().await.len() == 2
        })
        .await;
    house
        .until("and confirmed", || async { exim.delivered().len() == 3 })
        .await;
    let after = house.counts().await;
    assert_eq!(after["imported"], before.0["imported"] + 1);
    assert_eq!(after["duplicate"], before.0["duplicate"]);
    assert_eq!(after["quarantined"], before.0["quarantined"]);
    assert_eq!(message_ids(&exim.delivered()).len(), 3);
    daemon.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn mailboxes_do_not_wait_for_each_other() {
    let dovecot = Dovecot::start();
    let nobody_listens = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let dead = imap_mailbox("dead", "user1", &dovecot)
        .replace(&dovecot.imaps_port.to_string(), &nobody_listens.to_string());
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = imap_mailbox("silent", "user1", &dovecot).replace(
        &dovecot.imaps_port.to_string(),
        &mute.local_addr().unwrap().port().to_string(),
    );
    let house = House::new(&format!(
        "{COMPANY}{dead}{silent}{}{}",
        imap_mailbox("one", "user1", &dovecot),
        imap_mailbox("two", "user2", &dovecot),
    ));
    let _daemon = house.run(SECRETS);
    dovecot.deliver("user1", "INBOX", &Notice::default().eml());
    dovecot.deliver(
        "user2",
        "INBOX",
        &Notice {
            track: "ED",
            message_id: "2@x",
            ..Notice::default()
        }
        .eml(),
    );
    house
        .until("both are recorded", || async {
            house.allocations().await.len() == 2
        })
        .await;
    house
        .until("the dead one is reported", || async {
            let (_, status) = house.json(&["status", "--json"]);
            status["mailboxes"][0]["error"]
                .as_str()
                .is_some_and(|error| error.contains("connect"))
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_away_and_returns_loses_nothing() {
    let mut dovecot = Dovecot::start();
    let house = House::new(&format!(
        "{COMPANY}{}",
        imap_mailbox("one", "user1", &dovecot)
    ));
    let _daemon = house.run(SECRETS);
    dovecot.deliver("user1", "INBOX", &Notice::default().eml());
    house
        .until("the first is recorded", || async {
            house.allocations().await.len() == 1
        })
        .await;
    dovecot.stop();
    house
        .until("the loss is noticed", || async {
            house.json(&["status", "--json"]).1["mailboxes"][0]["state"] == "down"
        })
        .await;
    dovecot.restart();
    dovecot.deliver(
        "user1",
        "INBOX",
        &Notice {
            track: "ED",
            message_id: "2@x",
            ..Notice::default()
        }
        .eml(),
    );
    house
        .until("the second is recorded", || async {
            house.allocations().await.len() == 2
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_reaches_a_log_at_any_level() {
    let dovecot = Dovecot::start();
    let exim = Exim::start();
    let house = House::new(&format!(
        "{COMPANY}{}{}",
        imap_mailbox("one", "user1", &dovecot),
        mail(&exim)
    ));
    dovecot.deliver("user1", "INBOX", &Notice::default().eml());
    let mut environment = SECRETS.to_vec();
    environment.push(("RUST_LOG", "trace"));
    let daemon = house.run(&environment);
    house
        .until("it is confirmed", || async { exim.delivered().len() == 1 })
        .await;
    assert_eq!(daemon.terminate(Duration::from_secs(10)), Some(0));
    let log = house.log();
    assert!(
        log.contains("message imported"),
        "the log says nothing:\n{log}"
    );
    for secret in [dovecot::PASSWORD, exim::PASSWORD] {
        assert!(!log.contains(secret), "a password stands in the log");
    }
    // AUTH PLAIN carries the password in base64.
    assert!(
        !log.contains("AGVpbnZvaWNlQGV4YW1wbGUuY29tAGNvcnJl"),
        "the AUTH argument stands in the log"
    );
    assert!(
        !log.contains("22628000"),
        "the notice's text stands in the log"
    );
    assert!(log.contains("mail sent to"), "{log}");
    assert!(
        !log.contains("ops@example.com"),
        "a whole address stands in the log"
    );
}

#[test]
fn a_second_daemon_on_the_same_ledger_is_refused() {
    let house =
        House::new("[[mailbox]]\nname = \"m\"\nkind = \"maildir\"\npath = \"@ROOT@/mailbox\"\n");
    crate::support::daemon::maildir(&house.path("mailbox"));
    let first = house.run(&[]);
    let deadline = Instant::now() + Duration::from_secs(30);
    while !house.log().contains("started") {
        assert!(
            Instant::now() < deadline,
            "the first did not start:\n{}",
            house.log()
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    let second = house.command(&["run"]);
    assert_eq!(second.status.code(), Some(1));
    let sentence = String::from_utf8(second.stderr).unwrap();
    assert!(sentence.contains("another invoice-trackd"), "{sentence}");
    assert_eq!(first.terminate(Duration::from_secs(10)), Some(0));
}

#[test]
fn a_health_address_that_is_taken_is_tried_again_by_systemd() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let house = House::new(&format!(
        "[http]\nlisten = \"{address}\"\n[[mailbox]]\nname = \"m\"\nkind = \"maildir\"\npath = \"@ROOT@/mailbox\"\n"
    ));
    crate::support::daemon::maildir(&house.path("mailbox"));
    let path = house.path("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    let mut daemon = house.run(&[("NOTIFY_SOCKET", path.to_str().unwrap())]);
    // 78 would keep systemd from starting it again.
    assert_eq!(daemon.ended(Duration::from_secs(30)), Some(1));
    assert!(house.log().contains(&address.to_string()));
    socket.set_nonblocking(true).unwrap();
    assert!(socket.recv(&mut [0; 64]).is_err(), "it was never ready");
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_told_over_http_once_every_mailbox_has_answered() {
    let address = free_address();
    let house = House::new(&format!(
        "[http]\nlisten = \"{address}\"\n[[mailbox]]\nname = \"m\"\nkind = \"maildir\"\npath = \"@ROOT@/mailbox\"\n"
    ));
    let _daemon = house.run(&[]);
    let ask = |path: &str| {
        use std::io::{Read as _, Write as _};
        let mut answer = String::new();
        if let Ok(mut stream) = std::net::TcpStream::connect(address) {
            let request =
                format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).ok();
            stream.read_to_string(&mut answer).ok();
        }
        answer
    };
    house
        .until("it is alive", || async {
            ask("/healthz").starts_with("HTTP/1.1 200")
        })
        .await;
    // The Maildir is not there yet.
    let answer = ask("/readyz");
    assert!(
        answer.starts_with("HTTP/1.1 503") && answer.contains("mailbox m"),
        "{answer}"
    );
    crate::support::daemon::maildir(&house.path("mailbox"));
    house
        .until("it is ready", || async {
            ask("/readyz").starts_with("HTTP/1.1 200")
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_that_becomes_another_under_the_same_name_is_not_taken_for_known() {
    let dovecot = Dovecot::start();
    let mailbox = imap_mailbox("one", "user1", &dovecot);
    let house = House::new(&format!("{COMPANY}{mailbox}"));
    dovecot.deliver("user1", "INBOX", &Notice::default().eml());
    let daemon = house.run(SECRETS);
    house
        .until("it is recorded", || async {
            house.allocations().await.len() == 1
        })
        .await;
    assert_eq!(daemon.terminate(Duration::from_secs(10)), Some(0));

    // Another folder: its UID 1 is another mail, and both may have the same UIDVALIDITY.
    let other = Notice {
        track: "ED",
        message_id: "2@x",
        ..Notice::default()
    };
    dovecot.deliver("user2", "INBOX", &other.eml());
    let config = std::fs::read_to_string(house.path("config.toml")).unwrap();
    let moved = config.replace("user1", "user2");
    house.write("config.toml", &moved);
    let mut daemon = house.run(SECRETS);
    assert_eq!(daemon.ended(Duration::from_secs(10)), Some(78));
    assert!(
        house.log().contains("give it a new name"),
        "{}",
        house.log()
    );

    house.write(
        "config.toml",
        moved.replace("name = \"one\"", "name = \"two\""),
    );
    let _daemon = house.run(SECRETS);
    house
        .until("the other is recorded", || async {
            house.allocations().await.len() == 2
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_set_for_a_mailbox_and_for_alerts_holds_while_the_daemon_runs() {
    let dovecot = Dovecot::start();
    let house = House::new(&format!(
        "{}{}since = \"2009-12-01\"\n{}",
        COMPANY.replace("\"einvoice@example.com\"", ""),
        imap_mailbox("einvoice", "user1", &dovecot),
        r#"
[mail]
from = "invoice-trackd <einvoice@example.com>"
alert_to = ["oncall@example.com"]
alert_window = "0s"
transport = "directory"
directory = "@ROOT@/sent"
"#
    ));
    std::fs::create_dir(house.path("sent")).unwrap();
    // Older than any year in which a ledger is created, and it does not say whose it is.
    let text = String::from_utf8(Notice::default().eml()).unwrap();
    let nobodys = text.replace("貴公司(53567686)", "貴公司()");
    dovecot.deliver_dated("user1", "04-Mar-2010 12:00:00 +0800", nobodys.as_bytes());
    let _daemon = house.run(SECRETS);
    house
        .until("it is recorded for the mailbox's company", || async {
            house.allocations().await.len() == 1
        })
        .await;
    // No window: each alert goes at once.
    for (sent, track) in [(1, "ED"), (2, "EF")] {
        let forged = Notice {
            from: "einvoice@nat-gov.example",
            track,
            ..Notice::default()
        };
        dovecot.deliver("user1", "INBOX", &forged.eml());
        house
            .until("its alert is sent", || async {
                std::fs::read_dir(house.path("sent")).unwrap().count() == sent
            })
            .await;
    }
}
