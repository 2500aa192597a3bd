//! Readings and circumstances in, judgements out.

use jiff::civil::date;

use super::{
    super::{Assignment, Block, Companies, Company, InvoiceNo, InvoiceType, Range},
    DefectCode::*,
    *,
};

mod release;
mod replay;

const OURS: &str = "53567686";
const THEIRS: &str = "24634102";
const UNLISTED: &str = "22099131";
const TODAY: Date = date(2018, 4, 20);

fn ban(digits: &str) -> Ban {
    digits.parse().unwrap()
}

fn block(track: &str, year_month: &str, begin: &str, end: &str) -> Block {
    let number = |text| InvoiceNo::parse(text).unwrap();
    Block {
        invoice_type: InvoiceType::General,
        period: year_month.parse().unwrap(),
        track: track.parse().unwrap(),
        range: Range::new(number(begin), number(end)).unwrap(),
        requested_booklets: Some(0),
        added_booklets: Some(128),
    }
}

fn specimen() -> Block {
    block("EC", "10706", "22628000", "22634399")
}

fn recorded(id: i64, holder: &str, block: Block) -> Recorded {
    Recorded {
        id,
        allocation: Allocation {
            ban: ban(holder),
            block,
        },
        from_file: false,
    }
}

fn notice(blocks: &[Block]) -> Reading {
    Reading {
        recipients: vec![("To".to_owned(), "ours@example.com".parse().unwrap())],
        is_notice: true,
        blocks: blocks.to_vec(),
        ..Reading::default()
    }
}

fn rules() -> Rules {
    let company = |digits, name: &str, recipient: &str| Company {
        recipients: vec![recipient.parse().unwrap()],
        ..Company::new(ban(digits), name)
    };
    let companies = vec![
        company(OURS, "雲端（股）公司", "ours@example.com"),
        company(THEIRS, "他們公司", "theirs@example.com"),
    ];
    Rules {
        companies: Companies::new(companies).unwrap(),
        ..Rules::default()
    }
}

/// The rules with our company changed.
fn rules_with(change: impl Fn(&mut Company)) -> Rules {
    let mut companies: Vec<Company> = rules().companies.iter().cloned().collect();
    change(&mut companies[0]);
    Rules {
        companies: Companies::new(companies).unwrap(),
        ..Rules::default()
    }
}

fn judge_by(reading: &Reading, rules: &Rules, neighbours: &[Recorded]) -> Judgement {
    settle(
        reading,
        &Circumstances {
            rules,
            mailbox_company: Some(ban(OURS)),
            authenticity: &Authenticity::NotRequired,
            neighbours,
            today: TODAY,
            release: None,
        },
    )
}

fn judge(reading: &Reading, neighbours: &[Recorded]) -> Judgement {
    judge_by(reading, &rules(), neighbours)
}

fn codes(judgement: &Judgement) -> Vec<DefectCode> {
    judgement.defects.iter().map(|defect| defect.code).collect()
}

fn warnings(judgement: &Judgement) -> Vec<WarningCode> {
    judgement.warnings.iter().map(|w| w.code).collect()
}

#[test]
fn a_good_notice_is_imported_and_then_a_duplicate() {
    let reading = notice(&[specimen()]);
    let first = judge(&reading, &[]);
    assert_eq!(first.disposition, Disposition::Imported);
    assert_eq!(first.company, Some((ban(OURS), CompanySource::Recipient)));
    assert_eq!(first.fresh().count(), 1);
    assert_eq!(warnings(&first), []);

    let again = judge(&reading, &[recorded(7, OURS, specimen())]);
    assert_eq!(again.disposition, Disposition::Duplicate);
    assert_eq!(again.allocations[0].known, Some(7));
    assert_eq!(again.fresh().count(), 0);

    let more = notice(&[specimen(), block("ED", "10706", "00000000", "00000049")]);
    let partly = judge(&more, &[recorded(7, OURS, specimen())]);
    assert_eq!(partly.disposition, Disposition::Imported);
    assert_eq!((partly.allocations.len(), partly.fresh().count()), (2, 1));
}

