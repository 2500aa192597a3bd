//! From labelled values to a [`Block`], or to everything that is wrong with them at once.
//!
//! Left out on purpose: the booklets (several blocks may share a count) and anything that needs
//! the ledger.
//!
//! Guarantee: at most one defect for each field of a block.

use super::{
    Block, Defect, DefectCode, InvoiceNo, InvoiceType, Label, Period, PeriodError, Range, Sentence,
};
use unicode_normalization::UnicodeNormalization as _;

use crate::stranger;

/// The labelled values of one block, as they stand.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Draft<'t> {
    fields: Vec<(Label, &'t str)>,
}

/// Why a value cannot be read.
#[derive(Debug, PartialEq, Eq)]
enum Unreadable {
    /// Not what was expected, which is named in English and in Chinese.
    Malformed(&'static str, &'static str),
    /// Two months that are not a period; they are named.
    NotAPair(String),
}

impl<'t> Draft<'t> {
    /// Cuts the values of one text into blocks: the first label begins one wherever it stands
    /// again, and a piece without numbers belongs to its neighbour.
    pub(super) fn split(fields: &[(Label, &'t str)]) -> Vec<Self> {
        let Some((leader, _)) = fields.first() else {
            return Vec::new();
        };
        let mut drafts: Vec<Self> = Vec::new();
        let mut piece = Self::default();
        let mut has_numbers = false;
        for (label, value) in fields {
            if label == leader && has_numbers {
                drafts.push(std::mem::take(&mut piece));
                has_numbers = false;
            }
            has_numbers |= matches!(label, Label::Begin | Label::End);
            piece.fields.push((*label, value));
        }
        match drafts.last_mut() {
            Some(last) if !has_numbers => last.fields.extend(piece.fields),
            _ => drafts.push(piece),
        }
        drafts
    }

    /// Adds what another part of the mail says of the same block.
    pub(super) fn extend(&mut self, other: &Self) {
        self.fields.extend_from_slice(&other.fields);
    }

    /// Whether it has what makes a text read like a notice.
    pub(super) fn reads_like_notice(&self) -> bool {
        [Label::Track, Label::Begin, Label::End]
            .iter()
            .all(|label| self.values(*label).next().is_some())
    }

    fn values(&self, label: Label) -> impl Iterator<Item = &'t str> {
        let labelled = self.fields.iter().filter(move |(other, _)| *other == label);
        labelled.map(|(_, value)| *value).filter(|v| !v.is_empty())
    }

    /// Reads every field.
    ///
    /// # Errors
    /// Everything that is wrong with the block by itself.
    pub(super) fn read(&self) -> Result<Block, Vec<Defect>> {
        let mut defects = Vec::new();
        let track = self.field(Label::Track, &mut defects, |value| {
            let expected = Unreadable::Malformed(
                "two capital letters such as `EC`",
                "兩個大寫英文字母，例如 `EC`",
            );
            value.parse().map_err(|_| expected)
        });
        let period = self.field(Label::Period, &mut defects, period);
        let invoice_type = self.field(Label::Type, &mut defects, invoice_type);
        let requested_booklets = self.field(Label::Requested, &mut defects, booklets);
        let added_booklets = self.field(Label::Added, &mut defects, booklets);
        let begin = self.field(Label::Begin, &mut defects, number);
        let end = self.field(Label::End, &mut defects, number);
        let range = match (begin, end) {
            (Some(begin), Some(end)) => range(begin, end, &mut defects),
            _ => None,
        };
        match (track, period, invoice_type, range) {
            (Some(track), Some(period), Some(invoice_type), Some(range)) if defects.is_empty() => {
                Ok(Block {
                    invoice_type,
                    period,
                    track,
                    range,
                    requested_booklets,
                    added_booklets,
                })
            }
            _ => Err(defects),
        }
    }

    /// Reads one field; where it stands several times, all must say the same.
    fn field<T: PartialEq>(
        &self,
        label: Label,
        defects: &mut Vec<Defect>,
        read: impl Fn(&str) -> Result<T, Unreadable>,
    ) -> Option<T> {
        let name = Sentence::new(
            format!("{} ({})", label.chinese(), label.key()),
            format!("{}（{}）", label.chinese(), label.key()),
        );
        let mut values = self.values(label);
        let Some(first) = values.next() else {
            defects.push(Defect::new(
                DefectCode::FieldMissing,
                Sentence::new(
                    format!("expected a value for {}, found none", name.en),
                    format!("找不到{}的內容", name.zh),
                ),
            ));
            return None;
        };
        let value = read(first);
        let agrees = |other: &&str| *other == first || value.is_ok() && read(other) == value;
        let conflicting = values.find(|other| !agrees(other));
        let first = shown(first);
        if let Some(other) = conflicting.map(shown) {
            defects.push(Defect::new(
                DefectCode::FieldConflict,
                Sentence::new(
                    format!(
                        "{} stands with different values: {first} and {other}",
                        name.en
                    ),
                    format!("{}出現不同的內容：{first} 與 {other}", name.zh),
                ),
            ));
            return None;
        }
        let (code, detail) = match value {
            Ok(value) => return Some(value),
            Err(Unreadable::Malformed(expected, expected_zh)) => (
                DefectCode::FieldMalformed,
                Sentence::new(
                    format!("expected {expected} for {}, found {first}", name.en),
                    format!("{}應為{expected_zh}，信中是 {first}", name.zh),
                ),
            ),
            Err(Unreadable::NotAPair(found)) => (
                DefectCode::PeriodNotAPair,
                Sentence::new(
                    format!(
                        "expected an odd month and the even month after it in one year for {}, \
                         found {found}",
                        name.en
                    ),
                    format!("{}應為同一年的單月和下一個雙月，信中是 {found}", name.zh),
                ),
            ),
        };
        defects.push(Defect::new(code, detail));
        None
    }
}

/// A value as a person may see it: bounded, and what would hide or reorder text written out, so
/// that a value which looks right shows what is wrong with it.
pub fn shown(value: &str) -> String {
    const MAX_SHOWN: usize = 60;
    let beginning: String = value.chars().take(MAX_SHOWN + 1).collect();
    let text = stranger::visible(&beginning);
    let mut text: String = text.chars().take(MAX_SHOWN + 1).collect();
    if text.chars().count() > MAX_SHOWN {
        text.pop();
        text.push('…');
    }
    format!("`{text}`")
}

fn range(begin: InvoiceNo, end: InvoiceNo, defects: &mut Vec<Defect>) -> Option<Range> {
    let fault = match Range::new(begin, end) {
        Ok(range) => return Some(range),
        Err(fault) => fault,
    };
    if fault.misaligned {
        defects.push(Defect::new(
            DefectCode::RangeMisaligned,
            Sentence::new(
                format!(
                    "expected a begin ending in 00 or 50 and an end in 49 or 99, found {begin} and \
                     {end}"
                ),
                format!("起號應以 00 或 50 結尾、迄號應以 49 或 99 結尾，信中是 {begin} 與 {end}"),
            ),
        ));
    }
    if fault.reversed {
        defects.push(Defect::new(
            DefectCode::RangeReversed,
            Sentence::new(
                format!("expected the end not before the begin, found {begin} to {end}"),
                format!("迄號不應小於起號，信中是 {begin} 到 {end}"),
            ),
        ));
    }
    None
}

fn number(value: &str) -> Result<InvoiceNo, Unreadable> {
    InvoiceNo::parse(value).ok_or(Unreadable::Malformed("8 digits", "八位數字"))
}

fn invoice_type(value: &str) -> Result<InvoiceType, Unreadable> {
    let value = without_spaces(value);
    let name = value.strip_suffix("之電子發票").unwrap_or(&value);
    [InvoiceType::General, InvoiceType::Special]
        .into_iter()
        .find(|known| known.name() == name)
        .or_else(|| InvoiceType::from_code(name))
        .ok_or(Unreadable::Malformed(
            "一般稅額計算 or 特種稅額計算",
            "「一般稅額計算」或「特種稅額計算」",
        ))
}

/// A count, perhaps with thousands separators and the unit.
fn booklets(value: &str) -> Result<u32, Unreadable> {
    let count = value.strip_suffix('本').unwrap_or(value).trim_end();
    let mut groups = count.split(',');
    let first = groups.next().unwrap_or_default();
    let grouped = count.contains(',');
    let well_formed = first
        .bytes()
        .chain(groups.clone().flat_map(str::bytes))
        .all(|b| b.is_ascii_digit())
        && (!grouped || (1..=3).contains(&first.len()) && groups.all(|group| group.len() == 3));
    let digits: String = count.split(',').collect();
    match digits.parse() {
        Ok(count) if well_formed => Ok(count),
        _ => Err(Unreadable::Malformed(
            "a number of booklets",
            "整數，例如 128",
        )),
    }
}

/// The forms in which notices and people write a period; the second month may leave out its
/// year. Years have two or three digits, and five digits alone are year and month.
/// A period as people write it, e.g. `107/05 ~ 107/06` or `107年05月-06月`; `None` for anything else.
pub fn period_as_written(text: &str) -> Option<Period> {
    let folded: String = text.nfkc().collect();
    period(&folded).ok().or_else(|| folded.trim().parse().ok())
}

fn period(value: &str) -> Result<Period, Unreadable> {
    let malformed = Unreadable::Malformed(
        "a period such as 107/05 - 107/06",
        "起迄年月，例如 107/05 - 107/06",
    );
    let value = without_spaces(value);
    let dash = |c: char| {
        // Hyphens, dashes, minus and the tildes NFKC leaves apart.
        matches!(
            c,
            '-' | '~' | '至' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{223c}' | '\u{301c}'
        )
    };
    let Some((first, last)) = value.split_once(dash) else {
        return Err(malformed);
    };
    let Some((year, odd)) = year_and_month(first) else {
        return Err(malformed);
    };
    let last = match month(last) {
        Some(even) => Some((year, even)),
        None => year_and_month(last),
    };
    let Some(last) = last else {
        return Err(malformed);
    };
    Period::from_months((year, odd), last).map_err(|error| match error {
        PeriodError::NotAPair(months) => Unreadable::NotAPair(months),
        PeriodError::Malformed(_) => malformed,
    })
}

/// `107/05`, `107年05月`, `107年05`, `10705`.
fn year_and_month(text: &str) -> Option<(u16, u8)> {
    let (year, rest) = match text.split_once(['/', '年']) {
        Some(parts) => parts,
        None if text.len() == 5 => text.split_at_checked(3)?,
        None => return None,
    };
    let year_digits = (2..=3).contains(&year.len()) && year.bytes().all(|b| b.is_ascii_digit());
    let year = year_digits.then(|| year.parse().ok()).flatten()?;
    (year > 0).then_some((year, month(rest)?))
}

/// `05`, `5`, `05月`.
fn month(text: &str) -> Option<u8> {
    let digits = text.strip_suffix('月').unwrap_or(text);
    let plain = (1..=2).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    let month = plain.then(|| digits.parse().ok()).flatten()?;
    (1..=12).contains(&month).then_some(month)
}

fn without_spaces(value: &str) -> String {
    value.split_whitespace().collect()
}

#[cfg(test)]
mod tests;
