//! What holds of the reader for any notice and for any bytes at all.
//!
//! Left out on purpose: what is wrong with a mail; the corpus shows that, mail by mail.

use encoding_rs::BIG5;
use invoice_trackd::notice::{
    Authenticity, Block, Circumstances, Gate, InvoiceNo, InvoiceType, Period, Range, Reading,
    Rules, gate, read, settle,
};
use jiff::civil::date;
use proptest::{collection::vec, prelude::*, sample::select};

const HEADER: &str = "From: einvoice@einvoice.nat.gov.tw\nTo: a@example.com\n\
    Subject: =?utf-8?B?6Zu75a2Q55m856Wo6YWN6Jmf57WQ5p6c6YCa55+l?=\nMIME-Version: 1.0\n";

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

    #[test]
    fn any_allocation_in_any_form_reads_back_the_same(
        blocks in blocks(),
        writing in writing(),
        layout in layout(),
        envelope in envelope(),
    ) {
        let mail = envelope.mail(&layout.text(&blocks, &writing), layout.is_html());
        let reading = read(&mail, &Rules::default());
        prop_assert_eq!(&reading.defects, &[], "{}", String::from_utf8_lossy(&mail));
        prop_assert_eq!(&reading.blocks, &blocks, "{}", String::from_utf8_lossy(&mail));
    }

    #[test]
    fn text_and_html_that_say_the_same_agree(
        blocks in blocks(),
        writings in (writing(), writing()),
        plain in select(PLAIN),
        html in select(HTML),
    ) {
        let mail = format!(
            "{HEADER}Content-Type: multipart/alternative; boundary=\"=_b\"\n\n\
             --=_b\nContent-Type: text/plain; charset=utf-8\n\n{}\n\
             --=_b\nContent-Type: text/html; charset=utf-8\n\n{}\n--=_b--\n",
            plain.text(&blocks, &writings.0),
            html.text(&blocks, &writings.1),
        );
        let reading = read(mail.as_bytes(), &Rules::default());
        prop_assert_eq!(&reading.defects, &[], "{}", mail);
        prop_assert_eq!(&reading.blocks, &blocks, "{}", mail);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in vec(any::<u8>(), 0..1_500)) {
        judge(&bytes);
        judge(&[HEADER.as_bytes(), b"\n", &bytes].concat());
        judge(&[HEADER.as_bytes(), b"Content-Type: text/html\n\n", &bytes].concat());
    }

    #[test]
    fn no_soup_of_mail_makes_the_reader_panic(pieces in vec(piece(), 0..80)) {
        let soup = pieces.concat();
        judge(&soup);
        judge(&[HEADER.as_bytes(), &soup].concat());
    }

    #[test]
    fn no_mutation_of_a_notice_makes_the_reader_panic(
        blocks in blocks(),
        writing in writing(),
        layout in layout(),
        envelope in envelope(),
        changes in vec((any::<prop::sample::Index>(), 0_usize..40, piece()), 1..12),
    ) {
        let mut mail = envelope.mail(&layout.text(&blocks, &writing), layout.is_html());
        for (at, removed, inserted) in changes {
            let at = at.index(mail.len() + 1);
            let end = (at + removed).min(mail.len());
            mail.splice(at..end, inserted);
        }
        judge(&mail);
    }
}

/// Takes a mail the whole way, and checks what must hold of any mail.
fn judge(mail: &[u8]) -> Reading {
    let rules = Rules::default();
    let reading = read(mail, &rules);
    if gate(mail, &rules) == Gate::Unrelated {
        assert!(!reading.is_notice);
    }
    assert!(!reading.subject.contains(['\r', '\n']));
    let judgement = settle(
        &reading,
        &Circumstances {
            rules: &rules,
            mailbox_company: None,
            authenticity: &Authenticity::NotRequired,
            neighbours: &[],
            today: date(2026, 11, 22),
            release: None,
        },
    );
    // No company is configured, so nothing can be anybody's.
    assert_eq!(judgement.allocations, []);
    assert_eq!(judgement.defects.is_empty(), !reading.is_notice);
    reading
}

// ── what is allocated ──

fn blocks() -> impl Strategy<Value = Vec<Block>> {
    vec(block(), 1..5).prop_map(|mut blocks| {
        let mut seen = Vec::new();
        blocks.retain(|block| {
            !seen.contains(block) && {
                seen.push(*block);
                true
            }
        });
        blocks
    })
}

