//! The grammar: what reads, what says nothing at all, and what holds of any bytes.

use proptest::{collection::vec, option, prelude::*};

use super::{super::Field, MAX_DEPTH, payload};

/// The field as it prints, or why it says nothing.
fn read(body: &str) -> Result<String, String> {
    read_bytes(body.as_bytes())
}

fn read_bytes(body: &[u8]) -> Result<String, String> {
    let (authserv_id, results) = payload(body).map_err(|malformed| malformed.0.en)?;
    Ok(Field {
        authserv_id,
        above_received: true,
        results,
    }
    .to_string())
}

#[test]
fn every_form_that_servers_write_reads() {
    for (body, expected) in [
        // RFC 8601 appendix B.
        (" example.org 1; none\r\n", "example.org; none"),
        (
            " example.com;\r\n          spf=pass smtp.mailfrom=example.net\r\n",
            "example.com; spf=pass smtp.mailfrom=example.net",
        ),
        (
            " example.com;\r\n\tauth=pass (cram-md5) smtp.auth=sender@example.net;\r\n\
             \tspf=pass smtp.mailfrom=example.net\r\n",
            "example.com; auth=pass smtp.auth=sender@example.net; \
             spf=pass smtp.mailfrom=example.net",
        ),
        (
            " foo.example.net (foobar) 1 (baz);\n dkim (Because I like it) / 1 (One yay) = (wait \
             for it) fail\n policy (A dot can go here) . (like that) expired\n (this surprised me) \
             = (as I wasn't expecting it) 1362471462\n",
            "foo.example.net; dkim=fail policy.expired=1362471462",
        ),
        (
            " example.com; dkim=pass reason=\"good signature\" header.i=@mail-router.example.net",
            "example.com; dkim=pass reason=\"good signature\" header.i=@mail-router.example.net",
        ),
        // Case.
        (
            "MX.Example.COM; DKIM=Pass Header.D=Example.ORG",
            "mx.example.com; dkim=pass header.d=Example.ORG",
        ),
        // Semicolons, and nothing between them.
        (
            "mx.example.com;; spf=none ; ;dkim=none;;",
            "mx.example.com; spf=none; dkim=none",
        ),
        ("mx.example.com", "mx.example.com; none"),
        ("mx.example.com;", "mx.example.com; none"),
        ("mx.example.com; none;", "mx.example.com; none"),
        // Comments: nested, with quotes and backslashes, touching what is before them.
        (
            "mx.example.com;dmarc=pass(p=REJECT)header.from=example.org(a (b \\) \" (c)))",
            "mx.example.com; dmarc=pass header.from=example.org",
        ),
        // Values.
        (
            r#"mx.example.com; x=pass a.b="c;\"d\\" e.f="g h"@example.org i.j=@k l.m= n"#,
            r#"mx.example.com; x=pass a.b="c;\"d\\" e.f="g h@example.org" i.j=@k l.m=n"#,
        ),
        (
            "mx.example.com; x-tls=pass smtp.bits=256/256 policy.is_org=yes x-bits=2048 a.b.c=<>",
            "mx.example.com; x-tls=pass smtp.bits=256/256 policy.is_org=yes x-bits=2048 a.b.c=<>",
        ),
        (
            "mx.example.com; x=pass a.b=",
            "mx.example.com; x=pass a.b=\"\"",
        ),
        (
            "mx.example.com; x=pass a.b=\"c\r\n d\"",
            "mx.example.com; x=pass a.b=\"c d\"",
        ),
        // Of another version: another method.
        (
            "mx.example.com; dkim/2=pass header.d=example.org; dkim / 1 =fail",
            "mx.example.com; dkim/2=pass header.d=example.org; dkim=fail",
        ),
        // Microsoft 365.
        (
            " spf=none (sender IP is 192.0.2.1)\r\n smtp.mailfrom=; dkim=pass (signature was \
             verified)\r\n header.d=example.org;dmarc=pass action=none\r\n \
             header.from=example.org;compauth=pass reason=100\r\n",
            "spf=none smtp.mailfrom=\"\"; dkim=pass header.d=example.org; \
             dmarc=pass action=none header.from=example.org; compauth=pass reason=100",
        ),
    ] {
        assert_eq!(read(body).as_deref(), Ok(expected), "{body}");
        // What is printed reads as the same.
        assert_eq!(read(expected).as_deref(), Ok(expected));
    }
}

