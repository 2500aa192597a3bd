//! Letters as files, one .eml each, for trials.
//!
//! Guarantee: a file appears under its final name only when it is complete, and a letter that is
//! written again replaces itself, so that there is exactly one file a letter. Left out on
//! purpose: a file a recipient; the envelope is the To field.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
    time::Duration,
};

use tokio::time::timeout;

use super::{Attempt, Obstacle, ObstacleKind, Unreachable};
use crate::ledger::Letter;

pub(super) async fn send(
    directory: &Path,
    letter: &Letter,
    within: Duration,
) -> Result<Attempt, Unreachable> {
    let name = letter.message_id.trim_start_matches('<');
    let name = name.split_once('@').map_or("", |(local, _)| local);
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.') {
        return Err(Unreachable(format!(
            "expected a Message-ID of ours to name the file, found {}",
            letter.message_id
        )));
    }
    let (place, name, eml) = (directory.to_owned(), name.to_owned(), letter.eml.clone());
    let writing = tokio::task::spawn_blocking(move || write(&place, &name, &eml));
    // A file system that hangs keeps its thread, but not the dispatcher.
    let written = timeout(within, writing).await.map_err(io::Error::from);
    let written = written.and_then(|finished| finished.map_err(io::Error::from));
    match written.flatten() {
        Ok(()) => Ok(Attempt {
            accepted: letter.recipients.iter().cloned().collect(),
            ..Attempt::default()
        }),
        Err(error) => Err(Unreachable(format!(
            "write mail to {}: {error}",
            directory.display()
        ))),
    }
}

/// Whether letters could be written; makes no directory, for it would belong to whoever asks.
pub(super) async fn probe(directory: &Path, within: Duration) -> Result<(), Obstacle> {
    let place = directory.to_owned();
    let trying = tokio::task::spawn_blocking(move || {
        let existing = place.ancestors().find(|place| place.exists());
        let existing = existing.ok_or(io::ErrorKind::NotFound)?;
        let file = existing.join(format!(".invoice-trackd-check.{}", std::process::id()));
        File::create_new(&file)?;
        fs::remove_file(file)
    });
    let tried = timeout(within, trying).await.map_err(io::Error::from);
    let tried = tried.and_then(|finished| finished.map_err(io::Error::from));
    tried.flatten().map_err(|error| Obstacle {
        words: format!("write to {}: {error}", directory.display()),
        kind: ObstacleKind::Directory,
    })
}

fn write(directory: &Path, name: &str, eml: &[u8]) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let unfinished = directory.join(format!(".{name}.unfinished"));
    let mut file = File::create(&unfinished)?;
    file.write_all(eml)?;
    file.sync_all()?;
    fs::rename(&unfinished, directory.join(format!("{name}.eml")))?;
    // The new name is durable only with the directory.
    File::open(directory)?.sync_all()
}
