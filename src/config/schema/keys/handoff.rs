//! `[[handoff]]`.

use super::{PATH, SECRET, Schema, unless};

pub(in crate::config) const HANDOFF: Schema = Schema {
    repeated: true,
    ..Schema::table(
        "handoff",
        "One for each system that is handed the numbers (字軌) by itself, once for each notice that is \
         recorded and for each range that is withdrawn. One of kind `\"webhook\"` has `url`, `secret` \
         and `ca_file`; one of kind `\"directory\"` has `path` and `formats` in their place. Hand-offs \
         need no `[mail]`.",
        &[
            unless(
                "name",
                "letters, digits, `-` and `_`, at most 40",
                "must stand here",
                "A name of your choice; it stands in mails and in what is handed over, and each stands \
                 once. Under another name everything that is to come counts as another system's.",
            ),
            unless(
                "kind",
                "`\"webhook\"` or `\"directory\"`",
                "must stand here",
                "A POST of JSON, signed as [Standard Webhooks](https://www.standardwebhooks.com) has it; \
                 or files in a directory, which another program takes away.",
            ),
            unless(
                "url",
                "https:// address; http:// on this machine only",
                "required for `\"webhook\"`",
                "Where it is posted to. Redirects are not followed.",
            ),
            unless(
                "secret",
                SECRET,
                "required for `\"webhook\"`",
                "Where the key is that signs: `whsec_` and the base64 of 24 to 64 bytes, as the receiving \
                 system gives it, or as `echo whsec_$(openssl rand -base64 32)` makes it. See \
                 [Secrets](#secrets).",
            ),
            unless(
                "ca_file",
                PATH,
                "the system's authorities",
                "As for a mailbox.",
            ),
            unless(
                "path",
                PATH,
                "required for `\"directory\"`",
                "Where the files appear, each under its final name only when it is complete. The \
                 directory must exist, and the service must be allowed to write there: under systemd by \
                 `ReadWritePaths=`.",
            ),
            unless(
                "formats",
                "list of `\"csv\"`, `\"e0501\"` and `\"json\"`, at least one",
                "all three",
                "What is written for each notice: the platform's CSV (字軌檔), MIG E0501 and the JSON of a \
                 webhook. A withdrawal is told in JSON only.",
            ),
            unless(
                "past",
                "`true` or `false`",
                "`false`",
                "Whether it is handed as well what was in the mailbox more than 7 days before the ledger \
                 was created. Old numbers are loaded already, or nobody needs them.",
            ),
        ],
    )
};
