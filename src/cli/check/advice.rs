//! What a failed check means for the person who runs it: what was found, what was expected, what to
//! do, and whether it may pass by itself.
//!
//! Left out on purpose: finding it out. Unknown trouble counts as passing.

use std::io;

use crate::{
    authenticity,
    config::{Handoff, HandoffWay, MailboxKind, Server},
    delivery::{Obstacle, ObstacleKind},
    ledger::LedgerError,
    mailbox::{MailboxError, ProbeError},
    oauth::TokenError,
    stranger::one_line,
    tls::{self, Distrust, TlsError, TlsMode},
};

mod oauth;

/// Servers' words are shown up to this many characters.
const WORDS: usize = 400;
/// So many folders are named where one was not found.
const FOLDERS: usize = 20;

/// One failed check, in words.
#[derive(Debug)]
pub(super) struct Failure {
    /// In the server's words, or the system's.
    pub(super) found: String,
    pub(super) expected: String,
    pub(super) to_do: String,
    /// It may pass without anybody changing anything.
    pub(super) passing: bool,
}

/// The two halves of advice; what was found is said by the error itself.
type Advice = (String, String);

impl Failure {
    fn mend(found: impl ToString, (expected, to_do): Advice) -> Self {
        Self {
            found: one_line(&found.to_string(), WORDS),
            expected,
            to_do,
            passing: false,
        }
    }

    fn wait(found: impl ToString, advice: Advice) -> Self {
        Self {
            passing: true,
            ..Self::mend(found, advice)
        }
    }
}

fn advice(expected: impl Into<String>, to_do: impl Into<String>) -> Advice {
    (expected.into(), to_do.into())
}

/// A secret or a CA file.
pub(super) fn setting(error: &anyhow::Error) -> Failure {
    // The first says which setting, and the row says that already.
    let skipped = usize::from(error.chain().count() > 1);
    let mut found = String::new();
    for cause in error.chain().skip(skipped) {
        let cause = cause.to_string();
        if !found.ends_with(&cause) {
            let colon = if found.is_empty() { "" } else { ": " };
            found = format!("{found}{colon}{cause}");
        }
    }
    if error.chain().any(|cause| cause.is::<TlsError>()) {
        return Failure::mend(found, ca_file());
    }
    let denied = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::PermissionDenied);
    let to_do = match denied {
        true => "run this as the user that may read it, as a rule root",
        false => "write the secret there, in one line, and let nobody else read it (chmod 600)",
    };
    Failure::mend(
        found,
        advice("a secret that only its owner can read", to_do),
    )
}

fn ca_file() -> Advice {
    advice(
        "a file with the CA's certificates in PEM",
        "put the CA's certificates there, or take `ca_file` out where a public CA signs",
    )
}

/// The ledger.
pub(super) fn ledger(error: &LedgerError) -> Failure {
    match error {
        LedgerError::Io { source, .. } => {
            let to_do = match source.kind() {
                io::ErrorKind::NotFound => {
                    "create the directory, owned by the service's user; under systemd \
                     StateDirectory= does that"
                }
                _ => "let the service's user write there, and run this as that user or as root",
            };
            Failure::mend(error, advice("a directory that can be written to", to_do))
        }
        LedgerError::Sqlite { .. } => Failure::wait(
            error,
            advice(
                "a ledger that can be read and written",
                "see whether the disk is full or another program holds the ledger",
            ),
        ),
        LedgerError::Newer { .. } => Failure::mend(
            error,
            advice(
                "a ledger that this version knows",
                "install the version that wrote it, or a later one",
            ),
        ),
        _ => Failure::mend(
            error,
            advice(
                "a ledger of invoice-trackd",
                "name another file under [ledger] url, or restore this one from a backup",
            ),
        ),
    }
}

