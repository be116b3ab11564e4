//! An engine with a clock, and requests in the words of a test.

use api_abuse_engine::hash::{Seed, combine};
use api_abuse_engine::record::{Method, NO_UPSTREAM, RecordHead, Verdict, flags};
use api_abuse_engine::role::Role;
use api_abuse_engine::{Config, Decision, Engine, RequestRecord, Threat};

pub(crate) const SEED: Seed = Seed([11, 22]);
pub(crate) const FIREFOX: &str = "Mozilla/5.0 Firefox/140.0";
/// First address of the people of [`world_with`].
pub(crate) const PEOPLE: u32 = 0x0a00_0000;
/// A body of another length each time.
pub(crate) const ANY_LENGTH: u32 = u32::MAX;
/// Documentation's addresses: those of [`get`].
const NETWORK: u32 = 0xc000_0200;

/// One request, in the words of a test.
#[derive(Clone, Debug)]
pub(crate) struct Hit {
    pub(crate) address: [u8; 4],
    pub(crate) user_agent: &'static str,
    pub(crate) session: u64,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: &'static str,
    pub(crate) status: u16,
    pub(crate) flags: u32,
    pub(crate) referer: Option<&'static str>,
    pub(crate) credential: u64,
    pub(crate) identity: u64,
    pub(crate) length: u32,
    pub(crate) upstream_ms: u32,
    pub(crate) bytes: u64,
    pub(crate) verdict: Verdict,
    /// Incident that stands behind the answer.
    pub(crate) incident: u64,
    /// What the configuration says that the endpoint is for.
    pub(crate) role: Role,
}

/// A page that somebody of one network asks for.
pub(crate) fn get(last: u8, path: &str, status: u16) -> Hit {
    let hit = ask(NETWORK | u32::from(last), path, status);
    Hit { flags: flags::HTML, length: 0, ..hit }
}

pub(crate) fn post(last: u8, path: &str, status: u16, length: u32) -> Hit {
    Hit { method: Method::Post, length, ..get(last, path, status) }
}

pub(crate) fn json(hit: Hit) -> Hit {
    Hit { flags: flags::JSON, ..hit }
}

/// What somebody at any address asks for: of the interface, or a page.
pub(crate) fn ask(address: u32, path: &str, status: u16) -> Hit {
    Hit {
        address: address.to_be_bytes(),
        user_agent: FIREFOX,
        session: 0,
        method: Method::Get,
        path: path.to_owned(),
        query: "",
        status,
        flags: if path.starts_with("/api") { flags::JSON } else { flags::HTML },
        referer: None,
        credential: 0,
        identity: 0,
        length: ANY_LENGTH,
        upstream_ms: NO_UPSTREAM,
        bytes: 0,
        verdict: Verdict::Passed,
        incident: 0,
        role: Role::Auto,
    }
}

/// A request of a scanner: a name that nobody else asks for.
pub(crate) fn probe(address: u32, n: u32) -> Hit {
    let word = combine(u64::from(address), u64::from(n));
    ask(address, &format!("/w{word:x}w"), 404)
}

/// An attempt to log in that fails.
pub(crate) fn guess(address: u32, _n: u32) -> Hit {
    Hit { method: Method::Post, ..ask(address, "/api/login", 401) }
}

impl Hit {
    pub(crate) fn octets(&self) -> [u8; 16] {
        std::net::Ipv4Addr::from(self.address).to_ipv6_mapped().octets()
    }

    pub(crate) fn session(self, session: u64) -> Self {
        Self { session: combine(session, 0x5e55), ..self }
    }

    pub(crate) fn agent(self, user_agent: &'static str) -> Self {
        Self { user_agent, ..self }
    }
}

pub(crate) fn shop() -> u64 {
    SEED.table(b"shop")
}

/// An engine with a clock.
pub(crate) struct World<'m> {
    pub(crate) engine: Engine<'m>,
    pub(crate) now_ms: u64,
    pub(crate) decisions: Vec<Decision>,
    pub(crate) records: u64,
}

impl<'m> World<'m> {
    pub(crate) fn new(memory: &'m mut Memory, config: Config, now_ms: u64) -> Self {
        let (engine, _) = Engine::attach(memory.bytes(), config).unwrap();
        Self { engine, now_ms, decisions: Vec::new(), records: 0 }
    }

