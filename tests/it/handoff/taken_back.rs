//! Numbers that are withdrawn while a system has not got them, or never will: it ends up without them.

use invoice_trackd::{
    intake::{Intake, Place},
    ledger::{Decision, Declined, OutboxState},
    mailbox::{Content, Origin, RawMessage},
};

use super::*;
use crate::support::{daemon::notice, intake::intake, scripted_http::says};

/// A notice of two ranges, EC and EF, is recorded: allocations 1 and 2.
async fn records(ledger: &Ledger, systems: &[&str]) -> Intake {
    let text = String::from_utf8(notice("EC")).unwrap()
        + "字軌名稱：EF\r\n發票期別：107/05 - 107/06\r\n發票類別：一般稅額計算\r\n\
           申請本數：0\r\n增加本數：1\r\n發票起號：00000000\r\n發票迄號：00000049\r\n";
    let message = RawMessage {
        origin: Origin::File {
            path: "a.eml".to_owned(),
        },
        internal_date: Some(now()),
        size: text.len() as u64,
        content: Content::Whole(text.into_bytes()),
    };
    let desk = intake(ledger.clone(), with(systems));
    let taken = desk.take(&[message], Place::default(), now()).await;
    assert_eq!(taken.unwrap()[0].disposition.as_str(), "imported");
    desk
}

async fn withdraws(desk: &Intake, id: i64) {
    let decision = Decision {
        who: "amy",
        reason: "cancelled",
        at: after(1),
    };
    desk.withdraw(id, &decision).await.unwrap().unwrap();
}

/// What a server was told, in short.
fn told(server: &ScriptedHttp) -> Vec<&'static str> {
    let posted = server.posted();
    let bodies = posted.iter().map(|one| String::from_utf8_lossy(&one.body));
    bodies
        .map(|body| match body.contains("allocation.withdrawn") {
            true => "withdrawn",
            false => "imported",
        })
        .collect()
}

#[tokio::test]
async fn what_was_never_tried_is_called_off_with_its_withdrawals_once_all_of_it_is_withdrawn() {
    let (ledger, _home) = ledger().await;
    let server = ScriptedHttp::start(|_, _| says(200)).await;
    let desk = records(&ledger, &["erp"]).await;
    withdraws(&desk, 1).await;
    assert_eq!(
        handoffs(&ledger).await,
        [("pending", 0); 2],
        "EF is in force"
    );
    // The system is not in the configuration any more, and may be again.
    let without = intake(ledger.clone(), with(&[]));
    withdraws(&without, 2).await;
    assert_eq!(handoffs(&ledger).await, [("dropped", 0); 2]);
    for row in ledger.outbox(None).await.unwrap() {
        let by: Vec<&str> = row.decisions.iter().map(|one| one.who.as_str()).collect();
        let expected: &[&str] = match row.kind {
            Kind::Handoff => &["amy"],
            _ => &[],
        };
        assert_eq!(by, expected, "{}", row.subject);
    }
    let erp = dispatcher(&ledger, to_server(&server));
    assert!(erp.run_once(after(2)).await.unwrap().is_idle());
    assert!(server.posted().is_empty());
}

#[tokio::test]
async fn what_one_system_has_and_another_was_never_told_is_withdrawn_there_alone() {
    let (ledger, _home) = ledger().await;
    let server = ScriptedHttp::start(|_, _| says(200)).await;
    let desk = records(&ledger, &["erp", "pos"]).await;
    let erp = dispatcher(&ledger, to_server(&server));
    assert_eq!(erp.run_once(now()).await.unwrap().sent, 1);
    withdraws(&desk, 1).await;
    withdraws(&desk, 2).await;
    assert_eq!(erp.run_once(after(2)).await.unwrap().sent, 2);
    assert_eq!(told(&server), ["imported", "withdrawn", "withdrawn"]);
    let mut rows = ledger.outbox(None).await.unwrap();
    rows.retain(|row| row.target() == Some("pos"));
    assert_eq!(rows.len(), 3);
    assert!(rows.iter().all(|row| row.state == OutboxState::Dropped));
}

