//! What happened in the last days: counts of each hour, and who, where and what came up most often.

use std::collections::BTreeMap;
use std::io::{self, Write};

use api_abuse_engine::Threat;
use api_abuse_engine::decision::{EXEMPLAR_PATH, INCIDENT_WORDS, Incident};
use api_abuse_engine::detectors::MEASURES;
use api_abuse_engine::source::SourceKind;
use api_abuse_shm::Slots;
use serde_json::{Map, Value, json};
use zerocopy::transmute;

use super::View;
use super::list::TURN_US;
use super::problem::{Problem, page};
use super::query::Query;
use crate::ffi::clock;
use crate::ffi::content::{Job, Step, Turn};
use crate::ffi::request::Request;
use crate::ffi::response::{Body, Reply};
use crate::history::{HOUR_MS, Row, rows};
use crate::text;

/// Days that are kept, and shown.
const DAYS: usize = 30;
/// Entries of each of the three lists.
const TOP: usize = 10;
/// Incidents that are looked at between two looks at the clock.
const PIECE: usize = 16;

/// The work on an answer: incidents first, then the rows.
struct History {
    view: View,
    incidents: Slots<'static>,
    application: Option<u64>,
    from_ms: u64,
    /// The next slot of the incidents to look at.
    slot: usize,
    sources: Top<(u64, [u8; 16])>,
    endpoints: Top<(u64, Vec<u8>)>,
    detectors: Top<usize>,
    rows: Vec<Row>,
    /// The next row to write.
    row: usize,
    head: Value,
    body: Body,
}

/// How often each came up, and in which incident last: number, threat, monotonic milliseconds.
type Top<K> = BTreeMap<K, (u64, (u64, u8, u64))>;

/// GET
pub(super) fn get(view: View, query: &Query, request: &Request<'_>) -> Result<Step, Problem> {
    let days = query.number("days", [1, DAYS])?.unwrap_or(DAYS);
    let zone = view.zone()?;
    let key_of = |name| view.snapshot.application(name).map_or(0, |known| known.statistics.key);
    let application = query.get("application").map(key_of);
    let now_ms = clock::cached_wall_ms();
    let wanted_ms = (now_ms / HOUR_MS + 1).saturating_sub(days as u64 * 24) * HOUR_MS;
    let mut rows = rows(&zone.history());
    // What is older gave way when there was no room left.
    let full = rows.iter().all(|row| row.hour != 0);
    let oldest = rows.iter().map(|row| row.hour).min().filter(|_| full);
    let from_ms = wanted_ms.max(oldest.map_or(0, |hour| u64::from(hour) * HOUR_MS));
    rows.retain(|row| {
        row.hour != 0
            && u64::from(row.hour) * HOUR_MS >= from_ms
            && application.is_none_or(|key| key == row.application)
    });
    rows.sort_by_cached_key(|row| (row.hour, view.snapshot.name(row.application).to_owned()));
    let head = json!({ "days": days, "from": text::time(from_ms), "to": text::time(now_ms) });
    Ok(Step::Work(Box::new(History {
        view,
        incidents: zone.incidents(),
        application,
        from_ms,
        slot: 0,
        sources: Top::new(),
        endpoints: Top::new(),
        detectors: Top::new(),
        rows,
        row: 0,
        head,
        body: Body::new(request),
    })))
}

impl History {
    /// Does a little; whether all is done.
    fn step(&mut self) -> io::Result<bool> {
        if self.slot < self.incidents.len() {
            let end = (self.slot + PIECE).min(self.incidents.len());
            for slot in self.slot..end {
                self.take(slot);
            }
            self.slot = end;
            return Ok(false);
        }
        if let Some(row) = self.rows.get(self.row) {
            let comma = if self.row == 0 { "{\"hours\":[" } else { "," };
            let value = shown(row, &self.view);
            self.row += 1;
            write!(self.body, "{comma}{value}")?;
            return Ok(false);
        }
        if self.rows.is_empty() {
            self.body.write_all(b"{\"hours\":[")?;
        }
        self.head["top"] = self.tops();
        // The members of the head go on where the rows end.
        let head = self.head.to_string();
        write!(self.body, "],{}", head.trim_start_matches('{'))?;
        Ok(true)
    }

