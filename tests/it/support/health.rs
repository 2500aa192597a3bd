//! Whoever asks a daemon over HTTP how it is.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use super::free_address;

/// The health listener of one daemon.
pub struct Health {
    address: SocketAddr,
}

impl Health {
    /// On an address that is nobody else's.
    pub fn new() -> Self {
        let address = free_address();
        Self { address }
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
