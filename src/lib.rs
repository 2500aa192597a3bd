//! scaffold

pub mod authenticity;
pub mod backoff;
pub mod clock;
pub mod config;
pub mod delivery;
pub mod http;
pub mod ledger;
pub mod mailbox;
pub mod notice;
pub mod schedule;
pub mod tls;
