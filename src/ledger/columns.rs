//! Values as columns hold them: written one way, read back with suspicion.
//!
//! Guarantee: text order of moments is their order in time, and a column that holds what this
//! program would not have written is [`LedgerError::BadRow`].

use std::{fmt::Display, str::FromStr};

use jiff::Timestamp;

use super::LedgerError;

/// The first moment of the year 0: a sign before the year would break the order of texts.
const YEAR_0: Timestamp = Timestamp::constant(-62_167_219_200, 0);

/// A moment as columns hold it, cut to milliseconds: `2026-01-20T01:00:00.000Z`. The time of a
/// file can be any; one before the year 0 becomes the year 0.
pub(super) fn moment(at: Timestamp) -> String {
    at.max(YEAR_0)
        .strftime("%Y-%m-%dT%H:%M:%S.%3fZ")
        .to_string()
}

/// Reads a column's text as the value it stands for; `column` is for the message.
pub(super) fn parsed<T>(column: &str, text: &str) -> Result<T, LedgerError>
where
    T: FromStr<Err: Display>,
{
    text.parse()
        .map_err(|error: T::Err| LedgerError::BadRow(format!("{column}: {error}")))
}

/// A column's value, or the complaint that it is not what was `expected`.
pub(super) fn expected<T>(
    value: Option<T>,
    column: &str,
    expected: &str,
    found: impl Display,
) -> Result<T, LedgerError> {
    value.ok_or_else(|| {
        LedgerError::BadRow(format!("{column}: expected {expected}, found `{found}`"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_have_one_width_and_read_back() {
        for (given, written) in [
            ("2026-01-20T01:00:00Z", "2026-01-20T01:00:00.000Z"),
            ("2026-01-20T09:00:00.1239+08:00", "2026-01-20T01:00:00.123Z"),
            ("0007-01-01T00:00:00Z", "0007-01-01T00:00:00.000Z"),
            ("-000044-03-15T12:00:00Z", "0000-01-01T00:00:00.000Z"),
        ] {
            let at: Timestamp = given.parse().unwrap();
            assert_eq!(moment(at), written);
            assert_eq!(moment(parsed("test", written).unwrap()), written);
        }
    }

    #[test]
    fn what_nobody_wrote_is_a_bad_row() {
        let error = parsed::<Timestamp>("ledger.created_at", "yesterday").unwrap_err();
        assert!(matches!(&error, LedgerError::BadRow(what) if what.contains("ledger.created_at")));
        assert!(!error.is_temporary());
    }
}
