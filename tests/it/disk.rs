//! A disk that fills up under the real binary.

use std::time::Duration;

use crate::support::{
    daemon::{COMPANY, House, Notice, maildir},
    fault::Faults,
};

const MAILDIR: &str = r#"
[[mailbox]]
name = "einvoice"
kind = "maildir"
path = "@ROOT@/mail"
"#;

fn house() -> House {
    let house = House::with_mail(&format!("{COMPANY}{MAILDIR}"));
    maildir(&house.path("mail"));
    house
}

#[tokio::test]
async fn while_the_disk_is_full_nothing_is_acknowledged_and_then_all_goes_on() {
    let house = house();
    let faults = Faults::under(&house);
    let daemon = house.run(&faults.environment());
    house
        .until("it runs", || async {
            house.log().contains("mailbox opened")
        })
        .await;
    faults.fill_the_disk();
    house.write("mail/new/1", Notice::default().eml());
    house
        .until("the log says so", || async {
            house.log().contains("database or disk is full")
        })
        .await;
    assert!(house.allocations().await.is_empty());
    faults.free_the_disk();
    house
        .until("it is recorded", || async {
            house.allocations().await.len() == 1
        })
        .await;
    assert_eq!(daemon.terminate(Duration::from_secs(10)), Some(0));
}
