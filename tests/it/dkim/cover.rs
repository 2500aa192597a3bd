//! What a signature covers: a field that stands twice is covered when all of it is.

use super::{changed, covered, judged, settings, why};
use crate::support::{
    daemon::Notice,
    signer::{self, TAGS, by_hand},
};

fn above(field: &str, eml: &[u8]) -> Vec<u8> {
    [format!("{field}\r\n").as_bytes(), eml].concat()
}

fn tags(signed: &str) -> String {
    let (before, _) = TAGS.split_once("h=").unwrap();
    format!("{before}h={signed}")
}

#[tokio::test]
async fn from_and_subject_must_be_covered() {
    let dns = signer::dns();
    let eml = Notice::default().eml();
    for (signed, missing) in [
        ("Subject:To:Date", "From"),
        ("From:To:Date", "Subject"),
        ("To", "From"),
        ("From:Subjec", "Subject"),
    ] {
        let evidence = judged(&by_hand(&eml, &tags(signed)), &settings(&dns)).await;
        let expected = format!("does not cover {missing}, or not each {missing} there is");
        assert!(why(&evidence).contains(&expected), "{signed}: {evidence:?}");
    }
    let evidence = judged(&by_hand(&eml, &tags("subject:FROM")), &settings(&dns)).await;
    assert_eq!(covered(&evidence), ["subject", "from"]);
}

#[tokio::test]
async fn a_second_from_or_subject_above_a_signed_mail_is_found() {
    let dns = signer::dns();
    let eml = by_hand(&Notice::default().eml(), TAGS);
    for field in [
        "From: einvoice@einvoice.nat.gov.tw",
        "Subject: =?UTF-8?B?6YWN6Jmf57WQ5p6c?=",
    ] {
        let evidence = judged(&above(field, &eml), &settings(&dns)).await;
        // Two From fields hold no one address that anything could be aligned with.
        let words = why(&evidence);
        assert!(
            words.contains("not each Subject") || words.contains("not exactly one"),
            "{words}"
        );
    }
    // Named once more than there are: nobody can add one.
    let signed = format!("{TAGS}:From:Subject:To");
    let eml = by_hand(&Notice::default().eml(), &signed);
    assert_eq!(judged(&eml, &settings(&dns)).await.result(), "pass");
    for field in ["Subject: x", "To: x@example.com"] {
        let evidence = judged(&above(field, &eml), &settings(&dns)).await;
        assert!(
            why(&evidence).contains("was changed after signing"),
            "{field}: {evidence:?}"
        );
    }
}

#[tokio::test]
async fn a_field_of_which_one_instance_is_signed_is_not_a_covered_field() {
    let dns = signer::dns();
    let eml = by_hand(&Notice::default().eml(), TAGS);
    let one = judged(&eml, &settings(&dns)).await;
    assert!(covered(&one).contains(&"to".to_owned()));
    let two = judged(&above("To: other@example.com", &eml), &settings(&dns)).await;
    assert!(!covered(&two).contains(&"to".to_owned()), "{two:?}");
    assert!(covered(&two).contains(&"date".to_owned()));
    // Both are signed.
    let both = above("To: other@example.com", &Notice::default().eml());
    let both = by_hand(&both, &format!("{TAGS}:To"));
    let both = judged(&both, &settings(&dns)).await;
    assert!(covered(&both).contains(&"to".to_owned()), "{both:?}");
    let times = covered(&both).iter().filter(|name| *name == "to").count();
    assert_eq!(times, 1);
}

#[tokio::test]
async fn nobody_adds_a_field_that_says_how_to_read_the_body() {
    let dns = signer::dns();
    let eml = Notice::default().eml();
    let covering = by_hand(&eml, TAGS);
    let silent = by_hand(&eml, &tags("From:Subject"));
    for name in [
        "Content-Type: text/html; charset=utf-16",
        "content-type: multipart/mixed; boundary=x",
        "Content-Transfer-Encoding: base64",
        "MIME-Version: 2.0",
    ] {
        for signed in [&covering, &silent] {
            assert_eq!(judged(signed, &settings(&dns)).await.result(), "pass");
            let evidence = judged(&above(name, signed), &settings(&dns)).await;
            assert!(
                why(&evidence).contains("that the signature does not cover, beside one"),
                "{name}: {evidence:?}"
            );
        }
    }
    // The platform's own two, both signed, are what it meant.
    let two = above("Content-Type: text/plain; charset=UTF-8", &eml);
    let evidence = judged(
        &by_hand(&two, &format!("{TAGS}:Content-Type")),
        &settings(&dns),
    )
    .await;
    assert_eq!(evidence.result(), "pass", "{evidence:?}");
    // A field that says nothing of that kind is no harm.
    let evidence = judged(&above("X-Spam: no", &covering), &settings(&dns)).await;
    assert_eq!(evidence.result(), "pass");
    let replaced = changed(
        &covering,
        "Content-Type: text/plain",
        "Content-Type: text/html",
    );
    assert_eq!(judged(&replaced, &settings(&dns)).await.result(), "fail");
}
