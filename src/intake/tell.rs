//! Who is told what of a message that was judged.
//!
//! Guarantee: what is written down here is written in the transaction that records the message,
//! after its ranges, and once for the same bytes. Left out on purpose: when news becomes a letter, which is the
//! dispatcher's to say, and how it reads.

use std::{collections::BTreeSet, fmt::Display};

use crate::{
    authenticity::Method,
    delivery::{
        Confirm, Handoff, Style,
        compose::{self, Event},
    },
    ledger::{
        Cause, Entry, Fallen, FoundIn, Import, LedgerError, Past, Quarantined, Reason, Transaction,
    },
    mailbox::{Content, Origin},
    notice::{Allocation, Authenticity, Ban, Disposition, Finding, Period, Rules, Sentence},
};

/// Writes down the mails that this message calls for, or the news that will become one.
pub(super) async fn tell(
    transaction: &mut Transaction,
    style: &Style,
    rules: &Rules,
    id: i64,
    entry: &Entry<'_>,
) -> Result<(), LedgerError> {
    let (judgement, now) = (entry.judgement, entry.now);
    let everybody: Vec<&Handoff> = style.handoffs.iter().collect();
    hand_over(transaction, &everybody, rules, id, entry).await?;
    match judgement.disposition {
        Disposition::Imported if style.confirm == Confirm::Digest => {
            // Nobody to tell now is nobody later, as for a confirmation by itself.
            let company = judgement
                .company
                .and_then(|(ban, _)| rules.companies.get(ban));
            let told =
                !style.of(company).confirm_to.is_empty() && judgement.fresh().next().is_some();
            match import(rules, id, entry).filter(|_| told) {
                Some(mut news) => {
                    news.fallen = fallen(transaction, entry).await?;
                    transaction.tell(&imported_key(entry), &news, now).await
                }
                None => Ok(()),
            }
        }
        Disposition::Imported => {
            let Some((ban, _)) = judgement.company else {
                return Ok(());
            };
            let company = rules.companies.get(ban);
            let fresh: Vec<Allocation> = judgement.fresh().copied().collect();
            let known: Vec<Allocation> = judgement
                .allocations
                .iter()
                .filter(|judged| judged.known.is_some())
                .map(|judged| judged.allocation)
                .collect();
            let facts = compose::Imported {
                sha256: entry.sha256,
                ban,
                company_name: company.map(|company| company.name.as_str()),
                found_in: entry.message.origin.place(),
                is_file: entry.reading.file.is_some(),
                proven_by: &proven_by(entry),
                allocations: &fresh,
                known: &known,
                warnings: &judgement.warnings,
                fallen: &fallen(transaction, entry).await?,
            };
            match compose::confirmation(&facts, &style.of(company), now) {
                Some(letter) => transaction.post(&letter, Some(id), now).await,
                None => Ok(()),
            }
        }
        Disposition::Quarantined => {
            let cause = Cause::Quarantined(quarantined(id, entry));
            transaction.tell(&quarantined_key(entry), &cause, now).await
        }
        Disposition::Duplicate | Disposition::Unrelated | Disposition::Waiting => Ok(()),
    }
}

/// Posts what systems are handed of an import.
async fn hand_over(
    transaction: &mut Transaction,
    handoffs: &[&Handoff],
    rules: &Rules,
    id: i64,
    entry: &Entry<'_>,
) -> Result<(), LedgerError> {
    let Some((ban, _)) = entry.judgement.company else {
        return Ok(());
    };
    if entry.judgement.disposition != Disposition::Imported || handoffs.is_empty() {
        return Ok(());
    }
    // A file of the platform's grants to several companies.
    let rows = transaction.granted_to(ban, id).await?;
    let company = rules.companies.get(ban);
    let handed = compose::Handed {
        event: Event::Imported,
        message_id: id,
        about: entry.sha256,
        ban,
        company_name: company.map(|company| company.name.as_str()),
        rows: &rows,
    };
    for handoff in handoffs {
        let letter = compose::handoff(&handed, &handoff.name, entry.now);
        transaction.post(&letter, Some(id), entry.now).await?;
    }
    Ok(())
}

/// What showed that the platform sent what was imported.
fn proven_by(entry: &Entry<'_>) -> Sentence {
    if entry.reading.file.is_some() {
        return Sentence::new(
            "a file of the platform's, which somebody here has read in",
            "由人工讀入的平台檔案",
        );
    }
    let evidence = entry.evidence;
    match (&evidence.verdict, &evidence.proof) {
        (Authenticity::Proven { .. }, Some(proof)) => {
            let method = match proof.method {
                Method::Dkim => "DKIM",
                Method::AuthenticationResults => "Authentication-Results",
            };
            let words = format!("{method} {}", proof.names());
            Sentence::new(words.trim_end(), words.trim_end())
        }
        (Authenticity::Proven { .. }, None) => {
            Sentence::new("proven when it came", "寄達時已經證明")
        }
        (Authenticity::NotRequired, _) => Sentence::new(
            "nothing: authenticity.require is \"none\", so From is believed",
            "沒有查證：authenticity.require 設為 \"none\"，寄件人寫什麼就信什麼",
        ),
        (Authenticity::Unproven(_) | Authenticity::Unknown(_), _) => Sentence::new(
            "nothing: a person released it all the same",
            "沒有證明，由人工放行",
        ),
    }
}

