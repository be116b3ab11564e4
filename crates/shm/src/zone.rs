//! The zone as a whole: made once by the master, opened by every process that inherits or maps it.

use core::{fmt, ptr::NonNull};

use crate::allowlist::Allowlist;
use crate::attach::{self, Mapping};
use crate::commands::{Command, Commands, Ticket};
use crate::counters::Counters;
use crate::denylist::Denylist;
use crate::lane::{LaneTotals, Lanes, Producer};
use crate::layout::{Geometry, HEADER_WORDS, HISTORY_WORDS, LAYOUT_VERSION, MAGIC};
use crate::lease::Lease;
use crate::slots::Slots;
use crate::sync::Ordering;

const MAGIC_WORD: usize = 0;
const VERSION_WORD: usize = 1;
const SEED_WORD: usize = 2;
const GEOMETRY_WORD: usize = 4;

/// Why memory cannot be used as a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachError {
    /// It does not start on a cache line (64 bytes).
    Misaligned,
    /// It does not start like a zone, or the zone is not finished.
    NotAZone,
    /// It is a zone of another version of this crate.
    LayoutVersion {
        /// Version in the zone.
        found: u64,
        /// [`LAYOUT_VERSION`].
        expected: u64,
    },
    /// Its geometry makes no sense or takes more bytes than there are.
    Geometry,
    /// The system refused to make the lease's mutex; its error number.
    Lease(i32),
}

impl fmt::Display for AttachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Misaligned => f.write_str("the memory is not aligned to 64 bytes"),
            Self::NotAZone => f.write_str("the memory holds no finished zone"),
            Self::LayoutVersion { found, expected } => {
                write!(f, "the zone has layout version {found}, this is version {expected}")
            }
            Self::Geometry => f.write_str("the zone's tables do not fit its size"),
            Self::Lease(errno) => {
                let error = std::io::Error::from_raw_os_error(*errno);
                write!(f, "the lease's mutex cannot be made: {error}")
            }
        }
    }
}

impl std::error::Error for AttachError {}

/// A zone: a handle that is cheap to copy and may be used by any thread. Everything reachable
/// through it is atomic words; the engine's bytes are reachable only through the lease.
///
/// What it hands out is `'static`: the memory outlives it by the contract of [`Zone::create`].
#[derive(Clone, Copy, Debug)]
pub struct Zone {
    mapping: Mapping,
    geometry: Geometry,
    seed: [u64; 2],
}

impl Zone {
    pub(crate) fn mapping(&self) -> Mapping {
        self.mapping
    }

    /// Writes the header of a new zone, whose memory is all zero, and its magic last: whoever opens
    /// the zone meanwhile is told that it is none.
    pub(crate) fn format(
        mapping: Mapping,
        geometry: Geometry,
        seed: [u64; 2],
    ) -> Result<Self, AttachError> {
        mapping.make_mutex().map_err(AttachError::Lease)?;
        let header = mapping.header();
        header[VERSION_WORD].store(LAYOUT_VERSION, Ordering::Relaxed);
        let words = seed.into_iter().chain(geometry.to_words());
        for (word, value) in header[SEED_WORD..HEADER_WORDS].iter().zip(words) {
            word.store(value, Ordering::Relaxed);
        }
        header[MAGIC_WORD].store(MAGIC, Ordering::Release);
        Ok(Self { mapping, geometry, seed })
    }

    /// Reads the header of the zone at `base`.
    pub(crate) fn read_header(
        header: &[crate::sync::AtomicU64],
    ) -> Result<(Geometry, [u64; 2]), AttachError> {
        if header[MAGIC_WORD].load(Ordering::Acquire) != MAGIC {
            return Err(AttachError::NotAZone);
        }
        let word = |i: usize| header[i].load(Ordering::Relaxed);
        let found = word(VERSION_WORD);
        if found != LAYOUT_VERSION {
            return Err(AttachError::LayoutVersion { found, expected: LAYOUT_VERSION });
        }
        let geometry = Geometry::from_words(core::array::from_fn(|i| word(GEOMETRY_WORD + i)));
        Ok((geometry.ok_or(AttachError::Geometry)?, [word(SEED_WORD), word(SEED_WORD + 1)]))
    }

    pub(crate) fn from_parts(mapping: Mapping, geometry: Geometry, seed: [u64; 2]) -> Self {
        Self { mapping, geometry, seed }
    }

    /// The sizes of all tables.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// The seed given when the zone was made. Secret: it decides where denials lie.
    pub fn seed(&self) -> [u64; 2] {
        self.seed
    }

    /// Where the zone lies in this process, for a caller that wants to compare.
    pub fn base(&self) -> NonNull<u8> {
        self.mapping.base()
    }

