//! The platform's own files on a real ledger, beside what mails said: each range is confirmed,
//! recorded or put into quarantine by itself, once, and mails that waited for a company settle.

use std::time::Instant;

use invoice_trackd::{
    delivery::{Confirm, Dispatcher, Handoff, Transport},
    intake::{Action, Intake, Place, Reconciled, Refusal, Unexplained},
    ledger::{AllocationFilter, Decision, Ledger},
    mailbox::{Content, Origin, RawMessage},
    notice::{
        Allocation, Assignment, Block, Companies, Company, Disposition, InvoiceNo, InvoiceType,
        Range, Release,
    },
    platform::{self, Encoding, Source},
};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use tempfile::TempDir;

use crate::support::{
    daemon::Notice,
    intake::{company, intake},
    outbox::{after, dispatcher, start, style},
};

const OURS: &str = "53567686";
const THEIRS: &str = "24634102";

/// The specimen's range: what [`Notice`] says.
fn specimen() -> Allocation {
    range(OURS, "EC", "10706", 22_628_000, 128)
}

fn range(ban: &str, track: &str, year_month: &str, begin: u32, booklets: u32) -> Allocation {
    let number = |n: u32| InvoiceNo::parse(&format!("{n:08}")).unwrap();
    Allocation {
        ban: ban.parse().unwrap(),
        block: Block {
            invoice_type: InvoiceType::General,
            period: year_month.parse().unwrap(),
            track: track.parse().unwrap(),
            range: Range::new(number(begin), number(begin + booklets * 50 - 1)).unwrap(),
            requested_booklets: None,
            added_booklets: None,
        },
    }
}

struct Desk {
    intake: Intake,
    home: TempDir,
    uid: u32,
}

impl Desk {
    async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&home.path().join("ledger.db"), start())
            .await
            .unwrap();
        let mut style = style();
        style.handoffs = vec![Handoff {
            name: "erp".to_owned(),
            past: false,
        }];
        let mut intake = intake(ledger, style);
        let theirs = Company {
            confirm_to: vec!["theirs@example.com".parse().unwrap()],
            assignment: Assignment::Year,
            ..Company::new(THEIRS.parse().unwrap(), "他們公司")
        };
        intake.rules.companies = Companies::new(vec![company(), theirs]).unwrap();
        Self {
            intake,
            home,
            uid: 0,
        }
    }

    async fn file(&self, path: &str, ranges: &[Allocation]) -> Reconciled {
        self.try_file(path, ranges).await.unwrap()
    }

    async fn try_file(
        &self,
        path: &str,
        ranges: &[Allocation],
    ) -> Result<Reconciled, invoice_trackd::ledger::LedgerError> {
        let bytes = platform::csv(ranges, Encoding::default());
        let file = platform::read(Source::Csv, &bytes).unwrap();
        let found = RawMessage {
            origin: Origin::File {
                path: path.to_owned(),
            },
            internal_date: None,
            size: bytes.len() as u64,
            content: Content::Whole(bytes),
        };
        let mut unexplained = Unexplained::default();
        self.intake
            .take_file(&found, &file, &mut unexplained, |_| None, after(60))
            .await
            .map(Option::unwrap)
    }

    async fn mail(&mut self, raw: Vec<u8>) -> Disposition {
        self.uid += 1;
        let message = RawMessage {
            origin: Origin::Imap {
                mailbox: "einvoice".to_owned(),
                uidvalidity: 7,
                uid: self.uid,
            },
            internal_date: Some(start()),
            size: raw.len() as u64,
            content: Content::Whole(raw),
        };
        let outcomes = self
            .intake
            .take(&[message], Place::default(), start())
            .await
            .unwrap();
        outcomes[0].disposition
    }

    async fn sql(&self, statement: &str) {
        let mut sql = self.connect().await;
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
            .execute(&mut sql)
            .await
            .unwrap();
        sql.close().await.unwrap();
    }

    async fn connect(&self) -> SqliteConnection {
        let url = format!("sqlite://{}", self.home.path().join("ledger.db").display());
        SqliteConnection::connect(&url).await.unwrap()
    }

    /// The first column of what a query finds, as text.
    async fn column(&self, query: &str) -> Vec<String> {
        let mut sql = self.connect().await;
        let found = sqlx::query_scalar(AssertSqlSafe(query.to_owned()))
            .fetch_all(&mut sql)
            .await
            .unwrap();
        sql.close().await.unwrap();
        found
    }

    async fn posted(&self) -> Vec<String> {
        self.column("SELECT kind || ' ' || subject FROM outbox ORDER BY id")
            .await
    }

    async fn sources(&self) -> Vec<String> {
        self.column("SELECT invoice_track || ' ' || source FROM allocation ORDER BY id")
            .await
    }

    async fn decide(&self, id: i64, release: Release) -> Result<Disposition, Refusal> {
        let decision = Decision {
            who: "ops",
            reason: "seen on the platform",
            at: after(120),
        };
        let decided = self
            .intake
            .decide(&[id], Action::Release(release), &decision, |_| None, false)
            .await
            .unwrap();
        let decided = decided.into_iter().next().unwrap();
        decided.map(|decided| decided.judgement.unwrap().disposition)
    }
}

