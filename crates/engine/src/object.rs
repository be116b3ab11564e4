//! Objects: what a template's identifiers stand for. How often each is asked for, by whom last, and
//! what that says of the template they belong to.
//!
//! People follow Zipf: most of their requests go to few objects. Whoever collects a catalogue takes
//! each object once. For every group of objects two histograms over the logarithm of popularity are
//! kept: where honest requests go, and where the objects are. Their ratio is the evidence.

use crate::profiles::EPOCH_MS;
use crate::role::Role;

mod group;
mod number;
mod saved;

pub use group::Group;
pub use number::{Named, last_number, number};

/// Buckets of popularity: 0, 1, 2–3, 4–7, … requests.
pub const BUCKETS: usize = 12;

/// What a request may teach, and what is made of it.
#[derive(Clone, Copy, Debug)]
pub struct Lesson {
    /// The application has been learned: how popular its objects are says something.
    pub learned: bool,
    /// Anything at all: nothing speaks against its source.
    pub teaches: bool,
    /// Whose the object is: whoever opens very many owns none of them.
    pub binds: bool,
    /// It shows who makes it: a session, a credential.
    pub shown: bool,
    /// Its source asked for few objects that may be private.
    pub few: bool,
}

/// One request for an object.
#[derive(Clone, Copy, Debug)]
pub struct Visit {
    /// The group that it belongs to.
    pub group: u64,
    /// Hash of its path and its identifier.
    pub key: u64,
    /// Its identifier, where it is a number.
    pub id: Option<u64>,
    /// `ln P(uniform) / P(benign)` of its popularity, nats; 0 while the group is not warm.
    pub popularity: f32,
    /// The group is warm: its popularity says something.
    pub warm: bool,
    /// Somebody else asked for it last.
    pub foreign: bool,
    /// Whoever asks now did so last.
    pub own: bool,
    /// Sixteen bits of who asked for it last, 0 for nobody known.
    pub owner: u16,
    /// Objects of this group are hardly ever shared.
    pub private: bool,
    /// As far as is known, each of several has objects of this group to itself.
    pub apart: bool,
    /// Objects of this group are shared by many.
    pub public: bool,
    /// They were private in the last days, at least.
    pub sealed: bool,
}

/// Popularity and owners of objects, and the groups they belong to.
#[derive(Debug)]
pub struct Objects<'m> {
    /// Count-min sketch in two rows.
    counts: &'m mut [u16],
    /// Object tag and owner tag of the last request for it.
    owners: &'m mut [u64],
    groups: &'m mut [Group],
}

impl<'m> Objects<'m> {
    /// Tables of power-of-two sizes.
    pub fn new(counts: &'m mut [u16], owners: &'m mut [u64], groups: &'m mut [Group]) -> Self {
        debug_assert!(counts.len().is_power_of_two() && owners.len().is_power_of_two());
        debug_assert!(groups.len().is_power_of_two() && groups.len() >= 8);
        Self { counts, owners, groups }
    }

    /// Takes in a served request for the object `key` of a group. `owner` is whoever it belongs to
    /// (a session, a credential, a client).
    pub fn visit(
        &mut self,
        group: u64,
        key: u64,
        id: Option<u64>,
        owner: u64,
        lesson: Lesson,
        now_ms: u64,
    ) -> Visit {
        let count = self.count(key);
        let bucket = bucket_of(count);
        let before = self.owner(key);
        let tag = owner >> 32;
        let foreign = before.is_some_and(|before| before != tag);
        let slot = self.group_slot(group);
        let own = before == Some(tag);
        let last = before.map_or(0, |tag| tag as u16 | 1);
        let visit = Visit {
            group,
            key,
            id,
            foreign,
            own,
            owner: last,
            ..self.groups[slot].judge(bucket, lesson.learned)
        };
        if lesson.teaches {
            let group = &mut self.groups[slot];
            group.last_ms = now_ms;
            group.turn((now_ms / EPOCH_MS) as u32);
            group.learn(bucket, bucket_of(count.saturating_add(1)), count == 0, owner);
            group.bind(before, tag, owner, lesson);
            self.increment(key, count);
            if lesson.binds {
                let index = self.owner_index(key);
                self.owners[index] = (key >> 32 << 32) | tag;
            }
        }
        visit
    }

    /// Reads what is known of an object: see [`crate::Engine::approach`].
    pub(crate) fn approach(&self, key: u64) -> u64 {
        u64::from(self.count(key)) ^ self.owners[self.owner_index(key)]
    }

    fn cells(&self, key: u64) -> [usize; 2] {
        let row = self.counts.len() / 2;
        [key as usize & (row - 1), row + ((key >> 32) as usize & (row - 1))]
    }

    fn count(&self, key: u64) -> u16 {
        let [a, b] = self.cells(key);
        self.counts[a].min(self.counts[b])
    }

    /// Conservative update: only the cells at the minimum grow.
    fn increment(&mut self, key: u64, count: u16) {
        for cell in self.cells(key) {
            if self.counts[cell] == count {
                self.counts[cell] = count.saturating_add(1);
            }
        }
    }

