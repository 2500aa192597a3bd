//! How words are written in IMAP: quoted strings, folder names, dates.
//!
//! Left out on purpose: literals. What we send is short and has no line ends.

use jiff::{Timestamp, civil::Date, fmt::strtime};

/// RFC 9051 §4.3: a quoted string; `None` where the text holds what no quoted string may.
pub(super) fn quoted(text: &str) -> Option<String> {
    if text.contains(['\r', '\n', '\0']) {
        return None;
    }
    let escaped = text.replace('\\', r"\\").replace('"', "\\\"");
    Some(format!("\"{escaped}\""))
}

/// RFC 3501 §5.1.3: a folder's name as servers without UTF8=ACCEPT want it, quoted.
pub(super) fn folder_name(name: &str) -> String {
    let mut encoded = String::from("\"");
    let mut foreign = String::new();
    for c in name.chars() {
        if !matches!(c, ' '..='~') {
            foreign.push(c);
            continue;
        }
        shift(&mut encoded, &mut foreign);
        match c {
            '&' => encoded.push_str("&-"),
            '"' | '\\' => encoded.extend(['\\', c]),
            _ => encoded.push(c),
        }
    }
    shift(&mut encoded, &mut foreign);
    encoded.push('"');
    encoded
}

/// A folder's name as a person writes it; what is no modified UTF-7 stays as it came.
pub(super) fn read_folder_name(written: &str) -> String {
    let mut name = String::new();
    let mut rest = written;
    while let Some((plain, shifted)) = rest.split_once('&') {
        let Some((encoded, after)) = shifted.split_once('-') else {
            return written.to_owned();
        };
        name.push_str(plain);
        match unshifted(encoded) {
            _ if encoded.is_empty() => name.push('&'),
            Some(foreign) => name.push_str(&foreign),
            None => return written.to_owned(),
        }
        rest = after;
    }
    name.push_str(rest);
    name
}

/// What stands between `&` and `-`.
fn unshifted(encoded: &str) -> Option<String> {
    let (mut bits, mut count) = (0_u32, 0);
    let mut units = Vec::new();
    for c in encoded.bytes() {
        let sextet = ALPHABET.iter().position(|&known| known == c)?;
        bits = bits << 6 | u32::try_from(sextet).ok()?;
        count += 6;
        if count >= 16 {
            count -= 16;
            units.push(u16::try_from(bits >> count & 0xffff).ok()?);
            bits &= (1 << count) - 1;
        }
    }
    String::from_utf16(&units).ok()
}

/// RFC 3501 §5.1.3: base64's, with `,` for `/`.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/// Appends `foreign` as `&…-`, base64 of UTF-16 with `,` for `/` and no padding, and empties it.
fn shift(encoded: &mut String, foreign: &mut String) {
    if foreign.is_empty() {
        return;
    }
    encoded.push('&');
    let bytes: Vec<u8> = foreign.encode_utf16().flat_map(u16::to_be_bytes).collect();
    for group in bytes.chunks(3) {
        let bits = group
            .iter()
            .zip([16, 8, 0])
            .fold(0_usize, |bits, (&byte, by)| bits | usize::from(byte) << by);
        let sextets = [bits >> 18, bits >> 12, bits >> 6, bits];
        encoded.extend(
            sextets
                .iter()
                .take(group.len() + 1)
                .filter_map(|sextet| ALPHABET.get(sextet & 63))
                .map(|&c| char::from(c)),
        );
    }
    encoded.push('-');
    foreign.clear();
}

/// RFC 9051 §9 `date`: `1-Jan-2026`.
pub(super) fn date(day: Date) -> String {
    day.strftime("%-d-%b-%Y").to_string()
}

/// RFC 9051 §9 `date-time`: `17-Jul-1996 02:44:25 -0700`, the day padded with a space.
pub(super) fn internal_date(written: &str) -> Option<Timestamp> {
    strtime::parse("%d-%b-%Y %H:%M:%S %z", written.trim_start())
        .and_then(|parts| parts.to_timestamp())
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_string_escapes_what_would_end_it() {
        assert_eq!(quoted(r#"pa"ss\word"#).unwrap(), r#""pa\"ss\\word""#);
        assert_eq!(quoted("").unwrap(), r#""""#);
        for bad in ["a\rb", "a\nb", "a\0b"] {
            assert_eq!(quoted(bad), None);
        }
    }

    #[test]
    fn a_folder_name_is_written_in_modified_utf7() {
        for (name, written) in [
            ("INBOX", "\"INBOX\""),
            ("Q&A", "\"Q&-A\""),
            (r#"a "b" \c"#, r#""a \"b\" \\c""#),
            // RFC 3501 §5.1.3
            (
                "~peter/mail/台北/日本語",
                "\"~peter/mail/&U,BTFw-/&ZeVnLIqe-\"",
            ),
            ("電子發票", "\"&lvtbUHZ8eWg-\""),
            ("Entwürfe", "\"Entw&APw-rfe\""),
            ("😀", "\"&2D3eAA-\""),
            ("a\r\nb", "\"a&AA0ACg-b\""),
        ] {
            assert_eq!(folder_name(name), written, "{name}");
            let bare = written.trim_matches('"');
            if !bare.contains('\\') {
                assert_eq!(read_folder_name(bare), name, "{written}");
            }
        }
        for unreadable in ["a&b", "&!-", "&2D0-"] {
            assert_eq!(read_folder_name(unreadable), unreadable);
        }
    }

    #[test]
    fn a_date_is_written_as_search_wants_it() {
        assert_eq!(date(Date::constant(2026, 1, 1)), "1-Jan-2026");
        assert_eq!(date(Date::constant(2026, 11, 22)), "22-Nov-2026");
    }

    #[test]
    fn an_internal_date_is_read_with_its_zone() {
        let at = |text: &str| internal_date(text).map(|at| at.to_string());
        assert_eq!(
            at("17-Jul-1996 02:44:25 -0700").unwrap(),
            "1996-07-17T09:44:25Z"
        );
        assert_eq!(
            at(" 7-Jul-2026 08:00:00 +0800").unwrap(),
            "2026-07-07T00:00:00Z"
        );
        assert_eq!(at("yesterday"), None);
    }
}
