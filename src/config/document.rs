//! The file as a tree of tables and values that know where they stand.
//!
//! A reader asks for what it needs; what is wrong goes into the [`Report`] and reading goes on, so
//! that one run names every mistake. `None` from a reading method therefore means "left out, or
//! already reported". serde is left out on purpose: it stops at the first mistake, and its words
//! would have to be taken apart again to say what was expected.

use std::{
    fmt::Display, net::IpAddr, ops::RangeInclusive, path::PathBuf, str::FromStr, time::Duration,
};

use jiff::{SpanRelativeTo, civil::Date};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{report::Report, schema::Schema};

/// One table, which may have been left out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table<'a> {
    schema: &'static Schema,
    at: usize,
    entries: Option<&'a DeTable<'a>>,
    report: &'a Report<'a>,
}

impl<'a> Table<'a> {
    /// The table at `at`; every key that does not belong there is reported.
    pub(super) fn new(
        schema: &'static Schema,
        at: usize,
        entries: &'a DeTable<'a>,
        report: &'a Report<'a>,
    ) -> Self {
        for key in entries.keys() {
            if let Some(objection) = schema.objection(key.get_ref()) {
                report.add(key.span().start, objection);
            }
        }
        Self {
            schema,
            at,
            entries: Some(entries),
            report,
        }
    }

    /// Whether the file has it.
    pub(super) fn is_present(&self) -> bool {
        self.entries.is_some()
    }

    /// Notes a mistake of the table as a whole.
    pub(super) fn refuse(&self, sentence: impl Display) {
        self.report.add(
            self.at,
            format_args!("{}: {sentence}", self.schema.header()),
        );
    }

