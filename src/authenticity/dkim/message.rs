//! The message that was signed, as mail-auth is to see it.
//!
//! mail-auth would split header and body by itself, and not where our reader does: it ends the
//! header at a line without a colon, and does not know `Subject :`. A genuine mail with such a line
//! put in could then be verified as one text and read as another. So it is given the fields and the
//! body that [`notice::split`] finds, and a mail in which any two readers could disagree is not
//! looked into. What canonicalization lets pass unseen must not be seen by our reader either:
//! mail-auth leaves lone carriage returns out of what it hashes.
//!
//! Guarantee: the body is hashed at most once for each of the two canonicalizations, however many
//! signatures there are.

use std::{
    borrow::{Borrow, Cow},
    collections::{BTreeMap, BTreeSet},
    hash::Hash,
    sync::{Arc, OnceLock},
    time::Instant,
};

use futures_util::FutureExt as _;
use mail_auth::{
    AuthenticatedMessage, DkimResult, DnsError, Error, MessageAuthenticator, Parameters,
    ResolverCache, Txt,
    common::{
        crypto::{Algorithm, HashAlgorithm},
        headers::Header,
        verify::DomainKey,
    },
    dkim::{self, Canonicalization, DkimError},
    hickory_resolver::config::{ResolveHosts, ResolverConfig, ResolverOpts},
};

use super::{signature::Signature, words};
use crate::notice::{self, Sentence};

/// So many signatures of a mail are looked at.
const MAX_SIGNATURES: usize = 10;

/// Ten times what mail that went through many hands has.
const MAX_FIELDS: usize = 1000;

/// A message and everything about it that does not depend on one signature.
pub(super) struct Message<'a> {
    /// With the line ends that they had when they were signed.
    fields: Vec<(&'a [u8], Cow<'a, [u8]>)>,
    body: &'a [u8],
    /// How often each field occurs, by its name in lower case.
    counts: BTreeMap<String, usize>,
    /// Hashed with simple and with relaxed canonicalization.
    hashes: [OnceLock<Vec<u8>>; 2],
    authenticator: OnceLock<Option<MessageAuthenticator>>,
    /// Why none of its signatures can count.
    pub(super) flaw: Option<Sentence>,
}

/// What mail-auth finds.
pub(super) enum Found {
    /// It holds.
    Pass,
    /// It would need the key to go on.
    NeedsKey,
    /// It does not hold.
    Broken(Sentence),
}

impl<'a> Message<'a> {
    pub(super) fn split(raw: &'a [u8]) -> Self {
        let (fields, body) = notice::split(raw);
        let flaw = if fields.len() > MAX_FIELDS {
            Some(words::too_many_fields(MAX_FIELDS))
        } else {
            (!splits_in_one_way(raw, &fields, body)).then(words::two_readings)
        };
        let mut counts = BTreeMap::new();
        for (name, _) in fields.iter().take(MAX_FIELDS) {
            *counts.entry(lower(name)).or_default() += 1;
        }
        let fields = fields.into_iter();
        Self {
            fields: fields.map(|(name, value)| (name, as_sent(value))).collect(),
            body,
            counts,
            hashes: [const { OnceLock::new() }; 2],
            authenticator: OnceLock::new(),
            flaw,
        }
    }

