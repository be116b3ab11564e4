//! What a source did today.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{FEATURES, Feature, Tally};

/// Bits of a bin in [`Activity::bins`].
const BIN_BITS: u32 = 5;
/// The bit of [`Activity::bins`] that says that there is a sample.
const SAMPLE: u64 = 1 << 63;
/// Length of a window in which requests are counted.
const WINDOW_MS: u64 = 600_000;

/// What a source did today. Plain old data, any bit pattern is valid.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Activity {
    /// The bins that it added to the profile, five bits each.
    pub(super) bins: u64,
    /// Different private objects: linear counting (Whang 1990) in 64 bits.
    objects: u64,
    /// A bit for each of 32 groups of templates.
    templates: u32,
    /// Day, as [`super::Profile`] counts it.
    pub(super) epoch: u16,
    /// Window of ten minutes, and requests in it.
    window: u8,
    in_window: Tally,
    /// Where its sample of posts and of private objects is counted, see [`super::Habits`].
    pub(super) habits: [u32; 2],
    tallies: [Tally; FEATURES],
    /// A bit for each of 32 groups of those who asked for its private objects before.
    owners: u32,
}

/// What one request adds to a day.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    /// Monotonic milliseconds.
    pub now_ms: u64,
    /// Hash of the template.
    pub template: u64,
    /// Hash of the private object asked for.
    pub private_object: Option<u64>,
    /// Features that it counts one for.
    pub features: u16,
    /// Misses.
    pub miss: bool,
    /// [`Self::part`] of the upstream time, in tenths of a second.
    pub upstream: u32,
    /// The same of the response, in units of 8 KiB.
    pub volume: u32,
    /// Decides what falls between two values of a counter.
    pub chance: u64,
}

impl Count {
    /// An amount in units of a feature; chance decides what is left over.
    pub fn part<const UNIT: u64>(amount: u64, chance: u64) -> u32 {
        let chance = (chance >> 32) % UNIT;
        u32::try_from(amount / UNIT + u64::from(chance < amount % UNIT)).unwrap_or(u32::MAX)
    }

    /// Counts one for a feature.
    pub fn one(&mut self, feature: Feature, happened: bool) {
        self.features |= u16::from(happened) << feature as u8;
    }
}

impl Activity {
    /// The day that is counted, modulo 2¹⁶.
    pub fn epoch(&self) -> u16 {
        self.epoch
    }

    /// Counts a request; how many private objects it stands for that are new today, as far as can be
    /// told.
    pub fn count(&mut self, count: &Count) -> u32 {
        self.turn(count.now_ms);
        let window = (count.now_ms / WINDOW_MS) as u8;
        if self.window != window {
            (self.window, self.in_window) = (window, Tally::default());
        }
        let chance = count.chance as u32;
        self.in_window.add_one(chance);
        let busiest = &mut self.tallies[Feature::Busiest as usize];
        *busiest = (*busiest).max(self.in_window);
        self.templates |= 1 << (count.template >> 59);
        let mut features = count.features | 1 << Feature::Requests as u8;
        features |= u16::from(count.miss) << Feature::Misses as u8;
        while features != 0 {
            self.tallies[features.trailing_zeros() as usize % FEATURES].add_one(chance);
            features &= features - 1;
        }
        for (feature, amount) in
            [(Feature::Upstream, count.upstream), (Feature::Volume, count.volume)]
        {
            if amount != 0 {
                self.tallies[feature as usize].add(amount, chance);
            }
        }
        count.private_object.map_or(0, |object| self.object(object, chance))
    }

    /// The same for a source whose day is no sample: only what detectors ask of it.
    pub fn count_part(&mut self, count: &Count) -> u32 {
        self.turn(count.now_ms);
        let chance = count.chance as u32;
        if count.features & 1 << Feature::Posts as u8 != 0 {
            self.tallies[Feature::Posts as usize].add(1, chance);
        }
        count.private_object.map_or(0, |object| self.object(object, chance))
    }

    /// Begins a new day when it is one.
    fn turn(&mut self, now_ms: u64) {
        let epoch = super::Profile::epoch_of(now_ms) as u16;
        if self.epoch != epoch {
            *self = Self { epoch, ..Self::default() };
        }
    }

