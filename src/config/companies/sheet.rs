//! The companies in a CSV file: a first line that names the columns, then a line for each.
//!
//! Guarantee: what is wrong goes into the [`Report`] at its cell, and the rest is looked at all the
//! same.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt::Display,
    ops::RangeInclusive,
    str::FromStr,
};

use super::{ASSIGNMENTS, DUE, REMINDER, SAVE_AS, UNTOLD};
use crate::{
    config::{report::Report, schema},
    csv::{Fault, Row, Rows, What},
    notice::{Address, Assignment, Ban, Company, shown},
};

/// What the file's companies depend on besides the file.
pub(super) struct Given<'a> {
    /// Whether anybody is told anything.
    pub(super) is_told: bool,
    /// Where else a company stands, if it does.
    pub(super) elsewhere: &'a dyn Fn(Ban) -> Option<String>,
}

/// The keys of `[[company]]`, each a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Ban,
    Name,
    Assignment,
    Recipients,
    DueDay,
    ReminderDay,
    ConfirmTo,
    AlertTo,
}

impl Column {
    const ALL: [Self; 8] = [
        Self::Ban,
        Self::Name,
        Self::Assignment,
        Self::Recipients,
        Self::DueDay,
        Self::ReminderDay,
        Self::ConfirmTo,
        Self::AlertTo,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Ban => "ban",
            Self::Name => "name",
            Self::Assignment => "assignment",
            Self::Recipients => "recipients",
            Self::DueDay => "due_day",
            Self::ReminderDay => "reminder_day",
            Self::ConfirmTo => "confirm_to",
            Self::AlertTo => "alert_to",
        }
    }
}

/// What stands in the first line above a column of cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Head {
    Known(Column),
    /// Reported already; nothing more is said of the cells.
    Unknown,
    /// Spreadsheets write such columns where something once stood.
    Nameless,
}

/// A cell that says something.
struct Filled<'a> {
    column: &'static str,
    /// Without the spaces around it.
    text: &'a str,
    /// Byte offset in the file.
    at: usize,
    report: &'a Report<'a>,
}

/// The companies in `text`; what is wrong goes into `report`.
pub(super) fn companies(text: &str, given: &Given<'_>, report: &Report<'_>) -> Vec<Company> {
    let mut rows = Rows::new(text);
    let Some((header_at, heads)) = header(text, &mut rows, report) else {
        return Vec::new();
    };
    let mut list = Vec::new();
    let mut seen: HashMap<Ban, usize> = HashMap::new();
    let mut untold = [Column::ConfirmTo, Column::AlertTo].to_vec();
    // Lines are counted on the way: to count them again for each company would take hours.
    let (mut line, mut reached) = (1, 0);
    let mut is_empty = true;
    for row in rows {
        is_empty = false;
        let row = match &row {
            Ok(row) => row,
            Err(fault) => {
                refuse(fault, text, report);
                continue;
            }
        };
        let Some(cells) = cells(row, &heads, report) else {
            continue;
        };
        // One mistake, however many rows show it.
        if !given.is_told {
            untold.retain(|column| match cells.get(*column) {
                Some(cell) => {
                    cell.refuse(UNTOLD);
                    false
                }
                None => true,
            });
        }
        let Some((cell, company)) = cells.company() else {
            continue;
        };
        line += text.get(reached..cell.at).map_or(0, line_ends);
        reached = cell.at;
        let first = match seen.entry(company.ban) {
            Entry::Occupied(first) => Some(format!("line {}", first.get())),
            Entry::Vacant(place) => {
                place.insert(line);
                (given.elsewhere)(company.ban)
            }
        };
        match first {
            None => list.push(company),
            Some(first) => cell.refuse_plainly(format_args!(
                "{} is configured already, on {first}",
                company.ban
            )),
        }
    }
    if is_empty {
        report.add(
            header_at,
            "expected a line for each company below this one, found none; take `companies_file` \
             out of the configuration if that is meant",
        );
    }
    list
}

