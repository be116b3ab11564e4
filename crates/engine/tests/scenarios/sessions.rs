//! A client stands for its only session, and what that must not change: who is denied, and what is known of a
//! session that goes elsewhere.

use std::collections::{HashMap, HashSet};

use api_abuse_engine::hash::combine;
use api_abuse_engine::sources::Source;
use api_abuse_engine::{Config, SourceKey, SourceKind, Threat};

use crate::world::*;

const ADDRESS: u32 = 0x0c00_0000;
const OTHER: &str = "Mozilla/5.0 Safari/18";

fn key(session: u64) -> SourceKey {
    SourceKey::session(get(1, "/", 200).session(session).session)
}

/// The evidence against a session that has a record of its own.
fn apart(world: &World<'_>, session: u64) -> Option<f32> {
    world.engine.evidence(shop(), key(session))
}

/// The client at an address.
fn client(world: &World<'_>, address: u32, agent: &str) -> Option<Source> {
    let hit = ask(address, "/", 200);
    let who = SourceKey::client(hit.octets(), SEED.table(agent.as_bytes()));
    world.engine.clients().find(|source| source.source_key() == Some(who)).copied()
}

fn shows(world: &World<'_>, address: u32) -> u64 {
    client(world, address, FIREFOX).map_or(0, |client| client.session)
}

fn config() -> Config {
    Config::new(SEED).with_application(b"shop")
}

/// A page that people look at, in no order.
fn page(address: u32, n: u32) -> Hit {
    ask(address, &format!("/products/{}.html", combine(u64::from(n), 2) % 5), 200)
}

/// Looks around: the first page without a session, as it is when an answer begins one.
fn visit(world: &mut World<'_>, address: u32, session: u64) {
    world.send(3, &ask(address, "/", 200));
    for n in 0..6 {
        world.send(1700, &page(address, n).session(session));
        world.send(200, &ask(address, "/static/app.js", 200).session(session));
    }
}

#[test]
fn the_only_session_of_a_client_takes_no_record() {
    world_with(config(), |world| {
        let (before, singles) = (world.engine.sources().0, world.engine.singles());
        for n in 0..50 {
            visit(world, ADDRESS + n, u64::from(n) + 1);
        }
        assert_eq!(world.engine.sources().0, before + 50, "clients alone");
        assert_eq!(world.engine.singles(), singles + 100, "their addresses and their sessions");
        assert_eq!(shows(world, ADDRESS), key(1).discriminator);
        // A second session of one of them, and a session that comes from a second client, have records.
        world.send(50, &ask(ADDRESS, "/", 200).session(777));
        assert_eq!([1, 777, 2].map(|n| apart(world, n).is_some()), [true, true, false]);
        world.send(50, &ask(ADDRESS + 1, "/", 200).session(2).agent(OTHER));
        assert!(apart(world, 2).is_some());
        assert_eq!([0, 1].map(|n| shows(world, ADDRESS + n)), [0; 2]);
        // So it stays: the next ones are told apart from the beginning.
        world.send(50, &ask(ADDRESS, "/", 200).session(778));
        assert!(apart(world, 778).is_some());
        assert!(world.decisions.is_empty());
    });
}

#[test]
fn a_session_that_was_suspected_is_followed_to_the_next_client() {
    world_with(config(), |world| {
        visit(world, ADDRESS, 9);
        assert_eq!(apart(world, 9), None);
        let mut n = 0;
        while apart(world, 9).is_none() {
            n += 1;
            world.send(50, &probe(ADDRESS, n).session(9));
        }
        assert!(n <= 4, "{n}: a little evidence is enough");
        let found = client(world, ADDRESS, FIREFOX).unwrap();
        let walks = found.walks[Threat::VulnerabilityScanning as usize];
        assert_eq!(apart(world, 9), world.engine.evidence(shop(), found.source_key().unwrap()));
        assert!(walks.peak() >= 2.0 && found.session == 0);
        // It begins elsewhere as it stands here.
        let before = apart(world, 9).unwrap();
        let (more, decision) = world
            .until_decided(30, 50, |n| probe(ADDRESS + 99, n).session(9).agent(OTHER))
            .unwrap();
        assert!(more + n <= 14 && before > 0.0, "{more} more than {n}");
        assert_eq!(decision.key, key(9), "wherever it comes from");
    });
}

