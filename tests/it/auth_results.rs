//! The receiving server's word, as servers write it: the trace fields of several kinds of server
//! under `tests/fixtures-results`, and the real binary for each kind of mailbox.
//!
//! Left out on purpose: the grammar and every way to forge; the unit tests beside the code show
//! those.

use std::{fs, path::Path};

use invoice_trackd::{
    authenticity::{Evidence, Mail, Require, Results, Settings, Verifier},
    notice::Authenticity,
};

use crate::support::{
    daemon::{COMPANY, House, Notice, maildir, notice},
    dns::Dns,
    signer,
};

const OURS: &str = "mx.example.com";
const PASS: &str = "dkim=pass header.d=einvoice.nat.gov.tw";
const NONE: &str = "dkim=none; dmarc=fail header.from=einvoice.nat.gov.tw";
const RECEIVED: &str = "Received: from a by b; Fri, 20 Apr 2018 09:00:00 +0800\r\n";

/// `eml` as `server` has put a field above it that says `says`.
fn said(server: &str, says: &str, eml: &[u8]) -> Vec<u8> {
    let field = match server {
        "" => format!("Authentication-Results: {says}\r\n"),
        server => format!("Authentication-Results: {server}; {says}\r\n"),
    };
    [field.as_bytes(), RECEIVED.as_bytes(), eml].concat()
}

/// `eml` with one more Received field on top.
fn received(eml: &[u8]) -> Vec<u8> {
    [RECEIVED.as_bytes(), eml].concat()
}

/// The evidence about a notice under the trace fields of a sample, with both line ends.
async fn judged(sample: &str, results: Results, trusted: &str) -> Evidence {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures-results");
    let trace = fs::read_to_string(root.join(sample).with_extension("txt")).unwrap();
    let verifier = Verifier::new(Settings {
        require: Require::AuthenticationResults,
        trusted_authserv_ids: vec![trusted.to_owned()],
        ..Settings::default()
    });
    let from = Notice::default().from.parse().unwrap();
    let mut evidence = Vec::new();
    for trace in [trace.clone(), trace.replace('\n', "\r\n")] {
        let raw = [trace.as_bytes(), &Notice::default().eml()].concat();
        let mail = Mail {
            raw: &raw,
            forwarded: None,
            from: Some(&from),
            results,
        };
        evidence.push(verifier.verify(&mail).await);
    }
    assert_eq!(evidence[0], evidence[1], "{sample}");
    evidence.remove(0)
}

#[tokio::test]
async fn what_known_servers_write_is_understood() {
    use Results::*;
    let mut seen = 0;
    for (sample, kind, id) in [
        ("gmail", Google, "mx.google.example"),
        ("microsoft_365", Microsoft, "unused.example"),
        ("postfix_opendkim", Top, "mail.example.com"),
        ("postfix_opendkim_opendmarc", Top, "mail.example.com"),
        ("rspamd", Top, "mail.example.com"),
        ("exim", Top, "mail.example.com"),
        ("fastmail_in_one", Top, "mx1.messages.example"),
        (
            "yahoo",
            Top,
            "atlas-production.v2-mail-prod1-sg3.omega.yahoo.example",
        ),
    ] {
        seen += 1;
        let evidence = judged(sample, kind, id).await;
        assert_eq!(evidence.result(), "pass", "{sample}: {evidence:?}");
        let proof = evidence.proof.unwrap();
        assert_eq!(proof.method.as_str(), "authentication-results", "{sample}");
        assert_eq!(proof.domain.as_deref(), Some(signer::DOMAIN), "{sample}");
        // In another kind of mailbox, or where another server is trusted, it proves nothing.
        for other in Results::ALL {
            let stricter = (kind, other) == (Google, Top);
            if other != kind && (stricter || [kind, other].contains(&Microsoft)) {
                let evidence = judged(sample, other, id).await;
                assert_eq!(evidence.result(), "fail", "{sample} {other:?}");
            }
        }
        if kind != Microsoft {
            let evidence = judged(sample, kind, "mx.other.example").await;
            assert_eq!(evidence.result(), "fail", "{sample}");
        }
    }
    // Who spreads it over several fields, and what matters below the topmost, proves nothing.
    let evidence = judged("fastmail", Top, "mx1.messages.example").await;
    assert_eq!(evidence.result(), "fail");
    let files = fs::read_dir("tests/fixtures-results").unwrap().count();
    assert_eq!(seen + 1, files, "a sample that no test reads");
}

