//! The benign population: people, machines that people set up, and the bad days that both have.

mod crowd;
mod interface;
mod machine;
mod visit;

use super::random::Random;
use super::shop::{Kind, Trouble};
use super::source::{Class, Software, Source, ipv4, ipv6};
use super::world::{DAY_MS, HOUR_MS, World};
use crowd::{Crowd, Curve, Rush, What};
use interface::Interface;
use machine::{Machine, Work};
use visit::{Habits, PERSON};

/// What population there is to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setup {
    /// Its size: about as many sources, and machines in proportion.
    pub(super) population: u64,
    /// Only people and this class.
    pub(super) only: Option<Class>,
    /// Flash crowds, outages and broken deploys happen.
    pub(super) events: bool,
    /// A login that is used 200 times a minute, by people of their own.
    pub(super) busy_login: bool,
    /// Who they are.
    pub(super) identity: u64,
    /// What they do.
    pub(super) behaviour: u64,
}

/// The broken deploy: Wednesday, 14:00 to 14:20.
const DEPLOY: (u64, u64) = (2 * DAY_MS + 14 * HOUR_MS, 20 * 60_000);
/// The outage of the API: Tuesday, 12:00 to 12:05.
const OUTAGE: (u64, u64) = (DAY_MS + 12 * HOUR_MS, 5 * 60_000);
/// The sale: Tuesday, 20:00.
const SALE_MS: u64 = DAY_MS + 20 * HOUR_MS;
/// The product of the sale.
const SALE_PRODUCT: u64 = 77;

/// Makes a population, part by part.
struct Builder<'w, 'm> {
    world: &'w mut World<'m>,
    setup: Setup,
    identity: Random,
    behaviour: Random,
    /// Addresses given out.
    addresses: u64,
    start_ms: u64,
}

/// Adds the population to a world. Virtual time begins on a Monday at 0:00.
pub(super) fn populate(world: &mut World<'_>, setup: Setup) {
    if setup.events {
        let trouble =
            |(from_ms, lasts_ms), kind| Trouble { from_ms, until_ms: from_ms + lasts_ms, kind };
        world.shop.troubles.push(trouble(DEPLOY, Kind::BrokenDeploy));
        world.shop.troubles.push(trouble(OUTAGE, Kind::Outage));
    }
    let start_ms = world.now_ms;
    let mut builder = Builder {
        identity: Random::new(setup.identity),
        behaviour: Random::new(setup.behaviour),
        world,
        setup,
        addresses: 0,
        start_ms,
    };
    builder.people();
    builder.shared_addresses();
    builder.interfaces();
    builder.machines();
    builder.bad_days();
    world.shop.owners = world.people;
}

impl Builder<'_, '_> {
    /// This share of the population, but some; none when the class is not wanted.
    fn count(&self, class: Class, one_in: u64, least: u64) -> u64 {
        let wanted = self.setup.only.is_none_or(|only| only == class) || class == Class::People;
        if wanted { (self.setup.population / one_in).max(least) } else { 0 }
    }

    fn address(&mut self) -> [u8; 16] {
        self.addresses += 1;
        ipv4(self.addresses)
    }

    /// A source with an address of its own.
    fn source(&mut self, class: Class, software: Software) -> u32 {
        let mobile = matches!(software, Software::Phone | Software::App);
        let address = if mobile && self.identity.chance(0.3) {
            self.addresses += 1;
            ipv6(self.addresses, &mut self.identity)
        } else {
            self.address()
        };
        let seed = self.world.seed;
        self.world.add(Source::new(class, address, software, seed, &mut self.identity))
    }

    /// Several sources, each with an address of its own; the first and how many.
    fn sources(&mut self, class: Class, software: Software, count: u64) -> (u32, u32) {
        let first = self.world.sources.len() as u32;
        for _ in 0..count {
            self.source(class, software);
        }
        (first, count as u32)
    }

    /// Sources behind one address: `builds` browsers. Their number.
    fn shared(&mut self, class: Class, software: Software, builds: u64) -> u32 {
        let address = self.address();
        let (seed, offset) = (self.world.seed, self.identity.below(20));
        for build in 0..builds {
            let build = offset + build;
            let source = Source::with_build(class, address, software, seed, build, build % 3);
            self.world.add(source);
        }
        builds as u32
    }

    fn crowd(&mut self, sources: (u32, u32), per_day: f64, curve: Curve, what: What) {
        if sources.1 == 0 || per_day <= 0.0 {
            return;
        }
        let random = self.behaviour.fork(u64::from(sources.0));
        let crowd = Crowd { sources, mean_ms: DAY_MS as f64 / per_day, curve, what, random };
        self.world.spawn(self.start_ms + 1, crowd);
    }

    fn people(&mut self) {
        let phone = Habits { pages: 4.0, phone: true, ..PERSON };
        let kinds = [
            (Class::People, Software::Desktop, 45, PERSON),
            (Class::Phones, Software::Phone, 30, phone),
        ];
        for (class, software, percent, habits) in kinds {
            let count = self.count(class, 1, 100) * percent / 100;
            let sources = self.sources(class, software, count);
            self.crowd(sources, count as f64 * 0.9, Curve::Day, What::Visits(habits));
        }
        if self.setup.busy_login {
            let sources = self.sources(Class::People, Software::Desktop, 30_000);
            let habits = Habits { pages: 2.0, login: 1.0, register: 0.0, ..PERSON };
            self.crowd(sources, 288_000.0, Curve::Flat, What::Visits(habits));
        }
    }

