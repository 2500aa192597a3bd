//! Genuine notices that come to the wrong door, and notices that somebody passes on: real
//! signatures, keys from a DNS server on loopback, through intake into a real ledger.

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use invoice_trackd::{
    authenticity::{Require, Results, Settings, Verifier},
    intake::{Intake, Place},
    ledger::{Ledger, StoredMessage},
    mailbox::{Content, Origin, RawMessage},
    notice::{Ban, Companies, Company, Disposition},
};
use jiff::Timestamp;
use mail_auth::dkim::Canonicalization;
use tempfile::TempDir;

use crate::support::{daemon::Notice, dns::Dns, intake, outbox::style, signer};

mod forwarded;

const OURS: &str = "53567686";
const THEIRS: &str = "24634102";
const STRANGER: &str = "22099131";
const ADDRESS: &str = "einvoice@example.com";

/// The day after the notice was given out.
fn now() -> Timestamp {
    "2018-04-21T04:00:00Z".parse().unwrap()
}

fn ban(digits: &str) -> Ban {
    digits.parse().unwrap()
}

/// An intake that demands proof, and what came in so far.
struct Door {
    intake: Intake,
    place: Place,
    dns: Dns,
    letters: u32,
    _home: TempDir,
}

impl Door {
    /// Demands DKIM; our company lists its recipients, and another one does.
    async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("ledger.db");
        let ledger = Ledger::open(&path, now()).await.unwrap();
        let mut intake = intake::intake(ledger, style());
        let dns = signer::dns();
        intake.verifier = intake::demanding(Require::Dkim, &dns);
        let company = |digits, name: &str, recipient: &str| Company {
            recipients: vec![recipient.parse().unwrap()],
            ..Company::new(ban(digits), name)
        };
        intake.rules.companies = Companies::new(vec![
            company(OURS, "雲端行動科技股份有限公司", ADDRESS),
            company(THEIRS, "他們公司", "theirs@example.com"),
        ])
        .unwrap();
        let place = Place {
            company: Some(ban(OURS)),
            results: Results::Top,
        };
        Self {
            intake,
            place,
            dns,
            letters: 0,
            _home: home,
        }
    }

    /// Our company lists no recipients.
    fn without_recipients(mut self) -> Self {
        let mut companies: Vec<Company> = self.intake.rules.companies.iter().cloned().collect();
        companies[0].recipients.clear();
        self.intake.rules.companies = Companies::new(companies).unwrap();
        self
    }

    fn with_recipient_header(mut self, name: &str) -> Self {
        self.intake.rules.recipient_headers.push(name.to_owned());
        self
    }

    /// The mail server's Authentication-Results are asked for.
    fn believing(mut self, authserv_id: &str) -> Self {
        self.intake.verifier = Arc::new(Verifier::new(Settings {
            require: Require::AuthenticationResults,
            trusted_authserv_ids: vec![authserv_id.to_owned()],
            dns_servers: vec![self.dns.address()],
            ..Settings::default()
        }));
        self
    }

    /// Takes a mail in, and returns what the ledger keeps of it.
    async fn take(&mut self, eml: &[u8]) -> StoredMessage {
        self.letters += 1;
        let message = RawMessage {
            origin: Origin::Imap {
                mailbox: "einvoice".to_owned(),
                uidvalidity: 7,
                uid: self.letters,
            },
            internal_date: Some(now()),
            size: eml.len() as u64,
            content: Content::Whole(eml.to_vec()),
        };
        let batch = [message];
        self.intake.take(&batch, self.place, now()).await.unwrap();
        let id = i64::from(self.letters);
        let stored = self.intake.ledger.message(id).await.unwrap();
        let stored = stored.expect("it was recorded");
        // Nobody who reads a failure wants the bytes one by one.
        StoredMessage {
            raw: None,
            ..stored
        }
    }
}

fn codes(message: &StoredMessage) -> Vec<&str> {
    let codes = message.defects.iter().map(|defect| defect.code.as_str());
    codes.collect()
}

fn warnings(message: &StoredMessage) -> Vec<&str> {
    let codes = message.warnings.iter().map(|defect| defect.code.as_str());
    codes.collect()
}

