//! Who is told: those of a company's own where it has some, and of everybody else nobody in their
//! place; and what is said of a company whose numbers have become few.

use std::{collections::BTreeMap, fs, path::Path};

use invoice_trackd::{
    delivery::{Confirm, Dispatcher, Transport},
    intake::{Intake, Place},
    ledger::{Arrived, Cause, Come, Decision, Missing, Overdue, Reminded, Reminder},
    mailbox::{Content, Origin, RawMessage},
    notice::{Assignment, Companies, Company, Disposition},
};
use jiff::Timestamp;
use tempfile::TempDir;

use crate::support::{
    intake::{company, intake},
    outbox::{after, did, dispatcher, pass, raise},
};

const MINUTE: i64 = 60;
const CLOUD: &str = "53567686";
const BOOKS: &str = "24634102";
const SHOP: &str = "12345675";

/// Two companies with readers of their own and one without, an intake and a dispatcher on one
/// ledger, and the directory in which letters become files.
struct Post {
    intake: Intake,
    dispatcher: Dispatcher,
    sent: TempDir,
    _home: TempDir,
    uid: u32,
}

/// A letter: its readers, its subject, its text, and the file with it.
#[derive(Debug, Clone)]
struct Mail {
    to: Vec<String>,
    subject: String,
    text: String,
    file: String,
}

fn with_readers(mut company: Company, name: &str) -> Company {
    company.confirm_to = vec![format!("confirm@{name}.example").parse().unwrap()];
    company.alert_to = vec![format!("alert@{name}.example").parse().unwrap()];
    company.assignment = Assignment::Year;
    company
}

impl Post {
    async fn new(confirm: Confirm) -> Self {
        let sent = tempfile::tempdir().unwrap();
        let (mut dispatcher, home) = dispatcher(Transport::Directory(sent.path().to_owned())).await;
        dispatcher.style.confirm = confirm;
        let mut intake = intake(dispatcher.ledger.clone(), dispatcher.style.clone());
        let companies = vec![
            with_readers(company(), "cloud"),
            with_readers(
                Company::new(BOOKS.parse().unwrap(), "好書有限公司"),
                "books",
            ),
            Company {
                assignment: Assignment::Year,
                ..Company::new(SHOP.parse().unwrap(), "小店有限公司")
            },
        ];
        intake.rules.companies = Companies::new(companies).unwrap();
        Self {
            intake,
            dispatcher,
            sent,
            _home: home,
            uid: 0,
        }
    }

    /// A notice with a range for each period comes; periods are `107/05`, the first month.
    async fn comes(&mut self, ban: &str, periods: &[(&str, u32)], now: Timestamp) {
        self.uid += 1;
        let mut text = format!(
            "From: einvoice@einvoice.nat.gov.tw\r\nTo: einvoice@example.com\r\n\
             Subject: =?UTF-8?B?6Zu75a2Q55m856Wo6YWN6Jmf57WQ5p6c6YCa55+l?=\r\n\
             Message-ID: <{uid}@einvoice.nat.gov.tw>\r\n\
             MIME-Version: 1.0\r\nContent-Type: text/plain; charset=UTF-8\r\n\
             Content-Transfer-Encoding: 8bit\r\n\r\n\
             貴公司({ban})申請之財政部電子發票字軌已配號完成，配號資料如下：\r\n",
            uid = self.uid
        );
        for (nth, (first, booklets)) in periods.iter().enumerate() {
            let (year, odd) = first.split_once('/').unwrap();
            let odd: u8 = odd.parse().unwrap();
            // A track of its own for each period, a range of its own for each notice.
            let track = format!(
                "{}{}",
                "ABCDEF".chars().nth(usize::from(odd / 2)).unwrap(),
                if year == "107" { 'X' } else { 'Y' }
            );
            let begin = self.uid * 100_000 + u32::try_from(nth).unwrap() * 10_000;
            let end = begin + booklets * 50 - 1;
            text.push_str(&format!(
                "字軌名稱：{track}\r\n發票期別：{year}/{odd:02} - {year}/{:02}\r\n\
                 發票類別：一般稅額計算\r\n申請本數：0\r\n增加本數：{booklets}\r\n\
                 發票起號：{begin:08}\r\n發票迄號：{end:08}\r\n",
                odd + 1
            ));
        }
        let raw = text.into_bytes();
        let message = RawMessage {
            origin: Origin::Imap {
                mailbox: "einvoice".to_owned(),
                uidvalidity: 7,
                uid: self.uid,
            },
            internal_date: Some(now),
            size: raw.len() as u64,
            content: Content::Whole(raw),
        };
        let took = self.intake.take(&[message], Place::default(), now).await;
        let took = took.unwrap();
        assert_eq!(took[0].disposition, Disposition::Imported, "{:?}", took[0]);
    }

