//! UIDVALIDITY changes: said while the folder is open, found when it is opened again, or at every
//! session. What comes is recorded under the UIDVALIDITY it belongs to, or not at all, and what is
//! known by its content is neither recorded nor told of twice.

use futures_util::future::join_all;
use invoice_trackd::mailbox::Bounds;

use super::{
    folder,
    post::{Log, PATIENT, Post, at_dovecot, forged, lunch, notice},
    server::{Mail, Server, State, Step, Whim},
};
use crate::support::dovecot::Dovecot;

/// The folder becomes another one at `step`: some of its UIDs are those of the old one, and its
/// notices are not.
async fn replaced_at(step: Step) {
    let state = folder("IDLE").with_whim(step, Whim::Replaced);
    *state.next.lock().unwrap() =
        [(3, Mail::new(notice("EX"))), (50, Mail::new(notice("EY")))].into();
    let server = Server::start(state).await;
    let post = Post::on(server.settings(PATIENT)).await;
    let what = format!("{step:?}");
    if step == Step::Done {
        server.state.idling().await;
        server.state.put(11, Mail::new(notice("EC")));
    }
    post.until_known(&what, 8, "3,50").await;
    server.state.idling().await;
    let old = post.known(7).await;
    assert!(["", "1", "1,3:4,7,9"].contains(&&*old), "{what}: {old}");
    let expected: &[&str] = match &*old {
        "1,3:4,7,9" => &["EA", "EB", "EX", "EY"],
        _ => &["EX", "EY"],
    };
    assert_eq!(post.tracks().await, expected, "{what}");
    assert_eq!(post.confirmations().await, expected.len() as u64, "{what}");
    // The link is not deaf under the new one.
    server.state.put(51, Mail::new(notice("EZ")));
    post.until_known(&what, 8, "3,50:51").await;
    assert_eq!(post.known(7).await, old, "{what}");
}

#[tokio::test]
async fn a_folder_replaced_under_an_open_session_is_recorded_under_its_own_uidvalidity() {
    let steps = [
        Step::SearchBefore,
        Step::SearchAll,
        Step::FetchHeads,
        Step::FetchBodies,
        Step::FetchOversized,
        Step::Noop,
        Step::Idle,
        Step::Idling,
        Step::Done,
    ];
    join_all(steps.map(replaced_at)).await;
}

#[tokio::test]
async fn a_folder_replaced_while_idle_is_opened_again() {
    let state = State::new("IDLE", [(3, Mail::new(notice("EA")))]);
    *state.next.lock().unwrap() =
        [(3, Mail::new(notice("EB"))), (4, Mail::new(notice("EA")))].into();
    let server = Server::start(state).await;
    let log = Log::new();
    let post = Post::on(server.settings(PATIENT)).await;
    post.until_known("at first", 7, "3").await;
    server.state.idling().await;
    server.state.replace();
    server.state.announce("* OK [UIDVALIDITY 8] replaced\r\n");
    post.until_known("after it", 8, "3:4").await;
    assert_eq!(post.known(7).await, "3");
    assert_eq!(post.tracks().await, ["EA", "EB"]);
    assert_eq!(post.confirmations().await, 2);
    let log = log.text();
    assert!(
        log.contains("expected the folder with UIDVALIDITY 7, found one with 8"),
        "{log}"
    );
}

#[tokio::test]
async fn the_same_uidvalidity_said_again_is_no_change() {
    let server = Server::start(State::new("IDLE", [(3, Mail::new(notice("EA")))])).await;
    let post = Post::on(server.settings(PATIENT)).await;
    post.until_known("at first", 7, "3").await;
    for uid in 4..7 {
        server.state.idling().await;
        server.state.folder().mails.insert(uid, Mail::new(lunch()));
        server.state.announce("* OK [UIDVALIDITY 7] as before\r\n");
        post.until_known("more", 7, &format!("3:{uid}")).await;
    }
    assert_eq!(server.state.heard("LOGIN"), 1);
}

/// What is found in each folder here: recorded, a duplicate of it, in quarantine, somebody else's.
fn of_each_kind() -> [String; 4] {
    [notice("EA"), notice("EA"), forged("EB"), lunch()]
}

async fn assert_told_once(post: &Post, what: &str) {
    assert_eq!(post.tracks().await, ["EA"], "{what}");
    assert_eq!(post.confirmations().await, 1, "{what}");
    assert_eq!(post.alerts().await.len(), 1, "{what}");
}

#[tokio::test]
async fn a_server_that_renumbers_at_every_session_neither_floods_nor_keeps_us_busy() {
    let mails = (1..).zip(of_each_kind().map(Mail::new));
    let server = Server::start(State::new("IDLE", mails).restless()).await;
    let post = Post::on(server.settings(PATIENT)).await;
    const SESSIONS: u32 = 12;
    for session in 1..=SESSIONS {
        let uidvalidity = 7 + session;
        let what = format!("session {session}");
        post.until_known(&what, uidvalidity, "1:4").await;
        assert_told_once(&post, &what).await;
        server.state.idling().await;
        server
            .state
            .announce("* BYE and now for something different\r\n");
    }
    // New mail is found all the same.
    let next = 7 + SESSIONS + 1;
    post.until_known("before new mail", next, "1:4").await;
    server.state.idling().await;
    server.state.put(5, Mail::new(notice("EC")));
    post.until_known("new mail", next, "1:5").await;
    assert_eq!(post.tracks().await, ["EA", "EC"]);
    // One listing for each session and one for the new mail: a new number by itself is no cause
    // for another session.
    assert_eq!(server.state.heard("LOGIN"), SESSIONS as usize + 1);
    assert_eq!(server.state.heard("UID SEARCH ALL"), SESSIONS as usize + 2);
}

/// The whole daemon on a Dovecot whose folder is renumbered while somebody is logged in, or not.
async fn renumbered_at_dovecot(while_away: bool) {
    let dovecot = Dovecot::start();
    for mail in of_each_kind() {
        dovecot.deliver("ann", "Notices", mail.as_bytes());
    }
    dovecot.set_uidvalidity("ann", "Notices", 1000);
    let bounds = Bounds {
        idle: std::time::Duration::from_secs(1),
        ..PATIENT
    };
    let mut post = Post::on(at_dovecot(&dovecot, "Notices", bounds)).await;
    post.until_known("at first", 1000, "1:4").await;
    assert_told_once(&post, "at first").await;
    if while_away {
        post.stop().await;
    }
    dovecot.set_uidvalidity("ann", "Notices", 2000);
    if while_away {
        post.start();
    } else {
        // Dovecot goes on with the folder as it was for whoever has it open; the next session sees
        // what it is now.
        dovecot.kick("ann");
    }
    post.until_known("renumbered", 2000, "1:4").await;
    assert_told_once(&post, "renumbered").await;
    dovecot.deliver("ann", "Notices", notice("EC").as_bytes());
    post.until_known("new mail", 2000, "1:5").await;
    assert_eq!(post.known(1000).await, "1:4");
    assert_eq!(post.tracks().await, ["EA", "EC"]);
    assert_eq!(post.confirmations().await, 2);
}

#[tokio::test]
async fn a_folder_renumbered_while_the_daemon_is_away_is_not_recorded_twice() {
    renumbered_at_dovecot(true).await;
}

#[tokio::test]
async fn a_folder_renumbered_under_the_daemon_is_not_recorded_twice() {
    renumbered_at_dovecot(false).await;
}
