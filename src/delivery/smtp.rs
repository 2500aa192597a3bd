//! Letters to an SMTP server (RFC 5321): one connection a letter, every step known by itself.
//!
//! lettre speaks the protocol; the steps are taken one by one here, because a 5xx means something
//! else at each of them, and because lettre bounds nothing but the TCP connection (0.11.23,
//! lettre#1027). Guarantee: a recipient counts as accepted only after the server's 250 to the
//! final dot, and as refused only on the server's word about that recipient or this letter.
//! Left out on purpose: pooling, pipelining, 8BITMIME; our letters are few and 7-bit.

use std::{collections::HashSet, error::Error as _, fmt::Display, time::Duration};

use lettre::transport::smtp::{
    Error,
    client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters},
    commands::{Data, Mail, Quit, Rcpt, Rset},
    extension::ClientId,
    response::{Response, Severity},
};
use tokio::time::{Instant, timeout_at};

use super::{
    Attempt, Obstacle, ObstacleKind, SmtpSettings, Unreachable, compose::lettre_address,
    stranger::one_line,
};
use crate::{
    ledger::Letter,
    notice::Address,
    oauth::Credential,
    tls::{self, TlsError, TlsMode},
};

mod login;

/// RFC 5321 §4.5.3.2.6: a server may take this long over the final dot. Hanging up earlier makes
/// us send again what it is about to accept.
const FINAL_DOT: Duration = Duration::from_secs(600);

/// The server's words are kept up to this many characters.
const WORDS: usize = 500;

pub(super) async fn send(
    settings: &SmtpSettings,
    from: &Address,
    letter: &Letter,
    within: Duration,
) -> Result<Attempt, Unreachable> {
    let deadline = Instant::now() + within;
    let mut session = Session::open(settings, from, deadline)
        .await
        .map_err(|trouble| Unreachable(trouble.words))?;
    let attempt = session.hand_over(from, letter).await;
    session.close().await;
    Ok(attempt)
}

/// Connects and logs in as for a letter, names the sender, and takes that back: a server that wants
/// AUTH first says so only then.
pub(super) async fn probe(
    settings: &SmtpSettings,
    from: &Address,
    within: Duration,
) -> Result<(), Obstacle> {
    let deadline = Instant::now() + within;
    let trying = async {
        let mut session = Session::open(settings, from, deadline).await?;
        let mail = Mail::new(Some(lettre_address(from)), Vec::new());
        let taken = session.command("MAIL FROM", mail, &[250]).await;
        if taken.is_ok() {
            // Whatever the answer: hanging up takes it back as well (RFC 5321 §4.1.1.5).
            session.command("RSET", Rset, &[250]).await.ok();
        }
        session.close().await;
        taken
    };
    let Err(Trouble { kind, words, .. }) = trying.await else {
        return Ok(());
    };
    let SmtpSettings { host, port, .. } = settings;
    let unexplained = kind == ObstacleKind::Passing && settings.tls != TlsMode::Implicit;
    let kind = match unexplained && tls::answers(host, *port, within).await {
        true => ObstacleKind::TlsFirst,
        false => kind,
    };
    Err(Obstacle { words, kind })
}

/// Why a step did not succeed.
struct Trouble {
    /// The server said no, and saying it again will not help.
    permanent: bool,
    /// The session cannot go on: silence, a broken connection, 421, or an answer out of turn.
    over: bool,
    /// The server's words, or ours.
    words: String,
    /// What it comes from, for a person who asks.
    kind: ObstacleKind,
}

/// A connection on which EHLO, and what the settings ask for before a letter, have succeeded.
struct Session {
    connection: AsyncSmtpConnection,
    /// Each answer before the final dot.
    command: Duration,
    /// The whole attempt.
    deadline: Instant,
    /// The server is gone or talks nonsense, and not even QUIT would be answered.
    over: bool,
}

impl Session {
    /// Connects, and logs in where the settings say so. An access token that is refused is dropped, and
    /// one that was not fetched for this is followed by a fresh one, once.
    async fn open(
        settings: &SmtpSettings,
        from: &Address,
        deadline: Instant,
    ) -> Result<Self, Trouble> {
        let server = server(settings);
        let (username, tokens) = match &settings.login {
            None => return Self::connect(settings, from, deadline).await,
            Some((username, Credential::Password(password))) => {
                let mut session = Self::connect(settings, from, deadline).await?;
                session.show_password(&server, username, password).await?;
                return Ok(session);
            }
            Some((username, Credential::Token(tokens))) => (username, tokens),
        };
        let mut is_again = false;
        loop {
            let late = |_| Trouble::ours("get an access token: none in time".to_owned());
            let token = timeout_at(deadline, tokens.token()).await.map_err(late)??;
            let mut session = Self::connect(settings, from, deadline).await?;
            match session.show_token(&server, username, token.secret()).await {
                Ok(()) => return Ok(session),
                Err(trouble) => {
                    if trouble.kind == ObstacleKind::TokenRefused {
                        tokens.forget(&token).await;
                        if token.is_cached() && !is_again {
                            is_again = true;
                            continue;
                        }
                    }
                    return Err(trouble);
                }
            }
        }
    }

