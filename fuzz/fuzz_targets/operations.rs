//! Anything that may happen to an engine, in any order: the invariants of the property test hold, and the
//! same operations decide the same.
#![no_main]

#[path = "../../crates/engine/tests/common/operations.rs"]
#[allow(clippy::unwrap_used, reason = "it is a test")]
mod operations;

use libfuzzer_sys::fuzz_target;
use operations::Machine;

fuzz_target!(|data: &[u8]| {
    // Longer ones find nothing that several short ones would not.
    let data = &data[..data.len().min(2000)];
    let [first, second] = [(); 2].map(|()| Machine::new().run(data));
    assert_eq!(
        (first.digest, first.decisions, first.records),
        (second.digest, second.decisions, second.records)
    );
});
