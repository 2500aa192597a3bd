//! `ingest` of the platform's own files: by name, by directory, as Turnkey leaves them.

use std::{fs, path::Path, process::Command};

use invoice_trackd::{
    clock::Clock,
    intake::Place,
    ledger::Ledger,
    mailbox::{Content, Origin, RawMessage},
};

use super::{house, sent};
use crate::support::{daemon::Notice, intake::intake, outbox::style};

fn fixture(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures-platform")
        .join(name)
        .display()
        .to_string()
}

#[test]
fn every_form_of_the_files_says_the_same() {
    for name in [
        "invnoapply-utf8-bom.csv",
        "invnoapply-utf8.csv",
        "invnoapply-big5.csv",
        "E0501-envelope.xml",
        "Unpack/BAK/E0501/20180420",
    ] {
        let house = house();
        let (status, report) = house.json(&["ingest", "--json", &fixture(name)]);
        assert_eq!(status, 0, "{name}");
        let recorded: u64 = report
            .as_array()
            .unwrap()
            .iter()
            .map(|file| file["recorded"].as_u64().unwrap())
            .sum();
        assert_eq!(recorded, 2, "{name}: {report}");
        let (_, rows) = house.json(&["allocations", "--json"]);
        assert_eq!(rows[0]["invoice_begin_no"], "22628000", "{name}");
        assert_eq!(rows[1]["invoice_track"], "ED", "{name}");
        assert_eq!(rows[1]["requested_booklets"], serde_json::Value::Null);
        assert!(!sent(&house).is_empty());
    }
}

