//! The mail that asks a person to act: about one thing in full, or about many in a table. One that
//! brings good news alone asks for nothing.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{
    super::{Language, Style},
    letter::Draft,
    meaning,
    table::columns,
};
use crate::{
    ledger::{Cause, FoundIn, Kind, Letter, Pending, Quarantined, Reason},
    notice::DefectCode,
    stranger::one_line,
};

mod digest;
mod due;
mod handoff;
mod quarantined;
mod resolver;
mod row;
mod trouble;

/// Stands where a quarantined mail has its codes.
const UNDELIVERED: &str = "delivery_failed";

/// As [`UNDELIVERED`].
const UNREACHABLE: &str = "mailbox_unreachable";

/// As [`UNDELIVERED`].
const BACK: &str = "mailbox_back";

/// As [`UNDELIVERED`].
const UNANSWERED: &str = "resolver_unreachable";

/// As [`UNDELIVERED`].
const ANSWERED: &str = "resolver_back";

/// As [`UNDELIVERED`].
const HANDOFF_FAILED: &str = "handoff_failed";

/// As [`UNDELIVERED`].
const HANDOFF_FAILING: &str = "handoff_failing";

/// As [`UNDELIVERED`].
const HANDOFF_STOPPED: &str = "handoff_stopped";

/// As [`UNDELIVERED`].
const HANDOFF_BACK: &str = "handoff_back";

/// As [`UNDELIVERED`].
const REMINDER: &str = "notice_reminder";

/// As [`UNDELIVERED`].
const OVERDUE: &str = "notice_overdue";

/// As [`UNDELIVERED`].
const ARRIVED: &str = "notice_arrived";

pub(super) fn compose(alerts: &[Pending<Cause>], style: &Style, now: Timestamp) -> Option<Letter> {
    let language = style.language;
    let (subject, text) = match alerts {
        [] => return None,
        [alert] => (subject(alert, language), single(alert, language)),
        several if several.iter().all(|alert| due::is_due(&alert.cause)) => {
            let dues = due::Dues::of(several);
            (dues.subject(language), dues.text(language))
        }
        several => (
            digest::subject(several, language),
            digest::text(several, language),
        ),
    };
    let draft = Draft {
        kind: Kind::Alert,
        about: alerts.iter().map(|alert| alert.key.clone()).collect(),
        subject,
        text,
        attachment: None,
    };
    draft.address(&style.from, &style.alert_to, now)
}

fn subject(alert: &Pending<Cause>, language: Language) -> String {
    match &alert.cause {
        Cause::Quarantined(quarantined) if quarantined.is_row => {
            row::subject(quarantined, language)
        }
        Cause::Quarantined(Quarantined {
            found_in, defects, ..
        }) => {
            let what = what(defects, language);
            let place = place(found_in);
            let subject = if is_only_claimed(defects) {
                language.pick(
                    "一封自稱配號通知的信",
                    "a mail that claims to be an allocation notice",
                )
            } else {
                language.pick("配號通知未匯入", "allocation notice not imported")
            };
            language.pick(
                format!("需要處理：{subject}，{what}（{place}）"),
                format!("Action needed: {subject}: {what} ({place})"),
            )
        }
        Cause::DeliveryFailed { .. } if let Some(handoff) = given_up(&alert.cause) => {
            handoff.subject(language)
        }
        Cause::DeliveryFailed { kind, subject, .. } => {
            let subject = one_line(subject, 80);
            let what = trouble::name(*kind, language);
            language.pick(
                format!("需要處理：{what}未送達「{subject}」"),
                format!("Action needed: {what} not delivered: {subject}"),
            )
        }
        Cause::MailboxUnreachable { mailbox, .. } => {
            let mailbox = one_line(mailbox, 60);
            language.pick(
                format!("需要處理：信箱沒有回應（{mailbox}）"),
                format!("Action needed: mailbox does not answer ({mailbox})"),
            )
        }
        Cause::MailboxBack { mailbox, .. } => {
            let mailbox = one_line(mailbox, 60);
            language.pick(
                format!("已恢復：信箱有回應了（{mailbox}）"),
                format!("Resolved: mailbox answers again ({mailbox})"),
            )
        }
        Cause::ResolverUnreachable { mails, .. } => language.pick(
            format!("需要處理：DNS 沒有回應，{mails} 封信等候判斷"),
            format!("Action needed: DNS does not answer, mails waiting: {mails}"),
        ),
        Cause::ResolverBack { .. } => language
            .pick("已恢復：DNS 有回應了", "Resolved: DNS answers again")
            .to_owned(),
        Cause::HandoffFailing {
            target,
            waiting,
            since,
            words,
        } => failing(target, *waiting, *since, words).subject(language),
        Cause::HandoffStopped { target, .. } => handoff::stopped_subject(target, language),
        Cause::HandoffBack { target, .. } => handoff::back_subject(target, language),
        Cause::NoticeReminder(_) | Cause::NoticeOverdue(_) | Cause::NoticeArrived(_) => {
            due::Dues::of(std::slice::from_ref(alert)).subject(language)
        }
    }
}

