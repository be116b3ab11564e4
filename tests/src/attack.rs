//! Attackers: a scanner and a credential stuffer in Rust for the tests, and the word lists that the
//! demo hands to the real tools.
//!
//! The tests need attackers whose every request is known. The demo runs gobuster and hydra, because
//! real tools do things that nobody who writes a test thinks of.

use std::fmt::Write;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::eventually;
use crate::http::{Client, Request, Response};
use crate::random::Random;
use crate::shop::accounts;

/// Names that a scanner tries, one a line.
pub const NAMES: &str = include_str!("../data/names.txt");

/// Passwords that people who are attacked tend to have.
const PASSWORDS: [&str; 12] = [
    "123456", "password", "qwerty", "letmein", "dragon", "iloveyou", "monkey", "football",
    "sunshine", "princess", "welcome1", "abc123",
];

/// A list of `user:password` lines for hydra: leaked credentials, none of which fits this shop.
pub fn leaked_credentials(seed: u64, count: usize) -> String {
    let mut random = Random::new(seed);
    (0..count).fold(String::new(), |mut list, _| {
        let (email, password) = leaked(&mut random);
        let _ = writeln!(list, "{email}:{password}");
        list
    })
}

fn leaked(random: &mut Random) -> (String, String) {
    let name = random.word(7);
    let password = format!("{}{}", random.pick(&PASSWORDS), random.within(1..100));
    (format!("{name}{}@example.net", random.within(1..100)), password)
}

/// The two kinds of login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// JSON in, 401 or 200 and a token out.
    Api,
    /// A form: 200 and the form again, or 302.
    Form,
}

impl Login {
    /// One attempt.
    pub fn attempt(self, email: &str, password: &str) -> Request {
        match self {
            Self::Api => {
                let body = format!(r#"{{"email":"{email}","password":"{password}"}}"#);
                Request::post("/api/login", "application/json", body)
            }
            Self::Form => {
                let body = format!("email={}&password={password}", email.replace('@', "%40"));
                Request::post("/login", "application/x-www-form-urlencoded", body)
            }
        }
    }

    /// Whether this is what the login answers when the password is right.
    pub fn succeeded(self, response: &Response) -> bool {
        response.status == if self == Self::Api { 200 } else { 302 }
    }
}

/// Some customers log in, each from an address of their own, most at the first attempt: what every
/// login sees on a normal day, and what tells failure from success. Returns the requests made.
pub fn customers_log_in(to: SocketAddr, login: Login, customers: u8) -> io::Result<u64> {
    let mut requests = 0;
    for customer in 1..=customers {
        let mut client = Client::new(to).from(Ipv4Addr::new(127, 2, 100, customer));
        let headers = [
            (
                "User-Agent",
                "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0",
            ),
            ("Accept-Language", "en-GB,en;q=0.5"),
            ("Accept", "text/html,*/*"),
        ];
        client.send(&Request::get("/").headers(&headers))?;
        client.send(&Request::get("/login").headers(&headers))?;
        let (email, password) = accounts::credentials(customer.into());
        if customer % 4 == 0 {
            client.send(&login.attempt(&email, "mistyped").headers(&headers))?;
        }
        let response = client.send(&login.attempt(&email, &password).headers(&headers))?;
        assert!(login.succeeded(&response), "{}", response.text());
        client.send(&Request::get("/account").headers(&headers))?;
        requests += client.sent;
    }
    Ok(requests)
}

/// An attacker in Rust, who goes on until it is denied or has had enough.
#[derive(Clone, Copy, Debug)]
pub struct Attacker {
    /// Whom it attacks.
    pub to: SocketAddr,
    /// Its address.
    pub from: Ipv4Addr,
    /// Time from one request to the next: what distance does to an attacker. Without it the requests
    /// that are served while the conviction is on its way would measure the speed of loopback.
    pub pace: Duration,
    /// Requests after which it gives up.
    pub limit: usize,
    /// Whether it waits where the detector is behind: see [`until_judged`].
    pub waits: bool,
}

/// Waits until the detector has taken up what lies in front of it, as `/status` of this server says; `false`
/// where there is no such page. A detector that shares its processor with a busy machine is late by a few
/// requests of an attacker that goes on at its pace, and how many those are says something of the machine.
pub fn until_judged(to: SocketAddr) -> bool {
    /// A worker that is killed may leave the counts apart for good.
    const BOUND: Duration = Duration::from_secs(2);
    let mut client = Client::new(to);
    let (mut is_known, mut pushed) = (true, None);
    eventually(BOUND, || {
        let health = health(&mut client);
        is_known = health.is_some();
        health.is_none_or(|health| {
            let count = |name: &str| health["lanes"][name].as_u64().unwrap_or(0);
            let pushed = *pushed.get_or_insert_with(|| count("records_pushed"));
            health["detector"]["up"] == false || count("records_judged") >= pushed
        })
    });
    is_known
}

/// Waits for a detector that has just been started and reads its state; as [`until_judged`].
fn until_up(to: SocketAddr) -> bool {
    const BOUND: Duration = Duration::from_secs(10);
    let mut client = Client::new(to);
    let mut is_known = true;
    eventually(BOUND, || {
        let health = health(&mut client);
        is_known = health.is_some();
        health.is_none_or(|health| health["detector"]["up"] == true)
    });
    is_known
}

fn health(client: &mut Client) -> Option<Value> {
    let page = client.get("/status?format=json").ok()?;
    let status: Value = serde_json::from_slice(&page.body).ok()?;
    status.get("health").filter(|health| health.is_object()).cloned()
}

/// A request as the scanner makes it. Who looks whether the scanner is denied must look like it: the
/// narrowest key that carries the evidence is denied, which may be address and fingerprint.
pub fn probe(target: impl AsRef<[u8]>) -> Request {
    Request::get(target).headers(&[("User-Agent", "scan/1.0"), ("Accept", "*/*")])
}

/// What became of an attack.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// Requests that were served before the first denial.
    pub served: usize,
    /// Whether it was denied at all.
    pub denied: bool,
}

