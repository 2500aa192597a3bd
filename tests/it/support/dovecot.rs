//! A real Dovecot of a test's own: its mail, its ports, its CA, in a directory that goes with it.
//!
//! Any user name is a user; the password is always [`PASSWORD`]; where it is told whom to ask about
//! access tokens, it takes those as well. Dovecot 2.3 (Debian 12).

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

use super::free_address;

/// Every user's password.
pub const PASSWORD: &str = "imap-Secret-4711";

/// A server needs a second to start, and much longer on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(30);

/// Nobody's mail: Dovecot refuses to serve root's. By process, because a user's inotify instances
/// (128 on Debian), which IDLE takes one of, are shared by all servers with the same uid.
fn mail_uid() -> u32 {
    match own_uid() {
        0 => 40_000 + std::process::id() % 10_000,
        uid => uid,
    }
}

fn own_uid() -> u32 {
    fs::metadata("/proc/self").unwrap().uid()
}

/// A server, running unless it was stopped; gone with this value.
pub struct Dovecot {
    directory: TempDir,
    master: Option<Child>,
    introspection: Option<String>,
    pub imap_port: u16,
    pub imaps_port: u16,
}

impl Dovecot {
    /// Starts one and waits until it greets.
    pub fn start() -> Self {
        Self::start_as(None)
    }

    /// One that asks at this address (RFC 7662) whose an access token is (XOAUTH2).
    pub fn with_tokens(introspection: String) -> Self {
        Self::start_as(Some(introspection))
    }

    fn start_as(introspection: Option<String>) -> Self {
        let directory = TempDir::with_prefix_in("dovecot-", "/tmp").unwrap();
        // The login and mail processes run as other users and must get in.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mail = directory.path().join("mail");
        fs::create_dir(&mail).unwrap();
        if own_uid() == 0 {
            chown(&mail, Some(mail_uid()), Some(mail_uid())).unwrap();
        }
        write_certificates(directory.path());
        let mut dovecot = Self {
            imap_port: free_address().port(),
            imaps_port: free_address().port(),
            directory,
            master: None,
            introspection,
        };
        fs::write(dovecot.config_file(), dovecot.config()).unwrap();
        if let Some(url) = &dovecot.introspection {
            let asking = format!(
                "introspection_url = {url}\nintrospection_mode = post\n\
                 username_attribute = username\nactive_attribute = active\nactive_value = true\n"
            );
            fs::write(dovecot.directory.path().join("oauth2.conf"), asking).unwrap();
        }
        dovecot.restart();
        dovecot
    }

