//! A configuration that changes under a running daemon: taken over as a whole or not at all, and
//! without breaking a connection that may stay.

use std::{
    io::{Read as _, Write as _},
    time::Duration,
};

use sqlx::{Connection as _, SqliteConnection};

use crate::support::{
    daemon::{COMPANY, House, Notice, Running, Systemd, maildir},
    dovecot::{self, Dovecot},
    free_address,
};

const SECRET: (&str, &str) = ("TEST_IMAP_PASSWORD", dovecot::PASSWORD);

fn maildir_mailbox(name: &str) -> String {
    format!("[[mailbox]]\nname = \"{name}\"\nkind = \"maildir\"\npath = \"@ROOT@/{name}\"\n")
}

fn logins(dovecot: &Dovecot) -> usize {
    dovecot.log().matches("Login: user=").count()
}

/// Writes another configuration, says so, and waits until it has been looked at.
fn reload(house: &House, daemon: &Running, systemd: &Systemd, configuration: &str) {
    house.configure(configuration);
    say(daemon, systemd);
}

fn say(daemon: &Running, systemd: &Systemd) {
    daemon.reload();
    // sd_notify(3): systemd tells by it which of two reloads is meant.
    let word = systemd.until(|word| word.starts_with("RELOADING=1"));
    assert!(word.contains("\nMONOTONIC_USEC="), "{word}");
    systemd.until(|word| word == "READY=1");
}

