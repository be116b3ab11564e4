//! What an engine knows survives a restart, a reboot and tables of another size; nothing else does.

use crate::world::{
    Hit, Memory, PEOPLE, SEED, World, ask, guess, probe, shop, world_in, world_with,
};
use api_abuse_engine::application::State;
use api_abuse_engine::checkpoint::{self, CheckpointError, Loaded};
use api_abuse_engine::hash::{Seed, combine};
use api_abuse_engine::profiles::{Feature, Learner};
use api_abuse_engine::{Action, Config, Decision, Engine, Policy, SourceKey, Threat};

const HOUR_MS: u64 = 3_600_000;
const WALL_MS: u64 = 1_900_000_000_000;

fn config() -> Config {
    Config::new(SEED).with_application(b"shop")
}

fn save(world: &World<'_>, wall_ms: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    world.engine.save(world.now_ms, wall_ms, &mut |piece| bytes.extend_from_slice(piece));
    bytes
}

/// What was learned of the requests of a day.
fn learned(world: &World<'_>) -> Learner {
    *world.engine.profile(shop()).unwrap().learner(Feature::Requests)
}

/// Goes on with another engine that has loaded `bytes`.
fn resume<R>(
    bytes: &[u8],
    size: usize,
    now_ms: u64,
    wall_ms: u64,
    test: impl FnOnce(&mut World<'_>, Loaded) -> R,
) -> R {
    let mut memory = Memory::new(size);
    let (mut engine, _) = Engine::attach(memory.bytes(), config()).unwrap();
    let loaded = engine.load(bytes, now_ms, wall_ms).unwrap();
    test(&mut World { engine, now_ms, decisions: Vec::new(), records: 0 }, loaded)
}

/// People, a denied scanner, one that is half way, a lifted one, logins: a bit of everything.
fn history(world: &mut World<'_>) {
    for round in 0..8 {
        world.people(PEOPLE..PEOPLE + 40);
        for person in 0..40 {
            let status = if combine(u64::from(person), round) % 6 == 0 { 401 } else { 200 };
            world.send(900, &Hit { status, ..guess(PEOPLE + person, 0) });
        }
    }
    let denied = world.until_decided(40, 50, |n| probe(1, n)).unwrap().1;
    assert_eq!(denied.action, Action::Deny);
    (0..5).for_each(|n| assert!(world.send(50, &probe(2, n)).is_none()));
    (0..7).for_each(|n| assert!(world.send(300, &guess(3, n)).is_none()));
    let lifted = world.until_decided(40, 50, |n| probe(4, n)).unwrap().1;
    world.engine.lift(shop(), lifted.key, world.now_ms).unwrap();
}

/// What comes after: attackers go on, others begin, people stay.
fn future(world: &mut World<'_>) -> Vec<(u32, Decision)> {
    let mut decided = Vec::new();
    for n in 100..140u32 {
        let hits = [
            probe(1, n),
            probe(2, n),
            guess(3, n),
            probe(4, n),
            probe(5, n),
            ask(6, &format!("/api/items/{n}"), 200),
            ask(PEOPLE + n % 40, &format!("/products/{}.html", n % 40), 200),
        ];
        for hit in hits {
            decided.extend(world.send(120, &hit).map(|decision| (n, decision)));
        }
    }
    decided
}

fn told(decided: &[(u32, Decision)]) -> Vec<(u32, u64, Threat, Action, u64, u64)> {
    let told =
        |(n, d): &(u32, Decision)| (*n, d.key.network, d.threat, d.action, d.ttl_ms, d.since_ms);
    decided.iter().map(told).collect()
}

#[test]
fn the_same_records_lead_to_the_same_decisions() {
    world_with(config(), |world| {
        history(world);
        let bytes = save(world, WALL_MS);
        let now_ms = world.now_ms;
        let samples = learned(world);
        assert_eq!(samples.today.total(), 3, "as many of one network as may: {samples:?}");
        let expected = future(world);
        assert!(expected.len() >= 3, "{expected:?}");
        resume(&bytes, 2 << 20, now_ms, WALL_MS, |resumed, loaded| {
            assert_eq!((loaded.dropped, loaded.notes.len(), loaded.gap_ms), (0, 0, 0));
            assert!(loaded.sources > 40 && loaded.nodes >= 8 && loaded.denied == 1);
            assert_eq!(learned(resumed), samples);
            assert_eq!(told(&future(resumed)), told(&expected));
            let first = resumed.engine.applications()[0];
            assert!(first.requests[0] > 500 && first.name() == "shop");
        });
    });
}

/// A session that its client stands for goes on as it was, from the same client and from another; state of an
/// older version does not know of it.
#[test]
fn the_session_of_a_client_survives() {
    let visit = |world: &mut World<'_>, address: u32, n: u32| {
        let path = ["/", "/static/app.js", "/products/1.html"][n as usize % 3];
        world.send(1900, &ask(address, path, 200).session(9))
    };
    let session = SourceKey::session(ask(1, "/", 200).session(9).session);
    let (bytes, now_ms) = world_with(config(), |world| {
        (0..20).for_each(|n| assert!(visit(world, PEOPLE + 77, n).is_none()));
        for page in ["/products/11.html", "/products/31.html"] {
            world.send(500, &ask(PEOPLE + 77, page, 200).session(9));
        }
        assert_eq!(world.engine.evidence(shop(), session), None, "its client stands for it");
        (save(world, WALL_MS), world.now_ms)
    });
    let seen = |world: &mut World<'_>| {
        visit(world, PEOPLE + 77, 3);
        let before = world.engine.evidence(shop(), session);
        visit(world, PEOPLE + 78, 5);
        (before, world.engine.evidence(shop(), session))
    };
    resume(&bytes, 2 << 20, now_ms, WALL_MS, |world, _| {
        let (before, after) = seen(world);
        assert!(before.is_none() && after.is_some_and(|nats| nats > 0.0), "{after:?}");
    });
    let older = without_sessions(&bytes);
    assert!(older.len() < bytes.len());
    let version = |bytes: &[u8]| checkpoint::inspect(bytes).unwrap().version;
    assert_eq!((version(&older), version(&bytes)), (1, 2));
    resume(&older, 2 << 20, now_ms, WALL_MS, |world, loaded| {
        assert!(loaded.sources > 3 && loaded.notes.is_empty() && loaded.dropped == 0, "{loaded:?}");
        assert_eq!(seen(world), (Some(0.0), Some(0.0)), "it is told apart from now on");
    });
}

