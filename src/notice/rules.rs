//! What the operator has said about notices: who sends them, whose they are, how far they reach.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
};

use unicode_normalization::UnicodeNormalization as _;

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

/// The configured companies, each BAN once. Clones share one list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Companies(Arc<Listed>);

/// There may be hundreds of thousands: what finds them repeats none of their words.
#[derive(Debug, Default, PartialEq, Eq)]
struct Listed {
    list: Vec<Company>,
    /// Where each stands in the list, sorted by BAN.
    by_ban: Vec<(Ban, u32)>,
    /// The same by the hash of the name, companies of one hash in the order of the list.
    by_name: Vec<(u64, u32)>,
    /// The same by the hash of each recipient.
    by_recipient: Vec<(u64, u32)>,
}

impl Companies {
    /// Keeps the order given.
    ///
    /// # Errors
    /// The first BAN that stands twice.
    pub fn new(list: Vec<Company>) -> Result<Self, Ban> {
        let numbered = || (0_u32..).zip(&list);
        let mut by_ban: Vec<_> = numbered().map(|(at, one)| (one.ban, at)).collect();
        by_ban.sort_unstable();
        let pairs = by_ban.iter().zip(by_ban.iter().skip(1));
        let second = pairs.filter(|((one, _), (other, _))| one == other);
        if let Some((ban, _)) = second.map(|(_, again)| again).min_by_key(|(_, at)| *at) {
            return Err(*ban);
        }
        let by_name = numbered().map(|(at, one)| (hash(&named(&one.name)), at));
        let by_recipient = numbered().flat_map(|(at, one)| {
            let recipients = one.recipients.iter();
            recipients.map(move |address| (hash(address.as_str()), at))
        });
        let (by_name, by_recipient) = (sorted(by_name), sorted(by_recipient));
        Ok(Self(Arc::new(Listed {
            list,
            by_ban,
            by_name,
            by_recipient,
        })))
    }

    /// The company with this number.
    pub fn get(&self, ban: Ban) -> Option<&Company> {
        let by_ban = &self.0.by_ban;
        let found = by_ban.binary_search_by_key(&ban, |(ban, _)| *ban).ok()?;
        by_ban.get(found).and_then(|(_, at)| self.at(*at))
    }

    /// Those of this name, in the order of the configuration; full-width letters and spaces around
    /// it make no difference.
    pub fn of_name(&self, name: &str) -> impl Iterator<Item = &Company> {
        let name = named(name);
        self.hashed(&self.0.by_name, hash(&name))
            .filter(move |company| named(&company.name) == name)
    }

    /// Those that list this recipient, each once, in the order of the configuration.
    pub fn of_recipient(&self, address: &Address) -> impl Iterator<Item = &Company> {
        self.hashed(&self.0.by_recipient, hash(address.as_str()))
            .filter(move |company| company.recipients.contains(address))
    }

    /// All of them, in the order of the configuration.
    pub fn iter(&self) -> std::slice::Iter<'_, Company> {
        self.0.list.iter()
    }

    fn at(&self, at: u32) -> Option<&Company> {
        self.0.list.get(usize::try_from(at).ok()?)
    }

    /// The companies of one hash in an index, among them those that only share it.
    fn hashed<'a>(
        &'a self,
        index: &'a [(u64, u32)],
        hash: u64,
    ) -> impl Iterator<Item = &'a Company> {
        let first = index.partition_point(|(other, _)| *other < hash);
        let from = index.get(first..).unwrap_or_default().iter();
        from.take_while(move |(other, _)| *other == hash)
            .filter_map(|(_, at)| self.at(*at))
    }
}

/// A name as it is compared.
fn named(name: &str) -> String {
    name.nfkc().collect::<String>().trim().to_owned()
}

/// Nothing that a stranger chooses is ever kept in an index, so that the keys need not be secret.
fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// A company that lists a recipient twice stands there once.
fn sorted(index: impl Iterator<Item = (u64, u32)>) -> Vec<(u64, u32)> {
    let mut index: Vec<_> = index.collect();
    index.sort_unstable();
    index.dedup();
    index.shrink_to_fit();
    index
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Valid numbers, in order.
    fn bans() -> impl Iterator<Item = Ban> {
        (10_000_000_u32..).filter_map(|number| number.to_string().parse().ok())
    }

    fn address(number: usize) -> Address {
        format!("numbers{number}@example.com").parse().unwrap()
    }

    /// A thousand, of which every third shares its name with others, written in another way, and
    /// each lists one recipient of its own and two that others may list.
    fn thousand() -> Companies {
        let companies = bans().take(1_000).enumerate().map(|(number, ban)| {
            let name = match number % 3 {
                0 => format!("ＡＢ{} 公司 ", number % 7),
                1 => format!("AB{} 公司", number % 7),
                _ => format!("第{number}公司"),
            };
            Company {
                recipients: [number, number % 5, number % 11].map(address).to_vec(),
                ..Company::new(ban, name)
            }
        });
        Companies::new(companies.collect()).unwrap()
    }

    #[test]
    fn the_indexes_find_what_looking_through_all_would_find_and_in_the_same_order() {
        let companies = thousand();
        let names = (0..1_000).map(|number| format!("第{number}公司"));
        for name in names.chain((0..8).map(|number| format!("　AB{number} 公司"))) {
            let found: Vec<Ban> = companies.of_name(&name).map(|one| one.ban).collect();
            let all = companies
                .iter()
                .filter(|one| named(&one.name) == named(&name));
            assert_eq!(found, all.map(|one| one.ban).collect::<Vec<_>>(), "{name}");
        }
        for address in (0..1_002).map(address) {
            let found: Vec<Ban> = companies
                .of_recipient(&address)
                .map(|one| one.ban)
                .collect();
            let all = companies
                .iter()
                .filter(|one| one.recipients.contains(&address));
            assert_eq!(
                found,
                all.map(|one| one.ban).collect::<Vec<_>>(),
                "{address}"
            );
        }
        for company in companies.iter() {
            assert_eq!(companies.get(company.ban), Some(company));
        }
        assert_eq!(companies.get("53567686".parse().unwrap()), None);
        assert_eq!(companies.of_name("").count(), 0);
    }

    #[test]
    fn the_first_number_that_stands_twice_is_refused() {
        let [one, two, three] = [0, 1, 2].map(|at| bans().nth(at).unwrap());
        let list = [three, one, two, two, one, three].map(|ban| Company::new(ban, "a"));
        assert_eq!(Companies::new(list.to_vec()), Err(two));
    }
}
