//! An online isolation forest: how far a client is from all the well-behaved ones of late.
//!
//! Leveni, Weigert Cassales, Pfahringer, Bifet, Boracchi: *Online Isolation Forest*, ICML 2024. Each
//! tree is a histogram that splits a leaf at random when it holds [`LEAF`]` · 2^depth` samples of the
//! window, and merges the halves again when a sample that leaves the window makes them too few. A
//! sample is the more isolated the shallower its leaf: `score = 2^(−mean depth / c)`.
//!
//! Two things differ from the paper. A leaf that splits knows only its bounding box; the paper fills it
//! with uniform samples and hands those to the halves, here each half gets the samples' expected number
//! and its part of the box. And features are bytes, so that all of a forest is 260 KB.
//!
//! It is poisoned slowly, if at all: who teaches is well-behaved, one sample a client and hour, a few a
//! /24, one in [`GAP_RECORDS`] records or [`GAP_MS`].

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::features::{COUNT, Features};
use crate::hash::combine;

/// Trees of a forest that has room.
pub const TREES: usize = 32;
/// Samples in the window, for each tree: 2048 for 32.
pub const SAMPLES_A_TREE: usize = 64;
/// Samples that a leaf holds at the root before it splits.
const LEAF: u16 = 32;
const DEPTH: u32 = 6;
const NODES: usize = (2 << DEPTH) - 1;
/// Records, or milliseconds, between two lessons.
pub const GAP_RECORDS: u64 = 256;
/// See [`GAP_RECORDS`].
pub const GAP_MS: u64 = 10_000;
/// Lessons that one group of networks gives in an hour.
const LESSONS_A_NETWORK: u8 = 16;
/// Lessons before the forest says anything.
pub const MATURE: u64 = 512;
const BINS: usize = 64;
/// Surprise that is none, nats: what one in a hundred well-behaved clients reaches.
pub const COMMON: f32 = 4.6;
/// The most that it says, nats.
const MOST: f32 = 4.0;

/// A node: the box of its samples, their number, and how it is split.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Node {
    low: [u8; COUNT],
    high: [u8; COUNT],
    count: u16,
    /// The feature that it is split by, plus one; 0 is a leaf.
    split: u8,
    /// What is greater goes to the right.
    at: u8,
}

/// A tree: the children of node i are 2i + 1 and 2i + 2.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Tree([Node; NODES]);

/// What belongs to all trees.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(8))]
pub struct Head {
    /// Lessons so far.
    lessons: u64,
    random: u64,
    /// Records since the last lesson, and its monotonic milliseconds.
    records: u64,
    lesson_ms: u64,
    epoch: u64,
    /// Scores of the samples before they taught, and their number.
    scores: [u32; BINS],
    scored: u64,
    /// Lessons of this epoch for each group of networks.
    networks: [u8; 256],
}

/// The forest over caller-given memory; any bit pattern is a forest, if no good one.
#[derive(Debug)]
pub struct Forest<'m> {
    head: &'m mut Head,
    trees: &'m mut [Tree],
    /// The window, a ring: [`SAMPLES_A_TREE`] for each tree.
    window: &'m mut [Features],
    seed: u64,
}

impl<'m> Forest<'m> {
    /// A forest; `window` holds [`SAMPLES_A_TREE`] samples for each tree.
    pub fn new(
        head: &'m mut Head,
        trees: &'m mut [Tree],
        window: &'m mut [Features],
        seed: u64,
    ) -> Self {
        Self { head, trees, window, seed }
    }

    /// Counts a record towards the next lesson.
    pub(crate) fn count_record(&mut self) {
        self.head.records = self.head.records.wrapping_add(1);
    }

    /// Whether it is time for the next lesson.
    pub fn is_due(&self, now_ms: u64) -> bool {
        let head = &*self.head;
        let waited = now_ms.saturating_sub(head.lesson_ms) >= GAP_MS || head.lesson_ms > now_ms;
        head.records >= GAP_RECORDS || waited
    }

    /// Teaches a sample if it is time and its network has not taught too much of late.
    pub fn offer(&mut self, sample: &Features, network: u32, epoch: u64, now_ms: u64) -> bool {
        if !self.is_due(now_ms) {
            return false;
        }
        let head = &mut *self.head;
        if head.epoch != epoch {
            head.epoch = epoch;
            head.networks.fill(0);
        }
        let group = (combine(u64::from(network), self.seed) >> 56) as usize;
        let taught = &mut head.networks[group];
        if *taught >= LESSONS_A_NETWORK {
            return false;
        }
        *taught += 1;
        (head.records, head.lesson_ms) = (0, now_ms);
        self.teach(sample);
        true
    }

    /// Takes a sample into the window, and the oldest out of it.
    pub fn teach(&mut self, sample: &Features) {
        if self.head.lessons >= MATURE.min(self.window.len() as u64) {
            let score = self.score(sample);
            let bin = ((score * BINS as f32) as usize).min(BINS - 1);
            self.head.scores[bin] = self.head.scores[bin].saturating_add(1);
            self.head.scored = self.head.scored.saturating_add(1);
            if self.head.scored >= 1 << 16 {
                self.head.scores = self.head.scores.map(|count| count / 2);
                self.head.scored = self.head.scores.iter().map(|&count| u64::from(count)).sum();
            }
        }
        let Some(last) = self.window.len().checked_sub(1) else { return };
        let slot = (self.head.lessons % (last as u64 + 1)) as usize;
        let full = self.head.lessons > last as u64;
        let oldest = core::mem::replace(&mut self.window[slot], *sample);
        for tree in self.trees.iter_mut() {
            if full {
                tree.forget(&oldest);
            }
            self.head.random = combine(self.head.random ^ self.seed, self.head.lessons);
            tree.learn(sample, self.head.random);
        }
        self.head.lessons = self.head.lessons.saturating_add(1);
    }

