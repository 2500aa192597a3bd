//! How alerts wait for each other, lived through as a day: the first at once, those that follow
//! together, and what goes on and on ever more rarely.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use invoice_trackd::{
    delivery::{Dispatcher, Transport},
    ledger::{Cause, Ledger},
};
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;

use crate::support::outbox::{after, dispatcher, raise_about, start};

const PHISHING: &str = "sender_not_allowed";
const OVERLAP: &str = "range_overlap";
const BAN: &str = "ban_invalid";

/// A letter: the minute in which it went, and the codes it is about.
type Sent = (i64, Vec<&'static str>);

/// A dispatcher whose letters become files, and time as it passes for it.
struct Life {
    dispatcher: Dispatcher,
    sent: TempDir,
    home: TempDir,
    /// Alerts raised so far.
    raised: i64,
    /// When the dispatcher said that its next pass is due.
    next: Option<Timestamp>,
    letters: Vec<Sent>,
}

fn minute(minute: i64) -> Timestamp {
    after(60 * minute)
}

impl Life {
    async fn begin() -> Self {
        let sent = tempfile::tempdir().unwrap();
        let (dispatcher, home) = dispatcher(Transport::Directory(sent.path().to_owned())).await;
        Self {
            dispatcher,
            sent,
            home,
            raised: 0,
            next: None,
            letters: Vec::new(),
        }
    }

    /// Raises an alert at a minute, after everything that was due until then.
    async fn raise(&mut self, at: i64, code: &'static str) {
        self.until(at).await;
        self.raised += 1;
        raise_about(&self.dispatcher.ledger, self.raised, code, minute(at)).await;
        self.pass(minute(at)).await;
    }

    /// Lives on until a minute, with a pass when one is due and another just before, which must
    /// do nothing.
    async fn until(&mut self, end: i64) {
        while let Some(next) = self.next.filter(|next| *next <= minute(end)) {
            let before = next - SignedDuration::from_millis(1);
            let early = self.dispatcher.run_once(before).await.unwrap();
            assert_eq!(
                (early.sent, early.next),
                (0, Some(next)),
                "a pass too early"
            );
            let letters = self.letters.len();
            self.pass(next).await;
            assert_eq!(self.letters.len(), letters + 1, "nothing was due at {next}");
        }
    }

    async fn pass(&mut self, now: Timestamp) {
        let before = files(self.sent.path());
        let pass = self.dispatcher.run_once(now).await.unwrap();
        let at = now.duration_since(start()).as_mins();
        for file in files(self.sent.path()).difference(&before) {
            let eml = fs::read(self.sent.path().join(file)).unwrap();
            let mail = mail_parser::MessageParser::default().parse(&eml).unwrap();
            let text = mail.body_text(0).unwrap();
            let codes = [BAN, OVERLAP, PHISHING].into_iter();
            let codes = codes.filter(|code| text.contains(code)).collect();
            self.letters.push((at, codes));
        }
        self.next = pass.next;
    }

    /// The process ends and another begins on the same ledger.
    async fn restart(&mut self) {
        self.dispatcher.ledger.clone().close().await;
        let path = self.home.path().join("ledger.db");
        self.dispatcher.ledger = Ledger::open(&path, start()).await.unwrap();
    }

    async fn waiting(&self) -> usize {
        let mut transaction = self.dispatcher.ledger.begin().await.unwrap();
        transaction.pending::<Cause>().await.unwrap().len()
    }

    fn minutes(&self) -> Vec<i64> {
        self.letters.iter().map(|(at, _)| *at).collect()
    }
}

fn files(directory: &Path) -> BTreeSet<String> {
    fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// 5 minutes, doubled each time, and 6 hours from then on.
const WIDENING: [i64; 10] = [0, 5, 15, 35, 75, 155, 315, 635, 995, 1355];

#[tokio::test]
async fn a_day_of_phishing_becomes_ten_letters() {
    let mut life = Life::begin().await;
    for at in (0..24 * 60).step_by(4) {
        life.raise(at, PHISHING).await;
    }
    assert_eq!(life.minutes(), WIDENING);
    // What is left goes when the window of six hours is over, and then nothing waits.
    assert_eq!(life.next, Some(minute(1355 + 360)));
    life.until(2000).await;
    assert_eq!((life.waiting().await, life.next), (0, None));
}

#[tokio::test]
async fn a_flood_that_comes_slower_than_the_window_widens_it_all_the_same() {
    let mut life = Life::begin().await;
    for at in (0..24 * 60).step_by(8) {
        life.raise(at, PHISHING).await;
    }
    assert_eq!(life.minutes(), [0, 8, 18, 38, 78, 158, 318, 638, 998, 1358]);
    // Twice the window without one: that was another time.
    let mut life = Life::begin().await;
    for at in [0, 10, 20, 30] {
        life.raise(at, PHISHING).await;
    }
    assert_eq!(life.minutes(), [0, 10, 20, 30]);
}

#[tokio::test]
async fn a_restart_changes_nothing() {
    let mut life = Life::begin().await;
    for at in (0..400).step_by(4) {
        life.raise(at, PHISHING).await;
        life.restart().await;
    }
    assert_eq!(life.minutes(), WIDENING[..7]);
}

#[tokio::test]
async fn a_cause_that_goes_on_does_not_hold_another() {
    let mut life = Life::begin().await;
    for at in 0..400 {
        if at % 4 == 0 {
            life.raise(at, PHISHING).await;
        }
        if [102, 103, 153, 302].contains(&at) {
            life.raise(at, OVERLAP).await;
        }
    }
    let others: Vec<Sent> = [
        (102, vec![OVERLAP]),
        (107, vec![OVERLAP]),
        // The letter at 155 would take it along, but nothing holds it until then.
        (153, vec![OVERLAP]),
        (302, vec![OVERLAP]),
    ]
    .into();
    // The letter at 153 holds the next one, whatever it is about, for its five minutes.
    let phishing = [0, 5, 15, 35, 75, 158, 318].map(|at| (at, vec![PHISHING]));
    let mut expected: Vec<Sent> = others.into_iter().chain(phishing).collect();
    expected.sort();
    assert_eq!(life.letters, expected);
}

#[tokio::test]
async fn what_the_last_letter_holds_goes_together() {
    let mut life = Life::begin().await;
    for at in [0, 1] {
        life.raise(at, PHISHING).await;
    }
    // Phishing waits until 15, the other until 5 minutes after the letter at 12.
    for at in [6, 12] {
        life.raise(at, if at == 6 { PHISHING } else { OVERLAP })
            .await;
    }
    life.raise(13, BAN).await;
    life.until(100).await;
    assert_eq!(life.minutes(), [0, 5, 12, 17]);
    assert_eq!(life.letters[3].1, [BAN, PHISHING]);
}

#[tokio::test]
async fn after_a_quiet_time_an_alert_is_a_first_one_again() {
    let mut life = Life::begin().await;
    for at in [0, 1, 2, 7, 60, 61, 67] {
        life.raise(at, PHISHING).await;
    }
    life.until(1000).await;
    // 0 · 5 (1, 2) · 15 (7), then quiet · 60 · 65 (61), after which 67 waits for the doubled window.
    assert_eq!(life.minutes(), [0, 5, 15, 60, 65, 75]);
}

#[tokio::test]
async fn other_letters_do_not_hold_an_alert_beyond_six_hours() {
    let mut life = Life::begin().await;
    for at in (0..=632).step_by(4) {
        life.raise(at, PHISHING).await;
    }
    life.until(635).await;
    assert_eq!(life.minutes(), WIDENING[..8]);
    // Held until 995 by its own window, and by the letter at 994 until 999; but no longer than
    // six hours, which are over at 996.
    life.raise(636, PHISHING).await;
    life.raise(994, OVERLAP).await;
    // That letter goes in any case, so it takes along what only the last letter holds.
    life.raise(995, BAN).await;
    life.until(2000).await;
    let last = &life.letters[8..];
    assert_eq!(last, [(994, vec![OVERLAP]), (996, vec![BAN, PHISHING])]);
}

#[tokio::test]
async fn without_a_window_every_alert_goes_at_once() {
    let mut life = Life::begin().await;
    // A wide one was left by an earlier configuration.
    for at in (0..=60).step_by(2) {
        life.raise(at, PHISHING).await;
    }
    life.dispatcher.patience.alert_window = Duration::ZERO;
    life.letters.clear();
    life.next = None;
    for at in 61..70 {
        life.raise(at, PHISHING).await;
    }
    assert_eq!(life.minutes(), Vec::from_iter(61..70));
    assert_eq!(life.next, None);
}

#[tokio::test]
async fn a_clock_that_is_set_neither_holds_alerts_nor_lets_them_flood() {
    const YEAR: i64 = 365 * 24 * 60;
    let mut life = Life::begin().await;
    // A wide window that was begun under a clock a year ahead.
    for at in (0..60).step_by(2) {
        life.raise(YEAR + at, PHISHING).await;
    }
    life.letters.clear();
    life.next = None;
    // Set right again: at once, and from then on as ever.
    for at in 0..10 {
        life.raise(at, PHISHING).await;
    }
    assert_eq!(life.minutes(), [0, 5]);
    // What is left from back then does not wait for that year to pass.
    life.until(100).await;
    assert_eq!(life.waiting().await, 0);
    // And far ahead again: one letter, then as ever.
    life.letters.clear();
    for at in 0..10 {
        life.raise(2 * YEAR + at, PHISHING).await;
    }
    assert_eq!(life.minutes(), [2 * YEAR, 2 * YEAR + 5]);
}
