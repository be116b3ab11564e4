//! The detector and its housekeeping in the process that runs them: a worker, or NGINX's helper
//! process.

use std::sync::atomic::Ordering;
use std::time::Duration;

use api_abuse_engine::hash::Seed;
use api_abuse_shm::Zone;
use crossbeam_channel::{Receiver, Sender, bounded};

use crate::conf::{MainConf, Ready};
use crate::detector::Detector;
use crate::ffi::doorbell::Doorbell;
use crate::ffi::error_log::{self, Level, Log};
use crate::ffi::process;
use crate::ffi::thread::Thread;
use crate::housekeeping::{self, Housekeeping, Line};
use crate::state::State;
use crate::worker::engine_config;

/// How often lines for the logs are written, milliseconds.
pub(crate) const LOG_INTERVAL_MS: u64 = 250;
/// Lines written at a time, so that a flood of them does not hold up requests.
const LOG_LINES: usize = 256;
/// How much longer the end waits for the last state to reach the disk. NGINX kills a process that
/// takes seconds when it is told to terminate.
const LAST_WRITE: Duration = Duration::from_millis(700);
/// How long it waits for each when there is no hurry, on a disk that is slow or a machine that is busy.
const UNHURRIED: Duration = Duration::from_secs(10);

/// The threads, what tells them to end, and what they have to say. The detector ends when `stop` is
/// gone, housekeeping when the detector, who sends to it, is gone.
pub(crate) struct Background {
    zone: Zone,
    stop: Sender<()>,
    doorbell: Doorbell,
    running: Vec<Thread>,
    lines: Receiver<Line>,
}

impl Background {
    /// Starts the threads. A process that cannot start them goes on without.
    pub(crate) fn start(conf: &MainConf, ready: &Ready, log: Log<'_>) -> Self {
        let (stop, stopped) = bounded(0);
        let (messages, inbox) = bounded(housekeeping::MESSAGES);
        let (outbox, lines) = bounded(housekeeping::LINES);
        let (found, strangers) = bounded(1);
        let zone = ready.shared.zone;
        let state = conf.state().map(|directory| State::new(directory.path(), &zone));
        let detector = Detector {
            shared: ready.shared,
            loaded_ms: ready.loaded_ms,
            config: engine_config(conf, Seed(zone.seed())),
            stopped,
            messages,
            state: state.clone(),
            strangers,
        };
        let logs_decisions = conf.log().is_some();
        let house = Housekeeping::new(inbox, outbox, &zone, logs_decisions, state, found);
        let started = [
            Thread::spawn("abuse-detector", move || detector.run()),
            Thread::spawn("abuse-house", move || house.run()),
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
        Self { zone, stop, doorbell: ready.shared.doorbell, running, lines }
    }

    /// Writes what there is to say. Main thread only.
    pub(crate) fn write_lines(&self) {
        write(&self.lines, &self.zone);
    }

    /// Ends the threads; whether they ended within about `bound`, or longer if nobody is in a hurry.
    pub(crate) fn stop(self, bound: Duration) -> bool {
        drop(self.stop);
        self.doorbell.ring();
        let hurries = process::hurries();
        let bound = if hurries { bound } else { bound.max(UNHURRIED) };
        let bounds = [bound, bound + if hurries { LAST_WRITE } else { UNHURRIED }];
        let late = self.running.into_iter().zip(bounds).filter_map(|(thread, bound)| {
            let ended = thread.join(bound);
            (!ended).then_some(())
        });
        let ended = late.count() == 0;
        write(&self.lines, &self.zone);
        ended
    }
}

fn write(lines: &Receiver<Line>, zone: &Zone) {
    let mut decisions = Vec::new();
    for line in lines.try_iter().take(LOG_LINES) {
        match line {
            Line::Error { level, text } => error_log::write(level, format_args!("{text}")),
            Line::Decision(line) => decisions.extend_from_slice(&line),
        }
    }
    if decisions.is_empty() {
        return;
    }
    let Some(file) = process::decision_log() else { return };
    if let Err(error) = file.append(&decisions) {
        let lost = decisions.iter().filter(|byte| **byte == b'\n').count() as u64;
        zone.counters().log_lines_dropped.fetch_add(lost, Ordering::Relaxed);
        error_log::write(
            Level::Error,
            format_args!("api_abuse: {lost} lines could not be written to api_abuse_log: {error}"),
        );
    }
}
