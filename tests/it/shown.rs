//! What people see of a proof: `explain`, `quarantine show`, and the mails, on the real binary.

use std::{collections::BTreeSet, fs, path::Path};

use crate::{
    genuine::demanding,
    support::{
        daemon::{COMPANY, House, Notice},
        signer,
    },
};

fn page(house: &House, command: &[&str]) -> String {
    String::from_utf8(house.command(command).stdout).unwrap()
}

fn ingest(house: &House, eml: &[u8]) {
    let file = house.write("mail.eml", eml);
    let output = house.command(&["ingest", file.to_str().unwrap()]);
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{words}");
}

/// The texts of the mails that were sent.
fn texts(sent: &Path) -> Vec<String> {
    let entries = fs::read_dir(sent).unwrap();
    let mails = entries.map(|entry| fs::read(entry.unwrap().path()).unwrap());
    mails
        .map(|eml| {
            let mail = mail_parser::MessageParser::default().parse(&eml).unwrap();
            mail.body_text(0).unwrap().replace('\r', "")
        })
        .collect()
}

/// A notice that was changed after it was signed.
fn changed() -> Vec<u8> {
    let signed = String::from_utf8(signer::sign(&Notice::default().eml())).unwrap();
    signed.replace("22634399", "22634349").into_bytes()
}

#[track_caller]
fn assert_shows(page: &str, facts: &[&str]) {
    for fact in facts {
        assert!(page.contains(fact), "{fact} is missing:\n{page}");
    }
}

#[test]
fn explain_shows_the_proof_and_where_the_whole_key_is() {
    let dns = signer::dns();
    let house = demanding(&dns);
    let file = house.write("mail.eml", signer::sign(&Notice::default().eml()));
    let shown = page(&house, &["explain", file.to_str().unwrap()]);
    let key = signer::record();
    let length = key.len();
    assert_shows(
        &shown,
        &[
            "✓ 真偽 genuine      proven by dkim einvoice.nat.gov.tw, s2026",
            "結果 result        pass 通過\n",
            "方法 method        dkim\n",
            "網域 domain        einvoice.nat.gov.tw\n",
            "selector           s2026\n",
            "簽章欄位 signed    ",
            &key[..32],
            &format!("({length} characters;"),
            "s2026._domainkey.einvoice.nat.gov.tw",
        ],
    );
    assert!(!shown.contains(&key), "{shown}");

    // What fails is shown too, for a person who must find out why.
    let file = house.write("mail.eml", changed());
    let shown = page(&house, &["explain", file.to_str().unwrap()]);
    assert_shows(
        &shown,
        &[
            "✗ 真偽 genuine      not_authenticated: ",
            "結果 result        fail 不算數\n",
        ],
    );
    // Where nothing was there, there is nothing to lay out.
    let file = house.write("mail.eml", Notice::default().eml());
    let shown = page(&house, &["explain", file.to_str().unwrap()]);
    assert!(!shown.contains("來源證明"), "{shown}");
}

#[test]
fn quarantine_show_lays_out_the_proof_and_its_json_has_all_of_it() {
    let dns = signer::dns();
    let house = demanding(&dns);
    // Only a mail whose body is as it was signed has its key asked for.
    let signed = String::from_utf8(signer::sign(&Notice::default().eml())).unwrap();
    let changed = signed.replace("\r\nSubject: ", "\r\nSubject: Re: ");
    ingest(&house, changed.as_bytes());
    let shown = page(&house, &["quarantine", "show", "1"]);
    assert_shows(
        &shown,
        &[
            "來源證明 proof of origin\n  結果 result        fail 不算數\n",
            "方法 method        dkim\n",
            "網域 domain        einvoice.nat.gov.tw\n",
            "selector           s2026\n",
            "演算法 algorithm   rsa-sha256\n",
            "`invoice-trackd quarantine show 1 --json`",
            "時間 judged at     ",
            "不要點信裡的連結",
        ],
    );
    let (_, said) = house.json(&["quarantine", "show", "1", "--json"]);
    let told = &said["authenticity"];
    let keys: BTreeSet<&str> = told
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    for key in [
        "result",
        "detail",
        "method",
        "domain",
        "selector",
        "algorithm",
        "key",
        "signed_fields",
        "judged_at",
    ] {
        assert!(keys.contains(key), "{told:#}");
    }
    assert_eq!(told["result"], "fail");
    assert_eq!(told["key"], signer::record());
    assert!(told["detail"].is_string(), "{told:#}");

    // Of one that was recorded, the fields that were signed are kept besides.
    ingest(&house, &signer::sign(&Notice::default().eml()));
    let (_, said) = house.json(&["quarantine", "show", "2", "--json"]);
    let signed = said["authenticity"]["signed_fields"].as_str().unwrap();
    let signed: BTreeSet<&str> = signed.split(':').collect();
    assert_eq!(signed, BTreeSet::from(["date", "from", "subject", "to"]));
    let shown = page(&house, &["quarantine", "show", "2"]);
    assert_shows(
        &shown,
        &["結果 result        pass 通過\n", "簽章欄位 signed    "],
    );
}

#[test]
fn a_confirmation_says_what_proved_the_notice() {
    let dns = signer::dns();
    let house = demanding(&dns);
    ingest(&house, &signer::sign(&Notice::default().eml()));
    let told = texts(&house.path("sent")).concat();
    assert_shows(
        &told,
        &["  證明方式  DKIM einvoice.nat.gov.tw, s2026, rsa-sha256\n"],
    );

    let believing = House::with_mail(COMPANY);
    ingest(&believing, &Notice::default().eml());
    let told = texts(&believing.path("sent")).concat();
    assert_shows(&told, &["  證明方式  沒有查證：", "\"none\""]);
}

#[test]
fn a_confirmation_after_a_release_says_that_a_person_vouched_or_what_proved_it_then() {
    let release = |house: &House, more: &[&str]| {
        fs::remove_dir_all(house.path("sent")).unwrap();
        fs::create_dir(house.path("sent")).unwrap();
        let command = ["quarantine", "release", "1", "--reason", "查證過"];
        let output = house.command(&[&command, more].concat());
        let words = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{words}");
        texts(&house.path("sent")).concat()
    };
    let dns = signer::dns();
    let house = demanding(&dns);
    ingest(&house, &Notice::default().eml());
    let warned = texts(&house.path("sent")).concat();
    assert_shows(&warned, &["這可能是釣魚信：不要點信裡的連結"]);
    let told = release(&house, &[]);
    assert_shows(&told, &["  證明方式  沒有證明，由人工放行\n"]);

    // Proven, and waiting for another reason.
    let house = demanding(&dns);
    let eml = String::from_utf8(Notice::default().eml()).unwrap();
    let eml = eml.replace("(53567686)", "()").replace("To: e", "To: x");
    ingest(&house, &signer::sign(eml.as_bytes()));
    // The key may be gone by then.
    dns.override_all(Some(crate::support::dns::Answer::Silence));
    let told = release(&house, &["--ban", "53567686"]);
    assert_shows(
        &told,
        &["  證明方式  DKIM einvoice.nat.gov.tw, s2026, rsa-sha256\n"],
    );
}
