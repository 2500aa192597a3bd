//! What people must be told of numbers that are due: each holds all that its letter will say of one
//! look, for the same people. Left out on purpose: what is due.

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

/// The number of booklets for the next period can be changed for a few more days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reminder {
    /// For whom it is; empty: for those who get all alerts.
    #[serde(default)]
    pub to: Vec<String>,
    /// The next period, as MIG writes it.
    pub year_month: String,
    /// The last day on which it can be changed, Asia/Taipei.
    pub until: Date,
    /// Whose, in the order of the configuration.
    pub companies: Vec<Reminded>,
}

/// A company that is reminded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reminded {
    /// 營業人統編
    pub ban: String,
    /// Its configured name.
    pub name: String,
    /// Booklets of the running period.
    pub booklets: u64,
    /// Booklets of the one before.
    pub booklets_before: u64,
}

/// Numbers that are due have not come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overdue {
    /// For whom it is; empty: for those who get all alerts.
    #[serde(default)]
    pub to: Vec<String>,
    /// Whose, in the order of the configuration.
    pub companies: Vec<Missing>,
    /// The watched mailboxes.
    pub mailboxes: Vec<Watched>,
    /// Mails in quarantine of which it cannot be told whose they are.
    pub nobodys: u64,
    /// Mails that wait for a resolver.
    pub waiting: u64,
}

/// A company whose numbers have not come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// 營業人統編
    pub ban: String,
    /// Its configured name.
    pub name: String,
    /// `overdue`, `last_day` or `first_day`.
    pub stage: String,
    /// What is awaited as one: a period as MIG writes it, or a ROC year of three digits.
    pub awaited: String,
    /// The periods without numbers, as MIG writes them, in time.
    pub year_months: Vec<String>,
    /// The day by whose end they were due, Asia/Taipei.
    pub due_by: Date,
    /// `message.id` of the mails in quarantine that are this company's.
    pub quarantined: Vec<i64>,
}

/// A mailbox in which a notice might have come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    /// The configured name.
    pub name: String,
    /// Its last sign of life; `None` when it never gave one.
    pub last_ok_at: Option<Timestamp>,
    /// The last error's words; `None` while it answers.
    pub trouble: Option<String>,
}

/// Numbers of which people were told that they have not come have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrived {
    /// For whom it is; empty: for those who get all alerts.
    #[serde(default)]
    pub to: Vec<String>,
    /// Whose, in the order of the configuration.
    pub companies: Vec<Come>,
}

/// A company whose numbers have come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Come {
    /// 營業人統編
    pub ban: String,
    /// Its configured name.
    pub name: String,
    /// As [`Missing::awaited`].
    pub awaited: String,
    /// Booklets in force, of all its periods.
    pub booklets: u64,
    /// When people were told last that they have not come.
    pub told_at: Timestamp,
}
