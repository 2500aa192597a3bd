//! The list of keys, the shipped file and the reader agree.

use std::path::Path;

use super::*;
use crate::{config::Config, notice::Label};

const SHIPPED: &str = include_str!("../../../config/invoice-trackd.toml");

/// The lines of the shipped file below each header, by the table's path; a header may be off as well.
fn shipped(schema: &Schema) -> Vec<&'static str> {
    let mut path = "";
    let mut lines = Vec::new();
    for line in SHIPPED.lines() {
        if let Some(header) = header(line) {
            path = header;
        }
        if path == schema.path {
            lines.push(line);
        }
    }
    lines
}

/// The path of the table that begins with this line, if any does.
fn header(line: &'static str) -> Option<&'static str> {
    let header = line.strip_prefix("#: ").unwrap_or(line);
    header
        .starts_with('[')
        .then(|| header.trim_matches(['[', ']']))
}

#[test]
fn every_label_of_a_notice_has_its_key() {
    let keys: Vec<&str> = Label::ALL.iter().map(|label| label.key()).collect();
    assert_eq!(LABELS.names().collect::<Vec<_>>(), keys);
}

#[test]
fn every_table_is_listed_in_the_one_around_it() {
    for schema in keys::ALL.iter().filter(|schema| !schema.path.is_empty()) {
        let around = schema
            .path
            .rsplit_once('.')
            .map_or("", |(around, _)| around);
        let around = keys::ALL.iter().find(|schema| schema.path == around);
        assert!(around.unwrap().has(schema.name()), "{}", schema.path);
    }
}

#[test]
fn the_shipped_file_shows_every_key_with_its_default() {
    for schema in keys::ALL {
        let lines = shipped(schema);
        for Key { name, default, .. } in schema.keys {
            let shown = |form: &str| lines.iter().any(|line| line.starts_with(form));
            let path = schema.path_of(name);
            match default {
                Fallback::Value(value) => {
                    let line = format!("#{name} = {value}");
                    assert!(
                        lines.contains(&&*line),
                        "{path}: expected the line `{line}`"
                    );
                }
                Fallback::Words("required") => {
                    assert!(shown(&format!("{name} = ")), "{path}: it is required");
                }
                Fallback::Words(_) => {
                    let forms = ["", "#: ", "#   "].map(|mark| format!("{mark}{name} = "));
                    assert!(forms.iter().any(|form| shown(form)), "{path} is not shown");
                }
            }
        }
        // A default that no key has any more would stay behind unnoticed.
        for line in lines {
            let Some(line) = line.strip_prefix('#') else {
                continue;
            };
            if let Some((name, value)) = line.split_once(" = ")
                && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
            {
                let key = schema.keys.iter().find(|key| key.name == name);
                let key = key.unwrap_or_else(|| panic!("{}: no such key", schema.path_of(name)));
                assert!(
                    matches!(key.default, Fallback::Value(default) if default == value),
                    "{}: the default is another",
                    schema.path_of(name)
                );
            }
        }
    }
}

#[test]
fn without_a_required_key_the_shipped_file_is_refused() {
    for schema in keys::ALL {
        for key in schema.keys {
            if key.default != Fallback::Words("required") {
                continue;
            }
            let line = shipped(schema)
                .into_iter()
                .find(|line| line.starts_with(&format!("{} = ", key.name)))
                .unwrap();
            let without = SHIPPED.replacen(&format!("\n{line}\n"), "\n", 1);
            let error = Config::parse(&without, Path::new("x"))
                .unwrap_err()
                .to_string();
            assert!(error.contains(key.name), "{line}: {error}");
        }
    }
}

#[test]
fn the_forms_are_those_that_the_messages_about_mistakes_name() {
    let mut compared = 0;
    for schema in keys::ALL {
        let lines = shipped(schema);
        for Key { name, form, .. } in schema.keys {
            let path = schema.path_of(name);
            let key = format!("{name} = ");
            let line = lines
                .iter()
                .find(|line| line.trim_start_matches(['#', ':', ' ']).starts_with(&key))
                .unwrap_or_else(|| panic!("{path} is not shown"));
            // Only the table's own line: `port`, say, stands in two of them. No key takes 1.5.
            let table = match schema.path {
                "" => 0,
                _ => {
                    let off = format!("\n#: {}\n", schema.header());
                    let on = format!("\n{}\n", schema.header());
                    SHIPPED.find(&on).or_else(|| SHIPPED.find(&off)).unwrap()
                }
            };
            let (before, below) = SHIPPED.split_at(table);
            let below = match below.strip_prefix("\n#: [") {
                Some(header) => format!("\n[{header}"),
                None => below.to_owned(),
            };
            let wrong = below.replacen(&format!("\n{line}\n"), &format!("\n{name} = 1.5\n"), 1);
            let wrong = format!("{before}{wrong}");
            let error = Config::parse(&wrong, Path::new("x"))
                .unwrap_err()
                .to_string();
            let message = error
                .lines()
                .find(|line| line.contains(&format!(": {path}: ")))
                .unwrap_or_else(|| panic!("{path}: {error}"));
            if message.contains("text in quotes")
                || message.contains("a list in square brackets")
                || message.contains("has no such setting")
            {
                continue;
            }
            let form = form.replace('`', "");
            let bounds = form.rsplit(", ").next().unwrap().replace('"', "");
            assert!(
                message.contains(&form) || message.contains(&bounds),
                "{path}: the form is `{form}`, the message says: {message}"
            );
            compared += 1;
        }
    }
    assert!(compared >= 20, "only {compared} forms were compared");
}
