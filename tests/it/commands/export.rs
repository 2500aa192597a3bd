//! `export`: what is in force, as files that issuing systems load.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use crate::support::daemon::{House, Notice};

const CSV: &str = "營業人統編,發票類別代號,發票類別,發票期別,發票字軌名稱,發票起號,發票迄號\r\n\
                   53567686,7,一般稅額計算,107/05 ~ 107/06,EC,22628000,22634399\r\n\
                   53567686,7,一般稅額計算,115/01 ~ 115/02,AB,00000000,00000049\r\n";

/// A ledger with two ranges in force and one that was withdrawn.
fn house() -> House {
    let house = super::house();
    let later = Notice {
        track: "AB",
        period: "115/01 - 115/02",
        begin: 0,
        booklets: 1,
        ..Notice::default()
    };
    let withdrawn = Notice {
        track: "CD",
        period: "115/03 - 115/04",
        begin: 50,
        booklets: 1,
        ..Notice::default()
    };
    for (name, notice) in [("1", Notice::default()), ("2", later), ("3", withdrawn)] {
        let file = house.write(&format!("{name}.eml"), notice.eml());
        let output = house.command(&["ingest", "--no-mail", file.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
    let output = house.command(&["allocations", "withdraw", "3", "--reason", "test"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    house
}

fn exported(house: &House, arguments: &[&str]) -> Vec<u8> {
    let output = house.command(&[&["export"], arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    output.stdout
}

fn said(output: &Output) -> (Option<i32>, String) {
    let words = String::from_utf8(output.stderr.clone()).unwrap();
    (output.status.code(), words)
}

#[test]
fn a_csv_holds_what_is_in_force_in_either_encoding() {
    let house = house();
    for arguments in [
        &["--format", "csv"][..],
        &["--format", "csv", "--encoding", "utf-8"],
    ] {
        let text = String::from_utf8(exported(&house, arguments)).unwrap();
        assert_eq!(text, format!("\u{feff}{CSV}"));
    }
    let bytes = exported(&house, &["--format", "csv", "--encoding", "big5"]);
    let (text, _, broken) = encoding_rs::BIG5.decode(&bytes);
    assert_eq!((&*text, broken), (CSV, false));
}

#[test]
fn what_is_asked_for_is_all_that_is_written() {
    let house = house();
    let rows = |arguments: &[&str]| {
        let text = exported(&house, &[&["--format", "csv"], arguments].concat());
        String::from_utf8(text).unwrap().lines().count() - 1
    };
    assert_eq!(rows(&[]), 2);
    assert_eq!(rows(&["--ban", "53567686"]), 2);
    assert_eq!(rows(&["--ban", "24634102"]), 0);
    assert_eq!(rows(&["--year-month", "11502"]), 1);
    assert_eq!(
        rows(&["--year-month", "11504"]),
        0,
        "that one was withdrawn"
    );
    assert_eq!(rows(&["--since", "2020-01-01"]), 2);
    assert_eq!(rows(&["--since", "2999-01-01"]), 0);
}

#[test]
fn json_has_the_columns_of_the_table() {
    let house = house();
    let rows: Value = serde_json::from_slice(&exported(&house, &["--format", "json"])).unwrap();
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), 2);
    let (code, listed) = house.json(&["allocations", "--json"]);
    assert_eq!(code, 0);
    for row in rows {
        let id = &row["id"];
        let mut all = listed.as_array().unwrap().iter();
        let same = all.find(|other| other["id"] == *id).unwrap();
        for (column, value) in row.as_object().unwrap() {
            assert_eq!(same[column], *value, "{column}");
        }
    }
}

/// What xmllint says of a document beside the schema of the envelope.
fn validated(document: &[u8]) -> (bool, String) {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schemas/envelope.xsd");
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("document.xml");
    fs::write(&file, document).unwrap();
    let output = Command::new("xmllint")
        .args(["--noout", "--nonet", "--schema"])
        .args([&schema, &file])
        .stdout(Stdio::null())
        .output()
        .expect("xmllint (Debian: libxml2-utils), which tests/run installs");
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.success(), words)
}

#[test]
fn e0501_holds_to_the_rules_of_its_elements() {
    let house = house();
    let document = String::from_utf8(exported(&house, &["--format", "e0501"])).unwrap();
    let (is_valid, words) = validated(document.as_bytes());
    assert!(is_valid, "{words}");
    // The schema is one that would find what is wrong.
    for (from, to) in [
        ("<InvoiceType>07<", "<InvoiceType>7<"),
        ("<YearMonth>10706<", "<YearMonth>10705<"),
        ("<InvoiceTrack>EC<", "<InvoiceTrack>Ec<"),
        ("<InvoiceBeginNo>22628000<", "<InvoiceBeginNo>2628000<"),
        ("<InvoiceBooklet>128<", "<InvoiceBooklet><"),
        ("<Ban>53567686</Ban>", ""),
        ("messageType=\"E0501\"", "messageType=\"E0502\""),
        ("urn:GEINV:E0501:4.0", "urn:GEINV:E0501:4"),
    ] {
        let wrong = document.replacen(from, to, 1);
        assert_ne!(wrong, document, "{from}");
        let (is_valid, words) = validated(wrong.as_bytes());
        assert!(!is_valid, "{to}: {words}");
    }
}

#[test]
fn a_file_appears_complete_and_anybody_may_read_it() {
    let house = house();
    let file = house.write("out.csv", "what was there before");
    let name = file.to_str().unwrap();
    let printed = exported(&house, &["--format", "csv", "--output", name]);
    assert_eq!(printed, b"");
    assert_eq!(fs::read_to_string(&file).unwrap(), format!("\u{feff}{CSV}"));
    let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode, 0o644, "{mode:o}");
    let beside = fs::read_dir(file.parent().unwrap()).unwrap();
    let unfinished = beside.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().contains("unfinished")
    });
    assert_eq!(unfinished.count(), 0);
}

#[test]
fn what_cannot_be_written_is_said_and_what_was_there_stays() {
    let house = house();
    let directory = house.path("mailbox");
    let output = house.command(&[
        "export",
        "--format",
        "csv",
        "--output",
        directory.to_str().unwrap(),
    ]);
    let (code, words) = said(&output);
    assert_eq!(code, Some(1));
    assert!(
        words.contains("expected a file's name, found a directory"),
        "{words}"
    );
    let output = house.command(&["export", "--format", "csv", "--output", "/nowhere/out.csv"]);
    let (code, words) = said(&output);
    assert_eq!(code, Some(1));
    assert!(words.contains("write /nowhere/out.csv"), "{words}");
    let output = house.command(&["export", "--format", "json", "--encoding", "big5"]);
    let (code, words) = said(&output);
    assert_eq!(code, Some(2));
    assert!(words.contains("--encoding is for --format csv"), "{words}");
}

#[test]
fn nothing_in_force_is_an_empty_list_and_no_envelope() {
    let house = super::house();
    let csv = String::from_utf8(exported(&house, &["--format", "csv"])).unwrap();
    assert_eq!(csv.lines().count(), 1);
    assert_eq!(exported(&house, &["--format", "json"]), b"[]\n");
    let (code, words) = said(&house.command(&["export", "--format", "e0501"]));
    assert_eq!(code, Some(1));
    assert!(
        words.contains("expected at least one range in force"),
        "{words}"
    );
    assert!(!house.path("ledger.db").exists());
}

#[test]
fn a_link_stays_one_and_a_pipe_is_not_replaced() {
    let house = house();
    let link = house.path("current.csv");
    let file = house.write("kept/real.csv", "old");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    exported(
        &house,
        &["--format", "csv", "--output", link.to_str().unwrap()],
    );
    assert!(link.is_symlink());
    assert_eq!(fs::read_to_string(&file).unwrap(), format!("\u{feff}{CSV}"));

    let pipe = house.path("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let output = house.command(&[
        "export",
        "--format",
        "csv",
        "--output",
        pipe.to_str().unwrap(),
    ]);
    let (status, words) = said(&output);
    assert_eq!(status, Some(1), "{words}");
    assert!(words.contains("found a device or a pipe"), "{words}");
    assert!(!pipe.is_file());
}
