//! What a failed login with an access token means, the way each provider means it; and what to do where
//! a password cannot work any more.
//!
//! There are two steps that look alike from afar, getting a token and showing it: the one is about the
//! application and the person who signed in, the other about the mailbox.

use super::{Advice, Failure, advice, ca_file};
use crate::{
    config::{CredentialSource, OAuth, Provider, Server},
    oauth::Cause,
};

/// Where the whole way is described.
const GUIDE: &str = "docs/oauth.md";

/// Microsoft's servers, none of which takes a password for much longer.
const MICROSOFT: &[&str] = &[
    "outlook.office365.com",
    "outlook.office.com",
    "smtp.office365.com",
    "imap-mail.outlook.com",
    "smtp-mail.outlook.com",
];

/// Exchange's answer to the first command after a login that it has taken.
const NOT_CONNECTED: &str = "authenticated but not connected";

/// Whose rules hold, and whether the application acts for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Google,
    MicrosoftApp,
    MicrosoftPerson,
    Other,
}

fn kind(oauth: &OAuth) -> Kind {
    match (oauth.provider, &oauth.refresh_token) {
        (Some(Provider::Google), _) => Kind::Google,
        (Some(Provider::Microsoft), None) => Kind::MicrosoftApp,
        (Some(Provider::Microsoft), Some(_)) => Kind::MicrosoftPerson,
        (None, _) => Kind::Other,
    }
}

/// The server's `oauth`, where it has one.
fn oauth(server: &Server) -> Option<&OAuth> {
    match &server.login {
        Some((_, CredentialSource::OAuth(oauth))) => Some(oauth),
        Some((_, CredentialSource::Password(_))) | None => None,
    }
}

/// There is no token.
pub(super) fn token(cause: Cause, found: impl ToString, server: &Server) -> Failure {
    let Some(oauth) = oauth(server) else {
        return Failure::mend(found, advice("an access token", format!("see {GUIDE}")));
    };
    let kind = kind(oauth);
    let advice = match cause {
        Cause::Passing => {
            return Failure::wait(
                found,
                advice(
                    "a token endpoint that answers",
                    "try again later; where it stays so, see whether a firewall lets HTTPS to it \
                     through, and whether DNS works on this machine",
                ),
            );
        }
        Cause::Tls(_) => advice(
            format!(
                "a token endpoint ({}) that can be trusted",
                oauth.token_endpoint
            ),
            "see whether this machine's clock is right and ca-certificates is installed; where a \
             private CA signs, name its certificate file as `ca_file` under `oauth`",
        ),
        Cause::CaFile => ca_file(),
        Cause::NoEndpoint => advice(
            format!("a token endpoint at {}", oauth.token_endpoint),
            "correct `token_endpoint`, or take it out where a `provider` has a preset",
        ),
        Cause::Store => advice(
            "a directory in which a new refresh token can be kept, readable by its owner only",
            "do what its words say, and run this as the service's user or as root",
        ),
        Cause::SignIn => sign_in(kind),
        Cause::Consent => match kind {
            Kind::MicrosoftApp => advice(
                "an application whose permissions an administrator has consented to",
                "in Entra under API permissions, grant admin consent for IMAP.AccessAsApp and \
                 SMTP.SendAsApp",
            ),
            _ => advice(
                format!("consent to {}", oauth.scope),
                "sign in again and consent to it, or have an administrator grant consent for all",
            ),
        },
        Cause::ClientSecret => match kind {
            Kind::MicrosoftApp | Kind::MicrosoftPerson => advice(
                "the client secret of this application",
                "put the secret's value (not its id) where `client_secret` says; where it is lost, make \
                 a new one in Entra under Certificates & secrets",
            ),
            _ => advice(
                "a client id and the client secret that belongs to it",
                "correct `client_id`, or put the secret of that very client where `client_secret` says",
            ),
        },
        Cause::ClientSecretExpired => advice(
            "a client secret that is not past its last day",
            "make a new one in Entra under Certificates & secrets, put its value where `client_secret` \
             says, and reload the daemon",
        ),
        Cause::ClientUnknown => advice(
            "an application that the provider knows",
            "correct `client_id` (Microsoft: the application (client) id), or `tenant`",
        ),
        Cause::Unauthorized => match kind {
            Kind::Google => advice(
                "a refresh token of this client's",
                "sign in again with this `client_id`: a refresh token works only with the client for \
                 which the person signed in",
            ),
            _ => advice(
                "an application that may use this grant",
                "allow it at the provider (Microsoft, without a client secret: Allow public client flows)",
            ),
        },
        Cause::Scope => advice(
            "a scope that the provider knows for this application",
            match kind {
                Kind::Other => "correct `scope`",
                Kind::MicrosoftApp => {
                    "take `scope` out, and the preset holds; for an application that acts for itself \
                     it has to end in /.default"
                }
                Kind::Google | Kind::MicrosoftPerson => "take `scope` out, and the preset holds",
            },
        ),
        Cause::Tenant => advice(
            "a tenant that exists",
            "correct `tenant`: the directory (tenant) id stands in Entra's overview",
        ),
        Cause::Refused => advice(
            "a provider that grants a token",
            format!("do what its words say; {GUIDE} goes through all that is needed"),
        ),
    };
    Failure::mend(found, advice)
}

