//! What happens on the server to mail whose ranges are recorded: on a real Dovecot here, on
//! scripted servers in `scripted`, and with the power failing in `killed`.

use std::time::Duration;

use invoice_trackd::ledger::OutboxCounts;

use crate::support::{
    daemon::{COMPANY, House, MAIL, Notice},
    dovecot::{Dovecot, PASSWORD},
};

mod killed;
mod scripted;

const SECRETS: &[(&str, &str)] = &[("TEST_IMAP_PASSWORD", PASSWORD)];

/// A house with one mailbox on `port`, without TLS, and mail into a directory.
fn house(port: u16, after_import: &str) -> House {
    House::new(&format!(
        r#"{COMPANY}
[[mailbox]]
name = "einvoice"
kind = "imap"
host = "127.0.0.1"
port = {port}
tls = "none"
username = "ann"
password = {{ env = "TEST_IMAP_PASSWORD" }}
company = "53567686"
{after_import}
{MAIL}"#
    ))
}

const MOVE: &str = "after_import = { move_to = \"已配號\" }";
const FOLDER: &str = "已配號";

fn forged() -> Vec<u8> {
    Notice {
        from: "einvoice@nat-gov.example",
        ..Notice::default()
    }
    .eml()
}

/// UIDs in a folder.
fn uids(dovecot: &Dovecot, folder: &str) -> Vec<u32> {
    let listed = dovecot.flags("ann", folder);
    listed.into_iter().map(|(uid, _)| uid).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_mail_is_moved_and_quarantined_mail_stays() {
    let dovecot = Dovecot::start();
    dovecot.create("ann", FOLDER);
    let house = house(dovecot.imap_port, MOVE);
    dovecot.deliver("ann", "INBOX", &Notice::default().eml());
    dovecot.deliver("ann", "INBOX", &forged());
    dovecot.deliver("ann", "INBOX", b"Subject: lunch\r\n\r\nNoodles?\r\n");
    let daemon = house.run(SECRETS);
    house
        .until("the notice has been moved", || async {
            uids(&dovecot, FOLDER).len() == 1
        })
        .await;
    assert_eq!(uids(&dovecot, "INBOX"), [2, 3]);

    // A person moves it back: a new UID, the same bytes, and nobody is told a second time.
    let told = house.outbox().await;
    dovecot.move_all("ann", FOLDER, "INBOX");
    house
        .until("it has been moved again", || async {
            uids(&dovecot, FOLDER).len() == 1 && uids(&dovecot, "INBOX") == [2, 3]
        })
        .await;
    assert_eq!(daemon.terminate(Duration::from_secs(15)), Some(0));
    assert_eq!(house.allocations().await.len(), 1);
    let total = |counts: &OutboxCounts| counts.values().sum::<u64>();
    assert_eq!(total(&house.outbox().await), total(&told));
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_mail_is_marked_as_seen_and_no_other() {
    let dovecot = Dovecot::start();
    let house = house(dovecot.imap_port, "after_import = \"mark_seen\"");
    dovecot.deliver("ann", "INBOX", &forged());
    dovecot.deliver("ann", "INBOX", &Notice::default().eml());
    let _daemon = house.run(SECRETS);
    let seen = || {
        let flags = dovecot.flags("ann", "INBOX").into_iter();
        let seen = flags.filter(|(_, flags)| flags.contains("\\Seen"));
        seen.map(|(uid, _)| uid).collect::<Vec<_>>()
    };
    house
        .until("the notice is marked", || async { seen() == [2] })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_recorded_before_it_was_switched_on_is_filed_too() {
    let dovecot = Dovecot::start();
    dovecot.create("ann", FOLDER);
    let house = house(dovecot.imap_port, "");
    dovecot.deliver("ann", "INBOX", &Notice::default().eml());
    let daemon = house.run(SECRETS);
    house
        .until("the notice is recorded", || async {
            house.allocations().await.len() == 1
        })
        .await;
    assert_eq!(daemon.terminate(Duration::from_secs(15)), Some(0));
    // SELECT would have taken \\Recent away.
    assert_eq!(dovecot.flags("ann", "INBOX"), [(1, "\\Recent".to_owned())]);

    let config = std::fs::read_to_string(house.path("config.toml")).unwrap();
    let with = config.replace("[mail]", &format!("{MOVE}\n[mail]"));
    house.write("config.toml", with);
    let _daemon = house.run(SECRETS);
    house
        .until("the notice has been moved", || async {
            uids(&dovecot, FOLDER).len() == 1
        })
        .await;
    assert!(uids(&dovecot, "INBOX").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_folder_is_said_and_does_not_stop_the_watching() {
    let dovecot = Dovecot::start();
    let house = house(dovecot.imap_port, MOVE);
    dovecot.deliver("ann", "INBOX", &Notice::default().eml());
    let _daemon = house.run(SECRETS);
    house
        .until("the refusal is in the log", || async {
            house.log().contains("create the folder 已配號 there")
        })
        .await;
    assert!(house.log().contains("NO [TRYCREATE]"), "{}", house.log());
    // Data goes on, over the same session, and the mailbox is well.
    let other = Notice {
        track: "ED",
        message_id: "2@einvoice.nat.gov.tw",
        ..Notice::default()
    };
    dovecot.deliver("ann", "INBOX", &other.eml());
    house
        .until("the next notice is recorded", || async {
            house.allocations().await.len() == 2
        })
        .await;
    let log = house.log();
    assert_eq!(log.matches("mailbox opened").count(), 1, "{log}");
    assert_eq!(log.matches("was not filed").count(), 1, "{log}");
    assert_eq!(
        house.json(&["status", "--json"]).1["mailboxes"][0]["state"],
        "up"
    );
}
