//! Several ways out at once: nobody waits for anybody, the word reaches all, and what is told twice
//! bears the same id.

use std::{collections::BTreeSet, sync::Arc};

use invoice_trackd::{
    clock::Clock,
    delivery::Wake,
    intake::Place,
    ledger::Decision,
    mailbox::{Content, Origin, RawMessage},
};
use tokio::{sync::watch, task::JoinHandle, time::timeout};

use super::*;
use crate::support::{
    daemon::{COMPANY, House, MAIL, notice, unwatched},
    intake::intake,
    outbox::{confirmation, start},
    scripted_http::{Does, says},
};

const SOON: Duration = Duration::from_secs(30);

/// One more system, by another name.
fn named(name: &str, transport: Transport) -> Transport {
    let Transport::System(System { way, .. }) = transport else {
        unreachable!()
    };
    Transport::System(System {
        name: name.to_owned(),
        way,
    })
}

/// What comes in is recorded, and handed to the systems of this style.
async fn takes_in(ledger: &Ledger, style: Style, tracks: &[&str]) {
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
    let taking = intake(ledger.clone(), style);
    taking.take(&batch, Place::default(), now()).await.unwrap();
}

fn runs(
    dispatcher: Dispatcher,
    wake: &Wake,
    stopped: &watch::Sender<bool>,
) -> (JoinHandle<()>, watch::Sender<Arc<Dispatcher>>) {
    let (orders, current) = watch::channel(Arc::new(dispatcher));
    let (wake, stopped) = (wake.clone(), stopped.subscribe());
    let running = tokio::spawn(async move {
        let (clock, pulse) = (Clock::manual(now()), unwatched());
        Dispatcher::run(current, &clock, &wake, &pulse, stopped, |_| {})
            .await
            .unwrap();
    });
    (running, orders)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_that_hangs_delays_no_other_and_no_mail_and_all_hear_the_word() {
    let (ledger, home) = ledger().await;
    let slow = ScriptedHttp::start(|_, _| Does::Hangs).await;
    let erp = ScriptedHttp::start(|_, _| says(200)).await;
    let pos = home.path().join("pos");
    let mail = home.path().join("sent");
    for place in [&pos, &mail] {
        std::fs::create_dir(place).unwrap();
    }
    let (wake, stop) = (Wake::default(), watch::Sender::new(false));
    let ways = [
        named("slow", to_server(&slow)),
        to_server(&erp),
        named("pos", to_directory(&pos, &[Format::Csv])),
        Transport::Directory(mail.clone()),
    ];
    let running = ways.map(|way| runs(dispatcher(&ledger, way), &wake, &stop));
    takes_in(&ledger, with(&["slow", "erp", "pos"]), &["EC"]).await;
    wake.everybody();
    // Sooner than they would look by themselves, every 30 s; the slow one is at it for 20 s.
    let all = async {
        slow.until_posted(1).await;
        erp.until_posted(1).await;
        while ledger.outbox_counts().await.unwrap()["sent"] < 3 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(15), all).await.unwrap();
    assert_eq!(ledger.outbox_counts().await.unwrap()["sending"], 1);
    stop.send_replace(true);
    for (task, _orders) in running {
        timeout(SOON, task).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn the_pace_is_that_of_mails_alone() {
    let (ledger, home) = ledger().await;
    let server = ScriptedHttp::start(|_, _| says(200)).await;
    for track in ["EC", "ED", "EF"] {
        post(&ledger, &letter(Event::Imported, track)).await;
        post(&ledger, &confirmation(track, &["ops@example.com"])).await;
    }
    let paced = |transport| {
        let mut dispatcher = dispatcher(&ledger, transport);
        dispatcher.patience.max_per_minute = 1;
        dispatcher
    };
    let erp = paced(to_server(&server));
    assert_eq!(erp.run_once(start()).await.unwrap().sent, 3);
    let mails = paced(Transport::Directory(home.path().join("sent")));
    assert_eq!(mails.run_once(start()).await.unwrap().sent, 1);
}

#[tokio::test]
async fn one_letter_that_is_refused_holds_up_no_other_and_is_put_off_longer_and_longer() {
    let (ledger, _home) = ledger().await;
    let server = ScriptedHttp::start(|_, posted| {
        let body = std::str::from_utf8(&posted.body).unwrap();
        says(if body.contains(r#""EC""#) { 500 } else { 200 })
    })
    .await;
    for track in ["EC", "ED"] {
        post(&ledger, &letter(Event::Imported, track)).await;
    }
    let erp = dispatcher(&ledger, to_server(&server));
    erp.run_once(now()).await.unwrap();
    assert_eq!(handoffs(&ledger).await, [("pending", 1), ("sent", 1)]);
    let first = ledger.next_due(Some("erp")).await.unwrap().unwrap();
    erp.run_once(first).await.unwrap();
    let second = ledger.next_due(Some("erp")).await.unwrap().unwrap();
    assert!(second.duration_since(first) > first.duration_since(now()));
    assert_eq!(ledger.next_due(None).await.unwrap(), None);
}

#[tokio::test]
async fn an_attempt_that_a_dead_process_left_open_is_made_again_with_the_same_id_and_bytes() {
    let (ledger, _home) = ledger().await;
    let server = ScriptedHttp::start(|_, _| says(200)).await;
    post(&ledger, &letter(Event::Imported, "EC")).await;
    let lease = ledger.lease(Some("erp"), now(), now(), after(11));
    let lease = lease.await.unwrap().unwrap();
    let from = style().from.address;
    let transport = to_server(&server);
    let sent = transport.send(&from, &lease.letter, now(), SOON).await;
    assert!(sent.is_ok());
    // It dies before the mark; the next start is at it at once.
    let (wake, stop) = (Wake::default(), watch::Sender::new(false));
    let (running, _orders) = runs(dispatcher(&ledger, transport), &wake, &stop);
    timeout(SOON, server.until_posted(2)).await.unwrap();
    stop.send_replace(true);
    timeout(SOON, running).await.unwrap().unwrap();
    let [first, second] = &server.posted()[..] else {
        panic!("{:?}", server.posted())
    };
    assert_eq!(first.headers["webhook-id"], second.headers["webhook-id"]);
    assert_eq!(first.body, second.body);
    assert_eq!(handoffs(&ledger).await, [("sent", 2)]);
}

#[tokio::test]
async fn a_ledger_that_is_set_back_repeats_the_same_ids_and_a_directory_gets_no_second_file() {
    let server = ScriptedHttp::start(|_, _| says(200)).await;
    let pos = tempfile::tempdir().unwrap();
    let mut files = BTreeSet::new();
    for turn in 0..2 {
        // In another order: the ids in the ledger differ.
        let tracks = [["EC", "ED"], ["ED", "EC"]][turn];
        let (ledger, _home) = ledger().await;
        takes_in(&ledger, with(&["erp", "pos"]), &tracks).await;
        for way in [
            to_server(&server),
            named("pos", to_directory(pos.path(), &[Format::Csv])),
        ] {
            let pass = dispatcher(&ledger, way).run_once(now()).await.unwrap();
            let rows = ledger.outbox(None).await.unwrap();
            let answers: Vec<_> = rows.iter().map(|row| &row.last_answer).collect();
            assert_eq!(pass.sent, 2, "{answers:?}");
        }
        for file in directory::visible(pos.path()) {
            assert!(files.insert(file.clone()), "{file} appeared twice");
            std::fs::remove_file(pos.path().join(file)).unwrap();
        }
    }
    assert_eq!(files.len(), 2);
    let posted = server.posted();
    let ids = |turn: usize| -> BTreeSet<String> {
        let posted = posted[2 * turn..][..2].iter();
        posted
            .map(|one| one.headers["webhook-id"].clone())
            .collect()
    };
    assert_eq!(ids(0), ids(1));
    assert_eq!(ids(0).len(), 2);
}

#[tokio::test]
async fn a_withdrawal_that_is_made_again_in_a_restored_ledger_bears_the_same_id() {
    let mut ids = BTreeSet::new();
    for minutes in [1, 60] {
        let (ledger, _home) = ledger().await;
        takes_in(&ledger, with(&["erp"]), &["EC"]).await;
        let decision = Decision {
            who: "ops",
            reason: "cancelled",
            at: after(60 * minutes),
        };
        let desk = intake(ledger.clone(), with(&["erp"]));
        desk.withdraw(1, &decision).await.unwrap().unwrap();
        let rows = ledger.outbox(None).await.unwrap();
        let told = rows
            .into_iter()
            .find(|row| row.subject.contains("withdrawn"));
        ids.insert(told.unwrap().message_id);
    }
    assert_eq!(ids.len(), 1, "{ids:?}");
}

#[test]
fn a_command_beside_which_no_daemon_runs_hands_over_as_well() {
    let handoffs = r#"
[[handoff]]
name = "pos"
kind = "directory"
path = "@ROOT@/pos"
formats = ["csv"]
[[handoff]]
name = "away"
kind = "directory"
path = "@ROOT@/away"
"#;
    for mail in [MAIL, ""] {
        let house = House::new(&format!("{COMPANY}{handoffs}{mail}"));
        std::fs::create_dir(house.path("pos")).unwrap();
        let path = house.write("notice.eml", notice("EC"));
        let output = house.command(&["ingest", path.to_str().unwrap()]);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(directory::visible(&house.path("pos")).len(), 1);
        assert!(!house.path("away").exists());
        let (_, list) = house.json(&["outbox", "list", "--json"]);
        let rows = list.as_array().unwrap().iter();
        let waiting: Vec<_> = rows.filter(|row| row["state"] == "pending").collect();
        assert_eq!(waiting.len(), 1, "{list}");
    }
}

#[tokio::test]
async fn a_withdrawal_is_not_told_before_the_numbers_that_it_takes_back() {
    let (ledger, _home) = ledger().await;
    // It refuses the numbers once, and would take everything from then on.
    let server = ScriptedHttp::start(|turn, _| says(if turn == 0 { 500 } else { 200 })).await;
    let erp = dispatcher(&ledger, to_server(&server));
    post(&ledger, &letter(Event::Imported, "EC")).await;
    let pass = erp.run_once(now()).await.unwrap();
    assert_eq!((pass.sent, pass.deferred), (0, 1));
    let again = pass.next.unwrap();

    post(&ledger, &letter(Event::Withdrawn, "EC")).await;
    let pass = erp.run_once(now()).await.unwrap();
    assert!(pass.is_idle(), "{pass:?}");
    assert_eq!(
        pass.next,
        Some(again),
        "and nobody looks in vain until then"
    );
    let pass = erp.run_once(after(60)).await.unwrap();
    assert_eq!((pass.sent, pass.next), (2, None));
    let told: Vec<bool> = server
        .posted()
        .iter()
        .map(|posted| String::from_utf8_lossy(&posted.body).contains("allocation.withdrawn"))
        .collect();
    assert_eq!(told, [false, false, true]);
}
