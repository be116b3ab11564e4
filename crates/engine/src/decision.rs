//! What the engine decides, and why.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{SourceKey, SourceKind, Threat};

/// What is done about a source. The discriminants are stored in shared memory and in snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Action {
    /// Said and counted, never acted on.
    Monitor = 0,
    /// 429 with Retry-After.
    Throttle = 1,
    /// Denied.
    Deny = 2,
}

impl Action {
    /// All actions, in the order of their discriminants.
    pub const ALL: [Self; 3] = [Self::Monitor, Self::Throttle, Self::Deny];

    /// The name used in directives, metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Monitor => "monitor",
            Self::Throttle => "throttle",
            Self::Deny => "deny",
        }
    }

    /// The action with this discriminant.
    pub const fn from_u8(value: u8) -> Option<Self> {
        match value {
            0 => Some(Self::Monitor),
            1 => Some(Self::Throttle),
            2 => Some(Self::Deny),
            _ => None,
        }
    }
}

/// A source is to be denied (or throttled, or only reported) until `expires_ms`.
#[derive(Clone, Copy, Debug)]
pub struct Decision {
    /// Key of the application.
    pub application: u64,
    /// Who.
    pub key: SourceKey,
    /// For what.
    pub threat: Threat,
    /// What is done.
    pub action: Action,
    /// 0 to 100.
    pub confidence: u8,
    /// Number of the incident, unique in the life of the tables.
    pub incident: u64,
    /// Monotonic milliseconds of the record that convicted.
    pub since_ms: u64,
    /// How long it holds.
    pub ttl_ms: u64,
    /// True when a source convicted earlier is said again, because whoever wrote the denylist died, or
    /// because it was served although it should be denied.
    pub again: bool,
    /// The circuit breaker made a monitor decision of it ([`crate::budget`]).
    pub tripped: bool,
}

/// Findings kept with an incident.
pub const FINDINGS: usize = 8;
/// Exemplar requests kept with an incident.
pub const EXEMPLARS: usize = 5;
/// Bytes of path and query kept of an exemplar.
pub const EXEMPLAR_PATH: usize = 104;
/// 64-bit words of an incident in shared memory.
pub const INCIDENT_WORDS: usize = size_of::<Incident>() / 8;

/// In [`Incident::flags`]: the circuit breaker was open, nothing was done.
pub const TRIPPED: u16 = 1;
/// In [`Incident::flags`]: the source was lifted lately and does nothing new, nothing was done.
pub const GRACE: u16 = 2;

/// In [`Incident::considered`]: others who behave well share the address.
pub const SHARED_ADDRESS: u32 = 1;
/// In [`Incident::considered`]: no single client of the address carries the evidence.
pub const SPREAD: u32 = 2;
/// In [`Incident::considered`]: it says that it is a crawler, or asked for robots.txt.
pub const CRAWLER: u32 = 4;
/// In [`Incident::considered`]: it has done about the same for days.
pub const ESTABLISHED: u32 = 8;
/// In [`Incident::considered`]: it was there while the application was learned.
pub const VETERAN: u32 = 16;

/// Numbers of incidents from here on are those of operators' own denials; nothing explains them.
pub const OPERATOR_INCIDENT: u64 = 1 << 63;

/// In [`Finding::measure`]: what is normal was learned of this application.
pub const LEARNED: u32 = 1 << 31;

/// One detector's contribution to a conviction.
#[derive(Clone, Copy, Debug, Default, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Finding {
    /// Index into [`crate::detectors::measures`] plus one, and [`LEARNED`]; 0: not used.
    pub measure: u32,
    /// What was seen of this source.
    pub value: f32,
    /// What is normal (a high quantile of benign sources).
    pub normal: f32,
    /// The log likelihood ratio that it contributed, nats.
    pub evidence: f32,
}

impl Finding {
    /// Which of [`crate::detectors::measures`]; `None` where nothing was found.
    pub fn index(&self) -> Option<usize> {
        ((self.measure & !LEARNED) as usize).checked_sub(1)
    }
}

/// One request that speaks against the source.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Exemplar {
    /// Monotonic milliseconds.
    pub time_ms: u64,
    /// Log likelihood ratio of this request, nats.
    pub evidence: f32,
    /// Response status.
    pub status: u16,
    /// [`crate::record::Method`]; 0 with a zero status: not used.
    pub method: u8,
    /// Bytes of `path` in use.
    pub path_len: u8,
    /// Raw path and query, cut.
    pub path: [u8; EXEMPLAR_PATH],
}

impl Default for Exemplar {
    fn default() -> Self {
        Self {
            time_ms: 0,
            evidence: 0.0,
            status: 0,
            method: 0,
            path_len: 0,
            path: [0; EXEMPLAR_PATH],
        }
    }
}

/// Everything that explains a conviction: plain old data, so it can lie in shared memory and in a
/// snapshot. All bit patterns are valid; [`crate::explain`] turns it into JSON.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(8))]
pub struct Incident {
    /// Number of the incident; 0: this slot was never used.
    pub id: u64,
    /// Key of the application.
    pub application: u64,
    /// [`SourceKey::network`].
    pub network: u64,
    /// [`SourceKey::discriminator`].
    pub discriminator: u64,
    /// Full address of the convicting record, IPv4 mapped.
    pub address: [u8; 16],
    /// Monotonic milliseconds of the convicting record.
    pub since_ms: u64,
    /// How long the decision holds.
    pub ttl_ms: u64,
    /// Monotonic milliseconds of the source's first record.
    pub first_ms: u64,
    /// Requests seen from the source, the convicting one included.
    pub requests: u32,
    /// Evidence at conviction, nats.
    pub evidence: f32,
    /// Threshold it passed, nats.
    pub threshold: f32,
    /// Other well-behaved clients seen at the address.
    pub effective_users: u32,
    /// Share of each threat in the evidence, 0 to 1, in the order of [`Threat::ALL`].
    pub shares: [f32; 8],
    /// [`SourceKind`].
    pub kind: u8,
    /// [`Threat`].
    pub threat: u8,
    /// [`Action`].
    pub action: u8,
    /// 0 to 100.
    pub confidence: u8,
    /// Bytes of `user_agent` in use.
    pub user_agent_len: u16,
    /// [`TRIPPED`], [`GRACE`].
    pub flags: u16,
    /// [`crate::profiles::Profile::version`] of the application; 0 while it is learned.
    pub profile: u32,
    /// Harmless explanations that were looked at and rejected: [`SHARED_ADDRESS`] and the like.
    pub considered: u32,
    /// What each detector saw.
    pub findings: [Finding; FINDINGS],
    /// Requests that speak against the source, the heaviest ones.
    pub exemplars: [Exemplar; EXEMPLARS],
    /// User-Agent of the convicting record.
    pub user_agent: UserAgent,
}

/// Bounded User-Agent text.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct UserAgent(pub [u8; crate::record::USER_AGENT_MAX]);

impl Default for UserAgent {
    fn default() -> Self {
        Self([0; crate::record::USER_AGENT_MAX])
    }
}

impl Incident {
    /// Who was convicted; `None` when the slot holds nothing sensible.
    pub fn key(&self) -> Option<SourceKey> {
        let kind = SourceKind::from_u8(self.kind)?;
        Some(SourceKey { kind, network: self.network, discriminator: self.discriminator })
    }

    /// For what.
    pub fn threat(&self) -> Option<Threat> {
        Threat::from_u8(self.threat)
    }
}
