//! Servers that cannot move, will not, or break off over it; one step of the daemon at a time.

use std::sync::Arc;

use invoice_trackd::{
    clock::Clock,
    daemon::{Orders, Watch},
    intake::{Intake, Place},
    ledger::Ledger,
    mailbox::{AfterImport, Bounds, Imap, ImapSettings, Link, Source, UidSet},
    notice::Rules,
};
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::{sync::watch, time::Duration};

use crate::support::{
    self,
    daemon::Notice,
    intake::believing,
    scripted_imap::{Peer, ScriptedImap, body, head},
};

fn now() -> Timestamp {
    "2026-07-20T04:00:00Z".parse().unwrap()
}

/// A daemon's task on a scripted server, with a ledger that knows nothing yet.
struct Task {
    watch: Watch,
    ledger: Ledger,
    _home: TempDir,
    _stop: watch::Sender<bool>,
}

impl Task {
    async fn new(server: &ScriptedImap, after_import: AfterImport, bounds: Bounds) -> Self {
        let home = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&home.path().join("ledger.db"), now())
            .await
            .unwrap();
        let settings = ImapSettings {
            after_import: Some(after_import),
            ..server.settings(bounds)
        };
        let (stop, stopped) = watch::channel(false);
        let orders = Orders {
            source: Source::Imap(Imap::new(settings)),
            place: Place::default(),
            since: None,
            intake: Intake {
                ledger: ledger.clone(),
                rules: Rules {
                    accept_unlisted_companies: true,
                    ..Rules::default()
                },
                verifier: believing(),
                style: None,
            },
        };
        let orders = watch::channel(Arc::new(orders)).1;
        let watch = support::watch::watch(orders, Clock::manual(now()), stopped);
        Self {
            watch,
            ledger,
            _home: home,
            _stop: stop,
        }
    }

    async fn open(&self) -> Link {
        self.watch.open().await.unwrap()
    }

    async fn unfiled(&self) -> UidSet {
        self.ledger.unfiled("einvoice", 7).await.unwrap()
    }
}

fn archive() -> AfterImport {
    AfterImport::MoveTo("Archive".to_owned())
}

fn only(uid: u32) -> UidSet {
    [uid].into_iter().collect()
}

/// Opens the folder and hands over one notice, UID 4.
async fn with_a_notice(peer: &mut Peer, capabilities: &str) {
    peer.select(capabilities, 1).await;
    peer.expect("UID SEARCH BEFORE")
        .await
        .ok("* SEARCH\r\n")
        .await;
    hand_over(peer, 4, &Notice::default()).await;
}

async fn hand_over(peer: &mut Peer, uid: u32, notice: &Notice<'_>) {
    let mail = String::from_utf8(notice.eml()).unwrap();
    let header = mail.split_inclusive("\r\n\r\n").next().unwrap();
    list(peer, &uid.to_string()).await;
    let asked = peer
        .expect(&format!("UID FETCH {uid} (UID RFC822.SIZE"))
        .await;
    asked.ok(&head(1, uid, mail.len(), header)).await;
    let asked = peer
        .expect(&format!("UID FETCH {uid} (UID BODY.PEEK[])"))
        .await;
    asked.ok(&body(1, uid, &mail)).await;
}

async fn list(peer: &mut Peer, uids: &str) {
    peer.expect("UID SEARCH ALL")
        .await
        .ok(&format!("* SEARCH {uids}\r\n"))
        .await;
}

