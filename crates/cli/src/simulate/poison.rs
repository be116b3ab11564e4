//! Poison: sources that behave, and do more of what an attack is about to do, so that it becomes normal.

use std::fmt::Write as _;

use super::random::Random;
use super::shop::{FIRST_ORDER, ORDERS_EACH, PRODUCTS, Request};
use super::source::{Class, Software, Source, ipv4};
use super::world::{Agent, DAY_MS, World};

/// Addresses of poisoners begin here.
const ADDRESSES: u64 = 120_000_000;
/// Posts and private objects of a poisoner a day: beyond what is normal, short of what convicts.
const A_DAY: u64 = 15;

/// A rung of the ladder.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rung {
    pub(super) name: &'static str,
    /// Poisoners, percent of the population.
    pub(super) percent: u64,
    /// Days of poison.
    pub(super) days: u64,
    /// Days without, after it and before the attack.
    pub(super) rest: u64,
}

/// The ladder: nothing, few for long, many at once, many for long.
pub(super) const LADDER: [Rung; 6] = [
    Rung { name: "none", percent: 0, days: 3, rest: 0 },
    Rung { name: "1 %, three days", percent: 1, days: 3, rest: 0 },
    Rung { name: "5 %, three days", percent: 5, days: 3, rest: 0 },
    Rung { name: "10 %, three days", percent: 10, days: 3, rest: 0 },
    Rung { name: "burst of 40 %, a day", percent: 40, days: 1, rest: 2 },
    Rung { name: "10 % a day, six days", percent: 10, days: 6, rest: 0 },
];

/// One source that behaves: pages, a post, an order, and again.
#[derive(Debug)]
struct Poisoner {
    who: u32,
    n: u64,
    until_ms: u64,
    random: Random,
    path: String,
}

/// Adds the poisoners of a rung to a world; the last day of poison ends at `until_ms`.
pub(super) fn spawn(world: &mut World<'_>, rung: Rung, population: u64, random: &mut Random) {
    let until_ms = world.now_ms + rung.days * DAY_MS;
    for n in 0..population * rung.percent / 100 {
        let (seed, address) = (world.seed, ipv4(ADDRESSES + n));
        let source = Source::new(Class::Attacker, address, Software::Desktop, seed, random);
        let who = world.add(source);
        let random = random.fork(n);
        let agent = Poisoner { who, n: 0, until_ms, random, path: String::new() };
        let delay = agent.random.clone().below(DAY_MS / A_DAY);
        world.spawn(world.now_ms + 1 + delay, agent);
    }
}

impl Agent for Poisoner {
    fn act(&mut self, world: &mut World<'_>) -> Option<u64> {
        if world.now_ms >= self.until_ms {
            return None;
        }
        self.path.clear();
        let product = 1 + self.random.zipf(PRODUCTS);
        let credential = u64::from(self.who).wrapping_mul(0xa076_1d64_78bd_642f) | 1;
        let order = FIRST_ORDER + self.random.below(world.shop.owners * ORDERS_EACH);
        let _ = match self.n % 4 {
            0 => write!(self.path, "/products/{product}.html"),
            1 => write!(self.path, "/category/c{}", self.random.below(24)),
            2 => write!(self.path, "/products/{product}/reviews"),
            _ => write!(self.path, "/api/orders/{order}"),
        };
        let request = match self.n % 4 {
            2 => Request::post(&self.path, 60 + self.random.below(400) as u32),
            3 => Request { credential, ..Request::get(&self.path) },
            _ => Request { referer: "/", cookie: true, ..Request::get(&self.path) },
        };
        world.send(self.who, &request);
        self.n += 1;
        let mean = DAY_MS as f64 / (A_DAY * 4) as f64;
        Some(self.random.exponential(mean) as u64 + 1)
    }
}
