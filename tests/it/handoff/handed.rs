//! What the ledger says of each hand-off of a range, of several together, and of each system.

use std::collections::BTreeMap;

use invoice_trackd::{
    intake::{Place, Unexplained},
    ledger::{Decision, FoundIn, Handed, HandedOver, HandedState, Import, OutboxState, Settled},
    mailbox::{Content, Origin, RawMessage},
    notice::{Companies, Company},
    platform::{self, Encoding, Source},
};

use super::*;
use crate::support::{
    daemon::notice,
    intake::{company, intake},
};

/// What each notice is, its systems' names beside it.
async fn takes_in(ledger: &Ledger, systems: &[&str], tracks: &[&str]) {
    let batch: Vec<RawMessage> = tracks
        .iter()
        .map(|track| {
            let eml = notice(track);
            RawMessage {
                origin: Origin::File {
                    path: format!("{track}.eml"),
                },
                internal_date: Some(now()),
                size: eml.len() as u64,
                content: Content::Whole(eml),
            }
        })
        .collect();
    let taking = intake(ledger.clone(), with(systems));
    taking.take(&batch, Place::default(), now()).await.unwrap();
}

/// One attempt at the next one for `erp`, `minutes` after the start, that ends so; `None`: it is being
/// made.
async fn attempt(ledger: &Ledger, minutes: i64, ends: Option<Settled>) {
    let at = after(minutes);
    let lease = ledger.lease(Some("erp"), at, at, after(minutes + 11)).await;
    let lease = lease.unwrap().unwrap();
    if let Some(ends) = ends {
        ledger.settle(&lease, &ends, at).await.unwrap();
    }
}

fn sent() -> Option<Settled> {
    Some(Settled::Sent {
        refused: Vec::new(),
    })
}

fn words() -> String {
    "found 500".to_owned()
}

fn put_off(minutes: i64) -> Option<Settled> {
    Some(Settled::Deferred {
        next: after(minutes),
        recipients: vec![invoice_trackd::ledger::Recipient::system("erp")],
        refused: Vec::new(),
        answer: words(),
    })
}

fn failed() -> Option<Settled> {
    Some(Settled::Failed { answer: words() })
}

/// As it stands for allocation 1 at `erp`.
async fn of_the_first(ledger: &Ledger) -> (HandedState, Option<Timestamp>) {
    let handed = ledger.handed(&[1]).await.unwrap();
    let [only] = &handed[&1][..] else {
        panic!("{handed:?}")
    };
    assert_eq!((only.target.as_str(), only.withdrawal), ("erp", false));
    (only.state, only.at)
}

#[tokio::test]
async fn each_state_of_a_hand_off_is_told_with_its_moment() {
    let (ledger, _home) = ledger().await;
    takes_in(&ledger, &["erp"], &["EC"]).await;
    let state = |state| HandedState::As(state);
    assert_eq!(
        of_the_first(&ledger).await,
        (state(OutboxState::Pending), None)
    );
    attempt(&ledger, 1, None).await;
    let (sending, at) = of_the_first(&ledger).await;
    assert_eq!((sending, at), (state(OutboxState::Sending), Some(after(1))));
    assert_eq!(sending.as_str(), "pending");
    ledger.reopen_attempts(Some("erp"), after(2)).await.unwrap();
    attempt(&ledger, 2, put_off(5)).await;
    assert_eq!(
        of_the_first(&ledger).await,
        (state(OutboxState::Pending), Some(after(2)))
    );
    attempt(&ledger, 5, failed()).await;
    assert_eq!(
        of_the_first(&ledger).await,
        (state(OutboxState::Failed), Some(after(5)))
    );

    let id = ledger.outbox(None).await.unwrap();
    let id = id.iter().find(|row| row.kind == Kind::Handoff).unwrap().id;
    ledger
        .call_off(id, "amy", true, now())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        of_the_first(&ledger).await,
        (state(OutboxState::Dropped), Some(after(5)))
    );
    ledger
        .retry(id, "amy", true, after(6))
        .await
        .unwrap()
        .unwrap();
    let gone = Settled::Stopped { answer: words() };
    attempt(&ledger, 6, Some(gone)).await;
    let (stopped, at) = of_the_first(&ledger).await;
    assert_eq!((stopped, at), (HandedState::Stopped, Some(after(6))));
    assert_eq!(stopped.as_str(), "stopped");
    ledger
        .retry(id, "amy", true, after(7))
        .await
        .unwrap()
        .unwrap();
    attempt(&ledger, 7, sent()).await;
    let (taken, at) = of_the_first(&ledger).await;
    assert_eq!((taken, at), (state(OutboxState::Sent), Some(after(7))));
    assert_eq!(taken.as_str(), "sent");
    for (state, word) in [
        (OutboxState::Failed, "failed"),
        (OutboxState::Dropped, "dropped"),
    ] {
        assert_eq!(HandedState::As(state).as_str(), word);
    }
}

