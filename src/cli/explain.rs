//! `explain`: one message, judged as `run` would, and why, rule by rule. Writes nothing.

use std::path::Path;

use serde_json::{Value, json};

use super::{Exit, files, json, place_of, print, print_json, table::Screen};
use crate::{
    authenticity::Verifier,
    clock::Clock,
    config::Config,
    intake::{self, Examined},
    ledger::Ledger,
    notice::{Disposition, Judgement},
};

mod checklist;

pub(super) async fn explain(
    config: &Config,
    mailbox: Option<&str>,
    file: &Path,
    as_json: bool,
) -> anyhow::Result<Exit> {
    let place = place_of(config, mailbox)?;
    let max_bytes = config.rules.max_message_bytes;
    let message = if file == Path::new("-") {
        files::message_from_stdin(max_bytes)?
    } else {
        files::message(file, max_bytes)?
    };
    let verifier = Verifier::new(config.authenticity.clone());
    let examined = intake::examine(&message, &config.rules, &verifier, place.results).await;
    let (mut neighbours, mut earlier) = (Vec::new(), None);
    if let Some(ledger) = Ledger::open_for_reading(&config.ledger).await? {
        neighbours = ledger.neighbours(&examined.reading.blocks).await?;
        earlier = ledger.judged_before(&message, &examined.sha256).await?;
        ledger.close().await;
    }
    let now = Clock::System.now();
    let judgement = intake::judge(
        &examined,
        &config.rules,
        place.company,
        &neighbours,
        None,
        now,
    );
    if as_json {
        print_json(&object(&examined, &judgement))?;
    } else {
        let why = checklist::unrelated(&message, &examined.reading, &config.rules);
        let rules = &config.rules;
        let screen = Screen::stdout();
        let page = checklist::checklist(&examined, &judgement, rules, earlier, why, screen)?;
        print(&screen.prose(&page))?;
    }
    Ok(match judgement.disposition {
        Disposition::Quarantined => Exit::Quarantined,
        Disposition::Waiting => Exit::TryAgain,
        Disposition::Imported | Disposition::Duplicate | Disposition::Unrelated => Exit::Done,
    })
}

fn object(examined: &Examined, judgement: &Judgement) -> Value {
    let Examined {
        sha256,
        reading,
        evidence,
    } = examined;
    let proof = evidence.proof.as_ref();
    json!({
        "disposition": judgement.disposition.as_str(),
        "defects": json::findings(&judgement.defects),
        "warnings": json::findings(&judgement.warnings),
        "from": reading.from.as_ref().map(ToString::to_string),
        "subject": reading.subject,
        "sha256": sha256,
        "authenticity": {
            "result": evidence.result(),
            "method": proof.map(|proof| proof.method.as_str()),
            "domain": proof.and_then(|proof| proof.domain.as_ref()),
            "selector": proof.and_then(|proof| proof.selector.as_ref()),
        },
        "company": judgement.company.map(|(ban, source)| json!({
            "ban": ban.as_str(),
            "source": source.as_str(),
        })),
        "allocations": judgement
            .allocations
            .iter()
            .map(|judged| json::allocation(&judged.allocation))
            .collect::<Vec<_>>(),
    })
}
