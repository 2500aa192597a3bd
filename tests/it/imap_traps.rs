//! What servers do to clients, one test each: refusals, cuts, silence, noise. Every one of these
//! has made some client report success, hang, or lose mail.

use std::time::Duration;

use invoice_trackd::mailbox::{
    Bounds, Imap, Known, Link, MailboxError, Origin, RawMessage, Source, Want,
};
use tokio::time::timeout;

use crate::support::{
    daemon::unwatched,
    scripted_imap::{Peer, ScriptedImap},
};

mod fetching;
mod opening;
mod waiting;

const HEADER: &str = "From: a@example.com\r\nSubject: hello\r\n\r\n";
const MESSAGE: &str = "From: a@example.com\r\nSubject: hello\r\n\r\nGood day.\r\n";

/// Where a test must not run into the bound; where it must; and where it must, but only after
/// commands under the same bound that have been answered.
const LONG: Duration = Duration::from_secs(15);
const SHORT: Duration = Duration::from_millis(300);
const MIDDLE: Duration = Duration::from_secs(2);

const PATIENT: Bounds = Bounds {
    connect: LONG,
    command: LONG,
    answer: Duration::from_secs(60),
    idle: LONG,
    done: LONG,
    poll: SHORT,
    refile: LONG,
};

async fn open(server: &ScriptedImap, bounds: Bounds) -> Result<Link, MailboxError> {
    Source::Imap(Imap::new(server.settings(bounds)))
        .open(&unwatched())
        .await
}

fn whole(_: &[u8], _: u64) -> Want {
    Want::Whole
}

fn uids(batch: &[RawMessage]) -> Vec<u32> {
    batch
        .iter()
        .map(|message| match message.origin {
            Origin::Imap { uid, .. } => uid,
            _ => panic!("not from IMAP: {message:?}"),
        })
        .collect()
}

fn refusal(error: &MailboxError) -> &str {
    match error {
        MailboxError::Refused { answer, .. } => answer,
        other => panic!("expected a refusal, found {other:?}"),
    }
}

/// The link is dead: whatever is asked next, nothing more goes out.
async fn assert_dead(link: &mut Link) {
    let error = link.survey(&Known::default()).await.unwrap_err();
    assert!(matches!(error, MailboxError::Protocol { .. }), "{error:?}");
    assert!(
        error.to_string().contains("expected an open session"),
        "{error}"
    );
}

/// Answers one SEARCH with `answer`; returns what the survey made of it.
async fn survey_of(answer: &'static str) -> MailboxError {
    let server = ScriptedImap::start(move |mut peer: Peer| async move {
        peer.open("", 3).await;
        peer.expect("UID SEARCH ALL").await.answer(answer).await;
        if answer.contains("TAG") {
            peer.must_leave().await;
        }
    })
    .await;
    let mut link = open(&server, PATIENT).await.unwrap();
    let error = link.survey(&Known::default()).await.unwrap_err();
    assert_dead(&mut link).await;
    drop(link);
    server.finish().await;
    error
}

#[tokio::test]
async fn a_search_answered_no_is_not_an_empty_mailbox() {
    assert_eq!(refusal(&survey_of("TAG NO busy\r\n").await), "NO busy");
}

#[tokio::test]
async fn a_search_answered_bad_is_not_an_empty_mailbox() {
    let error = survey_of("TAG BAD User is authenticated but not connected.\r\n").await;
    assert_eq!(
        refusal(&error),
        "BAD User is authenticated but not connected."
    );
}

