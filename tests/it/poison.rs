//! One mailbox as the daemon watches it, step by step, against a server that cannot hand over
//! every message: the others go on, and the one is told of in the end. No test waits for a clock.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use invoice_trackd::{
    clock::Clock,
    daemon::{Orders, Watch, WatchError},
    delivery::{Language, Style},
    intake::Place,
    ledger::{AllocationFilter, Cause, Ledger, LinkState, Pending, Quarantined},
    mailbox::{Bounds, Imap, Source},
};
use jiff::{SignedDuration, Timestamp, ToSpan};
use tempfile::TempDir;
use tokio::sync::watch::{Sender, channel};

use self::server::{Fault, Folder, serve};
use crate::support::{
    daemon,
    intake::{company, intake},
    outbox::style,
    scripted_imap::ScriptedImap,
    watch::watch,
};

mod server;

struct Post {
    folder: Folder,
    asked: Arc<Mutex<Vec<String>>>,
    watch: Watch,
    ledger: Ledger,
    clock: Clock,
    stop: Sender<bool>,
    _home: TempDir,
    _server: ScriptedImap,
}

fn noon() -> Timestamp {
    "2026-01-20T04:00:00Z".parse().unwrap()
}

impl Post {
    async fn new(messages: &[(u32, String, Fault)]) -> Self {
        let folder: Folder = Arc::default();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let server = {
            let (folder, asked) = (Arc::clone(&folder), Arc::clone(&asked));
            ScriptedImap::start_for_all(move |peer| {
                serve(Arc::clone(&folder), Arc::clone(&asked), peer)
            })
            .await
        };
        let home = tempfile::tempdir().unwrap();
        let clock = Clock::manual(noon());
        let (stop, stopped) = channel(false);
        let long = Duration::from_secs(15);
        let orders = Orders {
            source: Source::Imap(Imap::new(server.settings(Bounds {
                connect: long,
                command: long,
                // Nothing but what a test shows ends a wait.
                poll: 40 * long,
                ..Bounds::default()
            }))),
            place: Place {
                company: Some(company().ban),
                ..Place::default()
            },
            since: None,
            intake: intake(
                Ledger::open(&home.path().join("ledger.db"), noon())
                    .await
                    .unwrap(),
                Style {
                    language: Language::En,
                    ..style()
                },
            ),
        };
        let ledger = orders.intake.ledger.clone();
        let orders = channel(Arc::new(orders)).1;
        let watch = watch(orders, clock.clone(), stopped);
        let post = Self {
            folder,
            asked,
            watch,
            ledger,
            clock,
            stop,
            _home: home,
            _server: server,
        };
        for (uid, message, fault) in messages {
            post.put(*uid, message.clone(), *fault);
        }
        post
    }

    fn put(&self, uid: u32, message: String, fault: Fault) {
        self.folder.lock().unwrap().insert(uid, (message, fault));
    }

    fn mend(&self, uid: u32) {
        self.folder.lock().unwrap().get_mut(&uid).unwrap().1 = Fault::None;
    }

    fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// One connection, up to the moment at which the daemon would wait for news.
    async fn pass(&self) -> Result<usize, WatchError> {
        let mut link = self.watch.open().await?;
        self.watch.catch_up(&mut link).await
    }

    /// Connections until one of them comes to its end, at one moment.
    async fn settle(&self) -> usize {
        for passes in 1..20 {
            match self.pass().await {
                Ok(_) => return passes,
                Err(error) => eprintln!("{error}"),
            }
        }
        panic!("the same moment ends session after session");
    }

    async fn after(&self, time: SignedDuration) -> usize {
        self.clock.set(self.clock.now() + time);
        self.settle().await
    }

    async fn known(&self) -> String {
        let known = self.ledger().known("einvoice", Some(7)).await.unwrap();
        known.uids.to_string()
    }

    async fn count(&self, disposition: &str) -> u64 {
        self.ledger().counts().await.unwrap()[disposition]
    }

    async fn tracks(&self) -> Vec<String> {
        let rows = self.ledger().allocations(AllocationFilter::default()).await;
        let rows = rows.unwrap().into_iter();
        rows.map(|row| row.allocation.block.track.to_string())
            .collect()
    }

    async fn alerts(&self) -> Vec<Pending<Cause>> {
        let mut transaction = self.ledger().begin().await.unwrap();
        transaction.pending::<Cause>().await.unwrap()
    }

    /// How often `uid` alone has been asked for since the last call.
    fn asked_alone(&self, uid: u32) -> usize {
        let asked = std::mem::take(&mut *self.asked.lock().unwrap());
        let alone = format!("{uid} (UID RFC822.SIZE");
        asked.iter().filter(|set| set.starts_with(&alone)).count()
    }

