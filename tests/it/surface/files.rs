//! What the program writes is for its owner, and what tells it what to do is written by nobody else.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
};

use crate::support::daemon::{COMPANY, House, MAIL, Notice, PROGRAM, maildir};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_and_the_mails_are_nobody_elses_under_any_umask() {
    let house = House::new(&format!(
        "{COMPANY}{MAIL}[[mailbox]]\nname = \"m\"\nkind = \"maildir\"\npath = \"@ROOT@/mailbox\"\n"
    ));
    // The configuration itself holds no secret.
    set(&house.path("config.toml"), 0o644);
    maildir(&house.path("mailbox"));
    house.write("mailbox/new/1", Notice::default().eml());
    let mut child = Command::new("/bin/sh")
        .args(["-c", "umask 000; exec \"$@\"", "sh", PROGRAM, "--config"])
        .arg(house.path("config.toml"))
        .arg("run")
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    house
        .until("a mail is written", || async {
            house
                .outbox()
                .await
                .get("sent")
                .is_some_and(|sent| *sent == 1)
        })
        .await;
    let mut seen = Vec::new();
    for name in [
        "ledger.db",
        "ledger.db-wal",
        "ledger.db-shm",
        "ledger.db.lock",
    ] {
        seen.push((name.to_owned(), mode(&house.path(name))));
    }
    for entry in fs::read_dir(house.path("sent")).unwrap() {
        seen.push(("a mail".to_owned(), mode(&entry.unwrap().path())));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(seen.len(), 5, "{seen:?}");
    assert!(seen.iter().all(|(_, mode)| *mode == 0o600), "{seen:?}");
    assert_eq!(mode(&house.path("sent")), 0o700);
}

#[test]
fn a_configuration_that_anybody_may_write_is_refused_by_every_command() {
    let house = House::new(COMPANY);
    let file = house.path("config.toml");
    set(&file, 0o666);
    for command in [&["check"][..], &["status"], &["run"]] {
        let output = house.command(command);
        assert_eq!(output.status.code(), Some(78), "{output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        let expected = format!(
            "invoice-trackd: the configuration {0}: expected a file that others may not write, \
             found mode 0666; run `chmod o-w {0}`\n",
            file.display()
        );
        assert_eq!(said, expected);
    }
    for good in [0o644, 0o664, 0o600] {
        set(&file, good);
        let output = house.command(&["check"]);
        assert!(output.status.success(), "{good:o} {output:?}");
    }
    let root = house.root.path();
    set(root, 0o777);
    let output = house.command(&["check"]);
    set(root, 0o700);
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("may not put another file in its place"),
        "{said}"
    );
}
