//! The state on its way to the disk: the part of the housekeeping thread.

use std::fs::File;
use std::io;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use api_abuse_shm::Lists;
use crossbeam_channel::Sender;

use super::disk::Identity;
use super::{ENGINE, LISTS, Save, State, disk, read_lists, wall_ms};
use crate::ffi::{files, process};

/// How often a lock that somebody else has is asked for.
const ATTEMPTS: usize = 25;
const PAUSE: Duration = Duration::from_millis(20);
/// How often a state that cannot be written is complained of at most.
const COMPLAIN_MS: u64 = 60_000;

/// Writes states, and finds those of others.
pub(crate) struct Writer {
    state: State,
    /// Lists that somebody else wrote, for the detector.
    strangers: Sender<Lists>,
    /// The file of the lists as it was last written or read here.
    known: Option<Identity>,
    complained_ms: Option<u64>,
}

impl Writer {
    pub(crate) fn new(state: State, strangers: Sender<Lists>) -> Self {
        Self { state, strangers, known: None, complained_ms: None }
    }

    /// Writes a state; the error is for people, and comes once in a while only.
    pub(crate) fn save(&mut self, save: &Save) -> Result<(), String> {
        let written = self.write(save);
        self.state.set_writing(false);
        let counters = self.state.zone.counters();
        let Err(error) = written else {
            counters.state_saved_ms.store(wall_ms(), Ordering::Relaxed);
            self.complained_ms = None;
            return Ok(());
        };
        counters.state_errors.fetch_add(1, Ordering::Relaxed);
        let now_ms = wall_ms();
        if self.complained_ms.is_some_and(|before| now_ms.abs_diff(before) < COMPLAIN_MS) {
            return Ok(());
        }
        self.complained_ms = Some(now_ms);
        Err(format!(
            "the state cannot be written to \"{}\": {error}; detection goes on, a restart would \
             forget what came since",
            self.state.directory.display()
        ))
    }

    fn write(&mut self, save: &Save) -> io::Result<()> {
        let directory = File::open(&self.state.directory)?;
        let mut attempts = 0;
        while !files::lock(&directory) {
            attempts += 1;
            if attempts == ATTEMPTS {
                return Err(io::Error::other("another process keeps it locked"));
            }
            thread::sleep(PAUSE);
        }
        self.look();
        disk::replace(&self.state.directory, LISTS, &save.lists.encode())?;
        self.known = disk::identity(&self.state.directory.join(LISTS));
        match &save.engine {
            Some(engine) => disk::replace(&self.state.directory, ENGINE, engine),
            None => Ok(()),
        }
    }

    /// Looks whether somebody else has written lists, for the process that detects.
    pub(crate) fn look(&mut self) {
        if self.state.zone.lease().holder() != Some(process::pid()) {
            return;
        }
        let found = disk::identity(&self.state.directory.join(LISTS));
        if found.is_none() || found == self.known {
            return;
        }
        let Ok(Some(lists)) = read_lists(&self.state.directory) else { return };
        let instance = self.state.zone.counters().instance.load(Ordering::Relaxed);
        // A detector that is still at the last ones gets these the next time.
        if lists.instance == instance || self.strangers.try_send(lists).is_ok() {
            self.known = found;
        }
    }
}