    /// The value of `key`, when it is there.
    pub(super) fn get(&self, key: &'static str) -> Option<Value<'a>> {
        debug_assert!(self.schema.has(key), "{key} is not in the schema");
        let (_, value) = self.entries?.get_key_value(key)?;
        Some(Value {
            path: self.schema.path_of(key),
            value,
            public: true,
            report: self.report,
        })
    }

    /// The value of `key`, which has to be there; `form` says what it would look like.
    pub(super) fn require(&self, key: &'static str, form: &str) -> Option<Value<'a>> {
        let value = self.get(key);
        if value.is_none() && self.is_present() {
            self.refuse(format_args!("`{key}` is missing; expected {form}"));
        }
        value
    }

    /// The table `schema` inside this one; empty when it is left out.
    pub(super) fn table(&self, schema: &'static Schema) -> Table<'a> {
        self.inner(schema)
            .and_then(|value| {
                let found = value.value.get_ref();
                if found.as_table().is_none() {
                    value.refuse(format_args!(
                        "expected the table {}, found {}",
                        schema.header(),
                        kind(found)
                    ));
                }
                value.as_table(schema)
            })
            .unwrap_or(Table {
                schema,
                at: self.at,
                entries: None,
                report: self.report,
            })
    }

    /// The tables `schema` inside this one, in the file's order.
    pub(super) fn tables(&self, schema: &'static Schema) -> Vec<Table<'a>> {
        let Some(value) = self.inner(schema) else {
            return Vec::new();
        };
        let found = value.value.get_ref();
        let tables: Option<Vec<Table<'a>>> = found.as_array().and_then(|array| {
            value
                .items_of(array)
                .iter()
                .map(|item| item.as_table(schema))
                .collect()
        });
        tables.unwrap_or_else(|| {
            value.refuse(format_args!(
                "expected {}, in double brackets, once for each; found {}",
                schema.header(),
                kind(found)
            ));
            Vec::new()
        })
    }

    fn inner(&self, schema: &'static Schema) -> Option<Value<'a>> {
        self.get(schema.name())
    }
}

/// One value.
#[derive(Debug, Clone)]
pub(super) struct Value<'a> {
    path: String,
    value: &'a Spanned<DeValue<'a>>,
    /// Whether it may be repeated in a message.
    public: bool,
    report: &'a Report<'a>,
}

impl<'a> Value<'a> {
    /// Notes what is wrong with it.
    pub(super) fn refuse(&self, sentence: impl Display) {
        self.report.add(
            self.value.span().start,
            format_args!("{}: {sentence}", self.path),
        );
    }

    /// Notes that it is not what was `expected`, and what it is.
    pub(super) fn unlike(&self, expected: impl Display) {
        let found = match self.value.get_ref() {
            _ if !self.public => "something else".to_owned(),
            DeValue::String(text) => format!("\"{text}\""),
            DeValue::Integer(number) => number.to_string(),
            DeValue::Boolean(truth) => truth.to_string(),
            DeValue::Datetime(moment) => moment.to_string(),
            other => kind(other).to_owned(),
        };
        self.refuse(format_args!("expected {expected}, found {found}"));
    }

    /// The line it stands on.
    pub(super) fn line(&self) -> usize {
        self.report.line(self.value.span().start)
    }

    /// Text in one line, not empty.
    pub(super) fn text(&self) -> Option<&'a str> {
        let text = match self.value.get_ref() {
            DeValue::String(text) => text,
            DeValue::Integer(number) if self.public => {
                self.unlike(format_args!("text in quotes such as \"{number}\""));
                return None;
            }
            _ => {
                self.unlike("text in quotes");
                return None;
            }
        };
        if text.trim().is_empty() {
            self.refuse("expected some text, found none");
            return None;
        }
        if text.chars().any(char::is_control) {
            self.refuse(
                "expected one line of text, found a line break or another control character",
            );
            return None;
        }
        Some(text)
    }

    /// The text as whatever reads itself from text; its own words when it cannot.
    pub(super) fn parse<T: FromStr<Err: Display>>(&self) -> Option<T> {
        let text = self.text()?;
        text.parse().map_err(|error| self.refuse(error)).ok()
    }

    /// The text when `holds` says that it is an `expected`.
    pub(super) fn text_that(
        &self,
        expected: &str,
        holds: impl Fn(&str) -> bool,
    ) -> Option<&'a str> {
        let text = self.text()?;
        if !holds(text) {
            self.unlike(expected);
            return None;
        }
        Some(text)
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&self, all: &[T], word: fn(T) -> &'static str) -> Option<T> {
        let text = self.value.get_ref().as_str();
        let chosen = all.iter().find(|one| text == Some(word(**one)));
        if chosen.is_none() {
            let words: Vec<String> = all
                .iter()
                .map(|one| format!("\"{}\"", word(*one)))
                .collect();
            if let [others @ .., last] = &words[..] {
                self.unlike(format_args!("{} or {last}", others.join(", ")));
            }
        }
        chosen.copied()
    }

    /// `true` or `false`.
    pub(super) fn truth(&self) -> Option<bool> {
        let truth = self.value.get_ref().as_bool();
        if truth.is_none() {
            self.unlike("true or false");
        }
        truth
    }

    /// A whole number within `bounds`.
    pub(super) fn whole<T>(&self, bounds: RangeInclusive<T>) -> Option<T>
    where
        T: TryFrom<i64> + PartialOrd + Display,
    {
        let number = self
            .value
            .get_ref()
            .as_integer()
            .and_then(|digits| i64::from_str_radix(digits.as_str(), digits.radix()).ok())
            .and_then(|number| T::try_from(number).ok())
            .filter(|number| bounds.contains(number));
        if number.is_none() {
            self.unlike(format_args!(
                "a whole number from {} to {}",
                bounds.start(),
                bounds.end()
            ));
        }
        number
    }

