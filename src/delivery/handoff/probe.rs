//! Whether a system could be handed anything, for a person who asks before there is something.
//!
//! Guarantee: nothing is handed over; no request is made, and no file is left behind.

use std::{io, path::Path, time::Duration};

use rustls::pki_types::ServerName;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

use super::{
    super::{Obstacle, ObstacleKind},
    Webhook,
};
use crate::tls::{self, TlsMode};

/// Connects, and shakes hands where there is TLS.
pub(super) async fn webhook(webhook: &Webhook, within: Duration) -> Result<(), Obstacle> {
    let address = &webhook.url;
    let config = tls::client_config(webhook.ca_file.as_deref()).map_err(|error| Obstacle {
        words: error.to_string(),
        kind: ObstacleKind::CaFile,
    })?;
    let connecting = async {
        let mode = match address.is_tls() {
            true => TlsMode::Implicit,
            false => TlsMode::None,
        };
        let places = tls::addresses(address.host(), address.port(), mode).await?;
        let tcp = TcpStream::connect(&places[..]).await?;
        if address.is_tls() {
            let name = ServerName::try_from(address.host().to_owned()).map_err(io::Error::other)?;
            TlsConnector::from(config).connect(name, tcp).await?;
        }
        Ok::<(), io::Error>(())
    };
    let connected = timeout(within, connecting).await.map_err(io::Error::from);
    connected.flatten().map_err(|error| Obstacle {
        words: format!("connect to {address}: {error}"),
        kind: tls::distrust(&error).map_or(ObstacleKind::Passing, ObstacleKind::Tls),
    })
}

/// Writes an empty file and takes it away; whoever empties the directory leaves hidden ones alone.
pub(super) async fn directory(path: &Path, within: Duration) -> Result<(), Obstacle> {
    let place = path.to_owned();
    let trying = tokio::task::spawn_blocking(move || super::directory::probe(&place));
    let tried = timeout(within, trying).await.map_err(io::Error::from);
    let tried = tried.and_then(|finished| finished.map_err(io::Error::from));
    tried.flatten().map_err(|error| Obstacle {
        words: format!("write to {}: {error}", path.display()),
        kind: ObstacleKind::Directory,
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use tokio::net::TcpListener;

    use super::*;
    use crate::tls::Distrust;

    const WITHIN: Duration = Duration::from_secs(20);

    fn at(url: &str) -> Webhook {
        Webhook {
            url: url.parse().unwrap(),
            secret: vec![7; 32].into(),
            ca_file: None,
        }
    }

    #[tokio::test]
    async fn a_server_that_listens_is_connected_to_and_asked_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hooks", listener.local_addr().unwrap());
        webhook(&at(&url), WITHIN).await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heard = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut heard)
            .await
            .unwrap();
        assert!(heard.is_empty());
        drop(listener);
        let obstacle = webhook(&at(&url), WITHIN).await.unwrap_err();
        assert_eq!(obstacle.kind, ObstacleKind::Passing);
        assert!(!obstacle.words.contains("hooks"), "{obstacle}");
    }

    #[tokio::test]
    async fn a_server_without_tls_is_none_for_https() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}/hooks", listener.local_addr().unwrap());
        let answering = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let answer = b"HTTP/1.1 400 Bad Request\r\n\r\n";
            tokio::io::AsyncWriteExt::write_all(&mut stream, answer)
                .await
                .unwrap();
            stream
        });
        let obstacle = webhook(&at(&url), WITHIN).await.unwrap_err();
        assert_eq!(obstacle.kind, ObstacleKind::Tls(Distrust::NoTls));
        drop(answering.await);
    }

    #[tokio::test]
    async fn a_directory_must_be_there_and_stays_as_it_was() {
        let home = tempfile::tempdir().unwrap();
        directory(home.path(), WITHIN).await.unwrap();
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
        let missing = home.path().join("inbox");
        let obstacle = directory(&missing, WITHIN).await.unwrap_err();
        assert_eq!(obstacle.kind, ObstacleKind::Directory);
        assert!(!missing.exists());
        fs::write(&missing, "").unwrap();
        directory(&missing, WITHIN).await.unwrap_err();
    }

    #[tokio::test]
    async fn a_hidden_directory_that_leads_elsewhere_is_said_before_anything_is_due() {
        let (home, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        symlink(other.path(), home.path().join(".invoice-trackd")).unwrap();
        let obstacle = directory(home.path(), WITHIN).await.unwrap_err();
        assert!(obstacle.words.contains("found a link"), "{obstacle}");
        assert_eq!(fs::read_dir(other.path()).unwrap().count(), 0);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
    }
}
