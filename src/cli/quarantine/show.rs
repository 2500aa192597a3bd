//! One message with everything that is known of it, for a person who has to decide.
//!
//! Guarantee: the important fact first, and the command that resolves it last; what strangers
//! wrote is shown on one line each, and cannot pass for ours.

use std::fmt::{self, Write as _};

use serde_json::{Value, json};

use super::{
    super::{json::wait, proof::Facts},
    WORDS,
};
use crate::{
    clock::taipei_minute,
    columns::pad,
    delivery::{Language, compose},
    ledger::{DecisionRow, Reason, StoredEvidence, StoredMessage, Wait},
    mailbox::Origin,
    notice::{DefectCode, Disposition, FileKind},
    stranger::one_line,
};

/// The width of a label, of which an ideograph takes two columns.
const LABEL: usize = 18;

pub(super) fn object(message: &StoredMessage) -> Value {
    let reason = |reason: &Reason| json!({ "code": reason.code, "detail": reason.detail, "detail_zh": reason.detail_zh });
    let defects: Vec<Value> = message
        .defects
        .iter()
        .map(|defect| {
            let mut value = reason(defect);
            if let Value::Object(fields) = &mut value {
                let may = overrulable(&defect.code).map(|may| may.word());
                fields.insert("overrulable".to_owned(), json!(may));
            }
            value
        })
        .collect();
    let StoredEvidence {
        result,
        detail,
        method,
        domain,
        selector,
        algorithm,
        key,
        signed_fields,
        judged_at,
    } = &message.evidence;
    let decisions: Vec<Value> = message
        .decisions
        .iter()
        .map(|decision| {
            json!({
                "action": decision.action,
                "who": decision.who,
                "reason": decision.reason,
                "overruled": decision.overruled,
                "decided_at": decision.at.to_string(),
            })
        })
        .collect();
    json!({
        "id": message.id,
        "disposition": message.disposition.as_str(),
        "dismissed_at": message.dismissed_at.map(|at| at.to_string()),
        "mailbox": message.origin.mailbox(),
        "found_in": place(&message.origin),
        "copies": message.copies.iter().map(place).collect::<Vec<_>>(),
        "received_at": message.received_at.to_string(),
        "internal_date": message.internal_date.map(|at| at.to_string()),
        "from": message.from,
        "subject": message.subject,
        "source": message.file.map_or("mail", FileKind::as_str),
        "size": message.size,
        "kept_bytes": message.raw.as_ref().map_or(0, Vec::len),
        "sha256": message.sha256,
        "company": message
            .company
            .as_ref()
            .map(|(ban, source)| json!({ "ban": ban.as_str(), "source": source })),
        "waiting": message.wait.as_ref().map(wait),
        "authenticity": {
            "result": result,
            "detail": detail,
            "method": method,
            "domain": domain,
            "selector": selector,
            "algorithm": algorithm,
            "key": key,
            "signed_fields": signed_fields,
            "judged_at": judged_at,
        },
        "defects": defects,
        "warnings": message.warnings.iter().map(reason).collect::<Vec<_>>(),
        "decisions": decisions,
    })
}

