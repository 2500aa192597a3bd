//! How long a literal the server announces, read before the decoder reads it.
//!
//! async-imap 0.12.0 reserves memory for all of an announced literal, up to 512 MiB, before any of
//! it has come. Left out on purpose: everything else that a response says.
//!
//! Guarantee: what stands within a literal, and braces in the text of a status response, announce
//! nothing.

/// Enough of a line's beginning to tell a status response: `* PREAUTH `.
const BEGINNING: usize = 10;

/// Follows everything that comes, byte by byte.
#[derive(Debug, Default)]
pub(super) struct Literals {
    /// What is yet to come of the literal that is coming.
    left: u64,
    /// How the line begins that is coming.
    line: Vec<u8>,
    seen: Seen,
}

/// How much of `{123}` and a line end has been seen.
#[derive(Debug, Clone, Copy, Default)]
enum Seen {
    #[default]
    Nothing,
    Digits(u64),
    Brace(u64),
    Return(u64),
}

impl Literals {
    /// Goes over what came; how long the longest literal is that it announced.
    pub(super) fn longest_in(&mut self, mut came: &[u8]) -> u64 {
        let mut longest = 0;
        loop {
            let skipped =
                usize::try_from(self.left).map_or(came.len(), |left| left.min(came.len()));
            self.left -= skipped as u64;
            let Some((&byte, rest)) = came.get(skipped..).and_then(<[u8]>::split_first) else {
                return longest;
            };
            came = rest;
            if let Some(length) = self.note(byte) {
                self.left = length;
                longest = longest.max(length);
            }
        }
    }

    /// One byte outside literals; the length of the literal that begins after it.
    fn note(&mut self, byte: u8) -> Option<u64> {
        if self.line.len() < BEGINNING {
            self.line.push(byte);
        }
        let seen = std::mem::take(&mut self.seen);
        self.seen = match (seen, byte) {
            (_, b'{') => Seen::Digits(0),
            (Seen::Digits(length), b'0'..=b'9') => Seen::Digits(
                length
                    .saturating_mul(10)
                    .saturating_add(u64::from(byte - b'0')),
            ),
            (Seen::Digits(length), b'}') => Seen::Brace(length),
            (Seen::Brace(length), b'\r') => Seen::Return(length),
            (Seen::Return(length), b'\n') if self.is_data() => return Some(length),
            _ => Seen::Nothing,
        };
        if byte == b'\n' {
            self.line.clear();
        }
        None
    }

    /// Whether the line is one that can hold a literal: an untagged response that is no status
    /// response (RFC 9051 §7.1), which ends in text.
    fn is_data(&self) -> bool {
        let Some(data) = self.line.strip_prefix(b"* ") else {
            return false;
        };
        let word = data.split(|&byte| byte == b' ').next().unwrap_or_default();
        let status: [&[u8]; 5] = [b"OK", b"NO", b"BAD", b"BYE", b"PREAUTH"];
        !status.iter().any(|known| word.eq_ignore_ascii_case(known))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is announced, however the pieces fall.
    fn announced(text: &str) -> u64 {
        let in_one = Literals::default().longest_in(text.as_bytes());
        let mut literals = Literals::default();
        let bytes = text.as_bytes().chunks(1);
        let piecemeal = bytes.map(|byte| literals.longest_in(byte)).max();
        assert_eq!(piecemeal, Some(in_one), "{text}");
        in_one
    }

    #[test]
    fn a_literal_is_seen_in_its_announcement() {
        assert_eq!(announced("* 1 FETCH (UID 4 BODY[] {12}\r\n"), 12);
        assert_eq!(
            announced("* OK hi\r\n* 1 FETCH (BODY[] {4294967296}\r\n"),
            1 << 32
        );
        assert_eq!(
            announced("* LIST () \"/\" {99999999999999999999}\r\n"),
            u64::MAX
        );
        let two = "* 1 FETCH (A {3}\r\nabc B {700}\r\n";
        assert_eq!(announced(two), 700);
    }

    #[test]
    fn what_stands_in_a_literal_announces_nothing() {
        let mail = "* 1 FETCH (BODY[] {25}\r\nit says {4000000000}\r\nso.)\r\n";
        assert_eq!(announced(mail), 25);
    }

    #[test]
    fn braces_in_a_text_announce_nothing() {
        for text in [
            "* OK the set {400000000}\r\n",
            "* preauth {400000000}\r\n",
            "a7 NO {400000000}\r\n",
            "+ {400000000}\r\n",
            "* LIST () \"/\" \"{400000000}\"\r\n",
            "* 1 FETCH (X {4000x}\r\n",
            "* 1 FETCH (X {4000} \r\n",
        ] {
            assert_eq!(announced(text), 0, "{text}");
            // And hide nothing of what follows.
            assert_eq!(
                announced(&format!("{text}* 1 FETCH (B {{9}}\r\n")),
                9,
                "{text}"
            );
        }
    }
}
