//! The commands as an operator and a script meet them: output, exit status, and what is left
//! behind.

use std::{fs, time::Duration};

use invoice_trackd::{
    clock::Clock,
    ledger::{Ledger, LinkState},
};
use jiff::SignedDuration;

use crate::support::daemon::{COMPANY, House, Notice, PROGRAM, maildir};

mod due;
mod explain;
mod export;
mod handoffs;
mod ingest;
mod platform_files;

/// A company, a Maildir, mails as files.
fn house() -> House {
    let house = House::with_mail(&format!(
        r#"{COMPANY}
[[mailbox]]
name = "einvoice"
kind = "maildir"
path = "@ROOT@/mailbox"
company = "53567686"
"#
    ));
    maildir(&house.path("mailbox"));
    house
}

fn sent(house: &House) -> Vec<String> {
    let mut mails: Vec<String> = fs::read_dir(house.path("sent"))
        .unwrap()
        .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    mails.sort();
    mails
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure_and_keeps_no_mail_back() {
    let house = house();
    let file = house.write("notice.eml", Notice::default().eml());
    for arguments in [
        ["allocations", "--json"],
        ["ingest", file.to_str().unwrap()],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = std::process::Command::new(PROGRAM)
            .arg("--config")
            .arg(house.path("config.toml"))
            .args(arguments)
            .stdout(writer)
            .stderr(std::process::Stdio::piped())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    }
    assert_eq!(sent(&house).len(), 1);
}

#[test]
fn allocations_have_the_columns_that_other_programs_rely_on() {
    let house = house();
    let file = house.write("notice.eml", Notice::default().eml());
    house.command(&["ingest", "--no-mail", file.to_str().unwrap()]);
    let (status, rows) = house.json(&["allocations", "--json"]);
    assert_eq!(status, 0);
    let mut columns: Vec<&String> = rows[0].as_object().unwrap().keys().collect();
    columns.sort();
    assert_eq!(
        columns,
        [
            "added_booklets",
            "ban",
            "id",
            "imported_at",
            "invoice_begin_no",
            "invoice_booklet",
            "invoice_end_no",
            "invoice_track",
            "invoice_type",
            "message_id",
            "requested_booklets",
            "withdrawn_at",
            "year_month",
        ]
    );
    assert_eq!(rows[0]["withdrawn_at"], serde_json::Value::Null);
    assert!(rows[0]["imported_at"].as_str().unwrap().ends_with('Z'));

    let empty = |arguments: &[&str]| house.json(arguments).1 == serde_json::json!([]);
    assert!(!empty(&[
        "allocations",
        "--json",
        "--ban",
        "53567686",
        "--year-month",
        "10706"
    ]));
    assert!(empty(&["allocations", "--json", "--ban", "24634102"]));
    assert!(empty(&["allocations", "--json", "--year-month", "10708"]));

    let table = String::from_utf8(house.command(&["allocations"]).stdout).unwrap();
    assert!(
        table.contains("22628000-22634399") && table.contains("past"),
        "{table}"
    );
}

#[test]
fn wrong_usage_ends_with_2_and_a_wrong_configuration_with_78() {
    let house = house();
    for arguments in [
        vec!["allocations", "--ban", "12345678"],
        vec!["allocations", "--year-month", "201806"],
        vec!["explain"],
        vec!["nosuch"],
    ] {
        assert_eq!(
            house.command(&arguments).status.code(),
            Some(2),
            "{arguments:?}"
        );
    }
    house.write("config.toml", "[notice]\nsendrs = []\n");
    for command in ["check", "run", "status", "allocations"] {
        let output = house.command(&[command]);
        assert_eq!(output.status.code(), Some(78), "{command}");
        let sentence = String::from_utf8(output.stderr).unwrap();
        assert!(sentence.contains("config.toml:2:1"), "{sentence}");
        assert!(sentence.contains("senders"), "{sentence}");
    }
    fs::remove_file(house.path("config.toml")).unwrap();
    assert_eq!(house.command(&["check"]).status.code(), Some(78));
    // Nothing to watch: starting it again would not help.
    let house = House::new(COMPANY);
    let output = house.command(&["run"]);
    assert_eq!(output.status.code(), Some(78));
    let sentence = String::from_utf8(output.stderr).unwrap();
    assert!(sentence.contains("at least one [[mailbox]]"), "{sentence}");
}

#[test]
fn check_approves_and_reads_no_secret() {
    let house = house();
    let output = house.command(&["check"]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("the configuration holds together"), "{text}");
    assert!(text.contains("雲端行動科技股份有限公司"), "{text}");
    assert!(!house.path("ledger.db").exists(), "check has made a ledger");

    let config = fs::read_to_string(house.path("config.toml")).unwrap();
    let imap = "[[mailbox]]\nname = \"imap\"\nkind = \"imap\"\nhost = \"imap.example.com\"\n\
                username = \"u\"\npassword = { file = \"/nonexistent\" }\n[mail]";
    house.write("config.toml", config.replace("[mail]", imap));
    assert_eq!(house.command(&["check"]).status.code(), Some(0));
    // To run with it is another matter.
    let output = house.command(&["run"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("/nonexistent")
    );
}

#[test]
fn check_says_what_would_come_to_nothing() {
    let house = House::new("");
    let output = house.command(&["check"]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    for lacking in ["no [[mailbox]]", "no [[company]]", "no [mail]"] {
        assert!(text.contains(lacking), "{lacking} is not said:\n{text}");
    }
}

#[test]
fn a_private_ca_that_cannot_be_used_stops_the_daemon_before_it_connects() {
    let house = house();
    let config = fs::read_to_string(house.path("config.toml")).unwrap();
    let empty = house.write("empty.pem", "");
    for ca_file in [empty.to_str().unwrap(), "/nosuch/ca.pem"] {
        let imap = format!(
            "[[mailbox]]\nname = \"imap\"\nkind = \"imap\"\nhost = \"localhost\"\nport = 1\n\
             ca_file = \"{ca_file}\"\nusername = \"u\"\npassword = {{ env = \"HOME\" }}\n[mail]"
        );
        house.write("config.toml", config.replace("[mail]", &imap));
        let output = house.command(&["run"]);
        let words = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(78), "{words}");
        assert!(words.contains(ca_file), "{words}");
    }
}

#[test]
fn check_says_what_proof_is_asked_for() {
    for (require, said) in [
        ("dkim", "a DKIM signature, verified here"),
        ("authentication-results", "the receiving server's"),
        ("either", "or the receiving server's"),
        ("none", "From is believed"),
    ] {
        let house = house();
        let config = fs::read_to_string(house.path("config.toml")).unwrap();
        house.write(
            "config.toml",
            config.replace("require = \"none\"", &format!("require = \"{require}\"")),
        );
        let output = house.command(&["check"]);
        assert_eq!(output.status.code(), Some(0));
        let page = String::from_utf8(output.stdout).unwrap();
        let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(page.contains(&format!("require = \"{require}\"")), "{page}");
        assert!(page.contains(said), "{page}");
    }
}

#[test]
fn check_says_what_could_never_be_proven() {
    let by_name = "require = \"authentication-results\"";
    let trusting = format!("{by_name}\ntrusted_authserv_ids = [\"mx.example.com\"]");
    let no_domain = "would be quarantined as `not_authenticated`: `domains` names no";
    let no_server = "would be quarantined as `not_authenticated`: `trusted_authserv_ids` names no";
    for (settings, said) in [
        ("require = \"dkim\"", [false, false]),
        ("require = \"either\"", [false, false]),
        ("require = \"none\"\ndomains = []", [false, false]),
        ("require = \"dkim\"\ndomains = []", [true, false]),
        ("require = \"dkim\"\ndomains = [\"gov.tw\"]", [true, false]),
        (
            "require = \"dkim\"\ndomains = [\"nat.gov.tw\"]",
            [false, false],
        ),
        (by_name, [false, true]),
        (&trusting, [false, false]),
    ] {
        let house = house();
        let config = fs::read_to_string(house.path("config.toml")).unwrap();
        house.write(
            "config.toml",
            config.replace("require = \"none\"", settings),
        );
        let output = house.command(&["check"]);
        assert_eq!(output.status.code(), Some(0));
        let page = String::from_utf8(output.stdout).unwrap();
        let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
        let found = [no_domain, no_server].map(|words| page.contains(words));
        assert_eq!(found, said, "{settings}: {page}");
    }
}

#[test]
fn status_lists_a_mailbox_that_was_never_seen() {
    let house = house();
    let (code, status) = house.json(&["status", "--json"]);
    assert_eq!(code, 0);
    assert_eq!(status["mailboxes"][0]["name"], "einvoice");
    assert_eq!(status["mailboxes"][0]["state"], "down");
    assert_eq!(status["due"][0]["ban"], "53567686");
    let page = String::from_utf8(house.command(&["status"]).stdout).unwrap();
    assert!(page.starts_with("needs attention"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn status_does_not_believe_a_mailbox_that_nobody_watches_any_more() {
    let house = house();
    let now = Clock::System.now();
    let ledger = Ledger::open(&house.path("ledger.db"), now).await.unwrap();
    for (minutes, state, headline) in [(5, "up", "all is well"), (16, "down", "needs attention")] {
        let then = now - SignedDuration::from_mins(minutes);
        let up = LinkState::Up;
        ledger.saw_mailbox("einvoice", &up, then).await.unwrap();
        let (_, status) = house.json(&["status", "--json"]);
        assert_eq!(status["mailboxes"][0]["state"], state);
        let page = String::from_utf8(house.command(&["status"]).stdout).unwrap();
        assert!(page.starts_with(headline), "{page}");
    }
    ledger.close().await;
}

#[test]
fn status_says_that_mail_is_put_off_and_why() {
    let house = house();
    fs::remove_dir(house.path("sent")).unwrap();
    house.write("sent", "where a directory should be");
    let file = house.write("notice.eml", Notice::default().eml());
    house.command(&["ingest", file.to_str().unwrap()]);
    let page = String::from_utf8(house.command(&["status"]).stdout).unwrap();
    assert!(page.contains("1 mail put off"), "{page}");
    assert!(page.contains("put off: write mail to"), "{page}");
}

#[test]
fn the_demo_shows_all_three_and_ends_by_itself() {
    let scratch = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(PROGRAM)
        .arg("demo")
        .env("TMPDIR", scratch.path())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    for fact in [
        "22628000-22634399",
        "proven by dkim invoice.nat.gov.tw, demo2018",
        "from einvoice@invoice.nat.gov.tw",
        "not_authenticated",
        "1 duplicate, 1 imported, 1 quarantined\n",
        "ledger.db",
    ] {
        assert!(text.contains(fact), "{fact} is missing:\n{text}");
    }
    let root = fs::read_dir(scratch.path())
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    assert_eq!(fs::read_dir(root.join("sent")).unwrap().count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_maildir_is_watched_while_the_daemon_runs_and_it_stops_when_told() {
    let house = house();
    let daemon = house.run(&[]);
    house.write("mailbox/new/1.host", Notice::default().eml());
    house
        .until("the notice is recorded", || async {
            house.allocations().await.len() == 1
        })
        .await;
    house
        .until("the confirmation is written", || async {
            sent(&house).len() == 1
        })
        .await;
    // A mail reader takes it from new to cur: still the same mail.
    fs::rename(
        house.path("mailbox/new/1.host"),
        house.path("mailbox/cur/1.host:2,S"),
    )
    .unwrap();
    house.write(
        "mailbox/new/2.host",
        Notice {
            track: "ED",
            message_id: "2@x",
            ..Notice::default()
        }
        .eml(),
    );
    house
        .until("the second one is recorded", || async {
            house.allocations().await.len() == 2
        })
        .await;
    assert_eq!(house.messages("duplicate").await, 0);
    assert_eq!(daemon.terminate(Duration::from_secs(10)), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_system_that_hangs_does_not_hold_up_the_end() {
    let house = house();
    // To open a pipe is to wait for whoever writes to it, as a dead network file system would.
    let pipe = house.path("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    std::os::unix::fs::symlink(&pipe, house.path("mailbox/new/1.host")).unwrap();
    let daemon = house.run(&[]);
    house
        .until("the mailbox is open", || async {
            house.log().contains("mailbox opened")
        })
        .await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(daemon.terminate(Duration::from_secs(10)), Some(0));
}

#[test]
fn a_ledger_without_a_directory_is_said_in_one_sentence_by_every_command_that_writes() {
    let house = house();
    let config = fs::read_to_string(house.path("config.toml")).unwrap();
    house.write(
        "config.toml",
        config.replace("/ledger.db", "/nosuch/ledger.db"),
    );
    let file = house.write("notice.eml", Notice::default().eml());
    for arguments in [vec!["run"], vec!["ingest", file.to_str().unwrap()]] {
        let output = house.command(&arguments);
        assert_eq!(output.status.code(), Some(75), "{arguments:?}");
        let words = String::from_utf8(output.stderr).unwrap();
        assert!(
            words.contains("nosuch/ledger.db: the directory in which it should be created"),
            "{arguments:?}: {words}"
        );
    }
}
