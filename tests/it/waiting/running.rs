//! The real daemon while DNS is down, and when it is back.

use std::{fs, time::Duration};

use sqlx::{Connection as _, SqliteConnection};

use super::{answers, fails, signed};
use crate::support::{
    daemon::{COMPANY, House, Notice, maildir, notice},
    dns::{Answer, Dns},
    dovecot::{Dovecot, PASSWORD},
    health::Health,
    signer,
};

/// A house that demands proof, asks `dns`, and has what `configuration` says.
pub(super) fn house(dns: &Dns, configuration: &str) -> House {
    let house = House::with_mail(&format!("{COMPANY}{configuration}"));
    demand(&house, dns);
    house
}

/// From now on, or from the next reload, `dns` is asked.
fn demand(house: &House, dns: &Dns) {
    let config = fs::read_to_string(house.path("config.toml")).unwrap();
    let (before, rest) = config.split_once("require = ").unwrap();
    let (_, after) = rest.split_once("\n[[company]]").unwrap();
    let address = dns.address();
    house.write(
        "config.toml",
        format!("{before}require = \"dkim\"\ndns_servers = [\"{address}\"]\n[[company]]{after}"),
    );
}

fn spool(name: &str) -> String {
    format!("[[mailbox]]\nname = \"{name}\"\nkind = \"maildir\"\npath = \"@ROOT@/{name}\"\n")
}

pub(super) fn arrives(house: &House, mailbox: &str, name: &str, eml: &[u8]) {
    let path = house.write(&format!("{mailbox}/tmp/{name}"), eml);
    fs::rename(path, house.path(&format!("{mailbox}/new/{name}"))).unwrap();
}

fn sent(house: &House) -> usize {
    fs::read_dir(house.path("sent")).unwrap().count()
}

