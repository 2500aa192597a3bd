//! One mailbox of the daemon on a real Dovecot and a real ledger: how far back the first scan
//! looks, and that nothing is taken in twice.

use std::{path::Path, sync::Arc, time::Duration};

use invoice_trackd::{
    clock::Clock,
    daemon::{Orders, Watch},
    http::Vitals,
    intake::{Intake, Place},
    ledger::{Ledger, LedgerError},
    mailbox::{Bounds, Imap, ImapSettings, Maildir, Source},
    notice::Rules,
    tls::TlsMode,
};
use jiff::{
    Timestamp,
    civil::{Date, date},
};
use sqlx::{Connection as _, SqliteConnection};
use tokio::{sync::watch, time::timeout};

use crate::support::{
    self,
    daemon::{Notice, maildir},
    dovecot::{Dovecot, PASSWORD},
    intake::believing,
    watch::hurried,
};

/// For what takes milliseconds, on a machine that is busy with something else.
const SOON: Duration = Duration::from_secs(30);

fn now() -> Timestamp {
    "2026-07-20T04:00:00Z".parse().unwrap()
}

fn source(dovecot: &Dovecot) -> Source {
    let settings = ImapSettings {
        name: "einvoice".to_owned(),
        host: "localhost".to_owned(),
        port: dovecot.imaps_port,
        tls: TlsMode::Implicit,
        ca_file: Some(dovecot.ca_file()),
        username: "ann".to_owned(),
        credential: PASSWORD.into(),
        folder: "INBOX".to_owned(),
        after_import: None,
        bounds: Bounds::default(),
    };
    Source::Imap(Imap::new(settings))
}

fn orders(source: Source, ledger: &Ledger, since: Option<Date>) -> Arc<Orders> {
    Arc::new(Orders {
        source,
        place: Place::default(),
        since,
        intake: Intake {
            ledger: ledger.clone(),
            rules: Rules::default(),
            verifier: believing(),
            style: None,
        },
    })
}

fn watching(orders: watch::Receiver<Arc<Orders>>, stopped: &watch::Receiver<bool>) -> Watch {
    support::watch::watch(orders, Clock::manual(now()), stopped.clone())
}

#[tokio::test]
async fn the_first_scan_looks_back_to_january_unless_since_says_otherwise() {
    let dovecot = Dovecot::start();
    for (day, track) in [
        ("15-Jun-2025", "EA"),
        ("30-Dec-2025", "EB"),
        ("02-Jan-2026", "EC"),
        ("01-Mar-2026", "ED"),
    ] {
        let notice = Notice {
            track,
            ..Notice::default()
        };
        dovecot.deliver_dated("ann", &format!("{day} 12:00:00 +0000"), &notice.eml());
    }
    let home = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&home.path().join("ledger.db"), now())
        .await
        .unwrap();
    let (_stop, stopped) = watch::channel(false);
    // The ledger's first year; the same again; earlier, which opens what was left out; and later,
    // which forgets nothing.
    for (since, new) in [
        (None, 2),
        (None, 0),
        (Some(date(2025, 12, 1)), 1),
        (Some(date(2025, 6, 1)), 1),
        (Some(date(2026, 2, 1)), 0),
    ] {
        let (_orders, current) = watch::channel(orders(source(&dovecot), &ledger, since));
        let watch = watching(current, &stopped);
        let mut link = watch.open().await.unwrap();
        assert_eq!(watch.catch_up(&mut link).await.unwrap(), new, "{since:?}");
        assert_eq!(watch.catch_up(&mut link).await.unwrap(), 0, "{since:?}");
    }
    assert_eq!(ledger.counts().await.unwrap()["quarantined"], 4);
}

