//! A resolver that fails is no verdict: mail waits for it, is asked about again, and becomes what it
//! would have become on its arrival. Step by step here, on a real ledger and a scripted DNS server,
//! and its bounds in `limits`; on the real binary in `commands`, `running` and `killed`.

use std::sync::{Arc, OnceLock};

use invoice_trackd::{
    authenticity::{Require, Settings, Verifier},
    intake::{Intake, Outcome, Place},
    ledger::{AllocationFilter, Cause, Ledger, Past, StoredMessage},
    mailbox::{Content, Origin, RawMessage},
    notice::Disposition,
};
use jiff::{SignedDuration, Timestamp};
use mail_auth::hickory_resolver::proto::op::ResponseCode;
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

use crate::support::{
    daemon::{Notice, notice},
    dns::{Answer, Dns},
    intake::{believing, demanding, intake},
    outbox::style,
    signer,
};

mod commands;
mod killed;
mod limits;
mod running;

fn start() -> Timestamp {
    "2018-04-20T02:00:00Z".parse().unwrap()
}

fn after(seconds: i64) -> Timestamp {
    start() + SignedDuration::from_secs(seconds)
}

fn fails(dns: &Dns) {
    dns.override_all(Some(Answer::Code(ResponseCode::ServFail)));
}

fn answers(dns: &Dns) {
    dns.override_all(None);
}

/// A ledger, and who works on it; keys come from a DNS server that fails at first.
struct Desk {
    intake: Intake,
    dns: Dns,
    home: TempDir,
}

impl Desk {
    async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&home.path().join("ledger.db"), start())
            .await
            .unwrap();
        let dns = signer::dns();
        fails(&dns);
        let mut intake = intake(ledger, style());
        intake.verifier = demanding(Require::Dkim, &dns);
        Self { intake, dns, home }
    }

    fn ledger(&self) -> &Ledger {
        &self.intake.ledger
    }

    /// A mail comes; returns what became of it.
    async fn takes(&self, uid: u32, eml: Vec<u8>) -> Outcome {
        let outcomes = self.takes_all(vec![mail(uid, eml)]).await;
        outcomes.into_iter().next().unwrap()
    }

    async fn takes_all(&self, mails: Vec<RawMessage>) -> Vec<Outcome> {
        self.intake
            .take(&mails, Place::default(), start())
            .await
            .unwrap()
    }

    /// One step; what became of whom.
    async fn asks(&self, seconds: i64) -> Vec<(u32, Disposition)> {
        let outcomes = self.intake.ask_again(|_| Place::default(), after(seconds));
        let outcomes = outcomes.await.unwrap();
        outcomes.iter().map(brief).collect()
    }

    async fn message(&self, id: i64) -> StoredMessage {
        self.ledger().message(id).await.unwrap().unwrap()
    }

    /// Recorded tracks.
    async fn tracks(&self) -> Vec<String> {
        let rows = self.ledger().allocations(AllocationFilter::default());
        let rows = rows.await.unwrap();
        rows.iter()
            .map(|row| row.allocation.block.track.to_string())
            .collect()
    }

    async fn letters(&self) -> usize {
        self.ledger().outbox(None).await.unwrap().len()
    }

    async fn alerts(&self) -> usize {
        let mut transaction = self.ledger().begin().await.unwrap();
        transaction.pending::<Cause>().await.unwrap().len()
    }

    /// Another program works on the file.
    async fn sql(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(self.home.path().join("ledger.db"));
        SqliteConnection::connect_with(&options).await.unwrap()
    }

    /// What another program is told that tries `statement`.
    async fn attempt(&self, statement: &str) -> Result<(), String> {
        let mut sql = self.sql().await;
        let tried = sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
            .execute(&mut sql)
            .await;
        sql.close().await.unwrap();
        tried.map(drop).map_err(|error| error.to_string())
    }

    async fn count(&self, what: &'static str) -> i64 {
        let mut sql = self.sql().await;
        let count = sqlx::query_scalar(what).fetch_one(&mut sql).await.unwrap();
        sql.close().await.unwrap();
        count
    }
}

fn mail(uid: u32, eml: Vec<u8>) -> RawMessage {
    RawMessage {
        origin: Origin::Imap {
            mailbox: "einvoice".to_owned(),
            uidvalidity: 7,
            uid,
        },
        internal_date: Some(start()),
        size: eml.len() as u64,
        content: Content::Whole(eml),
    }
}

