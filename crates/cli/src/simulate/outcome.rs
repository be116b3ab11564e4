//! What a simulation came to, in tables and as JSON.

use std::io::{self, Write};

use api_abuse_engine::Threat;
use api_abuse_engine::hash::combine;
use serde_json::{Value, json};

use super::details::details;
use super::ledger::{Conviction, Ledger};
use super::poisoning::{self, Row};
use super::scenario::Scenario;
use super::source::Class;
use super::statistics::{quantile, rate_at_most, wilson};
use super::table::Table;
use super::trial::Run;

/// The benign world.
#[derive(Debug)]
pub(super) struct Benign {
    pub(super) ledger: Ledger,
    /// Sources that the engine gave up although they still mattered.
    pub(super) evicted: u64,
}

/// All that was simulated.
#[derive(Debug)]
pub(super) struct Outcome {
    seed: u64,
    population: u64,
    days: u64,
    pub(super) benign: Option<Benign>,
    pub(super) attacks: Vec<(Scenario, Vec<Run>)>,
    pub(super) poisoning: Vec<Row>,
}

/// The numbers of one attack over its runs.
struct Summary {
    runs: u64,
    detected: u64,
    requests: Vec<f64>,
    seconds: Vec<f64>,
    damage: Vec<f64>,
    members: f64,
    total: Vec<f64>,
    wrong: u64,
    convicted: u64,
    caught: u64,
}

impl Summary {
    fn of(runs: &[Run]) -> Self {
        let sorted = |of: &dyn Fn(&Run) -> Option<f64>| {
            let mut values: Vec<f64> = runs.iter().filter_map(of).collect();
            values.sort_by(f64::total_cmp);
            values
        };
        let requests = sorted(&|run| run.conviction.map(|it| it.0));
        Self {
            runs: runs.len() as u64,
            detected: requests.len() as u64,
            requests,
            seconds: sorted(&|run| run.conviction.map(|it| it.1)),
            damage: sorted(&|run| run.conviction.map(|it| it.2)),
            members: runs.iter().map(|run| run.members).sum::<f64>() / runs.len().max(1) as f64,
            total: sorted(&|run| Some(run.damage)),
            wrong: runs.iter().map(|run| run.wrong).sum(),
            convicted: runs.iter().map(|run| run.convicted).sum(),
            caught: runs.iter().map(|run| run.caught).sum(),
        }
    }
}

impl Outcome {
    /// Nothing yet.
    pub(super) fn new(seed: u64, population: u64, days: u64) -> Self {
        Self { seed, population, days, benign: None, attacks: Vec::new(), poisoning: Vec::new() }
    }

    /// Puts the rows of a threat together.
    pub(super) fn sort(&mut self) {
        self.attacks.sort_by_key(|(scenario, _)| scenario.threat as u8);
    }

    /// Requests judged, those of the background included.
    pub(super) fn requests(&self) -> u64 {
        let benign = self.benign.as_ref().map_or(0, |benign| benign.ledger.requests);
        benign + self.all_runs().map(|run| run.requests).sum::<u64>()
    }

    /// One number for all decisions: the same seed gives the same.
    pub(super) fn digest(&self) -> u64 {
        let benign = self.benign.as_ref().map_or(0, |benign| benign.ledger.digest_value());
        self.all_runs().map(|run| run.digest).fold(benign, combine)
    }

    fn all_runs(&self) -> impl Iterator<Item = &Run> {
        let poisoned = self.poisoning.iter().flat_map(Row::runs);
        self.attacks.iter().flat_map(|(_, runs)| runs).chain(poisoned)
    }

    /// Writes all tables.
    pub(super) fn write(&self, out: &mut impl Write, markdown: bool) -> io::Result<()> {
        if markdown {
            writeln!(out, "{}", include_str!("page.md"))?;
        }
        writeln!(
            out,
            "seed {}, digest {:016x}, {} requests judged\n",
            self.seed,
            self.digest(),
            self.requests()
        )?;
        for threat in Threat::ALL {
            if let Some(table) = self.threat_table(threat) {
                table.write(out, markdown)?;
            }
        }
        if !self.poisoning.is_empty() {
            poisoning::write(&self.poisoning, out, markdown)?;
        }
        if let Some(benign) = &self.benign {
            self.benign_table(benign).write(out, markdown)?;
            let title = "False convictions in the benign population";
            details(title, benign.ledger.false_convictions()).write(out, markdown)?;
        }
        let near_attacks = || {
            let runs = self.attacks.iter().flat_map(|(_, runs)| runs);
            runs.flat_map(|run| run.ledger.false_convictions())
        };
        if near_attacks().next().is_some() {
            let title = "False convictions in the background of attacks";
            details(title, near_attacks()).write(out, markdown)?;
        }
        Ok(())
    }

