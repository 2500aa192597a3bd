//! The one use case: a message comes in, and exactly one thing becomes of it.
//!
//! ```text
//! RawMessage ─ read ─ verify ─┐   (no transaction is open while anything slow is asked)
//!                             ▼
//!              BEGIN IMMEDIATE · judged before? · neighbours · settle · record · tell · COMMIT
//! ```
//!
//! Guarantees: a batch is recorded as a whole or not at all; the mails that tell of it are written
//! down in the same transaction; the same bytes a second time change nothing and tell nobody; a
//! panic in the reader becomes a defect of that one message; one whose origin no resolver tells
//! waits, whole, until [`Intake::ask_again`] has an answer.
//!
//! Left out on purpose: where messages come from, and how mails leave.

mod ask_again;
mod decide;
mod reconcile;
mod tell;

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use crate::{
    authenticity::{Evidence, Mail, Require, Results, Verifier},
    clock::{taipei_date, taipei_minute},
    delivery::Style,
    ledger::{Earlier, Entry, Ledger, LedgerError, Transaction},
    mailbox::{Content, Origin, RawMessage, Suspicion, Want},
    notice::{
        self, Allocation, Authenticity, Ban, Circumstances, Defect, Disposition, Judgement,
        Reading, Recorded, Release, Rules, Sentence,
    },
    stranger::one_line,
};

use self::tell::{tell, tell_past};
pub use self::{
    ask_again::Answered,
    decide::{Action, Decided, Lacking, Refusal},
    reconcile::{Reconciled, Unexplained},
};

/// Mail that is older than this when the ledger is created is past: a first run floods nobody.
const OLD: SignedDuration = SignedDuration::from_hours(7 * 24);

/// No server's clock is further ahead of one that is right.
const SKEW: SignedDuration = SignedDuration::from_hours(24);

/// So much of a resolver's words stands in the log, characters.
const WORDS: usize = 200;

/// Takes messages in, one ledger, one set of rules.
#[derive(Debug, Clone)]
pub struct Intake {
    /// Where everything is recorded.
    pub ledger: Ledger,
    /// What the operator has said about notices.
    pub rules: Rules,
    /// Who judges where mail comes from.
    pub verifier: Arc<Verifier>,
    /// Who is told; `None` tells nobody (`ingest --no-mail`).
    pub style: Option<Style>,
}

/// What is known of the place where a message was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    /// Whose notices are found there when the mail itself does not say.
    pub company: Option<Ban>,
    /// Which Authentication-Results field is believed there.
    pub results: Results,
}

/// What became of one message, for logs and reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Where it was found.
    pub origin: Origin,
    /// What became of it.
    pub disposition: Disposition,
    /// What is wrong with it, when it was judged just now.
    pub defects: Vec<Defect>,
    /// The ranges recorded just now.
    pub recorded: Vec<Allocation>,
    /// Why it waits, in the words of the resolver's trouble; `None` for one that is judged.
    pub waits_for: Option<String>,
}

impl Outcome {
    /// What became of `message` by a judgement of its own.
    fn of(message: &RawMessage, evidence: &Evidence, judgement: Judgement) -> Self {
        Self {
            origin: message.origin.clone(),
            disposition: judgement.disposition,
            recorded: match judgement.disposition {
                Disposition::Imported => judgement.fresh().copied().collect(),
                _ => Vec::new(),
            },
            defects: judgement.defects,
            waits_for: match &evidence.verdict {
                Authenticity::Unknown(words) => Some(words.clone()),
                _ => None,
            },
        }
    }

    /// What became of `message` because its bytes were judged before.
    fn of_copy(message: &RawMessage, disposition: Disposition) -> Self {
        Self {
            origin: message.origin.clone(),
            disposition,
            defects: Vec::new(),
            recorded: Vec::new(),
            waits_for: None,
        }
    }
}

/// Everything that is known of a message before the ledger is asked.
#[derive(Debug, Clone)]
pub struct Examined {
    /// SHA-256 of what was fetched, lower-case hexadecimal.
    pub sha256: String,
    /// What it says.
    pub reading: Reading,
    /// What is known of its origin.
    pub evidence: Evidence,
}

/// Reads a message and, where it is a notice, asks for proof of its origin; needs no ledger.
pub async fn examine(
    message: &RawMessage,
    rules: &Rules,
    verifier: &Verifier,
    results: Results,
) -> Examined {
    let (bytes, reading) = match &message.content {
        Content::Whole(raw) => (raw.as_slice(), guarded(|| notice::read(raw, rules))),
        Content::Oversized(header) => (
            header.as_slice(),
            guarded(|| notice::oversized(header, message.size, rules)),
        ),
        Content::Unwanted => (&[][..], Ok(Reading::default())),
        Content::Unfetchable(suspicion) => {
            let detail = failures(suspicion);
            (&[][..], Ok(notice::unfetchable(detail)))
        }
    };
    let reading = reading.unwrap_or_else(|what| notice::panicked(&what));
    let evidence = if verifier.require() == Require::None {
        Evidence::not_required()
    } else if reading.is_notice && !reading.is_unread() {
        let mail = Mail {
            raw: bytes,
            forwarded: reading.forwarded.as_deref(),
            from: reading.from.as_ref(),
            results,
        };
        verifier.verify(&mail).await
    } else {
        Evidence::not_asked()
    };
    Examined {
        sha256: sha256(bytes),
        reading,
        evidence,
    }
}

