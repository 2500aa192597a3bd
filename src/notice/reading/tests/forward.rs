//! Notices that somebody passed on: attached, quoted, or both.

use super::*;

/// Somebody's mail with a text and messages attached to it.
fn forward(text: &str, attached: &[&str]) -> String {
    let parts: String = attached
        .iter()
        .map(|inner| format!("--f\nContent-Type: message/rfc822\n\n{inner}\n"))
        .collect();
    mail(
        &format!(
            "From: boss@example.com\nTo: other@example.com\nSubject: Fwd: {SUBJECT}\n\
             Content-Type: multipart/mixed; boundary=f"
        ),
        &format!("--f\n\n{text}\n{parts}--f--\n"),
    )
}

/// As [`judge`], of a notice that was attached as `inner`.
fn attached(inner: &str) -> Reading {
    Reading {
        forwarded: Some(inner.into()),
        ..judge(inner)
    }
}

#[test]
fn a_notice_forwarded_as_an_attachment_is_read_itself() {
    let forward = |inner: &[&str]| forward("請處理", inner);
    let notice = from_platform(BODY);
    let expected = attached(&notice);
    assert_eq!(judge(&forward(&[&notice])), expected);
    let unrelated = mail("From: a@example.com\nSubject: x", BODY);
    assert_eq!(judge(&forward(&[&unrelated, &notice])), expected);
    let again = forward(&[&notice])
        .replace("--f", "--g")
        .replace("=f", "=g");
    assert_eq!(judge(&forward(&[&again])), expected);

    assert_eq!(codes(&forward(&[&notice, &notice])), [AmbiguousHeader]);
    assert!(!judge(&forward(&[&unrelated])).is_notice);
}

#[test]
fn what_was_forwarded_is_kept_byte_for_byte() {
    let inner = format!(
        "From: {SENDER}\r\nSubject: {SUBJECT}\r\nX-Odd:  two  spaces \r\n\ttab\r\n\r\n\
         {}..\r\n.\r\n \t\r\nend \r\n\r\n",
        BODY.replace('\n', "\r\n")
    );
    let outer = |encoding: &str, inner: &str| {
        format!(
            "From: boss@example.com\r\nSubject: Fwd: {SUBJECT}\r\n\
             Content-Type: multipart/mixed; boundary=f\r\n\r\n--f\r\n\
             Content-Type: message/rfc822\r\n\
             Content-Transfer-Encoding: {encoding}\r\n\r\n{inner}\r\n--f--\r\n"
        )
    };
    for outer in [outer("8bit", &inner), outer("base64", &base64(&inner))] {
        let reading = read(outer.as_bytes(), &Rules::default());
        let forwarded = String::from_utf8(reading.forwarded.unwrap()).unwrap();
        assert_eq!(forwarded, inner);
    }
}

#[test]
fn text_beside_an_attached_notice_decides_nothing_by_itself() {
    let notice = from_platform(BODY);
    // Pasted as well as attached: the attached one can be proven.
    let both = forward(&format!("請處理\n{BODY}"), &[&notice]);
    assert_eq!(judge(&both), attached(&notice));

    // Another range, another company, or more than one attached: nobody can tell.
    let other = BODY.replace("EC", "ED");
    let named = BODY.replace("貴公司()", "貴公司(53567686)");
    for (text, inner) in [
        (other.as_str(), vec![notice.as_str()]),
        (&named, vec![&notice]),
        (BODY, vec![&notice, &notice]),
        (&other, vec![&from_platform("hello")]),
    ] {
        assert_eq!(
            codes(&forward(text, &inner)),
            [SenderNotAllowed, AmbiguousHeader],
            "{text} {inner:?}"
        );
    }

    // As a sender's own text it is the one that a proof is asked of, the outer one's.
    let own = forward(BODY, &[&notice]).replace("boss@example.com", SENDER);
    let reading = judge(&own);
    assert_eq!((reading.forwarded, reading.defects), (None, vec![]));
    let own = forward(&other, &[&notice]).replace("boss@example.com", SENDER);
    assert_eq!(codes(&own), [AmbiguousHeader]);
}

#[test]
fn an_inline_forward_is_told_to_come_as_an_attachment() {
    let quoted = |prefix: &str| -> String {
        BODY.lines()
            .map(|line| format!("{prefix}{line}\n"))
            .collect()
    };
    // Labels alone in their lines, as the text of a table has them.
    let lone = BODY.replace('：', "\n");
    let lone: String = lone.lines().map(|line| format!("> {line}\n")).collect();
    for subject in ["Fwd: ", "FW: ", "轉寄: ", "轉寄："] {
        for body in [
            quoted(""),
            quoted("> "),
            quoted(">> "),
            quoted("> > "),
            lone.clone(),
        ] {
            let inline = mail(
                &format!("From: boss@example.com\nSubject: {subject}{SUBJECT}"),
                &format!("---------- Forwarded message ---------\nFrom: <{SENDER}>\n\n{body}"),
            );
            let reading = judge(&inline);
            let [defect] = &reading.defects[..] else {
                panic!("{body}: {reading:?}");
            };
            assert_eq!(defect.code, SenderNotAllowed);
            assert!(defect.detail.en.contains("as an attachment"));
            assert!(defect.detail.zh.contains("以附件方式轉寄"));
            assert_eq!(reading.blocks.len(), 1, "{body}");
        }
    }
}

#[test]
fn a_forward_without_the_fields_is_talk() {
    for body in [
        "請看下面這封，字軌名稱跟起迄號在平台上。\n".to_owned(),
        BODY.replace('：', " "),
    ] {
        let talk = mail(
            &format!("From: boss@example.com\nSubject: Fwd: {SUBJECT}"),
            &body,
        );
        assert!(!judge(&talk).is_notice, "{body}");
    }
}

#[test]
fn an_attached_notice_that_was_cut_off_in_its_encoding_is_not_believed() {
    let forward = |base64: &str| {
        mail(
            &format!(
                "From: boss@example.com\nSubject: Fwd: {SUBJECT}\n\
                 Content-Type: message/rfc822\nContent-Transfer-Encoding: base64"
            ),
            base64,
        )
    };
    // The first of two ranges ends where a group of four digits does: what is left of the mail
    // is flawless by itself.
    let mut first = from_platform(BODY);
    first.push_str(&" ".repeat((3 - first.len() % 3) % 3));
    let both = base64(&format!("{first}\n{}", BODY.replace("EC", "ED")));
    assert_eq!(judge(&forward(&both)).blocks.len(), 2);
    let half = base64(&first);
    assert!(both.starts_with(&half));
    for broken in [format!("{half}D"), format!("{half}*")] {
        assert_eq!(codes(&forward(&broken)), [UndecodableText], "{broken}");
    }
}

/// RFC 4648 §4.
fn base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut encoded = String::new();
    for group in text.as_bytes().chunks(3) {
        let bits = group
            .iter()
            .zip([16, 8, 0])
            .fold(0, |bits, (&byte, by)| bits | usize::from(byte) << by);
        for (at, by) in [18, 12, 6, 0].into_iter().enumerate() {
            encoded.push(match at <= group.len() {
                true => char::from(DIGITS[bits >> by & 63]),
                false => '=',
            });
        }
    }
    encoded
}
