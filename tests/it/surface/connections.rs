//! Whom the program speaks to: nobody without TLS beyond this machine, nobody whose certificate is
//! not good, nobody below TLS 1.2; and nobody on the way speaks for the server.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use invoice_trackd::{
    config::Config,
    delivery::{ObstacleKind, SmtpSettings, Transport},
    ledger::{Kind, Letter},
    mailbox::{Bounds, Imap, ImapSettings, MailboxError, Source},
    tls::{Distrust, TlsMode, distrust},
};
use jiff::Timestamp;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tempfile::NamedTempFile;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use crate::support::daemon::unwatched;

const PASSWORD: &str = "never-in-Plaintext-1";
const WITHIN: Duration = Duration::from_secs(60);

fn imap(host: &str, port: u16, tls: TlsMode, ca_file: Option<PathBuf>) -> Source {
    Source::Imap(Imap::new(ImapSettings {
        name: "m".to_owned(),
        host: host.to_owned(),
        port,
        tls,
        ca_file,
        username: "ann".to_owned(),
        credential: invoice_trackd::oauth::Credential::Password(PASSWORD.into()),
        folder: "INBOX".to_owned(),
        after_import: None,
        bounds: Bounds::default(),
    }))
}

fn smtp(host: &str, port: u16, tls: TlsMode, ca_file: Option<PathBuf>) -> Transport {
    Transport::Smtp(SmtpSettings {
        host: host.to_owned(),
        port,
        tls,
        ca_file,
        login: Some(("ann".to_owned(), PASSWORD.into())),
        command: Duration::from_secs(30),
    })
}

/// A letter to one person.
fn letter() -> Letter {
    Letter {
        kind: Kind::Alert,
        message_id: "<0123456789abcdef0123456789abcdef.alert@example.com>".to_owned(),
        recipients: vec!["oncall@example.com".parse().unwrap()],
        subject: "a letter".to_owned(),
        eml: b"Subject: a letter\r\n\r\nfirst\r\n".to_vec(),
    }
}

/// What a certificate can have against it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Flaw {
    None,
    WrongName,
    Expired,
    UnknownIssuer,
    SelfSigned,
}

/// A server's certificate with this flaw, and the CA file that its clients are given.
fn certificate(flaw: Flaw) -> (Arc<ServerConfig>, NamedTempFile) {
    let authority = |name: &str| {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    };
    let (trusted, other) = (authority("a CA"), authority("another"));
    let name = if flaw == Flaw::WrongName {
        "example.net"
    } else {
        "localhost"
    };
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    if flaw == Flaw::Expired {
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    }
    let key = KeyPair::generate().unwrap();
    let certificate = match flaw {
        Flaw::SelfSigned => params.self_signed(&key),
        Flaw::UnknownIssuer => params.signed_by(&key, &other),
        Flaw::None | Flaw::WrongName | Flaw::Expired => params.signed_by(&key, &trusted),
    };
    let ca = NamedTempFile::new().unwrap();
    std::fs::write(ca.path(), trusted.pem()).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.unwrap().der().clone()], key)
        .unwrap();
    (Arc::new(config), ca)
}

/// How the server gets to TLS.
#[derive(Debug, Clone, Copy)]
enum Way {
    Implicit,
    Imap,
    Smtp,
}

/// A server for one client; what it heard after the handshake, decrypted, and before it.
async fn serve(
    listener: TcpListener,
    way: Way,
    config: Arc<ServerConfig>,
    injected: &str,
) -> String {
    let (socket, _) = listener.accept().await.unwrap();
    let mut lines = BufReader::new(socket);
    let mut heard = String::new();
    let answers: &[(&str, &str)] = match way {
        Way::Implicit => &[],
        Way::Imap => &[("", "* OK ready\r\n"), ("STARTTLS", "a1 OK go\r\n")],
        Way::Smtp => &[
            ("", "220 ready\r\n"),
            ("EHLO", "250-ready\r\n250 STARTTLS\r\n"),
            ("STARTTLS", "220 go\r\n"),
        ],
    };
    for (command, answer) in answers {
        if !command.is_empty() {
            let start = heard.len();
            lines.read_line(&mut heard).await.unwrap();
            assert!(heard[start..].contains(command), "{heard}");
        }
        let more = if *command == "STARTTLS" { injected } else { "" };
        lines
            .write_all(format!("{answer}{more}").as_bytes())
            .await
            .unwrap();
    }
    let socket = lines.into_inner();
    if let Ok(tls) = TlsAcceptor::from(config).accept(socket).await {
        let mut secured = String::new();
        BufReader::new(tls).read_to_string(&mut secured).await.ok();
        heard.push_str(&secured);
    }
    heard
}

