//! Who a mail claims to be from. The claim proves nothing; `authenticity` does that.

use std::{fmt, str::FromStr};

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

#[cfg(test)]
mod tests {
    use super::*;

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
