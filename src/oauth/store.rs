//! The refresh token that has replaced a configured one, on the disk.
//!
//! Some endpoints hand out a new refresh token with each access token and take the old one no more. The
//! file's name is made of what the token belongs to, the configured token among it: a newly configured one
//! has a file of its own, and so never meets the successor of another.
//!
//! Guarantees: a file is complete or not there; only its owner may read it, and that is the directory's
//! owner, whoever writes it, so that root trying out a login does not lock the service out; two processes
//! never use the same token at the same time.

use std::{
    fmt::Display,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown},
    path::{Path, PathBuf},
    time::Duration,
};

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, sleep};

use super::{
    endpoint::Endpoint,
    error::{Cause, TokenError},
};

/// Longer than another process takes for its own question, answer included.
const PATIENCE: Duration = Duration::from_secs(20);

/// More than any token has.
const MOST: u64 = 64 << 10;

/// Where the successor of one configured refresh token is kept.
#[derive(Debug)]
pub(super) struct Store {
    directory: PathBuf,
    file: PathBuf,
    about: About,
}

/// What stands in the file beside the token, for a person who wonders whose it is.
#[derive(Debug, Clone)]
struct About {
    token_endpoint: String,
    client_id: String,
}

#[derive(Serialize, Deserialize)]
struct Record {
    token_endpoint: String,
    client_id: String,
    refresh_token: String,
}

/// The store, while nobody else uses the token.
#[derive(Debug)]
pub(super) struct Kept {
    store: Store,
    _lock: File,
}

impl Store {
    pub(super) fn new(
        directory: &Path,
        endpoint: &Endpoint,
        client_id: &str,
        configured: &SecretString,
    ) -> Self {
        let configured = configured.expose_secret();
        let whose = Sha256::digest(format!("{endpoint}\n{client_id}\n{configured}"));
        let name: String = whose
            .iter()
            .take(16)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self {
            directory: directory.to_owned(),
            file: directory.join(format!("oauth-{name}.json")),
            about: About {
                token_endpoint: endpoint.to_string(),
                client_id: client_id.to_owned(),
            },
        }
    }

    /// Waits until nobody else uses the token. Where this fails nothing has been asked yet: a token
    /// that could not be kept must not be fetched.
    pub(super) async fn lock(self) -> Result<Kept, TokenError> {
        let path = self.file.with_extension("lock");
        let lock = self
            .create(&path)
            .map_err(|error| trouble("create", &path, &error))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match lock.try_lock() {
                Ok(()) => {
                    return Ok(Kept {
                        store: self,
                        _lock: lock,
                    });
                }
                Err(TryLockError::Error(error)) => return Err(trouble("lock", &path, &error)),
                Err(TryLockError::WouldBlock) if Instant::now() > deadline => {
                    return Err(TokenError::passing(format!(
                        "lock {}: another process has held it for {}s",
                        path.display(),
                        PATIENCE.as_secs()
                    )));
                }
                Err(TryLockError::WouldBlock) => sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// A file that only its owner may use, who is the directory's.
    fn create(&self, path: &Path) -> io::Result<File> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)?;
        let owner = fs::metadata(&self.directory)?;
        if owner.uid() != file.metadata()?.uid() {
            // Only root can. Anybody else is refused here, and would lock the owner out.
            fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
        }
        Ok(file)
    }
}

impl Kept {
    /// The token that has replaced the configured one, if any has.
    pub(super) fn token(&self) -> Result<Option<SecretString>, TokenError> {
        let path = &self.store.file;
        let failed = |error: io::Error| trouble("read", path, &error);
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(trouble(
                "read",
                path,
                &format_args!(
                    "expected a file that only its owner may read, found mode {mode:04o}; run \
                     `chmod 600` on it, and sign in again if somebody may have read it"
                ),
            ));
        }
        let mut text = Vec::new();
        file.take(MOST).read_to_end(&mut text).map_err(failed)?;
        // Not the parser's own words: they would quote what stands there.
        let record: Record = serde_json::from_slice(&text).map_err(|_| {
            let found = "expected a refresh token as JSON, found something else; remove the file, \
                         and sign in again";
            trouble("read", path, &found)
        })?;
        Ok(Some(record.refresh_token.into()))
    }

    /// Writes down the token that replaces the one before.
    pub(super) fn keep(&self, token: SecretString) -> Result<(), TokenError> {
        let Store {
            directory,
            file,
            about,
        } = &self.store;
        let record = serde_json::to_vec(&Record {
            token_endpoint: about.token_endpoint.clone(),
            client_id: about.client_id.clone(),
            refresh_token: token.expose_secret().to_owned(),
        });
        let writing = || {
            let unfinished = file.with_extension("new");
            let mut written = self.store.create(&unfinished)?;
            written.write_all(&record?)?;
            written.sync_all()?;
            fs::rename(&unfinished, file)?;
            File::open(directory)?.sync_all()
        };
        writing().map_err(|error: io::Error| trouble("write", file, &error))
    }
}

fn trouble(doing: &str, path: &Path, error: &dyn Display) -> TokenError {
    TokenError::new(format!("{doing} {}: {error}", path.display()), Cause::Store)
}
