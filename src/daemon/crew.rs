//! The tasks that run, and how they come to follow another configuration.
//!
//! A [`Plan`] holds everything that can fail: secrets read, certificates tried, addresses bound. To
//! follow it cannot fail any more, and so a reload is all or nothing. Guarantee: a task that goes on
//! keeps its connection; it finds its new orders when it looks for them next.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{Arc, mpsc},
    time::Duration,
};

use tokio::{
    net::TcpListener,
    sync::{Notify, watch},
    task::JoinSet,
};
use tracing::warn;

use super::{
    DaemonError, Expectations, Keeper,
    asker::{Asker, Asking},
    systemd::{self, Pulses},
    watch_mailbox::{Orders, Pauses, Watch},
};
use crate::{
    authenticity::Verifier,
    clock::Clock,
    config::Config,
    delivery::{Dispatcher, Pass, Style, Transport, Wake},
    http::{self, Part, Vitals},
    intake::Intake,
    ledger::{DaemonLock, Ledger, LedgerError},
    pulse::Pulse,
};

/// What a task may need beyond the waits that it announces, where systemd does not say how long it
/// waits: a ledger that is busy lets a writer wait for up to 90 s.
const GRACE: Duration = Duration::from_secs(120);

/// A configuration ready to be followed.
#[derive(Debug)]
pub(super) struct Plan {
    mailboxes: BTreeMap<String, Orders>,
    asking: Asking,
    resolvers: Vec<SocketAddr>,
    expected: Expectations,
    /// By the system that each is for; `None` for mails.
    dispatchers: BTreeMap<Option<String>, Dispatcher>,
    style: Style,
    listen: Listen,
}

/// What becomes of the health listener.
#[derive(Debug)]
enum Listen {
    /// There is none.
    Nowhere,
    /// It goes on where it is.
    AsBefore,
    /// It listens on another address, already bound.
    Anew(TcpListener, SocketAddr),
}

impl Plan {
    /// Does all that can fail.
    ///
    /// # Errors
    /// What the operator must change, or what keeps us from listening; nothing has changed then.
    pub(super) async fn new(config: &Config, crew: &Crew) -> Result<Self, DaemonError> {
        if config.mailboxes.is_empty() {
            return Err(DaemonError::Configuration(anyhow::anyhow!(
                "{}: expected at least one [[mailbox]] to watch, found none",
                config.file.display()
            )));
        }
        let intake = Intake {
            ledger: crew.ledger.clone(),
            rules: config.rules.clone(),
            verifier: Arc::new(Verifier::new(config.authenticity.clone())),
            style: Some(config.style.clone()),
        };
        let mut mailboxes = BTreeMap::new();
        for mailbox in &config.mailboxes {
            let orders = Orders {
                source: mailbox.source().map_err(DaemonError::Configuration)?,
                place: mailbox.place(),
                since: mailbox.since,
                intake: intake.clone(),
            };
            mailboxes.insert(mailbox.name.clone(), orders);
        }
        let places = config.mailboxes.iter();
        let asking = Asking {
            intake,
            places: places
                .map(|mailbox| (mailbox.name.clone(), mailbox.place()))
                .collect(),
            files: config.place(None).unwrap_or_default(),
        };
        let transport = config.transport().map_err(DaemonError::Configuration)?;
        let systems = config.systems().map_err(DaemonError::Configuration)?;
        let ways = systems.into_iter().map(Transport::System);
        let dispatchers = transport.into_iter().chain(ways).map(|transport| {
            let target = transport.target().map(str::to_owned);
            let dispatcher = Dispatcher {
                ledger: crew.ledger.clone(),
                transport,
                style: config.style.clone(),
                patience: config.patience,
            };
            (target, dispatcher)
        });
        let dispatchers = dispatchers.collect();
        let listen = match config.http {
            None => Listen::Nowhere,
            Some(http) if crew.listens_on() == Some(http.listen) => Listen::AsBefore,
            Some(http) => {
                let listener = TcpListener::bind(http.listen)
                    .await
                    .map_err(|error| DaemonError::Listen(http.listen, error))?;
                Listen::Anew(listener, http.listen)
            }
        };
        // Last, because it is written down.
        let places: Vec<(&str, String)> = config
            .mailboxes
            .iter()
            .map(|mailbox| (mailbox.name.as_str(), mailbox.whereabouts()))
            .collect();
        crew.ledger.hold_to_places(&places).await?;
        Ok(Self {
            mailboxes,
            asking,
            resolvers: config.authenticity.dns_servers.clone(),
            expected: Expectations {
                companies: config.rules.companies.clone(),
                days: config.schedule,
            },
            dispatchers,
            style: config.style.clone(),
            listen,
        })
    }
}

