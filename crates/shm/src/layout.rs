//! Which byte of the zone belongs to what.
//!
//! ```text
//! header │ lease │ counters │ lanes │ tags │ entries │ incidents │ applications │ allowlist │
//! commands │ history │ engine
//! ```
//!
//! Every region starts on a cache line. [`Geometry`] says the sizes, is stored in the header, and
//! [`Layout`] follows from it; nothing else in the crate computes an offset.

use core::fmt;

use crate::{allowlist, commands::Commands, counters::Counters, denylist, lane, slots};

/// Bytes of a cache line; every region starts at a multiple of it.
pub(crate) const LINE: u64 = 64;
/// First word of a zone: "APIABUSE". Written last.
pub(crate) const MAGIC: u64 = u64::from_be_bytes(*b"APIABUSE");
/// Changes with anything in this crate that two processes must agree on.
pub const LAYOUT_VERSION: u64 = 7;

const HEADER_BYTES: u64 = 256;
pub(crate) const MUTEX_BYTES: u64 = LINE;
pub(crate) const TAKEOVERS: usize = 16;
const LEASE_BYTES: u64 = 192;
const COUNTERS_BYTES: u64 = 1024;
/// Entries of the run-time allowlist.
const ALLOWLIST_SLOTS: usize = 512;
/// Rows of the history: 30 days of two applications and some more.
const HISTORY_SLOTS: u32 = 2048;
/// Data words of a row of the history; with the sequence in front, one cache line.
pub const HISTORY_WORDS: usize = 7;
/// Commands that may be under way at the same time.
const COMMANDS: usize = 32;

const _: () = assert!(size_of::<Counters>() as u64 <= COUNTERS_BYTES);
const _: () = assert!((TAKEOVERS + 4) * 8 <= LEASE_BYTES as usize);
const _: () = assert!(size_of::<usize>() == 8, "the zone's sizes are 64-bit");
const _: () = assert!(HEADER_WORDS * 8 <= HEADER_BYTES as usize);

/// Upper bounds of a sane geometry. They keep the sum of all regions far from overflow.
const LANES_MAX: u32 = 1 << 12;
const LANE_WORDS: core::ops::RangeInclusive<u32> = 16..=1 << 20;
const DENYLIST_SLOTS: core::ops::RangeInclusive<u32> = 64..=1 << 24;
const SLOTS_MAX: u32 = 1 << 20;
const SLOT_WORDS_MAX: u32 = 1 << 16;
const ENGINE_BYTES_MAX: u64 = 1 << 44;

/// What [`Geometry::plan`] aims at when there is room.
const LANES_PER_WORKER: u32 = 4;
const PLAN_LANE_WORDS_MAX: u64 = 1 << 17;
const PLAN_MESSAGES_MIN: u64 = 8;
const PLAN_DENYLIST_SLOTS: (u64, u64) = (1 << 10, 1 << 22);
const PLAN_INCIDENTS: (u64, u64) = (64, 1 << 14);

/// The sizes of all tables. Stored in the zone, so every process computes the same offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Lanes: one for each worker that may be alive at the same time.
    pub lanes: u32,
    /// 64-bit words of each lane's ring, a power of two.
    pub lane_words: u32,
    /// Denylist entries, a power of two.
    pub denylist_slots: u32,
    /// Incidents kept.
    pub incident_slots: u32,
    /// 64-bit words of an incident.
    pub incident_words: u32,
    /// Applications kept.
    pub application_slots: u32,
    /// 64-bit words of an application's statistics.
    pub application_words: u32,
    /// Bytes handed to the engine for its own tables.
    pub engine_bytes: u64,
}

/// What a zone must at least hold.
#[derive(Clone, Copy, Debug)]
pub struct Needs {
    /// Worker processes of the configuration.
    pub workers: u32,
    /// 64-bit words of an incident.
    pub incident_words: u32,
    /// 64-bit words of an application's statistics.
    pub application_words: u32,
    /// Applications.
    pub application_slots: u32,
    /// Bytes below which the engine cannot work.
    pub engine_min_bytes: u64,
    /// 64-bit words of the longest message pushed into a lane.
    pub max_message_words: u32,
}

/// The zone cannot hold what it must.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooSmall {
    /// Bytes that would do.
    pub needed: usize,
    /// Bytes there are.
    pub given: usize,
}

impl fmt::Display for TooSmall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes are too few, at least {} are needed", self.given, self.needed)
    }
}

impl std::error::Error for TooSmall {}

/// Words of the header in use: magic, version, seed, geometry.
pub(crate) const HEADER_WORDS: usize = 4 + GEOMETRY_WORDS;
const GEOMETRY_WORDS: usize = 8;

impl Geometry {
    /// Bytes of a zone of this geometry, header included.
    pub fn bytes(&self) -> usize {
        Layout::of(self).map_or(usize::MAX, |layout| layout.end as usize)
    }

