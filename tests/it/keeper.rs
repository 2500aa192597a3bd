//! What the daemon looks after once a minute, on a real ledger and a clock moved by hand: that a
//! mailbox which does not answer is missed once, and welcomed back once.

use std::{sync::Arc, time::Duration};

use invoice_trackd::{
    authenticity::Evidence,
    clock::Clock,
    daemon::Keeper,
    delivery::{Confirm, Language, Style, Wake},
    http::{Signs, Vitals},
    ledger::{
        Cause, Entry, FoundIn, Import, Kind, Ledger, LedgerError, LinkState, OutboxRow, Past,
    },
    mailbox::{Content, Origin, RawMessage},
    notice::{Authenticity, Disposition, Judgement, Reading},
    pulse::Pulse,
};
use jiff::{SignedDuration, Timestamp};
use sqlx::{Connection as _, SqliteConnection};
use tempfile::TempDir;
use tokio::sync::{Notify, watch};

fn noon() -> Timestamp {
    "2026-07-20T04:00:00Z".parse().unwrap()
}

fn after(minutes: i64) -> Timestamp {
    noon() + SignedDuration::from_mins(minutes)
}

fn style() -> Style {
    Style {
        language: Language::En,
        from: "invoice-trackd <einvoice@example.com>".parse().unwrap(),
        confirm_to: vec!["ops@example.com".parse().unwrap()],
        alert_to: vec!["oncall@example.com".parse().unwrap()],
        confirm: Confirm::default(),
        handoffs: Vec::new(),
    }
}

struct Office {
    home: TempDir,
    ledger: Ledger,
    vitals: watch::Sender<Vitals>,
    keeper: Keeper,
}

impl Office {
    async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        Self::open(home, noon()).await
    }

    async fn open(home: TempDir, now: Timestamp) -> Self {
        let ledger = Ledger::open(&home.path().join("ledger.db"), now)
            .await
            .unwrap();
        ledger
            .hold_to_places(&[("einvoice", "INBOX of ann on imap.example.com".to_owned())])
            .await
            .unwrap();
        let vitals = watch::Sender::new(Vitals::default());
        let keeper = Keeper::new(
            ledger.clone(),
            Clock::manual(now),
            Wake::default(),
            vitals.clone(),
        );
        let office = Self {
            home,
            ledger,
            vitals,
            keeper,
        };
        office.hears(None).await;
        office
    }

    /// The daemon ends and is started again at `now`.
    async fn restart(self, now: Timestamp) -> Self {
        self.ledger.close().await;
        Self::open(self.home, now).await
    }

    /// The mailbox was last heard from then.
    async fn hears(&self, last_ok: Option<Timestamp>) {
        self.vitals.send_modify(|vitals| {
            let signs = Signs {
                last_ok,
                ..Signs::default()
            };
            vitals.mailboxes.insert("einvoice".to_owned(), signs);
        });
        if let Some(at) = last_ok {
            let seen = self.ledger.saw_mailbox("einvoice", &LinkState::Up, at);
            seen.await.unwrap();
        }
    }

    async fn look(&mut self, minutes: i64) {
        self.keeper
            .run_once(&style(), after(minutes))
            .await
            .unwrap();
    }

    async fn told(&self) -> Vec<Cause> {
        let mut transaction = self.ledger.begin().await.unwrap();
        let news = transaction.pending::<Cause>().await.unwrap();
        news.into_iter().map(|news| news.cause).collect()
    }
}

/// An old notice is taken in.
async fn takes_in(ledger: &Ledger, id: i64, at: Timestamp) {
    let past = Past::Imported(Import {
        is_file: false,
        message_id: id,
        sha256: format!("{id:064x}"),
        ban: "53567686".to_owned(),
        company_name: None,
        found_in: FoundIn::Mailbox("einvoice".to_owned()),
        warnings: Vec::new(),
        fallen: Vec::new(),
        to: Vec::new(),
    });
    let mut transaction = ledger.begin().await.unwrap();
    let key = format!("imported:{id}");
    transaction.tell(&key, &past, at).await.unwrap();
    transaction.commit().await.unwrap();
}

