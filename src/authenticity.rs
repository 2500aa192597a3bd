//! Is it genuine? Bytes in, [`Evidence`] out.
//!
//! From proves nothing, and the platform is actively imitated. What proves something is a DKIM
//! signature (RFC 6376) that is verified here, or the receiving server's own
//! Authentication-Results (RFC 8601). Left out on purpose: SPF, which only the receiving server
//! can check, and ARC, which is historic.
//!
//! Guarantees: a resolver that fails is no verdict; a panic while a proof is looked for proves
//! nothing, and ends nothing. mail-auth's types stay in this room.

mod alignment;
mod dkim;
mod proposal;
mod resolver;
mod results;
mod survey;

use std::{net::SocketAddr, panic::AssertUnwindSafe};

use futures_util::FutureExt as _;

use self::resolver::Resolver;
pub use self::{
    dkim::{Outcome, Signed, key_name},
    proposal::{Counted, Proposal, propose},
    results::{Field, Malformed, MethodResult, is_token},
    survey::Survey,
};
use crate::notice::{Address, Authenticity, Sentence};

/// Layers below [`Verifier`], opened for the fuzzer and for nobody else.
#[cfg(fuzzing)]
pub mod layers {
    use super::{Address, Evidence, Field, Malformed, Results, Settings, results};

    /// Every Authentication-Results field of a mail.
    pub fn fields(raw: &[u8]) -> Vec<Result<Field, Malformed>> {
        results::fields(raw)
    }

    /// What the one that is believed proves.
    pub fn by_results(
        raw: &[u8],
        from: &Address,
        results: Results,
        settings: &Settings,
    ) -> Evidence {
        results::verify(raw, Some(from), results, settings)
    }
}

/// What the operator demands as proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Require {
    /// A DKIM signature that we verify ourselves.
    Dkim,
    /// The receiving server's Authentication-Results.
    AuthenticationResults,
    /// One of the two.
    Either,
    /// Nothing: From is believed.
    None,
}

impl Require {
    /// Every value there is.
    pub const ALL: [Self; 4] = [
        Self::Dkim,
        Self::AuthenticationResults,
        Self::Either,
        Self::None,
    ];

    /// The word the configuration uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dkim => "dkim",
            Self::AuthenticationResults => "authentication-results",
            Self::Either => "either",
            Self::None => "none",
        }
    }
}

/// Which Authentication-Results field of a mailbox's mail is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Results {
    /// The topmost, when it stands above every Received.
    #[default]
    Top,
    /// The topmost: Gmail writes it below its own Received fields.
    Google,
    /// The topmost, which names no authserv-id.
    Microsoft,
}

impl Results {
    /// Every value there is.
    pub const ALL: [Self; 3] = [Self::Top, Self::Google, Self::Microsoft];

    /// The word the configuration uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Top => "top",
            Self::Google => "google",
            Self::Microsoft => "microsoft",
        }
    }
}

/// What the operator has said about proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// What is demanded.
    pub require: Require,
    /// The signing domains that count, lower case.
    pub domains: Vec<String>,
    /// The servers whose Authentication-Results count, lower case.
    pub trusted_authserv_ids: Vec<String>,
    /// Resolvers in place of the system's; empty: the system's.
    pub dns_servers: Vec<SocketAddr>,
}

impl Settings {
    /// Whether one of the domains that count may speak for a sender.
    pub fn speaks_for(&self, sender: &Address) -> bool {
        let mut domains = self.domains.iter();
        domains.any(|domain| alignment::is_aligned(domain, sender.domain()))
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            require: Require::Dkim,
            domains: vec![
                "invoice.nat.gov.tw".to_owned(),
                "einvoice.nat.gov.tw".to_owned(),
            ],
            trusted_authserv_ids: Vec::new(),
            dns_servers: Vec::new(),
        }
    }
}

/// A mail whose origin is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Mail<'a> {
    /// The whole mail as it was found.
    pub raw: &'a [u8],
    /// The attached message, when that is the notice: its signature is then what counts, and no
    /// Authentication-Results does.
    pub forwarded: Option<&'a [u8]>,
    /// The one address in the notice's From.
    pub from: Option<&'a Address>,
    /// Which Authentication-Results field is believed.
    pub results: Results,
}

/// How an origin was proved, or was to be proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// A DKIM signature, verified by us.
    Dkim,
    /// The receiving server's word.
    AuthenticationResults,
}

impl Method {
    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dkim => "dkim",
            Self::AuthenticationResults => "authentication-results",
        }
    }
}

/// What was there to be judged: a signature, or a server's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Which of the two.
    pub method: Method,
    /// The signing domain, lower case.
    pub domain: Option<String>,
    /// The DKIM selector.
    pub selector: Option<String>,
    /// DKIM's `a=`, e.g. `rsa-sha256`.
    pub algorithm: Option<String>,
    /// The key record's text as DNS gave it.
    pub key: Option<String>,
}

