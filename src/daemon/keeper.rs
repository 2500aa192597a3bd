//! What has to be looked after once a minute: whether the ledger can be written to, whether every
//! mailbox and the resolver answer and every system takes its numbers, what has waited long enough to
//! be told or thrown away, and, in `due`, what is due and has not come.
//!
//! Left out on purpose: the mailboxes themselves, and the asking. Guarantee: people are told once
//! that a mailbox or the resolver does not answer and once that it is back, whatever is restarted in
//! between.

mod due;
mod handoffs;

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tracing::{error, info, warn};

pub use self::due::Expectations;
use super::systemd;
use crate::{
    clock::Clock,
    delivery::{Style, Wake, gather_past},
    http::{MAILBOX_SILENCE, Mail, Part, PutOffMail, Signs, Vitals, WaitingMail},
    ledger::{Cause, DaemonLock, Ledger, LedgerError, LinkState, Past, Waiting},
    pulse::Pulse,
    stranger::for_the_log,
};

/// From one look to the next.
const MINUTE: Duration = Duration::from_secs(60);

/// A mailbox that has failed for so long after the start is not waited for.
const GIVEN_UP: SignedDuration = SignedDuration::from_mins(5);

/// When no more old mail has come for so long, what has come is told.
const QUIET: SignedDuration = SignedDuration::from_mins(5);

/// When mail has waited for a resolver for so long, people are told. Most are back within that.
const RESOLVER_SILENCE: SignedDuration = SignedDuration::from_hours(1);

/// Looks after everything that is nobody else's.
#[derive(Debug)]
pub struct Keeper {
    ledger: Ledger,
    clock: Clock,
    wake: Wake,
    vitals: watch::Sender<Vitals>,
    /// No mailbox is missed for longer than the daemon has been looking.
    started_at: Timestamp,
    /// Mailboxes that were silent at the last look. A clock that jumps ahead, or a machine that
    /// slept, makes all of them look silent once.
    silent: BTreeSet<String>,
    /// Whether mail had waited for a resolver for too long at the last look; as above.
    unanswered: bool,
    /// The resolvers that the operator names; none: the system's.
    resolvers: watch::Receiver<Vec<SocketAddr>>,
    /// Whose numbers are awaited.
    expected: due::Current,
    handoffs: handoffs::Handoffs,
    /// Whether every mailbox has been scanned, or given up, since the start.
    surveyed: bool,
    /// The lock on the ledger, where it is written down, for a command that asks, that the ledger
    /// fails.
    notes: Option<Arc<DaemonLock>>,
    /// What was last said of the ledger.
    noted: Option<String>,
}

impl Keeper {
    /// A keeper who begins now. `wake` is told when there may be mail to send; signs of life are
    /// written to `vitals` and read there.
    pub fn new(ledger: Ledger, clock: Clock, wake: Wake, vitals: watch::Sender<Vitals>) -> Self {
        Self {
            started_at: clock.now(),
            ledger,
            clock,
            wake,
            vitals,
            silent: BTreeSet::new(),
            unanswered: false,
            resolvers: watch::channel(Vec::new()).1,
            expected: watch::channel(Arc::default()).1,
            handoffs: handoffs::Handoffs::default(),
            surveyed: false,
            notes: None,
            noted: None,
        }
    }

    /// From now on, what keeps the daemon from the ledger is written down beside it as well.
    pub(super) fn writes_notes(&mut self, notes: Arc<DaemonLock>) {
        self.notes = Some(notes);
    }

    /// From now on, the resolvers of the moment are named to people.
    pub fn names_resolvers(&mut self, resolvers: watch::Receiver<Vec<SocketAddr>>) {
        self.resolvers = resolvers;
    }

    /// From now on, the numbers of these companies are awaited.
    pub fn awaits(&mut self, expected: watch::Receiver<Arc<Expectations>>) {
        self.expected = expected;
    }

