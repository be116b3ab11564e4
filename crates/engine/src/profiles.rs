//! What is normal for an application: quantiles of what its sources do in a day, learned so that
//! whoever wants to be taken for normal has to be patient, many and well-behaved.
//!
//! A source keeps a few counters of its day ([`Activity`]). A well-behaved one adds one sample to the
//! [`Histogram`] of each [`Feature`], which moves along while its day goes on. Detectors read the null
//! off a profile ([`Profile::null`]: the 99.5 % quantile, drawn towards a shipped prior while there
//! are few samples); scorers read how surprising a value is ([`Profile::surprise`]).
//!
//! What stands against poison:
//!
//! * only clients that were vouched for, and that no evidence speaks against, add a sample;
//! * one sample a client and day, and no more than a share of them from one network ([`caps`]: /24,
//!   /48) and from one fingerprint;
//! * nothing is learned while an attack from many sources is on or the circuit breaker is open;
//! * a day acts only after the day that followed it agreed, body and tail ([`Learner::fold`]);
//! * a null moves by no more than a tenth a day;
//! * what a convicted client had added today is taken out again, bit for bit ([`Profile::unlearn`]).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

mod activity;
mod caps;
mod feature;
mod habits;
mod histogram;
mod learner;
mod saved;
mod tally;

pub use activity::{Activity, Count};
pub use caps::{Caps, FINGERPRINT_LEAST, FINGERPRINT_SHARE, NETWORK_LEAST, NETWORK_SHARE};
pub use feature::{FEATURES, Feature};
pub use habits::{Habit, Habits};
pub use histogram::{BINS, Histogram, bin_of};
pub use learner::{DRIFT, Learner, READY_SAMPLES};
pub use tally::Tally;

/// Milliseconds of an epoch: a day.
pub const EPOCH_MS: u64 = 86_400_000;

/// Whether an application's profile says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No sample yet.
    NoTraffic,
    /// Samples, but no profile that acts.
    Learning,
    /// It acts.
    Ready,
}

/// The profile of one application. Plain old data; key 0 is a free slot.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(8))]
pub struct Profile {
    /// Key of the application.
    pub(crate) key: u64,
    /// Nothing is learned until then, monotonic milliseconds.
    pub(crate) frozen_until_ms: u64,
    /// The day that is being learned, counted from the beginning of the clock.
    pub(crate) epoch: u32,
    /// How often what acts has changed: see [`Self::version`].
    version: u32,
    features: [Learner; FEATURES],
    caps: Caps,
    /// A bit for each of 64 groups of those who showed who they are: a session, a credential.
    people: u64,
}

/// Groups of people (of 64) from which on an application is one that several people use.
const SEVERAL: u32 = 6;

impl Profile {
    /// A profile that knows nothing.
    pub fn new(key: u64) -> Self {
        Self { key, ..Self::default() }
    }

    /// The day that a moment belongs to, as [`Activity`] keeps it.
    pub fn epoch_of(now_ms: u64) -> u32 {
        (now_ms / EPOCH_MS) as u32
    }

    /// Brings the profile to the day of `now_ms`. `ready`: the application has been learned for as long
    /// as its policy asks for.
    pub fn advance(&mut self, now_ms: u64, ready: bool) {
        let epoch = Self::epoch_of(now_ms);
        if ready && self.version == 0 {
            self.begin();
        }
        if epoch > self.epoch {
            self.turn(epoch);
        }
    }

    /// What was learned acts from now on.
    #[cold]
    #[inline(never)]
    fn begin(&mut self) {
        self.version = 1;
        for feature in Feature::ALL {
            self.features[feature as usize].begin(feature);
        }
    }

    /// A day is over.
    #[cold]
    #[inline(never)]
    fn turn(&mut self, epoch: u32) {
        self.epoch = epoch;
        self.caps.clear();
        let acts = |learners: &[Learner; FEATURES]| learners.map(|learner| learner.null.to_bits());
        let before = acts(&self.features);
        for feature in Feature::ALL {
            self.features[feature as usize].fold(feature);
        }
        if self.version != 0 && acts(&self.features) != before {
            self.version = self.version.saturating_add(1);
        }
    }

    /// 0 while the application is learned, 1 for the first nulls that act, one more with each day that
    /// changed them.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Takes in somebody who showed who it is.
    pub fn meet(&mut self, person: u64) {
        self.people |= 1 << (person >> 58);
    }

    /// Whether several people are known to use the application.
    pub fn is_peopled(&self) -> bool {
        self.people.count_ones() >= SEVERAL
    }

    /// Whether it says something.
    pub fn state(&self) -> State {
        let samples: u32 = self.features[0].today.total() + self.features[0].live.total();
        match (samples, self.version) {
            (0, _) => State::NoTraffic,
            (_, 0) => State::Learning,
            _ => State::Ready,
        }
    }

    /// Learns nothing for `lasts_ms`: an attack is on.
    pub fn freeze(&mut self, now_ms: u64, lasts_ms: u64) {
        self.frozen_until_ms = self.frozen_until_ms.max(now_ms.saturating_add(lasts_ms));
    }

    /// Whether nothing is learned.
    pub fn is_frozen(&self, now_ms: u64) -> bool {
        self.frozen_until_ms > now_ms
    }

    /// Takes in the day of a client as it stands: the first time as a new sample, if the caps of its
    /// network (a [`crate::source::network_of`] word) and its fingerprint allow; later by moving that
    /// sample. False when there is none.
    pub fn learn(
        &mut self,
        activity: &mut Activity,
        network: u64,
        fingerprint: u64,
        now_ms: u64,
    ) -> bool {
        if self.is_frozen(now_ms) || activity.epoch() != self.epoch as u16 {
            return activity.is_sample();
        }
        if !activity.is_sample() {
            if !self.caps.admit(network, fingerprint) {
                return false;
            }
            activity.contribute(|feature, bin| self.features[feature as usize].today.add(bin));
            return true;
        }
        activity.update(|feature, from, to| {
            self.features[feature as usize].today.shift(from, to);
        });
        true
    }

    /// Takes out what a client added today.
    pub fn unlearn(&mut self, activity: &mut Activity) {
        if activity.epoch() == self.epoch as u16 {
            activity.withdraw(|feature, bin| self.features[feature as usize].today.remove(bin));
        }
    }

    /// The least favourable normal value of a feature: its 99.5 % quantile over vouched clients, with
    /// shrinkage to the shipped prior. The prior itself until the profile is ready.
    pub fn null(&self, feature: Feature) -> f32 {
        match self.features[feature as usize].null {
            null if null > 0.0 && self.version != 0 => null,
            _ => feature.prior(),
        }
    }

    /// How surprising a value of a feature is: `−ln P(X ≥ value)` over vouched clients, nats, with half
    /// a sample for what was never seen. Zero until the profile is ready.
    pub fn surprise(&self, feature: Feature, value: f32) -> f32 {
        let live = &self.features[feature as usize].live;
        if self.version == 0 || live.total() < READY_SAMPLES {
            return 0.0;
        }
        -live.tail(bin_of(value as u32)).ln()
    }

    /// The surprise of each feature of a day.
    pub fn surprises(&self, activity: &Activity) -> [f32; FEATURES] {
        Feature::ALL.map(|feature| self.surprise(feature, activity.value(feature)))
    }

    /// What is learned of one feature.
    pub fn learner(&self, feature: Feature) -> &Learner {
        &self.features[feature as usize]
    }
}

#[cfg(test)]
mod tests;