#[track_caller]
fn assert_quarantined(message: &StoredMessage, expected: &[&str]) {
    assert_eq!(codes(message), expected, "{message:#?}");
    assert_eq!(message.disposition, Disposition::Quarantined);
}

#[track_caller]
fn assert_imported(message: &StoredMessage, source: &str) {
    assert_eq!(codes(message), [""; 0], "{message:#?}");
    assert_eq!(message.disposition, Disposition::Imported);
    assert_eq!(message.company, Some((ban(OURS), source.to_owned())));
}

/// A notice whose parentheses hold `addressee`, to `to`.
fn notice(addressee: &str, to: &str) -> Vec<u8> {
    let eml = String::from_utf8(Notice::default().eml()).unwrap();
    let eml = eml.replace("(53567686)", &format!("({addressee})"));
    eml.replace(ADDRESS, to).into_bytes()
}

/// A notice whose recipient is all that tells.
fn unnamed(to: &str) -> Vec<u8> {
    notice("", to)
}

/// The platform's signature over all but the recipient.
fn sign_but_to(eml: &[u8]) -> Vec<u8> {
    signer::sign_as(eml, signer::DOMAIN, &["From", "Subject", "Date"], |s| s)
}

fn below(fields: &str, eml: &[u8]) -> Vec<u8> {
    [fields.as_bytes(), eml].concat()
}

#[tokio::test]
async fn a_signed_to_tells_the_company_and_an_unsigned_one_does_not() {
    let mut door = Door::new().await;
    let unsigned = door.take(&sign_but_to(&unnamed(ADDRESS))).await;
    assert_quarantined(&unsigned, &["unknown_company"]);
    assert_eq!(unsigned.evidence.result, "pass");
    let told = &unsigned.defects[0];
    assert!(told.detail.contains("does not cover it"), "{told:?}");
    assert!(told.detail_zh.contains("不在簽章範圍內"), "{told:?}");
    let signed = door.take(&signer::sign(&unnamed(ADDRESS))).await;
    assert_imported(&signed, "recipient");
}

/// `h=` names To once, so that the signature covers the lower one. RFC 6376 §5.4.2.
#[tokio::test]
async fn a_second_to_above_the_signed_one_tells_nothing() {
    let mut door = Door::new().await;
    let theirs = signer::sign(&unnamed("stranger@example.org"));
    let redirected = below("To: einvoice@example.com\r\n", &theirs);
    assert_quarantined(&door.take(&redirected).await, &["unknown_company"]);
    // Where To is named twice, nobody can put one above.
    let twice = ["From", "To", "To", "Subject", "Date"];
    let sealed = signer::sign_as(&unnamed(ADDRESS), signer::DOMAIN, &twice, |s| s);
    let broken = below("To: theirs@example.com\r\n", &sealed);
    assert_eq!(door.take(&sealed).await.disposition, Disposition::Imported);
    let broken = door.take(&broken).await;
    assert!(codes(&broken).contains(&"not_authenticated"), "{broken:?}");
}

#[tokio::test]
async fn what_our_own_server_writes_of_the_recipient_is_not_signed() {
    for field in ["Delivered-To", "X-Original-To"] {
        let line = format!("{field}: {ADDRESS}\r\n");
        let replayed = below(&line, &signer::sign(&unnamed("stranger@example.org")));
        for door in [
            Door::new().await,
            Door::new().await.with_recipient_header(field),
        ] {
            let mut door = door;
            let taken = door.take(&replayed).await;
            assert_quarantined(&taken, &["unknown_company"]);
        }
        // Signed, as only the platform can, it would count.
        let eml = below(&line, &unnamed("stranger@example.org"));
        let fields = ["From", "To", "Subject", "Date", field];
        let signed = signer::sign_as(&eml, signer::DOMAIN, &fields, |s| s);
        let mut door = Door::new().await.with_recipient_header(field);
        assert_imported(&door.take(&signed).await, "recipient");
        let mut door = Door::new().await;
        let taken = door.take(&signed).await;
        assert_quarantined(&taken, &["unknown_company"]);
    }
}

