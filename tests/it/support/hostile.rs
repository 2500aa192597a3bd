//! Mail that is written to do harm: one kind for each way in which a reader could be made to work
//! without end, to swell, or to fall over its own stack.
//!
//! Each is of any size asked for, and each claims to be a notice, so that nothing keeps it from
//! being looked into. Left out on purpose: what is wrong with it, which the tests say.

use std::fmt::Write as _;

/// A kind of hostile mail.
#[derive(Clone, Copy)]
pub struct Kind {
    pub name: &'static str,
    /// A mail of about so many bytes.
    pub write: fn(usize) -> Vec<u8>,
    /// It costs the most for its size, though no more than that.
    pub is_slow: bool,
}

/// 電子發票配號結果通知
const SUBJECT: &str = "=?UTF-8?B?6Zu75a2Q55m856Wo6YWN6Jmf57WQ5p6c6YCa55+l?=";

const SENDER: &str = "einvoice@einvoice.nat.gov.tw";

/// Every kind there is.
pub const KINDS: &[Kind] = &[
    // Structure.
    kind("multipart in multipart", multipart_in_multipart),
    kind("multipart in itself", multipart_in_itself),
    kind("message in message", message_in_message),
    kind("message in message, base64", message_in_base64),
    kind("parts", |size| parts(size, "")),
    kind("parts that are attached messages", |size| {
        parts(size, "Content-Type: message/rfc822\r\n")
    }),
    kind("parts that are attached notices", attached_notices),
    kind("a boundary", |size| {
        mail(
            &format!(
                "Content-Type: multipart/mixed; boundary=\"{}\"\r\n",
                "b".repeat(size)
            ),
            "x",
        )
    }),
    kind("parameters of Content-Type", |size| {
        mail(
            &format!("Content-Type: text/plain{}\r\n", numbered(size, "; p")),
            "x",
        )
    }),
    kind("sections of one parameter", |size| {
        mail(
            &format!(
                "Content-Type: text/plain{}\r\n",
                "; charset*1=x".repeat(size / 13)
            ),
            "x",
        )
    }),
    // Ranges.
    kind("ranges of one period", |size| {
        ranges(size, |n| (track(0), PERIODS[2], n * 50, 1))
    }),
    kind("ranges of several periods", |size| {
        ranges(size, |n| (track(n), PERIODS[n % 6], n * 50, 1))
    }),
    kind("ranges that all overlap", |size| {
        ranges(size, |n| (track(0), PERIODS[2], n * 50, 9000))
    }),
    kind("ranges that are all the same", |size| {
        ranges(size, |_| (track(0), PERIODS[2], 0, 1))
    }),
    kind("ranges that are all invalid", |size| {
        ranges(size, |n| (track(n), "107/06 - 107/07", n * 50 + 1, 1))
    }),
    kind("labels and a tail", |size| {
        text(&("字軌名稱:".repeat(size / 26) + &",".repeat(size / 2)))
    }),
    kind("labels without values", |size| {
        text(&"發票起號:\r\n".repeat(size / 15))
    }),
    kind("one field with many values", |size| {
        text(&format!(
            "字軌名稱:EC\r\n發票迄號:1\r\n{}",
            numbered(size / 2, "發票起號:")
        ))
    }),
    kind("companies", |size| {
        text(&(0..size / 20).fold(String::new(), |text, n| text + &format!("貴公司({n})")))
    }),
    slow("a company without end", |size| {
        text(&"貴公司(".repeat(size / 10))
    }),
    kind("cells", |size| text(&format!("x{}", "\t".repeat(size)))),
    // Header.
    kind("one header line", |size| {
        with_header(&format!("X-Long: {}\r\n", "x".repeat(size)))
    }),
    kind("one header line, folded", |size| {
        with_header(&format!("X-Long: x{}\r\n", "\r\n x".repeat(size / 4)))
    }),
    kind("a subject", |size| {
        headed(SENDER, &format!("{SUBJECT} {}", "x".repeat(size)), "", "x")
    }),
    kind("subjects", |size| {
        with_header(&format!("Subject: {SUBJECT}\r\n").repeat(size / 64))
    }),
    kind("header fields", |size| {
        with_header(&"X: y\r\n".repeat(size / 6))
    }),
    kind("Received fields", |size| {
        with_header(&"Received: by x; Fri, 20 Apr 2018 09:00:00 +0800\r\n".repeat(size / 50))
    }),
    kind("addresses in From", |size| {
        headed(&numbered_addresses(size), SUBJECT, "", "x")
    }),
    kind("addresses in To", |size| {
        with_header(&format!("To: {}\r\n", numbered_addresses(size)))
    }),
    kind("signs in From", |size| {
        headed(&"@".repeat(size), SUBJECT, "", "x")
    }),
    kind("comments in From", |size| {
        headed(&format!("{SENDER} {}", "(".repeat(size)), SUBJECT, "", "x")
    }),
    kind("comments side by side", |size| {
        headed(
            &format!("{SENDER} {}", "()".repeat(size / 2)),
            SUBJECT,
            "",
            "x",
        )
    }),
    kind("encoded words", |size| {
        headed(
            SENDER,
            &format!("{SUBJECT} {}", "=?utf-8?Q?x?= ".repeat(size / 14)),
            "",
            "x",
        )
    }),
    slow("beginnings of encoded words", |size| {
        headed(
            SENDER,
            &format!("{SUBJECT} {}", "=?a?b?x".repeat(size / 7)),
            "",
            "x",
        )
    }),
    // Signatures: asked for proof, each of these would have to be looked into.
    kind("signatures of the platform's", |size| {
        with_signatures(size, |n| {
            signature(&format!("s=s{n}; h=From:Subject"), &"x".repeat(size / 900))
        })
    }),
    kind(
        "signatures that each hash another part of the body",
        |size| {
            let fields = signatures(size / 2, |n| {
                let c = ["simple", "relaxed"][n % 2];
                signature(&format!("s=s; c={c}/{c}; l={n}; h=From:Subject"), "x")
            });
            mail(&fields, &" x\t\r\n".repeat(size / 10))
        },
    ),
    kind("signatures of strangers", |size| {
        with_signatures(size, |n| {
            let field = signature("s=s; h=From:Subject", &"x".repeat(size / 900));
            field.replace("d=einvoice.nat.gov.tw", &format!("d=d{n}.example"))
        })
    }),
    kind("a signature of all fields there are", |size| {
        let names = numbered(size / 2, ":X");
        let names = names.replace("\r\n", "");
        let field = signature(&format!("s=s; h=From:Subject{names}"), "x");
        with_header(&format!("{field}{}", "X1: y\r\n".repeat(size / 16)))
    }),
    kind("a signature without end", |size| {
        with_header(&signature("s=s; h=From:Subject", &"x".repeat(size)))
    }),
    kind("tags of a signature", |size| {
        let tags = numbered(size, ";t");
        with_header(&signature(&format!("s=s; h=From:Subject{tags}"), "x"))
    }),
    // HTML.
    kind("tables in tables", |size| {
        html(&"<table><tr><td>x".repeat(size / 16))
    }),
    kind("rows", |size| html(&"<tr><td>x".repeat(size / 9))),
    slow("angle brackets", |size| html(&"<".repeat(size))),
    kind("tags that do not end", |size| {
        html(&"<a b=\"".repeat(size / 6))
    }),
    kind("comments in HTML", |size| html(&"<!---->".repeat(size / 7))),
    kind("comments that do not end", |size| {
        html(&"<!--".repeat(size / 4))
    }),
    kind("scripts", |size| {
        html(&"<script></script>".repeat(size / 17))
    }),
    kind("scripts that do not end", |size| {
        html(&"<script></".repeat(size / 10))
    }),
    slow("entities", |size| html(&"&#xFDFA;".repeat(size / 8))),
    kind("beginnings of entities", |size| {
        html(&"&a".repeat(size / 2))
    }),
    kind("block elements", |size| html(&"x<p>".repeat(size / 4))),
    // Text.
    kind("base64 in one line", |size| {
        encoded("base64", &"QUJD".repeat(size / 4))
    }),
    kind("broken base64", |size| {
        encoded("base64", &"QU*D".repeat(size / 4))
    }),
    kind("quoted-printable in one line", |size| {
        encoded("quoted-printable", &"=41".repeat(size / 3))
    }),
    slow("equals signs", |size| {
        encoded("quoted-printable", &"=".repeat(size))
    }),
    kind("a charset label", |size| {
        labelled(&"x".repeat(size), b"\xff\xff")
    }),
    kind("UTF-16", |size| {
        labelled(
            "utf-16",
            &"發票字軌"
                .encode_utf16()
                .cycle()
                .take(size / 2)
                .flat_map(u16::to_le_bytes)
                .collect::<Vec<_>>(),
        )
    }),
    kind("UTF-7", |size| {
        labelled("utf-7", "+VvZQUTw-".repeat(size / 9).as_bytes())
    }),
    slow("NUL bytes", |size| labelled("utf-8", &vec![0; size])),
    slow("bytes that are no text", |size| {
        labelled("utf-8", &vec![0xff; size])
    }),
    slow("what grows when folded", |size| {
        text(&"\u{fdfa}".repeat(size / 3))
    }),
    slow("marks that combine", |size| {
        text(&format!("e{}", "\u{301}\u{323}".repeat(size / 4)))
    }),
    kind("white space", |size| {
        text(&format!("字軌名稱{}", " ".repeat(size)))
    }),
];

