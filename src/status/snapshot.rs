//! What the status page shows, read from the zone.

use std::collections::BTreeMap;

use api_abuse_engine::application::{STATISTICS_WORDS, Statistics};
use api_abuse_engine::decision::{INCIDENT_WORDS, Incident};
use api_abuse_shm::{DenyEntry, Zone};
use zerocopy::transmute;

use crate::conf::{MainConf, Ready};
use crate::ffi::clock;
use crate::request_state::deny_key;
use crate::zone::incident_slot;

/// The state of everything at one moment. Each table is whole in itself; between two tables a
/// record may have passed.
pub(super) struct Snapshot {
    /// `None` when the configuration has no zone.
    pub(super) ready: Option<Ready>,
    /// Every application that is configured or was seen.
    pub(super) applications: Vec<Application>,
    /// Monotonic milliseconds.
    pub(super) now_ms: u64,
    /// Wall clock minus monotonic clock, milliseconds.
    epoch_offset_ms: u64,
}

/// One application, whether a request came for it or not.
pub(super) struct Application {
    pub(super) name: String,
    pub(super) statistics: Statistics,
    /// Live denials.
    pub(super) denied: u64,
}

impl Snapshot {
    pub(super) fn take(conf: &MainConf) -> Self {
        let ready = conf.ready();
        let now_ms = clock::cached_ms();
        let mut known: BTreeMap<u64, Application> = BTreeMap::new();
        for application in &conf.applications {
            let name = String::from_utf8_lossy(&application.name).into_owned();
            let statistics = Statistics { key: application.key(), ..Statistics::default() };
            known.insert(application.key(), Application { name, statistics, denied: 0 });
        }
        if let Some(ready) = &ready {
            add_statistics(&ready.shared.zone, &mut known);
            count_denials(&ready.shared.zone, now_ms, &mut known);
        }
        let mut applications: Vec<_> = known.into_values().collect();
        applications.sort_by(|a, b| a.name.cmp(&b.name));
        let epoch_offset_ms = clock::cached_wall_ms().saturating_sub(now_ms);
        Self { ready, applications, now_ms, epoch_offset_ms }
    }

    /// Milliseconds since 1970 of a moment of the monotonic clock.
    pub(super) fn wall_ms(&self, monotonic_ms: u64) -> u64 {
        self.epoch_offset_ms.saturating_add(monotonic_ms)
    }

    /// Name of the application with this key; empty when it is not known any more.
    pub(super) fn name(&self, key: u64) -> &str {
        let found = self.applications.iter().find(|known| known.statistics.key == key);
        found.map_or("", |known| &known.name)
    }

    /// Live denials, read while they are asked for.
    pub(super) fn denylist(&self) -> impl Iterator<Item = DenyEntry> {
        let now_ms = self.now_ms;
        let list = self.ready.map(|ready| ready.shared.zone.denylist());
        list.into_iter().flat_map(move |list| list.iter(now_ms))
    }

    /// What explains a denial, unless newer incidents have taken its place. An incident of the same
    /// number may be about somebody else: numbers start anew in a zone of a new size.
    pub(super) fn incident(&self, denial: &DenyEntry) -> Option<Incident> {
        let incidents = self.ready?.shared.zone.incidents();
        let mut words = [0; INCIDENT_WORDS];
        let incident: Incident = incidents
            .read(incident_slot(incidents.len(), denial.incident), &mut words)
            .then(|| transmute!(words))?;
        let about = incident.key().map(|key| deny_key(incident.application, key));
        (incident.id == denial.incident && about == Some(denial.key)).then_some(incident)
    }
}

fn add_statistics(zone: &Zone, known: &mut BTreeMap<u64, Application>) {
    let slots = zone.applications();
    let mut words = [0; STATISTICS_WORDS];
    for slot in 0..slots.len() {
        if !slots.read(slot, &mut words) {
            continue;
        }
        let statistics: Statistics = transmute!(words);
        if statistics.key != 0 {
            let name = statistics.name().into_owned();
            known.insert(statistics.key, Application { name, statistics, denied: 0 });
        }
    }
}

fn count_denials(zone: &Zone, now_ms: u64, known: &mut BTreeMap<u64, Application>) {
    for entry in zone.denylist().iter(now_ms) {
        if let Some(application) = known.get_mut(&entry.key.application) {
            application.denied += 1;
        }
    }
}
