//! The letters about what is due, for one company and for many, by themselves and with others.

use jiff::civil::Date;

use super::*;
use crate::{
    columns::width,
    ledger::{Arrived, Come, Missing, Overdue, Reminded, Reminder, Watched},
};

const CLOUD: (&str, &str) = ("53567686", "雲端行動科技股份有限公司");
const BOOKS: (&str, &str) = ("24634102", "好書有限公司");
const LONG: (&str, &str) = (
    "04595257",
    "某某跨國電子商務與數位內容服務平台股份有限公司台灣分公司信義營業處第二門市部",
);

/// 09:00 in Taipei of a day.
fn nine(day: &str) -> Timestamp {
    at(&format!("{day}T01:00:00Z"))
}

fn date(text: &str) -> Date {
    text.parse().unwrap()
}

fn pending(id: i64, raised_at: Timestamp, cause: Cause) -> Pending<Cause> {
    Pending {
        id,
        key: format!("due:{id}"),
        raised_at,
        cause,
    }
}

fn reminder(companies: &[((&str, &str), u64, u64)]) -> Cause {
    let companies = companies.iter();
    Cause::NoticeReminder(Reminder {
        to: Vec::new(),
        year_month: "11512".to_owned(),
        until: date("2026-10-19"),
        companies: companies
            .map(|((ban, name), booklets, booklets_before)| Reminded {
                ban: (*ban).to_owned(),
                name: (*name).to_owned(),
                booklets: *booklets,
                booklets_before: *booklets_before,
            })
            .collect(),
    })
}

fn reminded(companies: &[((&str, &str), u64, u64)]) -> Pending<Cause> {
    pending(1, nine("2026-10-15"), reminder(companies))
}

fn missing((ban, name): (&str, &str), stage: &str, quarantined: &[i64]) -> Missing {
    Missing {
        ban: ban.to_owned(),
        name: name.to_owned(),
        stage: stage.to_owned(),
        awaited: "11512".to_owned(),
        year_months: vec!["11512".to_owned()],
        due_by: date("2026-10-25"),
        quarantined: quarantined.to_vec(),
    }
}

fn missing_of_a_year((ban, name): (&str, &str), stage: &str, even_months: &[u8]) -> Missing {
    let year_months = even_months.iter().map(|month| format!("116{month:02}"));
    Missing {
        awaited: "116".to_owned(),
        year_months: year_months.collect(),
        due_by: date("2026-12-25"),
        ..missing((ban, name), stage, &[])
    }
}

fn heard(name: &str, last_ok_at: &str) -> Watched {
    Watched {
        name: name.to_owned(),
        last_ok_at: Some(at(last_ok_at)),
        trouble: None,
    }
}

fn overdue(companies: Vec<Missing>, mailboxes: Vec<Watched>) -> Overdue {
    Overdue {
        to: Vec::new(),
        companies,
        mailboxes,
        nobodys: 0,
        waiting: 0,
    }
}

/// The stage of one company, told at nine on a day, with one mailbox that was heard just before.
fn told_on(day: &str, companies: Vec<Missing>) -> Pending<Cause> {
    let mailbox = heard("einvoice", &format!("{day}T00:59:12Z"));
    let overdue = overdue(companies, vec![mailbox]);
    pending(1, nine(day), Cause::NoticeOverdue(overdue))
}

fn come((ban, name): (&str, &str), awaited: &str, booklets: u64) -> Come {
    Come {
        ban: ban.to_owned(),
        name: name.to_owned(),
        awaited: awaited.to_owned(),
        booklets,
        told_at: nine("2026-10-26"),
    }
}

fn arrived(id: i64, companies: Vec<Come>) -> Pending<Cause> {
    let cause = Cause::NoticeArrived(Arrived {
        to: Vec::new(),
        companies,
    });
    pending(id, at("2026-10-27T02:15:00Z"), cause)
}

fn told(alerts: &[Pending<Cause>], language: Language) -> String {
    let text = shown(super::super::alert(
        alerts,
        &style(language),
        the_twentieth(),
    ));
    for line in text.lines().skip(1) {
        assert!(width(line) <= 100, "{} columns: {line}", width(line));
    }
    text
}

