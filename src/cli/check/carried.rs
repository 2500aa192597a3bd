//! `check --online`: what the latest mails of the senders carry, and whether they would pass.
//!
//! Left out on purpose: fetching them. What to set because of them is `settings`'.
//!
//! Guarantee: mails of which the same is to be said stand in one row, whatever their senders write
//! in them.

use std::fmt::Write as _;

use futures_util::future::join_all;
use jiff::Timestamp;

use super::super::table::{Cell, Column, Screen, Table};
use crate::{
    authenticity::{self, Evidence, Field, Mail, Outcome, Results, Signed, Survey, Verifier},
    clock::taipei_minute,
    config::{Config, Mailbox},
    mailbox::{Content, RawMessage, Want},
    notice::{self, Address, Authenticity, Rules},
};

mod settings;

/// The latest mails of one mailbox.
#[derive(Debug)]
pub(super) struct Judged<'a> {
    mailbox: &'a Mailbox,
    mails: Vec<Examined>,
}

#[derive(Debug)]
struct Examined {
    at: Option<Timestamp>,
    raw: Vec<u8>,
    survey: Survey,
    /// By the settings as they are.
    evidence: Evidence,
}

/// What is fetched to be judged: all of what comes from a sender, by its header.
pub(super) fn gate(header: &[u8], size: u64, rules: &Rules) -> Want {
    match notice::author(header) {
        Some(from) if !rules.senders.contains(&from) => Want::Nothing,
        None => Want::Nothing,
        Some(_) if size > rules.max_message_bytes => Want::TooLarge,
        Some(_) => Want::Whole,
    }
}

/// Looks into each mail, side by side, and judges it by the settings as they are.
pub(super) async fn judge<'a>(
    mailbox: &'a Mailbox,
    latest: Vec<RawMessage>,
    verifier: &Verifier,
) -> Judged<'a> {
    let mails = latest.into_iter().filter_map(|message| {
        let at = message.internal_date;
        let Content::Whole(raw) = message.content else {
            return None;
        };
        Some(async move {
            let from = notice::author(&raw);
            let survey = verifier.survey(&raw, from.as_ref());
            let verify = verify(&raw, from.as_ref(), mailbox.results, verifier);
            let (survey, evidence) = tokio::join!(survey, verify);
            Examined {
                at,
                raw,
                survey,
                evidence,
            }
        })
    });
    Judged {
        mailbox,
        mails: join_all(mails).await,
    }
}

async fn verify(
    raw: &[u8],
    from: Option<&Address>,
    results: Results,
    verifier: &Verifier,
) -> Evidence {
    let mail = Mail {
        raw,
        forwarded: None,
        from,
        results,
    };
    verifier.verify(&mail).await
}

