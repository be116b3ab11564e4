//! The allowlist: what operators added at run time, beside what the configuration says.

use api_abuse_engine::Cidr;
use api_abuse_shm::{AllowEntry, Command, Outcome, Zone};
use serde_json::{Value, json};

use super::members::{Members, written};
use super::problem::Problem;
use super::query::Query;
use super::{View, change, nothing};
use crate::allowlist::network;
use crate::conf::MainConf;
use crate::ffi::clock;
use crate::ffi::content::Step;
use crate::ffi::request::Request;
use crate::text;

/// GET
pub(super) fn get(view: &View, query: &Query, request: &Request<'_>) -> Result<Step, Problem> {
    let (search, paging) = (query.search()?, query.paging(1000)?);
    let wanted = |address: &str, comment: &str| {
        let finds = |text: &String| address.contains(text) || comment.to_lowercase().contains(text);
        search.as_ref().is_none_or(finds)
    };
    let mut entries = configured(request.main_conf());
    for entry in operators(&view.zone()?)? {
        entries.extend(network(&entry).map(|cidr| (cidr, shown(&entry, cidr))));
    }
    let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    entries.retain(|(_, entry)| wanted(&text(entry, "address"), &text(entry, "comment")));
    entries.sort_by_key(|(cidr, entry)| (cidr.first(), text(entry, "address"), text(entry, "id")));
    let total = entries.len();
    let page: Vec<_> = entries.into_iter().skip(paging.offset).take(paging.limit).collect();
    let page: Vec<_> = page.into_iter().map(|(_, entry)| entry).collect();
    let list = json!({
        "entries": page, "total": total, "offset": paging.offset, "limit": paging.limit,
    });
    Ok(Step::Reply(super::json(request, 200, &list)))
}

/// What the configuration lets through.
fn configured(conf: &MainConf) -> Vec<(Cidr, Value)> {
    let policies = conf.applications.iter().filter_map(|known| Some((known, known.policy()?)));
    let networks = policies.flat_map(|(known, policy)| {
        let name = String::from_utf8_lossy(&known.name).into_owned();
        policy.allow.networks().map(move |network| (name.clone(), network))
    });
    let entry = |(number, (application, network)): (usize, (String, Cidr))| {
        let entry = json!({
            "id": format!("c-{number}"),
            "address": written(network),
            "comment": "",
            "application": application,
            "since": Value::Null,
            "origin": "configuration",
        });
        (network, entry)
    };
    networks.enumerate().map(entry).collect()
}

/// What operators let through. An entry that is being written makes the list unreadable for a moment.
fn operators(zone: &Zone) -> Result<Vec<AllowEntry>, Problem> {
    let list = zone.allowlist();
    (0..3).find_map(|_| list.entries()).ok_or_else(Problem::unavailable)
}

fn shown(entry: &AllowEntry, network: Cidr) -> Value {
    json!({
        "id": id(&entry.network),
        "address": written(network),
        "comment": String::from_utf8_lossy(&entry.comment),
        "application": Value::Null,
        "since": text::time(entry.since_ms),
        "origin": "operator",
    })
}

/// A network in one word, for URLs.
fn id(network: &[u8]) -> String {
    String::from_utf8_lossy(network).replace('/', "_")
}

/// POST
pub(super) fn post(view: &View, body: &[u8]) -> Result<Step, Problem> {
    let members = Members::parse(body, &["address"], &["comment"])?;
    let network = members.network()?;
    let comment = members.comment()?.as_bytes().to_vec();
    let name = network.to_string().into_bytes();
    let known = operators(&view.zone()?)?.into_iter().find(|known| known.network == name);
    let since_ms = known.map_or_else(clock::cached_wall_ms, |known| known.since_ms);
    let entry = AllowEntry { network: name, comment, since_ms };
    change::submit(&Command::Allow(entry.clone()), move |request, answer| {
        let status = if answer.outcome == Outcome::Updated { 200 } else { 201 };
        if status == 201 {
            request.add_header("Location", &format!("allowlist/{}", id(&entry.network)));
        }
        Ok(super::json(request, status, &shown(&entry, network)))
    })
}

/// DELETE
pub(super) fn delete(view: &View, id: &str, request: &Request<'_>) -> Result<Step, Problem> {
    let found = |(_, entry): &(Cidr, Value)| entry["id"] == id;
    if configured(request.main_conf()).iter().any(found) {
        let detail = "The configuration lets it through: remove its allow there";
        return Err(Problem::new(409, "configured", detail));
    }
    let entries = operators(&view.zone()?)?;
    let known = entries.into_iter().find(|entry| self::id(&entry.network) == id);
    let entry = known.ok_or_else(Problem::unknown_id)?;
    change::submit(&Command::Disallow(entry), |request, _| Ok(nothing(request)))
}
