//! One signature, one rule at a time.

use invoice_trackd::authenticity::{Outcome, Settings, Verifier};

use super::{at_a_glance, changed, covered, judged, settings, why};
use crate::support::{
    daemon::Notice,
    dns::{Answer, Dns},
    signer::{self, DOMAIN, SELECTOR, TAGS, by_hand},
};

#[tokio::test]
async fn an_intact_signature_passes_and_its_evidence_is_kept() {
    let dns = signer::dns();
    let plain = Notice::default().eml();
    for eml in [signer::sign(&plain), by_hand(&plain, TAGS)] {
        let evidence = judged(&eml, &settings(&dns)).await;
        assert_eq!(
            at_a_glance(&evidence),
            ("pass", Some(DOMAIN), Some(SELECTOR))
        );
        let proof = evidence.proof.unwrap();
        assert_eq!(proof.algorithm.as_deref(), Some("rsa-sha256"));
        assert_eq!(proof.key, Some(signer::record()));
    }
    let (eml, record) = signer::sign_ed25519(&plain, &["From", "Subject"]);
    dns.answer(&signer::record_name(), Answer::Txt(vec![record.clone()]));
    let evidence = judged(&eml, &settings(&dns)).await;
    assert_eq!(covered(&evidence), ["subject", "from"]);
    let proof = evidence.proof.unwrap();
    assert_eq!(proof.algorithm.as_deref(), Some("ed25519-sha256"));
    assert_eq!(proof.key, Some(record));
}

#[tokio::test]
async fn line_ends_of_a_mailbox_on_disk_break_no_signature() {
    let dns = signer::dns();
    let simple = |eml: &[u8]| {
        signer::sign_as(eml, DOMAIN, &["From", "Subject"], |signer| {
            signer
                .header_canonicalization(mail_auth::dkim::Canonicalization::Simple)
                .body_canonicalization(mail_auth::dkim::Canonicalization::Simple)
        })
    };
    let plain = changed(
        &Notice::default().eml(),
        "From: einvoice@",
        "From: Platform\r\n <einvoice@",
    );
    let plain = changed(&plain, "gov.tw\r\nTo", "gov.tw>\r\nTo");
    for eml in [signer::sign(&plain), simple(&plain)] {
        let unix = String::from_utf8(eml.clone())
            .unwrap()
            .replace("\r\n", "\n");
        for eml in [eml, unix.into_bytes()] {
            let evidence = judged(&eml, &settings(&dns)).await;
            assert_eq!(evidence.result(), "pass", "{evidence:?}");
        }
    }
}

/// mail-auth 0.13 hashes such a body wrongly by itself.
#[tokio::test]
async fn white_space_in_the_last_lines_is_nothing() {
    let dns = signer::dns();
    for end in [
        "\r\n",
        "  \r\n",
        " \t\r\n\r\n \r\n",
        "\r\n\r\n",
        " ",
        "x",
        "x \t",
    ] {
        let eml = [&Notice::default().eml(), end.as_bytes()].concat();
        let evidence = judged(&by_hand(&eml, TAGS), &settings(&dns)).await;
        assert_eq!(evidence.result(), "pass", "{end:?} {evidence:?}");
    }
}

