//! The denylist: listed, added to, changed, lifted.

use std::ops::Range;

use api_abuse_engine::application::OTHERS;
use api_abuse_engine::source::address_of;
use api_abuse_engine::{Action, CidrSet, SourceKey, SourceKind};
use api_abuse_shm::{Command, DenyEntry, DenyKey, Denylist, Outcome};
use serde_json::{Value, json};

use super::list::{List, Table};
use super::members::Members;
use super::problem::Problem;
use super::query::{Query, WantedThreat};
use super::search::Search;
use super::{View, change, nothing, with};
use crate::allowlist::networks;
use crate::ffi::content::Step;
use crate::ffi::request::Request;
use crate::ffi::response::Reply;
use crate::request_state::{deny_key, source_key};
use crate::snapshot::{Snapshot, incident_of};
use crate::text;

/// What the list can be sorted by.
#[derive(Clone, Copy, Debug)]
enum Order {
    Since,
    Expires,
    Hits,
    Confidence,
    Address,
}

/// The entries that are wanted.
struct Wanted {
    view: View,
    list: Denylist<'static>,
    application: Option<u64>,
    threat: WantedThreat,
    kind: Option<SourceKind>,
    search: Search,
    order: Order,
    descending: bool,
}

/// GET
pub(super) fn get(view: View, query: &Query, request: &Request<'_>) -> Result<Step, Problem> {
    let list = view.zone()?.denylist();
    let (order, descending) = order(query)?;
    // A name that is nobody's has no entries: no key is 0.
    let key_of = |name| view.snapshot.application(name).map_or(0, |known| known.statistics.key);
    let wanted = Wanted {
        application: query.get("application").map(key_of),
        threat: query.threat()?,
        kind: kind(query)?,
        search: Search::of(query)?,
        view,
        list,
        order,
        descending,
    };
    Ok(Step::Work(Box::new(List::new(wanted, query.paging(1000)?, request))))
}

fn order(query: &Query) -> Result<(Order, bool), Problem> {
    let sort = query.get("sort").unwrap_or("-since");
    let (name, descending) = sort.strip_prefix('-').map_or((sort, false), |name| (name, true));
    let order = match name {
        "since" => Order::Since,
        "expires" => Order::Expires,
        "hits" => Order::Hits,
        "confidence" => Order::Confidence,
        "address" => Order::Address,
        _ => {
            let detail = "sort is since, expires, hits, confidence or address, with - in front to \
                          begin with the greatest";
            return Err(Problem::new(400, "bad_query", detail).of("sort"));
        }
    };
    Ok((order, descending))
}

fn kind(query: &Query) -> Result<Option<SourceKind>, Problem> {
    let Some(name) = query.get("type") else { return Ok(None) };
    let kinds = [SourceKind::Address, SourceKind::Client, SourceKind::Session];
    let detail = "type is address, client or session";
    let kind = kinds.into_iter().find(|kind| kind.name() == name);
    kind.map(Some).ok_or_else(|| Problem::new(400, "bad_query", detail).of("type"))
}

impl Wanted {
    fn wants(&self, entry: &DenyEntry) -> bool {
        self.application.is_none_or(|key| key == entry.key.application)
            && self.kind.is_none_or(|kind| kind as u8 == entry.key.kind)
            && self.threat.matches(entry.threat)
            && source_key(&entry.key).is_some_and(|key| self.search.finds(key, incident_of(entry)))
    }

    fn rank(&self, entry: &DenyEntry) -> (u64, DenyKey) {
        let value = match self.order {
            // Many begin before the monotonic clock does: after a restart of the machine.
            Order::Since => (entry.expires_ms + (1 << 62)).saturating_sub(entry.ttl_ms),
            Order::Expires => entry.expires_ms,
            Order::Hits => entry.hits.into(),
            Order::Confidence => entry.confidence.into(),
            Order::Address => entry.key.network,
        };
        (if self.descending { !value } else { value }, entry.key)
    }
}

impl Table for Wanted {
    type Rank = (u64, DenyKey);

    fn slots(&self) -> usize {
        self.list.capacity()
    }

