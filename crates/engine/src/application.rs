//! What is counted for each application, in the shape that lies in shared memory.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::record::APPLICATION_MAX;

/// 64-bit words of an application's statistics in shared memory.
pub const STATISTICS_WORDS: usize = size_of::<Statistics>() / 8;

/// Whether an application has been learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// No request yet.
    NoTraffic = 0,
    /// Learned thresholds may not act yet.
    Learning = 1,
    /// Everything acts.
    Ready = 2,
    /// The circuit breaker made it monitor only.
    Tripped = 3,
}

impl State {
    /// All states, in the order of their discriminants.
    pub const ALL: [Self; 4] = [Self::NoTraffic, Self::Learning, Self::Ready, Self::Tripped];

    /// The name used in the API and in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoTraffic => "no_traffic",
            Self::Learning => "learning",
            Self::Ready => "ready",
            Self::Tripped => "tripped",
        }
    }

    /// The state with this discriminant; anything unknown is `NoTraffic`.
    pub fn from_u8(value: u8) -> Self {
        Self::ALL.get(usize::from(value)).copied().unwrap_or(Self::NoTraffic)
    }
}

/// Counters of one application. Plain old data; they only grow.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(8))]
pub struct Statistics {
    /// Key of the application; 0: this slot is not used.
    pub key: u64,
    /// Its name.
    pub name: Name,
    /// Bytes of `name` in use.
    pub name_len: u32,
    /// [`State`].
    pub state: u32,
    /// Monotonic milliseconds of the first and the last record.
    pub first_ms: u64,
    /// See `first_ms`.
    pub last_ms: u64,
    /// Records by [`crate::record::Verdict`].
    pub requests: [u64; 7],
    /// Convictions by threat and [`crate::Action`].
    pub decisions: [[u64; 3]; 8],
    /// Sources that each sensitivity (safe, normal, paranoid) would have denied.
    pub would_deny: [u64; 3],
}

/// Bounded application name.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Name(pub [u8; APPLICATION_MAX]);

impl Default for Name {
    fn default() -> Self {
        Self([0; APPLICATION_MAX])
    }
}

impl Statistics {
    /// The name, as text; bytes that are no UTF-8 are replaced.
    pub fn name(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.name.0[..(self.name_len as usize).min(APPLICATION_MAX)])
    }
}
