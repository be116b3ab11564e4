//! Fixed-size slots of words with one writer and any number of readers that never wait for it.
//!
//! A slot is a sequence word followed by its data. The sequence is 0 when the slot was never
//! written, odd while it is being written and even when it is whole. A reader copies the data and
//! believes the copy only when the sequence was even before and the same after. A writer that is
//! killed half-way leaves an odd sequence: such a slot cannot be read until it is written again.
//!
//! Orderings follow Boehm, "Can seqlocks get along with programming language memory models?"
//! (2012): the data is relaxed atomics, a release fence after the odd sequence, an acquire fence
//! before the second look.

use crate::sync::{AtomicU64, Edge, Ordering, READ_ATTEMPTS, fence, release, release_fence};

/// Words that a slot of `words` takes: the sequence in front, rounded up to cache lines.
pub(crate) const fn stride(words: usize) -> usize {
    (1 + words).next_multiple_of(8)
}

/// The reading side. Cheap to copy.
#[derive(Clone, Copy, Debug)]
pub struct Slots<'a> {
    memory: &'a [AtomicU64],
    words: usize,
}

/// The writing side; only one may be in use at a time, in any process.
#[derive(Debug)]
pub struct SlotsWriter<'a> {
    slots: Slots<'a>,
}

/// What became of an attempt to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    Whole,
    /// Never written, or no such slot.
    Empty,
    /// Being written, or left half-written.
    Torn,
}

impl<'a> Slots<'a> {
    /// Slots of `words` data words over `memory`, whose words were zero at first. There are as many
    /// as fit: each takes `words + 1`, rounded up to 8.
    pub fn over(memory: &'a [AtomicU64], words: usize) -> Self {
        Self { memory, words }
    }

    /// Number of slots.
    pub fn len(&self) -> usize {
        self.memory.len() / stride(self.words)
    }

    /// Whether there is no slot at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Data words of a slot.
    pub fn words(&self) -> usize {
        self.words
    }

    /// Copies slot `index` into `into`: its first `into.len()` words, the words beyond the slot's
    /// are zero. `false` when there is no such slot, it was never written, or it is half-written;
    /// `into` then holds nothing of use.
    pub fn read(&self, index: usize, into: &mut [u64]) -> bool {
        self.try_read(index, into) == Read::Whole
    }

    pub(crate) fn try_read(&self, index: usize, into: &mut [u64]) -> Read {
        let Some((sequence, data)) = self.slot(index) else { return Read::Empty };
        let excess = into.len().saturating_sub(data.len());
        let used = into.len() - excess;
        for _ in 0..READ_ATTEMPTS {
            let before = sequence.load(Ordering::Acquire);
            if before == 0 {
                return Read::Empty;
            }
            if before % 2 == 0 {
                for (word, to) in data.iter().zip(into.iter_mut()) {
                    *to = word.load(Ordering::Relaxed);
                }
                fence(Ordering::Acquire);
                if sequence.load(Ordering::Relaxed) == before {
                    into[used..].fill(0);
                    return Read::Whole;
                }
            }
            core::hint::spin_loop();
        }
        Read::Torn
    }

    /// The sequence and the data of a slot.
    #[inline]
    fn slot(&self, index: usize) -> Option<(&'a AtomicU64, &'a [AtomicU64])> {
        let stride = stride(self.words);
        let start = index.checked_mul(stride)?;
        let slot = self.memory.get(start..start.checked_add(stride)?)?;
        let (sequence, data) = slot.split_first()?;
        Some((sequence, data.get(..self.words)?))
    }
}

impl<'a> SlotsWriter<'a> {
    /// The caller sees to it that no other writer of these slots is at work.
    pub fn new(slots: Slots<'a>) -> Self {
        Self { slots }
    }

    /// The reading side of the same slots.
    pub fn reader(&self) -> Slots<'a> {
        self.slots
    }

    /// Writes a slot; the words beyond `from` become zero. `false`, and nothing written, when there
    /// is no such slot or `from` is longer than it.
    pub fn write(&mut self, index: usize, from: &[u64]) -> bool {
        let Some((sequence, data)) = self.slots.slot(index) else { return false };
        if from.len() > data.len() {
            return false;
        }
        // Odd already when the last writer was killed here.
        let odd = sequence.load(Ordering::Relaxed) | 1;
        sequence.store(odd, Ordering::Relaxed);
        release_fence(Edge::SlotOpen);
        let (used, rest) = data.split_at(from.len());
        for (word, value) in used.iter().zip(from) {
            word.store(*value, Ordering::Relaxed);
        }
        for word in rest {
            word.store(0, Ordering::Relaxed);
        }
        sequence.store(odd.wrapping_add(1), release(Edge::SlotClose));
        true
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::testing::{memory, rounds};

    #[test]
    fn what_was_written_is_read_and_nothing_else() {
        let memory = memory(3 * stride(10) + 5);
        let slots = Slots::over(&memory, 10);
        let mut writer = SlotsWriter::new(slots);
        assert_eq!((slots.len(), slots.words(), slots.is_empty()), (3, 10, false));
        let mut words = [7; 10];
        assert!(!slots.read(1, &mut words), "never written");
        assert!(writer.write(1, &[1, 2, 3]));
        assert!(slots.read(1, &mut words));
        assert_eq!(words, [1, 2, 3, 0, 0, 0, 0, 0, 0, 0]);
        assert!(!slots.read(0, &mut words) && !slots.read(2, &mut words));
        assert!(!slots.read(3, &mut words) && !slots.read(usize::MAX, &mut words));
        assert!(!writer.write(3, &[1]) && !writer.write(0, &[1; 11]));

        let (mut short, mut long) = ([0; 2], [9; 12]);
        assert!(slots.read(1, &mut short) && slots.read(1, &mut long));
        assert_eq!((short, long), ([1, 2], [1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
    }

    #[test]
    fn a_torn_slot_cannot_be_read_until_it_is_rewritten() {
        let memory = memory(stride(3));
        let slots = Slots::over(&memory, 3);
        let mut writer = SlotsWriter::new(slots);
        writer.write(0, &[1, 2, 3]);
        memory[0].store(3, Ordering::Relaxed);
        memory[1].store(99, Ordering::Relaxed);
        let mut words = [0; 3];
        assert_eq!(slots.try_read(0, &mut words), Read::Torn);
        assert!(writer.write(0, &[4, 5, 6]));
        assert_eq!(slots.try_read(0, &mut words), Read::Whole);
        assert_eq!((words, memory[0].load(Ordering::Relaxed)), ([4, 5, 6], 4));
    }

    #[test]
    fn readers_in_other_threads_see_whole_slots_only() {
        let rounds = rounds(200_000) as u64;
        let memory = memory(stride(6));
        let slots = Slots::over(&memory, 6);
        let whole = std::thread::scope(|scope| {
            let reader = scope.spawn(move || {
                let (mut words, mut whole) = ([0; 6], 0_u64);
                while words[0] < rounds {
                    if slots.read(0, &mut words) {
                        assert_eq!(words, [words[0]; 6]);
                        whole += 1;
                    }
                }
                whole
            });
            let mut writer = SlotsWriter::new(slots);
            for i in 1..=rounds {
                writer.write(0, &[i; 6]);
            }
            reader.join().unwrap()
        });
        assert!(whole > 0);
    }
}