fn brief(outcome: &Outcome) -> (u32, Disposition) {
    match outcome.origin {
        Origin::Imap { uid, .. } => (uid, outcome.disposition),
        _ => panic!("{outcome:?}"),
    }
}

/// The same bytes each time: a signature holds the moment at which it was made.
fn signed() -> Vec<u8> {
    static SIGNED: OnceLock<Vec<u8>> = OnceLock::new();
    let sign = || signer::sign(&Notice::default().eml());
    SIGNED.get_or_init(sign).clone()
}

#[tokio::test]
async fn it_is_asked_again_after_5_s_and_ever_later_up_to_5_min_and_not_before() {
    let desk = Desk::new().await;
    let outcome = desk.takes(1, signed()).await;
    assert_eq!(outcome.disposition, Disposition::Waiting);
    let words = outcome.waits_for.unwrap();
    let name = signer::record_name();
    assert!(words.contains(&name), "{words}");

    let mut now = 0;
    for (asked, pause) in (1..).zip([5, 10, 20, 40, 80, 160, 300, 300, 300]) {
        let wait = desk.message(1).await.wait.unwrap();
        assert_eq!((wait.since, wait.asked), (start(), asked));
        assert_eq!(wait.asked_at, after(now));
        assert_eq!(wait.next_ask_at, after(now + pause));
        assert!(wait.words.contains(&name), "{wait:?}");
        let asked_so_far = desk.dns.asked().len();
        assert_eq!(desk.asks(now + pause - 1).await, []);
        assert_eq!(desk.dns.asked().len(), asked_so_far);
        now += pause;
        assert_eq!(desk.asks(now).await, [(1, Disposition::Waiting)]);
        assert!(desk.dns.asked().len() > asked_so_far);
    }

    // Whole, however often nobody answered, and with one word of evidence for it all.
    assert!(desk.message(1).await.raw.unwrap() == signed());
    assert_eq!(desk.count("SELECT count(*) FROM evidence").await, 1);
    let waiting = desk.ledger().waiting().await.unwrap().unwrap();
    assert_eq!((waiting.mails, waiting.since), (1, start()));
    assert_eq!((desk.letters().await, desk.alerts().await), (0, 0));

    // Other words from now on.
    desk.dns
        .override_all(Some(Answer::Code(ResponseCode::Refused)));
    desk.asks(now + 300).await;
    assert_ne!(desk.message(1).await.wait.unwrap().words, words);
}

#[tokio::test]
async fn an_answer_records_it_and_tells_of_it_once_as_if_it_had_just_come() {
    let desk = Desk::new().await;
    desk.takes(1, signed()).await;
    answers(&desk.dns);
    assert_eq!(desk.asks(5).await, [(1, Disposition::Imported)]);
    let message = desk.message(1).await;
    assert_eq!(
        (message.disposition, message.wait),
        (Disposition::Imported, None)
    );
    assert_eq!(message.received_at, start());
    assert_eq!(message.raw.unwrap(), signed());
    let (ban, source) = message.company.unwrap();
    assert_eq!((ban.as_str(), source.as_str()), ("53567686", "body"));
    assert_eq!(desk.tracks().await, ["EC"]);
    assert_eq!(desk.letters().await, 1);

    // The first answer stays beside the one that counts.
    assert_eq!(message.evidence.result, "pass");
    assert_eq!(message.evidence.judged_at, "2018-04-20T02:00:05.000Z");
    let results = "SELECT count(*) FROM evidence
                   WHERE (id, result) IN ((1, 'temperror'), (2, 'pass'))";
    assert_eq!(desk.count(results).await, 2);

    assert_eq!(desk.ledger().waiting().await.unwrap(), None);
    assert_eq!(desk.ledger().next_ask_at().await.unwrap(), None);
    assert_eq!(desk.asks(1000).await, []);
    assert_eq!(desk.letters().await, 1);
}

