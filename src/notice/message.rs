//! Our narrow view of a message: its header, the text it shows, and the messages attached to it.
//!
//! The structure is read here and not by mail-parser, for three reasons: a boundary counts only
//! at the beginning of a line (RFC 2046 §5.1.1), text must be decoded without silent
//! replacement, and attachments need not be decoded at all.
//!
//! Left out on purpose: attached files, and percent-encoded parameters (RFC 2231 §4).
//!
//! Guarantee: depth and number of parts are bounded, and whatever could not be read in full is
//! named in [`Message::flaws`].

use std::{
    borrow::Cow,
    collections::btree_map::{BTreeMap, Entry},
};

use super::{
    Sentence, charset,
    draft::shown,
    header::Header,
    syntax::{Token, Tokens, unescaped},
    transfer,
};

/// Far deeper nesting than any mail program writes, and shallow enough for any thread's stack.
const MAX_DEPTH: usize = 200;
/// More parts than any notice has; the rest of such a mail is not read, and that is said.
const MAX_PARTS: usize = 1000;

/// What one message shows.
#[derive(Debug)]
pub(super) struct Message<'a> {
    /// The text/plain parts, in order.
    pub(super) plain: Vec<String>,
    /// The text/html parts, in order.
    pub(super) html: Vec<String>,
    /// The bytes of attached messages, transfer encoding undone, and whether that went without
    /// loss.
    pub(super) attached: Vec<(Cow<'a, [u8]>, bool)>,
    /// What could not be read in full, one sentence each.
    pub(super) flaws: Vec<Sentence>,
    parts: usize,
}

impl<'a> Message<'a> {
    /// Reads a message that was split into `header` and `body`.
    pub(super) fn read(header: &Header<'a>, body: &'a [u8]) -> Self {
        let mut message = Self {
            plain: Vec::new(),
            html: Vec::new(),
            attached: Vec::new(),
            flaws: Vec::new(),
            parts: 0,
        };
        message.entity(header, body, "text/plain", 0);
        message
    }

    fn entity(&mut self, header: &Header<'a>, body: &'a [u8], default: &str, depth: usize) {
        self.parts += 1;
        if self.parts > MAX_PARTS || depth > MAX_DEPTH {
            if self.flaws.len() < MAX_PARTS {
                self.flaws.push(Sentence::new(
                    format!(
                        "expected at most {MAX_PARTS} parts nested at most {MAX_DEPTH} deep, found \
                         more"
                    ),
                    format!("信件最多讀取 {MAX_PARTS} 個部分、{MAX_DEPTH} 層，這封信不止如此"),
                ));
            }
            return;
        }
        let content = header.first("Content-Type").map(Parameterized::read);
        let kind = content
            .as_ref()
            .map(|content| content.value.as_str())
            .filter(|kind| kind.contains('/'))
            .unwrap_or(default);
        let parameter = |name| content.as_ref().and_then(|content| content.get(name));

        if kind.starts_with("multipart/")
            && let Some(boundary) = parameter("boundary")
        {
            let parts = split(body, boundary.as_bytes());
            if !parts.is_empty() {
                let default = match kind {
                    // RFC 2046 §5.1.5
                    "multipart/digest" => "message/rfc822",
                    _ => "text/plain",
                };
                for part in parts {
                    let (header, body) = Header::split(part);
                    self.entity(&header, body, default, depth + 1);
                }
                return;
            }
        }
        let encoding = header.first("Content-Transfer-Encoding");
        match kind {
            "message/rfc822" | "message/global" => {
                self.attached.push(transfer::decode(body, encoding));
            }
            _ if is_attachment(header) => {}
            "text/html" => {
                let text = self.text(body, encoding, parameter("charset"));
                self.html.push(text);
            }
            // A multipart that cannot be taken apart is read as the text it is.
            kind if kind == "text/plain" || kind.starts_with("multipart/") => {
                let text = self.text(body, encoding, parameter("charset"));
                self.plain.push(text);
            }
            _ => {}
        }
    }

