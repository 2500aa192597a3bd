//! A file of the platform's beside what mails said: each of its ranges is confirmed, recorded, or
//! put into quarantine by itself, and mails that nobody knew the company of may settle.
//!
//! ```text
//! BEGIN IMMEDIATE · read before? · each row: neighbours · settle · confirm | record | quarantine
//!                 · mails that it explains: settle · tell · COMMIT
//! ```
//!
//! Guarantees: one file is one transaction; the same bytes a second time record nothing and tell
//! nobody, and do not bring back what was withdrawn; a row that contradicts the ledger keeps no other
//! out. A row is judged by the one judge there is, as a notice of one range that names its company.
//!
//! Left out on purpose: proof of origin, which files given by the operator do not need; and files
//! with anything unreadable in them, of which nothing gets here.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use tracing::info;

use super::{Examined, Intake, Outcome, decide::whole, guarded, judge, log, sha256};
use crate::{
    authenticity::Evidence,
    ledger::{Entry, LedgerError, Transaction, Unclaimed},
    mailbox::{Content, Origin, RawMessage},
    notice::{
        self, Allocation, Ban, Block, CompanySource, Disposition, Judged, Judgement, OtherRow,
        Reading, Warning,
    },
    platform::{self, File, Row},
};

/// So many mails are looked at in one go.
const AT_ONCE: u32 = 50;

/// What became of one file of the platform's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reconciled {
    /// Imported when it brought anything new, a duplicate otherwise.
    pub disposition: Disposition,
    /// The ranges recorded just now.
    pub recorded: Vec<notice::Allocation>,
    /// How many ranges that a mail had brought it says again.
    pub confirmed: usize,
    /// How many ranges were known from a file before.
    pub known: usize,
    /// The rows that were put into quarantine, by this file or an earlier one.
    pub contradicted: Vec<Outcome>,
    /// The mails that waited for a company and have settled.
    pub explained: Vec<Outcome>,
}

impl Reconciled {
    fn new(disposition: Disposition) -> Self {
        Self {
            disposition,
            recorded: Vec::new(),
            confirmed: 0,
            known: 0,
            contradicted: Vec::new(),
            explained: Vec::new(),
        }
    }
}

/// The mails that wait because nobody knows whose numbers they bring, by their ranges: thousands may
/// wait, and each is read once for all the files of a run.
#[derive(Debug, Default)]
pub struct Unexplained {
    /// The latest that was looked at, `message.id`.
    seen: i64,
    by_range: HashMap<Block, Vec<i64>>,
}

impl Unexplained {
    fn add(&mut self, intake: &Intake, mails: Vec<Unclaimed>) {
        for Unclaimed { id, raw } in mails {
            self.seen = self.seen.max(id);
            let Ok(reading) = guarded(|| notice::read(&raw, &intake.rules)) else {
                continue;
            };
            for block in &reading.blocks {
                self.by_range.entry(numbers(block)).or_default().push(id);
            }
        }
    }

    fn of(&self, rows: &[Row]) -> BTreeSet<i64> {
        let mails = rows
            .iter()
            .filter_map(|row| self.by_range.get(&numbers(&row.allocation.block)));
        mails.flatten().copied().collect()
    }
}

/// The same numbers are the same range, whatever counts are stated.
fn numbers(block: &Block) -> Block {
    Block {
        requested_booklets: None,
        added_booklets: None,
        ..*block
    }
}

/// What a file says of one company.
#[derive(Default)]
struct Share {
    judged: Vec<Judged>,
    warnings: Vec<Warning>,
}

