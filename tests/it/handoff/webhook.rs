//! One POST: its signature by the standard's own library, and every answer.

use std::time::Instant;

use invoice_trackd::{
    clock::Clock,
    delivery::{Attempt, Unreachable},
};
use standardwebhooks::Webhook as Verifier;

use super::*;
use crate::support::scripted_http::{Does, Posted, says};

async fn posts(transport: &Transport, within: Duration) -> Result<Attempt, Unreachable> {
    let from = style().from.address;
    let letter = letter(Event::Imported, "EC");
    // The library compares with the machine's clock.
    transport
        .send(&from, &letter, Clock::System.now(), within)
        .await
}

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn what_is_posted_over_tls_is_verified_by_the_standard_s_own_library() {
    let server = ScriptedHttp::with_tls(|_, _| says(204)).await;
    let attempt = posts(&to_server(&server), SOON).await.unwrap();
    assert_eq!(attempt.accepted.len(), 1);
    let letter = letter(Event::Imported, "EC");
    let Posted {
        path,
        headers,
        body,
    } = server.posted().remove(0);
    assert_eq!(path, "/hook?key=very-secret");
    assert_eq!(body, letter.eml);
    assert_eq!(headers["webhook-id"], letter.message_id);
    assert_eq!(headers["content-type"], "application/json");
    assert!(headers["user-agent"].starts_with("invoice-trackd/"));

    let mut given = axum::http::HeaderMap::new();
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        given.insert(name, headers[name].parse().unwrap());
    }
    let verifier = Verifier::new(&format!("whsec_{SECRET}")).unwrap();
    verifier.verify(&body, &given).unwrap();
    let mut tampered = body.clone();
    tampered[20] ^= 1;
    assert!(verifier.verify(&tampered, &given).is_err());

    let told: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(told["type"], "allocation.imported");
    assert_eq!(told["data"]["company"]["ban"], "53567686");
    assert_eq!(told["data"]["allocations"][0]["invoice_track"], "EC");
}

#[tokio::test]
async fn a_certificate_of_somebody_else_gets_nothing() {
    let server = ScriptedHttp::with_tls(|_, _| says(200)).await;
    let other = ScriptedHttp::with_tls(|_, _| says(200)).await;
    let trouble = posts(&to(&server.url(), other.ca_file()), SOON).await;
    let words = trouble.unwrap_err().to_string();
    assert!(words.contains("certificate"), "{words}");
    assert!(!words.contains("very-secret"), "{words}");
    assert!(server.posted().is_empty());
}

#[tokio::test]
async fn success_is_2xx_and_what_comes_with_it_is_not_read() {
    for does in [says(200), says(299), Does::Begins(200), Does::Floods(201)] {
        let server = ScriptedHttp::start(move |_, _| does.clone()).await;
        let attempt = posts(&to_server(&server), SOON).await.unwrap();
        assert_eq!(attempt.accepted.len(), 1);
    }
}

#[tokio::test]
async fn a_refusal_is_temporary_and_holds_up_no_other_letter() {
    // As the defaults of many servers do.
    let repeats = b"Cannot POST /hook?key=very-secret".to_vec();
    let repeats = Does::Answers(404, String::new(), repeats);
    let told = "配號\u{1b}[2J".repeat(500).into_bytes();
    for (does, words) in [
        (says(400), "found 400"),
        (says(404), "found 404"),
        (says(422), "found 422"),
        (says(500), "found 500"),
        (
            Does::Answers(500, String::new(), told),
            "found 500: 配號<U+001B>[2J配號",
        ),
        (Does::Floods(500), "found 500: xxxxxxxx"),
        (repeats, "found 404: Cannot POST …?…"),
    ] {
        let server = ScriptedHttp::start(move |_, _| does.clone()).await;
        let attempt = posts(&to_server(&server), SOON).await.unwrap();
        assert!(attempt.accepted.is_empty() && attempt.refused.is_empty());
        assert_eq!(attempt.stopped, None);
        let (_, found) = &attempt.deferred[0];
        assert!(found.contains(words), "{found}");
        assert!(found.chars().count() < 300, "{found}");
        assert!(!found.contains("very-secret"), "{found}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = ScriptedHttp::start(|_, _| says(200)).await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("Location: {}\r\n", elsewhere.url());
        let server =
            ScriptedHttp::start(move |_, _| Does::Answers(status, location.clone(), Vec::new()))
                .await;
        let attempt = posts(&to_server(&server), SOON).await.unwrap();
        let (_, words) = &attempt.deferred[0];
        assert!(
            words.contains("a redirect, which is not followed"),
            "{words}"
        );
    }
    assert!(elsewhere.posted().is_empty());
}

#[tokio::test]
async fn what_holds_for_every_letter_closes_the_way() {
    for does in [
        says(429),
        says(502),
        says(503),
        says(504),
        Does::Closes,
        Does::Babbles,
    ] {
        let server = ScriptedHttp::start(move |_, _| does.clone()).await;
        let trouble = posts(&to_server(&server), SOON).await;
        let words = trouble.unwrap_err().to_string();
        assert!(words.starts_with("post to http://localhost:"), "{words}");
        assert!(!words.contains("very-secret"), "{words}");
    }
    let closed = crate::support::free_address();
    let trouble = posts(&to(&format!("http://{closed}/"), None), SOON).await;
    assert!(trouble.unwrap_err().to_string().contains("refused"));
}

#[tokio::test]
async fn a_system_that_hangs_is_left_in_time() {
    let within = Duration::from_millis(600);
    for does in [Does::Hangs, Does::Begins(500)] {
        let server = ScriptedHttp::start(move |_, _| does.clone()).await;
        let began = Instant::now();
        let attempt = posts(&to_server(&server), within).await;
        assert!(began.elapsed() < SOON);
        match attempt {
            Err(trouble) => assert!(trouble.to_string().contains("no answer"), "{trouble}"),
            Ok(attempt) => assert_eq!(attempt.deferred.len(), 1),
        }
    }
}

#[tokio::test]
async fn gone_is_no_refusal_of_this_letter_alone() {
    let server =
        ScriptedHttp::start(|_, _| Does::Answers(410, String::new(), b"unsubscribed".to_vec()))
            .await;
    let attempt = posts(&to_server(&server), SOON).await.unwrap();
    let words = attempt.stopped.unwrap();
    assert!(words.ends_with("found 410: unsubscribed"), "{words}");
    assert!(attempt.accepted.is_empty() && attempt.deferred.is_empty());
}
