//! Pages for people: columns that line up and fit the screen, and colour where it helps.
//!
//! Guarantee: no line is wider than the screen, whatever stands in the cells, as long as the cells
//! that must stay whole leave room; a cell is one line of visible text, whoever wrote it. Colour
//! goes to a terminal only, and never where `NO_COLOR` is set (<https://no-color.org>).

use std::{collections::BTreeMap, io};

use anstream::{
    AutoStream, ColorChoice,
    stream::{IsTerminal, RawStream},
};
use anstyle::{AnsiColor, Style};

use crate::{
    columns::{cut, cut_front, pad, width, wrap},
    stranger::one_line,
};

/// What a person must act on.
const ALARM: Style = AnsiColor::Red.on_default().bold();
/// What is as it should be.
const CALM: Style = AnsiColor::Green.on_default();
/// The width of a page that goes to no terminal, and the least of one that does.
const COLUMNS: usize = 80;
/// Between two columns.
const GAP: usize = 2;
/// So much of a cell is looked at, characters; a server's answer is shorter than that.
const CHARACTERS: usize = 1000;
/// A column that is wrapped keeps at least so many columns of the page.
const LEAST_WRAPPED: usize = 24;
/// So many rows of a kind are shown where there may be thousands.
pub(super) const ROWS: usize = 50;

/// Where a page is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Screen {
    width: usize,
    colour: bool,
}

impl Screen {
    /// Standard output.
    pub(super) fn stdout() -> Self {
        let columns = console::Term::stdout()
            .size_checked()
            .map_or(COLUMNS, |(_, columns)| columns.into());
        Self {
            width: columns.max(COLUMNS),
            colour: takes_colour(&io::stdout()),
        }
    }

    /// `text` as what a person must act on.
    pub(super) fn alarm(self, text: &str) -> String {
        self.paint(text, ALARM)
    }

    /// `text` as what is as it should be.
    pub(super) fn calm(self, text: &str) -> String {
        self.paint(text, CALM)
    }

    /// A paragraph, however long.
    pub(super) fn paragraph(self, text: &str) -> String {
        let lines = wrap(&one_line(text, CHARACTERS), self.width);
        format!("{}\n", lines.join("\n"))
    }

    /// Text of many lines: one that is too wide goes on below, further in than it began.
    pub(super) fn prose(self, text: &str) -> String {
        let mut out = String::new();
        for line in text.lines() {
            if width(line) <= self.width {
                out.push_str(line);
                out.push('\n');
                continue;
            }
            let indent = line.len() - line.trim_start_matches(' ').len();
            let further = self.width.saturating_sub(indent + 2 * GAP);
            for (number, part) in wrap(line, further).iter().enumerate() {
                let blanks = indent + if number == 0 { 0 } else { 2 * GAP };
                out.push_str(&pad("", blanks));
                out.push_str(part);
                out.push('\n');
            }
        }
        out
    }

    /// `text` behind `head`, which begins at column `at`; its further lines are `indent` columns in.
    pub(super) fn hanging(self, head: &str, at: usize, indent: usize, text: &str) -> String {
        let margin = pad("", indent);
        let mut out = if at + width(head) > indent {
            let under = cut(head.trim_end(), self.width.saturating_sub(at));
            format!("{under}\n{margin}")
        } else {
            pad(head, indent.saturating_sub(at))
        };
        let lines = wrap(text, self.width.saturating_sub(indent));
        out.push_str(&lines.join(&format!("\n{margin}")));
        out.truncate(out.trim_end().len());
        out.push('\n');
        out
    }

    fn paint(self, text: &str, style: Style) -> String {
        if self.colour && !style.is_plain() {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }
}

/// Whether colour may be written there.
pub(super) fn takes_colour(stream: &impl RawStream) -> bool {
    IsTerminal::is_terminal(stream) && AutoStream::choice(stream) != ColorChoice::Never
}

/// What becomes of a column when the page is too narrow for all that stands in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    /// Nothing: half a number is a wrong one.
    Whole,
    /// It is left out.
    Spare,
    /// It keeps its beginning.
    Cut,
    /// It keeps its end.
    CutFront,
    /// It goes on below, as the last column.
    Wrap,
}

/// One column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column<'a> {
    title: &'a str,
    fit: Fit,
    least: usize,
    right: bool,
}

