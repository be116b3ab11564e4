//! How many different sources did something: a count-min sketch of tiny sets.
//!
//! A cell is a set of eight: each source sets one of eight bits. A key's set is the intersection of
//! its cells in two rows (the count-min idea: another key must collide in both to add a member), so
//! it over-counts by chance `(n / cells)²` and under-counts when two sources share a bit. It answers
//! "by fewer than three others?" in two reads, and a source that does the same thing again counts
//! once without anybody remembering it.
//!
//! Two generations of which the older is dropped every [`GENERATION_MS`] forget the past.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A set is kept between one and two generations.
pub const GENERATION_MS: u64 = 14 * 86_400_000;

/// When the current generation began. Lies in the engine's tables beside the cells.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Generation {
    /// Monotonic milliseconds of its start.
    pub since_ms: u64,
    /// Which half of the cells is the current one: 0 or 1.
    pub current: u64,
}

/// Distinct-source sets over `4 × 2ⁿ` caller-given bytes: two generations of two rows.
#[derive(Debug)]
pub struct SourceSketch<'m> {
    cells: &'m mut [u8],
    generation: &'m mut Generation,
}

impl<'m> SourceSketch<'m> {
    /// A sketch over `cells`, whose length must be a power of two of at least 4.
    pub fn new(cells: &'m mut [u8], generation: &'m mut Generation) -> Self {
        debug_assert!(cells.len().is_power_of_two() && cells.len() >= 4);
        generation.current &= 1;
        Self { cells, generation }
    }

    /// Forgets what is older than two generations.
    pub fn age(&mut self, now_ms: u64) {
        let age = now_ms.saturating_sub(self.generation.since_ms);
        if age < GENERATION_MS {
            return;
        }
        let half = self.cells.len() / 2;
        if age >= 2 * GENERATION_MS {
            self.cells.fill(0);
        } else {
            self.generation.current ^= 1;
            let start = half * self.generation.current as usize;
            self.cells[start..start + half].fill(0);
        }
        self.generation.since_ms = now_ms;
    }

    /// Adds `source` (a hash) to the set of `key` (a hash).
    pub fn insert(&mut self, key: u64, source: u64) {
        let bit = bit_of(source);
        let [a, b] = self.cells_of(key, self.generation.current as usize);
        for cell in [a, b] {
            // Nearly always it is there; a line that is not written need not go back to memory.
            if self.cells[cell] & bit == 0 {
                self.cells[cell] |= bit;
            }
        }
    }

    /// How many sources other than `source` are in the set of `key`, 0 to 7.
    pub fn others(&self, key: u64, source: u64) -> u32 {
        let set = (0..2)
            .map(|generation| self.cells_of(key, generation))
            .fold(0, |set, [a, b]| set | (self.cells[a] & self.cells[b]));
        (set & !bit_of(source)).count_ones()
    }

    /// Reads the cells of a key, of the current generation or of both: see [`crate::Engine::approach`].
    #[inline]
    pub(crate) fn approach(&self, key: u64, both: bool) -> u64 {
        let current = self.generation.current as usize;
        let [a, b] = self.cells_of(key, current);
        let read = self.cells[a] ^ self.cells[b];
        let [c, d] = if both { self.cells_of(key, current ^ 1) } else { [a, b] };
        u64::from(read ^ self.cells[c] ^ self.cells[d])
    }

    /// All cells.
    pub(crate) fn cells(&self) -> &[u8] {
        self.cells
    }

    /// The same, to be filled.
    pub(crate) fn cells_mut(&mut self) -> &mut [u8] {
        self.cells
    }

    /// The current generation.
    pub(crate) fn generation(&self) -> &Generation {
        self.generation
    }

    /// Says what the cells that were filled are.
    pub(crate) fn set_generation(&mut self, generation: Generation) {
        *self.generation = generation;
    }

    fn cells_of(&self, key: u64, generation: usize) -> [usize; 2] {
        let row = self.cells.len() / 4;
        let start = generation * 2 * row;
        [start + (key as usize & (row - 1)), start + row + ((key >> 32) as usize & (row - 1))]
    }
}

fn bit_of(source: u64) -> u8 {
    1 << (source >> 61)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::combine;

    #[test]
    fn counts_distinct_sources() {
        let (mut cells, mut generation) = (vec![0; 4096], Generation::default());
        let mut sketch = SourceSketch::new(&mut cells, &mut generation);
        let key = combine(1, 2);
        for again in 0..100 {
            sketch.insert(key, 1 << 61);
            assert_eq!(sketch.others(key, 1 << 61), 0, "itself, {again}");
        }
        sketch.insert(key, 2 << 61);
        sketch.insert(key, 3 << 61);
        assert_eq!(sketch.others(key, 1 << 61), 2);
        assert_eq!(sketch.others(combine(3, 4), 0), 0);
    }

    #[test]
    fn forgets_after_two_generations() {
        let (mut cells, mut generation) = (vec![0; 64], Generation::default());
        let mut sketch = SourceSketch::new(&mut cells, &mut generation);
        sketch.insert(7, 1 << 61);
        sketch.age(GENERATION_MS);
        assert_eq!(sketch.others(7, 0), 1);
        sketch.age(2 * GENERATION_MS);
        assert_eq!(sketch.others(7, 0), 0);
        sketch.insert(7, 1 << 61);
        sketch.age(10 * GENERATION_MS);
        assert_eq!(sketch.others(7, 0), 0);
    }
}
