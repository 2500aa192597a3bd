//! Who a mail claims to be from. The claim proves nothing; `authenticity` does that.

use std::{fmt, str::FromStr};

use super::syntax::{Token, Tokens};

/// A mail address (RFC 5322 addr-spec), ASCII, kept in lower case so that it compares as people
/// mean it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(String);

/// A text that is not a mail address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a mail address such as `ops@example.com`, found `{0}`")]
pub struct AddressError(pub String);

impl Address {
    /// The whole address, lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands behind the `@`.
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }

    /// Whether the domain is `parent` or lies below it.
    pub fn is_under(&self, parent: &str) -> bool {
        self.domain()
            .strip_suffix(parent)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let error = || AddressError(text.to_owned());
        let (local, domain) = text.rsplit_once('@').ok_or_else(error)?;
        let plain = |part: &str, also: &str| {
            !part.is_empty()
                && part
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || also.contains(c))
                && !part.starts_with('.')
                && !part.ends_with('.')
                && !part.contains("..")
        };
        // RFC 5322 §3.2.3 dot-atom; quoted local parts are not used by anybody we know of.
        if plain(local, "!#$%&'*+-/=?^_`{|}~.") && plain(domain, "-.") && text.len() <= 254 {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(error())
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The addresses of a From, Sender, To or Cc field (RFC 5322 §3.4), groups opened; `None` for
/// each that is not plain. Display names and comments are never looked into:
/// anybody can write the platform's address there.
pub(super) fn addresses(field: &[u8]) -> Vec<Option<Address>> {
    let mut found = Vec::new();
    let mut entry = Vec::new();
    let mut in_angle = false;
    for token in Tokens::new(field, b"<>,;:@.") {
        match token {
            Token::Special(b',' | b';') if !in_angle => close(&mut entry, &mut found),
            // What stands before the colon is a group's name.
            Token::Special(b':') if !in_angle => entry.clear(),
            token => {
                in_angle = match token {
                    Token::Special(b'<') => true,
                    Token::Special(b'>') => false,
                    _ => in_angle,
                };
                entry.push(token);
            }
        }
    }
    close(&mut entry, &mut found);
    found
}

/// Reads the entry collected so far, when there is one, and makes room for the next.
fn close(entry: &mut Vec<Token<'_>>, found: &mut Vec<Option<Address>>) {
    let tokens = std::mem::take(entry);
    let open = tokens
        .iter()
        .position(|token| *token == Token::Special(b'<'));
    let address = match open.map(|at| tokens.split_at(at)) {
        Some((_, [_, spec @ .., Token::Special(b'>')])) => addr_spec(spec),
        Some(_) => None,
        None if tokens.is_empty() => return,
        None => addr_spec(&tokens),
    };
    // Two addresses without a comma between them are still two.
    let ats = tokens
        .iter()
        .filter(|token| **token == Token::Special(b'@'));
    let broken = if address.is_some() {
        1
    } else {
        ats.count().max(1)
    };
    found.extend(std::iter::repeat_n(address, broken));
}

/// RFC 5322 §3.4.1, dot-atoms only; white space around dots and `@` as §4.4 allows it.
fn addr_spec(tokens: &[Token<'_>]) -> Option<Address> {
    let mut text = String::new();
    let mut after_atom = false;
    for token in tokens {
        after_atom = match token {
            Token::Atom(atom) if !after_atom => {
                text.push_str(str::from_utf8(atom).ok()?);
                true
            }
            Token::Special(special @ (b'.' | b'@')) => {
                text.push(char::from(*special));
                false
            }
            _ => return None,
        };
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The addresses, `?` for an entry that is none.
    fn listed(field: &str) -> Vec<String> {
        addresses(field.as_bytes())
            .into_iter()
            .map(|a| a.map_or("?".to_owned(), |a| a.to_string()))
            .collect()
    }

    #[test]
    fn a_display_name_is_never_the_sender() {
        for field in [
            r#""einvoice@einvoice.nat.gov.tw" <evil@x.example>"#,
            "einvoice@einvoice.nat.gov.tw <evil@x.example>",
            "(einvoice@einvoice.nat.gov.tw) evil@x.example",
            "evil@x.example (<einvoice@einvoice.nat.gov.tw>)",
            r#""a, b" <evil@x.example>"#,
            "=?utf-8?Q?einvoice=40einvoice.nat.gov.tw?= <evil@x.example>",
            "=?utf-8?B?PGVpbnZvaWNlQGVpbnZvaWNlLm5hdC5nb3YudHc+?=\r\n <EVIL@x.example>",
            "einvoice@einvoice.nat.gov.tw: evil@x.example;",
            r#""\" <einvoice@einvoice.nat.gov.tw>, " <evil@x.example>"#,
            "evil @ x . example",
        ] {
            assert_eq!(listed(field), ["evil@x.example"], "{field}");
        }
    }

    #[test]
    fn several_and_broken_addresses_are_all_seen() {
        for (field, expected) in [
            ("a@b, c@d", &["a@b", "c@d"][..]),
            ("a@b,, <c@d>,", &["a@b", "c@d"]),
            ("team: a@b, c@d;, e@f", &["a@b", "c@d", "e@f"]),
            ("undisclosed-recipients:;", &[]),
            ("", &[]),
            ("<a@b> <c@d>", &["?", "?"]),
            ("<a@b> c", &["?"]),
            ("a@b c@d", &["?", "?"]),
            ("x <a@b", &["?"]),
            ("<a@b, c@d>", &["?", "?"]),
            ("<@relay:a@b>", &["?", "?"]),
            (r#""einvoice"@einvoice.nat.gov.tw"#, &["?"]),
            ("電子發票", &["?"]),
        ] {
            assert_eq!(listed(field), expected, "{field}");
        }
    }

    #[test]
    fn compares_without_case_and_knows_its_domain() {
        let a: Address = "EInvoice@EInvoice.NAT.gov.tw".parse().unwrap();
        assert_eq!(a.as_str(), "einvoice@einvoice.nat.gov.tw");
        assert!(a.is_under("nat.gov.tw"));
        assert!(a.is_under("einvoice.nat.gov.tw"));
        let evil: Address = "einvoice@evil-nat.gov.tw".parse().unwrap();
        assert!(!evil.is_under("nat.gov.tw"));
    }

    #[test]
    fn refuses_what_is_no_address() {
        for odd in [
            "", "@", "a@", "@b", "a b@c", "a@b@c d", "a@b..c", "a@.b", "ａ@b", "a@b\r\nc", "<a@b>",
        ] {
            assert!(odd.parse::<Address>().is_err(), "{odd:?}");
        }
    }
}
