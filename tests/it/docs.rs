//! The documents say what the program does: tables made from the code, links that lead somewhere,
//! commands that exist, configurations that hold together.
//!
//! A table that has gone stale is made anew with `UPDATE_DOCS=1 cargo test --test it docs::`.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use invoice_trackd::{
    config::{self, Config},
    delivery::{Language, compose},
    notice::DefectCode,
};

use crate::support::daemon::PROGRAM;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every document of the project, with its text.
fn documents() -> Vec<(PathBuf, String)> {
    let mut documents = Vec::new();
    for directory in ["", "docs"] {
        for entry in fs::read_dir(root().join(directory)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                let text = fs::read_to_string(&path).unwrap();
                documents.push((path, text));
            }
        }
    }
    documents.sort();
    assert!(documents.len() >= 6, "{documents:?}");
    documents
}

/// Holds what stands between `<!-- name -->` and `<!-- /name -->` on a page against `made`.
pub(crate) fn assert_made(page: &str, name: &str, made: &str) {
    let path = root().join(page);
    let text = fs::read_to_string(&path).unwrap();
    let marks = [format!("<!-- {name} -->\n"), format!("<!-- /{name} -->")];
    let [begin, end] = marks.map(|mark| (text.find(&mark).unwrap(), mark.len()));
    let (before, rest) = text.split_at(begin.0 + begin.1);
    let (found, after) = rest.split_at(end.0 - begin.0 - begin.1);
    let made = format!("\n{}\n\n", made.trim());
    if found == made {
        return;
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, format!("{before}{made}{after}")).unwrap();
        return;
    }
    let line = found.lines().zip(made.lines()).find(|(a, b)| a != b);
    panic!(
        "{page} no longer says what the code does, first at {line:#?}\n\
         make it anew: run this test with UPDATE_DOCS=1"
    );
}

#[test]
fn the_configuration_page_lists_every_key_of_the_code() {
    assert_made("docs/configuration.md", "keys", &config::reference());
}

#[test]
fn the_alerts_page_explains_every_code_in_the_words_of_the_mails() {
    for (page, language, head, answers) in [
        (
            "docs/alerts.md",
            Language::En,
            "| code | what is wrong with the mail | what to do | may a person overrule it? |",
            ["yes", "no", "with `--ban`"],
        ),
        (
            "docs/alerts.zh-TW.md",
            Language::ZhTw,
            "| 代碼 | 這封信哪裡不對 | 該怎麼做 | 可否人工放行 |",
            ["可以", "不可以", "要加 `--ban`"],
        ),
    ] {
        let mut table = format!("{head}\n|---|---|---|---|\n");
        for &code in DefectCode::ALL {
            let (what, remedy) = compose::explained(code, language);
            let [yes, no, with_ban] = answers;
            let answer = match code {
                DefectCode::UnknownCompany => with_ban,
                code if code.is_overrulable() => yes,
                _ => no,
            };
            table.push_str(&format!(
                "| <a id=\"{code}\"></a>`{code}` | {what} | {remedy} | {answer} |\n"
            ));
        }
        assert_made(page, "codes", &table);
    }
}

#[test]
fn the_operations_pages_show_what_check_online_says_of_the_latest_mail() {
    let test =
        "the_latest_twenty_of_an_imap_folder_are_judged_and_the_way_they_are_signed_is_proposed";
    let file = format!("tests/it/check_online/snapshots/it__check_online__carried__{test}.snap");
    let shown = fs::read_to_string(root().join(file)).unwrap();
    let page = shown.find("最近來信").unwrap();
    let sample = format!("```\n{}\n```", shown[page..].trim());
    for page in ["docs/operations.md", "docs/operations.zh-TW.md"] {
        assert_made(page, "latest-mail", &sample);
    }
}

/// The anchors of a page: its headings as GitHub names them, and those set by hand.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    for (line, fenced) in lines(text) {
        if let (Some(heading), false) = (line.strip_prefix('#'), fenced) {
            let heading = heading.trim_start_matches('#').trim().to_lowercase();
            let anchor: String = heading
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect();
            anchors.insert(anchor);
        }
        anchors.extend(line.split("<a id=\"").skip(1).map(|rest| {
            let (id, _) = rest.split_once('"').unwrap();
            id.to_owned()
        }));
    }
    anchors
}

