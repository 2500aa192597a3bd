//! The dispatcher on a real ledger: what is sent, when it is tried again, when it is given up.

use std::{path::Path, sync::Arc, time::Duration};

use invoice_trackd::{
    clock::Clock,
    delivery::{Dispatcher, Transport, Wake, compose},
    ledger::{Cause, LedgerError},
    pulse::Pulse,
};
use jiff::SignedDuration;
use sqlx::{Connection as _, SqliteConnection};
use tokio::{sync::watch, time::timeout};

use crate::support::{
    exim::Exim,
    outbox::{
        after, confirmation, did, dispatcher, pass, post, raise, start, state_of_the_outbox, style,
        to_exim, to_scripted,
    },
    scripted_smtp::{Does, Script, ScriptedSmtp},
};

/// For what takes milliseconds, on a machine that is busy with something else.
const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_letter_goes_out_once_byte_for_byte() {
    let exim = Exim::start();
    let (dispatcher, _home) = dispatcher(to_exim(&exim)).await;
    let letter = confirmation("one", &["ops@example.com"]);
    post(&dispatcher.ledger, &letter).await;
    post(&dispatcher.ledger, &letter).await;

    let first = dispatcher.run_once(after(1)).await.unwrap();
    assert_eq!((did(&first), first.next), (pass(1, 0, 0), None));
    let second = dispatcher.run_once(after(600)).await.unwrap();
    assert_eq!(did(&second), pass(0, 0, 0));
    let mails = exim.mails(1).await;
    assert_eq!(mails.len(), 1);
    let sent = String::from_utf8(letter.eml).unwrap().replace("\r\n", "\n");
    assert!(
        mails[0].ends_with(sent.split_once('\n').unwrap().1),
        "{}",
        mails[0]
    );
    assert!(mails[0].contains(&letter.message_id), "{}", mails[0]);
}

#[tokio::test]
async fn a_server_that_was_away_gets_everything_when_it_is_back() {
    let mut exim = Exim::start();
    let (dispatcher, _home) = dispatcher(to_exim(&exim)).await;
    for name in ["one", "two", "three"] {
        post(
            &dispatcher.ledger,
            &confirmation(name, &["ops@example.com"]),
        )
        .await;
    }
    exim.stop();
    let away = dispatcher.run_once(after(0)).await.unwrap();
    assert_eq!(did(&away), pass(0, 3, 0));
    exim.resume();
    let too_early = dispatcher.run_once(after(1)).await.unwrap();
    assert_eq!(did(&too_early), pass(0, 0, 0));
    assert_eq!(too_early.next, away.next);
    // All three failed for one reason and are tried again at one moment.
    let back = dispatcher
        .run_once(away.next.unwrap() + SignedDuration::from_secs(1))
        .await;
    assert_eq!(did(&back.unwrap()), pass(3, 0, 0));
    assert_eq!(exim.mails(3).await.len(), 3);
}

#[tokio::test]
async fn a_server_that_is_down_is_asked_once_a_pass() {
    let server = ScriptedSmtp::start(&[("EHLO", Does::Says("421 4.3.2 going down"))]).await;
    let (dispatcher, _home) = dispatcher(to_scripted(&server)).await;
    for name in ["one", "two", "three"] {
        post(
            &dispatcher.ledger,
            &confirmation(name, &["ops@example.com"]),
        )
        .await;
    }
    let down = dispatcher.run_once(after(0)).await.unwrap();
    assert_eq!(did(&down), pass(0, 3, 0));
    let greetings = server
        .commands()
        .iter()
        .filter(|line| line.starts_with("EHLO"))
        .count();
    assert_eq!(greetings, 1);
    // What failed together is tried again together: the server is not asked once a letter.
    let again = dispatcher.run_once(down.next.unwrap()).await.unwrap();
    assert_eq!(did(&again), pass(0, 3, 0));
}

#[tokio::test]
async fn an_attempt_that_was_cut_off_is_repeated_under_the_same_message_id() {
    let server = ScriptedSmtp::start(&[(".", Does::HangsUp)]).await;
    let (dispatcher, _home) = dispatcher(to_scripted(&server)).await;
    post(
        &dispatcher.ledger,
        &confirmation("one", &["ops@example.com"]),
    )
    .await;
    for seconds in [0, 10] {
        let cut = dispatcher.run_once(after(seconds)).await.unwrap();
        assert_eq!(did(&cut), pass(0, 1, 0));
    }
    let messages = server.messages();
    assert_eq!(messages.len(), 2);
    assert!(
        messages[0].contains("<one.confirmation@example.com>"),
        "{}",
        messages[0]
    );
    assert_eq!(messages[0], messages[1]);
}

