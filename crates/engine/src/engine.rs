//! The one path from records to decisions.

use crate::application::{State, Statistics};
use crate::campaign::Campaigns;
use crate::conviction::{self, Case};
use crate::detectors::credential_stuffing::Answers;
use crate::detectors::patterns::Patterns;
use crate::detectors::vulnerability_scanning::Contact;
use crate::detectors::{DETECTORS, Event};
use crate::endpoint::Endpoints;
use crate::evidence::{Ratios, Walks, decay};
use crate::facts::Facts;
use crate::fusion::Sensitivity;
use crate::hash::{Seed, combine};
use crate::object::Objects;
use crate::path::Path;
use crate::record::{RequestRecord, Verdict};
use crate::sketch::SourceSketch;
use crate::sources::Sources;
use crate::tables::{APPLICATIONS, Header, Suspect, Tables};
use crate::{Decision, Incident, SourceKey};

/// What an engine is told from outside. Everything else it learns.
#[derive(Clone, Debug)]
pub struct Config {
    /// The zone's seed.
    pub seed: Seed,
    /// Names of the applications that the configuration knows.
    pub applications: Vec<Vec<u8>>,
    /// Whether loopback addresses may be denied.
    pub deny_loopback: bool,
    /// How long an application is learned before what was learned may act.
    pub learning_ms: u64,
}

/// How the tables that [`Engine::attach`] was given looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attached {
    /// Empty, or of another layout: they start anew.
    Fresh,
    /// Those of an engine that stopped; it goes on where that one was.
    Continued,
}

/// The engine over its tables.
#[derive(Debug)]
pub struct Engine<'m> {
    pub(crate) header: &'m mut Header,
    pub(crate) applications: &'m mut [Statistics],
    pub(crate) sources: Sources<'m>,
    pub(crate) suspects: &'m mut [Suspect],
    pub(crate) incidents: &'m mut [Incident],
    pub(crate) config: Config,
    pub(crate) served: SourceSketch<'m>,
    pub(crate) missed: SourceSketch<'m>,
    pub(crate) endpoints: Endpoints<'m>,
    pub(crate) logins: &'m mut [Answers],
    pub(crate) objects: Objects<'m>,
    pub(crate) campaigns: Campaigns<'m>,
    pub(crate) patterns: Patterns,
}

impl<'m> Engine<'m> {
    /// Smallest memory that an engine works with, bytes.
    pub const MIN_BYTES: usize = 1 << 20;

    /// Puts an engine over `memory` (64-byte aligned, at least [`Self::MIN_BYTES`]; `None` if it is
    /// not).
    pub fn attach(memory: &'m mut [u8], config: Config) -> Option<(Self, Attached)> {
        if memory.len() < Self::MIN_BYTES {
            return None;
        }
        let patterns = Patterns::new().ok()?;
        let (tables, continued) = Tables::over(memory, config.seed)?;
        let [served_cells, missed_cells] = tables.cells;
        let [served_generation, missed_generation] = tables.generations;
        let mut engine = Self {
            header: tables.header,
            applications: tables.applications,
            sources: Sources::new(tables.sources),
            suspects: tables.suspects,
            incidents: tables.incidents,
            served: SourceSketch::new(served_cells, served_generation),
            missed: SourceSketch::new(missed_cells, missed_generation),
            endpoints: Endpoints::new(tables.nodes, config.seed),
            logins: tables.logins,
            campaigns: Campaigns::new(tables.campaigns),
            objects: Objects::new(tables.counts, tables.owners, tables.groups),
            patterns,
            config,
        };
        for name in engine.config.applications.clone() {
            engine.application(engine.config.seed.table(&name), &name);
        }
        Some((engine, if continued { Attached::Continued } else { Attached::Fresh }))
    }

