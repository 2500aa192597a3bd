//! Every key of the file: what may be written, what holds without it, what it is for.
//!
//! The documentation is made from this list and the shipped file is held against it; the messages
//! about mistakes take the names from here. Left out on purpose: the checks themselves.

use super::{Fallback, Key, Schema};

mod company;
mod handoff;
mod oauth;

pub(in crate::config) use self::{
    company::COMPANY,
    handoff::HANDOFF,
    oauth::{MAILBOX_OAUTH, SMTP_OAUTH},
};

/// A key that has to be there.
const fn required(name: &'static str, form: &'static str, about: &'static str) -> Key {
    unless(name, form, "required", about)
}

/// A key that stands for `value` when it is left out.
const fn default(
    name: &'static str,
    form: &'static str,
    value: &'static str,
    about: &'static str,
) -> Key {
    Key {
        name,
        form,
        default: Fallback::Value(value),
        about,
    }
}

/// A key of which only words can say what holds without it.
const fn unless(
    name: &'static str,
    form: &'static str,
    words: &'static str,
    about: &'static str,
) -> Key {
    Key {
        name,
        form,
        default: Fallback::Words(words),
        about,
    }
}

const TLS: &str = "`\"implicit\"`, `\"starttls\"` or `\"none\"`";
const SECRET: &str =
    "`{ credential = \"NAME\" }`, `{ file = \"/PATH\" }` or `{ env = \"VARIABLE\" }`";
const PATH: &str = "absolute path";
const TEXT: &str = "text";
const ADDRESSES: &str = "list of addresses";
const SOME_ADDRESSES: &str = "list of addresses, at least one";
const SPELLINGS: &str = "text, or a list of them";

pub(in crate::config) const ROOT: Schema = Schema {
    path: "",
    repeated: false,
    about: "",
    keys: &[
        default(
            "language",
            "`\"zh-TW\"` or `\"en\"`",
            "\"zh-TW\"",
            "The language of mails: 繁體中文 or English.",
        ),
        unless(
            "companies_file",
            "path, absolute or from this file's directory",
            "none",
            "A CSV file with a line for each company, beside `[[company]]` or in its place, for \
             those who look after hundreds; see [The companies file](#the-companies-file).",
        ),
    ],
    tables: &[
        "ledger",
        "notice",
        "authenticity",
        "company",
        "mailbox",
        "mail",
        "handoff",
        "schedule",
        "http",
    ],
    later: &["heartbeat"],
};

pub(in crate::config) const LEDGER: Schema = Schema::table(
    "ledger",
    "Where allocated numbers (配號) are recorded.",
    &[default(
        "url",
        "`\"sqlite://\"` and an absolute path, without `?`, `#` or `%`",
        "\"sqlite:///var/lib/invoice-trackd/ledger.db\"",
        "The SQLite file. One daemon per ledger; the directory must exist.",
    )],
);

pub(in crate::config) const NOTICE: Schema = Schema {
    tables: &["labels"],
    ..Schema::table(
        "notice",
        "What counts as an allocation notice (電子發票配號結果通知).",
        &[
            default(
                "senders",
                SOME_ADDRESSES,
                "[\"einvoice@invoice.nat.gov.tw\", \"einvoice@einvoice.nat.gov.tw\"]",
                "The addresses that notices come from: the platform's older one and today's. A \
                 notice from any other is quarantined as `sender_not_allowed`.",
            ),
            default(
                "recipient_headers",
                "list of header field names",
                "[\"To\", \"Cc\"]",
                "The fields whose addresses tell whose notice it is (see `recipients`). Add \
                 `Delivered-To` and the like only when you know who writes them: most servers \
                 write them on anything that arrives.",
            ),
            default(
                "max_message_bytes",
                "bytes, 4096 to 67108864",
                "1048576",
                "A larger message is quarantined as `oversized` and never downloaded in full.",
            ),
            default(
                "accept_unlisted_companies",
                "`true` or `false`",
                "false",
                "Whether a notice for a company number (統一編號) that has no `[[company]]` is \
                 recorded all the same, instead of quarantined as `unknown_company`.",
            ),
        ],
    )
};

/// The keys are those of `notice::Label`; a test holds the two together.
pub(in crate::config) const LABELS: Schema = Schema::table(
    "notice.labels",
    "Further spellings of the notice's labels, without the colon, should the platform change them. \
     The known spellings keep counting. A spelling may stand for one label only.",
    &[
        unless("invoice_track", SPELLINGS, "none", "Besides 字軌名稱."),
        unless("year_month", SPELLINGS, "none", "Besides 發票期別."),
        unless("invoice_type", SPELLINGS, "none", "Besides 發票類別."),
        unless("requested_booklets", SPELLINGS, "none", "Besides 申請本數."),
        unless("added_booklets", SPELLINGS, "none", "Besides 增加本數."),
        unless("invoice_begin_no", SPELLINGS, "none", "Besides 發票起號."),
        unless(
            "invoice_end_no",
            SPELLINGS,
            "none",
            "Besides 發票迄號 and 發票訖號.",
        ),
    ],
);

