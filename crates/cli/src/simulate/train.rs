//! `simulate --train`: the engine's linear models, from seeded simulations to a Rust table.
//!
//! Nobody is denied while samples are taken, so that attackers show all they do. Each sample is a
//! client as the models see it, at several moments of its life, and what it is. A model is a logistic
//! regression on balanced classes: `min Σ w ln(1 + exp(−y (b + v·x))) + λ/2 |v|²`, with weights that may
//! not be negative where their sign is known, by projected gradients with momentum (Nesterov 1983).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use api_abuse_engine::learned::features::{COUNT, FEATURES, Features};
use api_abuse_engine::learned::scorer::{Scorer, Sign, checksum, signs};
use api_abuse_engine::{SourceKind, Threat};

use super::plan::Plan;
use super::random::Random;
use super::scenario::scenarios;
use super::source::Class;
use super::trial::{self, Learned};
use super::world::World;
use crate::Failure;

/// Requests that a client must have made.
const LEAST: u32 = 6;
/// Hours until the application has a profile.
const LEARNED_HOURS: u64 = 24;
/// Requests after which an attack has shown itself, beside the first few of each member.
const ENOUGH: u32 = 400;
/// Weight of the squares of the weights.
const RIDGE: f64 = 1e-3;
const ROUNDS: usize = 1500;
const STEP: f64 = 0.25;

/// A client at a moment.
#[derive(Clone, Copy, Debug)]
struct Sample {
    features: Features,
    /// What it attacks; `None` is benign.
    attack: Option<Threat>,
}

/// Trains, and returns the text of the engine's table.
pub(super) fn table(plan: &Plan, progress: impl Fn(String)) -> Result<String, Failure> {
    let samples = |seeds: &[u64]| -> Result<Vec<Sample>, Failure> {
        let mut all = Vec::new();
        for &seed in seeds {
            progress(format!("samples of seed {seed}"));
            all.extend(benign(plan, seed)?);
            all.extend(attacks(plan, seed)?);
        }
        Ok(all)
    };
    let (held_out, seeds) = held_out(plan);
    let (taught, held) = (samples(seeds)?, samples(held_out)?);
    let mut scorers = Vec::new();
    let mut areas = Vec::new();
    for threat in Threat::ALL {
        progress(format!("training {}", threat.slug()));
        let scorer = scorer(threat, &taught, &held);
        areas.push(area(threat, &scorer, &held));
        scorers.push(scorer);
    }
    Ok(written(plan, [&taught, &held], &scorers, &areas))
}

/// The last seed only measures.
fn held_out(plan: &Plan) -> (&[u64], &[u64]) {
    let (seeds, last) = plan.seeds.split_at(plan.seeds.len().saturating_sub(1));
    (last, seeds)
}

/// Looks at all clients that match.
fn look(
    world: &World<'_>,
    attack: Option<Threat>,
    mut wanted: impl FnMut((u64, u64)) -> bool,
) -> Vec<Sample> {
    let clients = world.engine().clients();
    clients
        .filter(|source| source.requests >= LEAST && source.kind == SourceKind::Client as u8)
        .filter(|source| wanted((source.network, source.discriminator)))
        .map(|source| Sample { features: world.engine().features(source), attack })
        .collect()
}

/// Benign clients, every six hours, once there is a profile.
fn benign(plan: &Plan, seed: u64) -> Result<Vec<Sample>, Failure> {
    let mut samples = Vec::new();
    trial::watch_benign(seed, plan.population, plan.days, |world, hour| {
        if hour > LEARNED_HOURS && hour % 6 == 0 {
            samples.extend(look(world, None, |_| true));
        }
    })?;
    Ok(samples)
}

/// Attackers, whenever their requests have become so and so many.
fn attacks(plan: &Plan, seed: u64) -> Result<Vec<Sample>, Failure> {
    let mut samples = Vec::new();
    let learned = Learned::watching(seed ^ 0x7472_6169, plan.population)?;
    let mut memory = learned.scratch();
    // Members of a botnet at a busy login never come to a checkpoint.
    for scenario in scenarios().iter().filter(|it| !it.busy_login && !it.cold) {
        let mut random = Random::new(seed ^ scenario.threat as u64);
        for _ in 0..plan.runs {
            let mut next = LEAST;
            learned.watch_attack(&mut memory, scenario, random.next(), |world| {
                let attack = &world.ledger.attack;
                if attack.requests >= next {
                    next = next.saturating_mul(2);
                    let members = || world.sources.iter().filter(|it| it.class == Class::Attacker);
                    samples.extend(look(world, Some(scenario.threat), |client| {
                        members().any(|it| (it.network, it.fingerprint) == client)
                    }));
                }
                attack.requests >= ENOUGH + LEAST * attack.members
            })?;
        }
    }
    Ok(samples)
}

