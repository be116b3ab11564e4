//! What the module makes of the shared memory that NGINX maps for `api_abuse_zone`.
//!
//! This runs in the process that reads the configuration, at start, at every reload and under
//! `nginx -t`, also for configurations that are rejected afterwards, and while workers use the
//! memory. So memory that holds a zone is looked at and never written.

use core::fmt::Write;
use std::path::Path;
use std::sync::atomic::Ordering;

use api_abuse_engine::Engine;
use api_abuse_engine::application::{PUBLISHED_WORDS, State, Statistics};
use api_abuse_engine::decision::INCIDENT_WORDS;
use api_abuse_engine::record::RECORD_WORDS;
use api_abuse_engine::tables::APPLICATIONS;
use api_abuse_shm::{AttachError, Geometry, LISTS_LOADED, Needs, TooSmall, Zone};

use crate::conf::{MainConf, Ready, ZoneConf};
use crate::ffi::clock;
use crate::ffi::conf::Cycle;
use crate::ffi::error_log::{Level, Log};
use crate::ffi::files::Directory;
use crate::ffi::shm::{self, Shared, SharedMemory};
use crate::history::{Row, restore, rows};
use crate::state;

/// Lanes that must be left for each worker when a reload changes their number. Fewer than a new
/// zone has: during a reload, old and new workers need one each.
const LANES_PER_WORKER: u32 = 2;

/// Makes the zone of a new configuration, or finds the one that an earlier configuration left.
pub(crate) fn ready(
    conf: &MainConf,
    memory: &SharedMemory<'_>,
    log: Option<Log<'_>>,
) -> Result<Ready, String> {
    let Some(zone) = &conf.zone else { return Err("a zone that nobody declared".to_owned()) };
    let needs = needs(zone.cycle.map_or(1, Cycle::workers));
    let shared = if let Some(existing) = memory.existing() {
        reuse(zone, &needs, &existing)?
    } else {
        let directory = conf.state().map(Directory::path);
        create(zone, &needs, memory, directory.as_deref(), log)?
    };
    let acquisitions = shared.zone.lease().acquisitions();
    Ok(Ready { shared, loaded_ms: clock::monotonic_us() / 1000, acquisitions })
}

fn needs(workers: u32) -> Needs {
    Needs {
        workers,
        incident_words: INCIDENT_WORDS as u32,
        application_words: PUBLISHED_WORDS as u32,
        application_slots: APPLICATIONS as u32,
        engine_min_bytes: Engine::MIN_BYTES as u64,
        max_message_words: RECORD_WORDS as u32,
    }
}

/// Takes over what lies in the memory, unless it cannot be used with this configuration.
fn reuse(
    zone: &ZoneConf,
    needs: &Needs,
    existing: &Result<Shared, AttachError>,
) -> Result<Shared, String> {
    let ZoneConf { name, place, .. } = zone;
    let remedy = "change its size, or restart NGINX";
    let shared = *existing.as_ref().map_err(|error| {
        format!("zone \"{name}\" cannot be kept: {error}; {remedy}, in {place}")
    })?;
    let geometry = shared.zone.geometry();
    let fits = geometry.incident_words == needs.incident_words
        && geometry.application_words == needs.application_words
        && geometry.lane_words > needs.max_message_words
        && geometry.engine_bytes >= needs.engine_min_bytes;
    if !fits {
        return Err(format!(
            "zone \"{name}\" cannot be kept: its tables are laid out for another version of this \
             module; {remedy}, in {place}"
        ));
    }
    let workers = needs.workers;
    if geometry.lanes < workers.saturating_mul(LANES_PER_WORKER) {
        let most = geometry.lanes / LANES_PER_WORKER;
        return Err(format!(
            "zone \"{name}\" was laid out for at most {most} worker processes, there are to be \
             {workers}; {remedy}, in {place}"
        ));
    }
    Ok(shared)
}

