//! One request a connection, byte by byte, against a listener on a free port.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::oneshot,
};

use super::*;

const NOW: &str = "2026-11-22T04:00:00Z";

fn at(text: &str) -> Option<Timestamp> {
    Some(text.parse().unwrap())
}

fn heard(last_ok: Option<Timestamp>) -> Signs {
    Signs {
        last_ok,
        ..Signs::default()
    }
}

fn healthy() -> Vitals {
    Vitals {
        ledger: at("2026-11-22T03:59:00Z"),
        mailboxes: BTreeMap::from([("einvoice".to_owned(), heard(at("2026-11-22T03:45:00Z")))]),
        ..Vitals::default()
    }
}

/// A server that knows `vitals`; it stops when it is dropped.
struct Server {
    address: SocketAddr,
    _vitals: watch::Sender<Vitals>,
    _stop: oneshot::Sender<()>,
}

impl Server {
    async fn start(vitals: Vitals) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, receiver) = watch::channel(vitals);
        let (stop, stopped) = oneshot::channel::<()>();
        let clock = Clock::manual(NOW.parse().unwrap());
        tokio::spawn(serve(listener, receiver, clock, stopped.map(|_| ())));
        Self {
            address,
            _vitals: sender,
            _stop: stop,
        }
    }

    /// Sends `request`, `PORT` replaced, and returns status line and body.
    async fn ask(&self, request: &str) -> (String, String) {
        let port = self.address.port().to_string();
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = request.replace("PORT", &port).replace('\n', "\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        tokio::time::timeout(Duration::from_secs(10), stream.read_to_string(&mut answer))
            .await
            .expect("an answer within 10 s")
            .unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.lines().next().unwrap().to_owned(), body.to_owned())
    }

    async fn get(&self, path: &str) -> (String, String) {
        self.ask(&format!(
            "GET {path} HTTP/1.1\nHost: localhost:PORT\nConnection: close\n\n"
        ))
        .await
    }
}

#[tokio::test]
async fn a_healthy_daemon_is_alive_and_ready() {
    let server = Server::start(healthy()).await;
    for (path, body) in [("/healthz", "alive\n"), ("/readyz", "ready\n")] {
        assert_eq!(
            server.get(path).await,
            ("HTTP/1.1 200 OK".to_owned(), body.to_owned())
        );
    }
}

#[tokio::test]
async fn silence_is_named_with_its_beginning() {
    let mut vitals = healthy();
    vitals.ledger = at("2026-11-22T03:54:59Z");
    vitals
        .mailboxes
        .insert("einvoice".into(), heard(at("2026-11-22T03:44:59.5Z")));
    vitals.mailboxes.insert("second".into(), heard(None));
    let server = Server::start(vitals).await;
    assert_eq!(
        server.get("/readyz").await,
        (
            "HTTP/1.1 503 Service Unavailable".to_owned(),
            "the ledger has not been writable since 2026-11-22T03:54:59Z\n\
             the mailbox einvoice has been silent since 2026-11-22T03:44:59Z\n\
             the mailbox second has been silent since the start\n"
                .to_owned()
        )
    );
    assert_eq!(server.get("/healthz").await.0, "HTTP/1.1 200 OK");
}

const RED: &str = "HTTP/1.1 503 Service Unavailable";

