//! What an operator wants done is what happens: reactions, sensitivities, times, lists, budget, lifts
//! and the narrowest key.

use crate::world::{Hit, PEOPLE, SEED, World, ask, guess, probe, shop, world_with};
use api_abuse_engine::application::State;
use api_abuse_engine::decision::OPERATOR_INCIDENT;
use api_abuse_engine::fusion::Sensitivity;
use api_abuse_engine::policy::{Reaction, Repeat, ThreatPolicy};
use api_abuse_engine::record::Verdict;
use api_abuse_engine::{Action, CidrSet, Config, Decision, Policy, SourceKey, SourceKind, Threat};

const HOUR_MS: u64 = 3_600_000;
const SCANNER: u32 = 0xc000_0263;

fn with(policy: Policy) -> Config {
    Config { policy, ..Config::new(SEED) }.with_application(b"shop")
}

fn all(reaction: Reaction, sensitivity: Sensitivity) -> Policy {
    Policy::default().with_all(ThreatPolicy { reaction, sensitivity, ttl_ms: HOUR_MS })
}

fn cidrs(text: &str) -> CidrSet {
    text.split(' ').map(|cidr| cidr.parse().unwrap()).collect()
}

fn scan(world: &mut World<'_>, limit: u32) -> Option<(u32, Decision)> {
    let seen = world.records as u32;
    world.until_decided(limit, 20, |n| probe(SCANNER, seen + n))
}

#[test]
fn reactions() {
    for reaction in Reaction::ALL {
        world_with(with(all(reaction, Sensitivity::Normal)), |world| {
            let decided = scan(world, 200);
            let Some((requests, decision)) = decided else {
                assert_eq!(reaction, Reaction::Off);
                return;
            };
            assert!(requests <= 12);
            assert_eq!((decision.action, decision.tripped), (reaction.action(), false));
            let incident = world.engine.incident(decision.incident).unwrap();
            assert_eq!(incident.action, reaction.action() as u8);
            assert_eq!(scan(world, 200).map(|(n, _)| n), None, "it is said once");
            let counted: u64 = world.engine.applications()[0].decisions[5].iter().sum();
            assert_eq!(counted, 1);
            let mut held = Vec::new();
            world.engine.repeat_decisions(world.now_ms, &mut held);
            assert_eq!(held.len(), usize::from(reaction.acts()));
        });
    }
}

#[test]
fn an_application_has_a_policy_of_its_own() {
    let mut config = Config::new(SEED).with_application(b"shop");
    config.applications[0].policy = all(Reaction::Throttle, Sensitivity::Normal);
    world_with(config, |world| assert_eq!(scan(world, 50).unwrap().1.action, Action::Throttle));
    let other = Config::new(SEED).with_application(b"another");
    world_with(other, |world| assert_eq!(scan(world, 50).unwrap().1.action, Action::Deny));
}

#[test]
fn more_sensitive_is_sooner() {
    let requests = Sensitivity::ALL
        .map(|sensitivity| world_with(with(all(Reaction::Deny, sensitivity)), |w| scan(w, 100)))
        .map(|decided| decided.unwrap().0);
    assert!(requests[0] >= requests[1] && requests[1] >= requests[2], "{requests:?}");
    assert!(requests[0] > requests[2], "{requests:?}");
}

#[test]
fn a_watched_threat_does_not_shield_another() {
    let mut policy = Policy::default();
    policy.threats[Threat::VulnerabilityScanning as usize].reaction = Reaction::Monitor;
    world_with(with(policy), |world| {
        let (_, watched) = scan(world, 50).unwrap();
        assert_eq!(watched.action, Action::Monitor);
        let guesses = world.until_decided(60, 200, |n| guess(SCANNER, n)).unwrap();
        assert_eq!(guesses.1.threat, Threat::CredentialStuffing);
        assert_eq!(guesses.1.action, Action::Deny);
    });
}

