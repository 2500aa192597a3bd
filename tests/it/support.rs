//! The outside, real or scripted. Nothing in here imitates the inside.

pub mod daemon;
pub mod dovecot;
pub mod exim;
pub mod intake;
pub mod outbox;
pub mod scripted_imap;
pub mod scripted_smtp;
