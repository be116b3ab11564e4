//! What the black-box tests, the demo and the benchmark stand on: a harness for a real NGINX, a
//! shop for it to guard, the people who use the shop, and those who attack it.
//!
//! Nothing here knows the module's insides. It sees what an operator sees: directives, responses,
//! the access log, the error log and the metrics. Threads and blocking sockets throughout: a test
//! that can be read from top to bottom is worth more here than one that scales.
//!
//! All traffic stays on loopback addresses. Attackers come from `127.1.0.0/16`, benign clients from
//! `127.2.0.0/16`, load from `127.3.0.0/16`, and the harness itself from `127.0.0.1`.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    clippy::format_push_string,
    clippy::format_collect,
    clippy::case_sensitive_file_extension_comparisons,
    reason = "a harness that cannot go on fails its test, there and then; and it is in no hurry"
)]

pub mod access_log;
pub mod attack;
pub mod callgrind;
pub mod denials;
pub mod http;
pub mod memory;
pub mod metrics;
pub mod mutation;
pub mod nginx;
pub mod people;
pub mod random;
pub mod relay;
pub mod shop;
pub mod sites;

use std::time::{Duration, Instant};

/// Waits until `condition` holds, looking every 5 ms; says whether it did within `limit`.
///
/// What the module decides arrives in the next worker, log or metric a moment later. Tests say what
/// must become true and how long that may take at the very most; they never sleep and hope.
pub fn eventually(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let give_up = Instant::now() + limit;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() > give_up {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
