//! 發票起號 … 發票迄號: the allocated numbers, in whole booklets of fifty.
//!
//! Guarantee: a [`Range`] begins where a booklet begins, ends where one ends, and is not empty.

use std::fmt;

/// How many numbers stand in one booklet (本).
pub const BOOKLET: u32 = 50;

/// An 8-digit invoice number, leading zeros kept when shown. MIG: `\d{8}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InvoiceNo(u32);

impl InvoiceNo {
    /// Reads exactly eight ASCII digits.
    pub fn parse(text: &str) -> Option<Self> {
        let eight_digits = text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit());
        eight_digits.then(|| text.parse().ok().map(Self)).flatten()
    }
}

impl fmt::Display for InvoiceNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08}", self.0)
    }
}

/// A run of invoice numbers, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Range {
    begin: InvoiceNo,
    end: InvoiceNo,
}

/// What is wrong with a pair of numbers; both can be wrong at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RangeFault {
    /// The end stands before the begin.
    pub reversed: bool,
    /// The begin is not the first, or the end not the last, number of a booklet.
    pub misaligned: bool,
}

impl Range {
    /// Checks that the numbers are whole booklets in ascending order.
    ///
    /// # Errors
    /// Says whether the pair is reversed, misaligned, or both.
    pub fn new(begin: InvoiceNo, end: InvoiceNo) -> Result<Self, RangeFault> {
        let fault = RangeFault {
            reversed: end < begin,
            misaligned: !begin.0.is_multiple_of(BOOKLET) || end.0 % BOOKLET != BOOKLET - 1,
        };
        if fault.reversed || fault.misaligned {
            Err(fault)
        } else {
            Ok(Self { begin, end })
        }
    }

    /// The first number.
    pub fn begin(self) -> InvoiceNo {
        self.begin
    }

    /// The last number.
    pub fn end(self) -> InvoiceNo {
        self.end
    }

    /// How many booklets the range holds; at least one.
    pub fn booklets(self) -> u32 {
        (self.end.0 - self.begin.0 + 1) / BOOKLET
    }

    /// Whether any number stands in both.
    pub fn overlaps(self, other: Self) -> bool {
        self.begin <= other.end && other.begin <= self.end
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.begin, self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(begin: &str, end: &str) -> Result<Range, RangeFault> {
        Range::new(
            InvoiceNo::parse(begin).unwrap(),
            InvoiceNo::parse(end).unwrap(),
        )
    }

    #[test]
    fn counts_booklets_and_keeps_leading_zeros() {
        let specimen = range("22628000", "22634399").unwrap();
        assert_eq!(specimen.booklets(), 128);
        assert_eq!(
            range("00000050", "00000099").unwrap().to_string(),
            "00000050-00000099"
        );
        assert_eq!(range("00000000", "99999999").unwrap().booklets(), 2_000_000);
    }

    #[test]
    fn says_what_is_wrong() {
        let fault = |reversed, misaligned| {
            Err(RangeFault {
                reversed,
                misaligned,
            })
        };
        assert_eq!(range("22628001", "22634399"), fault(false, true));
        assert_eq!(range("22628000", "22634398"), fault(false, true));
        assert_eq!(range("22634350", "22628049"), fault(true, false));
        assert_eq!(range("22634399", "22628000"), fault(true, true));
        assert_eq!(range("22628000", "22628000"), fault(false, true));
    }

    #[test]
    fn only_eight_ascii_digits_are_a_number() {
        for odd in [
            "",
            "2262800",
            "226280000",
            "2262800O",
            "+2262800",
            "２２６２８０００",
        ] {
            assert_eq!(InvoiceNo::parse(odd), None, "{odd}");
        }
    }

    #[test]
    fn overlap_is_sharing_a_number() {
        let a = range("22628000", "22628099").unwrap();
        assert!(a.overlaps(range("22628050", "22628149").unwrap()));
        assert!(!a.overlaps(range("22628100", "22628149").unwrap()));
        assert!(a.overlaps(a));
    }
}
