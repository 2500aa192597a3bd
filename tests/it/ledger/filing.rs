//! Which mail is to be put away on its server; and whether a ledger could be used, asked by somebody
//! who leaves no trace.

use std::fs;

use invoice_trackd::ledger::Stage;

use super::*;

async fn unfiled(ledger: &Ledger, uidvalidity: u32) -> UidSet {
    ledger.unfiled("einvoice", uidvalidity).await.unwrap()
}

#[tokio::test]
async fn what_is_recorded_is_filed_once_and_what_is_quarantined_only_after_its_release() {
    let scratch = Scratch::new();
    let ledger = scratch.open().await;
    record(&ledger, &Mail::granting(imap(5), &[specimen()])).await;
    for (uid, disposition) in [
        (6, Disposition::Duplicate),
        (7, Disposition::Quarantined),
        (8, Disposition::Unrelated),
    ] {
        record(&ledger, &Mail::new(imap(uid), disposition)).await;
    }
    assert_eq!(unfiled(&ledger, 7).await, uids(&[(5, 6)]));
    assert!(unfiled(&ledger, 8).await.is_empty());

    let all = uids(&[(1, 100)]);
    ledger.filed("einvoice", 8, &all, noon()).await.unwrap();
    assert_eq!(unfiled(&ledger, 7).await, uids(&[(5, 6)]));
    ledger.filed("einvoice", 7, &all, noon()).await.unwrap();
    assert!(unfiled(&ledger, 7).await.is_empty());

    // What a person releases in another process, as the ledger shows it.
    scratch
        .allow("UPDATE message SET disposition = 'imported' WHERE uid = 7")
        .await;
    assert_eq!(unfiled(&ledger, 7).await, uids(&[(7, 7)]));

    // The first moment stands.
    let later = noon() + 1.hour();
    ledger.filed("einvoice", 7, &all, later).await.unwrap();
    let mut sql = scratch.sql().await;
    let filed = "SELECT count(*) FROM message WHERE filed_at = '2026-01-20T04:00:00.250Z'";
    assert_eq!(count(&mut sql, filed).await, 2);
}

#[tokio::test]
async fn a_ledger_is_tried_without_being_created_or_brought_up_to_date() {
    let scratch = Scratch::new();
    let condition = || async { Ledger::condition(&scratch.path(), noon()).await.unwrap() };
    assert_eq!(condition().await.stage, Stage::ToBeCreated);
    assert_eq!(fs::read_dir(scratch.directory.path()).unwrap().count(), 0);

    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures-ledger/0002.sql");
    scratch.allow(&fs::read_to_string(fixture).unwrap()).await;
    assert_eq!(condition().await.stage, Stage::ToBeMigrated);
    let mut sql = scratch.sql().await;
    let applied = "SELECT max(version) FROM _sqlx_migrations";
    assert_eq!(count(&mut sql, applied).await, 2);

    scratch.open().await.close().await;
    assert_eq!(condition().await.stage, Stage::Ready);
    assert_eq!(condition().await.daemon, None);
    let lock = Ledger::lock(&scratch.path()).unwrap();
    let pid = std::process::id().to_string();
    let daemon = condition().await.daemon.unwrap();
    assert_eq!((daemon.process, daemon.trouble), (pid, None));
    drop(lock);
    assert_eq!(condition().await.daemon, None);
}