/// The lines of a page, each with whether it stands in a fenced block.
fn lines(text: &str) -> impl Iterator<Item = (&str, bool)> {
    text.lines().scan(false, |fenced, line| {
        if line.trim_start().starts_with("```") {
            *fenced = !*fenced;
        }
        Some((line, *fenced))
    })
}

#[test]
fn every_link_between_documents_leads_to_something() {
    let mut dead = Vec::new();
    let mut followed = 0;
    for (path, text) in documents() {
        for (line, fenced) in lines(&text) {
            if fenced {
                continue;
            }
            for rest in line.split("](").skip(1) {
                let target = rest.split(')').next().unwrap();
                if target.contains("://") {
                    continue;
                }
                followed += 1;
                let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
                let file = match file {
                    "" => path.clone(),
                    file => path.parent().unwrap().join(file),
                };
                let found = match (file.exists(), anchor) {
                    (exists, "") => exists,
                    (exists, anchor) => {
                        exists && anchors(&fs::read_to_string(&file).unwrap()).contains(anchor)
                    }
                };
                if !found {
                    dead.push(format!("{}: {target}", path.display()));
                }
            }
        }
    }
    assert!(dead.is_empty(), "{dead:#?}");
    assert!(followed >= 20, "only {followed} links were found");
}

/// The `--help` of a command; `None` where there is no such command.
fn help(command: &[&str]) -> Option<String> {
    let output = Command::new(PROGRAM).args(command).arg("--help").output();
    let output = output.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    output.status.success().then_some(text)
}

/// What is written as a command of ours: in `code`, or on a line of a fenced block.
fn commands(text: &str) -> Vec<String> {
    let mut pieces: Vec<&str> = Vec::new();
    for (line, fenced) in lines(text) {
        if fenced {
            pieces.push(line);
        } else {
            pieces.extend(line.split('`').skip(1).step_by(2));
        }
    }
    let mut commands = Vec::new();
    for piece in pieces {
        for command in piece.split(['|', ';']).flat_map(|piece| piece.split("&&")) {
            let command = command.split('#').next().unwrap_or_default().trim();
            let command = command.strip_prefix("sudo ").unwrap_or(command);
            if let Some(arguments) = command.strip_prefix("invoice-trackd ") {
                commands.push(arguments.to_owned());
            }
        }
    }
    commands
}