    async fn connect(
        settings: &SmtpSettings,
        from: &Address,
        deadline: Instant,
    ) -> Result<Self, Trouble> {
        let server = server(settings);
        // Our own host name is often none that a server would know; the domain we write for is.
        let hello = ClientId::Domain(from.domain().to_owned());
        let implicit = match settings.tls {
            TlsMode::Implicit => Some(parameters(settings)?),
            TlsMode::StartTls | TlsMode::None => None,
        };
        let connecting = AsyncSmtpConnection::connect_tokio1(
            (settings.host.as_str(), settings.port),
            // A first address that is dead leaves time for the second.
            Some(settings.command / 2),
            &hello,
            implicit,
            None,
        );
        let until = deadline.min(Instant::now() + settings.command);
        let connect = format!("connect to {server}");
        let connection = bounded(&connect, until, connecting).await?;
        let mut session = Self {
            connection,
            command: settings.command,
            deadline,
            over: false,
        };
        if settings.tls == TlsMode::StartTls {
            if !session.connection.can_starttls() {
                return Err(Trouble {
                    kind: ObstacleKind::NoStartTls,
                    ..Trouble::ours(format!(
                        "{server} does not offer STARTTLS, and nothing is sent without it"
                    ))
                });
            }
            let until = session.until();
            let upgrading = session.connection.starttls(parameters(settings)?, &hello);
            bounded(&format!("STARTTLS with {server}"), until, upgrading).await?;
        }
        Ok(session)
    }

    /// Speaks about one letter. Nothing that happens here is an error: it is the letter's fate.
    async fn hand_over(&mut self, from: &Address, letter: &Letter) -> Attempt {
        let everybody = || letter.recipients.iter().cloned();
        let put_off = |words: String| Attempt {
            deferred: everybody()
                .map(|address| (address, words.clone()))
                .collect(),
            ..Attempt::default()
        };

        // A refusal of MAIL FROM, even a 5xx, is about us: a sender not allowed, a quota used up.
        // The operator mends that, and the letter shall still be there then.
        let mail = Mail::new(Some(lettre_address(from)), Vec::new());
        if let Err(trouble) = self.command("MAIL FROM", mail, &[250]).await {
            return put_off(trouble.words);
        }
        let mut attempt = Attempt::default();
        let mut accepted = HashSet::new();
        for address in everybody() {
            let rcpt = Rcpt::new(lettre_address(&address), Vec::new());
            match self.command("RCPT TO", rcpt, &[250, 251]).await {
                Ok(()) => {
                    accepted.insert(address);
                }
                Err(trouble) if trouble.over => return put_off(trouble.words),
                Err(trouble) if trouble.permanent => attempt.refused.push((address, trouble.words)),
                Err(trouble) => attempt.deferred.push((address, trouble.words)),
            }
        }
        if accepted.is_empty() {
            return attempt;
        }
        match self.data(&letter.eml).await {
            Ok(()) => attempt.accepted = accepted,
            Err(trouble) => {
                let fate = if trouble.permanent {
                    &mut attempt.refused
                } else {
                    &mut attempt.deferred
                };
                fate.extend(accepted.into_iter().map(|a| (a, trouble.words.clone())));
                fate.sort();
            }
        }
        attempt
    }

    async fn data(&mut self, eml: &[u8]) -> Result<(), Trouble> {
        self.command("DATA", Data, &[354]).await?;
        let until = self.deadline.min(Instant::now() + FINAL_DOT);
        // lettre writes the line end before the final dot itself.
        let eml = eml.strip_suffix(b"\r\n").unwrap_or(eml);
        let step = "the final dot";
        let answer = bounded(step, until, self.connection.message(eml)).await;
        self.judge(step, answer, &[250])
    }

    /// One command and its answer, which must be one of `wanted`: after an answer out of turn
    /// every later one would be taken for the wrong command's.
    async fn command(
        &mut self,
        name: &str,
        command: impl Display,
        wanted: &[u16],
    ) -> Result<(), Trouble> {
        let until = self.until();
        let answer = bounded(name, until, self.connection.command(command)).await;
        self.judge(name, answer, wanted)
    }

    fn judge(
        &mut self,
        step: &str,
        answer: Result<Response, Trouble>,
        wanted: &[u16],
    ) -> Result<(), Trouble> {
        let outcome = answer.and_then(|answer| expect(step, answer, wanted));
        self.over = matches!(&outcome, Err(trouble) if trouble.over);
        outcome
    }

    /// When the next answer must be there.
    fn until(&self) -> Instant {
        self.deadline.min(Instant::now() + self.command)
    }

