//! Attackers and the benign traffic that looks like them, against the engine, in virtual time.
#![allow(
    clippy::unwrap_used,
    clippy::wildcard_imports,
    missing_docs,
    reason = "a test fails loudly"
)]

#[path = "scenarios/attacks.rs"]
mod attacks;
#[path = "scenarios/benign.rs"]
mod benign;
#[path = "scenarios/many.rs"]
mod many;
#[path = "scenarios/patience.rs"]
mod patience;
#[path = "scenarios/programs.rs"]
mod programs;
#[path = "scenarios/world.rs"]
mod world;
