//! What a person sees: pages that fit, colour and a progress bar on a terminal and nowhere else.

use std::{fs, process::Command};

use unicode_width::UnicodeWidthStr as _;

use crate::support::daemon::{House, Notice, PROGRAM};

const NAME: &str =
    "一二三四五六七八九十一二三四五六七八九十一二三四五六七八九十一二三四五六七八九十";

/// Long names everywhere.
fn house() -> House {
    let long = "einvoice.".repeat(20);
    let house = House::new(&format!(
        r#"
[[company]]
ban = "53567686"
name = "{NAME}"
assignment = "period"
recipients = ["einvoice@example.com"]
[[mailbox]]
name = "{NAME}"
kind = "maildir"
path = "@ROOT@/{NAME}"
company = "53567686"
[mail]
from = "invoice-trackd <einvoice@example.com>"
confirm_to = ["{long}a@example.com", "{long}b@example.com"]
alert_to = ["{long}a@example.com"]
transport = "directory"
directory = "@ROOT@/sent"
"#
    ));
    fs::create_dir(house.path("sent")).unwrap();
    house
}

/// Runs a command line, in which `$P` is the program, as from a terminal so many columns wide;
/// all that the terminal is given. util-linux has `script`, and every Debian has util-linux.
fn on_terminal(house: &House, columns: u16, line: &str, environment: &[(&str, &str)]) -> String {
    let output = Command::new("script")
        .args(["--quiet", "--return", "--command"])
        .arg(format!("stty rows 24 cols {columns}; {line}"))
        .arg(house.path("typescript"))
        .env(
            "P",
            format!("{PROGRAM} --config {}", house.path("config.toml").display()),
        )
        .env("TERM", "xterm-256color")
        .env("SHELL", "/bin/sh")
        .env_remove("NO_COLOR")
        .env_remove("CLICOLOR")
        .env_remove("RUST_LOG")
        .envs(environment.iter().copied())
        .stdin(std::process::Stdio::null())
        .output()
        .expect("`script` of util-linux gives a terminal");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{line}: {text}");
    text
}

fn assert_fits(page: &str) {
    assert!(!page.is_empty());
    for line in page.lines() {
        assert!(
            line.width() <= 80,
            "{} columns: {line}\n{page}",
            line.width()
        );
        assert!(!line.contains(char::is_control), "{line:?}");
    }
}

/// Two notices, one of them forged, in files with a long path.
fn ingest(house: &House) -> String {
    let directory = "long/".repeat(30);
    house.write(&format!("{directory}1.eml"), Notice::default().eml());
    let forged = Notice {
        from: "einvoice-of-the-ministry-of-finance-of-taiwan@a-very-long-domain.example.net",
        ..Notice::default()
    };
    let forged = String::from_utf8(forged.eml()).unwrap();
    house.write(&format!("{directory}2.eml"), forged);
    let path = house.path("long");
    let output = house.command(&["ingest", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_page_fits_80_columns_whatever_stands_in_it() {
    let house = house();
    assert_fits(&ingest(&house));
    for command in [
        &["status"][..],
        &["allocations"],
        &["check"],
        &["outbox", "list", "--all"],
        &["outbox", "drop", "1"],
    ] {
        let output = house.command(command);
        let words = String::from_utf8_lossy(&output.stderr);
        // What was sent cannot be dropped; what it says is a sentence, no page.
        if output.status.success() {
            assert_fits(&String::from_utf8(output.stdout).unwrap());
        } else {
            assert_eq!(command[1], "drop", "{command:?}: {words}");
        }
    }
}

#[test]
fn the_demo_fits_80_columns_but_for_its_paths() {
    let scratch = tempfile::tempdir().unwrap();
    let output = Command::new(PROGRAM)
        .arg("demo")
        .env("TMPDIR", scratch.path())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let root = scratch.path().to_str().unwrap();
    let page: Vec<&str> = text.lines().filter(|line| !line.contains(root)).collect();
    assert_fits(&page.join("\n"));
}

#[test]
fn colour_is_for_a_terminal_and_for_who_wants_it() {
    let house = house();
    ingest(&house);
    let coloured = "\u{1b}[1m\u{1b}[31mneeds attention";
    let shown = on_terminal(&house, 80, "$P status", &[]);
    assert!(shown.starts_with(coloured), "{shown:?}");
    let plain = on_terminal(&house, 80, "$P status", &[("NO_COLOR", "1")]);
    assert!(!plain.contains('\u{1b}'), "{plain:?}");
    let piped = on_terminal(&house, 80, "$P status | cat", &[("CLICOLOR_FORCE", "1")]);
    assert!(!piped.contains('\u{1b}'), "{piped:?}");
    for json in ["status --json", "outbox list --json", "allocations --json"] {
        let shown = on_terminal(&house, 80, &format!("$P {json}"), &[]);
        assert!(!shown.contains('\u{1b}'), "{shown:?}");
        serde_json::from_str::<serde_json::Value>(&shown).unwrap();
    }
}

#[test]
fn logs_are_coloured_as_pages_are() {
    let house = House::new("");
    let scratch = house.path("mailbox");
    crate::support::daemon::maildir(&scratch);
    let config = fs::read_to_string(house.path("config.toml")).unwrap();
    let mailbox = format!(
        "[[mailbox]]\nname = \"box\"\nkind = \"maildir\"\npath = \"{}\"\n",
        scratch.display()
    );
    house.write("config.toml", config + &mailbox);
    let line = "timeout --preserve-status -s TERM 2 $P run";
    let shown = on_terminal(&house, 80, line, &[]);
    assert!(shown.contains("\u{1b}["), "{shown:?}");
    let plain = on_terminal(&house, 80, line, &[("NO_COLOR", "1")]);
    assert!(plain.contains("mailbox opened"), "{plain:?}");
    assert!(!plain.contains('\u{1b}'), "{plain:?}");
}

#[test]
fn a_wide_terminal_shows_more() {
    let house = house();
    ingest(&house);
    let narrow = on_terminal(&house, 80, "$P allocations", &[]);
    assert!(narrow.contains("22628000-22634399"), "{narrow}");
    assert!(!narrow.contains("recorded (UTC+8)"), "{narrow}");
    let wide = on_terminal(&house, 200, "$P allocations", &[]);
    assert!(wide.contains("recorded (UTC+8)"), "{wide}");
    let name = |page: &str| page.contains(NAME);
    assert!(!name(&on_terminal(&house, 80, "$P status", &[])));
    assert!(name(&on_terminal(&house, 200, "$P status", &[])));
}

#[test]
fn the_bar_is_on_the_terminal_and_gone_when_done() {
    let house = house();
    let mbox: String = (0..300)
        .map(|n| format!("From a@b Fri Apr 20 09:00:00 2018\nSubject: {n}\n\nx\n\n"))
        .collect();
    house.write("a.mbox", mbox);
    let line = format!(
        "$P ingest --no-mail --json {0}/a.mbox > {0}/report",
        house.root.path().display()
    );
    let shown = on_terminal(&house, 80, &line, &[]);
    assert!(
        shown.contains("] ") && shown.contains(" / "),
        "no bar: {shown:?}"
    );
    // The last thing the terminal is told is to erase its line.
    assert!(shown.ends_with("\r\u{1b}[2K"), "{shown:?}");
    let report = fs::read_to_string(house.path("report")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report.as_array().unwrap().len(), 300);
}