    /// Sends one request `after_ms` later; the decision that it led to.
    pub(crate) fn send(&mut self, after_ms: u64, hit: &Hit) -> Option<Decision> {
        self.now_ms += after_ms;
        self.records += 1;
        let referred = flags::REFERER | flags::SAME_SITE_REFERER;
        let head = RecordHead {
            time_ms: self.now_ms,
            application: shop(),
            address: hit.octets(),
            fingerprint: SEED.table(hit.user_agent.as_bytes()),
            session: hit.session,
            path_hash: SEED.table(hit.path.as_bytes()),
            referer_hash: hit.referer.map_or(0, |referer| SEED.table(referer.as_bytes())),
            credential: hit.credential,
            identity: hit.identity,
            content_length: match hit.length {
                ANY_LENGTH => (combine(self.records, 3) % 90) as u32,
                length => length,
            },
            upstream_ms: hit.upstream_ms,
            response_bytes: hit.bytes,
            flags: hit.flags | hit.referer.map_or(0, |_| referred),
            status: hit.status,
            method: hit.method as u8,
            verdict: hit.verdict as u8,
            incident: hit.incident,
            protocol: 11,
            role: hit.role as u8,
            blocking: 1,
            ..RecordHead::default()
        };
        let (path, query) = (hit.path.as_bytes(), hit.query.as_bytes());
        let user_agent = hit.user_agent.as_bytes();
        let record = RequestRecord { head, application: b"", path, query, user_agent };
        let before = self.decisions.len();
        self.engine.turn([record], self.now_ms, &mut self.decisions);
        assert!(self.decisions.len() <= before + 1, "one decision a record");
        self.decisions.get(before).copied()
    }

    /// Sends until something is decided; after how many requests that was, and what.
    pub(crate) fn until_decided(
        &mut self,
        limit: u32,
        gap_ms: u64,
        mut hit: impl FnMut(u32) -> Hit,
    ) -> Option<(u32, Decision)> {
        (1..=limit).find_map(|n| self.send(gap_ms, &hit(n)).map(|decision| (n, decision)))
    }

    /// People of these addresses look around.
    pub(crate) fn people(&mut self, addresses: core::ops::Range<u32>) {
        for address in addresses {
            self.send(3, &ask(address, "/", 200));
            self.send(2, &ask(address, &format!("/products/{}.html", address % 40), 200));
            self.send(2, &ask(address, &format!("/api/items/{}", address % 40), 200));
            self.send(1, &ask(address, "/static/app.js", 200));
        }
    }

    /// People use the shop, so that it has a normal.
    fn warm_up(&mut self) {
        for round in 0..40u8 {
            for person in 1..6 {
                self.send(300, &get(person, "/", 200));
                self.send(200, &get(person, &format!("/products/{}.html", round + person), 200));
                self.send(200, &get(person, &format!("/api/items/{}", round + person), 200));
                self.send(100, &get(person, "/static/app.js", 200));
            }
        }
        assert!(self.decisions.is_empty());
    }
}

/// A shop with five customers, who look at one thing after another.
pub(crate) fn world(test: impl FnOnce(&mut World<'_>)) {
    let mut memory = Memory::new(2 << 20);
    let config = Config::new(SEED).with_application(b"shop");
    let mut world = World::new(&mut memory, config, 1_000_000);
    world.warm_up();
    test(&mut world);
    assert!(world.records > 800, "the scenario ran");
}

/// A shop with five regular customers, by this configuration.
pub(crate) fn world_with<R>(config: Config, test: impl FnOnce(&mut World<'_>) -> R) -> R {
    world_in(2 << 20, config, test)
}

/// The same with so many bytes of tables.
pub(crate) fn world_in<R>(
    size: usize,
    config: Config,
    test: impl FnOnce(&mut World<'_>) -> R,
) -> R {
    let mut memory = Memory::new(size);
    let mut world = World::new(&mut memory, config, 10_000_000);
    for _ in 0..40 {
        world.people(PEOPLE..PEOPLE + 5);
    }
    assert!(world.decisions.is_empty());
    let result = test(&mut world);
    assert!(world.records > 800, "the scenario ran");
    result
}

/// Memory for an engine, aligned as it wants it.
pub(crate) struct Memory(Vec<u64>, usize);

impl Memory {
    pub(crate) fn new(bytes: usize) -> Self {
        Self(vec![0; bytes / 8 + 8], bytes)
    }

    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        let bytes = zerocopy::IntoBytes::as_mut_bytes(self.0.as_mut_slice());
        let start = bytes.as_ptr().align_offset(64);
        &mut bytes[start..start + self.1]
    }
}

/// Sends until convicted; how many requests that took.
pub(crate) fn until_convicted(
    world: &mut World<'_>,
    limit: u32,
    gap_ms: u64,
    hit: impl FnMut(u32) -> Hit,
) -> Option<u32> {
    world.until_decided(limit, gap_ms, hit).map(|(requests, _)| requests)
}

/// The number of requests until conviction, and that it was for this threat.
pub(crate) fn convicted_for(
    world: &mut World<'_>,
    threat: Threat,
    limit: u32,
    gap_ms: u64,
    hit: impl FnMut(u32) -> Hit,
) -> u32 {
    let requests = until_convicted(world, limit, gap_ms, hit);
    assert_eq!(world.decisions.first().map(|decision| decision.threat), Some(threat));
    requests.unwrap()
}