/// A mailbox.
pub(super) fn mailbox(error: &ProbeError, kind: &MailboxKind) -> Failure {
    let MailboxKind::Imap { server, .. } = kind else {
        return Failure::mend(
            error,
            advice(
                "a Maildir that can be read: a directory with `new` and `cur` in it",
                "correct `path`, or create the Maildir and let the service's user read it",
            ),
        );
    };
    match error {
        ProbeError::Mailbox(error) => imap(error, server),
        ProbeError::TlsFirst { .. } => Failure::mend(error, tls_first("143 for \"starttls\"")),
        ProbeError::Folder {
            folders,
            folder,
            answer,
        } => {
            if let Some(advice) = oauth::not_connected(answer) {
                return Failure::mend(error, advice);
            }
            let to_do = match folders.contains(folder) {
                true => "let the user read the folder".to_owned(),
                false => format!("name one of the folders that exist: {}", some(folders)),
            };
            Failure::mend(error, advice("a folder that can be opened", to_do))
        }
        ProbeError::Target { folders, folder } => Failure::mend(
            error,
            advice(
                "the folder of after_import",
                format!(
                    "create the folder {folder}, or name one that exists: {}",
                    some(folders)
                ),
            ),
        ),
        ProbeError::CannotMove => Failure::mend(
            error,
            advice(
                "a server that can move mail and touch no other (RFC 6851 or RFC 4315)",
                "set after_import = \"mark_seen\", or take it out",
            ),
        ),
        ProbeError::ReadOnly { .. } => Failure::mend(
            error,
            advice(
                "a folder that the user may change, as after_import asks",
                "give the user that right, or take after_import out",
            ),
        ),
    }
}

/// The latest mail of a mailbox that could be watched otherwise.
pub(super) fn latest(error: &MailboxError) -> Failure {
    let advice = advice(
        "a mailbox whose latest mail can be searched for and read",
        "try again later; where it stays so, let the user read the folder, or ask whoever runs the \
         server",
    );
    Failure::wait(error, advice)
}

/// The resolver.
pub(super) fn dns(name: &str, trouble: &str, settings: &authenticity::Settings) -> Failure {
    let to_do = match settings.dns_servers.is_empty() {
        true => "see whether DNS works on this machine, or name a server as `dns_servers`",
        false => "correct `dns_servers`, or see whether a firewall is in between",
    };
    Failure::wait(
        format!("look up {name}: {trouble}"),
        advice("an answer from DNS, where the keys of DKIM are", to_do),
    )
}

/// The folders that there are, as many as fit.
fn some(folders: &[String]) -> String {
    let named = folders.iter().take(FOLDERS);
    let mut text = named
        .map(|folder| one_line(folder, 80))
        .collect::<Vec<_>>()
        .join(", ");
    if folders.len() > FOLDERS {
        text = format!("{text} and {} more", folders.len() - FOLDERS);
    }
    text
}

fn imap(error: &MailboxError, server: &Server) -> Failure {
    match error {
        MailboxError::Io { source, .. } => {
            if let Some(distrust) = tls::distrust(source) {
                return Failure::mend(error, certificate(distrust, server, "143"));
            }
            network(error, source.kind() == io::ErrorKind::ConnectionRefused)
        }
        MailboxError::Timeout { .. } | MailboxError::Closed { .. } => network(error, false),
        MailboxError::Login { .. } => Failure::mend(
            error,
            oauth::imap(server).unwrap_or_else(|| {
                advice(
                    "a server that takes the name and the password",
                    "correct `username` or the password; some providers want an app password, or \
                     IMAP switched on for the account",
                )
            }),
        ),
        MailboxError::Token(TokenError { cause, .. }) => oauth::token(*cause, error, server),
        MailboxError::NoXoauth2 { .. } => oauth::no_xoauth2(error),
        MailboxError::LoginDisabled { tls, .. } if *tls != TlsMode::None => Failure::mend(
            error,
            oauth::no_passwords(server).unwrap_or_else(|| {
                advice(
                    "a server that takes LOGIN on this connection",
                    "switch password logins on at the server, or use access tokens: oauth = { … } in \
                     place of `password` (docs/oauth.md)",
                )
            }),
        ),
        MailboxError::LoginDisabled { .. } => Failure::mend(
            error,
            advice(
                "a server that takes LOGIN on this connection",
                "set tls = \"starttls\" or \"implicit\"",
            ),
        ),
        MailboxError::Tls(TlsError::CaFile { .. } | TlsError::NoCertificate { .. }) => {
            Failure::mend(error, ca_file())
        }
        MailboxError::Tls(TlsError::Setup(_)) => Failure::mend(
            error,
            advice(
                "certificates of public authorities on this machine",
                "install ca-certificates, or name a private CA as `ca_file`",
            ),
        ),
        MailboxError::Refused { operation, .. } if operation.starts_with("start TLS") => {
            Failure::mend(error, no_starttls("993"))
        }
        MailboxError::Refused { answer, .. } => match oauth::not_connected(answer) {
            Some(advice) => Failure::mend(error, advice),
            None => Failure::wait(
                error,
                advice(
                    "a server that lets us in",
                    "try again later; where it stays so, ask whoever runs the server",
                ),
            ),
        },
        MailboxError::Protocol { .. } => Failure::mend(
            error,
            advice(
                "an IMAP server",
                "see whether `host` and `port` lead to an IMAP server",
            ),
        ),
    }
}