#[test]
fn what_is_no_notice_is_unrelated_and_what_was_not_read_is_quarantined() {
    let judgement = judge(&Reading::default(), &[]);
    assert_eq!(judgement.disposition, Disposition::Unrelated);
    let judgement = judge(&super::super::panicked("x"), &[]);
    assert_eq!(judgement.disposition, Disposition::Quarantined);
    assert_eq!(codes(&judgement), [ReaderPanicked]);
}

#[test]
fn authenticity_decides_between_waiting_and_quarantine() {
    let rules = rules();
    let settle_with = |authenticity: &Authenticity, reading: &Reading| {
        let given = Circumstances {
            rules: &rules,
            mailbox_company: None,
            authenticity,
            neighbours: &[],
            today: TODAY,
            release: None,
        };
        settle(reading, &given)
    };
    let reading = notice(&[specimen()]);
    let no_signature = Sentence::new("no signature", "沒有簽章");
    let unproven = settle_with(&Authenticity::Unproven(no_signature.clone()), &reading);
    assert_eq!(unproven.disposition, Disposition::Quarantined);
    assert_eq!(
        unproven.defects,
        [Defect::new(NotAuthenticated, no_signature)]
    );

    let unknown = Authenticity::Unknown("timeout".into());
    assert_eq!(
        settle_with(&unknown, &reading).disposition,
        Disposition::Waiting
    );
    let nobody = Reading {
        recipients: vec![],
        ..reading.clone()
    };
    let waiting = settle_with(&unknown, &nobody);
    assert_eq!(waiting.disposition, Disposition::Waiting);
    assert_eq!(codes(&waiting), [UnknownCompany]);
    assert_eq!(
        settle_with(&unknown, &Reading::default()).disposition,
        Disposition::Unrelated
    );

    let signed = |fields: &[&str]| Authenticity::Proven {
        signed: Some(fields.iter().map(|f| (*f).to_owned()).collect()),
    };
    let covered = settle_with(&signed(&["from", "to"]), &reading);
    assert_eq!(covered.disposition, Disposition::Imported);
    let open = settle_with(&signed(&["from", "subject"]), &reading);
    assert_eq!(codes(&open), [UnknownCompany]);
    let results = settle_with(&Authenticity::Proven { signed: None }, &reading);
    assert_eq!(results.disposition, Disposition::Imported);
}

#[test]
fn the_parentheses_come_first() {
    let named = |addressee: &str| Reading {
        addressee: Some(addressee.to_owned()),
        ..notice(&[specimen()])
    };
    let company = |addressee: &str| judge(&named(addressee), &[]).company;
    assert_eq!(company(THEIRS), Some((ban(THEIRS), CompanySource::Body)));
    assert_eq!(
        company("他們公司"),
        Some((ban(THEIRS), CompanySource::Name))
    );
    assert_eq!(
        company("雲端(股)公司"),
        Some((ban(OURS), CompanySource::Name))
    );
    assert_eq!(
        company("雲端公司"),
        Some((ban(OURS), CompanySource::Recipient))
    );

    // A number among words still says whose it is; two numbers say nothing.
    assert_eq!(
        company(&format!("統一編號:{THEIRS} 他們")),
        Some((ban(THEIRS), CompanySource::Body))
    );
    assert_eq!(
        company(&format!("{THEIRS} {OURS}")),
        Some((ban(OURS), CompanySource::Recipient))
    );

    assert_eq!(codes(&judge(&named("12345678"), &[])), [BanInvalid]);
    assert_eq!(codes(&judge(&named(UNLISTED), &[])), [UnknownCompany]);
    let open = Rules {
        accept_unlisted_companies: true,
        ..rules()
    };
    let judgement = judge_by(&named(UNLISTED), &open, &[]);
    assert_eq!(
        judgement.company,
        Some((ban(UNLISTED), CompanySource::Body))
    );
    let namesakes = rules_with(|ours| ours.name = "他們公司".to_owned());
    assert_eq!(
        codes(&judge_by(&named("他們公司"), &namesakes, &[])),
        [UnknownCompany]
    );
}

