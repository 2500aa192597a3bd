//! The dispatcher: takes letters from the outbox and sees each to its end.
//!
//! Guarantees: every attempt is written down before it is made; no transaction is open while a
//! socket is; a letter is given up only after both many attempts and a long time, an alert never.
//! Left out on purpose: more than one attempt at a time by one way out. An outbox is a handful of
//! mails, and a server that is slow for one is slow for all. Each system that numbers are handed to has
//! a dispatcher of its own.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio::{sync::watch, time::Instant};
use tracing::{error, info, warn};

use super::{Attempt, Patience, Style, Transport, Unreachable, wake::Wake};
use crate::{
    backoff::{self, Backoff},
    clock::Clock,
    ledger::{Kind, Lease, Ledger, LedgerError, Recipient, Settled},
    pulse::Pulse,
    stranger::{for_the_log, masked},
};

/// Between two attempts at one letter.
const RETRY: Backoff = Backoff {
    first: Duration::from_secs(5),
    most: Duration::from_secs(600),
};

/// Between two passes while the ledger fails.
const LEDGER_RETRY: Backoff = Backoff {
    first: Duration::from_secs(1),
    most: Duration::from_secs(60),
};

/// The wake-up is a hint, and other processes give none; looking is the truth: no pause is longer
/// than this.
const POLL: Duration = Duration::from_secs(30);

/// However much is due, no pause is shorter, so that a fault never becomes a busy loop.
const BREATH: Duration = Duration::from_millis(200);

/// What `max_per_minute` counts in.
const MINUTE: Duration = Duration::from_secs(60);

/// A letter is not given up before so many attempts, however long they took.
const ATTEMPTS: u32 = 10;

/// A command begins no further attempt at a system after this: a person waits for it, and the daemon
/// or the next command goes on.
const COMMAND: Duration = Duration::from_secs(60);

/// Sends what is due.
#[derive(Debug)]
pub struct Dispatcher {
    /// The outbox.
    pub ledger: Ledger,
    /// Where letters go.
    pub transport: Transport,
    /// Who is told what.
    pub style: Style,
    /// When to try again.
    pub patience: Patience,
}

/// What one pass did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pass {
    /// Letters sent.
    pub sent: u32,
    /// Letters put off.
    pub deferred: u32,
    /// Letters given up or refused.
    pub failed: u32,
    /// When the next pass is due at the latest; `None` when nothing waits.
    pub next: Option<Timestamp>,
}

impl Pass {
    /// Whether it changed nothing that anybody could see.
    pub fn is_idle(&self) -> bool {
        (self.sent, self.deferred, self.failed) == (0, 0, 0)
    }
}

/// An attempt that has ended, and whose end is not written down yet.
#[derive(Debug)]
struct Unsettled {
    lease: Lease,
    settled: Settled,
    at: Timestamp,
}

/// A pass that the ledger broke off.
#[derive(Debug)]
struct Broken {
    error: LedgerError,
    /// The attempt on whose end it broke.
    unsettled: Option<Box<Unsettled>>,
}

impl From<LedgerError> for Broken {
    fn from(error: LedgerError) -> Self {
        Self {
            error,
            unsettled: None,
        }
    }
}

/// What one pass of a run leaves to the next.
#[derive(Debug, Default)]
struct Left {
    /// Whether the attempts that a dead process left open have been seen to.
    reopened: bool,
    unsettled: Option<Box<Unsettled>>,
}

