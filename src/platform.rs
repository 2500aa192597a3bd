//! The platform's own files, as it lets people download them: the CSV of allocated numbers (字軌檔),
//! and MIG E0501 as Turnkey receives it. Written, and read with suspicion.
//!
//! Guarantees: what is written is read back as the same ranges; a file with one thing wrong yields no
//! range, and every mistake that can be told apart is named with its place; what is read has passed
//! every check that needs nothing but itself. Left out on purpose: where files come from, and whether
//! what they say agrees with what is recorded.

mod csv;
mod e0501;

pub use self::{
    csv::{name as csv_name, write as csv},
    e0501::write as e0501,
};

use std::borrow::Cow;

use encoding_rs::BIG5;

pub use crate::notice::FileKind as Source;
use crate::{notice::Allocation, stranger::one_line};

/// No mistake has more to say, characters.
const WORDS: usize = 600;

/// In which bytes a CSV is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// UTF-8 with BOM, so that spreadsheets show the Chinese.
    #[default]
    Utf8,
    /// Big5 (CP950), as the platform wrote it for long.
    Big5,
}

/// A file that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Which.
    pub source: Source,
    /// What it grants, in its own order.
    pub rows: Vec<Row>,
}

/// One range of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The range and whose it is; neither file states requested and added booklets.
    pub allocation: Allocation,
    /// The line on which it begins, from 1.
    pub line: usize,
}

/// Something wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}")]
pub struct Mistake {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What was expected, what was found, what to do.
    pub message: String,
}

/// Which of the platform's files it is, by its content; `None` for anything else.
pub fn kind(bytes: &[u8]) -> Option<Source> {
    const LOOKED_AT: usize = 4096;
    let start = bytes.get(..LOOKED_AT).unwrap_or(bytes);
    if csv::is_one(start) {
        Some(Source::Csv)
    } else if e0501::is_one(start) {
        Some(Source::E0501)
    } else {
        None
    }
}

/// Reads a file of the platform's.
///
/// # Errors
/// Every [`Mistake`], in the order of the file; at least one.
pub fn read(source: Source, bytes: &[u8]) -> Result<File, Vec<Mistake>> {
    let text = decoded(bytes).map_err(|mistake| vec![mistake])?;
    let mut mistakes = Mistakes {
        text: &text,
        found: Vec::new(),
        cursor: Cursor::default(),
    };
    let rows = match source {
        Source::Csv => csv::read(&text, &mut mistakes),
        Source::E0501 => e0501::read(&text, &mut mistakes),
    };
    if mistakes.found.is_empty() {
        Ok(File { source, rows })
    } else {
        Err(mistakes.listed())
    }
}

/// The text without its BOM; UTF-8, or else Big5.
fn decoded(bytes: &[u8]) -> Result<Cow<'_, str>, Mistake> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let valid = match str::from_utf8(bytes) {
        Ok(text) => return Ok(Cow::Borrowed(text)),
        Err(error) => error.valid_up_to(),
    };
    let in_big5 = BIG5.decode_without_bom_handling_and_without_replacement(bytes);
    in_big5.ok_or_else(|| {
        let good = String::from_utf8_lossy(bytes.get(..valid).unwrap_or_default());
        let (line, column) = Cursor::default().to(&good, good.len());
        Mistake {
            line,
            column,
            message:
                "expected UTF-8 or Big5, found bytes that are neither; download the file again"
                    .to_owned(),
        }
    })
}

/// The mistakes found so far, by byte offset.
struct Mistakes<'t> {
    text: &'t str,
    found: Vec<(usize, String)>,
    cursor: Cursor,
}

impl Mistakes<'_> {
    /// What stands in the file may stand in the message.
    fn add(&mut self, at: usize, message: impl AsRef<str>) {
        self.found.push((at, one_line(message.as_ref(), WORDS)));
    }

    fn line(&mut self, at: usize) -> usize {
        self.cursor.to(self.text, at).0
    }

    fn listed(mut self) -> Vec<Mistake> {
        self.found.sort_by_key(|(at, _)| *at);
        let mut cursor = Cursor::default();
        let found = self.found.into_iter();
        found
            .map(|(at, message)| {
                let (line, column) = cursor.to(self.text, at);
                Mistake {
                    line,
                    column,
                    message,
                }
            })
            .collect()
    }
}

/// A place in a text. It goes on from where it stands: each place of a large file counted from the
/// beginning would take minutes.
struct Cursor {
    at: usize,
    line: usize,
    column: usize,
}

impl Default for Cursor {
    fn default() -> Self {
        Self {
            at: 0,
            line: 1,
            column: 1,
        }
    }
}

impl Cursor {
    /// Line and column in characters, both from 1, of a byte offset; of the end where there is no
    /// such place.
    fn to(&mut self, text: &str, at: usize) -> (usize, usize) {
        let at = if text.is_char_boundary(at) {
            at
        } else {
            text.len()
        };
        if at < self.at {
            *self = Self::default();
        }
        let passed = text.get(self.at..at).unwrap_or_default();
        match passed.rsplit_once('\n') {
            None => self.column += passed.chars().count(),
            Some((lines, rest)) => {
                self.line += lines.matches('\n').count() + 1;
                self.column = rest.chars().count() + 1;
            }
        }
        self.at = at;
        (self.line, self.column)
    }
}

#[cfg(test)]
mod tests;
