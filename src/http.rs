//! Health over HTTP.

use std::net::SocketAddr;

/// Where to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// A loopback address and a port.
    pub listen: SocketAddr,
}
