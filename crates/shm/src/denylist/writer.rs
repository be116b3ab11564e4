//! The side of the denylist that the lease holder writes.

use super::entry::{Found, Packed};
use super::key::{slots_of, tag_of};
use super::{BUCKET, DenyEntry, DenyKey, Denylist};
use crate::sync::{Ordering, add_own};

/// Confidence of what somebody said, and no detector found: nobody would write it again.
pub const CERTAIN: u8 = 100;

/// What became of an entry that was to be inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Inserted {
    /// It has a slot that was empty, or that an entry left which moved to its other bucket.
    New,
    /// It replaced an older entry of the same key, live or expired.
    Updated,
    /// It took the slot of another key whose entry had expired.
    Replaced,
    /// It took the slot of a live entry of no higher confidence. Counted.
    Displaced,
    /// Both buckets hold live entries of higher confidence or [`CERTAIN`] ones, and none can move (or its
    /// kind or action do not fit): nothing was written. Counted.
    Full,
}

/// What [`DenylistWriter::repair`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// Entries left half-written, now empty. The engine says again whom it has convicted.
    pub torn: u64,
    /// Tags that did not agree with their entry.
    pub tags: u64,
    /// Entries that were on their way from one bucket to the other, and lay in both.
    pub twice: u64,
}

/// The writing side; only one may be in use at a time, in any process.
#[derive(Debug)]
pub struct DenylistWriter<'a> {
    pub(super) list: Denylist<'a>,
}

impl<'a> DenylistWriter<'a> {
    /// The caller sees to it that no other writer of this list is at work.
    pub fn new(list: Denylist<'a>) -> Self {
        Self { list }
    }

