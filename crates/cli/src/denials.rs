//! The denylist of a program that judges records itself: who is denied, until when.

use api_abuse_engine::decision::{Action, Decision};
use api_abuse_engine::{RequestRecord, SourceKey};
use hashbrown::HashMap;

/// Denials that are held at once; when there are more, those that expired are dropped.
const DENIALS: usize = 1 << 16;

/// Everybody who is denied, throttled or only reported.
#[derive(Debug)]
pub(crate) struct Denials {
    entries: HashMap<(u64, SourceKey), Denial>,
    limit: usize,
}

/// An entry of the denylist.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Denial {
    pub(crate) until_ms: u64,
    pub(crate) action: Action,
    pub(crate) incident: u64,
}

impl Denials {
    /// Nobody.
    pub(crate) fn new() -> Self {
        Self { entries: HashMap::new(), limit: DENIALS }
    }

    /// Writes a decision down; one that only monitors denies nobody.
    pub(crate) fn add(&mut self, decision: &Decision) {
        if decision.action == Action::Monitor {
            return;
        }
        if self.entries.len() >= self.limit {
            self.entries.retain(|_, denial| denial.until_ms > decision.since_ms);
            self.limit = DENIALS.max(self.entries.len() * 2);
        }
        let until_ms = decision.since_ms.saturating_add(decision.ttl_ms);
        let denial = Denial { until_ms, action: decision.action, incident: decision.incident };
        self.entries.insert((decision.application, decision.key), denial);
    }

    /// The entry that a record hits: that of its session, its client, or its address.
    pub(crate) fn find(&self, record: &RequestRecord<'_>) -> Option<Denial> {
        if self.entries.is_empty() {
            return None;
        }
        let head = &record.head;
        let keys = [
            SourceKey::session(head.session),
            SourceKey::client(head.address, head.fingerprint),
            SourceKey::address(head.address),
        ];
        keys.iter()
            .skip(usize::from(head.session == 0))
            .filter_map(|key| self.entries.get(&(head.application, *key)))
            .find(|denial| denial.until_ms > head.time_ms)
            .copied()
    }
}
