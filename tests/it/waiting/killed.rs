//! The daemon killed around the moment at which a resolver answers at last: what waits is asked
//! about again, and recorded and told of once.

use std::{fs, time::Duration};

use super::{answers, fails, running::house, signed};
use crate::support::{
    daemon::{House, Running, maildir, notice},
    fault::{Faults, Moment},
    signer,
    smtp_sink::SmtpSink,
};

/// Waits until the daemon has died, or, with `true`, has recorded and sent everything.
async fn is_done(house: &House, daemon: &mut Running, confirmations: usize) -> bool {
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    loop {
        if daemon.has_ended() {
            return false;
        }
        let outbox = house.outbox().await;
        if outbox.get("sent").copied() == Some(confirmations as u64) {
            return true;
        }
        assert!(std::time::Instant::now() < deadline, "{}", house.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_write_what_waits_is_recorded_and_told_of_once() {
    type Kind = fn(u32) -> Moment;
    let dns = signer::dns();
    fails(&dns);
    let mails = [signed(), signer::sign(&notice("ED"))];
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
        (Moment::Write, 2, 7),
        (Moment::Torn, 3, 11),
        (Moment::Sync, 1, 2),
        (Moment::Synced, 1, 2),
        (Moment::Begin, 1, 1),
    ];
    for (kind, first, step) in kinds {
        for n in (first..).step_by(step) {
            let moment = kind(u32::try_from(n).unwrap());
            let sink = SmtpSink::start();
            let house = beside(&waiting, &sink, &dns);
            let faults = Faults::under(&house).kill_at(moment);
            let survived = is_done(&house, &mut house.run(&faults.environment()), 2).await;
            let recorded = house.allocations().await.len();
            match (survived, recorded) {
                (true, _) => {}
                (false, 0) => before += 1,
                (false, 1) => between += 1,
                (false, _) => after += 1,
            }
            if !survived {
                let mut daemon = house.run(&[]);
                assert!(
                    is_done(&house, &mut daemon, 2).await,
                    "{moment:?}: {}",
                    house.log()
                );
                daemon.kill();
            }
            let counts = house.counts().await;
            assert_eq!(
                (counts["imported"], counts["waiting"]),
                (2, 0),
                "{moment:?}"
            );
            assert_eq!(house.allocations().await.len(), 2, "{moment:?}");
            let outbox = house.outbox().await;
            assert_eq!(outbox.values().sum::<u64>(), 2, "{moment:?}: {outbox:?}");
            if survived {
                break;
            }
        }
    }
    assert!(
        before >= 5 && between >= 3 && after >= 5,
        "killed with nothing recorded {before}, one {between}, both {after} times"
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
