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
    clock::{Clock, taipei_date},
    delivery::Wake,
    http::{Part, Signs, Vitals},
    intake::{Intake, Place},
    ledger::{LedgerError, LinkState},
    mailbox::{Content, Link, MailboxError, Origin, RawMessage, Source, Trouble},
    pulse::Pulse,
    stranger::for_the_log,
};

mod failures;
mod filing;

use self::failures::Failures;
pub use self::failures::Pauses;

/// During a long catching up, signs of life are written to the ledger this often.
const WRITE_DOWN: Duration = Duration::from_secs(60);

/// No wait is shorter, unless news ends it.
const SOONEST: Duration = Duration::from_secs(1);

/// Watches one mailbox.
#[derive(Debug)]
pub struct Watch {
    /// Its name.
    pub name: String,
    /// What to do; whoever changes it need not break a connection that may stay.
    pub orders: watch::Receiver<Arc<Orders>>,
    /// What time it is.
    pub clock: Clock,
    /// Told when there may be mail to send: a hint, for the dispatcher looks by itself as well.
    pub wake: Wake,
    /// Told when something new waits for a resolver: a hint as well.
    pub ask: Arc<Notify>,
    /// Where signs of life are written down for all to see.
    pub vitals: watch::Sender<Vitals>,
    /// The sign of life that the watchdog looks for.
    pub pulse: Arc<Pulse>,
    /// Brings the word to stop.
    pub stopped: watch::Receiver<bool>,
    /// How long trouble is waited out.
    pub pauses: Pauses,
}

/// What the configuration says about one mailbox.
#[derive(Debug)]
pub struct Orders {
    /// The mailbox.
    pub source: Source,
    /// What judging its mail takes into account.
    pub place: Place,
    /// The first scan looks no further back; `None` means 1 January of the ledger's first year.
    pub since: Option<Date>,
    /// Where messages go.
    pub intake: Intake,
}

impl Orders {
    /// Whether a connection that was made under these may stay under `new`: what matters for
    /// judging is looked up for each batch, and a password only for the next login.
    fn allow(&self, new: &Self) -> bool {
        self.source.is_same_place(&new.source) && self.since == new.since
    }
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
    /// The configuration now names another place.
    #[error("told to look elsewhere")]
    Reordered,
}

impl Watch {
    /// Runs until told to stop; trouble is waited out and tried again.
    ///
    /// # Errors
    /// The ledger's, where it must be opened anew.
    pub async fn run(&self) -> Result<(), LedgerError> {
        let mut failures = Failures::new(self.pauses);
        loop {
            let orders = self.orders();
            let began = Instant::now();
            let error = self.session(&orders).await;
            match error {
                WatchError::Stopped => return Ok(()),
                WatchError::Reordered => failures = Failures::new(self.pauses),
                WatchError::Ledger(error) if error.needs_a_new_start() => {
                    self.misses_ledger(&error);
                    return Err(error);
                }
                error => {
                    let pause = failures.pause_after(&error, began.elapsed());
                    self.report(&error, pause).await;
                    match self.pause(pause, &orders).await {
                        Ok(()) => {}
                        Err(WatchError::Stopped) => return Ok(()),
                        // A changed password or place deserves a fresh beginning.
                        Err(_) => failures = Failures::new(self.pauses),
                    }
                }
            }
        }
    }

    /// The orders of the moment.
    fn orders(&self) -> Arc<Orders> {
        Arc::clone(&self.orders.borrow())
    }

    /// One connection from beginning to end.
    async fn session(&self, orders: &Orders) -> WatchError {
        self.pulse.within(Duration::ZERO);
        match self.connected(orders).await {
            Err(error) => error,
            Ok(never) => match never {},
        }
    }

