//! The header of a message: its fields (RFC 5322 §2.2) and unstructured text (RFC 2047).
//!
//! Left out on purpose: judging whether a field may stand there. A line that is no field is
//! passed over.
//!
//! Guarantee: a field that stands twice is seen twice; text comes out unfolded. What its encoded
//! words decode to stands in it as it is, line ends too: it is for comparing, and `stranger` shows it.

use super::{charset, transfer};

/// RFC 2047 §2 allows 75 bytes; some senders put a whole subject into one word.
const MAX_ENCODED_WORD: usize = 2048;

/// The fields of a header, as they stand.
#[derive(Debug)]
pub(super) struct Header<'a> {
    fields: Vec<Field<'a>>,
}

impl<'a> Header<'a> {
    /// Splits a message, or the part of one, into its header and its body.
    pub(super) fn split(raw: &'a [u8]) -> (Self, &'a [u8]) {
        let mut fields = Vec::new();
        let mut rest = raw;
        while !rest.is_empty() {
            if let Some(body) = strip_line_end(rest) {
                return (Self { fields }, body);
            }
            let (line, after) = rest.split_at(logical_line(rest));
            rest = after;
            let colon = line.iter().position(|byte| *byte == b':');
            let Some((name, [_, body @ ..])) = colon.map(|at| line.split_at(at)) else {
                continue;
            };
            // RFC 5322 §4.5 lets older mail put a space before the colon.
            let name = name.trim_ascii_end();
            if !name.is_empty() && name.iter().all(u8::is_ascii_graphic) {
                fields.push((name, body));
            }
        }
        (Self { fields }, rest)
    }

    /// The bodies of all fields of this name, folding and white space still in place.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.fields
            .iter()
            .filter(move |(other, _)| other.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, body)| *body)
    }

    /// The body of the first field of this name.
    pub(super) fn first(&self, name: &str) -> Option<&'a [u8]> {
        self.all(name).next()
    }
}

/// A header field as it stands: its name and its body, line end and all.
pub type Field<'a> = (&'a [u8], &'a [u8]);

/// The fields of a message's header, and its body: what [`read`](super::read) goes by, for those who must go by
/// the same.
pub fn split(raw: &[u8]) -> (Vec<Field<'_>>, &[u8]) {
    let (header, body) = Header::split(raw);
    (header.fields, body)
}

fn strip_line_end(bytes: &[u8]) -> Option<&[u8]> {
    bytes
        .strip_prefix(b"\r\n")
        .or_else(|| bytes.strip_prefix(b"\n"))
}

/// The length of the first line with the lines folded under it. RFC 5322 §2.2.3.
fn logical_line(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .zip(bytes.iter().skip(1))
        .position(|(byte, next)| *byte == b'\n' && !matches!(next, b' ' | b'\t'))
        .map_or(bytes.len(), |at| at + 1)
}

/// A piece of unstructured text.
enum Piece<'a> {
    Raw(&'a [u8]),
    Word { label: &'a [u8], bytes: Vec<u8> },
}

/// Decodes unstructured text such as Subject: unfolded, encoded words read.
pub(super) fn text(body: &[u8]) -> String {
    let unfolded: Vec<u8> = body
        .iter()
        .copied()
        .filter(|byte| !matches!(byte, b'\r' | b'\n'))
        .collect();
    let mut pieces = pieces(&unfolded);
    drop_space_between_words(&mut pieces);

    let mut text = String::new();
    let mut pieces = pieces.into_iter().peekable();
    while let Some(piece) = pieces.next() {
        match piece {
            Piece::Raw(bytes) => text.push_str(&charset::decode(bytes, None).text),
            Piece::Word { label, mut bytes } => {
                // Senders split characters across words, which RFC 2047 §5 forbids.
                let same = |next: &Piece<'_>| {
                    matches!(next, Piece::Word { label: other, .. }
                        if other.eq_ignore_ascii_case(label))
                };
                while let Some(Piece::Word { bytes: more, .. }) = pieces.next_if(same) {
                    bytes.extend(more);
                }
                let label = str::from_utf8(label).ok();
                text.push_str(&charset::decode(&bytes, label).text);
            }
        }
    }
    text.trim().to_owned()
}