/// What is held against a session is never more than a little of what was asked without it.
#[test]
fn what_others_do_behind_the_same_client_is_not_the_sessions() {
    world_with(config(), |world| {
        visit(world, ADDRESS, 9);
        let scanner = world.until_decided(30, 50, |n| {
            if n % 2 == 0 { page(ADDRESS, n).session(9) } else { probe(ADDRESS, n) }
        });
        let scanner = scanner.unwrap().1;
        assert_eq!((scanner.key.kind, scanner.key.network), (SourceKind::Client, 0xffff_0c00_0000));
        assert!(apart(world, 9).unwrap() < 2.0, "{:?}", apart(world, 9));
    });
}

/// A client that has been there for long has done more than the session that it shows now.
#[test]
fn a_session_that_comes_late_is_told_apart() {
    world_with(config(), |world| {
        (0..17).for_each(|n| assert!(world.send(1500, &page(ADDRESS, n)).is_none()));
        world.send(500, &page(ADDRESS, 3).session(9));
        assert!(apart(world, 9).is_some() && shows(world, ADDRESS) == 0);
        // Nor is one that begins at an address where somebody was convicted.
        world.until_decided(30, 50, |n| probe(ADDRESS + 5, n)).unwrap();
        world.send(50, &ask(ADDRESS + 5, "/", 200).agent(OTHER));
        world.send(50, &ask(ADDRESS + 5, "/", 200).agent("Mozilla/5.0 Chrome/1").session(10));
        assert!(apart(world, 10).is_some_and(|nats| nats < 1.0), "{:?}", apart(world, 10));
    });
}

/// Whoever comes from where, with whatever session: a client stands for one session at most, of which
/// it is the only client, and against which there is hardly anything; all others have records.
#[test]
fn nobody_stands_for_what_others_did() {
    let mut random = 5;
    let mut next = |below: u64| {
        random = combine(random, 7);
        (random >> 20) % below
    };
    let mut stood = 0;
    world_in(8 << 20, config(), |world| {
        let (mut sessions_of, mut clients_of) = (HashMap::new(), HashMap::new());
        for n in 0..20_000u32 {
            // Others come and go.
            let (address, agent) =
                (ADDRESS + n / 50 + next(30) as u32, [FIREFOX, OTHER][next(90) as usize / 89]);
            // Its own one mostly, sometimes anybody's, and none now and then.
            let session = match next(120) {
                0 => 1 + u64::from(n / 400) + next(30),
                1..12 => 0,
                _ => u64::from(address - ADDRESS) + 100 + 1000 * (next(400) / 399),
            };
            let hit = if next(60) == 0 { probe(address, n) } else { page(address, n) };
            let hit = hit.agent(agent);
            let hit = if session == 0 { hit } else { hit.session(session) };
            world.send(60, &hit);
            if session != 0 {
                let who = (address, agent);
                sessions_of.entry(who).or_insert_with(HashSet::new).insert(session);
                clients_of.entry(session).or_insert_with(HashSet::new).insert(who);
            }
            if n % 500 != 0 {
                continue;
            }
            let mut taken = HashSet::new();
            for client in world.engine.clients().filter(|client| client.session != 0) {
                stood += 1;
                assert!(client.peak() < 2.0 && client.convictions == 0, "{client:?}");
                assert!(taken.insert(client.session), "two clients stand for one session");
            }
            for (&session, clients) in &clients_of {
                let several =
                    clients.len() > 1 || clients.iter().any(|it| sessions_of[it].len() > 1);
                let single = taken.contains(&key(session).discriminator);
                assert!(!(several && single), "{session}");
                assert!(single || apart(world, session).is_some(), "{session} is forgotten");
            }
        }
    });
    assert!(stood > 300, "{stood}");
}