const fn kind(name: &'static str, write: fn(usize) -> Vec<u8>) -> Kind {
    Kind {
        name,
        write,
        is_slow: false,
    }
}

const fn slow(name: &'static str, write: fn(usize) -> Vec<u8>) -> Kind {
    Kind {
        is_slow: true,
        ..kind(name, write)
    }
}

const PERIODS: [&str; 6] = [
    "107/01 - 107/02",
    "107/03 - 107/04",
    "107/05 - 107/06",
    "107/07 - 107/08",
    "107/09 - 107/10",
    "107/11 - 107/12",
];

fn headed(from: &str, subject: &str, fields: &str, body: &str) -> Vec<u8> {
    let mut mail =
        format!("From: {from}\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\n{fields}\r\n");
    mail.push_str(body);
    mail.into_bytes()
}

fn mail(fields: &str, body: &str) -> Vec<u8> {
    headed(SENDER, SUBJECT, fields, body)
}

fn with_header(fields: &str) -> Vec<u8> {
    mail(fields, "x")
}

pub fn text(body: &str) -> Vec<u8> {
    mail("Content-Type: text/plain; charset=utf-8\r\n", body)
}

fn html(body: &str) -> Vec<u8> {
    mail("Content-Type: text/html; charset=utf-8\r\n", body)
}

