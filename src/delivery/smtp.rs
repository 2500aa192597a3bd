//! Letters to an SMTP server (RFC 5321): one connection a letter, every step known by itself.
//!
//! lettre speaks the protocol; the steps are taken one by one here, because a 5xx means something
//! else at each of them, and because lettre bounds nothing but the TCP connection (0.11.23,
//! lettre#1027). Guarantee: a recipient counts as accepted only after the server's 250 to the
//! final dot, and as refused only on the server's word about that recipient or this letter.
//! Left out on purpose: pooling, pipelining, 8BITMIME; our letters are few and 7-bit.

use std::{collections::HashSet, error::Error as _, fmt::Display, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use lettre::transport::smtp::{
    Error,
    client::AsyncSmtpConnection,
    commands::{Data, Mail, Quit, Rcpt, Rset},
    extension::ClientId,
    response::Response,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, timeout_at};

use self::wire::{Fault, Plain, Stream};
use super::{Attempt, Obstacle, ObstacleKind, SmtpSettings, Unreachable, compose::lettre_address};
use crate::{
    ledger::Letter,
    notice::Address,
    oauth::Credential,
    stranger::{self, one_line},
    tls::{self, TlsError, TlsMode},
};

mod login;
mod wire;

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
        let mail = Mail::new(Some(lettre_address(from.as_str())), Vec::new());
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
        let connect = format!("connect to {server}");
        let until = deadline.min(Instant::now() + settings.command);
        let stream = Self::stream(settings, from.domain(), &server, until).await?;
        let connecting = AsyncSmtpConnection::connect_with_transport(stream, &hello);
        let connection = bounded(&connect, until, connecting).await?;
        Ok(Self {
            connection,
            command: settings.command,
            deadline,
            over: false,
        })
    }

    /// The connection with the protection that was asked for.
    async fn stream(
        settings: &SmtpSettings,
        hello: &str,
        server: &str,
        until: Instant,
    ) -> Result<Stream, Trouble> {
        let SmtpSettings { host, port, .. } = settings;
        let connect = format!("connect to {server}");
        // Before anybody is spoken to: a file that cannot be used is ours to mend.
        let config = match settings.tls {
            TlsMode::None => None,
            TlsMode::Implicit | TlsMode::StartTls => {
                let config = tls::client_config(settings.ca_file.as_deref());
                Some(config.map_err(Trouble::with_tls)?)
            }
        };
        // A first address that is dead leaves time for the second.
        let reaching = wire::reach(host, *port, settings.tls, settings.command / 2);
        let tcp = within(&connect, until, reaching).await?;
        let Some(config) = config else {
            return Ok(Box::new(tcp));
        };
        if settings.tls == TlsMode::Implicit {
            return within(&connect, until, wire::encrypt(tcp, host, config)).await;
        }
        let Some(plain) = within(&connect, until, Plain::greet(tcp, hello)).await? else {
            return Err(Trouble {
                kind: ObstacleKind::NoStartTls,
                ..Trouble::ours(format!(
                    "{server} does not offer STARTTLS, and nothing is sent without it"
                ))
            });
        };
        let step = format!("STARTTLS with {server}");
        within(&step, until, plain.secure(host, config)).await
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
        let mail = Mail::new(Some(lettre_address(from.as_str())), Vec::new());
        if let Err(trouble) = self.command("MAIL FROM", mail, &[250]).await {
            return put_off(trouble.words);
        }
        let mut attempt = Attempt::default();
        let mut accepted = HashSet::new();
        for address in everybody() {
            let rcpt = Rcpt::new(lettre_address(address.as_str()), Vec::new());
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
    let done = in_time(step, until, doing).await?;
    done.map_err(|error| Trouble::of(step, &error))
}

/// As [`bounded`], for a step towards a connection.
async fn within<T>(
    step: &str,
    until: Instant,
    doing: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Trouble> {
    let done = in_time(step, until, doing).await?;
    done.map_err(|fault| Trouble::under(step, fault))
}

async fn in_time<T>(
    step: &str,
    until: Instant,
    doing: impl Future<Output = T>,
) -> Result<T, Trouble> {
    let began = Instant::now();
    timeout_at(until, doing).await.map_err(|_| {
        let given = until.duration_since(began);
        Trouble::ours(format!("{step}: no answer within {given:.0?}"))
    })
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
        Self::answered(step, code.into(), &cause)
    }

    /// TLS cannot even be tried.
    fn with_tls(error: TlsError) -> Self {
        let kind = match error {
            TlsError::CaFile { .. } | TlsError::NoCertificate { .. } => ObstacleKind::CaFile,
            TlsError::Setup(_) => ObstacleKind::Passing,
        };
        Self {
            kind,
            ..Self::ours(error.to_string())
        }
    }

    /// What keeps a connection from being made.
    fn under(step: &str, fault: Fault) -> Self {
        let with = |words: String, kind| Self {
            kind,
            ..Self::ours(format!("{step}: {words}"))
        };
        match fault {
            Fault::Answer(code, text) => Self::answered(step, code, &one_line(&text, WORDS)),
            Fault::Io(error) => with(
                one_line(&error.to_string(), WORDS),
                tls::distrust(&error).map_or(ObstacleKind::Passing, ObstacleKind::Tls),
            ),
            Fault::Gone => with("the server hung up".to_owned(), ObstacleKind::Passing),
            Fault::NotSmtp(found) => with(
                format!(
                    "the server's answer is not SMTP ({})",
                    one_line(&found, WORDS)
                ),
                ObstacleKind::NotSmtp,
            ),
            Fault::Injected => with(
                "expected TLS to begin, found more words in plaintext behind the answer; \
                 somebody on the way may have put them in"
                    .to_owned(),
                ObstacleKind::Passing,
            ),
        }
    }

    /// The same without the password, in whose place a server may have put our words: as it is,
    /// and as AUTH LOGIN and AUTH PLAIN (RFC 4616) say it. What PLAIN puts before the password
    /// shifts its base64 by up to two bytes.
    fn without(self, password: &SecretString) -> Self {
        let secret = password.expose_secret();
        let said: Vec<String> = (0..3)
            .map(|shift| {
                let shifted = BASE64.encode([vec![0; shift], secret.as_bytes().to_vec()].concat());
                // Neither the first characters nor the last are the password's alone.
                let first = if shift == 0 { 0 } else { shift + 1 };
                let last = shifted.trim_end_matches('=').len().saturating_sub(1);
                shifted.get(first..last).unwrap_or_default().to_owned()
            })
            .collect();
        let said = said.iter().map(String::as_str);
        // A few characters would be anybody's.
        let secrets: Vec<&str> = said
            .filter(|part| part.len() >= 6)
            .chain([secret])
            .collect();
        Self {
            words: stranger::without(&secrets, &self.words),
            ..self
        }
    }

    /// The server's own no.
    fn answered(step: &str, code: u16, text: &str) -> Self {
        let permanent = (500..600).contains(&code) && !is_about_the_day(text);
        Self {
            permanent,
            kind: match code {
                // RFC 4954 §6
                530 => ObstacleKind::LoginWanted,
                _ if permanent => ObstacleKind::Refused,
                _ => ObstacleKind::PutOff,
            },
            // RFC 5321 §3.8: the server closes the connection after 421.
            over: code == 421,
            words: format!("{step}: {code} {text}").trim_end().to_owned(),
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
