//! The words of SASL XOAUTH2, which IMAP and SMTP have in common.
//!
//! Google's and Microsoft's mechanism, older than RFC 7628 and not the same:
//! <https://developers.google.com/workspace/gmail/imap/xoauth2-protocol>. Left out on purpose:
//! OAUTHBEARER, which Microsoft 365 does not offer.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use secrecy::{ExposeSecret as _, SecretString};

use crate::stranger;

/// What a server's explanation of a refusal may be; theirs have some hundred bytes.
const EXPLANATION: usize = 4096;

/// What the client says first, in base64.
pub fn initial_response(username: &str, token: &SecretString) -> SecretString {
    let token = token.expose_secret();
    let words = format!("user={username}\x01auth=Bearer {token}\x01\x01");
    BASE64_STANDARD.encode(words).into()
}

/// The `status` in a server's `{"status":"401","schemes":"Bearer","scope":"…"}`, which it sends in
/// base64 before it refuses. Nothing else of it: it may repeat the token.
pub fn status(explanation: &str) -> Option<String> {
    let encoded = explanation.get(..EXPLANATION).unwrap_or(explanation);
    let json = BASE64_STANDARD.decode(encoded.trim()).ok()?;
    let json: serde_json::Value = serde_json::from_slice(&json).ok()?;
    let status = match json.get("status")? {
        serde_json::Value::String(status) => status.clone(),
        serde_json::Value::Number(status) => status.to_string(),
        _ => return None,
    };
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    ((1..=30).contains(&status.len()) && status.chars().all(is_word)).then_some(status)
}

/// A server's words, without the token where it repeats that, as it is or in base64.
pub fn without_token(words: &str, username: &str, token: &SecretString) -> String {
    let response = initial_response(username, token);
    stranger::without(&[response.expose_secret(), token.expose_secret()], words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_initial_response_is_googles_example() {
        let token = "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg".into();
        assert_eq!(
            initial_response("someuser@example.com", &token).expose_secret(),
            "dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52YjNSbGNrQm\
             hkSFJoZG1semRHRXVZMjl0Q2cBAQ=="
        );
    }

    #[test]
    fn only_a_status_is_read_from_an_explanation() {
        let encoded = |json: &str| BASE64_STANDARD.encode(json);
        let status = |json: &str| status(&encoded(json));
        assert_eq!(
            status(r#"{"status":"401","schemes":"bearer"}"#).unwrap(),
            "401"
        );
        assert_eq!(status(r#"{"status":400}"#).unwrap(), "400");
        for json in [
            r#"{"status":"ya29.token"}"#,
            r#"{"status":""}"#,
            "[]",
            "{",
            "",
        ] {
            assert_eq!(status(json), None, "{json}");
        }
        assert_eq!(super::status("no base64!"), None);
    }

    #[test]
    fn a_token_that_is_repeated_is_taken_out() {
        let token = "abc123".into();
        let said = format!(
            "NO bad token abc123 in {}",
            initial_response("u", &token).expose_secret()
        );
        assert_eq!(without_token(&said, "u", &token), "NO bad token *** in ***");
    }
}
