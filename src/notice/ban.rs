//! 營業人統編: the eight digits that name a company to the tax office.
//!
//! Guarantee: a [`Ban`] that exists has passed the checksum.

use std::{fmt, str::FromStr};

/// A business administration number with a valid checksum, e.g. `53567686`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ban([u8; 8]);

/// So much of what is no number is repeated, characters.
const SHOWN: usize = 40;

/// Why a text is not a [`Ban`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BanError {
    /// Not eight ASCII digits.
    #[error("expected the 8 digits of a company's number (統一編號), found `{0}`")]
    NotEightDigits(String),
    /// Eight digits, but not a number that the tax office could have given out.
    #[error("`{0}` is not a valid company number (統一編號): its check digit does not fit")]
    Checksum(String),
}

impl Ban {
    /// The eight digits.
    pub fn as_str(&self) -> &str {
        // Only ASCII digits are ever stored, so the fallback is never taken.
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for Ban {
    type Err = BanError;

    fn from_str(text: &str) -> Result<Self, BanError> {
        let digits: [u8; 8] = text
            .as_bytes()
            .try_into()
            .ok()
            .filter(|bytes: &[u8; 8]| bytes.iter().all(u8::is_ascii_digit))
            .ok_or_else(|| BanError::NotEightDigits(text.chars().take(SHOWN).collect()))?;
        // The Fiscal Information Agency's rule since 2023-04-01: divisible by 5 (before: 10).
        // A 7th digit of 7 gives 28 → 10, whose digits may count as 1 or as 0.
        const WEIGHTS: [u8; 8] = [1, 2, 1, 2, 1, 2, 4, 1];
        let sum: u8 = digits
            .iter()
            .zip(WEIGHTS)
            .map(|(digit, weight)| (digit - b'0') * weight)
            .map(|product| product / 10 + product % 10)
            .sum();
        let [.., seventh, _] = digits;
        if sum.is_multiple_of(5) || (seventh == b'7' && (sum + 1).is_multiple_of(5)) {
            Ok(Self(digits))
        } else {
            Err(BanError::Checksum(text.to_owned()))
        }
    }
}

impl fmt::Display for Ban {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_the_tax_office_gives_out() {
        // The last two pass only by the special 7th digit, and only by the rule of 2023.
        for good in [
            "53567686", "24634102", "22099131", "04595257", "12345675", "62198132",
        ] {
            assert_eq!(good.parse::<Ban>().unwrap().as_str(), good);
        }
    }

    #[test]
    fn refuses_a_wrong_check_digit_and_anything_but_eight_digits() {
        assert_eq!(
            "12345678".parse::<Ban>(),
            Err(BanError::Checksum("12345678".into()))
        );
        for odd in ["", "5356768", "535676860", "5356768a", "５３５６７６８６"] {
            assert_eq!(
                odd.parse::<Ban>(),
                Err(BanError::NotEightDigits(odd.into()))
            );
        }
    }

    #[test]
    fn of_what_is_no_number_little_is_repeated() {
        let error = "9".repeat(5_000_000).parse::<Ban>().unwrap_err();
        assert_eq!(error, BanError::NotEightDigits("9".repeat(40)));
    }
}
