//! One POST of JSON, signed as <https://www.standardwebhooks.com> has it.
//!
//! Guarantees: a redirect is not followed, for it would take the numbers elsewhere; the secret is in
//! no message; an answer comes in time, or it is none, and of what it says little is read. Left out
//! on purpose: trying again. Proxies: the environment's are not asked, as for access tokens.

use std::{
    error::Error as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use reqwest::{
    Client, Response, StatusCode,
    header::{CONTENT_TYPE, USER_AGENT},
    redirect::Policy,
};
use ring::hmac;
use secrecy::{ExposeSecret as _, SecretSlice};

use super::{
    super::{Attempt, Unreachable},
    Webhook,
};
use crate::{ledger::Letter, stranger::one_line, tls};

/// So much of an answer is read; more than [`WORDS`] in any language.
const MOST: usize = 4 << 10;

/// So much of an answer is told, characters.
const WORDS: usize = 200;

/// This machine, whatever `localhost` leads to; the port is the address's own.
const HERE: [SocketAddr; 2] = [
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
    SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 0),
];

pub(super) async fn send(
    webhook: &Webhook,
    letter: &Letter,
    now: Timestamp,
    within: Duration,
) -> Result<Attempt, Unreachable> {
    let step = format!("post to {}", webhook.url);
    let client =
        client(webhook, within).map_err(|error| Unreachable(format!("{step}: {error}")))?;
    let seconds = now.as_second();
    let posting = client
        .post(webhook.url.as_str())
        .header(CONTENT_TYPE, "application/json")
        .header(
            USER_AGENT,
            concat!("invoice-trackd/", env!("CARGO_PKG_VERSION")),
        )
        .header("webhook-id", &letter.message_id)
        .header("webhook-timestamp", seconds)
        .header(
            "webhook-signature",
            signature(&webhook.secret, &letter.message_id, seconds, &letter.eml),
        )
        .body(letter.eml.clone());
    let answer = posting
        .send()
        .await
        .map_err(|error| Unreachable(format!("{step}: {}", why(&error))))?;
    judged(&step, webhook, letter, answer).await
}

/// Standard Webhooks, "Signature scheme": `v1,` and HMAC-SHA256 of `id.timestamp.body` in Base64.
fn signature(secret: &SecretSlice<u8>, id: &str, seconds: i64, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret());
    let mut context = hmac::Context::with_key(&key);
    context.update(format!("{id}.{seconds}.").as_bytes());
    context.update(body);
    format!("v1,{}", BASE64_STANDARD.encode(context.sign()))
}

/// Hand-offs are few, and the system has hung up by the next.
fn client(webhook: &Webhook, within: Duration) -> Result<Client, String> {
    let tls = tls::client_config(webhook.ca_file.as_deref()).map_err(|error| error.to_string())?;
    Client::builder()
        .tls_backend_preconfigured((*tls).clone())
        .redirect(Policy::none())
        .no_proxy()
        // RFC 6761 §6.3 obliges nobody to resolve the name so, and there may be no TLS over it.
        .resolve_to_addrs("localhost", &HERE)
        .timeout(within)
        .pool_max_idle_per_host(0)
        .build()
        .map_err(|error| format!("set up HTTP: {error}"))
}

/// What an answer means for the letter. What may be about this one alone holds up no other.
async fn judged(
    step: &str,
    webhook: &Webhook,
    letter: &Letter,
    answer: Response,
) -> Result<Attempt, Unreachable> {
    let status = answer.status();
    let everybody = letter.recipients.iter().cloned();
    if status.is_success() {
        return Ok(Attempt {
            accepted: everybody.collect(),
            ..Attempt::default()
        });
    }
    let mut words = format!("{step}: expected 2xx, found {}", status.as_u16());
    if status.is_redirection() {
        words.push_str(", a redirect, which is not followed: write the new address as `url`");
    }
    let said = webhook.url.left_out_of(&beginning(answer).await);
    let said = one_line(&said, WORDS);
    if !said.is_empty() {
        words.push_str(&format!(": {said}"));
    }
    match status {
        StatusCode::GONE => Ok(Attempt {
            stopped: Some(words),
            ..Attempt::default()
        }),
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Err(Unreachable(words)),
        _ => Ok(Attempt {
            deferred: everybody.map(|system| (system, words.clone())).collect(),
            ..Attempt::default()
        }),
    }
}

/// How the body begins, as far as it comes.
async fn beginning(mut answer: Response) -> String {
    let mut body = Vec::new();
    while body.len() < MOST
        && let Ok(Some(chunk)) = answer.chunk().await
    {
        body.extend_from_slice(&chunk);
    }
    body.truncate(MOST);
    String::from_utf8_lossy(&body).into_owned()
}

fn why(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    // reqwest's own words only say that a request failed; the last cause says why.
    let mut last = error.source();
    while let Some(deeper) = last.and_then(|cause| cause.source()) {
        last = Some(deeper);
    }
    last.map_or_else(
        || "no answer".to_owned(),
        |cause| one_line(&cause.to_string(), WORDS),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_one_that_the_standard_shows() {
        // https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
        // gives no vector; this one is of its reference libraries' tests.
        let secret = BASE64_STANDARD
            .decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
            .unwrap();
        assert_eq!(
            signature(
                &secret.into(),
                "msg_p5jXN8AQM9LWM0D4loKWxJek",
                1_614_265_330,
                br#"{"test": 2432232314}"#
            ),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }
}
