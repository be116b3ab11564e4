//! What an engine knows, as bytes that survive a restart, a reboot and tables of another size.
//!
//! A checkpoint is a head (magic, version, seed, both clocks), sections, and a trailer with length and
//! checksum ([`format`]). Whatever is a record of its own (a source, a node of a path template, a
//! group of objects) is written as a record and inserted again, so the tables may have grown or shrunk
//! in between; sketches are carried only between tables of one size. Monotonic times are only worth
//! something beside the wall clock of their moment: a loader shifts them by the time that has passed,
//! which it believes to be neither negative nor more than [`GAP_MAX_MS`].
//!
//! Everything in the file may be hostile: what does not fit is dropped and counted, numbers are
//! clamped, and nothing is allocated by what the file says.
//!
//! Hashes mean something only under the seed they were made with. [`inspect`] tells it before an engine
//! exists, so that the zone can be made with it.

use core::fmt;

use crate::engine::Engine;
use crate::hash::Seed;

mod format;
mod read;
mod source;
mod write;

/// The version that is written. [`read::READERS`] has a row for each that is understood.
pub const VERSION: u32 = 2;
/// The name of a checkpoint in a directory of state.
pub const FILE_NAME: &str = "engine.checkpoint";
/// The longest time that may pass between writing and reading, milliseconds: 400 days. What is
/// older is read as if it were this old, and so is what a wrong clock says.
pub const GAP_MAX_MS: u64 = 400 * 86_400_000;

/// Why a checkpoint is refused. Nothing was changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointError {
    /// It does not begin as checkpoints do.
    Foreign,
    /// It was written by a version that is not understood.
    Version(u32),
    /// It ends too early or too late: these bytes are there.
    Torn(u64),
    /// Its bytes have changed.
    Checksum,
    /// A section does not fit into it, at this byte.
    Malformed(u64),
    /// It was written under another seed.
    Seed,
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => write!(f, "not a checkpoint of this engine"),
            Self::Version(found) => {
                write!(f, "checkpoint of version {found}, this engine reads up to {VERSION}")
            }
            Self::Torn(bytes) => write!(f, "torn: its {bytes} bytes are not what was written"),
            Self::Checksum => write!(f, "its checksum does not match, it is damaged"),
            Self::Malformed(at) => write!(f, "malformed at byte {at}"),
            Self::Seed => write!(f, "written under another seed"),
        }
    }
}

impl core::error::Error for CheckpointError {}

/// What a checkpoint is, without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Format version.
    pub version: u32,
    /// Seed of its hashes: the zone must be made with it.
    pub seed: Seed,
    /// Wall clock when it was written, milliseconds since the epoch.
    pub wall_ms: u64,
}

/// What was loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Milliseconds between writing and reading, as believed.
    pub gap_ms: u64,
    /// Applications.
    pub applications: u64,
    /// Sources, and those of them that are still denied.
    pub sources: u64,
    /// See `sources`.
    pub denied: u64,
    /// Nodes of path templates.
    pub nodes: u64,
    /// Records that found no place, or made no sense.
    pub dropped: u64,
    /// What was left out as a whole, in words.
    pub notes: Vec<&'static str>,
}

/// Moves monotonic times of a checkpoint to the clock of now.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_field_names)]
pub(crate) struct Clock {
    /// Monotonic milliseconds when it was written, and now.
    pub(crate) saved_ms: u64,
    /// See `saved_ms`.
    pub(crate) now_ms: u64,
    /// What has passed in between.
    pub(crate) gap_ms: u64,
}

impl Clock {
    /// A moment that is as long ago as it is: of sources. 0 is no moment and stays 0; what was before
    /// this clock began is its beginning.
    pub(crate) fn moment(&self, ms: u64) -> u64 {
        if ms == 0 { 0 } else { self.shift(ms, self.gap_ms).max(1) }
    }

    /// A moment in the life of what was learned, which does not age while nobody watches.
    pub(crate) fn watched(&self, ms: u64) -> u64 {
        self.shift(ms, 0)
    }

    fn shift(&self, ms: u64, gap_ms: u64) -> u64 {
        let shifted = i128::from(self.now_ms) + i128::from(ms)
            - i128::from(self.saved_ms)
            - i128::from(gap_ms);
        let latest = i128::from(self.now_ms.saturating_add(GAP_MAX_MS));
        u64::try_from(shifted.clamp(0, latest)).unwrap_or(0)
    }
}

/// What the parts of an engine do with a record of theirs that was read from a checkpoint: move its
/// times, and clamp what may be anything.
pub(crate) trait Restore {
    /// See the trait.
    fn restore(&mut self, clock: &Clock);
}

/// What a checkpoint is: intact, of which version, seed and time.
pub fn inspect(bytes: &[u8]) -> Result<Summary, CheckpointError> {
    let checkpoint = format::parse(bytes)?;
    let head = checkpoint.head;
    Ok(Summary { version: head.version, seed: Seed(head.seed), wall_ms: head.wall_ms })
}

impl Engine<'_> {
    /// Writes a checkpoint, piece by piece, to `out`. `now_ms` is the monotonic clock, `wall_ms` the
    /// wall clock (milliseconds since the epoch) of the same moment.
    pub fn save(&self, now_ms: u64, wall_ms: u64, out: &mut dyn FnMut(&[u8])) {
        write::engine(self, now_ms, wall_ms, out);
    }

    /// Reads a checkpoint into this engine, whose tables should be fresh. Nothing is changed when it is
    /// refused.
    pub fn load(
        &mut self,
        bytes: &[u8],
        now_ms: u64,
        wall_ms: u64,
    ) -> Result<Loaded, CheckpointError> {
        let checkpoint = format::parse(bytes)?;
        if checkpoint.head.seed != self.config.seed.0 {
            return Err(CheckpointError::Seed);
        }
        let clock = Clock {
            saved_ms: checkpoint.head.now_ms,
            now_ms,
            gap_ms: wall_ms.saturating_sub(checkpoint.head.wall_ms).min(GAP_MAX_MS),
        };
        let version = checkpoint.head.version;
        let reader = read::READERS.into_iter().find(|(known, _)| *known == version);
        let (_, reader) = reader.ok_or(CheckpointError::Version(version))?;
        Ok(reader(self, &checkpoint, &clock))
    }
}

/// For tests of what a loader does with bytes that only look intact.
#[doc(hidden)]
pub mod testing {
    /// Gives changed bytes the trailer that they would have been written with.
    pub fn seal(bytes: &mut [u8]) {
        super::format::seal(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks() {
        let clock = Clock { saved_ms: 10_000, now_ms: 500, gap_ms: 100 };
        assert_eq!([0, 9_900, 10_000, 10_600].map(|ms| clock.moment(ms)), [0, 300, 400, 1000]);
        assert_eq!(clock.moment(1), 1, "before this clock began");
        assert_eq!(clock.watched(9_900), 400);
        assert_eq!(clock.moment(u64::MAX), 500 + GAP_MAX_MS);
        let far = Clock { saved_ms: 0, now_ms: u64::MAX, gap_ms: 0 };
        assert_eq!(far.moment(u64::MAX), u64::MAX);
    }
}
