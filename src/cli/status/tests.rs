//! The page on a terminal: whatever stands in it, it fits and stays what it is.

use std::slice;

use proptest::prelude::*;

use super::{
    super::{due::Known, table::trial::*},
    *,
};
use crate::{notice::Company, schedule};

#[test]
fn a_server_s_words_cannot_write_on_the_terminal() {
    let overview = Overview {
        ledger: Standing::default(),
        mailboxes: vec![MailboxRow {
            name: "one".to_owned(),
            last_ok_at: None,
            state: LinkState::Down("NO \u{1b}[2Jall is well\nup".to_owned()),
        }],
        messages: Counts::new(),
        outbox: OutboxCounts::new(),
        put_off: Some(put_off("451 \u{202e}later\r")),
        waiting: Some(waiting("\u{1b}[2Jno\nanswer")),
        quarantine: Vec::new(),
        systems: Systems::default(),
        due: due(&[]),
    };
    let page = page(&overview, Timestamp::UNIX_EPOCH, PLAIN);
    assert_fits(&page);
    assert!(
        page.contains("DOWN   NO <U+001B>[2Jall is well up"),
        "{page}"
    );
    assert!(page.contains("put off: 451 <U+202E>later"), "{page}");
    assert!(page.contains("<U+001B>[2Jno answer"), "{page}");
    let trouble = page.split_once("\nMailboxes").unwrap().0;
    let trouble = trouble.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(trouble.contains("mails waiting for DNS"), "{page}");
}

fn put_off(answer: &str) -> PutOff {
    PutOff {
        letters: 1,
        since: Timestamp::UNIX_EPOCH,
        none_sent_since: Timestamp::UNIX_EPOCH,
        answer: answer.to_owned(),
    }
}

fn waiting(words: &str) -> Waiting {
    Waiting {
        mails: u64::MAX,
        since: Timestamp::UNIX_EPOCH,
        next_ask_at: Timestamp::UNIX_EPOCH,
        words: words.to_owned(),
    }
}

fn row(id: i64, words: &str) -> QuarantineRow {
    QuarantineRow {
        id,
        mailbox: Some(words.to_owned()),
        received_at: Timestamp::UNIX_EPOCH,
        from: Some(words.to_owned()),
        subject: words.to_owned(),
        defects: vec![(words.to_owned(), words.to_owned())],
    }
}

/// On New Year's Day 2027, of a ledger of 2025 that knows nothing: the running period's numbers
/// are overdue.
fn due(companies: &[Company]) -> Dues<'_> {
    let known = Known {
        since: "2025-01-01".parse().unwrap(),
        ..Known::default()
    };
    let today = "2027-01-01".parse().unwrap();
    Dues::reckon(
        companies.iter(),
        schedule::Settings::default(),
        known,
        today,
    )
}

fn calm() -> Overview<'static> {
    Overview {
        ledger: Standing::default(),
        mailboxes: Vec::new(),
        messages: Counts::new(),
        outbox: OutboxCounts::from([("dropped".to_owned(), 3)]),
        put_off: None,
        waiting: None,
        quarantine: Vec::new(),
        systems: Systems::default(),
        due: due(&[]),
    }
}

#[test]
fn what_a_person_called_off_is_no_trouble() {
    let page = page(&calm(), Timestamp::UNIX_EPOCH, PLAIN);
    assert!(page.starts_with("all is well"), "{page}");
    assert!(page.contains("3 dropped"), "{page}");
}

#[test]
fn the_headline_counts_the_companies_whose_numbers_are_overdue() {
    let companies: Vec<Company> = ["53567686", "24634102"]
        .map(|ban| Company::new(ban.parse().unwrap(), "雲端"))
        .into();
    for (companies, headline) in [
        (0, "all is well 一切正常"),
        (
            1,
            "needs attention 需要處理: 1 company without the numbers that are due",
        ),
        (
            2,
            "needs attention 需要處理: 2 companies without the numbers that are due",
        ),
    ]
    .map(|(count, headline)| (companies.get(..count).unwrap(), headline))
    {
        let overview = Overview {
            due: due(companies),
            ..calm()
        };
        let page = page(&overview, Timestamp::UNIX_EPOCH, PLAIN);
        assert_eq!(page.lines().next(), Some(headline), "{page}");
        assert_eq!(page.matches("OVERDUE").count(), companies.len(), "{page}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_page_fits_whatever_stands_in_it(
        a in hostile(), b in hostile(), c in hostile(), id in 0..10_000_000_i64,
    ) {
        let company = Company::new("53567686".parse().unwrap(), &*a);
        let overview = Overview {
            ledger: Standing { daemon: None, trouble: Some(a.clone()) },
            mailboxes: vec![MailboxRow {
                name: b.clone(),
                last_ok_at: Some(Timestamp::UNIX_EPOCH),
                state: LinkState::Down(c.clone()),
            }],
            messages: [(a.clone(), 7), ("quarantined".to_owned(), u64::MAX)].into(),
            outbox: [(b.clone(), u64::MAX)].into(),
            put_off: Some(put_off(&c)),
            waiting: Some(waiting(&b)),
            quarantine: vec![row(id, &a), row(1, &c)],
            systems: Systems::default(),
            due: due(slice::from_ref(&company)),
        };
        assert_fits(&page(&overview, "2026-11-22T00:00:00Z".parse().unwrap(), PLAIN));
    }
}
