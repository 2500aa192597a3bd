//! What a person who releases a mail overrules, and what stands.

use super::*;

fn release_by(
    reading: &Reading,
    rules: &Rules,
    neighbours: &[Recorded],
    digits: Option<&str>,
) -> Judgement {
    let release = Release {
        ban: digits.map(ban),
    };
    settle(
        reading,
        &Circumstances {
            rules,
            mailbox_company: None,
            authenticity: &Authenticity::Unproven(Sentence::new("no proof", "無法證明")),
            neighbours,
            today: TODAY,
            release: Some(release),
        },
    )
}

fn overruled(judgement: &Judgement) -> Vec<DefectCode> {
    judgement.overruled.iter().map(|d| d.code).collect()
}

fn addressed(addressee: &str) -> Reading {
    Reading {
        addressee: Some(addressee.to_owned()),
        recipients: Vec::new(),
        ..notice(&[specimen()])
    }
}

#[test]
fn every_defect_is_overruled_or_stands_as_documented() {
    let may = [
        SenderNotAllowed,
        SubjectUnexpected,
        NotAuthenticated,
        BookletsDisagree,
        TrackPeriodConflict,
        PeriodTooFar,
    ];
    for code in DefectCode::ALL {
        let reading = Reading {
            defects: vec![Defect::new(*code, Sentence::new("x", "x"))],
            ..notice(&[specimen()])
        };
        let judgement = release_by(&reading, &rules(), &[], None);
        let expected = match may.contains(code) {
            true => Disposition::Imported,
            false => Disposition::Quarantined,
        };
        assert_eq!(judgement.disposition, expected, "{code}");
        assert_eq!(codes(&judgement).contains(code), !may.contains(code));
        assert_eq!(overruled(&judgement).contains(code), may.contains(code));
    }
}

#[test]
fn what_the_ledger_and_the_day_say_is_overruled_but_for_an_overlap() {
    let far = block("ZZ", "10712", "00000000", "00006399");
    let other_period = recorded(1, OURS, block("EC", "10708", "00000000", "00000049"));
    let judgement = release_by(&notice(&[specimen(), far]), &rules(), &[other_period], None);
    assert_eq!(judgement.disposition, Disposition::Imported);
    assert_eq!(judgement.fresh().count(), 2);
    assert_eq!(
        overruled(&judgement),
        [NotAuthenticated, TrackPeriodConflict, PeriodTooFar]
    );

    let theirs = recorded(2, THEIRS, specimen());
    let judgement = release_by(&notice(&[specimen()]), &rules(), &[theirs], None);
    assert_eq!(judgement.disposition, Disposition::Quarantined);
    assert_eq!(codes(&judgement), [RangeOverlap]);

    let ours = recorded(3, OURS, specimen());
    let judgement = release_by(&notice(&[specimen()]), &rules(), &[ours], None);
    assert_eq!(judgement.disposition, Disposition::Duplicate);
}

#[test]
fn a_person_says_whose_numbers_they_are() {
    let nobody_s = Reading {
        recipients: Vec::new(),
        ..notice(&[specimen()])
    };
    let judgement = release_by(&nobody_s, &rules(), &[], None);
    assert_eq!(codes(&judgement), [UnknownCompany]);
    for holder in [OURS, UNLISTED] {
        let judgement = release_by(&nobody_s, &rules(), &[], Some(holder));
        assert_eq!(judgement.disposition, Disposition::Imported, "{holder}");
        assert_eq!(
            judgement.company,
            Some((ban(holder), CompanySource::Person))
        );
        assert_eq!(overruled(&judgement), [NotAuthenticated, UnknownCompany]);
        assert_eq!(judgement.allocations[0].allocation.ban, ban(holder));
    }
    // Somebody else's name is nobody's that is known here.
    let judgement = release_by(&addressed("某某公司"), &rules(), &[], Some(OURS));
    assert_eq!(judgement.disposition, Disposition::Imported);
    // The number in the mail is not configured: the person confirms it.
    let judgement = release_by(&addressed(UNLISTED), &rules(), &[], Some(UNLISTED));
    assert_eq!(judgement.disposition, Disposition::Imported);
    // What the mail says already is the mail's word.
    let judgement = release_by(&addressed(OURS), &rules(), &[], Some(OURS));
    assert_eq!(judgement.company, Some((ban(OURS), CompanySource::Body)));
    assert_eq!(overruled(&judgement), [NotAuthenticated]);
}

#[test]
fn a_person_s_word_does_not_stand_against_the_recipient() {
    let judgement = release_by(&notice(&[specimen()]), &rules(), &[], Some(THEIRS));
    assert_eq!(judgement.disposition, Disposition::Quarantined);
    assert_eq!(codes(&judgement), [UnknownCompany]);
    let detail = &judgement.defects[0].detail;
    assert!(
        detail.en.starts_with(&format!("the mail is for {OURS}")),
        "{detail:?}"
    );
}

#[test]
fn a_person_s_word_does_not_stand_against_the_mail_s() {
    let both = format!("{OURS}或{THEIRS}");
    for addressee in [
        OURS,
        UNLISTED,
        "雲端(股)公司",
        "統一編號:53567686",
        both.as_str(),
    ] {
        let other = "12345675";
        let judgement = release_by(&addressed(addressee), &rules(), &[], Some(other));
        assert_eq!(
            judgement.disposition,
            Disposition::Quarantined,
            "{addressee}"
        );
        assert_eq!(codes(&judgement), [UnknownCompany], "{addressee}");
        let detail = &judgement.defects[0].detail.en;
        assert!(detail.contains(other), "{detail}");
        assert_eq!(judgement.company, None);
    }
    let judgement = release_by(&addressed(&both), &rules(), &[], Some(THEIRS));
    assert_eq!(judgement.disposition, Disposition::Imported);
    // No word makes a number valid.
    let judgement = release_by(&addressed("12345678"), &rules(), &[], Some(OURS));
    assert_eq!(codes(&judgement), [BanInvalid]);
}

#[test]
fn a_name_that_two_bear_is_settled_by_a_person() {
    let rules = rules_with(|company| company.name = "他們公司".to_owned());
    let judgement = release_by(&addressed("他們公司"), &rules, &[], None);
    assert_eq!(codes(&judgement), [UnknownCompany]);
    let judgement = release_by(&addressed("他們公司"), &rules, &[], Some(OURS));
    assert_eq!(judgement.disposition, Disposition::Imported);
    let judgement = release_by(&addressed("他們公司"), &rules, &[], Some(UNLISTED));
    assert_eq!(judgement.disposition, Disposition::Quarantined);
}
