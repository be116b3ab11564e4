//! Of which networks there is any entry: what lets nearly all requests pass with one read.
//!
//! Cells of four bits, four for each slot, count the entries of the networks that fall on them. A cell
//! of zero says that no entry is of such a network; any other that some may be, and the list is asked. A
//! cell that is full stays so until the list is repaired, as one that a killed writer left too high: it
//! costs look-ups, never a denial.

use super::key::fold;
use crate::sync::{AtomicU64, Ordering};

/// Words for each bucket: four cells for each of its slots.
pub(crate) const WORDS: usize = 2;

const BITS: u32 = 4;
/// A cell that no longer counts.
const FULL: u64 = (1 << BITS) - 1;

/// The cells of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Networks<'a> {
    /// A power of two.
    cells: &'a [AtomicU64],
    /// Decides which networks share a cell; secret, as the places of entries are.
    seed: [u64; 2],
}

impl<'a> Networks<'a> {
    pub(super) fn over(cells: &'a [AtomicU64], seed: [u64; 2]) -> Self {
        Self { cells, seed }
    }

    /// The word of a network and the place of its cell in there.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "asked by every request, in few instructions")]
    fn place(&self, network: u64) -> (usize, u32) {
        let [a, b] = self.seed;
        let hash = fold(network ^ a, b);
        let word = hash as usize & (self.cells.len() - 1);
        (word, (hash >> (u64::BITS - 6)) as u32 & !(BITS - 1))
    }

    /// Whether there may be an entry of this network; if not, there is none.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "asked by every request, in few instructions")]
    pub(super) fn may_hold(&self, network: u64) -> bool {
        let (word, shift) = self.place(network);
        self.cells[word].load(Ordering::Acquire) >> shift & FULL != 0
    }

    /// Counts an entry of this network, for the one writer, before it is written.
    pub(super) fn add(&self, network: u64) {
        self.change(network, |count| if count == FULL { FULL } else { count + 1 });
    }

    /// Counts an entry less, after it has gone.
    pub(super) fn take(&self, network: u64) {
        self.change(network, |count| if count == FULL { FULL } else { count.saturating_sub(1) });
    }

    fn change(&self, network: u64, change: impl Fn(u64) -> u64) {
        let (word, shift) = self.place(network);
        let word = &self.cells[word];
        let cells = word.load(Ordering::Relaxed);
        let count = change(cells >> shift & FULL);
        word.store(cells & !(FULL << shift) | count << shift, Ordering::Release);
    }

    /// Counts the networks of all entries anew. Who asks meanwhile sees each cell as it was or as it is
    /// to be.
    pub(super) fn recount(&self, networks: impl Iterator<Item = u64>) {
        let counted: Vec<AtomicU64> = self.cells.iter().map(|_| AtomicU64::new(0)).collect();
        let anew = Networks { cells: &counted, seed: self.seed };
        networks.for_each(|network| anew.add(network));
        for (cell, counted) in self.cells.iter().zip(&counted) {
            cell.store(counted.load(Ordering::Relaxed), Ordering::Release);
        }
    }
}
