//! `export`: the ranges in force as a file that issuing systems load.
//!
//! Guarantee: a file appears under its name only when it is complete, and as a whole; what was there
//! before stays until then. Left out on purpose: withdrawn ranges, which nobody should load.

use std::{
    fs::{self, File, Permissions},
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use jiff::civil::Date;
use serde_json::Value;

use super::{
    Exit, Usage,
    arguments::{ExportEncoding, ExportFormat},
    json,
};
use crate::{
    clock::taipei_midnight,
    config::Config,
    ledger::{AllocationRow, Handing, Ledger},
    notice::{Allocation, Ban, Period},
    platform::{self, Encoding},
};

/// Whoever loads the file is hardly who wrote it; the umask of this program lets nobody else read.
const MODE: u32 = 0o644;

/// What is asked for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) format: ExportFormat,
    pub(super) encoding: Option<ExportEncoding>,
    pub(super) ban: Option<Ban>,
    pub(super) period: Option<Period>,
    pub(super) since: Option<Date>,
    pub(super) output: Option<PathBuf>,
}

pub(super) async fn export(config: &Config, asked: &Asked) -> anyhow::Result<Exit> {
    if asked.encoding.is_some() && asked.format != ExportFormat::Csv {
        return Err(Usage(
            "--encoding is for --format csv: the other forms are UTF-8 always".to_owned(),
        )
        .into());
    }
    let rows = match Ledger::open_for_reading(&config.ledger).await? {
        None => Vec::new(),
        Some(ledger) => {
            let which = Handing {
                ban: asked.ban,
                period: asked.period,
                since: asked.since.map(taipei_midnight),
            };
            let rows = ledger.in_force(which).await?;
            ledger.close().await;
            rows
        }
    };
    let bytes = written(&rows, asked)?;
    match &asked.output {
        None => {
            let mut out = io::stdout().lock();
            out.write_all(&bytes)?;
            out.flush()?;
        }
        Some(path) => put(path, &bytes).with_context(|| format!("write {}", path.display()))?,
    }
    Ok(Exit::Done)
}

fn written(rows: &[AllocationRow], asked: &Asked) -> anyhow::Result<Vec<u8>> {
    let ranges = || -> Vec<Allocation> { rows.iter().map(|row| row.allocation).collect() };
    Ok(match asked.format {
        ExportFormat::Csv => {
            let encoding = match asked.encoding {
                Some(ExportEncoding::Big5) => Encoding::Big5,
                Some(ExportEncoding::Utf8) | None => Encoding::Utf8,
            };
            platform::csv(&ranges(), encoding)
        }
        // MIG knows no envelope with nothing in it.
        ExportFormat::E0501 if rows.is_empty() => {
            bail!("expected at least one range in force to write as E0501, found none")
        }
        ExportFormat::E0501 => platform::e0501(&ranges()),
        ExportFormat::Json => {
            let rows = rows.iter().map(AllocationRow::columns);
            (json::text(&Value::Array(rows.collect())) + "\n").into_bytes()
        }
    })
}

/// Writes beside the file, and puts that in its place; where the name is a link, at its end. A device
/// or a pipe keeps its place: root could put a file there.
fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let real = match fs::metadata(path) {
        Ok(found) if found.is_dir() => None,
        Ok(found) if !found.is_file() => {
            return Err(io::Error::other(
                "expected a file's name, found a device or a pipe; without --output it is written to \
                 standard output",
            ));
        }
        Ok(_) => Some(fs::canonicalize(path)?),
        Err(_) => Some(path.to_owned()),
    };
    let path = real.as_deref().unwrap_or(path);
    let Some(name) = path.file_name().filter(|_| real.is_some()) else {
        return Err(io::Error::other(
            "expected a file's name, found a directory",
        ));
    };
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let name = name.to_string_lossy();
    let unfinished = directory.join(format!(".{name}.{}.unfinished", std::process::id()));
    let written = write(&unfinished, bytes).and_then(|()| fs::rename(&unfinished, path));
    if written.is_err() {
        fs::remove_file(&unfinished).ok();
    }
    written?;
    // The new name is durable only with the directory.
    File::open(directory)?.sync_all()
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.set_permissions(Permissions::from_mode(MODE))?;
    file.write_all(bytes)?;
    file.sync_all()
}