#[test]
fn a_directory_is_read_in_a_stable_order_and_what_is_none_of_ours_is_left_alone() {
    let house = house();
    house.write("in/notice.eml", Notice::default().eml());
    house.write("in/other.csv", "a,b\n");
    house.write("in/other.xml", "<BranchTrack/>");
    for name in ["invnoapply-big5.csv", "E0501-single.xml"] {
        house.write(&format!("in/{name}"), fs::read(fixture(name)).unwrap());
    }
    let path = house.path("in");
    let output = house.command(&["ingest", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0));
    let report = String::from_utf8(output.stdout).unwrap();
    // E0501, then the CSV, then the mail.
    let places: Vec<usize> = [
        "E0501-single.xml (E0501)",
        "invnoapply-big5.csv (CSV)",
        "notice.eml",
    ]
    .iter()
    .map(|name| {
        report
            .find(name)
            .unwrap_or_else(|| panic!("{name}: {report}"))
    })
    .collect();
    assert!(places.is_sorted(), "{report}");
    assert!(report.contains("1  recorded       新記錄"), "{report}");
    assert!(
        report.contains("3 read: 1 duplicate, 2 imported"),
        "{report}"
    );

    let tree = fixture("Unpack");
    let (status, report) = house.json(&["ingest", "--json", &tree]);
    assert_eq!(status, 0);
    let files: Vec<(&str, u64)> = report
        .as_array()
        .unwrap()
        .iter()
        .map(|file| {
            let path = file["file"].as_str().unwrap();
            (
                path.split_once("E0501/").unwrap().1,
                file["recorded"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        files,
        [
            ("20180420/10/E0501-53567686-a.xml", 0),
            ("20180420/11/E0501-53567686-b.xml", 0),
            ("20180620/10/E0501-53567686-c.xml", 1),
        ]
    );
}

#[test]
fn an_unreadable_row_refuses_the_whole_file_and_no_other() {
    let house = house();
    let (bad, good) = (
        fixture("invnoapply-unreadable.csv"),
        fixture("E0501-single.xml"),
    );
    let output = house.command(&["ingest", &bad, &good]);
    assert_eq!(output.status.code(), Some(1));
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains("invnoapply-unreadable.csv:2:"), "{words}");
    assert!(words.contains("invnoapply-unreadable.csv:3:"), "{words}");
    let (_, rows) = house.json(&["allocations", "--json"]);
    let tracks = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["invoice_track"]);
    assert_eq!(tracks.collect::<Vec<_>>(), ["EC"]);

    let other = house.write("other.csv", "a,b\n");
    let output = house.command(&["ingest", other.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(
        words.contains("other.csv: expected the platform's CSV"),
        "{words}"
    );
}

#[test]
fn what_calls_itself_mail_is_mail_however_it_begins() {
    let house = house();
    let text = fs::read(fixture("invnoapply-utf8.csv")).unwrap();
    let file = house.write("a.eml", text);
    let (_, report) = house.json(&["ingest", "--json", file.to_str().unwrap()]);
    assert_eq!(report[0]["disposition"], "unrelated");
    let (_, rows) = house.json(&["allocations", "--json"]);
    assert_eq!(rows, serde_json::json!([]));
}

#[test]
fn explain_points_to_ingest_for_a_file_of_the_platform_s() {
    let house = house();
    let name = fixture("invnoapply-big5.csv");
    let output = house.command(&["explain", &name]);
    assert_eq!(output.status.code(), Some(1));
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains("`ingest` reads that"), "{words}");
    let output = house.command_with_input(&["explain", "-"], &fs::read(&name).unwrap());
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_file_explains_mails_and_a_row_in_quarantine_can_be_shown() {
    let house = house();
    let config = fs::read_to_string(house.path("config.toml")).unwrap();
    house.write(
        "config.toml",
        config.replace("einvoice@example.com\"]", "else@example.com\"]"),
    );
    let eml = String::from_utf8(Notice::default().eml()).unwrap();
    let notice = house.write("notice.eml", eml.replace("(53567686)", "()"));
    house.command(&["ingest", "--no-mail", notice.to_str().unwrap()]);
    let (_, waiting) = house.json(&["quarantine", "list", "--json"]);
    assert_eq!(waiting.as_array().unwrap().len(), 1);

    let csv = fixture("invnoapply-utf8-bom.csv");
    let output = house.command(&["ingest", "--no-mail", &csv]);
    let report = String::from_utf8(output.stdout).unwrap();
    assert!(report.contains("1  mails explained"), "{report}");
    assert!(report.contains("1 mails explained"), "{report}");
    assert!(sent(&house).is_empty());
    let (_, waiting) = house.json(&["quarantine", "list", "--json"]);
    assert_eq!(waiting, serde_json::json!([]));

    let xml = fs::read_to_string(fixture("E0501-single.xml")).unwrap();
    let clash = xml.replace("22634399", "22628049").replace(">128<", ">1<");
    let clash = house.write("clash.xml", clash);
    let (status, report) = house.json(&["ingest", "--json", clash.to_str().unwrap()]);
    assert_eq!(status, 0);
    assert_eq!(report[0]["contradicted"], 1);
    assert_eq!(report[1]["defects"][0]["code"], "range_overlap");
    assert!(report[1]["file"].as_str().unwrap().ends_with("clash.xml:2"));
    let (_, waiting) = house.json(&["quarantine", "list", "--json"]);
    let id = waiting[0]["id"].to_string();
    let output = house.command(&["quarantine", "show", &id]);
    let page = String::from_utf8(output.stdout).unwrap();
    assert!(page.contains("53567686 EC 22628000-22628049"), "{page}");
    assert!(
        page.contains("E0501") && !page.contains("explain"),
        "{page}"
    );
    let output = house.command(&["quarantine", "show", &id, "--raw"]);
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .contains("<InvoiceEndNo>22628049<")
    );
    assert_eq!(sent(&house).len(), 1, "the alert");
}

#[test]
fn beside_a_running_daemon_the_file_is_recorded_and_the_daemon_sends() {
    let house = house();
    let first = house.write("notice.eml", Notice::default().eml());
    house.command(&["ingest", "--no-mail", first.to_str().unwrap()]);
    let daemon = Ledger::lock(&house.path("ledger.db")).unwrap();
    let (status, report) = house.json(&["ingest", "--json", &fixture("invnoapply-big5.csv")]);
    assert_eq!(status, 0);
    assert_eq!(report[0]["confirmed"], 1);
    assert_eq!(report[0]["recorded"], 1);
    assert!(sent(&house).is_empty());
    let (_, status) = house.json(&["status", "--json"]);
    assert_eq!(status["outbox"]["pending"], 1);
    drop(daemon);
}

#[test]
fn a_mail_through_a_pipe_loses_nothing_and_a_file_of_the_platform_s_is_refused_there() {
    let house = house();
    let mail = house.write("notice.eml", Notice::default().eml());
    let through_a_pipe = |file: &Path, name: &str| {
        let pipe = house.path(name);
        let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let bytes = fs::read(file).unwrap();
        let writer = std::thread::spawn({
            let pipe = pipe.clone();
            // Whoever has seen enough hangs up.
            move || fs::write(pipe, bytes).ok()
        });
        let output = house.command(&["ingest", pipe.to_str().unwrap()]);
        writer.join().unwrap();
        output
    };
    let output = through_a_pipe(&mail, "a");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let (_, rows) = house.json(&["allocations", "--json"]);
    assert_eq!(rows[0]["invoice_track"], "EC", "{rows}");

    let output = through_a_pipe(Path::new(&fixture("invnoapply-utf8.csv")), "b");
    let words = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(words.contains("name the file itself"), "{words}");
}

#[tokio::test]
async fn a_file_that_an_earlier_version_passed_over_is_refused_by_itself_and_the_run_goes_on() {
    let house = house();
    let known = house.write(
        "known.csv",
        fs::read(fixture("invnoapply-utf8.csv")).unwrap(),
    );
    let now = Clock::System.now();
    let ledger = Ledger::open(&house.path("ledger.db"), now).await.unwrap();
    let bytes = fs::read(&known).unwrap();
    // As mail it is nothing of ours, and that is recorded.
    let found = RawMessage {
        origin: Origin::File {
            path: known.display().to_string(),
        },
        internal_date: None,
        size: bytes.len() as u64,
        content: Content::Whole(bytes),
    };
    let passing = intake(ledger.clone(), style());
    let passed = passing.take(&[found], Place::default(), now).await.unwrap();
    assert_eq!(passed[0].disposition.as_str(), "unrelated");
    ledger.close().await;

    let good = fixture("E0501-single.xml");
    let output = house.command(&["ingest", known.to_str().unwrap(), &good]);
    assert_eq!(output.status.code(), Some(1));
    let words = String::from_utf8(output.stderr).unwrap();
    let expected = "known.csv: an earlier version passed this file over, at this place; copy it";
    assert!(words.contains(expected), "{words}");
    let (_, rows) = house.json(&["allocations", "--json"]);
    assert_eq!(rows.as_array().unwrap().len(), 1, "{rows}");
    let copy = house.write("copy.csv", fs::read(&known).unwrap());
    let (status, report) = house.json(&["ingest", "--json", copy.to_str().unwrap()]);
    assert_eq!((status, &report[0]["recorded"]), (0, &1.into()), "{report}");
}

#[test]
fn a_second_ingest_says_again_how_many_rows_wait() {
    let house = house();
    let first = house.write("notice.eml", Notice::default().eml());
    house.command(&["ingest", "--no-mail", first.to_str().unwrap()]);
    let head = "營業人統編,發票類別代號,發票類別,發票期別,發票字軌名稱,發票起號,發票迄號";
    let row = |track: &str, range: &str| {
        format!("53567686,7,一般稅額計算,107/05 ~ 107/06,{track},{range}")
    };
    let text = [
        head.to_owned(),
        row("EC", "22628000,22628049"),
        row("ED", "00000000,00000049"),
    ]
    .join("\n");
    let file = house.write("a.csv", text);
    for (recorded, known) in [(1, 0), (0, 1)] {
        let (status, report) = house.json(&["ingest", "--json", file.to_str().unwrap()]);
        assert_eq!(status, 0);
        let counts = ["recorded", "known", "contradicted"].map(|count| &report[0][count]);
        assert_eq!(counts, [recorded, known, 1], "{report}");
    }
    let page = house.command(&["ingest", file.to_str().unwrap()]);
    let page = String::from_utf8(page.stdout).unwrap();
    assert!(page.contains("1  contradicted   有牴觸，已隔離"), "{page}");
}
