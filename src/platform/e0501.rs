//! MIG E0501 `InvoiceAssignNo` (營業人電子發票配號檔), by itself or in its envelope.
//!
//! Written as MIG 4.0 has it. Read in any of its versions: elements are known by their local names,
//! for their namespaces differ from version to version. A document type or an entity of its own is
//! refused: no file of the platform's has one, and whoever writes one wants something else.

use std::collections::BTreeMap;

use quick_xml::{
    Reader,
    events::{BytesStart, Event},
};

use super::{
    Mistakes, Row,
    csv::{expected, range},
};
use crate::{
    notice::{
        Allocation, Ban, BanError, Block, InvoiceNo, InvoiceType, Period, PeriodError, Track,
    },
    stranger::one_line,
};

/// MIG 4.0 E0501, in the order of its schema.
const ELEMENTS: [&str; 7] = [
    "Ban",
    "InvoiceType",
    "YearMonth",
    "InvoiceTrack",
    "InvoiceBeginNo",
    "InvoiceEndNo",
    "InvoiceBooklet",
];

/// The element of one range.
const ASSIGNMENT: &str = "InvoiceAssignNo";

/// What Turnkey puts around them.
const ENVELOPE: &str = "InvoiceEnvelope";

/// So much of what the reader says, and of a name, is repeated, characters.
const WORDS: usize = 200;

/// Deeper than any message of MIG.
const DEPTH: usize = 16;

/// One envelope for these ranges. From and To name the company where there is one only: what Turnkey
/// would route to several is not for us to say.
pub fn write(allocations: &[Allocation]) -> Vec<u8> {
    let first = allocations.first().map(|one| one.ban);
    let only = first.filter(|ban| allocations.iter().all(|one| one.ban == *ban));
    let party = only.as_ref().map_or("", Ban::as_str);
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <InvoiceEnvelope xmlns=\"urn:GEINV:InvoiceEnvelope:3.1\">\n\
         \x20 <From><PartyId>{party}</PartyId></From>\n\
         \x20 <FromVAC><RoutingId>{party}</RoutingId></FromVAC>\n\
         \x20 <To><PartyId>{party}</PartyId></To>\n\
         \x20 <ToVAC><RoutingId>{party}</RoutingId></ToVAC>\n\
         \x20 <InvoicePack count=\"{}\" messageType=\"E0501\" version=\"4.0\">\n",
        allocations.len(),
    );
    for Allocation { ban, block } in allocations {
        let values = [
            ban.to_string(),
            block.invoice_type.code().to_owned(),
            block.period.year_month(),
            block.track.to_string(),
            block.range.begin().to_string(),
            block.range.end().to_string(),
            block.range.booklets().to_string(),
        ];
        // No value of these types holds anything that XML would want escaped.
        text.push_str("    <InvoiceAssignNo xmlns=\"urn:GEINV:E0501:4.0\">\n");
        for (element, value) in ELEMENTS.iter().zip(values) {
            text.push_str(&format!("      <{element}>{value}</{element}>\n"));
        }
        text.push_str("    </InvoiceAssignNo>\n");
    }
    text.push_str("  </InvoicePack>\n</InvoiceEnvelope>\n");
    text.into_bytes()
}

/// Whether a file that begins so is one.
pub(super) fn is_one(start: &[u8]) -> bool {
    let has = |name: &str| {
        let mut parts = start.windows(name.len());
        parts.any(|part| part == name.as_bytes())
    };
    let first = start.iter().find(|byte| !byte.is_ascii_whitespace());
    let begins = start.starts_with(b"\xef\xbb\xbf<") || first == Some(&b'<');
    begins && (has(ASSIGNMENT) || has(ENVELOPE))
}

/// One range while it is being read: its values, each with its place.
struct Draft {
    at: usize,
    values: BTreeMap<&'static str, (usize, String)>,
}

pub(super) fn read(text: &str, mistakes: &mut Mistakes<'_>) -> Vec<Row> {
    let mut reader = Reader::from_str(text);
    let mut rows = Vec::new();
    let mut open: Vec<String> = Vec::new();
    let mut draft: Option<Draft> = None;
    let mut packed: Option<(usize, String)> = None;
    let mut seen = 0_usize;
    loop {
        let at = place(reader.buffer_position());
        let event = match reader.read_event() {
            Ok(event) => event,
            Err(error) => {
                mistakes.add(
                    place(reader.error_position()),
                    format!("not XML: {}", one_line(&error.to_string(), WORDS)),
                );
                return rows;
            }
        };
        match event {
            Event::Eof => break,
            Event::DocType(_) => {
                mistakes.add(at, "expected a file of the platform's, found a document type (DTD); nothing of this file is believed");
                return rows;
            }
            Event::GeneralRef(entity) => {
                let name = entity.to_string();
                let is_known = matches!(&*name, "lt" | "gt" | "amp" | "apos" | "quot");
                if !is_known && !name.starts_with('#') || draft.is_some() {
                    mistakes.add(at, expected("plain text", &format!("&{name};")));
                    return rows;
                }
            }
            Event::Start(start) => {
                let name = local(&start);
                opened(
                    &name,
                    at,
                    open.last().map(String::as_str),
                    &mut draft,
                    mistakes,
                );
                packed = packed.or_else(|| count(&name, &start, at));
                open.push(name);
                if open.len() > DEPTH {
                    mistakes.add(
                        at,
                        "expected a file of the platform's, found elements nested far deeper",
                    );
                    return rows;
                }
            }
            Event::Empty(start) => {
                let name = local(&start);
                opened(
                    &name,
                    at,
                    open.last().map(String::as_str),
                    &mut draft,
                    mistakes,
                );
                if name == ASSIGNMENT
                    && let Some(draft) = draft.take()
                {
                    seen += 1;
                    allocation(&draft, mistakes);
                }
            }
            Event::Text(words) => said(&mut draft, open.last(), &words),
            Event::CData(words) => said(&mut draft, open.last(), &words),
            Event::End(_) => {
                if open.pop().as_deref() == Some(ASSIGNMENT)
                    && let Some(draft) = draft.take()
                {
                    seen += 1;
                    if let Some(allocation) = allocation(&draft, mistakes) {
                        let line = mistakes.line(draft.at);
                        rows.push(Row { allocation, line });
                    }
                }
            }
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
        }
    }
    if let Some(name) = open.last() {
        mistakes.add(
            text.len(),
            format!(
                "expected the end of {}, found the end of the file",
                one_line(name, WORDS)
            ),
        );
    } else if seen == 0 {
        mistakes.add(
            0,
            format!("expected at least one {ASSIGNMENT} (MIG E0501), found none"),
        );
    }
    if let Some((at, count)) = packed.filter(|(_, count)| *count != seen.to_string()) {
        mistakes.add(
            at,
            expected(&format!("count=\"{seen}\", as many as there are"), &count),
        );
    }
    rows
}

