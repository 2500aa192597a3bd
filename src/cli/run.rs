//! `run`: the daemon under systemd, or in the foreground.

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

use super::Exit;
use crate::{
    clock::Clock,
    config::Config,
    daemon::{self, Word},
};

pub(super) async fn run(config: Config) -> anyhow::Result<Exit> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let (say, words) = mpsc::channel(1);
    let listening = async {
        loop {
            let word = tokio::select! {
                _ = terminate.recv() => Word::Stop,
                _ = interrupt.recv() => Word::Stop,
                _ = hang_up.recv() => Word::Reload,
            };
            if say.send(word).await.is_err() {
                // The daemon has ended, and its outcome is what counts.
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        outcome = daemon::run(config, Clock::System, words) => outcome?,
        () = listening => {}
    }
    Ok(Exit::Done)
}