    /// Makes what must be said news.
    async fn tell(&self, key: &str, cause: &Cause, now: Timestamp) {
        let mut transaction = self.dispatcher.ledger.begin().await.unwrap();
        transaction.tell(key, cause, now).await.unwrap();
        transaction.commit().await.unwrap();
    }

    async fn withdraw(&self, id: i64, now: Timestamp) {
        let decision = Decision {
            who: "amy",
            reason: "wrong",
            at: now,
        };
        let withdrawn = self.intake.withdraw(id, &decision).await.unwrap();
        withdrawn.unwrap();
    }

    fn clear(&self) {
        for old in fs::read_dir(self.sent.path()).unwrap() {
            fs::remove_file(old.unwrap().path()).unwrap();
        }
    }

    /// A pass at `now`; the letters of it, by their first reader.
    async fn sends(&self, now: Timestamp) -> BTreeMap<String, Mail> {
        self.clear();
        self.dispatcher.run_once(now).await.unwrap();
        let mails = mails(self.sent.path());
        let count = mails.len();
        let mails: BTreeMap<String, Mail> = mails
            .into_iter()
            .map(|mail| (mail.to[0].clone(), mail))
            .collect();
        assert_eq!(mails.len(), count, "two letters to the same: {mails:?}");
        mails
    }
}

fn mails(directory: &Path) -> Vec<Mail> {
    let files = fs::read_dir(directory).unwrap();
    let read = |eml: Vec<u8>| {
        let mail = mail_parser::MessageParser::default().parse(&eml).unwrap();
        let file = mail.attachment(0).map(|file| file.contents().to_vec());
        let to = mail.to().unwrap().iter();
        Mail {
            to: to.map(|to| to.address().unwrap().to_owned()).collect(),
            subject: mail.subject().unwrap().to_owned(),
            text: mail.body_text(0).unwrap().into_owned(),
            file: String::from_utf8(file.unwrap_or_default()).unwrap(),
        }
    };
    files
        .map(|entry| read(fs::read(entry.unwrap().path()).unwrap()))
        .collect()
}

fn readers(mails: &BTreeMap<String, Mail>) -> Vec<&str> {
    mails.keys().map(String::as_str).collect()
}

fn overdue(to: &[&str], bans: &[&str]) -> Cause {
    Cause::NoticeOverdue(Overdue {
        to: to.iter().map(|to| (*to).to_owned()).collect(),
        companies: bans
            .iter()
            .map(|ban| Missing {
                ban: (*ban).to_owned(),
                name: format!("company {ban}"),
                stage: "overdue".to_owned(),
                awaited: "10706".to_owned(),
                year_months: vec!["10706".to_owned()],
                due_by: "2018-04-25".parse().unwrap(),
                quarantined: Vec::new(),
            })
            .collect(),
        mailboxes: Vec::new(),
        nobodys: 0,
        waiting: 0,
    })
}

fn arrived(to: &[&str], ban: &str) -> Cause {
    Cause::NoticeArrived(Arrived {
        to: to.iter().map(|to| (*to).to_owned()).collect(),
        companies: vec![Come {
            ban: ban.to_owned(),
            name: format!("company {ban}"),
            awaited: "10706".to_owned(),
            booklets: 1,
            told_at: after(0),
        }],
    })
}