    /// Looks once a minute, and when the last mailbox has been scanned for the first time, until
    /// told to stop; tells people in the `style` of the moment. When told to `look`, and when the
    /// ledger fails or works again, shows it at once.
    ///
    /// # Errors
    /// The ledger's, where it must be opened anew.
    pub async fn run(
        &mut self,
        style: watch::Receiver<Arc<Style>>,
        look: &Notify,
        pulse: &Pulse,
        mut stopped: watch::Receiver<bool>,
    ) -> Result<(), LedgerError> {
        let mut vitals = self.vitals.subscribe();
        let mut troubles = self.vitals.subscribe();
        let mut is_scanned = false;
        let mut due = Instant::now();
        loop {
            pulse.within(Duration::ZERO);
            let now = self.clock.now();
            let looked = if Instant::now() >= due {
                due = Instant::now() + MINUTE;
                let current = Arc::clone(&style.borrow());
                self.run_once(&current, now).await
            } else {
                self.show(now).await
            };
            match looked {
                Err(error) if error.needs_a_new_start() => return Err(error),
                Err(error) => error!("the ledger cannot be used: {error}"),
                Ok(()) => {}
            }
            pulse.within(MINUTE);
            let noted = self.noted.clone();
            tokio::select! {
                () = tokio::time::sleep_until(due) => {}
                () = look.notified() => {}
                _ = troubles.wait_for(|vitals| vitals.ledger_trouble() != noted) => {}
                _ = vitals.wait_for(Vitals::is_scanned), if !is_scanned => {
                    is_scanned = true;
                    due = Instant::now();
                }
                // A sender that is gone means stop as well.
                _ = stopped.wait_for(|stop| *stop) => return Ok(()),
            }
        }
    }

    /// One look.
    ///
    /// # Errors
    /// The ledger's; what could not be done is done at the next look.
    pub async fn run_once(&mut self, style: &Style, now: Timestamp) -> Result<(), LedgerError> {
        let looked = self.look(style, now).await;
        self.vitals.send_if_modified(|vitals| match &looked {
            Ok(()) => vitals.has_ledger(&Part::Keeper),
            Err(error) => {
                vitals.misses_ledger(Part::Keeper, error.in_short(), now);
                true
            }
        });
        let shown = self.show(now).await;
        looked.and(shown)
    }

    async fn look(&mut self, style: &Style, now: Timestamp) -> Result<(), LedgerError> {
        // First, for a full disk must show before a notice meets it.
        self.ledger.prove_writable().await?;
        if let Some(lock) = &self.notes {
            lock.is_in_its_place()?;
        }
        self.vitals.send_modify(|vitals| vitals.ledger = Some(now));
        self.miss_mailboxes(now).await?;
        self.miss_resolver(now).await?;
        let handing = self.handoffs.look(&self.ledger, &style.handoffs, now);
        if handing.await? {
            self.wake.everybody();
        }
        let forgotten = self.ledger.forget_dismissed(now).await?;
        if forgotten > 0 {
            info!(messages = forgotten, "bytes of dismissed mail thrown away");
        }
        self.tell_past(style, now).await?;
        self.miss_notices(now).await
    }

    /// Shows how things stand: to whoever asks over HTTP, to systemd, and to a command.
    async fn show(&mut self, now: Timestamp) -> Result<(), LedgerError> {
        let found = self.find().await;
        if let Ok(found) = &found {
            self.vitals.send_modify(|vitals| {
                vitals.mail = found.mail.clone();
                vitals.waiting = found.waiting.clone();
            });
        }
        let vitals = self.vitals.borrow().clone();
        systemd::status(&status(
            &vitals,
            &self.handoffs.trouble,
            found.as_ref().ok(),
            now,
        ));
        let trouble = vitals.ledger_trouble();
        if self.noted != trouble {
            let notes = self.notes.as_ref();
            if let Some(Err(error)) = notes.map(|notes| notes.note(trouble.as_deref())) {
                warn!("write down beside the ledger how it stands: {error}");
            }
            self.noted = trouble;
        }
        found.map(drop)
    }

    /// What waits, as the ledger has it.
    async fn find(&self) -> Result<Found, LedgerError> {
        let quarantined = self.ledger.quarantined().await?;
        let put_off = self.ledger.put_off(None).await?.map(|put_off| PutOffMail {
            mails: put_off.letters,
            since: put_off.since,
            none_sent_since: put_off.none_sent_since,
            words: for_the_log(&put_off.answer),
        });
        let failed = self.ledger.failed_letters().await?;
        let waiting = self.ledger.waiting().await?.map(|waiting| WaitingMail {
            mails: waiting.mails,
            since: waiting.since,
            words: for_the_log(&waiting.words),
        });
        Ok(Found {
            quarantined,
            waiting,
            mail: Mail { put_off, failed },
        })
    }

