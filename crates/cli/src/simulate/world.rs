//! Virtual time, the engine, and everybody who makes requests.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use api_abuse_engine::fusion::ALL_THREATS;
use api_abuse_engine::hash::Seed;
use api_abuse_engine::learned::Models;
use api_abuse_engine::policy::{Reaction, ThreatPolicy};
use api_abuse_engine::profiles::Feature;
use api_abuse_engine::record::{Method, RecordHead, Verdict, flags};
use api_abuse_engine::{Config, Decision, Engine, RequestRecord, SourceKey, SourceKind};
use hashbrown::HashMap;

use super::ledger::{Conviction, Ledger};
use super::random::Random;
use super::shop::{Answer, Kind, Request, Shop};
use super::source::{Class, Source};
use crate::denials::Denials;
use crate::report::main_finding;

/// Milliseconds of a day.
pub(super) const DAY_MS: u64 = 86_400_000;
/// Milliseconds of an hour.
pub(super) const HOUR_MS: u64 = 3_600_000;
/// The application's name.
const APPLICATION: &[u8] = b"shop";

/// What is different from the engine's defaults.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tune {
    /// Nobody is denied, so that everybody shows all they do.
    pub(super) watch: bool,
    /// A bit for each detector that works.
    pub(super) detectors: u8,
    pub(super) models: Models,
}

impl Default for Tune {
    fn default() -> Self {
        Self { watch: false, detectors: ALL_THREATS, models: Models::default() }
    }
}

impl Tune {
    fn config(self, seed: Seed) -> Config {
        let mut config = Config::new(seed);
        (config.detectors, config.models) = (self.detectors, self.models);
        if self.watch {
            let threat = ThreatPolicy { reaction: Reaction::Monitor, ..ThreatPolicy::default() };
            config.policy = config.policy.with_all(threat);
        }
        config.with_application(APPLICATION)
    }
}

/// Somebody who does one thing after the other.
pub(super) trait Agent {
    /// Does the next thing; how many milliseconds until the one after, `None` when it is done.
    fn act(&mut self, world: &mut World<'_>) -> Option<u64>;
}

/// What an agent sees of the answer to its request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) denied: bool,
}

/// The highest evidence of a source on a day.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peak {
    pub(super) class: Class,
    who: u32,
    day: u32,
    pub(super) nats: f32,
}

/// The simulation.
pub(super) struct World<'m> {
    engine: Engine<'m>,
    pub(super) seed: Seed,
    application: u64,
    pub(super) shop: Shop,
    pub(super) sources: Vec<Source>,
    /// People so far; orders belong to them.
    pub(super) people: u64,
    pub(super) now_ms: u64,
    pub(super) ledger: Ledger,
    denials: Denials,
    decisions: Vec<Decision>,
    /// Of each source the day that is on, where nobody is denied.
    peaks: HashMap<u32, Peak>,
    /// Days that are over.
    past: Vec<Peak>,
    watch: bool,
    /// Answers vary by chance of their own.
    random: Random,
    agents: Vec<Option<Box<dyn Agent>>>,
    free: Vec<u32>,
    /// Time, order of insertion (for equal times), agent.
    queue: BinaryHeap<Reverse<(u64, u64, u32)>>,
    inserted: u64,
}

/// The engine's seed in a simulation with this one.
pub(super) fn engine_seed(seed: u64) -> Seed {
    Seed([seed ^ 0x51ed_270b, seed.rotate_left(32) ^ 0x9e37_79b9_7f4a_7c15])
}

impl<'m> World<'m> {
    /// A world over the tables in `memory`, which may hold what was learned before. `None` when the
    /// memory is too small.
    pub(super) fn new(
        memory: &'m mut [u8],
        seed: u64,
        shop: Shop,
        now_ms: u64,
        tune: Tune,
    ) -> Option<Self> {
        let engine_seed = engine_seed(seed);
        let (mut engine, _) = Engine::attach(memory, tune.config(engine_seed))?;
        // Convictions of an engine that was here before still hold.
        let (mut denials, mut held) = (Denials::new(), Vec::new());
        engine.repeat_decisions(now_ms, &mut held);
        for decision in &held {
            denials.add(decision);
        }
        Some(Self {
            engine,
            seed: engine_seed,
            application: engine_seed.table(APPLICATION),
            shop,
            sources: Vec::new(),
            people: 0,
            now_ms,
            ledger: Ledger::default(),
            denials,
            decisions: Vec::new(),
            peaks: HashMap::new(),
            past: Vec::new(),
            watch: tune.watch,
            random: Random::new(seed ^ now_ms),
            agents: Vec::new(),
            free: Vec::new(),
            queue: BinaryHeap::new(),
            inserted: 0,
        })
    }

