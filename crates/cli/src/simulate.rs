//! `api-abuse simulate`: a seeded population against the module's engine, in virtual time.
//!
//! People, machines and attackers are agents ([`world`]): each makes a request when its time comes, a
//! model of a shop answers ([`shop`]), the record that NGINX's log phase would write goes through
//! `Engine::turn`, and what is decided is in force from the next request on. Benign classes
//! ([`benign`]) are what false convictions are counted on; attacks ([`scenario`]) run against an
//! application that was learned, each many times. The same arguments give the same output.

mod ablation;
mod attack;
mod benign;
mod calibrate;
mod details;
mod ledger;
mod outcome;
mod parallel;
mod plan;
mod poison;
mod poisoning;
mod random;
mod scenario;
mod shop;
mod source;
mod statistics;
mod table;
mod train;
mod trial;
mod world;

use std::io::{self, BufWriter, IsTerminal, Write};
use std::time::Instant;

use api_abuse_engine::Threat;
use clap::Args;

use crate::Failure;
use crate::memory::parse_size;
use outcome::{Benign, Outcome};
use plan::Plan;
use scenario::{Scenario, scenarios};
use source::Class;
use trial::Learned;
use world::{Tune, engine_seed};

/// Arguments of `simulate`.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// all, benign, attacks, single (attacks from one source), poisoning, a benign class, a threat, or
    /// threat/name; `list` names them
    #[arg(long, default_value = "all", value_name = "NAME")]
    scenario: String,
    /// Seed of everything that is left to chance
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    seed: u64,
    /// Virtual days of the benign population; they begin on a Monday
    #[arg(long, default_value_t = 7, value_name = "NUMBER")]
    days: u64,
    /// Size of the benign population
    #[arg(long, default_value_t = 80_000, value_name = "NUMBER")]
    population: u64,
    /// Runs of each attack
    #[arg(long, default_value_t = 25, value_name = "NUMBER")]
    runs: u64,
    /// The same of attacks from one source; as many as of the others unless told
    #[arg(long, value_name = "NUMBER")]
    runs_single: Option<u64>,
    /// Memory for the engine's tables under the benign population, as the size of `api_abuse_zone`
    #[arg(long, default_value = "512m", value_name = "SIZE", value_parser = parse_size)]
    memory: usize,
    /// One JSON object
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// The page `docs/evaluation.md`
    #[arg(long)]
    markdown: bool,
    /// Without a detector (by its threat), the linear models (`scorers`) or the `forest`
    #[arg(long, value_name = "NAME")]
    without: Vec<String>,
    /// Also what each detector and model is worth: the benign population and the attacks of one
    /// source without each of them, at a small scale
    #[arg(long, conflicts_with = "json")]
    ablation: bool,
    /// The engine's linear models, as Rust: seeds N and N+1, tested on the next
    #[arg(long, conflicts_with_all = ["json", "markdown"])]
    train: bool,
    /// What evidence means, as Rust: seeds N to N+2
    #[arg(long, conflicts_with_all = ["json", "markdown", "train"])]
    calibrate: bool,
}

/// What is to be simulated.
struct Selection {
    benign: bool,
    only: Option<Class>,
    attacks: Vec<Scenario>,
    poisoning: bool,
}

/// Simulates.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    let written = |error: io::Error| Failure::Input(format!("standard output: {error}"));
    if arguments.scenario == "list" {
        return list(&mut out).map_err(written);
    }
    if arguments.population == 0
        || arguments.days == 0
        || arguments.runs == 0
        || arguments.runs_single == Some(0)
    {
        return Err(Failure::Usage("nothing to simulate".to_owned()));
    }
    if arguments.train || arguments.calibrate {
        let progress = |text| eprintln!("{text}");
        let table = if arguments.train {
            train::table(&Plan::new(arguments, "--train"), progress)
        } else {
            calibrate::table(&Plan::new(arguments, "--calibrate"), progress)
        }?;
        return out.write_all(table.as_bytes()).and_then(|()| out.flush()).map_err(written);
    }
    let selection = select(&arguments.scenario)?;
    let started = Instant::now();
    let outcome = simulate(arguments, &selection, tune(&arguments.without)?)?;
    let seconds = started.elapsed().as_secs_f64();
    let said = if arguments.json {
        writeln!(out, "{}", outcome.json())
    } else {
        outcome.write(&mut out, arguments.markdown)
    };
    said.and_then(|()| out.flush()).map_err(written)?;
    if arguments.ablation {
        let table = ablation::table(arguments.seed, |text| {
            let _ = writeln!(io::stderr(), "{text}");
        })?;
        let said = table.write(&mut out, arguments.markdown).and_then(|()| out.flush());
        said.map_err(written)?;
    }
    let requests = outcome.requests();
    let speed = requests as f64 / seconds.max(1e-9);
    let _ = writeln!(
        io::stderr(),
        "{seconds:.1} s, {requests} requests, {speed:.0} a second (learning included)"
    );
    Ok(())
}