/// How often a message could not be fetched.
fn failures(suspicion: &Suspicion) -> Sentence {
    let Suspicion {
        uid,
        failures,
        words,
        ..
    } = suspicion;
    let [first, last] = [suspicion.first_failed_at, suspicion.last_failed_at].map(taipei_minute);
    Sentence::new(
        format!(
            "expected the message with UID {uid}, found {failures} failures to fetch it from \
             {first} to {last} (UTC+8), the last one: {words}"
        ),
        format!("UID {uid} 這封信從 {first} 到 {last} 有 {failures} 次取不到，最後一次：`{words}`"),
    )
}

/// Judges what was examined, with the ranges that the ledger holds beside it; `release` is what a
/// person has decided about it.
pub fn judge(
    examined: &Examined,
    rules: &Rules,
    mailbox_company: Option<Ban>,
    neighbours: &[Recorded],
    release: Option<Release>,
    now: Timestamp,
) -> Judgement {
    let circumstances = Circumstances {
        rules,
        mailbox_company,
        authenticity: &examined.evidence.verdict,
        neighbours,
        today: taipei_date(now),
        release,
    };
    guarded(|| notice::settle(&examined.reading, &circumstances))
        .unwrap_or_else(|what| notice::settle(&notice::panicked(&what), &circumstances))
}

impl Intake {
    /// What to fetch of a message, by its header and its size in bytes.
    pub fn gate(&self, header: &[u8], size: u64) -> Want {
        // A panic here must not hide a notice: the whole message is fetched and read again.
        let gate = guarded(|| notice::gate(header, &self.rules)).unwrap_or(notice::Gate::Fetch);
        match gate {
            notice::Gate::Unrelated => Want::Nothing,
            notice::Gate::Fetch if size > self.rules.max_message_bytes => Want::TooLarge,
            notice::Gate::Fetch => Want::Whole,
        }
    }

    /// Takes a batch in: all of it is recorded when this returns `Ok`, nothing of it otherwise.
    ///
    /// # Errors
    /// The ledger's only: bad mail is data.
    pub async fn take(
        &self,
        batch: &[RawMessage],
        place: Place,
        now: Timestamp,
    ) -> Result<Vec<Outcome>, LedgerError> {
        // Side by side: a resolver that is slow keeps a batch no longer than one mail.
        let examining = batch
            .iter()
            .map(|message| examine(message, &self.rules, &self.verifier, place.results));
        let examined = join_all(examining).await;
        let mut transaction = self.ledger.begin().await?;
        let mut outcomes = Vec::with_capacity(batch.len());
        for (message, examined) in batch.iter().zip(&examined) {
            if message.content == Content::Unwanted && matches!(message.origin, Origin::Imap { .. })
            {
                continue;
            }
            let outcome = self
                .take_one(&mut transaction, message, examined, place.company, now)
                .await?;
            outcomes.extend(outcome);
        }
        for ((mailbox, uidvalidity), uids) in unwanted(batch) {
            transaction
                .record_unrelated(mailbox, uidvalidity, &uids.into_iter().collect())
                .await?;
        }
        transaction.commit().await?;
        outcomes.iter().for_each(|outcome| log(outcome, false));
        Ok(outcomes)
    }

    async fn take_one(
        &self,
        transaction: &mut Transaction,
        message: &RawMessage,
        examined: &Examined,
        mailbox_company: Option<Ban>,
        now: Timestamp,
    ) -> Result<Option<Outcome>, LedgerError> {
        let Examined {
            sha256,
            reading,
            evidence,
        } = examined;
        if let Some(earlier) = judged_before(transaction, message, examined).await? {
            let disposition = transaction
                .record_copy(message, sha256, earlier, now)
                .await?;
            return Ok(Some(Outcome::of_copy(message, disposition)));
        }
        let neighbours = transaction.neighbours(&reading.blocks).await?;
        let judgement = judge(
            examined,
            &self.rules,
            mailbox_company,
            &neighbours,
            None,
            now,
        );
        let entry = Entry {
            message,
            sha256,
            reading,
            evidence,
            judgement: &judgement,
            now,
        };
        let Some(id) = transaction.record(&entry).await? else {
            // Somebody names it again while it waits: that asks about it as well.
            let Some(ticket) = transaction.waits_at(&message.origin, sha256).await? else {
                return Ok(None);
            };
            let outcome = self
                .settle_one(transaction, ticket, message, examined, mailbox_company, now)
                .await?;
            return Ok(Some(outcome));
        };
        match judgement.disposition {
            Disposition::Waiting if self.style.is_none() => transaction.wait_quietly(id).await?,
            _ => self.tell(transaction, id, &entry).await?,
        }
        Ok(Some(Outcome::of(message, evidence, judgement)))
    }

