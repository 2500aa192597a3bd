//! Access tokens (OAuth 2.0, RFC 6749) where servers no longer take passwords.
//!
//! A [`Credential`] is what mailboxes and mail servers are shown: a password, or an access token that
//! [`Tokens`] fetches, holds until shortly before it expires, and shares among all who have the same
//! grant. Left out on purpose: the signing in by a person, which yields the refresh token; and what a
//! server says of a token, which `mailbox` and `delivery` hear.
//!
//! Guarantees: no token or secret is in a message, a log or a `Debug`; access tokens stay in memory; a
//! refresh token that the endpoint has replaced is on the disk before it is used; whoever stops waiting
//! does not stop a fetch, so that none gets lost; every wait is bounded.

use std::{
    collections::HashMap,
    fmt,
    path::PathBuf,
    sync::{Arc, LazyLock, Mutex as StdMutex, PoisonError, Weak},
    time::Duration,
};

use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use self::{
    endpoint::{Caller, Granted},
    store::Store,
};
pub use self::{
    endpoint::{Endpoint, EndpointError},
    error::{Cause, TokenError},
};

mod endpoint;
mod error;
mod store;
pub mod xoauth2;

/// A token is taken for expired this long before it is, or a tenth of its life where that is less:
/// longer than any login takes.
const MARGIN: Duration = Duration::from_secs(300);

/// No wait for a token is longer: for somebody else's fetch, for another process, and for an endpoint.
pub const WITHIN: Duration = Duration::from_secs(90);

/// How long a refusal stands before the endpoint is asked again: less than the first pause after a
/// refused login, and long enough that many who wait for one grant do not ask for it in turn.
const REFUSED_FOR: Duration = Duration::from_secs(50);

/// What a server is shown in proof of a user's name.
#[derive(Clone)]
pub enum Credential {
    /// A password.
    Password(SecretString),
    /// Access tokens.
    Token(Arc<Tokens>),
}

/// How access tokens are got.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Who gives them.
    pub token_endpoint: Endpoint,
    /// The application, as registered with the provider.
    pub client_id: String,
    /// What proves the application; public ones have none (RFC 6749 §2.1).
    pub client_secret: Option<SecretString>,
    /// By what right.
    pub grant: Grant,
    /// What for; words with blanks between them.
    pub scope: String,
    /// A private CA instead of the system's authorities.
    pub ca_file: Option<PathBuf>,
    /// Where refresh tokens are kept that have replaced the configured one.
    pub state_directory: PathBuf,
}

/// By what right a token is asked for.
#[derive(Debug, Clone)]
pub enum Grant {
    /// A person has signed in, once (RFC 6749 §6).
    RefreshToken(SecretString),
    /// The application acts for itself (RFC 6749 §4.4).
    ClientCredentials,
}

/// A token, for one login.
#[derive(Debug, Clone)]
pub struct AccessToken {
    secret: SecretString,
    cached: bool,
}

/// The access tokens of one grant, fetched when they are asked for.
pub struct Tokens {
    settings: Settings,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    caller: Option<Caller>,
    held: Option<Held>,
    failed: Option<Failed>,
    /// A refresh token that could not be written down, and without that is not used.
    unkept: Option<SecretString>,
}

struct Held {
    secret: SecretString,
    until: Instant,
}

struct Failed {
    at: Instant,
    /// Until then the endpoint is not asked again.
    until: Instant,
    error: TokenError,
}

/// All that this process uses: two mailboxes of one account must not each use up the other's refresh
/// token, and a reload must not fetch what is still good.
static SHARED: LazyLock<StdMutex<HashMap<[u8; 32], Weak<Tokens>>>> =
    LazyLock::new(StdMutex::default);

