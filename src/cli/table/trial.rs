//! Screens and strangers' words for the tests of pages.

use super::*;

/// No terminal.
pub(in crate::cli) const PLAIN: Screen = Screen {
    width: 80,
    colour: false,
};

/// A terminal of 80 columns with colour.
pub(in crate::cli) const COLOURED: Screen = Screen {
    width: 80,
    colour: true,
};

/// No terminal, and so many columns.
pub(in crate::cli) fn wide(width: usize) -> Screen {
    Screen { width, ..PLAIN }
}

/// Fails when a line of `page` is wider than 80 columns or does more than show text.
pub(in crate::cli) fn assert_fits(page: &str) {
    for line in page.lines() {
        let wide = unicode_width::UnicodeWidthStr::width(line);
        assert!(wide <= 80, "{wide} columns: {line:?}\n{page}");
        assert!(!line.contains(char::is_control), "{line:?}");
        assert_eq!(line.trim_end(), line, "blanks at the end");
    }
}

/// What a stranger may put anywhere: long, full-width, unbroken, controls, marks, emoji.
pub(in crate::cli) fn hostile() -> impl proptest::strategy::Strategy<Value = String> {
    use proptest::prelude::*;
    prop_oneof![
        any::<String>(),
        "[雲端行動科技股份有限公司]{0,200}",
        "[a-z]{0,70}@[a-z.]{0,255}",
        "[\u{1b}\r\n\t\u{202e}\u{200d}\u{fe0f}👩🏽🇹🇼ﷺe\u{301}한ｱ ]{0,120}",
    ]
}