impl Dispatcher {
    /// Makes pass after pass until `stopped` says so: when something is due, when woken, and every
    /// 30 s in any case; each with the dispatcher that is `current` when it begins. Starts with the
    /// attempts that a dead process left open. Only the one daemon on a ledger runs this.
    ///
    /// The attempt in hand is seen to its end first: a server that is just taking a letter would
    /// get it twice. Dropped in the middle of one, the letter is due again at the next start,
    /// under the same Message-ID. `passed` is told how each pass went.
    ///
    /// # Errors
    /// The ledger's, where it must be opened anew; every other trouble is waited out.
    pub async fn run(
        mut current: watch::Receiver<Arc<Self>>,
        clock: &Clock,
        wake: &Wake,
        pulse: &Pulse,
        mut stopped: watch::Receiver<bool>,
        passed: impl Fn(&Result<Pass, LedgerError>),
    ) -> Result<(), LedgerError> {
        let mut wake = wake.listener();
        let mut left = Left::default();
        let mut failures = 0;
        loop {
            let now = clock.now();
            let this = Arc::clone(&current.borrow_and_update());
            let stopping = || *stopped.borrow();
            let passing = this.start_and_pass(&mut left, now, pulse, stopping);
            let pass = passing.await;
            passed(&pass);
            let pause = match pass {
                Err(trouble) if trouble.needs_a_new_start() => return Err(trouble),
                Ok(pass) => {
                    failures = 0;
                    let next = pass.next.map(|next| next.duration_since(clock.now()));
                    let next = next.map(|d| Duration::try_from(d).unwrap_or_default());
                    next.unwrap_or(POLL).clamp(BREATH, POLL)
                }
                Err(trouble) => {
                    failures += 1;
                    let pause = LEDGER_RETRY.after(failures, backoff::random());
                    error!(
                        attempts = failures,
                        "nothing goes out, the ledger fails: {trouble}"
                    );
                    pause
                }
            };
            pulse.within(pause);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = wake.woken(), if failures == 0 => {}
                // A sender that is gone means stop as well.
                _ = stopped.wait_for(|stop| *stop) => return Ok(()),
            }
        }
    }

    async fn start_and_pass(
        &self,
        left: &mut Left,
        now: Timestamp,
        pulse: &Pulse,
        stopping: impl Fn() -> bool,
    ) -> Result<Pass, LedgerError> {
        pulse.within(Duration::ZERO);
        if !left.reopened {
            self.ledger
                .reopen_attempts(self.transport.target(), now)
                .await?;
            left.reopened = true;
        }
        // Before anything else: what was sent and is not known to be, would be sent again.
        if let Some(Unsettled { lease, settled, at }) = left.unsettled.as_deref() {
            self.ledger.settle(lease, settled, *at).await?;
            log(lease, settled);
            left.unsettled = None;
        }
        let pass = self.pass(now, false, pulse, stopping).await;
        pass.map_err(|broken| {
            left.unsettled = broken.unsettled;
            broken.error
        })
    }

    /// One pass: gathers news whose time has come, then attempts each letter that is due, once, as
    /// far as the pace allows.
    ///
    /// When the server cannot be reached for one letter, the pass does not make the others wait
    /// for it again: they are put off with the same words.
    ///
    /// # Errors
    /// The ledger's only: a server's refusal is a result, not an error.
    pub async fn run_once(&self, now: Timestamp) -> Result<Pass, LedgerError> {
        let pulse = Pulse::new(Duration::ZERO);
        let pass = self.pass(now, false, &pulse, || false).await;
        pass.map_err(|broken| broken.error)
    }

    /// [`Dispatcher::run_once`], for a command beside which no daemon runs: nobody would come back
    /// for the confirmations that wait for their window, so they go now. What a slow system has not
    /// been handed after a minute waits.
    ///
    /// # Errors
    /// As [`Dispatcher::run_once`].
    pub async fn flush(&self, now: Timestamp) -> Result<Pass, LedgerError> {
        let pulse = Pulse::new(Duration::ZERO);
        let began = Instant::now();
        let tired = || self.transport.target().is_some() && began.elapsed() >= COMMAND;
        let pass = self.pass(now, true, &pulse, tired).await;
        pass.map_err(|broken| broken.error)
    }

    /// [`Dispatcher::run_once`], which begins no further attempt once `stopping` holds.
    async fn pass(
        &self,
        now: Timestamp,
        flush: bool,
        pulse: &Pulse,
        stopping: impl Fn() -> bool,
    ) -> Result<Pass, Broken> {
        let began = Instant::now();
        // One draw for the pass: letters that failed together are tried again together, and a
        // server that is down is asked once in a while and not once a letter.
        let jitter = backoff::random();
        let target = self.transport.target();
        let mut pass = Pass::default();
        let mut closed: Option<(Unreachable, Timestamp)> = None;

        let (window, held) = loop {
            // Again before each letter, as of the pass's beginning: what is raised during a long
            // pass, some of it by this very one, is due in it.
            let window = match self.transport.target() {
                None => self.gather(now, flush).await?,
                Some(_) => None,
            };
            if stopping() {
                break (window, None);
            }
            let moment = later(now, began.elapsed());
            // Putting off is not attempting.
            if closed.is_none()
                && let Some(held) = self.held_until(moment).await?
            {
                break (window, Some(held));
            }
            let retry_at = later(moment, self.patience.attempt);
            let Some(lease) = self.ledger.lease(target, now, moment, retry_at).await? else {
                break (window, None);
            };
            pulse.within(self.patience.attempt);
            let attempt = match &closed {
                Some((unreachable, _)) => Err(unreachable.clone()),
                None => self.attempt(&lease, moment).await,
            };
            // Put off from the same moment, or the next pass would find only the first due.
            let now = match &closed {
                Some((_, at)) => *at,
                None => later(now, began.elapsed()),
            };
            let attempt = attempt.unwrap_or_else(|unreachable| {
                let attempt = nobody(&lease, &unreachable);
                closed = Some((unreachable, now));
                attempt
            });
            let settled = self.settle(&lease, attempt, now, jitter);
            if let Err(error) = self.ledger.settle(&lease, &settled, now).await {
                let unsettled = Unsettled {
                    lease,
                    settled,
                    at: now,
                };
                return Err(Broken {
                    error,
                    unsettled: Some(Box::new(unsettled)),
                });
            }
            log(&lease, &settled);
            match settled {
                Settled::Sent { .. } => pass.sent += 1,
                Settled::Deferred { .. } | Settled::Stopped { .. } => pass.deferred += 1,
                Settled::Failed { .. } => pass.failed += 1,
            }
        };
        let held = match held {
            Some(held) => Some(held),
            None => self.held_until(later(now, began.elapsed())).await?,
        };
        let due = self.ledger.next_due(target).await?;
        let due = due.map(|due| held.map_or(due, |held| due.max(held)));
        pass.next = due.into_iter().chain(window).min();
        Ok(pass)
    }

    /// When the next attempt may be made, where the pace is limited and has been reached.
    async fn held_until(&self, now: Timestamp) -> Result<Option<Timestamp>, LedgerError> {
        let most = self.most_per_minute();
        if most == 0 {
            return Ok(None);
        }
        // Either side: a clock set back by seconds does not double the pace, and one that was far
        // ahead holds no letter.
        let within = sooner(now, MINUTE)..later(now, MINUTE);
        let last = self.ledger.attempted_back(most, within).await?;
        // Columns hold milliseconds, cut; the minute is over after the one that is being counted.
        let opens = last.map(|at| later(at, MINUTE + Duration::from_millis(1)));
        Ok(opens.filter(|opens| now < *opens))
    }

    /// The limit is the mail provider's; a system has none.
    fn most_per_minute(&self) -> u32 {
        match self.transport.target() {
            None => self.patience.max_per_minute,
            Some(_) => 0,
        }
    }

    fn retry_after(&self, attempts: u32, jitter: f64) -> Duration {
        let pause = RETRY.after(attempts, jitter);
        if self.most_per_minute() == 0 {
            return pause;
        }
        // The ledger knows a letter's last attempt only: one a minute, and none goes uncounted.
        pause.max(MINUTE)
    }

    async fn attempt(&self, lease: &Lease, at: Timestamp) -> Result<Attempt, Unreachable> {
        let from = &self.style.from.address;
        let within = self.patience.attempt;
        self.transport.send(from, &lease.letter, at, within).await
    }

    /// What follows from an attempt for the letter as a whole.
    fn settle(&self, lease: &Lease, attempt: Attempt, now: Timestamp, jitter: f64) -> Settled {
        let Attempt {
            accepted,
            mut refused,
            mut deferred,
            stopped,
        } = attempt;
        if let Some(answer) = stopped {
            return Settled::Stopped { answer };
        }
        let is_alert = lease.letter.kind == Kind::Alert;
        if is_alert {
            // An alert does not take no for an answer: a mailbox may be mended, silence may not.
            deferred.append(&mut refused);
        }
        let has_time = is_alert
            || lease.attempts < ATTEMPTS
            || now.duration_since(lease.patient_since) < signed(self.patience.give_up_after);
        if has_time && !deferred.is_empty() {
            return Settled::Deferred {
                next: later(now, self.retry_after(lease.attempts, jitter)),
                answer: answer(&deferred),
                recipients: deferred.into_iter().map(|(address, _)| address).collect(),
                refused,
            };
        }
        let mut without = refused;
        without.extend(deferred);
        if accepted.is_empty() {
            Settled::Failed {
                answer: answer(&without),
            }
        } else {
            Settled::Sent { refused: without }
        }
    }
}