    /// Judges a batch of records. Decisions are appended to `decisions`.
    pub fn turn<'r>(
        &mut self,
        records: impl IntoIterator<Item = RequestRecord<'r>>,
        now_ms: u64,
        decisions: &mut Vec<Decision>,
    ) {
        self.served.age(now_ms);
        self.missed.age(now_ms);
        for record in records {
            self.judge(&record, decisions);
        }
        self.header.evicted += core::mem::take(&mut self.sources.evicted);
    }

    /// Counts one record, and judges it unless it was denied, bypassed or allowed: the module's own
    /// answers never feed the detectors.
    fn judge(&mut self, record: &RequestRecord<'_>, decisions: &mut Vec<Decision>) {
        let head = &record.head;
        let now_ms = head.time_ms;
        let application = self.application(head.application, record.application);
        let verdict = Verdict::from_u8(head.verdict).unwrap_or(Verdict::Passed);
        let statistics = &mut self.applications[application];
        statistics.requests[verdict as usize] += 1;
        statistics.last_ms = statistics.last_ms.max(now_ms);
        if statistics.first_ms == 0 {
            statistics.first_ms = now_ms;
            statistics.state = State::Learning as u32;
        }
        let ready = now_ms.saturating_sub(statistics.first_ms) >= self.config.learning_ms;
        if ready && statistics.state == State::Learning as u32 {
            statistics.state = State::Ready as u32;
        }
        if verdict != Verdict::Passed || head.address == [0; 16] {
            return;
        }
        let keys =
            [SourceKey::client(head.address, head.fingerprint), SourceKey::address(head.address)];
        let address_key = source_hash(head.application, keys[1]);
        let slots = [
            self.sources.touch(
                source_hash(head.application, keys[0]),
                keys[0],
                head.application,
                now_ms,
            ),
            self.sources.touch(address_key, keys[1], head.application, now_ms),
        ];
        let held = slots.map(|slot| slot.is_some_and(|slot| self.arrive(slot, now_ms)));
        if held.contains(&true) {
            if let Some(address) = slots[1] {
                let address = self.sources.get_mut(address);
                address.convicted_requests = address.convicted_requests.saturating_add(1);
            }
            return;
        }
        self.inherit(slots);
        let standing = self.standing(record, slots, ready);
        let Some(facts) = self.facts(record, address_key, slots, standing) else { return };
        for slot in slots.into_iter().flatten() {
            self.observe(slot, record, &facts);
        }
        self.vouch(slots);
        if let Some(case) = self.convict(slots, record) {
            let case = Case { application, ..case };
            decisions.push(conviction::decide(self, record, &case));
        }
    }

    /// Brings a source up to the time of a record; true when it is denied.
    fn arrive(&mut self, slot: usize, now_ms: u64) -> bool {
        let source = self.sources.get_mut(slot);
        source.requests = source.requests.saturating_add(1);
        if source.denied_until_ms > now_ms {
            source.last_ms = source.last_ms.max(now_ms);
            return true;
        }
        let elapsed_ms = now_ms.saturating_sub(source.last_ms);
        let mut factor = if elapsed_ms > 60_000 { decay(elapsed_ms) } else { 1.0 };
        if source.denied_until_ms != 0 {
            // Served its time: half of the evidence stays, so that more of the same is soon known.
            source.denied_until_ms = 0;
            source.would_deny = 0;
            factor *= 0.5;
        }
        if factor < 1.0 {
            source.walks.iter_mut().for_each(|walks| walks.fade(factor));
        }
        false
    }

    /// A new client of an address against which evidence stands does not start from zero: changing
    /// the fingerprint does not wash it off. It starts at no more than suspicion.
    fn inherit(&mut self, [client, address]: [Option<usize>; 2]) {
        let (Some(client), Some(address)) = (client, address) else { return };
        if self.sources.get_mut(client).requests != 1
            || self.sources.get_mut(address).convictions == 0
        {
            return;
        }
        let inherited = self.sources.get_mut(address).walks;
        let ceiling = Sensitivity::Normal.threshold() / 2.0;
        let client = self.sources.get_mut(client);
        for (walks, from) in client.walks.iter_mut().zip(inherited) {
            *walks = Walks::at(from.values().map(|walk| walk.min(ceiling)));
        }
    }

    /// Takes the record into the evidence of one source.
    fn observe(&mut self, slot: usize, record: &RequestRecord<'_>, facts: &Facts) {
        let source = self.sources.get_mut(slot);
        let gap_ms = record.head.time_ms.saturating_sub(source.last_ms);
        source.last_ms = source.last_ms.max(record.head.time_ms);
        if facts.contact == Contact::Served {
            source.served = source.served.saturating_add(1);
            source.templates |= 1 << (facts.template >> 59);
        }
        source.count_day(record.head.time_ms);
        let users = source.effective_users();
        let event = Event { record, facts, gap_ms, users, established: source.is_established() };
        let mut evidence = 0.0f32;
        for (threat, observe) in DETECTORS {
            if let Some(ratios) = observe(&event, source) {
                source.walks[threat as usize].step(&ratios);
                evidence = evidence.max(strongest(&ratios));
            }
        }
        source.posts.other(facts);
        if evidence > 0.0 {
            let key = source.key;
            conviction::keep_exemplar(self.suspects, key, record, evidence);
        }
    }

    /// A client that behaves becomes one of the users of its address.
    fn vouch(&mut self, [client, address]: [Option<usize>; 2]) {
        let (Some(client), Some(address)) = (client, address) else { return };
        let client = self.sources.get_mut(client);
        if client.is_vouched() {
            let bit = 1 << (client.key >> 59);
            self.sources.get_mut(address).users |= bit;
        }
    }

    /// The narrowest key whose evidence passes the threshold, if any: the client, or the address
    /// when nobody else who behaves is there. Counts what each sensitivity would have done.
    fn convict(&mut self, slots: [Option<usize>; 2], record: &RequestRecord<'_>) -> Option<Case> {
        let may_deny =
            self.config.deny_loopback || !crate::source::is_loopback(record.head.address);
        let [client, address] = slots.map(|slot| slot.and_then(|slot| self.weigh(slot)));
        let others = slots[1].map_or(0, |slot| self.sources.get_mut(slot).effective_users());
        let case = client.or(address.filter(|_| others == 0))?;
        let source = self.sources.get_mut(case.slot);
        let mut fresh = [false; 3];
        for (sensitivity, fresh) in Sensitivity::ALL.into_iter().zip(&mut fresh) {
            let bit = 1 << sensitivity as u8;
            if case.fusion.evidence >= sensitivity.threshold() && source.would_deny & bit == 0 {
                source.would_deny |= bit;
                *fresh = true;
            }
        }
        let application = self.application(record.head.application, record.application);
        for (count, fresh) in self.applications[application].would_deny.iter_mut().zip(fresh) {
            *count += u64::from(fresh);
        }
        let convicted = case.fusion.evidence >= Sensitivity::Normal.threshold() && may_deny;
        convicted.then_some(Case { others, client: slots[0], address: slots[1], ..case })
    }

    /// The evidence against a source, if it could pass the lowest threshold.
    fn weigh(&mut self, slot: usize) -> Option<Case> {
        let source = self.sources.get_mut(slot);
        let lowest = Sensitivity::Paranoid.threshold();
        if source.peak() < lowest {
            return None;
        }
        let case = Case::new(slot, &source.walks);
        (case.fusion.evidence >= lowest).then_some(case)
    }

    /// The statistics slot of an application, made if it is new. The last slot is everybody's who
    /// came too late.
    fn application(&mut self, key: u64, name: &[u8]) -> usize {
        let last = APPLICATIONS - 1;
        let slot =
            self.applications[..last].iter().position(|slot| slot.key == key || slot.key == 0);
        let (slot, key, name) = match slot {
            Some(slot) => (slot, key, name),
            None => (last, u64::MAX, &b"(other)"[..]),
        };
        let statistics = &mut self.applications[slot];
        if statistics.key == 0 {
            statistics.key = key;
        }
        if statistics.name_len == 0 && !name.is_empty() {
            let len = name.len().min(statistics.name.0.len());
            statistics.name.0[..len].copy_from_slice(&name[..len]);
            statistics.name_len = len as u32;
        }
        slot
    }

    /// The explanation of a decision, while it is kept.
    pub fn incident(&self, id: u64) -> Option<&Incident> {
        let slot = id as usize % self.incidents.len();
        self.incidents.get(slot).filter(|incident| incident.id == id && id != 0)
    }

    /// Says every conviction that still holds again: after a takeover, when the last writer of the
    /// denylist may have died before it wrote.
    pub fn repeat_decisions(&mut self, now_ms: u64, decisions: &mut Vec<Decision>) {
        let held = self.sources.iter().filter(|source| source.denied_until_ms > now_ms);
        decisions.extend(held.filter_map(|source| {
            let incident = self.incident(source.incident);
            conviction::again(source, incident)
        }));
    }

    /// Statistics of all applications; slots with key 0 are not used.
    pub fn applications(&self) -> &[Statistics] {
        self.applications
    }

    /// Live sources, and sources evicted while they still mattered.
    pub fn sources(&self) -> (u64, u64) {
        (self.sources.live, self.header.evicted)
    }

    /// The template of a path as people write it, for explanations.
    pub fn template(&mut self, application: u64, path: &[u8]) -> String {
        let resolved = self.endpoints.resolve(application, &Path::new(path), None, 0);
        self.endpoints.describe(resolved.template)
    }
}

/// The key of a source in the table.
fn source_hash(application: u64, key: SourceKey) -> u64 {
    combine(combine(application ^ key.kind as u64, key.network), key.discriminator).max(1)
}

/// The strongest ratio of an event over the alternatives.
fn strongest(ratios: &Ratios) -> f32 {
    ratios.iter().copied().fold(f32::NEG_INFINITY, f32::max)
}