pub(in crate::config) const AUTHENTICITY: Schema = Schema::table(
    "authenticity",
    "What proves that a mail is the platform's own.",
    &[
        default(
            "require",
            "`\"dkim\"`, `\"authentication-results\"`, `\"either\"` or `\"none\"`",
            "\"dkim\"",
            "A DKIM signature that is verified here when the mail comes; the receiving server's word \
             (Authentication-Results); one of the two; or nothing, and From is believed. \
             `\"either\"` without `trusted_authserv_ids` is DKIM alone, but for mailboxes with \
             `results = \"microsoft\"`. `check --online` says what the mail in your mailboxes carries.",
        ),
        default(
            "domains",
            "list of domain names",
            "[\"invoice.nat.gov.tw\", \"einvoice.nat.gov.tw\"]",
            "The domains that may sign (DKIM's `d=`). Each counts by itself, not what is below it.",
        ),
        default(
            "trusted_authserv_ids",
            "list of authserv-ids (RFC 8601)",
            "[]",
            "The servers whose Authentication-Results are believed: your own, by the name that stands \
             first in the field, such as `\"mx.google.com\"` at Gmail. Compared whole, whatever the \
             case. Name only a server that writes the field into every mail it takes in; not asked \
             where `results` is `\"microsoft\"`. \
             [More](operations.md#believing-the-mail-servers-word).",
        ),
        default(
            "dns_servers",
            "list of addresses, each with or without a port",
            "[]",
            "Resolvers to ask for keys in place of the system's.",
        ),
    ],
);

pub(in crate::config) const MAILBOX: Schema = Schema {
    repeated: true,
    tables: &["oauth"],
    ..Schema::table(
        "mailbox",
        "One for each folder to watch. A mailbox of kind `\"imap\"` has `host` to `folder` and \
         `after_import`; one of kind `\"maildir\"` has `path` in their place.",
        &[
            required(
                "name",
                TEXT,
                "A name of your choice; it stands in logs and mails, and each stands once. It \
                 belongs to one place: when the server, the user or the folder changes, give a new \
                 name.",
            ),
            required(
                "kind",
                "`\"imap\"` or `\"maildir\"`",
                "A folder on an IMAP server, or a local Maildir.",
            ),
            unless(
                "host",
                "host name or IP address, without a port",
                "required for `\"imap\"`",
                "The server; its certificate must be for this name.",
            ),
            default(
                "port",
                "1 to 65535",
                "993",
                "The default with `tls = \"implicit\"`; otherwise it is 143.",
            ),
            default(
                "tls",
                TLS,
                "\"implicit\"",
                "TLS from the first byte, after STARTTLS, or none at all, which only a server on \
                 this machine (localhost) may be spoken to with.",
            ),
            unless(
                "ca_file",
                PATH,
                "the system's authorities",
                "The certificate authority of a private server, PEM. With it, no other authority \
                 counts.",
            ),
            unless(
                "username",
                TEXT,
                "required for `\"imap\"`",
                "The name to log in with.",
            ),
            unless(
                "password",
                SECRET,
                "required for `\"imap\"`, or `oauth`",
                "Where the password is; see [Secrets](#secrets).",
            ),
            default(
                "folder",
                TEXT,
                "\"INBOX\"",
                "The folder to watch, as people see its name.",
            ),
            unless(
                "path",
                PATH,
                "required for `\"maildir\"`",
                "The directory that holds `new` and `cur`.",
            ),
            unless(
                "company",
                "8 digits in quotes",
                "none",
                "Whose notices these are when the mail itself does not say. It counts only for a \
                 company without `recipients`, and the import carries the warning \
                 `company_assumed`.",
            ),
            default(
                "results",
                "`\"top\"`, `\"google\"` or `\"microsoft\"`",
                "\"top\"",
                "Which Authentication-Results field of its mail is believed, where `[authenticity]` \
                 believes any: `\"top\"`, the topmost, when it stands above every Received; \
                 `\"google\"`, the topmost wherever it stands, for Gmail and Google Workspace, which \
                 write it below Received fields of their own; `\"microsoft\"`, the topmost, which \
                 must name no server, as Microsoft 365 writes it. The last two are safe only where \
                 nothing reaches the mailbox but through that provider. \
                 [More](operations.md#believing-the-mail-servers-word).",
            ),
            unless(
                "since",
                "a day such as `\"2026-01-01\"`",
                "1 January of the year in which the ledger was created",
                "The first scan looks no further back.",
            ),
            unless(
                "after_import",
                "`\"mark_seen\"` or `{ move_to = \"FOLDER\" }`",
                "nothing: the folder is opened read-only",
                "What is done on the server with a mail once its ranges are recorded (`imported` \
                 and `duplicate`). Quarantined mail stays where it is. What was recorded before \
                 this was switched on is filed as well. The folder to move to must exist.",
            ),
        ],
    )
};

/// `after_import = { … }`, which is written inline and so is no table of its own.
pub(in crate::config) const AFTER_IMPORT: Schema = Schema::table(
    "mailbox.after_import",
    "",
    &[required(
        "move_to",
        TEXT,
        "The folder to move recorded notices to.",
    )],
);

