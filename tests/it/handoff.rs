//! Numbers handed to the systems that issue invoices: what goes out, what an answer means, and that
//! nobody waits for anybody.

use std::{path::Path, time::Duration};

use invoice_trackd::{
    delivery::{
        Dispatcher, Handoff, Patience, Style, System, Transport,
        compose::{self, Event, Handed},
        handoff::{Drop, Format, Way, Webhook},
    },
    ledger::{AllocationRow, Cause, Kind, Ledger, Letter},
    notice::{Allocation, Block, InvoiceNo, InvoiceType, Range},
};
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;

use crate::support::{outbox::style, scripted_http::ScriptedHttp};

mod directory;
mod ended;
mod handed;
mod killed;
mod receivers;
mod recipe;
mod stopped;
mod taken_back;
mod together;
mod webhook;

/// As the standard's own libraries have it in their tests.
const SECRET: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn now() -> Timestamp {
    "2018-04-20T02:00:00Z".parse().unwrap()
}

fn after(minutes: i64) -> Timestamp {
    now() + SignedDuration::from_mins(minutes)
}

/// What the system `erp` is handed of a range of this track.
fn letter(event: Event, track: &str) -> Letter {
    let number = |text| InvoiceNo::parse(text).unwrap();
    let ban = "53567686".parse().unwrap();
    let row = AllocationRow {
        id: 7,
        allocation: Allocation {
            ban,
            block: Block {
                invoice_type: InvoiceType::General,
                period: "10706".parse().unwrap(),
                track: track.parse().unwrap(),
                range: Range::new(number("22628000"), number("22634399")).unwrap(),
                requested_booklets: Some(0),
                added_booklets: Some(128),
            },
        },
        message_id: 3,
        imported_at: now(),
        withdrawn_at: matches!(event, Event::Withdrawn).then(|| after(1)),
    };
    let handed = Handed {
        event,
        message_id: 3,
        about: "sha256",
        ban,
        company_name: Some("雲端行動科技股份有限公司"),
        rows: &[row],
    };
    compose::handoff(&handed, "erp", now())
}

fn to(url: &str, ca_file: Option<&Path>) -> Transport {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    Transport::System(System {
        name: "erp".to_owned(),
        way: Way::Webhook(Webhook {
            url: url.parse().unwrap(),
            secret: BASE64_STANDARD.decode(SECRET).unwrap().into(),
            ca_file: ca_file.map(Path::to_owned),
        }),
    })
}

fn to_server(server: &ScriptedHttp) -> Transport {
    to(&server.url(), server.ca_file())
}

fn to_directory(path: &Path, formats: &[Format]) -> Transport {
    Transport::System(System {
        name: "erp".to_owned(),
        way: Way::Directory(Drop {
            path: path.to_owned(),
            formats: formats.to_vec(),
        }),
    })
}

/// Who is told, in a configuration with these systems.
fn with(systems: &[&str]) -> Style {
    let handoffs = systems.iter().map(|name| Handoff {
        name: (*name).to_owned(),
        past: false,
    });
    Style {
        handoffs: handoffs.collect(),
        ..style()
    }
}

async fn ledger() -> (Ledger, TempDir) {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("ledger.db");
    (Ledger::open(&path, now()).await.unwrap(), home)
}

fn dispatcher(ledger: &Ledger, transport: Transport) -> Dispatcher {
    Dispatcher {
        ledger: ledger.clone(),
        transport,
        style: with(&["erp"]),
        patience: Patience {
            attempt: Duration::from_secs(20),
            ..Patience::default()
        },
    }
}

async fn post(ledger: &Ledger, letter: &Letter) {
    let mut transaction = ledger.begin().await.unwrap();
    transaction.post(letter, None, now()).await.unwrap();
    transaction.commit().await.unwrap();
}

/// The hand-offs in the outbox, oldest first: state and attempts.
async fn handoffs(ledger: &Ledger) -> Vec<(&'static str, u32)> {
    let mut rows = ledger.outbox(None).await.unwrap();
    rows.retain(|row| row.kind == Kind::Handoff);
    rows.sort_by_key(|row| row.id);
    rows.iter()
        .map(|row| (row.state.as_str(), row.attempts))
        .collect()
}

/// What people must be told and have not been.
async fn news(ledger: &Ledger) -> Vec<Cause> {
    let mut transaction = ledger.begin().await.unwrap();
    let news = transaction.pending::<Cause>().await.unwrap();
    news.into_iter().map(|news| news.cause).collect()
}
