//! The real binary killed at every step of writing a set of files: a consumer that takes what it sees
//! gets each file whole, and once.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use invoice_trackd::platform::{self, Source};

use super::{directory::visible, *};
use crate::support::{
    daemon::{COMPANY, House, MAIL, maildir, notice},
    fault::{Faults, Moment},
};

const TRIAL: &str = r#"
[[mailbox]]
name = "box"
kind = "maildir"
path = "@ROOT@/box"
[[handoff]]
name = "pos"
kind = "directory"
path = "@ROOT@/pos"
formats = ["csv", "e0501", "json"]
"#;

/// Longer than anything takes on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// Every step there is: three files are written and synced, the hidden directory, what says that they
/// are complete, and that directory again; three files are moved, and both directories synced.
fn moments() -> Vec<Moment> {
    let mut moments = Vec::new();
    for n in 1..=3 {
        moments.extend([Moment::Write(n), Moment::Torn(n), Moment::Wrote(n)]);
        moments.extend([Moment::Rename(n), Moment::Renamed(n)]);
    }
    for n in 1..=8 {
        moments.extend([Moment::Sync(n), Moment::Synced(n)]);
    }
    moments
}

/// Takes away all it sees.
fn take(house: &House, taken: &mut BTreeMap<String, Vec<u8>>) {
    let place = house.path("pos");
    for name in visible(&place) {
        let bytes = fs::read(place.join(&name)).unwrap();
        let (_, extension) = name.rsplit_once('.').unwrap();
        match extension {
            "csv" => assert_eq!(platform::read(Source::Csv, &bytes).unwrap().rows.len(), 1),
            "xml" => assert_eq!(platform::read(Source::E0501, &bytes).unwrap().rows.len(), 1),
            _ => {
                serde_json::from_slice::<serde_json::Value>(&bytes).unwrap();
            }
        }
        fs::remove_file(place.join(&name)).unwrap();
        assert!(!taken.contains_key(&name), "{name} appeared twice");
        taken.insert(name, bytes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_every_step_a_file_is_whole_and_appears_once() {
    let house = House::new(&format!("{COMPANY}{TRIAL}{MAIL}"));
    maildir(&house.path("box"));
    fs::create_dir(house.path("pos")).unwrap();
    let mut taken = BTreeMap::new();
    let moments = moments();
    for (turn, moment) in moments.iter().enumerate() {
        let letter = |n: usize| char::from(b'A' + u8::try_from(n).unwrap());
        let track = format!("{}{}", letter(turn / 26), letter(turn % 26));
        house.write(&format!("box/new/{turn}"), notice(&track));
        let faults = Faults::to(&house, "pos").kill_at(*moment);
        let mut daemon = house.run(&faults.environment());
        let ended = daemon.ended(PATIENCE);
        assert_eq!(ended, None, "{moment:?}: {}", house.log());
        assert!(daemon.has_ended(), "{moment:?} was never reached");
        drop(daemon);
        take(&house, &mut taken);

        let daemon = house.run(&[]);
        let sent = || async {
            let Some(ledger) = house.ledger().await else {
                return false;
            };
            let all = handoffs(&ledger).await;
            ledger.close().await;
            all.len() == turn + 1 && all.iter().all(|(state, _)| *state == "sent")
        };
        house.until("all is handed over", sent).await;
        assert_eq!(daemon.terminate(PATIENCE), Some(0));
        take(&house, &mut taken);
        assert_eq!(taken.len(), 3 * (turn + 1), "{moment:?}");
    }
    let sets: BTreeSet<&str> = taken
        .keys()
        .map(|name| name.split_once('.').unwrap().0)
        .collect();
    assert_eq!(sets.len(), moments.len());
}
