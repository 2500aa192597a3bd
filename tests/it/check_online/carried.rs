//! What the latest mails carry, and the setting that they speak for, on real mail, a real IMAP
//! server, and keys from a DNS server on loopback.

use std::time::{Duration, SystemTime};

use mail_auth::hickory_resolver::proto::op::ResponseCode;

use super::*;
use crate::support::{
    dns::{Answer, Dns},
    signer,
};

/// The platform's key, and a forger's.
fn dns() -> Dns {
    let dns = signer::dns();
    let forger = format!("{}._domainkey.evil.example", signer::SELECTOR);
    dns.answer(&forger, Answer::Txt(vec![signer::record()]));
    dns
}

/// A house that demands `authenticity` and asks `dns`.
fn asking(dns: &Dns, authenticity: &str, configuration: &str) -> House {
    let house = house(configuration);
    demand(&house, dns, authenticity);
    house
}

/// Changes what is demanded; the house demands nothing before.
fn demand(house: &House, dns: &Dns, authenticity: &str) {
    let config = fs::read_to_string(house.path("config.toml")).unwrap();
    let (before, rest) = config.split_once("[authenticity]\n").unwrap();
    let (_, after) = rest.split_once("\n\n").unwrap();
    let servers = format!("dns_servers = [\"{}\"]", dns.address());
    house.write(
        "config.toml",
        format!("{before}[authenticity]\n{authenticity}\n{servers}\n\n{after}"),
    );
}

/// Numbers that differ, so that no two mails are the same bytes.
fn notice(number: u32) -> Vec<u8> {
    let notice = Notice {
        begin: 22_628_000 + number * 6_400,
        ..Notice::default()
    };
    notice.eml()
}

fn signed(number: u32) -> Vec<u8> {
    signer::sign(&notice(number))
}

/// Signed intact, and changed on the way as gateways do.
fn rewritten(number: u32) -> Vec<u8> {
    let text = String::from_utf8(signed(number)).unwrap();
    let changed = text.replace("親愛的客戶", "[外部信件] 親愛的客戶");
    assert_ne!(text, changed);
    changed.into_bytes()
}

fn forged(number: u32) -> Vec<u8> {
    signer::sign_as(
        &notice(number),
        "evil.example",
        &["From", "Subject"],
        |signer| signer,
    )
}

fn under(header: &str, mail: &[u8]) -> Vec<u8> {
    [header.as_bytes(), mail].concat()
}

const VOUCHED: &str =
    "dkim=pass header.d=einvoice.nat.gov.tw;\r\n dmarc=pass header.from=einvoice.nat.gov.tw\r\n";
const RECEIVED: &str = "Received: from a by b; Fri, 20 Nov 2026 09:00:00 +0800\r\n";

/// A Maildir of a house; the first mail is the newest, of 20 November, and each further one is a day
/// older.
fn fill(house: &House, name: &str, mails: &[Vec<u8>]) {
    let path = house.path(name);
    maildir(&path);
    // 2026-11-20 09:00 in Taipei.
    let newest = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_136_400);
    for (age, mail) in (0..).zip(mails) {
        let file = path.join(format!("new/{age}.host"));
        fs::write(&file, mail).unwrap();
        let file = fs::File::options().append(true).open(file).unwrap();
        file.set_modified(newest - Duration::from_secs(86_400 * age))
            .unwrap();
    }
}

fn local(name: &str, more: &str) -> String {
    format!(
        "[[mailbox]]\nname = \"{name}\"\nkind = \"maildir\"\npath = \"@ROOT@/{name}\"\n{more}\n"
    )
}

/// The report, with its line ends, and without what differs.
fn page(house: &House, dns: &Dns) -> (i32, String) {
    let (status, report) = check(house);
    let report = report.replace(house.root.path().to_str().unwrap(), "ROOT");
    (status, report.replace(&dns.address().to_string(), "DNS"))
}

