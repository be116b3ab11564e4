//! One request of each attack, and what it gains.

use std::fmt::Write as _;

use crate::simulate::random::Random;
use crate::simulate::shop::{FIRST_ORDER, ORDERS_EACH, PRODUCTS, Request};
use crate::simulate::world::{Reply, World};

/// What an attacker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::simulate) enum Move {
    /// Guesses names that the shop does not have.
    Names,
    /// Sends payloads to pages that exist.
    Payloads,
    /// Tries credentials at a JSON login, at a form that answers 200, with basic authentication.
    JsonLogin,
    /// See `JsonLogin`.
    FormLogin,
    /// See `JsonLogin`.
    BasicLogin,
    /// Creates accounts: posts alone.
    Register,
    /// Asks for the form first, and sends it a second later.
    RegisterForm,
    /// Posts content.
    Comment,
    /// Watches the stock and reserves.
    Reserve,
    /// Takes API objects in order, in random order, or as popular as people's.
    ItemsInOrder,
    /// See `ItemsInOrder`.
    ItemsAtRandom,
    /// See `ItemsInOrder`.
    ItemsByPopularity,
    /// Takes product pages at random, nothing else.
    Pages,
    /// Opens other people's orders by number, at random, or from a list of those that exist.
    OrdersInOrder,
    /// See `OrdersInOrder`.
    OrdersAtRandom,
    /// See `OrdersInOrder`.
    OrdersHarvested,
    /// Opens orders of others that the application refuses.
    OrdersRefused,
    /// Asks for a cheap page again and again.
    Flood,
    /// Asks for what is expensive.
    Heavy,
}

impl Move {
    /// What the damage counts.
    pub(in crate::simulate) const fn damage(self) -> &'static str {
        match self {
            Self::Names => "names tried",
            Self::Payloads => "payloads sent",
            Self::JsonLogin | Self::FormLogin | Self::BasicLogin => "accounts tried",
            Self::Register | Self::RegisterForm => "accounts created",
            Self::Comment => "posts",
            Self::Reserve => "reservations",
            Self::ItemsInOrder | Self::ItemsAtRandom | Self::ItemsByPopularity => "objects read",
            Self::Pages => "pages read",
            Self::OrdersInOrder | Self::OrdersAtRandom | Self::OrdersHarvested => "orders read",
            Self::OrdersRefused => "orders tried",
            Self::Flood => "requests",
            Self::Heavy => "upstream seconds",
        }
    }
}

/// Where an attacker is with what it does.
#[derive(Debug)]
pub(super) struct Moves {
    n: u64,
    start: u64,
    credential: u64,
    path: String,
    query: String,
}

impl Moves {
    /// An attacker at its start.
    pub(super) fn new(random: &mut Random) -> Self {
        let (start, credential) = (random.below(1_000_000), random.next() | 1);
        Self { n: 0, start, credential, path: String::new(), query: String::new() }
    }

    /// A request as people make them, to hide among: pages, mostly popular ones.
    pub(super) fn honest(&mut self, world: &mut World<'_>, who: u32, random: &mut Random) -> Reply {
        self.path.clear();
        let product = 1 + (random.zipf(PRODUCTS) * 7919) % PRODUCTS;
        let _ = match random.below(5) {
            0 => write!(self.path, "/"),
            1 => write!(self.path, "/category/c{}", random.zipf(24)),
            2 => write!(self.path, "/img/products/{product}.jpg"),
            _ => write!(self.path, "/products/{product}.html"),
        };
        world.send(who, &Request { referer: "/", ..Request::get(&self.path) })
    }

    /// The attack's own next request.
    pub(super) fn act(
        &mut self,
        what: Move,
        world: &mut World<'_>,
        who: u32,
        random: &mut Random,
    ) -> Reply {
        self.n += 1;
        self.path.clear();
        self.query.clear();
        let (reply, gain) = match what {
            Move::Names | Move::Payloads => (self.probe(what, world, who, random), 1.0),
            Move::JsonLogin | Move::FormLogin | Move::BasicLogin => {
                (Self::login(what, world, who, random), 1.0)
            }
            Move::Register | Move::RegisterForm | Move::Comment | Move::Reserve => {
                self.post(what, world, who, random)
            }
            Move::Flood => (world.send(who, &Request::get("/search")), 1.0),
            Move::Heavy => (world.send(who, &Request::get("/api/report")), 0.26),
            _ => self.collect(what, world, who, random),
        };
        if !reply.denied {
            world.ledger.attack.damage += gain;
        }
        reply
    }