    fn shared_addresses(&mut self) {
        let first = self.world.sources.len() as u32;
        let (mut sources, mut people) = (0, 0);
        for _ in 0..self.count(Class::Offices, 200, 4) {
            let builds = self.identity.between(2, 5);
            sources += self.shared(Class::Offices, Software::Desktop, builds);
            people += self.identity.between(5, 41);
        }
        let office = What::Visits(Habits { login: 0.4, ..PERSON });
        self.crowd((first, sources), people as f64 * 2.0, Curve::Office, office);
        for monday in [0, 7, 14] {
            let from_ms = monday * DAY_MS + 9 * HOUR_MS;
            let habits = Habits { login: 1.0, mistype: 0.35, pages: 4.0, ..PERSON };
            self.rush((first, sources), people, from_ms, 30 * 60_000, What::Visits(habits));
        }
        let first = self.world.sources.len() as u32;
        let (mut sources, mut people) = (0, 0);
        for _ in 0..self.count(Class::Carriers, 2000, 2) {
            let builds = self.identity.between(8, 21);
            sources += self.shared(Class::Carriers, Software::Phone, builds);
            people += self.identity.between(150, 600);
        }
        let habits = Habits { pages: 4.0, phone: true, ..PERSON };
        self.crowd((first, sources), people as f64, Curve::Day, What::Visits(habits));
        for class in 0..self.count(Class::Students, 8000, 1) {
            let first = self.world.sources.len() as u32;
            let sources = self.shared(Class::Students, Software::Desktop, 3);
            let habits = Habits { register: 1.0, login: 0.0, pages: 8.0, ..PERSON };
            let from_ms = (class % 5) * DAY_MS + 10 * HOUR_MS;
            self.rush((first, sources), 30, from_ms, 10 * 60_000, What::Visits(habits));
        }
    }

    /// Everybody at once, within `within_ms`; nothing when it is over.
    fn rush(&mut self, sources: (u32, u32), people: u64, from_ms: u64, within_ms: u64, what: What) {
        let random = self.behaviour.fork(from_ms);
        if sources.1 > 0 && from_ms >= self.start_ms {
            self.world.spawn(from_ms, Rush { sources, people, within_ms, what, random });
        }
    }

    fn interfaces(&mut self) {
        let rows = [
            (Class::Apps, Software::App, 7, 1.5, Interface::App),
            (Class::GraphQl, Software::Desktop, 100, 1.0, Interface::GraphQl),
            (Class::SinglePage, Software::Desktop, 50, 1.0, Interface::SinglePage),
            (Class::BasicAuth, Software::Desktop, 400, 1.5, Interface::BasicAuth),
            (Class::Chat, Software::Desktop, 500, 0.8, Interface::Chat),
            (
                Class::WebDav,
                Software::Tool("Mozilla/5.0 (Macintosh) mirall/3.14.0"),
                1000,
                2.0,
                Interface::WebDav,
            ),
        ];
        for (class, software, one_in, per_day, interface) in rows {
            let count = self.count(class, one_in, 3);
            let sources = self.sources(class, software, count);
            self.crowd(sources, count as f64 * per_day, Curve::Day, What::Interface(interface));
        }
    }

    fn machines(&mut self) {
        let monitor = Software::Tool("UptimeProbe/2.1");
        let crawler =
            Software::Tool("Mozilla/5.0 (compatible; GoodBot/2.1; +http://good.example/bot.html)");
        let rows = [
            (Class::Monitors, monitor, 1000, 3, Work::Monitor),
            (Class::Crawlers, crawler, 1000, 3, Work::Crawler),
            (Class::Partners, Software::Tool("partner-sync/1.4"), 40_000, 0, Work::Partner),
            (Class::Partners, Software::Tool("stock-export/3.0"), 8000, 2, Work::Batch),
            (Class::Support, Software::Desktop, 4000, 4, Work::Support),
            (Class::RetryStorm, Software::App, 400, 5, Work::Poller),
            (Class::ExpiredToken, Software::App, 1000, 5, Work::Expired),
            (Class::CacheWarmer, Software::Tool("warmup/1.0"), u64::MAX, 2, Work::CacheWarmer),
            (Class::FeedReaders, Software::Tool("FeedReader/4.2"), 100, 5, Work::FeedReader),
        ];
        for (class, software, one_in, least, work) in rows {
            for _ in 0..self.count(class, one_in, least) {
                let who = self.source(class, software);
                let machine = Machine::new(who, work, self.behaviour.fork(u64::from(who)));
                let delay = self.behaviour.below(60_000);
                self.world.spawn(self.start_ms + delay, machine);
            }
        }
    }

    fn bad_days(&mut self) {
        if !self.setup.events {
            return;
        }
        let count = self.count(Class::FlashCrowd, 50, 20);
        let sources = self.sources(Class::FlashCrowd, Software::Phone, count);
        let habits = Habits { pages: 6.0, product: Some(SALE_PRODUCT), login: 0.3, ..PERSON };
        let people = count + count / 2;
        self.rush(sources, people, SALE_MS, 5 * 60_000, What::Visits(habits));
    }
}