#[test]
fn a_recipient_must_be_one_company_s() {
    let to = |addresses: &[&str]| Reading {
        recipients: addresses
            .iter()
            .map(|a| ("To".to_owned(), a.parse().unwrap()))
            .collect(),
        ..notice(&[specimen()])
    };
    let both = to(&["ours@example.com", "theirs@example.com"]);
    assert_eq!(codes(&judge(&both, &[])), [UnknownCompany]);
    let one = judge(&to(&["x@example.com", "theirs@example.com"]), &[]);
    assert_eq!(one.company, Some((ban(THEIRS), CompanySource::Recipient)));

    let second = "second@example.com";
    let two = rules_with(|ours| ours.recipients.push(second.parse().unwrap()));
    let twice = to(&["ours@example.com", second, "ours@example.com"]);
    let judged = judge_by(&twice, &two, &[]);
    assert_eq!(judged.company, Some((ban(OURS), CompanySource::Recipient)));
}

#[test]
fn the_mailbox_s_company_is_assumed_only_when_nothing_speaks_against_it() {
    let unlisted = rules_with(|ours| ours.recipients.clear());
    let to = |address: &str| Reading {
        recipients: vec![("To".to_owned(), address.parse().unwrap())],
        ..notice(&[specimen()])
    };
    let assumed = judge_by(&to("x@example.com"), &unlisted, &[]);
    assert_eq!(assumed.company, Some((ban(OURS), CompanySource::Mailbox)));
    assert_eq!(warnings(&assumed), [WarningCode::CompanyAssumed]);

    assert_eq!(codes(&judge(&to("x@example.com"), &[])), [UnknownCompany]);
    let other = Reading {
        addressee: Some("別家公司".to_owned()),
        ..to("x@example.com")
    };
    assert_eq!(codes(&judge_by(&other, &unlisted, &[])), [UnknownCompany]);

    // To somebody else, under a signature that leaves To open: nobody's, and not ours either.
    let circumstances = Circumstances {
        rules: &unlisted,
        mailbox_company: Some(ban(OURS)),
        authenticity: &Authenticity::Proven {
            signed: Some(vec!["from".to_owned(), "subject".to_owned()]),
        },
        neighbours: &[],
        today: TODAY,
        release: None,
    };
    let replayed = settle(&to("theirs@example.com"), &circumstances);
    assert_eq!(codes(&replayed), [UnknownCompany]);
    let ours = settle(&to("x@example.com"), &circumstances);
    assert_eq!(ours.company, Some((ban(OURS), CompanySource::Mailbox)));
}

#[test]
fn a_file_of_the_platform_s_tells_the_company() {
    let nobody = Reading {
        recipients: vec![],
        ..notice(&[specimen()])
    };
    let from_file = |id, holder| Recorded {
        from_file: true,
        ..recorded(id, holder, specimen())
    };
    let told = judge(&nobody, &[from_file(1, THEIRS)]);
    assert_eq!(told.company, Some((ban(THEIRS), CompanySource::File)));
    assert_eq!(told.disposition, Disposition::Duplicate);
    // From a mail, or of two companies, it tells nothing; nor is it an overlap.
    assert_eq!(
        codes(&judge(&nobody, &[recorded(1, THEIRS, specimen())])),
        [UnknownCompany]
    );
    let two = [from_file(1, THEIRS), from_file(2, OURS)];
    assert_eq!(codes(&judge(&nobody, &two)), [UnknownCompany]);
    // Nor does it tell of a company that is not ours to record for, unless all are.
    let unlisted = [from_file(1, UNLISTED)];
    assert_eq!(codes(&judge(&nobody, &unlisted)), [UnknownCompany]);
    let all = Rules {
        accept_unlisted_companies: true,
        ..rules()
    };
    assert_eq!(
        judge_by(&nobody, &all, &unlisted).company,
        Some((ban(UNLISTED), CompanySource::File))
    );
}

