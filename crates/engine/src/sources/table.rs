//! The table of sources: a dense array of keys beside the records.
//!
//! A bucket of [`WAYS`] sources has one cache line of keys: for each source a tag, when it was last
//! seen, and what it weighs. A source is found, and one that gives way is chosen, without reading a
//! record; a record is read when its tag says that it is the one. The record holds the whole key and
//! has the last word, so a tag that two keys share costs a look and nothing else.
//!
//! A record is written before its entry, and an entry is taken away before its record is
//! overwritten: whoever is killed in between leaves a slot that is free.

use core::sync::atomic::{Ordering, fence};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::Source;
use crate::engine::source_hash;
use crate::evidence::decay;
use crate::{SourceKey, SourceKind};

/// Slots of a bucket.
pub const WAYS: usize = 8;
/// Weight of a source that is denied or in grace: nobody takes its place while there is another one.
const PINNED: u32 = 255;
/// Mark of a source that was convicted and is not denied any more, or that a convicted one is part of. It
/// outlasts any number of strangers and gives way to who is under suspicion by [`KNOWN`], so that a table
/// in which many were convicted has a place for the next attacker.
const CONVICTED: u32 = 254;
/// What [`CONVICTED`] counts for: about two nats.
const KNOWN: u32 = 8;
/// Weight of a source that nothing speaks for keeping.
const NOTHING: u32 = 1;
/// Steps of weight in one nat: [`crate::evidence::CEILING`] stays below [`CONVICTED`].
const STEPS: f32 = 3.9;
/// Weight from which on a source is not evicted: about five nats.
const SUSPECT: u32 = 20;
/// How long a source is kept for having been convicted, after it was last seen.
const CONVICTED_MS: u64 = 7 * 86_400_000;
const SECONDS: u64 = 0xff_ffff;

/// What is known of a source beside its record: the low half of its key, the second when it was last
/// seen (24 bits of it), its weight then. 0 is a free slot; any other bit pattern is valid.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct Entry(u64);

/// The entries of a bucket: one cache line.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(64))]
pub struct Bucket([Entry; WAYS]);

impl Entry {
    fn new(key: u64, seen_ms: u64, weight: u32) -> Self {
        let weight = u64::from(weight.clamp(NOTHING, PINNED));
        Self(key & 0xffff_ffff | ((seen_ms / 1000) & SECONDS) << 32 | weight << 56)
    }

    fn may_be(self, key: u64) -> bool {
        self.0 as u32 == key as u32 && self.0 != 0
    }

    fn weight(self) -> u32 {
        (self.0 >> 56) as u32
    }

    /// Milliseconds since it was last seen, up to 97 days; what is longer ago looks younger.
    fn age_ms(self, now_ms: u64) -> u64 {
        let seconds = (now_ms / 1000).wrapping_sub(self.0 >> 32) & SECONDS;
        // Seen in the future: records come a little out of order.
        if seconds > SECONDS / 2 { 0 } else { seconds * 1000 }
    }

    /// What it weighs by now, and how young it is: the least gives way.
    fn keep(self, now_ms: u64) -> (u32, u64) {
        let age_ms = self.age_ms(now_ms);
        let weight = match self.weight() {
            _ if self.0 == 0 => 0,
            CONVICTED => KNOWN,
            weight @ (..=NOTHING | PINNED..) => weight.max(NOTHING),
            weight => NOTHING + ((weight - NOTHING) as f32 * decay(age_ms)) as u32,
        };
        (weight, u64::MAX - age_ms)
    }
}

/// What a source weighs when it was just seen.
fn weight(source: &Source, now_ms: u64, peak: f32) -> u32 {
    if source.denied_until_ms > now_ms || source.grace(now_ms) != 0 {
        return PINNED;
    }
    let weight = NOTHING + u32::from(source.users != 0) + (peak * STEPS) as u32;
    let convicted = source.convictions > 0 && now_ms.saturating_sub(source.last_ms) < CONVICTED_MS;
    // Who begins again weighs what speaks against it now.
    if convicted && weight < SUSPECT { CONVICTED } else { weight.min(CONVICTED - 1) }
}

