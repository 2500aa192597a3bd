//! `[mail]` and `[mail.smtp]`: who is told, in which language, and by which way.

use std::{path::Path, time::Duration};

use super::{
    Outgoing,
    document::{Table, Value},
    schema, server,
};
use crate::{
    delivery::{Confirm, Identity, Language, Patience, Style},
    notice::Address,
};

const HOUR: Duration = Duration::from_secs(3_600);

/// Everything about telling people.
pub(super) struct Telling {
    pub(super) style: Style,
    pub(super) patience: Patience,
    pub(super) outgoing: Outgoing,
}

#[derive(Clone, Copy)]
enum Way {
    Smtp,
    Directory,
}

impl Way {
    fn as_str(self) -> &'static str {
        match self {
            Self::Smtp => "smtp",
            Self::Directory => "directory",
        }
    }
}

/// Reads them; `None` only beside a reported mistake.
pub(super) fn telling(root: &Table<'_>, beside_the_ledger: &Path) -> Option<Telling> {
    let language = root
        .get("language")
        .map_or(Some(Language::default()), |value| {
            value.choice(&[Language::ZhTw, Language::En], |language| match language {
                Language::ZhTw => "zh-TW",
                Language::En => "en",
            })
        });
    let table = root.table(&schema::MAIL);
    if !table.is_present() {
        return Some(Telling {
            style: Style {
                language: language?,
                from: nobody(),
                confirm_to: Vec::new(),
                alert_to: Vec::new(),
                confirm: Confirm::default(),
                handoffs: Vec::new(),
            },
            patience: Patience::default(),
            outgoing: Outgoing::Nowhere,
        });
    }
    let from = table
        .require(
            "from",
            "our own address, as \"invoice-trackd <einvoice@example.com>\"",
        )
        .and_then(|value| value.parse::<Identity>());
    let confirm_to = table
        .get("confirm_to")
        .map_or_else(Vec::new, |value| addresses(&value.items()));
    let alert_to = table
        .require("alert_to", "a list of the addresses that get alerts")
        .map_or_else(Vec::new, |value| {
            addresses(&value.some_items("a quarantined notice that nobody hears of is a lost one"))
        });
    let confirm = table
        .get("confirm")
        .map_or(Some(Confirm::default()), |value| {
            value.choice(&[Confirm::Each, Confirm::Digest], Confirm::as_str)
        });
    let patience = patience(&table);
    let outgoing = outgoing(&table, beside_the_ledger);
    Some(Telling {
        style: Style {
            language: language?,
            from: from?,
            confirm_to,
            alert_to,
            confirm: confirm?,
            handoffs: Vec::new(),
        },
        patience,
        outgoing: outgoing?,
    })
}

/// The sender of the mails that are not sent: without `[mail]` nobody is told anything.
#[expect(
    clippy::expect_used,
    reason = "a constant, and every test without [mail] reads it"
)]
fn nobody() -> Identity {
    "invoice-trackd@localhost"
        .parse()
        .expect("the constant is an address")
}

fn addresses(items: &[Value<'_>]) -> Vec<Address> {
    items.iter().filter_map(Value::parse).collect()
}

fn patience(table: &Table<'_>) -> Patience {
    let defaults = Patience::default();
    let length = |key, bounds| {
        table
            .get(key)
            .and_then(|value: Value<'_>| value.duration(bounds))
    };
    Patience {
        give_up_after: length("give_up_after", Duration::from_secs(60)..=30 * 24 * HOUR)
            .unwrap_or(defaults.give_up_after),
        alert_window: length("alert_window", Duration::ZERO..=6 * HOUR)
            .unwrap_or(defaults.alert_window),
        confirm_window: length("confirm_window", Duration::ZERO..=24 * HOUR)
            .unwrap_or(defaults.confirm_window),
        max_per_minute: table
            .table(&schema::SMTP)
            .get("max_per_minute")
            .and_then(|value| value.whole(0..=10_000))
            .unwrap_or(defaults.max_per_minute),
        attempt: defaults.attempt,
    }
}

/// Both ways may be described, so that a trial is one word away; the one that is not taken is
/// checked all the same.
fn outgoing(table: &Table<'_>, beside_the_ledger: &Path) -> Option<Outgoing> {
    let way = table.get("transport").map_or(Some(Way::Smtp), |value| {
        value.choice(&[Way::Smtp, Way::Directory], Way::as_str)
    });
    let smtp_table = table.table(&schema::SMTP);
    let smtp = smtp_table
        .is_present()
        .then(|| server::SMTP.server(&smtp_table, beside_the_ledger))
        .flatten();
    let directory = table.get("directory");
    let path = directory.as_ref().and_then(Value::path);
    match way? {
        Way::Smtp => {
            if !smtp_table.is_present() {
                table.refuse("transport \"smtp\" needs the table [mail.smtp] with at least `host`");
            }
            smtp.map(Outgoing::Smtp)
        }
        Way::Directory => {
            if directory.is_none() {
                table.refuse("transport \"directory\" needs `directory`, an absolute path");
            }
            path.map(Outgoing::Directory)
        }
    }
}