fn line_ends(text: &str) -> usize {
    text.matches('\n').count()
}

/// Says what is not CSV.
fn refuse(fault: &Fault, text: &str, report: &Report<'_>) {
    let at = fault.at;
    match fault.what {
        What::Open => report.add(
            at,
            "expected a closing quote, found the end of the file; the cell that begins here has none",
        ),
        What::Inside => report.add(
            at,
            "expected no quote inside a cell, found one; put the whole cell in quotes and write \
             the quote twice",
        ),
        What::Behind(opened) => {
            let cell = text.get(opened..at).unwrap_or_default();
            let begun = match line_ends(cell) {
                0 => String::new(),
                1 => " (the cell began one line above)".to_owned(),
                lines => format!(" (the cell began {lines} lines above)"),
            };
            let next = text.get(at..).and_then(|rest| rest.chars().next());
            let next = shown(&next.map(String::from).unwrap_or_default());
            report.add(
                at,
                format_args!(
                    "expected a comma or the end of the line behind the closing quote{begun}, \
                     found {next}; a quote inside a cell is written twice"
                ),
            );
        }
    }
}

/// Reads the first line: where it stands, and what it says; `None` where it makes no sense to go on.
fn header(text: &str, rows: &mut Rows<'_>, report: &Report<'_>) -> Option<(usize, Vec<Head>)> {
    if let Some(at) = text.find('\r')
        && !text.contains('\n')
    {
        let sentence = "expected lines that end in LF or CRLF, found CR alone";
        report.add(at, format_args!("{sentence}; {SAVE_AS}"));
        return None;
    }
    let expected = || {
        let names = Column::ALL.map(Column::as_str).join(",");
        format!("expected a first line that names the columns, such as {names}")
    };
    let header = match rows.next() {
        Some(Ok(header)) => header,
        Some(Err(fault)) => {
            refuse(&fault, text, report);
            return None;
        }
        None => {
            report.add(0, format_args!("{}; found an empty file", expected()));
            return None;
        }
    };
    if let [only] = header.cells.as_slice()
        && let Some((at, separator)) = only.text.match_indices([';', '\t']).next()
    {
        let found = match separator {
            ";" => "semicolons",
            _ => "tabs",
        };
        let at = only.at + at;
        report.add(
            at,
            format_args!("expected commas between the cells, found {found}; {SAVE_AS}"),
        );
        return None;
    }
    let named = |name: &str| Column::ALL.into_iter().find(|one| one.as_str() == name);
    let known = |name: &str| named(name).or_else(|| nearest(name));
    let mut cells = header.cells.iter();
    if !cells.any(|cell| known(cell.text.trim()).is_some()) {
        let found = header.cells.iter().map(|cell| cell.text.trim());
        let found = shown(&found.collect::<Vec<_>>().join(","));
        report.add(header.at, format_args!("{}; found {found}", expected()));
        return None;
    }
    let mut heads = Vec::new();
    let mut meant = Vec::new();
    for cell in &header.cells {
        let name = cell.text.trim();
        let head = match named(name) {
            Some(column) if heads.contains(&Head::Known(column)) => {
                let sentence = "stands here a second time; keep one of the two columns";
                report.add(cell.at, format_args!("`{name}` {sentence}"));
                Head::Unknown
            }
            Some(column) => Head::Known(column),
            None if name.is_empty() => Head::Nameless,
            None => {
                let near = nearest(name);
                meant.extend(near);
                let advice = match near {
                    Some(near) => format!("did you mean `{}`?", near.as_str()),
                    None => {
                        let names = Column::ALL.map(|column| format!("`{}`", column.as_str()));
                        format!("the columns are {}", names.join(", "))
                    }
                };
                let name = shown(name);
                report.add(cell.at, format_args!("unknown column {name}; {advice}"));
                Head::Unknown
            }
        };
        heads.push(head);
    }
    for (column, what) in [
        (Column::Ban, "the company's number (統一編號), 8 digits"),
        (Column::Name, "the registered name, as a notice writes it"),
    ] {
        if !heads.contains(&Head::Known(column)) && !meant.contains(&column) {
            let name = column.as_str();
            let sentence = format!("the column `{name}` is missing; expected {what}");
            report.add(header.at, sentence);
        }
    }
    Some((header.at, heads))
}

