//! `check --online`: what works on real servers, and what each failure tells the operator.

use std::{fmt::Write as _, fs, net::TcpListener, process::Output};

use tokio_rustls::rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use unicode_width::UnicodeWidthStr as _;

use crate::support::{
    daemon::{COMPANY, House, Notice, maildir},
    dovecot::{self, Dovecot},
    exim::{self, Exim},
    scripted_imap::{Peer, ScriptedImap},
    scripted_smtp::{Does, Script, ScriptedSmtp},
};

mod carried;
mod latest;

/// A mailbox; `more` are further lines, which may stand for those that are left out.
fn mailbox(name: &str, host: &str, port: u16, more: &str) -> String {
    let password = match more.contains("password") {
        true => "",
        false => "password = { file = \"@ROOT@/secret\" }",
    };
    format!(
        "[[mailbox]]\nname = \"{name}\"\nkind = \"imap\"\nhost = \"{host}\"\nport = {port}\n\
         username = \"ann\"\n{password}\n{more}\n"
    )
}

fn mail(port: u16, more: &str) -> String {
    format!(
        "[mail]\nfrom = \"invoice-trackd <einvoice@example.com>\"\n\
         alert_to = [\"oncall@example.com\"]\n[mail.smtp]\nhost = \"localhost\"\nport = {port}\n\
         {more}\n"
    )
}

/// A house whose secrets stand in files.
fn house(configuration: &str) -> House {
    let house = House::new(&format!("{COMPANY}\n{configuration}"));
    for (name, secret, mode) in [
        ("secret", dovecot::PASSWORD, 0o600),
        ("wrong", "wrong", 0o600),
        ("smtp", exim::PASSWORD, 0o600),
        ("empty", "\n", 0o600),
        ("open", "secret", 0o644),
    ] {
        use std::os::unix::fs::PermissionsExt as _;
        let path = house.write(name, secret);
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    house
}

/// Runs the check; exit status and report.
fn check(house: &House) -> (i32, String) {
    let Output { status, stdout, .. } = house.command(&["check", "--online"]);
    let report = String::from_utf8(stdout).unwrap();
    for line in report.lines() {
        assert!(line.width() <= 80, "too wide: {line}");
    }
    (status.code().unwrap(), report)
}

/// A report with each statement on one line, and without what differs from run to run.
fn settled(report: &str, house: &House, differing: &[(String, &str)]) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in report.lines() {
        match lines.last_mut() {
            Some(last) if line.starts_with("            ") => {
                write!(last, " {}", line.trim_start()).unwrap();
            }
            _ => lines.push(line.to_owned()),
        }
    }
    let mut text = lines.join("\n");
    for (found, shown) in differing {
        text = text.replace(found, shown);
    }
    text.replace(house.root.path().to_str().unwrap(), "ROOT")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_works_is_said_and_nothing_is_changed_by_looking() {
    let (dovecot, exim) = (Dovecot::start(), Exim::start());
    dovecot.create("ann", "Archive");
    let date = "20-Oct-2026 09:00:00 +0800";
    dovecot.deliver_dated("ann", date, &Notice::default().eml());
    let ca = format!("ca_file = \"{}\"", dovecot.ca_file().display());
    let house = house(&format!(
        "{}{}{}{}",
        mailbox("tls", "localhost", dovecot.imaps_port, &ca),
        mailbox(
            "moving",
            "localhost",
            dovecot.imap_port,
            &format!("tls = \"starttls\"\n{ca}\nafter_import = {{ move_to = \"Archive\" }}")
        ),
        "[[mailbox]]\nname = \"local\"\nkind = \"maildir\"\npath = \"@ROOT@/maildir\"\n",
        mail(
            exim.port(),
            &format!(
                "tls = \"starttls\"\nca_file = \"{}\"\nusername = \"{}\"\n\
                 password = {{ file = \"@ROOT@/smtp\" }}",
                exim.ca_file().display(),
                exim::USERNAME
            )
        )
    ));
    maildir(&house.path("maildir"));
    let before = fs::read_dir(house.root.path()).unwrap().count();
    let (status, report) = check(&house);
    let differing = [
        (dovecot.imap_port.to_string(), "IMAP"),
        (dovecot.imaps_port.to_string(), "IMAPS"),
        (exim.port().to_string(), "SMTP"),
    ];
    insta::assert_snapshot!(settled(&report, &house, &differing));
    assert_eq!(status, 0);
    assert_eq!(fs::read_dir(house.root.path()).unwrap().count(), before);
    assert_eq!(dovecot.flags("ann", "INBOX").len(), 1);
    assert!(exim.delivered().is_empty());

    // Beside a daemon.
    let _daemon = house.run(&[]);
    house
        .until("the daemon says that it runs", || async {
            let (_, report) = check(&house);
            settled(&report, &house, &[]).contains("a daemon runs on it (process ")
        })
        .await;
}

/// A server for implicit TLS under a certificate that was good until 2001, and its CA.
async fn expired() -> (u16, tempfile::NamedTempFile) {
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::default();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority =
        rcgen::CertifiedIssuer::self_signed(authority, rcgen::KeyPair::generate().unwrap())
            .unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let ca = tempfile::NamedTempFile::new().unwrap();
    fs::write(ca.path(), authority.pem()).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
        while let Ok((socket, _)) = listener.accept().await {
            // The client leaves, and should.
            acceptor.accept(socket).await.ok();
        }
    });
    (port, ca)
}