#[tokio::test]
async fn every_bad_certificate_is_refused_on_every_way() {
    for (flaw, expected) in [
        (Flaw::WrongName, Distrust::WrongName),
        (Flaw::Expired, Distrust::Expired),
        (Flaw::UnknownIssuer, Distrust::UnknownIssuer),
        (Flaw::SelfSigned, Distrust::UnknownIssuer),
    ] {
        for (way, is_imap) in [
            (Way::Implicit, true),
            (Way::Imap, true),
            (Way::Implicit, false),
            (Way::Smtp, false),
        ] {
            let (config, ca) = certificate(flaw);
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let server = tokio::spawn(serve(listener, way, config, ""));
            let tls = match way {
                Way::Implicit => TlsMode::Implicit,
                Way::Imap | Way::Smtp => TlsMode::StartTls,
            };
            let ca = Some(ca.path().to_owned());
            let found = if is_imap {
                let error = imap("localhost", port, tls, ca).open(&unwatched()).await;
                distrust(&error.unwrap_err())
            } else {
                let from = "einvoice@example.com".parse().unwrap();
                let error = smtp("localhost", port, tls, ca).probe(&from, WITHIN).await;
                match error.unwrap_err().kind {
                    ObstacleKind::Tls(distrust) => Some(distrust),
                    _ => None,
                }
            };
            let what = format!("{flaw:?} {way:?} {is_imap}");
            assert_eq!(found, Some(expected), "{what}");
            let heard = server.await.unwrap();
            for word in ["LOGIN", "AUTH", "MAIL", PASSWORD] {
                assert!(!heard.contains(word), "{what}: {heard}");
            }
        }
    }
}

/// All the answers that a letter would need, as somebody on the way would write them.
const WHOLE_SESSION: &str = "250-evil\r\n250 AUTH PLAIN\r\n235 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n\
                             250 accepted\r\n221 bye\r\n";

#[tokio::test]
async fn what_is_slipped_in_behind_starttls_answers_nothing() {
    let from = "einvoice@example.com".parse().unwrap();
    let (config, ca) = certificate(Flaw::None);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(serve(listener, Way::Smtp, config, WHOLE_SESSION));
    let ca = Some(ca.path().to_owned());
    let transport = smtp("localhost", port, TlsMode::StartTls, ca);
    let sent = transport
        .send(&from, &letter(), Timestamp::UNIX_EPOCH, WITHIN)
        .await;
    let error = sent.expect_err("no server has the letter").to_string();
    assert!(error.contains("found more words in plaintext"), "{error}");
    let heard = server.await.unwrap();
    assert_eq!(heard, "EHLO example.com\r\nSTARTTLS\r\n");
}

/// What a server answers that knows no TLS above 1.1: a ServerHello (RFC 4346 §7.4.1.3) that
/// chooses it, with TLS_RSA_WITH_AES_128_CBC_SHA.
fn old_hello() -> Vec<u8> {
    let mut hello = vec![2, 0, 0, 38, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0, 0x2f, 0]);
    let mut record = vec![22, 3, 2, 0, u8::try_from(hello.len()).unwrap()];
    record.extend(hello);
    record
}