/// The fields that are proven with a mail, where that is known.
async fn covered(raw: &[u8]) -> Option<Vec<String>> {
    let verifier = Verifier::new(Settings {
        require: Require::AuthenticationResults,
        trusted_authserv_ids: vec![OURS.to_owned()],
        ..Settings::default()
    });
    let from = Notice::default().from.parse().unwrap();
    let mail = Mail {
        raw,
        forwarded: None,
        from: Some(&from),
        results: Results::Top,
    };
    match verifier.verify(&mail).await.verdict {
        Authenticity::Proven { signed } => signed,
        other => panic!("{other:?}"),
    }
}

/// A genuine notice for somebody else that is sent again to us: the server says that the signature
/// holds, and so it does, whoever is named in a second To.
#[tokio::test]
async fn a_servers_word_proves_no_field_that_the_signature_does_not_cover() {
    let eml = Notice::default().eml();
    let signed = |tags: &str, eml: &[u8]| {
        let signed = String::from_utf8(signer::by_hand(eml, tags)).unwrap();
        let (field, _) = signed.split_once("\r\n").unwrap();
        format!("{field}\r\n")
    };
    let with = |above: &str| said(OURS, PASS, &[above.as_bytes(), &eml].concat());
    let covers = |fields: Option<Vec<String>>, name: &str| {
        fields.map(|fields| fields.iter().any(|field| field == name))
    };
    // Nobody has signed it: all that is known is the server's word.
    assert_eq!(covered(&with("")).await, None);

    let genuine = signed(signer::TAGS, &eml);
    let fields = covered(&with(&genuine)).await;
    assert_eq!(covers(fields.clone(), "to"), Some(true));
    assert_eq!(covers(fields, "cc"), Some(false));

    let second = "To: einvoice@example.com\r\n";
    let stranger = signed(&signer::TAGS.replace(signer::DOMAIN, "evil.example"), &eml);
    let wider = signed(&signer::TAGS.replace("To:", "To:To:Cc:"), &eml);
    let unreadable = "DKIM-Signature: x\r\n";
    for (above, expected) in [
        (format!("{second}{genuine}"), Some(false)),
        (format!("{wider}{second}{genuine}"), Some(false)),
        (
            format!("{second}{}{genuine}", stranger.repeat(20)),
            Some(false),
        ),
        (
            format!("{second}{}{genuine}", "X: y\r\n".repeat(1000)),
            Some(false),
        ),
        (format!("{stranger}{genuine}"), Some(true)),
        // It may be the one that the server means.
        (format!("{unreadable}{genuine}"), Some(false)),
        (stranger, None),
    ] {
        let fields = covered(&with(&above)).await;
        assert_eq!(covers(fields, "to"), expected, "{above:.300}");
    }
}

/// A house with a Maildir for each kind, that demands `require`.
fn house(require: &str, trusted: &str, dns: &Dns) -> House {
    let mut configuration = COMPANY.to_owned();
    for kind in Results::ALL.map(Results::as_str) {
        configuration += &format!(
            "[[mailbox]]\nname = \"{kind}\"\nkind = \"maildir\"\npath = \"@ROOT@/{kind}\"\n\
             results = \"{kind}\"\n"
        );
    }
    let house = House::with_mail(&configuration);
    for kind in Results::ALL.map(Results::as_str) {
        maildir(&house.path(kind));
    }
    let config = fs::read_to_string(house.path("config.toml")).unwrap();
    let demanded = format!(
        "require = \"{require}\"\ntrusted_authserv_ids = [{trusted}]\ndns_servers = [\"{}\"]",
        dns.address()
    );
    house.write(
        "config.toml",
        config.replace("require = \"none\"", &demanded),
    );
    house
}

/// Disposition, result, method and the first sentence about the proof that `explain` gives.
fn explain(house: &House, mailbox: &str, eml: &[u8]) -> [String; 4] {
    let file = house.write("mail.eml", eml);
    let (status, said) = house.json(&[
        "explain",
        "--json",
        "--mailbox",
        mailbox,
        file.to_str().unwrap(),
    ]);
    let disposition = said["disposition"].as_str().unwrap().to_owned();
    assert_eq!(status, if disposition == "imported" { 0 } else { 65 });
    let word = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let defects = said["defects"].as_array().unwrap();
    let defect = defects
        .iter()
        .find(|defect| defect["code"] == "not_authenticated");
    [
        disposition,
        word(&said["authenticity"]["result"]),
        word(&said["authenticity"]["method"]),
        defect.map_or_else(String::new, |defect| word(&defect["detail"])),
    ]
}

