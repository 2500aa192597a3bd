//! Which tables and keys the file has, and what to say about any other.
//!
//! Left out on purpose: what the values may be; each section knows its own. Keys of later versions
//! are listed so that they are refused by name: a setting that is silently ignored is a trap.

/// One table of the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Schema {
    /// Its dotted name, e.g. `mail.smtp`; empty for the top of the file.
    pub(super) path: &'static str,
    /// Whether it stands in double brackets, any number of times.
    pub(super) repeated: bool,
    /// What it may hold.
    pub(super) keys: &'static [&'static str],
    /// What it will hold in a later version.
    later: &'static [&'static str],
}

pub(super) const ROOT: Schema = Schema {
    path: "",
    repeated: false,
    keys: &[
        "language",
        "ledger",
        "notice",
        "authenticity",
        "company",
        "mailbox",
        "mail",
        "schedule",
        "http",
    ],
    later: &["handoff", "heartbeat"],
};

pub(super) const LEDGER: Schema = table("ledger", &["url"], &[]);

pub(super) const NOTICE: Schema = table(
    "notice",
    &[
        "senders",
        "recipient_headers",
        "max_message_bytes",
        "accept_unlisted_companies",
        "labels",
    ],
    &["companies_file"],
);

/// The keys are those of `notice::Label`; a test holds the two together.
pub(super) const LABELS: Schema = table(
    "notice.labels",
    &[
        "invoice_track",
        "year_month",
        "invoice_type",
        "requested_booklets",
        "added_booklets",
        "invoice_begin_no",
        "invoice_end_no",
    ],
    &[],
);

pub(super) const AUTHENTICITY: Schema = table(
    "authenticity",
    &["require", "domains", "trusted_authserv_ids", "dns_servers"],
    &[],
);

pub(super) const COMPANY: Schema = Schema {
    path: "company",
    repeated: true,
    keys: &["ban", "name", "assignment", "recipients"],
    later: &[],
};

pub(super) const MAILBOX: Schema = Schema {
    path: "mailbox",
    repeated: true,
    keys: &[
        "name",
        "kind",
        "host",
        "port",
        "tls",
        "ca_file",
        "username",
        "password",
        "folder",
        "path",
        "company",
        "since",
        "after_import",
    ],
    later: &["results", "provider"],
};

pub(super) const MAIL: Schema = table(
    "mail",
    &[
        "from",
        "confirm_to",
        "alert_to",
        "transport",
        "directory",
        "give_up_after",
        "alert_window",
        "confirm",
        "confirm_window",
        "smtp",
    ],
    &[],
);

pub(super) const SMTP: Schema = table(
    "mail.smtp",
    &[
        "host",
        "port",
        "tls",
        "ca_file",
        "username",
        "password",
        "max_per_minute",
    ],
    &[],
);

/// `after_import = { … }`, which is written inline and so is no table of [`ALL`].
pub(super) const AFTER_IMPORT: Schema = table("mailbox.after_import", &["move_to"], &[]);

pub(super) const SCHEDULE: Schema = table("schedule", &["due_day", "reminder_day"], &[]);

pub(super) const HTTP: Schema = table("http", &["listen"], &["token"]);

const ALL: &[&Schema] = &[
    &ROOT,
    &LEDGER,
    &NOTICE,
    &LABELS,
    &AUTHENTICITY,
    &COMPANY,
    &MAILBOX,
    &MAIL,
    &SMTP,
    &SCHEDULE,
    &HTTP,
];

const fn table(
    path: &'static str,
    keys: &'static [&'static str],
    later: &'static [&'static str],
) -> Schema {
    Schema {
        path,
        repeated: false,
        keys,
        later,
    }
}

impl Schema {
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
        if self.keys.contains(&key) {
            return None;
        }
        if self.later.contains(&key) {
            return Some(format!(
                "{}: this version does not do that yet; take it out",
                self.path_of(key)
            ));
        }
        let advice = if let Some(table) = ALL.iter().find(|table| table.name() == key) {
            format!("did you mean {}?", table.header())
        } else if let Some(homes) = homes_of(key) {
            format!("it belongs {homes}")
        } else if let Some(near) = self.nearest(key) {
            format!("did you mean {}?", self.spelling(near))
        } else {
            let keys: Vec<String> = self.keys.iter().map(|key| self.spelling(key)).collect();
            format!("what may stand there: {}", keys.join(", "))
        };
        Some(format!("unknown key `{key}` {}; {advice}", self.place()))
    }

    /// The key that was probably meant: one slip in three letters is still a slip.
    fn nearest(&self, key: &str) -> Option<&'static str> {
        self.keys
            .iter()
            .map(|known| (strsim::damerau_levenshtein(key, known), *known))
            .filter(|(distance, _)| *distance <= (key.chars().count() / 3).max(1))
            .min()
            .map(|(_, known)| known)
    }

    /// A key as the operator writes it, which for a table is its header.
    fn spelling(&self, key: &str) -> String {
        let path = self.path_of(key);
        ALL.iter()
            .find(|schema| schema.path == path)
            .map_or_else(|| format!("`{key}`"), |schema| schema.header())
    }
}

/// Where `key` would be right.
fn homes_of(key: &str) -> Option<String> {
    let homes: Vec<String> = ALL
        .iter()
        .filter(|schema| schema.keys.contains(&key))
        .map(|schema| schema.place())
        .collect();
    (!homes.is_empty()).then(|| homes.join(" or "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notice::Label;

    #[test]
    fn every_label_of_a_notice_has_its_key() {
        let keys: Vec<&str> = Label::ALL.iter().map(|label| label.key()).collect();
        assert_eq!(LABELS.keys, keys);
    }

    #[test]
    fn the_shipped_file_shows_every_key() {
        let shipped = include_str!("../../config/invoice-trackd.toml");
        for schema in ALL {
            for key in schema.keys {
                let shown = shipped.lines().any(|line| {
                    let line = line.trim_start_matches(['#', ':', ' ']);
                    let header = [
                        format!("[{}]", schema.path_of(key)),
                        format!("[[{}]]", schema.path_of(key)),
                    ];
                    line.starts_with(&format!("{key} = ")) || header.iter().any(|h| line == h)
                });
                assert!(shown, "{} is not shown", schema.path_of(key));
            }
        }
    }
}
