//! A token endpoint on loopback that answers as the test says, and tells Dovecot whose a token is.
//!
//! Left out on purpose: TLS, and any opinion on what is asked.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

/// The fields of one question.
pub type Form = BTreeMap<String, String>;

/// What the endpoint does.
#[derive(Clone)]
pub enum Says {
    /// An answer: status, further header lines, body.
    Answer(u16, String, Vec<u8>),
    /// As above, once the test lets it.
    WhenLet(Arc<tokio::sync::Notify>, Box<Says>),
    /// Nothing, ever.
    Nothing,
}

/// Running; it ends when dropped.
pub struct TokenEndpoint {
    port: u16,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

type Script = Box<dyn Fn(usize, &Form) -> Says + Send + Sync>;

struct Shared {
    script: Script,
    asked: Mutex<Vec<Form>>,
    /// Other paths that were asked for.
    strays: Mutex<Vec<String>>,
    /// Tokens that are good, and whose they are.
    good: Mutex<HashMap<String, String>>,
}

impl TokenEndpoint {
    /// `script` answers question number 0, 1, ….
    pub async fn start(script: impl Fn(usize, &Form) -> Says + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            script: Box::new(script),
            asked: Mutex::default(),
            strays: Mutex::default(),
            good: Mutex::default(),
        });
        let served = Arc::clone(&shared);
        let serving = tokio::spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let served = Arc::clone(&served);
                // A client that goes away ends its connection and nothing else.
                open.spawn(async move { serve(socket, &served).await.ok() });
            }
        });
        Self {
            port,
            shared,
            serving,
        }
    }

    /// One that grants the tokens `PREFIX-0`, `PREFIX-1`, …, each for an hour.
    pub async fn granting(prefix: &'static str) -> Self {
        Self::start(move |n, _| token(&format!("{prefix}-{n}"), 3600)).await
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/token", self.port)
    }

    /// Where Dovecot asks whose a token is.
    pub fn introspection(&self) -> String {
        format!("http://127.0.0.1:{}/introspect", self.port)
    }

    /// Lets `token` be this user's from now on.
    pub fn know(&self, token: &str, user: &str) {
        let mut good = self.shared.good.lock().unwrap();
        good.insert(token.to_owned(), user.to_owned());
    }

    /// Lets it be nobody's.
    pub fn forget(&self, token: &str) {
        self.shared.good.lock().unwrap().remove(token);
    }

    /// Every question for a token.
    pub fn asked(&self) -> Vec<Form> {
        self.shared.asked.lock().unwrap().clone()
    }

    pub fn strays(&self) -> Vec<String> {
        self.shared.strays.lock().unwrap().clone()
    }
}

impl Drop for TokenEndpoint {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A token for so many seconds.
pub fn token(token: &str, seconds: u32) -> Says {
    let token = serde_json::json!({
        "access_token": token, "token_type": "Bearer", "expires_in": seconds,
    });
    json(200, &token)
}

/// A token with another refresh token beside it.
pub fn rotated(token: &str, refresh_token: &str) -> Says {
    let token = serde_json::json!({
        "access_token": token, "token_type": "Bearer", "expires_in": 0,
        "refresh_token": refresh_token,
    });
    json(200, &token)
}

/// RFC 6749 §5.2
pub fn refusal(status: u16, error: &str, description: &str) -> Says {
    let refusal = serde_json::json!({ "error": error, "error_description": description });
    json(status, &refusal)
}

pub fn json(status: u16, value: &serde_json::Value) -> Says {
    let header = "Content-Type: application/json\r\n".to_owned();
    Says::Answer(status, header, value.to_string().into_bytes())
}

async fn serve(socket: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut stream = BufReader::new(socket);
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut length = 0;
    loop {
        line.clear();
        stream.read_line(&mut line).await?;
        let header = line.trim_end().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let form = form(std::str::from_utf8(&body).unwrap());
    let mut says = match &*path {
        "/token" => {
            let n = {
                let mut asked = shared.asked.lock().unwrap();
                asked.push(form.clone());
                asked.len() - 1
            };
            (shared.script)(n, &form)
        }
        "/introspect" => {
            let token = form.get("token").cloned().unwrap_or_default();
            let good = shared.good.lock().unwrap();
            match good.get(&token) {
                Some(user) => json(
                    200,
                    &serde_json::json!({ "active": true, "username": user }),
                ),
                None => json(200, &serde_json::json!({ "active": false })),
            }
        }
        _ => {
            shared.strays.lock().unwrap().push(path);
            token("stray", 3600)
        }
    };
    loop {
        match says {
            Says::Nothing => std::future::pending().await,
            Says::WhenLet(let_go, then) => {
                let_go.notified().await;
                says = *then;
            }
            Says::Answer(status, headers, body) => {
                let head = format!(
                    "HTTP/1.1 {status} Scripted\r\n{headers}Content-Length: {}\r\n\
                     Connection: close\r\n\r\n",
                    body.len()
                );
                let socket = stream.get_mut();
                socket.write_all(head.as_bytes()).await?;
                socket.write_all(&body).await?;
                return socket.shutdown().await;
            }
        }
    }
}

/// application/x-www-form-urlencoded
fn form(body: &str) -> Form {
    let decode = |text: &str| {
        let mut bytes = Vec::new();
        let mut rest = text.bytes();
        while let Some(byte) = rest.next() {
            bytes.push(match byte {
                b'+' => b' ',
                b'%' => {
                    let digits = [rest.next().unwrap(), rest.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                byte => byte,
            });
        }
        String::from_utf8(bytes).unwrap()
    };
    body.split('&')
        .filter_map(|field| field.split_once('='))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}
