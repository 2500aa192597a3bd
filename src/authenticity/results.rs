//! Authentication-Results (RFC 8601): what the receiving server found.
//!
//! Anybody can write such a field into a mail, so one is believed, by where it stands and by whom
//! it names (RFC 8601 §5): the topmost. Left out on purpose: fields of other names
//! (ARC-Authentication-Results, X-…), methods other than DKIM and DMARC, and whether the server
//! removes what others wrote in its name (RFC 8601 §7.1): that, the operator has to know.
//!
//! Guarantee: a field that does not parse as a whole says nothing, and one that says two things
//! of the same does not prove either. Where the mail is signed by From's organization, what the
//! signatures do not cover is not proven with it.

mod syntax;

use std::fmt;

pub use self::syntax::is_token;
use super::{Evidence, Method, Proof, Results, Settings, alignment::is_aligned, dkim};
use crate::notice::{self, Address, Authenticity, Sentence, shown};

/// RFC 1035 §2.3.4. What is longer is no domain, and is not kept.
const MAX_DOMAIN: usize = 253;

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
    /// `dkim`, `dmarc`, … lower case; with its version, where that is not 1: `dkim/2`.
    pub method: String,
    /// `pass`, `fail`, … lower case.
    pub result: String,
    /// Name (`header.d`, lower case) and value of each property, in its order; the reason is among
    /// them.
    pub properties: Vec<(String, String)>,
}

/// Why a field says nothing; what was expected and what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed(pub Sentence);

/// In the form of RFC 8601, on one line and without comments.
impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        if let Some(id) = &self.authserv_id {
            f.write_str(id)?;
            separator = "; ";
            if self.results.is_empty() {
                f.write_str("; none")?;
            }
        }
        for result in &self.results {
            write!(f, "{separator}{result}")?;
            separator = "; ";
        }
        Ok(())
    }
}

impl fmt::Display for MethodResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.method, self.result)?;
        for (name, value) in &self.properties {
            if !value.is_empty() && value.chars().all(syntax::is_plain) {
                write!(f, " {name}={value}")?;
            } else {
                let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
                write!(f, " {name}=\"{escaped}\"")?;
            }
        }
        Ok(())
    }
}

impl MethodResult {
    /// The only value of a property; `None` where it is absent.
    ///
    /// # Errors
    /// It stands there several times.
    fn only(&self, name: &str) -> Result<Option<String>, Sentence> {
        let mut values = self.properties.iter().filter(|(other, _)| other == name);
        let first = values.next();
        if values.next().is_some() {
            return Err(Sentence::new(
                format!("expected `{name}` once in a result, found it several times"),
                format!("同一項結果中 `{name}` 只應出現一次，實際不只一次"),
            ));
        }
        Ok(first.map(|(_, value)| value.to_ascii_lowercase()))
    }

    /// The domain whose signature was verified: `header.d` or, without one, that of `header.i`.
    fn signing_domain(&self) -> Result<String, Sentence> {
        let identity = self.only("header.i")?;
        // RFC 6376 §3.5: `i=` has an `@`, and lies in or below `d=`.
        let below = identity
            .as_ref()
            .and_then(|identity| identity.rsplit_once('@'));
        let below = below.map(|(_, domain)| domain.to_owned());
        match (self.only("header.d")?, below) {
            (Some(domain), None) if identity.is_none() => Ok(domain),
            (Some(domain), Some(below))
                if below
                    .strip_suffix(&domain)
                    .is_some_and(|rest| rest.is_empty() || rest.ends_with('.')) =>
            {
                Ok(domain)
            }
            (Some(domain), _) => {
                let (domain, identity) = (shown(&domain), shown(&identity.unwrap_or_default()));
                Err(Sentence::new(
                    format!(
                        "expected a `header.i` in or below `header.d`, found {domain} and \
                         {identity}"
                    ),
                    format!("`header.i` 應屬於 `header.d` 的網域，實際是 {domain} 與 {identity}"),
                ))
            }
            (None, Some(below)) => Ok(below),
            (None, None) => Err(Sentence::new(
                "expected `header.d` or `header.i` beside `dkim=pass`, found neither",
                "應有 `header.d` 或 `header.i` 與 `dkim=pass` 並列，實際都沒有",
            )),
        }
    }
}

impl Field {
    /// The domain that it says `from` was proved for, when it does.
    pub(super) fn vouched(&self, from: &Address) -> Option<String> {
        self.claims()
            .find_map(|(method, domain)| domain.ok().filter(|domain| speaks(method, domain, from)))
    }

