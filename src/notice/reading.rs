//! From bytes to a [`Reading`]: everything a mail says by itself, with what is wrong with it.
//!
//! Left out on purpose: whether it is genuine, whose it is, and what the ledger holds; that is
//! `settle`'s.
//!
//! Guarantee: never fails. The same gate stands before [`gate`], [`read`] and [`oversized`], so
//! a mail is looked at in the same way however it came.

use std::borrow::Cow;

use super::{
    Address, Allocation, Block, Defect, DefectCode, FileKind, Rules, Sentence, Warning,
    draft::{Draft, shown},
    envelope::Envelope,
    header::Header,
    html,
    layout::{self, Spellings},
    message::Message,
    sender,
};
use crate::stranger::is_turning;

/// Forwarded inside a forward inside a forward: nobody goes further.
const MAX_FORWARDS: usize = 3;
/// Many more than a year's ranges of one company; the rest is not read, and that is said.
const MAX_BLOCKS: usize = 2000;

/// What the header alone says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// The body must be looked at.
    Fetch,
    /// Nothing of ours; the body stays where it is.
    Unrelated,
}

/// What one mail says, before anybody asks whether it is true.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reading {
    /// The one address in From; `None` when there is none, or not exactly one.
    pub from: Option<Address>,
    /// The decoded Subject, on one line.
    pub subject: String,
    /// Addresses in the recipient headers, with the header's name as configured.
    pub recipients: Vec<(String, Address)>,
    /// What stands between the parentheses of 貴公司(…), when anything does.
    pub addressee: Option<String>,
    /// Whether it claims to be a notice or reads like one; `false` means unrelated.
    pub is_notice: bool,
    /// The ranges, those that hold together by themselves.
    pub blocks: Vec<Block>,
    /// What is wrong with the mail by itself.
    pub defects: Vec<Defect>,
    /// What a person should know.
    pub warnings: Vec<Warning>,
    /// The attached message that all of this was read from, where the notice was forwarded as an
    /// attachment: byte for byte, transfer encoding undone.
    pub forwarded: Option<Vec<u8>>,
    /// Which of the platform's files it was read from; `None` for a mail.
    pub file: Option<FileKind>,
    /// Of a row of such a file: another one with which it shares numbers.
    pub other_row: Option<OtherRow>,
}

/// A row of a file, as another row of it is judged beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OtherRow {
    /// What it says.
    pub allocation: Allocation,
    /// Its line, from 1.
    pub line: usize,
}

impl Reading {
    /// One row of a file of the platform's, as a notice of one range that names its company.
    pub fn of_row(allocation: &Allocation, file: FileKind) -> Self {
        let Allocation { ban, block } = allocation;
        Self {
            subject: format!("{ban} {} {} {}", block.track, block.range, block.period),
            addressee: Some(ban.to_string()),
            is_notice: true,
            blocks: vec![*block],
            file: Some(file),
            ..Self::default()
        }
    }

    /// Whether the mail was not looked into at all, so that there is nothing else to be said of it.
    pub fn is_unread(&self) -> bool {
        self.defects.iter().any(|defect| {
            matches!(
                defect.code,
                DefectCode::Oversized | DefectCode::Unfetchable | DefectCode::ReaderPanicked
            )
        })
    }
}

/// Decides by the header alone, as the mailbox sees it before the body is fetched.
pub fn gate(header: &[u8], rules: &Rules) -> Gate {
    let (header, _) = Header::split(header);
    Envelope::read(&header).gate(rules)
}

/// The one address in the From of a header (RFC 5322 §3.6.2); `None` when there is none, or not
/// exactly one.
pub fn author(header: &[u8]) -> Option<Address> {
    let (header, _) = Header::split(header);
    Envelope::read(&header).from().cloned()
}

