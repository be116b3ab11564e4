use std::alloc::{Layout as Allocation, alloc_zeroed};

use super::*;
use crate::sync::Ordering;

pub(crate) const GEOMETRY: Geometry = Geometry {
    lanes: 4,
    lane_words: 64,
    denylist_slots: 64,
    incident_slots: 5,
    incident_words: 20,
    application_slots: 3,
    application_words: 10,
    engine_bytes: 1000,
};

/// Zeroed memory that lives as long as the test process, aligned to a cache line.
fn memory(len: usize) -> NonNull<u8> {
    let allocation = Allocation::from_size_align(len, LINE as usize).unwrap();
    // SAFETY: the size is not zero.
    NonNull::new(unsafe { alloc_zeroed(allocation) }).unwrap()
}

/// A new zone of [`GEOMETRY`].
#[cfg(not(miri))]
pub(crate) fn zone() -> Zone {
    let len = GEOMETRY.bytes();
    // SAFETY: the memory is zeroed, never freed, and only this zone uses it; a test that leaks a lease
    // keeps no reference into the engine's bytes.
    unsafe { Zone::create(memory(len), len, &GEOMETRY, [5, 6]) }.unwrap()
}

/// The same memory, opened again as another process would.
#[cfg(not(miri))]
pub(crate) fn reopened(zone: &Zone, len: usize) -> Result<Zone, AttachError> {
    // SAFETY: the memory is a zone's of GEOMETRY, never freed; len is at most its length.
    unsafe { Zone::open(zone.base(), len.min(GEOMETRY.bytes())) }
}

/// For Miri: references to all regions live side by side, and every byte of each is written.
#[test]
fn regions_are_disjoint_to_the_language_too() {
    let len = GEOMETRY.bytes();
    let base = memory(len);
    // SAFETY: base points to len bytes that only this test uses; they are freed at its end.
    let mapping = unsafe { Mapping::new(base, len, &GEOMETRY) }.unwrap();
    let stays_with_its_thread = PhantomData;
    // Never dropped: there is no mutex to unlock.
    let mut held = core::mem::ManuallyDrop::new(HeldMutex { mapping, stays_with_its_thread });
    let engine = held.engine();
    assert_eq!((engine.len(), engine.as_ptr().addr() % 64), (1000, 0));
    engine.fill(0xff);
    let [tags, entries] = mapping.denylist_words();
    let counters = mapping.counters();
    let words = [
        mapping.header(),
        mapping.lease_words(),
        mapping.lane_words(),
        tags,
        entries,
        mapping.incident_words(),
        mapping.application_words(),
    ];
    for word in words.into_iter().flatten() {
        assert_eq!(word.fetch_add(1, Ordering::Relaxed), 0);
    }
    assert_eq!(counters.no_lane.fetch_add(1, Ordering::Relaxed), 0);
    assert!(engine.iter().all(|byte| *byte == 0xff));
    assert!(words.into_iter().flatten().all(|word| word.load(Ordering::Relaxed) == 1));
    // SAFETY: allocated by memory() with this size and alignment, and used no more.
    unsafe {
        let allocation = Allocation::from_size_align(len, LINE as usize).unwrap();
        std::alloc::dealloc(base.as_ptr(), allocation);
    }
}

#[cfg(not(miri))]
#[test]
fn memory_that_does_not_fit_is_refused() {
    let len = GEOMETRY.bytes();
    let base = memory(len);
    let insane = Geometry { lane_words: 3, ..GEOMETRY };
    // SAFETY: base points to len zeroed bytes that live forever; nothing else uses them.
    unsafe {
        let odd = base.add(8);
        assert_eq!(Zone::open(odd, len - 8).unwrap_err(), AttachError::Misaligned);
        let created = Zone::create(odd, len - 8, &GEOMETRY, [0; 2]);
        assert_eq!(created.unwrap_err(), AttachError::Misaligned);
        let created = Zone::create(base, len - 1, &GEOMETRY, [0; 2]);
        assert_eq!(created.unwrap_err(), AttachError::Geometry);
        assert_eq!(Zone::create(base, len, &insane, [0; 2]).unwrap_err(), AttachError::Geometry);
        assert_eq!(Zone::open(base, len).unwrap_err(), AttachError::NotAZone);
        assert_eq!(Zone::open(base, 8).unwrap_err(), AttachError::NotAZone);
    }
}

#[cfg(not(miri))]
#[test]
fn processes_are_alive_or_not() {
    assert!(process_exists(std::process::id()));
    assert!(process_exists(1), "not ours to signal, or ours: alive");
    assert!(!process_exists(0) && !process_exists(u32::MAX));
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let pid = child.id();
    child.wait().unwrap();
    assert!(!process_exists(pid));
}