    /// The engine, to look at.
    pub(super) fn engine(&self) -> &Engine<'m> {
        &self.engine
    }

    /// Adds a source and the people behind it; its number.
    pub(super) fn add(&mut self, mut source: Source) -> u32 {
        source.person = self.people;
        self.people += source.class.people();
        self.sources.push(source);
        self.sources.len() as u32 - 1
    }

    /// Lets an agent act from `at_ms` on.
    pub(super) fn spawn(&mut self, at_ms: u64, agent: impl Agent + 'static) {
        let agent: Option<Box<dyn Agent>> = Some(Box::new(agent));
        let slot = if let Some(slot) = self.free.pop() {
            self.agents[slot as usize] = agent;
            slot
        } else {
            self.agents.push(agent);
            self.agents.len() as u32 - 1
        };
        self.schedule(at_ms, slot);
    }

    fn schedule(&mut self, at_ms: u64, slot: u32) {
        self.inserted += 1;
        self.queue.push(Reverse((at_ms, self.inserted, slot)));
    }

    /// Runs until `until_ms`, or until `done` says so after somebody acted.
    pub(super) fn run(&mut self, until_ms: u64, mut done: impl FnMut(&Self) -> bool) {
        while let Some(&Reverse((at_ms, _, slot))) = self.queue.peek() {
            if at_ms >= until_ms {
                break;
            }
            self.queue.pop();
            self.now_ms = self.now_ms.max(at_ms);
            let Some(mut agent) = self.agents[slot as usize].take() else { continue };
            if let Some(after_ms) = agent.act(self) {
                self.agents[slot as usize] = Some(agent);
                self.schedule(self.now_ms + after_ms, slot);
            } else {
                self.free.push(slot);
            }
            if done(self) {
                return;
            }
        }
        self.now_ms = self.now_ms.max(until_ms);
    }

    /// Makes a request: the shop answers, or the denylist does, and the engine judges what NGINX's
    /// log phase would have written.
    pub(super) fn send(&mut self, who: u32, request: &Request<'_>) -> Reply {
        let answer = self.shop.answer(request, self.now_ms, &mut self.random);
        let head = self.head(who, request, &answer);
        let source = &self.sources[who as usize];
        let user_agent = source.user_agent.clone();
        let mut record = RequestRecord {
            head,
            application: b"",
            path: request.path.as_bytes(),
            query: request.query.as_bytes(),
            user_agent: user_agent.as_bytes(),
        };
        let denial = self.denials.find(&record);
        if let Some(denial) = denial {
            record.head.verdict = Verdict::Denied as u8;
            record.head.incident = denial.incident;
            record.head.status = 403;
        }
        let status = record.head.status;
        self.engine.turn([record], self.now_ms, &mut self.decisions);
        self.count(who, denial.is_some());
        if self.watch {
            self.note_peak(who);
        }
        for decision in std::mem::take(&mut self.decisions) {
            self.denials.add(&decision);
            self.book(&decision);
        }
        Reply { status, denied: denial.is_some() }
    }

    /// Notes how far the evidence against a source has come today.
    fn note_peak(&mut self, who: u32) {
        let source = &self.sources[who as usize];
        let key = SourceKey::client(source.address, source.fingerprint);
        let nats = self.engine.evidence(self.application, key).unwrap_or(0.0);
        let day = (self.now_ms / DAY_MS) as u32;
        let fresh = Peak { class: source.class, who, day, nats };
        let peak = self.peaks.entry(who).or_insert(fresh);
        if peak.day != day {
            self.past.push(std::mem::replace(peak, fresh));
        }
        peak.nats = peak.nats.max(nats);
    }

    /// The highest evidence of each source on each day, where nobody is denied.
    pub(super) fn take_peaks(&mut self) -> Vec<Peak> {
        let mut peaks = std::mem::take(&mut self.past);
        peaks.extend(std::mem::take(&mut self.peaks).into_values());
        peaks.sort_by_key(|peak| (peak.day, peak.who));
        peaks
    }

    fn head(&self, who: u32, request: &Request<'_>, answer: &Answer) -> RecordHead {
        let source = &self.sources[who as usize];
        let mut set = answer.flags | source.flags;
        let navigation = request.method == Method::Get && answer.flags & flags::HTML != 0;
        if source.is_browser() && navigation {
            set |= flags::ACCEPTS_HTML;
        }
        let mut referer_hash = 0;
        if !request.referer.is_empty() {
            set |= flags::REFERER | flags::SAME_SITE_REFERER;
            referer_hash = self.seed.table(request.referer.as_bytes());
        }
        let with = |on: bool, flag: u32| if on { flag } else { 0 };
        set |= with(request.credential != 0, flags::AUTHORIZATION);
        set |= with(request.cookie, flags::COOKIE);
        set |= with(request.conditional, flags::CONDITIONAL);
        let wait = if answer.upstream_ms == u32::MAX { 0 } else { answer.upstream_ms };
        RecordHead {
            time_ms: self.now_ms,
            application: self.application,
            address: source.address,
            fingerprint: source.fingerprint,
            credential: request.credential,
            path_hash: self.seed.table(request.path.as_bytes()),
            referer_hash,
            response_bytes: answer.bytes,
            request_bytes: 500 + request.length,
            content_length: request.length,
            duration_ms: wait + 2,
            upstream_ms: answer.upstream_ms,
            flags: set,
            status: answer.status,
            header_count: source.headers,
            method: request.method as u8,
            protocol: if source.is_browser() { 20 } else { 11 },
            verdict: Verdict::Passed as u8,
            blocking: 1,
            ..RecordHead::default()
        }
    }

    fn count(&mut self, who: u32, denied: bool) {
        let today = (self.now_ms / DAY_MS) as u32 + 1;
        let deploy = self.shop.troubled(self.now_ms) == Some(Kind::BrokenDeploy);
        let source = &mut self.sources[who as usize];
        source.requests += 1;
        self.ledger.requests += 1;
        let class = self.ledger.class(source.class);
        class.requests += 1;
        if source.day != today {
            class.sources += u64::from(source.day == 0);
            source.day = today;
            class.source_days += 1;
        }
        if denied && !source.convicted && !source.caught {
            source.caught = true;
            class.caught += 1;
        }
        if deploy && !source.saw_deploy && source.class != Class::Attacker {
            source.saw_deploy = true;
            self.ledger.deploy_sources += 1;
        }
    }

    /// Writes a conviction into the ledger: whose it was, and what it was for.
    fn book(&mut self, decision: &Decision) {
        let Some(incident) = self.engine.incident(decision.incident) else { return };
        let evidence = api_abuse_engine::explain::incident(incident);
        let (requests, since_ms) = (incident.requests, incident.since_ms);
        self.ledger.digest(decision, incident.evidence);
        let (kind, network) = (decision.key.kind, decision.key.network);
        let hit = |source: &Source| {
            let same = source.fingerprint == decision.key.discriminator;
            source.network == network && (kind == SourceKind::Address || same)
        };
        // An address that attackers and others share was denied for the attackers.
        let attack = self.sources.iter().any(|it| it.class == Class::Attacker && hit(it));
        let mut class = None;
        for source in self.sources.iter_mut().filter(|source| hit(source)) {
            let guilty = source.class == Class::Attacker;
            if guilty != attack || (!guilty && source.day == 0) {
                continue;
            }
            class = Some(source.class);
            if !std::mem::replace(&mut source.convicted, true) {
                self.ledger.class(source.class).convicted += 1;
                if guilty {
                    self.ledger.attack.convicted(since_ms);
                }
            }
        }
        let Some(class) = class else { return };
        self.ledger.convictions.push(Conviction {
            class,
            threat: decision.threat,
            kind,
            time_ms: since_ms,
            requests,
            in_deploy: self.shop.troubled(self.now_ms) == Some(Kind::BrokenDeploy),
            finding: main_finding(&evidence),
            evidence,
        });
    }

    /// The learned null of a feature for the template of a path.
    pub(super) fn normal(&mut self, feature: Feature, path: &str) -> Option<f32> {
        self.engine.normal(self.application, feature, path.as_bytes())
    }

    /// Sources given up that still mattered.
    pub(super) fn evicted(&self) -> u64 {
        self.engine.sources().1
    }
}
