//! The learned part: what corroborates a suspicion, and never makes one.
//!
//! At checkpoints (8, 16, 32, 64 requests, then every 64) of a client under suspicion, and with every request of one
//! that is near a conviction, its counters become a vector of [`features`]. Two models look at it:
//!
//! * [`scorer`]: for each threat a linear model with weights whose signs are known beforehand, trained
//!   on the simulator and shipped as data ([`scorers`]). Trained on balanced classes, its logit is a log
//!   likelihood ratio.
//! * [`forest`]: an online isolation forest of this very application's well-behaved clients, for what
//!   nobody named.
//!
//! Unsupervised scores and models of other people's traffic are wrong about somebody every day.
//! Therefore they count only where the sequential test of a threat is near its threshold h already: see
//! [`corroborated`]. What the linear model says alone counts for h/16 at most, what both say for h/8. They
//! make a conviction sooner; they make no suspect.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::detectors::Measure;
use crate::engine::{Engine, source_hash};
use crate::fusion::{Fusion, Sensitivity};
use crate::profiles::Profile;
use crate::slots::Slots;
use crate::sources::Source;
use crate::{SourceKey, SourceKind, Threat};

pub mod features;
pub mod forest;
pub mod scorer;
pub mod scorers;

/// The most that a linear model adds on its own, nats: h/16.
const ALONE: f32 = 1.29;
/// Share of h from which on the models look at each request of a client.
const NEAR: f32 = 0.75;
/// Steps of a nat in [`State`].
const STEPS: f32 = 16.0;
/// Milliseconds of an epoch: a client teaches the forest once in each.
const EPOCH_MS: u64 = 3_600_000;

/// Which of the two models speak; for measuring what each is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Models {
    /// The linear ones.
    pub scorers: bool,
    /// The forest.
    pub forest: bool,
}

impl Default for Models {
    fn default() -> Self {
        Self { scorers: true, forest: true }
    }
}

/// What the models said of a source at its last checkpoint. Plain old data.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct State {
    /// By how much the linear model of each threat passes what one in a thousand benign clients
    /// reaches, in sixteenths of a nat.
    margins: [u8; 8],
    /// How surprising the forest finds it beyond one in a hundred, in sixteenths of a nat.
    surprise: u8,
    padding: u8,
    /// The epoch in which it taught the forest, plus one.
    epoch: u16,
}

impl State {
    /// What the models add to the evidence for a threat, nats, if it is there: what the linear one says up to
    /// [`ALONE`], and beyond that what both say. A linear model sees much of what the sequential test has
    /// counted already; the forest knows nothing of threats, but what is usual here.
    fn of(&self, threat: usize) -> f32 {
        let margin = self.margins[threat];
        let alone = f32::from(margin) / STEPS;
        alone.min(ALONE) + f32::from(margin.min(self.surprise)) / STEPS
    }

    /// The most that they add to any.
    pub(crate) fn most(&self) -> f32 {
        (0..8).map(|threat| self.of(threat)).fold(0.0, f32::max)
    }
}

/// Evidence with what corroborates it, nats: nothing more below half of the threshold h, from there at
/// most as much as the evidence passes h/2, and at most h/8. Who the models help to convict has
/// sequential evidence of seven eighths of h at least.
pub fn corroborated(evidence: f32, models: f32) -> f32 {
    let h = Sensitivity::Normal.threshold();
    evidence + models.min(evidence - h / 2.0).min(h / 8.0).max(0.0)
}

impl Source {
    /// The evidence for each threat, nats: of the sequential tests, corroborated by the models.
    pub fn evidence(&self) -> [f32; 8] {
        core::array::from_fn(|k| corroborated(self.walks[k].evidence(), self.learned.of(k)))
    }

    /// At least as much as the evidence for any threat, at no cost of a logarithm.
    pub fn reach(&self) -> f32 {
        corroborated(self.peak(), self.learned.most())
    }

    /// Whether [`Self::reach`] is at least `nats`; nearly nobody's evidence is anywhere near.
    pub(crate) fn may_reach(&self, nats: f32) -> bool {
        self.reach() >= nats
    }
}

/// The day of a lesson, never zero but once in 2¹⁶.
fn epoch_of(now_ms: u64) -> u16 {
    ((now_ms / EPOCH_MS) as u16).wrapping_add(1)
}

/// Whether the models look at a source that has made so many requests.
fn is_checkpoint(requests: u32) -> bool {
    matches!(requests, 8 | 16 | 32) || (requests != 0 && requests % 64 == 0)
}

