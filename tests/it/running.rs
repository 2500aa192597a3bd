//! The real binary under a service manager: what systemd is told, when the watchdog goes hungry,
//! where the log goes, and how it ends.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt as _, symlink},
        net::UnixDatagram,
    },
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::support::{
    daemon::{COMPANY, House, Notice, PROGRAM, Systemd, maildir},
    dovecot::{self, Dovecot},
    scripted_smtp::{Does, ScriptedSmtp},
};

const MAILDIR: &str = r#"
[[mailbox]]
name = "m"
kind = "maildir"
path = "@ROOT@/mailbox"
company = "53567686"
"#;

const TEN_SECONDS: Duration = Duration::from_secs(10);

#[test]
fn systemd_is_told_how_things_are_from_the_start_to_the_end() {
    let house = House::new(&format!("{COMPANY}{MAILDIR}"));
    maildir(&house.path("mailbox"));
    let systemd = Systemd::new(&house);
    let daemon = house.run(&[systemd.environment()]);
    let first = systemd.hears(Duration::from_secs(30));
    assert_eq!(first.as_deref(), Some("READY=1"));
    let status = systemd.until(|word| word.starts_with("STATUS="));
    assert_eq!(status, "STATUS=all is well, 1 mailbox watched");
    assert_eq!(daemon.terminate(TEN_SECONDS), Some(0));
    systemd.until(|word| word == "STOPPING=1");
}

#[test]
fn a_watchdog_of_another_process_or_without_a_period_is_not_fed() {
    for watchdog in [
        [("WATCHDOG_USEC", "3000"), ("WATCHDOG_PID", "1")].as_slice(),
        &[("WATCHDOG_USEC", "0")],
    ] {
        let house = House::new(&format!("{COMPANY}{MAILDIR}"));
        maildir(&house.path("mailbox"));
        let systemd = Systemd::new(&house);
        let daemon = house.run(&[watchdog, &[systemd.environment()]].concat());
        systemd.until(|word| word.starts_with("STATUS="));
        assert_eq!(daemon.terminate(TEN_SECONDS), Some(0));
        systemd.until(|word| {
            assert_ne!(word, "WATCHDOG=1");
            word == "STOPPING=1"
        });
    }
}

#[test]
fn a_server_that_is_down_is_not_our_hang() {
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = nowhere.local_addr().unwrap().port();
    drop(nowhere);
    let house = House::new(&format!(
        "{COMPANY}[[mailbox]]\nname = \"down\"\nkind = \"imap\"\nhost = \"127.0.0.1\"\nport = {port}\n\
         tls = \"none\"\nusername = \"u\"\npassword = {{ env = \"TEST_IMAP_PASSWORD\" }}\n"
    ));
    let systemd = Systemd::new(&house);
    let daemon = house.run(&[
        systemd.environment(),
        ("WATCHDOG_USEC", "300000"),
        ("TEST_IMAP_PASSWORD", "secret"),
    ]);
    // Fed many times over while attempt after attempt fails.
    let mut fed = 0;
    while house.log().matches("mailbox not watched").count() < 3 || fed < 20 {
        systemd.until(|word| word == "WATCHDOG=1");
        fed += 1;
        assert!(fed < 600, "{}", house.log());
    }
    assert_eq!(daemon.terminate(TEN_SECONDS), Some(0));
}

#[test]
fn a_task_that_hangs_starves_the_watchdog() {
    let dovecot = Dovecot::start();
    let house = House::new(&format!(
        "{COMPANY}[[mailbox]]\nname = \"einvoice\"\nkind = \"imap\"\nhost = \"localhost\"\nport = {}\n\
         ca_file = \"@ROOT@/ca.pem\"\nusername = \"user1\"\n\
         password = {{ env = \"TEST_IMAP_PASSWORD\" }}\n{}",
        dovecot.imaps_port,
        MAILDIR.replace("company = \"53567686\"\n", ""),
    ));
    maildir(&house.path("mailbox"));
    std::fs::copy(dovecot.ca_file(), house.path("ca.pem")).unwrap();
    let systemd = Systemd::new(&house);
    let _daemon = house.run(&[
        systemd.environment(),
        // A busy machine must not look hung before one is.
        ("WATCHDOG_USEC", "4000000"),
        ("TEST_IMAP_PASSWORD", dovecot::PASSWORD),
    ]);
    systemd.until(|word| word == "WATCHDOG=1");
    while !house
        .log()
        .contains("mailbox opened mailbox.name=\"einvoice\"")
    {
        systemd.until(|word| word == "WATCHDOG=1");
    }
    // A file server that died: whoever opens the file waits for ever. The next connection has to.
    std::fs::remove_file(house.path("ca.pem")).unwrap();
    let made = Command::new("mkfifo").arg(house.path("ca.pem")).status();
    assert!(made.unwrap().success());
    dovecot.kick("user1");
    // On a busy machine silence alone would prove nothing: it says so when it stops.
    let deadline = Instant::now() + Duration::from_secs(60);
    while !house
        .log()
        .contains("the task of the mailbox einvoice hangs")
    {
        assert!(Instant::now() < deadline, "fed for ever:\n{}", house.log());
        systemd.hears(Duration::from_millis(100));
    }
    // What was said before that.
    while systemd.hears(Duration::from_millis(1)).is_some() {}
    while let Some(word) = systemd.hears(Duration::from_secs(4)) {
        assert_ne!(word, "WATCHDOG=1", "{}", house.log());
    }
}

