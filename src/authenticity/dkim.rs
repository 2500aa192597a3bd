//! DKIM (RFC 6376, 8301, 8463): whether one of a mail's signatures proves where it comes from.
//!
//! mail-auth canonicalizes, hashes and verifies; what it is given to see, what it would take too
//! leniently, and the keys, which are fetched here so that their text is kept and a resolver's
//! trouble is told apart from a verdict, are this room's. Left out on purpose: `z=`, `t=y` (the
//! signer is testing; the signature proves as much), reports (RFC 6651) and ATPS (RFC 6541).
//!
//! Guarantees: only a full pass counts, by a domain on the list that is aligned with From, over
//! every From and Subject and the whole body of what our own reader reads. At most ten signatures
//! are looked at, the body is hashed at most twice, four keys are tried at one name, and DNS is
//! asked at most ten times, all within [`BOUND`]. Trouble about a signature that cannot count delays nothing but its explanation.

mod key;
mod message;
mod signature;
mod tags;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use tokio::time::Instant;

pub use self::signature::key_name;
use self::{
    message::{Found, Message},
    signature::Signature,
};
use super::{
    Evidence, Method, Proof,
    alignment::is_aligned,
    resolver::{BOUND, Resolver},
};
use crate::notice::{Address, Authenticity, Sentence};

/// What a signature must cover.
const MUST_COVER: [&str; 2] = ["From", "Subject"];

/// So many signatures that cannot count are looked into, to say more of them.
const MAX_OTHERS: usize = 2;

/// So many keys at one name are tried, for each of which the header is hashed once more: one name
/// holds hundreds, and whose name it is, the sender of a mail says.
const MAX_KEYS: usize = 4;

/// One signature, looked into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// `d=`, lower case; empty where it is no domain name.
    pub domain: String,
    /// `s=`; empty where it cannot be one.
    pub selector: String,
    /// `a=`, e.g. `rsa-sha256`; empty where it cannot be one.
    pub algorithm: String,
    /// The key record's text as DNS gave it, bounded.
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

impl Signed {
    /// The fields that a signature must cover to count, and that this one does not in all their
    /// instances.
    pub fn uncovered(&self) -> impl Iterator<Item = &'static str> {
        uncovered(&self.covered)
    }
}

/// Every signature of a mail that is looked at, from the top, whoever signed.
pub(super) async fn signatures(raw: &[u8], resolver: &Resolver) -> Vec<Signed> {
    let message = Message::split(raw);
    let signatures = message.signatures();
    let until = Instant::now() + BOUND;
    look_into(
        &message,
        &signatures.iter().collect::<Vec<_>>(),
        resolver,
        until,
    )
    .await
}

/// The fields that every signature by From's organization says it covers, lower case; `None` where
/// there is no such signature. Nothing is verified here: whichever of them it was that somebody
/// else found to hold, these fields are under it, because who sends a mail again can add a signature
/// but not take that one away. One that cannot be read may be the one, and covers nothing.
pub(super) fn covered_by_all(raw: &[u8], from: &Address) -> Option<Vec<String>> {
    let message = Message::split(raw);
    let mut by_all: Option<Vec<String>> = None;
    for signature in message.all_signatures() {
        let domain = &signature.domain;
        if !domain.is_empty() && !is_aligned(domain, from.domain()) {
            continue;
        }
        let covered = match message.has_too_many_fields() {
            true => Vec::new(),
            false => message.covered(&signature),
        };
        by_all = Some(match by_all {
            None => covered,
            Some(so_far) => so_far.into_iter().filter(|f| covered.contains(f)).collect(),
        });
    }
    by_all
}

/// A field about how the body is to be read that stands there twice, so that it can be read in two
/// ways, whoever found a signature to hold.
pub(super) fn repeated_field(raw: &[u8]) -> Option<Sentence> {
    Message::split(raw).repeated(|_| 1)
}

/// Looks for the signature that counts.
pub(super) async fn verify(
    raw: &[u8],
    from: Option<&Address>,
    domains: &[String],
    resolver: &Resolver,
) -> Evidence {
    let message = Message::split(raw);
    let signatures = message.signatures();
    let expected = Expected { from, domains };
    let could_count = |signature: &&Signature<'_>| {
        expected.counts(&signature.domain, &message.covered(signature))
    };
    let until = Instant::now() + BOUND;
    let (candidates, mut others): (Vec<_>, Vec<_>) = signatures.iter().partition(could_count);
    let mut signed = look_into(&message, &candidates, resolver, until).await;
    if let Some(passed) = signed.iter().find(|signed| signed.outcome == Outcome::Pass) {
        return Evidence {
            verdict: Authenticity::Proven {
                signed: Some(passed.covered.clone()),
            },
            proof: Some(proof(passed)),
        };
    }
    for signed in &signed {
        if let Outcome::Unknown(trouble) = &signed.outcome {
            return Evidence {
                verdict: Authenticity::Unknown(trouble.clone()),
                proof: Some(proof(signed)),
            };
        }
    }
    others.sort_by_key(|signature| !expected.is_listed(&signature.domain));
    others.truncate(MAX_OTHERS);
    signed.extend(look_into(&message, &others, resolver, until).await);
    let told = signed
        .iter()
        .map(|signed| (signed, expected.lacking(signed)));
    // The first of those that came nearest.
    let nearest = told.rev().max_by_key(|(_, (near, _))| *near);
    let (proof, why) = match nearest {
        // What keeps every signature from counting is said rather than what one lacks.
        Some((signed, (_, why))) => (Some(proof(signed)), message.flaw.clone().unwrap_or(why)),
        None => (None, words::no_signature()),
    };
    Evidence {
        verdict: Authenticity::Unproven(why),
        proof,
    }
}

