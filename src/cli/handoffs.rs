//! Where numbers went: the systems that they are handed to, for `status`, and the hand-offs of one range,
//! for `allocations`.
//!
//! Guarantee: what waits for a system that is not configured any more is shown, for nobody hands it over.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::table::{Cell, Column, Screen, Table};
use crate::{
    clock::taipei_minute,
    config::{Config, Handoff, HandoffWay},
    ledger::{Handed, HandedState, Ledger, LedgerError, OutboxState, Standing},
    stranger::one_line,
};

/// So much of a system's words is shown, characters.
const WORDS: usize = 200;

/// The systems, those of the configuration first and in its order.
#[derive(Debug, Default)]
pub(super) struct Systems(Vec<System>);

#[derive(Debug)]
struct System {
    /// What it is; `None` where it is not configured.
    kind: Option<&'static str>,
    standing: Standing,
}

/// How a system does, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It wants nothing any more.
    Stopped,
    /// Something waits, and nobody hands it over.
    Orphaned,
    /// What it was handed it did not take.
    Failing,
    /// Something waits for its turn.
    Waiting,
    /// Nothing waits.
    Idle,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Orphaned => "not_configured",
            Self::Failing => "failing",
            Self::Waiting => "waiting",
            Self::Idle => "ok",
        }
    }
}

impl System {
    fn state(&self) -> State {
        let Standing {
            waiting,
            failing_since,
            stopped_at,
            ..
        } = &self.standing;
        match (self.kind, waiting, stopped_at, failing_since) {
            (None, 1.., ..) => State::Orphaned,
            (Some(_), _, Some(_), _) => State::Stopped,
            (Some(_), _, None, Some(_)) => State::Failing,
            (Some(_), 1.., None, None) => State::Waiting,
            (None, 0, ..) | (Some(_), 0, None, None) => State::Idle,
        }
    }
}

/// What a configured system is.
fn kind(handoff: &Handoff) -> &'static str {
    match handoff.way {
        HandoffWay::Webhook { .. } => "webhook",
        HandoffWay::Directory { .. } => "directory",
    }
}

impl Systems {
    /// How all of them stand, those that are configured and those that were.
    pub(super) async fn gather(
        config: &Config,
        ledger: Option<&Ledger>,
    ) -> Result<Self, LedgerError> {
        let mut standings = match ledger {
            Some(ledger) => ledger.standings().await?,
            None => Vec::new(),
        };
        let mut systems = Vec::new();
        for handoff in &config.handoffs {
            let known = standings
                .extract_if(.., |standing| standing.target == handoff.name)
                .next();
            systems.push(System {
                kind: Some(kind(handoff)),
                standing: known.unwrap_or_else(|| Standing {
                    target: handoff.name.clone(),
                    ..Standing::default()
                }),
            });
        }
        systems.extend(standings.into_iter().map(|standing| System {
            kind: None,
            standing,
        }));
        Ok(Self(systems))
    }

    /// How many systems do not get what waits for them.
    pub(super) fn troubled(&self) -> u64 {
        let troubles = [State::Stopped, State::Orphaned, State::Failing];
        let troubled = self.0.iter().filter(|one| troubles.contains(&one.state()));
        troubled.count() as u64
    }

    /// How many hand-offs were given up.
    pub(super) fn failed(&self) -> u64 {
        self.0.iter().map(|system| system.standing.failed).sum()
    }

    /// Each as an object.
    pub(super) fn objects(&self) -> Vec<Value> {
        let at = |at: Option<Timestamp>| at.map(|at| at.to_string());
        let object = |system: &System| {
            let standing = &system.standing;
            json!({
                "target": standing.target,
                "kind": system.kind,
                "state": system.state().as_str(),
                "last_sent_at": at(standing.last_sent_at),
                "waiting": standing.waiting,
                "failed": standing.failed,
                "failing_since": at(standing.failing_since),
                "stopped_at": at(standing.stopped_at),
                "answer": standing.words,
            })
        };
        self.0.iter().map(object).collect()
    }

    /// A section of a page; nothing where there is no system. `ago` says how long ago a moment was.
    pub(super) fn page(&self, screen: Screen, ago: impl Fn(Timestamp) -> String) -> String {
        // One that was configured once and has all that it was handed is over and done.
        let is_shown = |system: &&System| {
            system.kind.is_some() || system.standing.waiting + system.standing.failed > 0
        };
        let mut shown = self.0.iter().filter(is_shown).peekable();
        if shown.peek().is_none() {
            return String::new();
        }
        let mut table = Table::new(
            2,
            &[
                Column::cut("system", 10),
                Column::whole("delivered"),
                Column::number("waiting"),
                Column::number("failed"),
                Column::wrapped("state"),
            ],
        );
        for system in shown {
            let standing = &system.standing;
            let never = || "never".to_owned();
            table.row([
                standing.target.as_str().into(),
                standing.last_sent_at.map_or_else(never, &ago).into(),
                standing.waiting.to_string().into(),
                match standing.failed {
                    0 => "0".into(),
                    failed => Cell::alarm(failed.to_string()),
                },
                system.words(&ago),
            ]);
        }
        format!("Hand-offs 交付\n{}", table.on(screen))
    }
}