#[test]
fn each_kind_of_mailbox_believes_its_own_servers_field_and_no_other() {
    let dns = Dns::start();
    let house = house(
        "authentication-results",
        "\"other.example\", \"MX.example.com\"",
        &dns,
    );
    let eml = Notice::default().eml();
    let on_top = said(OURS, PASS, &eml);
    let nameless = said("", PASS, &eml);
    let imported = ["imported", "pass", "authentication-results"];
    let refused = ["quarantined", "fail", "authentication-results"];
    for (mailbox, eml, expected) in [
        ("top", on_top.clone(), imported),
        ("google", on_top.clone(), imported),
        ("google", received(&on_top), imported),
        ("microsoft", nameless.clone(), imported),
        ("microsoft", received(&nameless), imported),
        ("top", received(&on_top), refused),
        ("microsoft", on_top.clone(), refused),
        ("top", nameless.clone(), refused),
        ("google", nameless.clone(), refused),
        ("top", said("mx.evil.example", PASS, &eml), refused),
        ("top", said(OURS, NONE, &on_top), refused),
        ("google", said(OURS, NONE, &on_top), refused),
        ("microsoft", said("", NONE, &nameless), refused),
        ("top", eml.clone(), ["quarantined", "none", ""]),
    ] {
        let [disposition, result, method, why] = explain(&house, mailbox, &eml);
        let words = [&disposition, &result, &method];
        assert_eq!(words, expected, "{mailbox}: {why}");
        assert_eq!(why.is_empty(), expected == imported, "{mailbox}: {why}");
    }
    let [.., why] = explain(&house, "top", &said("mx.evil.example", PASS, &eml));
    assert!(
        why.contains("`mx.evil.example`") && why.contains("`trusted_authserv_ids`"),
        "{why}"
    );
    assert_eq!(dns.asked(), Vec::<String>::new(), "it needs no resolver");
}

#[test]
fn either_is_satisfied_by_the_one_or_the_other() {
    let dns = signer::dns();
    let house = house("either", "\"mx.example.com\"", &dns);
    let eml = Notice::default().eml();
    let signed = signer::sign(&eml);
    for (mailbox, eml, expected) in [
        (
            "top",
            said(OURS, PASS, &eml),
            ["imported", "pass", "authentication-results"],
        ),
        (
            "microsoft",
            said("", PASS, &eml),
            ["imported", "pass", "authentication-results"],
        ),
        ("top", signed.clone(), ["imported", "pass", "dkim"]),
        (
            "top",
            said(OURS, NONE, &signed),
            ["imported", "pass", "dkim"],
        ),
        (
            "top",
            said("mx.evil.example", PASS, &signed),
            ["imported", "pass", "dkim"],
        ),
        ("top", said(OURS, NONE, &eml), ["quarantined", "none", ""]),
    ] {
        let [disposition, result, method, why] = explain(&house, mailbox, &eml);
        let words = [&disposition, &result, &method];
        assert_eq!(words, expected, "{mailbox}: {why}");
    }
    let [.., why] = explain(&house, "top", &said("mx.evil.example", PASS, &eml));
    for lacking in [
        "there is no DKIM signature",
        "is not on `trusted_authserv_ids`",
    ] {
        assert!(why.contains(lacking), "{why}");
    }
    // Without a trusted server there is DKIM alone, but where the provider names no server.
    let house = self::house("either", "", &dns);
    let [disposition, ..] = explain(&house, "top", &said(OURS, PASS, &eml));
    assert_eq!(disposition, "quarantined");
    let [disposition, ..] = explain(&house, "microsoft", &said("", PASS, &eml));
    assert_eq!(disposition, "imported");
}

/// `eml` as an attachment of a colleague's mail.
fn forwarded(eml: &[u8]) -> Vec<u8> {
    let outer = "From: colleague@example.com\r\nTo: einvoice@example.com\r\n\
                 Subject: Fwd: =?UTF-8?B?6YWN6Jmf57WQ5p6c6YCa55+l?=\r\nMIME-Version: 1.0\r\n\
                 Content-Type: multipart/mixed; boundary=\"b\"\r\n\r\n--b\r\n\
                 Content-Type: message/rfc822\r\n\r\n";
    [outer.as_bytes(), eml, b"\r\n--b--\r\n"].concat()
}