impl Intake {
    /// Takes in `file`, which was read from `found`; `None` where these bytes were passed over at this
    /// place before such files were known, and nothing has changed. `unexplained` is one for all files of a run;
    /// `mailbox_company` tells the company of a mailbox by its name, or of files.
    ///
    /// # Errors
    /// The ledger's only; nothing of the file is recorded then.
    pub async fn take_file(
        &self,
        found: &RawMessage,
        file: &File,
        unexplained: &mut Unexplained,
        mailbox_company: impl Fn(Option<&str>) -> Option<Ban>,
        now: Timestamp,
    ) -> Result<Option<Reconciled>, LedgerError> {
        // Most of them while no transaction is open …
        loop {
            let mails = self.ledger.unclaimed(unexplained.seen, AT_ONCE).await?;
            if mails.is_empty() {
                break;
            }
            unexplained.add(self, mails);
        }
        let mut transaction = self.ledger.begin().await?;
        // … and what a daemon has put there since.
        loop {
            let mails = transaction.unclaimed(unexplained.seen, AT_ONCE).await?;
            if mails.is_empty() {
                break;
            }
            unexplained.add(self, mails);
        }

        let bytes: &[u8] = match &found.content {
            Content::Whole(bytes) => bytes,
            Content::Oversized(_) | Content::Unwanted | Content::Unfetchable(_) => &[],
        };
        let sha256 = sha256(bytes);
        let mut reconciled = match transaction.judged_before(found, &sha256).await? {
            Some(earlier) => {
                let disposition = transaction
                    .record_copy(found, &sha256, earlier, now)
                    .await?;
                let mut reconciled = Reconciled::new(disposition);
                match disposition {
                    // One row that was put into quarantine, and is read in by itself.
                    Disposition::Quarantined => {
                        let row = Outcome::of_copy(found, disposition);
                        reconciled.contradicted.push(row);
                    }
                    _ => {
                        for row in &file.rows {
                            let alone = alone(found, file, row);
                            match transaction.row_in_quarantine(&alone.sha256).await? {
                                Some(earlier) => reconciled
                                    .contradicted
                                    .push(Outcome::of_copy(&alone.message, earlier.disposition)),
                                None => reconciled.known += 1,
                            }
                        }
                    }
                }
                reconciled
            }
            None => {
                let reconciling = self.reconcile(&mut transaction, found, &sha256, file, now);
                match reconciling.await? {
                    Some(reconciled) => reconciled,
                    None => return Ok(None),
                }
            }
        };
        for id in unexplained.of(&file.rows) {
            let explained = self
                .explain_one(&mut transaction, id, &mailbox_company, now)
                .await?;
            reconciled.explained.extend(explained);
        }
        transaction.commit().await?;

        let Reconciled {
            recorded,
            confirmed,
            known,
            contradicted,
            explained,
            ..
        } = &reconciled;
        info!(
            message.file = found.origin.place(),
            message.disposition = reconciled.disposition.as_str(),
            "file of the platform's {}: {} ranges recorded, {confirmed} confirmed, {known} known, \
             {} contradict the ledger, {} mails explained",
            reconciled.disposition,
            recorded.len(),
            contradicted.len(),
            explained.len(),
        );
        for outcome in contradicted.iter().chain(explained) {
            log(outcome, false);
        }
        Ok(Some(reconciled))
    }