fn sign_in(kind: Kind) -> Advice {
    let expected = "a refresh token that is still good";
    let again = "sign in again, and put the new refresh token where `refresh_token` says";
    advice(
        expected,
        match kind {
            Kind::Google => format!(
                "{again}; while Google's consent screen is in testing, one lasts 7 days: publish it, or \
                 make it internal ({GUIDE})"
            ),
            Kind::MicrosoftApp | Kind::MicrosoftPerson => format!(
                "{again}; a changed password, 90 days without use and rules of the tenant's end one \
                 ({GUIDE})"
            ),
            Kind::Other => format!("{again} ({GUIDE})"),
        },
    )
}

/// The server does not take tokens.
pub(super) fn no_xoauth2(found: impl ToString) -> Failure {
    Failure::mend(
        found,
        advice(
            "a server that takes access tokens (XOAUTH2) on this connection",
            "turn TLS on, see whether `host` is the provider's, or use `password`",
        ),
    )
}

/// IMAP has refused the login; `None` where a plain word about name and password is all there is.
pub(super) fn imap(server: &Server) -> Option<Advice> {
    let (username, _) = server.login.as_ref()?;
    let Some(oauth) = oauth(server) else {
        return no_passwords(server);
    };
    Some(match kind(oauth) {
        Kind::MicrosoftApp => advice(
            format!("an application that Exchange lets into the mailbox {username}"),
            format!(
                "the token is good. In Exchange Online PowerShell: New-ServicePrincipal with the object \
                 id of the enterprise application (not of the app registration), and Add-MailboxPermission \
                 -Identity {username} -AccessRights FullAccess for it; new permissions take up to an hour \
                 ({GUIDE})"
            ),
        ),
        Kind::MicrosoftPerson => advice(
            format!("a person who may open the mailbox {username}"),
            format!(
                "the token is good. See whether {username} is the mailbox of whoever signed in, or one \
                 shared with them, and whether IMAP is on for it (Set-CASMailbox -ImapEnabled $true)"
            ),
        ),
        Kind::Google => advice(
            format!("the account {username}, signed in with the scope https://mail.google.com/"),
            "the token is good. See whether `username` is the account that signed in, whether all of \
             the scope was consented to, and whether the administrator allows IMAP",
        ),
        Kind::Other => advice(
            "a server that takes this token",
            "the token endpoint has granted it. See whether `username` is the mailbox's address, and \
             `scope` the one that the server wants",
        ),
    })
}

/// Exchange has let us in, and not into the mailbox.
pub(super) fn not_connected(answer: &str) -> Option<Advice> {
    answer.contains(NOT_CONNECTED).then(|| {
        advice(
            "a mailbox behind the login",
            "see whether `username` is the address of a mailbox that exists and has a licence, whether the \
             application or person may open it, and whether too many connections are open to it",
        )
    })
}

/// SMTP has refused the token.
pub(super) fn smtp(words: &str, server: &Server) -> Advice {
    if let Some(advice) = switched_off(words) {
        return advice;
    }
    let username = server.login.as_ref().map_or("", |(username, _)| username);
    match oauth(server).map(kind) {
        Some(Kind::MicrosoftApp) => advice(
            format!("an application that may send as {username}"),
            format!(
                "the token is good. Grant SMTP.SendAsApp in Entra, and in Exchange Online PowerShell \
                 New-ServicePrincipal and Add-MailboxPermission -Identity {username} for the enterprise \
                 application's object id ({GUIDE})"
            ),
        ),
        Some(Kind::MicrosoftPerson) => advice(
            format!("a person who may send as {username}"),
            format!(
                "the token is good. See whether {username} is whoever signed in and has consented to \
                 SMTP.Send, and whether SMTP AUTH is on for it (Set-CASMailbox \
                 -SmtpClientAuthenticationDisabled $false)"
            ),
        ),
        Some(Kind::Google) => advice(
            format!("the account {username}, signed in with the scope https://mail.google.com/"),
            "the token is good. See whether `username` is the account that signed in",
        ),
        Some(Kind::Other) | None => advice(
            "a server that takes this token",
            "the token endpoint has granted it. See whether `username` and `scope` are right",
        ),
    }
}

/// A password was refused, or would be.
pub(super) fn smtp_password(words: &str, server: &Server) -> Option<Advice> {
    basic_is_off(words, server)
        .or_else(|| switched_off(words))
        .or_else(|| no_passwords(server))
}

/// `550 5.7.30 Basic authentication is not supported for Client Submission`, which Microsoft 365 answers
/// where it takes no password any more.
pub(super) fn basic_is_off(words: &str, server: &Server) -> Option<Advice> {
    let is_off = words.contains(" 5.7.30 ");
    is_off.then(|| no_more_passwords(server))
}

