//! The life of a letter and of an alert.

use invoice_trackd::ledger::{FoundIn, Import, Lease, OutboxState};

use super::*;

fn state(state: OutboxState) -> String {
    state.as_str().to_owned()
}

async fn assert_only(ledger: &Ledger, expected: OutboxState) {
    let counts = ledger.outbox_counts().await.unwrap();
    assert_eq!(counts.len(), 5);
    assert_eq!(counts.values().sum::<u64>(), 1);
    assert_eq!(counts[&state(expected)], 1, "{counts:?}");
}

async fn alerts(ledger: &Ledger) -> Vec<Cause> {
    let mut transaction = ledger.begin().await.unwrap();
    let alerts = transaction.pending::<Cause>().await.unwrap();
    alerts.into_iter().map(|alert| alert.cause).collect()
}

async fn lease(ledger: &Ledger, now: Timestamp) -> Lease {
    let lease = ledger
        .lease(None, now, now, now + 11.minutes())
        .await
        .unwrap();
    lease.expect("a letter is due")
}

#[tokio::test]
async fn the_same_message_id_posted_twice_is_one_letter() {
    let scratch = Scratch::new();
    let ledger = scratch.open().await;
    let mut first = letter(Kind::Confirmation, "a");
    first.recipients.push(address("ops@example.com"));
    post(&ledger, &first, noon()).await;
    let mut second = first.clone();
    second.eml = b"other bytes".to_vec();
    post(&ledger, &second, noon() + 1.hour()).await;
    assert_only(&ledger, OutboxState::Pending).await;

    let lease = lease(&ledger, noon()).await;
    assert_eq!(lease.letter, letter(Kind::Confirmation, "a"), "each once");
    assert_eq!(lease.patient_since, noon());
}

#[tokio::test]
async fn an_attempt_is_written_down_before_it_is_made_and_falls_due_again() {
    let scratch = Scratch::new();
    let ledger = scratch.open().await;
    assert_eq!(ledger.next_due(None).await.unwrap(), None);
    assert_eq!(
        ledger.lease(None, noon(), noon(), noon()).await.unwrap(),
        None
    );
    post(
        &ledger,
        &letter(Kind::Confirmation, "late"),
        noon() + 1.second(),
    )
    .await;
    post(&ledger, &letter(Kind::Alert, "early"), noon()).await;
    assert_eq!(ledger.next_due(None).await.unwrap(), Some(noon()));

    let first = lease(&ledger, noon() + 5.seconds()).await;
    assert_eq!(first.letter, letter(Kind::Alert, "early"), "due longest");
    assert_eq!(first.attempts, 1);
    let mut sql = scratch.sql().await;
    let open = "SELECT attempts FROM outbox WHERE state = 'sending'";
    assert_eq!(count(&mut sql, open).await, 1, "another process sees it");
    let second = lease(&ledger, noon() + 6.seconds()).await;
    assert_eq!(second.letter.subject, "配號 late");

    let retry_at = noon() + 5.seconds() + 11.minutes();
    assert_eq!(ledger.next_due(None).await.unwrap(), Some(retry_at));
    let before = retry_at - 1.millisecond();
    assert_eq!(
        ledger.lease(None, before, before, retry_at).await.unwrap(),
        None
    );
    let again = lease(&ledger, retry_at).await;
    assert_eq!((again.id, again.attempts), (first.id, 2));
}

