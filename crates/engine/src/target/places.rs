//! Where paths are remembered.
//!
//! Who is met moves one place ahead in its group; who is new takes the last place, so that what is asked for
//! once takes none from what is asked for often.

/// Paths of a group.
pub(super) const GROUP: usize = 8;

/// The high half of the hash of a path, and where it is among the paths.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct Place {
    pub(super) tag: u32,
    pub(super) at: u32,
}

/// The places of a group: one cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct Places(pub(super) [Place; GROUP]);

impl Places {
    pub(super) const EMPTY: Self = Self([Place { tag: 0, at: u32::MAX }; GROUP]);

    /// The same where it was in `place` a moment ago.
    pub(super) fn find_near(&self, key: u64, place: u8) -> usize {
        let place = usize::from(place) % GROUP;
        if self.0[place].tag == (key >> 32) as u32 { place } else { self.find(key) }
    }

    /// The place of a path, or the last one. No branch for each: where it stands cannot be guessed.
    pub(super) fn find(&self, key: u64) -> usize {
        let tag = (key >> 32) as u32;
        (0..GROUP).fold(GROUP - 1, |found, at| if self.0[at].tag == tag { at } else { found })
    }
}
