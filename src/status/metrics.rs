//! The metrics, in Prometheus' text format.

use std::fmt::Display;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use api_abuse_engine::application::State;
use api_abuse_engine::record::Verdict;
use api_abuse_engine::{Action, Threat};
use api_abuse_shm::{Counters, ENFORCEMENT_BOUNDS_US};

use crate::conf::Ready;
use crate::detector;
use crate::snapshot::Snapshot;

/// Writes all metrics. `docs/metrics.md` has a row for each; a test holds the two together.
pub(super) fn write(out: &mut impl Write, snapshot: &Snapshot) -> io::Result<()> {
    applications(out, snapshot)?;
    let Some(ready) = &snapshot.ready else { return Ok(()) };
    detection(out, ready)?;
    enforcement(out, ready.shared.zone.counters())
}

/// What is counted for each application.
fn applications(out: &mut impl Write, snapshot: &Snapshot) -> io::Result<()> {
    let help = "Requests of an application by what was made of them.";
    family(out, "api_abuse_requests_total", "counter", help)?;
    for application in &snapshot.applications {
        for (verdict, count) in Verdict::ALL.into_iter().zip(application.statistics.requests) {
            let labels = [("application", &*application.name), ("status", verdict.name())];
            sample(out, "api_abuse_requests_total", &labels, count)?;
        }
    }
    let help = "Sources convicted, by threat and by what is done about them.";
    family(out, "api_abuse_decisions_total", "counter", help)?;
    for application in &snapshot.applications {
        for (threat, counts) in Threat::ALL.into_iter().zip(application.statistics.decisions) {
            for (action, count) in Action::ALL.into_iter().zip(counts) {
                let labels = [
                    ("application", &*application.name),
                    ("threat", threat.slug()),
                    ("action", action.name()),
                ];
                sample(out, "api_abuse_decisions_total", &labels, count)?;
            }
        }
    }
    let help = "Live entries of the denylist.";
    family(out, "api_abuse_denylist_entries", "gauge", help)?;
    for application in &snapshot.applications {
        let labels = [("application", &*application.name)];
        sample(out, "api_abuse_denylist_entries", &labels, application.denied)?;
    }
    let help = "1 for the state that an application is in, 0 for the others.";
    family(out, "api_abuse_application_state", "gauge", help)?;
    for application in &snapshot.applications {
        let now = State::from_u8(application.statistics.state as u8);
        for state in State::ALL {
            let labels = [("application", &*application.name), ("state", state.name())];
            sample(out, "api_abuse_application_state", &labels, u8::from(state == now))?;
        }
    }
    Ok(())
}

/// How detection is doing.
fn detection(out: &mut impl Write, ready: &Ready) -> io::Result<()> {
    let zone = ready.shared.zone;
    let counters = zone.counters();
    let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let dropped =
        zone.lane_totals().dropped + value(&counters.no_lane) + value(&counters.records_invalid);
    let lag = value(&counters.detector_lag_ms) as f64 / 1000.0;
    let state_errors = value(&counters.state_errors);
    let saved = value(&counters.state_saved_ms) as f64 / 1000.0;
    let up = u8::from(detector::is_up(ready));
    let mut single = |name: &str, kind: &str, help: &str, value: &dyn Display| {
        family(out, name, kind, help)?;
        sample(out, name, &[], value)
    };
    let live = value(&counters.sources_live);
    single("api_abuse_sources", "gauge", "Sources that the detectors remember.", &live)?;
    let help = "Records of requests that never reached the detectors.";
    single("api_abuse_records_dropped_total", "counter", help, &dropped)?;
    let evicted = value(&counters.sources_evicted);
    let help = "Sources forgotten to make room for others while they still mattered.";
    single("api_abuse_sources_evicted_total", "counter", help, &evicted)?;
    let help = "States that could not be written to api_abuse_state.";
    single("api_abuse_state_errors_total", "counter", help, &state_errors)?;
    let help = "When the state was last written, seconds since 1970; 0: never.";
    single("api_abuse_state_saved_timestamp_seconds", "gauge", help, &saved)?;
    let help = "Age of the last record when the detectors took it; 0 when none waits.";
    single("api_abuse_detector_lag_seconds", "gauge", help, &lag)?;
    let help = "1 when a detector is at work, 0 when there is none or it was switched off.";
    single("api_abuse_detector_up", "gauge", help, &up)
}

/// From the end of the convicting request to the entry in the denylist.
fn enforcement(out: &mut impl Write, counters: &Counters) -> io::Result<()> {
    let name = "api_abuse_enforcement_seconds";
    let help = "Time from the end of the convicting request to the denial's entry.";
    family(out, name, "histogram", help)?;
    let values = counters.enforcement.values();
    for (bound, count) in ENFORCEMENT_BOUNDS_US.into_iter().zip(values.cumulative) {
        let bound = (bound as f64 / 1e6).to_string();
        sample(out, "api_abuse_enforcement_seconds_bucket", &[("le", &bound)], count)?;
    }
    sample(out, "api_abuse_enforcement_seconds_bucket", &[("le", "+Inf")], values.count)?;
    sample(out, "api_abuse_enforcement_seconds_sum", &[], values.sum as f64 / 1e6)?;
    sample(out, "api_abuse_enforcement_seconds_count", &[], values.count)
}

fn family(out: &mut impl Write, name: &str, kind: &str, help: &str) -> io::Result<()> {
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}")
}

fn sample(
    out: &mut impl Write,
    name: &str,
    labels: &[(&str, &str)],
    value: impl Display,
) -> io::Result<()> {
    out.write_all(name.as_bytes())?;
    for (i, (label, text)) in labels.iter().enumerate() {
        let open = if i == 0 { '{' } else { ',' };
        write!(out, "{open}{label}=\"{}\"", escaped(text))?;
    }
    let close = if labels.is_empty() { "" } else { "}" };
    writeln!(out, "{close} {value}")
}

/// A label's value as Prometheus wants it. Application names may come from a client's Host header.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