    fn threat_table(&self, threat: Threat) -> Option<Table> {
        let mut table = Table::new(
            format!("Attacks: {}", threat.slug()),
            &[
                "scenario",
                "runs",
                "detected",
                "95 % interval",
                "requests p50",
                "p95",
                "seconds p50",
                "p95",
                "damage p50",
                "of",
                "members",
                "other threat",
                "benign convicted",
                "benign caught",
            ],
        );
        for (scenario, runs) in self.attacks.iter().filter(|(it, _)| it.threat == threat) {
            let summary = Summary::of(runs);
            let (low, high) = wilson(summary.detected, summary.runs);
            let number = |values: &[f64], q: f64| {
                quantile(values, q).map_or_else(|| "-".to_owned(), |value| format!("{value:.0}"))
            };
            let undetected = summary.detected == 0;
            let damage = if undetected { &summary.total } else { &summary.damage };
            table.rows.push(vec![
                scenario.name.to_owned(),
                summary.runs.to_string(),
                format!("{:.1} %", 100.0 * summary.detected as f64 / summary.runs.max(1) as f64),
                format!("{:.1}–{:.1} %", 100.0 * low, 100.0 * high),
                number(&summary.requests, 0.5),
                number(&summary.requests, 0.95),
                number(&summary.seconds, 0.5),
                number(&summary.seconds, 0.95),
                number(damage, 0.5),
                scenario.plan.what.damage().to_owned(),
                format!("{:.0} %", 100.0 * summary.members),
                summary.wrong.to_string(),
                summary.convicted.to_string(),
                summary.caught.to_string(),
            ]);
        }
        (!table.rows.is_empty()).then_some(table)
    }

    fn benign_table(&self, benign: &Benign) -> Table {
        let ledger = &benign.ledger;
        let title = format!(
            "Benign population: {} over {} days, {} requests, {} sources evicted",
            self.population, self.days, ledger.requests, benign.evicted
        );
        let columns = [
            "class",
            "sources",
            "source-days",
            "requests",
            "convicted",
            "false convictions",
            "per source-day",
            "at most (95 %)",
            "caught",
        ];
        let mut table = Table::new(title, &columns);
        let mut row = |name: &str, numbers: [u64; 6]| {
            let [sources, days, requests, convicted, events, caught] = numbers;
            table.rows.push(vec![
                name.to_owned(),
                sources.to_string(),
                days.to_string(),
                requests.to_string(),
                convicted.to_string(),
                events.to_string(),
                format!("{:.1e}", events as f64 / days.max(1) as f64),
                format!("{:.1e}", rate_at_most(events, days)),
                caught.to_string(),
            ]);
        };
        let mut sum = [0; 6];
        for class in Class::BENIGN {
            let counts = ledger.counts(class);
            let events = ledger.false_convictions().filter(|it| it.class == class).count() as u64;
            let numbers = [
                counts.sources,
                counts.source_days,
                counts.requests,
                counts.convicted,
                events,
                counts.caught,
            ];
            if counts.sources > 0 {
                row(class.name(), numbers);
            }
            for (sum, number) in sum.iter_mut().zip(numbers) {
                *sum += number;
            }
        }
        row("all", sum);
        let deploy = ledger.false_convictions().filter(|it| it.in_deploy).count() as u64;
        let seen = ledger.deploy_sources;
        row("of these, while the deploy was broken", [seen, seen, 0, deploy, deploy, 0]);
        table
    }

    /// Everything, for programs.
    pub(super) fn json(&self) -> Value {
        json!({
            "seed": self.seed,
            "digest": format!("{:016x}", self.digest()),
            "requests": self.requests(),
            "benign": self.benign.as_ref().map(benign_json),
            "attacks": self.attacks.iter().map(attack_json).collect::<Vec<_>>(),
            "poisoning": self.poisoning.iter().map(Row::json).collect::<Vec<_>>(),
        })
    }
}

fn benign_json(benign: &Benign) -> Value {
    let ledger = &benign.ledger;
    let classes: serde_json::Map<String, Value> = Class::BENIGN
        .into_iter()
        .map(|class| {
            let counts = ledger.counts(class);
            let value = json!({
                "sources": counts.sources,
                "source_days": counts.source_days,
                "requests": counts.requests,
                "convicted": counts.convicted,
                "caught": counts.caught,
            });
            (class.name().to_owned(), value)
        })
        .collect();
    let deploy = ledger.false_convictions().filter(|it| it.in_deploy).count();
    json!({
        "classes": classes,
        "broken_deploy": {"sources": ledger.deploy_sources, "convictions": deploy},
        "evicted": benign.evicted,
        "false_convictions": ledger.false_convictions().map(conviction_json).collect::<Vec<_>>(),
    })
}

fn conviction_json(conviction: &Conviction) -> Value {
    json!({
        "class": conviction.class.name(),
        "threat": conviction.threat.slug(),
        "key": conviction.kind.name(),
        "time_ms": conviction.time_ms,
        "evidence": conviction.evidence,
    })
}

fn attack_json((scenario, runs): &(Scenario, Vec<Run>)) -> Value {
    let summary = Summary::of(runs);
    let (low, high) = wilson(summary.detected, summary.runs);
    let quantiles =
        |values: &[f64]| json!({"p50": quantile(values, 0.5), "p95": quantile(values, 0.95)});
    let convictions: Vec<Value> =
        runs.iter().flat_map(|run| run.ledger.false_convictions()).map(conviction_json).collect();
    json!({
        "threat": scenario.threat.slug(),
        "scenario": scenario.name,
        "single_source": scenario.is_single_source(),
        "runs": summary.runs,
        "detected": summary.detected,
        "interval": [low, high],
        "requests": quantiles(&summary.requests),
        "seconds": quantiles(&summary.seconds),
        "damage": quantiles(&summary.damage),
        "damage_unit": scenario.plan.what.damage(),
        "damage_total": quantiles(&summary.total),
        "example": runs.iter().find_map(|run| run.example.clone()),
        "members_convicted": summary.members,
        "convicted_for_another_threat": summary.wrong,
        "benign_caught": summary.caught,
        "false_convictions": convictions,
    })
}