#[tokio::test]
async fn a_letter_ends_when_everybody_who_can_get_it_has_it() {
    let scratch = Scratch::new();
    let ledger = scratch.open().await;
    let mut three = letter(Kind::Confirmation, "three");
    three.recipients.push(address("gone@example.com"));
    post(&ledger, &three, noon()).await;

    let first = lease(&ledger, noon()).await;
    let deferred = Settled::Deferred {
        next: noon() + 5.seconds(),
        recipients: vec![address("boss@example.com")],
        refused: vec![(address("gone@example.com"), "550 no such user".to_owned())],
        answer: "451 try later".to_owned(),
    };
    ledger.settle(&first, &deferred, noon()).await.unwrap();
    assert_only(&ledger, OutboxState::Pending).await;
    assert_eq!(
        ledger.next_due(None).await.unwrap(),
        Some(noon() + 5.seconds())
    );
    let failed = Cause::DeliveryFailed {
        outbox_id: first.id,
        kind: Kind::Confirmation,
        subject: "配號 three".to_owned(),
        recipients: vec!["gone@example.com".to_owned()],
        answer: "550 no such user".to_owned(),
    };
    assert_eq!(
        alerts(&ledger).await,
        std::slice::from_ref(&failed),
        "told at once"
    );

    let second = lease(&ledger, noon() + 5.seconds()).await;
    assert_eq!(second.letter.recipients, [address("boss@example.com")]);
    let sent = Settled::Sent {
        refused: Vec::new(),
    };
    ledger
        .settle(&second, &sent, noon() + 6.seconds())
        .await
        .unwrap();
    assert_only(&ledger, OutboxState::Sent).await;
    assert_eq!(ledger.next_due(None).await.unwrap(), None);
    assert_eq!(alerts(&ledger).await, [failed], "told once");

    let mut sql = scratch.sql().await;
    let row: (String, String) = sqlx::query_as("SELECT sent_at, last_answer FROM outbox")
        .fetch_one(&mut sql)
        .await
        .unwrap();
    assert_eq!(row.0, "2026-01-20T04:00:06.250Z");
    assert_eq!(row.1, "451 try later");
    let recipients: Vec<(String, Option<String>)> =
        sqlx::query_as("SELECT state, answer FROM outbox_recipient ORDER BY position")
            .fetch_all(&mut sql)
            .await
            .unwrap();
    let sent = || ("sent".to_owned(), None);
    let refused = ("refused".to_owned(), Some("550 no such user".to_owned()));
    assert_eq!(recipients, [sent(), sent(), refused]);
}

#[tokio::test]
async fn a_letter_that_nobody_got_has_failed_and_people_are_told() {
    let refused = |words: [&str; 2]| Settled::Sent {
        refused: vec![
            (address("ops@example.com"), words[0].to_owned()),
            (address("boss@example.com"), words[1].to_owned()),
        ],
    };
    let given_up = Settled::Failed {
        answer: "no answer for 3 days".to_owned(),
    };
    for (settled, words) in [
        (refused(["550 no", "550 no"]), "550 no"),
        (refused(["550 no", "552 full"]), "550 no; 552 full"),
        (given_up, "no answer for 3 days"),
    ] {
        let scratch = Scratch::new();
        let ledger = scratch.open().await;
        post(&ledger, &letter(Kind::Confirmation, "a"), noon()).await;
        let lease = lease(&ledger, noon()).await;
        ledger.settle(&lease, &settled, noon()).await.unwrap();
        assert_only(&ledger, OutboxState::Failed).await;
        assert_eq!(ledger.next_due(None).await.unwrap(), None);
        let expected = Cause::DeliveryFailed {
            outbox_id: lease.id,
            kind: Kind::Confirmation,
            subject: "配號 a".to_owned(),
            recipients: vec!["ops@example.com".to_owned(), "boss@example.com".to_owned()],
            answer: words.to_owned(),
        };
        assert_eq!(alerts(&ledger).await, [expected]);
    }
}

#[tokio::test]
async fn an_alert_that_failed_breeds_no_alert() {
    let scratch = Scratch::new();
    let ledger = scratch.open().await;
    post(&ledger, &letter(Kind::Alert, "a"), noon()).await;
    let lease = lease(&ledger, noon()).await;
    let failed = Settled::Failed {
        answer: "550 no".to_owned(),
    };
    ledger.settle(&lease, &failed, noon()).await.unwrap();
    assert_only(&ledger, OutboxState::Failed).await;
    assert_eq!(alerts(&ledger).await, []);
}

#[tokio::test]
async fn attempts_of_a_dead_process_are_due_at_once_at_the_next_start() {
    let scratch = Scratch::new();
    let ledger = scratch.open().await;
    post(&ledger, &letter(Kind::Confirmation, "open"), noon()).await;
    post(&ledger, &letter(Kind::Confirmation, "done"), noon()).await;
    let open = lease(&ledger, noon()).await;
    let done = lease(&ledger, noon()).await;
    let sent = Settled::Sent {
        refused: Vec::new(),
    };
    ledger.settle(&done, &sent, noon()).await.unwrap();
    ledger.close().await;

    let ledger = scratch.open().await;
    let start = noon() + 1.second();
    assert_eq!(ledger.lease(None, start, start, start).await.unwrap(), None);
    assert_eq!(ledger.reopen_attempts(None, start).await.unwrap(), 1);
    let again = lease(&ledger, start).await;
    assert_eq!((again.id, again.attempts), (open.id, 2));
    assert_eq!(again.letter, open.letter, "the same bytes");
}

