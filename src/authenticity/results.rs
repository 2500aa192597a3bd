//! Authentication-Results (RFC 8601): what the receiving server found.

use super::{Evidence, Method, Proof, Results, Settings};
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

/// A field that cannot be read as a whole.
#[derive(Debug)]
pub(super) struct Malformed;

/// Every Authentication-Results field, topmost first.
pub(super) fn fields(raw: &[u8]) -> Vec<Result<Field, Malformed>> {
    let text = String::from_utf8_lossy(raw).replace("\r\n", "\n");
    let header = text.split("\n\n").next().unwrap_or_default();
    let unfolded = header.replace("\n ", " ").replace("\n\t", " ");
    let mut above_received = true;
    let mut fields = Vec::new();
    for line in unfolded.lines() {
        let Some((name, body)) = line.split_once(':') else {
            continue;
        };
        above_received &= !name.eq_ignore_ascii_case("Received");
        if name.eq_ignore_ascii_case("Authentication-Results") {
            fields.push(field(body, above_received));
        }
    }
    fields
}

fn field(body: &str, above_received: bool) -> Result<Field, Malformed> {
    let mut parts = body.split(';').map(str::trim).peekable();
    let authserv_id = parts.next_if(|first| !first.contains('='));
    let results = parts.filter(|part| !part.is_empty() && *part != "none");
    let results = results.map(|part| {
        let mut words = part
            .split_whitespace()
            .filter_map(|word| word.split_once('='));
        let (method, result) = words.next()?;
        let properties = words.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
        Some(MethodResult {
            method: method.to_ascii_lowercase(),
            result: result.to_ascii_lowercase(),
            properties: properties.collect(),
        })
    });
    Ok(Field {
        authserv_id: authserv_id.map(str::to_ascii_lowercase),
        above_received,
        results: results.collect::<Option<_>>().ok_or(Malformed)?,
    })
}

/// Looks for the server's word that counts.
pub(super) fn verify(
    raw: &[u8],
    from: Option<&Address>,
    results: Results,
    settings: &Settings,
) -> Evidence {
    let unproven = |proof| Evidence {
        verdict: Authenticity::Unproven(Sentence::new(
            "there is no Authentication-Results field of a trusted server that proves it",
            "沒有可信任伺服器的 Authentication-Results 欄位可以證明",
        )),
        proof,
    };
    let Some(Ok(top)) = fields(raw).into_iter().next() else {
        return unproven(None);
    };
    let believed = match (&top.authserv_id, results) {
        (None, Results::Microsoft) => true,
        (Some(id), Results::Google) => settings.trusted_authserv_ids.contains(id),
        (Some(id), Results::Top) => {
            top.above_received && settings.trusted_authserv_ids.contains(id)
        }
        _ => false,
    };
    let vouched = from.and_then(|from| top.vouched(from));
    let proof = Some(Proof {
        method: Method::AuthenticationResults,
        domain: vouched.clone(),
        selector: None,
        algorithm: None,
        key: None,
    });
    match vouched {
        Some(domain) if believed && settings.domains.contains(&domain) => Evidence {
            verdict: Authenticity::Proven { signed: None },
            proof,
        },
        _ => unproven(proof),
    }
}
