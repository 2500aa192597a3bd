//! Which tables and keys the file has, and what to say about any other.
//!
//! Left out on purpose: what the values may be; each section knows its own. Keys of later versions
//! are listed so that they are refused by name: a setting that is silently ignored is a trap.

mod keys;
mod reference;

pub(super) use self::keys::{
    AFTER_IMPORT, AUTHENTICITY, COMPANY, HANDOFF, HTTP, LABELS, LEDGER, MAIL, MAILBOX,
    MAILBOX_OAUTH, NOTICE, ROOT, SCHEDULE, SMTP, SMTP_OAUTH,
};
pub use self::reference::reference;

/// One table of the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Schema {
    /// Its dotted name, e.g. `mail.smtp`; empty for the top of the file.
    pub(super) path: &'static str,
    /// Whether it stands in double brackets, any number of times.
    pub(super) repeated: bool,
    /// What it is for.
    about: &'static str,
    /// Its values.
    keys: &'static [Key],
    /// The tables inside it, by their last names.
    tables: &'static [&'static str],
    /// What it will hold in a later version.
    later: &'static [&'static str],
}

/// One value of a table. What is said of it is Markdown.
#[derive(Debug, PartialEq, Eq)]
struct Key {
    name: &'static str,
    /// What may be written.
    form: &'static str,
    default: Fallback,
    /// What it is for, in a sentence or two.
    about: &'static str,
}

/// What holds when a key is left out.
#[derive(Debug, PartialEq, Eq)]
enum Fallback {
    /// This value, as TOML.
    Value(&'static str),
    /// What only words can say, `required` among them.
    Words(&'static str),
}

impl Schema {
    const fn table(path: &'static str, about: &'static str, keys: &'static [Key]) -> Self {
        Self {
            path,
            repeated: false,
            about,
            keys,
            tables: &[],
            later: &[],
        }
    }

    /// All names that may stand in it.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        let keys = self.keys.iter().map(|key| key.name);
        keys.chain(self.tables.iter().copied())
    }

    /// Whether `key` may stand in it.
    pub(super) fn has(&self, key: &str) -> bool {
        self.names().any(|name| name == key)
    }

    /// As it stands in the file: `[mail.smtp]`, `[[mailbox]]`.
    pub(super) fn header(&self) -> String {
        let path = self.path;
        if self.repeated {
            format!("[[{path}]]")
        } else {
            format!("[{path}]")
        }
    }

    fn place(&self) -> String {
        match self.path {
            "" => "at the top of the file".to_owned(),
            _ => format!("in {}", self.header()),
        }
    }

    /// The dotted name of one of its keys.
    pub(super) fn path_of(&self, key: &str) -> String {
        match self.path {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        }
    }

    /// The last part of its path: its key in the table around it.
    pub(super) fn name(&self) -> &'static str {
        self.path.rsplit('.').next().unwrap_or(self.path)
    }

    /// What is wrong with `key` standing here; `None` when nothing is.
    pub(super) fn objection(&self, key: &str) -> Option<String> {
        if self.has(key) {
            return None;
        }
        if self.later.contains(&key) {
            return Some(format!(
                "{}: this version does not do that yet; take it out",
                self.path_of(key)
            ));
        }
        let advice = if let Some(table) = keys::ALL.iter().find(|table| table.name() == key) {
            format!("did you mean {}?", table.header())
        } else if let Some(homes) = homes_of(key) {
            format!("it belongs {homes}")
        } else if let Some(near) = self.nearest(key) {
            format!("did you mean {}?", self.spelling(near))
        } else {
            let keys: Vec<String> = self.names().map(|key| self.spelling(key)).collect();
            format!("what may stand there: {}", keys.join(", "))
        };
        Some(format!("unknown key `{key}` {}; {advice}", self.place()))
    }

    /// The key that was probably meant: one slip in three letters is still a slip.
    pub(super) fn nearest(&self, key: &str) -> Option<&'static str> {
        self.names()
            .map(|known| (strsim::damerau_levenshtein(key, known), known))
            .filter(|(distance, _)| *distance <= (key.chars().count() / 3).max(1))
            .min()
            .map(|(_, known)| known)
    }

    /// A key as the operator writes it, which for a table is its header.
    fn spelling(&self, key: &str) -> String {
        let path = self.path_of(key);
        keys::ALL
            .iter()
            .find(|schema| schema.path == path)
            .map_or_else(|| format!("`{key}`"), |schema| schema.header())
    }
}

/// Where `key` would be right.
fn homes_of(key: &str) -> Option<String> {
    let homes: Vec<String> = keys::ALL
        .iter()
        .filter(|schema| schema.has(key))
        .map(|schema| schema.place())
        .collect();
    (!homes.is_empty()).then(|| homes.join(" or "))
}

#[cfg(test)]
mod tests;
