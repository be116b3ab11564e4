//! Attackers and the benign traffic that looks like them, against the engine, in virtual time.
#![allow(clippy::unwrap_used, missing_docs)]

use api_abuse_engine::hash::Seed;
use api_abuse_engine::record::{Method, NO_UPSTREAM, RecordHead, flags};
use api_abuse_engine::{Config, Decision, Engine, RequestRecord, SourceKind, Threat};

const SEED: Seed = Seed([11, 22]);

/// One request, in the words of a test.
#[derive(Clone)]
struct Hit {
    address: [u8; 4],
    user_agent: &'static str,
    method: Method,
    path: String,
    query: &'static str,
    status: u16,
    flags: u32,
    referer: Option<&'static str>,
    credential: u64,
    length: u32,
    upstream_ms: u32,
}

fn get(last: u8, path: &str, status: u16) -> Hit {
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
        length: 0,
        upstream_ms: NO_UPSTREAM,
    }
}

fn post(last: u8, path: &str, status: u16, length: u32) -> Hit {
    Hit { method: Method::Post, length, ..get(last, path, status) }
}

/// An engine with a clock.
struct World<'m> {
    engine: Engine<'m>,
    now_ms: u64,
    decisions: Vec<Decision>,
    records: u64,
}

impl World<'_> {
    fn send(&mut self, after_ms: u64, hit: &Hit) -> bool {
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
            content_length: hit.length,
            upstream_ms: hit.upstream_ms,
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

fn world(test: impl FnOnce(&mut World<'_>)) {
    let mut memory = aligned(2 << 20);
    let config = Config::new(SEED).with_application(b"shop");
    let (engine, _) = Engine::attach(memory.bytes(), config).unwrap();
    let mut world = World { engine, now_ms: 1_000_000, decisions: Vec::new(), records: 0 };
    world.warm_up();
    test(&mut world);
    assert!(world.records > 800, "the scenario ran");
}

struct Memory(Vec<u64>, usize);

fn aligned(bytes: usize) -> Memory {
    Memory(vec![0; bytes / 8 + 8], bytes)
}

impl Memory {
    fn bytes(&mut self) -> &mut [u8] {
        let bytes = zerocopy::IntoBytes::as_mut_bytes(self.0.as_mut_slice());
        let start = bytes.as_ptr().align_offset(64);
        &mut bytes[start..start + self.1]
    }
}

/// Sends until convicted; how many requests that took.
fn until_convicted(
    world: &mut World<'_>,
    limit: u32,
    gap_ms: u64,
    mut hit: impl FnMut(u32) -> Hit,
) -> Option<u32> {
    (1..=limit).find(|n| world.send(gap_ms, &hit(*n)))
}

#[test]
fn a_scanner_is_convicted_after_a_few_requests() {
    world(|world| {
        let requests =
            until_convicted(world, 100, 20, |n| get(99, &format!("/w{n}x"), 404)).unwrap();
        assert!(requests <= 10, "{requests}");
        let decision = world.decisions[0];
        assert_eq!(decision.threat, Threat::VulnerabilityScanning);
        assert_eq!(decision.key.kind, SourceKind::Client);
        assert_eq!(decision.ttl_ms, 3_600_000);
        let incident = world.engine.incident(decision.incident).unwrap();
        let explained = api_abuse_engine::explain::incident(incident);
        assert_eq!(explained["requests"], requests);
        assert_eq!(explained["findings"][0]["measure"], "rare_paths_missed");
        assert_eq!(explained["exemplars"].as_array().unwrap().len(), 5);
    });
}

#[test]
fn a_scanner_that_hides_among_honest_requests_is_convicted() {
    world(|world| {
        let requests = until_convicted(world, 400, 500, |n| match n % 5 {
            0 => get(99, &format!("/hidden{n}"), 404),
            k => get(99, &format!("/products/{k}.html"), 200),
        });
        assert!(requests.unwrap() <= 200, "{requests:?}");
    });
}

#[test]
fn changing_the_user_agent_with_each_request_does_not_help() {
    const AGENTS: [&str; 8] = ["a/1", "b/1", "c/1", "d/1", "e/1", "f/1", "g/1", "h/1"];
    world(|world| {
        let requests = until_convicted(world, 100, 50, |n| Hit {
            user_agent: AGENTS[n as usize % 8],
            ..get(99, &format!("/w{n}x"), 404)
        });
        assert!(requests.unwrap() <= 12, "{requests:?}");
        assert_eq!(world.decisions[0].key.kind, SourceKind::Address);
    });
}

#[test]
fn a_neighbour_at_the_same_address_is_not_denied() {
    world(|world| {
        let scanner = |n: u32| Hit { user_agent: "scan/1", ..get(3, &format!("/w{n}x"), 404) };
        let neighbour = get(3, "/products/1.html", 200);
        let mut n = 0;
        for _ in 0..60 {
            n += 1;
            world.send(30, &scanner(n));
            world.send(30, &neighbour);
        }
        let convicted: Vec<_> = world.decisions.iter().map(|d| d.key.discriminator).collect();
        assert!(convicted.contains(&SEED.table(b"scan/1")), "the scanner");
        assert!(world.decisions.iter().all(|d| d.key.kind == SourceKind::Client));
        assert!(!convicted.contains(&SEED.table(neighbour.user_agent.as_bytes())));
    });
}

#[test]
fn failed_logins_by_status_and_by_form() {
    for status in [401, 403, 422, 200] {
        world(|world| {
            for person in 1..6 {
                world.send(
                    5000,
                    &Hit { flags: flags::SETS_COOKIE, ..post(person, "/login", 302, 30) },
                );
            }
            let attempts =
                until_convicted(world, 100, 100, |n| post(99, "/login", status, 20 + n % 11))
                    .unwrap();
            assert!(attempts <= 16, "{status}: {attempts}");
            assert_eq!(world.decisions[0].threat, Threat::CredentialStuffing);
        });
    }
}

#[test]
fn guessed_basic_credentials() {
    world(|world| {
        let attempts = until_convicted(world, 100, 200, |n| Hit {
            credential: u64::from(n) + 1000,
            ..get(99, "/private/", 401)
        });
        assert!(attempts.unwrap() <= 16, "{attempts:?}");
    });
}

#[test]
fn a_stale_credential_repeated_for_a_day_is_not_stuffing() {
    world(|world| {
        for _ in 0..2880 {
            world.send(30_000, &Hit { credential: 5, ..get(50, "/api/items/1", 401) });
            world.send(10, &post(51, "/api/login", 401, 44));
        }
        assert!(world.decisions.is_empty());
    });
}

#[test]
fn an_office_on_monday_morning_is_not_stuffing() {
    world(|world| {
        for n in 0..600u32 {
            // 30 % of attempts fail, all from one address and one browser build.
            let status = if n % 10 < 3 { 401 } else { 200 };
            world.send(
                1500,
                &Hit { flags: flags::JSON, ..post(77, "/api/login", status, 30 + n % 17) },
            );
            world.send(300, &get(77, "/", 200));
        }
        assert!(world.decisions.is_empty());
    });
}

#[test]
fn a_login_that_fails_for_everybody_convicts_nobody() {
    world(|world| {
        for n in 0..2000u32 {
            let person = (n * 7 % 200) as u8;
            world.send(20, &get(person, "/", 200));
            world.send(20, &get(person, "/products/1.html", 200));
            world.send(40, &post(person, "/login", 401, 20 + n % 13));
        }
        assert!(world.decisions.len() <= 2, "{}", world.decisions.len());
    });
}

#[test]
fn a_broken_deploy_convicts_nobody() {
    world(|world| {
        for n in 0..3000u32 {
            let person = (n % 60) as u8;
            world.send(20, &get(person, &format!("/products/{}.html", n % 40), 404));
            world.send(5, &get(person, "/static/app.js", 404));
            world.send(5, &get(person, "/", 500));
        }
        assert!(world.decisions.is_empty());
    });
}

#[test]
fn phones_and_broken_pages_convict_nobody() {
    world(|world| {
        for person in 1..200 {
            for icon in
                ["/apple-touch-icon.png", "/apple-touch-icon-precomposed.png", "/favicon.ico"]
            {
                world.send(50, &get(person, icon, 404));
            }
            // A page that lost its images and links, opened for the first time by each.
            for n in 0..15 {
                let path = format!("/static/img/{person}-{n}.png");
                world.send(20, &Hit { referer: Some("/"), ..get(person, &path, 404) });
            }
            // Objects that are gone.
            for n in 0..10u32 {
                world.send(20, &get(person, &format!("/api/items/{}", 9000 + n), 404));
            }
        }
        assert!(world.decisions.is_empty());
    });
}

#[test]
fn evidence_survives_the_engine() {
    let mut memory = aligned(2 << 20);
    let config = || Config::new(SEED).with_application(b"shop");
    let mut decisions = 0;
    for n in 0..10 {
        let (engine, _) = Engine::attach(memory.bytes(), config()).unwrap();
        let mut world =
            World { engine, now_ms: 1_000_000 + n * 100, decisions: Vec::new(), records: 0 };
        world.send(1, &get(99, &format!("/w{n}x"), 404));
        decisions += world.decisions.len();
    }
    assert_eq!(decisions, 1, "a new engine over the same tables each time");
    let (mut engine, _) = Engine::attach(memory.bytes(), config()).unwrap();
    let mut again = Vec::new();
    engine.repeat_decisions(1_002_000, &mut again);
    assert_eq!(again.len(), 1);
    assert!(again[0].again);
}

#[test]
fn loopback_is_not_denied() {
    world(|world| {
        let hit = |n: u32| Hit { address: [127, 0, 0, 1], ..get(1, &format!("/w{n}x"), 404) };
        assert_eq!(until_convicted(world, 100, 20, hit), None);
    });
}

/// The number of requests until conviction, and that it was for this threat.
fn convicted_for(
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

fn json(hit: Hit) -> Hit {
    Hit { flags: flags::JSON, ..hit }
}

#[test]
fn accounts_in_bulk() {
    world(|world| {
        let requests = convicted_for(world, Threat::AccountCreation, 60, 500, |n| {
            post(99, "/register", 201, 60 + n % 9)
        });
        assert!(requests <= 15, "{requests}");
    });
}

#[test]
fn spam_in_bulk() {
    world(|world| {
        let requests =
            convicted_for(world, Threat::Spamming, 60, 250, |_| post(99, "/feedback", 201, 44));
        assert!(requests <= 20, "{requests}");
    });
}

#[test]
fn a_scalper_polls_and_reserves() {
    world(|world| {
        let requests = convicted_for(world, Threat::Scalping, 200, 125, |n| match n % 2 {
            0 => json(get(99, "/api/items/77", 200)),
            _ => json(post(99, "/cart", if n < 60 { 200 } else { 409 }, 7)),
        });
        assert!(requests <= 80, "{requests}");
    });
}

#[test]
fn a_catalogue_walked_by_number() {
    world(|world| {
        let requests = convicted_for(world, Threat::Scraping, 200, 50, |n| {
            json(get(99, &format!("/api/items/{n}"), 200))
        });
        assert!(requests <= 60, "{requests}");
    });
}

#[test]
fn pages_taken_without_a_breath() {
    world(|world| {
        let requests = convicted_for(world, Threat::Scraping, 300, 120, |n| {
            get(99, &format!("/products/{}.html", n * 7919 % 300), 200)
        });
        assert!(requests <= 60, "{requests}");
    });
}

#[test]
fn orders_of_others_walked_by_number() {
    world(|world| {
        let requests = convicted_for(world, Threat::Bola, 200, 50, |n| Hit {
            flags: flags::JSON | flags::AUTHORIZATION,
            credential: 77,
            ..get(99, &format!("/api/orders/{}", 1000 + n), 200)
        });
        assert!(requests <= 45, "{requests}");
    });
}

#[test]
fn an_expensive_call_kept_busy() {
    world(|world| {
        let requests = convicted_for(world, Threat::ResourceExhaustion, 2000, 31, |_| Hit {
            upstream_ms: 260,
            ..json(get(99, "/api/report", 200))
        });
        assert!(requests <= 900, "{requests} requests, {} s", requests * 31 / 1000);
    });
}

#[test]
fn monitors_batches_and_single_page_applications_convict_nobody() {
    world(|world| {
        for n in 0..20_000u32 {
            match n % 4 {
                0 => world.send(25, &get(60, "/health", 200)),
                1 => world.send(25, &json(get(61, &format!("/api/items/{}", n * 31 % 400), 200))),
                2 => world.send(25, &json(post(62, "/api/metrics", 204, 30))),
                _ => world.send(25, &json(get(63, "/api/notifications", 200))),
            };
        }
        assert!(world.decisions.is_empty(), "{:?}", world.decisions);
    });
}

#[test]
fn a_flash_crowd_convicts_nobody() {
    world(|world| {
        for n in 0..6000u32 {
            let person = (n * 37 % 150) as u8;
            world.send(10, &get(person, "/products/77.html", 200));
            world.send(
                5,
                &Hit { referer: Some("/products/77.html"), ..get(person, "/static/app.js", 200) },
            );
            if n % 3 == 0 {
                world.send(5, &json(post(person, "/cart", if n < 600 { 200 } else { 409 }, 7)));
            }
        }
        assert!(world.decisions.is_empty(), "{:?}", world.decisions);
    });
}

#[test]
fn a_class_that_registers_together_convicts_nobody() {
    world(|world| {
        for n in 0..30u32 {
            for path in ["/register", "/", "/products/1.html"] {
                world.send(700, &get(80, path, 200));
                world.send(100, &get(80, "/static/app.js", 200));
            }
            world.send(9000, &post(80, "/register", 201, 50 + n));
        }
        assert!(world.decisions.is_empty(), "{:?}", world.decisions);
    });
}

#[test]
fn support_staff_convicts_nobody() {
    world(|world| {
        for n in 0..800u32 {
            let staff = Hit {
                flags: flags::JSON | flags::AUTHORIZATION,
                credential: 5,
                ..get(90, &format!("/api/orders/{}", n * 7919 % 5000), 200)
            };
            world.send(8000, &staff);
            world.send(300, &json(get(90, "/api/customers", 200)));
        }
        assert!(world.decisions.is_empty(), "{:?}", world.decisions);
    });
}