    /// Tries every five minutes until it is quarantined; returns how many minutes that took.
    async fn until_quarantined(&self) -> usize {
        for n in 1..40 {
            self.after(SignedDuration::from_mins(5)).await;
            if self.count("quarantined").await > 0 {
                return 5 * n;
            }
        }
        panic!("never quarantined");
    }
}

fn notice(track: &str) -> String {
    String::from_utf8(daemon::notice(track)).unwrap()
}

fn lunch() -> String {
    "From: a@example.com\r\nSubject: lunch\r\n\r\nat noon?\r\n".to_owned()
}

#[tokio::test]
async fn one_message_that_does_not_come_holds_up_no_other() {
    for fault in Fault::ALL {
        let post = Post::new(&[
            (1, notice("EA"), Fault::None),
            (2, notice("EB"), fault),
            (3, notice("EC"), Fault::None),
            (4, lunch(), Fault::None),
        ])
        .await;
        let passes = post.settle().await;
        assert!(passes <= 3, "{fault:?}: {passes} connections");
        assert_eq!(post.tracks().await, ["EA", "EC"], "{fault:?}");
        assert_eq!(post.known().await, "1,3:4", "{fault:?}");
        // It rests, and what comes meanwhile is taken in over an undisturbed connection.
        post.asked_alone(2);
        post.put(5, notice("ED"), Fault::None);
        assert_eq!(post.pass().await.unwrap(), 1, "{fault:?}");
        assert_eq!(post.asked_alone(2), 0, "{fault:?}");
        assert_eq!(
            post.ledger().mailboxes().await.unwrap()[0].state,
            LinkState::Up
        );
        // Mended, it is a message like any other.
        post.mend(2);
        assert_eq!(post.after(SignedDuration::from_mins(1)).await, 1);
        assert_eq!(post.known().await, "1:5", "{fault:?}");
        assert_eq!(post.count("quarantined").await, 0, "{fault:?}");
        assert_eq!(post.alerts().await, []);
    }
}

#[tokio::test]
async fn what_rests_is_asked_for_again_when_it_is_due() {
    let post = Post::new(&[(1, notice("EA"), Fault::HangUp)]).await;
    post.pass().await.unwrap_err();
    post.mend(1);
    let mut link = post.watch.open().await.unwrap();
    assert_eq!(post.watch.catch_up(&mut link).await.unwrap(), 0);

    post.clock.set(noon() + 58.seconds());
    let waiting = tokio::time::timeout(Duration::from_secs(60), post.watch.wait(&mut link));
    waiting.await.expect("not after poll's minutes").unwrap();
    post.clock.set(noon() + 60.seconds());
    assert_eq!(post.watch.catch_up(&mut link).await.unwrap(), 1);
    assert_eq!(post.known().await, "1");
}

#[tokio::test]
async fn what_is_new_comes_before_any_suspect() {
    let post = Post::new(&[
        (1, notice("EA"), Fault::None),
        (2, notice("EB"), Fault::HangUp),
    ])
    .await;
    post.pass().await.unwrap_err();
    assert_eq!(post.known().await, "");
    post.put(3, notice("EC"), Fault::None);
    post.put(4, notice("ED"), Fault::None);
    // The first suspect is asked for after both, and the second ends the connection.
    post.pass().await.unwrap_err();
    let asked = post.asked.lock().unwrap().clone();
    let sets: Vec<&str> = asked
        .iter()
        .map(|set| set.split(' ').next().unwrap())
        .collect();
    assert_eq!(sets, ["1:2", "3:4", "3:4", "1", "1", "2"]);
    assert_eq!(post.known().await, "1,3:4");
}

