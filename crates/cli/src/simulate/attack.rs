//! Attackers: what each does, and how it tries not to be noticed.

mod moves;

pub(super) use moves::Move;

use super::random::Random;
use super::source::{Class, Software, Source, ipv4};
use super::world::{Agent, World};
use moves::Moves;

/// Addresses of attackers begin here, far from everybody else's.
const ADDRESSES: u64 = 150_000_000;

/// Where an attack comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// One client.
    One,
    /// One address that claims this many browsers in turn.
    Browsers(u32),
    /// This many addresses, all with the same software.
    Addresses(u32),
    /// This many addresses, each with a browser of its own.
    Mixed(u32),
    /// An office's address, with software of its own.
    Office,
}

impl From {
    /// How many client keys that makes.
    pub(super) const fn members(self) -> u32 {
        match self {
            Self::One | Self::Office => 1,
            Self::Browsers(n) | Self::Addresses(n) | Self::Mixed(n) => n,
        }
    }
}

/// When the next request follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// Every so many milliseconds.
    Every(u32),
    /// On the average, as a Poisson process.
    Jitter(u32),
    /// From the first pace to the second, evenly over so many requests.
    Ramp(u32, u32, u32),
}

impl Pace {
    fn gap_ms(self, n: u32, random: &mut Random) -> u64 {
        match self {
            Self::Every(ms) => u64::from(ms),
            Self::Jitter(ms) => random.exponential(f64::from(ms)) as u64,
            Self::Ramp(from, to, over) => {
                let done = f64::from(n.min(over)) / f64::from(over.max(1));
                (f64::from(from) * (f64::from(to) / f64::from(from)).powf(done)) as u64
            }
        }
    }
}

/// One attack: a row of the scenarios.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) what: Move,
    pub(super) from: From,
    pub(super) pace: Pace,
    /// Honest requests before each of the attack's own.
    pub(super) dilution: u32,
    /// It gives up after this many requests.
    pub(super) limit: u32,
}

/// An attack that is on.
#[derive(Debug)]
pub(super) struct Attack {
    plan: Plan,
    /// Sources that have not been denied yet.
    members: Vec<u32>,
    at: usize,
    honest: u32,
    random: Random,
    moves: Moves,
}

impl Attack {
    /// Adds the attacker's sources to the world; the attack starts when it is spawned.
    pub(super) fn new(world: &mut World<'_>, plan: Plan, mut random: Random) -> Self {
        let members = sources(world, plan.from, &mut random);
        world.ledger.attack.members = members.len() as u32;
        let moves = Moves::new(&mut random);
        Self { plan, members, at: 0, honest: plan.dilution, random, moves }
    }
}

/// Makes the sources of an attack.
fn sources(world: &mut World<'_>, from: From, random: &mut Random) -> Vec<u32> {
    let seed = world.seed;
    let offset = ADDRESSES + random.below(1 << 24);
    let tool = Software::Tool("python-requests/2.32.3");
    let mut members = Vec::new();
    for n in 0..from.members() {
        let own = ipv4(offset + u64::from(n));
        let first = ipv4(offset);
        let source = match from {
            From::Addresses(_) => Source::new(Class::Attacker, own, tool, seed, random),
            From::One | From::Mixed(_) => {
                Source::new(Class::Attacker, own, Software::Desktop, seed, random)
            }
            From::Browsers(_) => {
                let (build, shape) = (u64::from(n), random.below(12));
                let software = Software::Desktop;
                Source::with_build(Class::Attacker, first, software, seed, build % 40, shape)
            }
            From::Office => {
                let office = world.sources.iter().find(|it| it.class == Class::Offices);
                let address = office.map_or(first, |office| office.address);
                Source::new(Class::Attacker, address, tool, seed, random)
            }
        };
        members.push(world.add(source));
    }
    members
}

impl Agent for Attack {
    fn act(&mut self, world: &mut World<'_>) -> Option<u64> {
        let tally = &mut world.ledger.attack;
        if self.members.is_empty() || tally.requests >= self.plan.limit {
            tally.over = true;
            return None;
        }
        if tally.requests == 0 {
            tally.start_ms = world.now_ms;
        }
        tally.requests += 1;
        let n = tally.requests;
        self.at = (self.at + 1) % self.members.len();
        let who = self.members[self.at];
        let reply = if self.honest > 0 {
            self.honest -= 1;
            self.moves.honest(world, who, &mut self.random)
        } else {
            self.honest = self.plan.dilution;
            self.moves.act(self.plan.what, world, who, &mut self.random)
        };
        if reply.denied {
            world.ledger.attack.denied += 1;
            self.members.swap_remove(self.at);
        }
        Some(self.plan.pace.gap_ms(n, &mut self.random).max(1))
    }
}
