//! Runs: the benign world over days, and each attack against an application that has been learned.
//!
//! An attack does not wait for a day of learning each time: the tables of an engine that learned are
//! copied, and every run goes on from there, as a worker that takes over does.

use api_abuse_engine::fusion::ALL_THREATS;
use api_abuse_engine::learned::Models;
use api_abuse_engine::profiles::Feature;
use serde_json::Value;

use crate::Failure;
use crate::memory::Memory;

use super::attack::Attack;
use super::benign::{Setup, populate};
use super::ledger::{Ledger, Tally};
use super::parallel;
use super::poison::{self, Rung};
use super::random::Random;
use super::scenario::Scenario;
use super::shop::Shop;
use super::source::Class;
use super::world::{DAY_MS, HOUR_MS, Peak, Tune, World};

/// Population that attacks hide among, at most.
const BACKGROUND: u64 = 3000;
/// Days that are learned before an attack.
const LEARNED_DAYS: u64 = 2;
/// Memory of an engine that is attacked: small enough to copy often.
const ATTACKED_BYTES: usize = 24 << 20;
/// The same where the login is busy.
const BUSY_BYTES: usize = 96 << 20;
/// Nobody is denied, so that everybody shows all they do.
const WATCH: Tune =
    Tune { watch: true, detectors: ALL_THREATS, models: Models { scorers: true, forest: true } };
/// Memory of an engine that samples are taken from.
const WATCHED_BYTES: usize = 64 << 20;

/// The longest an attack goes on.
const LONGEST_MS: u64 = 12 * HOUR_MS;
/// The goal for distributed stuffing is within the hour.
const LONGEST_BUSY_MS: u64 = HOUR_MS;

/// What one run of an attack came to.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// Requests, seconds and damage until half of its members (of one: itself) were convicted.
    pub(super) conviction: Option<(f64, f64, f64)>,
    /// Share of its members that were convicted, and of its requests that were denied.
    pub(super) members: f64,
    /// All of its damage until it gave up or ran out of time.
    pub(super) damage: f64,
    /// Benign sources convicted, and caught behind a denied key.
    pub(super) convicted: u64,
    /// See `convicted`.
    pub(super) caught: u64,
    pub(super) digest: u64,
    pub(super) requests: u64,
    /// Convictions of members for another threat than theirs.
    pub(super) wrong: u64,
    /// Evidence of the first conviction of a member.
    pub(super) example: Option<Value>,
    pub(super) ledger: Ledger,
    /// See [`World::take_peaks`].
    pub(super) peaks: Vec<Peak>,
}

