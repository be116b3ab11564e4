//! The one path from records to decisions.

use crate::application::Statistics;
use crate::approach::Keys;
use crate::budget::Budget;
use crate::campaign::Campaigns;
use crate::conviction;
use crate::decision::OPERATOR_INCIDENT;
use crate::detectors::credential_stuffing::Answers;
use crate::detectors::patterns::Patterns;
use crate::detectors::vulnerability_scanning::Contact;
use crate::detectors::{self, Event};
use crate::endpoint::Endpoints;
use crate::facts::Facts;
use crate::hash::combine;
use crate::learned::forest::Forest;
use crate::object::Objects;
use crate::policy::Config;
use crate::profiles::{Count, Habits, Profile};
use crate::record::{RequestRecord, Verdict};
use crate::role::{self, Role};
use crate::sketch::SourceSketch;
use crate::sources::{Singles, Sources};
use crate::tables::{APPLICATIONS, Header, Suspect, Tables};
use crate::target::{Target, Targets};
use crate::{Decision, Incident, SourceKey, SourceKind};

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
    pub(crate) singles: Singles<'m>,
    pub(crate) suspects: &'m mut [Suspect],
    pub(crate) incidents: &'m mut [Incident],
    pub(crate) config: Config,
    pub(crate) served: SourceSketch<'m>,
    pub(crate) missed: SourceSketch<'m>,
    pub(crate) endpoints: Endpoints<'m>,
    pub(crate) logins: &'m mut [Answers],
    pub(crate) objects: Objects<'m>,
    pub(crate) campaigns: Campaigns<'m>,
    pub(crate) budgets: &'m mut [Budget],
    pub(crate) profiles: &'m mut [Profile],
    pub(crate) habits: Habits<'m>,
    /// For each slot of `applications`, which of the configured ones it is.
    pub(crate) configured: [Option<u32>; APPLICATIONS],
    pub(crate) patterns: Patterns,
    /// Convictions that were met and not enforced: see [`Engine::repeat_unenforced`].
    pub(crate) unenforced: Vec<Decision>,
    /// Taken out while a record is judged by it, which is why it may not be there.
    pub(crate) targets: Option<Box<Targets>>,
    pub(crate) forest: Forest<'m>,
    /// The slot of the last record's application.
    pub(crate) recent: usize,
    /// When silent applications were last looked after, monotonic milliseconds.
    pub(crate) recovered_ms: u64,
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
        let forest = Forest::new(tables.forest, tables.trees, tables.samples, config.seed.0[1]);
        let mut engine = Self {
            forest,
            header: tables.header,
            applications: tables.applications,
            sources: Sources::new(tables.buckets, tables.sources, continued),
            singles: Singles::new(tables.singles),
            suspects: tables.suspects,
            incidents: tables.incidents,
            served: SourceSketch::new(served_cells, served_generation),
            missed: SourceSketch::new(missed_cells, missed_generation),
            endpoints: Endpoints::new(tables.nodes),
            logins: tables.logins,
            campaigns: Campaigns::new(tables.campaigns),
            budgets: tables.budgets,
            profiles: tables.profiles,
            habits: Habits::new(tables.habits),
            configured: [None; APPLICATIONS],
            objects: Objects::new(tables.counts, tables.owners, tables.groups),
            patterns,
            unenforced: Vec::new(),
            targets: None,
            recent: 0,
            recovered_ms: 0,
            config,
        };
        for application in engine.config.applications.clone() {
            engine.application(engine.config.seed.table(&application.name), &application.name);
        }
        for slot in 0..APPLICATIONS - 1 {
            engine.configured[slot] = engine.configured(engine.applications[slot].key);
        }
        Some((engine, if continued { Attached::Continued } else { Attached::Fresh }))
    }

    /// Counts one record, and judges it unless it was denied, bypassed or allowed: the module's own
    /// answers never feed the detectors.
    pub(crate) fn judge(
        &mut self,
        record: &RequestRecord<'_>,
        keys: &Keys,
        decisions: &mut Vec<Decision>,
    ) {
        let head = &record.head;
        let now_ms = head.time_ms;
        let application = self.application(head.application, record.application);
        let verdict = Verdict::from_u8(head.verdict).unwrap_or(Verdict::Passed);
        let policy = self.policy(application, head.application);
        let (learning_ms, allowed) = (policy.learning_ms, policy.allow.contains(head.address));
        let refused = policy.deny.contains(head.address);
        self.recover(application, head.application, now_ms);
        if verdict == Verdict::Passed && head.role == Role::Ignore as u8 {
            // Neither judged nor learned: it is counted, and that is all.
            self.applications[application].requests[verdict as usize] += 1;
            return;
        }
        let tripped = self.budget(application).is_tripped();
        let statistics = &mut self.applications[application];
        statistics.requests[verdict as usize] += 1;
        let ready = statistics.arrive(now_ms, learning_ms, tripped);
        if head.address == [0; 16] {
            return;
        }
        if refused && !allowed || head.incident >= OPERATOR_INCIDENT {
            // By the operator, not by what the circuit breaker is there to limit.
            return;
        }
        // An answer that an incident stands behind is the module's own, whatever it was called.
        let own = head.incident != 0;
        if verdict != Verdict::Passed || allowed || own {
            let passed = matches!(verdict, Verdict::Passed | Verdict::Bypassed | Verdict::Allowed);
            let denied = own || !passed;
            self.count_client(head, keys.network, application, denied);
            return;
        }
        self.advance(application, now_ms, ready, tripped);
        let mut slots = self.slots(head, keys);
        let (held, spared) = self.arrive(&slots, now_ms);
        if held || spared || !self.is_counted(&slots, application, now_ms) {
            self.count_client(head, keys.network, application, held || spared);
        }
        if held {
            self.count_convicted(slots.address);
            return;
        }
        self.inherit(&slots);
        let mut targets = self.targets.take().unwrap_or_default();
        let said = targets.said(record, keys, &self.patterns, self.config.seed);
        let role = role::of_record(record, said.role);
        if role == Role::Ignore {
            self.targets = Some(targets);
            return;
        }
        let learned_ms = self.applications[application].first_ms + learning_ms / 2;
        let standing = self.standing(record, &said, &mut slots, (ready, learned_ms));
        let mut facts = self.facts(record, said, keys, &slots, &standing, role);
        self.targets = Some(targets);
        facts.complete();
        facts.null = self.null(&facts, application, now_ms, ready);
        facts.peopled = ready && self.profile_mut(application).is_peopled();
        let count = facts.count(record);
        for at in 0..slots.count.min(3) {
            let (slot, peak) = (slots.there[at], slots.peaks[at]);
            slots.peaks[at] = self.observe(slot, record, &facts, &count, peak);
        }
        self.reconsider(&slots, application, now_ms, standing.teaches);
        self.vouch(&slots);
        self.learn(&slots, record, &facts, application, ready);
        if let Some(decision) = self.convict(&slots, record, &facts, application) {
            self.unlearn(&slots, application, now_ms);
            self.look(&mut slots);
            decisions.push(decision);
        }
        self.weigh(&slots, now_ms);
        self.suspect_session(&slots, head);
    }

    /// Takes the record into the evidence of one source; the highest walk that it has then, nats. Before, it was
    /// `peak`.
    // Inlined, it takes the registers of who judges the record: 240 instructions.
    #[inline(never)]
    fn observe(
        &mut self,
        slot: usize,
        record: &RequestRecord<'_>,
        facts: &Facts,
        count: &Count,
        peak: f32,
    ) -> f32 {
        let source = self.sources.get_mut(slot);
        let gap_ms = record.head.time_ms.saturating_sub(source.last_ms);
        source.last_ms = source.last_ms.max(record.head.time_ms);
        if facts.contact == Contact::Served {
            source.served = source.served.saturating_add(1);
            source.templates |= 1 << (facts.template >> 59);
        }
        source.count_day(record.head.time_ms);
        let client = source.kind == SourceKind::Client as u8;
        let new_objects =
            if client { source.activity.count(count) } else { source.activity.count_part(count) };
        let null = self.habits.null_for(&source.activity, facts.null, facts.habit);
        let users = source.effective_users();
        let veteran = source.first_ms <= facts.learned_ms;
        let event = Event {
            record,
            facts,
            gap_ms,
            users,
            established: source.is_established(),
            veteran,
            new_objects,
            null,
        };
        let judged = self.config.detectors & facts.threats;
        let (evidence, moved) = detectors::observe(judged, &event, source);
        source.posts.other(facts);
        // Where no walk was above zero and none has moved, none is.
        let peak = if peak > 0.0 || moved { source.peak() } else { 0.0 };
        if evidence > 0.0 && peak >= SUSPECT {
            conviction::keep_exemplar(self.suspects, source.key, record, evidence);
        }
        peak
    }

    /// The explanation of a decision, while it is kept.
    pub fn incident(&self, id: u64) -> Option<&Incident> {
        let slot = id as usize % self.incidents.len();
        self.incidents.get(slot).filter(|incident| incident.id == id && id != 0)
    }

    /// All explanations that are kept, in no order.
    pub fn incidents(&self) -> impl Iterator<Item = &Incident> {
        self.incidents.iter().filter(|incident| incident.id != 0)
    }

    /// Statistics of all applications; slots with key 0 are not used.
    pub fn applications(&self) -> &[Statistics] {
        self.applications
    }

    /// Live sources, and sources evicted while they still mattered.
    pub fn sources(&self) -> (u64, u64) {
        (self.sources.live, self.header.evicted)
    }

    /// Path templates that are established, as people write them, with their visits: the most visited
    /// first. What lies on the way to others is one, too.
    pub fn templates(&self) -> Vec<(String, u32)> {
        self.endpoints.established()
    }

    /// The template of a path as people write it, for explanations.
    pub fn template(&mut self, application: u64, path: &[u8]) -> String {
        let mut target = Target::plain(path, self.config.seed);
        let resolved = self.endpoints.resolve(application, (&mut target, path), None, 0);
        self.endpoints.describe(resolved.template)
    }
}

/// Evidence from which on the requests of a source are kept, nats.
const SUSPECT: f32 = 3.0;

/// The key of a source in the table.
pub(crate) fn source_hash(application: u64, key: SourceKey) -> u64 {
    combine(combine(application ^ key.kind as u64, key.network), key.discriminator).max(1)
}
