//! How entries lie in memory: 7 words each, one behind the other, so that a million take 56 MB.
//!
//! ```text
//! 0  sequence 24 · kind 4 · action 4 · threat 8 · confidence 8 · length, upper 16
//! 1  application
//! 2  network
//! 3  discriminator
//! 4  incident
//! 5  expiry 42 · length, lower 22
//! 6  when its token bucket is full 32 · hits 32: any worker may change it
//! ```
//!
//! The sequence is that of a seqlock, as in [`crate::Slots`]: 0 when the slot was never written, odd
//! while it is being written. It shares its word with facts that change with it alone. A reader that
//! sleeps for exactly eight million rewrites of the slot that it reads would be deceived.

use super::{DenyEntry, DenyKey};
use crate::sync::{AtomicU64, Edge, Ordering, READ_ATTEMPTS, fence, release, release_fence};

/// Words of an entry.
pub(crate) const SLOT_WORDS: usize = 7;

const SEQUENCE: u64 = (1 << 24) - 1;
const KIND: u32 = 24;
const ACTION: u32 = 28;
/// The largest kind, and the largest action.
const NIBBLE: u8 = 15;
const THREAT: u32 = 32;
const CONFIDENCE: u32 = 40;
const TTL_HIGH: u32 = 48;
/// Bits of an expiry: 139 years of milliseconds.
const EXPIRY: u32 = 42;
/// Bits of a length in the word of the expiry; with 16 more, eight years of milliseconds.
const TTL_LOW: u32 = u64::BITS - EXPIRY;
const TTL: u32 = TTL_LOW + 16;

/// The words of an entry, the sequence left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packed([u64; SLOT_WORDS]);

impl Packed {
    /// What is written over an entry that goes.
    pub(super) const EMPTY: Self = Self([0; SLOT_WORDS]);

    /// `None` when its kind or action are none of those that fit. Times that do not fit are as long as
    /// they can be.
    pub(super) fn of(entry: &DenyEntry, full_ms: u64) -> Option<Self> {
        let DenyEntry { key, threat, action, confidence, incident, expires_ms, ttl_ms, hits } =
            *entry;
        if !(1..=NIBBLE).contains(&key.kind) || action > NIBBLE {
            return None;
        }
        let ttl_ms = ttl_ms.min((1 << TTL) - 1);
        let head = u64::from(key.kind) << KIND
            | u64::from(action) << ACTION
            | u64::from(threat) << THREAT
            | u64::from(confidence) << CONFIDENCE
            | ttl_ms >> TTL_LOW << TTL_HIGH;
        let times = expires_ms.min((1 << EXPIRY) - 1) | ttl_ms << EXPIRY;
        let live = u64::from(hits) << 32 | u64::from(full_ms as u32);
        let DenyKey { application, network, discriminator, .. } = key;
        Some(Self([head, application, network, discriminator, incident, times, live]))
    }

    /// `None` for a slot that was emptied.
    #[inline]
    pub(super) fn entry(self) -> Option<DenyEntry> {
        let Self([head, application, network, discriminator, incident, times, live]) = self;
        let kind = (head >> KIND) as u8 & NIBBLE;
        let entry = DenyEntry {
            key: DenyKey { application, kind, network, discriminator },
            threat: (head >> THREAT) as u8,
            action: (head >> ACTION) as u8 & NIBBLE,
            confidence: (head >> CONFIDENCE) as u8,
            incident,
            expires_ms: times & ((1 << EXPIRY) - 1),
            ttl_ms: head >> TTL_HIGH << TTL_LOW | times >> EXPIRY,
            hits: (live >> 32) as u32,
        };
        (kind != 0).then_some(entry)
    }
}

/// What became of an attempt to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Whole(Packed),
    /// Never written, or no such slot.
    Empty,
    /// Being written, or left half-written.
    Torn,
}

/// All entries of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entries<'a>(&'a [AtomicU64]);

impl<'a> Entries<'a> {
    pub(super) fn over(words: &'a [AtomicU64]) -> Self {
        Self(words)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len() / SLOT_WORDS
    }

    #[inline]
    fn slot(&self, index: usize) -> Option<&'a [AtomicU64; SLOT_WORDS]> {
        self.0.get(index * SLOT_WORDS..)?.first_chunk()
    }

    /// The word of a slot that holds hits and tokens.
    pub(super) fn live(&self, index: usize) -> Option<&'a AtomicU64> {
        self.slot(index).map(|[.., live]| live)
    }

    #[inline]
    pub(super) fn read(&self, index: usize) -> Found {
        let Some(slot) = self.slot(index) else { return Found::Empty };
        // No loop where there is nearly always nothing to wait for: the processor then looks further ahead.
        Self::try_read(slot).unwrap_or_else(|| Self::read_again(slot))
    }

    /// `None` when the slot is being written.
    #[inline]
    fn try_read(slot: &[AtomicU64; SLOT_WORDS]) -> Option<Found> {
        let [head, ..] = slot;
        let before = head.load(Ordering::Acquire);
        if before & SEQUENCE == 0 {
            return Some(Found::Empty);
        }
        let mut words = [before & !SEQUENCE; SLOT_WORDS];
        for (to, word) in words.iter_mut().zip(slot).skip(1) {
            *to = word.load(Ordering::Relaxed);
        }
        fence(Ordering::Acquire);
        let whole = before & 1 == 0 && head.load(Ordering::Relaxed) == before;
        whole.then_some(Found::Whole(Packed(words)))
    }

    #[cold]
    fn read_again(slot: &[AtomicU64; SLOT_WORDS]) -> Found {
        for _ in 1..READ_ATTEMPTS {
            core::hint::spin_loop();
            if let Some(found) = Self::try_read(slot) {
                return found;
            }
        }
        Found::Torn
    }

    /// Writes a slot, for the one writer. `same_source`: the tokens stay what they are.
    pub(super) fn write(&self, index: usize, packed: &Packed, same_source: bool) {
        let Some([head, rest @ .., live]) = self.slot(index) else { return };
        let Packed([facts, words @ .., new_live]) = packed;
        // Odd already when the last writer was killed here.
        let odd = head.load(Ordering::Relaxed) & SEQUENCE | 1;
        // Release: who sees that an entry is about to go sees where it went.
        head.store(odd, Ordering::Release);
        release_fence(Edge::SlotOpen);
        for (word, value) in rest.iter().zip(words) {
            word.store(*value, Ordering::Relaxed);
        }
        if same_source {
            let tokens = |found: u64| found & u64::from(u32::MAX);
            change(live, |found| tokens(found) | new_live & !u64::from(u32::MAX));
        } else {
            live.store(*new_live, Ordering::Relaxed);
        }
        let even = if odd == SEQUENCE { 2 } else { odd + 1 };
        head.store(facts | even, release(Edge::SlotClose));
    }

    /// Adds to the hits of a slot, at most up to `u32::MAX`.
    pub(super) fn add_hits(&self, index: usize, n: u32) {
        let Some(live) = self.live(index) else { return };
        change(live, |found| {
            let hits = ((found >> 32) as u32).saturating_add(n);
            u64::from(hits) << 32 | found & u64::from(u32::MAX)
        });
    }
}

/// Changes a word that workers may take tokens from at the same time.
fn change(word: &AtomicU64, change: impl Fn(u64) -> u64) {
    let mut found = word.load(Ordering::Relaxed);
    while let Err(now) =
        word.compare_exchange(found, change(found), Ordering::Relaxed, Ordering::Relaxed)
    {
        found = now;
    }
}
