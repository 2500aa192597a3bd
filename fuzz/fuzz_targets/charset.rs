//! Any bytes under any label through the charset layer, and through the encoded words of a header.
//! The first byte chooses the label, or that the first line of the bytes is one.
//!
//! `cargo +nightly fuzz run charset fuzz/corpus/charset tests/fixtures -- -dict=fuzz/charset.dict`
//!
//! Guarantee looked for: no panic; what is called clean holds no replacement character that was
//! not sent; sound UTF-8 is always read as such; nothing grows more than threefold; a header's
//! text is one line that nothing reorders.

#![no_main]

use invoice_trackd::notice::layers::{decoded, unstructured};
use libfuzzer_sys::fuzz_target;

const LABELS: &[&str] = &[
    "utf-8",
    "big5",
    "cp950",
    "us-ascii",
    "iso-8859-1",
    "gbk",
    "gb18030",
    "utf-16",
    "utf-16be",
    "iso-2022-jp",
    "euc-kr",
    "shift_jis",
    "x-user-defined",
    "replacement",
    "utf-7",
    "x-mac-roman",
];

/// What stands for one byte that could not be read.
const LOST: char = '\u{fffd}';

fuzz_target!(|bytes: &[u8]| {
    let Some((&chosen, bytes)) = bytes.split_first() else {
        return;
    };
    let (label, bytes) = match LABELS.get(usize::from(chosen)) {
        Some(label) => (Some(*label), bytes),
        None if chosen == b'\n' => (None, bytes),
        None => {
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let (label, rest) = bytes.split_at(end.unwrap_or(0));
            (str::from_utf8(label).ok(), rest)
        }
    };

    for label in [label, None] {
        let (text, clean) = decoded(bytes, label);
        assert!(text.len() <= 3 * bytes.len() + 3, "it grew");
        // In these two every byte order mark and every replacement character is spelt in one way.
        if clean
            && label.is_none()
            && !bytes.starts_with(b"\xff\xfe")
            && !bytes.starts_with(b"\xfe\xff")
        {
            let sent = bytes.windows(3).any(|window| window == b"\xef\xbf\xbd");
            assert!(sent || !text.contains(LOST), "lost and called clean");
        }
        if let (None, Ok(sound)) = (label, str::from_utf8(bytes)) {
            assert!(clean, "sound UTF-8 is not clean");
            assert_eq!(text, sound.strip_prefix('\u{feff}').unwrap_or(sound));
        }
    }

    let text = unstructured(bytes);
    assert!(text.len() <= 3 * bytes.len() + 3, "it grew");
    assert!(
        !text
            .chars()
            .any(|c| c.is_control()
                || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')),
        "it breaks or reorders a line"
    );
});
