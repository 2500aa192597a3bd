//! What twenty mails speak for: one line a case.

use super::*;
use crate::{
    authenticity::{Field, MethodResult, Signed},
    notice::Sentence,
};

const FROM: &str = "einvoice@einvoice.nat.gov.tw";
const OWN: &str = "einvoice.nat.gov.tw";

fn mail() -> Survey {
    Survey {
        from: Some(FROM.parse().unwrap()),
        signatures: Vec::new(),
        fields: Vec::new(),
    }
}

fn pass() -> Outcome {
    Outcome::Pass
}

fn broken() -> Outcome {
    Outcome::Broken(Sentence::new("changed", "被改過"))
}

fn unknown() -> Outcome {
    Outcome::Unknown("no answer".to_owned())
}

/// A mail with one more signature, over these fields.
fn signed_over(mut mail: Survey, domain: &str, outcome: Outcome, covered: &[&str]) -> Survey {
    mail.signatures.push(Signed {
        domain: domain.to_owned(),
        selector: "s1".to_owned(),
        algorithm: "rsa-sha256".to_owned(),
        key: None,
        covered: covered.iter().map(|&name| name.to_owned()).collect(),
        outcome,
    });
    mail
}

fn signed(mail: Survey, domain: &str, outcome: Outcome) -> Survey {
    signed_over(mail, domain, outcome, &["from", "subject", "date"])
}

/// A mail with one more field below those that it has: `dkim=pass header.d=…`.
fn said(mut mail: Survey, id: &str, above_received: bool, results: &str) -> Survey {
    let results = results
        .split("; ")
        .filter(|one| !one.is_empty())
        .map(|one| {
            let mut words = one.split(' ').map(|word| word.split_once('=').unwrap());
            let (method, result) = words.next().unwrap();
            MethodResult {
                method: method.to_owned(),
                result: result.to_owned(),
                properties: words
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect(),
            }
        });
    mail.fields.push(Some(Field {
        authserv_id: (!id.is_empty()).then(|| id.to_owned()),
        above_received,
        results: results.collect(),
    }));
    mail
}

const VOUCHED: &str =
    "dkim=pass header.d=einvoice.nat.gov.tw; dmarc=pass header.from=einvoice.nat.gov.tw";

fn many(count: usize, mail: &Survey) -> Vec<Survey> {
    vec![mail.clone(); count]
}

fn mixed(kinds: &[(usize, Survey)]) -> Vec<Survey> {
    let mails = kinds.iter().flat_map(|(count, mail)| many(*count, mail));
    mails.collect()
}

/// `either einvoice.nat.gov.tw*19 | mx.example.com*20 | top`, and what else was noticed.
fn told(proposal: &Proposal) -> String {
    let names = |counted: &[Counted]| {
        let named = counted.iter().map(|c| format!(" {}*{}", c.name, c.mails));
        named.collect::<String>()
    };
    let mut text = proposal
        .require
        .map_or("nothing", Require::as_str)
        .to_owned();
    text.push_str(&names(&proposal.domains));
    if !proposal.authserv_ids.is_empty() {
        text = format!("{text} |{}", names(&proposal.authserv_ids));
    }
    for results in proposal.results.iter().flatten() {
        text = format!("{text} | {}", results.as_str());
    }
    for (what, counted) in [
        ("strangers", &proposal.strangers),
        ("doubtful", &proposal.doubtful),
    ] {
        if !counted.is_empty() {
            text = format!("{text}; {what}{}", names(counted));
        }
    }
    if proposal.undecided > 0 {
        text = format!("{text}; undecided {}", proposal.undecided);
    }
    text
}

