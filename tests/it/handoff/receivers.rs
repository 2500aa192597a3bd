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
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::*;
use crate::{docs::assert_made, support::scripted_http::says};

/// A receiver that runs until this is dropped.
struct Receiver {
    child: Child,
    port: u16,
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
    fs::create_dir(home.path().join("received")).unwrap();
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
    let port = line.trim().strip_prefix("listening on port ");
    let port = port.unwrap_or_else(|| panic!("{file}: {line:?}"));
    let port = port.parse().unwrap();
    Receiver { child, port, home }
}

impl Receiver {
    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    async fn is_handed(&self, letter: &Letter, now: Timestamp) -> Attempt {
        self.by(&to(&self.url(), None), letter, now).await
    }

    async fn by(&self, transport: &Transport, letter: &Letter, now: Timestamp) -> Attempt {
        let within = Duration::from_secs(20);
        let from = &style().from.address;
        transport.send(from, letter, now, within).await.unwrap()
    }

    /// What somebody else may send: this head, and then as much as is taken of `size` bytes.
    async fn is_bothered_with(&self, head: &str, size: usize) {
        let socket = TcpStream::connect(("127.0.0.1", self.port)).await;
        let mut socket = socket.unwrap();
        let head = format!("POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{head}\r\n");
        socket.write_all(head.as_bytes()).await.unwrap();
        let much = vec![b'x'; 1 << 20];
        let mut left = size;
        while left > 0
            && socket
                .write_all(&much[..left.min(much.len())])
                .await
                .is_ok()
        {
            left = left.saturating_sub(much.len());
        }
        // It may answer or hang up, but says no yes.
        let mut answer = Vec::new();
        let reading = socket.read_to_end(&mut answer);
        timeout(Duration::from_secs(50), reading)
            .await
            .unwrap()
            .ok();
        let answer = String::from_utf8_lossy(&answer);
        assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
        assert!(!answer.starts_with("HTTP/1.0 2"), "{answer}");
    }

    /// What holds of every receiver: an import twice, a withdrawal, what is not ours or not now, and
    /// what is meant to bring it down.
    async fn takes_what_is_ours(&self) {
        let now = Clock::System.now();
        let huge = 40 << 20;
        for (head, size) in [
            (format!("content-length: {huge}\r\n"), huge),
            ("content-length: 99999999999999999999\r\n".to_owned(), huge),
            ("content-length: -1\r\n".to_owned(), 9),
            ("content-length: many\r\n".to_owned(), 9),
            ("transfer-encoding: chunked\r\n".to_owned(), huge),
            (
                "content-length: 2\r\nwebhook-signature: v1,\u{e9} \u{e9}\r\n".to_owned(),
                2,
            ),
            (String::new(), 0),
        ] {
            self.is_bothered_with(&head, size).await;
        }
        for event in [Event::Imported, Event::Imported, Event::Withdrawn] {
            let attempt = self.is_handed(&letter(event, "EC"), now).await;
            assert_eq!(attempt.accepted.len(), 1, "{attempt:?}");
        }
        let other = letter(Event::Imported, "ED");
        let mut strangers = to(&self.url(), None);
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
    let stored: Vec<(String, String)> =
        sqlx::query_as("SELECT webhook_id, body FROM received ORDER BY rowid")
            .fetch_all(&mut sql)
            .await
            .unwrap();
    let withdrawn = letter(Event::Withdrawn, "EC");
    let expected = [kept, letter(Event::Imported, "EC"), withdrawn]
        .map(|letter| (letter.message_id, String::from_utf8(letter.eml).unwrap()));
    assert_eq!(stored, expected);
    assert_eq!(in_use(&mut sql).await, ["EE"]);
    // In the very second of the import, whose moment is written without a fraction.
    let at_once = expected[2].1.replace("\"EC\"", "\"EX\"");
    let at_once = at_once.replace("02:01:00Z", "02:00:00.500Z");
    assert!(
        at_once.contains("02:00:00Z") && at_once.contains("02:00:00.500Z"),
        "{at_once}"
    );
    sqlx::query("INSERT INTO received VALUES ('at-once', ?)")
        .bind(at_once)
        .execute(&mut sql)
        .await
        .unwrap();
    assert_eq!(in_use(&mut sql).await, ["EE"]);
    // A withdrawal that overtakes its import.
    sqlx::query("DELETE FROM received WHERE webhook_id = ?")
        .bind(&expected[1].0)
        .execute(&mut sql)
        .await
        .unwrap();
    assert_eq!(in_use(&mut sql).await, ["EE"]);
    let attempt = receiver
        .is_handed(&letter(Event::Imported, "EC"), Clock::System.now())
        .await;
    assert_eq!(attempt.accepted.len(), 1, "{attempt:?}");
    assert_eq!(in_use(&mut sql).await, ["EE"]);
}

/// The tracks that `in_use.sql` shows.
async fn in_use(sql: &mut SqliteConnection) -> Vec<String> {
    let view = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/receivers/in_use.sql");
    let view = fs::read_to_string(view).unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(view))
        .execute(&mut *sql)
        .await
        .unwrap();
    sqlx::query_scalar("SELECT track FROM in_use WHERE ban = '53567686' AND begin_no = '22628000'")
        .fetch_all(sql)
        .await
        .unwrap()
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
    for event in [Event::Imported, Event::Withdrawn] {
        let letter = letter(event, "EC");
        let kept = fs::read(place.join(format!("{}.json", letter.message_id))).unwrap();
        assert_eq!(kept, letter.eml);
    }
    // What another program has in hand is not written anew by a second one.
    let name = place.join(&expected[0]);
    fs::write(&name, "in hand").unwrap();
    let attempt = receiver
        .is_handed(&letter(Event::Imported, "EC"), Clock::System.now())
        .await;
    assert_eq!(attempt.accepted.len(), 1, "{attempt:?}");
    let attempt = receiver
        .is_handed(&letter(Event::Withdrawn, "EC"), Clock::System.now())
        .await;
    assert_eq!(attempt.accepted.len(), 1, "{attempt:?}");
    assert_eq!(fs::read(&name).unwrap(), b"in hand");
}

pub(super) const PAGES: [&str; 2] = ["docs/hand-over.md", "docs/hand-over.zh-TW.md"];

#[test]
fn the_pages_show_the_receivers_that_are_tried_here() {
    for (file, language, comment) in [
        ("receiver.py", "python", "#"),
        ("receiver.mjs", "js", "//"),
        ("in_use.sql", "sql", "--"),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/receivers");
        let code = fs::read_to_string(path.join(file)).unwrap();
        let lines = code.lines().map(str::trim_start);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with(comment));
        assert!(
            lines.count() <= 25,
            "{file} is there to be read at a glance"
        );
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
