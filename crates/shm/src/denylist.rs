//! The denylist: who is to be denied, looked up by every request in every worker.
//!
//! Buckets of 8 entries; a key may lie in one of two buckets. In front of the entries lies a dense array
//! with one word for each bucket, 8 tags of 8 bits (0: no entry), so that a request of somebody who is
//! not denied reads two words and nothing else. One word is enough for a request of a network of which
//! nobody is denied: small counts say of which networks there are entries at all.
//!
//! The entry is the truth and the tag follows it: a writer killed in between leaves a tag without
//! its entry or the other way round, never a wrong denial, and [`DenylistWriter::repair`] brings
//! the two together. Entries expire by their time alone; nothing sweeps them.
//!
//! A full bucket gives an entry away to its other one. So one word counts the moves, and who found
//! nothing while it changed looks again.

mod bucket;
mod entry;
mod key;
mod networks;
mod room;
mod writer;

pub use bucket::Rate;
pub use key::{DenyEntry, DenyKey};
pub use writer::{CERTAIN, DenylistWriter, Inserted, Repaired};

use crate::counters::Counters;
use crate::sync::{AtomicU64, Ordering, READ_ATTEMPTS};
use entry::{Entries, Found, Packed};
#[cfg(not(loom))]
pub(crate) use key::{ENTRY_WORDS, fold};
use key::{Place, Seed, tag_of};
use networks::Networks;

/// Bytes of an entry.
#[cfg(not(loom))]
pub(crate) const ENTRY_BYTES: u64 = entry::SLOT_WORDS as u64 * 8;
/// Bytes for each entry in front of all entries: its tag, and its share of the counts of networks.
#[cfg(not(loom))]
pub(crate) const FRONT_BYTES: u64 = (FRONT_WORDS_EACH * 8 / BUCKET) as u64;
/// Bytes for each entry, all told.
#[cfg(not(loom))]
pub(crate) const SLOT_BYTES: u64 = ENTRY_BYTES + FRONT_BYTES;
/// Words in front of the tags: a cache line, whose first word counts the moves.
pub(crate) const FRONT_WORDS: usize = 8;
/// Words in front of all entries for each bucket: the tags, the counts of networks.
const FRONT_WORDS_EACH: usize = 1 + networks::WORDS;
/// Entries of a bucket: as many as tags fit into a word.
const BUCKET: usize = 8;

/// The reading side. Cheap to copy; takes no lock and waits for nobody.
#[derive(Clone, Copy, Debug)]
pub struct Denylist<'a> {
    moves: &'a AtomicU64,
    tags: &'a [AtomicU64],
    networks: Networks<'a>,
    entries: Entries<'a>,
    seed: Seed,
    counters: &'a Counters,
}