#[test]
fn allowed_addresses_are_not_judged() {
    let allow = cidrs("192.0.2.0/24 2001:db8::/32");
    world_with(with(Policy { allow, ..Policy::default() }), |world| {
        assert!(scan(world, 300).is_none());
        let neighbour = world.until_decided(300, 20, |n| probe(0xc000_0300, n));
        assert!(neighbour.is_some(), "the next network is");
    });
}

#[test]
fn trusted_proxies_are_not_denied() {
    let config = |deny_loopback| Config {
        never_deny: cidrs("192.0.2.99"),
        deny_loopback,
        ..with(Policy::default())
    };
    world_with(config(false), |world| {
        assert!(scan(world, 300).is_none());
        assert_eq!(world.engine.applications()[0].would_deny[1], 1, "but counted");
    });
    // That loopback may be denied says nothing about proxies.
    world_with(config(true), |world| assert!(scan(world, 300).is_none()));
}

#[test]
fn each_further_denial_lasts_longer() {
    let repeat = Repeat { factor: 3.0, max_ms: 5 * HOUR_MS };
    let policy = all(Reaction::Deny, Sensitivity::Normal);
    world_with(with(Policy { repeat, ..policy }), |world| {
        for (n, hours) in [1, 3, 5, 5].into_iter().enumerate() {
            let (requests, decision) = scan(world, 50).unwrap();
            let middle = hours * HOUR_MS;
            let jitter = if n == 0 { 0 } else { middle / 10 };
            let ttl_ms = decision.ttl_ms;
            assert!(ttl_ms.abs_diff(middle) <= jitter, "{n}: {ttl_ms}");
            assert!(n == 0 || requests <= 6, "half of the evidence stays: {requests}");
            assert!(scan(world, 50).is_none(), "held");
            world.now_ms = decision.since_ms + ttl_ms;
        }
    });
}

#[test]
fn a_lifted_source_is_not_denied_for_the_same_again() {
    world_with(with(Policy::default()), |world| {
        let (_, decision) = scan(world, 50).unwrap();
        let lifted = world.engine.lift(shop(), decision.key, world.now_ms).unwrap();
        assert_eq!((lifted.threat, lifted.grace_ms), (decision.threat, HOUR_MS / 2));
        assert_eq!(world.engine.lift(shop(), decision.key, world.now_ms), None, "only once");
        let lifted_ms = world.now_ms;
        let mut said = 0;
        while world.now_ms < lifted_ms + HOUR_MS / 2 - 20_000 {
            if let Some(again) = world.send(15_000, &probe(SCANNER, world.records as u32)) {
                assert_eq!(again.action, Action::Monitor);
                said += 1;
            }
        }
        assert_eq!(said, 1, "it is said that it goes on");
        world.now_ms = lifted_ms + HOUR_MS / 2 + 1000;
        let (_, again) = scan(world, 50).unwrap();
        assert_eq!((again.action, again.ttl_ms), (Action::Deny, HOUR_MS), "as for the first time");
    });
}

#[test]
fn a_lifted_source_that_does_something_new_is_denied() {
    world_with(with(Policy::default()), |world| {
        let (_, decision) = scan(world, 50).unwrap();
        world.engine.lift(shop(), decision.key, world.now_ms).unwrap();
        let (_, new) = world.until_decided(60, 200, |n| guess(SCANNER, n)).unwrap();
        assert_eq!((new.threat, new.action), (Threat::CredentialStuffing, Action::Deny));
    });
}

#[test]
fn allowing_a_network_lifts_what_is_in_it() {
    world_with(with(Policy::default()), |world| {
        let (_, decision) = scan(world, 50).unwrap();
        let mut lifted = Vec::new();
        world.engine.lift_all(&cidrs("198.51.100.0/24"), world.now_ms, &mut lifted);
        assert!(lifted.is_empty());
        world.engine.lift_all(&cidrs("192.0.2.0/24"), world.now_ms, &mut lifted);
        assert_eq!(lifted.iter().map(|lifted| lifted.key).collect::<Vec<_>>(), [decision.key]);
    });
}

