//! The daemon killed around the moment at which a resolver answers at last: what waits is asked
//! about again, and recorded and told of once.

use std::{
    fs,
    time::{Duration, Instant},
};

use super::{answers, fails, running::house};
use crate::support::{
    daemon::{House, Running, maildir, notice},
    fault::{Faults, Moment},
    signer,
    smtp_sink::SmtpSink,
};

/// What waits: a notice for each.
const TRACKS: [&str; ALL] = ["EA", "EB", "EC", "ED", "EE", "EF"];

const ALL: usize = 6;

/// On a machine that is busy with other tests a lookup may fail, and once more after 10 s and 20 s.
const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until the daemon has died, or, with `true`, has recorded and sent everything.
async fn is_done(house: &House, daemon: &mut Running) -> bool {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if daemon.has_ended() {
            return false;
        }
        let outbox = house.outbox().await;
        if outbox.get("sent").copied() == Some(ALL as u64) {
            return true;
        }
        assert!(
            Instant::now() < deadline,
            "{:#}\n{}",
            house.json(&["status", "--json"]).1,
            house.log()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_write_what_waits_is_recorded_and_told_of_once() {
    type Kind = fn(u32) -> Moment;
    let dns = signer::dns();
    fails(&dns);
    let mails = TRACKS.map(|track| signer::sign(&notice(track)));
    // A ledger in which they wait, to begin with each time.
    let waiting = house(&dns, "");
    for (n, eml) in mails.iter().enumerate() {
        waiting.write(&format!("in/{n}.eml"), eml);
    }
    let taken = waiting.command(&["ingest", waiting.path("in").to_str().unwrap()]);
    assert_eq!(taken.status.code(), Some(75));
    answers(&dns);

    let (mut before, mut between, mut after) = (0, 0, 0);
    let kinds: [(Kind, usize, usize); 5] = [
        (Moment::Write, 2, 29),
        (Moment::Torn, 3, 37),
        (Moment::Sync, 1, 5),
        (Moment::Synced, 2, 5),
        (Moment::Begin, 1, 4),
    ];
    for (kind, first, step) in kinds {
        for n in (first..).step_by(step) {
            let moment = kind(u32::try_from(n).unwrap());
            let sink = SmtpSink::start();
            let house = beside(&waiting, &sink, &dns);
            let faults = Faults::under(&house).kill_at(moment);
            let survived = is_done(&house, &mut house.run(&faults.environment())).await;
            let recorded = house.allocations().await.len();
            match (survived, recorded) {
                (true, _) => {}
                (false, 0) => before += 1,
                (false, ALL) => after += 1,
                (false, _) => between += 1,
            }
            if !survived {
                let mut daemon = house.run(&[]);
                assert!(
                    is_done(&house, &mut daemon).await,
                    "{moment:?}: {}",
                    house.log()
                );
                daemon.kill();
            }
            let counts = house.counts().await;
            assert_eq!(
                (counts["imported"], counts["waiting"]),
                (ALL as u64, 0),
                "{moment:?}"
            );
            assert_eq!(house.allocations().await.len(), ALL, "{moment:?}");
            let outbox = house.outbox().await;
            assert_eq!(
                outbox.values().sum::<u64>(),
                ALL as u64,
                "{moment:?}: {outbox:?}"
            );
            if survived {
                break;
            }
        }
    }
    assert!(
        before > 0 && between > 0 && after > 0,
        "killed with nothing recorded {before}, some {between}, all {after} times"
    );
}

/// A house that begins with what waits in another, watches an empty Maildir and sends to `sink`.
fn beside(waiting: &House, sink: &SmtpSink, dns: &crate::support::dns::Dns) -> House {
    let house = house(
        dns,
        "[[mailbox]]\nname = \"spool\"\nkind = \"maildir\"\npath = \"@ROOT@/spool\"\n",
    );
    maildir(&house.path("spool"));
    fs::copy(waiting.path("ledger.db"), house.path("ledger.db")).unwrap();
    let config = fs::read_to_string(house.path("config.toml")).unwrap();
    let (config, _) = config.split_once("transport = ").unwrap();
    let smtp = format!(
        "{config}[mail.smtp]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\n",
        sink.port()
    );
    house.write("config.toml", smtp);
    house
}
