//! HTML to the lines a person sees: `\n` ends a line, `\t` separates the cells of a table row.
//!
//! Left out on purpose: style sheets (hidden text is text) and anything a browser would fetch.
//! What `<bdo>` turns round is marked with the control character that says the same.
//!
//! Guarantee: the work is linear in the input, whatever the input; nesting is bounded.

use mail_parser::decoders::html::add_html_token;

/// Tables, rows and cells open at once; what is nested deeper is read as plain lines.
const MAX_OPEN: usize = 96;
/// WHATWG HTML §4.5.24 has `<bdo>` do what this control does.
const RIGHT_TO_LEFT: char = '\u{202e}';
/// The longest entity there is, `&CounterClockwiseContourIntegral;`, has 33 bytes.
const MAX_ENTITY: usize = 33;

/// Renders `html` as lines and cells.
pub(super) fn text(html: &str) -> String {
    let mut page = Page::default();
    let mut rest = html;
    while let Some((run, tail)) = rest.split_once('<') {
        page.write(run);
        rest = tail;
        if let Some(comment) = tail.strip_prefix("!--") {
            rest = after_comment(comment);
        } else if tail.starts_with(|c: char| c.is_ascii_alphabetic() || "/!?".contains(c)) {
            // A tag that never ends takes the rest with it, as it does in browsers.
            let (tag, after) = tail.split_at(tag_end(tail));
            rest = after.strip_prefix('>').unwrap_or_default();
            let name = name(tag);
            match name.as_str() {
                "script" | "style" | "template" | "title" => rest = after_element(rest, &name),
                name => page.tag(name),
            }
        } else {
            page.write("<");
        }
    }
    page.write(rest);
    page.finish()
}

/// What follows a comment, as browsers see it: `<!-->` and `<!--->` are whole comments, and `--!>`
/// ends one too. WHATWG HTML §13.2.5.43.
fn after_comment(comment: &str) -> &str {
    let ends_at = |at: usize| match comment.get(..at) {
        Some("" | "-") => true,
        Some(before) => before.ends_with("--") || before.ends_with("--!"),
        None => false,
    };
    let end = comment.match_indices('>').find(|(at, _)| ends_at(*at));
    end.and_then(|(at, _)| comment.get(at + 1..))
        .unwrap_or_default()
}

/// Where the tag ends: at the first `>` that is not inside a quoted attribute value.
fn tag_end(tag: &str) -> usize {
    let declaration = tag.starts_with(['!', '?']);
    let mut quote = None;
    let mut after_equals = false;
    tag.bytes()
        .position(|byte| {
            match quote {
                Some(open) if byte == open => quote = None,
                Some(_) => {}
                None if byte == b'>' => return true,
                None if after_equals && matches!(byte, b'"' | b'\'') && !declaration => {
                    quote = Some(byte);
                }
                None => {}
            }
            after_equals = byte == b'=' || after_equals && byte.is_ascii_whitespace();
            false
        })
        .unwrap_or(tag.len())
}

/// The element's name in lower case, with the slash of an end tag.
fn name(tag: &str) -> String {
    tag.chars()
        .enumerate()
        .take_while(|(at, c)| c.is_ascii_alphanumeric() || *at == 0)
        .map(|(_, c)| c.to_ascii_lowercase())
        .collect()
}

/// What follows the end tag of an element whose content is not shown.
fn after_element<'a>(html: &'a str, name: &str) -> &'a str {
    let mut rest = html;
    while let Some((_, tail)) = rest.split_once("</") {
        let names_it = tail
            .get(..name.len())
            .is_some_and(|found| found.eq_ignore_ascii_case(name));
        if names_it {
            return tail.split_once('>').map_or("", |(_, after)| after);
        }
        rest = tail;
    }
    ""
}

/// An open part of a table.
enum Open {
    Table,
    /// `outer` is what was written before the row.
    Row {
        outer: String,
        cells: Vec<String>,
    },
    Cell,
}

