//! No more letters in a minute than a provider allows, and patience that a person renews.

use std::collections::BTreeMap;

use invoice_trackd::{delivery::Dispatcher, ledger::Ledger};
use jiff::{SignedDuration, Timestamp};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use tempfile::TempDir;

use crate::support::{
    outbox::{
        after, confirmation, did, dispatcher, pass, post, raise, start, state_of_the_outbox,
        to_scripted,
    },
    scripted_smtp::{Does, ScriptedSmtp},
};

async fn limited(server: &ScriptedSmtp, max_per_minute: u32) -> (Dispatcher, TempDir) {
    let (mut dispatcher, home) = dispatcher(to_scripted(server)).await;
    dispatcher.patience.max_per_minute = max_per_minute;
    (dispatcher, home)
}

async fn post_many(ledger: &Ledger, count: usize) {
    for number in 0..count {
        let letter = confirmation(&format!("letter{number}"), &["ops@example.com"]);
        post(ledger, &letter).await;
    }
}

/// Attempts that came as far as the server, until now.
fn attempts(server: &ScriptedSmtp) -> usize {
    let commands = server.commands();
    commands.iter().filter(|c| c.starts_with("MAIL")).count()
}

/// No minute holds more than `most` of these attempts. Each is counted at its pass, which began
/// some milliseconds earlier, so a minute is a second shorter here.
fn assert_pace(attempts: &BTreeMap<Timestamp, usize>, most: usize) {
    for first in attempts.keys() {
        let minute = *first..*first + SignedDuration::from_secs(59);
        let count: usize = attempts.range(minute).map(|(_, count)| count).sum();
        assert!(count <= most, "{count} from {first}: {attempts:?}");
    }
}

#[tokio::test]
async fn a_minute_has_no_more_letters_than_allowed_and_alerts_go_first() {
    let server = ScriptedSmtp::start(&[]).await;
    let (mut dispatcher, home) = limited(&server, 3).await;
    post_many(&dispatcher.ledger, 7).await;
    let first = dispatcher.run_once(after(0)).await.unwrap();
    assert_eq!(did(&first), pass(3, 0, 0));

    // Another process on the same ledger has no minute of its own, and does not wait longer.
    dispatcher.ledger.clone().close().await;
    dispatcher.ledger = Ledger::open(&home.path().join("ledger.db"), start())
        .await
        .unwrap();
    raise(&dispatcher.ledger, 1, after(30)).await;
    let held = dispatcher.run_once(after(30)).await.unwrap();
    assert_eq!((did(&held), held.next), (pass(0, 0, 0), first.next));
    let next = held.next.unwrap();
    assert!(next > after(60) && next < after(80), "{next}");

    let early = next - SignedDuration::from_secs(5);
    assert_eq!(did(&dispatcher.run_once(early).await.unwrap()), (0, 0, 0));
    // The three were attempted one after another, and so are the next ones allowed.
    let mut now = next;
    while server.messages().len() < 6 {
        let pass = dispatcher.run_once(now).await.unwrap();
        now = pass.next.unwrap();
    }
    assert!(server.messages()[3].contains(".alert@example.com>"));
    while let Some(next) = dispatcher.run_once(now).await.unwrap().next {
        now = next;
    }
    assert_eq!(state_of_the_outbox(&dispatcher.ledger).await, "8 sent");
    assert!(now > after(120), "{now}");
}

#[tokio::test]
async fn a_letter_that_is_retried_counts_each_time() {
    let server = ScriptedSmtp::start(&[("RCPT", Does::Says("451 4.7.1 later"))]).await;
    let (dispatcher, _home) = limited(&server, 4).await;
    post_many(&dispatcher.ledger, 6).await;
    let (mut now, mut counted) = (start(), BTreeMap::new());
    while now < after(600) {
        let before = attempts(&server);
        let pass = dispatcher.run_once(now).await.unwrap();
        *counted.entry(now).or_default() += attempts(&server) - before;
        let next = pass.next.unwrap();
        assert!(next > now, "the loop would turn without end at {now}");
        now = next;
    }
    assert_pace(&counted, 4);
    assert!(counted.values().sum::<usize>() > 12, "{counted:?}");
}

#[tokio::test]
async fn where_the_pace_is_limited_a_letter_is_tried_once_a_minute_at_most() {
    let server = ScriptedSmtp::start(&[("RCPT", Does::Says("451 4.7.1 later"))]).await;
    let (dispatcher, _home) = limited(&server, 100).await;
    post_many(&dispatcher.ledger, 1).await;
    let first = dispatcher.run_once(after(0)).await.unwrap();
    assert_eq!(did(&first), pass(0, 1, 0));
    assert!(first.next >= Some(after(60)), "{first:?}");
}

#[tokio::test]
async fn a_server_that_is_down_puts_all_off_at_once_however_few_are_allowed() {
    let server = ScriptedSmtp::start(&[("EHLO", Does::Says("421 4.3.2 going down"))]).await;
    let (dispatcher, _home) = limited(&server, 1).await;
    post_many(&dispatcher.ledger, 5).await;
    let down = dispatcher.run_once(after(0)).await.unwrap();
    assert_eq!(did(&down), pass(0, 5, 0));
}

#[tokio::test]
async fn a_clock_set_back_holds_letters_for_a_minute_at_most() {
    let server = ScriptedSmtp::start(&[]).await;
    let (dispatcher, _home) = limited(&server, 2).await;
    post_many(&dispatcher.ledger, 4).await;
    let ahead = dispatcher.run_once(after(100_000)).await.unwrap();
    assert_eq!(did(&ahead), pass(2, 0, 0));
    let back = dispatcher.run_once(after(0)).await.unwrap();
    assert_eq!((did(&back), back.next), (pass(2, 0, 0), None));
}

#[tokio::test]
async fn a_letter_that_a_person_retries_has_its_three_days_again() {
    let server = ScriptedSmtp::start(&[("RCPT TO:<ops@", Does::Says("451 4.7.1 later"))]).await;
    let (dispatcher, home) = dispatcher(to_scripted(&server)).await;
    let day = |day: i64| after(day * 24 * 3600);
    post_many(&dispatcher.ledger, 1).await;
    // Given up long ago, and called back today.
    let url = format!("sqlite://{}", home.path().join("ledger.db").display());
    let mut sql = SqliteConnection::connect(&url).await.unwrap();
    let retried = format!(
        "UPDATE outbox SET attempts = 40, patient_since = '{0:.3}', next_attempt_at = '{0:.3}'",
        day(30)
    );
    sqlx::raw_sql(AssertSqlSafe(retried))
        .execute(&mut sql)
        .await
        .unwrap();
    sql.close().await.unwrap();
    for at in [30, 31, 32] {
        let made = dispatcher.run_once(day(at)).await.unwrap();
        assert_eq!(did(&made), pass(0, 1, 0), "day {at}");
    }
    let over = dispatcher.run_once(day(33)).await.unwrap();
    assert_eq!(did(&over), pass(1, 0, 1));
}
