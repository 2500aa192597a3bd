//! The command primitive itself, with a command that changes something: a STORE that was refused or
//! cut off is an error.

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};

use super::{wire::Wire, *};
use crate::mailbox::Bounds;

/// A session whose server answers the first command with `answer`, then closes.
fn session(answer: &'static str) -> (Session, tokio::task::JoinHandle<String>) {
    let (ours, theirs) = tokio::io::duplex(1 << 12);
    let served = tokio::spawn(async move {
        let mut peer: BufReader<DuplexStream> = BufReader::new(theirs);
        let mut command = String::new();
        peer.read_line(&mut command).await.unwrap();
        let tag = command.split(' ').next().unwrap();
        let answer = answer.replace("TAG", tag);
        peer.get_mut().write_all(answer.as_bytes()).await.unwrap();
        command
    });
    let line = Line::new(Wire::new(Box::new(ours)), &Bounds::default());
    let pulse = Arc::new(Pulse::new(Duration::ZERO));
    (Session::new(line, pulse), served)
}

/// What a STORE answered with `answer` comes to, and how many messages it told of.
async fn store(answer: &'static str) -> (Result<(), MailboxError>, u32) {
    let (mut session, served) = session(answer);
    let mut told = 0;
    let stored = session
        .command("mark as read", "UID STORE 4 +FLAGS (\\Seen)", SMALL, |_| {
            told += 1
        })
        .await;
    assert_eq!(served.await.unwrap(), "a1 UID STORE 4 +FLAGS (\\Seen)\r\n");
    assert_eq!(session.line.is_some(), stored.is_ok(), "{stored:?}");
    (stored, told)
}

#[tokio::test]
async fn a_store_succeeds_only_by_its_tagged_ok() {
    let (stored, told) = store("* 1 FETCH (UID 4 FLAGS (\\Seen))\r\nTAG OK done\r\n").await;
    stored.unwrap();
    assert_eq!(told, 1);
}

#[tokio::test]
async fn a_store_answered_no_has_stored_nothing() {
    let refused = "* 1 FETCH (UID 4 FLAGS (\\Seen))\r\nTAG NO [READ-ONLY] folder is read-only\r\n";
    let error = store(refused).await.0.unwrap_err();
    assert_eq!(
        error.to_string(),
        "mark as read: the server answered NO [READ-ONLY] folder is read-only"
    );
}

#[tokio::test]
async fn a_store_cut_off_before_its_tag_has_stored_nothing() {
    let error = store("* 1 FETCH (UID 4 FLAGS (\\Seen))\r\n")
        .await
        .0
        .unwrap_err();
    assert!(matches!(error, MailboxError::Closed { .. }), "{error:?}");
}

#[tokio::test]
async fn a_continuation_that_nobody_asked_for_is_no_answer() {
    let error = store("+ go on\r\nTAG OK done\r\n").await.0.unwrap_err();
    assert!(matches!(error, MailboxError::Protocol { .. }), "{error:?}");
}