    /// A copy for another source, which has added no sample.
    pub fn forget_sample(&mut self) {
        (self.bins, self.habits) = (0, [0; 2]);
    }

    /// Takes in a private object. As bits fill up, a new one stands for more.
    fn object(&mut self, object: u64, chance: u32) -> u32 {
        let bit = 1 << (object >> 58);
        if self.objects & bit != 0 {
            return 0;
        }
        let free = self.objects.count_zeros();
        self.objects |= bit;
        let stands_for = 64 / free + u32::from(chance % free < 64 % free);
        self.tallies[Feature::PrivateObjects as usize].add(stands_for, chance);
        stands_for
    }

    /// Takes in who asked for a private object before; true when nobody of its group did today.
    pub fn owner(&mut self, owner: u16) -> bool {
        let bit = 1 << (crate::hash::combine(u64::from(owner), 0x0b) >> 59);
        let new = self.owners & bit == 0;
        self.owners |= bit;
        new
    }

    /// How many asked for its private objects before: groups, of 32.
    pub fn owners(&self) -> u32 {
        self.owners.count_ones()
    }

    /// The value of a feature on the day of `now_ms`: zero when nothing was counted on it.
    pub fn today(&self, feature: Feature, now_ms: u64) -> f32 {
        let today = self.epoch == super::Profile::epoch_of(now_ms) as u16;
        if today { self.value(feature) } else { 0.0 }
    }

    /// The value of a feature.
    pub fn value(&self, feature: Feature) -> f32 {
        match feature {
            Feature::Templates => self.templates.count_ones() as f32,
            Feature::Misses => self.miss_percent() as f32,
            _ => self.tallies[feature as usize].value() as f32,
        }
    }

    fn miss_percent(&self) -> u32 {
        let [misses, requests] =
            [Feature::Misses, Feature::Requests].map(|f| self.tallies[f as usize].value());
        (misses * 100 / requests.max(1)).min(100)
    }

    /// All features: what scorers take.
    pub fn values(&self) -> [f32; FEATURES] {
        Feature::ALL.map(|feature| self.value(feature))
    }

    fn bin(&self, feature: Feature) -> u8 {
        match feature {
            Feature::Templates => super::bin_of(self.templates.count_ones()),
            Feature::Misses => super::bin_of(self.miss_percent()),
            _ => self.tallies[feature as usize].bin(),
        }
    }

    /// It has added a sample today.
    pub fn is_sample(&self) -> bool {
        self.bins & SAMPLE != 0
    }

    /// The bin of a feature that was added to the profile.
    pub(super) fn added(&self, feature: Feature) -> u8 {
        (self.bins >> (BIN_BITS * feature as u32) & 31) as u8
    }

    fn packed(&self) -> u64 {
        let bins = Feature::ALL
            .iter()
            .map(|&feature| u64::from(self.bin(feature)) << (BIN_BITS * feature as u32));
        SAMPLE | bins.sum::<u64>()
    }

    /// Remembers its bins, and gives each to `add`.
    pub(super) fn contribute(&mut self, mut add: impl FnMut(Feature, u8)) {
        self.bins = self.packed();
        for feature in Feature::ALL {
            add(feature, self.added(feature));
        }
    }

    /// Gives `shift` each bin that has changed since, and the new one.
    pub(super) fn update(&mut self, mut shift: impl FnMut(Feature, u8, u8)) {
        let before = *self;
        self.bins = self.packed();
        let mut changed = before.bins ^ self.bins;
        while changed != 0 {
            let at = changed.trailing_zeros() / BIN_BITS;
            changed &= !(31 << (at * BIN_BITS));
            if let Some(&feature) = Feature::ALL.get(at as usize) {
                shift(feature, before.added(feature), self.added(feature));
            }
        }
    }

    /// Gives `remove` each bin that was added, and forgets them.
    pub(super) fn withdraw(&mut self, mut remove: impl FnMut(Feature, u8)) {
        if self.is_sample() {
            for feature in Feature::ALL {
                remove(feature, self.added(feature));
            }
        }
        self.bins = 0;
    }
}
