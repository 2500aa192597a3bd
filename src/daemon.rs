//! Everything at once: one task a mailbox, the dispatcher, the health listener, until told to stop.
//!
//! Guarantee: a task that ends by itself ends the daemon, loudly; systemd starts it again. A
//! mailbox that fails touches no other. Left out on purpose: every rule of the domain.

use std::{future::Future, sync::Arc, time::Duration};

use anyhow::Context as _;
use tokio::{
    net::TcpListener,
    sync::{Notify, watch},
    task::JoinSet,
};
use tracing::{info, warn};

use crate::{
    clock::Clock,
    config::Config,
    delivery::Dispatcher,
    http::{self, Readiness},
    intake::Intake,
    ledger::{Ledger, LedgerError},
};

mod watch_mailbox;

pub use watch_mailbox::{Watch, WatchError};

/// A mailbox is ready when it has answered within this.
const SILENCE: Duration = Duration::from_secs(15 * 60);
/// How often readiness is looked at.
const READINESS: Duration = Duration::from_secs(5);

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
    #[error("{0} ended by itself, which it never should; the process ends so that it can be started again")]
    Ended(&'static str),
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
    let reopened = ledger.reopen_attempts(clock.now()).await?;
    if reopened > 0 {
        warn!(outbox.reopened = reopened, "mails whose last attempt was cut off are tried again");
    }
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
    while tasks.join_next().await.is_some() {}
    ledger.close().await;
    match ended {
        None => Ok(()),
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

    let transport = config.transport().map_err(DaemonError::Configuration)?;
    let intake = Intake {
        ledger: ledger.clone(),
        rules: config.rules.clone(),
        require: config.require,
        style: Some(config.style.clone()),
    };
    for mailbox in &config.mailboxes {
        let watch = Watch {
            source: mailbox.source().map_err(DaemonError::Configuration)?,
            company: mailbox.company,
            since: mailbox.since,
            intake: intake.clone(),
            clock: clock.clone(),
            wake: Arc::clone(&wake),
        };
        let stopped = stopped.clone();
        tasks.spawn(async move {
            watch.run(stopped).await;
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
            dispatcher.run(&clock, &wake, until(stopped)).await;
            Ok("the dispatcher")
        });
    }
    if let Some(settings) = config.http {
        let listener = TcpListener::bind(settings.listen)
            .await
            .with_context(|| format!("listen on {} ([http] listen)", settings.listen))
            .map_err(DaemonError::Configuration)?;
        let (told, readiness) = watch::channel(Readiness::Starting);
        let names = config.mailboxes.iter().map(|mailbox| mailbox.name.clone()).collect();
        tasks.spawn(look_after_readiness(ledger.clone(), names, clock.clone(), told));
        let stopped = stopped.clone();
        tasks.spawn(async move {
            http::serve(listener, readiness, until(stopped)).await.map_err(DaemonError::Http)?;
            Ok("the health listener")
        });
    }
    Ok(tasks)
}

/// Completes when the daemon is told to stop.
async fn until(mut stopped: watch::Receiver<bool>) {
    // A sender that is gone means stop as well.
    stopped.wait_for(|stop| *stop).await.ok();
}