async fn summaries(ledger: &Ledger) -> usize {
    let letters = ledger.outbox(None).await.unwrap();
    let is_summary = |letter: &&OutboxRow| letter.kind == Kind::Summary;
    letters.iter().filter(is_summary).count()
}

fn unreachable(last_ok_at: Option<Timestamp>, trouble: Option<&str>) -> Cause {
    Cause::MailboxUnreachable {
        mailbox: "einvoice".to_owned(),
        last_ok_at,
        trouble: trouble.map(str::to_owned),
    }
}

#[tokio::test]
async fn a_mailbox_is_missed_after_a_quarter_of_an_hour_and_welcomed_back_once() {
    let mut office = Office::new().await;
    office.hears(Some(noon())).await;
    for minute in 1..=15 {
        office.look(minute).await;
    }
    assert_eq!(office.told().await, []);
    let down = LinkState::Down("connect: refused".to_owned());
    let ledger = office.ledger.clone();
    ledger
        .saw_mailbox("einvoice", &down, after(2))
        .await
        .unwrap();
    for minute in 16..60 {
        office.look(minute).await;
    }
    let missed = unreachable(Some(noon()), Some("connect: refused"));
    assert_eq!(office.told().await, std::slice::from_ref(&missed));

    office.hears(Some(after(60))).await;
    for minute in 60..=75 {
        office.look(minute).await;
    }
    let back = Cause::MailboxBack {
        mailbox: "einvoice".to_owned(),
        alarmed_at: after(17),
    };
    assert_eq!(office.told().await, [missed.clone(), back.clone()]);

    // Gone again: that is news.
    for minute in 76..80 {
        office.look(minute).await;
    }
    let again = unreachable(Some(after(60)), None);
    assert_eq!(office.told().await, [missed, back, again]);
}

#[tokio::test]
async fn a_restart_forgets_neither_that_people_were_told_nor_that_they_were_not() {
    let mut office = Office::new().await;
    office.hears(Some(noon())).await;
    office.look(20).await;
    office.look(21).await;
    assert_eq!(office.told().await.len(), 1);

    // It has looked for a minute only, and people know already.
    let mut office = office.restart(after(30)).await;
    for minute in 31..60 {
        office.look(minute).await;
    }
    assert_eq!(office.told().await.len(), 1);
    office.hears(Some(after(60))).await;
    office.look(60).await;
    office.look(61).await;
    assert_eq!(office.told().await.len(), 2);

    let mut office = office.restart(after(70)).await;
    for minute in 71..=85 {
        office.look(minute).await;
    }
    assert_eq!(office.told().await.len(), 2, "the daemon was off, not deaf");
}

#[tokio::test]
async fn a_clock_that_jumps_ahead_makes_nobody_silent() {
    let mut office = Office::new().await;
    office.hears(Some(noon())).await;
    office.look(1).await;
    // The machine has slept for a day; a minute later the mailbox has answered.
    office.look(1440).await;
    office.hears(Some(after(1441))).await;
    office.look(1441).await;
    // And set back again.
    office.look(2).await;
    office.look(3).await;
    assert_eq!(office.told().await, []);
}

#[tokio::test]
async fn a_mailbox_that_never_answered_is_missed_too() {
    let mut office = Office::new().await;
    for minute in 1..40 {
        office.look(minute).await;
    }
    assert_eq!(office.told().await, [unreachable(None, None)]);
}

