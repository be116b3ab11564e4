//! How everything is: applications and health.

use std::sync::atomic::{AtomicU64, Ordering};

use api_abuse_engine::application::OTHERS;
use api_abuse_engine::policy::Policy;
use api_abuse_engine::tables::Limits;
use api_abuse_shm::{ENFORCEMENT_BOUNDS_US, Zone};
use serde_json::{Value, json};

use super::list::{PIECE, TURN_US};
use super::{View, with};
use crate::conf::{MainConf, Ready};
use crate::ffi::content::{Job, Step, Turn};
use crate::ffi::request::Request;
use crate::ffi::{clock, process};
use crate::snapshot::{Application, LOOPBACK_ONLY, ONE_ADDRESS};
use crate::{status, text};

/// Counts the denylist, then answers.
struct Status {
    view: View,
    /// The next slot of the denylist.
    slot: usize,
    /// Live denials, those of forgotten applications included.
    denied: u64,
}

/// GET
pub(super) fn get(view: View) -> Step {
    Step::Work(Box::new(Status { view, slot: 0, denied: 0 }))
}

impl Job for Status {
    fn turn(&mut self, request: &Request<'_>) -> Turn {
        let end_us = clock::monotonic_us() + TURN_US;
        if let Ok(zone) = self.view.zone() {
            let list = zone.denylist();
            while self.slot < list.capacity() {
                if clock::monotonic_us() >= end_us {
                    return Turn::Again(1);
                }
                let slots = self.slot..self.slot + PIECE;
                self.slot = slots.end;
                for entry in list.iter_slots(slots, self.view.snapshot.now_ms) {
                    self.view.snapshot.count_denial(&entry);
                    self.denied += 1;
                }
            }
        }
        let conf = request.main_conf();
        Turn::Reply(super::json(request, 200, &everything(&self.view, self.denied, conf)))
    }
}

fn everything(view: &View, denied: u64, conf: &MainConf) -> Value {
    let snapshot = &view.snapshot;
    let health = snapshot.ready.map(|ready| health(&ready, view, denied, conf));
    let started = snapshot.ready.map(|ready| {
        let ms = &ready.shared.zone.counters().started_ms;
        text::time(ms.load(Ordering::Relaxed))
    });
    let applications: Vec<_> =
        snapshot.applications.iter().map(|one| application(one, view, conf)).collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "nginx": process::nginx_version(),
        "time": text::time(clock::cached_wall_ms()),
        "started": started,
        "mode": conf.modes().name(),
        "applications": applications,
        "health": health,
    })
}

fn application(application: &Application, view: &View, conf: &MainConf) -> Value {
    let Application { statistics, breaker, notes, .. } = application;
    let quiet = statistics.first_ms == 0;
    let default = Policy::default();
    let policy = conf.policy(statistics.key).unwrap_or(&default);
    let learned_ms = view.snapshot.now_ms.saturating_sub(statistics.first_ms);
    let learned_ms = if quiet { 0 } else { statistics.learned_ms.saturating_add(learned_ms) };
    let remaining_ms = policy.learning_ms.saturating_sub(learned_ms);
    let named = [(ONE_ADDRESS, "one_address"), (LOOPBACK_ONLY, "loopback_only")];
    let named = named.into_iter().filter(|(bit, _)| notes & bit != 0).map(|(_, name)| name);
    let named: Vec<_> = named.collect();
    let open = breaker.since_ms != 0;
    let percent = breaker.denied as f64 * 100.0 / (breaker.others as f64).max(1.0);
    let more = json!({
        "mode": conf.modes_of(statistics.key).name(),
        "first": (!quiet).then(|| view.time(statistics.first_ms)),
        "last": (!quiet).then(|| view.time(statistics.last_ms)),
        "learning": {
            "duration_seconds": policy.learning_ms / 1000,
            "remaining_seconds": remaining_ms / 1000,
        },
        "clients": { "active": breaker.others + breaker.denied, "denied": breaker.denied },
        "breaker": {
            "open": open,
            "since": open.then(|| view.time(breaker.since_ms)),
            "denied_percent": (percent * 10.0).round() / 10.0,
            "budget_percent": (f64::from(policy.budget_percent) * 100.0).round() / 100.0,
            "trips": statistics.trips,
        },
        "notes": named,
    });
    with(status::json::application(application), more)
}

