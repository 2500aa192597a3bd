//! `outbox`: a person sees every mail with its fate, tries it again, calls it off; alone or beside
//! a daemon.

use std::{fs, process::Command, time::Duration};

use invoice_trackd::{
    clock::Clock,
    ledger::{Declined, Kind, Lease, Ledger, Letter, Settled},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::support::daemon::{COMPANY, House, Notice, PROGRAM, maildir};

fn house() -> House {
    House::with_mail(COMPANY)
}

fn now() -> Timestamp {
    Clock::System.now()
}

fn sent(house: &House) -> usize {
    fs::read_dir(house.path("sent")).unwrap().count()
}

fn letter(kind: Kind, name: &str) -> Letter {
    Letter {
        kind,
        message_id: format!("<{name}@example.com>"),
        recipients: ["a@example.com", "b@example.com"]
            .map(|address| address.parse().unwrap())
            .to_vec(),
        subject: format!("配號 {name}"),
        eml: format!("Subject: {name}\r\n\r\n").into_bytes(),
    }
}

/// A ledger on which a test acts the daemon.
struct Desk {
    house: House,
    ledger: Ledger,
}

impl Desk {
    async fn new() -> Self {
        let house = house();
        let ledger = Ledger::open(&house.path("ledger.db"), now()).await.unwrap();
        Self { house, ledger }
    }

    async fn post(&self, kind: Kind, name: &str) {
        let mut transaction = self.ledger.begin().await.unwrap();
        let letter = letter(kind, name);
        // Long ago: it is due before all that is posted by commands.
        let then = now() - SignedDuration::from_hours(100);
        transaction.post(&letter, None, then).await.unwrap();
        transaction.commit().await.unwrap();
    }

    async fn lease(&self) -> Lease {
        let later = now() + SignedDuration::from_mins(11);
        self.ledger
            .lease(None, now(), now(), later)
            .await
            .unwrap()
            .unwrap()
    }

    /// Posts a letter and has an attempt at it end.
    async fn settled(&self, name: &str, end: Settled) {
        self.post(Kind::Confirmation, name).await;
        let lease = self.lease().await;
        assert_eq!(lease.letter.subject, format!("配號 {name}"));
        self.ledger.settle(&lease, &end, now()).await.unwrap();
    }

    async fn failed(&self, name: &str) {
        let answer = "550 5.7.1 no".to_owned();
        self.settled(name, Settled::Failed { answer }).await;
    }

    fn list(&self) -> Vec<Value> {
        let (status, list) = self.house.json(&["outbox", "list", "--json"]);
        assert_eq!(status, 0);
        list.as_array().unwrap().clone()
    }

    fn row(&self, id: i64) -> Value {
        let mut rows = self.list().into_iter();
        rows.find(|row| row["id"] == id).unwrap()
    }

    /// A command that must succeed; what it says.
    fn done(&self, action: &str, id: &str) -> String {
        let output = self.house.command(&["outbox", action, id]);
        let words = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{words}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// A command that must be refused; the one sentence it says.
    fn refused(&self, action: &str, id: &str) -> String {
        let before = self.list();
        let output = self.house.command(&["outbox", action, id]);
        let words = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{words}");
        assert_eq!(words.lines().count(), 1, "{words}");
        assert!(output.stdout.is_empty());
        assert_eq!(
            self.list(),
            before,
            "a refused command has changed something"
        );
        words
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_failed_goes_out_at_once_when_it_is_retried_and_no_daemon_runs() {
    let desk = Desk::new().await;
    desk.failed("one").await;
    assert_eq!(desk.row(1)["state"], "failed");
    let output = Command::new(PROGRAM)
        .arg("--config")
        .arg(desk.house.path("config.toml"))
        .args(["outbox", "retry", "1"])
        .env("SUDO_USER", "lin")
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "mail 1 is sent 已寄出\n"
    );
    assert!(sent(&desk.house) >= 1);
    let row = desk.row(1);
    assert_eq!(row["state"], "sent");
    assert_eq!(row["attempts"], 2);
    assert_eq!(row["decisions"][0]["action"], "retry");
    assert_eq!(row["decisions"][0]["who"], "lin");
    let words = desk.refused("retry", "1");
    assert!(words.contains("everybody has it"), "{words}");
    let words = desk.refused("drop", "1");
    assert!(words.contains("already sent"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retried_letter_gets_new_patience_and_goes_to_those_who_were_refused() {
    let desk = Desk::new().await;
    let refused = vec![("b@example.com".parse().unwrap(), "550 no".to_owned())];
    desk.settled("one", Settled::Sent { refused }).await;
    let row = desk.row(1);
    assert_eq!(row["state"], "sent");
    assert_eq!(
        row["recipients"],
        json!([
            {"address": "a@example.com", "state": "sent", "answer": null},
            {"address": "b@example.com", "state": "refused", "answer": "550 no"},
        ])
    );
    // A daemon runs, or something that sends: it is due, and is not sent here.
    let lock = Ledger::lock(&desk.house.path("ledger.db")).unwrap();
    let before = now();
    let words = desk.done("retry", "1");
    assert!(words.contains("the daemon sends it"), "{words}");
    assert_eq!(sent(&desk.house), 0);
    assert_eq!(desk.row(1)["state"], "pending");
    assert_eq!(desk.row(1)["sent_at"], Value::Null);
    // The alert about the refusal is no letter yet: this is the only one.
    let lease = desk.lease().await;
    assert_eq!(lease.id, 1);
    assert_eq!(lease.letter.recipients, ["b@example.com".parse().unwrap()]);
    assert!(lease.patient_since >= before - SignedDuration::from_millis(1));
    drop(lock);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_being_attempted_is_left_alone_unless_nobody_can_be_at_it() {
    let desk = Desk::new().await;
    desk.post(Kind::Confirmation, "one").await;
    let lease = desk.lease().await;
    let lock = Ledger::lock(&desk.house.path("ledger.db")).unwrap();
    for action in ["drop", "retry"] {
        let words = desk.refused(action, "1");
        assert!(
            words.contains("is being attempted at this moment"),
            "{words}"
        );
    }
    // The daemon has died.
    drop(lock);
    desk.done("drop", "1");
    assert_eq!(desk.row(1)["state"], "dropped");
    // An attempt that is reported all the same changes nothing any more.
    let end = Settled::Sent {
        refused: Vec::new(),
    };
    desk.ledger.settle(&lease, &end, now()).await.unwrap();
    assert_eq!(desk.row(1)["state"], "dropped");
    let words = desk.done("retry", "1");
    assert!(words.contains("is sent"), "{words}");
    assert_eq!(sent(&desk.house), 1);
    let decisions = desk.row(1)["decisions"].as_array().unwrap().clone();
    let actions: Vec<&Value> = decisions.iter().map(|d| &d["action"]).collect();
    assert_eq!(actions, ["drop", "retry"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_letter_says_who_will_not_be_told_and_is_no_trouble() {
    let desk = Desk::new().await;
    desk.failed("one").await;
    desk.post(Kind::Alert, "two").await;
    let words = desk.done("drop", "2");
    for fact in [
        "配號 two",
        "a@example.com, b@example.com",
        "This was an alert",
    ] {
        assert!(words.contains(fact), "{fact} is missing:\n{words}");
    }
    let words = desk.done("drop", "1");
    assert!(!words.contains("This was an alert"), "{words}");
    let (_, status) = desk.house.json(&["status", "--json"]);
    assert_eq!(status["outbox"]["dropped"], 2);
    assert_eq!(status["outbox"]["failed"], 0);
    let page = String::from_utf8(desk.house.command(&["status"]).stdout).unwrap();
    assert!(page.starts_with("all is well"), "{page}");
    let words = desk.refused("drop", "2");
    assert!(words.contains("already dropped"), "{words}");
    let words = desk.refused("retry", "99");
    assert!(words.contains("found 99"), "{words}");
    assert_eq!(sent(&desk.house), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_way_out_a_retried_letter_waits_and_says_so() {
    let desk = Desk::new().await;
    desk.failed("one").await;
    let config = fs::read_to_string(desk.house.path("config.toml")).unwrap();
    let (before, _) = config.split_once("[mail]").unwrap();
    desk.house.write("config.toml", before);
    let words = desk.done("retry", "1");
    assert!(words.contains("there is no [mail]"), "{words}");
    assert_eq!(desk.row(1)["state"], "pending");
    // One that does not answer.
    desk.house.write("config.toml", config);
    fs::remove_dir(desk.house.path("sent")).unwrap();
    desk.house.write("sent", "where a directory should be");
    let words = desk.done("retry", "1");
    assert!(
        words.contains("mail 1 is put off 暫緩; the next try is due"),
        "{words}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_has_what_waits_first_and_the_latest_of_what_is_over() {
    let desk = Desk::new().await;
    let output = desk.house.command(&["outbox", "list"]);
    assert_eq!(
        output.stdout,
        "nothing was ever to be sent 沒有寄件紀錄\n".as_bytes()
    );
    for number in 1..=22 {
        let end = Settled::Sent {
            refused: Vec::new(),
        };
        desk.settled(&format!("sent {number}"), end).await;
    }
    desk.failed("no").await;
    desk.post(Kind::Confirmation, "waits").await;

    let text = String::from_utf8(desk.house.command(&["outbox", "list"]).stdout).unwrap();
    let at = |words: &str| {
        text.find(words)
            .unwrap_or_else(|| panic!("{words}:\n{text}"))
    };
    assert!(at("配號 no\n") < at("answer: 550 5.7.1 no\n"), "{text}");
    assert!(at("550 5.7.1 no\n") < at("配號 waits\n"), "{text}");
    assert!(at("配號 waits\n") < at("配號 sent 22\n"), "{text}");
    assert!(at("配號 sent 22\n") < at("配號 sent 3\n"), "{text}");
    assert!(!text.contains("配號 sent 2\n"), "{text}");
    assert!(
        text.ends_with("… and 2 more that are finished; `--all` lists them\n"),
        "{text}"
    );
    let all = String::from_utf8(desk.house.command(&["outbox", "list", "--all"]).stdout).unwrap();
    assert!(
        all.contains("配號 sent 1\n") && !all.contains("more that"),
        "{all}"
    );

    assert_eq!(desk.list().len(), 24);
    let row = desk.row(24);
    let mut keys: Vec<&String> = row.as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(
        keys,
        [
            "attempts",
            "decisions",
            "id",
            "kind",
            "last_answer",
            "message_id",
            "next_attempt_at",
            "posted_at",
            "recipients",
            "sent_at",
            "state",
            "subject",
            "target",
        ]
    );
    assert_eq!(row["message_id"], "<waits@example.com>");
    assert_eq!(row["kind"], "confirmation");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_daemon_sends_what_is_retried_and_not_what_is_dropped() {
    let desk = Desk::new().await;
    desk.failed("wanted").await;
    desk.failed("unwanted").await;
    let house = &desk.house;
    maildir(&house.path("mailbox"));
    let config = fs::read_to_string(house.path("config.toml")).unwrap();
    let mailbox = format!(
        "[[mailbox]]\nname = \"box\"\nkind = \"maildir\"\npath = \"{}\"\n",
        house.path("mailbox").display()
    );
    house.write("config.toml", config + &mailbox);
    let daemon = house.run(&[]);
    house
        .until("the mailbox is open", || async {
            house.log().contains("mailbox opened")
        })
        .await;
    let words = desk.done("retry", "1");
    assert!(words.contains("the daemon sends it"), "{words}");
    desk.done("drop", "2");
    // The daemon looks every 30 s; a notice that comes is what it does not wait for.
    house.write("mailbox/new/1.host", Notice::default().eml());
    house
        .until("the letter is sent", || async {
            desk.row(1)["state"] == "sent"
        })
        .await;
    assert_eq!(desk.row(2)["state"], "dropped");
    assert_eq!(daemon.terminate(Duration::from_secs(10)), Some(0));
}

#[test]
fn no_ledger_is_made_for_a_mail_that_cannot_be_in_it() {
    let house = house();
    for action in ["retry", "drop"] {
        let output = house.command(&["outbox", action, "1"]);
        assert_eq!(output.status.code(), Some(1));
    }
    assert_eq!(house.json(&["outbox", "list", "--json"]), (0, json!([])));
    assert!(!house.path("ledger.db").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_decided_leaves_no_decision() {
    let desk = Desk::new().await;
    let unknown = desk.ledger.retry(5, "lin", true, now()).await.unwrap();
    assert_eq!(unknown, Err(Declined::Unknown(5)));
    desk.post(Kind::Confirmation, "one").await;
    desk.lease().await;
    let busy = desk.ledger.call_off(1, "lin", false, now()).await.unwrap();
    assert_eq!(busy, Err(Declined::BeingAttempted(1)));
    assert_eq!(desk.row(1)["decisions"], json!([]));
}
