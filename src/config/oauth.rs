//! `oauth`: how access tokens are got for servers that take no passwords.
//!
//! Guarantee: what one provider does not know is refused here, and not by it at night.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::{
    SecretSource,
    document::{Table, Value},
    server::Protocol,
};
use crate::{
    oauth::{Credential, Endpoint, Grant, Settings, Tokens},
    tls,
};

/// <https://developers.google.com/identity/protocols/oauth2/web-server#offline>
const GOOGLE_ENDPOINT: &str = "https://oauth2.googleapis.com/token";
/// <https://developers.google.com/workspace/gmail/imap/xoauth2-protocol>
const GOOGLE_SCOPE: &str = "https://mail.google.com/";

/// <https://learn.microsoft.com/exchange/client-developer/legacy-protocols/how-to-authenticate-an-imap-pop-smtp-application-by-using-oauth>
const MICROSOFT_APP_SCOPE: &str = "https://outlook.office365.com/.default";
/// Words in the place of a tenant that stand for many: an application that acts for itself belongs to one.
const MANY_TENANTS: [&str; 3] = ["common", "organizations", "consumers"];

/// Where the proof of a user's name comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum CredentialSource {
    /// `password = { … }`
    Password(SecretSource),
    /// `oauth = { … }`
    OAuth(Box<OAuth>),
}

/// One `oauth` table.
#[derive(Debug, Clone, PartialEq)]
pub struct OAuth {
    /// Whose presets were taken.
    pub provider: Option<Provider>,
    /// Who gives access tokens.
    pub token_endpoint: Endpoint,
    /// The application, as registered there.
    pub client_id: String,
    /// Where what proves the application is; always there without a refresh token.
    pub client_secret: Option<SecretSource>,
    /// Where the refresh token is; without it the application acts for itself.
    pub refresh_token: Option<SecretSource>,
    /// What the tokens are for.
    pub scope: String,
    /// A private CA.
    pub ca_file: Option<PathBuf>,
    /// The ledger's directory: where refresh tokens are kept unless systemd names another.
    pub beside_the_ledger: PathBuf,
}

/// Providers whose presets are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// Gmail and Google Workspace.
    Google,
    /// Microsoft 365.
    Microsoft,
}

impl Provider {
    const ALL: [Self; 2] = [Self::Google, Self::Microsoft];

    /// The word the configuration uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Google => "google",
            Self::Microsoft => "microsoft",
        }
    }
}

/// Reads the table; `None` only beside a reported mistake.
pub(super) fn read(
    table: &Table<'_>,
    protocol: &Protocol,
    beside_the_ledger: &Path,
) -> Option<OAuth> {
    let provider = match table.get("provider") {
        None => Some(None),
        Some(value) => value.choice(&Provider::ALL, Provider::as_str).map(Some),
    };
    let client_id = table
        .require(
            "client_id",
            "the application's id, as registered with the provider",
        )
        .and_then(|value| value.text());
    let secret = |key| table.get(key).map(|value| SecretSource::from_value(&value));
    let (client_secret, refresh_token) = (secret("client_secret"), secret("refresh_token"));
    let acts_for_itself = refresh_token.is_none();
    // What a provider that is misspelt would need, nobody knows.
    let provider = provider?;
    if acts_for_itself {
        if provider == Some(Provider::Google) {
            table.refuse(format_args!(
                "`refresh_token` is missing: Google lets no application read mail for itself \
                 (client credentials), a person has to sign in once; expected {}",
                SecretSource::FORM
            ));
        } else if client_secret.is_none() {
            table.refuse(format_args!(
                "expected `refresh_token` (a person has signed in) or `client_secret` (the \
                 application acts for itself), found neither; write where one is: {}",
                SecretSource::FORM
            ));
        }
    }
    let token_endpoint = token_endpoint(table, provider, acts_for_itself);
    let scope = match table.get("scope") {
        Some(value) => value.text().map(str::to_owned),
        None => match provider {
            Some(Provider::Google) => Some(GOOGLE_SCOPE.to_owned()),
            Some(Provider::Microsoft) if acts_for_itself => Some(MICROSOFT_APP_SCOPE.to_owned()),
            // No more than this protocol needs: what nobody has consented to is refused as a whole.
            Some(Provider::Microsoft) => {
                Some(format!("{} offline_access", protocol.microsoft_scope))
            }
            None => {
                table.require("scope", "what the tokens are for, or a `provider`");
                None
            }
        },
    };
    let ca_file = table.get("ca_file").map(|value| value.path());
    Some(OAuth {
        provider,
        token_endpoint: token_endpoint?,
        client_id: client_id?.to_owned(),
        client_secret: whole(client_secret)?,
        refresh_token: whole(refresh_token)?,
        scope: scope?,
        ca_file: whole(ca_file)?,
        beside_the_ledger: beside_the_ledger.to_owned(),
    })
}

