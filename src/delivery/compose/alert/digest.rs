//! Many alerts in one letter: a table, a tally, and what to do.
//!
//! Guarantee: what is due stands below in full, as in a letter of its own: a line of the table
//! would not say whose numbers are missing.

use std::collections::BTreeMap;

use super::{
    super::{super::Language, table::columns},
    ANSWERED, ARRIVED, BACK, HANDOFF_BACK, HANDOFF_FAILED, HANDOFF_FAILING, HANDOFF_STOPPED,
    OVERDUE, REMINDER, UNANSWERED, UNDELIVERED, UNREACHABLE, codes, count_codes,
    due::{self, Dues},
    is_only_claimed, place, tallied,
};
use crate::{
    clock::taipei_minute,
    ledger::{Cause, Kind, Pending, Quarantined},
    stranger::one_line,
};

/// So many alerts stand here by themselves; the rest are counted.
const ROWS: usize = 50;

/// What waits for a person, by what kind of thing it is, and what has passed.
#[derive(Default)]
struct Counts {
    claimed: usize,
    quarantined: usize,
    /// Rows of files that were not recorded.
    rows: usize,
    undelivered: usize,
    /// Hand-offs that were given up.
    not_handed: usize,
    /// Systems that take nothing.
    failing: Vec<String>,
    /// Systems that want nothing any more.
    stopped: Vec<String>,
    /// Systems that take what they are handed again.
    taking: Vec<String>,
    /// Mailboxes that do not answer.
    unreachable: Vec<String>,
    /// Mailboxes that answer again.
    back: Vec<String>,
    /// Whether the resolver answers again; `None` where nothing is said of it.
    resolver: Option<bool>,
    /// What is due.
    dues: Dues,
}

impl Counts {
    fn of(alerts: &[Pending<Cause>]) -> Self {
        let mut counts = Self {
            dues: Dues::of(alerts),
            ..Self::default()
        };
        // From the end: how a mailbox or the resolver stands is what was said of it last.
        for alert in alerts.iter().rev() {
            match &alert.cause {
                Cause::Quarantined(Quarantined { is_row: true, .. }) => counts.rows += 1,
                Cause::Quarantined(Quarantined { defects, .. }) if is_only_claimed(defects) => {
                    counts.claimed += 1;
                }
                Cause::Quarantined(_) => counts.quarantined += 1,
                Cause::DeliveryFailed {
                    kind: Kind::Handoff,
                    ..
                } => counts.not_handed += 1,
                Cause::DeliveryFailed { .. } => counts.undelivered += 1,
                Cause::MailboxUnreachable { mailbox, .. } => {
                    if !counts.back.contains(mailbox) && !counts.unreachable.contains(mailbox) {
                        counts.unreachable.push(mailbox.clone());
                    }
                }
                Cause::MailboxBack { mailbox, .. } => {
                    if !counts.back.contains(mailbox) && !counts.unreachable.contains(mailbox) {
                        counts.back.push(mailbox.clone());
                    }
                }
                Cause::ResolverUnreachable { .. } => _ = counts.resolver.get_or_insert(false),
                Cause::ResolverBack { .. } => _ = counts.resolver.get_or_insert(true),
                Cause::HandoffFailing { target, .. } if !counts.knows(target) => {
                    counts.failing.push(target.clone());
                }
                Cause::HandoffStopped { target, .. } if !counts.knows(target) => {
                    counts.stopped.push(target.clone());
                }
                Cause::HandoffBack { target, .. } if !counts.knows(target) => {
                    counts.taking.push(target.clone());
                }
                Cause::HandoffFailing { .. }
                | Cause::HandoffStopped { .. }
                | Cause::HandoffBack { .. }
                | Cause::NoticeReminder(_)
                | Cause::NoticeOverdue(_)
                | Cause::NoticeArrived(_) => {}
            }
        }
        counts.back.sort_unstable();
        counts.taking.sort_unstable();
        counts
    }

    /// Whether it was said already how this system stands.
    fn knows(&self, target: &String) -> bool {
        [&self.failing, &self.stopped, &self.taking]
            .iter()
            .any(|systems| systems.contains(target))
    }