fn create(
    zone: &ZoneConf,
    needs: &Needs,
    memory: &SharedMemory<'_>,
    directory: Option<&Path>,
    log: Option<Log<'_>>,
) -> Result<Shared, String> {
    let ZoneConf { name, place, .. } = zone;
    let geometry = Geometry::plan(memory.room(), needs).map_err(|small| {
        let needed = with_overhead(&small) >> 10;
        let workers = needs.workers;
        format!(
            "zone \"{name}\" is too small: it needs at least {needed}k \
             for {workers} worker processes in {place}"
        )
    })?;
    let predecessor = memory.predecessor();
    // Keys and hashes of what is carried over stay what they were.
    let state = directory.filter(|_| predecessor.is_none());
    let seed = predecessor.map(|old| old.zone.seed()).or_else(|| state::seed(state?));
    let seed = seed.or_else(shm::random_seed);
    let seed = seed.ok_or_else(|| format!("the kernel has no random seed for zone \"{name}\""))?;
    let shared = memory
        .create(&geometry, seed)
        .map_err(|error| format!("zone \"{name}\" cannot be made: {error}, in {place}"))?;
    let instance = shm::random_seed().map_or(seed[0], |[instance, _]| instance);
    shared.zone.counters().instance.store(instance, Ordering::Relaxed);
    shared.zone.counters().started_ms.store(state::wall_ms(), Ordering::Relaxed);
    if let Some(directory) = state {
        state::preload(directory, &shared.zone);
    }
    if let (Some(old), Some(log)) = (predecessor, log) {
        let carried = carry_over(&old.zone, &shared.zone);
        let mut message = format!("api_abuse: zone \"{name}\" has a new size, ");
        // Writing to a string cannot fail.
        let _ = match carried {
            Some(carried) => write!(message, "{carried} live denials were carried over"),
            None => write!(message, "its denials could not be carried over"),
        };
        log.write(Level::Notice, format_args!("{message}"));
    }
    Ok(shared)
}

/// Size that the directive must at least say for so many workers, a multiple of 1k.
pub(crate) fn least_bytes(workers: u32) -> usize {
    Geometry::plan(0, &needs(workers)).map_or_else(|small| with_overhead(&small), |_| 0)
}

/// Of the size that the directive says, NGINX keeps 24 bytes for each page and a few tables, and
/// the module a page for the root.
fn with_overhead(small: &TooSmall) -> usize {
    let bytes = small.needed;
    (bytes + bytes / 128 + (64 << 10)).next_multiple_of(1 << 10)
}

/// Copies live denials and the incidents that explain them, and the run-time allowlist, into a zone
/// that nobody uses yet, and returns how many denials. What the detectors learned comes from the
/// state on disk, if there is one.
fn carry_over(old: &Zone, new: &Zone) -> Option<usize> {
    let now_ms = clock::monotonic_us() / 1000;
    let mut guard = new.lease().try_acquire(now_ms).ok()??;
    let mut writers = guard.split();
    let mut carried = 0;
    let mut incident = [0; INCIDENT_WORDS];
    for entry in old.denylist().iter(now_ms) {
        let (from, to) = (old.incidents(), new.incidents());
        if from.read(incident_slot(from.len(), entry.incident), &mut incident)
            && incident[0] == entry.incident
        {
            writers.incidents.write(incident_slot(to.len(), entry.incident), &incident);
        }
        writers.denylist.insert(&entry, now_ms);
        carried += 1;
    }
    let history: Vec<_> = rows(&old.history()).into_iter().map(Row::to_words).collect();
    restore(&mut writers.history, &history);
    for network in old.allowlist().entries().unwrap_or_default() {
        writers.allowlist.insert(&network);
    }
    // What workers of the old zone still decide comes through the state on disk.
    let counters = new.counters();
    counters.state_merged_ms.store(state::wall_ms(), Ordering::Relaxed);
    counters.state_loaded.store(LISTS_LOADED, Ordering::Relaxed);
    Some(carried)
}

/// Whether the circuit breaker of an application is open, as the detector last said.
pub(crate) fn is_tripped(zone: &Zone, application: u64) -> bool {
    let slots = zone.applications();
    let mut words = [0; Statistics::FRONT_WORDS];
    let mut state = |slot| slots.read(slot, &mut words).then(|| Statistics::front(&words));
    let known =
        (0..slots.len()).find_map(|slot| state(slot).filter(|(key, _)| *key == application));
    // Applications that are one too many share the last slot.
    let known = known.or_else(|| state(slots.len().checked_sub(1)?));
    known.is_some_and(|(_, state)| state == State::Tripped)
}

/// The slot of an incident among `slots`.
pub(crate) fn incident_slot(slots: usize, incident: u64) -> usize {
    incident.checked_rem(slots as u64).map_or(0, |slot| slot as usize)
}