#[tokio::test]
async fn a_message_that_never_comes_is_told_of_once_and_settles_by_itself() {
    for fault in Fault::ALL {
        let post = Post::new(&[
            (1, notice("EA"), Fault::None),
            (2, notice("EB"), fault),
            (3, lunch(), Fault::None),
        ])
        .await;
        post.settle().await;
        let minutes = post.until_quarantined().await;
        assert!((60..=120).contains(&minutes), "{fault:?}: {minutes}");
        assert_eq!(post.known().await, "1:3");
        let [row] = &post.ledger().quarantine().await.unwrap()[..] else {
            panic!("{fault:?}: expected one message in quarantine");
        };
        let [(code, detail)] = &row.defects[..] else {
            panic!("{fault:?}: {row:?}");
        };
        assert_eq!(code, "unfetchable");
        assert!(detail.contains("UID 2, found "), "{detail}");
        let alerts = post.alerts().await;
        assert_eq!(alerts.len(), 1, "{fault:?}");
        // Known by its place: the same in a ledger restored from a backup.
        assert!(
            alerts[0].key.starts_with("unfetchable:einvoice:"),
            "{}",
            alerts[0].key
        );
        assert!(alerts[0].key.ends_with(":2"), "{}", alerts[0].key);
        let Cause::Quarantined(Quarantined { message_id, .. }) = alerts[0].cause else {
            panic!("{:?}", alerts[0]);
        };
        assert_eq!(message_id, row.id);

        // Daily after that, and nobody is told again.
        post.after(SignedDuration::from_hours(1)).await;
        post.asked_alone(2);
        for _ in 0..3 {
            post.after(SignedDuration::from_hours(23)).await;
            assert_eq!(post.asked_alone(2), 0, "{fault:?}");
            post.after(SignedDuration::from_hours(1)).await;
            assert_eq!(post.asked_alone(2), 1, "{fault:?}");
        }
        assert_eq!(post.alerts().await.len(), 1, "{fault:?}");

        post.mend(2);
        assert_eq!(post.tracks().await, ["EA"]);
        post.after(SignedDuration::from_hours(24)).await;
        let rows = post.ledger().allocations(AllocationFilter::default()).await;
        let rows = rows.unwrap();
        assert_eq!(rows[1].allocation.block.track.to_string(), "EB");
        assert_eq!(rows[1].message_id, row.id, "{fault:?}");
        assert_eq!(post.count("quarantined").await, 0);
        assert_eq!(post.known().await, "1:3");
        // Two confirmations; the alert is another mail.
        assert_eq!(post.ledger().outbox_counts().await.unwrap()["pending"], 2);
        post.asked_alone(2);
        post.after(SignedDuration::from_hours(48)).await;
        assert_eq!(post.asked_alone(2), 0, "{fault:?}");
    }
}

#[tokio::test]
async fn what_settles_late_is_judged_like_any_other() {
    for (late, disposition) in [
        (lunch(), "unrelated"),
        // Judged before, byte for byte.
        (notice("EA"), "duplicate"),
        (
            notice("EB").replace("einvoice@einvoice.nat.gov.tw\r", "x@example.com\r"),
            "quarantined",
        ),
        // On topic, and no notice.
        (
            "From: x@example.com\r\nSubject: 字軌?\r\n\r\nhello\r\n"
                .replace("字軌", "=?UTF-8?B?5a2X6LuM?="),
            "unrelated",
        ),
    ] {
        let post = Post::new(&[
            (1, notice("EA"), Fault::None),
            (2, late, Fault::No),
            (3, notice("EC"), Fault::None),
        ])
        .await;
        post.settle().await;
        post.until_quarantined().await;
        post.mend(2);
        post.after(SignedDuration::from_hours(24)).await;
        let counts = post.ledger().counts().await.unwrap();
        let counted: u64 = counts.values().sum();
        assert_eq!((counts["imported"], counted), (2, 3), "{disposition}");
        assert_eq!(counts[disposition], 1, "{counts:?}");
        assert_eq!(post.known().await, "1:3");
        let codes: Vec<String> = post
            .ledger()
            .quarantine()
            .await
            .unwrap()
            .into_iter()
            .flat_map(|row| row.defects)
            .map(|(code, _)| code)
            .collect();
        let expected: &[&str] = match disposition {
            "quarantined" => &["sender_not_allowed"],
            _ => &[],
        };
        assert_eq!(codes, expected);
    }
}

#[tokio::test]
async fn a_server_that_hands_over_nothing_makes_nothing_unfetchable() {
    for fault in [
        Fault::No,
        Fault::NoBody,
        Fault::HangUp,
        Fault::Nil,
        Fault::Silence,
    ] {
        let post = Post::new(&[(1, notice("EA"), Fault::None), (2, lunch(), Fault::None)]).await;
        post.settle().await;
        for uid in 1..=2 {
            let message = post.folder.lock().unwrap()[&uid].0.clone();
            post.put(uid, message, fault);
        }
        post.put(3, notice("EB"), fault);
        post.put(4, notice("EC"), fault);
        for _ in 0..60 {
            post.clock.set(post.clock.now() + 1.hour());
            for _ in 0..3 {
                post.pass().await.ok();
            }
        }
        assert_eq!(post.count("quarantined").await, 0, "{fault:?}");
        assert_eq!(post.alerts().await, []);
        for uid in 1..=4 {
            post.mend(uid);
        }
        post.after(SignedDuration::from_hours(1)).await;
        assert_eq!(post.known().await, "1:4", "{fault:?}");
        assert_eq!(post.tracks().await, ["EA", "EB", "EC"], "{fault:?}");
    }
}

