//! What is fetched, and that the page fits and stays what it is, whatever the mails say.

use proptest::prelude::*;

use super::{
    super::super::table::trial::*,
    settings::{evidence, left, noticed},
    *,
};
use crate::{
    authenticity::{MethodResult, Require, propose},
    config::MailboxKind,
    notice::Sentence,
};

#[test]
fn only_what_a_sender_wrote_is_fetched_and_no_more_of_it_than_is_ever_read() {
    let rules = Rules::default();
    let own = b"From: EInvoice@einvoice.nat.gov.tw\r\n\r\n";
    assert_eq!(gate(own, rules.max_message_bytes, &rules), Want::Whole);
    assert_eq!(
        gate(own, rules.max_message_bytes + 1, &rules),
        Want::TooLarge
    );
    for other in [
        &b"From: other@einvoice.nat.gov.tw\r\n\r\n"[..],
        b"From: \"einvoice@einvoice.nat.gov.tw\" <evil@x.example>\r\n\r\n",
        b"From: einvoice@einvoice.nat.gov.tw, evil@x.example\r\n\r\n",
        b"From: einvoice@einvoice.nat.gov.tw\r\nFrom: evil@x.example\r\n\r\n",
        b"Subject: x\r\n\r\nFrom: einvoice@einvoice.nat.gov.tw\r\n",
    ] {
        let shown = String::from_utf8_lossy(other);
        assert_eq!(gate(other, 100, &rules), Want::Nothing, "{shown}");
    }
}

fn mailbox(name: &str) -> Mailbox {
    Mailbox {
        name: name.to_owned(),
        company: None,
        results: Results::Top,
        since: None,
        kind: MailboxKind::Maildir { path: "/md".into() },
    }
}

/// A mail in which every word is a stranger's.
fn mail(words: &str, outcome: Outcome) -> Examined {
    let property = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let told = |method: &str, properties| MethodResult {
        method: method.to_owned(),
        result: words.to_owned(),
        properties,
    };
    Examined {
        at: None,
        raw: Vec::new(),
        survey: Survey {
            from: "einvoice@einvoice.nat.gov.tw".parse().ok(),
            signatures: vec![Signed {
                domain: words.to_owned(),
                selector: words.to_owned(),
                algorithm: words.to_owned(),
                key: None,
                covered: Vec::new(),
                outcome,
            }],
            fields: vec![Some(Field {
                authserv_id: Some(words.to_owned()),
                above_received: false,
                results: vec![
                    told("dkim", vec![property("header.d", words)]),
                    told("dmarc", vec![property("header.from", "x.example")]),
                ],
            })],
        },
        evidence: Evidence {
            verdict: Authenticity::Unproven(Sentence::new(words, words)),
            proof: None,
        },
    }
}

proptest! {
    #[test]
    fn no_mail_can_write_on_the_terminal(words in hostile()) {
        let mailbox = mailbox("einvoice");
        let broken = Outcome::Broken(Sentence::new(&*words, &*words));
        let judged = Judged {
            mailbox: &mailbox,
            mails: vec![
                mail(&words, Outcome::Pass),
                mail(&words, broken),
                mail(&words, Outcome::Unknown(words.clone())),
            ],
        };
        assert_fits(&mails(&judged, PLAIN));
        let surveys = judged.mails.iter().map(|mail| mail.survey.clone()).collect();
        let proposal = propose(&[surveys]);
        let mut page = noticed(&proposal);
        page.push(evidence(Require::Either, &proposal));
        page.push(left(&[judged], &[false; 3]));
        for sentence in page {
            assert_fits(&PLAIN.paragraph(&sentence));
        }
    }
}

#[test]
fn only_what_people_must_see_to_is_coloured() {
    let mailbox = mailbox("einvoice");
    let mut passing = mail("x.example", Outcome::Pass);
    passing.evidence.verdict = Authenticity::Proven { signed: None };
    let mails = vec![passing, mail("x.example", Outcome::Pass)];
    let judged = Judged {
        mailbox: &mailbox,
        mails,
    };
    let page = super::mails(&judged, COLOURED);
    assert!(
        page.contains("\u{1b}[1m\u{1b}[31mnone\u{1b}[0m"),
        "{page:?}"
    );
    assert_eq!(page.matches('\u{1b}').count(), 3, "{page:?}");
}

#[test]
fn mails_that_say_the_same_stand_in_one_row() {
    let two = vec![
        mail("a.example", Outcome::Pass),
        mail("b.example", Outcome::Pass),
        mail("a.example", Outcome::Pass),
    ];
    let counts: Vec<usize> = alike(&two).iter().map(|(count, _)| *count).collect();
    assert_eq!(counts, [2, 1]);
}
