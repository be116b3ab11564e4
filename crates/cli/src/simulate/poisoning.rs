//! The poisoning ladder: what is learned from poison, and what attacks gain by it.

use std::io::{self, Write};

use api_abuse_engine::profiles::Feature;
use serde_json::{Value, json};

use super::poison::{LADDER, Rung};
use super::scenario::{Scenario, scenarios};
use super::statistics::quantile;
use super::table::Table;
use super::trial::{Learned, Run};
use super::world::Tune;
use crate::Failure;

/// The attacks that the poison is for, and where their normal is learned.
const ATTACKS: [(&str, Feature, &str); 2] = [
    ("spamming/slow", Feature::Posts, "/products/7/reviews"),
    ("bola/slow-harvested", Feature::PrivateObjects, "/api/orders/10007"),
];

/// What one rung came to for one attack.
#[derive(Debug)]
pub(super) struct Row {
    rung: Rung,
    scenario: Scenario,
    feature: Feature,
    /// Poisoners, and those of them that were convicted.
    poisoners: (u64, u64),
    /// The learned null before and after the poison.
    nulls: [Option<f32>; 2],
    runs: Vec<Run>,
}

/// Climbs the ladder.
pub(super) fn climb(
    seed: u64,
    population: u64,
    runs: u64,
    tune: Tune,
    mut progress: impl FnMut(String),
) -> Result<Vec<Row>, Failure> {
    let clean = Learned::new(seed, population, false, tune)?;
    let before = clean.normal(&ATTACKS.map(|(_, feature, path)| (feature, path)))?;
    let mut rows = Vec::new();
    for rung in LADDER {
        progress(format!("poison: {}", rung.name));
        let (learned, poisoners) = clean.poisoned(rung)?;
        let after = learned.normal(&ATTACKS.map(|(_, feature, path)| (feature, path)))?;
        for (at, (name, feature, _)) in ATTACKS.into_iter().enumerate() {
            let scenario = scenarios().into_iter().find(|it| it.full_name() == name);
            let Some(scenario) = scenario else { continue };
            let runs = learned.attacks(&scenario, runs, |run| seed ^ ((run + 1) << 32))?;
            let nulls = [before[at], after[at]];
            rows.push(Row { rung, scenario, feature, poisoners, nulls, runs });
        }
    }
    Ok(rows)
}

impl Row {
    fn requests(&self) -> Vec<f64> {
        let mut requests: Vec<f64> =
            self.runs.iter().filter_map(|run| run.conviction.map(|it| it.0)).collect();
        requests.sort_by(f64::total_cmp);
        requests
    }

    /// Benign sources convicted near the attack.
    fn convicted(&self) -> u64 {
        self.runs.iter().map(|run| run.convicted).sum()
    }

    /// All runs, for the digest.
    pub(super) fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let requests = self.requests();
        json!({
            "poison": self.rung.name,
            "percent": self.rung.percent,
            "days": self.rung.days + self.rung.rest,
            "attack": self.scenario.full_name(),
            "feature": self.feature.name(),
            "poisoners": self.poisoners.0,
            "poisoners_convicted": self.poisoners.1,
            "null_before": self.nulls[0],
            "null_after": self.nulls[1],
            "runs": self.runs.len(),
            "detected": requests.len(),
            "requests": {"p50": quantile(&requests, 0.5), "p95": quantile(&requests, 0.95)},
            "benign_convicted": self.convicted(),
        })
    }
}

/// The table of the ladder.
pub(super) fn write(rows: &[Row], out: &mut impl Write, markdown: bool) -> io::Result<()> {
    let columns = [
        "poison",
        "attack",
        "poisoners",
        "convicted",
        "null before",
        "after",
        "runs",
        "detected",
        "requests p50",
        "p95",
        "benign convicted",
    ];
    let mut table = Table::new("Poisoning of what is learned, and attacks after it", &columns);
    for row in rows {
        let requests = row.requests();
        let number =
            |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.0}"));
        let null =
            |null: Option<f32>| null.map_or_else(|| "-".to_owned(), |null| format!("{null:.1}"));
        table.rows.push(vec![
            row.rung.name.to_owned(),
            row.scenario.full_name(),
            row.poisoners.0.to_string(),
            row.poisoners.1.to_string(),
            null(row.nulls[0]),
            null(row.nulls[1]),
            row.runs.len().to_string(),
            format!("{:.0} %", 100.0 * requests.len() as f64 / row.runs.len().max(1) as f64),
            number(quantile(&requests, 0.5)),
            number(quantile(&requests, 0.95)),
            row.convicted().to_string(),
        ]);
    }
    table.write(out, markdown)
}