#[tokio::test]
async fn retries_double_from_five_seconds_to_ten_minutes() {
    let server = ScriptedSmtp::start(&[("RCPT", Does::Says("451 4.7.1 greylisted"))]).await;
    let (dispatcher, _home) = dispatcher(to_scripted(&server)).await;
    post(
        &dispatcher.ledger,
        &confirmation("one", &["ops@example.com"]),
    )
    .await;
    let mut now = start();
    for full in [5, 10, 20, 40, 80, 160, 320, 600, 600] {
        let pass = dispatcher.run_once(now).await.unwrap();
        let next = pass.next.unwrap();
        let pause = next.duration_since(now).as_secs_f64();
        let full = f64::from(full);
        // The attempt itself takes its time, which counts on top.
        assert!(
            pause >= full / 2.0 && pause < full + SOON.as_secs_f64(),
            "{pause} of {full}"
        );
        now = next + SignedDuration::from_millis(1);
    }
}

#[tokio::test]
async fn a_letter_is_given_up_after_three_days_and_ten_attempts_and_people_are_told() {
    let script: Script = &[("RCPT TO:<ops@", Does::Says("451 4.7.1 later"))];
    let server = ScriptedSmtp::start(script).await;
    let (dispatcher, _home) = dispatcher(to_scripted(&server)).await;
    post(
        &dispatcher.ledger,
        &confirmation("one", &["ops@example.com"]),
    )
    .await;
    let days = |days: i64| after(days * 24 * 3600);
    // Four days, but only nine attempts: not yet.
    for attempt in 0..9 {
        let pass = dispatcher.run_once(days(attempt.min(4)) + SignedDuration::from_hours(attempt));
        assert_eq!(did(&pass.await.unwrap()), (0, 1, 0), "attempt {attempt}");
    }
    // The alert about it goes in the same pass.
    let tenth = dispatcher.run_once(days(5)).await.unwrap();
    assert_eq!(did(&tenth), pass(1, 0, 1));
    assert_eq!(
        state_of_the_outbox(&dispatcher.ledger).await,
        "1 failed, 1 sent"
    );
    assert!(
        server
            .commands()
            .contains(&"RCPT TO:<oncall@example.com>".to_owned())
    );
}

#[tokio::test]
async fn ten_attempts_within_three_days_are_not_enough_to_give_up() {
    let server = ScriptedSmtp::start(&[("RCPT", Does::Says("451 4.7.1 later"))]).await;
    let (dispatcher, _home) = dispatcher(to_scripted(&server)).await;
    post(
        &dispatcher.ledger,
        &confirmation("one", &["ops@example.com"]),
    )
    .await;
    for attempt in 0..15 {
        let pass = dispatcher.run_once(after(attempt * 3600)).await.unwrap();
        assert_eq!(did(&pass), (0, 1, 0));
    }
}

#[tokio::test]
async fn an_alert_is_never_given_up() {
    let server = ScriptedSmtp::start(&[("RCPT", Does::Says("550 5.1.1 unknown"))]).await;
    let (dispatcher, _home) = dispatcher(to_scripted(&server)).await;
    raise(&dispatcher.ledger, 1, start()).await;
    for day in 0..15 {
        let pass = dispatcher.run_once(after(day * 24 * 3600)).await.unwrap();
        assert_eq!(did(&pass), (0, 1, 0));
    }
    assert_eq!(state_of_the_outbox(&dispatcher.ledger).await, "1 pending");
}

#[tokio::test]
async fn a_recipient_refused_for_good_is_not_asked_again_and_people_are_told() {
    let script: Script = &[
        ("RCPT TO:<gone@", Does::Says("550 5.1.1 no such user")),
        ("RCPT TO:<slow@", Does::Says("451 4.7.1 later")),
    ];
    let server = ScriptedSmtp::start(script).await;
    let (dispatcher, _home) = dispatcher(to_scripted(&server)).await;
    let recipients = ["gone@example.com", "slow@example.com", "ops@example.com"];
    post(&dispatcher.ledger, &confirmation("one", &recipients)).await;

    // The letter is put off for the one, and the alert about the other goes in the same pass.
    let first = dispatcher.run_once(after(0)).await.unwrap();
    assert_eq!(did(&first), pass(1, 1, 0));
    let second = dispatcher.run_once(after(60)).await.unwrap();
    assert_eq!(did(&second), pass(0, 1, 0));
    let asked = |who: &str| {
        let line = format!("RCPT TO:<{who}@example.com>");
        server
            .commands()
            .iter()
            .filter(|command| **command == line)
            .count()
    };
    assert_eq!(
        (asked("gone"), asked("ops"), asked("slow"), asked("oncall")),
        (1, 1, 2, 1)
    );
    let alert = server.messages().pop().unwrap();
    assert!(alert.contains(".alert@example.com>"), "{alert}");
}

