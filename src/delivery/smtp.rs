//! Letters to an SMTP server.
