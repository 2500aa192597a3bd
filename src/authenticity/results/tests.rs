//! Which field is believed, and what it has to say.

use super::{
    super::{Require, Results::*},
    *,
};

const OURS: &str = "mx.example.com";
const PASS: &str = "dkim=pass header.d=einvoice.nat.gov.tw";
const RECEIVED: &str = "Received: from a by b; Fri, 20 Apr 2018 09:00:00 +0800\r\n";
const REST: &str = "From: einvoice@einvoice.nat.gov.tw\r\nSubject: x\r\n\r\nbody\r\n";

fn settings(trusted: &[&str]) -> Settings {
    Settings {
        require: Require::AuthenticationResults,
        trusted_authserv_ids: trusted.iter().map(|&id| id.to_owned()).collect(),
        ..Settings::default()
    }
}

/// The domain that is proved, or why none is.
fn judged(header: &str, results: Results) -> Result<String, Sentence> {
    judged_from(header, results, "einvoice@einvoice.nat.gov.tw")
}

fn judged_from(header: &str, results: Results, from: &str) -> Result<String, Sentence> {
    let mail = format!("{header}{REST}");
    let evidence = verify(
        mail.as_bytes(),
        from.parse().ok().as_ref(),
        results,
        &settings(&[OURS]),
    );
    let result = evidence.result();
    let kept = evidence
        .proof
        .as_ref()
        .and_then(|proof| proof.domain.as_ref());
    assert!(kept.is_none_or(|domain| domain.len() <= 253), "{header}");
    match evidence.verdict {
        Authenticity::Proven { signed: None } => Ok(evidence.proof.unwrap().domain.unwrap()),
        Authenticity::Unproven(why) => {
            assert_eq!(
                result,
                if evidence.proof.is_some() {
                    "fail"
                } else {
                    "none"
                }
            );
            Err(why)
        }
        verdict => panic!("{verdict:?}"),
    }
}

fn field(says: &str) -> String {
    format!("Authentication-Results: {says}\r\n")
}

/// Fails in every kind of mailbox for which it is given, with a sentence that says `expected`, in
/// both languages.
#[track_caller]
fn fails(header: &str, kinds: &[Results], expected: &str) {
    for kind in kinds {
        let why = judged(header, *kind).expect_err(header);
        assert!(why.en.contains(expected), "{kind:?} {header}\n{}", why.en);
        let quoted = |text: &str| -> Vec<String> {
            let pieces = text.split('`').skip(1).step_by(2);
            pieces.map(str::to_owned).collect()
        };
        let is_chinese = |c: char| matches!(c, '\u{4e00}'..='\u{9fff}');
        assert!(why.zh.contains(is_chinese), "{}", why.zh);
        assert_eq!(quoted(&why.en), quoted(&why.zh), "{}", why.zh);
    }
}

#[test]
fn the_topmost_field_of_an_own_server_above_every_received_is_believed() {
    for says in [
        format!("{OURS}; {PASS}"),
        "MX.Example.COM 1; DKIM=Pass Header.D=EInvoice.NAT.gov.tw".to_owned(),
        format!("{OURS}; dkim=pass header.i=@einvoice.nat.gov.tw"),
        format!("{OURS}; dkim=pass header.i=a=b@einvoice.nat.gov.tw header.b=abc"),
        format!("{OURS}; dkim=pass header.d=einvoice.nat.gov.tw header.i=@x.einvoice.nat.gov.tw"),
        format!("{OURS}; dkim=fail header.d=einvoice.nat.gov.tw; {PASS}"),
        format!("{OURS}; dkim=pass header.d=other.example; {PASS}; dmarc=fail"),
        format!("{OURS}; dkim=none; dmarc=pass (p=none) header.from=einvoice.nat.gov.tw"),
        format!(
            "{OURS}; spf=pass smtp.mailfrom=x; x=y\r\n\t(folded);\r\n dkim=pass\r\n header.d\r\n =einvoice.nat.gov.tw"
        ),
    ] {
        let header = field(&says) + RECEIVED;
        let proved = judged(&header, Top);
        assert_eq!(proved.as_deref(), Ok("einvoice.nat.gov.tw"), "{header}");
    }
    // Beside From's domain: the organization's other one, which is on the list.
    let sister = field(&format!("{OURS}; dkim=pass header.d=invoice.nat.gov.tw")) + RECEIVED;
    assert_eq!(judged(&sister, Top).as_deref(), Ok("invoice.nat.gov.tw"));
}

