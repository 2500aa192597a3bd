//! Columns that line up in a terminal and in a mail reader with a fixed-width font, where a
//! Chinese character is as wide as two letters.

pub(super) use crate::columns::grouped;
use crate::columns::{flush_right, pad, width};

/// Lines of `label  value`, the values below each other.
pub(super) fn facts(rows: &[(&str, String)]) -> String {
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|(label, value)| vec![(*label).to_owned(), value.clone()])
        .collect();
    columns(&rows, &[])
}

/// Rows with their columns below each other, indented by two; the columns numbered in `right`
/// stand flush right. Every line ends with a line end.
pub(super) fn columns(rows: &[Vec<String>], right: &[usize]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or_default();
    let widths: Vec<usize> = (0..count)
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| width(cell)).max().unwrap_or_default()
        })
        .collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, (cell, wide)) in row.iter().zip(&widths).enumerate() {
            line.push_str("  ");
            line.push_str(&if right.contains(&column) {
                flush_right(cell, *wide)
            } else {
                pad(cell, *wide)
            });
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chinese_and_latin_columns_line_up() {
        let rows = [
            vec!["字軌".to_owned(), "本數".to_owned(), "類別".to_owned()],
            vec!["EC".to_owned(), "8".to_owned(), "07".to_owned()],
        ];
        assert_eq!(
            columns(&rows, &[1]),
            "  字軌  本數  類別\n  EC       8  07\n"
        );
    }
}
