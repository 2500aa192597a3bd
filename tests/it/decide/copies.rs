//! Bytes that were decided about come again: the decision holds, wherever they turn up.

use super::*;

/// Everywhere else the same bytes can come from.
fn elsewhere() -> [Origin; 4] {
    [
        imap(8, 1),
        Origin::Imap {
            mailbox: "second".to_owned(),
            uidvalidity: 7,
            uid: 1,
        },
        Origin::Maildir {
            mailbox: "maildir".to_owned(),
            file: "1.host".to_owned(),
        },
        Origin::File {
            path: "notice.eml".to_owned(),
        },
    ]
}

#[tokio::test]
async fn copies_of_a_released_mail_are_duplicates() {
    let desk = Desk::new().await;
    let [early, late @ ..] = elsewhere();
    desk.take(whole(1, forged())).await;
    desk.take(found(early, forged())).await;
    assert_eq!(desk.waiting().await, [1]);
    desk.release(1).await.unwrap();
    let letters = desk.letters().await;
    for origin in late {
        let place = format!("{origin:?}");
        let taken = desk.take(found(origin, forged())).await;
        assert_eq!(taken, Disposition::Duplicate, "{place}");
    }
    let counts = desk.ledger().counts().await.unwrap();
    assert_eq!((counts["imported"], counts["duplicate"]), (1, 4));
    assert_eq!(counts["quarantined"], 0);
    assert_eq!(desk.letters().await, letters);
    assert_eq!(desk.alerts().await, 0);
}

#[tokio::test]
async fn copies_of_a_dismissed_mail_are_dismissed_and_told_to_nobody() {
    let desk = Desk::new().await;
    let [early, late @ ..] = elsewhere();
    desk.take(whole(1, forged())).await;
    desk.take(found(early, forged())).await;
    assert_eq!(desk.alerts().await, 1);
    let decided = desk.dismiss(1).await.unwrap();
    assert_eq!(decided.judgement, None);
    assert_eq!(desk.alerts().await, 0, "nobody need be told any more");
    for origin in late {
        desk.take(found(origin, forged())).await;
    }
    assert_eq!(desk.waiting().await, [0; 0]);
    assert_eq!((desk.alerts().await, desk.letters().await), (0, 0));
    let rows = desk
        .sql("SELECT count(*) FROM message WHERE disposition = 'quarantined' AND dismissed_at IS NOT NULL")
        .await;
    assert_eq!(rows[0].get::<i64, _>(0), 5);
    assert_eq!(desk.tracks().await, [""; 0]);
}

#[tokio::test]
async fn a_copy_stands_for_its_original() {
    let desk = Desk::new().await;
    let [place, ..] = elsewhere();
    desk.take(whole(1, forged())).await;
    desk.take(found(place.clone(), forged())).await;
    let message = desk.message(2).await;
    assert_eq!((message.id, message.origin), (1, imap(7, 1)));
    assert_eq!(message.copies, [place]);
    assert_eq!(desk.release(2).await.unwrap().id, 1);
    assert_eq!(desk.message(1).await.disposition, Disposition::Imported);
}

#[tokio::test]
async fn what_is_decided_is_decided_but_a_dismissal_can_be_taken_back() {
    let desk = Desk::new().await;
    desk.take(whole(1, forged())).await;
    assert_eq!(desk.release(9).await.unwrap_err(), Refusal::NoMessage(9));
    assert_eq!(desk.dismiss(9).await.unwrap_err(), Refusal::NoMessage(9));

    desk.dismiss(1).await.unwrap();
    let sentence = desk.dismiss(1).await.unwrap_err().to_string();
    assert!(
        sentence.contains("is dismissed, decided by amy"),
        "{sentence}"
    );
    desk.take(found(imap(8, 1), forged())).await;

    // People err.
    let (release, decision) = (
        Action::Release(Release::default()),
        Decision {
            reason: "genuine after all",
            ..because(now())
        },
    );
    let decided = desk
        .intake
        .decide(&[1], release, &decision, |_| None, false);
    decided.await.unwrap().remove(0).unwrap();
    assert_eq!(desk.tracks().await, ["EC"]);
    let counts = desk.ledger().counts().await.unwrap();
    assert_eq!((counts["quarantined"], counts["duplicate"]), (0, 1));
    let actions: Vec<String> = desk
        .message(1)
        .await
        .decisions
        .into_iter()
        .map(|decision| decision.action)
        .collect();
    assert_eq!(actions, ["dismiss", "release"]);

    for action in [Action::Dismiss, Action::Release(Release::default())] {
        let sentence = desk.decide(1, action).await.unwrap_err().to_string();
        assert!(
            sentence.contains("is imported, decided by amy")
                && sentence.contains("genuine after all"),
            "{sentence}"
        );
    }
}