#[tokio::test]
async fn an_attempt_that_was_overtaken_changes_nothing() {
    let scratch = Scratch::new();
    let ledger = scratch.open().await;
    post(&ledger, &letter(Kind::Confirmation, "a"), noon()).await;
    let slow = lease(&ledger, noon()).await;
    let quick = lease(&ledger, noon() + 11.minutes()).await;
    assert_eq!(slow.id, quick.id);
    let failed = Settled::Failed {
        answer: "timed out".to_owned(),
    };
    ledger.settle(&slow, &failed, noon()).await.unwrap();
    assert_only(&ledger, OutboxState::Sending).await;
    let sent = Settled::Sent {
        refused: Vec::new(),
    };
    ledger.settle(&quick, &sent, noon()).await.unwrap();
    ledger.settle(&quick, &failed, noon()).await.unwrap();
    assert_only(&ledger, OutboxState::Sent).await;
    assert_eq!(alerts(&ledger).await, []);
}

#[tokio::test]
async fn alerts_wait_until_they_are_gathered_into_one_letter() {
    let scratch = Scratch::new();
    let ledger = scratch.open().await;
    let mut transaction = ledger.begin().await.unwrap();
    for (key, message_id) in [
        ("quarantined:1", 1),
        ("quarantined:2", 2),
        ("quarantined:1", 3),
    ] {
        transaction
            .tell(key, &quarantine_alert(message_id), noon())
            .await
            .unwrap();
    }
    let pending = transaction.pending::<Cause>().await.unwrap();
    let causes: Vec<_> = pending.iter().map(|alert| alert.cause.clone()).collect();
    assert_eq!(causes, [quarantine_alert(1), quarantine_alert(2)]);
    assert_eq!(pending[0].raised_at, noon());
    assert_eq!(transaction.last_alerted_at(&[]).await.unwrap(), None);
    transaction.commit().await.unwrap();

    let later = noon() + 5.minutes();
    let digest = letter(Kind::Alert, "digest");
    let mut transaction = ledger.begin().await.unwrap();
    transaction
        .tell("quarantined:4", &quarantine_alert(4), later)
        .await
        .unwrap();
    transaction.gather(&pending, &digest, later).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(alerts(&ledger).await, [quarantine_alert(4)], "not in it");
    assert_eq!(lease(&ledger, later).await.letter, digest);

    let mut transaction = ledger.begin().await.unwrap();
    assert_eq!(transaction.last_alerted_at(&[]).await.unwrap(), Some(later));
    transaction
        .tell("quarantined:1", &quarantine_alert(1), later)
        .await
        .unwrap();
    let pending = transaction.pending::<Cause>().await.unwrap();
    assert_eq!(pending.len(), 1, "a key is used up for good");
}

#[tokio::test]
async fn attempts_are_counted_at_the_moment_they_are_made() {
    let scratch = Scratch::new();
    let ledger = scratch.open().await;
    for name in ["one", "two", "three"] {
        post(&ledger, &letter(Kind::Confirmation, name), noon()).await;
    }
    // One long pass: what was due when it began is attempted later.
    for minutes in [0, 1, 2] {
        let now = noon() + minutes.minutes();
        let lease = ledger
            .lease(None, noon(), now, now + 11.minutes())
            .await
            .unwrap();
        assert!(lease.is_some());
    }
    let ever = noon()..noon() + 1.hour();
    let back = |count| ledger.attempted_back(count, ever.clone());
    assert_eq!(back(1).await.unwrap(), Some(noon() + 2.minutes()));
    assert_eq!(back(3).await.unwrap(), Some(noon()));
    assert_eq!(back(4).await.unwrap(), None);
    let first_minute = noon()..noon() + 1.minute();
    let within = ledger.attempted_back(1, first_minute).await.unwrap();
    assert_eq!(within, Some(noon()));
}

/// Posts a letter, and makes the one attempt at it that `settled` ends.
async fn attempted(ledger: &Ledger, name: &str, at: Timestamp, settled: Option<Settled>) -> Lease {
    post(ledger, &letter(Kind::Confirmation, name), at).await;
    let lease = lease(ledger, at).await;
    let later = Settled::Deferred {
        next: at + 1.hour(),
        recipients: lease.letter.recipients.clone(),
        refused: Vec::new(),
        answer: format!("451 {name}"),
    };
    let settled = settled.unwrap_or(later);
    ledger.settle(&lease, &settled, at).await.unwrap();
    lease
}