/// What runs.
#[derive(Debug)]
pub(super) struct Crew {
    ledger: Ledger,
    clock: Clock,
    lock: Arc<DaemonLock>,
    wake: Wake,
    /// Tells the keeper that there is something to look at before the minute is over.
    look: Arc<Notify>,
    /// Tells the asker that something new may wait.
    ask: Arc<Notify>,
    /// The resolvers that the operator names, for the keeper to name them.
    resolvers: watch::Sender<Vec<SocketAddr>>,
    /// Whose numbers are awaited, for the keeper to miss them.
    expected: watch::Sender<Arc<Expectations>>,
    vitals: watch::Sender<Vitals>,
    pulses: watch::Sender<Pulses>,
    tasks: JoinSet<Ending>,
    mailboxes: BTreeMap<String, Post<Orders>>,
    asker: Option<Post<Asking>>,
    dispatchers: BTreeMap<Option<String>, Post<Dispatcher>>,
    http: Option<(SocketAddr, Post<()>)>,
    keeper: Option<Post<Style>>,
    /// Dropped, it ends the feeding of the watchdog.
    feeding: Option<mpsc::Sender<Infallible>>,
}

/// A task that takes orders; dropped, it tells the task to stop.
#[derive(Debug)]
struct Post<T> {
    orders: watch::Sender<Arc<T>>,
    stop: watch::Sender<bool>,
}

impl<T> Drop for Post<T> {
    /// Said, and not left to the end of the sender: a task in the middle of its work looks at the
    /// word, and does not wait for it.
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

/// How a task ended.
#[derive(Debug)]
struct Ending {
    part: String,
    /// Whether it had been told to.
    told: bool,
    outcome: Result<(), DaemonError>,
}

impl Crew {
    /// Nobody yet.
    pub(super) fn new(ledger: Ledger, lock: DaemonLock, clock: Clock) -> Self {
        Self {
            ledger,
            clock,
            lock: Arc::new(lock),
            wake: Wake::default(),
            look: Arc::new(Notify::new()),
            ask: Arc::new(Notify::new()),
            resolvers: watch::Sender::new(Vec::new()),
            expected: watch::Sender::new(Arc::default()),
            vitals: watch::Sender::new(Vitals::default()),
            pulses: watch::Sender::new(Pulses::new()),
            tasks: JoinSet::new(),
            mailboxes: BTreeMap::new(),
            asker: None,
            dispatchers: BTreeMap::new(),
            http: None,
            keeper: None,
            feeding: None,
        }
    }

    fn listens_on(&self) -> Option<SocketAddr> {
        self.http.as_ref().map(|(address, _)| *address)
    }

    /// Hands out the new orders; hires and dismisses as they demand.
    pub(super) fn follow(&mut self, plan: Plan) {
        self.watch(plan.mailboxes);
        self.resolvers.send_replace(plan.resolvers);
        self.expected.send_replace(Arc::new(plan.expected));
        match &self.asker {
            Some(post) => _ = post.orders.send_replace(Arc::new(plan.asking)),
            None => self.asker = Some(self.ask(plan.asking)),
        }
        self.dispatch(plan.dispatchers);
        match plan.listen {
            Listen::AsBefore => {}
            Listen::Nowhere => self.http = None,
            Listen::Anew(listener, address) => self.listen(listener, address),
        }
        match &self.keeper {
            Some(post) => _ = post.orders.send_replace(Arc::new(plan.style)),
            None => self.keeper = Some(self.keep(plan.style)),
        }
    }