#[test]
fn a_field_that_does_not_parse_as_a_whole_says_nothing() {
    for (body, expected) in [
        ("", "expected the server's name or a method, found its end"),
        (" \r\n", "found its end"),
        (
            "; dkim=pass",
            "expected the server's name or a method, found `; dkim=pass`",
        ),
        ("\"mx.example.com\"; none", "expected the server's name"),
        (
            "mx.example.com 2; none",
            "expected version `1` or `;`, found `2; none`",
        ),
        ("mx.example.com 11; none", "expected version `1` or `;`"),
        ("mx.example.com 1x; none", "expected `;`, found `x; none`"),
        ("mx.example.com one; none", "expected version `1` or `;`"),
        (
            "mx.(x)example.com; none",
            "expected version `1` or `;`, found `example.com; none`",
        ),
        (
            "mx.example.com/1; none",
            "expected `=`, found `.example.com/1; none`",
        ),
        ("mx.example.com, dkim=pass", "found `, dkim=pass`"),
        ("mx.example.com dkim=pass", "found `dkim=pass`"),
        (
            "mx.example.com; none; dkim=pass",
            "expected nothing after `none`",
        ),
        (
            "mx.example.com; dkim=pass; none",
            "expected `=` after `none`",
        ),
        ("mx.example.com; dkim", "expected `=`, found its end"),
        (
            "mx.example.com; dkim=",
            "expected the method's result, found its end",
        ),
        (
            "mx.example.com; dkim=\"pass\"",
            "expected the method's result, found `\"pass\"`",
        ),
        ("mx.example.com; =pass", "expected a method, found `=pass`"),
        (
            "mx.example.com; dkim/=pass",
            "expected the method's version",
        ),
        (
            "mx.example.com; dkim/x=pass",
            "expected the method's version",
        ),
        (
            "mx.example.com; dkim=pass header.d",
            "expected `=`, found its end",
        ),
        (
            "mx.example.com; dkim=pass header.=x",
            "expected a property, found `=x`",
        ),
        (
            "mx.example.com; dkim=pass header.d=(x)(y)\"z",
            "expected a quoted text that ends",
        ),
        (
            "mx.example.com; dkim=pass header.d=a\"b\"",
            "expected a space or `;`, found `\"b\"`",
        ),
        (
            "mx.example.com; dkim=pass header.d=\"a\"b",
            "expected a space or `;`, found `b`",
        ),
        (
            "mx.example.com; dkim=pass header.d=a\\",
            "expected a space or `;`",
        ),
        (
            "mx.example.com; dkim=pass header.d=)",
            "expected a value, found `)`",
        ),
        (
            "mx.example.com; dkim=pass header.d=a.(x)b",
            "expected `=`, found its end",
        ),
        (
            "mx.example.com; dkim=pass, header.d=a",
            "expected a space or `;`, found `, header.d=a`",
        ),
        (
            "mx.example.com; dkim=pass (never closed",
            "expected a comment that ends",
        ),
        (
            "mx.example.com; dkim=pass (closed by a backslash\\)",
            "expected a comment that ends",
        ),
        (
            "mx.example.com; dkim=pass )",
            "expected a property, found `)`",
        ),
        (
            "mx.example.com; dkim=pass\r\n \r\n header.d=a",
            "expected no empty line",
        ),
        ("mx.example.com; dkim=pass\r\n\t", "expected no empty line"),
        (
            "mx.example.com; dkim=pass\r header.d=a",
            "found the byte `0x0d`",
        ),
        (
            "mx.example.com; dkim=pass\r\r\n header.d=a",
            "found the byte `0x0d`",
        ),
        ("mx.example.com; dkim=pass\r", "found the byte `0x0d`"),
        (
            "mx.example.com; dkim=pass\0header.d=a",
            "found the byte `0x00`",
        ),
        (
            "mx.example.com; dkim=pass (\u{7f})",
            "found the byte `0x7f`",
        ),
        ("ｍx.example.com; dkim=pass", "found the byte `0xef`"),
        ("mx.example.com; dkim=pass (é)", "found the byte `0xc3`"),
    ] {
        let said = read(body);
        let why = said.expect_err(body);
        assert!(why.contains(expected), "{body}: {why}");
    }
    let latin1 = b"mx.example.com; dkim=pass header.d=\xe9.example";
    assert!(read_bytes(latin1).is_err());
}

#[test]
fn comments_nest_as_deep_as_the_bound_and_no_deeper() {
    let nested = |depth| {
        let (open, close) = ("(".repeat(depth), ")".repeat(depth));
        read(&format!("mx.example.com; dkim=pass {open}{close}"))
    };
    assert_eq!(
        nested(MAX_DEPTH).as_deref(),
        Ok("mx.example.com; dkim=pass")
    );
    let why = nested(MAX_DEPTH + 1).unwrap_err();
    assert!(why.contains("at most 16 comments"), "{why}");
    // Would overflow the stack of a reader that calls itself.
    assert!(nested(400_000).is_err());
}

