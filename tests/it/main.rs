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
mod auth_results;
mod check_online;
mod commands;
mod companies;
mod completeness;
mod config;
mod corpus;
mod crash;
mod decide;
mod desk;
mod digest;
mod disk;
mod dkim;
mod docs;
mod dovecot;
mod due;
mod end_to_end;
mod every_byte;
mod filing;
mod first_run;
mod genuine;
mod handoff;
mod hostile;
mod house;
mod imap_traps;
mod intake;
mod keeper;
mod ledger;
mod maildir;
mod mbox;
mod oauth;
mod outage;
mod outbox;
mod pace;
mod poison;
mod properties;
mod readers;
mod reconcile;
mod reload;
mod replay;
mod restore;
mod running;
mod secrets;
mod shown;
mod smtp;
mod smtp_answers;
mod soak;
mod summary;
mod surface;
mod terminal;
mod waiting;
mod watching;
mod whims;
