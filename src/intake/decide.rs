//! What a person decides: to release a mail or put it aside, to take a range out of use.
//!
//! A mail that is released is judged again, by today's rules and beside today's ledger, by the one
//! judge there is; the person overrules only what [`DefectCode::is_overrulable`] allows. What was
//! found of its origin when it came still counts, for the keys that proved it may be gone.
//!
//! Guarantee: what is decided, what follows from it and what is told of it are one transaction; a
//! decision that is refused changes nothing. Left out on purpose: who may decide.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::{Examined, Intake, guarded, judge, reconcile::row_again, sha256, tell};
use crate::{
    authenticity::Evidence,
    clock::taipei_minute,
    delivery::compose::{self, Event},
    ledger::{
        AllocationRow, Decision, DecisionRow, Entry, LedgerError, StoredMessage, Transaction,
    },
    mailbox::{Content, RawMessage},
    notice::{self, Ban, Defect, DefectCode, Disposition, Judgement, Release},
    stranger::one_line,
};

/// What a person wants done with a mail that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Judge it again and record it, though somebody put it aside.
    Release(Release),
    /// The same, unless somebody put it aside: of many, nobody looked at this one again.
    ReleaseWaiting(Release),
    /// Put it aside.
    Dismiss,
}

/// What became of a mail by a person's decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// `message.id`, a copy's original.
    pub id: i64,
    /// From, when there was exactly one.
    pub from: Option<String>,
    /// The decoded Subject.
    pub subject: String,
    /// How it was judged when it was released; `None` where it was dismissed.
    pub judgement: Option<Judgement>,
}

/// Why a decision was not carried out: nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing has this id.
    #[error("there is no message {0}: `invoice-trackd quarantine list` shows what waits")]
    NoMessage(i64),
    /// It does not wait for a person, or no more.
    #[error("message {id} does not wait for a decision: it is {state}{}", by(.decision))]
    NotWaiting {
        /// `message.id`
        id: i64,
        /// What it is: its disposition, or `dismissed`.
        state: &'static str,
        /// Who made it so.
        decision: Option<DecisionRow>,
    },
    /// It waits for a resolver: nobody knows yet whether there will be anything to decide.
    #[error(
        "message {0} waits for a resolver (DNS) and is judged by itself once that answers: `invoice-trackd quarantine show {0}` says what it waits for, and `invoice-trackd quarantine dismiss {0} --reason TEXT` puts it aside"
    )]
    WaitsForResolver(i64),
    /// There is too little of it to be judged.
    #[error("message {id} cannot be judged again: {lacking}")]
    Incomplete {
        /// `message.id`
        id: i64,
        /// What is lacking.
        lacking: Lacking,
    },
    /// By today's rules it is nothing of ours.
    #[error(
        "message {0} is no allocation notice by today's rules, so there is nothing to record: put it aside with `invoice-trackd quarantine dismiss {0} --reason TEXT`"
    )]
    NoNotice(i64),
    /// There is something wrong with it that nobody may overrule.
    #[error("message {id} cannot be released: {}", standing(.defects, *.id, *.ban))]
    Defects {
        /// `message.id`
        id: i64,
        /// What stands in the way.
        defects: Vec<Defect>,
        /// Whose numbers they are, as the person said.
        ban: Option<Ban>,
    },
    /// Nothing has this id.
    #[error("there is no allocation {0}: `invoice-trackd allocations` lists them")]
    NoAllocation(i64),
    /// The range is out of use already.
    #[error("allocation {id} was withdrawn at {} (UTC+8){}", taipei_minute(*.at), by(.decision))]
    Withdrawn {
        /// `allocation.id`
        id: i64,
        /// When.
        at: Timestamp,
        /// Who did it.
        decision: Option<DecisionRow>,
    },
}

/// What is lacking of a message that cannot be judged again, and what to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Lacking {
    /// All but its header.
    #[error(
        "it is larger than max_message_bytes and only its header was fetched; raise max_message_bytes, then save the mail as a file and `invoice-trackd ingest` it, or forward it to the mailbox as an attachment"
    )]
    Body,
    /// The server never handed it over.
    #[error(
        "the mail server has not handed it over; open it with a mail program, save it as a file and `invoice-trackd ingest` it, or forward it to the mailbox as an attachment"
    )]
    Everything,
    /// What nothing proved genuine is cut.
    #[error(
        "nothing proved it genuine, so only its first 64 KiB were kept; forward it to the mailbox as an attachment, or take the ranges from the platform"
    )]
    Rest,
    /// It was dismissed too long ago.
    #[error(
        "it was dismissed more than 90 days ago and its bytes are gone; forward it to the mailbox as an attachment"
    )]
    Forgotten,
}

/// So many defects stand in a refusal; `quarantine show` lists all.
const LISTED: usize = 5;
/// So much of anybody's words, characters.
const WORDS: usize = 200;