    fn owner_index(&self, key: u64) -> usize {
        key as usize & (self.owners.len() - 1)
    }

    fn owner(&self, key: u64) -> Option<u64> {
        let word = self.owners[self.owner_index(key)];
        (word != 0 && word >> 32 == key >> 32).then_some(word & 0xffff_ffff)
    }

    fn group_slot(&mut self, key: u64) -> usize {
        let first = key as usize & (self.groups.len() - 1);
        if self.groups[first].key == key { first } else { self.group_slot_further(key) }
    }

    #[inline(never)]
    fn group_slot_further(&mut self, key: u64) -> usize {
        let mask = self.groups.len() - 1;
        let slot = (0..8)
            .map(|i| (key as usize).wrapping_add(i) & mask)
            .min_by_key(|&i| match self.groups[i].key {
                found if found == key => (0, 0),
                0 => (1, 0),
                _ => (2, self.groups[i].last_ms),
            })
            .unwrap_or(0);
        if self.groups[slot].key != key {
            self.groups[slot] = Group::new(key);
        }
        slot
    }
}

impl Visit {
    /// The same where the configuration says whose objects these are.
    #[must_use]
    pub fn of(self, role: Role) -> Self {
        match role {
            Role::Object => Self { private: true, public: false, ..self },
            Role::Catalog => Self {
                public: true,
                private: false,
                apart: false,
                sealed: false,
                foreign: false,
                ..self
            },
            _ => self,
        }
    }
}

/// 0, 1, 2–3, 4–7, … for a count.
fn bucket_of(count: u16) -> usize {
    ((16 - count.leading_zeros()) as usize).min(BUCKETS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::combine;

    const ALL: Lesson =
        Lesson { learned: true, teaches: true, binds: true, shown: true, few: true };
    const NONE: Lesson =
        Lesson { learned: true, teaches: false, binds: false, shown: false, few: false };

    fn with_objects(test: impl FnOnce(&mut Objects<'_>)) {
        let (mut counts, mut owners) = (vec![0; 8192], vec![0; 4096]);
        let mut groups = vec![Group::default(); 64];
        test(&mut Objects::new(&mut counts, &mut owners, &mut groups));
    }

    /// Popular objects speak for people, rare ones for a collector.
    #[test]
    fn popularity_tells_people_from_collectors() {
        with_objects(|objects| {
            let mut seed = 1u64;
            for n in 0..6000u64 {
                seed = combine(seed, n);
                // Zipf-like over 300 objects: the square of a uniform number.
                let u = (seed >> 40) as f32 / (1u64 << 24) as f32;
                let object = (u * u * u * 300.0) as u64;
                objects.visit(1, combine(object, 9), Some(object), combine(n % 50, 3), ALL, n);
            }
            let score = |objects: &mut Objects<'_>, object: u64| {
                objects.visit(1, combine(object, 9), Some(object), 0, NONE, 0).popularity
            };
            assert!(score(objects, 0) < -0.5, "{}", score(objects, 0));
            let uniform: f32 = (0..300).map(|object| score(objects, object)).sum::<f32>() / 300.0;
            assert!(uniform > 0.1, "a collector gains {uniform} nats a request");
        });
    }

    #[test]
    fn private_objects_and_their_owners() {
        with_objects(|objects| {
            for round in 0..3 {
                for owner in 0..60u64 {
                    let (object, who) = (combine(owner, 5), combine(owner, 6));
                    objects.visit(2, object, Some(owner), who, ALL, round);
                }
            }
            let own = objects.visit(2, combine(7, 5), Some(7), combine(7, 6), NONE, 9);
            assert!(own.private && own.own && !own.foreign);
            let other = objects.visit(2, combine(8, 5), Some(8), combine(7, 6), NONE, 9);
            assert!(other.foreign && !other.own && other.owner != own.owner);
        });
    }

    /// Half as many owners do where nobody looks at many; where two do, it may be a young catalogue.
    #[test]
    fn a_young_catalogue_is_not_private() {
        let apart = |owners: u64, collectors: u64| {
            let mut apart = false;
            with_objects(|objects| {
                // The highest bits tell owners apart.
                let who = |n: u64| combine(n, 6) >> 6 | n << 58;
                let mut ask = |n: u64, lesson| {
                    let object = combine(n, 5);
                    objects.visit(3, object, None, who(n / 2), lesson, 0).apart
                };
                (0..2 * owners).for_each(|n| _ = ask(n, ALL));
                let many = Lesson { few: false, ..ALL };
                (60..60 + 4 * collectors).for_each(|n| _ = ask(n, many));
                apart = ask(40, NONE);
            });
            apart
        };
        let cases = [(3, 0, false), (4, 0, true), (4, 1, true), (4, 2, false), (8, 2, true)];
        for (owners, collectors, expected) in cases {
            assert_eq!(apart(owners, collectors), expected, "{owners} owners, {collectors}");
        }
    }
}
