//! Incidents: convictions and their evidence.

use std::ops::Range;

use api_abuse_engine::decision::{GRACE, INCIDENT_WORDS, Incident, TRIPPED};
use api_abuse_engine::source::{SourceKey, SourceKind};
use api_abuse_engine::{Action, explain};
use api_abuse_shm::{DenyEntry, Slots};
use serde_json::{Value, json};
use zerocopy::transmute;

use super::View;
use super::list::{List, Table};
use super::problem::Problem;
use super::query::{Query, WantedThreat};
use super::search::Search;
use crate::ffi::content::Step;
use crate::ffi::request::Request;
use crate::request_state::deny_key;
use crate::text;

/// Words in front of the findings: all that the list shows.
const HEAD_WORDS: usize = std::mem::offset_of!(Incident, findings) / 8;
/// Other incidents of the same address that are shown.
const NEIGHBOURS: usize = 16;

/// The incidents that are wanted.
struct Wanted {
    view: View,
    slots: Slots<'static>,
    application: Option<u64>,
    threat: WantedThreat,
    search: Search,
}

/// GET
pub(super) fn list(view: View, query: &Query, request: &Request<'_>) -> Result<Step, Problem> {
    let slots = view.zone()?.incidents();
    let key_of = |name| view.snapshot.application(name).map_or(0, |known| known.statistics.key);
    let wanted = Wanted {
        application: query.get("application").map(key_of),
        threat: query.threat()?,
        search: Search::of(query)?,
        view,
        slots,
    };
    Ok(Step::Work(Box::new(List::new(wanted, query.paging(100)?, request))))
}

impl Table for Wanted {
    /// Newest first, and the slot.
    type Rank = (u64, usize);

    fn slots(&self) -> usize {
        self.slots.len()
    }

    fn find(&self, slots: Range<usize>, found: &mut Vec<Self::Rank>) {
        let wanted = slots.filter_map(|slot| {
            let (incident, key) = head(&self.slots, slot)?;
            let wants = self.application.is_none_or(|key| key == incident.application)
                && self.threat.matches(incident.threat)
                && self.search.finds(key, Some(incident.id));
            wants.then_some((!incident.id, slot))
        });
        found.extend(wanted);
    }

    fn show(&self, (rank, slot): &Self::Rank) -> Option<Value> {
        let (incident, key) = head(&self.slots, *slot)?;
        (incident.id == !rank).then(|| shown(&incident, key, &self.view))
    }
}

/// What stands in front of the findings of an incident, and who it is about.
fn head(slots: &Slots<'_>, slot: usize) -> Option<(Incident, SourceKey)> {
    let mut words = [0; INCIDENT_WORDS];
    if !slots.read(slot, &mut words[..HEAD_WORDS]) {
        return None;
    }
    let incident: Incident = transmute!(words);
    Some((incident, incident.key()?)).filter(|_| incident.id != 0)
}

/// The live entry that an incident made.
fn entry(incident: &Incident, key: SourceKey, view: &View) -> Option<DenyEntry> {
    let list = view.zone().ok()?.denylist();
    let entry = list.find(&deny_key(incident.application, key), view.snapshot.now_ms)?;
    (entry.incident == incident.id).then_some(entry)
}

/// An incident as the list shows it.
fn shown(incident: &Incident, key: SourceKey, view: &View) -> Value {
    let entry = entry(incident, key, view);
    let expires_ms = incident.since_ms.saturating_add(incident.ttl_ms);
    let expires_ms = entry.map_or(expires_ms, |entry| entry.expires_ms);
    json!({
        "id": text::incident(incident.id),
        "application": view.snapshot.name(incident.application),
        "key": text::key(key),
        "threat": incident.threat().map(api_abuse_engine::Threat::slug),
        "action": Action::from_u8(incident.action).map(Action::name),
        "confidence": incident.confidence,
        "since": view.time(incident.since_ms),
        "expires": view.time(expires_ms),
        "denylist": entry.map(|entry| text::denial(&entry.key)),
        "tripped": incident.flags & TRIPPED != 0,
        "grace": incident.flags & GRACE != 0,
        "requests": incident.requests,
    })
}

/// GET of one
pub(super) fn get(view: &View, id: &str, request: &Request<'_>) -> Result<Step, Problem> {
    let slots = view.zone()?.incidents();
    let is_hexadecimal = id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = u64::from_str_radix(id, 16).ok().filter(|number| is_hexadecimal && *number != 0);
    let number = number.ok_or_else(Problem::unknown_id)?;
    let mut words = [0; INCIDENT_WORDS];
    let incident: Option<Incident> = slots
        .read(crate::zone::incident_slot(slots.len(), number), &mut words)
        .then(|| transmute!(words));
    let incident = incident.filter(|incident| incident.id == number);
    let incident = incident.ok_or_else(Problem::unknown_id)?;
    let key = incident.key().ok_or_else(Problem::unknown_id)?;
    let mut evidence = explain::incident(&incident);
    evidence["exemplars"] = exemplars(&incident, view);
    let address = text::full_address(incident.address);
    let more = json!({
        "address": (key.kind != SourceKind::Session).then_some(address),
        "first": view.time(incident.first_ms),
        "hits": entry(&incident, key, view).map_or(0, |entry| entry.hits),
        "evidence": evidence,
        "neighbours": neighbours(&incident, key, &slots, view),
    });
    Ok(Step::Reply(super::json(request, 200, &super::with(shown(&incident, key, view), more))))
}

/// The requests that speak against the source, in order of time.
fn exemplars(incident: &Incident, view: &View) -> Value {
    let mut kept: Vec<_> = incident.exemplars.iter().filter(|kept| kept.evidence > 0.0).collect();
    kept.sort_by_key(|kept| kept.time_ms);
    let shown = kept.into_iter().map(|kept| {
        let mut value = explain::exemplar(kept);
        value["time"] = view.time(kept.time_ms).into();
        value
    });
    shown.collect()
}

/// Others that were convicted at the same address, newest first.
fn neighbours(incident: &Incident, key: SourceKey, slots: &Slots<'_>, view: &View) -> Value {
    if key.kind == SourceKind::Session {
        return json!([]);
    }
    let others = (0..slots.len()).filter_map(|slot| head(slots, slot));
    let mut near: Vec<_> = others
        .filter(|(other, other_key)| {
            other.id != incident.id
                && other_key.kind != SourceKind::Session
                && other_key.network == key.network
        })
        .collect();
    near.sort_unstable_by_key(|(other, _)| !other.id);
    let shown = near.into_iter().take(NEIGHBOURS).map(|(other, key)| {
        json!({
            "id": text::incident(other.id),
            "key": text::key(key),
            "threat": other.threat().map(api_abuse_engine::Threat::slug),
            "action": Action::from_u8(other.action).map(Action::name),
            "since": view.time(other.since_ms),
        })
    });
    shown.collect()
}