impl Tokens {
    /// The tokens of this grant; the same ones for all who ask with equal settings.
    pub fn of(settings: Settings) -> Arc<Self> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.retain(|_, tokens| tokens.strong_count() > 0);
        let key = settings.digest();
        if let Some(tokens) = shared.get(&key).and_then(Weak::upgrade) {
            return tokens;
        }
        let tokens = Arc::new(Self {
            settings,
            state: Mutex::default(),
        });
        shared.insert(key, Arc::downgrade(&tokens));
        tokens
    }

    /// A token: the one that is held, or a new one.
    ///
    /// # Errors
    /// [`TokenError`]; within its time, again what the endpoint answered last.
    pub async fn token(self: &Arc<Self>) -> Result<AccessToken, TokenError> {
        let asked = Instant::now();
        let this = Arc::clone(self);
        // A task of its own: an answer may hold the only refresh token that still counts.
        let task = tokio::spawn(async move { this.held_or_fetched(asked).await });
        match timeout(WITHIN, task).await {
            Ok(Ok(token)) => token,
            Ok(Err(_)) => Err(TokenError::passing("get an access token: it broke off")),
            Err(_) => Err(TokenError::passing(format!(
                "get an access token: none within {}s",
                WITHIN.as_secs()
            ))),
        }
    }

    /// Drops the held token if it is the one that a server has refused.
    pub async fn forget(&self, refused: &AccessToken) {
        let mut state = self.state.lock().await;
        let is_refused =
            |held: &Held| held.secret.expose_secret() == refused.secret.expose_secret();
        if state.held.as_ref().is_some_and(is_refused) {
            state.held = None;
        }
    }

    async fn held_or_fetched(&self, asked: Instant) -> Result<AccessToken, TokenError> {
        let mut state = self.state.lock().await;
        if let Some(unkept) = state.unkept.clone() {
            self.keep(unkept).await?;
            state.unkept = None;
        }
        let now = Instant::now();
        if let Some(held) = state.held.as_ref().filter(|held| now < held.until) {
            return Ok(AccessToken {
                secret: held.secret.clone(),
                cached: true,
            });
        }
        if let Some(failed) = &state.failed
            && (failed.at >= asked || now < failed.until)
        {
            return Err(failed.error.clone());
        }
        match self.fetch(&mut state).await {
            Ok(secret) => {
                state.failed = None;
                Ok(AccessToken {
                    secret,
                    cached: false,
                })
            }
            Err(error) => {
                let at = Instant::now();
                let pause = match error.is_refusal() {
                    true => REFUSED_FOR,
                    false => error.retry_after.unwrap_or_default(),
                };
                state.failed = Some(Failed {
                    at,
                    until: at + pause,
                    error: error.clone(),
                });
                Err(error)
            }
        }
    }

    async fn fetch(&self, state: &mut State) -> Result<SecretString, TokenError> {
        state.held = None;
        let caller = match &mut state.caller {
            Some(caller) => caller,
            none => none.insert(Caller::new(&self.settings)?),
        };
        let granted = match &self.settings.grant {
            Grant::ClientCredentials => caller.ask(&self.settings, None).await?,
            Grant::RefreshToken(configured) => {
                // Until the answer is on the disk, nobody else uses the same one.
                let kept = self.store(configured).lock().await?;
                let refresh_token = kept.token()?.unwrap_or_else(|| configured.clone());
                let granted = caller.ask(&self.settings, Some(&refresh_token)).await?;
                if let Some(next) = &granted.refresh_token
                    && next.expose_secret() != refresh_token.expose_secret()
                    && let Err(error) = kept.keep(next.clone())
                {
                    state.unkept = Some(next.clone());
                    state.held = held(&granted);
                    return Err(error);
                }
                granted
            }
        };
        state.held = held(&granted);
        Ok(granted.access_token)
    }

    async fn keep(&self, token: SecretString) -> Result<(), TokenError> {
        match &self.settings.grant {
            Grant::ClientCredentials => Ok(()),
            Grant::RefreshToken(configured) => self.store(configured).lock().await?.keep(token),
        }
    }

    fn store(&self, configured: &SecretString) -> Store {
        let Settings {
            token_endpoint,
            client_id,
            state_directory,
            ..
        } = &self.settings;
        Store::new(state_directory, token_endpoint, client_id, configured)
    }
}

/// What may be used again. RFC 6749 §5.1: without `expires_in` nobody knows for how long.
fn held(granted: &Granted) -> Option<Held> {
    let life = granted.expires_in?;
    let margin = MARGIN.min(life / 10);
    Some(Held {
        secret: granted.access_token.clone(),
        until: Instant::now().checked_add(life.checked_sub(margin)?)?,
    })
}

impl Settings {
    /// What sets these settings apart from all others.
    fn digest(&self) -> [u8; 32] {
        // Taken apart, so that a new setting is not forgotten here.
        let Self {
            token_endpoint,
            client_id,
            client_secret,
            grant,
            scope,
            ca_file,
            state_directory,
        } = self;
        let refresh_token = match grant {
            Grant::RefreshToken(token) => Some(token.expose_secret()),
            Grant::ClientCredentials => None,
        };
        let path = |path: &PathBuf| path.display().to_string();
        let parts = [
            Some(token_endpoint.to_string()),
            Some(client_id.clone()),
            client_secret.as_ref().map(|s| s.expose_secret().to_owned()),
            refresh_token.map(str::to_owned),
            Some(scope.clone()),
            ca_file.as_ref().map(path),
            Some(path(state_directory)),
        ];
        Sha256::digest(format!("{parts:?}")).into()
    }
}

impl Credential {
    /// Whether a server would be shown the same.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Password(one), Self::Password(other)) => {
                one.expose_secret() == other.expose_secret()
            }
            (Self::Token(one), Self::Token(other)) => {
                one.settings.digest() == other.settings.digest()
            }
            _ => false,
        }
    }
}

impl AccessToken {
    /// Whether it has been used before: one that was just fetched and is refused all the same is not
    /// refused for its age.
    pub fn is_cached(&self) -> bool {
        self.cached
    }

    /// The token.
    pub fn secret(&self) -> &SecretString {
        &self.secret
    }
}

impl From<SecretString> for Credential {
    fn from(password: SecretString) -> Self {
        Self::Password(password)
    }
}

impl From<String> for Credential {
    fn from(password: String) -> Self {
        Self::Password(password.into())
    }
}

impl From<&str> for Credential {
    fn from(password: &str) -> Self {
        Self::Password(password.into())
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password(_) => f.write_str("Password"),
            Self::Token(tokens) => tokens.fmt(f),
        }
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("token_endpoint", &self.settings.token_endpoint)
            .field("client_id", &self.settings.client_id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_life_is_cut_by_a_tenth_and_a_long_one_by_five_minutes() {
        for (life, expected) in [(60, 54), (3000, 2700), (3600, 3300)] {
            let granted = Granted {
                access_token: "at".into(),
                expires_in: Some(Duration::from_secs(life)),
                refresh_token: None,
            };
            let before = Instant::now();
            let until = held(&granted).unwrap().until;
            let counts = until - before;
            let expected = Duration::from_secs(expected);
            assert!(
                (expected..=expected + before.elapsed()).contains(&counts),
                "{life}: {counts:?}"
            );
        }
    }
}