    /// Takes in an incident.
    fn take(&mut self, slot: usize) {
        let mut words = [0; INCIDENT_WORDS];
        if !self.incidents.read(slot, &mut words) {
            return;
        }
        let incident: Incident = transmute!(words);
        let wanted = self.application.is_none_or(|key| key == incident.application)
            && self.view.snapshot.wall_ms(incident.since_ms) >= self.from_ms;
        if incident.id == 0 || !wanted {
            return;
        }
        let last = (incident.id, incident.threat, incident.since_ms);
        if incident.kind != SourceKind::Session as u8 {
            count(&mut self.sources, (incident.application, incident.address), last);
        }
        // Of equals the last one is the greatest to an iterator, and the first one says most: so backwards.
        let heaviest = |a: &f32, b: &f32| a.total_cmp(b);
        let exemplars = incident.exemplars.iter().filter(|kept| kept.evidence > 0.0);
        if let Some(kept) = exemplars.rev().max_by(|a, b| heaviest(&a.evidence, &b.evidence)) {
            let path = &kept.path[..usize::from(kept.path_len).min(EXEMPLAR_PATH)];
            let path = path.split(|byte| *byte == b'?').next().unwrap_or_default();
            count(&mut self.endpoints, (incident.application, path.to_vec()), last);
        }
        // Of the detectors: models corroborate.
        let findings = incident.findings.iter().filter_map(|it| Some((it.index()?, it.evidence)));
        let findings = findings.filter(|(measure, _)| *measure < MEASURES.len());
        if let Some((measure, _)) = findings.rev().max_by(|a, b| heaviest(&a.1, &b.1)) {
            count(&mut self.detectors, measure, last);
        }
    }

    fn tops(&self) -> Value {
        let snapshot = &self.view.snapshot;
        let sources = top(&self.sources).map(|((application, address), (count, last))| {
            let (_, threat, since_ms) = last;
            json!({
                "address": text::full_address(*address),
                "application": snapshot.name(*application),
                "threat": Threat::from_u8(*threat).map(Threat::slug),
                "convictions": count,
                "last": self.view.time(*since_ms),
            })
        });
        let endpoints = top(&self.endpoints).map(|((application, path), (count, _))| {
            json!({
                "endpoint": String::from_utf8_lossy(path),
                "application": snapshot.name(*application),
                "convictions": count,
            })
        });
        let detectors = top(&self.detectors).filter_map(|(measure, (count, _))| {
            let measure = MEASURES.get(*measure)?;
            Some(json!({
                "measure": measure.name,
                "threat": measure.threat.map(Threat::slug),
                "convictions": count,
            }))
        });
        json!({
            "sources": sources.collect::<Value>(),
            "endpoints": endpoints.collect::<Value>(),
            "detectors": detectors.collect::<Value>(),
        })
    }
}

fn count<K: Ord>(top: &mut Top<K>, key: K, last: (u64, u8, u64)) {
    let (count, latest) = top.entry(key).or_insert((0, last));
    *count += 1;
    *latest = last.max(*latest);
}

/// Those that came up most often; of equals, the latest first.
fn top<K>(all: &Top<K>) -> impl Iterator<Item = (&K, &(u64, (u64, u8, u64)))> {
    let mut sorted: Vec<_> = all.iter().collect();
    sorted.sort_unstable_by_key(|(_, value)| std::cmp::Reverse(**value));
    sorted.into_iter().take(TOP)
}

fn shown(row: &Row, view: &View) -> Value {
    let threats: Map<_, _> = Threat::ALL
        .into_iter()
        .zip(row.threats)
        .filter(|(_, count)| *count > 0)
        .map(|(threat, count)| (threat.slug().to_owned(), count.into()))
        .collect();
    json!({
        "hour": text::time(u64::from(row.hour) * HOUR_MS),
        "application": view.snapshot.name(row.application),
        "requests": row.requests,
        "denied": row.denied,
        "throttled": row.throttled,
        "threats": threats,
    })
}

impl Job for History {
    fn turn(&mut self, request: &Request<'_>) -> Turn {
        let end_us = clock::monotonic_us() + TURN_US;
        loop {
            match self.step() {
                Ok(false) if clock::monotonic_us() < end_us => {}
                Ok(false) => return Turn::Again(1),
                Ok(true) => {
                    let body = std::mem::replace(&mut self.body, Body::new(request));
                    return Turn::Reply(page(200, "application/json", body));
                }
                Err(_) => return Turn::Reply(Reply::Status(500)),
            }
        }
    }
}