    /// The reading side of the same list.
    pub fn reader(&self) -> Denylist<'a> {
        self.list
    }

    /// Writes `entry`, at the place of the same key, or else, in this order: in an empty slot of
    /// the emptier bucket, over an expired entry, in a slot that becomes free when others move, over
    /// the live entry of least confidence, if that is not higher: of those the one that was met least
    /// often, then the one that ends first. Among equals the newcomer is known to be at it right now; who
    /// loses its place while it is, too, comes by and is written again. What is [`CERTAIN`] makes way for
    /// nobody.
    pub fn insert(&mut self, entry: &DenyEntry, now_ms: u64) -> Inserted {
        let counters = self.list.counters;
        // A new source has a full bucket of tokens.
        let Some(packed) = Packed::of(entry, now_ms) else {
            add_own(&counters.denylist_full, 1);
            return Inserted::Full;
        };
        let place = self.list.seed.place(&entry.key, self.list.tags.len());
        let found = match self.list.locate(&entry.key, &place) {
            Some((slot, _)) => Some((slot, Inserted::Updated)),
            None => self
                .free_slot(place.buckets, now_ms)
                .or_else(|| Some((self.make_room(place.buckets, now_ms)?, Inserted::New)))
                .or_else(|| Some((self.weakest(entry, place.buckets)?, Inserted::Displaced))),
        };
        let Some((slot, outcome)) = found else {
            add_own(&counters.denylist_full, 1);
            return Inserted::Full;
        };
        if outcome == Inserted::Displaced {
            add_own(&counters.denylist_displaced, 1);
        }
        // Whoever has an entry is counted, at every moment. What expired may be replaced, too.
        let gone = self.list.entry(slot);
        self.list.networks.add(entry.key.network);
        // A worker that still takes a token of the old entry may spoil that of a new one, by a token.
        self.list.entries.write(slot, &packed, outcome == Inserted::Updated);
        self.set_tag(slot, place.tag);
        if let Some(gone) = gone {
            self.list.networks.take(gone.key.network);
        }
        outcome
    }

    /// The entry in a slot that is live at `now_ms`. What cannot be read is half-written by a dead
    /// writer: as good as empty.
    pub(super) fn live(&self, slot: usize, now_ms: u64) -> Option<DenyEntry> {
        let tags = self.list.tags[slot / BUCKET].load(Ordering::Relaxed);
        let held = (tag_of(tags, slot) != 0).then(|| self.list.entry(slot)).flatten();
        held.filter(|held| held.is_live(now_ms))
    }

    /// An empty slot of the emptier one of these buckets, or else one whose entry has expired.
    fn free_slot(&self, buckets: [usize; 2], now_ms: u64) -> Option<(usize, Inserted)> {
        let taken = |bucket: &usize| {
            let tags = self.list.tags[*bucket].load(Ordering::Relaxed).to_le_bytes();
            tags.iter().filter(|tag| **tag != 0).count()
        };
        let emptier = buckets.into_iter().min_by_key(taken);
        if let Some(slot) = emptier.and_then(|bucket| self.untagged(bucket)) {
            return Some((slot, Inserted::New));
        }
        let mut slots = buckets.into_iter().flat_map(slots_of);
        Some((slots.find(|slot| self.live(*slot, now_ms).is_none())?, Inserted::Replaced))
    }

    /// The slot in these buckets whose entry has the least confidence, if that is no more than that of
    /// `entry`; of those the one with the fewest hits, then the one that ends first.
    fn weakest(&self, entry: &DenyEntry, buckets: [usize; 2]) -> Option<usize> {
        let most = entry.confidence.min(CERTAIN - 1);
        let slots = buckets.into_iter().flat_map(slots_of);
        let ranks = slots.filter_map(|slot| {
            let held = self.list.entry(slot)?;
            let rank = (held.confidence, held.hits, held.expires_ms, slot);
            (held.confidence <= most).then_some(rank)
        });
        ranks.min().map(|(.., slot)| slot)
    }

    /// Takes the entry of `key` away; whether there was one.
    pub fn remove(&mut self, key: &DenyKey) -> bool {
        let place = self.list.seed.place(key, self.list.tags.len());
        let Some((slot, _)) = self.list.locate(key, &place) else { return false };
        self.empty(slot);
        self.list.networks.take(key.network);
        true
    }

    /// Adds to the hits of the entry of `key`; whether there is one.
    pub fn add_hits(&mut self, key: &DenyKey, n: u32) -> bool {
        let place = self.list.seed.place(key, self.list.tags.len());
        let Some((slot, _)) = self.list.locate(key, &place) else { return false };
        self.list.entries.add_hits(slot, n);
        true
    }

    /// Brings the table in order after another writer died: empties what is half-written, gives every
    /// whole entry its tag, ends a move that was under way, and counts networks anew. To be called first
    /// by a holder whose lease was recovered.
    pub fn repair(&mut self) -> Repaired {
        let mut repaired = Repaired::default();
        for slot in 0..self.list.capacity() {
            let tag = match self.list.entries.read(slot) {
                Found::Whole(packed) => self.expected_tag(slot, packed),
                Found::Empty => 0,
                Found::Torn => {
                    repaired.torn += 1;
                    self.empty(slot);
                    continue;
                }
            };
            if tag_of(self.list.tags[slot / BUCKET].load(Ordering::Relaxed), slot) != tag {
                repaired.tags += 1;
                self.set_tag(slot, tag);
            }
        }
        // Now that all tags are right, a second entry of a key can be found by them.
        for slot in 0..self.list.capacity() {
            if self.is_second(slot) {
                repaired.twice += 1;
                self.empty(slot);
            }
        }
        let held = (0..self.list.capacity()).filter_map(|slot| self.list.entry(slot));
        self.list.networks.recount(held.map(|held| held.key.network));
        repaired
    }

    /// The tag that a whole slot should have: 0 when it was emptied or its key does not belong here.
    fn expected_tag(&self, slot: usize, packed: Packed) -> u8 {
        let Some(entry) = packed.entry() else { return 0 };
        let place = self.list.seed.place(&entry.key, self.list.tags.len());
        if place.buckets.contains(&(slot / BUCKET)) { place.tag } else { 0 }
    }

    /// Whether the key of a slot is found elsewhere.
    fn is_second(&self, slot: usize) -> bool {
        let tags = self.list.tags[slot / BUCKET].load(Ordering::Relaxed);
        let held = (tag_of(tags, slot) != 0).then(|| self.list.entry(slot)).flatten();
        held.is_some_and(|held| {
            let place = self.list.seed.place(&held.key, self.list.tags.len());
            self.list.locate(&held.key, &place).is_some_and(|(first, _)| first != slot)
        })
    }

    /// The entry first: a tag without entry is harmless, an entry without tag would come back when
    /// the list is repaired.
    pub(super) fn empty(&mut self, slot: usize) {
        self.list.entries.write(slot, &Packed::EMPTY, false);
        self.set_tag(slot, 0);
    }

    pub(super) fn set_tag(&mut self, slot: usize, tag: u8) {
        let word = &self.list.tags[slot / BUCKET];
        let mut tags = word.load(Ordering::Relaxed).to_le_bytes();
        tags[slot % BUCKET] = tag;
        // Release: who sees the tag sees the entry, and who sees it gone sees where the entry went.
        word.store(u64::from_le_bytes(tags), Ordering::Release);
    }
}
