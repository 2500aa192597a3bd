//! DKIM: which signature proves a mail, and what is said of one that does not.
//!
//! Signatures come from three hands: mail-auth's, one written out here by the RFC, and a real Exim;
//! and from RFC 8463. Keys come from a DNS server on loopback.

mod cover;
mod flood;
mod readings;
mod rules;
mod trouble;
mod vectors;

use invoice_trackd::{
    authenticity::{Evidence, Mail, Require, Results, Settings, Verifier},
    notice::{self, Authenticity, Rules},
};

use crate::support::dns::Dns;

/// As the operator sets it unless somebody says otherwise, with `dns` for the keys.
pub fn settings(dns: &Dns) -> Settings {
    Settings {
        require: Require::Dkim,
        dns_servers: vec![dns.address()],
        ..Settings::default()
    }
}

/// What is found about a mail.
pub async fn judged(eml: &[u8], settings: &Settings) -> Evidence {
    judged_by(&Verifier::new(settings.clone()), eml).await
}

pub async fn judged_by(verifier: &Verifier, eml: &[u8]) -> Evidence {
    let reading = notice::read(eml, &Rules::default());
    let mail = Mail {
        raw: eml,
        forwarded: reading.forwarded.as_deref(),
        from: reading.from.as_ref(),
        results: Results::Top,
    };
    verifier.verify(&mail).await
}

/// The fields that the signature covers, of a mail that is proven.
pub fn covered(evidence: &Evidence) -> &[String] {
    match &evidence.verdict {
        Authenticity::Proven {
            signed: Some(signed),
        } => signed,
        other => panic!("expected a proof, found {other:?}"),
    }
}

/// Why a mail is not proven.
pub fn why(evidence: &Evidence) -> &str {
    match &evidence.verdict {
        Authenticity::Unproven(why) => {
            assert!(!why.zh.is_empty() && why.zh != why.en, "{why:?}");
            &why.en
        }
        other => panic!("expected a verdict against it, found {other:?}"),
    }
}

/// `eml` with `from` replaced, which must be there, by `to`, once.
pub fn changed(eml: &[u8], from: &str, to: &str) -> Vec<u8> {
    let eml = str::from_utf8(eml).unwrap();
    assert!(eml.contains(from), "no {from:?} in {eml}");
    eml.replacen(from, to, 1).into_bytes()
}

/// The selector and result of what is found, for comparing at a glance.
pub fn at_a_glance(evidence: &Evidence) -> (&'static str, Option<&str>, Option<&str>) {
    let proof = evidence.proof.as_ref();
    (
        evidence.result(),
        proof.and_then(|proof| proof.domain.as_deref()),
        proof.and_then(|proof| proof.selector.as_deref()),
    )
}
