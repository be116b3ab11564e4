//! Machines that somebody set up, and staff that works like one.

use std::fmt::Write as _;

use crate::simulate::random::Random;
use crate::simulate::shop::{PRODUCTS, Request};
use crate::simulate::world::{Agent, DAY_MS, HOUR_MS, World};

/// What a machine is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::simulate) enum Work {
    /// Asks whether the shop is up, every five to sixty seconds.
    Monitor,
    /// Reads pages; asks for robots.txt first; meets dead links.
    Crawler,
    /// Ten requests a second with a credential, day and night.
    Partner,
    /// The same for half an hour a day.
    Batch,
    /// Staff: opens the orders of one customer after the other, nine to six.
    Support,
    /// An application that polls, and tries again at once when it fails.
    Poller,
    /// An application whose token has expired, and that nobody told.
    Expired,
    /// Fetches every page at night.
    CacheWarmer,
    /// Asks for the feed.
    FeedReader,
}

/// One machine.
#[derive(Debug)]
pub(in crate::simulate) struct Machine {
    who: u32,
    work: Work,
    random: Random,
    /// Where it is.
    n: u64,
    period_ms: u64,
    path: String,
}

impl Machine {
    /// A machine at `who`.
    pub(in crate::simulate) fn new(who: u32, work: Work, mut random: Random) -> Self {
        let period_ms = match work {
            Work::Monitor => random.pick(&[5_000, 10_000, 30_000, 60_000], 60_000),
            Work::Crawler => random.between(800, 8_000),
            Work::Partner | Work::Batch => 100,
            Work::Support => random.between(15_000, 45_000),
            Work::Poller => 60_000,
            Work::Expired => random.pick(&[15_000, 30_000, 60_000], 30_000),
            Work::CacheWarmer => 125,
            Work::FeedReader => random.pick(&[900_000, 1_800_000, 3_600_000], 900_000),
        };
        Self { who, work, random, n: 0, period_ms, path: String::new() }
    }

    fn credential(&self) -> u64 {
        u64::from(self.who).wrapping_mul(0xd1b5_4a32_d192_ed03) | 1
    }

    fn crawl(&mut self, world: &mut World<'_>) -> u64 {
        let period = f64::from(u32::try_from(self.period_ms).unwrap_or(8_000));
        let after = self.random.lognormal(period, 0.4) as u64;
        // Robots.txt first, and again every some hundred pages.
        if self.n % 400 == 1 {
            world.send(self.who, &Request::get("/robots.txt"));
            return after;
        }
        self.path.clear();
        let choice = self.random.unit();
        let mut query = "";
        if choice < 0.08 {
            let _ = write!(self.path, "/old/{}.html", self.random.below(12_000));
        } else if choice < 0.8 {
            let _ = write!(self.path, "/products/{}.html", 1 + self.random.below(PRODUCTS));
        } else {
            let _ = write!(self.path, "/category/c{}", self.random.below(24));
            query = self.random.pick(&["page=2", "page=3", "page=4", ""], "");
        }
        let conditional = self.random.chance(0.3);
        world.send(self.who, &Request { query, conditional, ..Request::get(&self.path) });
        after
    }

    fn partner(&mut self, world: &mut World<'_>) -> u64 {
        self.path.clear();
        let credential = self.credential();
        let _ = write!(self.path, "/api/items/{}", 1 + (self.n * 31) % PRODUCTS);
        world.send(self.who, &Request { credential, ..Request::get(&self.path) });
        let pause = self.work == Work::Batch && self.n % 18_000 == 0;
        if pause { DAY_MS - HOUR_MS / 2 } else { self.period_ms }
    }

    fn support(&mut self, world: &mut World<'_>) -> u64 {
        let hour = world.now_ms % DAY_MS / HOUR_MS;
        if world.now_ms / DAY_MS % 7 >= 5 || !(9..18).contains(&hour) {
            return HOUR_MS / 2 + self.random.below(HOUR_MS / 2);
        }
        self.path.clear();
        let person = self.random.below(world.shop.owners);
        let order = world.shop.order_of(person, self.random.below(3));
        let _ = write!(self.path, "/account/orders/{order}");
        world.send(self.who, &Request { cookie: true, ..Request::get(&self.path) });
        let gap = f64::from(u32::try_from(self.period_ms).unwrap_or(30_000));
        self.random.lognormal(gap, 0.8) as u64
    }

    fn poll(&mut self, world: &mut World<'_>) -> u64 {
        let right = self.work != Work::Expired;
        let credential = self.credential();
        let request = Request { credential, right, ..Request::get("/api/notifications") };
        let reply = world.send(self.who, &request);
        let storm = self.work == Work::Poller && reply.status >= 500;
        if storm { 300 + self.random.below(900) } else { self.period_ms + self.random.below(500) }
    }

    /// The sitemap, unless somebody gave it a list, then all products, in order, at three in the morning.
    fn warm(&mut self, world: &mut World<'_>) -> u64 {
        let at = self.n % (PRODUCTS + 1);
        if at == 0 || self.n == 1 {
            let today = world.now_ms % DAY_MS;
            return (DAY_MS + 3 * HOUR_MS - today) % DAY_MS + 1;
        }
        if self.who % 2 == 0 && (at == 1 || self.n == 2) {
            world.send(self.who, &Request::get("/sitemap.xml"));
        }
        self.path.clear();
        let _ = write!(self.path, "/products/{at}.html");
        world.send(self.who, &Request::get(&self.path));
        self.period_ms
    }
}

impl Agent for Machine {
    fn act(&mut self, world: &mut World<'_>) -> Option<u64> {
        self.n += 1;
        Some(match self.work {
            Work::Monitor => {
                let path = if self.who % 3 == 0 { "/" } else { "/health" };
                world.send(self.who, &Request::get(path));
                self.period_ms
            }
            Work::Crawler => self.crawl(world),
            Work::Partner | Work::Batch => self.partner(world),
            Work::Support => self.support(world),
            Work::Poller | Work::Expired => self.poll(world),
            Work::CacheWarmer => self.warm(world),
            Work::FeedReader => {
                let request =
                    Request { conditional: self.n % 12 != 0, ..Request::get("/feed.xml") };
                world.send(self.who, &request);
                self.period_ms + self.random.below(5_000)
            }
        })
    }
}
