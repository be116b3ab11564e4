//! Benign clients: people with browsers, and machines that mean well but look suspicious.
//!
//! Each does something that a careless detector takes for an attack: phones ask for icons that
//! nobody has, people mistype passwords, crawlers follow dead links, an app repeats an expired
//! token, an office is many people behind one address. Nobody of them may ever be denied.
//!
//! Everybody has an address in `127.2.0.0/16` and a seed, so a run can be told again.

mod browser;
mod machines;
mod shoppers;

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::http::{Client, Request, Response};
use crate::random::Random;

/// One kind of benign client.
#[derive(Clone, Copy, Debug)]
pub struct Person {
    /// Who it is, for people.
    pub name: &'static str,
    /// Where it comes from.
    pub address: Ipv4Addr,
    behave: fn(&mut Visitor),
}

const fn person(name: &'static str, host: [u8; 2], behave: fn(&mut Visitor)) -> Person {
    Person { name, address: Ipv4Addr::new(127, 2, host[0], host[1]), behave }
}

/// Everybody. Several may share an address: then they are one office.
pub const PEOPLE: [Person; 18] = [
    person("shopper, Chrome", [1, 1], shoppers::with_chrome),
    person("shopper, Firefox", [1, 2], shoppers::with_firefox),
    person("shopper who forgot the password", [1, 3], shoppers::forgetful),
    person("shopper on a phone", [1, 4], shoppers::with_phone),
    person("office, Chrome", [3, 1], shoppers::with_chrome),
    person("office, Edge", [3, 1], shoppers::with_edge),
    person("office, Firefox", [3, 1], shoppers::with_firefox),
    person("office, phone", [3, 1], shoppers::with_phone),
    person("office, forgetful", [3, 1], shoppers::forgetful),
    person("mobile app", [2, 1], machines::mobile_app),
    person("mobile app, second phone", [2, 2], machines::mobile_app),
    person("mobile app, third phone", [2, 3], machines::mobile_app),
    person("mobile app, fourth phone", [2, 4], machines::mobile_app),
    person("mobile app, fifth phone", [2, 5], machines::mobile_app),
    person("uptime monitor", [4, 1], machines::monitor),
    person("search crawler", [5, 1], machines::crawler),
    person("app with an expired token", [6, 1], machines::expired_token),
    person("client on a bad network", [8, 1], machines::bad_network),
];

/// A person at work.
#[derive(Debug)]
struct Visitor {
    client: Client,
    random: Random,
    /// Real pauses are multiplied by this.
    pace: f64,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    closing: AtomicBool,
    requests: AtomicU64,
    refused: AtomicU64,
}

impl Visitor {
    /// Whether there is still time.
    fn goes_on(&self) -> bool {
        !self.shared.closing.load(Ordering::Relaxed)
    }

    /// Sends a request; `None` when the connection failed, which everybody just accepts.
    fn send(&mut self, request: &Request) -> Option<Response> {
        let response = self.client.send(request).ok()?;
        self.shared.requests.fetch_add(1, Ordering::Relaxed);
        if response.status == 403 {
            self.shared.refused.fetch_add(1, Ordering::Relaxed);
        }
        Some(response)
    }

    /// Thinks for so many milliseconds of a real person's time.
    fn pause(&mut self, milliseconds: Range<u64>) {
        let until = Instant::now() + self.random.pause(milliseconds).mul_f64(self.pace);
        while self.goes_on() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            thread::sleep(left.min(Duration::from_millis(50)));
        }
    }

    /// A customer of the shop who is always this one.
    fn customer(&mut self) -> (String, String) {
        let number = self.random.within(1..crate::shop::accounts::CUSTOMERS + 1);
        crate::shop::accounts::credentials(number)
    }
}

/// All the people, browsing until they are sent home.
#[derive(Debug)]
pub struct Crowd {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// What a crowd did.
#[derive(Clone, Copy, Debug)]
pub struct Visits {
    /// Requests that were answered.
    pub requests: u64,
    /// Answers that were 403.
    pub refused: u64,
}

impl Crowd {
    /// Lets everybody in. `pace` multiplies their pauses: 1 is real people, 0.1 is hurried ones.
    pub fn enter(to: SocketAddr, seed: u64, pace: f64) -> Self {
        let shared = Arc::new(Shared::default());
        let start = |(number, person): (usize, &'static Person)| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let mut visitor = Visitor {
                    client: Client::new(to).from(person.address),
                    random: Random::new(seed ^ ((number as u64 + 1) << 32)),
                    pace,
                    shared,
                };
                // Nobody arrives at the same moment as everybody else.
                visitor.pause(0..4000);
                (person.behave)(&mut visitor);
            })
        };
        let threads = PEOPLE.iter().enumerate().map(start).collect();
        Self { shared, threads }
    }

    /// What they did so far.
    pub fn visits(&self) -> Visits {
        Visits {
            requests: self.shared.requests.load(Ordering::Relaxed),
            refused: self.shared.refused.load(Ordering::Relaxed),
        }
    }

    /// Sends everybody home and says what they did.
    pub fn leave(self) -> Visits {
        self.shared.closing.store(true, Ordering::Relaxed);
        let visits = self.visits();
        for thread in self.threads {
            assert!(thread.join().is_ok(), "a benign client panicked");
        }
        visits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shop::Shop;

    #[test]
    fn everybody_finds_something_to_do_in_the_shop() {
        let shop = Shop::open().unwrap();
        let crowd = Crowd::enter(shop.address, 1, 0.05);
        let busy = crate::eventually(Duration::from_secs(60), || crowd.visits().requests > 600);
        let visits = crowd.leave();
        assert!(busy && visits.refused == 0, "{visits:?}");
        println!("{} requests", visits.requests);
    }
}
