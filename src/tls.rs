//! How a connection is protected, for IMAP and SMTP alike.
//!
//! Certificates are always verified, against the system's authorities or one private CA. There is
//! no switch to turn that off; plaintext exists for loopback only, which `config` enforces of
//! names and [`addresses`] of what they lead to.

use std::{
    error::Error,
    fmt, io,
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use rustls::{
    CertificateError, ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::TlsConnector;

/// The three ways to speak to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// TLS from the first byte (RFC 8314).
    Implicit,
    /// Plaintext greeting, then STARTTLS, required.
    StartTls,
    /// No TLS; loopback only.
    None,
}

impl TlsMode {
    /// The word the configuration uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Implicit => "implicit",
            Self::StartTls => "starttls",
            Self::None => "none",
        }
    }
}

impl fmt::Display for TlsMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why TLS could not be set up; always the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The CA file cannot be read.
    #[error("read the CA file {path}: {source}")]
    CaFile {
        /// The file named in the configuration.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The CA file holds no usable certificate.
    #[error("the CA file {path}: expected PEM certificates, found none that can be used")]
    NoCertificate {
        /// The file named in the configuration.
        path: String,
    },
    /// rustls refused the setup.
    #[error("set up TLS: {0}")]
    Setup(#[from] rustls::Error),
}

/// Why a handshake came to nothing, as far as an operator can do something about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distrust {
    /// No authority that is trusted here signed the certificate.
    UnknownIssuer,
    /// The certificate is for other names.
    WrongName,
    /// The certificate is past its last day.
    Expired,
    /// The certificate's first day has not come.
    NotYetValid,
    /// Something else is wrong with the certificate.
    Unfit,
    /// What answers is no TLS.
    NoTls,
    /// Both speak TLS, and no version or method suits both.
    NoAgreement,
}

/// What TLS has against it, where TLS is what `error` or one of its causes is about.
pub fn distrust(error: &(dyn Error + 'static)) -> Option<Distrust> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return Some(match found {
                rustls::Error::InvalidCertificate(why) => match why {
                    CertificateError::UnknownIssuer => Distrust::UnknownIssuer,
                    CertificateError::NotValidForName
                    | CertificateError::NotValidForNameContext { .. } => Distrust::WrongName,
                    CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                        Distrust::Expired
                    }
                    CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                        Distrust::NotYetValid
                    }
                    _ => Distrust::Unfit,
                },
                rustls::Error::InvalidMessage(_) => Distrust::NoTls,
                _ => Distrust::NoAgreement,
            });
        }
        // An io::Error that wraps another error does not name it as its source.
        next = match error.downcast_ref::<io::Error>() {
            Some(wrapped) => wrapped
                .get_ref()
                .map(|inner| inner as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    None
}

/// Whether a TLS handshake is answered by TLS, trusted or not: what sets a port for implicit TLS
/// apart from one that merely says nothing. Nothing else is said over it.
pub async fn answers(host: &str, port: u16, within: Duration) -> bool {
    let trying = async {
        let config = client_config(None).ok()?;
        let name = ServerName::try_from(host.to_owned()).ok()?;
        let tcp = TcpStream::connect((host, port)).await.ok()?;
        match TlsConnector::from(config).connect(name, tcp).await {
            Ok(_) => Some(true),
            Err(error) => {
                Some(distrust(&error).is_some_and(|distrust| distrust != Distrust::NoTls))
            }
        }
    };
    timeout(within, trying).await.ok().flatten() == Some(true)
}

/// Whether a host is this machine by what it is called: `localhost`, or an address.
pub fn names_this_machine(host: &str) -> bool {
    let address = host.parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// Where a host is. Without TLS only this machine is spoken to, whatever its name leads to:
/// `localhost` is a name as any other (RFC 6761 §6.3 obliges nobody).
///
/// # Errors
/// The name does not resolve, or leads elsewhere.
pub async fn addresses(host: &str, port: u16, mode: TlsMode) -> io::Result<Vec<SocketAddr>> {
    let found: Vec<SocketAddr> = lookup_host((host, port)).await?.collect();
    let elsewhere = found
        .iter()
        .find(|address| mode == TlsMode::None && !address.ip().to_canonical().is_loopback());
    match elsewhere {
        Some(address) => Err(io::Error::other(format!(
            "expected {host} to be this machine, for nothing else is spoken to without TLS, \
             found {}",
            address.ip()
        ))),
        None => Ok(found),
    }
}

/// A client configuration that trusts the system's authorities, or only `ca_file` where given.
///
/// # Errors
/// The CA file is unreadable or empty, or the platform has no certificate store.
pub fn client_config(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let config = match ca_file {
        None => builder.with_platform_verifier()?.with_no_client_auth(),
        Some(file) => {
            let path = file.display().to_string();
            let pem = std::fs::read(file).map_err(|source| TlsError::CaFile {
                path: path.clone(),
                source,
            })?;
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(&pem).flatten() {
                roots.add(certificate).ok();
            }
            if roots.is_empty() {
                return Err(TlsError::NoCertificate { path });
            }
            builder.with_root_certificates(roots).with_no_client_auth()
        }
    };
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_file_without_a_certificate_is_refused_and_not_taken_for_no_ca() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for content in [
            "",
            "not PEM",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            std::fs::write(file.path(), content).unwrap();
            let error = client_config(Some(file.path())).unwrap_err();
            assert!(matches!(error, TlsError::NoCertificate { .. }), "{error}");
        }
    }

    #[test]
    fn a_private_ca_is_accepted() {
        let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), own.cert.pem()).unwrap();
        client_config(Some(file.path())).unwrap();
    }
}
