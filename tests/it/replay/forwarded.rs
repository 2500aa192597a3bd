//! Notices passed on by a colleague: as an attachment, the way several mail programs write one;
//! nested; inline; and beside a text that says something else.

use super::*;

/// A colleague's mail; `part` is the MIME part that holds the notice, its header first.
fn outer(text: &str, parts: &[Vec<u8>]) -> Vec<u8> {
    let mut eml = format!(
        "From: \"Wang, Ops\" <ops@example.com>\r\nTo: einvoice@example.com\r\n\
         Subject: =?UTF-8?B?RndkOiDpm7vlrZDnmbznpajphY3omZ/ntZDmnpzpgJrnn6U=?=\r\n\
         Date: Fri, 20 Apr 2018 10:12:44 +0800\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=\"=_outer_{}\"\r\n\r\n\
         This is a multi-part message in MIME format.\r\n--=_outer_{0}\r\n\
         Content-Type: text/plain; charset=UTF-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{text}\r\n",
        parts.first().map_or(0, Vec::len),
    )
    .into_bytes();
    let boundary = format!("--=_outer_{}", parts.first().map_or(0, Vec::len));
    for part in parts {
        eml.extend(format!("{boundary}\r\n").as_bytes());
        eml.extend(part);
        eml.extend(b"\r\n");
    }
    eml.extend(format!("{boundary}--\r\n").as_bytes());
    eml
}

/// A part that holds `inner` as the header says.
fn part(header: &str, inner: &[u8]) -> Vec<u8> {
    let body = if header.contains("base64") {
        let mut lines = String::new();
        for line in BASE64_STANDARD.encode(inner).as_bytes().chunks(76) {
            lines.push_str(str::from_utf8(line).unwrap());
            lines.push_str("\r\n");
        }
        lines.into_bytes()
    } else {
        inner.to_vec()
    };
    [header.as_bytes(), b"\r\n\r\n", &body].concat()
}

pub(super) fn as_attachment(inner: &[u8], encoding: &str) -> Vec<u8> {
    let header = format!("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: {encoding}");
    outer("請處理", &[part(&header, inner)])
}

/// How mail programs write "forward as attachment".
const PROGRAMS: [(&str, &str); 5] = [
    (
        "Gmail",
        "Content-Type: message/rfc822; name=\"=?UTF-8?B?6Zu75a2Q55m856Wo6YWN6Jmf57WQ5p6c6YCa55+lLmVtbA==?=\"\r\n\
         Content-Disposition: attachment;\r\n filename=\"=?UTF-8?B?6Zu75a2Q55m856Wo6YWN6Jmf57WQ5p6c6YCa55+lLmVtbA==?=\"\r\n\
         Content-Transfer-Encoding: base64\r\nContent-ID: <f_jg7x0>\r\nX-Attachment-Id: f_jg7x0",
    ),
    (
        "Outlook",
        "Content-Type: message/rfc822\r\n\
         Content-Disposition: attachment; size=2087;\r\n\tcreation-date=\"Fri, 20 Apr 2018 02:12:40 GMT\";\r\n\
         \tmodification-date=\"Fri, 20 Apr 2018 02:12:44 GMT\"",
    ),
    (
        "Thunderbird",
        "Content-Type: message/rfc822; charset=UTF-8;\r\n name*0*=UTF-8''%E9%9B%BB%E5%AD%90%E7%99%BC;\r\n\
         \x20name*1*=%E7%A5%A8.eml\r\nContent-Disposition: attachment;\r\n filename*=UTF-8''a.eml\r\n\
         Content-Transfer-Encoding: 8bit",
    ),
    (
        "Apple Mail",
        "Content-Disposition: attachment;\r\n\tfilename*=utf-8''%E9%85%8D%E8%99%9F.eml\r\n\
         Content-Type: message/rfc822;\r\n\tx-unix-mode=0666;\r\n\tname=\"a.eml\"\r\n\
         Content-Transfer-Encoding: 8bit",
    ),
    (
        "Mutt",
        "Content-Type: message/rfc822\r\nContent-Disposition: inline",
    ),
];

