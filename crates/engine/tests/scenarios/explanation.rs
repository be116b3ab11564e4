//! What a conviction says of itself: the same for the same records, with what was considered, and what
//! each sensitivity would have done.

use crate::world::{Hit, PEOPLE, SEED, World, ask, guess, probe, world_with};
use api_abuse_engine::decision::{Finding, Incident, LEARNED};
use api_abuse_engine::explain::incident;
use api_abuse_engine::fusion::Sensitivity;
use api_abuse_engine::policy::{Reaction, ThreatPolicy};
use api_abuse_engine::{Action, Config, Policy};
use serde_json::Value;

/// Attackers' addresses begin here.
const ATTACKERS: u32 = 0x0b00_0000;
const OFFICE: u32 = 0x0c00_0000;

fn config(all: ThreatPolicy) -> Config {
    let policy = Policy::default().with_all(all);
    Config { policy, ..Config::new(SEED) }.with_application(b"shop")
}

/// Scanners and guessers of different stamina among people; what each conviction says.
fn attacks(world: &mut World<'_>) -> Vec<Value> {
    for n in 0..40u32 {
        for attacker in 0..24 {
            if n > 4 + attacker {
                continue;
            }
            let hit = match attacker % 3 {
                0 => probe(ATTACKERS + attacker, n),
                1 => guess(ATTACKERS + attacker, n),
                _ if n % 2 == 0 => ask(ATTACKERS + attacker, "/products/3.html", 200),
                _ => probe(ATTACKERS + attacker, n),
            };
            world.send(40, &hit);
        }
        world.people(PEOPLE..PEOPLE + 20);
    }
    let told =
        world.decisions.iter().map(|it| incident(world.engine.incident(it.incident).unwrap()));
    told.collect()
}

#[test]
fn the_same_records_say_the_same() {
    let [first, second] = [(); 2].map(|()| world_with(config(ThreatPolicy::default()), attacks));
    assert!(first.len() >= 5, "{first:?}");
    assert_eq!(first, second);
    for told in &first {
        let (evidence, threshold) = (told["evidence"].as_f64(), told["threshold"].as_f64());
        assert!(evidence >= threshold && threshold > Some(20.0), "{told}");
        assert_eq!(told["profile_version"], 0, "nothing was learned yet: {told}");
        for finding in told["findings"].as_array().unwrap() {
            assert_eq!(finding["normal_from"], "shipped", "{told}");
        }
    }
}

#[test]
fn a_finding_is_the_same_whether_its_normal_was_learned_or_not() {
    for (from, said) in [(0, "shipped"), (LEARNED, "learned")] {
        let finding = Finding { measure: 1 | from, value: 30.0, normal: 3.0, evidence: 25.0 };
        assert_eq!((finding.index(), Finding::default().index()), (Some(0), None));
        let mut about = Incident::default();
        about.findings[0] = finding;
        let told = &incident(&about)["findings"];
        assert_eq!(told.as_array().unwrap().len(), 1);
        assert_eq!(
            (&told[0]["measure"], &told[0]["multiple"]),
            (&"rare_paths_missed".into(), &"10x".into())
        );
        assert_eq!(told[0]["normal_from"], said);
    }
}

#[test]
fn monitor_counts_whom_each_sensitivity_would_deny() {
    let monitor = ThreatPolicy { reaction: Reaction::Monitor, ..ThreatPolicy::default() };
    let counted = world_with(config(monitor), |world| {
        attacks(world);
        assert!(world.decisions.iter().all(|it| it.action == Action::Monitor));
        world.engine.applications()[0].would_deny
    });
    for sensitivity in Sensitivity::ALL {
        let deny = ThreatPolicy { sensitivity, ..ThreatPolicy::default() };
        let denied = world_with(config(deny), |world| {
            attacks(world);
            assert!(world.decisions.iter().all(|it| it.action == Action::Deny));
            world.decisions.len()
        });
        assert!(denied > 2, "{sensitivity:?} denied nobody: it shows nothing");
        assert_eq!(counted[sensitivity as usize], denied as u64, "{sensitivity:?} {counted:?}");
    }
    assert!(counted[0] < counted[2], "they differ: {counted:?}");
}

#[test]
fn what_was_considered_is_said() {
    let alternatives = |told: &Value| -> Vec<String> {
        let all = told["considered"].as_array().unwrap();
        assert!(all.iter().all(|it| it["rejected"].as_str().is_some_and(|why| why.len() > 20)));
        all.iter().map(|it| it["alternative"].as_str().unwrap().to_owned()).collect()
    };
    world_with(config(ThreatPolicy::default()), |world| {
        let agents = ["Mozilla/5.0 a", "Mozilla/5.0 b", "Mozilla/5.0 c"];
        for n in 0..12u32 {
            for agent in agents {
                world.send(900, &ask(OFFICE, &format!("/products/{n}.html"), 200).agent(agent));
                world.send(100, &ask(OFFICE, "/static/app.js", 200).agent(agent));
            }
        }
        let bot = |n: u32| -> Hit { probe(OFFICE, n).agent("somebot/1.0 (crawler)") };
        let (_, decision) = world.until_decided(60, 40, bot).unwrap();
        let told = incident(world.engine.incident(decision.incident).unwrap());
        assert_eq!(alternatives(&told), ["shared_address", "crawler"], "{told}");
        assert!(told["effective_users"].as_u64() >= Some(2), "{told}");
        let (_, alone) = world.until_decided(60, 40, |n| probe(ATTACKERS, n)).unwrap();
        let told = incident(world.engine.incident(alone.incident).unwrap());
        assert!(alternatives(&told).is_empty(), "{told}");
    });
}
