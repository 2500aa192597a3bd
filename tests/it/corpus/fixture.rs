//! The files of the corpus: finding them in pairs, and what a `.json` may say.
//!
//! Guarantee: a key that nobody reads, a mail without expectation and an expectation without mail
//! are refused, so that no fixture is silently without effect.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use invoice_trackd::notice::{
    Address, Allocation, Assignment, Authenticity, Ban, Block, Companies, Company, Defect,
    InvoiceNo, InvoiceType, Label, Range, Recorded, Rules, Sentence,
};
use jiff::civil::{Date, date};
use serde::{Deserialize, Deserializer};

/// All mails under `root` with what is expected of them, in a stable order.
///
/// # Errors
/// An incomplete pair, a file that is neither half of one, a `.json` that does not parse, and an
/// empty corpus: no test shall pass on any of these.
pub fn corpus(root: &Path) -> Result<Vec<(PathBuf, Fixture)>, String> {
    let mut mails = BTreeSet::new();
    let mut expectations = BTreeSet::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.extension().and_then(|extension| extension.to_str()) {
                _ if path.is_dir() => folders.push(path),
                Some("eml") => drop(mails.insert(path.with_extension(""))),
                Some("json") => drop(expectations.insert(path.with_extension(""))),
                _ if path.ends_with(".gitattributes") => {}
                _ => return Err(format!("{} is neither .eml nor .json", path.display())),
            }
        }
    }
    if mails.is_empty() {
        return Err(format!("no mails under {}", root.display()));
    }
    if let Some(alone) = mails.symmetric_difference(&expectations).next() {
        return Err(format!(
            "{} is an .eml without .json or a .json without .eml",
            alone.display()
        ));
    }
    mails
        .into_iter()
        .map(|stem| {
            let json = stem.with_extension("json");
            let fixture = serde_json::from_str(&fs::read_to_string(&json).unwrap())
                .map_err(|error| format!("{}: {error}", json.display()))?;
            Ok((stem.with_extension("eml"), fixture))
        })
        .collect()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fixture {
    /// One sentence for whoever finds this mail failing.
    pub shows: String,
    /// The code that a mail almost like this one would have.
    pub near_miss_of: Option<String>,
    #[serde(default)]
    pub given: Given,
    pub expect: Expect,
}

/// What a judgement depends on besides the mail.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Given {
    pub today: Date,
    pub companies: Vec<GivenCompany>,
    pub mailbox_company: Option<String>,
    pub accept_unlisted_companies: bool,
    /// By [`Label::key`].
    pub labels: BTreeMap<String, Vec<String>>,
    pub recipient_headers: Option<Vec<String>>,
    pub senders: Option<Vec<String>>,
    pub max_message_bytes: Option<u64>,
    pub own_address: Option<String>,
    pub authenticity: GivenAuthenticity,
    /// The ledger; row 1 is the first.
    pub recorded: Vec<GivenRow>,
}

