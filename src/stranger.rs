//! Words that strangers wrote, made fit to stand in our letters and logs, and on a terminal.
//!
//! The one place that knows which characters take part in a text without being seen, or turn what
//! stands around them: every other asks here, so that what is harmless in one place is harmless in
//! all. Left out on purpose: any opinion on what the words say.
//!
//! Guarantee: what comes out is visible text. It cannot begin a line or a header field, cannot
//! command a terminal, cannot reverse the text around it and cannot hide in it; what was taken out
//! stands there as `<U+202E>`, and is never silently dropped.

use std::{borrow::Cow, fmt::Write as _};

/// `text` on one line of at most `most` characters: white space becomes single blanks, what
/// cannot be seen is shown as `<U+202E>`, and what is cut off as `…`.
pub fn one_line(text: &str, most: usize) -> String {
    let mut line = String::new();
    let mut length = 0;
    for word in text.split_whitespace() {
        let blank = if line.is_empty() { "" } else { " " };
        for piece in std::iter::once(blank.to_owned()).chain(word.chars().map(shown)) {
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
pub fn masked(text: &str) -> String {
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

/// `text` on one line, of whatever length, its blanks as they stand.
pub fn visible(text: &str) -> String {
    let shown = |c| match c {
        '\t' => " ".to_owned(),
        c => shown(c),
    };
    text.chars().map(shown).collect()
}

/// Text of ours that strangers' words may stand in, in as many lines as it has.
pub fn lines(text: &str) -> Cow<'_, str> {
    if !text.contains(|c| c != '\n' && is_unseen(c)) {
        return text.into();
    }
    let lines: Vec<String> = text.split('\n').map(visible).collect();
    lines.join("\n").into()
}

/// `text` without what [`visible`] would show as a mark: what it says, for comparing.
pub fn said(text: &str) -> String {
    text.chars().filter(|c| !is_unseen(*c)).collect()
}

/// JSON that says the same as `json`, in which nothing unseen stands as it is. RFC 8259 §7.
pub fn in_json(json: &str) -> Cow<'_, str> {
    if !json.contains(|c| c != '\n' && is_unseen(c)) {
        return json.into();
    }
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c == '\n' || !is_unseen(c) {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}").ok();
            }
        }
    }
    out.into()
}

/// A server's `answer` without the `secrets` that it may have repeated, which logs and letters
/// would otherwise carry on.
pub fn without(secrets: &[&str], answer: &str) -> String {
    let mut answer = answer.to_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        answer = answer.replace(secret, "***");
    }
    answer
}

/// Whether a character turns the order of those around it: Unicode's Bidi_Control (UAX #9 §2).
pub fn is_turning(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether a character takes part in a text without being seen, or ends the line.
fn is_unseen(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') || is_invisible(c)
}

fn shown(c: char) -> String {
    if is_unseen(c) {
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
    fn every_way_of_showing_leaves_nothing_unseen() {
        for c in char::MIN..=char::MAX {
            let text = format!("a{c}b");
            for shown in [
                one_line(&text, 80),
                visible(&text),
                lines(&text).into_owned(),
            ] {
                let unseen = |c| c != '\n' && is_unseen(c);
                assert!(!shown.contains(unseen), "{c:?}: {shown:?}");
                let is_there = c.is_whitespace() || shown.len() > 2;
                assert!(is_there, "{c:?} was dropped: {shown:?}");
            }
            assert!(!is_turning(c) || is_unseen(c), "{c:?}");
        }
        assert_eq!(
            lines("a\n\u{1b}[31m\u{9b}b\r\n"),
            "a\n<U+001B>[31m<U+009B>b<U+000D>\n"
        );
        assert_eq!(
            visible("a\r\nb\u{2028}c\td"),
            "a<U+000D><U+000A>b<U+2028>c d"
        );
        assert_eq!(said("配\u{202e}號\r\n結\u{200b}果"), "配號結果");
    }

    #[test]
    fn json_says_the_same_without_what_cannot_be_seen() {
        let value = serde_json::json!({ "a": "\u{202e}\u{9b}31m\r\n\u{e0041}字😀", "b": [1] });
        let plain = format!("{value:#}");
        let safe = in_json(&plain);
        assert!(!safe.contains(|c| c != '\n' && is_unseen(c)), "{safe:?}");
        assert!(
            safe.contains(r"\u202e\u009b31m\r\n\udb40\udc41字😀"),
            "{safe}"
        );
        let read: serde_json::Value = serde_json::from_str(&safe).unwrap();
        assert_eq!(read, value);
    }

    #[test]
    fn a_secret_that_is_repeated_is_taken_out() {
        assert_eq!(
            without(&["hunter2", ""], "NO LOGIN ann hunter2: hunter2?"),
            "NO LOGIN ann ***: ***?"
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
