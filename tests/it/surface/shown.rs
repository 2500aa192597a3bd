//! A mail that was written to deceive whoever reads about it, in every place where it is shown.

use std::{
    fs,
    process::{Command, Stdio},
};

use crate::support::daemon::{COMPANY, House, MAIL, PROGRAM, maildir};

/// Turns text, hides in it, commands a terminal (C0 and C1), begins a line and a header field.
const HOSTILE: &str = "配號結果\u{202e}gnp\u{200b}\u{2066}\u{9b}31m\u{1b}]0;owned\u{7}\u{0}\r\nBcc: thief@example.net\r\nx\u{2028}y\u{61c}\u{e0041}😀";

fn mail() -> Vec<u8> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let subject = STANDARD.encode(HOSTILE);
    let value = "\u{202e}22628000\u{1b}[2J\u{9b}2J";
    let name = "\u{202e}某公司\u{1b}[31m";
    format!(
        "From: einvoice@example.net\r\nTo: einvoice@example.com\r\nSubject: =?utf-8?B?{subject}?=\r\n\
         MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\
         貴公司({name})\r\n字軌名稱：EC\r\n發票期別：107/05\u{202e} - 107/06\r\n發票類別：一般稅額計算\r\n\
         申請本數：0\r\n增加本數：128\r\n發票起號：{value}\r\n發票迄號：22634399\r\n"
    )
    .into_bytes()
}

/// What no reader may be given as it is.
fn is_unseen(c: char) -> bool {
    c.is_control() && c != '\n'
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || matches!(c, '\u{61c}' | '\u{e0000}'..='\u{e0fff}')
}

fn assert_harmless(what: &str, text: &str) {
    let found = text.chars().find(|c| is_unseen(*c));
    assert_eq!(found, None, "{what}: {text:?}");
    for line in text.lines() {
        assert!(!line.starts_with("Bcc:"), "{what}: {text}");
    }
}

fn house() -> House {
    let house = House::new(&format!(
        "{COMPANY}{MAIL}[[mailbox]]\nname = \"m\"\nkind = \"maildir\"\npath = \"@ROOT@/mailbox\"\n"
    ));
    maildir(&house.path("mailbox"));
    house
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_mail_hides_is_shown_and_reaches_neither_terminal_nor_mail() {
    let house = house();
    house.write("forged.eml", mail());
    house.write("mailbox/new/1", mail());
    let daemon = house.run(&[("RUST_LOG", "trace")]);
    house
        .until("an alert has gone out", || async {
            house
                .outbox()
                .await
                .get("sent")
                .is_some_and(|sent| *sent == 1)
        })
        .await;
    let file = house.path("forged.eml");
    let file = file.to_str().unwrap();
    for (command, shows) in [
        (&["explain", file][..], "<U+202E>"),
        (&["explain", "--json", file], "U+202E"),
        (&["quarantine", "list"], ""),
        (&["quarantine", "list", "--json"], "U+202E"),
        (&["quarantine", "show", "1"], "<U+202E>"),
        (&["quarantine", "show", "1", "--json"], "U+202E"),
        (&["outbox", "list", "--all"], ""),
        (&["outbox", "list", "--json"], ""),
        (&["status"], ""),
        (&["status", "--json"], ""),
        (&["ingest", "--no-mail", file], ""),
        (&["quarantine", "dismiss", "1", "--reason", "forged"], ""),
    ] {
        let output = house.command(command);
        assert!(
            output.stderr.is_empty() || !output.status.success(),
            "{output:?}"
        );
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert_harmless(&command.join(" "), &said);
        assert!(said.contains(shows), "{command:?}: {said}");
    }
    drop(daemon);
    assert_harmless("the log", &house.log());

    let sent: Vec<_> = fs::read_dir(house.path("sent")).unwrap().collect();
    assert_eq!(sent.len(), 1);
    let eml = fs::read(sent[0].as_ref().unwrap().path()).unwrap();
    assert!(eml.is_ascii());
    let raw = String::from_utf8(eml.clone()).unwrap();
    assert_harmless("the mail as it is", &raw.replace("\r\n", "\n"));
    let letter = mail_parser::MessageParser::default().parse(&eml).unwrap();
    let subject = letter.subject().unwrap();
    assert_harmless("its subject", subject);
    assert!(!subject.contains('\n'), "{subject:?}");
    let text = letter.body_text(0).unwrap().replace("\r\n", "\n");
    assert_harmless("its text", &text);
    assert!(text.contains("<U+202E>"), "{text}");
    let named = |name: &str| letter.headers().iter().any(|header| header.name() == name);
    assert!(named("Subject") && !named("Bcc"));
}

#[test]
fn json_says_exactly_what_it_would_without_care() {
    let house = house();
    house.write("forged.eml", mail());
    let (status, object) = house.json(&[
        "explain",
        "--json",
        house.path("forged.eml").to_str().unwrap(),
    ]);
    assert_eq!(status, 65);
    let subject = object["subject"].as_str().unwrap();
    assert!(
        subject.starts_with("配號結果<U+202E>gnp<U+200B>"),
        "{subject}"
    );
    assert!(
        subject.ends_with("x<U+2028>y<U+061C><U+E0041>😀"),
        "{subject}"
    );
}

#[test]
fn the_mail_itself_is_shown_to_a_terminal_and_given_to_a_pipe() {
    let house = house();
    let mail = mail();
    house.write("forged.eml", &mail);
    let file = house.path("forged.eml");
    let taken = house.command(&["ingest", "--no-mail", file.to_str().unwrap()]);
    assert!(taken.status.success(), "{taken:?}");
    let piped = house.command(&["quarantine", "show", "1", "--raw"]);
    assert_eq!(piped.stdout, mail);
    // util-linux has `script`, which gives a terminal.
    let line = format!(
        "{PROGRAM} --config {} quarantine show 1 --raw",
        house.path("config.toml").display()
    );
    let output = Command::new("script")
        .args(["--quiet", "--return", "--command", &line])
        .arg(house.path("typescript"))
        .env("SHELL", "/bin/sh")
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout)
        .unwrap()
        .replace("\r\n", "\n");
    assert!(output.status.success(), "{text}");
    assert_harmless("the mail on a terminal", &text);
    assert!(text.contains("<U+001B>[2J<U+009B>2J"), "{text}");
}