#[test]
fn google_writes_it_below_its_own_received_and_microsoft_without_a_name() {
    let below = RECEIVED.to_owned() + &field(&format!("{OURS}; {PASS}"));
    assert!(judged(&below, Google).is_ok());
    fails(
        &below,
        &[Top],
        "above every Received field, found it (`mx.example.com`) below one",
    );

    let nameless = RECEIVED.to_owned()
        + &field(&format!(
            "spf=pass (sender IP is 192.0.2.1) smtp.mailfrom=x; {PASS};\
             dmarc=pass action=none header.from=einvoice.nat.gov.tw;compauth=pass reason=100"
        ));
    assert!(judged(&nameless, Microsoft).is_ok());
    fails(&nameless, &[Google], "results = \"microsoft\"");
    fails(&nameless, &[Top], "found it (no server) below one");
    fails(
        &below,
        &[Microsoft],
        "found `mx.example.com`; only a mailbox at Microsoft 365",
    );
    let nameless_on_top = field(PASS) + RECEIVED;
    fails(&nameless_on_top, &[Top, Google], "expected a server's name");
}

#[test]
fn without_a_field_there_is_nothing_to_believe() {
    let others = format!(
        "{RECEIVED}ARC-Authentication-Results: i=1; {OURS}; {PASS}\r\n\
         Authentication-Results-Original: {OURS}; {PASS}\r\n\
         X-Authentication-Results: {OURS}; {PASS}\r\n\
         Authentication-Results({OURS}): {PASS}\r\n\
         Authentication-Results\0: {OURS}; {PASS}\r\n\
         Authentication Results: {OURS}; {PASS}\r\n\
         X-A: b\r\n Authentication-Results: {OURS}; {PASS}\r\n\
         X-A: b\rAuthentication-Results: {OURS}; {PASS}\r\n"
    );
    for kind in Results::ALL {
        fails(
            RECEIVED,
            &[kind],
            "there is no Authentication-Results field",
        );
        fails(&others, &[kind], "there is no Authentication-Results field");
    }
    // In the body it is text.
    let body = format!("\r\n{}", field(&format!("{OURS}; {PASS}")));
    fails(
        &body,
        &Results::ALL,
        "there is no Authentication-Results field",
    );
}

#[test]
fn what_the_sender_wrote_below_the_servers_own_is_never_looked_at() {
    let forged = field(&format!("{OURS}; {PASS}"));
    let own = field(&format!(
        "{OURS}; dkim=none; dmarc=fail header.from=einvoice.nat.gov.tw"
    ));
    let no_proof = "but `mx.example.com` wrote `dkim=none`, `dmarc=fail`";
    fails(
        &format!("{own}{RECEIVED}{forged}"),
        &[Top, Google],
        no_proof,
    );
    fails(&format!("{RECEIVED}{own}{forged}"), &[Google], no_proof);
    // Of two above Received the topmost is the server's.
    fails(
        &format!("{own}{forged}{RECEIVED}"),
        &[Top, Google],
        no_proof,
    );
    // One that cannot be read, or that another server wrote, is not passed over either.
    let broken = field(&format!("{OURS}; dkim=none (\0)"));
    fails(
        &format!("{broken}{forged}{RECEIVED}"),
        &[Top, Google],
        "cannot be read",
    );
    let other = field("mx2.example.com; dkim=none");
    fails(
        &format!("{other}{forged}{RECEIVED}"),
        &[Top, Google],
        "`mx2.example.com` wrote `dkim=none`, but `mx2.example.com` is not on",
    );
    let nameless = field(PASS);
    fails(
        &format!("{own}{RECEIVED}{nameless}"),
        &[Microsoft],
        "without a server's name",
    );
    let own = field("dkim=fail (body hash did not verify) header.d=einvoice.nat.gov.tw");
    fails(
        &format!("{RECEIVED}{own}{nameless}"),
        &[Microsoft],
        "the receiving server wrote `dkim=fail`",
    );
}

