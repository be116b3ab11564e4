//! Sessions that are no pages: mobile applications, single-page applications, `GraphQL`, `WebDAV`, chat.

use std::fmt::Write as _;

use api_abuse_engine::record::Method;

use crate::simulate::random::Random;
use crate::simulate::shop::{PRODUCTS, Request};
use crate::simulate::world::{Agent, World};

/// Kinds of sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::simulate) enum Interface {
    /// The shop's application on a phone: JSON alone.
    App,
    /// Each view is a burst of fifty requests.
    SinglePage,
    /// Pages behind basic authentication.
    BasicAuth,
    /// One path.
    GraphQl,
    /// A folder that is synchronised: thousands of names.
    WebDav,
    /// An hour of talking.
    Chat,
}

/// One session.
#[derive(Debug)]
pub(in crate::simulate) struct Session {
    who: u32,
    person: u64,
    kind: Interface,
    random: Random,
    n: u64,
    last: u64,
    list: u64,
    path: String,
}

impl Session {
    /// A session of `person` at `who`.
    pub(in crate::simulate) fn new(
        who: u32,
        person: u64,
        kind: Interface,
        mut random: Random,
    ) -> Self {
        let mean = match kind {
            Interface::App => 14.0,
            Interface::SinglePage => 150.0,
            Interface::BasicAuth => 15.0,
            Interface::GraphQl => 40.0,
            Interface::WebDav => 800.0,
            Interface::Chat => 900.0,
        };
        let last = 3 + random.exponential(mean) as u64;
        Self { who, person, kind, random, n: 0, last: last.min(4000), list: 0, path: String::new() }
    }

    fn credential(&self) -> u64 {
        self.person.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1
    }

    fn item(&mut self) -> u64 {
        1 + (self.random.zipf(PRODUCTS) * 7919) % PRODUCTS
    }

    fn app(&mut self, world: &mut World<'_>) -> u64 {
        let credential = self.credential();
        self.path.clear();
        let choice = self.random.unit();
        if self.n == 1 && self.random.chance(0.2) {
            let right = !self.random.chance(0.1);
            let length = 50 + (self.person % 20) as u32;
            let post = Request { right, ..Request::post("/api/login", length) };
            let reply = world.send(self.who, &post);
            self.n -= u64::from(!right && !reply.denied);
            return self.random.lognormal(5000.0, 0.7) as u64;
        }
        let mut query = "";
        match self.n {
            1 => self.path.push_str("/api/sync"),
            2 => self.path.push_str("/api/notifications"),
            _ if choice < 0.5 => {
                let item = self.item();
                let _ = write!(self.path, "/api/items/{item}");
            }
            _ if choice < 0.7 => {
                self.path.push_str("/api/items");
                query = self.random.pick(&["page=1", "page=2", "page=3", "page=4"], "");
            }
            _ if choice < 0.85 => {
                let order = world.shop.order_of(self.person, self.random.below(3));
                let _ = write!(self.path, "/api/orders/{order}");
            }
            _ => {
                self.path.push_str("/api/search");
                query = "q=lamp";
            }
        }
        let aborted = self.random.chance(0.03);
        world.send(self.who, &Request { query, credential, aborted, ..Request::get(&self.path) });
        if aborted {
            return 1500;
        }
        self.random.lognormal(if self.n < 3 { 200.0 } else { 6000.0 }, 0.8) as u64
    }

    /// Lists of things that are loaded one by one, by their numbers, as naive applications do.
    fn single_page(&mut self, world: &mut World<'_>) -> u64 {
        let credential = self.credential();
        if self.n % 50 == 1 {
            self.list = self.random.zipf(PRODUCTS / 50) * 50;
            world.send(self.who, &Request { cookie: true, ..Request::get("/") });
        }
        self.path.clear();
        match self.n % 50 {
            k @ 5..30 => {
                // Half of the applications load lists in order, the others what they recommend.
                let item = if self.person % 2 == 0 { self.list + k } else { self.item() };
                let _ = write!(self.path, "/api/items/{item}");
            }
            k if k % 3 == 0 => self.path.push_str("/api/metrics"),
            k if k % 3 == 1 => self.path.push_str("/api/notifications"),
            _ => self.path.push_str("/api/stock"),
        }
        let request = match self.path.as_str() {
            "/api/metrics" => Request::post(&self.path, 120),
            path => Request::get(path),
        };
        world.send(self.who, &Request { credential, ..request });
        if self.n % 50 == 0 {
            self.random.lognormal(25_000.0, 0.8) as u64
        } else {
            self.random.between(5, 60)
        }
    }

    /// The browser is asked for a password, which is mistyped now and then, and shows it from then on.
    fn basic(&mut self, world: &mut World<'_>) -> u64 {
        let first = self.n == 1;
        let wrong = !first && self.list == 0 && self.random.chance(0.2);
        let credential = match (first, wrong) {
            (true, _) => 0,
            (_, true) => self.random.next() | 1,
            _ => self.credential(),
        };
        self.list = u64::from(!first && !wrong);
        self.path.clear();
        let page = if self.list == 0 { 0 } else { self.random.zipf(40) };
        let _ = write!(self.path, "/private/page{page}");
        let right = self.list != 0;
        world.send(self.who, &Request { credential, right, ..Request::get(&self.path) });
        self.random.lognormal(if right { 12_000.0 } else { 5_000.0 }, 0.7) as u64
    }

    fn graphql(&mut self, world: &mut World<'_>) -> u64 {
        let length = 200 + self.random.below(900) as u32;
        let credential = self.credential();
        world.send(self.who, &Request { credential, ..Request::post("/graphql", length) });
        if self.n % 6 == 0 { self.random.lognormal(9000.0, 0.8) as u64 } else { 80 }
    }

    fn webdav(&mut self, world: &mut World<'_>) -> u64 {
        let credential = self.credential();
        let person = self.person;
        self.path.clear();
        let _ = write!(self.path, "/dav/u{person}/Photos/IMG_{}.jpg", self.random.below(100_000));
        let (method, gap) = match self.n % 10 {
            1..=6 => (Method::WebDav, 60),
            7 | 8 => (Method::Put, 250),
            _ => (Method::Get, 150),
        };
        let length = self.random.below(2_000_000) as u32;
        let request = Request { method, length, credential, ..Request::get(&self.path) };
        world.send(self.who, &request);
        gap + self.random.below(100)
    }

    fn chat(&mut self, world: &mut World<'_>) -> u64 {
        self.path.clear();
        let _ = write!(self.path, "/chat/room{}/messages", self.person % 5);
        let credential = self.credential();
        let request = if self.random.chance(0.25) {
            Request::post(&self.path, 20 + self.random.below(200) as u32)
        } else {
            Request::get(&self.path)
        };
        world.send(self.who, &Request { credential, ..request });
        2000 + self.random.below(1500)
    }
}

impl Agent for Session {
    fn act(&mut self, world: &mut World<'_>) -> Option<u64> {
        if self.n >= self.last {
            return None;
        }
        self.n += 1;
        match self.kind {
            Interface::App => Some(self.app(world)),
            Interface::SinglePage => Some(self.single_page(world)),
            Interface::BasicAuth => Some(self.basic(world)),
            Interface::GraphQl => Some(self.graphql(world)),
            Interface::WebDav => Some(self.webdav(world)),
            Interface::Chat => Some(self.chat(world)),
        }
    }
}