#[tokio::test]
async fn people_are_told_of_a_refused_recipient_when_all_others_have_it_at_once() {
    let script: Script = &[("RCPT TO:<gone@", Does::Says("550 5.1.1 no such user"))];
    let server = ScriptedSmtp::start(script).await;
    let (dispatcher, _home) = dispatcher(to_scripted(&server)).await;
    let recipients = ["gone@example.com", "ops@example.com"];
    post(&dispatcher.ledger, &confirmation("one", &recipients)).await;
    let only = dispatcher.run_once(start()).await.unwrap();
    assert_eq!(did(&only), pass(2, 0, 0));
    let alert = server.messages().pop().unwrap();
    assert!(alert.contains(".alert@example.com>"), "{alert}");
}

#[tokio::test]
async fn the_first_alert_goes_at_once_and_those_that_follow_go_together() {
    let server = ScriptedSmtp::start(&[]).await;
    let (dispatcher, _home) = dispatcher(to_scripted(&server)).await;
    raise(&dispatcher.ledger, 1, after(0)).await;
    let first = dispatcher.run_once(after(0)).await.unwrap();
    assert_eq!((did(&first), first.next), (pass(1, 0, 0), None));

    for id in 2..=61 {
        raise(&dispatcher.ledger, id, after(10)).await;
    }
    let waiting = dispatcher.run_once(after(299)).await.unwrap();
    assert_eq!(did(&waiting), pass(0, 0, 0));
    assert_eq!(waiting.next, Some(after(300)));
    let open = dispatcher.run_once(after(300)).await.unwrap();
    assert_eq!((did(&open), open.next), (pass(1, 0, 0), None));

    // Long after, an alert is a first one again.
    raise(&dispatcher.ledger, 62, after(5000)).await;
    let later = dispatcher.run_once(after(5000)).await.unwrap();
    assert_eq!(did(&later), pass(1, 0, 0));
    assert_eq!(server.messages().len(), 3);
}

#[tokio::test]
async fn an_alert_goes_before_letters_that_have_waited_longer() {
    let server = ScriptedSmtp::start(&[]).await;
    let (dispatcher, _home) = dispatcher(to_scripted(&server)).await;
    for name in ["one", "two", "three"] {
        post(
            &dispatcher.ledger,
            &confirmation(name, &["ops@example.com"]),
        )
        .await;
    }
    raise(&dispatcher.ledger, 1, after(60)).await;
    let pass_made = dispatcher.run_once(after(60)).await.unwrap();
    assert_eq!(did(&pass_made), pass(4, 0, 0));
    assert!(server.messages()[0].contains(".alert@example.com>"));
}

#[tokio::test]
async fn the_same_alert_bears_the_same_id_in_every_ledger() {
    let mut ids = Vec::new();
    for when in [0, 5000] {
        let server = ScriptedSmtp::start(&[]).await;
        let (dispatcher, _home) = dispatcher(to_scripted(&server)).await;
        raise(&dispatcher.ledger, 1, after(when)).await;
        dispatcher.run_once(after(when)).await.unwrap();
        let message = server.messages().pop().unwrap();
        let id = message.lines().find(|line| line.starts_with("Message-ID:"));
        ids.push(id.unwrap().to_owned());
    }
    assert_eq!(ids[0], ids[1]);
}

#[tokio::test]
async fn a_clock_set_back_does_not_hold_alerts() {
    let server = ScriptedSmtp::start(&[]).await;
    let (dispatcher, _home) = dispatcher(to_scripted(&server)).await;
    raise(&dispatcher.ledger, 1, after(100_000)).await;
    assert_eq!(
        did(&dispatcher.run_once(after(100_000)).await.unwrap()),
        pass(1, 0, 0)
    );
    raise(&dispatcher.ledger, 2, after(0)).await;
    assert_eq!(
        did(&dispatcher.run_once(after(0)).await.unwrap()),
        pass(1, 0, 0)
    );
    // From here on windows are windows again.
    raise(&dispatcher.ledger, 3, after(1)).await;
    assert_eq!(
        did(&dispatcher.run_once(after(1)).await.unwrap()),
        pass(0, 0, 0)
    );
}

