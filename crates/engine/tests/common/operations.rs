//! Anything that may happen to an engine, as bytes: for a seeded property test and for a fuzzer.
//!
//! What must hold whatever happens: the tables stay within their bounds, nobody is denied who is on the
//! allowlist, a denial holds as long as it says and not longer than the policy lets it, and the same
//! bytes make the same decisions.

use api_abuse_engine::hash::{Seed, combine};
use api_abuse_engine::policy::{Reaction, ThreatPolicy};
use api_abuse_engine::record::{NO_UPSTREAM, RecordHead, Verdict, flags};
use api_abuse_engine::{Action, Cidr, CidrSet, Config, Decision, Engine, RequestRecord, SourceKey};

const SEED: Seed = Seed([3, 5]);
const BYTES: usize = Engine::MIN_BYTES;
const PATHS: [&str; 8] = [
    "/",
    "/login",
    "/register",
    "/items/",
    "/api/orders/",
    "/wp-admin/setup.php",
    "/cart/add",
    "/w",
];
const STATUSES: [u16; 8] = [200, 200, 200, 302, 401, 404, 403, 500];

/// An engine and what must hold of it.
pub(crate) struct Machine {
    memory: Vec<u64>,
    config: Config,
    now_ms: u64,
    checkpoint: Vec<u8>,
    /// Denials in force: application, key, and until when.
    denials: Vec<(u64, SourceKey, u64)>,
    pub(crate) records: u64,
    pub(crate) decisions: u64,
    pub(crate) digest: u64,
}

impl Machine {
    pub(crate) fn new() -> Self {
        Self {
            memory: vec![0; BYTES / 8 + 8],
            config: Config::new(SEED).with_application(b"shop"),
            now_ms: 1_000_000_000,
            checkpoint: Vec::new(),
            denials: Vec::new(),
            records: 0,
            decisions: 0,
            digest: 0,
        }
    }

    /// Runs operations of five bytes each.
    pub(crate) fn run(mut self, operations: &[u8]) -> Self {
        let mut rest = operations;
        while let Some((&[kind, a, b, c, _], after)) = rest.split_first_chunk() {
            match kind % 64 {
                0 => self.lift(a),
                1 => self.policy(a, b),
                2 => self.now_ms = self.now_ms.saturating_sub(u64::from(a) << (b % 24)),
                3 => self.now_ms += u64::from(a) << (b % 24),
                4 => self.save(),
                5 => self.load(),
                6 => self.damage(a, b, c),
                _ => {
                    // Those that follow each other reach one engine; then it is killed, and the next
                    // goes on over what is there.
                    let is_request = |operation: &&[u8]| operation[0] % 64 > 6;
                    let count = rest.chunks_exact(5).take_while(is_request).count();
                    let (requests, others) = rest.split_at(5 * count);
                    self.requests(requests);
                    rest = others;
                    continue;
                }
            }
            rest = after;
        }
        self
    }

