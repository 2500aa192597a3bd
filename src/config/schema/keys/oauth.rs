//! The keys of `oauth`, which a mailbox and `[mail.smtp]` have in common.

use super::{Key, PATH, SECRET, Schema, TEXT, unless};

const OAUTH_KEYS: &[Key] = &[
    unless(
        "provider",
        "`\"google\"` or `\"microsoft\"`",
        "`token_endpoint` and `scope` are given",
        "Whose presets for `token_endpoint` and `scope` hold.",
    ),
    unless(
        "tenant",
        "directory (tenant) id, or a domain of the tenant's",
        "`common`, where there is a `refresh_token`",
        "Whose users they are; with `provider = \"microsoft\"` only.",
    ),
    unless(
        "client_id",
        TEXT,
        "must stand here",
        "The application's id, as registered with the provider.",
    ),
    unless(
        "client_secret",
        SECRET,
        "none, as public applications have none",
        "Where the application's secret is. Without a `refresh_token` it is required: the \
         application acts for itself (client credentials), which Google does not offer for mail.",
    ),
    unless(
        "refresh_token",
        SECRET,
        "the application acts for itself",
        "Where the refresh token is that a person got by signing in once. One that the provider \
         replaces is kept in `$STATE_DIRECTORY`, or beside the ledger.",
    ),
    unless(
        "scope",
        "words with blanks between them",
        "the provider's for this protocol",
        "What the tokens are for.",
    ),
    unless(
        "token_endpoint",
        "https:// address; http:// on this machine only",
        "the provider's",
        "Who gives access tokens.",
    ),
    unless(
        "ca_file",
        PATH,
        "the system's authorities",
        "The certificate authority of a private token endpoint, PEM.",
    ),
];

pub(in crate::config) const MAILBOX_OAUTH: Schema = Schema::table(
    "mailbox.oauth",
    "In place of `password`: the login is by access tokens (XOAUTH2); see [Signing in without a \
     password](oauth.md). As a table below its `[[mailbox]]`, or as `oauth = { … }` in it.",
    OAUTH_KEYS,
);

pub(in crate::config) const SMTP_OAUTH: Schema = Schema::table(
    "mail.smtp.oauth",
    "In place of `password`, as for a mailbox.",
    OAUTH_KEYS,
);