    /// Starts it again on the same ports, with the same mail; stops it first if it runs.
    pub fn restart(&mut self) {
        self.stop();
        let master = Command::new("/usr/sbin/dovecot")
            .arg("-F")
            .arg("-c")
            .arg(self.config_file())
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("Dovecot is not installed ({error}): run tests/run"));
        self.master = Some(master);
        let deadline = Instant::now() + PATIENCE;
        while !self.greets() {
            if Instant::now() > deadline {
                panic!("Dovecot did not start:\n{}", self.log());
            }
            sleep(Duration::from_millis(20));
        }
    }

    /// Ends every process of it; open connections break.
    pub fn stop(&mut self) {
        let Some(mut master) = self.master.take() else {
            return;
        };
        signal(&master, "TERM");
        let deadline = Instant::now() + PATIENCE;
        while master.try_wait().unwrap().is_none() {
            if Instant::now() > deadline {
                signal(&master, "KILL");
                master.wait().unwrap();
                break;
            }
            sleep(Duration::from_millis(10));
        }
        // The master does not wait for its children.
        signal(&master, "KILL");
    }

    /// A `[[mailbox]]` for the INBOX of `user`; [`PASSWORD`] is in the environment.
    pub fn mailbox(&self, name: &str, user: &str) -> String {
        format!(
            r#"[[mailbox]]
name = "{name}"
kind = "imap"
host = "localhost"
port = {}
ca_file = "{}"
username = "{user}"
password = {{ env = "TEST_IMAP_PASSWORD" }}
"#,
            self.imaps_port,
            self.ca_file().display(),
        )
    }

    /// The CA that signed the server's certificate, which is for `localhost` and 127.0.0.1; the
    /// server also listens on 127.0.0.2.
    pub fn ca_file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// A CA that signed nothing of this server's.
    pub fn other_ca_file(&self) -> PathBuf {
        self.directory.path().join("other-ca.pem")
    }

    /// Makes an empty folder.
    pub fn create(&self, user: &str, folder: &str) {
        self.doveadm(&["mailbox", "create", "-u", user, folder]);
    }

    /// Removes a folder with all that is in it.
    pub fn delete(&self, user: &str, folder: &str) {
        self.doveadm(&["mailbox", "delete", "-u", user, folder]);
    }

    /// Gives a folder another name.
    pub fn rename(&self, user: &str, from: &str, to: &str) {
        self.doveadm(&["mailbox", "rename", "-u", user, from, to]);
    }

    /// Moves every message of a folder to another one, as a person does.
    pub fn move_all(&self, user: &str, from: &str, to: &str) {
        self.doveadm(&["move", "-u", user, to, "mailbox", from, "all"]);
    }

    /// Puts a message into a user's folder, which is made where it is missing.
    pub fn deliver(&self, user: &str, folder: &str, message: &[u8]) {
        if folder != "INBOX" && !self.has_folder(user, folder) {
            self.create(user, folder);
        }
        let arguments = ["save", "-u", user, "-m", folder];
        self.doveadm_with(&arguments, message);
    }

    /// Puts a message into a user's INBOX with `date` (`31-Jan-2026 08:00:00 +0800`) as its
    /// INTERNALDATE, which `doveadm save` cannot do.
    pub fn deliver_dated(&self, user: &str, date: &str, message: &[u8]) {
        let mut socket = TcpStream::connect(("127.0.0.1", self.imap_port)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut answers = BufReader::new(socket.try_clone().unwrap()).lines();
        let mut wait_for = |answer: &str| {
            let said = answers.find(|line| line.as_ref().unwrap().starts_with(answer));
            assert!(said.is_some(), "Dovecot did not answer {answer}");
        };
        write!(socket, "a LOGIN {user} {PASSWORD}\r\n").unwrap();
        wait_for("a OK");
        write!(
            socket,
            "b APPEND INBOX \"{date}\" {{{}}}\r\n",
            message.len()
        )
        .unwrap();
        wait_for("+");
        socket.write_all(message).unwrap();
        socket.write_all(b"\r\n").unwrap();
        wait_for("b OK");
    }

    /// Puts many messages into a user's INBOX over one connection.
    pub fn deliver_all(&self, user: &str, messages: &[Vec<u8>]) {
        let mut socket = TcpStream::connect(("127.0.0.1", self.imap_port)).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut answers = BufReader::new(socket.try_clone().unwrap()).lines();
        write!(socket, "a LOGIN {user} {PASSWORD}\r\n").unwrap();
        // Its login process hangs up on a client that says much before it is let in.
        let said = answers.find(|line| line.as_ref().unwrap().starts_with("a "));
        let said = said.expect("Dovecot hung up").unwrap();
        assert!(said.starts_with("a OK"), "{said}");
        // RFC 7888: LITERAL+ waits for no permission. RFC 3502: one APPEND takes several.
        for some in messages.chunks(50) {
            write!(socket, "b APPEND INBOX").unwrap();
            for message in some {
                write!(socket, " {{{}+}}\r\n", message.len()).unwrap();
                socket.write_all(message).unwrap();
            }
            socket.write_all(b"\r\n").unwrap();
            let said = answers.find(|line| line.as_ref().unwrap().starts_with("b "));
            let said = said.expect("Dovecot hung up").unwrap();
            assert!(said.starts_with("b OK"), "{said}");
        }
    }

    /// Removes the message with this UID.
    pub fn expunge(&self, user: &str, folder: &str, uid: u32) {
        let uid = uid.to_string();
        self.doveadm(&["expunge", "-u", user, "mailbox", folder, "uid", &uid]);
    }

    /// Renumbers a folder, as a restored backup does.
    pub fn set_uidvalidity(&self, user: &str, folder: &str, uidvalidity: u32) {
        let value = uidvalidity.to_string();
        self.doveadm(&[
            "mailbox",
            "update",
            "-u",
            user,
            "--uid-validity",
            &value,
            folder,
        ]);
    }

    /// What a folder's UIDs are counted under.
    pub fn uidvalidity(&self, user: &str, folder: &str) -> u32 {
        let said = self.doveadm(&["mailbox", "status", "-u", user, "uidvalidity", folder]);
        let (_, value) = said.trim().rsplit_once('=').expect("a UIDVALIDITY");
        value.parse().unwrap()
    }

    /// Each message's UID and flags, in order.
    pub fn flags(&self, user: &str, folder: &str) -> Vec<(u32, String)> {
        let listed = self.doveadm(&[
            "-f",
            "tab",
            "fetch",
            "-u",
            user,
            "uid flags",
            "mailbox",
            folder,
        ]);
        listed
            .lines()
            .skip(1)
            .map(|line| {
                let (uid, flags) = line.split_once('\t').expect("a UID and flags");
                (uid.parse().unwrap(), flags.to_owned())
            })
            .collect()
    }

    /// Cuts a user's connections.
    pub fn kick(&self, user: &str) {
        self.doveadm(&["kick", user]);
    }

    /// What Dovecot has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    fn has_folder(&self, user: &str, folder: &str) -> bool {
        let listed = self.doveadm(&["mailbox", "list", "-u", user]);
        listed.lines().any(|line| line == folder)
    }

    fn doveadm(&self, arguments: &[&str]) -> String {
        self.doveadm_with(arguments, b"")
    }

    fn doveadm_with(&self, arguments: &[&str], input: &[u8]) -> String {
        let mut child = Command::new("/usr/bin/doveadm")
            .arg("-c")
            .arg(self.config_file())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("Dovecot is not installed ({error}): run tests/run"));
        child.stdin.take().unwrap().write_all(input).unwrap();
        let Output {
            status,
            stdout,
            stderr,
        } = child.wait_with_output().unwrap();
        assert!(
            status.success(),
            "doveadm {arguments:?}: {}\n{}",
            String::from_utf8_lossy(&stderr),
            self.log()
        );
        String::from_utf8(stdout).unwrap()
    }

    fn greets(&self) -> bool {
        let Ok(socket) = TcpStream::connect(("127.0.0.1", self.imap_port)) else {
            return false;
        };
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut greeting = String::new();
        BufReader::new(socket).read_line(&mut greeting).is_ok() && greeting.starts_with("* OK")
    }

    fn config_file(&self) -> PathBuf {
        self.directory.path().join("dovecot.conf")
    }

    fn config(&self) -> String {
        let directory = self.directory.path().display();
        let (imap, imaps) = (self.imap_port, self.imaps_port);
        let uid = mail_uid();
        // Without root no process can change its user or its root directory.
        let unprivileged = match own_uid() {
            0 => String::new(),
            _ => format!(
                "default_internal_user = {user}\ndefault_login_user = {user}\n\
                 default_internal_group = {group}\n\
                 service anvil {{\n  chroot =\n}}\nservice stats {{\n  chroot =\n}}\n\
                 service imap-login {{\n  chroot =\n}}\n",
                user = id("-un"),
                group = id("-gn"),
            ),
        };
        let (mechanisms, tokens) = match &self.introspection {
            None => ("plain", String::new()),
            Some(_) => (
                "plain xoauth2",
                format!(
                    "passdb {{\n  driver = oauth2\n  mechanisms = xoauth2\n  \
                     args = {directory}/oauth2.conf\n}}\n"
                ),
            ),
        };
        format!(
            "base_dir = {directory}/run
state_dir = {directory}/state
log_path = {directory}/log
protocols = imap
listen = 127.0.0.1, 127.0.0.2
ssl = yes
ssl_cert = <{directory}/cert.pem
ssl_key = <{directory}/key.pem
disable_plaintext_auth = no
login_trusted_networks = 127.0.0.0/8
auth_mechanisms = {mechanisms}
auth_failure_delay = 0
{tokens}passdb {{
  driver = static
  mechanisms = plain
  args = password={PASSWORD}
}}
userdb {{
  driver = static
  args = uid={uid} gid={uid} home={directory}/mail/%u allow_all_users=yes
}}
mail_location = maildir:~/Maildir
first_valid_uid = 1
first_valid_gid = 1
namespace inbox {{
  inbox = yes
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
{unprivileged}"
        )
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        self.stop();
    }
}

/// To the whole process group; that it is gone already is no failure.
fn signal(master: &Child, name: &str) {
    Command::new("kill")
        .arg(format!("-{name}"))
        .arg("--")
        .arg(format!("-{}", master.id()))
        .stderr(Stdio::null())
        .status()
        .unwrap();
}

fn id(which: &str) -> String {
    let output = Command::new("id").arg(which).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Two CAs, and a certificate for localhost signed by the first.
fn write_certificates(directory: &Path) {
    let authority = |name: &str| {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    };
    let (ca, other) = (authority("a test's CA"), authority("another CA"));
    let key = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names)
        .unwrap()
        .signed_by(&key, &ca)
        .unwrap();
    for (name, pem) in [
        ("ca.pem", ca.pem()),
        ("other-ca.pem", other.pem()),
        ("cert.pem", certificate.pem()),
        ("key.pem", key.serialize_pem()),
    ] {
        fs::write(directory.join(name), pem).unwrap();
    }
}