    fn with<R>(&mut self, what: impl FnOnce(&mut Engine<'_>, &mut Vec<Decision>) -> R) -> R {
        let bytes = zerocopy::IntoBytes::as_mut_bytes(self.memory.as_mut_slice());
        let start = bytes.as_ptr().align_offset(64);
        let memory = &mut bytes[start..start + BYTES];
        let (mut engine, _) = Engine::attach(memory, self.config.clone()).unwrap();
        let mut decisions = Vec::new();
        let result = what(&mut engine, &mut decisions);
        let (live, _) = engine.sources();
        assert!(live <= (BYTES / 64) as u64, "{live} sources");
        for decision in decisions {
            self.check(&decision);
        }
        result
    }

    /// What holds of a decision.
    fn check(&mut self, decision: &Decision) {
        self.decisions += 1;
        let parts = [decision.key.network, decision.key.discriminator, decision.since_ms];
        self.digest = parts.into_iter().fold(self.digest ^ decision.ttl_ms, combine);
        assert!(decision.confidence <= 100);
        if decision.action == Action::Monitor {
            return;
        }
        let policy = &self.config.applications[0].policy;
        let longest = policy.repeat.max_ms.max(policy.threat(decision.threat).ttl_ms);
        assert!(decision.ttl_ms <= longest + longest / 10 + 1, "{decision:?}");
        assert!(policy.threat(decision.threat).reaction.acts(), "{decision:?}");
        let address = api_abuse_engine::source::address_of(decision.key.network).octets();
        assert!(decision.key.network == 0 || !policy.allow.contains(address), "{decision:?}");
        let same =
            |it: &&(u64, SourceKey, u64)| (it.0, it.1) == (decision.application, decision.key);
        if let Some((_, _, until_ms)) = self.denials.iter().find(same) {
            assert!(decision.again || decision.since_ms >= *until_ms, "still denied: {decision:?}");
        }
        let until_ms = decision.since_ms + decision.ttl_ms;
        self.denials.retain(|it| !same(&it));
        self.denials.push((decision.application, decision.key, until_ms));
    }

    fn requests(&mut self, operations: &[u8]) {
        let (mut now_ms, mut records) = (self.now_ms, self.records);
        self.with(|engine, decisions| {
            for operation in operations.chunks_exact(5) {
                let &[kind, a, b, c, d] = operation else { continue };
                let gap_ms = u64::from(b) << (c % 8);
                let mut numbers = u64::from_le_bytes([kind, a, b, c, d, 0, 0, 0]);
                for n in 0..=u64::from(d % 32) {
                    numbers = combine(numbers, n);
                    let path =
                        format!("{}{}", PATHS[usize::from(a % 8)], numbers % u64::from(b.max(1)));
                    let head = head([a, b, c, d], numbers, now_ms, path.as_bytes());
                    let (path, user_agent) = (path.as_bytes(), &b"x"[..]);
                    let record =
                        RequestRecord { head, application: b"", path, query: b"a=1", user_agent };
                    engine.turn([record], now_ms, decisions);
                    now_ms += gap_ms;
                    records += 1;
                }
            }
        });
        (self.now_ms, self.records) = (now_ms, records);
    }

    fn lift(&mut self, which: u8) {
        if self.denials.is_empty() {
            return;
        }
        let (application, key, _) =
            self.denials.swap_remove(usize::from(which) % self.denials.len());
        let now_ms = self.now_ms;
        self.with(|engine, _| {
            engine.lift(application, key, now_ms);
        });
    }

    fn policy(&mut self, a: u8, b: u8) {
        let reaction = Reaction::ALL[usize::from(a % 4)];
        let ttl_ms = 1000 << (b % 16);
        let all = ThreatPolicy { reaction, ttl_ms, ..ThreatPolicy::default() };
        let application = &mut self.config.applications[0];
        application.policy = application.policy.clone().with_all(all);
        application.policy.learning_ms = u64::from(a) << (b % 20);
        application.policy.allow = CidrSet::default();
        if a & 64 != 0 {
            let allowed: Cidr = format!("192.0.2.{}", b % 8).parse().unwrap();
            application.policy.allow.insert(allowed);
        }
    }

    fn save(&mut self) {
        let (now_ms, mut saved) = (self.now_ms, Vec::new());
        self.with(|engine, _| {
            engine.save(now_ms, now_ms, &mut |part| saved.extend_from_slice(part));
        });
        self.checkpoint = saved;
    }

    /// Fresh tables, and what the last checkpoint holds. Denials since are forgotten.
    fn load(&mut self) {
        self.memory.fill(0);
        self.denials.clear();
        let (now_ms, saved) = (self.now_ms, std::mem::take(&mut self.checkpoint));
        self.with(|engine, _| {
            let loaded = engine.load(&saved, now_ms, now_ms);
            assert_eq!(loaded.is_ok(), !saved.is_empty());
        });
    }

    /// A byte of the checkpoint changes, and its checksum with it; what is read may be anything.
    fn damage(&mut self, a: u8, b: u8, c: u8) {
        if self.checkpoint.len() < 64 {
            return;
        }
        let mut hostile = self.checkpoint.clone();
        let at = 48 + (usize::from(a) << 8 | usize::from(b)) % (hostile.len() - 64);
        hostile[at] ^= c | 1;
        api_abuse_engine::checkpoint::testing::seal(&mut hostile);
        let mut spare = Self { config: self.config.clone(), now_ms: self.now_ms, ..Self::new() };
        let now_ms = self.now_ms;
        spare.with(|engine, _| {
            let _ = engine.load(&hostile, now_ms, now_ms);
        });
    }
}

/// One request, as the bytes have it.
fn head([a, b, c, d]: [u8; 4], numbers: u64, time_ms: u64, path: &[u8]) -> RecordHead {
    let address = std::net::Ipv4Addr::from(0xc000_0200 + u32::from(a >> 5));
    RecordHead {
        time_ms,
        application: SEED.table(b"shop"),
        address: address.to_ipv6_mapped().octets(),
        fingerprint: u64::from(c >> 6) + 1,
        session: if d & 64 == 0 { 0 } else { u64::from(c) + 1 },
        credential: numbers & 0xff,
        path_hash: SEED.table(path),
        upstream_ms: if d & 32 == 0 { NO_UPSTREAM } else { u32::from(b) * 16 },
        flags: if c & 1 == 0 { flags::HTML } else { flags::JSON | flags::SETS_COOKIE },
        status: STATUSES[usize::from(c >> 1) % 8],
        method: 1 + b % 4,
        verdict: if d == 255 { a } else { Verdict::Passed as u8 },
        role: if d & 128 == 0 { 0 } else { c % 12 },
        ..RecordHead::default()
    }
}
