//! The platform's own 7-column CSV, as it is downloaded under 字軌檔 and loaded into issuing
//! systems.
//!
//! Guarantee: UTF-8 with BOM and CRLF, so that spreadsheets show the Chinese and importers see
//! what the platform would have given them. Left out on purpose: Big5, and reading such files.

use std::collections::BTreeSet;

use crate::notice::{Allocation, Period};

/// A file to attach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PlatformCsv {
    /// `invnoapply-53567686-10706.csv`, or with the first and last period where there are several;
    /// without the company where there are several.
    pub(super) name: String,
    /// The whole file.
    pub(super) bytes: Vec<u8>,
}

/// The file for these ranges.
pub(super) fn write(allocations: &[Allocation]) -> PlatformCsv {
    let mut text = String::from(
        "\u{feff}營業人統編,發票類別代號,發票類別,發票期別,發票字軌名稱,發票起號,發票迄號\r\n",
    );
    for Allocation { ban, block } in allocations {
        let row = [
            ban.to_string(),
            // One digit, as the platform writes it; MIG has two.
            block.invoice_type.code().trim_start_matches('0').to_owned(),
            block.invoice_type.name().to_owned(),
            block.period.to_string().replace('-', "~"),
            block.track.to_string(),
            block.range.begin().to_string(),
            block.range.end().to_string(),
        ];
        // No value of these types holds a comma, a quote or a line end.
        text.push_str(&row.join(","));
        text.push_str("\r\n");
    }
    PlatformCsv {
        name: file_name(allocations),
        bytes: text.into_bytes(),
    }
}

fn file_name(allocations: &[Allocation]) -> String {
    let companies: BTreeSet<&str> = allocations.iter().map(|a| a.ban.as_str()).collect();
    let company = match companies.first() {
        Some(ban) if companies.len() == 1 => format!("-{ban}"),
        _ => String::new(),
    };
    let periods: BTreeSet<Period> = allocations.iter().map(|a| a.block.period).collect();
    let ends: BTreeSet<String> = [periods.first(), periods.last()]
        .into_iter()
        .flatten()
        .map(|period| format!("-{}", period.year_month()))
        .collect();
    format!("invnoapply{company}{}.csv", String::from_iter(ends))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::delivery::compose::tests::allocation;

    #[test]
    fn looks_like_the_platforms_own_download() {
        let file = write(&[
            allocation("10706", "EC", "22628000", "22634399"),
            allocation("10706", "ED", "00000050", "00000099"),
        ]);
        assert_eq!(file.name, "invnoapply-53567686-10706.csv");
        assert_eq!(
            String::from_utf8(file.bytes).unwrap(),
            "\u{feff}營業人統編,發票類別代號,發票類別,發票期別,發票字軌名稱,發票起號,發票迄號\r\n\
             53567686,7,一般稅額計算,107/05 ~ 107/06,EC,22628000,22634399\r\n\
             53567686,7,一般稅額計算,107/05 ~ 107/06,ED,00000050,00000099\r\n"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// What begins with one of `=+-@`, a tab or a line end is a formula to a spreadsheet.
        #[test]
        fn no_cell_is_a_formula_and_none_breaks_out(
            track in "[A-Z]{2}",
            year in 1_u16..1000,
            pair in 1_u8..=6,
            booklet in 0_u32..1_999_999,
            is_special: bool,
        ) {
            let (period, begin) = (format!("{year:03}{:02}", pair * 2), booklet * 50);
            let [begin, end] = [begin, begin + 49].map(|number| format!("{number:08}"));
            let mut row = allocation(&period, &track, &begin, &end);
            if is_special {
                row.block.invoice_type = crate::notice::InvoiceType::Special;
            }
            let file = write(&[row]);
            prop_assert!(file.name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b)));
            let text = String::from_utf8(file.bytes).unwrap();
            let rows: Vec<&str> = text.strip_prefix('\u{feff}').unwrap().split_terminator("\r\n").collect();
            prop_assert_eq!(rows.len(), 2);
            for row in rows {
                let cells: Vec<&str> = row.split(',').collect();
                prop_assert_eq!(cells.len(), 7);
                for cell in cells {
                    prop_assert!(cell.starts_with(char::is_alphanumeric), "{}", row);
                    prop_assert!(!cell.contains(|c: char| c.is_control() || "\"'=+-@;|".contains(c)), "{}", row);
                }
            }
        }
    }

    #[test]
    fn several_periods_name_the_first_and_the_last() {
        let year = [
            allocation("10802", "KD", "10000000", "10000049"),
            allocation("10812", "UC", "10000000", "10000049"),
        ];
        let file = write(&year);
        assert_eq!(file.name, "invnoapply-53567686-10802-10812.csv");
    }

    #[test]
    fn several_companies_have_no_name_in_common() {
        let one = allocation("10706", "EC", "22628000", "22634399");
        let other = Allocation {
            ban: "24634102".parse().unwrap(),
            ..one
        };
        assert_eq!(write(&[one, other]).name, "invnoapply-10706.csv");
    }
}
