//! Signs of life: each task that must never hang says by when it will give the next one.
//!
//! A task that waits for a server that is down gives its sign after each attempt; one that is
//! wedged gives none. Left out on purpose: what happens to whoever is overdue.

use std::time::Duration;

use tokio::{sync::watch, time::Instant};

/// One task's side. Dropped, it is not waited for any more.
#[derive(Debug)]
pub struct Pulse {
    /// What the task may need beyond what it announces.
    grace: Duration,
    due: watch::Sender<Instant>,
}

/// The watcher's side.
#[derive(Debug, Clone)]
pub struct PulseReader {
    due: watch::Receiver<Instant>,
}

impl Pulse {
    /// A task that begins now; `grace` is what it may need beyond what it announces.
    pub fn new(grace: Duration) -> Self {
        let due = watch::Sender::new(Instant::now() + grace);
        Self { grace, due }
    }

    /// The watcher's side of it.
    pub fn reader(&self) -> PulseReader {
        PulseReader {
            due: self.due.subscribe(),
        }
    }

    /// A sign of life now, and the promise of another one after a wait that takes no longer than
    /// `bound`.
    pub fn within(&self, bound: Duration) {
        self.due.send_replace(Instant::now() + bound + self.grace);
    }
}

impl PulseReader {
    /// For how long the next sign has been overdue at `now`; `None` while it is not, and when the
    /// task is gone.
    pub fn overdue(&self, now: Instant) -> Option<Duration> {
        // A sender that is gone: the task has ended, which others watch for.
        self.due.has_changed().ok()?;
        now.checked_duration_since(*self.due.borrow())
            .filter(|late| !late.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_task_is_overdue_once_its_promise_and_its_grace_are_over() {
        let pulse = Pulse::new(2 * SECOND);
        let reader = pulse.reader();
        let began = Instant::now();
        pulse.within(10 * SECOND);
        assert_eq!(reader.overdue(began + 12 * SECOND), None);
        assert_eq!(reader.overdue(began + 13 * SECOND), Some(SECOND));
        pulse.within(20 * SECOND);
        assert_eq!(reader.overdue(began + 13 * SECOND), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_has_ended_is_not_waited_for() {
        let pulse = Pulse::new(SECOND);
        let reader = pulse.reader();
        drop(pulse);
        assert_eq!(reader.overdue(Instant::now() + 60 * SECOND), None);
    }
}