    /// Tells people what became of a message that was judged.
    async fn tell(
        &self,
        transaction: &mut Transaction,
        id: i64,
        entry: &Entry<'_>,
    ) -> Result<(), LedgerError> {
        match &self.style {
            None => Ok(()),
            Some(style) if self.is_past(entry.message, entry.now) => {
                tell_past(transaction, style, &self.rules, id, entry).await
            }
            Some(style) => tell(transaction, style, &self.rules, id, entry).await,
        }
    }

    /// Whether it lay in a mailbox long before the ledger was created. A file that the operator
    /// names is meant now, however old it is.
    fn is_past(&self, message: &RawMessage, now: Timestamp) -> bool {
        let Some(date) = message.internal_date else {
            return false;
        };
        let created = self.ledger.created_at();
        // Where the ledger lies ahead, a clock that was ahead has dated it; where the mail does as
        // well, it is the clock of today that is behind.
        let is_behind = date.duration_since(now) > SKEW;
        let began = if is_behind { created } else { created.min(now) };
        message.origin.mailbox().is_some() && began.duration_since(date) > OLD
    }
}

/// The decision about the same bytes, where there is one.
async fn judged_before(
    transaction: &mut Transaction,
    message: &RawMessage,
    examined: &Examined,
) -> Result<Option<Earlier>, LedgerError> {
    // Of what did not come, nothing can be the same.
    let has_bytes = !matches!(message.content, Content::Unfetchable(_));
    if has_bytes && examined.reading.is_notice {
        transaction.judged_before(message, &examined.sha256).await
    } else {
        Ok(None)
    }
}

/// The UIDs whose header said that they are nothing of ours, by folder.
fn unwanted(batch: &[RawMessage]) -> BTreeMap<(&str, u32), Vec<u32>> {
    let mut folders = BTreeMap::<_, Vec<u32>>::new();
    for message in batch
        .iter()
        .filter(|message| message.content == Content::Unwanted)
    {
        if let Origin::Imap {
            mailbox,
            uidvalidity,
            uid,
        } = &message.origin
        {
            folders
                .entry((mailbox.as_str(), *uidvalidity))
                .or_default()
                .push(*uid);
        }
    }
    folders
}

/// Runs the reader where its panic ends nothing but the reading of one message; `Err` holds what
/// the panic said.
fn guarded<T>(reader: impl FnOnce() -> T) -> Result<T, String> {
    // Unwind safety: the reader borrows immutably and its half-built result is thrown away.
    catch_unwind(AssertUnwindSafe(reader)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        text.or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".to_owned())
    })
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// One line a message, and one more when one that `has_waited` is judged; never its text, and never
/// a whole address.
fn log(outcome: &Outcome, has_waited: bool) {
    let (uid, file) = match &outcome.origin {
        Origin::Imap { uid, .. } => (Some(*uid), None),
        Origin::Maildir { file, .. } => (None, Some(file.as_str())),
        Origin::File { path } => (None, Some(path.as_str())),
    };
    let listed = |words: Vec<&str>| (!words.is_empty()).then(|| words.join(","));
    let codes = listed(
        outcome
            .defects
            .iter()
            .map(|defect| defect.code.as_str())
            .collect(),
    );
    let tracks = listed(
        outcome
            .recorded
            .iter()
            .map(|a| a.block.track.as_str())
            .collect(),
    );
    let disposition = outcome.disposition;
    let said = match &outcome.waits_for {
        Some(words) => format!(
            "message {disposition} for a resolver to answer, it is asked again: {}",
            one_line(words, WORDS)
        ),
        None if has_waited => format!("message {disposition}, after waiting for a resolver"),
        None => format!("message {disposition}"),
    };
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                mailbox.name = outcome.origin.mailbox(),
                message.uid = uid,
                message.file = file,
                message.disposition = disposition.as_str(),
                message.defects = codes,
                allocation.tracks = tracks,
                "{said}"
            )
        };
    }
    match disposition {
        // A person must act; of a copy, which lists no defects, somebody was told before.
        Disposition::Quarantined if !outcome.defects.is_empty() => line!(error),
        Disposition::Waiting => line!(warn),
        _ => line!(info),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_caught_and_its_words_are_kept() {
        assert_eq!(guarded(|| 1), Ok(1));
        let words = guarded::<()>(|| panic!("at once"));
        assert_eq!(words, Err("at once".to_owned()));
        let formatted = guarded::<()>(|| panic!("at {}", 7));
        assert_eq!(formatted, Err("at 7".to_owned()));
    }
}