/// The benign population over days.
pub(super) fn benign(
    seed: u64,
    population: u64,
    days: u64,
    only: Option<Class>,
    memory: usize,
    tune: Tune,
    mut progress: impl FnMut(&World<'_>, u64),
) -> Result<(Ledger, u64), Failure> {
    let mut memory = Memory::new(memory);
    let mut world = world(&mut memory, seed, population, 0, tune)?;
    let (identity, behaviour) = (seed, seed ^ 0xbe4a_71c5);
    let events = true;
    populate(
        &mut world,
        Setup { population, only, events, busy_login: false, identity, behaviour },
    );
    for hour in 1..=days * 24 {
        world.run(hour * HOUR_MS, |_| false);
        progress(&world, hour);
    }
    let evicted = world.evicted();
    Ok((world.ledger, evicted))
}

/// Watches a benign population; `look` is called after each hour.
pub(super) fn watch_benign(
    seed: u64,
    population: u64,
    days: u64,
    look: impl FnMut(&World<'_>, u64),
) -> Result<(), Failure> {
    benign(seed, population, days, None, WATCHED_BYTES, WATCH, look).map(|_| ())
}

/// How far the evidence against each benign source came on each day, and requests of all.
pub(super) fn benign_peaks(
    seed: u64,
    population: u64,
    days: u64,
) -> Result<(Vec<Peak>, u64), Failure> {
    let mut memory = Memory::new(WATCHED_BYTES);
    let mut world = world(&mut memory, seed, population, 0, WATCH)?;
    let (identity, behaviour) = (seed, seed ^ 0xbe4a_71c5);
    let setup =
        Setup { population, only: None, events: true, busy_login: false, identity, behaviour };
    populate(&mut world, setup);
    world.run(days * DAY_MS, |_| false);
    Ok((world.take_peaks(), world.ledger.requests))
}

fn world(
    memory: &mut Memory,
    seed: u64,
    owners: u64,
    now_ms: u64,
    tune: Tune,
) -> Result<World<'_>, Failure> {
    World::new(memory.bytes(), seed, Shop::new(owners), now_ms, tune)
        .ok_or_else(|| Failure::Usage("--memory: the engine needs more".to_owned()))
}

/// Tables that learned an application, to attack it many times.
pub(super) struct Learned {
    seed: u64,
    population: u64,
    busy_login: bool,
    /// Days that it watched.
    days: u64,
    tune: Tune,
    tables: Vec<u8>,
}

impl Learned {
    /// Lets an engine watch a benign population for two days.
    pub(super) fn new(
        seed: u64,
        population: u64,
        busy_login: bool,
        tune: Tune,
    ) -> Result<Self, Failure> {
        let bytes = if busy_login { BUSY_BYTES } else { ATTACKED_BYTES };
        let mut memory = Memory::new(bytes);
        let population = population.min(BACKGROUND);
        let mut world = world(&mut memory, seed, population, 0, tune)?;
        populate(&mut world, setup(population, busy_login, [seed, seed ^ 1]));
        world.run(LEARNED_DAYS * DAY_MS, |_| false);
        drop(world);
        let tables = memory.bytes().to_vec();
        Ok(Self { seed, population, busy_login, days: LEARNED_DAYS, tune, tables })
    }

    /// The same after the poison of a rung; how many poisoners there were, and how many of them were
    /// convicted.
    pub(super) fn poisoned(&self, rung: Rung) -> Result<(Self, (u64, u64)), Failure> {
        let mut memory = self.scratch();
        memory.bytes().copy_from_slice(&self.tables);
        let mut world =
            world(&mut memory, self.seed, self.population, self.days * DAY_MS, self.tune)?;
        let mut random = Random::new(self.seed ^ (rung.percent << 8) ^ rung.days);
        let behaviour = random.next();
        populate(&mut world, setup(self.population, self.busy_login, [self.seed, behaviour]));
        poison::spawn(&mut world, rung, self.population, &mut random);
        let days = self.days + rung.days + rung.rest;
        world.run(days * DAY_MS, |_| false);
        let poisoners = world.sources.iter().filter(|source| source.class == Class::Attacker);
        let poisoners = (poisoners.count() as u64, world.ledger.counts(Class::Attacker).convicted);
        drop(world);
        let tables = memory.bytes().to_vec();
        let Self { seed, population, busy_login, tune, .. } = *self;
        Ok((Self { seed, population, busy_login, days, tune, tables }, poisoners))
    }

    /// The learned nulls of features on the templates of paths.
    pub(super) fn normal<const N: usize>(
        &self,
        of: &[(Feature, &str); N],
    ) -> Result<[Option<f32>; N], Failure> {
        let mut memory = self.scratch();
        memory.bytes().copy_from_slice(&self.tables);
        let mut world =
            world(&mut memory, self.seed, self.population, self.days * DAY_MS, self.tune)?;
        Ok(of.map(|(feature, path)| world.normal(feature, path)))
    }

    /// The same, and nobody will be denied.
    pub(super) fn watching(seed: u64, population: u64) -> Result<Self, Failure> {
        Self::new(seed, population, false, WATCH)
    }

    /// Whether a scenario runs against these tables.
    pub(super) fn suits(&self, scenario: &Scenario) -> bool {
        scenario.busy_login == self.busy_login
    }

    /// Memory for attacks on these tables.
    pub(super) fn scratch(&self) -> Memory {
        Memory::new(self.tables.len())
    }

    /// Runs an attack once for each of `runs` seeds, on all processors.
    pub(super) fn attacks(
        &self,
        scenario: &Scenario,
        runs: u64,
        seed: impl Fn(u64) -> u64 + Sync,
    ) -> Result<Vec<Run>, Failure> {
        let attack =
            |memory: &mut Memory, run| self.watch_attack(memory, scenario, seed(run), |_| false);
        parallel::map(runs, || self.scratch(), attack).into_iter().collect()
    }

    /// Runs an attack once, in memory of [`Self::scratch`]; `look` is called after everything that anybody does, and says when it has
    /// seen enough.
    pub(super) fn watch_attack(
        &self,
        memory: &mut Memory,
        scenario: &Scenario,
        seed: u64,
        mut look: impl FnMut(&World<'_>) -> bool,
    ) -> Result<Run, Failure> {
        if scenario.cold {
            memory.bytes().fill(0);
        } else {
            memory.bytes().copy_from_slice(&self.tables);
        }
        let mut random = Random::new(seed);
        let start_ms = self.days * DAY_MS + 9 * HOUR_MS + random.below(8 * HOUR_MS);
        let mut world = world(memory, self.seed, self.population, start_ms, self.tune)?;
        populate(&mut world, setup(self.population, self.busy_login, [self.seed, random.next()]));
        // Sessions are on when the attack begins.
        let begin_ms = start_ms + 10 * 60_000;
        world.run(begin_ms, |_| false);
        let attack = Attack::new(&mut world, scenario.plan, random.fork(1));
        world.spawn(begin_ms, attack);
        let longest_ms = if self.busy_login { LONGEST_BUSY_MS } else { LONGEST_MS };
        world.run(begin_ms + longest_ms, |world| look(world) || world.ledger.attack.over);
        let peaks = world.take_peaks();
        Ok(outcome(scenario, world.ledger, peaks))
    }
}

fn setup(population: u64, busy_login: bool, [identity, behaviour]: [u64; 2]) -> Setup {
    Setup { population, only: None, events: false, busy_login, identity, behaviour }
}

/// Reads a run off the ledger.
fn outcome(scenario: &Scenario, ledger: Ledger, peaks: Vec<Peak>) -> Run {
    let tally: &Tally = &ledger.attack;
    let needed = tally.members.div_ceil(2).max(1) as usize;
    let convicted = tally.convictions.len() as f64;
    let conviction = tally.convictions.get(needed - 1).map(|at| {
        let seconds = at.time_ms.saturating_sub(tally.start_ms) as f64 / 1000.0;
        (f64::from(at.requests), seconds, at.damage)
    });
    let of_attack = || ledger.convictions.iter().filter(|it| it.class == Class::Attacker);
    let example = of_attack().next().map(|it| it.evidence.clone());
    let wrong = of_attack().filter(|it| it.threat != scenario.threat).count() as u64;
    Run {
        conviction,
        members: convicted / f64::from(tally.members.max(1)),
        damage: tally.damage,
        convicted: ledger.false_convictions().count() as u64,
        caught: ledger.caught(),
        digest: ledger.digest_value(),
        requests: ledger.requests,
        wrong,
        example,
        ledger,
        peaks,
    }
}