#[tokio::test]
async fn what_an_answer_does_not_prove_is_quarantined_cut_and_alerted() {
    let desk = Desk::new().await;
    let padding = "親愛的客戶您好\r\n".repeat(10_000);
    let eml = [Notice::default().eml(), padding.into_bytes()].concat();
    let eml = signer::sign(&eml);
    desk.takes(1, eml.clone()).await;
    assert_eq!(desk.message(1).await.raw.unwrap(), eml);
    desk.dns
        .override_all(Some(Answer::Code(ResponseCode::NXDomain)));
    assert_eq!(desk.asks(5).await, [(1, Disposition::Quarantined)]);
    let message = desk.message(1).await;
    let codes: Vec<&str> = message.defects.iter().map(|d| d.code.as_str()).collect();
    assert_eq!(codes, ["not_authenticated"]);
    assert_eq!(message.raw.unwrap(), eml[..64 * 1024]);
    assert_eq!(message.evidence.result, "fail");
    assert_eq!((desk.letters().await, desk.alerts().await), (0, 1));
    assert_eq!(desk.ledger().waiting().await.unwrap(), None);
}

#[tokio::test]
async fn what_todays_rules_pass_over_leaves_no_bytes_and_needs_no_answer() {
    let mut desk = Desk::new().await;
    desk.takes(1, signed()).await;
    desk.intake.rules.own_address = Some(Notice::default().from.parse().unwrap());
    let own = [b"Auto-Submitted: auto-generated\r\n", &signed()[..]].concat();
    desk.takes(2, own.clone()).await;
    desk.intake.rules.own_address = None;
    desk.takes(3, own).await;
    desk.intake.rules.own_address = Some(Notice::default().from.parse().unwrap());
    let outcomes = desk.asks(5).await;
    assert_eq!(
        outcomes,
        [(1, Disposition::Waiting), (3, Disposition::Unrelated)]
    );
    let message = desk.message(3).await;
    assert_eq!((message.raw, message.wait), (None, None));
    assert_eq!((desk.letters().await, desk.alerts().await), (0, 0));
}

#[tokio::test]
async fn rules_that_ask_for_no_proof_any_more_settle_it_without_a_resolver() {
    let mut desk = Desk::new().await;
    desk.takes(1, signed()).await;
    let asked = desk.dns.asked().len();
    desk.intake.verifier = believing();
    assert_eq!(desk.asks(5).await, [(1, Disposition::Imported)]);
    assert_eq!(desk.dns.asked().len(), asked);
    assert_eq!(desk.message(1).await.evidence.result, "not_required");
}

#[tokio::test]
async fn the_same_bytes_waiting_twice_are_recorded_and_told_of_once() {
    let desk = Desk::new().await;
    desk.takes(1, signed()).await;
    desk.takes(2, signed()).await;
    // A third comes when the resolver is back, and is judged first.
    answers(&desk.dns);
    let third = desk.takes(3, signed()).await;
    assert_eq!(third.disposition, Disposition::Imported);
    fails(&desk.dns);
    let copies = [(1, Disposition::Duplicate), (2, Disposition::Duplicate)];
    assert_eq!(desk.asks(5).await, copies);
    assert_eq!((desk.tracks().await.len(), desk.letters().await), (1, 1));
    let message = desk.message(1).await;
    assert_eq!((message.id, message.copies.len()), (3, 2));
    assert_eq!(
        desk.count("SELECT count(*) FROM message WHERE raw IS NOT NULL")
            .await,
        1
    );

    // Both in one step: the first is judged, the second takes that over.
    let desk = Desk::new().await;
    desk.takes(1, signed()).await;
    desk.takes(2, signed()).await;
    desk.dns
        .override_all(Some(Answer::Code(ResponseCode::NXDomain)));
    let both = [(1, Disposition::Quarantined), (2, Disposition::Quarantined)];
    assert_eq!(desk.asks(5).await, both);
    assert_eq!(desk.alerts().await, 1);
    assert_eq!(desk.ledger().quarantine().await.unwrap().len(), 1);
}

#[tokio::test]
async fn it_is_judged_beside_the_ledger_as_it_is_then() {
    let desk = Desk::new().await;
    desk.takes(1, signed()).await;
    let other = Notice {
        message_id: "another@einvoice.nat.gov.tw",
        ..Notice::default()
    };
    answers(&desk.dns);
    let other = desk.takes(2, signer::sign(&other.eml())).await;
    assert_eq!(other.disposition, Disposition::Imported);
    assert_eq!(desk.asks(5).await, [(1, Disposition::Duplicate)]);
    assert_eq!((desk.tracks().await.len(), desk.letters().await), (1, 1));
}

