//! Many signatures, and large ones: what they may cost.

use std::time::{Duration, Instant};

use super::{judged, settings, why};
use crate::support::{
    daemon::Notice,
    dns::Answer,
    hostile::KINDS,
    signer::{self, DOMAIN, SELECTOR, TAGS, by_hand},
};

#[tokio::test]
async fn ten_signatures_are_looked_at_and_no_more() {
    let dns = signer::dns();
    let good = by_hand(&Notice::default().eml(), TAGS);
    let many = |count: usize, selector: &str| {
        let fields: String = (0..count)
            .map(|n| {
                let tags = TAGS.replace("s=s2026", &format!("s={selector}{n}"));
                let field = by_hand(&Notice::default().eml(), &tags);
                let field = String::from_utf8(field).unwrap();
                format!("{}\r\n", field.lines().next().unwrap())
            })
            .collect();
        [fields.as_bytes(), &good].concat()
    };
    assert_eq!(
        judged(&many(9, "a"), &settings(&dns)).await.result(),
        "pass"
    );
    assert_eq!(dns.asked().len(), 10, "{:?}", dns.asked());
    let evidence = judged(&many(10, "b"), &settings(&dns)).await;
    assert!(why(&evidence).contains("is not in DNS"), "{evidence:?}");
    assert_eq!(dns.asked().len(), 20, "{:?}", dns.asked());
}

#[tokio::test]
async fn keys_are_asked_for_where_they_could_matter() {
    let dns = signer::dns();
    let eml = Notice::default().eml();
    // One key, however many signatures it made.
    let (field, rest) = {
        let eml = String::from_utf8(by_hand(&eml, TAGS)).unwrap();
        let (field, rest) = eml.split_once("\r\n").unwrap();
        (field.to_owned(), rest.to_owned())
    };
    let broken = field.replace("; b=", "; b=AAAA");
    let same = format!("{broken}\r\n{broken}\r\n{field}\r\n{rest}");
    assert_eq!(
        judged(same.as_bytes(), &settings(&dns)).await.result(),
        "pass"
    );
    assert_eq!(dns.asked(), [signer::record_name()]);

    // Strangers' beside one that counts: nobody asks for theirs.
    let foreign = |n: usize| {
        let tags = TAGS.replace(DOMAIN, &format!("esp{n}.example"));
        let eml = String::from_utf8(by_hand(&eml, &tags)).unwrap();
        eml.lines().next().unwrap().to_owned()
    };
    let strangers: Vec<String> = (0..8).map(foreign).collect();
    let beside = format!("{}\r\n{field}\r\n{rest}", strangers.join("\r\n"));
    assert_eq!(
        judged(beside.as_bytes(), &settings(&dns)).await.result(),
        "pass"
    );
    assert_eq!(dns.asked().len(), 2, "{:?}", dns.asked());
    // Nothing but strangers': two of them are asked for, to say more.
    let alone = format!("{}\r\n{rest}", strangers.join("\r\n"));
    assert_eq!(
        judged(alone.as_bytes(), &settings(&dns)).await.result(),
        "fail"
    );
    assert_eq!(dns.asked().len(), 4, "{:?}", dns.asked());
    // What can never hold needs no key.
    for tampered in [
        rest.replace("22628000", "22628050"),
        rest.replace("Content-Type:", "Content-Type: x/y\r\nContent-Type:"),
    ] {
        let tampered = format!("{field}\r\n{tampered}");
        assert_eq!(
            judged(tampered.as_bytes(), &settings(&dns)).await.result(),
            "fail"
        );
    }
    for tags in [format!("l=1; {TAGS}"), format!("x=1; {TAGS}")] {
        assert_eq!(
            judged(&by_hand(&eml, &tags), &settings(&dns))
                .await
                .result(),
            "fail"
        );
    }
    assert_eq!(dns.asked().len(), 4, "{:?}", dns.asked());
}

/// Each key that is tried costs the hash of a header, and one answer holds hundreds of keys.
#[tokio::test]
async fn of_the_keys_at_one_name_four_are_tried() {
    let dns = signer::dns();
    let eml = by_hand(&Notice::default().eml(), TAGS);
    let record = signer::record();
    // Of the same kind and length, and nobody's: a letter in the middle of each is another.
    let wrong = |n: usize| {
        let (before, after) = record.split_at(record.len() / 2 + n);
        let other = if after.starts_with('A') { "B" } else { "A" };
        format!("{before}{other}{}", &after[1..])
    };
    for (wrongs, expected) in [(0, "pass"), (3, "pass"), (4, "fail"), (100, "fail")] {
        let mut records: Vec<String> = (0..wrongs).map(wrong).collect();
        // What cannot be used is not tried.
        records.insert(0, "v=spf1 -all".to_owned());
        records.push(record.clone());
        dns.answer(&signer::record_name(), Answer::OnlyTcp(records));
        let evidence = judged(&eml, &settings(&dns)).await;
        assert_eq!(evidence.result(), expected, "{wrongs}: {evidence:?}");
    }
}

#[tokio::test]
async fn a_header_without_end_is_not_looked_into() {
    let dns = signer::dns();
    let signed = by_hand(&Notice::default().eml(), TAGS);
    let under = |count: usize| [b"X: y\r\n".repeat(count), signed.clone()].concat();
    assert_eq!(judged(&under(900), &settings(&dns)).await.result(), "pass");
    let evidence = judged(&under(1000), &settings(&dns)).await;
    assert!(
        why(&evidence).starts_with("the header has more than 1000 fields"),
        "{evidence:?}"
    );
}

/// Without bounds, each of these takes minutes.
#[tokio::test]
async fn hostile_signatures_cost_no_more_than_other_mail() {
    let dns = signer::dns();
    dns.answer(
        &format!("{SELECTOR}._domainkey.evil.example"),
        Answer::Txt(vec![signer::record()]),
    );
    let kinds = KINDS.iter().filter(|kind| kind.name.contains("signature"));
    let mut count = 0;
    for kind in kinds {
        let eml = (kind.write)((1 << 20) - 4096);
        let before = dns.asked().len();
        let started = Instant::now();
        let evidence = judged(&eml, &settings(&dns)).await;
        let took = started.elapsed();
        assert!(
            matches!(evidence.result(), "fail" | "none"),
            "{}: {evidence:?}",
            kind.name
        );
        assert!(
            took < Duration::from_secs(20),
            "{} took {took:?}",
            kind.name
        );
        let asked = dns.asked().len() - before;
        assert!(asked <= 10, "{}: {asked} questions", kind.name);
        count += 1;
    }
    assert!(count >= 4, "{count}");
}