/// All sources: buckets of eight slots over caller-given memory.
#[derive(Debug)]
pub struct Sources<'m> {
    buckets: &'m mut [Bucket],
    slots: &'m mut [Source],
    /// Sources evicted although something spoke for keeping them.
    pub evicted: u64,
    /// Sources in the table.
    pub live: u64,
}

impl<'m> Sources<'m> {
    /// A table over `slots`, [`WAYS`] for each bucket. Tables that an engine left (`continued`) are looked
    /// through: what was being written when it died is dropped.
    pub fn new(buckets: &'m mut [Bucket], slots: &'m mut [Source], continued: bool) -> Self {
        debug_assert!(!buckets.is_empty() && slots.len() == buckets.len() * WAYS);
        let mut sources = Self { buckets, slots, evicted: 0, live: 0 };
        if continued {
            sources.repair();
        }
        sources
    }

    fn repair(&mut self) {
        for slot in 0..self.slots.len() {
            let (bucket, way) = (slot / WAYS, slot % WAYS);
            let entry = self.buckets[bucket].0[way];
            let source = &self.slots[slot];
            let whole = entry.may_be(source.key)
                && self.bucket(source.key) == bucket
                && source
                    .source_key()
                    .is_some_and(|who| source_hash(source.application, who) == source.key);
            if whole {
                self.slots[slot].clamp();
                self.live += 1;
            } else {
                self.buckets[bucket].0[way] = Entry::default();
                self.slots[slot].key = 0;
            }
        }
    }

    /// The source of a key, made if it is new. Where its bucket is full, the source of least evidence
    /// and greatest age gives way, but never one that is under suspicion or in grace. Where all others
    /// are denied, the one that was convicted first gives way: its denial holds without it, and all that
    /// is forgotten is that it was there before. Where there is none, the newcomer is not tracked, and
    /// `None` says so.
    pub fn touch(
        &mut self,
        key: u64,
        who: SourceKey,
        application: u64,
        now_ms: u64,
    ) -> Option<usize> {
        if let Some(slot) = self.find(key) {
            return Some(slot);
        }
        let slot = self.make_room(key, now_ms)?;
        let source = Source {
            key,
            application,
            network: who.network,
            discriminator: who.discriminator,
            kind: who.kind as u8,
            first_ms: now_ms,
            last_ms: now_ms,
            ..Source::default()
        };
        self.put(slot, &source, now_ms);
        Some(slot)
    }

    /// Finds a slot for a newcomer.
    fn make_room(&mut self, key: u64, now_ms: u64) -> Option<usize> {
        let bucket = self.bucket(key);
        let least = |entries: &[Entry; WAYS]| {
            let keep = entries.map(|entry| entry.keep(now_ms));
            let way = (0..WAYS).min_by_key(|&way| keep[way]).unwrap_or(0);
            (way, keep[way].0)
        };
        if let Some(free) = self.buckets[bucket].0.iter().position(|entry| entry.0 == 0) {
            self.live += 1;
            return Some(bucket * WAYS + free);
        }
        let (mut way, mut weight) = least(&self.buckets[bucket].0);
        if weight > 0 {
            // Denied, convicted or in grace when it was last seen: that may be over. One is looked at each
            // time, and all when there is nobody else to give way.
            let any = key as usize % WAYS;
            for way in (0..WAYS).filter(|&way| way == any || weight >= SUSPECT) {
                if self.buckets[bucket].0[way].weight() >= CONVICTED {
                    self.weigh(bucket * WAYS + way, now_ms);
                }
            }
            (way, weight) = least(&self.buckets[bucket].0);
        }
        if weight >= SUSPECT {
            self.evicted += 1;
            return self.denied_longest(bucket, now_ms);
        }
        self.live += u64::from(weight == 0);
        self.evicted += u64::from(weight > NOTHING);
        Some(bucket * WAYS + way)
    }

    /// The source of a bucket that is denied, not in grace, and was convicted before the others.
    fn denied_longest(&self, bucket: usize, now_ms: u64) -> Option<usize> {
        let slots = bucket * WAYS..(bucket + 1) * WAYS;
        let denied = slots.filter(|&slot| {
            let source = &self.slots[slot];
            source.denied_until_ms > now_ms && source.grace(now_ms) == 0
        });
        denied.min_by_key(|&slot| self.slots[slot].last_ms)
    }