fn single(alert: &Pending<Cause>, language: Language) -> String {
    let at = alert.raised_at;
    match &alert.cause {
        Cause::Quarantined(row) if row.is_row => row::text(row, at, language),
        Cause::Quarantined(mail) => quarantined::text(mail, at, language),
        Cause::DeliveryFailed { .. } if let Some(handoff) = given_up(&alert.cause) => {
            handoff.text(at, language)
        }
        Cause::DeliveryFailed {
            outbox_id,
            kind,
            subject,
            recipients,
            answer,
        } => {
            let letter = trouble::Undelivered {
                outbox_id: *outbox_id,
                kind: *kind,
                subject,
                recipients,
                answer,
            };
            letter.text(at, language)
        }
        Cause::MailboxUnreachable {
            mailbox,
            last_ok_at,
            trouble,
        } => trouble::unreachable(mailbox, *last_ok_at, trouble.as_deref(), at, language),
        Cause::MailboxBack {
            mailbox,
            alarmed_at,
        } => trouble::back(mailbox, *alarmed_at, at, language),
        Cause::ResolverUnreachable {
            mails,
            since,
            words,
            resolvers,
        } => {
            let silence = resolver::Silence {
                mails: *mails,
                since: *since,
                words,
                resolvers,
            };
            silence.text(at, language)
        }
        Cause::ResolverBack { alarmed_at } => resolver::back(*alarmed_at, at, language),
        Cause::HandoffFailing {
            target,
            waiting,
            since,
            words,
        } => failing(target, *waiting, *since, words).text(at, language),
        Cause::HandoffStopped {
            target,
            waiting,
            at,
        } => handoff::stopped(target, *waiting, *at, language),
        Cause::HandoffBack { target, alarmed_at } => {
            handoff::back(target, *alarmed_at, at, language)
        }
        Cause::NoticeReminder(_) | Cause::NoticeOverdue(_) | Cause::NoticeArrived(_) => {
            due::Dues::of(std::slice::from_ref(alert)).text(language)
        }
    }
}

fn failing<'a>(
    target: &'a str,
    waiting: u64,
    since: Timestamp,
    words: &'a str,
) -> handoff::Failing<'a> {
    handoff::Failing {
        target,
        waiting,
        since,
        words,
    }
}

/// The hand-off that was given up, where that is what happened.
fn given_up(cause: &Cause) -> Option<handoff::Undelivered<'_>> {
    match cause {
        Cause::DeliveryFailed {
            outbox_id,
            kind: Kind::Handoff,
            subject,
            recipients,
            answer,
        } => Some(handoff::Undelivered {
            outbox_id: *outbox_id,
            target: recipients.first().map_or("", String::as_str),
            subject,
            answer,
        }),
        _ => None,
    }
}

