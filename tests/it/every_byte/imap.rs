//! One whole IMAP session, cut off and muted behind each of its bytes: greeting, login, three
//! notices, IDLE, a fourth during it, its fetch, and IDLE again. Every time a fifth must be heard
//! of in the end.

use std::net::SocketAddr;

use invoice_trackd::{
    ledger::Ledger,
    mailbox::{Bounds, ImapSettings},
    tls::TlsMode,
};
use tokio::time::timeout;

use super::{
    Strike, all, ledger,
    server::{Server, TRACKS},
    watched::{SOON, TURNS, Watched, impatient, noon, patient},
};
use crate::support::chaos_proxy::{ChaosProxy, Fault};

fn settings(address: SocketAddr, bounds: Bounds) -> ImapSettings {
    ImapSettings {
        name: String::new(),
        host: address.ip().to_string(),
        port: address.port(),
        tls: TlsMode::None,
        ca_file: None,
        username: "u".to_owned(),
        credential: "p".into(),
        folder: "INBOX".to_owned(),
        after_import: None,
        bounds,
    }
}

/// How many bytes a session has up to the IDLE in which nothing is left to do but wait.
async fn length() -> u64 {
    let (ledger, _home) = ledger(noon()).await;
    let server = Server::start(0).await;
    let proxy = ChaosProxy::start(server.address, None).await;
    let settings = settings(proxy.address, patient());
    let mut watched = Watched::start(&ledger, 0, "undisturbed".to_owned(), settings);
    timeout(SOON, server.settled(1)).await.unwrap();
    let length = server.spoken();
    watched.knows_up_to(4).await;
    watched.comes_through(&TRACKS[..4]).await;
    ledger.close().await;
    length
}

/// One session, disturbed or not.
async fn survives(ledger: &Ledger, turn: u32, fault: Fault, bounds: Bounds, disturbed: bool) {
    let name = format!("{fault:?}");
    let server = Server::start(turn).await;
    let proxy = ChaosProxy::start(server.address, Some(fault)).await;
    let settings = settings(proxy.address, bounds);
    let mut watched = Watched::start(ledger, turn, name.clone(), settings);
    let settled = server.settled(if disturbed { 2 } else { 1 });
    let settled = timeout(SOON, settled).await;
    assert!(settled.is_ok(), "{name}: never waited again");
    assert_eq!(proxy.has_struck(), disturbed, "{name}");
    proxy.heal();
    watched.time_goes_by();
    server.one_more();
    watched.knows_up_to(5).await;
    watched.comes_through(&TRACKS).await;
}

/// Every moment of a session, and the first that is beyond its end.
async fn every_moment(strike: Strike, bounds: Bounds, at_once: usize) {
    let length = length().await;
    // A session that was shorter than it should be would make fewer moments.
    assert!(length > 3000, "{length}");
    let moments: Vec<u64> = (0..=length + 1).collect();
    let rows = moments.chunks(TURNS).map(|moments| {
        let moments = moments.to_vec();
        async move {
            let (ledger, _home) = ledger(noon()).await;
            for (turn, after) in (0..).zip(moments) {
                survives(&ledger, turn, strike(after), bounds, after <= length).await;
            }
            ledger.close().await;
        }
    });
    all(rows, at_once).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_cut_off_behind_any_byte_loses_and_doubles_nothing() {
    every_moment(Fault::Close, patient(), 6).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_falls_silent_behind_any_byte_loses_and_doubles_nothing() {
    every_moment(Fault::Mute, impatient(), 48).await;
}

#[tokio::test]
async fn a_session_that_comes_byte_by_byte_is_a_session_like_any_other() {
    let (ledger, _home) = ledger(noon()).await;
    survives(&ledger, 0, Fault::Drip, patient(), false).await;
    ledger.close().await;
}
