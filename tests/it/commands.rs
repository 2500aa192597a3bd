//! The commands as an operator and a script meet them: output, exit status, and what is left
//! behind.

use std::{fs, time::Duration};

use invoice_trackd::{
    clock::Clock,
    ledger::{Ledger, LinkState},
};
use jiff::SignedDuration;

use crate::support::daemon::{COMPANY, House, Notice, PROGRAM, maildir};

/// A company, a Maildir, mails as files.
fn house() -> House {
    let house = House::new(&format!(
        r#"{COMPANY}
[[mailbox]]
name = "einvoice"
kind = "maildir"
path = "@ROOT@/mailbox"
company = "53567686"
[mail]
from = "invoice-trackd <einvoice@example.com>"
confirm_to = ["ops@example.com"]
alert_to = ["oncall@example.com"]
transport = "directory"
directory = "@ROOT@/sent"
"#
    ));
    maildir(&house.path("mailbox"));
    fs::create_dir(house.path("sent")).unwrap();
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
fn explain_says_all_and_writes_nothing() {
    let house = house();
    let file = house.write("notice.eml", Notice::default().eml());
    let (status, object) = house.json(&["explain", file.to_str().unwrap(), "--json"]);
    assert_eq!(status, 0);
    assert_eq!(object["disposition"], "imported");
    assert_eq!(object["from"], "einvoice@einvoice.nat.gov.tw");
    assert_eq!(object["subject"], "電子發票配號結果通知");
    assert_eq!(object["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(
        object["authenticity"],
        serde_json::json!({ "result": "not_required", "method": null, "domain": null, "selector": null })
    );
    assert_eq!(
        object["company"],
        serde_json::json!({ "ban": "53567686", "source": "body" })
    );
    assert_eq!(object["defects"], serde_json::json!([]));
    assert_eq!(object["warnings"][0]["code"], "period_past");
    assert_eq!(
        object["allocations"],
        serde_json::json!([{
            "ban": "53567686",
            "invoice_type": "07",
            "year_month": "10706",
            "invoice_track": "EC",
            "invoice_begin_no": "22628000",
            "invoice_end_no": "22634399",
            "invoice_booklet": 128,
            "requested_booklets": 0,
            "added_booklets": 128,
        }])
    );
    assert!(
        !house.path("ledger.db").exists(),
        "explain has made a ledger"
    );
}

#[test]
fn explain_reads_standard_input_and_ends_with_65_for_a_quarantined_message() {
    let house = house();
    let forged = Notice {
        from: "einvoice@nat-gov.example",
        ..Notice::default()
    }
    .eml();
    let output = house.command_with_input(&["explain", "-", "--json"], &forged);
    assert_eq!(output.status.code(), Some(65));
    let object: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(object["disposition"], "quarantined");
    assert_eq!(object["defects"][0]["code"], "sender_not_allowed");
}

/// A checklist without what depends on the day on which it is printed.
fn timeless(stdout: Vec<u8>) -> String {
    let text = String::from_utf8(stdout).unwrap();
    let today = text
        .split_once("the current period is ")
        .map(|(_, rest)| &rest[..15]);
    match today {
        Some(period) => text.replace(period, "(today's)"),
        None => text,
    }
}

#[test]
fn explain_reads_like_a_calm_checklist() {
    let house = house();
    let genuine = house.write("genuine.eml", Notice::default().eml());
    let good = house.command(&["explain", genuine.to_str().unwrap()]);
    insta::assert_snapshot!("explain_imported", timeless(good.stdout));

    let text = String::from_utf8(Notice::default().eml()).unwrap();
    let broken = text
        .replace("發票迄號：22634399", "發票迄號：22634398")
        .replace("0\r\n增加", "x\r\n增加");
    let output = house.command_with_input(&["explain", "-"], broken.as_bytes());
    assert_eq!(output.status.code(), Some(65));
    insta::assert_snapshot!("explain_quarantined", timeless(output.stdout));
}

/// The line of the checklist that holds `rule`.
fn line<'t>(text: &'t str, rule: &str) -> &'t str {
    let found = text.lines().find(|line| line.contains(rule));
    found.unwrap_or_else(|| panic!("no line {rule} in\n{text}"))
}