/// As [`tell`], of mail that was old when the ledger was created: all of it together.
pub(super) async fn tell_past(
    transaction: &mut Transaction,
    style: &Style,
    rules: &Rules,
    id: i64,
    entry: &Entry<'_>,
) -> Result<(), LedgerError> {
    let wanted: Vec<&Handoff> = style.handoffs.iter().filter(|one| one.past).collect();
    hand_over(transaction, &wanted, rules, id, entry).await?;
    let (key, past) = match entry.judgement.disposition {
        Disposition::Imported => (
            imported_key(entry),
            import(rules, id, entry).map(Past::Imported),
        ),
        Disposition::Quarantined => (
            quarantined_key(entry),
            Some(Past::Quarantined(quarantined(id, entry))),
        ),
        Disposition::Duplicate | Disposition::Unrelated | Disposition::Waiting => return Ok(()),
    };
    match past {
        Some(past) => transaction.tell(&key, &past, entry.now).await,
        None => Ok(()),
    }
}

/// Periods with new ranges for which the company has less than half of what it has for the one
/// before. Asked once everything in the mail is recorded: of the six periods of a 年配 each is
/// compared with the one before in the same mail.
async fn fallen(
    transaction: &mut Transaction,
    entry: &Entry<'_>,
) -> Result<Vec<Fallen>, LedgerError> {
    let periods: BTreeSet<(Ban, Period)> = entry
        .judgement
        .fresh()
        .map(|allocation| (allocation.ban, allocation.block.period))
        .collect();
    let mut fallen = Vec::new();
    for (ban, period) in periods {
        let before = transaction.booklets_of(ban, period.previous()).await?;
        let booklets = transaction.booklets_of(ban, period).await?;
        if booklets.saturating_mul(2) < before {
            fallen.push(Fallen {
                year_month: period.year_month(),
                booklets,
                before,
            });
        }
    }
    Ok(fallen)
}

fn import(rules: &Rules, id: i64, entry: &Entry<'_>) -> Option<Import> {
    let (ban, _) = entry.judgement.company?;
    let company = rules.companies.get(ban);
    Some(Import {
        message_id: id,
        sha256: entry.sha256.to_owned(),
        ban: ban.to_string(),
        company_name: company.map(|company| company.name.clone()),
        found_in: found_in(&entry.message.origin),
        warnings: entry.judgement.warnings.iter().map(reason).collect(),
        fallen: Vec::new(),
        to: company.map_or_else(Vec::new, |company| {
            company.confirm_to.iter().map(ToString::to_string).collect()
        }),
        is_file: entry.reading.file.is_some(),
    })
}

fn imported_key(entry: &Entry<'_>) -> String {
    format!("imported:{}", entry.sha256)
}

fn quarantined(id: i64, entry: &Entry<'_>) -> Quarantined {
    Quarantined {
        message_id: id,
        sha256: entry.sha256.to_owned(),
        found_in: found_in(&entry.message.origin),
        from: entry.reading.from.as_ref().map(ToString::to_string),
        subject: entry.reading.subject.clone(),
        defects: entry.judgement.defects.iter().map(reason).collect(),
        is_row: entry.reading.file.is_some(),
    }
}

fn quarantined_key(entry: &Entry<'_>) -> String {
    let Entry {
        message, sha256, ..
    } = entry;
    match (&message.content, &message.origin) {
        // Of what is too large only the header was fetched, and two may share theirs.
        (Content::Oversized(_), _) => format!("quarantined:{sha256}:{}", message.size),
        // There are no bytes to tell it by, only its place.
        (
            Content::Unfetchable(_),
            Origin::Imap {
                mailbox,
                uidvalidity,
                uid,
            },
        ) => format!("unfetchable:{mailbox}:{uidvalidity}:{uid}"),
        _ => format!("quarantined:{sha256}"),
    }
}

fn found_in(origin: &Origin) -> FoundIn {
    match origin {
        Origin::Imap { mailbox, .. } | Origin::Maildir { mailbox, .. } => {
            FoundIn::Mailbox(mailbox.clone())
        }
        Origin::File { path } => FoundIn::File(path.clone()),
    }
}

fn reason<Code: Display>(finding: &Finding<Code>) -> Reason {
    Reason {
        code: finding.code.to_string(),
        detail: finding.detail.en.clone(),
        detail_zh: finding.detail.zh.clone(),
    }
}
