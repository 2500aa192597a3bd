//! `ingest`: files, directories and Maildirs, once each, alone or beside a daemon.

use std::fs;

use invoice_trackd::ledger::Ledger;

use super::{house, sent};
use crate::support::daemon::{Notice, maildir};

/// The way back that the README and the alerts name: mend the cause, forward as an attachment.
#[test]
fn a_mended_notice_is_judged_again_when_it_is_forwarded_as_an_attachment() {
    let house = house();
    let config = fs::read_to_string(house.path("config.toml")).unwrap();
    let narrow = config.replace("einvoice@example.com\"]", "else@example.com\"]");
    assert_ne!(narrow, config);
    fs::write(house.path("config.toml"), narrow).unwrap();
    let eml = String::from_utf8(Notice::default().eml()).unwrap();
    let eml = eml.replace("(53567686)", "()");
    let notice = house.write("notice.eml", &eml);
    let notice = notice.to_str().unwrap();
    let (_, outcome) = house.json(&["ingest", "--json", notice]);
    assert_eq!(outcome[0]["defects"][0]["code"], "unknown_company");

    fs::write(house.path("config.toml"), config).unwrap();
    let (_, outcome) = house.json(&["ingest", "--json", notice]);
    assert_eq!(outcome[0]["disposition"], "quarantined");
    let text = String::from_utf8(house.command(&["explain", notice]).stdout).unwrap();
    assert!(text.starts_with("imported"), "{text}");
    assert!(text.contains("judged before, as quarantined"), "{text}");
    assert!(text.contains("forward it"), "{text}");

    let mut forwarded = b"From: ops@example.com\r\nTo: einvoice@example.com\r\n\
        Subject: =?utf-8?q?Fwd:_=E5=AD=97=E8=BB=8C?=\r\nMIME-Version: 1.0\r\n\
        Content-Type: message/rfc822\r\n\r\n"
        .to_vec();
    forwarded.extend(eml.into_bytes());
    let forwarded = house.write("forwarded.eml", forwarded);
    let (_, outcome) = house.json(&["ingest", "--json", forwarded.to_str().unwrap()]);
    assert_eq!(outcome[0]["disposition"], "imported");
}

#[test]
fn ingest_records_files_directories_and_maildirs_once() {
    let house = house();
    house.write("in/a/first.eml", Notice::default().eml());
    house.write(
        "in/b/second.eml",
        Notice {
            track: "ED",
            message_id: "2@x",
            ..Notice::default()
        }
        .eml(),
    );
    house.write("in/b/readme.txt", "not a mail");
    maildir(&house.path("in/box"));
    house.write(
        "in/box/cur/1.host:2,S",
        Notice {
            message_id: "3@x",
            ..Notice::default()
        }
        .eml(),
    );

    let path = house.path("in");
    let (status, report) = house.json(&["ingest", "--json", path.to_str().unwrap()]);
    assert_eq!(status, 0);
    let dispositions: Vec<&str> = report
        .as_array()
        .unwrap()
        .iter()
        .map(|o| o["disposition"].as_str().unwrap())
        .collect();
    assert_eq!(dispositions, ["imported", "imported", "duplicate"]);

    let (_, rows) = house.json(&["allocations", "--json"]);
    let tracks: Vec<&str> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["invoice_track"].as_str().unwrap())
        .collect();
    assert_eq!(tracks, ["EC", "ED"]);
    assert_eq!(
        sent(&house).len(),
        2,
        "one confirmation for each imported notice"
    );

    let (_, again) = house.json(&["ingest", "--json", path.to_str().unwrap()]);
    assert!(
        again
            .as_array()
            .unwrap()
            .iter()
            .all(|o| o["disposition"] == "duplicate"),
        "{again}"
    );
    assert_eq!(sent(&house).len(), 2);
}

#[test]
fn files_are_judged_as_if_they_were_in_the_only_mailbox() {
    let house = house();
    let config = fs::read_to_string(house.path("config.toml")).unwrap();
    house.write(
        "config.toml",
        config.replace("recipients = [\"einvoice@example.com\"]", "recipients = []"),
    );
    let text = String::from_utf8(Notice::default().eml()).unwrap();
    let file = house.write("notice.eml", text.replace("貴公司(53567686)", "貴公司()"));
    let file = file.to_str().unwrap();
    let (_, object) = house.json(&["explain", "--json", file]);
    assert_eq!(object["company"]["source"], "mailbox");
    assert_eq!(object["warnings"][1]["code"], "company_assumed");
    let (_, report) = house.json(&["ingest", "--no-mail", "--json", file]);
    assert_eq!(report[0]["disposition"], "imported");

    // With a second mailbox it must be said which.
    let config = fs::read_to_string(house.path("config.toml")).unwrap();
    let second = "[[mailbox]]\nname = \"second\"\nkind = \"maildir\"\npath = \"/x\"\n";
    house.write(
        "config.toml",
        config.replace("[mail]\n", &format!("{second}[mail]\n")),
    );
    for (name, expected) in [("einvoice", "mailbox"), ("second", "")] {
        let (_, object) = house.json(&["explain", "--json", "--mailbox", name, file]);
        let source = object["company"]["source"].as_str().unwrap_or_default();
        assert_eq!(source, expected, "{name}");
    }
}

