//! `[[handoff]]`: the systems that numbers are handed to.
//!
//! Guarantee: what signs is read where it is used, tried when it is read, and in no message.

use std::{collections::HashMap, path::PathBuf};

use anyhow::{Context as _, bail};
use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};

use super::{
    SecretSource,
    document::{Table, Value},
    schema,
};
use crate::{
    delivery::{
        self, System,
        handoff::{self, Address, Format, Way},
    },
    tls,
};

/// Which keys only one kind of system has.
const WEBHOOK_ONLY: &[&str] = &["url", "secret", "ca_file"];
const DIRECTORY_ONLY: &[&str] = &["path", "formats"];

/// It stands in tables of mails and terminals, and in the subjects of alerts.
const LONGEST_NAME: usize = 40;

/// Some leave the padding off.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// One `[[handoff]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handoff {
    /// Its name, unique.
    pub name: String,
    /// Whether it gets what was old when the ledger was created as well.
    pub past: bool,
    /// How it is reached.
    pub way: HandoffWay,
}

/// How a system is reached; secrets not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandoffWay {
    /// A POST of JSON.
    Webhook {
        /// Where to.
        url: Address,
        /// Where the key is that signs.
        secret: SecretSource,
        /// A private CA.
        ca_file: Option<PathBuf>,
    },
    /// Files in a directory.
    Directory {
        /// The directory.
        path: PathBuf,
        /// In which forms; at least one.
        formats: Vec<Format>,
    },
}

#[derive(Clone, Copy)]
enum Kind {
    Webhook,
    Directory,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Directory => "directory",
        }
    }
}

/// Reads every system, in the file's order.
pub(super) fn read(root: &Table<'_>) -> Vec<Handoff> {
    let mut seen: HashMap<&str, Value<'_>> = HashMap::new();
    let mut handoffs = Vec::new();
    for table in root.tables(&schema::HANDOFF) {
        let name = table
            .require("name", "a name of your choice")
            .and_then(|value| {
                let expected = "a name of letters, digits, - and _, at most 40";
                let text = value.text_that(expected, is_name)?;
                Some((value, text))
            });
        if let Some((value, text)) = &name
            && let Some(first) = seen.insert(text, value.clone())
        {
            value.refuse(format_args!(
                "\"{text}\" is the name of the system on line {}",
                first.line()
            ));
        }
        let past = table.get("past").map_or(Some(false), |value| value.truth());
        let way = way(&table);
        if let (Some((_, name)), Some(past), Some(way)) = (name, past, way) {
            handoffs.push(Handoff {
                name: name.to_owned(),
                past,
                way,
            });
        }
    }
    handoffs
}

