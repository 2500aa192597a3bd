//! From bytes to a [`Reading`]: everything a mail says by itself, with what is wrong with it.

use super::{Address, Block, Defect, Rules, Warning};

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
}

/// Decides by the header alone, as the mailbox sees it before the body is fetched.
pub fn gate(_header: &[u8], _rules: &Rules) -> Gate {
    todo!()
}

/// Reads one whole message.
pub fn read(_raw: &[u8], _rules: &Rules) -> Reading {
    todo!()
}

/// The reading of a message that was too large to fetch: only its header and size are known.
pub fn oversized(_header: &[u8], _size: u64, _rules: &Rules) -> Reading {
    todo!()
}

/// The reading of a message on which the reader itself failed; `what` is the panic's message.
pub fn panicked(_what: &str) -> Reading {
    todo!()
}
