//! Every mail in both languages, as its reader sees it, with findings as the reader of notices
//! words them.

mod due;
mod files;
mod gathered;
mod handoff;
mod trouble;

use std::{fmt::Write, sync::LazyLock};

use mail_parser::{MessageParser, MimeHeaders};

use super::*;
use crate::{
    delivery::{Confirm, Language},
    ledger::{Cause, FoundIn, Kind, Pending, Quarantined, Reason},
    notice::{
        Address, Block, DefectCode, InvoiceNo, InvoiceType, Range, Sentence, Warning, WarningCode,
    },
};

mod withdrawal;

const SHA256: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

pub(in crate::delivery) fn allocation(
    year_month: &str,
    track: &str,
    begin: &str,
    end: &str,
) -> Allocation {
    let number = |text| InvoiceNo::parse(text).unwrap();
    Allocation {
        ban: "53567686".parse().unwrap(),
        block: Block {
            invoice_type: InvoiceType::General,
            period: year_month.parse().unwrap(),
            track: track.parse().unwrap(),
            range: Range::new(number(begin), number(end)).unwrap(),
            requested_booklets: None,
            added_booklets: None,
        },
    }
}

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

fn style(language: Language) -> Style {
    Style {
        language,
        from: "invoice-trackd <einvoice@example.com>".parse().unwrap(),
        confirm_to: vec![address("ops@example.com"), address("books@example.com")],
        alert_to: vec![address("oncall@example.com")],
        confirm: Confirm::default(),
        handoffs: Vec::new(),
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The day on which numbers for 107/05 - 107/06 come.
fn the_twentieth() -> Timestamp {
    at("2018-04-20T02:15:00Z")
}

fn specimen() -> [Allocation; 1] {
    [allocation("10706", "EC", "22628000", "22634399")]
}

static PROVEN_BY: LazyLock<Sentence> = LazyLock::new(|| {
    let words = "DKIM einvoice.nat.gov.tw, s2026";
    Sentence::new(words, words)
});

fn imported(allocations: &[Allocation]) -> Imported<'_> {
    Imported {
        sha256: SHA256,
        ban: "53567686".parse().unwrap(),
        company_name: Some("雲端行動科技股份有限公司"),
        found_in: "einvoice",
        proven_by: &PROVEN_BY,
        allocations,
        known: &[],
        warnings: &[],
        fallen: &[],
        is_file: false,
    }
}

fn reason(code: &str, detail: &str, detail_zh: &str) -> Reason {
    Reason {
        code: code.to_owned(),
        detail: detail.to_owned(),
        detail_zh: detail_zh.to_owned(),
    }
}

fn fallen(year_month: &str, booklets: u64, before: u64) -> Fallen {
    Fallen {
        year_month: year_month.to_owned(),
        booklets,
        before,
    }
}

fn quarantined(id: i64, subject: &str, defects: &[Reason]) -> Pending<Cause> {
    Pending {
        id,
        key: format!("quarantined:{id}"),
        raised_at: the_twentieth(),
        cause: Cause::Quarantined(Quarantined {
            is_row: false,
            message_id: id,
            sha256: SHA256.to_owned(),
            found_in: FoundIn::Mailbox("einvoice".to_owned()),
            from: Some("einvoice@einvoice.nat.gov.tw".to_owned()),
            subject: subject.to_owned(),
            defects: defects.to_vec(),
        }),
    }
}

fn undelivered(id: i64) -> Pending<Cause> {
    Pending {
        id,
        key: format!("delivery-failed:{id}"),
        raised_at: the_twentieth(),
        cause: Cause::DeliveryFailed {
            outbox_id: 7,
            kind: Kind::Confirmation,
            subject:
                "已匯入 EC 22628000-22634399（107/05 - 107/06，128 本）雲端行動科技股份有限公司"
                    .to_owned(),
            recipients: vec!["ops@example.com".to_owned()],
            answer: "550 5.1.1 <ops@example.com>: no such user".to_owned(),
        },
    }
}

/// The letter as a mail reader shows it, with attachments opened.
fn shown(letter: Option<Letter>) -> String {
    let letter = letter.unwrap();
    let mail = MessageParser::default().parse(&letter.eml).unwrap();
    assert_eq!(mail.subject(), Some(letter.subject.as_str()));
    assert_eq!(
        mail.message_id().map(|id| format!("<{id}>")),
        Some(letter.message_id.clone())
    );
    let text = mail.body_text(0).unwrap().replace("\r\n", "\n");
    let mut out = format!("{}\n\n{text}", letter.subject);
    for file in mail.attachments() {
        let bytes = String::from_utf8(file.contents().to_vec()).unwrap();
        let bytes = bytes.replace('\u{feff}', "<BOM>").replace("\r\n", "\n");
        write!(out, "\n[{}]\n{bytes}", file.attachment_name().unwrap()).unwrap();
    }
    out
}

fn snapshot(name: &str, text: &str) {
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, text);
    });
}