    /// The signatures that are looked at, from the top.
    pub(super) fn signatures(&self) -> Vec<Signature<'_>> {
        self.all_signatures().take(MAX_SIGNATURES).collect()
    }

    /// Every signature there is, from the top.
    pub(super) fn all_signatures(&self) -> impl Iterator<Item = Signature<'_>> {
        self.fields
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case(b"DKIM-Signature"))
            .map(|(name, value)| Signature::read((name, value)))
    }

    /// Whether some of its fields were not counted, so that nothing can be said of all instances.
    pub(super) fn has_too_many_fields(&self) -> bool {
        self.fields.len() > MAX_FIELDS
    }

    /// The fields all of whose instances a signature covers, in its order. RFC 6376 §5.4.2: `h=`
    /// names a field once for each instance, from the last to the first.
    pub(super) fn covered(&self, signature: &Signature<'_>) -> Vec<String> {
        let mut seen = BTreeSet::new();
        let names = signature
            .signed
            .iter()
            .filter(|name| seen.insert(name.as_str()));
        names
            .filter(|name| signature.times(name) >= self.count(name))
            .cloned()
            .collect()
    }

    /// A field that says how the body is to be read and stands there once more than it may: our
    /// reader goes by the first, and it is the last that a signature covers.
    pub(super) fn second_field(&self, signature: &Signature<'_>) -> Option<Sentence> {
        self.repeated(|name| signature.times(name))
    }

    /// The first field about how the body is to be read that stands there more often than is
    /// `signed`, and more than once.
    pub(super) fn repeated(&self, signed: impl Fn(&str) -> usize) -> Option<Sentence> {
        let mut names = self.counts.iter();
        let second = names.find(|(name, count)| {
            let is_mime = name.starts_with("content-") || *name == "mime-version";
            is_mime && **count > signed(name).max(1)
        });
        second.map(|(name, _)| words::second_field(name))
    }

    fn count(&self, name: &str) -> usize {
        self.counts.get(name).copied().unwrap_or_default()
    }

    /// Whether a signature holds; without a key, as far as that can be said.
    pub(super) fn check(&self, signature: &Signature<'_>, key: Option<DomainKey>) -> Found {
        let domain = &signature.domain;
        let (name, value) = signature.field;
        let read = match dkim::Signature::parse(value) {
            Ok(read) => read,
            Err(Error::Dkim(DkimError::UnsupportedCanonicalization)) => {
                return Found::Broken(words::unreadable("`c=`"));
            }
            Err(_) => return Found::Broken(words::unreadable("`b=`, `bh=` or `h=`")),
        };
        // Two readers of one field must have read the same.
        let agrees = read.d == signature.domain
            && read.s == signature.selector
            && read.a.name() == signature.algorithm
            && read.a != Algorithm::RsaSha1
            && read.l == 0
            && read.h.len() == signature.signed.len()
            && read
                .h
                .iter()
                .zip(&signature.signed)
                .all(|(a, b)| a.eq_ignore_ascii_case(b));
        if !agrees {
            return Found::Broken(words::unreadable("its tag list"));
        }
        let hash = (
            read.cb,
            HashAlgorithm::Sha256,
            0,
            self.hash(read.cb).to_vec(),
        );
        let message = AuthenticatedMessage {
            headers: self
                .fields
                .iter()
                .map(|(name, value)| (*name, &**value))
                .collect(),
            body_hashes: vec![hash],
            dkim_headers: vec![Header::new(name, value, read)],
            ..AuthenticatedMessage::default()
        };
        let has_key = key.is_some();
        match self.verdict(&message, key) {
            Some(DkimResult::Pass) if has_key => Found::Pass,
            Some(DkimResult::Neutral(Error::Dkim(DkimError::FailedBodyHashMatch))) => {
                Found::Broken(words::body_changed(domain))
            }
            Some(DkimResult::Neutral(Error::Dkim(DkimError::SignatureExpired))) => {
                Found::Broken(words::expired(domain))
            }
            Some(DkimResult::Fail(Error::Dkim(DkimError::FailedAuidMatch))) => {
                Found::Broken(words::identity(domain))
            }
            _ if !has_key => Found::NeedsKey,
            _ => Found::Broken(words::header_changed(domain)),
        }
    }

    /// What mail-auth says of the one signature in `message`.
    fn verdict(
        &self,
        message: &AuthenticatedMessage<'_>,
        key: Option<DomainKey>,
    ) -> Option<DkimResult> {
        let authenticator = self.authenticator.get_or_init(authenticator).as_ref()?;
        let only = Only(match key {
            Some(key) => Txt::DomainKey(Arc::new(key)),
            None => Txt::Error(Error::Dns(DnsError::InvalidRecordType)),
        });
        let parameters = Parameters::new(message).with_txt_cache(&only);
        // It waits for nothing but DNS, and that it does not ask.
        let outputs = authenticator.verify_dkim(parameters).now_or_never()?;
        match outputs.as_slice() {
            [output] => Some(output.result().clone()),
            _ => None,
        }
    }

    fn hash(&self, canonicalization: Canonicalization) -> &[u8] {
        let [simple, relaxed] = &self.hashes;
        let (kept, body) = match canonicalization {
            Canonicalization::Simple => (simple, self.body),
            Canonicalization::Relaxed => (relaxed, without_blank_end(self.body)),
        };
        kept.get_or_init(|| {
            let body = canonicalization.canonical_body(body, 0);
            HashAlgorithm::Sha256.hash(body).as_ref().to_vec()
        })
    }
}

