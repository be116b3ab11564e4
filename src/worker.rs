//! A worker process: its lane, its view of the denylist, and the threads of the one that detects.
//!
//! All of it belongs to the main thread, on which NGINX calls everything: hooks, phases and timers.

use std::cell::{Cell, RefCell};
use std::sync::atomic::Ordering;
use std::time::Duration;

use api_abuse_engine::hash::Seed;
use api_abuse_engine::record::RECORD_WORDS;
use api_abuse_engine::{ApplicationConfig, Config};
use api_abuse_shm::{DenyEntry, DenyKey, Denylist, Message, Producer, Rate, Zone};

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

/// The worker of this process. One that was stopped stays where it was, because it may be looked at even
/// then: some hundred bytes for each configuration of an NGINX without a master process.
static WORKER: MainThread<Cell<Option<&'static Worker>>> = MainThread::new(Cell::new(None));

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
    duty: RefCell<Duty>,
}

/// What a worker does beside requests.
///
/// Threads cost those of the main thread, too: in a process that has some, the C library locks its heap
/// and looks at each system call whether the thread may be cancelled. And each timer of NGINX's tree makes
/// the others cost more. So only the worker that detects has either.
enum Duty {
    /// Nothing: another worker detects. When that one leaves, the next record finds the doorbell
    /// unattended; when it dies, the worker that NGINX starts in its place sees that.
    Serve,
    /// To look now and then whether the workers of the configuration before have left, until one of
    /// this one detects: requests need not come.
    Await(#[allow(dead_code, reason = "runs until it is dropped")] Timer),
    Detect(Box<Background>, #[allow(dead_code, reason = "as above")] Timer),
    /// Nothing ever: detection runs in a process of its own.
    Leave,
}

/// Words of a record in a lane, and its header.
pub(crate) const MESSAGE_WORDS: usize = RECORD_WORDS + 1;
/// A record that is being written.
type Record<'l> = Message<'l, MESSAGE_WORDS>;

/// How often a worker looks for those of the configuration before.
const AWAIT_MS: u64 = 50;
/// A lane that is full is that of a detector that is gone, when that has not been seen for so long.
const LOST_MS: u64 = 1_000;

/// Looks at the worker; `None` in a process that is none, or has no zone, and on another thread.
pub(crate) fn with<T>(look: impl FnOnce(&Worker) -> T) -> Option<T> {
    WORKER.get()?.get().map(look)
}

/// The worker, for who handles a request.
#[inline]
pub(crate) fn of<'r>(request: &'r Request<'_>) -> Option<&'r Worker> {
    WORKER.of(request).get()
}

/// Starts the module's part of this worker. Without an application there is nothing to start.
pub(crate) fn start(conf: &MainConf, log: Log<'_>) {
    if let Some(ready) = conf.ready().filter(|_| conf.in_use()) {
        let worker = Worker::new(conf, &ready, log);
        if let Some(slot) = WORKER.get() {
            slot.set(Some(Box::leak(Box::new(worker))));
        }
    }
}

/// Ends the module's part of this worker.
pub(crate) fn stop() {
    stop_within(JOIN);
}

fn stop_within(bound: Duration) -> bool {
    match WORKER.get().and_then(Cell::take) {
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

/// Has this worker detect, if no other one does any more and no record has come since: for who looks at
/// what is detected.
pub(crate) fn see_to_detection() {
    with(Worker::ring);
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
        let lease = zone.lease();
        // Without a master process there is no helper process either.
        let duty = if process::has_detector_process(conf) {
            Duty::Leave
        } else if lease.stand() {
            Duty::detect(conf, ready, log)
        } else if lease.acquisitions() == ready.acquisitions {
            Duty::Await(Timer::every(AWAIT_MS, log, look_for_detector))
        } else {
            Duty::Serve
        };
        Self {
            zone,
            seed: Seed(zone.seed()),
            fingerprints: Fingerprints::new(Seed(zone.seed())),
            denylist: zone.denylist(),
            allowlist: RunTimeAllowlist::new(zone.allowlist()),
            doorbell: ready.shared.doorbell,
            lane,
            duty: RefCell::new(duty),
        }
    }

    /// The live entry of the first of these keys that has one.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "on the path of every request")]
    pub(crate) fn denied<const N: usize>(&self, keys: &[DenyKey; N]) -> Option<DenyEntry> {
        self.denylist.find_first(keys, clock::cached_ms())
    }

    /// Whether somebody of this network may be denied; if not, nobody is.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "on the path of every request")]
    pub(crate) fn may_deny(&self, network: u64) -> bool {
        self.denylist.may_concern(network)
    }

    /// Room for a record where it will lie; `None` when there is none. A lane that is full counts what it
    /// drops.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "on the path of every request")]
    pub(crate) fn record(&self) -> Option<Record<'_>> {
        let record = self.lane.as_ref().and_then(Producer::room);
        if record.is_none() {
            self.drop_record();
        }
        record
    }

    /// Hands a record of so many words to the detector.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "on the path of every request")]
    pub(crate) fn push(&self, record: Record<'_>, words: usize) {
        if record.push(words) && self.doorbell.ring() {
            self.detect(false);
        }
    }

    #[cold]
    fn drop_record(&self) {
        if self.lane.is_none() {
            self.zone.counters().no_lane.fetch_add(1, Ordering::Relaxed);
        } else if self.is_lost() {
            self.detect(true);
        }
    }

    /// Whether the detector has not been seen for long.
    fn is_lost(&self) -> bool {
        let counters = self.zone.counters();
        let seen_ms = counters.detector_heartbeat_ms.load(Ordering::Relaxed);
        let is_off = counters.detector_disabled.load(Ordering::Relaxed) != 0;
        // Before the first turn of all somebody is about to begin.
        !is_off && seen_ms != 0 && clock::cached_ms().saturating_sub(seen_ms) >= LOST_MS
    }

    /// Starts to detect, if this worker is the one that is to; with `urge`, in any case. The lease sees to it
    /// that nobody else does then.
    #[cold]
    fn detect(&self, urge: bool) {
        let waits = matches!(&*self.duty.borrow(), Duty::Serve | Duty::Await(_));
        if !waits || process::leaving() || !(self.zone.lease().stand() || urge) {
            return;
        }
        let running = process::running().and_then(|(conf, log)| Some((conf, conf.ready()?, log)));
        if let Some((conf, ready, log)) = running {
            self.duty.replace(Duty::detect(conf, &ready, log));
        }
    }

    /// Takes a token of a source that is throttled; the error is how many milliseconds it has to
    /// wait for one.
    pub(crate) fn take_token(&self, key: &DenyKey) -> Result<(), u64> {
        self.denylist.take_token(key, clock::cached_ms(), THROTTLE)
    }

    /// Whether operators may have let anybody through at run time.
    #[inline]
    pub(crate) fn allows_some(&self) -> bool {
        self.allowlist.may_hold()
    }

    /// Whether an operator let this address through at run time.
    #[inline]
    pub(crate) fn allows(&self, address: [u8; 16]) -> bool {
        self.allowlist.contains(address)
    }

    /// Wakes the detector.
    pub(crate) fn ring(&self) {
        if self.doorbell.ring() {
            self.detect(false);
        }
    }

    /// Ends the threads; whether they ended within `bound`. The lane is free afterwards.
    fn stop(&self, bound: Duration) -> bool {
        let ended = match self.duty.replace(Duty::Leave) {
            Duty::Detect(background, _) => background.stop(bound),
            _ => true,
        };
        if let Some(lane) = &self.lane {
            lane.release();
        }
        ended
    }
}

impl Duty {
    fn detect(conf: &MainConf, ready: &Ready, log: Log<'_>) -> Self {
        let background = Box::new(Background::start(conf, ready, log));
        Self::Detect(background, Timer::every(background::LOG_INTERVAL_MS, log, write_lines))
    }
}

/// Called by the timer of a worker that detects.
fn write_lines() {
    with(|worker| {
        if let Duty::Detect(background, _) = &*worker.duty.borrow() {
            background.write_lines();
        }
    });
}

/// Called by the timer of a worker that waits for those of the configuration before.
fn look_for_detector() {
    with(|worker| {
        worker.detect(false);
        let awaited = process::running().and_then(|(conf, _)| conf.ready());
        let taken = worker.zone.lease().acquisitions();
        let served = awaited.is_none_or(|ready| ready.acquisitions != taken) || process::leaving();
        if served && matches!(&*worker.duty.borrow(), Duty::Await(_)) {
            worker.duty.replace(Duty::Serve);
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