impl System {
    fn words(&self, ago: impl Fn(Timestamp) -> String) -> Cell {
        let Standing {
            failing_since,
            stopped_at,
            words,
            failed,
            ..
        } = &self.standing;
        let answer = one_line(words.as_deref().unwrap_or_default(), WORDS);
        let since = |at: &Option<Timestamp>| at.map(&ago).unwrap_or_default();
        match self.state() {
            State::Stopped => Cell::alarm(format!(
                "STOPPED {}, it wants no more; `outbox retry ID` goes on",
                since(stopped_at)
            )),
            State::Orphaned => {
                Cell::alarm("NOT CONFIGURED: what waits stays; `outbox drop ID` calls it off")
            }
            State::Failing => Cell::alarm(format!(
                "FAILING (first {}): {answer}",
                since(failing_since)
            )),
            State::Waiting => "waiting".into(),
            State::Idle if *failed > 0 => format!("gave up: {answer}").into(),
            State::Idle => "ok".into(),
        }
    }
}

/// The hand-offs of one range in a line; empty where there are none.
pub(super) fn line(handed: &[Handed]) -> String {
    let parts = handed.iter().map(|one| {
        let target = &one.target;
        let what = if one.withdrawal { "withdrawal " } else { "" };
        match (one.state, one.at) {
            (HandedState::As(OutboxState::Sent), Some(at)) => {
                format!("{what}delivered to {target} {}", taipei_minute(at))
            }
            (state, _) => format!("{what}{} for {target}", state.as_str()),
        }
    });
    parts.collect::<Vec<_>>().join("; ")
}

/// The hand-offs of one range.
pub(super) fn objects(handed: &[Handed]) -> Value {
    let objects = handed.iter().map(|one| {
        json!({
            "target": one.target,
            "event": if one.withdrawal { "withdrawn" } else { "imported" },
            "state": one.state.as_str(),
            "at": one.at.map(|at| at.to_string()),
        })
    });
    objects.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::table::trial::*, *};

    fn system(kind: Option<&'static str>, standing: Standing) -> System {
        System { kind, standing }
    }

    fn ago(_: Timestamp) -> String {
        "2h ago".to_owned()
    }

    fn named(target: &str) -> Standing {
        Standing {
            target: target.to_owned(),
            ..Standing::default()
        }
    }

    #[test]
    fn without_systems_there_is_no_section_and_those_that_are_over_and_done_are_in_none() {
        assert_eq!(Systems::default().page(PLAIN, ago), "");
        let done = Systems(vec![system(None, named("old"))]);
        assert_eq!(done.page(PLAIN, ago), "");
        assert_eq!((done.troubled(), done.objects().len()), (0, 1));
    }

    #[test]
    fn each_state_has_its_words_and_what_nobody_hands_over_is_trouble() {
        let at = Some(Timestamp::UNIX_EPOCH);
        let systems = Systems(vec![
            system(
                Some("webhook"),
                Standing {
                    last_sent_at: at,
                    ..named("erp")
                },
            ),
            system(
                Some("directory"),
                Standing {
                    waiting: 3,
                    failing_since: at,
                    words: Some("No space left on device".to_owned()),
                    ..named("pos")
                },
            ),
            system(
                Some("webhook"),
                Standing {
                    waiting: 1,
                    stopped_at: at,
                    ..named("books")
                },
            ),
            system(
                Some("webhook"),
                Standing {
                    waiting: 1,
                    ..named("new")
                },
            ),
            system(
                Some("webhook"),
                Standing {
                    failed: 2,
                    words: Some("found 422".to_owned()),
                    ..named("picky")
                },
            ),
            system(
                None,
                Standing {
                    waiting: 1,
                    ..named("gone")
                },
            ),
        ]);
        assert_eq!((systems.troubled(), systems.failed()), (3, 2));
        let page = systems.page(PLAIN, ago);
        assert_fits(&page);
        insta::assert_snapshot!(page);
        let states: Vec<Value> = systems.objects();
        let states: Vec<&str> = states
            .iter()
            .map(|object| object["state"].as_str().unwrap())
            .collect();
        let expected = [
            "ok",
            "failing",
            "stopped",
            "waiting",
            "ok",
            "not_configured",
        ];
        assert_eq!(states, expected);
    }

    #[test]
    fn a_range_says_for_each_system_how_its_hand_off_stands() {
        let handed = |target: &str, withdrawal, state, at| Handed {
            target: target.to_owned(),
            withdrawal,
            state,
            at,
        };
        let at: Option<Timestamp> = Some("2026-11-20T02:16:00Z".parse().unwrap());
        let all = [
            handed("erp", false, HandedState::As(OutboxState::Sent), at),
            handed("erp", true, HandedState::As(OutboxState::Sending), at),
            handed("pos", false, HandedState::Stopped, None),
        ];
        assert_eq!(
            line(&all),
            "delivered to erp 2026-11-20 10:16; withdrawal pending for erp; stopped for pos"
        );
        assert_eq!(line(&[]), "");
        assert_eq!(
            objects(&all)[2],
            json!({ "target": "pos", "event": "imported", "state": "stopped", "at": null })
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_section_fits_whatever_stands_in_it(a in hostile(), b in hostile(), count in 0..10_000_000_u64) {
            let standing = Standing {
                waiting: count,
                failed: count,
                failing_since: Some(Timestamp::UNIX_EPOCH),
                words: Some(b),
                ..named(&a)
            };
            let stopped = Standing { stopped_at: Some(Timestamp::UNIX_EPOCH), ..standing.clone() };
            let systems = Systems(vec![
                system(None, standing.clone()),
                system(Some("webhook"), standing),
                system(Some("webhook"), stopped),
            ]);
            assert_fits(&systems.page(PLAIN, ago));
        }
    }
}