    /// How much waits for a person.
    fn open(&self) -> usize {
        self.claimed
            + self.quarantined
            + self.rows
            + self.undelivered
            + self.not_handed
            + self.failing.len()
            + self.stopped.len()
            + self.unreachable.len()
            + usize::from(self.is_unanswered())
            + self.dues.overdue()
    }

    /// Whether the resolver does not answer.
    fn is_unanswered(&self) -> bool {
        self.resolver == Some(false)
    }

    /// Which systems take numbers again; empty where none does.
    fn taking(&self, language: Language) -> String {
        one_line(&self.taking.join(language.pick("、", ", ")), 120)
    }

    /// Who answers again; empty where nobody does.
    fn answering(&self, language: Language) -> String {
        let mailboxes = one_line(&self.back.join(language.pick("、", ", ")), 120);
        match (self.back.is_empty(), self.resolver == Some(true)) {
            (true, true) => "DNS".to_owned(),
            (false, true) => {
                language.pick(format!("DNS、{mailboxes}"), format!("DNS, {mailboxes}"))
            }
            (_, false) => mailboxes,
        }
    }
}

pub(super) fn subject(alerts: &[Pending<Cause>], language: Language) -> String {
    let counts = Counts::of(alerts);
    if counts.open() == 0 {
        let answering = counts.answering(language);
        let what = match counts.resolver {
            Some(_) => "",
            None => "信箱",
        };
        if counts.dues.reminds() {
            return counts.dues.subject(language);
        }
        let come = match counts.dues.arrived() {
            0 => String::new(),
            come => language.pick(
                format!("，逾期的配號到了（{come} 家公司）"),
                format!("; companies whose overdue numbers have come: {come}"),
            ),
        };
        let (taking, mut good) = (counts.taking(language), Vec::new());
        if !answering.is_empty() {
            good.push(language.pick(
                format!("{what}有回應了（{answering}）"),
                format!("answering again: {answering}"),
            ));
        }
        if !taking.is_empty() {
            good.push(language.pick(
                format!("{taking} 收得到字軌了"),
                format!("taking numbers again: {taking}"),
            ));
        }
        let good = good.join(language.pick("，", "; "));
        return language.pick(
            format!("已恢復：{good}{come}"),
            format!("Resolved: {good}{come}"),
        );
    }
    let parts: Vec<String> = [
        (
            counts.dues.overdue(),
            language.pick(
                ("配號通知逾期未到", "家公司"),
                ("companies whose notice is overdue", ""),
            ),
        ),
        (
            counts.claimed,
            language.pick(
                ("自稱配號通知的信", "封"),
                ("mails that claim to be allocation notices", ""),
            ),
        ),
        (
            counts.quarantined,
            language.pick(
                ("配號通知未匯入", "封"),
                ("allocation notices not imported", ""),
            ),
        ),
        (
            counts.rows,
            language.pick(
                ("檔案裡未匯入的號碼", "列"),
                ("lines of files not imported", ""),
            ),
        ),
        (
            counts.undelivered,
            language.pick(("寄出的信未送達", "封"), ("mails not delivered", "")),
        ),
        (
            counts.not_handed,
            language.pick(("字軌沒有交付", "批"), ("hand-offs given up", "")),
        ),
        (
            counts.failing.len(),
            language.pick(
                ("交付不到字軌的系統", "套"),
                ("systems that take no numbers", ""),
            ),
        ),
        (
            counts.stopped.len(),
            language.pick(
                ("不再收字軌的系統", "套"),
                ("systems that want no more numbers", ""),
            ),
        ),
        (
            counts.unreachable.len(),
            language.pick(
                ("沒有回應的信箱", "個"),
                ("mailboxes that do not answer", ""),
            ),
        ),
        (
            usize::from(counts.is_unanswered()),
            language.pick(("DNS 沒有回應", "件"), ("resolvers that do not answer", "")),
        ),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, (what, unit))| {
        language.pick(format!("{what} {count} {unit}"), format!("{what}: {count}"))
    })
    .collect();
    language.pick(
        format!("需要處理：{}", parts.join("，")),
        format!("Action needed: {}", parts.join(", ")),
    )
}

