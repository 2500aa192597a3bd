//! What systemd is told, and what it is told by silence.
//!
//! Without `$NOTIFY_SOCKET` there is nobody to tell and all of this does nothing. Guarantee: the
//! watchdog is fed only while every task has given the sign of life that it promised.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io,
    sync::mpsc::{Receiver, RecvTimeoutError},
    thread,
    time::Duration,
};

use sd_notify::NotifyState;
use tokio::{sync::watch, time::Instant};
use tracing::{error, warn};

use crate::pulse::PulseReader;

/// Everything runs.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The configuration is being read anew; [`ready`] ends it.
pub(super) fn reloading() {
    let now = NotifyState::monotonic_usec_now();
    match now {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => warn!("tell systemd of the reload: {error}"),
    }
}

/// The end has begun.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// One line for `systemctl status`.
pub(super) fn status(line: &str) {
    tell(&[NotifyState::Status(line)]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!("tell systemd: {error}");
    }
}

/// The pulses of the tasks that must not hang, by the task's name.
pub(super) type Pulses = BTreeMap<String, PulseReader>;

/// How long systemd waits for a sign of life before it kills; `None` when it does not.
pub(super) fn watchdog_period() -> Option<Duration> {
    // 0 is no period in which anything could be done.
    sd_notify::watchdog_enabled().filter(|period| !period.is_zero())
}

/// Feeds systemd's watchdog, three times in each `period`, for as long as no task is overdue; ends
/// when the sender of `until` is dropped.
///
/// A thread and no task: a task that blocks its thread can keep the whole runtime from noticing
/// the time.
pub(super) fn feed_watchdog(
    period: Duration,
    pulses: watch::Receiver<Pulses>,
    until: Receiver<Infallible>,
) -> io::Result<()> {
    let feeding = move || {
        let mut starving = false;
        while until.recv_timeout(period / 3) == Err(RecvTimeoutError::Timeout) {
            starving = feed(&pulses.borrow(), starving);
        }
    };
    thread::Builder::new()
        .name("watchdog".to_owned())
        .spawn(feeding)
        .map(drop)
}

/// Feeds it, or says why not, once; returns whether it starves.
fn feed(pulses: &Pulses, starving: bool) -> bool {
    match overdue(pulses, Instant::now()) {
        None => {
            tell(&[NotifyState::Watchdog]);
            false
        }
        Some((task, late)) => {
            if !starving {
                error!(
                    late.seconds = late.as_secs(),
                    "{task} hangs: its sign of life is overdue, so systemd's watchdog is no \
                     longer fed and will start the service again"
                );
            }
            true
        }
    }
}

/// The task that is overdue longest.
fn overdue(pulses: &Pulses, now: Instant) -> Option<(String, Duration)> {
    pulses
        .iter()
        .filter_map(|(task, pulse)| Some((task.clone(), pulse.overdue(now)?)))
        .max_by_key(|(_, late)| *late)
}