/// The checkpoint as version 1 was, when sources had no session at their end.
fn without_sessions(bytes: &[u8]) -> Vec<u8> {
    const SOURCES: u32 = 3;
    let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let mut older = bytes[..48].to_vec();
    let mut at = 48;
    while at < bytes.len() {
        let (tag, element) = (word(at) as u32, (word(at) >> 32) as usize);
        let (data, length) = (at + 24, word(at + 16) as usize);
        let end = (data + length).next_multiple_of(8);
        if tag == SOURCES {
            let kept =
                bytes[data..data + length].chunks_exact(element).map(|it| &it[..element - 8]);
            let kept: Vec<u8> = kept.flatten().copied().collect();
            older.extend((u64::from(tag) | (element as u64 - 8) << 32).to_le_bytes());
            older.extend(&bytes[at + 8..at + 16]);
            older.extend((kept.len() as u64).to_le_bytes());
            older.extend(kept);
        } else {
            older.extend(&bytes[at..end]);
        }
        at = end;
    }
    older[8..12].copy_from_slice(&1u32.to_le_bytes());
    checkpoint::testing::seal(&mut older);
    older
}

#[test]
fn a_reboot_moves_times_and_keeps_what_was_learned() {
    let bytes = world_with(config(), |world| {
        history(world);
        world.now_ms += 25 * HOUR_MS;
        world.people(PEOPLE..PEOPLE + 5);
        let denied = world.until_decided(40, 50, |n| probe(7, n)).unwrap().1;
        assert_eq!(State::from_u8(world.engine.applications()[0].state as u8), State::Ready);
        world.now_ms = denied.since_ms;
        save(world, WALL_MS)
    });
    // The machine came up a minute ago; 20 minutes of the hour are over.
    resume(&bytes, 2 << 20, 60_000, WALL_MS + HOUR_MS / 3, |world, loaded| {
        assert_eq!((loaded.gap_ms, loaded.denied), (HOUR_MS / 3, 1));
        let mut held = Vec::new();
        world.engine.repeat_decisions(world.now_ms, &mut held);
        assert_eq!(held.len(), 1);
        assert_eq!(State::from_u8(world.engine.applications()[0].state as u8), State::Ready);
        world.send(10, &ask(PEOPLE, "/", 200));
        assert_eq!(State::from_u8(world.engine.applications()[0].state as u8), State::Ready);
        assert!(world.send(10, &probe(7, 200)).is_none(), "held");
        world.now_ms = 60_000 + HOUR_MS * 2 / 3 + 1000;
        let again = world.until_decided(10, 50, |n| probe(7, 300 + n)).unwrap().1;
        assert!(again.ttl_ms > HOUR_MS * 3 / 2, "its second time: {}", again.ttl_ms);
    });
    // The wall clock went backwards: nothing is shorter than it was, or longer.
    resume(&bytes, 2 << 20, 1_000_000, WALL_MS - 99 * HOUR_MS, |world, loaded| {
        assert_eq!((loaded.gap_ms, loaded.denied), (0, 1));
        world.now_ms = 1_000_000 + HOUR_MS + 1000;
        let again = world.until_decided(40, 50, |n| probe(7, 300 + n));
        assert!(again.is_some());
    });
    // It leapt ahead by a thousand years.
    resume(&bytes, 2 << 20, 5, WALL_MS * 18, |_, loaded| {
        assert_eq!((loaded.gap_ms, loaded.denied), (checkpoint::GAP_MAX_MS, 0));
    });
}

