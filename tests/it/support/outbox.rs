//! A dispatcher on a real ledger, letters and alerts to put into it, and where to send them.

use invoice_trackd::{
    delivery::{Confirm, Dispatcher, Language, Pass, Patience, SmtpSettings, Style, Transport},
    ledger::{Cause, FoundIn, Kind, Ledger, Letter, Quarantined, Reason},
    tls::TlsMode,
};
use jiff::{SignedDuration, Timestamp};
use std::{fs, path::Path, time::Duration};
use tempfile::TempDir;

use super::{
    exim::{self, Exim},
    scripted_smtp::ScriptedSmtp,
};

pub fn start() -> Timestamp {
    "2018-04-20T02:00:00Z".parse().unwrap()
}

pub fn after(seconds: i64) -> Timestamp {
    start() + SignedDuration::from_secs(seconds)
}

pub fn style() -> Style {
    Style {
        language: Language::ZhTw,
        from: "invoice-trackd <einvoice@example.com>".parse().unwrap(),
        confirm_to: vec!["ops@example.com".parse().unwrap()],
        alert_to: vec!["oncall@example.com".parse().unwrap()],
        confirm: Confirm::default(),
        handoffs: Vec::new(),
    }
}

/// A dispatcher and the directory its ledger lives in.
pub async fn dispatcher(transport: Transport) -> (Dispatcher, TempDir) {
    let home = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&home.path().join("ledger.db"), start())
        .await
        .unwrap();
    let dispatcher = Dispatcher {
        ledger,
        transport,
        style: style(),
        patience: Patience::default(),
    };
    (dispatcher, home)
}

pub fn to_scripted(server: &ScriptedSmtp) -> Transport {
    Transport::Smtp(SmtpSettings {
        host: "127.0.0.1".to_owned(),
        port: server.port(),
        tls: TlsMode::None,
        ca_file: None,
        login: None,
        command: Duration::from_secs(30),
    })
}

pub fn to_exim(exim: &Exim) -> Transport {
    Transport::Smtp(SmtpSettings {
        host: "localhost".to_owned(),
        port: exim.port(),
        tls: TlsMode::StartTls,
        ca_file: Some(exim.ca_file()),
        login: Some((exim::USERNAME.to_owned(), exim::PASSWORD.into())),
        command: Duration::from_secs(30),
    })
}

pub fn confirmation(name: &str, recipients: &[&str]) -> Letter {
    let message_id = format!("<{name}.confirmation@example.com>");
    Letter {
        kind: Kind::Confirmation,
        eml: format!("Message-ID: {message_id}\r\nSubject: {name}\r\n\r\ntext\r\n").into_bytes(),
        message_id,
        recipients: recipients.iter().map(|r| r.parse().unwrap()).collect(),
        subject: name.to_owned(),
    }
}

pub async fn post(ledger: &Ledger, letter: &Letter) {
    let mut transaction = ledger.begin().await.unwrap();
    transaction.post(letter, None, start()).await.unwrap();
    transaction.commit().await.unwrap();
}

pub async fn raise(ledger: &Ledger, id: i64, now: Timestamp) {
    raise_about(ledger, id, "range_overlap", now).await;
}

/// An alert about a mail with this defect.
pub async fn raise_about(ledger: &Ledger, id: i64, code: &str, now: Timestamp) {
    let cause = Cause::Quarantined(Quarantined {
        is_row: false,
        message_id: id,
        sha256: format!("{id:064x}"),
        found_in: FoundIn::Mailbox("einvoice".to_owned()),
        from: None,
        subject: "電子發票配號結果通知".to_owned(),
        defects: vec![Reason {
            code: code.to_owned(),
            detail: "overlap".to_owned(),
            detail_zh: "重疊".to_owned(),
        }],
    });
    let mut transaction = ledger.begin().await.unwrap();
    transaction
        .tell(&format!("quarantined:{id}"), &cause, now)
        .await
        .unwrap();
    transaction.commit().await.unwrap();
}

/// The subjects of the mails that became files here.
pub fn subjects(directory: &Path) -> Vec<String> {
    let mut subjects: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| {
            let eml = fs::read(entry.unwrap().path()).unwrap();
            let mail = mail_parser::MessageParser::default().parse(&eml).unwrap();
            mail.subject().unwrap().to_owned()
        })
        .collect();
    subjects.sort();
    subjects
}

pub fn pass(sent: u32, deferred: u32, failed: u32) -> (u32, u32, u32) {
    (sent, deferred, failed)
}

pub fn did(pass: &Pass) -> (u32, u32, u32) {
    (pass.sent, pass.deferred, pass.failed)
}

pub async fn state_of_the_outbox(ledger: &Ledger) -> String {
    let counts = ledger.outbox_counts().await.unwrap();
    let counts = counts.iter().filter(|(_, count)| **count > 0);
    let counts: Vec<String> = counts
        .map(|(state, count)| format!("{count} {state}"))
        .collect();
    counts.join(", ")
}
