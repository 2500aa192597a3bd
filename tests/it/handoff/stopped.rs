//! A system that wants nothing any more, and one that takes nothing: who is told, once, and when it is
//! over.

use invoice_trackd::{
    clock::Clock,
    daemon::Keeper,
    delivery::Wake,
    http::Vitals,
    ledger::{Declined, OutboxState},
};
use tokio::sync::watch;

use super::*;
use crate::support::scripted_http::says;

/// The keeper's eyes, opened `minutes` after the start.
fn keeper(ledger: &Ledger, minutes: i64) -> Keeper {
    let clock = Clock::manual(after(minutes));
    Keeper::new(
        ledger.clone(),
        clock,
        Wake::default(),
        watch::Sender::new(Vitals::default()),
    )
}

async fn look(keeper: &mut Keeper, systems: &[&str], minutes: i64) {
    let style = with(systems);
    keeper.run_once(&style, after(minutes)).await.unwrap();
}

#[tokio::test]
async fn after_410_all_waits_one_alert_is_raised_and_a_retry_hands_over_all() {
    let (ledger, home) = ledger().await;
    let server = ScriptedHttp::start(|turn, _| says(if turn == 0 { 410 } else { 200 })).await;
    for track in ["EC", "ED", "EF"] {
        post(&ledger, &letter(Event::Imported, track)).await;
    }
    let erp = dispatcher(&ledger, to_server(&server));
    let pass = erp.run_once(now()).await.unwrap();
    assert_eq!((pass.sent, pass.deferred, pass.failed), (0, 1, 0));
    assert_eq!(pass.next, None, "nothing is due for it");
    let waits = [("pending", 1), ("pending", 0), ("pending", 0)];
    assert_eq!(handoffs(&ledger).await, waits);
    let [
        Cause::HandoffStopped {
            target,
            waiting: 3,
            at,
        },
    ] = &news(&ledger).await[..]
    else {
        panic!("{:?}", news(&ledger).await)
    };
    assert_eq!(target, "erp");
    let is_then = |at: Timestamp| (now()..after(1)).contains(&at);
    assert!(is_then(*at), "{at}");

    // A daemon that starts anew knows, and so does the keeper, who says nothing more.
    ledger.close().await;
    let path = home.path().join("ledger.db");
    let ledger = Ledger::open(&path, after(1)).await.unwrap();
    let erp = dispatcher(&ledger, to_server(&server));
    assert!(erp.flush(after(100)).await.unwrap().is_idle());
    let mut keeper = keeper(&ledger, 100);
    for minute in 100..104 {
        look(&mut keeper, &["erp"], minute).await;
    }
    assert_eq!(news(&ledger).await.len(), 1);
    assert_eq!(server.posted().len(), 1);

    // Any of its rows will do; patience begins anew for all.
    let weeks = 30_000;
    let retried = ledger.retry(2, "amy", true, after(weeks)).await.unwrap();
    assert_eq!(retried, Ok(()));
    let pass = erp.run_once(after(weeks)).await.unwrap();
    assert_eq!((pass.sent, pass.deferred, pass.failed), (3, 0, 0));
    look(&mut keeper, &["erp"], weeks + 1).await;
    look(&mut keeper, &["erp"], weeks + 2).await;
    let told = news(&ledger).await;
    assert!(
        matches!(&told[..], [_, Cause::HandoffBack { target, alarmed_at }]
            if target == "erp" && is_then(*alarmed_at)),
        "{told:?}"
    );
    let again = ledger.retry(2, "amy", true, after(weeks)).await.unwrap();
    assert_eq!(again, Err(Declined::EverybodyHasIt(2)));
}

#[tokio::test]
async fn a_system_that_says_410_again_is_told_of_again() {
    let (ledger, _home) = ledger().await;
    let server = ScriptedHttp::start(|_, _| says(410)).await;
    post(&ledger, &letter(Event::Imported, "EC")).await;
    let erp = dispatcher(&ledger, to_server(&server));
    erp.run_once(now()).await.unwrap();
    ledger
        .retry(1, "amy", true, after(5))
        .await
        .unwrap()
        .unwrap();
    erp.run_once(after(5)).await.unwrap();
    assert_eq!(news(&ledger).await.len(), 2);
}