/// The page as far as it is written.
#[derive(Default)]
struct Page {
    /// The innermost open cell, or what stands outside of all.
    out: String,
    /// White space was met and not yet written.
    space: bool,
    preformatted: usize,
    /// `<bdo>` elements that are open.
    turned: usize,
    open: Vec<Open>,
    /// Tables that were nested too deeply to be opened.
    unopened: usize,
}

impl Page {
    fn tag(&mut self, name: &str) {
        match name {
            "table" => {
                self.end_line();
                if self.open.len() < MAX_OPEN {
                    self.open.push(Open::Table);
                } else {
                    self.unopened += 1;
                }
            }
            "/table" if self.unopened > 0 => {
                self.end_line();
                self.unopened -= 1;
            }
            "/table" => {
                self.close_row();
                self.open.pop_if(|top| matches!(top, Open::Table));
                self.end_line();
            }
            "tr" | "/tr" | "td" | "th" | "/td" | "/th" if self.unopened > 0 => self.end_line(),
            "tr" => self.open_row(),
            "td" | "th" => {
                self.close_cell();
                if !matches!(self.open.last(), Some(Open::Row { .. })) {
                    self.open_row();
                }
                self.open.push(Open::Cell);
            }
            "/td" | "/th" => self.close_cell(),
            "/tr" | "tbody" | "/tbody" | "thead" | "/thead" | "tfoot" | "/tfoot" => {
                self.close_row();
            }
            "bdo" => {
                self.turned += 1;
                self.out.push(RIGHT_TO_LEFT);
            }
            "/bdo" => self.turned = self.turned.saturating_sub(1),
            "pre" => {
                self.end_line();
                self.preformatted += 1;
            }
            "/pre" => {
                self.end_line();
                self.preformatted = self.preformatted.saturating_sub(1);
            }
            name => {
                if is_block(name.strip_prefix('/').unwrap_or(name)) {
                    self.end_line();
                }
            }
        }
    }

    fn write(&mut self, run: &str) {
        let mut rest = run;
        while let Some((before, tail)) = rest.split_once('&') {
            self.write_plain(before);
            rest = tail;
            let end = tail
                .bytes()
                .take(MAX_ENTITY)
                .position(|byte| !byte.is_ascii_alphanumeric() && byte != b'#')
                .filter(|end| *end > 0);
            match end.map(|end| tail.split_at(end)) {
                Some((name, after)) if after.starts_with(';') => {
                    let mut decoded = String::new();
                    add_html_token(&mut decoded, format!("&{name};").as_bytes(), false);
                    self.write_plain(&decoded);
                    rest = after.strip_prefix(';').unwrap_or_default();
                }
                _ => self.write_plain("&"),
            }
        }
        self.write_plain(rest);
    }

    fn write_plain(&mut self, text: &str) {
        for c in text.chars() {
            if c == '\n' && self.preformatted > 0 {
                self.end_line();
            } else if c.is_ascii_whitespace() {
                self.space = true;
            } else {
                if self.turned > 0 && self.at_line_start() {
                    self.out.push(RIGHT_TO_LEFT);
                }
                if self.space && !self.at_line_start() {
                    self.out.push(' ');
                }
                self.space = false;
                self.out.push(c);
            }
        }
    }

    fn at_line_start(&self) -> bool {
        self.out.is_empty() || self.out.ends_with('\n')
    }

    fn end_line(&mut self) {
        self.space = false;
        if !self.at_line_start() {
            self.out.push('\n');
        }
    }

    fn open_row(&mut self) {
        self.close_row();
        self.end_line();
        self.open.push(Open::Row {
            outer: std::mem::take(&mut self.out),
            cells: Vec::new(),
        });
    }

    /// Closes the innermost cell, when one is open; text between two cells becomes one itself.
    fn close_cell(&mut self) {
        let was_open = self.open.pop_if(|top| matches!(top, Open::Cell)).is_some();
        if let Some(Open::Row { cells, .. }) = self.open.last_mut() {
            let cell = std::mem::take(&mut self.out);
            let cell = cell.trim_end_matches('\n');
            if was_open || !cell.is_empty() {
                cells.push(cell.to_owned());
            }
            self.space = false;
        }
    }

