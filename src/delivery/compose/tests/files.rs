//! Files of the platform's: what they bring, and their rows that were not recorded.

use super::*;
use crate::{delivery::compose, ledger::Import};

fn row(id: i64, line: u32, defects: &[Reason]) -> Pending<Cause> {
    let subject = "53567686 EC 22628050-22628099 107/05 - 107/06";
    let mut alert = quarantined(id, subject, defects);
    if let Cause::Quarantined(row) = &mut alert.cause {
        row.is_row = true;
        row.from = None;
        row.found_in = FoundIn::File(format!("/srv/inbox/invnoapply.csv:{line}"));
    }
    alert
}

fn overlap() -> Reason {
    reason(
        "range_overlap",
        "EC 22628050-22628099 107/05 - 107/06 shares numbers with EC 22628000-22634399 107/05 - 107/06 of 一般稅額計算, recorded for 53567686 as allocation 1",
        "EC 22628050-22628099（107/05 - 107/06）與另一段號碼重疊：EC 22628000-22634399（107/05 - 107/06，一般稅額計算，已記在統一編號 53567686 名下，配號編號 1）",
    )
}

/// Nothing of what nobody mailed.
fn speaks_of_no_mail(letter: Option<Letter>) {
    let words = shown(letter);
    for mail in ["信", "封", "通知", "mail", "notice", "Sender", "links"] {
        assert!(!words.contains(mail), "{mail}: {words}");
    }
}

#[test]
fn a_row_that_was_not_recorded_is_named_by_file_and_line_with_what_resolves_it() {
    let alerts = [row(7, 3, &[overlap()])];
    both("row", |style| {
        super::super::alert(&alerts, style, the_twentieth())
    });
    for code in DefectCode::ALL {
        let unknown = [row(7, 3, &[reason(code.as_str(), "found", "發現")])];
        for language in [Language::ZhTw, Language::En] {
            let letter = super::super::alert(&unknown, &style(language), the_twentieth());
            let told = shown(letter);
            for command in ["show 7", "release 7 --reason", "dismiss 7 --reason"] {
                assert!(told.contains(&format!("quarantine {command}")), "{told}");
            }
        }
    }
    for code in ["unknown_company", "range_overlap", "track_period_conflict"] {
        for language in [Language::ZhTw, Language::En] {
            let alerts = [row(7, 3, &[reason(code, "found", "發現")])];
            speaks_of_no_mail(super::super::alert(
                &alerts,
                &style(language),
                the_twentieth(),
            ));
        }
    }
}

#[test]
fn rows_are_counted_by_themselves_beside_mails_and_without_any() {
    let rows = [row(7, 3, &[overlap()]), row(8, 4, &[overlap()])];
    for language in [Language::ZhTw, Language::En] {
        speaks_of_no_mail(super::super::alert(
            &rows,
            &style(language),
            the_twentieth(),
        ));
    }
    let forged = quarantined(9, "配號結果", &[reason("sender_not_allowed", "x", "某人")]);
    let [first, second] = rows;
    let alerts = [first, forged, second];
    both("rows", |style| {
        super::super::alert(&alerts, style, the_twentieth())
    });
}

#[test]
fn a_confirmation_of_what_a_file_brought_names_the_file() {
    let ranges = specimen();
    let facts = Imported {
        found_in: "/srv/inbox/invnoapply.csv",
        is_file: true,
        proven_by: &Sentence::new("a file", "檔案"),
        known: &ranges,
        ..imported(&ranges)
    };
    both("file", |style| confirmation(&facts, style, the_twentieth()));
    let letter = confirmation(&facts, &style(Language::ZhTw), the_twentieth());
    assert!(!shown(letter).contains("通知"));
}

#[test]
fn a_digest_counts_files_and_notices_each_as_what_they_are() {
    let import = |message_id: i64, is_file| Pending {
        id: message_id,
        key: format!("imported:{message_id}"),
        raised_at: the_twentieth(),
        cause: Import {
            is_file,
            message_id,
            sha256: SHA256.to_owned(),
            ban: "53567686".to_owned(),
            company_name: None,
            found_in: FoundIn::File("a".to_owned()),
            warnings: Vec::new(),
            fallen: Vec::new(),
            to: Vec::new(),
        },
    };
    let told = |news: &[Pending<Import>], language| {
        let rows = [crate::ledger::AllocationRow {
            id: 1,
            allocation: specimen()[0],
            message_id: 1,
            imported_at: the_twentieth(),
            withdrawn_at: None,
        }];
        let letter = compose::digest(news, &rows, &[], &style(language), the_twentieth());
        let text = shown(letter);
        text.split("\n\n").nth(1).unwrap().to_owned()
    };
    // One file, for two companies.
    let file = [import(1, true), import(1, true)];
    assert_eq!(
        told(&file, Language::ZhTw),
        "1 個平台檔案已匯入，號碼如下。"
    );
    assert_eq!(
        told(&file, Language::En),
        "1 file of the platform's has been imported. These are the numbers."
    );
    let both = [import(1, true), import(2, false), import(3, false)];
    assert_eq!(
        told(&both, Language::ZhTw),
        "2 封配號通知、1 個平台檔案已匯入，號碼如下。"
    );
    assert_eq!(
        told(&both, Language::En),
        "2 allocation notices and 1 file of the platform's have been imported. These are the numbers."
    );
}
