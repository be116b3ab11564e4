//! The engine in virtual time: attackers, the benign traffic that looks like them, what operators want, what
//! a conviction says of itself, what survives a restart.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_imports,
    missing_docs,
    reason = "a test fails loudly"
)]

#[path = "scenarios/absent.rs"]
mod absent;
#[path = "scenarios/alike.rs"]
mod alike;
#[path = "scenarios/attacks.rs"]
mod attacks;
#[path = "scenarios/benign.rs"]
mod benign;
#[path = "scenarios/checkpoint.rs"]
mod checkpoint;
#[path = "scenarios/explanation.rs"]
mod explanation;
#[path = "scenarios/many.rs"]
mod many;
#[path = "scenarios/owners.rs"]
mod owners;
#[path = "scenarios/patience.rs"]
mod patience;
#[path = "scenarios/policy.rs"]
mod policy;
#[path = "scenarios/programs.rs"]
mod programs;
#[path = "scenarios/sessions.rs"]
mod sessions;
#[path = "scenarios/sites.rs"]
mod sites;
#[path = "scenarios/world.rs"]
mod world;
