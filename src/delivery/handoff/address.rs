//! Where a webhook is posted to.
//!
//! Guarantee: numbers go in plaintext to this machine only; the path and the query, which are often
//! secrets, are shown to nobody.

use std::{fmt, str::FromStr};

use reqwest::Url;

use crate::tls;

/// The address of a webhook.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(Url);

/// It is not where numbers may be posted to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected an address such as \"https://erp.example.com/hooks/allocations\", without a user, a \
     password or #; http:// only for this machine (localhost, 127.0.0.1, [::1])"
)]
pub struct AddressError;

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let url = Url::parse(text).map_err(|_| AddressError)?;
        let address = Self(url);
        let is_safe = match address.0.scheme() {
            "https" => !address.host().is_empty(),
            "http" => tls::names_this_machine(address.host()),
            _ => false,
        };
        let url = &address.0;
        let is_plain =
            url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        (is_safe && is_plain).then_some(address).ok_or(AddressError)
    }
}

impl Address {
    /// All of it, for a request and for nobody to see.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// A name or an address, without the brackets of IPv6.
    pub fn host(&self) -> &str {
        let host = self.0.host_str().unwrap_or_default();
        host.trim_matches(['[', ']'])
    }

    /// The port, that of the scheme where none is named.
    pub fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or_default()
    }

    /// Whether it is reached by TLS.
    pub fn is_tls(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// What somebody says of a request, without the path and the query: many servers repeat them.
    pub fn left_out_of(&self, words: &str) -> String {
        let parts = [self.0.path(), self.0.query().unwrap_or_default()];
        let mut words = words.to_owned();
        // `/` alone is no secret, and stands everywhere.
        for part in parts.into_iter().filter(|part| part.len() > 1) {
            words = words.replace(part, "…");
        }
        words
    }
}

/// Only where it is.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.origin().ascii_serialization())
    }
}

/// As it is displayed.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plaintext_is_for_this_machine_and_nobody_s_name_or_fragment_stands_in_an_address() {
        for (text, is_one) in [
            ("https://erp.example.com/hooks/allocations", true),
            ("https://erp.example.com:8443/hooks?key=1", true),
            ("http://localhost:8080/hooks", true),
            ("http://127.0.0.1/", true),
            ("http://[::1]:8080/", true),
            ("http://erp.example.com/", false),
            ("http://192.0.2.1/", false),
            ("https://user@erp.example.com/", false),
            ("https://user:hunter2@erp.example.com/", false),
            ("https://:hunter2@erp.example.com/", false),
            ("https://erp.example.com/#part", false),
            ("ftp://erp.example.com/", false),
            ("file:///etc/passwd", false),
            ("erp.example.com/hooks", false),
            ("https://", false),
        ] {
            assert_eq!(text.parse::<Address>().is_ok(), is_one, "{text}");
        }
    }

    #[test]
    fn where_to_connect_is_in_the_address() {
        for (text, host, port, is_tls) in [
            (
                "https://erp.example.com/hooks",
                "erp.example.com",
                443,
                true,
            ),
            ("http://[::1]/hooks", "::1", 80, false),
            ("https://192.0.2.1:8443/", "192.0.2.1", 8443, true),
        ] {
            let address: Address = text.parse().unwrap();
            let found = (address.host(), address.port(), address.is_tls());
            assert_eq!(found, (host, port, is_tls));
        }
    }

    #[test]
    fn a_path_is_posted_to_and_not_shown() {
        let text = "https://erp.example.com:8443/hunter2?sig=hunter2";
        let address: Address = text.parse().unwrap();
        assert_eq!(address.as_str(), text);
        assert_eq!(address.to_string(), "https://erp.example.com:8443");
        assert!(!format!("{address:?}").contains("hunter2"));
        let repeated = address.left_out_of("Cannot POST /hunter2?sig=hunter2");
        assert_eq!(repeated, "Cannot POST …?…");
        let bare: Address = "http://localhost/".parse().unwrap();
        assert_eq!(bare.left_out_of("and/or"), "and/or");
    }
}
