//! Reading a secret from where the configuration says it is.
//!
//! Guarantee: a secret is in no message and no `Debug`; a file that others may read, or put another
//! one in the place of, is refused. Whose it is does not matter: what its owner alone may read can
//! be opened by its owner and by root (an ACL that lets others in shows as group bits, acl(5)).

use std::{
    ffi::OsString,
    fs::File,
    io::Read as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use secrecy::SecretString;

use super::{SecretSource, access};

/// Where systemd shows the unit's credentials to root, for commands run beside the unit.
const UNIT_CREDENTIALS: &str = "/run/credentials/invoice-trackd.service";

/// Longer than any password or token we know of; whoever names a log file by mistake is told.
const MAX_BYTES: u64 = 16 * 1024;

impl SecretSource {
    /// Reads the secret, without the line end that editors leave behind.
    ///
    /// # Errors
    /// It is not there, is empty, or may be read by others; the message says where it was looked
    /// for and never what was found.
    pub fn read(&self) -> anyhow::Result<SecretString> {
        self.read_where(|name| std::env::var_os(name))
    }

    /// As [`SecretSource::read`], with the environment as an argument.
    fn read_where(
        &self,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> anyhow::Result<SecretString> {
        match self {
            Self::Credential(name) => credential(name, variable("CREDENTIALS_DIRECTORY"))
                .with_context(|| format!("read the credential `{name}`")),
            Self::File(path) => private(path)
                .and_then(secret)
                .with_context(|| format!("read the secret file {}", path.display())),
            Self::Env(name) => {
                let what = || format!("read the secret from the environment variable {name}");
                let value = variable(name).context("it is not set").with_context(what)?;
                value
                    .into_string()
                    .map_err(|_| anyhow::anyhow!("expected UTF-8, found other bytes"))
                    .and_then(one_line)
                    .with_context(what)
            }
        }
    }
}

/// Reads from the directory that systemd names. The mode is not looked at: systemd owns the file,
/// and the ACL by which it lets a dynamic user in looks like a readable group.
fn credential(name: &str, directory: Option<OsString>) -> anyhow::Result<SecretString> {
    let Some(directory) = directory else {
        let file = open(&Path::new(UNIT_CREDENTIALS).join(name)).with_context(|| {
            format!(
                "$CREDENTIALS_DIRECTORY is not set; start under systemd with \
                 LoadCredential={name}:/PATH, or run as root beside the unit"
            )
        })?;
        return secret(file);
    };
    secret(open(&PathBuf::from(directory).join(name))?)
}

fn open(path: &Path) -> anyhow::Result<File> {
    access::regular(path).with_context(|| format!("open {}", path.display()))
}

/// Opens a file that only its owner may read; the mode is that of what was opened.
fn private(path: &Path) -> anyhow::Result<File> {
    let file = access::regular(path)?;
    let mode = file.metadata()?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        bail!(
            "expected a file that only its owner may read, found mode {mode:04o}; \
             run `chmod 600 {}`",
            path.display()
        );
    }
    if let Some(open) = access::open_directory(path) {
        bail!("{open}");
    }
    Ok(file)
}

fn secret(file: File) -> anyhow::Result<SecretString> {
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        bail!(
            "expected a secret, found more than {} KiB",
            MAX_BYTES / 1024
        );
    }
    // The error would carry the bytes.
    let text = String::from_utf8(bytes)
        .map_err(|_| anyhow::anyhow!("expected UTF-8, found other bytes"))?;
    one_line(text)
}