fn is_name(text: &str) -> bool {
    text.len() <= LONGEST_NAME
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

/// What one kind needs is checked where the other is chosen, too: a mistake there is one all the same.
fn way(table: &Table<'_>) -> Option<HandoffWay> {
    let kind = table
        .require("kind", "\"webhook\" or \"directory\"")
        .and_then(|value| value.choice(&[Kind::Webhook, Kind::Directory], Kind::as_str));
    let url = table.get("url").map(|value| value.parse::<Address>());
    let secret = table.get("secret");
    let secret = secret.map(|value| SecretSource::from_value(&value));
    let ca_file = table.get("ca_file");
    let ca_path = ca_file.as_ref().map(Value::path);
    let path = table.get("path").map(|value| value.path());
    let formats = table.get("formats").map(|value| formats(&value));
    let kind = kind?;
    let foreign = match kind {
        Kind::Webhook => DIRECTORY_ONLY,
        Kind::Directory => WEBHOOK_ONLY,
    };
    for value in foreign.iter().filter_map(|key| table.get(key)) {
        value.refuse(format_args!(
            "a system of kind \"{}\" has no such setting; take it out",
            kind.as_str()
        ));
    }
    match kind {
        Kind::Webhook => {
            if url.is_none() {
                table.require("url", "where it is posted to, an https:// address");
            }
            if secret.is_none() {
                table.require("secret", SecretSource::FORM);
            }
            let (url, secret) = (url.flatten(), secret.flatten());
            if let (Some(value), Some(false)) = (&ca_file, url.as_ref().map(Address::is_tls)) {
                value.refuse("has no use with http://; take one of the two out");
            }
            Some(HandoffWay::Webhook {
                url: url?,
                secret: secret?,
                ca_file: ca_path.flatten(),
            })
        }
        Kind::Directory => {
            if path.is_none() {
                table.require("path", "the directory in which the files appear");
            }
            Some(HandoffWay::Directory {
                path: path.flatten()?,
                formats: formats.unwrap_or_else(|| Format::ALL.to_vec()),
            })
        }
    }
}

fn formats(value: &Value<'_>) -> Vec<Format> {
    let items = value.items();
    let mut chosen = Vec::new();
    for item in &items {
        if let Some(format) = item.choice(&Format::ALL, Format::as_str)
            && !chosen.contains(&format)
        {
            chosen.push(format);
        }
    }
    if items.is_empty() && value.is_list() {
        value.refuse("expected at least one of \"csv\", \"e0501\" and \"json\", found none");
    }
    chosen
}

impl Handoff {
    /// As an import needs to know it.
    pub(super) fn as_told(&self) -> delivery::Handoff {
        delivery::Handoff {
            name: self.name.clone(),
            past: self.past,
        }
    }

    /// The system and how it is reached, its secret read now.
    ///
    /// # Errors
    /// The secret or the CA file cannot be read, or the secret is none for a webhook.
    pub fn system(&self) -> anyhow::Result<System> {
        let of_system = || format!("handoff {}", self.name);
        let way = match &self.way {
            HandoffWay::Webhook {
                url,
                secret,
                ca_file,
            } => {
                // A wrong one would otherwise show only once the server answers.
                if let Some(file) = ca_file {
                    tls::client_config(Some(file)).with_context(of_system)?;
                }
                let key = secret.read().and_then(|text| key(&text));
                Way::Webhook(handoff::Webhook {
                    url: url.clone(),
                    secret: key.context("secret").with_context(of_system)?,
                    ca_file: ca_file.clone(),
                })
            }
            HandoffWay::Directory { path, formats } => Way::Directory(handoff::Drop {
                path: path.clone(),
                formats: formats.clone(),
            }),
        };
        Ok(System {
            name: self.name.clone(),
            way,
        })
    }
}

/// The key of a webhook, as <https://www.standardwebhooks.com> writes it.
fn key(text: &SecretString) -> anyhow::Result<SecretSlice<u8>> {
    const FORM: &str = "expected `whsec_` and the base64 of 24 to 64 bytes";
    let Some(encoded) = text.expose_secret().strip_prefix("whsec_") else {
        bail!("{FORM}, found no `whsec_` in front");
    };
    // The error would name a character of it.
    let key = BASE64
        .decode(encoded)
        .map_err(|_| anyhow::anyhow!("{FORM}, found something that is no base64"))?;
    if !(24..=64).contains(&key.len()) {
        bail!("{FORM}, found {} bytes", key.len());
    }
    Ok(key.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Result<usize, String> {
        let read = key(&text.to_owned().into());
        read.map(|key| key.expose_secret().len())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_key_has_its_prefix_and_24_to_64_bytes() {
        let bytes = |count: usize| format!("whsec_{}", BASE64.encode(vec![0xfb; count]));
        for count in [24, 32, 64] {
            assert_eq!(said(&bytes(count)), Ok(count));
            assert_eq!(said(bytes(count).trim_end_matches('=')), Ok(count));
        }
        for (text, end) in [
            (bytes(23), "found 23 bytes"),
            (bytes(65), "found 65 bytes"),
            ("whsec_".to_owned(), "found 0 bytes"),
            (
                bytes(32).replace("whsec_", ""),
                "found no `whsec_` in front",
            ),
            (
                "whsec_hunter2!".to_owned(),
                "found something that is no base64",
            ),
        ] {
            let complaint = said(&text).unwrap_err();
            assert!(complaint.ends_with(end), "{complaint}");
            assert!(!complaint.contains("hunter2"), "{complaint}");
        }
    }
}