/// Reads one whole message. One that is larger than the rules allow is not looked into.
pub fn read(raw: &[u8], rules: &Rules) -> Reading {
    let size = u64::try_from(raw.len()).unwrap_or(u64::MAX);
    if size > rules.max_message_bytes {
        oversized(raw, size, rules)
    } else {
        read_message(raw, rules, MAX_FORWARDS)
    }
}

/// The reading of a message that was too large to fetch: only its header and size, in bytes, are
/// known. The platform sends large mail of other kinds too (消費發票彙整通知), so it is the subject
/// that decides.
pub fn oversized(header: &[u8], size: u64, rules: &Rules) -> Reading {
    let (header, _) = Header::split(header);
    let envelope = Envelope::read(&header);
    let mut reading = headed(&header, &envelope, rules);
    if envelope.gate(rules) == Gate::Fetch && envelope.is_on_topic() {
        let limit = rules.max_message_bytes;
        reading.is_notice = true;
        reading.defects = vec![Defect::new(
            DefectCode::Oversized,
            Sentence::new(
                format!("expected at most {limit} bytes, found {size}; it was not looked into"),
                format!("上限是 {limit} 位元組，這封信有 {size} 位元組；內容沒有讀取"),
            ),
        )];
    }
    reading
}

/// The reading of a message on which the reader itself failed; `what` is the panic's message.
pub fn panicked(what: &str) -> Reading {
    let detail = Sentence::new(
        format!("reading it failed: {what}"),
        format!("程式讀取這封信時發生錯誤：`{what}`"),
    );
    unread(DefectCode::ReaderPanicked, detail)
}

/// The reading of a message that the server failed to hand over; `detail` says how often.
pub fn unfetchable(detail: Sentence) -> Reading {
    unread(DefectCode::Unfetchable, detail)
}

fn unread(code: DefectCode, detail: Sentence) -> Reading {
    Reading {
        is_notice: true,
        defects: vec![Defect::new(code, detail)],
        ..Reading::default()
    }
}

/// What the header gives to a reading.
fn headed(header: &Header<'_>, envelope: &Envelope, rules: &Rules) -> Reading {
    let addressed = |name: &String| {
        let addresses = header.all(name).flat_map(sender::addresses).flatten();
        addresses
            .map(|address| (name.clone(), address))
            .collect::<Vec<_>>()
    };
    Reading {
        from: envelope.from().cloned(),
        subject: envelope.subject(),
        recipients: rules.recipient_headers.iter().flat_map(addressed).collect(),
        ..Reading::default()
    }
}