/// A notice that names nobody.
fn nobody_s(track: &str) -> Vec<u8> {
    let eml = Notice {
        track,
        ..Notice::default()
    };
    String::from_utf8(eml.eml())
        .unwrap()
        .replace("貴公司(53567686)", "貴公司()")
        .into_bytes()
}

#[tokio::test]
async fn what_a_mail_brought_is_confirmed_once_for_each_file_and_nobody_is_told() {
    let mut desk = Desk::new().await;
    assert_eq!(
        desk.mail(Notice::default().eml()).await,
        Disposition::Imported
    );
    assert_eq!(desk.mail(nobody_s("EC")).await, Disposition::Quarantined);
    let told = desk.posted().await;
    for (path, expected) in [("a.csv", (1, 0, 1)), ("b.csv", (0, 1, 0))] {
        let file = desk.file(path, &[specimen()]).await;
        let counts = (file.confirmed, file.known, file.explained.len());
        assert_eq!(counts, expected, "{path}");
        assert_eq!(file.disposition, Disposition::Duplicate);
    }
    let confirmed = "SELECT allocation_id || ' ' || source FROM confirmed";
    assert_eq!(desk.column(confirmed).await, ["1 csv"]);
    assert_eq!(desk.sources().await, ["EC mail"]);
    assert_eq!(desk.posted().await, told);

    // Other bytes that say the same confirm it as well; a row that stands there twice does so once.
    let file = desk.file("c.csv", &[specimen(), specimen()]).await;
    assert_eq!((file.confirmed, file.known), (1, 1));
    assert_eq!(desk.column(confirmed).await.len(), 2);
    let late = String::from_utf8(nobody_s("EC")).unwrap() + "\r\n";
    assert_eq!(desk.mail(late.into_bytes()).await, Disposition::Duplicate);
}

#[tokio::test]
async fn unknown_ranges_are_recorded_with_their_source_and_each_company_is_told_of_its_own() {
    let desk = Desk::new().await;
    let theirs = range(THEIRS, "ED", "10706", 0, 2);
    let file = desk.file("a.csv", &[specimen(), theirs]).await;
    assert_eq!(file.recorded, [specimen(), theirs]);
    assert_eq!(file.disposition, Disposition::Imported);
    assert_eq!(desk.sources().await, ["EC csv", "ED csv"]);
    let rows = desk.intake.ledger.allocations(AllocationFilter::default());
    let rows = rows.await.unwrap();
    assert!(rows.iter().all(|row| {
        let block = row.allocation.block;
        block.requested_booklets.is_none() && block.added_booklets.is_none()
    }));

    let posted = desk.posted().await;
    assert_eq!(posted.len(), 4, "{posted:?}");
    for (ban, own, other) in [(THEIRS, "ED", "EC"), (OURS, "EC", "ED")] {
        let handed = posted
            .iter()
            .find(|one| one.starts_with("handoff") && one.contains(ban))
            .unwrap();
        assert!(handed.contains(own) && !handed.contains(other), "{handed}");
    }
    let readers = "SELECT subject || ' ' || address FROM outbox JOIN outbox_recipient
        ON outbox_id = outbox.id WHERE kind = 'confirmation' ORDER BY address";
    let readers = desk.column(readers).await;
    assert!(readers[0].contains("EC 22628000-22634399") && readers[0].ends_with("ops@example.com"));
    assert!(readers[1].contains("ED ") && readers[1].ends_with("theirs@example.com"));
}

