//! The outside, real or scripted. Nothing in here imitates the inside.

pub mod chaos_proxy;
pub mod daemon;
pub mod dovecot;
pub mod exim;
pub mod fault;
pub mod health;
pub mod hostile;
pub mod intake;
pub mod outbox;
pub mod scripted_imap;
pub mod scripted_smtp;
pub mod smtp_sink;
pub mod watch;

/// Whether there is time for the long versions of what is done a few hundred times otherwise
/// (`tests/run --long`).
pub fn is_long() -> bool {
    std::env::var_os("TESTS_LONG").is_some()
}
