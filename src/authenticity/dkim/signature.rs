//! What a DKIM-Signature field says of itself (RFC 6376 §3.5), before anything is computed.
//!
//! mail-auth reads the field too, and more leniently: it takes a signature without `v=`, `l=0`, and
//! the last of two `d=`. Whatever it would take and RFC 6376, RFC 8301 or our own rules would not
//! is a [`Signature::flaw`] here.

use super::{
    tags::{Tags, items},
    words,
};
use crate::notice::Sentence;

/// More names than any signer lists; each is looked for among all fields.
const MAX_SIGNED: usize = 200;

/// One DKIM-Signature field.
#[derive(Debug)]
pub(super) struct Signature<'a> {
    /// The field's name and body, as they stand.
    pub(super) field: (&'a [u8], &'a [u8]),
    /// `d=`, lower case; empty where it is no domain name.
    pub(super) domain: String,
    /// `s=`; empty where it cannot be one.
    pub(super) selector: String,
    /// `a=`; empty where it cannot be one.
    pub(super) algorithm: String,
    /// `h=`, lower case, in its order.
    pub(super) signed: Vec<String>,
    /// Why it can never count.
    pub(super) flaw: Option<Sentence>,
}

impl<'a> Signature<'a> {
    /// Never fails: what cannot be read has a flaw.
    pub(super) fn read(field: (&'a [u8], &'a [u8])) -> Self {
        let mut signature = Self {
            field,
            domain: String::new(),
            selector: String::new(),
            algorithm: String::new(),
            signed: Vec::new(),
            flaw: None,
        };
        let Some(tags) = Tags::read(field.1) else {
            signature.flaw = Some(words::unreadable("its tag list"));
            return signature;
        };
        let named = |tag: &str| {
            let name = tags.get(tag).filter(|name| is_domain_name(name));
            name.unwrap_or_default().to_ascii_lowercase()
        };
        signature.domain = named("d");
        signature.selector = named("s");
        let algorithm = tags.get("a").unwrap_or_default();
        // RFC 6376 §3.5: a hyphenated word.
        if algorithm.len() <= 30 && algorithm.chars().all(|c| c.is_ascii_graphic()) {
            signature.algorithm = algorithm.to_ascii_lowercase();
        }
        let signed = items(tags.get("h").unwrap_or_default()).take(MAX_SIGNED + 1);
        signature.signed = signed.map(str::to_ascii_lowercase).collect();
        signature.flaw = signature.flaw(&tags);
        signature
    }

    fn flaw(&self, tags: &Tags<'_>) -> Option<Sentence> {
        let digits = |value: &str| {
            // RFC 6376 §3.5: `x=` and `t=` are up to 12 digits.
            (1..=12).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_digit())
        };
        if tags.get("v") != Some("1") {
            return Some(words::unreadable("`v=`"));
        }
        if self.domain.is_empty() {
            return Some(words::unreadable("`d=`"));
        }
        if self.selector.is_empty() {
            return Some(words::unreadable("`s=`"));
        }
        // RFC 8301 §3.1: rsa-sha1 must not be taken.
        if !["rsa-sha256", "ed25519-sha256"].contains(&self.algorithm.as_str()) {
            return Some(words::algorithm(tags.get("a").unwrap_or_default()));
        }
        if tags.get("l").is_some() {
            return Some(words::part_of_body());
        }
        if self.signed.len() > MAX_SIGNED || !self.signed.iter().all(|name| is_field_name(name)) {
            return Some(words::unreadable("`h=`"));
        }
        // mail-auth takes what it cannot read for a signature that never expires.
        if ["x", "t"]
            .into_iter()
            .filter_map(|tag| tags.get(tag))
            .any(|value| !digits(value))
        {
            return Some(words::unreadable("`x=` or `t=`"));
        }
        if tags
            .get("x")
            .is_some_and(|value| value.bytes().all(|digit| digit == b'0'))
        {
            return Some(words::expired(&self.domain));
        }
        let by_dns = |methods| items(methods).any(|method| method.eq_ignore_ascii_case("dns/txt"));
        if !tags.get("q").is_none_or(by_dns) {
            return Some(words::unreadable("`q=`"));
        }
        None
    }

    /// Where DNS holds its key.
    pub(super) fn key_name(&self) -> String {
        key_name(&self.selector, &self.domain)
    }

    /// How often `h=` names a field.
    pub(super) fn times(&self, field: &str) -> usize {
        self.signed.iter().filter(|name| *name == field).count()
    }
}

/// Where DNS holds a key. RFC 6376 §3.6.2.1.
pub fn key_name(selector: &str, domain: &str) -> String {
    format!("{selector}._domainkey.{domain}")
}

/// RFC 6376 §3.5 `domain-name`, and an underscore, which selectors have.
fn is_domain_name(name: &str) -> bool {
    name.len() <= 253
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        })
}

/// RFC 5322 §2.2.
fn is_field_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Why a signature over these fields can never count, in English.
    fn flaw(signed: &str) -> Option<String> {
        let says = format!("v=1; a=rsa-sha256; d=a.example; s=s1; h={signed}; bh=; b=");
        let signature = Signature::read((b"DKIM-Signature", says.as_bytes()));
        signature.flaw.map(|flaw| flaw.en)
    }

    #[test]
    fn what_is_signed_is_a_bounded_list_of_field_names() {
        let names = |count: usize| ["From", "Subject"].repeat(count / 2).join(":");
        for good in ["From:Subject", " From :\r\n Subject ", &names(MAX_SIGNED)] {
            assert_eq!(flaw(good), None, "{good}");
        }
        let too_many = format!("{}:To", names(MAX_SIGNED));
        for bad in [
            "",
            "From:",
            "From::Subject",
            "From:Sub ject",
            "From:標題",
            &too_many,
        ] {
            let why = flaw(bad).expect(bad);
            assert!(why.ends_with("`h=`"), "{bad}: {why}");
        }
    }
}