#[test]
fn a_shared_number_is_an_overlap_and_names_its_holder() {
    let reading = notice(&[specimen()]);
    for neighbour in [
        block("EC", "10706", "22634350", "22634449"),
        block("EC", "10706", "22628050", "22628099"),
        Block {
            invoice_type: InvoiceType::Special,
            ..specimen()
        },
    ] {
        let judgement = judge(&reading, &[recorded(9, OURS, neighbour)]);
        assert_eq!(codes(&judgement), [RangeOverlap]);
        let Sentence { en, zh } = &judgement.defects[0].detail;
        assert!(en.contains(OURS) && en.contains("allocation 9"), "{en}");
        assert!(zh.contains(OURS) && zh.contains("編號 9"), "{zh}");
    }
    let theirs = judge(&reading, &[recorded(9, THEIRS, specimen())]);
    assert_eq!(codes(&theirs), [RangeOverlap]);
    let nobody = Reading {
        recipients: vec![],
        ..reading.clone()
    };
    let part = block("EC", "10706", "22628050", "22628099");
    assert_eq!(
        codes(&judge(&nobody, &[recorded(9, OURS, part)])),
        [UnknownCompany, RangeOverlap]
    );

    for neighbour in [
        block("EC", "10706", "22634400", "22634449"),
        block("ED", "10706", "22628000", "22634399"),
        block("EC", "10606", "22628000", "22634399"),
    ] {
        assert_eq!(codes(&judge(&reading, &[recorded(9, OURS, neighbour)])), []);
    }
    let within = notice(&[specimen(), part]);
    assert_eq!(codes(&judge(&within, &[])), [RangeOverlap]);
}

#[test]
fn a_track_belongs_to_one_period_of_a_year() {
    let other = block("EC", "10704", "00000000", "00000049");
    let judgement = judge(&notice(&[specimen()]), &[recorded(9, THEIRS, other)]);
    assert_eq!(codes(&judgement), [TrackPeriodConflict]);
    assert!(judgement.defects[0].detail.zh.contains("107/03 - 107/04"));
    let within = judge(&notice(&[specimen(), other]), &[]);
    assert_eq!(codes(&within), [TrackPeriodConflict]);
}

#[test]
fn a_known_range_is_not_held_against_itself() {
    let neighbours = [
        recorded(1, OURS, specimen()),
        recorded(2, THEIRS, block("EC", "10704", "00000000", "00000049")),
    ];
    let judgement = judge(&notice(&[specimen()]), &neighbours);
    assert_eq!(judgement.disposition, Disposition::Duplicate);
    let counted = Block {
        added_booklets: Some(1),
        ..specimen()
    };
    let judgement = judge(&notice(&[counted]), &neighbours);
    assert_eq!(judgement.disposition, Disposition::Duplicate);
    assert_eq!(warnings(&judgement), [WarningCode::CountsDiffer]);
    let asked_for = Block {
        requested_booklets: Some(128),
        added_booklets: Some(0),
        ..specimen()
    };
    let only_requested = Block {
        requested_booklets: Some(1),
        ..specimen()
    };
    for counted in [asked_for, only_requested] {
        let judgement = judge(&notice(&[counted]), &neighbours);
        assert_eq!(warnings(&judgement), [WarningCode::CountsDiffer]);
    }
    // Twice in one mail with other counts, it is still one range.
    let twice = judge(&notice(&[specimen(), asked_for]), &[]);
    assert_eq!(twice.disposition, Disposition::Imported);
    assert_eq!(twice.fresh().count(), 1);
    let from_csv = Block {
        requested_booklets: None,
        added_booklets: None,
        ..specimen()
    };
    let judgement = judge(&notice(&[specimen()]), &[recorded(1, OURS, from_csv)]);
    assert_eq!(warnings(&judgement), []);
}

