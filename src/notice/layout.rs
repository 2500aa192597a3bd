//! From text to labelled values.
//!
//! Text here has lines (`\n`) and, where it came from a table, cells (`\t`). A label counts only
//! with a colon after it, or alone in its cell or line.
//!
//! Left out on purpose: what the values mean.
//!
//! Guarantee: values are found, never made up. What a label's value could be is returned as it
//! stands, and a label without one with an empty value. In a line that is not seen as it stands
//! (bidi controls turn what is around them, UAX #9) no value is told from the rest: each label in
//! it has the place that is turned for its value, which no reader of values takes.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

use crate::stranger::is_turning;

/// A field of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Label {
    /// 字軌名稱
    Track,
    /// 發票期別
    Period,
    /// 發票類別
    Type,
    /// 申請本數
    Requested,
    /// 增加本數
    Added,
    /// 發票起號
    Begin,
    /// 發票迄號
    End,
}

impl Label {
    /// Every label, in the order of a notice.
    pub const ALL: &[Self] = &[
        Self::Track,
        Self::Period,
        Self::Type,
        Self::Requested,
        Self::Added,
        Self::Begin,
        Self::End,
    ];

    /// The platform's own spelling.
    pub fn chinese(self) -> &'static str {
        match self {
            Self::Track => "字軌名稱",
            Self::Period => "發票期別",
            Self::Type => "發票類別",
            Self::Requested => "申請本數",
            Self::Added => "增加本數",
            Self::Begin => "發票起號",
            Self::End => "發票迄號",
        }
    }

    /// The key under `[notice.labels]`, the same as the ledger's column.
    pub fn key(self) -> &'static str {
        match self {
            Self::Track => "invoice_track",
            Self::Period => "year_month",
            Self::Type => "invoice_type",
            Self::Requested => "requested_booklets",
            Self::Added => "added_booklets",
            Self::Begin => "invoice_begin_no",
            Self::End => "invoice_end_no",
        }
    }
}

/// A value on the line after its label is at most this long, in characters; a longer line is
/// the next sentence.
const MAX_VALUE_LINE: usize = 32;
/// What stands between the parentheses of 貴公司(…) is at most this long, in bytes.
const MAX_ADDRESSEE: usize = 300;

/// Normalises text so that one spelling is left of what a person reads as one: NFKC
/// (full-width letters, digits, punctuation and spaces), plain spaces, no invisible characters.
pub(super) fn fold(text: &str) -> String {
    let usual: Option<String> = text.chars().map(fold_usual).collect();
    usual.unwrap_or_else(|| fold_any(text))
}

/// What [`fold_any`] makes of the characters that notices are written in, at a tenth of the time;
/// none of them composes with what stands before it.
fn fold_usual(c: char) -> Option<char> {
    match c {
        '\n' | '\t' | ' '..='~' | '\u{4e00}'..='\u{9fff}' | '、' | '。' | '「' | '」' => {
            Some(c)
        }
        '\r' | '\u{a0}' | '\u{3000}' => Some(' '),
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0),
        _ => None,
    }
}

fn fold_any(text: &str) -> String {
    text.chars()
        .filter(|c| !is_invisible(*c))
        .map(|c| match c {
            // Written for a colon, and NFKC makes two dots of the first.
            '\u{fe30}' | '\u{2236}' => ':',
            c => c,
        })
        .nfkc()
        .map(|c| match c {
            '\n' | '\t' => c,
            c if c.is_whitespace() => ' ',
            c => c,
        })
        .collect()
}

/// Soft hyphen, zero-width spaces and joiners, byte order mark.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}'
    )
}

/// All the ways the labels may be written.
#[derive(Debug)]
pub(super) struct Spellings<'a>(Vec<(Label, Cow<'a, str>)>);

impl<'a> Spellings<'a> {
    /// The built-in spellings and `more`.
    pub(super) fn new(more: &'a [(Label, String)]) -> Self {
        let built_in = Label::ALL.iter().map(|label| (*label, label.chinese()));
        // 訖 for 迄 is as common in print.
        let variant = [(Label::End, "發票訖號")];
        let mut spellings: Vec<_> = built_in
            .chain(variant)
            .map(|(label, spelling)| (label, Cow::Borrowed(spelling)))
            .collect();
        for (label, spelling) in more {
            let spelling: String = fold(spelling).split_whitespace().collect();
            if !spelling.is_empty() {
                spellings.push((*label, spelling.into()));
            }
        }
        // The longer of two spellings that begin alike must be tried first.
        spellings.sort_by_key(|(_, spelling)| std::cmp::Reverse(spelling.len()));
        Self(spellings)
    }

