//! State files: checkpoints of the engine on disk.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use api_abuse_engine::Engine;
use api_abuse_engine::checkpoint::{self, Summary};
use api_abuse_engine::hash::Seed;

use crate::Failure;

/// A checkpoint that was read.
pub(crate) struct State {
    file: PathBuf,
    bytes: Vec<u8>,
    summary: Summary,
}

impl State {
    /// The file that a path means: itself, or the checkpoint in the directory that it is, or is to be
    /// when it ends with a slash.
    pub(crate) fn file(path: &Path) -> PathBuf {
        let is_directory = path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/");
        if is_directory { path.join(checkpoint::FILE_NAME) } else { path.to_owned() }
    }

    /// Reads a checkpoint, and refuses what is none.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let file = Self::file(path);
        let refuse =
            |error: &dyn std::fmt::Display| Failure::Input(format!("{}: {error}", file.display()));
        let bytes = fs::read(&file).map_err(|error| refuse(&error))?;
        let summary = checkpoint::inspect(&bytes).map_err(|error| refuse(&error))?;
        Ok(Self { file, bytes, summary })
    }

    /// The seed that an engine must have to load it.
    pub(crate) fn seed(&self) -> Seed {
        self.summary.seed
    }

    /// Loads it as of the moment that it was written: logs bring a time of their own.
    pub(crate) fn load(&self, engine: &mut Engine<'_>) -> Result<(), Failure> {
        let wall_ms = self.summary.wall_ms;
        let loaded = engine.load(&self.bytes, wall_ms, wall_ms);
        let loaded =
            loaded.map_err(|error| Failure::Input(format!("{}: {error}", self.file.display())))?;
        for note in loaded.notes {
            eprintln!("api-abuse: {}: {note}", self.file.display());
        }
        Ok(())
    }

    /// Writes what the engine knows beside `path`, and puts it in its place when it is complete.
    /// The engine's clock is that of logs: milliseconds since the epoch. Returns the bytes written.
    pub(crate) fn write(path: &Path, engine: &Engine<'_>, now_ms: u64) -> Result<u64, Failure> {
        let file = Self::file(path);
        let mut name = file.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let aside = file.with_file_name(name);
        let directory = file.parent().filter(|directory| !directory.as_os_str().is_empty());
        let made = directory.map_or(Ok(()), fs::create_dir_all);
        let written = made.and_then(|()| write_to(&aside, engine, now_ms)).and_then(|bytes| {
            fs::rename(&aside, &file)?;
            Ok(bytes)
        });
        written.map_err(|error| {
            let _ = fs::remove_file(&aside);
            Failure::Input(format!("{}: {error}", file.display()))
        })
    }
}

fn write_to(path: &Path, engine: &Engine<'_>, now_ms: u64) -> std::io::Result<u64> {
    let mut out = BufWriter::new(File::create(path)?);
    let mut outcome = Ok(());
    let mut bytes = 0;
    engine.save(now_ms, now_ms, &mut |piece| {
        bytes += piece.len() as u64;
        if outcome.is_ok() {
            outcome = out.write_all(piece);
        }
    });
    outcome?;
    out.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
    Ok(bytes)
}
