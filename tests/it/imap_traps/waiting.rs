//! NOOP and IDLE: refusals, silence, keepalives, and news that comes at an awkward moment.

use std::{fmt::Write, time::Duration};

use invoice_trackd::mailbox::{Bounds, Known, MailboxError, UidSet, Want};
use tokio::time::timeout;

use super::{HEADER, LONG, MIDDLE, PATIENT, SHORT, assert_dead, open, refusal, whole};
use crate::support::scripted_imap::{Peer, ScriptedImap, head};

#[tokio::test]
async fn a_hundred_and_fifty_updates_do_not_hide_the_new_message() {
    let server = ScriptedImap::start(|mut peer: Peer| async move {
        peer.open("IDLE", 150).await;
        let mut noise = String::from("* SEARCH 1\r\n");
        for sequence in 1..=150 {
            write!(noise, "* {sequence} FETCH (FLAGS (\\Seen))\r\n").unwrap();
        }
        noise.push_str("* 151 EXISTS\r\n");
        peer.expect("UID SEARCH ALL").await.ok(&noise).await;
        peer.must_leave().await;
    })
    .await;
    let mut link = open(&server, PATIENT).await.unwrap();
    link.survey(&Known::default()).await.unwrap();
    timeout(LONG / 2, link.wait(Duration::MAX))
        .await
        .expect("the EXISTS was lost")
        .unwrap();
    drop(link);
    server.finish().await;
}

/// Opens with IDLE announced and two messages, surveys, then waits while `script` runs.
async fn wait_while<F>(bounds: Bounds, script: fn(Peer) -> F) -> Result<(), MailboxError>
where
    F: Future<Output = ()> + Send + 'static,
{
    let server = ScriptedImap::start(move |mut peer: Peer| async move {
        peer.open("IDLE", 2).await;
        peer.expect("UID SEARCH ALL")
            .await
            .ok("* SEARCH 4 9\r\n")
            .await;
        script(peer).await;
    })
    .await;
    let mut link = open(&server, bounds).await.unwrap();
    link.survey(&Known::default()).await.unwrap();
    let waited = timeout(LONG, link.wait(Duration::MAX))
        .await
        .expect("the wait is not bounded");
    if waited.is_err() {
        assert_dead(&mut link).await;
    }
    drop(link);
    server.finish().await;
    waited
}

#[tokio::test]
async fn a_noop_answered_no_is_no_sign_of_life() {
    let waited = wait_while(PATIENT, |mut peer| async move {
        peer.expect("NOOP").await.answer("TAG NO later\r\n").await;
        peer.must_leave().await;
    });
    assert_eq!(refusal(&waited.await.unwrap_err()), "NO later");
}

#[tokio::test]
async fn a_noop_answered_bad_is_no_sign_of_life() {
    let waited = wait_while(PATIENT, |mut peer| async move {
        peer.expect("NOOP").await.answer("TAG BAD what\r\n").await;
        peer.must_leave().await;
    });
    assert_eq!(refusal(&waited.await.unwrap_err()), "BAD what");
}

#[tokio::test]
async fn a_noop_answered_bye_is_no_sign_of_life() {
    let waited = wait_while(PATIENT, |mut peer| async move {
        peer.expect("NOOP")
            .await
            .answer("* BYE shutting down\r\n")
            .await;
    });
    assert_eq!(refusal(&waited.await.unwrap_err()), "BYE shutting down");
}

#[tokio::test]
async fn idle_answered_no_is_an_error_and_not_a_wait_for_ever() {
    let waited = wait_while(PATIENT, |mut peer| async move {
        peer.expect("NOOP").await.ok("").await;
        peer.expect("IDLE")
            .await
            .answer("TAG NO idle refused\r\n")
            .await;
        peer.must_leave().await;
    });
    assert_eq!(refusal(&waited.await.unwrap_err()), "NO idle refused");
}

#[tokio::test]
async fn the_end_of_the_stream_in_idle_is_an_error_and_not_an_interruption() {
    let waited = wait_while(PATIENT, |mut peer| async move {
        peer.expect("NOOP").await.ok("").await;
        peer.expect("IDLE").await.answer("+ idling\r\n").await;
    });
    let error = waited.await.unwrap_err();
    assert!(matches!(error, MailboxError::Closed { .. }), "{error:?}");
}

