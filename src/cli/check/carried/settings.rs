//! Whether the settings as they are do for the latest mails, and which would: in words, and as lines
//! to paste.
//!
//! Left out on purpose: weighing what the mails carry, which the proposal has done.
//!
//! Guarantee: nothing is proposed that lets no more mails through than the settings as they are,
//! and what is proposed was tried on these mails.

use std::fmt::Write as _;

use futures_util::future::join_all;

use super::{super::super::table::Screen, Judged, date, verify};
use crate::{
    authenticity::{Counted, Proposal, Require, Settings, Survey, Verifier, propose},
    config::{Config, Mailbox},
    notice::Sentence,
};

/// So many mails are named one by one.
const NAMED: usize = 5;

/// Whether the settings as they are do, and which would.
pub(super) async fn verdict(config: &Config, judged: &[Judged<'_>], screen: Screen) -> String {
    let settings = &config.authenticity;
    let now: Vec<bool> = judged
        .iter()
        .flat_map(|judged| &judged.mails)
        .map(|mail| mail.evidence.result() == "pass")
        .collect();
    let (of, passing) = (now.len(), count(&now));
    let require = settings.require.as_str();
    if settings.require != Require::None && passing == of {
        return screen.paragraph(&format!(
            "ok: {passing} of {of} pass with the settings as they are (require = \"{require}\") 設定不必更改"
        ));
    }
    let mut text = String::new();
    let mut say = |words: &str| text.push_str(&screen.paragraph(words));
    match settings.require {
        Require::None => say(&format!(
            "require = \"none\": all {of} are believed as they come, and so is anybody who writes that From"
        )),
        _ => say(&format!(
            "{passing} of {of} pass with the settings as they are (require = \"{require}\")"
        )),
    }
    let surveys: Vec<Vec<Survey>> = judged
        .iter()
        .map(|judged| {
            judged
                .mails
                .iter()
                .map(|mail| mail.survey.clone())
                .collect()
        })
        .collect();
    let proposal = propose(&surveys);
    for sentence in noticed(&proposal) {
        say(&sentence);
    }
    let Some(require) = proposal.require else {
        let (sentence, to_do) = without(&proposal);
        say(&sentence.en);
        say(&sentence.zh);
        for words in to_do {
            text.push_str(&screen.hanging("  - ", 0, 4, words));
        }
        return text;
    };
    let proposed = proposed(settings, require, &proposal);
    let then = tried(judged, &proposed, &proposal).await;
    let would = count(&then);
    if would == 0 || (settings.require != Require::None && would <= passing) {
        say(
            "nothing that these mails carry would let more of them through: keep the settings as they are",
        );
        say(&left(judged, &now));
        return text;
    }
    text.push('\n');
    text.push_str(&screen.paragraph(&format!("建議設定 proposed: {would} of {of} would pass")));
    text.push_str(&screen.paragraph(&evidence(require, &proposal)));
    text.push('\n');
    text.push_str(&lines(judged, &proposed, &proposal));
    if would < of {
        text.push('\n');
        text.push_str(&screen.paragraph(&left(judged, &then)));
    }
    text
}

fn count(passes: &[bool]) -> usize {
    passes.iter().filter(|passes| **passes).count()
}

/// The settings with what is proposed in them. What else the operator trusts stays: taking it out
/// would be another decision than the one these mails speak for.
fn proposed(settings: &Settings, require: Require, proposal: &Proposal) -> Settings {
    let with = |proposed: &[Counted], configured: &[String]| {
        let mut names: Vec<String> = proposed
            .iter()
            .map(|counted| counted.name.clone())
            .collect();
        let others = configured.iter().filter(|name| !names.contains(name));
        let others: Vec<String> = others.cloned().collect();
        names.extend(others);
        names
    };
    Settings {
        require,
        domains: with(&proposal.domains, &settings.domains),
        trusted_authserv_ids: with(&proposal.authserv_ids, &settings.trusted_authserv_ids),
        dns_servers: settings.dns_servers.clone(),
    }
}

/// Whether each mail would pass.
async fn tried(judged: &[Judged<'_>], proposed: &Settings, proposal: &Proposal) -> Vec<bool> {
    let verifier = &Verifier::new(proposed.clone());
    let mails = judged
        .iter()
        .zip(&proposal.results)
        .flat_map(|(judged, results)| {
            let results = results.unwrap_or(judged.mailbox.results);
            judged.mails.iter().map(move |mail| async move {
                let from = mail.survey.from.as_ref();
                let evidence = verify(&mail.raw, from, results, verifier).await;
                evidence.result() == "pass"
            })
        });
    join_all(mails).await
}

/// The lines to paste.
fn lines(judged: &[Judged<'_>], proposed: &Settings, proposal: &Proposal) -> String {
    // What TOML takes for a string, and what Rust shows one as, are the same for these names.
    let list = |names: &[String]| {
        let names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
        names.join(", ")
    };
    let require = proposed.require.as_str();
    let mut text = format!("  [authenticity]\n  require = \"{require}\"\n");
    // Strangers choose these names, but none that is no name gets through alignment.
    _ = writeln!(text, "  domains = [{}]", list(&proposed.domains));
    if !proposal.authserv_ids.is_empty() {
        let ids = list(&proposed.trusted_authserv_ids);
        _ = writeln!(text, "  trusted_authserv_ids = [{ids}]");
    }
    for (judged, results) in judged.iter().zip(&proposal.results) {
        let Mailbox {
            name, results: now, ..
        } = judged.mailbox;
        if let Some(results) = results.filter(|results| results != now) {
            let results = results.as_str();
            _ = writeln!(
                text,
                "\n  # in the [[mailbox]] named {name:?}\n  results = \"{results}\""
            );
        }
    }
    text
}

/// `einvoice.nat.gov.tw (19), nat.gov.tw (1)`
fn named(counted: &[Counted]) -> String {
    let named = counted
        .iter()
        .map(|Counted { name, mails }| format!("{name} ({mails})"));
    named.collect::<Vec<_>>().join(", ")
}

/// What speaks for the proposal, in one sentence.
pub(super) fn evidence(require: Require, proposal: &Proposal) -> String {
    let Proposal {
        mails,
        by_signature,
        by_results,
        ..
    } = proposal;
    let domains = named(&proposal.domains);
    let signed = format!(
        "{by_signature} of {mails} carry an intact DKIM signature, aligned with From and over From and Subject"
    );
    let server = match proposal.authserv_ids.as_slice() {
        [] => "your provider, which writes no authserv-id".to_owned(),
        [server] => server.name.clone(),
        servers => named(servers),
    };
    let believed = format!("{by_results} of {mails} are vouched for by {server}");
    let caution = "trust a server only if it is the one that receives your mail";
    match require {
        Require::Dkim => format!("{signed}: {domains}"),
        Require::Either => format!("{signed}; {believed}: {domains}; {caution}"),
        _ => format!("no signature is intact here, but {believed}: {domains}; {caution}"),
    }
}

/// What was found and not proposed, and why.
pub(super) fn noticed(proposal: &Proposal) -> Vec<String> {
    let mut sentences = Vec::new();
    if !proposal.strangers.is_empty() {
        sentences.push(format!(
            "signed intact by a domain that is not of the sender's organization, which proves nothing of From: {}",
            named(&proposal.strangers)
        ));
    }
    if !proposal.doubtful.is_empty() {
        sentences.push(format!(
            "not proposed, because whoever sent the mail may have written it (it stands below a Received, or on fewer than half of the mails): Authentication-Results of {}",
            named(&proposal.doubtful)
        ));
    }
    if proposal.undecided > 0 {
        sentences.push(format!(
            "{} could not be judged, because DNS did not answer: run this again once it does",
            proposal.undecided
        ));
    }
    sentences
}

/// What to do where nothing can be proposed: what is so, in both languages, and each thing to do.
fn without(proposal: &Proposal) -> (Sentence, &'static [&'static str]) {
    if proposal.undecided > 0 {
        let sentence = Sentence::new(
            "nothing can be proposed before DNS answers",
            "待 DNS 恢復後，才能提出建議設定",
        );
        return (sentence, &[]);
    }
    let n = proposal.mails;
    (
        Sentence::new(
            format!("none of these {n} mails carries proof of where it comes from"),
            format!("這 {n} 封信都沒有可用的來源證明"),
        ),
        &[
            "ask whoever runs your mail server to verify DKIM on arrival and to write \
             Authentication-Results (RFC 8601), and whether anything on the way changes mail \
             (footers, rewritten subjects, virus scanners)",
            "ask the platform's service desk (電子發票整合服務平台) whether its notices are \
             DKIM-signed, and by which domain",
            "require = \"none\" is the last resort: anybody who knows the address could then have \
             invented number ranges recorded",
        ],
    )
}

/// The mails that do not pass, by their dates.
pub(super) fn left(judged: &[Judged<'_>], passes: &[bool]) -> String {
    let several = judged
        .iter()
        .filter(|judged| !judged.mails.is_empty())
        .count()
        > 1;
    let mails = judged.iter().flat_map(|judged| {
        let place = match several {
            true => format!(" in {}", judged.mailbox.name),
            false => String::new(),
        };
        let mails = judged.mails.iter();
        mails.map(move |mail| format!("{}{place}", date(mail)))
    });
    let failing = mails.zip(passes).filter(|(_, passes)| !**passes);
    let failing: Vec<String> = failing.map(|(mail, _)| mail).collect();
    let more = match failing.len().checked_sub(NAMED) {
        None | Some(0) => String::new(),
        Some(more) => format!(" and {more} more"),
    };
    let shown: Vec<String> = failing.iter().take(NAMED).cloned().collect();
    format!(
        "{} of {} would wait for a person, as forged mail must: {}{more}",
        failing.len(),
        passes.len(),
        shown.join(", ")
    )
}
