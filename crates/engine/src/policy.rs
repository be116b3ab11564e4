//! What an operator wants done: reactions, sensitivities and times of one application.

pub mod text;

use crate::cidr::CidrSet;
use crate::fusion::{ALL_THREATS, Sensitivity};
use crate::hash::Seed;
use crate::learned::Models;
use crate::{Action, Threat};

const HOUR_MS: u64 = 3_600_000;

/// What happens to a source that is convicted of a threat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// Evidence for the threat never convicts.
    Off,
    /// It is said and counted; the source is left alone.
    Monitor,
    /// 429 with Retry-After.
    Throttle,
    /// Denied.
    Deny,
}

impl Reaction {
    /// All reactions.
    pub const ALL: [Self; 4] = [Self::Off, Self::Monitor, Self::Throttle, Self::Deny];

    /// The name used in directives.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Monitor => "monitor",
            Self::Throttle => "throttle",
            Self::Deny => "deny",
        }
    }

    /// The reaction with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reaction| reaction.name() == name)
    }

    /// What it makes of a conviction.
    pub const fn action(self) -> Action {
        match self {
            Self::Off | Self::Monitor => Action::Monitor,
            Self::Throttle => Action::Throttle,
            Self::Deny => Action::Deny,
        }
    }

    /// Whether the source is held.
    pub const fn acts(self) -> bool {
        matches!(self, Self::Throttle | Self::Deny)
    }
}

/// `threat SLUG …`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ThreatPolicy {
    /// What is done.
    pub reaction: Reaction,
    /// From how much evidence on.
    pub sensitivity: Sensitivity,
    /// How long the first denial holds, milliseconds.
    pub ttl_ms: u64,
}

impl Default for ThreatPolicy {
    fn default() -> Self {
        Self { reaction: Reaction::Deny, sensitivity: Sensitivity::Normal, ttl_ms: HOUR_MS }
    }
}

/// `repeat FACTOR [max=TIME]`: denial n of a source lasts `ttl × factor^(n−1)`, at most `max_ms`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Repeat {
    /// At least 1.
    pub factor: f32,
    /// The longest, milliseconds; a longer `ttl` is not cut.
    pub max_ms: u64,
}

impl Default for Repeat {
    fn default() -> Self {
        Self { factor: 2.0, max_ms: 24 * HOUR_MS }
    }
}

impl Repeat {
    /// How long denial number `nth` (from 1 on) holds, milliseconds. The first holds exactly `ttl_ms`;
    /// further ones differ by up to a tenth, by `random`, so that a botnet does not come back at one
    /// moment.
    pub fn ttl_ms(self, ttl_ms: u64, nth: u16, random: u64) -> u64 {
        if nth <= 1 {
            return ttl_ms;
        }
        let factor = f64::from(self.factor.clamp(1.0, 1e6)).powi(i32::from(nth) - 1);
        // A float beyond the range of the integer becomes its end.
        let longer = (ttl_ms as f64 * factor) as u64;
        let ttl_ms = longer.min(self.max_ms.max(ttl_ms)).min(u64::MAX / 2);
        ttl_ms - ttl_ms / 10 + random % (ttl_ms / 5 + 1)
    }
}

/// The policy of one application: `api_abuse_application NAME { … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// By threat, in the order of [`Threat::ALL`].
    pub threats: [ThreatPolicy; 8],
    /// How long an application is learned before thresholds that were learned may act, milliseconds.
    pub learning_ms: u64,
    /// Never judged, never denied.
    pub allow: CidrSet,
    /// Always denied in `block` mode; that is done where requests are, the engine only keeps it.
    pub deny: CidrSet,
    /// Further denials.
    pub repeat: Repeat,
    /// Circuit breaker: percent of the active clients.
    pub budget_percent: f32,
    /// Denied clients that never open it.
    pub budget_floor: f32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            threats: [ThreatPolicy::default(); 8],
            learning_ms: 24 * HOUR_MS,
            allow: CidrSet::default(),
            deny: CidrSet::default(),
            repeat: Repeat::default(),
            budget_percent: 5.0,
            budget_floor: 200.0,
        }
    }
}

impl Policy {
    /// The part for one threat.
    pub fn threat(&self, threat: Threat) -> &ThreatPolicy {
        &self.threats[threat as usize]
    }

