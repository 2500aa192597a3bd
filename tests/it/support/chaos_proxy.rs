//! A network between a client and a server, in which one thing goes wrong, once.
//!
//! It carries bytes both ways over TCP and counts them, both directions and all connections
//! together, so that in a dialogue in which one waits for the other a number names one moment.
//! Left out on purpose: what the bytes mean.
//!
//! Guarantee: exactly so many bytes get through before the fault, and after it everything on every
//! connection that is made later.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    task::{JoinHandle, JoinSet},
};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// After so many bytes the connection is closed, on both sides.
    Close(u64),
    /// After so many bytes nothing gets through any more, and the connection stays.
    Mute(u64),
    /// Everything gets through, one byte at a time.
    Drip,
}

/// A running network; it ends when dropped, with every connection.
pub struct ChaosProxy {
    pub address: SocketAddr,
    line: Arc<Line>,
    serving: JoinHandle<()>,
}

struct Line {
    fault: Option<Fault>,
    counter: Mutex<Counter>,
}

#[derive(Default)]
struct Counter {
    passed: u64,
    struck: bool,
    healed: bool,
}

impl ChaosProxy {
    /// Listens, and carries each connection to `server`.
    pub async fn start(server: SocketAddr, fault: Option<Fault>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let line = Arc::new(Line {
            fault,
            counter: Mutex::default(),
        });
        let shared = Arc::clone(&line);
        let serving = tokio::spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let line = Arc::clone(&shared);
                // A side that goes away ends its connection and nothing else.
                open.spawn(async move { line.carry(client, server).await.ok() });
            }
        });
        Self {
            address,
            line,
            serving,
        }
    }

    /// How many bytes got through so far.
    pub fn passed(&self) -> u64 {
        self.line.counter.lock().unwrap().passed
    }

    /// Whether a connection was closed or went mute.
    pub fn has_struck(&self) -> bool {
        self.line.counter.lock().unwrap().struck
    }

    /// From now on nothing goes wrong that has not gone wrong yet.
    pub fn heal(&self) {
        self.line.counter.lock().unwrap().healed = true;
    }
}

impl Drop for ChaosProxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Line {
    async fn carry(&self, mut client: TcpStream, server: SocketAddr) -> std::io::Result<()> {
        let mut server = TcpStream::connect(server).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (mut from_client, mut to_client) = client.split();
        let (mut from_server, mut to_server) = server.split();
        // A fault after no bytes strikes before the first.
        let struck = self.admit(0).1
            || tokio::select! {
                struck = self.pump(&mut from_client, &mut to_server) => struck?,
                struck = self.pump(&mut from_server, &mut to_client) => struck?,
            };
        if struck && let Some(Fault::Mute(_)) = self.fault {
            // The server may leave; the client is not told.
            tokio::select! {
                () = swallow(&mut from_client) => {}
                () = async {
                    swallow(&mut from_server).await;
                    std::future::pending().await
                } => {}
            }
        }
        Ok(())
    }

    /// Carries one direction until it ends, which is `false`, or until the fault strikes.
    async fn pump(&self, from: &mut ReadHalf<'_>, to: &mut WriteHalf<'_>) -> std::io::Result<bool> {
        let mut chunk = [0; 4096];
        let most = match self.fault {
            Some(Fault::Drip) => 1,
            _ => chunk.len(),
        };
        loop {
            let came = from.read(&mut chunk[..most]).await?;
            if came == 0 {
                return Ok(false);
            }
            let (admitted, struck) = self.admit(came);
            to.write_all(&chunk[..admitted]).await?;
            if struck {
                return Ok(true);
            }
            if most == 1 {
                // Or the kernel would hand over many at once.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }

    /// How many of `came` bytes get through, and whether the fault strikes behind them.
    fn admit(&self, came: usize) -> (usize, bool) {
        let mut counter = self.counter.lock().unwrap();
        let admitted = match self.fault {
            Some(Fault::Close(after) | Fault::Mute(after))
                if !counter.struck && !counter.healed =>
            {
                let left = after - counter.passed;
                counter.struck = left <= came as u64;
                came.min(left as usize)
            }
            _ => {
                counter.passed += came as u64;
                return (came, false);
            }
        };
        counter.passed += admitted as u64;
        (admitted, counter.struck)
    }
}

/// Reads until there is no more to come.
async fn swallow(from: &mut ReadHalf<'_>) {
    let mut chunk = [0; 4096];
    while let Ok(1..) = from.read(&mut chunk).await {}
}