impl Default for Given {
    fn default() -> Self {
        Self {
            // The day after 107/05-06 was given out.
            today: date(2018, 4, 21),
            companies: vec![GivenCompany {
                ban: "53567686".to_owned(),
                name: "雲端行動科技股份有限公司".to_owned(),
                assignment: GivenAssignment::Period,
                recipients: vec!["einvoice@example.com".to_owned()],
            }],
            mailbox_company: None,
            accept_unlisted_companies: false,
            labels: BTreeMap::new(),
            recipient_headers: None,
            senders: None,
            max_message_bytes: None,
            own_address: None,
            authenticity: GivenAuthenticity::NotRequired,
            recorded: Vec::new(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GivenCompany {
    pub ban: String,
    pub name: String,
    pub assignment: GivenAssignment,
    pub recipients: Vec<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GivenAssignment {
    Period,
    Year,
    None,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum GivenAuthenticity {
    NotRequired,
    Proven { signed: Option<Vec<String>> },
    Unproven(String),
    Unknown(String),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GivenRow {
    pub ban: String,
    pub invoice_type: String,
    pub year_month: String,
    pub invoice_track: String,
    pub invoice_begin_no: String,
    pub invoice_end_no: String,
    pub requested_booklets: Option<u32>,
    pub added_booklets: Option<u32>,
    pub from_file: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    pub disposition: String,
    /// `unrelated` where the header alone must already say so. Everything whose disposition is
    /// another must pass the gate in any case.
    pub gate: Option<ExpectedGate>,
    /// The codes in the order of the documentation. How many defects share a code is not
    /// compared: two empty fields may be two sentences or one.
    pub defects: Vec<ExpectedDefect>,
    pub warnings: Option<Vec<String>>,
    /// `null` says that there must be none.
    #[serde(default, deserialize_with = "present")]
    pub company: Option<Option<ExpectedCompany>>,
    pub allocations: Option<Vec<Row>>,
    /// How many of the allocations the ledger must be found to hold already.
    pub known: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExpectedGate {
    Unrelated,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum ExpectedDefect {
    Code(String),
    Detailed {
        code: String,
        detail_contains: Vec<String>,
    },
}

impl ExpectedDefect {
    pub fn code(&self) -> &str {
        match self {
            Self::Code(code) | Self::Detailed { code, .. } => code,
        }
    }

    pub fn is_shown_by(&self, found: &Defect) -> bool {
        let in_detail = match self {
            Self::Code(_) => &[],
            Self::Detailed {
                detail_contains, ..
            } => detail_contains.as_slice(),
        };
        found.code.as_str() == self.code()
            && in_detail
                .iter()
                .all(|part| found.detail.en.contains(part) && found.detail.zh.contains(part))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedCompany {
    pub ban: String,
    pub source: String,
}

/// The allocation columns of the ledger that a mail decides.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    pub ban: String,
    pub invoice_type: String,
    pub year_month: String,
    pub invoice_track: String,
    pub invoice_begin_no: String,
    pub invoice_end_no: String,
    pub invoice_booklet: u32,
    pub requested_booklets: Option<u32>,
    pub added_booklets: Option<u32>,
}

/// Tells a key that is `null` from one that is absent.
fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

pub fn ban(text: &str) -> Ban {
    text.parse().unwrap()
}

fn addresses(texts: &[String]) -> Vec<Address> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

impl Given {
    pub fn rules(&self) -> Rules {
        let defaults = Rules::default();
        let companies = self.companies.iter().map(|company| Company {
            assignment: match company.assignment {
                GivenAssignment::Period => Assignment::Period,
                GivenAssignment::Year => Assignment::Year,
                GivenAssignment::None => Assignment::None,
            },
            recipients: addresses(&company.recipients),
            ..Company::new(ban(&company.ban), company.name.as_str())
        });
        let labels = self.labels.iter().flat_map(|(key, spellings)| {
            let label = Label::ALL
                .iter()
                .copied()
                .find(|label| label.key() == key)
                .unwrap_or_else(|| panic!("`{key}` is no label"));
            spellings.iter().map(move |text| (label, text.clone()))
        });
        Rules {
            senders: self.senders.as_deref().map_or(defaults.senders, addresses),
            labels: labels.collect(),
            recipient_headers: self
                .recipient_headers
                .clone()
                .unwrap_or(defaults.recipient_headers),
            max_message_bytes: self.max_message_bytes.unwrap_or(defaults.max_message_bytes),
            accept_unlisted_companies: self.accept_unlisted_companies,
            own_address: self
                .own_address
                .as_deref()
                .map(|text| text.parse().unwrap()),
            companies: Companies::new(companies.collect()).unwrap(),
        }
    }

    pub fn authenticity(&self) -> Authenticity {
        match &self.authenticity {
            GivenAuthenticity::NotRequired => Authenticity::NotRequired,
            GivenAuthenticity::Proven { signed } => Authenticity::Proven {
                signed: signed.clone(),
            },
            GivenAuthenticity::Unproven(why) => {
                Authenticity::Unproven(Sentence::new(why, "沒有證明"))
            }
            GivenAuthenticity::Unknown(why) => Authenticity::Unknown(why.clone()),
        }
    }

    pub fn recorded(&self) -> Vec<Recorded> {
        let number = |text: &str| InvoiceNo::parse(text).unwrap();
        (1..)
            .zip(&self.recorded)
            .map(|(id, row)| Recorded {
                id,
                allocation: Allocation {
                    ban: ban(&row.ban),
                    block: Block {
                        invoice_type: InvoiceType::from_code(&row.invoice_type).unwrap(),
                        period: row.year_month.parse().unwrap(),
                        track: row.invoice_track.parse().unwrap(),
                        range: Range::new(
                            number(&row.invoice_begin_no),
                            number(&row.invoice_end_no),
                        )
                        .unwrap(),
                        requested_booklets: row.requested_booklets,
                        added_booklets: row.added_booklets,
                    },
                },
                from_file: row.from_file,
            })
            .collect()
    }
}