/// Whether a mail is a notice by its own word alone: what is wrong with it is what forgeries have.
fn is_only_claimed(defects: &[Reason]) -> bool {
    defects.iter().any(|reason| {
        matches!(
            reason.code.parse(),
            Ok(DefectCode::SenderNotAllowed
                | DefectCode::NotAuthenticated
                | DefectCode::AmbiguousHeader)
        )
    })
}

/// The first defect in words, and how many there are.
fn what(defects: &[Reason], language: Language) -> String {
    let Some(Reason { code, .. }) = defects.first() else {
        return language.pick("原因不明", "no reason given").to_owned();
    };
    let first = code.parse().map_or_else(
        |_| one_line(code, 40),
        |code| meaning::defect(code, language).what.to_owned(),
    );
    match defects.len() {
        1 => first,
        count => language.pick(
            format!("{first}等 {count} 項"),
            format!("{first}, and {} more", count - 1),
        ),
    }
}

/// The first code, and how many there are.
pub(super) fn codes(defects: &[Reason], language: Language) -> String {
    let first = defects.first().map(|reason| one_line(&reason.code, 40));
    match (first, defects.len()) {
        (None, _) => language.pick("原因不明", "no reason given").to_owned(),
        (Some(code), 1) => code,
        (Some(code), count) => language.pick(
            format!("{code} 等 {count} 項"),
            format!("{code} and {} more", count - 1),
        ),
    }
}

/// Where there is little room: the mailbox, or the file without its directories.
pub(super) fn place(found_in: &FoundIn) -> String {
    let name = match found_in {
        FoundIn::Mailbox(name) => name,
        FoundIn::File(path) => path.rsplit('/').next().unwrap_or(path),
    };
    one_line(name, 60)
}

/// Counts each code of one mail once.
pub(super) fn count_codes(defects: &[Reason], tally: &mut BTreeMap<String, usize>) {
    for code in BTreeSet::from_iter(defects.iter().map(|reason| &reason.code)) {
        *tally.entry(one_line(code, 40)).or_default() += 1;
    }
}

/// How often what happened, in words.
pub(super) fn tallied(tally: BTreeMap<String, usize>, language: Language) -> String {
    let rows: Vec<Vec<String>> = tally
        .into_iter()
        .map(|(why, count)| {
            let what = in_words(&why, language).to_owned();
            vec![count.to_string(), why, what]
        })
        .collect();
    columns(&rows, &[0])
}

/// What a line of the tally is about.
fn in_words(why: &str, language: Language) -> &'static str {
    match why {
        UNDELIVERED => language.pick("寄出的信沒有送達", "a mail of ours was not delivered"),
        UNREACHABLE => language.pick("信箱沒有回應", "a mailbox does not answer"),
        BACK => language.pick("信箱已恢復", "a mailbox answers again"),
        UNANSWERED => language.pick("DNS 沒有回應", "DNS does not answer"),
        ANSWERED => language.pick("DNS 已恢復", "DNS answers again"),
        HANDOFF_FAILED => language.pick("字軌沒有交付，已不再重試", "a hand-off was given up"),
        HANDOFF_FAILING => language.pick("系統收不到字軌", "a system takes no numbers"),
        HANDOFF_STOPPED => language.pick("系統不再收字軌", "a system wants no more numbers"),
        HANDOFF_BACK => language.pick("系統又收得到字軌", "a system takes numbers again"),
        REMINDER => language.pick(
            "可以改下期本數的公司",
            "companies whose booklets can be changed",
        ),
        OVERDUE => language.pick(
            "配號通知逾期未到的公司",
            "companies whose allocation notice is overdue",
        ),
        ARRIVED => language.pick(
            "逾期的配號到了的公司",
            "companies whose overdue numbers have come",
        ),
        code => code
            .parse()
            .map_or("", |code| meaning::defect(code, language).what),
    }
}