#[test]
fn an_open_circuit_breaker_stays_open() {
    let policy = Policy { budget_floor: 20.0, ..Policy::default() };
    let state = |world: &World<'_>| State::from_u8(world.engine.applications()[0].state as u8);
    let config = Config { policy, ..Config::new(SEED) }.with_application(b"shop");
    let (bytes, now_ms) = world_with(config.clone(), |world| {
        world.people(PEOPLE..PEOPLE + 800);
        for bot in 0..80 {
            world.until_decided(40, 1, |n| probe(0x0b00_0000 + bot, n)).unwrap();
        }
        assert_eq!(state(world), State::Tripped);
        (save(world, WALL_MS), world.now_ms)
    });
    let mut memory = Memory::new(2 << 20);
    let (mut engine, _) = Engine::attach(memory.bytes(), config).unwrap();
    engine.load(&bytes, now_ms, WALL_MS).unwrap();
    let mut world = World { engine, now_ms, decisions: Vec::new(), records: 0 };
    world.people(PEOPLE..PEOPLE + 5);
    let spared = world.until_decided(40, 1, |n| probe(0x0c00_0000, n)).unwrap().1;
    assert!(spared.tripped && spared.action == Action::Monitor, "{spared:?}");
    assert_eq!(state(&world), State::Tripped);
    for _ in 0..40 {
        world.now_ms += 60_000;
        world.people(PEOPLE..PEOPLE + 800);
    }
    let denied = world.until_decided(40, 1, |n| probe(0x0c00_0001, n)).unwrap().1;
    assert_eq!((denied.tripped, denied.action), (false, Action::Deny), "and closes again");
}

#[test]
fn an_open_circuit_breaker_waits_for_its_time_while_nobody_watches() {
    let policy = Policy { budget_floor: 20.0, ..Policy::default() };
    let state = |world: &World<'_>| State::from_u8(world.engine.applications()[0].state as u8);
    let config = Config { policy, ..Config::new(SEED) }.with_application(b"shop");
    let (mut bytes, mut now_ms) = world_with(config.clone(), |world| {
        world.people(PEOPLE..PEOPLE + 200);
        for bot in 0..80 {
            world.until_decided(40, 1, |n| probe(0x0b00_0000 + bot, n)).unwrap();
        }
        assert_eq!(state(world), State::Tripped);
        (save(world, WALL_MS), world.now_ms)
    });
    let mut wall_ms = WALL_MS;
    // Quiet, but not for as long as it should be; then it was.
    for (minutes, expected) in [(25, State::Tripped), (5, State::Tripped), (6, State::Learning)] {
        wall_ms += minutes * 60_000;
        let mut memory = Memory::new(2 << 20);
        let (mut engine, _) = Engine::attach(memory.bytes(), config.clone()).unwrap();
        engine.load(&bytes, now_ms, wall_ms).unwrap();
        let mut world = World { engine, now_ms, decisions: Vec::new(), records: 0 };
        let before = if minutes == 6 { State::Tripped } else { expected };
        assert_eq!(state(&world), before, "{minutes}, before anybody came");
        world.people(PEOPLE..PEOPLE + 5);
        assert_eq!(state(&world), expected, "{minutes}");
        (bytes, now_ms) = (save(&world, wall_ms), world.now_ms);
    }
}