/// A botnet of `bots` addresses, one after the other; how many were denied, spared.
fn botnet(world: &mut World<'_>, bots: core::ops::Range<u32>) -> (u32, u32) {
    let (mut denied, mut spared) = (0, 0);
    for bot in bots {
        let Some((_, decision)) = world.until_decided(40, 1, |n| probe(0x0b00_0000 + bot, n))
        else {
            panic!("bot {bot} was not seen");
        };
        assert_eq!(decision.tripped, decision.action == Action::Monitor);
        denied += u32::from(!decision.tripped);
        spared += u32::from(decision.tripped);
    }
    (denied, spared)
}

fn state(world: &World<'_>) -> State {
    State::from_u8(world.engine.applications()[0].state as u8)
}

#[test]
fn the_budget_stops_denials_and_lets_them_begin_again() {
    world_with(with(Policy { budget_floor: 20.0, ..Policy::default() }), |world| {
        world.people(PEOPLE..PEOPLE + 800);
        let (denied, spared) = botnet(world, 0..120);
        assert!((30..=55).contains(&denied), "five percent of 800: {denied}");
        assert_eq!(denied + spared, 120);
        assert_eq!(state(world), State::Tripped);
        assert_eq!(world.engine.applications()[0].trips, 1);
        for _ in 0..40 {
            world.now_ms += 60_000;
            world.people(PEOPLE..PEOPLE + 800);
        }
        assert_eq!(state(world), State::Learning, "as before");
        assert!(!scan(world, 50).unwrap().1.tripped);
        let bot = world.until_decided(5, 1, |n| probe(0x0b00_0000 + 119, n + 100)).unwrap();
        assert_eq!(bot.1.action, Action::Deny, "spared, and goes on");
    });
}

#[test]
fn a_small_shop_can_deny_a_few() {
    world_with(with(Policy { budget_floor: 20.0, ..Policy::default() }), |world| {
        assert_eq!(botnet(world, 0..15), (15, 0));
        let (denied, spared) = botnet(world, 15..215);
        assert!(denied < 30 && spared > 150, "beyond that it is the fail-safe: {denied}");
    });
}

#[test]
fn changing_the_user_agent_does_not_open_the_breaker() {
    const AGENTS: [&str; 6] = ["a/1", "b/1", "c/1", "d/1", "e/1", "f/1"];
    world_with(with(Policy::default()), |world| {
        for n in 0..3000u32 {
            let hit = probe(SCANNER, n).agent(AGENTS[n as usize % 6]);
            world.send(50, &hit);
        }
        assert!(!world.decisions.is_empty());
        assert!(world.decisions.iter().all(|decision| decision.action == Action::Deny));
    });
}

#[test]
fn a_session_that_changes_addresses_is_denied_as_a_session() {
    world_with(with(Policy::default()), |world| {
        let (requests, decision) =
            world.until_decided(100, 50, |n| probe(0x0c00_0000 + n, n).session(9)).unwrap();
        assert!(requests <= 14, "{requests}");
        assert_eq!(decision.key, SourceKey::session(probe(1, 1).session(9).session));
        let moved = world.send(50, &probe(0x0d00_0000, 7).session(9));
        assert!(moved.is_none() && world.decisions.len() == 1, "held wherever it comes from");
    });
}

#[test]
fn a_session_among_well_behaved_ones_of_the_same_client_is_denied_alone() {
    world_with(with(Policy::default()), |world| {
        for round in 0..6u32 {
            for session in 1..5 {
                let path = format!("/products/{round}.html");
                world.send(400, &ask(SCANNER, &path, 200).session(session));
                world.send(400, &ask(SCANNER, "/", 200).session(session));
                world.send(400, &ask(SCANNER, "/static/app.js", 200).session(session));
            }
        }
        let mut decided = None;
        for n in 0..200u32 {
            decided = decided.or(world.send(50, &probe(SCANNER, n).session(9)));
            world.send(50, &ask(SCANNER, "/", 200).session(1 + u64::from(n) % 4));
        }
        assert_eq!(decided.unwrap().key, SourceKey::session(probe(1, 1).session(9).session));
        assert_eq!(world.decisions.len(), 1, "{:?}", world.decisions);
    });
}

