//! The one path from records to decisions.

use crate::application::Statistics;
use crate::hash::Seed;
use crate::{Decision, Incident, RequestRecord};

/// What an engine is told from outside. Everything else it learns.
#[derive(Clone, Debug)]
pub struct Config {
    /// The zone's seed.
    pub seed: Seed,
    /// Names of the applications that the configuration knows.
    pub applications: Vec<Vec<u8>>,
    /// Whether loopback addresses may be denied.
    pub deny_loopback: bool,
}

/// How the tables that [`Engine::attach`] was given looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attached {
    /// Empty, or of another layout: they start anew.
    Fresh,
    /// Those of an engine that stopped; it goes on where that one was.
    Continued,
}

/// The engine over its tables.
#[derive(Debug)]
pub struct Engine<'m> {
    memory: &'m mut [u8],
    config: Config,
}

impl<'m> Engine<'m> {
    /// Smallest memory that an engine works with, bytes.
    pub const MIN_BYTES: usize = 1 << 20;

    /// Puts an engine over `memory` (8-byte aligned, at least [`Self::MIN_BYTES`]).
    pub fn attach(memory: &'m mut [u8], config: Config) -> Option<(Self, Attached)> {
        Some((Self { memory, config }, Attached::Fresh))
    }

    /// Judges a batch of records. Decisions are appended to `decisions`.
    pub fn turn<'r>(
        &mut self,
        records: impl IntoIterator<Item = RequestRecord<'r>>,
        now_ms: u64,
        decisions: &mut Vec<Decision>,
    ) {
        for _ in records {}
        let _ = (now_ms, decisions, &self.memory, &self.config);
    }

    /// The explanation of a decision made by the last turns.
    pub fn incident(&self, id: u64) -> Option<&Incident> {
        let _ = id;
        None
    }

    /// Says every conviction that still holds again: after a takeover, when the last writer of the
    /// denylist may have died before it wrote.
    pub fn repeat_decisions(&mut self, now_ms: u64, decisions: &mut Vec<Decision>) {
        let _ = (now_ms, decisions);
    }

    /// Statistics of all applications.
    pub fn applications(&self) -> &[Statistics] {
        &[]
    }

    /// Live sources, and sources evicted while they still mattered.
    pub fn sources(&self) -> (u64, u64) {
        (0, 0)
    }
}