impl<'a> Denylist<'a> {
    /// A denylist over memory that was zero at first: of `[front, entries]`, `front` has 8 words and then
    /// 3 for each of a power of two of buckets, `entries` 56 for each bucket. `None` for other lengths.
    pub fn over(
        memory: [&'a [AtomicU64]; 2],
        seed: [u64; 2],
        counters: &'a Counters,
    ) -> Option<Self> {
        let [front, entries] = memory;
        let words = front.len().checked_sub(FRONT_WORDS)?;
        let buckets = words / FRONT_WORDS_EACH;
        let fits = words == buckets * FRONT_WORDS_EACH
            && entries.len() == buckets.checked_mul(BUCKET * entry::SLOT_WORDS)?;
        (fits && buckets.is_power_of_two()).then(|| Self::of(memory, seed, counters))
    }

    /// The denylist of a zone, whose geometry was checked.
    pub(crate) fn of(
        [front, entries]: [&'a [AtomicU64]; 2],
        seed: [u64; 2],
        counters: &'a Counters,
    ) -> Self {
        let (front, words) = front.split_at(FRONT_WORDS);
        let (tags, cells) = words.split_at(words.len() / FRONT_WORDS_EACH);
        let entries = Entries::over(entries);
        let seed = Seed::new(seed);
        let networks = Networks::over(cells, seed.of_networks());
        Self { moves: &front[0], tags, networks, entries, seed, counters }
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
        let moves = self.moves.load(Ordering::Acquire);
        let found = self.locate(key, &self.seed.place(key, self.tags.len()));
        // Behind acquiring loads of whatever was seen gone.
        if found.is_none() && self.moves.load(Ordering::Relaxed) != moves {
            return self.look(&[*key], now_ms);
        }
        found.map(|(_, entry)| entry).filter(|entry| entry.is_live(now_ms))
    }

    /// As [`Self::find`], of the first of these keys that has such an entry.
    #[inline]
    pub fn find_first<const N: usize>(
        &self,
        keys: &[DenyKey; N],
        now_ms: u64,
    ) -> Option<DenyEntry> {
        if self.may_hold(keys) { self.look(keys, now_ms) } else { None }
    }

    /// Whether any entry may be of this network, whatever its application and kind; if not, none is.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "asked by every request, in few instructions")]
    pub fn may_concern(&self, network: u64) -> bool {
        self.networks.may_hold(network)
    }

    /// Whether one of these keys may have an entry; if not, none has.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "asked by every request, in few instructions")]
    pub fn may_hold<const N: usize>(&self, keys: &[DenyKey; N]) -> bool {
        let moves = self.moves.load(Ordering::Acquire);
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
        // Behind acquiring loads of whatever was seen gone.
        matches != 0 || self.moves.load(Ordering::Relaxed) != moves
    }

    /// The live entry of the first of these keys that has one. Few look-ups come so far.
    #[inline(never)]
    fn look(&self, keys: &[DenyKey], now_ms: u64) -> Option<DenyEntry> {
        self.steady(|list| {
            keys.iter().find_map(|key| {
                let (_, entry) = list.locate(key, &list.seed.place(key, list.tags.len()))?;
                entry.is_live(now_ms).then_some(entry)
            })
        })
    }

    /// What `look` finds; if that is nothing, then nothing was there all the while.
    #[inline]
    fn steady<T>(&self, look: impl Fn(&Self) -> Option<T>) -> Option<T> {
        for _ in 0..=READ_ATTEMPTS {
            let moves = self.moves.load(Ordering::Acquire);
            let found = look(self);
            // Behind acquiring loads of whatever was seen gone.
            if found.is_some() || self.moves.load(Ordering::Relaxed) == moves {
                return found;
            }
        }
        self.counters.denylist_unreadable.fetch_add(1, Ordering::Relaxed);
        None
    }

    /// Takes a token of the entry of `key`, for a source that is to be slowed down and not denied.
    /// The error is the number of milliseconds until there is one. A key without an entry is not
    /// slowed down.
    pub fn take_token(&self, key: &DenyKey, now_ms: u64, rate: Rate) -> Result<(), u64> {
        let place = self.seed.place(key, self.tags.len());
        let found = self.steady(|list| list.locate(key, &place));
        match found.and_then(|(slot, _)| self.entries.live(slot)) {
            Some(tokens) => bucket::take(tokens, now_ms, rate),
            None => Ok(()),
        }
    }

    /// All entries that are live at `now_ms`, in no order. What is written meanwhile may be missed, and
    /// what moves meanwhile be missed or met twice.
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

    /// The entry in a slot, live or not.
    #[inline]
    fn entry(&self, slot: usize) -> Option<DenyEntry> {
        self.whole(slot)?.entry()
    }

    /// What is in a slot. A look-up that gives up is counted.
    #[inline]
    fn whole(&self, slot: usize) -> Option<Packed> {
        match self.entries.read(slot) {
            Found::Whole(packed) => Some(packed),
            Found::Empty => None,
            Found::Torn => {
                self.counters.denylist_unreadable.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }

    /// Where the entry of `key` lies, live or not. In which of the two buckets is not asked by a branch,
    /// which the processor could only guess.
    #[inline]
    fn locate(&self, key: &DenyKey, place: &Place) -> Option<(usize, DenyEntry)> {
        let [first, second] = place
            .buckets
            .map(|bucket| matching(self.tags[bucket].load(Ordering::Acquire), place.tag));
        // Of each byte, the lowest bit for the slot of the first bucket, the next one for that of the second.
        let mut matches = first >> 7 | second >> 6;
        while matches != 0 {
            let at = matches.trailing_zeros() as usize;
            let slot = place.buckets[at & 1] * BUCKET + at / 8;
            if let Some(entry) = self.entry(slot).filter(|entry| entry.key == *key) {
                return Some((slot, entry));
            }
            matches &= matches - 1;
        }
        None
    }
}

/// The high bit of each byte of `tags` that equals `tag`. Bytes above a match may be set wrongly
/// (the borrow of the subtraction): what is zero has no match, and what matches is compared.
#[inline]
fn matching(tags: u64, tag: u8) -> u64 {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let difference = tags ^ (LOW * u64::from(tag));
    difference.wrapping_sub(LOW) & !difference & HIGH
}

#[cfg(all(test, not(loom)))]
mod tests;
