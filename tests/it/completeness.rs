//! The account of a folder equals what is in it, whatever is in it; and a hole that somebody makes
//! in the account is found and filled by itself, at the next look that nothing has called for: no
//! new mail, no restart, nobody told twice. On a real Dovecot.

use std::time::Duration;

use invoice_trackd::{
    ledger::LinkState,
    mailbox::{Bounds, UidSet},
};
use jiff::civil::date;

use crate::{
    support::dovecot::Dovecot,
    whims::post::{Log, PATIENT, Post, at_dovecot, forged, lunch, notice},
};

/// The reconcile interval: an IDLE that nothing disturbs.
fn bounds() -> Bounds {
    Bounds {
        idle: Duration::from_millis(500),
        ..PATIENT
    }
}

const HOLES: &str = "are not accounted for: fetched again";

/// 1: before `since`. 2, 9: somebody else's. 3, 4: a notice and its copy. 5: in quarantine. 6: too
/// large. 7: removed. 8: a notice.
struct Everything {
    dovecot: Dovecot,
    post: Post,
    log: Log,
}

impl Everything {
    async fn new() -> Self {
        let dovecot = Dovecot::start();
        let then = "15-Jun-2025 12:00:00 +0000";
        dovecot.deliver_dated("ann", then, notice("EO").as_bytes());
        let too_large = notice("EL") + &"x".repeat(3 << 20);
        for mail in [
            lunch(),
            notice("EA"),
            notice("EA"),
            forged("EF"),
            too_large,
            lunch(),
            notice("EB"),
            lunch(),
        ] {
            dovecot.deliver("ann", "INBOX", mail.as_bytes());
        }
        dovecot.expunge("ann", "INBOX", 7);
        dovecot.set_uidvalidity("ann", "INBOX", 7);
        let log = Log::new();
        let post = Post::on(at_dovecot(&dovecot, "INBOX", bounds())).await;
        post.until_known("at first", 7, "1:6,8:9").await;
        Self { dovecot, post, log }
    }

    async fn assert_account(&self) {
        let listed = self.dovecot.flags("ann", "INBOX");
        let listed: UidSet = listed.into_iter().map(|(uid, _)| uid).collect();
        assert_eq!(self.post.known(7).await, listed.to_string());
        let counts = self.post.ledger.counts().await.unwrap();
        let of = |disposition: &str| counts[disposition];
        assert_eq!(
            [
                of("imported"),
                of("duplicate"),
                of("quarantined"),
                of("unrelated")
            ],
            [2, 1, 2, 2]
        );
        assert_eq!(self.post.tracks().await, ["EA", "EB"]);
        assert_eq!(self.post.confirmations().await, 2);
        assert_eq!(self.post.alerts().await.len(), 2);
        assert_eq!(self.post.state().await, Some(LinkState::Up));
    }

    /// Makes a hole, and waits until it is filled.
    async fn heals(&self, statements: &str, hole: &str) {
        let said = self.log.text().matches(HOLES).count();
        self.post.by_hand(statements).await;
        self.post.until_known(statements, 7, "1:6,8:9").await;
        let log = self.log.text();
        assert_eq!(log.matches(HOLES).count(), said + 1, "{statements}: {log}");
        assert!(log.contains(hole), "{statements}: {log}");
        self.assert_account().await;
    }
}

/// What stands between a hand and the rows.
const UNGUARDED: &str = "DROP TRIGGER IF EXISTS message_is_kept;
    DROP TRIGGER IF EXISTS allocation_is_kept;";

/// All that is written down about the messages that `which` names.
fn without(which: &str) -> String {
    let ids = format!("(SELECT id FROM message WHERE {which})");
    format!(
        "{UNGUARDED}
         DELETE FROM allocation WHERE message_id IN {ids};
         DELETE FROM evidence WHERE message_id IN {ids};
         DELETE FROM finding WHERE message_id IN {ids};
         DELETE FROM message WHERE {which};"
    )
}

#[tokio::test]
async fn the_account_equals_the_folder_whatever_is_in_it() {
    let everything = Everything::new().await;
    everything.assert_account().await;
    assert!(!everything.log.text().contains(HOLES));
}

#[tokio::test]
async fn a_hole_in_what_is_somebody_elses_is_filled() {
    let everything = Everything::new().await;
    everything
        .heals(
            "DELETE FROM uid_run WHERE reason = 'unrelated' AND first_uid = 2",
            "1 messages below UID 9",
        )
        .await;
    // The highest one that is known is like new mail, and so nothing is said.
    let post = &everything.post;
    post.by_hand("DELETE FROM uid_run WHERE first_uid = 9")
        .await;
    post.until_known("the last one", 7, "1:6,8:9").await;
    everything.assert_account().await;
}