fn proof(signed: &Signed) -> Proof {
    let said = |text: &String| (!text.is_empty()).then(|| text.clone());
    Proof {
        method: Method::Dkim,
        domain: said(&signed.domain),
        selector: said(&signed.selector),
        algorithm: said(&signed.algorithm),
        key: signed.key.clone(),
    }
}

/// What a signature must be to count.
struct Expected<'a> {
    from: Option<&'a Address>,
    domains: &'a [String],
}

impl Expected<'_> {
    fn counts(&self, domain: &str, covered: &[String]) -> bool {
        self.is_listed(domain) && self.is_aligned(domain) && uncovered(covered).next().is_none()
    }

    fn is_listed(&self, domain: &str) -> bool {
        self.domains
            .iter()
            .any(|listed| listed.eq_ignore_ascii_case(domain))
    }

    fn is_aligned(&self, domain: &str) -> bool {
        self.from
            .is_some_and(|from| is_aligned(domain, from.domain()))
    }

    /// How near a signature came that does not count, and what it lacks.
    fn lacking(&self, signed: &Signed) -> (usize, Sentence) {
        let domain = &signed.domain;
        let holds = signed.outcome == Outcome::Pass;
        match (self.is_listed(domain), self.is_aligned(domain)) {
            (true, true) => match (&signed.outcome, signed.uncovered().next()) {
                (Outcome::Broken(why), _) => (4, why.clone()),
                (_, field) => (5, words::not_covered(domain, field.unwrap_or("From"))),
            },
            (true, false) => (3, words::not_aligned(domain, self.from)),
            (false, true) if holds => (2, words::not_listed(domain)),
            (false, true) => (1, words::not_listed_either(domain)),
            (false, false) => match &signed.outcome {
                // Nothing can be said of a domain that cannot be read.
                Outcome::Broken(why) if domain.is_empty() => (0, why.clone()),
                _ => (0, words::foreign(domain)),
            },
        }
    }
}

fn uncovered(covered: &[String]) -> impl Iterator<Item = &'static str> {
    let is_covered = |field: &str| covered.iter().any(|name| name.eq_ignore_ascii_case(field));
    MUST_COVER
        .into_iter()
        .filter(move |field| !is_covered(field))
}

/// What DNS holds at the names of keys.
type Records = BTreeMap<String, Result<Vec<Vec<u8>>, String>>;

/// Looks into signatures, their keys asked for side by side; those that cannot hold anyway need
/// none.
async fn look_into(
    message: &Message<'_>,
    signatures: &[&Signature<'_>],
    resolver: &Resolver,
    until: Instant,
) -> Vec<Signed> {
    let without_key: Vec<Found> = signatures
        .iter()
        .map(|signature| {
            let flaw = message.flaw.clone().or_else(|| signature.flaw.clone());
            match flaw.or_else(|| message.second_field(signature)) {
                Some(flaw) => Found::Broken(flaw),
                None => message.check(signature, None),
            }
        })
        .collect();
    let names: BTreeSet<String> = signatures
        .iter()
        .zip(&without_key)
        .filter(|(_, found)| matches!(found, Found::NeedsKey))
        .map(|(signature, _)| signature.key_name())
        .collect();
    let lookups = names.into_iter().map(|name| async {
        let records = resolver.txt(&name, until).await;
        (name, records)
    });
    let records: Records = join_all(lookups).await.into_iter().collect();
    signatures
        .iter()
        .zip(without_key)
        .map(|(signature, found)| {
            let (key, outcome) = match found {
                Found::Pass | Found::NeedsKey => with_key(message, signature, &records),
                Found::Broken(why) => (None, Outcome::Broken(why)),
            };
            Signed {
                domain: signature.domain.clone(),
                selector: signature.selector.clone(),
                algorithm: signature.algorithm.clone(),
                key,
                covered: message.covered(signature),
                outcome,
            }
        })
        .collect()
}

/// The text of the key that was used, and what came of it.
fn with_key(
    message: &Message<'_>,
    signature: &Signature<'_>,
    records: &Records,
) -> (Option<String>, Outcome) {
    let name = signature.key_name();
    let found = match records.get(&name) {
        Some(Ok(found)) => found.as_slice(),
        Some(Err(trouble)) => {
            return (None, Outcome::Unknown(format!("look up {name}: {trouble}")));
        }
        None => &[],
    };
    let mut last = (None, Outcome::Broken(words::no_key(&name)));
    // RFC 6376 §3.6.2.2 leaves open what several records mean, and DNS gives them in any order: one
    // that fits is enough.
    let mut tried = 0;
    for record in found {
        let key = match key::usable(record, &name, &signature.algorithm) {
            Ok(_) if tried == MAX_KEYS => break,
            Ok(key) => {
                tried += 1;
                message.check(signature, Some(key))
            }
            Err(why) => Found::Broken(why),
        };
        let text = Some(key::text(record));
        match key {
            Found::Pass => return (text, Outcome::Pass),
            Found::NeedsKey => {}
            Found::Broken(why) => last = (text, Outcome::Broken(why)),
        }
    }
    last
}