#[tokio::test]
async fn a_clock_set_back_does_not_hold_letters() {
    const FAR: i64 = 80 * 365 * 24 * 3600;
    let server = ScriptedSmtp::start(&[("RCPT", Does::Says("451 4.3.0 later"))]).await;
    let (dispatcher, _home) = dispatcher(to_scripted(&server)).await;
    post(&dispatcher.ledger, &confirmation("a", &["ops@example.com"])).await;
    // The second moment is due by the clock as it is now, the third one is not yet.
    for (now, expected) in [(FAR, 1), (0, 1), (1, 0)] {
        let made = dispatcher.run_once(after(now)).await.unwrap();
        assert_eq!(did(&made), pass(0, expected, 0), "{now}");
    }
}

#[tokio::test]
async fn alerts_wait_for_somebody_to_be_told() {
    let server = ScriptedSmtp::start(&[]).await;
    let (mut dispatcher, _home) = dispatcher(to_scripted(&server)).await;
    dispatcher.style.alert_to.clear();
    raise(&dispatcher.ledger, 1, after(0)).await;
    let nobody = dispatcher.run_once(after(0)).await.unwrap();
    assert_eq!((did(&nobody), nobody.next), (pass(0, 0, 0), None));
    dispatcher.style = style();
    assert_eq!(
        did(&dispatcher.run_once(after(1)).await.unwrap()),
        pass(1, 0, 0)
    );
}