#[test]
fn explain_ticks_off_nothing_that_it_has_not_seen() {
    let house = house();
    let explain = |eml: &[u8]| {
        let output = house.command_with_input(&["explain", "-"], eml);
        String::from_utf8(output.stdout).unwrap()
    };

    let stranger = Notice {
        from: "promo@phish.example",
        ..Notice::default()
    };
    let mut large = stranger.eml();
    large.resize(2_000_000, b'x');
    let text = explain(&large);
    assert!(line(&text, "寄件人").starts_with("  · "), "{text}");
    for rule in ["欄位", "期別", "號碼", "本數", "營業人", "帳本"] {
        assert!(line(&text, rule).ends_with("not known"), "{text}");
    }

    let whole = String::from_utf8(Notice::default().eml()).unwrap();
    let reversed = whole.replace("發票迄號：22634399", "發票迄號：22627999");
    let text = explain(reversed.as_bytes());
    assert!(line(&text, "欄位").ends_with("all there"), "{text}");

    let (_, block) = whole.split_once("字軌名稱").unwrap();
    let cut_off = format!("{whole}\r\n字軌名稱{block}").replacen("發票起號", "（無）", 1);
    let text = explain(cut_off.as_bytes());
    for rule in ["期別", "號碼", "本數", "帳本"] {
        let line = line(&text, rule);
        assert!(
            line.starts_with("  · ") && line.ends_with("could be read)"),
            "{text}"
        );
    }

    let shared = format!("{whole}\r\n字軌名稱{block}")
        .replacen("22634399", "22630499", 1)
        .replacen(
            "發票起號：22628000\r\n發票迄號：22634399",
            "發票起號：22630500\r\n發票迄號：22634399",
            1,
        );
    let text = explain(shared.as_bytes());
    assert!(line(&text, "本數").ends_with("0 + 128 = 50 + 78"), "{text}");
}

#[test]
fn explain_says_why_a_mail_is_unrelated() {
    let house = house();
    for (mail, why) in [
        (
            "From: a@example.net\r\nSubject: hello\r\n\r\nx",
            "the text was not looked at",
        ),
        (
            "From: a@example.net\r\nSubject: =?utf-8?q?=E5=AD=97=E8=BB=8C?=\r\n\r\nx",
            "the text lacks",
        ),
        (
            "From: einvoice@example.com\r\nAuto-Submitted: auto-generated\r\n\r\nx",
            "our own mail",
        ),
    ] {
        let output = house.command_with_input(&["explain", "-"], mail.as_bytes());
        assert_eq!(output.status.code(), Some(0));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(line(&text, "why").contains(why), "{text}");
    }
}

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
fn explain_knows_the_ledger_and_the_mailboxes() {
    let house = house();
    let file = house.write("notice.eml", Notice::default().eml());
    let file = file.to_str().unwrap();
    assert_eq!(
        house.command(&["ingest", "--no-mail", file]).status.code(),
        Some(0)
    );
    let (status, object) = house.json(&["explain", "--mailbox", "einvoice", file, "--json"]);
    assert_eq!(
        (status, &object["disposition"]),
        (0, &serde_json::json!("duplicate"))
    );

    // Nor does a ledger that is there change, whatever the message would have become.
    let known = house.json(&["status", "--json"]);
    let next = Notice {
        track: "ED",
        ..Notice::default()
    };
    let forged = Notice {
        from: "a@b.example",
        ..Notice::default()
    };
    for (mail, expected) in [(next.eml(), 0), (forged.eml(), 65)] {
        let output = house.command_with_input(&["explain", "-"], &mail);
        assert_eq!(output.status.code(), Some(expected));
    }
    assert_eq!(house.json(&["status", "--json"]), known);

    let output = house.command(&["explain", "--mailbox", "nosuch", file]);
    assert_eq!(output.status.code(), Some(2));
    let sentence = String::from_utf8(output.stderr).unwrap();
    assert!(
        sentence.contains("einvoice") && sentence.contains("nosuch"),
        "{sentence}"
    );
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
    let csv = house.write("invnoapply.csv", "營業人統編,…");
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
fn every_value_of_require_but_none_is_refused() {
    for require in ["dkim", "authentication-results", "either"] {
        let house = house();
        let config = fs::read_to_string(house.path("config.toml")).unwrap();
        house.write(
            "config.toml",
            config.replace("require = \"none\"", &format!("require = \"{require}\"")),
        );
        let output = house.command(&["check"]);
        assert_eq!(output.status.code(), Some(78));
        let sentence = String::from_utf8(output.stderr).unwrap();
        assert!(
            sentence.contains(require) && sentence.contains("none"),
            "{sentence}"
        );
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
    assert!(page.contains("put off  write mail to"), "{page}");
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
        "sender_not_allowed",
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