    fn find(&self, slots: Range<usize>, found: &mut Vec<Self::Rank>) {
        let entries = self.list.iter_slots(slots, self.view.snapshot.now_ms);
        found.extend(entries.filter(|entry| self.wants(entry)).map(|entry| self.rank(&entry)));
    }

    fn show(&self, (_, key): &Self::Rank) -> Option<Value> {
        let entry = self.list.find(key, self.view.snapshot.now_ms)?;
        Some(denial(&entry, &self.view))
    }
}

/// An entry as JSON.
fn denial(entry: &DenyEntry, view: &View) -> Value {
    let origin = if incident_of(entry).is_some() { "detector" } else { "operator" };
    let more = json!({ "ttl_seconds": entry.ttl_ms as f64 / 1000.0, "origin": origin });
    with(view.snapshot.denial(entry), more)
}

/// POST
pub(super) fn post(view: &View, body: &[u8], request: &Request<'_>) -> Result<Step, Problem> {
    let zone = view.zone()?;
    let members = Members::parse(body, &["application", "address"], &["ttl"])?;
    let network = members.source()?;
    let ttl_ms = members.ttl_ms()?;
    let name = members.application();
    // Nobody's requests are those of all that are one too many.
    let known = view.snapshot.application(name).filter(|known| known.statistics.key != OTHERS);
    let Some(application) = known else {
        let detail = format!("There is no application {name:?}: api/status has their names");
        return Err(Problem::new(422, "unknown_application", detail).of("application"));
    };
    let application = application.statistics.key;
    let source = SourceKey::address(network.first().octets());
    // Of an IPv6 source any address, as an `allow` lifts the denial of all of it.
    let address = address_of(source.network);
    let holds = |allowed: &CidrSet| allowed.touches(address);
    let policy = request.main_conf().policy(application);
    let configured = policy.is_some_and(|policy| holds(&policy.allow));
    let at_run_time = holds(&networks(&zone.allowlist().entries().unwrap_or_default()));
    if configured || at_run_time {
        let remedy = if configured { "the configuration" } else { "the allowlist" };
        let of = if address.to_ipv4_mapped().is_some() { "" } else { ", or an address of it" };
        let source = text::address(source.network);
        let detail = format!("{source} is allowed{of}: remove that from {remedy} first");
        return Err(Problem::new(409, "allowlisted", detail).of("address"));
    }
    let key = deny_key(application, source);
    let command = Command::Deny { key, ttl_ms, action: Action::Deny as u8 };
    change::submit(&command, move |request, answer| {
        let status = if answer.outcome == Outcome::Updated { 200 } else { 201 };
        if status == 201 {
            request.add_header("Location", &format!("denylist/{}", text::denial(&key)));
        }
        show(request, &key, status)
    })
}

/// The entry of a key as it is by now.
fn show(request: &Request<'_>, key: &DenyKey, status: u16) -> Result<Reply, Problem> {
    let view = View { snapshot: Snapshot::take(request.main_conf()) };
    let entry = view.zone()?.denylist().find(key, view.snapshot.now_ms);
    let entry = entry.ok_or_else(Problem::unknown_id)?;
    Ok(super::json(request, status, &denial(&entry, &view)))
}

/// PATCH
pub(super) fn patch(view: &View, id: &str, body: &[u8]) -> Result<Step, Problem> {
    let key = live(view, id)?;
    let ttl_ms = Members::parse(body, &["ttl"], &[])?.ttl_ms()?;
    change::submit(&Command::Extend { key, ttl_ms }, move |request, _| show(request, &key, 200))
}

/// DELETE
pub(super) fn delete(view: &View, id: &str) -> Result<Step, Problem> {
    let key = live(view, id)?;
    change::submit(&Command::Lift(key), |request, _| Ok(nothing(request)))
}

/// The key of a live entry.
fn live(view: &View, id: &str) -> Result<DenyKey, Problem> {
    let list = view.zone()?.denylist();
    let key = text::denial_key(id).filter(|key| list.find(key, view.snapshot.now_ms).is_some());
    key.ok_or_else(Problem::unknown_id)
}