    /// Says goodbye. What became of the letter is known by now, so that nothing depends on it.
    async fn close(mut self) {
        if self.over {
            return;
        }
        let until = self.deadline.min(Instant::now() + Duration::from_secs(5));
        drop(timeout_at(until, self.connection.command(Quit)).await);
    }
}

/// As messages name it.
fn server(settings: &SmtpSettings) -> String {
    format!("{}:{}", settings.host, settings.port)
}

/// Runs one step, `until` at the latest.
async fn bounded<T>(
    step: &str,
    until: Instant,
    doing: impl Future<Output = Result<T, Error>>,
) -> Result<T, Trouble> {
    let began = Instant::now();
    match timeout_at(until, doing).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(Trouble::of(step, &error)),
        Err(_) => Err(Trouble::ours(format!(
            "{step}: no answer within {:.0?}",
            until.duration_since(began)
        ))),
    }
}

fn expect(step: &str, answer: Response, wanted: &[u16]) -> Result<(), Trouble> {
    let code = u16::from(answer.code());
    if wanted.contains(&code) {
        return Ok(());
    }
    let text = one_line(&answer.message().collect::<Vec<_>>().join(" "), WORDS);
    Err(Trouble::ours(format!(
        "{step}: expected {}, found {code} {text}",
        wanted
            .iter()
            .map(u16::to_string)
            .collect::<Vec<_>>()
            .join(" or ")
    )))
}

impl Trouble {
    /// Trouble that the server did not put into words.
    fn ours(words: String) -> Self {
        Self {
            permanent: false,
            over: true,
            words,
            kind: ObstacleKind::Passing,
        }
    }

    fn of(step: &str, error: &Error) -> Self {
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        let cause = one_line(&cause, WORDS);
        let Some(code) = error.status() else {
            let ours = Self::ours(if error.is_response() {
                format!("{step}: the server hung up, or its answer is not SMTP ({cause})")
            } else {
                format!("{step}: {cause}")
            });
            let kind = match tls::distrust(error) {
                Some(distrust) => ObstacleKind::Tls(distrust),
                // lettre 0.11.23 says so when the server hangs up.
                None if error.is_response() && cause != "incomplete response" => {
                    ObstacleKind::NotSmtp
                }
                None => ObstacleKind::Passing,
            };
            return Self { kind, ..ours };
        };
        let permanent =
            code.severity == Severity::PermanentNegativeCompletion && !is_about_the_day(&cause);
        Self {
            permanent,
            kind: match u16::from(code) {
                // RFC 4954 §6
                530 => ObstacleKind::LoginWanted,
                _ if permanent => ObstacleKind::Refused,
                _ => ObstacleKind::PutOff,
            },
            // RFC 5321 §3.8: the server closes the connection after 421.
            over: u16::from(code) == 421,
            words: format!("{step}: {code} {cause}").trim_end().to_owned(),
        }
    }
}

/// Whether a 5xx means "not today": x.4.5, which Gmail answers when the daily quota is used up
/// (`550 5.4.5`), and x.7.30, which Microsoft 365 answers while SMTP AUTH is switched off
/// (`550 5.7.30`, announced for the end of 2026). RFC 3463 §3.
fn is_about_the_day(text: &str) -> bool {
    let status = text.split_whitespace().next().unwrap_or_default();
    matches!(
        status.split('.').collect::<Vec<_>>().as_slice(),
        ["4" | "5", "4", "5"] | ["4" | "5", "7", "30"]
    )
}

fn parameters(settings: &SmtpSettings) -> Result<TlsParameters, Trouble> {
    let mut builder = TlsParameters::builder(settings.host.clone());
    if let Some(file) = &settings.ca_file {
        // Says what is wrong with the file in the words used everywhere; lettre would take an
        // empty one for an authority that vouches for nobody.
        let ours = |error: TlsError| Trouble {
            kind: ObstacleKind::CaFile,
            ..Trouble::ours(error.to_string())
        };
        tls::client_config(Some(file)).map_err(ours)?;
        let path = file.display().to_string();
        let pem = std::fs::read(file).map_err(|source| ours(TlsError::CaFile { path, source }))?;
        let certificates =
            Certificate::from_pem(&pem).map_err(|error| Trouble::of("set up TLS", &error))?;
        builder = builder
            .certificate_store(CertificateStore::None)
            .add_root_certificate(certificates);
    }
    builder
        .build()
        .map_err(|error| Trouble::of("set up TLS", &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_used_up_quota_and_switched_off_auth_are_not_for_good() {
        assert!(is_about_the_day("5.4.5 Daily user sending limit exceeded"));
        assert!(is_about_the_day(
            "5.7.30 Basic authentication is not supported"
        ));
        for good in ["5.7.3 no", "5.4.50 no", "5.1.1 5.4.5", "no 5.4.5", ""] {
            assert!(!is_about_the_day(good), "{good}");
        }
    }
}
