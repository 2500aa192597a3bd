//! `ingest`: the same for messages that the operator names.

use std::{collections::BTreeMap, fmt::Write as _, path::PathBuf};

use anyhow::bail;
use serde_json::{Value, json};

use super::{Exit, company_of, files, json, print, print_json, table::pad};
use crate::{
    clock::Clock,
    config::Config,
    delivery::Dispatcher,
    intake::{Intake, Outcome},
    ledger::{Ledger, LedgerError},
    mailbox::RawMessage,
};

/// One transaction takes in at most so many messages …
const BATCH: usize = 100;
/// … and about so many bytes.
const BATCH_BYTES: u64 = 16 * 1024 * 1024;

pub(super) async fn ingest(
    config: &Config,
    paths: &[PathBuf],
    no_mail: bool,
    as_json: bool,
) -> anyhow::Result<Exit> {
    let company = company_of(config, None)?;
    let mut all = Vec::new();
    for path in paths {
        all.extend(files::expand(path)?);
    }
    let ledger = Ledger::open(&config.ledger, Clock::System.now()).await?;
    let intake = Intake {
        ledger: ledger.clone(),
        rules: config.rules.clone(),
        require: config.require,
        style: (!no_mail).then(|| config.style.clone()),
    };

    let mut outcomes = Vec::new();
    let mut batch: Vec<RawMessage> = Vec::new();
    // One file that cannot be read must not keep the others out.
    let mut unreadable = Vec::new();
    for file in &all {
        match files::message(file, config.rules.max_message_bytes) {
            Ok(message) => batch.push(message),
            Err(error) => unreadable.push(format!("{error:#}")),
        }
        let bytes: u64 = batch.iter().map(|message| message.size).sum();
        if batch.len() >= BATCH || bytes >= BATCH_BYTES {
            outcomes.extend(intake.take(&batch, company, Clock::System.now()).await?);
            batch.clear();
        }
    }
    outcomes.extend(intake.take(&batch, company, Clock::System.now()).await?);

    // A reader of the report that has seen enough keeps no mail from going out.
    let printed = if as_json {
        print_json(&Value::Array(outcomes.iter().map(object).collect()))
    } else if unreadable.len() < all.len() {
        print(&report(&outcomes)?)
    } else {
        Ok(())
    };
    if !no_mail {
        send(config, &ledger).await?;
    }
    ledger.close().await;
    if !unreadable.is_empty() {
        bail!("{}", unreadable.join("\n"));
    }
    printed?;
    Ok(Exit::Done)
}

/// Sends what is due, unless a daemon runs on this ledger: then that is its business.
async fn send(config: &Config, ledger: &Ledger) -> anyhow::Result<()> {
    let _lock = match Ledger::lock(&config.ledger) {
        Ok(lock) => lock,
        Err(LedgerError::Locked { .. }) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let Some(transport) = config.transport()? else {
        return Ok(());
    };
    let dispatcher = Dispatcher {
        ledger: ledger.clone(),
        transport,
        style: config.style.clone(),
        patience: config.patience,
    };
    dispatcher.flush(Clock::System.now()).await?;
    Ok(())
}

fn object(outcome: &Outcome) -> Value {
    json!({
        "file": outcome.origin.place(),
        "disposition": outcome.disposition.as_str(),
        "defects": json::findings(&outcome.defects),
        "allocations": outcome.recorded.iter().map(json::allocation).collect::<Vec<_>>(),
    })
}

fn report(outcomes: &[Outcome]) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    let mut counts = BTreeMap::<_, u32>::new();
    for outcome in outcomes {
        *counts.entry(outcome.disposition).or_default() += 1;
        writeln!(
            text,
            "{}  {}",
            pad(outcome.disposition.as_str(), 11),
            outcome.origin.place()
        )?;
        for allocation in &outcome.recorded {
            let block = &allocation.block;
            writeln!(
                text,
                "             {}  {}  {} {}  {} 本",
                allocation.ban,
                block.period,
                block.track,
                block.range,
                block.range.booklets()
            )?;
        }
        for defect in &outcome.defects {
            writeln!(text, "             {}: {}", defect.code, defect.detail.en)?;
        }
    }
    let summary: Vec<String> = counts
        .iter()
        .map(|(what, n)| format!("{n} {what}"))
        .collect();
    writeln!(text, "{} read: {}", outcomes.len(), summary.join(", "))?;
    Ok(text)
}