fn read_message(raw: &[u8], rules: &Rules, forwards: usize) -> Reading {
    let (header, body) = Header::split(raw);
    let envelope = Envelope::read(&header);
    let mut reading = headed(&header, &envelope, rules);
    if envelope.gate(rules) == Gate::Unrelated {
        return reading;
    }
    let message = Message::read(&header, body);
    let plain = layout::fold(&message.plain.join("\n"));
    let html: Vec<String> = message.html.iter().map(|part| html::text(part)).collect();
    let html = layout::fold(&html.join("\n"));
    let spellings = Spellings::new(&rules.labels);
    let [from_plain, from_html] =
        [&plain, &html].map(|text| Draft::split(&layout::fields(text, &spellings)));

    let reads_like = [&from_plain, &from_html]
        .into_iter()
        .flatten()
        .any(Draft::reads_like_notice);
    let attached = match forwards.checked_sub(1) {
        Some(forwards) => attached_notices(&message.attached, rules, forwards),
        None => Vec::new(),
    };
    let attached = match <[Reading; 1]>::try_from(attached) {
        Ok([notice]) if !reads_like => return notice,
        Err(several) if !reads_like && !several.is_empty() => {
            reading.is_notice = true;
            reading.defects = vec![several_attached(several.len())];
            return reading;
        }
        Ok(notice) => notice.into(),
        Err(several) => several,
    };
    reading.is_notice = reads_like || envelope.claims(rules);
    if !reading.is_notice {
        return reading;
    }

    reading.warnings = envelope.warnings();
    reading.defects = envelope.defects(rules);
    reading
        .defects
        .extend(message.flaws.into_iter().map(undecodable));

    let mut addressees = layout::addressees(&plain);
    addressees.extend(layout::addressees(&html));
    addressees.dedup();
    if let [first, second, ..] = addressees.as_slice() {
        let (first, second) = (shown(first), shown(second));
        reading.defects.push(Defect::new(
            DefectCode::FieldConflict,
            Sentence::new(
                format!("貴公司(…) names different companies: {first} and {second}"),
                format!("「貴公司（…）」寫了不同的公司：{first} 與 {second}"),
            ),
        ));
    }
    for name in addressees.iter().filter(|name| name.contains(is_turning)) {
        let name = shown(name);
        reading.defects.push(Defect::new(
            DefectCode::FieldMalformed,
            Sentence::new(
                format!(
                    "expected 貴公司(…) in text that is seen as it stands, found characters that \
                     turn it round: {name}"
                ),
                format!("「貴公司（…）」含有會讓文字倒轉顯示的控制字元：{name}"),
            ),
        ));
    }
    reading.addressee = addressees.into_iter().next();

    let mut drafts = agreed(from_plain, &from_html, &mut reading.defects);
    if drafts.len() > MAX_BLOCKS {
        let found = drafts.len();
        reading.defects.push(Defect::new(
            DefectCode::UndecodableText,
            Sentence::new(
                format!("expected at most {MAX_BLOCKS} ranges, found {found}"),
                format!("最多讀取 {MAX_BLOCKS} 段號碼，這封信有 {found} 段"),
            ),
        ));
        drafts.truncate(MAX_BLOCKS);
    }
    read_blocks(&drafts, &mut reading);
    let mut reading = decided(reading, attached);
    reading.defects.sort_by_key(|defect| defect.code);
    reading
}

fn undecodable(flaw: Sentence) -> Defect {
    Defect::new(DefectCode::UndecodableText, flaw)
}

