//! What can be judged again needs its bytes: how long they are kept, and what becomes of a message
//! that comes after it was decided about.

use invoice_trackd::{
    clock::Clock,
    daemon::Keeper,
    delivery::Wake,
    intake::Lacking,
    mailbox::{Suspicion, UidSet},
};
use jiff::SignedDuration;
use tokio::sync::watch;

use super::*;

fn lacking(outcome: Result<Decided, Refusal>) -> Lacking {
    match outcome {
        Err(Refusal::Incomplete { lacking, .. }) => lacking,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_bytes_of_what_is_dismissed_go_after_90_days() {
    let desk = Desk::new().await;
    for uid in [1, 2] {
        let from = format!("einvoice@nat-gov{uid}.example");
        let forged = Notice {
            from: &from,
            ..notice()
        };
        desk.take(whole(uid, forged.eml())).await;
    }
    desk.dismiss(1).await.unwrap();
    let days = |days: i64| now() + SignedDuration::from_hours(24 * days);
    let almost = days(90) - SignedDuration::from_secs(1);
    assert_eq!(desk.ledger().forget_dismissed(almost).await.unwrap(), 0);
    assert!(desk.message(1).await.raw.is_some());
    assert_eq!(desk.ledger().forget_dismissed(days(90)).await.unwrap(), 1);
    assert_eq!(desk.message(1).await.raw, None);
    assert!(desk.message(2).await.raw.is_some(), "it waits");
    assert_eq!(desk.ledger().forget_dismissed(days(91)).await.unwrap(), 0);

    desk.dismiss(2).await.unwrap();
    let mut keeper = Keeper::new(
        desk.ledger().clone(),
        Clock::manual(days(91)),
        Wake::default(),
        watch::Sender::default(),
    );
    let style = desk.intake.style.as_ref().unwrap();
    keeper.run_once(style, days(91)).await.unwrap();
    assert_eq!(desk.message(2).await.raw, None, "nobody has to ask for it");

    let outcome = desk.release(1).await;
    assert_eq!(lacking(outcome), Lacking::Forgotten);
    // What is known of it stays, and so does the decision.
    let message = desk.message(1).await;
    assert_eq!(message.decisions.len(), 1);
    assert!(message.dismissed_at.is_some());
    desk.take(found(imap(8, 1), {
        let from = "einvoice@nat-gov1.example";
        Notice { from, ..notice() }.eml()
    }))
    .await;
    assert_eq!(desk.waiting().await, [0; 0]);
}

#[tokio::test]
async fn what_was_cut_cannot_be_judged_again() {
    let mut desk = Desk::new().await;
    let dns = Dns::start();
    desk.intake.verifier = demanding(Require::Dkim, &dns);
    let mut long = notice().eml();
    long.extend("x\r\n".repeat(64 * 1024 / 3).into_bytes());
    desk.take(whole(1, long)).await;
    let outcome = desk.release(1).await;
    assert_eq!(lacking(outcome), Lacking::Rest);
    assert_eq!(desk.waiting().await, [1]);
}

#[tokio::test]
async fn what_was_too_large_is_judged_when_a_person_brings_it() {
    let mut desk = Desk::new().await;
    let mut long = notice().eml();
    let header = long.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    long.extend("x\r\n".repeat(400_000).into_bytes());
    let large = RawMessage {
        content: Content::Oversized(long[..header].to_vec()),
        ..whole(1, long.clone())
    };
    desk.take(large).await;
    desk.intake.rules.max_message_bytes = 4_000_000;
    let outcome = desk.release(1).await;
    assert_eq!(lacking(outcome), Lacking::Body);
    let path = "saved.eml".to_owned();
    let taken = desk.take(found(Origin::File { path }, long)).await;
    assert_eq!(taken, Disposition::Imported);
}

/// A message that stands for what the server does not hand over, dismissed.
async fn dismissed_unfetchable() -> Desk {
    let desk = Desk::new().await;
    let mut transaction = desk.ledger().begin().await.unwrap();
    let failure = transaction.failed_alone("einvoice", 7, 1, true, "NO", now());
    failure.await.unwrap();
    transaction.commit().await.unwrap();
    let suspicion = Suspicion::new(1, true, "NO", now());
    let message = RawMessage {
        content: Content::Unfetchable(suspicion),
        ..whole(1, "")
    };
    assert_eq!(desk.take(message).await, Disposition::Quarantined);
    desk.dismiss(1).await.unwrap();
    assert_eq!(desk.waiting().await, [0; 0]);
    desk
}

#[tokio::test]
async fn what_comes_at_last_is_judged_although_it_was_dismissed_unseen() {
    let desk = dismissed_unfetchable().await;
    let taken = desk.take(whole(1, notice().eml())).await;
    assert_eq!(taken, Disposition::Imported);
    assert_eq!(desk.message(1).await.dismissed_at, None);

    // Nobody has seen what is wrong with this one.
    let desk = dismissed_unfetchable().await;
    desk.take(whole(1, forged())).await;
    assert_eq!(desk.waiting().await, [1]);
    assert_eq!(desk.alerts().await, 1);

    // What stood in for it proved nothing and needed no proof; its own evidence counts.
    let mut desk = dismissed_unfetchable().await;
    let dns = Dns::start();
    desk.intake.verifier = demanding(Require::Dkim, &dns);
    desk.take(whole(1, notice().eml())).await;
    desk.release(1).await.unwrap();
    let overruled = &desk.message(1).await.decisions[1].overruled;
    assert_eq!(*overruled, ["not_authenticated"]);

    let desk = dismissed_unfetchable().await;
    desk.take(whole(2, notice().eml())).await;
    let taken = desk.take(whole(1, notice().eml())).await;
    assert_eq!(taken, Disposition::Duplicate);

    let desk = dismissed_unfetchable().await;
    let mut transaction = desk.ledger().begin().await.unwrap();
    let uids = UidSet::from_iter([1]);
    let recorded = transaction.record_unrelated("einvoice", 7, &uids);
    recorded.await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(desk.ledger().counts().await.unwrap()["unrelated"], 1);
}
