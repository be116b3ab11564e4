//! The simulator from outside, small: invariants that hold for every seed.
#![allow(clippy::unwrap_used, missing_docs)]

use std::process::Command;

use serde_json::Value;

fn simulate(arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_api-abuse"))
        .args(["simulate", "--json", "--memory", "32m"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Classes of which nobody may ever be convicted.
const SACRED: [&str; 10] = [
    "offices",
    "monitors",
    "crawlers",
    "partners",
    "flash_crowd",
    "retry_storm",
    "expired_token",
    "cache_warmer",
    "chat",
    "support",
];

#[test]
fn the_benign_population_is_left_alone_where_it_must_be() {
    let outcome = simulate(&["--scenario", "benign", "--population", "3000", "--days", "3"]);
    let benign = &outcome["benign"];
    for class in SACRED {
        let counts = &benign["classes"][class];
        assert!(counts["requests"].as_u64().unwrap() > 20, "{class}: {counts}");
        assert_eq!(counts["convicted"], 0, "{class}: {:#}", benign["false_convictions"]);
    }
    assert!(benign["broken_deploy"]["sources"].as_u64().unwrap() > 10);
    assert_eq!(benign["broken_deploy"]["convictions"], 0, "{:#}", benign["false_convictions"]);
}

#[test]
fn every_attack_from_a_single_source_is_convicted() {
    let outcome = simulate(&["--scenario", "single", "--runs", "1", "--population", "1500"]);
    let attacks = outcome["attacks"].as_array().unwrap();
    assert!(attacks.len() > 30, "the attacks ran");
    let missed: Vec<_> = attacks
        .iter()
        .filter(|attack| attack["detected"] != attack["runs"])
        .map(|attack| {
            let text = |key: &str| attack[key].as_str().unwrap();
            format!("{}/{}", text("threat"), text("scenario"))
        })
        .collect();
    assert!(missed.is_empty(), "{missed:?}");
}

/// Whoever poisons for days gains little: the nulls drift by a tenth a day, and attacks are found.
#[test]
fn poison_is_slow_and_does_not_hide_an_attack() {
    let outcome = simulate(&["--scenario", "poisoning", "--runs", "1", "--population", "1500"]);
    let rows = outcome["poisoning"].as_array().unwrap();
    assert!(rows.len() >= 12, "the ladder was climbed: {rows:#?}");
    for row in rows {
        let number = |key: &str| row[key].as_f64();
        assert_eq!(row["detected"], row["runs"], "{row:#}");
        if let (Some(before), Some(after)) = (number("null_before"), number("null_after")) {
            let bound = 1.1f64.powf(number("days").unwrap()) * 1.001;
            assert!(after <= before * bound && after * bound >= before, "{row:#}");
        }
    }
    assert!(rows.iter().any(|row| row["null_before"].is_number()), "something was learned");
    assert!(rows.iter().any(|row| row["poisoners"].as_u64() > Some(100)), "there was poison");
}

#[test]
fn other_seeds_are_other_simulations() {
    let digest = |seed| {
        let scenario = ["--scenario", "benign", "--population", "200", "--days", "1"];
        let outcome = simulate(&[&scenario[..], &["--seed", seed]].concat());
        assert!(outcome["requests"].as_u64().unwrap() > 10_000, "it ran");
        outcome["digest"].clone()
    };
    assert_eq!(digest("3"), digest("3"));
    assert_ne!(digest("3"), digest("4"));
}

#[test]
fn names_are_listed_and_unknown_ones_refused() {
    let run = |name: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_api-abuse"));
        command.args(["simulate", "--scenario", name]).output().unwrap()
    };
    let list = run("list");
    let names = String::from_utf8(list.stdout).unwrap();
    for name in ["all", "offices", "bola/harvested", "credential_stuffing/2%-30-addresses"] {
        assert!(names.lines().any(|line| line == name), "{name}");
    }
    assert_eq!(run("nonsense").status.code(), Some(2));
}
