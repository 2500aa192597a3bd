//! 發票期別: the two months for which invoice numbers are valid.
//!
//! Guarantee: an odd month and the even month after it, in one year of the Republic of China
//! (1912 is year 1). Reading the many ways a notice writes a period is `draft`'s business.

use std::{fmt, str::FromStr};

use jiff::civil::Date;

/// A two-month invoice period. Ordered in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period {
    roc_year: u16,
    even_month: u8,
}

/// Two months that are not a period, or a text that is not MIG's form of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeriodError {
    /// Not an odd month and the following even month of one year.
    #[error("expected an odd month and the even month after it in one year, found {0}")]
    NotAPair(String),
    /// Not five digits: ROC year and even month.
    #[error("expected a ROC year and an even month as 5 digits such as `10706`, found `{0}`")]
    Malformed(String),
}

impl Period {
    /// The period that runs from `first` to `last`, each a (ROC year, month).
    ///
    /// # Errors
    /// [`PeriodError::NotAPair`] when these two months are not one period.
    pub fn from_months(first: (u16, u8), last: (u16, u8)) -> Result<Self, PeriodError> {
        let ((year, odd), (last_year, even)) = (first, last);
        let pair = year == last_year
            && (1..=999).contains(&year)
            && (1..=11).contains(&odd)
            && odd % 2 == 1
            && even == odd + 1;
        if pair {
            Ok(Self {
                roc_year: year,
                even_month: even,
            })
        } else {
            Err(PeriodError::NotAPair(format!(
                "{year:03}/{odd:02} - {last_year:03}/{even:02}"
            )))
        }
    }

    /// The period in which `day` lies.
    pub fn containing(day: Date) -> Self {
        let month = day.month().unsigned_abs();
        Self {
            roc_year: day.year().saturating_sub(1911).max(1).unsigned_abs(),
            even_month: month + month % 2,
        }
    }

    /// The period after this one.
    pub fn next(self) -> Self {
        match self.even_month {
            12 => Self {
                roc_year: self.roc_year + 1,
                even_month: 2,
            },
            month => Self {
                even_month: month + 2,
                ..self
            },
        }
    }

    /// The period before this one; year 1's first period has none and stays.
    pub fn previous(self) -> Self {
        match (self.roc_year, self.even_month) {
            (1, 2) => self,
            (year, 2) => Self {
                roc_year: year - 1,
                even_month: 12,
            },
            (_, month) => Self {
                even_month: month - 2,
                ..self
            },
        }
    }

    /// The year of the Republic of China: 107 is 2018.
    pub fn roc_year(self) -> u16 {
        self.roc_year
    }

    /// The even month, 2 to 12.
    pub fn even_month(self) -> u8 {
        self.even_month
    }

    /// The first day on which its numbers are valid; at most the last of jiff's calendar, the year
    /// 9999.
    pub fn first_day(self) -> Date {
        let year = i16::try_from(self.roc_year.saturating_add(1911)).unwrap_or(i16::MAX);
        let odd = i8::try_from(self.even_month - 1).unwrap_or(1);
        Date::new(year, odd, 1).unwrap_or(Date::MAX)
    }

    /// MIG's form, ROC year and even month in five digits: `10706`. MIG 4.0 E0501 `YearMonth`.
    pub fn year_month(self) -> String {
        format!("{:03}{:02}", self.roc_year, self.even_month)
    }
}

impl FromStr for Period {
    type Err = PeriodError;

    /// Reads MIG's form, `10706`.
    fn from_str(text: &str) -> Result<Self, PeriodError> {
        let malformed = || PeriodError::Malformed(text.to_owned());
        if text.len() != 5 || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(malformed());
        }
        let number: u32 = text.parse().map_err(|_| malformed())?;
        let (year, even) = (number / 100, number % 100);
        let (year, even) = (
            u16::try_from(year).unwrap_or_default(),
            u8::try_from(even).unwrap_or_default(),
        );
        Self::from_months((year, even.wrapping_sub(1)), (year, even)).map_err(|_| malformed())
    }
}

/// As people write it: `107/05 - 107/06`.
impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            roc_year,
            even_month,
        } = *self;
        write!(
            f,
            "{roc_year:03}/{:02} - {roc_year:03}/{even_month:02}",
            even_month - 1
        )
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn shown_as_people_and_as_mig_write_it() {
        let period = Period::from_months((107, 5), (107, 6)).unwrap();
        assert_eq!(period.to_string(), "107/05 - 107/06");
        assert_eq!(period.year_month(), "10706");
        assert_eq!("10706".parse(), Ok(period));
        assert_eq!(
            "09912".parse::<Period>().unwrap().to_string(),
            "099/11 - 099/12"
        );
    }

    #[test]
    fn begins_on_the_first_of_its_odd_month_and_no_later_than_the_calendar_ends() {
        let day = |text: &str| text.parse::<Period>().unwrap().first_day();
        assert_eq!(day("00102"), date(1912, 1, 1));
        assert_eq!(day("10706"), date(2018, 5, 1));
        assert_eq!(day("99912"), date(2910, 11, 1));
        let mut last = Period::containing(Date::MAX);
        assert_eq!(last.first_day(), date(9999, 11, 1));
        last = last.next();
        assert_eq!(last.first_day(), Date::MAX);
    }

    #[test]
    fn refuses_what_is_no_pair() {
        for (first, last) in [
            ((107, 6), (107, 7)),
            ((107, 5), (107, 8)),
            ((107, 5), (108, 6)),
            ((107, 11), (108, 12)),
            ((107, 6), (107, 5)),
            ((0, 1), (0, 2)),
            ((107, 13), (107, 14)),
            ((107, 255), (107, 0)),
        ] {
            assert!(
                Period::from_months(first, last).is_err(),
                "{first:?} {last:?}"
            );
        }
        for odd in [
            "10705",
            "10700",
            "10714",
            "1076",
            "107060",
            "1O706",
            "00002",
            "１０７０６",
        ] {
            assert!(odd.parse::<Period>().is_err(), "{odd}");
        }
    }

    #[test]
    fn days_belong_to_periods_and_years_wrap() {
        let last = Period::containing(date(2026, 12, 31));
        assert_eq!(last.year_month(), "11512");
        assert_eq!(last.next(), Period::containing(date(2027, 1, 1)));
        assert_eq!(last.next().previous(), last);
        assert!(last < last.next());
        assert_eq!(Period::containing(date(2026, 11, 1)), last);
    }
}
