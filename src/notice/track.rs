//! 字軌: the two letters in front of an invoice number.
//!
//! Guarantee: two capital ASCII letters. Which letters belong to which period is the Ministry's
//! to say and is not known in advance, so it is not checked here.

use std::{fmt, str::FromStr};

/// An invoice track such as `EC`. MIG: `InvoiceTrack`, `[A-Z]{2}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Track([u8; 2]);

/// A text that is not two capital letters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected two capital letters such as `EC`, found `{0}`")]
pub struct TrackError(String);

impl Track {
    /// The two letters.
    pub fn as_str(&self) -> &str {
        // Only ASCII letters are ever stored, so the fallback is never taken.
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for Track {
    type Err = TrackError;

    fn from_str(text: &str) -> Result<Self, TrackError> {
        text.as_bytes()
            .try_into()
            .ok()
            .filter(|bytes: &[u8; 2]| bytes.iter().all(u8::is_ascii_uppercase))
            .map(Self)
            .ok_or_else(|| TrackError(text.to_owned()))
    }
}

impl fmt::Display for Track {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_capital_letters_and_nothing_else() {
        assert_eq!("EC".parse::<Track>().unwrap().to_string(), "EC");
        for odd in ["", "E", "ec", "ECX", "E1", "ＥＣ", "É"] {
            assert!(odd.parse::<Track>().is_err(), "{odd}");
        }
    }
}