/// The column that was probably meant.
fn nearest(name: &str) -> Option<Column> {
    let near = schema::COMPANY.nearest(&name.to_lowercase())?;
    Column::ALL.into_iter().find(|one| one.as_str() == near)
}

/// The cells of a row under their heads; `None` when they cannot be told apart.
fn cells<'a>(row: &'a Row<'_>, heads: &'a [Head], report: &'a Report<'a>) -> Option<Cells<'a>> {
    let (expected, found) = (heads.len(), row.cells.len());
    let fault = match row.cells.get(expected) {
        Some(surplus) => Some((surplus.at, "a cell that holds a comma stands in quotes")),
        None if found < expected => Some((row.at, "an empty cell has its comma too")),
        None => None,
    };
    if let Some((at, advice)) = fault {
        report.add(
            at,
            format_args!("expected {expected} cells as in the first line, found {found}; {advice}"),
        );
        return None;
    }
    let cells = Cells { row, heads, report };
    for (cell, head) in row.cells.iter().zip(heads) {
        if *head == Head::Nameless && !cell.text.trim().is_empty() {
            let text = shown(cell.text.trim());
            let sentence = "expected nothing in a column without a name";
            report.add(cell.at, format_args!("{sentence}, found {text}"));
        }
    }
    Some(cells)
}

/// A row whose cells are known by their columns.
struct Cells<'a> {
    row: &'a Row<'a>,
    heads: &'a [Head],
    report: &'a Report<'a>,
}

impl<'a> Cells<'a> {
    /// What a column says; an empty cell says nothing.
    fn get(&self, column: Column) -> Option<Filled<'a>> {
        let heads = self.heads.iter();
        let place = heads.take_while(|head| **head != Head::Known(column));
        let cell = self.row.cells.get(place.count())?;
        let text = cell.text.trim_start();
        let at = cell.at + cell.text.len() - text.len();
        let text = text.trim_end();
        (!text.is_empty()).then_some(Filled {
            column: column.as_str(),
            text,
            at,
            report: self.report,
        })
    }

    /// What a column says that has to say something.
    fn require(&self, column: Column) -> Option<Filled<'a>> {
        let filled = self.get(column);
        let mut heads = self.heads.iter();
        let place = heads.position(|head| *head == Head::Known(column));
        if filled.is_none()
            && let Some(cell) = place.and_then(|place| self.row.cells.get(place))
        {
            let name = column.as_str();
            let sentence = format!("{name}: expected some text, found an empty cell");
            self.report.add(cell.at, sentence);
        }
        filled
    }

    /// The company of this row and the cell with its number; `None` beside a reported mistake.
    fn company(&self) -> Option<(Filled<'a>, Company)> {
        let day = |column, bounds| match self.get(column) {
            None => Some(None),
            Some(cell) => cell.whole(bounds).map(Some),
        };
        let addresses = |column| match self.get(column) {
            None => Some(Vec::new()),
            Some(cell) => cell.addresses(),
        };
        let ban = self.require(Column::Ban);
        let number = ban.as_ref().and_then(Filled::ban);
        let name = self.require(Column::Name).and_then(|cell| cell.line());
        let assignment = match self.get(Column::Assignment) {
            None => Some(Assignment::Period),
            Some(cell) => cell.assignment(),
        };
        let recipients = addresses(Column::Recipients);
        let due_day = day(Column::DueDay, DUE);
        let reminder_day = day(Column::ReminderDay, REMINDER);
        let confirm_to = addresses(Column::ConfirmTo);
        let alert_to = addresses(Column::AlertTo);
        // What is left to be wrong with a number is that it stands twice, which is said even where
        // something else of the row is wrong.
        let company = Company {
            assignment: assignment.unwrap_or(Assignment::Period),
            recipients: recipients.unwrap_or_default(),
            due_day: due_day.unwrap_or_default(),
            reminder_day: reminder_day.unwrap_or_default(),
            confirm_to: confirm_to.unwrap_or_default(),
            alert_to: alert_to.unwrap_or_default(),
            ..Company::new(number?, name.unwrap_or_default())
        };
        Some((ban?, company))
    }
}

