//! One mailbox of the daemon on a real Dovecot and a real ledger: how far back the first scan
//! looks, and that nothing is taken in twice.

use std::{sync::Arc, time::Duration};

use invoice_trackd::{
    authenticity::Require,
    clock::Clock,
    daemon::{Orders, Watch},
    http::Vitals,
    intake::Intake,
    ledger::Ledger,
    mailbox::{Bounds, Imap, ImapSettings, Maildir, Source},
    notice::Rules,
    tls::TlsMode,
};
use jiff::{
    Timestamp,
    civil::{Date, date},
};
use tokio::{sync::watch, time::timeout};

use crate::support::{
    self,
    daemon::{Notice, maildir},
    dovecot::{Dovecot, PASSWORD},
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
        password: PASSWORD.into(),
        folder: "INBOX".to_owned(),
        after_import: None,
        bounds: Bounds::default(),
    };
    Source::Imap(Imap::new(settings))
}

fn orders(source: Source, ledger: &Ledger, since: Option<Date>) -> Arc<Orders> {
    Arc::new(Orders {
        source,
        company: None,
        since,
        intake: Intake {
            ledger: ledger.clone(),
            rules: Rules::default(),
            require: Require::None,
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