#[tokio::test]
async fn without_move_it_is_copied_marked_and_expunged_by_its_uid() {
    let server = ScriptedImap::start(|mut peer: Peer| async move {
        with_a_notice(&mut peer, "UIDPLUS").await;
        let asked = peer.expect("UID COPY 4 \"Archive\"").await;
        let noise = "* OK [COPYUID 9 4 1] copied\r\n* 2 EXISTS\r\n* 1 FETCH (FLAGS (\\Recent))\r\n";
        asked.ok(noise).await;
        peer.expect("UID STORE 4 +FLAGS.SILENT (\\Deleted)")
            .await
            .ok("")
            .await;
        let asked = peer.expect("UID EXPUNGE").await;
        assert_eq!(asked.line, "UID EXPUNGE 4");
        asked.ok("* 1 EXPUNGE\r\n").await;
        peer.must_leave().await;
    })
    .await;
    let task = Task::new(&server, archive(), Bounds::default()).await;
    let mut link = task.open().await;
    assert_eq!(task.watch.catch_up(&mut link).await.unwrap(), 1);
    assert!(task.unfiled().await.is_empty());
    drop(link);
    server.finish().await;
}

#[tokio::test]
async fn move_is_one_command_and_its_copyuid_is_only_noise() {
    let server = ScriptedImap::start(|mut peer: Peer| async move {
        with_a_notice(&mut peer, "MOVE UIDPLUS").await;
        let asked = peer.expect("UID MOVE 4 \"Archive\"").await;
        asked
            .ok("* OK [COPYUID 9 4 1] moved\r\n* 1 EXPUNGE\r\n* 0 EXISTS\r\n* VANISHED 4\r\n")
            .await;
        peer.must_leave().await;
    })
    .await;
    let task = Task::new(&server, archive(), Bounds::default()).await;
    let mut link = task.open().await;
    assert_eq!(task.watch.catch_up(&mut link).await.unwrap(), 1);
    assert!(task.unfiled().await.is_empty());
    drop(link);
    server.finish().await;
}

#[tokio::test]
async fn with_neither_move_nor_uidplus_nothing_is_expunged() {
    let server = ScriptedImap::start(|mut peer: Peer| async move {
        with_a_notice(&mut peer, "").await;
        // The watching goes on, and nothing was asked in between.
        list(&mut peer, "4").await;
        peer.must_leave().await;
    })
    .await;
    let task = Task::new(&server, archive(), Bounds::default()).await;
    let mut link = task.open().await;
    task.watch.catch_up(&mut link).await.unwrap();
    task.watch.catch_up(&mut link).await.unwrap();
    assert_eq!(task.unfiled().await, only(4));
    drop(link);
    server.finish().await;
}

#[tokio::test]
async fn after_a_refusal_the_session_goes_on_and_filing_rests_over_reconnects() {
    let server = ScriptedImap::start_for_all(|mut peer: Peer| async move {
        peer.select("MOVE", 1).await;
        while let Some(line) = peer.line().await {
            let (tag, command) = line.split_once(' ').unwrap();
            let mail = String::from_utf8(Notice::default().eml()).unwrap();
            let header = mail.split_inclusive("\r\n\r\n").next().unwrap();
            let answer = if command.starts_with("UID SEARCH BEFORE") {
                "* SEARCH\r\n".to_owned()
            } else if command.starts_with("UID SEARCH") {
                "* SEARCH 4\r\n".to_owned()
            } else if command.contains("RFC822.SIZE") {
                head(1, 4, mail.len(), header)
            } else if command.contains("BODY.PEEK[]") {
                body(1, 4, &mail)
            } else {
                assert_eq!(command, "UID MOVE 4 \"Archive\"");
                peer.say(&format!("{tag} NO [TRYCREATE] no such folder\r\n"))
                    .await;
                continue;
            };
            peer.say(&format!("{answer}{tag} OK done\r\n")).await;
        }
    })
    .await;
    let short = Bounds {
        refile: Duration::from_secs(2),
        ..Bounds::default()
    };
    let task = Task::new(&server, archive(), short).await;
    let mut link = task.open().await;
    assert!(link.files());
    task.watch.catch_up(&mut link).await.unwrap();
    assert!(!link.files(), "it does not rest");
    task.watch.catch_up(&mut link).await.unwrap();
    drop(link);
    // A new session does not shorten the rest; its end ends it.
    let link = task.open().await;
    assert!(!link.files(), "a new session begins anew");
    let rested = async {
        while !link.files() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), rested)
        .await
        .expect("it rests for ever");
    assert_eq!(task.unfiled().await, only(4));
}

