//! A worker process: its lane, its view of the denylist, and the threads that it runs.
//!
//! All of it belongs to the main thread, on which NGINX calls everything: hooks, phases and timers.

use std::cell::RefCell;
use std::sync::atomic::Ordering;
use std::time::Duration;

use api_abuse_engine::hash::Seed;
use api_abuse_engine::record::RECORD_WORDS;
use api_abuse_engine::{ApplicationConfig, Config};
use api_abuse_shm::{DenyEntry, DenyKey, Denylist, Producer, Rate, Room, Zone};

use crate::allowlist::RunTimeAllowlist;
use crate::background::{self, Background};
use crate::client::Fingerprints;
use crate::conf::{MainConf, Ready};
use crate::ffi::doorbell::Doorbell;
use crate::ffi::error_log::{Level, Log};
use crate::ffi::main_thread::MainThread;
use crate::ffi::request::Request;
use crate::ffi::timer::Timer;
use crate::ffi::{clock, process};

/// How long the end of a worker that is in a hurry waits for its threads. NGINX kills workers that then take
/// seconds.
const JOIN: Duration = Duration::from_millis(500);
/// How long a new configuration waits for them when NGINX runs without a master process and is
/// about to unmap the zone.
const JOIN_BEFORE_UNMAP: Duration = Duration::from_secs(5);
/// What a throttled source may do: a request a second, and five at once.
const THROTTLE: Rate = Rate { interval_ms: 1000, burst: 5 };

static WORKER: MainThread<RefCell<Option<Worker>>> = MainThread::new(RefCell::new(None));

/// What a process that answers requests has.
pub(crate) struct Worker {
    pub(crate) zone: Zone,
    pub(crate) seed: Seed,
    pub(crate) fingerprints: Fingerprints,
    denylist: Denylist<'static>,
    allowlist: RunTimeAllowlist,
    doorbell: Doorbell,
    /// `None` when all lanes were taken.
    lane: Option<Producer<'static>>,
    /// `None` when detection runs in a process of its own.
    background: Option<(Background, Timer)>,
}

/// Looks at the worker; `None` in a process that is none, or has no zone, and on another thread.
pub(crate) fn with<T>(look: impl FnOnce(&Worker) -> T) -> Option<T> {
    WORKER.get()?.try_borrow().ok()?.as_ref().map(look)
}

/// As [`with`], for who handles a request.
#[inline]
pub(crate) fn of<T>(request: &Request<'_>, look: impl FnOnce(&Worker) -> T) -> Option<T> {
    WORKER.of(request).try_borrow().ok()?.as_ref().map(look)
}

/// As [`of`], to change it.
#[inline]
pub(crate) fn of_mut<T>(request: &Request<'_>, change: impl FnOnce(&mut Worker) -> T) -> Option<T> {
    WORKER.of(request).try_borrow_mut().ok()?.as_mut().map(change)
}

/// Starts the module's part of this worker. Without an application there is nothing to start.
pub(crate) fn start(conf: &MainConf, log: Log<'_>) {
    if let Some(ready) = conf.ready().filter(|_| conf.in_use()) {
        let worker = Worker::new(conf, &ready, log);
        if let Some(slot) = WORKER.get() {
            slot.replace(Some(worker));
        }
    }
}

/// Ends the module's part of this worker.
pub(crate) fn stop() {
    stop_within(JOIN);
}

fn stop_within(bound: Duration) -> bool {
    match WORKER.get().and_then(RefCell::take) {
        Some(worker) => worker.stop(bound),
        None => true,
    }
}

/// A new configuration is in place. Matters to a process that already is a worker: without a
/// master process NGINX now unmaps the old zone, and calls no other hook.
pub(crate) fn configuration_replaced(configuration: Option<(&MainConf, Log<'_>)>) {
    if with(|_| ()).is_none() {
        return;
    }
    let stopped = stop_within(JOIN_BEFORE_UNMAP);
    let Some((conf, log)) = configuration else { return };
    if !stopped {
        log.write(Level::Alert, format_args!("api_abuse: the detector did not stop in time"));
    }
    start(conf, log);
}

/// Counts a panic that [`crate::ffi::guard::guarded`] turned into "pass".
pub(crate) fn count_panic() {
    with(|worker| worker.zone.counters().guard_panics.fetch_add(1, Ordering::Relaxed));
}

impl Worker {
    fn new(conf: &MainConf, ready: &Ready, log: Log<'_>) -> Self {
        let zone = ready.shared.zone;
        let lane = zone.claim_lane(process::pid());
        if lane.is_none() {
            let problem = "api_abuse: no lane is free, requests of this worker are not judged";
            log.write(Level::Alert, format_args!("{problem}"));
        }
        // Without a master process there is no helper process either.
        let background = (!process::has_detector_process(conf)).then(|| {
            let background = Background::start(conf, ready, log);
            (background, Timer::every(background::LOG_INTERVAL_MS, log, write_lines))
        });
        Self {
            zone,
            seed: Seed(zone.seed()),
            fingerprints: Fingerprints::new(Seed(zone.seed())),
            denylist: zone.denylist(),
            allowlist: RunTimeAllowlist::new(zone.allowlist()),
            doorbell: ready.shared.doorbell,
            lane,
            background,
        }
    }

    /// The live entry of the first of these keys that has one.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "on the path of every request")]
    pub(crate) fn denied<const N: usize>(&self, keys: &[DenyKey; N]) -> Option<DenyEntry> {
        self.denylist.find_first(keys, clock::cached_ms())
    }

    /// Hands a record, which `write` puts where it will lie, to the detector. A lane that is full
    /// counts what it drops.
    #[inline]
    pub(crate) fn push(&mut self, write: impl FnOnce(Room<'_, RECORD_WORDS>, Seed) -> usize) {
        let Some(lane) = &mut self.lane else {
            self.zone.counters().no_lane.fetch_add(1, Ordering::Relaxed);
            return;
        };
        if lane.write(|room| write(room, self.seed)) {
            self.doorbell.ring();
        }
    }

    /// Takes a token of a source that is throttled; the error is how many milliseconds it has to
    /// wait for one.
    pub(crate) fn take_token(&self, key: &DenyKey) -> Result<(), u64> {
        self.denylist.take_token(key, clock::cached_ms(), THROTTLE)
    }

    /// Whether an operator let this address through at run time.
    #[inline]
    pub(crate) fn allows(&self, address: [u8; 16]) -> bool {
        self.allowlist.contains(address)
    }

    /// Wakes the detector.
    pub(crate) fn ring(&self) {
        self.doorbell.ring();
    }

    /// Ends the threads; whether they ended within `bound`. The lane is free afterwards.
    fn stop(self, bound: Duration) -> bool {
        match self.background {
            Some((background, _)) => background.stop(bound),
            None => true,
        }
    }
}

/// Called by the timer.
fn write_lines() {
    with(|worker| {
        if let Some((background, _)) = &worker.background {
            background.write_lines();
        }
    });
}

/// What the engine is told.
pub(crate) fn engine_config(conf: &MainConf, seed: Seed) -> Config {
    let mut config = Config::new(seed);
    config.deny_loopback = conf.deny_loopback.unwrap_or(false);
    config.never_deny = conf.proxies.clone();
    config.applications = conf
        .applications
        .iter()
        .map(|known| {
            let policy = known.policy().cloned().unwrap_or_default();
            ApplicationConfig { name: known.name.clone(), policy }
        })
        .collect();
    config
}
