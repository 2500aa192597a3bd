//! Bytes and a declared charset to text.
//!
//! The declared charset is a hint: the platform's mails, and what forwarders make of them, carry
//! Big5 bytes without or under a wrong label and UTF-8 bytes labelled us-ascii or Big5. So the
//! label, UTF-8 and Big5 are all tried, and the words that every notice holds decide.
//!
//! Left out on purpose: guessing any other charset.
//!
//! Guarantee: text that could only be had with replacement characters is never passed off as
//! sound; [`Decoded::clean`] says so.

use std::borrow::Cow;

use encoding_rs::{BIG5, Encoding, UTF_8};

/// Words of which any notice holds at least one, and a text in the wrong charset none.
const MARKERS: [&str; 3] = ["發票", "字軌", "配號"];

/// A text and whether every byte of it could be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decoded<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) clean: bool,
}

/// Decodes `bytes`, which claim to be in the charset `label`. A byte order mark is removed.
pub(super) fn decode<'a>(bytes: &'a [u8], label: Option<&str>) -> Decoded<'a> {
    let declared = label.and_then(encoding);
    let marked = Encoding::for_bom(bytes).map(|(encoding, _)| encoding);
    let candidates = || {
        [marked, declared, Some(UTF_8), Some(BIG5)]
            .into_iter()
            .flatten()
    };
    let clean = |text| Decoded {
        text: without_bom(text),
        clean: true,
    };

    let mut first = None;
    for encoding in candidates() {
        let Some(text) = encoding.decode_without_bom_handling_and_without_replacement(bytes) else {
            continue;
        };
        // Only what is well-formed UTF-8 by design looks like it by chance this rarely.
        let certain = encoding == UTF_8 && !bytes.is_ascii();
        if certain || is_marked(&text) {
            return clean(text);
        }
        first.get_or_insert(text);
    }
    // A notice with a few broken bytes must not pass as somebody's tidy gibberish.
    let lossy = |encoding: &'static Encoding| encoding.decode_without_bom_handling(bytes).0;
    match (candidates().map(lossy).find(|text| is_marked(text)), first) {
        (None, Some(text)) => clean(text),
        (broken, _) => Decoded {
            text: without_bom(broken.unwrap_or_else(|| lossy(declared.unwrap_or(UTF_8)))),
            clean: false,
        },
    }
}

/// The encoding a label stands for. encoding_rs's Big5 (WHATWG) covers code page 950, whose
/// names the WHATWG does not list.
fn encoding(label: &str) -> Option<&'static Encoding> {
    const CODE_PAGE_950: [&str; 4] = ["cp950", "ms950", "x-windows-950", "windows-950"];
    let label = label.trim();
    if CODE_PAGE_950.iter().any(|n| n.eq_ignore_ascii_case(label)) {
        return Some(BIG5);
    }
    Encoding::for_label_no_replacement(label.as_bytes())
}

fn is_marked(text: &str) -> bool {
    !text.is_ascii() && MARKERS.iter().any(|word| text.contains(word))
}

fn without_bom(text: Cow<'_, str>) -> Cow<'_, str> {
    const BOM: char = '\u{feff}';
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.strip_prefix(BOM).unwrap_or(text)),
        Cow::Owned(text) if text.starts_with(BOM) => text.chars().skip(1).collect(),
        owned @ Cow::Owned(_) => owned,
    }
}

#[cfg(test)]
mod tests {
    use encoding_rs::{GBK, ISO_2022_JP, UTF_16LE};

    use super::*;

    const SAID: &str = "電子發票配號結果：字軌名稱 EC，碁 ￥";

    fn big5() -> Vec<u8> {
        let (bytes, _, failed) = BIG5.encode(SAID);
        assert!(!failed);
        bytes.into_owned()
    }

    fn read(bytes: &[u8], label: Option<&str>) -> String {
        let decoded = decode(bytes, label);
        assert!(decoded.clean, "{label:?}: {:?}", decoded.text);
        decoded.text.into_owned()
    }

    #[test]
    fn big5_reads_under_any_label_or_none() {
        for label in [
            None,
            Some("big5"),
            Some("CP950"),
            Some("ms950"),
            Some(" x-windows-950 "),
            Some("us-ascii"),
            Some("iso-8859-1"),
            Some("utf-8"),
            Some("no-such-charset"),
        ] {
            assert_eq!(read(&big5(), label), SAID, "{label:?}");
        }
    }

    #[test]
    fn utf8_reads_under_any_label_or_none() {
        for label in [
            None,
            Some("utf-8"),
            Some("us-ascii"),
            Some("big5"),
            Some("gb2312"),
        ] {
            assert_eq!(read(SAID.as_bytes(), label), SAID, "{label:?}");
        }
    }

    #[test]
    fn a_stateful_charset_reads_by_its_label_alone() {
        let utf16: Vec<u8> = SAID.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(read(&utf16, Some(UTF_16LE.name())), SAID);
        let (jis, _, failed) = ISO_2022_JP.encode("発票 字軌");
        assert!(!failed);
        assert_eq!(read(&jis, Some("iso-2022-jp")), "発票 字軌");
        assert_ne!(read(&jis, None), "発票 字軌");
    }

    #[test]
    fn another_charset_reads_by_its_label() {
        let (gbk, _, failed) = GBK.encode("發票字軌");
        assert!(!failed);
        assert_eq!(read(&gbk, Some("gbk")), "發票字軌");
        assert_eq!(read(b"caf\xe9", Some("iso-8859-1")), "café");
    }

    #[test]
    fn a_byte_order_mark_goes_and_decides() {
        assert_eq!(read("\u{feff}發票".as_bytes(), None), "發票");
        let utf16: Vec<u8> = "\u{feff}發票"
            .encode_utf16()
            .flat_map(u16::to_be_bytes)
            .collect();
        assert_eq!(read(&utf16, Some("utf-16")), "發票");
    }

    #[test]
    fn broken_bytes_are_said_and_the_rest_still_reads() {
        for (bytes, label) in [
            ([SAID.as_bytes(), b"\xff\xfe\xff"].concat(), Some("utf-8")),
            ([SAID.as_bytes(), b"\xff"].concat(), Some("us-ascii")),
            ([&big5()[..], b"\xff\xff"].concat(), Some("big5")),
        ] {
            let decoded = decode(&bytes, label);
            assert!(!decoded.clean, "{label:?}");
            assert!(
                decoded.text.starts_with(SAID),
                "{label:?}: {}",
                decoded.text
            );
        }
        assert!(!decode(b"\xff\xff\xff", None).clean);
    }
}
