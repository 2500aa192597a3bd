//! The strict layer over async-imap.
