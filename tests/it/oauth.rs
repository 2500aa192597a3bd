//! Access tokens in place of passwords: getting them from a scripted endpoint, and showing them to a real
//! Dovecot, to scripted servers, and in the whole program.

mod program;
mod servers;
mod tokens;

use std::path::Path;

use invoice_trackd::oauth::{Grant, Settings};

use crate::support::token_endpoint::TokenEndpoint;

/// Settings for a person who has signed in, and whose refresh token is `refresh_token`.
fn signed_in(endpoint: &TokenEndpoint, refresh_token: &str, state: &Path) -> Settings {
    Settings {
        token_endpoint: endpoint.url().parse().unwrap(),
        client_id: "the-client".to_owned(),
        client_secret: Some("the-Client-Secret".into()),
        grant: Grant::RefreshToken(refresh_token.into()),
        scope: "mail offline".to_owned(),
        ca_file: None,
        state_directory: state.to_owned(),
    }
}

/// Settings for an application that acts for itself.
fn for_itself(endpoint: &TokenEndpoint) -> Settings {
    Settings {
        grant: Grant::ClientCredentials,
        ..signed_in(endpoint, "", Path::new("/nonexistent"))
    }
}
