//! Any bytes as Authentication-Results fields, and as a whole header, for every kind of mailbox. The
//! first byte chooses what is put before the rest.
//!
//! `cargo +nightly fuzz run results fuzz/corpus/results fuzz/seeds/results -- -dict=fuzz/results.dict`
//!
//! Guarantee looked for: no panic and no work that grows faster than the mail; a field that reads
//! prints on one line and reads back the same; nothing is proved by a mail without the own server's
//! name (but for Microsoft 365, which writes none), a pass and the domain; nor by any mail under a
//! field that says there is none.

#![no_main]

use std::sync::LazyLock;

use invoice_trackd::{
    authenticity::{
        Results, Settings,
        layers::{by_results, fields},
    },
    notice::{Address, Authenticity},
};
use libfuzzer_sys::fuzz_target;

const OURS: &str = "mx.example.com";
const DOMAIN: &str = "einvoice.nat.gov.tw";

/// What stands before the fuzzer's bytes.
const BEFORE: &[&str] = &[
    "",
    "Authentication-Results: ",
    "Authentication-Results: mx.example.com; ",
    "Received: from a by b\r\nAuthentication-Results: mx.example.com; ",
    "Authentication-Results: mx.example.com; spf=pass smtp.mailfrom=\"",
    "Authentication-Results: mx.example.com; dkim=fail (",
];

static SETTINGS: LazyLock<Settings> = LazyLock::new(|| Settings {
    trusted_authserv_ids: vec![OURS.to_owned()],
    ..Settings::default()
});

static FROM: LazyLock<Address> = LazyLock::new(|| format!("einvoice@{DOMAIN}").parse().unwrap());

fn proves(mail: &[u8], results: Results) -> bool {
    let evidence = by_results(mail, &FROM, results, &SETTINGS);
    match evidence.verdict {
        Authenticity::Proven { signed: None } => {
            let domain = evidence.proof.unwrap().domain.unwrap();
            assert!(SETTINGS.domains.contains(&domain));
            true
        }
        Authenticity::Unproven(why) => {
            for words in [why.en, why.zh] {
                assert!(!words.is_empty() && words.len() < 1_000, "{words}");
                assert!(!words.contains(char::is_control), "{words}");
            }
            false
        }
        verdict => panic!("{verdict:?}"),
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&chosen, bytes)) = bytes.split_first() else {
        return;
    };
    let before = BEFORE.get(usize::from(chosen)).unwrap_or(&BEFORE[1]);
    let mail = [before.as_bytes(), bytes].concat();

    let read = fields(&mail);
    for field in read.iter().flatten() {
        let printed = field.to_string();
        assert!(printed.bytes().all(|b| matches!(b, b'\t' | b' '..=b'~')));
        let again = fields(format!("Authentication-Results: {printed}\n").as_bytes());
        let [Ok(again)] = again.as_slice() else {
            panic!("{printed}: {again:?}");
        };
        assert_eq!(again.authserv_id, field.authserv_id, "{printed}");
        assert_eq!(again.results, field.results, "{printed}");
    }

    let says = |words: &str| {
        let words = words.as_bytes();
        mail.windows(words.len())
            .any(|window| window.eq_ignore_ascii_case(words))
    };
    for results in Results::ALL {
        if proves(&mail, results) {
            let [Ok(topmost), ..] = read.as_slice() else {
                panic!("nothing that reads proves something");
            };
            assert!(results != Results::Top || topmost.above_received);
            assert_eq!(topmost.authserv_id.is_none(), results == Results::Microsoft);
            assert!(results == Results::Microsoft || says(OURS));
            assert!(says("pass") && says("nat.gov.tw"));
        }
        // A line that begins with white space would be folded under what is put above it.
        if mail.starts_with(b" ") || mail.starts_with(b"\t") {
            continue;
        }
        for own in [
            "mx.example.com; none",
            "dkim=none",
            "mx2.example.com; dkim=pass",
            "(",
        ] {
            let own = format!("Authentication-Results: {own}\r\n");
            assert!(!proves(&[own.as_bytes(), &mail].concat(), results), "{own}");
        }
    }
    assert!(!proves(
        &[b"Received: from a by b\r\n", &mail[..]].concat(),
        Results::Top
    ));
});
