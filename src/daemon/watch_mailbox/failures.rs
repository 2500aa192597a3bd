//! How long to wait before connecting again, from the failures that went before.
//!
//! Left out on purpose: the waiting. Guarantees: refused logins never lock an account; a server that
//! lets us in and hangs up is not logged in to every two seconds for ever.

use std::time::Duration;

use super::WatchError;
use crate::backoff::{self, Backoff};

/// How long to wait after trouble before connecting again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pauses {
    /// After a broken connection. The first step is short, because most breaks are.
    pub reconnect: Backoff,
    /// After a refused login: slow enough that no server locks the account.
    pub login_refused: Backoff,
}

impl Default for Pauses {
    fn default() -> Self {
        Self {
            reconnect: Backoff {
                first: Duration::from_secs(2),
                most: Duration::from_secs(80),
            },
            login_refused: Backoff {
                first: Duration::from_secs(60),
                most: Duration::from_secs(3600),
            },
        }
    }
}

/// Failures in a row, refused logins by themselves: an outage must not make the first of them wait
/// for an hour, and none of them may end the row of the others.
#[derive(Debug)]
pub(super) struct Failures {
    pauses: Pauses,
    logins: u32,
    others: u32,
}

impl Failures {
    pub(super) fn new(pauses: Pauses) -> Self {
        Self {
            pauses,
            logins: 0,
            others: 0,
        }
    }

    /// How long to wait after one more failure, of a session that `lived` so long. A row ends with
    /// a session that outlived the longest pause: a server that lets us in, answers everything and
    /// then hangs up must not be logged in to every two seconds for ever.
    pub(super) fn pause_after(&mut self, error: &WatchError, lived: Duration) -> Duration {
        if lived >= self.pauses.reconnect.most {
            *self = Self::new(self.pauses);
        }
        if let WatchError::Mailbox(error) = error
            && error.is_refused_login()
        {
            self.logins = self.logins.saturating_add(1);
            // Jitter only ever shortens a pause, and this one is what keeps the account from being
            // locked.
            self.pauses.login_refused.after(self.logins, 1.0)
        } else {
            self.others = self.others.saturating_add(1);
            self.pauses.reconnect.after(self.others, backoff::random())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ledger::LedgerError,
        mailbox::MailboxError,
        oauth::{Cause, Grant, Settings, TokenError, Tokens},
    };

    const SECOND: Duration = Duration::from_secs(1);

    fn refused() -> WatchError {
        WatchError::Mailbox(MailboxError::Login {
            username: "u".to_owned(),
            answer: "NO".to_owned(),
        })
    }

    fn closed() -> WatchError {
        WatchError::Mailbox(MailboxError::Closed {
            operation: "wait".to_owned(),
        })
    }

    /// The pause is `full` seconds, or up to half of them less.
    fn assert_about(pause: Duration, full: u64) {
        let full = Duration::from_secs(full);
        assert!(full / 2 <= pause && pause <= full, "{pause:?} {full:?}");
    }

    #[test]
    fn a_refused_login_waits_long_and_everything_else_comes_back_soon() {
        let mut failures = Failures::new(Pauses::default());
        for minutes in [1, 2, 4, 8, 16, 32, 60, 60] {
            let pause = failures.pause_after(&refused(), SECOND);
            assert_eq!(pause, Duration::from_secs(60 * minutes), "never any sooner");
        }
        let locked = WatchError::Ledger(LedgerError::BadRow(String::new()));
        for error in [closed(), locked] {
            let mut failures = Failures::new(Pauses::default());
            for full in [2, 4, 8, 16, 32, 64, 80, 80] {
                assert_about(failures.pause_after(&error, SECOND), full);
            }
        }
    }

    #[tokio::test]
    async fn an_outage_of_the_token_endpoint_is_no_refusal() {
        let nobody = Settings {
            token_endpoint: "http://127.0.0.1:1/token".parse().unwrap(),
            client_id: "c".to_owned(),
            client_secret: None,
            grant: Grant::ClientCredentials,
            scope: "s".to_owned(),
            ca_file: None,
            state_directory: "/nonexistent".into(),
        };
        let error = Tokens::of(nobody).token().await.unwrap_err();
        let refused = TokenError {
            cause: Cause::SignIn,
            ..error.clone()
        };
        let mut failures = Failures::new(Pauses::default());
        let mut pause = |error| {
            let error = WatchError::Mailbox(MailboxError::Token(error));
            failures.pause_after(&error, SECOND)
        };
        assert_about(pause(error), 2);
        assert_eq!(pause(refused), 60 * SECOND);
    }

    #[test]
    fn an_outage_and_refused_logins_do_not_count_for_each_other() {
        let mut failures = Failures::new(Pauses::default());
        for _ in 0..20 {
            failures.pause_after(&closed(), SECOND);
        }
        assert_eq!(failures.pause_after(&refused(), SECOND), 60 * SECOND);
        assert_about(failures.pause_after(&closed(), SECOND), 80);
        assert_eq!(failures.pause_after(&refused(), SECOND), 120 * SECOND);
    }

    #[test]
    fn only_a_session_that_lasted_ends_a_row_of_failures() {
        let mut failures = Failures::new(Pauses::default());
        for _ in 0..7 {
            failures.pause_after(&closed(), SECOND);
        }
        let short = failures.pause_after(&closed(), Pauses::default().reconnect.most - SECOND);
        assert_about(short, 80);
        assert_about(
            failures.pause_after(&closed(), Pauses::default().reconnect.most),
            2,
        );
    }
}
