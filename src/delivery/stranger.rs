//! Words that strangers wrote, made fit to stand in our letters and logs, and on a terminal.
//!
//! Guarantee: what comes out is one line of visible text of bounded length. It cannot begin a
//! header field, cannot reverse the text around it and cannot hide in it. Left out on purpose:
//! any opinion on what the words say.

/// `text` on one line of at most `most` characters: white space becomes single blanks, what
/// cannot be seen is shown as `<U+202E>`, and what is cut off as `…`.
pub fn one_line(text: &str, most: usize) -> String {
    let mut line = String::new();
    let mut length = 0;
    for word in text.split_whitespace() {
        let blank = if line.is_empty() { "" } else { " " };
        for piece in std::iter::once(blank.to_owned()).chain(word.chars().map(visible)) {
            length += piece.chars().count();
            if length > most {
                line.push('…');
                return line;
            }
            line.push_str(&piece);
        }
    }
    line
}

/// `text` as logs show it: on one line of bounded length, without whole mail addresses.
pub fn for_the_log(text: &str) -> String {
    masked(&one_line(text, 500))
}

/// `text` with the local part of every mail address in it cut down to its first letter, as logs
/// show addresses.
pub(super) fn masked(text: &str) -> String {
    // RFC 5322 §3.2.3 atext and the dot; quotes are left to the text around the address.
    let local = |c: char| c.is_alphanumeric() || "!#$%&*+-/=?^_{|}~.".contains(c);
    let mut out = String::new();
    let mut parts = text.split('@').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            out.push_str(part);
        } else {
            let before = part.trim_end_matches(local);
            out.push_str(before);
            out.extend(part.strip_prefix(before).and_then(|l| l.chars().next()));
            out.push_str("***@");
        }
    }
    out
}

fn visible(c: char) -> String {
    if c.is_control() || is_invisible(c) {
        format!("<U+{:04X}>", u32::from(c))
    } else {
        c.to_string()
    }
}

/// Unicode's Default_Ignorable_Code_Point (UAX #44), the interlinear marks and the blank Braille
/// cell: everything that takes part in a text without being seen. Bidi controls are among them.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_end_cannot_begin_a_header_field() {
        assert_eq!(
            one_line("配號結果\r\nBcc: thief@example.net\n\tx\u{2028}y", 80),
            "配號結果 Bcc: thief@example.net x y"
        );
        assert_eq!(one_line(" \r\n ", 80), "");
    }

    #[test]
    fn what_cannot_be_seen_is_shown() {
        assert_eq!(
            one_line("a\u{202e}b\u{200b}c\u{0}\u{feff}\u{e0041}", 80),
            "a<U+202E>b<U+200B>c<U+0000><U+FEFF><U+E0041>"
        );
    }

    #[test]
    fn long_lines_are_cut_at_a_character() {
        assert_eq!(one_line("字軌配號結果", 6), "字軌配號結果");
        assert_eq!(one_line("字軌配號結果", 5), "字軌配號結…");
        assert_eq!(one_line("a\u{202e}", 4), "a…");
    }

    #[test]
    fn logs_do_not_tell_whose_address_it_is() {
        assert_eq!(
            masked("550 <ops@example.com>: unknown, ask 'post.master@example.com'"),
            "550 <o***@example.com>: unknown, ask 'p***@example.com'"
        );
        assert_eq!(masked("@home and no address"), "***@home and no address");
        assert_eq!(masked("nothing here"), "nothing here");
    }
}
