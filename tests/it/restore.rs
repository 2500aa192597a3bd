//! Backup and restore as docs/operations.md has them: a ledger that is set back takes in again what
//! came since, records every range once, and repeats mails only under the Message-IDs they had.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};

use crate::{
    end_to_end::{SECRETS, imap_mailbox, mail, message_ids},
    support::{
        daemon::{COMPANY, House, Notice, maildir, notice},
        dovecot::Dovecot,
        exim::Exim,
    },
};

/// A Maildir in, files out, and no alert waits for another.
const TRIAL: &str = r#"
[[mailbox]]
name = "box"
kind = "maildir"
path = "@ROOT@/box"
[mail]
from = "invoice-trackd <einvoice@example.com>"
confirm_to = ["ops@example.com"]
alert_to = ["oncall@example.com"]
alert_window = "0s"
transport = "directory"
directory = "@ROOT@/sent"
"#;

const STOP: Duration = Duration::from_secs(10);

fn trial() -> House {
    let house = House::new(&format!("{COMPANY}{TRIAL}"));
    maildir(&house.path("box"));
    house
}

/// It reads like a notice, and its sender is not on the list.
fn forged(track: &str) -> Vec<u8> {
    Notice {
        track,
        from: "einvoice@einvoice.nat.gov.tw.example",
        ..Notice::default()
    }
    .eml()
}

/// The documented copy, of a ledger that may be in use.
async fn back_up(house: &House, copy: &Path) {
    let manual = include_str!("../../docs/operations.md");
    assert!(manual.contains("  \"VACUUM INTO '/"));
    let options = SqliteConnectOptions::new().filename(house.path("ledger.db"));
    let mut ledger = options.connect().await.unwrap();
    let statement = AssertSqlSafe(format!("VACUUM INTO '{}'", copy.display()));
    sqlx::query(statement).execute(&mut ledger).await.unwrap();
    ledger.close().await.unwrap();
}

/// The documented way back; no daemon runs.
fn restore(house: &House, copy: &Path) {
    let old = house.path("old");
    fs::create_dir(&old).unwrap();
    for entry in fs::read_dir(house.root.path()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.starts_with("ledger.db") {
            fs::rename(house.path(&name), old.join(&name)).unwrap();
        }
    }
    fs::copy(copy, house.path("ledger.db")).unwrap();
}

/// The ranges in the ledger, in words; one that stands there twice is found out.
async fn ranges(house: &House) -> BTreeSet<String> {
    let rows = house.allocations().await;
    let ranges: BTreeSet<String> = rows
        .iter()
        .map(|row| {
            let block = &row.allocation.block;
            format!(
                "{} {} {} {}",
                row.allocation.ban, block.period, block.track, block.range
            )
        })
        .collect();
    assert_eq!(ranges.len(), rows.len(), "a range is recorded twice");
    ranges
}

/// The files that went out, which are named for their Message-IDs.
fn sent(directory: &Path) -> BTreeSet<String> {
    fs::read_dir(directory)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".eml"))
        .collect()
}

async fn settled(house: &House, imported: usize, quarantined: u64, letters: usize) {
    house
        .until("everything is judged and told", || async {
            house.messages("quarantined").await == quarantined
                && house.allocations().await.len() == imported
                && house.outbox().await.get("sent") == Some(&(letters as u64))
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_is_set_back_takes_in_again_what_came_since() {
    let house = trial();
    let copy = house.path("copy.db");
    for (name, mail) in [("1", notice("EC")), ("2", forged("EX"))] {
        house.write(&format!("box/new/{name}"), mail);
    }
    let daemon = house.run(&[]);
    settled(&house, 1, 1, 2).await;
    let told_before_the_copy = sent(&house.path("sent"));
    back_up(&house, &copy).await;

    for (name, mail) in [
        ("3", notice("ED")),
        ("4", forged("EY")),
        ("5", notice("EF")),
        // Known before the copy, and known after the restore.
        ("6", notice("EC")),
    ] {
        house.write(&format!("box/new/{name}"), mail);
    }
    settled(&house, 3, 2, 5).await;
    let before = (ranges(&house).await, sent(&house.path("sent")));
    assert_eq!(daemon.terminate(STOP), Some(0));

    restore(&house, &copy);
    fs::rename(house.path("sent"), house.path("sent-before")).unwrap();
    assert_eq!(ranges(&house).await.len(), 1);
    let daemon = house.run(&[]);
    settled(&house, 3, 2, 5).await;
    assert_eq!(daemon.terminate(STOP), Some(0));
    assert_eq!(ranges(&house).await, before.0);
    assert_eq!(house.messages("duplicate").await, 1);
    let again = sent(&house.path("sent"));
    let since_the_copy = before.1.difference(&told_before_the_copy).cloned();
    assert_eq!(again, since_the_copy.collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn mails_that_waited_in_the_copy_go_out_as_they_were() {
    let house = trial();
    let copy = house.path("copy.db");
    // A file where the directory should be: nothing gets out.
    house.write("sent", "");
    for (name, mail) in [("1", notice("EC")), ("2", forged("EX"))] {
        house.write(&format!("box/new/{name}"), mail);
    }
    let daemon = house.run(&[]);
    house
        .until("two mails were tried in vain", || async {
            house.outbox().await.get("pending") == Some(&2) && house.log().contains("put off")
        })
        .await;
    back_up(&house, &copy).await;
    fs::remove_file(house.path("sent")).unwrap();
    settled(&house, 1, 1, 2).await;
    assert_eq!(daemon.terminate(STOP), Some(0));

    restore(&house, &copy);
    fs::rename(house.path("sent"), house.path("sent-before")).unwrap();
    let daemon = house.run(&[]);
    settled(&house, 1, 1, 2).await;
    assert_eq!(daemon.terminate(STOP), Some(0));
    let [first, second] = ["sent-before", "sent"].map(|name| house.path(name));
    assert_eq!(sent(&first), sent(&second));
    for name in sent(&first) {
        let [first, second] = [&first, &second].map(|place| fs::read(place.join(&name)).unwrap());
        assert_eq!(first, second, "{name} has changed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_imap_and_smtp_nothing_is_doubled_but_mails_with_the_same_message_id() {
    let dovecot = Dovecot::start();
    let exim = Exim::start();
    let house = House::new(&format!(
        "{COMPANY}{}{}",
        imap_mailbox("einvoice", "user1", &dovecot),
        mail(&exim).replace("[mail.smtp]", "alert_window = \"0s\"\n[mail.smtp]")
    ));
    let copy = house.path("copy.db");
    dovecot.deliver("user1", "INBOX", &notice("EC"));
    let daemon = house.run(SECRETS);
    settled(&house, 1, 0, 1).await;
    back_up(&house, &copy).await;
    for mail in [notice("ED"), forged("EX")] {
        dovecot.deliver("user1", "INBOX", &mail);
    }
    settled(&house, 2, 1, 3).await;
    let arrived = |mails| {
        let (exim, house) = (&exim, &house);
        async move {
            let all = || async { exim.delivered().len() == mails };
            house.until("every mail has arrived", all).await;
        }
    };
    arrived(3).await;
    let before = (ranges(&house).await, message_ids(&exim.delivered()));
    assert_eq!(daemon.terminate(STOP), Some(0));

    restore(&house, &copy);
    let daemon = house.run(SECRETS);
    settled(&house, 2, 1, 3).await;
    arrived(5).await;
    assert_eq!(daemon.terminate(STOP), Some(0));
    assert_eq!(ranges(&house).await, before.0);
    assert_eq!(message_ids(&exim.delivered()), before.1);
}
