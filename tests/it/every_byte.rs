//! A connection that breaks, or falls silent, behind every single byte of a whole session: nothing
//! is lost, nothing is doubled, and whoever was cut off comes back.
//!
//! Where the other side is scripted, each byte is tried; where it is real and TLS hides what the
//! bytes are, a few hundred of them (with `TESTS_LONG`, each).

use std::path::PathBuf;

use invoice_trackd::ledger::Ledger;
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::support::{chaos_proxy::Fault, is_long};

mod dovecot;
mod imap;
mod server;
mod smtp;
mod watched;

/// An empty ledger, and the directory that it lives in.
async fn ledger(now: Timestamp) -> (Ledger, TempDir) {
    let home = scratch();
    let ledger = Ledger::open(&home.path().join("ledger.db"), now).await;
    (ledger.unwrap(), home)
}

/// In memory where that is possible: thousands of ledgers are synced here.
fn scratch() -> TempDir {
    let memory = PathBuf::from("/dev/shm");
    match memory.is_dir() {
        true => TempDir::with_prefix_in("every-byte-", memory).unwrap(),
        false => TempDir::with_prefix("every-byte-").unwrap(),
    }
}

/// Runs all of `attempts`, `at_once` of them at any time; the first that fails ends the test.
async fn all<F>(attempts: impl IntoIterator<Item = F>, at_once: usize)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut running = JoinSet::new();
    for attempt in attempts {
        while running.len() >= at_once {
            running.join_next().await.unwrap().unwrap();
        }
        running.spawn(attempt);
    }
    while let Some(ended) = running.join_next().await {
        ended.unwrap();
    }
}

/// Every number of bytes up to `length` after which to strike, or one in `stride` of them.
fn moments(length: u64, stride: usize) -> impl Iterator<Item = u64> {
    (0..=length).step_by(if is_long() { 1 } else { stride })
}

/// What happens after so many bytes.
type Strike = fn(u64) -> Fault;