    /// A length of time within `bounds`, written like `5m` or `3d`.
    pub(super) fn duration(&self, bounds: RangeInclusive<Duration>) -> Option<Duration> {
        let text = self.value.get_ref().as_str();
        let duration = text
            .and_then(|text| text.parse::<jiff::Span>().ok())
            .and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok())
            .and_then(|duration| Duration::try_from(duration).ok())
            .filter(|duration| bounds.contains(duration));
        if duration.is_none() {
            let [least, most] = [bounds.start(), bounds.end()].map(|bound| {
                let seconds = bound.as_secs();
                match (seconds / 86_400, seconds / 3_600, seconds / 60) {
                    (days @ 1.., ..) => format!("{days}d"),
                    (_, hours @ 1.., _) => format!("{hours}h"),
                    (.., minutes @ 1..) => format!("{minutes}m"),
                    _ => format!("{seconds}s"),
                }
            });
            self.unlike(format_args!(
                "a length of time such as \"30m\", \"72h\" or \"3d\", from {least} to {most}"
            ));
        }
        duration
    }

    /// A day, as text or as a TOML date.
    pub(super) fn date(&self) -> Option<Date> {
        let text = match self.value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Datetime(moment) => moment.to_string(),
            _ => String::new(),
        };
        // jiff would also read a date with a time behind it and drop the time.
        let date = (text.len() == "2026-01-01".len())
            .then(|| text.parse().ok())
            .flatten();
        if date.is_none() {
            self.unlike("a day such as \"2026-01-01\"");
        }
        date
    }

    /// An absolute path: a daemon's working directory is nobody's choice.
    pub(super) fn path(&self) -> Option<PathBuf> {
        self.text_that("an absolute path", |text| text.starts_with('/'))
            .map(PathBuf::from)
    }

    /// A host's name or address, without a port.
    pub(super) fn host(&self) -> Option<String> {
        self.text_that("a host name or an IP address, without a port", |text| {
            text.parse::<IpAddr>().is_ok() || is_domain(text)
        })
        .map(str::to_owned)
    }

    /// Whether it is a list, however it is meant.
    pub(super) fn is_list(&self) -> bool {
        self.value.get_ref().as_array().is_some()
    }

    /// The elements of a list.
    pub(super) fn items(&self) -> Vec<Value<'a>> {
        match self.value.get_ref() {
            DeValue::Array(array) => self.items_of(array),
            _ => {
                self.unlike("a list in square brackets");
                Vec::new()
            }
        }
    }

    /// The elements of a list that must not be empty; `why` says what would be lost.
    pub(super) fn some_items(&self, why: &str) -> Vec<Value<'a>> {
        if self
            .value
            .get_ref()
            .as_array()
            .is_some_and(|array| array.is_empty())
        {
            self.refuse(format_args!("expected at least one address; {why}"));
        }
        self.items()
    }

    /// The elements of a list, or the one value that stands for a list of one.
    pub(super) fn one_or_more(&self) -> Vec<Value<'a>> {
        match self.value.get_ref() {
            DeValue::Array(array) => self.items_of(array),
            _ => vec![self.clone()],
        }
    }

    fn items_of(&self, array: &'a toml::de::DeArray<'a>) -> Vec<Value<'a>> {
        array
            .iter()
            .map(|value| Value {
                value,
                ..self.clone()
            })
            .collect()
    }

    /// The table that the value is; `None` for anything else.
    pub(super) fn as_table(&self, schema: &'static Schema) -> Option<Table<'a>> {
        let entries = self.value.get_ref().as_table()?;
        Some(Table::new(
            schema,
            self.value.span().start,
            entries,
            self.report,
        ))
    }

    /// The entries of a table that says where a secret is, e.g. `{ env = "NAME" }`; no message
    /// will repeat their values, because a careless hand may have written the secret itself there.
    pub(super) fn secret_entries(&self) -> Option<Vec<(&'a str, Value<'a>)>> {
        let table = self.value.get_ref().as_table()?;
        let entries = table.iter().map(|(key, value)| {
            let key: &str = key.get_ref();
            let entry = Value {
                path: format!("{}.{key}", self.path),
                value,
                public: false,
                report: self.report,
            };
            (key, entry)
        });
        Some(entries.collect())
    }
}

/// Whether `text` has the form of a domain name (RFC 1123 §2.1), with the underscores that names
/// inside a company often carry.
pub(super) fn is_domain(text: &str) -> bool {
    text.len() <= 253
        && text.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
        })
}

/// What sort of thing a value is.
fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a decimal number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