#[test]
fn what_a_comment_or_quotes_hold_is_no_structure() {
    for (body, expected) in [
        (
            "mx.example.com; dkim=fail (dkim=pass header.d=example.org; dkim=pass)",
            "mx.example.com; dkim=fail",
        ),
        (
            "mx.example.com; dkim=fail reason=\"; dkim=pass header.d=example.org\"",
            "mx.example.com; dkim=fail reason=\"; dkim=pass header.d=example.org\"",
        ),
        (
            "mx.example.com; spf=pass smtp.mailfrom=\"x; dkim=pass header.d=example.org; y\"@z",
            "mx.example.com; \
             spf=pass smtp.mailfrom=\"x; dkim=pass header.d=example.org; y@z\"",
        ),
        (
            "mx.example.com; spf=pass dkim=pass header.d=example.org",
            "mx.example.com; spf=pass dkim=pass header.d=example.org",
        ),
    ] {
        assert_eq!(read(body).as_deref(), Ok(expected), "{body}");
        let (_, results) = payload(body.as_bytes()).unwrap();
        let passes = |method: &str| {
            let mut results = results.iter();
            results.any(|r| r.method == method && r.result == "pass")
        };
        assert!(!passes("dkim"), "{body}");
    }
}

fn keyword() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9_-]{0,8}".prop_filter("says that there is nothing", |word| word != "none")
}

fn method_result() -> impl Strategy<Value = super::MethodResult> {
    let property = (
        ("[a-z]{1,6}(\\.[a-z_-]{1,6}){0,2}", "[\t -~]{0,20}"),
        any::<bool>(),
    )
        .prop_map(|((name, value), at)| {
            let value = if at {
                format!("{value}@example.org")
            } else {
                value
            };
            (name, value)
        });
    (
        keyword(),
        option::of(2..99_u8),
        keyword(),
        vec(property, 0..4),
    )
        .prop_map(
            |(method, version, result, properties)| super::MethodResult {
                method: version.map_or(method.clone(), |version| format!("{method}/{version}")),
                result,
                properties,
            },
        )
}

/// Where white space may stand, so may this.
fn cfws() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(&[
        " ",
        "\t ",
        "\r\n ",
        "\n\t",
        "(dkim=pass)",
        " (a (b;\") \\( \\)) ",
        "(x)\r\n (y)",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn what_is_printed_reads_back(
        id in option::of("[a-z0-9][a-z0-9.-]{0,20}"),
        results in vec(method_result(), 0..5),
    ) {
        prop_assume!(id.is_some() || !results.is_empty());
        let field = Field { authserv_id: id, above_received: true, results };
        let printed = field.to_string();
        let payload = payload(printed.as_bytes());
        prop_assert_eq!(payload, Ok((field.authserv_id, field.results)), "{}", printed);
    }

    #[test]
    fn comments_and_folding_change_nothing(
        gaps in vec(cfws(), 16),
        spf in keyword(),
    ) {
        let tokens = [
            "", "mx.example.com", "1", ";", "spf", "/", "1", "=", &spf, ";", "dkim", "=", "pass",
        ];
        let mut body = String::new();
        for (token, gap) in tokens.iter().zip(&gaps) {
            body.push_str(token);
            body.push_str(gap);
        }
        body.push_str("header");
        for (token, gap) in [".", "d", "=", "example.org"].iter().zip(&gaps) {
            body.push_str(gap);
            body.push_str(token);
        }
        let expected = format!("mx.example.com; spf={spf}; dkim=pass header.d=example.org");
        prop_assert_eq!(read(&body), Ok(expected), "{}", body);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..300)) {
        let _either = payload(&bytes).is_ok();
    }

    #[test]
    fn no_soup_makes_it_panic_and_what_reads_prints_and_reads_back(
        pieces in vec(proptest::sample::select(PIECES), 0..30),
    ) {
        let soup = pieces.concat();
        if let Ok(printed) = read(&soup) {
            prop_assert_eq!(read(&printed).ok(), Some(printed), "{}", soup);
        }
    }
}

const PIECES: &[&str] = &[
    "mx.example.com",
    ";",
    ";",
    " ",
    " ",
    "=",
    ".",
    "/",
    "1",
    "2",
    "none",
    "dkim",
    "dmarc",
    "pass",
    "fail",
    "header",
    "d",
    "i",
    "from",
    "reason",
    "@",
    "example.org",
    "\"",
    "\\",
    "(",
    ")",
    "\r\n ",
    "\n\t",
    "\r",
    "\0",
    "é",
    "dkim=pass",
    " header.d=example.org",
    "; ",
    ",",
    "<>",
];
