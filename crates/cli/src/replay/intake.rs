//! The reading half of a replay: files to batches of records.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use crossbeam_channel::{Receiver, Sender};

use super::batch::Batch;
use super::order;
use super::translate::Translator;
use crate::access_log::text::printable;
use crate::access_log::{Expected, Format};
use crate::input::{self, LINE_MAX, Next};

/// Lines of another format that are reported; the rest is only counted.
const COMPLAINTS: u64 = 5;
/// Characters of such a line that are shown.
const SHOWN: usize = 60;

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Lines, all of the following.
    pub(crate) lines: u64,
    /// Became a record.
    pub(crate) parsed: u64,
    /// Another format.
    pub(crate) malformed: u64,
    /// Longer than [`LINE_MAX`].
    pub(crate) too_long: u64,
    /// Nothing in them.
    pub(crate) empty: u64,
    /// Parsed, with a time before that of an earlier line.
    pub(crate) backwards: u64,
    /// Addresses that they came from.
    pub(crate) addresses: u64,
    /// There were more than could be counted.
    pub(crate) addresses_exceeded: bool,
    /// Files that could not be opened, or not be read to their end.
    pub(crate) broken_files: u64,
}

/// Reads files.
pub(super) struct Intake {
    format: Format,
    translator: Translator,
    filled: Sender<Batch>,
    spares: Receiver<Batch>,
    batch: Batch,
    counts: Counts,
}

/// The engine's side is gone: nobody wants more.
struct Unwanted;

impl Intake {
    /// Sends batches to `filled`, and takes used ones from `spares`.
    pub(super) fn new(
        format: Format,
        translator: Translator,
        filled: Sender<Batch>,
        spares: Receiver<Batch>,
    ) -> Self {
        let (batch, counts) = (Batch::default(), Counts::default());
        Self { format, translator, filled, spares, batch, counts }
    }

    /// Reads all files, the oldest first.
    pub(super) fn run(mut self, files: &[PathBuf]) -> Counts {
        for file in order::by_time(files, &self.format) {
            if self.file(&file).is_err() {
                break;
            }
        }
        if self.batch.len() > 0 {
            let _ = self.send();
        }
        self.counts.backwards = self.translator.clock.backwards;
        (self.counts.addresses, self.counts.addresses_exceeded) = self.translator.addresses();
        self.counts
    }

    fn file(&mut self, path: &Path) -> Result<(), Unwanted> {
        let name: Cow<'_, str> = match path.to_string_lossy() {
            name if name == "-" => "(standard input)".into(),
            name => name,
        };
        let mut lines = match input::open(path) {
            Ok(lines) => lines,
            Err(error) => {
                self.broken(&name, &error.to_string());
                return Ok(());
            }
        };
        let mut number = 0u64;
        loop {
            let next = lines.next();
            match next {
                Ok(Next::End) => return Ok(()),
                Ok(Next::Line(line)) => {
                    number += 1;
                    self.line(&name, number, line)?;
                }
                Ok(Next::TooLong) => {
                    number += 1;
                    self.counts.lines += 1;
                    self.counts.too_long += 1;
                    let message = || format!("longer than {} KiB, skipped", LINE_MAX >> 10);
                    self.complain(&name, number, message);
                }
                Err(error) => {
                    let message = format!("{error}; read up to line {number}");
                    self.broken(&name, &message);
                    return Ok(());
                }
            }
        }
    }

    fn line(&mut self, file: &str, number: u64, line: &[u8]) -> Result<(), Unwanted> {
        self.counts.lines += 1;
        if line.trim_ascii().is_empty() {
            self.counts.empty += 1;
            return Ok(());
        }
        let outcome = self.format.parse(line).and_then(|values| {
            let translated = self.translator.translate(&values, &mut self.batch);
            translated.map_err(|what| Expected { what, at: 0 })
        });
        match outcome {
            Ok(()) => self.counts.parsed += 1,
            Err(Expected { what, at }) => {
                self.counts.malformed += 1;
                let found = &line[at.min(line.len())..];
                self.complain(file, number, || {
                    let found = printable(found, SHOWN);
                    match Format::name_of(line).filter(|_| self.format.parse(line).is_err()) {
                        Some(name) => {
                            format!("expected {what}, found \"{found}\"; try --format {name}")
                        }
                        None => format!("expected {what}, found \"{found}\""),
                    }
                });
            }
        }
        if self.batch.is_full() { self.send() } else { Ok(()) }
    }

    fn send(&mut self) -> Result<(), Unwanted> {
        let mut fresh = self.spares.try_recv().unwrap_or_default();
        fresh.clear();
        fresh.lines_before = self.counts.lines;
        let batch = core::mem::replace(&mut self.batch, fresh);
        self.filled.send(batch).map_err(|_| Unwanted)
    }

    fn broken(&mut self, file: &str, message: &str) {
        self.counts.broken_files += 1;
        eprintln!("api-abuse: {file}: {message}");
    }

    /// Reports the first few lines that are not understood.
    fn complain(&self, file: &str, number: u64, message: impl FnOnce() -> String) {
        match self.counts.malformed + self.counts.too_long {
            0..=COMPLAINTS => eprintln!("api-abuse: {file}:{number}: {}", message()),
            n if n == COMPLAINTS + 1 => {
                eprintln!("api-abuse: more such lines are counted, not reported");
            }
            _ => {}
        }
    }
}