#[tokio::test]
async fn nothing_below_tls_1_2_is_offered_or_accepted() {
    for is_imap in [true, false] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut head = [0; 5];
            socket.read_exact(&mut head).await.unwrap();
            let mut hello = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
            socket.read_exact(&mut hello).await.unwrap();
            socket.write_all(&old_hello()).await.unwrap();
            let mut rest = Vec::new();
            socket.read_to_end(&mut rest).await.ok();
            (hello, rest)
        });
        let found = if is_imap {
            let error = imap("localhost", port, TlsMode::Implicit, None);
            distrust(&error.open(&unwatched()).await.unwrap_err())
        } else {
            let from = "einvoice@example.com".parse().unwrap();
            let transport = smtp("localhost", port, TlsMode::Implicit, None);
            match transport.probe(&from, WITHIN).await.unwrap_err().kind {
                ObstacleKind::Tls(distrust) => Some(distrust),
                _ => None,
            }
        };
        assert_eq!(found, Some(Distrust::NoAgreement));
        let (hello, rest) = server.await.unwrap();
        // RFC 8446 §4.2.1: extension 43 lists the versions, and no other is on offer.
        let offered = hello
            .windows(4)
            .any(|window| window[..2] == [0, 43] && window[2] == 0);
        assert!(offered, "{hello:x?}");
        let at = hello.windows(4).position(|w| w[..3] == [0, 43, 0]).unwrap();
        let length = usize::from(hello[at + 4]);
        let versions: Vec<&[u8]> = hello[at + 5..at + 5 + length].chunks(2).collect();
        assert_eq!(versions, [[3, 4], [3, 3]], "{hello:x?}");
        // A fatal alert: protocol_version (RFC 8446 §6.2), and nothing else.
        assert_eq!(rest[0], 21, "{rest:x?}");
        assert_eq!(rest[5..], [2, 70], "{rest:x?}");
    }
}

#[tokio::test]
async fn without_tls_a_name_that_leads_elsewhere_hears_nothing() {
    // Linux connects it to itself, so that a client that tried would get through.
    const ELSEWHERE: &str = "0.0.0.0";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    TcpStream::connect((ELSEWHERE, port))
        .await
        .expect("a client would get through");
    drop(listener.accept().await.unwrap());
    let came = Arc::<Mutex<u32>>::default();
    let counted = Arc::clone(&came);
    let server = tokio::spawn(async move {
        while let Ok((_socket, _)) = listener.accept().await {
            *counted.lock().unwrap() += 1;
        }
    });
    let expected = "expected 0.0.0.0 to be this machine, for nothing else is spoken to without \
                    TLS, found 0.0.0.0";
    let error = imap(ELSEWHERE, port, TlsMode::None, None)
        .open(&unwatched())
        .await
        .unwrap_err();
    assert!(matches!(error, MailboxError::Io { .. }), "{error:?}");
    assert!(error.to_string().ends_with(expected), "{error}");
    let from = "einvoice@example.com".parse().unwrap();
    let transport = smtp(ELSEWHERE, port, TlsMode::None, None);
    let error = transport
        .send(&from, &letter(), Timestamp::UNIX_EPOCH, WITHIN)
        .await;
    let error = error.unwrap_err().to_string();
    assert!(error.ends_with(expected), "{error}");
    server.abort();
    assert_eq!(*came.lock().unwrap(), 0);
}

#[test]
fn no_name_that_only_looks_like_this_machine_may_go_without_tls() {
    let parse = |host: &str| {
        let text = format!(
            "[mail]\nfrom = \"a@example.com\"\nalert_to = [\"b@example.com\"]\n\
             [mail.smtp]\nhost = \"{host}\"\ntls = \"none\"\n"
        );
        Config::parse(&text, std::path::Path::new("/c.toml"))
    };
    for host in ["localhost", "LOCALHOST", "127.0.0.1", "127.1.2.3", "::1"] {
        parse(host).unwrap_or_else(|error| panic!("{host}: {error}"));
    }
    for host in [
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "::ffff:127.0.0.1",
        "0.0.0.0",
        "::",
        "127.1",
        "2130706433",
        "0x7f000001",
        "mail.example.com",
    ] {
        assert!(parse(host).is_err(), "{host}");
    }
}

#[test]
fn no_setting_turns_verification_off() {
    let reference = invoice_trackd::config::reference();
    for word in ["insecure", "verify", "accept_invalid", "skip", "danger"] {
        for line in reference.lines().filter(|line| line.starts_with("| `")) {
            let key = line.split('`').nth(1).unwrap();
            assert!(!key.contains(word), "{line}");
        }
    }
    // No code could, either.
    for source in [
        "src/tls.rs",
        "src/delivery/smtp/wire.rs",
        "src/mailbox/session/wire.rs",
    ] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
        assert!(!std::fs::read_to_string(path).unwrap().contains("dangerous"));
    }
}