#[tokio::test]
async fn a_ledger_that_a_clock_ahead_has_dated_is_scanned_from_the_real_year_on() {
    let dovecot = Dovecot::start();
    for (day, track) in [("30-Dec-2025", "EB"), ("02-Jan-2026", "EC")] {
        let notice = Notice {
            track,
            ..Notice::default()
        };
        dovecot.deliver_dated("ann", &format!("{day} 12:00:00 +0000"), &notice.eml());
    }
    let home = tempfile::tempdir().unwrap();
    let ahead = "2036-07-20T04:00:00Z".parse().unwrap();
    let ledger = Ledger::open(&home.path().join("ledger.db"), ahead)
        .await
        .unwrap();
    let (_stop, stopped) = watch::channel(false);
    let (_orders, current) = watch::channel(orders(source(&dovecot), &ledger, None));
    let watch = watching(current, &stopped);
    let mut link = watch.open().await.unwrap();
    assert_eq!(watch.catch_up(&mut link).await.unwrap(), 1);
}

#[tokio::test]
async fn an_earlier_since_is_followed_at_once() {
    let dovecot = Dovecot::start();
    let notice = Notice::default().eml();
    dovecot.deliver_dated("ann", "30-Dec-2025 12:00:00 +0000", &notice);
    let home = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&home.path().join("ledger.db"), now())
        .await
        .unwrap();
    let (stop, stopped) = watch::channel(false);
    let (order, current) = watch::channel(orders(source(&dovecot), &ledger, None));
    let watch = watching(current, &stopped);
    let mut vitals = watch.vitals.subscribe();
    let running = tokio::spawn(async move { watch.run().await });
    vitals.wait_for(Vitals::is_scanned).await.unwrap();
    let judged = async || ledger.counts().await.unwrap()["quarantined"];
    assert_eq!(judged().await, 0);

    let earlier = orders(source(&dovecot), &ledger, Some(date(2025, 12, 1)));
    order.send_replace(earlier);
    let seen = async {
        while judged().await == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SOON, seen)
        .await
        .expect("not after IDLE's 5 minutes");
    stop.send_replace(true);
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn since_when_a_mailbox_fails_is_known_until_it_answers() {
    let home = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&home.path().join("ledger.db"), now())
        .await
        .unwrap();
    let path = home.path().join("mailbox");
    let poll = Duration::from_millis(50);
    let local = Source::Maildir(Maildir::new(
        "einvoice".to_owned(),
        path.clone(),
        poll,
        None,
    ));
    let (stop, stopped) = watch::channel(false);
    let (_orders, current) = watch::channel(orders(local, &ledger, None));
    let watch = watching(current, &stopped);
    let mut vitals = watch.vitals.subscribe();
    let running = tokio::spawn(async move { watch.run().await });
    let since = |vitals: &Vitals| vitals.mailboxes["einvoice"].failing_since;
    let fails = vitals.wait_for(|vitals| since(vitals) == Some(now()));
    timeout(SOON, fails).await.unwrap().unwrap();

    maildir(&path);
    let answers = vitals.wait_for(|vitals| vitals.is_scanned() && since(vitals).is_none());
    timeout(SOON, answers).await.unwrap().unwrap();
    stop.send_replace(true);
    running.await.unwrap().unwrap();
}

/// A disk on which there is room for everything but one table.
const NO_ROOM_FOR_MAIL: &str = "CREATE TRIGGER full BEFORE INSERT ON message
    BEGIN SELECT raise(ABORT, 'the disk is full'); END";
const NO_ROOM_FOR_A_SIGN_OF_LIFE: &str = "CREATE TRIGGER full BEFORE INSERT ON mailbox
    BEGIN SELECT raise(ABORT, 'the disk is full'); END";

/// Any other program at the ledger in `home`.
async fn by_hand(home: &Path, statement: &'static str) {
    let url = format!("sqlite://{}", home.join("ledger.db").display());
    let mut sql = SqliteConnection::connect(&url).await.unwrap();
    sqlx::raw_sql(statement).execute(&mut sql).await.unwrap();
    sql.close().await.unwrap();
}

