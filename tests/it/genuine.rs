//! Where mail comes from, end to end: `explain` on the real binary, keys from a DNS server on
//! loopback.

use std::fs;

use crate::support::{
    daemon::{COMPANY, House, Notice},
    dns::{Answer, Dns},
    signer,
};

/// A house that demands proof by DKIM and asks `dns` for keys.
pub fn demanding(dns: &Dns) -> House {
    let house = House::with_mail(COMPANY);
    let config = fs::read_to_string(house.path("config.toml")).unwrap();
    let demanded = format!("require = \"dkim\"\ndns_servers = [\"{}\"]", dns.address());
    house.write(
        "config.toml",
        config.replace("require = \"none\"", &demanded),
    );
    house
}

/// What `explain --json` says of `eml`, and its exit status.
pub fn explain(house: &House, eml: &[u8]) -> (serde_json::Value, i32) {
    let file = house.write("mail.eml", eml);
    let output = house.command(&["explain", "--json", file.to_str().unwrap()]);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    let said = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{words}"));
    (said, output.status.code().unwrap())
}

#[test]
fn a_signed_notice_is_imported_and_an_unsigned_one_waits_for_a_person() {
    let dns = signer::dns();
    let house = demanding(&dns);
    let eml = Notice::default().eml();
    let (said, status) = explain(&house, &signer::sign(&eml));
    assert_eq!(status, 0, "{said:#}");
    assert_eq!(said["disposition"], "imported");
    let expected = serde_json::json!({
        "result": "pass",
        "method": "dkim",
        "domain": signer::DOMAIN,
        "selector": signer::SELECTOR,
    });
    assert_eq!(said["authenticity"], expected);

    let (said, status) = explain(&house, &eml);
    assert_eq!(status, 65, "{said:#}");
    assert_eq!(said["defects"][0]["code"], "not_authenticated");
    assert_eq!(said["authenticity"]["result"], "none");
}

#[test]
fn a_resolver_that_does_not_answer_is_no_verdict() {
    let dns = signer::dns();
    dns.override_all(Some(Answer::Silence));
    let house = demanding(&dns);
    let (said, status) = explain(&house, &signer::sign(&Notice::default().eml()));
    assert_eq!(status, 75, "{said:#}");
    assert_eq!(said["disposition"], "waiting");
    assert_eq!(said["authenticity"]["result"], "temperror");
}