#[tokio::test]
async fn of_two_who_ask_at_the_same_time_one_is_heard() {
    let desk = Desk::new().await;
    desk.takes(1, signed()).await;
    let nowhere = |_: Option<&str>| Place::default();
    // This one asked while the resolver failed, that one a moment later.
    let early = desk.intake.ask(nowhere, after(5)).await.unwrap();
    answers(&desk.dns);
    let late = desk.intake.ask(nowhere, after(5)).await.unwrap();
    let twice = desk.intake.ask(nowhere, after(5)).await.unwrap();
    let settled = desk.intake.settle(&late[0], after(6)).await.unwrap();
    assert_eq!(settled.unwrap().disposition, Disposition::Imported);
    for answered in [&twice[0], &early[0]] {
        let settled = desk.intake.settle(answered, after(7)).await.unwrap();
        assert_eq!(settled, None);
    }
    assert_eq!(desk.message(1).await.disposition, Disposition::Imported);
    assert_eq!((desk.tracks().await.len(), desk.letters().await), (1, 1));

    // Both in vain: the second does not lengthen the pause.
    let desk = Desk::new().await;
    desk.takes(1, signed()).await;
    let both = [
        desk.intake.ask(nowhere, after(5)).await.unwrap(),
        desk.intake.ask(nowhere, after(5)).await.unwrap(),
    ];
    for (answered, heard) in both.iter().zip([true, false]) {
        let settled = desk.intake.settle(&answered[0], after(5)).await.unwrap();
        assert_eq!(settled.is_some(), heard);
    }
    assert_eq!(desk.message(1).await.wait.unwrap().asked, 2);
}

#[tokio::test]
async fn old_mail_of_a_first_run_stays_in_its_summary() {
    let desk = Desk::new().await;
    let old = RawMessage {
        internal_date: Some(after(-30 * 86_400)),
        ..mail(1, signed())
    };
    desk.takes_all(vec![old]).await;
    answers(&desk.dns);
    assert_eq!(desk.asks(5).await, [(1, Disposition::Imported)]);
    assert_eq!(desk.letters().await, 0);
    let mut transaction = desk.ledger().begin().await.unwrap();
    assert_eq!(transaction.pending::<Past>().await.unwrap().len(), 1);
}

#[tokio::test]
async fn nobody_is_told_of_what_was_taken_in_without_mail() {
    let mut desk = Desk::new().await;
    let style = desk.intake.style.take();
    desk.takes(1, signed()).await;
    desk.intake.style = style;
    desk.takes(2, signer::sign(&notice("ED"))).await;
    answers(&desk.dns);
    let both = [(1, Disposition::Imported), (2, Disposition::Imported)];
    assert_eq!(desk.asks(5).await, both);
    assert_eq!(desk.letters().await, 1);
}

#[tokio::test]
async fn a_file_that_is_named_again_is_asked_about_again() {
    let desk = Desk::new().await;
    let file = || RawMessage {
        origin: Origin::File {
            path: "/notice.eml".to_owned(),
        },
        ..mail(1, signed())
    };
    for asked in [1, 2] {
        let outcomes = desk.takes_all(vec![file()]).await;
        assert!(outcomes[0].waits_for.is_some());
        assert_eq!(desk.message(1).await.wait.unwrap().asked, asked);
    }
    answers(&desk.dns);
    let outcomes = desk.takes_all(vec![file()]).await;
    assert_eq!(outcomes[0].disposition, Disposition::Imported);
    assert_eq!(outcomes[0].recorded.len(), 1);
    assert_eq!((desk.tracks().await.len(), desk.letters().await), (1, 1));
    assert_eq!(desk.asks(100).await, []);
}

#[tokio::test]
async fn a_port_at_which_nobody_listens_is_no_verdict_either() {
    let mut desk = Desk::new().await;
    let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    desk.intake.verifier = Arc::new(Verifier::new(Settings {
        dns_servers: vec![address],
        ..Settings::default()
    }));
    let outcome = desk.takes(1, signed()).await;
    assert_eq!(outcome.disposition, Disposition::Waiting);
    // The operator names another one.
    answers(&desk.dns);
    desk.intake.verifier = demanding(Require::Dkim, &desk.dns);
    assert_eq!(desk.asks(5).await, [(1, Disposition::Imported)]);
}