#[test]
fn tables_of_another_size() {
    let bytes = world_with(config(), |world| {
        history(world);
        save(world, WALL_MS)
    });
    for size in [1 << 20, 16 << 20] {
        resume(&bytes, size, 50_000_000, WALL_MS, |world, loaded| {
            assert!(loaded.notes.len() == 1 && loaded.denied == 1, "{loaded:?}");
            assert!(loaded.sources > 40 && loaded.nodes >= 8);
            assert!(world.send(50, &probe(1, 99)).is_none(), "held");
            let half = world.until_decided(20, 50, |n| probe(2, 200 + n)).unwrap().0;
            let fresh = world.until_decided(20, 50, |n| probe(8, 200 + n)).unwrap().0;
            assert!(half < fresh, "evidence was kept: {half}, {fresh}");
        });
    }
}

#[test]
fn what_is_no_checkpoint_is_refused() {
    let bytes = world_with(config(), |world| {
        history(world);
        save(world, WALL_MS)
    });
    let summary = checkpoint::inspect(&bytes).unwrap();
    assert_eq!((summary.seed, summary.wall_ms), (SEED, WALL_MS));
    let mut memory = Memory::new(2 << 20);
    let (mut engine, _) = Engine::attach(memory.bytes(), config()).unwrap();
    let mut refuse = |bytes: &[u8]| engine.load(bytes, 1, WALL_MS).unwrap_err();
    assert_eq!(refuse(b""), CheckpointError::Foreign);
    assert_eq!(refuse(&[7; 4096]), CheckpointError::Foreign);
    for cut in [48, 60, 1000, bytes.len() / 2, bytes.len() - 8, bytes.len() - 1] {
        assert!(matches!(refuse(&bytes[..cut]), CheckpointError::Torn(_)), "{cut}");
    }
    let mut longer = bytes.clone();
    longer.extend_from_slice(&[0; 8]);
    assert!(matches!(refuse(&longer), CheckpointError::Torn(_)));
    let mut newer = bytes.clone();
    newer[8] = 9;
    assert_eq!(refuse(&newer), CheckpointError::Version(9));
    let mut damaged = bytes.clone();
    damaged[bytes.len() / 2] ^= 1;
    assert_eq!(refuse(&damaged), CheckpointError::Checksum);
    let mut memory = Memory::new(1 << 20);
    let (mut other, _) = Engine::attach(memory.bytes(), Config::new(Seed([5, 6]))).unwrap();
    assert_eq!(other.load(&bytes, 1, WALL_MS), Err(CheckpointError::Seed));
    assert_eq!(other.applications()[0].key, 0, "nothing was changed");
}

/// Damage that the checksum does not show, because whoever did it made a new one: it is read or refused,
/// and the engine goes on.
#[test]
fn hostile_checkpoints_do_no_harm() {
    let bytes = world_in(1 << 20, config(), |world| {
        history(world);
        save(world, WALL_MS)
    });
    let mut memory = Memory::new(1 << 20);
    let (engine, _) = Engine::attach(memory.bytes(), config()).unwrap();
    // All into one engine, whose tables take in whatever the last one brought.
    let mut world = World { engine, now_ms: 0, decisions: Vec::new(), records: 0 };
    let (mut read, mut refused) = (0, 0);
    let mut random = 77;
    let mut next = |below: usize| {
        random = combine(random, 5);
        (random >> 11) as usize % below
    };
    for _ in 0..3000 {
        let mut bytes = bytes.clone();
        for _ in 0..=next(30) {
            let at = 48 + next(bytes.len() - 64);
            let value = [0, 1, 0x7f, 0x80, 0xff, next(256) as u8][next(6)];
            let length = [1, 1, 8, 64][next(4)].min(bytes.len() - 16 - at);
            bytes[at..at + length].fill(value);
        }
        if next(2) == 0 {
            checkpoint::testing::seal(&mut bytes);
        }
        world.now_ms = [5, 20_000_000, u64::MAX / 2][next(3)];
        match world.engine.load(&bytes, world.now_ms, WALL_MS) {
            Ok(_) if next(8) == 0 => {
                read += 1;
                future(&mut world);
            }
            Ok(_) => read += 1,
            Err(error) => {
                refused += 1;
                assert!(!error.to_string().is_empty());
            }
        }
    }
    assert!(read > 300 && refused > 300, "{read} read, {refused} refused");
}

#[test]
fn a_policy_of_now_judges_what_was_learned_before() {
    let bytes = world_with(config(), |world| {
        history(world);
        save(world, WALL_MS)
    });
    let mut memory = Memory::new(2 << 20);
    let policy = Policy { learning_ms: 1000, ..Policy::default() };
    let config = Config { policy, ..Config::new(SEED) };
    let (mut engine, _) = Engine::attach(memory.bytes(), config).unwrap();
    engine.load(&bytes, 99, WALL_MS).unwrap();
    assert_eq!(State::from_u8(engine.applications()[0].state as u8), State::Ready);
}
