//! A daemon that is told to end while a system keeps it waiting.

use std::time::Instant;

use sqlx::{Connection as _, SqliteConnection};
use tokio::time::timeout;

use super::*;
use crate::support::{
    daemon::{COMPANY, House, maildir, notice},
    scripted_http::{Does, says},
};

/// As systemd waits before it kills.
const TEN_SECONDS: Duration = Duration::from_secs(10);

/// Longer than anything takes on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

async fn all(house: &House) -> Vec<(&'static str, u32)> {
    let Some(ledger) = house.ledger().await else {
        return Vec::new();
    };
    let all = handoffs(&ledger).await;
    ledger.close().await;
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_while_a_system_hangs_ends_in_time_and_the_next_start_hands_over_the_same_at_once()
{
    let server = ScriptedHttp::start(|turn, _| match turn {
        0 => Does::Hangs,
        _ => says(204),
    })
    .await;
    let url = server.url();
    let house = House::with_mail(&format!(
        "{COMPANY}[[mailbox]]\nname = \"box\"\nkind = \"maildir\"\npath = \"@ROOT@/box\"\n\
         [[handoff]]\nname = \"erp\"\nkind = \"webhook\"\nurl = \"{url}\"\n\
         secret = {{ file = \"@ROOT@/key\" }}\n"
    ));
    house.secret("key", &format!("whsec_{SECRET}"));
    maildir(&house.path("box"));
    house.write("box/new/1", notice("EC"));

    let daemon = house.run(&[]);
    let posted = timeout(PATIENCE, server.until_posted(1)).await;
    assert!(posted.is_ok(), "{}", house.log());
    // Longer than the server may take for an answer, and shorter than systemd waits.
    let told = Instant::now();
    assert_eq!(daemon.terminate(TEN_SECONDS), Some(0), "{}", house.log());
    assert!(told.elapsed() < TEN_SECONDS);
    assert_eq!(house.allocations().await.len(), 1);
    assert_eq!(all(&house).await, [("sending", 1)]);

    // As after many failures; what is farther off than any retry would be taken for a clock's mistake.
    let ledger = format!("sqlite:{}", house.path("ledger.db").display());
    let mut sql = SqliteConnection::connect(&ledger).await.unwrap();
    let moved = sqlx::query(
        "UPDATE outbox SET next_attempt_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+9 minutes')
         WHERE target = 'erp'",
    );
    assert_eq!(moved.execute(&mut sql).await.unwrap().rows_affected(), 1);
    sql.close().await.unwrap();

    let daemon = house.run(&[]);
    let posted = timeout(PATIENCE, server.until_posted(2)).await;
    assert!(posted.is_ok(), "{}", house.log());
    let sent = || async { all(&house).await == [("sent", 2)] };
    house.until("it is handed over", sent).await;
    assert_eq!(daemon.terminate(TEN_SECONDS), Some(0));
    let [first, second] = &server.posted()[..] else {
        panic!("{:?}", server.posted())
    };
    assert_eq!(first.headers["webhook-id"], second.headers["webhook-id"]);
    assert_eq!(first.body, second.body);
}