fn reminder(to: &[&str], ban: &str) -> Cause {
    Cause::NoticeReminder(Reminder {
        to: to.iter().map(|to| (*to).to_owned()).collect(),
        year_month: "10708".to_owned(),
        until: "2018-06-19".parse().unwrap(),
        companies: vec![Reminded {
            ban: ban.to_owned(),
            name: format!("company {ban}"),
            booklets: 1,
            booklets_before: 1,
        }],
    })
}

const TO_CLOUD: &[&str] = &["alert@cloud.example"];
const TO_BOOKS: &[&str] = &["alert@books.example", "second@books.example"];

#[tokio::test]
async fn a_confirmation_goes_to_the_readers_of_its_company() {
    let mut post = Post::new(Confirm::Each).await;
    for ban in [CLOUD, BOOKS, SHOP] {
        post.comes(ban, &[("107/05", 1)], after(0)).await;
    }
    let mails = post.sends(after(0)).await;
    assert_eq!(
        readers(&mails),
        [
            "confirm@books.example",
            "confirm@cloud.example",
            "ops@example.com"
        ]
    );
    for (reader, ban) in [
        ("confirm@cloud.example", CLOUD),
        ("confirm@books.example", BOOKS),
        ("ops@example.com", SHOP),
    ] {
        let Mail { to, text, file, .. } = &mails[reader];
        assert_eq!(to, &[reader]);
        assert!(text.contains(ban), "{text}");
        let others = [CLOUD, BOOKS, SHOP].into_iter().filter(|one| *one != ban);
        for other in others {
            assert!(
                !text.contains(other) && !file.contains(other),
                "{text}{file}"
            );
        }
    }
}

#[tokio::test]
async fn digests_go_each_to_their_own_with_only_their_own_numbers() {
    let mut post = Post::new(Confirm::Digest).await;
    for (minute, ban) in [(0, CLOUD), (1, BOOKS), (2, SHOP), (3, CLOUD), (4, BOOKS)] {
        post.comes(ban, &[("107/05", 1)], after(minute * MINUTE))
            .await;
    }
    let early = post.sends(after(59 * MINUTE)).await;
    assert!(early.is_empty(), "{early:?}");
    let mails = post.sends(after(60 * MINUTE)).await;
    assert_eq!(
        readers(&mails),
        [
            "confirm@books.example",
            "confirm@cloud.example",
            "ops@example.com"
        ]
    );
    for (reader, ban, ranges) in [
        ("confirm@cloud.example", CLOUD, 2),
        ("confirm@books.example", BOOKS, 2),
        ("ops@example.com", SHOP, 1),
    ] {
        let Mail {
            subject,
            text,
            file,
            ..
        } = &mails[reader];
        assert!(subject.contains(&format!("{ranges} 段")), "{subject}");
        assert_eq!(file.lines().count(), 1 + ranges, "{file}");
        assert_eq!(file.matches(ban).count(), ranges, "{file}");
        let others = [CLOUD, BOOKS, SHOP].into_iter().filter(|one| *one != ban);
        for other in others {
            assert!(
                !text.contains(other) && !file.contains(other),
                "{text}{file}"
            );
        }
    }
}

#[tokio::test]
async fn a_withdrawal_goes_to_all_who_may_have_been_told_of_the_range() {
    let mut post = Post::new(Confirm::Each).await;
    post.comes(CLOUD, &[("107/05", 1)], after(0)).await;
    post.comes(SHOP, &[("107/05", 1)], after(0)).await;
    post.sends(after(0)).await;
    for (id, expected) in [
        (
            1,
            &[
                "confirm@cloud.example",
                "oncall@example.com",
                "alert@cloud.example",
            ][..],
        ),
        (2, &["ops@example.com", "oncall@example.com"][..]),
    ] {
        post.withdraw(id, after(id)).await;
        let mails = post.sends(after(id)).await;
        let mails: Vec<&Mail> = mails.values().collect();
        assert_eq!(mails.len(), 1);
        assert_eq!(mails[0].to, expected);
    }
}