#[tokio::test]
async fn what_was_changed_after_signing_is_found_and_said() {
    let dns = signer::dns();
    let eml = by_hand(&Notice::default().eml(), TAGS);
    let body = "the body was changed after `einvoice.nat.gov.tw` had signed it";
    let header = "a signed header field or the signature of `einvoice.nat.gov.tw` was changed";
    for (from, to, expected) in [
        ("22628000", "22628050", body),
        ("22634399\r\n", "22634399\r\nmore\r\n", body),
        ("bh=", "bh=A", body),
        ("To: einvoice", "To: Einvoice", header),
        ("Date: Fri", "Date: Sat", header),
        ("Subject: =?", "Subject: x=?", header),
        ("8bit", "7bit", header),
        // The signature's own field is signed too.
        ("d=einvoice", "t=1; d=einvoice", header),
        ("b=", "b=AAAA", header),
        (
            "s=s2026",
            "s=none",
            "the key `none._domainkey.einvoice.nat.gov.tw` is not in DNS",
        ),
    ] {
        // The last `b=` of the field is the signature.
        let tampered = match from {
            "b=" => changed(&eml, "; b=", "; b=AAAA"),
            _ => changed(&eml, from, to),
        };
        let evidence = judged(&tampered, &settings(&dns)).await;
        assert!(why(&evidence).starts_with(expected), "{from}: {evidence:?}");
        assert_eq!(evidence.result(), "fail");
    }
    // Nothing of it is taken for another's mail either.
    let other = changed(&eml, "From: einvoice@einvoice", "From: x@einvoice");
    let evidence = judged(&other, &settings(&dns)).await;
    assert!(why(&evidence).starts_with(header), "{evidence:?}");
}

#[tokio::test]
async fn a_signature_that_is_not_as_it_must_be_does_not_count() {
    let dns = signer::dns();
    let part = "the signature covers only a part of the body (`l=`)";
    let unreadable = "the DKIM-Signature field is not as RFC 6376 §3.5 has it";
    let algorithm = "only rsa-sha256 and ed25519-sha256 count";
    let tags = |from: &str, to: &str| {
        assert!(TAGS.contains(from));
        TAGS.replacen(from, to, 1)
    };
    // 2100.
    let future = 4_102_444_800_u64;
    for (tags, expected) in [
        (format!("l=0; {TAGS}"), part),
        (format!("l=10000; {TAGS}"), part),
        (format!("l=x; {TAGS}"), part),
        (format!("l=; {TAGS}"), part),
        (format!("d=evil.example; {TAGS}"), unreadable),
        (format!("{TAGS}; d={DOMAIN}"), unreadable),
        (format!("{TAGS}; H=From"), unreadable),
        (format!("{TAGS}; nonsense"), unreadable),
        (tags("v=1; ", ""), unreadable),
        (tags("v=1", "v=2"), unreadable),
        (tags("v=1", "v=01"), unreadable),
        (tags("s=s2026", "s=s 2026"), unreadable),
        (tags("s=s2026", "s="), unreadable),
        (tags("s=s2026", "s=*"), unreadable),
        (tags("c=relaxed/relaxed", "c=relaxed/tidy"), unreadable),
        (tags("v=1", "v=1; q=carrier/pigeon"), unreadable),
        (tags("rsa-sha256", "rsa-sha1"), algorithm),
        (tags("rsa-sha256", "rsa-sha512"), algorithm),
        (tags("a=rsa-sha256; ", ""), algorithm),
        (
            format!("x=1000000000; {TAGS}"),
            "the signature of `einvoice.nat.gov.tw` has expired",
        ),
        (
            format!("t={}; x={future}; {TAGS}", future + 30),
            "the signature of `einvoice.nat.gov.tw` has expired",
        ),
        (
            format!("x=0; {TAGS}"),
            "the signature of `einvoice.nat.gov.tw` has expired",
        ),
        (format!("x=soon; {TAGS}"), unreadable),
        (
            format!("i=@evil.example; {TAGS}"),
            "the signature names an identity (`i=`)",
        ),
        (
            format!("i=@xeinvoice.nat.gov.tw; {TAGS}"),
            "the signature names an identity (`i=`)",
        ),
        (
            format!("i=einvoice; {TAGS}"),
            "the signature names an identity (`i=`)",
        ),
        (format!("{TAGS}{}", ":x".repeat(250)), unreadable),
    ] {
        let eml = by_hand(&Notice::default().eml(), &tags);
        let evidence = judged(&eml, &settings(&dns)).await;
        assert!(why(&evidence).contains(expected), "{tags}: {evidence:?}");
    }
    // And these are as they may be.
    for tags in [
        format!("x={future}; {TAGS}"),
        format!("i=einvoice@mail.{DOMAIN}; {TAGS}"),
        format!("q=dns/txt; {TAGS}"),
        format!("z=From:x|To:y; {TAGS}; n0=;"),
        tags("d=einvoice.nat", "d=EInvoice.Nat"),
        tags("h=From:", "h= From :\r\n\t"),
    ] {
        let evidence = judged(&by_hand(&Notice::default().eml(), &tags), &settings(&dns)).await;
        assert_eq!(evidence.result(), "pass", "{tags}: {evidence:?}");
    }
}

