//! The same for whoever types commands: `ingest`, `status`, `quarantine show`.

use std::fs;

use invoice_trackd::{columns::width, ledger::Ledger};
use mail_auth::hickory_resolver::proto::op::ResponseCode;
use serde_json::Value;

use super::{answers, fails, signed};
use crate::{
    genuine::demanding,
    support::{
        daemon::{House, notice},
        dns::{Answer, Dns},
        signer,
    },
};

fn failing() -> (House, Dns) {
    let dns = signer::dns();
    fails(&dns);
    (demanding(&dns), dns)
}

/// What `ingest --json` says of one file, and its exit status.
fn ingest(house: &House, name: &str, options: &[&str]) -> (i32, Value) {
    let path = house.path(name);
    let arguments = [&["ingest", "--json"], options, &[path.to_str().unwrap()]];
    house.json(&arguments.concat())
}

fn sent(house: &House) -> usize {
    fs::read_dir(house.path("sent")).unwrap().count()
}

#[test]
fn ingest_says_that_a_file_waits_and_asks_again_when_it_is_named_again() {
    let (house, dns) = failing();
    house.write("in/waits.eml", signed());
    house.write("in/unsigned.eml", notice("ZZ"));
    let (status, report) = ingest(&house, "in", &[]);
    assert_eq!(status, 75, "{report:#}");
    let dispositions: Vec<&Value> = ["quarantined", "waiting"]
        .iter()
        .filter_map(|word| {
            let mut outcomes = report.as_array().unwrap().iter();
            outcomes.find(|outcome| outcome["disposition"] == *word)
        })
        .collect();
    assert_eq!(dispositions.len(), 2, "{report:#}");
    let words = dispositions[1]["waits_for"].as_str().unwrap();
    assert!(words.contains(&signer::record_name()), "{words}");
    let alerts = sent(&house);

    // It still waits, and a file that does not, does not hide that.
    let (status, report) = ingest(&house, "in/waits.eml", &[]);
    assert_eq!((status, &report[0]["disposition"]), (75, &"waiting".into()));
    assert_eq!(ingest(&house, "in/unsigned.eml", &[]).0, 0);
    let text = house.command(&["ingest", house.path("in/waits.eml").to_str().unwrap()]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(
        text.contains("waits for a resolver (DNS): look up"),
        "{text}"
    );
    assert!(text.contains("1 read: 1 waiting"), "{text}");

    answers(&dns);
    let (status, report) = ingest(&house, "in/waits.eml", &[]);
    assert_eq!((status, &report[0]["disposition"]), (0, &"imported".into()));
    assert_eq!(report[0]["allocations"][0]["invoice_track"], "EC");
    assert_eq!(sent(&house), alerts + 1, "one confirmation");
    assert_eq!(house.json(&["status", "--json"]).1["waiting"], Value::Null);
}

#[tokio::test]
async fn ingest_settles_at_its_end_what_is_due_from_before_and_tells_people() {
    let (house, dns) = failing();
    house.write("early.eml", signed());
    house.write("late.eml", signer::sign(&notice("ED")));
    assert_eq!(ingest(&house, "early.eml", &[]).0, 75);
    make_due(&house).await;
    answers(&dns);

    // Without mail it is left to whoever may tell people of it.
    let (status, report) = ingest(&house, "late.eml", &["--no-mail"]);
    assert_eq!((status, report.as_array().unwrap().len()), (0, 1));
    assert_eq!(sent(&house), 0);

    // A daemon asks by itself.
    let lock = Ledger::lock(&house.path("ledger.db")).unwrap();
    let (_, report) = ingest(&house, "late.eml", &[]);
    assert_eq!(report.as_array().unwrap().len(), 1);
    drop(lock);

    let (status, report) = ingest(&house, "late.eml", &[]);
    assert_eq!(status, 0);
    let settled = &report.as_array().unwrap()[1];
    assert_eq!(settled["disposition"], "imported");
    assert_eq!(settled["file"], house.path("early.eml").to_str().unwrap());
    assert_eq!(sent(&house), 1);
}

#[tokio::test]
async fn a_run_in_which_all_that_waited_was_settled_is_done() {
    let (house, dns) = failing();
    house.write("early.eml", signed());
    assert_eq!(ingest(&house, "early.eml", &[]).0, 75);
    make_due(&house).await;
    answers(&dns);
    house.write("lunch.eml", "Subject: lunch\r\n\r\nNoodles?\r\n");
    let text = house.command(&["ingest", house.path("lunch.eml").to_str().unwrap()]);
    assert_eq!(text.status.code(), Some(0));
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("1 settled after waiting"), "{text}");
    assert!(text.contains("EC 22628000-22634399"), "{text}");
}

