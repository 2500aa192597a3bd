//! The systems that numbers are handed to: which of them take nothing, and which do again.
//!
//! Left out on purpose: a system that says that it wants nothing any more, which is told with the
//! attempt in which it says so; and systems that are configured no more. Guarantee: people are told
//! once that a system takes nothing and once that it does again, whatever is restarted in between.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use tracing::{error, info};

use crate::{
    delivery::Handoff,
    ledger::{Cause, Ledger, LedgerError, PutOff, Target},
    stranger::for_the_log,
};

/// When something has waited for a system for so long, people are told. Most are back within that.
const SILENCE: SignedDuration = SignedDuration::from_hours(1);

/// What a look at the systems leaves to the next.
#[derive(Debug, Default)]
pub(super) struct Handoffs {
    /// Systems that were late at the last look. A clock that jumps ahead, or a machine that slept,
    /// makes all of them look late once.
    late: BTreeSet<String>,
    /// What is wrong with them, a phrase each.
    pub(super) trouble: Vec<String>,
}

impl Handoffs {
    /// Looks at the systems of the moment; whether there is something to tell now.
    pub(super) async fn look(
        &mut self,
        ledger: &Ledger,
        handoffs: &[Handoff],
        now: Timestamp,
    ) -> Result<bool, LedgerError> {
        let mut late = BTreeSet::new();
        let mut trouble = Vec::new();
        let mut has_told = false;
        for Handoff { name, .. } in handoffs {
            let target = ledger.target(name).await?;
            let put_off = ledger.put_off(Some(name)).await?;
            trouble.extend(phrase(name, &target, put_off.as_ref()));
            if target.stopped_at.is_some() {
                continue;
            }
            match (&put_off, target.alarmed_at) {
                (Some(put_off), None) if now.duration_since(put_off.since) >= SILENCE => {
                    late.insert(name.clone());
                    if self.late.contains(name) {
                        tell_failing(ledger, name, put_off, now).await?;
                        has_told = true;
                    }
                }
                (None, Some(alarmed_at)) if is_back(&target, alarmed_at, now) => {
                    tell_back(ledger, name, alarmed_at, now).await?;
                    has_told = true;
                }
                _ => {}
            }
        }
        self.late = late;
        self.trouble = trouble;
        Ok(has_told)
    }
}

/// Whether it took something since people were told. That nothing waits says little: it may have been
/// given up or called off.
fn is_back(target: &Target, alarmed_at: Timestamp, now: Timestamp) -> bool {
    // An alarm of a clock that was ahead says nothing of what came after it.
    target.taken_at.is_some_and(|at| at >= alarmed_at) || alarmed_at > now
}

fn phrase(name: &str, target: &Target, put_off: Option<&PutOff>) -> Option<String> {
    let name = for_the_log(name);
    match (target.stopped_at, put_off) {
        (Some(at), _) => Some(format!(
            "{name} wants no more numbers since {at:.0}, waiting: {}",
            target.waiting
        )),
        (None, Some(put_off)) => Some(format!(
            "hand-offs to {name} put off: {}, since {:.0}: {}",
            put_off.letters,
            put_off.since,
            for_the_log(&put_off.answer)
        )),
        (None, None) => None,
    }
}

async fn tell_failing(
    ledger: &Ledger,
    name: &str,
    put_off: &PutOff,
    now: Timestamp,
) -> Result<(), LedgerError> {
    let PutOff {
        letters,
        since,
        answer,
        ..
    } = put_off;
    let cause = Cause::HandoffFailing {
        target: name.to_owned(),
        waiting: *letters,
        since: *since,
        words: answer.clone(),
    };
    // Something may have begun to wait at that moment once before, by a clock that was set back.
    let key = format!("handoff-failing:{name}:{since}:{now}");
    tell(ledger, name, &key, &cause, Some(now), now).await?;
    error!(
        handoffs = letters,
        "{} has taken nothing for {} min: {}",
        for_the_log(name),
        SILENCE.as_mins(),
        for_the_log(answer)
    );
    Ok(())
}

async fn tell_back(
    ledger: &Ledger,
    name: &str,
    alarmed_at: Timestamp,
    now: Timestamp,
) -> Result<(), LedgerError> {
    let cause = Cause::HandoffBack {
        target: name.to_owned(),
        alarmed_at,
    };
    let key = format!("handoff-back:{name}:{alarmed_at}");
    tell(ledger, name, &key, &cause, None, now).await?;
    info!("{} takes numbers again", for_the_log(name));
    Ok(())
}

async fn tell(
    ledger: &Ledger,
    name: &str,
    key: &str,
    cause: &Cause,
    alarmed_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), LedgerError> {
    let mut transaction = ledger.begin().await?;
    transaction.tell(key, cause, now).await?;
    transaction.set_target_alarmed(name, alarmed_at).await?;
    transaction.commit().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_in_trouble_is_a_phrase_and_one_that_wants_no_more_says_so_first() {
        let at: Timestamp = "2018-04-20T02:00:00Z".parse().unwrap();
        let put_off = PutOff {
            letters: 3,
            since: at,
            none_sent_since: at,
            answer: "found 500".to_owned(),
        };
        let well = Target {
            waiting: 3,
            ..Target::default()
        };
        let stopped = Target {
            stopped_at: Some(at),
            ..well.clone()
        };
        let said = |target, put_off| phrase("erp", target, put_off);
        assert_eq!(said(&well, None), None);
        assert_eq!(
            said(&well, Some(&put_off)).unwrap(),
            "hand-offs to erp put off: 3, since 2018-04-20T02:00:00Z: found 500"
        );
        for put_off in [None, Some(&put_off)] {
            assert_eq!(
                said(&stopped, put_off).unwrap(),
                "erp wants no more numbers since 2018-04-20T02:00:00Z, waiting: 3"
            );
        }
    }
}
