//! How long hostile mail keeps the reader busy, and how much memory it takes: each kind at a
//! quarter, a half and the whole of `max_message_bytes`. `cargo bench --bench hostile [WORDS]` does
//! the kinds whose name holds WORDS.
//!
//! Each is taken in as the daemon would, with a ledger, in a process of its own, whose peak is
//! compared with what it took before the mail came. The time to read and judge is the processor's,
//! so that a busy machine tells the same; that in all, with what SQLite waits for, is the clock's.
//! Left out on purpose: statistics. What matters here is whether twice the size takes more than
//! twice the time.

#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used
)]

#[path = "../tests/it/support/hostile.rs"]
mod hostile;

use std::{fs, process::Command, sync::Arc, time::Instant};

use invoice_trackd::{
    authenticity::{Require, Results, Settings, Verifier},
    intake::{Intake, Place, examine},
    ledger::Ledger,
    mailbox::{Content, Origin, RawMessage},
    notice::{Companies, Company, Rules},
};

use self::hostile::{KINDS, Kind};

/// `max_message_bytes` as it is set unless somebody sets it.
const LIMIT: usize = 1 << 20;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, kind, size] = arguments.as_slice()
        && word == "measure"
    {
        measure(
            &KINDS[kind.parse::<usize>().unwrap()],
            size.parse().unwrap(),
        );
        return;
    }
    let words = arguments.iter().find(|word| !word.starts_with("--"));
    println!(
        "{:<34} {:>8} {:>8} {:>8} {:>7} {:>8} {:>8}  becomes",
        "kind, at 1 MiB", "¼ ms", "½ ms", "1 ms", "growth", "in all", "peak MiB"
    );
    for (number, kind) in KINDS.iter().enumerate() {
        if words.is_some_and(|words| !kind.name.contains(words.as_str())) {
            continue;
        }
        let found = [LIMIT / 4, LIMIT / 2, LIMIT - 4096].map(|size| in_a_process(number, size));
        let [quarter, half, whole] = [0, 1, 2].map(|at| found[at].read_ms);
        println!(
            "{:<34} {quarter:>8.1} {half:>8.1} {whole:>8.1} {:>7} {:>8.1} {:>8.1}  {}",
            kind.name,
            growth(half, whole),
            found[2].all_ms,
            found[2].peak_mib,
            found[2].became
        );
    }
}

/// Twice the size, so many times the time; what is over within a few ticks of the clock says nothing.
fn growth(half: f64, whole: f64) -> String {
    if half < 10.0 {
        return "–".to_owned();
    }
    format!("{:.1}", whole / half)
}

struct Found {
    read_ms: f64,
    all_ms: f64,
    peak_mib: f64,
    became: String,
}

fn in_a_process(number: usize, size: usize) -> Found {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["measure", &number.to_string(), &size.to_string()])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let words: Vec<&str> = text.split_whitespace().collect();
    let [read_ms, all_ms, peak_mib, became] = words.as_slice() else {
        panic!(
            "it did not end well: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    Found {
        read_ms: read_ms.parse().unwrap(),
        all_ms: all_ms.parse().unwrap(),
        peak_mib: peak_mib.parse().unwrap(),
        became: (*became).to_owned(),
    }
}

/// Takes one mail in and prints: milliseconds to read and judge it, milliseconds in all, MiB at the
/// peak, what became of it.
fn measure(kind: &Kind, size: usize) {
    let company = Company::new("53567686".parse().unwrap(), "雲端行動科技股份有限公司");
    let rules = Rules {
        companies: Companies::new(vec![company]).unwrap(),
        ..Rules::default()
    };
    let raw = (kind.write)(size);
    assert!(raw.len() <= LIMIT, "{} bytes", raw.len());
    let message = RawMessage {
        origin: Origin::File {
            path: kind.name.to_owned(),
        },
        internal_date: None,
        size: raw.len() as u64,
        content: Content::Whole(raw),
    };
    let scratch = tempfile::tempdir().unwrap();
    let now = "2018-04-20T09:00:00+08:00".parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let ledger = Ledger::open(&scratch.path().join("ledger.db"), now)
            .await
            .unwrap();
        let verifier = Verifier::new(Settings {
            require: Require::None,
            ..Settings::default()
        });
        let intake = Intake {
            ledger,
            rules,
            verifier: Arc::new(verifier),
            style: None,
        };
        let before = kibibytes("VmRSS");

        let begun = milliseconds();
        let read = examine(&message, &intake.rules, &intake.verifier, Results::Top).await;
        let read_ms = milliseconds() - begun;
        drop(read);

        let begun = Instant::now();
        let taken = intake
            .take(&[message], Place::default(), now)
            .await
            .unwrap();
        let all_ms = begun.elapsed().as_secs_f64() * 1e3;
        let peak_mib = (kibibytes("VmHWM") - before) as f64 / 1024.0;
        let became = taken[0].disposition;
        println!("{read_ms} {all_ms} {peak_mib} {became}");
    });
}

/// How long this thread has had a processor, ms.
fn milliseconds() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanoseconds = text.split_whitespace().next().unwrap();
    nanoseconds.parse::<f64>().unwrap() / 1e6
}

fn kibibytes(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