/// Trains one model; what is normal is read off benign clients that it was not trained on.
fn scorer(threat: Threat, taught: &[Sample], held: &[Sample]) -> Scorer {
    // Equal samples are one with their number as its weight.
    let mut groups: BTreeMap<(Features, bool), f64> = BTreeMap::new();
    for sample in taught.iter().filter(|it| it.attack.is_none_or(|attack| attack == threat)) {
        *groups.entry((sample.features, sample.attack.is_some())).or_default() += 1.0;
    }
    let of = |class: bool| groups.iter().filter(move |((_, it), _)| *it == class).map(|(_, n)| n);
    let totals = [of(false).sum::<f64>().max(1.0), of(true).sum::<f64>().max(1.0)];
    let rows: Vec<([f64; COUNT], bool, f64)> = groups
        .iter()
        .map(|((features, class), n)| {
            let x = features.map(|value| f64::from(value) / 255.0);
            (x, *class, n / totals[usize::from(*class)] / 2.0)
        })
        .collect();
    let (bias, weights) = fit(&rows, &signs(threat));
    let mut scorer = Scorer { bias, weights, normal: 0.0 };
    let benign = held.iter().filter(|sample| sample.attack.is_none());
    let mut logits: Vec<f32> = benign.map(|sample| scorer.logit(&sample.features)).collect();
    logits.sort_by(f32::total_cmp);
    let at = (logits.len() as f64 * 0.999) as usize;
    scorer.normal = rounded(f64::from(logits.get(at).copied().unwrap_or(0.0)));
    scorer
}

/// Logistic regression over weighted rows of (features, class, weight).
pub(super) fn fit<const N: usize>(
    rows: &[([f64; N], bool, f64)],
    signs: &[Sign; N],
) -> (f32, [f32; N]) {
    let project = |weight: f64, sign: Sign| match sign {
        Sign::Zero => 0.0,
        Sign::Positive => weight.max(0.0),
        Sign::Free => weight,
    };
    let (mut weights, mut bias) = ([0.0; N], 0.0);
    let (mut ahead, mut bias_ahead) = (weights, bias);
    for round in 0..ROUNDS {
        let (mut slope, mut bias_slope) = (ahead.map(|weight| RIDGE * weight), 0.0);
        for (x, class, share) in rows {
            let logit = bias_ahead + ahead.iter().zip(x).map(|(w, x)| w * x).sum::<f64>();
            let error = share * (1.0 / (1.0 + (-logit).exp()) - f64::from(u8::from(*class)));
            bias_slope += error;
            slope.iter_mut().zip(x).for_each(|(slope, x)| *slope += error * x);
        }
        let momentum = round as f64 / (round as f64 + 3.0);
        let next = core::array::from_fn(|f| project(ahead[f] - STEP * slope[f], signs[f]));
        let bias_next = bias_ahead - STEP * bias_slope;
        ahead = core::array::from_fn(|f| next[f] + momentum * (next[f] - weights[f]));
        bias_ahead = bias_next + momentum * (bias_next - bias);
        (weights, bias) = (next, bias_next);
    }
    (rounded(bias), weights.map(rounded))
}

/// Two digits are what a table says.
fn rounded(value: f64) -> f32 {
    ((value * 100.0).round() / 100.0) as f32
}

/// Probability that an attacker of this threat has a higher logit than a benign client.
fn area(threat: Threat, scorer: &Scorer, samples: &[Sample]) -> f64 {
    let mut logits: Vec<(f32, bool)> = samples
        .iter()
        .filter(|sample| sample.attack.is_none_or(|attack| attack == threat))
        .map(|sample| (scorer.logit(&sample.features), sample.attack.is_some()))
        .collect();
    logits.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut attackers, mut right, mut at) = (0.0, 0.0, 0.0, 0);
    while at < logits.len() {
        let equal = logits[at..].iter().take_while(|it| it.0 == logits[at].0).count();
        let hits = logits[at..at + equal].iter().filter(|it| it.1).count() as f64;
        let others = equal as f64 - hits;
        right += hits * (below + others / 2.0);
        below += others;
        attackers += hits;
        at += equal;
    }
    right / f64::max(below * attackers, 1.0)
}