#[tokio::test]
async fn bye_in_idle_is_an_error_and_not_news() {
    let waited = wait_while(PATIENT, |mut peer| async move {
        peer.expect("NOOP").await.ok("").await;
        peer.expect("IDLE")
            .await
            .answer("+ idling\r\n* BYE timeout\r\n")
            .await;
    });
    assert_eq!(refusal(&waited.await.unwrap_err()), "BYE timeout");
}

#[tokio::test]
async fn a_server_that_falls_silent_in_idle_is_found_out_by_done() {
    let bounds = Bounds {
        idle: SHORT,
        done: SHORT,
        ..PATIENT
    };
    let waited = wait_while(bounds, |mut peer| async move {
        peer.expect("NOOP").await.ok("").await;
        peer.expect("IDLE").await.answer("+ idling\r\n").await;
        assert_eq!(peer.line().await.unwrap(), "DONE");
        peer.fall_silent().await;
    });
    let error = waited.await.unwrap_err();
    assert!(
        matches!(error, MailboxError::Timeout { within: SHORT, .. }),
        "{error:?}"
    );
    assert!(error.to_string().starts_with("end the wait"), "{error}");
}

#[tokio::test]
async fn a_server_that_never_lets_idle_begin_is_not_waited_for() {
    let bounds = Bounds {
        command: MIDDLE,
        ..PATIENT
    };
    let waited = wait_while(bounds, |mut peer| async move {
        peer.expect("NOOP").await.ok("").await;
        peer.expect("IDLE").await;
        peer.fall_silent().await;
    });
    let error = waited.await.unwrap_err();
    assert!(
        matches!(error, MailboxError::Timeout { within: MIDDLE, .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn done_answered_no_ends_the_session() {
    let bounds = Bounds {
        idle: SHORT,
        ..PATIENT
    };
    let waited = wait_while(bounds, |mut peer| async move {
        peer.expect("NOOP").await.ok("").await;
        let mut asked = peer.expect("IDLE").await;
        asked.go_on("+ idling\r\n").await;
        asked.done().await;
        asked.answer("TAG NO what\r\n").await;
        peer.fall_silent().await;
    });
    assert_eq!(refusal(&waited.await.unwrap_err()), "NO what");
}

#[tokio::test]
async fn a_keepalive_keeps_waiting_and_a_new_message_ends_the_wait() {
    let waited = wait_while(PATIENT, |mut peer| async move {
        peer.expect("NOOP").await.ok("").await;
        let mut asked = peer.expect("IDLE").await;
        // Neither a keepalive nor a count that we know is news: the client must say nothing yet.
        asked
            .go_on("+ idling\r\n* OK Still here\r\n* 2 EXISTS\r\n* 0 RECENT\r\n")
            .await;
        assert!(
            asked.is_quiet_for(SHORT).await,
            "a keepalive ended the wait"
        );
        asked.go_on("* 3 EXISTS\r\n").await;
        asked.done().await;
        asked.ok("").await;
        peer.must_leave().await;
    });
    waited.await.unwrap();
}

#[tokio::test]
async fn a_message_that_comes_as_another_goes_is_news() {
    let waited = wait_while(PATIENT, |mut peer| async move {
        peer.expect("NOOP").await.ok("").await;
        let mut asked = peer.expect("IDLE").await;
        // The count is the old one again.
        asked
            .go_on("+ idling\r\n* 1 EXPUNGE\r\n* 2 EXISTS\r\n")
            .await;
        asked.done().await;
        asked.ok("").await;
        peer.must_leave().await;
    });
    waited.await.unwrap();
}

#[tokio::test]
async fn a_flood_without_an_answer_is_not_listened_to_for_ever() {
    let waited = wait_while(PATIENT, |mut peer| async move {
        let mut asked = peer.expect("NOOP").await;
        let flood = "* 1 FETCH (FLAGS (\\Seen))\r\n".repeat(100_000);
        asked.go_on(&flood).await;
        peer.must_leave().await;
    });
    let error = waited.await.unwrap_err().to_string();
    assert!(error.contains("found too long a one"), "{error}");
}

#[tokio::test]
async fn an_idle_without_news_is_ended_in_time_and_the_session_goes_on() {
    let server = ScriptedImap::start(|mut peer: Peer| async move {
        peer.open("IDLE", 0).await;
        for _ in 0..2 {
            peer.expect("UID SEARCH ALL").await.ok("* SEARCH\r\n").await;
            peer.expect("NOOP").await.ok("").await;
            let mut asked = peer.expect("IDLE").await;
            asked.go_on("+ idling\r\n").await;
            asked.done().await;
            asked.ok("").await;
        }
        peer.must_leave().await;
    })
    .await;
    let bounds = Bounds {
        idle: SHORT,
        ..PATIENT
    };
    let mut link = open(&server, bounds).await.unwrap();
    for _ in 0..2 {
        assert_eq!(link.survey(&Known::default()).await.unwrap(), 0);
        assert_eq!(link.next_batch(&whole).await.unwrap(), None);
        timeout(LONG, link.wait(Duration::MAX))
            .await
            .unwrap()
            .unwrap();
    }
    drop(link);
    server.finish().await;
}

#[tokio::test]
async fn news_at_the_start_of_idle_ends_it_at_once() {
    let waited = wait_while(PATIENT, |mut peer| async move {
        peer.expect("NOOP").await.ok("").await;
        let mut asked = peer.expect("IDLE").await;
        asked.go_on("* 3 EXISTS\r\n+ idling\r\n").await;
        asked.done().await;
        asked.ok("").await;
        peer.must_leave().await;
    });
    waited.await.unwrap();
}

#[tokio::test]
async fn a_message_that_came_before_idle_is_not_waited_for() {
    let waited = wait_while(PATIENT, |mut peer| async move {
        peer.expect("NOOP")
            .await
            .ok("* 3 EXISTS\r\n* 1 RECENT\r\n")
            .await;
        peer.must_leave().await;
    });
    waited.await.unwrap();
}

#[tokio::test]
async fn a_message_that_came_during_a_fetch_is_not_waited_for() {
    let server = ScriptedImap::start(|mut peer: Peer| async move {
        peer.open("IDLE", 1).await;
        peer.expect("UID SEARCH ALL")
            .await
            .ok("* SEARCH 4\r\n")
            .await;
        let heads = head(1, 4, 50, HEADER) + "* 2 EXISTS\r\n";
        peer.expect("UID FETCH 4 ").await.ok(&heads).await;
        peer.expect("UID SEARCH ALL")
            .await
            .ok("* SEARCH 4 5\r\n")
            .await;
        peer.expect("NOOP")
            .await
            .answer("TAG NO the news is settled now\r\n")
            .await;
        peer.must_leave().await;
    })
    .await;
    let mut link = open(&server, PATIENT).await.unwrap();
    link.survey(&Known::default()).await.unwrap();
    link.next_batch(&|_, _| Want::Nothing).await.unwrap();
    link.wait(Duration::MAX).await.unwrap();
    let known = Known {
        uids: UidSet::from_iter([4]),
        ..Known::default()
    };
    assert_eq!(link.survey(&known).await.unwrap(), 1);
    link.wait(Duration::MAX).await.unwrap_err();
    drop(link);
    server.finish().await;
}

#[tokio::test]
async fn where_idle_is_missing_the_folder_is_polled() {
    let server = ScriptedImap::start(|mut peer: Peer| async move {
        peer.open("", 0).await;
        for _ in 0..3 {
            peer.expect("UID SEARCH ALL").await.ok("* SEARCH\r\n").await;
        }
        peer.must_leave().await;
    })
    .await;
    let mut link = open(&server, PATIENT).await.unwrap();
    for _ in 0..3 {
        link.survey(&Known::default()).await.unwrap();
        timeout(LONG, link.wait(Duration::MAX))
            .await
            .unwrap()
            .unwrap();
    }
    drop(link);
    server.finish().await;
}