#[test]
fn where_the_server_wrote_none_the_senders_own_stands_below_received() {
    let forged = format!("{RECEIVED}{}", field(&format!("{OURS}; {PASS}")));
    fails(&forged, &[Top], "where the sender can have written it");
    for received in [
        "RECEIVED : x\r\n",
        "Received:\r\n",
        "received:\r\n folded\r\n",
    ] {
        let forged = format!("{received}{}", field(&format!("{OURS}; {PASS}")));
        fails(&forged, &[Top], "where the sender can have written it");
    }
    // Nobody is told to trust a name that may be made up.
    let made_up = format!("{RECEIVED}{}", field(&format!("mx.evil.example; {PASS}")));
    let why = judged(&made_up, Top).unwrap_err();
    assert!(!why.en.contains("trusted_authserv_ids"), "{}", why.en);
}

#[test]
fn a_name_that_is_not_wholly_the_servers_is_another() {
    for id in [
        "mx.example.com.evil.example",
        "evil.mx.example.com",
        "mx.example.com.",
        "mx.example.co",
        "xn--mx-example-com",
        "mx_example.com",
        "mx.examp1e.com",
        "example.com",
    ] {
        let header = field(&format!("{id}; {PASS}")) + RECEIVED;
        let expected = format!(
            "`{id}` wrote `dkim=pass` for `einvoice.nat.gov.tw`, but `{id}` is not on \
             `trusted_authserv_ids`: add it only if it is your own server"
        );
        fails(&header, &[Top, Google], &expected);
    }
    for id in [
        "\"mx.example.com\"",
        "mx.(x)example.com",
        "mx.example.com(x).evil.example",
        "mx.example.com evil.example",
        "mx.example.com/evil",
        "mx.example.com@evil.example",
        "mx.example.com:25",
        "mx.example.com 2",
        "ｍｘ.example.com",
        "mx\u{200b}.example.com",
        "mx．example．com",
        "mx.\r\n example.com",
        "mx.example.com\0",
        "mx.example.com\r",
    ] {
        let header = field(&format!("{id}; {PASS}")) + RECEIVED;
        fails(&header, &[Top, Google, Microsoft], "cannot be read");
    }
    // Nobody trusted, nobody believed.
    let mail = format!("{}{REST}", field(&format!("{OURS}; {PASS}")));
    let from = "einvoice@einvoice.nat.gov.tw".parse().unwrap();
    let evidence = verify(mail.as_bytes(), Some(&from), Top, &settings(&[]));
    assert_eq!(evidence.result(), "fail");
    assert_eq!(
        evidence.proof.unwrap().domain.as_deref(),
        Some("einvoice.nat.gov.tw")
    );
}

