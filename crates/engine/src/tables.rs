//! The engine's tables in memory that the caller hands in.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::application::Statistics;
use crate::budget::Budget;
use crate::campaign::{Campaign, Kind};
use crate::decision::{EXEMPLARS, Exemplar, Incident};
use crate::detectors::credential_stuffing::Answers;
use crate::endpoint::Node;
use crate::hash::Seed;
use crate::learned::features::Features;
use crate::learned::forest;
use crate::object::Group;
use crate::profiles::{Habit, Profile};
use crate::sketch::Generation;
use crate::sources::{Bucket, Line, PAIRS, PAIRS_A_SOURCE, SOURCE_BYTES, Source, WAYS};

/// Applications that are told apart. Requests of any more are counted together in the last slot.
pub const APPLICATIONS: usize = 64;
/// Changes with every change of a table's layout: older tables are not read.
const LAYOUT: u64 = 16;
const MAGIC: u64 = u64::from_le_bytes(*b"abuse-en");

/// What the tables are, and the few numbers that belong to all of them.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(64))]
pub struct Header {
    magic: u64,
    layout: u64,
    bytes: u64,
    seed: [u64; 2],
    /// Number of the last incident.
    pub incident: u64,
    /// Sources evicted although something spoke for keeping them.
    pub evicted: u64,
    padding: u64,
}

/// Requests kept of one suspect.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(8))]
pub struct Suspect {
    /// Key of the source.
    pub key: u64,
    /// The requests that speak against it most.
    pub exemplars: [Exemplar; EXEMPLARS],
}

/// How many of each fit into the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sources, a multiple of 8.
    pub sources: usize,
    /// Nodes of path templates, a power of two.
    pub nodes: usize,
    /// Cells of each of the two sketches, a power of two.
    pub cells: usize,
    /// Suspects whose requests are kept.
    pub suspects: usize,
    /// Incidents kept.
    pub incidents: usize,
    /// Logins whose answers are told apart, a power of two.
    pub logins: usize,
    /// Cells of the popularity of objects, a power of two.
    pub counts: usize,
    /// Objects whose last owner is known, a power of two.
    pub owners: usize,
    /// Groups of objects, a power of two.
    pub groups: usize,
    /// Kinds of events that are followed for distributed attacks.
    pub campaigns: usize,
    /// Applications that have a circuit breaker of their own; any more share the last.
    pub budgets: usize,
    /// Applications of which a profile is learned.
    pub profiles: usize,
    /// Templates of which a habit is learned, a power of two.
    pub habits: usize,
    /// Trees of the isolation forest, an even number.
    pub trees: usize,
}

impl Limits {
    /// The split of `bytes`: a share for what explains sources, bounded where more would be of no use;
    /// all the rest for sources.
    pub fn of(bytes: usize) -> Self {
        let share = |percent: usize, size: usize| bytes / 100 * percent / size;
        let power = |n: usize| if n.is_power_of_two() { n } else { n.next_power_of_two() / 2 };
        let explaining = Self {
            sources: 0,
            nodes: power(share(10, size_of::<Node>())).clamp(64, 1 << 20),
            cells: power(share(4, 1)).clamp(1024, 1 << 28),
            suspects: share(6, size_of::<Suspect>()),
            incidents: share(4, size_of::<Incident>()).clamp(16, 4096),
            logins: power(share(1, size_of::<Answers>())).clamp(64, 4096),
            counts: power(share(4, 2)).clamp(4096, 1 << 24),
            owners: power(share(4, 8)).clamp(1024, 1 << 22),
            groups: power(share(2, size_of::<Group>())).clamp(64, 4096),
            campaigns: share(3, size_of::<Campaign>())
                .clamp(Kind::COUNT, Kind::COUNT * APPLICATIONS),
            budgets: share(2, size_of::<Budget>()).clamp(1, APPLICATIONS),
            profiles: share(2, size_of::<Profile>()).clamp(1, APPLICATIONS),
            habits: power(share(1, size_of::<Habit>())).clamp(16, 4096),
            // An even number: the tables behind them are aligned to eight bytes.
            trees: (share(1, size_of::<forest::Tree>()) & !1).clamp(2, forest::TREES),
        };
        let left = bytes.saturating_sub(explaining.bytes());
        Self { sources: left / (SOURCE_BYTES * WAYS) * WAYS, ..explaining }
    }

    /// Bytes of all tables.
    fn bytes(&self) -> usize {
        let of = [
            (1, size_of::<Header>()),
            (self.sources, SOURCE_BYTES),
            (APPLICATIONS, size_of::<Statistics>()),
            (2, size_of::<Generation>() + self.cells),
            (self.logins, size_of::<Answers>()),
            (self.counts, size_of::<u16>()),
            (self.owners, size_of::<u64>()),
            (self.groups, size_of::<Group>()),
            (self.campaigns, size_of::<Campaign>()),
            (self.budgets, size_of::<Budget>()),
            (self.suspects, size_of::<Suspect>()),
            (self.incidents, size_of::<Incident>()),
            (self.nodes, size_of::<Node>()),
            (self.profiles, size_of::<Profile>()),
            (self.habits, size_of::<Habit>()),
            (1, size_of::<forest::Head>()),
            (self.trees, size_of::<forest::Tree>()),
            (self.trees, size_of::<Features>() * forest::SAMPLES_A_TREE),
        ];
        of.into_iter().map(|(count, size)| count * size).sum()
    }
}

