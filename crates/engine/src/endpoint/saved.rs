//! Nodes in a checkpoint.

use super::{ESTABLISHED, Endpoints, FANNED_OUT, Node, TEXT};
use crate::checkpoint::{Clock, Restore};

/// Counts beyond this are damage.
const COUNT_MAX: u32 = 1 << 24;

impl Endpoints<'_> {
    /// All nodes.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.key != 0)
    }

    /// Puts a node where it belongs; false when everything there matters more.
    pub(crate) fn insert(&mut self, node: Node) -> bool {
        let slot = match self.find(node.key) {
            Some(slot) => Some(slot),
            None => self
                .window(node.key)
                .filter(|&i| self.nodes[i].flags & (ESTABLISHED | FANNED_OUT) == 0)
                .min_by_key(|&i| (self.nodes[i].key != 0, self.nodes[i].last_ms)),
        };
        let free = slot.filter(|&i| node.key != 0 && self.nodes[i].rank() <= node.rank());
        if let Some(slot) = free {
            self.nodes[slot] = node;
        }
        free.is_some()
    }
}

impl Node {
    /// What matters more is higher.
    fn rank(&self) -> (bool, bool, u32) {
        (self.key != 0, self.flags & (ESTABLISHED | FANNED_OUT) != 0, self.visits)
    }
}

impl Restore for Node {
    fn restore(&mut self, clock: &Clock) {
        // Beyond all clocks: never the oldest.
        if self.last_ms < u64::MAX >> 1 {
            self.last_ms = clock.watched(self.last_ms).min(clock.now_ms);
        }
        self.visits = self.visits.min(COUNT_MAX);
        self.children = self.children.min(COUNT_MAX);
        self.flags &= ESTABLISHED | FANNED_OUT;
        self.text_len = self.text_len.min(TEXT as u8);
    }
}

impl Endpoints<'_> {
    /// Templates that are established, with their visits: the most visited first.
    pub(crate) fn established(&self) -> Vec<(String, u32)> {
        let mut nodes: Vec<&Node> =
            self.nodes().filter(|node| node.flags & ESTABLISHED != 0 && node.parent != 0).collect();
        nodes.sort_by_key(|node| core::cmp::Reverse(node.visits));
        nodes.into_iter().map(|node| (self.describe(node.key), node.visits)).collect()
    }
}