prop_compose! {
    fn block()(
        track in "[A-Z]{2}",
        year in 88_u16..200,
        odd in select(vec![1_u8, 3, 5, 7, 9, 11]),
        invoice_type in select(vec![InvoiceType::General, InvoiceType::Special]),
        first in 0_u32..1_990_000,
        booklets in 1_u32..10_000,
        requested in any::<prop::sample::Index>(),
    ) -> Block {
        let number = |value: u32| InvoiceNo::parse(&format!("{value:08}")).unwrap();
        let requested = u32::try_from(requested.index(booklets as usize + 1)).unwrap();
        Block {
            invoice_type,
            period: Period::from_months((year, odd), (year, odd + 1)).unwrap(),
            track: track.parse().unwrap(),
            range: Range::new(number(first * 50), number((first + booklets) * 50 - 1)).unwrap(),
            requested_booklets: Some(requested),
            added_booklets: Some(booklets - requested),
        }
    }
}

// ── how it is written ──

/// The freedom a notice has within a field.
#[derive(Debug, Clone)]
struct Writing {
    colon: &'static str,
    full_width: bool,
    spaced_label: bool,
    end_label: &'static str,
    separator: &'static str,
    period: usize,
    thousands: bool,
    unit: &'static str,
    type_as: usize,
}

prop_compose! {
    fn writing()(
        colon in select(vec![":", "：", " ： ", "︰", ":　", ":\u{a0}"]),
        full_width in any::<bool>(),
        spaced_label in any::<bool>(),
        end_label in select(vec!["發票迄號", "發票訖號"]),
        separator in select(vec!["-", " - ", "~", " ~ ", "～", "–", "—", " 至 "]),
        period in 0_usize..7,
        thousands in any::<bool>(),
        unit in select(vec!["", "本", " 本"]),
        type_as in 0_usize..3,
    ) -> Writing {
        Writing { colon, full_width, spaced_label, end_label, separator, period, thousands, unit, type_as }
    }
}

impl Writing {
    /// The labels and values of one block, in the order of a notice.
    fn fields(&self, block: &Block) -> [(String, String); 7] {
        let count = |count: Option<u32>| {
            let digits = count.unwrap().to_string();
            let grouped = match digits.len() {
                4.. if self.thousands => {
                    format!(
                        "{},{}",
                        &digits[..digits.len() - 3],
                        &digits[digits.len() - 3..]
                    )
                }
                _ => digits,
            };
            grouped + self.unit
        };
        let invoice_type = match self.type_as {
            0 => block.invoice_type.name().to_owned(),
            1 => block.invoice_type.code().to_owned(),
            _ => format!("{}之電子發票", block.invoice_type.name()),
        };
        [
            ("字軌名稱", block.track.to_string()),
            ("發票期別", self.period(block.period)),
            ("發票類別", invoice_type),
            ("申請本數", count(block.requested_booklets)),
            ("增加本數", count(block.added_booklets)),
            ("發票起號", block.range.begin().to_string()),
            (self.end_label, block.range.end().to_string()),
        ]
        .map(|(label, value)| (self.label(label), self.value(&value)))
    }

    fn period(&self, period: Period) -> String {
        let (year, even, to) = (period.roc_year(), period.even_month(), self.separator);
        let odd = even - 1;
        match self.period {
            0 => format!("{year}/{odd:02}{to}{year}/{even:02}"),
            1 => format!("{year}年{odd:02}月{to}{even:02}月"),
            2 => format!("{year}年{odd}月{to}{year}年{even}月"),
            3 => format!("{year:03}{odd:02}{to}{year:03}{even:02}"),
            4 => format!("{year}/{odd:02}{to}{even:02}"),
            5 => format!("{year} / {odd}{to}{year} / {even}"),
            _ => format!("{year:03}/{odd:02}{to}{year:03}/{even:02}"),
        }
    }

    fn label(&self, label: &str) -> String {
        if self.spaced_label {
            label.chars().map(|c| format!("{c} ")).collect()
        } else {
            label.to_owned()
        }
    }

    fn value(&self, value: &str) -> String {
        let widened = |c| match c {
            '!'..='~' if self.full_width => char::from_u32(c as u32 + 0xfee0).unwrap(),
            c => c,
        };
        value.chars().map(widened).collect()
    }
}

/// The form of the whole text.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Layout {
    Lines,
    OneLine,
    NextLine,
    Tabs,
    TabTable,
    Breaks,
    Paragraphs,
    Definitions,
    TablePairs,
    TableRows,
    TableInTable,
}

const PLAIN: &[Layout] = &[
    Layout::Lines,
    Layout::OneLine,
    Layout::NextLine,
    Layout::Tabs,
    Layout::TabTable,
];
const HTML: &[Layout] = &[
    Layout::Breaks,
    Layout::Paragraphs,
    Layout::Definitions,
    Layout::TablePairs,
    Layout::TableRows,
    Layout::TableInTable,
];