#[tokio::test]
async fn a_search_cut_before_its_tag_is_not_a_list() {
    let error = survey_of("* SEARCH 1 2\r\n").await;
    assert!(matches!(error, MailboxError::Closed { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        "list the folder: the server closed the connection"
    );
}

#[tokio::test]
async fn a_search_that_says_ok_and_nothing_else_is_not_an_empty_mailbox() {
    let error = survey_of("TAG OK done\r\n").await;
    assert!(matches!(error, MailboxError::Protocol { .. }), "{error:?}");
}

#[tokio::test]
async fn an_answer_to_another_command_is_not_ours() {
    let error = survey_of("* SEARCH 999\r\na77 OK done\r\n").await;
    assert!(error.to_string().contains("found a77"), "{error}");
}

#[tokio::test]
async fn a_response_that_cannot_be_parsed_ends_the_session_and_is_not_quoted() {
    let error = survey_of("* SEARCH one two\r\nTAG OK done\r\n").await;
    assert!(matches!(error, MailboxError::Protocol { .. }), "{error:?}");
    assert!(!error.to_string().contains("one two"), "{error}");
}

#[tokio::test]
async fn a_folder_of_twenty_thousand_messages_is_listed_in_one_line() {
    let server = ScriptedImap::start(|mut peer: Peer| async move {
        peer.open("", 20_000).await;
        let uids: String = (1..=20_000)
            .map(|n| format!(" {}", 4_000_000_000_u32 + 2 * n))
            .collect();
        let listed = format!("* SEARCH{uids}\r\n");
        peer.expect("UID SEARCH ALL").await.ok(&listed).await;
        // RFC 2683 §3.2.1.5: even the widest of gaps must not make a line of 1000 bytes.
        let asked = peer.expect("UID FETCH 4000000002,4000000004,").await;
        assert!(asked.line.len() < 1000, "{}", asked.line);
        asked.ok("").await;
    })
    .await;
    let mut link = open(&server, PATIENT).await.unwrap();
    let missing = link.survey(&Known::default()).await.unwrap();
    assert_eq!(missing, 20_000);
    assert_eq!(link.next_batch(&whole).await.unwrap(), Some(Vec::new()));
    drop(link);
    server.finish().await;
}

#[tokio::test]
async fn a_cancelled_command_is_never_answered_to_the_next_one() {
    let server = ScriptedImap::start(|mut peer: Peer| async move {
        peer.open("", 3).await;
        let asked = peer.expect("UID SEARCH ALL").await;
        assert!(
            asked.hangs_up().await,
            "the connection outlived its command"
        );
    })
    .await;
    let mut link = open(&server, PATIENT).await.unwrap();
    timeout(SHORT, link.survey(&Known::default()))
        .await
        .unwrap_err();
    assert_dead(&mut link).await;
    server.finish().await;
}

#[tokio::test]
async fn a_silent_server_is_given_up_and_its_late_answer_never_read() {
    let server = ScriptedImap::start(|mut peer: Peer| async move {
        peer.open("", 3).await;
        let asked = peer.expect("UID SEARCH ALL").await;
        assert!(
            asked.hangs_up().await,
            "the connection outlived its command"
        );
    })
    .await;
    let bounds = Bounds {
        command: MIDDLE,
        ..PATIENT
    };
    let mut link = open(&server, bounds).await.unwrap();
    let error = link.survey(&Known::default()).await.unwrap_err();
    assert!(
        matches!(error, MailboxError::Timeout { within: MIDDLE, .. }),
        "{error:?}"
    );
    assert_dead(&mut link).await;
    server.finish().await;
}

#[tokio::test]
async fn a_slow_answer_that_keeps_coming_is_waited_for() {
    let server = ScriptedImap::start(|mut peer: Peer| async move {
        peer.open("", 3).await;
        let pause = MIDDLE * 2 / 5;
        let mut asked = peer.expect("UID SEARCH ALL").await;
        // Three pieces of one response, each within the bound, all of them together past it.
        for piece in ["* SEA", "RCH 4", " 5"] {
            asked.go_on(piece).await;
            assert!(asked.is_quiet_for(pause).await);
        }
        asked.ok("\r\n").await;
        peer.must_leave().await;
    })
    .await;
    let bounds = Bounds {
        command: MIDDLE,
        ..PATIENT
    };
    let mut link = open(&server, bounds).await.unwrap();
    assert_eq!(link.survey(&Known::default()).await.unwrap(), 2);
    drop(link);
    server.finish().await;
}

#[tokio::test]
async fn an_answer_that_drips_for_ever_is_given_up() {
    let server = ScriptedImap::start(|mut peer: Peer| async move {
        peer.open("", 3).await;
        let mut asked = peer.expect("UID SEARCH ALL").await;
        while asked.is_quiet_for(SHORT).await {
            asked.go_on("* OK Still here\r\n").await;
        }
    })
    .await;
    let bounds = Bounds {
        answer: MIDDLE,
        ..PATIENT
    };
    let mut link = open(&server, bounds).await.unwrap();
    let error = timeout(LONG, link.survey(&Known::default())).await;
    let error = error.expect("it is waited for").unwrap_err();
    assert!(
        matches!(error, MailboxError::Timeout { within: MIDDLE, .. }),
        "{error:?}"
    );
    assert_dead(&mut link).await;
    server.finish().await;
}

#[tokio::test]
async fn a_large_folder_is_listed_piece_by_piece_from_its_end() {
    let server = ScriptedImap::start(|mut peer: Peer| async move {
        peer.open("", 45_000).await;
        for (asked, answer) in [
            ("UID SEARCH 25001:* ALL", "* SEARCH 90000\r\n"),
            (
                "UID SEARCH 5001:25000 ALL",
                "* SEARCH 40000\r\n* 7 EXPUNGE\r\n",
            ),
            ("UID SEARCH 1:5000 ALL", "* SEARCH 1 2\r\n"),
        ] {
            let command = peer.expect("UID SEARCH").await;
            assert_eq!(command.line, asked);
            command.ok(answer).await;
        }
        peer.must_leave().await;
    })
    .await;
    let mut link = open(&server, PATIENT).await.unwrap();
    assert_eq!(link.survey(&Known::default()).await.unwrap(), 4);
    drop(link);
    server.finish().await;
}

#[tokio::test]
async fn a_piece_of_a_large_folder_without_an_answer_is_not_an_empty_one() {
    let server = ScriptedImap::start(|mut peer: Peer| async move {
        peer.open("", 30_000).await;
        peer.expect("UID SEARCH 10001:* ALL").await.ok("").await;
        peer.expect("UID SEARCH 1:10000 ALL")
            .await
            .ok("* SEARCH 1\r\n")
            .await;
        peer.must_leave().await;
    })
    .await;
    let mut link = open(&server, PATIENT).await.unwrap();
    link.survey(&Known::default()).await.unwrap_err();
    drop(link);
    server.finish().await;
}
