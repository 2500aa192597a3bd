//! A web server on loopback that remembers what is posted to it and answers as the test says.
//!
//! Left out on purpose: any opinion on what is posted.

use std::{
    collections::BTreeMap,
    io,
    path::Path,
    sync::{Arc, Mutex},
};

use tempfile::NamedTempFile;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpListener,
    sync::watch,
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

/// What was posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    pub path: String,
    /// Names in small letters.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

/// What the server does.
#[derive(Debug, Clone)]
pub enum Does {
    /// An answer: status, further header lines, body.
    Answers(u16, String, Vec<u8>),
    /// The head of an answer that promises a body, and then nothing, ever.
    Begins(u16),
    /// An answer with a body that never ends.
    Floods(u16),
    /// What is no HTTP.
    Babbles,
    /// Nothing, ever.
    Hangs,
    /// Hangs up.
    Closes,
}

/// An answer without more to say.
pub fn says(status: u16) -> Does {
    Does::Answers(status, String::new(), Vec::new())
}

/// Running; it ends when dropped.
pub struct ScriptedHttp {
    port: u16,
    ca: Option<NamedTempFile>,
    posted: Arc<watch::Sender<Vec<Posted>>>,
    serving: JoinHandle<()>,
}

type Script = dyn Fn(usize, &Posted) -> Does + Send + Sync;

impl ScriptedHttp {
    /// `script` answers question number 0, 1, ….
    pub async fn start(script: impl Fn(usize, &Posted) -> Does + Send + Sync + 'static) -> Self {
        Self::serve(None, Arc::new(script)).await
    }

    /// As [`ScriptedHttp::start`], by TLS.
    pub async fn with_tls(script: impl Fn(usize, &Posted) -> Does + Send + Sync + 'static) -> Self {
        Self::serve(Some(certified()), Arc::new(script)).await
    }

    async fn serve(tls: Option<(TlsAcceptor, NamedTempFile)>, script: Arc<Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let posted = Arc::new(watch::Sender::new(Vec::new()));
        let (acceptor, ca) = tls.unzip();
        let remembers = Arc::clone(&posted);
        let serving = tokio::spawn(async move {
            let turn = Arc::new(Mutex::new(0));
            let mut open = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (script, remembers) = (Arc::clone(&script), Arc::clone(&remembers));
                let (acceptor, turn) = (acceptor.clone(), Arc::clone(&turn));
                // A client that goes away ends its connection and nothing else.
                open.spawn(async move {
                    match acceptor {
                        None => answer(socket, &*script, &remembers, &turn).await.ok(),
                        Some(acceptor) => {
                            let stream = acceptor.accept(socket).await.ok()?;
                            answer(stream, &*script, &remembers, &turn).await.ok()
                        }
                    }
                });
            }
        });
        Self {
            port,
            ca,
            posted,
            serving,
        }
    }

    pub fn url(&self) -> String {
        let scheme = if self.ca.is_some() { "https" } else { "http" };
        format!("{scheme}://localhost:{}/hook?key=very-secret", self.port)
    }

    pub fn ca_file(&self) -> Option<&Path> {
        self.ca.as_ref().map(NamedTempFile::path)
    }

    /// All that was posted.
    pub fn posted(&self) -> Vec<Posted> {
        self.posted.borrow().clone()
    }

    /// Waits until so much was posted.
    pub async fn until_posted(&self, count: usize) {
        let mut posted = self.posted.subscribe();
        posted.wait_for(|all| all.len() >= count).await.unwrap();
    }
}

impl Drop for ScriptedHttp {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A certificate for localhost, and the file of its CA.
fn certified() -> (TlsAcceptor, NamedTempFile) {
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::default();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let authority = rcgen::CertifiedIssuer::self_signed(authority, authority_key).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let ca = NamedTempFile::new().unwrap();
    std::fs::write(ca.path(), authority.pem()).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), ca)
}

async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    script: &Script,
    posted: &watch::Sender<Vec<Posted>>,
    turn: &Mutex<usize>,
) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length");
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await?;
    let this = Posted {
        path,
        headers,
        body,
    };
    let turn = {
        let mut turn = turn.lock().unwrap();
        *turn += 1;
        *turn - 1
    };
    let does = script(turn, &this);
    posted.send_modify(|all| all.push(this));
    let stream = stream.get_mut();
    match does {
        Does::Hangs => std::future::pending().await,
        Does::Closes => Ok(()),
        Does::Babbles => stream.write_all(b"220 mail.example.com ESMTP\r\n").await,
        Does::Begins(status) => {
            let head = format!("HTTP/1.1 {status} Scripted\r\nContent-Length: 100\r\n\r\nwell");
            stream.write_all(head.as_bytes()).await?;
            stream.flush().await?;
            std::future::pending().await
        }
        Does::Floods(status) => {
            let head = format!("HTTP/1.1 {status} Scripted\r\nConnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
            loop {
                stream.write_all(&[b'x'; 4096]).await?;
            }
        }
        Does::Answers(status, headers, body) => {
            let head = format!(
                "HTTP/1.1 {status} Scripted\r\n{headers}Content-Length: {}\r\n\
                 Connection: close\r\n\r\n",
                body.len()
            );
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(&body).await?;
            stream.shutdown().await
        }
    }
}