pub(super) fn page(message: &StoredMessage, language: Language) -> Result<String, fmt::Error> {
    let mut text = String::new();
    writeln!(text, "{}\n", headline(message))?;

    let mut fact = |label: &str, value: &str| writeln!(text, "  {} {value}", pad(label, LABEL));
    fact("位置 found in", &place(&message.origin))?;
    for copy in &message.copies {
        fact("也在 also in", &place(copy))?;
    }
    let subject = one_line(&message.subject, WORDS);
    if let Some(kind) = message.file {
        let what = match kind {
            FileKind::Csv => "a row of the platform's CSV 平台字軌檔的一列",
            FileKind::E0501 => "a range of an E0501 file 平台 E0501 檔的一段",
        };
        fact("種類 what", what)?;
        fact("號碼 numbers", &subject)?;
    } else {
        let from = message
            .from
            .as_deref()
            .unwrap_or("(not exactly one address)");
        fact("寄件人 from", &one_line(from, WORDS))?;
        fact("主旨 subject", &subject)?;
    }
    if let Some(at) = message.internal_date {
        fact("信件時間 dated", &format!("{} (UTC+8)", taipei_minute(at)))?;
    }
    let received = taipei_minute(message.received_at);
    fact("發現時間 found", &format!("{received} (UTC+8)"))?;
    fact("大小 size", &size(message))?;
    if let Some((ban, source)) = &message.company {
        fact("統編 company", &format!("{ban}, told by {source}"))?;
    }
    // As long as it is, it stays on one line, to be copied.
    writeln!(text, "  SHA-256  {}", message.sha256)?;

    if let Some(wait) = &message.wait {
        waits(&mut text, message.id, wait)?;
    }
    writeln!(text, "\n來源證明 proof of origin")?;
    let whole = format!(
        "all of it: `invoice-trackd quarantine show {} --json`",
        message.id
    );
    Facts::kept(&message.evidence).write(&mut text, &whole)?;

    if !message.defects.is_empty() {
        writeln!(text, "\n問題 what was wrong with it")?;
    }
    for same in message.defects.chunk_by(|a, b| a.code == b.code) {
        wrong(&mut text, same, language)?;
        if message.disposition == Disposition::Quarantined {
            what_then(&mut text, same, language)?;
        }
    }
    if !message.warnings.is_empty() {
        writeln!(text, "\n注意 please note")?;
    }
    for warning in &message.warnings {
        let detail = one_line(told(warning, language), WORDS);
        writeln!(text, "  {}: {detail}", one_line(&warning.code, 40))?;
    }
    if !message.decisions.is_empty() {
        writeln!(text, "\n決定 decided")?;
    }
    for decision in &message.decisions {
        let DecisionRow {
            action,
            who,
            reason,
            overruled,
            at,
        } = decision;
        let (at, who) = (taipei_minute(*at), one_line(who, 60));
        writeln!(
            text,
            "  {at}  {action} by {who}: {}",
            one_line(reason, WORDS)
        )?;
        if !overruled.is_empty() {
            writeln!(
                text,
                "  {}overruled {}",
                " ".repeat(18),
                overruled.join(", ")
            )?;
        }
    }
    commands(&mut text, message)?;
    Ok(text)
}

fn headline(message: &StoredMessage) -> String {
    let mut codes: Vec<&str> = message.defects.iter().map(|d| d.code.as_str()).collect();
    codes.dedup();
    let last = message.decisions.last();
    let by = last.map_or_else(String::new, |decision| {
        format!(" by {}", one_line(&decision.who, 60))
    });
    let id = message.id;
    match (message.disposition, message.dismissed_at) {
        (Disposition::Quarantined, None) => {
            format!(
                "message {id} waits for a decision 等待處理: {}",
                codes.join(", ")
            )
        }
        (Disposition::Quarantined, Some(at)) => {
            let at = taipei_minute(at);
            format!("message {id} was dismissed 已捨棄{by} at {at} (UTC+8)")
        }
        (Disposition::Waiting, _) => {
            format!("message {id} waits for a resolver (DNS) to answer 等候 DNS 回應")
        }
        (other, _) if last.is_some() => format!("message {id} was released 已放行{by}: {other}"),
        (other, _) => format!("message {id} waits for nobody 不需處理: {other}"),
    }
}

/// Since when and why it waits, and that nobody need do anything for it.
fn waits(text: &mut String, id: i64, wait: &Wait) -> fmt::Result {
    let Wait {
        since,
        asked,
        asked_at,
        next_ask_at,
        words,
    } = wait;
    let asked = match asked {
        1 => "once".to_owned(),
        asked => format!("{asked} times"),
    };
    let [since, asked_at, next] = [since, asked_at, next_ask_at].map(|at| taipei_minute(*at));
    writeln!(text, "\n等候 DNS waits for a resolver")?;
    for (label, value) in [
        ("開始 since", format!("{since} (UTC+8)")),
        ("已問 asked", format!("{asked}, last at {asked_at} (UTC+8)")),
        ("下次 next", format!("{next} (UTC+8)")),
        ("原因 why", one_line(words, WORDS)),
    ] {
        writeln!(text, "  {} {value}", pad(label, LABEL))?;
    }
    writeln!(
        text,
        "  it is asked about again until somebody answers, and then judged as if it had just come\n  \
         會一直重問，有回應就照常判斷，不需要人工處理\n  \
         put aside 捨棄   invoice-trackd quarantine dismiss {id} --reason TEXT"
    )
}

fn size(message: &StoredMessage) -> String {
    let size = message.size;
    match message.raw.as_ref().map(Vec::len) {
        None => format!("{size} bytes, none kept"),
        Some(kept) if u64::try_from(kept) == Ok(size) => format!("{size} bytes, all kept"),
        Some(kept) => format!("{size} bytes, {kept} kept"),
    }
}