    fn text(&mut self, body: &[u8], encoding: Option<&[u8]>, label: Option<&str>) -> String {
        let (bytes, sound) = transfer::decode(body, encoding);
        if !sound {
            self.flaws.push(Sentence::new(
                "a text part's base64 is broken or cut off",
                "一段內文的 base64 編碼損壞或不完整",
            ));
        }
        let decoded = charset::decode(&bytes, label);
        if !decoded.clean {
            self.flaws.push(match label.map(shown) {
                None => Sentence::new(
                    "a text part declares no charset and cannot be decoded as UTF-8 or Big5",
                    "一段內文沒有註明字元編碼，以 UTF-8 或 Big5 都無法完整解讀",
                ),
                Some(label) => Sentence::new(
                    format!(
                        "a text part is declared {label} and cannot be decoded as that, UTF-8 or \
                         Big5"
                    ),
                    format!(
                        "一段內文註明的字元編碼是 {label}，以此編碼、UTF-8 或 Big5 都無法完整解讀"
                    ),
                ),
            });
        }
        decoded.text.into_owned()
    }
}

fn is_attachment(header: &Header<'_>) -> bool {
    header
        .first("Content-Disposition")
        .is_some_and(|field| Parameterized::read(field).value == "attachment")
}

/// A field such as Content-Type: a value and its parameters (RFC 2045 §5.1).
struct Parameterized {
    /// Lower case.
    value: String,
    /// Names in lower case; the sections of RFC 2231 §3 already joined.
    parameters: BTreeMap<String, String>,
}

impl Parameterized {
    fn read(field: &[u8]) -> Self {
        let mut segments = Vec::new();
        let mut segment = Vec::new();
        for token in Tokens::new(field, b";") {
            match token {
                Token::Special(_) => segments.push(std::mem::take(&mut segment)),
                Token::Atom(atom) => segment.extend_from_slice(atom),
                Token::Quoted(quoted) => segment.extend(unescaped(quoted)),
            }
        }
        segments.push(segment);
        let mut segments = segments
            .iter()
            .map(|segment| String::from_utf8_lossy(segment));
        let value = segments.next().unwrap_or_default().to_ascii_lowercase();
        let mut parameters = BTreeMap::<String, String>::new();
        for segment in segments {
            let Some((name, value)) = segment.split_once('=') else {
                continue;
            };
            let (name, section) = name.split_once('*').unwrap_or((name, ""));
            let name = name.to_ascii_lowercase();
            let continues = !section.is_empty() && section != "0";
            match parameters.entry(name) {
                Entry::Occupied(mut start) if continues => start.get_mut().push_str(value),
                Entry::Occupied(_) => {}
                Entry::Vacant(new) => _ = new.insert(value.to_owned()),
            }
        }
        Self { value, parameters }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }
}

/// The parts of a multipart body (RFC 2046 §5.1.1); none when no boundary line is found. The
/// last part may lack its closing boundary.
fn split<'a>(body: &'a [u8], boundary: &[u8]) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    let mut start = None;
    let mut at = 0;
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        let after = at + line.len();
        if let Some(closing) = boundary_line(line, boundary) {
            if let Some(start) = start {
                parts.push(part(body, start, at));
            }
            if closing {
                return parts;
            }
            start = Some(after);
        }
        at = after;
    }
    if let Some(start) = start {
        parts.push(part(body, start, at));
    }
    parts
}

/// The line end before a boundary belongs to the boundary.
fn part(body: &[u8], start: usize, end: usize) -> &[u8] {
    let part = body.get(start..end).unwrap_or_default();
    let part = part.strip_suffix(b"\n").unwrap_or(part);
    part.strip_suffix(b"\r").unwrap_or(part)
}

