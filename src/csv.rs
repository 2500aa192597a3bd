//! Rows and cells of a CSV file (RFC 4180), each with its place.
//!
//! Not the `csv` crate, which reads everything: it takes a quote that is never closed for a cell as
//! long as the rest of the file, and does not say where a cell stands. Left out on purpose: what the
//! cells mean. Guarantee: what is not RFC 4180 is refused at its place, and reading goes on behind it
//! wherever it can.

use std::borrow::Cow;

/// One cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell<'t> {
    /// What it says, quotes taken off.
    pub text: Cow<'t, str>,
    /// Byte offset of its first character in the file, behind the quote where there is one.
    pub at: usize,
}

/// One row that holds something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row<'t> {
    /// Its cells, at least one.
    pub cells: Vec<Cell<'t>>,
    /// Byte offset of its beginning.
    pub at: usize,
}

/// What is not CSV; the row it stands in is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Byte offset.
    pub at: usize,
    /// What it is.
    pub what: What,
}

/// How a text can fail to be CSV.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A quote opens and is never closed.
    Open,
    /// A quote stands inside a cell that does not begin with one.
    Inside,
    /// Something stands between a closing quote and the next comma. The cell began at this byte
    /// offset.
    Behind(usize),
}

/// What ends a cell.
enum End {
    Comma,
    Line,
    File,
}

/// The rows of a text, blank ones left out.
#[derive(Debug)]
pub struct Rows<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Rows<'t> {
    /// Those of `text`.
    pub fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The next `bytes`, which lie behind us then.
    fn take(&mut self, bytes: usize) -> &'t str {
        let taken = self.rest().get(..bytes).unwrap_or_default();
        self.at += bytes;
        taken
    }

    fn row(&mut self) -> Result<Row<'t>, Fault> {
        let at = self.at;
        let mut cells = Vec::new();
        loop {
            let (cell, end) = match self.rest().starts_with('"') {
                true => self.quoted()?,
                false => self.bare()?,
            };
            cells.push(cell);
            if !matches!(end, End::Comma) {
                return Ok(Row { cells, at });
            }
        }
    }

    fn bare(&mut self) -> Result<(Cell<'t>, End), Fault> {
        let rest = self.rest();
        let (at, length) = (self.at, rest.find([',', '\n', '"']).unwrap_or(rest.len()));
        let text = self.take(length);
        let Some(end) = self.end() else {
            let fault = self.at;
            self.skip_line();
            return Err(Fault {
                at: fault,
                what: What::Inside,
            });
        };
        let text = match end {
            End::Comma => text,
            End::Line | End::File => text.strip_suffix('\r').unwrap_or(text),
        };
        let text = Cow::Borrowed(text);
        Ok((Cell { text, at }, end))
    }

    fn quoted(&mut self) -> Result<(Cell<'t>, End), Fault> {
        let opened = self.at;
        self.take(1);
        let at = self.at;
        let mut text = Cow::Borrowed("");
        loop {
            let Some(length) = self.rest().find('"') else {
                self.at = self.text.len();
                return Err(Fault {
                    at: opened,
                    what: What::Open,
                });
            };
            text += self.take(length);
            self.take(1);
            // RFC 4180 §2.7: a quote inside is written twice.
            if self.rest().starts_with('"') {
                text += self.take(1);
            } else {
                break;
            }
        }
        if self.rest().starts_with("\r\n") || self.rest() == "\r" {
            self.take(1);
        }
        match self.end() {
            Some(end) => Ok((Cell { text, at }, end)),
            None => {
                let fault = self.at;
                self.skip_line();
                Err(Fault {
                    at: fault,
                    what: What::Behind(opened),
                })
            }
        }
    }

    /// Steps over what ends a cell; `None` when something else comes.
    fn end(&mut self) -> Option<End> {
        let end = match self.rest().as_bytes().first() {
            None => return Some(End::File),
            Some(b',') => End::Comma,
            Some(b'\n') => End::Line,
            Some(_) => return None,
        };
        self.at += 1;
        Some(end)
    }

    fn skip_line(&mut self) {
        let rest = self.rest();
        self.at += rest.find('\n').map_or(rest.len(), |end| end + 1);
    }
}