/// The engine without what is named.
fn tune(without: &[String]) -> Result<Tune, Failure> {
    let mut tune = Tune::default();
    for name in without {
        match (name.as_str(), Threat::from_slug(name)) {
            ("scorers", _) => tune.models.scorers = false,
            ("forest", _) => tune.models.forest = false,
            (_, Some(threat)) => tune.detectors &= !(1 << threat as u8),
            _ => {
                let message = format!(
                    "--without: there is no {name:?}; it is a threat, \"scorers\" or \"forest\""
                );
                return Err(Failure::Usage(message));
            }
        }
    }
    Ok(tune)
}

/// The names that `--scenario` takes.
fn list(out: &mut impl Write) -> io::Result<()> {
    for name in ["all", "benign", "attacks", "single", "poisoning"]
        .into_iter()
        .chain(Class::BENIGN.map(Class::name))
    {
        writeln!(out, "{name}")?;
    }
    for scenario in scenarios() {
        writeln!(out, "{}", scenario.full_name())?;
    }
    out.flush()
}

/// What a name stands for.
fn select(name: &str) -> Result<Selection, Failure> {
    let class = Class::BENIGN.into_iter().find(|class| class.name() == name);
    let wanted = |scenario: &Scenario| {
        let slug = scenario.threat.slug();
        let of_kind = matches!(name, "all" | "attacks");
        of_kind
            || (name == "single" && scenario.is_single_source())
            || slug == name
            || scenario.full_name() == name
    };
    let attacks: Vec<Scenario> = scenarios().into_iter().filter(wanted).collect();
    let benign = matches!(name, "all" | "benign") || class.is_some();
    let poisoning = matches!(name, "all" | "poisoning");
    if !benign && !poisoning && attacks.is_empty() {
        let message = format!("--scenario: there is no {name:?}; see --scenario list");
        return Err(Failure::Usage(message));
    }
    Ok(Selection { benign, only: class, attacks, poisoning })
}

fn simulate(arguments: &Arguments, selection: &Selection, tune: Tune) -> Result<Outcome, Failure> {
    let seed = arguments.seed;
    let terminal = io::stderr().is_terminal();
    let progress = |text: String| {
        if terminal {
            eprint!("\r{text}\x1b[K");
        }
    };
    let mut outcome = Outcome::new(seed, arguments.population, arguments.days);
    if selection.benign {
        let (population, days) = (arguments.population, arguments.days);
        let hours = days * 24;
        let show = |_: &world::World<'_>, hour| {
            progress(format!("benign population: hour {hour} of {hours}"));
        };
        let started = Instant::now();
        let (ledger, evicted) =
            trial::benign(seed, population, days, selection.only, arguments.memory, tune, show)?;
        let seconds = started.elapsed().as_secs_f64();
        progress(String::new());
        let _ = writeln!(
            io::stderr(),
            "benign population: {seconds:.1} s, {:.0} requests a second",
            ledger.requests as f64 / seconds.max(1e-9)
        );
        outcome.benign = Some(Benign { ledger, evicted });
    }
    for busy_login in [false, true] {
        let rows = || selection.attacks.iter().filter(|it| it.busy_login == busy_login);
        if rows().next().is_none() {
            continue;
        }
        progress("learning an application to attack".to_owned());
        let learned = Learned::new(seed ^ 0x6c65_6172, arguments.population, busy_login, tune)?;
        for scenario in rows().filter(|row| learned.suits(row)).collect::<Vec<_>>() {
            progress(scenario.full_name());
            // Each attack has times and people of its own.
            let own = engine_seed(seed).table(scenario.full_name().as_bytes());
            let single = arguments.runs_single.filter(|_| scenario.is_single_source());
            let runs = single.unwrap_or(arguments.runs);
            let runs = learned.attacks(scenario, runs, |run| own.wrapping_add(run))?;
            outcome.attacks.push((*scenario, runs));
        }
    }
    if selection.poisoning {
        let seed = seed ^ 0x7069_7a6e;
        outcome.poisoning =
            poisoning::climb(seed, arguments.population, arguments.runs, tune, progress)?;
    }
    progress(String::new());
    outcome.sort();
    Ok(outcome)
}