    async fn reconcile(
        &self,
        transaction: &mut Transaction,
        found: &RawMessage,
        sha256: &str,
        file: &File,
        now: Timestamp,
    ) -> Result<Option<Reconciled>, LedgerError> {
        let evidence = Evidence::not_required();
        let reading = Reading {
            subject: name(&found.origin).to_owned(),
            is_notice: true,
            file: Some(file.source),
            ..Reading::default()
        };
        let first = file.rows.first().map(|row| row.allocation.ban);
        let only = first.filter(|ban| file.rows.iter().all(|row| row.allocation.ban == *ban));
        let judgement = judgement(Disposition::Duplicate, only, Share::default());
        let entry = Entry {
            message: found,
            sha256,
            reading: &reading,
            evidence: &evidence,
            judgement: &judgement,
            now,
        };
        let Some(id) = transaction.record(&entry).await? else {
            return Ok(None);
        };

        let mut reconciled = Reconciled::new(Disposition::Duplicate);
        let mut shares = BTreeMap::<Ban, Share>::new();
        let clashes = clashes(&file.rows);
        for row in &file.rows {
            let clash = clashes.get(&row.allocation);
            let examined = Examined {
                sha256: String::new(),
                reading: Reading {
                    other_row: clash.map(|other| OtherRow {
                        allocation: other.allocation,
                        line: other.line,
                    }),
                    ..Reading::of_row(&row.allocation, file.source)
                },
                evidence: evidence.clone(),
            };
            let neighbours = transaction.neighbours(&examined.reading.blocks).await?;
            let judgement = judge(&examined, &self.rules, None, &neighbours, None, now);
            match judgement.disposition {
                Disposition::Imported => {
                    transaction
                        .record_row(&row.allocation, id, file.source, now)
                        .await?;
                    reconciled.recorded.push(row.allocation);
                }
                Disposition::Duplicate => {
                    let recorded = judgement.allocations.iter().find_map(|one| one.known);
                    let is_confirmed = match recorded {
                        Some(recorded) => {
                            transaction.confirm(recorded, id, file.source, now).await?
                        }
                        None => false,
                    };
                    *match is_confirmed {
                        true => &mut reconciled.confirmed,
                        false => &mut reconciled.known,
                    } += 1;
                }
                Disposition::Quarantined | Disposition::Unrelated | Disposition::Waiting => {
                    let outcome = self
                        .contradicted(transaction, found, file, row, &examined, judgement, now)
                        .await?;
                    reconciled.contradicted.push(outcome);
                    continue;
                }
            }
            let share = shares.entry(row.allocation.ban).or_default();
            share.judged.extend(judgement.allocations);
            share.warnings.extend(judgement.warnings);
        }
        if reconciled.recorded.is_empty() {
            return Ok(Some(reconciled));
        }
        reconciled.disposition = Disposition::Imported;
        transaction.brought(id).await?;
        for (ban, mut share) in shares {
            if share.judged.iter().all(|one| one.known.is_some()) {
                continue;
            }
            share.warnings.dedup();
            // Each company is told by itself, so that what tells it from the others is part of it.
            let about = format!("{sha256}:{ban}");
            let judgement = self::judgement(Disposition::Imported, Some(ban), share);
            let entry = Entry {
                sha256: &about,
                judgement: &judgement,
                ..entry
            };
            self.tell(transaction, id, &entry).await?;
        }
        Ok(Some(reconciled))
    }

    /// Puts one row into quarantine, as a file that holds nothing else.
    #[expect(
        clippy::too_many_arguments,
        reason = "one caller, which has them all at hand"
    )]
    async fn contradicted(
        &self,
        transaction: &mut Transaction,
        found: &RawMessage,
        file: &File,
        row: &Row,
        examined: &Examined,
        judgement: Judgement,
        now: Timestamp,
    ) -> Result<Outcome, LedgerError> {
        let Alone { message, sha256 } = alone(found, file, row);
        if let Some(earlier) = transaction.row_in_quarantine(&sha256).await? {
            let disposition = transaction
                .record_copy(&message, &sha256, earlier, now)
                .await?;
            return Ok(Outcome::of_copy(&message, disposition));
        }
        let entry = Entry {
            message: &message,
            sha256: &sha256,
            reading: &examined.reading,
            evidence: &examined.evidence,
            judgement: &judgement,
            now,
        };
        if let Some(id) = transaction.record(&entry).await? {
            self.tell(transaction, id, &entry).await?;
        }
        Ok(Outcome::of(&message, &examined.evidence, judgement))
    }

    /// Settles a mail that waits for a company, where a file tells it by now and nothing else is
    /// wrong with it. Without anybody to be told, what would bring new ranges goes on waiting.
    async fn explain_one(
        &self,
        transaction: &mut Transaction,
        id: i64,
        mailbox_company: impl Fn(Option<&str>) -> Option<Ban>,
        now: Timestamp,
    ) -> Result<Option<Outcome>, LedgerError> {
        let Some(mut message) = transaction.message(id).await? else {
            return Ok(None);
        };
        if message.disposition != Disposition::Quarantined || message.dismissed_at.is_some() {
            return Ok(None);
        }
        let Ok(raw) = whole(&mut message) else {
            return Ok(None);
        };
        let examined = self.examine_again(&message, &raw);
        let neighbours = transaction.neighbours(&examined.reading.blocks).await?;
        let company = mailbox_company(message.origin.mailbox());
        let judgement = judge(&examined, &self.rules, company, &neighbours, None, now);
        let settles = match judgement.disposition {
            Disposition::Duplicate => true,
            Disposition::Imported => self.style.is_some(),
            Disposition::Quarantined | Disposition::Unrelated | Disposition::Waiting => false,
        };
        if !settles || !matches!(judgement.company, Some((_, CompanySource::File))) {
            return Ok(None);
        }
        let Examined {
            reading, evidence, ..
        } = &examined;
        transaction
            .settle_quarantined(id, reading, &judgement, now)
            .await?;
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
            evidence,
            judgement: &judgement,
            now,
        };
        self.tell(transaction, id, &entry).await?;
        Ok(Some(Outcome::of(&found, evidence, judgement)))
    }
}

