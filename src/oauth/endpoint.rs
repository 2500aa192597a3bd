//! One question to a token endpoint and its answer (RFC 6749 §§4.4, 5, 6).
//!
//! Left out on purpose: client authentication in a header; Google and Microsoft both take it in the body
//! (RFC 6749 §2.3.1). Proxies: the environment's are not asked, because what is sent is a secret.
//!
//! Guarantees: over TLS 1.2 or later, unless the endpoint is on this machine; a redirect is never followed;
//! an answer comes within 15 s and has at most 64 KiB, or it is none.

use std::{
    error::Error as _,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
    time::Duration,
};

use reqwest::{Client, Response, StatusCode, Url, header::RETRY_AFTER, redirect::Policy};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::{
    Grant, Settings,
    error::{Cause, TokenError, cause, in_short},
};
use crate::tls;

/// Longer than any endpoint that works takes.
const WITHIN: Duration = Duration::from_secs(15);

/// What an answer may weigh; tokens have a few KiB.
const MOST: usize = 64 << 10;

/// An endpoint's wish to be left alone is respected up to this: a mailbox that has not answered for
/// 15 minutes raises an alert, and that should be for a reason.
const LONGEST_WISH: Duration = Duration::from_secs(600);

/// This machine, whatever `localhost` leads to; the port is the address's own.
const HERE: [SocketAddr; 2] = [
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
    SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 0),
];

/// Where tokens are given.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint(Url);

/// It is not where tokens may be asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected an address such as \"https://login.example.com/token\", without a password, ? or #; \
     http:// only for this machine (localhost, 127.0.0.1, [::1])"
)]
pub struct EndpointError;

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let url = Url::parse(text).map_err(|_| EndpointError)?;
        let host = url.host_str().unwrap_or_default();
        let is_safe = match url.scheme() {
            "https" => !host.is_empty(),
            "http" => tls::names_this_machine(host.trim_matches(['[', ']'])),
            _ => false,
        };
        // RFC 6749 §3.2: no fragment. A query could hold a secret, and is logged everywhere.
        let is_plain = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        (is_safe && is_plain)
            .then_some(Self(url))
            .ok_or(EndpointError)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_str().fmt(f)
    }
}

/// What an endpoint has granted.
pub(super) struct Granted {
    pub(super) access_token: SecretString,
    pub(super) expires_in: Option<Duration>,
    pub(super) refresh_token: Option<SecretString>,
}

/// RFC 6749 §§5.1, 5.2: either the one or the other.
#[derive(Deserialize)]
struct Answer {
    access_token: Option<String>,
    token_type: Option<String>,
    expires_in: Option<Lifetime>,
    refresh_token: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

/// RFC 6749 §5.1 wants a number; some endpoints write it as text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Lifetime {
    Number(u64),
    Text(String),
}

/// A client that asks.
pub(super) struct Caller(Client);

impl Caller {
    pub(super) fn new(settings: &Settings) -> Result<Self, TokenError> {
        let tls = tls::client_config(settings.ca_file.as_deref())
            .map_err(|error| TokenError::new(error.to_string(), Cause::CaFile))?;
        let client = Client::builder()
            .tls_backend_preconfigured((*tls).clone())
            .redirect(Policy::none())
            .no_proxy()
            // RFC 6761 §6.3 obliges nobody to resolve the name so, and there may be no TLS over it.
            .resolve_to_addrs("localhost", &HERE)
            .timeout(WITHIN)
            // Fetches lie an hour apart; the endpoint has hung up by then.
            .pool_max_idle_per_host(0)
            .build();
        client
            .map(Self)
            .map_err(|error| TokenError::passing(format!("set up HTTP: {error}")))
    }

    /// Asks for a token, with `refresh_token` where that is the grant.
    pub(super) async fn ask(
        &self,
        settings: &Settings,
        refresh_token: Option<&SecretString>,
    ) -> Result<Granted, TokenError> {
        let Settings {
            token_endpoint,
            client_id,
            client_secret,
            grant,
            scope,
            ..
        } = settings;
        let mut form = vec![
            (
                "grant_type",
                match grant {
                    Grant::RefreshToken(_) => "refresh_token",
                    Grant::ClientCredentials => "client_credentials",
                },
            ),
            ("client_id", client_id),
            ("scope", scope),
        ];
        let mut secrets = Vec::new();
        for (name, secret) in [
            ("client_secret", client_secret.as_ref()),
            ("refresh_token", refresh_token),
        ] {
            if let Some(secret) = secret {
                form.push((name, secret.expose_secret()));
                secrets.push(secret.expose_secret());
            }
        }
        let host = token_endpoint.0.host_str().unwrap_or_default();
        let step = format!("get an access token from {host}");
        let asking = self.0.post(token_endpoint.0.clone()).form(&form).send();
        let answer = asking.await.map_err(|error| unreachable(&step, &error))?;
        judged(&step, answer, &secrets).await
    }
}

