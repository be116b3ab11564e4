//! `api-abuse learn`: access logs to a state file, so that a new installation starts ready.
//!
//! The lines take the way of `replay`, through the very same engine. Nobody is denied while it learns:
//! whoever would be is only watched, and what suspects do teaches nothing anyway.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io::{self, Write};
use std::path::PathBuf;

use api_abuse_engine::application::{State as Learned, Statistics};
use api_abuse_engine::hash::Seed;
use api_abuse_engine::policy::{Reaction, ThreatPolicy};
use api_abuse_engine::{Config, Engine};
use clap::Args;

use crate::Failure;
use crate::memory::Memory;
use crate::replay::{Logs, NginxConfig, Summary, seed_of};
use crate::state::State;

/// Templates shown.
const SHOWN: usize = 12;
const DAY_MS: f64 = 86_400_000.0;

/// Arguments of `learn`.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    logs: Logs,
    /// Where to write what was learned: a file, or the directory of `api_abuse_state` (with a slash at
    /// the end it is made when it is missing). What is there already is learned on from
    #[arg(long, value_name = "PATH")]
    state: PathBuf,
    /// Seed of the engine's hashes; a random one when there is none. That of --state, when it exists
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
}

/// Learns from the logs.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let known = State::file(&arguments.state).exists().then(|| State::read(&arguments.state));
    let known = known.transpose()?;
    let seed = match (&known, arguments.seed) {
        (Some(state), None) => state.seed(),
        (Some(state), Some(number)) if state.seed() == seed_of(number) => state.seed(),
        (Some(_), Some(_)) => {
            return Err(Failure::Usage("--seed: the state has another seed".to_owned()));
        }
        (None, Some(number)) => seed_of(number),
        (None, None) => random_seed(),
    };
    let nginx = NginxConfig::default();
    let mut memory = Memory::try_new(arguments.logs.memory)?;
    let mut engine = Logs::engine(&mut memory, watching(arguments.logs.config(seed, &nginx)))?;
    if let Some(state) = &known {
        state.load(&mut engine)?;
    }
    let Some((mut engine, summary)) = arguments.logs.feed(engine, seed, &nginx, |_| Ok(()))? else {
        return Ok(());
    };
    let Some((_, last_ms)) = summary.span else {
        return Err(Failure::Input("no line could be read".to_owned()));
    };
    let mut told = Vec::new();
    let out = tell(&mut told, &engine, &summary, last_ms);
    engine.reset_counters();
    let bytes = State::write(&arguments.state, &engine, last_ms)?;
    let file = State::file(&arguments.state);
    let size = bytes as f64 / 1_048_576.0;
    let out = out
        .and_then(|()| writeln!(told, "{}: {size:.1} MiB", file.display()))
        .and_then(|()| io::stdout().write_all(&told));
    match out {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Input(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// The configuration under which nobody is denied.
fn watching(mut config: Config) -> Config {
    let watch = ThreatPolicy { reaction: Reaction::Monitor, ..ThreatPolicy::default() };
    config.policy = config.policy.with_all(watch);
    for application in &mut config.applications {
        application.policy = config.policy.clone();
    }
    config
}

/// A seed that nobody knows: the standard library's hashers get their keys from the system.
fn random_seed() -> Seed {
    Seed([0, 1].map(|word: u64| RandomState::new().hash_one(word)))
}

/// What was learned, for people.
fn tell(
    out: &mut impl Write,
    engine: &Engine<'_>,
    summary: &Summary,
    now_ms: u64,
) -> io::Result<()> {
    let counts = &summary.counts;
    writeln!(out, "{} lines, {} of them read", counts.lines, counts.parsed)?;
    for slot in engine.applications().iter().filter(|slot| slot.key != 0) {
        application(out, slot, now_ms)?;
    }
    let (sources, _) = engine.sources();
    let suspects: u64 = summary.convictions.iter().sum();
    writeln!(out, "{sources} sources are known, {suspects} were suspicious and taught nothing")?;
    let templates = engine.templates();
    writeln!(out, "{} path templates are established", templates.len())?;
    for (template, visits) in templates.iter().take(SHOWN) {
        writeln!(out, "  {visits:>10}  {template}")?;
    }
    if templates.len() > SHOWN {
        writeln!(out, "  {:>10}  more", templates.len() - SHOWN)?;
    }
    Ok(())
}

fn application(out: &mut impl Write, slot: &Statistics, now_ms: u64) -> io::Result<()> {
    let state = Learned::from_u8(slot.state as u8).name();
    let watched_ms = slot.learned_ms + now_ms.saturating_sub(slot.first_ms);
    let requests: u64 = slot.requests.iter().sum();
    let days = watched_ms as f64 / DAY_MS;
    writeln!(out, "{}: {state} after {days:.1} days and {requests} requests", slot.name())
}
