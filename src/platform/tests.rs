//! The platform's files, written and read.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::notice::{Block, InvoiceNo, InvoiceType, Range};

const OURS: &str = "53567686";
const THEIRS: &str = "24634102";

fn allocation(ban: &str, year_month: &str, track: &str, begin: &str, end: &str) -> Allocation {
    let number = |text| InvoiceNo::parse(text).unwrap();
    Allocation {
        ban: ban.parse().unwrap(),
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

fn specimen() -> Allocation {
    allocation(OURS, "10706", "EC", "22628000", "22634399")
}

const HEAD: &str = "營業人統編,發票類別代號,發票類別,發票期別,發票字軌名稱,發票起號,發票迄號";
const ROW: &str = "53567686,7,一般稅額計算,107/05 ~ 107/06,EC,22628000,22634399";

/// The mistakes of a file, `line:column: message`.
fn mistakes(source: Source, text: &str) -> Vec<String> {
    let found = read(source, text.as_bytes()).unwrap_err();
    assert!(!found.is_empty());
    found.iter().map(ToString::to_string).collect()
}

fn granted(source: Source, bytes: &[u8]) -> Vec<(Allocation, usize)> {
    let file = read(source, bytes).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
    assert_eq!(file.source, source);
    let rows = file.rows.into_iter();
    rows.map(|row| (row.allocation, row.line)).collect()
}

#[test]
fn a_csv_looks_like_the_platforms_own_download() {
    let next = allocation(OURS, "10706", "ED", "00000050", "00000099");
    assert_eq!(
        String::from_utf8(csv(&[specimen(), next], Encoding::Utf8)).unwrap(),
        "\u{feff}營業人統編,發票類別代號,發票類別,發票期別,發票字軌名稱,發票起號,發票迄號\r\n\
         53567686,7,一般稅額計算,107/05 ~ 107/06,EC,22628000,22634399\r\n\
         53567686,7,一般稅額計算,107/05 ~ 107/06,ED,00000050,00000099\r\n"
    );
    // 營 as CP950 has it.
    assert!(csv(&[], Encoding::Big5).starts_with(b"\xc0\xe7"));
}

#[test]
fn a_csv_is_called_after_its_company_and_its_periods() {
    let (one, other) = (
        specimen(),
        allocation(THEIRS, "10706", "ED", "00000050", "00000099"),
    );
    let later = allocation(OURS, "10802", "KD", "10000000", "10000049");
    for (allocations, name) in [
        (vec![one], "invnoapply-53567686-10706.csv"),
        (vec![later, one], "invnoapply-53567686-10706-10802.csv"),
        (vec![one, other], "invnoapply-10706.csv"),
        (vec![], "invnoapply.csv"),
    ] {
        assert_eq!(csv_name(&allocations), name);
    }
}

#[test]
fn a_csv_is_read_however_it_was_saved() {
    let utf8 = format!("{HEAD}\r\n{ROW}\r\n");
    let big5 = encoding_rs::BIG5.encode(&utf8).0.into_owned();
    let spaced = "53567686,07,,107/05~107/06,EC,22628000,22634399";
    let mig = " 53567686 ,07,一般稅額計算,10706,EC,22628000,22634399";
    let quoted =
        "\"53567686\",\"7\",\"一般稅額計算\",\"107/05 ~ 107/06\",\"EC\",\"22628000\",\"22634399\"";
    for (bytes, line) in [
        (utf8.clone().into_bytes(), 2),
        (format!("\u{feff}{utf8}").into_bytes(), 2),
        (big5, 2),
        (format!("{HEAD}\n{spaced}").into_bytes(), 2),
        (format!("\n{HEAD}\n\n{mig}\n\n,,,,,,\n").into_bytes(), 4),
        (format!("{HEAD}\r\n{quoted}\r\n").into_bytes(), 2),
        (format!("{HEAD},備註\n{ROW},x\n").into_bytes(), 2),
        (
            "發票訖號,發票起號,發票字軌名稱,發票期別,發票類別代號,營業人統編\n\
             22634399,22628000,EC,107/05 ~ 107/06,7,53567686\n"
                .as_bytes()
                .to_vec(),
            2,
        ),
    ] {
        assert_eq!(kind(&bytes), Some(Source::Csv));
        assert_eq!(granted(Source::Csv, &bytes), [(specimen(), line)]);
    }
}

#[test]
fn one_wrong_cell_refuses_a_csv_and_every_wrong_cell_is_named() {
    let rows = [
        "53567687,7,一般稅額計算,107/05 ~ 107/06,EC,22628000,22634399",
        "53567686,9,一般稅額計算,107/05 ~ 107/06,EC,22628000,22634399",
        "53567686,8,一般稅額計算,107/05 ~ 107/06,EC,22628000,22634399",
        "53567686,7,一般稅額計算,107/05 ~ 107/07,E1,2262800,2263439O",
        "53567686,7,一般稅額計算,107/05 ~ 107/06,EC,22628001,22634399",
        "53567686,7,一般稅額計算,107/05 ~ 107/06,EC,22634400,22634399",
        "53567686,7,一般稅額計算,107/05 ~ 107/06,EC,22628000",
        ROW,
        "53567686,7,一\"般,107/05 ~ 107/06,EC,22628000,22634399",
    ];
    let found = mistakes(Source::Csv, &format!("{HEAD}\n{}\n", rows.join("\n")));
    insta::assert_snapshot!(found.join("\n"));
}

#[test]
fn a_csv_without_its_columns_or_without_ranges_is_refused() {
    for (text, found) in [
        ("", "1:1: expected the columns"),
        (
            HEAD,
            "expected at least one range below the column names, found none",
        ),
        (
            "營業人統編,發票起號\n53567686,22628000\n",
            "1:1: expected the column 發票類別代號",
        ),
        (
            "營業人統編,營業人統編,發票類別代號,發票期別,發票字軌名稱,發票起號,發票迄號\n",
            "1:7: the column 營業人統編 stands here a second time",
        ),
        (
            &format!("{HEAD}\n\"{ROW}\n"),
            "2:1: a quote opens here and is never closed",
        ),
    ] {
        let all = mistakes(Source::Csv, text);
        assert!(all.iter().any(|one| one.contains(found)), "{all:#?}");
    }
}

#[test]
fn bytes_that_are_neither_utf_8_nor_big5_are_refused_at_their_place() {
    let mut bytes = format!("{HEAD}\n5356").into_bytes();
    bytes.extend(b"\xff\xff\n");
    let found = read(Source::Csv, &bytes).unwrap_err();
    assert_eq!((found[0].line, found[0].column), (2, 5));
    assert!(found[0].message.starts_with("expected UTF-8 or Big5"));
}

/// One `InvoiceAssignNo` of the specimen with this changed.
fn assignment(from: &str, to: &str) -> String {
    let text = "<InvoiceAssignNo xmlns=\"urn:GEINV:E0501:4.0\"><Ban>53567686</Ban>\
                <InvoiceType>07</InvoiceType><YearMonth>10706</YearMonth>\
                <InvoiceTrack>EC</InvoiceTrack><InvoiceBeginNo>22628000</InvoiceBeginNo>\
                <InvoiceEndNo>22634399</InvoiceEndNo><InvoiceBooklet>128</InvoiceBooklet>\
                </InvoiceAssignNo>";
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1)
}

#[test]
fn e0501_is_read_by_itself_and_in_its_envelope_in_every_version() {
    let single = assignment("", "");
    let older = assignment("urn:GEINV:E0501:4.0", "urn:GEINV:eInvoiceMessage:E0501:3.1");
    let prefixed = single
        .replace('<', "<g:")
        .replace("<g:/", "</g:")
        .replace("xmlns=", "xmlns:g=");
    let reordered = assignment("<Ban>53567686</Ban>", "").replace(
        "</InvoiceAssignNo>",
        "<Ban> 53567686 </Ban></InvoiceAssignNo>",
    );
    let commented = assignment(
        "<YearMonth>10706",
        "<!-- 期別 --><YearMonth><![CDATA[10706]]>",
    );
    for text in [
        single.clone(),
        older,
        prefixed,
        reordered,
        commented,
        format!("\u{feff}<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n{single}"),
    ] {
        assert_eq!(kind(text.as_bytes()), Some(Source::E0501), "{text}");
        let rows = granted(Source::E0501, text.as_bytes());
        assert_eq!(
            rows.iter().map(|(row, _)| *row).collect::<Vec<_>>(),
            [specimen()]
        );
    }
    let other = allocation(THEIRS, "10708", "GH", "00000000", "00000049");
    let both = e0501(&[specimen(), other]);
    assert_eq!(kind(&both), Some(Source::E0501));
    assert_eq!(
        granted(Source::E0501, &both),
        [(specimen(), 8), (other, 17)]
    );
}

#[test]
fn e0501_with_one_thing_wrong_is_refused_at_its_place() {
    let deep = "<a>".repeat(40);
    let cases = [
        (
            assignment("<Ban>53567686</Ban>", ""),
            "1:1: expected Ban in this InvoiceAssignNo, found none",
        ),
        (assignment("53567686", "53567687"), "1:46: Ban: "),
        (
            assignment("<Ban>", "<Ban>53567686</Ban><Ban>"),
            "1:65: Ban stands here a second time",
        ),
        (
            assignment(">07<", ">7<"),
            "InvoiceType: expected 07 or 08, found `7`",
        ),
        (assignment("10706", "201806"), "YearMonth: "),
        (assignment("10706", "10705"), "YearMonth: "),
        (
            assignment(">EC<", ">Ec<"),
            "InvoiceTrack: expected two capital letters, found `Ec`",
        ),
        (
            assignment("22628000", "22628001"),
            "expected whole booklets",
        ),
        (
            assignment(">128<", ">127<"),
            "InvoiceBooklet: expected 128, the booklets from 22628000 to 22634399, found `127`",
        ),
        (
            assignment(">128<", "><"),
            "InvoiceBooklet: expected 128, the booklets from 22628000 to 22634399, found nothing",
        ),
        (
            assignment("<Ban>", "<Bank>0</Bank><Ban>"),
            "expected one of Ban, InvoiceType",
        ),
        (
            assignment("<Ban>53567686", "<Ban><Ban>53567686</Ban>"),
            "expected one of Ban, InvoiceType",
        ),
        (
            assignment("</InvoiceAssignNo>", ""),
            "expected the end of InvoiceAssignNo, found the end of the file",
        ),
        (assignment("</Ban>", "</Bann>"), "not XML"),
        (
            assignment("53567686", "&who;"),
            "expected plain text, found `&who;`",
        ),
        (
            assignment("53567686", "&#53;3567686"),
            "expected plain text, found `&#53;`",
        ),
        (
            format!(
                "<!DOCTYPE a [<!ENTITY who SYSTEM \"file:///etc/passwd\">]>{}",
                assignment("53567686", "&who;")
            ),
            "1:1: expected a file of the platform's, found a document type (DTD)",
        ),
        (
            format!("<InvoiceEnvelope>{deep}"),
            "found elements nested far deeper",
        ),
        (
            "<InvoiceEnvelope></InvoiceEnvelope>".to_owned(),
            "expected at least one InvoiceAssignNo",
        ),
        (
            "<Invoice/>".to_owned(),
            "expected InvoiceEnvelope or InvoiceAssignNo, found `Invoice`",
        ),
        (
            "<InvoiceAssignNo/>".to_owned(),
            "expected InvoiceBooklet in this InvoiceAssignNo, found none",
        ),
        (
            format!(
                "<InvoiceEnvelope><InvoicePack count=\"2\">{}</InvoicePack></InvoiceEnvelope>",
                assignment("", "")
            ),
            "expected count=\"1\", as many as there are, found `2`",
        ),
    ];
    for (text, expected) in cases {
        let found = mistakes(Source::E0501, &text);
        assert!(
            found.iter().any(|one| one.contains(expected)),
            "{expected}: {found:#?}"
        );
    }
}

#[test]
fn anything_else_is_none_of_the_platforms_files() {
    for other in [
        "",
        "From: einvoice@einvoice.nat.gov.tw\r\n\r\n字軌名稱：EC\r\n",
        "name,value\n1,2\n",
        "<html><body>發票</body></html>",
        "{\"營業人統編\": 1}\n",
    ] {
        let expected = other.contains("營業人統編").then_some(Source::Csv);
        assert_eq!(kind(other.as_bytes()), expected, "{other}");
    }
}

/// The fuzzer's: a message of one error repeated what it was about as it stood.
#[test]
fn a_mistake_is_one_short_line_in_which_nothing_is_hidden_whatever_the_file_holds() {
    let long = "9".repeat(100_000);
    for found in [
        "53567\n\n686~",
        "\u{1b}[2J53567686",
        "5356\u{202e}7686",
        &long,
    ] {
        let quoted = ROW.replacen("53567686", &format!("\"{found}\""), 1);
        let quoted = format!("{HEAD}\n{quoted}");
        for (source, text) in [
            (Source::Csv, quoted),
            (Source::E0501, assignment("53567686", found)),
            (Source::E0501, assignment("10706", found)),
            (Source::E0501, assignment("InvoiceTrack", found)),
        ] {
            for words in mistakes(source, &text) {
                assert!(words.chars().count() < 700, "{words}");
                let is_hidden = |c: char| c.is_control() || c == '\u{202e}';
                assert!(!words.contains(is_hidden), "{words:?}");
            }
        }
    }
}

/// With each place counted from the beginning this took minutes.
#[test]
fn a_large_file_is_read_and_refused_in_the_time_that_its_size_takes() {
    let began = Instant::now();
    let many = 30_000;
    let good = format!("{HEAD}\n{}", format!("{ROW}\n").repeat(many));
    let rows = granted(Source::Csv, good.as_bytes());
    assert_eq!(rows.last().unwrap().1, many + 1);
    let wrong = good.replace("22628000", "2262800x");
    let found = read(Source::Csv, wrong.as_bytes()).unwrap_err();
    let last = found.last().unwrap();
    assert_eq!((last.line, last.column), (many + 1, 38));
    // All on one line.
    let one = assignment("22628000", "2262800x");
    let wrong = format!("<InvoiceEnvelope>{}</InvoiceEnvelope>", one.repeat(many));
    let found = read(Source::E0501, wrong.as_bytes()).unwrap_err();
    assert_eq!(found.len(), many);
    assert!(began.elapsed() < Duration::from_secs(60));
}

fn any_allocation() -> impl Strategy<Value = Allocation> {
    let numbers = (0_u32..1_999_000, 1_u32..1_000).prop_map(|(first, count)| {
        [first * 50, (first + count) * 50 - 1].map(|number| format!("{number:08}"))
    });
    let period =
        (1_u16..1000, 1_u8..=6).prop_map(|(year, pair)| format!("{year:03}{:02}", pair * 2));
    let ban = prop::sample::select(vec![OURS, THEIRS, "04595257", "62198132"]);
    (ban, period, "[A-Z]{2}", numbers, any::<bool>()).prop_map(
        |(ban, period, track, [begin, end], is_special)| {
            let mut one = allocation(ban, &period, &track, &begin, &end);
            if is_special {
                one.block.invoice_type = InvoiceType::Special;
            }
            one
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_back(rows in prop::collection::vec(any_allocation(), 1..20)) {
        for (source, bytes) in [
            (Source::Csv, csv(&rows, Encoding::Utf8)),
            (Source::Csv, csv(&rows, Encoding::Big5)),
            (Source::E0501, e0501(&rows)),
        ] {
            prop_assert_eq!(kind(&bytes), Some(source));
            let file = read(source, &bytes).unwrap();
            let read: Vec<Allocation> = file.rows.iter().map(|row| row.allocation).collect();
            prop_assert_eq!(&read, &rows);
        }
    }

    /// What begins with one of `=+-@`, a tab or a line end is a formula to a spreadsheet.
    #[test]
    fn no_cell_of_a_csv_is_a_formula_and_none_breaks_out(row in any_allocation()) {
        let name = csv_name(&[row]);
        prop_assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b)));
        let text = String::from_utf8(csv(&[row], Encoding::Utf8)).unwrap();
        let rows: Vec<&str> = text.strip_prefix('\u{feff}').unwrap().split_terminator("\r\n").collect();
        prop_assert_eq!(rows.len(), 2);
        for row in rows {
            let cells: Vec<&str> = row.split(',').collect();
            prop_assert_eq!(cells.len(), 7);
            for cell in cells {
                prop_assert!(cell.starts_with(char::is_alphanumeric), "{}", row);
                prop_assert!(!cell.contains(|c: char| c.is_control() || "\"'=+-@;|".contains(c)), "{}", row);
            }
        }
    }

    #[test]
    fn a_place_is_counted_in_lines_and_characters_from_wherever_one_comes(
        text in "[a營\n]{0,40}",
        places in prop::collection::vec(0_usize..90, 1..10),
    ) {
        let mut cursor = Cursor::default();
        for at in places {
            let before = text.get(..at).unwrap_or(&text);
            let line = before.rsplit('\n').next().unwrap_or_default();
            let place = (before.matches('\n').count() + 1, line.chars().count() + 1);
            prop_assert_eq!(cursor.to(&text, at), place);
        }
    }

    #[test]
    fn any_bytes_come_to_an_end(
        mut bytes in prop::collection::vec(any::<u8>(), 0..200),
        cut in 0_usize..900,
        csv_first: bool,
    ) {
        let whole = if csv_first { csv(&[specimen()], Encoding::Big5) } else { e0501(&[specimen()]) };
        let mut damaged = whole[..cut.min(whole.len())].to_vec();
        damaged.append(&mut bytes);
        for source in [Source::Csv, Source::E0501] {
            if let Err(mistakes) = read(source, &damaged) {
                prop_assert!(!mistakes.is_empty());
            }
        }
        kind(&damaged);
    }
}