/// A mail begins to wait for a resolver; returns its `message.id`.
async fn begins_to_wait(ledger: &Ledger, uid: u32, at: Timestamp) -> i64 {
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
    let entry = Entry {
        message: &message,
        sha256: &format!("{uid:064x}"),
        reading: &Reading::default(),
        evidence: &Evidence {
            verdict: Authenticity::Unknown(format!("look up key {uid}: no answer within 5 s")),
            proof: None,
        },
        judgement: &Judgement {
            disposition: Disposition::Waiting,
            defects: Vec::new(),
            overruled: Vec::new(),
            warnings: Vec::new(),
            company: None,
            allocations: Vec::new(),
        },
        now: at,
    };
    let mut transaction = ledger.begin().await.unwrap();
    let id = transaction.record(&entry).await.unwrap().unwrap();
    transaction.commit().await.unwrap();
    id
}

/// A message waits no more, whatever it has become.
async fn is_settled(office: &Office, id: i64) {
    let url = format!(
        "sqlite://{}",
        office.home.path().join("ledger.db").display()
    );
    let mut sql = SqliteConnection::connect(&url).await.unwrap();
    sqlx::query("UPDATE message SET disposition = 'quarantined' WHERE id = ?")
        .bind(id)
        .execute(&mut sql)
        .await
        .unwrap();
    sql.close().await.unwrap();
}

/// Looks each minute from `first` to `last`, while the mailbox answers.
async fn looks(office: &mut Office, first: i64, last: i64) {
    for minute in first..=last {
        office.hears(Some(after(minute))).await;
        office.look(minute).await;
    }
}

#[tokio::test]
async fn a_resolver_is_missed_once_mail_has_waited_for_an_hour_and_welcomed_back_once() {
    let mut office = Office::new().await;
    let named = "127.0.0.1:5300".parse().unwrap();
    let (_named, names) = watch::channel(vec![named]);
    office.keeper.names_resolvers(names);
    let ledger = office.ledger.clone();
    let first = begins_to_wait(&ledger, 1, noon()).await;
    let second = begins_to_wait(&ledger, 2, after(30)).await;
    looks(&mut office, 1, 60).await;
    assert_eq!(office.told().await, []);
    looks(&mut office, 61, 200).await;
    let missed = Cause::ResolverUnreachable {
        mails: 2,
        since: noon(),
        words: "look up key 2: no answer within 5 s".to_owned(),
        resolvers: vec!["127.0.0.1:5300".to_owned()],
    };
    assert_eq!(office.told().await, std::slice::from_ref(&missed));

    // Neither a restart nor the end of the first one's wait is news.
    let mut office = office.restart(after(200)).await;
    is_settled(&office, first).await;
    looks(&mut office, 200, 205).await;
    assert_eq!(office.told().await.len(), 1);
    is_settled(&office, second).await;
    looks(&mut office, 206, 210).await;
    let back = Cause::ResolverBack {
        alarmed_at: after(61),
    };
    assert_eq!(office.told().await, [missed.clone(), back.clone()]);

    // Gone again: that is news, and so is its end. The system's resolvers have no names.
    begins_to_wait(&office.ledger, 3, after(210)).await;
    looks(&mut office, 211, 280).await;
    let again = Cause::ResolverUnreachable {
        mails: 1,
        since: after(210),
        words: "look up key 3: no answer within 5 s".to_owned(),
        resolvers: Vec::new(),
    };
    assert_eq!(office.told().await, [missed, back, again]);
}

#[tokio::test]
async fn nobody_hears_of_mail_that_waited_for_less_than_an_hour() {
    let mut office = Office::new().await;
    let id = begins_to_wait(&office.ledger, 1, noon()).await;
    looks(&mut office, 1, 59).await;
    is_settled(&office, id).await;
    looks(&mut office, 60, 130).await;
    // Nor where the machine slept meanwhile, and the next look finds it judged.
    let id = begins_to_wait(&office.ledger, 2, after(130)).await;
    office.hears(Some(after(1000))).await;
    office.look(1000).await;
    is_settled(&office, id).await;
    looks(&mut office, 1001, 1010).await;
    assert_eq!(office.told().await, []);
}

