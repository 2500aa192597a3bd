//! One mailbox as the daemon watches it, in a loop, and what must be true of it in the end.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use invoice_trackd::{
    clock::Clock,
    daemon::{Orders, Watch},
    delivery::{Listener, Wake},
    http::{Signs, Vitals},
    intake::Place,
    ledger::{AllocationFilter, Cause, Ledger},
    mailbox::{Bounds, Imap, ImapSettings, Source},
    notice::Period,
};
use jiff::{Timestamp, ToSpan};
use tokio::{sync::watch, task::JoinHandle, time::timeout};

use crate::support::{
    self,
    intake::{company, intake},
    outbox::style,
    watch::hurried,
};

/// For what takes a second or two, on a machine that is busy with something else.
pub(super) const SOON: Duration = Duration::from_secs(60);

/// Every folder's here.
pub(super) const UIDVALIDITY: u32 = 7;

pub(super) fn noon() -> Timestamp {
    "2026-01-20T04:00:00Z".parse().unwrap()
}

/// So many turns one ledger has.
pub(super) const TURNS: usize = 16;

/// The period of the notices of one turn, each in a year of its own, in which no other has used
/// their tracks; every one of them takes as many bytes to say.
pub(super) fn period(turn: u32) -> Period {
    let year = 100 + turn as u16;
    Period::from_months((year, 1), (year, 2)).unwrap()
}

/// Bounds under which only what happens ends a wait.
pub(super) fn patient() -> Bounds {
    Bounds {
        connect: SOON,
        command: SOON,
        answer: SOON,
        idle: 10 * SOON,
        done: SOON,
        ..Bounds::default()
    }
}

/// Bounds under which silence is soon noticed; where a busy machine is taken for a silent server,
/// the daemon connects once more.
pub(super) fn impatient() -> Bounds {
    let short = Duration::from_millis(800);
    Bounds {
        connect: short,
        command: short,
        idle: short,
        done: short,
        ..Bounds::default()
    }
}

/// The daemon's loop, running.
pub(super) struct Watched {
    name: String,
    ledger: Ledger,
    turn: u32,
    mailbox: String,
    clock: Clock,
    wake: Listener,
    vitals: watch::Receiver<Vitals>,
    running: JoinHandle<()>,
    stop: watch::Sender<bool>,
    _orders: watch::Sender<Arc<Orders>>,
}

impl Watched {
    /// The `turn`th to use this ledger, counted from 0: each has a mailbox and a period of its own.
    /// `name` tells in a failed test which one it was.
    pub(super) fn start(ledger: &Ledger, turn: u32, name: String, settings: ImapSettings) -> Self {
        let mailbox = format!("mailbox {turn}");
        let clock = Clock::manual(noon());
        let (stop, stopped) = watch::channel(false);
        let (orders, current) = watch::channel(Arc::new(Orders {
            source: Source::Imap(Imap::new(ImapSettings {
                name: mailbox.clone(),
                ..settings
            })),
            place: Place {
                company: Some(company().ban),
                ..Place::default()
            },
            since: None,
            intake: intake(ledger.clone(), style()),
        }));
        let wake = Wake::default();
        let (vitals, seen) = watch::channel(Vitals {
            mailboxes: BTreeMap::from([(mailbox.clone(), Signs::default())]),
            ..Vitals::default()
        });
        let watch = Watch {
            name: mailbox.clone(),
            wake: wake.clone(),
            vitals,
            pauses: hurried(),
            ..support::watch::watch(current, clock.clone(), stopped)
        };
        Self {
            name,
            ledger: ledger.clone(),
            turn,
            mailbox,
            clock,
            wake: wake.listener(),
            vitals: seen,
            running: tokio::spawn(async move { watch.run().await.unwrap() }),
            stop,
            _orders: orders,
        }
    }

    /// What was asked for alone when the connection broke rests for a minute.
    pub(super) fn time_goes_by(&self) {
        self.clock.set(self.clock.now() + 2.minutes());
    }

    /// Waits until the folder has been looked through once.
    pub(super) async fn scanned(&mut self) {
        let scanned = self.vitals.wait_for(Vitals::is_scanned);
        let scanned = timeout(SOON, scanned).await;
        scanned
            .unwrap_or_else(|_| panic!("{}: never caught up", self.name))
            .unwrap();
    }

    /// Waits until the ledger accounts for exactly the messages 1 to `last`.
    pub(super) async fn knows_up_to(&mut self, last: usize) {
        let expected = match last {
            1 => "1".to_owned(),
            _ => format!("1:{last}"),
        };
        let mut known = String::new();
        let waiting = async {
            loop {
                self.vitals.mark_unchanged();
                let ledger = self.ledger.known(&self.mailbox, Some(UIDVALIDITY));
                known = ledger.await.unwrap().uids.to_string();
                if known == expected {
                    return;
                }
                tokio::select! {
                    () = self.wake.woken() => {}
                    changed = self.vitals.changed() => {
                        assert!(changed.is_ok(), "{}: ended by itself", self.name);
                        self.time_goes_by();
                    }
                }
            }
        };
        let waited = timeout(SOON, waiting).await;
        assert!(
            waited.is_ok(),
            "{}: expected {expected}, found {known}",
            self.name
        );
    }

    /// Nothing lost, nothing doubled, nobody alarmed, nothing held against anybody; and the loop
    /// runs, and stops when told to.
    pub(super) async fn comes_through(self, tracks: &[&str]) {
        let Self {
            name,
            ledger,
            turn,
            mailbox,
            clock,
            running,
            stop,
            ..
        } = self;
        let refused = ledger.quarantine().await.unwrap();
        assert_eq!(refused, [], "{name}");
        let rows = ledger.allocations(AllocationFilter {
            period: Some(period(turn)),
            ..AllocationFilter::default()
        });
        let mut recorded: Vec<String> = (rows.await.unwrap().into_iter())
            .map(|row| row.allocation.block.track.to_string())
            .collect();
        recorded.sort();
        assert_eq!(recorded, tracks, "{name}");
        let of_all = |counts: BTreeMap<String, u64>, kind: &str| {
            let all: u64 = counts.values().sum();
            (counts[kind], all)
        };
        // Every turn before this one had as many.
        let each = u64::from(turn + 1) * tracks.len() as u64;
        let messages = ledger.counts().await.unwrap();
        assert_eq!(of_all(messages, "imported"), (each, each), "{name}");
        let letters = ledger.outbox_counts().await.unwrap();
        assert_eq!(of_all(letters, "pending"), (each, each), "{name}");
        let mut transaction = ledger.begin().await.unwrap();
        let alerts = transaction.pending::<Cause>().await.unwrap();
        drop(transaction);
        assert_eq!(alerts, [], "{name}");
        let (due, resting) = (ledger.suspects(&mailbox, UIDVALIDITY, clock.now()).await).unwrap();
        assert!(due.is_empty() && resting.is_empty(), "{name}");

        assert!(!running.is_finished(), "{name}: ended by itself");
        stop.send_replace(true);
        let ended = timeout(SOON, running).await;
        ended
            .unwrap_or_else(|_| panic!("{name}: did not stop"))
            .unwrap();
    }
}
