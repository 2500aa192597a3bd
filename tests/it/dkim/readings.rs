//! Two readers of one mail: whatever is put into a genuine mail, what is proven says what was
//! signed; and where ours takes a header to be plain, mail-auth's splits it in the same way.

use std::{cell::Cell, fmt::Write as _};

use invoice_trackd::{
    authenticity::{Outcome, Signed, Verifier},
    notice::{self, Authenticity, Rules},
};
use mail_auth::AuthenticatedMessage;
use proptest::{prelude::*, sample::select, test_runner::TestRunner};

use super::{judged, judged_by, settings, why};
use crate::support::{
    daemon::Notice,
    is_long,
    signer::{self, TAGS, by_hand},
};

/// What a header or a body is cut up and confused with.
const PIECES: &[&str] = &[
    "\r",
    "\n",
    "\r\n",
    "\r\n\r\n",
    "\n\n",
    "\n\r\n",
    "\r\r\n",
    "\0",
    "\x0c",
    "\x0b",
    "\x7f",
    "\x1a",
    " ",
    "\t",
    "\r\n ",
    "\r\n \r\n",
    "\n\t\n",
    ":",
    " :",
    "no field\r\n",
    "no field\n",
    "From x@y.example Mon Jan 1 00:00:00 2018\r\n",
    ">From x\r\n",
    "Subject : x\r\n",
    "Subject\t: x\r\n",
    "Subject: =?utf-8?B?6YWN6Jmf57WQ5p6c?=\r\n",
    "From: a@b.example\r\n",
    "Content-Type: text/html\r\n",
    "X: y\r\n",
    "X: y\n",
    "--\r\n",
    "發票起號：00000000\r\n",
    "\r\n\r\n字軌名稱：ZZ\r\n",
    "DKIM-Signature: x\r\n",
    "\u{85}",
    "\u{2028}",
    "\u{200b}",
];

/// A genuine mail with things put in, cut out and turned round.
fn mangled(eml: &[u8], edits: &[(prop::sample::Index, usize, &str)]) -> Vec<u8> {
    let mut eml = eml.to_vec();
    for (at, cut, piece) in edits {
        let at = at.index(eml.len() + 1);
        let end = (at + cut).min(eml.len());
        eml.splice(at..end, piece.bytes());
    }
    eml
}

fn edits() -> impl Strategy<Value = Vec<(prop::sample::Index, usize, &'static str)>> {
    let edit = (
        any::<prop::sample::Index>(),
        select(&[0, 0, 0, 1, 2, 9][..]),
        select(PIECES),
    );
    prop::collection::vec(edit, 0..4)
}

#[test]
fn what_is_proven_says_what_was_signed_whatever_was_put_in() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let dns = signer::dns();
    let verifier = Verifier::new(settings(&dns));
    let plain = Notice::default().eml();
    let read = |eml: &[u8]| notice::read(eml, &Rules::default());
    let expected = read(&plain);
    let relaxed = by_hand(&plain, TAGS);
    let simple = signer::sign_as(
        &plain,
        signer::DOMAIN,
        &[
            "From",
            "Subject",
            "Content-Type",
            "Content-Transfer-Encoding",
            "MIME-Version",
        ],
        |signer| {
            signer
                .header_canonicalization(mail_auth::dkim::Canonicalization::Simple)
                .body_canonicalization(mail_auth::dkim::Canonicalization::Simple)
        },
    );
    let proven = Cell::new(0);
    let refused = Cell::new(0);
    let config = ProptestConfig {
        cases: if is_long() { 20_000 } else { 400 },
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let strategy = (select(vec![relaxed, simple]), edits());
    TestRunner::new(config)
        .run(&strategy, |(signed, edits)| {
            let eml = mangled(&signed, &edits);
            let evidence = runtime.block_on(judged_by(&verifier, &eml));
            if !matches!(evidence.verdict, Authenticity::Proven { .. }) {
                refused.set(refused.get() + 1);
                return Ok(());
            }
            proven.set(proven.get() + 1);
            let found = read(&eml);
            prop_assert_eq!(&found.from, &expected.from);
            prop_assert_eq!(&found.subject, &expected.subject);
            prop_assert_eq!(&found.addressee, &expected.addressee);
            prop_assert_eq!(&found.blocks, &expected.blocks);
            prop_assert_eq!(&found.defects, &expected.defects);
            Ok(())
        })
        .unwrap();
    assert!(
        proven.get() > 30 && refused.get() > 30,
        "{proven:?} proven, {refused:?} refused"
    );
}

