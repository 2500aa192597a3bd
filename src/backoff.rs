//! How long to wait before trying again: doubling, bounded, and never in step with others.
//!
//! Pure: the caller brings the randomness (`0.0..1.0`) and does the waiting.

use std::time::Duration;

/// A doubling series of waits from `first` up to `most`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The wait after the first failure.
    pub first: Duration,
    /// No wait is longer than this.
    pub most: Duration,
}

impl Backoff {
    /// The wait after failure number `failures` (1 is the first): doubled each time, then taken
    /// between half and the whole by `random`, so that a thousand clients do not return at once.
    pub fn after(self, failures: u32, random: f64) -> Duration {
        let doublings = failures.saturating_sub(1).min(32);
        let full = self
            .first
            .saturating_mul(2_u32.saturating_pow(doublings))
            .min(self.most);
        full.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
    }
}

/// A number in `0.0..1.0`, different for each call: enough for jitter, not for secrets.
pub fn random() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    // Each RandomState is keyed differently; 53 bits fill a double's mantissa.
    (RandomState::new().hash_one(0_u8) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERIES: Backoff = Backoff {
        first: Duration::from_secs(5),
        most: Duration::from_secs(600),
    };

    #[test]
    fn doubles_up_to_the_bound() {
        let waits: Vec<u64> = (1..=9).map(|n| SERIES.after(n, 1.0).as_secs()).collect();
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 600, 600]);
        assert_eq!(SERIES.after(u32::MAX, 1.0).as_secs(), 600);
    }

    #[test]
    fn jitter_takes_away_at_most_half() {
        assert_eq!(SERIES.after(2, 0.0), Duration::from_secs(5));
        let r = random();
        assert!((0.0..1.0).contains(&r));
        assert_ne!(random(), random());
    }
}
