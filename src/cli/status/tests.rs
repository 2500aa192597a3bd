//! The page on a terminal: whatever stands in it, it fits and stays what it is.

use proptest::prelude::*;

use super::{super::table::trial::*, *};

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
        due: Vec::new(),
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

fn company(name: &str) -> Company {
    Company::new("53567686".parse().unwrap(), name)
}

fn due(state: schedule::State) -> Due {
    Due {
        period: Period::containing("2026-05-20".parse().unwrap()),
        booklets: 0,
        expected: Some(schedule::Expected {
            on: "2026-04-20".parse().unwrap(),
            by: "2026-04-25".parse().unwrap(),
        }),
        state,
    }
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
        due: Vec::new(),
    }
}

#[test]
fn what_a_person_called_off_is_no_trouble() {
    let page = page(&calm(), Timestamp::UNIX_EPOCH, PLAIN);
    assert!(page.starts_with("all is well"), "{page}");
    assert!(page.contains("3 dropped"), "{page}");
}

#[test]
fn what_is_overdue_stands_first_and_in_alarm() {
    let (one, two) = (company("雲端"), company("企業"));
    let mut overview = calm();
    overview.due = vec![
        (&one, vec![due(schedule::State::Recorded); 60]),
        (&two, vec![due(schedule::State::Overdue)]),
    ];
    let page = page(&overview, Timestamp::UNIX_EPOCH, COLOURED);
    let list = page.split_once("late after\n").unwrap().1;
    let first = list.lines().next().unwrap();
    assert!(first.contains("企業") && first.contains('\u{1b}'), "{page}");
    assert!(page.ends_with("and 11 more; `--json` has all\n"), "{page}");
    assert!(page.starts_with('\u{1b}'), "{page}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_page_fits_whatever_stands_in_it(
        a in hostile(), b in hostile(), c in hostile(), id in 0..10_000_000_i64,
    ) {
        let company = company(&a);
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
            due: vec![(&company, vec![due(schedule::State::Overdue)])],
        };
        assert_fits(&page(&overview, "2026-11-22T00:00:00Z".parse().unwrap(), PLAIN));
    }
}