/// A server that answers from this table; the first entry whose words begin the command decides.
async fn scripted(
    greeting: &'static str,
    answers: &'static [(&'static str, &'static str)],
) -> ScriptedImap {
    ScriptedImap::start_for_all(move |mut peer: Peer| async move {
        peer.say(greeting).await;
        while let Some(line) = peer.line().await {
            let (tag, command) = line.split_once(' ').unwrap_or((&*line, ""));
            let usual = match command.split(' ').next().unwrap() {
                "CAPABILITY" => "* CAPABILITY IMAP4rev1\r\nTAG OK done\r\n",
                "EXAMINE" | "SELECT" => "* 0 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\nTAG OK done\r\n",
                _ => "TAG OK done\r\n",
            };
            let answer = answers
                .iter()
                .find(|(begins, _)| command.starts_with(begins));
            let answer = answer.map_or(usual, |(_, answer)| answer);
            peer.say(&answer.replace("TAG", tag)).await;
        }
    })
    .await
}

const READY: &str = "* OK ready\r\n";

fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_failure_of_a_mailbox_says_what_to_do() {
    let dovecot = Dovecot::start();
    dovecot.create("ann", "電子發票");
    let ca = format!("ca_file = \"{}\"", dovecot.ca_file().display());
    let other = format!("ca_file = \"{}\"", dovecot.other_ca_file().display());
    let (imap, imaps) = (dovecot.imap_port, dovecot.imaps_port);
    let (expired, its_ca) = expired().await;
    let its_ca = format!("ca_file = \"{}\"", its_ca.path().display());
    let disabled: &[_] = &[(
        "CAPABILITY",
        "* CAPABILITY IMAP4rev1 LOGINDISABLED\r\nTAG OK done\r\n",
    )];
    let busy: &[_] = &[("LOGIN", "TAG NO [UNAVAILABLE] backend down\r\n")];
    let refusing: &[_] = &[("STARTTLS", "TAG BAD unknown command\r\n")];
    let read_only: &[_] = &[(
        "SELECT",
        "* 0 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n* OK [PERMANENTFLAGS ()] no\r\n\
         TAG OK [READ-ONLY] done\r\n",
    )];
    let servers = [
        scripted(READY, disabled).await,
        scripted(READY, busy).await,
        scripted(READY, refusing).await,
        scripted(READY, read_only).await,
        scripted(READY, &[]).await,
        scripted("* BYE too many connections\r\n", &[]).await,
        scripted("220 mail.example.com ESMTP\r\n", &[]).await,
    ];
    let ports = servers.each_ref().map(|server| server.address.port());
    let [disabled, busy, refusing, read_only, plain, bye, smtp] = ports;
    let nobody = closed_port();
    let local = "127.0.0.1";
    let wrong = format!("{ca}\npassword = {{ file = \"@ROOT@/wrong\" }}");
    let secret = |name: &str| format!("{ca}\npassword = {{ file = \"@ROOT@/{name}\" }}");
    let none = "tls = \"none\"";
    let house = house(
        &[
            mailbox("wrong password", "localhost", imaps, &wrong),
            mailbox(
                "no folder",
                "localhost",
                imaps,
                &format!("{ca}\nfolder = \"Inbx\""),
            ),
            mailbox(
                "no target",
                "localhost",
                imaps,
                &format!("{ca}\nafter_import = {{ move_to = \"已配號\" }}"),
            ),
            mailbox("public CA", "localhost", imaps, ""),
            mailbox("other CA", "localhost", imaps, &other),
            mailbox("other name", "127.0.0.2", imaps, &ca),
            mailbox("expired", "localhost", expired, &its_ca),
            mailbox("TLS too early", "localhost", imap, &ca),
            mailbox(
                "TLS too late",
                "localhost",
                imaps,
                &format!("{ca}\ntls = \"starttls\""),
            ),
            mailbox("no STARTTLS", local, refusing, "tls = \"starttls\""),
            mailbox("no LOGIN", local, disabled, none),
            mailbox("not now", local, busy, none),
            mailbox("bye", local, bye, none),
            mailbox("not IMAP", local, smtp, none),
            mailbox("nobody", local, nobody, none),
            mailbox(
                "read-only",
                local,
                read_only,
                "tls = \"none\"\nafter_import = \"mark_seen\"",
            ),
            mailbox(
                "no MOVE",
                local,
                plain,
                "tls = \"none\"\nafter_import = { move_to = \"A\" }",
            ),
            mailbox("no secret", "localhost", imaps, &secret("nosuch")),
            mailbox("empty secret", "localhost", imaps, &secret("empty")),
            mailbox("open secret", "localhost", imaps, &secret("open")),
            mailbox(
                "no CA file",
                "localhost",
                imaps,
                "ca_file = \"@ROOT@/ca.pem\"",
            ),
            mailbox("no CA", "localhost", imaps, "ca_file = \"@ROOT@/secret\""),
            "[[mailbox]]\nname = \"no Maildir\"\nkind = \"maildir\"\npath = \"@ROOT@/md\"\n"
                .to_owned(),
        ]
        .concat(),
    );
    let (status, report) = check(&house);
    assert_eq!(status, 78, "{report}");
    let mut differing = vec![
        (dovecot.ca_file().display().to_string(), "CA"),
        (dovecot.other_ca_file().display().to_string(), "OTHER-CA"),
        (imap.to_string(), "IMAP"),
        (imaps.to_string(), "IMAPS"),
        (expired.to_string(), "EXPIRED"),
        (nobody.to_string(), "NOBODY"),
    ];
    differing.extend(ports.map(|port| (port.to_string(), "SCRIPTED")));
    insta::assert_snapshot!(without_seconds(&settled(&report, &house, &differing)));
}

