//! DKIM (RFC 6376): whether one of a mail's signatures proves where it comes from.
//!
//! mail-auth does the cryptography; the keys are fetched here, so that their text is kept and a
//! resolver's trouble is told apart from a verdict. Guarantee: only a full pass counts, by a domain
//! on the list that is aligned with From, over From and Subject and the whole body.

use std::{borrow::Borrow, collections::HashMap, hash::Hash, sync::Arc, time::Instant};

use futures_util::future::join_all;
use mail_auth::{
    AuthenticatedMessage, DkimResult, DnsError, Error, MessageAuthenticator, Parameters,
    ResolverCache, Txt,
    common::{
        crypto::Algorithm,
        parse::TxtRecordParser as _,
        verify::{DomainKey, VerifySignature as _},
    },
    dkim::Signature,
    hickory_resolver::config::{ResolverConfig, ResolverOpts},
};

use super::{Evidence, Method, Proof, resolver::Resolver};
use crate::notice::{Address, Authenticity, Sentence};

/// So many signatures of a mail are looked at: each may make us hash its whole body.
const MAX_SIGNATURES: usize = 10;

/// Key records by the name they stand at. What is not among them is not asked for.
#[derive(Default)]
struct Keys(HashMap<String, Txt>);

impl ResolverCache<Box<str>, Txt> for Keys {
    fn get<Q>(&self, name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let found = self.0.iter().find(|(known, _)| {
            let known: Box<str> = known.as_str().into();
            known.borrow() == name
        });
        let none = Txt::Error(Error::Dns(DnsError::InvalidRecordType));
        Some(found.map_or(none, |(_, txt)| txt.clone()))
    }

    fn remove<Q>(&self, _name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        None
    }

    fn insert(&self, _key: Box<str>, _value: Txt, _valid_until: Instant) {}
}

/// Looks for the signature that counts.
pub(super) async fn verify(
    raw: &[u8],
    from: Option<&Address>,
    domains: &[String],
    resolver: &Resolver,
) -> Evidence {
    let none = || Evidence {
        verdict: Authenticity::Unproven(Sentence::new(
            "there is no DKIM signature; see what mail of this sender carries with \
             `invoice-trackd check --online`",
            "這封信沒有 DKIM 簽章；請用 `invoice-trackd check --online` 查看此寄件人的信帶有什麼證明",
        )),
        proof: None,
    };
    let Some(message) = AuthenticatedMessage::parse(raw) else {
        return none();
    };
    let mut best = none();
    for header in message.dkim_headers.iter().take(MAX_SIGNATURES) {
        let signature = &header.header;
        let name = signature.domain_key();
        let proof = Proof {
            method: Method::Dkim,
            domain: Some(signature.d.to_ascii_lowercase()),
            selector: Some(signature.s.clone()),
            algorithm: None,
            key: None,
        };
        let records = match resolver.txt(&name).await {
            Ok(records) => records,
            Err(trouble) => {
                return Evidence {
                    verdict: Authenticity::Unknown(format!("look up {name}: {trouble}")),
                    proof: Some(proof),
                };
            }
        };
        let text = records
            .first()
            .map(|text| String::from_utf8_lossy(text).into_owned());
        let parsed = records.first().map(|text| DomainKey::parse(text));
        let txt = match parsed {
            Some(Ok(key)) => Txt::DomainKey(Arc::new(key)),
            Some(Err(error)) => Txt::Error(error),
            None => Txt::Error(Error::Dns(DnsError::InvalidRecordType)),
        };
        let keys = Keys(HashMap::from([(name, txt)]));
        let passed = passes(&message, signature, &keys).await;
        let aligned = from.is_some_and(|from| from.is_under(&signature.d));
        let listed = domains.contains(&signature.d.to_ascii_lowercase());
        let covers = |field: &str| {
            signature
                .h
                .iter()
                .any(|name| name.eq_ignore_ascii_case(field))
        };
        let proof = Some(Proof { key: text, ..proof });
        if passed && aligned && listed && covers("from") && covers("subject") {
            let signed = signature
                .h
                .iter()
                .map(|name| name.to_ascii_lowercase())
                .collect();
            return Evidence {
                verdict: Authenticity::Proven {
                    signed: Some(signed),
                },
                proof,
            };
        }
        best = Evidence {
            verdict: Authenticity::Unproven(Sentence::new(
                format!("the signature of {} does not count", signature.d),
                format!("{} 的簽章不算數", signature.d),
            )),
            proof,
        };
    }
    best
}