/// <https://learn.microsoft.com/exchange/clients-and-mobile-in-exchange-online/authenticated-client-smtp-submission>
fn switched_off(words: &str) -> Option<Advice> {
    let is_off = words.contains("5.7.139") || words.contains("SmtpClientAuthentication");
    is_off.then(|| {
        advice(
            "a mailbox with SMTP AUTH switched on",
            "switch it on: Set-CASMailbox -Identity MAILBOX -SmtpClientAuthenticationDisabled $false, and \
             for the organization Set-TransportConfig -SmtpClientAuthenticationDisabled $false; security \
             defaults and authentication policies can forbid it as well",
        )
    })
}

/// What to do where the server is one that takes no passwords; `None` for all others.
pub(super) fn no_passwords(server: &Server) -> Option<Advice> {
    let host = server.host.to_ascii_lowercase();
    MICROSOFT
        .contains(&&*host)
        .then(|| no_more_passwords(server))
}

fn no_more_passwords(server: &Server) -> Advice {
    advice(
        format!(
            "access tokens in place of a password, as {} wants them",
            server.host
        ),
        format!(
            "Microsoft 365 has switched passwords off: in place of `password` write oauth = {{ provider = \
             \"microsoft\", … }} ({GUIDE})"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{Config, Outgoing},
        tls::Distrust,
    };

    /// The server of `[mail.smtp]` with these further lines.
    fn server(host: &str, more: &str) -> Server {
        let text = format!(
            "[mail]\nfrom = \"a@b.c\"\nalert_to = [\"a@b.c\"]\n[mail.smtp]\nhost = \"{host}\"\n\
             username = \"ann@b.c\"\n{more}\n"
        );
        match Config::parse(&text, std::path::Path::new("x"))
            .unwrap()
            .outgoing
        {
            Outgoing::Smtp(server) => server,
            other => panic!("{other:?}"),
        }
    }

    const GOOGLE: &str =
        "oauth = { provider = \"google\", client_id = \"c\", refresh_token = { env = \"R\" } }";
    const PERSON: &str =
        "oauth = { provider = \"microsoft\", client_id = \"c\", refresh_token = { env = \"R\" } }";
    const APP: &str = "oauth = { provider = \"microsoft\", tenant = \"b.c\", client_id = \"c\", \
                       client_secret = { env = \"S\" } }";
    const PASSWORD: &str = "password = { env = \"P\" }";

    #[test]
    fn each_provider_has_its_own_remedy() {
        let (google, person, app) = (
            server("smtp.gmail.com", GOOGLE),
            server("smtp.office365.com", PERSON),
            server("smtp.office365.com", APP),
        );
        let of = |cause, server| token(cause, "found", server).to_do;
        assert!(of(Cause::SignIn, &google).contains("7 days"));
        assert!(of(Cause::SignIn, &person).contains("90 days"));
        assert!(of(Cause::Consent, &app).contains("IMAP.AccessAsApp"));
        assert!(of(Cause::Consent, &person).contains("sign in again"));
        assert!(of(Cause::ClientSecret, &app).contains("not its id"));
        assert!(of(Cause::ClientSecretExpired, &app).contains("Certificates & secrets"));
        assert!(of(Cause::Tenant, &app).contains("`tenant`"));
        assert!(of(Cause::Scope, &app).contains("/.default"));
        assert!(of(Cause::Unauthorized, &google).contains("with this `client_id`"));
        assert!(of(Cause::Tls(Distrust::UnknownIssuer), &app).contains("`ca_file` under `oauth`"));
        assert!(token(Cause::Passing, "found", &app).passing);
        assert!(!token(Cause::SignIn, "found", &app).passing);
        let to_do = |advice: Option<Advice>| advice.unwrap().1;
        assert!(to_do(imap(&app)).contains("New-ServicePrincipal"));
        assert!(to_do(imap(&person)).contains("Set-CASMailbox"));
        assert!(to_do(imap(&google)).contains("allows IMAP"));
        assert!(smtp("535 5.7.3 no", &app).1.contains("SMTP.SendAsApp"));
        let off = "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled";
        assert!(smtp(off, &app).1.contains("Set-TransportConfig"));
        assert!(not_connected("BAD User is authenticated but not connected.").is_some());
    }

    #[test]
    fn where_passwords_are_switched_off_the_other_way_is_named() {
        let microsoft = server("outlook.office365.com", PASSWORD);
        assert!(
            imap(&microsoft)
                .unwrap()
                .1
                .contains("provider = \"microsoft\"")
        );
        let own = server("mail.example.com", PASSWORD);
        assert_eq!(imap(&own), None);
        assert_eq!(smtp_password("535 5.7.8 wrong", &own), None);
        let words = "550 5.7.30 Basic authentication is not supported for Client Submission.";
        assert!(smtp_password(words, &own).unwrap().1.contains("oauth"));
        assert_eq!(not_connected("NO [AUTHENTICATIONFAILED] no"), None);
    }
}