#[tokio::test]
async fn what_was_copied_and_could_not_be_removed_is_not_copied_again() {
    let server = ScriptedImap::start(|mut peer: Peer| async move {
        with_a_notice(&mut peer, "UIDPLUS").await;
        peer.expect("UID COPY").await.ok("").await;
        let asked = peer.expect("UID STORE").await;
        asked.answer("TAG NO [NOPERM] you may not\r\n").await;
        list(&mut peer, "4").await;
        peer.expect("UID STORE").await.ok("").await;
        peer.expect("UID EXPUNGE 4").await.ok("").await;
        peer.must_leave().await;
    })
    .await;
    let at_once = Bounds {
        refile: Duration::ZERO,
        ..Bounds::default()
    };
    let task = Task::new(&server, archive(), at_once).await;
    let mut link = task.open().await;
    task.watch.catch_up(&mut link).await.unwrap();
    assert_eq!(task.unfiled().await, only(4));
    task.watch.catch_up(&mut link).await.unwrap();
    assert!(task.unfiled().await.is_empty());
    drop(link);
    server.finish().await;
}

#[tokio::test]
async fn what_has_left_the_folder_meanwhile_is_not_asked_for() {
    let server = ScriptedImap::start(|mut peer: Peer| async move {
        with_a_notice(&mut peer, "MOVE").await;
        let asked = peer.expect("UID MOVE 4").await;
        asked.answer("TAG NO [INUSE] not now\r\n").await;
        list(&mut peer, "").await;
        peer.must_leave().await;
    })
    .await;
    let at_once = Bounds {
        refile: Duration::ZERO,
        ..Bounds::default()
    };
    let task = Task::new(&server, archive(), at_once).await;
    let mut link = task.open().await;
    task.watch.catch_up(&mut link).await.unwrap();
    task.watch.catch_up(&mut link).await.unwrap();
    assert!(task.unfiled().await.is_empty());
    drop(link);
    server.finish().await;
}

#[tokio::test]
async fn a_server_that_breaks_off_twice_over_it_is_watched_without_it() {
    let server = ScriptedImap::start_for_all(|mut peer: Peer| async move {
        peer.select("MOVE", 1).await;
        while let Some(line) = peer.line().await {
            let (tag, command) = line.split_once(' ').unwrap();
            let mail = String::from_utf8(Notice::default().eml()).unwrap();
            let header = mail.split_inclusive("\r\n\r\n").next().unwrap();
            let answer = match command {
                _ if command.starts_with("UID SEARCH BEFORE") => "* SEARCH\r\n".to_owned(),
                _ if command.starts_with("UID SEARCH") => "* SEARCH 4\r\n".to_owned(),
                _ if command.contains("RFC822.SIZE") => head(1, 4, mail.len(), header),
                _ if command.contains("BODY.PEEK[]") => body(1, 4, &mail),
                _ => return,
            };
            peer.say(&format!("{answer}{tag} OK done\r\n")).await;
        }
    })
    .await;
    let task = Task::new(&server, archive(), Bounds::default()).await;
    for _ in 0..2 {
        let mut link = task.open().await;
        task.watch.catch_up(&mut link).await.unwrap_err();
    }
    let mut link = task.open().await;
    task.watch.catch_up(&mut link).await.unwrap();
    assert_eq!(task.unfiled().await, only(4));
}

#[tokio::test]
async fn a_folder_in_which_seen_does_not_last_is_not_marked() {
    left_alone("", AfterImport::MarkSeen).await;
}

#[tokio::test]
async fn from_a_folder_in_which_deleted_does_not_last_nothing_is_copied() {
    // It would be copied again at every look.
    left_alone("UIDPLUS", archive()).await;
}

