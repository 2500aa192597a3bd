//! A disk that is full, and power that fails at a named moment, under the real binary.
//!
//! `fault.c` stands between the program and libc; the program itself is the one that is installed.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
    sync::OnceLock,
};

use super::daemon::{House, PROGRAM};

/// When the process dies, counted over what it does to the ledger's files from its start on, or from
/// [`Faults::arm`] on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before its nth write: that of a commit's first page is inside the transaction.
    Write(u32),
    /// In the middle of it.
    Torn(u32),
    /// After it.
    Wrote(u32),
    /// Before its nth sync.
    Sync(u32),
    /// After it: a commit is durable then.
    Synced(u32),
    /// In the middle of its nth write to the ledger itself: a checkpoint moves the log into it.
    Page(u32),
    /// Before its nth transaction that writes.
    Begin(u32),
    /// Before its nth connection to the port of [`Faults::with_port`].
    Connect(u32),
    /// Before it gives one of the files its nth new name.
    Rename(u32),
    /// After it.
    Renamed(u32),
}

/// The machine under one house's daemon.
pub struct Faults {
    environment: Vec<(&'static str, String)>,
    full: PathBuf,
    armed: PathBuf,
}

impl Faults {
    /// A machine on which nothing fails yet.
    pub fn under(house: &House) -> Self {
        Self::to(house, "ledger.db")
    }

    /// As [`Faults::under`]; what counts is what happens to files whose path in the house begins so.
    pub fn to(house: &House, files: &str) -> Self {
        let full = house.path("the-disk-is-full");
        let environment = vec![
            ("LD_PRELOAD", library().display().to_string()),
            ("FAULT_FILES", house.path(files).display().to_string()),
            ("FAULT_FULL", full.display().to_string()),
        ];
        let armed = house.path("the-machine-may-fail");
        Self {
            environment,
            full,
            armed,
        }
    }

    /// The connections that [`Moment::Connect`] counts.
    pub fn with_port(mut self, port: u16) -> Self {
        self.environment.push(("FAULT_PORT", port.to_string()));
        self
    }

    /// Nothing is counted before [`Faults::arm`].
    pub fn unarmed(mut self) -> Self {
        fs::remove_file(&self.armed).ok();
        let armed = self.armed.display().to_string();
        self.environment.push(("FAULT_ARMED", armed));
        self
    }

    /// What the process does from now on counts.
    pub fn arm(&self) {
        fs::write(&self.armed, b"").unwrap();
    }

    /// Where the process dies.
    pub fn kill_at(mut self, moment: Moment) -> Self {
        let when = match moment {
            Moment::Write(n) => format!("write:{n}"),
            Moment::Torn(n) => format!("torn:{n}"),
            Moment::Wrote(n) => format!("wrote:{n}"),
            Moment::Sync(n) => format!("sync:{n}"),
            Moment::Synced(n) => format!("synced:{n}"),
            Moment::Page(n) => format!("page:{n}"),
            Moment::Begin(n) => format!("begin:{n}"),
            Moment::Connect(n) => format!("connect:{n}"),
            Moment::Rename(n) => format!("rename:{n}"),
            Moment::Renamed(n) => format!("renamed:{n}"),
        };
        self.environment.push(("FAULT_KILL", when));
        self
    }

    /// For [`House::run`].
    pub fn environment(&self) -> Vec<(&str, &str)> {
        let each = self.environment.iter();
        each.map(|(name, value)| (*name, value.as_str())).collect()
    }

    /// One command on this machine, to its end.
    pub fn command(&self, house: &House, arguments: &[&str]) -> Output {
        Command::new(PROGRAM)
            .arg("--config")
            .arg(house.path("config.toml"))
            .args(arguments)
            .env_remove("RUST_LOG")
            .envs(self.environment())
            .output()
            .unwrap()
    }

    /// From now on the disk is full.
    pub fn fill_the_disk(&self) {
        fs::write(&self.full, b"").unwrap();
    }

    /// There is room again.
    pub fn free_the_disk(&self) {
        fs::remove_file(&self.full).unwrap();
    }
}

/// `fault.c`, compiled once.
fn library() -> &'static PathBuf {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/fault.c");
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        // Under another name first: a second run of the tests may be using it.
        let (new, library) = (
            directory.join(format!("fault-{}.so", std::process::id())),
            directory.join("fault.so"),
        );
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
            .arg(&new)
            .args([source, "-ldl"])
            .status()
            .expect("a C compiler, which building SQLite needs as well");
        assert!(compiled.success());
        fs::rename(&new, &library).unwrap();
        library
    })
}