impl<'a> Column<'a> {
    const fn new(title: &'a str, fit: Fit, least: usize) -> Self {
        Self {
            title,
            fit,
            least,
            right: false,
        }
    }

    /// Ids, numbers, moments: never cut.
    pub(super) const fn whole(title: &'a str) -> Self {
        Self::new(title, Fit::Whole, 0)
    }

    /// As [`Column::whole`], and as wide in every table.
    pub(super) const fn at_least(title: &'a str, wide: usize) -> Self {
        Self::new(title, Fit::Whole, wide)
    }

    /// As [`Column::whole`], flush right.
    pub(super) const fn number(title: &'a str) -> Self {
        Self {
            right: true,
            ..Self::whole(title)
        }
    }

    /// Shown where there is room for all of the table; the last one goes first.
    pub(super) const fn spare(title: &'a str) -> Self {
        Self::new(title, Fit::Spare, 0)
    }

    /// Words, of which at least so many columns are shown.
    pub(super) const fn cut(title: &'a str, least: usize) -> Self {
        Self::new(title, Fit::Cut, least)
    }

    /// A path, whose end tells most.
    pub(super) const fn path(title: &'a str, least: usize) -> Self {
        Self::new(title, Fit::CutFront, least)
    }

    /// Words that are shown in full; the last column.
    pub(super) const fn wrapped(title: &'a str) -> Self {
        Self::wrapped_at(title, LEAST_WRAPPED)
    }

    /// As [`Column::wrapped`], where at least so many columns are kept for it.
    pub(super) const fn wrapped_at(title: &'a str, least: usize) -> Self {
        Self::new(title, Fit::Wrap, least)
    }
}

/// What stands in one place.
#[derive(Debug, Clone, Default)]
pub(super) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// What a person must act on.
    pub(super) fn alarm(text: impl Into<String>) -> Self {
        Self::new(text, ALARM)
    }

    fn new(text: impl Into<String>, style: Style) -> Self {
        let text = one_line(&text.into(), CHARACTERS);
        Self { text, style }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text, Style::new())
    }
}

/// Rows under a header.
#[derive(Debug)]
pub(super) struct Table<'a> {
    indent: usize,
    columns: Vec<Column<'a>>,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    cells: Vec<Cell>,
    below: Vec<Below>,
}

/// Words below a row.
#[derive(Debug)]
struct Below {
    label: &'static str,
    words: String,
    fit: Fit,
}