/// In a folder that keeps no flag, nothing is asked for.
async fn left_alone(capabilities: &'static str, after_import: AfterImport) {
    let server = ScriptedImap::start(move |mut peer: Peer| async move {
        peer.log_in().await;
        let asked = peer.expect("CAPABILITY").await;
        let announced = format!("* CAPABILITY IMAP4rev1 {capabilities}\r\n");
        asked.ok(&announced).await;
        let opened =
            "* 1 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n* OK [PERMANENTFLAGS ()] read-only\r\n";
        peer.expect("SELECT").await.ok(opened).await;
        let asked = peer.expect("UID SEARCH BEFORE").await;
        asked.ok("* SEARCH\r\n").await;
        hand_over(&mut peer, 4, &Notice::default()).await;
        peer.must_leave().await;
    })
    .await;
    let task = Task::new(&server, after_import, Bounds::default()).await;
    let mut link = task.open().await;
    task.watch.catch_up(&mut link).await.unwrap();
    assert_eq!(task.unfiled().await, only(4));
    drop(link);
    server.finish().await;
}

/// Answers the first UID MOVE with `answer`; what is left to be filed, and whether the step failed.
async fn moved_with(answer: &'static str) -> (UidSet, bool) {
    let server = ScriptedImap::start(move |mut peer: Peer| async move {
        with_a_notice(&mut peer, "MOVE").await;
        peer.expect("UID MOVE").await.answer(answer).await;
    })
    .await;
    let task = Task::new(&server, archive(), Bounds::default()).await;
    let mut link = task.open().await;
    let failed = task.watch.catch_up(&mut link).await.is_err();
    server.finish().await;
    (task.unfiled().await, failed)
}

#[tokio::test]
async fn only_the_tagged_ok_of_the_move_itself_counts() {
    let cut = "* OK [COPYUID 9 4 1] moved\r\n* 1 EXPUNGE\r\n";
    assert_eq!(moved_with(cut).await, (only(4), true), "cut off");
    let bye = "* BYE going down\r\n";
    assert_eq!(moved_with(bye).await, (only(4), true), "BYE");
    let other = "* 1 EXPUNGE\r\na77 OK done\r\n";
    assert_eq!(moved_with(other).await, (only(4), true), "another tag");
    let refused = "TAG NO [OVERQUOTA] full\r\n";
    assert_eq!(moved_with(refused).await, (only(4), false), "NO");
    let bad = "TAG BAD what\r\n";
    assert_eq!(moved_with(bad).await, (only(4), false), "BAD");
    let done = "* 1 EXPUNGE\r\nTAG OK done\r\n";
    assert_eq!(moved_with(done).await, (UidSet::default(), false), "OK");
}

#[tokio::test]
async fn an_idle_folder_is_looked_at_again_so_that_a_release_is_found() {
    let server = ScriptedImap::start(|mut peer: Peer| async move {
        with_a_notice(&mut peer, "MOVE IDLE").await;
        let asked = peer.expect("UID MOVE 4").await;
        asked.answer("TAG NO [INUSE] not now\r\n").await;
        peer.expect("NOOP").await.ok("").await;
        let mut idle = peer.expect("IDLE").await;
        idle.go_on("+ idling\r\n").await;
        idle.done().await;
        idle.ok("").await;
        list(&mut peer, "4").await;
        peer.expect("UID MOVE 4").await.ok("* 1 EXPUNGE\r\n").await;
        peer.must_leave().await;
    })
    .await;
    let bounds = Bounds {
        idle: Duration::from_millis(200),
        refile: Duration::ZERO,
        ..Bounds::default()
    };
    let task = Task::new(&server, archive(), bounds).await;
    let mut link = task.open().await;
    task.watch.catch_up(&mut link).await.unwrap();
    link.wait(Duration::MAX).await.unwrap();
    task.watch.catch_up(&mut link).await.unwrap();
    assert!(task.unfiled().await.is_empty());
    drop(link);
    server.finish().await;
}
