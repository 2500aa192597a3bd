//! A real Exim, as Debian packages it, on loopback ports of its own.
//!
//! STARTTLS and implicit TLS under a private CA, AUTH PLAIN required, every mail delivered into a
//! Maildir with its envelope written into the header. Mail to `nobody@…` is refused as an unknown
//! user would be. It can be stopped and started again on the same ports, as a server that goes
//! away and comes back. [`signed`] has it sign one mail with DKIM on its way to somewhere else.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpStream,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use super::{free_address, smtp_sink::SmtpSink};

const BINARY: &str = "/usr/sbin/exim4";

/// Starting, and delivering one mail, each take well under a second; this is for a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The one login that AUTH accepts.
pub const USERNAME: &str = "einvoice@example.com";
pub const PASSWORD: &str = "correct horse battery staple";

/// A running server, killed with everything it started when dropped.
pub struct Exim {
    home: TempDir,
    starttls_port: u16,
    implicit_port: u16,
    process: Option<Child>,
}

impl Exim {
    /// Starts a server and waits until it greets.
    pub fn start() -> Self {
        assert!(
            Path::new(BINARY).exists(),
            "exim4 is not installed: run tests/run"
        );
        let home = TempDir::with_prefix_in("exim-", "/tmp").unwrap();
        let [starttls_port, implicit_port] = [(); 2].map(|()| free_address().port());
        let mut exim = Self {
            home,
            starttls_port,
            implicit_port,
            process: None,
        };
        exim.furnish();
        exim.resume();
        exim
    }

    /// The port on which STARTTLS is offered.
    pub fn port(&self) -> u16 {
        self.starttls_port
    }

    /// The port on which TLS comes first.
    pub fn implicit_port(&self) -> u16 {
        self.implicit_port
    }

    /// The CA that signed the certificate for `localhost` and `127.0.0.1`.
    pub fn ca_file(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// Takes the server away, at once.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // Deliveries run in processes of their own, all in the one group.
            let group = format!("-{}", process.id());
            Command::new("kill")
                .args(["-KILL", "--", &group])
                .status()
                .unwrap();
            process.wait().unwrap();
        }
    }

    /// Starts the server again on the same ports and waits until it greets.
    pub fn resume(&mut self) {
        assert!(self.process.is_none(), "exim runs already");
        let log = fs::File::create(self.path("stderr")).unwrap();
        let process = Command::new(BINARY)
            .args(["-bdf", "-C"])
            .arg(self.path("exim.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap();
        self.process = Some(process);
        let deadline = Instant::now() + PATIENCE;
        while !greets(self.starttls_port) {
            assert!(Instant::now() < deadline, "no greeting\n{}", self.logs());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until `count` mails have been delivered and returns all there are, in the order of
    /// delivery. A mail to two recipients is delivered twice.
    pub async fn mails(&self, count: usize) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mails = self.delivered();
            if mails.len() >= count {
                return mails;
            }
            assert!(
                Instant::now() < deadline,
                "expected {count} mails, found {}\n{}",
                mails.len(),
                self.logs()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The mails delivered by now.
    pub fn delivered(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path("mail/new")) else {
            return Vec::new();
        };
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        // `time.HmicrosecondsPpid.host`: the name begins with the moment of delivery.
        files.sort();
        let read = |file| String::from_utf8(fs::read(file).unwrap()).unwrap();
        files.into_iter().map(read).collect()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn furnish(&self) {
        self.write_certificates();
        // Exim gives up root before it writes, so others must be able to get in.
        open_to_all(self.home.path());
        for directory in ["spool", "log", "mail"] {
            fs::create_dir(self.path(directory)).unwrap();
            open_to_all(&self.path(directory));
        }
        fs::write(self.path("exim.conf"), self.config()).unwrap();
    }

    fn write_certificates(&self) {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority =
            CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let server = CertificateParams::new(names)
            .unwrap()
            .signed_by(&key, &authority)
            .unwrap();
        fs::write(self.path("ca.pem"), authority.pem()).unwrap();
        fs::write(self.path("server.pem"), server.pem()).unwrap();
        fs::write(self.path("server.key"), key.serialize_pem()).unwrap();
    }

    fn config(&self) -> String {
        let home = self.home.path().display();
        let (starttls, implicit) = (self.starttls_port, self.implicit_port);
        format!(
            r#"
primary_hostname = localhost
qualify_domain = example.com
spool_directory = {home}/spool
log_file_path = {home}/log/%slog
pid_file_path = {home}/exim.pid
keep_environment =
local_interfaces = 127.0.0.1
daemon_smtp_ports = {starttls} : {implicit}
tls_on_connect_ports = {implicit}
tls_advertise_hosts = *
tls_certificate = {home}/server.pem
tls_privatekey = {home}/server.key
auth_advertise_hosts = ${{if eq{{$tls_in_cipher}}{{}}{{}}{{*}}}}
chunking_advertise_hosts =
host_lookup =
rfc1413_query_timeout = 0s
# Who tries again and again is not put off as too many: a busy machine is slow to say goodbye.
smtp_accept_max = 0
acl_smtp_rcpt = recipient
# With a configuration of one's own, Exim cannot become another user to deliver.
deliver_drop_privilege = true

begin acl
recipient:
  deny
    local_parts = nobody
    message = 5.1.1 no such user
  accept
    authenticated = *
  deny
    message = 5.7.1 log in first

begin routers
all:
  driver = accept
  transport = maildir

begin transports
maildir:
  driver = appendfile
  maildir_format
  directory = {home}/mail
  envelope_to_add
  return_path_add

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{{USERNAME}}}}}{{eq{{$auth3}}{{{PASSWORD}}}}}}}}}
  server_set_id = $auth2