    /// A bit for each threat that the reaction `wanted` applies to.
    pub(crate) fn mask(&self, wanted: fn(Reaction) -> bool) -> u8 {
        let threats = self.threats.iter().enumerate();
        threats.fold(0, |mask, (k, threat)| mask | (u8::from(wanted(threat.reaction)) << k))
    }

    /// A bit for each threat that is not off.
    pub fn judged(&self) -> u8 {
        self.mask(|reaction| reaction != Reaction::Off)
    }

    /// The same for all threats.
    #[must_use]
    pub fn with_all(self, threat: ThreatPolicy) -> Self {
        Self { threats: [threat; 8], ..self }
    }
}

/// An application that the configuration names.
#[derive(Clone, Debug, Default)]
pub struct ApplicationConfig {
    /// Its name.
    pub name: Vec<u8>,
    /// Its policy.
    pub policy: Policy,
}

/// What an engine is told from outside. Everything else it learns.
#[derive(Clone, Debug)]
pub struct Config {
    /// The zone's seed.
    pub seed: Seed,
    /// Whether detectors may deny loopback addresses.
    pub deny_loopback: bool,
    /// Addresses that detectors never deny: those of `set_real_ip_from`.
    pub never_deny: CidrSet,
    /// Applications that the configuration names.
    pub applications: Vec<ApplicationConfig>,
    /// The policy of all others.
    pub policy: Policy,
    /// A bit for each detector that works; all do, except where it is measured what one is worth.
    pub detectors: u8,
    /// The models that corroborate; both do, with the same exception.
    pub models: Models,
}

impl Config {
    /// No application is named, and all have the default policy.
    pub fn new(seed: Seed) -> Self {
        Self {
            seed,
            deny_loopback: false,
            never_deny: CidrSet::default(),
            applications: Vec::new(),
            policy: Policy::default(),
            detectors: ALL_THREATS,
            models: Models::default(),
        }
    }

    /// Names an application, with the default policy of this configuration.
    #[must_use]
    pub fn with_application(mut self, name: &[u8]) -> Self {
        let policy = self.policy.clone();
        self.applications.push(ApplicationConfig { name: name.to_vec(), policy });
        self
    }

    /// Whether detectors may deny this address.
    pub fn may_deny(&self, address: [u8; 16]) -> bool {
        if crate::source::is_loopback(address) {
            return self.deny_loopback;
        }
        !self.never_deny.contains(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_contract() {
        let policy = Policy::default();
        for threat in Threat::ALL {
            let threat = policy.threat(threat);
            assert_eq!((threat.reaction, threat.ttl_ms), (Reaction::Deny, 3_600_000));
            assert_eq!(threat.sensitivity, Sensitivity::Normal);
        }
        assert_eq!((policy.learning_ms, policy.budget_percent), (86_400_000, 5.0));
        assert_eq!((policy.repeat.factor, policy.repeat.max_ms), (2.0, 86_400_000));
    }

    #[test]
    fn further_denials_last_longer() {
        let repeat = Repeat::default();
        let mut random = 1;
        for (nth, hours) in [(2, 2), (3, 4), (4, 8), (5, 16), (6, 24), (u16::MAX, 24)] {
            let (mut least, mut most) = (u64::MAX, 0);
            for n in 0..500 {
                random = crate::hash::combine(random, n);
                let ttl_ms = repeat.ttl_ms(HOUR_MS, nth, random);
                (least, most) = (least.min(ttl_ms), most.max(ttl_ms));
            }
            let middle = hours * HOUR_MS;
            assert!(least >= middle / 10 * 9 && most <= middle / 10 * 11, "{nth}");
            assert!(most - least > middle / 10, "{nth}: jitter");
        }
        assert_eq!(repeat.ttl_ms(HOUR_MS, 1, 99), HOUR_MS, "the first is exact");
        let long = Repeat { factor: 1.0, max_ms: 1 }.ttl_ms(HOUR_MS, 9, 0);
        assert_eq!(long, HOUR_MS / 10 * 9, "a longer ttl is not cut");
        assert!(repeat.ttl_ms(0, 3, 7) == 0 && repeat.ttl_ms(u64::MAX, 9, 7) > 0);
    }
}
