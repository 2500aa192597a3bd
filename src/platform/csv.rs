//! The CSV of allocated numbers (字軌檔), `invnoapply*.csv`: seven columns, one range a row.
//!
//! Written with CRLF. Read as people and programs leave it: UTF-8 or Big5, either line end, the type
//! as `7` or `07`, the period with or without spaces. Columns are known by their names; further ones
//! are passed over, for nobody outside knows what the platform may add.

use std::collections::BTreeSet;

use encoding_rs::BIG5;
use unicode_normalization::UnicodeNormalization as _;

use super::{Encoding, Mistakes, Row};
use crate::{
    csv::{Cell, Fault, Rows, What},
    notice::{
        Allocation, Ban, Block, InvoiceNo, InvoiceType, Period, Range, RangeFault, Track,
        period_as_written,
    },
    stranger::one_line,
};

/// The columns, in the platform's order.
const COLUMNS: [&str; 7] = [
    "營業人統編",
    "發票類別代號",
    "發票類別",
    "發票期別",
    "發票字軌名稱",
    "發票起號",
    "發票迄號",
];

/// So much of a cell is repeated in a message, characters.
const SHOWN: usize = 40;

/// The file for these ranges.
pub fn write(allocations: &[Allocation], encoding: Encoding) -> Vec<u8> {
    let mut text = COLUMNS.join(",") + "\r\n";
    for Allocation { ban, block } in allocations {
        let row = [
            ban.as_str(),
            // One digit, as the platform writes it; MIG has two.
            block.invoice_type.code().trim_start_matches('0'),
            block.invoice_type.name(),
            &block.period.to_string().replace('-', "~"),
            block.track.as_str(),
            &block.range.begin().to_string(),
            &block.range.end().to_string(),
        ];
        // No value of these types holds a comma, a quote or a line end.
        text.push_str(&row.join(","));
        text.push_str("\r\n");
    }
    match encoding {
        Encoding::Utf8 => format!("\u{feff}{text}").into_bytes(),
        Encoding::Big5 => BIG5.encode(&text).0.into_owned(),
    }
}

/// What the file for these ranges is called: `invnoapply-53567686-10706.csv`, or with the first and
/// last period where there are several; without the company where there are several.
pub fn name(allocations: &[Allocation]) -> String {
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

/// Whether a file that begins so is one: its first line names the company column.
pub(super) fn is_one(start: &[u8]) -> bool {
    let line = start
        .split(|byte| *byte == b'\n')
        .find(|line| !line.is_empty());
    let (name, in_big5) = (COLUMNS[0], BIG5.encode(COLUMNS[0]).0);
    let has = |line: &[u8], name: &[u8]| line.windows(name.len()).any(|part| part == name);
    line.is_some_and(|line| has(line, name.as_bytes()) || has(line, &in_big5))
}

/// Where each column stands.
struct Header {
    places: [Option<usize>; 7],
    cells: usize,
}

pub(super) fn read(text: &str, mistakes: &mut Mistakes<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut header = None;
    for row in Rows::new(text) {
        let row = match row {
            Ok(row) => row,
            Err(Fault { at, what }) => {
                mistakes.add(at, fault(what));
                continue;
            }
        };
        let Some(header) = &header else {
            header = Some(heading(&row.cells, row.at, mistakes));
            continue;
        };
        if let Some(allocation) = allocation(header, &row.cells, row.at, mistakes) {
            let line = mistakes.line(row.at);
            rows.push(Row { allocation, line });
        }
    }
    if header.is_none() {
        mistakes.add(
            0,
            format!("expected the columns {}, found nothing", COLUMNS.join(",")),
        );
    } else if rows.is_empty() && mistakes.found.is_empty() {
        mistakes.add(
            text.len(),
            "expected at least one range below the column names, found none",
        );
    }
    rows
}

fn fault(what: What) -> &'static str {
    match what {
        What::Open => "a quote opens here and is never closed; download the file again",
        What::Inside | What::Behind(_) => {
            "expected a comma or the end of the line, found something else beside a quoted cell"
        }
    }
}