#[tokio::test]
async fn a_run_that_was_split_is_whole_again() {
    let dovecot = Dovecot::start();
    for _ in 0..9 {
        dovecot.deliver("ann", "INBOX", lunch().as_bytes());
    }
    dovecot.set_uidvalidity("ann", "INBOX", 7);
    let log = Log::new();
    let post = Post::on(at_dovecot(&dovecot, "INBOX", bounds())).await;
    post.until_known("at first", 7, "1:9").await;
    post.by_hand(
        "UPDATE uid_run SET last_uid = 3;
         INSERT INTO uid_run SELECT mailbox, uidvalidity, reason, 7, 9 FROM uid_run;",
    )
    .await;
    post.until_known("split", 7, "1:9").await;
    assert_eq!(post.count("unrelated").await, 9);
    let log = log.text();
    assert!(log.contains("3 messages below UID 9"), "{log}");
}

#[tokio::test]
async fn a_lost_duplicate_and_a_lost_quarantined_message_are_found_again() {
    let everything = Everything::new().await;
    everything
        .heals(&without("uid = 4"), "1 messages below UID 9")
        .await;
    everything
        .heals(&without("uid IN (5, 6)"), "2 messages below UID 9")
        .await;
}

#[tokio::test]
async fn a_lost_import_is_recorded_again_and_not_told_of_again() {
    let everything = Everything::new().await;
    everything
        .heals(&without("uid = 8"), "1 messages below UID 9")
        .await;
    // The one whose copy stays: the copy goes with it.
    everything
        .heals(&without("uid IN (3, 4)"), "2 messages below UID 9")
        .await;
}

#[tokio::test]
async fn what_was_left_out_as_too_old_and_is_lost_is_looked_at_after_all() {
    let everything = Everything::new().await;
    let post = &everything.post;
    post.by_hand("DELETE FROM uid_run WHERE reason = 'older'")
        .await;
    post.until_known("older", 7, "1:6,8:9").await;
    // More than was asked for, never less; told of as what lay there before the ledger did.
    assert_eq!(post.tracks().await, ["EA", "EB", "EO"]);
    assert_eq!(post.confirmations().await, 2);
}

#[tokio::test]
async fn claims_of_what_the_server_does_not_have_are_harmless() {
    let everything = Everything::new().await;
    let post = &everything.post;
    post.by_hand(
        "INSERT INTO uid_run VALUES ('einvoice', 7, 'unrelated', 7, 7);
         INSERT INTO uid_run VALUES ('einvoice', 7, 'older', 4000, 5000);
         INSERT INTO uid_run VALUES ('einvoice', 8, 'unrelated', 1, 100);",
    )
    .await;
    everything
        .dovecot
        .deliver("ann", "INBOX", notice("EC").as_bytes());
    post.until_known("new mail", 7, "1:10,4000:5000").await;
    assert_eq!(post.tracks().await, ["EA", "EB", "EC"]);
    assert_eq!(post.state().await, Some(LinkState::Up));
}

#[tokio::test]
async fn what_is_no_hole_is_not_called_one() {
    let mut everything = Everything::new().await;
    let post = &mut everything.post;
    // New mail, mail that is removed, and a restart.
    everything
        .dovecot
        .deliver("ann", "INBOX", lunch().as_bytes());
    post.until_known("new mail", 7, "1:6,8:10").await;
    everything.dovecot.expunge("ann", "INBOX", 8);
    post.stop().await;
    everything
        .dovecot
        .deliver("ann", "INBOX", notice("EC").as_bytes());
    post.start();
    post.until_known("after a restart", 7, "1:6,8:11").await;
    // The power fails in the middle of a hundred and fifty, before what rests has been asked for.
    let many = vec![lunch().into_bytes(); 150];
    everything.dovecot.deliver_all("ann", &many);
    let begun = async || post.count("unrelated").await > 10;
    post.until("begun", true, begun).await;
    post.kill().await;
    post.start();
    post.until_known("after a crash", 7, "1:6,8:161").await;
    // What an earlier `since` opens again.
    post.stop().await;
    post.since = Some(date(2025, 1, 1));
    post.start();
    let opened = async || post.tracks().await;
    let tracks = ["EA", "EB", "EC", "EO"].map(str::to_owned).to_vec();
    post.until("older mail", tracks, opened).await;
    let log = everything.log.text();
    assert!(!log.contains(HOLES), "{log}");
}