#[tokio::test]
async fn a_ledger_that_fails_is_not_held_against_the_mailbox_and_forgotten_once_it_works() {
    let home = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&home.path().join("ledger.db"), now())
        .await
        .unwrap();
    let mut dovecot = Dovecot::start();
    let (stop, stopped) = watch::channel(false);
    let (_orders, current) = watch::channel(orders(source(&dovecot), &ledger, None));
    let watch = Watch {
        pauses: hurried(),
        ..watching(current, &stopped)
    };
    let mut vitals = watch.vitals.subscribe();
    let full = "the ledger cannot be written to since 2026-07-20T04:00:00Z: the disk is full";
    let signs = |vitals: &Vitals| vitals.mailboxes["einvoice"];
    let fails = |vitals: &Vitals| vitals.ledger_trouble().as_deref() == Some(full);
    let works = |vitals: &Vitals| vitals.ledger_trouble().is_none() && signs(vitals).scanned;

    dovecot.deliver("ann", "INBOX", &Notice::default().eml());
    by_hand(home.path(), NO_ROOM_FOR_MAIL).await;
    let running = tokio::spawn(async move { watch.run().await });
    let failing = vitals.wait_for(fails);
    let seen = *timeout(SOON, failing).await.unwrap().unwrap().mailboxes["einvoice"]
        .last_ok
        .as_ref()
        .expect("it was read, and nobody is to look there");
    assert_eq!(seen, now());
    assert_eq!(signs(&vitals.borrow()).failing_since, None);
    by_hand(home.path(), "DROP TRIGGER full").await;
    let working = vitals.wait_for(works);
    timeout(SOON, working).await.unwrap().unwrap();

    // What fails last, when all that was new has been recorded already.
    by_hand(home.path(), NO_ROOM_FOR_A_SIGN_OF_LIFE).await;
    dovecot.deliver("ann", "INBOX", &Notice::default().eml());
    let failing = vitals.wait_for(fails);
    timeout(SOON, failing).await.unwrap().unwrap();
    by_hand(home.path(), "DROP TRIGGER full").await;
    let working = vitals.wait_for(works);
    timeout(SOON, working).await.unwrap().unwrap();

    // And where it works again while the mailbox is gone, only that is to be said.
    by_hand(home.path(), NO_ROOM_FOR_MAIL).await;
    dovecot.deliver("ann", "INBOX", &Notice::default().eml());
    let failing = vitals.wait_for(fails);
    timeout(SOON, failing).await.unwrap().unwrap();
    dovecot.stop();
    by_hand(home.path(), "DROP TRIGGER full").await;
    let is_down = |vitals: &Vitals| works(vitals) && signs(vitals).failing_since.is_some();
    let down = vitals.wait_for(is_down);
    timeout(SOON, down).await.unwrap().unwrap();
    stop.send_replace(true);
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_ledger_that_was_deleted_ends_the_watching() {
    let home = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&home.path().join("ledger.db"), now())
        .await
        .unwrap();
    let path = home.path().join("mailbox");
    maildir(&path);
    let poll = Duration::from_millis(50);
    let mailbox = Maildir::new("einvoice".to_owned(), path, poll, None);
    let (_stop, stopped) = watch::channel(false);
    let (_orders, current) = watch::channel(orders(Source::Maildir(mailbox), &ledger, None));
    let watch = watching(current, &stopped);
    std::fs::remove_file(home.path().join("ledger.db")).unwrap();
    let ended = timeout(SOON, watch.run()).await.expect("it goes on");
    assert!(matches!(ended, Err(LedgerError::Replaced { .. })));
    assert!(watch.vitals.borrow().ledger_trouble().is_some());

    // Of a mailbox that the configuration no longer names, nobody could take it away again.
    watch.vitals.send_replace(Vitals::default());
    timeout(SOON, watch.run()).await.unwrap().unwrap_err();
    assert_eq!(watch.vitals.borrow().ledger_trouble(), None);
}
