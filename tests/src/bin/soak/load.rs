//! Who asks: visitors flat out, scanners, and those who were denied at the beginning.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use api_abuse_tests::http::{Client, Request, Response, is_closed};
use api_abuse_tests::nginx::Nginx;
use api_abuse_tests::random::Random;

/// Visitors at a time; together they keep all cores busy.
pub(crate) const VISITORS: u64 = 6;
/// Scanners at a time; together they fill the denylist.
pub(crate) const ATTACKERS: u32 = 3;
/// So many of the first denied sources are watched: they must stay denied.
pub(crate) const WATCHED: usize = 40;
/// Times that a request is sent again when its connection was reset: by a worker that was killed.
const PATIENCE: usize = 6;

/// What everybody did so far.
#[derive(Debug)]
pub(crate) struct Load<'n> {
    nginx: &'n Nginx,
    over: AtomicBool,
    watched: Mutex<Vec<String>>,
    pub(crate) served: AtomicU64,
    pub(crate) denied: AtomicU64,
    pub(crate) resent: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) convicted: AtomicU64,
    pub(crate) knocks: AtomicU64,
    pub(crate) lost: AtomicU64,
}

/// Ends the load when it is dropped, whatever way that happens.
pub(crate) struct Over<'l>(&'l AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

impl<'n> Load<'n> {
    pub(crate) fn new(nginx: &'n Nginx) -> Self {
        Self {
            nginx,
            over: AtomicBool::new(false),
            watched: Mutex::default(),
            served: AtomicU64::new(0),
            denied: AtomicU64::new(0),
            resent: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            convicted: AtomicU64::new(0),
            knocks: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        }
    }

    pub(crate) fn ends_with_this(&self) -> Over<'_> {
        Over(&self.over)
    }

    /// People: one page each or a few, from ever new addresses, some of whom come back.
    pub(crate) fn visit(&self, number: u64) {
        let mut random = Random::new(number + 1);
        let mut client = self.client(number);
        while !self.over.load(Relaxed) {
            let back = random.chance(0.2);
            let host = if back { random.within(0..1000) } else { random.within(0..4_000_000) };
            let from = Ipv4Addr::from(0x0a00_0000 + host as u32).to_string();
            let request = Request::get("/1k.bin")
                .headers(&[("X-Forwarded-For", &from), ("User-Agent", "Mozilla/5.0 (soak)")]);
            if let Some(response) = self.insist(&mut client, &request) {
                if (response.status, response.body.len()) != (200, 1024) {
                    eprintln!("a visitor was answered {}", response.status);
                    self.failed.fetch_add(1, Relaxed);
                }
            }
        }
        self.resent.fetch_add(client.resent, Relaxed);
    }

    /// Scanners, one after the other, each from an address of its own, until it is denied.
    pub(crate) fn attack(&self, number: u32) {
        let mut random = Random::new(77 + u64::from(number));
        let mut client = self.client(100 + u64::from(number));
        for scanner in (number..).step_by(ATTACKERS as usize) {
            let from = Ipv4Addr::from(0xc612_0000 + scanner % 0x1_0000).to_string();
            for _ in 0..60 {
                if self.over.load(Relaxed) {
                    self.resent.fetch_add(client.resent, Relaxed);
                    return;
                }
                let name = format!("/{}", random.word(9));
                let Some(response) = self.insist(&mut client, &probe(&name, &from)) else {
                    continue;
                };
                if response.status == 403 {
                    self.convicted.fetch_add(1, Relaxed);
                    let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
                    if watched.len() < WATCHED {
                        watched.push(from.clone());
                    }
                    break;
                }
                // Not while the machine is busy with everything else: what distance does.
                thread::sleep(Duration::from_millis(1));
            }
        }
    }

    /// The first denied sources try to get in all the time.
    pub(crate) fn knock(&self) {
        let mut client = self.client(100 + u64::from(ATTACKERS));
        while !self.over.load(Relaxed) {
            thread::sleep(Duration::from_millis(5));
            let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner).clone();
            for from in watched {
                let Some(response) = self.insist(&mut client, &probe("/1k.bin", &from)) else {
                    break;
                };
                self.knocks.fetch_add(1, Relaxed);
                if response.status != 403 {
                    eprintln!("{from} was let in: {}", response.status);
                    self.lost.fetch_add(1, Relaxed);
                }
            }
        }
        self.resent.fetch_add(client.resent, Relaxed);
    }

    fn client(&self, number: u64) -> Client {
        self.nginx.client_from(Ipv4Addr::new(127, 3, 1, number as u8))
    }

    /// Sends a request, again when its connection was reset; `None` at the end of the load.
    fn insist(&self, client: &mut Client, request: &Request) -> Option<Response> {
        for _ in 0..PATIENCE {
            match client.send(request) {
                Ok(response) => {
                    let counter = if response.status == 403 { &self.denied } else { &self.served };
                    counter.fetch_add(1, Relaxed);
                    return Some(response);
                }
                Err(error) if is_closed(&error) => self.resent.fetch_add(1, Relaxed),
                Err(error) => {
                    eprintln!("a request failed: {error}");
                    break;
                }
            };
            if self.over.load(Relaxed) {
                return None;
            }
        }
        self.failed.fetch_add(1, Relaxed);
        None
    }
}

/// A request as the scanners make it: who looks whether they are denied must look like them.
fn probe(path: &str, from: &str) -> Request {
    Request::get(path).headers(&[("X-Forwarded-For", from), ("User-Agent", "scan/1.0")])
}
