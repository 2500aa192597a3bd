//! The key record (RFC 6376 §3.6.1), and whether it lets itself be used for a signature.
//!
//! mail-auth reads the key, but does not hold it to what the record says of its use (`h=`, `s=`),
//! takes a tag that stands twice, and calls a key that is too short a forgery. That is checked here.

use mail_auth::common::{parse::TxtRecordParser as _, verify::DomainKey};

use super::{
    tags::{Tags, items},
    words,
};
use crate::notice::Sentence;

/// RFC 8301 §3.2: a verifier must not take less.
const MIN_RSA_BITS: usize = 1024;

/// As much of a record as is kept; the longest RSA key that is verified takes 1.4 KiB.
const MAX_TEXT: usize = 4096;

/// The key of a record at `name`, for signatures of `algorithm`.
///
/// # Errors
/// Why it cannot be used.
pub(super) fn usable(record: &[u8], name: &str, algorithm: &str) -> Result<DomainKey, Sentence> {
    let unusable = |what| words::unusable_key(name, what);
    let tags = Tags::read(record).ok_or_else(|| unusable("it is no tag list"))?;
    match tags.get("v") {
        None => {}
        // RFC 6376 §3.6.1: it comes first.
        Some("DKIM1") if tags.first() == Some("v") => {}
        Some(_) => return Err(unusable("`v=` is not DKIM1, or not first")),
    }
    let key = tags.get("p").ok_or_else(|| unusable("it has no `p=`"))?;
    if key.is_empty() {
        return Err(words::revoked(name));
    }
    let allows = |tag, any_of: &[&str]| {
        let of = |value| {
            items(value).any(|item| any_of.iter().any(|one| item.eq_ignore_ascii_case(one)))
        };
        tags.get(tag).is_none_or(of)
    };
    if !allows("h", &["sha256"]) {
        return Err(unusable("`h=` does not name sha256"));
    }
    if !allows("s", &["*", "email"]) {
        return Err(unusable("`s=` is not for mail"));
    }
    let kind = tags.get("k").unwrap_or("rsa");
    // RFC 8463 §4: ed25519-sha256 goes with k=ed25519.
    if !algorithm.starts_with(&format!("{}-", kind.to_ascii_lowercase())) {
        return Err(unusable(
            "`k=` is not the kind of key the signature is made with",
        ));
    }
    let key = DomainKey::parse(record).map_err(|_| unusable("its key is broken"))?;
    if key.p.public_key_bits() < MIN_RSA_BITS {
        return Err(unusable("its key is shorter than 1024 bits"));
    }
    Ok(key)
}

/// A record's text as a zone file would have it: what is not printable ASCII is written `\DDD`
/// (RFC 1035 §5.1).
pub(super) fn text(record: &[u8]) -> String {
    let mut text = String::new();
    for byte in record {
        if text.len() + 4 > MAX_TEXT {
            text.push('…');
            break;
        }
        match byte {
            b' '..=b'~' => text.push(char::from(*byte)),
            other => text.push_str(&format!("\\{other:03}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn a_records_text_is_bounded_and_cannot_do_anything_to_a_terminal() {
        assert_eq!(text(b"v=DKIM1; p=\x1b[2J\xff"), "v=DKIM1; p=\\027[2J\\255");
        for byte in [b'x', 0] {
            let long = text(&vec![byte; 100_000]);
            assert!((4000..=4100).contains(&long.len()), "{}", long.len());
        }
    }
}
