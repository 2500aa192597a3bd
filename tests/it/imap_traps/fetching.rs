//! Answers to FETCH that are refused, cut, mixed with noise, or larger than they should be.

use invoice_trackd::mailbox::{Content, Known, MailboxError, RawMessage, Want};

use super::{HEADER, MESSAGE, PATIENT, assert_dead, open, refusal, uids, whole};
use crate::support::scripted_imap::{Peer, ScriptedImap, body, head};

/// Answers the header question for UIDs 4:6 with `answer`.
async fn headers_of(answer: String) -> Result<Option<Vec<RawMessage>>, MailboxError> {
    let server = ScriptedImap::start(move |mut peer: Peer| async move {
        peer.open("", 3).await;
        peer.expect("UID SEARCH ALL")
            .await
            .ok("* SEARCH 4 5 6\r\n")
            .await;
        let asked = peer
            .expect("UID FETCH 4:6 (UID RFC822.SIZE INTERNALDATE BODY.PEEK[")
            .await;
        asked.answer(&answer).await;
        if answer.contains("TAG") {
            peer.fall_silent().await;
        }
    })
    .await;
    let mut link = open(&server, PATIENT).await.unwrap();
    assert_eq!(link.survey(&Known::default()).await.unwrap(), 3);
    let batch = link.next_batch(&|_, _| Want::Nothing).await;
    if batch.is_err() {
        assert_dead(&mut link).await;
    }
    drop(link);
    server.finish().await;
    batch
}

#[tokio::test]
async fn a_fetch_answered_no_is_not_an_empty_batch() {
    let error = headers_of("TAG NO boom\r\n".to_owned()).await.unwrap_err();
    assert_eq!(refusal(&error), "NO boom");
}

#[tokio::test]
async fn a_fetch_cut_between_messages_is_not_a_batch() {
    let error = headers_of(head(1, 4, 50, HEADER)).await.unwrap_err();
    assert!(matches!(error, MailboxError::Closed { .. }), "{error:?}");
}

#[tokio::test]
async fn a_fetch_cut_within_a_message_is_not_a_batch() {
    let mut cut = head(1, 4, 50, HEADER);
    cut.truncate(cut.len() - 20);
    let error = headers_of(cut).await.unwrap_err();
    assert!(matches!(error, MailboxError::Closed { .. }), "{error:?}");
}

#[tokio::test]
async fn a_response_that_makes_the_decoder_panic_is_an_error_and_no_more() {
    let nil = "* 1 FETCH (UID 4 INTERNALDATE NIL)\r\nTAG OK done\r\n".to_owned();
    let error = headers_of(nil).await.unwrap_err();
    assert!(matches!(error, MailboxError::Protocol { .. }), "{error:?}");
}

#[tokio::test]
async fn half_an_answer_about_a_message_is_not_an_answer() {
    let half = "* 1 FETCH (UID 4 RFC822.SIZE 50)\r\nTAG OK done\r\n".to_owned();
    let error = headers_of(half).await.unwrap_err();
    assert!(error.to_string().contains("UID 4"), "{error}");
}

#[tokio::test]
async fn a_header_that_the_server_cannot_give_is_not_an_empty_header() {
    let nil = head(1, 4, 50, "").replace("{0}\r\n", "NIL");
    let answer = nil + &head(3, 6, 50, HEADER) + "TAG OK done\r\n";
    assert_eq!(uids(&headers_of(answer).await.unwrap().unwrap()), [6]);
}

#[tokio::test]
async fn an_expunged_message_is_absent_and_the_survey_goes_on() {
    let batch = headers_of(head(1, 4, 50, HEADER) + &head(3, 6, 50, HEADER) + "TAG OK\r\n").await;
    assert_eq!(uids(&batch.unwrap().unwrap()), [4, 6]);
}

#[tokio::test]
async fn an_unsolicited_fetch_is_not_taken_for_a_message() {
    let noise = "* 2 FETCH (FLAGS (\\Seen))\r\n* 9 FETCH (UID 99 RFC822.SIZE 1)\r\n\
                 * 2 FETCH (UID 5 FLAGS (\\Seen))\r\n";
    let answer = noise.to_owned() + &head(1, 4, 50, HEADER) + noise + "TAG OK done\r\n";
    assert_eq!(uids(&headers_of(answer).await.unwrap().unwrap()), [4]);
}