/// By whom and when, where that is known.
fn by(decision: &Option<DecisionRow>) -> String {
    decision.as_ref().map_or_else(String::new, |decision| {
        let DecisionRow {
            who, reason, at, ..
        } = decision;
        let (at, who, reason) = (
            taipei_minute(*at),
            one_line(who, 60),
            one_line(reason, WORDS),
        );
        format!(", decided by {who} at {at} (UTC+8): {reason}")
    })
}

/// What stands in the way, and what to do.
fn standing(defects: &[Defect], id: i64, ban: Option<Ban>) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    for Defect { code, detail } in defects.iter().take(LISTED) {
        write!(text, "{code} ({}); ", one_line(&detail.en, WORDS)).ok();
    }
    if let more @ 1.. = defects.len().saturating_sub(LISTED) {
        write!(text, "and {more} more; ").ok();
    }
    let needs_ban = |defect: &Defect| defect.code == DefectCode::UnknownCompany;
    if ban.is_none() && !defects.is_empty() && defects.iter().all(needs_ban) {
        text.push_str("say whose numbers they are with --ban");
    } else {
        write!(
            text,
            "as things stand nobody may overrule this: `invoice-trackd quarantine show {id}` says what to do about it, and `invoice-trackd quarantine dismiss {id} --reason TEXT` puts the mail aside"
        )
        .ok();
    }
    text
}