fn one_line(mut text: String) -> anyhow::Result<SecretString> {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() {
        bail!("expected a secret, found nothing");
    }
    if text.chars().any(char::is_control) {
        bail!("expected one line, found more or a control character in it");
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use secrecy::ExposeSecret as _;

    use super::*;

    fn file(content: &[u8], mode: u32) -> (tempfile::TempDir, SecretSource) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("imap");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        (directory, SecretSource::File(path))
    }

    fn complaint(source: &SecretSource) -> String {
        format!("{:#}", source.read_where(|_| None).unwrap_err())
    }

    #[test]
    fn one_line_end_is_taken_off_and_nothing_else() {
        for (content, expected) in [
            (&b" two words \n"[..], " two words "),
            (b"x\r\n", "x"),
            ("密碼".as_bytes(), "密碼"),
        ] {
            let (_directory, source) = file(content, 0o600);
            assert_eq!(source.read().unwrap().expose_secret(), expected);
        }
    }

    #[test]
    fn a_file_that_others_may_read_is_refused_with_the_command_that_helps() {
        let (directory, source) = file(b"hunter2\n", 0o640);
        let path = directory.path().join("imap").display().to_string();
        assert_eq!(
            complaint(&source),
            format!(
                "read the secret file {path}: expected a file that only its owner may read, \
                 found mode 0640; run `chmod 600 {path}`"
            )
        );
    }

    #[test]
    fn a_link_is_as_open_as_what_it_leads_to() {
        let (directory, source) = file(b"hunter2\n", 0o644);
        let SecretSource::File(loose) = &source else {
            panic!("no file");
        };
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(loose, &link).unwrap();
        let complaint = complaint(&SecretSource::File(link));
        assert!(complaint.contains("found mode 0644"), "{complaint}");
    }

    #[test]
    fn a_place_in_which_anybody_may_put_another_file_is_refused() {
        let (directory, source) = file(b"hunter2\n", 0o600);
        let open = |mode| {
            fs::set_permissions(directory.path(), Permissions::from_mode(mode)).unwrap();
            source.read_where(|_| None)
        };
        let complaint = format!("{:#}", open(0o777).unwrap_err());
        let place = directory.path().canonicalize().unwrap();
        let expected = format!(
            "expected a directory in which others may not put another file in its place, found \
             {0} with mode 0777; run `chmod o-w {0}`",
            place.display()
        );
        assert!(complaint.ends_with(&expected), "{complaint}");
        // As /tmp is: others can add files there and not take ours away.
        for mode in [0o1777, 0o755] {
            open(mode).unwrap();
        }
    }

    #[test]
    fn a_pipe_that_nobody_writes_into_keeps_nobody_waiting() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pipe");
        let made = std::process::Command::new("mkfifo")
            .arg("-m600")
            .arg(&path)
            .status();
        assert!(made.unwrap().success());
        let (said, hear) = std::sync::mpsc::channel();
        std::thread::spawn(move || said.send(complaint(&SecretSource::File(path))));
        let complaint = hear
            .recv_timeout(std::time::Duration::from_secs(30))
            .unwrap();
        assert!(
            complaint.ends_with("found a directory, a device or a pipe"),
            "{complaint}"
        );
    }

    #[test]
    fn a_useless_secret_is_refused_without_being_repeated() {
        for (content, end) in [
            (&b""[..], "expected a secret, found nothing"),
            (b"\n", "expected a secret, found nothing"),
            (
                b"hunter2\nmore\n",
                "expected one line, found more or a control character in it",
            ),
            (b"hunter2\xff\n", "expected UTF-8, found other bytes"),
            (
                &[b'x'; 16 * 1024 + 1],
                "expected a secret, found more than 16 KiB",
            ),
        ] {
            let (_directory, source) = file(content, 0o600);
            let complaint = complaint(&source);
            assert!(complaint.ends_with(&format!(": {end}")), "{complaint}");
            assert!(!complaint.contains("hunter2"), "{complaint}");
        }
    }

    #[test]
    fn a_credential_is_looked_for_where_systemd_puts_it() {
        let (directory, _) = file(b"hunter2\n", 0o440);
        let credentials = directory.path().as_os_str().to_owned();
        let read = |name: &str| {
            SecretSource::Credential(name.to_owned()).read_where(|variable| {
                (variable == "CREDENTIALS_DIRECTORY").then(|| credentials.clone())
            })
        };
        assert_eq!(read("imap").unwrap().expose_secret(), "hunter2");
        let complaint = format!("{:#}", read("smtp").unwrap_err());
        assert!(
            complaint.starts_with("read the credential `smtp`: open /"),
            "{complaint}"
        );
    }

    #[test]
    fn without_systemd_the_missing_variable_is_named() {
        let source = SecretSource::Credential("imap".to_owned());
        let complaint = complaint(&source);
        assert!(
            complaint.starts_with(
                "read the credential `imap`: $CREDENTIALS_DIRECTORY is not set; start under \
                 systemd with LoadCredential=imap:/PATH, or run as root beside the unit: \
                 open /run/credentials/invoice-trackd.service/imap: "
            ),
            "{complaint}"
        );
    }

    #[test]
    fn an_environment_variable_has_to_be_set() {
        let source = SecretSource::Env("IMAP_PASSWORD".to_owned());
        assert_eq!(
            complaint(&source),
            "read the secret from the environment variable IMAP_PASSWORD: it is not set"
        );
        let read = source.read_where(|_| Some("hunter2".into())).unwrap();
        assert_eq!(read.expose_secret(), "hunter2");
        assert!(!format!("{read:?}").contains("hunter2"));
    }
}
