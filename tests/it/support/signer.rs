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

use super::dns::Dns;

/// The platform's own domain, as the fixtures' From has it.
pub const DOMAIN: &str = "einvoice.nat.gov.tw";

/// The selector of the keys here.
pub const SELECTOR: &str = "s2026";

/// 2048 bits, of these tests only.
fn rsa() -> RsaKey<Sha256> {
    let pem = include_bytes!("signer.pem");
    RsaKey::from_key_der(PrivateKeyDer::from_pem_slice(pem).unwrap()).unwrap()
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
