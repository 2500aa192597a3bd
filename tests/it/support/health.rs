//! Whoever asks a daemon over HTTP how it is.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

/// The health listener of one daemon.
pub struct Health {
    address: SocketAddr,
}

impl Health {
    /// A port that was free a moment ago, and that the system gives to nobody by itself, as it
    /// gives the higher ones to the connections of other tests.
    pub fn new() -> Self {
        static TAKEN: AtomicU16 = AtomicU16::new(0);
        let first = (std::process::id() % 200) as u16 * 60;
        loop {
            let next = TAKEN.fetch_add(1, Ordering::Relaxed) % 12_000;
            let address = SocketAddr::from(([127, 0, 0, 1], 20_000 + (first + next) % 12_000));
            if TcpListener::bind(address).is_ok() {
                return Self { address };
            }
        }
    }

    /// What the configuration says of it.
    pub fn configuration(&self) -> String {
        format!("[http]\nlisten = \"{}\"\n", self.address)
    }

    /// The status of `/readyz` and what it says; 0 where nobody answers.
    pub fn ready(&self) -> (u16, String) {
        let mut answer = String::new();
        if let Ok(mut stream) = TcpStream::connect(self.address) {
            stream
                .set_read_timeout(Some(Duration::from_secs(10)))
                .unwrap();
            let host = self.address;
            let request =
                format!("GET /readyz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).ok();
            stream.read_to_string(&mut answer).ok();
        }
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        (status.unwrap_or(0), body.to_owned())
    }
}
