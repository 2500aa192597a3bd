//! The corpus: every mail under `tests/fixtures`, with the judgement expected of it beside it.
//!
//! `<what_it_shows>.eml` goes through the gate, the reader and the judge as the daemon would send
//! it, once with LF and once with CRLF line ends; `<what_it_shows>.json` says under which
//! circumstances and with which result. A key that is absent under `given` has the default of
//! [`Given`]; one that is absent under `expect` is not compared.
//!
//! Left out on purpose: proof of authenticity (it is given), and the two defects that no mail can
//! cause by itself, `unfetchable` and `reader_panicked`.

mod fixture;

use std::{
    collections::BTreeSet,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use invoice_trackd::notice::{
    Allocation, Ban, Circumstances, CompanySource, Defect, DefectCode, Gate, Judgement, Recorded,
    Sentence, WarningCode, gate, oversized, read, settle,
};

use self::fixture::{
    Expect, ExpectedCompany, ExpectedDefect, ExpectedGate, Fixture, Given, Row, ban, corpus,
};

#[test]
fn every_mail_of_the_corpus_is_judged_as_written_beside_it() {
    let corpus = mails();
    let mut failures = Vec::new();
    for (path, fixture) in &corpus {
        let lf = fs::read(path).unwrap();
        assert!(
            !lf.contains(&b'\r'),
            "{} must have LF line ends: the CRLF form is made from it",
            path.display()
        );
        for (form, raw) in [("LF", lf.clone()), ("CRLF", with_crlf(&lf))] {
            let different = catch_unwind(AssertUnwindSafe(|| {
                fixture.expect.differences(&judge(&raw, &fixture.given))
            }))
            .unwrap_or_else(|_| vec!["panicked; the message stands above".to_owned()]);
            if !different.is_empty() {
                failures.push(format!(
                    "{} ({form}): {}\n    {}",
                    path.display(),
                    fixture.shows,
                    different.join("\n    ")
                ));
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {} runs differ:\n{}",
        failures.len(),
        2 * corpus.len(),
        failures.join("\n")
    );
}

#[test]
fn every_finding_says_the_same_in_both_languages() {
    let (mut findings, mut ill_worded) = (0, BTreeSet::new());
    for (path, fixture) in mails() {
        let Some(judgement) = judge(&fs::read(path).unwrap(), &fixture.given) else {
            continue;
        };
        let defects = judgement.defects.into_iter().map(|d| d.detail);
        for detail in defects.chain(judgement.warnings.into_iter().map(|w| w.detail)) {
            findings += 1;
            if !is_worded_in_both(&detail) {
                ill_worded.insert(format!("{}\n    {}", detail.en, detail.zh));
            }
        }
    }
    assert!(findings > 100, "the corpus shows {findings} findings only");
    let ill_worded: Vec<String> = ill_worded.into_iter().collect();
    assert!(ill_worded.is_empty(), "{}", ill_worded.join("\n"));
}

/// Whether both sentences quote the same values, the Chinese one has no English clause outside
/// them, and the letter that they go into can put its full stop.
fn is_worded_in_both(Sentence { en, zh }: &Sentence) -> bool {
    let quoted = |text: &str| -> Vec<String> {
        let pieces = text.split('`').map(str::to_owned);
        pieces.skip(1).step_by(2).collect()
    };
    let words: Vec<&str> = zh.split('`').step_by(2).collect();
    let is_english = |word: &&str| word.bytes().all(|b| b.is_ascii_lowercase());
    let clause = words.iter().any(|piece| {
        let piece: Vec<&str> = piece.split_whitespace().collect();
        piece.windows(2).any(|pair| pair.iter().all(is_english))
    });
    let is_chinese = |c: char| matches!(c, '\u{4e00}'..='\u{9fff}');
    quoted(en) == quoted(zh)
        && !clause
        && words.iter().any(|piece| piece.contains(is_chinese))
        && ![en, zh].iter().any(|text| text.ends_with(['.', '。']))
}

#[test]
fn every_code_has_a_mail_that_shows_it_and_one_that_just_misses_it() {
    let mut shown = BTreeSet::new();
    let mut missed = BTreeSet::new();
    for (path, fixture) in mails() {
        let codes: BTreeSet<String> = fixture
            .expect
            .defects
            .iter()
            .map(|defect| defect.code().to_owned())
            .chain(fixture.expect.warnings.into_iter().flatten())
            .collect();
        if let Some(code) = fixture.near_miss_of {
            assert!(
                !codes.contains(&code),
                "{} is called a near miss of {code} and yet has it",
                path.display()
            );
            missed.insert(code);
        }
        shown.extend(codes);
    }

    let no_mail_causes = [DefectCode::Unfetchable, DefectCode::ReaderPanicked];
    let all: BTreeSet<String> = DefectCode::ALL
        .iter()
        .filter(|code| !no_mail_causes.contains(code))
        .map(ToString::to_string)
        .chain(WarningCode::ALL.iter().map(ToString::to_string))
        .collect();
    assert_eq!(shown, all, "codes that some mail shows");
    assert_eq!(missed, all, "codes that some mail just misses");
}

#[test]
fn an_incomplete_corpus_is_refused() {
    let complaint = |files: &[(&str, &str)]| {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        corpus(folder.path()).map(|_| ()).unwrap_err()
    };
    let plain = r#"{"shows": "", "expect": {"disposition": "unrelated", "defects": []}}"#;
    let odd = plain.replace("defects", "defect");

    assert!(complaint(&[]).starts_with("no mails under"));
    assert!(complaint(&[("a.eml", ""), ("a.json", plain), ("b.eml", "")]).contains("/b is an"));
    assert!(complaint(&[("a.eml", ""), ("a.json", plain), ("b.json", plain)]).contains("/b is an"));
    assert!(complaint(&[("a.eml", ""), ("a.json", &odd)]).contains("unknown field `defect`"));
    assert!(complaint(&[("a.eml", ""), ("a.json", plain), ("a.txt", "")]).contains("a.txt is"));
}

fn mails() -> Vec<(PathBuf, Fixture)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    corpus(&root).unwrap()
}

fn with_crlf(lf: &[u8]) -> Vec<u8> {
    let lines: Vec<&[u8]> = lf.split(|byte| *byte == b'\n').collect();
    lines.join(b"\r\n".as_slice())
}

/// The header with the empty line that ends it: what a mailbox fetches first.
fn header(raw: &[u8]) -> &[u8] {
    [b"\r\n\r\n".as_slice(), b"\n\n"]
        .iter()
        .filter_map(|end| {
            raw.windows(end.len())
                .position(|window| window == *end)
                .map(|at| &raw[..at + end.len()])
        })
        .min_by_key(|header| header.len())
        .unwrap_or(raw)
}

/// `None` where the header alone says that the mail is nothing of ours.
fn judge(raw: &[u8], given: &Given) -> Option<Judgement> {
    let rules = given.rules();
    if gate(header(raw), &rules) == Gate::Unrelated {
        return None;
    }
    let size = raw.len() as u64;
    let reading = if size > rules.max_message_bytes {
        oversized(header(raw), size, &rules)
    } else {
        read(raw, &rules)
    };
    // As the ledger picks them: same track, same ROC year.
    let neighbours: Vec<Recorded> = given
        .recorded()
        .into_iter()
        .filter(
            |Recorded {
                 allocation: Allocation { block: held, .. },
                 ..
             }| {
                reading.blocks.iter().any(|block| {
                    block.track == held.track && block.period.roc_year() == held.period.roc_year()
                })
            },
        )
        .collect();
    Some(settle(
        &reading,
        &Circumstances {
            rules: &rules,
            mailbox_company: given.mailbox_company.as_deref().map(ban),
            authenticity: &given.authenticity(),
            neighbours: &neighbours,
            today: given.today,
            release: None,
        },
    ))
}

impl Expect {
    /// One sentence for each thing that is not as expected.
    fn differences(&self, found: &Option<Judgement>) -> Vec<String> {
        let mut different = Vec::new();
        let Some(found) = found else {
            if self.disposition != "unrelated" {
                different.push(format!(
                    "disposition: expected {}, but the header does not pass the gate",
                    self.disposition
                ));
            }
            return different;
        };
        let mut compare = |what: &str, expected: String, found: String| {
            if expected != found {
                different.push(format!(
                    "{what}: expected {expected}\n        found {found}"
                ));
            }
        };

        if self.gate == Some(ExpectedGate::Unrelated) {
            compare("gate", "unrelated".to_owned(), "fetch".to_owned());
        }
        compare(
            "disposition",
            self.disposition.clone(),
            found.disposition.to_string(),
        );
        let mut codes: Vec<&str> = self.defects.iter().map(ExpectedDefect::code).collect();
        codes.dedup();
        let mut found_codes: Vec<&str> = found.defects.iter().map(|d| d.code.as_str()).collect();
        found_codes.dedup();
        if codes != found_codes {
            compare("defects", format!("{codes:?}"), summary(&found.defects));
        }
        for defect in &self.defects {
            if !found.defects.iter().any(|found| defect.is_shown_by(found)) {
                compare("defect", format!("{defect:?}"), summary(&found.defects));
            }
        }
        if let Some(expected) = &self.warnings {
            let expected: BTreeSet<&str> = expected.iter().map(String::as_str).collect();
            let found = found.warnings.iter().map(|warning| warning.code.as_str());
            let found: BTreeSet<&str> = found.collect();
            compare("warnings", format!("{expected:?}"), format!("{found:?}"));
        }
        if let Some(expected) = &self.company {
            let found = found
                .company
                .map(|(ban, source)| expected_company(ban, source));
            compare("company", format!("{expected:?}"), format!("{found:?}"));
        }
        if let Some(expected) = &self.allocations {
            let found: Vec<Row> = found
                .allocations
                .iter()
                .map(|j| row(&j.allocation))
                .collect();
            compare(
                "allocations",
                format!("{expected:#?}"),
                format!("{found:#?}"),
            );
        }
        if let Some(expected) = self.known {
            let known = found
                .allocations
                .iter()
                .filter(|judged| judged.known.is_some());
            compare("known", expected.to_string(), known.count().to_string());
        }
        different
    }
}

/// The first few in words: a hostile mail can have thousands.
fn summary(defects: &[Defect]) -> String {
    let shown = defects.iter().take(8);
    let lines: Vec<String> = shown
        .map(|defect| format!("{}: {}", defect.code, defect.detail.en))
        .collect();
    format!("{} in all: {lines:#?}", defects.len())
}

fn expected_company(ban: Ban, source: CompanySource) -> ExpectedCompany {
    ExpectedCompany {
        ban: ban.to_string(),
        source: source.as_str().to_owned(),
    }
}

fn row(Allocation { ban, block }: &Allocation) -> Row {
    Row {
        ban: ban.to_string(),
        invoice_type: block.invoice_type.code().to_owned(),
        year_month: block.period.year_month(),
        invoice_track: block.track.to_string(),
        invoice_begin_no: block.range.begin().to_string(),
        invoice_end_no: block.range.end().to_string(),
        invoice_booklet: block.range.booklets(),
        requested_booklets: block.requested_booklets,
        added_booklets: block.added_booklets,
    }
}
