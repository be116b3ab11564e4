//! One group of objects: how popular they are, and whether they are somebody's.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{BUCKETS, Lesson, Visit};

/// Honest requests after which the histograms of a group say something.
const WARM_VISITS: u32 = 400;
/// Groups of sources (of 32) that must have made them.
const WARM_SOURCES: u32 = 6;
/// Share of uniform traffic that the null allows for: crawlers, people who browse everything.
const NULL_UNIFORM: f32 = 0.3;
/// A group that was private for a day is not public before it has been something else for as many
/// days: who wants to open what is not theirs could else prepare it.
pub(super) const SEALED_DAYS: u32 = 7;
/// Returns to an object after which its group can be called private.
const PRIVATE_RETURNS: u32 = 40;
/// Returns to an object, and groups of sources (of 32), after which several people are taken to have
/// objects of their own in its group.
const APART_RETURNS: u32 = 16;
const APART_SOURCES: u32 = 8;
/// The same of objects that somebody who shows who it is was the first to ask for, with returns, and of how
/// many that is (groups, of 64).
const HELD_OBJECTS: u32 = 16;
const HOLDERS: u32 = 8;
/// Objects of each of them, at most: of a catalogue people look at more. Not held against so many that the
/// groups are full.
const HELD_EACH: u32 = 5;
const HOLDERS_FULL: u32 = 56;
/// How many times what was seen counts while nobody but one asked for more objects than few: people who look
/// at many make a catalogue of it.
const NONE_COLLECTS: u32 = 2;

/// What is known of one group of objects. Plain old data; key 0 is a free slot.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(8))]
pub struct Group {
    /// Key of the template.
    pub key: u64,
    /// Monotonic milliseconds of the last request.
    pub last_ms: u64,
    /// Honest requests, by the popularity of what they asked for.
    pub(super) visits: [u32; BUCKETS],
    /// Objects, by popularity.
    pub(super) objects: [u32; BUCKETS],
    /// Honest requests altogether.
    pub(super) total: u32,
    /// A bit for each of 32 groups of sources.
    sources: u32,
    /// Returns to an object by the one who asked for it last.
    pub(super) returns: u32,
    /// Requests for an object that somebody else asked for last.
    pub(super) changes: u32,
    /// The day that is counted.
    pub(super) epoch: u32,
    /// Days for which it stays apart from the public ones, whatever is asked for: it was private.
    pub(super) sealed: u32,
    /// A bit for each of 64 groups of those who showed who they are, and were the first to ask for an object.
    holders: u64,
    /// Such objects.
    pub(super) held: u32,
    /// A bit for each of 32 groups of those who asked for what somebody else had asked for last.
    changers: u32,
    /// The same of those who did not show who they are.
    strangers: u32,
    /// The same of those who asked for one more, and for more objects before than one has of one's own.
    collectors: u32,
}

impl Group {
    /// One of which nothing is known.
    pub(super) fn new(key: u64) -> Self {
        Self { key, ..Self::default() }
    }

    /// What a request for an object of this popularity says.
    pub(super) fn judge(&self, bucket: usize, learned: bool) -> Visit {
        let warm =
            learned && self.total >= WARM_VISITS && self.sources.count_ones() >= WARM_SOURCES;
        let returns = self.returns + self.changes;
        let known = returns >= PRIVATE_RETURNS;
        let hardly_shared = |of: u32| self.changes * 20 <= of;
        let held = self.is_held();
        // What one alone asks for of others says nothing of what they are: it may be a walk.
        let alone = held && self.changers.count_ones() <= 1;
        let weight = self.weight();
        let several = self.sources.count_ones() * weight >= APART_SOURCES
            && returns.saturating_mul(weight) >= APART_RETURNS;
        Visit {
            group: self.key,
            key: 0,
            id: None,
            popularity: if warm { self.popularity(bucket) } else { 0.0 },
            warm,
            foreign: false,
            own: false,
            owner: 0,
            private: known && (hardly_shared(returns) || alone),
            apart: alone
                || (held && hardly_shared(returns + self.held))
                || (several && hardly_shared(returns)),
            public: self.sealed == 0 && known && self.changes * 4 >= returns && !alone,
            sealed: self.sealed > 0,
        }
    }

    /// How many times what was seen counts.
    fn weight(&self) -> u32 {
        if self.collectors.count_ones() <= 1 { NONE_COLLECTS } else { 1 }
    }

    /// Each of several, as far as is known, has objects of its own.
    fn is_held(&self) -> bool {
        let holders = self.holders.count_ones();
        let weight = self.weight();
        (self.held + self.returns).saturating_mul(weight) >= HELD_OBJECTS
            && holders * weight >= HOLDERS
            && (self.held <= HELD_EACH * holders || holders >= HOLDERS_FULL)
            && self.strangers.count_ones() <= 1
    }

    /// Who asked for an object before (`before`), and who does now.
    pub(super) fn bind(&mut self, before: Option<u64>, tag: u64, owner: u64, lesson: Lesson) {
        let bit = 1 << (owner >> 59);
        if !lesson.shown {
            self.strangers |= bit;
        }
        let returns = before == Some(tag);
        if !lesson.few && !returns {
            self.collectors |= bit;
        }
        match before {
            _ if !lesson.binds => {}
            Some(_) if returns => self.returns = self.returns.saturating_add(1),
            Some(_) => {
                self.changes = self.changes.saturating_add(1);
                self.changers |= bit;
            }
            // Nobody alone says how many objects each has.
            None if lesson.shown && lesson.few => {
                self.held = self.held.saturating_add(1);
                self.holders |= 1 << (owner >> 58);
            }
            None => {}
        }
    }

    /// `ln P(b | uniform) / (0.7 P(b | benign) + 0.3 P(b | uniform))`, with one pseudo-count a bucket.
    fn popularity(&self, bucket: usize) -> f32 {
        let share = |counts: &[u32; BUCKETS]| {
            let total: u64 = counts.iter().map(|&count| u64::from(count)).sum();
            (counts[bucket] as f32 + 1.0) / (total + BUCKETS as u64) as f32
        };
        let uniform = share(&self.objects);
        let benign = share(&self.visits);
        (uniform / ((1.0 - NULL_UNIFORM) * benign + NULL_UNIFORM * uniform)).ln()
    }

    /// A day is over.
    pub(super) fn turn(&mut self, epoch: u32) {
        if epoch == self.epoch {
            return;
        }
        self.epoch = epoch;
        let returns = self.returns + self.changes;
        if returns < PRIVATE_RETURNS {
            return;
        }
        let private = self.changes * 20 <= returns;
        self.sealed = if private { SEALED_DAYS } else { self.sealed.saturating_sub(1) };
        if returns >= 4 * PRIVATE_RETURNS {
            (self.returns, self.changes) = (self.returns / 2, self.changes / 2);
        }
    }

    pub(super) fn learn(&mut self, from: usize, to: usize, new: bool, source: u64) {
        self.total = self.total.saturating_add(1);
        self.sources |= 1 << (source >> 59);
        self.visits[from] = self.visits[from].saturating_add(1);
        if new {
            self.objects[to] = self.objects[to].saturating_add(1);
        } else if from != to {
            self.objects[from] = self.objects[from].saturating_sub(1);
            self.objects[to] = self.objects[to].saturating_add(1);
        }
        if self.total >= 1 << 20 {
            // Old habits fade; the shares stay.
            self.total /= 2;
            self.visits.iter_mut().for_each(|count| *count /= 2);
        }
    }
}
