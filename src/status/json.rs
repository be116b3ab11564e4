//! The state as JSON. Written entry by entry: a denylist may be long.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use api_abuse_engine::application::{State, Statistics};
use api_abuse_engine::record::Verdict;
use api_abuse_engine::{Action, Threat, explain};
use api_abuse_shm::DenyEntry;
use serde_json::{Map, Value, json};

use crate::conf::Ready;
use crate::snapshot::{Application, Snapshot};
use crate::{detector, text};

/// Entries of the denylist that are listed. Writing the page holds up a worker's requests.
const LISTED: usize = 1000;

pub(super) fn write(out: &mut impl Write, snapshot: &Snapshot) -> io::Result<()> {
    let version = json!(env!("CARGO_PKG_VERSION"));
    write!(out, "{{\"version\":{version},\"applications\":[")?;
    list(out, snapshot.applications.iter().map(application))?;
    out.write_all(b"],\"denylist\":[")?;
    let entries = snapshot.denylist().take(LISTED);
    list(out, entries.map(|entry| denial(&entry, snapshot)))?;
    let health = snapshot.ready.as_ref().map(|ready| health(ready, snapshot));
    writeln!(out, "],\"health\":{}}}", health.unwrap_or(Value::Null))
}

fn list(out: &mut impl Write, values: impl Iterator<Item = Value>) -> io::Result<()> {
    for (i, value) in values.enumerate() {
        if i > 0 {
            out.write_all(b",")?;
        }
        write!(out, "{value}")?;
    }
    Ok(())
}

/// What all who show an application say of it.
pub(crate) fn application(application: &Application) -> Value {
    let statistics = &application.statistics;
    let requests: Map<_, _> = Verdict::ALL
        .into_iter()
        .zip(statistics.requests)
        .map(|(verdict, count)| (verdict.name().to_owned(), count.into()))
        .collect();
    let [safe, normal, paranoid] = statistics.would_deny;
    json!({
        "name": application.name,
        "state": State::from_u8(statistics.state as u8).name(),
        "requests": requests,
        "decisions": decisions(statistics),
        "would_deny": { "safe": safe, "normal": normal, "paranoid": paranoid },
        "denied_sources": application.denied,
    })
}

/// Convictions by threat, then by what is done; threats without any are left out.
fn decisions(statistics: &Statistics) -> Value {
    Threat::ALL
        .into_iter()
        .zip(statistics.decisions)
        .filter(|(_, counts)| counts.iter().any(|count| *count > 0))
        .map(|(threat, counts)| (threat.slug().to_owned(), actions(counts)))
        .collect::<Map<_, _>>()
        .into()
}

fn actions(counts: [u64; 3]) -> Value {
    Action::ALL
        .into_iter()
        .zip(counts)
        .map(|(action, count)| (action.name().to_owned(), count.into()))
        .collect::<Map<_, _>>()
        .into()
}

/// An entry of the denylist, and what explains it.
fn denial(entry: &DenyEntry, snapshot: &Snapshot) -> Value {
    let mut denial = snapshot.denial(entry);
    denial["evidence"] = snapshot.incident(entry).map(|known| explain::incident(&known)).into();
    denial
}

/// How detection is doing: what all who show it say.
pub(crate) fn detector(ready: &Ready, snapshot: &Snapshot) -> Value {
    let (counters, lease) = (ready.shared.zone.counters(), ready.shared.zone.lease());
    let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let heartbeat = value(&counters.detector_heartbeat_ms);
    json!({
        "up": detector::is_up(ready),
        "process": lease.holder(),
        "last_turn": (heartbeat != 0).then(|| text::time(snapshot.wall_ms(heartbeat))),
        "lag_seconds": value(&counters.detector_lag_ms) as f64 / 1000.0,
        "takeovers": lease.takeovers(),
        "panics": value(&counters.detector_panics),
    })
}

/// How the parts are doing.
fn health(ready: &Ready, snapshot: &Snapshot) -> Value {
    let zone = ready.shared.zone;
    let (counters, lanes) = (zone.counters(), zone.lane_totals());
    let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    json!({
        "detector": detector(ready, snapshot),
        "lanes": {
            "size": lanes.lanes,
            "claimed": lanes.claimed,
            "records_pushed": lanes.pushed,
            "records_judged": lanes.consumed,
            "records_dropped": lanes.dropped + value(&counters.no_lane),
            "records_invalid": value(&counters.records_invalid),
            "garbage": lanes.garbage,
        },
        "denylist": {
            "size": zone.denylist().capacity(),
            "full": value(&counters.denylist_full),
            "displaced": value(&counters.denylist_displaced),
            "unreadable": value(&counters.denylist_unreadable),
        },
        "sources": {
            "live": value(&counters.sources_live),
            "evicted": value(&counters.sources_evicted),
        },
        "callback_panics": value(&counters.guard_panics),
        "log_lines_dropped": value(&counters.log_lines_dropped),
    })
}