/// What a row that was put into quarantine says, when it is judged again.
pub(super) fn row_again(kind: platform::Source, raw: &[u8]) -> Reading {
    match platform::read(kind, raw)
        .as_ref()
        .map(|file| file.rows.as_slice())
    {
        Ok([row]) => Reading::of_row(&row.allocation, kind),
        _ => Reading::default(),
    }
}

/// Rows that share numbers with another one of their file, and that one: nobody can know
/// which of the two is right. The same row twice is one.
fn clashes(rows: &[Row]) -> HashMap<Allocation, &Row> {
    let mut sorted: Vec<&Row> = rows.iter().collect();
    sorted.sort_by_key(|row| {
        let block = &row.allocation.block;
        (block.track, block.period, block.range.begin())
    });
    let mut clashes = HashMap::new();
    // Of those before, the one that reaches farthest: what it does not overlap none of them does.
    let mut farthest: Option<&Row> = None;
    for row in sorted {
        let block = &row.allocation.block;
        let same = farthest.filter(|other| {
            let other = &other.allocation.block;
            (other.track, other.period) == (block.track, block.period)
        });
        match same {
            Some(other) if other.allocation.block.range.overlaps(block.range) => {
                if other.allocation != row.allocation {
                    clashes.entry(row.allocation).or_insert(other);
                    clashes.entry(other.allocation).or_insert(row);
                }
                if block.range.end() > other.allocation.block.range.end() {
                    farthest = Some(row);
                }
            }
            _ => farthest = Some(row),
        }
    }
    clashes
}

/// What follows for one company, or for nobody in particular.
fn judgement(disposition: Disposition, company: Option<Ban>, share: Share) -> Judgement {
    Judgement {
        disposition,
        defects: Vec::new(),
        overruled: Vec::new(),
        warnings: share.warnings,
        company: company.map(|ban| (ban, CompanySource::Body)),
        allocations: share.judged,
    }
}

/// One row as a file that holds nothing else.
struct Alone {
    message: RawMessage,
    sha256: String,
}

fn alone(found: &RawMessage, file: &File, row: &Row) -> Alone {
    let bytes = match file.source {
        platform::Source::Csv => platform::csv(&[row.allocation], platform::Encoding::default()),
        platform::Source::E0501 => platform::e0501(&[row.allocation]),
    };
    Alone {
        sha256: sha256(&bytes),
        message: RawMessage {
            origin: Origin::File {
                path: format!("{}:{}", found.origin.place(), row.line),
            },
            internal_date: found.internal_date,
            size: bytes.len() as u64,
            content: Content::Whole(bytes),
        },
    }
}

/// The last part of a path.
fn name(origin: &Origin) -> &str {
    let path = origin.place();
    path.rsplit('/').next().unwrap_or(path)
}
