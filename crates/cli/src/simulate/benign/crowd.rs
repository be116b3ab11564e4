//! Arrivals: who comes when. Only sessions that are on are agents; a population of a hundred thousand
//! is a range of sources and a rate.

use super::interface::{Interface, Session};
use super::visit::{Habits, Visit};
use crate::simulate::random::Random;
use crate::simulate::world::{Agent, DAY_MS, HOUR_MS, World};

/// When people come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::simulate) enum Curve {
    /// At any time alike.
    Flat,
    /// As people live.
    Day,
    /// Monday to Friday, nine to six.
    Office,
}

impl Curve {
    /// How busy it is, 1 on the average.
    fn at(self, now_ms: u64) -> f64 {
        /// Twelfths of the average for each hour.
        const DAY: [u8; 24] = [
            4, 3, 2, 1, 1, 2, 4, 8, 12, 14, 15, 16, 17, 15, 14, 14, 15, 16, 18, 21, 24, 22, 18, 12,
        ];
        let hour = now_ms % DAY_MS / HOUR_MS;
        match self {
            Self::Flat => 1.0,
            Self::Day => f64::from(DAY[hour as usize % 24]) / 12.0,
            Self::Office if now_ms / DAY_MS % 7 < 5 && (9..18).contains(&hour) => 2.6,
            Self::Office => 0.02,
        }
    }
}

/// What those who come do.
#[derive(Clone, Copy, Debug)]
pub(in crate::simulate) enum What {
    /// Pages.
    Visits(Habits),
    /// Something else.
    Interface(Interface),
}

/// A session of one of the sources, begun now.
fn begin(world: &mut World<'_>, sources: (u32, u32), what: What, random: &mut Random, at_ms: u64) {
    let who = sources.0 + random.below(u64::from(sources.1)) as u32;
    let source = &world.sources[who as usize];
    let person = source.person + random.below(source.class.people());
    let own = random.fork(person);
    match what {
        What::Visits(habits) => world.spawn(at_ms, Visit::new(who, person, habits, own)),
        What::Interface(interface) => {
            world.spawn(at_ms, Session::new(who, person, interface, own));
        }
    }
}

/// Sources that come one after the other, at random.
#[derive(Debug)]
pub(in crate::simulate) struct Crowd {
    /// The first, and how many.
    pub(in crate::simulate) sources: (u32, u32),
    /// Mean milliseconds between two sessions, over a day.
    pub(in crate::simulate) mean_ms: f64,
    pub(in crate::simulate) curve: Curve,
    pub(in crate::simulate) what: What,
    pub(in crate::simulate) random: Random,
}

impl Agent for Crowd {
    /// A Poisson process whose rate changes with the hour, by thinning.
    fn act(&mut self, world: &mut World<'_>) -> Option<u64> {
        const HIGHEST: f64 = 2.6;
        if self.random.chance(self.curve.at(world.now_ms) / HIGHEST) {
            let at_ms = world.now_ms;
            begin(world, self.sources, self.what, &mut self.random, at_ms);
        }
        Some(self.random.exponential(self.mean_ms / HIGHEST).max(1.0) as u64)
    }
}

/// People who all come within minutes.
#[derive(Debug)]
pub(in crate::simulate) struct Rush {
    pub(in crate::simulate) sources: (u32, u32),
    pub(in crate::simulate) people: u64,
    pub(in crate::simulate) within_ms: u64,
    pub(in crate::simulate) what: What,
    pub(in crate::simulate) random: Random,
}

impl Agent for Rush {
    fn act(&mut self, world: &mut World<'_>) -> Option<u64> {
        for _ in 0..self.people {
            let at_ms = world.now_ms + self.random.below(self.within_ms);
            begin(world, self.sources, self.what, &mut self.random, at_ms);
        }
        None
    }
}
