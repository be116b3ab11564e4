//! Groups of objects in a checkpoint, and the sketches beside them.

use super::{Group, Objects};
use crate::checkpoint::{Clock, Restore};

/// Counts beyond this are damage.
const COUNT_MAX: u32 = 1 << 24;

impl Objects<'_> {
    /// All groups.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter().filter(|group| group.key != 0)
    }

    /// Puts a group where it belongs.
    pub(crate) fn insert(&mut self, group: Group) {
        if group.key != 0 {
            let slot = self.group_slot(group.key);
            self.groups[slot] = group;
        }
    }

    /// Popularity and owners.
    pub(crate) fn tables(&self) -> (&[u16], &[u64]) {
        (self.counts, self.owners)
    }

    /// The same, to be filled.
    pub(crate) fn tables_mut(&mut self) -> (&mut [u16], &mut [u64]) {
        (self.counts, self.owners)
    }
}

impl Restore for Group {
    fn restore(&mut self, clock: &Clock) {
        self.last_ms = clock.watched(self.last_ms).min(clock.now_ms);
        self.epoch = (self.last_ms / crate::profiles::EPOCH_MS) as u32;
        self.sealed = self.sealed.min(super::group::SEALED_DAYS);
        let clamp = |count: u32| count.min(COUNT_MAX);
        self.visits = self.visits.map(clamp);
        self.objects = self.objects.map(clamp);
        for count in [&mut self.total, &mut self.returns, &mut self.changes, &mut self.held] {
            *count = clamp(*count);
        }
    }
}
