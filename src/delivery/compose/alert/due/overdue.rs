//! Numbers that are due have not come: whose, since when, where the notice may lie, and what to do.
//!
//! Guarantee: where a mailbox was not heard from, the letter begins with that. Silence of the
//! platform and deafness of ours must never be taken for each other.

mod remedy;

use jiff::{SignedDuration, Timestamp, civil::Date};

use super::{
    awaited, company, day, day_before, distinct, first_day, in_companies, months, numbered,
    paragraph, several, table, who,
};
use crate::{
    clock::{taipei_date, taipei_minute},
    columns::cut,
    delivery::{
        Language,
        compose::table::{columns, facts},
    },
    ledger::{Missing, Overdue, Watched},
    notice::Period,
    stranger::one_line,
};

/// A mailbox that has answered within this is heard; as long as for `mailbox_unreachable`.
const HEARD: SignedDuration = SignedDuration::from_mins(15);

/// So many mailboxes stand here by themselves; the rest are counted.
const MAILBOXES: usize = 20;

/// So many mails in quarantine are named.
const MAILS: usize = 8;

/// How soon numbers are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Urgency {
    /// In some days.
    Ahead,
    Tomorrow,
    /// Now.
    Begun,
}

impl Urgency {
    fn of(one: &Missing, today: Date) -> Self {
        match needed(one) {
            Some(day) if day <= today => Self::Begun,
            Some(day) if day_before(day) <= today => Self::Tomorrow,
            _ => Self::Ahead,
        }
    }
}

/// The first day without numbers.
fn needed(one: &Missing) -> Option<Date> {
    let first = one.year_months.first()?.parse::<Period>().ok()?;
    first_day(first)
}

pub(super) fn subject(overdue: &Overdue, at: Timestamp, language: Language) -> String {
    let today = taipei_date(at);
    let companies = overdue.companies.iter();
    let who = who(companies.map(|one| (&*one.ban, &*one.name)), language);
    let urgency = |one: &Missing| Urgency::of(one, today);
    let most = overdue.companies.iter().map(urgency).max();
    let pressing = overdue.companies.iter();
    let pressing = pressing.filter(|one| Some(urgency(one)) == most);
    let what = several(pressing.map(|one| &*one.awaited), language);
    // Between Chinese and digits.
    let gap = if what.ends_with(|c: char| c.is_ascii_digit()) {
        " "
    } else {
        ""
    };
    match most {
        Some(Urgency::Begun) => language.pick(
            format!("需要處理：配號通知未到，{what}{gap}已經開始（{who}）"),
            format!("Action needed: no allocation notice, {what} has begun ({who})"),
        ),
        Some(Urgency::Tomorrow) => language.pick(
            format!("需要處理：配號通知未到，{what}{gap}明天開始（{who}）"),
            format!("Action needed: no allocation notice, {what} begins tomorrow ({who})"),
        ),
        Some(Urgency::Ahead) | None => language.pick(
            format!("需要處理：配號通知逾期未到，{what}（{who}）"),
            format!("Action needed: allocation notice overdue, {what} ({who})"),
        ),
    }
}

pub(super) fn text(overdue: &Overdue, at: Timestamp, language: Language) -> String {
    let today = taipei_date(at);
    let mut companies: Vec<&Missing> = overdue.companies.iter().collect();
    companies.sort_by_key(|one| std::cmp::Reverse(Urgency::of(one, today)));
    let (deaf, heard): (Vec<&Watched>, Vec<&Watched>) =
        overdue.mailboxes.iter().partition(|one| is_deaf(one, at));
    let mut text = deafness(overdue, &deaf, language);
    text.push_str(&match companies.as_slice() {
        [one] => single(one, today, language),
        many => listed(many, today, language),
    });
    text.push_str(&places(overdue, &companies, language));
    text.push_str(&mailboxes(&deaf, &heard, language));
    let steps = remedy::steps(overdue, &companies, !deaf.is_empty(), language);
    let head = language.pick("接下來", "What to do next");
    text.push_str(&numbered(head, &steps));
    text.push_str(&remedy::again(&companies, language));
    text.push_str(language.pick(
        "完整的步驟見說明文件 docs/first-notice.zh-TW.md。\n",
        "The whole way is described in docs/first-notice.md of the documentation.\n",
    ));
    text
}

fn is_deaf(mailbox: &Watched, at: Timestamp) -> bool {
    let is_silent = |last: Timestamp| at.duration_since(last) > HEARD;
    mailbox.trouble.is_some() || mailbox.last_ok_at.is_none_or(is_silent)
}

