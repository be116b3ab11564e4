//! From evidence that passed the threshold to a decision that explains itself.

use crate::decision::{
    Action, EXEMPLAR_PATH, EXEMPLARS, Exemplar, FINDINGS, Finding, GRACE, Incident, LEARNED,
    TRIPPED,
};
use crate::detectors;
use crate::engine::Engine;
use crate::evidence::Walks;
use crate::fusion::{Fusion, Sensitivity};
use crate::hash::combine;
use crate::judgement::Passed;
use crate::profiles::Feature;
use crate::record::{RequestRecord, USER_AGENT_MAX};
use crate::slots::Slots;
use crate::sources::{Hold, Source, bit};
use crate::tables::Suspect;
use crate::{Decision, SourceKind, Threat};

/// A source whose evidence passed a threshold, and what is done about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    /// Its slot.
    pub(crate) slot: usize,
    /// What it passed.
    pub(crate) passed: Passed,
    /// Statistics slot of the application.
    pub(crate) application: usize,
    /// Slots of the record.
    pub(crate) slots: Slots,
    /// Other well-behaved clients of the address.
    pub(crate) others: u32,
    /// What is done.
    pub(crate) action: Action,
    /// It is nothing because the circuit breaker is open.
    pub(crate) tripped: bool,
    /// What was learned to be normal of what the record is one more of.
    pub(crate) learned: Option<(Feature, f32)>,
    /// [`Incident::considered`].
    pub(crate) considered: u32,
}

/// Convicts: marks the source, keeps the incident, and says what is to be done.
#[cold]
#[inline(never)]
pub(crate) fn decide(engine: &mut Engine<'_>, record: &RequestRecord<'_>, case: &Case) -> Decision {
    engine.header.incident += 1;
    let incident_id = engine.header.incident;
    let now_ms = record.head.time_ms;
    let threat = case.passed.fusion.threat();
    let repeat = engine.policy(case.application, record.head.application).repeat;
    let source = engine.sources.get_mut(case.slot);
    let hold = match case.action {
        Action::Monitor if case.tripped => Hold::Spared,
        Action::Monitor => Hold::Monitored,
        Action::Throttle | Action::Deny => Hold::Held,
    };
    // Only what was acted upon makes the next denial longer.
    let nth = source.convictions.saturating_add(1);
    source.convictions = if hold == Hold::Held { nth } else { source.convictions };
    let nth = if hold == Hold::Held { nth } else { 1 };
    let ttl_ms = repeat.ttl_ms(case.passed.ttl_ms, nth, combine(source.key, incident_id));
    source.denied_until_ms = now_ms.saturating_add(ttl_ms);
    source.hold = hold as u8;
    source.incident = incident_id;
    let convicted = *source;
    let suspect = suspect_slot(engine.suspects, convicted.key);
    let incident = Incident {
        id: incident_id,
        ttl_ms,
        effective_users: case.others,
        exemplars: engine
            .suspects
            .get(suspect)
            .filter(|suspect| suspect.key == convicted.key)
            .map_or_else(Default::default, |suspect| suspect.exemplars),
        profile: engine.profiles[case.application.min(engine.profiles.len() - 1)].version(),
        ..explain(&convicted, record, case)
    };
    let slot = incident_id as usize % engine.incidents.len();
    engine.incidents[slot] = incident;
    settle(engine, case, &convicted);
    let statistics = &mut engine.applications[case.application];
    statistics.decisions[threat as usize][case.action as usize] += 1;
    decision(&convicted, &incident, false)
}

/// What a conviction means for the wider keys of the record: their part of the evidence is dealt with,
/// but suspicion stays, so that the next client or session from there is not judged as if nothing had
/// been.
fn settle(engine: &mut Engine<'_>, case: &Case, convicted: &Source) {
    let suspicion = Sensitivity::Normal.threshold() / 2.0;
    let wider = match SourceKind::from_u8(convicted.kind) {
        Some(SourceKind::Session) => [case.slots.client, case.slots.address],
        Some(SourceKind::Client) => [None, case.slots.address],
        _ => [None, None],
    };
    for slot in wider.into_iter().flatten() {
        let wider = engine.sources.get_mut(slot);
        for (walks, narrow) in wider.walks.iter_mut().zip(convicted.walks) {
            let (all, narrow) = (walks.values(), narrow.values());
            *walks = Walks::at(core::array::from_fn(|m| {
                (all[m] - narrow[m]).max(all[m].min(suspicion))
            }));
        }
        if case.action != Action::Monitor {
            wider.convictions = wider.convictions.saturating_add(1);
            wider.convicted_users |= bit(convicted.key);
            wider.convicted_requests = wider.convicted_requests.saturating_add(convicted.requests);
        }
    }
}

