//! A disk that fills up, and a ledger that is held, damaged, taken away or replaced, under the real
//! binary: nothing is acknowledged that is not recorded, nothing ends that could go on, and it is
//! said at once, everywhere where somebody may look.

use std::{fs, process::Output, time::Duration};

use invoice_trackd::ledger::Ledger;
use sqlx::{Connection as _, SqliteConnection};

use crate::support::{
    daemon::{COMPANY, House, Notice, Systemd, maildir, notice},
    dovecot::{self, Dovecot},
    fault::Faults,
    health::Health,
};

mod damaged;
mod held;
mod replaced;

const MAILDIR: &str = r#"
[[mailbox]]
name = "einvoice"
kind = "maildir"
path = "@ROOT@/mail"
"#;

/// For what takes a second, on a machine that is busy with something else.
const SOON: Duration = Duration::from_secs(60);

fn house() -> House {
    let house = House::with_mail(&format!("{COMPANY}{MAILDIR}"));
    maildir(&house.path("mail"));
    house
}

fn house_with(health: &Health) -> House {
    let house = House::with_mail(&format!("{}{COMPANY}{MAILDIR}", health.configuration()));
    maildir(&house.path("mail"));
    house
}

async fn until_ready(house: &House, health: &Health) {
    house
        .until("it is ready", || async {
            health.ready() == (200, "ready\n".to_owned())
        })
        .await;
}

/// A connection of somebody else's.
async fn sql(house: &House) -> SqliteConnection {
    let url = format!("sqlite://{}", house.path("ledger.db").display());
    SqliteConnection::connect(&url).await.unwrap()
}

async fn count(house: &House, query: &'static str) -> i64 {
    let mut connection = sql(house).await;
    sqlx::query_scalar(query)
        .fetch_one(&mut connection)
        .await
        .unwrap()
}