fn both(name: &str, letter: impl Fn(&Style) -> Option<Letter>) {
    for (language, tag) in [(Language::ZhTw, "zh_tw"), (Language::En, "en")] {
        snapshot(&format!("{name}.{tag}"), &shown(letter(&style(language))));
    }
}

#[test]
fn one_range() {
    let ranges = specimen();
    both("one_range", |style| {
        confirmation(&imported(&ranges), style, the_twentieth())
    });
}

#[test]
fn six_periods_of_a_year() {
    let ranges = [
        allocation("11602", "KD", "10000000", "10000499"),
        allocation("11604", "LY", "10000000", "10000499"),
        allocation("11606", "NT", "10000000", "10000499"),
        allocation("11608", "QN", "10000000", "10000499"),
        allocation("11610", "SH", "10000000", "10000499"),
        allocation("11612", "UC", "10000000", "10059999"),
    ];
    both("six_periods_of_a_year", |style| {
        confirmation(&imported(&ranges), style, at("2026-12-20T02:15:00Z"))
    });
}

#[test]
fn warnings_known_ranges_and_an_unlisted_company() {
    let ranges = specimen();
    let known = [allocation("10704", "EB", "00000000", "00000099")];
    let warnings = [
        Warning::new(
            WarningCode::PeriodPast,
            Sentence::new(
                "107/03 - 107/04, 107/05 - 107/06 are over; the current period is 115/11 - 115/12",
                "已經過期：107/03 - 107/04、107/05 - 107/06；現在是 115/11 - 115/12",
            ),
        ),
        Warning::new(
            WarningCode::CompanyAssumed,
            Sentence::new(
                "nothing in the mail names a company; 53567686 is the mailbox's",
                "信中看不出是哪一家公司，依信箱的設定當作統一編號 53567686",
            ),
        ),
    ];
    both("warnings", |style| {
        let facts = Imported {
            company_name: None,
            known: &known,
            warnings: &warnings,
            ..imported(&ranges)
        };
        confirmation(&facts, style, at("2026-11-22T00:00:00Z"))
    });
}

#[test]
fn periods_with_less_than_half_of_the_one_before_stand_in_the_confirmation() {
    let ranges = specimen();
    let fallen = [fallen("10706", 128, 300), fallen("10708", 1, 2_000)];
    let warnings = [Warning::new(
        WarningCode::CompanyAssumed,
        Sentence::new(
            "nothing in the mail names a company",
            "信中看不出是哪一家公司",
        ),
    )];
    both("fallen", |style| {
        let facts = Imported {
            fallen: &fallen,
            warnings: &warnings,
            ..imported(&ranges)
        };
        confirmation(&facts, style, the_twentieth())
    });
}

#[test]
fn a_period_that_has_begun() {
    let ranges = specimen();
    both("period_has_begun", |style| {
        confirmation(&imported(&ranges), style, at("2018-04-30T16:00:00Z"))
    });
}

#[test]
fn one_booklet_is_not_booklets() {
    let one = [allocation("10706", "EC", "22628000", "22628049")];
    let letter = confirmation(&imported(&one), &style(Language::En), the_twentieth());
    assert!(
        letter
            .unwrap()
            .subject
            .contains("(107/05 - 107/06, 1 booklet)")
    );
}

