//! Columns that line up, Chinese and Latin alike.

use std::collections::BTreeMap;

use unicode_width::UnicodeWidthStr as _;

/// Rows under a header, columns two spaces apart; an ideograph is two columns wide.
pub(super) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let header: Vec<String> = header.iter().map(|title| (*title).to_owned()).collect();
    let lines = || std::iter::once(&header).chain(rows);
    let mut widths = vec![0; header.len()];
    for line in lines() {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.width().max(*width);
        }
    }
    let mut text = String::new();
    for line in lines() {
        let mut row = String::new();
        for (width, cell) in widths.iter().zip(line) {
            row.push_str(&pad(cell, *width));
            row.push_str("  ");
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
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

/// `text` with spaces up to `width` columns.
pub(super) fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ideographs_count_twice() {
        let rows = vec![
            vec!["雲端".to_owned(), "1".to_owned()],
            vec!["cloud".to_owned(), "2".to_owned()],
        ];
        assert_eq!(
            table(&["name", "n"], &rows),
            "name   n\n雲端   1\ncloud  2\n"
        );
    }
}
