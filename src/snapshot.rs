//! What status page and API show, read from the zone.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use api_abuse_engine::application::{PUBLISHED_WORDS, Published, Statistics};
use api_abuse_engine::budget::Breaker;
use api_abuse_engine::decision::{INCIDENT_WORDS, Incident};
use api_abuse_engine::{Action, Threat};
use api_abuse_shm::{DenyEntry, Zone};
use serde_json::{Value, json};
use zerocopy::transmute;

use crate::commands::OPERATOR_THREAT;
use crate::conf::{MainConf, Ready};
use crate::ffi::clock;
use crate::request_state::{deny_key, source_key};
use crate::zone::incident_slot;
use crate::{text, worker};

/// The state of everything at one moment. Each table is whole in itself; between two tables a
/// record may have passed.
pub(crate) struct Snapshot {
    /// `None` when the configuration has no zone.
    pub(crate) ready: Option<Ready>,
    /// Every application that is configured or was seen.
    pub(crate) applications: Vec<Application>,
    /// Monotonic milliseconds.
    pub(crate) now_ms: u64,
    /// Wall clock minus monotonic clock, milliseconds.
    epoch_offset_ms: u64,
}

/// In [`Application::notes`]: nearly all of many clients' requests come from one address.
pub(crate) const ONE_ADDRESS: u64 = 1;
/// In [`Application::notes`]: the same from loopback, where detectors may deny nobody.
pub(crate) const LOOPBACK_ONLY: u64 = 2;

/// One application, whether a request came for it or not.
pub(crate) struct Application {
    pub(crate) name: String,
    pub(crate) statistics: Statistics,
    pub(crate) breaker: Breaker,
    /// [`ONE_ADDRESS`], [`LOOPBACK_ONLY`].
    pub(crate) notes: u64,
    /// Live denials.
    pub(crate) denied: u64,
}

impl Snapshot {
    pub(crate) fn take(conf: &MainConf) -> Self {
        worker::see_to_detection();
        let ready = conf.ready();
        let now_ms = clock::cached_ms();
        let mut known: BTreeMap<u64, Application> = BTreeMap::new();
        for application in &conf.applications {
            let name = String::from_utf8_lossy(&application.name).into_owned();
            let statistics = Statistics { key: application.key(), ..Statistics::default() };
            let breaker = Breaker::default();
            let application = Application { name, statistics, breaker, notes: 0, denied: 0 };
            known.insert(application.statistics.key, application);
        }
        if let Some(ready) = &ready {
            add_statistics(&ready.shared.zone, &mut known);
        }
        let mut applications: Vec<_> = known.into_values().collect();
        let rank = |known: &Application| (known.name.clone(), !known.statistics.key);
        applications.sort_by_cached_key(rank);
        tell_apart(&mut applications);
        let epoch_offset_ms = epoch_offset_ms(ready.as_ref(), now_ms);
        Self { ready, applications, now_ms, epoch_offset_ms }
    }

    /// Counts the live denials of each application.
    pub(crate) fn count_denials(&mut self) {
        for entry in self.denylist() {
            self.count_denial(&entry);
        }
    }

    /// Counts one of them.
    pub(crate) fn count_denial(&mut self, entry: &DenyEntry) {
        let key = entry.key.application;
        if let Some(known) = self.applications.iter_mut().find(|a| a.statistics.key == key) {
            known.denied += 1;
        }
    }

    /// Milliseconds since 1970 of a moment of the monotonic clock.
    pub(crate) fn wall_ms(&self, monotonic_ms: u64) -> u64 {
        self.epoch_offset_ms.saturating_add(monotonic_ms)
    }

    /// Name of the application with this key; empty when it is not known any more.
    pub(crate) fn name(&self, key: u64) -> &str {
        let found = self.applications.iter().find(|known| known.statistics.key == key);
        found.map_or("", |known| &known.name)
    }

    /// The application of this name.
    pub(crate) fn application(&self, name: &str) -> Option<&Application> {
        self.applications.iter().find(|known| known.name == name)
    }

    /// Live denials, read while they are asked for.
    pub(crate) fn denylist(&self) -> impl Iterator<Item = DenyEntry> + use<> {
        let now_ms = self.now_ms;
        let list = self.ready.map(|ready| ready.shared.zone.denylist());
        list.into_iter().flat_map(move |list| list.iter(now_ms))
    }

    /// A denial as JSON: what all who show it say.
    pub(crate) fn denial(&self, entry: &DenyEntry) -> Value {
        let expires_ms = self.wall_ms(entry.expires_ms);
        json!({
            "id": text::denial(&entry.key),
            "application": self.name(entry.key.application),
            "key": source_key(&entry.key).map(text::key),
            "threat": Threat::from_u8(entry.threat).map(Threat::slug),
            "action": Action::from_u8(entry.action).map(Action::name),
            "confidence": entry.confidence,
            "incident": incident_of(entry).map(text::incident),
            // It may have begun before the monotonic clock did.
            "since": text::time(expires_ms.saturating_sub(entry.ttl_ms)),
            "expires": text::time(expires_ms),
            "hits": entry.hits,
        })
    }

    /// What explains a denial, unless newer incidents have taken its place. An incident of the same
    /// number may be about somebody else: numbers start anew in a zone of a new size.
    pub(crate) fn incident(&self, denial: &DenyEntry) -> Option<Incident> {
        let incidents = self.ready?.shared.zone.incidents();
        let mut words = [0; INCIDENT_WORDS];
        let incident: Incident = incidents
            .read(incident_slot(incidents.len(), denial.incident), &mut words)
            .then(|| transmute!(words))?;
        let about = incident.key().map(|key| deny_key(incident.application, key));
        (incident.id == denial.incident && about == Some(denial.key)).then_some(incident)
    }
}

/// The number of the incident that made an entry; `None` for an operator's own.
pub(crate) fn incident_of(entry: &DenyEntry) -> Option<u64> {
    (entry.threat != OPERATOR_THREAT).then_some(entry.incident)
}

/// Gives names of their own to applications that a variable named alike but for what cannot be shown, or
/// as those are called that are one too many. Sorted by name, which of them keeps it is always the same.
fn tell_apart(applications: &mut [Application]) {
    for at in (1..applications.len()).rev() {
        if applications[at].name == applications[at - 1].name {
            let Application { name, statistics, .. } = &applications[at];
            applications[at].name = format!("{name}#{:016x}", statistics.key);
        }
    }
}

fn add_statistics(zone: &Zone, known: &mut BTreeMap<u64, Application>) {
    let slots = zone.applications();
    let mut words = [0; PUBLISHED_WORDS];
    for slot in 0..slots.len() {
        if !slots.read(slot, &mut words) {
            continue;
        }
        let Published { statistics, breaker, notes } = transmute!(words);
        if statistics.key != 0 {
            let name = statistics.name().into_owned();
            known.insert(
                statistics.key,
                Application { name, statistics, breaker, notes, denied: 0 },
            );
        }
    }
}

/// Wall clock minus monotonic clock. Both are read to the millisecond, so each reading differs a little:
/// what all workers show changes only when a clock was set.
fn epoch_offset_ms(ready: Option<&Ready>, now_ms: u64) -> u64 {
    const JITTER_MS: u64 = 100;
    let offset = clock::cached_wall_ms().saturating_sub(now_ms);
    let Some(ready) = ready else { return offset };
    let known = &ready.shared.zone.counters().epoch_offset_ms;
    let before = known.load(Ordering::Relaxed);
    if before.abs_diff(offset) <= JITTER_MS {
        return before;
    }
    known.store(offset, Ordering::Relaxed);
    offset
}