    /// The label at the beginning of `text`, spaces between its characters allowed, and the
    /// text after it.
    fn strip<'t>(&self, text: &'t str) -> Option<(Label, &'t str)> {
        self.0.iter().find_map(|(label, spelling)| {
            let mut rest = text;
            for expected in spelling.chars() {
                rest = rest.trim_start_matches(' ').strip_prefix(expected)?;
            }
            Some((*label, rest))
        })
    }
}

/// A cell, or a line that has only one.
#[derive(Debug)]
struct Cell<'t> {
    /// What stands before the first label.
    lead: &'t str,
    /// Labels with what follows them in this cell.
    fields: Vec<(Label, &'t str)>,
}

impl<'t> Cell<'t> {
    fn read(text: &'t str, spellings: &Spellings<'_>) -> Self {
        let mut fields: Vec<(Label, &'t str)> = Vec::new();
        let mut lead = text;
        // The text after the last label found, within which the next one is looked for.
        let mut open = text;
        let mut previous = None;
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            if let Some((label, value)) = Self::label(rest, previous, first, text, spellings) {
                let before = open
                    .get(..open.len().saturating_sub(rest.len()))
                    .unwrap_or_default();
                match fields.last_mut() {
                    Some((_, open_value)) => *open_value = tidy(before),
                    None => lead = before,
                }
                fields.push((label, value));
                (open, rest, previous) = (value, value, None);
            } else {
                rest = rest.strip_prefix(first).unwrap_or_default();
                previous = Some(first);
            }
        }
        if let Some((_, value)) = fields.last_mut() {
            *value = tidy(value);
        }
        Self {
            lead: lead.trim(),
            fields,
        }
    }

    /// The same of a cell in a line that holds bidi controls, wherever in it they stand; `place` is
    /// where.
    fn turned(text: &'t str, place: &'t str, spellings: &Spellings<'_>) -> Self {
        let straight: String = text.chars().filter(|c| !is_turning(*c)).collect();
        let labels = Cell::read(&straight, spellings).fields.into_iter();
        let fields: Vec<_> = labels.map(|(label, _)| (label, place)).collect();
        match fields.as_slice() {
            // It may be the value of the line above, and keeps what makes it unreadable.
            [] => Self::read(text, spellings),
            _ => Self { lead: "", fields },
        }
    }

    /// The label that begins at `rest`, behind the character `previous`, and what follows it.
    fn label(
        rest: &'t str,
        previous: Option<char>,
        first: char,
        cell: &'t str,
        spellings: &Spellings<'_>,
    ) -> Option<(Label, &'t str)> {
        // 原字軌名稱 is not 字軌名稱; but in EC發票期別 a new word begins.
        let begins_word = previous.is_none_or(|previous| {
            !previous.is_alphanumeric() || previous.is_ascii() && !first.is_ascii()
        });
        if first == ' ' || !begins_word {
            return None;
        }
        let (label, after) = spellings.strip(rest)?;
        let after = after.trim_start();
        match after.strip_prefix(':') {
            Some(value) => Some((label, value)),
            None if after.is_empty() && rest.len() == cell.trim_start().len() => {
                Some((label, after))
            }
            None => None,
        }
    }

    /// The label that has this cell for itself.
    fn lone_label(&self) -> Option<Label> {
        match self {
            Self { lead: "", fields } => match fields.as_slice() {
                [(label, "")] => Some(*label),
                _ => None,
            },
            _ => None,
        }
    }

    fn is_blank(&self) -> bool {
        self.lead.is_empty() && self.fields.is_empty()
    }
}

/// The first bidi control of a line with a few characters around it, so that a person sees which.
fn turning_place(line: &str) -> Option<&str> {
    const BEFORE: usize = 24;
    const BEHIND: usize = 32;
    let (before, turned) = line.split_at(line.find(is_turning)?);
    let from = before.char_indices().rev().take(BEFORE).last();
    let to = turned.char_indices().nth(BEHIND);
    let from = from.map_or(before.len(), |(at, _)| at);
    let to = to.map_or(line.len(), |(at, _)| before.len() + at);
    line.get(from..to)
}

/// A value without the spaces and the punctuation around it.
fn tidy(value: &str) -> &str {
    value
        .trim()
        .trim_end_matches([',', ';', '、', '。', '.', '|', ' '])
}

/// Every label in folded text with its value, in the order of the text; the value is empty where
/// there is none.
pub(super) fn fields<'t>(text: &'t str, spellings: &Spellings<'_>) -> Vec<(Label, &'t str)> {
    let rows: Vec<Vec<Cell<'t>>> = text
        .lines()
        .map(unquoted)
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            let place = turning_place(line);
            let read = |cell| match place {
                Some(place) => Cell::turned(cell, place, spellings),
                None => Cell::read(cell, spellings),
            };
            line.split('\t').map(read).collect()
        })
        .collect();

    let mut found = Vec::new();
    let mut rows = rows.as_slice();
    while let Some((row, after)) = rows.split_first() {
        rows = after;
        if is_heading(row) {
            let height = after.iter().take_while(|row| is_values(row)).count();
            let (values, beyond) = after.split_at(height);
            table(row, values, &mut found);
            rows = beyond;
        } else {
            pairs(row, after.first(), &mut found);
        }
    }
    found
}