#[tokio::test]
async fn the_same_bytes_again_record_nothing_tell_nobody_and_bring_nothing_back() {
    let desk = Desk::new().await;
    let other = range(OURS, "ED", "10706", 0, 1);
    desk.file("a.csv", &[specimen(), other]).await;
    let told = desk.posted().await;
    let decision = Decision {
        who: "ops",
        reason: "cancelled",
        at: after(90),
    };
    let intake = Intake {
        style: None,
        ..desk.intake.clone()
    };
    intake.withdraw(1, &decision).await.unwrap().unwrap();
    for path in ["a.csv", "elsewhere/a.csv"] {
        let again = desk.file(path, &[specimen(), other]).await;
        assert_eq!((again.recorded.len(), again.known), (0, 2));
        assert_eq!(again.disposition, Disposition::Duplicate);
    }
    assert_eq!(desk.posted().await, told);
    assert_eq!(desk.sources().await.len(), 2);
}

#[tokio::test]
async fn a_file_that_was_passed_over_once_is_not_taken_for_read() {
    let desk = Desk::new().await;
    let bytes = platform::csv(&[specimen()], platform::Encoding::default());
    let found = RawMessage {
        origin: Origin::File {
            path: "a.csv".to_owned(),
        },
        internal_date: None,
        size: bytes.len() as u64,
        content: Content::Whole(bytes),
    };
    // As a version that knew no such files took it.
    let place = Place::default();
    let taken = desk
        .intake
        .take(std::slice::from_ref(&found), place, after(1));
    assert_eq!(taken.await.unwrap()[0].disposition, Disposition::Unrelated);
    let Content::Whole(bytes) = &found.content else {
        unreachable!();
    };
    let file = platform::read(Source::Csv, bytes).unwrap();
    let mut unexplained = Unexplained::default();
    let taken = desk
        .intake
        .take_file(&found, &file, &mut unexplained, |_| None, after(60));
    assert_eq!(taken.await.unwrap(), None);
    assert_eq!(desk.sources().await, Vec::<String>::new());
    let elsewhere = desk.file("b.csv", &[specimen()]).await;
    assert_eq!(elsewhere.recorded, [specimen()]);
}