fn both_of(name: &str, alerts: &[Pending<Cause>]) {
    for (language, tag) in [(Language::ZhTw, "zh_tw"), (Language::En, "en")] {
        snapshot(&format!("{name}.{tag}"), &told(alerts, language));
    }
}

#[test]
fn a_reminder_for_one_company() {
    both_of("reminder", &[reminded(&[(CLOUD, 128, 100)])]);
    both_of("reminder_of_nothing", &[reminded(&[(BOOKS, 0, 0)])]);
}

#[test]
fn a_reminder_for_many() {
    let companies = [(CLOUD, 12800, 100), (BOOKS, 0, 0), (LONG, 0, 8)];
    both_of("reminder_of_many", &[reminded(&companies)]);
}

#[test]
fn an_overdue_notice_of_one_company() {
    let one = told_on("2026-10-26", vec![missing(CLOUD, "overdue", &[])]);
    both_of("overdue", &[one]);
}

#[test]
fn an_overdue_notice_on_the_last_day_and_on_the_first() {
    let last = told_on("2026-10-31", vec![missing(CLOUD, "last_day", &[])]);
    both_of("overdue_last_day", &[last]);
    let first = told_on("2026-11-01", vec![missing(CLOUD, "first_day", &[])]);
    both_of("overdue_first_day", &[first]);
}

#[test]
fn what_is_told_late_is_true_on_the_day_of_the_letter() {
    // The daemon was off on the last day and came back in the small hours of the first.
    let mut late = told_on("2026-10-31", vec![missing(CLOUD, "last_day", &[])]);
    late.raised_at = at("2026-10-31T19:00:00Z");
    let text = told(std::slice::from_ref(&late), Language::ZhTw);
    assert!(
        text.contains("已經開始") && !text.contains("明天"),
        "{text}"
    );
    // In the middle of the period.
    let text = told(
        &[told_on(
            "2026-11-20",
            vec![missing(CLOUD, "first_day", &[])],
        )],
        Language::En,
    );
    assert!(
        text.contains("has begun") && text.contains("last alarm"),
        "{text}"
    );
}

#[test]
fn a_year_of_which_some_periods_are_missing_and_one_of_which_all_are() {
    let some = missing_of_a_year(CLOUD, "overdue", &[4, 6, 12]);
    both_of("overdue_year", &[told_on("2026-12-26", vec![some])]);
    let all = missing_of_a_year(CLOUD, "last_day", &[2, 4, 6, 8, 10, 12]);
    let text = told(&[told_on("2026-12-31", vec![all])], Language::ZhTw);
    assert!(
        text.starts_with("需要處理：配號通知未到，116 年明天開始"),
        "{text}"
    );
    assert!(
        text.contains("116/01-02 03-04 05-06 07-08 09-10 11-12\n"),
        "{text}"
    );
    // The first period is there: nothing is needed tomorrow.
    let rest = missing_of_a_year(CLOUD, "last_day", &[4]);
    let text = told(&[told_on("2026-12-31", vec![rest])], Language::ZhTw);
    assert!(
        !text.contains("明天") && text.contains("3 月 1 日起"),
        "{text}"
    );
}

#[test]
fn where_a_mailbox_is_deaf_the_letter_begins_with_that() {
    let mut branch = heard("branch", "2026-10-25T22:00:00Z");
    branch.trouble =
        Some("log in to imap.example.com:993 as branch@example.com: NO [AUTHENTICATIONFAILED] Invalid credentials\r\n\u{202e}x".to_owned());
    let mailboxes = vec![
        heard("einvoice", "2026-10-26T00:59:00Z"),
        branch,
        heard("silent", "2026-10-26T00:44:59Z"),
        Watched {
            last_ok_at: None,
            ..heard("never", "2026-10-26T00:44:59Z")
        },
    ];
    let mut deaf = overdue(vec![missing(CLOUD, "overdue", &[17, 23])], mailboxes);
    (deaf.nobodys, deaf.waiting) = (2, 1);
    both_of(
        "overdue_deaf",
        &[pending(1, nine("2026-10-26"), Cause::NoticeOverdue(deaf))],
    );
}