    /// Splits `bytes` between the tables.
    ///
    /// Every table first gets its minimum: 4 lanes for each worker of at least 8 of the longest
    /// messages, 1,024 denials, 64 incidents, all applications, `engine_min_bytes`. Of what is
    /// left, 3/16 go to the lanes (up to 1 MiB each), 5/16 to the denylist (59 bytes an entry),
    /// 1/16 to incidents; lanes and denylist are rounded down to a power of two, and the engine
    /// takes the rest, at least 7/16.
    ///
    /// # Errors
    /// [`TooSmall`] says how many bytes the minimum takes.
    pub fn plan(bytes: usize, needs: &Needs) -> Result<Self, TooSmall> {
        let message = u64::from(needs.max_message_words) + lane::MESSAGE_HEADER_WORDS;
        let lane_min = (PLAN_MESSAGES_MIN * message).next_power_of_two();
        let lanes = needs.workers.max(1).saturating_mul(LANES_PER_WORKER).min(LANES_MAX);
        let least = Self {
            lanes,
            lane_words: lane_min.min(u64::from(*LANE_WORDS.end())) as u32,
            denylist_slots: PLAN_DENYLIST_SLOTS.0 as u32,
            incident_slots: PLAN_INCIDENTS.0 as u32,
            incident_words: needs.incident_words,
            application_slots: needs.application_slots,
            application_words: needs.application_words,
            engine_bytes: needs.engine_min_bytes.next_multiple_of(LINE),
        };
        let needed = least.bytes();
        let spare = bytes.checked_sub(needed).ok_or(TooSmall { needed, given: bytes })? as u64;

        let lane_bytes = u64::from(least.lane_words) * 8 + spare * 3 / 16 / u64::from(lanes);
        let lane_words = floor_power_of_two(lane_bytes / 8)
            .min(PLAN_LANE_WORDS_MAX)
            .max(u64::from(least.lane_words));
        let denylist_slots = PLAN_DENYLIST_SLOTS.0 + spare * 5 / 16 / denylist::SLOT_BYTES;
        let incident_bytes = slots::stride(needs.incident_words as usize) as u64 * 8;
        let incident_slots = PLAN_INCIDENTS.0 + spare / 16 / incident_bytes;
        let mut plan = Self {
            lane_words: lane_words as u32,
            denylist_slots: floor_power_of_two(denylist_slots).min(PLAN_DENYLIST_SLOTS.1) as u32,
            incident_slots: incident_slots.min(PLAN_INCIDENTS.1) as u32,
            engine_bytes: 0,
            ..least
        };
        let rest = (bytes as u64).saturating_sub(plan.bytes() as u64);
        plan.engine_bytes = (rest - rest % LINE).min(ENGINE_BYTES_MAX);
        Ok(plan)
    }

    /// Whether all values are within the bounds for which offsets cannot overflow.
    fn is_sane(&self) -> bool {
        let slots = |slots, words| slots <= SLOTS_MAX && words <= SLOT_WORDS_MAX;
        (1..=LANES_MAX).contains(&self.lanes)
            && LANE_WORDS.contains(&self.lane_words)
            && self.lane_words.is_power_of_two()
            && DENYLIST_SLOTS.contains(&self.denylist_slots)
            && self.denylist_slots.is_power_of_two()
            && slots(self.incident_slots, self.incident_words)
            && slots(self.application_slots, self.application_words)
            && self.engine_bytes <= ENGINE_BYTES_MAX
    }

    pub(crate) fn to_words(self) -> [u64; GEOMETRY_WORDS] {
        [
            self.lanes.into(),
            self.lane_words.into(),
            self.denylist_slots.into(),
            self.incident_slots.into(),
            self.incident_words.into(),
            self.application_slots.into(),
            self.application_words.into(),
            self.engine_bytes,
        ]
    }

    /// `None` when a value does not even fit its type.
    pub(crate) fn from_words(words: [u64; GEOMETRY_WORDS]) -> Option<Self> {
        let size = |i: usize| u32::try_from(words[i]).ok();
        Some(Self {
            lanes: size(0)?,
            lane_words: size(1)?,
            denylist_slots: size(2)?,
            incident_slots: size(3)?,
            incident_words: size(4)?,
            application_slots: size(5)?,
            application_words: size(6)?,
            engine_bytes: words[7],
        })
    }
}

/// Largest power of two that is not above `n`; 1 for 0.
fn floor_power_of_two(n: u64) -> u64 {
    1 << n.max(1).ilog2()
}

/// Bytes `offset .. offset + bytes` of the zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Region {
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
}

/// Where each region lies. The regions do not overlap.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) header: Region,
    pub(crate) mutex: Region,
    pub(crate) lease: Region,
    pub(crate) counters: Region,
    pub(crate) lanes: Region,
    pub(crate) tags: Region,
    pub(crate) entries: Region,
    pub(crate) incidents: Region,
    pub(crate) applications: Region,
    pub(crate) allowlist: Region,
    pub(crate) commands: Region,
    pub(crate) history: Region,
    pub(crate) engine: Region,
    pub(crate) end: u64,
}