/// The way out for mails; `server` where it is SMTP.
pub(super) fn mail(obstacle: &Obstacle, server: Option<&Server>) -> Failure {
    let Some(server) = server else {
        return Failure::mend(
            obstacle,
            advice(
                "a directory that can be written to",
                "correct `directory`, or let the service's user write there",
            ),
        );
    };
    let advice = match obstacle.kind {
        ObstacleKind::Passing => {
            return network(obstacle, obstacle.words.contains("refused"));
        }
        ObstacleKind::Token(cause) => return oauth::token(cause, obstacle, server),
        ObstacleKind::NoXoauth2 => return oauth::no_xoauth2(obstacle),
        ObstacleKind::PutOff => {
            if let Some(advice) = oauth::basic_is_off(&obstacle.words, server) {
                return Failure::mend(obstacle, advice);
            }
            let advice = advice(
                "a server that takes mail",
                "try again later; where it stays so, do what its words say",
            );
            return Failure::wait(obstacle, advice);
        }
        ObstacleKind::Tls(distrust) => certificate(distrust, server, "587"),
        ObstacleKind::CaFile => ca_file(),
        ObstacleKind::TlsFirst => tls_first("587 for \"starttls\""),
        ObstacleKind::NoStartTls => no_starttls("465"),
        ObstacleKind::NotSmtp => advice(
            "an SMTP server",
            "see whether `host` and `port` lead to an SMTP server",
        ),
        ObstacleKind::LoginWanted => advice(
            "a server that takes mail as the settings stand",
            "set `username` and `password` under [mail.smtp], and TLS where there is none",
        ),
        ObstacleKind::NoAuth => oauth::no_passwords(server).unwrap_or_else(|| {
            advice(
                "a server that offers AUTH PLAIN or LOGIN on this connection",
                "turn TLS on, use the port for submission (465 or 587), or take `username` out",
            )
        }),
        ObstacleKind::TokenRefused => oauth::smtp(&obstacle.words, server),
        ObstacleKind::LoginRefused => {
            oauth::smtp_password(&obstacle.words, server).unwrap_or_else(|| {
                advice(
                    "a server that takes the name and the password",
                    "correct `username` or the password; some providers want an app password, or \
                     SMTP AUTH switched on for the account",
                )
            })
        }
        ObstacleKind::Refused | ObstacleKind::Directory => advice(
            "a server that takes mail from this machine and from the address in `from`",
            "do what its words say, or ask whoever runs the server",
        ),
    };
    Failure::mend(obstacle, advice)
}

