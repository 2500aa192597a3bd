//! `ingest`: the same for messages that the operator names, and the platform's own files.
//!
//! Guarantee: what is reported is recorded, batch by batch; a file that cannot be read keeps no
//! other out and is not recorded in part, and a reader of the report that has seen enough keeps no mail from going out. What
//! waits for a resolver at the end is said by the exit status, and naming it again asks again.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::bail;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use self::report::Report;
use super::{
    Exit,
    dispatch::{daemon_lock, send},
    files::{self, Files, Messages},
    intake, place_of,
};
use crate::{
    clock::Clock,
    config::Config,
    intake::{Intake, Place, Unexplained},
    ledger::Ledger,
    mailbox::{Origin, RawMessage},
    platform,
};

mod report;

/// One transaction takes in at most so many messages …
const BATCH: usize = 100;
/// … and about so many bytes.
const BATCH_BYTES: u64 = 16 * 1024 * 1024;

pub(super) async fn ingest(
    config: &Config,
    paths: &[PathBuf],
    no_mail: bool,
    as_json: bool,
) -> anyhow::Result<Exit> {
    let place = place_of(config, None)?;
    let lists: Vec<Files> = paths
        .iter()
        .map(|path| Files::at(path))
        .collect::<anyhow::Result<_>>()?;
    let ledger = Ledger::open(&config.ledger, Clock::System.now()).await?;
    let mut intake = intake(config, &ledger);
    if no_mail {
        intake.style = None;
    }
    let bar = progress(paths);
    let mut run = Run {
        intake,
        place,
        batch: Vec::new(),
        waiting: Vec::new(),
        unexplained: Unexplained::default(),
        report: Report::new(as_json, bar.clone()),
    };

    // One file that cannot be read must not keep the others out.
    let mut unreadable = Vec::new();
    let max_bytes = config.rules.max_message_bytes;
    let files = lists.into_iter().flatten();
    let inputs = files.flat_map(|file| {
        let inputs = file.and_then(|file| inputs(&file, max_bytes, &bar));
        let (inputs, error) = match inputs {
            Ok(inputs) => (Some(inputs), None),
            Err(error) => (None, Some(Err(error))),
        };
        inputs.into_iter().flatten().chain(error)
    });
    let mut taken = Ok(());
    for input in inputs {
        match input {
            Ok(Input::Message(message)) => taken = run.take(message).await,
            Ok(Input::File(found, file)) => match run.take_file(&found, &file, config).await {
                Ok(true) => {}
                Ok(false) => unreadable.push(format!(
                    "{}: an earlier version passed this file over, at this place; copy it to another \
                     name and ingest that",
                    found.origin.place()
                )),
                Err(error) => taken = Err(error),
            },
            Err(error) => unreadable.push(format!("{error:#}")),
        }
        if taken.is_err() {
            break;
        }
    }
    let taken = match taken {
        Ok(()) => run.flush().await,
        error => error,
    };
    // A daemon asks by itself. Without mail nothing else is settled either: of what came to a
    // mailbox, people are to be told.
    let alone = match (&taken, no_mail) {
        (Ok(()), false) => daemon_lock(config),
        _ => Ok(None),
    };
    let asked = match &alone {
        Ok(Some(_)) => run.ask_again(config).await,
        _ => Ok(()),
    };
    bar.finish_and_clear();
    let Run {
        report, waiting, ..
    } = run;
    let printed = report.end(unreadable.is_empty());
    taken.and(asked)?;
    if let Some(lock) = alone? {
        send(config, &ledger, &lock).await?;
    }
    ledger.close().await;
    if !unreadable.is_empty() {
        bail!("{}", unreadable.join("\n"));
    }
    printed?;
    Ok(match waiting.is_empty() {
        true => Exit::Done,
        false => Exit::TryAgain,
    })
}

/// What is read from a file.
enum Input {
    Message(RawMessage),
    File(RawMessage, platform::File),
}

/// All that is in one file.
fn inputs(
    path: &Path,
    max_bytes: u64,
    bar: &ProgressBar,
) -> anyhow::Result<impl Iterator<Item = anyhow::Result<Input>> + use<>> {
    let (file, messages) = match files::platform_file(path, bar)? {
        Some((found, file)) => (Some(Ok(Input::File(found, file))), None),
        None => (None, Some(Messages::of(path, max_bytes, bar)?)),
    };
    let messages = messages.into_iter().flatten();
    Ok(file
        .into_iter()
        .chain(messages.map(|message| message.map(Input::Message))))
}

/// Messages on their way into the ledger.
struct Run {
    intake: Intake,
    place: Place,
    batch: Vec<RawMessage>,
    /// What of this run a resolver has yet to answer about.
    waiting: Vec<Origin>,
    unexplained: Unexplained,
    report: Report,
}

impl Run {
    async fn take(&mut self, message: RawMessage) -> anyhow::Result<()> {
        self.batch.push(message);
        let bytes: u64 = self.batch.iter().map(|message| message.size).sum();
        if self.batch.len() >= BATCH || bytes >= BATCH_BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    /// Whether it was taken in.
    async fn take_file(
        &mut self,
        found: &RawMessage,
        file: &platform::File,
        config: &Config,
    ) -> anyhow::Result<bool> {
        self.flush().await?;
        let company = |mailbox: Option<&str>| config.place(mailbox).and_then(|place| place.company);
        let now = Clock::System.now();
        let reconciled = self
            .intake
            .take_file(found, file, &mut self.unexplained, company, now)
            .await?;
        if let Some(reconciled) = &reconciled {
            self.report.file(found, file, reconciled);
        }
        Ok(reconciled.is_some())
    }

    async fn flush(&mut self) -> anyhow::Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let now = Clock::System.now();
        let outcomes = self.intake.take(&self.batch, self.place, now).await?;
        self.report.add(self.batch.len(), &outcomes);
        self.batch.clear();
        let waiting = outcomes.into_iter().filter(|one| one.waits_for.is_some());
        self.waiting.extend(waiting.map(|outcome| outcome.origin));
        Ok(())
    }

    /// Asks once about what is due by now, of this run or an earlier one, and reports what there is
    /// an answer to.
    async fn ask_again(&mut self, config: &Config) -> anyhow::Result<()> {
        let place_of = |mailbox: Option<&str>| config.place(mailbox).unwrap_or_default();
        let now = Clock::System.now();
        let mut settled = self.intake.ask_again(place_of, now).await?;
        settled.retain(|outcome| outcome.waits_for.is_none());
        let is_settled = |origin: &Origin| settled.iter().any(|one| one.origin == *origin);
        self.waiting.retain(|origin| !is_settled(origin));
        self.report.settled(&settled);
        Ok(())
    }
}

/// A bar on a terminal, none elsewhere; standard output is left alone. What is looked through
/// twice for it are names and sizes, no content but how files without an extension begin.
fn progress(paths: &[PathBuf]) -> ProgressBar {
    if !io::IsTerminal::is_terminal(&io::stderr()) {
        return ProgressBar::hidden();
    }
    let files = paths.iter().flat_map(|path| Files::at(path)).flatten();
    let sizes = files
        .flatten()
        .map(|file| fs::metadata(file).map_or(0, |found| found.len()));
    let style = ProgressStyle::with_template("[{bar:40}] {bytes} / {total_bytes}");
    let bar = ProgressBar::with_draw_target(Some(sizes.sum()), ProgressDrawTarget::stderr());
    match style {
        Ok(style) => bar.with_style(style.progress_chars("=> ")),
        Err(_) => bar,
    }
}