/// Waits until `name` is in the directory.
async fn appears(directory: &Path, name: &str) {
    let file = directory.join(name);
    let appearing = async {
        while !file.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(
        timeout(SOON, appearing).await.is_ok(),
        "{name} did not appear"
    );
}

#[tokio::test]
async fn the_loop_takes_up_what_a_dead_process_left_and_what_it_is_woken_for() {
    let mail = tempfile::tempdir().unwrap();
    let (dispatcher, _home) = dispatcher(Transport::Directory(mail.path().to_owned())).await;
    let ledger = dispatcher.ledger.clone();
    post(&ledger, &confirmation("left", &["ops@example.com"])).await;
    // A process that took the letter, and died.
    let lease = ledger
        .lease(None, start(), start(), after(660))
        .await
        .unwrap();
    assert!(lease.is_some());

    let clock = Clock::manual(start());
    let wake = Wake::default();
    let (_stop, running_on) = watch::channel(false);
    let running = tokio::spawn({
        let wake = wake.clone();
        async move {
            run(dispatcher, &clock, &wake, running_on).await;
        }
    });
    appears(mail.path(), "left.confirmation.eml").await;
    // Until the pass is over, so that the wake-up and not that pass brings the next one: it asks
    // the ledger twice more, and we stand in the same queue.
    while ledger.outbox_counts().await.unwrap()["sent"] == 0 {
        tokio::task::yield_now().await;
    }
    for _ in 0..50 {
        ledger.begin().await.unwrap();
    }
    post(&ledger, &confirmation("woken", &["ops@example.com"])).await;
    wake.everybody();
    appears(mail.path(), "woken.confirmation.eml").await;
    assert!(!running.is_finished());
    running.abort();
}

#[tokio::test]
async fn what_a_dead_process_left_is_taken_up_although_the_ledger_fails_at_first() {
    let mail = tempfile::tempdir().unwrap();
    let (dispatcher, home) = dispatcher(Transport::Directory(mail.path().to_owned())).await;
    let ledger = dispatcher.ledger.clone();
    post(&ledger, &confirmation("left", &["ops@example.com"])).await;
    let lease = ledger
        .lease(None, start(), start(), after(660))
        .await
        .unwrap();
    assert!(lease.is_some());
    let url = format!("sqlite://{}", home.path().join("ledger.db").display());
    let mut sql = SqliteConnection::connect(&url).await.unwrap();
    let full = "CREATE TRIGGER full BEFORE UPDATE ON outbox
                BEGIN SELECT raise(ABORT, 'database or disk is full'); END";
    sqlx::raw_sql(full).execute(&mut sql).await.unwrap();

    let (_orders, current) = watch::channel(Arc::new(dispatcher));
    let (_stop, running_on) = watch::channel(false);
    let (failed, mut fails) = watch::channel(0);
    let running = tokio::spawn(async move {
        let (clock, wake) = (Clock::manual(start()), Wake::default());
        let pulse = Pulse::new(Duration::ZERO);
        let passed = |pass: &Result<_, _>| {
            failed.send_modify(|failures| *failures += u32::from(pass.is_err()));
        };
        Dispatcher::run(current, &clock, &wake, &pulse, running_on, passed).await
    });
    let failing = fails.wait_for(|failures| *failures >= 1);
    timeout(SOON, failing).await.unwrap().unwrap();
    let empty = "DROP TRIGGER full";
    sqlx::raw_sql(empty).execute(&mut sql).await.unwrap();
    appears(mail.path(), "left.confirmation.eml").await;
    running.abort();
}

#[tokio::test]
async fn a_ledger_that_was_deleted_ends_the_loop() {
    let mail = tempfile::tempdir().unwrap();
    let (dispatcher, home) = dispatcher(Transport::Directory(mail.path().to_owned())).await;
    std::fs::remove_file(home.path().join("ledger.db")).unwrap();
    let (_orders, current) = watch::channel(Arc::new(dispatcher));
    let (_stop, running_on) = watch::channel(false);
    let (clock, wake) = (Clock::manual(start()), Wake::default());
    let pulse = Pulse::new(Duration::ZERO);
    let running = Dispatcher::run(current, &clock, &wake, &pulse, running_on, |_| {});
    let ended = timeout(SOON, running).await.expect("it goes on");
    assert!(matches!(ended, Err(LedgerError::Replaced { .. })));
}

#[tokio::test]
async fn told_to_stop_the_loop_sees_the_letter_in_hand_to_its_end_and_begins_no_other() {
    let server = ScriptedSmtp::start(&[(".", Does::Ponders("250 2.0.0 taken"))]).await;
    let (dispatcher, _home) = dispatcher(to_scripted(&server)).await;
    let ledger = dispatcher.ledger.clone();
    for name in ["first", "second"] {
        post(&ledger, &confirmation(name, &["ops@example.com"])).await;
    }
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(async move {
        let (clock, wake) = (Clock::manual(start()), Wake::default());
        run(dispatcher, &clock, &wake, stopped).await;
    });
    let handed_over = async {
        while server.messages().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, handed_over).await.unwrap();

    // As the daemon says it.
    stop.send(true).unwrap();
    timeout(SOON, running).await.unwrap().unwrap();
    let counts = ledger.outbox_counts().await.unwrap();
    assert_eq!((counts["sent"], counts["pending"]), (1, 1), "{counts:?}");
    assert_eq!(server.messages().len(), 1);
}

#[tokio::test]
async fn a_composed_alert_reaches_a_real_mailbox_readable() {
    let exim = Exim::start();
    let (dispatcher, _home) = dispatcher(to_exim(&exim)).await;
    raise(&dispatcher.ledger, 1, start()).await;
    let mut transaction = dispatcher.ledger.begin().await.unwrap();
    let alerts = transaction.pending::<Cause>().await.unwrap();
    drop(transaction);
    let letter = compose::alert(&alerts, &dispatcher.style, start()).unwrap();

    assert_eq!(
        did(&dispatcher.run_once(start()).await.unwrap()),
        pass(1, 0, 0)
    );
    let mails = exim.mails(1).await;
    let mail = mail_parser::MessageParser::default()
        .parse(mails[0].as_bytes())
        .unwrap();
    assert_eq!(
        mail.subject(),
        Some("需要處理：配號通知未匯入，號碼與另一段號碼重疊（einvoice）")
    );
    assert_eq!(
        mail.message_id().map(|id| format!("<{id}>")),
        Some(letter.message_id)
    );
    assert!(
        mails[0].contains("\nAuto-Submitted: auto-generated\n"),
        "{}",
        mails[0]
    );
    assert!(
        mail.body_text(0)
            .unwrap()
            .starts_with("一封配號通知沒有匯入")
    );
}

/// [`Dispatcher::run`] with the same dispatcher to the end.
async fn run(dispatcher: Dispatcher, clock: &Clock, wake: &Wake, stopped: watch::Receiver<bool>) {
    let (_orders, current) = watch::channel(Arc::new(dispatcher));
    let pulse = Pulse::new(Duration::ZERO);
    let running = Dispatcher::run(current, clock, wake, &pulse, stopped, |_| {});
    running.await.unwrap();
}
