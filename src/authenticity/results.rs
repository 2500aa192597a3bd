//! Authentication-Results (RFC 8601): what the receiving server found.

use super::{Evidence, Results, Settings};
use crate::notice::{Address, Authenticity, Sentence};

/// One Authentication-Results field. RFC 8601 §2.2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Who writes it, lower case; Microsoft 365 leaves it out.
    pub authserv_id: Option<String>,
    /// Whether it stands above every Received field.
    pub above_received: bool,
    /// What it says, in its order.
    pub results: Vec<MethodResult>,
}

/// What one method found, e.g. `dkim=pass header.d=example.com`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MethodResult {
    /// `dkim`, `dmarc`, … lower case.
    pub method: String,
    /// `pass`, `fail`, … lower case.
    pub result: String,
    /// Name (`header.d`, lower case) and value of each property, in its order.
    pub properties: Vec<(String, String)>,
}

/// Looks for the server's word that counts.
pub(super) fn verify(
    _raw: &[u8],
    _from: Option<&Address>,
    _results: Results,
    _settings: &Settings,
) -> Evidence {
    Evidence {
        verdict: Authenticity::Unproven(Sentence::new(
            "there is no Authentication-Results field of a trusted server",
            "沒有可信任伺服器的 Authentication-Results 欄位",
        )),
        proof: None,
    }
}