async fn judged(step: &str, answer: Response, secrets: &[&str]) -> Result<Granted, TokenError> {
    let status = answer.status();
    let retry_after = answer
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.trim().parse().ok())
        .map(|seconds| Duration::from_secs(seconds).min(LONGEST_WISH));
    let code = status.as_u16();
    let strange = |found: &str| {
        TokenError::new(
            format!("{step}: expected a token as JSON, found {code} and {found}"),
            Cause::NoEndpoint,
        )
    };
    if status.is_redirection() {
        return Err(strange("a redirect, which is not followed"));
    }
    let is_busy = status.is_server_error()
        || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(&status);
    let body = body(step, answer).await?;
    let parsed = body.as_deref().map(serde_json::from_slice::<Answer>);
    let refusal = match &parsed {
        Some(Ok(Answer {
            error: Some(error),
            error_description,
            ..
        })) => Some((
            error.as_str(),
            error_description.as_deref().unwrap_or_default(),
        )),
        _ => None,
    };
    if let Some((error, description)) = refusal {
        let said = in_short(&format!("{error}: {description}"), secrets);
        let said = said.trim_end_matches([':', ' ']);
        return Err(TokenError {
            words: format!("{step}: the endpoint answered {code} {said}"),
            cause: match is_busy {
                true => Cause::Passing,
                false => cause(error, description),
            },
            retry_after,
        });
    }
    if is_busy {
        return Err(TokenError {
            retry_after,
            ..TokenError::passing(format!("{step}: the endpoint answered {code}"))
        });
    }
    match parsed {
        None => Err(strange("more than 64 KiB")),
        Some(Ok(answer)) if status.is_success() => {
            granted(answer).ok_or_else(|| strange("no bearer token in it"))
        }
        Some(Ok(_)) => Err(strange("no `error` in it")),
        // Not the parser's own words: they would quote what came.
        Some(Err(_)) => Err(strange("something else")),
    }
}

fn granted(answer: Answer) -> Option<Granted> {
    // RFC 6749 §5.1: in any case. Where it is missing there is nothing to disagree with.
    let is_bearer = answer
        .token_type
        .is_none_or(|kind| kind.eq_ignore_ascii_case("bearer"));
    // RFC 6749 appendix A.12; a line end in it would be a command of its own.
    let visible = |token: &String| {
        !token.is_empty() && token.bytes().all(|byte| (0x20..=0x7e).contains(&byte))
    };
    let access_token = answer.access_token.filter(visible).filter(|_| is_bearer)?;
    let seconds = answer.expires_in.and_then(|lifetime| match lifetime {
        Lifetime::Number(seconds) => Some(seconds),
        Lifetime::Text(text) => text.parse().ok(),
    });
    Some(Granted {
        access_token: access_token.into(),
        expires_in: seconds.map(Duration::from_secs),
        refresh_token: answer.refresh_token.filter(visible).map(Into::into),
    })
}

/// The whole body; `None` where it is too large.
async fn body(step: &str, mut answer: Response) -> Result<Option<Vec<u8>>, TokenError> {
    let mut body = Vec::new();
    while let Some(chunk) = answer
        .chunk()
        .await
        .map_err(|error| unreachable(step, &error))?
    {
        if body.len() + chunk.len() > MOST {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

fn unreachable(step: &str, error: &reqwest::Error) -> TokenError {
    if error.is_timeout() {
        return TokenError::passing(format!("{step}: no answer within {}s", WITHIN.as_secs()));
    }
    // reqwest's own words only say that a request failed; the last cause says why.
    let mut last = error.source();
    while let Some(deeper) = last.and_then(|cause| cause.source()) {
        last = Some(deeper);
    }
    let why = last.map_or_else(
        || "no answer".to_owned(),
        |cause| in_short(&cause.to_string(), &[]),
    );
    let cause = tls::distrust(error).map_or(Cause::Passing, Cause::Tls);
    TokenError::new(format!("{step}: {why}"), cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_asked_for_over_tls_or_on_this_machine() {
        for good in [
            "https://oauth2.googleapis.com/token",
            "http://localhost:8080/token",
            "http://127.0.0.1/token",
            "http://[::1]:1/token",
        ] {
            assert!(good.parse::<Endpoint>().is_ok(), "{good}");
        }
        for bad in [
            "http://login.example.com/token",
            "http://127.0.0.1.example.com/token",
            "ftp://localhost/token",
            "https://user:secret@example.com/token",
            "https://example.com/token#x",
            "https://example.com/token?secret=1",
            "example.com",
            "",
        ] {
            assert_eq!(bad.parse::<Endpoint>(), Err(EndpointError), "{bad}");
        }
    }

    #[test]
    fn a_token_is_a_bearer_token_on_one_line() {
        let answer = |json: &str| granted(serde_json::from_str(json).unwrap());
        let good = answer(r#"{"access_token":"a","token_type":"bearer","expires_in":"3599"}"#);
        assert_eq!(good.unwrap().expires_in, Some(Duration::from_secs(3599)));
        assert!(
            answer(r#"{"access_token":"a"}"#)
                .unwrap()
                .expires_in
                .is_none()
        );
        for json in [
            r#"{"access_token":"a","token_type":"mac"}"#,
            r#"{"access_token":"a\r\nb"}"#,
            r#"{"access_token":""}"#,
            r#"{"token_type":"bearer"}"#,
        ] {
            assert!(answer(json).is_none(), "{json}");
        }
        let next = |json: &str| answer(json).unwrap().refresh_token.is_some();
        assert!(next(r#"{"access_token":"a","refresh_token":"r"}"#));
        // Never to replace one that counts.
        for json in [
            r#"{"access_token":"a","refresh_token":""}"#,
            r#"{"access_token":"a","refresh_token":"r\r\nx"}"#,
        ] {
            assert!(!next(json), "{json}");
        }
    }
}