/// What was left out is whole; what was refused is not.
fn whole<T>(read: Option<Option<T>>) -> Option<Option<T>> {
    match read {
        None => Some(None),
        Some(read) => read.map(Some),
    }
}

fn token_endpoint(
    table: &Table<'_>,
    provider: Option<Provider>,
    acts_for_itself: bool,
) -> Option<Endpoint> {
    let tenant = table.get("tenant");
    if let (Some(tenant), Some(Provider::Google) | None) = (&tenant, provider)
        && tenant.text().is_some()
    {
        tenant.refuse("only provider = \"microsoft\" has tenants; take it out");
    }
    if let Some(value) = table.get("token_endpoint") {
        if let (Some(tenant), Some(Provider::Microsoft)) = (&tenant, provider) {
            tenant
                .refuse("stands beside `token_endpoint`, which names one; take one of the two out");
        }
        return value.parse();
    }
    match provider {
        Some(Provider::Google) => GOOGLE_ENDPOINT.parse().ok(),
        Some(Provider::Microsoft) => {
            let tenant = match tenant {
                Some(value) => self::tenant(&value, acts_for_itself)?,
                None if acts_for_itself => {
                    table.require("tenant", TENANT);
                    return None;
                }
                None => "common",
            };
            format!("https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token")
                .parse()
                .ok()
        }
        None => {
            table.require("token_endpoint", "the provider's, or a `provider`");
            None
        }
    }
}

const TENANT: &str = "the directory (tenant) id, or a domain of the tenant's such as \
                      \"contoso.onmicrosoft.com\"";

fn tenant<'a>(value: &Value<'a>, acts_for_itself: bool) -> Option<&'a str> {
    value.text_that(TENANT, |text| {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        text.chars().all(is_name)
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && !(acts_for_itself && MANY_TENANTS.contains(&text))
    })
}

impl CredentialSource {
    /// What a server is shown, its secrets read now.
    ///
    /// # Errors
    /// A secret or the CA file cannot be read.
    pub(super) fn read(&self) -> anyhow::Result<Credential> {
        match self {
            Self::Password(source) => Ok(Credential::Password(source.read()?)),
            Self::OAuth(oauth) => {
                let settings = oauth.settings().context("oauth")?;
                Ok(Credential::Token(Tokens::of(settings)))
            }
        }
    }
}

impl OAuth {
    fn settings(&self) -> anyhow::Result<Settings> {
        if let Some(file) = &self.ca_file {
            tls::client_config(Some(file))?;
        }
        let secret = |source: &Option<SecretSource>, key| {
            let read = source.as_ref().map(SecretSource::read);
            read.transpose().context(key)
        };
        let refresh_token = secret(&self.refresh_token, "refresh_token")?;
        Ok(Settings {
            token_endpoint: self.token_endpoint.clone(),
            client_id: self.client_id.clone(),
            client_secret: secret(&self.client_secret, "client_secret")?,
            grant: refresh_token.map_or(Grant::ClientCredentials, Grant::RefreshToken),
            scope: self.scope.clone(),
            ca_file: self.ca_file.clone(),
            state_directory: self.state_directory(),
        })
    }

    /// systemd.exec(5): where the unit has several, the first is the one that counts here.
    fn state_directory(&self) -> PathBuf {
        std::env::var_os("STATE_DIRECTORY")
            .and_then(|value| std::env::split_paths(&value).next())
            .filter(|path| path.is_absolute())
            .unwrap_or_else(|| self.beside_the_ledger.clone())
    }
}
