//! What the pages have people set up: systemd understands it, and with these owners and modes the
//! service writes what the POS reads and takes away.
//!
//! Left out: systemd itself is not run, so that `DynamicUser=` and the service's view of the file system
//! are not tried; a user of that number with that group is.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    process::Command,
};

use super::{directory::visible, receivers::PAGES, *};
use crate::support::daemon::{COMPANY, House, MAIL, PROGRAM, notice};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The blocks of a page in this language, without what indents them in a list.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let page = read(page);
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(indent) = line.strip_suffix(&format!("```{language}")) else {
            continue;
        };
        let block = lines
            .by_ref()
            .map(|line| line.strip_prefix(indent).unwrap_or(line));
        let block = block.take_while(|line| *line != "```");
        blocks.push(block.collect::<Vec<_>>().join("\n") + "\n");
    }
    blocks
}

#[test]
fn systemd_understands_every_unit_and_addition_of_the_pages() {
    for page in PAGES {
        let home = tempfile::tempdir().unwrap();
        let runs_true = |unit: &str| unit.replace("/usr/bin/invoice-trackd", "/bin/true");
        let ours = runs_true(&read("systemd/invoice-trackd.service"));
        fs::write(home.path().join("invoice-trackd.service"), ours).unwrap();
        let additions = home.path().join("invoice-trackd.service.d");
        fs::create_dir(&additions).unwrap();
        let mut units = vec!["invoice-trackd.service".to_owned()];
        let blocks = blocks(page, "ini");
        for (n, block) in blocks.iter().enumerate() {
            let named = block.lines().next().unwrap();
            let path = match named.strip_prefix("# /etc/systemd/system/") {
                None => additions.join(format!("{n}.conf")),
                Some(name) => {
                    units.push(name.to_owned());
                    home.path().join(name)
                }
            };
            fs::write(path, runs_true(block)).unwrap();
        }
        assert_eq!((blocks.len(), units.len()), (4, 3), "{page}");
        let verified = Command::new("systemd-analyze")
            .args(["verify", "--man=no"])
            .args(units.iter().map(|unit| home.path().join(unit)))
            .output()
            .expect("systemd-analyze, which `tests/run` installs");
        let words = String::from_utf8(verified.stderr).unwrap();
        assert!(
            verified.status.success() && words.is_empty(),
            "{page}: {words}"
        );
        // The other way round, so that silence is worth something.
        fs::write(additions.join("9.conf"), "[Service]\nReadWritePath=/srv\n").unwrap();
        let verified = Command::new("systemd-analyze")
            .args(["verify", "--man=no"])
            .arg(home.path().join("invoice-trackd.service"))
            .output()
            .unwrap();
        let words = String::from_utf8(verified.stderr).unwrap();
        assert!(words.contains("ReadWritePath"), "{words}");
    }
}

const SERVICE: u32 = 40_131;
const POS: u32 = 40_132;
const GROUP: u32 = 40_133;
const STRANGER: u32 = 40_134;

/// `command` by a user who is in no group but this one.
fn by(user: u32, groups: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={user}"), &format!("--regid={user}")]);
    match groups {
        "" => command.arg("--clear-groups"),
        groups => command.arg(format!("--groups={groups}")),
    };
    command
}

/// Only root can be several people; without root there is nothing to see.
#[test]
fn with_the_modes_of_the_recipe_the_service_writes_and_the_pos_reads_and_takes_and_nobody_else() {
    let house = House::new(&format!(
        "{COMPANY}[[handoff]]\nname = \"pos\"\nkind = \"directory\"\npath = \"@ROOT@/inbox\"\n{MAIL}"
    ));
    let inbox = house.path("inbox");
    for page in PAGES {
        let made = "install -d -g invoice-pos -m 2770 /srv/pos/inbox";
        assert!(read(page).contains(made), "{page} has another recipe");
    }
    fs::create_dir(&inbox).unwrap();
    fs::create_dir(house.path("sent")).unwrap();
    house.write("notice.eml", notice("EC"));
    if chown(&inbox, Some(0), Some(GROUP)).is_err() {
        return;
    }
    fs::set_permissions(&inbox, fs::Permissions::from_mode(0o2770)).unwrap();
    // What is not the recipe's: the state directory is the service's own, and the way there is open.
    for place in [house.path("."), house.path("sent")] {
        chown(&place, Some(SERVICE), Some(SERVICE)).unwrap();
        fs::set_permissions(&place, fs::Permissions::from_mode(0o711)).unwrap();
    }
    let group = GROUP.to_string();
    let output = by(SERVICE, &group)
        .args([
            "sh",
            "-c",
            "umask 0077; exec \"$@\"",
            "sh",
            PROGRAM,
            "--config",
        ])
        .arg(house.path("config.toml"))
        .arg("ingest")
        .arg(house.path("notice.eml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let names = visible(&inbox);
    assert_eq!(names.len(), 3, "{output:?}");

    let does = |user, groups: &str, words: &[&str]| {
        let output = by(user, groups).args(words).output().unwrap();
        output.status.success()
    };
    for name in &names {
        let file = inbox.join(name);
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644, "{name}");
        let file = file.to_str().unwrap();
        assert!(!does(STRANGER, "", &["cat", file]), "{name}");
        assert!(does(POS, &group, &["cat", file]), "{name}");
        assert!(does(POS, &group, &["rm", file]), "{name}");
    }
    // What is remembered is none of its business.
    let hidden = inbox.join(".invoice-trackd");
    assert!(!does(POS, &group, &["ls", hidden.to_str().unwrap()]));
}