pub(super) fn text(alerts: &[Pending<Cause>], language: Language) -> String {
    let counts = Counts::of(alerts);
    let mut text = opening(&counts, language);
    let head = language.pick(
        ["編號", "時間", "來源", "原因", "主旨"],
        ["Id", "Time (UTC+8)", "Where", "Why", "Subject"],
    );
    let rows = alerts.iter().take(ROWS).map(|alert| row(alert, language));
    let head = head.map(str::to_owned).to_vec();
    text.push_str(&columns(
        &Vec::from_iter(std::iter::once(head).chain(rows)),
        &[0],
    ));
    if let Some(more) = alerts.len().checked_sub(ROWS).filter(|more| *more > 0) {
        text.push_str(&language.pick(
            format!("\n  另有 {more} 件沒有列出，已計入下面的統計。\n"),
            format!("\n  and {more} more, which are counted below.\n"),
        ));
    }
    text.push_str(language.pick("\n統計\n", "\nIn all\n"));
    text.push_str(&tallied(tally(alerts, language), language));
    text.push_str(&next_steps(&counts, language));
    text.push_str(&counts.dues.below(language));
    text
}

fn opening(counts: &Counts, language: Language) -> String {
    let (open, answering) = (counts.open(), counts.answering(language));
    let taking = counts.taking(language);
    let mut text = String::new();
    if open > 0 {
        text.push_str(&language.pick(
            format!("{open} 件事需要處理。"),
            format!("{open} things need a person."),
        ));
    }
    if counts.claimed + counts.quarantined > 0 {
        text.push_str(language.pick(
            "被隔離的信，裡面的號碼一個都沒有記入帳本。",
            " Of a mail in quarantine, no number is recorded.",
        ));
    }
    if counts.rows > 0 {
        text.push_str(language.pick(
            "檔案裡被隔離的列沒有記入帳本，其他列不受影響。",
            "\nOf a file, the lines in quarantine are not recorded; its other lines are not affected.",
        ));
    }
    if open > 0 && !answering.is_empty() {
        text.push('\n');
    }
    if !answering.is_empty() {
        let what = match counts.resolver {
            Some(true) => "",
            _ => "信箱",
        };
        text.push_str(&language.pick(
            format!("{what}恢復回應了：{answering}。"),
            format!("Answering again: {answering}."),
        ));
    }
    if !counts.back.is_empty() {
        text.push_str(language.pick(
            "這段時間寄到的信會自動補抓。",
            " What came meanwhile is fetched by itself.",
        ));
    }
    if !taking.is_empty() {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&language.pick(
            format!("{taking} 收得到字軌了，等候的會自動交付。"),
            format!("Taking numbers again: {taking}. What waited is handed over by itself."),
        ));
    }
    text.push_str("\n\n");
    text
}