/// A mailbox on disk may have LF for CRLF, which simple canonicalization would take for a change.
fn as_sent(value: &[u8]) -> Cow<'_, [u8]> {
    let before = [&0].into_iter().chain(value);
    let is_lone = |(byte, before): (&u8, &u8)| *byte == b'\n' && *before != b'\r';
    if !value.iter().zip(before).any(is_lone) {
        return Cow::Borrowed(value);
    }
    let mut sent = Vec::with_capacity(value.len() + 8);
    for byte in value {
        if *byte == b'\n' && sent.last() != Some(&b'\r') {
            sent.push(b'\r');
        }
        sent.push(*byte);
    }
    Cow::Owned(sent)
}

fn lower(name: &[u8]) -> String {
    String::from_utf8_lossy(name).to_ascii_lowercase()
}

/// Whether every reader finds these fields and this body: the header is nothing but fields without
/// space before their colons (RFC 5322 §2.2), and line ends are the only control characters that
/// could be taken for one.
fn splits_in_one_way(raw: &[u8], fields: &[(&[u8], &[u8])], body: &[u8]) -> bool {
    let header = raw.strip_suffix(body).unwrap_or(raw);
    let of_fields: usize = fields
        .iter()
        .map(|(name, body)| name.len() + 1 + body.len())
        .sum();
    let empty_line = header.len().checked_sub(of_fields);
    let is_ended = matches!(empty_line, Some(1 | 2)) && header.ends_with(b"\n");
    let is_control = |byte: &u8| byte.is_ascii_control() && !matches!(byte, b'\t' | b'\r' | b'\n');
    is_ended && !header.iter().any(is_control) && !has_lone_return(raw)
}

/// RFC 5322 §2.3: CR and LF come together.
fn has_lone_return(raw: &[u8]) -> bool {
    let followers = raw.iter().skip(1).map(Some).chain([None]);
    raw.iter()
        .zip(followers)
        .any(|(byte, next)| *byte == b'\r' && next != Some(&b'\n'))
}

/// A body without the white space and empty lines at its end, which relaxed canonicalization
/// ignores (RFC 6376 §3.4.4). mail-auth before 0.15.0 counts a last line of nothing but white space
/// (its issue 62).
fn without_blank_end(body: &[u8]) -> &[u8] {
    let text = body
        .iter()
        .rposition(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
    text.and_then(|last| body.get(..=last)).unwrap_or_default()
}

/// The one key that there is; whatever else is looked for is not found, and not asked for.
struct Only(Txt);

impl ResolverCache<Box<str>, Txt> for Only {
    fn get<Q>(&self, _name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        Some(self.0.clone())
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

/// Who has nobody to ask.
fn authenticator() -> Option<MessageAuthenticator> {
    let nobody = ResolverConfig::from_name_servers(Vec::new());
    let mut options = ResolverOpts::default();
    options.use_hosts_file = ResolveHosts::Never;
    MessageAuthenticator::new(nobody, options).ok()
}