#[test]
fn a_quarantined_notice() {
    let alert = quarantined(
        17,
        "電子發票配號結果通知",
        &[
            reason(
                "field_missing",
                "expected a value for 申請本數 (requested_booklets), found none",
                "找不到申請本數（requested_booklets）的內容",
            ),
            reason(
                "field_missing",
                "expected a value for 增加本數 (added_booklets), found none",
                "找不到增加本數（added_booklets）的內容",
            ),
            reason(
                "range_overlap",
                "EC 22628000-22634399 107/05 - 107/06 shares numbers with EC 22630000-22630049 107/05 - 107/06 of 一般稅額計算, recorded for 24634102 as allocation 3",
                "EC 22628000-22634399（107/05 - 107/06）與另一段號碼重疊：EC 22630000-22630049（107/05 - 107/06，一般稅額計算，已記在統一編號 24634102 名下，配號編號 3）",
            ),
        ],
    );
    both("quarantined", |style| {
        super::alert(std::slice::from_ref(&alert), style, the_twentieth())
    });
}

#[test]
fn a_likely_forgery_is_not_called_a_notice() {
    let mut alert = quarantined(
        19,
        "電子發票配號結果通知",
        &[reason(
            "sender_not_allowed",
            "From is `einvoice@einvoice.nat.gov.tw.example`, which is not among the senders; a notice that was passed on must be forwarded as an attachment",
            "寄件人不在 senders 名單上（`einvoice@einvoice.nat.gov.tw.example`）；同仁轉寄的通知，須以附件方式轉寄",
        )],
    );
    if let Cause::Quarantined(Quarantined { from, .. }) = &mut alert.cause {
        *from = Some("einvoice@einvoice.nat.gov.tw.example".to_owned());
    }
    both("forged", |style| {
        super::alert(std::slice::from_ref(&alert), style, the_twentieth())
    });
}

#[test]
fn what_is_not_proven_warns_of_clicking() {
    let alert = quarantined(
        20,
        "電子發票配號結果通知",
        &[reason(
            "not_authenticated",
            "there is no DKIM signature; see what mail of this sender carries with `invoice-trackd check --online`",
            "這封信沒有 DKIM 簽章；請用 `invoice-trackd check --online` 查看此寄件人的信帶有什麼證明",
        )],
    );
    both("not_proven", |style| {
        super::alert(std::slice::from_ref(&alert), style, the_twentieth())
    });
}

#[test]
fn a_digest_of_sixty() {
    let mut alerts: Vec<Pending<Cause>> = (1..60)
        .map(|id| match id % 3 {
            0 => quarantined(
                id,
                "電子發票配號結果通知",
                &[
                    reason("ban_invalid", "12345678", "12345678"),
                    reason("range_overlap", "shares numbers", "號碼重疊"),
                ],
            ),
            _ => quarantined(
                id,
                "財政部電子發票整合服務平台－電子發票字軌號碼配號結果通知（正式環境）",
                &[reason(
                    "sender_not_allowed",
                    "a@example.net",
                    "a@example.net",
                )],
            ),
        })
        .collect();
    alerts.push(undelivered(60));
    both("digest", |style| {
        super::alert(&alerts, style, the_twentieth())
    });
}

#[test]
fn hostile_words() {
    let Pending {
        id, key, raised_at, ..
    } = quarantined(18, "", &[]);
    let long = "配".repeat(5000);
    let hostile = Pending {
        id,
        key,
        raised_at,
        cause: Cause::Quarantined(Quarantined {
            is_row: false,
            message_id: 18,
            sha256: SHA256.to_owned(),
            found_in: FoundIn::File("/srv/收件\u{202e}/配號\n結果.eml".to_owned()),
            from: None,
            subject: format!(
                "配號結果\r\nBcc: thief@example.net\r\n\r\n\u{202e}gpj.exe\u{202c} {long}"
            ),
            defects: vec![
                reason(
                    "field_malformed",
                    &format!("track: found `\u{200b}\r\n.\r\n` {long}"),
                    &format!("字軌是 `\u{200b}\r\n.\r\n` {long}"),
                ),
                reason(
                    "from_the_future\u{202e}",
                    "a code of a later version",
                    "新版本的代碼",
                ),
            ],
        }),
    };
    both("hostile", |style| {
        super::alert(std::slice::from_ref(&hostile), style, the_twentieth())
    });
}

