//! `explain`: the checklist, the JSON, and what is left behind: nothing.

use super::house;
use crate::support::daemon::Notice;

#[test]
fn explain_says_all_and_writes_nothing() {
    let house = house();
    let file = house.write("notice.eml", Notice::default().eml());
    let (status, object) = house.json(&["explain", file.to_str().unwrap(), "--json"]);
    assert_eq!(status, 0);
    assert_eq!(object["disposition"], "imported");
    assert_eq!(object["from"], "einvoice@einvoice.nat.gov.tw");
    assert_eq!(object["subject"], "電子發票配號結果通知");
    assert_eq!(object["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(
        object["authenticity"],
        serde_json::json!({ "result": "not_required", "method": null, "domain": null, "selector": null })
    );
    assert_eq!(
        object["company"],
        serde_json::json!({ "ban": "53567686", "source": "body" })
    );
    assert_eq!(object["defects"], serde_json::json!([]));
    assert_eq!(object["warnings"][0]["code"], "period_past");
    assert_eq!(
        object["allocations"],
        serde_json::json!([{
            "ban": "53567686",
            "invoice_type": "07",
            "year_month": "10706",
            "invoice_track": "EC",
            "invoice_begin_no": "22628000",
            "invoice_end_no": "22634399",
            "invoice_booklet": 128,
            "requested_booklets": 0,
            "added_booklets": 128,
        }])
    );
    assert!(
        !house.path("ledger.db").exists(),
        "explain has made a ledger"
    );
}

#[test]
fn explain_reads_standard_input_and_ends_with_65_for_a_quarantined_message() {
    let house = house();
    let forged = Notice {
        from: "einvoice@nat-gov.example",
        ..Notice::default()
    }
    .eml();
    let output = house.command_with_input(&["explain", "-", "--json"], &forged);
    assert_eq!(output.status.code(), Some(65));
    let object: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(object["disposition"], "quarantined");
    assert_eq!(object["defects"][0]["code"], "sender_not_allowed");
}

/// A checklist without what depends on the day on which it is printed.
fn timeless(stdout: Vec<u8>) -> String {
    let text = String::from_utf8(stdout).unwrap();
    let today = text.split_once(" period is ").map(|(_, rest)| &rest[..15]);
    match today {
        Some(period) => text.replace(period, "(today's)"),
        None => text,
    }
}

#[test]
fn explain_reads_like_a_calm_checklist() {
    let house = house();
    let genuine = house.write("genuine.eml", Notice::default().eml());
    let good = house.command(&["explain", genuine.to_str().unwrap()]);
    insta::assert_snapshot!("explain_imported", timeless(good.stdout));

    let text = String::from_utf8(Notice::default().eml()).unwrap();
    let broken = text
        .replace("發票迄號：22634399", "發票迄號：22634398")
        .replace("0\r\n增加", "x\r\n增加");
    let output = house.command_with_input(&["explain", "-"], broken.as_bytes());
    assert_eq!(output.status.code(), Some(65));
    insta::assert_snapshot!("explain_quarantined", timeless(output.stdout));
}

/// The line of the checklist that holds `rule`, with what goes on below it.
fn line(text: &str, rule: &str) -> String {
    let unfolded = text.replace("\n      ", " ");
    let found = unfolded.lines().find(|line| line.contains(rule));
    found
        .unwrap_or_else(|| panic!("no line {rule} in\n{text}"))
        .to_owned()
}

#[test]
fn explain_ticks_off_nothing_that_it_has_not_seen() {
    let house = house();
    let explain = |eml: &[u8]| {
        let output = house.command_with_input(&["explain", "-"], eml);
        String::from_utf8(output.stdout).unwrap()
    };

    let stranger = Notice {
        from: "promo@phish.example",
        ..Notice::default()
    };
    let mut large = stranger.eml();
    large.resize(2_000_000, b'x');
    let text = explain(&large);
    assert!(line(&text, "寄件人").starts_with("  · "), "{text}");
    for rule in ["欄位", "期別", "號碼", "本數", "營業人", "帳本"] {
        assert!(line(&text, rule).ends_with("not known"), "{text}");
    }

    let whole = String::from_utf8(Notice::default().eml()).unwrap();
    let reversed = whole.replace("發票迄號：22634399", "發票迄號：22627999");
    let text = explain(reversed.as_bytes());
    assert!(line(&text, "欄位").ends_with("all there"), "{text}");

    let (_, block) = whole.split_once("字軌名稱").unwrap();
    let cut_off = format!("{whole}\r\n字軌名稱{block}").replacen("發票起號", "（無）", 1);
    let text = explain(cut_off.as_bytes());
    for rule in ["期別", "號碼", "本數", "帳本"] {
        let line = line(&text, rule);
        assert!(
            line.starts_with("  · ") && line.ends_with("could be read)"),
            "{text}"
        );
    }

    let shared = format!("{whole}\r\n字軌名稱{block}")
        .replacen("22634399", "22630499", 1)
        .replacen(
            "發票起號：22628000\r\n發票迄號：22634399",
            "發票起號：22630500\r\n發票迄號：22634399",
            1,
        );
    let text = explain(shared.as_bytes());
    assert!(line(&text, "本數").ends_with("0 + 128 = 50 + 78"), "{text}");
}

#[test]
fn explain_says_why_a_mail_is_unrelated() {
    let house = house();
    for (mail, why) in [
        (
            "From: a@example.net\r\nSubject: hello\r\n\r\nx",
            "the text was not looked at",
        ),
        (
            "From: a@example.net\r\nSubject: =?utf-8?q?=E5=AD=97=E8=BB=8C?=\r\n\r\nx",
            "the text lacks",
        ),
        (
            "From: einvoice@example.com\r\nAuto-Submitted: auto-generated\r\n\r\nx",
            "our own mail",
        ),
    ] {
        let output = house.command_with_input(&["explain", "-"], mail.as_bytes());
        assert_eq!(output.status.code(), Some(0));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(line(&text, "why").contains(why), "{text}");
    }
}

#[test]
fn explain_knows_the_ledger_and_the_mailboxes() {
    let house = house();
    let file = house.write("notice.eml", Notice::default().eml());
    let file = file.to_str().unwrap();
    assert_eq!(
        house.command(&["ingest", "--no-mail", file]).status.code(),
        Some(0)
    );
    let (status, object) = house.json(&["explain", "--mailbox", "einvoice", file, "--json"]);
    assert_eq!(
        (status, &object["disposition"]),
        (0, &serde_json::json!("duplicate"))
    );

    // Nor does a ledger that is there change, whatever the message would have become.
    let known = house.json(&["status", "--json"]);
    let next = Notice {
        track: "ED",
        ..Notice::default()
    };
    let forged = Notice {
        from: "a@b.example",
        ..Notice::default()
    };
    for (mail, expected) in [(next.eml(), 0), (forged.eml(), 65)] {
        let output = house.command_with_input(&["explain", "-"], &mail);
        assert_eq!(output.status.code(), Some(expected));
    }
    assert_eq!(house.json(&["status", "--json"]), known);

    let output = house.command(&["explain", "--mailbox", "nosuch", file]);
    assert_eq!(output.status.code(), Some(2));
    let sentence = String::from_utf8(output.stderr).unwrap();
    assert!(
        sentence.contains("einvoice") && sentence.contains("nosuch"),
        "{sentence}"
    );
}