#[tokio::test]
async fn what_a_system_took_before_it_wanted_nothing_more_stays_taken() {
    let (ledger, _home) = ledger().await;
    takes_in(&ledger, &["erp", "pos"], &["EC", "ED"]).await;
    attempt(&ledger, 1, sent()).await;
    let gone = Settled::Stopped { answer: words() };
    attempt(&ledger, 2, Some(gone)).await;
    let handed = ledger.handed(&[1, 2]).await.unwrap();
    let states = |id: i64| -> Vec<(&str, HandedState)> {
        let of_one = handed[&id].iter();
        of_one.map(|one| (one.target.as_str(), one.state)).collect()
    };
    let waits = HandedState::As(OutboxState::Pending);
    let taken = HandedState::As(OutboxState::Sent);
    assert_eq!(states(1), [("erp", taken), ("pos", waits)]);
    assert_eq!(
        states(2),
        [("erp", HandedState::Stopped), ("pos", waits)],
        "another system takes what comes"
    );
    assert_eq!(ledger.handed(&[]).await.unwrap(), BTreeMap::new());
    let of_one = ledger.handed(&[2]).await.unwrap();
    assert_eq!(of_one.keys().copied().collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn a_withdrawal_stands_behind_the_import_of_its_range() {
    let (ledger, _home) = ledger().await;
    takes_in(&ledger, &["erp"], &["EC"]).await;
    attempt(&ledger, 1, sent()).await;
    let decision = Decision {
        who: "amy",
        reason: "cancelled",
        at: after(2),
    };
    let desk = intake(ledger.clone(), with(&["erp"]));
    desk.withdraw(1, &decision).await.unwrap().unwrap();
    let handed = ledger.handed(&[1]).await.unwrap();
    let expected = |withdrawal, state, at| Handed {
        target: "erp".to_owned(),
        withdrawal,
        state: HandedState::As(state),
        at,
    };
    assert_eq!(
        handed[&1],
        [
            expected(false, OutboxState::Sent, Some(after(1))),
            expected(true, OutboxState::Pending, None),
        ]
    );
    // The import alone is counted.
    let counts = counted(&ledger, &[import(1, "53567686")]).await;
    assert_eq!((counts[0].sent, counts[0].waiting), (1, 0));
}

fn import(message_id: i64, ban: &str) -> Import {
    Import {
        is_file: false,
        message_id,
        sha256: String::new(),
        ban: ban.to_owned(),
        company_name: None,
        found_in: FoundIn::Mailbox("einvoice".to_owned()),
        warnings: Vec::new(),
        fallen: Vec::new(),
        to: Vec::new(),
    }
}

async fn counted(ledger: &Ledger, imports: &[Import]) -> Vec<HandedOver> {
    let imports: Vec<&Import> = imports.iter().collect();
    let mut transaction = ledger.begin().await.unwrap();
    transaction.handed_over(&imports).await.unwrap()
}

#[tokio::test]
async fn of_the_hand_offs_of_several_imports_those_of_no_others_are_counted() {
    let (ledger, _home) = ledger().await;
    let tracks = ["EC", "ED", "EE", "EF", "EG", "EH"];
    takes_in(&ledger, &["erp"], &tracks).await;
    attempt(&ledger, 0, sent()).await;
    attempt(&ledger, 0, failed()).await;
    attempt(&ledger, 0, None).await;
    let rows = ledger.outbox(None).await.unwrap();
    let fourth = rows
        .iter()
        .find(|row| row.kind == Kind::Handoff && row.subject.contains(" EF "))
        .unwrap();
    let called_off = ledger.call_off(fourth.id, "amy", true, now()).await;
    called_off.unwrap().unwrap();
    let ours: Vec<Import> = (1..=5).map(|id| import(id, "53567686")).collect();
    let expected = HandedOver {
        target: "erp".to_owned(),
        sent: 1,
        waiting: 2,
        failed: 1,
        dropped: 1,
        stopped: false,
    };
    assert_eq!(counted(&ledger, &ours).await, [expected]);
    assert_eq!(counted(&ledger, &[import(1, "24634102")]).await, []);
}

#[tokio::test]
async fn of_what_a_file_granted_each_company_s_hand_offs_are_its_own() {
    let (ledger, _home) = ledger().await;
    let mut desk = intake(ledger.clone(), with(&["erp"]));
    let theirs = Company::new("24634102".parse().unwrap(), "他們公司");
    desk.rules.companies = Companies::new(vec![company(), theirs]).unwrap();
    let number = |text| InvoiceNo::parse(text).unwrap();
    let ranges = [("53567686", "EC"), ("24634102", "ED")].map(|(ban, track)| Allocation {
        ban: ban.parse().unwrap(),
        block: Block {
            invoice_type: InvoiceType::General,
            period: "10706".parse().unwrap(),
            track: track.parse().unwrap(),
            range: Range::new(number("00000000"), number("00000049")).unwrap(),
            requested_booklets: None,
            added_booklets: None,
        },
    });
    let bytes = platform::csv(&ranges, Encoding::default());
    let file = platform::read(Source::Csv, &bytes).unwrap();
    let found = RawMessage {
        origin: Origin::File {
            path: "a.csv".to_owned(),
        },
        internal_date: None,
        size: bytes.len() as u64,
        content: Content::Whole(bytes),
    };
    let mut unexplained = Unexplained::default();
    desk.take_file(&found, &file, &mut unexplained, |_| None, now())
        .await
        .unwrap()
        .unwrap();
    for (imports, waiting) in [
        (&[import(1, "53567686")][..], 1),
        (&[import(1, "53567686"), import(1, "24634102")], 2),
    ] {
        let counts = counted(&ledger, imports).await;
        assert_eq!(counts[0].waiting, waiting, "{imports:?}");
    }
}

#[tokio::test]
async fn how_a_system_stands_is_told_by_what_waits_and_what_it_said_last() {
    let (ledger, _home) = ledger().await;
    assert_eq!(ledger.standings().await.unwrap(), []);
    takes_in(&ledger, &["erp", "pos"], &["EC", "ED", "EE"]).await;
    attempt(&ledger, 1, sent()).await;
    attempt(&ledger, 2, failed()).await;
    attempt(&ledger, 3, put_off(60)).await;
    let [erp, pos] = &ledger.standings().await.unwrap()[..] else {
        panic!("{:?}", ledger.standings().await)
    };
    assert_eq!((erp.target.as_str(), pos.target.as_str()), ("erp", "pos"));
    assert_eq!(erp.last_sent_at, Some(after(1)));
    assert_eq!((erp.waiting, erp.failed), (1, 1));
    assert_eq!(erp.failing_since, Some(now()));
    assert_eq!((erp.words.clone(), erp.stopped_at), (Some(words()), None));
    assert_eq!(
        (pos.last_sent_at, pos.waiting, pos.failed),
        (None, 3, 0),
        "nobody tried"
    );
    assert_eq!((pos.failing_since, &pos.words), (None, &None));
    let gone = Settled::Stopped {
        answer: "gone".to_owned(),
    };
    attempt(&ledger, 60, Some(gone)).await;
    let erp = ledger.standings().await.unwrap().remove(0);
    assert_eq!(erp.stopped_at, Some(after(60)));
    assert_eq!(erp.words.as_deref(), Some("gone"));
    let target = ledger.target("erp").await.unwrap();
    assert_eq!(target.stopped_at, Some(after(60)));
    assert_eq!((target.taken_at, target.waiting), (Some(after(1)), 1));
    assert_eq!(ledger.target("pos").await.unwrap().waiting, 3);
}

#[tokio::test]
async fn what_a_system_says_in_two_attempts_at_once_is_told_once() {
    let (ledger, _home) = ledger().await;
    takes_in(&ledger, &["erp"], &["EC", "ED"]).await;
    let mut leases = Vec::new();
    for _ in 0..2 {
        let lease = ledger.lease(Some("erp"), now(), now(), after(11)).await;
        leases.push(lease.unwrap().unwrap());
    }
    let gone = Settled::Stopped { answer: words() };
    ledger.settle(&leases[0], &gone, after(1)).await.unwrap();
    let handed = ledger.handed(&[2]).await.unwrap();
    assert_eq!(handed[&2][0].state, HandedState::Stopped, "in hand or not");
    ledger.settle(&leases[1], &gone, after(2)).await.unwrap();
    assert_eq!(news(&ledger).await.len(), 1);
    let target = ledger.target("erp").await.unwrap();
    assert_eq!(target.stopped_at, Some(after(1)));
}

#[tokio::test]
async fn what_was_put_off_before_a_system_wanted_nothing_more_is_due_at_once_and_with_new_patience()
{
    let (ledger, _home) = ledger().await;
    takes_in(&ledger, &["erp"], &["EC", "ED"]).await;
    attempt(&ledger, 0, put_off(500)).await;
    let gone = Settled::Stopped { answer: words() };
    attempt(&ledger, 0, Some(gone)).await;
    assert_eq!(ledger.next_due(Some("erp")).await.unwrap(), None);
    let rows = ledger.outbox(None).await.unwrap();
    let second = rows
        .iter()
        .find(|row| row.kind == Kind::Handoff && row.subject.contains(" ED "))
        .unwrap();
    let retried = ledger.retry(second.id, "amy", true, after(9)).await;
    retried.unwrap().unwrap();
    for _ in 0..2 {
        let lease = ledger
            .lease(Some("erp"), after(9), after(9), after(20))
            .await;
        assert_eq!(lease.unwrap().unwrap().patient_since, after(9));
    }
}