/// A line without the `> ` that mail programs put before what they quote (RFC 3676 §4.5).
fn unquoted(line: &str) -> &str {
    match line.trim_start_matches(' ').starts_with('>') {
        true => line.trim_start_matches([' ', '>']),
        false => line,
    }
}

/// Whether a row is the head of a table: two labels side by side, neither with a value.
fn is_heading(row: &[Cell<'_>]) -> bool {
    row.windows(2)
        .any(|pair| pair.iter().all(|cell| cell.lone_label().is_some()))
}

/// Whether a row can hold the values of a table.
fn is_values(row: &[Cell<'_>]) -> bool {
    row.len() > 1 && row.iter().all(|cell| cell.fields.is_empty())
}

/// Reads a table whose first row is `heading`.
fn table<'t>(heading: &[Cell<'t>], values: &[Vec<Cell<'t>>], found: &mut Vec<(Label, &'t str)>) {
    let columns = || {
        let labels = heading.iter().map(Cell::lone_label).enumerate();
        labels.filter_map(|(at, label)| Some((at, label?)))
    };
    for row in values {
        found
            .extend(columns().map(|(at, label)| (label, row.get(at).map_or("", |c| tidy(c.lead)))));
    }
    if values.is_empty() {
        found.extend(columns().map(|(_, label)| (label, "")));
    }
}

/// Reads a row of labels that carry their values, or have them in the next cell or line.
fn pairs<'t>(row: &[Cell<'t>], next: Option<&Vec<Cell<'t>>>, found: &mut Vec<(Label, &'t str)>) {
    let mut cells = row;
    while let Some((cell, beside)) = cells.split_first() {
        cells = beside;
        found.extend_from_slice(&cell.fields);
        if let Some((label, value @ "")) = found.last_mut()
            && !cell.fields.is_empty()
        {
            *value = match beside {
                [] => next.map_or("", |row| value_line(row, *label)),
                beside => value_cell(beside),
            };
        }
    }
}

/// The value in the cells beside a label; a colon may have a cell of its own.
fn value_cell<'t>(beside: &[Cell<'t>]) -> &'t str {
    match beside {
        [colon, value, ..] if colon.lead == ":" && colon.fields.is_empty() => tidy(value.lead),
        [value, ..] => tidy(value.lead.strip_prefix(':').unwrap_or(value.lead)),
        [] => "",
    }
}

/// The value on the line below a label, if that looks like one at all: short, and but for the
/// type with a letter or digit in it.
fn value_line<'t>(row: &[Cell<'t>], label: Label) -> &'t str {
    let line = row.iter().find(|cell| !cell.is_blank());
    let value = line.map_or("", |cell| tidy(cell.lead));
    let short = value.chars().count() <= MAX_VALUE_LINE;
    let telling = label == Label::Type || value.bytes().any(|b| b.is_ascii_alphanumeric());
    if short && telling { value } else { "" }
}

/// What stands between the parentheses of 貴公司(…) in folded text, wherever something does; of
/// different ones the first two, for those are one too many already.
pub(super) fn addressees(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while found.len() < 2
        && let Some((before, after)) = rest.split_once("貴公司")
    {
        let line = before.rsplit('\n').next().unwrap_or_default();
        rest = after;
        if let Some(inside) = after.trim_start().strip_prefix('(')
            && let Some(name) = until_closed(inside)
        {
            let name: String = name.chars().filter(|c| !matches!(c, '\n' | '\t')).collect();
            // As with labels: who is turned is nobody in particular.
            let turned =
                name.contains(|c| !is_turning(c)) && (line.to_owned() + &name).contains(is_turning);
            let name = match turned {
                true => format!("{line}貴公司({name})"),
                false => name,
            };
            let name = name.trim();
            if !name.is_empty() && !found.iter().any(|known| known == name) {
                found.push(name.to_owned());
            }
        }
    }
    found
}

/// The text up to the parenthesis that closes it; a name may hold parentheses itself.
fn until_closed(inside: &str) -> Option<&str> {
    let mut depth = 0_usize;
    for (at, c) in inside.char_indices() {
        match c {
            _ if at > MAX_ADDRESSEE => return None,
            '(' => depth += 1,
            ')' if depth == 0 => return inside.get(..at),
            ')' => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests;
