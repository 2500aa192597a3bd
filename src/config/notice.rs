//! `[notice]` and `[authenticity]`: what counts as a notice, and what proves it.

use std::net::SocketAddr;

use unicode_normalization::UnicodeNormalization as _;

use super::{
    document::{Table, Value, is_domain},
    schema,
};
use crate::{
    authenticity::{self, Require},
    notice::{Label, Rules},
};

/// The port of DNS where none is named. RFC 1035 §4.2.
const DNS: u16 = 53;

/// Reads all that is said about notices; but whose they are (`companies`) and our own address (`mail`).
pub(super) fn rules(root: &Table<'_>) -> Rules {
    let table = root.table(&schema::NOTICE);
    let defaults = Rules::default();
    Rules {
        senders: table.get("senders").map_or(defaults.senders, |value| {
            value
                .some_items("without one no notice is ever read")
                .iter()
                .filter_map(Value::parse)
                .collect()
        }),
        labels: labels(&table),
        recipient_headers: table
            .get("recipient_headers")
            .map_or(defaults.recipient_headers, |value| {
                value.items().iter().filter_map(header_name).collect()
            }),
        max_message_bytes: table
            .get("max_message_bytes")
            .and_then(|value| value.whole(4_096..=67_108_864))
            .unwrap_or(defaults.max_message_bytes),
        accept_unlisted_companies: table
            .get("accept_unlisted_companies")
            .and_then(|value| value.truth())
            .unwrap_or(defaults.accept_unlisted_companies),
        own_address: defaults.own_address,
        companies: defaults.companies,
    }
}

/// RFC 5322 §3.6.8: printable ASCII without the colon.
fn header_name(value: &Value<'_>) -> Option<String> {
    value
        .text_that(
            "a header field's name such as \"To\", without a colon",
            |text| text.chars().all(|c| c.is_ascii_graphic() && c != ':'),
        )
        .map(str::to_owned)
}

/// Further spellings, each of one label only: a text that means two things means neither.
fn labels(notice: &Table<'_>) -> Vec<(Label, String)> {
    let table = notice.table(&schema::LABELS);
    let mut labels: Vec<(Label, String)> = Vec::new();
    for &label in Label::ALL {
        let Some(value) = table.get(label.key()) else {
            continue;
        };
        for item in value.one_or_more() {
            let Some(text) = item.text_that(
                "a label as the notice writes it, without its colon, such as \"字軌\"",
                |text| !text.contains([':', '：']),
            ) else {
                continue;
            };
            let taken = Label::ALL
                .iter()
                .map(|other| (*other, other.chinese()))
                .chain(labels.iter().map(|(other, text)| (*other, text.as_str())))
                .find(|(other, spelling)| *other != label && *spelling == text.trim());
            match taken {
                Some((other, _)) => item.refuse(format_args!(
                    "`{text}` already means {} ({})",
                    other.key(),
                    other.chinese()
                )),
                // As the text of every notice is, so that the two can be compared.
                None => labels.push((label, text.trim().nfkc().collect())),
            }
        }
    }
    labels
}

/// Reads `[authenticity]`.
pub(super) fn authenticity(root: &Table<'_>) -> authenticity::Settings {
    let table = root.table(&schema::AUTHENTICITY);
    let defaults = authenticity::Settings::default();
    authenticity::Settings {
        require: table
            .get("require")
            .and_then(|value| value.choice(&Require::ALL, Require::as_str))
            .unwrap_or(defaults.require),
        domains: each(
            &table,
            "domains",
            "a domain name such as \"einvoice.nat.gov.tw\"",
            |domain| is_domain(domain).then(|| domain.to_ascii_lowercase()),
        )
        .unwrap_or(defaults.domains),
        // RFC 8601 §2.2: authserv-id is a token; ours is compared whole.
        trusted_authserv_ids: each(
            &table,
            "trusted_authserv_ids",
            "an authserv-id such as \"mx.example.com\"",
            |id| {
                let is_token = id.chars().all(authenticity::is_token);
                is_token.then(|| id.to_ascii_lowercase())
            },
        )
        .unwrap_or(defaults.trusted_authserv_ids),
        dns_servers: each(
            &table,
            "dns_servers",
            "an address such as \"192.0.2.53\" or \"127.0.0.1:5300\"",
            |server| {
                let with_port: Option<SocketAddr> = server.parse().ok();
                if with_port.is_some_and(|server| server.port() == 0) {
                    return None;
                }
                with_port.or_else(|| Some(SocketAddr::new(server.parse().ok()?, DNS)))
            },
        )
        .unwrap_or(defaults.dns_servers),
    }
}

/// What is written in the list `key`, as `read` understands it.
fn each<T>(
    table: &Table<'_>,
    key: &'static str,
    expected: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Option<Vec<T>> {
    let value = table.get(key)?;
    let items = value.items();
    let read = items.iter().filter_map(|item| {
        item.text_that(expected, |text| read(text).is_some())
            .and_then(&read)
    });
    Some(read.collect())
}
