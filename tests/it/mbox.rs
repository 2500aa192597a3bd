//! `ingest` of mbox files: every message once, whatever the file grows to.

use std::fs;

use serde_json::Value;

use crate::support::daemon::{COMPANY, House, Notice};

fn house() -> House {
    House::with_mail(COMPANY)
}

fn notice(track: &'static str) -> String {
    let eml = Notice {
        track,
        message_id: track,
        ..Notice::default()
    }
    .eml();
    String::from_utf8(eml).unwrap()
}

/// One message as an mbox holds it; what would part it is quoted.
fn entry(eml: &str) -> String {
    let quoted = eml.replace("\r\n", "\n").replace("\nFrom ", "\n>From ");
    format!("From MAILER-DAEMON Fri Apr 20 09:00:00 2018\n{quoted}\n")
}

/// What nobody asked for.
fn letter(subject: &str) -> String {
    format!("From: a@b.example\nSubject: {subject}\n\nFrom 09:00 on I am away.\n")
}

fn ingest(house: &House, path: &str, more: &[&str]) -> (i32, Vec<(String, String)>) {
    let path = house.path(path);
    let arguments = [&["ingest", "--json"], more, &[path.to_str().unwrap()]].concat();
    let (status, report) = house.json(&arguments);
    let root = house.root.path().to_str().unwrap().to_owned();
    let told = |outcome: &Value| {
        let file = outcome["file"].as_str().unwrap();
        let disposition = outcome["disposition"].as_str().unwrap();
        (
            file.strip_prefix(&root).unwrap().to_owned(),
            disposition.to_owned(),
        )
    };
    (
        status,
        report.as_array().unwrap().iter().map(told).collect(),
    )
}

fn outcomes(list: &[(&str, &str)]) -> Vec<(String, String)> {
    let list = list.iter();
    list.map(|(file, what)| ((*file).to_owned(), (*what).to_owned()))
        .collect()
}

#[test]
fn an_mbox_that_grew_takes_in_only_the_new_ones() {
    let house = house();
    let old = [letter("one"), notice("EC"), letter("配號 two")].map(|eml| entry(&eml));
    house.write("Inbox", old.concat());
    let (status, report) = ingest(&house, "Inbox", &[]);
    assert_eq!(status, 0);
    let first = [
        ("/Inbox:1", "unrelated"),
        ("/Inbox:2", "imported"),
        ("/Inbox:3", "unrelated"),
    ];
    assert_eq!(report, outcomes(&first));
    let sent = || fs::read_dir(house.path("sent")).unwrap().count();
    assert_eq!(sent(), 1);

    let (_, again) = ingest(&house, "Inbox", &[]);
    assert!(
        again.iter().all(|(_, what)| what == "duplicate"),
        "{again:?}"
    );
    assert_eq!(
        house
            .json(&["allocations", "--json"])
            .1
            .as_array()
            .unwrap()
            .len(),
        1
    );

    house.write("Inbox", old.concat() + &entry(&notice("ED")));
    let (_, grown) = ingest(&house, "Inbox", &[]);
    let new: Vec<_> = grown
        .iter()
        .filter(|(_, what)| what == "imported")
        .collect();
    assert_eq!(new, [&("/Inbox:4".to_owned(), "imported".to_owned())]);
    assert_eq!(sent(), 2);
}

#[test]
fn mbox_files_are_found_in_directories_by_name_and_by_how_they_begin() {
    let house = house();
    house.write("in/2018.mbox", entry(&notice("EC")));
    house.write("in/Archive", entry(&notice("ED")).replace('\n', "\r\n"));
    house.write("in/one.eml", entry(&notice("EE")));
    house.write("in/README", "From here on nothing is mail: no");
    house.write("in/notes.txt", entry(&notice("EF")));
    house.write("in/empty.mbox", "");
    let (status, report) = ingest(&house, "in", &["--no-mail"]);
    assert_eq!(status, 0);
    assert_eq!(
        report,
        outcomes(&[
            ("/in/2018.mbox:1", "imported"),
            ("/in/Archive:1", "imported"),
            ("/in/one.eml:1", "imported"),
        ])
    );
    let (_, status) = house.json(&["status", "--json"]);
    assert_eq!(status["outbox"]["pending"], 0, "--no-mail");
    assert_eq!(fs::read_dir(house.path("sent")).unwrap().count(), 0);
}

#[test]
fn a_message_that_is_too_large_is_quarantined_and_the_next_one_is_read() {
    let house = house();
    let config = fs::read_to_string(house.path("config.toml")).unwrap();
    house.write(
        "config.toml",
        format!("[notice]\nmax_message_bytes = 4096\n{config}"),
    );
    let large = notice("EC") + &"x".repeat(300_000) + "\n";
    let mbox = entry(&large) + &entry(&notice("ED"));
    house.write("a.mbox", mbox);
    let path = house.path("a.mbox");
    let (_, report) = house.json(&["ingest", "--json", path.to_str().unwrap()]);
    assert_eq!(report[0]["disposition"], "quarantined");
    assert_eq!(report[0]["defects"][0]["code"], "oversized");
    assert_eq!(report[1]["disposition"], "imported");
}

#[test]
fn what_is_unrelated_is_counted_and_not_listed() {
    let house = house();
    let mbox = [letter("one"), notice("EC"), letter("two")].map(|eml| entry(&eml));
    let path = house.write("a.mbox", mbox.concat());
    let ingest = || {
        let output = house.command(&["ingest", path.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(0));
        assert!(output.stderr.is_empty(), "a bar where there is no terminal");
        String::from_utf8(output.stdout).unwrap()
    };
    let report = ingest();
    assert!(report.contains("a.mbox:2\n"), "{report}");
    assert!(!report.contains("a.mbox:1\n"), "{report}");
    assert!(
        report.ends_with("3 read: 1 imported, 2 unrelated\n"),
        "{report}"
    );
    let again = ingest();
    assert!(
        again.ends_with("3 read: 1 duplicate, 2 known already\n"),
        "{again}"
    );
}

#[test]
fn explain_sends_whoever_names_an_mbox_to_ingest() {
    let house = house();
    let path = house.write("a.mbox", entry(&notice("EC")));
    let output = house.command(&["explain", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains("`ingest` reads those"), "{words}");
    let output = house.command_with_input(&["explain", "-"], entry(&notice("EC")).as_bytes());
    assert_eq!(output.status.code(), Some(1));
}