/// Whether a person may overrule a defect.
#[derive(Clone, Copy)]
enum May {
    Yes,
    WithBan,
    No,
}

impl May {
    /// The stable word.
    fn word(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::WithBan => "with --ban",
            Self::No => "no",
        }
    }
}

/// `None` for a code of a later version.
fn overrulable(code: &str) -> Option<May> {
    code.parse().ok().map(|code: DefectCode| match code {
        DefectCode::UnknownCompany => May::WithBan,
        code if code.is_overrulable() => May::Yes,
        _ => May::No,
    })
}

/// The defects of one code: what was found.
fn wrong(text: &mut String, same: &[Reason], language: Language) -> fmt::Result {
    let code = same.first().map_or("", |reason| reason.code.as_str());
    writeln!(text, "  ✗ {}", one_line(code, 40))?;
    for reason in same {
        writeln!(text, "    {}", one_line(told(reason, language), 300))?;
    }
    Ok(())
}

/// Whether these may be overruled, and what to do about them.
fn what_then(text: &mut String, same: &[Reason], language: Language) -> fmt::Result {
    let code = same.first().map_or("", |reason| reason.code.as_str());
    if let Some(may) = overrulable(code) {
        let may = match may {
            May::Yes => "yes 可以",
            May::WithBan => "with --ban 要用 --ban 指明統一編號",
            May::No => "no 不可以",
        };
        writeln!(text, "    可否放行 may be overruled: {may}")?;
    }
    if let Ok(code) = code.parse() {
        let (_, remedy) = compose::explained(code, language);
        writeln!(text, "    處理 do: {remedy}")?;
    }
    Ok(())
}

fn told(reason: &Reason, language: Language) -> &str {
    match language {
        Language::ZhTw => &reason.detail_zh,
        Language::En => &reason.detail,
    }
}

/// What can be done about it now.
fn commands(text: &mut String, message: &StoredMessage) -> fmt::Result {
    if message.disposition != Disposition::Quarantined {
        return Ok(());
    }
    let id = message.id;
    let may = |reason: &Reason| overrulable(&reason.code);
    let says_no = |reason: &Reason| matches!(may(reason), Some(May::No) | None);
    let wants_ban = |reason: &Reason| matches!(may(reason), Some(May::WithBan));
    writeln!(text, "\n接下來 what to do")?;
    if message.defects.iter().any(says_no) {
        writeln!(
            text,
            "  cannot be released as things stand: first do what is said above 目前不能放行，請先照上面的「處理」辦理"
        )?;
    }
    let ban = match message.defects.iter().any(wants_ban) {
        true => " --ban BAN",
        false => "",
    };
    writeln!(
        text,
        "  record it 放行   invoice-trackd quarantine release {id}{ban} --reason TEXT"
    )?;
    if message.dismissed_at.is_none() {
        writeln!(
            text,
            "  put aside 捨棄   invoice-trackd quarantine dismiss {id} --reason TEXT"
        )?;
    }
    if message.raw.is_some() {
        // Where there are several mailboxes, it matters in which it was found.
        let mailbox = match message.origin.mailbox() {
            Some(name)
                if name
                    .chars()
                    .all(|c| c.is_alphanumeric() || "-_.".contains(c)) =>
            {
                format!("--mailbox {name} ")
            }
            _ => String::new(),
        };
        writeln!(
            text,
            "  look at it 查看  invoice-trackd quarantine show {id} --raw"
        )?;
        if message.file.is_none() {
            writeln!(
                text,
                "  judge it, rule by rule 逐條看\n    \
                 invoice-trackd quarantine show {id} --raw | invoice-trackd explain {mailbox}-"
            )?;
        }
    }
    Ok(())
}

/// Where it was found, for a person who looks for it.
fn place(origin: &Origin) -> String {
    match origin {
        Origin::Imap {
            mailbox,
            uidvalidity,
            uid,
        } => format!(
            "{} (UID {uid}, UIDVALIDITY {uidvalidity})",
            one_line(mailbox, WORDS)
        ),
        Origin::Maildir { mailbox, file } => {
            format!("{} ({})", one_line(mailbox, WORDS), one_line(file, WORDS))
        }
        Origin::File { path } => one_line(path, WORDS),
    }
}