#[tokio::test]
async fn an_answer_spread_over_several_responses_is_one_answer() {
    let header = head(1, 4, 50, HEADER);
    let answer = header.replace("RFC822.SIZE 50 ", "")
        + "* 1 FETCH (RFC822.SIZE 50 UID 4 FLAGS ())\r\nTAG OK done\r\n";
    let batch = headers_of(answer).await.unwrap().unwrap();
    assert_eq!((uids(&batch), batch[0].size), (vec![4], 50));
    assert_eq!(
        batch[0].internal_date.unwrap().to_string(),
        "2026-07-16T18:44:25Z"
    );
}

/// Two messages whose bodies are asked for; the second question is answered with `answer`.
async fn bodies_of(size: usize, answer: String) -> Result<Option<Vec<RawMessage>>, MailboxError> {
    let server = ScriptedImap::start(move |mut peer: Peer| async move {
        peer.open("", 2).await;
        peer.expect("UID SEARCH ALL")
            .await
            .ok("* SEARCH 4 9\r\n")
            .await;
        let heads = head(1, 4, size, HEADER) + &head(2, 9, size, HEADER);
        peer.expect("UID FETCH 4,9 (UID RFC822.SIZE")
            .await
            .ok(&heads)
            .await;
        peer.expect("UID FETCH 4,9 (UID BODY.PEEK[])")
            .await
            .answer(&answer)
            .await;
        peer.fall_silent().await;
    })
    .await;
    let mut link = open(&server, PATIENT).await.unwrap();
    link.survey(&Known::default()).await.unwrap();
    let batch = link
        .next_batch(&|_, size| {
            if size > 1000 {
                Want::TooLarge
            } else {
                Want::Whole
            }
        })
        .await;
    drop(link);
    server.finish().await;
    batch
}

#[tokio::test]
async fn bodies_are_matched_by_uid_and_not_by_order() {
    let other = MESSAGE.replace("Good day", "Good night");
    let answer = body(2, 9, &other) + &body(1, 4, MESSAGE) + "TAG OK done\r\n";
    let batch = bodies_of(50, answer).await.unwrap().unwrap();
    assert_eq!(uids(&batch), [4, 9]);
    assert_eq!(batch[0].content, Content::Whole(MESSAGE.into()));
    assert_eq!(batch[1].content, Content::Whole(other.into()));
}

#[tokio::test]
async fn a_body_that_the_server_cannot_give_is_not_an_empty_message() {
    for nothing in ["NIL", "{0}\r\n", "\"\""] {
        let none = body(1, 4, "").replace("{0}\r\n", nothing);
        let answer = none + &body(2, 9, MESSAGE) + "TAG OK done\r\n";
        let batch = bodies_of(50, answer).await.unwrap().unwrap();
        assert_eq!(uids(&batch), [9], "{nothing}");
    }
}

#[tokio::test]
async fn another_part_than_the_one_asked_for_is_not_the_message() {
    let text = body(1, 4, "Good day.\r\n").replace("BODY[]", "BODY[TEXT]");
    let answer = text + &body(2, 9, MESSAGE) + "TAG OK done\r\n";
    assert_eq!(uids(&bodies_of(50, answer).await.unwrap().unwrap()), [9]);
}

#[tokio::test]
async fn a_body_larger_than_the_server_had_said_is_judged_by_what_came() {
    let long = format!("{MESSAGE}{}", "x".repeat(2000));
    let answer = body(1, 4, &long) + &body(2, 9, MESSAGE) + "TAG OK done\r\n";
    let batch = bodies_of(50, answer).await.unwrap().unwrap();
    assert_eq!(batch[0].content, Content::Oversized(HEADER.into()));
    assert_eq!(batch[0].size, long.len() as u64);
    assert_eq!(batch[1].content, Content::Whole(MESSAGE.into()));
}

#[tokio::test]
async fn a_body_out_of_all_proportion_is_not_read_to_its_end() {
    let endless = "* 1 FETCH (UID 4 BODY[] {90000000}\r\n".to_owned() + &"x".repeat(2 << 20);
    let error = bodies_of(50, endless).await.unwrap_err();
    assert!(error.to_string().contains("in proportion"), "{error}");
}

