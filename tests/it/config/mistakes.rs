//! Every mistake has its sentence, with the place it stands at.

use std::fmt::Write as _;

use super::{FULL, complaint};

/// What [`FULL`] yields when `old` is replaced by `new`.
fn mistake(old: &str, new: &str) -> String {
    assert_eq!(FULL.matches(old).count(), 1, "{old:?} stands once in FULL");
    complaint(&FULL.replace(old, new))
}

/// Each row: what stands in [`FULL`], what is written instead.
#[rustfmt::skip]
const MISTAKES: &[(&str, &str)] = &[
    // The form of the file.
    ("host = \"imap.example.com\"", "host = imap.example.com"),
    ("name = \"drop\"", "name = \"drop"),
    ("password = { credential = \"smtp\" }", "password = hunter2"),
    ("[\"ops@example.com\"]", "[ops@example.com]"),
    ("[notice]", "[notice"),
    ("due_day = 28", "due_day = 28\ndue_day = 27"),
    ("[schedule]", "[ledger]"),
    ("reminder_day = 1\n", "reminder_day =\n"),
    // Names.
    ("[ledger]", "colour = \"red\"\n[ledger]"),
    ("[schedule]", "[scheduel]"),
    ("[mail.smtp]", "[smtp]"),
    ("listen =", "lisen ="),
    ("alert_window = \"90s\"", "host = \"smtp.example.com\""),
    ("assignment = \"year\"", "notes = \"none\""),
    ("[[company]]\nban = \"53567686\"\nname = \"雲端行動科技股份有限公司\"\nassignment = \"year\"\nrecipients = [\"einvoice@example.com\"]\n\n[[company]]", "[company]"),
    ("[http]", "[[http]]"),
    ("[ledger]\nurl = \"sqlite:///srv/ledger.db\"", "ledger = \"/srv/ledger.db\""),
    // What a later version will do.
    ("[schedule]", "[heartbeat]\nurl = \"https://example.com\"\n[schedule]"),
    ("transport = \"smtp\"", "confirm = \"hourly\""),
    ("transport = \"smtp\"", "confirm_window = \"2d\""),
    ("transport = \"smtp\"", "max_per_minute = 10"),
    ("port = 2525", "max_per_minute = -1"),
    ("folder = \"配號\"", "after_import = \"seen\""),
    ("folder = \"配號\"", "after_import = true"),
    ("folder = \"配號\"", "after_import = { move_to = \"INBOX\" }"),
    ("folder = \"配號\"", "after_import = { move_to = 3 }"),
    ("folder = \"配號\"", "after_import = { moveto = \"x\" }"),
    ("folder = \"配號\"", "after_import = {}"),
    ("folder = \"配號\"", "results = \"gmail\""),
    ("folder = \"配號\"", "provider = \"google\""),
    ("max_message_bytes = 65536", "companies_file = \"/etc/companies.csv\""),
    ("listen = \"[::1]:9000\"", "token = { env = \"TOKEN\" }"),
    // The top, [ledger], [notice].
    ("language = \"en\"", "language = \"zh\""),
    ("sqlite:///srv/ledger.db", "sqlite://ledger.db"),
    ("sqlite:///srv/ledger.db", "postgres://localhost/ledger"),
    ("sqlite:///srv/ledger.db", "sqlite:///srv/ledger.db?mode=ro"),
    ("senders = [\"Numbers@nat.gov.tw\"]", "senders = []"),
    ("senders = [\"Numbers@nat.gov.tw\"]", "senders = \"numbers@nat.gov.tw\""),
    ("\"Numbers@nat.gov.tw\"", "\"nat.gov.tw\""),
    ("\"Delivered-To\"", "\"Delivered-To:\""),
    ("max_message_bytes = 65536", "max_message_bytes = 100"),
    ("max_message_bytes = 65536", "max_message_bytes = \"1M\""),
    ("accept_unlisted_companies = true", "accept_unlisted_companies = \"yes\""),
    ("\"軌\"", "\"字軌：\""),
    ("\"軌\"", "\"發票起號\""),
    ("\"訖號碼\"", "\"字軌\""),
    ("\"訖號碼\"", "\"  \""),
    ("invoice_end_no =", "invoice_end ="),
    // [authenticity]
    ("require = \"either\"", "require = \"spf\""),
    ("domains = [\"EInvoice.nat.gov.tw\"]", "domains = [\"*.nat.gov.tw\"]"),
    ("\"127.0.0.1:5300\"", "\"dns.example.com\""),
    ("\"127.0.0.1:5300\"", "\"127.0.0.1:0\""),
    ("\"MX.example.com\"", "\"mx.example.com;\""),
    ("\"2001:db8::53\"", "\"dns.example.com\""),
    // [[company]]
    ("ban = \"24634102\"", "ban = 24634102"),
    ("ban = \"24634102\"", "ban = \"24634103\""),
    ("ban = \"24634102\"", "ban = \"2463410\""),
    ("ban = \"24634102\"", "ban = \"53567686\""),
    ("ban = \"24634102\"\n", ""),
    ("name = \"第二公司\"\n", ""),
    ("assignment = \"year\"", "assignment = \"monthly\""),
    ("recipients = [\"einvoice@example.com\"]", "recipients = [\"einvoice\", 5]"),
    ("due_day = 21", "due_day = 29"),
    ("reminder_day = 9", "reminder_day = \"9\""),
    ("confirm_to = [\"accounts@example.com\"]", "confirm_to = []"),
    ("alert_to = [\"shop@example.com\"]", "alert_to = [\"shop\"]"),
    ("alert_to = [\"shop@example.com\"]", "alert_to = \"shop@example.com\""),
    // [[mailbox]]
    ("name = \"drop\"\n", ""),
    ("name = \"drop\"", "name = \"einvoice\""),
    ("name = \"drop\"", "name = \"two\\nlines\""),
    ("kind = \"imap\"\n", ""),
    ("kind = \"imap\"", "kind = \"pop3\""),
    ("kind = \"imap\"", "kind = \"maildir\""),
    ("path = \"/var/mail/drop\"", "path = \"mail/drop\""),
    ("path = \"/var/mail/drop\"", "path = \"/var/mail/drop\"\nfolder = \"INBOX\""),
    ("path = \"/var/mail/drop\"\n", ""),
    ("host = \"imap.example.com\"\n", ""),
    ("host = \"imap.example.com\"", "host = \"imap.example.com:993\""),
    ("port = 1993", "port = 0"),
    ("port = 1993", "port = 70000"),
    ("tls = \"starttls\"", "tls = \"ssl\""),
    ("tls = \"starttls\"", "tls = \"none\""),
    ("ca_file = \"/etc/ca.pem\"", "ca_file = \"ca.pem\""),
    ("username = \"einvoice@example.com\"\n", ""),
    ("password = { file = \"/nowhere/imap\" }\n", ""),
    ("password = { file = \"/nowhere/imap\" }", "password = \"hunter2\""),
    ("{ file = \"/nowhere/imap\" }", "{ file = \"hunter2\" }"),
    ("{ file = \"/nowhere/imap\" }", "{ credential = \"hunter/2\" }"),
    ("{ file = \"/nowhere/imap\" }", "{ env = 4711 }"),
    ("{ file = \"/nowhere/imap\" }", "[\"hunter2\"]"),
    ("{ file = \"/nowhere/imap\" }", "{ value = \"hunter2\" }"),
    ("{ file = \"/nowhere/imap\" }", "{ file = \"/a\", env = \"A\" }"),
    ("folder = \"配號\"", "folder = \"\""),
    ("since = \"2026-01-01\"", "since = \"2026-02-30\""),
    ("since = 2025-12-31", "since = 2025-12-31T00:00:00Z"),
    // oauth
    ("password = { file = \"/nowhere/imap\" }", "password = { file = \"/nowhere/imap\" }\noauth = { provider = \"google\", client_id = \"c\", refresh_token = { env = \"R\" } }"),
    ("password = { file = \"/nowhere/imap\" }", "oauth = true"),
    ("password = { file = \"/nowhere/imap\" }", "oauth = {}"),
    ("password = { file = \"/nowhere/imap\" }", "oauth = { provider = \"gogle\", client_id = \"c\", refresh_token = { env = \"R\" } }"),
    ("password = { file = \"/nowhere/imap\" }", "oauth = { provider = \"google\", client_id = \"c\", client_secret = { env = \"S\" } }"),
    ("password = { file = \"/nowhere/imap\" }", "oauth = { provider = \"google\", tenant = \"t\", client_id = \"c\", refresh_token = { env = \"R\" } }"),
    ("password = { file = \"/nowhere/imap\" }", "oauth = { provider = \"google\", refresh_token = { env = \"R\" } }"),
    ("password = { file = \"/nowhere/imap\" }", "oauth = { provider = \"google\", client_id = \"c\", refresh_token = \"hunter2\" }"),
    ("password = { file = \"/nowhere/imap\" }", "oauth = { provider = \"microsoft\", client_id = \"c\", client_secret = { env = \"S\" } }"),
    ("password = { file = \"/nowhere/imap\" }", "oauth = { provider = \"microsoft\", tenant = \"common\", client_id = \"c\", client_secret = { env = \"S\" } }"),
    ("password = { file = \"/nowhere/imap\" }", "oauth = { provider = \"microsoft\", tenant = \"a/b\", client_id = \"c\", refresh_token = { env = \"R\" } }"),
    ("password = { file = \"/nowhere/imap\" }", "oauth = { provider = \"microsoft\", tenant = \"t\", client_id = \"c\" }"),
    ("password = { file = \"/nowhere/imap\" }", "oauth = { provider = \"microsoft\", tenant = \"t\", token_endpoint = \"https://login.partner.microsoftonline.cn/t/oauth2/v2.0/token\", client_id = \"c\", client_secret = { env = \"S\" } }"),
    ("password = { file = \"/nowhere/imap\" }", "oauth = { client_id = \"c\", refresh_token = { env = \"R\" } }"),
    ("password = { file = \"/nowhere/imap\" }", "oauth = { token_endpoint = \"http://login.example.com/token\", scope = \"mail\", client_id = \"c\", refresh_token = { env = \"R\" } }"),
    ("password = { file = \"/nowhere/imap\" }", "oauth = { token_endpoint = \"https://a:hunter2@example.com/token\", scope = \"\", client_id = \"c\", refresh_token = { env = \"R\" } }"),
    ("password = { file = \"/nowhere/imap\" }", "oauth = { provider = \"google\", client_id = \"c\", refresh_token = { env = \"R\" }, ca_file = \"ca.pem\", user = \"x\" }"),
    ("path = \"/var/mail/drop\"", "oauth = { provider = \"google\", client_id = \"c\", refresh_token = { env = \"R\" } }"),
    ("username = \"einvoice\"\npassword = { credential = \"smtp\" }", "oauth = { provider = \"google\", client_id = \"c\" }"),
    // [mail]
    ("from = \"invoice-trackd <einvoice@example.com>\"\n", ""),
    ("<einvoice@example.com>", "<einvoice>"),
    ("alert_to = [\"oncall@example.com\"]\n", ""),
    ("alert_to = [\"oncall@example.com\"]", "alert_to = []"),
    ("confirm_to = [\"ops@example.com\"]", "confirm_to = [\"ops at example.com\"]"),
    ("transport = \"smtp\"", "transport = \"sendmail\""),
    ("directory = \"/var/tmp/mail\"\n", "directory = \"mail\"\n"),
    ("give_up_after = \"12h\"", "give_up_after = \"3 fortnights\""),
    ("give_up_after = \"12h\"", "give_up_after = \"3s\""),
    ("alert_window = \"90s\"", "alert_window = 90"),
    ("alert_window = \"90s\"", "alert_window = \"1d\""),
    ("host = \"localhost\"", "host = \"smtp.example.com\""),
    ("tls = \"none\"", "tls = \"none\"\nca_file = \"/etc/ca.pem\""),
    ("username = \"einvoice\"\n", ""),
    ("password = { credential = \"smtp\" }\n", ""),
    // [[handoff]]
    ("name = \"erp\"\n", ""),
    ("name = \"erp\"", "name = \"the ERP\""),
    ("name = \"erp\"", "name = \"pos\""),
    ("name = \"erp\"", "name = \"12345678901234567890123456789012345678901\""),
    ("kind = \"webhook\"\n", ""),
    ("kind = \"webhook\"", "kind = \"web hook\""),
    ("kind = \"webhook\"", "kind = \"directory\""),
    ("url = \"https://erp.example.com/hooks\"\n", ""),
    ("https://erp.example.com/hooks", "http://erp.example.com/hooks"),
    ("https://erp.example.com/hooks", "https://erp:hunter2@erp.example.com/hooks"),
    ("https://erp.example.com/hooks", "https://erp.example.com/hooks#hunter2"),
    ("https://erp.example.com/hooks", "http://localhost:8080/hooks"),
    ("secret = { credential = \"erp-webhook\" }\n", ""),
    ("{ credential = \"erp-webhook\" }", "\"whsec_hunter2\""),
    ("ca_file = \"/etc/erp.pem\"", "ca_file = \"erp.pem\""),
    ("kind = \"directory\"", "kind = \"webhook\""),
    ("path = \"/srv/pos/inbox\"\n", ""),
    ("path = \"/srv/pos/inbox\"", "path = \"pos/inbox\""),
    ("[\"e0501\", \"csv\"]", "[]"),
    ("[\"e0501\", \"csv\"]", "[\"xml\"]"),
    ("[\"e0501\", \"csv\"]", "\"csv\""),
    ("past = true", "past = \"yes\""),
    ("past = true", "passed = true"),
    // [schedule], [http]
    ("due_day = 28", "due_day = 29"),
    ("due_day = 28", "due_day = 19"),
    ("reminder_day = 1\n", "reminder_day = 20\n"),
    ("reminder_day = 1\n", "reminder_day = 1.5\n"),
    ("\"[::1]:9000\"", "\"0.0.0.0:9000\""),
    ("\"[::1]:9000\"", "\"localhost:9000\""),
    ("\"[::1]:9000\"", "9000"),
];