impl<'a> Table<'a> {
    /// A table with `indent` blanks before every line. There is no header where no column has a
    /// title.
    pub(super) fn new(indent: usize, columns: &[Column<'a>]) -> Self {
        Self {
            indent,
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row: a cell for each column.
    pub(super) fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        self.rows.push(Row {
            cells: cells.into(),
            below: Vec::new(),
        });
    }

    /// Adds words below the last row, all of them.
    pub(super) fn below(&mut self, words: impl Into<String>) {
        self.add_below("", words, Fit::Wrap);
    }

    /// As [`Table::below`], behind a label under which they go on.
    pub(super) fn below_labelled(&mut self, label: &'static str, words: impl Into<String>) {
        self.add_below(label, words, Fit::Wrap);
    }

    /// Adds one line of words below the last row.
    pub(super) fn below_cut(&mut self, words: impl Into<String>) {
        self.add_below("", words, Fit::Cut);
    }

    fn add_below(&mut self, label: &'static str, words: impl Into<String>, fit: Fit) {
        let words = one_line(&words.into(), CHARACTERS);
        if let Some(row) = self.rows.last_mut()
            && !words.is_empty()
        {
            row.below.push(Below { label, words, fit });
        }
    }

    /// The table as text; every line ends with a line end.
    pub(super) fn on(&self, screen: Screen) -> String {
        let widths = self.widths(screen.width);
        let mut out = String::new();
        if self.columns.iter().any(|column| !column.title.is_empty()) {
            let titles: Vec<Cell> = self.columns.iter().map(|c| c.title.into()).collect();
            self.write(&titles, &widths, screen, &mut out);
        }
        for row in &self.rows {
            self.write(&row.cells, &widths, screen, &mut out);
            for Below { label, words, fit } in &row.below {
                let mut at = self.indent + 2 * GAP;
                out.push_str(&pad("", at));
                if !label.is_empty() {
                    out.push_str(&pad(label, width(label) + GAP));
                    at += width(label) + GAP;
                }
                let room = screen.width.saturating_sub(at);
                let lines = match fit {
                    Fit::Cut => vec![cut(words, room)],
                    _ => wrap(words, room),
                };
                out.push_str(&lines.join(&format!("\n{}", pad("", at))));
                out.push('\n');
            }
        }
        out
    }

    /// The width of each column; `None` for those that are left out.
    fn widths(&self, screen: usize) -> Vec<Option<usize>> {
        let mut widths: Vec<Option<usize>> = (0..)
            .zip(&self.columns)
            .map(|(at, column)| {
                let cells = self.rows.iter().filter_map(|row| row.cells.get(at));
                let widest = cells.map(|cell| width(&cell.text)).max();
                let least = match column.fit {
                    Fit::Whole => column.least,
                    Fit::Spare | Fit::Cut | Fit::CutFront | Fit::Wrap => 0,
                };
                let widest = widest.unwrap_or_default().max(width(column.title));
                Some(widest.max(least))
            })
            .collect();
        let total = |widths: &[Option<usize>]| {
            let shown = widths.iter().flatten();
            (self.indent + shown.map(|wide| wide + GAP).sum::<usize>()).saturating_sub(GAP)
        };
        while total(&widths) > screen {
            let mut columns = self.columns.iter().zip(&mut widths);
            let spare = columns.rfind(|(column, wide)| column.fit == Fit::Spare && wide.is_some());
            match spare {
                Some((_, wide)) => *wide = None,
                None => break,
            }
        }
        while total(&widths) > screen {
            let columns = self.columns.iter().zip(&mut widths);
            let widest = columns
                .filter(|(column, _)| !matches!(column.fit, Fit::Whole | Fit::Spare))
                .filter_map(|(column, wide)| Some((column, wide.as_mut()?)))
                .filter(|(column, wide)| **wide > column.least)
                .max_by_key(|(_, wide)| **wide);
            match widest {
                Some((_, wide)) => *wide -= 1,
                None => break,
            }
        }
        widths
    }

    fn write(&self, cells: &[Cell], widths: &[Option<usize>], screen: Screen, out: &mut String) {
        let mut blanks = self.indent;
        let mut rest: Vec<String> = Vec::new();
        let mut column_at = self.indent;
        let mut rest_at = 0;
        for ((column, cell), wide) in self.columns.iter().zip(cells).zip(widths) {
            let Some(wide) = *wide else { continue };
            let text = match column.fit {
                Fit::Whole | Fit::Spare => cell.text.clone(),
                Fit::Cut => cut(&cell.text, wide),
                Fit::CutFront => cut_front(&cell.text, wide),
                Fit::Wrap => {
                    let mut lines = wrap(&cell.text, wide).into_iter();
                    let first = lines.next().unwrap_or_default();
                    (rest, rest_at) = (lines.collect(), column_at);
                    first
                }
            };
            let space = wide.saturating_sub(width(&text));
            let (before, behind) = if column.right { (space, 0) } else { (0, space) };
            blanks += before;
            // Blanks are written before words only, so that no line ends in them.
            if !text.is_empty() {
                out.push_str(&pad("", blanks));
                out.push_str(&screen.paint(&text, cell.style));
                blanks = 0;
            }
            blanks += behind + GAP;
            column_at += wide + GAP;
        }
        out.push('\n');
        for line in rest {
            out.push_str(&pad("", rest_at));
            out.push_str(&line);
            out.push('\n');
        }
    }
}

/// `3 imported, 1 unrelated`: what there is, and `none` where there is nothing.
pub(super) fn tally(counts: &BTreeMap<String, u64>) -> String {
    let some = counts.iter().filter(|(_, n)| **n > 0);
    let parts: Vec<String> = some.map(|(what, n)| format!("{n} {what}")).collect();
    if parts.is_empty() {
        "none".to_owned()
    } else {
        parts.join(", ")
    }
}

/// How many of `all` rows are not shown after the first [`ROWS`], and where they are.
pub(super) fn more(all: usize, where_else: &str) -> String {
    match all.saturating_sub(ROWS) {
        0 => String::new(),
        rest => format!("  … and {rest} more; {where_else}\n"),
    }
}

#[cfg(test)]
pub(super) mod trial;

#[cfg(test)]
mod tests;
