//! From evidence that passed the threshold to a decision that explains itself.

use crate::decision::{Action, EXEMPLAR_PATH, EXEMPLARS, Exemplar, FINDINGS, Finding, Incident};
use crate::detectors::MEASURES;
use crate::engine::Engine;
use crate::evidence::Walks;
use crate::fusion::{Fusion, Sensitivity};
use crate::hash::combine;
use crate::record::{RequestRecord, USER_AGENT_MAX};
use crate::sources::Source;
use crate::tables::Suspect;
use crate::{Decision, SourceKind, Threat};

/// How long the first denial of a source holds.
pub const TTL_MS: u64 = 3_600_000;
/// How much longer each further one.
const REPEAT: u64 = 2;
/// The longest.
const TTL_MAX_MS: u64 = 24 * 3_600_000;

/// A source whose evidence passed a threshold.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Its slot.
    pub slot: usize,
    /// Its evidence.
    pub fusion: Fusion,
    /// Statistics slot of the application.
    pub application: usize,
    /// Slots of the client and of the address of the record.
    pub client: Option<usize>,
    /// See `client`.
    pub address: Option<usize>,
    /// Other well-behaved clients of the address.
    pub others: u32,
}

impl Case {
    /// A case against the source in `slot`.
    pub fn new(slot: usize, walks: &[Walks; 8]) -> Self {
        Self {
            slot,
            fusion: Fusion::of(walks),
            application: 0,
            client: None,
            address: None,
            others: 0,
        }
    }
}

/// Convicts: marks the source, keeps the incident, and says what is to be done.
pub fn decide(engine: &mut Engine<'_>, record: &RequestRecord<'_>, case: &Case) -> Decision {
    engine.header.incident += 1;
    let incident_id = engine.header.incident;
    let now_ms = record.head.time_ms;
    let threat = case.fusion.threat();
    let source = engine.sources.get_mut(case.slot);
    source.convictions = source.convictions.saturating_add(1);
    let ttl_ms = time_to_live(source.convictions, combine(source.key, incident_id));
    source.denied_until_ms = now_ms + ttl_ms;
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
        ..explain(&convicted, record, &case.fusion, threat)
    };
    let slot = incident_id as usize % engine.incidents.len();
    engine.incidents[slot] = incident;
    settle(engine, case, &convicted);
    let statistics = &mut engine.applications[case.application];
    statistics.decisions[threat as usize][Action::Deny as usize] += 1;
    decision(&convicted, &incident, false)
}

/// What a conviction of a client means for its address: its part of the evidence is dealt with, but
/// suspicion stays, so that the next client from there is not judged as if nothing had been.
fn settle(engine: &mut Engine<'_>, case: &Case, convicted: &Source) {
    let Some(address) = case.address.filter(|&address| address != case.slot) else { return };
    let address = engine.sources.get_mut(address);
    let suspicion = Sensitivity::Normal.threshold() / 2.0;
    for (walks, client) in address.walks.iter_mut().zip(convicted.walks) {
        let (all, client) = (walks.values(), client.values());
        *walks =
            Walks::at(core::array::from_fn(|m| (all[m] - client[m]).max(all[m].min(suspicion))));
    }
    address.convictions = address.convictions.saturating_add(1);
    address.convicted_users |= 1 << (convicted.key >> 59);
    address.convicted_requests = address.convicted_requests.saturating_add(convicted.requests);
}

/// The first denial holds an hour; each further one twice as long, give or take a tenth, so that a
/// botnet does not come back at one moment.
fn time_to_live(convictions: u16, random: u64) -> u64 {
    if convictions <= 1 {
        return TTL_MS;
    }
    let ttl_ms = TTL_MS.saturating_mul(REPEAT.saturating_pow(u32::from(convictions) - 1));
    let ttl_ms = ttl_ms.min(TTL_MAX_MS);
    ttl_ms - ttl_ms / 10 + random % (ttl_ms / 5)
}

/// A conviction that still holds, for a denylist that may have lost it.
pub fn again(source: &Source, incident: Option<&Incident>) -> Option<Decision> {
    let incident = incident.copied().unwrap_or_else(|| Incident {
        id: source.incident,
        application: source.application,
        network: source.network,
        discriminator: source.discriminator,
        kind: source.kind,
        since_ms: source.last_ms,
        threat: Fusion::of(&source.walks).threat() as u8,
        confidence: Fusion::of(&source.walks).confidence(),
        ttl_ms: source.denied_until_ms.saturating_sub(source.last_ms),
        ..Incident::default()
    });
    source.source_key()?;
    Some(decision(source, &incident, true))
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
        action: Action::Deny,
        confidence: incident.confidence,
        incident: incident.id,
        since_ms: incident.since_ms,
        ttl_ms: incident.ttl_ms,
        again,
    }
}

/// Everything about a conviction but its number and its exemplars.
fn explain(
    source: &Source,
    record: &RequestRecord<'_>,
    fusion: &Fusion,
    threat: Threat,
) -> Incident {
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
        threshold: Sensitivity::Normal.threshold(),
        shares: fusion.shares,
        kind: source.kind,
        threat: threat as u8,
        action: Action::Deny as u8,
        confidence: fusion.confidence(),
        user_agent_len: len as u32,
        findings: findings(source, threat),
        user_agent: crate::decision::UserAgent(user_agent),
        ..Incident::default()
    }
}

/// What the detectors saw of the source that benign sources do not do; the threat that it is
/// convicted of first.
fn findings(source: &Source, threat: Threat) -> [Finding; FINDINGS] {
    let mut findings = [Finding::default(); FINDINGS];
    let mut at = 0;
    for wanted in [true, false] {
        for (index, measure) in MEASURES.iter().enumerate() {
            let evidence = source.walks[measure.threat as usize].evidence();
            let value = (measure.value)(source);
            let says = value > measure.normal && evidence > 1.0;
            if says && (measure.threat == threat) == wanted && at < FINDINGS {
                let normal = measure.normal;
                findings[at] = Finding { measure: index as u32 + 1, value, normal, evidence };
                at += 1;
            }
        }
    }
    findings
}

/// Keeps a request that speaks against a source, in place of one that speaks less.
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
fn suspect_slot(suspects: &[Suspect], key: u64) -> usize {
    (((key >> 32) * suspects.len() as u64) >> 32) as usize
}
