//! One mailbox of the daemon on a real Dovecot and a real ledger: how far back the first scan
//! looks, and that nothing is taken in twice.

use std::sync::Arc;

use invoice_trackd::{
    authenticity::Require,
    clock::Clock,
    daemon::{Orders, Watch},
    http::Vitals,
    intake::Intake,
    ledger::Ledger,
    mailbox::{Bounds, Imap, ImapSettings, Source},
    notice::Rules,
    tls::TlsMode,
};
use jiff::{
    Timestamp,
    civil::{Date, date},
};
use tokio::sync::{Notify, watch};

use crate::support::{
    daemon::{Notice, unwatched},
    dovecot::{Dovecot, PASSWORD},
};

fn now() -> Timestamp {
    "2026-07-20T04:00:00Z".parse().unwrap()
}

fn watching(
    dovecot: &Dovecot,
    ledger: &Ledger,
    since: Option<Date>,
    stopped: &watch::Receiver<bool>,
) -> Watch {
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
    let orders = Orders {
        source: Source::Imap(Imap::new(settings)),
        company: None,
        since,
        intake: Intake {
            ledger: ledger.clone(),
            rules: Rules::default(),
            require: Require::None,
            style: None,
        },
    };
    Watch {
        name: "einvoice".to_owned(),
        orders: watch::channel(Arc::new(orders)).1,
        clock: Clock::manual(now()),
        wake: Arc::new(Notify::new()),
        vitals: watch::Sender::new(Vitals {
            ledger: None,
            mailboxes: [].into(),
        }),
        pulse: unwatched(),
        stopped: stopped.clone(),
    }
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
        let watch = watching(&dovecot, &ledger, since, &stopped);
        let mut link = watch.open().await.unwrap();
        assert_eq!(watch.catch_up(&mut link).await.unwrap(), new, "{since:?}");
        assert_eq!(watch.catch_up(&mut link).await.unwrap(), 0, "{since:?}");
    }
    assert_eq!(ledger.counts().await.unwrap()["quarantined"], 4);
}