#[test]
fn the_bytes_of_a_mail() {
    let ranges = specimen();
    let letter = confirmation(&imported(&ranges), &style(Language::ZhTw), the_twentieth());
    let eml = String::from_utf8(letter.unwrap().eml).unwrap();
    let lines: Vec<&str> = eml.split("\r\n").collect();
    assert!(
        lines.iter().all(|line| line.len() <= 78 && line.is_ascii()),
        "{eml}"
    );
    assert!(!lines.iter().any(|line| line.contains(['\r', '\n'])));
    snapshot("bytes", &eml.replace("\r\n", "\n"));
}

#[test]
fn composing_twice_gives_the_same_bytes() {
    let ranges = specimen();
    let write = |moment, style: &Style| confirmation(&imported(&ranges), style, moment).unwrap();
    let style_zh = style(Language::ZhTw);
    let first = write(the_twentieth(), &style_zh);
    assert_eq!(first, write(the_twentieth(), &style_zh));

    let later = write(at("2018-04-21T00:00:00Z"), &style_zh);
    assert_eq!(first.message_id, later.message_id);
    let english = write(the_twentieth(), &style(Language::En));
    assert_eq!(first.message_id, english.message_id);
}

#[test]
fn what_is_told_and_who_is_told_make_the_message_id() {
    let ranges = specimen();
    let style_zh = style(Language::ZhTw);
    let id = |facts: &Imported<'_>, style: &Style| {
        confirmation(facts, style, the_twentieth())
            .unwrap()
            .message_id
    };
    let first = id(&imported(&ranges), &style_zh);
    assert!(
        first.starts_with('<') && first.ends_with(".confirmation@example.com>"),
        "{first}"
    );
    let (hex, _) = first.trim_start_matches('<').split_once('.').unwrap();
    assert!(
        hex.len() == 32 && hex.bytes().all(|b| b.is_ascii_hexdigit()),
        "{first}"
    );

    let other_notice = Imported {
        sha256: "00",
        ..imported(&ranges)
    };
    assert_ne!(first, id(&other_notice, &style_zh));
    let other_reader = Style {
        confirm_to: vec![address("else@example.com")],
        ..style_zh.clone()
    };
    assert_ne!(first, id(&imported(&ranges), &other_reader));

    let alerts = [quarantined(1, "a", &[]), quarantined(2, "a", &[])];
    let alert_id = |alerts: &[Pending<Cause>]| {
        super::alert(alerts, &style_zh, the_twentieth())
            .unwrap()
            .message_id
    };
    assert_ne!(alert_id(&alerts), alert_id(&alerts[..1]));
    assert_ne!(alert_id(&alerts[1..]), alert_id(&alerts[..1]));
}

#[test]
fn no_letter_without_a_reader_or_without_news() {
    let ranges = specimen();
    let nobody = Style {
        confirm_to: Vec::new(),
        alert_to: Vec::new(),
        ..style(Language::ZhTw)
    };
    let alerts = [quarantined(1, "a", &[])];
    assert_eq!(
        confirmation(&imported(&ranges), &nobody, the_twentieth()),
        None
    );
    assert_eq!(super::alert(&alerts, &nobody, the_twentieth()), None);
    let style = style(Language::ZhTw);
    assert_eq!(confirmation(&imported(&[]), &style, the_twentieth()), None);
    assert_eq!(super::alert(&[], &style, the_twentieth()), None);
}

#[test]
fn addresses_that_lettre_would_refuse_still_get_their_mail() {
    let odd = format!("{}@mail", "x".repeat(80));
    let style = Style {
        from: format!("\"帳務, 組\" <{odd}>").parse().unwrap(),
        confirm_to: vec![address(&odd)],
        ..style(Language::ZhTw)
    };
    let ranges = specimen();
    let letter = confirmation(&imported(&ranges), &style, the_twentieth()).unwrap();
    let mail = MessageParser::default().parse(&letter.eml).unwrap();
    let from = mail.from().unwrap().first().unwrap();
    assert_eq!(from.address(), Some(odd.as_str()));
    assert_eq!(from.name(), Some("帳務, 組"));
    assert_eq!(
        mail.to().unwrap().first().unwrap().address(),
        Some(odd.as_str())
    );
}
