//! Content-Transfer-Encoding (RFC 2045 §6) and its cousins in encoded words (RFC 2047 §4).
//!
//! Left out on purpose: uuencode and other private encodings; they stay as they are.

use std::borrow::Cow;

use mail_parser::decoders::{
    base64::base64_decode, quoted_printable::quoted_printable_decode_char,
};

/// Undoes a transfer encoding. The flag is false when the encoding was broken; what could be
/// salvaged is returned all the same, so that a person can be told what it looked like.
pub(super) fn decode<'a>(body: &'a [u8], encoding: Option<&[u8]>) -> (Cow<'a, [u8]>, bool) {
    let encoding = encoding.unwrap_or_default().trim_ascii();
    if encoding.eq_ignore_ascii_case(b"base64") {
        match base64(body) {
            Some(bytes) => (bytes.into(), true),
            None => (salvage_base64(body).into(), false),
        }
    } else if encoding.eq_ignore_ascii_case(b"quoted-printable") {
        (quoted_printable(body).into(), true)
    } else {
        (body.into(), true)
    }
}

/// Base64 with any white space; `None` when anything else stands in it or it is cut off within
/// a byte.
pub(super) fn base64(body: &[u8]) -> Option<Vec<u8>> {
    let digits = body.iter().filter(|b| is_base64_digit(**b)).count();
    (digits % 4 != 1).then(|| base64_decode(body)).flatten()
}

/// The Q encoding of RFC 2047 §4.2.
pub(super) fn q_encoding(word: &[u8]) -> Vec<u8> {
    let spaced: Vec<u8> = word
        .iter()
        .map(|byte| if *byte == b'_' { b' ' } else { *byte })
        .collect();
    let mut bytes = Vec::with_capacity(word.len());
    undo_escapes(&spaced, &mut bytes);
    bytes
}

fn salvage_base64(body: &[u8]) -> Vec<u8> {
    let digits: Vec<u8> = body
        .iter()
        .copied()
        .filter(|b| is_base64_digit(*b))
        .collect();
    base64_decode(&digits).unwrap_or_default()
}

fn is_base64_digit(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')
}

/// RFC 2045 §6.7.
fn quoted_printable(body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(body.len());
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        let content = line.trim_ascii_end();
        let (content, soft_break) = match content {
            [content @ .., b'='] => (content, true),
            content => (content, false),
        };
        undo_escapes(content, &mut bytes);
        if !soft_break && line.ends_with(b"\n") {
            bytes.push(b'\n');
        }
    }
    bytes
}

/// Reads `=XX`. An `=` that introduces nothing stays, as RFC 2045 §6.7 advises.
fn undo_escapes(mut text: &[u8], bytes: &mut Vec<u8>) {
    while let Some((&byte, after)) = text.split_first() {
        text = after;
        if let (b'=', [high, low, beyond @ ..]) = (byte, after)
            && let Some(decoded) = quoted_printable_decode_char(*high, *low)
        {
            bytes.push(decoded);
            text = beyond;
        } else {
            bytes.push(byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn qp(body: &str) -> String {
        String::from_utf8(quoted_printable(body.as_bytes())).unwrap()
    }

    #[test]
    fn quoted_printable_joins_soft_breaks_and_drops_trailing_space() {
        assert_eq!(qp("=E7=99=BC=\r\n=E7=A5=A8"), "發票");
        assert_eq!(qp("a= \nb \t\nc"), "ab\nc");
        assert_eq!(qp("=e7=99=bc"), "發");
    }

    #[test]
    fn an_equals_sign_that_introduces_nothing_stays() {
        assert_eq!(qp("a=b&c=xyz =4"), "a=b&c=xyz =4");
    }

    #[test]
    fn the_q_encoding_keeps_its_spaces() {
        assert_eq!(q_encoding(b"_a=5F_"), b" a_ ");
    }

    #[test]
    fn broken_base64_is_said_and_salvaged() {
        let (bytes, sound) = decode(b"55m8\r\n56Wo", Some(b" BASE64 "));
        assert_eq!((bytes.as_ref(), sound), ("發票".as_bytes(), true));
        for broken in ["55m8*56Wo", "55m856Wo5"] {
            let (bytes, sound) = decode(broken.as_bytes(), Some(b"base64"));
            assert_eq!(
                (bytes.as_ref(), sound),
                ("發票".as_bytes(), false),
                "{broken}"
            );
        }
    }

    #[test]
    fn an_unknown_encoding_leaves_the_body_alone() {
        assert_eq!(decode(b"=41", Some(b"8bit")), (b"=41"[..].into(), true));
    }
}
