//! What became of the messages, said as they are recorded.
//!
//! Guarantee: a list of any length takes no memory; JSON is whole however the command ends. Left
//! out on purpose: a line for what is unrelated, which in an old mbox is nearly everything; it is
//! counted.

use std::collections::BTreeMap;

use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::super::{
    json, print,
    table::{Cell, Column, Screen, Table, tally},
};
use crate::{
    intake::Outcome,
    notice::{Allocation, Disposition},
    stranger::one_line,
};

/// A report on its way to standard output.
pub(super) struct Report {
    as_json: bool,
    bar: ProgressBar,
    screen: Screen,
    read: usize,
    told: usize,
    /// Whether the list in JSON has been.
    begun: bool,
    counts: BTreeMap<String, u64>,
    /// Nothing is printed any more after the first failure.
    printed: anyhow::Result<()>,
}

impl Report {
    /// A report that stands clear of `bar`.
    pub(super) fn new(as_json: bool, bar: ProgressBar) -> Self {
        Self {
            as_json,
            bar,
            screen: Screen::stdout(),
            read: 0,
            told: 0,
            begun: false,
            counts: BTreeMap::new(),
            printed: Ok(()),
        }
    }

    /// Says what became of `read` messages; those that stand in the ledger with this very place
    /// and content have no outcome.
    pub(super) fn add(&mut self, read: usize, outcomes: &[Outcome]) {
        self.read += read;
        for outcome in outcomes {
            let disposition = outcome.disposition.as_str().to_owned();
            *self.counts.entry(disposition).or_default() += 1;
        }
        self.told += outcomes.len();
        self.tell(outcomes);
    }

    /// Says what became of messages that had waited for a resolver, some of them perhaps since an
    /// earlier run.
    pub(super) fn settled(&mut self, outcomes: &[Outcome]) {
        if !outcomes.is_empty() {
            let settled = self.counts.entry("settled after waiting".to_owned());
            *settled.or_default() += outcomes.len() as u64;
        }
        self.tell(outcomes);
    }

    fn tell(&mut self, outcomes: &[Outcome]) {
        let mut text = String::new();
        for outcome in outcomes {
            if self.as_json {
                text.push_str(if self.begun { ",\n" } else { "[\n" });
                text.push_str(&json::text(&object(outcome)));
            } else if outcome.disposition != Disposition::Unrelated {
                text.push_str(&lines(outcome, self.screen));
            }
            self.begun = true;
        }
        self.print(&text);
    }

    /// Ends the report. Where not everything could be read and nothing was, there is none.
    ///
    /// # Errors
    /// When some of it could not be printed.
    pub(super) fn end(mut self, all_readable: bool) -> anyhow::Result<()> {
        if self.as_json {
            self.print(if self.begun { "\n]\n" } else { "[]\n" });
        } else if self.read > 0 || all_readable {
            let known = self.read.saturating_sub(self.told);
            self.counts.insert("known already".to_owned(), known as u64);
            let words = format!("{} read: {}", self.read, tally(&self.counts));
            self.print(&self.screen.paragraph(&words));
        }
        self.printed
    }

    fn print(&mut self, text: &str) {
        if self.printed.is_ok() && !text.is_empty() {
            self.printed = self.bar.suspend(|| print(text));
        }
    }
}

fn object(outcome: &Outcome) -> Value {
    json!({
        "file": outcome.origin.place(),
        "disposition": outcome.disposition.as_str(),
        "defects": json::findings(&outcome.defects),
        "waits_for": outcome.waits_for,
        "allocations": outcome.recorded.iter().map(json::allocation).collect::<Vec<_>>(),
    })
}

/// So much of a resolver's words, characters.
const WORDS: usize = 200;
/// Where details stand: below the place.
const DETAILS: usize = 13;

fn lines(outcome: &Outcome, screen: Screen) -> String {
    let disposition = outcome.disposition.as_str();
    let mut table = Table::new(
        0,
        &[Column::at_least("", DETAILS - 2), Column::path("", 20)],
    );
    table.row([
        match outcome.disposition {
            Disposition::Quarantined | Disposition::Waiting => Cell::alarm(disposition),
            _ => disposition.into(),
        },
        outcome.origin.place().into(),
    ]);
    let mut ranges = Table::new(
        DETAILS,
        &[
            Column::whole(""),
            Column::whole(""),
            Column::whole(""),
            Column::number(""),
        ],
    );
    for Allocation { ban, block } in &outcome.recorded {
        ranges.row([
            ban.to_string().into(),
            block.period.to_string().into(),
            format!("{} {}", block.track, block.range).into(),
            format!("{} 本", block.range.booklets()).into(),
        ]);
    }
    let mut defects = Table::new(DETAILS, &[Column::wrapped("")]);
    for defect in &outcome.defects {
        defects.row([format!("{}: {}", defect.code, defect.detail.en).into()]);
    }
    if let Some(words) = &outcome.waits_for {
        let words = one_line(words, WORDS);
        defects.row([format!("waits for a resolver (DNS): {words}").into()]);
    }
    table.on(screen) + &ranges.on(screen) + &defects.on(screen)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::super::table::trial::*, *};
    use crate::{
        mailbox::Origin,
        notice::{Defect, DefectCode, Sentence},
    };

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_report_fits_whatever_stands_in_it(path in hostile(), detail in hostile()) {
            let outcome = Outcome {
                origin: Origin::File { path },
                disposition: Disposition::Quarantined,
                defects: vec![Defect {
                    code: DefectCode::SenderNotAllowed,
                    detail: Sentence::new(detail.clone(), detail.clone()),
                }],
                recorded: Vec::new(),
                waits_for: Some(detail),
            };
            assert_fits(&lines(&outcome, PLAIN));
        }
    }
}
