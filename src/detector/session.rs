//! The lease holder at work: records in, denylist out.

mod crowd;
mod history;
mod keep;
mod operator;

use core::iter;
use std::sync::atomic::Ordering;
use std::time::Duration;

use api_abuse_engine::application::{PUBLISHED_WORDS, Published};
use api_abuse_engine::decision::INCIDENT_WORDS;
use api_abuse_engine::record::RequestRecord;
use api_abuse_engine::{Decision, Engine, Incident, SourceKey};
use api_abuse_shm::{
    AllowlistWriter, Batch, Commands, Consumer, Counters, DenyEntry, DenylistWriter,
    ENFORCEMENT_BOUNDS_US, Inserted, SlotsWriter, Writers, Zone,
};
use zerocopy::{IntoBytes, transmute};

use super::{Detector, exempt, now_ms};
use crate::commands::OPERATOR_THREAT;
use crate::ffi::clock;
use crate::ffi::error_log::Level;
use crate::history::HOUR_MS;
use crate::housekeeping::Message;
use crate::request_state::deny_key;
use crate::state;
use crate::zone::incident_slot;
use crowd::Crowds;
use history::History;
use keep::Unsaved;

/// Records judged in one turn.
const BATCH: usize = 1024;
/// Pause between two turns while records come: long enough to gather a batch, a fraction of the ten
/// milliseconds within which a conviction is to be enforced.
const PACE: Duration = Duration::from_millis(2);
/// How long the detector sleeps at most when nobody rings: its heartbeat.
const IDLE: Duration = Duration::from_millis(100);
/// Gauges and statistics are brought up to date this often while records come.
const PUBLISH_MS: u64 = 50;
/// How often a full denylist is complained of at most.
const COMPLAIN_MS: u64 = 60_000;

/// An engine attached to its tables, and everything that the lease allows to write.
pub(super) struct Session<'a> {
    detector: &'a Detector,
    zone: Zone,
    counters: &'static Counters,
    engine: Engine<'a>,
    consumer: Consumer<'a>,
    denylist: DenylistWriter<'a>,
    allowlist: AllowlistWriter<'a>,
    commands: Commands<'a>,
    incidents: SlotsWriter<'a>,
    applications: SlotsWriter<'a>,
    unsaved: Unsaved,
    batch: Batch,
    decisions: Vec<Decision>,
    crowds: Crowds,
    history: History<'a>,
    /// Applications as this session last published them.
    published: Vec<Option<Published>>,
    published_ms: u64,
    complained_ms: u64,
}

impl<'a> Session<'a> {
    /// Attaches an engine; after a recovery, repairs what the dead holder may have left half done.
    /// The error says why there is no engine, for people.
    pub(super) fn attach(
        detector: &'a Detector,
        writers: Writers<'a>,
        recovered: bool,
    ) -> Result<Self, String> {
        let (engine, _) = Engine::attach(writers.engine, detector.config.clone())
            .ok_or("the zone's memory does not fit the engine")?;
        let zone = detector.shared.zone;
        let mut session = Self {
            detector,
            zone,
            counters: zone.counters(),
            engine,
            consumer: writers.consumer,
            denylist: writers.denylist,
            allowlist: writers.allowlist,
            commands: writers.commands,
            incidents: writers.incidents,
            applications: writers.applications,
            unsaved: Unsaved::new(now_ms()),
            batch: Batch::default(),
            decisions: Vec::new(),
            crowds: Crowds::default(),
            history: History::new(writers.history),
            published: Vec::new(),
            published_ms: 0,
            complained_ms: 0,
        };
        if recovered {
            session.denylist.repair();
            session.allowlist.repair();
        }
        session.load();
        let (history, engine) = (&mut session.history, &session.engine);
        history.begin(engine.applications(), &session.applications.reader());
        if recovered {
            // What the dead holder had not saved yet.
            (session.unsaved.engine, session.unsaved.lists) = (true, true);
            session.engine.repeat_decisions(now_ms(), &mut session.decisions);
            session.enforce(true);
        }
        session.lift_exempt();
        session.publish(now_ms());
        Ok(session)
    }

    /// Works until the thread is to end.
    pub(super) fn run(mut self) {
        while !self.detector.is_over() {
            let turned = self.turn();
            self.serve();
            self.take_strangers();
            self.save(false);
            match turned {
                0 => {
                    self.publish(now_ms());
                    let zone = self.zone;
                    let nothing_left =
                        || zone.lane_totals().queued_words == 0 && !zone.commands().waiting();
                    self.detector.shared.doorbell.sleep(IDLE, nothing_left);
                }
                BATCH.. => {}
                _ => {
                    self.detector.wait(PACE);
                }
            }
        }
        self.publish(now_ms());
        self.save(true);
    }

    /// Judges what lies in the lanes, and returns how many messages that were.
    fn turn(&mut self) -> usize {
        let taken = self.consumer.drain(&mut self.batch, BATCH);
        let now_ms = now_ms();
        self.counters.detector_heartbeat_ms.store(now_ms, Ordering::Relaxed);
        if taken == 0 {
            self.counters.detector_lag_ms.store(0, Ordering::Relaxed);
            return 0;
        }
        let Self { batch, denylist, counters, engine, decisions, crowds, .. } = self;
        let mut last_ms = now_ms;
        let records = batch.messages().filter_map(|message| {
            let record = RequestRecord::decode(message);
            match &record {
                Some(record) => {
                    last_ms = record.head.time_ms;
                    count_hit(denylist, record);
                    crowds.see(record);
                }
                None => {
                    counters.records_invalid.fetch_add(1, Ordering::Relaxed);
                }
            }
            record
        });
        engine.turn(records, now_ms, decisions);
        engine.repeat_unenforced(decisions);
        self.unsaved.engine = true;
        let lag = now_ms.saturating_sub(last_ms);
        self.counters.detector_lag_ms.store(lag, Ordering::Relaxed);
        self.enforce(false);
        if now_ms.saturating_sub(self.published_ms) >= PUBLISH_MS {
            self.publish(now_ms);
        }
        taken
    }

