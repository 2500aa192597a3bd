//! From what the latest mail carries to the settings under which it would be believed.
//!
//! Left out on purpose: mail, DNS, and what is set now. Pure: the same surveys give the same proposal.
//!
//! Guarantee: only what proves From counts. A domain is proposed only when an intact signature, or
//! the receiving server, says so of a mail with a From of the same organization; an authserv-id
//! only when its field tops at least half of a mailbox's mails, for anybody may write one into the
//! mail that he sends. Both are plain names, fit to stand in the configuration.

use std::collections::{BTreeMap, BTreeSet};

use super::{Outcome, Require, Results, Survey};

/// Who receives for Gmail and Google Workspace, and writes its field below its own Received.
const GOOGLE: &str = "mx.google.com";

/// A name, and how many mails speak for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// A domain or an authserv-id, lower case.
    pub name: String,
    /// How many mails.
    pub mails: usize,
}

/// The settings under which mail such as this would be believed, and what speaks for them. Names
/// are in the order of their counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proposal {
    /// What to demand; `None` where nothing that would do is there, or could be told.
    pub require: Option<Require>,
    /// The domains that count.
    pub domains: Vec<Counted>,
    /// The servers to be believed; none where they write no authserv-id.
    pub authserv_ids: Vec<Counted>,
    /// Which field of each mailbox's mail is to be believed; `None` where none is.
    pub results: Vec<Option<Results>>,
    /// How many mails there are.
    pub mails: usize,
    /// Of how many a signature proves From.
    pub by_signature: usize,
    /// Of how many the receiving server says that it is proved.
    pub by_results: usize,
    /// How many have a signature that nobody could check, because DNS failed, and no other proof by
    /// signature.
    pub undecided: usize,
    /// Who else signed, intact, though it says nothing of From.
    pub strangers: Vec<Counted>,
    /// Servers that say it is proved, and whose word cannot be told from a forger's.
    pub doubtful: Vec<Counted>,
}

/// The topmost field's writer: which setting reads it, and its authserv-id.
type Writer = (Results, Option<String>);

/// What would let most of these mails through; `mailboxes` holds the mails of each.
pub fn propose(mailboxes: &[Vec<Survey>]) -> Proposal {
    let mut proposal = Proposal::default();
    let mut signers = Counts::default();
    let mut vouched = Counts::default();
    let mut only_vouched = Counts::default();
    let mut writers = Counts::default();
    let mut strangers = Counts::default();
    let mut doubtful = Counts::default();
    for surveys in mailboxes {
        let (results, believed) = believable(surveys);
        proposal.results.push(results);
        for survey in surveys {
            proposal.mails += 1;
            let by_signature = signing(survey);
            let undecided = |survey: &Survey| {
                let mut speaking = survey.speaking();
                speaking.any(|signed| matches!(signed.outcome, Outcome::Unknown(_)))
            };
            if by_signature.is_empty() && undecided(survey) {
                proposal.undecided += 1;
            }
            let word = word(survey);
            match word {
                Some((Some(writer), domain)) if believed.contains(&writer) => {
                    proposal.by_results += 1;
                    if by_signature.is_empty() {
                        only_vouched.add(domain.clone());
                    }
                    vouched.add(domain);
                    writer.1.into_iter().for_each(|id| writers.add(id));
                }
                Some((writer, _)) => {
                    let id = writer.and_then(|(_, id)| id).or_else(|| top_id(survey));
                    id.into_iter().for_each(|id| doubtful.add(id));
                }
                None => {}
            }
            proposal.by_signature += usize::from(!by_signature.is_empty());
            by_signature.into_iter().for_each(|name| signers.add(name));
            let others: BTreeSet<_> = survey.strangers().map(|signed| &signed.domain).collect();
            others
                .into_iter()
                .cloned()
                .for_each(|name| strangers.add(name));
        }
    }
    proposal.strangers = strangers.sorted();
    proposal.doubtful = doubtful.sorted();
    // While DNS fails, a server's word would be proposed in place of signatures that may well hold.
    let untold = proposal.undecided > 0 && proposal.by_signature == 0;
    proposal.require = match (proposal.by_signature, only_vouched.0.len()) {
        _ if untold => None,
        (0, 0) => None,
        (_, 0) => Some(Require::Dkim),
        (0, _) => Some(Require::AuthenticationResults),
        (_, _) => Some(Require::Either),
    };
    match proposal.require {
        Some(Require::Dkim) => proposal.domains = signers.sorted(),
        Some(Require::AuthenticationResults) => proposal.domains = vouched.sorted(),
        Some(Require::Either) => {
            signers.add_all(only_vouched);
            proposal.domains = signers.sorted();
        }
        Some(Require::None) | None => {}
    }
    match proposal.require {
        Some(Require::AuthenticationResults | Require::Either) => {
            proposal.authserv_ids = writers.sorted();
        }
        _ => proposal.results.fill(None),
    }
    proposal
}