#[tokio::test]
async fn a_system_that_takes_nothing_for_an_hour_is_told_of_once_and_once_when_it_is_back() {
    let (ledger, home) = ledger().await;
    let server = ScriptedHttp::start(|turn, _| says(if turn < 3 { 503 } else { 200 })).await;
    for track in ["EC", "ED"] {
        post(&ledger, &letter(Event::Imported, track)).await;
    }
    let erp = dispatcher(&ledger, to_server(&server));
    erp.run_once(now()).await.unwrap();
    let mut eyes = keeper(&ledger, 0);
    for minute in [1, 58, 59] {
        look(&mut eyes, &["erp"], minute).await;
    }
    assert_eq!(news(&ledger).await, []);
    // Seen late once: the clock may have jumped.
    look(&mut eyes, &["erp"], 60).await;
    assert_eq!(news(&ledger).await, []);
    look(&mut eyes, &["erp"], 61).await;
    let told = news(&ledger).await;
    let [
        Cause::HandoffFailing {
            target,
            waiting: 2,
            since,
            words,
        },
    ] = &told[..]
    else {
        panic!("{told:?}")
    };
    assert_eq!((target.as_str(), *since), ("erp", now()));
    assert!(words.contains("found 503"), "{words}");

    // Neither the next hour nor the next start says so again.
    look(&mut eyes, &["erp"], 125).await;
    ledger.close().await;
    let path = home.path().join("ledger.db");
    let ledger = Ledger::open(&path, after(126)).await.unwrap();
    let mut eyes = keeper(&ledger, 126);
    let erp = dispatcher(&ledger, to_server(&server));
    erp.run_once(after(130)).await.unwrap();
    for minute in 131..135 {
        look(&mut eyes, &["erp"], minute).await;
    }
    assert_eq!(news(&ledger).await.len(), 1);

    // The third post was in vain as well; from then on it takes all.
    erp.run_once(after(200)).await.unwrap();
    erp.run_once(after(240)).await.unwrap();
    assert_eq!(ledger.outbox_counts().await.unwrap()["sent"], 2);
    for minute in 241..244 {
        look(&mut eyes, &["erp"], minute).await;
    }
    let told = news(&ledger).await;
    assert!(
        matches!(&told[..], [_, Cause::HandoffBack { alarmed_at, .. }]
            if *alarmed_at == after(61)),
        "{told:?}"
    );
}

#[tokio::test]
async fn that_a_person_calls_off_what_waits_is_no_good_news() {
    let (ledger, _home) = ledger().await;
    let server = ScriptedHttp::start(|_, _| says(503)).await;
    post(&ledger, &letter(Event::Imported, "EC")).await;
    let erp = dispatcher(&ledger, to_server(&server));
    erp.run_once(now()).await.unwrap();
    let mut eyes = keeper(&ledger, 0);
    look(&mut eyes, &["erp"], 60).await;
    look(&mut eyes, &["erp"], 61).await;
    assert_eq!(news(&ledger).await.len(), 1);
    ledger
        .call_off(1, "amy", true, after(62))
        .await
        .unwrap()
        .unwrap();
    look(&mut eyes, &["erp"], 63).await;
    assert_eq!(news(&ledger).await.len(), 1);
}

#[tokio::test]
async fn of_a_system_that_is_configured_no_more_nothing_is_told_and_its_rows_stay() {
    let (ledger, _home) = ledger().await;
    let server = ScriptedHttp::start(|_, _| says(503)).await;
    post(&ledger, &letter(Event::Imported, "EC")).await;
    let erp = dispatcher(&ledger, to_server(&server));
    erp.run_once(now()).await.unwrap();
    let mut eyes = keeper(&ledger, 0);
    for minute in 60..64 {
        look(&mut eyes, &["pos"], minute).await;
    }
    assert_eq!(news(&ledger).await, []);
    assert_eq!(handoffs(&ledger).await, [("pending", 1)]);
}

