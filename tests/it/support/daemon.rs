//! The real binary: as a daemon on a scratch directory, and as one command after another.

use std::{
    fs,
    io::Write as _,
    os::unix::{fs::PermissionsExt as _, net::UnixDatagram},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use invoice_trackd::{
    ledger::{AllocationFilter, AllocationRow, Counts, Ledger, OutboxCounts},
    pulse::Pulse,
};
use tempfile::TempDir;

/// The program as it is installed.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_invoice-trackd");

/// A directory with a configuration and a ledger.
pub struct House {
    pub root: TempDir,
}

impl House {
    /// `configuration` stands below `[ledger]` and `require = "none"`; `@ROOT@` is the directory.
    pub fn new(configuration: &str) -> Self {
        // A short path: sockets have a limit, and reports are wrapped.
        let root = tempfile::tempdir_in("/tmp").unwrap();
        let house = Self { root };
        house.configure(configuration);
        house
    }

    /// As [`House::new`], with mail into the directory `sent`.
    pub fn with_mail(configuration: &str) -> Self {
        let house = Self::new(&format!("{configuration}{MAIL}"));
        fs::create_dir(house.path("sent")).unwrap();
        house
    }

    /// Writes another configuration.
    pub fn configure(&self, configuration: &str) {
        let text = format!(
            "[ledger]\nurl = \"sqlite://@ROOT@/ledger.db\"\n[authenticity]\nrequire = \"none\"\n{configuration}"
        );
        self.write(
            "config.toml",
            text.replace("@ROOT@", self.root.path().to_str().unwrap()),
        );
    }

    /// A file that only its owner may read.
    pub fn secret(&self, name: &str, content: &str) -> PathBuf {
        let path = self.write(name, content);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// One command, to its end.
    pub fn command(&self, arguments: &[&str]) -> Output {
        self.command_with_input(arguments, b"")
    }

    pub fn command_with_input(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut child = Command::new(PROGRAM)
            .arg("--config")
            .arg(self.path("config.toml"))
            .args(arguments)
            .env_remove("RUST_LOG")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that needs no input may be gone before it is given any.
        child.stdin.take().unwrap().write_all(input).ok();
        // A command that should end and does not, fails; it must not hang the run.
        let process = child.id();
        let (ended, end) = mpsc::channel();
        thread::spawn(move || ended.send(child.wait_with_output()));
        let Ok(output) = end.recv_timeout(Duration::from_secs(60)) else {
            signal(process, "KILL");
            panic!("{arguments:?} did not end within 60 s");
        };
        output.unwrap()
    }

    /// A command's stdout as JSON, with its exit status.
    pub fn json(&self, arguments: &[&str]) -> (i32, serde_json::Value) {
        let output = self.command(arguments);
        let value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!(
                "{arguments:?}: no JSON ({error}): {}",
                String::from_utf8_lossy(&output.stderr)
            )
        });
        (output.status.code().unwrap(), value)
    }

    /// Starts `run`; its log goes to the file `log` in the directory.
    pub fn run(&self, environment: &[(&str, &str)]) -> Running {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.path("log"))
            .unwrap();
        let child = Command::new(PROGRAM)
            .arg("--config")
            .arg(self.path("config.toml"))
            .arg("run")
            .env_remove("RUST_LOG")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Running { child }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    pub async fn ledger(&self) -> Option<Ledger> {
        Ledger::open_for_reading(&self.path("ledger.db"))
            .await
            .ok()
            .flatten()
    }

    pub async fn allocations(&self) -> Vec<AllocationRow> {
        let Some(ledger) = self.ledger().await else {
            return Vec::new();
        };
        let rows = ledger
            .allocations(AllocationFilter::default())
            .await
            .unwrap();
        ledger.close().await;
        rows
    }

    pub async fn counts(&self) -> Counts {
        let Some(ledger) = self.ledger().await else {
            return Counts::new();
        };
        let counts = ledger.counts().await.unwrap();
        ledger.close().await;
        counts
    }

    pub async fn outbox(&self) -> OutboxCounts {
        let Some(ledger) = self.ledger().await else {
            return OutboxCounts::new();
        };
        let counts = ledger.outbox_counts().await.unwrap();
        ledger.close().await;
        counts
    }

    pub async fn messages(&self, disposition: &str) -> u64 {
        self.counts()
            .await
            .get(disposition)
            .copied()
            .unwrap_or_default()
    }

    /// Waits until `what` is true, or fails with the daemon's log.
    pub async fn until<F: Future<Output = bool>>(&self, what: &str, check: impl Fn() -> F) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !check().await {
            assert!(
                Instant::now() < deadline,
                "waited 60 s for: {what}\ncounts {:?}\noutbox {:?}\nlog:\n{}",
                self.counts().await,
                self.outbox().await,
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A daemon that runs; killed when dropped.
pub struct Running {
    child: Child,
}

impl Running {
    /// The number of its process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// A line of `/proc/PID/status` in KiB, e.g. `VmRSS` (memory now) or `VmHWM` (the most so far).
    pub fn kibibytes(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process())).unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// What a command says of `/proc/PID/file`. Not even the daemon's own user may look in there: it
    /// cannot be dumped (proc(5)). Root can, by itself or through sudo.
    pub fn seen_by_root(&self, command: &[&str], file: &str) -> String {
        let path = format!("/proc/{}/{file}", self.process());
        let [program, arguments @ ..] = command else {
            panic!("no command");
        };
        let sudo = [&["sudo", "-n", program][..], arguments].concat();
        for words in [command, &sudo] {
            // The path comes first where `find` wants it.
            let (before, after) = words.split_at(words.len() - arguments.len());
            let output = Command::new(before[0])
                .args(&before[1..])
                .arg(&path)
                .args(after)
                .output();
            let said = output.map(|output| String::from_utf8(output.stdout).unwrap());
            if let Ok(said) = said
                && !said.is_empty()
            {
                return said;
            }
        }
        panic!("{path} is for root alone: run tests/run as root or with sudo")
    }

    /// SIGTERM, then the exit status; no later than `within`.
    pub fn terminate(mut self, within: Duration) -> Option<i32> {
        signal(self.child.id(), "TERM");
        self.ended(within)
    }

    /// Waits for the end by itself.
    pub fn ended(&mut self, within: Duration) -> Option<i32> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(
                Instant::now() < deadline,
                "the daemon did not end within {within:?}"
            );
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Whether it has ended, for whatever reason.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for the end by itself; whether that was the program's own doing, and no signal's.
    pub fn is_done(&mut self) -> bool {
        self.ended(Duration::from_secs(60)).is_some()
    }

    /// SIGHUP: read the configuration again.
    pub fn reload(&self) {
        signal(self.child.id(), "HUP");
    }

    /// SIGKILL: the power fails.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn signal(process: u32, name: &str) {
    let status = Command::new("kill")
        .arg(format!("-{name}"))
        .arg(process.to_string())
        .status()
        .unwrap();
    assert!(status.success());
}

/// What systemd would hear.
pub struct Systemd {
    socket: UnixDatagram,
    path: String,
}

impl Systemd {
    pub fn new(house: &House) -> Self {
        let path = house.path("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let path = path.to_str().unwrap().to_owned();
        Self { socket, path }
    }

    /// The environment in which systemd starts a service.
    pub fn environment(&self) -> (&str, &str) {
        ("NOTIFY_SOCKET", &self.path)
    }

    /// The next word; `None` when none comes within `patience`.
    pub fn hears(&self, patience: Duration) -> Option<String> {
        self.socket.set_read_timeout(Some(patience)).unwrap();
        let mut words = [0; 4096];
        let length = self.socket.recv(&mut words).ok()?;
        Some(String::from_utf8_lossy(&words[..length]).trim().to_owned())
    }

    /// Waits for a word that `is` right; returns it.
    pub fn until(&self, is: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let patience = deadline.saturating_duration_since(Instant::now());
            let patience = patience.max(Duration::from_millis(1));
            let word = self.hears(patience).expect("systemd was told nothing more");
            if is(&word) {
                return word;
            }
        }
    }
}

/// A Maildir with its three directories.
pub fn maildir(path: &Path) {
    for part in ["tmp", "new", "cur"] {
        fs::create_dir_all(path.join(part)).unwrap();
    }
}

/// A notice as the platform writes it; the numbers are given, the rest agrees with them.
pub struct Notice<'a> {
    pub from: &'a str,
    pub message_id: &'a str,
    pub track: &'a str,
    pub period: &'a str,
    pub begin: u32,
    pub booklets: u32,
}

impl Default for Notice<'_> {
    fn default() -> Self {
        Self {
            from: "einvoice@einvoice.nat.gov.tw",
            message_id: "1@einvoice.nat.gov.tw",
            track: "EC",
            period: "107/05 - 107/06",
            begin: 22_628_000,
            booklets: 128,
        }
    }
}