/// A notice with what a transport could spoil: lines that begin with a dot, trailing spaces, empty
/// lines at the end, folded fields.
fn delicate() -> Vec<u8> {
    let mut eml = String::from_utf8(unnamed(ADDRESS)).unwrap();
    eml = eml
        .replace("To: ", "To:\r\n  \"A,  B\" <")
        .replace("example.com\r\n", "example.com>\r\n");
    eml.push_str(".\r\n..two dots\r\nFrom here on\r\ntrailing \t\r\n\r\n\r\n");
    eml.into_bytes()
}

fn signed(canonicalization: Canonicalization) -> Vec<u8> {
    let fields = ["From", "To", "Subject", "Date"];
    signer::sign_as(&delicate(), signer::DOMAIN, &fields, |signer| {
        signer
            .header_canonicalization(canonicalization)
            .body_canonicalization(canonicalization)
    })
}

#[tokio::test]
async fn a_signed_notice_is_proven_through_every_mail_programs_attachment() {
    for canonicalization in [Canonicalization::Relaxed, Canonicalization::Simple] {
        let signed = signed(canonicalization);
        for (program, header) in PROGRAMS {
            let mut door = Door::new().await;
            let taken = door
                .take(&outer("請處理，謝謝", &[part(header, &signed)]))
                .await;
            assert_eq!(codes(&taken), [""; 0], "{program} {canonicalization:?}");
            assert_imported(&taken, "recipient");
            // What counts is the inner message's, and so is what is shown of it.
            assert_eq!(taken.from.as_deref(), Some("einvoice@einvoice.nat.gov.tw"));
            assert_eq!(taken.subject, "電子發票配號結果通知");
            assert_eq!(taken.evidence.result, "pass");
            assert_eq!(taken.evidence.domain.as_deref(), Some(signer::DOMAIN));
        }
    }
}

/// As a Maildir keeps it.
#[tokio::test]
async fn line_ends_do_not_matter() {
    for canonicalization in [Canonicalization::Relaxed, Canonicalization::Simple] {
        let signed = signed(canonicalization);
        for (program, header) in PROGRAMS {
            let eml = String::from_utf8(outer("請處理", &[part(header, &signed)])).unwrap();
            let eml = eml.replace('\r', "");
            let taken = Door::new().await.take(eml.as_bytes()).await;
            assert_eq!(codes(&taken), [""; 0], "{program} {canonicalization:?}");
            assert_imported(&taken, "recipient");
        }
    }
}

#[tokio::test]
async fn a_forward_of_a_forward_is_proven_too() {
    let signed = signer::sign(&unnamed(ADDRESS));
    for encoding in ["8bit", "base64"] {
        let nested = as_attachment(&as_attachment(&signed, encoding), "8bit");
        let nested = as_attachment(&nested, encoding);
        let taken = Door::new().await.take(&nested).await;
        assert_imported(&taken, "recipient");
        assert_eq!(taken.evidence.domain.as_deref(), Some(signer::DOMAIN));
    }
}

#[tokio::test]
async fn an_attached_forgery_waits_for_a_person() {
    let genuine = String::from_utf8(signer::sign(&unnamed(ADDRESS))).unwrap();
    for inner in [
        String::from_utf8(unnamed(ADDRESS)).unwrap(),
        genuine.replace("22634399", "22634349"),
    ] {
        for encoding in ["8bit", "base64"] {
            let eml = as_attachment(inner.as_bytes(), encoding);
            let taken = Door::new().await.take(&eml).await;
            assert!(codes(&taken).contains(&"not_authenticated"), "{taken:#?}");
            assert_eq!(taken.disposition, Disposition::Quarantined);
        }
    }
}

