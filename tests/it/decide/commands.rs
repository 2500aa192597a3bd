//! The commands as a person gives them: what they show, how they end, and what is sent.

use std::{
    fs,
    time::{Duration, Instant},
};

use invoice_trackd::{
    clock::{Clock, taipei_date},
    ledger::Ledger,
    notice::Period,
};
use serde_json::Value;

use super::{BAN, forged, notice};
use crate::support::daemon::{COMPANY, House, Notice, maildir};

const WHY: [&str; 2] = ["--reason", "compared with the platform"];

fn house() -> House {
    let house = House::with_mail(&format!(
        r#"{COMPANY}
[[mailbox]]
name = "einvoice"
kind = "maildir"
path = "@ROOT@/mailbox"
"#
    ));
    maildir(&house.path("mailbox"));
    house
}

fn ingest(house: &House, name: &str, eml: impl AsRef<[u8]>) -> String {
    let path = house.write(name, eml);
    let (_, report) = house.json(&["ingest", "--no-mail", "--json", path.to_str().unwrap()]);
    report[0]["disposition"].as_str().unwrap().to_owned()
}

fn sent(house: &House) -> Vec<mail_parser::Message<'static>> {
    fs::read_dir(house.path("sent"))
        .unwrap()
        .map(|entry| fs::read(entry.unwrap().path()).unwrap())
        .map(|eml| {
            let mail = mail_parser::MessageParser::default().parse(&eml).unwrap();
            mail.into_owned()
        })
        .collect()
}

/// Exit status, stdout and stderr.
fn command(house: &House, arguments: &[&str]) -> (i32, String, String) {
    let output = house.command(arguments);
    let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    (output.status.code().unwrap(), out, err)
}

fn waiting(house: &House) -> Vec<i64> {
    let (status, list) = house.json(&["quarantine", "list", "--json"]);
    assert_eq!(status, 0);
    let ids = list.as_array().unwrap().iter();
    ids.map(|row| row["id"].as_i64().unwrap()).collect()
}

#[test]
fn without_a_ledger_nothing_waits_and_none_is_made() {
    let house = house();
    assert_eq!(waiting(&house), [0; 0]);
    for arguments in [
        &["quarantine", "show", "1"][..],
        &["quarantine", "release", "1", "--reason", "x"],
        &["quarantine", "dismiss", "1", "--reason", "x"],
        &["allocations", "withdraw", "1", "--reason", "x"],
    ] {
        let (status, out, err) = command(&house, arguments);
        assert_eq!((status, out.as_str()), (1, ""), "{arguments:?}");
        assert!(err.contains("there is no "), "{err}");
    }
    assert!(!house.path("ledger.db").exists());
}

