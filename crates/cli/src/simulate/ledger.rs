//! What happened in a world: counts for each class, every conviction, and a digest of all of it.

use api_abuse_engine::hash::combine;
use api_abuse_engine::{Decision, SourceKind, Threat};
use serde_json::Value;

use super::source::Class;

/// One conviction.
#[derive(Clone, Debug)]
pub(super) struct Conviction {
    /// Class of who was convicted.
    pub(super) class: Class,
    pub(super) threat: Threat,
    pub(super) kind: SourceKind,
    pub(super) time_ms: u64,
    pub(super) requests: u32,
    /// While the deploy was broken.
    pub(super) in_deploy: bool,
    /// The heaviest finding, for people.
    pub(super) finding: String,
    /// All of it.
    pub(super) evidence: Value,
}

impl Conviction {
    /// Name of the heaviest finding.
    pub(super) fn measure(&self) -> &str {
        self.finding.split(' ').next().unwrap_or_default()
    }
}

/// Counts of one class.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) sources: u64,
    /// Pairs of a source and a day on which it made a request.
    pub(super) source_days: u64,
    pub(super) requests: u64,
    /// Sources that were convicted.
    pub(super) convicted: u64,
    /// Sources of which a request was denied although they were not convicted: they share a key.
    pub(super) caught: u64,
}

/// A member of an attack was convicted when it had come to this.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) time_ms: u64,
    /// Requests of all members.
    pub(super) requests: u32,
    pub(super) damage: f64,
}

/// What an attack has come to.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) start_ms: u64,
    pub(super) members: u32,
    pub(super) requests: u32,
    pub(super) denied: u32,
    pub(super) damage: f64,
    /// One for each member that was convicted, in order.
    pub(super) convictions: Vec<Moment>,
    /// It gave up, or has nobody left.
    pub(super) over: bool,
}

/// Everything that is counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    classes: [Counts; Class::BENIGN.len() + 1],
    pub(super) requests: u64,
    /// Benign sources that made a request while the deploy was broken.
    pub(super) deploy_sources: u64,
    pub(super) convictions: Vec<Conviction>,
    pub(super) attack: Tally,
    digest: u64,
}

impl Tally {
    /// A member was convicted.
    pub(super) fn convicted(&mut self, time_ms: u64) {
        let (requests, damage) = (self.requests, self.damage);
        self.convictions.push(Moment { time_ms, requests, damage });
    }
}

impl Ledger {
    /// The counts of a class.
    pub(super) fn class(&mut self, class: Class) -> &mut Counts {
        &mut self.classes[class as usize]
    }

    /// The same, to look at.
    pub(super) fn counts(&self, class: Class) -> Counts {
        self.classes[class as usize]
    }

    /// Pairs of a benign source and a day on which it made a request.
    pub(super) fn source_days(&self) -> u64 {
        Class::BENIGN.iter().map(|&class| self.counts(class).source_days).sum()
    }

    /// Convictions of benign sources.
    pub(super) fn false_convictions(&self) -> impl Iterator<Item = &Conviction> {
        self.convictions.iter().filter(|conviction| conviction.class != Class::Attacker)
    }

    /// Benign sources caught behind a denied key.
    pub(super) fn caught(&self) -> u64 {
        Class::BENIGN.iter().map(|&class| self.counts(class).caught).sum()
    }

    /// Takes a decision into the digest.
    pub(super) fn digest(&mut self, decision: &Decision, evidence: f32) {
        let parts = [
            decision.key.network,
            decision.key.discriminator,
            decision.key.kind as u64,
            decision.threat as u64,
            decision.since_ms,
            decision.ttl_ms,
            u64::from(evidence.to_bits()),
        ];
        self.digest = parts.into_iter().fold(self.digest, combine);
    }

    /// One number for everything that was decided, and for how much was simulated.
    pub(super) fn digest_value(&self) -> u64 {
        combine(self.digest, self.requests)
    }
}
