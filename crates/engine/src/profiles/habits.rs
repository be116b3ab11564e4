//! What is normal for one template: how much those who use it at all use it in a day.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{Activity, Feature, Learner, Profile, READY_SAMPLES};

/// Slots looked at for one key.
const PROBES: usize = 8;
/// The features that are learned by template, in the order of [`Activity::habits`].
const BY_TEMPLATE: [Feature; 2] = [Feature::Posts, Feature::PrivateObjects];

/// One feature of those who use a template. Plain old data; key 0 is a free slot.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(8))]
pub struct Habit {
    /// Key of the template.
    pub(crate) key: u64,
    /// Monotonic milliseconds of the last sample.
    pub(crate) last_ms: u64,
    /// The day that is being learned.
    pub(crate) epoch: u32,
    pub(super) ready: u32,
    pub(super) learner: Learner,
}

impl Habit {
    fn advance(&mut self, feature: Feature, now_ms: u64, ready: bool) {
        let epoch = Profile::epoch_of(now_ms);
        if ready && self.ready == 0 {
            self.ready = 1;
            self.learner.begin(feature);
        }
        if epoch > self.epoch {
            self.epoch = epoch;
            self.learner.fold(feature);
        }
    }

    /// What is learned.
    pub fn learner(&self) -> &Learner {
        &self.learner
    }
}

/// Habits of all templates.
#[derive(Debug)]
pub struct Habits<'m>(&'m mut [Habit]);

impl<'m> Habits<'m> {
    /// A table over `slots`, a power of two of at least 8 and at most 65,536.
    pub fn new(slots: &'m mut [Habit]) -> Self {
        debug_assert!(slots.len().is_power_of_two() && slots.len() >= PROBES);
        Self(slots)
    }

    fn window(&self, key: u64) -> impl Iterator<Item = usize> + use<> {
        let mask = self.0.len() - 1;
        (0..PROBES).map(move |i| (key as usize).wrapping_add(i) & mask)
    }

    fn find(&self, key: u64) -> Option<usize> {
        self.window(key).find(|&slot| self.0[slot].key == key && key != 0)
    }

    /// The slot of a template, made if it is new; what says nothing yet gives way first.
    fn slot(&mut self, key: u64, epoch: u32) -> usize {
        let found = self.find(key).or_else(|| {
            let weight = |slot: &usize| {
                let habit = &self.0[*slot];
                (habit.key != 0, habit.learner.live.total() > 0, habit.last_ms)
            };
            self.window(key).min_by_key(weight)
        });
        let slot = found.unwrap_or(0);
        if self.0[slot].key != key {
            self.0[slot] = Habit { key, epoch, ..Habit::default() };
        }
        slot
    }

    /// The null of a feature for those who use this template, if enough is known of them.
    #[inline(never)]
    pub fn null(&mut self, feature: Feature, key: u64, now_ms: u64, ready: bool) -> Option<f32> {
        let slot = self.find(habit_key(feature, key)?)?;
        let habit = &mut self.0[slot];
        habit.advance(feature, now_ms, ready);
        let Learner { live, today, null, .. } = &habit.learner;
        let known = ready && live.total() >= READY_SAMPLES && *null > 0.0;
        // Where people do it all day long, as in a chat, how often says nothing. Of few samples the null
        // is what the busiest does, which poison may raise: what nearly all do decides as well.
        let (most, nearly_all) = (live.quantile(0.5), live.quantile(0.9));
        let rare =
            most <= feature.floor() && (*null <= feature.prior() || nearly_all <= feature.floor());
        // Where most do it today beyond what was normal, the application has changed.
        let changed = today.total() >= READY_SAMPLES && today.quantile(0.5) > *null;
        (known && rare && !changed).then_some(*null)
    }

    /// Whether the sample of a client's day is counted for this template rather than another.
    pub fn is_home(&self, activity: &Activity, feature: Feature, key: u64) -> bool {
        let key = habit_key(feature, key);
        let slot = self.home(activity, feature);
        slot.is_some_and(|slot| Some(self.0[slot].key) == key)
    }