/// The domains whose signatures prove the mail's From.
fn signing(survey: &Survey) -> BTreeSet<String> {
    let intact = survey.speaking();
    intact
        .filter(|signed| signed.outcome == Outcome::Pass && is_name(&signed.domain))
        .map(|signed| signed.domain.clone())
        .collect()
}

/// Whether it is written as host names are. What strangers write is not to be pasted anywhere.
fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    !text.is_empty() && text.chars().all(plain)
}

/// Who wrote the topmost field, where a setting would read it from there.
fn writer(survey: &Survey) -> Option<Writer> {
    let top = survey.fields.first()?.as_ref()?;
    match &top.authserv_id {
        None => Some((Results::Microsoft, None)),
        Some(id) if !is_name(id) => None,
        Some(id) if id == GOOGLE => Some((Results::Google, Some(id.clone()))),
        Some(id) if top.above_received => Some((Results::Top, Some(id.clone()))),
        // Whoever sent the mail may have written it.
        Some(_) => None,
    }
}

fn top_id(survey: &Survey) -> Option<String> {
    survey.fields.first()?.as_ref()?.authserv_id.clone()
}

/// The domain that the topmost field speaks for, and who wrote it.
fn word(survey: &Survey) -> Option<(Option<Writer>, String)> {
    let top = survey.fields.first()?.as_ref()?;
    let domain = top.vouched(survey.from.as_ref()?);
    let domain = domain.filter(|domain| is_name(domain))?;
    Some((writer(survey), domain))
}

/// Whose fields to believe in one mailbox: they top at least half of its mails, one setting reads
/// them all, and they prove something.
fn believable(surveys: &[Survey]) -> (Option<Results>, Vec<Writer>) {
    let mut topped: BTreeMap<(&str, Option<String>), (Writer, usize, usize)> = BTreeMap::new();
    for survey in surveys {
        let Some(writer) = writer(survey) else {
            continue;
        };
        let key = (writer.0.as_str(), writer.1.clone());
        let (_, mails, proved) = topped.entry(key).or_insert((writer, 0, 0));
        *mails += 1;
        *proved += usize::from(word(survey).is_some());
    }
    let most = topped
        .into_values()
        .filter(|(_, mails, _)| mails * 2 >= surveys.len());
    let most: Vec<_> = most.filter(|(_, _, proved)| *proved > 0).collect();
    let Some(((results, _), ..)) = most.iter().max_by_key(|(_, _, proved)| *proved) else {
        return (None, Vec::new());
    };
    let read = most.iter().filter(|((other, _), ..)| other == results);
    (
        Some(*results),
        read.map(|(writer, ..)| writer.clone()).collect(),
    )
}

/// How many mails speak for each name.
#[derive(Debug, Default)]
struct Counts(BTreeMap<String, usize>);

impl Counts {
    fn add(&mut self, name: String) {
        *self.0.entry(name).or_default() += 1;
    }

    fn add_all(&mut self, others: Self) {
        for (name, mails) in others.0 {
            *self.0.entry(name).or_default() += mails;
        }
    }

    fn sorted(self) -> Vec<Counted> {
        let counted = self.0.into_iter();
        let mut counted: Vec<_> = counted
            .map(|(name, mails)| Counted { name, mails })
            .collect();
        counted.sort_by_key(|counted| std::cmp::Reverse(counted.mails));
        counted
    }
}

#[cfg(test)]
mod tests;
