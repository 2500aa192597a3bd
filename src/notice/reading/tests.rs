//! Whole mails in, readings out.

use super::{
    super::{DefectCode::*, InvoiceType, WarningCode},
    *,
};

mod forward;

const SUBJECT: &str = "電子發票配號結果通知";
const SENDER: &str = "einvoice@invoice.nat.gov.tw";
const BODY: &str = "親愛的客戶您好：\n\
    貴公司()申請之財政部電子發票字軌已配號完成，配號資料如下：\n\
    字軌名稱：EC\n\
    發票期別：107/05 - 107/06\n\
    發票類別：一般稅額計算\n\
    申請本數：0\n\
    增加本數：128\n\
    發票起號：22628000\n\
    發票迄號：22634399\n\
    請營業人特別注意按賦配之各期字軌（英文2碼、數字8碼）開立統一發票，以免受罰。\n";

fn mail(headers: &str, body: &str) -> String {
    format!("{headers}\n\n{body}")
}

fn from_platform(body: &str) -> String {
    mail(
        &format!("From: {SENDER}\nTo: a@example.com\nSubject: {SUBJECT}"),
        body,
    )
}

fn judge(raw: &str) -> Reading {
    let lf = read(raw.as_bytes(), &Rules::default());
    let mut crlf = read(raw.replace('\n', "\r\n").as_bytes(), &Rules::default());
    if let Some(forwarded) = &mut crlf.forwarded {
        forwarded.retain(|byte| *byte != b'\r');
    }
    assert_eq!(lf, crlf, "LF and CRLF must read alike");
    lf
}

fn codes(raw: &str) -> Vec<DefectCode> {
    let reading = judge(raw);
    assert!(reading.is_notice, "{reading:?}");
    reading
        .defects
        .into_iter()
        .map(|defect| defect.code)
        .collect()
}

#[test]
fn the_specimen_reads() {
    let reading = judge(&from_platform(BODY));
    assert_eq!(reading.defects, []);
    assert_eq!(reading.warnings, []);
    assert_eq!(reading.subject, SUBJECT);
    assert_eq!(reading.addressee, None);
    assert_eq!(reading.from.unwrap().as_str(), SENDER);
    assert_eq!(
        reading.recipients,
        [("To".to_owned(), "a@example.com".parse().unwrap())]
    );
    let [block] = reading.blocks[..] else {
        panic!("{:?}", reading.blocks)
    };
    assert_eq!(block.track.as_str(), "EC");
    assert_eq!(block.period.year_month(), "10706");
    assert_eq!(block.invoice_type, InvoiceType::General);
    assert_eq!(block.range.to_string(), "22628000-22634399");
    assert_eq!(block.requested_booklets, Some(0));
    assert_eq!(block.added_booklets, Some(128));
}

#[test]
fn the_gate_opens_for_the_platform_and_for_the_topic() {
    let own: Rules = Rules {
        own_address: Some("bot@example.com".parse().unwrap()),
        ..Rules::default()
    };
    for (header, expected) in [
        (
            "From: einvoice@einvoice.nat.gov.tw\nSubject: x\n\n",
            Gate::Fetch,
        ),
        ("From: x@mail.nat.gov.tw\n\n", Gate::Fetch),
        ("From: a@example.com, x@nat.gov.tw\n\n", Gate::Fetch),
        ("From: a@example.com\nSubject: Re: 字軌\n\n", Gate::Fetch),
        (
            "From: a@example.com\nSubject: =?utf-8?B?6YWN6Jmf?=\n\n",
            Gate::Fetch,
        ),
        ("From: a@example.com\nSubject: 發票\n\n", Gate::Unrelated),
        ("From: a@nat.gov.tw.example.com\n\n", Gate::Unrelated),
        (
            "From: \"x@nat.gov.tw\" <a@example.com>\n\n",
            Gate::Unrelated,
        ),
        ("From: bot@example.com\nSubject: 配號\n\n", Gate::Fetch),
        (
            "From: Bot <BOT@example.com>\nAuto-Submitted: auto-generated\nSubject: 配號\n\n",
            Gate::Unrelated,
        ),
        ("", Gate::Unrelated),
    ] {
        assert_eq!(gate(header.as_bytes(), &own), expected, "{header}");
    }
}

#[test]
fn people_who_merely_talk_about_it_are_unrelated() {
    let talk = mail(
        "From: a@example.com\nSubject: 配號結果",
        "字軌名稱：EC\n發票起號：?\n請問發票迄號：",
    );
    assert!(!judge(&talk).is_notice);
    let other = mail(
        &format!("From: {SENDER}\nSubject: 字軌增減申請核准"),
        "核准",
    );
    assert!(!judge(&other).is_notice);
    assert!(!judge(&mail("From: a@example.com\nSubject: x", BODY)).is_notice);
}

#[test]
fn the_header_of_a_notice_is_judged() {
    let headed = |headers: &str| codes(&mail(headers, BODY));
    let subject = format!("Subject: {SUBJECT}");
    assert_eq!(
        headed(&format!("From: x@example.com\n{subject}")),
        [SenderNotAllowed]
    );
    assert_eq!(
        headed(&format!("From: x@nat.gov.tw\n{subject}")),
        [SenderNotAllowed]
    );
    assert_eq!(headed(&subject), [SenderNotAllowed]);
    assert_eq!(
        headed(&format!("From: {SENDER}\nSubject: 字軌")),
        [SubjectUnexpected]
    );
    for ambiguous in [
        format!("From: {SENDER}, x@example.com\n{subject}"),
        format!("From: {SENDER}\nFrom: {SENDER}\n{subject}"),
        format!("From: {SENDER}\n{subject}\n{subject}"),
        format!("From: {SENDER}\nSender: {SENDER}\nSender: {SENDER}\n{subject}"),
    ] {
        assert_eq!(headed(&ambiguous), [AmbiguousHeader], "{ambiguous}");
    }
    let prefixed = format!("From: {SENDER}\nSubject: 財政部電子發票整合服務平台-{SUBJECT}(測試)");
    assert_eq!(headed(&prefixed), []);

    let reading = judge(&mail(
        &format!("From: {SENDER}\nSender: x@a\n{subject}"),
        BODY,
    ));
    assert_eq!(reading.defects, []);
    assert_eq!(reading.warnings[0].code, WarningCode::SenderDiffers);
}