    fn watch(&mut self, mut orders: BTreeMap<String, Orders>) {
        self.mailboxes.retain(|name, _| orders.contains_key(name));
        self.vitals.send_modify(|vitals| {
            vitals.ledger_troubles.retain(|part, _| match part {
                Part::Mailbox(name) => orders.contains_key(name),
                Part::Keeper | Part::Dispatcher(_) | Part::Asker => true,
            });
            vitals.mailboxes.retain(|name, _| orders.contains_key(name));
            for name in orders.keys() {
                vitals.mailboxes.entry(name.clone()).or_default();
            }
        });
        for (name, post) in &self.mailboxes {
            if let Some(new) = orders.remove(name) {
                post.orders.send_replace(Arc::new(new));
            }
        }
        for (name, orders) in orders {
            let (clock, wake) = (self.clock.clone(), self.wake.clone());
            let (vitals, ask) = (self.vitals.clone(), Arc::clone(&self.ask));
            let mailbox = name.clone();
            let part = format!("the task of the mailbox {name}");
            let post = self.hire(part, orders, |orders, pulse, stopped| async move {
                let watch = Watch {
                    name: mailbox,
                    orders,
                    clock,
                    wake,
                    ask,
                    vitals,
                    pulse: Arc::new(pulse),
                    stopped,
                    pauses: Pauses::default(),
                };
                watch.run().await.map_err(DaemonError::Ledger)
            });
            self.mailboxes.insert(name, post);
        }
    }

    fn ask(&mut self, asking: Asking) -> Post<Asking> {
        let (clock, hint) = (self.clock.clone(), Arc::clone(&self.ask));
        let (wake, look) = (self.wake.clone(), Arc::clone(&self.look));
        let vitals = self.vitals.clone();
        let part = "the asker".to_owned();
        self.hire(part, asking, |orders, pulse, stopped| async move {
            let asker = Asker {
                clock,
                hint,
                wake,
                look,
                vitals,
                pulse,
                stopped,
            };
            asker.run(orders).await.map_err(DaemonError::Ledger)
        })
    }

    fn dispatch(&mut self, mut dispatchers: BTreeMap<Option<String>, Dispatcher>) {
        self.dispatchers
            .retain(|target, _| dispatchers.contains_key(target));
        self.vitals.send_modify(|vitals| {
            vitals.ledger_troubles.retain(|part, _| match part {
                Part::Dispatcher(target) => dispatchers.contains_key(target),
                Part::Keeper | Part::Asker | Part::Mailbox(_) => true,
            });
        });
        for (target, post) in &self.dispatchers {
            if let Some(dispatcher) = dispatchers.remove(target) {
                post.orders.send_replace(Arc::new(dispatcher));
            }
        }
        self.wake.everybody();
        for (target, dispatcher) in dispatchers {
            let post = self.dispatch_to(target.clone(), dispatcher);
            self.dispatchers.insert(target, post);
        }
    }

    fn dispatch_to(&mut self, target: Option<String>, dispatcher: Dispatcher) -> Post<Dispatcher> {
        let (clock, wake) = (self.clock.clone(), self.wake.clone());
        let (vitals, look) = (self.vitals.clone(), Arc::clone(&self.look));
        let now = clock.clone();
        let part = match &target {
            None => "the dispatcher".to_owned(),
            Some(target) => format!("the dispatcher to {target}"),
        };
        let passed = move |pass: &Result<Pass, LedgerError>| {
            if !pass.as_ref().is_ok_and(Pass::is_idle) {
                look.notify_one();
            }
            let part = Part::Dispatcher(target.clone());
            vitals.send_if_modified(|vitals| match pass {
                Ok(_) => vitals.has_ledger(&part),
                Err(error) => {
                    vitals.misses_ledger(part, error.in_short(), now.now());
                    true
                }
            });
        };
        self.hire(part, dispatcher, |current, pulse, stopped| async move {
            let running = Dispatcher::run(current, &clock, &wake, &pulse, stopped, passed);
            running.await.map_err(DaemonError::Ledger)
        })
    }

