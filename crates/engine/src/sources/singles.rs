//! Addresses that one client alone uses, and sessions of a client that has no other, so far: most of them.
//!
//! What they did is what their client did, so they need no record of their own, and no record is judged
//! for them a second time: [`super::stands`]. Each is known by a pair: its key, and the slot of its client. A
//! pair says where to look and no more: whoever asks looks at the client that is there. A pair that had
//! to give way costs no evidence: the client holds it.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::target::to_front;

/// Pairs of a line.
pub const PAIRS: usize = 8;
/// Pairs for each record of a source: a client may stand for an address and for a session.
pub const PAIRS_A_SOURCE: usize = 2;

/// The low half of the key of an address or a session, and the slot of its only client; 0 is a free place.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct Pair(u64);

impl Pair {
    fn new(key: u64, client: usize) -> Self {
        Self(key & 0xffff_ffff | (client as u64) << 32)
    }

    fn may_be(self, key: u64) -> bool {
        self.0 as u32 == key as u32 && self.0 != 0
    }

    fn client(self) -> usize {
        (self.0 >> 32) as usize
    }
}

/// Pairs that share a cache line, the one that was met last in front. Plain old data; any bit pattern
/// is valid.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(64))]
pub struct Line([Pair; PAIRS]);

/// All pairs, over caller-given memory.
#[derive(Debug)]
pub struct Singles<'m>(&'m mut [Line]);

impl<'m> Singles<'m> {
    /// A table over `lines`, at least one.
    pub fn new(lines: &'m mut [Line]) -> Self {
        debug_assert!(!lines.is_empty());
        Self(lines)
    }

    /// The slot of the client that stands for a key, if it is still there.
    pub fn meet(&mut self, key: u64) -> Option<usize> {
        let line = self.line_mut(key);
        let at = line.iter().position(|pair| pair.may_be(key))?;
        to_front(line, at);
        Some(line[0].client())
    }

    /// Writes down who stands for a key; the pair that was met longest ago gives way.
    pub fn insert(&mut self, key: u64, client: usize) {
        let line = self.line_mut(key);
        let same = line.iter().position(|pair| pair.may_be(key));
        to_front(line, same.unwrap_or(PAIRS - 1));
        line[0] = Pair::new(key, client);
    }

    /// The key has a record now.
    pub fn remove(&mut self, key: u64) {
        let line = self.line_mut(key);
        if let Some(at) = line.iter().position(|pair| pair.may_be(key)) {
            line[at..].rotate_left(1);
            line[PAIRS - 1] = Pair::default();
        }
    }

    /// Reads the line of a key: see [`crate::Engine::approach`].
    pub(crate) fn approach(&self, key: u64) -> u64 {
        self.0[self.at(key)].0[0].0
    }

    /// Keys that are known.
    pub fn count(&self) -> usize {
        self.0.iter().flat_map(|line| line.0).filter(|pair| pair.0 != 0).count()
    }

    fn at(&self, key: u64) -> usize {
        (((key >> 32) * self.0.len() as u64) >> 32) as usize
    }

    fn line_mut(&mut self, key: u64) -> &mut [Pair; PAIRS] {
        let at = self.at(key);
        &mut self.0[at].0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_kept_by_when_they_were_met() {
        let mut lines = [Line::default()];
        let mut singles = Singles::new(&mut lines);
        for key in 1..=8 {
            assert_eq!(singles.meet(key), None);
            singles.insert(key, 10 + key as usize);
        }
        assert_eq!((singles.meet(1), singles.meet(2)), (Some(11), Some(12)));
        singles.insert(9, 15);
        assert_eq!(singles.meet(3), None, "met longest ago");
        assert_eq!([5, 4, 1, 2].map(|key| singles.meet(key)), [15, 14, 11, 12].map(Some));
        singles.remove(2);
        assert_eq!((singles.meet(2), singles.count()), (None, 7));
        singles.insert(4, 44);
        assert_eq!((singles.meet(4), singles.count()), (Some(44), 7));
    }
}
