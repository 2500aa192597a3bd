//! A real Dovecot in upheaval: its folder goes, comes back or gets another name, its users are
//! thrown out, the server stops. Meanwhile the mailbox is said to be down in the server's words;
//! afterwards it is up, and everything is recorded once.

use std::time::Duration;

use invoice_trackd::{ledger::LinkState, mailbox::Bounds};

use super::post::{PATIENT, Post, at_dovecot, lunch, notice};
use crate::support::dovecot::Dovecot;

const FOLDER: &str = "Notices";

/// A folder may go without a word to those who have it open; the next look finds that out.
fn bounds() -> Bounds {
    Bounds {
        idle: Duration::from_secs(1),
        ..PATIENT
    }
}

fn fill(dovecot: &Dovecot) {
    for mail in [notice("EA"), lunch(), notice("EB")] {
        dovecot.deliver("ann", FOLDER, mail.as_bytes());
    }
}

async fn until_up(post: &Post) {
    let is_up = async || post.state().await == Some(LinkState::Up);
    post.until("the mailbox is up", true, is_up).await;
}

async fn until_down(post: &Post, words: &[&str]) {
    let says_so = async || {
        let trouble = post.trouble().await;
        words.iter().any(|word| trouble.contains(word))
    };
    post.until(&format!("down with one of {words:?}"), true, says_so)
        .await;
}

async fn assert_recorded(post: &Post, tracks: &[&str]) {
    let all = async || post.tracks().await;
    let expected: Vec<String> = tracks.iter().map(|track| (*track).to_owned()).collect();
    post.until("recorded", expected, all).await;
    until_up(post).await;
    assert_eq!(post.confirmations().await, tracks.len() as u64);
    assert_eq!(post.alerts().await, [""; 0]);
}

async fn deleted_and_made_again(while_away: bool) {
    let dovecot = Dovecot::start();
    fill(&dovecot);
    let mut post = Post::on(at_dovecot(&dovecot, FOLDER, bounds())).await;
    assert_recorded(&post, &["EA", "EB"]).await;
    if while_away {
        post.stop().await;
    }
    dovecot.delete("ann", FOLDER);
    if while_away {
        post.start();
    }
    until_down(&post, &["Notices", "Mailbox"]).await;
    // The same mail again, and one more, under UIDs that begin anew.
    fill(&dovecot);
    dovecot.deliver("ann", FOLDER, notice("EC").as_bytes());
    assert_recorded(&post, &["EA", "EB", "EC"]).await;
    dovecot.deliver("ann", FOLDER, notice("ED").as_bytes());
    assert_recorded(&post, &["EA", "EB", "EC", "ED"]).await;
}

#[tokio::test]
async fn a_folder_deleted_and_made_again_under_the_daemon_is_watched_on() {
    deleted_and_made_again(false).await;
}

#[tokio::test]
async fn a_folder_deleted_and_made_again_while_the_daemon_is_away_is_watched_on() {
    deleted_and_made_again(true).await;
}

#[tokio::test]
async fn a_folder_renamed_away_is_missed_and_its_return_noticed() {
    let dovecot = Dovecot::start();
    fill(&dovecot);
    let post = Post::on(at_dovecot(&dovecot, FOLDER, bounds())).await;
    assert_recorded(&post, &["EA", "EB"]).await;
    dovecot.rename("ann", FOLDER, "Elsewhere");
    dovecot.deliver("ann", "Elsewhere", notice("EC").as_bytes());
    // Dovecot serves a renamed folder to whoever has it open.
    dovecot.kick("ann");
    until_down(&post, &["Notices"]).await;
    dovecot.rename("ann", "Elsewhere", FOLDER);
    assert_recorded(&post, &["EA", "EB", "EC"]).await;
}

#[tokio::test]
async fn whoever_is_thrown_out_again_and_again_comes_back() {
    let dovecot = Dovecot::start();
    fill(&dovecot);
    let post = Post::on(at_dovecot(&dovecot, FOLDER, PATIENT)).await;
    let mut tracks = vec!["EA", "EB"];
    assert_recorded(&post, &tracks).await;
    for track in ["EC", "ED", "EE", "EF"] {
        dovecot.kick("ann");
        dovecot.deliver("ann", FOLDER, notice(track).as_bytes());
        tracks.push(track);
        assert_recorded(&post, &tracks).await;
    }
}

#[tokio::test]
async fn a_server_stopped_in_the_middle_of_catching_up_is_caught_up_with() {
    let mut dovecot = Dovecot::start();
    let tracks = ["EA", "EB", "EC", "ED", "EE"];
    let mails: Vec<Vec<u8>> = (0..200)
        .map(|n| match n % 40 {
            0 => notice(tracks[n / 40]),
            _ => format!("From: a@example.com\r\nSubject: {n}\r\n\r\n{n}\r\n"),
        })
        .map(String::into_bytes)
        .collect();
    dovecot.deliver_all("ann", &mails);
    let post = Post::on(at_dovecot(&dovecot, "INBOX", bounds())).await;
    // The first batch is in; two more are to come.
    let begun = async || !post.tracks().await.is_empty();
    post.until("the first batch", true, begun).await;
    dovecot.stop();
    let is_down = async || !post.trouble().await.is_empty();
    post.until("down", true, is_down).await;
    dovecot.restart();
    // What the cut had in hand may rest for a minute.
    let all = async || {
        post.later();
        (post.tracks().await.len(), post.count("unrelated").await)
    };
    post.until("the rest", (5, 195), all).await;
    assert_recorded(&post, &tracks).await;
    dovecot.deliver("ann", "INBOX", notice("EK").as_bytes());
    assert_recorded(&post, &["EA", "EB", "EC", "ED", "EE", "EK"]).await;
}
