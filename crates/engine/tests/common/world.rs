//! An engine with a clock, and requests in the words of a test.
#![allow(dead_code)]

use api_abuse_engine::hash::{Seed, combine};
use api_abuse_engine::record::{NO_UPSTREAM, RecordHead, Verdict, flags};
use api_abuse_engine::{Config, Decision, Engine, RequestRecord, SourceKey};

pub const SEED: Seed = Seed([11, 22]);
pub const FIREFOX: &str = "Mozilla/5.0 Firefox/140.0";

/// Memory for an engine, aligned as it wants it.
pub struct Memory(Vec<u64>, usize);

impl Memory {
    pub fn new(bytes: usize) -> Self {
        Self(vec![0; bytes / 8 + 8], bytes)
    }

    pub fn bytes(&mut self) -> &mut [u8] {
        let bytes = zerocopy::IntoBytes::as_mut_bytes(self.0.as_mut_slice());
        let start = bytes.as_ptr().align_offset(64);
        &mut bytes[start..start + self.1]
    }
}

/// One request.
#[derive(Clone, Debug)]
pub struct Hit {
    pub address: u32,
    pub user_agent: &'static str,
    pub session: u64,
    pub method: u8,
    pub path: String,
    pub status: u16,
    pub verdict: Verdict,
    /// Incident that stands behind the answer.
    pub incident: u64,
}

pub fn get(address: u32, path: &str, status: u16) -> Hit {
    let (user_agent, path) = (FIREFOX, path.to_owned());
    let verdict = Verdict::Passed;
    Hit { address, user_agent, session: 0, method: 1, path, status, verdict, incident: 0 }
}

/// A request of a scanner: a name that nobody else asks for.
pub fn probe(address: u32, n: u32) -> Hit {
    let word = combine(u64::from(address), u64::from(n));
    get(address, &format!("/w{word:x}w"), 404)
}

/// An attempt to log in that fails.
pub fn guess(address: u32, _n: u32) -> Hit {
    Hit { method: 3, ..get(address, "/api/login", 401) }
}

impl Hit {
    pub fn octets(&self) -> [u8; 16] {
        std::net::Ipv4Addr::from(self.address).to_ipv6_mapped().octets()
    }

    pub fn client(&self) -> SourceKey {
        SourceKey::client(self.octets(), SEED.table(self.user_agent.as_bytes()))
    }

    pub fn session(self, session: u64) -> Self {
        Self { session: combine(session, 0x5e55), ..self }
    }

    pub fn agent(self, user_agent: &'static str) -> Self {
        Self { user_agent, ..self }
    }
}

pub fn shop() -> u64 {
    SEED.table(b"shop")
}

/// An engine with a clock.
pub struct World<'m> {
    pub engine: Engine<'m>,
    pub now_ms: u64,
    pub decisions: Vec<Decision>,
    pub records: u64,
}

impl World<'_> {
    /// Sends one request `after_ms` later; the decision that it led to.
    pub fn send(&mut self, after_ms: u64, hit: &Hit) -> Option<Decision> {
        self.now_ms += after_ms;
        self.records += 1;
        let head = RecordHead {
            time_ms: self.now_ms,
            application: shop(),
            address: hit.octets(),
            fingerprint: SEED.table(hit.user_agent.as_bytes()),
            session: hit.session,
            path_hash: SEED.table(hit.path.as_bytes()),
            content_length: (combine(self.records, 3) % 90) as u32,
            upstream_ms: NO_UPSTREAM,
            flags: if hit.path.starts_with("/api") { flags::JSON } else { flags::HTML },
            status: hit.status,
            method: hit.method,
            verdict: hit.verdict as u8,
            incident: hit.incident,
            protocol: 11,
            blocking: 1,
            ..RecordHead::default()
        };
        let (path, user_agent) = (hit.path.as_bytes(), hit.user_agent.as_bytes());
        let record = RequestRecord { head, application: b"", path, query: b"", user_agent };
        let before = self.decisions.len();
        self.engine.turn([record], self.now_ms, &mut self.decisions);
        assert!(self.decisions.len() <= before + 1, "one decision a record");
        self.decisions.get(before).copied()
    }

    /// Sends until something is decided; after how many requests that was, and what.
    pub fn until_decided(
        &mut self,
        limit: u32,
        gap_ms: u64,
        mut hit: impl FnMut(u32) -> Hit,
    ) -> Option<(u32, Decision)> {
        (1..=limit).find_map(|n| self.send(gap_ms, &hit(n)).map(|decision| (n, decision)))
    }

    /// People of these addresses look around.
    pub fn people(&mut self, addresses: core::ops::Range<u32>) {
        for address in addresses {
            self.send(3, &get(address, "/", 200));
            self.send(2, &get(address, &format!("/products/{}.html", address % 40), 200));
            self.send(2, &get(address, &format!("/api/items/{}", address % 40), 200));
            self.send(1, &get(address, "/static/app.js", 200));
        }
    }
}

/// First address of the people.
pub const PEOPLE: u32 = 0x0a00_0000;

/// A shop with five regular customers, by this configuration.
pub fn world<R>(config: Config, test: impl FnOnce(&mut World<'_>) -> R) -> R {
    world_in(2 << 20, config, test)
}

/// The same with so many bytes of tables.
pub fn world_in<R>(size: usize, config: Config, test: impl FnOnce(&mut World<'_>) -> R) -> R {
    let mut memory = Memory::new(size);
    let (engine, _) = Engine::attach(memory.bytes(), config).unwrap();
    let mut world = World { engine, now_ms: 10_000_000, decisions: Vec::new(), records: 0 };
    for _ in 0..40 {
        world.people(PEOPLE..PEOPLE + 5);
    }
    assert!(world.decisions.is_empty());
    let result = test(&mut world);
    assert!(world.records > 800, "the scenario ran");
    result
}
