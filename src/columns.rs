//! Text in columns, as a terminal and a mail reader with a fixed-width font show it: a Chinese
//! character is as wide as two letters.
//!
//! Guarantee: what is cut or wrapped is no wider than asked for. Left out on purpose: what is
//! fit to be shown, and line ends, which a text in a column has none of.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Columns that `text` takes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// `text` with blanks behind it up to `wide` columns.
pub fn pad(text: &str, wide: usize) -> String {
    format!("{text}{}", " ".repeat(wide.saturating_sub(width(text))))
}

/// `text` with blanks before it up to `wide` columns.
pub fn flush_right(text: &str, wide: usize) -> String {
    format!("{}{text}", " ".repeat(wide.saturating_sub(width(text))))
}

/// The beginning of `text` in at most `wide` columns, with `…` where something is missing.
pub fn cut(text: &str, wide: usize) -> String {
    if width(text) <= wide {
        return text.to_owned();
    }
    let mut out: String = fitting(text.chars(), wide.saturating_sub(1)).collect();
    out.push('…');
    out
}

/// The end of `text` in at most `wide` columns, with `…` where something is missing.
pub fn cut_front(text: &str, wide: usize) -> String {
    if width(text) <= wide {
        return text.to_owned();
    }
    let mut out: Vec<char> = fitting(text.chars().rev(), wide.saturating_sub(1)).collect();
    out.push('…');
    out.into_iter().rev().collect()
}

/// `text` on lines of at most `wide` columns (at least 2), broken at blanks and beside ideographs
/// where there are some: a number in a Chinese sentence stays whole.
pub fn wrap(text: &str, wide: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = text.trim();
    while width(rest) > wide.max(2) {
        let end: usize = fitting(rest.chars(), wide.max(2)).map(char::len_utf8).sum();
        // Not where most of the line would stay empty.
        let least = |at: &usize| width(rest.get(..*at).unwrap_or_default()) * 3 >= wide;
        let at = breaks(rest, end).filter(least).last().unwrap_or(end);
        let (line, behind) = rest.split_at(at);
        lines.push(line.trim_end().to_owned());
        rest = behind.trim_start();
    }
    lines.push(rest.to_owned());
    lines
}

/// Where a line of `text` may end, byte offsets up to `end`: before a blank, and between two
/// characters one of which is an ideograph, but not before what closes.
fn breaks(text: &str, end: usize) -> impl Iterator<Item = usize> {
    let is_wide = |c: char| c.width() == Some(2);
    let closes = |c: char| "，。、；：！？）」』》〉】…".contains(c);
    let opens = |c: char| "（「『《〈【".contains(c);
    let behind = text
        .char_indices()
        .skip(1)
        .take_while(move |(at, _)| *at <= end);
    let before = text.chars();
    before.zip(behind).filter_map(move |(before, (at, after))| {
        let beside = is_wide(before) || is_wide(after);
        let may = after == ' ' || beside && !closes(after) && !opens(before);
        may.then_some(at)
    })
}

/// Characters while they fit. Their widths add up to no less than the text's: what joins to
/// something narrower is counted apart.
fn fitting(chars: impl Iterator<Item = char>, wide: usize) -> impl Iterator<Item = char> {
    chars
        .scan(0, |taken, c| {
            *taken += c.width().unwrap_or(1);
            Some((*taken, c))
        })
        .take_while(move |(taken, _)| *taken <= wide)
        .map(|(_, c)| c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_width_character_is_not_cut_in_half() {
        assert_eq!(cut("雲端行動", 8), "雲端行動");
        assert_eq!(cut("雲端行動", 7), "雲端行…");
        assert_eq!(cut("雲端行動", 6), "雲端…");
        assert_eq!(cut_front("/有/a.mbox:17", 8), "…mbox:17");
        assert_eq!(pad("雲端", 6), "雲端  ");
        assert_eq!(flush_right("雲端", 6), "  雲端");
    }

    #[test]
    fn lines_are_broken_at_blanks_where_there_are_some() {
        assert_eq!(
            wrap("451 4.7.1 try again later", 12),
            ["451 4.7.1", "try again", "later"]
        );
        assert_eq!(wrap("x aaaaaaaaaaaa", 8), ["x aaaaaa", "aaaaaa"]);
        assert_eq!(wrap("配號結果通知", 5), ["配號", "結果", "通知"]);
        assert_eq!(wrap("  ", 5), [""]);
        assert_eq!(
            wrap("先向平台（0800-521-988）查證。屬實才放行。", 22),
            ["先向平台", "（0800-521-988）查證。", "屬實才放行。"]
        );
    }
}