#[test]
fn what_proves_from_is_proposed_and_nothing_else() {
    let good = signed(mail(), OWN, pass());
    let torn = signed(mail(), OWN, broken());
    let forged = signed(mail(), "evil.example", pass());
    let mx = |mail, results| said(mail, "mx.example.com", true, results);
    let cases: &[(&str, Vec<Survey>, &str)] = &[
        ("no mail", vec![], "nothing"),
        ("nothing carried", many(20, &mail()), "nothing"),
        ("all signed", many(20, &good), "dkim einvoice.nat.gov.tw*20"),
        (
            "one forged, signed by its forger",
            mixed(&[(19, good.clone()), (1, forged.clone())]),
            "dkim einvoice.nat.gov.tw*19; strangers evil.example*1",
        ),
        (
            "only forged",
            many(20, &forged),
            "nothing; strangers evil.example*20",
        ),
        (
            "signed by the organization",
            many(3, &signed(mail(), "nat.gov.tw", pass())),
            "dkim nat.gov.tw*3",
        ),
        (
            "another ministry's domain, which shares a public suffix only",
            many(3, &signed(mail(), "mof.gov.tw", pass())),
            "nothing; strangers mof.gov.tw*3",
        ),
        (
            "the public suffix itself",
            many(3, &signed(mail(), "gov.tw", pass())),
            "nothing; strangers gov.tw*3",
        ),
        (
            "two domains in turn",
            mixed(&[
                (12, good.clone()),
                (8, signed(mail(), "nat.gov.tw", pass())),
            ]),
            "dkim einvoice.nat.gov.tw*12 nat.gov.tw*8",
        ),
        (
            "two signatures each, one of a mailing house",
            many(5, &signed(good.clone(), "sender.example", pass())),
            "dkim einvoice.nat.gov.tw*5; strangers sender.example*5",
        ),
        (
            "the same domain twice in one mail counts once",
            many(5, &signed(good.clone(), OWN, pass())),
            "dkim einvoice.nat.gov.tw*5",
        ),
        (
            "Subject not covered",
            many(5, &signed_over(mail(), OWN, pass(), &["from", "date"])),
            "nothing",
        ),
        ("changed on the way", many(20, &torn), "nothing"),
        (
            "changed on the way, and the server says that it was intact",
            many(20, &mx(torn.clone(), VOUCHED)),
            "authentication-results einvoice.nat.gov.tw*20 | mx.example.com*20 | top",
        ),
        (
            "signed, and the server says so as well",
            many(20, &mx(good.clone(), VOUCHED)),
            "dkim einvoice.nat.gov.tw*20",
        ),
        (
            "some changed on the way",
            mixed(&[
                (13, mx(good.clone(), VOUCHED)),
                (7, mx(torn.clone(), VOUCHED)),
            ]),
            "either einvoice.nat.gov.tw*20 | mx.example.com*20 | top",
        ),
        (
            "by DMARC alone",
            many(4, &mx(mail(), "dmarc=pass header.from=einvoice.nat.gov.tw")),
            "authentication-results einvoice.nat.gov.tw*4 | mx.example.com*4 | top",
        ),
        (
            "header.i where there is no header.d",
            many(4, &mx(mail(), "dkim=pass header.i=@einvoice.nat.gov.tw")),
            "authentication-results einvoice.nat.gov.tw*4 | mx.example.com*4 | top",
        ),
        (
            "two header.d are none",
            many(
                4,
                &mx(
                    mail(),
                    "dkim=pass header.d=einvoice.nat.gov.tw header.d=x.example",
                ),
            ),
            "nothing",
        ),
        (
            "the server passes a forger's signature",
            many(
                4,
                &mx(
                    mail(),
                    "dkim=pass header.d=evil.example; dmarc=fail header.from=einvoice.nat.gov.tw",
                ),
            ),
            "nothing",
        ),
        (
            "Gmail",
            many(4, &said(mail(), "mx.google.com", false, VOUCHED)),
            "authentication-results einvoice.nat.gov.tw*4 | mx.google.com*4 | google",
        ),
        (
            "Microsoft 365",
            many(4, &said(mail(), "", false, VOUCHED)),
            "authentication-results einvoice.nat.gov.tw*4 | microsoft",
        ),
        (
            "below a Received: the sender may have written it",
            many(4, &said(mail(), "mx.example.com", false, VOUCHED)),
            "nothing; doubtful mx.example.com*4",
        ),
        (
            "the sender's own word below the server's",
            many(
                4,
                &said(mx(mail(), "dkim=fail"), "mx.evil.example", true, VOUCHED),
            ),
            "nothing",
        ),
        (
            "on top of fewer than half",
            mixed(&[(9, mx(mail(), VOUCHED)), (11, mail())]),
            "nothing; doubtful mx.example.com*9",
        ),
        (
            "on top of half",
            mixed(&[(10, mx(mail(), VOUCHED)), (10, mail())]),
            "authentication-results einvoice.nat.gov.tw*10 | mx.example.com*10 | top",
        ),
        (
            "a field on top that cannot be read",
            vec![Survey {
                fields: vec![None, mx(mail(), VOUCHED).fields[0].clone()],
                ..mail()
            }],
            "nothing",
        ),
        (
            "DNS is down",
            many(4, &mx(signed(mail(), OWN, unknown()), VOUCHED)),
            "nothing; undecided 4",
        ),
        (
            "DNS failed once",
            mixed(&[(19, good.clone()), (1, signed(mail(), OWN, unknown()))]),
            "dkim einvoice.nat.gov.tw*19; undecided 1",
        ),
        (
            "DNS failed for a forger's key, which is no matter",
            many(4, &signed(mail(), "evil.example", unknown())),
            "nothing",
        ),
        (
            "a domain that is no name",
            many(4, &signed(mail(), "x\"] #.nat.gov.tw", pass())),
            "nothing",
        ),
        (
            "a server that is no name",
            many(4, &said(mail(), "mx\"]\n", true, VOUCHED)),
            "nothing; doubtful mx\"]\n*4",
        ),
        (
            "a server that speaks for what is no name",
            many(4, &mx(mail(), "dkim=pass header.d=x\"].nat.gov.tw")),
            "nothing",
        ),
        (
            "no address in From",
            vec![Survey {
                from: None,
                ..mx(good.clone(), VOUCHED)
            }],
            "nothing; strangers einvoice.nat.gov.tw*1",
        ),
    ];
    for (what, mails, expected) in cases {
        let proposal = propose(std::slice::from_ref(mails));
        assert_eq!(told(&proposal), *expected, "{what}");
        assert_eq!(proposal.mails, mails.len(), "{what}");
    }
}

