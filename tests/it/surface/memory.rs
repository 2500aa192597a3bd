//! No core dump, and no other process of the same user looks in.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt as _, chown},
        process::{CommandExt as _, ExitStatusExt as _},
    },
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::support::daemon::{House, PROGRAM, maildir};

const MAILBOX: &str = "[[mailbox]]\nname = \"m\"\nkind = \"maildir\"\npath = \"@ROOT@/mailbox\"\n";

/// Nobody's number: as root, the program runs as somebody else, so that what belongs to root does
/// not for that reason alone.
const SOMEBODY: u32 = 54_321;

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

fn give(path: &Path, user: u32) {
    chown(path, Some(user), Some(user)).unwrap();
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            give(&entry.unwrap().path(), user);
        }
    }
}

/// The daemon, allowed to dump as much as this test is; running by the time it is returned.
fn daemon(house: &House) -> Child {
    maildir(&house.path("mailbox"));
    let log = fs::File::create(house.path("log")).unwrap();
    // By its descriptor: the directory it is built in may be closed to somebody else.
    let program = fs::File::open(PROGRAM).unwrap();
    let mut command = Command::new("/bin/sh");
    command
        .args([
            "-c",
            "ulimit -c \"$(ulimit -H -c)\"; exec /proc/self/fd/0 \"$@\"",
            "sh",
        ])
        .arg("--config")
        .arg(house.path("config.toml"))
        .arg("run")
        .env_remove("RUST_LOG")
        .current_dir(house.root.path())
        .stdin(program)
        .stdout(Stdio::null())
        .stderr(log);
    if is_root() {
        give(house.root.path(), SOMEBODY);
        command.uid(SOMEBODY).gid(SOMEBODY);
    }
    let mut child = command.spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !house.log().contains("mailbox opened") {
        let over = child.try_wait().unwrap();
        assert!(
            over.is_none() && Instant::now() < deadline,
            "{over:?} {}",
            house.log()
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    child
}

#[test]
fn a_daemon_that_is_killed_leaves_no_core_and_nobody_reads_its_memory() {
    for signal in ["ABRT", "SEGV"] {
        let house = House::new(MAILBOX);
        let mut child = daemon(&house);
        let process = format!("/proc/{}", child.id());

        let limits = fs::read_to_string(format!("{process}/limits")).unwrap();
        let cores = limits
            .lines()
            .find(|line| line.starts_with("Max core file size"));
        let words: Vec<&str> = cores.unwrap().split_whitespace().collect();
        assert_eq!(words[4..6], ["0", "0"], "{limits}");

        // proc(5): what a process that may not be dumped has in /proc belongs to root.
        let status = fs::read_to_string(format!("{process}/status")).unwrap();
        let user = status
            .lines()
            .find_map(|line| line.strip_prefix("Uid:\t"))
            .unwrap();
        let user = user.split('\t').next().unwrap();
        assert_ne!(user, "0", "the test proves nothing of a process of root's");
        for file in ["mem", "environ", "fd"] {
            let owner = fs::metadata(format!("{process}/{file}")).unwrap().uid();
            assert_eq!(owner, 0, "{file} belongs to {user}");
        }

        let deadline = Instant::now() + Duration::from_secs(60);
        // Rust's own handler lets the first SIGSEGV pass: a real fault would come again at once.
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "it outlives {signal}");
            let killed = Command::new("kill")
                .arg(format!("-{signal}"))
                .arg(child.id().to_string())
                .status();
            assert!(killed.unwrap().success());
            std::thread::sleep(Duration::from_millis(50));
        };
        assert!(status.signal().is_some(), "{status:?}");
        assert!(!status.core_dumped(), "{status:?}");
        for entry in fs::read_dir(house.root.path()).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(!name.starts_with("core"), "{name}");
        }
    }
}
