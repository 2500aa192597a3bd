//! The configuration file: what a good one means, and what is shipped.

mod companies;
mod mistakes;

use std::{path::Path, time::Duration};

use invoice_trackd::{
    authenticity::Require,
    config::{
        Config, ConfigError, CredentialSource, HandoffWay, MailboxKind, OAuth, Outgoing, Provider,
        SecretSource,
    },
    delivery::{
        Confirm, Language, Patience,
        handoff::{Format, Way},
    },
    http,
    mailbox::{self, AfterImport},
    notice::{Assignment, Label, Rules},
    schedule,
    tls::TlsMode,
};

/// As small as a file can be in this version.
const SMALLEST: &str = "";

/// Every setting, none at its default.
const FULL: &str = r#"language = "en"

[ledger]
url = "sqlite:///srv/ledger.db"

[notice]
senders = ["Numbers@nat.gov.tw"]
recipient_headers = ["To", "Delivered-To"]
max_message_bytes = 65536
accept_unlisted_companies = true

[notice.labels]
invoice_track = ["字軌", "軌"]
invoice_end_no = "訖號碼"

[authenticity]
require = "either"
domains = ["EInvoice.nat.gov.tw"]
trusted_authserv_ids = ["MX.example.com"]
dns_servers = ["127.0.0.1:5300", "2001:db8::53"]

[[company]]
ban = "53567686"
name = "雲端行動科技股份有限公司"
assignment = "year"
recipients = ["einvoice@example.com"]

[[company]]
ban = "24634102"
name = "第二公司"
due_day = 21
reminder_day = 9
confirm_to = ["accounts@example.com"]
alert_to = ["shop@example.com"]

[[mailbox]]
name = "einvoice"
kind = "imap"
host = "imap.example.com"
port = 1993
tls = "starttls"
ca_file = "/etc/ca.pem"
username = "einvoice@example.com"
password = { file = "/nowhere/imap" }
folder = "配號"
company = "53567686"
since = "2026-01-01"

[[mailbox]]
name = "drop"
kind = "maildir"
path = "/var/mail/drop"
since = 2025-12-31

[mail]
from = "invoice-trackd <einvoice@example.com>"
confirm_to = ["ops@example.com"]
alert_to = ["oncall@example.com"]
transport = "smtp"
directory = "/var/tmp/mail"
give_up_after = "12h"
alert_window = "90s"

[mail.smtp]
host = "localhost"
port = 2525
tls = "none"
username = "einvoice"
password = { credential = "smtp" }

[[handoff]]
name = "erp"
kind = "webhook"
url = "https://erp.example.com/hooks"
secret = { credential = "erp-webhook" }
ca_file = "/etc/erp.pem"

[[handoff]]
name = "pos"
kind = "directory"
path = "/srv/pos/inbox"
formats = ["e0501", "csv"]
past = true

[schedule]
due_day = 28
reminder_day = 1

[http]
listen = "[::1]:9000"
"#;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("config.toml"))
}