fn health(ready: &Ready, view: &View, denied: u64, conf: &MainConf) -> Value {
    let zone = ready.shared.zone;
    let (counters, lanes) = (zone.counters(), zone.lane_totals());
    let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let detector = status::json::detector(ready, &view.snapshot);
    let name = conf.zone.as_ref().map(|zone| &zone.name);
    let runs_in = if process::has_detector_process(conf) { "process" } else { "worker" };
    let saved = value(&counters.state_saved_ms);
    let state = conf.state().map(|directory| {
        json!({
            "path": directory.path().to_string_lossy(),
            "saved": (saved != 0).then(|| text::time(saved)),
            "errors": value(&counters.state_errors),
        })
    });
    json!({
        "zone": { "name": name, "bytes": zone.geometry().bytes() },
        "detector": with(detector, json!({ "runs_in": runs_in })),
        "ring": {
            "lanes": lanes.lanes,
            "claimed": lanes.claimed,
            "records_pushed": lanes.pushed,
            "records_judged": lanes.consumed.min(lanes.pushed),
            "records_dropped": lanes.dropped + value(&counters.no_lane),
            "records_invalid": value(&counters.records_invalid),
            "garbage": lanes.garbage,
        },
        "enforcement": enforcement(&zone),
        "tables": tables(&zone, view, denied),
        "state_file": state,
        "denylist_unreadable": value(&counters.denylist_unreadable),
        "callback_panics": value(&counters.guard_panics),
        "log_lines_dropped": value(&counters.log_lines_dropped),
    })
}

/// From the record that convicted to the entry: upper bounds of the buckets where the quantiles lie.
fn enforcement(zone: &Zone) -> Value {
    let values = zone.counters().enforcement.values();
    let quantile = |share: f64| {
        let rank = (values.count as f64 * share).ceil() as u64;
        let bucket = values.cumulative.iter().position(|below| *below >= rank.max(1))?;
        Some(ENFORCEMENT_BOUNDS_US[bucket] as f64 / 1e6)
    };
    json!({
        "count": values.count, "p50_seconds": quantile(0.5), "p99_seconds": quantile(0.99),
    })
}

fn tables(zone: &Zone, view: &View, denied: u64) -> Value {
    let counters = zone.counters();
    let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let (geometry, denylist, allowlist) = (zone.geometry(), zone.denylist(), zone.allowlist());
    let incidents = zone.incidents();
    let kept = (0..incidents.len()).filter(|slot| {
        let mut id = [0; 1];
        incidents.read(*slot, &mut id) && id[0] != 0
    });
    let lost = value(&counters.denylist_full) + value(&counters.denylist_displaced);
    let sources = Limits::of(usize::try_from(geometry.engine_bytes).unwrap_or(0)).sources;
    let seen = view.snapshot.applications.iter().filter(|known| known.statistics.first_ms != 0);
    // What came too late for a place of its own.
    let mut known = view.snapshot.applications.iter().map(|known| &known.statistics);
    let others = known.find(|statistics| statistics.key == OTHERS);
    let others = others.map_or(0, |others| others.requests.iter().sum());
    let row = |name: &str, used: u64, size: usize, lost: u64| json!({ "name": name, "used": used, "size": size, "lost": lost });
    let allowed = allowlist.entries().map_or(0, |entries| entries.len() as u64);
    json!([
        row("denylist", denied, denylist.capacity(), lost),
        row("sources", value(&counters.sources_live), sources, value(&counters.sources_evicted)),
        row("incidents", kept.count() as u64, incidents.len(), 0),
        row("applications", seen.count() as u64, geometry.application_slots as usize, others),
        row("allowlist", allowed, allowlist.capacity(), 0),
    ])
}