/// The tables.
#[derive(Debug)]
pub struct Tables<'m> {
    /// What they are.
    pub header: &'m mut Header,
    /// Statistics of applications.
    pub applications: &'m mut [Statistics],
    /// Generations of the two sketches.
    pub generations: [&'m mut Generation; 2],
    /// Cells of the two sketches.
    pub cells: [&'m mut [u8]; 2],
    /// Answers of logins.
    pub logins: &'m mut [Answers],
    /// Popularity of objects.
    pub counts: &'m mut [u16],
    /// Last owners of objects.
    pub owners: &'m mut [u64],
    /// Groups of objects.
    pub groups: &'m mut [Group],
    /// Distributed attacks.
    pub campaigns: &'m mut [Campaign],
    /// Circuit breakers.
    pub budgets: &'m mut [Budget],
    /// What is normal for applications.
    pub profiles: &'m mut [Profile],
    /// What is normal for templates.
    pub habits: &'m mut [Habit],
    /// The isolation forest: its head, its trees, and their window of samples.
    pub forest: &'m mut forest::Head,
    /// See `forest`.
    pub trees: &'m mut [forest::Tree],
    /// See `forest`.
    pub samples: &'m mut [Features],
    /// Requests of suspects.
    pub suspects: &'m mut [Suspect],
    /// The latest incidents.
    pub incidents: &'m mut [Incident],
    /// Path templates.
    pub nodes: &'m mut [Node],
    /// Keys of the sources.
    pub buckets: &'m mut [Bucket],
    /// Sources.
    pub sources: &'m mut [Source],
    /// Addresses and sessions for which their only client stands.
    pub singles: &'m mut [Line],
}

impl<'m> Tables<'m> {
    /// Puts the tables over `memory`, and says whether they hold what an engine with this seed left.
    /// If not, they are cleared. `None` when the memory is too small or not 64-byte aligned.
    pub fn over(memory: &'m mut [u8], seed: Seed) -> Option<(Self, bool)> {
        let expected = Header {
            magic: MAGIC,
            layout: LAYOUT,
            bytes: memory.len() as u64,
            seed: seed.0,
            ..Header::default()
        };
        let found = Header::read_from_prefix(memory).ok()?.0;
        let same = |h: &Header| (h.magic, h.layout, h.bytes, h.seed);
        let continued = same(&found) == same(&expected);
        if !continued {
            memory.fill(0);
        }
        let limits = Limits::of(memory.len());
        let mut rest = memory;
        let [header] = take::<Header>(&mut rest, 1)? else { return None };
        if !continued {
            *header = expected;
        }
        // Behind the header, where a bucket is a cache line.
        let buckets = take(&mut rest, limits.sources / WAYS)?;
        let singles = take(&mut rest, limits.sources * PAIRS_A_SOURCE / PAIRS)?;
        let sources = take(&mut rest, limits.sources)?;
        let applications = take(&mut rest, APPLICATIONS)?;
        let [first, second] = take::<Generation>(&mut rest, 2)? else { return None };
        let [forest] = take::<forest::Head>(&mut rest, 1)? else { return None };
        let tables = Self {
            header,
            buckets,
            sources,
            singles,
            forest,
            applications,
            generations: [first, second],
            cells: [take(&mut rest, limits.cells)?, take(&mut rest, limits.cells)?],
            logins: take(&mut rest, limits.logins)?,
            counts: take(&mut rest, limits.counts)?,
            owners: take(&mut rest, limits.owners)?,
            groups: take(&mut rest, limits.groups)?,
            campaigns: take(&mut rest, limits.campaigns)?,
            budgets: take(&mut rest, limits.budgets)?,
            profiles: take(&mut rest, limits.profiles)?,
            habits: take(&mut rest, limits.habits)?,
            trees: take(&mut rest, limits.trees)?,
            samples: take(&mut rest, limits.trees * forest::SAMPLES_A_TREE)?,
            suspects: take(&mut rest, limits.suspects)?,
            incidents: take(&mut rest, limits.incidents)?,
            nodes: take(&mut rest, limits.nodes)?,
        };
        Some((tables, continued))
    }
}

/// Splits a table of `count` off the front of the memory.
fn take<'m, T>(rest: &mut &'m mut [u8], count: usize) -> Option<&'m mut [T]>
where
    T: FromBytes + IntoBytes + KnownLayout + Immutable,
{
    let memory = core::mem::take(rest);
    let (table, left) = <[T]>::mut_from_prefix_with_elems(memory, count).ok()?;
    *rest = left;
    Some(table)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn fit_and_continue() {
        for bytes in [1 << 20, 5_000_000, 64 << 20] {
            let mut memory = vec![0u64; bytes / 8 + 8];
            let memory = memory.as_mut_bytes();
            let start = memory.as_ptr().align_offset(64);
            let memory = &mut memory[start..start + bytes / 64 * 64];
            let (tables, continued) = Tables::over(memory, Seed([1, 2])).unwrap();
            assert!(!continued);
            assert!(size_of_val(tables.sources) > bytes / 2);
            tables.header.incident = 7;
            assert!(Tables::over(memory, Seed([1, 2])).unwrap().1, "the same engine goes on");
            let (tables, continued) = Tables::over(memory, Seed([3, 4])).unwrap();
            assert!(!continued, "another seed reads nothing");
            assert_eq!(tables.header.incident, 0);
        }
        assert!(Tables::over(&mut [0; 100], Seed([1, 2])).is_none());
    }
}