    /// Of the nulls of a template and of its application, the one that a source is held against: where
    /// its day began with another template, its count holds more than this one's.
    pub fn null_for(
        &self,
        activity: &Activity,
        nulls: Option<(f32, f32)>,
        (feature, key): (Feature, u64),
    ) -> Option<f32> {
        let (habit, application) = nulls?;
        let elsewhere =
            self.home(activity, feature).is_some() && !self.is_home(activity, feature, key);
        Some(if elsewhere { habit.max(application) } else { habit })
    }

    fn home(&self, activity: &Activity, feature: Feature) -> Option<usize> {
        let at = BY_TEMPLATE.iter().position(|&it| it == feature)?;
        let home = activity.habits[at];
        let slot = (home >> 16) as usize;
        let tag = home & 0xffff;
        let habit = self.0.get(slot)?;
        (home != 0 && tag == tag_of(habit.key)).then_some(slot)
    }

    /// Takes in the change of a client's sample from what it was `before` the profile learned it. It
    /// is counted for the template `used` that it is the first to use today.
    pub fn learn(
        &mut self,
        activity: &mut Activity,
        before: &Activity,
        used: (Feature, u64),
        now_ms: u64,
        ready: bool,
    ) {
        if before.bins == activity.bins && used.1 == 0 {
            return;
        }
        self.learn_change(activity, before, used, now_ms, ready);
    }

    #[inline(never)]
    fn learn_change(
        &mut self,
        activity: &mut Activity,
        before: &Activity,
        used: (Feature, u64),
        now_ms: u64,
        ready: bool,
    ) {
        for (at, feature) in BY_TEMPLATE.into_iter().enumerate() {
            let (from, to) = (before.added(feature), activity.added(feature));
            if let Some(slot) = self.home(activity, feature) {
                if before.is_sample() && from != to {
                    self.0[slot].learner.today.shift(from, to);
                    self.0[slot].last_ms = now_ms;
                }
            } else if let (true, Some(key)) = (used.0 == feature, habit_key(feature, used.1)) {
                let slot = self.slot(key, Profile::epoch_of(now_ms));
                let habit = &mut self.0[slot];
                habit.advance(feature, now_ms, ready);
                habit.last_ms = now_ms;
                habit.learner.today.add(to);
                activity.habits[at] = (slot as u32) << 16 | tag_of(key);
            }
        }
    }

    /// Takes out what a client added today; before its profile does.
    pub fn unlearn(&mut self, activity: &mut Activity, now_ms: u64) {
        let today = Profile::epoch_of(now_ms);
        for (at, feature) in BY_TEMPLATE.into_iter().enumerate() {
            if let Some(slot) = self.home(activity, feature) {
                let habit = &mut self.0[slot];
                if activity.epoch() == today as u16 && habit.epoch == today {
                    habit.learner.today.remove(activity.added(feature));
                }
            }
            activity.habits[at] = 0;
        }
    }

    /// All that are known.
    pub fn iter(&self) -> impl Iterator<Item = &Habit> {
        self.0.iter().filter(|habit| habit.key != 0)
    }

    /// Puts one where it belongs.
    pub(crate) fn insert(&mut self, habit: &Habit) {
        if habit.key != 0 {
            let slot = self.slot(habit.key, habit.epoch);
            self.0[slot] = *habit;
        }
    }

    /// What is known of a template.
    pub fn get(&self, feature: Feature, key: u64) -> Option<&Habit> {
        self.find(habit_key(feature, key)?).map(|slot| &self.0[slot])
    }
}

fn habit_key(feature: Feature, key: u64) -> Option<u64> {
    (key != 0).then(|| crate::hash::combine(key, 0x6861_6269_7400 | feature as u64).max(1))
}

/// Sixteen bits of a key, never zero.
fn tag_of(key: u64) -> u32 {
    (key >> 48) as u32 | 1
}