    async fn connected(&self, orders: &Orders) -> Result<Infallible, WatchError> {
        let mut link = self.open().await?;
        info!(mailbox.name = self.name, "mailbox opened");
        loop {
            self.catch_up(&mut link).await?;
            tokio::select! {
                biased;
                error = self.ordered(|new| !orders.allow(new)) => return Err(error),
                done = self.wait(&mut link) => done?,
            }
        }
    }

    /// Waits, unless told to stop, or to do what makes waiting pointless.
    async fn pause(&self, pause: Duration, tried: &Orders) -> Result<(), WatchError> {
        self.pulse.within(pause);
        let is_new = |new: &Orders| {
            let (tried, new) = (&tried.source, &new.source);
            !tried.is_same_place(new) || !tried.has_same_login(new)
        };
        tokio::select! {
            error = self.ordered(is_new) => Err(error),
            slept = self.unless_stopped(tokio::time::sleep(pause)) => slept,
        }
    }

    /// Completes when the orders are such that `matters`.
    async fn ordered(&self, matters: impl Fn(&Orders) -> bool) -> WatchError {
        let mut orders = self.orders.clone();
        let nobody_orders = orders.wait_for(|new| matters(new)).await.is_err();
        if nobody_orders {
            // The word to stop comes with that.
            std::future::pending::<()>().await;
        }
        WatchError::Reordered
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
        let orders = self.orders();
        let mut link = self
            .unless_stopped(orders.source.open(&self.pulse))
            .await??;
        if let Some(uidvalidity) = link.uidvalidity() {
            let (ledger, name) = (&orders.intake.ledger, &self.name);
            // A ledger that lies ahead was dated by a clock that was.
            let began = ledger.created_at().min(self.clock.now());
            let since = orders
                .since
                .unwrap_or_else(|| taipei_date(began).first_of_year());
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
        let mut written = Instant::now();
        while let Some(new) = self.take_in(link, Turn::Missing).await? {
            taken += new;
            self.answered(false);
            self.has_written();
            if written.elapsed() >= WRITE_DOWN {
                self.write_down(&LinkState::Up).await?;
                written = Instant::now();
            }
        }
        self.answered(true);
        self.write_down(&LinkState::Up).await?;
        self.file(link).await?;
        while let Some(new) = self.take_in(link, Turn::Suspects).await? {
            taken += new;
        }
        self.has_written();
        Ok(taken)
    }

    /// The other step: waits until there may be something new, or what has made trouble is to be
    /// asked for again.
    ///
    /// # Errors
    /// The mailbox's or the ledger's, or the word to stop; the link must then be dropped.
    pub async fn wait(&self, link: &mut Link) -> Result<(), WatchError> {
        let mut within = Duration::MAX;
        if let Some(uidvalidity) = link.uidvalidity() {
            let orders = self.orders();
            let ledger = &orders.intake.ledger;
            if let Some(next) = ledger.next_suspect_at(&self.name, uidvalidity).await? {
                let left = next.duration_since(self.clock.now());
                within = left.try_into().unwrap_or_default();
            }
        }
        // A suspect that is due has just been asked for; were one left over, it must not keep us
        // listing the folder.
        self.unless_stopped(link.wait(within.max(SOONEST)))
            .await??;
        Ok(())
    }

    /// Shows a sign of life; `scanned` when everything in the mailbox has been taken in.
    fn answered(&self, scanned: bool) {
        let now = self.clock.now();
        self.show(|signs| {
            signs.last_ok = Some(now);
            signs.scanned |= scanned;
            signs.failing_since = None;
        });
    }

    /// Shows that what was to be written to the ledger has been.
    fn has_written(&self) {
        let part = Part::Mailbox(self.name.clone());
        self.vitals
            .send_if_modified(|vitals| vitals.has_ledger(&part));
    }

    /// Shows that the ledger fails.
    fn misses_ledger(&self, error: &LedgerError) {
        let now = self.clock.now();
        self.vitals.send_modify(|vitals| {
            if vitals.mailboxes.contains_key(&self.name) {
                let part = Part::Mailbox(self.name.clone());
                vitals.misses_ledger(part, error.in_short(), now);
            }
        });
    }

    /// A mailbox that the configuration no longer names has no signs to be changed.
    fn show(&self, change: impl FnOnce(&mut Signs)) {
        self.vitals.send_modify(|vitals| {
            vitals.mailboxes.get_mut(&self.name).map(change);
        });
    }

    async fn write_down(&self, state: &LinkState) -> Result<(), LedgerError> {
        let orders = self.orders();
        let ledger = &orders.intake.ledger;
        ledger
            .saw_mailbox(&self.name, state, self.clock.now())
            .await
    }

    /// Compares the folder with the ledger, and forgets what has left it.
    async fn survey(&self, link: &mut Link) -> Result<(), WatchError> {
        let orders = self.orders();
        let (ledger, name) = (&orders.intake.ledger, &self.name);
        let mut known = ledger.known(name, link.uidvalidity()).await?;
        if let Some(uidvalidity) = link.uidvalidity() {
            let now = self.clock.now();
            (known.suspects, known.resting) = ledger.suspects(name, uidvalidity, now).await?;
        }
        self.unless_stopped(link.survey(&known)).await??;
        if let (holes, Some(highest)) = (link.holes().len(), known.uids.highest())
            && holes > 0
        {
            warn!(
                mailbox.name = name,
                messages = holes,
                "{holes} messages below UID {highest} are not accounted for: fetched again"
            );
        }
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
        let orders = self.orders();
        let gate = |header: &[u8], size| orders.intake.gate(header, size);
        let fetched = match turn {
            Turn::Missing => self.unless_stopped(link.next_batch(&gate)).await?,
            Turn::Suspects => self.unless_stopped(link.next_suspect(&gate)).await?,
        };
        if let Ok(Some(batch)) = &fetched {
            let now = self.clock.now();
            let outcomes = orders.intake.take(batch, orders.place, now).await?;
            self.wake.everybody();
            if outcomes.iter().any(|outcome| outcome.waits_for.is_some()) {
                self.ask.notify_one();
            }
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
        let orders = self.orders();
        let (name, now) = (&self.name, self.clock.now());
        let mut unfetchable = Vec::new();
        let mut transaction = orders.intake.ledger.begin().await?;
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
                    "message could not be fetched: {}",
                    for_the_log(words)
                );
                if suspicion.is_unfetchable() && !suspicion.quarantined {
                    unfetchable.push(RawMessage {
                        origin: Origin::Imap {
                            mailbox: name.clone(),
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
            orders.intake.take(&unfetchable, orders.place, now).await?;
            self.wake.everybody();
        }
        Ok(())
    }

    async fn report(&self, error: &WatchError, pause: Duration) {
        let (name, seconds) = (&self.name, pause.as_secs());
        let words = error.to_string();
        let said = for_the_log(&words);
        let for_a_person = match error {
            WatchError::Mailbox(error) => error.is_refused_login(),
            WatchError::Ledger(_) => true,
            WatchError::Stopped | WatchError::Reordered => false,
        };
        match for_a_person {
            true => error!(
                mailbox.name = name,
                retry.seconds = seconds,
                "mailbox not watched: {said}"
            ),
            false => warn!(
                mailbox.name = name,
                retry.seconds = seconds,
                "mailbox not watched: {said}"
            ),
        }
        let now = self.clock.now();
        if let WatchError::Ledger(error) = error {
            // The mailbox has answered, or we would not have come as far: nobody is to look there
            // for a fault that is in our ledger.
            self.show(|signs| {
                signs.last_ok = Some(now);
                signs.failing_since = None;
            });
            self.misses_ledger(error);
            return;
        }
        self.show(|signs| _ = signs.failing_since.get_or_insert(now));
        match self.write_down(&LinkState::Down(words)).await {
            Ok(()) => self.has_written(),
            Err(error) => self.misses_ledger(&error),
        }
    }
}
