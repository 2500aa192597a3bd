//! Sending what a command has posted, where no daemon does it.

use super::{Misconfigured, sentence};
use crate::{
    clock::Clock,
    config::Config,
    delivery::{Dispatcher, Transport},
    ledger::{DaemonLock, Ledger, LedgerError},
};

/// Sends what is due, unless a daemon runs on this ledger: then that is its business.
pub(super) async fn send_unless_daemon(config: &Config, ledger: &Ledger) -> anyhow::Result<()> {
    match daemon_lock(config)? {
        Some(lock) => send(config, ledger, &lock).await,
        None => Ok(()),
    }
}

/// The daemon's lock, for as long as a command does its work; `None` while a daemon, or another
/// command that sends, has it.
pub(super) fn daemon_lock(config: &Config) -> Result<Option<DaemonLock>, LedgerError> {
    match Ledger::lock(&config.ledger) {
        Ok(lock) => Ok(Some(lock)),
        Err(LedgerError::Locked { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Sends what is due, by one way out after the other; nothing where the configuration says none.
pub(super) async fn send(
    config: &Config,
    ledger: &Ledger,
    _alone: &DaemonLock,
) -> anyhow::Result<()> {
    let flush = async |transport| {
        let dispatcher = Dispatcher {
            ledger: ledger.clone(),
            transport,
            style: config.style.clone(),
            patience: config.patience,
        };
        dispatcher.flush(Clock::System.now()).await
    };
    // Mail first: a system's secret that cannot be read keeps no mail from people.
    if let Some(transport) = config.transport().map_err(misconfigured)? {
        flush(transport).await?;
    }
    for system in config.systems().map_err(misconfigured)? {
        flush(Transport::System(system)).await?;
    }
    Ok(())
}

/// A secret or a file that the configuration names cannot be used: 78, as the daemon ends.
fn misconfigured(error: anyhow::Error) -> Misconfigured {
    Misconfigured(sentence(&error))
}
