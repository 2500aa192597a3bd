//! Everything at once: one task a mailbox, the asker, the dispatcher, the keeper, the health listener, until
//! told to stop; and the same again, without a pause, under a configuration that has changed.
//!
//! Guarantee: a task that ends by itself ends the daemon, loudly; systemd starts it again. A
//! mailbox that fails touches no other. A new configuration is taken over as a whole or not at
//! all, and breaks no connection that may stay. Left out on purpose: every rule of the domain.

use std::{net::SocketAddr, time::Duration};

use tokio::sync::mpsc;
use tracing::{error, info};

use self::crew::{Crew, Plan};
use crate::{
    clock::Clock,
    config::{Config, ConfigError},
    ledger::{Ledger, LedgerError},
};

mod asker;
mod crew;
mod keeper;
mod systemd;
mod watch_mailbox;

pub use self::{
    keeper::{Expectations, Keeper},
    watch_mailbox::{Orders, Pauses, Watch, WatchError},
};

/// How long what is in hand (a letter, an answer over HTTP) may take after the word to stop;
/// systemd waits 10 s.
const STOPPING: Duration = Duration::from_secs(7);

/// How long the ledger may take to be closed after that. Where somebody holds it, a connection that
/// waits for him cannot be called back; it ends with the process, as it would in a crash.
const CLOSING: Duration = Duration::from_secs(1);

/// How long a reload may take to make its plan: nobody is heard meanwhile, and the word to stop may
/// come.
const PLANNING: Duration = Duration::from_secs(5);

/// What the daemon is told while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// Read the configuration again.
    Reload,
    /// Finish what is in hand, and end.
    Stop,
}

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
    Ended(String),
    /// The health listener's address cannot be had, which may pass: another process has it.
    #[error("listen on {0} ([http] listen): {1}")]
    Listen(SocketAddr, std::io::Error),
    /// Systemd's watchdog cannot be fed.
    #[error("start a thread for systemd's watchdog: {0}")]
    Watchdog(std::io::Error),
    /// The health listener failed.
    #[error("serve health over HTTP: {0}")]
    Http(std::io::Error),
}

impl From<ConfigError> for DaemonError {
    /// In short, for the journal.
    fn from(error: ConfigError) -> Self {
        Self::Configuration(anyhow::anyhow!(error.in_short()))
    }
}

/// Runs until it is told to stop; a sender that is gone means the same.
///
/// # Errors
/// [`DaemonError`]; after one, nothing of the daemon is left running.
pub async fn run(
    mut config: Config,
    clock: Clock,
    mut words: mpsc::Receiver<Word>,
) -> Result<(), DaemonError> {
    let mut reload_first = false;
    // To open a ledger may take long, where somebody holds it or it is brought up to date.
    let (ledger, mut crew, plan) = tokio::select! {
        begun = begin(&config, clock) => begun?,
        () = told_to_stop(&mut words, &mut reload_first) => {
            systemd::stopping();
            info!("stopped before it had started");
            return Ok(());
        }
    };
    crew.follow(plan);
    crew.feed_watchdog().map_err(DaemonError::Watchdog)?;
    systemd::ready();
    info!(mailboxes = config.mailboxes.len(), "started");

    let outcome = watch_over(&mut crew, &mut config, &mut words, reload_first).await;
    systemd::stopping();
    crew.stop(STOPPING).await;
    tokio::time::timeout(CLOSING, ledger.close()).await.ok();
    if outcome.is_ok() {
        info!("stopped");
    }
    outcome
}

/// Does all that must be done before anything runs.
async fn begin(config: &Config, clock: Clock) -> Result<(Ledger, Crew, Plan), DaemonError> {
    let lock = Ledger::lock(&config.ledger)?;
    let ledger = Ledger::open(&config.ledger, clock.now()).await?;
    let crew = Crew::new(ledger.clone(), lock, clock);
    let plan = Plan::new(config, &crew).await?;
    Ok((ledger, crew, plan))
}

/// Returns when told to stop; any other word is kept in `reload`.
async fn told_to_stop(words: &mut mpsc::Receiver<Word>, reload: &mut bool) {
    while let Some(Word::Reload) = words.recv().await {
        *reload = true;
    }
}

/// Returns when told to stop, and with an error when a part has ended by itself.
async fn watch_over(
    crew: &mut Crew,
    config: &mut Config,
    words: &mut mpsc::Receiver<Word>,
    reload_first: bool,
) -> Result<(), DaemonError> {
    if reload_first && is_stopped_while_reloading(crew, config, words).await {
        return Ok(());
    }
    loop {
        tokio::select! {
            word = words.recv() => match word {
                Some(Word::Reload) => {
                    if is_stopped_while_reloading(crew, config, words).await {
                        return Ok(());
                    }
                }
                Some(Word::Stop) | None => return Ok(()),
            },
            ended = crew.ended() => return Err(ended),
        }
    }
}

/// Reloads, once more where that is asked for meanwhile; the word to stop need not wait for it.
async fn is_stopped_while_reloading(
    crew: &mut Crew,
    config: &mut Config,
    words: &mut mpsc::Receiver<Word>,
) -> bool {
    loop {
        let mut again = false;
        tokio::select! {
            () = told_to_stop(words, &mut again) => return true,
            () = reload(crew, config) => {}
        }
        if !again {
            return false;
        }
    }
}

/// Takes a changed configuration over, or leaves everything as it is and says why.
async fn reload(crew: &mut Crew, config: &mut Config) {
    systemd::reloading();
    let planned = tokio::time::timeout(PLANNING, plan_anew(crew, config)).await;
    let planned = planned.unwrap_or_else(|_| {
        Err(DaemonError::Configuration(anyhow::anyhow!(
            "expected the ledger and all files within {} s, found something that holds them; try again",
            PLANNING.as_secs()
        )))
    });
    match planned {
        Ok((new, plan)) => {
            crew.follow(plan);
            *config = new;
            info!(mailboxes = config.mailboxes.len(), "configuration reloaded");
        }
        Err(error) => error!("configuration not reloaded, all goes on as before: {error}"),
    }
    systemd::ready();
}

async fn plan_anew(crew: &Crew, old: &Config) -> Result<(Config, Plan), DaemonError> {
    let file = old.file.clone();
    // Hundreds of thousands of companies take a second; those who serve mail need not wait for it.
    let new = tokio::task::spawn_blocking(move || Config::load(&file))
        .await
        .map_err(|gone| DaemonError::Configuration(gone.into()))??;
    if new.ledger != old.ledger {
        return Err(DaemonError::Configuration(anyhow::anyhow!(
            "expected the ledger {} still, found {}; restart the service to use another ledger",
            old.ledger.display(),
            new.ledger.display()
        )));
    }
    let plan = Plan::new(&new, crew).await?;
    Ok((new, plan))
}