fn complaint(text: &str) -> String {
    match parse(text) {
        Ok(_) => "(nothing)".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn every_setting_arrives_where_it_belongs() {
    let config = parse(FULL).unwrap();
    assert_eq!(config.ledger, Path::new("/srv/ledger.db"));
    let authenticity = &config.authenticity;
    assert_eq!(authenticity.require, Require::Either);
    assert_eq!(authenticity.domains, ["einvoice.nat.gov.tw"]);
    assert_eq!(authenticity.trusted_authserv_ids, ["mx.example.com"]);
    let servers: Vec<String> = authenticity
        .dns_servers
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(servers, ["127.0.0.1:5300", "[2001:db8::53]:53"]);
    let rules = &config.rules;
    assert_eq!(rules.senders[0].as_str(), "numbers@nat.gov.tw");
    assert_eq!(rules.recipient_headers, ["To", "Delivered-To"]);
    assert_eq!(rules.max_message_bytes, 65536);
    assert!(rules.accept_unlisted_companies);
    let labels = [
        (Label::Track, "字軌".to_owned()),
        (Label::Track, "軌".to_owned()),
        (Label::End, "訖號碼".to_owned()),
    ];
    assert_eq!(rules.labels, labels);
    assert_eq!(
        rules.own_address.as_ref().unwrap().as_str(),
        "einvoice@example.com"
    );
    let companies: Vec<_> = rules.companies.iter().collect();
    assert_eq!(companies.len(), 2);
    assert_eq!(companies[0].ban.as_str(), "53567686");
    assert_eq!(companies[0].name, "雲端行動科技股份有限公司");
    assert_eq!(companies[0].assignment, Assignment::Year);
    assert_eq!(companies[0].recipients[0].as_str(), "einvoice@example.com");
    assert_eq!(companies[1].assignment, Assignment::Period);
    assert_eq!(companies[1].recipients, []);
    assert_eq!(
        (companies[0].due_day, companies[0].reminder_day),
        (None, None)
    );
    assert_eq!(
        (companies[1].due_day, companies[1].reminder_day),
        (Some(21), Some(9))
    );
    assert_eq!(companies[0].confirm_to, []);
    assert_eq!(companies[1].confirm_to[0].as_str(), "accounts@example.com");
    assert_eq!(companies[1].alert_to[0].as_str(), "shop@example.com");
    assert_eq!(config.companies_file, None);

    let [first, second] = &config.mailboxes[..] else {
        panic!("two mailboxes")
    };
    assert_eq!(first.name, "einvoice");
    assert_eq!(first.company, Some(companies[0].ban));
    assert_eq!(first.since.unwrap().to_string(), "2026-01-01");
    let MailboxKind::Imap { server, folder, .. } = &first.kind else {
        panic!("an IMAP folder")
    };
    assert_eq!(
        (server.host.as_str(), server.port, server.tls),
        ("imap.example.com", 1993, TlsMode::StartTls)
    );
    assert_eq!(server.ca_file.as_deref(), Some(Path::new("/etc/ca.pem")));
    assert_eq!(
        server.login,
        Some((
            "einvoice@example.com".to_owned(),
            CredentialSource::Password(SecretSource::File("/nowhere/imap".into()))
        ))
    );
    assert_eq!(folder, "配號");
    let path = Path::new("/var/mail/drop").to_owned();
    assert_eq!(second.kind, MailboxKind::Maildir { path });
    assert_eq!(second.since.unwrap().to_string(), "2025-12-31");

    assert_eq!(config.style.language, Language::En);
    assert_eq!(
        config.style.from.to_string(),
        "invoice-trackd <einvoice@example.com>"
    );
    assert_eq!(config.style.confirm_to[0].as_str(), "ops@example.com");
    assert_eq!(config.style.alert_to[0].as_str(), "oncall@example.com");
    assert_eq!(
        config.patience.give_up_after,
        Duration::from_secs(12 * 3600)
    );
    assert_eq!(config.patience.alert_window, Duration::from_secs(90));
    let Outgoing::Smtp(smtp) = &config.outgoing else {
        panic!("SMTP")
    };
    assert_eq!(
        (smtp.host.as_str(), smtp.port, smtp.tls),
        ("localhost", 2525, TlsMode::None)
    );
    let schedule = schedule::Settings {
        due_day: 28,
        reminder_day: 1,
    };
    assert_eq!(config.schedule, schedule);
    let listen = "[::1]:9000".parse().unwrap();
    assert_eq!(config.http, Some(http::Settings { listen }));
}

#[test]
fn the_systems_that_numbers_are_handed_to_arrive_with_or_without_mail() {
    let (before, rest) = FULL.split_once("[mail]").unwrap();
    let (_, after) = rest.split_once("[[handoff]]").unwrap();
    let without_mail = format!("{before}[[handoff]]{after}");
    let without_mail = without_mail.replace("confirm_to = [\"accounts@example.com\"]\n", "");
    let without_mail = without_mail.replace("alert_to = [\"shop@example.com\"]\n", "");
    for text in [FULL, &without_mail] {
        let config = parse(text).unwrap();
        let [erp, pos] = &config.handoffs[..] else {
            panic!("two systems")
        };
        let HandoffWay::Webhook {
            url,
            secret,
            ca_file,
        } = &erp.way
        else {
            panic!("a webhook")
        };
        assert_eq!(url.as_str(), "https://erp.example.com/hooks");
        assert_eq!(*secret, SecretSource::Credential("erp-webhook".to_owned()));
        assert_eq!(ca_file.as_deref(), Some(Path::new("/etc/erp.pem")));
        let (path, formats) = ("/srv/pos/inbox".into(), vec![Format::E0501, Format::Csv]);
        assert_eq!(pos.way, HandoffWay::Directory { path, formats });
        let told = config.style.handoffs.iter();
        let told: Vec<(&str, bool)> = told.map(|one| (&*one.name, one.past)).collect();
        assert_eq!(told, [("erp", false), ("pos", true)]);
    }
    let all = FULL.replace("formats = [\"e0501\", \"csv\"]\n", "");
    let HandoffWay::Directory { formats, .. } = &parse(&all).unwrap().handoffs[1].way else {
        panic!("a directory")
    };
    assert_eq!(formats[..], Format::ALL);
}

#[test]
fn a_digest_a_pace_and_what_is_done_after_an_import_arrive_too() {
    let text = FULL
        .replace(
            "alert_window = \"90s\"",
            "alert_window = \"90s\"\nconfirm = \"digest\"\nconfirm_window = \"20m\"",
        )
        .replace("port = 2525", "port = 2525\nmax_per_minute = 25");
    let archive = "since = \"2026-01-01\"\nafter_import = { move_to = \"配號已匯入\" }";
    let config = parse(&text.replace("since = \"2026-01-01\"", archive)).unwrap();
    assert_eq!(config.style.confirm, Confirm::Digest);
    assert_eq!(config.patience.confirm_window, Duration::from_secs(1200));
    assert_eq!(config.patience.max_per_minute, 25);
    let MailboxKind::Imap { after_import, .. } = &config.mailboxes[0].kind else {
        panic!("IMAP")
    };
    let folder = "配號已匯入".to_owned();
    assert_eq!(*after_import, Some(AfterImport::MoveTo(folder)));

    let local = "path = \"/var/mail/drop\"\nafter_import = \"mark_seen\"";
    let words = complaint(&text.replace("path = \"/var/mail/drop\"", local));
    let expected = "kind \"maildir\" has no such setting";
    assert!(words.contains(expected), "{words}");
}

/// [`FULL`] with these in place of the mailbox's password.
fn with_oauth(oauth: &str) -> String {
    let password = "password = { file = \"/nowhere/imap\" }";
    assert!(FULL.contains(password));
    FULL.replace(password, oauth)
}

/// The mailbox's `oauth`.
fn oauth(text: &str) -> OAuth {
    let config = parse(text).unwrap();
    let MailboxKind::Imap { server, .. } = &config.mailboxes[0].kind else {
        panic!("IMAP")
    };
    match &server.login {
        Some((_, CredentialSource::OAuth(oauth))) => *oauth.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_provider_has_its_presets() {
    let google = oauth(&with_oauth(
        "oauth = { provider = \"google\", client_id = \"c\", refresh_token = { env = \"R\" } }",
    ));
    assert_eq!(google.provider, Some(Provider::Google));
    assert_eq!(
        google.token_endpoint.to_string(),
        "https://oauth2.googleapis.com/token"
    );
    assert_eq!(google.scope, "https://mail.google.com/");
    assert_eq!(google.client_secret, None);
    assert_eq!(google.beside_the_ledger, Path::new("/srv"));

    let app = "provider = \"microsoft\", tenant = \"contoso.com\", client_id = \"c\", \
               client_secret = { credential = \"s\" }";
    let app = oauth(&with_oauth(&format!("oauth = {{ {app} }}")));
    assert_eq!(
        app.token_endpoint.to_string(),
        "https://login.microsoftonline.com/contoso.com/oauth2/v2.0/token"
    );
    assert_eq!(app.scope, "https://outlook.office365.com/.default");
    assert_eq!(app.refresh_token, None);

    // As a table of its own, for a person who has signed in, and for the other protocol.
    let person = "provider = \"microsoft\"\nclient_id = \"c\"\nrefresh_token = { env = \"R\" }\n";
    let text = with_oauth("")
        .replace(
            "[[mailbox]]\nname = \"drop\"",
            &format!("[mailbox.oauth]\n{person}\n[[mailbox]]\nname = \"drop\""),
        )
        .replace(
            "password = { credential = \"smtp\" }\n",
            &format!("[mail.smtp.oauth]\n{person}"),
        );
    let imap = oauth(&text);
    assert_eq!(
        imap.token_endpoint.to_string(),
        "https://login.microsoftonline.com/common/oauth2/v2.0/token"
    );
    assert_eq!(
        imap.scope,
        "https://outlook.office.com/IMAP.AccessAsUser.All offline_access"
    );
    let Outgoing::Smtp(smtp) = parse(&text).unwrap().outgoing else {
        panic!("SMTP")
    };
    let Some((_, CredentialSource::OAuth(smtp))) = smtp.login else {
        panic!("oauth")
    };
    assert_eq!(
        smtp.scope,
        "https://outlook.office.com/SMTP.Send offline_access"
    );

    let own = oauth(&with_oauth(
        "oauth = { token_endpoint = \"http://[::1]:8080/token\", scope = \"mail\", client_id = \"c\", \
         client_secret = { env = \"S\" }, ca_file = \"/etc/ca.pem\" }",
    ));
    assert_eq!(own.provider, None);
    assert_eq!(own.scope, "mail");
    assert_eq!(own.ca_file.as_deref(), Some(Path::new("/etc/ca.pem")));
}

#[test]
fn what_is_left_out_means_its_default() {
    let config = parse(SMALLEST).unwrap();
    assert_eq!(
        config.ledger,
        Path::new("/var/lib/invoice-trackd/ledger.db")
    );
    assert_eq!(config.rules, Rules::default());
    assert_eq!(config.mailboxes, []);
    assert_eq!(config.style.language, Language::ZhTw);
    assert_eq!(config.style.alert_to, []);
    assert_eq!(config.patience, Patience::default());
    assert_eq!(config.outgoing, Outgoing::Nowhere);
    assert_eq!(config.schedule, schedule::Settings::default());
    assert_eq!(config.http, None);
}

#[test]
fn what_editors_on_windows_leave_behind_does_no_harm() {
    let windows = format!("\u{feff}{}", FULL.replace('\n', "\r\n"));
    assert_eq!(parse(&windows).unwrap(), parse(FULL).unwrap());
    let wrong = windows.replace("due_day = 28", "due_day = 29");
    assert!(complaint(&wrong).starts_with("config.toml:86:11: "));
}

#[test]
fn a_label_is_compared_as_a_notice_is() {
    let full_width = FULL.replace("\"軌\"", "\"字軌（Ａ）\"");
    let labels = parse(&full_width).unwrap().rules.labels;
    assert_eq!(labels[1], (Label::Track, "字軌(A)".to_owned()));
}

#[test]
fn a_port_follows_from_the_protection() {
    for (tls, imap, smtp) in [
        ("implicit", 993, 465),
        ("starttls", 143, 587),
        ("none", 143, 25),
    ] {
        let config = parse(&format!(
            r#"{SMALLEST}
            [[mailbox]]
            name = "a"
            kind = "imap"
            host = "127.0.0.1"
            tls = "{tls}"
            username = "a"
            password = {{ env = "A" }}
            [mail]
            from = "a@example.com"
            alert_to = ["b@example.com"]
            smtp = {{ host = "::1", tls = "{tls}" }}
            "#
        ))
        .unwrap();
        let MailboxKind::Imap { server, folder, .. } = &config.mailboxes[0].kind else {
            panic!("an IMAP folder")
        };
        assert_eq!((server.port, folder.as_str()), (imap, "INBOX"));
        let Outgoing::Smtp(server) = &config.outgoing else {
            panic!("SMTP")
        };
        assert_eq!((server.port, &server.login), (smtp, &None));
    }
}

#[test]
fn the_directory_is_the_way_out_for_trials_and_needs_no_server() {
    let config = parse(
        r#"
        authenticity.require = "none"
        [mail]
        from = "a@example.com"
        alert_to = ["b@example.com"]
        transport = "directory"
        directory = "/tmp/mail"
        "#,
    )
    .unwrap();
    assert_eq!(config.outgoing, Outgoing::Directory("/tmp/mail".into()));
    assert!(config.transport().unwrap().is_some());
}

#[test]
fn the_shipped_file_shows_the_defaults() {
    let shipped = include_str!("../../config/invoice-trackd.toml");
    let uncommented: String = shipped
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(default) if default.starts_with(|c: char| c.is_ascii_lowercase()) => default,
            _ => line,
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    let changed = shipped
        .lines()
        .zip(uncommented.lines())
        .filter(|(a, b)| a != b)
        .count();
    assert!(changed >= 20, "only {changed} defaults were found");
    let as_shipped = parse(shipped).unwrap();
    assert_eq!(parse(&uncommented).unwrap(), as_shipped);

    // Its examples are the only things that differ from the smallest file.
    let smallest = parse(SMALLEST).unwrap();
    assert_eq!(as_shipped.ledger, smallest.ledger);
    assert_eq!(as_shipped.rules.senders, smallest.rules.senders);
    assert_eq!(as_shipped.patience, smallest.patience);
    assert_eq!(as_shipped.schedule, smallest.schedule);
}

#[test]
fn what_is_off_in_the_shipped_file_can_be_switched_on() {
    let shipped = include_str!("../../config/invoice-trackd.toml");
    let optional = shipped.matches("\n#: ").count();
    assert!(optional >= 10, "only {optional} optional settings");
    // A login has a password or access tokens.
    let on = shipped.replace("\n#: ", "\n");
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("companies.csv"), "ban,name\n24634102,a\n").unwrap();
    let with_tokens = on.replace("\npassword = ", "\n#password = ");
    Config::parse(&with_tokens, &home.path().join("config.toml")).unwrap();
    assert!(complaint(&on).contains("stands beside `oauth`"));
}

#[test]
fn checking_reads_no_secret_and_using_does() {
    // /nowhere/imap is not there, and there is no $CREDENTIALS_DIRECTORY.
    let config = parse(FULL).unwrap();
    let error = config.mailboxes[0].source().unwrap_err();
    assert!(
        format!("{error:#}").starts_with("mailbox einvoice: read the secret file /nowhere/imap: "),
        "{error:#}"
    );
    let error = config.transport().unwrap_err();
    assert!(
        format!("{error:#}").starts_with("[mail.smtp]: read the credential `smtp`: "),
        "{error:#}"
    );
    let complaint = |text: &str| format!("{:#}", parse(text).unwrap().systems().unwrap_err());
    assert!(
        complaint(FULL).starts_with("handoff erp: read the CA file /etc/erp.pem: "),
        "{}",
        complaint(FULL)
    );
    let public = FULL.replace("ca_file = \"/etc/erp.pem\"\n", "");
    assert!(
        complaint(&public).starts_with("handoff erp: secret: read the credential `erp-webhook`: "),
        "{}",
        complaint(&public)
    );
    let source = config.mailboxes[1].source().unwrap();
    assert!(matches!(source, mailbox::Source::Maildir(_)));
    assert_eq!(source.name(), "drop");
}

#[test]
fn secrets_that_are_there_reach_their_rooms() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("secret");
    std::fs::write(&file, "hunter2\n").unwrap();
    let owner_only = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&file, owner_only).unwrap();
    let here = format!("{{ file = \"{}\" }}", file.display());
    let ca = directory.path().join("ca.pem");
    let certificate = rcgen::generate_simple_self_signed(["ca.example".to_owned()]).unwrap();
    std::fs::write(&ca, certificate.cert.pem()).unwrap();
    let text = FULL
        .replace("/etc/ca.pem", ca.to_str().unwrap())
        .replace("{ file = \"/nowhere/imap\" }", &here)
        .replace("{ credential = \"smtp\" }", &here)
        .replace("/etc/erp.pem", ca.to_str().unwrap())
        .replace("{ credential = \"erp-webhook\" }", &here);
    let config = parse(&text).unwrap();
    let error = format!("{:#}", config.systems().unwrap_err());
    assert!(error.ends_with("found no `whsec_` in front"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
    std::fs::write(&file, "whsec_aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMg==\n").unwrap();
    let systems = config.systems().unwrap();
    let [erp, pos] = &systems[..] else {
        panic!("two systems")
    };
    assert!(matches!(erp.way, Way::Webhook(_)) && matches!(pos.way, Way::Directory(_)));
    assert!(!format!("{config:?} {systems:?}").contains("unter2"));
    std::fs::write(&file, "hunter2\n").unwrap();
    let source = config.mailboxes[0].source().unwrap();
    let transport = config.transport().unwrap().unwrap();
    assert!(matches!(source, mailbox::Source::Imap(_)));
    assert!(!format!("{config:?} {source:?} {transport:?}").contains("hunter2"));
}

#[test]
fn a_file_that_cannot_be_read_says_why() {
    let error = Config::load(Path::new("/nowhere/config.toml")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "read the configuration /nowhere/config.toml: No such file or directory (os error 2)"
    );
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.toml");
    let mut big5 = b"language = \"en\"\n# ".to_vec();
    big5.extend(b"\xb0\x74\xb8\xb9\n");
    std::fs::write(&file, big5).unwrap();
    assert_eq!(
        Config::load(&file).unwrap_err().to_string(),
        format!(
            "{}:2:3: expected text in UTF-8, found other bytes; save the file as UTF-8",
            file.display()
        )
    );
}