/// An expired certificate is so for more seconds every time, and Dovecot says how long it took.
fn without_seconds(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let ends = [": Inbx (", "certificate expired:"];
        let end = ends
            .iter()
            .find_map(|end| Some(line.find(end)? + end.len()));
        match end {
            Some(end) => writeln!(out, "{}…", &line[..end]).unwrap(),
            None => writeln!(out, "{line}").unwrap(),
        }
    }
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn every_failure_of_the_mail_server_says_what_to_do() {
    let exim = Exim::start();
    let ca = format!("ca_file = \"{}\"", exim.ca_file().display());
    let login = |secret: &str| {
        format!(
            "username = \"{}\"\npassword = {{ file = \"@ROOT@/{secret}\" }}",
            exim::USERNAME
        )
    };
    let wants_auth: Script = &[("MAIL FROM", Does::Says("530 5.7.0 Authentication required"))];
    let banned: Script = &[("CONNECT", Does::Says("554 5.7.1 not from here"))];
    let later: Script = &[("CONNECT", Does::Says("421 4.3.2 later"))];
    let imap: Script = &[("CONNECT", Does::Says("* OK IMAP4rev1 ready"))];
    let no_auth: Script = &[("EHLO", Does::Says("250 scripted"))];
    let servers = [
        ScriptedSmtp::start(wants_auth).await,
        ScriptedSmtp::start(banned).await,
        ScriptedSmtp::start(later).await,
        ScriptedSmtp::start(imap).await,
        ScriptedSmtp::start(no_auth).await,
    ];
    let ports = servers.each_ref().map(ScriptedSmtp::port);
    let [wants_auth, banned, later, imap, no_auth] = ports;
    let (starttls, implicit, nobody) = (exim.port(), exim.implicit_port(), closed_port());
    let none = "tls = \"none\"";
    let mut reports = String::new();
    for (port, more, expected) in [
        (
            starttls,
            format!("tls = \"starttls\"\n{ca}\n{}", login("wrong")),
            78,
        ),
        (starttls, "tls = \"starttls\"".to_owned(), 78),
        (starttls, ca.clone(), 78),
        (implicit, format!("tls = \"starttls\"\n{ca}"), 78),
        (banned, "tls = \"none\"".to_owned(), 78),
        (wants_auth, none.to_owned(), 78),
        (no_auth, format!("{none}\n{}", login("smtp")), 78),
        (no_auth, "tls = \"starttls\"".to_owned(), 78),
        (imap, none.to_owned(), 78),
        (later, none.to_owned(), 75),
        (nobody, none.to_owned(), 75),
    ] {
        let house = house(&mail(port, &more));
        let (status, report) = check(&house);
        assert_eq!(status, expected, "{report}");
        let mut differing = vec![
            (starttls.to_string(), "STARTTLS"),
            (implicit.to_string(), "IMPLICIT"),
            (nobody.to_string(), "NOBODY"),
        ];
        differing.extend(ports.map(|port| (port.to_string(), "SCRIPTED")));
        let report = settled(&report, &house, &differing);
        reports.push_str(report.split_once("FAILED").unwrap().1.trim_start());
        reports.push_str("\n\n");
    }
    insta::assert_snapshot!(reports);
    assert!(exim.delivered().is_empty());
    for server in &servers {
        assert!(!server.commands().iter().any(|command| command == "DATA"));
    }
}

