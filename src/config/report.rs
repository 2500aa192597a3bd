//! The mistakes in a file, each with its place.
//!
//! Guarantee: every mistake is one line, whatever was quoted in it.

use std::{cell::RefCell, fmt::Display, path::Path, str::Utf8Error, sync::Arc};

use super::Problem;

/// The mistakes found so far, and the text they were found in.
#[derive(Debug)]
pub(super) struct Report<'t> {
    text: &'t str,
    /// Byte offset and sentence. Shared by every value of the tree while it is being read.
    found: RefCell<Vec<(usize, String)>>,
}

impl<'t> Report<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self {
            text,
            found: RefCell::default(),
        }
    }

    /// Notes one mistake at the byte offset `at`; always one line, whatever was quoted in it.
    pub(super) fn add(&self, at: usize, sentence: impl Display) {
        let one_line = sentence
            .to_string()
            .chars()
            .map(|c| if c.is_control() { '\u{fffd}' } else { c })
            .collect();
        self.found.borrow_mut().push((at, one_line));
    }

    /// The line, from 1, on which the byte offset `at` lies.
    pub(super) fn line(&self, at: usize) -> usize {
        position(self.text, at).0
    }

    /// Whether there is any.
    pub(super) fn is_empty(&self) -> bool {
        self.found.borrow().is_empty()
    }

    /// All of them, in the order of the text, which stands in `file`.
    pub(super) fn into_problems(self, file: &Path) -> Vec<Problem> {
        let mut found = self.found.into_inner();
        found.sort();
        let file: Arc<Path> = file.into();
        // Step by step: a long file may have a mistake in every line.
        let (mut line, mut begin, mut reached) = (1, 0, 0);
        found
            .into_iter()
            .map(|(at, message)| {
                let passed = self.text.get(reached..at).unwrap_or_default();
                line += passed.matches('\n').count();
                begin = passed.rfind('\n').map_or(begin, |end| reached + end + 1);
                reached = at;
                let before = self.text.get(begin..at).unwrap_or_default();
                Problem {
                    file: Arc::clone(&file),
                    line,
                    column: before.chars().count() + 1,
                    message,
                }
            })
            .collect()
    }
}

/// Line and column in characters, both from 1, of a byte offset.
pub(super) fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

/// What is wrong with bytes that are not UTF-8, at the first of them.
pub(super) fn undecodable(
    bytes: &[u8],
    error: &Utf8Error,
    file: &Path,
    message: String,
) -> Problem {
    let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
    let (line, column) = position(&String::from_utf8_lossy(good), good.len());
    Problem {
        file: file.into(),
        line,
        column,
        message,
    }
}

/// What is wrong with a text that is not TOML. Nothing of a value is repeated: it may be a secret
/// whose quotes were forgotten.
pub(super) fn syntax(text: &str, error: &toml::de::Error) -> (usize, String) {
    let span = error.span().unwrap_or_default();
    let before = text.get(..span.start).unwrap_or_default();
    let after = text.get(span.start..).unwrap_or_default();
    let next = after.chars().next().unwrap_or('\n');
    let sentence = if error.message() == "duplicate key" {
        let key = text.get(span.clone()).unwrap_or_default();
        format!("`{key}` stands here a second time; keep one of the two")
    } else if before.trim_end_matches(' ').ends_with('=') && matches!(next, '\n' | '\r' | '#') {
        "expected a value after the `=`, found none".to_owned()
    } else if before.trim_end_matches(' ').ends_with(['=', '[', ','])
        && (next.is_alphabetic() || next == '/')
    {
        "expected text in quotes, a number, true or false, found a bare word".to_owned()
    } else {
        format!("not TOML: {}", error.message())
    };
    (span.start, sentence)
}