#[test]
fn each_mailbox_has_a_server_of_its_own_and_all_share_the_rest() {
    let google = many(6, &said(mail(), "mx.google.com", false, VOUCHED));
    let own = many(2, &said(mail(), "mx.example.com", true, VOUCHED));
    let proposal = propose(&[google.clone(), own, Vec::new()]);
    assert_eq!(
        told(&proposal),
        "authentication-results einvoice.nat.gov.tw*8 | mx.google.com*6 mx.example.com*2 \
         | google | top"
    );
    assert_eq!(
        proposal.results,
        [Some(Results::Google), Some(Results::Top), None]
    );
    let signed_there = many(3, &signed(mail(), OWN, pass()));
    let proposal = propose(&[google, signed_there]);
    assert_eq!(
        told(&proposal),
        "either einvoice.nat.gov.tw*9 | mx.google.com*6 | google"
    );
}

#[test]
fn a_server_that_proves_nothing_or_is_read_by_another_setting_is_not_believed() {
    let vouched = many(2, &said(mail(), "mx.example.com", true, VOUCHED));
    let good = signed(mail(), OWN, pass());
    let useless = many(3, &said(good, "mx.example.net", true, "dkim=fail"));
    let proposal = propose(&[vouched, useless]);
    assert_eq!(
        told(&proposal),
        "either einvoice.nat.gov.tw*5 | mx.example.com*2 | top"
    );
    assert_eq!(proposal.results, [Some(Results::Top), None]);

    // Each is on top of half, and no one setting reads both.
    let half = mixed(&[
        (5, said(mail(), "mx.example.com", true, VOUCHED)),
        (4, said(mail(), "mx.google.com", false, VOUCHED)),
        (1, said(mail(), "mx.google.com", false, "dkim=fail")),
    ]);
    assert_eq!(
        told(&propose(&[half])),
        "authentication-results einvoice.nat.gov.tw*5 | mx.example.com*5 | top; \
         doubtful mx.google.com*4"
    );
}