#[test]
fn only_a_pass_for_one_domain_that_speaks_for_the_sender_proves_it() {
    let wrote = "expected `dkim=pass` or `dmarc=pass`, but `mx.example.com` wrote";
    for (says, expected) in [
        // Not a pass.
        ("none", "wrote no result"),
        ("dkim=fail header.d=einvoice.nat.gov.tw", wrote),
        ("dkim=passed header.d=einvoice.nat.gov.tw", wrote),
        ("dkim=pass-ish header.d=einvoice.nat.gov.tw", wrote),
        ("dkim=neutral header.d=einvoice.nat.gov.tw", wrote),
        ("dkim=policy header.d=einvoice.nat.gov.tw", wrote),
        ("dkim=temperror header.d=einvoice.nat.gov.tw", wrote),
        ("dmarc=bestguesspass header.from=einvoice.nat.gov.tw", wrote),
        // Of something else.
        ("dkim/2=pass header.d=einvoice.nat.gov.tw", wrote),
        ("x-dkim=pass header.d=einvoice.nat.gov.tw", wrote),
        ("arc=pass header.d=einvoice.nat.gov.tw", wrote),
        (
            "spf=pass smtp.mailfrom=einvoice.nat.gov.tw header.d=einvoice.nat.gov.tw",
            wrote,
        ),
        ("spf=pass dkim=pass header.d=einvoice.nat.gov.tw", wrote),
        // Where nothing counts.
        ("dkim=fail (dkim=pass header.d=einvoice.nat.gov.tw)", wrote),
        (
            "dkim=fail reason=\"; dkim=pass header.d=einvoice.nat.gov.tw\"",
            wrote,
        ),
        (
            "dkim=fail reason=\"x\\\"; dkim=pass header.d=einvoice.nat.gov.tw; \"",
            wrote,
        ),
        (
            "spf=fail smtp.mailfrom=\"a; dkim=pass header.d=einvoice.nat.gov.tw; b\"@x.example",
            wrote,
        ),
        // Without a domain, or with several.
        ("dkim=pass", "found neither"),
        ("dkim=pass header.from=einvoice.nat.gov.tw", "found neither"),
        ("dkim=pass header.i=einvoice.nat.gov.tw", "found neither"),
        (
            "dkim=pass smtp.d=einvoice.nat.gov.tw x.header.d=einvoice.nat.gov.tw",
            "found neither",
        ),
        (
            "dkim=pass header.d=einvoice.nat.gov.tw header.d=evil.example",
            "expected `header.d` once",
        ),
        (
            "dkim=pass header.d=einvoice.nat.gov.tw HEADER.D=einvoice.nat.gov.tw",
            "expected `header.d` once",
        ),
        (
            "dkim=pass header.i=@evil.example header.i=@einvoice.nat.gov.tw",
            "expected `header.i` once",
        ),
        (
            "dkim=pass header.d=einvoice.nat.gov.tw header.i=@einvoice.nat.gov.tw header.i=@x",
            "expected `header.i` once",
        ),
        (
            "dkim=pass header.d=einvoice.nat.gov.tw header.i=@evil.example",
            "found `einvoice.nat.gov.tw` and `@evil.example`",
        ),
        (
            "dkim=pass header.d=einvoice.nat.gov.tw header.i=@evileinvoice.nat.gov.tw",
            "expected a `header.i` in or below `header.d`",
        ),
        (
            "dkim=pass header.d=einvoice.nat.gov.tw header.i=einvoice.nat.gov.tw",
            "expected a `header.i` in or below `header.d`",
        ),
        ("dmarc=pass", "expected `header.from`"),
        (
            "dmarc=pass header.d=einvoice.nat.gov.tw",
            "expected `header.from`",
        ),
        (
            "dmarc=pass header.from=einvoice.nat.gov.tw header.from=evil.example",
            "expected `header.from` once",
        ),
        // Two answers to one question.
        (
            "dkim=none; dkim=pass header.d=einvoice.nat.gov.tw",
            "expected `dkim=pass` or `dkim=none`, found both",
        ),
        (
            "dmarc=pass header.from=einvoice.nat.gov.tw; dmarc=fail header.from=einvoice.nat.gov.tw",
            "expected one result of `dmarc`",
        ),
        // Of another domain.
        (
            "dkim=pass header.d=evil.example",
            "`evil.example`, which is not among `domains`",
        ),
        (
            "dkim=pass header.d=nat.gov.tw",
            "`nat.gov.tw`, which is not among",
        ),
        ("dkim=pass header.d=gov.tw", "which is not among"),
        (
            "dkim=pass header.d=x.einvoice.nat.gov.tw",
            "which is not among",
        ),
        (
            "dkim=pass header.d=einvoice.nat.gov.tw.",
            "`einvoice.nat.gov.tw.`, which is not among",
        ),
        (
            "dkim=pass header.d=@einvoice.nat.gov.tw",
            "which is not among",
        ),
        (
            "dkim=pass header.d=einvoice.nat.gov.tw.evil.example",
            "which is not among",
        ),
        (
            "dkim=pass header.d=\"einvoice.nat.gov.tw evil.example\"",
            "which is not among",
        ),
        (
            "dkim=pass header.i=einvoice.nat.gov.tw@evil.example",
            "`evil.example`, which is not",
        ),
        (
            "dkim=pass header.i=\"@einvoice.nat.gov.tw\"@evil.example",
            "`evil.example`, which is not",
        ),
        ("dkim=pass header.d=", "found `dkim=pass` for ``"),
        ("dmarc=pass header.from=nat.gov.tw", "which is not among"),
        (
            "dmarc=pass header.from=einvoice@einvoice.nat.gov.tw",
            "which is not among",
        ),
        (
            "dmarc=pass header.from=invoice.nat.gov.tw",
            "does not speak for From's `einvoice.nat.gov.tw`",
        ),
        // Not as a whole.
        (
            "dkim=pass header.d=einvoice.(x)nat.gov.tw",
            "cannot be read",
        ),
        ("dkim=pass header.d=einvoice.nat.gov.tw (", "cannot be read"),
        (
            "dkim=pass header.d=einvoice.nat.gov.tw; \"",
            "cannot be read",
        ),
        (
            "dkim=pass header.d=einvoice.nat.gov.tw; x=y z",
            "cannot be read",
        ),
        ("dkim=pass header.d=einvoice.nat.gov.tw\0", "cannot be read"),
        ("dkim=pass\rheader.d=einvoice.nat.gov.tw", "cannot be read"),
        (
            "dkim=pass header.d=einvoice.nat.gov.tw (通過)",
            "cannot be read",
        ),
        (
            "dkim=pass header.d=einvoice.nat.gov.tw\r\n \r\n\t; x=y",
            "cannot be read",
        ),
        (
            "dkim=pass header.d=einvoice.\r\n nat.gov.tw",
            "cannot be read",
        ),
    ] {
        let header = field(&format!("{OURS}; {says}")) + RECEIVED;
        fails(&header, &[Top, Google], expected);
    }
}

