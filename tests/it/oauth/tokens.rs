//! Getting tokens: every answer an endpoint may give, what is held for how long, and what a refresh token
//! that is replaced goes through.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use invoice_trackd::oauth::{AccessToken, Cause, Grant, Settings, TokenError, Tokens};
use secrecy::ExposeSecret as _;

use super::{for_itself, signed_in};
use crate::support::token_endpoint::{Says, TokenEndpoint, json, refusal, rotated, token};

fn secret(token: &AccessToken) -> &str {
    token.secret().expose_secret()
}

async fn ask(settings: &Settings) -> Result<AccessToken, TokenError> {
    Tokens::of(settings.clone()).token().await
}

/// What an endpoint's answer comes to, for an application that acts for itself.
async fn answered(says: Says) -> (Result<AccessToken, TokenError>, TokenEndpoint) {
    let endpoint = TokenEndpoint::start(move |_, _| says.clone()).await;
    (ask(&for_itself(&endpoint)).await, endpoint)
}

/// The files of a state directory that end so.
fn files(directory: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == ending))
        .collect();
    files.sort();
    files
}

#[tokio::test]
async fn both_grants_are_asked_for_as_rfc_6749_writes_them() {
    let state = tempfile::tempdir().unwrap();
    let endpoint = TokenEndpoint::granting("at").await;
    let person = ask(&signed_in(&endpoint, "the refresh/token+", state.path())).await;
    let itself = ask(&for_itself(&endpoint)).await;
    assert_eq!(secret(&person.unwrap()), "at-0");
    assert_eq!(secret(&itself.unwrap()), "at-1");
    let public = Settings {
        client_secret: None,
        ..signed_in(&endpoint, "another", state.path())
    };
    ask(&public).await.unwrap();
    let asked: Vec<Vec<(String, String)>> = (endpoint.asked().into_iter())
        .map(|form| form.into_iter().collect())
        .collect();
    let fields = |fields: &[(&str, &str)]| -> Vec<(String, String)> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        fields.iter().map(own).collect()
    };
    assert_eq!(
        asked,
        [
            fields(&[
                ("client_id", "the-client"),
                ("client_secret", "the-Client-Secret"),
                ("grant_type", "refresh_token"),
                ("refresh_token", "the refresh/token+"),
                ("scope", "mail offline"),
            ]),
            fields(&[
                ("client_id", "the-client"),
                ("client_secret", "the-Client-Secret"),
                ("grant_type", "client_credentials"),
                ("scope", "mail offline"),
            ]),
            fields(&[
                ("client_id", "the-client"),
                ("grant_type", "refresh_token"),
                ("refresh_token", "another"),
                ("scope", "mail offline"),
            ]),
        ]
    );
}

#[tokio::test]
async fn a_token_is_held_until_shortly_before_it_expires() {
    let endpoint = TokenEndpoint::granting("at").await;
    let tokens = Tokens::of(for_itself(&endpoint));
    let first = tokens.token().await.unwrap();
    assert!(!first.is_cached());
    tokio::time::pause();
    // Five minutes before the hour is over it counts as expired.
    tokio::time::advance(Duration::from_secs(3290)).await;
    tokio::time::resume();
    let held = tokens.token().await.unwrap();
    assert!(held.is_cached());
    assert_eq!(secret(&held), secret(&first));
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(20)).await;
    tokio::time::resume();
    assert_eq!(secret(&tokens.token().await.unwrap()), "at-1");
    assert_eq!(endpoint.asked().len(), 2);

    // What a server has refused is not shown again; what it has not, stays.
    let held = tokens.token().await.unwrap();
    tokens.forget(&first).await;
    assert_eq!(secret(&tokens.token().await.unwrap()), "at-1");
    tokens.forget(&held).await;
    assert_eq!(secret(&tokens.token().await.unwrap()), "at-2");
}

