//! The one place that asks the machine what time it is.
//!
//! Everything below `daemon` and `cli` gets its moments as arguments, so that a test can live
//! through New Year in a millisecond. Left out on purpose: sleeping, which stays tokio's.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::{
    Timestamp,
    civil::{Date, DateTime, Time},
    tz::Offset,
};

/// Where moments come from: the machine, or a hand that a test moves.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The machine's wall clock.
    System,
    /// A clock that stands still until [`Clock::set`] moves it.
    Manual(Arc<Mutex<Timestamp>>),
}

impl Clock {
    /// A clock that stands at `at`.
    pub fn manual(at: Timestamp) -> Self {
        Self::Manual(Arc::new(Mutex::new(at)))
    }

    /// The present moment, UTC.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the place the ban points to"
    )]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => Timestamp::now(),
            Self::Manual(at) => *at.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// Moves a manual clock; the machine's clock is nobody's to set.
    pub fn set(&self, to: Timestamp) {
        if let Self::Manual(at) = self {
            *at.lock().unwrap_or_else(PoisonError::into_inner) = to;
        }
    }
}

/// Day and time on a clock in Taipei.
///
/// Asia/Taipei has been UTC+8 without daylight saving since 1979, so no zone database is needed.
pub fn taipei_time(at: Timestamp) -> DateTime {
    Offset::constant(8).to_datetime(at)
}

/// The moment at which the day begins in Taipei; the year 9999 ends a little early.
pub fn taipei_midnight(day: Date) -> Timestamp {
    let midnight = day.to_datetime(Time::midnight());
    Offset::constant(8)
        .to_timestamp(midnight)
        .unwrap_or(Timestamp::MAX)
}

/// The calendar day in Taipei, which is what the Ministry's periods are counted in.
pub fn taipei_date(at: Timestamp) -> Date {
    taipei_time(at).date()
}

/// The minute on a clock in Taipei, as people are shown moments.
pub fn taipei_minute(at: Timestamp) -> String {
    taipei_time(at).strftime("%Y-%m-%d %H:%M").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_in_taipei_starts_eight_hours_before_utc() {
        let late: Timestamp = "2026-12-31T15:59:59Z".parse().unwrap();
        let new_year: Timestamp = "2026-12-31T16:00:00Z".parse().unwrap();
        assert_eq!(taipei_date(late).to_string(), "2026-12-31");
        assert_eq!(taipei_date(new_year).to_string(), "2027-01-01");
    }
}
