//! Who was denied, when and why; and whether that is what was promised.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use api_abuse_tests::access_log::{Fate, fate};
use api_abuse_tests::nginx::Nginx;
use api_abuse_tests::people::PEOPLE;
use serde_json::Value;

use crate::attackers::Attacker;

/// Prints the tables; true when every promise held.
pub(crate) fn print(nginx: &Nginx, attackers: &[Attacker]) -> bool {
    let log = nginx.access_log();
    let status = nginx.status();
    let mut broken = Vec::new();
    println!(
        "\n{:<25} {:<11} {:>6} {:>7} {:>7} {:>7}  {:<23} {:>10}",
        "attacker", "address", "served", "seconds", "denied", "allowed", "threat", "confidence"
    );
    for attacker in attackers {
        let fate = fate(&log, attacker.address);
        let seconds = fate.seconds.map_or("-".to_owned(), |seconds| format!("{seconds:.1}"));
        println!(
            "{:<25} {:<11} {:>6} {seconds:>7} {:>7} {:>7}  {:<23} {:>10}",
            attacker.name,
            attacker.address,
            fate.served,
            fate.denied,
            format!("<= {}", attacker.served_max),
            fate.threat,
            fate.confidence
        );
        print_evidence(&status, attacker.address);
        broken.extend(complaint(attacker, &fate));
    }
    println!("\n{:<40} {:<11} {:>8} {:>7}", "benign", "address", "requests", "denied");
    for (address, names) in people() {
        let fate = fate(&log, address);
        println!("{names:<40} {address:<11} {:>8} {:>7}", fate.served + fate.denied, fate.denied);
        if fate.denied > 0 {
            print_evidence(&status, address);
            broken.push(format!("{names} was denied {} times for {}", fate.denied, fate.threat));
        }
        if fate.served == 0 {
            broken.push(format!("{names} made no request, so this proves nothing"));
        }
    }
    let metrics = nginx.metrics();
    let p99 = metrics.quantile("api_abuse_enforcement_seconds", 0.99);
    let p99 = p99.map_or("-".to_owned(), |seconds| format!("{} ms", seconds * 1000.0));
    println!("\n{} requests; a conviction was enforceable everywhere within {p99}.", log.len());
    for complaint in &broken {
        println!("BROKEN: {complaint}");
    }
    broken.is_empty()
}

fn complaint(attacker: &Attacker, fate: &Fate) -> Option<String> {
    let Attacker { name, served_max, threat, .. } = attacker;
    if fate.denied == 0 {
        Some(format!("{name} was never denied, {} requests served", fate.served))
    } else if fate.served > *served_max {
        Some(format!("{name} was served {} requests, {served_max} were promised", fate.served))
    } else if fate.threat != *threat {
        Some(format!("{name} was denied for {}, not for {threat}", fate.threat))
    } else {
        None
    }
}

/// The findings that weigh most, and the heaviest request, of every entry for this address.
fn print_evidence(status: &Value, address: Ipv4Addr) {
    let address = address.to_string();
    let entries = status["denylist"].as_array().into_iter().flatten();
    for entry in entries.filter(|entry| entry["key"]["address"] == address.as_str()) {
        let evidence = &entry["evidence"];
        for finding in evidence["findings"].as_array().into_iter().flatten().take(3) {
            println!(
                "    {}: {} where {} is normal, {}",
                word(&finding["measure"]),
                finding["value"],
                word(&finding["normal"]),
                word(&finding["multiple"])
            );
        }
        if let Some(exemplar) = evidence["exemplars"].get(0) {
            println!(
                "    for example: {} {} -> {}",
                word(&exemplar["method"]),
                word(&exemplar["path"]),
                exemplar["status"]
            );
        }
    }
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}

/// Addresses of the people, with who is there.
fn people() -> BTreeMap<Ipv4Addr, String> {
    let mut people: BTreeMap<Ipv4Addr, String> = BTreeMap::new();
    for person in PEOPLE {
        let count = PEOPLE.iter().filter(|p| p.address == person.address).count();
        let name = if count == 1 {
            person.name.to_owned()
        } else {
            let office = person.name.split(',').next().unwrap_or_default();
            format!("{office} of {count}, one address")
        };
        people.insert(person.address, name);
    }
    people
}
