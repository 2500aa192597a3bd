//! What the operator has said about notices: who sends them, whose they are, how far they reach.

use std::collections::HashMap;

use super::{Address, Ban, Label};

/// How a company is given numbers: 期配, 年配 or 停止使用.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assignment {
    /// 期配: each period's numbers come on the 20th of the even month before it.
    Period,
    /// 年配: all six periods of a year come before it begins.
    Year,
    /// 停止使用: nothing is due.
    None,
}

impl Assignment {
    /// The word the configuration uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Period => "period",
            Self::Year => "year",
            Self::None => "none",
        }
    }
}

/// A company whose notices are expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Company {
    /// 營業人統編
    pub ban: Ban,
    /// The registered name, as a notice may write it between its parentheses.
    pub name: String,
    /// How it is given numbers.
    pub assignment: Assignment,
    /// The addresses registered with the platform under 取號Email維護.
    pub recipients: Vec<Address>,
    /// A notice that has not come by the end of this day is overdue; `None`: everybody's day.
    pub due_day: Option<i8>,
    /// The reminder to change the number of booklets goes out on this day; `None`: everybody's day.
    pub reminder_day: Option<i8>,
    /// Who gets this company's confirmations; empty: who gets everybody's.
    pub confirm_to: Vec<Address>,
    /// Who is told what is due for this company and has not come; empty: who gets all alerts.
    pub alert_to: Vec<Address>,
}

impl Company {
    /// A 期配 company of which nothing else is said.
    pub fn new(ban: Ban, name: impl Into<String>) -> Self {
        Self {
            ban,
            name: name.into(),
            assignment: Assignment::Period,
            recipients: Vec::new(),
            due_day: None,
            reminder_day: None,
            confirm_to: Vec::new(),
            alert_to: Vec::new(),
        }
    }
}

/// The configured companies, each BAN once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Companies {
    list: Vec<Company>,
    by_ban: HashMap<Ban, usize>,
}

impl Companies {
    /// Keeps the order given.
    ///
    /// # Errors
    /// The first BAN that stands twice.
    pub fn new(list: Vec<Company>) -> Result<Self, Ban> {
        let mut by_ban = HashMap::with_capacity(list.len());
        for (at, company) in list.iter().enumerate() {
            if by_ban.insert(company.ban, at).is_some() {
                return Err(company.ban);
            }
        }
        Ok(Self { list, by_ban })
    }

    /// The company with this number.
    pub fn get(&self, ban: Ban) -> Option<&Company> {
        self.by_ban.get(&ban).and_then(|at| self.list.get(*at))
    }

    /// All of them, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &Company> {
        self.list.iter()
    }
}

/// Everything the reading and judging of a notice depends on besides the mail and the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Addresses that notices come from.
    pub senders: Vec<Address>,
    /// Further spellings of labels, beside the built-in ones.
    pub labels: Vec<(Label, String)>,
    /// Header fields that name the recipient, e.g. `To`, `Cc`.
    pub recipient_headers: Vec<String>,
    /// Messages larger than this are quarantined unseen, bytes.
    pub max_message_bytes: u64,
    /// Whether a BAN that is not configured is taken all the same.
    pub accept_unlisted_companies: bool,
    /// Our own From address, so that our own mail is not taken for somebody's.
    pub own_address: Option<Address>,
    /// Whose notices are expected.
    pub companies: Companies,
}

impl Default for Rules {
    fn default() -> Self {
        let senders = [
            "einvoice@invoice.nat.gov.tw",
            "einvoice@einvoice.nat.gov.tw",
        ];
        Self {
            senders: senders
                .iter()
                .filter_map(|sender| sender.parse().ok())
                .collect(),
            labels: Vec::new(),
            recipient_headers: vec!["To".to_owned(), "Cc".to_owned()],
            max_message_bytes: 1_048_576,
            accept_unlisted_companies: false,
            own_address: None,
            companies: Companies::default(),
        }
    }
}