impl Proof {
    /// Domain, selector and algorithm, as far as they are known:
    /// `einvoice.nat.gov.tw, s2026, rsa-sha256`.
    pub fn names(&self) -> String {
        let names = [&self.domain, &self.selector, &self.algorithm];
        let names: Vec<&str> = names.into_iter().flatten().map(String::as_str).collect();
        names.join(", ")
    }
}

/// What was found about a message's origin, as it is kept in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The verdict.
    pub verdict: Authenticity,
    /// What it is about; `None` where nothing was there, or nothing was asked for.
    pub proof: Option<Proof>,
}

impl Evidence {
    /// The evidence where the operator demands none.
    pub fn not_required() -> Self {
        Self {
            verdict: Authenticity::NotRequired,
            proof: None,
        }
    }

    /// The evidence about what nobody asked for: a mail that is no notice, or was not read.
    pub fn not_asked() -> Self {
        Self {
            verdict: Authenticity::Unproven(Sentence::new(
                "nobody asked where it comes from",
                "沒有查證來源",
            )),
            proof: None,
        }
    }

    /// The stable word: `pass`, `fail`, `none`, `temperror` or `not_required`.
    pub fn result(&self) -> &'static str {
        match (&self.verdict, &self.proof) {
            (Authenticity::Proven { .. }, _) => "pass",
            (Authenticity::Unproven(_), Some(_)) => "fail",
            (Authenticity::Unproven(_), None) => "none",
            (Authenticity::Unknown(_), _) => "temperror",
            (Authenticity::NotRequired, _) => "not_required",
        }
    }
}

/// Judges where mail comes from. Shared; a resolver that fails keeps nobody longer than 5 s.
#[derive(Debug)]
pub struct Verifier {
    settings: Settings,
    resolver: Resolver,
}

impl Verifier {
    /// Asks nothing yet.
    pub fn new(settings: Settings) -> Self {
        let resolver = Resolver::new(settings.dns_servers.clone());
        Self { settings, resolver }
    }

    /// What is demanded.
    pub fn require(&self) -> Require {
        self.settings.require
    }

    /// Looks for the proof that is demanded.
    pub async fn verify(&self, mail: &Mail<'_>) -> Evidence {
        guarded(self.look_for(mail)).await
    }

    async fn look_for(&self, mail: &Mail<'_>) -> Evidence {
        match self.settings.require {
            Require::None => Evidence::not_required(),
            Require::Dkim => self.by_signature(mail).await,
            Require::AuthenticationResults => self.by_results(mail),
            Require::Either
                if self.settings.trusted_authserv_ids.is_empty()
                    && mail.results != Results::Microsoft =>
            {
                self.by_signature(mail).await
            }
            Require::Either => {
                let by_results = self.by_results(mail);
                if matches!(by_results.verdict, Authenticity::Proven { .. }) {
                    return by_results;
                }
                // What a server has said against it weighs less than what a signature lacks.
                let mut by_signature = self.by_signature(mail).await;
                if let Authenticity::Unproven(why) = &mut by_signature.verdict
                    && let Authenticity::Unproven(besides) = by_results.verdict
                    && by_results.proof.is_some()
                {
                    *why = Sentence::new(
                        format!("{}; besides, {}", why.en, besides.en),
                        format!("{}；另外，{}", why.zh, besides.zh),
                    );
                }
                by_signature
            }
        }
    }

    async fn by_signature(&self, mail: &Mail<'_>) -> Evidence {
        let raw = mail.forwarded.unwrap_or(mail.raw);
        dkim::verify(raw, mail.from, &self.settings.domains, &self.resolver).await
    }

    fn by_results(&self, mail: &Mail<'_>) -> Evidence {
        if mail.forwarded.is_some() {
            return Evidence {
                verdict: Authenticity::Unproven(Sentence::new(
                    "the notice was forwarded as an attachment, and only a DKIM signature can \
                     speak for it then: set authenticity.require to \"dkim\" or \"either\"",
                    "這封通知是以附件轉寄的，只有 DKIM 簽章能證明來源：\
                     請把 authenticity.require 設為 \"dkim\" 或 \"either\"",
                )),
                proof: None,
            };
        }
        results::verify(mail.raw, mail.from, mail.results, &self.settings)
    }
}

/// What is looked for in a stranger's bytes may end in a panic, a bug of ours or of what we use: it
/// must not take with it the batch that the mail came in.
async fn guarded(looking: impl Future<Output = Evidence>) -> Evidence {
    // Unwind safety: what was half looked into is thrown away.
    let found = AssertUnwindSafe(looking).catch_unwind().await;
    found.unwrap_or_else(|_| Evidence {
        verdict: Authenticity::Unproven(Sentence::new(
            "looking for a proof failed, which is a bug of ours; please report it",
            "查證來源時程式發生錯誤，請回報",
        )),
        proof: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_proves_nothing_and_ends_nothing() {
        let evidence = guarded(async { panic!("at once") }).await;
        assert!(
            matches!(evidence.verdict, Authenticity::Unproven(_)),
            "{evidence:?}"
        );
        let evidence = guarded(async { Evidence::not_required() }).await;
        assert_eq!(evidence, Evidence::not_required());
    }
}