#[test]
fn every_mistake_has_its_sentence() {
    let mut table = String::new();
    for (old, new) in MISTAKES {
        let complaint = mistake(old, new);
        assert!(
            complaint.starts_with("config.toml:"),
            "{old} → {new}: {complaint}"
        );
        assert!(!complaint.contains("hunter"), "{complaint}");
        writeln!(table, "{}\n→ {}", old.trim_end(), new.trim_end()).unwrap();
        for line in complaint.lines() {
            writeln!(table, "    {line}").unwrap();
        }
        table.push('\n');
    }
    insta::assert_snapshot!(table);
}

/// Mistakes that need a file of their own; the last has several.
const FILES: &[&str] = &[
    "",
    "authenticity.require = \"none\"
[mail]
from = \"a@b.c\"
alert_to = [\"a@b.c\"]
",
    "authenticity.require = \"none\"
[mail]
from = \"a@b.c\"
alert_to = [\"a@b.c\"]
transport = \"directory\"
",
    "authenticity.require = \"none\"
[mail.smtp]
host = \"localhost\"
",
    "authenticity.require = \"none\"
[[mailbox]]
name = \"a\"
kind = \"maildir\"
path = \"/a\"
company = \"53567686\"
",
    "mailbox = [1]
authenticity.require = \"none\"
",
    "authenticity.require = \"none\"
[[mailboxes]]
name = \"a\"
",
    "[[company]]
ban = \"53567686\"
name = \"a\"
confirm_to = [\"a@example.com\"]
alert_to = [\"b@example.com\"]
",
    "companies_file = \"/nowhere/companies.csv\"
[[mailbox]]
name = \"a\"
kind = \"maildir\"
path = \"/a\"
company = \"53567686\"
",
    "companies_file = [\"a.csv\", \"b.csv\"]
",
    "langauge = \"en\"
[schedule]
due_day = 31
[[mailbox]]
kind = \"pop3\"
",
];

#[test]
fn all_mistakes_of_a_file_are_named_at_once_in_its_order() {
    let mut table = String::new();
    for file in FILES {
        writeln!(table, "{file}→").unwrap();
        for line in complaint(file).lines() {
            writeln!(table, "    {line}").unwrap();
        }
        table.push('\n');
    }
    insta::assert_snapshot!(table);
}