#[test]
fn a_mailbox_is_deaf_after_fifteen_minutes_or_in_trouble() {
    let begins = |mailboxes: Vec<Watched>| {
        let cause = overdue(vec![missing(CLOUD, "overdue", &[])], mailboxes);
        let alert = pending(1, nine("2026-10-26"), Cause::NoticeOverdue(cause));
        let text = told(&[alert], Language::En);
        text.split("\n\n").nth(1).unwrap().to_owned()
    };
    let is_deaf = |mailbox: Watched| begins(vec![mailbox]).contains("may lie there unseen");
    assert!(!is_deaf(heard("a", "2026-10-26T00:45:00Z")));
    assert!(is_deaf(heard("a", "2026-10-26T00:44:59Z")));
    let in_trouble = Watched {
        trouble: Some("NO".to_owned()),
        ..heard("a", "2026-10-26T00:59:00Z")
    };
    assert!(is_deaf(in_trouble));
    assert!(begins(Vec::new()).contains("No mailbox is watched"));
}

#[test]
fn many_companies_stand_in_a_table_the_most_pressing_first() {
    let mut many = overdue(
        vec![
            missing(BOOKS, "overdue", &[]),
            missing_of_a_year(LONG, "overdue", &[2, 4, 6, 8, 12]),
            Missing {
                awaited: "11510".to_owned(),
                year_months: vec!["11510".to_owned()],
                due_by: date("2026-08-25"),
                ..missing(CLOUD, "first_day", &[17, 23, 29, 31])
            },
            Missing {
                name: "x\r\nBcc: thief@example.net\u{202e}".to_owned(),
                ..missing(("12345675", ""), "overdue", &[5])
            },
        ],
        vec![heard("einvoice", "2026-10-26T00:59:00Z")],
    );
    many.nobodys = 1;
    let alert = pending(1, nine("2026-10-26"), Cause::NoticeOverdue(many));
    both_of("overdue_many", &[alert]);
}

#[test]
fn of_thousands_fifty_stand_in_the_letter() {
    let many = |stage: &str| {
        (0..3000)
            .map(|n| Missing {
                ban: format!("{n:08}"),
                ..missing(LONG, stage, &[])
            })
            .collect()
    };
    let text = told(&[told_on("2026-10-26", many("overdue"))], Language::ZhTw);
    assert!(
        text.starts_with("需要處理：配號通知逾期未到，115/11 - 115/12（3000 家公司）\n"),
        "{text}"
    );
    assert_eq!(text.matches("  2026-10-25\n").count(), 50);
    assert!(
        text.contains("另有 2950 筆沒有列出；`invoice-trackd status --json` 有全部。"),
        "{text}"
    );
    // The table ends with names as long as there is room for.
    assert!(
        text.contains("某某跨國電子商務與數位內容服務平台股份有限公司…"),
        "{text}"
    );
    assert!(
        text.contains("10 月 31 日和 11 月 1 日上午 9 點還會各警示一次"),
        "{text}"
    );
    let names: Vec<String> = (0..70).map(|n| format!("{n:08}")).collect();
    let companies: Vec<_> = names
        .iter()
        .map(|ban| ((ban.as_str(), LONG.1), 1, 1))
        .collect();
    let text = told(&[reminded(&companies)], Language::En);
    assert_eq!(text.matches(" 1     1\n").count(), 50, "{text}");
    assert!(text.contains("and 20 more"), "{text}");
    let companies = names.iter().map(|ban| come((ban, LONG.1), "11512", 1));
    let text = told(&[arrived(1, companies.collect())], Language::En);
    assert!(text.contains("and 20 more"), "{text}");
}

#[test]
fn of_hundreds_of_mailboxes_the_deaf_ones_stand_first() {
    let mailboxes = (0..300)
        .map(|n| heard(&format!("box{n}"), "2026-10-26T00:59:00Z"))
        .chain([heard("deaf", "2026-10-25T00:59:00Z")])
        .collect();
    let cause = overdue(vec![missing(CLOUD, "overdue", &[])], mailboxes);
    let alert = pending(1, nine("2026-10-26"), Cause::NoticeOverdue(cause));
    let text = told(&[alert], Language::En);
    assert!(text.contains("and 281 more"), "{text}");
    let (_, table) = text.split_once("Watched mailboxes").unwrap();
    assert!(
        table.lines().nth(2).unwrap().starts_with("  deaf"),
        "{text}"
    );
}

