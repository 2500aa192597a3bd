//! Everything at once: one task a mailbox, the dispatcher, the health listener, until told to stop.
//!
//! Guarantee: a task that ends by itself ends the daemon, loudly; systemd starts it again. A
//! mailbox that fails touches no other. Left out on purpose: every rule of the domain.

use std::{convert::Infallible, future::Future, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::TcpListener,
    sync::{Notify, watch},
    task::JoinSet,
};
use tracing::{error, info, warn};

use crate::{
    clock::Clock,
    config::Config,
    delivery::Dispatcher,
    http::{self, Vitals},
    intake::Intake,
    ledger::{Ledger, LedgerError},
    pulse::Pulse,
};

mod watch_mailbox;

pub use watch_mailbox::{Watch, WatchError};

/// How often the ledger is asked whether it can still be written to.
const LEDGER_PROOF: Duration = Duration::from_secs(60);
/// What a task may need beyond the waits that it announces: a ledger that is busy lets a writer
/// wait for up to 90 s.
const GRACE: Duration = Duration::from_secs(120);
/// How long what is in hand (a letter, an answer over HTTP) may take after the word to stop;
/// systemd waits 10 s.
const STOPPING: Duration = Duration::from_secs(8);

/// Why the daemon did not start, or did not go on.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The operator must change something first.
    #[error("{0:#}")]
    Configuration(anyhow::Error),
    /// The ledger cannot be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A part that must never end has ended.
    #[error(
        "{0} ended by itself, which it never should; the process ends so that it can be started again"
    )]
    Ended(&'static str),
    /// The health listener's address cannot be had, which may pass: another process has it.
    #[error("listen on {0} ([http] listen): {1}")]
    Listen(SocketAddr, std::io::Error),
    /// The health listener failed.
    #[error("serve health over HTTP: {0}")]
    Http(std::io::Error),
}

/// Runs until `shutdown` completes. `ready` is called once everything has been started.
///
/// # Errors
/// [`DaemonError`]; after one, nothing of the daemon is left running.
pub async fn run(
    config: &Config,
    clock: Clock,
    ready: impl FnOnce(),
    shutdown: impl Future<Output = ()>,
) -> Result<(), DaemonError> {
    let _lock = Ledger::lock(&config.ledger)?;
    let ledger = Ledger::open(&config.ledger, clock.now()).await?;
    let (stop, stopped) = watch::channel(false);
    let mut tasks = start(config, &clock, &ledger, &stopped).await?;
    ready();
    info!(mailboxes = config.mailboxes.len(), "started");

    let ended = tokio::select! {
        () = shutdown => None,
        ended = tasks.join_next() => ended,
    };
    // Nobody listening any more is as good as stopped.
    stop.send(true).ok();
    let finished = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(STOPPING, finished).await.is_err() {
        warn!(
            "something in hand took too long and was cut off; it is done again at the next start"
        );
        tasks.shutdown().await;
    }
    ledger.close().await;
    match ended {
        None => {
            info!("stopped");
            Ok(())
        }
        Some(Ok(Err(error))) => Err(error),
        Some(Ok(Ok(part))) => Err(DaemonError::Ended(part)),
        Some(Err(_panic)) => Err(DaemonError::Ended("a task")),
    }
}

/// A task's end: the name of the part, or what went wrong with it.
type Ending = Result<&'static str, DaemonError>;

async fn start(
    config: &Config,
    clock: &Clock,
    ledger: &Ledger,
    stopped: &watch::Receiver<bool>,
) -> Result<JoinSet<Ending>, DaemonError> {
    let mut tasks = JoinSet::new();
    let wake = Arc::new(Notify::new());
    let names = config
        .mailboxes
        .iter()
        .map(|mailbox| (mailbox.name.clone(), None))
        .collect();
    let (vitals, seen) = watch::channel(Vitals {
        ledger: None,
        mailboxes: names,
    });

    let transport = config.transport().map_err(DaemonError::Configuration)?;
    let intake = Intake {
        ledger: ledger.clone(),
        rules: config.rules.clone(),
        require: config.require,
        style: Some(config.style.clone()),
    };
    for mailbox in &config.mailboxes {
        ledger
            .hold_to_place(&mailbox.name, &mailbox.place())
            .await?;
        let watch = Watch {
            source: mailbox.source().map_err(DaemonError::Configuration)?,
            company: mailbox.company,
            since: mailbox.since,
            intake: intake.clone(),
            clock: clock.clone(),
            wake: Arc::clone(&wake),
            vitals: vitals.clone(),
            stopped: stopped.clone(),
        };
        tasks.spawn(async move {
            watch.run().await;
            Ok("a mailbox's task")
        });
    }
    if let Some(transport) = transport {
        let dispatcher = Dispatcher {
            ledger: ledger.clone(),
            transport,
            style: config.style.clone(),
            patience: config.patience,
        };
        let (clock, stopped) = (clock.clone(), stopped.clone());
        tasks.spawn(async move {
            let (_orders, current) = watch::channel(Arc::new(dispatcher));
            Dispatcher::run(current, &clock, &wake, &Pulse::new(GRACE), stopped).await;
            Ok("the dispatcher")
        });
    }
    if let Some(settings) = config.http {
        let listener = TcpListener::bind(settings.listen)
            .await
            .map_err(|error| DaemonError::Listen(settings.listen, error))?;
        let (clock, stopped) = (clock.clone(), stopped.clone());
        tasks.spawn(async move {
            let served = http::serve(listener, seen, clock, until(stopped)).await;
            served
                .map(|()| "the health listener")
                .map_err(DaemonError::Http)
        });
    }
    let (ledger, clock, stopped) = (ledger.clone(), clock.clone(), stopped.clone());
    tasks.spawn(async move {
        tokio::select! {
            never = prove_ledger(&ledger, &clock, &vitals) => match never {},
            () = until(stopped) => Ok("the proof of the ledger"),
        }
    });
    Ok(tasks)
}

/// Writes to the ledger now and then: a full disk must show before a notice meets it.
async fn prove_ledger(
    ledger: &Ledger,
    clock: &Clock,
    vitals: &watch::Sender<Vitals>,
) -> Infallible {
    loop {
        let now = clock.now();
        match ledger.prove_writable().await {
            Ok(()) => vitals.send_modify(|vitals| vitals.ledger = Some(now)),
            Err(error) => error!("the ledger cannot be written to: {error}"),
        }
        tokio::time::sleep(LEDGER_PROOF).await;
    }
}

/// Completes when the daemon is told to stop.
async fn until(mut stopped: watch::Receiver<bool>) {
    // A sender that is gone means stop as well.
    stopped.wait_for(|stop| *stop).await.ok();
}
