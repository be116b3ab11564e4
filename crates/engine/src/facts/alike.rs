//! What a path that misses has in common with what was served, or with others that miss.

use crate::detectors::vulnerability_scanning::{Contact, is_miss};
use crate::engine::Engine;
use crate::hash::combine;
use crate::record::{Method, RequestRecord};
use crate::target::Target;

/// Places in which the same two names were served, one below the other, before a program may look for them
/// in another: `/a/b/@v/list`.
const PLACES: u32 = 2;

impl Engine<'_> {
    /// What a miss is remembered by where values above a name make the difference, if any: a program that
    /// asks for `/items/{int}/badges` of each item looks for one thing. Names of attacks are looked at one by one.
    pub(super) fn looked_for(
        &self,
        record: &RequestRecord<'_>,
        target: &Target,
        contact: Contact,
    ) -> Option<u64> {
        let misses = is_miss(record.head.status) && contact != Contact::Probe;
        (misses || record.is(Method::Put)).then(|| target.shape(self.config.seed)).flatten()
    }

    /// Takes in where two names were served, one below the other.
    #[inline(never)]
    pub(super) fn lies_here(&mut self, record: &RequestRecord<'_>, target: &Target, path_key: u64) {
        if let Some(tail) = target.tail() {
            self.served.insert(combine(record.head.application, tail), path_key);
        }
    }

    /// Whether the last two names were served in several places.
    #[inline(never)]
    pub(super) fn lies_elsewhere(&self, record: &RequestRecord<'_>, target: &Target) -> bool {
        let others = |tail| self.served.others(combine(record.head.application, tail), 0);
        target.tail().is_some_and(|tail| others(tail) >= PLACES)
    }

    /// Whether a source map is missed of something that was served: a browser's own tools ask for it.
    #[inline(never)]
    pub(super) fn maps_served(&self, record: &RequestRecord<'_>) -> bool {
        record.path.strip_suffix(b".map").is_some_and(|path| {
            let key = combine(record.head.application, self.config.seed.table(path));
            self.served.others(key, 0) > 0
        })
    }
}