#[test]
fn a_mail_is_listed_shown_released_and_its_confirmation_sent() {
    let house = house();
    assert_eq!(ingest(&house, "forged.eml", forged()), "quarantined");
    let (_, list) = house.json(&["quarantine", "list", "--json"]);
    assert_eq!(list[0]["id"], 1);
    assert_eq!(list[0]["mailbox"], Value::Null);
    assert_eq!(list[0]["from"], "einvoice@nat-gov.example");
    assert_eq!(list[0]["subject"], "電子發票配號結果通知");
    assert!(list[0]["received_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(list[0]["defects"][0]["code"], "sender_not_allowed");
    assert!(list[0]["defects"][0]["detail"].is_string());
    assert_eq!(house.json(&["status", "--json"]).1["quarantine"], list);
    let (_, table, _) = command(&house, &["quarantine", "list"]);
    assert!(table.contains("sender_not_allowed"), "{table}");

    let (status, page, _) = command(&house, &["quarantine", "show", "1"]);
    assert_eq!(status, 0);
    assert!(
        page.starts_with("message 1 waits for a decision 等待處理: sender_not_allowed\n"),
        "{page}"
    );
    for shown in [
        "forged.eml",
        "einvoice@nat-gov.example",
        "電子發票配號結果通知",
        "all kept",
        "not_required",
        "may be overruled: yes",
        "invoice-trackd quarantine release 1 --reason TEXT",
        "invoice-trackd quarantine dismiss 1 --reason TEXT",
    ] {
        assert!(page.contains(shown), "no {shown} in\n{page}");
    }
    let (_, one) = house.json(&["quarantine", "show", "1", "--json"]);
    assert_eq!(one["defects"][0]["overrulable"], "yes");
    assert_eq!(one["authenticity"]["result"], "not_required");
    assert_eq!(one["decisions"], serde_json::json!([]));
    let raw = house.command(&["quarantine", "show", "1", "--raw"]);
    assert_eq!(raw.stdout, forged());

    let dry = ["quarantine", "release", "1", "--dry-run"];
    let (status, out, _) = command(&house, &[&dry[..], &WHY].concat());
    assert_eq!(status, 0);
    assert!(out.starts_with("dry run, nothing was changed"), "{out}");
    assert_eq!(waiting(&house), [1]);
    assert!(sent(&house).is_empty());

    let release = [&["quarantine", "release", "1"][..], &WHY].concat();
    let (status, out, err) = command(&house, &release);
    assert_eq!(status, 0, "{err}");
    assert!(out.starts_with("imported: message 1\n"), "{out}");
    for shown in [BAN, "EC 22628000-22634399", "overruled sender_not_allowed"] {
        assert!(out.contains(shown), "{out}");
    }
    let letters = sent(&house);
    let [confirmation] = letters.as_slice() else {
        panic!("{letters:?}");
    };
    assert!(confirmation.subject().unwrap().contains("EC 22628000"));
    assert_eq!(waiting(&house), [0; 0]);

    let (status, _, err) = command(&house, &release);
    assert_eq!(status, 1);
    assert!(err.contains("it is imported, decided by "), "{err}");
    let (_, page, _) = command(&house, &["quarantine", "show", "1"]);
    assert!(
        page.starts_with("message 1 was released 已放行 by "),
        "{page}"
    );
    for shown in ["release by", "overruled sender_not_allowed", WHY[1]] {
        assert!(page.contains(shown), "{page}");
    }
    assert!(!page.contains("may be overruled"), "{page}");
}

#[test]
fn what_may_not_be_overruled_stays_and_the_sentence_says_what_to_do() {
    let house = house();
    let broken = String::from_utf8(notice().eml()).unwrap();
    let broken = broken.replace("22628000", "22628001");
    assert_eq!(ingest(&house, "broken.eml", broken), "quarantined");
    let release = [&["quarantine", "release", "1"][..], &WHY].concat();
    let (status, out, err) = command(&house, &release);
    assert_eq!((status, out.as_str()), (1, ""));
    assert!(err.contains("range_misaligned ("), "{err}");
    assert!(err.contains("`invoice-trackd quarantine show 1`"), "{err}");
    let (_, page, _) = command(&house, &["quarantine", "show", "1"]);
    assert!(page.contains("may be overruled: no"), "{page}");

    let dismiss = [&["quarantine", "dismiss", "1"][..], &WHY].concat();
    let (status, out, err) = command(&house, &dismiss);
    assert_eq!(status, 0, "{err}");
    assert!(out.starts_with("dismissed: message 1\n"), "{out}");
    assert_eq!(waiting(&house), [0; 0]);
    let status = house.json(&["status", "--json"]).1;
    assert_eq!(status["quarantine"], serde_json::json!([]));
    let (_, page, _) = command(&house, &["quarantine", "show", "1"]);
    assert!(
        page.starts_with("message 1 was dismissed 已捨棄 by "),
        "{page}"
    );
}

#[test]
fn a_reason_and_a_known_code_are_asked_for() {
    let house = house();
    ingest(&house, "forged.eml", forged());
    for arguments in [
        &["quarantine", "release", "1"][..],
        &["quarantine", "release", "1", "--reason", "  "],
        &["quarantine", "dismiss", "1", "--reason", ""],
        &["quarantine", "dismiss", "--all", "--reason", "x"],
        &[
            "quarantine",
            "dismiss",
            "1",
            "--all",
            "--code",
            "oversized",
            "--reason",
            "x",
        ],
        &[
            "quarantine",
            "dismiss",
            "--all",
            "--code",
            "nonsense",
            "--reason",
            "x",
        ],
        &[
            "quarantine",
            "release",
            "1",
            "--ban",
            "12345678",
            "--reason",
            "x",
        ],
        &["allocations", "withdraw", "1", "--reason", " "],
    ] {
        let (status, _, err) = command(&house, arguments);
        assert_eq!(status, 2, "{arguments:?}: {err}");
    }
    assert_eq!(waiting(&house), [1]);
}

#[test]
fn a_rehearsal_needs_no_reason_and_sends_nothing() {
    let house = house();
    for (name, begin) in [("a", 22_628_000), ("b", 30_000_000)] {
        let from = format!("{name}@nat-gov.example");
        let forged = Notice {
            from: &from,
            begin,
            ..notice()
        };
        ingest(&house, &format!("{name}.eml"), forged.eml());
    }
    // Somebody else is about to send: the confirmation waits.
    let lock = Ledger::lock(&house.path("ledger.db")).unwrap();
    let release = [&["quarantine", "release", "1"][..], &WHY].concat();
    assert_eq!(command(&house, &release).0, 0);
    drop(lock);
    for arguments in [
        &["quarantine", "release", "2", "--dry-run"][..],
        &[
            "quarantine",
            "dismiss",
            "--all",
            "--code",
            "sender_not_allowed",
            "--dry-run",
        ],
    ] {
        let (status, out, err) = command(&house, arguments);
        assert_eq!(status, 0, "{err}");
        assert!(out.contains("nothing was changed"), "{out}");
    }
    assert_eq!(waiting(&house), [2]);
    assert_eq!(sent(&house).len(), 0);
}

#[test]
fn the_company_is_named_and_one_that_is_not_configured_is_said_to_be() {
    let house = house();
    let nobody_s = String::from_utf8(notice().eml()).unwrap();
    let nobody_s = nobody_s
        .replace(BAN, "")
        .replace("einvoice@example.com", "a@b.example");
    assert_eq!(ingest(&house, "nobody.eml", nobody_s), "quarantined");
    let release = [&["quarantine", "release", "1"][..], &WHY].concat();
    let (status, _, err) = command(&house, &release);
    assert_eq!(status, 1);
    assert!(
        err.contains("say whose numbers they are with --ban"),
        "{err}"
    );
    let (_, page, _) = command(&house, &["quarantine", "show", "1"]);
    assert!(page.contains("release 1 --ban BAN --reason TEXT"), "{page}");

    let (status, out, err) = command(&house, &[&release[..], &["--ban", "24634102"]].concat());
    assert_eq!(status, 0, "{err}");
    assert!(out.contains("24634102, which is not configured"), "{out}");
    let (_, rows) = house.json(&["allocations", "--json"]);
    assert_eq!(rows[0]["ban"], "24634102");
    let (_, one) = house.json(&["quarantine", "show", "1", "--json"]);
    assert_eq!(one["company"]["source"], "person");
}

#[test]
fn many_are_decided_in_one_go_and_those_refused_stay() {
    let house = house();
    for (name, begin) in [("a", 22_628_000), ("b", 22_634_350), ("c", 30_000_000)] {
        let from = format!("{name}@nat-gov.example");
        let forged = Notice {
            from: &from,
            begin,
            ..notice()
        };
        ingest(&house, &format!("{name}.eml"), forged.eml());
    }
    // Something else is wrong with this one: it is not among them.
    let far = Notice {
        period: "199/11 - 199/12",
        begin: 40_000_000,
        ..notice()
    };
    ingest(&house, "far.eml", far.eml());
    let all = [
        "quarantine",
        "release",
        "--all",
        "--code",
        "sender_not_allowed",
    ];
    let all = [&all[..], &WHY].concat();
    let (status, dry, err) = command(&house, &[&all[..], &["--dry-run"]].concat());
    assert_eq!(status, 1, "{err}");
    assert_eq!(waiting(&house), [1, 2, 3, 4]);
    let (status, out, err) = command(&house, &all);
    assert_eq!(status, 1);
    assert!(err.contains("1 of 3 were refused and still wait"), "{err}");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 5, "{out}");
    assert!(
        lines[1].contains("imported") && lines[3].contains("imported"),
        "{out}"
    );
    assert!(
        lines[2].contains("refused") && lines[2].contains("range_overlap"),
        "{out}"
    );
    assert_eq!(lines[4], "2 imported, 1 refused");
    assert!(dry.starts_with(out.trim_end()), "{dry}\n{out}");
    assert_eq!(waiting(&house), [2, 4]);
    assert_eq!(sent(&house).len(), 2, "a confirmation for each");

    let dismiss = [
        "quarantine",
        "dismiss",
        "--all",
        "--code",
        "sender_not_allowed",
    ];
    let dismiss = [&dismiss[..], &WHY].concat();
    let (status, out, _) = command(&house, &dismiss);
    assert_eq!(status, 0);
    assert!(out.ends_with("1 dismissed\n"), "{out}");
    assert_eq!(waiting(&house), [4]);
    let (status, out, _) = command(&house, &dismiss);
    assert_eq!(
        (status, out.as_str()),
        (
            0,
            "nothing waits because of sender_not_allowed 沒有因此等待處理的信\n"
        )
    );
}

#[test]
fn a_stranger_s_words_do_nothing_to_the_terminal() {
    let house = house();
    let hostile = String::from_utf8(forged())
        .unwrap()
        .replace("Subject: ", "Subject: =?UTF-8?B?G1sySmRvbmUg4oCu?= ");
    assert_eq!(ingest(&house, "hostile.eml", hostile), "quarantined");
    for arguments in [
        &["quarantine", "list"][..],
        &["quarantine", "show", "1"],
        &["quarantine", "dismiss", "1", "--reason", "a\u{1b}[2Jb"],
        &["quarantine", "show", "1"],
    ] {
        let (status, out, _) = command(&house, arguments);
        assert_eq!(status, 0);
        assert!(!out.contains(['\u{1b}', '\u{202e}']), "{out:?}");
    }
    let (_, page, _) = command(&house, &["quarantine", "show", "1"]);
    assert!(page.contains("a<U+001B>[2Jb"), "{page}");
}

#[test]
fn a_range_is_withdrawn_at_the_keyboard() {
    let house = house();
    let period = Period::containing(taipei_date(Clock::System.now())).to_string();
    let running = Notice {
        period: &period,
        ..notice()
    };
    assert_eq!(ingest(&house, "notice.eml", running.eml()), "imported");
    let recorded = || {
        let (_, status) = house.json(&["status", "--json"]);
        let due = status["due"].as_array().unwrap().iter();
        due.filter(|due| due["state"] == "recorded").count()
    };
    assert_eq!(recorded(), 1);
    let withdraw = [&["allocations", "withdraw", "1"][..], &WHY].concat();
    let (status, out, err) = command(&house, &withdraw);
    assert_eq!(status, 0, "{err}");
    assert!(out.contains("EC 22628000-22634399"), "{out}");
    let letters = sent(&house);
    assert!(
        letters
            .iter()
            .any(|mail| mail.subject().unwrap().contains("已撤回"))
    );
    let (status, _, err) = command(&house, &withdraw);
    assert_eq!(status, 1);
    assert!(err.contains("allocation 1 was withdrawn at"), "{err}");

    let (_, table, _) = command(&house, &["allocations"]);
    let (_, below) = table.split_once("\nwithdrawn 已撤回").unwrap();
    assert!(below.contains(WHY[1]), "{table}");
    let (_, rows) = house.json(&["allocations", "--json"]);
    assert!(rows[0]["withdrawn_at"].is_string());
    assert_eq!(rows[0].as_object().unwrap().len(), 13);
    assert_eq!(recorded(), 0, "it counts as given no more");
}

/// The alert names a command; whoever follows it gets to the mail.
#[tokio::test]
async fn beside_a_running_daemon_a_release_is_recorded_and_the_daemon_sends() {
    let house = house();
    house.write("mailbox/new/1.host", forged());
    let daemon = house.run(&[]);
    house
        .until("the alert", async || sent(&house).len() == 1)
        .await;
    let text = sent(&house)[0].body_text(0).unwrap().into_owned();
    let line = text
        .lines()
        .find(|line| line.contains("release 1"))
        .unwrap();
    assert_eq!(
        line.trim(),
        "invoice-trackd quarantine release 1 --reason 原因"
    );

    let release = [&["quarantine", "release", "1"][..], &WHY].concat();
    let (status, _, err) = command(&house, &release);
    assert_eq!(status, 0, "{err}");
    assert_eq!(house.allocations().await.len(), 1);
    // The dispatcher looks every 30 s.
    let deadline = Instant::now() + Duration::from_secs(120);
    while sent(&house).len() < 2 {
        assert!(
            Instant::now() < deadline,
            "no confirmation\n{}",
            house.log()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    house.write("mailbox/new/2.host", forged());
    house
        .until("the copy", async || house.messages("duplicate").await == 1)
        .await;
    assert_eq!(daemon.terminate(Duration::from_secs(20)), Some(0));
    assert_eq!(sent(&house).len(), 2);
}