fn layout() -> impl Strategy<Value = Layout> {
    select([PLAIN, HTML].concat())
}

impl Layout {
    fn is_html(self) -> bool {
        HTML.contains(&self)
    }

    fn text(self, blocks: &[Block], writing: &Writing) -> String {
        let colon = writing.colon;
        let each = |form: &dyn Fn(&str, &str) -> String, end: &str| -> String {
            let block = |block| {
                let fields = writing.fields(block);
                fields.iter().map(|(l, v)| form(l, v)).collect::<String>() + end
            };
            blocks.iter().map(block).collect()
        };
        let table = |row: &dyn Fn(Vec<String>) -> String| -> String {
            let heading = writing.fields(&blocks[0]).map(|(label, _)| label);
            let values = blocks
                .iter()
                .map(|block| writing.fields(block).map(|(_, value)| value));
            std::iter::once(heading)
                .chain(values)
                .map(|cells| row(cells.to_vec()))
                .collect()
        };
        let pairs = |l: &str, v: &str| format!("<tr>\n<th>{l}</th>\n<td><p>{v}</p></td></tr>");
        let inner = match self {
            Self::Lines => each(&|l, v| format!("{l}{colon}{v}\n"), "\n"),
            Self::OneLine => each(&|l, v| format!("{l}{colon}{v} "), "\n"),
            Self::NextLine => each(&|l, v| format!("{l}\n\n　{v}\n"), ""),
            Self::Tabs => each(&|l, v| format!("{l}\t{v}\n"), ""),
            Self::TabTable => table(&|cells| format!("{}\n", cells.join("\t"))),
            Self::Breaks => each(&|l, v| format!("{l}{colon}{v}<BR />\r\n"), "<hr>"),
            Self::Paragraphs => each(
                &|l, v| format!("<p><b>{l}{colon}</b>&nbsp;{v}"),
                "<!-- x -->",
            ),
            Self::Definitions => each(&|l, v| format!("<dt>{l}{colon}<dd>{v}"), ""),
            Self::TablePairs => format!("<table>{}</table>", each(&pairs, "")),
            Self::TableRows => {
                let row = |cells: Vec<String>| format!("<tr><td>{}</td></tr>", cells.join("<td>"));
                format!("<table border='1'><tbody>{}</tbody></table>", table(&row))
            }
            Self::TableInTable => format!(
                "<table><tr><td>公告<br>通知</td><td><table>{}</table></td></tr></table>",
                each(&pairs, "")
            ),
        };
        if self.is_html() {
            format!(
                "<html><head><title>字軌名稱：XX</title><style>p{{}}</style></head><body>\
                 <div>貴公司()申請之電子發票字軌已配號完成：</div>{inner}<p>謝謝。</body></html>"
            )
        } else {
            format!("貴公司()申請之電子發票字軌已配號完成：\n{inner}\n謝謝。\n")
        }
    }
}

// ── how it is sent ──

/// The freedom a mail has around its text.
#[derive(Debug, Clone)]
struct Envelope {
    big5: bool,
    label: Option<&'static str>,
    transfer: &'static str,
    multipart: bool,
    crlf: bool,
    /// Wraps the mail as an attachment of another.
    forwarded: bool,
}

prop_compose! {
    fn envelope()(
        big5 in any::<bool>(),
        label in select(vec![
            None, Some("utf-8"), Some("UTF8"), Some("us-ascii"), Some("big5"), Some("\"Big5\""),
            Some("cp950"), Some("ms950"), Some("x-windows-950"), Some("iso-8859-1"), Some("x-none"),
        ]),
        transfer in select(vec!["8bit", "base64", "quoted-printable"]),
        multipart in any::<bool>(),
        crlf in any::<bool>(),
        forwarded in any::<bool>(),
    ) -> Envelope {
        Envelope { big5, label, transfer, multipart, crlf, forwarded }
    }
}