#[test]
fn no_field_speaks_for_an_attached_message() {
    let dns = signer::dns();
    let results = house("authentication-results", "\"mx.example.com\"", &dns);
    let either = house("either", "\"mx.example.com\"", &dns);
    let eml = Notice::default().eml();
    // Inside, outside, and both; the outer one even names the platform's domain.
    for mail in [
        forwarded(&said(OURS, PASS, &eml)),
        said(OURS, PASS, &forwarded(&eml)),
        said(OURS, PASS, &forwarded(&said(OURS, PASS, &eml))),
    ] {
        let [disposition, result, _, why] = explain(&results, "top", &mail);
        assert_eq!(
            [disposition.as_str(), result.as_str()],
            ["quarantined", "none"]
        );
        assert!(why.contains("forwarded as an attachment"), "{why}");
        let [disposition, ..] = explain(&either, "top", &mail);
        assert_eq!(disposition, "quarantined");
    }
    // Its own signature does, where one counts.
    let signed = forwarded(&signer::sign(&eml));
    let [disposition, _, method, _] = explain(&either, "top", &signed);
    assert_eq!(
        [disposition.as_str(), method.as_str()],
        ["imported", "dkim"]
    );
}

#[test]
fn two_senders_are_not_one() {
    let dns = Dns::start();
    let house = house("authentication-results", "\"mx.example.com\"", &dns);
    let text = String::from_utf8(Notice::default().eml()).unwrap();
    for from in [
        "From: einvoice@einvoice.nat.gov.tw, evil@evil.example\r\n",
        "From: einvoice@einvoice.nat.gov.tw\r\nFrom: evil@evil.example\r\n",
        "From: evil@evil.example\r\nFrom: einvoice@einvoice.nat.gov.tw\r\n",
    ] {
        let eml = text.replace("From: einvoice@einvoice.nat.gov.tw\r\n", from);
        let [disposition, result, _, why] =
            explain(&house, "top", &said(OURS, PASS, eml.as_bytes()));
        assert_eq!(
            [disposition.as_str(), result.as_str()],
            ["quarantined", "fail"]
        );
        assert!(why.contains("expected one address in From"), "{why}");
    }
}

#[tokio::test]
async fn a_daemon_records_what_its_server_vouches_for_and_quarantines_the_rest() {
    let dns = Dns::start();
    let house = house("authentication-results", "\"mx.example.com\"", &dns);
    let deliver = |mailbox: &str, name: &str, eml: &[u8]| {
        house.write(&format!("{mailbox}/new/{name}"), eml);
    };
    deliver("top", "1.a", &said(OURS, PASS, &notice("EC")));
    deliver("top", "2.a", &received(&said(OURS, PASS, &notice("ED"))));
    deliver("top", "3.a", &notice("EE"));
    deliver("google", "1.b", &received(&said(OURS, PASS, &notice("EF"))));
    deliver("microsoft", "1.c", &said("", PASS, &notice("EG")));
    deliver("microsoft", "2.c", &said(OURS, PASS, &notice("EH")));
    let daemon = house.run(&[]);
    house
        .until("six mails are judged", || async {
            house.messages("imported").await + house.messages("quarantined").await == 6
        })
        .await;
    let mut tracks: Vec<String> = house
        .allocations()
        .await
        .into_iter()
        .map(|row| row.allocation.block.track.to_string())
        .collect();
    tracks.sort();
    assert_eq!(tracks, ["EC", "EF", "EG"]);
    assert_eq!(house.messages("quarantined").await, 3);
    assert_eq!(
        daemon.terminate(std::time::Duration::from_secs(20)),
        Some(0)
    );

    // What is kept about one of them.
    let (_, listed) = house.json(&["quarantine", "list", "--json"]);
    let ids = listed.as_array().unwrap().iter();
    let mut results: Vec<String> = ids
        .map(|row| {
            let id = row["id"].to_string();
            let (_, shown) = house.json(&["quarantine", "show", &id, "--json"]);
            shown["authenticity"].to_string()
        })
        .collect();
    results.sort();
    assert!(results[0].contains("\"fail\""), "{results:?}");
    assert!(
        results[0].contains("\"authentication-results\""),
        "{results:?}"
    );
    assert!(results[2].contains("\"none\""), "{results:?}");
}