#[tokio::test]
async fn a_large_message_is_asked_for_its_header_only() {
    let server = ScriptedImap::start(|mut peer: Peer| async move {
        peer.open("", 1).await;
        peer.expect("UID SEARCH ALL")
            .await
            .ok("* SEARCH 4\r\n")
            .await;
        let heads = head(1, 4, 5_000_000, HEADER);
        peer.expect("UID FETCH 4 (UID RFC822.SIZE")
            .await
            .ok(&heads)
            .await;
        let header = body(1, 4, HEADER).replace("BODY[]", "BODY[HEADER]<0>");
        peer.expect("UID FETCH 4 (UID BODY.PEEK[HEADER]<0.65536>)")
            .await
            .ok(&header)
            .await;
        peer.must_leave().await;
    })
    .await;
    let mut link = open(&server, PATIENT).await.unwrap();
    link.survey(&Known::default()).await.unwrap();
    let batch = link
        .next_batch(&|_, _| Want::TooLarge)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(batch[0].content, Content::Oversized(HEADER.into()));
    assert_eq!(batch[0].size, 5_000_000);
    assert_eq!(link.next_batch(&|_, _| Want::TooLarge).await.unwrap(), None);
    drop(link);
    server.finish().await;
}

#[tokio::test]
async fn what_made_a_large_message_wanted_is_kept_however_long_its_header() {
    let server = ScriptedImap::start(|mut peer: Peer| async move {
        peer.open("", 1).await;
        peer.expect("UID SEARCH ALL")
            .await
            .ok("* SEARCH 4\r\n")
            .await;
        let heads = head(1, 4, 5_000_000, HEADER);
        peer.expect("UID FETCH 4 (UID RFC822.SIZE")
            .await
            .ok(&heads)
            .await;
        let relays = "Received: by a relay\r\n".repeat(3000);
        let cut = body(1, 4, &relays[..64 << 10]).replace("BODY[]", "BODY[HEADER]<0>");
        peer.expect("UID FETCH 4 (UID BODY.PEEK[HEADER]<0.65536>)")
            .await
            .ok(&cut)
            .await;
        peer.must_leave().await;
    })
    .await;
    let mut link = open(&server, PATIENT).await.unwrap();
    link.survey(&Known::default()).await.unwrap();
    let gate = |header: &[u8], _| match String::from_utf8_lossy(header).contains("Subject:") {
        true => Want::TooLarge,
        false => Want::Nothing,
    };
    let batch = link.next_batch(&gate).await.unwrap().unwrap();
    assert_eq!(batch[0].content, Content::Oversized(HEADER.into()));
    drop(link);
    server.finish().await;
}

#[tokio::test]
async fn a_batch_is_cut_where_it_grows_too_heavy_and_the_rest_comes_in_the_next() {
    let server = ScriptedImap::start(|mut peer: Peer| async move {
        peer.open("", 3).await;
        peer.expect("UID SEARCH ALL")
            .await
            .ok("* SEARCH 1 2 3\r\n")
            .await;
        let heads = |uids: &[u32]| {
            uids.iter()
                .map(|&uid| head(uid, uid, 3 << 20, HEADER))
                .collect::<String>()
        };
        peer.expect("UID FETCH 1:3 (UID RFC822")
            .await
            .ok(&heads(&[1, 2, 3]))
            .await;
        for uid in 1..=3 {
            if uid > 1 {
                let left: Vec<u32> = (uid..=3).collect();
                peer.expect("UID FETCH").await.ok(&heads(&left)).await;
            }
            let asked = format!("UID FETCH {uid} (UID BODY.PEEK[])");
            peer.expect(&asked).await.ok(&body(uid, uid, MESSAGE)).await;
        }
        peer.must_leave().await;
    })
    .await;
    let mut link = open(&server, PATIENT).await.unwrap();
    link.survey(&Known::default()).await.unwrap();
    let mut seen = Vec::new();
    while let Some(batch) = link.next_batch(&whole).await.unwrap() {
        assert_eq!(batch.len(), 1);
        seen.extend(uids(&batch));
    }
    assert_eq!(seen, [1, 2, 3]);
    drop(link);
    server.finish().await;
}
