//! `[[mailbox]]`: what is watched.

use std::{collections::HashMap, path::Path};

use super::{
    Mailbox, MailboxKind,
    document::{Table, Value},
    schema, server,
};
use crate::{authenticity::Results, mailbox::AfterImport, notice::Ban};

/// Which keys only one kind of mailbox has.
const IMAP_ONLY: &[&str] = &[
    "host",
    "port",
    "tls",
    "ca_file",
    "username",
    "password",
    "oauth",
    "folder",
    "after_import",
];
const MAILDIR_ONLY: &[&str] = &["path"];

#[derive(Clone, Copy)]
enum Kind {
    Imap,
    Maildir,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Imap => "imap",
            Self::Maildir => "maildir",
        }
    }
}

/// Reads every mailbox, in the file's order; `is_known` tells whether a company may be named.
pub(super) fn read(
    root: &Table<'_>,
    is_known: &dyn Fn(Ban) -> bool,
    beside_the_ledger: &Path,
) -> Vec<Mailbox> {
    let mut seen: HashMap<&str, Value<'_>> = HashMap::new();
    let mut mailboxes = Vec::new();
    for table in root.tables(&schema::MAILBOX) {
        let name = table.require("name", "a name of your choice");
        let name = name.and_then(|value| value.text().map(|text| (value, text)));
        if let Some((value, text)) = &name
            && let Some(first) = seen.insert(text, value.clone())
        {
            value.refuse(format_args!(
                "\"{text}\" is the name of the mailbox on line {}",
                first.line()
            ));
        }
        let company = table
            .get("company")
            .and_then(|value| company(&value, is_known));
        let results = table
            .get("results")
            .and_then(|value| value.choice(&Results::ALL, Results::as_str));
        let since = table.get("since").and_then(|value| value.date());
        let kind = table
            .require("kind", "\"imap\" or \"maildir\"")
            .and_then(|value| value.choice(&[Kind::Imap, Kind::Maildir], Kind::as_str))
            .and_then(|chosen| kind(&table, chosen, beside_the_ledger));
        if let (Some((_, name)), Some(kind)) = (name, kind) {
            mailboxes.push(Mailbox {
                name: name.to_owned(),
                company,
                results: results.unwrap_or_default(),
                since,
                kind,
            });
        }
    }
    mailboxes
}

fn kind(table: &Table<'_>, chosen: Kind, beside_the_ledger: &Path) -> Option<MailboxKind> {
    let foreign = match chosen {
        Kind::Imap => MAILDIR_ONLY,
        Kind::Maildir => IMAP_ONLY,
    };
    for value in foreign.iter().filter_map(|key| table.get(key)) {
        value.refuse(format_args!(
            "a mailbox of kind \"{}\" has no such setting; take it out",
            chosen.as_str()
        ));
    }
    match chosen {
        Kind::Imap => {
            let folder = match table.get("folder") {
                None => Some("INBOX"),
                Some(value) => value.text(),
            };
            let server = server::IMAP.server(table, beside_the_ledger);
            let after_import = table
                .get("after_import")
                .and_then(|value| after_import(&value, folder));
            Some(MailboxKind::Imap {
                server: server?,
                folder: folder?.to_owned(),
                after_import,
            })
        }
        Kind::Maildir => table
            .require("path", "the directory that holds `new` and `cur`")
            .and_then(|value| value.path())
            .map(|path| MailboxKind::Maildir { path }),
    }
}

fn company(value: &Value<'_>, is_known: &dyn Fn(Ban) -> bool) -> Option<Ban> {
    let ban = value.parse()?;
    if !is_known(ban) {
        value.refuse(format_args!(
            "{ban} is no configured company; add a [[company]] with this number, or a line to companies_file"
        ));
    }
    Some(ban)
}

fn after_import(value: &Value<'_>, watched: Option<&str>) -> Option<AfterImport> {
    let Some(table) = value.as_table(&schema::AFTER_IMPORT) else {
        return value
            .text_that("\"mark_seen\" or { move_to = \"FOLDER\" }", |text| {
                text == "mark_seen"
            })
            .map(|_| AfterImport::MarkSeen);
    };
    let target = table.require("move_to", "the folder to move recorded notices to")?;
    let folder = target.text()?;
    if Some(folder) == watched {
        target.refuse("is the watched folder itself; name another one");
    }
    Some(AfterImport::MoveTo(folder.to_owned()))
}