#[tokio::test]
async fn a_ledger_that_fails_is_said_first_and_by_whoever_has_failed_longest() {
    let mut vitals = healthy();
    // It proves writable every minute, and the disk is full for whatever is larger.
    vitals.ledger = at(NOW);
    let full = "database or disk is full".to_owned();
    let times = ["2026-11-22T03:58:00Z", "2026-11-22T03:57:00Z", NOW];
    let mailbox = Part::Mailbox("einvoice".to_owned());
    let parts = [Part::Dispatcher, mailbox.clone(), mailbox.clone()];
    // The words are the last ones.
    let words = ["disk I/O error", "disk I/O error", &full];
    for ((part, time), words) in parts.into_iter().zip(times).zip(words) {
        vitals.misses_ledger(part, words.to_owned(), time.parse().unwrap());
    }
    let said =
        "the ledger cannot be written to since 2026-11-22T03:57:00Z: database or disk is full\n";
    let server = Server::start(vitals.clone()).await;
    assert_eq!(
        server.get("/readyz").await,
        (RED.to_owned(), said.to_owned())
    );
    assert!(vitals.has_ledger(&mailbox));
    let server = Server::start(vitals).await;
    let (status, body) = server.get("/readyz").await;
    assert_eq!((status.as_str(), body.contains("03:58:00Z")), (RED, true));
}

#[tokio::test]
async fn mail_that_does_not_go_out_is_a_remark_and_after_an_hour_of_silence_a_trouble() {
    let mut vitals = healthy();
    let put_off = |none_sent_since: &str| PutOffMail {
        mails: 2,
        since: "2026-11-20T00:00:00Z".parse().unwrap(),
        none_sent_since: none_sent_since.parse().unwrap(),
        words: "451 later".to_owned(),
    };
    vitals.mail.failed = 3;
    let given_up = "mails given up: 3; `invoice-trackd outbox list` shows them\n";
    for (none_sent_since, status, said) in [
        (
            "2026-11-22T03:00:00Z",
            "HTTP/1.1 200 OK",
            "ready\nmails put off: 2, since 2026-11-20T00:00:00Z; the last answer: 451 later\n",
        ),
        (
            "2026-11-22T02:59:59Z",
            RED,
            "no mail has gone out since 2026-11-22T02:59:59Z, waiting: 2; the last answer: 451 later\n",
        ),
    ] {
        vitals.mail.put_off = Some(put_off(none_sent_since));
        let server = Server::start(vitals.clone()).await;
        let expected = (status.to_owned(), format!("{said}{given_up}"));
        assert_eq!(server.get("/readyz").await, expected);
    }
    vitals.mail.put_off = None;
    let server = Server::start(vitals).await;
    let expected = ("HTTP/1.1 200 OK".to_owned(), format!("ready\n{given_up}"));
    assert_eq!(server.get("/readyz").await, expected);
}

#[tokio::test]
async fn mail_that_waits_for_a_resolver_is_a_remark_however_long() {
    let mut vitals = healthy();
    vitals.waiting = Some(WaitingMail {
        mails: 3,
        since: "2026-11-20T00:00:00Z".parse().unwrap(),
        words: "no answer within 5 s".to_owned(),
    });
    let server = Server::start(vitals).await;
    let said = "ready\nmails waiting for a resolver (DNS): 3, since 2026-11-20T00:00:00Z; \
                the last words: no answer within 5 s\n";
    let expected = ("HTTP/1.1 200 OK".to_owned(), said.to_owned());
    assert_eq!(server.get("/readyz").await, expected);
}

#[tokio::test]
async fn numbers_that_have_not_come_are_a_remark_and_the_daemon_does_its_job() {
    let mut vitals = healthy();
    vitals.overdue = 12;
    vitals.mail.failed = 3;
    let server = Server::start(vitals).await;
    let said = "ready\n\
                companies without the numbers that are due: 12; `invoice-trackd status` shows them\n\
                mails given up: 3; `invoice-trackd outbox list` shows them\n";
    let expected = ("HTTP/1.1 200 OK".to_owned(), said.to_owned());
    assert_eq!(server.get("/readyz").await, expected);
}