impl<'t> Iterator for Rows<'t> {
    type Item = Result<Row<'t>, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.at < self.text.len() {
            match self.row() {
                // Spreadsheets write a blank row as commas.
                Ok(row) if row.cells.iter().all(|cell| cell.text.trim().is_empty()) => {}
                row => return Some(row),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Vec<Result<Vec<String>, (usize, What)>> {
        let rows = Rows::new(text).map(|row| match row {
            Ok(row) => Ok(row.cells.into_iter().map(|cell| cell.text.into()).collect()),
            Err(Fault { at, what }) => Err((at, what)),
        });
        rows.collect()
    }

    fn row(cells: &[&str]) -> Result<Vec<String>, (usize, What)> {
        Ok(cells.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn rows_end_in_lf_in_crlf_or_with_the_file_and_blank_ones_are_none() {
        let expected = [row(&["a", "b"]), row(&["c", ""])];
        for text in [
            "a,b\nc,\n",
            "a,b\r\nc,\r\n",
            "\n\na,b\n \n,,,\n\r\nc,",
            "a,b\r\nc,\r",
            "\"a\",\"b\"\r\n\"c\",\"\"\r\n",
            "\"a\",b\n\"c\",\"\"\r",
        ] {
            assert_eq!(read(text), expected, "{text:?}");
        }
        assert_eq!(read(""), []);
        assert_eq!(read("\r\n"), []);
    }

    #[test]
    fn a_cell_in_quotes_may_hold_commas_line_ends_and_quotes() {
        let text = "\"a,\r\nb\",\"say \"\"x\"\"\",\"\"\"\"\nc,d,e";
        let expected = [row(&["a,\r\nb", "say \"x\"", "\""]), row(&["c", "d", "e"])];
        assert_eq!(read(text), expected);
    }

    #[test]
    fn what_is_not_csv_costs_its_row_and_no_other() {
        assert_eq!(
            read("a,b\nc,5\" disk\n\"d\" ,e\nf,g"),
            [
                row(&["a", "b"]),
                Err((7, What::Inside)),
                Err((17, What::Behind(14))),
                row(&["f", "g"]),
            ]
        );
        assert_eq!(
            read("a,b\nc,\"d\ne,f\n"),
            [row(&["a", "b"]), Err((6, What::Open))]
        );
    }

    #[test]
    fn every_cell_knows_where_it_begins() {
        let text = "統編,\"名,稱\"\r\n\"x\"\"y\",z";
        for row in Rows::new(text).map(Result::unwrap) {
            for cell in row.cells {
                let first = cell.text.chars().next().unwrap();
                assert!(text.split_at(cell.at).1.starts_with(first), "{cell:?}");
            }
        }
    }

    fn written(rows: &[Vec<String>], line_end: &str) -> String {
        let cell = |text: &String| match text.contains([',', '"', '\n', '\r']) {
            true => format!("\"{}\"", text.replace('"', "\"\"")),
            false => text.clone(),
        };
        let row = |cells: &Vec<String>| cells.iter().map(cell).collect::<Vec<_>>().join(",");
        rows.iter().map(|cells| row(cells) + line_end).collect()
    }

    proptest! {
        #[test]
        fn what_is_written_as_rfc_4180_says_is_read_back(
            rows in prop::collection::vec(prop::collection::vec("[a統,\"\r\n ;]{0,6}", 1..5), 0..6),
            crlf: bool,
        ) {
            let filled = |cells: &&Vec<String>| cells.iter().any(|cell| !cell.trim().is_empty());
            let expected: Vec<_> = rows.iter().filter(filled).cloned().map(Ok).collect();
            let text = written(&rows, if crlf { "\r\n" } else { "\n" });
            prop_assert_eq!(read(&text), expected);
        }

        #[test]
        fn any_text_comes_to_its_end(text in "[a統,\"\r\n]{0,40}") {
            prop_assert!(Rows::new(&text).count() <= text.len());
        }
    }
}