#[test]
fn beside_a_running_daemon_ingest_leaves_the_sending_to_it() {
    let house = house();
    let file = house.write("notice.eml", Notice::default().eml());
    let daemon = Ledger::lock(&house.path("ledger.db")).unwrap();
    let output = house.command(&["ingest", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0));
    assert!(sent(&house).is_empty(), "two would send the same letter");
    let (_, status) = house.json(&["status", "--json"]);
    assert_eq!(status["outbox"]["pending"], 1);
    drop(daemon);
    // Nor does --no-mail send what somebody else has left.
    let file = file.to_str().unwrap();
    house.command(&["ingest", "--no-mail", file]);
    assert!(sent(&house).is_empty());
    house.command(&["ingest", file]);
    assert_eq!(sent(&house).len(), 1);
}

#[test]
fn an_alert_about_a_file_names_the_file() {
    let house = house();
    let forged = Notice {
        from: "a@b.example",
        ..Notice::default()
    };
    let file = house.write("downloads/forged.eml", forged.eml());
    house.command(&["ingest", file.to_str().unwrap()]);
    let mails = sent(&house);
    let alert = mail_parser::MessageParser::default()
        .parse(&mails[0])
        .unwrap();
    assert_eq!(
        alert.subject(),
        Some("需要處理：一封自稱配號通知的信，寄件人不在名單上（forged.eml）")
    );
    let text = alert.body_text(0).unwrap();
    assert!(text.contains(file.to_str().unwrap()), "{text}");
    assert!(!text.contains("信箱"), "{text}");
}

#[test]
fn ingest_without_mail_tells_nobody() {
    let house = house();
    let good = house.write("good.eml", Notice::default().eml());
    let bad = house.write(
        "bad.eml",
        Notice {
            from: "a@b.example",
            ..Notice::default()
        }
        .eml(),
    );
    let output = house.command(&[
        "ingest",
        "--no-mail",
        good.to_str().unwrap(),
        bad.to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(0));
    let report = String::from_utf8(output.stdout).unwrap();
    assert!(
        report.contains("2 read: 1 imported, 1 quarantined"),
        "{report}"
    );
    let (_, status) = house.json(&["status", "--json"]);
    assert_eq!(status["outbox"]["pending"], 0);
    assert_eq!(
        status["quarantine"][0]["defects"][0]["code"],
        "sender_not_allowed"
    );
    assert!(sent(&house).is_empty());
}

#[test]
fn ingest_refuses_what_it_cannot_read_and_records_nothing_of_that_run() {
    let house = house();
    let csv = house.write("invnoapply.csv", "nothing of the platform's");
    for (arguments, word) in [
        (vec!["ingest", "/nonexistent.eml"], "/nonexistent.eml"),
        (vec!["ingest", csv.to_str().unwrap()], "invnoapply.csv"),
    ] {
        let output = house.command(&arguments);
        assert_eq!(output.status.code(), Some(1));
        let sentence = String::from_utf8(output.stderr).unwrap();
        assert!(
            sentence.contains(word) && sentence.lines().count() == 1,
            "{sentence}"
        );
    }
    let (_, rows) = house.json(&["allocations", "--json"]);
    assert_eq!(rows, serde_json::json!([]));
}

#[test]
fn ingest_takes_in_what_it_can_read_and_names_the_rest() {
    let house = house();
    house.write("in/a.EML", Notice::default().eml());
    std::os::unix::fs::symlink("/nonexistent", house.path("in/b.eml")).unwrap();
    let good = Notice {
        track: "ED",
        ..Notice::default()
    };
    house.write("in/c.eml", good.eml());
    // Neither ends: a link back up, and a pipe that nobody writes to.
    std::os::unix::fs::symlink(house.path("in"), house.path("in/loop")).unwrap();
    let pipe = std::process::Command::new("mkfifo")
        .arg(house.path("in/pipe.eml"))
        .status();
    assert!(pipe.unwrap().success());

    let path = house.path("in");
    let output = house.command(&["ingest", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let report = String::from_utf8(output.stdout).unwrap();
    assert!(report.contains("2 read: 2 imported"), "{report}");
    let sentence = String::from_utf8(output.stderr).unwrap();
    assert!(
        sentence.contains("b.eml") && sentence.lines().count() == 1,
        "{sentence}"
    );
    assert_eq!(sent(&house).len(), 2);
}
