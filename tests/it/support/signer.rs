//! Who signs mail in tests, as the platform may: a key, and the record that DNS holds of it.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use mail_auth::{
    common::{
        crypto::{Ed25519Key, RsaKey, Sha256, SigningKey},
        headers::HeaderWriter as _,
    },
    dkim::{Canonicalization, DkimSigner, Done},
};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject as _};

use sha2::{Digest as _, Sha256 as Sha};

use super::dns::Dns;

/// The platform's own domain, as the fixtures' From has it.
pub const DOMAIN: &str = "einvoice.nat.gov.tw";

/// The selector of the keys here.
pub const SELECTOR: &str = "s2026";

/// Its private key, as others read it.
pub const PEM: &str = include_str!("signer.pem");

/// 2048 bits, of these tests only.
fn rsa() -> RsaKey<Sha256> {
    let key = PrivateKeyDer::from_pem_slice(PEM.as_bytes()).unwrap();
    RsaKey::from_key_der(key).unwrap()
}

/// `v=DKIM1; k=rsa; p=…`
pub fn record() -> String {
    format!(
        "v=DKIM1; k=rsa; p={}",
        BASE64_STANDARD.encode(rsa().public_key())
    )
}

/// Where DNS holds the record.
pub fn record_name() -> String {
    format!("{SELECTOR}._domainkey.{DOMAIN}")
}

/// A DNS server that holds the record.
pub fn dns() -> Dns {
    Dns::with(&record_name(), &record())
}

/// Signs `eml` as the platform would: From, To, Subject and Date, relaxed, rsa-sha256.
pub fn sign(eml: &[u8]) -> Vec<u8> {
    sign_as(eml, DOMAIN, &["From", "To", "Subject", "Date"], |signer| {
        signer
    })
}

/// Signs `eml` with the RSA key as `domain`, over the header fields `signed`; `change` changes
/// what else the signature says.
pub fn sign_as(
    eml: &[u8],
    domain: &str,
    signed: &[&str],
    change: impl FnOnce(DkimSigner<RsaKey<Sha256>, Done>) -> DkimSigner<RsaKey<Sha256>, Done>,
) -> Vec<u8> {
    let signer = DkimSigner::from_key(rsa())
        .domain(domain)
        .selector(SELECTOR)
        .headers(signed.iter().copied())
        .header_canonicalization(Canonicalization::Relaxed)
        .body_canonicalization(Canonicalization::Relaxed);
    signed_by(&change(signer), eml)
}

/// A fresh Ed25519 key: signs `eml`, and returns the record besides.
pub fn sign_ed25519(eml: &[u8], signed: &[&str]) -> (Vec<u8>, String) {
    let key = Ed25519Key::from_pkcs8_der(&Ed25519Key::generate_pkcs8().unwrap()).unwrap();
    let public = BASE64_STANDARD.encode(key.public_key());
    let signer = DkimSigner::from_key(key)
        .domain(DOMAIN)
        .selector(SELECTOR)
        .headers(signed.iter().copied())
        .header_canonicalization(Canonicalization::Relaxed)
        .body_canonicalization(Canonicalization::Relaxed);
    let eml = signed_by(&signer, eml);
    (eml, format!("v=DKIM1; k=ed25519; p={public}"))
}

fn signed_by<T: SigningKey>(signer: &DkimSigner<T, Done>, eml: &[u8]) -> Vec<u8> {
    let header = signer.sign(eml).unwrap().to_header();
    [header.as_bytes(), eml].concat()
}

/// The tags of an ordinary signature by hand, up to `h=`.
pub const TAGS: &str = "v=1; a=rsa-sha256; c=relaxed/relaxed; d=einvoice.nat.gov.tw; s=s2026; \
    h=From:To:Subject:Date:MIME-Version:Content-Type:Content-Transfer-Encoding";

/// Signs `eml` with the RSA key and exactly these `tags`; `bh=` and `b=` come behind them. Relaxed
/// canonicalization as RFC 6376 §3.4 has it, written once more: mail-auth does not check itself.
pub fn by_hand(eml: &[u8], tags: &str) -> Vec<u8> {
    let eml = str::from_utf8(eml).unwrap();
    let (header, body) = eml.split_once("\r\n\r\n").unwrap();
    let hash = BASE64_STANDARD.encode(Sha::digest(relaxed_body(body)));
    let value = format!(" {tags}; bh={hash}; b=");
    let (_, names) = tags.split_once("h=").unwrap();
    let (names, _) = names.split_once(';').unwrap_or((names, ""));

    let unfolded = header.replace("\r\n ", " ").replace("\r\n\t", " ");
    let mut fields: Vec<(&str, &str)> = unfolded
        .split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .collect();
    let mut signed = String::new();
    for name in names.split(':') {
        let name = name.trim();
        let last = fields
            .iter()
            .rposition(|(other, _)| other.eq_ignore_ascii_case(name));
        if let Some(at) = last {
            signed.push_str(&relaxed_field(fields.remove(at)));
        }
    }
    signed.push_str(relaxed_field(("DKIM-Signature", &value)).trim_end());
    let signature = BASE64_STANDARD.encode(rsa().sign(signed.as_bytes()).unwrap());
    format!("DKIM-Signature:{value}{signature}\r\n{eml}").into_bytes()
}

fn relaxed_field((name, value): (&str, &str)) -> String {
    let words: Vec<&str> = value.split_ascii_whitespace().collect();
    format!("{}:{}\r\n", name.to_ascii_lowercase(), words.join(" "))
}

/// RFC 6376 §3.4.4.
fn relaxed_body(body: &str) -> String {
    let lines = body.split("\r\n").map(|line| {
        let mut relaxed = String::new();
        for c in line.chars() {
            let c = if c == '\t' { ' ' } else { c };
            if !(c == ' ' && relaxed.ends_with(' ')) {
                relaxed.push(c);
            }
        }
        relaxed.trim_end_matches(' ').to_owned()
    });
    let mut lines: Vec<String> = lines.collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines.iter().map(|line| format!("{line}\r\n")).collect()
}