#[tokio::test]
async fn the_outer_signature_says_nothing_of_the_inner_notice() {
    // Even the platform's own: it may be answering somebody who sent it a forgery.
    let forged = as_attachment(&unnamed(ADDRESS), "8bit");
    let forged = String::from_utf8(forged).unwrap();
    let forged = forged.replace("ops@example.com", "service@einvoice.nat.gov.tw");
    let signed = signer::sign(forged.as_bytes());
    let taken = Door::new().await.take(&signed).await;
    assert_quarantined(&taken, &["not_authenticated"]);
    assert_eq!(taken.evidence.result, "none");
}

#[tokio::test]
async fn authentication_results_say_nothing_of_an_attached_notice() {
    let said = "Authentication-Results: mx.example.com;\r\n dkim=pass header.d=einvoice.nat.gov.tw;\
                \r\n dmarc=pass header.from=einvoice.nat.gov.tw\r\n";
    let inside = as_attachment(&below(said, &unnamed(ADDRESS)), "8bit");
    let outside = below(said, &as_attachment(&unnamed(ADDRESS), "8bit"));
    for eml in [inside, outside] {
        let mut door = Door::new().await.believing("mx.example.com");
        let taken = door.take(&eml).await;
        assert_quarantined(&taken, &["not_authenticated"]);
        let told = &taken.defects[0];
        assert!(
            told.detail.contains("forwarded as an attachment"),
            "{told:?}"
        );
        assert!(told.detail_zh.contains("以附件轉寄"), "{told:?}");
    }
}

#[tokio::test]
async fn a_pasted_text_does_not_win_over_the_attached_notice() {
    let signed = signer::sign(&unnamed(ADDRESS));
    let text = String::from_utf8(unnamed(ADDRESS)).unwrap();
    let (_, text) = text.split_once("\r\n\r\n").unwrap();
    let header = "Content-Type: message/rfc822";
    // The same, pasted and attached: the attached one is proven.
    let taken = Door::new()
        .await
        .take(&outer(text, &[part(header, &signed)]))
        .await;
    assert_imported(&taken, "recipient");
    // Another range in the text, whoever wrote it.
    let other = text.replace("EC", "ED");
    let eml = outer(&other, &[part(header, &signed)]);
    let taken = Door::new().await.take(&eml).await;
    assert!(codes(&taken).contains(&"ambiguous_header"), "{taken:#?}");
    assert_eq!(taken.disposition, Disposition::Quarantined);
    let eml = String::from_utf8(eml).unwrap();
    let eml = eml.replace("ops@example.com", "einvoice@einvoice.nat.gov.tw");
    let taken = Door::new().await.take(eml.as_bytes()).await;
    assert_quarantined(&taken, &["not_authenticated", "ambiguous_header"]);
}

#[tokio::test]
async fn an_inline_forward_is_quarantined_and_told_what_to_do() {
    let notice = String::from_utf8(unnamed(ADDRESS)).unwrap();
    let (_, body) = notice.split_once("\r\n\r\n").unwrap();
    let quoted: String = body.lines().map(|line| format!("> {line}\r\n")).collect();
    for text in [
        format!("FYI\r\n\r\n---------- Forwarded message ---------\r\n{body}"),
        format!("請處理\r\n\r\n-----原始郵件-----\r\n{quoted}"),
    ] {
        // Our own house's signature proves nothing of the platform's.
        let eml = signer::sign_as(
            &outer(&text, &[]),
            "example.com",
            &["From", "Subject"],
            |s| s,
        );
        let taken = Door::new().await.take(&eml).await;
        assert_eq!(taken.disposition, Disposition::Quarantined);
        let defect = taken
            .defects
            .iter()
            .find(|defect| defect.code == "sender_not_allowed");
        let told = defect.unwrap_or_else(|| panic!("{taken:#?}"));
        assert!(
            told.detail.contains("forwarded as an attachment"),
            "{told:?}"
        );
        assert!(told.detail_zh.contains("以附件方式轉寄"), "{told:?}");
    }
}
