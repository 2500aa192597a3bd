//! The ledger on a real file: what it promises, and what it refuses.
//!
//! Readings and judgements are built by hand here; how they come about is tested elsewhere.

use std::path::{Path, PathBuf};

use invoice_trackd::{
    authenticity::{Evidence, Method, Proof},
    ledger::{
        Alarm, AllocationFilter, Cause, Entry, FoundIn, Kind, Ledger, Letter, LinkState,
        Quarantined, Reason, Settled, Transaction,
    },
    mailbox::{Content, Known, Origin, RawMessage, UidSet},
    notice::{
        Allocation, Authenticity, Block, CompanySource, Defect, DefectCode, Disposition, InvoiceNo,
        InvoiceType, Judged, Judgement, Range, Reading, Sentence, Warning, WarningCode,
    },
    schedule::{Awaited, Call, Stage},
};
use jiff::{Timestamp, ToSpan};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

mod alarms;
mod concurrency;
mod defences;
mod filing;
mod folders;
mod opening;
mod outbox;
mod records;
mod upgrades;

const BAN: &str = "53567686";
const OTHER_BAN: &str = "24634102";

/// A directory with a ledger in it.
struct Scratch {
    directory: TempDir,
}

impl Scratch {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { directory }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("ledger.db")
    }

    async fn open(&self) -> Ledger {
        Ledger::open(&self.path(), noon()).await.unwrap()
    }

    /// The file as any other program sees it.
    async fn sql(&self) -> SqliteConnection {
        sql(&self.path()).await
    }

    /// Another program tries `statement`, and is gone from the file when this returns.
    async fn attempt(&self, statement: &str) -> Result<(), sqlx::Error> {
        let mut sql = self.sql().await;
        let done = sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
            .execute(&mut sql)
            .await;
        sql.close().await.unwrap();
        done.map(drop)
    }

    async fn allow(&self, statement: &str) {
        self.attempt(statement).await.unwrap();
    }

    /// What SQLite says to another program that tries `statement`.
    async fn refusal(&self, statement: &str) -> String {
        match self.attempt(statement).await {
            Ok(()) => panic!("allowed: {statement}"),
            Err(error) => error.to_string(),
        }
    }
}

async fn sql(path: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .foreign_keys(false);
    SqliteConnection::connect_with(&options).await.unwrap()
}

