//! The outside, real or scripted. Nothing in here imitates the inside.

use std::{
    net::{SocketAddr, TcpListener},
    sync::atomic::{AtomicU16, Ordering},
};

pub mod chaos_proxy;
pub mod daemon;
pub mod dns;
pub mod dovecot;
pub mod exim;
pub mod fault;
pub mod health;
pub mod hostile;
pub mod intake;
pub mod outbox;
pub mod scripted_http;
pub mod scripted_imap;
pub mod scripted_smtp;
pub mod signer;
pub mod smtp_sink;
pub mod token_endpoint;
pub mod watch;

/// Whether there is time for the long versions of what is done a few hundred times otherwise
/// (`tests/run --long`).
pub fn is_long() -> bool {
    std::env::var_os("TESTS_LONG").is_some()
}

/// An address on loopback that was free a moment ago, and whose port the system gives to nobody by
/// itself, as it gives the higher ones to the connections of other tests.
pub fn free_address() -> SocketAddr {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    let first = (std::process::id() % 200) as u16 * 60;
    loop {
        let next = TAKEN.fetch_add(1, Ordering::Relaxed) % 12_000;
        let address = SocketAddr::from(([127, 0, 0, 1], 20_000 + (first + next) % 12_000));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}
