//! Where labels count, and which value is whose.

use super::{Label::*, *};

fn read(text: &str) -> Vec<(Label, String)> {
    read_with(text, &[])
}

fn read_with(text: &str, more: &[(Label, String)]) -> Vec<(Label, String)> {
    let folded = fold(text);
    fields(&folded, &Spellings::new(more))
        .into_iter()
        .map(|(label, value)| (label, value.to_owned()))
        .collect()
}

fn own(fields: &[(Label, &str)]) -> Vec<(Label, String)> {
    fields
        .iter()
        .map(|(label, value)| (*label, (*value).to_owned()))
        .collect()
}

#[test]
fn the_short_way_to_fold_leads_to_the_same_place() {
    let usual: String = (char::MIN..=char::MAX)
        .filter(|c| fold_usual(*c).is_some())
        .collect();
    assert!(usual.chars().count() > 20_000);
    assert_eq!(fold(&usual), fold_any(&usual));
    assert_eq!(fold("ｅ\u{301}"), "é");
}

#[test]
fn a_label_reads_with_a_colon_or_alone() {
    for text in [
        "字軌名稱：EC\n發票起號：22628000",
        "字軌名稱:EC 發票起號:22628000",
        "字軌名稱：EC發票起號：22628000",
        "　字軌名稱 ：　ＥＣ，\u{a0}發票起號︰２２６２８０００。",
        "字 軌 名 稱 ： EC\r\n發票起號 : 22628000\r\n",
        "字軌名稱\nEC\n\n發票起號\n\n22628000",
        "字軌名稱：\nEC\n發票起號：\n22628000",
        "字軌名稱\tEC\n發票起號\t22628000",
        "字軌名稱：\tEC\t發票起號\t：22628000",
        "字軌名稱\t：\tEC\n發票起號\t:\t22628000",
        "字軌名稱\t發票起號\nEC\t22628000",
        "項次\t字軌名稱\t發票起號\t備註\n\n1\tEC\t22628000\t字軌\n謝謝",
        "> 字軌名稱：EC\n> 發票起號：22628000",
        "\u{200b}字軌\u{feff}名稱：EC\n發票起號：2262\u{200b}8000",
    ] {
        let expected = own(&[(Track, "EC"), (Begin, "22628000")]);
        assert_eq!(read(text), expected, "{text}");
    }
}

#[test]
fn a_word_that_only_ends_like_a_label_is_none() {
    for text in [
        "原字軌名稱：EC",
        "貴公司字軌名稱：EC",
        "字軌名稱 EC",
        "字軌名稱的說明：EC",
        "請確認字軌名稱\nEC",
        "發票：22628000",
    ] {
        assert_eq!(read(text), [], "{text}");
    }
}

#[test]
fn no_value_is_read_from_a_line_that_is_not_seen_as_it_stands() {
    for (line, place) in [
        ("\u{202e}字軌名稱：EC", "\u{202e}字軌名稱:EC"),
        ("謝謝 \u{2067}：字軌名稱：EC", "謝謝 \u{2067}:字軌名稱:EC"),
        ("字軌\u{200f}名稱：EC", "字軌\u{200f}名稱:EC"),
        ("字軌名稱：EC\u{61c}", "字軌名稱:EC\u{61c}"),
        ("\u{202e}字軌名稱\tEC", "\u{202e}字軌名稱\tEC"),
        ("字軌名稱\tEC\t\u{202b}x", "字軌名稱\tEC\t\u{202b}x"),
    ] {
        assert_eq!(read(line), own(&[(Track, place)]), "{line:?}");
    }
    let below = "字軌名稱\n\u{202e}EC";
    assert_eq!(read(below), own(&[(Track, "\u{202e}EC")]));
    // Another line is another paragraph (UAX #9 P1).
    let elsewhere = "\u{202e}您好\n字軌名稱：EC\n\u{200e}敬上";
    assert_eq!(read(elsewhere), own(&[(Track, "EC")]));
    let long = format!(
        "{}字軌名稱：EC\u{202e}{}",
        "您好 ".repeat(99),
        "x".repeat(99)
    );
    let (_, place) = &read(&long)[0];
    assert_eq!(place.chars().count(), 24 + 32);
    assert!(place.contains('\u{202e}'), "{place:?}");
}

#[test]
fn a_company_in_a_line_that_is_turned_is_nobodys_name() {
    for (text, name) in [
        ("\u{202e}貴公司(53567686)", "\u{202e}貴公司(53567686)"),
        ("貴公司(\u{202d}53567686)", "貴公司(\u{202d}53567686)"),
        ("\u{202e}您好\n貴公司(53567686)\u{202e}", "53567686"),
    ] {
        assert_eq!(addressees(text), [name], "{text:?}");
    }
    assert!(addressees("\u{202e}貴公司()").is_empty());
}

#[test]
fn a_missing_value_is_not_taken_from_elsewhere() {
    for text in [
        "申請本數：\n增加本數：128",
        "申請本數\n增加本數\n128",
        "申請本數\t\n增加本數\t128",
        "申請本數：增加本數：128",
        "申請本數\t增加本數\n\t128",
    ] {
        let expected = own(&[(Requested, ""), (Added, "128")]);
        assert_eq!(read(text), expected, "{text}");
    }
    for text in [
        "發票迄號：\n請營業人特別注意按賦配之各期字軌（英文2碼、數字8碼）開立，以免受罰",
        "發票迄號：\n謝謝",
        "發票迄號",
        "發票迄號\t\n0800-521-988",
    ] {
        assert_eq!(read(text), own(&[(End, "")]), "{text}");
    }
}

#[test]
fn other_spellings_count() {
    assert_eq!(read("發票訖號：22634399"), own(&[(End, "22634399")]));
    let more = [
        (Track, "Track（字軌）".to_owned()),
        (Type, "發票類別代號".to_owned()),
        (End, " ".to_owned()),
    ];
    assert_eq!(
        read_with(
            "Track(字軌)：EC\n發票類別 代號：07\nOldTrack(字軌)：ED",
            &more
        ),
        own(&[(Track, "EC"), (Type, "07")])
    );
}

#[test]
fn a_table_reads_row_by_row() {
    assert_eq!(
        read("發票起號\t發票迄號\n1\t2\n3\t4\n字軌名稱：EC\n5\t6"),
        own(&[
            (Begin, "1"),
            (End, "2"),
            (Begin, "3"),
            (End, "4"),
            (Track, "EC")
        ])
    );
    assert_eq!(read("發票起號\t發票迄號"), own(&[(Begin, ""), (End, "")]));
}

#[test]
fn the_addressee_stands_between_the_parentheses() {
    for (text, expected) in [
        ("貴公司（）申請", &[][..]),
        ("貴公司( )申請", &[]),
        ("貴公司申請(x)", &[]),
        (
            "貴公司(53567686)申請，貴公司 （５３５６７６８６）",
            &["53567686"],
        ),
        ("貴公司(雲端(股)\n公司 )申請", &["雲端(股)公司"]),
        ("貴公司(a)貴公司(b)", &["a", "b"]),
        ("貴公司(never closed", &[]),
    ] {
        assert_eq!(addressees(&fold(text)), expected, "{text}");
    }
}