#[tokio::test]
async fn a_key_record_that_may_not_be_used_is_not() {
    let dns = signer::dns();
    let eml = by_hand(&Notice::default().eml(), TAGS);
    let key = signer::record().split_once("p=").unwrap().1.to_owned();
    let (_, ed25519) = signer::sign_ed25519(&eml, &["From"]);
    // 512 bits.
    let short = "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBALyVS4pajhklePk6k3Ky3qlWUNAfRpQ1h4pMX/YJlCQKgP3PwSwL\
        FCk3UhURFJt5kSBmtBm3sdu77h0n6pSjUrsCAwEAAQ==";
    for (record, expected) in [
        ("v=DKIM1; p=".to_owned(), "is revoked"),
        ("v=DKIM1; k=rsa".to_owned(), "it has no `p=`"),
        ("v=spf1 -all".to_owned(), "`v=` is not DKIM1"),
        ("what you like".to_owned(), "it is no tag list"),
        (format!("k=rsa; v=DKIM1; p={key}"), "or not first"),
        (format!("v=DKIM1; p=; p={key}"), "it is no tag list"),
        (format!("v=DKIM1; p={}", &key[..40]), "cannot be used"),
        (format!("v=DKIM1; p=*{key}"), "cannot be used"),
        (
            format!("v=DKIM1; h=sha1; p={key}"),
            "`h=` does not name sha256",
        ),
        (
            format!("v=DKIM1; s=tlsrpt; p={key}"),
            "`s=` is not for mail",
        ),
        (
            format!("v=DKIM1; k=ed25519; p={key}"),
            "`k=` is not the kind of key",
        ),
        (ed25519, "`k=` is not the kind of key"),
        (format!("v=DKIM1; p={short}"), "shorter than 1024 bits"),
    ] {
        dns.answer(&signer::record_name(), Answer::Txt(vec![record.clone()]));
        let evidence = judged(&eml, &settings(&dns)).await;
        assert!(why(&evidence).contains(expected), "{record}: {evidence:?}");
        assert_eq!(evidence.proof.unwrap().key, Some(record));
    }
    for record in [
        format!("p={key}"),
        format!("v=DKIM1; h=sha1:sha256; s=email; t=y; n=what you like; p={key};"),
        format!("v=DKIM1; s=other : * ; k=RSA; p={key}"),
    ] {
        dns.answer(&signer::record_name(), Answer::Txt(vec![record.clone()]));
        let evidence = judged(&eml, &settings(&dns)).await;
        assert_eq!(evidence.result(), "pass", "{record}: {evidence:?}");
    }
    // The order in which DNS gives several is nobody's.
    let mut several = vec![
        "v=spf1 -all".to_owned(),
        signer::record(),
        "v=DKIM1; p=".to_owned(),
    ];
    for _ in 0..several.len() {
        several.rotate_left(1);
        dns.answer(&signer::record_name(), Answer::Txt(several.clone()));
        let evidence = judged(&eml, &settings(&dns)).await;
        assert_eq!(evidence.result(), "pass", "{several:?}: {evidence:?}");
        assert_eq!(evidence.proof.unwrap().key, Some(signer::record()));
    }
}