fn files(house: &House, directory: &str) -> usize {
    fs::read_dir(house.path(directory)).unwrap().count()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A page without its line breaks.
fn on_one_line(page: &[u8]) -> String {
    let page = String::from_utf8_lossy(page);
    page.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The second word of systemd's about a service that is well.
const WELL: &str = "STATUS=all is well, 1 mailbox watched";

const FULL: &str = "database or disk is full";

/// SQLite says it, or the system, or we where neither does.
fn is_full(words: &str) -> bool {
    [FULL, "No space left on device", "is the disk full?"]
        .iter()
        .any(|said| words.contains(said))
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_disk_is_full_nothing_is_acknowledged_everybody_is_told_and_then_all_goes_on() {
    let health = Health::new();
    let house = house_with(&health);
    let faults = Faults::under(&house);
    let systemd = Systemd::new(&house);
    let environment = [faults.environment(), vec![systemd.environment()]].concat();
    let mut daemon = house.run(&environment);
    until_ready(&house, &health).await;
    systemd.until(|word| word == WELL);

    faults.fill_the_disk();
    house.write("mail/new/1", notice("EC"));
    house
        .until("health says so", || async { health.ready().0 == 503 })
        .await;
    let (_, body) = health.ready();
    let sentence = "the ledger cannot be written to since ";
    assert!(
        body.starts_with(sentence) && body.ends_with(&format!(": {FULL}\n")),
        "{body}"
    );
    assert!(!body.contains("mailbox"), "{body}");
    let status = systemd.until(|word| word.starts_with("STATUS=needs"));
    let expected = format!("STATUS=needs attention; {sentence}");
    assert!(status.starts_with(&expected), "{status}");
    assert!(!status.contains("mailbox down"), "{status}");
    assert!(house.log().contains(FULL), "{}", house.log());

    // The command says it as soon as the daemon has written it down for it.
    let page = || faults.command(&house, &["status"]);
    house
        .until("status says so", || async {
            on_one_line(&page().stdout).contains(sentence)
        })
        .await;
    let page = on_one_line(&page().stdout);
    assert!(page.starts_with("needs attention"), "{page}");
    assert!(!page.contains("DOWN"), "{page}");
    let (code, object) = house.json(&["status", "--json"]);
    assert_eq!(code, 0);
    assert_eq!(object["ledger"]["writable"], false, "{object}");
    let process = daemon.process().to_string();
    assert_eq!(object["ledger"]["daemon"], process, "{object}");
    let error = object["ledger"]["error"].as_str().unwrap();
    assert!(error.ends_with(FULL), "{object}");
    assert_eq!(object["mailboxes"][0]["state"], "up", "{object}");

    assert_eq!(count(&house, "SELECT count(*) FROM message").await, 0);
    assert_eq!(count(&house, "SELECT count(*) FROM allocation").await, 0);
    assert_eq!(count(&house, "SELECT count(*) FROM outbox").await, 0);
    assert!(house.path("mail/new/1").exists());
    assert!(!daemon.has_ended());

    faults.free_the_disk();
    house
        .until("it is recorded and confirmed", || async {
            house.allocations().await.len() == 1 && files(&house, "sent") == 1
        })
        .await;
    until_ready(&house, &health).await;
    systemd.until(|word| word == WELL);
    house
        .until("status says so", || async {
            house.json(&["status", "--json"]).1["ledger"]["writable"] == true
        })
        .await;
    assert_eq!(daemon.terminate(SOON), Some(0));
    assert_eq!(count(&house, "SELECT count(*) FROM message").await, 1);
    assert_eq!(count(&house, "SELECT count(*) FROM outbox").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_disk_is_full_nothing_is_moved_on_a_server_and_no_uid_is_passed_over() {
    let dovecot = Dovecot::start();
    dovecot.create("ann", "Done");
    let health = Health::new();
    let house = House::with_mail(&format!(
        "{}{COMPANY}{}after_import = {{ move_to = \"Done\" }}\n",
        health.configuration(),
        dovecot.mailbox("einvoice", "ann") + "tls = \"implicit\"\n",
    ));
    let faults = Faults::under(&house);
    let secret = ("TEST_IMAP_PASSWORD", dovecot::PASSWORD);
    let environment = [faults.environment(), vec![secret]].concat();
    let daemon = house.run(&environment);
    until_ready(&house, &health).await;

    faults.fill_the_disk();
    let unrelated = b"From: ann@example.com\r\nSubject: lunch\r\n\r\nat noon\r\n";
    dovecot.deliver("ann", "INBOX", unrelated);
    for track in ["EC", "ED"] {
        dovecot.deliver("ann", "INBOX", &notice(track));
    }
    house
        .until("health says so", || async {
            let (status, body) = health.ready();
            status == 503 && body.contains(FULL)
        })
        .await;
    for table in [
        "SELECT count(*) FROM message",
        "SELECT count(*) FROM allocation",
        "SELECT count(*) FROM outbox",
        "SELECT count(*) FROM uid_run",
    ] {
        assert_eq!(count(&house, table).await, 0, "{table}");
    }
    assert_eq!(dovecot.flags("ann", "Done"), []);
    let inbox = dovecot.flags("ann", "INBOX");
    assert_eq!(inbox.len(), 3, "{inbox:?}");
    assert!(
        inbox.iter().all(|(_, flags)| !flags.contains("Seen")),
        "{inbox:?}"
    );

    faults.free_the_disk();
    house
        .until("all is recorded, filed and confirmed", || async {
            dovecot.flags("ann", "Done").len() == 2 && files(&house, "sent") == 2
        })
        .await;
    assert_eq!(dovecot.flags("ann", "INBOX").len(), 1);
    assert_eq!(house.allocations().await.len(), 2);
    until_ready(&house, &health).await;
    assert_eq!(daemon.terminate(SOON), Some(0));
    assert_eq!(house.messages("imported").await, 2);
    assert_eq!(house.messages("duplicate").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_disk_that_is_full_at_the_first_start_the_service_is_tried_again_until_it_starts() {
    let health = Health::new();
    let house = house_with(&health);
    let faults = Faults::under(&house);
    house.write("mail/new/1", notice("EC"));
    faults.fill_the_disk();
    for _ in 0..2 {
        // 75 is no RestartPreventExitStatus= of the unit.
        let mut daemon = house.run(&faults.environment());
        assert_eq!(daemon.ended(SOON), Some(75), "{}", house.log());
        let log = house.log();
        let sentence = log.lines().last().unwrap();
        assert!(is_full(sentence), "{sentence}");
    }
    // Whatever was left by it, and by a start that had more room.
    fs::write(house.path("ledger.db"), b"").unwrap();
    faults.free_the_disk();
    let daemon = house.run(&faults.environment());
    house
        .until("it is recorded and confirmed", || async {
            house.allocations().await.len() == 1 && files(&house, "sent") == 1
        })
        .await;
    until_ready(&house, &health).await;
    assert_eq!(daemon.terminate(SOON), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_cannot_be_written_down_as_attempted_is_not_sent_until_it_can() {
    let health = Health::new();
    let house = house_with(&health);
    let faults = Faults::under(&house);
    // No daemon: the confirmation waits in the outbox.
    let file = house.write("notice.eml", notice("EC"));
    fs::remove_dir(house.path("sent")).unwrap();
    house.write("sent", "where a directory should be");
    let output = house.command(&["ingest", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let daemon = house.run(&faults.environment());
    house
        .until("health says that mail waits", || async {
            let (status, body) = health.ready();
            status == 200 && body.starts_with("ready\nmails put off: 1, since ")
        })
        .await;

    faults.fill_the_disk();
    house
        .until("the dispatcher says so", || async {
            house.log().contains("nothing goes out, the ledger fails")
        })
        .await;
    house
        .until("health says so", || async {
            let (status, body) = health.ready();
            status == 503 && body.contains(FULL)
        })
        .await;
    fs::remove_file(house.path("sent")).unwrap();
    fs::create_dir(house.path("sent")).unwrap();
    let attempts = house.log().matches("nothing goes out").count();
    house
        .until("it tries once more", || async {
            house.log().matches("nothing goes out").count() > attempts
        })
        .await;
    assert_eq!(files(&house, "sent"), 0);

    faults.free_the_disk();
    house
        .until("it is sent", || async { files(&house, "sent") == 1 })
        .await;
    until_ready(&house, &health).await;
    assert_eq!(house.outbox().await["sent"], 1);
    assert_eq!(daemon.terminate(SOON), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_a_command_says_so_in_a_sentence_and_does_nothing_by_halves() {
    let house = house();
    let faults = Faults::under(&house);
    let first = house.write("first.eml", notice("EC"));
    let from = "einvoice@example.com";
    let forged = Notice {
        track: "ED",
        from,
        ..Notice::default()
    };
    let forged = house.write("forged.eml", forged.eml());
    let new = house.write("new.eml", notice("EF"));
    for file in [&first, &forged] {
        let output = house.command(&["ingest", "--no-mail", file.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    }
    // Another process has the ledger open, as the daemon would.
    let mut open = sql(&house).await;
    let everything = "SELECT (SELECT count(*) FROM message) * 1000000
        + (SELECT count(*) FROM allocation WHERE withdrawn_at IS NULL) * 10000
        + (SELECT count(*) FROM decision) * 100 + (SELECT count(*) FROM outbox)";
    let before = count(&house, everything).await;
    assert_eq!(before, 2_010_000);

    faults.fill_the_disk();
    let new = new.to_str().unwrap();
    let commands: [&[&str]; 4] = [
        &["ingest", new],
        &["quarantine", "release", "2", "--reason", "known"],
        &["quarantine", "dismiss", "2", "--reason", "forged"],
        &["allocations", "withdraw", "1", "--reason", "cancelled"],
    ];
    for command in commands {
        let output = faults.command(&house, command);
        let words = said(&output);
        assert_eq!(output.status.code(), Some(75), "{command:?}: {words}");
        assert_eq!(words.lines().count(), 1, "{command:?}: {words}");
        assert!(is_full(&words), "{command:?}: {words}");
        assert_eq!(count(&house, everything).await, before, "{command:?}");
    }
    faults.free_the_disk();
    for (command, after) in [(0, 3_020_001), (2, 3_020_101), (3, 3_010_202)] {
        let output = faults.command(&house, commands[command]);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        assert_eq!(count(&house, everything).await, after, "{command}");
    }
    sqlx::query("SELECT 1").execute(&mut open).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn status_tells_a_daemon_that_cannot_write_from_one_that_does_not_run() {
    let house = house();
    let faults = Faults::under(&house);
    house.command(&["ingest", "--no-mail", "/dev/null"]);
    let (_, object) = house.json(&["status", "--json"]);
    let error = object["mailboxes"][0]["error"].as_str().unwrap();
    assert!(error.contains("no daemon runs on this ledger"), "{object}");
    assert_eq!(object["ledger"]["writable"], true, "{object}");
    assert_eq!(object["ledger"]["daemon"], serde_json::Value::Null);

    // Nobody runs, and nobody could.
    faults.fill_the_disk();
    let output = faults.command(&house, &["status"]);
    let page = String::from_utf8(output.stdout.clone()).unwrap();
    let words = format!("{page}{}", said(&output));
    assert!(is_full(&words), "{words}");
    faults.free_the_disk();
    // A daemon that cannot write cannot write down either that a mailbox answers.
    let lock = Ledger::lock(&house.path("ledger.db")).unwrap();
    lock.note(Some("the ledger cannot be written to")).unwrap();
    let process = std::process::id();
    let mailbox = || house.json(&["status", "--json"]).1["mailboxes"][0].clone();
    let says = |mailbox: &serde_json::Value, words: &str| {
        let found = mailbox["error"].as_str().unwrap_or_default();
        assert!(found.ends_with(words), "{mailbox}");
    };
    let runs = format!("the daemon runs (process {process})");
    says(&mailbox(), &format!("{runs}, and cannot write"));
    let mut other = sql(&house).await;
    let long_ago = "INSERT INTO mailbox (name, last_ok_at)
                    VALUES ('einvoice', '2020-01-01T00:00:00.000Z')";
    sqlx::raw_sql(long_ago).execute(&mut other).await.unwrap();
    assert_eq!(mailbox()["state"], "up");
    lock.note(None).unwrap();
    says(&mailbox(), &format!("silent for too long: {runs}"));
    drop(lock);

    // What can be read and not written to is said all the same.
    let full = "CREATE TRIGGER full BEFORE UPDATE ON ledger
                BEGIN SELECT raise(ABORT, 'database or disk is full'); END";
    sqlx::raw_sql(full).execute(&mut other).await.unwrap();
    other.close().await.unwrap();
    let page = on_one_line(&house.command(&["status"]).stdout);
    let sentence =
        "needs attention 需要處理: the ledger cannot be written to: database or disk is full";
    assert!(page.starts_with(sentence), "{page}");
    let (_, object) = house.json(&["status", "--json"]);
    assert_eq!(object["ledger"]["writable"], false, "{object}");
}