/// Nothing where nothing waits.
fn next_steps(counts: &Counts, language: Language) -> String {
    let mut steps: Vec<&str> = Vec::new();
    if counts.dues.overdue() > 0 {
        steps.push(language.pick(
            "逾期未到的配號通知：怎麼處理，見下面的說明。",
            "Notices that are overdue: what to do stands below.",
        ));
    }
    if counts.claimed + counts.quarantined > 0 {
        steps.extend(language.pick(
            [
                "`invoice-trackd quarantine list` 列出等待處理的信；\n     `invoice-trackd quarantine show 編號` 看其中一封判斷的理由和處理方式。",
                "登入平台核對字軌；查明之前不要載入這些號碼，也不要點信裡的連結。",
                "逐封放行或捨棄：`invoice-trackd quarantine release 編號 --reason 原因`、\n     `invoice-trackd quarantine dismiss 編號 --reason 原因`；\n     同一種原因可用 `--all --code 代碼` 一次處理，先加 `--dry-run` 試跑。",
            ],
            [
                "`invoice-trackd quarantine list` shows what waits; `invoice-trackd quarantine show ID`\n     shows why one of them does, and what to do.",
                "Log in to the platform and compare. Until then load none of these numbers, and do\n     not follow links in those mails.",
                "Decide about each: `invoice-trackd quarantine release ID --reason TEXT` or\n     `invoice-trackd quarantine dismiss ID --reason TEXT`; `--all --code CODE` is for all with\n     one cause, and `--dry-run` tries it out.",
            ],
        ));
    }
    if counts.rows > 0 {
        steps.push(language.pick(
            "檔案裡未匯入的列：`invoice-trackd quarantine show 編號` 看理由，登入平台核對；正確的用\n     `invoice-trackd quarantine release 編號 --reason 原因` 放行，\n     不對的用 `invoice-trackd quarantine dismiss 編號 --reason 原因` 捨棄。",
            "Lines of a file that were not imported: `invoice-trackd quarantine show ID` shows why.\n     Compare with the platform, then `invoice-trackd quarantine release ID --reason TEXT` those\n     that are right and `invoice-trackd quarantine dismiss ID --reason TEXT` the others.",
        ));
    }
    if counts.undelivered > 0 {
        steps.push(language.pick(
            "沒有送達的信：用其他方式告知收件人；地址能收信之後，用\n     `invoice-trackd outbox retry 編號` 再寄，地址寫錯的用 `invoice-trackd outbox drop 編號` 取消。",
            "What was not delivered: tell its readers in another way. Once the address takes mail,\n     `invoice-trackd outbox retry ID` sends it again; `invoice-trackd outbox drop ID` ends it\n     where the address is wrong.",
        ));
    }
    if counts.not_handed > 0 {
        steps.push(language.pick(
            "沒有交付的字軌：系統收得到之後，用 `invoice-trackd outbox retry 編號` 再交付；\n     已自己處理的用 `invoice-trackd outbox drop 編號` 取消；撤回沒通知到的，先請人停用那段號碼。",
            "Hand-offs that were given up: once the system can be reached,\n     `invoice-trackd outbox retry ID` hands it over again; `invoice-trackd outbox drop ID` ends it\n     where you have seen to it yourself. Of a withdrawal tell them in another way, now.",
        ));
    }
    if !counts.failing.is_empty() {
        steps.push(language.pick(
            "交付不到字軌的系統：執行 `invoice-trackd check --online`，看卡在哪一步、該怎麼處理。",
            "A system that takes no numbers: `invoice-trackd check --online` shows which step fails\n     and what to do about it.",
        ));
    }
    if !counts.stopped.is_empty() {
        steps.push(language.pick(
            "不再收字軌的系統：問負責的人是不是換了網址；改好設定並 reload 之後，用\n     `invoice-trackd outbox retry 編號` 恢復。",
            "A system that wants no more: ask whoever runs it whether the address has changed. Once\n     it is corrected and reloaded, `invoice-trackd outbox retry ID` goes on with it.",
        ));
    }
    if !counts.unreachable.is_empty() {
        steps.push(language.pick(
            "沒有回應的信箱：執行 `invoice-trackd check --online`，看卡在哪一步、該怎麼處理。",
            "A mailbox that does not answer: `invoice-trackd check --online` shows which step fails\n     and what to do about it.",
        ));
    }
    if counts.is_unanswered() {
        steps.push(language.pick(
            "DNS 沒有回應：執行 `invoice-trackd check --online`，看是哪一台、該怎麼處理；恢復後會自動判斷等候的信。",
            "DNS that does not answer: `invoice-trackd check --online` shows which server fails and\n     what to do about it. What waits for it is judged by itself once it is back.",
        ));
    }
    if steps.is_empty() && !counts.dues.is_empty() {
        return String::new();
    }
    if steps.is_empty() {
        return language
            .pick("\n不需要做任何事。\n", "\nThere is nothing to do.\n")
            .to_owned();
    }
    let mut text = language
        .pick("\n接下來\n", "\nWhat to do next\n")
        .to_owned();
    for (number, step) in (1..).zip(steps) {
        text.push_str(&format!("  {number}. {step}\n"));
    }
    text
}