/// A server's word speaks of no fields: what the operator lists counts.
#[tokio::test]
async fn with_authentication_results_every_listed_recipient_field_counts() {
    let said = "Authentication-Results: mx.example.com; dkim=pass header.d=einvoice.nat.gov.tw\r\n\
                Delivered-To: einvoice@example.com\r\n";
    let eml = below(said, &unnamed("list@example.com"));
    let door = Door::new().await.believing("mx.example.com");
    let mut door = door.with_recipient_header("Delivered-To");
    assert_imported(&door.take(&eml).await, "recipient");
    let mut door = Door::new().await.believing("mx.example.com");
    let taken = door.take(&eml).await;
    assert_quarantined(&taken, &["unknown_company"]);
}

#[tokio::test]
async fn somebody_elses_genuine_notice_is_not_ours() {
    let theirs = signer::sign(&unnamed("stranger@example.org"));
    let mut door = Door::new().await;
    let taken = door.take(&theirs).await;
    assert_quarantined(&taken, &["unknown_company"]);
    let advice = &taken.defects[0].detail;
    assert!(advice.contains("anybody can pass on"), "{advice}");

    // A company that lists no recipients takes the mailbox's word, and that is said.
    let mut door = Door::new().await.without_recipients();
    let taken = door.take(&theirs).await;
    assert_imported(&taken, "mailbox");
    assert_eq!(warnings(&taken), ["company_assumed"]);
}

#[tokio::test]
async fn the_mailbox_does_not_tell_what_the_mail_tells_otherwise() {
    for eml in [
        // To another company, under the signature and not.
        signer::sign(&unnamed("theirs@example.com")),
        sign_but_to(&unnamed("theirs@example.com")),
        // A stranger's number, and a stranger's name.
        signer::sign(&notice(STRANGER, ADDRESS)),
        signer::sign(&notice(STRANGER, "x@example.org")),
        signer::sign(&notice("某某有限公司", "x@example.org")),
    ] {
        let mut door = Door::new().await.without_recipients();
        let taken = door.take(&eml).await;
        match &taken.company {
            // Signed, it is the other company's own.
            Some((told, source)) => {
                assert_eq!((told, source.as_str()), (&ban(THEIRS), "recipient"));
            }
            None => assert_quarantined(&taken, &["unknown_company"]),
        }
        assert_ne!(taken.company.map(|(told, _)| told), Some(ban(OURS)));
    }
}

#[tokio::test]
async fn a_strangers_number_is_unknown_though_the_recipient_is_ours() {
    let mut door = Door::new().await;
    let taken = door.take(&signer::sign(&notice(STRANGER, ADDRESS))).await;
    assert_quarantined(&taken, &["unknown_company"]);
    assert!(taken.defects[0].detail.contains(STRANGER));
}

#[tokio::test]
async fn our_own_notice_sent_again_changes_nothing() {
    let mut door = Door::new().await;
    let signed = signer::sign(&unnamed(ADDRESS));
    assert_imported(&door.take(&signed).await, "recipient");
    let by_another_way = "Received: from relay.example.net by mx.example.com; \
                          Mon, 4 Jun 2018 03:12:44 +0800\r\nDelivered-To: x@example.com\r\n";
    let again = door.take(&below(by_another_way, &signed)).await;
    assert_eq!(again.disposition, Disposition::Duplicate, "{again:#?}");
    assert_eq!(again.evidence.result, "pass");
    let attached = forwarded::as_attachment(&signed, "8bit");
    let again = door.take(&attached).await;
    assert_eq!(again.disposition, Disposition::Duplicate, "{again:#?}");
}

#[tokio::test]
async fn what_was_changed_on_the_way_is_not_genuine() {
    let signed = signer::sign_as(
        &unnamed(ADDRESS),
        signer::DOMAIN,
        &["From", "To", "Subject"],
        |s| s.body_canonicalization(Canonicalization::Simple),
    );
    let signed = String::from_utf8(signed).unwrap();
    for (from, to) in [
        ("22634399", "22634349"),
        ("EC", "ED"),
        (ADDRESS, "theirs@example.com"),
    ] {
        let mut door = Door::new().await;
        let changed = signed.replace(from, to);
        assert_ne!(changed, signed);
        let taken = door.take(changed.as_bytes()).await;
        assert!(codes(&taken).contains(&"not_authenticated"), "{taken:#?}");
        assert_eq!(taken.disposition, Disposition::Quarantined);
    }
}
