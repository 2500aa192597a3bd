//! Genuine notices that somebody sends again, and fields that are not under the signature.

use super::*;

fn proven(signed: Option<&[&str]>) -> Authenticity {
    Authenticity::Proven {
        signed: signed.map(|fields| fields.iter().map(|field| (*field).to_owned()).collect()),
    }
}

/// A notice with empty parentheses that `field` says is for `recipient`.
fn addressed(field: &str, recipient: &str) -> Reading {
    Reading {
        recipients: vec![(field.to_owned(), recipient.parse().unwrap())],
        ..notice(&[specimen()])
    }
}

fn judged(reading: &Reading, rules: &Rules, authenticity: &Authenticity) -> Judgement {
    let circumstances = Circumstances {
        rules,
        mailbox_company: Some(ban(OURS)),
        authenticity,
        neighbours: &[],
        today: TODAY,
        release: None,
    };
    settle(reading, &circumstances)
}

#[test]
fn a_recipient_field_counts_only_as_far_as_the_proof_reaches() {
    let rules = rules();
    for field in ["To", "Delivered-To", "X-Original-To"] {
        let reading = addressed(field, "ours@example.com");
        let outside: &[&str] = &["from", "subject", "date"];
        let lower = field.to_ascii_lowercase();
        let inside = [outside, &[lower.as_str()]].concat();
        for (authenticity, counts) in [
            (proven(Some(outside)), false),
            (proven(Some(&inside)), true),
            // A server's word speaks of no fields.
            (proven(None), true),
            (Authenticity::NotRequired, true),
        ] {
            let judgement = judged(&reading, &rules, &authenticity);
            let told = Some((ban(OURS), CompanySource::Recipient));
            match counts {
                true => assert_eq!(judgement.company, told, "{field} {authenticity:?}"),
                false => assert_eq!(codes(&judgement), [UnknownCompany], "{field}"),
            }
        }
    }
}

#[test]
fn a_recipient_that_is_not_signed_is_said_and_adding_it_is_not_advised() {
    let unsigned = proven(Some(&["from", "subject"]));
    let detail = |recipient: &str| {
        let judgement = judged(&addressed("To", recipient), &rules(), &unsigned);
        judgement.defects[0].detail.clone()
    };
    let ours = detail("ours@example.com");
    assert!(
        ours.en.contains("To does, but the signature"),
        "{}",
        ours.en
    );
    assert!(ours.en.contains("--ban") && ours.zh.contains("--ban"));
    assert!(!ours.en.contains("`recipients`"), "{}", ours.en);
    let strange = detail("x@example.com");
    assert!(
        strange.en.contains("only where one of them"),
        "{}",
        strange.en
    );
    assert!(strange.zh.contains("誰都能轉寄"), "{}", strange.zh);
}

#[test]
fn a_notice_that_names_a_stranger_is_not_the_mailboxs() {
    let alone = rules_with(|company| company.recipients.clear());
    let reading = Reading {
        addressee: Some(UNLISTED.to_owned()),
        ..addressed("To", "x@example.com")
    };
    for authenticity in [proven(Some(&["from", "subject", "to"])), proven(None)] {
        let judgement = judged(&reading, &alone, &authenticity);
        assert_eq!(codes(&judgement), [UnknownCompany]);
        let nobody = judged(&addressed("To", "x@example.com"), &alone, &authenticity);
        assert_eq!(nobody.company, Some((ban(OURS), CompanySource::Mailbox)));
        assert_eq!(warnings(&nobody), [WarningCode::CompanyAssumed]);
        let held = judged(&addressed("To", "x@example.com"), &rules(), &authenticity);
        assert_eq!(codes(&held), [UnknownCompany]);
    }
}
