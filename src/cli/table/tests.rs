//! What fits, what gives way and what is coloured.

use proptest::prelude::*;

use super::{trial::*, *};

#[test]
fn ideographs_count_twice_and_numbers_stand_flush_right() {
    let mut table = Table::new(2, &[Column::whole("name"), Column::number("n")]);
    table.row(["雲端".into(), "1".into()]);
    table.row(["cloudy".into(), "20".into()]);
    assert_eq!(
        table.on(PLAIN),
        "  name     n\n  雲端     1\n  cloudy  20\n"
    );
}

#[test]
fn the_widest_words_give_way_and_numbers_stay() {
    let columns = [
        Column::number("id"),
        Column::cut("subject", 8),
        Column::path("file", 8),
        Column::spare("when"),
    ];
    let mut table = Table::new(0, &columns);
    table.row([
        "1234567890".into(),
        "字軌配號結果通知".repeat(9).into(),
        "/very/long/".repeat(9).into(),
        "now".into(),
    ]);
    let page = table.on(PLAIN);
    assert_fits(&page);
    assert!(!page.contains("now") && !page.contains("when"), "{page}");
    let row = page.lines().last().unwrap();
    assert!(row.starts_with("1234567890  字軌配號"), "{page}");
    assert!(row.contains("…") && row.ends_with("/very/long/"), "{page}");
    let wide = Screen {
        width: 300,
        colour: false,
    };
    assert!(table.on(wide).contains("now"));
}

#[test]
fn words_go_on_below_the_place_where_they_begin() {
    let mut table = Table::new(2, &[Column::whole("name"), Column::wrapped("state")]);
    table.row(["box".into(), "not now ".repeat(12).into()]);
    table.below("and more");
    let page = table.on(PLAIN);
    assert_fits(&page);
    let lines: Vec<&str> = page.lines().collect();
    assert!(lines[1].starts_with("  box   not now"), "{page}");
    assert!(lines[2].starts_with("        not now"), "{page}");
    assert_eq!(lines[3], "      and more");
}

#[test]
fn colour_goes_around_words_and_changes_no_column() {
    let mut table = Table::new(0, &[Column::whole("state"), Column::whole("n")]);
    table.row([Cell::alarm("DOWN"), "1".into()]);
    let coloured = table.on(COLOURED);
    assert!(
        coloured.contains("\u{1b}[1m\u{1b}[31mDOWN\u{1b}[0m   1"),
        "{coloured:?}"
    );
    assert!(!table.on(PLAIN).contains('\u{1b}'));
}

#[test]
fn a_line_of_prose_that_is_too_wide_goes_on_further_in() {
    let long = format!("head\n\n  ✗ {}\n", "notice ".repeat(20));
    let text = PLAIN.prose(&long);
    assert_fits(&text);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..2], ["head", ""]);
    assert!(lines[2].starts_with("  ✗ notice"), "{text}");
    assert!(lines[3].starts_with("      notice"), "{text}");
}

#[test]
fn what_hangs_behind_a_head_stands_in_one_column_and_nothing_of_it_is_lost() {
    let words = ["word"; 17].join(" ");
    let text = PLAIN.hanging("  name  ", 2, 12, &words);
    assert_fits(&text);
    let [first, second] = text.lines().collect::<Vec<_>>()[..] else {
        panic!("{text}");
    };
    assert!(first.starts_with("  name    word word"), "{text}");
    assert!(second.starts_with("            word"), "{text}");
    for text in ["x".repeat(300), format!("then {} and on", "字".repeat(90))] {
        let hanging = PLAIN.hanging(&format!("  {}  ", "n".repeat(60)), 6, 34, &text);
        assert_fits(&hanging);
        let said: String = hanging.split_whitespace().skip(1).collect();
        assert_eq!(said, text.split_whitespace().collect::<String>());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_makes_a_line_too_wide(
        rows in prop::collection::vec((hostile(), hostile(), hostile(), hostile()), 0..4),
    ) {
        let columns = [
            Column::number("id"),
            Column::cut("名稱 name", 8),
            Column::path("file", 10),
            Column::spare("when"),
            Column::wrapped("words"),
        ];
        let mut table = Table::new(2, &columns);
        for (name, file, when, words) in rows {
            table.row(["9999999999".into(), name.into(), file.into(), when.into(), words.clone().into()]);
            table.below(words);
        }
        assert_fits(&table.on(PLAIN));
    }
}