    fn probe(&mut self, what: Move, world: &mut World<'_>, who: u32, random: &mut Random) -> Reply {
        const PAYLOADS: [&str; 5] = [
            "q=%27%20or%201%3D1--",
            "q=%3Cscript%3Ealert(1)%3C%2Fscript%3E",
            "q=..%2F..%2F..%2Fetc%2Fpasswd",
            "q=1+union+select+null,null",
            "q=%24%7Bjndi%3Aldap%3A%2F%2Fx%7D",
        ];
        const KNOWN: [&str; 6] =
            ["/.env", "/wp-login.php", "/.git/config", "/phpmyadmin/", "/backup.zip", "/admin.php"];
        const WORDS: [&str; 8] =
            ["admin", "old", "test", "dev", "backup", "data", "config", "private"];
        if what == Move::Payloads {
            self.path.push_str("/search");
            self.query.push_str(random.pick(&PAYLOADS, ""));
        } else if random.chance(0.25) {
            self.path.push_str(random.pick(&KNOWN, ""));
        } else {
            let (a, b) = (random.pick(&WORDS, ""), random.pick(&WORDS, ""));
            let _ = write!(self.path, "/{a}/{b}{}", random.below(500));
        }
        world.send(who, &Request { query: &self.query, ..Request::get(&self.path) })
    }

    /// One of a list of credentials; one in fifty fits.
    fn login(what: Move, world: &mut World<'_>, who: u32, random: &mut Random) -> Reply {
        let right = random.chance(0.02);
        let length = 24 + random.below(24) as u32;
        let request = match what {
            Move::BasicLogin => {
                Request { credential: random.next() | 1, ..Request::get("/private/area") }
            }
            Move::FormLogin => Request::post("/login", length),
            _ => Request::post("/api/login", length),
        };
        world.send(who, &Request { right, ..request })
    }

    fn post(
        &mut self,
        what: Move,
        world: &mut World<'_>,
        who: u32,
        random: &mut Random,
    ) -> (Reply, f64) {
        let length = 60 + random.below(9) as u32;
        match what {
            // The form, then what was in it.
            Move::RegisterForm if self.n % 2 == 1 => {
                (world.send(who, &Request::get("/register")), 0.0)
            }
            Move::RegisterForm => {
                let referer = "/register";
                (world.send(who, &Request { referer, ..Request::post("/register", length) }), 1.0)
            }
            Move::Register => (world.send(who, &Request::post("/api/register", length)), 1.0),
            Move::Comment => {
                let product = 1 + random.below(PRODUCTS);
                let _ = write!(self.path, "/products/{product}/reviews");
                (world.send(who, &Request::post(&self.path, 300 + length)), 1.0)
            }
            _ if self.n % 3 == 0 => {
                let right = random.chance(0.3);
                (world.send(who, &Request { right, ..Request::post("/api/cart", 24) }), 1.0)
            }
            _ => (world.send(who, &Request::get("/api/items/77")), 0.0),
        }
    }

    fn collect(
        &mut self,
        what: Move,
        world: &mut World<'_>,
        who: u32,
        random: &mut Random,
    ) -> (Reply, f64) {
        let all = world.shop.owners * ORDERS_EACH;
        let (n, credential) = (self.start + self.n, self.credential);
        let in_order = FIRST_ORDER + n % all;
        let at_random = FIRST_ORDER + random.below(all);
        // Numbers that do not exist are tried too, unless they were harvested.
        let guessed = FIRST_ORDER + random.below(all + all / 3);
        let right = what != Move::OrdersRefused;
        let _ = match what {
            Move::ItemsInOrder => write!(self.path, "/api/items/{}", 1 + n % PRODUCTS),
            Move::ItemsAtRandom => {
                write!(self.path, "/api/items/{}", 1 + random.below(PRODUCTS))
            }
            Move::ItemsByPopularity => {
                let product = 1 + (random.zipf(PRODUCTS) * 7919) % PRODUCTS;
                write!(self.path, "/api/items/{product}")
            }
            Move::Pages => write!(self.path, "/products/{}.html", 1 + random.below(PRODUCTS)),
            Move::OrdersInOrder | Move::OrdersRefused => {
                write!(self.path, "/api/orders/{in_order}")
            }
            Move::OrdersAtRandom => write!(self.path, "/api/orders/{guessed}"),
            _ => write!(self.path, "/api/orders/{at_random}"),
        };
        let orders = self.path.starts_with("/api/orders");
        let credential = if orders { credential } else { 0 };
        let request = Request { credential, right, ..Request::get(&self.path) };
        let reply = world.send(who, &request);
        let read = reply.status == 200 || !right;
        (reply, if read { 1.0 } else { 0.0 })
    }
}