fn encoded(encoding: &str, body: &str) -> Vec<u8> {
    mail(&format!("Content-Transfer-Encoding: {encoding}\r\n"), body)
}

fn labelled(charset: &str, body: &[u8]) -> Vec<u8> {
    let fields = format!("Content-Type: text/plain; charset=\"{charset}\"\r\n");
    [mail(&fields, ""), body.to_vec()].concat()
}

/// A signature that claims to be the platform's.
fn signature(tags: &str, signature: &str) -> String {
    format!(
        "DKIM-Signature: v=1; a=rsa-sha256; d=einvoice.nat.gov.tw; {tags}; bh=eA==; b={signature}\r\n"
    )
}

fn signatures(size: usize, of: impl Fn(usize) -> String) -> String {
    let mut fields = String::new();
    for n in 0.. {
        if fields.len() >= size {
            break;
        }
        fields.push_str(&of(n));
    }
    fields
}

fn with_signatures(size: usize, of: impl Fn(usize) -> String) -> Vec<u8> {
    with_header(&signatures(size, of))
}

/// `before` with a number and `=1` or a line end behind it, again and again.
fn numbered(size: usize, before: &str) -> String {
    let mut all = String::new();
    let behind = if before.starts_with(';') {
        "=1"
    } else {
        "\r\n"
    };
    for n in 0.. {
        if all.len() >= size {
            break;
        }
        write!(all, "{before}{n}{behind}").unwrap();
    }
    all
}