#[tokio::test]
async fn what_waits_is_shown_at_every_look() {
    let mut office = Office::new().await;
    let id = begins_to_wait(&office.ledger, 1, noon()).await;
    office.look(1).await;
    let shown = office.vitals.borrow().waiting.clone().unwrap();
    assert_eq!((shown.mails, shown.since), (1, noon()));
    assert_eq!(shown.words, "look up key 1: no answer within 5 s");
    is_settled(&office, id).await;
    office.look(2).await;
    assert_eq!(office.vitals.borrow().waiting, None);
}

#[tokio::test]
async fn the_summary_of_old_mail_waits_until_every_mailbox_has_been_scanned() {
    let mut office = Office::new().await;
    let scanned = |name: &str, signs: Signs| {
        office.vitals.send_modify(|vitals| {
            vitals.mailboxes.insert(name.to_owned(), signs);
        });
    };
    let done = Signs {
        last_ok: Some(noon()),
        scanned: true,
        failing_since: None,
    };
    scanned("einvoice", done);
    scanned("second", Signs::default());
    let ledger = office.ledger.clone();
    takes_in(&ledger, 1, noon()).await;
    for minute in 1..10 {
        office.look(minute).await;
    }
    assert_eq!(summaries(&ledger).await, 0, "the second may hold more");

    // One that does not answer is not waited for longer than five minutes.
    let failing = |office: &Office, since| {
        office.vitals.send_modify(|vitals| {
            vitals.mailboxes.get_mut("second").unwrap().failing_since = Some(since);
        });
    };
    failing(&office, after(10));
    office.look(14).await;
    assert_eq!(summaries(&ledger).await, 0);
    office.look(15).await;
    assert_eq!(summaries(&ledger).await, 1);

    // It answers in the end, and brings old mail for a while: one more summary.
    for minute in 20..25 {
        takes_in(&ledger, minute, after(minute)).await;
        office.look(minute).await;
    }
    assert_eq!(summaries(&ledger).await, 1);
    office.look(29).await;
    assert_eq!(summaries(&ledger).await, 2);
    office.look(60).await;
    assert_eq!(summaries(&ledger).await, 2);
}

#[tokio::test]
async fn a_ledger_that_takes_no_write_is_said_although_nothing_has_come() {
    let mut office = Office::new().await;
    office.look(0).await;
    let url = format!(
        "sqlite://{}",
        office.home.path().join("ledger.db").display()
    );
    let mut sql = SqliteConnection::connect(&url).await.unwrap();
    let full = "CREATE TRIGGER full BEFORE UPDATE ON ledger
                BEGIN SELECT raise(ABORT, 'database or disk is full'); END";
    sqlx::raw_sql(full).execute(&mut sql).await.unwrap();
    let since =
        "the ledger cannot be written to since 2026-07-20T04:01:00Z: database or disk is full";
    for minute in 1..3 {
        let looked = office.keeper.run_once(&style(), after(minute)).await;
        assert!(looked.is_err());
        let trouble = office.vitals.borrow().ledger_trouble();
        assert_eq!(trouble.as_deref(), Some(since));
        assert_eq!(office.vitals.borrow().ledger, Some(after(0)));
    }
    let empty = "DROP TRIGGER full";
    sqlx::raw_sql(empty).execute(&mut sql).await.unwrap();
    office.look(3).await;
    assert_eq!(office.vitals.borrow().ledger_trouble(), None);
    assert_eq!(office.vitals.borrow().ledger, Some(after(3)));
}

#[tokio::test]
async fn a_ledger_that_was_deleted_ends_the_keeping() {
    let mut office = Office::new().await;
    std::fs::remove_file(office.home.path().join("ledger.db")).unwrap();
    let (_style, current) = watch::channel(Arc::new(style()));
    let (_stop, stopped) = watch::channel(false);
    let (look, pulse) = (Notify::new(), Pulse::new(Duration::ZERO));
    let keeping = office.keeper.run(current, &look, &pulse, stopped);
    let ended = tokio::time::timeout(Duration::from_secs(30), keeping).await;
    let ended = ended.expect("it goes on");
    assert!(matches!(ended, Err(LedgerError::Replaced { .. })));
}