/// The last reload was refused with `complaint`.
fn assert_refused(house: &House, complaint: &str) {
    let log = house.log();
    let last = log
        .rsplit("configuration not reloaded, all goes on as before: ")
        .next()
        .unwrap();
    assert!(last.contains(complaint), "{complaint}: {log}");
    assert!(!last.contains("configuration reloaded"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn new_rules_are_followed_on_the_connection_that_stands() {
    let dovecot = Dovecot::start();
    let mailbox = dovecot.mailbox("einvoice", "user1");
    let house = House::new(&mailbox);
    let systemd = Systemd::new(&house);
    let daemon = house.run(&[systemd.environment(), SECRET]);
    systemd.until(|word| word == "READY=1");
    dovecot.deliver("user1", "INBOX", &Notice::default().eml());
    house
        .until("nobody's notice is quarantined", || async {
            house.messages("quarantined").await == 1
        })
        .await;

    reload(&house, &daemon, &systemd, &format!("{COMPANY}{mailbox}"));
    let second = Notice {
        track: "ED",
        message_id: "2@x",
        ..Notice::default()
    };
    dovecot.deliver("user1", "INBOX", &second.eml());
    house
        .until("the next is the new company's", || async {
            house.allocations().await.len() == 1
        })
        .await;
    assert_eq!(logins(&dovecot), 1, "{}", dovecot.log());
    assert!(house.log().contains("configuration reloaded"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_configuration_changes_nothing_at_all() {
    let dovecot = Dovecot::start();
    let mailbox = dovecot.mailbox("einvoice", "user1");
    let before = format!("{COMPANY}{mailbox}");
    let house = House::new(&before);
    maildir(&house.path("second"));
    let systemd = Systemd::new(&house);
    let daemon = house.run(&[systemd.environment(), SECRET]);
    systemd.until(|word| word == "READY=1");
    house
        .until("the mailbox is open", || async {
            house.log().contains("mailbox opened")
        })
        .await;

    let second = maildir_mailbox("second");
    let unreadable = second.replace("second", "third").replace(
        "kind = \"maildir\"\npath = \"@ROOT@/third\"",
        "kind = \"imap\"\nhost = \"localhost\"\nusername = \"u\"\npassword = { file = \"/none\" }",
    );
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    for (wrong, complaint) in [
        (
            format!("{second}{mailbox}bogus = 1\n"),
            ":17:1: unknown key `bogus`",
        ),
        (
            format!("{second}{mailbox}{unreadable}"),
            "read the secret file /none",
        ),
        (
            COMPANY.to_owned(),
            "expected at least one [[mailbox]] to watch",
        ),
        (
            format!("{second}{mailbox}[http]\nlisten = \"{address}\"\n"),
            "listen on 127.0.0.1:",
        ),
    ] {
        reload(&house, &daemon, &systemd, &wrong);
        assert_refused(&house, complaint);
    }
    house.configure(&format!("{second}{mailbox}"));
    let text = std::fs::read_to_string(house.path("config.toml")).unwrap();
    house.write("config.toml", text.replace("ledger.db", "other.db"));
    say(&daemon, &systemd);
    assert_refused(&house, "restart the service to use another ledger");

    // The mailbox that stood beside the mistakes was not taken up.
    house.write("second/new/1.host", Notice::default().eml());
    let other = Notice {
        track: "ED",
        ..Notice::default()
    };
    dovecot.deliver("user1", "INBOX", &other.eml());
    house
        .until("the old mailbox is watched still", || async {
            house.allocations().await.len() == 1
        })
        .await;
    assert_eq!(logins(&dovecot), 1, "{}", dovecot.log());
    assert!(!house.path("other.db").exists());
    let judged: u64 = house.counts().await.values().sum();
    assert_eq!(judged, 1, "and nothing else is");
}

#[tokio::test(flavor = "multi_thread")]
async fn mailboxes_come_and_go() {
    let house = House::new(&format!("{COMPANY}{}", maildir_mailbox("first")));
    for name in ["first", "second"] {
        maildir(&house.path(name));
    }
    let systemd = Systemd::new(&house);
    let daemon = house.run(&[systemd.environment()]);
    systemd.until(|word| word == "READY=1");
    house.write("first/new/1.host", Notice::default().eml());
    house
        .until("the first is watched", || async {
            house.allocations().await.len() == 1
        })
        .await;

    reload(
        &house,
        &daemon,
        &systemd,
        &format!("{COMPANY}{}", maildir_mailbox("second")),
    );
    let notice = |track| {
        Notice {
            track,
            ..Notice::default()
        }
        .eml()
    };
    house.write("first/new/2.host", notice("ED"));
    for (at, track) in ["EF", "EG"].into_iter().enumerate() {
        // By the second one the first mailbox would have been looked at again as well.
        house.write(&format!("second/new/{at}.host"), notice(track));
        house
            .until("the second is watched", || async {
                house.allocations().await.len() == 2 + at
            })
            .await;
    }
    let tracks: Vec<String> = house
        .allocations()
        .await
        .iter()
        .map(|row| row.allocation.block.track.to_string())
        .collect();
    assert_eq!(tracks, ["EC", "EF", "EG"], "the first is watched no more");

    // What is accounted for under a name is only true of one place.
    let moved = maildir_mailbox("second").replace("@ROOT@/second", "@ROOT@/first");
    reload(&house, &daemon, &systemd, &format!("{COMPANY}{moved}"));
    assert_refused(&house, "give it a new name");
    assert_eq!(daemon.terminate(Duration::from_secs(10)), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_listener_moves_and_mail_goes_another_way() {
    let (one, other) = (free_address(), free_address());
    let configuration = |address, sent: &str| {
        format!(
            "{COMPANY}{}[http]\nlisten = \"{address}\"\n[mail]\nfrom = \"a@example.com\"\n\
             confirm_to = [\"ops@example.com\"]\nalert_to = [\"ops@example.com\"]\n\
             transport = \"directory\"\ndirectory = \"@ROOT@/{sent}\"\n",
            maildir_mailbox("first")
        )
    };
    // A mailbox that never answers.
    let gone = maildir_mailbox("gone");
    let house = House::new(&format!("{gone}{}", configuration(one, "sent")));
    maildir(&house.path("first"));
    for directory in ["sent", "elsewhere"] {
        std::fs::create_dir(house.path(directory)).unwrap();
    }
    let systemd = Systemd::new(&house);
    let daemon = house.run(&[systemd.environment()]);
    systemd.until(|word| word == "READY=1");
    assert!(std::net::TcpStream::connect(one).is_ok());

    reload(
        &house,
        &daemon,
        &systemd,
        &configuration(other, "elsewhere"),
    );
    assert!(std::net::TcpStream::connect(other).is_ok());
    house
        .until("nobody listens where it was", || async {
            std::net::TcpStream::connect(one).is_err()
        })
        .await;
    house.write("first/new/1.host", Notice::default().eml());
    let files = |directory: &str| std::fs::read_dir(house.path(directory)).unwrap().count();
    house
        .until("the confirmation is sent", || async {
            files("elsewhere") == 1
        })
        .await;
    assert_eq!(files("sent"), 0);
    house
        .until(
            "a mailbox that is not watched any more is missed by nobody",
            || async { ready(other).starts_with("HTTP/1.1 200") },
        )
        .await;

    // It may stay where it is, and it may go.
    reload(&house, &daemon, &systemd, &configuration(other, "sent"));
    assert!(!house.log().contains("not reloaded"), "{}", house.log());
    assert!(ready(other).starts_with("HTTP/1.1 200"));
    let (silent, _) = configuration(other, "sent")
        .split_once("[http]")
        .map(|(before, after)| (before.to_owned(), after.to_owned()))
        .unwrap();
    reload(&house, &daemon, &systemd, &silent);
    house
        .until("nobody listens", || async {
            std::net::TcpStream::connect(other).is_err()
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_system_is_handed_what_comes_from_then_on_and_a_secret_that_is_none_changes_nothing()
{
    let mailbox = format!("{COMPANY}{}", maildir_mailbox("first"));
    let house = House::new(&mailbox);
    maildir(&house.path("first"));
    std::fs::create_dir(house.path("pos")).unwrap();
    let systemd = Systemd::new(&house);
    let daemon = house.run(&[systemd.environment()]);
    systemd.until(|word| word == "READY=1");
    let webhook = format!(
        "{mailbox}[[handoff]]\nname = \"erp\"\nkind = \"webhook\"\n\
         url = \"http://localhost:9/\"\nsecret = {{ file = \"@ROOT@/key\" }}\n"
    );
    house.secret("key", "no key");
    reload(&house, &daemon, &systemd, &webhook);
    assert_refused(&house, "found no `whsec_` in front");

    let directory = format!(
        "{mailbox}[[handoff]]\nname = \"pos\"\nkind = \"directory\"\npath = \"@ROOT@/pos\"\n\
         formats = [\"json\"]\n"
    );
    reload(&house, &daemon, &systemd, &directory);
    let mail = house.path("first").join("new/1.x");
    std::fs::write(mail, Notice::default().eml()).unwrap();
    let files = || {
        let names = std::fs::read_dir(house.path("pos")).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| !name.starts_with('.')).count()
    };
    house
        .until(
            "the numbers are there, though there is no [mail]",
            || async { files() == 1 },
        )
        .await;
    reload(&house, &daemon, &systemd, &mailbox);
    let second = Notice {
        track: "ED",
        message_id: "2@x",
        ..Notice::default()
    };
    std::fs::write(house.path("first").join("new/2.x"), second.eml()).unwrap();
    house
        .until("the next is recorded", || async {
            house.allocations().await.len() == 2
        })
        .await;
    let posted: u64 = house.outbox().await.values().sum();
    assert_eq!((posted, files()), (1, 1));
}

/// What `/readyz` says.
fn ready(address: std::net::SocketAddr) -> String {
    let mut answer = String::new();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mended_password_is_tried_at_once_and_an_unchanged_one_is_not() {
    let dovecot = Dovecot::start();
    let mailbox = dovecot.mailbox("einvoice", "user1").replace(
        "{ env = \"TEST_IMAP_PASSWORD\" }",
        "{ file = \"@ROOT@/imap\" }",
    );
    let mailbox = mailbox.replace("\"user1\"", "\"user1@example.com\"");
    let configuration = format!("{COMPANY}{mailbox}");
    let house = House::new(&configuration);
    house.secret("imap", "wrong");
    let systemd = Systemd::new(&house);
    let daemon = house.run(&[systemd.environment()]);
    systemd.until(|word| word == "READY=1");
    let refusals = || house.log().matches("mailbox not watched: log in").count();
    house
        .until("the login is refused", || async { refusals() == 1 })
        .await;
    let log = house.log();
    assert!(log.contains("log in as u***@example.com"), "{log}");
    assert!(!log.contains("user1@"), "no whole address: {log}");

    // Impatience must not lock the account: the next attempt is due in half a minute or more.
    for _ in 0..5 {
        reload(&house, &daemon, &systemd, &configuration);
    }
    assert_eq!(refusals(), 1, "{}", house.log());

    house.secret("imap", dovecot::PASSWORD);
    reload(&house, &daemon, &systemd, &configuration);
    house
        .until("the new password lets it in", || async {
            house.log().contains("mailbox opened")
        })
        .await;
    assert_eq!(refusals(), 1, "{}", house.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_does_not_wait_for_a_ledger_that_somebody_holds() {
    let configuration = format!("{COMPANY}{}", maildir_mailbox("first"));
    let house = House::new(&configuration);
    maildir(&house.path("first"));
    let systemd = Systemd::new(&house);
    let daemon = house.run(&[systemd.environment()]);
    systemd.until(|word| word == "READY=1");
    let url = format!("sqlite://{}", house.path("ledger.db").display());
    let mut other = SqliteConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("PRAGMA busy_timeout = 20000; BEGIN IMMEDIATE")
        .execute(&mut other)
        .await
        .unwrap();
    // What is written down already needs no writing.
    let reloaded = || house.log().matches("configuration reloaded").count();
    reload(&house, &daemon, &systemd, &configuration);
    assert_eq!(reloaded(), 1, "{}", house.log());
    let more = configuration + &maildir_mailbox("second");
    maildir(&house.path("second"));
    reload(&house, &daemon, &systemd, &more);
    assert_refused(&house, "found something that holds them; try again");
    other.close().await.unwrap();
    reload(&house, &daemon, &systemd, &more);
    assert_eq!(reloaded(), 2, "{}", house.log());
    assert_eq!(daemon.terminate(Duration::from_secs(10)), Some(0));
}
