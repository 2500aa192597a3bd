//! The first run on mailboxes that are years old, with the real binary: everything is judged and
//! recorded, and nobody is flooded.

use crate::support::{
    daemon::{COMPANY, House, Notice},
    dovecot::{self, Dovecot},
    outbox::subjects,
};

fn mailbox(dovecot: &Dovecot, user: &str) -> String {
    dovecot.mailbox(user, user) + "since = \"2010-01-01\"\n"
}

fn notice(track: &str) -> Vec<u8> {
    Notice {
        track,
        ..Notice::default()
    }
    .eml()
}

#[tokio::test(flavor = "multi_thread")]
async fn years_of_old_mail_in_two_mailboxes_are_told_in_one_mail() {
    let dovecot = Dovecot::start();
    let house = House::with_mail(&format!(
        "{COMPANY}{}{}",
        mailbox(&dovecot, "user1"),
        mailbox(&dovecot, "user2")
    ));
    for (number, track) in ["EA", "EB", "EC", "ED"].into_iter().enumerate() {
        let user = ["user1", "user2"][number % 2];
        let date = format!("2{number}-Apr-2018 09:00:00 +0800");
        dovecot.deliver_dated(user, &date, &notice(track));
    }
    let forged = Notice {
        from: "einvoice@nat-gov.example",
        ..Notice::default()
    };
    dovecot.deliver_dated("user2", "25-Apr-2018 09:00:00 +0800", &forged.eml());
    // And one that has just come.
    dovecot.deliver("user1", "INBOX", &notice("EF"));

    let _daemon = house.run(&[("TEST_IMAP_PASSWORD", dovecot::PASSWORD)]);
    let subjects = || subjects(&house.path("sent"));
    house
        .until("both mails are sent", || async { subjects().len() >= 2 })
        .await;
    assert_eq!(house.allocations().await.len(), 5);
    assert_eq!(house.messages("quarantined").await, 1);
    let told = subjects();
    assert!(
        told[0].starts_with("已匯入 EF 22628000-22634399"),
        "{told:?}"
    );
    assert_eq!(told[1..], ["首次掃描：舊通知已記錄 4 封，隔離 1 封"]);
    // The outbox holds no other letter that is yet to come.
    assert_eq!(house.outbox().await["pending"], 0);
}
