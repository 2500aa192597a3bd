//! The real binary killed, over and over, at named points and at random moments, between a real
//! Dovecot and a mail server that remembers everything: nothing is lost, doubled or half recorded,
//! and every notice is confirmed.
//!
//! `upgrades` kills while an older ledger is brought up to date, `news` while digests and alerts are
//! gathered. Left out on purpose: the moving of mail after it was recorded, which `filing/killed`
//! has.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use invoice_trackd::{backoff::random, mailbox::UidSet};

use self::{
    account::{Account, look, progress},
    mails::Mails,
    when::When,
};
use crate::support::{
    daemon::{COMPANY, House, Notice, Running},
    dovecot::{Dovecot, PASSWORD},
    fault::{Faults, Moment},
    is_long,
    smtp_sink::{Hold, SmtpSink},
};

mod account;
mod mails;
mod news;
mod upgrades;
mod when;

/// Longer than anything takes on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// Notices that come at once.
const SOME: usize = 5;

/// One mailbox, one ledger, one mail server, and what has come of them so far.
struct Trial {
    dovecot: Arc<Dovecot>,
    user: &'static str,
    sink: SmtpSink,
    house: House,
    /// Track and first number of what was delivered.
    delivered: BTreeSet<(String, String)>,
    /// At the last kill.
    account: Account,
    mails: Mails,
    kills: BTreeMap<When, usize>,
    /// How long [`When::AnyTime`] lets a daemon live at most, seconds.
    longest: f64,
}

impl Trial {
    fn new(dovecot: Arc<Dovecot>, user: &'static str) -> Self {
        let sink = SmtpSink::start();
        let house = House::new(&format!(
            r#"{COMPANY}
[[mailbox]]
name = "einvoice"
kind = "imap"
host = "127.0.0.1"
port = {}
tls = "none"
username = "{user}"
password = {{ env = "TEST_IMAP_PASSWORD" }}
[mail]
from = "invoice-trackd <einvoice@example.com>"
confirm_to = ["ops@example.com"]
alert_to = ["oncall@example.com"]
[mail.smtp]
host = "127.0.0.1"
port = {}
tls = "none"
"#,
            dovecot.imap_port,
            sink.port(),
        ));
        Self {
            dovecot,
            user,
            sink,
            house,
            delivered: BTreeSet::new(),
            account: Account::default(),
            mails: Mails::default(),
            kills: BTreeMap::new(),
            longest: 0.8,
        }
    }

    /// Notices that nobody has seen yet, all at once.
    fn deliver(&mut self, count: usize) {
        let mut mails = Vec::new();
        for _ in 0..count {
            let number = self.delivered.len();
            let letter = |n: usize| char::from(b'A' + u8::try_from(n % 26).unwrap());
            let track = format!("{}{}", letter(number / 26), letter(number));
            let begin = 50 * u32::try_from(number * 7 + 1).unwrap();
            let message_id = format!("{number}@einvoice.nat.gov.tw");
            let notice = Notice {
                message_id: &message_id,
                track: &track,
                begin,
                booklets: 1,
                ..Notice::default()
            };
            mails.push(notice.eml());
            self.delivered.insert((track, format!("{begin:08}")));
        }
        self.dovecot.deliver_all(self.user, &mails);
    }

    fn run(&self, faults: &Faults) -> Running {
        let mut environment = faults.environment();
        environment.push(("TEST_IMAP_PASSWORD", PASSWORD));
        self.house.run(&environment)
    }

