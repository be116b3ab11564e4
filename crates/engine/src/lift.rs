//! What is said again of a conviction, and lifting it: what an operator says was wrong is not said again at
//! once.
//!
//! A lifted source starts without evidence, and for half of the time that it was denied for, the same
//! threat does not convict it again: it is said and counted, with [`crate::decision::GRACE`]. Any
//! other threat is something new. The grace holds for every key of its requests, so the address of a
//! lifted client is not denied in its place.

use crate::cidr::CidrSet;
use crate::conviction;
use crate::engine::{Engine, source_hash};
use crate::evidence::Walks;
use crate::fusion::{Fusion, Sensitivity};
use crate::source::address_of;
use crate::sources::{Hold, bit};
use crate::{Decision, SourceKey, SourceKind, Threat};

/// Convictions that are said again after a turn, at most.
const UNENFORCED: usize = 64;

/// A denial that was lifted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifted {
    /// Key of the application.
    pub application: u64,
    /// Who.
    pub key: SourceKey,
    /// What it was denied for.
    pub threat: Threat,
    /// Milliseconds for which the same does not convict it again.
    pub grace_ms: u64,
}

impl Engine<'_> {
    /// Says every conviction that still holds again: after a takeover, when the last writer of the
    /// denylist may have died before it wrote.
    pub fn repeat_decisions(&mut self, now_ms: u64, decisions: &mut Vec<Decision>) {
        let may_deny = |network| self.config.may_deny(address_of(network).octets());
        let held = self
            .sources
            .iter()
            .filter(|source| source.is(Hold::Held, now_ms) && may_deny(source.network));
        decisions.extend(held.filter_map(|source| {
            let incident = self.incident(source.incident);
            conviction::again(source, incident)
        }));
    }

    /// Notes a source that is convicted and yet was served: once a second at most, for a denylist that is
    /// full may still have no place for it.
    #[cold]
    #[inline(never)]
    pub(crate) fn not_enforced(&mut self, slot: usize, before_ms: u64, now_ms: u64) {
        if before_ms / 1000 == now_ms / 1000 || self.unenforced.len() >= UNENFORCED {
            return;
        }
        let source = self.sources.get(slot);
        self.unenforced.extend(conviction::again(source, self.incident(source.incident)));
    }

    /// Says the convictions again that the records of late met and that were not enforced: the denylist had
    /// no room for them, or gave their places to others.
    pub fn repeat_unenforced(&mut self, decisions: &mut Vec<Decision>) {
        decisions.append(&mut self.unenforced);
    }

    /// Lifts what was decided about a source; `None` when nothing was.
    pub fn lift(&mut self, application: u64, key: SourceKey, now_ms: u64) -> Option<Lifted> {
        let slot = self.sources.find(source_hash(application, key))?;
        self.lift_slot(slot, now_ms)
    }

    /// Has a conviction that holds end at another time, as an operator wants it; whether there is one.
    pub fn hold_until(
        &mut self,
        application: u64,
        key: SourceKey,
        until_ms: u64,
        now_ms: u64,
    ) -> bool {
        let slot = self.sources.find(source_hash(application, key));
        let source = slot.map(|slot| self.sources.get_mut(slot));
        let held = source.filter(|source| source.is(Hold::Held, now_ms));
        held.map(|source| source.denied_until_ms = until_ms).is_some()
    }

    /// Lifts every decision about sources of these addresses, as an `allow` does; sessions have no
    /// address. An IPv6 source is a /64 and is lifted when any of its addresses is named.
    pub fn lift_all(&mut self, allowed: &CidrSet, now_ms: u64, lifted: &mut Vec<Lifted>) {
        if allowed.is_empty() {
            return;
        }
        for slot in 0..self.sources.len() {
            let source = self.sources.get(slot);
            if source.key == 0 || source.denied_until_ms <= now_ms {
                continue;
            }
            let named = source.kind != SourceKind::Session as u8
                && allowed.touches(address_of(source.network));
            if named {
                lifted.extend(self.lift_slot(slot, now_ms));
            }
        }
    }

    /// Whether the configuration says that detectors never deny this source: the policy of its application
    /// allows its address, or they may deny nobody there. Sessions have no address.
    pub fn is_exempt(&self, application: u64, key: SourceKey) -> bool {
        let may_deny = self.config.may_deny(address_of(key.network).octets());
        self.is_allowed(application, key) || key.kind != SourceKind::Session && !may_deny
    }

    /// Whether the policy of its application allows the address of a source, whoever would deny it.
    pub fn is_allowed(&self, application: u64, key: SourceKey) -> bool {
        if key.kind == SourceKind::Session {
            return false;
        }
        let configured = self.configured(application);
        let named = configured.and_then(|at| self.config.applications.get(at as usize));
        let policy = named.map_or(&self.config.policy, |named| &named.policy);
        policy.allow.touches(address_of(key.network))
    }

    /// Lifts every decision about sources that are exempt by now: what a changed configuration does.
    pub fn lift_exempt(&mut self, now_ms: u64, lifted: &mut Vec<Lifted>) {
        for slot in 0..self.sources.len() {
            let source = self.sources.get(slot);
            if source.key == 0 || source.denied_until_ms <= now_ms {
                continue;
            }
            let key = source.source_key();
            if key.is_some_and(|key| self.is_exempt(source.application, key)) {
                lifted.extend(self.lift_slot(slot, now_ms));
            }
        }
    }

    fn lift_slot(&mut self, slot: usize, now_ms: u64) -> Option<Lifted> {
        let source = *self.sources.get(slot);
        if source.denied_until_ms <= now_ms {
            return None;
        }
        let key = source.source_key()?;
        let incident = self.incident(source.incident);
        let threat = incident.and_then(crate::Incident::threat);
        let threat = threat.unwrap_or_else(|| Fusion::of(&source).threat());
        let remaining_ms = source.denied_until_ms - now_ms;
        let ttl_ms = incident.map_or(remaining_ms, |incident| incident.ttl_ms);
        let grace_ms = ttl_ms / 2;
        let lifted = self.sources.get_mut(slot);
        lifted.walks = Default::default();
        (lifted.denied_until_ms, lifted.hold, lifted.would_deny) = (0, 0, 0);
        lifted.convictions = lifted.convictions.saturating_sub(1);
        lifted.lifted = lifted.grace(now_ms) | 1 << threat as u8;
        lifted.grace_until_s = (now_ms.saturating_add(grace_ms)).div_ceil(1000) as u32;
        self.sources.weigh(slot, now_ms);
        if key.kind == SourceKind::Client {
            let address = SourceKey { kind: SourceKind::Address, discriminator: 0, ..key };
            self.absolve(source_hash(source.application, address), source.key, threat);
        }
        Some(Lifted { application: source.application, key, threat, grace_ms })
    }

    /// What was held against the address of a lifted client goes with it.
    fn absolve(&mut self, address: u64, client: u64, threat: Threat) {
        let Some(slot) = self.sources.find(address) else { return };
        let address = self.sources.get_mut(slot);
        address.convicted_users &= !bit(client);
        address.convictions = address.convictions.saturating_sub(1);
        let walks = &mut address.walks[threat as usize];
        if walks.evidence() <= Sensitivity::Normal.threshold() {
            *walks = Walks::default();
        }
    }
}