#[tokio::test]
async fn a_row_that_contradicts_the_ledger_waits_by_itself_and_the_others_go_on() {
    let mut desk = Desk::new().await;
    desk.mail(Notice::default().eml()).await;
    let overlap = range(OURS, "EC", "10706", 22_628_050, 1);
    let stranger = range("04595257", "EE", "10706", 0, 1);
    let new = range(OURS, "ED", "10706", 0, 1);
    let file = desk.file("x/a.csv", &[overlap, new, stranger]).await;
    assert_eq!(file.recorded, [new]);
    let waiting: Vec<(&str, &str)> = file
        .contradicted
        .iter()
        .map(|one| (one.origin.place(), one.defects[0].code.as_str()))
        .collect();
    assert_eq!(
        waiting,
        [
            ("x/a.csv:2", "range_overlap"),
            ("x/a.csv:4", "unknown_company")
        ]
    );
    let quarantine = desk.intake.ledger.quarantine().await.unwrap();
    assert_eq!(quarantine.len(), 2);
    assert_eq!(
        quarantine[0].subject,
        "53567686 EC 22628050-22628099 107/05 - 107/06"
    );

    // What is kept of it is a file by itself.
    let kept = desk.intake.ledger.message(quarantine[0].id).await.unwrap();
    let kept = kept.unwrap();
    assert_eq!(kept.file, Some(Source::Csv));
    let raw = kept.raw.unwrap();
    let rows = platform::read(Source::Csv, &raw).unwrap().rows;
    assert_eq!(rows[0].allocation, overlap);
    let news = desk.column("SELECT key FROM news").await;
    assert_eq!(news.len(), 2);

    // In another file it is still the same thing, of which people know.
    let more = range(OURS, "EF", "10706", 0, 1);
    let again = desk.file("b.csv", &[more, overlap]).await;
    assert_eq!((again.recorded.len(), again.contradicted.len()), (1, 1));
    assert_eq!(desk.column("SELECT key FROM news").await, news);
    assert_eq!(desk.intake.ledger.quarantine().await.unwrap().len(), 2);

    // The same file again changes nothing, and says what still waits.
    let same = desk.file("x/a.csv", &[overlap, new, stranger]).await;
    let counts = (same.recorded.len(), same.known, same.contradicted.len());
    assert_eq!(counts, (0, 1, 2));

    let refused = desk.decide(quarantine[0].id, Release::default()).await;
    assert!(
        matches!(refused, Err(Refusal::Defects { .. })),
        "{refused:?}"
    );
    // Of its company the row speaks for itself: once that is known, it may be released.
    let known = vec![
        company(),
        Company::new("04595257".parse().unwrap(), "第三家公司"),
    ];
    desk.intake.rules.companies = Companies::new(known).unwrap();
    let released = desk.decide(quarantine[1].id, Release::default()).await;
    assert_eq!(released, Ok(Disposition::Imported));
    let sources = desk.sources().await;
    assert_eq!(sources, ["EC mail", "ED csv", "EF csv", "EE csv"]);
}

#[tokio::test]
async fn a_person_may_overrule_of_a_row_what_may_be_overruled_of_a_mail() {
    let desk = Desk::new().await;
    let far = range(OURS, "EC", "11106", 0, 1);
    let file = desk.file("a.csv", &[far]).await;
    assert_eq!(
        file.contradicted[0].defects[0].code.as_str(),
        "period_too_far"
    );
    let id = desk.intake.ledger.quarantine().await.unwrap()[0].id;
    let released = desk.decide(id, Release::default()).await;
    assert_eq!(released, Ok(Disposition::Imported));
    assert_eq!(desk.sources().await, ["EC csv"]);
}

#[tokio::test]
async fn mails_that_wait_for_a_company_settle_when_a_file_tells_it() {
    let mut desk = Desk::new().await;
    for track in ["EC", "ED", "EE"] {
        assert_eq!(desk.mail(nobody_s(track)).await, Disposition::Quarantined);
    }
    // Something else is wrong with this one.
    let forged = String::from_utf8(nobody_s("EC")).unwrap();
    let forged = forged.replace("einvoice@einvoice.nat.gov.tw", "a@b.example");
    desk.mail(forged.into_bytes()).await;
    // Half of this one is told by the file; the rest is new.
    let two = String::from_utf8(nobody_s("EC")).unwrap()
        + "字軌名稱：EF\r\n發票期別：107/05 - 107/06\r\n發票類別：一般稅額計算\r\n\
           申請本數：0\r\n增加本數：1\r\n發票起號：00000000\r\n發票迄號：00000049\r\n";
    desk.mail(two.into_bytes()).await;

    // Without anybody to be told, what brings something new goes on waiting.
    let loud = desk.intake.style.take();
    let both = [specimen(), range(OURS, "ED", "10706", 22_628_000, 128)];
    let file = desk.file("a.csv", &both).await;
    let ends = |file: &Reconciled| -> Vec<Disposition> {
        file.explained.iter().map(|one| one.disposition).collect()
    };
    assert_eq!(ends(&file), [Disposition::Duplicate; 2]);
    desk.intake.style = loud;
    let file = desk.file("a.csv", &both).await;
    assert_eq!(ends(&file), [Disposition::Imported]);
    assert_eq!(desk.sources().await, ["EC csv", "ED csv", "EF mail"]);
    let posted = desk.posted().await;
    assert_eq!(posted.len(), 2, "{posted:?}");

    let waiting = desk.intake.ledger.quarantine().await.unwrap();
    let waiting: Vec<i64> = waiting.iter().map(|row| row.id).collect();
    assert_eq!(waiting, [3, 4]);
    let told = "SELECT json_extract(cause, '$.message_id') || '' FROM news ORDER BY id";
    assert_eq!(
        desk.column(told).await,
        ["3", "4"],
        "nobody need look at the others"
    );
    let settled = desk.intake.ledger.message(1).await.unwrap().unwrap();
    assert_eq!(
        settled
            .company
            .map(|(ban, source)| (ban.to_string(), source)),
        Some((OURS.to_owned(), "file".to_owned()))
    );

    // What comes after the file needs nobody.
    let late = String::from_utf8(nobody_s("ED")).unwrap() + "\r\n";
    assert_eq!(desk.mail(late.into_bytes()).await, Disposition::Duplicate);
}

