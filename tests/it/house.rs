//! Who may use whom: the table of ARCHITECTURE.md, held against the source itself; and what stands
//! around the source: the unit, the README, `tests/run`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

/// Rooms that stand on top and may use any other, but for what [`NOBODY_USES`] says.
const ON_TOP: &[&str] = &["daemon", "cli"];

/// Used by nobody below them.
const NOBODY_USES: &[(&str, &[&str])] = &[("daemon", &["cli"]), ("cli", &["main"])];

/// Crates that stay in one place.
const STAYS_IN: &[(&str, &[&str])] = &[
    ("sqlx::", &["ledger"]),
    ("async_imap", &["mailbox/session"]),
    ("lettre::", &["delivery/smtp", "delivery/compose"]),
    ("axum::", &["http"]),
    ("mail_auth::", &["authenticity"]),
    ("hickory", &["authenticity"]),
    ("reqwest::", &["oauth", "delivery/handoff"]),
    ("ring::hmac", &["delivery/handoff/webhook"]),
    ("psl::", &["authenticity"]),
    ("clap::", &["cli"]),
    ("console::", &["cli"]),
    ("indicatif::", &["cli"]),
    ("anstream::", &["cli"]),
    ("std::io::stdout", &["cli"]),
];

/// What the pure core must not know.
const NOT_IN_NOTICE: &[&str] = &[
    "tokio",
    "sqlx",
    "lettre",
    "tracing",
    "std::fs",
    "std::net",
    "std::env",
    "std::time",
];

fn sources() -> Vec<(String, String)> {
    fn descend(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                descend(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    descend(&root, &mut found);
    assert!(
        found.len() > 20,
        "found only {} source files below {}",
        found.len(),
        root.display()
    );
    found
        .into_iter()
        .map(|path| {
            let name = path
                .strip_prefix(&root)
                .unwrap()
                .with_extension("")
                .display()
                .to_string();
            let code = fs::read_to_string(&path)
                .unwrap()
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .collect::<Vec<_>>()
                .join("\n");
            (name, code)
        })
        .collect()
}

/// The room a file stands in: `notice/period` → `notice`.
fn room(file: &str) -> &str {
    file.split('/').next().unwrap()
}

/// The rooms named behind `crate::`, alone or in braces.
fn used(code: &str) -> BTreeSet<String> {
    let mut rooms = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let mut depth = 1;
            let mut word = String::new();
            let mut listening = true;
            for c in list.chars() {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    _ => {}
                }
                if depth == 1 && c == ',' || depth == 0 {
                    rooms.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
                    listening = true;
                } else if depth == 1 && listening && (c.is_alphanumeric() || c == '_') {
                    word.push(c);
                } else if c == ':' {
                    listening = false;
                }
                if depth == 0 {
                    break;
                }
            }
        } else {
            let word: String = rest
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            rooms.insert(word);
        }
    }
    rooms
}

/// The table of ARCHITECTURE.md: each room that is not on top, and the rooms it may use.
fn table() -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md"));
    let text = text.unwrap();
    let (_, behind) = text.split_once("## Who may use whom").unwrap();
    let (section, _) = behind.split_once("\n## ").unwrap();
    let words = |cell: &str| -> BTreeSet<String> {
        let words = cell.split(|c: char| !c.is_alphanumeric() && c != '_');
        words
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let rows: Vec<(BTreeSet<String>, BTreeSet<String>)> = rows
        .map(|row| {
            let cells: Vec<&str> = row.split('|').collect();
            (words(cells[1]), words(cells[2]))
        })
        .collect();
    let mut rooms = BTreeSet::new();
    for room in rows.iter().flat_map(|(rooms, _)| rooms) {
        assert!(rooms.insert(room.clone()), "`{room}` has two rows");
    }
    rows.into_iter()
        .flat_map(|(here, may)| {
            let may: BTreeSet<String> = may.intersection(&rooms).cloned().collect();
            here.into_iter().map(move |room| (room, may.clone()))
        })
        .filter(|(room, _)| !ON_TOP.contains(&room.as_str()))
        .collect()
}

#[test]
fn every_room_uses_only_the_rooms_it_may() {
    let table = table();
    let is_room = |name: &str| table.contains_key(name) || ON_TOP.contains(&name);
    let mut trespasses = Vec::new();
    for (file, code) in sources() {
        let here = room(&file);
        if ["lib", "main"].contains(&here) {
            continue;
        }
        assert!(
            is_room(here),
            "src/{file}.rs stands in no room that the table knows"
        );
        for there in used(&code).iter().filter(|there| *there != here) {
            assert!(
                is_room(there),
                "src/{file}.rs uses crate::{there}, which is no room"
            );
            let may = table.get(here).is_none_or(|rooms| rooms.contains(there));
            let on_top = NOBODY_USES
                .iter()
                .any(|(top, but)| top == there && !but.contains(&here));
            if !may || on_top {
                trespasses.push(format!("src/{file}.rs uses {there}"));
            }
        }
    }
    assert!(trespasses.is_empty(), "{trespasses:#?}");
}

#[test]
fn each_foreign_library_stays_in_its_place() {
    let mut trespasses = Vec::new();
    for (file, code) in sources() {
        for (library, places) in STAYS_IN {
            let here = places
                .iter()
                .any(|place| file == *place || file.starts_with(&format!("{place}/")));
            if !here && code.contains(library) {
                trespasses.push(format!("src/{file}.rs mentions {library}"));
            }
        }
        if room(&file) == "notice" {
            for library in NOT_IN_NOTICE
                .iter()
                .filter(|library| code.contains(**library))
            {
                trespasses.push(format!("src/{file}.rs mentions {library}"));
            }
        }
    }
    assert!(trespasses.is_empty(), "{trespasses:#?}");
}

