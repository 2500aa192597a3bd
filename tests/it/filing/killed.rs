//! The power fails around a move: a real Dovecot behind a wire that goes dead at the right moment,
//! and the real binary killed while it waits.

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{Duration, timeout},
};

use super::{FOLDER, MOVE, SECRETS, house, uids};
use crate::support::{daemon::Notice, dovecot::Dovecot};

/// When the wire goes dead.
#[derive(Clone, Copy)]
enum Dead {
    /// The command does not reach the server.
    BeforeTheMove,
    /// It does, and its answer does not come back.
    AfterTheMove,
}

/// A wire to the server on `port` that goes dead at the first UID MOVE, once; returns its own port
/// and what tells that it has.
async fn wire(port: u16, dead: Dead) -> (u16, watch::Receiver<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap().port();
    let (told, tells) = watch::channel(false);
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let (client_reads, mut client_writes) = client.into_split();
            let (mut server_reads, mut server_writes) = server.into_split();
            let told = told.clone();
            let back = tokio::spawn(async move {
                tokio::io::copy(&mut server_reads, &mut client_writes)
                    .await
                    .ok();
            });
            tokio::spawn(async move {
                let mut lines = BufReader::new(client_reads);
                let mut line = String::new();
                while lines.read_line(&mut line).await.is_ok_and(|n| n > 0) {
                    if line.contains("UID MOVE") && !*told.borrow() {
                        match dead {
                            Dead::BeforeTheMove => {}
                            Dead::AfterTheMove => {
                                back.abort();
                                server_writes.write_all(line.as_bytes()).await.unwrap();
                            }
                        }
                        told.send_replace(true);
                        std::future::pending::<()>().await;
                    }
                    if server_writes.write_all(line.as_bytes()).await.is_err() {
                        break;
                    }
                    line.clear();
                }
                back.abort();
            });
        }
    });
    (own, tells)
}

async fn killed(dead: Dead) {
    let dovecot = Dovecot::start();
    dovecot.create("ann", FOLDER);
    dovecot.deliver("ann", "INBOX", &Notice::default().eml());
    let (port, mut tells) = wire(dovecot.imap_port, dead).await;
    let house = house(port, MOVE);
    let daemon = house.run(SECRETS);
    let waited = timeout(Duration::from_secs(30), tells.wait_for(|told| *told)).await;
    waited.expect("nothing was moved").unwrap();
    // The commit came first.
    assert_eq!(house.allocations().await.len(), 1);
    let moved = || async { uids(&dovecot, FOLDER).len() == 1 };
    match dead {
        Dead::BeforeTheMove => assert!(!moved().await),
        Dead::AfterTheMove => house.until("the server has moved it", moved).await,
    }
    daemon.kill();
    assert!(!filed(&house).await, "filed without the tagged OK");

    let daemon = house.run(SECRETS);
    house.until("it is filed", || filed(&house)).await;
    assert!(moved().await);
    assert!(uids(&dovecot, "INBOX").is_empty());
    assert_eq!(daemon.terminate(Duration::from_secs(15)), Some(0));
    assert_eq!(house.allocations().await.len(), 1);
}

/// Whether the one recorded mail counts as filed.
async fn filed(house: &crate::support::daemon::House) -> bool {
    let path = house.path("ledger.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(path)
        .read_only(true);
    let mut connection = <sqlx::SqliteConnection as sqlx::Connection>::connect_with(&options)
        .await
        .unwrap();
    sqlx::query_scalar("SELECT filed_at IS NOT NULL FROM message")
        .fetch_one(&mut connection)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_the_commit_and_the_move_it_is_moved_at_the_next_start() {
    killed(Dead::BeforeTheMove).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_the_move_and_the_note_of_it_nothing_is_lost_or_done_twice() {
    killed(Dead::AfterTheMove).await;
}
