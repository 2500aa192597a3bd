//! Many notices in one letter: the digest of a window and the summary of a mailbox's past.

use super::*;
use crate::{
    delivery::compose,
    ledger::{AllocationRow, HandedOver, Import, Past},
};

const CLOUD: (&str, &str) = ("53567686", "雲端行動科技股份有限公司");
const BOOKS: (&str, &str) = ("24634102", "好書有限公司");

fn import(message_id: i64, (ban, name): (&str, &str), warnings: &[Reason]) -> Import {
    Import {
        is_file: false,
        message_id,
        sha256: format!("{message_id:064x}"),
        ban: ban.to_owned(),
        company_name: (!name.is_empty()).then(|| name.to_owned()),
        found_in: FoundIn::Mailbox("einvoice".to_owned()),
        warnings: warnings.to_vec(),
        fallen: Vec::new(),
        to: Vec::new(),
    }
}

fn pending<T>(id: i64, cause: T) -> Pending<T> {
    Pending {
        id,
        key: format!("imported:{id:064x}"),
        raised_at: the_twentieth() + jiff::SignedDuration::from_mins(id),
        cause,
    }
}

fn row(
    message_id: i64,
    ban: &str,
    (year_month, track, begin, end): (&str, &str, &str, &str),
) -> AllocationRow {
    AllocationRow {
        id: message_id,
        allocation: Allocation {
            ban: ban.parse().unwrap(),
            ..allocation(year_month, track, begin, end)
        },
        message_id,
        imported_at: the_twentieth(),
        withdrawn_at: None,
    }
}

fn withdrawn(row: AllocationRow) -> AllocationRow {
    AllocationRow {
        withdrawn_at: Some(the_twentieth()),
        ..row
    }
}

fn handed(target: &str, sent: u64, waiting: u64) -> HandedOver {
    HandedOver {
        target: target.to_owned(),
        sent,
        waiting,
        failed: 0,
        dropped: 0,
        stopped: false,
    }
}

fn assumed() -> Reason {
    reason(
        "company_assumed",
        "nothing in the mail names a company; 24634102 is the mailbox's",
        "信中看不出是哪一家公司，依信箱的設定當作統一編號 24634102",
    )
}

#[test]
fn a_digest_of_several_companies() {
    let imports = [
        pending(1, import(1, CLOUD, &[])),
        pending(2, import(2, BOOKS, &[assumed()])),
        pending(3, import(3, ("12345675", ""), &[])),
    ];
    let mut special = row(2, BOOKS.0, ("10706", "EE", "10000000", "10000049"));
    special.allocation.block.invoice_type = InvoiceType::Special;
    let rows = [
        row(3, "12345675", ("10706", "EC", "30000000", "30000499")),
        row(2, BOOKS.0, ("10706", "ED", "00000000", "00000049")),
        special,
        withdrawn(row(2, BOOKS.0, ("10706", "EF", "20000000", "20000049"))),
        row(1, CLOUD.0, ("10706", "EC", "22628000", "22634399")),
    ];
    both("digest_of_imports", |style| {
        compose::digest(&imports, &rows, &[], style, the_twentieth())
    });
    let handed = [handed("erp", 3, 0), handed("pos", 1, 2)];
    both("digest_handed", |style| {
        compose::digest(&imports, &rows, &handed, style, the_twentieth())
    });
}

#[test]
fn a_digest_of_one_notice_names_its_company() {
    let imports = [pending(1, import(1, CLOUD, &[]))];
    let rows = [row(1, CLOUD.0, ("10706", "EC", "22628000", "22634399"))];
    for (language, subject) in [
        (
            Language::ZhTw,
            "已匯入 1 段字軌（107/05 - 107/06，共 128 本）雲端行動科技股份有限公司（統編 53567686）",
        ),
        (
            Language::En,
            "Imported 1 range (107/05 - 107/06, 128 booklets) 雲端行動科技股份有限公司 (53567686)",
        ),
    ] {
        let letter = compose::digest(&imports, &rows, &[], &style(language), the_twentieth());
        let letter = letter.unwrap();
        assert_eq!(letter.subject, subject);
        assert_eq!(letter.kind, Kind::Confirmation);
    }
}

