//! Somebody else holds the ledger: a writer for longer than we wait, a reader for as long as he likes.

use super::*;

/// Longer than the 10 s that are promised, for a busy machine, and shorter than the 30 s that a
/// writer waits for whoever holds the ledger.
const IN_TIME: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_holds_the_ledger_for_longer_than_we_wait_loses_nothing() {
    let health = Health::new();
    let house = house_with(&health);
    let mut daemon = house.run(&[]);
    until_ready(&house, &health).await;
    let mut other = sql(&house).await;
    sqlx::query("BEGIN IMMEDIATE")
        .execute(&mut other)
        .await
        .unwrap();
    house.write("mail/new/1", notice("EC"));
    house
        .until("the log says so", || async {
            house.log().contains("database is locked")
        })
        .await;
    house
        .until("health says so", || async {
            let (status, body) = health.ready();
            status == 503 && body.contains("the ledger cannot be written to since")
        })
        .await;
    assert!(!daemon.has_ended());
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    house
        .until("it is recorded and confirmed", || async {
            house.outbox().await.get("sent") == Some(&1)
        })
        .await;
    until_ready(&house, &health).await;
    assert_eq!(house.allocations().await.len(), 1);
    assert_eq!(daemon.terminate(SOON), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_never_lets_go_holds_nothing_up_and_the_log_of_changes_is_cut_down_afterwards()
 {
    let health = Health::new();
    let house = house_with(&health);
    let daemon = house.run(&[]);
    until_ready(&house, &health).await;
    let mut reader = sql(&house).await;
    sqlx::query("BEGIN").execute(&mut reader).await.unwrap();
    let seen = async |reader: &mut SqliteConnection| -> i64 {
        let rows = sqlx::query_scalar("SELECT count(*) FROM message");
        rows.fetch_one(reader).await.unwrap()
    };
    assert_eq!(seen(&mut reader).await, 0);

    // More than the 1000 pages after which SQLite would like to begin anew.
    let wal = || fs::metadata(house.path("ledger.db-wal")).unwrap().len();
    let long = format!("{}\r\n", "x".repeat(900)).repeat(200);
    let mut mails = 0;
    let mut bring = |upto: u64| {
        let mut bytes = 0;
        while bytes < upto {
            mails += 1;
            let forged = Notice {
                from: "einvoice@example.com",
                message_id: &format!("{mails}@example.com"),
                ..Notice::default()
            };
            let forged = [forged.eml(), long.clone().into_bytes()].concat();
            bytes += forged.len() as u64;
            house.write(&format!("mail/tmp/{mails}"), forged);
            let [written, new] =
                ["tmp", "new"].map(|part| house.path(&format!("mail/{part}/{mails}")));
            fs::rename(written, new).unwrap();
        }
        mails
    };
    let all = bring(6_000_000);
    house
        .until("all are recorded beside the reader", || async {
            house.messages("quarantined").await == all
        })
        .await;
    assert_eq!(seen(&mut reader).await, 0, "one moment of the ledger");
    let grown = wal();
    assert!(grown > 4_200_000, "{grown}");

    // Once he has gone, what comes next fits into what is there.
    sqlx::query("COMMIT").execute(&mut reader).await.unwrap();
    reader.close().await.unwrap();
    let all = bring(6_000_000);
    house
        .until("all are recorded", || async {
            house.messages("quarantined").await == all
        })
        .await;
    let after = wal();
    let all = bring(6_000_000);
    house
        .until("all are recorded", || async {
            house.messages("quarantined").await == all
        })
        .await;
    let later = wal();
    assert!(
        later < after + 6_000_000,
        "it grows for ever: {grown} {after} {later}"
    );
    assert_eq!(daemon.terminate(SOON), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_stop_while_somebody_holds_the_ledger_it_stops_in_time() {
    let health = Health::new();
    let house = house_with(&health);
    let daemon = house.run(&[]);
    until_ready(&house, &health).await;
    let mut other = sql(&house).await;
    let held = sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await;
    held.unwrap();
    house.write("mail/new/1", notice("EC"));
    house
        .until("a writer has waited in vain", || async {
            health.ready().0 == 503
        })
        .await;
    assert_eq!(daemon.terminate(IN_TIME), Some(0));

    // And before it has started: a mailbox that is new must be written down first.
    maildir(&house.path("other"));
    let added = MAILDIR
        .replace("einvoice", "other")
        .replace("/mail", "/other");
    house.configure(&format!(
        "{}{COMPANY}{MAILDIR}{added}",
        health.configuration()
    ));
    let daemon = house.run(&[]);
    let process = daemon.process().to_string();
    house
        .until("it has come as far as the ledger", || async {
            let noted = fs::read_to_string(house.path("ledger.db.lock"));
            noted.is_ok_and(|noted| noted.starts_with(&process))
        })
        .await;
    assert_eq!(daemon.terminate(IN_TIME), Some(0));
}