/// Every signature, looked into, whoever signed.
pub(super) async fn signatures(raw: &[u8], resolver: &Resolver) -> Vec<Signed> {
    let Some(message) = AuthenticatedMessage::parse(raw) else {
        return Vec::new();
    };
    let signatures = message.dkim_headers.iter().take(MAX_SIGNATURES);
    join_all(signatures.map(|header| look_into(&message, &header.header, resolver))).await
}

async fn look_into(
    message: &AuthenticatedMessage<'_>,
    signature: &Signature,
    resolver: &Resolver,
) -> Signed {
    let name = signature.domain_key();
    let records = resolver.txt(&name).await;
    let text = records.as_ref().ok().and_then(|records| records.first());
    let key = text.map(|text| String::from_utf8_lossy(text).into_owned());
    let outcome = match (&records, text.map(|text| DomainKey::parse(text))) {
        (Err(trouble), _) => Outcome::Unknown(format!("look up {name}: {trouble}")),
        (_, None | Some(Err(_))) => Outcome::Broken(Sentence::new(
            format!("the key {name} is not in DNS"),
            format!("DNS 上沒有金鑰 {name}"),
        )),
        (_, Some(Ok(key))) => {
            let keys = Keys(HashMap::from([(name, Txt::DomainKey(Arc::new(key)))]));
            match passes(message, signature, &keys).await {
                true => Outcome::Pass,
                false => Outcome::Broken(Sentence::new(
                    "the mail was changed after it was signed",
                    "信件在簽章之後被改過",
                )),
            }
        }
    };
    Signed {
        domain: signature.d.to_ascii_lowercase(),
        selector: signature.s.clone(),
        algorithm: match signature.a {
            Algorithm::RsaSha1 => "rsa-sha1",
            Algorithm::RsaSha256 => "rsa-sha256",
            Algorithm::Ed25519Sha256 => "ed25519-sha256",
        }
        .to_owned(),
        key,
        covered: signature
            .h
            .iter()
            .map(|name| name.to_ascii_lowercase())
            .collect(),
        outcome,
    }
}

async fn passes(message: &AuthenticatedMessage<'_>, signature: &Signature, keys: &Keys) -> bool {
    let nobody = ResolverConfig::from_name_servers(Vec::new());
    let Ok(authenticator) = MessageAuthenticator::new(nobody, ResolverOpts::default()) else {
        return false;
    };
    let parameters = Parameters::new(message).with_txt_cache(keys);
    let outputs = authenticator.verify_dkim(parameters).await;
    outputs.iter().any(|output| {
        *output.result() == DkimResult::Pass
            && output
                .signature()
                .is_some_and(|passed| std::ptr::eq(passed, signature))
    })
}

/// One signature, looked into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// `d=`, lower case.
    pub domain: String,
    /// `s=`.
    pub selector: String,
    /// `a=`, e.g. `rsa-sha256`.
    pub algorithm: String,
    /// The key record's text as DNS gave it.
    pub key: Option<String>,
    /// The header fields all of whose instances it covers, lower case.
    pub covered: Vec<String>,
    /// Whether it holds, whoever signed.
    pub outcome: Outcome,
}

/// Whether a signature holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The mail is as it was signed.
    Pass,
    /// It does not hold; the sentence says why.
    Broken(Sentence),
    /// A resolver failed for now.
    Unknown(String),
}