#[tokio::test]
async fn a_key_for_one_domain_alone_does_not_sign_for_what_is_below_it() {
    let dns = signer::dns();
    let key = signer::record().split_once("p=").unwrap().1.to_owned();
    let strict = format!("v=DKIM1; t=y:s; p={key}");
    dns.answer(&signer::record_name(), Answer::Txt(vec![strict]));
    for (identity, expected) in [
        (format!("@mail.{DOMAIN}"), "fail"),
        (format!("x@{DOMAIN}"), "pass"),
    ] {
        let eml = by_hand(&Notice::default().eml(), &format!("i={identity}; {TAGS}"));
        let evidence = judged(&eml, &settings(&dns)).await;
        assert_eq!(evidence.result(), expected, "{identity}: {evidence:?}");
    }
}

#[tokio::test]
async fn only_a_listed_and_aligned_domain_counts() {
    let dns = signer::dns();
    let record = |domain: &str| {
        let name = format!("{SELECTOR}._domainkey.{domain}");
        dns.answer(&name, Answer::Txt(vec![signer::record()]));
    };
    let with = |domains: &[&str]| Settings {
        domains: domains.iter().map(|domain| (*domain).to_owned()).collect(),
        ..settings(&dns)
    };
    let signed_by = |domain: &str, from: &str| {
        record(domain);
        let tags = TAGS.replace(DOMAIN, domain);
        by_hand(
            &Notice {
                from,
                ..Notice::default()
            }
            .eml(),
            &tags,
        )
    };
    let ours = "einvoice@einvoice.nat.gov.tw";
    for (domain, from, domains, expected) in [
        (DOMAIN, ours, [DOMAIN], Ok(())),
        // One organization.
        ("invoice.nat.gov.tw", ours, ["invoice.nat.gov.tw"], Ok(())),
        ("nat.gov.tw", ours, ["nat.gov.tw"], Ok(())),
        // Exact: neither what is above nor what is below.
        (
            "nat.gov.tw",
            ours,
            [DOMAIN],
            Err("is not on `domains`: add it there"),
        ),
        (
            "mail.einvoice.nat.gov.tw",
            ours,
            [DOMAIN],
            Err("is not on `domains`: add it there"),
        ),
        // Listed, and another's.
        (
            "esp.example",
            ours,
            ["esp.example"],
            Err("`esp.example`, which does not speak for `einvoice.nat.gov.tw`"),
        ),
        (
            "b.example",
            "x@a.example",
            ["b.example"],
            Err("does not speak for `a.example`"),
        ),
        ("gov.tw", ours, ["gov.tw"], Err("does not speak for")),
        // Neither.
        (
            "esp.example",
            ours,
            [DOMAIN],
            Err("signed only by `esp.example`"),
        ),
        ("einvoice-nat.gov.tw", ours, [DOMAIN], Err("signed only by")),
    ] {
        let evidence = judged(&signed_by(domain, from), &with(&domains)).await;
        match expected {
            Ok(()) => assert_eq!(evidence.result(), "pass", "{domain}: {evidence:?}"),
            Err(words) => {
                assert!(why(&evidence).contains(words), "{domain}: {evidence:?}");
                assert_eq!(
                    at_a_glance(&evidence),
                    ("fail", Some(domain), Some(SELECTOR))
                );
            }
        }
    }
    // Of a stranger's that does not hold, nobody is asked to list it.
    let broken = changed(&signed_by("nat.gov.tw", ours), "22628000", "22628050");
    let evidence = judged(&broken, &settings(&dns)).await;
    assert!(
        why(&evidence).contains("not on `domains`, and the signature does not hold"),
        "{evidence:?}"
    );
    // From holds two addresses: none that could be aligned.
    let two = "einvoice@einvoice.nat.gov.tw, x@einvoice.nat.gov.tw";
    let evidence = judged(&signed_by(DOMAIN, two), &settings(&dns)).await;
    assert!(
        why(&evidence).contains("not exactly one address"),
        "{evidence:?}"
    );
}