    fn listen(&mut self, listener: TcpListener, address: SocketAddr) {
        let (vitals, clock) = (self.vitals.subscribe(), self.clock.clone());
        let part = "the health listener".to_owned();
        let post = self.hire(part, (), |_, pulse, stopped| async move {
            // It waits for whoever may ask, and so gives no signs of life by itself.
            drop(pulse);
            let served = http::serve(listener, vitals, clock, until(stopped)).await;
            served.map_err(DaemonError::Http)
        });
        self.http = Some((address, post));
    }

    fn keep(&mut self, style: Style) -> Post<Style> {
        let mut keeper = Keeper::new(
            self.ledger.clone(),
            self.clock.clone(),
            self.wake.clone(),
            self.vitals.clone(),
        );
        keeper.writes_notes(Arc::clone(&self.lock));
        keeper.names_resolvers(self.resolvers.subscribe());
        keeper.awaits(self.expected.subscribe());
        let look = Arc::clone(&self.look);
        let part = "the keeper".to_owned();
        self.hire(part, style, |style, pulse, stopped| async move {
            let keeping = keeper.run(style, &look, &pulse, stopped);
            keeping.await.map_err(DaemonError::Ledger)
        })
    }

    /// Begins to feed systemd's watchdog, where it has one for us.
    ///
    /// # Errors
    /// There can be no further thread.
    pub(super) fn feed_watchdog(&mut self) -> io::Result<()> {
        let Some(period) = systemd::watchdog_period() else {
            return Ok(());
        };
        let (feeding, until) = mpsc::channel();
        self.feeding = Some(feeding);
        systemd::feed_watchdog(period, self.pulses.subscribe(), until)
    }

    fn hire<T, Work, Done>(&mut self, part: String, orders: T, work: Work) -> Post<T>
    where
        T: Send + Sync + 'static,
        Work: FnOnce(watch::Receiver<Arc<T>>, Pulse, watch::Receiver<bool>) -> Done,
        Done: Future<Output = Result<(), DaemonError>> + Send + 'static,
    {
        let (orders, current) = watch::channel(Arc::new(orders));
        let (stop, stopped) = watch::channel(false);
        let pulse = Pulse::new(systemd::watchdog_period().unwrap_or(GRACE));
        self.pulses.send_modify(|pulses| {
            pulses.insert(part.clone(), pulse.reader());
        });
        let work = work(current, pulse, stopped.clone());
        self.tasks.spawn(async move {
            let outcome = work.await;
            let told = *stopped.borrow();
            Ending {
                part,
                told,
                outcome,
            }
        });
        Post { orders, stop }
    }

    /// Completes when a task has ended that was not told to.
    pub(super) async fn ended(&mut self) -> DaemonError {
        loop {
            match self.tasks.join_next().await {
                Some(Ok(Ending { told: true, .. })) => {}
                Some(Ok(Ending {
                    outcome: Err(error),
                    ..
                })) => return error,
                Some(Ok(Ending { part, .. })) => return DaemonError::Ended(part),
                Some(Err(_panic)) => return DaemonError::Ended("a task".to_owned()),
                None => std::future::pending().await,
            }
        }
    }

    /// Tells all to stop, and waits for them; `within` is over, what is left is cut off.
    pub(super) async fn stop(&mut self, within: Duration) {
        self.mailboxes.clear();
        self.asker = None;
        self.dispatchers.clear();
        self.http = None;
        self.keeper = None;
        let finished = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(within, finished).await.is_err() {
            warn!(
                "something in hand took too long and was cut off; it is done again at the next start"
            );
            self.tasks.shutdown().await;
        }
    }
}

/// Completes when told to stop.
async fn until(mut stopped: watch::Receiver<bool>) {
    // A sender that is gone means stop as well.
    stopped.wait_for(|stop| *stop).await.ok();
}

#[cfg(test)]
mod tests;
