//! Numbers that are far apart, far up, made up, or far too large: UIDs, EXISTS, literals, floods.

use std::{iter::zip, time::Duration};

use futures_util::future::join_all;
use invoice_trackd::{ledger::LinkState, mailbox::Bounds};

use super::{
    post::{PATIENT, Post, lunch, notice},
    server::{Mail, Server, State},
};
use crate::support::daemon::{COMPANY, House};

#[tokio::test]
async fn uids_far_apart_and_at_the_very_end_are_accounted_for() {
    const LAST: u32 = u32::MAX;
    // Every second one is somebody else's, as is the last UID that there can be.
    let far_apart = (0..10).map(|n| match n % 2 {
        0 => (
            1 + n * 1_000_000,
            notice(&format!("E{}", char::from(b'A' + n as u8))),
        ),
        _ => (1 + n * 1_000_000, lunch()),
    });
    let end = [
        (LAST - 3, notice("EX")),
        (LAST - 1, notice("EY")),
        (LAST, lunch()),
    ];
    let mails = far_apart
        .chain(end)
        .map(|(uid, text)| (uid, Mail::new(text)));
    let server = Server::start(State::new("IDLE", mails)).await;
    let post = Post::on(server.settings(PATIENT)).await;
    let known = "1,1000001,2000001,3000001,4000001,5000001,6000001,7000001,8000001,9000001,\
                 4294967292,4294967294:4294967295";
    post.until_known("at first", 7, known).await;
    // One that appears in a gap, below what is known, is found as well.
    server.state.idling().await;
    server.state.put(2_500_000, Mail::new(notice("EZ")));
    server.state.put(LAST - 2, Mail::new(lunch()));
    let known = known
        .replace("2000001", "2000001,2500000")
        .replace("4294967292,4294967294", "4294967292");
    post.until_known("in the gaps", 7, &known).await;
    let tracks = ["EA", "EC", "EE", "EG", "EI", "EX", "EY", "EZ"];
    assert_eq!(post.tracks().await, tracks);
    assert_eq!(post.confirmations().await, tracks.len() as u64);
}

/// What a server says in every IDLE for ever, while nothing happens: how often it was asked for its
/// list in some seconds of that, and that a message that comes is found all the same.
async fn nagged(nagging: String) -> usize {
    let mails = [(3, Mail::new(notice("EA"))), (4, Mail::new(lunch()))];
    let server = Server::start(State::new("IDLE", mails).nagging(nagging)).await;
    let bounds = Bounds {
        poll: Duration::from_secs(60),
        ..PATIENT
    };
    let post = Post::on(server.settings(bounds)).await;
    post.until_known("at first", 7, "3:4").await;
    // Nothing is waited for here: being asked too often is the failure.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let listed = server.state.heard("UID SEARCH ALL");
    server.state.put(5, Mail::new(notice("EB")));
    post.until_known("new mail", 7, "3:5").await;
    assert_eq!(server.state.heard("LOGIN"), 1);
    assert_eq!(post.tracks().await, ["EA", "EB"]);
    assert_eq!(post.state().await, Some(LinkState::Up));
    listed
}

#[tokio::test]
async fn a_server_that_makes_up_new_mail_for_ever_does_not_keep_us_listing() {
    // A count that grows, the very one that will be true, a wrong one, one below what there is, and
    // both ways.
    let lies = [
        "* @ EXISTS\r\n",
        "* 3 EXISTS\r\n",
        "* 9 EXISTS\r\n",
        "* 1 EXISTS\r\n",
        "* 9 EXISTS\r\n* 0 EXISTS\r\n",
    ];
    for (lie, listed) in zip(lies, join_all(lies.map(|lie| nagged(lie.to_owned()))).await) {
        assert!(listed <= 6, "{lie}: listed {listed} times");
    }
}

#[tokio::test]
async fn keepalives_and_what_people_do_with_old_mail_are_no_news() {
    let chatter = [
        "* OK Still here\r\n".repeat(5000),
        "* 2 EXISTS\r\n".repeat(1000),
        "* 1 FETCH (FLAGS (\\Seen))\r\n".repeat(1000),
    ];
    assert_eq!(join_all(chatter.map(nagged)).await, [1, 1, 1]);
}