    /// What it says in favour of the mail: `dkim` or `dmarc`, and for which domain.
    fn claims(&self) -> impl Iterator<Item = (&'static str, Result<String, Sentence>)> {
        let said = |method: &'static str| {
            let results = self.results.iter();
            results.filter(move |result| result.method == method)
        };
        // A mail may have several signatures, of which one fails; without any, none passes.
        let unsigned = said("dkim").any(|result| result.result == "none");
        let dkim = said("dkim")
            .filter(|result| result.result == "pass")
            .map(move |result| {
                if unsigned {
                    return Err(Sentence::new(
                        "expected `dkim=pass` or `dkim=none`, found both",
                        "`dkim=pass` 與 `dkim=none` 互相矛盾，兩者卻都有",
                    ));
                }
                result.signing_domain()
            });
        let several = said("dmarc").count() > 1;
        let dmarc = said("dmarc")
            .filter(|result| result.result == "pass")
            .map(move |result| {
                // RFC 7489 judges a mail, not a signature: there is one answer.
                if several {
                    return Err(Sentence::new(
                        "expected one result of `dmarc`, found several",
                        "`dmarc` 的結果應只有一項，實際不只一項",
                    ));
                }
                result.only("header.from")?.ok_or_else(|| {
                    Sentence::new(
                        "expected `header.from` beside `dmarc=pass`, found none",
                        "應有 `header.from` 與 `dmarc=pass` 並列，實際沒有",
                    )
                })
            });
        let dkim = dkim.map(|domain| ("dkim", domain));
        dkim.chain(dmarc.map(|domain| ("dmarc", domain)))
    }
}

/// Every Authentication-Results field of a mail, topmost first.
pub(super) fn fields(raw: &[u8]) -> Vec<Result<Field, Malformed>> {
    let mut above_received = true;
    let mut found = Vec::new();
    for (name, body) in notice::split(raw).0 {
        if name.eq_ignore_ascii_case(b"Received") {
            above_received = false;
        } else if name.eq_ignore_ascii_case(b"Authentication-Results") {
            let payload = syntax::payload(body);
            found.push(payload.map(|(authserv_id, results)| Field {
                authserv_id,
                above_received,
                results,
            }));
        }
    }
    found
}

/// Looks for the server's word that counts.
pub(super) fn verify(
    raw: &[u8],
    from: Option<&Address>,
    results: Results,
    settings: &Settings,
) -> Evidence {
    let Some(topmost) = fields(raw).into_iter().next() else {
        return Evidence {
            verdict: Authenticity::Unproven(Sentence::new(
                "there is no Authentication-Results field; see what mail of this sender carries \
                 with `invoice-trackd check --online`",
                "這封信沒有 Authentication-Results 欄位；\
                 請用 `invoice-trackd check --online` 查看此寄件人的信帶有什麼證明",
            )),
            proof: None,
        };
    };
    let claimed = topmost.as_ref().ok();
    let claimed = claimed
        .and_then(|field| field.claims().find_map(|(_, domain)| domain.ok()))
        .filter(|domain| domain.len() <= MAX_DOMAIN);
    let proved = topmost
        .map_err(|Malformed(why)| {
            Sentence::new(
                format!(
                    "the topmost Authentication-Results field cannot be read: {}",
                    why.en
                ),
                format!("最上面的 Authentication-Results 欄位無法解讀：{}", why.zh),
            )
        })
        .and_then(|field| {
            believed(&field, results, &settings.trusted_authserv_ids)?;
            let domain = proved(&field, from, &settings.domains)?;
            dkim::repeated_field(raw).map_or(Ok(domain), Err)
        });
    let (verdict, domain) = match proved {
        Ok(domain) => {
            // The server says that the mail is the Ministry's, and not to whom the Ministry wrote.
            let signed = from.and_then(|from| dkim::covered_by_all(raw, from));
            (Authenticity::Proven { signed }, Some(domain))
        }
        Err(why) => (Authenticity::Unproven(why), claimed),
    };
    Evidence {
        verdict,
        proof: Some(Proof {
            method: Method::AuthenticationResults,
            domain,
            selector: None,
            algorithm: None,
            key: None,
        }),
    }
}

