//! What is due and does not come, on a real ledger and a clock moved by hand: that people are told
//! once, whatever is restarted, set or broken in between, and hear when it comes after all.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use invoice_trackd::{
    authenticity::Evidence,
    clock::Clock,
    daemon::{Expectations, Keeper},
    http::{Signs, Vitals},
    ledger::{Cause, Entry, Kind, Ledger, LedgerError, Letter, Transaction},
    mailbox::{Content, Origin, RawMessage},
    notice::{
        Allocation, Assignment, Authenticity, Ban, Block, Companies, Company, CompanySource,
        Disposition, InvoiceNo, InvoiceType, Judged, Judgement, Range, Reading,
    },
    schedule::Settings,
};
use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::Offset};
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};
use tempfile::TempDir;
use tokio::sync::{Notify, watch};

use crate::support::outbox::style;

mod audiences;
mod clocks;
mod comes;
mod many;
mod once;
mod whole;

const ONE: &str = "53567686";
const TWO: &str = "24634102";
const THREE: &str = "22099131";

/// A moment in Taipei.
fn at(local: &str) -> Timestamp {
    let local: DateTime = local.parse().unwrap();
    Offset::constant(8).to_timestamp(local).unwrap()
}

fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

fn company(ban: &str, assignment: Assignment) -> Company {
    Company {
        assignment,
        ..Company::new(ban.parse().unwrap(), format!("company {ban}"))
    }
}

fn period_company() -> Vec<Company> {
    vec![company(ONE, Assignment::Period)]
}

/// A daemon without mailboxes of its own: what they would bring is recorded by hand.
struct Office {
    home: TempDir,
    ledger: Ledger,
    vitals: watch::Sender<Vitals>,
    expected: watch::Sender<Arc<Expectations>>,
    keeper: Keeper,
}

impl Office {
    /// A ledger that is created then.
    async fn new(companies: Vec<Company>, created: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        Self::open(home, companies, at(created)).await
    }

    async fn open(home: TempDir, companies: Vec<Company>, now: Timestamp) -> Self {
        let ledger = Ledger::open(&home.path().join("ledger.db"), now)
            .await
            .unwrap();
        let vitals = watch::Sender::new(Vitals::default());
        let mut keeper = Keeper::new(
            ledger.clone(),
            Clock::manual(now),
            Arc::new(Notify::new()),
            vitals.clone(),
        );
        let (expected, awaits) = watch::channel(Arc::default());
        keeper.awaits(awaits);
        let office = Self {
            home,
            ledger,
            vitals,
            expected,
            keeper,
        };
        office.expects(companies);
        office.scans("einvoice", true);
        office
    }

    /// The daemon is killed and started again.
    async fn restart(self, now: Timestamp) -> Self {
        let expected = self.expected.borrow().companies.clone();
        self.ledger.close().await;
        Self::open(self.home, expected.iter().cloned().collect(), now).await
    }

    fn expects(&self, companies: Vec<Company>) {
        self.expected.send_replace(Arc::new(Expectations {
            companies: Companies::new(companies).unwrap(),
            days: Settings::default(),
        }));
    }

    fn scans(&self, mailbox: &str, scanned: bool) {
        self.vitals.send_modify(|vitals| {
            let signs = Signs {
                scanned,
                ..Signs::default()
            };
            vitals.mailboxes.insert(mailbox.to_owned(), signs);
        });
    }

    async fn look(&mut self, now: Timestamp) {
        self.tries_to_look(now).await.unwrap();
    }

    /// One look, while every mailbox answers.
    async fn tries_to_look(&mut self, now: Timestamp) -> Result<(), LedgerError> {
        self.vitals.send_modify(|vitals| {
            let mailboxes = vitals.mailboxes.values_mut();
            mailboxes.for_each(|signs| signs.last_ok = Some(now));
        });
        self.keeper.run_once(&style(), now).await
    }

    async fn look_at(&mut self, local: &str) {
        self.look(at(local)).await;
    }

    /// Looks every ten minutes, both ends included.
    async fn looks(&mut self, first: &str, last: &str) {
        let (mut now, last) = (at(first), at(last));
        while now <= last {
            self.look(now).await;
            now += minutes(10);
        }
    }

    /// A notice is recorded; returns its `allocation.id`.
    async fn grants(&self, ban: &str, year_month: &str) -> i64 {
        grant(&self.ledger, &[(ban.parse().unwrap(), year_month)]).await
    }

    async fn withdraws(&self, allocation: i64) {
        let now = "2026-12-01T00:00:00.000Z";
        let statement =
            format!("UPDATE allocation SET withdrawn_at = '{now}' WHERE id = {allocation}");
        self.sql(&statement).await;
    }

    /// Another program does something to the ledger.
    async fn sql(&self, statement: &str) {
        let mut sql = self.connection().await;
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
            .execute(&mut sql)
            .await
            .unwrap();
        sql.close().await.unwrap();
    }

