//! `api_abuse_log`: one line of JSON for each decision.

use api_abuse_engine::{Decision, Incident, explain};
use serde_json::json;

use crate::ffi::clock;
use crate::state::wall_ms;
use crate::text;

/// The line, with its end. Everything that clients chose is escaped as JSON wants it.
pub(crate) fn line(decision: &Decision, application: &str, incident: Option<&Incident>) -> Vec<u8> {
    let age_ms = (clock::monotonic_us() / 1000).saturating_sub(decision.since_ms);
    let line = json!({
        "time": text::time(wall_ms().saturating_sub(age_ms)),
        "application": application,
        "key": text::key(decision.key),
        "threat": decision.threat.slug(),
        "action": decision.action.name(),
        "confidence": decision.confidence,
        "incident": text::incident(decision.incident),
        "ttl": decision.ttl_ms / 1000,
        "requests_seen": incident.map(|incident| incident.requests),
        "again": decision.again,
        "evidence": incident.map(explain::incident),
    });
    let mut line = line.to_string().into_bytes();
    line.push(b'\n');
    line
}