/// The readings of the attached messages that are notices.
fn attached_notices(
    attached: &[(Cow<'_, [u8]>, bool)],
    rules: &Rules,
    forwards: usize,
) -> Vec<Reading> {
    let read = |(attached, sound): &(Cow<'_, [u8]>, bool)| {
        let mut inner = read_message(attached, rules, forwards);
        if inner.is_notice && inner.forwarded.is_none() {
            inner.forwarded = Some(attached.to_vec());
        }
        if !sound {
            inner.defects.push(undecodable(Sentence::new(
                "the base64 of the attached message is broken or cut off",
                "附件裡那封信的 base64 編碼損壞或不完整",
            )));
            inner.defects.sort_by_key(|defect| defect.code);
        }
        inner
    };
    let notices = attached.iter().map(read);
    notices.filter(|inner| inner.is_notice).collect()
}

fn several_attached(several: usize) -> Defect {
    Defect::new(
        DefectCode::AmbiguousHeader,
        Sentence::new(
            format!(
                "expected one attached notice, found {several}; forward each in a mail of its own"
            ),
            format!("應只附一封通知，這封信附了 {several} 封；請分開轉寄，一封信附一封"),
        ),
    )
}

/// Which notice counts where a mail is one by its own text and others are attached to it. Only one
/// of them can be proven, so where they say the same it is the one that a sender has written, and
/// where they do not, a person must look.
fn decided(mut reading: Reading, mut attached: Vec<Reading>) -> Reading {
    let agrees = |notice: &Reading| {
        !reading.blocks.is_empty()
            && reading.blocks == notice.blocks
            && (reading.addressee.is_none() || reading.addressee == notice.addressee)
    };
    let by_sender = !reading
        .defects
        .iter()
        .any(|defect| defect.code == DefectCode::SenderNotAllowed);
    match attached.pop() {
        None => reading,
        Some(notice) if attached.is_empty() && agrees(&notice) => {
            if by_sender {
                reading
            } else {
                notice
            }
        }
        Some(_) => {
            reading.defects.push(Defect::new(
                DefectCode::AmbiguousHeader,
                Sentence::new(
                    "expected one notice, found one in the text and another in the attached \
                     message; forward the notice as an attachment, without its text in the mail",
                    "應只有一封通知，但內文與附件各有一封，內容不一致；\
                     請以附件方式轉寄，不要把通知的文字貼在內文",
                ),
            ));
            reading
        }
    }
}

/// Brings together what the text and the HTML of one mail say.
fn agreed<'t>(
    plain: Vec<Draft<'t>>,
    html: &[Draft<'t>],
    defects: &mut Vec<Defect>,
) -> Vec<Draft<'t>> {
    let mut drafts = plain;
    if drafts.is_empty() {
        drafts = html.to_vec();
    } else if html.len() == drafts.len() {
        for (draft, other) in drafts.iter_mut().zip(html) {
            draft.extend(other);
        }
    } else if !html.is_empty() {
        let (in_text, in_html) = (drafts.len(), html.len());
        defects.push(Defect::new(
            DefectCode::FieldConflict,
            Sentence::new(
                format!("expected the same ranges in text and HTML, found {in_text} and {in_html}"),
                format!(
                    "純文字與 HTML 的號碼應該相同，純文字有 {in_text} 段，HTML 有 {in_html} 段"
                ),
            ),
        ));
    }
    if drafts.is_empty() {
        // It claims to be a notice: what it lacks is everything.
        drafts.push(Draft::default());
    }
    drafts
}

/// Reads every draft and checks what blocks can be checked for by themselves.
fn read_blocks(drafts: &[Draft<'_>], reading: &mut Reading) {
    let mut complete = true;
    for (at, draft) in drafts.iter().enumerate() {
        match draft.read() {
            // The same range twice in one mail is one range.
            Ok(block) if reading.blocks.contains(&block) => {}
            Ok(block) => reading.blocks.push(block),
            Err(mut defects) => {
                complete = false;
                if drafts.len() > 1 {
                    for Defect { detail, .. } in &mut defects {
                        *detail = Sentence::new(
                            format!("block {}: {}", at + 1, detail.en),
                            format!("第 {} 段：{}", at + 1, detail.zh),
                        );
                    }
                }
                reading.defects.extend(defects);
            }
        }
    }
    let blocks = &reading.blocks;
    let disagreeing = blocks
        .iter()
        .filter_map(|block| booklets_disagree(block, blocks, complete));
    reading.defects.extend(disagreeing);
}

/// Whether a block's range is not what it states, nor all of the blocks that state the same are
/// together.
fn booklets_disagree(block: &Block, blocks: &[Block], complete: bool) -> Option<Defect> {
    let (requested, added) = (block.requested_booklets?, block.added_booklets?);
    let stated = u64::from(requested) + u64::from(added);
    let booklets = u64::from(block.range.booklets());
    let counts = |b: &Block| {
        (
            b.period,
            b.invoice_type,
            b.requested_booklets,
            b.added_booklets,
        )
    };
    let together: u64 = blocks
        .iter()
        .filter(|other| counts(other) == counts(block))
        .map(|other| u64::from(other.range.booklets()))
        .sum();
    // Where a block could not be read, it may be the one that is lacking.
    let may_lack = !complete && booklets < stated;
    if booklets == stated || together == stated || may_lack {
        return None;
    }
    let (track, range) = (block.track, block.range);
    Some(Defect::new(
        DefectCode::BookletsDisagree,
        Sentence::new(
            format!(
                "expected {requested} + {added} booklets of 50, found {booklets} in {track} {range}"
            ),
            format!(
                "申請本數 {requested} 加增加本數 {added} 應為 {stated} 本（每本 50 張），\
                 但 {track} {range} 是 {booklets} 本"
            ),
        ),
    ))
}

#[cfg(test)]
mod tests;