    async fn connection(&self) -> SqliteConnection {
        let path = self.home.path().join("ledger.db");
        let url = format!("sqlite://{}", path.display());
        SqliteConnection::connect(&url).await.unwrap()
    }

    /// How many things the ledger says people were told of.
    async fn alarms(&self) -> i64 {
        let mut sql = self.connection().await;
        let count = sqlx::query_scalar("SELECT count(*) FROM alarm");
        count.fetch_one(&mut sql).await.unwrap()
    }

    /// What waits for a letter goes into one.
    async fn posts(&self) {
        let mut transaction = self.ledger.begin().await.unwrap();
        let news = transaction.pending::<Cause>().await.unwrap();
        let letter = Letter {
            kind: Kind::Alert,
            message_id: format!("<{}@example.com>", news.last().unwrap().id),
            recipients: style().alert_to.into_iter().map(Into::into).collect(),
            subject: "alert".to_owned(),
            eml: b"Subject: alert\r\n\r\n".to_vec(),
        };
        let now = at("2026-12-26T09:00");
        transaction.gather(&news, &letter, now).await.unwrap();
        transaction.commit().await.unwrap();
    }

    /// All that people were told of what is due, in a letter or on its way into one.
    async fn causes(&self) -> Vec<Cause> {
        let mut sql = self.connection().await;
        let causes: Vec<String> = sqlx::query_scalar("SELECT cause FROM news ORDER BY id")
            .fetch_all(&mut sql)
            .await
            .unwrap();
        let causes = causes.iter();
        causes
            .map(|cause| serde_json::from_str(cause).unwrap())
            .collect()
    }

    /// The same, a line for each company.
    async fn told(&self) -> Vec<String> {
        self.causes().await.iter().flat_map(lines).collect()
    }
}

/// What a piece of news says, a line for each company.
fn lines(cause: &Cause) -> Vec<String> {
    let line = |to: &[String], words: String| {
        let to: String = to.iter().map(|to| format!(" to {to}")).collect();
        words + &to
    };
    match cause {
        Cause::NoticeReminder(reminder) => {
            let companies = reminder.companies.iter();
            let words =
                companies.map(|one| format!("{} {} reminder", one.ban, reminder.year_month));
            words.map(|words| line(&reminder.to, words)).collect()
        }
        Cause::NoticeOverdue(overdue) => {
            let companies = overdue.companies.iter();
            let words = companies.map(|one| {
                let missing = match one.awaited.len() {
                    3 => format!(" {}", one.year_months.join(",")),
                    _ => String::new(),
                };
                format!("{} {} {}{missing}", one.ban, one.awaited, one.stage)
            });
            words.map(|words| line(&overdue.to, words)).collect()
        }
        Cause::NoticeArrived(arrived) => {
            let companies = arrived.companies.iter();
            let words = companies.map(|one| format!("{} {} has come", one.ban, one.awaited));
            words.map(|words| line(&arrived.to, words)).collect()
        }
        other => panic!("not about what is due: {other:?}"),
    }
}

/// A notice is recorded for each; returns the last `allocation.id`.
async fn grant(ledger: &Ledger, granted: &[(Ban, &str)]) -> i64 {
    let mut transaction = ledger.begin().await.unwrap();
    let mut last = 0;
    for (ban, year_month) in granted {
        last = grant_one(&mut transaction, *ban, year_month).await;
    }
    transaction.commit().await.unwrap();
    last
}

async fn grant_one(transaction: &mut Transaction, ban: Ban, year_month: &str) -> i64 {
    static UIDS: AtomicU32 = AtomicU32::new(1);
    let uid = UIDS.fetch_add(1, Ordering::Relaxed);
    let message = RawMessage {
        origin: Origin::Imap {
            mailbox: "einvoice".to_owned(),
            uidvalidity: 7,
            uid,
        },
        internal_date: None,
        size: 4,
        content: Content::Whole(b"mail".to_vec()),
    };
    let number = |number: u32| InvoiceNo::parse(&format!("{number:08}")).unwrap();
    let begin = uid % 1_000_000 * 50;
    let allocation = Allocation {
        ban,
        block: Block {
            invoice_type: InvoiceType::General,
            period: year_month.parse().unwrap(),
            track: "EC".parse().unwrap(),
            range: Range::new(number(begin), number(begin + 49)).unwrap(),
            requested_booklets: Some(1),
            added_booklets: Some(0),
        },
    };
    let entry = Entry {
        message: &message,
        sha256: &format!("{uid:064x}"),
        reading: &Reading::default(),
        evidence: &Evidence {
            verdict: Authenticity::NotRequired,
            proof: None,
        },
        judgement: &Judgement {
            disposition: Disposition::Imported,
            defects: Vec::new(),
            overruled: Vec::new(),
            warnings: Vec::new(),
            company: Some((ban, CompanySource::Body)),
            allocations: vec![Judged {
                allocation,
                known: None,
            }],
        },
        now: at("2026-12-20T10:00"),
    };
    transaction.record(&entry).await.unwrap().unwrap()
}