#[tokio::test]
async fn what_is_given_up_is_told_with_the_system_and_can_be_retried() {
    let (ledger, _home) = ledger().await;
    let server = ScriptedHttp::start(|turn, _| says(if turn < 10 { 500 } else { 200 })).await;
    post(&ledger, &letter(Event::Imported, "EC")).await;
    let erp = dispatcher(&ledger, to_server(&server));
    for attempt in 0..10 {
        assert_eq!(handoffs(&ledger).await, [("pending", attempt)]);
        erp.run_once(after(i64::from(attempt) * 24 * 60))
            .await
            .unwrap();
    }
    assert_eq!(handoffs(&ledger).await, [("failed", 10)]);
    let told = news(&ledger).await;
    let [
        Cause::DeliveryFailed {
            kind: Kind::Handoff,
            recipients,
            answer,
            ..
        },
    ] = &told[..]
    else {
        panic!("{told:?}")
    };
    assert_eq!(recipients[..], ["erp"]);
    assert!(answer.contains("found 500"), "{answer}");
    let days = 20_000;
    ledger
        .retry(1, "amy", true, after(days))
        .await
        .unwrap()
        .unwrap();
    erp.run_once(after(days)).await.unwrap();
    let rows = ledger.outbox(None).await.unwrap();
    assert_eq!(rows[0].state, OutboxState::Sent);
}

#[tokio::test]
async fn what_is_given_up_or_put_off_is_no_mail_for_health_and_for_systemctl() {
    let (ledger, _home) = ledger().await;
    let server = ScriptedHttp::start(|_, _| says(500)).await;
    post(&ledger, &letter(Event::Imported, "EC")).await;
    let vitals = watch::Sender::new(Vitals::default());
    let wake = Wake::default();
    let mut keeper = Keeper::new(ledger.clone(), Clock::manual(now()), wake, vitals.clone());
    let erp = dispatcher(&ledger, to_server(&server));
    for attempt in 0..10 {
        erp.run_once(after(attempt * 24 * 60)).await.unwrap();
        look(&mut keeper, &["erp"], attempt * 24 * 60).await;
        let vitals = vitals.borrow();
        assert_eq!(
            (vitals.mail.put_off.as_ref(), vitals.mail.failed),
            (None, 0)
        );
    }
    assert_eq!(handoffs(&ledger).await, [("failed", 10)]);
}

#[tokio::test]
async fn a_system_that_is_back_and_then_takes_nothing_again_is_told_of_again() {
    let (ledger, _home) = ledger().await;
    let server = ScriptedHttp::start(|turn, _| says(if turn == 1 { 200 } else { 503 })).await;
    post(&ledger, &letter(Event::Imported, "EC")).await;
    let erp = dispatcher(&ledger, to_server(&server));
    let mut eyes = keeper(&ledger, 0);
    erp.run_once(now()).await.unwrap();
    for minute in [60, 61] {
        look(&mut eyes, &["erp"], minute).await;
    }
    erp.run_once(after(62)).await.unwrap();
    look(&mut eyes, &["erp"], 63).await;
    post(&ledger, &letter(Event::Imported, "ED")).await;
    erp.run_once(after(70)).await.unwrap();
    for minute in [140, 141, 142] {
        look(&mut eyes, &["erp"], minute).await;
    }
    let told = news(&ledger).await;
    assert!(
        matches!(
            &told[..],
            [
                Cause::HandoffFailing { .. },
                Cause::HandoffBack { .. },
                Cause::HandoffFailing { .. }
            ]
        ),
        "{told:?}"
    );
}

#[tokio::test]
async fn an_alarm_of_a_clock_that_was_ahead_ends_all_the_same() {
    let (ledger, _home) = ledger().await;
    let server = ScriptedHttp::start(|turn, _| says(if turn == 0 { 503 } else { 200 })).await;
    post(&ledger, &letter(Event::Imported, "EC")).await;
    let erp = dispatcher(&ledger, to_server(&server));
    erp.run_once(now()).await.unwrap();
    let year = 365 * 24 * 60;
    let mut eyes = keeper(&ledger, 0);
    for minute in [year, year + 1] {
        look(&mut eyes, &["erp"], minute).await;
    }
    erp.run_once(after(5)).await.unwrap();
    look(&mut eyes, &["erp"], 6).await;
    let told = news(&ledger).await;
    assert!(
        matches!(&told[..], [_, Cause::HandoffBack { alarmed_at, .. }] if *alarmed_at == after(year + 1)),
        "{told:?}"
    );
}