/// An element has begun.
fn opened(
    name: &str,
    at: usize,
    parent: Option<&str>,
    draft: &mut Option<Draft>,
    mistakes: &mut Mistakes<'_>,
) {
    if let Some(draft) = draft {
        let known = ELEMENTS.into_iter().find(|element| *element == name);
        match known.filter(|_| parent == Some(ASSIGNMENT)) {
            None => mistakes.add(
                at,
                expected(&format!("one of {}", ELEMENTS.join(", ")), name),
            ),
            Some(element) => {
                if draft.values.insert(element, (at, String::new())).is_some() {
                    mistakes.add(at, format!("{element} stands here a second time"));
                }
            }
        }
    } else if name == ASSIGNMENT {
        *draft = Some(Draft {
            at,
            values: BTreeMap::new(),
        });
    } else if parent.is_none() && name != ENVELOPE {
        mistakes.add(at, expected(&format!("{ENVELOPE} or {ASSIGNMENT}"), name));
    }
}

/// Text inside an element.
fn said(draft: &mut Option<Draft>, element: Option<&String>, words: &str) {
    let value = draft
        .as_mut()
        .zip(element)
        .and_then(|(draft, element)| draft.values.get_mut(element.as_str()));
    if let Some((_, value)) = value {
        value.push_str(words);
    }
}

/// How many a pack says that it holds.
fn count(name: &str, start: &BytesStart<'_>, at: usize) -> Option<(usize, String)> {
    let attribute = start.try_get_attribute("count").ok().flatten();
    let value = attribute.filter(|_| name == "InvoicePack")?.value;
    Some((at, value.into_owned()))
}

fn allocation(draft: &Draft, mistakes: &mut Mistakes<'_>) -> Option<Allocation> {
    for element in ELEMENTS {
        if !draft.values.contains_key(element) {
            mistakes.add(
                draft.at,
                format!("expected {element} in this {ASSIGNMENT}, found none"),
            );
        }
    }
    let ban: Option<Ban> = parsed(draft, "Ban", mistakes, |text| {
        text.parse().map_err(|error: BanError| error.to_string())
    });
    let invoice_type = parsed(draft, "InvoiceType", mistakes, |text| {
        let known = InvoiceType::from_code(text).filter(|_| text.len() == 2);
        known.ok_or_else(|| expected("07 or 08", text))
    });
    let period: Option<Period> = parsed(draft, "YearMonth", mistakes, |text| {
        text.parse().map_err(|error: PeriodError| error.to_string())
    });
    let track: Option<Track> = parsed(draft, "InvoiceTrack", mistakes, |text| {
        text.parse()
            .map_err(|_| expected("two capital letters", text))
    });
    let number = |text: &str| InvoiceNo::parse(text).ok_or_else(|| expected("8 digits", text));
    let begin = parsed(draft, "InvoiceBeginNo", mistakes, number);
    let end = parsed(draft, "InvoiceEndNo", mistakes, number);
    let range = range(begin?, end?)
        .map_err(|words| mistakes.add(draft.at, words))
        .ok()?;
    parsed(draft, "InvoiceBooklet", mistakes, |text| {
        let booklets = range.booklets();
        let agrees = text.parse() == Ok(booklets);
        agrees.then_some(()).ok_or_else(|| {
            expected(
                &format!(
                    "{booklets}, the booklets from {} to {}",
                    range.begin(),
                    range.end()
                ),
                text,
            )
        })
    })?;
    Some(Allocation {
        ban: ban?,
        block: Block {
            invoice_type: invoice_type?,
            period: period?,
            track: track?,
            range,
            requested_booklets: None,
            added_booklets: None,
        },
    })
}

/// What an element says, spaces taken off; what is wrong with it is noted.
fn parsed<T>(
    draft: &Draft,
    element: &str,
    mistakes: &mut Mistakes<'_>,
    read: impl Fn(&str) -> Result<T, String>,
) -> Option<T> {
    let (at, text) = draft.values.get(element)?;
    match read(text.trim()) {
        Ok(value) => Some(value),
        Err(message) => {
            mistakes.add(*at, format!("{element}: {message}"));
            None
        }
    }
}

fn local(start: &BytesStart<'_>) -> String {
    start.local_name().as_ref().to_owned()
}

/// Saturates where a file is larger than memory.
fn place(at: u64) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}