#[tokio::test]
async fn a_foreign_name_is_refused_and_our_own_are_not() {
    let server = Server::start(healthy()).await;
    for (target, host, expected) in [
        ("/healthz", "Host: LOCALHOST:PORT\n", "200 OK"),
        ("/healthz", "Host: 127.0.0.1:PORT\n", "200 OK"),
        ("/healthz", "Host: [::1]:PORT\n", "200 OK"),
        (
            "/healthz",
            "Host: evil.example\n",
            "421 Misdirected Request",
        ),
        (
            "/healthz",
            "Host: evil.example:PORT\n",
            "421 Misdirected Request",
        ),
        ("/healthz", "Host: localhost:1\n", "421 Misdirected Request"),
        (
            "/nowhere",
            "Host: evil.example\n",
            "421 Misdirected Request",
        ),
        (
            "http://evil.example/healthz",
            "Host: localhost:PORT\n",
            "421 Misdirected Request",
        ),
        ("/healthz", "", "400 Bad Request"),
        (
            "/healthz",
            "Host: localhost:PORT\nHost: evil.example\n",
            "400 Bad Request",
        ),
    ] {
        let request = format!("GET {target} HTTP/1.1\n{host}Connection: close\n\n");
        let (status, _) = server.ask(&request).await;
        assert_eq!(status, format!("HTTP/1.1 {expected}"), "{request}");
    }
}

#[tokio::test]
async fn there_is_nothing_to_write_and_nothing_else_to_read() {
    let server = Server::start(healthy()).await;
    let post =
        "POST /readyz HTTP/1.1\nHost: localhost:PORT\nConnection: close\nContent-Length: 0\n\n";
    assert_eq!(server.ask(post).await.0, "HTTP/1.1 405 Method Not Allowed");
    assert_eq!(server.get("/").await.0, "HTTP/1.1 404 Not Found");
}

#[tokio::test]
async fn a_client_that_never_finishes_does_not_hold_up_the_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (_sender, receiver) = watch::channel(healthy());
    let (stop, stopped) = oneshot::channel::<()>();
    let clock = Clock::manual(NOW.parse().unwrap());
    let server = tokio::spawn(serve(listener, receiver, clock, stopped.map(|_| ())));
    let mut stuck = TcpStream::connect(address).await.unwrap();
    stuck.write_all(b"GET /healthz HTTP/1.1\r\n").await.unwrap();
    // Connections are accepted in order: once the second is answered, the first is being read.
    let mut answered = TcpStream::connect(address).await.unwrap();
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\n\r\n");
    answered.write_all(request.as_bytes()).await.unwrap();
    answered.read_u8().await.unwrap();
    stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(10), server)
        .await
        .expect("an end within 10 s")
        .unwrap()
        .unwrap();
}

#[test]
fn all_is_surveyed_when_what_has_not_been_scanned_has_failed_for_long() {
    let patience = SignedDuration::from_mins(5);
    let now = at("2026-11-22T04:00:00Z").unwrap();
    let scanned = Signs {
        scanned: true,
        ..Signs::default()
    };
    let failing = |since| Signs {
        failing_since: at(since),
        ..Signs::default()
    };
    for (second, expected) in [
        (scanned, true),
        (Signs::default(), false),
        (failing("2026-11-22T03:55:01Z"), false),
        (failing("2026-11-22T03:55:00Z"), true),
    ] {
        let vitals = Vitals {
            mailboxes: BTreeMap::from([("first".into(), scanned), ("second".into(), second)]),
            ..Vitals::default()
        };
        assert_eq!(vitals.is_surveyed(now, patience), expected, "{second:?}");
    }
}

#[tokio::test]
async fn clients_that_never_hang_up_are_few_and_do_not_stay() {
    let server = Server::start(healthy()).await;
    let mut silent = Vec::new();
    for _ in 0..CLIENTS {
        silent.push(TcpStream::connect(server.address).await.unwrap());
    }
    let mut last = TcpStream::connect(server.address).await.unwrap();
    let port = server.address.port();
    let request =
        format!("GET /healthz HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n");
    last.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(Duration::from_secs(60), async {
        last.read_to_string(&mut answer).await.unwrap();
        for mut stream in silent {
            assert!(stream.read_u8().await.is_err(), "hung up, nothing said");
        }
    })
    .await
    .expect("all have left");
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}