async fn count(connection: &mut SqliteConnection, what: &'static str) -> i64 {
    sqlx::query_scalar(what)
        .fetch_one(connection)
        .await
        .unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn noon() -> Timestamp {
    at("2026-01-20T04:00:00.250Z")
}

fn address<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

fn sha256(name: &str) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(name)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn allocation(ban: &str, year_month: &str, track: &str, begin: &str, end: &str) -> Allocation {
    let number = |text| InvoiceNo::parse(text).unwrap();
    Allocation {
        ban: ban.parse().unwrap(),
        block: Block {
            invoice_type: InvoiceType::General,
            period: year_month.parse().unwrap(),
            track: track.parse().unwrap(),
            range: Range::new(number(begin), number(end)).unwrap(),
            requested_booklets: Some(0),
            added_booklets: Some(128),
        },
    }
}

fn specimen() -> Allocation {
    allocation(BAN, "10706", "EC", "22628000", "22634399")
}

fn imap(uid: u32) -> Origin {
    Origin::Imap {
        mailbox: "einvoice".to_owned(),
        uidvalidity: 7,
        uid,
    }
}

fn uids(runs: &[(u32, u32)]) -> UidSet {
    UidSet::from_runs(runs.iter().copied())
}

/// Everything of one message, ready to be recorded or to be spoilt first.
struct Mail {
    message: RawMessage,
    sha256: String,
    reading: Reading,
    evidence: Evidence,
    judgement: Judgement,
}

impl Mail {
    /// A mail with distinct bytes for each place.
    fn new(origin: Origin, disposition: Disposition) -> Self {
        let raw = format!("mail at {origin:?}").into_bytes();
        Self {
            sha256: sha256(&format!("{origin:?}")),
            message: RawMessage {
                origin,
                internal_date: Some(at("2026-01-20T01:00:00Z")),
                size: raw.len() as u64,
                content: Content::Whole(raw),
            },
            reading: Reading {
                from: Some(address("einvoice@einvoice.nat.gov.tw")),
                subject: "電子發票配號結果通知".to_owned(),
                is_notice: true,
                ..Reading::default()
            },
            evidence: Evidence::not_required(),
            judgement: Judgement {
                disposition,
                defects: Vec::new(),
                overruled: Vec::new(),
                warnings: Vec::new(),
                company: None,
                allocations: Vec::new(),
            },
        }
    }

    fn granting(origin: Origin, allocations: &[Allocation]) -> Self {
        let mut mail = Self::new(origin, Disposition::Imported);
        mail.judgement.company = Some((BAN.parse().unwrap(), CompanySource::Body));
        mail.judgement.allocations = allocations
            .iter()
            .map(|&allocation| Judged {
                allocation,
                known: None,
            })
            .collect();
        mail
    }

    fn quarantined(origin: Origin, defects: &[(DefectCode, &str, &str)]) -> Self {
        let mut mail = Self::new(origin, Disposition::Quarantined);
        mail.judgement.defects = defects
            .iter()
            .map(|(code, en, zh)| Defect::new(*code, Sentence::new(*en, *zh)))
            .collect();
        mail
    }

    async fn record(&self, transaction: &mut Transaction) -> Option<i64> {
        let entry = Entry {
            message: &self.message,
            sha256: &self.sha256,
            reading: &self.reading,
            evidence: &self.evidence,
            judgement: &self.judgement,
            now: noon(),
        };
        transaction.record(&entry).await.unwrap()
    }
}

/// Records one mail in a transaction of its own.
async fn record(ledger: &Ledger, mail: &Mail) -> Option<i64> {
    let mut transaction = ledger.begin().await.unwrap();
    let id = mail.record(&mut transaction).await;
    transaction.commit().await.unwrap();
    id
}

fn letter(kind: Kind, name: &str) -> Letter {
    Letter {
        kind,
        message_id: format!("<{name}@example.com>"),
        recipients: vec![address("ops@example.com"), address("boss@example.com")],
        subject: format!("配號 {name}"),
        eml: format!("Subject: {name}\r\n\r\n").into_bytes(),
    }
}

async fn post(ledger: &Ledger, letter: &Letter, now: Timestamp) {
    let mut transaction = ledger.begin().await.unwrap();
    transaction.post(letter, None, now).await.unwrap();
    transaction.commit().await.unwrap();
}

fn quarantine_alert(message_id: i64) -> Cause {
    Cause::Quarantined(Quarantined {
        is_row: false,
        message_id,
        sha256: sha256("look-alike"),
        found_in: FoundIn::Mailbox("einvoice".to_owned()),
        from: None,
        subject: "配號".to_owned(),
        defects: vec![Reason {
            code: "range_reversed".to_owned(),
            detail: "end before begin".to_owned(),
            detail_zh: "迄號小於起號".to_owned(),
        }],
    })
}

/// A mail about whose origin a resolver has yet to answer.
fn unanswered(origin: Origin) -> Mail {
    let mut mail = Mail::new(origin, Disposition::Waiting);
    mail.evidence.verdict = Authenticity::Unknown("no answer within 5 s".to_owned());
    mail
}

/// The numbers of the next year have not come.
fn overdue() -> Call {
    Call {
        awaited: Awaited::Year(116),
        stage: Stage::Overdue,
        missing: ["11610", "11612"].map(|one| one.parse().unwrap()).to_vec(),
        due_by: "2026-12-25".parse().unwrap(),
    }
}

/// Writes something into every table, through the front door.
async fn tell_the_story(ledger: &Ledger) {
    let since = "2026-01-01".parse().unwrap();
    ledger
        .begin_scan("einvoice", 7, since, &uids(&[(1, 9)]))
        .await
        .unwrap();
    let mut transaction = ledger.begin().await.unwrap();
    let mut notice = Mail::granting(imap(12), &[specimen()]);
    let over = Sentence::new("107/05 is over", "107/05 已經過了");
    notice.judgement.warnings = vec![Warning::new(WarningCode::PeriodPast, over)];
    let notice_id = notice.record(&mut transaction).await;
    let defects = [
        (
            DefectCode::RangeReversed,
            "end before begin",
            "迄號小於起號",
        ),
        (DefectCode::BanInvalid, "`12345678`", "統一編號 `12345678`"),
    ];
    Mail::quarantined(imap(13), &defects)
        .record(&mut transaction)
        .await;
    let runs = uids(&[(10, 11), (14, 20)]);
    transaction
        .record_unrelated("einvoice", 7, &runs)
        .await
        .unwrap();
    let earlier = transaction
        .judged_before(&notice.message, &notice.sha256)
        .await
        .unwrap()
        .unwrap();
    let copy = RawMessage {
        origin: Origin::Maildir {
            mailbox: "local".to_owned(),
            file: "1768881600.M1P2.host".to_owned(),
        },
        ..notice.message.clone()
    };
    transaction
        .record_copy(&copy, &notice.sha256, earlier, noon())
        .await
        .unwrap();
    let confirmation = letter(Kind::Confirmation, "confirmation");
    transaction
        .post(&confirmation, notice_id, noon())
        .await
        .unwrap();
    let cause = quarantine_alert(2);
    transaction
        .tell("quarantined:2", &cause, noon())
        .await
        .unwrap();
    unanswered(imap(22)).record(&mut transaction).await;
    transaction
        .set_resolver_alarmed(Some(noon()))
        .await
        .unwrap();
    transaction
        .set_told(BAN.parse().unwrap(), &overdue(), noon())
        .await
        .unwrap();
    transaction
        .failed_alone("einvoice", 7, 21, true, "the server answered NO", noon())
        .await
        .unwrap();
    transaction.commit().await.unwrap();

    ledger
        .saw_mailbox("einvoice", &LinkState::Up, noon())
        .await
        .unwrap();
    let down = LinkState::Down("connect: refused".to_owned());
    ledger.saw_mailbox("local", &down, noon()).await.unwrap();
    let lease = ledger
        .lease(None, noon(), noon(), noon())
        .await
        .unwrap()
        .unwrap();
    let deferred = Settled::Deferred {
        next: noon() + 5.seconds(),
        recipients: vec![address("boss@example.com")],
        refused: Vec::new(),
        answer: "451 4.3.0 try later".to_owned(),
    };
    ledger.settle(&lease, &deferred, noon()).await.unwrap();
}

/// The story as every later version must still tell it.
async fn assert_the_story(ledger: &Ledger) {
    assert_eq!(ledger.created_at(), noon());
    let [row] = &ledger
        .allocations(AllocationFilter::default())
        .await
        .unwrap()[..]
    else {
        panic!("expected one allocation");
    };
    assert_eq!(row.allocation, specimen());
    assert_eq!((row.id, row.message_id), (1, 1));
    assert_eq!((row.imported_at, row.withdrawn_at), (noon(), None));

    // Ledgers from before anybody was asked again have nothing that waits.
    let unanswered = ledger.waiting().await.unwrap();
    if let Some(waiting) = &unanswered {
        assert_eq!((waiting.mails, waiting.since), (1, noon()));
        assert_eq!(waiting.next_ask_at, noon() + 5.seconds());
        assert_eq!(waiting.words, "no answer within 5 s");
        assert_eq!(ledger.resolver_alarmed().await.unwrap(), Some(noon()));
    }
    let counts = ledger.counts().await.unwrap();
    let counts: Vec<_> = counts.iter().map(|(k, v)| (k.as_str(), *v)).collect();
    assert_eq!(
        counts,
        [
            ("duplicate", 1),
            ("imported", 1),
            ("quarantined", 1),
            ("unrelated", 9),
            ("waiting", u64::from(unanswered.is_some()))
        ]
    );
    let [waiting] = &ledger.quarantine().await.unwrap()[..] else {
        panic!("expected one message in quarantine");
    };
    assert_eq!(waiting.id, 2);
    assert_eq!(waiting.mailbox.as_deref(), Some("einvoice"));
    assert_eq!(waiting.subject, "電子發票配號結果通知");
    let defects: Vec<_> = waiting
        .defects
        .iter()
        .map(|(code, detail)| (code.as_str(), detail.as_str()))
        .collect();
    assert_eq!(
        defects,
        [
            ("range_reversed", "end before begin"),
            ("ban_invalid", "`12345678`")
        ]
    );

    let known = ledger.known("einvoice", Some(7)).await.unwrap();
    let mut accounted = vec![(1, 20)];
    accounted.extend(unanswered.map(|_| (22, 22)));
    assert_eq!(known.uids, uids(&accounted));
    // Ledgers from before there were suspects have none.
    let (due, resting) = ledger.suspects("einvoice", 7, noon()).await.unwrap();
    assert_eq!(due, [0_u32; 0]);
    assert!(["", "21"].contains(&&*resting.to_string()), "{resting}");
    let known: Known = ledger.known("local", None).await.unwrap();
    assert!(known.files.contains("1768881600.M1P2.host"));
    let since = "2026-01-01".parse().unwrap();
    assert!(ledger.is_scanned("einvoice", 7, since).await.unwrap());

    let mailboxes = ledger.mailboxes().await.unwrap();
    assert_eq!(mailboxes[0].last_ok_at, Some(noon()));
    assert_eq!(
        mailboxes[1].state,
        LinkState::Down("connect: refused".to_owned())
    );

    let due = noon() + 5.seconds();
    assert_eq!(ledger.next_due(None).await.unwrap(), Some(due));
    let lease = ledger.lease(None, due, due, due).await.unwrap().unwrap();
    assert_eq!(lease.attempts, 2);
    assert_eq!(lease.patient_since, noon());
    let mut rest = letter(Kind::Confirmation, "confirmation");
    rest.recipients = vec![address("boss@example.com")];
    assert_eq!(lease.letter, rest);
    let mut transaction = ledger.begin().await.unwrap();
    let [alert] = &transaction.pending::<Cause>().await.unwrap()[..] else {
        panic!("expected one alert");
    };
    assert_eq!(alert.cause, quarantine_alert(2));
    // Ledgers from before anything was missed have no alarms.
    let alarms = transaction.alarms("11512".parse().unwrap()).await.unwrap();
    for alarms in alarms.values() {
        let told = Alarm {
            stage: Stage::Overdue,
            missing: overdue().missing,
            told_at: noon(),
            came_at: None,
        };
        assert_eq!(*alarms, [(Awaited::Year(116), told)].into());
    }
}
