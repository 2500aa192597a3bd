//! Why there is no token, in words and as far as an operator can do something about it.
//!
//! Left out on purpose: what to do, which is for whoever speaks with the person. Guarantee: words that
//! came from a provider are one line of bounded length, and repeat nothing that was sent to it.

use std::time::Duration;

use crate::{stranger, tls::Distrust};

/// A provider's words are kept up to this many characters.
const WORDS: usize = 300;

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{words}")]
pub struct TokenError {
    /// What was being done, what was expected and what was found.
    pub words: String,
    /// What it comes from.
    pub cause: Cause,
    /// When the endpoint wants to be asked again, where it says so.
    pub retry_after: Option<Duration>,
}

/// What a [`TokenError`] comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The network, or an endpoint that is busy: it may pass by itself.
    Passing,
    /// TLS or the certificate.
    Tls(Distrust),
    /// The CA file, or the system's authorities.
    CaFile,
    /// What answers is no token endpoint.
    NoEndpoint,
    /// A refresh token that has replaced the configured one can be neither kept nor read.
    Store,
    /// The refresh token is expired or revoked: a person must sign in again.
    SignIn,
    /// Nobody has consented to what the application asks for.
    Consent,
    /// The client secret is wrong.
    ClientSecret,
    /// The client secret is past its last day.
    ClientSecretExpired,
    /// The provider does not know the application.
    ClientUnknown,
    /// The application may not use this grant.
    Unauthorized,
    /// The scope is wrong.
    Scope,
    /// There is no such tenant.
    Tenant,
    /// Some other refusal.
    Refused,
}

impl TokenError {
    pub(super) fn new(words: impl Into<String>, cause: Cause) -> Self {
        Self {
            words: words.into(),
            cause,
            retry_after: None,
        }
    }

    pub(super) fn passing(words: impl Into<String>) -> Self {
        Self::new(words, Cause::Passing)
    }

    /// Whether it may pass without anybody changing anything.
    pub fn is_temporary(&self) -> bool {
        self.cause == Cause::Passing
    }

    /// Whether the provider said no, and would say so again.
    pub fn is_refusal(&self) -> bool {
        match self.cause {
            Cause::Passing | Cause::Tls(_) | Cause::CaFile | Cause::NoEndpoint | Cause::Store => {
                false
            }
            Cause::SignIn
            | Cause::Consent
            | Cause::ClientSecret
            | Cause::ClientSecretExpired
            | Cause::ClientUnknown
            | Cause::Unauthorized
            | Cause::Scope
            | Cause::Tenant
            | Cause::Refused => true,
        }
    }
}

/// What a refusal means: `error` as in RFC 6749 §5.2, and Microsoft's own number where there is one,
/// because one `error` stands for many causes there.
/// <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>
pub(super) fn cause(error: &str, description: &str) -> Cause {
    match aadsts(description) {
        Some(65001 | 65004) => return Cause::Consent,
        Some(90002 | 900021 | 900023) => return Cause::Tenant,
        Some(7000222) => return Cause::ClientSecretExpired,
        Some(7000215 | 7000216 | 7000218) => return Cause::ClientSecret,
        Some(700016) => return Cause::ClientUnknown,
        Some(28002 | 28003 | 70011 | 500011 | 1002012) => return Cause::Scope,
        _ => (),
    }
    match error {
        "invalid_grant" | "interaction_required" | "consent_required" => Cause::SignIn,
        "invalid_client" => Cause::ClientSecret,
        // Google's, where an application was deleted or switched off.
        "deleted_client" | "disabled_client" => Cause::ClientUnknown,
        "unauthorized_client" | "unsupported_grant_type" => Cause::Unauthorized,
        "invalid_scope" => Cause::Scope,
        "temporarily_unavailable" | "server_error" | "internal_failure" | "rate_limit_exceeded" => {
            Cause::Passing
        }
        _ => Cause::Refused,
    }
}

/// The number in `AADSTS700082: The refresh token has expired …`.
fn aadsts(description: &str) -> Option<u32> {
    let (_, rest) = description.split_once("AADSTS")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// `text` on one line, without what is of use to the provider's support only, and without any of
/// `secrets`: an endpoint may repeat what it was sent.
pub(super) fn in_short(text: &str, secrets: &[&str]) -> String {
    let words = text
        .split_once("Trace ID: ")
        .map_or(text, |(words, _)| words);
    stranger::one_line(&stranger::without(secrets, words), WORDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_microsofts_says_more_than_the_error() {
        for (error, description, expected) in [
            (
                "invalid_grant",
                "AADSTS700082: The refresh token has expired",
                Cause::SignIn,
            ),
            (
                "invalid_grant",
                "AADSTS50173: The provided grant has expired",
                Cause::SignIn,
            ),
            (
                "invalid_grant",
                "AADSTS65001: The user or administrator has not consented",
                Cause::Consent,
            ),
            (
                "invalid_client",
                "AADSTS7000215: Invalid client secret provided",
                Cause::ClientSecret,
            ),
            (
                "invalid_client",
                "AADSTS7000222: The provided client secret keys are expired",
                Cause::ClientSecretExpired,
            ),
            (
                "unauthorized_client",
                "AADSTS700016: Application with identifier",
                Cause::ClientUnknown,
            ),
            (
                "invalid_request",
                "AADSTS90002: Tenant 'x' not found",
                Cause::Tenant,
            ),
            (
                "invalid_scope",
                "AADSTS70011: The provided request must include a 'scope'",
                Cause::Scope,
            ),
            (
                "invalid_request",
                "AADSTS1002012: The provided value for scope",
                Cause::Scope,
            ),
            (
                "invalid_grant",
                "Token has been expired or revoked.",
                Cause::SignIn,
            ),
            (
                "invalid_client",
                "The OAuth client was not found.",
                Cause::ClientSecret,
            ),
            ("unauthorized_client", "Unauthorized", Cause::Unauthorized),
            ("temporarily_unavailable", "", Cause::Passing),
            ("org_internal", "", Cause::Refused),
        ] {
            assert_eq!(cause(error, description), expected, "{error} {description}");
        }
    }

    #[test]
    fn words_are_one_short_line_and_repeat_no_secret() {
        let said = "AADSTS7000215: Invalid client secret\r\n provided: hunter2. Trace ID: 1 x";
        assert_eq!(
            in_short(said, &["hunter2", ""]),
            "AADSTS7000215: Invalid client secret provided: ***."
        );
        assert_eq!(in_short("no\u{202e}pe", &[]), "no<U+202E>pe");
        assert_eq!(in_short(&"字".repeat(400), &[]).chars().count(), WORDS + 1);
    }
}
