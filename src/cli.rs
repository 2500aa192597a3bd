//! The commands. The only room that prints: data to stdout, logs to stderr.
//!
//! Guarantee: every end of the program has one of the documented exit statuses, and a failure one
//! sentence on stderr that says what was expected, what was found and what to do.

use std::{
    fs::File,
    io::{self, Write as _},
    os::{fd::AsFd as _, unix::fs::MetadataExt as _},
    process::ExitCode,
    sync::Arc,
};

use clap::Parser as _;
use tokio::runtime::Runtime;
use tracing_subscriber::{EnvFilter, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use self::arguments::{AllocationsAction, Arguments, Command};
use crate::{
    authenticity::Verifier,
    config::{Config, ConfigError},
    daemon::DaemonError,
    intake::{Intake, Place},
    ledger::{Ledger, LedgerError},
    stranger,
};

mod allocations;
mod arguments;
mod check;
mod demo;
mod dispatch;
mod due;
mod explain;
mod export;
mod files;
mod handoffs;
mod ingest;
mod json;
mod outbox;
mod person;
mod proof;
mod quarantine;
mod run;
mod sealed;
mod status;
mod table;

/// How a command ends. The numbers are those of sysexits(3) where it has one.
#[derive(Debug)]
enum Exit {
    /// 0: done.
    Done,
    /// 65: the message is quarantined (`explain`).
    Quarantined,
    /// 75: try again.
    TryAgain,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => Self::SUCCESS,
            Exit::Quarantined => Self::from(65),
            Exit::TryAgain => Self::from(75),
        }
    }
}

/// The program: arguments → command → exit status.
pub fn main() -> ExitCode {
    // Before anything is read: what is read may be a secret.
    if let Err(error) = sealed::seal() {
        writeln!(
            io::stderr(),
            "invoice-trackd: switch core dumps off: {error}"
        )
        .ok();
        return ExitCode::FAILURE;
    }
    // clap itself ends with status 2 on wrong usage.
    let arguments = Arguments::parse();
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| run_to_the_end(runtime, execute(arguments)));
    match outcome {
        Ok(exit) => exit.into(),
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do when stderr itself is gone.
            let words = sentence(&error);
            writeln!(io::stderr(), "invoice-trackd: {}", stranger::lines(&words)).ok();
            ExitCode::from(status(&error))
        }
    }
}

/// The command's outcome. A thread that is stuck in the system (a name that does not resolve, a
/// file on a dead file server) is not waited for: what counts has been committed by now.
fn run_to_the_end<T>(runtime: Runtime, command: impl Future<Output = T>) -> T {
    let outcome = runtime.block_on(command);
    runtime.shutdown_background();
    outcome
}

/// What happened and why; a cause that was quoted already is not said twice.
fn sentence(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |text, cause| {
        let cause = cause.to_string();
        if text.is_empty() {
            cause
        } else if text.ends_with(&cause) {
            text
        } else {
            format!("{text}: {cause}")
        }
    })
}

async fn execute(arguments: Arguments) -> anyhow::Result<Exit> {
    let load = || Config::load(&arguments.config);
    match arguments.command {
        Command::Run => {
            log(Level::Daemon);
            run::run(load()?).await
        }
        Command::Check { online } => check::check(&load()?, online).await,
        Command::Explain {
            mailbox,
            file,
            json,
        } => {
            log(Level::Command);
            explain::explain(&load()?, mailbox.as_deref(), &file, json).await
        }
        Command::Ingest {
            no_mail,
            json,
            paths,
        } => {
            log(Level::Ingest);
            ingest::ingest(&load()?, &paths, no_mail, json).await
        }
        Command::Allocations {
            action: Some(AllocationsAction::Withdraw { id, reason }),
            ..
        } => allocations::withdraw(&load()?, id, &reason).await,
        Command::Allocations {
            action: None,
            ban,
            year_month,
            json,
        } => allocations::allocations(&load()?, ban, year_month, json).await,
        Command::Export {
            format,
            encoding,
            ban,
            year_month,
            since,
            output,
        } => {
            let asked = export::Asked {
                format,
                encoding,
                ban,
                period: year_month,
                since,
                output,
            };
            export::export(&load()?, &asked).await
        }
        Command::Quarantine { action } => quarantine::quarantine(&load()?, action).await,
        Command::Outbox { action } => outbox::outbox(&load()?, action).await,
        Command::Status { json } => status::status(&load()?, json).await,
        Command::Demo => {
            // It tells its own story.
            log(Level::Off);
            demo::demo().await
        }
    }
}

/// The exit status that tells a supervisor what to do next.
fn status(error: &anyhow::Error) -> u8 {
    let ledger = |error: &LedgerError| match error {
        LedgerError::Moved { .. } | LedgerError::Newer { .. } | LedgerError::NotALedger { .. } => {
            78
        }
        error if error.is_temporary() => 75,
        _ => 1,
    };
    if error.is::<Usage>() {
        2
    } else if error.is::<ConfigError>() || error.is::<Misconfigured>() {
        78
    } else if error.is::<NotNow>() {
        75
    } else if let Some(error) = error.downcast_ref::<LedgerError>() {
        ledger(error)
    } else {
        match error.downcast_ref::<DaemonError>() {
            Some(DaemonError::Configuration(_)) => 78,
            Some(DaemonError::Ledger(error)) => ledger(error),
            Some(
                DaemonError::Ended(_)
                | DaemonError::Listen(..)
                | DaemonError::Watchdog(_)
                | DaemonError::Http(_),
            )
            | None => 1,
        }
    }
}

/// Arguments that no command can be made of: exit status 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

/// What the configuration lacks for this command: exit status 78.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Misconfigured(String);

