//! An incident in words that people and programs read.

use serde_json::{Value, json};

use crate::Threat;
use crate::decision::{
    CRAWLER, ESTABLISHED, EXEMPLAR_PATH, Exemplar, GRACE, Incident, LEARNED, SHARED_ADDRESS,
    SPREAD, TRIPPED, VETERAN,
};
use crate::detectors::measures;
use crate::record::{Method, USER_AGENT_MAX};

/// Harmless explanations of what a source did, and why they were rejected.
const CONSIDERED: [(u32, &str, &str); 5] = [
    (
        SHARED_ADDRESS,
        "shared_address",
        "others there behave well; only who carries the evidence is held",
    ),
    (
        SPREAD,
        "several_clients",
        "no single client of the address carries the evidence, and nobody else behaves well there",
    ),
    (
        CRAWLER,
        "crawler",
        "it says so or asked for robots.txt, but the evidence is of what crawlers do not do",
    ),
    (
        ESTABLISHED,
        "established_automation",
        "it has been there for days, but this is not what it is known for",
    ),
    (
        VETERAN,
        "known_client",
        "it was there while the application was learned, but this is not what was learned of it",
    ),
];

/// The evidence of an incident: what was measured, what is normal, and the requests that show it.
/// Times are monotonic milliseconds; whoever knows the wall clock adds them.
pub fn incident(incident: &Incident) -> Value {
    let shares: serde_json::Map<String, Value> = Threat::ALL
        .into_iter()
        .zip(incident.shares)
        .filter(|(_, share)| *share >= 0.01)
        .map(|(threat, share)| (threat.slug().to_owned(), json!(round(share))))
        .collect();
    let user_agent =
        &incident.user_agent.0[..(incident.user_agent_len as usize).min(USER_AGENT_MAX)];
    json!({
        "evidence": round(incident.evidence),
        "threshold": round(incident.threshold),
        "shares": shares,
        "requests": incident.requests,
        "seconds": incident.since_ms.saturating_sub(incident.first_ms) as f64 / 1000.0,
        "findings": findings(incident),
        "exemplars": incident.exemplars.iter().filter(|e| e.evidence > 0.0).map(exemplar).collect::<Vec<_>>(),
        "effective_users": incident.effective_users,
        "considered": considered(incident),
        "profile_version": incident.profile,
        "tripped": incident.flags & TRIPPED != 0,
        "grace": incident.flags & GRACE != 0,
        "user_agent": String::from_utf8_lossy(user_agent),
    })
}

/// What was considered, and why it does not hold.
fn considered(incident: &Incident) -> Vec<Value> {
    let looked_at = CONSIDERED.iter().filter(|(bit, ..)| incident.considered & bit != 0);
    looked_at
        .map(|(_, alternative, rejected)| json!({ "alternative": alternative, "rejected": rejected }))
        .collect()
}

/// Value, normal and multiple of everything that a detector found unusual.
fn findings(incident: &Incident) -> Vec<Value> {
    incident
        .findings
        .iter()
        .filter_map(|finding| Some((finding, measures().nth(finding.index()?)?)))
        .map(|(finding, measure)| {
            json!({
                "measure": measure.name,
                "threat": measure.threat.or(incident.threat()).map(Threat::slug),
                "unit": measure.unit,
                "value": round(finding.value),
                "normal": format!("< {}", round(finding.normal)),
                "normal_from": if finding.measure & LEARNED == 0 { "shipped" } else { "learned" },
                "multiple": format!("{}x", round(finding.value / finding.normal.max(1e-6))),
                "evidence": round(finding.evidence),
            })
        })
        .collect()
}

/// One request.
pub fn exemplar(exemplar: &Exemplar) -> Value {
    let path = &exemplar.path[..usize::from(exemplar.path_len).min(EXEMPLAR_PATH)];
    json!({
        "method": Method::from_u8(exemplar.method).name(),
        "path": String::from_utf8_lossy(path),
        "status": exemplar.status,
        "evidence": round(exemplar.evidence),
    })
}

/// Two digits behind the point are more than anybody reads.
fn round(value: f32) -> f64 {
    if value.is_finite() { (f64::from(value) * 100.0).round() / 100.0 } else { 0.0 }
}