    /// Counters and gauges.
    pub fn counters(&self) -> &'static Counters {
        self.mapping.counters()
    }

    pub(crate) fn lanes(&self) -> Lanes<'static> {
        Lanes::of(self.mapping.lane_words(), self.geometry.lane_words)
    }

    /// Makes process `pid` the owner of a lane: a free one, or one whose owner is dead. `None` when
    /// all belong to living processes.
    pub fn claim_lane(&self, pid: u32) -> Option<Producer<'static>> {
        self.lanes().claim(pid, attach::process_exists)
    }

    /// What went through the lanes since the zone was made.
    pub fn lane_totals(&self) -> LaneTotals {
        self.lanes().totals()
    }

    /// The denylist, to look up and to list.
    pub fn denylist(&self) -> Denylist<'static> {
        Denylist::of(self.mapping.denylist_words(), self.seed, self.counters())
    }

    /// The run-time allowlist.
    pub fn allowlist(&self) -> Allowlist<'static> {
        Allowlist::of(self.mapping.allowlist_words())
    }

    /// The lane to the lease holder.
    pub fn commands(&self) -> Commands<'static> {
        Commands::of(self.mapping.command_words())
    }

    /// Hands in a command of process `pid`; `None` when too many are under way, or a text of it is
    /// too long.
    pub fn submit(&self, pid: u32, command: &Command) -> Option<Ticket> {
        self.commands().submit(pid, &command.to_words()?, attach::process_exists)
    }

    /// Counts of each hour; what a row says is the caller's.
    pub fn history(&self) -> Slots<'static> {
        Slots::over(self.mapping.history_words(), HISTORY_WORDS)
    }

    /// The incidents.
    pub fn incidents(&self) -> Slots<'static> {
        Slots::over(self.mapping.incident_words(), self.geometry.incident_words as usize)
    }

    /// The applications' statistics.
    pub fn applications(&self) -> Slots<'static> {
        Slots::over(self.mapping.application_words(), self.geometry.application_words as usize)
    }

    /// The lease.
    pub fn lease(&self) -> Lease {
        Lease::new(self)
    }
}

#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;
    use crate::attach::tests::{GEOMETRY, reopened, zone};
    use crate::{Batch, DenyEntry, DenyKey};

    #[test]
    fn what_one_handle_writes_another_reads() {
        let made = zone();
        let opened = reopened(&made, usize::MAX).unwrap();
        assert_eq!((opened.geometry(), opened.seed()), (GEOMETRY, [5, 6]));

        let producer = opened.claim_lane(std::process::id()).unwrap();
        assert!(producer.push(&[1, 2, 3]));
        let mut lease = made.lease().try_acquire(0).unwrap().unwrap();
        let mut writers = lease.split();
        let mut batch = Batch::default();
        assert_eq!(writers.consumer.drain(&mut batch, 9), 1);
        assert_eq!(batch.messages().next(), Some(&[1, 2, 3][..]));
        let totals = opened.lane_totals();
        assert_eq!((totals.lanes, totals.claimed, totals.pushed, totals.consumed), (4, 1, 1, 1));

        let key = DenyKey { application: 1, kind: 1, network: 2, discriminator: 3 };
        let (threat, action, confidence, incident) = (1, 2, 90, 4);
        let (expires_ms, ttl_ms, hits) = (100, 50, 0);
        let entry =
            DenyEntry { key, threat, action, confidence, incident, expires_ms, ttl_ms, hits };
        writers.denylist.insert(&entry, 0);
        assert_eq!(opened.denylist().find(&key, 99), Some(entry));
        assert_eq!(opened.denylist().capacity(), 64);

        assert!(writers.incidents.write(4, &[7; 20]) && writers.applications.write(2, &[8; 10]));
        let mut words = [0; 20];
        assert!(opened.incidents().read(4, &mut words) && words == [7; 20]);
        assert!(opened.applications().read(2, &mut words[..10]) && words[..10] == [8; 10]);
        assert_eq!((opened.incidents().len(), opened.applications().len()), (5, 3));
        writers.engine.fill(9);
        drop(lease);
        assert_eq!(opened.lease().try_acquire(0).unwrap().unwrap().split().engine[999], 9);
    }

    #[test]
    fn each_process_that_lives_keeps_its_lane() {
        let zone = zone();
        let pid = std::process::id();
        let all: Vec<_> = (0..4).map(|_| zone.claim_lane(pid).unwrap()).collect();
        assert!(zone.claim_lane(pid).is_none());
        drop(all);
        std::mem::forget(zone.claim_lane(u32::MAX).unwrap());
        assert!((0..4).all(|_| zone.claim_lane(pid).map(std::mem::forget).is_some()));
        assert!(zone.claim_lane(pid).is_none());
    }

    #[test]
    fn a_header_that_makes_no_sense_is_refused() {
        let good = zone();
        assert_eq!(reopened(&good, GEOMETRY.bytes() - 1).unwrap_err(), AttachError::Geometry);
        let with = |word: usize, value: u64| {
            let zone = zone();
            zone.mapping().header()[word].store(value, Ordering::Relaxed);
            reopened(&zone, usize::MAX).unwrap_err()
        };
        assert_eq!(with(MAGIC_WORD, 0), AttachError::NotAZone);
        assert_eq!(with(MAGIC_WORD, MAGIC ^ 1), AttachError::NotAZone);
        let error = AttachError::LayoutVersion { found: 99, expected: LAYOUT_VERSION };
        assert_eq!(with(VERSION_WORD, 99), error);
        assert!(error.to_string().contains("99"));
        for word in [0, 1, 2, 7] {
            assert_eq!(with(GEOMETRY_WORD + word, u64::MAX), AttachError::Geometry);
            assert_eq!(with(GEOMETRY_WORD + word, 1 << 31), AttachError::Geometry);
        }
    }
}
