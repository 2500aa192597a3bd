//! What people decide, on a real ledger: what may be overruled, what follows, and what is told.

use invoice_trackd::{
    authenticity::Require,
    intake::{Action, Decided, Intake, Place, Refusal},
    ledger::{AllocationFilter, Cause, Decision, Ledger, StoredMessage},
    mailbox::{Content, Origin, RawMessage},
    notice::{Ban, Disposition, Release},
};
use jiff::Timestamp;
use sqlx::{AssertSqlSafe, Connection, Row as _, SqliteConnection};
use tempfile::TempDir;

use crate::support::{
    daemon::Notice,
    dns::Dns,
    intake::{demanding, intake},
    outbox::style,
};

mod bytes;
mod commands;
mod copies;
mod rules;
mod withdrawal;

const BAN: &str = "53567686";

fn now() -> Timestamp {
    "2026-01-20T04:00:00Z".parse().unwrap()
}

fn ban() -> Ban {
    BAN.parse().unwrap()
}

/// A ledger, and who works on it.
struct Desk {
    intake: Intake,
    home: TempDir,
}

impl Desk {
    async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&home.path().join("ledger.db"), now())
            .await
            .unwrap();
        let intake = intake(ledger, style());
        Self { intake, home }
    }

    fn ledger(&self) -> &Ledger {
        &self.intake.ledger
    }

    async fn take(&self, message: RawMessage) -> Disposition {
        let batch = [message];
        let outcomes = self
            .intake
            .take(&batch, Place::default(), now())
            .await
            .unwrap();
        outcomes[0].disposition
    }

    async fn decide(&self, id: i64, action: Action) -> Result<Decided, Refusal> {
        let outcomes = self.decide_all(&[id], action, false).await;
        outcomes.into_iter().next().unwrap()
    }

    async fn decide_all(
        &self,
        ids: &[i64],
        action: Action,
        dry_run: bool,
    ) -> Vec<Result<Decided, Refusal>> {
        self.intake
            .decide(ids, action, &because(now()), |_| None, dry_run)
            .await
            .unwrap()
    }

    async fn release(&self, id: i64) -> Result<Decided, Refusal> {
        self.decide(id, Action::Release(Release::default())).await
    }

    async fn dismiss(&self, id: i64) -> Result<Decided, Refusal> {
        self.decide(id, Action::Dismiss).await
    }

    /// What waits, by `message.id`.
    async fn waiting(&self) -> Vec<i64> {
        let rows = self.ledger().quarantine().await.unwrap();
        rows.iter().map(|row| row.id).collect()
    }

    async fn message(&self, id: i64) -> StoredMessage {
        self.ledger().message(id).await.unwrap().unwrap()
    }

    /// The alerts that are in no letter yet.
    async fn alerts(&self) -> usize {
        let mut transaction = self.ledger().begin().await.unwrap();
        transaction.pending::<Cause>().await.unwrap().len()
    }

    async fn tracks(&self) -> Vec<String> {
        let rows = self.ledger().allocations(AllocationFilter::default());
        let rows = rows.await.unwrap();
        rows.iter()
            .map(|row| row.allocation.block.track.to_string())
            .collect()
    }

    async fn letters(&self) -> u64 {
        let counts = self.ledger().outbox_counts().await.unwrap();
        counts.values().sum()
    }

    /// Another program works on the file.
    async fn sql(&self, statement: &str) -> Vec<sqlx::sqlite::SqliteRow> {
        let url = format!("sqlite://{}", self.home.path().join("ledger.db").display());
        let mut sql = SqliteConnection::connect(&url).await.unwrap();
        let rows = sqlx::query(AssertSqlSafe(statement.to_owned()))
            .fetch_all(&mut sql)
            .await
            .unwrap();
        sql.close().await.unwrap();
        rows
    }

    /// Every row that a decision could touch, as text.
    async fn everything(&self) -> Vec<String> {
        let mut all = Vec::new();
        for (table, columns) in [
            (
                "message",
                "id, disposition, dismissed_at, company_ban, copy_of, length(raw)",
            ),
            (
                "allocation",
                "id, ban, invoice_track, message_id, withdrawn_at",
            ),
            ("decision", "id, action, who, reason, overruled"),
            ("outbox", "id, kind, subject"),
            ("news", "id, key, outbox_id"),
            ("finding", "message_id, severity, code"),
        ] {
            let rows = self
                .sql(&format!(
                    "SELECT '{table}' || ' ' || json_array({columns}) FROM {table} ORDER BY 1"
                ))
                .await;
            all.extend(rows.iter().map(|row| row.get::<String, _>(0)));
        }
        all
    }
}

fn because(at: Timestamp) -> Decision<'static> {
    Decision {
        who: "amy",
        reason: "compared with the platform",
        at,
    }
}

fn imap(uidvalidity: u32, uid: u32) -> Origin {
    Origin::Imap {
        mailbox: "einvoice".to_owned(),
        uidvalidity,
        uid,
    }
}

fn found(origin: Origin, raw: Vec<u8>) -> RawMessage {
    RawMessage {
        origin,
        internal_date: Some(now()),
        size: raw.len() as u64,
        content: Content::Whole(raw),
    }
}

fn whole(uid: u32, raw: impl Into<Vec<u8>>) -> RawMessage {
    found(imap(7, uid), raw.into())
}

/// A notice for the running period.
fn notice() -> Notice<'static> {
    Notice {
        period: "115/01 - 115/02",
        ..Notice::default()
    }
}

/// The same from somebody who is not on the list.
fn forged() -> Vec<u8> {
    Notice {
        from: "einvoice@nat-gov.example",
        ..notice()
    }
    .eml()
}
