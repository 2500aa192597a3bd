//! A server has one whim, at any step of a session, and behaves from then on: every notice is
//! recorded once, everything in the folder is accounted for, people are told once, and the link is
//! not deaf afterwards. The daemon's own loop runs against it.
//!
//! What a single command makes of each answer is shown in `imap_traps`; what a message that never
//! comes leads to, in `poison`.

use futures_util::future::join_all;
use invoice_trackd::{
    ledger::LinkState,
    mailbox::{AfterImport, ImapSettings},
};

use self::{
    post::{PATIENT, Post, lunch, notice},
    server::{Mail, Server, State, Step, Whim},
};

mod numbers;
pub mod post;
mod renumbered;
mod server;
mod upheaval;

/// Everything that a step of a session may be about: one that is older than `since`, notices,
/// somebody else's mail, and a notice that is too large.
fn folder(capabilities: &'static str) -> State {
    let oversized = Mail {
        size: 5_000_000,
        ..Mail::new(notice("EZ"))
    };
    let state = State::new(
        capabilities,
        [
            (1, Mail::new(lunch())),
            (3, Mail::new(notice("EA"))),
            (4, Mail::new(lunch())),
            (7, Mail::new(notice("EB"))),
            (9, oversized),
        ],
    );
    state.folder().older.insert(1);
    state
}

/// The session at whose `step` the server has its whim.
async fn lived_through(
    step: Step,
    whim: Whim,
    capabilities: &'static str,
    after_import: Option<AfterImport>,
) {
    let what = format!("{step:?} {whim:?}");
    let server = Server::start(folder(capabilities).with_whim(step, whim)).await;
    let post = Post::on(ImapSettings {
        after_import: after_import.clone(),
        ..server.settings(PATIENT)
    })
    .await;
    let state = &server.state;
    if step != Step::Done {
        post.until(&what, true, async || state.has_had_its_whim())
            .await;
    }
    // What rests until its next try is due at the next look, which the mail that comes now brings.
    state.idling().await;
    post.later();
    state.put(11, Mail::new(notice("EC")));
    post.until_known(&what, 7, "1,3:4,7,9,11").await;
    // And nothing but IDLE brings this one.
    state.idling().await;
    state.put(12, Mail::new(notice("ED")));
    post.until_known(&what, 7, "1,3:4,7,9,11:12").await;

    let is_up = async || post.state().await == Some(LinkState::Up);
    post.until(&what, true, is_up).await;
    if let Some(after_import) = after_import {
        let filed = async || {
            let mut filed = match after_import {
                AfterImport::MoveTo(_) => state.folder().moved.clone(),
                AfterImport::MarkSeen => state.folder().seen.iter().copied().collect(),
            };
            filed.sort_unstable();
            // A break between copying and removing leaves a second copy, never none.
            filed.dedup();
            filed
        };
        post.until(&what, vec![3, 7, 11, 12], filed).await;
        let stays = match after_import {
            AfterImport::MoveTo(_) => vec![1, 4, 9],
            AfterImport::MarkSeen => vec![1, 3, 4, 7, 9, 11, 12],
        };
        let left = async || state.folder().mails.keys().copied().collect();
        post.until(&what, stays, left).await;
    }
    assert!(state.has_had_its_whim(), "{what}: it never came to that");
    assert_eq!(post.tracks().await, ["EA", "EB", "EC", "ED"], "{what}");
    assert_eq!(post.confirmations().await, 4, "{what}");
    let alerts = post.alerts().await;
    assert_eq!(alerts.len(), 1, "{what}: {alerts:?}");
    assert_eq!(post.count("quarantined").await, 1, "{what}");
    // Nothing was ever taken for another folder's.
    assert_eq!(post.known(8).await, "", "{what}");
}

async fn any_whim_at(step: Step) {
    join_all(Whim::ALL.map(|whim| lived_through(step, whim, "IDLE", None))).await;
}

#[tokio::test]
async fn a_whim_at_the_greeting_loses_nothing() {
    any_whim_at(Step::Greeting).await;
}

#[tokio::test]
async fn a_whim_at_the_first_capability_loses_nothing() {
    any_whim_at(Step::Capability).await;
}

/// NO and BAD are a refused login here, which is tried again at a slower pace of its own.
#[tokio::test]
async fn a_whim_at_login_loses_nothing() {
    any_whim_at(Step::Login).await;
}

#[tokio::test]
async fn a_whim_at_the_second_capability_loses_nothing() {
    any_whim_at(Step::CapabilityAgain).await;
}

#[tokio::test]
async fn a_whim_when_the_folder_is_opened_loses_nothing() {
    any_whim_at(Step::Open).await;
}

/// Where the server says OK and lists nothing, nothing is older: more is looked at, not less.
#[tokio::test]
async fn a_whim_at_the_search_for_older_mail_loses_nothing() {
    any_whim_at(Step::SearchBefore).await;
}

#[tokio::test]
async fn a_whim_at_the_listing_loses_nothing() {
    any_whim_at(Step::SearchAll).await;
}

#[tokio::test]
async fn a_whim_while_headers_are_fetched_loses_nothing() {
    any_whim_at(Step::FetchHeads).await;
}

#[tokio::test]
async fn a_whim_while_messages_are_fetched_loses_nothing() {
    any_whim_at(Step::FetchBodies).await;
}

#[tokio::test]
async fn a_whim_while_a_large_header_is_fetched_loses_nothing() {
    any_whim_at(Step::FetchOversized).await;
}

#[tokio::test]
async fn a_whim_at_noop_loses_nothing() {
    any_whim_at(Step::Noop).await;
}

#[tokio::test]
async fn a_whim_before_idle_begins_loses_nothing() {
    any_whim_at(Step::Idle).await;
}

#[tokio::test]
async fn a_whim_during_idle_loses_nothing() {
    any_whim_at(Step::Idling).await;
}

#[tokio::test]
async fn a_whim_when_idle_ends_loses_nothing() {
    any_whim_at(Step::Done).await;
}

async fn any_whim_in_filing(step: Step, capabilities: &'static str, after_import: AfterImport) {
    join_all(
        Whim::ALL.map(|whim| lived_through(step, whim, capabilities, Some(after_import.clone()))),
    )
    .await;
}

fn elsewhere() -> AfterImport {
    AfterImport::MoveTo("done".to_owned())
}

#[tokio::test]
async fn a_whim_while_mail_is_moved_loses_nothing() {
    any_whim_in_filing(Step::Move, "IDLE MOVE UIDPLUS", elsewhere()).await;
}

#[tokio::test]
async fn a_whim_while_mail_is_copied_loses_nothing() {
    any_whim_in_filing(Step::Copy, "IDLE UIDPLUS", elsewhere()).await;
}

#[tokio::test]
async fn a_whim_while_mail_is_marked_loses_nothing() {
    any_whim_in_filing(Step::Store, "IDLE", AfterImport::MarkSeen).await;
}

#[tokio::test]
async fn a_whim_while_copied_mail_is_marked_loses_nothing() {
    any_whim_in_filing(Step::Store, "IDLE UIDPLUS", elsewhere()).await;
}

#[tokio::test]
async fn a_whim_while_copied_mail_is_removed_loses_nothing() {
    any_whim_in_filing(Step::Expunge, "IDLE UIDPLUS", elsewhere()).await;
}