#[tokio::test]
async fn what_is_due_goes_to_its_own_readers_and_what_is_the_operators_to_the_operator() {
    let post = Post::new(Confirm::Each).await;
    post.tell("1", &overdue(TO_CLOUD, &[CLOUD]), after(0)).await;
    post.tell("2", &overdue(TO_BOOKS, &[BOOKS]), after(0)).await;
    post.tell("3", &overdue(&[], &[SHOP]), after(0)).await;
    post.tell("4", &reminder(TO_BOOKS, BOOKS), after(0)).await;
    raise(&post.dispatcher.ledger, 5, after(0)).await;
    let mails = post.sends(after(0)).await;
    assert_eq!(
        readers(&mails),
        [
            "alert@books.example",
            "alert@cloud.example",
            "oncall@example.com"
        ]
    );
    assert_eq!(mails["alert@books.example"].to, TO_BOOKS);
    for (reader, ban) in [
        ("alert@cloud.example", CLOUD),
        ("alert@books.example", BOOKS),
        ("oncall@example.com", SHOP),
    ] {
        let text = &mails[reader].text;
        assert!(text.contains(ban), "{text}");
        let others = [CLOUD, BOOKS, SHOP].into_iter().filter(|one| *one != ban);
        for other in others {
            assert!(!text.contains(other), "{text}");
        }
    }
    assert!(mails["oncall@example.com"].text.contains("range_overlap"));
    assert!(!mails["alert@cloud.example"].text.contains("range_overlap"));
}

#[tokio::test]
async fn the_window_of_one_audience_holds_nothing_of_another() {
    let post = Post::new(Confirm::Each).await;
    // The operator's window is as wide as it gets.
    for minute in (0..800).step_by(4) {
        let at = after(minute * MINUTE);
        raise(&post.dispatcher.ledger, minute, at).await;
        post.tell(&format!("o{minute}"), &overdue(&[], &[SHOP]), at)
            .await;
        post.sends(at).await;
    }
    for (minute, to, ban) in [(800, TO_CLOUD, CLOUD), (801, TO_BOOKS, BOOKS)] {
        let at = after(minute * MINUTE);
        let cause = overdue(to, &[ban]);
        post.tell(&format!("first {ban}"), &cause, at).await;
        let mails = post.sends(at).await;
        assert_eq!(readers(&mails), [to[0]], "at once");
    }
    // The second of one waits for its own window, not for the other's.
    let cause = overdue(TO_CLOUD, &[CLOUD]);
    let at = after(802 * MINUTE);
    post.tell("second", &cause, at).await;
    assert!(post.sends(at).await.is_empty());
    assert!(post.sends(after(805 * MINUTE - 1)).await.is_empty());
    let mails = post.sends(after(805 * MINUTE)).await;
    assert_eq!(readers(&mails), [TO_CLOUD[0]]);
}

#[tokio::test]
async fn arrivals_that_dribble_in_are_gathered_and_hold_no_alarm() {
    let post = Post::new(Confirm::Each).await;
    let mut letters = Vec::new();
    for minute in 0..300 {
        let at = after(minute * MINUTE);
        if minute % 4 == 0 {
            let ban = format!("{minute:08}");
            post.tell(&format!("a{minute}"), &arrived(&[], &ban), at)
                .await;
        }
        // In the midst of a window of arrivals that is hours wide.
        if minute == 200 {
            post.tell("overdue", &overdue(&[], &[SHOP]), at).await;
        }
        if let Some(mail) = post.sends(at).await.remove("oncall@example.com") {
            letters.push((minute, mail));
        }
    }
    let minutes: Vec<i64> = letters.iter().map(|(minute, _)| *minute).collect();
    assert_eq!(minutes, [0, 5, 15, 35, 75, 155, 200]);
    let (.., last) = &letters[6];
    assert!(last.subject.starts_with("需要處理"), "{}", last.subject);
    assert!(!last.text.contains("notice_arrived"), "{}", last.text);
    // One letter of arrivals has them in one table.
    let (.., gathered) = &letters[4];
    assert!(
        gathered.subject.contains("10 家公司"),
        "{}",
        gathered.subject
    );
    let rest = post.dispatcher.run_once(after(315 * MINUTE)).await;
    assert_eq!(did(&rest.unwrap()), pass(1, 0, 0));
}

