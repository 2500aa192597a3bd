//! One mailbox, for ever: open, catch up, wait, again; and after any trouble, anew.
//!
//! What is missing is asked of the ledger each time, so that nothing needs to be remembered here:
//! a crash anywhere means that it is fetched again, and fetched again is harmless.
//!
//! Guarantees: one message that cannot be fetched holds up no other; the word to stop cuts off the
//! waiting for a mailbox, never what is being written down.

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
    mailbox::{Content, Link, MailboxError, Origin, RawMessage, Source, Trouble},
    notice::Ban,
};

mod filing;

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
    /// Brings the word to stop.
    pub stopped: watch::Receiver<bool>,
}

/// What is fetched: suspects come last, for they may end the session.
#[derive(Debug, Clone, Copy)]
enum Turn {
    Missing,
    Suspects,
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
    /// The word to stop: what was in hand has been written down.
    #[error("told to stop")]
    Stopped,
}

impl Watch {
    /// Runs until told to stop; trouble is waited out and tried again.
    pub async fn run(&self) {
        let mut failures = 0;
        loop {
            let began = Instant::now();
            let error = self.session().await;
            if matches!(error, WatchError::Stopped) {
                return;
            }
            failures = failures_now(failures, began.elapsed());
            let pause = pause_after(&error, failures);
            self.report(&error, pause).await;
            let slept = self.unless_stopped(tokio::time::sleep(pause)).await;
            if slept.is_err() {
                return;
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
            self.unless_stopped(link.wait()).await??;
        }
    }

    /// Waits for a mailbox, or for the word to stop. Never for the ledger: a transaction that was
    /// begun is finished.
    async fn unless_stopped<T>(&self, waiting: impl Future<Output = T>) -> Result<T, WatchError> {
        let mut stopped = self.stopped.clone();
        tokio::select! {
            biased;
            // A sender that is gone means stop as well.
            _ = stopped.wait_for(|stop| *stop) => Err(WatchError::Stopped),
            done = waiting => Ok(done),
        }
    }

    /// Opens the mailbox; on the first sight of a folder, leaves out what is too old.
    ///
    /// # Errors
    /// The mailbox's or the ledger's, or the word to stop.
    pub async fn open(&self) -> Result<Link, WatchError> {
        let mut link = self.unless_stopped(self.source.open()).await??;
        if let Some(uidvalidity) = link.uidvalidity() {
            let (ledger, name) = (&self.intake.ledger, self.source.name());
            let since = self.since();
            if !ledger.is_scanned(name, uidvalidity, since).await? {
                let older = self.unless_stopped(link.older_than(since)).await??;
                ledger.begin_scan(name, uidvalidity, since, &older).await?;
            }
        }
        Ok(link)
    }

    /// One step: takes in everything that the ledger does not know yet, says that the mailbox
    /// lives, and then asks for what has made trouble before. Returns how many messages were new.
    ///
    /// # Errors
    /// The mailbox's or the ledger's, or the word to stop; the link must then be dropped.
    pub async fn catch_up(&self, link: &mut Link) -> Result<usize, WatchError> {
        self.survey(link).await?;
        let mut taken = 0;
        while let Some(new) = self.take_in(link, Turn::Missing).await? {
            taken += new;
        }
        let (name, now) = (self.source.name(), self.clock.now());
        let ledger = &self.intake.ledger;
        ledger.saw_mailbox(name, &LinkState::Up, now).await?;
        self.vitals.send_modify(|vitals| {
            vitals.mailboxes.insert(name.to_owned(), Some(now));
        });
        self.file(link).await?;
        while let Some(new) = self.take_in(link, Turn::Suspects).await? {
            taken += new;
        }
        Ok(taken)
    }

    /// Compares the folder with the ledger, and forgets what has left it.
    async fn survey(&self, link: &mut Link) -> Result<(), WatchError> {
        let (ledger, name) = (&self.intake.ledger, self.source.name());
        let mut known = ledger.known(name, link.uidvalidity()).await?;
        if let Some(uidvalidity) = link.uidvalidity() {
            let now = self.clock.now();
            (known.suspects, known.resting) = ledger.suspects(name, uidvalidity, now).await?;
        }
        self.unless_stopped(link.survey(&known)).await??;
        let gone = link.gone();
        if let (Some(uidvalidity), false) = (link.uidvalidity(), gone.is_empty()) {
            let mut transaction = ledger.begin().await?;
            transaction.acquit(name, uidvalidity, &gone).await?;
            transaction.commit().await?;
        }
        Ok(())
    }

    /// Fetches once, records what came, and suspects what did not. Returns how many messages came,
    /// `None` when there are no more to come.
    async fn take_in(&self, link: &mut Link, turn: Turn) -> Result<Option<usize>, WatchError> {
        let gate = |header: &[u8], size| self.intake.gate(header, size);
        let fetched = match turn {
            Turn::Missing => self.unless_stopped(link.next_batch(&gate)).await?,
            Turn::Suspects => self.unless_stopped(link.next_suspect(&gate)).await?,
        };
        if let Ok(Some(batch)) = &fetched {
            let now = self.clock.now();
            self.intake.take(batch, self.company, now).await?;
            self.wake.notify_one();
        }
        let words = match &fetched {
            Ok(_) => "the server answered OK and did not hand it over".to_owned(),
            Err(error) => error.to_string(),
        };
        if let Some(uidvalidity) = link.uidvalidity() {
            self.suspect(uidvalidity, &link.trouble(), &words).await?;
        }
        Ok(fetched?.map(|batch| batch.len()))
    }

    /// Writes down what did not come. Where that names one message and has happened too often, a
    /// person is told.
    async fn suspect(
        &self,
        uidvalidity: u32,
        trouble: &Trouble,
        words: &str,
    ) -> Result<(), LedgerError> {
        if trouble.uids.is_empty() {
            return Ok(());
        }
        let (name, now) = (self.source.name(), self.clock.now());
        let mut unfetchable = Vec::new();
        let mut transaction = self.intake.ledger.begin().await?;
        if trouble.named {
            let runs = trouble.uids.runs().iter();
            for uid in runs.flat_map(|&(first, last)| first..=last) {
                let suspicion = transaction
                    .failed_alone(name, uidvalidity, uid, trouble.another_came, words, now)
                    .await?;
                warn!(
                    mailbox.name = name,
                    message.uid = uid,
                    message.failures = suspicion.failures,
                    "message could not be fetched: {words}"
                );
                if suspicion.is_unfetchable() && !suspicion.quarantined {
                    unfetchable.push(RawMessage {
                        origin: Origin::Imap {
                            mailbox: name.to_owned(),
                            uidvalidity,
                            uid,
                        },
                        internal_date: None,
                        size: 0,
                        content: Content::Unfetchable(suspicion),
                    });
                }
            }
        } else {
            transaction
                .suspect(name, uidvalidity, &trouble.uids, now)
                .await?;
        }
        transaction.commit().await?;
        if !unfetchable.is_empty() {
            self.intake.take(&unfetchable, self.company, now).await?;
            self.wake.notify_one();
        }
        Ok(())
    }

    fn since(&self) -> Date {
        self.since
            .unwrap_or_else(|| taipei_date(self.intake.ledger.created_at()).first_of_year())
    }

    async fn report(&self, error: &WatchError, pause: Duration) {
        let (name, seconds) = (self.source.name(), pause.as_secs());
        match error {
            WatchError::Mailbox(MailboxError::Login { .. }) | WatchError::Ledger(_) => error!(
                mailbox.name = name,
                retry.seconds = seconds,
                "mailbox not watched: {error}"
            ),
            WatchError::Mailbox(_) | WatchError::Stopped => warn!(
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

fn pause_after(error: &WatchError, failures: u32) -> Duration {
    match error {
        // Jitter only ever shortens a pause, and this one is what keeps the account from being
        // locked.
        WatchError::Mailbox(MailboxError::Login { .. }) => LOGIN_REFUSED.after(failures, 1.0),
        WatchError::Mailbox(_) | WatchError::Ledger(_) | WatchError::Stopped => {
            RECONNECT.after(failures, backoff::random())
        }
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
    use super::*;

    #[test]
    fn only_a_session_that_lasted_ends_a_row_of_failures() {
        let second = Duration::from_secs(1);
        assert_eq!(failures_now(0, second), 1);
        assert_eq!(failures_now(7, RECONNECT.most - second), 8);
        assert_eq!(failures_now(7, RECONNECT.most), 1);
        assert_eq!(failures_now(u32::MAX, second), u32::MAX);
    }

    #[test]
    fn a_refused_login_waits_long_and_everything_else_comes_back_soon() {
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
                let pause = pause_after(error, failures);
                let full = Duration::from_secs(full);
                let least = if most == 3600 { full } else { full / 2 };
                assert!(least <= pause && pause <= full, "{error}: {pause:?}");
            }
        }
    }
}