fn numbered_addresses(size: usize) -> String {
    let mut all = SENDER.to_owned();
    for n in 0.. {
        if all.len() >= size {
            break;
        }
        write!(all, ",{n}@x.example").unwrap();
    }
    all
}

/// As deep as `size` allows, a boundary of its own at each depth.
fn multipart_in_multipart(size: usize) -> Vec<u8> {
    let mut body = String::new();
    for n in 0.. {
        if body.len() >= size {
            break;
        }
        write!(
            body,
            "--b{n}z\r\nContent-Type: multipart/mixed; boundary=b{}z\r\n\r\n",
            n + 1
        )
        .unwrap();
    }
    mail("Content-Type: multipart/mixed; boundary=b0z\r\n", &body)
}

fn multipart_in_itself(size: usize) -> Vec<u8> {
    const LEVEL: &str = "--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n";
    mail(
        "Content-Type: multipart/mixed; boundary=b\r\n",
        &LEVEL.repeat(size / LEVEL.len()),
    )
}

fn message_in_message(size: usize) -> Vec<u8> {
    const LEVEL: &str = "Content-Type: message/rfc822\r\n\r\n";
    mail(
        "Content-Type: message/rfc822\r\n",
        &LEVEL.repeat(size / LEVEL.len()),
    )
}

/// Each message in the base64 of the one around it, as deep as `size` allows.
fn message_in_base64(size: usize) -> Vec<u8> {
    let mut inner = text("x");
    loop {
        let outer = mail(
            "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n",
            &base64(&inner),
        );
        if outer.len() > size {
            return inner;
        }
        inner = outer;
    }
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let mut bits = 0;
        for at in 0..3 {
            bits = bits << 8 | u32::from(group.get(at).copied().unwrap_or_default());
        }
        for at in 0..4 {
            let sextet = (bits >> (18 - 6 * at) & 63) as usize;
            text.push(if at <= group.len() {
                char::from(ALPHABET[sextet])
            } else {
                '='
            });
        }
    }
    text
}

fn parts(size: usize, header: &str) -> Vec<u8> {
    let part = format!("--b\r\n{header}\r\n");
    mail(
        "Content-Type: multipart/mixed; boundary=b\r\n",
        &part.repeat(size / part.len()),
    )
}

fn attached_notices(size: usize) -> Vec<u8> {
    let notice = String::from_utf8(text(&block("EC", PERIODS[2], 22_628_000, 1))).unwrap();
    let part = format!("--b\r\nContent-Type: message/rfc822\r\n\r\n{notice}\r\n");
    mail(
        "Content-Type: multipart/mixed; boundary=b\r\n",
        &part.repeat(size / part.len()),
    )
}

fn block(track: &str, period: &str, begin: usize, booklets: usize) -> String {
    format!(
        "字軌名稱：{track}\r\n發票期別：{period}\r\n發票類別：一般稅額計算\r\n申請本數：0\r\n\
         增加本數：{booklets}\r\n發票起號：{begin:08}\r\n發票迄號：{:08}\r\n",
        begin + booklets * 50 - 1
    )
}

/// `AA`, `AB`, …
fn track(n: usize) -> String {
    let letter = |n: usize| char::from(b'A' + (n % 26) as u8);
    [letter(n / 26), letter(n)].iter().collect()
}

/// A notice of so many ranges side by side, sound in every way.
pub fn notice_of(count: usize) -> Vec<u8> {
    let ranges: String = (0..count)
        .map(|n| block("EC", PERIODS[2], n * 50, 1))
        .collect();
    text(&format!("貴公司(53567686)\r\n{ranges}"))
}

fn ranges(size: usize, of: impl Fn(usize) -> (String, &'static str, usize, usize)) -> Vec<u8> {
    let mut body = "貴公司(53567686)\r\n".to_owned();
    for n in 0.. {
        let (track, period, begin, booklets) = of(n);
        let block = block(&track, period, begin, booklets);
        if body.len() + block.len() > size {
            break;
        }
        body.push_str(&block);
    }
    text(&body)
}