fn row(alert: &Pending<Cause>, language: Language) -> Vec<String> {
    let time = taipei_minute(alert.raised_at);
    match &alert.cause {
        Cause::Quarantined(Quarantined {
            message_id,
            found_in,
            subject,
            defects,
            is_row,
            ..
        }) => vec![
            message_id.to_string(),
            time,
            place(found_in),
            codes(defects, language),
            one_line(subject, if *is_row { 40 } else { 24 }),
        ],
        Cause::DeliveryFailed {
            outbox_id,
            kind,
            subject,
            recipients,
            ..
        } => {
            let (place, about) = match kind {
                Kind::Handoff => (
                    one_line(&recipients.join(", "), 40),
                    // Its first word is the event's.
                    subject.split_once(' ').map_or("", |(_, numbers)| numbers),
                ),
                _ => (language.pick("寄件", "outbox").to_owned(), subject.as_str()),
            };
            vec![
                outbox_id.to_string(),
                time,
                place,
                word(&alert.cause).to_owned(),
                one_line(about, if *kind == Kind::Handoff { 40 } else { 24 }),
            ]
        }
        Cause::MailboxUnreachable {
            mailbox, trouble, ..
        } => vec![
            String::new(),
            time,
            one_line(mailbox, 40),
            UNREACHABLE.to_owned(),
            one_line(trouble.as_deref().unwrap_or_default(), 40),
        ],
        Cause::MailboxBack { mailbox, .. } => vec![
            String::new(),
            time,
            one_line(mailbox, 40),
            BACK.to_owned(),
            String::new(),
        ],
        Cause::ResolverUnreachable { words, .. } => vec![
            String::new(),
            time,
            "DNS".to_owned(),
            UNANSWERED.to_owned(),
            one_line(words, 40),
        ],
        Cause::ResolverBack { .. } => vec![
            String::new(),
            time,
            "DNS".to_owned(),
            ANSWERED.to_owned(),
            String::new(),
        ],
        Cause::HandoffFailing { target, words, .. } => vec![
            String::new(),
            time,
            one_line(target, 40),
            HANDOFF_FAILING.to_owned(),
            one_line(words, 40),
        ],
        Cause::HandoffStopped { target, .. } | Cause::HandoffBack { target, .. } => vec![
            String::new(),
            time,
            one_line(target, 40),
            word(&alert.cause).to_owned(),
            String::new(),
        ],
        Cause::NoticeReminder(_) | Cause::NoticeOverdue(_) | Cause::NoticeArrived(_) => {
            let (whose, what, _) = due::in_short(&alert.cause, language).unwrap_or_default();
            vec![
                String::new(),
                time,
                whose,
                word(&alert.cause).to_owned(),
                what,
            ]
        }
    }
}

/// What stands where a quarantined mail has its codes.
fn word(cause: &Cause) -> &'static str {
    match cause {
        Cause::Quarantined(_) => "",
        Cause::DeliveryFailed {
            kind: Kind::Handoff,
            ..
        } => HANDOFF_FAILED,
        Cause::DeliveryFailed { .. } => UNDELIVERED,
        Cause::MailboxUnreachable { .. } => UNREACHABLE,
        Cause::MailboxBack { .. } => BACK,
        Cause::ResolverUnreachable { .. } => UNANSWERED,
        Cause::ResolverBack { .. } => ANSWERED,
        Cause::HandoffFailing { .. } => HANDOFF_FAILING,
        Cause::HandoffStopped { .. } => HANDOFF_STOPPED,
        Cause::HandoffBack { .. } => HANDOFF_BACK,
        Cause::NoticeReminder(_) => REMINDER,
        Cause::NoticeOverdue(_) => OVERDUE,
        Cause::NoticeArrived(_) => ARRIVED,
    }
}

/// How often each code stands in these alerts; of what is due, for how many companies.
fn tally(alerts: &[Pending<Cause>], language: Language) -> BTreeMap<String, usize> {
    let mut tally = BTreeMap::new();
    for alert in alerts {
        if let Cause::Quarantined(Quarantined { defects, .. }) = &alert.cause {
            count_codes(defects, &mut tally);
            continue;
        }
        let companies = due::in_short(&alert.cause, language).map(|(.., companies)| companies);
        *tally.entry(word(&alert.cause).to_owned()).or_default() += companies.unwrap_or(1);
    }
    tally
}