#[tokio::test]
async fn one_good_signature_is_enough_wherever_it_stands() {
    let dns = signer::dns();
    let foreign = format!("{SELECTOR}._domainkey.esp.example");
    dns.answer(&foreign, Answer::Txt(vec![signer::record()]));
    let good = by_hand(&Notice::default().eml(), TAGS);
    let good_field = String::from_utf8(good).unwrap();
    let (good_field, rest) = good_field.split_once("\r\n").unwrap();
    let esp = by_hand(rest.as_bytes(), &TAGS.replace(DOMAIN, "esp.example"));
    let esp = String::from_utf8(esp).unwrap();
    let esp = esp.lines().next().unwrap();
    let broken = good_field.replace("; b=", "; b=AAAA");
    let nonsense = "DKIM-Signature: x";
    let empty = "DKIM-Signature:";
    let mut fields = [good_field, esp, &broken, nonsense, empty];
    for _ in 0..fields.len() {
        fields.rotate_left(1);
        let eml = format!("{}\r\n{rest}", fields.join("\r\n"));
        let evidence = judged(eml.as_bytes(), &settings(&dns)).await;
        assert_eq!(
            at_a_glance(&evidence),
            ("pass", Some(DOMAIN), Some(SELECTOR)),
            "{eml}"
        );
        // Of those that do not count, the one that came nearest is told of.
        let without = eml.replace(&format!("{good_field}\r\n"), "");
        let evidence = judged(without.as_bytes(), &settings(&dns)).await;
        assert_eq!(
            at_a_glance(&evidence),
            ("fail", Some(DOMAIN), Some(SELECTOR)),
            "{without}"
        );
        assert!(why(&evidence).contains("the signature of `einvoice.nat.gov.tw` was changed"));
        assert_eq!(evidence.proof.unwrap().key, Some(signer::record()));

        // Whoever signed, each is looked into.
        let verifier = Verifier::new(settings(&dns));
        let all = verifier.survey(eml.as_bytes(), None).await.signatures;
        let passed: Vec<&str> = all
            .iter()
            .filter(|signed| signed.outcome == Outcome::Pass)
            .map(|signed| signed.domain.as_str())
            .collect();
        assert_eq!(all.len(), 5);
        assert!(
            passed.len() == 2 && passed.contains(&"esp.example"),
            "{all:?}"
        );
    }
    let none = judged(rest.as_bytes(), &settings(&dns)).await;
    assert_eq!(at_a_glance(&none), ("none", None, None));
    assert!(why(&none).starts_with("there is no DKIM signature"));
}

#[tokio::test]
async fn a_strangers_words_are_quoted_short_and_harmless() {
    let dns = Dns::start();
    let tags = format!(
        "{}; x=1",
        TAGS.replace("rsa-sha256", &format!("\u{1b}[2J{}", "x".repeat(5000)))
    );
    let eml = by_hand(&Notice::default().eml(), &tags);
    let evidence = judged(&eml, &settings(&dns)).await;
    // A control character in the header is refused before anything in it is quoted.
    assert!(
        why(&evidence).starts_with("the mail can be read in two ways"),
        "{evidence:?}"
    );
    let tags = TAGS.replace("rsa-sha256", &format!("\u{202e}{}", "x".repeat(5000)));
    let evidence = judged(&by_hand(&Notice::default().eml(), &tags), &settings(&dns)).await;
    let said = why(&evidence);
    assert!(said.contains("`<U+202E>xxx") && said.len() < 300, "{said}");
    assert_eq!(evidence.proof.unwrap().algorithm, None);
    // What DNS says is kept, and does nothing to a terminal.
    let record = format!("\u{1b}[2J{}", "x".repeat(9000));
    dns.answer(&signer::record_name(), Answer::OnlyTcp(vec![record]));
    let evidence = judged(&by_hand(&Notice::default().eml(), TAGS), &settings(&dns)).await;
    let key = evidence.proof.unwrap().key.unwrap();
    assert!(key.starts_with("\\027[2Jxxx") && key.len() < 5000, "{key}");
}
