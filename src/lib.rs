//! invoice-trackd watches mailboxes for the Ministry of Finance's e-invoice number-allocation
//! notices (電子發票配號結果通知), judges each, records the allocated ranges exactly once, and
//! tells people.
//!
//! # The map
//!
//! Data goes one way: collect → judge → record → tell.
//!
//! ```text
//! mailbox ──RawMessage──▶ intake ──▶ authenticity          (no transaction is open)
//!                           │  └───▶ notice::read (pure) ──▶ Reading
//!                           ▼
//!         ledger, ONE transaction: neighbours → notice::settle (pure)
//!                           │       → message + evidence + allocations + outbox
//!                           ▼
//!         delivery: the attempt is written down → send → written down how it ended
//! ```
//!
//! To follow one notice from bytes to mail, read [`intake`], then [`notice`] (its `reading` and
//! `settle`), [`ledger`] and [`delivery`].
//!
//! | room | what it is for |
//! |---|---|
//! | [`mailbox`] | fetches messages from IMAP servers and Maildirs, believing no server |
//! | [`authenticity`] | whether a message is the Ministry's own |
//! | [`notice`] | the pure core: what a message says and what follows from it |
//! | [`intake`] | the one use case: a message comes in, exactly one thing becomes of it |
//! | [`ledger`] | the SQLite file; all SQL |
//! | [`delivery`] | composes mails and sends them from the outbox |
//! | [`oauth`] | access tokens, where servers take no passwords |
//! | [`schedule`] | what is due when, and what must be said of it |
//! | [`http`] | health |
//! | [`stranger`] | what strangers wrote, made fit to be shown |
//! | [`config`] | the file, checked, with line and column |
//! | [`daemon`] | everything at once, supervised |
//! | [`cli`] | the commands; the only room that prints |
//!
//! # What always holds
//!
//! - The core never sees a clock, a socket or a file: time is an argument.
//! - Bad mail is data, a disposition with defects, and never an `Err`.
//! - The message row is the cursor. A crash anywhere means that a message is fetched again, and
//!   fetched again is harmless.
//! - Every UID of a watched folder is accounted for, by comparing whole sets.
//! - No transaction is open while a socket is.
//! - Every wait is bounded; a timeout inside an IMAP command ends the session.
//! - A part of the daemon that ends by itself ends the process.

pub mod authenticity;
pub mod backoff;
pub mod cli;
pub mod clock;
pub mod columns;
pub mod config;
pub mod daemon;
pub mod delivery;
pub mod http;
pub mod intake;
pub mod ledger;
pub mod mailbox;
pub mod notice;
pub mod oauth;
pub mod pulse;
pub mod schedule;
pub mod stranger;
pub mod tls;
