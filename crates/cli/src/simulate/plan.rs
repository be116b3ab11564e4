//! Where the tables of the engine that are data come from: simulations of some seeds.

use super::Arguments;

/// Seeds, and how much is simulated of each.
#[derive(Debug)]
pub(super) struct Plan {
    /// The command that does it, as the tables say it.
    pub(super) command: String,
    pub(super) seeds: Vec<u64>,
    pub(super) population: u64,
    pub(super) days: u64,
    pub(super) runs: u64,
}

impl Plan {
    /// Three seeds, from the one that was given on. `option` is what makes the table.
    pub(super) fn new(arguments: &Arguments, option: &str) -> Self {
        let Arguments { seed, population, days, runs, .. } = *arguments;
        let command = format!(
            "api-abuse simulate {option} --seed {seed} --population {population} --days {days} --runs {runs}"
        );
        Self { command, seeds: (seed..seed + 3).collect(), population, days, runs }
    }
}