/// Nothing where every mailbox is heard.
fn deafness(overdue: &Overdue, deaf: &[&Watched], language: Language) -> String {
    if overdue.mailboxes.is_empty() {
        return language
            .pick(
                "程式沒有監看任何信箱：通知就算寄到了，也讀不到。\n\n",
                "No mailbox is watched: had the notice come, it would not have been seen.\n\n",
            )
            .to_owned();
    }
    let names: Vec<String> = deaf.iter().map(|one| one_line(&one.name, 40)).collect();
    let names = cut(&names.join(language.pick("、", ", ")), 60);
    match deaf.len() {
        0 => String::new(),
        1 => paragraph(&language.pick(
            format!("信箱沒有回應（{names}）：通知可能已經寄到，只是還讀不到。請先處理信箱。"),
            format!(
                "A mailbox does not answer ({names}): the notice may lie there unseen. See to that first."
            ),
        )) + "\n",
        count => paragraph(&language.pick(
            format!(
                "有 {count} 個信箱沒有回應（{names}）：通知可能已經寄到，只是還讀不到。請先處理信箱。"
            ),
            format!(
                "{count} mailboxes do not answer ({names}): the notice may lie there unseen. See to \
                 that first."
            ),
        )) + "\n",
    }
}

fn single(one: &Missing, today: Date, language: Language) -> String {
    let what = awaited(&one.awaited, language);
    let from = needed(one).map_or_else(String::new, |from| day(from, language));
    let missing = months(&one.year_months);
    let is_year = one.awaited.len() == 3;
    let periods = one.year_months.len();
    let lacks = if is_year {
        language.pick(
            format!("{what}的配號通知逾期未到：帳本裡還缺 {periods} 期的號碼。"),
            format!(
                "Allocation notices for {what} are overdue: {periods} periods have no numbers yet."
            ),
        )
    } else {
        language.pick(
            format!("{what} 的配號通知逾期未到：帳本裡還沒有這一期的號碼。"),
            format!(
                "The allocation notice for {what} is overdue: no numbers are recorded for it yet."
            ),
        )
    };
    let urgent = match Urgency::of(one, today) {
        Urgency::Ahead => language.pick(
            format!("{from}起就要用。"),
            format!("They are needed from {from} on."),
        ),
        Urgency::Tomorrow => language.pick(
            format!("明天（{from}）起就要用。"),
            format!("They are needed from tomorrow on, {from}."),
        ),
        Urgency::Begun => language.pick(
            "期別已經開始：沒有新號碼就先不要開發票，絕對不要沿用上一期的號碼。".to_owned(),
            "The period has begun: issue no invoices with the last period's numbers.".to_owned(),
        ),
    };
    let mut text = paragraph(&lacks) + &paragraph(&urgent) + "\n";
    text.push_str(&facts(&[
        (
            language.pick("營業人", "Company"),
            company(&one.ban, &one.name, language),
        ),
        (
            language.pick("缺少的期別", "Missing"),
            if is_year { missing } else { what },
        ),
        (
            language.pick("應到期限", "Due by the end of"),
            one.due_by.to_string(),
        ),
        (
            language.pick("開始使用", "Needed from"),
            needed(one).map(|day| day.to_string()).unwrap_or_default(),
        ),
        (
            language.pick("代碼", "Code"),
            super::super::OVERDUE.to_owned(),
        ),
    ]));
    text
}

fn listed(many: &[&Missing], today: Date, language: Language) -> String {
    let count = distinct(many.iter().map(|one| &*one.ban));
    let companies = in_companies(count, language);
    let mut text = paragraph(&language.pick(
        format!("{companies}的配號通知逾期未到：帳本裡還沒有這些號碼（notice_overdue）。"),
        format!("Allocation notices of {companies} are overdue, no numbers are recorded (notice_overdue)."),
    ));
    let of = |which: Urgency| {
        let these = many.iter().filter(|one| Urgency::of(one, today) == which);
        distinct(these.map(|one| &*one.ban))
    };
    let (begun, tomorrow) = (of(Urgency::Begun), of(Urgency::Tomorrow));
    if begun > 0 {
        let these = if begun == count {
            language.pick("期別都".to_owned(), "The".to_owned())
        } else {
            language.pick(
                format!("其中 {begun} 家的期別"),
                format!("For {} the", in_companies(begun, language)),
            )
        };
        text.push_str(&paragraph(&language.pick(
            format!("{these}已經開始：沒有新號碼就先不要開發票，絕對不要沿用上一期的號碼。"),
            format!("{these} period has begun: issue no invoices with the last period's numbers."),
        )));
    }
    if tomorrow > 0 {
        text.push_str(&paragraph(&language.pick(
            format!("其中 {tomorrow} 家明天起就要用。"),
            format!(
                "Needed from tomorrow on by {}.",
                in_companies(tomorrow, language)
            ),
        )));
    }
    text.push('\n');
    let head = language.pick(
        ["統編", "公司", "缺少的期別", "應到期限", "隔離的信"],
        ["BAN", "Company", "Missing", "Due by", "Quarantined"],
    );
    let rows = many.iter().map(|one| {
        vec![
            one.ban.clone(),
            one.name.clone(),
            match (one.awaited.len(), one.year_months.len()) {
                (3, 6) => awaited(&one.awaited, language),
                (3, _) => months(&one.year_months),
                _ => awaited(&one.awaited, language),
            },
            one.due_by.to_string(),
            ids(&one.quarantined, 2, language),
        ]
    });
    text.push_str(&table(&head, rows, &[], language));
    text
}