/// What may pass by itself: exit status 75.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NotNow(String);

/// The judge and recorder that the configuration describes.
fn intake(config: &Config, ledger: &Ledger) -> Intake {
    Intake {
        ledger: ledger.clone(),
        rules: config.rules.clone(),
        verifier: Arc::new(Verifier::new(config.authenticity.clone())),
        style: Some(config.style.clone()),
    }
}

/// As [`Config::place`].
fn place_of(config: &Config, name: Option<&str>) -> Result<Place, Usage> {
    config.place(name).ok_or_else(|| {
        let names: Vec<&str> = config.mailboxes.iter().map(|m| m.name.as_str()).collect();
        Usage(format!(
            "--mailbox: expected one of the configured mailboxes ({}), found `{}`",
            names.join(", "),
            name.unwrap_or_default()
        ))
    })
}

/// What is logged unless `$RUST_LOG` says otherwise.
#[derive(Debug, Clone, Copy)]
enum Level {
    Daemon,
    Command,
    /// What its report says of each message, its log need not.
    Ingest,
    Off,
}

impl Level {
    /// Ours alone: what a library says of what passes through it is its own judgement.
    fn filter(self) -> &'static str {
        match self {
            Self::Daemon => "invoice_trackd=info",
            Self::Command => "invoice_trackd=warn",
            Self::Ingest => "invoice_trackd=warn,invoice_trackd::intake=off",
            Self::Off => "off",
        }
    }
}

/// Logs as sentences with fields: to the journal where that is what stderr leads to
/// (systemd.exec(5), `$JOURNAL_STREAM`), otherwise to stderr. `default` lets nobody but us speak:
/// what a stranger's name server answers is no news;
/// `$RUST_LOG` replaces it. `log` records are not taken in, whatever that says: async-imap writes
/// commands there, LOGIN among them (and deny.toml keeps out the crate that would take them in).
fn log(default: Level) {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default.filter()));
    let journal = leads_to_journal()
        .then(tracing_journald::layer)
        .and_then(Result::ok)
        .map(|journal| journal.with_field_prefix(Some(JOURNAL_PREFIX.to_owned())));
    let stderr = journal.is_none().then(|| {
        tracing_subscriber::fmt::layer()
            .with_writer(io::stderr)
            .with_target(false)
            .with_ansi(table::takes_colour(&io::stderr()))
    });
    // A second call, as in tests of several commands in one process, changes nothing.
    tracing_subscriber::registry()
        .with(filter)
        .with(journal)
        .with(stderr)
        .try_init()
        .ok();
}

/// Before the name of each field in the journal: `mailbox.name` becomes
/// `INVOICE_TRACKD_MAILBOX_NAME`.
const JOURNAL_PREFIX: &str = "INVOICE_TRACKD";

/// Whether stderr is the very stream that systemd gave us to the journal.
fn leads_to_journal() -> bool {
    let stream = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    let stderr = io::stderr().as_fd().try_clone_to_owned().map(File::from);
    let metadata = stderr.and_then(|stderr| stderr.metadata());
    metadata.is_ok_and(|found| stream == format!("{}:{}", found.dev(), found.ino()))
}

/// Writes a command's data.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

fn print_json(value: &serde_json::Value) -> anyhow::Result<()> {
    print(&json::text(value))?;
    print("\n")
}

/// `invoice-trackd … | head` is no failure.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_hold_together() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn nobody_else_is_heard_unless_asked_for() {
        let heard = |filter: &str| {
            let log = Arc::<std::sync::Mutex<Vec<u8>>>::default();
            let to = Arc::clone(&log);
            let layer = tracing_subscriber::fmt::layer().with_writer(move || Shared(to.clone()));
            let subscriber = tracing_subscriber::registry()
                .with(EnvFilter::new(filter))
                .with(layer.with_ansi(false));
            tracing::subscriber::with_default(subscriber, || {
                tracing::info!(target: "invoice_trackd::daemon", "ours");
                tracing::error!(target: "some_library", "theirs");
            });
            String::from_utf8(log.lock().unwrap().clone()).unwrap()
        };
        let daemon = heard(Level::Daemon.filter());
        assert!(
            daemon.contains("ours") && !daemon.contains("theirs"),
            "{daemon}"
        );
        for quiet in [Level::Command, Level::Ingest, Level::Off] {
            assert_eq!(heard(quiet.filter()), "");
        }
        assert!(heard("trace").contains("theirs"));
    }

    struct Shared(Arc<std::sync::Mutex<Vec<u8>>>);

    impl io::Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_thread_that_is_stuck_does_not_keep_the_program_from_ending() {
        let runtime = Runtime::new().unwrap();
        let began = std::time::Instant::now();
        run_to_the_end(runtime, async {
            tokio::task::spawn_blocking(|| {
                std::thread::sleep(std::time::Duration::from_secs(30));
            });
        });
        assert!(began.elapsed() < std::time::Duration::from_secs(10));
    }

    #[test]
    fn a_cause_is_said_once() {
        let cause = || io::Error::from(io::ErrorKind::NotFound);
        let file = "/x".into();
        let error = anyhow::Error::from(ConfigError::Unreadable {
            file,
            source: cause(),
        });
        let expected = format!("read the configuration /x: {}", cause());
        assert_eq!(sentence(&error), expected);
        assert_eq!(
            sentence(&error.context("check")),
            format!("check: {expected}")
        );
    }

    #[test]
    fn a_closed_pipe_is_told_from_other_trouble() {
        let pipe = anyhow::Error::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(is_closed_pipe(&pipe));
        assert!(!is_closed_pipe(
            &io::Error::from(io::ErrorKind::NotFound).into()
        ));
    }
}