    /// Tells people of the mail that is older than the ledger: all of it at once, and so not before
    /// every mailbox has been scanned. What a mailbox brings that is added later, or that is scanned
    /// anew, is told when nothing more has come for a while.
    async fn tell_past(&mut self, style: &Style, now: Timestamp) -> Result<(), LedgerError> {
        if !self.vitals.borrow().is_surveyed(now, GIVEN_UP) {
            return Ok(());
        }
        let Some(newest) = self.ledger.newest::<Past>().await? else {
            self.surveyed = true;
            return Ok(());
        };
        let quiet = now.duration_since(newest).abs() >= QUIET;
        if (quiet || !self.surveyed) && gather_past(&self.ledger, style, now).await? {
            self.wake.everybody();
        }
        self.surveyed = true;
        Ok(())
    }

    /// Tells people of numbers that are due, once what may have come has been looked at.
    async fn miss_notices(&mut self, now: Timestamp) -> Result<(), LedgerError> {
        let vitals = self.vitals.borrow().clone();
        if !vitals.is_surveyed(now, GIVEN_UP) {
            return Ok(());
        }
        let expected = Arc::clone(&self.expected.borrow());
        let looked = due::look(&self.ledger, &expected, &vitals, now);
        let look = looked.await?;
        self.vitals
            .send_modify(|vitals| vitals.overdue = look.overdue);
        if look.has_told {
            self.wake.everybody();
        }
        Ok(())
    }

    /// Tells people of mailboxes that do not answer, and of those that do again.
    async fn miss_mailboxes(&mut self, now: Timestamp) -> Result<(), LedgerError> {
        let signs = self.vitals.borrow().mailboxes.clone();
        let is_silent = |signs: &Signs| {
            let last = signs.last_ok.unwrap_or(self.started_at);
            now.duration_since(last.max(self.started_at)) > MAILBOX_SILENCE
        };
        let silent: BTreeSet<String> = signs
            .iter()
            .filter(|(_, signs)| is_silent(signs))
            .map(|(name, _)| name.clone())
            .collect();
        let alarmed = self.ledger.alarmed().await?;
        let missed = silent
            .intersection(&self.silent)
            .filter(|name| !alarmed.contains_key(*name));
        let back = alarmed.iter().filter(|(name, _)| {
            let heard = signs.get(*name).and_then(|signs| signs.last_ok);
            heard.is_some() && !silent.contains(*name)
        });
        for name in missed {
            self.tell_missed(name, now).await?;
        }
        for (name, alarmed_at) in back {
            self.tell_back(name, *alarmed_at, now).await?;
        }
        self.silent = silent;
        Ok(())
    }