impl<'a> Filled<'a> {
    fn refuse(&self, sentence: impl Display) {
        self.refuse_at(0, sentence);
    }

    /// Without the column's name before it.
    fn refuse_plainly(&self, sentence: impl Display) {
        self.report.add(self.at, sentence);
    }

    /// At so many bytes from its beginning.
    fn refuse_at(&self, bytes: usize, sentence: impl Display) {
        let at = self.at + bytes;
        self.report
            .add(at, format_args!("{}: {sentence}", self.column));
    }

    fn ban(&self) -> Option<Ban> {
        let text = self.text;
        match text.parse() {
            Ok(ban) => return Some(ban),
            Err(error) if !text.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.refuse(error);
                return None;
            }
            Err(error) => {
                // A spreadsheet takes the number for one to reckon with.
                let whole = format!("{text:0>8}");
                match (text.len(), whole.parse::<Ban>()) {
                    (5..8, Ok(ban)) => self.refuse(format_args!(
                        "{error}, {} digits; has a spreadsheet dropped the 0 of `{ban}`? make the \
                         column text and write it again",
                        text.len()
                    )),
                    (7, Err(_)) => self.refuse(format_args!(
                        "{error}, 7 digits; has a spreadsheet dropped a 0 at the beginning? make \
                         the column text and write it again"
                    )),
                    _ => self.refuse(error),
                }
            }
        }
        None
    }

    fn line(&self) -> Option<&'a str> {
        if self.text.chars().any(char::is_control) {
            self.refuse(
                "expected one line of text, found a line break or another control character",
            );
            return None;
        }
        Some(self.text)
    }

    fn assignment(&self) -> Option<Assignment> {
        let mut all = ASSIGNMENTS.into_iter();
        let chosen = all.find(|one| one.as_str() == self.text);
        if chosen.is_none() {
            let [others @ .., last] = ASSIGNMENTS.map(|one| format!("`{}`", one.as_str()));
            let (others, found) = (others.join(", "), shown(self.text));
            self.refuse(format_args!("expected {others} or {last}, found {found}"));
        }
        chosen
    }

    fn whole<T>(&self, bounds: RangeInclusive<T>) -> Option<T>
    where
        T: FromStr + PartialOrd + Display,
    {
        let number = self.text.parse().ok();
        let number = number.filter(|number| bounds.contains(number));
        if number.is_none() {
            let (from, to, found) = (bounds.start(), bounds.end(), shown(self.text));
            self.refuse(format_args!(
                "expected a whole number from {from} to {to}, found {found}"
            ));
        }
        number
    }

    /// One address or several, with spaces or punctuation between them, people's own included.
    fn addresses(&self) -> Option<Vec<Address>> {
        let is_between = |c: char| c.is_whitespace() || matches!(c, ';' | ',' | '；' | '，' | '、');
        let mut addresses = Vec::new();
        let mut is_good = true;
        let mut at = 0;
        for piece in self.text.split_inclusive(is_between) {
            let word = piece.trim_end_matches(is_between);
            match word.parse() {
                Ok(address) => addresses.push(address),
                Err(_) if word.is_empty() => {}
                Err(error) => {
                    self.refuse_at(at, error);
                    is_good = false;
                }
            }
            at += piece.len();
        }
        is_good.then_some(addresses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_are_the_keys_of_company() {
        let keys: Vec<&str> = schema::COMPANY.names().collect();
        assert_eq!(Column::ALL.map(Column::as_str).to_vec(), keys);
    }
}