/// Whether the topmost field is one that nobody but the receiving server can have written, as far
/// as its place and its name tell.
fn believed(field: &Field, results: Results, trusted: &[String]) -> Result<(), Sentence> {
    let id = field.authserv_id.as_deref();
    // Before its name: nobody should be told to trust a name that the sender made up.
    if results == Results::Top && !field.above_received {
        let who = id.map_or_else(|| Sentence::new("no server", "未署名"), named);
        return Err(Sentence::new(
            format!(
                "expected the topmost Authentication-Results field above every Received field, \
                 found it ({}) below one, where the sender can have written it; a mailbox at \
                 Gmail needs `results = \"google\"`, any other a server that writes it on top",
                who.en
            ),
            format!(
                "最上面的 Authentication-Results 欄位應在所有 Received 欄位之上，\
                 實際（{}）在某個 Received 之下，寄件人也可能自行寫入；Gmail 信箱請設 \
                 `results = \"google\"`，其他信箱的伺服器必須把它寫在最上面",
                who.zh
            ),
        ));
    }
    match (results, id) {
        (Results::Microsoft, None) => Ok(()),
        (Results::Microsoft, Some(id)) => Err(Sentence::new(
            format!(
                "expected a topmost Authentication-Results field without a server's name, as \
                 Microsoft 365 writes it, found {}; only a mailbox at Microsoft 365 needs \
                 `results = \"microsoft\"`",
                shown(id)
            ),
            format!(
                "最上面的 Authentication-Results 欄位應如 Microsoft 365 所寫，沒有伺服器名稱，\
                 實際是 {}；只有 Microsoft 365 信箱才設 `results = \"microsoft\"`",
                shown(id)
            ),
        )),
        (Results::Top | Results::Google, None) => Err(Sentence::new(
            "expected a server's name in the topmost Authentication-Results field, found none; a \
             mailbox at Microsoft 365 needs `results = \"microsoft\"`",
            "最上面的 Authentication-Results 欄位應有伺服器名稱，實際沒有；\
             Microsoft 365 信箱請設 `results = \"microsoft\"`",
        )),
        (Results::Top | Results::Google, Some(id)) => {
            if trusted.iter().any(|own| own.eq_ignore_ascii_case(id)) {
                return Ok(());
            }
            let id = shown(id);
            let claim = field
                .claims()
                .find_map(|(method, domain)| Some((method, domain.ok()?)));
            let wrote = claim.map_or_else(
                || said(field),
                |(method, domain)| {
                    let domain = shown(&domain);
                    Sentence::new(
                        format!("`{method}=pass` for {domain}"),
                        format!(" `{method}=pass`（{domain}）"),
                    )
                },
            );
            Err(Sentence::new(
                format!(
                    "{id} wrote {}, but {id} is not on `trusted_authserv_ids`: add it only if it \
                     is your own server",
                    wrote.en
                ),
                format!(
                    "{id} 寫了{}，但 {id} 不在 `trusted_authserv_ids` 名單上：\
                     確定是自己的收信伺服器才能加入",
                    wrote.zh
                ),
            ))
        }
    }
}

/// The domain that the field proves.
fn proved(field: &Field, from: Option<&Address>, domains: &[String]) -> Result<String, Sentence> {
    let Some(from) = from else {
        return Err(Sentence::new(
            "expected one address in From to compare with, found none or several",
            "應有唯一的寄件人地址可供比對，實際沒有或不只一個",
        ));
    };
    let mut refused = None;
    for (method, domain) in field.claims() {
        let counted = domain.and_then(|domain| counted(method, domain, from, domains));
        match counted {
            Ok(domain) => return Ok(domain),
            Err(why) => {
                refused.get_or_insert(why);
            }
        }
    }
    let server = field.authserv_id.as_deref().map_or_else(
        || Sentence::new("the receiving server", "收信伺服器"),
        named,
    );
    Err(refused.unwrap_or_else(|| {
        let said = said(field);
        Sentence::new(
            format!(
                "expected `dkim=pass` or `dmarc=pass`, but {} wrote {}",
                server.en, said.en
            ),
            format!(
                "應有 `dkim=pass` 或 `dmarc=pass`，但{}寫了{}",
                server.zh, said.zh
            ),
        )
    }))
}

/// Whether a pass for `domain` speaks for the sender, whatever the operator lists.
fn speaks(method: &str, domain: &str, from: &Address) -> bool {
    match method {
        "dkim" => is_aligned(from.domain(), domain),
        _ => from.domain() == domain,
    }
}

/// `domain`, when a pass for it speaks for the sender and the operator lists it.
fn counted(
    method: &str,
    domain: String,
    from: &Address,
    domains: &[String],
) -> Result<String, Sentence> {
    let found = shown(&domain);
    if !domains.contains(&domain) {
        return Err(Sentence::new(
            format!("found `{method}=pass` for {found}, which is not among `domains`"),
            format!("有 `{method}=pass`（{found}），但該網域不在 `domains` 名單上"),
        ));
    }
    if !speaks(method, &domain, from) {
        let of = shown(from.domain());
        return Err(Sentence::new(
            format!("found `{method}=pass` for {found}, which does not speak for From's {of}"),
            format!("有 `{method}=pass`（{found}），但不能代表寄件人的網域 {of}"),
        ));
    }
    Ok(domain)
}

fn named(id: &str) -> Sentence {
    Sentence::new(shown(id), format!(" {} ", shown(id)))
}

/// What a field says, in a few words.
fn said(field: &Field) -> Sentence {
    const MAX_LISTED: usize = 5;
    if field.results.is_empty() {
        return Sentence::new("no result", "：沒有任何結果");
    }
    let results = field.results.iter().take(MAX_LISTED);
    let mut listed: Vec<String> = results
        .map(|result| shown(&format!("{}={}", result.method, result.result)))
        .collect();
    if field.results.len() > MAX_LISTED {
        listed.push("…".to_owned());
    }
    Sentence::new(listed.join(", "), format!(" {}", listed.join("、")))
}

#[cfg(test)]
mod tests;