/// What came before the notice in question, what it brings, and the periods of which it is said
/// that they have fallen: their first month, booklets, and those of the one before.
type Case<'a> = (
    &'a str,
    &'a [(&'a str, u32)],
    &'a [(&'a str, u32)],
    &'a [(&'a str, u32, u32)],
);

const CASES: &[Case<'_>] = &[
    ("the first period ever", &[], &[("107/05", 1)], &[]),
    ("as many", &[("107/03", 8)], &[("107/05", 8)], &[]),
    ("exactly half", &[("107/03", 8)], &[("107/05", 4)], &[]),
    (
        "less than half",
        &[("107/03", 9)],
        &[("107/05", 4)],
        &[("107/05", 4, 9)],
    ),
    (
        "more came before",
        &[("107/03", 8), ("107/05", 3)],
        &[("107/05", 1)],
        &[],
    ),
    (
        "and still too few",
        &[("107/03", 9), ("107/05", 3)],
        &[("107/05", 1)],
        &[("107/05", 4, 9)],
    ),
    (
        "one before the last counts for nothing",
        &[("107/01", 9)],
        &[("107/05", 1)],
        &[],
    ),
    (
        "over the year's end",
        &[("106/11", 9)],
        &[("107/01", 1)],
        &[("107/01", 1, 9)],
    ),
    (
        "six periods of a year, each against the one before",
        &[("106/11", 20)],
        &[
            ("107/01", 9),
            ("107/03", 9),
            ("107/05", 4),
            ("107/07", 2),
            ("107/09", 8),
            ("107/11", 3),
        ],
        &[("107/01", 9, 20), ("107/05", 4, 9), ("107/11", 3, 8)],
    ),
    (
        "the later one that was there is not asked about",
        &[("107/05", 1)],
        &[("107/03", 9)],
        &[],
    ),
];

/// As a letter says it.
fn said((first, booklets, before): (&str, u32, u32)) -> String {
    let (year, odd) = first.split_once('/').unwrap();
    let even = odd.parse::<u8>().unwrap() + 1;
    let last = invoice_trackd::notice::Period::from_months(
        (year.parse().unwrap(), even - 1),
        (year.parse().unwrap(), even),
    );
    let last = last.unwrap().previous();
    format!(
        "{first} - {year}/{even:02} 目前只有 {booklets} 本，不到上一期（{last}，{before} 本）的一半。"
    )
}

#[tokio::test]
async fn a_period_that_fell_by_more_than_half_stands_in_confirmation_and_digest() {
    for (name, earlier, now, expected) in CASES {
        for confirm in [Confirm::Each, Confirm::Digest] {
            let mut post = Post::new(confirm).await;
            for one in *earlier {
                post.comes(SHOP, &[*one], after(0)).await;
                // Another company's booklets are nobody else's.
                post.comes(BOOKS, &[(one.0, 1900)], after(0)).await;
            }
            post.dispatcher.flush(after(0)).await.unwrap();
            post.clear();
            post.comes(SHOP, now, after(MINUTE)).await;
            post.dispatcher.flush(after(MINUTE)).await.unwrap();
            let mails = mails(post.sent.path());
            let [Mail { text, .. }] = &mails[..] else {
                panic!("{name}: expected one letter: {mails:?}");
            };
            for one in *expected {
                assert!(text.contains(&said(*one)), "{name}: {text}");
            }
            let count = text.matches("目前只有").count();
            assert_eq!(count, expected.len(), "{name}: {text}");
        }
    }
}

#[tokio::test]
async fn a_range_that_was_withdrawn_is_no_measure() {
    let mut post = Post::new(Confirm::Each).await;
    post.comes(SHOP, &[("107/03", 9)], after(0)).await;
    post.comes(SHOP, &[("107/03", 2)], after(1)).await;
    post.withdraw(1, after(2)).await;
    post.dispatcher.flush(after(2)).await.unwrap();
    post.clear();
    post.comes(SHOP, &[("107/05", 1)], after(MINUTE)).await;
    post.dispatcher.flush(after(MINUTE)).await.unwrap();
    let text = mails(post.sent.path()).remove(0).text;
    assert!(!text.contains("目前只有"), "{text}");
}