/// Whether `line` is the boundary, and then whether it is the closing one.
fn boundary_line(line: &[u8], boundary: &[u8]) -> Option<bool> {
    let rest = line
        .strip_prefix(b"--")?
        .strip_prefix(boundary)?
        .trim_ascii_end();
    match rest {
        b"" => Some(false),
        b"--" => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(raw: &str) -> Message<'_> {
        let (header, body) = Header::split(raw.as_bytes());
        Message::read(&header, body)
    }

    #[test]
    fn every_shown_text_is_found_and_no_other() {
        let raw = "Content-Type: Multipart/Mixed (c); boundary=\"out;\\\"er\"\n\
            \n\
            preamble --out;\"er\n\
            --out;\"er\n\
            Content-Type: multipart/alternative; boundary=out\n\
            \n\
            --out\n\
            \n\
            plain --out;\"er\n\
            --out\n\
            Content-Type: text/html; charset = utf-8\n\
            \n\
            <p>\n\
            --out--\n\
            epilogue\n\
            --out;\"er\n\
            Content-Disposition: attachment; filename=a.txt\n\
            \n\
            attached\n\
            --out;\"er\n\
            Content-Type: text/csv\n\
            \n\
            a,b\n\
            --out;\"er\n\
            Content-Type: message/rfc822\n\
            \n\
            Subject: inner\n\
            \n\
            inner\n\
            --out;\"er--\n\
            epilogue\n";
        for raw in [raw.to_owned(), raw.replace('\n', "\r\n")] {
            let message = message(&raw);
            assert_eq!(message.plain, ["plain --out;\"er"]);
            assert_eq!(message.html, ["<p>"]);
            let inner = message.attached.iter().flat_map(|(raw, _)| raw.to_vec());
            let inner: Vec<u8> = inner.collect();
            let inner = String::from_utf8(inner).unwrap().replace('\r', "");
            assert_eq!(inner, "Subject: inner\n\ninner");
            assert_eq!(message.flaws, []);
        }
    }

    #[test]
    fn a_broken_multipart_still_shows_its_text() {
        let unclosed = "Content-Type: multipart/mixed; boundary*0=a; boundary*1=b\n\n--ab\n\nx\n";
        assert_eq!(message(unclosed).plain, ["x"]);
        let no_boundary = "Content-Type: multipart/mixed\n\nx\n";
        assert_eq!(message(no_boundary).plain, ["x\n"]);
    }

    #[test]
    fn what_is_too_deep_or_too_many_is_said() {
        let mut many = "Content-Type: multipart/mixed; boundary=b\n\n".to_owned();
        many.push_str(&"--b\n\nx\n".repeat(MAX_PARTS + 1));
        assert_eq!(message(&many).flaws.len(), 2);

        let deep: String = (0..=MAX_DEPTH)
            .map(|n| format!("Content-Type: multipart/mixed; boundary={n}x\n\n--{n}x\n"))
            .collect();
        assert_eq!(message(&(deep + "\nx")).flaws.len(), 1);
    }

    #[test]
    fn a_label_without_end_is_not_repeated_in_full() {
        let label = "x".repeat(100_000);
        let raw = format!("Content-Type: text/plain; charset={label}\n\n");
        let raw = [raw.as_bytes(), b"\xff\xff"].concat();
        let (header, body) = Header::split(&raw);
        let flaws = Message::read(&header, body).flaws;
        let [Sentence { en, zh }] = flaws.as_slice() else {
            panic!("{} flaws", flaws.len());
        };
        assert!(en.len() < 300 && zh.len() < 300, "{en}");
    }

    #[test]
    fn broken_text_is_said() {
        let base64 = "Content-Transfer-Encoding: base64\n\n%%%%";
        assert_eq!(message(base64).flaws.len(), 1);
        let (header, body) = Header::split(b"Content-Type: text/plain; charset=utf-8\n\n\xff\xff");
        assert_eq!(Message::read(&header, body).flaws.len(), 1);
    }
}