    /// How isolated a sample is, 0 to 1; 0 while there are too few others.
    pub fn score(&self, sample: &Features) -> f32 {
        if self.head.lessons < MATURE.min(self.window.len() as u64) || self.trees.is_empty() {
            return 0.0;
        }
        let depths: f32 = self.trees.iter().map(|tree| tree.depth(sample)).sum();
        let usual = extra((self.window.len() as u64).min(self.head.lessons) as f32);
        (-(depths / self.trees.len() as f32) / usual.max(1.0)).exp2()
    }

    /// How much rarer than one in a hundred a score is among the well-behaved, nats.
    pub fn surprise(&self, score: f32) -> f32 {
        if self.head.scored < MATURE {
            return 0.0;
        }
        let bin = ((score * BINS as f32) as usize).min(BINS - 1);
        let above: u64 = self.head.scores[bin..].iter().map(|&count| u64::from(count)).sum();
        let share = (above + 1) as f32 / (self.head.scored + 1) as f32;
        (-share.ln() - COMMON).clamp(0.0, MOST)
    }

    /// Lessons so far.
    pub fn lessons(&self) -> u64 {
        self.head.lessons
    }
}

/// The depth that a leaf of so many samples stands for beyond its own.
fn extra(samples: f32) -> f32 {
    let leaves = samples / f32::from(LEAF);
    if leaves > 1.0 { leaves.ln() / 4f32.ln() } else { 0.0 }
}

impl Tree {
    fn learn(&mut self, sample: &Features, random: u64) {
        let (mut at, mut depth) = (0, 0);
        loop {
            let Some(node) = self.0.get_mut(at) else { return };
            node.take(sample);
            match node.child(at, sample) {
                Some(child) if depth < DEPTH => (at, depth) = (child, depth + 1),
                _ => break,
            }
        }
        if depth < DEPTH && self.0[at].count >= LEAF << depth {
            self.split(at, random);
        }
    }

    /// Halves a leaf at random along a feature in which its samples differ.
    fn split(&mut self, at: usize, random: u64) {
        let leaf = self.0[at];
        let differ = (0..COUNT).filter(|&f| leaf.low[f] < leaf.high[f]);
        let choices = differ.clone().count() as u64;
        if choices == 0 {
            return;
        }
        let Some(feature) = differ.clone().nth(((random >> 32) % choices) as usize) else { return };
        let (low, high) = (leaf.low[feature], leaf.high[feature]);
        let width = u64::from(high - low);
        let cut = low + (combine(random, 1) % width) as u8;
        let part = (u64::from(cut - low) + 1) * u64::from(leaf.count) / (width + 1);
        let mut halves = [Node { split: 0, at: 0, ..leaf }; 2];
        halves[0].high[feature] = cut;
        halves[0].count = part as u16;
        halves[1].low[feature] = cut + 1;
        halves[1].count = leaf.count - part as u16;
        self.0[2 * at + 1..2 * at + 3].copy_from_slice(&halves);
        (self.0[at].split, self.0[at].at) = (feature as u8 + 1, cut);
    }

    fn forget(&mut self, sample: &Features) {
        let (mut at, mut depth) = (0, 0);
        while let Some(node) = self.0.get_mut(at) {
            node.count = node.count.saturating_sub(1);
            let (few, child) = (node.count < LEAF << depth, node.child(at, sample));
            match child {
                Some(_) if few => return self.merge(at),
                Some(child) if depth < DEPTH => (at, depth) = (child, depth + 1),
                _ => return,
            }
        }
    }

    /// Makes a leaf of a node whose halves hold too few; those are leaves, with fewer still.
    fn merge(&mut self, at: usize) {
        if let Some(&[left, right]) = self.0.get(2 * at + 1..2 * at + 3) {
            let node = &mut self.0[at];
            node.split = 0;
            node.low = core::array::from_fn(|f| left.low[f].min(right.low[f]));
            node.high = core::array::from_fn(|f| left.high[f].max(right.high[f]));
        }
    }

    fn depth(&self, sample: &Features) -> f32 {
        let (mut at, mut depth) = (0, 0);
        while let Some(node) = self.0.get(at) {
            match node.child(at, sample) {
                Some(child) if depth < DEPTH => (at, depth) = (child, depth + 1),
                _ => return depth as f32 + extra(f32::from(node.count)),
            }
        }
        depth as f32
    }
}

impl Node {
    /// Widens the box around a sample, and counts it.
    fn take(&mut self, sample: &Features) {
        if self.count == 0 {
            (self.low, self.high) = (*sample, *sample);
        }
        for ((low, high), &value) in self.low.iter_mut().zip(&mut self.high).zip(sample) {
            (*low, *high) = ((*low).min(value), (*high).max(value));
        }
        self.count = self.count.saturating_add(1);
    }

    /// Where a sample goes from here; `None` from a leaf.
    fn child(&self, at: usize, sample: &Features) -> Option<usize> {
        let value = *sample.get(usize::from(self.split).checked_sub(1)?)?;
        let child = 2 * at + 1 + usize::from(value > self.at);
        (child < NODES).then_some(child)
    }
}

#[cfg(test)]
mod tests;
