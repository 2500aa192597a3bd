//! Any bytes through the whole of the core: gate, read, settle. From the root of the repository,
//! beginning with the corpus of the tests:
//!
//! `cargo +nightly fuzz run read fuzz/corpus/read tests/fixtures -- -dict=fuzz/read.dict`
//!
//! Guarantee looked for: no panic, no endless work, and no range without a defect where no
//! company is configured.

#![no_main]

use invoice_trackd::notice::{Authenticity, Circumstances, Gate, Rules, gate, read, settle};
use jiff::civil::date;
use libfuzzer_sys::fuzz_target;

/// Opens the gate, so that the fuzzer's bytes reach the reader behind it.
const HEADER: &[u8] = b"From: einvoice@einvoice.nat.gov.tw\nSubject: \xe9\x85\x8d\xe8\x99\x9f\n";

fuzz_target!(|bytes: &[u8]| {
    let rules = Rules::default();
    for mail in [bytes, &[HEADER, bytes].concat()] {
        let reading = read(mail, &rules);
        if gate(mail, &rules) == Gate::Unrelated {
            assert!(!reading.is_notice);
        }
        let judgement = settle(
            &reading,
            &Circumstances {
                rules: &rules,
                mailbox_company: None,
                authenticity: &Authenticity::NotRequired,
                neighbours: &[],
                today: date(2026, 11, 22),
                release: None,
            },
        );
        assert!(judgement.allocations.is_empty());
        assert_eq!(judgement.defects.is_empty(), !reading.is_notice);
    }
});
