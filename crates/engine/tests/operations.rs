//! Whatever happens to an engine, in whatever order: seeded, so that a failure can be seen again.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "common/operations.rs"]
mod operations;

use api_abuse_engine::hash::combine;
use operations::Machine;

fn bytes(seed: u64, count: u64) -> Vec<u8> {
    (0..count).flat_map(|n| combine(combine(seed, 0x6f70), n).to_le_bytes()).collect()
}

#[test]
fn whatever_happens_the_invariants_hold() {
    let (mut records, mut decisions) = (0, 0);
    for seed in 0..4 {
        let operations = bytes(seed, 150);
        let [first, second] = [(); 2].map(|()| Machine::new().run(&operations));
        assert_eq!(first.digest, second.digest, "seed {seed} decides twice the same");
        records += first.records;
        decisions += first.decisions;
    }
    assert!(records > 5000 && decisions > 10, "{records} records, {decisions} decisions");
}
