//! The ledger is deleted, or another one is put in its place, while the daemon runs: what it wrote
//! from then on nobody would ever see.

use super::*;

/// It runs, has recorded one notice, and waits for the next.
async fn running(health: &Health) -> (House, crate::support::daemon::Running) {
    let house = house_with(health);
    house.write("mail/new/1", notice("EC"));
    let daemon = house.run(&[]);
    house
        .until("it is recorded and confirmed", || async {
            house.outbox().await.get("sent") == Some(&1)
        })
        .await;
    until_ready(&house, health).await;
    (house, daemon)
}

const SENTENCE: &str = "was deleted or replaced while it was in use";

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_was_deleted_ends_the_daemon_which_begins_anew() {
    let health = Health::new();
    let (house, mut daemon) = running(&health).await;
    for suffix in ["", "-wal", "-shm"] {
        fs::remove_file(house.path(&format!("ledger.db{suffix}"))).ok();
    }
    house.write("mail/new/2", notice("ED"));
    // So that systemd starts it again: it is no RestartPreventExitStatus=.
    assert_eq!(daemon.ended(Duration::from_secs(60)), Some(75));
    let log = house.log();
    assert!(log.contains(SENTENCE), "{log}");
    assert!(!log.contains("\"ED\""), "{log}");
    assert!(!house.path("ledger.db").exists());

    let daemon = house.run(&[]);
    house
        .until("all is there again", || async {
            house.allocations().await.len() == 2
        })
        .await;
    assert_eq!(daemon.terminate(SOON), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_put_in_its_place_is_what_the_next_start_uses() {
    let health = Health::new();
    let (house, mut daemon) = running(&health).await;
    let copy = house.path("copy.db");
    let mut connection = sql(&house).await;
    sqlx::query("VACUUM INTO ?")
        .bind(copy.to_str().unwrap())
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    house.write("mail/new/2", notice("ED"));
    house
        .until("the second is recorded", || async {
            house.allocations().await.len() == 2
        })
        .await;
    // Whoever restores without stopping; the old -wal stays, as careless people leave it.
    for suffix in ["-wal", "-shm"] {
        fs::remove_file(house.path(&format!("ledger.db{suffix}"))).unwrap();
    }
    fs::rename(&copy, house.path("ledger.db")).unwrap();
    let before = fs::read(house.path("ledger.db")).unwrap();
    house.write("mail/new/3", notice("EF"));
    assert_eq!(daemon.ended(Duration::from_secs(60)), Some(75));
    assert!(house.log().contains(SENTENCE), "{}", house.log());
    assert!(fs::read(house.path("ledger.db")).unwrap() == before);

    let daemon = house.run(&[]);
    house
        .until("what came since is taken in again", || async {
            house.allocations().await.len() == 3
        })
        .await;
    assert_eq!(daemon.terminate(SOON), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_whose_lock_was_deleted_leaves_the_ledger_to_the_next() {
    let health = Health::new();
    let (house, mut daemon) = running(&health).await;
    fs::remove_file(house.path("ledger.db.lock")).unwrap();
    assert_eq!(daemon.ended(Duration::from_secs(100)), Some(75));
    let log = house.log();
    assert!(
        log.contains("another daemon may run on the ledger"),
        "{log}"
    );
    let daemon = house.run(&[]);
    until_ready(&house, &health).await;
    assert_eq!(daemon.terminate(SOON), Some(0));
}