fn heading(cells: &[Cell<'_>], at: usize, mistakes: &mut Mistakes<'_>) -> Header {
    let mut places = [None; 7];
    for (number, cell) in cells.iter().enumerate() {
        let name: String = cell.text.nfkc().collect::<String>().replace('訖', "迄");
        let known = COLUMNS.iter().zip(&mut places);
        for (_, place) in known.filter(|(column, _)| **column == name.trim()) {
            if place.replace(number).is_some() {
                mistakes.add(
                    cell.at,
                    format!("the column {} stands here a second time", name.trim()),
                );
            }
        }
    }
    for (column, place) in COLUMNS.iter().zip(&places) {
        // The code says it; the words are for people.
        if place.is_none() && *column != "發票類別" {
            mistakes.add(
                at,
                format!("expected the column {column} among the names, found none"),
            );
        }
    }
    Header {
        places,
        cells: cells.len(),
    }
}

fn allocation(
    header: &Header,
    cells: &[Cell<'_>],
    at: usize,
    mistakes: &mut Mistakes<'_>,
) -> Option<Allocation> {
    if cells.len() != header.cells {
        let (expected, found) = (header.cells, cells.len());
        mistakes.add(
            at,
            format!("expected {expected} cells as in the first line, found {found}"),
        );
        return None;
    }
    let [ban, code, words, period, track, begin, end] = header
        .places
        .map(|place| place.and_then(|place| cells.get(place)));
    let ban: Option<Ban> = parsed(ban, mistakes, |text| {
        text.parse()
            .map_err(|error: crate::notice::BanError| error.to_string())
    });
    let invoice_type = parsed(code, mistakes, |text| {
        InvoiceType::from_code(text).ok_or_else(|| expected("the type 7 or 8", text))
    });
    if let (Some(kind), Some(cell)) = (invoice_type, words) {
        let text = cell.text.trim();
        if !text.is_empty() && text != kind.name() {
            let expected = expected(&format!("{} beside {}", kind.name(), kind.code()), text);
            mistakes.add(cell.at, expected);
        }
    }
    let period = parsed(period, mistakes, |text| {
        period_as_written(text).ok_or_else(|| expected("a period such as 107/05 ~ 107/06", text))
    });
    let track: Option<Track> = parsed(track, mistakes, |text| {
        text.parse()
            .map_err(|_| expected("two capital letters", text))
    });
    let place = begin.map_or(at, |cell| cell.at);
    let number = |text: &str| InvoiceNo::parse(text).ok_or_else(|| expected("8 digits", text));
    let (begin, end) = (
        parsed(begin, mistakes, number),
        parsed(end, mistakes, number),
    );
    let range = range(begin?, end?)
        .map_err(|words| mistakes.add(place, words))
        .ok();
    Some(Allocation {
        ban: ban?,
        block: Block {
            invoice_type: invoice_type?,
            period: period?,
            track: track?,
            range: range?,
            requested_booklets: None,
            added_booklets: None,
        },
    })
}

/// What a cell says, spaces taken off; what is wrong with it is noted.
fn parsed<T>(
    cell: Option<&Cell<'_>>,
    mistakes: &mut Mistakes<'_>,
    read: impl Fn(&str) -> Result<T, String>,
) -> Option<T> {
    let cell = cell?;
    match read(cell.text.trim()) {
        Ok(value) => Some(value),
        Err(message) => {
            mistakes.add(cell.at, message);
            None
        }
    }
}

pub(super) fn expected(what: &str, found: &str) -> String {
    match found {
        "" => format!("expected {what}, found nothing"),
        found => format!("expected {what}, found `{}`", one_line(found, SHOWN)),
    }
}

/// Whole booklets, or why not.
pub(super) fn range(begin: InvoiceNo, end: InvoiceNo) -> Result<Range, String> {
    Range::new(begin, end).map_err(|RangeFault { reversed, .. }| {
        let expected = if reversed {
            "the first number before the last"
        } else {
            "whole booklets, from a number that ends in 00 or 50 to one that ends in 49 or 99"
        };
        format!("expected {expected}, found {begin} and {end}")
    })
}