impl Engine<'_> {
    /// All clients that are remembered.
    pub fn clients(&self) -> impl Iterator<Item = &Source> {
        self.sources.iter().filter(|source| source.kind == SourceKind::Client as u8)
    }

    /// The evidence against a source, nats; `None` when it is not remembered.
    pub fn evidence(&self, application: u64, key: SourceKey) -> Option<f32> {
        let slot = self.sources.find(source_hash(application, key))?;
        Some(Fusion::of(self.sources.get(slot)).evidence)
    }

    /// What the models see of a source.
    pub fn features(&self, source: &Source) -> features::Features {
        let none = Profile::default();
        features::of(source, self.profile(source.application).unwrap_or(&none))
    }

    /// At a checkpoint of a client, lets the models look at it if what they say would count; a well-behaved
    /// one teaches the forest, unless the record's sources are under suspicion.
    pub(crate) fn reconsider(
        &mut self,
        slots: &Slots,
        application: usize,
        now_ms: u64,
        teaches: bool,
    ) {
        self.forest.count_record();
        let Some(slot) = slots.client else { return };
        let source = self.sources.get_mut(slot);
        let (checkpoint, peak) = (is_checkpoint(source.requests), slots.client_peak());
        let h = Sensitivity::Normal.threshold();
        let looked_at = peak >= NEAR * h || (checkpoint && peak >= h / 2.0);
        let epoch = epoch_of(now_ms);
        let lesson = checkpoint
            && teaches
            && self.config.models.forest
            && source.learned.epoch != epoch
            && source.is_vouched_at(peak)
            && source.convictions == 0
            && self.forest.is_due(now_ms);
        if looked_at || lesson {
            self.look_again(slot, application, now_ms, (looked_at, lesson));
        }
    }

    /// Lets the models look at a client (`looked_at`), or learn from it.
    #[cold]
    #[inline(never)]
    fn look_again(
        &mut self,
        slot: usize,
        application: usize,
        now_ms: u64,
        (looked_at, lesson): (bool, bool),
    ) {
        let source = self.sources.get_mut(slot);
        let epoch = epoch_of(now_ms);
        let models = self.config.models;
        let profile = &self.profiles[application.min(self.profiles.len() - 1)];
        let features = features::of(source, profile);
        let step = |nats: f32| (nats * STEPS).clamp(0.0, 255.0) as u8;
        if models.scorers && looked_at {
            for (margin, scorer) in source.learned.margins.iter_mut().zip(&scorers::SCORERS) {
                *margin = step(scorer.margin(&features));
            }
        }
        if models.forest && looked_at {
            let score = self.forest.score(&features);
            source.learned.surprise = step(self.forest.surprise(score));
        }
        if lesson {
            let network = (source.network >> 8) as u32;
            if self.forest.offer(&features, network, now_ms / EPOCH_MS, now_ms) {
                source.learned.epoch = epoch;
            }
        }
    }
}

/// What findings say of the models, in the order of the threats and then the forest.
pub const MEASURES: [Measure; 9] = [
    score::<0>(),
    score::<1>(),
    score::<2>(),
    score::<3>(),
    score::<4>(),
    score::<5>(),
    score::<6>(),
    score::<7>(),
    Measure {
        threat: None,
        name: "anomaly",
        unit: "nats",
        normal: forest::COMMON,
        value: |s| beyond(forest::COMMON, s.learned.surprise),
    },
];

const fn score<const K: usize>() -> Measure {
    Measure {
        threat: Some(Threat::ALL[K]),
        name: "learned_score",
        unit: "nats",
        normal: scorers::SCORERS[K].floor(),
        value: |s| beyond(scorers::SCORERS[K].floor(), s.learned.margins[K]),
    }
}

/// What passes `normal` by so many steps; 0 when it does not.
fn beyond(normal: f32, steps: u8) -> f32 {
    if steps == 0 { 0.0 } else { normal + f32::from(steps) / STEPS }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Walks;

    #[test]
    fn models_alone_convict_nobody() {
        let learned = State { margins: [255; 8], surprise: 255, ..State::default() };
        let mut source = Source { learned, ..Source::default() };
        assert_eq!(source.evidence(), [0.0; 8]);
        assert_eq!(source.reach(), 0.0);
        let h = Sensitivity::Normal.threshold();
        source.walks = [Walks::at([h / 2.0; 4]); 8];
        assert!(source.evidence().iter().all(|&e| (e - h / 2.0).abs() < 1e-3), "a suspect is one");
        source.walks = [Walks::at([0.87 * h; 4]); 8];
        assert!(Fusion::mix(source.evidence(), 0xff).evidence < h);
        source.walks = [Walks::at([0.88 * h; 4]); 8];
        assert!(Fusion::mix(source.evidence(), 0xff).evidence >= h);
        source.walks = [Walks::at([h; 4]); 8];
        assert!(source.evidence().iter().all(|&e| (e - 1.125 * h).abs() < 0.01));
        source.learned = State { surprise: 0, ..learned };
        assert!(ALONE <= h / 16.0);
        assert!(source.evidence().iter().all(|&e| (e - h - ALONE).abs() < 1e-3));
        source.learned = State { margins: [0; 8], ..learned };
        assert!(source.evidence().iter().all(|&e| (e - h).abs() < 1e-3), "it alone is silent");
    }

    #[test]
    fn reach_is_an_upper_bound() {
        let mut random = 5;
        for n in 0..2000 {
            random = crate::hash::combine(random, n);
            let byte = |at: u32| (random >> (8 * at)) as u8;
            let mut source = Source::default();
            let nats = core::array::from_fn(|m| f32::from(byte(m as u32)) / 8.0);
            source.walks[(random >> 60) as usize % 8] = Walks::at(nats);
            source.learned.margins = random.to_le_bytes().map(|b| b / 2);
            source.learned.surprise = byte(3);
            let most = source.evidence().into_iter().fold(0.0, f32::max);
            assert!(most <= source.reach() + 1e-3, "{most} {}", source.reach());
            assert!(most <= 2.0 * source.peak() + 1e-3);
        }
    }

    #[test]
    fn checkpoints() {
        let at: Vec<u32> = (0..300).filter(|&n| is_checkpoint(n)).collect();
        assert_eq!(at, [8, 16, 32, 64, 128, 192, 256]);
    }
}