impl Intake {
    /// Carries out one decision about each of `ids`, in this order and each in a transaction of
    /// its own; with `dry_run` all of them in one that is rolled back. `mailbox_company` tells the
    /// company of a mailbox by its name, or of files.
    ///
    /// # Errors
    /// The ledger's only; those before it are decided then, and deciding about them again is
    /// refused.
    pub async fn decide(
        &self,
        ids: &[i64],
        action: Action,
        decision: &Decision<'_>,
        mailbox_company: impl Fn(Option<&str>) -> Option<Ban>,
        dry_run: bool,
    ) -> Result<Vec<Result<Decided, Refusal>>, LedgerError> {
        let mut outcomes = Vec::with_capacity(ids.len());
        let mut rehearsal = match dry_run {
            true => Some(self.ledger.begin().await?),
            false => None,
        };
        for id in ids {
            let mut own = None;
            let transaction = match &mut rehearsal {
                Some(rehearsal) => rehearsal,
                None => own.insert(self.ledger.begin().await?),
            };
            let outcome = self
                .decide_one(transaction, *id, action, decision, &mailbox_company)
                .await?;
            if let Some(own) = own.filter(|_| outcome.is_ok()) {
                own.commit().await?;
            }
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }

    async fn decide_one(
        &self,
        transaction: &mut Transaction,
        id: i64,
        action: Action,
        decision: &Decision<'_>,
        mailbox_company: impl Fn(Option<&str>) -> Option<Ban>,
    ) -> Result<Result<Decided, Refusal>, LedgerError> {
        let Some(mut message) = transaction.message(id).await? else {
            return Ok(Err(Refusal::NoMessage(id)));
        };
        if let Some(refusal) = is_decided(&message, action) {
            return Ok(Err(refusal));
        }
        let release = match action {
            Action::Release(release) | Action::ReleaseWaiting(release) => release,
            Action::Dismiss => {
                transaction.dismiss(message.id, decision).await?;
                return Ok(Ok(Decided {
                    id: message.id,
                    from: message.from,
                    subject: message.subject,
                    judgement: None,
                }));
            }
        };

        let raw = match whole(&mut message) {
            Ok(raw) => raw,
            Err(lacking) => {
                let id = message.id;
                return Ok(Err(Refusal::Incomplete { id, lacking }));
            }
        };
        let examined = self.examine_again(&message, &raw);
        let neighbours = transaction.neighbours(&examined.reading.blocks).await?;
        let company = mailbox_company(message.origin.mailbox());
        let rules = &self.rules;
        let judgement = judge(
            &examined,
            rules,
            company,
            &neighbours,
            Some(release),
            decision.at,
        );
        match judgement.disposition {
            Disposition::Imported | Disposition::Duplicate => {}
            Disposition::Unrelated => return Ok(Err(Refusal::NoNotice(message.id))),
            Disposition::Quarantined | Disposition::Waiting => {
                return Ok(Err(Refusal::Defects {
                    id: message.id,
                    defects: judgement.defects,
                    ban: release.ban,
                }));
            }
        }
        let Examined { reading, .. } = &examined;
        transaction
            .release(message.id, reading, &judgement, decision)
            .await?;
        if let Some(style) = &self.style {
            let found = RawMessage {
                origin: message.origin,
                internal_date: message.internal_date,
                size: message.size,
                content: Content::Whole(raw),
            };
            let entry = Entry {
                message: &found,
                sha256: &message.sha256,
                reading,
                evidence: &examined.evidence,
                judgement: &judgement,
                now: decision.at,
            };
            tell(transaction, style, rules, message.id, &entry).await?;
        }
        Ok(Ok(Decided {
            id: message.id,
            from: reading.from.as_ref().map(ToString::to_string),
            subject: examined.reading.subject,
            judgement: Some(judgement),
        }))
    }

    /// As [`super::examine`], of bytes that the ledger kept, with the evidence that it kept.
    pub(super) fn examine_again(&self, message: &StoredMessage, raw: &[u8]) -> Examined {
        let reading = guarded(|| match message.file {
            None => notice::read(raw, &self.rules),
            Some(kind) => row_again(kind, raw),
        });
        Examined {
            sha256: message.sha256.clone(),
            reading: reading.unwrap_or_else(|what| notice::panicked(&what)),
            evidence: Evidence {
                verdict: message.authenticity(),
                proof: message.evidence.proof(),
            },
        }
    }

    /// Takes a recorded range out of use, and tells people.
    ///
    /// # Errors
    /// The ledger's only.
    pub async fn withdraw(
        &self,
        id: i64,
        decision: &Decision<'_>,
    ) -> Result<Result<AllocationRow, Refusal>, LedgerError> {
        let mut transaction = self.ledger.begin().await?;
        let Some(row) = transaction.allocation(id).await? else {
            return Ok(Err(Refusal::NoAllocation(id)));
        };
        if let Some(at) = row.withdrawn_at {
            let decision = transaction.withdrawal(id).await?;
            return Ok(Err(Refusal::Withdrawn { id, at, decision }));
        }
        transaction.withdraw(id, decision).await?;
        if let Some(style) = &self.style {
            let company = self.rules.companies.get(row.allocation.ban);
            let about = Some(row.message_id);
            // As it stands by now, with the moment that the table has.
            let withdrawn = transaction.allocation(id).await?;
            // The same bytes never grant a second time: a ledger restored from a backup, in which it
            // is withdrawn again, tells it under the same id.
            let granted_by = transaction.sha256_of(row.message_id).await?;
            let handed = compose::Handed {
                event: Event::Withdrawn,
                message_id: row.message_id,
                about: &granted_by,
                ban: row.allocation.ban,
                company_name: company.map(|company| company.name.as_str()),
                rows: withdrawn.as_slice(),
            };
            for handoff in &style.handoffs {
                let letter = compose::handoff(&handed, &handoff.name, decision.at);
                transaction.post(&letter, about, decision.at).await?;
            }
            let facts = compose::Withdrawn {
                id,
                allocation: &row.allocation,
                company_name: company.map(|company| company.name.as_str()),
                imported_at: row.imported_at,
                who: decision.who,
                reason: decision.reason,
            };
            if let Some(letter) = compose::withdrawal(&facts, &style.of(company), decision.at) {
                transaction.post(&letter, about, decision.at).await?;
            }
        }
        // Whatever is configured: what waits for a system that is not, by now, may be handed over later.
        let (ban, message, who) = (row.allocation.ban, row.message_id, decision.who);
        transaction
            .call_off_untold(ban, message, who, decision.at)
            .await?;
        transaction.commit().await?;
        Ok(Ok(row))
    }
}

/// Why nothing is left to be decided, if so. What was dismissed may be released after all: people
/// err.
fn is_decided(message: &StoredMessage, action: Action) -> Option<Refusal> {
    let state = match (message.disposition, message.dismissed_at, action) {
        (Disposition::Quarantined, Some(_), Action::Dismiss | Action::ReleaseWaiting(_)) => {
            "dismissed"
        }
        (Disposition::Quarantined, ..) => return None,
        // A resolver that never answers must not keep it for ever.
        (Disposition::Waiting, _, Action::Dismiss) => return None,
        (Disposition::Waiting, ..) => return Some(Refusal::WaitsForResolver(message.id)),
        (other, ..) => other.as_str(),
    };
    Some(Refusal::NotWaiting {
        id: message.id,
        state,
        decision: message.decisions.last().cloned(),
    })
}

/// Takes the bytes of a message, when they are all there.
pub(super) fn whole(message: &mut StoredMessage) -> Result<Vec<u8>, Lacking> {
    let (is_unfetchable, is_oversized) = (
        message.had(DefectCode::Unfetchable),
        message.had(DefectCode::Oversized),
    );
    let Some(raw) = message.raw.take() else {
        return Err(match message.dismissed_at {
            Some(_) if !is_unfetchable => Lacking::Forgotten,
            _ => Lacking::Everything,
        });
    };
    // Of what is too large the header was fetched, and SHA-256 is the header's.
    if is_oversized && u64::try_from(raw.len()) != Ok(message.size) {
        Err(Lacking::Body)
    } else if sha256(&raw) != message.sha256 {
        Err(Lacking::Rest)
    } else {
        Ok(raw)
    }
}