#[test]
fn how_far_ahead_depends_on_the_assignment() {
    let at = |year_month| notice(&[block("EC", year_month, "22628000", "22634399")]);
    for (assignment, last, too_far) in [
        (Assignment::Period, "10706", "10708"),
        (Assignment::None, "10706", "10708"),
        (Assignment::Year, "10812", "10902"),
    ] {
        let rules = rules_with(|ours| ours.assignment = assignment);
        assert_eq!(
            codes(&judge_by(&at(last), &rules, &[])),
            [],
            "{assignment:?}"
        );
        let judgement = judge_by(&at(too_far), &rules, &[]);
        assert_eq!(codes(&judgement), [PeriodTooFar], "{assignment:?}");
    }
    let past = judge(&at("10702"), &[]);
    assert_eq!(past.disposition, Disposition::Imported);
    assert_eq!(warnings(&past), [WarningCode::PeriodPast]);
    assert_eq!(warnings(&judge(&at("10704"), &[])), []);
}

#[test]
fn periods_that_are_over_are_one_warning() {
    let of = |year_months: &[&str]| -> Vec<Sentence> {
        let blocks: Vec<Block> = year_months
            .iter()
            .map(|year_month| block("EC", year_month, "22628000", "22634399"))
            .collect();
        let warnings = judge(&notice(&blocks), &[]).warnings;
        warnings.into_iter().map(|warning| warning.detail).collect()
    };
    assert_eq!(
        of(&["10702", "10612", "10706"]),
        [Sentence::new(
            "106/11 - 106/12, 107/01 - 107/02 are over; the current period is 107/03 - 107/04",
            "已經過期：106/11 - 106/12、107/01 - 107/02；現在是 107/03 - 107/04"
        )]
    );
    let eight = [
        "10602", "10604", "10606", "10608", "10610", "10612", "10702", "10512",
    ];
    let [detail] = &of(&eight)[..] else {
        panic!("expected one warning");
    };
    assert!(
        detail.en.contains("106/09 - 106/10, and 2 more are over"),
        "{detail:?}"
    );
    assert!(
        detail.zh.contains("106/09 - 106/10、另外 2 期；現在"),
        "{detail:?}"
    );
}

#[test]
fn defects_stand_in_the_order_of_their_codes() {
    let reading = Reading {
        recipients: vec![],
        defects: vec![Defect::new(BookletsDisagree, Sentence::new("x", "某"))],
        ..notice(&[block("EC", "10912", "22628000", "22634399")])
    };
    let judgement = judge(&reading, &[]);
    assert_eq!(
        codes(&judgement),
        [BookletsDisagree, UnknownCompany, PeriodTooFar]
    );
    assert_eq!(judgement.disposition, Disposition::Quarantined);

    // Two ranges of one period that is too far away: one thing to know.
    let second = block("EC", "10912", "22634400", "22640799");
    let twice = notice(&[block("EC", "10912", "22628000", "22634399"), second]);
    assert_eq!(codes(&judge(&twice, &[])), [PeriodTooFar]);
}

#[test]
fn a_thousand_defects_of_a_kind_are_counted_and_not_told() {
    let mut reading = notice(&[]);
    reading.defects = (0..1000)
        .map(|n| {
            let detail = Sentence::new(format!("block {n}"), format!("第 {n} 段"));
            Defect::new(FieldMissing, detail)
        })
        .chain([Defect::new(FieldMalformed, Sentence::new("one", "一"))])
        .collect();
    let defects = judge(&reading, &[]).defects;
    assert_eq!(defects.len(), 20 + 1 + 1);
    assert_eq!(defects[0].detail.en, "block 0");
    assert_eq!(
        defects[20].detail,
        Sentence::new("and 980 more of this kind", "另有 980 項同類問題")
    );
    assert_eq!(defects[21].code, FieldMalformed);
}
