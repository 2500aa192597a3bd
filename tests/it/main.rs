//! The one integration binary: whole rooms and the whole program, on real parts where there are
//! real parts and on scripted ones for what real ones will not do.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub,
    reason = "a test that meets the unexpected should stop there, loudly"
)]

mod support;

mod alert_windows;
mod commands;
mod config;
mod corpus;
mod digest;
mod dovecot;
mod end_to_end;
mod house;
mod imap_traps;
mod intake;
mod ledger;
mod maildir;
mod outbox;
mod pace;
mod poison;
mod properties;
mod smtp;
mod smtp_answers;
mod summary;
mod watching;