    /// Makes the engine's decisions true for every worker, each with its explanation in place
    /// before anybody can meet it. What is said again is told to people after a takeover alone: in a
    /// denylist that is full sources lose their places and take others all the time.
    fn enforce(&mut self, tells_again: bool) {
        for decision in core::mem::take(&mut self.decisions) {
            if decision.again && self.is_enforced(&decision) {
                continue;
            }
            let incident = self.engine.incident(decision.incident).copied().map(Box::new);
            if let Some(incident) = &incident {
                self.explain(incident);
            }
            let entry = DenyEntry {
                key: deny_key(decision.application, decision.key),
                threat: decision.threat as u8,
                action: decision.action as u8,
                confidence: decision.confidence,
                incident: decision.incident,
                expires_ms: decision.since_ms.saturating_add(decision.ttl_ms),
                ttl_ms: decision.ttl_ms,
                hits: 0,
            };
            let now_us = clock::monotonic_us();
            let inserted = self.denylist.insert(&entry, now_us / 1000);
            if matches!(inserted, Inserted::Full | Inserted::Displaced) {
                self.complain(now_us / 1000);
            }
            if inserted == Inserted::Full {
                continue;
            }
            self.unsaved.lists = true;
            if !decision.again {
                let took_us = now_us.saturating_sub(decision.since_ms.saturating_mul(1000));
                self.counters.enforcement.observe(&ENFORCEMENT_BOUNDS_US, took_us);
            }
            if tells_again || !decision.again {
                self.announce(decision, incident);
            }
        }
    }

    /// Lifts what the configuration no longer lets stand.
    fn lift_exempt(&mut self) {
        let lifted = exempt::lift(&mut self.engine, &mut self.denylist, now_ms());
        if lifted > 0 {
            let text =
                format!("{lifted} denials were lifted, the configuration allows the sources");
            self.detector.say(Level::Notice, text);
        }
    }

    /// Whether the denylist says already what a decision says again, or an operator has taken it over.
    fn is_enforced(&self, decision: &Decision) -> bool {
        let key = deny_key(decision.application, decision.key);
        let entry = self.denylist.reader().find(&key, now_ms());
        let says = |entry: DenyEntry| {
            entry.incident == decision.incident || entry.threat == OPERATOR_THREAT
        };
        entry.is_some_and(says)
    }

    /// Says that a denial found no place; what it would say every time, it says once in a while.
    fn complain(&mut self, now_ms: u64) {
        if self.complained_ms == 0 || now_ms - self.complained_ms >= COMPLAIN_MS {
            self.complained_ms = now_ms;
            let problem = "the denylist is full, not every source that should be is denied: \
                           give api_abuse_zone a larger size";
            self.detector.say(Level::Error, problem.to_owned());
        }
    }

    /// Puts an incident where whoever shows it finds it.
    fn explain(&mut self, incident: &Incident) {
        let words: [u64; INCIDENT_WORDS] = transmute!(*incident);
        let slot = incident_slot(self.incidents.reader().len(), incident.id);
        self.incidents.write(slot, &words);
    }

    fn announce(&self, decision: Decision, incident: Option<Box<Incident>>) {
        let known = self.engine.applications().iter().find(|a| a.key == decision.application);
        let application = known.map_or_else(String::new, |a| a.name().into_owned());
        self.detector.send(Message::Decided { decision, application, incident });
    }

    /// Writes the statistics that changed, and the gauges.
    fn publish(&mut self, now_ms: u64) {
        self.published_ms = now_ms;
        let hour = (state::wall_ms() / HOUR_MS) as u32;
        let applications = self.engine.applications();
        self.published.resize(applications.len(), None);
        for (slot, (now, before)) in iter::zip(applications, &mut self.published).enumerate() {
            let changed = |before: &Published| before.statistics.as_bytes() != now.as_bytes();
            if before.as_ref().is_none_or(changed) {
                self.detector.say_tripped(before.as_ref().map(|before| &before.statistics), now);
                let notes = self.crowds.notes(now.key, self.detector.config.deny_loopback);
                let breaker = self.engine.breaker(slot);
                let now = Published { statistics: *now, breaker, notes };
                let words: [u64; PUBLISHED_WORDS] = transmute!(now);
                self.applications.write(slot, &words);
                *before = Some(now);
                self.history.count(slot, &now.statistics, hour);
            }
        }
        let (live, evicted) = self.engine.sources();
        self.counters.sources_live.store(live, Ordering::Relaxed);
        self.counters.sources_evicted.store(evicted, Ordering::Relaxed);
    }
}

/// Counts a request that met a denial with the entry that it met.
fn count_hit(denylist: &mut DenylistWriter<'_>, record: &RequestRecord<'_>) {
    let head = &record.head;
    if head.incident == 0 {
        return;
    }
    let keys = [
        SourceKey::client(head.address, head.fingerprint),
        SourceKey::address(head.address),
        SourceKey::session(head.session),
    ];
    for key in keys.map(|key| deny_key(head.application, key)) {
        let met = denylist.reader().find(&key, head.time_ms);
        if met.is_some_and(|met| met.incident == head.incident) {
            denylist.add_hits(&key, 1);
            return;
        }
    }
}