#[tokio::test]
async fn a_file_that_fails_at_its_last_step_has_recorded_and_told_nothing() {
    let mut desk = Desk::new().await;
    desk.mail(nobody_s("EC")).await;
    let stranger = range("04595257", "EE", "10706", 0, 1);
    for fails in [
        "UPDATE OF disposition ON message WHEN OLD.id = 1",
        "INSERT ON outbox",
        "INSERT ON news",
    ] {
        desk.sql(&format!(
            "CREATE TRIGGER broken AFTER {fails} BEGIN SELECT RAISE(ABORT, 'broken'); END"
        ))
        .await;
        let failed = desk.try_file("a.csv", &[specimen(), stranger]).await;
        assert!(failed.is_err(), "{fails}");
        assert!(desk.sources().await.is_empty(), "{fails}");
        assert!(desk.posted().await.is_empty(), "{fails}");
        let messages = desk.column("SELECT disposition FROM message").await;
        assert_eq!(messages, ["quarantined"], "{fails}");
        desk.sql("DROP TRIGGER broken").await;
    }
    let file = desk.file("a.csv", &[specimen(), stranger]).await;
    let counts = [&file.contradicted, &file.explained].map(Vec::len);
    assert_eq!((file.recorded.len(), counts), (1, [1, 1]));
}

#[tokio::test]
async fn in_a_digest_the_readers_of_one_company_see_nothing_of_another_s() {
    let sent = tempfile::tempdir().unwrap();
    let transport = Transport::Directory(sent.path().to_owned());
    let (mut dispatcher, _home): (Dispatcher, _) = dispatcher(transport).await;
    dispatcher.style.confirm = Confirm::Digest;
    let mut desk = Desk::new().await;
    desk.intake.ledger = dispatcher.ledger.clone();
    desk.intake.style = Some(dispatcher.style.clone());
    let theirs = range(THEIRS, "ED", "10706", 0, 2);
    desk.file("a.csv", &[specimen(), theirs]).await;
    for seconds in [4000, 4001, 4002] {
        dispatcher.run_once(after(seconds)).await.unwrap();
    }
    let mut mails: Vec<String> = std::fs::read_dir(sent.path())
        .unwrap()
        .map(|entry| {
            let eml = std::fs::read(entry.unwrap().path()).unwrap();
            let mail = mail_parser::MessageParser::default().parse(&eml).unwrap();
            mail.body_text(0).unwrap().into_owned()
        })
        .collect();
    mails.sort_by_key(|text| text.contains("他們公司"));
    assert_eq!(mails.len(), 2, "{mails:#?}");
    for (text, own, other) in [
        (&mails[0], "22628000", "他們公司"),
        (&mails[1], "00000099", "22628000"),
    ] {
        assert!(text.contains(own) && !text.contains(other), "{text}");
    }
}

#[tokio::test]
async fn five_thousand_rows_take_seconds() {
    let desk = Desk::new().await;
    let ranges: Vec<Allocation> = (0..5000)
        .map(|n| range(OURS, "EC", "10706", n * 50, 1))
        .collect();
    let began = Instant::now();
    let file = desk.file("a.csv", &ranges).await;
    let took = began.elapsed();
    println!("5,000 rows in {took:?}");
    assert_eq!(file.recorded.len(), 5000);
    assert!(took.as_secs() < 60, "{took:?}");
}