#[tokio::test]
async fn what_once_came_over_a_connection_is_no_proof_an_hour_later() {
    let post = Post::new(&[(1, notice("EA"), Fault::None), (2, lunch(), Fault::None)]).await;
    let mut link = post.watch.open().await.unwrap();
    post.watch.catch_up(&mut link).await.unwrap();
    assert_eq!(post.tracks().await, ["EA"]);
    // From now on it hands over nothing, and does not break the connection.
    for (_, fault) in post.folder.lock().unwrap().values_mut() {
        *fault = Fault::Silence;
    }
    post.put(3, notice("EB"), Fault::Silence);
    for _ in 0..20 {
        post.clock.set(post.clock.now() + 1.hour());
        post.watch.catch_up(&mut link).await.unwrap();
    }
    assert_eq!(post.count("quarantined").await, 0);
    assert_eq!(post.alerts().await, []);
    post.mend(3);
    post.clock.set(post.clock.now() + 1.hour());
    post.watch.catch_up(&mut link).await.unwrap();
    assert_eq!(post.tracks().await, ["EA", "EB"]);
}

#[tokio::test]
async fn a_message_alone_in_its_folder_is_not_condemned_without_a_second_one() {
    let post = Post::new(&[(1, notice("EA"), Fault::No)]).await;
    for _ in 0..40 {
        post.after(SignedDuration::from_mins(30)).await;
    }
    assert_eq!(post.count("quarantined").await, 0);
    post.put(2, lunch(), Fault::None);
    post.after(SignedDuration::from_hours(1)).await;
    assert_eq!(post.count("quarantined").await, 0);
    for _ in 0..5 {
        post.after(SignedDuration::from_hours(1)).await;
    }
    assert_eq!(post.count("quarantined").await, 1);
}

#[tokio::test]
async fn a_suspect_that_leaves_the_folder_is_forgotten() {
    let post = Post::new(&[(1, notice("EA"), Fault::None), (2, notice("EB"), Fault::No)]).await;
    post.settle().await;
    let suspects = async || {
        let now = post.clock.now();
        let (due, resting) = post.ledger().suspects("einvoice", 7, now).await.unwrap();
        (due, resting.to_string())
    };
    assert_eq!(suspects().await, (vec![], "2".to_owned()));
    // A clock that is set back lets nothing rest for longer than it would have.
    post.clock.set(noon() - 24.hours());
    assert_eq!(suspects().await, (vec![2], String::new()));
    post.folder.lock().unwrap().remove(&2);
    post.settle().await;
    assert_eq!(suspects().await, (vec![], String::new()));
    assert_eq!(post.known().await, "1");
}

#[tokio::test]
async fn the_word_to_stop_does_not_drop_what_is_being_written_down() {
    // How long the daemon takes to get to its transaction nobody can tell from outside: where the
    // word came too early, and nothing was in hand, it is said again later.
    for patience in [50, 200, 800, 3200] {
        let post = Post::new(&[(1, notice("EA"), Fault::None)]).await;
        let mut link = post.watch.open().await.unwrap();
        let ledger = post.ledger().clone();
        let before = ledger.begin().await.unwrap();
        let stop = async {
            tokio::time::sleep(Duration::from_millis(patience)).await;
            post.stop.send(true).unwrap();
            // The one in front goes on, and only then can what was in hand be finished.
            tokio::time::sleep(Duration::from_millis(50)).await;
            drop(before);
        };
        let (ended, ()) = tokio::join!(post.watch.catch_up(&mut link), stop);
        assert!(matches!(ended, Err(WatchError::Stopped)), "{ended:?}");
        if post.tracks().await == ["EA"] {
            return;
        }
    }
    panic!("what was in hand was never written down");
}

#[tokio::test]
async fn the_word_to_stop_ends_every_wait() {
    let post = Post::new(&[(1, notice("EA"), Fault::None)]).await;
    let stop = async {
        // Polling, IDLE being missing, lasts for minutes.
        while post.tracks().await.is_empty() {
            tokio::task::yield_now().await;
        }
        post.stop.send(true).unwrap();
    };
    let running = tokio::time::timeout(Duration::from_secs(15), post.watch.run());
    let (ended, ()) = tokio::join!(running, stop);
    ended.expect("the wait went on").unwrap();
}
