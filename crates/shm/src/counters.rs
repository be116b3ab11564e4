//! What is counted beside the traffic of the lanes.
//!
//! All words start at zero and live as long as the zone. "Detector" means the lease holder: it is
//! the only writer of its words and uses plain stores; what several workers write is added to
//! atomically, and happens rarely.

use crate::sync::{AtomicU64, Ordering};

/// Upper bounds of the enforcement histogram's buckets, microseconds. What is slower than the last
/// counts in `+Inf`.
pub const ENFORCEMENT_BOUNDS_US: [u64; 9] =
    [250, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000];

/// In [`Counters::state_loaded`]: denylist and allowlist.
pub const LISTS_LOADED: u64 = 1;
/// In [`Counters::state_loaded`]: what the engine knows.
pub const ENGINE_LOADED: u64 = 2;

/// Counters and gauges of one zone.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Counters {
    /// Gauge, detector: monotonic milliseconds of its last turn; 0: never ran.
    pub detector_heartbeat_ms: AtomicU64,
    /// Gauge, detector: age of the last record it took, milliseconds.
    pub detector_lag_ms: AtomicU64,
    /// Workers: panics that ended a detector thread.
    pub detector_panics: AtomicU64,
    /// Gauge, detector: which load of the configuration detection is switched off under, after repeated
    /// crashes; 0: it is not.
    pub detector_disabled: AtomicU64,
    /// Workers: panics inside an NGINX callback that were turned into "pass".
    pub guard_panics: AtomicU64,
    /// Workers: records lost because their worker got no lane.
    pub no_lane: AtomicU64,
    /// Detector: messages that were no record.
    pub records_invalid: AtomicU64,
    /// Gauge, detector: sources in the engine's table.
    pub sources_live: AtomicU64,
    /// Detector: sources evicted to make room.
    pub sources_evicted: AtomicU64,
    /// Detector: denials that found no place.
    pub denylist_full: AtomicU64,
    /// Detector: live denials that gave way to one of no less confidence.
    pub denylist_displaced: AtomicU64,
    /// Workers: look-ups that gave up on an entry which stayed half-written.
    pub denylist_unreadable: AtomicU64,
    /// Workers: log lines that found their channel full.
    pub log_lines_dropped: AtomicU64,
    /// Gauge, any worker: wall clock minus monotonic clock, milliseconds; for display only.
    pub epoch_offset_ms: AtomicU64,
    /// What was read of the state, by bits: [`LISTS_LOADED`], [`ENGINE_LOADED`].
    pub state_loaded: AtomicU64,
    /// Which zone this is, among those that may share a directory. Written by who made it.
    pub instance: AtomicU64,
    /// Wall clock milliseconds when the zone was made. Written by who made it.
    pub started_ms: AtomicU64,
    /// Lease holder: wall clock milliseconds of the last state of another zone that was taken in.
    pub state_merged_ms: AtomicU64,
    /// Gauge, lease holder: wall clock milliseconds of the last state that reached the disk.
    pub state_saved_ms: AtomicU64,
    /// Lease holder: states that could not be written.
    pub state_errors: AtomicU64,
    /// Microseconds from the end of the convicting request to the denylist entry. Bounds:
    /// [`ENFORCEMENT_BOUNDS_US`].
    pub enforcement: Histogram<9>,
}

/// A histogram that any process may add to. `BOUNDS` finite buckets, one for the rest.
#[derive(Debug)]
#[repr(C)]
pub struct Histogram<const BOUNDS: usize> {
    buckets: [AtomicU64; BOUNDS],
    above: AtomicU64,
    sum: AtomicU64,
}

/// What a [`Histogram`] holds. Read word by word: concurrent additions may be seen in part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistogramValues<const BOUNDS: usize> {
    /// Values at or below each bound, cumulative as Prometheus wants it.
    pub cumulative: [u64; BOUNDS],
    /// Number of values: the `+Inf` bucket.
    pub count: u64,
    /// Sum of the values.
    pub sum: u64,
}

impl<const BOUNDS: usize> Default for Histogram<BOUNDS> {
    fn default() -> Self {
        let buckets = core::array::from_fn(|_| AtomicU64::default());
        Self { buckets, above: AtomicU64::default(), sum: AtomicU64::default() }
    }
}

impl<const BOUNDS: usize> Histogram<BOUNDS> {
    /// Adds `value`. `bounds` ascend and are always the same for one histogram.
    pub fn observe(&self, bounds: &[u64; BOUNDS], value: u64) {
        let bucket = bounds.iter().position(|bound| value <= *bound);
        let bucket = bucket.and_then(|i| self.buckets.get(i)).unwrap_or(&self.above);
        bucket.fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// The values so far.
    pub fn values(&self) -> HistogramValues<BOUNDS> {
        let mut count = 0;
        let cumulative = core::array::from_fn(|i| {
            count += self.buckets[i].load(Ordering::Relaxed);
            count
        });
        count += self.above.load(Ordering::Relaxed);
        HistogramValues { cumulative, count, sum: self.sum.load(Ordering::Relaxed) }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn histogram_buckets_are_cumulative_and_inclusive() {
        let counters = Counters::default();
        for value in [0, 250, 251, 1_000, 100_000, 100_001, 5_000_000] {
            counters.enforcement.observe(&ENFORCEMENT_BOUNDS_US, value);
        }
        let values = counters.enforcement.values();
        assert_eq!(values.cumulative, [2, 3, 4, 4, 4, 4, 4, 4, 5]);
        assert_eq!((values.count, values.sum), (7, 5_201_502));
    }

    #[test]
    fn counters_start_at_zero_and_are_words_only() {
        let counters = Counters::default();
        assert_eq!(size_of_val(&counters) % 8, 0);
        assert_eq!(counters.enforcement.values().count, 0);
        assert_eq!(counters.denylist_full.load(Ordering::Relaxed), 0);
    }
}