#[test]
fn every_command_shown_exists() {
    let mut wrong = Vec::new();
    let mut tried = 0;
    for (path, text) in documents() {
        for command in commands(&text) {
            tried += 1;
            let words: Vec<&str> = command.split_whitespace().collect();
            let named = words
                .iter()
                .take_while(|word| word.chars().all(|c| c.is_ascii_lowercase()))
                .copied();
            let Some(help) = help(&Vec::from_iter(named)) else {
                wrong.push(format!("{}: `{command}`: no such command", path.display()));
                continue;
            };
            for option in words.iter().filter(|word| word.starts_with("--")) {
                let option = option.trim_matches(['[', ']']);
                if !help.split([' ', ',', '\n']).any(|known| known == option) {
                    wrong.push(format!("{}: `{command}`: no {option}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(tried >= 40, "only {tried} commands were found");
}

#[test]
fn every_command_stands_in_both_readmes() {
    let help = help(&[]).unwrap();
    let (_, listed) = help.split_once("Commands:\n").unwrap();
    let (listed, _) = listed.split_once("\n\n").unwrap();
    let commands: Vec<&str> = listed
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
        .collect();
    assert!(commands.len() >= 9, "{commands:?}");
    for readme in ["README.md", "README.zh-TW.md"] {
        let text = fs::read_to_string(root().join(readme)).unwrap();
        for command in &commands {
            let rows = [format!("| `{command}` "), format!("| `{command} ")];
            let shown = rows.iter().any(|row| text.contains(row.as_str()));
            assert!(shown, "{readme} does not list `{command}`");
        }
    }
}

/// The blocks of a kind that a page shows.
fn fenced(text: &str, kind: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut block: Option<String> = None;
    for line in text.lines() {
        match (&mut block, line.trim()) {
            (None, fence) if fence == format!("```{kind}") => block = Some(String::new()),
            (None, _) => {}
            (Some(_), "```") => blocks.extend(block.take()),
            (Some(shown), _) => {
                shown.push_str(line);
                shown.push('\n');
            }
        }
    }
    blocks
}

#[test]
fn every_configuration_shown_holds_together() {
    let mut blocks = 0;
    let home = tempfile::tempdir().unwrap();
    let config = home.path().join("config.toml");
    for (path, text) in documents() {
        // What one block names another shows.
        let companies = fenced(&text, "csv").pop();
        let companies = companies.unwrap_or_else(|| "ban,name\n24634102,a\n".to_owned());
        fs::write(home.path().join("companies.csv"), companies).unwrap();
        for toml in fenced(&text, "toml") {
            // A fragment stands for a file that says what it must elsewhere.
            let mut fragment = toml.clone();
            if !toml.contains("[authenticity]") {
                fragment = format!("authenticity.require = \"none\"\n{fragment}");
            }
            if toml.contains("companies_file") && !toml.contains("[mail]") {
                let way = "transport = \"directory\"\ndirectory = \"/tmp/mail\"\n";
                let people = "from = \"a@example.com\"\nalert_to = [\"b@example.com\"]\n";
                fragment.push_str(&format!("[mail]\n{people}{way}"));
            }
            let read = Config::parse(&fragment, &config);
            assert!(read.is_ok(), "{path:?}: {toml}\n{}", read.unwrap_err());
            blocks += 1;
        }
    }
    assert!(blocks >= 2, "only {blocks} were found");
}

#[test]
fn every_journal_field_shown_is_one_that_the_code_writes() {
    let mut code = String::new();
    let mut directories = vec![root().join("src")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                code.push_str(&fs::read_to_string(path).unwrap());
            }
        }
    }
    // `message.uid = …` or, where the variable has the field's name, `attempts,`.
    let written: BTreeSet<String> = code
        .lines()
        .filter_map(|line| line.trim().split([' ', ',', '=']).next())
        .map(|name| name.replace('.', "_").to_uppercase())
        .collect();
    let mut shown = 0;
    for (path, text) in documents() {
        for rest in text.split("INVOICE_TRACKD_").skip(1) {
            let name: String = rest
                .chars()
                .take_while(|c| c.is_ascii_uppercase() || *c == '_')
                .collect();
            assert!(written.contains(&name), "{}: {name}", path.display());
            shown += 1;
        }
    }
    assert!(shown >= 10, "only {shown} fields were found");
}

#[test]
fn every_code_stands_in_both_readmes() {
    for (readme, page) in [
        ("README.md", "docs/alerts.md"),
        ("README.zh-TW.md", "docs/alerts.zh-TW.md"),
    ] {
        let text = fs::read_to_string(root().join(readme)).unwrap();
        for code in DefectCode::ALL {
            let link = format!("[`{code}`]({page}#{code})");
            assert!(text.contains(&link), "{readme} has no {link}");
        }
    }
}

/// Each row of a page's table of promises: its first cell, and the tests that it names.
fn promises(readme: &str, heading: &str) -> Vec<(String, BTreeSet<String>)> {
    let text = fs::read_to_string(root().join(readme)).unwrap();
    let (_, section) = text.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| "));
    // The heads of the columns are no promise.
    rows.skip(1)
        .map(|row| {
            let words = row.split('`').skip(1).step_by(2);
            let tests = words.filter(|word| word.contains("::"));
            let promise = row.split('|').nth(1).unwrap().trim();
            (promise.to_owned(), tests.map(str::to_owned).collect())
        })
        .collect()
}

#[test]
fn every_promise_names_tests_that_exist() {
    let english = promises("README.md", "What we promise");
    let chinese = promises("README.zh-TW.md", "我們的保證");
    assert!(english.len() >= 10, "{english:#?}");
    assert_eq!(english.len(), chinese.len());
    for ((promise, tests), (_, same)) in english.iter().zip(&chinese) {
        assert_eq!(tests, same, "{promise}");
    }
    let security = promises("SECURITY.md", "What tests hold");
    assert!(security.len() >= 7, "{security:#?}");
    for (promise, tests) in english.iter().chain(&security) {
        assert!(!tests.is_empty(), "nothing shows: {promise}");
        for test in tests {
            let (module, name) = test.rsplit_once("::").unwrap();
            let file = format!("tests/it/{}.rs", module.replace("::", "/"));
            let code = fs::read_to_string(root().join(&file));
            let code = code.unwrap_or_else(|_| panic!("{test}: there is no {file}"));
            let is_there = code.contains(&format!("fn {name}()"));
            assert!(is_there, "{file} has no test {name}");
        }
    }
}
