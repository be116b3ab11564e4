//! The detector thread. One worker has one; the lease sees to it that no two detect.
//!
//! When that worker leaves or dies another one starts a thread, which asks for the lease until it has
//! it, and the engine's tables, which lie in the zone, go with it. No NGINX function is called
//! from this thread, and none of its failures reaches the worker: what panics is counted and
//! attached anew, and a detector that fails again and again is switched off until the next load of
//! the configuration.

mod exempt;
mod session;

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::Duration;

use api_abuse_engine::Config;
use api_abuse_engine::application::{self, Statistics};
use api_abuse_shm::{LeaseGuard, Lists};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError};

use crate::conf::Ready;
use crate::ffi::error_log::Level;
use crate::ffi::guard::caught;
use crate::ffi::shm::Shared;
use crate::ffi::{clock, process};
use crate::housekeeping::Message;
use crate::state::State;
use session::Session;

/// How often a thread without the lease asks for it.
const ASK: Duration = Duration::from_millis(20);
/// How often a detector that is switched off looks whether it is to end.
const SWITCHED_OFF: Duration = Duration::from_millis(500);
/// Deaths and panics of detectors within [`WINDOW_MS`] that switch detection off. A handful of
/// workers that are killed by hand or by the kernel's memory killer stay below, a detector that
/// crashes on its tables gets there in a second.
const FAILURES: usize = 12;
const WINDOW_MS: u64 = 60_000;

/// What the thread is given. A copy of everything: the configuration may be gone before it is.
pub(crate) struct Detector {
    pub(crate) shared: Shared,
    /// Which load of the configuration this is.
    pub(crate) loaded_ms: u64,
    pub(crate) config: Config,
    /// Disconnected when the thread is to end.
    pub(crate) stopped: Receiver<()>,
    pub(crate) messages: Sender<Message>,
    /// `None`: nothing survives a restart.
    pub(crate) state: Option<State>,
    /// Lists that others wrote into the directory of the state.
    pub(crate) strangers: Receiver<Lists>,
}

impl Detector {
    /// The thread.
    pub(crate) fn run(self) {
        self.detect();
        self.shared.zone.lease().step_down();
    }

    fn detect(&self) {
        let mut panics = VecDeque::new();
        let lease = self.shared.zone.lease();
        let mut pause = Duration::ZERO;
        while !self.wait(pause) {
            pause = ASK;
            if self.switched_off() {
                pause = SWITCHED_OFF;
                continue;
            }
            match lease.try_acquire(now_ms()) {
                Ok(Some(guard)) => self.hold(guard, &mut panics),
                Ok(None) => {}
                Err(error) => {
                    self.say(Level::Alert, format!("this worker cannot detect: {error}"));
                    return;
                }
            }
        }
    }

    /// Detects until the worker is told to go, or detection is switched off.
    fn hold(&self, mut guard: LeaseGuard, panics: &mut VecDeque<u64>) {
        if self.switched_off() {
            // By the last holder, just now.
            return;
        }
        self.shared.doorbell.attend(true);
        // The first holder of a new configuration gives detection another chance.
        self.counters().detector_disabled.store(0, Ordering::Relaxed);
        let mut recovered = guard.recovered();
        if recovered {
            self.say(Level::Notice, "took over detection from a process that died".to_owned());
        }
        while !self.fails_too_often(panics) {
            let ended =
                caught(|| Session::attach(self, guard.split(), recovered).map(Session::run));
            if let Some(ended) = ended {
                if let Err(problem) = ended {
                    self.say(Level::Alert, format!("detection is off: {problem}"));
                    self.switch_off();
                } else {
                    // While the lease is still held: whoever comes next says otherwise.
                    self.shared.doorbell.attend(false);
                }
                return;
            }
            // As after a death: the tables may be half changed.
            recovered = true;
            panics.push_back(now_ms());
            self.counters().detector_panics.fetch_add(1, Ordering::Relaxed);
            self.say(Level::Alert, "the detector panicked and starts again".to_owned());
        }
        let problem = "detectors failed again and again, detection is off until NGINX is reloaded";
        self.say(Level::Alert, problem.to_owned());
        self.switch_off();
    }

    /// Whether deaths and panics since this configuration was loaded amount to a crash loop.
    fn fails_too_often(&self, panics: &mut VecDeque<u64>) -> bool {
        let since = now_ms().saturating_sub(WINDOW_MS).max(self.loaded_ms);
        panics.retain(|time| *time >= since);
        self.shared.zone.lease().takeovers_since(since) + panics.len() >= FAILURES
    }

    /// Whether detection was switched off under this configuration.
    fn switched_off(&self) -> bool {
        self.counters().detector_disabled.load(Ordering::Relaxed) == self.loaded_ms
    }

    fn switch_off(&self) {
        self.counters().detector_disabled.store(self.loaded_ms, Ordering::Relaxed);
    }

    fn counters(&self) -> &'static api_abuse_shm::Counters {
        self.shared.zone.counters()
    }

    /// Sleeps; whether the thread is to end.
    fn wait(&self, time: Duration) -> bool {
        let timeout = Err(RecvTimeoutError::Timeout);
        self.stopped.recv_timeout(time) != timeout || process::leaving()
    }

    /// Whether the thread is to end.
    fn is_over(&self) -> bool {
        self.stopped.try_recv() == Err(TryRecvError::Disconnected) || process::leaving()
    }

    /// Says that a circuit breaker opened or closed.
    fn say_tripped(&self, before: Option<&Statistics>, now: &Statistics) {
        let is_tripped = |statistics: &Statistics| {
            let state = u8::try_from(statistics.state).unwrap_or(0);
            application::State::from_u8(state) == application::State::Tripped
        };
        let name = now.name();
        match (before.is_some_and(is_tripped), is_tripped(now)) {
            (false, true) => self.say(
                Level::Error,
                format!(
                    "application \"{name}\" falls back to monitor: denials would reach more of its \
                     clients than its budget allows"
                ),
            ),
            (true, false) => self.say(
                Level::Notice,
                format!("application \"{name}\" is protected again: denials are within its budget"),
            ),
            _ => {}
        }
    }

    fn say(&self, level: Level, text: String) {
        self.send(Message::Notice { level, text });
    }

    /// Never waits: a message that finds the channel full is counted and lost.
    fn send(&self, message: Message) {
        if self.messages.try_send(message).is_err() {
            self.counters().log_lines_dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Whether a detector works on the records of `ready`'s zone: it is not switched off, and it was
/// at work lately.
pub(crate) fn is_up(ready: &Ready) -> bool {
    /// Many times what the idlest detector leaves between two turns.
    const LATELY_MS: u64 = 3_000;
    let counters = ready.shared.zone.counters();
    let heartbeat = counters.detector_heartbeat_ms.load(Ordering::Relaxed);
    counters.detector_disabled.load(Ordering::Relaxed) != ready.loaded_ms
        && heartbeat != 0
        && now_ms().saturating_sub(heartbeat) < LATELY_MS
}

fn now_ms() -> u64 {
    clock::monotonic_us() / 1000
}
