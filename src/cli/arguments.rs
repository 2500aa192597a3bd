//! What can be said on the command line; the words are a contract with scripts.
//!
//! Left out on purpose: what follows from it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::civil::Date;

use crate::{
    config::DEFAULT_PATH,
    notice::{Ban, DefectCode, Period},
};

/// Watches mailboxes for e-invoice number-allocation notices (電子發票配號結果通知) and keeps a
/// ledger of the allocated ranges.
#[derive(Debug, Parser)]
#[command(name = "invoice-trackd", version, max_term_width = 100)]
pub(super) struct Arguments {
    /// The configuration file
    #[arg(long, global = true, value_name = "FILE", default_value = DEFAULT_PATH)]
    pub(super) config: PathBuf,

    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the daemon: watch the mailboxes, record, send mail
    Run,
    /// Validate the configuration; without --online it reads no secret and uses no network
    Check {
        /// Log in to every mailbox, open its folder and talk to the mail server
        #[arg(long)]
        online: bool,
    },
    /// Judge one message exactly as `run` would, write nothing, and say why, rule by rule
    Explain {
        /// The mailbox in which the message is taken to have been found; defaults to the only one
        #[arg(long, value_name = "NAME")]
        mailbox: Option<String>,
        /// The message, a file; `-` reads it from standard input
        #[arg(value_name = "FILE|-")]
        file: PathBuf,
        /// One JSON object instead of a checklist
        #[arg(long)]
        json: bool,
    },
    /// Judge and record messages from files, mbox files, directories and Maildirs, and the platform's
    /// CSV and E0501 files
    Ingest {
        /// Record without sending any mail, for backfills
        #[arg(long)]
        no_mail: bool,
        /// A JSON array with one object a message, or a file of the platform's
        #[arg(long)]
        json: bool,
        /// A message, an mbox, a Maildir, an invnoapply*.csv, an E0501 XML, or a directory of these
        #[arg(value_name = "PATH", required = true)]
        paths: Vec<PathBuf>,
    },
    /// Show the recorded ranges, or withdraw one
    #[command(args_conflicts_with_subcommands = true)]
    Allocations {
        #[command(subcommand)]
        action: Option<AllocationsAction>,
        /// Only this company's (統一編號)
        #[arg(long, value_name = "BAN")]
        ban: Option<Ban>,
        /// Only this period's, as 5 digits: ROC year and even month, e.g. 11512
        #[arg(long, value_name = "YYYMM")]
        year_month: Option<Period>,
        /// A JSON array with the columns of table `allocation`, and `handoffs` where it was handed over
        #[arg(long)]
        json: bool,
    },
    /// Write the ranges in force as a file that issuing systems load
    Export {
        /// The platform's own CSV, MIG E0501 in its envelope, or a JSON array
        #[arg(long, value_enum)]
        format: ExportFormat,
        /// Of the CSV; UTF-8 (with BOM) unless said otherwise
        #[arg(long, value_enum)]
        encoding: Option<ExportEncoding>,
        /// Only this company's (統一編號)
        #[arg(long, value_name = "BAN")]
        ban: Option<Ban>,
        /// Only this period's, as 5 digits: ROC year and even month, e.g. 11512
        #[arg(long, value_name = "YYYMM")]
        year_month: Option<Period>,
        /// Only what was recorded on this day or later, e.g. 2026-12-20 (UTC+8)
        #[arg(long, value_name = "DAY")]
        since: Option<Date>,
        /// A file that appears when it is complete; standard output unless given
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Decide about mails that wait for a person
    Quarantine {
        #[command(subcommand)]
        action: QuarantineAction,
    },
    /// Mails and hand-offs that must go out: list, retry, drop
    Outbox {
        #[command(subcommand)]
        action: OutboxAction,
    },
    /// Show mailboxes, messages, mails and hand-offs, what waits for a person and what is due
    Status {
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Try it: a scratch directory, three mails, the real daemon; needs no configuration
    Demo,
}

/// The forms of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ExportFormat {
    Csv,
    E0501,
    Json,
}

/// The encodings of a CSV.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ExportEncoding {
    #[value(name = "utf-8")]
    Utf8,
    Big5,
}

#[derive(Debug, Subcommand)]
pub(super) enum AllocationsAction {
    /// Take a wrong or cancelled record out of use; people are told
    Withdraw {
        /// `id` in the list
        id: i64,
        /// Why, for those who ask later
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum QuarantineAction {
    /// What waits, oldest first
    List {
        /// A JSON array
        #[arg(long)]
        json: bool,
    },
    /// One mail: what is wrong with it, what proves it, what was decided
    Show {
        /// `id` in the list
        id: i64,
        /// One JSON object
        #[arg(long)]
        json: bool,
        /// The mail itself, as far as it is kept
        #[arg(long, conflicts_with = "json")]
        raw: bool,
    },
    /// Judge again, overrule what a person may overrule, and record
    Release {
        #[command(flatten)]
        which: Which,
        /// Whose numbers they are, where the mail does not say (統一編號)
        #[arg(long, value_name = "BAN")]
        ban: Option<Ban>,
        /// Why, for those who ask later
        #[arg(long, value_name = "TEXT", required_unless_present = "dry_run")]
        reason: Option<String>,
    },
    /// Put aside: nothing of it is recorded, and its bytes go after 90 days
    Dismiss {
        #[command(flatten)]
        which: Which,
        /// Why, for those who ask later
        #[arg(long, value_name = "TEXT", required_unless_present = "dry_run")]
        reason: Option<String>,
    },
}

/// One mail, or all with a defect.
#[derive(Debug, Args)]
pub(super) struct Which {
    /// `id` in the list
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub(super) id: Option<i64>,
    /// All that wait because of --code
    #[arg(long, requires = "code")]
    pub(super) all: bool,
    /// The defect, e.g. period_too_far
    #[arg(long, requires = "all", value_name = "CODE")]
    pub(super) code: Option<DefectCode>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub(super) dry_run: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum OutboxAction {
    /// What waits or failed, and the latest that went out
    List {
        /// All that ever went out as well
        #[arg(long)]
        all: bool,
        /// A JSON array, with all that ever went out
        #[arg(long)]
        json: bool,
    },
    /// Try again now, with new patience
    Retry {
        /// `id` in the list
        id: i64,
    },
    /// Try no more
    Drop {
        /// `id` in the list
        id: i64,
    },
}