/// A conviction that still holds, for a denylist that may have lost it.
pub fn again(source: &Source, incident: Option<&Incident>) -> Option<Decision> {
    let incident = incident.copied().unwrap_or_else(|| Incident {
        id: source.incident,
        application: source.application,
        network: source.network,
        discriminator: source.discriminator,
        kind: source.kind,
        action: Action::Deny as u8,
        since_ms: source.last_ms,
        threat: Fusion::of(source).threat() as u8,
        confidence: Fusion::of(source).confidence(),
        ttl_ms: source.denied_until_ms.saturating_sub(source.last_ms),
        ..Incident::default()
    });
    source.source_key()?;
    // An operator may have changed how long it lasts.
    let ttl_ms = source.denied_until_ms.saturating_sub(incident.since_ms);
    Some(Decision { ttl_ms, ..decision(source, &incident, true) })
}

fn decision(source: &Source, incident: &Incident, again: bool) -> Decision {
    let kind = SourceKind::from_u8(source.kind).unwrap_or(SourceKind::Client);
    Decision {
        application: source.application,
        key: crate::SourceKey {
            kind,
            network: source.network,
            discriminator: source.discriminator,
        },
        threat: incident.threat().unwrap_or(Threat::VulnerabilityScanning),
        action: Action::from_u8(incident.action).unwrap_or(Action::Monitor),
        confidence: incident.confidence,
        incident: incident.id,
        since_ms: incident.since_ms,
        ttl_ms: incident.ttl_ms,
        again,
        tripped: incident.flags & TRIPPED != 0,
    }
}

/// Everything about a conviction but its number and its exemplars.
fn explain(source: &Source, record: &RequestRecord<'_>, case: &Case) -> Incident {
    let (passed, fusion) = (&case.passed, &case.passed.fusion);
    let threat = fusion.threat();
    let mut user_agent = [0; USER_AGENT_MAX];
    let len = record.user_agent.len().min(USER_AGENT_MAX);
    user_agent[..len].copy_from_slice(&record.user_agent[..len]);
    Incident {
        application: source.application,
        network: source.network,
        discriminator: source.discriminator,
        address: record.head.address,
        since_ms: record.head.time_ms,
        first_ms: source.first_ms,
        requests: source.requests,
        evidence: fusion.evidence,
        threshold: passed.threshold,
        shares: fusion.shares,
        kind: source.kind,
        threat: threat as u8,
        action: case.action as u8,
        confidence: fusion.confidence(),
        user_agent_len: len as u16,
        flags: u16::from(case.tripped) * TRIPPED + u16::from(passed.grace) * GRACE,
        considered: case.considered,
        findings: findings(source, threat, case.learned),
        user_agent: crate::decision::UserAgent(user_agent),
        ..Incident::default()
    }
}

/// What the detectors saw of the source that benign sources do not do; the threat that it is
/// convicted of first.
fn findings(
    source: &Source,
    threat: Threat,
    learned: Option<(Feature, f32)>,
) -> [Finding; FINDINGS] {
    let learned = learned.and_then(|(feature, null)| Some((detectors::measure_of(feature)?, null)));
    let mut findings = [Finding::default(); FINDINGS];
    let evidence = source.evidence();
    let mut at = 0;
    for wanted in [true, false] {
        for (index, measure) in detectors::measures().enumerate() {
            let of = measure.threat.unwrap_or(threat);
            let evidence = evidence[of as usize];
            let value = (measure.value)(source);
            let learned = learned.filter(|it| it.0 == measure.name).map(|it| it.1);
            let normal = learned.unwrap_or(measure.normal);
            let says = value > normal && evidence > 1.0;
            if says && (of == threat) == wanted && at < FINDINGS {
                let from = if learned.is_some() { LEARNED } else { 0 };
                let measure = (index as u32 + 1) | from;
                findings[at] = Finding { measure, value, normal, evidence };
                at += 1;
            }
        }
    }
    findings
}

/// Keeps a request that speaks against a source, in place of one that speaks less.
#[cold]
#[inline(never)]
pub fn keep_exemplar(
    suspects: &mut [Suspect],
    key: u64,
    record: &RequestRecord<'_>,
    evidence: f32,
) {
    let slot = suspect_slot(suspects, key);
    let Some(suspect) = suspects.get_mut(slot) else { return };
    if suspect.key != key {
        *suspect = Suspect { key, ..Suspect::default() };
    }
    let lightest = (0..EXEMPLARS)
        .min_by(|&a, &b| suspect.exemplars[a].evidence.total_cmp(&suspect.exemplars[b].evidence))
        .unwrap_or(0);
    let exemplar = &mut suspect.exemplars[lightest];
    if exemplar.evidence >= evidence {
        return;
    }
    *exemplar = Exemplar {
        time_ms: record.head.time_ms,
        evidence,
        status: record.head.status,
        method: record.head.method,
        ..Exemplar::default()
    };
    let query_mark = (!record.query.is_empty()).then_some(&b'?');
    let target = record.path.iter().chain(query_mark).chain(record.query);
    for (at, byte) in exemplar.path.iter_mut().zip(target) {
        *at = *byte;
        exemplar.path_len += 1;
    }
    debug_assert!(usize::from(exemplar.path_len) <= EXEMPLAR_PATH);
}

/// Where the requests of a source are kept: one slot for each hash, the newest suspect wins.
pub(crate) fn suspect_slot(suspects: &[Suspect], key: u64) -> usize {
    (((key >> 32) * suspects.len() as u64) >> 32) as usize
}