#[test]
fn a_client_that_makes_up_sessions_is_denied_as_a_client() {
    world_with(with(Policy::default()), |world| {
        let hit = |n: u32| probe(SCANNER, n).session(u64::from(n));
        let (requests, decision) = world.until_decided(100, 50, hit).unwrap();
        assert!(requests <= 12, "{requests}");
        assert_eq!(decision.key.kind, SourceKind::Client);
        let one = world.until_decided(100, 50, |n| probe(SCANNER + 1, n).session(777)).unwrap();
        assert_eq!(one.1.key.kind, SourceKind::Client, "one session is its client");
    });
}

#[test]
fn denied_records_teach_nothing_but_count_as_clients() {
    world_with(with(Policy::default()), |world| {
        let before = world.engine.budget_share(shop()).unwrap();
        for n in 0..50 {
            world.send(5, &Hit { verdict: Verdict::Denied, ..probe(0x0e00_0000 + n, n) });
        }
        let after = world.engine.budget_share(shop()).unwrap();
        assert!(before.denied < 1.0 && (45.0..55.0).contains(&after.denied), "{after:?}");
        assert!((before.others - after.others).abs() < 3.0);
        // Not whom an operator denies: the breaker has nothing to do with that.
        for n in 0..500 {
            let (verdict, incident) = (Verdict::Denied, OPERATOR_INCIDENT | 7);
            world.send(5, &Hit { verdict, incident, ..probe(0x0f00_0000 + n, n) });
        }
        let share = world.engine.budget_share(shop()).unwrap();
        assert!((45.0..55.0).contains(&share.denied), "{share:?}");
        // What an incident stands behind is the module's own answer, whatever it was called.
        for n in 0..50 {
            world.send(5, &Hit { incident: 7, ..probe(0x0e00_0100, n) });
        }
        assert!(world.decisions.is_empty());
        assert!(world.until_decided(40, 5, |n| probe(0x0e00_0200, n)).is_some(), "but these do");
    });
}

#[test]
fn a_convicted_source_that_is_served_is_said_again() {
    world_with(with(Policy::default()), |world| {
        let decision = scan(world, 200).unwrap().1;
        let missed = |world: &mut World<'_>| {
            let mut missed = Vec::new();
            world.engine.repeat_unenforced(&mut missed);
            missed
        };
        assert!(missed(world).is_empty());
        for _ in 0..100 {
            world.send(20, &ask(SCANNER, "/", 200));
        }
        let again = missed(world);
        assert!((2..=3).contains(&again.len()), "once a second: {again:?}");
        assert_eq!(
            format!("{:?}", again[0]),
            format!("{:?}", Decision { again: true, ..decision })
        );
        assert!(missed(world).is_empty());
        // Who is denied is not missed, nor is a stranger.
        let denied = Hit { verdict: Verdict::Denied, ..ask(SCANNER, "/", 200) };
        world.send(1000, &denied);
        world.send(1000, &ask(PEOPLE, "/", 200));
        assert!(missed(world).is_empty());
        // It ends when an operator wants it to.
        let until_ms = world.now_ms + 5000;
        let hold = |world: &mut World<'_>, key| {
            world.engine.hold_until(shop(), key, until_ms, world.now_ms)
        };
        assert!(hold(world, decision.key) && !hold(world, SourceKey::address([9; 16])));
        world.send(1000, &ask(SCANNER, "/", 200));
        let again = missed(world);
        assert_eq!((again.len(), again[0].since_ms + again[0].ttl_ms), (1, until_ms));
        world.send(5000, &ask(SCANNER, "/", 200));
        assert!(missed(world).is_empty());
    });
}
