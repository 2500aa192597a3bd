//! Hand-offs, as a person sees and steers them.

use std::{fs, net::TcpListener};

use invoice_trackd::{
    clock::Clock,
    ledger::{Ledger, Settled},
};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::sent;
use crate::support::daemon::{House, Notice};

/// A key that signs.
const KEY: &str = "whsec_aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMg==";

/// A directory that takes what comes, and a webhook at this address.
fn house(url: &str) -> House {
    let house = super::house();
    let config = fs::read_to_string(house.path("config.toml")).unwrap();
    let root = house.root.path().display();
    let systems = format!(
        "[[handoff]]\nname = \"pos\"\nkind = \"directory\"\npath = \"{root}/pos\"\n\
         [[handoff]]\nname = \"erp\"\nkind = \"webhook\"\nurl = \"{url}\"\n\
         secret = {{ file = \"{root}/key\" }}\n"
    );
    house.write("config.toml", config + &systems);
    house.secret("key", KEY);
    fs::create_dir(house.path("pos")).unwrap();
    house
}

/// Nobody listens there.
fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    format!("http://{address}/hooks/hunter2")
}

fn page(house: &House, arguments: &[&str]) -> String {
    String::from_utf8(house.command(arguments).stdout).unwrap()
}

/// Words in one line, as they stood before they were wrapped.
fn unwrapped(page: &str) -> String {
    page.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn ingests(house: &House) {
    let file = house.write("notice.eml", Notice::default().eml());
    let output = house.command(&["ingest", file.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
}

/// The hand-off to this system in the outbox.
fn handoff(house: &House, target: &str) -> Value {
    let (_, outbox) = house.json(&["outbox", "list", "--json"]);
    let mut rows = outbox.as_array().unwrap().iter();
    let row = rows.find(|row| row["target"] == target);
    row.unwrap_or_else(|| panic!("{outbox}")).clone()
}

/// `state` of each system, by its name.
fn states(house: &House) -> Vec<(String, String)> {
    let (_, status) = house.json(&["status", "--json"]);
    let systems = status["handoffs"].as_array().unwrap().iter();
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    systems
        .map(|system| (word(&system["target"]), word(&system["state"])))
        .collect()
}

fn owned(states: &[(&str, &str)]) -> Vec<(String, String)> {
    let states = states.iter();
    states
        .map(|(target, state)| ((*target).to_owned(), (*state).to_owned()))
        .collect()
}

#[test]
fn where_the_numbers_went_is_shown_system_by_system_and_range_by_range() {
    let house = house(&nowhere());
    assert_eq!(states(&house), owned(&[("pos", "ok"), ("erp", "ok")]));
    ingests(&house);

    assert_eq!(states(&house), owned(&[("pos", "ok"), ("erp", "failing")]));
    let status = page(&house, &["status"]);
    assert!(status.starts_with("needs attention"), "{status}");
    assert!(
        unwrapped(&status).contains("1 system without its hand-offs"),
        "{status}"
    );
    assert!(status.contains("Hand-offs 交付\n"), "{status}");

    let (_, rows) = house.json(&["allocations", "--json"]);
    let handed = rows[0]["handoffs"].as_array().unwrap();
    let facts = |key: &str| {
        handed
            .iter()
            .map(|one| one[key].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(facts("target"), ["erp", "pos"]);
    assert_eq!(facts("state"), ["pending", "sent"]);
    assert_eq!(facts("event"), ["imported", "imported"]);
    for at in facts("at") {
        at.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    }
    let allocations = unwrapped(&page(&house, &["allocations"]));
    assert!(
        allocations.contains("pending for erp; delivered to pos "),
        "{allocations}"
    );

    // What is withdrawn later is told by itself, and the import stays what it was.
    let arguments = ["allocations", "withdraw", "1", "--reason", "wrong"];
    assert!(house.command(&arguments).status.success());
    let (_, rows) = house.json(&["allocations", "--json"]);
    let handed = rows[0]["handoffs"].as_array().unwrap().iter();
    let events: Vec<Value> = handed
        .map(|one| json!([one["target"], one["event"]]))
        .collect();
    let expected = [
        json!(["erp", "imported"]),
        json!(["erp", "withdrawn"]),
        json!(["pos", "imported"]),
        json!(["pos", "withdrawn"]),
    ];
    assert_eq!(events, expected);
    assert!(!status.contains("hunter2"), "{status}");
}

#[test]
fn what_waits_for_a_system_that_is_not_configured_any_more_is_shown_until_it_is_called_off() {
    let house = house(&nowhere());
    ingests(&house);
    let config = fs::read_to_string(house.path("config.toml")).unwrap();
    let (without, _) = config.split_once("[[handoff]]\nname = \"erp\"").unwrap();
    house.write("config.toml", without);
    assert_eq!(
        states(&house),
        owned(&[("pos", "ok"), ("erp", "not_configured")])
    );
    let status = unwrapped(&page(&house, &["status"]));
    assert!(
        status.contains("1 system without its hand-offs"),
        "{status}"
    );
    assert!(status.contains("NOT CONFIGURED"), "{status}");

    let id = handoff(&house, "erp")["id"].to_string();
    let retried = unwrapped(&page(&house, &["outbox", "retry", &id]));
    let expected = format!(
        "hand-off {id} is due, and waits: there is no [[handoff]] with the name erp in the \
         configuration, so there is no way out"
    );
    assert_eq!(retried, expected);
    let dropped = page(&house, &["outbox", "drop", &id]);
    assert!(
        dropped.starts_with(&format!("hand-off {id} is dropped 已取消交付")),
        "{dropped}"
    );
    assert_eq!(handoff(&house, "erp")["state"], "dropped");
    assert_eq!(states(&house)[1].1, "ok");
    assert!(!page(&house, &["status"]).contains("erp"));
}

#[test]
fn a_hand_off_is_retried_by_its_id_and_called_what_it_is() {
    let house = house(&nowhere());
    fs::remove_dir(house.path("pos")).unwrap();
    ingests(&house);
    let row = handoff(&house, "pos");
    assert_eq!(
        (&row["kind"], &row["state"]),
        (&json!("handoff"), &json!("pending"))
    );
    fs::create_dir(house.path("pos")).unwrap();
    let id = row["id"].to_string();
    let retried = page(&house, &["outbox", "retry", &id]);
    assert_eq!(
        retried,
        format!("hand-off {id} is delivered to pos 已交付\n")
    );
    assert_eq!(states(&house)[0], ("pos".to_owned(), "ok".to_owned()));
    let list = page(&house, &["outbox", "list"]);
    assert!(list.contains("to pos: allocation.imported"), "{list}");
    let (_, outbox) = house.json(&["outbox", "list", "--json"]);
    let mut mails = outbox.as_array().unwrap().iter();
    let mail = mails.find(|row| row["kind"] == "confirmation").unwrap();
    assert_eq!(mail["target"], Value::Null);
}

#[test]
fn a_check_lists_the_systems_and_online_tries_them_and_hands_over_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hooks/hunter2", listener.local_addr().unwrap());
    let house = house(&url);
    let origin = url.trim_end_matches("/hooks/hunter2");
    let check = unwrapped(&page(&house, &["check"]));
    for line in [
        format!("hand-off erp: webhook at {origin}"),
        format!(
            "hand-off pos: csv, e0501, json files in {}",
            house.path("pos").display()
        ),
    ] {
        assert!(check.contains(&line), "{line}: {check}");
    }
    assert!(!check.contains("hunter2"), "{check}");
    // Nothing online is asked of a secret that is not there.
    fs::remove_file(house.path("key")).unwrap();
    assert!(house.command(&["check"]).status.success());
    house.secret("key", KEY);

    let online = house.command(&["check", "--online"]);
    let report = unwrapped(&String::from_utf8(online.stdout).unwrap());
    assert_eq!(online.status.code(), Some(0), "{report}");
    assert!(
        report.contains("can be connected to; nothing was posted"),
        "{report}"
    );
    let (mut stream, _) = listener.accept().unwrap();
    let mut heard = Vec::new();
    std::io::Read::read_to_end(&mut stream, &mut heard).unwrap();
    assert!(heard.is_empty(), "{heard:?}");
    assert_eq!(fs::read_dir(house.path("pos")).unwrap().count(), 0);

    drop(listener);
    fs::remove_dir(house.path("pos")).unwrap();
    house.secret("key", "hunter2");
    let online = house.command(&["check", "--online"]);
    let report = unwrapped(&String::from_utf8(online.stdout).unwrap());
    assert_eq!(online.status.code(), Some(78), "{report}");
    for words in [
        "FAILED hand-off pos",
        "create it, or correct `path`",
        "FAILED hand-off erp",
        "found no `whsec_` in front",
    ] {
        assert!(report.contains(words), "{words}: {report}");
    }
    assert!(!report.contains("hunter2"), "{report}");

    house.secret("key", KEY);
    fs::create_dir(house.path("pos")).unwrap();
    let online = house.command(&["check", "--online"]);
    let report = unwrapped(&String::from_utf8(online.stdout).unwrap());
    assert_eq!(online.status.code(), Some(75), "{report}");
    assert!(report.contains("whether `url` is right"), "{report}");
}

#[test]
fn a_system_s_secret_that_cannot_be_read_keeps_no_mail_from_people() {
    let house = house(&nowhere());
    house.secret("key", "hunter2");
    let file = house.write("notice.eml", Notice::default().eml());
    let forged = Notice {
        track: "ED",
        ..Notice::default()
    };
    let forged = String::from_utf8(forged.eml()).unwrap();
    let forged = forged.replace("einvoice@einvoice.nat.gov.tw", "a@b.example");
    let forged = house.write("forged.eml", forged);
    let mut mails = 0;
    for arguments in [
        &["ingest", file.to_str().unwrap()][..],
        &["ingest", forged.to_str().unwrap()],
        &["quarantine", "release", "2", "--reason", "seen"],
        &["allocations", "withdraw", "1", "--reason", "wrong"],
    ] {
        let output = house.command(arguments);
        let words = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(78), "{arguments:?}: {words}");
        assert!(words.contains("whsec_"), "{arguments:?}: {words}");
        assert!(!words.contains("hunter2"), "{words}");
        mails += 1;
        assert_eq!(sent(&house).len(), mails, "{arguments:?}");
    }
    let (_, outbox) = house.json(&["outbox", "list", "--json"]);
    let mut rows = outbox.as_array().unwrap().iter();
    assert!(rows.all(|row| (row["kind"] == "handoff") != (row["state"] == "sent")));
}

#[tokio::test(flavor = "multi_thread")]
async fn hand_offs_that_failed_are_counted_as_hand_offs_and_not_as_mails() {
    let house = house(&nowhere());
    ingests(&house);
    let now = Clock::System.now();
    let ledger = Ledger::open(&house.path("ledger.db"), now).await.unwrap();
    let put_off = unwrapped(&page(&house, &["status"]));
    assert!(!put_off.contains("mail put off"), "{put_off}");
    // Due by the moment to which it was put off.
    let later: Timestamp = "2099-01-01T00:00:00Z".parse().unwrap();
    let lease = ledger.lease(Some("erp"), later, now, later).await;
    let no = Settled::Failed {
        answer: "no".to_owned(),
    };
    let lease = lease.unwrap().unwrap();
    ledger.settle(&lease, &no, now).await.unwrap();
    assert_eq!(ledger.failed_letters().await.unwrap(), 0);
    assert_eq!(ledger.put_off(None).await.unwrap(), None);
    ledger.close().await;
    let status = unwrapped(&page(&house, &["status"]));
    assert!(
        status.contains("1 hand-off given up") && !status.contains("mail undeliverable"),
        "{status}"
    );
}
