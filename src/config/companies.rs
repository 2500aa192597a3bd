//! `[[company]]` and `companies_file`: whose numbers they are.
//!
//! Whoever looks after thousands of companies keeps them in a spreadsheet. Its CSV says the same as
//! so many `[[company]]` would: the columns are their keys. Left out on purpose: what the rows and
//! cells of such a file are, which `csv` knows.
//!
//! Guarantee: a file that is not wholly understood yields no company, and every mistake that can be
//! told apart is named, each with its place.

mod sheet;

use std::{
    collections::{HashMap, hash_map::Entry},
    io::Read as _,
    ops::RangeInclusive,
    path::Path,
};

use super::{
    CompaniesFile, Problem, access,
    document::{Table, Value},
    report::{self, Report},
    schema,
};
use crate::notice::{Address, Assignment, Ban, Companies, Company};

const ASSIGNMENTS: [Assignment; 3] = [Assignment::Period, Assignment::Year, Assignment::None];
const DUE: RangeInclusive<i8> = 20..=28;
const REMINDER: RangeInclusive<i8> = 1..=19;
const UNTOLD: &str = "there is no [mail], so nobody would be told; add it, or take this out";

/// The form that we read, as Excel calls it.
const SAVE_AS: &str = "in Excel save it as \"CSV UTF-8\" (CSV UTF-8 逗號分隔)";

/// What is configured, and what is wrong with the file.
pub(super) struct Roll {
    pub(super) companies: Companies,
    /// `None` also where it cannot be read.
    pub(super) file: Option<CompaniesFile>,
    /// Whether every company is there; otherwise nobody can say that one is not configured.
    pub(super) is_whole: bool,
    /// The mistakes in the file; those in the configuration are in its own report.
    pub(super) problems: Vec<Problem>,
}

/// Reads both; `config` is the configuration's own path.
pub(super) fn read(root: &Table<'_>, config: &Path) -> Roll {
    let is_told = root.get(schema::MAIL.name()).is_some();
    let mut seen = HashMap::new();
    let mut list = tables(root, is_told, &mut seen);
    let mut roll = Roll {
        companies: Companies::default(),
        file: None,
        is_whole: true,
        problems: Vec::new(),
    };
    if let Some(value) = root.get("companies_file") {
        roll.is_whole = false;
        if let Some(name) = value.text() {
            let path = config.with_file_name(name);
            let given = sheet::Given {
                is_told,
                elsewhere: &|ban| {
                    let line = seen.get(&ban)?.line();
                    Some(format!("line {line} of {}", config.display()))
                },
            };
            match bytes(&path).map(|bytes| listed(&bytes, &path, &given)) {
                Err(sentence) => value.refuse(sentence),
                Ok(Err(problems)) => roll.problems = problems,
                Ok(Ok(companies)) => {
                    roll.is_whole = true;
                    roll.file = Some(CompaniesFile {
                        path,
                        companies: companies.len(),
                    });
                    list.extend(companies);
                }
            }
        }
    }
    // No BAN stands twice here.
    roll.companies = Companies::new(list).unwrap_or_default();
    roll
}

/// Every `[[company]]`; a number that stands twice is reported and taken once.
fn tables<'a>(root: &Table<'a>, is_told: bool, seen: &mut HashMap<Ban, Value<'a>>) -> Vec<Company> {
    let mut list = Vec::new();
    for table in root.tables(&schema::COMPANY) {
        let ban = table.require("ban", "the company's number (統一編號), 8 digits in quotes");
        let name = table
            .require("name", "the registered name, as a notice writes it")
            .and_then(|value| value.text());
        let assignment = table
            .get("assignment")
            .map_or(Some(Assignment::Period), |value| {
                value.choice(&ASSIGNMENTS, Assignment::as_str)
            });
        let recipients = table
            .get("recipients")
            .map(|value| value.items().iter().filter_map(Value::parse).collect())
            .unwrap_or_default();
        let day = |key, bounds| table.get(key).and_then(|value| value.whole(bounds));
        let (due_day, reminder_day) = (day("due_day", DUE), day("reminder_day", REMINDER));
        let [confirm_to, alert_to] =
            ["confirm_to", "alert_to"].map(|key| readers(&table, key, is_told));
        let Some((value, ban)) = ban.and_then(|value| value.parse().map(|ban| (value, ban))) else {
            continue;
        };
        match seen.entry(ban) {
            Entry::Occupied(first) => {
                let line = first.get().line();
                value.refuse(format_args!("{ban} is configured already, on line {line}"));
                continue;
            }
            Entry::Vacant(place) => place.insert(value),
        };
        list.push(Company {
            // A default only beside a reported mistake, and then nothing comes of it.
            assignment: assignment.unwrap_or(Assignment::Period),
            recipients,
            due_day,
            reminder_day,
            confirm_to,
            alert_to,
            ..Company::new(ban, name.unwrap_or_default().trim())
        });
    }
    list
}

/// Who is told about one company in place of those who are told about all.
fn readers(table: &Table<'_>, key: &'static str, is_told: bool) -> Vec<Address> {
    let Some(value) = table.get(key) else {
        return Vec::new();
    };
    if !is_told {
        value.refuse(UNTOLD);
    }
    let everybodys = format!("left out, those of [mail] {key} are told");
    let items = value.some_items(&everybodys);
    items.iter().filter_map(Value::parse).collect()
}

/// The file's bytes, or what to say at the key that names it.
fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    let unreadable = |error| format!("read {}: {error}", path.display());
    let mut file = access::regular(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(unreadable)?;
    match access::open_to_others(path) {
        Some(open) => Err(format!("{}: {open}", path.display())),
        None => Ok(bytes),
    }
}

/// The companies in the file's bytes, or every mistake.
fn listed(
    bytes: &[u8],
    path: &Path,
    given: &sheet::Given<'_>,
) -> Result<Vec<Company>, Vec<Problem>> {
    let text = str::from_utf8(bytes).map_err(|error| {
        let found = if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
            // Excel's "Unicode Text".
            "UTF-16"
        } else if encoding_rs::BIG5
            .decode_without_bom_handling_and_without_replacement(bytes)
            .is_some()
        {
            // Excel's "CSV", where Windows speaks Chinese.
            "Big5"
        } else {
            "other bytes"
        };
        let message = format!("expected text in UTF-8, found {found}; {SAVE_AS}");
        vec![report::undecodable(bytes, &error, path, message)]
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let report = Report::new(text);
    let companies = sheet::companies(text, given, &report);
    if report.is_empty() {
        Ok(companies)
    } else {
        Err(report.into_problems(path))
    }
}
