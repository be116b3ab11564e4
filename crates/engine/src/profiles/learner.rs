//! How a day becomes part of what is normal.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{Feature, Histogram};

/// A null moves by no more than this factor a day.
pub const DRIFT: f32 = 1.1;
/// The share of vouched clients that a null lets pass.
const SHARE: f32 = 0.995;
/// Samples that weigh as much as the prior.
const PRIOR_SAMPLES: f32 = 20.0;
/// Fewer samples are no profile.
pub const READY_SAMPLES: u32 = 20;
/// Distance of two days that still agree, beyond what chance makes of their sizes.
const AGREES: f32 = 0.08;
/// Days that may disagree with what is live, one like the other, until they are the new normal.
const NEW_NORMAL_DAYS: u32 = 7;

/// What is learned of one feature. Plain old data.
#[derive(Clone, Copy, Debug, Default, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Learner {
    /// The day that is being learned.
    pub today: Histogram,
    /// The day before: it acts when this one agrees.
    pub shadow: Histogram,
    /// What acts.
    pub live: Histogram,
    /// The null, 0 while there is none.
    pub null: f32,
    /// Days in a row on which the shadow agreed with the next day but not with what is live.
    pub(super) strange_days: u32,
}

impl Learner {
    /// The time of learning is over: what there is acts.
    pub fn begin(&mut self, feature: Feature) {
        if self.live.total() == 0 {
            let seen = [self.shadow, self.today].map(|day| (day.total(), day));
            self.live = if seen[0].0 > seen[1].0 { seen[0].1 } else { seen[1].1 };
        }
        self.settle(feature);
    }

    /// The first null there is.
    fn settle(&mut self, feature: Feature) {
        let enough = self.live.total() >= READY_SAMPLES;
        self.null = if enough { self.shrunk(feature) } else { 0.0 };
    }

    /// A day is over. It becomes the shadow; the shadow before it becomes live if it agrees with what
    /// is live, or has disagreed with it for a week in which every day was like the last.
    pub fn fold(&mut self, feature: Feature) {
        let today = core::mem::take(&mut self.today);
        if today.total() < READY_SAMPLES {
            // Too few to say anything: they go on into the next day.
            self.today = today;
            return;
        }
        let shadow = core::mem::replace(&mut self.shadow, today);
        if self.live.total() < READY_SAMPLES {
            // The first days are all there is.
            self.live.blend(&today);
            self.settle(feature);
            return;
        }
        if shadow.total() == 0 {
            return;
        }
        let next = Self::agrees(&shadow, &today);
        if next && Self::agrees(&self.live, &shadow) {
            self.strange_days = 0;
        } else {
            self.strange_days = if next { self.strange_days + 1 } else { 0 };
            if self.strange_days < NEW_NORMAL_DAYS {
                return;
            }
        }
        self.live.blend(&shadow);
        self.null = self.drifted(feature);
    }

    /// Whether a day is like what was before: the body by the distance of Kolmogorov and Smirnov (at 5 %,
    /// with a margin), the tail by how many pass the quantile (three standard deviations).
    fn agrees(before: &Histogram, day: &Histogram) -> bool {
        let (n, m) = (before.total().max(1) as f32, day.total().max(1) as f32);
        let body = before.distance(day) <= AGREES + 1.36 * ((n + m) / (n * m)).sqrt();
        let bin = super::bin_of(before.quantile(SHARE).ceil() as u32);
        let share = before.tail(bin + 1).max(1.0 - SHARE);
        let beyond = (day.tail(bin + 1) * m).max(0.0);
        let expected = share * m;
        body && beyond <= expected + 3.0 * expected.sqrt() + 1.0
    }

    /// The quantile with shrinkage to the prior, and no less than the floor.
    fn shrunk(&self, feature: Feature) -> f32 {
        let samples = self.live.total() as f32;
        let quantile = self.live.quantile(SHARE).max(feature.floor()).ln();
        let weighted = samples * quantile + PRIOR_SAMPLES * feature.prior().ln();
        (weighted / (samples + PRIOR_SAMPLES)).exp().max(feature.floor())
    }

    fn drifted(&self, feature: Feature) -> f32 {
        self.shrunk(feature).clamp(self.null / DRIFT, self.null * DRIFT)
    }
}
