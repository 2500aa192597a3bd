//! What the header alone says of a message: who, to whom, about what.
//!
//! Left out on purpose: any proof of it.
//!
//! Guarantee: a header that can be read in two ways is reported, not resolved.

use super::{
    Address, Defect, DefectCode, Gate, Rules, Sentence, Warning, WarningCode,
    draft::shown,
    header::{self, Header},
    layout, sender,
};
use crate::stranger;

/// The platform's mail comes from below this domain.
const PLATFORM: &str = "nat.gov.tw";

/// The fields of a header that matter here, decoded.
#[derive(Debug)]
pub(super) struct Envelope {
    /// Every entry of every From field; `None` for one that is no plain address.
    from: Vec<Option<Address>>,
    sender: Vec<Option<Address>>,
    /// As they decode, what cannot be seen still in them.
    subjects: Vec<String>,
    from_fields: usize,
    sender_fields: usize,
    /// Whether it says it was sent by a program. RFC 3834 §5.
    automatic: bool,
}

impl Envelope {
    /// Decodes what matters of a header.
    pub(super) fn read(header: &Header<'_>) -> Self {
        let addresses = |name| header.all(name).flat_map(sender::addresses).collect();
        Self {
            from: addresses("From"),
            sender: addresses("Sender"),
            subjects: header.all("Subject").map(header::text).collect(),
            from_fields: header.all("From").count(),
            sender_fields: header.all("Sender").count(),
            automatic: header.first("Auto-Submitted").is_some(),
        }
    }

    /// The one address in From.
    pub(super) fn from(&self) -> Option<&Address> {
        match (self.from_fields, self.from.as_slice()) {
            (1, [Some(address)]) => Some(address),
            _ => None,
        }
    }

    /// The first Subject, as a person may see it: on one line, what cannot be seen written out.
    pub(super) fn subject(&self) -> String {
        let first = self.subjects.first();
        first.map_or_else(String::new, |subject| stranger::visible(subject))
    }

    /// Whether the body is worth a look.
    pub(super) fn gate(&self, rules: &Rules) -> Gate {
        let own = self.from().is_some() && self.from() == rules.own_address.as_ref();
        let from_platform = self
            .from
            .iter()
            .flatten()
            .any(|from| from.is_under(PLATFORM));
        let from_known = from_platform || self.is_from_sender(rules);
        if !(own && self.automatic) && (from_known || self.is_on_topic()) {
            Gate::Fetch
        } else {
            Gate::Unrelated
        }
    }

    /// Whether its subject speaks of allocated numbers at all.
    pub(super) fn is_on_topic(&self) -> bool {
        self.says("配號") || self.says("字軌")
    }

    /// Whether it claims to be a notice.
    pub(super) fn claims(&self, rules: &Rules) -> bool {
        self.is_from_sender(rules) && self.says("配號結果")
    }

    fn is_from_sender(&self, rules: &Rules) -> bool {
        let mut from = self.from.iter().flatten();
        from.any(|from| rules.senders.contains(from))
    }

    fn says(&self, words: &str) -> bool {
        // Nobody's notice is lost to a character that nobody sees.
        self.subjects.iter().any(|subject| {
            let said = stranger::said(subject);
            said.contains(words) || layout::fold(&said).contains(words)
        })
    }

    /// What is wrong with the header of a notice.
    pub(super) fn defects(&self, rules: &Rules) -> Vec<Defect> {
        let mut defects = Vec::new();
        let from = listed(&self.from);
        if !self.is_from_sender(rules) {
            defects.push(Defect::new(
                DefectCode::SenderNotAllowed,
                Sentence::new(
                    format!(
                        "From is {}, which is not among the senders; a notice that was passed on \
                         must be forwarded as an attachment",
                        from.en
                    ),
                    format!(
                        "寄件人不在 senders 名單上（{}）；同仁轉寄的通知，須以附件方式轉寄",
                        from.zh
                    ),
                ),
            ));
        } else if !self.says("配號結果") {
            let subject = shown(&self.subject());
            defects.push(Defect::new(
                DefectCode::SubjectUnexpected,
                Sentence::new(
                    format!("expected a subject that says 配號結果, found {subject}"),
                    format!("主旨應含「配號結果」，這封信的主旨是 {subject}"),
                ),
            ));
        }
        let ambiguous = |detail| Defect::new(DefectCode::AmbiguousHeader, detail);
        if self.from_fields > 1 || self.from.len() > 1 {
            let fields = self.from_fields;
            defects.push(ambiguous(Sentence::new(
                format!(
                    "expected one From field with one address, found {fields} with {}",
                    from.en
                ),
                format!(
                    "應只有一個 From 欄位、一個地址，這封信有 {fields} 個欄位（{}）",
                    from.zh
                ),
            )));
        }
        for (name, count) in [
            ("Subject", self.subjects.len()),
            ("Sender", self.sender_fields),
        ] {
            if count > 1 {
                defects.push(ambiguous(Sentence::new(
                    format!("expected one {name} field, found {count}"),
                    format!("應只有一個 {name} 欄位，這封信有 {count} 個"),
                )));
            }
        }
        defects
    }

    /// What a person should know of the header of a notice.
    pub(super) fn warnings(&self) -> Vec<Warning> {
        let differs = self.sender_fields > 0 && self.sender != self.from;
        let warning = differs.then(|| {
            let (sender, from) = (listed(&self.sender), listed(&self.from));
            Warning::new(
                WarningCode::SenderDiffers,
                Sentence::new(
                    format!("Sender is {}, From is {}", sender.en, from.en),
                    format!("Sender 欄位（{}）與寄件人（{}）不同", sender.zh, from.zh),
                ),
            )
        });
        warning.into_iter().collect()
    }
}

/// Some addresses for a person to see.
fn listed(addresses: &[Option<Address>]) -> Sentence {
    const MAX_LISTED: usize = 5;
    if addresses.is_empty() {
        return Sentence::new("no address", "沒有地址");
    }
    let names = addresses
        .iter()
        .take(MAX_LISTED)
        .map(|address| match address {
            Some(address) => Sentence::new(shown(address.as_str()), shown(address.as_str())),
            None => Sentence::new("something that is no address", "無法辨識的地址"),
        });
    let (mut en, mut zh): (Vec<String>, Vec<String>) = names.map(|name| (name.en, name.zh)).unzip();
    if let more @ 1.. = addresses.len().saturating_sub(MAX_LISTED) {
        en.push(format!("{more} more"));
        zh.push(format!("另外 {more} 個"));
    }
    Sentence::new(en.join(", "), zh.join("、"))
}
