//! The one who asks again about mail whose origin no resolver has told yet.
//!
//! When a message is due stands in the ledger; a hint makes this look there sooner, and polling is
//! the truth. Guarantees: it touches no mailbox and no mailbox waits for it; a resolver that never
//! answers holds up neither the word to stop nor other orders; under new orders everything is asked
//! about at once. Left out on purpose: alerts, which are the keeper's.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::sync::{Notify, watch};
use tracing::error;

use crate::{
    backoff::{self, Backoff},
    clock::Clock,
    delivery::Wake,
    http::{Part, Vitals},
    intake::{Intake, Place},
    ledger::{LedgerError, Waiting},
    notice::Disposition,
    pulse::Pulse,
};

/// How long at most nobody looks whether something waits: another process may have taken it in.
const POLL: Duration = Duration::from_secs(30);

/// No pause is shorter, unless a hint ends it.
const BREATH: Duration = Duration::from_millis(100);

/// What one step may take besides the ledger's own waits: longer than the 5 s that all questions
/// about a mail have, and than looking into 50 mails.
const STEP: Duration = Duration::from_secs(60);

/// While the ledger fails.
const LEDGER_RETRY: Backoff = Backoff {
    first: Duration::from_secs(5),
    most: Duration::from_secs(60),
};

/// What the configuration says about asking.
#[derive(Debug)]
pub(super) struct Asking {
    /// Where messages go: today's rules, and whom to ask.
    pub(super) intake: Intake,
    /// Each mailbox.
    pub(super) places: BTreeMap<String, Place>,
    /// What is taken for the place of files.
    pub(super) files: Place,
}

impl Asking {
    /// A mailbox that the configuration no longer names is a place of which nothing is known.
    fn place_of(&self, mailbox: Option<&str>) -> Place {
        match mailbox {
            None => self.files,
            Some(name) => self.places.get(name).copied().unwrap_or_default(),
        }
    }
}

/// Asks again.
#[derive(Debug)]
pub(super) struct Asker {
    pub(super) clock: Clock,
    /// Tells that something new may wait.
    pub(super) hint: Arc<Notify>,
    /// Told when there may be mail to send.
    pub(super) wake: Wake,
    /// Told when something else waits than before.
    pub(super) look: Arc<Notify>,
    pub(super) vitals: watch::Sender<Vitals>,
    pub(super) pulse: Pulse,
    pub(super) stopped: watch::Receiver<bool>,
}

/// How a step ended.
enum Step {
    /// It was done; something else may be due after so long.
    Done(Duration),
    /// There are other orders.
    Reordered,
    /// There is the word to stop.
    Stopped,
}

impl Asker {
    /// Runs until told to stop.
    ///
    /// # Errors
    /// The ledger's, where it must be opened anew.
    pub(super) async fn run(
        self,
        mut orders: watch::Receiver<Arc<Asking>>,
    ) -> Result<(), LedgerError> {
        let mut stopped = self.stopped.clone();
        let (mut anew, mut failures, mut waited) = (true, 0, None);
        loop {
            let current = Arc::clone(&orders.borrow_and_update());
            self.pulse.within(STEP);
            let step = self.step(&current, &mut orders, &mut anew, &mut waited);
            let pause = match step.await {
                Ok(Step::Stopped) => return Ok(()),
                Ok(Step::Reordered) => {
                    anew = true;
                    continue;
                }
                Ok(Step::Done(pause)) => {
                    failures = 0;
                    self.vitals
                        .send_if_modified(|vitals| vitals.has_ledger(&Part::Asker));
                    pause
                }
                Err(trouble) => {
                    let (words, now) = (trouble.in_short(), self.clock.now());
                    self.vitals
                        .send_modify(|vitals| vitals.misses_ledger(Part::Asker, words, now));
                    if trouble.needs_a_new_start() {
                        return Err(trouble);
                    }
                    failures += 1;
                    error!("nobody is asked about mail that waits, the ledger fails: {trouble}");
                    LEDGER_RETRY.after(failures, backoff::random())
                }
            };
            self.pulse.within(pause);
            tokio::select! {
                biased;
                // A sender that is gone means stop as well.
                _ = stopped.wait_for(|stop| *stop) => return Ok(()),
                Ok(()) = orders.changed() => anew = true,
                () = self.hint.notified(), if failures == 0 => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Asks about what is due and settles what there is an answer to; about everything, where
    /// orders are `anew`. What `waited` after the step before is compared with what does now.
    async fn step(
        &self,
        current: &Asking,
        orders: &mut watch::Receiver<Arc<Asking>>,
        anew: &mut bool,
        waited: &mut Option<Waiting>,
    ) -> Result<Step, LedgerError> {
        let mut stopped = self.stopped.clone();
        let ledger = &current.intake.ledger;
        if *anew {
            if ledger.next_ask_at().await?.is_some() {
                ledger.ask_all_at(self.clock.now()).await?;
            }
            *anew = false;
        }
        let place_of = |mailbox: Option<&str>| current.place_of(mailbox);
        let answers = tokio::select! {
            biased;
            _ = stopped.wait_for(|stop| *stop) => return Ok(Step::Stopped),
            Ok(()) = orders.changed() => return Ok(Step::Reordered),
            answers = current.intake.ask(place_of, self.clock.now()) => answers?,
        };
        for answered in answers {
            if *stopped.borrow() {
                return Ok(Step::Stopped);
            }
            let outcome = current.intake.settle(&answered, self.clock.now()).await?;
            if outcome.is_some_and(|outcome| outcome.disposition != Disposition::Waiting) {
                self.wake.everybody();
            }
        }
        let waits = ledger.waiting().await?;
        if *waited != waits {
            self.look.notify_one();
        }
        let next = waits.as_ref().map(|waiting| waiting.next_ask_at);
        let left = next.map(|next| next.duration_since(self.clock.now()));
        let left = left.map(|left| Duration::try_from(left).unwrap_or_default());
        *waited = waits;
        Ok(Step::Done(left.unwrap_or(POLL).clamp(BREATH, POLL)))
    }
}
