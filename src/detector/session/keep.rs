//! What the lease holder reads from the state on disk, and hands to it.

use std::sync::atomic::Ordering;

use api_abuse_shm::{DenyEntry, Lists};

use super::super::now_ms;
use super::Session;
use crate::ffi::error_log::Level;
use crate::housekeeping::Message;
use crate::state::{self, ENGINE_MS, LISTS_MS, Merged, Save, State};

/// What has changed since the last state.
pub(super) struct Unsaved {
    /// The engine judged something.
    pub(super) engine: bool,
    /// A list has changed.
    pub(super) lists: bool,
    engine_ms: u64,
    lists_ms: u64,
    /// Bytes of the last checkpoint: what the next one needs, roughly.
    bytes: usize,
}

impl Unsaved {
    pub(super) fn new(now_ms: u64) -> Self {
        Self { engine: false, lists: false, engine_ms: now_ms, lists_ms: now_ms, bytes: 1 << 20 }
    }
}

impl Session<'_> {
    /// Takes up what was left on disk, when this zone is new.
    pub(super) fn load(&mut self) {
        let Some(state) = &self.detector.state else { return };
        match state.lists() {
            Ok(Some(lists)) => {
                let merged = self.merge(&lists);
                self.tell(&merged, "before the last restart");
                if lists.seed == self.zone.seed() {
                    self.history.restore(&lists.history);
                }
            }
            Ok(None) => {}
            Err(problem) => self.detector.say(Level::Error, problem),
        }
        state.lists_were_loaded();
        match state.engine() {
            Ok(Some(bytes)) => self.load_engine(state, &bytes),
            Ok(None) => {}
            Err(problem) => self.detector.say(Level::Error, problem),
        }
        state.engine_was_loaded();
    }

    fn load_engine(&mut self, state: &State, bytes: &[u8]) {
        let now_ms = now_ms();
        let loaded = match self.engine.load(bytes, now_ms, state::wall_ms()) {
            Ok(loaded) => loaded,
            Err(error) => {
                let problem = state.refuse_engine(&error);
                self.detector.say(Level::Error, problem);
                return;
            }
        };
        let mut text = format!(
            "took up the state of {}s ago: {} applications, {} sources, {} of them denied, \
             {} left out",
            loaded.gap_ms / 1000,
            loaded.applications,
            loaded.sources,
            loaded.denied,
            loaded.dropped,
        );
        for note in loaded.notes {
            text.push_str("; ");
            text.push_str(note);
        }
        self.detector.say(Level::Notice, text);
        let incidents: Vec<_> = self.engine.incidents().copied().collect();
        for incident in &incidents {
            self.explain(incident);
        }
        self.engine.repeat_decisions(now_ms, &mut self.decisions);
        self.enforce(true);
    }

    /// Takes over what another zone has written into the same directory.
    pub(super) fn take_strangers(&mut self) {
        if let Ok(lists) = self.detector.strangers.try_recv() {
            if lists.seed == self.zone.seed() {
                let merged = self.merge(&lists);
                self.tell(&merged, "by another NGINX that shares the state");
                // It wrote over what this one knows, and may be gone.
                let known = self.denylist.reader().iter(now_ms()).count();
                self.unsaved.lists |= known > lists.denials.len();
            }
        }
    }

    fn merge(&mut self, lists: &Lists) -> Merged {
        let (denylist, allowlist) = (&mut self.denylist, &mut self.allowlist);
        let merged =
            state::merge(lists, &self.zone, denylist, allowlist, now_ms(), state::wall_ms());
        self.unsaved.lists |= merged.denials + merged.networks > 0;
        merged
    }

    fn tell(&self, merged: &Merged, whose: &str) {
        let Merged { denials, networks, dropped } = merged;
        if denials + networks + dropped > 0 {
            let text = format!(
                "took over {denials} denials and {networks} networks of the allowlist that were \
                 made {whose}; {dropped} could not be taken over"
            );
            self.detector.say(Level::Notice, text);
        }
    }

    /// Hands the state to housekeeping when it is time to, or `at_once`, because this is the end.
    pub(super) fn save(&mut self, at_once: bool) {
        let Some(state) = &self.detector.state else { return };
        let now_ms = now_ms();
        let since = |before_ms: u64| now_ms.saturating_sub(before_ms);
        let unsaved = &self.unsaved;
        let engine = unsaved.engine && (at_once || since(unsaved.engine_ms) >= ENGINE_MS);
        let lists = unsaved.lists && (at_once || since(unsaved.lists_ms) >= LISTS_MS);
        if !(engine || lists) || state.is_writing() && !at_once {
            return;
        }
        let wall_ms = state::wall_ms();
        let engine = engine.then(|| {
            let mut bytes = Vec::with_capacity(self.unsaved.bytes);
            self.engine.save(now_ms, wall_ms, &mut |piece| bytes.extend_from_slice(piece));
            (self.unsaved.engine, self.unsaved.engine_ms) = (false, now_ms);
            self.unsaved.bytes = bytes.len() + bytes.len() / 8;
            bytes
        });
        (self.unsaved.lists, self.unsaved.lists_ms) = (false, now_ms);
        let lists = self.lists(now_ms, wall_ms);
        state.set_writing(true);
        let save = Message::Save(Box::new(Save { engine, lists }));
        if self.detector.messages.try_send(save).is_err() {
            // Housekeeping is far behind. The next state has all of this, too.
            state.set_writing(false);
            (self.unsaved.engine, self.unsaved.lists) = (true, true);
            self.counters.state_errors.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn lists(&self, now_ms: u64, wall_ms: u64) -> Lists {
        let denials: Vec<DenyEntry> = self.denylist.reader().iter(now_ms).collect();
        let applications = self.engine.applications().iter().filter(|slot| slot.key != 0);
        Lists {
            seed: self.zone.seed(),
            instance: self.counters.instance.load(Ordering::Relaxed),
            wall_ms,
            now_ms,
            applications: applications
                .map(|slot| (slot.key, slot.name().into_owned().into_bytes()))
                .collect(),
            denials,
            history: self.history.rows().map(|row| row.to_words()).collect(),
            allowed: self.allowlist.reader().entries().unwrap_or_default(),
        }
    }
}