/// As [`page`], below the rows.
fn told(house: &House, dns: &Dns) -> (i32, String) {
    let (status, report) = page(house, dns);
    let (_, below) = report.split_once("latest mail in").unwrap_or(("", &report));
    (status, below.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_latest_twenty_of_an_imap_folder_are_judged_and_the_way_they_are_signed_is_proposed() {
    let (dovecot, dns) = (Dovecot::start(), dns());
    let stranger = Notice {
        from: "\"einvoice@einvoice.nat.gov.tw\" <evil@x.example>",
        ..Notice::default()
    };
    for number in 1..=25 {
        let date = format!("{number:2}-Oct-2026 09:00:00 +0800");
        let mail = match number {
            // Before the latest twenty: nothing of it is looked into.
            1..=5 => notice(number),
            9 => forged(number),
            12 => notice(number),
            _ => signed(number),
        };
        dovecot.deliver_dated("ann", &date, &mail);
    }
    dovecot.deliver_dated("ann", "26-Oct-2026 09:00:00 +0800", &stranger.eml());
    let ca = format!("ca_file = \"{}\"", dovecot.ca_file().display());
    let configuration = mailbox("einvoice", "localhost", dovecot.imaps_port, &ca);
    let house = asking(&dns, "require = \"none\"", &configuration);
    let (status, report) = page(&house, &dns);
    let report = report.replace(&dovecot.imaps_port.to_string(), "IMAPS");
    insta::assert_snapshot!(report);
    assert_eq!(status, 0);
    let flags = dovecot.flags("ann", "INBOX");
    assert_eq!(flags.len(), 26);
    assert!(
        !flags.iter().any(|(_, flags)| flags.contains("\\Seen")),
        "{flags:?}"
    );
    assert!(!house.path("ledger.db").exists());

    // What was proposed is pasted, and there is nothing more to propose.
    let (_, proposed) = report.split_once("  [authenticity]\n").unwrap();
    let (lines, _) = proposed.split_once("\n\n").unwrap();
    demand(&house, &dns, lines);
    let (status, report) = page(&house, &dns);
    insta::assert_snapshot!(report.replace(&dovecot.imaps_port.to_string(), "IMAPS"));
    assert_eq!(status, 0);
}

#[test]
fn settings_that_do_are_left_alone() {
    let dns = dns();
    let house = asking(&dns, "require = \"dkim\"", &local("einvoice", ""));
    fill(&house, "einvoice", &[signed(1), signed(2)]);
    let (status, report) = page(&house, &dns);
    insta::assert_snapshot!(report);
    assert_eq!(status, 0);
    assert!(dns.asked().contains(&signer::record_name()));
}

#[test]
fn a_server_s_word_is_proposed_as_that_server_writes_it() {
    let dns = dns();
    let mut pages = String::new();
    for header in [
        format!("Authentication-Results: mx.example.com; {VOUCHED}{RECEIVED}"),
        format!("{RECEIVED}Authentication-Results: mx.google.com; {VOUCHED}"),
        format!("{RECEIVED}Authentication-Results: {VOUCHED}"),
    ] {
        let house = asking(&dns, "require = \"dkim\"", &local("einvoice", ""));
        let mails: Vec<_> = (1..=4).map(|n| under(&header, &rewritten(n))).collect();
        fill(&house, "einvoice", &mails);
        let (status, report) = told(&house, &dns);
        assert_eq!(status, 0);
        pages.push_str(&report);

        // What was proposed is pasted where it says.
        let (_, proposed) = report.split_once("  [authenticity]\n").unwrap();
        let (lines, of_mailbox) = proposed.split_once("\n\n").unwrap_or((proposed, ""));
        let of_mailbox = of_mailbox.replace("  # in the [[mailbox]] named \"einvoice\"\n", "");
        let house = asking(&dns, lines.trim_end(), &local("einvoice", &of_mailbox));
        fill(&house, "einvoice", &mails);
        let (_, report) = told(&house, &dns);
        assert!(
            report.contains("ok: 4 of 4 pass with the settings"),
            "{report}"
        );
        pages.push_str("────\n");
    }
    insta::assert_snapshot!(pages);
}

#[test]
fn mails_that_disagree_are_counted_and_named() {
    let dns = dns();
    let own = format!("Authentication-Results: mx.example.com; {VOUCHED}{RECEIVED}");
    let house = asking(
        &dns,
        "require = \"dkim\"",
        &(local("one", "") + &local("two", "")),
    );
    let mut mails: Vec<_> = (1..=8).map(|n| under(&own, &signed(n))).collect();
    mails.insert(2, under(&own, &rewritten(9)));
    mails.insert(5, forged(10));
    fill(&house, "one", &mails);
    fill(&house, "two", &[signed(11)]);
    let (status, report) = page(&house, &dns);
    insta::assert_snapshot!(report);
    assert_eq!(status, 0);
}

#[test]
fn mail_that_carries_nothing_is_said_to() {
    let dns = dns();
    let house = asking(&dns, "require = \"dkim\"", &local("einvoice", ""));
    // Only whoever sent the last one says that it is genuine: it stands below a Received.
    let claimed = format!("{RECEIVED}Authentication-Results: mx.example.com; {VOUCHED}");
    fill(
        &house,
        "einvoice",
        &[notice(1), notice(2), under(&claimed, &notice(3))],
    );
    let (status, report) = page(&house, &dns);
    insta::assert_snapshot!(report);
    assert_eq!(status, 0);
}

#[test]
fn without_mail_the_first_one_is_awaited() {
    let dns = dns();
    let house = asking(&dns, "require = \"dkim\"", &local("einvoice", ""));
    let stranger = Notice {
        from: "evil@einvoice.nat.gov.tw",
        ..Notice::default()
    };
    fill(&house, "einvoice", &[stranger.eml()]);
    let (status, report) = page(&house, &dns);
    insta::assert_snapshot!(report);
    assert_eq!(status, 0);
    assert_eq!(dns.asked(), ["invoice.nat.gov.tw"]);
}

#[test]
fn dns_that_is_down_is_a_failure_that_may_pass_and_no_verdict() {
    let dns = dns();
    let house = asking(&dns, "require = \"dkim\"", &local("einvoice", ""));
    let own = format!("Authentication-Results: mx.example.com; {VOUCHED}{RECEIVED}");
    fill(&house, "einvoice", &[under(&own, &signed(1))]);
    dns.override_all(Some(Answer::Code(ResponseCode::ServFail)));
    let (status, report) = page(&house, &dns);
    assert_eq!(status, 75, "{report}");
    assert!(report.contains("FAILED  dns"), "{report}");
    assert!(report.contains("temperror"), "{report}");
    assert!(
        report.contains("nothing can be proposed before DNS answers"),
        "{report}"
    );
    assert!(!report.contains("[authenticity]"), "{report}");
    dns.override_all(Some(Answer::Silence));
    let (status, report) = page(&house, &dns);
    assert_eq!(status, 75, "{report}");
    assert!(report.contains("correct `dns_servers`"), "{report}");

    // Where nothing that is demanded needs it, it is none.
    demand(&house, &dns, "require = \"none\"");
    let (status, report) = page(&house, &dns);
    assert_eq!(status, 0, "{report}");
    assert!(!report.contains("FAILED"), "{report}");
    assert!(report.contains("1 could not be judged"), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_that_cannot_be_searched_can_be_watched_all_the_same() {
    let dns = dns();
    let refusing: &[_] = &[
        (
            "EXAMINE",
            "* 3 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\nTAG OK done\r\n",
        ),
        ("UID SEARCH", "TAG NO no searching here\r\n"),
    ];
    let server = scripted(READY, refusing).await;
    let port = server.address.port();
    let configuration = mailbox("m", "127.0.0.1", port, "tls = \"none\"");
    let house = asking(&dns, "require = \"none\"", &configuration);
    let (status, report) = check(&house);
    assert_eq!(status, 75, "{report}");
    insta::assert_snapshot!(settled(&report, &house, &[(port.to_string(), "SCRIPTED")]));
}