    /// Closes the innermost row, when one is open. A row whose cells hold several lines is there
    /// for the layout, and its cells are read one after the other.
    fn close_row(&mut self) {
        self.close_cell();
        let row = self.open.pop_if(|top| matches!(top, Open::Row { .. }));
        if let Some(Open::Row { outer, cells }) = row {
            let for_layout = cells.iter().any(|cell| cell.contains('\n'));
            self.out = outer;
            self.out
                .push_str(&cells.join(if for_layout { "\n" } else { "\t" }));
            self.end_line();
        }
    }

    fn finish(mut self) -> String {
        while !self.open.is_empty() {
            self.close_row();
            self.open.pop_if(|top| matches!(top, Open::Table));
        }
        self.out
    }
}

/// Elements that begin and end a line of their own.
fn is_block(name: &str) -> bool {
    matches!(
        name,
        "address"
            | "article"
            | "blockquote"
            | "body"
            | "br"
            | "caption"
            | "center"
            | "dd"
            | "div"
            | "dl"
            | "dt"
            | "fieldset"
            | "footer"
            | "form"
            | "h1"
            | "h2"
            | "h3"
            | "h4"
            | "h5"
            | "h6"
            | "header"
            | "hr"
            | "html"
            | "li"
            | "main"
            | "ol"
            | "p"
            | "section"
            | "ul"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_end_lines_and_white_space_collapses() {
        for html in [
            "<p>a  b\r\n c</p><div>d<br/>e</div>",
            "<!DOCTYPE html><html><head><title>t</title><style>p > x {}</style></head>\
             <body><P class='>'>a b c<p title=\"a>b\">d<BR>e",
            "<script>if (a<b) '</p>'</script>a <!-- <p>x --> b c<ul><li>d</li><li>e</li></ul>",
            "<pre>a b c\nd\ne\n</pre>",
            "a <!-->b<!-- x --!> c<!---><br>d<br><!-- > -> -->e",
            "<span>a</span> <b>b</b> c<h1>d</h1><![if !mso]>e<![endif]>",
        ] {
            assert_eq!(text(html).trim_end(), "a b c\nd\ne", "{html}");
        }
    }

    #[test]
    fn entities_read_and_stray_signs_stay() {
        assert_eq!(
            text("&#23383;&#x8ECC;&nbsp;&lt;b&gt; a&b < c && d &nosuch; &#10;e &"),
            "字軌\u{a0}<b> a&b < c && d &nosuch; e &"
        );
    }

    #[test]
    fn rows_keep_their_cells_unless_they_are_there_for_the_layout() {
        for (html, expected) in [
            ("<table><tr><td>a</td><td>b</td></tr></table>c", "a\tb\nc\n"),
            (
                "<table><tr><td><p>a</p><td><div>b</div><tr><th>c<th></table>",
                "a\tb\nc\t\n",
            ),
            (
                "<table><tbody><tr> <td>x<br>y</td> <td>z</td> </tr></table>",
                "x\ny\nz\n",
            ),
            (
                "<table><tr><td>in<table><tr><td>a</td><td>b</td></tr><tr><td>c</td><td>d</td>\
                 </tr></table></td></tr></table>",
                "in\na\tb\nc\td\n",
            ),
            ("<td>a<td>b", "a\tb\n"),
            ("x</td></tr></table>y", "x\ny"),
        ] {
            assert_eq!(text(html).trim_end(), expected.trim_end(), "{html}");
        }
    }

    #[test]
    fn nothing_is_lost_in_deep_nesting() {
        let deep = "<table><tr><td>x".repeat(500) + &"</table>".repeat(500) + "end";
        assert_eq!(text(&deep).matches('x').count(), 500);
        assert!(text(&deep).ends_with("end"));
    }

    #[test]
    fn a_tag_that_never_ends_takes_the_rest() {
        assert_eq!(text("a<b title=\"c>d"), "a");
        assert_eq!(text("a<!-- b"), "a");
        assert_eq!(text("a<style>b"), "a");
    }
}