impl Attacker {
    /// An attacker at a pace that five connections over 60 ms have.
    pub fn new(to: SocketAddr, from: Ipv4Addr) -> Self {
        Self { to, from, pace: Duration::from_millis(12), limit: 200, waits: true }
    }

    /// Goes through random names, with some that scanners like in between.
    pub fn scan(&self) -> Outcome {
        let mut random = Random::new(u64::from(u32::from(self.from)));
        let known: Vec<&str> = NAMES.lines().collect();
        self.attack(|_| {
            let name =
                if random.chance(0.7) { random.word(9) } else { (*random.pick(&known)).to_owned() };
            probe(format!("/{name}"))
        })
    }

    /// Tries leaked credentials, one after the other.
    pub fn stuff(&self, login: Login) -> Outcome {
        let mut random = Random::new(u64::from(u32::from(self.from)));
        self.attack(|number| {
            if number == 0 && login == Login::Form {
                return Request::get("/login").header("User-Agent", "Mozilla/5.0 (stuff)");
            }
            let (email, password) = leaked(&mut random);
            login.attempt(&email, &password).header("User-Agent", "Mozilla/5.0 (stuff)")
        })
    }

    fn attack(&self, mut next: impl FnMut(usize) -> Request) -> Outcome {
        let mut client = Client::new(self.to).from(self.from);
        let mut waits = self.waits && until_up(self.to);
        for served in 0..self.limit {
            let response = client.send(&next(served)).expect("an answer");
            if response.status == 403 {
                return Outcome { served, denied: true };
            }
            thread::sleep(self.pace);
            waits = waits && until_judged(self.to);
        }
        Outcome { served: self.limit, denied: false }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn lists_are_long_and_without_repetition() {
        let names: HashSet<_> = NAMES.lines().collect();
        assert_eq!(names.len(), NAMES.lines().count());
        assert!(names.len() >= 1500, "{}", names.len());
        let leaked = leaked_credentials(1, 500);
        let users: HashSet<_> = leaked.lines().filter_map(|l| l.split_once(':')).collect();
        assert!(users.len() > 490, "{}", users.len());
        assert_eq!(leaked, leaked_credentials(1, 500));
    }
}