fn pieces(unfolded: &[u8]) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut raw = unfolded;
    let mut at = 0;
    while let Some(found) = raw
        .get(at..)
        .and_then(|tail| tail.windows(2).position(|pair| pair == b"=?"))
    {
        let (before, tail) = raw.split_at(at + found);
        match encoded_word(tail) {
            Some((word, after)) => {
                if !before.is_empty() {
                    pieces.push(Piece::Raw(before));
                }
                pieces.push(word);
                (raw, at) = (after, 0);
            }
            None => at += found + 2,
        }
    }
    if !raw.is_empty() {
        pieces.push(Piece::Raw(raw));
    }
    pieces
}

/// RFC 2047 §6.2: white space between two encoded words is not part of the text.
fn drop_space_between_words(pieces: &mut Vec<Piece<'_>>) {
    let is_word = |piece: Option<&Piece<'_>>| matches!(piece, Some(Piece::Word { .. }));
    let keep: Vec<bool> = pieces
        .iter()
        .enumerate()
        .map(|(at, piece)| match piece {
            Piece::Raw(bytes) if bytes.trim_ascii().is_empty() => {
                let before = at.checked_sub(1).and_then(|before| pieces.get(before));
                !(is_word(before) && is_word(pieces.get(at + 1)))
            }
            _ => true,
        })
        .collect();
    let mut keep = keep.into_iter();
    pieces.retain(|_| keep.next().unwrap_or(true));
}

/// The encoded word at the beginning of `text` (RFC 2047 §2) and what follows it.
fn encoded_word(text: &[u8]) -> Option<(Piece<'_>, &[u8])> {
    let near = text.get(..MAX_ENCODED_WORD).unwrap_or(text);
    let mut parts = near.strip_prefix(b"=?")?.splitn(3, |byte| *byte == b'?');
    let (charset, encoding, tail) = (parts.next()?, parts.next()?, parts.next()?);
    let end = tail.windows(2).position(|pair| pair == b"?=")?;
    let word = tail.get(..end)?;
    let bytes = match encoding {
        b"b" | b"B" => transfer::base64(word)?,
        b"q" | b"Q" => transfer::q_encoding(word),
        _ => return None,
    };
    // RFC 2231 §5 lets a language follow the charset.
    let label = charset.split(|byte| *byte == b'*').next()?;
    let length = b"=????=".len() + charset.len() + encoding.len() + word.len();
    Some((Piece::Word { label, bytes }, text.get(length..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_fold_repeat_and_end_at_the_empty_line() {
        for raw in [
            "From a@b Mon Jan 1 00:00:00 2018\nSubject: a\n b\nno field\nSUBJECT : c\n\nbody\n",
            "Subject: a\r\n b\r\nno field\r\n folded\r\nSUBJECT : c\r\n\r\nbody\n",
        ] {
            let (header, body) = Header::split(raw.as_bytes());
            let subjects: Vec<String> = header.all("subject").map(text).collect();
            assert_eq!(subjects, ["a b", "c"]);
            assert_eq!(header.first("from"), None);
            assert_eq!(body, b"body\n");
        }
        let (header, body) = Header::split(b"Subject: a");
        assert_eq!(header.first("Subject"), Some(&b" a"[..]));
        assert_eq!(body, b"");
    }

    #[test]
    fn encoded_words_read_even_when_they_split_a_character() {
        for (field, expected) in [
            (
                "=?UTF-8?B?6Zu75a2Q55m856Wo?=\r\n =?utf-8?Q?=E9=85=8D?=",
                "電子發票配",
            ),
            (
                "=?utf-8?B?6Zu7?= =?utf-8?B?5a0=?= =?utf-8?B?kOeZvOelqA==?=",
                "電子發票",
            ),
            ("Re: =?utf-8*zh-TW?q?=E9=9B=BB_=E5=AD=90?= x", "Re: 電 子 x"),
            ("a =?x?z?y?= b", "a =?x?z?y?= b"),
            ("=?utf-8?B?***?=", "=?utf-8?B?***?="),
            ("=?", "=?"),
        ] {
            assert_eq!(text(field.as_bytes()), expected);
        }
    }

    #[test]
    fn raw_eight_bit_text_reads_as_utf8_or_big5() {
        let said = "電子發票配號結果通知";
        assert_eq!(text(said.as_bytes()), said);
        let (big5, _, _) = encoding_rs::BIG5.encode(said);
        assert_eq!(text(&big5), said);
    }

    #[test]
    fn what_a_word_decodes_to_is_kept_for_those_who_judge_it() {
        assert_eq!(
            text("=?utf-8?Q?a=0D=0ABcc:_x=E2=80=AEb?=\t c".as_bytes()),
            "a\r\nBcc: x\u{202e}b\t c"
        );
    }
}