#[test]
fn a_ledger_that_cannot_be_is_said_and_the_rest_is_checked_all_the_same() {
    let house = house(
        "[[mailbox]]\nname = \"m\"\nkind = \"maildir\"\npath = \"@ROOT@/md\"\n\
         [mail]\nfrom = \"a@example.com\"\nalert_to = [\"b@example.com\"]\n\
         transport = \"directory\"\ndirectory = \"@ROOT@/secret/mail\"\n",
    );
    maildir(&house.path("md"));
    let config = fs::read_to_string(house.path("config.toml")).unwrap();
    let mut reports = String::new();
    for ledger in ["nosuch/ledger.db", "secret"] {
        house.write("config.toml", config.replace("ledger.db", ledger));
        let (status, report) = check(&house);
        assert_eq!(status, 78, "{report}");
        assert!(report.contains("ok      mailbox m"), "{report}");
        reports.push_str(&settled(&report, &house, &[]));
        reports.push_str("\n\n");
    }
    insta::assert_snapshot!(reports);
}

#[test]
fn a_name_that_does_not_resolve_is_told_from_a_server_that_is_down() {
    let house = house(&mailbox("typo", "imap.nosuch.invalid", 993, ""));
    let (status, report) = check(&house);
    // 75 where the resolver itself is out of reach, as on a machine without a network.
    assert!(status == 78 || status == 75, "{report}");
    assert!(report.contains("a host name that resolves"), "{report}");
}

#[test]
fn trouble_that_may_pass_ends_with_75_and_goes_with_78_where_there_is_other() {
    let port = closed_port();
    let down = mailbox("down", "127.0.0.1", port, "tls = \"none\"");
    let output = house(&down).command(&["check", "--online"]);
    assert_eq!(output.status.code(), Some(75));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "invoice-trackd: 1 of 2 checks failed for now, see above; try again later\n"
    );
    let missing = "[[mailbox]]\nname = \"m\"\nkind = \"maildir\"\npath = \"@ROOT@/md\"\n";
    let (status, report) = check(&house(&format!("{down}{missing}")));
    assert_eq!(status, 78);
    assert_eq!(report.matches("FAILED").count(), 2, "{report}");
}

#[test]
fn without_online_no_secret_is_read_and_nothing_is_touched() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let nosuch = "tls = \"none\"\nusername = \"u\"\npassword = { file = \"/nonexistent\" }";
    let house = house(&format!(
        "{}{}",
        mailbox(
            "m",
            "localhost",
            port,
            &nosuch.replace("username = \"u\"\n", "")
        ),
        mail(port, nosuch)
    ));
    let output = house.command(&["check"]);
    assert_eq!(output.status.code(), Some(0));
    let touched = listener.accept().unwrap_err();
    assert_eq!(touched.kind(), std::io::ErrorKind::WouldBlock);
    assert!(!house.path("ledger.db").exists());
}