    /// Writes a source into a slot that [`Self::touch`] returned for its key.
    pub fn put(&mut self, slot: usize, source: &Source, now_ms: u64) {
        self.buckets[slot / WAYS].0[slot % WAYS] = Entry::default();
        fence(Ordering::Release);
        self.slots[slot] = *source;
        fence(Ordering::Release);
        self.weigh(slot, now_ms);
    }

    /// Writes down what the source in a slot weighs, after its record has changed.
    pub fn weigh(&mut self, slot: usize, now_ms: u64) {
        self.weigh_at(slot, now_ms, self.slots[slot].peak());
    }

    /// The same, by the peak that it has.
    pub(crate) fn weigh_at(&mut self, slot: usize, now_ms: u64, peak: f32) {
        let source = &self.slots[slot];
        let entry = Entry::new(source.key, source.last_ms, weight(source, now_ms, peak));
        let place = &mut self.buckets[slot / WAYS].0[slot % WAYS];
        if place.0 != entry.0 {
            *place = entry;
        }
    }

    /// The slot of a key that is there.
    pub fn find(&self, key: u64) -> Option<usize> {
        let bucket = self.bucket(key);
        let entries = self.buckets[bucket].0.iter().enumerate();
        entries
            .filter(|(_, entry)| entry.may_be(key))
            .map(|(way, _)| bucket * WAYS + way)
            .find(|&slot| self.slots[slot].key == key)
    }

    /// The slot of a key, where it was a moment ago; `None` when it is not there any more.
    pub(crate) fn find_near(&self, key: u64, slot: u32) -> Option<usize> {
        let slot = slot as usize;
        self.slots.get(slot).is_some_and(|source| source.key == key).then_some(slot)
    }

    /// Reads the keys of a bucket: see [`crate::Engine::approach`].
    pub(crate) fn approach(&self, key: u64) -> u64 {
        self.buckets[self.bucket(key)].0[0].0
    }

    /// Reads what nearly every record needs of a source, if it is there; the keys of its bucket have been read.
    /// What was read, and the slot.
    pub(crate) fn approach_record(&self, key: u64) -> (u64, u32) {
        let bucket = self.bucket(key);
        // No branch for each: where it stands cannot be guessed.
        let entries = &self.buckets[bucket].0;
        let tagged = |way: usize| u32::from(entries[way].0 as u32 == key as u32) << way;
        let found = (0..WAYS).fold(0, |found, way| found | tagged(way));
        if found == 0 {
            return (0, u32::MAX);
        }
        let slot = bucket * WAYS + found.trailing_zeros() as usize;
        let record = &self.slots[slot].as_bytes()[..Source::HOT];
        let lines = record.iter().step_by(64).chain(record.last());
        (lines.fold(0, |read, byte| read ^ u64::from(*byte)), slot as u32)
    }

    /// The source of a key in a slot where it was found to be.
    pub(crate) fn near(&self, key: u64, slot: u32) -> Option<&Source> {
        self.slots.get(slot as usize).filter(|source| source.key == key)
    }

    fn bucket(&self, key: u64) -> usize {
        (((key >> 32) * self.buckets.len() as u64) >> 32) as usize
    }

    /// The source in a slot that [`Self::touch`] or [`Self::find`] returned.
    pub fn get(&self, slot: usize) -> &Source {
        &self.slots[slot]
    }

    /// The client of an application in a slot that may be anything.
    pub(super) fn client(&self, slot: usize, application: u64) -> Option<&Source> {
        let source = self.slots.get(slot)?;
        let same = (source.kind, source.application) == (SourceKind::Client as u8, application);
        (same && source.key != 0).then_some(source)
    }

    /// The same, to be changed; [`Self::weigh`] is to follow.
    pub fn get_mut(&mut self, slot: usize) -> &mut Source {
        &mut self.slots[slot]
    }

    /// Slots.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// All sources.
    pub fn iter(&self) -> impl Iterator<Item = &Source> {
        self.slots.iter().filter(|slot| slot.key != 0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