impl Layout {
    /// `None` for a geometry that is not sane.
    pub(crate) fn of(geometry: &Geometry) -> Option<Self> {
        if !geometry.is_sane() {
            return None;
        }
        let mut end = 0;
        let mut region = |bytes: u64| {
            let region = Region { offset: end, bytes };
            end = (end + bytes).next_multiple_of(LINE);
            region
        };
        let slots =
            |slots: u32, words: u32| u64::from(slots) * slots::stride(words as usize) as u64;
        let lane = (lane::CONTROL_WORDS + geometry.lane_words as usize) as u64 * 8;
        let entries = u64::from(geometry.denylist_slots);
        let layout = Self {
            header: region(HEADER_BYTES),
            mutex: region(MUTEX_BYTES),
            lease: region(LEASE_BYTES),
            counters: region(COUNTERS_BYTES),
            lanes: region(u64::from(geometry.lanes) * lane),
            tags: region(denylist::FRONT_WORDS as u64 * 8 + entries * denylist::FRONT_BYTES),
            entries: region(entries * denylist::ENTRY_BYTES),
            incidents: region(slots(geometry.incident_slots, geometry.incident_words) * 8),
            applications: region(slots(geometry.application_slots, geometry.application_words) * 8),
            allowlist: region(allowlist::words(ALLOWLIST_SLOTS) as u64 * 8),
            commands: region(Commands::words(COMMANDS) as u64 * 8),
            history: region(slots(HISTORY_SLOTS, HISTORY_WORDS as u32) * 8),
            engine: region(geometry.engine_bytes),
            end: 0,
        };
        Some(Self { end, ..layout })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDS: Needs = Needs {
        workers: 4,
        incident_words: 150,
        application_words: 50,
        application_slots: 64,
        engine_min_bytes: 1 << 20,
        max_message_words: 96,
    };

    #[test]
    fn plans_fit_grow_and_do_not_overlap() {
        let needed = Geometry::plan(0, &NEEDS).unwrap_err().needed;
        let mut last = Geometry::plan(needed, &NEEDS).unwrap();
        let mut plans = 0;
        for bytes in (needed..256 << 20).step_by(777_777) {
            let plan = Geometry::plan(bytes, &NEEDS).unwrap();
            assert!(plan.bytes() <= bytes && bytes - plan.bytes() < LINE as usize, "{plan:?}");
            assert!(plan.engine_bytes >= NEEDS.engine_min_bytes);
            assert!(plan.engine_bytes as usize >= (bytes - needed) * 7 / 16);
            assert!(plan.lane_words >= last.lane_words);
            assert!(plan.denylist_slots >= last.denylist_slots);
            assert!(plan.incident_slots >= last.incident_slots);
            let l = Layout::of(&plan).unwrap();
            let first = [l.header, l.mutex, l.lease, l.counters, l.lanes, l.tags, l.entries];
            let middle = [l.incidents, l.applications, l.allowlist, l.commands];
            let all = [&first[..], &middle, &[l.history, l.engine]].concat();
            for pair in all.windows(2) {
                assert!(pair[0].offset + pair[0].bytes <= pair[1].offset, "{l:?}");
                assert_eq!(pair[1].offset % LINE, 0);
            }
            last = plan;
            plans += 1;
        }
        assert!(plans > 300, "{plans}");
    }

    #[test]
    fn sixteen_mebibytes_for_four_workers() {
        let plan = Geometry::plan(16 << 20, &NEEDS).unwrap();
        assert_eq!((plan.lanes, plan.lane_words, plan.denylist_slots), (16, 1 << 14, 1 << 16));
        assert!(plan.incident_slots > 700 && plan.engine_bytes > 8 << 20, "{plan:?}");
    }

    #[test]
    fn too_small_says_what_would_do() {
        let needed = Geometry::plan(0, &NEEDS).unwrap_err().needed;
        let error = Geometry::plan(needed - 1, &NEEDS).unwrap_err();
        assert_eq!(error, TooSmall { needed, given: needed - 1 });
        let least = Geometry::plan(needed, &NEEDS).unwrap();
        assert_eq!(least.engine_bytes, NEEDS.engine_min_bytes);
        assert_eq!(least.bytes(), needed);
    }

    #[test]
    fn insane_geometries_have_no_layout() {
        let good = Geometry::plan(16 << 20, &NEEDS).unwrap();
        assert_eq!(Geometry::from_words(good.to_words()), Some(good));
        let insane = [
            Geometry { lanes: 0, ..good },
            Geometry { lanes: u32::MAX, ..good },
            Geometry { lane_words: 1000, ..good },
            Geometry { lane_words: 1 << 31, ..good },
            Geometry { denylist_slots: 8, ..good },
            Geometry { denylist_slots: 100, ..good },
            Geometry { incident_words: u32::MAX, ..good },
            Geometry { application_slots: u32::MAX, ..good },
            Geometry { engine_bytes: u64::MAX, ..good },
        ];
        for geometry in insane {
            assert!(Layout::of(&geometry).is_none(), "{geometry:?}");
            assert_eq!(geometry.bytes(), usize::MAX);
        }
    }
}
