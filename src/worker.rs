//! A worker process: its lane, its view of the denylist, and the threads that it runs.
//!
//! All of it belongs to the main thread, on which NGINX calls everything: hooks, phases and timers.

use std::cell::RefCell;
use std::sync::atomic::Ordering;
use std::time::Duration;

use api_abuse_engine::Config;
use api_abuse_engine::hash::Seed;
use api_abuse_engine::record::{RECORD_WORDS, RequestRecord};
use api_abuse_shm::{DenyEntry, DenyKey, Denylist, Producer, Zone};
use crossbeam_channel::{Receiver, Sender, bounded};

use crate::conf::{MainConf, Ready};
use crate::detector::Detector;
use crate::ffi::doorbell::Doorbell;
use crate::ffi::error_log::{self, Level, Log};
use crate::ffi::thread::Thread;
use crate::ffi::timer::Timer;
use crate::ffi::{clock, process};
use crate::housekeeping::{self, Line};

/// How long the end of a worker waits for its threads. NGINX kills workers that take seconds.
const JOIN: Duration = Duration::from_millis(500);
/// How long a new configuration waits for them when NGINX runs without a master process and is
/// about to unmap the zone.
const JOIN_BEFORE_UNMAP: Duration = Duration::from_secs(5);
/// How often lines for the error log are written, milliseconds.
const LOG_INTERVAL_MS: u64 = 250;
/// Lines written at a time, so that a flood of them does not hold up requests.
const LOG_LINES: usize = 256;

thread_local! {
    static WORKER: RefCell<Option<Worker>> = const { RefCell::new(None) };
}

/// What a process that answers requests has.
pub(crate) struct Worker {
    pub(crate) zone: Zone,
    pub(crate) seed: Seed,
    denylist: Denylist<'static>,
    doorbell: Doorbell,
    /// `None` when all lanes were taken.
    lane: Option<Producer<'static>>,
    threads: Threads,
    lines: Receiver<Line>,
    _log_timer: Timer,
}

/// The threads, and what tells them to end: the detector ends when `stop` is gone, housekeeping
/// when the detector, who sends to it, is gone.
struct Threads {
    stop: Sender<()>,
    running: Vec<Thread>,
}

/// Looks at the worker; `None` in a process that is none, or has no zone.
pub(crate) fn with<T>(look: impl FnOnce(&Worker) -> T) -> Option<T> {
    let look = |worker: &RefCell<Option<Worker>>| worker.try_borrow().ok()?.as_ref().map(look);
    WORKER.try_with(look).ok().flatten()
}

/// As [`with`], to change it.
pub(crate) fn with_mut<T>(change: impl FnOnce(&mut Worker) -> T) -> Option<T> {
    let change =
        |worker: &RefCell<Option<Worker>>| worker.try_borrow_mut().ok()?.as_mut().map(change);
    WORKER.try_with(change).ok().flatten()
}

/// Starts the module's part of this worker. Without an application there is nothing to start.
pub(crate) fn start(conf: &MainConf, log: Log<'_>) {
    if let Some(ready) = conf.ready().filter(|_| conf.in_use()) {
        let worker = Worker::new(conf, ready, log);
        WORKER.with(|slot| slot.replace(Some(worker)));
    }
}

/// Ends the module's part of this worker.
pub(crate) fn stop() {
    stop_within(JOIN);
}

fn stop_within(bound: Duration) -> bool {
    match WORKER.with(RefCell::take) {
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
    fn new(conf: &MainConf, ready: Ready, log: Log<'_>) -> Self {
        let zone = ready.shared.zone;
        let lane = zone.claim_lane(process::pid());
        if lane.is_none() {
            let problem = "api_abuse: no lane is free, requests of this worker are not judged";
            log.write(Level::Alert, format_args!("{problem}"));
        }
        let (threads, lines) = start_threads(conf, ready, log);
        Self {
            zone,
            seed: Seed(zone.seed()),
            denylist: zone.denylist(),
            doorbell: ready.shared.doorbell,
            lane,
            threads,
            lines,
            _log_timer: Timer::every(LOG_INTERVAL_MS, log, write_lines),
        }
    }

    /// The live entry of a key.
    pub(crate) fn denied(&self, key: &DenyKey) -> Option<DenyEntry> {
        self.denylist.find(key, clock::cached_ms())
    }

    /// Hands a record to the detector. A lane that is full counts what it drops.
    pub(crate) fn push(&mut self, record: &RequestRecord<'_>) {
        let Some(lane) = &mut self.lane else {
            self.zone.counters().no_lane.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let mut words = [0; RECORD_WORDS];
        let len = record.encode(&mut words);
        if lane.push(&words[..len]) {
            self.doorbell.ring();
        }
    }

    /// Ends the threads; whether they ended within `bound`. The lane is free afterwards.
    fn stop(self, bound: Duration) -> bool {
        let Threads { stop, running } = self.threads;
        drop(stop);
        self.doorbell.ring();
        let late = running.into_iter().filter_map(|thread| (!thread.join(bound)).then_some(()));
        let ended = late.count() == 0;
        for line in self.lines.try_iter().take(LOG_LINES) {
            error_log::write(line.level, format_args!("{}", line.text));
        }
        ended
    }
}

/// Called by the timer.
fn write_lines() {
    with(|worker| {
        for line in worker.lines.try_iter().take(LOG_LINES) {
            error_log::write(line.level, format_args!("{}", line.text));
        }
    });
}

/// What the engine is told.
fn engine_config(conf: &MainConf, seed: Seed) -> Config {
    let mut config = Config::new(seed);
    config.deny_loopback = conf.deny_loopback.unwrap_or(false);
    conf.applications.iter().fold(config, |config, known| config.with_application(&known.name))
}

/// Starts the detector and its housekeeping. A worker that cannot start them serves without.
fn start_threads(conf: &MainConf, ready: Ready, log: Log<'_>) -> (Threads, Receiver<Line>) {
    let (stop, stopped) = bounded(0);
    let (messages, inbox) = bounded(housekeeping::MESSAGES);
    let (outbox, lines) = bounded(housekeeping::LINES);
    let zone = ready.shared.zone;
    let detector = Detector {
        shared: ready.shared,
        loaded_ms: ready.loaded_ms,
        config: engine_config(conf, Seed(zone.seed())),
        stopped,
        messages,
    };
    let started = [
        Thread::spawn("abuse-detector", move || detector.run()),
        Thread::spawn("abuse-house", move || housekeeping::run(&inbox, &outbox, zone)),
    ];
    let mut running = Vec::new();
    for thread in started {
        match thread {
            Ok(thread) => running.push(thread),
            Err(error) => {
                let problem = "api_abuse: a thread could not be started";
                log.write(Level::Alert, format_args!("{problem}: {error}"));
            }
        }
    }
    (Threads { stop, running }, lines)
}
