//! What survives a restart: the denylist and the run-time allowlist in one file, what the engine knows
//! in another, both in the directory of `api_abuse_state`.
//!
//! * The master reads the lists into a new zone before any worker runs, so no denial is missed by the
//!   first requests. The first detector then loads the engine's checkpoint.
//! * The detector encodes, housekeeping writes: aside, to the disk, in its place, and the directory to
//!   the disk. The lists follow a change within a second or two, the engine's checkpoint is
//!   [`ENGINE_MS`] old at most.
//! * Two zones may share the directory for a while, during a binary upgrade or when a reload has
//!   changed the zone's size. A lock keeps their writing apart, the last one to write wins, and before
//!   it does it takes over the denials that the other one added.
//! * A file that cannot be used is moved aside and said so; NGINX goes on without.

mod disk;
mod merge;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use api_abuse_engine::checkpoint;
use api_abuse_shm::{ENGINE_LOADED, LISTS_LOADED, Lists, Zone};

use crate::ffi::clock;
use crate::history;
pub(crate) use merge::{Merged, merge};
pub(crate) use writer::Writer;

/// The file of the lists.
const LISTS: &str = "lists.state";
/// The file of the engine, which `api-abuse learn` writes, too.
const ENGINE: &str = checkpoint::FILE_NAME;
/// Milliseconds between two checkpoints of the engine while requests come.
pub(crate) const ENGINE_MS: u64 = 8_000;
/// Milliseconds from a change of the lists to their next copy on disk.
pub(crate) const LISTS_MS: u64 = 1_000;

/// The directory, and the zone whose state it holds.
#[derive(Clone, Debug)]
pub(crate) struct State {
    directory: PathBuf,
    pub(crate) zone: Zone,
    /// Set while a state is on its way to the disk: the next one waits.
    writing: Arc<AtomicBool>,
}

/// A state on its way to the disk.
pub(crate) struct Save {
    /// What the engine knows; `None`: nothing new.
    pub(crate) engine: Option<Vec<u8>>,
    pub(crate) lists: Lists,
}

impl State {
    pub(crate) fn new(directory: PathBuf, zone: &Zone) -> Self {
        Self { directory, zone: *zone, writing: Arc::default() }
    }

    /// Whether the last state is still on its way.
    pub(crate) fn is_writing(&self) -> bool {
        self.writing.load(Ordering::Acquire)
    }

    pub(crate) fn set_writing(&self, writing: bool) {
        self.writing.store(writing, Ordering::Release);
    }

    /// The engine's checkpoint, unless it was read already; the error is for people. A detector that
    /// was killed while it loaded is followed by one that loads again.
    pub(crate) fn engine(&self) -> Result<Option<Vec<u8>>, String> {
        if self.has(ENGINE_LOADED) {
            return Ok(None);
        }
        disk::read(&self.directory.join(ENGINE)).map_err(|error| self.refuse(ENGINE, &error))
    }

    pub(crate) fn engine_was_loaded(&self) {
        self.now_has(ENGINE_LOADED);
    }

    /// The lists, unless the master has read them into the zone already.
    pub(crate) fn lists(&self) -> Result<Option<Lists>, String> {
        if self.has(LISTS_LOADED) {
            return Ok(None);
        }
        read_lists(&self.directory).map_err(|error| self.refuse(LISTS, &error))
    }

    pub(crate) fn lists_were_loaded(&self) {
        self.now_has(LISTS_LOADED);
    }

    fn has(&self, what: u64) -> bool {
        self.zone.counters().state_loaded.load(Ordering::Relaxed) & what != 0
    }

    fn now_has(&self, what: u64) {
        self.zone.counters().state_loaded.fetch_or(what, Ordering::Relaxed);
    }

    /// Moves the engine's file aside, and says why and what to do.
    pub(crate) fn refuse_engine(&self, why: &dyn std::fmt::Display) -> String {
        self.refuse(ENGINE, why)
    }

    fn refuse(&self, name: &str, why: &dyn std::fmt::Display) -> String {
        let file = self.directory.join(name);
        let what = if name == ENGINE { "what was learned" } else { "denials and the allowlist" };
        let start = format!("the state in \"{}\" is not used: {why}; ", file.display());
        match disk::move_aside(&file, wall_ms() / 1000) {
            Ok(aside) => format!(
                "{start}it is now \"{}\", and {what} start anew: put a good copy in its place \
                 and restart NGINX to use that",
                aside.display()
            ),
            Err(error) => format!(
                "{start}{what} start anew, and it cannot be moved aside ({error}): see that the \
                 directory exists and belongs to the user of the workers"
            ),
        }
    }
}

fn read_lists(directory: &Path) -> Result<Option<Lists>, Box<dyn std::error::Error>> {
    match disk::read(&directory.join(LISTS))? {
        Some(bytes) => Ok(Some(Lists::decode(&bytes)?)),
        None => Ok(None),
    }
}

/// The seed that a new zone must have for its state to mean anything. For the master, which changes
/// nothing: what cannot be used is left to the detector.
pub(crate) fn seed(directory: &Path) -> Option<[u64; 2]> {
    let engine = disk::read(&directory.join(ENGINE)).ok().flatten();
    let engine = engine.and_then(|bytes| checkpoint::inspect(&bytes).ok());
    engine.map(|summary| summary.seed.0).or_else(|| Some(read_lists(directory).ok()??.seed))
}

/// Reads the lists into a new zone, for the master; how many denials that were.
pub(crate) fn preload(directory: &Path, zone: &Zone) -> Option<Merged> {
    let lists = read_lists(directory).ok()?;
    let now_ms = clock::monotonic_us() / 1000;
    let mut guard = zone.lease().try_acquire(now_ms).ok()??;
    let mut writers = guard.split();
    let (denylist, allowlist) = (&mut writers.denylist, &mut writers.allowlist);
    if let Some(lists) = lists.as_ref().filter(|lists| lists.seed == zone.seed()) {
        history::restore(&mut writers.history, &lists.history);
    }
    let merged = lists.map(|lists| merge(&lists, zone, denylist, allowlist, now_ms, wall_ms()));
    zone.counters().state_loaded.store(LISTS_LOADED, Ordering::Relaxed);
    Some(merged.unwrap_or_default())
}

/// Milliseconds since 1970; for threads that NGINX does not know.
pub(crate) fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64)
}
