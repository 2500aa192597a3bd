//! What is held against one message that the server does not hand over: pure arithmetic of moments.
//!
//! Left out on purpose: asking for it, and writing anything down.
//!
//! Guarantee: a server that hands over nothing makes no message unfetchable, because only a failure
//! before which another message came over the same connection is counted.

use jiff::{SignedDuration, Timestamp};

/// So many counted failures, over at least [`SPAN`], make a message unfetchable.
const FAILURES: u32 = 5;

/// A night's maintenance has its end, a restart of a mail server surely.
const SPAN: SignedDuration = SignedDuration::from_hours(1);

/// No try follows the last one sooner, and none later while there is hope.
const PAUSES: (SignedDuration, SignedDuration) =
    (SignedDuration::from_mins(1), SignedDuration::from_hours(1));

/// Between two tries of what is quarantined.
const QUARANTINED: SignedDuration = SignedDuration::from_hours(24);

/// How much of an error's words is kept: a server may write a novel.
const WORDS: usize = 300;

/// One message that has failed alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspicion {
    /// Its UID.
    pub uid: u32,
    /// Failures of this message alone, each after another one came over the same connection.
    pub failures: u32,
    /// When it first failed alone, counted or not.
    pub first_failed_at: Timestamp,
    /// When it last did.
    pub last_failed_at: Timestamp,
    /// The last error's words.
    pub words: String,
    /// Whether it is quarantined already.
    pub quarantined: bool,
}

impl Suspicion {
    /// The first failure of a message alone at `now`.
    pub fn new(uid: u32, counts: bool, words: &str, now: Timestamp) -> Self {
        Self {
            uid,
            failures: u32::from(counts),
            first_failed_at: now,
            last_failed_at: now,
            words: words.chars().take(WORDS).collect(),
            quarantined: false,
        }
    }

    /// With one more failure at `now`.
    pub fn again(self, counts: bool, words: &str, now: Timestamp) -> Self {
        Self {
            failures: self.failures.saturating_add(u32::from(counts)),
            // A clock that was set back must not make the time between them negative.
            first_failed_at: self.first_failed_at.min(now),
            quarantined: self.quarantined,
            ..Self::new(self.uid, counts, words, now)
        }
    }

    /// When to ask for it again: after as long as it has been failing, so that the pauses double.
    pub fn next_try_at(&self) -> Timestamp {
        let pause = match self.quarantined {
            true => QUARANTINED,
            false => self.lasted().clamp(PAUSES.0, PAUSES.1),
        };
        self.last_failed_at
            .checked_add(pause)
            .unwrap_or(Timestamp::MAX)
    }

    /// Whether a person must hear of it.
    pub fn is_unfetchable(&self) -> bool {
        self.failures >= FAILURES && self.lasted() >= SPAN
    }

    fn lasted(&self) -> SignedDuration {
        self.last_failed_at.duration_since(self.first_failed_at)
    }
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;

    use super::*;

    fn noon() -> Timestamp {
        "2026-01-20T04:00:00Z".parse().unwrap()
    }

    /// Fails whenever it is asked for; the minutes at which it is, up to the first that is enough.
    fn tried_until_unfetchable(counts: impl Fn(u32) -> bool) -> (Vec<i64>, Suspicion) {
        let mut suspicion = Suspicion::new(7, counts(0), "NO", noon());
        let mut minutes = vec![0];
        for n in 1..30 {
            if suspicion.is_unfetchable() {
                break;
            }
            let now = suspicion.next_try_at();
            suspicion = suspicion.again(counts(n), "NO", now);
            minutes.push(now.duration_since(noon()).as_mins());
        }
        (minutes, suspicion)
    }

    #[test]
    fn pauses_double_up_to_an_hour_and_five_failures_need_an_hour() {
        let (minutes, suspicion) = tried_until_unfetchable(|_| true);
        assert_eq!(minutes, [0, 1, 2, 4, 8, 16, 32, 64]);
        let quarantined = Suspicion {
            quarantined: true,
            ..suspicion
        };
        let pause = quarantined.next_try_at() - quarantined.last_failed_at;
        assert_eq!(pause.total(jiff::Unit::Hour).unwrap(), 24.0);
    }

    #[test]
    fn an_hour_of_few_failures_is_not_enough() {
        let (minutes, _) = tried_until_unfetchable(|n| n >= 6);
        assert_eq!(minutes, [0, 1, 2, 4, 8, 16, 32, 64, 124, 184, 244]);
    }

    #[test]
    fn failures_that_nothing_came_before_are_never_enough() {
        let (minutes, suspicion) = tried_until_unfetchable(|_| false);
        assert_eq!(minutes.len(), 30);
        assert_eq!(suspicion.failures, 0);
    }

    #[test]
    fn a_clock_set_back_neither_hastens_nor_stops_it() {
        let back = noon() - 48.hours();
        let suspicion = Suspicion::new(7, true, "NO", noon()).again(true, "NO", back);
        assert_eq!(suspicion.first_failed_at, back);
        assert_eq!(suspicion.next_try_at(), back + 1.minute());
    }

    #[test]
    fn a_novel_is_cut() {
        let suspicion = Suspicion::new(7, true, &"號".repeat(5000), noon());
        assert_eq!(suspicion.words.chars().count(), WORDS);
    }
}
