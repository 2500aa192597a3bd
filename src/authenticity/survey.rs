//! What one mail carries that could prove where it comes from, whatever is demanded.
//!
//! Left out on purpose: believing any of it. [`Verifier::verify`] does that, by the settings; here
//! the operator is shown what there is to be believed.

use tokio::time::Instant;

use super::{
    Field, Outcome, Signed, Verifier, alignment::is_aligned, dkim, resolver::BOUND, results,
};
use crate::notice::Address;

/// What one mail carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// The one address in From.
    pub from: Option<Address>,
    /// Its DKIM signatures, each looked into, in the order of the header.
    pub signatures: Vec<Signed>,
    /// Its Authentication-Results fields, topmost first; `None` for one that cannot be read.
    pub fields: Vec<Option<Field>>,
}

impl Survey {
    /// The signatures that could speak for From, whether they hold or not: aligned with it, and
    /// over what a signature must cover.
    pub(super) fn speaking(&self) -> impl Iterator<Item = &Signed> {
        self.signatures.iter().filter(|signed| {
            self.speaks_for_from(&signed.domain) && signed.uncovered().next().is_none()
        })
    }

    /// Signatures that hold and yet prove nothing of From, for somebody else made them.
    pub(super) fn strangers(&self) -> impl Iterator<Item = &Signed> {
        let intact = |signed: &&Signed| signed.outcome == Outcome::Pass;
        let signatures = self.signatures.iter().filter(intact);
        signatures.filter(|signed| !self.speaks_for_from(&signed.domain))
    }

    fn speaks_for_from(&self, domain: &str) -> bool {
        let from = self.from.as_ref();
        from.is_some_and(|from| is_aligned(from.domain(), domain))
    }
}

impl Verifier {
    /// Looks into everything that a mail carries, and asks DNS for the keys of its signatures.
    pub async fn survey(&self, raw: &[u8], from: Option<&Address>) -> Survey {
        Survey {
            from: from.cloned(),
            signatures: dkim::signatures(raw, &self.resolver).await,
            fields: results::fields(raw).into_iter().map(Result::ok).collect(),
        }
    }

    /// The DNS servers that are asked for keys, as they are written in the configuration.
    ///
    /// # Errors
    /// The system's resolver configuration cannot be read.
    pub fn dns_servers(&self) -> Result<Vec<std::net::SocketAddr>, String> {
        self.resolver.servers()
    }

    /// Asks DNS for the TXT records at `name`; how many there are. That there are none is an answer.
    ///
    /// # Errors
    /// The resolver's trouble, in a few words.
    pub async fn ask_dns(&self, name: &str) -> Result<usize, String> {
        let until = Instant::now() + BOUND;
        Ok(self.resolver.txt(name, until).await?.len())
    }
}
