//! An engine with a clock, and requests in the words of a test.

use api_abuse_engine::hash::Seed;
use api_abuse_engine::record::{Method, NO_UPSTREAM, RecordHead, flags};
use api_abuse_engine::{Config, Decision, Engine, RequestRecord, Threat};

pub(crate) const SEED: Seed = Seed([11, 22]);

/// One request, in the words of a test.
#[derive(Clone)]
pub(crate) struct Hit {
    pub(crate) address: [u8; 4],
    pub(crate) user_agent: &'static str,
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
}

pub(crate) fn get(last: u8, path: &str, status: u16) -> Hit {
    Hit {
        address: [192, 0, 2, last],
        user_agent: "Mozilla/5.0 Firefox/140.0",
        method: Method::Get,
        path: path.to_owned(),
        query: "",
        status,
        flags: flags::HTML,
        referer: None,
        credential: 0,
        identity: 0,
        length: 0,
        upstream_ms: NO_UPSTREAM,
        bytes: 0,
    }
}

pub(crate) fn post(last: u8, path: &str, status: u16, length: u32) -> Hit {
    Hit { method: Method::Post, length, ..get(last, path, status) }
}

/// An engine with a clock.
pub(crate) struct World<'m> {
    pub(crate) engine: Engine<'m>,
    pub(crate) now_ms: u64,
    pub(crate) decisions: Vec<Decision>,
    pub(crate) records: u64,
}

impl World<'_> {
    pub(crate) fn send(&mut self, after_ms: u64, hit: &Hit) -> bool {
        self.now_ms += after_ms;
        self.records += 1;
        let address = std::net::Ipv4Addr::from(hit.address).to_ipv6_mapped().octets();
        let mut set = hit.flags;
        let mut referer_hash = 0;
        if let Some(referer) = hit.referer {
            set |= flags::REFERER | flags::SAME_SITE_REFERER;
            referer_hash = SEED.table(referer.as_bytes());
        }
        let head = RecordHead {
            time_ms: self.now_ms,
            application: SEED.table(b"shop"),
            address,
            fingerprint: SEED.table(hit.user_agent.as_bytes()),
            path_hash: SEED.table(hit.path.as_bytes()),
            referer_hash,
            credential: hit.credential,
            identity: hit.identity,
            content_length: hit.length,
            upstream_ms: hit.upstream_ms,
            response_bytes: hit.bytes,
            flags: set,
            status: hit.status,
            method: hit.method as u8,
            protocol: 11,
            blocking: 1,
            ..RecordHead::default()
        };
        let record = RequestRecord {
            head,
            application: b"",
            path: hit.path.as_bytes(),
            query: hit.query.as_bytes(),
            user_agent: hit.user_agent.as_bytes(),
        };
        let before = self.decisions.len();
        self.engine.turn([record], self.now_ms, &mut self.decisions);
        self.decisions.len() > before
    }

    /// People use the shop, so that it has a normal.
    pub(crate) fn warm_up(&mut self) {
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

pub(crate) fn world(test: impl FnOnce(&mut World<'_>)) {
    let mut memory = aligned(2 << 20);
    let config = Config::new(SEED).with_application(b"shop");
    let (engine, _) = Engine::attach(memory.bytes(), config).unwrap();
    let mut world = World { engine, now_ms: 1_000_000, decisions: Vec::new(), records: 0 };
    world.warm_up();
    test(&mut world);
    assert!(world.records > 800, "the scenario ran");
}

pub(crate) struct Memory(Vec<u64>, usize);

pub(crate) fn aligned(bytes: usize) -> Memory {
    Memory(vec![0; bytes / 8 + 8], bytes)
}

impl Memory {
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
    mut hit: impl FnMut(u32) -> Hit,
) -> Option<u32> {
    (1..=limit).find(|n| world.send(gap_ms, &hit(*n)))
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

pub(crate) fn json(hit: Hit) -> Hit {
    Hit { flags: flags::JSON, ..hit }
}