/// The table as Rust.
fn written(plan: &Plan, samples: [&[Sample]; 2], scorers: &[Scorer], areas: &[f64]) -> String {
    let counts = samples.map(|all| {
        let attackers = all.iter().filter(|sample| sample.attack.is_some()).count();
        [all.len() - attackers, attackers]
    });
    let names = FEATURES.map(|feature| feature.name).join(" ");
    let (held_out, seeds) = held_out(plan);
    let mut out = format!(
        "//! The models. Written by `make train`, not by hand.\n//!\n//! Columns: `{names}`.\n#![allow(clippy::approx_constant, clippy::unreadable_literal, reason = \"nobody typed them\")]\n\n\
         use super::scorer::{{Provenance, Scorer}};\n\n\
         /// How they were made.\n#[rustfmt::skip]\npub const PROVENANCE: Provenance = Provenance {{\n    \
         command: {:?},\n    features: {names:?},\n    seeds: &{:?},\n    held_out: &{:?},\n    \
         samples: {:?},\n    held_out_samples: {:?},\n    areas: [",
        plan.command, seeds, held_out, counts[0], counts[1]
    );
    for (at, area) in areas.iter().enumerate() {
        let _ = write!(out, "{}{area:.4}", if at > 0 { ", " } else { "" });
    }
    let sum = checksum(scorers);
    let _ = write!(
        out,
        "],\n    checksum: {sum:#018x},\n}};\n\n/// The models, in the order of [`crate::Threat::ALL`].\n\
         #[rustfmt::skip]\npub const SCORERS: [Scorer; 8] = [\n"
    );
    for (scorer, threat) in scorers.iter().zip(Threat::ALL) {
        let weights: Vec<String> = scorer.weights.iter().map(|w| format!("{w:.2}")).collect();
        let _ = writeln!(
            out,
            "    // {}\n    Scorer {{\n        bias: {:.2}, normal: {:.2},\n        weights: [{}],\n    }},",
            threat.slug(),
            scorer.bias,
            scorer.normal,
            weights.join(", ")
        );
    }
    out.push_str("];\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fit_finds_the_weights_and_keeps_the_signs() {
        // P(class) = σ(−2 + 4 x0 − 3 x1), x2 is noise.
        let mut random = Random::new(4);
        let mut unit = || random.below(1 << 20) as f64 / f64::from(1 << 20);
        let rows: Vec<([f64; 3], bool, f64)> = (0..4000)
            .map(|_| {
                let x = [unit(), unit(), unit()];
                let chance = 1.0 / (1.0 + (2.0 - 4.0 * x[0] + 3.0 * x[1]).exp());
                (x, unit() < chance, 1.0 / 4000.0)
            })
            .collect();
        let (_, free) = fit(&rows, &[Sign::Free; 3]);
        assert!(free[0] > 2.0 && free[1] < -1.5 && free[2].abs() < 0.5, "{free:?}");
        let (_, signed) = fit(&rows, &[Sign::Positive, Sign::Positive, Sign::Zero]);
        assert!(signed[0] > 1.0, "{signed:?}");
        assert_eq!(signed[1..], [0.0; 2]);
    }

    #[test]
    fn areas_count_ties_half() {
        let mut scorer = Scorer { bias: 0.0, weights: [0.0; COUNT], normal: 0.0 };
        scorer.weights[0] = 1.0;
        let sample = |value, attack| {
            let mut features = [0; COUNT];
            features[0] = value;
            Sample { features, attack }
        };
        let bola = Some(Threat::Bola);
        let samples = [sample(1, None), sample(2, None), sample(2, bola), sample(3, bola)];
        assert_eq!(area(Threat::Bola, &scorer, &samples), 0.875);
        let model = super::scorer(Threat::Bola, &samples, &samples);
        assert!(model.logit(&samples[3].features) >= model.logit(&samples[0].features));
    }
}