#[tokio::test]
async fn what_was_tried_may_have_arrived_so_its_withdrawal_follows_it() {
    let (ledger, _home) = ledger().await;
    let server = ScriptedHttp::start(|turn, _| says(if turn == 0 { 500 } else { 200 })).await;
    let desk = records(&ledger, &["erp"]).await;
    let erp = dispatcher(&ledger, to_server(&server));
    assert_eq!(erp.run_once(now()).await.unwrap().deferred, 1);
    withdraws(&desk, 1).await;
    withdraws(&desk, 2).await;
    assert_eq!(erp.run_once(after(60)).await.unwrap().sent, 3);
    assert_eq!(
        told(&server),
        ["imported", "imported", "withdrawn", "withdrawn"]
    );
}

#[tokio::test]
async fn what_was_given_up_is_not_handed_over_once_any_of_it_is_withdrawn() {
    let (ledger, _home) = ledger().await;
    let server = ScriptedHttp::start(|turn, _| says(if turn < 10 { 500 } else { 200 })).await;
    let desk = records(&ledger, &["erp"]).await;
    let erp = dispatcher(&ledger, to_server(&server));
    for attempt in 0..10 {
        let at = after(attempt * 24 * 60);
        erp.run_once(at).await.unwrap();
    }
    assert_eq!(handoffs(&ledger).await, [("failed", 10)]);
    let mut rows = ledger.outbox(None).await.unwrap();
    rows.retain(|row| row.kind == Kind::Handoff);
    let id = rows[0].id;
    let later = after(20_000);
    let declines = async |withdrawn, state, words: &str| {
        let declined = ledger.retry(id, "amy", true, later).await.unwrap();
        let expected = Declined::Withdrawn {
            id,
            state,
            withdrawn,
            ranges: 2,
        };
        assert_eq!(declined, Err(expected.clone()));
        assert_eq!(expected.to_string(), format!("{id} {words}"));
    };
    withdraws(&desk, 1).await;
    let some = format!(
        "imports 1 of its 2 ranges although withdrawn since: load the others by hand, from what \
         `export` writes; `outbox drop {id}` ends it"
    );
    declines(1, OutboxState::Failed, &some).await;
    withdraws(&desk, 2).await;
    let all = "imports only what was withdrawn since: there is nothing to hand over";
    let ends = format!("{all}; `outbox drop {id}` ends it");
    declines(2, OutboxState::Failed, &ends).await;
    let called_off = ledger.call_off(id, "amy", true, later).await.unwrap();
    assert_eq!(called_off, Ok(()));
    declines(2, OutboxState::Dropped, all).await;

    // The withdrawals are told all the same: an attempt that was given up may have arrived.
    assert_eq!(erp.run_once(later).await.unwrap().sent, 2);
    assert_eq!(told(&server)[10..], ["withdrawn", "withdrawn"]);
    let again = ledger.retry(id, "amy", true, later).await.unwrap();
    assert!(again.is_err(), "whatever the system has been told");
}

#[tokio::test]
async fn what_waits_may_be_retried_for_its_withdrawal_waits_behind_it() {
    let (ledger, _home) = ledger().await;
    let server = ScriptedHttp::start(|turn, _| says(if turn == 0 { 410 } else { 200 })).await;
    let desk = records(&ledger, &["erp"]).await;
    let erp = dispatcher(&ledger, to_server(&server));
    erp.run_once(now()).await.unwrap();
    withdraws(&desk, 1).await;
    withdraws(&desk, 2).await;
    let rows = ledger.outbox(None).await.unwrap();
    let import = rows
        .iter()
        .find(|row| row.subject.contains("imported 53567686"))
        .unwrap();
    let retried = ledger
        .retry(import.id, "amy", true, after(2))
        .await
        .unwrap();
    assert_eq!(retried, Ok(()));
    assert_eq!(erp.run_once(after(2)).await.unwrap().sent, 3);
    assert_eq!(
        told(&server),
        ["imported", "imported", "withdrawn", "withdrawn"]
    );
}
