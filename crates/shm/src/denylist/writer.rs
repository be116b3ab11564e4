//! The side of the denylist that the lease holder writes.

use super::key::{ENTRY_WORDS, HITS_WORD, tag_of, with_hits};
use super::{BUCKET, DenyEntry, DenyKey, Denylist};
use crate::slots::{Read, SlotsWriter};
use crate::sync::{Ordering, add_own};

/// What became of an entry that was to be inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Inserted {
    /// It has a slot that was empty.
    New,
    /// It replaced an older entry of the same key, live or expired.
    Updated,
    /// It took the slot of another key whose entry had expired.
    Replaced,
    /// It took the slot of a live entry of lower confidence. Counted.
    Displaced,
    /// Both buckets are full of live entries of the same or higher confidence (or its kind is 0):
    /// nothing was written. Counted.
    Full,
}

/// What [`DenylistWriter::repair`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// Entries left half-written, now empty. The engine says again whom it has convicted.
    pub torn: u64,
    /// Tags that did not agree with their entry.
    pub tags: u64,
}

/// The writing side; only one may be in use at a time, in any process.
#[derive(Debug)]
pub struct DenylistWriter<'a> {
    list: Denylist<'a>,
    entries: SlotsWriter<'a>,
}

impl<'a> DenylistWriter<'a> {
    /// The caller sees to it that no other writer of this list is at work.
    pub fn new(list: Denylist<'a>) -> Self {
        Self { list, entries: SlotsWriter::new(list.entries) }
    }

    /// The reading side of the same list.
    pub fn reader(&self) -> Denylist<'a> {
        self.list
    }

    /// Writes `entry`, at the place of the same key, or else, in this order: in an empty slot of
    /// the emptier bucket, over an expired entry, over the live entry of least confidence (of those
    /// the one that ends first), if its confidence is lower.
    pub fn insert(&mut self, entry: &DenyEntry, now_ms: u64) -> Inserted {
        let place = self.list.seed.place(&entry.key, self.list.tags.len());
        let (slot, outcome) = match self.list.locate(&entry.key, &place) {
            Some((slot, _)) => (Some(slot), Inserted::Updated),
            None => self.slot_for(entry, &place.buckets, now_ms),
        };
        let counters = self.list.counters;
        let Some(slot) = slot.filter(|_| entry.key.kind != 0) else {
            add_own(&counters.denylist_full, 1);
            return Inserted::Full;
        };
        if outcome == Inserted::Displaced {
            add_own(&counters.denylist_displaced, 1);
        }
        if outcome != Inserted::Updated {
            // A new source has a full bucket. A worker that still takes a token of the old entry
            // may spoil that, by one token.
            self.list.tokens[slot].store(0, Ordering::Relaxed);
        }
        self.entries.write(slot, &entry.to_words());
        self.set_tag(slot, place.tag);
        outcome
    }

    /// The slot for a key that has none.
    fn slot_for(
        &self,
        entry: &DenyEntry,
        buckets: &[usize; 2],
        now_ms: u64,
    ) -> (Option<usize>, Inserted) {
        let mut empty: Option<(usize, usize)> = None;
        let mut expired = None;
        let mut weakest: Option<((u8, u64), usize)> = None;
        for bucket in buckets {
            let tags = self.list.tags[*bucket].load(Ordering::Relaxed);
            let used = tags.to_le_bytes().iter().filter(|tag| **tag != 0).count();
            for slot in bucket * BUCKET..(bucket + 1) * BUCKET {
                // What cannot be read is half-written by a dead writer: as good as empty.
                let held = (tag_of(tags, slot) != 0).then(|| self.list.entry(slot)).flatten();
                match held {
                    None if empty.is_none_or(|(least, _)| used < least) => {
                        empty = Some((used, slot));
                    }
                    Some(held) if !held.is_live(now_ms) => expired = Some(slot),
                    Some(held) if held.confidence < entry.confidence => {
                        let rank = ((held.confidence, held.expires_ms), slot);
                        weakest = Some(weakest.map_or(rank, |weakest| weakest.min(rank)));
                    }
                    _ => {}
                }
            }
        }
        if let Some((_, slot)) = empty {
            (Some(slot), Inserted::New)
        } else if expired.is_some() {
            (expired, Inserted::Replaced)
        } else {
            (weakest.map(|(_, slot)| slot), Inserted::Displaced)
        }
    }

    /// Takes the entry of `key` away; whether there was one.
    pub fn remove(&mut self, key: &DenyKey) -> bool {
        let place = self.list.seed.place(key, self.list.tags.len());
        let Some((slot, _)) = self.list.locate(key, &place) else { return false };
        self.empty(slot);
        true
    }

    /// Adds to the hits of the entry of `key`; whether there is one.
    pub fn add_hits(&mut self, key: &DenyKey, n: u32) -> bool {
        let place = self.list.seed.place(key, self.list.tags.len());
        let Some((slot, _)) = self.list.locate(key, &place) else { return false };
        self.entries.update_word(slot, HITS_WORD, |facts| with_hits(facts, n));
        true
    }

    /// Counts the entries that are live at `now_ms` and says so in
    /// [`crate::Counters::denylist_live`]. Reads the whole list: about a millisecond for 65,536
    /// entries, so call it every few seconds.
    pub fn count_live(&mut self, now_ms: u64) -> u64 {
        let live = self.list.iter(now_ms).count() as u64;
        self.list.counters.denylist_live.store(live, Ordering::Relaxed);
        live
    }

    /// Brings entries and tags together after another writer died: empties what is half-written,
    /// and gives every whole entry its tag. To be called first by a holder whose lease was
    /// recovered.
    pub fn repair(&mut self) -> Repaired {
        let mut repaired = Repaired::default();
        for slot in 0..self.list.capacity() {
            let mut words = [0; ENTRY_WORDS];
            let tag = match self.list.entries.try_read(slot, &mut words) {
                Read::Whole => self.expected_tag(slot, words),
                Read::Empty => 0,
                Read::Torn => {
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
        repaired
    }

    /// The tag that a whole slot should have: 0 when it was emptied or its key does not belong here.
    fn expected_tag(&self, slot: usize, words: [u64; ENTRY_WORDS]) -> u8 {
        let Some(entry) = DenyEntry::from_words(words) else { return 0 };
        let place = self.list.seed.place(&entry.key, self.list.tags.len());
        if place.buckets.contains(&(slot / BUCKET)) { place.tag } else { 0 }
    }

    /// The entry first: a tag without entry is harmless, an entry without tag would come back when
    /// the list is repaired.
    fn empty(&mut self, slot: usize) {
        self.entries.write(slot, &[]);
        self.set_tag(slot, 0);
    }

    fn set_tag(&mut self, slot: usize, tag: u8) {
        let word = &self.list.tags[slot / BUCKET];
        let mut tags = word.load(Ordering::Relaxed).to_le_bytes();
        tags[slot % BUCKET] = tag;
        // Release: who sees the tag sees the entry.
        word.store(u64::from_le_bytes(tags), Ordering::Release);
    }
}