#[test]
fn the_first_reason_is_told_and_long_ones_are_cut_short() {
    let long = "x".repeat(3_000);
    let results = "a=b; ".repeat(1_000);
    for says in [
        format!("{OURS}; dkim=pass header.d={long}"),
        format!("{OURS}; {results}"),
        format!("{long}; {PASS}"),
        format!("{OURS}; ({long}"),
        format!("{OURS}; dkim=pass header.d=a header.i={long}"),
    ] {
        let why = judged(&(field(&says) + RECEIVED), Top).unwrap_err();
        assert!(why.en.len() < 400 && why.zh.len() < 500, "{}", why.en);
    }
    let two = field(&format!(
        "{OURS}; dkim=pass header.d=a; dkim=pass header.d=b"
    )) + RECEIVED;
    fails(&two, &[Top], "found `dkim=pass` for `a`");
}

#[test]
fn from_is_one_address_of_the_same_organization() {
    let own = field(&format!("{OURS}; {PASS}")) + RECEIVED;
    for from in ["", "einvoice@einvoice.nat.gov.tw, x@evil.example"] {
        let why = judged_from(&own, Top, from).unwrap_err();
        assert!(
            why.en.contains("expected one address in From"),
            "{}",
            why.en
        );
    }
    for from in [
        "einvoice@evil.example",
        "einvoice@gov.tw",
        "einvoice@evil.gov.tw",
        "einvoice@evilnat.gov.tw",
        "einvoice@einvoice.nat.gov.tw.evil.example",
    ] {
        let why = judged_from(&own, Top, from).unwrap_err();
        assert!(why.en.contains("does not speak for From's"), "{}", why.en);
    }
    assert!(judged_from(&own, Top, "a@x.nat.gov.tw").is_ok());
}

#[test]
fn a_second_field_about_the_text_proves_nothing() {
    let ours = format!("Authentication-Results: {OURS}; {PASS}\r\n{RECEIVED}");
    let plain = "Content-Type: text/plain\r\n";
    assert!(judged(&format!("{ours}{plain}"), Top).is_ok());
    for second in [plain, "CONTENT-TYPE : text/html\r\n"] {
        let why = judged(&format!("{ours}{second}{plain}"), Top).unwrap_err();
        assert!(why.en.contains("content-type"), "{}", why.en);
    }
}

#[test]
fn every_field_is_listed_topmost_first() {
    let mail = format!(
        "AUTHENTICATION-RESULTS : a.example; none\n{RECEIVED}\
         Authentication-Results: (\n{RECEIVED}Authentication-Results: dkim=pass\n{REST}"
    );
    let listed: Vec<_> = fields(mail.as_bytes())
        .into_iter()
        .map(|field| {
            field
                .map(|field| (field.to_string(), field.above_received))
                .ok()
        })
        .collect();
    let expected = [
        Some(("a.example; none".to_owned(), true)),
        None,
        Some(("dkim=pass".to_owned(), false)),
    ];
    assert_eq!(listed, expected);
}
