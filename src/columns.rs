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

/// `6400` as `6,400`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `text` on lines of at most `wide` columns (at least 2), broken at blanks and beside Chinese
/// characters, where there are some.
pub fn wrap(text: &str, wide: usize) -> Vec<String> {
    let wide = wide.max(2);
    let mut lines = Vec::new();
    let mut rest = text.trim();
    while width(rest) > wide {
        let most: usize = fitting(rest.chars(), wide).map(char::len_utf8).sum();
        // A word goes to the next line as a whole, unless most of this one would stay empty.
        let end = rest
            .char_indices()
            .zip(rest.chars().skip(1))
            .map(|((at, before), after)| (at + before.len_utf8(), before, after))
            .take_while(|(at, ..)| *at <= most)
            .filter(|(_, before, after)| may_part(*before, *after))
            .map(|(at, ..)| at)
            .last()
            .filter(|at| rest.get(..*at).is_some_and(|line| width(line) * 2 >= wide))
            .unwrap_or(most);
        let (line, behind) = rest.split_at(end);
        lines.push(line.trim_end().to_owned());
        rest = behind.trim_start();
    }
    lines.push(rest.to_owned());
    lines
}

/// Whether a line may end between these. Punctuation stays with what it belongs to.
fn may_part(before: char, after: char) -> bool {
    let is_wide = |c: char| c.width() == Some(2);
    let is_blank = before == ' ' || after == ' ';
    is_blank
        || (is_wide(before) || is_wide(after))
            && !"（「『".contains(before)
            && !"，。、；：！？）」』".contains(after)
            // What joins to the character before it.
            && after.width() != Some(0)
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
    }

    #[test]
    fn a_number_among_chinese_is_not_broken_and_punctuation_begins_no_line() {
        assert_eq!(
            wrap("請先打電話向平台（0800-521-988）查證", 24),
            ["請先打電話向平台", "（0800-521-988）查證"]
        );
        assert_eq!(
            wrap("已經過期：108/03 - 108/04、108/05", 24),
            ["已經過期：108/03 -", "108/04、108/05"]
        );
        assert_eq!(wrap("登入平台核對，放行", 12), ["登入平台核", "對，放行"]);
    }

    #[test]
    fn thousands_are_grouped() {
        let all = [0, 50, 999, 1000, 6400, 100_000_000].map(grouped);
        assert_eq!(all, ["0", "50", "999", "1,000", "6,400", "100,000,000"]);
    }
}