impl Envelope {
    fn mail(&self, text: &str, html: bool) -> Vec<u8> {
        let bytes = match BIG5.encode(text) {
            // Not every character has a place in Big5.
            (bytes, _, false) if self.big5 => bytes.into_owned(),
            _ => text.as_bytes().to_vec(),
        };
        let body = match self.transfer {
            "base64" => base64(&bytes),
            "quoted-printable" => quoted_printable(&bytes),
            _ => bytes,
        };
        let kind = if html { "text/html" } else { "text/plain" };
        let label = self
            .label
            .map_or(String::new(), |label| format!(";\n charset={label}"));
        let entity = format!(
            "Content-Type: {kind}{label}\nContent-Transfer-Encoding: {}\n\n",
            self.transfer
        );
        let mut mail = HEADER.as_bytes().to_vec();
        if self.multipart {
            mail.extend(b"Content-Type: multipart/mixed; boundary=mixed\n\n--mixed\n");
        }
        mail.extend(entity.as_bytes());
        mail.extend(body);
        if self.multipart {
            mail.extend(b"\n--mixed\nContent-Type: application/pdf\n\n%PDF\n--mixed--\n");
        }
        if self.forwarded {
            let outer = "From: boss@example.com\nSubject: =?utf-8?Q?Fwd:_=E9=85=8D=E8=99=9F?=\n\
                Content-Type: multipart/mixed; boundary=forward\n\n--forward\n\n\
                FYI\n--forward\nContent-Type: message/rfc822\n\n";
            mail = [outer.as_bytes(), &mail, b"\n--forward--\n"].concat();
        }
        if self.crlf {
            let mut last = 0;
            let doubled = mail.iter().flat_map(|byte| {
                let bare = *byte == b'\n' && last != b'\r';
                last = *byte;
                bare.then_some(b'\r').into_iter().chain([*byte])
            });
            mail = doubled.collect();
        }
        mail
    }
}

fn base64(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::new();
    for line in bytes.chunks(57) {
        for group in line.chunks(3) {
            let value =
                group.iter().fold(0_u32, |v, b| v << 8 | u32::from(*b)) << (8 * (3 - group.len()));
            for at in 0..4 {
                let digit = DIGITS[(value >> (18 - 6 * at) & 63) as usize];
                out.push(if at > group.len() { b'=' } else { digit });
            }
        }
        out.push(b'\n');
    }
    out
}

fn quoted_printable(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut column = 0;
    for byte in bytes {
        let unit = match byte {
            b'\n' => vec![b'\n'],
            b'!'..=b'<' | b'>'..=b'~' => vec![*byte],
            byte => format!("={byte:02X}").into_bytes(),
        };
        column = if unit == b"\n" {
            0
        } else {
            column + unit.len()
        };
        if column > 75 {
            out.extend(b"=\n");
            column = unit.len();
        }
        out.extend(unit);
    }
    out
}

/// A piece of what mails are made of, or of nothing.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: &[&str] = &[
        "\n",
        "\r\n",
        "\n\n",
        "\r",
        " ",
        "\t",
        "\0",
        ":",
        ";",
        ",",
        "<",
        ">",
        "\"",
        "(",
        ")",
        "\\",
        "From: ",
        "From: a@b, \"c\" <d@e>\n",
        "Subject: 字軌\n",
        "Sender: x\n",
        "To: g: a@b;\n",
        "=?",
        "?=",
        "=?utf-8?B?6Zu7?=",
        "=?big5?Q?=B0?= =?big5?Q?t?=",
        "=?x?q?",
        "=\n",
        "=E9",
        "=",
        "Content-Type: multipart/mixed; boundary=b\n\n",
        "--b\n",
        "--b--\n",
        "--b",
        "--",
        "Content-Type: multipart/digest; boundary*0=b; boundary*1*=c\n\n",
        "--bc\n",
        "Content-Type: message/rfc822\n\n",
        "Content-Type: text/html\n\n",
        "Content-Transfer-Encoding: base64\n",
        "Content-Transfer-Encoding: quoted-printable\n",
        "Content-Disposition: attachment\n",
        "charset=utf-16",
        "charset=iso-2022-jp",
        "\u{feff}",
        "<table>",
        "</table>",
        "<tr>",
        "<td>",
        "</td>",
        "<br>",
        "<p ",
        "<!--",
        "-->",
        "<style>",
        "</style>",
        "<pre>",
        "='",
        "&",
        "&#x;",
        "&#99999999999;",
        "&nbsp;",
        "&#10;",
        "&#xD800;",
        "字軌名稱",
        "字軌名稱：EC\n",
        "發票期別：",
        "107/05 - 107/06\n",
        "107/13-",
        "發票類別：07\n",
        "申請本數：0\n",
        "增加本數：1,0\n",
        "發票起號：00000000\n",
        "發票迄號\t99999999\n",
        "：",
        "貴公司(",
        "貴公司(53567686)",
        "（",
        "）",
        "\u{202e}",
        "\u{200b}",
        "ﷺ",
        "e\u{301}",
        "𝟚",
    ];
    prop_oneof![
        4 => select(PIECES).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..6),
    ]
}
