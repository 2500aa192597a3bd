//! Signatures that others made: RFC 8463's example, and a real Exim's.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use invoice_trackd::authenticity::{Outcome, Settings, Verifier};

use super::{at_a_glance, changed, judged, settings};
use crate::support::{
    daemon::Notice,
    dns::{Answer, Dns},
    exim,
    signer::{self, DOMAIN},
};

/// RFC 8463 Appendix A.3.
const SIGNED_TWICE: &[u8] = include_bytes!("rfc8463-signed-twice.eml");

/// RFC 8463 Appendix A.2.
const ED25519: &str = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
const RSA: &str = "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk0\
    8a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5\
    QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB";

const FOOTBALL: &str = "football.example.com";

#[tokio::test]
async fn the_rfcs_own_mail_passes_with_either_of_its_signatures() {
    let dns = Dns::start();
    let knows = |selector: &str, record: &str| {
        let name = format!("{selector}._domainkey.{FOOTBALL}");
        dns.answer(&name, Answer::Txt(vec![record.to_owned()]));
    };
    let settings = Settings {
        domains: vec![FOOTBALL.to_owned()],
        ..settings(&dns)
    };
    let eml = String::from_utf8(SIGNED_TWICE.to_vec()).unwrap();
    let crlf = eml.replace('\n', "\r\n");
    knows("brisbane", ED25519);
    for eml in [&eml, &crlf] {
        let evidence = judged(eml.as_bytes(), &settings).await;
        assert_eq!(
            at_a_glance(&evidence),
            ("pass", Some(FOOTBALL), Some("brisbane"))
        );
    }
    knows("test", RSA);
    let all = Verifier::new(settings.clone())
        .survey(crlf.as_bytes(), None)
        .await
        .signatures;
    assert_eq!(all.len(), 2);
    assert!(
        all.iter().all(|signed| signed.outcome == Outcome::Pass),
        "{all:?}"
    );
    knows("brisbane", "v=DKIM1; k=ed25519; p=");
    let evidence = judged(crlf.as_bytes(), &settings).await;
    assert_eq!(
        at_a_glance(&evidence),
        ("pass", Some(FOOTBALL), Some("test"))
    );
    let tampered = changed(crlf.as_bytes(), "We lost", "We won");
    assert_eq!(judged(&tampered, &settings).await.result(), "fail");
}

/// The private key to [`ED25519`] (RFC 8463 Appendix A.1), as RFC 8410 §7 has it.
fn ed25519_pem() -> String {
    let prefix = BASE64_STANDARD.decode("MC4CAQAwBQYDK2VwBCIEIA==").unwrap();
    let seed = BASE64_STANDARD
        .decode("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")
        .unwrap();
    let key = BASE64_STANDARD.encode([prefix, seed].concat());
    format!("-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----\n")
}

#[tokio::test]
async fn what_a_real_exim_signs_passes_and_what_is_changed_after_it_does_not() {
    let dns = Dns::start();
    let ed25519 = ed25519_pem();
    for (key, record, algorithm) in [
        (signer::PEM, signer::record(), "rsa-sha256"),
        (&ed25519, ED25519.to_owned(), "ed25519-sha256"),
    ] {
        let name = format!("exim._domainkey.{DOMAIN}");
        dns.answer(&name, Answer::Txt(vec![record]));
        for canonicalization in ["relaxed", "simple"] {
            let eml = exim::signed(&Notice::default().eml(), DOMAIN, key, canonicalization);
            let evidence = judged(&eml, &settings(&dns)).await;
            let expected = ("pass", Some(DOMAIN), Some("exim"));
            assert_eq!(at_a_glance(&evidence), expected, "{evidence:?}");
            assert_eq!(
                evidence.proof.unwrap().algorithm.as_deref(),
                Some(algorithm)
            );
            for (from, to) in [("22628000", "22628050"), ("Subject: =?", "Subject: x=?")] {
                let tampered = changed(&eml, from, to);
                assert_eq!(judged(&tampered, &settings(&dns)).await.result(), "fail");
            }
        }
    }
}