#[test]
fn thousands_are_in_the_file_and_some_hundred_in_the_text() {
    let many = 5000;
    let imports: Vec<_> = (0..many)
        .map(|id| pending(id, import(id, BOOKS, &[assumed()])))
        .collect();
    let rows: Vec<_> = (0..many)
        .map(|id| {
            let (begin, end) = (format!("{:08}", id * 50), format!("{:08}", id * 50 + 49));
            row(id, BOOKS.0, ("10706", "EC", &begin, &end))
        })
        .collect();
    let letter = compose::digest(
        &imports,
        &rows,
        &[],
        &style(Language::ZhTw),
        the_twentieth(),
    );
    let text = shown(letter);
    let (text, file) = text
        .split_once("\n[invnoapply-24634102-10706.csv]\n")
        .unwrap();
    assert_eq!(file.lines().count(), 5001);
    assert_eq!(text.matches("    EC  ").count(), 300);
    assert!(
        text.contains("另有 4,700 段（1 家公司）沒有列在這裡"),
        "{text}"
    );
    assert!(text.contains("另有 4980 件有同樣的情形"), "{text}");
    assert!(text.lines().count() < 400);
}

#[test]
fn a_digest_of_which_everything_was_withdrawn_has_nothing_to_load() {
    let imports = [pending(1, import(1, CLOUD, &[]))];
    let range = row(1, CLOUD.0, ("10706", "EC", "22628000", "22634399"));
    let rows = [withdrawn(range)];
    both("digest_of_withdrawn", |style| {
        compose::digest(&imports, &rows, &[], style, the_twentieth())
    });
}

#[test]
fn the_same_digest_bears_the_same_id() {
    let imports = [
        pending(1, import(1, CLOUD, &[])),
        pending(2, import(2, BOOKS, &[])),
    ];
    let rows = [row(1, CLOUD.0, ("10706", "EC", "22628000", "22634399"))];
    let id = |imports: &[_], rows: &[_], now| {
        let letter = compose::digest(imports, rows, &[], &style(Language::ZhTw), now);
        letter.unwrap().message_id
    };
    let first = id(&imports, &rows, the_twentieth());
    assert_eq!(first, id(&imports, &[], at("2018-04-21T00:00:00Z")));
    assert_ne!(first, id(&imports[..1], &rows, the_twentieth()));
}

#[test]
fn a_digest_says_whose_periods_have_fallen_by_the_last_notice_that_counts() {
    let fell = |id, whose, fallen: &[Fallen]| {
        let import = Import {
            fallen: fallen.to_vec(),
            ..import(id, whose, &[])
        };
        pending(id, import)
    };
    let imports = [
        // What the next one brought was enough.
        fell(1, CLOUD, &[fallen("10706", 10, 300)]),
        fell(2, CLOUD, &[]),
        // More came, and it was not enough.
        fell(3, BOOKS, &[fallen("10706", 1, 300)]),
        fell(4, BOOKS, &[fallen("10706", 2, 300)]),
        // What was enough for another period, or was withdrawn since, changes nothing.
        fell(5, ("12345675", ""), &[fallen("10706", 3, 300)]),
        fell(6, ("12345675", ""), &[]),
        fell(7, ("12345675", ""), &[]),
    ];
    let range = |n: i64| (format!("{:08}", n * 50), format!("{:08}", n * 50 + 49));
    let rows: Vec<AllocationRow> = (1..=7)
        .map(|id| {
            let (begin, end) = range(id);
            let ban = imports[usize::try_from(id).unwrap() - 1].cause.ban.clone();
            let period = if id == 6 { "10708" } else { "10706" };
            let row = row(id, &ban, (period, "EC", &begin, &end));
            if id == 7 { withdrawn(row) } else { row }
        })
        .collect();
    both("digest_of_fallen", |style| {
        compose::digest(&imports, &rows, &[], style, the_twentieth())
    });
}