#[test]
fn numbers_that_have_come_after_all() {
    both_of("arrived", &[arrived(1, vec![come(CLOUD, "11512", 128)])]);
    let many = vec![
        come(CLOUD, "11512", 12800),
        come(BOOKS, "116", 6),
        come(LONG, "11512", 1),
    ];
    both_of("arrived_many", &[arrived(1, many)]);
}

#[test]
fn several_pieces_of_news_of_what_is_due_read_as_one_letter() {
    let alerts = [
        told_on(
            "2026-10-26",
            vec![
                missing(CLOUD, "overdue", &[]),
                missing(BOOKS, "overdue", &[]),
                missing(LONG, "overdue", &[]),
            ],
        ),
        arrived(2, vec![come(CLOUD, "11512", 128)]),
        arrived(3, vec![come(LONG, "11512", 3)]),
    ];
    both_of("dues", &alerts);
    // When the last has come, nothing is asked for any more.
    let mut all = alerts.to_vec();
    all.push(arrived(4, vec![come(BOOKS, "11512", 5)]));
    for language in [Language::ZhTw, Language::En] {
        let text = told(&all, language);
        assert!(
            text.starts_with("已恢復：") || text.starts_with("Resolved: "),
            "{text}"
        );
        for asks in ["需要處理", "Action needed", "notice_overdue"] {
            assert!(!text.contains(asks), "{text}");
        }
        assert!(text.contains("136"), "{text}");
    }
    // Withdrawn, it is missing again: the last word counts.
    let again = [
        all[1].clone(),
        told_on("2026-10-28", vec![missing(CLOUD, "last_day", &[])]),
    ];
    let text = told(&again, Language::En);
    assert!(text.starts_with("Action needed"), "{text}");
    assert!(!text.contains("notice_arrived"), "{text}");
}

#[test]
fn what_is_due_is_told_of_in_full_below_other_alerts() {
    let overlap = [reason("range_overlap", "shares numbers", "號碼重疊")];
    let alerts = [
        quarantined(17, "電子發票配號結果通知", &overlap),
        told_on(
            "2026-10-26",
            vec![
                missing(CLOUD, "overdue", &[17]),
                missing(BOOKS, "overdue", &[]),
            ],
        ),
        pending(3, nine("2026-10-15"), reminder(&[(LONG, 1, 1)])),
        arrived(4, vec![come(BOOKS, "11512", 5)]),
    ];
    both_of("dues_among_others", &alerts);
}

#[test]
fn a_reminder_or_an_arrival_beside_good_news_is_no_trouble() {
    let back = |id| {
        let cause = Cause::MailboxBack {
            mailbox: "einvoice".to_owned(),
            alarmed_at: nine("2026-10-15"),
        };
        pending(id, nine("2026-10-15"), cause)
    };
    for language in [Language::ZhTw, Language::En] {
        let text = told(&[back(1), reminded(&[(CLOUD, 1, 1)])], language);
        let is_reminder = text.starts_with("提醒：") || text.starts_with("Reminder: ");
        assert!(is_reminder, "{text}");
        let text = told(
            &[back(1), arrived(2, vec![come(CLOUD, "11512", 1)])],
            language,
        );
        let is_resolved = text.starts_with("已恢復：") || text.starts_with("Resolved: ");
        assert!(is_resolved, "{text}");
        for asks in ["需要處理", "Action needed", "need a person"] {
            assert!(!text.contains(asks), "{text}");
        }
    }
}

#[test]
fn a_letter_says_what_a_broken_row_says_and_does_not_fail() {
    let odd = Missing {
        awaited: "next\u{202e}".to_owned(),
        year_months: vec!["?\n".to_owned()],
        stage: "later".to_owned(),
        ..missing(CLOUD, "", &[])
    };
    let text = told(&[told_on("2026-10-26", vec![odd])], Language::En);
    assert!(text.contains("next<U+202E>"), "{text}");
}
