//! A session with a real server over TLS, cut off and muted at a few hundred moments of it, in the
//! handshake as well. One more notice must come through in the end.

use std::{net::SocketAddr, sync::Arc};

use invoice_trackd::{
    ledger::Ledger,
    mailbox::{Bounds, ImapSettings},
    tls::TlsMode,
};

use super::{
    Strike, all, ledger, moments,
    server::{TRACKS, notice},
    watched::{SOON, TURNS, UIDVALIDITY, Watched, impatient, noon, patient},
};
use crate::support::{
    chaos_proxy::{ChaosProxy, Fault},
    dovecot::{Dovecot, PASSWORD},
};

/// More bytes than any session has.
const NOWHERE: u64 = u64::MAX;

fn settings(dovecot: &Dovecot, port: u16, user: &str, bounds: Bounds) -> ImapSettings {
    ImapSettings {
        name: String::new(),
        host: "localhost".to_owned(),
        port,
        tls: TlsMode::Implicit,
        ca_file: Some(dovecot.ca_file()),
        username: user.to_owned(),
        credential: PASSWORD.into(),
        folder: "INBOX".to_owned(),
        after_import: None,
        bounds,
    }
}

/// Delivering is done by a program, for which no other session should wait.
async fn deliver(dovecot: &Arc<Dovecot>, user: &str, turn: u32, which: std::ops::Range<usize>) {
    let (dovecot, user) = (Arc::clone(dovecot), user.to_owned());
    let delivering = tokio::task::spawn_blocking(move || {
        let notices = TRACKS[which].iter();
        let notices: Vec<Vec<u8>> = notices
            .map(|track| notice(track, turn).into_bytes())
            .collect();
        dovecot.deliver_all(&user, &notices);
    });
    delivering.await.unwrap();
}

/// Three notices at the beginning, a fourth and a fifth one after the other; returns how many bytes
/// there were before the fifth.
async fn survives(dovecot: Arc<Dovecot>, ledger: &Ledger, turn: u32, fault: Fault) -> u64 {
    let name = format!("{fault:?}");
    // A user of its own; every user's name is as long.
    let user = match fault {
        Fault::Close(after) => format!("c{:06}", after.min(999_999)),
        Fault::Mute(after) => format!("m{:06}", after.min(999_999)),
        Fault::Drip => "drip000".to_owned(),
    };
    let bounds = match fault {
        // A handshake takes long that way.
        Fault::Drip => patient(),
        _ => impatient(),
    };
    deliver(&dovecot, &user, turn, 0..3).await;
    dovecot.set_uidvalidity(&user, "INBOX", UIDVALIDITY);
    let server = SocketAddr::from(([127, 0, 0, 1], dovecot.imaps_port));
    let proxy = ChaosProxy::start(server, Some(fault)).await;
    let settings = settings(&dovecot, proxy.address.port(), &user, bounds);
    let mut watched = Watched::start(ledger, turn, name.clone(), settings);
    watched.scanned().await;
    deliver(&dovecot, &user, turn, 3..4).await;
    watched.knows_up_to(4).await;
    let passed = proxy.passed();
    deliver(&dovecot, &user, turn, 4..5).await;
    watched.knows_up_to(5).await;
    if let Fault::Close(after) | Fault::Mute(after) = fault {
        let disturbed = after < NOWHERE;
        // The last ones may have to wait for the next IDLE.
        let struck = tokio::time::timeout(SOON, async {
            while disturbed && !proxy.has_struck() {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        });
        assert!(struck.await.is_ok(), "{name}: not disturbed");
    }
    watched.comes_through(&TRACKS).await;
    passed
}

async fn some_moments(strike: Strike, stride: usize, at_once: usize) {
    let dovecot = Arc::new(Dovecot::start());
    let (first, _home) = ledger(noon()).await;
    let length = survives(Arc::clone(&dovecot), &first, 0, strike(NOWHERE)).await;
    println!("{length} bytes");
    first.close().await;
    let moments: Vec<u64> = moments(length, stride).collect();
    let rows = moments.chunks(TURNS).map(|moments| {
        let (moments, dovecot) = (moments.to_vec(), Arc::clone(&dovecot));
        async move {
            let (ledger, _home) = ledger(noon()).await;
            for (turn, after) in (0..).zip(moments) {
                survives(Arc::clone(&dovecot), &ledger, turn, strike(after)).await;
            }
            ledger.close().await;
        }
    });
    all(rows, at_once).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_over_tls_that_is_cut_off_loses_and_doubles_nothing() {
    some_moments(Fault::Close, 53, 10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_over_tls_that_falls_silent_loses_and_doubles_nothing() {
    some_moments(Fault::Mute, 101, 10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_over_tls_that_comes_byte_by_byte_is_a_session_like_any_other() {
    let dovecot = Arc::new(Dovecot::start());
    let (ledger, _home) = ledger(noon()).await;
    survives(dovecot, &ledger, 0, Fault::Drip).await;
    ledger.close().await;
}
