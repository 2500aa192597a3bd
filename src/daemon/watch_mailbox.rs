//! One mailbox, for ever: open, catch up, wait, again; and after any trouble, anew.
//!
//! What is missing is asked of the ledger each time, so that nothing needs to be remembered here:
//! a crash anywhere means that it is fetched again, and fetched again is harmless.

use std::{convert::Infallible, sync::Arc, time::Duration};

use jiff::civil::Date;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tracing::{error, info, warn};

use crate::{
    backoff::{self, Backoff},
    clock::{Clock, taipei_date},
    http::Vitals,
    intake::Intake,
    ledger::{LedgerError, LinkState},
    mailbox::{Link, MailboxError, Source},
    notice::Ban,
};

/// After a broken connection. The first step is short, because most breaks are.
const RECONNECT: Backoff = Backoff {
    first: Duration::from_secs(2),
    most: Duration::from_secs(80),
};
/// After a refused login: slow enough that no server locks the account.
const LOGIN_REFUSED: Backoff = Backoff {
    first: Duration::from_secs(60),
    most: Duration::from_secs(3600),
};

/// Watches one mailbox.
#[derive(Debug)]
pub struct Watch {
    /// The mailbox.
    pub source: Source,
    /// Whose notices are found there when the mail itself does not say.
    pub company: Option<Ban>,
    /// The first scan looks no further back; `None` means 1 January of the ledger's first year.
    pub since: Option<Date>,
    /// Where messages go.
    pub intake: Intake,
    /// What time it is.
    pub clock: Clock,
    /// Told when there may be mail to send: a hint, for the dispatcher looks by itself as well.
    pub wake: Arc<Notify>,
    /// Where signs of life are written down.
    pub vitals: watch::Sender<Vitals>,
}

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The mailbox's side.
    #[error(transparent)]
    Mailbox(#[from] MailboxError),
    /// Our side: nothing of the mailbox was acknowledged or marked.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl Watch {
    /// Runs until told to stop; trouble is waited out and tried again.
    pub async fn run(&self, mut stopped: watch::Receiver<bool>) {
        let mut failures = 0;
        loop {
            let began = Instant::now();
            let error = tokio::select! {
                // What is in hand is a transaction at most, and one that is dropped never happened.
                _ = stopped.wait_for(|stop| *stop) => return,
                error = self.session() => error,
            };
            failures = failures_now(failures, began.elapsed());
            let pause = self.pause_after(&error, failures);
            self.report(&error, pause).await;
            tokio::select! {
                _ = stopped.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// One connection from beginning to end.
    async fn session(&self) -> WatchError {
        match self.connected().await {
            Err(error) => error,
            Ok(never) => match never {},
        }
    }

    async fn connected(&self) -> Result<Infallible, WatchError> {
        let mut link = self.open().await?;
        info!(mailbox.name = self.source.name(), "mailbox opened");
        loop {
            self.catch_up(&mut link).await?;
            link.wait().await?;
        }
    }

    /// Opens the mailbox; on the first sight of a folder, leaves out what is too old.
    ///
    /// # Errors
    /// The mailbox's or the ledger's.
    pub async fn open(&self) -> Result<Link, WatchError> {
        let mut link = self.source.open().await?;
        if let Some(uidvalidity) = link.uidvalidity() {
            let (ledger, name) = (&self.intake.ledger, self.source.name());
            let since = self.since();
            if !ledger.is_scanned(name, uidvalidity, since).await? {
                let older = link.older_than(since).await?;
                ledger.begin_scan(name, uidvalidity, since, &older).await?;
            }
        }
        Ok(link)
    }

    /// One step: takes in everything that the ledger does not know yet, and says that the mailbox
    /// lives. Returns how many messages were new.
    ///
    /// # Errors
    /// The mailbox's or the ledger's; the link must then be dropped.
    pub async fn catch_up(&self, link: &mut Link) -> Result<usize, WatchError> {
        let (ledger, name) = (&self.intake.ledger, self.source.name());
        let known = ledger.known(name, link.uidvalidity()).await?;
        link.survey(&known).await?;
        let mut taken = 0;
        while let Some(batch) = link
            .next_batch(&|header, size| self.intake.gate(header, size))
            .await?
        {
            self.intake
                .take(&batch, self.company, self.clock.now())
                .await?;
            taken += batch.len();
            self.wake.notify_one();
        }
        let now = self.clock.now();
        ledger.saw_mailbox(name, &LinkState::Up, now).await?;
        self.vitals.send_modify(|vitals| {
            vitals.mailboxes.insert(name.to_owned(), Some(now));
        });
        Ok(taken)
    }

    fn since(&self) -> Date {
        self.since
            .unwrap_or_else(|| taipei_date(self.intake.ledger.created_at()).first_of_year())
    }

    fn pause_after(&self, error: &WatchError, failures: u32) -> Duration {
        let series = match error {
            WatchError::Mailbox(MailboxError::Login { .. }) => LOGIN_REFUSED,
            WatchError::Mailbox(_) | WatchError::Ledger(_) => RECONNECT,
        };
        series.after(failures, backoff::random())
    }

    async fn report(&self, error: &WatchError, pause: Duration) {
        let (name, seconds) = (self.source.name(), pause.as_secs());
        match error {
            WatchError::Mailbox(MailboxError::Login { .. }) | WatchError::Ledger(_) => error!(
                mailbox.name = name,
                retry.seconds = seconds,
                "mailbox not watched: {error}"
            ),
            WatchError::Mailbox(_) => warn!(
                mailbox.name = name,
                retry.seconds = seconds,
                "mailbox not watched: {error}"
            ),
        }
        let down = LinkState::Down(error.to_string());
        // Where the ledger itself is the trouble, the log line above is all there can be.
        self.intake
            .ledger
            .saw_mailbox(name, &down, self.clock.now())
            .await
            .ok();
    }
}

/// Failures in a row, with one more after a session that lived so long. The row ends with a session
/// that outlived the longest pause: a server that lets us in, answers everything and then hangs up
/// must not be logged in to every two seconds for ever.
fn failures_now(before: u32, lived: Duration) -> u32 {
    match lived >= RECONNECT.most {
        true => 1,
        false => before.saturating_add(1),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{authenticity::Require, ledger::Ledger, mailbox::Maildir, notice::Rules};

    #[test]
    fn only_a_session_that_lasted_ends_a_row_of_failures() {
        let second = Duration::from_secs(1);
        assert_eq!(failures_now(0, second), 1);
        assert_eq!(failures_now(7, RECONNECT.most - second), 8);
        assert_eq!(failures_now(7, RECONNECT.most), 1);
        assert_eq!(failures_now(u32::MAX, second), u32::MAX);
    }

    #[tokio::test]
    async fn a_refused_login_waits_long_and_everything_else_comes_back_soon() {
        let home = tempfile::tempdir().unwrap();
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let ledger = Ledger::open(&home.path().join("ledger.db"), clock.now())
            .await
            .unwrap();
        let watch = Watch {
            source: Source::Maildir(Maildir::new(
                "m".to_owned(),
                home.path().to_owned(),
                Duration::from_secs(1),
                None,
            )),
            company: None,
            since: None,
            intake: Intake {
                ledger,
                rules: Rules::default(),
                require: Require::None,
                style: None,
            },
            clock,
            wake: Arc::new(Notify::new()),
            vitals: watch::Sender::new(Vitals {
                ledger: None,
                mailboxes: [].into(),
            }),
        };
        let login = WatchError::Mailbox(MailboxError::Login {
            username: "u".to_owned(),
            answer: "NO".to_owned(),
        });
        let closed = WatchError::Mailbox(MailboxError::Closed {
            operation: "wait".to_owned(),
        });
        let locked = WatchError::Ledger(LedgerError::BadRow(String::new()));
        for (error, first, most) in [(&login, 60, 3600), (&closed, 2, 80), (&locked, 2, 80)] {
            for (failures, full) in [(1, first), (2, 2 * first), (1000, most)] {
                let pause = watch.pause_after(error, failures);
                let full = Duration::from_secs(full);
                assert!(full / 2 <= pause && pause <= full, "{error}: {pause:?}");
            }
        }
    }
}