/// So many ids, and how many more there are.
fn ids(all: &[i64], most: usize, language: Language) -> String {
    let shown: Vec<String> = all.iter().take(most).map(i64::to_string).collect();
    let shown = shown.join(language.pick("、", ", "));
    match all.len().saturating_sub(most) {
        0 => shown,
        more => format!("{shown} +{more}"),
    }
}

/// Where the notice may be although nothing is recorded.
fn places(overdue: &Overdue, companies: &[&Missing], language: Language) -> String {
    let mut lines = Vec::new();
    let theirs = companies.iter().filter(|one| !one.quarantined.is_empty());
    match (companies, theirs.count()) {
        (_, 0) => {}
        ([one], _) => {
            let ids = ids(&one.quarantined, MAILS, language);
            lines.push(language.pick(
                format!("隔離區有這家公司的信：{ids}"),
                format!("In quarantine there is mail of this company: {ids}"),
            ));
        }
        (_, count) => lines.push(language.pick(
            format!("隔離區有上面 {count} 筆的信，編號在最後一欄"),
            format!(
                "In quarantine there is mail of {count} of the above; the last column has its ids"
            ),
        )),
    }
    let (nobodys, waiting) = (overdue.nobodys, overdue.waiting);
    if nobodys > 0 {
        lines.push(language.pick(
            format!("隔離區有 {nobodys} 封信看不出是哪家公司的"),
            format!("Mails in quarantine of which it cannot be told whose they are: {nobodys}"),
        ));
    }
    if waiting > 0 {
        lines.push(language.pick(
            format!("有 {waiting} 封信在等 DNS 回應，還沒判斷"),
            format!("Mails that wait for DNS to be judged: {waiting}"),
        ));
    }
    if lines.is_empty() {
        return language
            .pick(
                "\n隔離區裡沒有相關的信，也沒有信在等候判斷。\n",
                "\nNo mail in quarantine can be it, and none waits to be judged.\n",
            )
            .to_owned();
    }
    let head = language.pick("通知可能卡在這裡", "Where the notice may be held");
    let mut text = format!("\n{head}\n");
    for line in lines {
        text.push_str(&format!("  * {line}\n"));
    }
    text
}

/// The watched mailboxes, those that are not heard first.
fn mailboxes(deaf: &[&Watched], heard: &[&Watched], language: Language) -> String {
    if deaf.is_empty() && heard.is_empty() {
        return String::new();
    }
    let head = match deaf.len() {
        0 => language
            .pick(
                "監看的信箱（都有回應，寄到的信都看過了）",
                "Watched mailboxes (all answer, and what came has been looked at)",
            )
            .to_owned(),
        count => language.pick(
            format!("監看的信箱（{count} 個沒有回應）"),
            format!("Watched mailboxes (not answering: {count})"),
        ),
    };
    let names = language.pick(
        ["信箱", "最後回應", "狀況"],
        ["Mailbox", "Last answer (UTC+8)", "State"],
    );
    let silent = language.pick("沒有回應", "silent");
    let deaf = deaf.iter().map(|one| (one, silent));
    let heard = heard
        .iter()
        .map(|one| (one, language.pick("正常", "answers")));
    let rows = deaf.chain(heard).map(|(one, state)| {
        let last = one.last_ok_at.map(taipei_minute);
        vec![
            cut(&one_line(&one.name, 60), 28),
            last.unwrap_or_else(|| language.pick("從未回應過", "never").to_owned()),
            cut(&one_line(one.trouble.as_deref().unwrap_or(state), 300), 44),
        ]
    });
    let mut rows: Vec<Vec<String>> = rows.collect();
    let more = rows.len().saturating_sub(MAILBOXES);
    rows.truncate(MAILBOXES);
    rows.insert(0, names.map(str::to_owned).to_vec());
    let mut text = format!("\n{head}\n{}", columns(&rows, &[]));
    if more > 0 {
        text.push_str(&language.pick(
            format!("\n  另有 {more} 個沒有列出；`invoice-trackd status` 有全部。\n"),
            format!("\n  and {more} more; `invoice-trackd status` has all of them.\n"),
        ));
    }
    text
}