    /// Waits until the daemon has died, or, with `true`, has also nothing more to do: everything
    /// is recorded and sent, and the mailbox has answered since the start.
    async fn until_idle_or_dead(&self, daemon: &mut Running) -> bool {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if daemon.has_ended() {
                return false;
            }
            let now = progress(&self.house).await;
            if let Some((ranges, sent, last_ok)) = &now
                && *ranges == self.delivered.len()
                && *sent == self.delivered.len()
                && *last_ok > self.account.last_ok
            {
                return true;
            }
            assert!(
                Instant::now() < deadline,
                "{}: waited {PATIENCE:?} for {} to be recorded and sent, found {now:?}\n{}",
                self.user,
                self.delivered.len(),
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn until_idle(&self, daemon: &mut Running) {
        assert!(self.until_idle_or_dead(daemon).await, "{}", self.log());
    }

    /// The last lines of the log.
    fn log(&self) -> String {
        let log = self.house.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// Creates the ledger, with a kill at every few of the writes and syncs that this takes. What
    /// one leaves behind is what the next begins with.
    async fn first_start(&mut self) {
        let moments = [
            Moment::Write(1),
            Moment::Write(2),
            Moment::Torn(2),
            Moment::Wrote(3),
            Moment::Sync(1),
            Moment::Torn(4),
            Moment::Synced(1),
            Moment::Sync(2),
            Moment::Write(6),
            Moment::Synced(2),
            Moment::Torn(30),
            Moment::Write(61),
            Moment::Sync(3),
            Moment::Wrote(90),
            Moment::Synced(3),
        ];
        let mut whole = 0;
        for moment in moments {
            let mut daemon = self.run(&Faults::under(&self.house).kill_at(moment));
            assert!(!daemon.is_done(), "{moment:?}: {}", self.log());
            self.reckon(When::FirstStart).await;
            if self.account.exists {
                whole += 1;
                // Nothing had come yet, so nothing is lost with it.
                for suffix in ["", "-wal", "-shm", "-journal"] {
                    fs::remove_file(self.house.path(&format!("ledger.db{suffix}"))).ok();
                }
                self.account = Account::default();
            }
        }
        assert!(
            whole > 0 && whole < moments.len(),
            "{whole} kills came too late"
        );
    }

    /// One kill, at a point that must be reached.
    async fn kill(&mut self, when: When) {
        let any = |most: u32| 1 + (random() * f64::from(most)) as u32;
        let point = match when {
            When::BeforeTheTransaction => Moment::Begin(1),
            When::FirstPage => Moment::Write(1),
            // Pages follow their headers.
            When::TornPage => Moment::Torn(2 * any(8)),
            When::BetweenPages => Moment::Wrote(any(16)),
            When::BeforeTheSync => Moment::Sync(1),
            When::AfterTheSync => Moment::Synced(1),
            When::Checkpoint => Moment::Page(any(40)),
            When::BeforeTheConnection => Moment::Connect(any(SOME as u32)),
            When::Data => return self.hold(when, Hold::Data).await,
            When::Body => return self.hold(when, Hold::Body).await,
            When::BeforeThe250 => return self.hold(when, Hold::Dot).await,
            When::BeforeTheMark => return self.hold(when, Hold::Quit).await,
            When::AnyWrite => return self.any_write().await,
            When::AnyTime => return self.any_time().await,
            When::FirstStart => return self.first_start().await,
        };
        let faults = Faults::under(&self.house)
            .unarmed()
            .with_port(self.sink.port());
        let faults = faults.kill_at(point);
        let mut daemon = self.run(&faults);
        self.until_idle(&mut daemon).await;
        let (before, connections) = (self.delivered.len(), self.sink.connections());
        // Of this session's own, what the last one left and what comes now.
        let bodies = before - self.account.imported.len() + SOME;
        let logged = self.dovecot.log().len();
        faults.arm();
        if when == When::Checkpoint {
            // The log is moved when it has a thousand pages.
            loop {
                self.deliver(4 * SOME);
                if !self.until_idle_or_dead(&mut daemon).await {
                    break;
                }
            }
        } else {
            self.deliver(SOME);
        }
        assert!(!daemon.is_done(), "{when:?}: {}", self.log());
        self.reckon(when).await;

        let fresh = self.account.imported.len().saturating_sub(before);
        match when {
            When::BeforeTheTransaction | When::FirstPage | When::TornPage | When::BetweenPages => {
                assert_eq!(fresh, 0, "{when:?}");
                // The dispatcher looks for news, and a scan is written down, when it pleases them.
                if !self.were_fetched(bodies, logged).await {
                    self.recount(when, When::AnyWrite);
                }
            }
            When::BeforeTheSync | When::AfterTheSync => {
                // A log that begins anew is synced before it holds anything.
                if fresh == 0 {
                    self.recount(when, When::AnyWrite);
                } else {
                    assert_eq!(fresh, SOME, "{when:?}");
                    assert_eq!(self.account.in_state("pending").len(), SOME);
                }
            }
            When::BeforeTheConnection => {
                assert_eq!(self.account.in_state("sending").len(), 1);
                let sent = self.account.sent().len() - before;
                assert_eq!(self.sink.connections() - connections, sent);
            }
            _ => {}
        }
    }

    /// Killed while the mail server holds an answer back.
    async fn hold(&mut self, when: When, hold: Hold) {
        let mut daemon = self.run(&Faults::under(&self.house));
        self.until_idle(&mut daemon).await;
        let nth = 1 + (random() * SOME as f64) as u32;
        self.sink.hold_at(hold, nth);
        self.deliver(SOME);
        self.sink.until_held();
        daemon.kill();
        self.reckon(when).await;
        // The attempt was written down before it was made.
        let open = self.account.in_state("sending");
        assert_eq!(open.len(), 1, "{when:?}");
        let was_taken = matches!(hold, Hold::Dot | Hold::Quit);
        let unmarked = self.mails.unmarked.iter().map(String::as_str);
        assert_eq!(unmarked.eq(open), was_taken, "{when:?}");
    }

    /// Killed at a random write or sync of a start that finds mail waiting.
    async fn any_write(&mut self) {
        loop {
            let n = 1 + (random() * 200.0) as u32;
            let moment = match (random() * 5.0) as u32 {
                0 => Moment::Write(n),
                1 => Moment::Torn(n),
                2 => Moment::Wrote(n),
                3 => Moment::Sync(n.div_ceil(10)),
                _ => Moment::Synced(n.div_ceil(10)),
            };
            self.deliver(SOME);
            let mut daemon = self.run(&Faults::under(&self.house).kill_at(moment));
            let reached = !self.until_idle_or_dead(&mut daemon).await;
            drop(daemon);
            if reached {
                self.reckon(When::AnyWrite).await;
                return;
            }
            // It had nothing more to write: that was no kill in the middle of anything.
            self.reckon_for_nothing().await;
        }
    }

    /// Killed after a random time, with mail that was there before and mail that comes meanwhile.
    async fn any_time(&mut self) {
        loop {
            let half = Duration::from_secs_f64(self.longest / 2.0 * random());
            self.deliver(SOME - 2);
            let daemon = self.run(&Faults::under(&self.house));
            tokio::time::sleep(half).await;
            self.deliver(2);
            tokio::time::sleep(half).await;
            daemon.kill();
            let before = (self.account.imported.len(), self.account.sent().len());
            self.reckon_for_nothing().await;
            let after = (self.account.imported.len(), self.account.sent().len());
            // It counts when the daemon had begun and was not through; how long that takes depends
            // on the machine.
            if after == before {
                self.longest *= 1.2;
            } else if after.1 == self.delivered.len() {
                self.longest *= 0.8;
            } else {
                self.count(When::AnyTime);
                return;
            }
        }
    }

    /// Whether the session that died had fetched so many bodies. Dovecot counts them, and says so
    /// when a session has ended; the first `logged` bytes of its log are older.
    async fn were_fetched(&self, bodies: usize, logged: usize) -> bool {
        let deadline = Instant::now() + PATIENCE;
        let login = format!("Login: user=<{}>", self.user);
        let (session, bodies) = (
            format!("imap({})", self.user),
            format!(" body_count={bodies} "),
        );
        loop {
            let log = self.dovecot.log();
            let is_end = |line: &&str| line.contains(&session) && line.contains(" body_count=");
            if log.matches(&login).count() == log.lines().filter(is_end).count() {
                let mut ends = log[logged..].lines().filter(is_end);
                return ends.any(|end| end.contains(&bodies));
            }
            assert!(Instant::now() < deadline, "a session lives on:\n{log}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn count(&mut self, when: When) {
        *self.kills.entry(when).or_default() += 1;
    }

    fn recount(&mut self, not: When, but: When) {
        *self.kills.get_mut(&not).unwrap() -= 1;
        self.count(but);
    }

    /// After a kill, before the next start: what the dead left, held against what was before and
    /// against what the mail server has taken meanwhile.
    async fn reckon(&mut self, when: When) {
        self.count(when);
        self.reckon_for_nothing().await;
    }

    async fn reckon_for_nothing(&mut self) {
        self.sink.let_go();
        self.sink.until_quiet();
        let before = std::mem::replace(&mut self.account, look(&self.house).await);
        let now = &self.account;
        assert!(now.imported.is_superset(&before.imported), "lost");
        assert!(now.ranges.is_superset(&before.ranges), "lost");
        assert!(now.ranges.is_subset(&self.delivered), "invented");
        assert!(
            now.sent().is_superset(&before.sent()),
            "sent, and forgotten"
        );
        for (id, letter) in &before.letters {
            assert_eq!(now.letters[id].eml, letter.eml, "a letter has changed");
        }

        self.mails.reckon(&self.sink, &before.letters, &now.letters);
    }

    /// The last start, which nobody kills.
    async fn finish(&mut self) {
        let mut daemon = self.run(&Faults::under(&self.house));
        self.until_idle(&mut daemon).await;
        assert_eq!(daemon.terminate(Duration::from_secs(30)), Some(0));
        self.reckon_for_nothing().await;
        let Account {
            ranges, letters, ..
        } = &self.account;
        assert_eq!(*ranges, self.delivered);
        assert_eq!(self.account.sent().len(), self.delivered.len());
        self.mails.are_complete(letters);

        // Every UID is accounted for, and by its own row.
        let listed = self.dovecot.flags(self.user, "INBOX");
        let uids = UidSet::from_runs(listed.iter().map(|(uid, _)| (*uid, *uid)));
        let ledger = self.house.ledger().await.unwrap();
        let uidvalidity = self.dovecot.uidvalidity(self.user, "INBOX");
        let known = ledger.known("einvoice", Some(uidvalidity)).await.unwrap();
        ledger.close().await;
        assert_eq!(known.uids, uids);
        assert_eq!(listed.len(), self.delivered.len());
    }
}

async fn trial(dovecot: Arc<Dovecot>, user: &'static str, rounds: usize) -> Trial {
    let mut trial = Trial::new(dovecot, user);
    trial.first_start().await;
    for _ in 0..rounds {
        // Each kind after each other kind, in no order.
        let mut whens: Vec<(f64, When)> = When::ROUND
            .iter()
            .flat_map(|&(when, times)| std::iter::repeat_n(when, times))
            .map(|when| (random(), when))
            .collect();
        whens.sort_by(|one, other| one.0.total_cmp(&other.0));
        for (_, when) in whens {
            // What came a moment too early or too late counts as something else, more often so on
            // a busy machine, and is done again.
            let counted = |trial: &Trial| trial.kills.get(&when).copied().unwrap_or(0);
            let before = counted(&trial);
            for _ in 0..5 {
                trial.kill(when).await;
                if counted(&trial) > before {
                    break;
                }
            }
        }
    }
    trial.finish().await;
    trial
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn killed_hundreds_of_times_it_loses_nothing_and_doubles_nothing() {
    let began = Instant::now();
    let dovecot = Arc::new(Dovecot::start());
    let rounds = if is_long() { 10 } else { 1 };
    // Much of the time is Dovecot's half second before it tells of new mail.
    let users = ["ann", "bob", "eve"];
    let going = users.map(|user| tokio::spawn(trial(Arc::clone(&dovecot), user, rounds)));
    let mut trials = Vec::new();
    for trial in going {
        trials.push(trial.await.unwrap());
    }
    let mut kills = BTreeMap::<When, usize>::new();
    for trial in &trials {
        for (when, times) in &trial.kills {
            *kills.entry(*when).or_default() += times;
        }
    }
    let total: usize = kills.values().sum();
    let notices: usize = trials.iter().map(|trial| trial.delivered.len()).sum();
    let repeats: usize = trials.iter().map(|trial| trial.mails.repeats).sum();
    // Past the harness, which shows what a test prints only when it fails.
    writeln!(
        std::io::stderr(),
        "{total} kills over {notices} notices in {:.0?}: 0 lost, 0 doubled, {repeats} mails \
         repeated; {kills:?}",
        began.elapsed()
    )
    .unwrap();
    assert!(total >= 200 * rounds && notices >= 1000 * rounds);
    for (when, _) in When::ROUND {
        assert!(kills[&when] >= 3, "{when:?}: {kills:?}");
    }
    // A kill between the 250 and the mark repeats one mail, and so may a random one.
    let must = kills[&When::BeforeThe250] + kills[&When::BeforeTheMark];
    assert!(repeats >= must, "{repeats} repeats after {must} such kills");
}
