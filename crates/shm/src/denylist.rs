//! The denylist: who is to be denied, looked up by every request in every worker.
//!
//! Buckets of 8 entries; a key may lie in one of two buckets. An entry is a slot of
//! [`crate::Slots`], exactly one cache line. In front of the entries lies a dense array with one
//! word for each bucket, 8 tags of 8 bits (0: no entry), so that a request of somebody who is not
//! denied reads two words and nothing else.
//!
//! The entry is the truth and the tag follows it: a writer killed in between leaves a tag without
//! its entry or the other way round, never a wrong denial, and [`DenylistWriter::repair`] brings
//! the two together. Entries expire by their time alone; nothing sweeps them.

mod bucket;
mod key;
mod writer;

pub use bucket::Rate;
pub use key::{DenyEntry, DenyKey};
pub use writer::{DenylistWriter, Inserted, Repaired};

use crate::counters::Counters;
use crate::slots::{Read, Slots};
use crate::sync::{AtomicU64, Ordering};
pub(crate) use key::ENTRY_WORDS;
#[cfg(not(loom))]
pub(crate) use key::fold;
use key::{Place, Seed, tag_of};

/// Bytes of an entry.
#[cfg(not(loom))]
pub(crate) const ENTRY_BYTES: u64 = crate::slots::stride(ENTRY_WORDS) as u64 * 8;
/// Bytes for each entry, its tag and its tokens included.
#[cfg(not(loom))]
pub(crate) const SLOT_BYTES: u64 = ENTRY_BYTES + 1 + 8;
/// Entries of a bucket: as many as tags fit into a word.
const BUCKET: usize = 8;

#[cfg(not(loom))]
const _: () = assert!(ENTRY_BYTES == crate::layout::LINE);

/// The reading side. Cheap to copy; takes no lock and waits for nobody.
#[derive(Clone, Copy, Debug)]
pub struct Denylist<'a> {
    tags: &'a [AtomicU64],
    entries: Slots<'a>,
    /// The token bucket of each entry.
    tokens: &'a [AtomicU64],
    seed: Seed,
    counters: &'a Counters,
}

