//! The whole daemon in this process, with a clock that is moved by hand: silence, the alarm, the
//! notice, and its end, as mails on disk.

use std::fs;

use invoice_trackd::{
    config::Config,
    daemon::{self, DaemonError, Word},
};
use tokio::{sync::mpsc, task::JoinHandle};

use super::*;
use crate::support::daemon::{COMPANY, House, Notice, maildir};

/// A daemon that runs, and how to stop it.
struct Running {
    daemon: JoinHandle<Result<(), DaemonError>>,
    words: mpsc::Sender<Word>,
}

impl Running {
    fn start(house: &House, now: &str) -> Self {
        let config = Config::load(&house.path("config.toml")).unwrap();
        let (words, heard) = mpsc::channel(1);
        let daemon = tokio::spawn(daemon::run(config, Clock::manual(at(now)), heard));
        Self { daemon, words }
    }

    async fn stop(self) {
        self.words.send(Word::Stop).await.unwrap();
        self.daemon.await.unwrap().unwrap();
    }
}

/// To whom mails went, in the order of their files' names.
fn readers(house: &House) -> Vec<String> {
    let sent = fs::read_dir(house.path("sent")).unwrap();
    let mut files: Vec<_> = sent.map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "eml"));
    files.sort();
    let to = files.iter().map(|file| {
        let mail = fs::read_to_string(file).unwrap();
        let to = mail.lines().find(|line| line.starts_with("To: "));
        to.unwrap().to_owned()
    });
    to.collect()
}

/// What the news was about that is in letters.
async fn gathered(house: &House) -> Vec<String> {
    let url = format!("sqlite://{}", house.path("ledger.db").display());
    let mut sql = SqliteConnection::connect(&url).await.unwrap();
    let causes = "SELECT json_extract(cause, '$.cause') FROM news
                  WHERE outbox_id IS NOT NULL ORDER BY id";
    sqlx::query_scalar(causes)
        .fetch_all(&mut sql)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_is_an_alarm_until_the_notice_comes() {
    let mailbox = "[[mailbox]]\nname = \"spool\"\nkind = \"maildir\"\npath = \"@ROOT@/mail\"\n";
    let awaited = COMPANY.replace("assignment = \"none\"", "assignment = \"period\"");
    let house = House::with_mail(&format!("{awaited}{mailbox}"));
    maildir(&house.path("mail"));
    let file = house.path("ledger.db");
    let created = Ledger::open(&file, at("2026-11-05T12:00")).await;
    created.unwrap().close().await;

    let daemon = Running::start(&house, "2026-12-27T08:00");
    house
        .until("the alarm is sent", || async { readers(&house).len() == 1 })
        .await;
    daemon.stop().await;
    assert_eq!(gathered(&house).await, ["notice_overdue"]);
    let notice = Notice {
        period: "116/01 - 116/02",
        ..Notice::default()
    };
    let file = house.write("mail/new/1", notice.eml());
    let file = fs::File::options().write(true).open(file).unwrap();
    file.set_modified(at("2026-12-27T09:00").into()).unwrap();

    let daemon = Running::start(&house, "2026-12-27T09:30");
    house
        .until("its end and the confirmation are sent", || async {
            readers(&house).len() == 3
        })
        .await;
    daemon.stop().await;
    assert_eq!(gathered(&house).await, ["notice_overdue", "notice_arrived"]);
    let mut to = readers(&house);
    to.sort();
    let expected = ["oncall", "oncall", "ops"].map(|name| format!("To: {name}@example.com"));
    assert_eq!(to, expected);
}