"#
        )
    }

    fn logs(&self) -> String {
        let read = |name| fs::read_to_string(self.path(name)).unwrap_or_default();
        ["stderr", "log/mainlog", "log/paniclog", "log/rejectlog"]
            .map(read)
            .join("\n")
    }
}

impl Drop for Exim {
    fn drop(&mut self) {
        self.stop();
    }
}

fn greets(port: u16) -> bool {
    let Ok(socket) = TcpStream::connect(("127.0.0.1", port)) else {
        return false;
    };
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut greeting = String::new();
    BufReader::new(socket).read_line(&mut greeting).is_ok() && greeting.starts_with("220")
}

fn open_to_all(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
}

/// `eml` as it arrives when an Exim has signed it with the private `key` (PEM), selector `exim`.
pub fn signed(eml: &[u8], domain: &str, key: &str, canonicalization: &str) -> Vec<u8> {
    let home = TempDir::with_prefix_in("exim-", "/tmp").unwrap();
    open_to_all(home.path());
    let path = |name: &str| home.path().join(name);
    for directory in ["spool", "log"] {
        fs::create_dir(path(directory)).unwrap();
        open_to_all(&path(directory));
    }
    let sink = SmtpSink::start();
    fs::write(path("key.pem"), key).unwrap();
    fs::write(path("eml"), eml).unwrap();
    let config = format!(
        r#"
primary_hostname = localhost
spool_directory = {home}/spool
log_file_path = {home}/log/%slog
keep_environment =
local_interfaces = 127.0.0.1
host_lookup =
deliver_drop_privilege = true
untrusted_set_sender = *
no_local_from_check

begin routers
on:
  driver = manualroute
  route_list = * 127.0.0.1
  self = send
  transport = signing

begin transports
signing:
  driver = smtp
  port = {port}
  allow_localhost
  dkim_domain = {domain}
  dkim_selector = exim
  dkim_private_key = {home}/key.pem
  dkim_canon = {canonicalization}
  dkim_strict = true
"#,
        home = home.path().display(),
        port = sink.port(),
    );
    fs::write(path("exim.conf"), config).unwrap();
    let output = Command::new(BINARY)
        .args(["-odf", "-i", "-f", "einvoice@example.net", "-C"])
        .arg(path("exim.conf"))
        .args(["--", "einvoice@example.com"])
        .stdin(fs::File::open(path("eml")).unwrap())
        .output()
        .unwrap();
    let log = fs::read_to_string(path("log/mainlog")).unwrap_or_default();
    assert!(output.status.success(), "{output:?}\n{log}");
    let taken = sink.taken_since(0);
    assert_eq!(taken.len(), 1, "{output:?}\n{log}");
    taken[0].bytes.clone()
}
