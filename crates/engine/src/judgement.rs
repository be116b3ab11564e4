//! Who is convicted of a record, and of what: the narrowest key that carries the evidence, by the
//! policy of the application.

use crate::conviction::{self, Case};
use crate::decision::{CRAWLER, ESTABLISHED, SHARED_ADDRESS, SPREAD, VETERAN};
use crate::detectors::patterns::declares_crawler;
use crate::engine::Engine;
use crate::facts::Facts;
use crate::fusion::{Fusion, Sensitivity};
use crate::policy::{Policy, Reaction};
use crate::record::RequestRecord;
use crate::slots::Slots;
use crate::sources::{ASKED_VOUCHED, Hold, bit};
use crate::{Action, Decision, SourceKind};

/// Share of a wider key's evidence that a narrower one must carry to be denied in its place.
const CARRIES: f32 = 0.9;

/// Evidence that passed a threshold of the policy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passed {
    pub(crate) fusion: Fusion,
    pub(crate) reaction: Reaction,
    pub(crate) threshold: f32,
    pub(crate) ttl_ms: u64,
    /// It does nothing new since it was lifted.
    pub(crate) grace: bool,
}

/// What the policy makes of the evidence for each threat, in nats: the whole mixture first, then what
/// is acted upon, then each threat alone, so that a threat which is only watched, or wants more
/// evidence, does not shield another. The first that acts, else the first that is said.
/// `sensitivity` stands in for the policy's own.
pub(crate) fn weigh(
    each: [f32; 8],
    policy: &Policy,
    graced: u8,
    sensitivity: Option<Sensitivity>,
) -> Option<Passed> {
    let (judged, acting) = (policy.judged(), policy.mask(Reaction::acts) & !graced);
    let alone = (0..8).map(|k| acting & (1 << k));
    let mut said = None;
    for mask in [judged, acting].into_iter().chain(alone).filter(|mask| *mask != 0) {
        let fusion = Fusion::mix(each, mask);
        let threat = fusion.threat();
        let policy = policy.threat(threat);
        let threshold = sensitivity.unwrap_or(policy.sensitivity).threshold();
        if fusion.evidence < threshold {
            continue;
        }
        let grace = graced & (1 << threat as u8) != 0;
        let (reaction, ttl_ms) = (policy.reaction, policy.ttl_ms);
        let passed = Passed { fusion, reaction, threshold, ttl_ms, grace };
        if reaction.acts() && !grace {
            return Some(passed);
        }
        said = said.or(Some(passed));
    }
    said
}