/// Where journald listens; `tracing-journald` knows no other place.
const JOURNAL: &str = "/run/systemd/journal";

/// A link that stands where the journal would be, until the test is over.
struct Link;

impl Drop for Link {
    fn drop(&mut self) {
        fs::remove_file(JOURNAL).ok();
    }
}

/// The daemon, for which `journal/socket` is the journal's: in a mount namespace of its own, or,
/// where there may be none, on a machine without a journal.
fn run_with_journal(house: &House, journal: &Path) -> (Child, Option<Link>) {
    let log = fs::File::create(house.path("log")).unwrap();
    let metadata = log.metadata().unwrap();
    let config = house.path("config.toml");
    let namespace = ["--mount", "--map-root-user"];
    let may_unshare = Command::new("unshare").args(namespace).arg("true").output();
    let (mut command, link) = if may_unshare.unwrap().status.success() {
        let mount = format!(
            "mount -t tmpfs none /run && mkdir -p {JOURNAL} && mount --bind {} {JOURNAL} \
             && exec \"$@\"",
            journal.display()
        );
        let mut command = Command::new("unshare");
        command
            .args(namespace)
            .args(["sh", "-c", &mount, "sh", PROGRAM]);
        (command, None)
    } else {
        fs::create_dir_all("/run/systemd").unwrap();
        symlink(journal, JOURNAL).expect("neither a namespace nor a machine without a journal");
        (Command::new(PROGRAM), Some(Link))
    };
    let child = command
        .arg("--config")
        .arg(&config)
        .arg("run")
        .env(
            "JOURNAL_STREAM",
            format!("{}:{}", metadata.dev(), metadata.ino()),
        )
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    (child, link)
}

#[test]
fn under_systemd_the_log_goes_to_the_journal_with_its_fields() {
    let house = House::new(&format!("{COMPANY}{MAILDIR}"));
    maildir(&house.path("mailbox"));
    house.write("mailbox/new/1.host", Notice::default().eml());
    std::fs::create_dir(house.path("journal")).unwrap();
    let socket = UnixDatagram::bind(house.path("journal/socket")).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let (mut daemon, _link) = run_with_journal(&house, &house.path("journal"));
    let entry = loop {
        let mut bytes = [0; 8192];
        let Ok(length) = socket.recv(&mut bytes) else {
            daemon.kill().unwrap();
            panic!("nothing in the journal:\n{}", house.log());
        };
        let entry = String::from_utf8_lossy(&bytes[..length]).into_owned();
        if entry.contains("message imported") {
            break entry;
        }
    };
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    for field in [
        "INVOICE_TRACKD_MAILBOX_NAME",
        "INVOICE_TRACKD_MESSAGE_DISPOSITION",
        "INVOICE_TRACKD_ALLOCATION_TRACKS",
        "PRIORITY",
    ] {
        assert!(entry.contains(field), "{field}: {entry}");
    }
    assert_eq!(house.log(), "", "nothing is said twice");
}

#[test]
fn the_word_to_stop_is_obeyed_while_a_server_is_mute() {
    // It takes the connection and never says a word.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = mute.local_addr().unwrap().port();
    let house = House::new(&format!(
        "{COMPANY}[[mailbox]]\nname = \"mute\"\nkind = \"imap\"\nhost = \"127.0.0.1\"\nport = {port}\n\
         tls = \"none\"\nusername = \"u\"\npassword = {{ env = \"TEST_IMAP_PASSWORD\" }}\n"
    ));
    let daemon = house.run(&[("TEST_IMAP_PASSWORD", "secret")]);
    let _connection = mute.accept().unwrap();
    assert_eq!(daemon.terminate(TEN_SECONDS), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_stop_the_daemon_sees_the_letter_in_hand_to_its_end_and_begins_no_other() {
    let server = ScriptedSmtp::start(&[(".", Does::Ponders("250 2.0.0 taken"))]).await;
    let house = House::new(&format!(
        "{COMPANY}{MAILDIR}[mail]\nfrom = \"einvoice@example.com\"\n\
         confirm_to = [\"ops@example.com\"]\nalert_to = [\"oncall@example.com\"]\ntransport = \"smtp\"\n\
         [mail.smtp]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\n",
        server.port()
    ));
    maildir(&house.path("mailbox"));
    for track in ["EC", "ED", "EF"] {
        let notice = Notice {
            track,
            ..Notice::default()
        };
        house.write(&format!("mailbox/new/{track}"), notice.eml());
    }
    let daemon = house.run(&[]);
    house
        .until("a letter is handed over", || async {
            !server.messages().is_empty()
        })
        .await;
    assert_eq!(daemon.terminate(TEN_SECONDS), Some(0));
    assert_eq!(server.messages().len(), 1);
    let counts = house.outbox().await;
    assert_eq!((counts["sent"], counts["pending"]), (1, 2), "{counts:?}");
}

#[test]
fn a_ledger_that_is_none_is_left_alone_and_not_tried_again() {
    let house = House::new(&format!("{COMPANY}{MAILDIR}"));
    maildir(&house.path("mailbox"));
    house.write("ledger.db", "somebody's notes");
    // RestartPreventExitStatus= of the unit.
    let mut daemon = house.run(&[]);
    assert_eq!(daemon.ended(TEN_SECONDS), Some(78));
    assert!(
        house.log().contains("it was left as it is"),
        "{}",
        house.log()
    );
    let kept = std::fs::read(house.path("ledger.db")).unwrap();
    assert_eq!(kept, b"somebody's notes");
}
