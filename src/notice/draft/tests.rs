//! What a value may look like, and what is said of one that may not.

use super::{
    Label::{Added, Begin, End, Requested, Track, Type},
    *,
};

const SPECIMEN: [(Label, &str); 7] = [
    (Track, "EC"),
    (Label::Period, "107/05 - 107/06"),
    (Type, "一般稅額計算"),
    (Requested, "0"),
    (Added, "128"),
    (Begin, "22628000"),
    (End, "22634399"),
];

fn draft(fields: &[(Label, &'static str)]) -> Draft<'static> {
    Draft {
        fields: fields.to_vec(),
    }
}

/// The specimen with one field replaced.
fn with(label: Label, value: &'static str) -> Draft<'static> {
    let mut fields = SPECIMEN.to_vec();
    fields.retain(|(other, _)| *other != label);
    fields.push((label, value));
    draft(&fields)
}

fn codes(draft: &Draft<'_>) -> Vec<DefectCode> {
    let defects = draft.read().err().unwrap_or_default();
    defects.into_iter().map(|defect| defect.code).collect()
}

#[test]
fn every_form_of_a_period_reads() {
    for form in [
        "107/05 - 107/06",
        "107/05~107/06",
        "107/05 – 107/06",
        "107/05—107/06",
        "107/05 至 107/06",
        "107/5〜107/6",
        "107年05月-06月",
        "107年05月 - 107年06月",
        "107年5月至6月",
        "10705-10706",
        "107/05-06",
        "107 / 05 - 06",
    ] {
        assert_eq!(
            period(form).map(Period::year_month),
            Ok("10706".into()),
            "{form}"
        );
    }
    assert_eq!(
        period("99/11-12").map(Period::year_month),
        Ok("09912".into())
    );
}

#[test]
fn an_unreadable_period_is_not_a_wrong_one() {
    for form in [
        "",
        "107/05",
        "10706",
        "107/13-107/14",
        "107/00-107/01",
        "2018/05-2018/06",
        "107/05-107/O6",
        "107/05--107/06",
        "1075-1076",
        "000/05-000/06",
        "107/05/01-107/06/30",
    ] {
        assert!(
            matches!(period(form), Err(Unreadable::Malformed(..))),
            "{form}"
        );
    }
    for form in [
        "107/06-107/07",
        "107/05-108/06",
        "107/05-05",
        "107/11-107/01",
    ] {
        assert!(
            matches!(period(form), Err(Unreadable::NotAPair(_))),
            "{form}"
        );
    }
}

#[test]
fn booklets_may_carry_separators_and_their_unit() {
    for (form, count) in [
        ("0", 0),
        ("128", 128),
        ("1,280", 1280),
        ("12,800 本", 12800),
    ] {
        assert_eq!(booklets(form), Ok(count), "{form}");
    }
    for form in [
        "",
        "本",
        "-1",
        "+1",
        "1,28",
        ",128",
        "1280,000",
        "1.5",
        "99999999999",
        "一",
    ] {
        assert!(booklets(form).is_err(), "{form}");
    }
}

#[test]
fn types_read_by_name_or_code() {
    for form in ["一般稅額計算", "一般 稅額計算之電子發票", "07", "7"] {
        assert_eq!(invoice_type(form), Ok(InvoiceType::General), "{form}");
    }
    assert_eq!(invoice_type("特種稅額計算"), Ok(InvoiceType::Special));
    for form in ["", "稅額計算", "09", "070", "一般稅額計算 特種稅額計算"] {
        assert!(invoice_type(form).is_err(), "{form}");
    }
}

#[test]
fn each_field_has_its_defect_and_all_are_listed() {
    assert_eq!(codes(&draft(&SPECIMEN)), []);
    assert_eq!(codes(&draft(&[])), [DefectCode::FieldMissing; 7]);
    assert_eq!(
        codes(&with(Begin, "2262800O")),
        [DefectCode::FieldMalformed]
    );
    assert_eq!(codes(&with(Track, "ec")), [DefectCode::FieldMalformed]);
    assert_eq!(codes(&with(Requested, "")), [DefectCode::FieldMissing]);
    assert_eq!(
        codes(&with(Label::Period, "107/06-107/07")),
        [DefectCode::PeriodNotAPair]
    );
    assert_eq!(
        codes(&with(End, "22627998")),
        [DefectCode::RangeMisaligned, DefectCode::RangeReversed]
    );
}

#[test]
fn a_value_may_stand_twice_if_it_says_the_same() {
    let mut twice = draft(&SPECIMEN);
    twice.extend(&draft(&[
        (Label::Period, "10705-10706"),
        (Added, ""),
        (Track, "EC"),
    ]));
    assert_eq!(codes(&twice), []);
    twice.extend(&draft(&[(Track, "ED")]));
    assert_eq!(codes(&twice), [DefectCode::FieldConflict]);
    let detail = twice.read().unwrap_err().remove(0).detail;
    assert_eq!(
        detail,
        Sentence::new(
            "字軌名稱 (invoice_track) stands with different values: `EC` and `ED`",
            "字軌名稱（invoice_track）出現不同的內容：`EC` 與 `ED`"
        )
    );
}

#[test]
fn the_first_label_begins_a_block_wherever_it_returns() {
    let two = [&SPECIMEN[..], &SPECIMEN].concat();
    assert_eq!(Draft::split(&two), [draft(&SPECIMEN), draft(&SPECIMEN)]);

    let mentioned = [&[(Track, "EC")], &SPECIMEN[..], &[(Track, "EC")]].concat();
    assert_eq!(Draft::split(&mentioned), [draft(&mentioned)]);
    assert_eq!(Draft::split(&[(Track, "EC")]).len(), 1);
    assert_eq!(Draft::split(&[]), []);
}

#[test]
fn what_was_found_is_shown_within_bounds() {
    assert_eq!(shown("a\u{202e}b\u{7}"), "`a<U+202E>b<U+0007>`");
    assert_eq!(shown(&"字".repeat(99)).chars().count(), 63);
}
