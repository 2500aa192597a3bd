//! The receivers and the request that the documents show: what is posted looks like that, and they take
//! it, each once, and nothing else.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use invoice_trackd::{
    clock::Clock,
    delivery::{Attempt, Transport},
    ledger::Letter,
};
use sqlx::{Connection as _, SqliteConnection};

use super::*;
use crate::{docs::assert_made, support::scripted_http::says};

/// A receiver that runs until this is dropped.
struct Receiver {
    child: Child,
    url: String,
    home: TempDir,
}

impl std::ops::Drop for Receiver {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn receiver(interpreter: &str, file: &str) -> Receiver {
    let home = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/receivers");
    let child = Command::new(interpreter)
        .arg(script.join(file))
        .current_dir(home.path())
        .env("WEBHOOK_SECRET", format!("whsec_{SECRET}"))
        .env("PORT", "0")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child =
        child.unwrap_or_else(|error| panic!("{interpreter}: {error}; `tests/run` installs it"));
    let mut line = String::new();
    // It either says where it listens or ends, which ends the line.
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut line).unwrap();
    let url = line.trim().strip_prefix("listening on ");
    let url = format!("{}/", url.unwrap_or_else(|| panic!("{file}: {line:?}")));
    Receiver { child, url, home }
}

impl Receiver {
    async fn is_handed(&self, letter: &Letter, now: Timestamp) -> Attempt {
        self.by(&to(&self.url, None), letter, now).await
    }

    async fn by(&self, transport: &Transport, letter: &Letter, now: Timestamp) -> Attempt {
        let within = Duration::from_secs(20);
        let from = &style().from.address;
        transport.send(from, letter, now, within).await.unwrap()
    }

    /// What holds of every receiver: an import twice, a withdrawal, and what is not ours or not now.
    async fn takes_what_is_ours(&self) {
        let now = Clock::System.now();
        for event in [Event::Imported, Event::Imported, Event::Withdrawn] {
            let attempt = self.is_handed(&letter(event, "EC"), now).await;
            assert_eq!(attempt.accepted.len(), 1, "{attempt:?}");
        }
        let other = letter(Event::Imported, "ED");
        let mut strangers = to(&self.url, None);
        let Transport::System(System {
            way: Way::Webhook(webhook),
            ..
        }) = &mut strangers
        else {
            unreachable!()
        };
        webhook.secret = vec![7; 32].into();
        let early = now - SignedDuration::from_secs(310);
        for attempt in [
            self.by(&strangers, &other, now).await,
            self.is_handed(&other, early).await,
        ] {
            let (_, words) = &attempt.deferred[0];
            assert!(words.contains("found 401"), "{words}");
        }
    }
}

#[tokio::test]
async fn the_receiver_in_python_writes_down_each_once() {
    let receiver = receiver("python3", "receiver.py");
    // That of a range which was imported and never withdrawn.
    let kept = letter(Event::Imported, "EE");
    let attempt = receiver.is_handed(&kept, Clock::System.now()).await;
    assert_eq!(attempt.accepted.len(), 1, "{attempt:?}");
    receiver.takes_what_is_ours().await;
    let url = format!(
        "sqlite:{}",
        receiver.home.path().join("numbers.db").display()
    );
    let mut sql = SqliteConnection::connect(&url).await.unwrap();
    let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM seen")
        .fetch_one(&mut sql)
        .await
        .unwrap();
    assert_eq!(seen, 3);
    let rows: Vec<(String, String, String, bool)> = sqlx::query_as(
        "SELECT ban, track, begin_no, track IN (SELECT track FROM in_use) FROM numbers ORDER BY track",
    )
    .fetch_all(&mut sql)
    .await
    .unwrap();
    let row = |track: &str, is_in_use| {
        let [ban, begin] = ["53567686", "22628000"].map(str::to_owned);
        (ban, track.to_owned(), begin, is_in_use)
    };
    assert_eq!(rows, [row("EC", false), row("EE", true)]);
}

#[tokio::test]
async fn the_receiver_in_node_keeps_each_once() {
    let receiver = receiver("node", "receiver.mjs");
    receiver.takes_what_is_ours().await;
    let place = receiver.home.path().join("received");
    let mut expected = [Event::Imported, Event::Withdrawn].map(|event| {
        let id = letter(event, "EC").message_id;
        format!("{id}.json")
    });
    expected.sort();
    assert_eq!(directory::visible(&place), expected);
    let kept = fs::read(place.join(&expected[0])).unwrap();
    assert!(
        [Event::Imported, Event::Withdrawn]
            .iter()
            .any(|event| letter(*event, "EC").eml == kept)
    );
}

const PAGES: [&str; 2] = ["docs/hand-over.md", "docs/hand-over.zh-TW.md"];

#[test]
fn the_pages_show_the_receivers_that_are_tried_here() {
    for (file, language) in [("receiver.py", "python"), ("receiver.mjs", "js")] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/receivers");
        let code = fs::read_to_string(path.join(file)).unwrap();
        for page in PAGES {
            assert_made(page, file, &format!("```{language}\n{}\n```", code.trim()));
        }
    }
}

#[tokio::test]
async fn the_pages_show_what_is_posted() {
    let server = ScriptedHttp::start(|_, _| says(204)).await;
    let from = &style().from.address;
    let letter = letter(Event::Imported, "EC");
    let within = Duration::from_secs(20);
    to_server(&server)
        .send(from, &letter, now(), within)
        .await
        .unwrap();
    let posted = server.posted().remove(0);
    let names = [
        "content-type",
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
    ];
    let headers = names.map(|name| format!("{name}: {}\n", posted.headers[name]));
    let body: serde_json::Value = serde_json::from_slice(&posted.body).unwrap();
    let body = serde_json::to_string_pretty(&body).unwrap();
    for page in PAGES {
        let sample = format!("```\n{}\n{body}\n```", headers.concat());
        assert_made(page, "request", &sample);
    }
}