#[test]
fn news_of_an_earlier_version_has_nothing_to_say_of_what_fell() {
    let import = import(1, CLOUD, &[]);
    let mut stored = serde_json::to_value(&import).unwrap();
    stored.as_object_mut().unwrap().remove("fallen");
    assert_eq!(serde_json::from_value::<Import>(stored).unwrap(), import);
}

fn past() -> (Vec<Pending<Past>>, Vec<AllocationRow>) {
    let over = reason(
        "period_past",
        "107/01 - 107/02 is over",
        "已經過期：107/01 - 107/02",
    );
    let mut past: Vec<Pending<Past>> = [
        import(1, CLOUD, std::slice::from_ref(&over)),
        import(2, CLOUD, &[over]),
        import(3, BOOKS, &[assumed()]),
    ]
    .into_iter()
    .zip(1..)
    .map(|(import, id)| pending(id, Past::Imported(import)))
    .collect();
    for id in 4..=5 {
        let mail = quarantined(
            id,
            "電子發票配號結果通知",
            &[reason("not_authenticated", "no signature", "沒有簽章")],
        );
        let Cause::Quarantined(mail) = mail.cause else {
            unreachable!()
        };
        past.push(pending(id, Past::Quarantined(mail)));
    }
    let rows = vec![
        row(3, BOOKS.0, ("10704", "EB", "10000000", "10000499")),
        row(3, BOOKS.0, ("10706", "EC", "10000000", "10000499")),
        row(1, CLOUD.0, ("10702", "EA", "00000000", "00000099")),
        row(2, CLOUD.0, ("10612", "DZ", "00000000", "00000049")),
        withdrawn(row(2, CLOUD.0, ("10612", "DZ", "00000050", "00000099"))),
    ];
    (past, rows)
}

#[test]
fn a_summary_of_the_past() {
    let (past, rows) = past();
    both("summary", |style| {
        compose::summary(&past, &rows, &[], style, the_twentieth())
    });
    let handed = [handed("books", 2, 1)];
    both("summary_handed", |style| {
        compose::summary(&past, &rows, &handed, style, the_twentieth())
    });
}

#[test]
fn a_summary_goes_to_everybody_once_and_has_no_file() {
    let (past, rows) = past();
    let mut style = style(Language::ZhTw);
    style.alert_to.push(style.confirm_to[0].clone());
    let letter = compose::summary(&past, &rows, &[], &style, the_twentieth()).unwrap();
    let readers: Vec<&str> = letter
        .recipients
        .iter()
        .map(crate::ledger::Recipient::as_str)
        .collect();
    assert_eq!(
        readers,
        ["ops@example.com", "books@example.com", "oncall@example.com"]
    );
    assert_eq!(letter.kind, Kind::Summary);
    let mail = MessageParser::default().parse(&letter.eml).unwrap();
    assert_eq!(mail.attachment_count(), 0);

    style.confirm_to.clear();
    style.alert_to.clear();
    assert_eq!(
        compose::summary(&past, &rows, &[], &style, the_twentieth()),
        None
    );
}

#[test]
fn a_summary_of_hundreds_in_quarantine_lists_fifty() {
    let mails: Vec<_> = (1..=70)
        .map(|id| {
            let codes = [reason("ban_invalid", "12345678", "12345678")];
            let Cause::Quarantined(mail) = quarantined(id, "配號結果", &codes).cause else {
                unreachable!()
            };
            pending(id, Past::Quarantined(mail))
        })
        .collect();
    let letter = compose::summary(&mails, &[], &[], &style(Language::ZhTw), the_twentieth());
    let text = shown(letter);
    assert_eq!(text.matches("  einvoice  ban_invalid").count(), 50);
    assert!(text.contains("另有 20 封沒有列出"), "{text}");
    assert!(
        text.contains("  70  ban_invalid  統一編號的檢查碼不正確"),
        "{text}"
    );
    // Nothing was recorded: nothing is said of ranges.
    assert!(!text.contains("字軌（"), "{text}");
}