#[tokio::test]
async fn without_a_lifetime_a_token_serves_once() {
    let answer = serde_json::json!({ "access_token": "at", "token_type": "Bearer" });
    let endpoint = TokenEndpoint::start(move |_, _| json(200, &answer)).await;
    let tokens = Tokens::of(for_itself(&endpoint));
    for _ in 0..2 {
        assert!(!tokens.token().await.unwrap().is_cached());
    }
    assert_eq!(endpoint.asked().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_who_have_the_same_grant_share_one_fetch_and_one_failure() {
    for (says, good) in [
        (token("at", 3600), true),
        (refusal(503, "temporarily_unavailable", ""), false),
    ] {
        let let_go = Arc::new(tokio::sync::Notify::new());
        let says = Says::WhenLet(Arc::clone(&let_go), Box::new(says));
        let endpoint = TokenEndpoint::start(move |_, _| says.clone()).await;
        let settings = for_itself(&endpoint);
        let mut asking = tokio::task::JoinSet::new();
        let (began, mut begun) = tokio::sync::mpsc::channel(8);
        for _ in 0..8 {
            let (settings, began) = (settings.clone(), began.clone());
            asking.spawn(async move {
                let tokens = Tokens::of(settings);
                let mut asked = Box::pin(tokens.token());
                // Polled once, it has asked.
                assert!(futures_util::poll!(&mut asked).is_pending());
                began.send(Arc::clone(&tokens)).await.unwrap();
                asked.await.is_ok()
            });
        }
        let mut tokens = Vec::new();
        for _ in 0..8 {
            tokens.push(begun.recv().await.unwrap());
        }
        assert!(tokens.iter().all(|one| Arc::ptr_eq(one, &tokens[0])));
        let_go.notify_one();
        assert!(asking.join_all().await.iter().all(|came| *came == good));
        assert_eq!(endpoint.asked().len(), 1);
    }
}

#[tokio::test]
async fn every_refusal_is_told_apart_in_the_providers_words_and_repeats_no_secret() {
    let mut said = String::new();
    for (status, error, description) in [
        (400, "invalid_grant", "Token has been expired or revoked."),
        (
            400,
            "invalid_grant",
            "AADSTS700082: The refresh token has expired due to inactivity.\r\nTrace ID: 0a Correlation ID: 1b Timestamp: 2026",
        ),
        (
            400,
            "invalid_grant",
            "AADSTS65001: The user or administrator has not consented to use the application.",
        ),
        (
            401,
            "invalid_client",
            "AADSTS7000215: Invalid client secret provided: the-Client-Secret. Trace ID: 0",
        ),
        (
            401,
            "invalid_client",
            "AADSTS7000222: The provided client secret keys for app 'x' are expired.",
        ),
        (
            400,
            "unauthorized_client",
            "AADSTS700016: Application with identifier 'x' was not found.",
        ),
        (400, "unauthorized_client", ""),
        (400, "invalid_scope", "Some requested scopes were invalid."),
        (400, "invalid_request", "AADSTS90002: Tenant 'x' not found."),
        (
            403,
            "org_internal",
            "This client is restricted to users within its organization.",
        ),
    ] {
        let (asked, endpoint) = answered(refusal(status, error, description)).await;
        let refused = asked.unwrap_err();
        assert!(
            refused.is_refusal() && !refused.is_temporary(),
            "{refused:?}"
        );
        assert!(!format!("{refused:?}").contains("the-Client-Secret"));
        said.push_str(&format!("{:?}: {refused}\n", refused.cause));
        // What was refused is not asked again at once, for any of those who wait.
        let again = ask(&for_itself(&endpoint)).await;
        assert!(again.is_err());
    }
    insta::assert_snapshot!(said);
}

/// Some write `null` for what they leave out.
#[tokio::test]
async fn a_refusal_that_explains_nothing_is_one() {
    let said = serde_json::json!({ "error": "invalid_client", "error_description": null });
    let (asked, _endpoint) = answered(json(401, &said)).await;
    let refused = asked.unwrap_err();
    assert_eq!(refused.cause, Cause::ClientSecret, "{refused}");
}

#[tokio::test]
async fn a_refusal_stands_for_less_than_a_minute() {
    let endpoint = TokenEndpoint::start(|n, _| match n {
        0 => refusal(400, "invalid_grant", "revoked"),
        _ => token("at", 3600),
    })
    .await;
    let tokens = Tokens::of(for_itself(&endpoint));
    tokens.token().await.unwrap_err();
    tokens.token().await.unwrap_err();
    assert_eq!(endpoint.asked().len(), 1);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(51)).await;
    tokio::time::resume();
    assert_eq!(secret(&tokens.token().await.unwrap()), "at");
}

#[tokio::test]
async fn what_is_no_answer_is_said_without_being_repeated() {
    let answer = |status: u16, header: &str, body: &[u8]| {
        Says::Answer(status, header.to_owned(), body.to_vec())
    };
    let large = serde_json::json!({ "access_token": "x".repeat(70_000), "token_type": "Bearer" });
    let mut said = String::new();
    for says in [
        answer(200, "", b"<html>the-Client-Secret</html>"),
        answer(200, "", b""),
        answer(404, "", b"not found"),
        answer(400, "", b"{}"),
        json(
            200,
            &serde_json::json!({ "access_token": "", "token_type": "Bearer" }),
        ),
        json(
            200,
            &serde_json::json!({ "access_token": "at", "token_type": "mac" }),
        ),
        json(
            200,
            &serde_json::json!({ "access_token": "a\r\nb", "token_type": "Bearer" }),
        ),
        json(200, &large),
    ] {
        let error = answered(says).await.0.unwrap_err();
        assert_eq!(error.cause, Cause::NoEndpoint, "{error}");
        said.push_str(&format!("{error}\n"));
    }
    insta::assert_snapshot!(said);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = TokenEndpoint::granting("elsewhere").await;
    let location = format!("Location: {}\r\n", elsewhere.url());
    for status in [301, 302, 307, 308] {
        let says = Says::Answer(status, location.clone(), Vec::new());
        let (asked, endpoint) = answered(says).await;
        let error = asked.unwrap_err().to_string();
        assert!(
            error.contains("a redirect, which is not followed"),
            "{error}"
        );
        assert_eq!(endpoint.asked().len(), 1);
    }
    assert!(elsewhere.asked().is_empty() && elsewhere.strays().is_empty());
}

#[tokio::test]
async fn a_busy_endpoint_is_left_alone_for_as_long_as_it_wishes_within_reason() {
    for (status, wish, held) in [
        (500, "", 0),
        (429, "Retry-After: 120\r\n", 120),
        (503, "Retry-After: 999999\r\n", 600),
        (503, "Retry-After: Fri, 31 Dec 2027 23:59:59 GMT\r\n", 0),
    ] {
        let wish = wish.to_owned();
        let endpoint = TokenEndpoint::start(move |n, _| match n {
            0 => Says::Answer(status, wish.clone(), b"busy".to_vec()),
            _ => token("at", 3600),
        })
        .await;
        let tokens = Tokens::of(for_itself(&endpoint));
        let error = tokens.token().await.unwrap_err();
        assert!(error.is_temporary(), "{error:?}");
        assert!(
            error.to_string().ends_with(&format!("answered {status}")),
            "{error}"
        );
        if held > 0 {
            assert!(tokens.token().await.is_err());
            assert_eq!(endpoint.asked().len(), 1);
            tokio::time::pause();
            tokio::time::advance(Duration::from_secs(held)).await;
            tokio::time::resume();
        }
        assert_eq!(secret(&tokens.token().await.unwrap()), "at");
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_endpoint_is_waited_for_no_longer_than_15_seconds() {
    let (asked, _endpoint) = answered(Says::Nothing).await;
    let error = asked.unwrap_err();
    assert!(error.is_temporary());
    let words = "get an access token from 127.0.0.1: no answer within 15s";
    assert_eq!(error.to_string(), words);
}

#[tokio::test]
async fn an_endpoint_that_is_down_or_not_trusted_is_told_apart() {
    let endpoint = TokenEndpoint::granting("at").await;
    let settings = for_itself(&endpoint);
    drop(endpoint);
    let error = ask(&settings).await.unwrap_err();
    assert!(error.is_temporary(), "{error:?}");
    assert!(error.to_string().contains("Connection refused"), "{error}");

    let dovecot = crate::support::dovecot::Dovecot::start();
    let url = format!("https://localhost:{}/token", dovecot.imaps_port);
    let settings = Settings {
        token_endpoint: url.parse().unwrap(),
        ca_file: Some(dovecot.other_ca_file()),
        ..settings
    };
    let error = ask(&settings).await.unwrap_err();
    assert!(matches!(error.cause, Cause::Tls(_)), "{error:?}");
}

#[tokio::test]
async fn a_replaced_refresh_token_is_kept_over_a_restart_until_another_is_configured() {
    let state = tempfile::tempdir().unwrap();
    let endpoint =
        TokenEndpoint::start(|n, _| rotated(&format!("at-{n}"), &format!("replaced-{n}"))).await;
    let settings = signed_in(&endpoint, "configured", state.path());
    // Each time the process's own tokens are gone, as after a restart.
    for _ in 0..3 {
        ask(&settings).await.unwrap();
    }
    ask(&signed_in(&endpoint, "configured anew", state.path()))
        .await
        .unwrap();
    let used: Vec<String> = (endpoint.asked().iter())
        .map(|form| form["refresh_token"].clone())
        .collect();
    assert_eq!(
        used,
        ["configured", "replaced-0", "replaced-1", "configured anew"]
    );
    assert_eq!(files(state.path(), "json").len(), 2);
    assert!(files(state.path(), "new").is_empty());
    for file in files(state.path(), "json") {
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        let text = fs::read_to_string(&file).unwrap();
        assert!(!text.contains("configured") && !text.contains("the-Client-Secret"));
    }
}

#[tokio::test]
async fn whoever_stops_waiting_does_not_lose_the_only_token_that_counts() {
    let state = tempfile::tempdir().unwrap();
    let let_go = Arc::new(tokio::sync::Notify::new());
    let says = Says::WhenLet(Arc::clone(&let_go), Box::new(rotated("at", "replaced")));
    let endpoint = TokenEndpoint::start(move |_, _| says.clone()).await;
    let tokens = Tokens::of(signed_in(&endpoint, "configured", state.path()));
    let mut waiting = Box::pin(tokens.token());
    while endpoint.asked().is_empty() {
        assert!(futures_util::poll!(&mut waiting).is_pending());
        tokio::task::yield_now().await;
    }
    drop(waiting);
    drop(tokens);
    let_go.notify_one();
    let deadline = Instant::now() + Duration::from_secs(20);
    while files(state.path(), "json").is_empty() {
        assert!(Instant::now() < deadline, "the token was lost");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn two_processes_do_not_use_one_refresh_token_at_once() {
    let state = tempfile::tempdir().unwrap();
    let endpoint = TokenEndpoint::start(|_, _| rotated("at", "replaced")).await;
    let settings = signed_in(&endpoint, "configured", state.path());
    let tokens = Tokens::of(settings);
    tokens.token().await.unwrap();
    let [lock] = &files(state.path(), "lock")[..] else {
        panic!("one lock")
    };
    // The other process.
    let lock = fs::File::open(lock).unwrap();
    lock.lock().unwrap();
    let mut asking = Box::pin(tokens.token());
    let early = tokio::time::timeout(Duration::from_millis(300), &mut asking).await;
    assert!(early.is_err());
    assert_eq!(endpoint.asked().len(), 1);
    // Whoever did not wait has read the file by now.
    let file = files(state.path(), "json").remove(0);
    let kept = fs::read_to_string(&file).unwrap();
    fs::write(&file, kept.replace("replaced", "the-others")).unwrap();
    lock.unlock().unwrap();
    assert_eq!(secret(&asking.await.unwrap()), "at");
    assert_eq!(endpoint.asked()[1]["refresh_token"], "the-others");
}

#[tokio::test]
async fn a_refresh_token_that_others_may_read_or_nobody_can_is_refused_before_anything_is_asked() {
    let state = tempfile::tempdir().unwrap();
    let endpoint = TokenEndpoint::start(|_, _| rotated("at", "replaced")).await;
    let settings = signed_in(&endpoint, "configured", state.path());
    ask(&settings).await.unwrap();
    let file = files(state.path(), "json").remove(0);
    let trouble = async |settings: &Settings| {
        let error = ask(settings).await.unwrap_err();
        assert_eq!(error.cause, Cause::Store);
        assert_eq!(endpoint.asked().len(), 1);
        let words = error.to_string();
        assert!(!words.contains("replaced"), "{words}");
        words
    };
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let words = trouble(&settings).await;
    assert!(
        words.contains("found mode 0640; run `chmod 600`"),
        "{words}"
    );
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&file, "replaced").unwrap();
    let words = trouble(&settings).await;
    assert!(
        words.contains("expected a refresh token as JSON"),
        "{words}"
    );
    let nowhere = Settings {
        state_directory: state.path().join("nosuch"),
        ..settings
    };
    let words = trouble(&nowhere).await;
    assert!(words.contains("No such file or directory"), "{words}");
}

#[tokio::test]
async fn a_token_that_could_not_be_kept_is_not_used_and_is_kept_as_soon_as_it_can() {
    let state = tempfile::tempdir().unwrap();
    let directory = state.path().join("state");
    fs::create_dir(&directory).unwrap();
    let moved = state.path().join("moved");
    let (from, to) = (directory.clone(), moved.clone());
    let endpoint = TokenEndpoint::start(move |n, _| {
        // Between the question and the answer the disk goes away.
        if n == 0 {
            fs::rename(&from, &to).unwrap();
        }
        rotated("at", &format!("replaced-{n}"))
    })
    .await;
    let tokens = Tokens::of(signed_in(&endpoint, "configured", &directory));
    assert_eq!(tokens.token().await.unwrap_err().cause, Cause::Store);
    assert_eq!(tokens.token().await.unwrap_err().cause, Cause::Store);
    assert_eq!(endpoint.asked().len(), 1);
    fs::rename(&moved, &directory).unwrap();
    tokens.token().await.unwrap();
    assert_eq!(endpoint.asked()[1]["refresh_token"], "replaced-0");
}

#[tokio::test]
async fn a_token_that_came_beside_one_that_could_not_be_kept_is_used_once_it_is() {
    let state = tempfile::tempdir().unwrap();
    let (directory, moved) = (state.path().join("state"), state.path().join("moved"));
    fs::create_dir(&directory).unwrap();
    let (from, to) = (directory.clone(), moved.clone());
    let endpoint = TokenEndpoint::start(move |n, _| {
        if n == 0 {
            fs::rename(&from, &to).unwrap();
        }
        let answer = serde_json::json!({
            "access_token": format!("at-{n}"), "token_type": "Bearer", "expires_in": 3600,
            "refresh_token": "replaced",
        });
        json(200, &answer)
    })
    .await;
    let tokens = Tokens::of(signed_in(&endpoint, "configured", &directory));
    assert_eq!(tokens.token().await.unwrap_err().cause, Cause::Store);
    fs::rename(&moved, &directory).unwrap();
    assert_eq!(secret(&tokens.token().await.unwrap()), "at-0");
    assert_eq!(endpoint.asked().len(), 1);
}

#[tokio::test]
async fn a_busy_endpoint_has_refused_nothing_whatever_it_says() {
    for status in [429, 500, 503] {
        let (answer, _endpoint) = answered(refusal(status, "invalid_grant", "")).await;
        let error = answer.unwrap_err();
        assert!(error.is_temporary() && !error.is_refusal(), "{error:?}");
    }
}

#[tokio::test]
async fn what_root_writes_belongs_to_the_directorys_owner() {
    let state = tempfile::tempdir().unwrap();
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        eprintln!("skipped: only root can write what is another's");
        return;
    }
    chown(state.path(), Some(40_123), Some(40_124)).unwrap();
    let endpoint = TokenEndpoint::start(|_, _| rotated("at", "replaced")).await;
    ask(&signed_in(&endpoint, "configured", state.path()))
        .await
        .unwrap();
    for ending in ["json", "lock"] {
        let [file] = &files(state.path(), ending)[..] else {
            panic!("one {ending}")
        };
        let found = fs::metadata(file).unwrap();
        assert_eq!((found.uid(), found.gid()), (40_123, 40_124), "{ending}");
        assert_eq!(found.permissions().mode() & 0o7777, 0o600, "{ending}");
    }
}

#[tokio::test]
async fn nothing_secret_is_in_a_debug() {
    let state = tempfile::tempdir().unwrap();
    let endpoint = TokenEndpoint::granting("The-Access-Token").await;
    let settings = signed_in(&endpoint, "The-Refresh-Token", state.path());
    let tokens = Tokens::of(settings.clone());
    let token = tokens.token().await.unwrap();
    let credential = invoice_trackd::oauth::Credential::Token(tokens);
    let grant = Grant::RefreshToken("The-Refresh-Token".into());
    let shown = format!("{settings:?} {token:?} {credential:?} {grant:?}");
    assert!(shown.contains("the-client"));
    for secret in ["The-Access-Token", "The-Refresh-Token", "the-Client-Secret"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