    /// Tells people that mail has waited for a resolver for too long, and that it does no more.
    async fn miss_resolver(&mut self, now: Timestamp) -> Result<(), LedgerError> {
        let waiting = self.ledger.waiting().await?;
        let alarmed = self.ledger.resolver_alarmed().await?;
        let is_late = |waiting: &Waiting| now.duration_since(waiting.since) >= RESOLVER_SILENCE;
        let was_late = self.unanswered;
        self.unanswered = waiting.as_ref().is_some_and(is_late);
        match (waiting, alarmed) {
            (Some(waiting), None) if self.unanswered && was_late => {
                self.tell_unanswered(waiting, now).await
            }
            (None, Some(alarmed_at)) => {
                let cause = Cause::ResolverBack { alarmed_at };
                let key = format!("resolver-back:{alarmed_at}");
                self.tell_of_resolver(&key, &cause, None, now).await?;
                info!("resolver answers again, no mail waits for it any more");
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn tell_unanswered(&self, waiting: Waiting, now: Timestamp) -> Result<(), LedgerError> {
        let Waiting {
            mails,
            since,
            words,
            ..
        } = waiting;
        error!(
            messages = mails,
            "mail has waited for a resolver for {} min: {}",
            RESOLVER_SILENCE.as_mins(),
            for_the_log(&words)
        );
        let resolvers = self.resolvers.borrow().clone();
        let cause = Cause::ResolverUnreachable {
            mails,
            since,
            words,
            resolvers: resolvers.iter().map(ToString::to_string).collect(),
        };
        // Mail may have begun to wait at that moment once before, by a clock that was set back.
        let key = format!("resolver-unreachable:{since}:{now}");
        self.tell_of_resolver(&key, &cause, Some(now), now).await
    }

    async fn tell_of_resolver(
        &self,
        key: &str,
        cause: &Cause,
        alarmed_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        let mut transaction = self.ledger.begin().await?;
        transaction.tell(key, cause, now).await?;
        transaction.set_resolver_alarmed(alarmed_at).await?;
        transaction.commit().await?;
        self.wake.everybody();
        Ok(())
    }

    async fn tell_missed(&self, name: &str, now: Timestamp) -> Result<(), LedgerError> {
        let rows = self.ledger.mailboxes().await?;
        let row = rows.into_iter().find(|row| row.name == name);
        let (last_ok_at, trouble) = match row {
            None => (None, None),
            Some(row) => match row.state {
                LinkState::Up => (row.last_ok_at, None),
                LinkState::Down(trouble) => (row.last_ok_at, Some(trouble)),
            },
        };
        // Without a last sign there is nothing but the moment by which to tell two outages apart.
        let since = last_ok_at.unwrap_or(now);
        let cause = Cause::MailboxUnreachable {
            mailbox: name.to_owned(),
            last_ok_at,
            trouble,
        };
        let key = format!("mailbox-unreachable:{name}:{since}");
        self.tell(name, &key, &cause, Some(now), now).await?;
        error!(
            mailbox.name = name,
            "mailbox has not answered for {} min",
            MAILBOX_SILENCE.as_mins()
        );
        Ok(())
    }

    async fn tell_back(
        &self,
        name: &str,
        alarmed_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        let cause = Cause::MailboxBack {
            mailbox: name.to_owned(),
            alarmed_at,
        };
        let key = format!("mailbox-back:{name}:{alarmed_at}");
        self.tell(name, &key, &cause, None, now).await?;
        info!(mailbox.name = name, "mailbox answers again");
        Ok(())
    }

    async fn tell(
        &self,
        name: &str,
        key: &str,
        cause: &Cause,
        alarmed_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        let mut transaction = self.ledger.begin().await?;
        transaction.tell(key, cause, now).await?;
        transaction.set_alarmed(name, alarmed_at).await?;
        transaction.commit().await?;
        self.wake.everybody();
        Ok(())
    }
}

/// What waits, most of it for a person.
#[derive(Debug)]
struct Found {
    quarantined: u64,
    waiting: Option<WaitingMail>,
    mail: Mail,
}

/// One line for `systemctl status`: the important fact first. Without what the ledger would say,
/// where it cannot be asked.
fn status(vitals: &Vitals, handoffs: &[String], found: Option<&Found>, now: Timestamp) -> String {
    let mut trouble: Vec<String> = vitals.ledger_trouble().into_iter().collect();
    let is_down = |signs: &Signs| {
        let is_silent = |at| now.duration_since(at) > MAILBOX_SILENCE;
        signs.failing_since.is_some() || signs.last_ok.is_some_and(is_silent)
    };
    let down = vitals.mailboxes.iter().filter(|(_, signs)| is_down(signs));
    let down: Vec<&str> = down.map(|(name, _)| name.as_str()).collect();
    if !down.is_empty() {
        trouble.push(format!("mailbox down: {}", down.join(", ")));
    }
    if vitals.overdue > 0 {
        trouble.push(format!("notices overdue: {}", vitals.overdue));
    }
    if let Some(Found {
        quarantined,
        waiting,
        mail,
    }) = found
    {
        if *quarantined > 0 {
            trouble.push(format!("in quarantine: {quarantined}"));
        }
        if mail.failed > 0 {
            trouble.push(format!("mails undeliverable: {}", mail.failed));
        }
        // Last, for a server's words may be long.
        if let Some(WaitingMail {
            mails,
            since,
            words,
        }) = waiting
        {
            trouble.push(format!(
                "mails waiting for DNS: {mails}, since {since:.0}: {words}"
            ));
        }
        if let Some(PutOffMail {
            mails,
            since,
            words,
            ..
        }) = &mail.put_off
        {
            trouble.push(format!("mails put off: {mails}, since {since:.0}: {words}"));
        }
    }
    trouble.extend_from_slice(handoffs);
    if trouble.is_empty() {
        let mailboxes = vitals.mailboxes.len();
        let s = if mailboxes == 1 { "" } else { "es" };
        format!("all is well, {mailboxes} mailbox{s} watched")
    } else {
        format!("needs attention; {}", trouble.join("; "))
    }
}

#[cfg(test)]
mod tests;