impl Engine<'_> {
    /// Convicts whoever the record gives reason to convict, and counts what each sensitivity would
    /// have done.
    pub(crate) fn convict(
        &mut self,
        slots: &Slots,
        record: &RequestRecord<'_>,
        facts: &Facts,
        application: usize,
    ) -> Option<Decision> {
        let lowest = Sensitivity::Paranoid.threshold();
        let models = Sensitivity::Normal.threshold() / 8.0;
        if !slots.peaks.iter().any(|peak| *peak + models >= lowest) {
            return None;
        }
        self.convict_of(slots, record, facts, application)
    }

    /// The same where the evidence may reach a threshold with what the models may add to it.
    #[cold]
    #[inline(never)]
    fn convict_of(
        &mut self,
        slots: &Slots,
        record: &RequestRecord<'_>,
        facts: &Facts,
        application: usize,
    ) -> Option<Decision> {
        let lowest = Sensitivity::Paranoid.threshold();
        if !slots.all().iter().any(|&slot| self.sources.get(slot).may_reach(lowest)) {
            return None;
        }
        let (now_ms, address) = (record.head.time_ms, record.head.address);
        let graced =
            slots.all().iter().fold(0, |mask, &slot| mask | self.sources.get(slot).grace(now_ms));
        self.count_would_deny(slots, application, record.head.application, graced);
        let (slot, passed) =
            self.narrowest(slots, application, record.head.application, graced, None)?;
        if !self.config.may_deny(address) {
            return None;
        }
        let mut action = if passed.grace { Action::Monitor } else { passed.reaction.action() };
        let mut tripped = false;
        if action != Action::Monitor {
            tripped = self.exceeds_budget(record, application);
            action = if tripped { Action::Monitor } else { action };
        }
        let source = self.sources.get(slot);
        if source.is(Hold::Held, now_ms)
            || (action == Action::Monitor && source.denied_until_ms > now_ms)
        {
            return None;
        }
        let others = slots.address.map_or(0, |at| self.sources.get(at).others(source.key));
        let null = self.habits.null_for(&source.activity, facts.null, facts.habit);
        let learned = null.map(|null| (facts.habit.0, null));
        let profile = &self.profiles[application.min(self.profiles.len() - 1)];
        let veteran = profile.version() != 0 && source.first_ms <= facts.learned_ms;
        let crawler = facts.polite || declares_crawler(record.user_agent);
        let considered = [
            (SHARED_ADDRESS, others > 0),
            (SPREAD, source.kind == SourceKind::Address as u8),
            (CRAWLER, crawler),
            (ESTABLISHED, source.is_established()),
            (VETERAN, veteran),
        ];
        let considered = considered.into_iter().filter(|it| it.1).fold(0, |bits, it| bits | it.0);
        let case = Case {
            slot,
            passed,
            application,
            slots: *slots,
            others,
            action,
            tripped,
            learned,
            considered,
        };
        Some(conviction::decide(self, record, &case))
    }

    /// The narrowest key that carries the evidence: the session where several share a client or one
    /// comes from several addresses; else the client; the address only when nobody else who
    /// behaves is there.
    fn narrowest(
        &self,
        slots: &Slots,
        application: usize,
        key: u64,
        graced: u8,
        sensitivity: Option<Sensitivity>,
    ) -> Option<(usize, Passed)> {
        let policy = self.policy(application, key);
        let judge = |slot: Option<usize>| {
            let passed = weigh(self.sources.get(slot?).evidence(), policy, graced, sensitivity)?;
            Some((slot?, passed))
        };
        let [session, client, address] = [slots.session, slots.client, slots.address].map(judge);
        let carries = |narrow: usize, wide: usize| {
            let of = |slot: usize| Fusion::of(self.sources.get(slot)).evidence;
            of(narrow) >= CARRIES * of(wide)
        };
        if let (Some(slot), Some(passed)) = (slots.session, session.or(client)) {
            let shared = self.sources.get(slot).users.count_ones() > 1
                || slots.client.is_some_and(|client| {
                    self.sources.get(client).others(self.sources.get(slot).key) > 0
                });
            let carries = slots.client.is_none_or(|client| carries(slot, client));
            if carries && (shared || client.is_none()) {
                return Some((slot, passed.1));
            }
        }
        let alone = |slot: usize, but: Option<usize>| {
            let but = but.map_or(0, |slot| self.sources.get(slot).key);
            self.sources.get(slot).others(but) == 0
        };
        match (client, address) {
            (Some(client), Some(address))
                if alone(address.0, Some(client.0)) && !carries(client.0, address.0) =>
            {
                Some(address)
            }
            (Some(client), _) => Some(client),
            (None, address) => {
                address.filter(|address| self.sources.get(address.0).effective_users() == 0)
            }
        }
    }

    /// Counts the source that each sensitivity would deny now, if it denied none of the record's before.
    fn count_would_deny(&mut self, slots: &Slots, application: usize, key: u64, graced: u8) {
        for sensitivity in Sensitivity::ALL {
            let flag = 1 << sensitivity as u8;
            if slots.all().iter().any(|&slot| self.sources.get(slot).would_deny & flag != 0) {
                continue;
            }
            let found = self.narrowest(slots, application, key, graced, Some(sensitivity));
            if let Some((slot, _)) = found.filter(|(_, passed)| !passed.grace) {
                self.sources.get_mut(slot).would_deny |= flag;
                self.applications[application].would_deny[sensitivity as usize] += 1;
            }
        }
    }

    /// A client that behaves becomes one of the users of its address, a session one of its client's;
    /// a session remembers the addresses that it came from.
    pub(crate) fn vouch(&mut self, slots: &Slots) {
        let Some(client) = slots.client else { return };
        let source = self.sources.get_mut(client);
        let client_bit = bit(source.key);
        if source.is_vouched_at(slots.client_peak()) {
            source.asked |= ASKED_VOUCHED;
            if slots.session_key != 0 && source.session != 0 {
                // It stands for this session.
                source.users |= bit(slots.session_key);
            }
            if let Some(address) = slots.address {
                self.sources.get_mut(address).users |= client_bit;
            }
        }
        if let Some(session) = slots.session.map(|slot| self.sources.get_mut(slot)) {
            session.users |= bit(slots.address_key);
            if session.is_vouched_at(slots.session_peak()) {
                let session_bit = bit(session.key);
                self.sources.get_mut(client).users |= session_bit;
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::Threat;
    use crate::policy::ThreatPolicy;

    fn nats(evidence: &[(Threat, f32)]) -> [f32; 8] {
        let mut each = [0.0; 8];
        for &(threat, nats) in evidence {
            each[threat as usize] = nats;
        }
        each
    }

    fn policy(of: &[(Threat, Reaction, Sensitivity)]) -> Policy {
        let mut policy = Policy::default();
        for &(threat, reaction, sensitivity) in of {
            let ttl_ms = 1 + threat as u64;
            policy.threats[threat as usize] = ThreatPolicy { reaction, sensitivity, ttl_ms };
        }
        policy
    }

    #[test]
    fn the_leading_threat_chooses() {
        use Reaction::{Deny, Monitor, Off, Throttle};
        use Sensitivity::{Normal, Paranoid, Safe};
        let (scan, scrape) = (Threat::VulnerabilityScanning, Threat::Scraping);
        // Thresholds are 23.0, 20.7 and 18.4 nats, of which the mixture takes ln 8 = 2.1.
        let cases = [
            (vec![(scan, 23.0)], vec![(scan, Deny, Normal)], Some((scan, Deny))),
            (vec![(scan, 23.0)], vec![(scan, Deny, Safe)], None),
            (vec![(scan, 21.0)], vec![(scan, Throttle, Paranoid)], Some((scan, Throttle))),
            (vec![(scan, 60.0)], vec![(scan, Off, Paranoid)], None),
            (vec![(scan, 60.0)], vec![(scan, Monitor, Normal)], Some((scan, Monitor))),
            // What is watched shields nothing, what is off adds nothing.
            (
                vec![(scan, 60.0), (scrape, 24.0)],
                vec![(scan, Monitor, Normal)],
                Some((scrape, Deny)),
            ),
            (vec![(scan, 60.0), (scrape, 24.0)], vec![(scan, Off, Normal)], Some((scrape, Deny))),
            (vec![(scan, 60.0), (scrape, 22.0)], vec![(scan, Off, Normal)], None),
            (vec![(scan, 24.0), (scrape, 23.5)], vec![(scan, Deny, Safe)], Some((scrape, Deny))),
            // Evidence adds up over threats.
            (vec![(scan, 22.4), (scrape, 22.4)], vec![], Some((scan, Deny))),
        ];
        for (at, (evidence, threats, expected)) in cases.into_iter().enumerate() {
            let passed = weigh(nats(&evidence), &policy(&threats), 0, None);
            let found = passed.map(|passed| (passed.fusion.threat(), passed.reaction));
            assert_eq!(found, expected, "case {at}");
        }
    }

    #[test]
    fn grace_holds_for_the_lifted_threat_alone() {
        let (scan, scrape) = (Threat::VulnerabilityScanning, Threat::Scraping);
        let graced = 1 << scan as u8;
        let same = weigh(nats(&[(scan, 60.0)]), &Policy::default(), graced, None).unwrap();
        assert!(same.grace);
        let both = nats(&[(scan, 60.0), (scrape, 24.0)]);
        let new = weigh(both, &Policy::default(), graced, None).unwrap();
        assert!(!new.grace && new.fusion.threat() == scrape);
    }
}