#[tokio::test]
async fn nobody_pauses_over_a_quiet_folder_or_a_busy_one() {
    let server = Server::start(State::new("IDLE", [(3, Mail::new(notice("EA")))])).await;
    let bounds = Bounds {
        idle: Duration::from_millis(50),
        poll: Duration::from_secs(600),
        ..PATIENT
    };
    let post = Post::on(server.settings(bounds)).await;
    post.until_known("at first", 7, "3").await;
    // Looks that nothing has called for find nothing; were they called vain, the tenth wait would
    // begin after more than ten minutes.
    let waits = async {
        while server.state.heard("IDLE") < 12 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), waits).await;
    assert!(waited.is_ok(), "it pauses over a quiet folder");

    let bounds = Bounds {
        poll: Duration::from_secs(600),
        ..PATIENT
    };
    let server = Server::start(State::new("IDLE", [(3, Mail::new(notice("EA")))])).await;
    let post = Post::on(server.settings(bounds)).await;
    post.until_known("at first", 7, "3").await;
    // As many looks that somebody has called for, and not in vain.
    for uid in 4..16 {
        server.state.idling().await;
        server.state.put(uid, Mail::new(lunch()));
        post.until_known("more", 7, &format!("3:{uid}")).await;
    }
}

/// A message that cannot be had: announced as larger than anything may be, or the connection is
/// closed over it.
fn out_of_reach(instead: &'static str) -> Mail {
    Mail {
        instead: Some(instead),
        ..Mail::new(notice("EM"))
    }
}

const FOUR_GIB: &str = "* 2 FETCH (UID 4 BODY[] {4294967296}\r\nFrom: ";
const NEARLY_FOUR_GIB: &str = "* 2 FETCH (UID 4 BODY[] {4294967295}\r\nFrom: ";
const FOUR_HUNDRED_MIB: &str = "* 2 FETCH (UID 4 BODY[] {419430400}\r\nFrom: ";

#[tokio::test]
async fn one_message_out_of_reach_does_not_keep_the_loop_from_the_others() {
    for instead in ["", FOUR_GIB, NEARLY_FOUR_GIB, FOUR_HUNDRED_MIB] {
        let state = State::new(
            "IDLE",
            [
                (3, Mail::new(notice("EA"))),
                (4, out_of_reach(instead)),
                (7, Mail::new(notice("EB"))),
                (8, Mail::new(lunch())),
            ],
        );
        let server = Server::start(state).await;
        let post = Post::on(server.settings(PATIENT)).await;
        post.until_known(instead, 7, "3,7:8").await;
        server.state.idling().await;
        server.state.put(11, Mail::new(notice("EC")));
        post.until_known(instead, 7, "3,7:8,11").await;
        assert_eq!(post.count("quarantined").await, 0);
        // In reach again, it is a message like any other.
        server.state.idling().await;
        server.state.folder().mails.get_mut(&4).unwrap().instead = None;
        post.later();
        server.state.put(12, Mail::new(lunch()));
        post.until_known(instead, 7, "3:4,7:8,11:12").await;
        assert_eq!(post.tracks().await, ["EA", "EB", "EC", "EM"]);
        assert_eq!(post.confirmations().await, 4);
        assert_eq!(post.alerts().await, [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announcement_alone_takes_no_memory() {
    let state = State::new(
        "IDLE",
        [
            (3, Mail::new(notice("EA"))),
            (4, out_of_reach(FOUR_HUNDRED_MIB)),
            (7, Mail::new(notice("EB"))),
        ],
    );
    let server = Server::start(state).await;
    let house = House::with_mail(&format!(
        "{COMPANY}\n[[mailbox]]\nname = \"einvoice\"\nkind = \"imap\"\nhost = \"127.0.0.1\"\n\
         port = {}\ntls = \"none\"\nusername = \"ann\"\npassword = {{ env = \"SECRET\" }}\n",
        server.port()
    ));
    let running = house.run(&[("SECRET", "secret")]);
    house
        .until("both notices are recorded", async || {
            house.allocations().await.len() == 2
        })
        .await;
    let most = running.kibibytes("VmHWM");
    eprintln!("VmHWM {most} KiB");
    assert!(most < 200 << 10, "{most} KiB");
}
