//! What each detector and each model is worth: the same simulations without it.
//!
//! The application was learned for long enough that the forest has grown up. Requests are compared by their
//! geometric mean: an attack that hides for thousands of requests would else outweigh all others.

use api_abuse_engine::Threat;

use super::scenario::{Scenario, scenarios};
use super::table::Table;
use super::trial::{self, Learned};
use super::tune;
use super::world::engine_seed;
use crate::Failure;

/// People and days of the benign population, and people around the attacks.
const POPULATION: u64 = 2000;
const DAYS: u64 = 2;
const NEIGHBOURS: u64 = 2500;
const MEMORY: usize = 64 << 20;
/// Runs of each attack.
const RUNS: u64 = 4;

/// Detection and false convictions of one engine.
struct Worth {
    detected: usize,
    /// Of them, for their own threat.
    rightly: usize,
    attacks: usize,
    /// The sum of the logarithms of the requests until then.
    requests: f64,
    convicted: usize,
    source_days: u64,
}

/// One row for the whole engine, and one without each part of it.
pub(super) fn table(seed: u64, progress: impl Fn(&str)) -> Result<Table, Failure> {
    let mut table = Table::new(
        "What each detector and model is worth",
        &[
            "without",
            "attacks detected",
            "for their threat",
            "requests to conviction, geometric mean",
            "false convictions",
            "of source-days",
        ],
    );
    let threats = Threat::ALL.map(|threat| vec![threat.slug()]);
    let models = [vec!["scorers"], vec!["forest"], vec!["scorers", "forest"]];
    for without in [vec![]].into_iter().chain(threats).chain(models) {
        let name = if without.is_empty() { "nothing".to_owned() } else { without.join(", ") };
        progress(&format!("ablation: without {name}"));
        let worth = worth(seed, &without)?;
        let mean = (worth.requests / worth.detected.max(1) as f64).exp();
        table.rows.push(vec![
            name,
            format!("{} of {}", worth.detected, worth.attacks),
            worth.rightly.to_string(),
            format!("{mean:.1}"),
            worth.convicted.to_string(),
            worth.source_days.to_string(),
        ]);
    }
    Ok(table)
}

fn worth(seed: u64, without: &[&str]) -> Result<Worth, Failure> {
    let without: Vec<String> = without.iter().map(|name| (*name).to_owned()).collect();
    let tune = tune(&without)?;
    let (ledger, _) = trial::benign(seed, POPULATION, DAYS, None, MEMORY, tune, |_, _| ())?;
    let source_days = ledger.source_days();
    let convicted = ledger.false_convictions().count();
    let mut worth =
        Worth { detected: 0, rightly: 0, attacks: 0, requests: 0.0, convicted, source_days };
    let learned = Learned::new(seed ^ 0x6162_6c61, NEIGHBOURS, false, tune)?;
    let single = |it: &Scenario| it.is_single_source() && !it.busy_login;
    for scenario in scenarios().iter().filter(|it| single(it)) {
        let own = engine_seed(seed).table(scenario.full_name().as_bytes());
        for run in learned.attacks(scenario, RUNS, |run| own.wrapping_add(run))? {
            worth.attacks += 1;
            if let Some((requests, ..)) = run.conviction {
                worth.detected += 1;
                worth.rightly += usize::from(run.wrong == 0);
                worth.requests += requests.max(1.0).ln();
            }
            worth.convicted += run.convicted as usize;
        }
    }
    Ok(worth)
}
