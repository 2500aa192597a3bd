//! Is it genuine? Bytes in, [`Evidence`] out.
//!
//! From proves nothing, and the platform is actively imitated. Until signatures are verified here
//! (DKIM, RFC 6376; Authentication-Results, RFC 8601), the only setting that can be carried out is
//! `require = "none"`; `config` refuses the others instead of letting them be ignored.

use crate::notice::{Authenticity, Sentence};

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

/// What was found about a message's origin, as it is kept in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The verdict, in the words of [`Authenticity`].
    pub verdict: Authenticity,
    /// `dkim` or `authentication-results`; `None` where neither was asked for.
    pub method: Option<&'static str>,
    /// The signing domain.
    pub domain: Option<String>,
    /// The DKIM selector.
    pub selector: Option<String>,
    /// The key record's text.
    pub key: Option<String>,
}

/// Looks for the proof that is demanded.
///
/// Only [`Require::None`] can be carried out yet; should another value get past `config`, nothing
/// passes for proven.
pub fn verify(require: Require) -> Evidence {
    match require {
        Require::None => Evidence::not_required(),
        Require::Dkim | Require::AuthenticationResults | Require::Either => Evidence {
            verdict: Authenticity::Unproven(Sentence::new(
                format!(
                    "expected proof by {}, which this version cannot verify",
                    require.as_str()
                ),
                format!("設定要求以 {} 證明來源，這一版還不會驗證", require.as_str()),
            )),
            ..Evidence::not_required()
        },
    }
}

impl Evidence {
    /// The evidence where the operator demands none.
    pub fn not_required() -> Self {
        Self {
            verdict: Authenticity::NotRequired,
            method: None,
            domain: None,
            selector: None,
            key: None,
        }
    }

    /// The stable word: `pass`, `fail`, `temperror` or `not_required`.
    pub fn result(&self) -> &'static str {
        match self.verdict {
            Authenticity::Proven { .. } => "pass",
            Authenticity::Unproven(_) => "fail",
            Authenticity::Unknown(_) => "temperror",
            Authenticity::NotRequired => "not_required",
        }
    }
}