#[test]
fn a_claim_without_fields_lacks_them_all() {
    assert_eq!(codes(&from_platform("您好")), [FieldMissing; 7]);
    let html = "Content-Type: application/pdf\n\n";
    assert_eq!(
        codes(&format!("From: {SENDER}\nSubject: {SUBJECT}\n{html}")),
        [FieldMissing; 7]
    );
}

#[test]
fn text_and_html_must_agree() {
    let both = |plain: &str, html: &str| {
        codes(&mail(
            &format!(
                "From: {SENDER}\nSubject: {SUBJECT}\n\
                 Content-Type: multipart/alternative; boundary=b"
            ),
            &format!("--b\n\n{plain}\n--b\nContent-Type: text/html\n\n{html}\n--b--\n"),
        ))
    };
    let html = BODY.replace('\n', "<br>");
    assert_eq!(both(BODY, &html), []);
    assert_eq!(both("請見網頁", &html), []);
    assert_eq!(both(BODY, "<p>請見文字"), []);
    assert_eq!(
        both(BODY, &html.replace("107/05 - 107/06", "10705-10706")),
        []
    );
    assert_eq!(
        both(BODY, &html.replace("22634399", "22634349")),
        [FieldConflict]
    );
    assert_eq!(both(BODY, &html.repeat(2)), [FieldConflict]);
    assert_eq!(both(&BODY.replace("128", ""), &html), []);
    assert_eq!(both(BODY, &html.replace("貴公司()", "貴公司(甲)")), []);
    let named = BODY.replace("貴公司()", "貴公司(乙)");
    assert_eq!(
        both(&named, &html.replace("貴公司()", "貴公司(甲)")),
        [FieldConflict]
    );
}

#[test]
fn blocks_are_read_and_named_one_by_one() {
    let second = BODY
        .replace("EC", "ED")
        .replace("107/05 - 107/06", "107/07-08");
    let reading = judge(&from_platform(&(BODY.to_owned() + &second)));
    assert_eq!((reading.blocks.len(), reading.defects), (2, vec![]));

    let broken = second.replace("22634399", "2263439x");
    let reading = judge(&from_platform(&(BODY.to_owned() + &broken)));
    assert_eq!(reading.blocks.len(), 1);
    let Sentence { en, zh } = &reading.defects[0].detail;
    assert!(en.starts_with("block 2: "), "{en}");
    assert!(zh.starts_with("第 2 段："), "{zh}");

    let twice = judge(&from_platform(&BODY.repeat(2)));
    assert_eq!((twice.blocks.len(), twice.defects), (1, vec![]));
}

#[test]
fn more_blocks_than_anybody_gets_are_not_read() {
    let reading = judge(&from_platform(&BODY.repeat(MAX_BLOCKS + 1)));
    assert_eq!(reading.defects.len(), 1);
    assert_eq!(reading.defects[0].code, UndecodableText);
}

#[test]
fn booklets_must_add_up_alone_or_together() {
    let one = |requested, end| {
        BODY.replace("申請本數：0", &format!("申請本數：{requested}"))
            .replace("22634399", end)
    };
    assert_eq!(
        codes(&from_platform(&one("1", "22634399"))),
        [BookletsDisagree]
    );
    assert_eq!(codes(&from_platform(&one("1", "22634449"))), []);

    let halves = one("0", "22631199") + &BODY.replace("22628000", "22631200");
    assert_eq!(codes(&from_platform(&halves)), []);
    let other_type = halves.replacen("一般", "特種", 1);
    assert_eq!(codes(&from_platform(&other_type)), [BookletsDisagree; 2]);
}

#[test]
fn what_cannot_be_decoded_is_said() {
    let mut raw = from_platform(BODY).into_bytes();
    raw.extend(b"\xff\xff");
    let reading = read(&raw, &Rules::default());
    assert_eq!(reading.defects.len(), 1);
    assert_eq!(reading.defects[0].code, UndecodableText);

    let broken = mail(
        &format!("From: {SENDER}\nSubject: {SUBJECT}\nContent-Transfer-Encoding: base64"),
        "****",
    );
    assert!(codes(&broken).contains(&UndecodableText));
}

#[test]
fn what_was_not_read_has_one_defect() {
    let raw = from_platform(BODY);
    let rules = Rules {
        max_message_bytes: 100,
        ..Rules::default()
    };
    let reading = read(raw.as_bytes(), &rules);
    assert_eq!(reading, oversized(raw.as_bytes(), raw.len() as u64, &rules));
    assert_eq!(reading.defects[0].code, Oversized);
    assert_eq!(reading.subject, SUBJECT);
    assert!(!oversized(b"From: a@example.com\n\n", 1 << 30, &rules).is_notice);

    assert_eq!(panicked("index").defects[0].code, ReaderPanicked);
    assert_eq!(
        unfetchable(Sentence::new("5 times", "五次")).defects[0].code,
        Unfetchable
    );
}