/// All that waits is due.
async fn make_due(house: &House) {
    let long_ago = "2018-01-01T00:00:00Z".parse().unwrap();
    let ledger = Ledger::open(&house.path("ledger.db"), long_ago).await;
    let ledger = ledger.unwrap();
    ledger.ask_all_at(long_ago).await.unwrap();
    ledger.close().await;
}

#[test]
fn status_and_show_say_what_waits_since_when_and_why() {
    let (house, dns) = failing();
    let (_, before) = house.json(&["status", "--json"]);
    assert_eq!(before["waiting"], Value::Null);
    house.write("waits.eml", signed());
    ingest(&house, "waits.eml", &[]);

    let (_, status) = house.json(&["status", "--json"]);
    let waiting = &status["waiting"];
    assert_eq!(waiting["mails"], 1);
    let words = waiting["words"].as_str().unwrap();
    assert!(words.contains(&signer::record_name()), "{words}");
    let [since, next] = ["since", "next"]
        .map(|key| -> jiff::Timestamp { waiting[key].as_str().unwrap().parse().unwrap() });
    assert_eq!(next.duration_since(since).as_secs(), 5);
    let page = String::from_utf8(house.command(&["status"]).stdout).unwrap();
    let headline = page.lines().next().unwrap();
    assert!(headline.contains("1 mail waiting for DNS"), "{page}");
    assert!(page.contains("Waiting 等候 DNS"), "{page}");

    let (_, message) = house.json(&["quarantine", "show", "1", "--json"]);
    assert_eq!(message["disposition"], "waiting");
    assert_eq!(message["authenticity"]["result"], "temperror");
    assert_eq!(message["waiting"]["asked"], 1);
    assert_eq!(message["waiting"]["next"], waiting["next"]);
    let page = house.command(&["quarantine", "show", "1"]);
    let page = String::from_utf8(page.stdout).unwrap();
    assert!(
        page.starts_with("message 1 waits for a resolver (DNS)"),
        "{page}"
    );
    let unwrapped = page.split_whitespace().collect::<Vec<_>>().join(" ");
    for said in [
        "已問 asked once, last at",
        words,
        "asked about again",
        "會一直重問",
    ] {
        assert!(unwrapped.contains(said), "{said}: {page}");
    }
    assert!(page.lines().all(|line| width(line) <= 80), "{page}");
    let refused = house.command(&["quarantine", "release", "1", "--reason", "yes"]);
    assert_eq!(refused.status.code(), Some(1));
    let refusal = String::from_utf8(refused.stderr).unwrap();
    assert!(refusal.contains("waits for a resolver (DNS)"), "{refusal}");
    for said in [&unwrapped, &refusal] {
        let way_out = "invoice-trackd quarantine dismiss 1 --reason TEXT";
        assert!(said.contains(way_out), "{said}");
    }

    dns.override_all(Some(Answer::Code(ResponseCode::NXDomain)));
    ingest(&house, "waits.eml", &[]);
    let (_, message) = house.json(&["quarantine", "show", "1", "--json"]);
    assert_eq!(message["disposition"], "quarantined");
    assert_eq!(message["waiting"], Value::Null);
}
