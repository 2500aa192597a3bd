//! `run`: the daemon under systemd, or in the foreground.

use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tracing::warn;

use super::{Exit, Misconfigured};
use crate::{clock::Clock, config::Config, daemon};

pub(super) async fn run(config: &Config) -> anyhow::Result<Exit> {
    if config.mailboxes.is_empty() {
        return Err(Misconfigured(format!(
            "{}: expected at least one [[mailbox]] to watch, found none",
            config.file.display()
        ))
        .into());
    }
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let shutdown = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tell_systemd(&[NotifyState::Stopping]);
    };
    let ready = || tell_systemd(&[NotifyState::Ready]);
    daemon::run(config, Clock::System, ready, shutdown).await?;
    Ok(Exit::Done)
}

/// Without `$NOTIFY_SOCKET` there is nobody to tell.
fn tell_systemd(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!("tell systemd: {error}");
    }
}