impl Notice<'_> {
    pub fn eml(&self) -> Vec<u8> {
        let Self {
            from,
            message_id,
            track,
            period,
            begin,
            booklets,
        } = self;
        let end = begin + booklets * 50 - 1;
        format!(
            "From: {from}\r\nTo: einvoice@example.com\r\n\
             Subject: =?UTF-8?B?6Zu75a2Q55m856Wo6YWN6Jmf57WQ5p6c6YCa55+l?=\r\n\
             Date: Fri, 20 Apr 2018 09:00:00 +0800\r\nMessage-ID: <{message_id}>\r\n\
             MIME-Version: 1.0\r\nContent-Type: text/plain; charset=UTF-8\r\n\
             Content-Transfer-Encoding: 8bit\r\n\r\n\
             親愛的客戶您好：\r\n\
             貴公司(53567686)申請之財政部電子發票字軌已配號完成，配號資料如下：\r\n\
             字軌名稱：{track}\r\n發票期別：{period}\r\n發票類別：一般稅額計算\r\n\
             申請本數：0\r\n增加本數：{booklets}\r\n\
             發票起號：{begin:08}\r\n發票迄號：{end:08}\r\n"
        )
        .into_bytes()
    }
}

/// A notice of its own for each track.
pub fn notice(track: &str) -> Vec<u8> {
    let message_id = format!("{track}@einvoice.nat.gov.tw");
    Notice {
        track,
        message_id: &message_id,
        ..Notice::default()
    }
    .eml()
}

/// The company that [`Notice`] names. Nothing is due for it, so that no test depends on the day.
pub const COMPANY: &str = r#"
[[company]]
ban = "53567686"
name = "雲端行動科技股份有限公司"
assignment = "none"
recipients = ["einvoice@example.com"]
"#;

/// Mail into the directory `sent`.
pub const MAIL: &str = r#"
[mail]
from = "invoice-trackd <einvoice@example.com>"
confirm_to = ["ops@example.com"]
alert_to = ["oncall@example.com"]
transport = "directory"
directory = "@ROOT@/sent"
"#;

/// A pulse that nobody feels.
pub fn unwatched() -> Arc<Pulse> {
    Arc::new(Pulse::new(Duration::ZERO))
}