#[tokio::test]
async fn rows_of_one_file_that_share_numbers_wait_both_for_nobody_knows_which_is_right() {
    let desk = Desk::new().await;
    let long = range(OURS, "EC", "10706", 0, 10);
    let inside = range(OURS, "EC", "10706", 50, 1);
    let at_its_end = range(OURS, "EC", "10706", 450, 3);
    let behind = range(OURS, "EC", "10706", 600, 1);
    let same_for_others = range(THEIRS, "EC", "10706", 600, 1);
    let (other_period, alone) = (
        range(OURS, "ED", "10706", 0, 10),
        range(OURS, "EC", "10706", 650, 2),
    );
    // Said twice, one of them before and one behind what contradicts it.
    let rows = [
        long,
        alone,
        inside,
        behind,
        long,
        at_its_end,
        same_for_others,
        other_period,
        alone,
    ];
    let file = desk.file("a.csv", &rows).await;
    assert_eq!(file.recorded, [alone, other_period]);
    assert_eq!(file.known, 1);
    let waiting: Vec<&str> = file
        .contradicted
        .iter()
        .map(|one| one.origin.place())
        .collect();
    let lines = [2, 4, 5, 6, 7, 8].map(|line| format!("a.csv:{line}"));
    assert_eq!(waiting, lines);
    let quarantine = desk.intake.ledger.quarantine().await.unwrap();
    assert_eq!(quarantine.len(), 5, "line 6 says what line 2 says");
    let words = &file.contradicted[1].defects[0].detail;
    assert_eq!(
        words.en,
        "EC 00000050-00000099 107/05 - 107/06 shares numbers with EC 00000000-00000499 107/05 - \
         107/06 of 一般稅額計算, on line 2 of the same file, for 53567686"
    );

    // The very same file says the same again.
    let again = desk.file("a.csv", &rows).await;
    assert_eq!((again.known, again.contradicted.len()), (3, 6));

    // Who looks it up releases the right one; then the wrong one contradicts the ledger.
    let released = desk.decide(3, Release::default()).await;
    assert_eq!(released, Ok(Disposition::Imported));
    let refused = desk.decide(2, Release::default()).await;
    assert!(
        matches!(refused, Err(Refusal::Defects { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn of_two_rows_that_share_numbers_the_one_that_is_recorded_is_confirmed() {
    let mut desk = Desk::new().await;
    desk.mail(Notice::default().eml()).await;
    let overlap = range(OURS, "EC", "10706", 22_628_050, 1);
    let file = desk.file("a.csv", &[overlap, specimen()]).await;
    let counts = (file.confirmed, file.contradicted.len());
    assert_eq!((counts, file.recorded.len()), ((1, 1), 0));
    assert_eq!(file.contradicted[0].origin.place(), "a.csv:2");
}

#[tokio::test]
async fn a_company_of_which_a_file_says_nothing_new_is_told_nothing() {
    let mut desk = Desk::new().await;
    desk.mail(Notice::default().eml()).await;
    let told = desk.posted().await;
    desk.file("a.csv", &[specimen(), range(THEIRS, "ED", "10706", 0, 2)])
        .await;
    let posted = desk.posted().await;
    let new: Vec<&String> = posted.iter().filter(|one| !told.contains(one)).collect();
    assert_eq!(new.len(), 2, "{new:?}");
    assert!(new.iter().all(|one| !one.contains(OURS)), "{new:?}");
}

#[tokio::test]
async fn what_is_true_of_many_rows_is_said_once() {
    let desk = Desk::new().await;
    let over = [0, 50].map(|begin| range(OURS, "EB", "10702", begin, 1));
    desk.file("a.csv", &over).await;
    let now = after(60);
    let lease = desk.intake.ledger.lease(None, now, now, after(600)).await;
    let letter = lease.unwrap().unwrap().letter;
    let mail = mail_parser::MessageParser::default()
        .parse(&letter.eml)
        .unwrap();
    let text = mail.body_text(0).unwrap();
    assert_eq!(text.matches("已經過期").count(), 1, "{text}");
}
