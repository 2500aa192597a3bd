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
    intake::{Outcome, Reconciled},
    mailbox::RawMessage,
    notice::{Allocation, Disposition, FileKind},
    platform::File,
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

    /// Says what became of a file of the platform's, of each row that contradicts the ledger, and of
    /// the mails that it explains.
    pub(super) fn file(&mut self, found: &RawMessage, file: &File, became: &Reconciled) {
        self.read += 1;
        self.told += 1;
        let disposition = became.disposition.as_str().to_owned();
        *self.counts.entry(disposition).or_default() += 1;
        for (words, some) in [
            ("rows quarantined", became.contradicted.len()),
            ("mails explained", became.explained.len()),
        ] {
            if some > 0 {
                *self.counts.entry(words.to_owned()).or_default() += some as u64;
            }
        }
        let text = match self.as_json {
            true => self.item(&file_object(found, file, became)),
            false => file_lines(found, file, became, self.screen),
        };
        self.begun = true;
        self.print(&text);
        self.tell(&became.contradicted);
        self.tell(&became.explained);
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
                text.push_str(&self.item(&object(outcome)));
            } else if outcome.disposition != Disposition::Unrelated {
                text.push_str(&lines(outcome, self.screen));
            }
            self.begun = true;
        }
        self.print(&text);
    }

    /// One more object of the list.
    fn item(&self, object: &Value) -> String {
        let before = if self.begun { ",\n" } else { "[\n" };
        before.to_owned() + &json::text(object)
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

/// As of a message, and what became of the rows.
fn file_object(found: &RawMessage, file: &File, became: &Reconciled) -> Value {
    json!({
        "file": found.origin.place(),
        "source": file.source.as_str(),
        "disposition": became.disposition.as_str(),
        "defects": [],
        "waits_for": null,
        "allocations": became.recorded.iter().map(json::allocation).collect::<Vec<_>>(),
        "rows": file.rows.len(),
        "recorded": became.recorded.len(),
        "confirmed": became.confirmed,
        "known": became.known,
        "contradicted": became.contradicted.len(),
        "explained": became.explained.len(),
    })
}

/// A line for each that is not zero; the ranges of thousands of companies are in `allocations`.
fn file_lines(found: &RawMessage, file: &File, became: &Reconciled, screen: Screen) -> String {
    let what = match file.source {
        FileKind::Csv => "CSV",
        FileKind::E0501 => "E0501",
    };
    let mut table = Table::new(
        0,
        &[Column::at_least("", DETAILS - 2), Column::path("", 20)],
    );
    table.row([
        became.disposition.as_str().into(),
        format!("{} ({what})", found.origin.place()).into(),
    ]);
    let mut rows = Table::new(
        DETAILS,
        &[Column::number(""), Column::whole(""), Column::whole("")],
    );
    for (count, en, zh) in [
        (became.recorded.len(), "recorded", "新記錄"),
        (became.confirmed, "confirmed", "與信件相符"),
        (became.known, "known already", "先前已有"),
        (became.contradicted.len(), "contradicted", "有牴觸，已隔離"),
        (
            became.explained.len(),
            "mails explained",
            "待處理的信因此確認公司",
        ),
    ] {
        if count > 0 {
            let en = match en {
                "contradicted" => Cell::alarm(en),
                en => en.into(),
            };
            rows.row([count.to_string().into(), en, zh.into()]);
        }
    }
    table.on(screen) + &rows.on(screen)
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