/// Has all that waits wait for another hour.
async fn puts_off(house: &House) {
    let url = format!("sqlite://{}", house.path("ledger.db").display());
    let mut sql = SqliteConnection::connect(&url).await.unwrap();
    let hour = "UPDATE waiting
                SET next_ask_at = strftime('%Y-%m-%dT%H:%M:%f', 'now', '4 minutes') || 'Z'";
    sqlx::query(hour).execute(&mut sql).await.unwrap();
    sql.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_that_comes_while_dns_is_down_is_recorded_and_confirmed_once_when_it_is_back() {
    let dns = signer::dns();
    fails(&dns);
    let health = Health::new();
    let house = house(
        &dns,
        &format!("{}{}", spool("spool"), health.configuration()),
    );
    maildir(&house.path("spool"));
    let daemon = house.run(&[]);
    arrives(&house, "spool", "1", &signed());
    house
        .until("it waits", || async {
            house.messages("waiting").await == 1
        })
        .await;
    // That is said, and turns nothing red.
    let remark = "mails waiting for a resolver (DNS): 1, since ";
    house
        .until("it is said", || async { health.ready().1.contains(remark) })
        .await;
    assert_eq!(health.ready().0, 200);
    let asked = dns.asked().len();
    house
        .until("it was asked again", || async { dns.asked().len() > asked })
        .await;
    assert_eq!(sent(&house), 0);

    answers(&dns);
    house
        .until("it is confirmed", || async { sent(&house) == 1 })
        .await;
    house
        .until("nothing is said of it any more", || async {
            health.ready() == (200, "ready\n".to_owned())
        })
        .await;
    assert_eq!(house.allocations().await.len(), 1);
    // The same bytes again are known.
    arrives(&house, "spool", "2", &signed());
    house
        .until("the copy is known", || async {
            house.messages("duplicate").await == 1
        })
        .await;
    assert_eq!(daemon.terminate(Duration::from_secs(10)), Some(0));
    assert_eq!((house.allocations().await.len(), sent(&house)), (1, 1));
    let log = house.log();
    let began = "WARN message waiting for a resolver to answer, it is asked again: look up";
    assert_eq!(log.matches(began).count(), 1, "{log}");
    let ended = "INFO message imported, after waiting for a resolver";
    assert_eq!(log.matches(ended).count(), 1, "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_and_other_orders_ask_at_once_about_all_that_waits() {
    let (down, up) = (signer::dns(), signer::dns());
    fails(&down);
    let house = house(&down, &spool("spool"));
    maildir(&house.path("spool"));
    let daemon = house.run(&[]);
    arrives(&house, "spool", "1", &signed());
    house
        .until("it waits", || async {
            house.messages("waiting").await == 1
        })
        .await;
    puts_off(&house).await;
    let asked = down.asked().len();
    assert_eq!(daemon.terminate(Duration::from_secs(10)), Some(0));
    let daemon = house.run(&[]);
    house
        .until("it is asked at the start", || async {
            down.asked().len() > asked
        })
        .await;
    house
        .until("it rests", || async {
            let (_, message) = house.json(&["quarantine", "show", "1", "--json"]);
            message["waiting"]["asked"].as_u64() > Some(1)
        })
        .await;
    puts_off(&house).await;
    demand(&house, &up);
    daemon.reload();
    house
        .until("it is recorded", || async {
            house.allocations().await.len() == 1
        })
        .await;
    assert_eq!(daemon.terminate(Duration::from_secs(10)), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mute_resolver_holds_up_neither_other_mail_nor_another_mailbox_nor_the_end() {
    let dns = signer::dns();
    dns.override_all(Some(Answer::Silence));
    let house = house(&dns, &format!("{}{}", spool("busy"), spool("calm")));
    for mailbox in ["busy", "calm"] {
        maildir(&house.path(mailbox));
    }
    let letter = |n: u32| char::from(b'A' + u8::try_from(n % 26).unwrap());
    for n in 0..200 {
        let track = format!("{}{}", letter(n / 26), letter(n));
        let eml = signer::sign(&notice(&track));
        house.write(&format!("busy/new/{n:03}"), eml);
    }
    for n in 0..50 {
        let eml = format!("Subject: lunch {n}\r\n\r\nNoodles?\r\n");
        house.write(&format!("busy/new/{}", n * 4 + 1000), eml);
    }
    // No signature, so nobody is asked.
    house.write("calm/new/1", notice("ZZ"));
    let daemon = house.run(&[]);
    house
        .until("the other mailbox is done", || async {
            house.messages("quarantined").await == 1
        })
        .await;
    let waiting = house.messages("waiting").await;
    assert!(waiting < 200, "it came after {waiting}");
    house
        .until("all is accounted for", || async {
            let counts = house.counts().await;
            (counts["waiting"], counts["unrelated"]) == (200, 50)
        })
        .await;
    // Lookups hang all the time now.
    let asked = dns.asked().len();
    house
        .until("they are asked about again", || async {
            dns.asked().len() > asked
        })
        .await;
    arrives(&house, "busy", "unsigned", &notice("ZY"));
    house
        .until("other mail is judged", || async {
            house.messages("quarantined").await == 2
        })
        .await;
    assert_eq!(daemon.terminate(Duration::from_secs(10)), Some(0));
    assert!(!house.log().contains("cut off"), "{}", house.log());

    answers(&dns);
    let daemon = house.run(&[]);
    house
        .until("all of it is recorded", || async {
            house.allocations().await.len() == 200
        })
        .await;
    house
        .until("all of it is told", || async { sent(&house) >= 201 })
        .await;
    assert_eq!(daemon.terminate(Duration::from_secs(10)), Some(0));
    let (_, letters) = house.json(&["outbox", "list", "--json"]);
    let letters = letters.as_array().unwrap().iter();
    let confirmations = letters.filter(|letter| letter["kind"] == "confirmation");
    assert_eq!(confirmations.count(), 200);
    assert_eq!(house.messages("waiting").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_waits_for_no_resolver_while_mail_comes_in() {
    let dns = signer::dns();
    dns.override_all(Some(Answer::Silence));
    let house = house(&dns, &spool("spool"));
    maildir(&house.path("spool"));
    house.write("spool/new/1", signed());
    let daemon = house.run(&[]);
    house
        .until("the resolver is asked", || async {
            !dns.asked().is_empty()
        })
        .await;
    assert_eq!(daemon.terminate(Duration::from_secs(10)), Some(0));
    answers(&dns);
    let _daemon = house.run(&[]);
    house
        .until("it is recorded", || async {
            house.allocations().await.len() == 1
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_recorded_after_waiting_is_filed_on_the_server_at_the_next_look() {
    let dns = signer::dns();
    fails(&dns);
    let dovecot = Dovecot::start();
    dovecot.create("ann", "Done");
    let house = house(
        &dns,
        &format!(
            "[[mailbox]]\nname = \"einvoice\"\nkind = \"imap\"\nhost = \"127.0.0.1\"\nport = {}\n\
             tls = \"none\"\nusername = \"ann\"\npassword = {{ env = \"TEST_IMAP_PASSWORD\" }}\n\
             after_import = {{ move_to = \"Done\" }}\n",
            dovecot.imap_port
        ),
    );
    dovecot.deliver("ann", "INBOX", &signed());
    let _daemon = house.run(&[("TEST_IMAP_PASSWORD", PASSWORD)]);
    house
        .until("it waits", || async {
            house.messages("waiting").await == 1
        })
        .await;
    dovecot.deliver("ann", "INBOX", b"Subject: lunch\r\n\r\nNoodles?\r\n");
    house
        .until("lunch is passed over", || async {
            house.messages("unrelated").await == 1
        })
        .await;
    assert_eq!(
        dovecot.flags("ann", "Done").len(),
        0,
        "nothing is known of it"
    );
    answers(&dns);
    house
        .until("it is recorded", || async {
            house.allocations().await.len() == 1
        })
        .await;
    dovecot.deliver("ann", "INBOX", b"Subject: tea\r\n\r\nOolong?\r\n");
    house
        .until("it has been moved", || async {
            dovecot.flags("ann", "Done").len() == 1
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_asks_about_what_another_process_took_in() {
    let dns = signer::dns();
    fails(&dns);
    let house = house(&dns, &spool("spool"));
    maildir(&house.path("spool"));
    let daemon = house.run(&[]);
    house
        .until("it watches", || async {
            house.log().contains("mailbox opened")
        })
        .await;
    let file = house.write("notice.eml", Notice::default().eml());
    fs::write(&file, signed()).unwrap();
    let taken = house.command(&["ingest", file.to_str().unwrap()]);
    assert_eq!(taken.status.code(), Some(75));
    answers(&dns);
    house
        .until("it is confirmed", || async { sent(&house) == 1 })
        .await;
    assert_eq!(house.allocations().await.len(), 1);
    assert_eq!(daemon.terminate(Duration::from_secs(10)), Some(0));
}
