//! Any bytes as the platform's CSV and as MIG E0501.
//!
//! `cargo +nightly fuzz run platform fuzz/corpus/platform fuzz/seeds/platform`
//!
//! Guarantee looked for: no panic; what is refused is refused with a place and one line of words; what
//! is read is written and read back as the same ranges.

#![no_main]

use invoice_trackd::{
    notice::Allocation,
    platform::{Encoding, Source, csv, e0501, kind, read},
};
use libfuzzer_sys::fuzz_target;

fn ranges(source: Source, bytes: &[u8]) -> Option<Vec<Allocation>> {
    match read(source, bytes) {
        Ok(file) => Some(file.rows.iter().map(|row| row.allocation).collect()),
        Err(mistakes) => {
            assert!(!mistakes.is_empty());
            for mistake in mistakes {
                assert!(mistake.line >= 1 && mistake.column >= 1);
                let words = &mistake.message;
                assert!(!words.is_empty() && words.len() < 2_000, "{words}");
                assert!(!words.contains('\n'), "{words}");
            }
            None
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    kind(bytes);
    for source in [Source::Csv, Source::E0501] {
        let Some(rows) = ranges(source, bytes) else {
            continue;
        };
        assert!(!rows.is_empty());
        for (source, again) in [
            (Source::Csv, csv(&rows, Encoding::Utf8)),
            (Source::Csv, csv(&rows, Encoding::Big5)),
            (Source::E0501, e0501(&rows)),
        ] {
            assert_eq!(kind(&again), Some(source));
            assert_eq!(ranges(source, &again).as_ref(), Some(&rows));
        }
    }
});
