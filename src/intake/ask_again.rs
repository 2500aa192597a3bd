//! Messages whose origin no resolver told when they came: they are asked about again.
//!
//! ```text
//! due ─ read ─ verify ─┐   (by today's rules, side by side, no transaction open)
//!                      ▼
//!         BEGIN IMMEDIATE · still as it was? · judged before? · settle · record · tell · COMMIT
//! ```
//!
//! Guarantees: a message that is settled here becomes what it would have become on its arrival
//! today, once, whoever else asks about it at the same time; one that is not, stays as it was and
//! is asked about later. Left out on purpose: when that is, which the ledger says.

use futures_util::future::join_all;
use jiff::Timestamp;
use tracing::error;

use super::{Examined, Intake, Outcome, Place, examine, judge, judged_before, log};
use crate::{
    ledger::{Entry, LedgerError, Ticket, Transaction, Unanswered},
    mailbox::{Content, RawMessage},
    notice::{Authenticity, Ban, Disposition},
};

/// So many messages are asked about side by side.
const AT_ONCE: u32 = 50;

/// What was asked about one message, and what came of it.
#[derive(Debug)]
pub struct Answered {
    ticket: Ticket,
    message: RawMessage,
    examined: Examined,
    company: Option<Ban>,
}

impl Intake {
    /// One step: asks about what is due, at most 50 messages, and settles what there is an answer
    /// to. `place_of` tells the place of a mailbox by its name, or of files. Returns what became
    /// of each message that nobody else has changed meanwhile.
    ///
    /// # Errors
    /// The ledger's only.
    pub async fn ask_again(
        &self,
        place_of: impl Fn(Option<&str>) -> Place,
        now: Timestamp,
    ) -> Result<Vec<Outcome>, LedgerError> {
        let mut outcomes = Vec::new();
        for answered in self.ask(place_of, now).await? {
            outcomes.extend(self.settle(&answered, now).await?);
        }
        Ok(outcomes)
    }

    /// The first half of [`Intake::ask_again`]: writes nothing, and may be given up at any moment.
    ///
    /// # Errors
    /// As [`Intake::ask_again`].
    pub async fn ask(
        &self,
        place_of: impl Fn(Option<&str>) -> Place,
        now: Timestamp,
    ) -> Result<Vec<Answered>, LedgerError> {
        let unanswered = self.ledger.unanswered(now, AT_ONCE).await?;
        let asking = unanswered.into_iter().map(|unanswered| {
            let place = place_of(unanswered.origin.mailbox());
            self.ask_about(unanswered, place)
        });
        Ok(join_all(asking).await)
    }

    async fn ask_about(&self, unanswered: Unanswered, place: Place) -> Answered {
        let message = RawMessage {
            origin: unanswered.origin,
            internal_date: unanswered.internal_date,
            size: unanswered.raw.len() as u64,
            content: Content::Whole(unanswered.raw),
        };
        Answered {
            ticket: unanswered.ticket,
            examined: examine(&message, &self.rules, &self.verifier, place.results).await,
            message,
            company: place.company,
        }
    }

    /// The other half, for one message; `None` where it was settled by somebody else, or asked
    /// about later than this was.
    ///
    /// # Errors
    /// The ledger's, where it cannot be written to.
    pub async fn settle(
        &self,
        answered: &Answered,
        now: Timestamp,
    ) -> Result<Option<Outcome>, LedgerError> {
        let error = match self.try_to_settle(answered, now).await {
            Ok(outcome) => return Ok(outcome),
            Err(error) if error.needs_a_new_start() => return Err(error),
            Err(error) => error,
        };
        // What cannot be recorded must not keep all that comes after it from being so.
        let mut transaction = self.ledger.begin().await?;
        if transaction.still_waits(answered.ticket).await? {
            let words = error.to_string();
            let ticket = answered.ticket;
            transaction.asked_in_vain(ticket, &words, now).await?;
        }
        transaction.commit().await?;
        let id = answered.ticket.id;
        error!("message {id} could not be recorded after waiting, it is tried again: {error}");
        Ok(None)
    }

    async fn try_to_settle(
        &self,
        answered: &Answered,
        now: Timestamp,
    ) -> Result<Option<Outcome>, LedgerError> {
        let Answered {
            ticket,
            message,
            examined,
            company,
        } = answered;
        let mut transaction = self.ledger.begin().await?;
        if !transaction.still_waits(*ticket).await? {
            return Ok(None);
        }
        let outcome = self
            .settle_one(&mut transaction, *ticket, message, examined, *company, now)
            .await?;
        transaction.commit().await?;
        if outcome.disposition != Disposition::Waiting {
            log(&outcome, true);
        }
        Ok(Some(outcome))
    }

    /// Makes a message that waits what it is by now.
    pub(super) async fn settle_one(
        &self,
        transaction: &mut Transaction,
        ticket: Ticket,
        message: &RawMessage,
        examined: &Examined,
        mailbox_company: Option<Ban>,
        now: Timestamp,
    ) -> Result<Outcome, LedgerError> {
        let Examined {
            sha256,
            reading,
            evidence,
        } = examined;
        if let Some(earlier) = judged_before(transaction, message, examined).await? {
            let disposition = transaction.settle_as_copy(ticket.id, earlier).await?;
            return Ok(Outcome::of_copy(message, disposition));
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
        match (&judgement.disposition, &evidence.verdict) {
            (Disposition::Waiting, Authenticity::Unknown(words)) => {
                transaction.asked_in_vain(ticket, words, now).await?;
            }
            _ => {
                let entry = Entry {
                    message,
                    sha256,
                    reading,
                    evidence,
                    judgement: &judgement,
                    now,
                };
                transaction.settle_waiting(ticket.id, &entry).await?;
                if !ticket.quietly {
                    self.tell(transaction, ticket.id, &entry).await?;
                }
            }
        }
        Ok(Outcome::of(message, evidence, judgement))
    }
}