impl<'a> Denylist<'a> {
    /// A denylist over memory that was zero at first: of `[tags, entries, tokens]`, `tags` has a
    /// power of two of words, one for each bucket, `entries` 64 and `tokens` 8 words for each of
    /// them. `None` for other lengths.
    pub fn over(
        memory: [&'a [AtomicU64]; 3],
        seed: [u64; 2],
        counters: &'a Counters,
    ) -> Option<Self> {
        let list = Self::of(memory, seed, counters);
        let fits = list.tags.len().is_power_of_two()
            && list.capacity() == list.tags.len() * BUCKET
            && list.tokens.len() == list.capacity();
        fits.then_some(list)
    }

    /// The denylist of a zone, whose geometry was checked.
    pub(crate) fn of(
        [tags, entries, tokens]: [&'a [AtomicU64]; 3],
        seed: [u64; 2],
        counters: &'a Counters,
    ) -> Self {
        let entries = Slots::over(entries, ENTRY_WORDS);
        Self { tags, entries, tokens, seed: Seed::new(seed), counters }
    }

    /// Entries that fit.
    pub fn capacity(&self) -> usize {
        self.entries.len()
    }

    /// The entry of `key` that is live at `now_ms`. An entry that stays half-written counts as
    /// absent (and in [`Counters::denylist_unreadable`]): better let one pass than deny by half
    /// an entry.
    #[inline]
    pub fn find(&self, key: &DenyKey, now_ms: u64) -> Option<DenyEntry> {
        self.find_first(&[*key], now_ms)
    }

    /// As [`Self::find`], of the first of these keys that has such an entry.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "most find nothing, in few instructions")]
    pub fn find_first<const N: usize>(
        &self,
        keys: &[DenyKey; N],
        now_ms: u64,
    ) -> Option<DenyEntry> {
        // The words of all keys first, so that their cache misses overlap.
        let mut read = [([0; 2], 0); N];
        for (read, key) in read.iter_mut().zip(keys) {
            let Place { buckets: [first, second], tag } = self.seed.place(key, self.tags.len());
            let tags = |bucket: usize| self.tags[bucket].load(Ordering::Acquire);
            *read = ([tags(first), tags(second)], tag);
        }
        let mut matches = 0;
        for ([first, second], tag) in read {
            matches |= matching(first, tag) | matching(second, tag);
        }
        if matches == 0 {
            return None;
        }
        keys.iter().find_map(|key| self.among(key, now_ms))
    }

    /// The live entry of `key` among the slots whose tags match. Few look-ups come so far.
    #[cold]
    fn among(&self, key: &DenyKey, now_ms: u64) -> Option<DenyEntry> {
        let place = self.seed.place(key, self.tags.len());
        let mut slots = place.slots().filter(|slot| {
            tag_of(self.tags[slot / BUCKET].load(Ordering::Acquire), *slot) == place.tag
        });
        slots.find_map(|slot| {
            let entry = self.entry(slot)?;
            (entry.key == *key && entry.is_live(now_ms)).then_some(entry)
        })
    }

    /// Takes a token of the entry of `key`, for a source that is to be slowed down and not denied.
    /// The error is the number of milliseconds until there is one. A key without an entry is not
    /// slowed down.
    pub fn take_token(&self, key: &DenyKey, now_ms: u64, rate: Rate) -> Result<(), u64> {
        let place = self.seed.place(key, self.tags.len());
        match self.locate(key, &place).and_then(|(slot, _)| self.tokens.get(slot)) {
            Some(tokens) => bucket::take(tokens, now_ms, rate),
            None => Ok(()),
        }
    }

    /// All entries that are live at `now_ms`, in no order. What is written meanwhile may be missed.
    pub fn iter(&self, now_ms: u64) -> impl Iterator<Item = DenyEntry> + use<'a> {
        self.iter_slots(0..self.capacity(), now_ms)
    }

    /// As [`Self::iter`], but only what lies in these slots: a list that is read in pieces.
    pub fn iter_slots(
        &self,
        slots: core::ops::Range<usize>,
        now_ms: u64,
    ) -> impl Iterator<Item = DenyEntry> + use<'a> {
        let list = *self;
        (slots.start..slots.end.min(self.capacity()))
            .filter(move |slot| {
                tag_of(list.tags[slot / BUCKET].load(Ordering::Acquire), *slot) != 0
            })
            .filter_map(move |slot| list.entry(slot))
            .filter(move |entry| entry.is_live(now_ms))
    }

    /// The entry in a slot, live or not. A look-up that gives up is counted.
    #[inline]
    fn entry(&self, slot: usize) -> Option<DenyEntry> {
        let mut words = [0; ENTRY_WORDS];
        match self.entries.try_read(slot, &mut words) {
            Read::Whole => DenyEntry::from_words(words),
            Read::Empty => None,
            Read::Torn => {
                self.counters.denylist_unreadable.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }

    /// Where the entry of `key` lies, live or not.
    fn locate(&self, key: &DenyKey, place: &Place) -> Option<(usize, DenyEntry)> {
        place.slots().find_map(|slot| {
            let tags = self.tags[slot / BUCKET].load(Ordering::Acquire);
            let entry = (tag_of(tags, slot) == place.tag).then(|| self.entry(slot))??;
            (entry.key == *key).then_some((slot, entry))
        })
    }
}

/// The high bit of each byte of `tags` that equals `tag`. Bytes above a match may be set wrongly
/// (the borrow of the subtraction): what is zero has no match, and more is not asked.
#[inline]
fn matching(tags: u64, tag: u8) -> u64 {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let difference = tags ^ (LOW * u64::from(tag));
    difference.wrapping_sub(LOW) & !difference & HIGH
}

#[cfg(all(test, not(loom)))]
mod tests;