pub(in crate::config) const MAIL: Schema = Schema {
    tables: &["smtp"],
    ..Schema::table(
        "mail",
        "Who is told. Without this table nobody is.",
        &[
            required(
                "from",
                "`\"NAME <ADDRESS>\"` or an address",
                "The sender of our mails. Its domain also stands in their Message-IDs.",
            ),
            default(
                "confirm_to",
                ADDRESSES,
                "[]",
                "Who gets a confirmation of each recorded notice.",
            ),
            required(
                "alert_to",
                SOME_ADDRESSES,
                "Who gets alerts: quarantined notices, numbers that are overdue, mailboxes that do \
                 not answer, mail that could not be delivered; and the reminder of `[schedule]`.",
            ),
            default(
                "transport",
                "`\"smtp\"` or `\"directory\"`",
                "\"smtp\"",
                "Through a mail server, or as one .eml file a mail into `directory`, for trials.",
            ),
            unless(
                "directory",
                PATH,
                "required for `\"directory\"`",
                "Where the files go; it is made where it is missing.",
            ),
            default(
                "give_up_after",
                "a length of time, `\"1m\"` to `\"30d\"`",
                "\"3d\"",
                "A mail that cannot be delivered is given up after this and at least ten attempts, \
                 and an alert says so. Alerts are never given up.",
            ),
            default(
                "alert_window",
                "a length of time, `\"0s\"` to `\"6h\"`",
                "\"5m\"",
                "The first alert goes at once; those that follow within this go together in one \
                 mail. While the same cause goes on, its window doubles up to 6 hours.",
            ),
            default(
                "confirm",
                "`\"each\"` or `\"digest\"`",
                "\"each\"",
                "One mail for each recorded notice; or one mail with a table and one CSV for all \
                 notices of a `confirm_window`, for those who get thousands on the 20th.",
            ),
            default(
                "confirm_window",
                "a length of time, `\"0s\"` to `\"1d\"`",
                "\"1h\"",
                "How long the first notice of a digest waits for others.",
            ),
        ],
    )
};

pub(in crate::config) const SMTP: Schema = Schema {
    tables: &["oauth"],
    ..Schema::table(
        "mail.smtp",
        "The server that takes our mail. `transport = \"smtp\"` needs it.",
        &[
            required(
                "host",
                "host name or IP address, without a port",
                "The server; its certificate must be for this name.",
            ),
            default(
                "port",
                "1 to 65535",
                "465",
                "The default with `tls = \"implicit\"`; it is 587 with `\"starttls\"` and 25 with \
             `\"none\"`.",
            ),
            default("tls", TLS, "\"implicit\"", "As for a mailbox."),
            unless(
                "ca_file",
                PATH,
                "the system's authorities",
                "As for a mailbox.",
            ),
            unless(
                "username",
                TEXT,
                "no login",
                "The name to log in with; `username` and `password` (or `oauth`) stand together or not \
             at all.",
            ),
            unless(
                "password",
                SECRET,
                "no login",
                "Where the password is; see [Secrets](#secrets). Or `oauth` in its place.",
            ),
            default(
                "max_per_minute",
                "0 to 10000",
                "0",
                "No more mails than this are attempted in any minute, for providers that limit them; 0 \
             means no limit. Alerts go first, and a mail that was put off is tried again after a minute at \
             the earliest.",
            ),
        ],
    )
};

pub(in crate::config) const SCHEDULE: Schema = Schema::table(
    "schedule",
    "When numbers are due (Asia/Taipei).",
    &[
        default(
            "due_day",
            "20 to 28",
            "25",
            "A notice that has not come by the end of this day of an even month (年配: of December) \
             is overdue: `alert_to` is told on the next morning, on the last day before the numbers \
             are needed and on the first day on which they are, and again when they have come.",
        ),
        default(
            "reminder_day",
            "1 to 19",
            "15",
            "On this day of an even month `alert_to` is reminded that the number of booklets (本數) \
             for the next period can be changed before the 20th, unless its numbers are there \
             already. 期配 only.",
        ),
    ],
);

pub(in crate::config) const HTTP: Schema = Schema {
    later: &["token"],
    ..Schema::table(
        "http",
        "Health for probes: `/healthz` and `/readyz`. Without this table nothing listens.",
        &[default(
            "listen",
            "address and port, of this machine only",
            "\"127.0.0.1:8970\"",
            "Where to listen. Any other address than 127.0.0.0/8 and [::1] is refused.",
        )],
    )
};

/// All tables, in the order of the documentation.
pub(super) const ALL: &[&Schema] = &[
    &ROOT,
    &LEDGER,
    &NOTICE,
    &LABELS,
    &AUTHENTICITY,
    &COMPANY,
    &MAILBOX,
    &MAILBOX_OAUTH,
    &MAIL,
    &SMTP,
    &SMTP_OAUTH,
    &HANDOFF,
    &SCHEDULE,
    &HTTP,
];