#[test]
fn every_file_says_what_it_is_for() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (file, _) in sources() {
        let text = fs::read_to_string(root.join(&file).with_extension("rs")).unwrap();
        assert!(
            text.starts_with("//! "),
            "src/{file}.rs does not open with `//!`"
        );
    }
}

#[test]
fn the_reader_of_imports_reads_every_form() {
    let code = "use crate::{a::B, c, d::{e::F, g}};\nlet x = crate::h::i();\nuse crate::j::K;";
    let found: Vec<String> = used(code).into_iter().collect();
    assert_eq!(found, ["a", "c", "d", "h", "j"]);
}

/// Runs `tests/run` with a `cargo` that does nothing but say `words` when it is to test, and end
/// with `status`, and for which the commands that begin with `failing` fail; the script's exit
/// status and last line.
fn tests_run(words: &str, status: i32, failing: &str) -> (Option<i32>, String) {
    let tools = tempfile::tempdir().unwrap();
    let cargo = tools.path().join("cargo");
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in '{failing}'*) exit 1 ;; esac\n[ \"$1\" = test ] || exit 0\n\
         printf '%s\\n' '{words}'\nexit {status}\n"
    );
    fs::write(&cargo, script).unwrap();
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    let output = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/run"))
        .env("PATH", format!("{}:{path}", tools.path().display()))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let last = text.lines().last().unwrap_or_default().to_owned();
    (output.status.code(), last)
}

const GOOD: &str = "test result: ok. 7 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out";

#[test]
fn a_test_that_fails_fails_the_run_and_the_counts_come_last() {
    let bad = "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out";
    assert_eq!(
        tests_run(GOOD, 0, "nothing"),
        (Some(0), "7 passed, 0 failed, 1 skipped".to_owned())
    );
    assert_eq!(
        tests_run(&format!("{GOOD}\n{bad}"), 101, "nothing"),
        (Some(1), "9 passed, 1 failed, 1 skipped".to_owned())
    );
}

#[test]
fn what_is_banned_or_advised_against_fails_the_run_and_a_database_that_is_away_is_said() {
    for check in ["check bans licenses sources", "check advisories"] {
        let (status, last) = tests_run(GOOD, 0, &format!("deny --locked {check}"));
        assert_eq!(status, Some(1), "{check}: {last}");
        assert!(!last.contains("passed"), "{check}: {last}");
    }
    assert_eq!(
        tests_run(GOOD, 0, "deny --locked fetch db"),
        (
            Some(0),
            "7 passed, 0 failed, 1 skipped, advisories not checked".to_owned()
        )
    );
}

#[test]
fn nothing_loosens_what_cargo_toml_forbids() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    assert_eq!(
        manifest["lints"]["rust"]["unsafe_code"].as_str(),
        Some("forbid")
    );
    for (file, code) in sources() {
        assert!(!code.contains("unsafe"), "src/{file}.rs");
        // A deny that is made an allow for a whole file would go unseen.
        for lint in ["allow(clippy::", "allow(unsafe", "cfg_attr"] {
            let loosened = code
                .lines()
                .any(|line| line.trim_start().starts_with("#![") && line.contains(lint));
            assert!(!loosened, "src/{file}.rs loosens {lint}");
        }
    }
}

/// The crates in Cargo.lock.
fn locked() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let lock: toml::Table = fs::read_to_string(root.join("Cargo.lock"))
        .unwrap()
        .parse()
        .unwrap();
    let packages = lock["package"].as_array().unwrap().iter();
    packages
        .map(|package| package["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn there_is_one_tls_stack_one_http_client_and_nobody_to_pass_on_logins() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let deny: toml::Table = fs::read_to_string(root.join("deny.toml"))
        .unwrap()
        .parse()
        .unwrap();
    let denied = deny["bans"]["deny"].as_array().unwrap().iter();
    let denied: BTreeSet<&str> = denied
        .filter(|entry| entry.get("wrappers").is_none())
        .map(|entry| entry["crate"].as_str().unwrap())
        .collect();
    let locked = locked();
    assert!(locked.contains("rustls") && locked.contains("ring"));
    for name in [
        "openssl",
        "native-tls",
        "boring",
        "aws-lc-rs",
        "ureq",
        "curl",
        "tracing-log",
    ] {
        assert!(denied.contains(name), "{name} is not banned");
        assert!(!locked.contains(name), "{name} is in Cargo.lock");
    }
}

#[test]
fn the_unit_waits_for_readiness_and_the_readme_names_the_two_commands() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let unit = fs::read_to_string(root.join("systemd/invoice-trackd.service")).unwrap();
    for line in [
        "Type=notify",
        "ExecStart=/usr/bin/invoice-trackd run",
        "RestartPreventExitStatus=78",
        "DynamicUser=yes",
        "LimitCORE=0",
        "UMask=0077",
        "StateDirectoryMode=0700",
    ] {
        assert!(unit.lines().any(|found| found == line), "no {line}");
    }
    for readme in ["README.md", "README.zh-TW.md"] {
        let text = fs::read_to_string(root.join(readme)).unwrap();
        for command in ["cargo run --release -- demo", "tests/run"] {
            let given = text.lines().any(|line| line.starts_with(command));
            assert!(given, "{readme} does not say `{command}`");
        }
    }
}