#[tokio::test]
async fn what_is_put_off_is_told_from_mail_that_does_not_go_out_at_all() {
    let scratch = Scratch::new();
    let ledger = scratch.open().await;
    let at = |minute: i64| noon() + minute.minutes();
    let sent = || {
        Some(Settled::Sent {
            refused: Vec::new(),
        })
    };
    let found = async || {
        let found = ledger.put_off(None).await.unwrap()?;
        let times = (found.since, found.none_sent_since);
        Some((found.letters, times.0, times.1, found.answer))
    };
    attempted(&ledger, "before", at(0), sent()).await;
    assert_eq!(found().await, None);
    attempted(&ledger, "one", at(1), None).await;
    let words = "451 one".to_owned();
    let alone = Some((1, at(1), at(1), words.clone()));
    assert_eq!(found().await, alone, "what went out before proves nothing");
    // One that nobody has tried yet is not put off.
    let fresh = letter(Kind::Confirmation, "fresh");
    post(&ledger, &fresh, at(50)).await;
    assert_eq!(found().await, alone);
    for minute in [2, 3] {
        attempted(&ledger, &minute.to_string(), at(minute), sent()).await;
    }
    assert_eq!(found().await, Some((1, at(1), at(3), words)));
    attempted(&ledger, "two", at(4), None).await;
    let both = Some((2, at(1), at(3), "451 two".to_owned()));
    assert_eq!(found().await, both);
}

#[tokio::test]
async fn only_what_was_given_up_has_failed() {
    let scratch = Scratch::new();
    let ledger = scratch.open().await;
    let failed = async || ledger.failed_letters().await.unwrap();
    attempted(&ledger, "put off", noon(), None).await;
    let sent = Settled::Sent {
        refused: Vec::new(),
    };
    attempted(&ledger, "sent", noon(), Some(sent)).await;
    assert_eq!(failed().await, 0);
    let no = Settled::Failed {
        answer: "550 no".to_owned(),
    };
    let given_up = attempted(&ledger, "given up", noon(), Some(no)).await;
    assert_eq!(failed().await, 1);
    ledger
        .call_off(given_up.id, "ann", false, noon())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(failed().await, 0);
}

#[tokio::test]
async fn what_fails_again_after_a_retry_is_told_again_and_is_not_put_off() {
    let scratch = Scratch::new();
    let ledger = scratch.open().await;
    post(&ledger, &letter(Kind::Confirmation, "a"), noon()).await;
    for times in 1..=2 {
        let failed = Settled::Failed {
            answer: "550 no".to_owned(),
        };
        let lease = lease(&ledger, noon()).await;
        ledger.settle(&lease, &failed, noon()).await.unwrap();
        assert_eq!(alerts(&ledger).await.len(), times);
        assert_eq!(ledger.put_off(None).await.unwrap(), None, "it is over");
        let retried = ledger.retry(1, "amy", true, noon()).await.unwrap();
        retried.unwrap();
    }
}

#[tokio::test]
async fn the_last_alert_is_the_last_letter_of_alerts_whatever_the_clock_said() {
    let scratch = Scratch::new();
    let ledger = scratch.open().await;
    let mut transaction = ledger.begin().await.unwrap();
    for (id, at) in [(1, noon() + 24.hours()), (2, noon())] {
        let key = format!("quarantined:{id}");
        let alert = quarantine_alert(id);
        transaction.tell(&key, &alert, at).await.unwrap();
        let pending = transaction.pending::<Cause>().await.unwrap();
        let digest = letter(Kind::Alert, &key);
        transaction.gather(&pending, &digest, at).await.unwrap();
    }
    let import = Import {
        is_file: false,
        message_id: 3,
        sha256: "0".repeat(64),
        ban: "53567686".to_owned(),
        company_name: None,
        found_in: FoundIn::Mailbox("einvoice".to_owned()),
        warnings: Vec::new(),
        fallen: Vec::new(),
        to: Vec::new(),
    };
    let at = noon() + 1.minute();
    transaction.tell("imported:3", &import, at).await.unwrap();
    let pending = transaction.pending::<Import>().await.unwrap();
    let digest = letter(Kind::Confirmation, "digest");
    transaction.gather(&pending, &digest, at).await.unwrap();
    let last = transaction.last_alerted_at(&[]).await.unwrap();
    assert_eq!(last, Some(noon()));
}