/// Where the key stands of a signature in a sender's own name; of a stranger's nothing is asked, for
/// his servers may well be out of order.
pub(super) fn key_name(judged: &[Judged<'_>]) -> Option<String> {
    let mut mails = judged.iter().flat_map(|judged| &judged.mails);
    mails.find_map(|mail| {
        let from = mail.survey.from.as_ref()?;
        let mut signatures = mail.survey.signatures.iter();
        let own = signatures.find(|signed| from.is_under(&signed.domain))?;
        Some(authenticity::key_name(&own.selector, &own.domain))
    })
}

/// The whole page below the rows: the mails, and the settings that they speak for.
pub(super) async fn page(config: &Config, judged: &[Judged<'_>], screen: Screen) -> String {
    let mut text = String::new();
    let mut empty = Vec::new();
    for judged in judged {
        if judged.mails.is_empty() {
            empty.push(judged.mailbox.name.as_str());
            continue;
        }
        text.push('\n');
        text.push_str(&mails(judged, screen));
    }
    if !empty.is_empty() {
        text.push('\n');
        let empty = empty.join(", ");
        text.push_str(&screen.paragraph(&format!(
            "{empty}: no mail from the senders yet; run this again after the first one"
        )));
        text.push_str(&screen.paragraph("尚無寄件人的來信，收到第一封後請再執行一次"));
    }
    if judged.iter().any(|judged| !judged.mails.is_empty()) {
        text.push('\n');
        text.push_str(&settings::verdict(config, judged, screen).await);
    }
    text
}

/// One mailbox's mails, those alike together.
fn mails(judged: &Judged<'_>, screen: Screen) -> String {
    let count = judged.mails.len();
    let (name, s) = (&judged.mailbox.name, plural(count));
    let mut text = screen.paragraph(&format!("最近來信 latest mail in {name}: {count} mail{s}"));
    let mut table = Table::new(
        2,
        &[
            Column::number("封 mails"),
            Column::whole("日期 latest"),
            Column::cut("寄件人 from", 20),
            Column::whole("現況 now"),
        ],
    );
    for (alike, mail) in alike(&judged.mails) {
        let from = mail.survey.from.as_ref().map_or("", Address::as_str);
        let now = match mail.evidence.result() {
            result @ ("fail" | "none") => Cell::alarm(result),
            "not_required" => "believed".into(),
            result => result.into(),
        };
        table.row([
            alike.to_string().into(),
            date(mail).into(),
            from.into(),
            now,
        ]);
        for (label, words) in carries(&mail.survey) {
            table.below_labelled(label, words);
        }
        match &mail.evidence.verdict {
            Authenticity::Unproven(why) => table.below_labelled("now ", &why.en),
            Authenticity::Unknown(why) => table.below_labelled("now ", why),
            Authenticity::Proven { .. } | Authenticity::NotRequired => {}
        }
    }
    text.push_str(&table.on(screen));
    text
}

/// Mails of which the same is to be said, with how many there are; the newest stands for all.
fn alike(mails: &[Examined]) -> Vec<(usize, &Examined)> {
    let said = |mail: &Examined| {
        let from = mail.survey.from.clone();
        (from, carries(&mail.survey), mail.evidence.verdict.clone())
    };
    let mut groups: Vec<(usize, &Examined)> = Vec::new();
    for mail in mails {
        match groups
            .iter_mut()
            .find(|(_, first)| said(first) == said(mail))
        {
            Some((count, _)) => *count += 1,
            None => groups.push((1, mail)),
        }
    }
    groups
}

fn date(mail: &Examined) -> String {
    mail.at.map_or_else(|| "?".to_owned(), taipei_minute)
}

/// A line for each signature, and one for the topmost Authentication-Results, with their labels.
fn carries(survey: &Survey) -> Vec<(&'static str, String)> {
    let signatures = survey.signatures.iter();
    let mut lines: Vec<_> = signatures
        .map(|signed| ("DKIM", signature(signed)))
        .collect();
    if lines.is_empty() {
        lines.push(("DKIM", "none".to_owned()));
    }
    let mut told = match survey.fields.first() {
        None => "none".to_owned(),
        Some(None) => "cannot be read".to_owned(),
        Some(Some(field)) => authentication_results(field),
    };
    if let Some(others @ 1..) = survey.fields.len().checked_sub(1) {
        // Writing to a String never fails.
        _ = write!(told, "; {others} more below it");
    }
    lines.push(("A-R ", told));
    lines
}

fn signature(signed: &Signed) -> String {
    let Signed {
        domain,
        selector,
        algorithm,
        outcome,
        ..
    } = signed;
    let lacks: Vec<&str> = signed.uncovered().collect();
    let outcome = match outcome {
        Outcome::Pass if lacks.is_empty() => "pass".to_owned(),
        Outcome::Pass => format!("pass, but not over {}", lacks.join(" and ")),
        Outcome::Broken(why) => format!("fail: {}", why.en),
        Outcome::Unknown(why) => format!("unknown: {why}"),
    };
    format!("{domain} ({selector}, {algorithm}) {outcome}")
}

/// `mx.example.com: dkim=pass dmarc=pass for example.com`
fn authentication_results(field: &Field) -> String {
    let id = field.authserv_id.as_deref().unwrap_or("no authserv-id");
    let place = match field.above_received {
        true => "",
        false => " (below a Received)",
    };
    let told = field.results.iter();
    let told = told.filter(|found| matches!(found.method.as_str(), "dkim" | "dmarc"));
    let told: Vec<(String, &str)> = told
        .map(|found| {
            let names = ["header.d", "header.i", "header.from"];
            let mut domains = found.properties.iter();
            let domain = domains.find(|(name, _)| names.contains(&name.as_str()));
            let verdict = format!("{}={}", found.method, found.result);
            (verdict, domain.map_or("", |(_, domain)| domain.as_str()))
        })
        .collect();
    let Some((_, domain)) = told.first() else {
        return format!("{id}{place}: nothing of DKIM or DMARC");
    };
    let of_one = told.iter().all(|(_, other)| other == domain);
    let verdicts = told
        .iter()
        .map(|(verdict, domain)| match of_one || domain.is_empty() {
            true => verdict.clone(),
            false => format!("{verdict} for {domain}"),
        });
    let verdicts: Vec<String> = verdicts.collect();
    match of_one && !domain.is_empty() {
        true => format!("{id}{place}: {} for {domain}", verdicts.join(" ")),
        false => format!("{id}{place}: {}", verdicts.join(", ")),
    }
}

fn plural(n: usize) -> &'static str {
    if n == 1 { "" } else { "s" }
}

#[cfg(test)]
mod tests;
