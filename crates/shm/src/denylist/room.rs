//! How room is made for an entry whose buckets are full: others move to the other one of theirs
//! (cuckoo hashing: Pagh, Rodler 2004; in buckets: Dietzfelbinger, Weidling 2007), so that all but a
//! fiftieth of the slots can be used.
//!
//! An entry is written at its new place before it leaves the old one, and the count of moves, which
//! readers compare, grows in between. A writer killed half-way leaves it at both.

use super::entry::Packed;
use super::key::{Place, slots_of};
use super::{BUCKET, DenylistWriter};
use crate::sync::{Edge, Ordering, release};

/// Buckets that are looked at, at most: the two of the entry, those of the 16 entries there, those of
/// the entries in there. So what finds no room is known after 144 entries were read.
const NODES: usize = 2 + 16 + 128;

/// A bucket that was reached.
#[derive(Clone, Copy)]
struct Node {
    bucket: usize,
    /// The node whose bucket holds the entry that would move here, and its slot there; `None` for the
    /// two of the entry.
    from: Option<(u8, usize)>,
}

/// Buckets in the order in which they were reached.
struct Reached {
    nodes: [Node; NODES],
    len: usize,
}

impl Reached {
    fn new(buckets: [usize; 2]) -> Self {
        let mut reached = Self { nodes: [Node { bucket: 0, from: None }; NODES], len: 0 };
        for bucket in buckets {
            reached.push(Node { bucket, from: None });
        }
        reached
    }

    fn push(&mut self, node: Node) {
        if let Some(place) = self.nodes.get_mut(self.len) {
            *place = node;
            self.len += 1;
        }
    }
}

impl DenylistWriter<'_> {
    /// A slot of these buckets that is free once others have moved; the nearest such way is taken.
    pub(super) fn make_room(&mut self, buckets: [usize; 2], now_ms: u64) -> Option<usize> {
        let mut reached = Reached::new(buckets);
        let mut at = 0;
        while at < reached.len && reached.len < NODES {
            let here = reached.nodes[at];
            for slot in slots_of(here.bucket) {
                let Some(held) = self.live(slot, now_ms) else {
                    return self.shift(&reached, here, slot);
                };
                let place = self.list.seed.place(&held.key, self.list.tags.len());
                let Some(bucket) = place.other(here.bucket) else { continue };
                let node = Node { bucket, from: Some((at as u8, slot)) };
                if let Some(free) = self.untagged(bucket) {
                    return self.shift(&reached, node, free);
                }
                reached.push(node);
            }
            at += 1;
        }
        None
    }

    /// A slot of a bucket that no tag says is taken.
    pub(super) fn untagged(&self, bucket: usize) -> Option<usize> {
        let tags = self.list.tags[bucket].load(Ordering::Relaxed).to_le_bytes();
        tags.iter().position(|tag| *tag == 0).map(|slot| bucket * BUCKET + slot)
    }

    /// Moves entries one by one along the way to `end`, the last one first, into the slot `free` there.
    /// Returns the slot that is free at the beginning of the way.
    fn shift(&mut self, reached: &Reached, end: Node, mut free: usize) -> Option<usize> {
        let mut node = end;
        while let Some((before, slot)) = node.from {
            if !self.relocate(slot, free) {
                return None;
            }
            free = slot;
            node = reached.nodes[usize::from(before)];
        }
        Some(free)
    }

    /// Moves an entry to a slot of its other bucket, over whatever is there. `false`, and nothing
    /// done, when that is not one of its own.
    fn relocate(&mut self, from: usize, to: usize) -> bool {
        let Some(packed) = self.list.whole(from) else { return false };
        let Some(place) = self.place_of(packed) else { return false };
        if place.other(from / BUCKET) != Some(to / BUCKET) {
            return false;
        }
        let gone = self.list.entry(to);
        self.list.entries.write(to, &packed, false);
        self.set_tag(to, place.tag);
        if let Some(gone) = gone {
            self.list.networks.take(gone.key.network);
        }
        // Who sees the count sees the entry at its new place; who sees it gone from the old one sees the
        // count.
        let moves = self.list.moves.load(Ordering::Relaxed).wrapping_add(1);
        self.list.moves.store(moves, release(Edge::DenyMoved));
        self.empty(from);
        true
    }

    fn place_of(&self, packed: Packed) -> Option<Place> {
        let key = packed.entry()?.key;
        Some(self.list.seed.place(&key, self.list.tags.len()))
    }

    /// Moves the entry of `key` to its other bucket, for the model checker.
    #[cfg(loom)]
    pub fn move_over(&mut self, key: &super::DenyKey) -> bool {
        let place = self.list.seed.place(key, self.list.tags.len());
        let Some((from, _)) = self.list.locate(key, &place) else { return false };
        let free = place.other(from / BUCKET).and_then(|bucket| self.untagged(bucket));
        free.is_some_and(|free| self.relocate(from, free))
    }
}