#[test]
fn where_a_header_is_plain_both_readers_find_the_same_fields() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let dns = signer::dns();
    let verifier = Verifier::new(settings(&dns));
    let eml = by_hand(&Notice::default().eml(), TAGS);
    let plain = Cell::new(0);
    let config = ProptestConfig {
        cases: if is_long() { 20_000 } else { 400 },
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    TestRunner::new(config)
        .run(&edits(), |edits| {
            let eml = mangled(&eml, &edits);
            let signatures = runtime.block_on(verifier.survey(&eml, None)).signatures;
            let is_refused = |signed: &Signed| {
                matches!(&signed.outcome, Outcome::Broken(why) if why.en.contains("two ways"))
            };
            if signatures.iter().all(is_refused) {
                return Ok(());
            }
            plain.set(plain.get() + 1);
            let (fields, body) = notice::split(&eml);
            let theirs = AuthenticatedMessage::parse(&eml).unwrap();
            prop_assert_eq!(theirs.raw_parsed_headers(), fields.as_slice());
            prop_assert_eq!(theirs.raw_body(), body);
            Ok(())
        })
        .unwrap();
    assert!(plain.get() > 30, "{plain:?}");
}

#[tokio::test]
async fn a_mail_that_can_be_read_in_two_ways_is_not_proven() {
    let dns = signer::dns();
    let signed = String::from_utf8(by_hand(&Notice::default().eml(), TAGS)).unwrap();
    let put_in = |before: &str, piece: &str| {
        // The field itself and not its name in `h=`.
        let at = signed.find(&format!("\n{before}")).map(|at| at + 1);
        let at = at.or_else(|| signed.find(before)).unwrap();
        format!("{}{piece}{}", &signed[..at], &signed[at..])
    };
    for eml in [
        put_in(
            "DKIM-Signature:",
            "From x@y.example Mon Jan 1 00:00:00 2018\r\n",
        ),
        put_in("DKIM-Signature:", ">From x\r\n"),
        put_in("DKIM-Signature:", " a continuation of nothing\r\n"),
        put_in("Date:", "no field\r\n"),
        put_in("Date:", "X y: z\r\n"),
        put_in("Date:", "X : y\r\n"),
        put_in("Date:", ": y\r\n"),
        put_in("Date:", "X: a\rb\r\n"),
        put_in("Date:", "X: a\0b\r\n"),
        put_in("Date:", "X: a\x0cb\r\n"),
        put_in("Fri,", "\r"),
        put_in("Fri,", "\x0c"),
        put_in("申請本數", "\r"),
        put_in("22628000", "\r"),
        format!("{signed}\r"),
    ] {
        let evidence = judged(eml.as_bytes(), &settings(&dns)).await;
        assert!(
            why(&evidence).starts_with("the mail can be read in two ways"),
            "{eml:?}"
        );
    }
    // A header that nothing ends.
    let (header, _) = signed.split_once("\r\n\r\n").unwrap();
    let mut unended = header.to_owned();
    write!(unended, "\r\nX: y").unwrap();
    for eml in [unended.clone(), format!("{unended}\r\n")] {
        let evidence = judged(eml.as_bytes(), &settings(&dns)).await;
        assert!(
            why(&evidence).starts_with("the mail can be read in two ways"),
            "{eml:?}"
        );
    }
    // Above an empty line there is no header, and so no signature.
    let evidence = judged(format!("\r\n{signed}").as_bytes(), &settings(&dns)).await;
    assert_eq!(evidence.result(), "none", "{evidence:?}");
}