/// The attempt in which nobody was even asked about.
fn nobody(lease: &Lease, unreachable: &Unreachable) -> Attempt {
    let everybody = lease.letter.recipients.iter().cloned();
    Attempt {
        deferred: everybody
            .map(|address| (address, unreachable.to_string()))
            .collect(),
        ..Attempt::default()
    }
}

/// The words of all, each once; with the address where not all heard the same.
fn answer(fates: &[(Recipient, String)]) -> String {
    match fates {
        [] => String::new(),
        [(_, first), rest @ ..] if rest.iter().all(|(_, words)| words == first) => first.clone(),
        several => {
            let each = several
                .iter()
                .map(|(address, words)| format!("{address}: {words}"));
            each.collect::<Vec<_>>().join("; ")
        }
    }
}

fn names(lease: &Lease) -> impl Iterator<Item = &str> {
    lease.letter.recipients.iter().map(Recipient::as_str)
}

/// One line a letter settled. Addresses are masked, in the server's words too.
fn log(lease: &Lease, settled: &Settled) {
    let (id, kind) = (lease.id, lease.letter.kind.as_str());
    let attempts = lease.attempts;
    let (what, to): (_, Vec<_>) = match lease.letter.kind {
        Kind::Handoff => ("hand-off", names(lease).map(for_the_log).collect()),
        _ => ("mail", names(lease).map(masked).collect()),
    };
    let to = to.join(", ");
    match settled {
        Settled::Sent { refused } if refused.is_empty() => {
            info!(
                outbox.id = id,
                outbox.kind = kind,
                attempts,
                "{what} sent to {to}"
            );
        }
        Settled::Sent { refused } => error!(
            outbox.id = id,
            outbox.kind = kind,
            attempts,
            "{what} sent, but not to everybody: {}",
            for_the_log(&answer(refused))
        ),
        Settled::Deferred { next, answer, .. } => warn!(
            outbox.id = id,
            outbox.kind = kind,
            attempts,
            "{what} put off until {next:.0}: {}",
            for_the_log(answer)
        ),
        Settled::Failed { answer } => error!(
            outbox.id = id,
            outbox.kind = kind,
            attempts,
            "{what} not delivered and given up: {}",
            for_the_log(answer)
        ),
        Settled::Stopped { answer } => error!(
            outbox.id = id,
            outbox.kind = kind,
            attempts,
            "{to} wants nothing any more, and is handed nothing until a person retries: {}",
            for_the_log(answer)
        ),
    }
}

pub(super) fn later(now: Timestamp, by: Duration) -> Timestamp {
    now.checked_add(by).unwrap_or(Timestamp::MAX)
}

fn sooner(now: Timestamp, by: Duration) -> Timestamp {
    now.checked_sub(by).unwrap_or(Timestamp::MIN)
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}