/// A system that numbers are handed to.
pub(super) fn handoff(obstacle: &Obstacle, handoff: &Handoff) -> Failure {
    let (url, ca_file) = match &handoff.way {
        HandoffWay::Directory { .. } => {
            return Failure::mend(
                obstacle,
                advice(
                    "a directory that exists and can be written to",
                    "create it, or correct `path`, and let the service's user write there; under \
                     systemd with ReadWritePaths= as well",
                ),
            );
        }
        HandoffWay::Webhook { url, ca_file, .. } => (url, ca_file),
    };
    let distrust = match obstacle.kind {
        ObstacleKind::CaFile => return Failure::mend(obstacle, self::ca_file()),
        ObstacleKind::Tls(Distrust::NoTls) => {
            return Failure::mend(
                obstacle,
                advice(
                    "a server that speaks TLS",
                    "correct the port in `url`, or have TLS switched on at the server",
                ),
            );
        }
        ObstacleKind::Tls(distrust) => distrust,
        _ => {
            let Failure { expected, .. } = network(obstacle, obstacle.words.contains("refused"));
            let to_do = "see whether the server runs, whether `url` is right, whether its name \
                         resolves here, and whether a firewall is in between";
            return Failure::wait(obstacle, advice(expected, to_do));
        }
    };
    let server = Server {
        host: url.host().to_owned(),
        port: url.port(),
        tls: TlsMode::Implicit,
        ca_file: ca_file.clone(),
        login: None,
    };
    let (expected, to_do) = certificate(distrust, &server, "");
    Failure::mend(obstacle, (expected, to_do.replace("`host`", "`url`")))
}

/// What may pass by itself, except a name that does not exist.
fn network(error: impl ToString, refused: bool) -> Failure {
    let found = error.to_string();
    // What the standard library says when getaddrinfo(3) fails; EAI_AGAIN is glibc's "Temporary".
    if found.contains("failed to lookup address") {
        let resolvable = advice(
            "a host name that resolves",
            "correct `host`, or see whether DNS works on this machine",
        );
        return match found.contains("Temporary failure") || found.contains("Try again") {
            true => Failure::wait(found, resolvable),
            false => Failure::mend(found, resolvable),
        };
    }
    let (expected, to_do) = match refused {
        true => (
            "a server that listens on that port",
            "see whether the server runs, and whether `host` and `port` are right",
        ),
        false => (
            "a server that answers",
            "see whether the server runs, whether `host` and `port` are right, and whether a \
             firewall is in between",
        ),
    };
    Failure::wait(found, advice(expected, to_do))
}

fn tls_first(other: &str) -> Advice {
    advice(
        "a port on which the server speaks first",
        format!("set tls = \"implicit\" for this port, or use another port ({other}, as a rule)"),
    )
}

fn no_starttls(implicit: &str) -> Advice {
    advice(
        "a server that offers STARTTLS",
        format!("set tls = \"implicit\" and the port for it ({implicit}, as a rule)"),
    )
}

fn certificate(distrust: Distrust, server: &Server, starttls: &str) -> Advice {
    let host = &server.host;
    match (distrust, &server.ca_file) {
        (Distrust::UnknownIssuer, None) => advice(
            "a certificate that a public authority signed",
            "where a private CA signs, name its certificate file as `ca_file`",
        ),
        (Distrust::UnknownIssuer, Some(file)) => advice(
            format!("a certificate that the CA in {} signed", file.display()),
            "put the CA's certificate there that signs for this server, or take `ca_file` out \
             where a public CA does",
        ),
        (Distrust::WrongName, _) => advice(
            format!("a certificate for {host}"),
            "set `host` to a name that stands in the certificate, or have one made for this name",
        ),
        (Distrust::Expired | Distrust::NotYetValid, _) => advice(
            "a certificate that is valid today",
            "have the server's certificate renewed, and see whether this machine's clock is right",
        ),
        (Distrust::Unfit, _) => advice(
            format!("a certificate that is fit for {host}"),
            "have the server's certificate made anew; a CA's own certificate is none for a server",
        ),
        (Distrust::NoTls, _) => advice(
            "a server that speaks TLS from the first byte",
            format!(
                "set tls = \"starttls\" if this is the port for it ({starttls}, as a rule), or use \
                 the port for implicit TLS"
            ),
        ),
        (Distrust::NoAgreement, _) => advice(
            "a server that speaks TLS 1.2 or 1.3",
            "have TLS 1.2 switched on at the server",
        ),
    }
}
