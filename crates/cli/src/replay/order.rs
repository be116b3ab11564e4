//! Which of several files is read first: the one that begins earliest, whatever a shell's glob made
//! of `access.log access.log.1 access.log.2.gz`.

use std::path::{Path, PathBuf};

use crate::access_log::{Format, time_of};
use crate::input::{self, Next};

/// Lines that are looked at for a time.
const LINES: usize = 100;

/// The files by the time of their first line. Standard input cannot be read twice: with it among
/// them, and where no time is found, the order given stays.
pub(super) fn by_time(files: &[PathBuf], format: &Format) -> Vec<PathBuf> {
    let mut files = files.to_vec();
    if files.len() > 1 && files.iter().all(|file| file.metadata().is_ok_and(|it| it.is_file())) {
        files.sort_by_cached_key(|file| first_time(file, format).unwrap_or(u64::MAX));
    }
    files
}

/// The time of the first line that has one, epoch milliseconds.
fn first_time(file: &Path, format: &Format) -> Option<u64> {
    let mut lines = input::open(file).ok()?;
    for _ in 0..LINES {
        match lines.next().ok()? {
            Next::End => return None,
            Next::TooLong => {}
            Next::Line(line) => {
                let time = format.parse(line).ok().and_then(|line| time_of(&line));
                if time.is_some() {
                    return time;
                }
            }
        }
    }
    None
}
